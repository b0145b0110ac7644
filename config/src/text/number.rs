//! Numbers in C notation.

use super::error::Fault;
use super::scan::Tok;

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
