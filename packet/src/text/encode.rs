//! A described packet as bytes.

use std::net::IpAddr;

use super::packet::{
    Arp, Body, Csum, Ip, KnownTcpOptions, Packet, Payload, Tcp, TcpOptions, Transport, counting,
};
use crate::checksum::{Checksum, Crc32c, Delta, Sum};
use crate::{ether_type, protocol};

pub(super) fn packet(packet: &Packet) -> Result<Vec<u8>, String> {
    let (ether_type, body) = match &packet.body {
        Body::Hex(bytes) => return Ok(bytes.clone()),
        Body::Arp(arp) if arp.reverse => (ether_type::RARP, self::arp(arp)),
        Body::Arp(arp) => (ether_type::ARP, self::arp(arp)),
        Body::Ip(ip) if ip.is_ipv6() => (ether_type::IPV6, self::ip(ip)?),
        Body::Ip(ip) => (ether_type::IPV4, self::ip(ip)?),
        Body::Ether(ether_type, payload) => (*ether_type, self::payload(payload)?),
    };
    let mut bytes = Vec::with_capacity(64 + body.len());
    bytes.extend_from_slice(&packet.dst);
    bytes.extend_from_slice(&packet.src);
    for tag in &packet.tags {
        bytes.extend_from_slice(&tag.tpid.to_be_bytes());
        bytes.extend_from_slice(&tag.tci.to_be_bytes());
    }
    bytes.extend_from_slice(&ether_type.to_be_bytes());
    bytes.extend_from_slice(&body);
    bytes.resize(bytes.len() + packet.pad, 0);
    Ok(bytes)
}

/// An IP packet, from its header on.
pub(super) fn ip(ip: &Ip) -> Result<Vec<u8>, String> {
    let l4 = l4(ip)?;
    match (ip.src, ip.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => ipv4(ip, src.octets(), dst.octets(), &l4),
        (IpAddr::V6(src), IpAddr::V6(dst)) => ipv6(ip, src.octets(), dst.octets(), &l4),
        (_, _) => Err("source and destination are of two families".to_owned()),
    }
}

fn arp(arp: &Arp) -> Vec<u8> {
    let mut bytes = vec![0, 1, 0x08, 0x00, 6, 4];
    bytes.extend_from_slice(&arp.operation.to_be_bytes());
    bytes.extend_from_slice(&arp.sha);
    bytes.extend_from_slice(&arp.spa.octets());
    bytes.extend_from_slice(&arp.tha);
    bytes.extend_from_slice(&arp.tpa.octets());
    bytes
}

fn ipv4(ip: &Ip, src: [u8; 4], dst: [u8; 4], l4: &[u8]) -> Result<Vec<u8>, String> {
    let options = &ip.options;
    let mut ipv4_options = options.ipv4_options.clone();
    ipv4_options.resize(ipv4_options.len().next_multiple_of(4), 0);
    let header_size = 20 + ipv4_options.len();
    if header_size > 60 {
        return Err("more than 40 bytes of IPv4 options".to_owned());
    }
    let total = u16::try_from(header_size + l4.len())
        .map_err(|_| "an IPv4 packet has at most 65535 bytes".to_owned())?;
    let (id, flags) = match options.fragment {
        None => (options.ipv4_id, 0),
        Some(fragment) => {
            let id = u16::try_from(fragment.id)
                .map_err(|_| "an IPv4 fragment's id has 16 bits".to_owned())?;
            (id, (fragment.offset / 8) | (u16::from(fragment.more) << 13))
        }
    };
    let flags = flags | u16::from(options.ipv4_df) << 14;
    let mut bytes = vec![0x40 | (header_size / 4) as u8, options.tos];
    bytes.extend_from_slice(&total.to_be_bytes());
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes.extend_from_slice(&flags.to_be_bytes());
    bytes.extend_from_slice(&[options.ttl.unwrap_or(ip.default_ttl()), ip.protocol(), 0, 0]);
    bytes.extend_from_slice(&src);
    bytes.extend_from_slice(&dst);
    bytes.extend_from_slice(&ipv4_options);
    let mut sum = Sum::new();
    sum.add_bytes(&bytes);
    bytes[10..12].copy_from_slice(&internet_checksum(sum.finish(), options.ipv4_csum));
    bytes.extend_from_slice(l4);
    Ok(bytes)
}

fn ipv6(ip: &Ip, src: [u8; 16], dst: [u8; 16], l4: &[u8]) -> Result<Vec<u8>, String> {
    let options = &ip.options;
    // Each header names the next, so they are made from the last to the first.
    let mut next = ip.protocol();
    let mut behind = l4.to_vec();
    if let Some(fragment) = options.fragment {
        let offset = fragment.offset | u16::from(fragment.more);
        let mut header = vec![next, 0];
        header.extend_from_slice(&offset.to_be_bytes());
        header.extend_from_slice(&fragment.id.to_be_bytes());
        header.extend_from_slice(&behind);
        (next, behind) = (protocol::FRAGMENT, header);
    }
    for (number, body) in options.ipv6_extensions.iter().rev() {
        let size = 2 + body.len();
        let units = match *number {
            protocol::AH if size >= 8 && size % 4 == 0 => size / 4 - 2,
            protocol::AH => return Err("AH's size is no multiple of 4 from 8 on".to_owned()),
            _ if size % 8 == 0 => size / 8 - 1,
            _ => return Err("an extension header's size is no multiple of 8".to_owned()),
        };
        let units =
            u8::try_from(units).map_err(|_| "an extension header is too long".to_owned())?;
        let mut header = vec![next, units];
        header.extend_from_slice(body);
        header.extend_from_slice(&behind);
        (next, behind) = (*number, header);
    }
    let len = u16::try_from(behind.len())
        .map_err(|_| "an IPv6 packet has at most 65535 bytes behind its header".to_owned())?;
    let start = 6 << 28 | u32::from(options.tos) << 20 | options.ipv6_label;
    let mut bytes = start.to_be_bytes().to_vec();
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.extend_from_slice(&[next, options.ttl.unwrap_or(ip.default_ttl())]);
    bytes.extend_from_slice(&src);
    bytes.extend_from_slice(&dst);
    bytes.extend_from_slice(&behind);
    Ok(bytes)
}

/// The L4 packet with its checksum.
fn l4(ip: &Ip) -> Result<Vec<u8>, String> {
    let payload = payload(&ip.payload)?;
    let mut bytes = Vec::with_capacity(20 + payload.len());
    let checksum_at = match &ip.transport {
        Transport::Tcp(tcp) => {
            self::tcp(tcp, &mut bytes)?;
            16
        }
        Transport::Udp { ports, len } => {
            let right = u16::try_from(8 + payload.len())
                .map_err(|_| "a UDP packet has at most 65535 bytes".to_owned())?;
            push_ports(*ports, &mut bytes);
            bytes.extend_from_slice(&len.unwrap_or(right).to_be_bytes());
            bytes.extend_from_slice(&[0; 2]);
            6
        }
        Transport::Sctp { ports, vtag } => {
            push_ports(*ports, &mut bytes);
            bytes.extend_from_slice(&vtag.to_be_bytes());
            bytes.extend_from_slice(&[0; 4]);
            bytes.extend_from_slice(&payload);
            let checksum = sctp_checksum(&bytes, ip.options.csum);
            bytes[8..12].copy_from_slice(&checksum);
            return Ok(bytes);
        }
        Transport::Icmp {
            icmp_type,
            code,
            rest,
        } => {
            bytes.extend_from_slice(&[*icmp_type, *code, 0, 0]);
            bytes.extend_from_slice(&rest.to_be_bytes());
            2
        }
        Transport::Other(_) => return Ok(payload),
    };
    bytes.extend_from_slice(&payload);
    let checksum = l4_checksum(ip, &bytes);
    bytes[checksum_at..checksum_at + 2].copy_from_slice(&checksum);
    Ok(bytes)
}

/// The internet checksum of an L4 packet whose own checksum is still 0.
fn l4_checksum(ip: &Ip, bytes: &[u8]) -> [u8; 2] {
    let covered = match ip.transport {
        Transport::Udp { len: Some(len), .. } if (8..=bytes.len()).contains(&len.into()) => {
            len.into()
        }
        _ => bytes.len(),
    };
    let mut sum = Sum::new();
    sum.add_bytes(&bytes[..covered]);
    match (ip.src, ip.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            if !matches!(ip.transport, Transport::Icmp { .. }) {
                sum.add_ipv4_pseudo(src, dst, ip.protocol(), covered as u16);
            }
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            sum.add_ipv6_pseudo(src, dst, ip.protocol(), covered as u32);
        }
        (_, _) => {}
    }
    let bytes = internet_checksum(sum.finish(), ip.options.csum);
    match (&ip.transport, ip.options.csum) {
        (Transport::Udp { .. }, Csum::Right | Csum::Bad) => {
            Checksum::from_bytes(bytes).never_zero().to_bytes()
        }
        (_, _) => bytes,
    }
}

fn internet_checksum(right: Checksum, wanted: Csum) -> [u8; 2] {
    match wanted {
        Csum::Right => right.to_bytes(),
        // The sum of the data one lower makes the checksum one higher.
        Csum::Bad => right.apply(Delta::of_u16(1, 0)).to_bytes(),
        Csum::Is(number) => (number as u16).to_be_bytes(),
    }
}

fn sctp_checksum(bytes: &[u8], wanted: Csum) -> [u8; 4] {
    let mut crc = Crc32c::new();
    crc.add_bytes(bytes);
    let right = u32::from_be_bytes(crc.finish());
    match wanted {
        Csum::Right => right,
        Csum::Bad => right ^ 1,
        Csum::Is(number) => number,
    }
    .to_be_bytes()
}

fn push_ports((src, dst): (u16, u16), bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&src.to_be_bytes());
    bytes.extend_from_slice(&dst.to_be_bytes());
}

fn tcp(tcp: &Tcp, bytes: &mut Vec<u8>) -> Result<(), String> {
    let mut options = match &tcp.options {
        TcpOptions::Known(known) => tcp_options(*known),
        TcpOptions::Raw(raw) => raw.clone(),
    };
    options.resize(options.len().next_multiple_of(4), 0);
    if options.len() > 40 {
        return Err("more than 40 bytes of TCP options".to_owned());
    }
    push_ports(tcp.ports, bytes);
    bytes.extend_from_slice(&tcp.seq.to_be_bytes());
    bytes.extend_from_slice(&tcp.ack.to_be_bytes());
    let offset = (5 + options.len() / 4) as u16;
    bytes.extend_from_slice(&(offset << 12 | tcp.flags).to_be_bytes());
    bytes.extend_from_slice(&tcp.window.to_be_bytes());
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend_from_slice(&tcp.urgent.to_be_bytes());
    bytes.extend_from_slice(&options);
    Ok(())
}

pub(super) fn tcp_options(known: KnownTcpOptions) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mss) = known.mss {
        bytes.extend_from_slice(&[2, 4]);
        bytes.extend_from_slice(&mss.to_be_bytes());
    }
    if known.sack_ok {
        bytes.extend_from_slice(&[1, 1, 4, 2]);
    }
    if let Some((value, echo)) = known.timestamps {
        bytes.extend_from_slice(&[1, 1, 8, 10]);
        bytes.extend_from_slice(&value.to_be_bytes());
        bytes.extend_from_slice(&echo.to_be_bytes());
    }
    if let Some(shift) = known.window_scale {
        bytes.extend_from_slice(&[1, 3, 3, shift]);
    }
    bytes
}

pub(super) fn payload(payload: &Payload) -> Result<Vec<u8>, String> {
    Ok(match payload {
        Payload::Counting { len, from } => counting(*len, *from).collect(),
        Payload::Bytes(bytes) => bytes.clone(),
        Payload::Quote { packet, cut } => {
            let mut bytes = ip(packet)?;
            bytes.truncate(cut.unwrap_or(usize::MAX));
            bytes
        }
        Payload::Neighbor { target, mac } => {
            let mut bytes = target.octets().to_vec();
            if let Some((option, mac)) = mac {
                bytes.extend_from_slice(&[*option, 1]);
                bytes.extend_from_slice(mac);
            }
            bytes
        }
        Payload::Chunks(chunks) => self::chunks(chunks)?,
    })
}

fn chunks(chunks: &[(u8, u8, Vec<u8>)]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for (chunk_type, flags, value) in chunks {
        let len = u16::try_from(4 + value.len())
            .map_err(|_| "an SCTP chunk has at most 65535 bytes".to_owned())?;
        bytes.extend_from_slice(&[*chunk_type, *flags]);
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    Ok(bytes)
}
