//! Ethertypes (IEEE 802 Numbers, IANA), in host order.

/// IPv4.
pub const IPV4: u16 = 0x0800;
/// ARP.
pub const ARP: u16 = 0x0806;
/// RARP, whose packets are laid out as ARP's.
pub const RARP: u16 = 0x8035;
/// Customer VLAN tag (IEEE 802.1Q).
pub const VLAN: u16 = 0x8100;
/// IPv6.
pub const IPV6: u16 = 0x86dd;
/// An Ethernet frame within GRE or Geneve (transparent Ethernet bridging).
pub const TEB: u16 = 0x6558;
/// Service VLAN tag (IEEE 802.1ad).
pub const QINQ: u16 = 0x88a8;

/// The least number that is a type and not an IEEE 802.3 length.
pub const LEAST: u16 = 0x0600;
/// What stands for an 802.3 frame without a type of its own; no frame carries it as a type.
pub const NONE: u16 = 0x05ff;

/// Whether this type announces a VLAN tag that weir parses.
#[inline]
pub const fn is_vlan(ether_type: u16) -> bool {
    matches!(ether_type, VLAN | QINQ)
}
