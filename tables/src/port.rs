//! Ports: their numbers, and what a snapshot says of them.

use hashbrown::HashMap;

use crate::tunnel::Tunnels;

/// A port's place in a snapshot's [`PortTable`]; lcores number their queues by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortIndex(pub u16);

/// An OpenFlow 1.1+ port number: a port of the switch, or a reserved one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct PortNo(pub u32);

impl PortNo {
    /// The highest number a port of the switch can have.
    pub const MAX: Self = Self(0xfeff);
    /// Back to where the packet came from.
    pub const IN_PORT: Self = Self(0xffff_fff8);
    /// The flow tables; only in packet-out.
    pub const TABLE: Self = Self(0xffff_fff9);
    /// The learning switch.
    pub const NORMAL: Self = Self(0xffff_fffa);
    /// All ports but the packet's own and those with flooding off.
    pub const FLOOD: Self = Self(0xffff_fffb);
    /// All ports but the packet's own.
    pub const ALL: Self = Self(0xffff_fffc);
    /// The controller.
    pub const CONTROLLER: Self = Self(0xffff_fffd);
    /// The host's own stack.
    pub const LOCAL: Self = Self(0xffff_fffe);
    /// What `actset_output` is while the action set has no output.
    pub const UNSET: Self = Self(0xffff_fff7);
    /// No port; OpenFlow's `ANY`.
    pub const NONE: Self = Self(0xffff_ffff);

    /// The reserved port's name as Open vSwitch prints it; `None` for an ordinary port.
    pub const fn reserved_name(self) -> Option<&'static str> {
        Some(match self {
            Self::IN_PORT => "IN_PORT",
            Self::TABLE => "TABLE",
            Self::NORMAL => "NORMAL",
            Self::FLOOD => "FLOOD",
            Self::ALL => "ALL",
            Self::CONTROLLER => "CONTROLLER",
            Self::LOCAL => "LOCAL",
            Self::UNSET => "UNSET",
            Self::NONE => "ANY",
            _ => return None,
        })
    }
}

impl std::fmt::Display for PortNo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.reserved_name() {
            Some(name) => f.write_str(name),
            None => self.0.fmt(f),
        }
    }
}

impl std::fmt::Debug for PortNo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// One port of the switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortConfig {
    /// Its OpenFlow number.
    pub no: PortNo,
    /// Its unique name.
    pub name: String,
    /// The largest L3 packet it sends, in bytes; of a tunnel the port that it rides on decides.
    pub mtu: u16,
    /// Which VLANs it carries, for NORMAL.
    pub vlan: VlanMode,
}

/// Which VLANs a port carries, for NORMAL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VlanMode {
    /// Frames of this VLAN, without a tag.
    Access(u16),
    /// Frames of all VLANs with their tags, and frames without one.
    TrunkAll,
    /// Frames of these VLANs with their tags; 0 stands for frames without one.
    Trunk(VlanSet),
}

impl VlanMode {
    /// Whether frames of `vlan` (0: untagged) leave or enter here.
    pub fn carries(&self, vlan: u16) -> bool {
        match self {
            Self::Access(own) => *own == vlan,
            Self::TrunkAll => true,
            Self::Trunk(vlans) => vlans.contains(vlan),
        }
    }
}

/// What a user has switched off at a port: OpenFlow's port configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are OpenFlow's flags")]
pub struct PortFlags {
    /// It neither receives nor sends, and counts as a port without a link.
    pub down: bool,
    /// What comes in is dropped.
    pub no_receive: bool,
    /// FLOOD and a flooding NORMAL leave it out.
    pub no_flood: bool,
    /// What is to go out is dropped.
    pub no_forward: bool,
}

/// A set of VLAN ids.
#[derive(Clone, PartialEq, Eq)]
pub struct VlanSet(Box<[u64; 64]>);

impl VlanSet {
    /// Whether `vlan` is in the set.
    pub fn contains(&self, vlan: u16) -> bool {
        vlan < 4096 && self.0[usize::from(vlan / 64)] & 1 << (vlan % 64) != 0
    }

    /// The ids, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        (0..4096).filter(|&vlan| self.contains(vlan))
    }
}

impl FromIterator<u16> for VlanSet {
    /// Ids above 4095 are ignored.
    fn from_iter<I: IntoIterator<Item = u16>>(vlans: I) -> Self {
        let mut bits = Box::new([0; 64]);
        for vlan in vlans.into_iter().filter(|&vlan| vlan < 4096) {
            bits[usize::from(vlan / 64)] |= 1 << (vlan % 64);
        }
        Self(bits)
    }
}

impl std::fmt::Debug for VlanSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The ports of a snapshot.
#[derive(Clone, Debug, Default)]
pub struct PortTable {
    ports: Vec<PortConfig>,
    /// Ports without a link, by index; few.
    down: Vec<PortIndex>,
    /// Places of ports that are gone, those that went first at first. What lies there is still said of
    /// packets that came in there.
    removed: Vec<PortIndex>,
    /// Ports at which something is switched off; mostly none.
    flags: Vec<(PortIndex, PortFlags)>,
    by_no: HashMap<PortNo, PortIndex, foldhash::fast::RandomState>,
    tunnels: Tunnels,
}

impl PortTable {
    /// A table of `ports`; the first gets index 0.
    ///
    /// # Panics
    /// If two ports have one number; the configuration is validated before.
    pub fn new(ports: Vec<PortConfig>) -> Self {
        let mut by_no = HashMap::default();
        for (at, port) in (0..).zip(&ports) {
            let before = by_no.insert(port.no, PortIndex(at));
            assert!(before.is_none(), "port number {} is used twice", port.no);
        }
        Self {
            ports,
            down: Vec::new(),
            removed: Vec::new(),
            flags: Vec::new(),
            by_no,
            tunnels: Tunnels::default(),
        }
    }

    /// The same ports, of which those that `is_up` refuses have no link.
    #[must_use]
    pub fn with_links(&self, is_up: impl Fn(PortNo) -> bool) -> Self {
        let down = self.iter().filter(|(_, port)| !is_up(port.no));
        Self {
            down: down.map(|(index, _)| index).collect(),
            ..self.clone()
        }
    }

    /// The same ports and another, which gets the place of an equal one that was removed, else a new
    /// one, else that of the port that was removed first. `None`: there are `most` places and all are
    /// taken. Caches may know something else of the place, so [`FlowTables::port_came_or_went`] goes with it,
    /// as with [`Self::without_port`] and [`Self::with_config`].
    ///
    /// # Panics
    /// If another port has the number.
    ///
    /// [`FlowTables::port_came_or_went`]: crate::flow_tables::FlowTables::port_came_or_went
    pub fn with_port(&self, port: PortConfig, most: usize) -> Option<(Self, PortIndex)> {
        let mut all = self.clone();
        let same = |&index: &PortIndex| {
            let old = self.port(index);
            (old.no, &old.name) == (port.no, &port.name)
        };
        let index = if let Some(index) = self.removed.iter().copied().find(same) {
            index
        } else if self.ports.len() < most {
            all.ports.push(port.clone());
            PortIndex(u16::try_from(self.ports.len()).ok()?)
        } else {
            *self.removed.first()?
        };
        all.removed.retain(|removed| *removed != index);
        let before = all.by_no.insert(port.no, index);
        assert!(before.is_none(), "port number {} is used twice", port.no);
        all.ports[usize::from(index.0)] = port;
        Some((all, index))
    }

    /// The same ports but that at `index`, on which no tunnel rides. What came in there may still be
    /// under way, and what is to go out there is lost.
    #[must_use]
    pub fn without_port(&self, index: PortIndex) -> Self {
        let mut all = self.clone();
        all.by_no.remove(&self.port(index).no);
        all.down.retain(|other| *other != index);
        all.flags.retain(|(other, _)| *other != index);
        all.removed.push(index);
        all
    }

    /// The same ports, of which that at `index` is configured so; its number stays.
    ///
    /// # Panics
    /// If it has another number.
    #[must_use]
    pub fn with_config(&self, index: PortIndex, port: PortConfig) -> Self {
        assert_eq!(self.port(index).no, port.no, "a port keeps its number");
        let mut all = self.clone();
        all.ports[usize::from(index.0)] = port;
        all
    }

    /// Whether the port at `index` has a link. A frame is handed to any port all the same.
    pub fn has_link(&self, index: PortIndex) -> bool {
        !self.down.contains(&index)
    }

    /// Whether the port at `index` has a link and is not switched off: what groups watch.
    pub fn is_up(&self, index: PortIndex) -> bool {
        self.has_link(index) && !self.flags(index).down
    }

    /// The same ports, of which that at `index` has `flags`.
    #[must_use]
    pub fn with_flags(&self, index: PortIndex, flags: PortFlags) -> Self {
        let mut all = self.clone();
        all.flags.retain(|(other, _)| *other != index);
        if flags != PortFlags::default() {
            all.flags.push((index, flags));
        }
        all
    }

    /// What is switched off at the port at `index`.
    #[inline]
    pub fn flags(&self, index: PortIndex) -> PortFlags {
        let found = self.flags.iter().find(|(other, _)| *other == index);
        found.map_or_else(PortFlags::default, |(_, flags)| *flags)
    }

    /// Whether what comes in at `index` is dropped.
    #[inline]
    pub fn refuses(&self, index: PortIndex) -> bool {
        let flags = self.flags(index);
        flags.down || flags.no_receive
    }

    /// Whether what is to go out at `index`, or at the port that it rides on, is dropped.
    #[inline]
    pub fn blocks(&self, index: PortIndex) -> bool {
        let blocked = |index| {
            let flags = self.flags(index);
            flags.down || flags.no_forward
        };
        !self.flags.is_empty()
            && (blocked(index)
                || self
                    .tunnels
                    .of(index)
                    .is_some_and(|config| blocked(config.over)))
    }

    /// The same, of which some are tunnels.
    #[must_use]
    pub fn with_tunnels(mut self, tunnels: Tunnels) -> Self {
        self.tunnels = tunnels;
        self
    }

    /// Which ports are tunnels.
    #[inline]
    pub const fn tunnels(&self) -> &Tunnels {
        &self.tunnels
    }

    /// How many places there are, those of removed ports included.
    pub const fn len(&self) -> usize {
        self.ports.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.ports.is_empty()
    }

    /// The port with this number.
    #[inline]
    pub fn index_of(&self, no: PortNo) -> Option<PortIndex> {
        self.by_no.get(&no).copied()
    }

    /// The place of the port with this number, if no port that was removed had it.
    pub(crate) fn only_index_of(&self, no: PortNo) -> Option<PortIndex> {
        let mut removed = self.removed.iter();
        let is_only = removed.all(|removed| self.port(*removed).no != no);
        self.index_of(no).filter(|_| is_only)
    }

    /// The port at `index`, or what was there last.
    ///
    /// # Panics
    /// If there is none.
    #[inline]
    pub fn port(&self, index: PortIndex) -> &PortConfig {
        &self.ports[usize::from(index.0)]
    }

    /// All ports with their indexes.
    pub fn iter(&self) -> impl Iterator<Item = (PortIndex, &PortConfig)> {
        let places = (0..).map(PortIndex).zip(&self.ports);
        places.filter(|(index, _)| !self.removed.contains(index))
    }
}

#[cfg(test)]
mod tests;
