//! Packets on their way through a list of routers.

use weir_packet::{L3, Layout, protocol};

/// Whether an IPv6 packet has a routing header. The L4 checksum is then over the last address
/// of the route (RFC 8200 8.1), and says nothing about the destination in the header.
pub(crate) fn has_routing_header(head: &[u8], layout: &Layout) -> bool {
    if layout.l3 != L3::Ipv6 {
        return false;
    }
    let mut at = usize::from(layout.l3_offset) + 40;
    let mut next = head[at - 34];
    while at < usize::from(layout.l4_offset) {
        if next == protocol::ROUTING {
            return true;
        }
        let [inner, units] = [head[at], head[at + 1]].map(usize::from);
        at += match next {
            protocol::FRAGMENT => 8,
            protocol::AH => (units + 2) * 4,
            _ => (units + 1) * 8,
        };
        next = inner as u8;
    }
    false
}
