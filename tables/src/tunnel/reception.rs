//! What becomes of a frame of an underlay port before the tables.
//!
//! weir is a host under the addresses of its tunnels: it answers ARP, Neighbour Solicitation and
//! echo for them, and hears answers to its own questions. All else that is not a tunnel's goes
//! its way through the tables.

use std::net::IpAddr;

use weir_nat::rewrite;
use weir_packet::checksum::{ipv4_header_checksum_ok, l4_checksum_ok};
use weir_packet::protocol::{icmp, icmpv6};
use weir_packet::view::{Arp, Icmpv6};
use weir_packet::{Fragment, Frame, IpPair, L3, L4, Layout, Tick, parse, protocol};

use super::config::{TunnelKind, Tunnels};
use super::decap;
use super::ingress::Meta;
use super::neighbours::{Claim, Neighbours};
use super::options::TlvMap;
use super::solicit::{NdBody, arp, neighbour_discovery, replace, solicited_node};
use crate::drops::DropReason;
use crate::port::PortIndex;

/// TTL of an answer to an echo.
const ECHO_TTL: u8 = 64;
/// Neighbour Advertisement: solicited, override.
const ADVERT_FLAGS: u8 = 0x60;
/// Where Override lies among the flags.
const OVERRIDE: u8 = 0x20;
/// Where Solicited lies among the flags.
const SOLICITED: u8 = 0x40;
/// Neighbour Discovery options: the sender's and the target's MAC address.
const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;

/// What a frame of an underlay port is to us.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one at a time, on the stack"
)]
pub(crate) enum Reception {
    /// Nothing: it goes to the tables as it is.
    Ordinary,
    /// It came through a tunnel, and is now what it carried.
    Inner(Meta),
    /// It is to be dropped.
    Dropped(DropReason),
    /// It is for ourselves; see [`answer`].
    Ours(Layout, Ours),
}

/// What somebody wants of us.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ours {
    /// ARP about one of our addresses.
    Arp,
    /// A Neighbour Solicitation for one of our addresses.
    Solicit,
    /// A Neighbour Advertisement to one of our addresses.
    Advert,
    /// An echo request.
    Echo,
}

/// Looks at a frame that came in at `over`, and decapsulates it if it came through a tunnel.
pub(crate) fn classify<F: Frame>(
    frame: &mut F,
    over: PortIndex,
    tunnels: &Tunnels,
    options: &TlvMap,
) -> Reception {
    let Ok(layout) = parse(frame.head(), frame.len()) else {
        return Reception::Ordinary;
    };
    // A broken L4 header of an outer packet is broken for all that read it.
    if layout.vlan_tags > 0 || layout.malformed.is_some() {
        return Reception::Ordinary;
    }
    if layout.l3 == L3::Arp {
        let is_ours = arp_of(frame.head(), &layout)
            .is_some_and(|arp| tunnels.is_local(over, arp.tpa().into()));
        return if is_ours {
            Reception::Ours(layout, Ours::Arp)
        } else {
            Reception::Ordinary
        };
    }
    let (src, dst): (IpAddr, IpAddr) = match IpPair::of(frame.head(), &layout) {
        None => return Reception::Ordinary,
        Some(IpPair::V4 { src, dst }) => (src.into(), dst.into()),
        Some(IpPair::V6 { src, dst }) => (src.into(), dst.into()),
    };
    if !tunnels.is_local(over, dst) {
        let asks_for_us = layout.l4 == L4::Icmpv6
            && solicited(frame, &layout).is_some_and(|target| {
                dst == IpAddr::V6(solicited_node(target)) && tunnels.is_local(over, target.into())
            });
        return if asks_for_us {
            Reception::Ours(layout, Ours::Solicit)
        } else {
            Reception::Ordinary
        };
    }
    let kind = match (layout.l4, layout.protocol) {
        (L4::Udp, _) => udp_service(frame.head(), &layout, tunnels),
        (L4::None, protocol::GRE) if layout.fragment == Fragment::No => Some(TunnelKind::Gre),
        (L4::None, protocol::GRE | protocol::UDP) if layout.fragment != Fragment::No => {
            return Reception::Dropped(DropReason::TunnelFragment);
        }
        (L4::Icmp | L4::Icmpv6, _) => {
            return match message(frame, &layout) {
                Some(ours) if !src.is_multicast() => Reception::Ours(layout, ours),
                Some(_) | None => Reception::Ordinary,
            };
        }
        (_, _) => None,
    };
    let Some(kind) = kind else {
        return Reception::Ordinary;
    };
    match decap::decapsulate(frame, &layout, over, kind, tunnels, options) {
        Ok(meta) => Reception::Inner(meta),
        Err(reason) => Reception::Dropped(reason),
    }
}

/// Where the packet begins that a frame of `over` carries through a tunnel, as far as its headers
/// say; none if it carries none. Nothing is verified but what must be read, and nothing changed.
pub(crate) fn carried<F: Frame>(
    frame: &F,
    layout: &Layout,
    over: PortIndex,
    tunnels: &Tunnels,
    options: &TlvMap,
) -> Option<usize> {
    let is_whole = layout.malformed.is_none() && layout.fragment == Fragment::No;
    if !is_whole || layout.vlan_tags > 0 {
        return None;
    }
    let dst = match IpPair::of(frame.head(), layout)? {
        IpPair::V4 { dst, .. } => dst.into(),
        IpPair::V6 { dst, .. } => dst.into(),
    };
    if !tunnels.is_local(over, dst) {
        return None;
    }
    let kind = match (layout.l4, layout.protocol) {
        (L4::Udp, _) => udp_service(frame.head(), layout, tunnels)?,
        (L4::None, protocol::GRE) => TunnelKind::Gre,
        (_, _) => return None,
    };
    decap::inner(frame, layout, kind, options)
}

/// What runs at the UDP port that a packet goes to.
fn udp_service(head: &[u8], layout: &Layout, tunnels: &Tunnels) -> Option<TunnelKind> {
    let port = head.get(usize::from(layout.l4_offset) + 2..);
    let port = port.and_then(|bytes| bytes.first_chunk());
    tunnels.service(port.map_or(0, |port| u16::from_be_bytes(*port)))
}

/// Does what is wanted of us. Returns whether the frame is now an answer, to be sent where it
/// came from; else it was one to us.
pub(crate) fn answer<F: Frame>(
    frame: &mut F,
    layout: &Layout,
    ours: Ours,
    over: PortIndex,
    neighbours: &mut Neighbours,
    now: Tick,
) -> bool {
    let own_mac = neighbours.own_mac(over);
    match ours {
        Ours::Arp => {
            let Some(asked) = arp_of(frame.head(), layout) else {
                return false;
            };
            let (sha, spa, tpa) = (asked.sha(), asked.spa(), asked.tpa());
            let is_answer = asked.operation() == 2;
            let claim = Claim {
                ip: spa.into(),
                mac: sha,
                is_answer,
                overrides: true,
            };
            neighbours.learn(over, claim, now);
            asked.operation() == 1 && replace(frame, &arp(2, [own_mac, sha], tpa, spa, Some(sha)))
        }
        Ours::Solicit => advertise(frame, layout, over, own_mac, neighbours, now),
        Ours::Advert => {
            if let Some(claim) = advertised(frame.head(), layout) {
                neighbours.learn(over, claim, now);
            }
            false
        }
        Ours::Echo => {
            echo(frame.head_mut(), layout, own_mac);
            true
        }
    }
}

fn arp_of<'a>(head: &'a [u8], layout: &Layout) -> Option<Arp<'a>> {
    let bytes = head.get(layout.l3_offset.into()..)?;
    Arp::split(bytes).ok().map(|(arp, _)| arp)
}

/// What a whole ICMP or ICMPv6 message to one of our addresses wants, if it is right.
fn message<F: Frame>(frame: &F, layout: &Layout) -> Option<Ours> {
    let l4 = frame.head().get(layout.l4_offset.into()..)?;
    let &[kind, code, ..] = l4.first_chunk::<8>()?;
    let ours = match (layout.l4, kind, code) {
        (L4::Icmp, icmp::ECHO_REQUEST, 0) | (L4::Icmpv6, icmpv6::ECHO_REQUEST, 0) => Ours::Echo,
        (L4::Icmpv6, icmpv6::NEIGHBOR_SOLICIT, 0) => {
            solicited(frame, layout)?;
            Ours::Solicit
        }
        (L4::Icmpv6, icmpv6::NEIGHBOR_ADVERT, 0) if is_from_the_link(frame.head(), layout) => {
            Ours::Advert
        }
        (_, _, _) => return None,
    };
    let right = ipv4_header_checksum_ok(frame.head(), layout) && l4_checksum_ok(frame, layout);
    right.then_some(ours)
}

/// Whether no router passed the packet on (RFC 4861 7.1).
fn is_from_the_link(head: &[u8], layout: &Layout) -> bool {
    head.get(usize::from(layout.l3_offset) + 7) == Some(&255)
}

/// Whom a right Neighbour Solicitation asks for.
fn solicited<F: Frame>(frame: &F, layout: &Layout) -> Option<std::net::Ipv6Addr> {
    let l4 = frame.head().get(layout.l4_offset.into()..)?;
    let (header, _) = Icmpv6::split(l4).ok()?;
    let is_one =
        header.icmp_type() == icmpv6::NEIGHBOR_SOLICIT && is_from_the_link(frame.head(), layout);
    let target: &[u8; 16] = l4.get(8..)?.first_chunk()?;
    (is_one && l4_checksum_ok(frame, layout)).then(|| (*target).into())
}

/// The MAC address that a Neighbour Discovery message has in an option.
fn link_layer(head: &[u8], layout: &Layout, wanted: u8) -> Option<[u8; 6]> {
    let end = head.len().min(layout.l3_end as usize);
    let mut options = head.get(usize::from(layout.l4_offset) + 24..end)?;
    while let Some(&[kind, units]) = options.first_chunk() {
        let (option, rest) = options.split_at_checked(usize::from(units).max(1) * 8)?;
        if kind == wanted && units == 1 {
            return option.get(2..)?.first_chunk().copied();
        }
        options = rest;
    }
    None
}

/// Makes a Neighbour Solicitation the advertisement that answers it (RFC 4861 7.2.4).
fn advertise<F: Frame>(
    frame: &mut F,
    layout: &Layout,
    over: PortIndex,
    own_mac: [u8; 6],
    neighbours: &mut Neighbours,
    now: Tick,
) -> bool {
    let head = frame.head();
    let (Some(target), Some(IpPair::V6 { src, .. })) =
        (solicited(frame, layout), IpPair::of(head, layout))
    else {
        return false;
    };
    let sender = link_layer(head, layout, SOURCE_LINK_LAYER);
    if let Some(mac) = sender {
        let claim = Claim {
            ip: src.into(),
            mac,
            is_answer: false,
            overrides: true,
        };
        neighbours.learn(over, claim, now);
    }
    let from = head.get(6..12).and_then(|mac| mac.first_chunk().copied());
    let (flags, dst, to) = if src.is_unspecified() {
        // Somebody looks whether the address is free: everybody is told that it is not.
        let all_nodes = std::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
        (OVERRIDE, all_nodes, [0x33, 0x33, 0, 0, 0, 1])
    } else {
        (ADVERT_FLAGS, src, sender.or(from).unwrap_or_default())
    };
    let body = NdBody {
        kind: icmpv6::NEIGHBOR_ADVERT,
        flags,
        target,
        option: TARGET_LINK_LAYER,
        own_mac,
    };
    neighbour_discovery(frame, to, target, dst, &body)
}

/// What a Neighbour Advertisement says.
fn advertised(head: &[u8], layout: &Layout) -> Option<Claim> {
    let l4 = head.get(layout.l4_offset.into()..)?;
    let (header, _): (&[u8; 24], _) = l4.split_first_chunk()?;
    let target: &[u8; 16] = header[8..].first_chunk()?;
    let from = head.get(6..12)?.first_chunk().copied();
    let mac = link_layer(head, layout, TARGET_LINK_LAYER).or(from)?;
    Some(Claim {
        ip: std::net::Ipv6Addr::from(*target).into(),
        mac,
        is_answer: header[4] & SOLICITED != 0,
        overrides: header[4] & OVERRIDE != 0,
    })
}

/// Makes an echo request its reply. Swapped addresses leave every sum as it was.
fn echo(head: &mut [u8], layout: &Layout, own_mac: [u8; 6]) {
    if let Some(macs) = head.first_chunk_mut::<12>() {
        let (dst, src) = macs.split_at_mut(6);
        dst.copy_from_slice(src);
        src.copy_from_slice(&own_mac);
    }
    let (at, size, reply) = match layout.l3 {
        L3::Ipv4 => (12, 4, icmp::ECHO_REPLY),
        _ => (8, 16, icmpv6::ECHO_REPLY),
    };
    let start = usize::from(layout.l3_offset) + at;
    if let Some(addresses) = head.get_mut(start..start + 2 * size) {
        let (src, dst) = addresses.split_at_mut(size);
        src.swap_with_slice(dst);
    }
    rewrite::set_icmp_type(head, layout, reply);
    match layout.l3 {
        L3::Ipv4 => rewrite::set_ipv4_ttl(head, layout, ECHO_TTL),
        _ => rewrite::set_ipv6_hop_limit(head, layout, ECHO_TTL),
    }
}
