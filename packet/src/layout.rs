//! Where the headers of a frame lie, found in one pass.

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

/// Finds the headers of a frame of `len` bytes whose first segment is `head`.
///
/// # Errors
/// [`Malformed::Runt`] only; everything else is told in [`Layout::malformed`].
pub fn parse(_head: &[u8], _len: usize) -> Result<Layout, Malformed> {
    Err(Malformed::Runt)
}
