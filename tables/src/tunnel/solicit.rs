//! Questions for the MAC address of a next hop: ARP (RFC 826) and Neighbour Solicitation
//! (RFC 4861 4.3).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use weir_packet::checksum::write_l4_checksum;
use weir_packet::{Frame, ether_type, parse, protocol};

const BROADCAST: [u8; 6] = [0xff; 6];

/// Makes `frame`, whatever it was, a question of (`own_mac`, `local`) for the address of
/// `remote`: to everybody, or to `known` alone, who is asked whether he is still there.
/// Returns false if there is no room for it; the frame is of no use then.
pub(crate) fn solicit<F: Frame>(
    frame: &mut F,
    own_mac: [u8; 6],
    local: IpAddr,
    remote: IpAddr,
    known: Option<[u8; 6]>,
) -> bool {
    match (local, remote) {
        (IpAddr::V4(local), IpAddr::V4(remote)) => {
            let to = known.unwrap_or(BROADCAST);
            replace(frame, &arp(1, [own_mac, to], local, remote, known))
        }
        (IpAddr::V6(local), IpAddr::V6(remote)) => {
            let group = solicited_node(remote);
            let (ip, mac) = match known {
                Some(mac) => (remote, mac),
                None => (group, multicast_mac(group)),
            };
            let body = NdBody {
                kind: protocol::icmpv6::NEIGHBOR_SOLICIT,
                flags: 0,
                target: remote,
                // Source link-layer address.
                option: 1,
                own_mac,
            };
            neighbour_discovery(frame, mac, local, ip, &body)
        }
        _ => false,
    }
}

/// An ARP packet: `operation` from (`macs[0]`, `sender`), sent to `macs[1]`, about `target`.
pub(super) fn arp(
    operation: u8,
    macs: [[u8; 6]; 2],
    sender: Ipv4Addr,
    target: Ipv4Addr,
    target_mac: Option<[u8; 6]>,
) -> [u8; 42] {
    let [own, to] = macs;
    let mut packet = [0; 42];
    packet[..6].copy_from_slice(&to);
    packet[6..12].copy_from_slice(&own);
    packet[12..14].copy_from_slice(&ether_type::ARP.to_be_bytes());
    packet[14..22].copy_from_slice(&[0, 1, 0x08, 0x00, 6, 4, 0, operation]);
    packet[22..28].copy_from_slice(&own);
    packet[28..32].copy_from_slice(&sender.octets());
    packet[32..38].copy_from_slice(&target_mac.unwrap_or_default());
    packet[38..42].copy_from_slice(&target.octets());
    packet
}

/// What a solicitation or an advertisement says.
pub(super) struct NdBody {
    pub(super) kind: u8,
    /// R, S and O, in the highest bits.
    pub(super) flags: u8,
    pub(super) target: Ipv6Addr,
    /// Which link-layer address `own_mac` is: the source's or the target's.
    pub(super) option: u8,
    pub(super) own_mac: [u8; 6],
}

/// Makes `frame`, whatever it was, a Neighbour Discovery packet. Returns false if there is no
/// room for it.
pub(super) fn neighbour_discovery<F: Frame>(
    frame: &mut F,
    to: [u8; 6],
    src: Ipv6Addr,
    dst: Ipv6Addr,
    body: &NdBody,
) -> bool {
    let mut packet = [0; 86];
    packet[..6].copy_from_slice(&to);
    packet[6..12].copy_from_slice(&body.own_mac);
    packet[12..14].copy_from_slice(&ether_type::IPV6.to_be_bytes());
    packet[14] = 0x60;
    packet[19] = 32;
    packet[20] = protocol::ICMPV6;
    // RFC 4861 7.1: what came through a router is not believed.
    packet[21] = 255;
    packet[22..38].copy_from_slice(&src.octets());
    packet[38..54].copy_from_slice(&dst.octets());
    packet[54] = body.kind;
    packet[58] = body.flags;
    packet[62..78].copy_from_slice(&body.target.octets());
    packet[78..80].copy_from_slice(&[body.option, 1]);
    packet[80..86].copy_from_slice(&body.own_mac);
    if !replace(frame, &packet) {
        return false;
    }
    if let Ok(layout) = parse(frame.head(), frame.len()) {
        write_l4_checksum(frame, &layout);
    }
    true
}

/// Makes `frame` these bytes. Returns false if there is no room for them.
pub(super) fn replace<F: Frame>(frame: &mut F, bytes: &[u8]) -> bool {
    let missing = bytes.len().saturating_sub(frame.head().len());
    if frame.push_front(missing).is_err() {
        return false;
    }
    frame.truncate(bytes.len());
    frame.head_mut()[..bytes.len()].copy_from_slice(bytes);
    frame.forget_checksums();
    true
}

/// The group that everybody with `ip` listens to (RFC 4291 2.7.1).
pub(super) fn solicited_node(ip: Ipv6Addr) -> Ipv6Addr {
    const PREFIX: u128 = 0xff02_0000_0000_0000_0000_0001_ff00_0000;
    Ipv6Addr::from_bits(PREFIX | ip.to_bits() & 0xff_ffff)
}

/// The MAC address of a group (RFC 2464 7).
fn multicast_mac(group: Ipv6Addr) -> [u8; 6] {
    let [.., a, b, c, d] = group.octets();
    [0x33, 0x33, a, b, c, d]
}
