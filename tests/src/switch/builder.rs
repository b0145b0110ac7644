//! Switches of other kinds.

use std::sync::Arc;

use weir_ct::{Settings, Timeouts};
use weir_tables::cache::{MegaflowSettings, TrajectorySettings};
use weir_tables::port::{PortConfig, PortNo, PortTable, VlanMode};

use super::Switch;

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
    settings: Settings,
    caches: Caches,
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
            settings: Settings {
                max_connections: 256,
                ..Settings::default()
            },
            caches: Caches::default(),
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

    /// The most connections held.
    #[must_use]
    pub fn max_connections(mut self, max_connections: u32) -> Self {
        self.settings.max_connections = max_connections;
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
    pub fn empty(self) -> Switch {
        let ports = Arc::new(PortTable::new(self.ports));
        Switch::new(ports, &self.settings, self.caches, self.secret)
    }

    fn port(&mut self, no: u32) -> &mut PortConfig {
        let port = self.ports.iter_mut().find(|port| port.no == PortNo(no));
        port.unwrap_or_else(|| panic!("there is no port {no}"))
    }
}
