//! The outer headers of what is sent through a tunnel.
//!
//! All that is the same for every packet of a destination is in [`Outer`]; the rest depends on
//! the packet: lengths, checksums, ECN, the source port. So a trajectory can name an [`Outer`].

use std::net::IpAddr;

use weir_packet::checksum::{Sum, write_l4_checksum};
use weir_packet::view::{Geneve, Gre, Vxlan};
use weir_packet::{Frame, IpPair, L3, L4, Layout, NoHeadroom, ether_type, protocol};

use super::config::{Remote, TunnelConfig, TunnelKey, TunnelKind};
use super::ecn;
use super::neighbours::NeighbourPlace;
use super::options::RawOptions;
use crate::field::Field;
use crate::key::FlowKey;
use crate::port::PortIndex;

#[cfg(test)]
mod tests;

/// TTL of outer packets (Open vSwitch's `DEFAULT_TTL`).
const TTL: u8 = 64;
/// IPv4: do not fragment (Open vSwitch's `df_default`).
const DONT_FRAGMENT: u16 = 0x4000;
/// Source ports of outer UDP packets, as in Open vSwitch.
const SOURCE_PORTS: std::ops::Range<u16> = 32_768..61_000;

/// Sizes of headers in bytes.
const ETHERNET: usize = 14;
const IPV4: usize = 20;
const IPV6: usize = 40;
const UDP: usize = 8;

/// Where a packet is to go through a tunnel: what the flow key said when it was output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    /// The other end.
    pub(crate) remote: IpAddr,
    /// The key; `None`: the header has none.
    pub(crate) key: Option<u32>,
    /// Whether it is a control packet.
    pub(crate) is_oam: bool,
    /// Whether the packet has options that a header of this kind carries.
    pub(crate) has_options: bool,
}

impl Destination {
    /// Where a packet with this flow key goes; `None`: the key names no host.
    pub(crate) fn of(config: &TunnelConfig, key: &FlowKey) -> Option<Self> {
        let remote = match (config.remote, config.local) {
            (Remote::Address(remote), _) => remote,
            (Remote::Flow, IpAddr::V4(_)) => {
                let bits = key.field(Field::TUN_DST) as u32;
                IpAddr::V4(bits.into())
            }
            (Remote::Flow, IpAddr::V6(_)) => IpAddr::V6(key.field(Field::TUN_IPV6_DST).into()),
        };
        if remote.is_unspecified() || remote.is_multicast() {
            return None;
        }
        let number = match config.key {
            TunnelKey::Absent => None,
            TunnelKey::Number(number) => Some(number),
            TunnelKey::Flow => Some(key.field(Field::TUN_ID) as u32 & config.kind.max_key()),
        };
        Some(Self {
            remote,
            key: number,
            is_oam: key.field(Field::TUN_FLAGS) & 1 != 0,
            has_options: config.kind == TunnelKind::Geneve && key.has_options(),
        })
    }
}

/// What the outer headers of all packets of a destination have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Outer {
    /// The tunnel port.
    pub(crate) tunnel: PortIndex,
    /// The port ridden on.
    pub(crate) over: PortIndex,
    pub(crate) kind: TunnelKind,
    /// The key; `None`: the header has none.
    pub(crate) key: Option<u32>,
    pub(crate) is_oam: bool,
    pub(crate) options: RawOptions,
    /// Destination and source MAC address.
    pub(crate) macs: [[u8; 6]; 2],
    pub(crate) local: IpAddr,
    pub(crate) remote: IpAddr,
    pub(crate) dst_port: u16,
    /// Who the destination MAC address is.
    pub(crate) next_hop: NeighbourPlace,
}

impl Outer {
    /// What goes from `config`'s end to `to`.
    pub(crate) fn new(
        tunnel: PortIndex,
        config: &TunnelConfig,
        to: &Destination,
        macs: [[u8; 6]; 2],
        next_hop: NeighbourPlace,
    ) -> Self {
        Self {
            tunnel,
            over: config.over,
            kind: config.kind,
            key: to.key,
            is_oam: to.is_oam,
            options: RawOptions::NONE,
            macs,
            local: config.local,
            remote: to.remote,
            dst_port: config.dst_port,
            next_hop,
        }
    }

    /// Bytes that are put in front of a frame.
    pub(crate) fn size(&self) -> usize {
        let ip = if self.local.is_ipv4() { IPV4 } else { IPV6 };
        let tunnel = match self.kind {
            TunnelKind::Vxlan => UDP + Vxlan::SIZE,
            TunnelKind::Geneve => UDP + Geneve::SIZE + self.options.bytes().len(),
            TunnelKind::Gre => 4 + 4 * usize::from(self.key.is_some()),
        };
        ETHERNET + ip + tunnel
    }

    /// Puts the headers in front of a frame, whose headers lie where `layout` says.
    ///
    /// # Errors
    /// If there is no room; the frame is then unchanged.
    pub(crate) fn wrap<F: Frame>(&self, frame: &mut F, layout: &Layout) -> Result<(), NoHeadroom> {
        let tos = ecn::carried_outwards(frame.head(), layout);
        let entropy = flow_hash(frame.head(), layout);
        let size = self.size();
        frame.push_front(size)?;
        let len = frame.len();
        let ip_len = len - ETHERNET;
        let headers = frame.head_mut().get_mut(..size).unwrap_or_default();
        let mut rest = Writer(headers);
        rest.put(&self.macs[0]);
        rest.put(&self.macs[1]);
        let number = match self.kind {
            TunnelKind::Gre => protocol::GRE,
            TunnelKind::Geneve | TunnelKind::Vxlan => protocol::UDP,
        };
        match (self.local, self.remote) {
            (IpAddr::V4(local), IpAddr::V4(remote)) => {
                rest.put(&ether_type::IPV4.to_be_bytes());
                let mut header = [0; IPV4];
                header[0] = 0x45;
                header[1] = tos;
                header[2..4].copy_from_slice(&(ip_len as u16).to_be_bytes());
                header[6..8].copy_from_slice(&DONT_FRAGMENT.to_be_bytes());
                header[8] = TTL;
                header[9] = number;
                header[12..16].copy_from_slice(&local.octets());
                header[16..20].copy_from_slice(&remote.octets());
                let mut sum = Sum::new();
                sum.add_bytes(&header);
                header[10..12].copy_from_slice(&sum.finish().to_bytes());
                rest.put(&header);
            }
            (local, remote) => {
                rest.put(&ether_type::IPV6.to_be_bytes());
                rest.put(&(6 << 28 | u32::from(tos) << 20).to_be_bytes());
                rest.put(&((ip_len - IPV6) as u16).to_be_bytes());
                rest.put(&[number, TTL]);
                rest.put(&v6_octets(local));
                rest.put(&v6_octets(remote));
            }
        }
        let key = self.key.unwrap_or(0);
        match self.kind {
            TunnelKind::Gre => {
                rest.put(&Gre::header(ether_type::TEB, self.key.is_some()));
                if self.key.is_some() {
                    rest.put(&key.to_be_bytes());
                }
            }
            TunnelKind::Vxlan => {
                self.put_udp(&mut rest, entropy, len);
                rest.put(&Vxlan::header(key));
            }
            TunnelKind::Geneve => {
                self.put_udp(&mut rest, entropy, len);
                let options = self.options.bytes();
                let critical = self.options.has_critical();
                rest.put(&Geneve::header(key, options.len(), self.is_oam, critical));
                rest.put(options);
            }
        }
        if self.local.is_ipv6() && number == protocol::UDP {
            write_l4_checksum(frame, &udp_over_ipv6(len));
        }
        Ok(())
    }

    /// The UDP header of a frame of `len` bytes in all, without a checksum.
    fn put_udp(&self, rest: &mut Writer<'_>, entropy: u32, len: usize) {
        let ip = if self.local.is_ipv4() { IPV4 } else { IPV6 };
        let range = u64::from(SOURCE_PORTS.end - SOURCE_PORTS.start);
        let src_port = SOURCE_PORTS.start + ((u64::from(entropy) * range) >> 32) as u16;
        rest.put(&src_port.to_be_bytes());
        rest.put(&self.dst_port.to_be_bytes());
        rest.put(&((len - ETHERNET - ip) as u16).to_be_bytes());
        rest.put(&[0, 0]);
    }
}

/// Where the headers of an outer frame of `len` bytes lie.
fn udp_over_ipv6(len: usize) -> Layout {
    Layout {
        ether_type: ether_type::IPV6,
        protocol: protocol::UDP,
        l3: L3::Ipv6,
        l4: L4::Udp,
        l3_offset: ETHERNET as u16,
        l4_offset: (ETHERNET + IPV6) as u16,
        l3_end: len as u32,
        ..Layout::default()
    }
}

fn v6_octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// Writes one thing behind the other.
struct Writer<'a>(&'a mut [u8]);

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        if let Some((place, rest)) = std::mem::take(&mut self.0).split_at_mut_checked(bytes.len()) {
            place.copy_from_slice(bytes);
            self.0 = rest;
        }
    }
}

/// A number that is the same for all packets of a flow, so that they take one way through the
/// underlay; of what is not IP, for all between two stations.
fn flow_hash(head: &[u8], layout: &Layout) -> u32 {
    let mut hash = u64::from(layout.ether_type);
    match IpPair::of(head, layout) {
        Some(IpPair::V4 { src, dst }) => {
            hash = mix(
                hash,
                u64::from(src.to_bits()) << 32 | u64::from(dst.to_bits()),
            );
        }
        Some(IpPair::V6 { src, dst }) => {
            for bits in [src.to_bits(), dst.to_bits()] {
                hash = mix(mix(hash, (bits >> 64) as u64), bits as u64);
            }
        }
        None => {
            let macs = head.first_chunk::<12>().copied().unwrap_or_default();
            let (dst, src) = macs.split_at(6);
            for mac in [dst, src] {
                let number = mac.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
                hash = mix(hash, number);
            }
            return (hash >> 32) as u32;
        }
    }
    let ports = match layout.l4 {
        L4::Tcp | L4::Udp | L4::Sctp => head
            .get(layout.l4_offset.into()..)
            .and_then(|l4| l4.first_chunk())
            .map_or(0, |ports| u32::from_be_bytes(*ports)),
        L4::None | L4::Icmp | L4::Icmpv6 => 0,
    };
    hash = mix(hash, u64::from(ports) << 8 | u64::from(layout.protocol));
    (hash >> 32) as u32
}

/// Both halves of a product.
const fn mix(hash: u64, word: u64) -> u64 {
    let product = (hash ^ word ^ 0x9e37_79b9_7f4a_7c15) as u128 * 0xa076_1d64_78bd_642f;
    product as u64 ^ (product >> 64) as u64
}
