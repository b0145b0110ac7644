//! Ethernet, IPv4 and IPv6 addresses and their masks.

use std::net::Ipv6Addr;

use super::error::Fault;
use super::number::ranged;
use super::scan::Tok;

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

pub(super) fn ethernet(tok: Tok<'_>) -> Result<(u128, u128), Fault> {
    match tok.split_once("/") {
        None => Ok((mac(tok)?, 0xffff_ffff_ffff)),
        Some((value, mask)) => Ok((mac(value)?, mac(mask)?)),
    }
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

pub(super) fn ipv4(tok: Tok<'_>) -> Result<(u128, u128), Fault> {
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

fn ipv6_address(tok: Tok<'_>) -> Result<u128, Fault> {
    tok.text
        .parse::<Ipv6Addr>()
        .map(Ipv6Addr::to_bits)
        .map_err(|_| {
            tok.fault(format!("\"{}\" is not an IPv6 address", tok.text))
                .hint("expected an address, ADDRESS/LEN or ADDRESS/MASK")
        })
}

pub(super) fn ipv6(tok: Tok<'_>) -> Result<(u128, u128), Fault> {
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
