//! Which tunnel ports there are, and which of them takes a packet.

use std::net::IpAddr;

use hashbrown::{HashMap, HashSet};
use weir_packet::view::{Geneve, Vxlan};

use crate::port::PortIndex;

type RandomState = foldhash::fast::RandomState;

/// What the frames of a tunnel are wrapped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TunnelKind {
    /// Geneve (RFC 8926).
    Geneve,
    /// GRE (RFC 2784, RFC 2890).
    Gre,
    /// VXLAN (RFC 7348).
    Vxlan,
}

impl TunnelKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Geneve, Self::Gre, Self::Vxlan];

    /// Its name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Geneve => "geneve",
            Self::Gre => "gre",
            Self::Vxlan => "vxlan",
        }
    }

    /// Its UDP port unless told otherwise; `None`: it does without UDP.
    pub const fn default_port(self) -> Option<u16> {
        match self {
            Self::Geneve => Some(Geneve::PORT),
            Self::Gre => None,
            Self::Vxlan => Some(Vxlan::PORT),
        }
    }

    /// The highest key: 24 bits of a network identifier, or 32 of GRE's key.
    pub const fn max_key(self) -> u32 {
        match self {
            Self::Geneve | Self::Vxlan => 0xff_ffff,
            Self::Gre => u32::MAX,
        }
    }
}

/// Where a tunnel's other end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Remote {
    /// At this address.
    Address(IpAddr),
    /// Sent to what `tun_dst` or `tun_ipv6_dst` says, received from anywhere.
    Flow,
}

/// The key of a tunnel: a network identifier, or GRE's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TunnelKey {
    /// None: 0 in headers that have a place for one, absent in GRE.
    Absent,
    /// This one.
    Number(u32),
    /// What `tun_id` says; any is received.
    Flow,
}

/// A tunnel port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelConfig {
    /// What frames are wrapped in.
    pub kind: TunnelKind,
    /// The port that it rides on.
    pub over: PortIndex,
    /// Our end.
    pub local: IpAddr,
    /// The other end, of the same address family.
    pub remote: Remote,
    /// The key.
    pub key: TunnelKey,
    /// The UDP port that is sent to and received at; 0 for GRE.
    pub dst_port: u16,
}

/// A next hop that is known without asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaticNeighbour {
    /// The underlay port.
    pub over: PortIndex,
    /// Its address.
    pub ip: IpAddr,
    /// Its MAC address.
    pub mac: [u8; 6],
}

/// What a received packet is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Wanted {
    kind: TunnelKind,
    over: PortIndex,
    local: IpAddr,
    dst_port: u16,
    /// `None`: any.
    remote: Option<IpAddr>,
    /// `None`: any.
    key: Option<u32>,
}

impl Wanted {
    fn of(config: &TunnelConfig) -> Self {
        Self {
            kind: config.kind,
            over: config.over,
            local: config.local,
            dst_port: config.dst_port,
            remote: match config.remote {
                Remote::Address(remote) => Some(remote),
                Remote::Flow => None,
            },
            key: match config.key {
                TunnelKey::Absent => Some(0),
                TunnelKey::Number(key) => Some(key),
                TunnelKey::Flow => None,
            },
        }
    }
}

/// The tunnels of a snapshot's ports.
#[derive(Clone, Debug, Default)]
pub struct Tunnels {
    by_port: Vec<Option<TunnelConfig>>,
    underlays: Vec<bool>,
    by_packet: HashMap<Wanted, PortIndex, RandomState>,
    /// Our addresses.
    locals: HashSet<(PortIndex, IpAddr), RandomState>,
    /// What runs over UDP, and at which port.
    services: Vec<(TunnelKind, u16)>,
    /// The next hops that are known without asking.
    neighbours: HashMap<(PortIndex, IpAddr), [u8; 6], RandomState>,
}

impl Tunnels {
    /// The tunnels of the ports named, and the next hops that are known beforehand.
    ///
    /// # Panics
    /// If two ports would take the same packets; the configuration is validated before.
    pub fn new(tunnels: &[(PortIndex, TunnelConfig)], neighbours: &[StaticNeighbour]) -> Self {
        let mut all = Self::default();
        for neighbour in neighbours {
            let place = (neighbour.over, neighbour.ip);
            all.neighbours.insert(place, neighbour.mac);
        }
        for (port, config) in tunnels {
            put(&mut all.by_port, *port, Some(*config));
            put(&mut all.underlays, config.over, true);
            let before = all.by_packet.insert(Wanted::of(config), *port);
            assert!(before.is_none(), "two tunnels take the same packets");
            all.locals.insert((config.over, config.local));
            let service = (config.kind, config.dst_port);
            if config.kind != TunnelKind::Gre && !all.services.contains(&service) {
                all.services.push(service);
            }
        }
        all
    }

    /// How a tunnel port is configured; `None`: it is an ordinary port.
    #[inline]
    pub fn of(&self, port: PortIndex) -> Option<&TunnelConfig> {
        self.by_port.get(usize::from(port.0))?.as_ref()
    }

    /// Whether tunnels ride on the port.
    #[inline]
    pub fn ride_on(&self, port: PortIndex) -> bool {
        let rides = self.underlays.get(usize::from(port.0));
        rides.copied().unwrap_or(false)
    }

    /// Whether there is any.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.by_port.is_empty()
    }

    /// Whether an address of an underlay port is ours.
    #[inline]
    pub fn is_local(&self, over: PortIndex, ip: IpAddr) -> bool {
        self.locals.contains(&(over, ip))
    }

    /// What runs at a UDP port.
    #[inline]
    pub(crate) fn service(&self, dst_port: u16) -> Option<TunnelKind> {
        let mut services = self.services.iter();
        let found = services.find(|(_, port)| *port == dst_port);
        found.map(|(kind, _)| *kind)
    }

    /// The MAC address of a next hop that is configured.
    pub fn neighbour(&self, over: PortIndex, ip: IpAddr) -> Option<[u8; 6]> {
        self.neighbours.get(&(over, ip)).copied()
    }

    /// The next hops that are configured, in no order.
    pub fn neighbours(&self) -> impl Iterator<Item = StaticNeighbour> {
        let all = self.neighbours.iter();
        all.map(|(&(over, ip), &mac)| StaticNeighbour { over, ip, mac })
    }

    /// The port that takes a packet from `src` to our `local`, the most specific first: as in
    /// Open vSwitch, a port for one key goes before a port for one remote address.
    #[inline]
    pub(crate) fn find(&self, packet: &TunnelConfig, src: IpAddr, key: u32) -> Option<PortIndex> {
        let wanted = Wanted::of(packet);
        let choices = [
            (Some(key), Some(src)),
            (Some(key), None),
            (None, Some(src)),
            (None, None),
        ];
        choices.into_iter().find_map(|(key, remote)| {
            let wanted = Wanted {
                remote,
                key,
                ..wanted
            };
            self.by_packet.get(&wanted).copied()
        })
    }
}

/// Writes to a place, making room for it.
fn put<T: Clone + Default>(places: &mut Vec<T>, port: PortIndex, value: T) {
    let at = usize::from(port.0);
    if places.len() <= at {
        places.resize(at + 1, T::default());
    }
    places[at] = value;
}

#[cfg(test)]
mod tests;
