//! Rewrites header fields of a packet and keeps its checksums as right as they were.
//!
//! A function that finds no such field in the packet (an IPv4 address in an IPv6 packet, a port
//! in a fragment) does nothing; `layout` must be [`weir_packet::parse`]'s of the same bytes,
//! and stays true.
//!
//! Invariants
//!   1. Checksums change incrementally (RFC 1624; SCTP's CRC by its linearity): a right one
//!      stays right, a wrong one stays wrong, so nobody behind weir takes damaged data for
//!      good.
//!   2. UDP without a checksum stays without; one that is computed is never 0 (RFC 768).
//!   3. The L4 checksum of a fragmented datagram lies in the first fragment; a change of the
//!      addresses reaches it there and nowhere else.
//!
//! Cost: constant, but SCTP's ports: proportional to the logarithm of the packet's length. No
//! payload is read, so the head alone is enough.

mod quote;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use quote::set_quoted_tuple;
use weir_packet::checksum::{Checksum, Crc32c, Delta};
use weir_packet::view::Ipv6;
use weir_packet::{Fragment, IpPair, L3, L4, Layout, Tuple, protocol};

/// Sets the IPv4 source address.
#[inline]
pub fn set_ipv4_src(head: &mut [u8], layout: &Layout, address: Ipv4Addr) {
    set_ipv4_address(head, layout, 12, address);
}

/// Sets the IPv4 destination address.
#[inline]
pub fn set_ipv4_dst(head: &mut [u8], layout: &Layout, address: Ipv4Addr) {
    set_ipv4_address(head, layout, 16, address);
}

/// Sets the IPv4 type of service: DSCP and ECN.
#[inline]
pub fn set_ipv4_tos(head: &mut [u8], layout: &Layout, tos: u8) {
    set_ipv4_byte(head, layout, 1, tos);
}

/// Sets the IPv4 time to live.
#[inline]
pub fn set_ipv4_ttl(head: &mut [u8], layout: &Layout, ttl: u8) {
    set_ipv4_byte(head, layout, 8, ttl);
}

/// Sets the IPv6 source address.
#[inline]
pub fn set_ipv6_src(head: &mut [u8], layout: &Layout, address: Ipv6Addr) {
    if let Some(delta) = set_ipv6_address(head, layout, 8, address) {
        pseudo_header_changed(head, layout, delta);
    }
}

/// Sets the IPv6 destination address.
///
/// While a routing header has segments left, the checksum is over the last of them and not
/// over this address (RFC 8200 8.1); then it stays as it is.
#[inline]
pub fn set_ipv6_dst(head: &mut [u8], layout: &Layout, address: Ipv6Addr) {
    let on_the_way = segments_left(head, layout);
    if let Some(delta) = set_ipv6_address(head, layout, 24, address)
        && !on_the_way
    {
        pseudo_header_changed(head, layout, delta);
    }
}

/// Sets the IPv6 traffic class: DSCP and ECN.
#[inline]
pub fn set_ipv6_traffic_class(head: &mut [u8], layout: &Layout, class: u8) {
    set_ipv6_start(head, layout, 0x0ff0_0000, u32::from(class) << 20);
}

/// Sets the IPv6 flow label: the low 20 bits of `label`.
#[inline]
pub fn set_ipv6_flow_label(head: &mut [u8], layout: &Layout, label: u32) {
    set_ipv6_start(head, layout, 0x000f_ffff, label);
}

/// Sets the IPv6 hop limit.
#[inline]
pub fn set_ipv6_hop_limit(head: &mut [u8], layout: &Layout, hop_limit: u8) {
    if layout.l3 == L3::Ipv6 {
        replace(head, layout, usize::from(layout.l3_offset) + 7, [hop_limit]);
    }
}

/// Sets the source address, if it is of the packet's family.
#[inline]
pub fn set_src(head: &mut [u8], layout: &Layout, address: IpAddr) {
    match address {
        IpAddr::V4(address) => set_ipv4_src(head, layout, address),
        IpAddr::V6(address) => set_ipv6_src(head, layout, address),
    }
}

/// Sets the destination address, if it is of the packet's family.
#[inline]
pub fn set_dst(head: &mut [u8], layout: &Layout, address: IpAddr) {
    match address {
        IpAddr::V4(address) => set_ipv4_dst(head, layout, address),
        IpAddr::V6(address) => set_ipv6_dst(head, layout, address),
    }
}

/// Sets the source port of TCP, UDP or SCTP.
#[inline]
pub fn set_src_port(head: &mut [u8], layout: &Layout, port: u16) {
    set_port(head, layout, 0, port);
}

/// Sets the destination port of TCP, UDP or SCTP.
#[inline]
pub fn set_dst_port(head: &mut [u8], layout: &Layout, port: u16) {
    set_port(head, layout, 2, port);
}

/// Sets the type of an ICMP or ICMPv6 message.
#[inline]
pub fn set_icmp_type(head: &mut [u8], layout: &Layout, icmp_type: u8) {
    if let Some(&code) = head.get(usize::from(layout.l4_offset) + 1) {
        set_icmp(head, layout, 0, [icmp_type, code]);
    }
}

/// Sets the code of an ICMP or ICMPv6 message.
#[inline]
pub fn set_icmp_code(head: &mut [u8], layout: &Layout, code: u8) {
    if let Some(&icmp_type) = head.get(usize::from(layout.l4_offset)) {
        set_icmp(head, layout, 0, [icmp_type, code]);
    }
}

/// Sets the identifier of an ICMP or ICMPv6 query or reply. The caller knows that it is one.
#[inline]
pub fn set_icmp_id(head: &mut [u8], layout: &Layout, id: u16) {
    set_icmp(head, layout, 4, id.to_be_bytes());
}

/// Makes a packet one of `tuple`: sets its addresses, and its ports or, for ICMP and ICMPv6
/// queries, its identifier. `tuple` is of the packet's family and protocol; an ICMP type
/// stays what it is.
#[inline]
pub fn set_tuple(head: &mut [u8], layout: &Layout, tuple: &Tuple) {
    match tuple.ip {
        IpPair::V4 { src, dst } => {
            set_ipv4_src(head, layout, src);
            set_ipv4_dst(head, layout, dst);
        }
        IpPair::V6 { src, dst } => {
            set_ipv6_src(head, layout, src);
            set_ipv6_dst(head, layout, dst);
        }
    }
    match layout.l4 {
        L4::Tcp | L4::Udp | L4::Sctp => {
            set_src_port(head, layout, tuple.src_port);
            set_dst_port(head, layout, tuple.dst_port);
        }
        L4::Icmp | L4::Icmpv6 => set_icmp_id(head, layout, tuple.src_port),
        L4::None => {}
    }
}

#[inline]
fn set_ipv4_address(head: &mut [u8], layout: &Layout, field: usize, address: Ipv4Addr) {
    if layout.l3 != L3::Ipv4 {
        return;
    }
    let start = usize::from(layout.l3_offset);
    if let Some(old) = replace(head, layout, start + field, address.octets()) {
        let delta = Delta::of_u32(u32::from_be_bytes(old), address.to_bits());
        apply(head, layout, start + IPV4_CHECKSUM, delta);
        pseudo_header_changed(head, layout, delta);
    }
}

/// Sets a byte of the IPv4 header.
#[inline]
fn set_ipv4_byte(head: &mut [u8], layout: &Layout, field: usize, value: u8) {
    if layout.l3 != L3::Ipv4 {
        return;
    }
    let start = usize::from(layout.l3_offset);
    if let Some([old]) = replace(head, layout, start + field, [value]) {
        // The byte's neighbour in its word does not change and cancels out.
        let shift = if field.is_multiple_of(2) { 8 } else { 0 };
        let delta = Delta::of_u16(u16::from(old) << shift, u16::from(value) << shift);
        apply(head, layout, start + IPV4_CHECKSUM, delta);
    }
}

#[inline]
fn set_ipv6_address(
    head: &mut [u8],
    layout: &Layout,
    field: usize,
    address: Ipv6Addr,
) -> Option<Delta> {
    if layout.l3 != L3::Ipv6 {
        return None;
    }
    let at = usize::from(layout.l3_offset) + field;
    let old = replace(head, layout, at, address.octets())?;
    Some(Delta::of_u128(u128::from_be_bytes(old), address.to_bits()))
}

/// Sets the bits of `mask` in the first four bytes of the IPv6 header, which no checksum
/// covers.
#[inline]
fn set_ipv6_start(head: &mut [u8], layout: &Layout, mask: u32, bits: u32) {
    let at = usize::from(layout.l3_offset);
    if layout.l3 == L3::Ipv6
        && let Some(&old) = head.get(at..).and_then(|bytes| bytes.first_chunk::<4>())
    {
        let new = u32::from_be_bytes(old) & !mask | bits & mask;
        replace(head, layout, at, new.to_be_bytes());
    }
}

#[inline]
fn set_port(head: &mut [u8], layout: &Layout, field: usize, port: u16) {
    let start = usize::from(layout.l4_offset);
    match layout.l4 {
        L4::Tcp | L4::Udp => {
            if let Some(old) = replace(head, layout, start + field, port.to_be_bytes()) {
                l4_changed(head, layout, Delta::of_u16(u16::from_be_bytes(old), port));
            }
        }
        L4::Sctp => set_sctp_port(head, layout, field, port),
        L4::None | L4::Icmp | L4::Icmpv6 => {}
    }
}

fn set_sctp_port(head: &mut [u8], layout: &Layout, field: usize, port: u16) {
    let start = usize::from(layout.l4_offset);
    let ports = |head: &[u8]| {
        head.get(start..)
            .and_then(|bytes| bytes.first_chunk().copied())
    };
    let Some(before) = ports(head) else {
        return;
    };
    if replace(head, layout, start + field, port.to_be_bytes()).is_none() {
        return;
    }
    let Some(after) = ports(head) else {
        return;
    };
    let behind = layout.l3_end.saturating_sub(start as u32 + 4);
    let change = Crc32c::change(before, after, behind);
    // A quoted packet may end in the middle of it.
    if let Some(crc) = within(head, layout).get_mut(start + 8..) {
        for (byte, change) in crc.iter_mut().zip(change) {
            *byte ^= change;
        }
    }
}

/// Sets a word of an ICMP or ICMPv6 message.
#[inline]
fn set_icmp(head: &mut [u8], layout: &Layout, field: usize, word: [u8; 2]) {
    if !matches!(layout.l4, L4::Icmp | L4::Icmpv6) {
        return;
    }
    let at = usize::from(layout.l4_offset) + field;
    if let Some(old) = replace(head, layout, at, word) {
        let delta = Delta::of_u16(u16::from_be_bytes(old), u16::from_be_bytes(word));
        l4_changed(head, layout, delta);
    }
}

/// The addresses changed: so does every checksum over a pseudo header. ICMP has none, SCTP's
/// covers none.
#[inline]
fn pseudo_header_changed(head: &mut [u8], layout: &Layout, delta: Delta) {
    if layout.protocol != protocol::ICMP {
        l4_changed(head, layout, delta);
    }
}

/// Writes bytes of an ICMPv6 message that has a header of its own, `at` bytes behind the start
/// of the header; `N` and `at` are even.
pub fn set_icmpv6_bytes<const N: usize>(head: &mut [u8], layout: &Layout, at: usize, new: [u8; N]) {
    if layout.l4 != L4::Icmpv6 {
        return;
    }
    let start = usize::from(layout.l4_offset);
    if let Some(old) = replace(head, layout, start + at, new) {
        let (old, _) = old.as_chunks::<2>();
        let (new, _) = new.as_chunks::<2>();
        let word = |bytes: &[u8; 2]| u16::from_be_bytes(*bytes);
        let deltas = old
            .iter()
            .zip(new)
            .map(|(old, new)| Delta::of_u16(word(old), word(new)));
        l4_changed(head, layout, deltas.fold(Delta::NONE, Delta::and));
    }
}

/// Something that the L4 checksum covers changed. Also for a first fragment, whose layout
/// names no L4 header, and for a header that is broken elsewhere.
#[inline]
fn l4_changed(head: &mut [u8], layout: &Layout, delta: Delta) {
    if layout.fragment == Fragment::Later {
        return;
    }
    let start = usize::from(layout.l4_offset);
    match (layout.protocol, layout.l3) {
        (protocol::TCP, _) => apply(head, layout, start + 16, delta),
        (protocol::UDP, _) => apply_udp(head, layout, start + 6, delta),
        (protocol::ICMP, L3::Ipv4) | (protocol::ICMPV6, L3::Ipv6) => {
            apply(head, layout, start + 2, delta);
        }
        (_, _) => {}
    }
}

/// Whether the IPv6 packet has a routing header with segments left.
#[inline]
fn segments_left(head: &[u8], layout: &Layout) -> bool {
    let start = usize::from(layout.l3_offset);
    let end = usize::from(layout.l4_offset);
    // Most packets have no extension header.
    layout.l3 == L3::Ipv6 && end > start + 40 && head.get(start..end).is_some_and(on_a_route)
}

#[cold]
fn on_a_route(headers: &[u8]) -> bool {
    let Ok((header, rest)) = Ipv6::split(headers) else {
        return false;
    };
    header
        .extensions(rest)
        .any(|extension| extension.segments_left().is_some_and(|left| left > 0))
}

/// Where the IPv4 header has its checksum.
const IPV4_CHECKSUM: usize = 10;

/// Writes `new` at `at` and returns what was there; `None` if that was the same, or is not
/// within the packet.
#[inline]
fn replace<const N: usize>(
    head: &mut [u8],
    layout: &Layout,
    at: usize,
    new: [u8; N],
) -> Option<[u8; N]> {
    let there: &mut [u8; N] = within(head, layout).get_mut(at..)?.first_chunk_mut()?;
    let old = std::mem::replace(there, new);
    (old != new).then_some(old)
}

#[inline]
fn apply(head: &mut [u8], layout: &Layout, at: usize, delta: Delta) {
    if let Some(there) = within(head, layout)
        .get_mut(at..)
        .and_then(|bytes| bytes.first_chunk_mut())
    {
        *there = Checksum::from_bytes(*there).apply(delta).to_bytes();
    }
}

#[inline]
fn apply_udp(head: &mut [u8], layout: &Layout, at: usize, delta: Delta) {
    if let Some(there) = within(head, layout)
        .get_mut(at..)
        .and_then(|bytes| bytes.first_chunk_mut())
        && *there != [0, 0]
    {
        *there = Checksum::from_bytes(*there)
            .apply(delta)
            .never_zero()
            .to_bytes();
    }
}

/// The head without padding: what looks like a field behind the packet's end is none.
#[inline]
fn within<'a>(head: &'a mut [u8], layout: &Layout) -> &'a mut [u8] {
    let end = head.len().min(layout.l3_end as usize);
    &mut head[..end]
}

#[cfg(test)]
mod tests;
