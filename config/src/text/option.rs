//! Values of `tun_metadata` fields, which may be longer than any other number.

use weir_tables::action::Subfield;
use weir_tables::field::Field;
use weir_tables::wide::Wide;

use super::error::Fault;
use super::number;
use super::scan::Tok;
use super::value;

/// A mask with all bits that any option has. What is written without a mask has this one,
/// whatever the size of its option.
pub(super) fn all(field: Field) -> Wide {
    Wide::ones(field.info().width)
}

/// `VALUE`, `VALUE/MASK`, or nothing, where only the field's being there counts.
pub(super) fn masked(field: Field, tok: Tok<'_>) -> Result<(Wide, Wide), Fault> {
    if matches!(tok.text, "" | "*") {
        return Ok((Wide::ZERO, Wide::ZERO));
    }
    let (value, mask) = match tok.split_once("/") {
        Some((value, mask)) => (value, Some(mask)),
        None => (tok, None),
    };
    let width = field.info().width;
    let value = fitting(value, width)?;
    let mask = match mask {
        Some(mask) => fitting(mask, width)?,
        None => all(field),
    };
    Ok((value & mask, mask))
}

/// The bits of a part of a field; all of it is what [`all`] says.
pub(super) fn ones_of(part: Subfield) -> Wide {
    Wide::ones(part.width).shifted_up(part.start)
}

/// A number of at most `width` bits.
pub(super) fn fitting(tok: Tok<'_>, width: u16) -> Result<Wide, Fault> {
    let number = integer(tok)?;
    if number.len() <= width {
        return Ok(number);
    }
    let fault = tok.fault(format!("value does not fit into {}", value::bits(width)));
    Err(fault.hint(format!("expected at most {}", Wide::ones(width))))
}

/// A number in C notation; in hexadecimal it may be of any length.
fn integer(tok: Tok<'_>) -> Result<Wide, Fault> {
    let prefix = ["0x", "0X"].into_iter();
    let mut digits = prefix.filter_map(|prefix| tok.text.strip_prefix(prefix));
    match digits.next() {
        Some(digits) => Wide::from_hex(digits).ok_or_else(|| {
            let fault = tok.fault(format!("\"{}\" is not a number", tok.text));
            fault.hint("an option has at most 124 bytes")
        }),
        None => number::integer(tok).map(Wide::from),
    }
}
