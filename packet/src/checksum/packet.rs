//! The checksums of whole packets: verified, and written from scratch.

use super::{Checksum, Crc32c, Sum};
use crate::frame::Frame;
use crate::layout::{L3, L4, Layout, array};
use crate::tuple::IpPair;

/// Whether the IPv4 header checksum is right; true if there is no IPv4 header.
#[inline]
pub fn ipv4_header_checksum_ok(head: &[u8], layout: &Layout) -> bool {
    if layout.l3 != L3::Ipv4 {
        return true;
    }
    let header = ip_header(head, layout);
    let mut sum = Sum::new();
    match header.try_into() {
        // Most headers have no options.
        Ok::<&[u8; 20], _>(plain) => sum.add_bytes(plain),
        Err(_) => sum.add_bytes(header),
    }
    sum.is_right()
}

/// Whether the L4 checksum is right; true if there is no L4 header to hold one.
///
/// UDP without a checksum is right over IPv4 and wrong over IPv6 (RFC 8200 8.1). The L4 packet
/// ends where the IP packet does, for UDP where its own length says (RFC 768); a length that
/// does not fit is wrong. Padding is not looked at. As in Open vSwitch, a packet whose IPv6
/// routing header has segments left is held against the address it goes to next, so it is
/// found wrong.
///
/// Cost: reads the whole L4 packet.
#[inline(always)]
pub fn l4_checksum_ok<F: Frame>(frame: &F, layout: &Layout) -> bool {
    match linear_sum(frame.head(), layout) {
        Some(sum) => sum.is_right(),
        None => any_l4_checksum_ok(frame, layout),
    }
}

/// The sum over an L4 packet that lies in the head, for what most packets are: TCP or UDP with
/// a checksum. `None`: look closer.
#[inline(always)]
fn linear_sum(head: &[u8], layout: &Layout) -> Option<Sum> {
    let start = usize::from(layout.l4_offset);
    let bytes = head.get(start..layout.l3_end as usize)?;
    let bytes = match layout.l4 {
        L4::Tcp => bytes,
        L4::Udp => {
            let header: &[u8; 8] = bytes.first_chunk()?;
            if header[6..] == [0, 0] {
                return None;
            }
            let len = u16::from_be_bytes([header[4], header[5]]);
            bytes.get(..len.into()).filter(|bytes| bytes.len() >= 8)?
        }
        L4::None | L4::Sctp | L4::Icmp | L4::Icmpv6 => return None,
    };
    let l3 = usize::from(layout.l3_offset);
    let mut sum = Sum::new();
    match layout.l3 {
        L3::Ipv4 => sum.add_bytes(array::<8>(head, l3 + 12)?),
        L3::Ipv6 => sum.add_bytes(array::<32>(head, l3 + 8)?),
        L3::Other | L3::Arp => return None,
    }
    sum.add_u16(layout.protocol.into());
    sum.add_u16(bytes.len() as u16);
    sum.add_bytes(bytes);
    Some(sum)
}

#[cold]
fn any_l4_checksum_ok<F: Frame>(frame: &F, layout: &Layout) -> bool {
    let head = frame.head();
    let start = usize::from(layout.l4_offset);
    let Some(len) = l4_len(head, layout) else {
        return false;
    };
    match layout.l4 {
        L4::None => true,
        L4::Udp if udp_without_checksum(head, layout) => layout.l3 == L3::Ipv4,
        L4::Tcp | L4::Udp | L4::Icmp | L4::Icmpv6 => {
            let Some(mut sum) = pseudo_header(head, layout, len) else {
                return false;
            };
            for_each_piece(frame, start, len, |bytes| sum.add_bytes(bytes));
            sum.is_right()
        }
        L4::Sctp => array::<4>(head, start + 8)
            .is_some_and(|&there| there == sctp_crc(frame, start, len).finish()),
    }
}

/// Computes the IPv4 header checksum and writes it; does nothing if there is no IPv4 header.
pub fn write_ipv4_header_checksum(head: &mut [u8], layout: &Layout) {
    if layout.l3 != L3::Ipv4 {
        return;
    }
    let at = usize::from(layout.l3_offset) + 10;
    write(head, at, [0, 0]);
    let mut sum = Sum::new();
    sum.add_bytes(ip_header(head, layout));
    write(head, at, sum.finish().to_bytes());
}

/// Computes the L4 checksum and writes it, for UDP also if there was none. Does nothing if
/// there is no L4 header, or a UDP length that does not fit.
///
/// Cost: reads the whole L4 packet.
pub fn write_l4_checksum<F: Frame>(frame: &mut F, layout: &Layout) {
    let start = usize::from(layout.l4_offset);
    let Some(len) = l4_len(frame.head(), layout) else {
        return;
    };
    let at = start
        + match layout.l4 {
            L4::None => return,
            L4::Tcp => 16,
            L4::Udp => 6,
            L4::Icmp | L4::Icmpv6 => 2,
            L4::Sctp => {
                let crc = sctp_crc(frame, start, len).finish();
                return write(frame.head_mut(), start + 8, crc);
            }
        };
    write(frame.head_mut(), at, [0, 0]);
    let Some(mut sum) = pseudo_header(frame.head(), layout, len) else {
        return;
    };
    for_each_piece(frame, start, len, |bytes| sum.add_bytes(bytes));
    let checksum: Checksum = sum.finish();
    let checksum = if layout.l4 == L4::Udp {
        checksum.never_zero()
    } else {
        checksum
    };
    write(frame.head_mut(), at, checksum.to_bytes());
}

#[inline]
fn ip_header<'a>(head: &'a [u8], layout: &Layout) -> &'a [u8] {
    head.get(layout.l3_offset.into()..layout.l4_offset.into())
        .unwrap_or_default()
}

/// Length of the L4 packet: up to the end of the IP packet, or what UDP says itself. `None`
/// if what UDP says does not fit.
#[inline]
fn l4_len(head: &[u8], layout: &Layout) -> Option<usize> {
    let start = usize::from(layout.l4_offset);
    let room = (layout.l3_end as usize).checked_sub(start)?;
    if layout.l4 != L4::Udp {
        return Some(room);
    }
    let len = usize::from(u16::from_be_bytes(*array(head, start + 4)?));
    (8..=room).contains(&len).then_some(len)
}

#[inline]
fn udp_without_checksum(head: &[u8], layout: &Layout) -> bool {
    array(head, usize::from(layout.l4_offset) + 6) == Some(&[0, 0])
}

/// The sum over the pseudo header; nothing for ICMP, which has none.
#[inline]
fn pseudo_header(head: &[u8], layout: &Layout, len: usize) -> Option<Sum> {
    let mut sum = Sum::new();
    if layout.l4 == L4::Icmp {
        return Some(sum);
    }
    match IpPair::of(head, layout)? {
        IpPair::V4 { src, dst } => sum.add_ipv4_pseudo(src, dst, layout.protocol, len as u16),
        IpPair::V6 { src, dst } => sum.add_ipv6_pseudo(src, dst, layout.protocol, len as u32),
    }
    Some(sum)
}

/// The CRC of an SCTP packet, its own field taken as zero (RFC 9260 6.8).
fn sctp_crc<F: Frame>(frame: &F, start: usize, len: usize) -> Crc32c {
    let mut crc = Crc32c::new();
    for_each_piece(frame, start, 8, |bytes| crc.add_bytes(bytes));
    crc.add_bytes(&[0; 4]);
    for_each_piece(frame, start + 12, len.saturating_sub(12), |bytes| {
        crc.add_bytes(bytes);
    });
    crc
}

/// Calls `visit` with the pieces of `len` bytes from `start` on, segment by segment.
#[inline]
fn for_each_piece<F: Frame>(frame: &F, start: usize, len: usize, mut visit: impl FnMut(&[u8])) {
    let head = frame.head();
    let end = start + len;
    if let Some(linear) = head.get(start..end) {
        return visit(linear);
    }
    let mut before = 0;
    for segment in std::iter::once(head).chain(frame.tail()) {
        let from = start.saturating_sub(before).min(segment.len());
        let to = end.saturating_sub(before).min(segment.len());
        visit(segment.get(from..to).unwrap_or_default());
        before += segment.len();
        if before >= end {
            break;
        }
    }
}

#[inline]
fn write<const N: usize>(head: &mut [u8], at: usize, bytes: [u8; N]) {
    if let Some(there) = head.get_mut(at..at + N) {
        there.copy_from_slice(&bytes);
    }
}

#[cfg(test)]
mod tests;
