//! One frame of a connection.

use weir_packet::checksum::{write_ipv4_header_checksum, write_l4_checksum};
use weir_packet::{Frame, IpPair, Tuple, VecFrame, ether_type, parse, protocol};

use super::Direction;

/// The clients' side: source of forward frames, destination of replies.
pub const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// The servers' side.
pub const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

const ETHERNET_SIZE: usize = 14;
const IPV4_SIZE: usize = 20;
const IPV6_SIZE: usize = 40;
const UDP_SIZE: usize = 8;
const TCP_SIZE: usize = 20;

/// A frame of `size` bytes, or more if its headers need it, with right checksums.
/// `macs` are source and destination.
pub(super) fn frame(
    tuple: &Tuple,
    macs: [[u8; 6]; 2],
    direction: Direction,
    connection: u32,
    size: usize,
) -> Vec<u8> {
    let ip_size = match tuple.ip {
        IpPair::V4 { .. } => IPV4_SIZE,
        IpPair::V6 { .. } => IPV6_SIZE,
    };
    let l4_size = if tuple.protocol == protocol::TCP {
        TCP_SIZE
    } else {
        UDP_SIZE
    };
    let headers = ETHERNET_SIZE + ip_size + l4_size;
    let size = size.max(headers);
    let payload = size - headers;

    let mut bytes = Vec::with_capacity(size);
    ethernet(&mut bytes, tuple, macs);
    ip(&mut bytes, tuple, (l4_size + payload) as u16);
    bytes.extend_from_slice(&tuple.src_port.to_be_bytes());
    bytes.extend_from_slice(&tuple.dst_port.to_be_bytes());
    if tuple.protocol == protocol::TCP {
        tcp(&mut bytes, direction, connection);
    } else {
        bytes.extend_from_slice(&((l4_size + payload) as u16).to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
    }
    // The payload tells the connections apart for those who look into a capture.
    bytes.extend(connection.to_be_bytes().into_iter().cycle().take(payload));
    checksums(&bytes)
}

fn ethernet(bytes: &mut Vec<u8>, tuple: &Tuple, [src, dst]: [[u8; 6]; 2]) {
    bytes.extend_from_slice(&dst);
    bytes.extend_from_slice(&src);
    let ether_type = match tuple.ip {
        IpPair::V4 { .. } => ether_type::IPV4,
        IpPair::V6 { .. } => ether_type::IPV6,
    };
    bytes.extend_from_slice(&ether_type.to_be_bytes());
}

fn ip(bytes: &mut Vec<u8>, tuple: &Tuple, l4_len: u16) {
    match tuple.ip {
        IpPair::V4 { src, dst } => {
            bytes.extend_from_slice(&[0x45, 0]);
            bytes.extend_from_slice(&(IPV4_SIZE as u16 + l4_len).to_be_bytes());
            // No identification; do not fragment.
            bytes.extend_from_slice(&[0, 0, 0x40, 0, 64, tuple.protocol, 0, 0]);
            bytes.extend_from_slice(&src.octets());
            bytes.extend_from_slice(&dst.octets());
        }
        IpPair::V6 { src, dst } => {
            bytes.extend_from_slice(&[0x60, 0, 0, 0]);
            bytes.extend_from_slice(&l4_len.to_be_bytes());
            bytes.extend_from_slice(&[tuple.protocol, 64]);
            bytes.extend_from_slice(&src.octets());
            bytes.extend_from_slice(&dst.octets());
        }
    }
}

/// A TCP header behind the ports. Each end acknowledges what the other has sent before this
/// segment, so the segment is acceptable however often it comes (RFC 9293 3.10.7.4).
fn tcp(bytes: &mut Vec<u8>, direction: Direction, connection: u32) {
    const ACK_PSH: u8 = 0x18;
    const WINDOW: u16 = 0xffff;
    let (client, server) = (
        connection.wrapping_mul(0x9e37_79b9),
        connection ^ 0x5bd1_e995,
    );
    let (seq, ack) = match direction {
        Direction::Forward => (client, server),
        Direction::Reply => (server, client),
    };
    bytes.extend_from_slice(&seq.to_be_bytes());
    bytes.extend_from_slice(&ack.to_be_bytes());
    bytes.extend_from_slice(&[5 << 4, ACK_PSH]);
    bytes.extend_from_slice(&WINDOW.to_be_bytes());
    // Checksum, urgent pointer.
    bytes.extend_from_slice(&[0; 4]);
}

fn checksums(bytes: &[u8]) -> Vec<u8> {
    let mut frame = VecFrame::new(bytes);
    let layout = parse(frame.head(), frame.len()).expect("it has an Ethernet header");
    write_ipv4_header_checksum(frame.head_mut(), &layout);
    write_l4_checksum(&mut frame, &layout);
    frame.bytes().to_vec()
}
