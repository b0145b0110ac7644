//! Numbers, addresses, flags and ports as flow text writes them.

use std::net::Ipv6Addr;

use weir_tables::action::{Subfield, TableId};
use weir_tables::field::{Field, Format, Masking};
use weir_tables::port::PortNo;

use super::error::Fault;
use super::flags;
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

/// A number in C notation: `31`, `0x1f`, `037`; negative ones wrap at 64 bits.
pub(super) fn integer(tok: Tok<'_>) -> Result<u128, Fault> {
    let bad = || tok.fault(format!("\"{}\" is not a number", tok.text));
    let (negative, digits) = match tok.text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, tok.text.strip_prefix('+').unwrap_or(tok.text)),
    };
    let (radix, digits) = if let Some(digits) = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        (16, digits)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (8, &digits[1..])
    } else {
        (10, digits)
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        let fault = bad();
        return Err(if radix == 8 {
            fault.hint("a leading 0 makes a number octal")
        } else {
            fault
        });
    }
    let value = u128::from_str_radix(digits, radix)
        .map_err(|_| tok.fault("number is too large").hint("at most 128 bits"))?;
    match negative {
        false => Ok(value),
        true => i64::try_from(value)
            .map(|value| u128::from(value.wrapping_neg().cast_unsigned()))
            .map_err(|_| bad()),
    }
}

/// A number from `min` to `max`, called `what` in an error.
pub(super) fn ranged(tok: Tok<'_>, what: &str, min: u128, max: u128) -> Result<u128, Fault> {
    let value = integer(tok).map_err(|fault| {
        if fault.hint.is_empty() {
            fault.hint(format!("expected {min} to {max}"))
        } else {
            fault
        }
    })?;
    if (min..=max).contains(&value) {
        Ok(value)
    } else {
        Err(tok
            .fault(format!("{what} out of range"))
            .hint(format!("expected {min} to {max}")))
    }
}

/// A number of the width of `T`, called `what`.
pub(super) fn narrow<T>(tok: Tok<'_>, what: &str) -> Result<T, Fault>
where
    T: TryFrom<u128> + Bits,
{
    let value = ranged(tok, what, 0, T::MAX)?;
    T::try_from(value).map_err(|_| tok.fault(format!("{what} out of range")))
}

/// The largest value of an unsigned type.
pub(super) trait Bits {
    const MAX: u128;
}

impl Bits for u8 {
    const MAX: u128 = 0xff;
}
impl Bits for u16 {
    const MAX: u128 = 0xffff;
}
impl Bits for u32 {
    const MAX: u128 = 0xffff_ffff;
}
impl Bits for u64 {
    const MAX: u128 = 0xffff_ffff_ffff_ffff;
}

/// `VALUE[/MASK]`; without a mask all 64 bits.
pub(super) fn masked_u64(tok: Tok<'_>, what: &str) -> Result<(u64, u64), Fault> {
    match tok.split_once("/") {
        None => Ok((narrow(tok, what)?, u64::MAX)),
        Some((value, mask)) => {
            let mask = narrow(mask, "mask")?;
            Ok((narrow(value, what)?, mask))
        }
    }
}

/// A table's number.
pub(super) fn table(tok: Tok<'_>) -> Result<TableId, Fault> {
    let max = u128::from(TableId::MAX.0);
    let value = ranged(tok, "table", 0, max)?;
    Ok(u8::try_from(value).map_or(TableId::MAX, TableId))
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

/// The value of `field`, and the bits of it that count.
pub(super) fn masked(
    field: Field,
    tok: Tok<'_>,
    ports: &dyn PortNames,
) -> Result<(u128, u128), Fault> {
    let info = field.info();
    if tok.text == "*" {
        return Ok((0, 0));
    }
    if tok.is_empty() {
        return Err(tok.fault(format!("{} needs a value", info.name)));
    }
    let (value, mask) = match info.format {
        Format::Dec | Format::Hex => number(field, tok)?,
        Format::Ethernet => ethernet(tok)?,
        Format::Ipv4 => ipv4(tok)?,
        Format::Ipv6 => ipv6(tok)?,
        Format::CtState => flags::parse(tok, &flags::CT_STATE)?,
        Format::TcpFlags => flags::parse(tok, &flags::TCP)?,
        Format::TunnelFlags => flags::parse(tok, &flags::TUNNEL)?,
        Format::Fragment => fragment(tok)?,
        Format::Port => (port_value(field, port(tok, ports)?), ones(field)),
        Format::PacketType => packet_type(tok)?,
    };
    let exact = mask & ones(field) == exact_mask(field);
    if info.masking == Masking::Exact && mask != 0 && !exact {
        return Err(tok.fault(format!("{} takes no mask", info.name)));
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

fn number(field: Field, tok: Tok<'_>) -> Result<(u128, u128), Fault> {
    let info = field.info();
    let (value_tok, mask_tok) = match tok.split_once("/") {
        Some((value, mask)) => (value, Some(mask)),
        None => (tok, None),
    };
    let max = writable_in_text(field);
    let expected = || {
        let range = if max > 0xffff {
            format!("expected at most {max:#x}")
        } else {
            format!("expected 0 to {max}")
        };
        match info.masking {
            Masking::Bitwise => format!("{range}, or value/mask"),
            Masking::Exact => range,
        }
    };
    let check = |tok: Tok<'_>, what: String| {
        let value = integer(tok).map_err(|fault| {
            if fault.hint.is_empty() {
                fault.hint(expected())
            } else {
                fault
            }
        })?;
        if value > max {
            Err(tok.fault(what).hint(expected()))
        } else {
            Ok(value)
        }
    };
    let value = check(value_tok, format!("{} out of range", info.name))?;
    let mask = match mask_tok {
        None => max.max(ones(field)),
        Some(tok) => check(tok, format!("mask has bits beyond those of {}", info.name))?,
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

fn ethernet(tok: Tok<'_>) -> Result<(u128, u128), Fault> {
    match tok.split_once("/") {
        None => Ok((mac(tok)?, 0xffff_ffff_ffff)),
        Some((value, mask)) => Ok((mac(value)?, mac(mask)?)),
    }
}

/// `aa:bb:cc:dd:ee:ff`
pub(super) fn mac(tok: Tok<'_>) -> Result<u128, Fault> {
    let bad = || {
        tok.fault(format!("\"{}\" is not an Ethernet address", tok.text))
            .hint("expected six bytes such as 02:00:00:00:00:01")
    };
    let mut value = 0;
    let mut count = 0;
    for part in tok.text.split(':') {
        if part.is_empty() || part.len() > 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad());
        }
        value = value << 8 | u128::from(u8::from_str_radix(part, 16).map_err(|_| bad())?);
        count += 1;
    }
    if count == 6 { Ok(value) } else { Err(bad()) }
}

fn ipv4(tok: Tok<'_>) -> Result<(u128, u128), Fault> {
    let Some((address, mask)) = tok.split_once("/") else {
        return Ok((u128::from(ipv4_address(tok)?), 0xffff_ffff));
    };
    let address = u128::from(ipv4_address(address)?);
    let mask = if mask.text.contains('.') {
        u128::from(ipv4_address(mask)?)
    } else {
        let len = ranged(mask, "prefix length", 0, 32)?;
        0xffff_ffff & (0xffff_ffff_u128 << (32 - len))
    };
    Ok((address & mask, mask))
}

/// Four decimal numbers. A leading 0 is decimal too, as in Open vSwitch.
pub(super) fn ipv4_address(tok: Tok<'_>) -> Result<u32, Fault> {
    parse_ipv4(tok.text).ok_or_else(|| {
        tok.fault(format!("\"{}\" is not an IPv4 address", tok.text))
            .hint("expected A.B.C.D, A.B.C.D/LEN or A.B.C.D/MASK")
    })
}

/// Four decimal numbers.
pub(super) fn parse_ipv4(text: &str) -> Option<u32> {
    let mut value = 0;
    let mut count = 0;
    for part in text.split('.') {
        if part.is_empty() || part.len() > 3 || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        value = value << 8 | u32::from(part.parse::<u8>().ok()?);
        count += 1;
        if count > 4 {
            return None;
        }
    }
    (count == 4).then_some(value)
}

fn ipv6(tok: Tok<'_>) -> Result<(u128, u128), Fault> {
    let Some((address, mask)) = tok.split_once("/") else {
        return Ok((ipv6_address(tok)?, u128::MAX));
    };
    let address = ipv6_address(address)?;
    let mask = if mask.text.contains(':') {
        ipv6_address(mask)?
    } else {
        let len = ranged(mask, "prefix length", 0, 128)?;
        u128::MAX
            .checked_shl(128 - u32::try_from(len).unwrap_or(128))
            .unwrap_or(0)
    };
    Ok((address & mask, mask))
}

fn ipv6_address(tok: Tok<'_>) -> Result<u128, Fault> {
    tok.text
        .parse::<Ipv6Addr>()
        .map(Ipv6Addr::to_bits)
        .map_err(|_| {
            tok.fault(format!("\"{}\" is not an IPv6 address", tok.text))
                .hint("expected an address, ADDRESS/LEN or ADDRESS/MASK")
        })
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
