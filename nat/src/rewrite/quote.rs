//! The packet that an ICMP error quotes, rewritten like any other.
//!
//! It is cut off somewhere: a checksum that was not quoted is not written, and the checksums that
//! were are changed by as much as the change of the packet asks for, never computed from what
//! happens to be there. So the receiver finds its own packet, byte for byte, unless the quote ends
//! in the middle of a checksum.

use weir_packet::checksum::{Delta, Sum};
use weir_packet::view::Ipv6;
use weir_packet::{L3, L4, Layout, Tuple, protocol};

use super::{apply, set_tuple};

/// Makes the packet quoted by an ICMP or ICMPv6 error one of `tuple`, which is of its family and
/// protocol, and keeps the error's own checksum right. Does nothing if the packet quotes none.
///
/// Cost: reads the headers of the quoted packet.
pub fn set_quoted_tuple(head: &mut [u8], layout: &Layout, tuple: &Tuple) {
    let end = head.len().min(layout.l3_end as usize);
    // What looks like a part of the quote behind the packet's end is padding.
    let packet = &mut head[..end];
    let Some(quoted) = quoted_layout(packet, layout) else {
        return;
    };
    let start = usize::from(quoted.l3_offset);
    // All that changes lies in the headers.
    let headers = start..end.min(usize::from(quoted.l4_offset) + LONGEST_L4);
    let sum = |packet: &[u8]| {
        let mut sum = Sum::new();
        sum.add_bytes(packet.get(headers.clone()).unwrap_or_default());
        sum.fold()
    };
    let before = sum(packet);
    set_tuple(packet, &quoted, tuple);
    let delta = Delta::of_u16(before, sum(packet));
    apply(packet, layout, usize::from(layout.l4_offset) + 2, delta);
}

/// Bytes of an L4 header behind which nothing is rewritten: TCP's checksum is the last.
const LONGEST_L4: usize = 18;

/// Where the headers of the quoted packet lie in the frame. Its L4 header may be cut off, and
/// its end may lie behind that of the frame.
fn quoted_layout(packet: &[u8], layout: &Layout) -> Option<Layout> {
    let start = usize::from(layout.l4_offset) + ICMP_HEADER;
    let bytes = packet.get(start..)?;
    let (l3, l4_offset, protocol, size) = match layout.l4 {
        L4::Icmp => {
            let header = bytes.first_chunk::<20>()?;
            let header_size = usize::from(header[0] & 0x0f) * 4;
            let total_size = usize::from(u16::from_be_bytes([header[2], header[3]]));
            (L3::Ipv4, start + header_size, header[9], total_size)
        }
        L4::Icmpv6 => {
            let (header, rest) = Ipv6::split(bytes).ok()?;
            let mut extensions = header.extensions(rest);
            for _ in extensions.by_ref() {}
            let l4_offset = packet.len() - extensions.rest().len();
            let size = 40 + usize::from(header.payload_size());
            (L3::Ipv6, l4_offset, extensions.next_header(), size)
        }
        L4::None | L4::Tcp | L4::Udp | L4::Sctp => return None,
    };
    let l4 = match (protocol, l3) {
        (protocol::TCP, _) => L4::Tcp,
        (protocol::UDP, _) => L4::Udp,
        (protocol::SCTP, _) => L4::Sctp,
        (protocol::ICMP, L3::Ipv4) => L4::Icmp,
        (protocol::ICMPV6, L3::Ipv6) => L4::Icmpv6,
        (_, _) => L4::None,
    };
    Some(Layout {
        l3,
        l4,
        protocol,
        l3_offset: u16::try_from(start).ok()?,
        l4_offset: u16::try_from(l4_offset).ok()?,
        // Some hosts quote with a length that they have counted down: it is believed only if it
        // says more than what is there.
        l3_end: u32::try_from(packet.len().max(start + size)).ok()?,
        ..Layout::default()
    })
}

/// Bytes of an ICMP or ICMPv6 error in front of what it quotes.
const ICMP_HEADER: usize = 8;

#[cfg(test)]
mod tests;
