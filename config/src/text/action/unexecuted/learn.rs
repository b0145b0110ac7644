//! `learn(...)`: a rule that a packet adds.

use std::fmt::Write as _;

use weir_tables::action::{Action, Subfield};
use weir_tables::field::Field;
use weir_tables::flow_mod::FlowMod;
use weir_tables::matching::Match;

use super::unexecuted;
use crate::text::action::{ActionReader, Within, lacks};
use crate::text::context::Context;
use crate::text::error::Fault;
use crate::text::number;
use crate::text::print::{hex_text, subfield_text, value_text};
use crate::text::scan::{Pair, Pairs, Tok};
use crate::text::value;

/// The highest table, which Open vSwitch keeps for itself.
const LAST_TABLE: u128 = 254;

/// What is said of the rule beside its match and actions.
#[derive(Default)]
struct Settings {
    idle_timeout: u16,
    hard_timeout: u16,
    fin_idle_timeout: u16,
    fin_hard_timeout: u16,
    priority: Option<u16>,
    send_flow_rem: bool,
    delete_learned: bool,
    cookie: u64,
    limit: u32,
    result: Option<Subfield>,
}

impl ActionReader<'_> {
    pub(super) fn learn(&self, pair: &Pair<'_>) -> Result<Action, Fault> {
        let mut table = 1;
        let mut settings = Settings::default();
        let mut specs = String::new();
        // What packets of the learned rule are known to be.
        let mut learned = Match::ANY;
        let mut pairs = Pairs::new(pair.value);
        while let Some(option) = pairs.next()? {
            if option.key.text == "table" {
                table = number::ranged(option.required("a table")?, "table", 0, LAST_TABLE)?;
            } else if !settings.take(self, &option)? {
                // Writing to a String cannot fail.
                let _ = write!(specs, ",{}", self.spec(&option, &mut learned)?);
            }
        }
        let text = format!("learn(table={table}{}{specs})", settings.text());
        Ok(unexecuted("learn", text))
    }

    /// A part of the match, or an action.
    fn spec(&self, option: &Pair<'_>, learned: &mut Match) -> Result<String, Fault> {
        match option.key.text {
            "load" => self.load_spec(option, learned),
            "output" => {
                let src = self.source(option.required("a field")?)?;
                Ok(format!("output:{}", subfield_text(src)))
            }
            _ => self.match_spec(option, learned),
        }
    }

    fn match_spec(&self, option: &Pair<'_>, learned: &mut Match) -> Result<String, Fault> {
        let (key, tok) = (option.key, option.value);
        let dst = value::subfield(key)?;
        let field = dst.field;
        if field.info().wire_names.is_empty() {
            return Err(key.fault(format!("{} cannot be learned", field.name())));
        }
        if let Some(missing) = Context::of(learned).missing(field.info().prerequisite) {
            return Err(lacks(key, field.name(), missing)
                .hint("what stands before it in learn() does not say that"));
        }
        let is_name = Field::by_name(key.text).is_some();
        if is_name && !tok.is_empty() {
            match value::masked(field, key.text, tok, self.ports) {
                Ok((value, _)) => {
                    learned.set_exact(field, value);
                    let text = value_text(field, value, value::ones(field));
                    return Ok(format!("{}={text}", field.name()));
                }
                Err(fault) if field_name(tok).is_none() => return Err(fault),
                Err(_) => {}
            }
        }
        let dst_text = subfield_text(dst);
        if !tok.is_empty() && tok.text.starts_with(|letter: char| letter.is_ascii_digit()) {
            let value = fits(tok, dst)?;
            learned.set(field, value << dst.start, ones(dst) << dst.start);
            return Ok(format!("{dst_text}={}", hex_text(value)));
        }
        if tok.is_empty() {
            self.readable(key, field)?;
            return Ok(dst_text.to_string());
        }
        let src = self.source(tok)?;
        same_width(tok, src, dst)?;
        if src == dst {
            return Ok(dst_text.to_string());
        }
        Ok(format!("{dst_text}={}", subfield_text(src)))
    }

    /// `load:VALUE->FIELD`, `load:FIELD->FIELD`
    fn load_spec(&self, option: &Pair<'_>, learned: &Match) -> Result<String, Fault> {
        let Some((src_tok, dst_tok)) = option.value.split_once("->") else {
            return Err(option
                .whole
                .fault("missing ->")
                .hint("such as load:1->reg0[]"));
        };
        let dst = value::subfield(dst_tok)?;
        let reader = ActionReader {
            ports: self.ports,
            context: Context::of(learned),
            table: None,
            unexecuted: Vec::new(),
        };
        let within = match dst.field.info().access {
            weir_tables::field::Access::CtExec => Within::CtExec,
            _ => Within::Apply,
        };
        reader.writable(dst_tok, dst.field, within)?;
        let dst_text = subfield_text(dst);
        if src_tok
            .text
            .starts_with(|letter: char| letter.is_ascii_digit())
        {
            let value = fits(src_tok, dst)?;
            return Ok(format!("load:{}->{dst_text}", hex_text(value)));
        }
        let src = self.source(src_tok)?;
        same_width(src_tok, src, dst)?;
        Ok(format!("load:{}->{dst_text}", subfield_text(src)))
    }

    /// A field of the packet that the rule is learned from.
    fn source(&self, tok: Tok<'_>) -> Result<Subfield, Fault> {
        let src = value::subfield(tok)?;
        self.readable(tok, src.field)?;
        Ok(src)
    }
}

impl Settings {
    /// Takes `option` if it is one of these. Returns whether it was.
    fn take(&mut self, reader: &ActionReader<'_>, option: &Pair<'_>) -> Result<bool, Fault> {
        let name = option.key.text;
        let seconds = || number::narrow(option.required("seconds")?, name);
        match name {
            "idle_timeout" => self.idle_timeout = seconds()?,
            "hard_timeout" => self.hard_timeout = seconds()?,
            "fin_idle_timeout" => self.fin_idle_timeout = seconds()?,
            "fin_hard_timeout" => self.fin_hard_timeout = seconds()?,
            "priority" => self.priority = Some(number::narrow(option.required("a value")?, name)?),
            "cookie" => self.cookie = number::narrow(option.required("a value")?, name)?,
            "limit" => self.limit = number::narrow(option.required("a number")?, name)?,
            "send_flow_rem" => {
                option.bare()?;
                self.send_flow_rem = true;
            }
            "delete_learned" => {
                option.bare()?;
                self.delete_learned = true;
            }
            "result_dst" => {
                let tok = option.required("a bit")?;
                let dst = value::subfield(tok)?;
                reader.writable(tok, dst.field, Within::Apply)?;
                if dst.width != 1 {
                    return Err(tok.fault(format!("not one bit but {}", value::bits(dst.width))));
                }
                self.result = Some(dst);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let priority = self
            .priority
            .filter(|&priority| priority != FlowMod::DEFAULT_PRIORITY);
        for (name, seconds) in [
            ("idle_timeout", self.idle_timeout),
            ("hard_timeout", self.hard_timeout),
            ("fin_idle_timeout", self.fin_idle_timeout),
            ("fin_hard_timeout", self.fin_hard_timeout),
        ] {
            if seconds != 0 {
                text += &format!(",{name}={seconds}");
            }
        }
        if let Some(priority) = priority {
            text += &format!(",priority={priority}");
        }
        if self.send_flow_rem {
            text += ",send_flow_rem";
        }
        if self.delete_learned {
            text += ",delete_learned";
        }
        if self.cookie != 0 {
            text += &format!(",cookie={:#x}", self.cookie);
        }
        if self.limit != 0 {
            text += &format!(",limit={}", self.limit);
        }
        if let Some(dst) = self.result {
            text += &format!(",result_dst={}", subfield_text(dst));
        }
        text
    }
}

/// The field whose name `tok` begins with.
fn field_name(tok: Tok<'_>) -> Option<Field> {
    let name = tok.text.split('[').next().unwrap_or(tok.text);
    Field::by_name(name).or_else(|| Field::by_wire_name(name))
}

fn ones(subfield: Subfield) -> u128 {
    u128::MAX >> (128 - u32::from(subfield.width.min(128)))
}

fn fits(tok: Tok<'_>, dst: Subfield) -> Result<u128, Fault> {
    let value = number::integer(tok)?;
    if value > ones(dst) {
        return Err(tok.fault(format!(
            "value does not fit into {}",
            value::bits(dst.width)
        )));
    }
    Ok(value)
}

fn same_width(tok: Tok<'_>, src: Subfield, dst: Subfield) -> Result<(), Fault> {
    if src.width == dst.width {
        return Ok(());
    }
    Err(tok.fault(format!(
        "source is {} bits wide, destination {}",
        src.width, dst.width
    )))
}
