//! Fields, parts of fields, and their values in each field's own notation.

use weir_tables::action::{Subfield, TableId};
use weir_tables::field::{Field, Format, Masking};
use weir_tables::port::PortNo;

use super::address::{ethernet, ipv4, ipv6};
use super::error::Fault;
use super::flags;
use super::names;
use super::number::{integer, narrow, ranged};
use super::port::{PortNames, port};
use super::scan::Tok;

/// The value with all significant bits of `field` set.
pub(super) fn ones(field: Field) -> u128 {
    u128::MAX >> (128 - u32::from(field.info().width.clamp(1, 128)))
}

/// What `set_field` can write to `field`: its bits, and for `vlan_vid` the bit that says that
/// a tag is there.
pub(super) fn writable(field: Field) -> u128 {
    match field {
        Field::VLAN_VID => 0x1fff,
        // The low two bits are ECN, which `nw_tos` does not write.
        Field::NW_TOS => 0xfc,
        _ => ones(field),
    }
}

/// A table's number.
pub(super) fn table(tok: Tok<'_>) -> Result<TableId, Fault> {
    let max = u128::from(TableId::MAX.0);
    let value = ranged(tok, "table", 0, max)?;
    Ok(u8::try_from(value).map_or(TableId::MAX, TableId))
}

/// A field by the name of flow text, or by its wire name.
pub(super) fn field(tok: Tok<'_>) -> Result<Field, Fault> {
    Field::by_name(tok.text)
        .or_else(|| Field::by_wire_name(tok.text))
        .ok_or_else(|| names::unknown_field(tok))
}

/// `FIELD`, `FIELD[]`, `FIELD[BIT]` or `FIELD[FIRST..LAST]`.
pub(super) fn subfield(tok: Tok<'_>) -> Result<Subfield, Fault> {
    let Some(open) = tok.text.find('[') else {
        return Ok(Subfield::whole(field(tok)?));
    };
    let field = field(tok.part(0, open))?;
    let width = field.info().width;
    let range = tok.from(open);
    let syntax = || {
        range
            .fault("bad bit range")
            .hint("expected [], [BIT] or [FIRST..LAST]")
    };
    let inner = range
        .text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let inner = inner.ok_or_else(syntax)?;
    if inner.is_empty() {
        return Ok(Subfield::whole(field));
    }
    let inner = Tok {
        text: inner,
        at: range.at + 1,
    };
    let (first, last) = inner.split_once("..").unwrap_or((inner, inner));
    let bit = |tok: Tok<'_>| -> Result<u16, Fault> {
        let bit: u16 = tok.text.trim().parse().map_err(|_| syntax())?;
        if bit < width {
            Ok(bit)
        } else {
            Err(tok
                .fault(format!("{} has no bit {bit}", field.name()))
                .hint(format!("its bits are 0 to {}", width - 1)))
        }
    };
    let (start, end) = (bit(first)?, bit(last)?);
    if start > end {
        return Err(range.fault(format!("bit {start} is behind bit {end}")));
    }
    Ok(Subfield {
        field,
        start,
        width: end - start + 1,
    })
}

/// `3 bits`
pub(super) fn bits(count: u16) -> String {
    format!("{count} bit{}", if count == 1 { "" } else { "s" })
}

/// The value of `field`, which the text calls `name`, and the bits of it that count.
pub(super) fn masked(
    field: Field,
    name: &str,
    tok: Tok<'_>,
    ports: &dyn PortNames,
) -> Result<(u128, u128), Fault> {
    let info = field.info();
    if tok.text == "*" {
        return Ok((0, 0));
    }
    if tok.is_empty() {
        return Err(tok.fault(format!("{name} needs a value")));
    }
    let (value, mask) = match info.format {
        Format::Dec | Format::Hex => number(field, name, tok)?,
        Format::Ethernet => ethernet(tok)?,
        Format::Ipv4 => ipv4(tok)?,
        Format::Ipv6 => ipv6(tok)?,
        Format::CtState => flags::parse(tok, &flags::CT_STATE)?,
        Format::TcpFlags => flags::parse(tok, &flags::TCP)?,
        Format::TunnelFlags => flags::parse(tok, &flags::TUNNEL)?,
        Format::Fragment => fragment(tok)?,
        Format::Port => (port_value(field, port(tok, ports)?), ones(field)),
        Format::PacketType => packet_type(tok)?,
        // Where they may be written, `option` reads them.
        Format::Bytes => return Err(tok.fault(format!("no value of {name} can stand here"))),
    };
    let exact = mask & ones(field) == exact_mask(field);
    if info.masking == Masking::Exact && mask != 0 && !exact {
        return Err(tok.fault(format!("{name} takes no mask")));
    }
    Ok((value & mask, mask))
}

/// The mask of an exact match on `field`: the bits that can be set at all.
fn exact_mask(field: Field) -> u128 {
    match field.info().format {
        Format::CtState => flags::CT_STATE.all,
        _ => ones(field),
    }
}

/// A 16-bit port field holds a reserved port with 16 bits.
fn port_value(field: Field, port: PortNo) -> u128 {
    u128::from(port.0) & ones(field)
}

fn number(field: Field, name: &str, tok: Tok<'_>) -> Result<(u128, u128), Fault> {
    let info = field.info();
    let (value_tok, mask_tok) = match tok.split_once("/") {
        Some((value, mask)) => (value, Some(mask)),
        None => (tok, None),
    };
    let max = writable_in_text(field);
    let range = match max {
        0..=0xffff => format!("expected 0 to {max}"),
        _ => format!("expected at most {max:#x}"),
    };
    let check = |tok: Tok<'_>, what: String, expected: String| match integer(tok) {
        Ok(value) if value <= max => Ok(value),
        Ok(_) => Err(tok.fault(what).hint(expected)),
        Err(fault) if fault.hint.is_empty() => Err(fault.hint(expected)),
        Err(fault) => Err(fault),
    };
    let expected = match info.masking {
        Masking::Bitwise => format!("{range}, or value/mask"),
        Masking::Exact => range.clone(),
    };
    let value = check(value_tok, format!("{name} out of range"), expected)?;
    let mask = match mask_tok {
        None => max.max(ones(field)),
        Some(tok) => check(tok, format!("mask has bits beyond those of {name}"), range)?,
    };
    Ok((value, mask))
}

/// The largest number that may be written for `field`.
fn writable_in_text(field: Field) -> u128 {
    match field {
        Field::VLAN_VID => 0x1fff,
        // ARP operations above 255 read 0, so they cannot be matched or written.
        Field::ARP_OP => 0xff,
        Field::NSH_TTL => 63,
        _ => ones(field),
    }
}

/// Bit 0: a fragment; bit 1: not the first one.
const FRAGMENTS: [(&str, u128, u128); 5] = [
    ("no", 0, 3),
    ("yes", 1, 1),
    ("first", 1, 3),
    ("later", 3, 3),
    ("not_later", 0, 2),
];

fn fragment(tok: Tok<'_>) -> Result<(u128, u128), Fault> {
    FRAGMENTS
        .iter()
        .find(|(name, ..)| tok.text.eq_ignore_ascii_case(name))
        .map(|&(_, value, mask)| (value, mask))
        .ok_or_else(|| {
            tok.fault(format!("\"{}\" is not a kind of fragment", tok.text))
                .hint("expected no, yes, first, later or not_later")
        })
}

/// The word for a fragment match, if there is one.
pub(super) fn fragment_name(value: u128, mask: u128) -> Option<&'static str> {
    match (value, mask) {
        (2, 2) => Some("later"),
        (0, 1) => Some("no"),
        _ => FRAGMENTS
            .iter()
            .find(|row| (row.1, row.2) == (value, mask))
            .map(|row| row.0),
    }
}

fn packet_type(tok: Tok<'_>) -> Result<(u128, u128), Fault> {
    let bad = || {
        tok.fault(format!("\"{}\" is not a packet type", tok.text))
            .hint("expected (NAMESPACE,TYPE), such as (0,0) or (1,0x800)")
    };
    let inner = tok
        .text
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'));
    let inner = Tok {
        text: inner.ok_or_else(bad)?,
        at: tok.at + 1,
    };
    let (namespace, kind) = inner.split_once(",").ok_or_else(bad)?;
    let namespace: u16 = narrow(namespace, "namespace")?;
    let kind: u16 = narrow(kind, "type")?;
    Ok((u128::from(namespace) << 16 | u128::from(kind), 0xffff_ffff))
}
