//! The frame of a packet that is given as a flow.
//!
//! What the flow does not say is zero, but where that would be no packet that anybody sends: then
//! it is what [`DEFAULTS`] say. Lengths and checksums are right.

use weir_packet::checksum::{write_ipv4_header_checksum, write_l4_checksum};
use weir_packet::{Frame, VecFrame, ether_type, protocol};
use weir_tables::field::Field;
use weir_tables::key::FlowKey;
use weir_tables::matching::Match;

use crate::diagnostic::Diagnostic;

/// What a packet has whose flow does not say otherwise.
struct Defaults {
    ttl: u128,
    src_port: u128,
    dst_port: u128,
    /// A connection is opened with it.
    tcp_flags: u128,
    echo_request: u128,
    echo_request6: u128,
    arp_op: u128,
}

const DEFAULTS: Defaults = Defaults {
    ttl: 64,
    src_port: 32_768,
    dst_port: 9,
    tcp_flags: 0x002,
    echo_request: protocol::icmp::ECHO_REQUEST as u128,
    echo_request6: protocol::icmpv6::ECHO_REQUEST as u128,
    arp_op: 1,
};

/// Size of an Ethernet header in bytes.
const ETHERNET: usize = 14;

/// The frame of a packet that `matches` describes.
pub(super) fn synthesize(matches: &Match) -> Vec<u8> {
    let packet = Packet {
        matches,
        key: matches.key(),
    };
    let mut bytes = Vec::with_capacity(128);
    bytes.extend_from_slice(&packet.octets::<6>(Field::ETH_DST));
    bytes.extend_from_slice(&packet.octets::<6>(Field::ETH_SRC));
    let tci = packet.value(Field::VLAN_TCI) as u16;
    if tci & PRESENT != 0 {
        bytes.extend_from_slice(&[0x81, 0x00]);
        bytes.extend_from_slice(&(tci & !PRESENT).to_be_bytes());
    }
    let ether_type = packet.value(Field::ETH_TYPE) as u16;
    bytes.extend_from_slice(&ether_type.to_be_bytes());
    match ether_type {
        ether_type::IPV4 => packet.ipv4(&mut bytes),
        ether_type::IPV6 => packet.ipv6(&mut bytes),
        ether_type::ARP | ether_type::RARP => packet.arp(&mut bytes),
        _ => bytes.resize(bytes.len() + 46, 0),
    }
    let mut frame = VecFrame::from(bytes);
    if let Ok(layout) = weir_packet::parse(frame.head(), frame.len()) {
        write_ipv4_header_checksum(frame.head_mut(), &layout);
        write_l4_checksum(&mut frame, &layout);
    }
    frame.bytes().to_vec()
}

/// Bit 12 of `vlan_tci`: a tag is there.
const PRESENT: u16 = 0x1000;

/// Reads a frame in hexadecimal.
///
/// # Errors
/// If the text is none.
pub(super) fn read(hex: &str) -> Result<Vec<u8>, Diagnostic> {
    let wrong = |span, message: &str| {
        let error = Diagnostic::at("--packet", hex, span, message);
        error.with_hint("expected at least 14 bytes in hexadecimal")
    };
    let mut digits = Vec::with_capacity(hex.len());
    for (at, letter) in hex
        .char_indices()
        .filter(|(_, letter)| !letter.is_whitespace())
    {
        match letter.to_digit(16) {
            Some(digit) => digits.push(digit as u8),
            None => return Err(wrong(at..at + letter.len_utf8(), "not a hexadecimal digit")),
        }
    }
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(wrong(hex.len()..hex.len(), "half a byte is missing"));
    }
    if pairs.len() < ETHERNET {
        return Err(wrong(0..hex.len(), "not a frame"));
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// What a flow says of its packet.
struct Packet<'a> {
    matches: &'a Match,
    key: FlowKey,
}

impl Packet<'_> {
    fn value(&self, field: Field) -> u128 {
        self.key.field(field)
    }

    /// The value, or `default` if the flow says nothing of it.
    fn value_or(&self, field: Field, default: u128) -> u128 {
        match self.matches.term(field) {
            (_, 0) => default,
            (value, _) => value,
        }
    }

    /// The value as it lies in the packet.
    fn octets<const N: usize>(&self, field: Field) -> [u8; N] {
        let bytes = self.value(field).to_be_bytes();
        std::array::from_fn(|at| bytes[bytes.len() - N + at])
    }

    fn ipv4(&self, bytes: &mut Vec<u8>) {
        let ttl = self.value_or(Field::NW_TTL, DEFAULTS.ttl) as u8;
        let (fragment, l4) = self.fragment();
        // More to come, or an offset of eight bytes.
        let fragment: u16 = match fragment {
            Piece::Whole => 0,
            Piece::First => 0x2000,
            Piece::Later => 0x0001,
        };
        let total = (20 + l4.len()) as u16;
        bytes.extend_from_slice(&[0x45, self.value(Field::NW_TOS) as u8]);
        bytes.extend_from_slice(&total.to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&fragment.to_be_bytes());
        bytes.extend_from_slice(&[ttl, self.value(Field::NW_PROTO) as u8, 0, 0]);
        bytes.extend_from_slice(&self.octets::<4>(Field::IP_SRC));
        bytes.extend_from_slice(&self.octets::<4>(Field::IP_DST));
        bytes.extend_from_slice(&l4);
    }

    fn ipv6(&self, bytes: &mut Vec<u8>) {
        let number = self.value(Field::NW_PROTO) as u8;
        let kind = self.icmp_type() as u8;
        let is_discovery = number == protocol::ICMPV6 && (133..=137).contains(&kind);
        // Neighbour Discovery comes from the link itself (RFC 4861 3.1).
        let ttl = if is_discovery { 255 } else { DEFAULTS.ttl };
        let ttl = self.value_or(Field::NW_TTL, ttl) as u8;
        let (fragment, l4) = self.fragment();
        let extension: &[u8] = match fragment {
            Piece::Whole => &[],
            Piece::First => &[number, 0, 0, 1, 0, 0, 0, 0],
            Piece::Later => &[number, 0, 0, 8, 0, 0, 0, 0],
        };
        let next = if extension.is_empty() {
            number
        } else {
            FRAGMENT
        };
        let first = 6 << 28
            | (self.value(Field::NW_TOS) as u32) << 20
            | self.value(Field::IPV6_LABEL) as u32;
        let size = (extension.len() + l4.len()) as u16;
        bytes.extend_from_slice(&first.to_be_bytes());
        bytes.extend_from_slice(&size.to_be_bytes());
        bytes.extend_from_slice(&[next, ttl]);
        bytes.extend_from_slice(&self.octets::<16>(Field::IPV6_SRC));
        bytes.extend_from_slice(&self.octets::<16>(Field::IPV6_DST));
        bytes.extend_from_slice(extension);
        bytes.extend_from_slice(&l4);
    }

    /// Which piece of a datagram it is, and what lies behind the IP header.
    fn fragment(&self) -> (Piece, Vec<u8>) {
        match self.value(Field::IP_FRAG) & 3 {
            0 => (Piece::Whole, self.l4()),
            1 => {
                let mut l4 = self.l4();
                l4.resize(l4.len().next_multiple_of(8), 0);
                (Piece::First, l4)
            }
            _ => (Piece::Later, vec![0; 8]),
        }
    }

    fn icmp_type(&self) -> u128 {
        let is_v6 = self.value(Field::ETH_TYPE) == u128::from(ether_type::IPV6);
        let echo = match is_v6 {
            false => DEFAULTS.echo_request,
            true => DEFAULTS.echo_request6,
        };
        self.value_or(Field::ICMP_TYPE, echo)
    }

    /// The header of the transport and a few bytes behind it.
    fn l4(&self) -> Vec<u8> {
        let is_v6 = self.value(Field::ETH_TYPE) == u128::from(ether_type::IPV6);
        let ports = || {
            let src = self.value_or(Field::TCP_SRC, DEFAULTS.src_port) as u16;
            let dst = self.value_or(Field::TCP_DST, DEFAULTS.dst_port) as u16;
            [src.to_be_bytes(), dst.to_be_bytes()].concat()
        };
        let mut bytes = Vec::new();
        match (self.value(Field::NW_PROTO) as u8, is_v6) {
            (protocol::TCP, _) => {
                let flags = self.value_or(Field::TCP_FLAGS, DEFAULTS.tcp_flags) as u16;
                bytes.extend(ports());
                bytes.extend_from_slice(&[0; 8]);
                bytes.extend_from_slice(&(5 << 12 | flags & 0x0fff).to_be_bytes());
                bytes.extend_from_slice(&[0xff, 0xff, 0, 0, 0, 0]);
            }
            (protocol::UDP, _) => {
                bytes.extend(ports());
                bytes.extend_from_slice(&[0, 8, 0, 0]);
            }
            (protocol::SCTP, _) => {
                bytes.extend(ports());
                bytes.extend_from_slice(&[0; 8]);
            }
            (protocol::ICMP, false) => {
                let code = self.value(Field::ICMP_CODE) as u8;
                bytes.extend_from_slice(&[self.icmp_type() as u8, code, 0, 0, 0, 1, 0, 1]);
            }
            (protocol::ICMPV6, true) => self.icmpv6(&mut bytes),
            _ => bytes.resize(26, 0),
        }
        bytes
    }

    fn icmpv6(&self, bytes: &mut Vec<u8>) {
        let kind = self.icmp_type() as u8;
        bytes.extend_from_slice(&[kind, self.value(Field::ICMP_CODE) as u8, 0, 0]);
        let solicits = kind == protocol::icmpv6::NEIGHBOR_SOLICIT;
        if !solicits && kind != protocol::icmpv6::NEIGHBOR_ADVERT {
            return bytes.extend_from_slice(&[0, 1, 0, 1]);
        }
        bytes.extend_from_slice(&self.octets::<4>(Field::ND_RESERVED));
        bytes.extend_from_slice(&self.octets::<16>(Field::ND_TARGET));
        let (option, link) = if solicits {
            (1, Field::ND_SLL)
        } else {
            (2, Field::ND_TLL)
        };
        if self.matches.term(link).1 != 0 {
            bytes.extend_from_slice(&[option, 1]);
            bytes.extend_from_slice(&self.octets::<6>(link));
        }
    }

    fn arp(&self, bytes: &mut Vec<u8>) {
        let operation = self.value_or(Field::ARP_OP, DEFAULTS.arp_op) as u16;
        bytes.extend_from_slice(&[0, 1, 0x08, 0x00, 6, 4]);
        bytes.extend_from_slice(&operation.to_be_bytes());
        bytes.extend_from_slice(&self.octets::<6>(Field::ARP_SHA));
        bytes.extend_from_slice(&self.octets::<4>(Field::ARP_SPA));
        bytes.extend_from_slice(&self.octets::<6>(Field::ARP_THA));
        bytes.extend_from_slice(&self.octets::<4>(Field::ARP_TPA));
    }
}

/// The IPv6 fragment header (RFC 8200 4.5).
const FRAGMENT: u8 = 44;

/// Which piece of a datagram.
enum Piece {
    Whole,
    First,
    Later,
}
