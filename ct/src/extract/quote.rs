//! The packet that an ICMP error quotes.
//!
//! It is cut off somewhere, so its own lengths and checksums are not believed; its addresses
//! and ports must be there. It was sent by whoever the error is sent to.

use std::net::{Ipv4Addr, Ipv6Addr};

use weir_packet::protocol::{self, icmp, icmpv6};
use weir_packet::{IpPair, Tuple};

/// The tuple of the IPv4 packet quoted at the start of `bytes`, sent by `receiver`.
///
/// Eight bytes of L4 suffice (RFC 792).
pub(super) fn ipv4(bytes: &[u8], receiver: Ipv4Addr) -> Option<Tuple> {
    let fixed = bytes.first_chunk::<20>()?;
    let header_size = usize::from(fixed[0] & 0x0f) * 4;
    if fixed[0] >> 4 != 4 || header_size < 20 {
        return None;
    }
    let l4 = bytes.get(header_size..)?;
    let &[
        _,
        _,
        _,
        _,
        _,
        _,
        f0,
        f1,
        _,
        protocol,
        _,
        _,
        s0,
        s1,
        s2,
        s3,
        d0,
        d1,
        d2,
        d3,
    ] = fixed;
    // A later fragment has no ports.
    if u16::from_be_bytes([f0, f1]) & 0x1fff != 0 {
        return None;
    }
    let src = Ipv4Addr::new(s0, s1, s2, s3);
    let dst = Ipv4Addr::new(d0, d1, d2, d3);
    if src != receiver {
        return None;
    }
    let (src_port, dst_port) = match protocol {
        protocol::TCP | protocol::UDP | protocol::SCTP => ports(l4, 8)?,
        protocol::ICMP => query(l4, is_tracked_icmp)?,
        _ => return Tuple::without_ports(IpPair::V4 { src, dst }, protocol, l4),
    };
    Some(Tuple {
        ip: IpPair::V4 { src, dst },
        protocol,
        src_port,
        dst_port,
    })
}

/// The tuple of the IPv6 packet quoted at the start of `bytes`, sent by `receiver`.
///
/// The whole L4 header is wanted: an ICMPv6 error quotes as much as fits (RFC 4443 2.4).
pub(super) fn ipv6(bytes: &[u8], receiver: Ipv6Addr) -> Option<Tuple> {
    let (fixed, rest) = bytes.split_first_chunk::<40>()?;
    if fixed[0] >> 4 != 6 {
        return None;
    }
    let src = Ipv6Addr::from(*fixed[8..].first_chunk::<16>()?);
    let dst = Ipv6Addr::from(*fixed[24..].first_chunk::<16>()?);
    if src != receiver {
        return None;
    }
    let (protocol, l4) = behind_extensions(fixed[6], rest)?;
    let (src_port, dst_port) = match protocol {
        protocol::TCP => ports(l4, 20)?,
        protocol::UDP => ports(l4, 8)?,
        protocol::SCTP => ports(l4, 12)?,
        protocol::ICMPV6 => query(l4, is_tracked_icmpv6)?,
        _ => return Tuple::without_ports(IpPair::V6 { src, dst }, protocol, l4),
    };
    Some(Tuple {
        ip: IpPair::V6 { src, dst },
        protocol,
        src_port,
        dst_port,
    })
}

/// As many extension headers as are followed; RFC 8200 4.1 lists six.
const MAX_EXTENSIONS: usize = 8;

/// The protocol behind all extension headers, and its bytes. `None` if one is cut off, and for
/// later fragments.
fn behind_extensions(mut next_header: u8, mut bytes: &[u8]) -> Option<(u8, &[u8])> {
    for _ in 0..MAX_EXTENSIONS {
        let header: &[u8; 4] = match next_header {
            protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::DESTINATION_OPTIONS
            | protocol::FRAGMENT
            | protocol::AH => bytes.first_chunk()?,
            _ => return Some((next_header, bytes)),
        };
        let size = match next_header {
            protocol::FRAGMENT => {
                // RFC 8200 4.5: a first fragment has the L4 header, a later one has not.
                if u16::from_be_bytes([header[2], header[3]]) & 0xfff8 != 0 {
                    return None;
                }
                8
            }
            protocol::AH => (usize::from(header[1]) + 2) * 4,
            _ => (usize::from(header[1]) + 1) * 8,
        };
        next_header = header[0];
        bytes = bytes.get(size..)?;
    }
    None
}

/// Source and destination port, from at least `least` bytes. Port 0 is none.
fn ports(l4: &[u8], least: usize) -> Option<(u16, u16)> {
    let &[s0, s1, d0, d1] = l4.get(..least)?.first_chunk()?;
    let (src, dst) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
    (src != 0 && dst != 0).then_some((src, dst))
}

/// Identifier, and type and code, of a query or an answer. An error about an error is none.
fn query(l4: &[u8], is_tracked: fn(u8) -> bool) -> Option<(u16, u16)> {
    let &[kind, code, _, _, id0, id1, _, _] = l4.first_chunk()?;
    (is_tracked(kind) && code == 0).then_some((
        u16::from_be_bytes([id0, id1]),
        u16::from_be_bytes([kind, code]),
    ))
}

const fn is_tracked_icmp(kind: u8) -> bool {
    matches!(
        kind,
        icmp::ECHO_REQUEST
            | icmp::ECHO_REPLY
            | icmp::TIMESTAMP_REQUEST
            | icmp::TIMESTAMP_REPLY
            | icmp::INFO_REQUEST
            | icmp::INFO_REPLY
            | icmp::MASK_REQUEST
            | icmp::MASK_REPLY
    )
}

const fn is_tracked_icmpv6(kind: u8) -> bool {
    matches!(
        kind,
        icmpv6::ECHO_REQUEST | icmpv6::ECHO_REPLY | icmpv6::NODE_QUERY | icmpv6::NODE_REPLY
    )
}
