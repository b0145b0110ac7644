//! Takes outer headers off.
//!
//! Everything is checked before anything is changed: IPv4 header checksum, UDP checksum if there
//! is one, the tunnel's own header. What the outer IP packet does not cover is Ethernet padding
//! and goes.

use std::net::IpAddr;

use weir_packet::checksum::{Sum, ipv4_header_checksum_ok, l4_checksum_ok};
use weir_packet::view::{Geneve, Gre, Udp, Vxlan};
use weir_packet::{ChecksumStatus, Frame, IpPair, L3, Layout, ether_type, parse};

use super::config::{Remote, TunnelConfig, TunnelKey, TunnelKind, Tunnels};
use super::ecn;
use super::ingress::{Meta, WORDS};
use super::options::{OptionWords, TlvMap};
use crate::drops::DropReason;
use crate::field::Field;
use crate::key::{FlowKey, word};
use crate::port::PortIndex;

/// Bytes of an inner frame that lie in its first segment, as of a frame that was received.
const HEAD_BYTES: u16 = 256;

/// What a tunnel's header says.
struct Header {
    key: u32,
    is_oam: bool,
    options: OptionWords,
    /// Where the inner frame begins.
    inner: usize,
}

/// Makes a frame that came in at `over`, for one of our addresses, the frame that it carries.
///
/// # Errors
/// Why it is to be dropped. The frame may have been changed then.
pub(super) fn decapsulate<F: Frame>(
    frame: &mut F,
    layout: &Layout,
    over: PortIndex,
    kind: TunnelKind,
    tunnels: &Tunnels,
    options: &TlvMap,
) -> Result<Meta, DropReason> {
    if !checksums_right(frame, layout, kind) {
        return Err(DropReason::TunnelChecksum);
    }
    let header = header(frame, layout, kind, options)?;
    let ip = IpPair::of(frame.head(), layout).ok_or(DropReason::TunnelMalformed)?;
    let (src, local): (IpAddr, IpAddr) = match ip {
        IpPair::V4 { src, dst } => (src.into(), dst.into()),
        IpPair::V6 { src, dst } => (src.into(), dst.into()),
    };
    let packet = TunnelConfig {
        kind,
        over,
        local,
        remote: Remote::Flow,
        key: TunnelKey::Flow,
        dst_port: dst_port(frame.head(), layout, kind),
    };
    let port = tunnels
        .find(&packet, src, header.key)
        .ok_or(DropReason::TunnelUnknown)?;
    let words = words(frame.head(), layout, ip, &header);
    let outer_tos = ecn::tos(frame.head(), layout).unwrap_or(0);

    // Padding fits into the first segment: a frame that is padded is short.
    let end = layout.l3_end as usize;
    if end < frame.len() && end <= frame.head().len() {
        frame.truncate(end);
    }
    frame.pull_front(header.inner);
    frame.forget_checksums();
    frame.gather_head(HEAD_BYTES);
    if outer_tos & ecn::MASK != 0
        && let Ok(inner) = parse(frame.head(), frame.len())
        && !ecn::carry_inwards(frame.head_mut(), &inner, outer_tos)
    {
        return Err(DropReason::TunnelEcn);
    }
    Ok(Meta {
        port,
        words,
        options: header.options,
        number: 0,
    })
}

/// Where the inner frame begins; none if the tunnel's header is not one that weir understands.
pub(super) fn inner<F: Frame>(
    frame: &F,
    layout: &Layout,
    kind: TunnelKind,
    options: &TlvMap,
) -> Option<usize> {
    header(frame, layout, kind, options)
        .ok()
        .map(|header| header.inner)
}

/// The outer checksums; the device may vouch for them.
fn checksums_right<F: Frame>(frame: &F, layout: &Layout, kind: TunnelKind) -> bool {
    let header = match frame.ip_checksum_status() {
        ChecksumStatus::Good => true,
        ChecksumStatus::Bad => layout.l3 != L3::Ipv4,
        ChecksumStatus::Unknown => ipv4_header_checksum_ok(frame.head(), layout),
    };
    let l4 = match (kind, frame.l4_checksum_status()) {
        // A device does not know GRE's.
        (TunnelKind::Gre, _) | (_, ChecksumStatus::Good) => true,
        (_, ChecksumStatus::Bad) => false,
        // Zero is allowed over IPv6, too: who configures a tunnel knows (RFC 6935 5).
        (_, ChecksumStatus::Unknown) => {
            udp(frame.head(), layout).is_some_and(|udp| udp.checksum() == 0)
                || l4_checksum_ok(frame, layout)
        }
    };
    header && l4
}

fn udp<'a>(head: &'a [u8], layout: &Layout) -> Option<Udp<'a>> {
    let l4 = head.get(layout.l4_offset.into()..)?;
    Udp::split(l4).ok().map(|(udp, _)| udp)
}

fn dst_port(head: &[u8], layout: &Layout, kind: TunnelKind) -> u16 {
    match kind {
        TunnelKind::Gre => 0,
        TunnelKind::Geneve | TunnelKind::Vxlan => udp(head, layout).map_or(0, |udp| udp.dst_port()),
    }
}

/// Reads the tunnel's header.
///
/// # Errors
/// It is not one that weir understands, or an option in it is not.
fn header<F: Frame>(
    frame: &F,
    layout: &Layout,
    kind: TunnelKind,
    options: &TlvMap,
) -> Result<Header, DropReason> {
    let malformed = DropReason::TunnelMalformed;
    let head = frame.head();
    let end = head.len().min(layout.l3_end as usize);
    let l4 = head.get(layout.l4_offset.into()..end).ok_or(malformed)?;
    let behind_udp = l4.get(8..).ok_or(malformed);
    let inner = |rest: &[u8]| end - rest.len();
    match kind {
        TunnelKind::Vxlan => {
            let (vxlan, rest) = Vxlan::split(behind_udp?).map_err(|_| malformed)?;
            Ok(Header {
                key: vxlan.vni(),
                is_oam: false,
                options: OptionWords::NONE,
                inner: inner(rest),
            })
        }
        TunnelKind::Geneve => {
            let (geneve, rest) = Geneve::split(behind_udp?).map_err(|_| malformed)?;
            if geneve.protocol() != ether_type::TEB {
                return Err(malformed);
            }
            let options = match geneve.raw_options() {
                [] => OptionWords::NONE,
                raw => OptionWords::read(raw, options).map_err(|_| DropReason::TunnelOptions)?,
            };
            Ok(Header {
                key: geneve.vni(),
                is_oam: geneve.is_oam(),
                options,
                inner: inner(rest),
            })
        }
        TunnelKind::Gre => {
            let (gre, rest) = Gre::split(l4).map_err(|_| malformed)?;
            let checked = !gre.has_checksum() || gre_checksum_right(frame, layout);
            if gre.protocol() != ether_type::TEB || !checked {
                return Err(malformed);
            }
            Ok(Header {
                key: gre.key().unwrap_or(0),
                is_oam: false,
                options: OptionWords::NONE,
                inner: inner(rest),
            })
        }
    }
}

/// The checksum over a GRE packet, which covers its payload (RFC 2784 2.3).
fn gre_checksum_right<F: Frame>(frame: &F, layout: &Layout) -> bool {
    let (mut skip, mut left) = (
        usize::from(layout.l4_offset),
        layout.l3_end as usize - usize::from(layout.l4_offset),
    );
    let mut sum = Sum::new();
    for segment in std::iter::once(frame.head()).chain(frame.tail()) {
        let from = skip.min(segment.len());
        let to = (from + left).min(segment.len());
        sum.add_bytes(&segment[from..to]);
        (skip, left) = (skip - from, left - (to - from));
    }
    sum.is_right()
}

/// What the outer headers say, as a flow key has it.
fn words(head: &[u8], layout: &Layout, ip: IpPair, header: &Header) -> [u64; WORDS] {
    let mut key = FlowKey::ZERO;
    let mut set = |field: Field, value: u128| key.set_field(field, value);
    set(Field::TUN_ID, header.key.into());
    match ip {
        IpPair::V4 { src, dst } => {
            set(Field::TUN_SRC, src.to_bits().into());
            set(Field::TUN_DST, dst.to_bits().into());
        }
        IpPair::V6 { src, dst } => {
            set(Field::TUN_IPV6_SRC, src.to_bits());
            set(Field::TUN_IPV6_DST, dst.to_bits());
        }
    }
    let ttl_at = if layout.l3 == L3::Ipv4 { 8 } else { 7 };
    let ttl = head.get(usize::from(layout.l3_offset) + ttl_at);
    set(Field::TUN_TTL, ttl.copied().unwrap_or(0).into());
    let tos = ecn::tos(head, layout).unwrap_or(0);
    set(Field::TUN_TOS, tos.into());
    set(Field::TUN_FLAGS, header.is_oam.into());
    let first = usize::from(word::TUN_ID);
    std::array::from_fn(|at| key.words()[first + at])
}
