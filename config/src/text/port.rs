//! Ports: numbers, reserved names, and names that the switch gave.

use std::collections::BTreeMap;
use std::fmt;

use weir_tables::port::PortNo;

use super::error::Fault;
use super::names;
use super::scan::{Tok, unquote};

/// Finds the number of a named port.
pub trait PortNames {
    /// The number of the port called `name`.
    fn number(&self, name: &str) -> Option<PortNo>;
}

/// No port has a name.
impl PortNames for () {
    fn number(&self, _name: &str) -> Option<PortNo> {
        None
    }
}

impl<F: Fn(&str) -> Option<PortNo>> PortNames for F {
    fn number(&self, name: &str) -> Option<PortNo> {
        self(name)
    }
}

/// How ports are printed: by name, where one is known, or else by number.
#[derive(Clone, Debug, Default)]
pub struct PortLabels(BTreeMap<PortNo, String>);

impl PortLabels {
    /// All ports by number.
    pub const NUMBERS: &'static Self = &Self(BTreeMap::new());

    /// What `port` is printed as.
    pub fn text(&self, port: PortNo) -> impl fmt::Display {
        super::print::Text(move |f: &mut fmt::Formatter<'_>| match self.0.get(&port) {
            Some(name) if is_plain(name) => f.write_str(name),
            Some(name) => write!(f, "\"{name}\""),
            None => write!(f, "{port}"),
        })
    }

    /// Whether `port` has a name.
    pub fn knows(&self, port: PortNo) -> bool {
        self.0.contains_key(&port)
    }
}

impl<S: Into<String>> FromIterator<(PortNo, S)> for PortLabels {
    fn from_iter<I: IntoIterator<Item = (PortNo, S)>>(names: I) -> Self {
        let names = names.into_iter().map(|(port, name)| (port, name.into()));
        Self(names.collect())
    }
}

/// Whether a name needs no quotes: it is a letter, and letters and digits behind it.
fn is_plain(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// A port: a number, a reserved name in any case, or a name that `names` knows.
pub(super) fn port(tok: Tok<'_>, ports: &dyn PortNames) -> Result<PortNo, Fault> {
    if tok
        .text
        .starts_with(|letter: char| letter.is_ascii_digit() || letter == '-')
    {
        return port_number(tok);
    }
    if let Some(&(_, number)) = RESERVED
        .iter()
        .find(|(name, _)| tok.text.eq_ignore_ascii_case(name))
    {
        return Ok(number);
    }
    let name = if tok.text.starts_with('"') {
        unquote(tok)?
    } else {
        tok.text.to_owned()
    };
    ports.number(&name).ok_or_else(|| {
        let known = RESERVED.iter().map(|(name, _)| *name);
        let fault = tok.fault(format!("unknown port {}", tok.text));
        match names::nearest(&name.to_ascii_uppercase(), known) {
            Some(near) => fault.hint(format!("did you mean {near}?")),
            None => fault.hint("expected a number, a reserved port or a port's name"),
        }
    })
}

const RESERVED: [(&str, PortNo); 10] = [
    ("IN_PORT", PortNo::IN_PORT),
    ("TABLE", PortNo::TABLE),
    ("NORMAL", PortNo::NORMAL),
    ("FLOOD", PortNo::FLOOD),
    ("ALL", PortNo::ALL),
    ("CONTROLLER", PortNo::CONTROLLER),
    ("LOCAL", PortNo::LOCAL),
    ("ANY", PortNo::NONE),
    ("NONE", PortNo::NONE),
    ("UNSET", PortNo::UNSET),
];

/// The number of the first reserved port of OpenFlow 1.0, and of OpenFlow 1.1.
const RESERVED_10: u32 = 0xfff7;

const RESERVED_11: u32 = 0xffff_fff7;

fn port_number(tok: Tok<'_>) -> Result<PortNo, Fault> {
    let out_of_range = || {
        tok.fault("port out of range").hint(format!(
            "expected 0 to {}, or a reserved port such as LOCAL",
            PortNo::MAX.0
        ))
    };
    // Ports are decimal, a leading 0 notwithstanding, as in Open vSwitch.
    if !tok.text.bytes().all(|byte| byte.is_ascii_digit()) {
        let fault = tok.fault(format!("\"{}\" is not a port", tok.text));
        return Err(fault.hint("expected a decimal number, a reserved port or a port's name"));
    }
    match tok.text.parse::<u32>().map_err(|_| out_of_range())? {
        number if number <= PortNo::MAX.0 => Ok(PortNo(number)),
        // OpenFlow 1.0 wrote the reserved ports with 16 bits.
        number @ RESERVED_10..=0xffff => Ok(PortNo(number | 0xffff_0000)),
        number @ RESERVED_11.. => Ok(PortNo(number)),
        _ => Err(out_of_range()),
    }
}
