//! Flag fields: `+trk-new`, `syn|ack`, `0x02/0x12`.

use std::fmt;

use super::error::Fault;
use super::number::integer;
use super::scan::Tok;

/// The names of a field's bits, from bit 0.
#[derive(Debug)]
pub(super) struct FlagSet {
    field: &'static str,
    names: &'static [&'static str],
    /// All bits that may be set.
    pub(super) all: u128,
}

/// `ct_state`
pub(super) static CT_STATE: FlagSet = FlagSet {
    field: "ct_state",
    names: &["new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"],
    all: 0xff,
};

/// `tcp_flags`
pub(super) static TCP: FlagSet = FlagSet {
    field: "tcp_flags",
    names: &[
        "fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns", "[200]", "[400]", "[800]",
    ],
    all: 0xfff,
};

/// `tun_flags`
pub(super) static TUNNEL: FlagSet = FlagSet {
    field: "tun_flags",
    names: &["oam"],
    all: 1,
};

impl FlagSet {
    fn bit(&self, name: &str) -> Option<u128> {
        self.names
            .iter()
            .position(|known| *known == name)
            .map(|bit| 1 << bit)
    }

    fn unknown(&self, tok: Tok<'_>) -> Fault {
        let names: Vec<_> = self
            .names
            .iter()
            .filter(|name| !name.starts_with('['))
            .collect();
        let names = names
            .iter()
            .map(|name| **name)
            .collect::<Vec<_>>()
            .join(", ");
        tok.fault(format!("unknown {} flag \"{}\"", self.field, tok.text))
            .hint(format!("the flags are {names}"))
    }
}

/// Value and mask of a flag field.
pub(super) fn parse(tok: Tok<'_>, set: &FlagSet) -> Result<(u128, u128), Fault> {
    if tok.text.starts_with(['+', '-']) {
        return signed(tok, set);
    }
    let number = |tok: Tok<'_>| match integer(tok)? {
        bits if bits & !set.all == 0 => Ok(bits),
        _ => Err(set.unknown(tok)),
    };
    if let Some((value, mask)) = tok.split_once("/") {
        let (value, mask) = (number(value)?, number(mask)?);
        return Ok((value & mask, mask));
    }
    let mut value = 0;
    let mut at = 0;
    for name in tok.text.split('|') {
        let part = tok.part(at, at + name.len());
        value |= match set.bit(name) {
            Some(bit) => bit,
            None if name.starts_with(|letter: char| letter.is_ascii_digit()) => number(part)?,
            None => return Err(set.unknown(part)),
        };
        at += name.len() + 1;
    }
    Ok((value, set.all))
}

/// `+a-b`
fn signed(tok: Tok<'_>, set: &FlagSet) -> Result<(u128, u128), Fault> {
    let (mut value, mut mask) = (0, 0);
    let mut rest = tok;
    while let Some(sign) = rest.text.bytes().next() {
        let end = rest.text[1..]
            .find(['+', '-'])
            .map_or(rest.text.len(), |at| at + 1);
        let name = rest.part(1, end);
        let bit = set.bit(name.text).ok_or_else(|| set.unknown(name))?;
        if mask & bit != 0 {
            return Err(name.fault(format!("{} is given twice", name.text)));
        }
        mask |= bit;
        if sign == b'+' {
            value |= bit;
        }
        rest = rest.from(end);
    }
    Ok((value, mask))
}

/// Writes value and mask so that [`parse`] reads them back.
pub(super) fn write(
    out: &mut impl fmt::Write,
    set: &FlagSet,
    value: u128,
    mask: u128,
) -> fmt::Result {
    let name = |bit: usize| set.names.get(bit).copied().unwrap_or("[unknown]");
    let bits = |bits: u128| (0..128_usize).filter(move |bit| bits >> bit & 1 == 1);
    if mask & set.all != set.all {
        for bit in bits(mask & set.all) {
            write!(
                out,
                "{}{}",
                if value >> bit & 1 == 1 { '+' } else { '-' },
                name(bit)
            )?;
        }
        return Ok(());
    }
    if value & set.all == 0 {
        return out.write_char('0');
    }
    for (at, bit) in bits(value & set.all).enumerate() {
        if at > 0 {
            out.write_char('|')?;
        }
        out.write_str(name(bit))?;
    }
    Ok(())
}
