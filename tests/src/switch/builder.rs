//! Switches of other kinds.

use std::net::IpAddr;
use std::sync::Arc;

use weir_ct::{Settings, Timeouts};
use weir_packet::reassembly::Bounds;
use weir_tables::cache::{MegaflowSettings, TrajectorySettings};
use weir_tables::fragments::Fragments;
use weir_tables::port::{PortConfig, PortIndex, PortNo, PortTable, VlanMode};
use weir_tables::tunnel::{Remote, StaticNeighbour, TunnelConfig, TunnelKey, TunnelKind, Tunnels};

use super::{FRAGMENT_SECRET, Switch};

/// How large the caches are.
#[derive(Clone, Copy, Debug)]
pub struct Caches {
    /// The megaflow cache.
    pub megaflows: MegaflowSettings,
    /// The trajectory cache.
    pub trajectories: TrajectorySettings,
}

impl Default for Caches {
    fn default() -> Self {
        Self {
            megaflows: MegaflowSettings {
                entries: 256,
                masks_per_port: 64,
            },
            trajectories: TrajectorySettings { entries: 256 },
        }
    }
}

/// Makes a [`Switch`].
pub struct Builder {
    ports: Vec<PortConfig>,
    tunnels: Vec<(u32, Tunnel)>,
    neighbours: Vec<(u32, IpAddr, [u8; 6])>,
    options: Option<String>,
    settings: Settings,
    caches: Caches,
    fragments: Bounds,
    secret: u64,
}

impl Default for Builder {
    fn default() -> Self {
        let port = |no| PortConfig {
            no: PortNo(no),
            name: format!("p{no}"),
            mtu: 1500,
            vlan: VlanMode::TrunkAll,
        };
        Self {
            ports: (1..=4).map(port).collect(),
            tunnels: Vec::new(),
            neighbours: Vec::new(),
            options: None,
            settings: Settings {
                max_connections: 256,
                accounting: true,
                ..Settings::default()
            },
            caches: Caches::default(),
            fragments: Bounds::default(),
            secret: 0x5eed,
        }
    }
}

impl Builder {
    /// Ports 1 to `count`.
    #[must_use]
    pub fn ports(mut self, count: u32) -> Self {
        let port = self.ports[0].clone();
        self.ports = (1..=count)
            .map(|no| PortConfig {
                no: PortNo(no),
                name: format!("p{no}"),
                ..port.clone()
            })
            .collect();
        self
    }

    /// Port `no` carries `vlan` without a tag.
    #[must_use]
    pub fn access(self, no: u32, vlan: u16) -> Self {
        self.vlan(no, VlanMode::Access(vlan))
    }

    /// Port `no` carries these VLANs with tags; 0 stands for frames without one.
    #[must_use]
    pub fn trunk(self, no: u32, vlans: &[u16]) -> Self {
        self.vlan(no, VlanMode::Trunk(vlans.iter().copied().collect()))
    }

    fn vlan(mut self, no: u32, mode: VlanMode) -> Self {
        self.port(no).vlan = mode;
        self
    }

    /// Port `no` sends IP packets of at most `mtu` bytes.
    #[must_use]
    pub fn mtu(mut self, no: u32, mtu: u16) -> Self {
        self.port(no).mtu = mtu;
        self
    }

    /// A port that is the host itself.
    #[must_use]
    pub fn local(mut self) -> Self {
        self.ports.push(PortConfig {
            no: PortNo::LOCAL,
            name: "br0".to_owned(),
            ..self.ports[0].clone()
        });
        self
    }

    /// A tunnel port: `KIND over PORT LOCAL_IP > REMOTE_IP key=KEY [dst_port=PORT]`, with `flow`
    /// or `none` where the configuration can say so.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn tunnel(mut self, no: u32, tunnel: &str) -> Self {
        self.ports.push(PortConfig {
            no: PortNo(no),
            name: format!("t{no}"),
            ..self.ports[0].clone()
        });
        let tunnel = Tunnel::read(tunnel);
        let tunnel = tunnel.expect("KIND over PORT LOCAL_IP > REMOTE_IP key=KEY [dst_port=PORT]");
        self.tunnels.push((no, tunnel));
        self
    }

    /// A next hop behind port `over` that is known without asking.
    ///
    /// # Panics
    /// If `ip` is no address.
    #[must_use]
    pub fn neighbour(mut self, over: u32, ip: &str, mac: [u8; 6]) -> Self {
        let ip = ip.parse().expect("an address");
        self.neighbours.push((over, ip, mac));
        self
    }

    /// Which Geneve options are which fields, as `add-tlv-map` has it.
    #[must_use]
    pub fn options(mut self, map: &str) -> Self {
        self.options = Some(map.to_owned());
        self
    }

    /// The most connections held.
    #[must_use]
    pub fn max_connections(mut self, max_connections: u32) -> Self {
        self.settings.max_connections = max_connections;
        self
    }

    /// The most connections of `zone`, and of one source address in it.
    #[must_use]
    pub fn limits(mut self, zone: u16, limit: Option<u32>, source_limit: Option<u32>) -> Self {
        let zone = self.settings.zones.entry(zone).or_default();
        (zone.limit, zone.source_limit) = (limit, source_limit);
        self
    }

    /// Connections do not count what they carry, as without `[conntrack] accounting`.
    #[must_use]
    pub const fn no_accounting(mut self) -> Self {
        self.settings.accounting = false;
        self
    }

    /// Only a SYN opens a TCP connection.
    #[must_use]
    pub fn no_tcp_pickup(mut self) -> Self {
        self.settings.tcp_loose = false;
        self
    }

    /// Other timeouts.
    #[must_use]
    pub fn timeouts(mut self, change: impl FnOnce(&mut Timeouts)) -> Self {
        change(&mut self.settings.timeouts);
        self
    }

    /// Other caches; nothing that a test sees may depend on them.
    #[must_use]
    pub fn caches(mut self, caches: Caches) -> Self {
        self.caches = caches;
        self
    }

    /// Other bounds for the pieces of datagrams that wait.
    #[must_use]
    pub fn fragments(mut self, bounds: Bounds) -> Self {
        self.fragments = bounds;
        self
    }

    /// Another secret for the hashes; nothing that a test sees may depend on it.
    #[must_use]
    pub fn secret(mut self, secret: u64) -> Self {
        self.secret = secret;
        self
    }

    /// The switch, with these flows.
    ///
    /// # Panics
    /// With the message of the first error, if a flow is wrong or cannot be executed.
    #[track_caller]
    pub fn flows(self, flows: &str) -> Switch {
        let mut switch = self.empty();
        if let Err(error) = switch.change_flows(flows) {
            panic!("{error}");
        }
        switch
    }

    /// The switch without flows.
    ///
    /// # Panics
    /// If options were named that fit into no map.
    pub fn empty(self) -> Switch {
        let ports = PortTable::new(self.ports);
        let index = |no: u32| ports.index_of(PortNo(no)).expect("the port is there");
        let tunnels: Vec<_> = self
            .tunnels
            .iter()
            .map(|(no, tunnel)| {
                let mut config = tunnel.config;
                config.over = index(tunnel.over);
                (index(*no), config)
            })
            .collect();
        let neighbours: Vec<_> = self
            .neighbours
            .iter()
            .map(|&(over, ip, mac)| StaticNeighbour {
                over: index(over),
                ip,
                mac,
            })
            .collect();
        let tunnels = Tunnels::new(&tunnels, &neighbours);
        let ports = Arc::new(ports.with_tunnels(tunnels));
        let mut switch = Switch::new(ports, &self.settings, self.caches, self.secret);
        for twin in switch.twins() {
            twin.fragments = Fragments::new(self.fragments, FRAGMENT_SECRET);
        }
        if let Some(map) = &self.options {
            switch.add_tlv_map(map).expect("the options fit into a map");
        }
        switch
    }

    fn port(&mut self, no: u32) -> &mut PortConfig {
        let port = self.ports.iter_mut().find(|port| port.no == PortNo(no));
        port.unwrap_or_else(|| panic!("there is no port {no}"))
    }
}

/// A tunnel port, and the number of the port that it rides on.
pub(crate) struct Tunnel {
    pub(crate) over: u32,
    pub(crate) config: TunnelConfig,
}

impl Tunnel {
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let name = words.next()?;
        let kind = TunnelKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)?;
        (words.next()? == "over").then_some(())?;
        let over = words.next()?.parse().ok()?;
        let local = words.next()?.parse().ok()?;
        (words.next()? == ">").then_some(())?;
        let remote = match words.next()? {
            "flow" => Remote::Flow,
            address => Remote::Address(address.parse().ok()?),
        };
        let key = match words.next()?.strip_prefix("key=")? {
            "flow" => TunnelKey::Flow,
            "none" => TunnelKey::Absent,
            number => TunnelKey::Number(number.parse().ok()?),
        };
        let dst_port = match words.next() {
            None => kind.default_port().unwrap_or(0),
            Some(word) => word.strip_prefix("dst_port=")?.parse().ok()?,
        };
        let config = TunnelConfig {
            kind,
            over: PortIndex(0),
            local,
            remote,
            key,
            dst_port,
        };
        words.next().is_none().then_some(Self { over, config })
    }
}
