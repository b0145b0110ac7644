//! Where the headers of a frame lie, found in one pass.

use crate::{ether_type, protocol};

/// The network protocol of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum L3 {
    /// Anything weir does not look into.
    #[default]
    Other,
    /// ARP over Ethernet for IPv4 (RFC 826), whole.
    Arp,
    /// IPv4 (RFC 791).
    Ipv4,
    /// IPv6 (RFC 8200).
    Ipv6,
}

/// The transport protocol of a frame whose L4 header is present and whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum L4 {
    /// None: no IP, a fragment, a malformed header, or a protocol without a view.
    #[default]
    None,
    /// TCP (RFC 9293); at least 20 bytes and the data offset in bounds.
    Tcp,
    /// UDP (RFC 768); 8 bytes.
    Udp,
    /// SCTP (RFC 9260); the common header of 12 bytes.
    Sctp,
    /// ICMP (RFC 792); at least 8 bytes.
    Icmp,
    /// ICMPv6 (RFC 4443); at least 4 bytes.
    Icmpv6,
}

/// Where in a datagram a packet belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Fragment {
    /// A whole datagram; also an IPv6 "atomic fragment" (RFC 6946).
    #[default]
    No,
    /// The first fragment: offset 0, more to come.
    First,
    /// Any other fragment; it has no L4 header.
    Later,
}

/// What is wrong with a frame. Each is a counter; none stops the frame but [`Malformed::Runt`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Malformed {
    /// Shorter than an Ethernet header.
    Runt,
    /// A VLAN tag is announced and cut off.
    Vlan,
    /// ARP that is too short, or not Ethernet/IPv4.
    Arp,
    /// IPv4 header cut off, wrong version, header length or total length impossible.
    Ipv4,
    /// IPv6 header cut off, wrong version or payload length impossible.
    Ipv6,
    /// An IPv6 extension header is cut off, or there are more than weir follows.
    Ipv6Extension,
    /// The L4 header is cut off or its own length field is impossible.
    L4,
}

impl Malformed {
    /// How many kinds there are.
    pub const COUNT: usize = 7;
}

/// Where the headers of a frame lie. Offsets are bytes from the start of the frame.
///
/// Everything that a caller reads through these offsets has been checked to lie in the head:
/// a header named by `l3` or `l4` is whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Ethertype behind all VLAN tags; 0x05ff for 802.3 frames without SNAP (as Open vSwitch
    /// does); the inner type behind SNAP.
    pub ether_type: u16,
    /// VLAN tags parsed: 0 to 2.
    pub vlan_tags: u8,
    /// IP protocol behind all extension headers; 0 if not IP or malformed. In a later IPv6
    /// fragment 44.
    pub protocol: u8,
    /// The network protocol; `Other` if its header is malformed, though `ether_type` then
    /// still names it.
    pub l3: L3,
    /// The transport protocol; `None` in every fragment.
    pub l4: L4,
    /// Fragment state.
    pub fragment: Fragment,
    /// Start of the L3 header (end of the last VLAN tag parsed).
    pub l3_offset: u16,
    /// Start of the L4 header (or of whatever follows the IP headers); valid if `l3` is IP.
    pub l4_offset: u16,
    /// End of the L3 packet by its own length field: bytes behind it are Ethernet padding.
    /// At most the frame's length.
    pub l3_end: u32,
    /// Start of the IPv6 fragment header, if there is one; else 0.
    pub fragment_header_offset: u16,
    /// What is wrong, if anything.
    pub malformed: Option<Malformed>,
}

impl Layout {
    /// The layout of a *plain* packet, which most are: IPv4 without options that is no fragment,
    /// behind an Ethernet header without tags, with UDP or TCP. `end` is that of the IP packet.
    #[inline]
    pub const fn plain(protocol: u8, end: u32) -> Self {
        Self {
            ether_type: ether_type::IPV4,
            vlan_tags: 0,
            protocol,
            l3: L3::Ipv4,
            l4: match protocol {
                protocol::TCP => L4::Tcp,
                _ => L4::Udp,
            },
            fragment: Fragment::No,
            l3_offset: ETHERNET_SIZE as u16,
            l4_offset: ETHERNET_SIZE as u16 + 20,
            l3_end: end,
            fragment_header_offset: 0,
            malformed: None,
        }
    }

    /// The same of IPv6: no extension header, no tag, UDP or TCP.
    #[inline]
    pub const fn plain_v6(protocol: u8, end: u32) -> Self {
        Self {
            ether_type: ether_type::IPV6,
            l3: L3::Ipv6,
            l4_offset: ETHERNET_SIZE as u16 + 40,
            ..Self::plain(protocol, end)
        }
    }
}

/// Finds the headers of a frame of `len` bytes whose first segment is `head`.
///
/// What the frame says of its own length is believed where it fits: bytes behind the IP packet
/// are padding, and no header may reach beyond it. A header that begins in `head` and ends
/// behind it counts as cut off, wherever the frame ends.
///
/// An IPv6 packet with a broken extension header keeps `l3` (its addresses are whole) and has
/// protocol 0. A UDP packet whose length field is impossible keeps `l4` (its ports are whole).
/// Both are told in `malformed`. A second fragment header counts as broken.
///
/// Cost: one pass over the headers, without allocation; does not panic, whatever the bytes.
///
/// # Errors
/// [`Malformed::Runt`] only; everything else is told in [`Layout::malformed`].
#[inline]
pub fn parse(head: &[u8], len: usize) -> Result<Layout, Malformed> {
    let head = head.get(..len).unwrap_or(head);
    let outer: &[u8; ETHERNET_SIZE] = head.first_chunk().ok_or(Malformed::Runt)?;
    let mut layout = Layout {
        ether_type: u16::from_be_bytes([outer[12], outer[13]]),
        l3_offset: ETHERNET_SIZE as u16,
        l3_end: len as u32,
        ..Layout::default()
    };
    while ether_type::is_vlan(layout.ether_type) && layout.vlan_tags < MAX_VLAN_TAGS {
        let Some(&[_, _, t0, t1]) = array(head, layout.l3_offset.into()) else {
            layout.malformed = Some(Malformed::Vlan);
            return Ok(layout);
        };
        layout.ether_type = u16::from_be_bytes([t0, t1]);
        layout.vlan_tags += 1;
        layout.l3_offset += 4;
    }
    if layout.ether_type < ether_type::LEAST {
        llc(head, &mut layout);
    }
    match layout.ether_type {
        ether_type::IPV4 => ipv4(head, len, &mut layout),
        ether_type::IPV6 => ipv6(head, len, &mut layout),
        ether_type::ARP | ether_type::RARP => arp(head, &mut layout),
        _ => {}
    }
    Ok(layout)
}

/// An Ethernet header's size in bytes, without tags.
pub(crate) const ETHERNET_SIZE: usize = 14;
/// As many VLAN tags as are parsed; what lies behind more is not looked into.
const MAX_VLAN_TAGS: u8 = 2;
/// More than RFC 8200 4.1 lists (hop-by-hop, destination options, routing, fragment, AH,
/// destination options again) are not followed.
const MAX_EXTENSIONS: usize = 8;

/// `N` bytes at `offset`.
#[inline]
pub(crate) fn array<const N: usize>(bytes: &[u8], offset: usize) -> Option<&[u8; N]> {
    bytes.get(offset..)?.first_chunk()
}

/// IEEE 802.3 with a length instead of a type: LLC, perhaps with SNAP (RFC 1042).
#[cold]
fn llc(head: &[u8], layout: &mut Layout) {
    let snap = array::<8>(head, layout.l3_offset.into());
    layout.ether_type = ether_type::NONE;
    if let Some(&[0xaa, 0xaa, 0x03, 0, 0, 0, t0, t1]) = snap {
        let inner = u16::from_be_bytes([t0, t1]);
        layout.l3_offset += 8;
        if inner >= ether_type::LEAST {
            layout.ether_type = inner;
        }
    }
}

#[inline]
fn arp(head: &[u8], layout: &mut Layout) {
    match array::<28>(head, layout.l3_offset.into()) {
        Some([0, 1, 0x08, 0x00, 6, 4, ..]) => {
            layout.l3 = L3::Arp;
            layout.l3_end = u32::from(layout.l3_offset) + 28;
        }
        Some(_) | None => layout.malformed = Some(Malformed::Arp),
    }
}

#[inline]
fn ipv4(head: &[u8], len: usize, layout: &mut Layout) {
    let start = usize::from(layout.l3_offset);
    layout.malformed = Some(Malformed::Ipv4);
    let Some(header) = array::<20>(head, start) else {
        return;
    };
    let header_size = usize::from(header[0] & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let l4_offset = start + header_size;
    let whole = header[0] >> 4 == 4
        && header_size >= 20
        && l4_offset <= head.len()
        && total >= header_size
        && start + total <= len;
    if !whole {
        return;
    }
    layout.malformed = None;
    layout.l3 = L3::Ipv4;
    layout.l4_offset = l4_offset as u16;
    layout.l3_end = (start + total) as u32;
    layout.protocol = header[9];
    let offset_and_flags = u16::from_be_bytes([header[6], header[7]]);
    layout.fragment = match (offset_and_flags & 0x1fff, offset_and_flags & 0x2000) {
        (0, 0) => Fragment::No,
        (0, _) => Fragment::First,
        (_, _) => Fragment::Later,
    };
    if layout.fragment == Fragment::No {
        l4(head, layout);
    }
}

#[inline]
fn ipv6(head: &[u8], len: usize, layout: &mut Layout) {
    let start = usize::from(layout.l3_offset);
    layout.malformed = Some(Malformed::Ipv6);
    let Some(header) = array::<40>(head, start) else {
        return;
    };
    let end = start + 40 + usize::from(u16::from_be_bytes([header[4], header[5]]));
    if header[0] >> 4 != 6 || end > len {
        return;
    }
    layout.malformed = None;
    layout.l3 = L3::Ipv6;
    layout.l4_offset = layout.l3_offset + 40;
    layout.l3_end = end as u32;
    layout.protocol = header[6];
    if is_extension(layout.protocol) {
        let packet = head.get(..end).unwrap_or(head);
        if extensions(packet, layout).is_none() {
            layout.malformed = Some(Malformed::Ipv6Extension);
            layout.protocol = 0;
            layout.fragment = Fragment::No;
            return;
        }
    }
    if layout.fragment == Fragment::No {
        l4(head, layout);
    }
}

#[inline]
pub(crate) const fn is_extension(next_header: u8) -> bool {
    matches!(
        next_header,
        protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::FRAGMENT
            | protocol::AH
            | protocol::DESTINATION_OPTIONS
    )
}

/// Size in bytes of the extension header `number`, whose own length field says `units`; at
/// least 8.
#[inline]
pub(crate) const fn extension_size(number: u8, units: u8) -> usize {
    match number {
        protocol::FRAGMENT => 8,
        // RFC 4302 2.2: in words of four bytes, minus two.
        protocol::AH => (units as usize + 2) * 4,
        // RFC 8200: in words of eight bytes, not counting the first.
        _ => (units as usize + 1) * 8,
    }
}

/// Walks over the extension headers, up to the L4 header or a later fragment's data. `packet`
/// ends where the IPv6 packet or the head does. `None` if one is cut off, or one too many.
fn extensions(packet: &[u8], layout: &mut Layout) -> Option<()> {
    for _ in 0..MAX_EXTENSIONS {
        if !is_extension(layout.protocol) {
            return Some(());
        }
        let start = usize::from(layout.l4_offset);
        let header: &[u8; 8] = array(packet, start)?;
        let end = start + extension_size(layout.protocol, header[1]);
        if end > packet.len() {
            return None;
        }
        if layout.protocol == protocol::FRAGMENT {
            if layout.fragment_header_offset != 0 {
                return None;
            }
            layout.fragment_header_offset = layout.l4_offset;
            let offset_and_more = u16::from_be_bytes([header[2], header[3]]);
            if offset_and_more & 0xfff8 != 0 {
                // What follows is the middle of a datagram, no header.
                layout.fragment = Fragment::Later;
                layout.l4_offset = end as u16;
                return Some(());
            }
            if offset_and_more & 1 != 0 {
                layout.fragment = Fragment::First;
            }
        }
        layout.protocol = header[0];
        layout.l4_offset = end as u16;
    }
    if is_extension(layout.protocol) {
        None
    } else {
        Some(())
    }
}

/// Checks the L4 header of a whole datagram.
#[inline]
fn l4(head: &[u8], layout: &mut Layout) {
    let packet = head.get(..layout.l3_end as usize).unwrap_or(head);
    // The IP headers were found to end inside of the packet.
    let bytes = packet.get(layout.l4_offset.into()..).unwrap_or_default();
    let present = match (layout.protocol, layout.l3) {
        (protocol::TCP, _) => bytes.first_chunk::<20>().and_then(|header| {
            let size = usize::from(header[12] >> 4) * 4;
            (size >= 20 && size <= bytes.len()).then_some(L4::Tcp)
        }),
        (protocol::UDP, _) => bytes.first_chunk::<8>().map(|header| {
            let size = usize::from(u16::from_be_bytes([header[4], header[5]]));
            let room = layout.l3_end as usize - usize::from(layout.l4_offset);
            if size < 8 || size > room {
                layout.malformed = Some(Malformed::L4);
            }
            L4::Udp
        }),
        (protocol::SCTP, _) => bytes.first_chunk::<12>().map(|_| L4::Sctp),
        (protocol::ICMP, L3::Ipv4) => bytes.first_chunk::<8>().map(|_| L4::Icmp),
        (protocol::ICMPV6, L3::Ipv6) => bytes.first_chunk::<4>().map(|_| L4::Icmpv6),
        (_, _) => Some(L4::None),
    };
    match present {
        Some(l4) => layout.l4 = l4,
        None => layout.malformed = Some(Malformed::L4),
    }
}

#[cfg(test)]
mod tests;
