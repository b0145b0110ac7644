//! Prints values of fields.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use weir_tables::field::{Field, Format};
use weir_tables::port::PortNo;
use weir_tables::wide::Wide;

use crate::text::flags;
use crate::text::option::all;
use crate::text::value::{fragment_name, ones, writable};

/// The value, and the mask unless it has all bits.
pub(super) fn write(
    f: &mut fmt::Formatter<'_>,
    field: Field,
    value: u128,
    mask: u128,
) -> fmt::Result {
    let ones = ones(field);
    let exact = mask & ones == ones || mask == writable(field);
    match field.info().format {
        Format::Dec if exact => write!(f, "{value}"),
        Format::Hex if exact => hex(f, value),
        Format::Dec | Format::Hex => {
            hex(f, value)?;
            f.write_str("/")?;
            hex(f, mask & ones)
        }
        Format::Ethernet => {
            ethernet(f, value)?;
            if !exact {
                f.write_str("/")?;
                ethernet(f, mask)?;
            }
            Ok(())
        }
        Format::Ipv4 => ipv4(f, value, mask),
        Format::Ipv6 => ipv6(f, value, mask),
        Format::CtState => flags::write(f, &flags::CT_STATE, value, mask),
        Format::TcpFlags => flags::write(f, &flags::TCP, value, mask),
        Format::TunnelFlags => flags::write(f, &flags::TUNNEL, value, mask),
        Format::Fragment => match fragment_name(value & 3, mask & 3) {
            Some(name) => f.write_str(name),
            None => write!(f, "{value:#x}/{:#x}", mask & 3),
        },
        Format::Port => write!(f, "{}", port(value)),
        Format::PacketType => write!(f, "({},{:#x})", value >> 16, value & 0xffff),
        // What is longer is printed by `wide`.
        Format::Bytes => wide(f, field, &value.into(), &mask.into()),
    }
}

/// The value of a `tun_metadata` field, and the mask unless it has all bits.
pub(super) fn wide(
    f: &mut fmt::Formatter<'_>,
    field: Field,
    value: &Wide,
    mask: &Wide,
) -> fmt::Result {
    write!(f, "{value}")?;
    if *mask != all(field) {
        write!(f, "/{mask}")?;
    }
    Ok(())
}

/// `0x1f`; zero is `0`.
pub(super) fn hex(f: &mut fmt::Formatter<'_>, value: u128) -> fmt::Result {
    match value {
        0 => f.write_str("0"),
        _ => write!(f, "{value:#x}"),
    }
}

/// The port in a port field. One of 16 bits holds a reserved port with 16 bits.
pub(super) fn port(value: u128) -> PortNo {
    let number = u32::try_from(value).unwrap_or(u32::MAX);
    PortNo(if (0xff00..=0xffff).contains(&number) {
        number | 0xffff_0000
    } else {
        number
    })
}

fn ethernet(f: &mut fmt::Formatter<'_>, value: u128) -> fmt::Result {
    for at in (0..6).rev() {
        let byte = value >> (8 * at) & 0xff;
        write!(f, "{byte:02x}{}", if at > 0 { ":" } else { "" })?;
    }
    Ok(())
}

fn ipv4(f: &mut fmt::Formatter<'_>, value: u128, mask: u128) -> fmt::Result {
    let address = |bits: u128| Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(u32::MAX));
    write!(f, "{}", address(value))?;
    let mask = mask & 0xffff_ffff;
    let len = mask.count_ones();
    if mask == 0xffff_ffff {
        Ok(())
    } else if mask == 0xffff_ffff & !(0xffff_ffff >> len) {
        write!(f, "/{len}")
    } else {
        write!(f, "/{}", address(mask))
    }
}

fn ipv6(f: &mut fmt::Formatter<'_>, value: u128, mask: u128) -> fmt::Result {
    ipv6_address(f, value)?;
    let len = mask.count_ones();
    if mask == u128::MAX {
        Ok(())
    } else if mask.leading_ones() == len {
        write!(f, "/{len}")
    } else {
        f.write_str("/")?;
        ipv6_address(f, mask)
    }
}

/// RFC 5952, and as the C library an IPv4-compatible address with dots.
pub(super) fn ipv6_address(f: &mut fmt::Formatter<'_>, value: u128) -> fmt::Result {
    match u32::try_from(value) {
        Ok(low) if low > 0xffff => write!(f, "::{}", Ipv4Addr::from_bits(low)),
        _ => write!(f, "{}", Ipv6Addr::from_bits(value)),
    }
}
