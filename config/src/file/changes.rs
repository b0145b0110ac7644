//! What a running switch can change of its configuration, and what it cannot.
//!
//! What can change is found by comparing two configurations, not by how they were written: defaults that
//! are spelt out change nothing.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};
use weir_tables::datapath::{DeviceConfig, DeviceName};
use weir_tables::port::PortNo;

use super::{Config, Device, NamedText, Port};
use crate::diagnostic::Diagnostic;

/// How to get from the ports of one configuration to those of another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortChanges {
    /// Ports that go; those that are started otherwise among them.
    pub removed: Vec<Port>,
    /// Ports that come.
    pub added: Vec<Port>,
    /// Ports that go on as they are, and are told apart by NORMAL otherwise.
    pub modified: Vec<Port>,
    /// Ports that go on as they are, of which other queues have an lcore, or another one.
    pub polled_otherwise: Vec<Port>,
}

impl PortChanges {
    /// Whether a device of `added` is one of `removed`, which has to be closed before.
    pub fn takes_over(&self, added: &Port) -> bool {
        self.removed.iter().any(|removed| {
            let (old, new) = (removed.device.as_ref(), added.device.as_ref());
            old.map(Device::identity) == new.map(Device::identity)
        })
    }
}

impl Device {
    /// What no two open devices have in common: a virtual device's arguments are not part of it.
    fn identity(&self) -> &str {
        match self {
            Self::Pci(address) => address,
            Self::Vdev(arguments) => arguments
                .split_once(',')
                .map_or(arguments, |(name, _)| name),
        }
    }
}

impl Port {
    /// Its device as the datapath is told of it; `None`: it has none.
    pub fn device_config(&self) -> Option<DeviceConfig> {
        let device = match self.device.clone()? {
            Device::Pci(address) => DeviceName::Pci(address),
            Device::Vdev(arguments) => DeviceName::Vdev(arguments),
        };
        Some(DeviceConfig {
            name: self.name.clone(),
            device,
            queues: self.queues,
            mtu: self.mtu,
            affinity: self.affinity.clone(),
        })
    }

    /// Whether `other` is the same port, which goes on while what else is said of it changes.
    fn goes_on_as(&self, other: &Self) -> bool {
        let what = |port: &Self| Self {
            vlans: self.vlans.clone(),
            affinity: self.affinity.clone(),
            ..port.clone()
        };
        what(self) == what(other)
    }
}

impl Config {
    /// How to get from these ports to those of `new`.
    pub fn port_changes(&self, new: &Self) -> PortChanges {
        let of = |config: &Self, name: &str| {
            let mut ports = config.ports.iter();
            ports.find(|port| port.name == name).cloned()
        };
        let mut changes = PortChanges::default();
        for port in &self.ports {
            if !of(new, &port.name).is_some_and(|new| port.goes_on_as(&new)) {
                changes.removed.push(port.clone());
            }
        }
        for port in &new.ports {
            match of(self, &port.name) {
                Some(old) if old == *port => {}
                Some(old) if !old.goes_on_as(port) => changes.added.push(port.clone()),
                Some(old) if old.vlans != port.vlans => changes.modified.push(port.clone()),
                Some(_) => changes.polled_otherwise.push(port.clone()),
                None => changes.added.push(port.clone()),
            }
        }
        changes
    }

    /// Whether receive queues are to be dealt out otherwise: a change of who is given one changes who else
    /// may poll the others, and so does one of the lcores if any is given one.
    pub fn deals_otherwise(&self, new: &Self) -> bool {
        let given = |config: &Self| {
            let ports = config.ports.iter();
            let given = ports.filter(|port| !port.affinity.is_empty());
            let given = given.map(|port| (port.name.clone(), port.affinity.clone()));
            given.collect::<BTreeMap<_, _>>()
        };
        let (before, after) = (given(self), given(new));
        before != after || (!after.is_empty() && self.eal.lcores != new.eal.lcores)
    }

    /// A complaint for each queue that has an lcore in `new`, which was read from `source`, and that a
    /// port which goes on does not have. `count`: how many receive queues it has.
    pub fn missing_queues(
        &self,
        new: &Self,
        source: &NamedText,
        count: impl Fn(PortNo) -> Option<usize>,
    ) -> Vec<Diagnostic> {
        let mut all = Vec::new();
        for (at, port) in new.ports.iter().enumerate() {
            let mut old = self.ports.iter();
            let goes_on = old.any(|old| old.name == port.name && old.goes_on_as(port));
            let Some(count) = count(port.id).filter(|_| goes_on) else {
                continue;
            };
            for (queue, _) in &port.affinity {
                if usize::from(*queue) < count {
                    continue;
                }
                let key = queue.to_string();
                let path = [
                    Step::Key("port"),
                    Step::Entry(at),
                    Step::Key("rxq_affinity"),
                    Step::Key(&key),
                ];
                let message = format!("port {}: there is no queue {queue}", port.name);
                let complaint = match place(&source.text, &path) {
                    Some(span) => Diagnostic::at(&source.name, &source.text, span, message),
                    None => Diagnostic::file(&source.name, message),
                };
                all.push(complaint.with_hint(format!("its device has {count}, counted from 0")));
            }
        }
        all
    }

    /// What this says of a switch that runs with `running`: it has as many shards as that, unless this
    /// says how many.
    pub fn keep_shards(&mut self, running: &Self) {
        let shards = running.eal.shard_count();
        if self.eal.shards.is_none() && self.eal.lcores.len() <= shards {
            self.eal.shards = Some(shards as u16);
        }
    }

    /// A complaint for each option of which a running switch cannot get from `self` to `new`, which was
    /// read from `source`. `finds_pci`: whether it was started so that it finds PCI devices.
    pub fn needs_restart(
        &self,
        new: &Self,
        source: &NamedText,
        finds_pci: bool,
    ) -> Vec<Diagnostic> {
        let complain = |path: &[Step<'_>], what: &str| {
            let message = format!("{what} cannot be changed without a restart");
            match place(&source.text, path) {
                Some(span) => Diagnostic::at(&source.name, &source.text, span, message),
                None => Diagnostic::file(&source.name, message),
            }
        };
        let of = |section: &'static str, option: &'static str| {
            complain(
                &[Step::Key(section), Step::Key(option)],
                &format!("[{section}] {option}"),
            )
        };
        let mut all = Vec::new();
        let shards = self.eal.shard_count();
        if new.eal.lcores.len() > shards {
            let complaint = complain(
                &[Step::Key("eal"), Step::Key("lcores")],
                &format!("[eal] lcores, to more than the {shards} shards there are,"),
            );
            let hint = "[eal] shards says how many there can be without a restart";
            all.push(complaint.with_hint(hint));
        }
        let options = self.fixed_options(new).into_iter();
        all.extend(
            options
                .filter(|(.., differs)| *differs)
                .map(|(section, option, _)| of(section, option)),
        );
        if self.options != new.options {
            let complaint = complain(&[Step::Key("geneve_option")], "[[geneve_option]]");
            all.push(complaint.with_hint("weir add-tlv-map does for as long as it runs"));
        }
        let of = |config: &'_ Self, name: &str| {
            let mut ports = config.ports.iter();
            ports.find(|port| port.name == name).cloned()
        };
        let gone = self
            .ports
            .iter()
            .filter(|port| of(new, &port.name).is_none());
        for port in new.ports.iter().chain(gone) {
            let name = &port.name;
            let (before, after) = (of(self, name), of(new, name));
            if before == after {
                continue;
            }
            let at = new.ports.iter().position(|other| other.name == *name);
            let path = [Step::Key("port"), Step::Entry(at.unwrap_or(usize::MAX))];
            let is_tunnel =
                |port: &Option<Port>| port.as_ref().is_some_and(|port| port.tunnel.is_some());
            if is_tunnel(&before) || is_tunnel(&after) {
                all.push(complain(&path, &format!("the tunnel {name}")));
                continue;
            }
            if let Some(before) = &before
                && let Some(tunnel) = new.carried_by(name)
                && !before.goes_on_as(port)
            {
                let what = format!("port {name}, which {tunnel} rides on,");
                all.push(complain(&path, &what));
            }
            if !finds_pci && matches!(port.device, Some(Device::Pci(_))) {
                let complaint = complain(&path, "that no port is a PCI device");
                all.push(complaint.with_hint("DPDK was told not to look for any"));
            }
        }
        all
    }

    /// A tunnel that rides on the port of this name.
    fn carried_by(&self, name: &str) -> Option<&str> {
        let rides = |port: &&Port| {
            port.tunnel
                .as_ref()
                .is_some_and(|tunnel| tunnel.over == name)
        };
        let mut ports = self.ports.iter();
        ports.find(rides).map(|port| port.name.as_str())
    }

    /// Section and name of each option that is fixed while a switch runs, and whether it differs.
    fn fixed_options(&self, new: &Self) -> [(&'static str, &'static str, bool); 19] {
        let (a, b) = (&self.eal, &new.eal);
        let masks = |config: &Self| {
            config
                .caches
                .megaflows
                .map(|megaflows| megaflows.masks_per_port)
        };
        let megaflows = |config: &Self| config.caches.megaflows.map(|megaflows| megaflows.entries);
        let (ct, new_ct) = (&self.conntrack, &new.conntrack);
        let (to, new_to) = (&self.controller, &new.controller);
        let (control, new_control) = (&self.control, &new.control);
        let grows = b.lcores.len() > a.shard_count();
        [
            // Of too many lcores there is a complaint already.
            (
                "eal",
                "shards",
                a.shard_count() != b.shard_count() && !grows,
            ),
            ("eal", "hugepages", a.hugepages != b.hugepages),
            ("eal", "memory_mb", a.memory_mb != b.memory_mb),
            ("eal", "mbufs", a.mbufs != b.mbufs),
            ("eal", "args", a.args != b.args),
            ("eal", "rss", a.rss != b.rss),
            ("eal", "idle_sleep_us", a.idle_sleep != b.idle_sleep),
            (
                "cache",
                "trajectories",
                self.caches.trajectories != new.caches.trajectories,
            ),
            ("cache", "megaflows", megaflows(self) != megaflows(new)),
            ("cache", "masks_per_port", masks(self) != masks(new)),
            (
                "conntrack",
                "max_connections",
                ct.max_connections != new_ct.max_connections,
            ),
            (
                "conntrack",
                "accounting",
                ct.accounting != new_ct.accounting,
            ),
            ("controller", "slots", to.waiting != new_to.waiting),
            ("controller", "rate", to.rate != new_to.rate),
            ("controller", "burst", to.burst != new_to.burst),
            ("fragments", "waiting", self.fragments != new.fragments),
            ("control", "socket", control.socket != new_control.socket),
            ("control", "mode", control.mode != new_control.mode),
            (
                "control",
                "owner and group",
                (&control.owner, &control.group) != (&new_control.owner, &new_control.group),
            ),
        ]
    }
}

/// One step on the way to a value.
enum Step<'a> {
    Key(&'a str),
    Entry(usize),
}

/// Where the value at `path` stands in `text`, or what there is of the way to it.
fn place(text: &str, path: &[Step<'_>]) -> Option<Range<usize>> {
    let table = DeTable::parse(text).ok()?;
    let mut known = None;
    let mut value: Option<&DeValue<'_>> = None;
    for step in path {
        let next = match step {
            Step::Key(key) => {
                let table = match value {
                    None => Some(table.get_ref()),
                    Some(value) => value.as_table(),
                };
                let mut entries = table.into_iter().flat_map(toml::map::Map::iter);
                entries
                    .find(|(name, _)| name.get_ref() == key)
                    .map(|(_, value)| value)
            }
            Step::Entry(at) => value
                .and_then(DeValue::as_array)
                .and_then(|all| all.get(*at)),
        };
        let Some(next) = next else { break };
        known = Some(next.span());
        value = Some(next.get_ref());
    }
    known
}

#[cfg(test)]
mod tests;
