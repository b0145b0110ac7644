//! The description of bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::encode;
use super::packet::{
    Arp, Body, Csum, DEFAULT_WINDOW, Fragment, Ip, IpOptions, KnownTcpOptions, Packet, Payload,
    SOURCE_LINK_LAYER, TARGET_LINK_LAYER, Tag, Tcp, TcpOptions, Transport, counting, quotes,
};
use crate::checksum::write_l4_checksum;
use crate::frame::{Frame, VecFrame};
use crate::layout::{self, ETHERNET_SIZE, L3, L4, Layout, array, parse};
use crate::tuple::IpPair;
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
    let dst = *array(frame, 0)?;
    let src = *array(frame, 6)?;
    let mut tags = Vec::new();
    for index in 0..usize::from(layout.vlan_tags) {
        let &[t0, t1, c0, c1] = array(frame, 12 + 4 * index)?;
        tags.push(Tag {
            tpid: u16::from_be_bytes([t0, t1]),
            tci: u16::from_be_bytes([c0, c1]),
        });
    }
    let end = layout.l3_end as usize;
    let body = match layout.l3 {
        L3::Arp => Body::Arp(arp(frame, &layout)?),
        L3::Ipv4 | L3::Ipv6 => Body::Ip(Box::new(ip(frame, &layout)?)),
        L3::Other => {
            let payload = Payload::of(frame.get(layout.l3_offset.into()..end)?);
            Body::Ether(layout.ether_type, payload)
        }
    };
    Some(Packet {
        src,
        dst,
        tags,
        body,
        pad: frame.len() - end,
    })
}

fn arp(frame: &[u8], layout: &Layout) -> Option<Arp> {
    let bytes: &[u8; 28] = array(frame, layout.l3_offset.into())?;
    Some(Arp {
        reverse: layout.ether_type == ether_type::RARP,
        operation: u16::from_be_bytes(*array(bytes, 6)?),
        sha: *array(bytes, 8)?,
        spa: Ipv4Addr::from(*array::<4>(bytes, 14)?),
        tha: *array(bytes, 18)?,
        tpa: Ipv4Addr::from(*array::<4>(bytes, 24)?),
    })
}

fn ip(frame: &[u8], layout: &Layout) -> Option<Ip> {
    let (src, dst) = match IpPair::of(frame, layout)? {
        IpPair::V4 { src, dst } => (IpAddr::V4(src), IpAddr::V4(dst)),
        IpPair::V6 { src, dst } => (IpAddr::V6(src), IpAddr::V6(dst)),
    };
    let start = usize::from(layout.l3_offset);
    let header = frame.get(start..layout.l4_offset.into())?;
    let l4 = frame.get(layout.l4_offset.into()..layout.l3_end as usize)?;
    let (options, ttl, protocol) = if layout.l3 == L3::Ipv4 {
        ipv4_options(header, layout)?
    } else {
        ipv6_options(header, layout)?
    };
    let first = layout.fragment != layout::Fragment::Later;
    let (transport, payload) = match transport(l4, layout, protocol) {
        Some((transport, header_size)) if first => {
            let payload = payload(l4.get(header_size..)?, layout, &transport);
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
            there?,
            |options| &mut options.csum,
            |packet| packet.ends_with(l4),
        );
    }
    if layout.l3 == L3::Ipv4 {
        let there = u16::from_be_bytes(*array(header, 10)?).into();
        choose_csum(
            &mut ip,
            there,
            |options| &mut options.ipv4_csum,
            |packet| packet.starts_with(header),
        );
    }
    Some(ip)
}

/// The checksum in an L4 header that has one.
fn l4_checksum(transport: &Transport, l4: &[u8]) -> Option<Option<u32>> {
    let at = match transport {
        Transport::Tcp(_) => 16,
        Transport::Udp { .. } => 6,
        Transport::Icmp { .. } => 2,
        Transport::Sctp { .. } => {
            return Some(array(l4, 8).map(|bytes| u32::from_be_bytes(*bytes)));
        }
        Transport::Other(_) => return None,
    };
    Some(array(l4, at).map(|bytes| u16::from_be_bytes(*bytes).into()))
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

fn ipv4_options(header: &[u8], layout: &Layout) -> Option<(IpOptions, u8, u8)> {
    let fixed: &[u8; 20] = array(header, 0)?;
    let id = u16::from_be_bytes([fixed[4], fixed[5]]);
    let flags = u16::from_be_bytes([fixed[6], fixed[7]]);
    let mut options = IpOptions {
        tos: fixed[1],
        ipv4_df: flags & 0x4000 != 0,
        ipv4_options: header.get(20..)?.to_vec(),
        ..IpOptions::default()
    };
    if layout.fragment == layout::Fragment::No {
        options.ipv4_id = id;
    } else {
        options.fragment = Some(Fragment {
            id: id.into(),
            offset: (flags & 0x1fff) << 3,
            more: flags & 0x2000 != 0,
        });
    }
    Some((options, fixed[8], fixed[9]))
}

fn ipv6_options(header: &[u8], layout: &Layout) -> Option<(IpOptions, u8, u8)> {
    let fixed: &[u8; 40] = array(header, 0)?;
    let start = u32::from_be_bytes(*array(fixed, 0)?);
    let mut options = IpOptions {
        tos: (start >> 20) as u8,
        ipv6_label: start & 0x000f_ffff,
        ..IpOptions::default()
    };
    let mut next = fixed[6];
    let mut rest = header.get(40..)?;
    while let &[inner, units, ..] = rest {
        let size = match next {
            protocol::FRAGMENT => 8,
            protocol::AH => (usize::from(units) + 2) * 4,
            _ => (usize::from(units) + 1) * 8,
        };
        let (extension, behind) = rest.split_at_checked(size)?;
        if next == protocol::FRAGMENT {
            let offset = u16::from_be_bytes(*array(extension, 2)?);
            options.fragment = Some(Fragment {
                id: u32::from_be_bytes(*array(extension, 4)?),
                offset: offset & 0xfff8,
                more: offset & 1 != 0,
            });
        } else {
            options
                .ipv6_extensions
                .push((next, extension.get(2..)?.to_vec()));
        }
        next = inner;
        rest = behind;
    }
    let protocol = if layout.fragment == layout::Fragment::Later {
        next
    } else {
        layout.protocol
    };
    Some((options, fixed[7], protocol))
}

/// The transport header and its size, also in a first fragment.
fn transport(l4: &[u8], layout: &Layout, number: u8) -> Option<(Transport, usize)> {
    let ports = || {
        let &[s0, s1, d0, d1] = array(l4, 0)?;
        Some((u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1])))
    };
    match (number, layout.l3) {
        (protocol::TCP, _) => {
            let fixed: &[u8; 20] = array(l4, 0)?;
            let size = usize::from(fixed[12] >> 4) * 4;
            let options = l4.get(20..size)?;
            let tcp = Tcp {
                ports: ports()?,
                flags: u16::from_be_bytes([fixed[12], fixed[13]]) & 0x01ff,
                seq: u32::from_be_bytes(*array(fixed, 4)?),
                ack: u32::from_be_bytes(*array(fixed, 8)?),
                window: u16::from_be_bytes(*array(fixed, 14)?),
                urgent: u16::from_be_bytes(*array(fixed, 18)?),
                options: tcp_options(options),
            };
            Some((Transport::Tcp(tcp), size))
        }
        (protocol::UDP, _) => {
            let len = u16::from_be_bytes(*array(l4, 4)?);
            l4.get(..8)?;
            let len = (usize::from(len) != l4.len()).then_some(len);
            Some((
                Transport::Udp {
                    ports: ports()?,
                    len,
                },
                8,
            ))
        }
        (protocol::SCTP, _) => {
            l4.get(..12)?;
            let vtag = u32::from_be_bytes(*array(l4, 4)?);
            Some((
                Transport::Sctp {
                    ports: ports()?,
                    vtag,
                },
                12,
            ))
        }
        (protocol::ICMP, L3::Ipv4) | (protocol::ICMPV6, L3::Ipv6) => {
            let &[icmp_type, code, _, _, r0, r1, r2, r3] = array(l4, 0)?;
            let rest = u32::from_be_bytes([r0, r1, r2, r3]);
            Some((
                Transport::Icmp {
                    icmp_type,
                    code,
                    rest,
                },
                8,
            ))
        }
        (_, _) => None,
    }
}

fn tcp_options(bytes: &[u8]) -> TcpOptions {
    let mut known = KnownTcpOptions::default();
    let mut rest = bytes;
    loop {
        rest = match rest {
            [1, more @ ..] => more,
            [2, 4, a, b, more @ ..] => {
                known.mss = Some(u16::from_be_bytes([*a, *b]));
                more
            }
            [3, 3, shift, more @ ..] => {
                known.window_scale = Some(*shift);
                more
            }
            [4, 2, more @ ..] => {
                known.sack_ok = true;
                more
            }
            [8, 10, a, b, c, d, e, f, g, h, more @ ..] => {
                let value = u32::from_be_bytes([*a, *b, *c, *d]);
                let echo = u32::from_be_bytes([*e, *f, *g, *h]);
                known.timestamps = Some((value, echo));
                more
            }
            _ => break,
        };
    }
    if encode::tcp_options(known) == bytes {
        TcpOptions::Known(known)
    } else {
        TcpOptions::Raw(bytes.to_vec())
    }
}

fn payload(bytes: &[u8], layout: &Layout, transport: &Transport) -> Payload {
    let special = match transport {
        Transport::Icmp { icmp_type, .. } => {
            let is_ipv6 = layout.l3 == L3::Ipv6;
            if quotes(is_ipv6, *icmp_type) {
                quote(bytes)
            } else if is_ipv6 && matches!(icmp_type, 135 | 136) {
                neighbor(bytes)
            } else {
                None
            }
        }
        Transport::Sctp { .. } => chunks(bytes),
        Transport::Tcp(_) | Transport::Udp { .. } | Transport::Other(_) => None,
    };
    special.unwrap_or_else(|| Payload::of(bytes))
}

fn neighbor(bytes: &[u8]) -> Option<Payload> {
    let (target, options) = bytes.split_first_chunk::<16>()?;
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

fn chunks(bytes: &[u8]) -> Option<Payload> {
    let mut chunks = Vec::new();
    let mut rest = bytes;
    while let &[chunk_type, flags, l0, l1, ..] = rest {
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        chunks.push((chunk_type, flags, rest.get(4..len)?.to_vec()));
        let (padding, more) = rest
            .get(len..)?
            .split_at_checked(len.next_multiple_of(4) - len)?;
        if padding.iter().any(|&byte| byte != 0) {
            return None;
        }
        rest = more;
    }
    (rest.is_empty() && !chunks.is_empty()).then_some(Payload::Chunks(chunks))
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
    let packet = Box::new(ip(&frame, &layout)?);
    let quote = Payload::Quote { packet, cut };
    let same = encode_quote(&quote).as_deref() == Some(bytes);
    same.then_some(quote)
}

fn encode_quote(quote: &Payload) -> Option<Vec<u8>> {
    let Payload::Quote { packet, cut } = quote else {
        return None;
    };
    let mut bytes = encode::ip(packet).ok()?;
    bytes.truncate(cut.unwrap_or(usize::MAX));
    Some(bytes)
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
