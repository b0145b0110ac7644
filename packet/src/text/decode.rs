//! The description of bytes.

use std::net::{IpAddr, Ipv6Addr};

use super::encode;
use super::packet::{
    Arp, Body, Csum, DEFAULT_WINDOW, Fragment, Ip, IpOptions, KnownTcpOptions, Packet, Payload,
    SOURCE_LINK_LAYER, TARGET_LINK_LAYER, Tcp, TcpOptions, Transport, counting, quotes,
};
use crate::checksum::write_l4_checksum;
use crate::frame::{Frame, VecFrame};
use crate::layout::{ETHERNET_SIZE, L3, L4, Layout, parse};
use crate::view::{self, Chunks, Ethernet, Icmp, Ipv4, Ipv6, Sctp, TcpOption, Udp, VlanTag};
use crate::{ether_type, protocol};

/// Never fails: what cannot be described is [`Body::Hex`].
pub(super) fn packet(frame: &[u8]) -> Packet {
    match describe(frame) {
        Some(packet) if encode::packet(&packet).as_deref() == Ok(frame) => packet,
        _ => Packet {
            src: [0; 6],
            dst: [0; 6],
            tags: Vec::new(),
            body: Body::Hex(frame.to_vec()),
            pad: 0,
        },
    }
}

/// A description that may be wrong in what it leaves out.
fn describe(frame: &[u8]) -> Option<Packet> {
    let layout = parse(frame, frame.len()).ok()?;
    let (ethernet, _) = Ethernet::split(frame).ok()?;
    let end = layout.l3_end as usize;
    let l3 = frame.get(layout.l3_offset.into()..end)?;
    let body = match layout.l3 {
        L3::Arp => Body::Arp(arp(l3, &layout)?),
        L3::Ipv4 | L3::Ipv6 => Body::Ip(Box::new(ip(l3, &layout)?)),
        L3::Other => Body::Ether(layout.ether_type, Payload::of(l3)),
    };
    Some(Packet {
        src: ethernet.src(),
        dst: ethernet.dst(),
        tags: VlanTag::all(frame, &layout).collect(),
        body,
        pad: frame.len() - end,
    })
}

fn arp(packet: &[u8], layout: &Layout) -> Option<Arp> {
    let (arp, _) = view::Arp::split(packet).ok()?;
    Some(Arp {
        reverse: layout.ether_type == ether_type::RARP,
        operation: arp.operation(),
        sha: arp.sha(),
        spa: arp.spa(),
        tha: arp.tha(),
        tpa: arp.tpa(),
    })
}

/// `packet` ends where its own length says.
fn ip(packet: &[u8], layout: &Layout) -> Option<Ip> {
    let header = if layout.l3 == L3::Ipv4 {
        ipv4(packet)?
    } else {
        ipv6(packet)?
    };
    let IpHeader {
        src,
        dst,
        options,
        ttl,
        protocol,
        l4,
    } = header;
    let is_ipv6 = layout.l3 == L3::Ipv6;
    let later = options.fragment.is_some_and(|fragment| fragment.offset > 0);
    let (transport, payload) = match transport(l4, protocol, is_ipv6) {
        Some((transport, body)) if !later => {
            let payload = payload(body, &transport, is_ipv6);
            (transport, payload)
        }
        _ => (Transport::Other(protocol), Payload::of(l4)),
    };
    let mut ip = Ip {
        src,
        dst,
        options,
        transport,
        payload,
    };
    if ttl != ip.default_ttl() {
        ip.options.ttl = Some(ttl);
    }
    if let Some(there) = l4_checksum(&ip.transport, l4) {
        choose_csum(
            &mut ip,
            there,
            |options| &mut options.csum,
            |bytes| bytes.ends_with(l4),
        );
    }
    if let Ok((header, _)) = Ipv4::split(packet) {
        let there = header.checksum().into();
        let size = header.header_size();
        choose_csum(
            &mut ip,
            there,
            |options| &mut options.ipv4_csum,
            |bytes| bytes.get(..size) == packet.get(..size),
        );
    }
    Some(ip)
}

/// The checksum in an L4 header that has one.
fn l4_checksum(transport: &Transport, l4: &[u8]) -> Option<u32> {
    match transport {
        Transport::Tcp(_) => view::Tcp::split(l4)
            .ok()
            .map(|(tcp, _)| tcp.checksum().into()),
        Transport::Udp { .. } => Udp::split(l4).ok().map(|(udp, _)| udp.checksum().into()),
        Transport::Icmp { .. } => Icmp::split(l4).ok().map(|(icmp, _)| icmp.checksum().into()),
        Transport::Sctp { .. } => Sctp::split(l4)
            .ok()
            .map(|(sctp, _)| u32::from_be_bytes(sctp.checksum())),
        Transport::Other(_) => None,
    }
}

/// Describes a checksum as the first of right, bad and this number that encodes as it should.
fn choose_csum(
    ip: &mut Ip,
    there: u32,
    field: impl Fn(&mut IpOptions) -> &mut Csum,
    agrees: impl Fn(&[u8]) -> bool,
) {
    for guess in [Csum::Right, Csum::Bad, Csum::Is(there)] {
        *field(&mut ip.options) = guess;
        if encode::ip(ip).is_ok_and(|packet| agrees(&packet)) {
            return;
        }
    }
}

/// What an IP header and its extension headers say, and what is behind them.
struct IpHeader<'a> {
    src: IpAddr,
    dst: IpAddr,
    options: IpOptions,
    ttl: u8,
    protocol: u8,
    l4: &'a [u8],
}

fn ipv4(packet: &[u8]) -> Option<IpHeader<'_>> {
    let (header, l4) = Ipv4::split(packet).ok()?;
    let mut options = IpOptions {
        tos: header.tos(),
        ipv4_df: header.dont_fragment(),
        ipv4_options: header.options().to_vec(),
        ..IpOptions::default()
    };
    if header.fragment_offset() == 0 && !header.more_fragments() {
        options.ipv4_id = header.id();
    } else {
        options.fragment = Some(Fragment {
            id: header.id().into(),
            offset: header.fragment_offset(),
            more: header.more_fragments(),
        });
    }
    Some(IpHeader {
        src: header.src().into(),
        dst: header.dst().into(),
        options,
        ttl: header.ttl(),
        protocol: header.protocol(),
        l4,
    })
}

fn ipv6(packet: &[u8]) -> Option<IpHeader<'_>> {
    let (header, rest) = Ipv6::split(packet).ok()?;
    let mut options = IpOptions {
        tos: header.traffic_class(),
        ipv6_label: header.flow_label(),
        ..IpOptions::default()
    };
    let mut extensions = header.extensions(rest);
    for extension in &mut extensions {
        match extension.fragment() {
            Some((offset, more, id)) => options.fragment = Some(Fragment { id, offset, more }),
            None => {
                let body = extension.bytes.get(2..)?.to_vec();
                options.ipv6_extensions.push((extension.protocol, body));
            }
        }
    }
    Some(IpHeader {
        src: header.src().into(),
        dst: header.dst().into(),
        options,
        ttl: header.hop_limit(),
        protocol: extensions.next_header(),
        l4: extensions.rest(),
    })
}

/// The transport header and what is behind it, also in a first fragment.
fn transport(l4: &[u8], protocol: u8, is_ipv6: bool) -> Option<(Transport, &[u8])> {
    match (protocol, is_ipv6) {
        (protocol::TCP, _) => {
            let (header, body) = view::Tcp::split(l4).ok()?;
            let tcp = Tcp {
                ports: (header.src_port(), header.dst_port()),
                flags: header.flags() & 0x01ff,
                seq: header.sequence(),
                ack: header.acknowledgment(),
                window: header.window(),
                urgent: header.urgent(),
                options: tcp_options(&header),
            };
            Some((Transport::Tcp(tcp), body))
        }
        (protocol::UDP, _) => {
            let (header, body) = Udp::split(l4).ok()?;
            let ports = (header.src_port(), header.dst_port());
            let len = Some(header.size()).filter(|&size| usize::from(size) != l4.len());
            Some((Transport::Udp { ports, len }, body))
        }
        (protocol::SCTP, _) => {
            let (header, body) = Sctp::split(l4).ok()?;
            let ports = (header.src_port(), header.dst_port());
            Some((
                Transport::Sctp {
                    ports,
                    vtag: header.verification_tag(),
                },
                body,
            ))
        }
        // The line's syntax has four bytes behind the header of every ICMPv6 message too.
        (protocol::ICMP, false) | (protocol::ICMPV6, true) => {
            let (header, body) = Icmp::split(l4).ok()?;
            let (icmp_type, code) = (header.icmp_type(), header.code());
            Some((
                Transport::Icmp {
                    icmp_type,
                    code,
                    rest: header.rest_of_header(),
                },
                body,
            ))
        }
        (_, _) => None,
    }
}

fn tcp_options(header: &view::Tcp<'_>) -> TcpOptions {
    let mut known = KnownTcpOptions::default();
    for option in header.options() {
        match option {
            TcpOption::Mss(mss) => known.mss = Some(mss),
            TcpOption::WindowScale(shift) => known.window_scale = Some(shift),
            TcpOption::SackPermitted => known.sack_ok = true,
            TcpOption::Timestamps { value, echo } => known.timestamps = Some((value, echo)),
            TcpOption::Sack(_) | TcpOption::Other { .. } => {}
        }
    }
    if encode::tcp_options(known) == header.option_bytes() {
        TcpOptions::Known(known)
    } else {
        TcpOptions::Raw(header.option_bytes().to_vec())
    }
}

fn payload(body: &[u8], transport: &Transport, is_ipv6: bool) -> Payload {
    let special = match transport {
        Transport::Icmp { icmp_type, .. } if quotes(is_ipv6, *icmp_type) => quote(body),
        Transport::Icmp {
            icmp_type: 135 | 136,
            ..
        } if is_ipv6 => neighbor(body),
        Transport::Sctp { .. } => chunks(body),
        Transport::Icmp { .. }
        | Transport::Tcp(_)
        | Transport::Udp { .. }
        | Transport::Other(_) => None,
    };
    special.unwrap_or_else(|| Payload::of(body))
}

fn neighbor(body: &[u8]) -> Option<Payload> {
    let (target, options) = body.split_first_chunk::<16>()?;
    let mac = match *options {
        [] => None,
        [
            option @ (SOURCE_LINK_LAYER | TARGET_LINK_LAYER),
            1,
            a,
            b,
            c,
            d,
            e,
            f,
        ] => Some((option, [a, b, c, d, e, f])),
        _ => return None,
    };
    Some(Payload::Neighbor {
        target: Ipv6Addr::from(*target),
        mac,
    })
}

fn chunks(body: &[u8]) -> Option<Payload> {
    let mut chunks = Chunks::of(body);
    let described: Vec<_> = (&mut chunks)
        .map(|chunk| (chunk.chunk_type, chunk.flags, chunk.value.to_vec()))
        .collect();
    let payload = Payload::Chunks(described);
    // Padding that is missing, or not zero, cannot be expressed.
    let same = encode::payload(&payload).as_deref() == Ok(body);
    (same && !body.is_empty()).then_some(payload)
}

/// The packet that an ICMP error quotes. If its end is missing, one is made up that counts
/// on and has the checksum right, as far as these are missing.
fn quote(bytes: &[u8]) -> Option<Payload> {
    let (ether_type, total, l4_start, number) = match *bytes {
        [first, _, t0, t1, ..] if first >> 4 == 4 => {
            let total = u16::from_be_bytes([t0, t1]).into();
            let header_size = usize::from(first & 0x0f) * 4;
            (ether_type::IPV4, total, header_size, *bytes.get(9)?)
        }
        [first, _, _, _, l0, l1, next, ..] if first >> 4 == 6 => {
            let total = 40 + usize::from(u16::from_be_bytes([l0, l1]));
            (ether_type::IPV6, total, 40, next)
        }
        _ => return None,
    };
    let cut = (bytes.len() < total).then_some(bytes.len());
    let mut frame = vec![0; ETHERNET_SIZE];
    frame[12..].copy_from_slice(&ether_type.to_be_bytes());
    frame.extend_from_slice(bytes);
    if let Some(cut) = cut {
        complete(&mut frame, total, l4_start, number, cut)?;
    }
    let layout = parse(&frame, frame.len()).ok()?;
    if layout.malformed.is_some() || layout.l3_end as usize != frame.len() {
        return None;
    }
    let packet = Box::new(ip(frame.get(ETHERNET_SIZE..)?, &layout)?);
    let quote = Payload::Quote { packet, cut };
    let same = encode::payload(&quote).as_deref() == Ok(bytes);
    same.then_some(quote)
}

fn complete(
    frame: &mut Vec<u8>,
    total: usize,
    l4_start: usize,
    number: u8,
    cut: usize,
) -> Option<()> {
    let seen = cut.checked_sub(l4_start)?;
    let start = ETHERNET_SIZE + l4_start;
    let mut l4 = frame.get(start..)?.to_vec();
    let (header_size, checksum_end) = match number {
        protocol::TCP => {
            let mut default = [0; 20];
            default[12] = 0x50;
            default[14..16].copy_from_slice(&DEFAULT_WINDOW.to_be_bytes());
            l4.extend_from_slice(default.get(seen..).unwrap_or_default());
            (usize::from(l4[12] >> 4) * 4, 18)
        }
        protocol::UDP => (8, 8),
        protocol::SCTP => (12, 12),
        protocol::ICMP | protocol::ICMPV6 => (8, 4),
        _ => (0, 0),
    };
    if l4.len() < header_size {
        l4.resize(header_size, 0);
    }
    let len = total.checked_sub(l4_start + header_size)?;
    let from = l4.get(header_size).copied().unwrap_or_default();
    let there = l4.len() - header_size;
    l4.extend(counting(len, from).skip(there));
    frame.truncate(start);
    frame.extend_from_slice(&l4);
    let layout = parse(frame, frame.len()).ok()?;
    if seen < checksum_end && layout.l4 != L4::None {
        let mut whole = VecFrame::new(frame);
        write_l4_checksum(&mut whole, &layout);
        frame.clear();
        frame.extend_from_slice(whole.head());
    }
    Some(())
}
