//! `reload`, `confirm` and `rollback`: from what runs to what files say, with the fewest steps.
//!
//! A reload is planned as a whole before anything is touched. Then come, in this order: devices that
//! are opened and exporters that listen, which may fail and leave nothing behind; lcores; settings of
//! connections; the policy with the ports it speaks of, in one publication; queues that lcores get;
//! devices that lcores give back and that are closed; the devices that could not be opened before
//! others were closed; and last queues that other lcores are to poll. If one of those fails, all goes back to what was before.
//!
//! With `--confirm` the state before is kept, and restored when nobody has said that the new one is
//! right. Until then nothing else is changed.

use std::sync::Arc;
use std::time::Duration;

use weir_ct::Settings;
use weir_packet::Tick;
use weir_tables::datapath::Datapath;
use weir_tables::flow_mod::FlowMod;
use weir_tables::group::GroupSpec;
use weir_tables::group_mod::BundleStep;
use weir_tables::port::{PortFlags, PortIndex, PortNo, PortTable};

use super::limits::{Limit, changed_otherwise, limit_set, with_kept};
use super::{Management, all_of, gone};
use crate::control::{Failure, Frame, PolicyFiles, Verb};
use crate::file::{Config, NamedText, Port, PortChanges, read_text};
use crate::metrics::Exporter;
use crate::policy::{self, Difference, FlowSet, GroupSet, flow_set, group_set};
use crate::show::ReloadReport;
use crate::text::{flow_text, group_text};

/// How a reload goes about it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// Change nothing.
    pub(super) dry_run: bool,
    /// Also undo changes made by hand.
    pub(super) exact: bool,
    /// Seconds after which all is as before, unless somebody confirms.
    pub(super) confirm: Option<u32>,
}

/// What a reload changes, and a rollback restores.
#[derive(Debug)]
struct State {
    config: Config,
    conntrack: Settings,
    flows: FlowSet,
    groups: GroupSet,
    loaded: FlowSet,
    loaded_groups: GroupSet,
    /// What is switched off at ports.
    flags: Vec<(PortNo, PortFlags)>,
}

/// A reload that nobody has confirmed.
#[derive(Debug)]
pub(super) struct Unconfirmed {
    until: Tick,
    before: Box<State>,
}

/// Where a change leads to.
struct Target {
    config: Config,
    conntrack: Settings,
    bundle: Vec<BundleStep>,
    loaded: FlowSet,
    loaded_groups: GroupSet,
    flags: Vec<(PortNo, PortFlags)>,
}

/// The ports of the next snapshot, and what becomes of devices.
struct NextPorts {
    table: PortTable,
    /// Places at which there is another port now, another configuration of it, or none any more.
    changed: Vec<PortIndex>,
    /// Devices to be opened at once.
    fresh: Vec<(PortIndex, Port)>,
    /// Devices to be closed.
    closing: Vec<(PortIndex, Port)>,
    /// Devices that can be opened when those are closed.
    taking_over: Vec<(PortIndex, Port)>,
}

impl<D: Datapath> Management<D> {
    pub(super) fn reload(
        &mut self,
        files: Option<PolicyFiles>,
        manner: Manner,
    ) -> Result<Frame, Failure> {
        let PolicyFiles {
            config: source,
            flows: texts,
            groups: group_texts,
        } = match files {
            Some(files) => files,
            None => self.own_files()?,
        };
        // The embedded configuration has no text that could have changed.
        let mut config = match source.text.is_empty() {
            true => self.config.clone(),
            false => Config::parse(&source.name, &source.text).map_err(Failure::input)?,
        };
        config.keep_shards(&self.config);
        let complaints = self.config.needs_restart(&config, &source, self.finds_pci);
        if !complaints.is_empty() {
            return Err(all_of(&complaints));
        }
        config.require_devices().map_err(Failure::input)?;
        let queues = self.datapath.rx_queues();
        let count = |no| {
            let count = queues.iter().filter(|queue| queue.port == no).count();
            (count > 0).then_some(count)
        };
        let complaints = self.config.missing_queues(&config, &source, count);
        if !complaints.is_empty() {
            return Err(all_of(&complaints));
        }
        if config.eal.lcores != self.config.eal.lcores {
            let checked = self.datapath.check_lcores(&config.eal.lcores);
            checked.map_err(|error| Failure::input(format!("[eal] lcores: {error}")))?;
        }
        let steps = policy::read_policy(&config, &group_texts, &texts);
        let steps = steps.map_err(|errors| all_of(&errors))?;
        // What the files lead to, in tables of their own.
        let mut tables = self.other_tables();
        policy::apply_steps(&mut tables, &steps, self.datapath.now()).map_err(Failure::input)?;
        let (wanted, wanted_groups) = (flow_set(&tables), group_set(&tables));
        let policy = &self.policy;
        let (current, current_groups) = (flow_set(&policy.tables), group_set(&policy.tables));
        let (difference, groups) = if manner.exact {
            (
                Difference::exact(&current, &wanted),
                Difference::exact(&current_groups, &wanted_groups),
            )
        } else {
            (
                Difference::of_files(&current, &policy.loaded, &wanted),
                Difference::of_files(&current_groups, &policy.loaded_groups, &wanted_groups),
            )
        };
        let (before, now) = (&self.config.conntrack, &policy.conntrack);
        let (limits_wanted, limits_now) = (limit_set(&config.conntrack), limit_set(now));
        let limits = if manner.exact {
            Difference::exact(&limits_now, &limits_wanted)
        } else {
            Difference::of_files(&limits_now, &limit_set(before), &limits_wanted)
        };
        let settings = with_kept(config.conntrack.clone(), &limits);
        let mut otherwise = self.changed_sections(&config);
        otherwise.extend(changed_otherwise(now, &settings));
        let ports = self.config.port_changes(&config);
        self.next_ports(&config, &ports)?;
        if !manner.dry_run {
            let before = manner.confirm.map(|_| Box::new(self.state()));
            self.enact(Target {
                bundle: groups.around(difference.bundle(&current)),
                conntrack: settings,
                loaded: wanted,
                loaded_groups: wanted_groups,
                flags: Vec::new(),
                config,
            })?;
            if let (Some(seconds), Some(before)) = (manner.confirm, before) {
                let until = self.datapath.now() + Duration::from_secs(seconds.into());
                self.unconfirmed = Some(Unconfirmed { until, before });
            }
        }
        let lines = |limits: &[Limit], groups: &[GroupSpec], flows: &[FlowMod]| -> Vec<String> {
            let limits = limits.iter().map(Limit::to_string);
            let groups = groups.iter().map(|group| group_text(group).to_string());
            let flows = flows.iter().map(|flow| flow_text(flow).to_string());
            limits.chain(groups).chain(flows).collect()
        };
        let PortLines {
            added,
            modified,
            deleted,
        } = PortLines::of(&ports);
        let flows = lines(&limits.modified, &groups.modified, &difference.modified);
        Ok(Frame::Reloaded(ReloadReport {
            dry_run: manner.dry_run,
            added: [
                added,
                lines(&limits.added, &groups.added, &difference.added),
            ]
            .concat(),
            modified: [modified, otherwise, flows].concat(),
            deleted: [
                deleted,
                lines(&limits.deleted, &groups.deleted, &difference.deleted),
            ]
            .concat(),
            kept: lines(&limits.kept, &groups.kept, &difference.kept),
            confirm_s: manner.confirm,
        }))
    }

    /// Keeps what was loaded last.
    pub(super) fn confirm(&mut self) -> Result<Option<Frame>, Failure> {
        match self.unconfirmed.take() {
            Some(_) => Ok(None),
            None => Err(Failure::input("there is nothing to confirm")),
        }
    }

    /// Undoes what was loaded last and not confirmed.
    pub(super) fn roll_back(&mut self) -> Result<Option<Frame>, Failure> {
        let Some(Unconfirmed { before, .. }) = self.unconfirmed.take() else {
            let message = "there is nothing to roll back: only what was loaded with --confirm and \
                           is not confirmed is";
            return Err(Failure::input(message));
        };
        self.restore(*before)?;
        Ok(None)
    }

    /// Rolls back if the time to confirm is over.
    pub(super) fn roll_back_in_time(&mut self) {
        let now = self.datapath.now();
        if self
            .unconfirmed
            .as_ref()
            .is_none_or(|waiting| now < waiting.until)
        {
            return;
        }
        match self.roll_back() {
            Ok(_) => tracing::warn!("nobody confirmed what was loaded: all is as before"),
            Err(failure) => tracing::error!("rolling back: {}", failure.message),
        }
    }

    /// Refuses what changes anything while a reload waits to be confirmed.
    pub(super) fn check_confirmed(&self, verb: &Verb) -> Result<(), Failure> {
        match &self.unconfirmed {
            Some(waiting) if verb.changes_policy() => {
                let left = waiting.until.since(self.datapath.now());
                Err(Failure::input(format!(
                    "what was loaded last waits to be confirmed: weir confirm keeps it, weir rollback \
                     undoes it, the time-out does in {} s",
                    left.as_secs()
                )))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// What the switch runs from, as it is now.
    fn own_files(&self) -> Result<PolicyFiles, Failure> {
        let (config, source) = match &self.file {
            Some(file) => {
                let source = read_text(file).map_err(Failure::input)?;
                let config = Config::parse(&source.name, &source.text).map_err(Failure::input)?;
                (config, source)
            }
            None => {
                let (name, text) = ("embedded".to_owned(), String::new());
                (self.config.clone(), NamedText { name, text })
            }
        };
        Ok(PolicyFiles {
            flows: config.flow_texts().map_err(Failure::input)?,
            groups: config.group_texts().map_err(Failure::input)?,
            config: source,
        })
    }

    fn state(&self) -> State {
        let (policy, ports) = (&self.policy, &self.policy.ports);
        State {
            config: self.config.clone(),
            conntrack: policy.conntrack.clone(),
            flows: flow_set(&policy.tables),
            groups: group_set(&policy.tables),
            loaded: policy.loaded.clone(),
            loaded_groups: policy.loaded_groups.clone(),
            flags: ports
                .iter()
                .map(|(index, port)| (port.no, ports.flags(index)))
                .collect(),
        }
    }

    fn restore(&mut self, state: State) -> Result<(), Failure> {
        let tables = &self.policy.tables;
        let (current, current_groups) = (flow_set(tables), group_set(tables));
        let flows = Difference::exact(&current, &state.flows);
        let groups = Difference::exact(&current_groups, &state.groups);
        self.enact(Target {
            bundle: groups.around(flows.bundle(&current)),
            config: state.config,
            conntrack: state.conntrack,
            loaded: state.loaded,
            loaded_groups: state.loaded_groups,
            flags: state.flags,
        })
    }

    /// Changes everything that differs.
    fn enact(&mut self, target: Target) -> Result<(), Failure> {
        let changes = self.config.port_changes(&target.config);
        let next = self.next_ports(&target.config, &changes)?;
        // Where a device has to be closed before another opens, it may be too late to stay as it was.
        let before = (!next.taking_over.is_empty()).then(|| self.state());
        let exporter = self.next_exporter(&target.config)?;
        for (at, (index, port)) in next.fresh.iter().enumerate() {
            if let Err(failure) = self.open_device(*index, port) {
                self.close_devices(&next.fresh[..at]);
                return Err(failure);
            }
        }
        let lcores = self.config.eal.lcores.clone();
        if let Err(failure) = self.move_to_lcores(&target.config.eal.lcores) {
            self.close_devices(&next.fresh);
            return Err(failure);
        }
        let settings = self.policy.conntrack.clone();
        if target.conntrack != settings
            && let Err(failure) = self.configure(target.conntrack)
        {
            self.close_devices(&next.fresh);
            self.move_to_lcores(&lcores)?;
            return Err(failure);
        }
        let flagged = target.flags.iter();
        let table = flagged.fold(next.table, |table, (no, flags)| match table.index_of(*no) {
            Some(index) => table.with_flags(index, *flags),
            None => table,
        });
        let neighbours = self.config.neighbours != target.config.neighbours;
        let flags_differ = !target.flags.is_empty();
        let old_table = std::mem::replace(&mut self.policy.ports, Arc::new(table));
        if neighbours || flags_differ {
            self.policy.tables.ports_changed();
        }
        for index in &next.changed {
            self.policy.tables.port_came_or_went(*index);
        }
        let others = changes.removed.iter().chain(&changes.added);
        let numbers: Vec<_> = others.map(|port| port.id).collect();
        self.policy.tables.links_changed(&numbers);
        if let Err(failure) = self.apply_bundle(&target.bundle) {
            self.policy.ports = old_table;
            self.close_devices(&next.fresh);
            self.move_to_lcores(&lcores)?;
            if settings != self.policy.conntrack {
                self.configure(settings)?;
            }
            return Err(failure);
        }
        for (index, _) in &next.fresh {
            self.datapath.attach_port(*index).map_err(gone)?;
        }
        self.close_devices(&next.closing);
        for (_, port) in &next.closing {
            self.devices.forget(port.id);
        }
        let deals_otherwise = self.config.deals_otherwise(&target.config);
        self.config = target.config;
        self.policy.loaded = target.loaded;
        self.policy.loaded_groups = target.loaded_groups;
        if let Some(exporter) = exporter {
            self.exporter = exporter;
        }
        for (index, port) in &next.taking_over {
            let opened = self.open_device(*index, port);
            let done = opened.and_then(|()| self.datapath.attach_port(*index).map_err(gone));
            if let Err(failure) = done {
                return Err(match before.map(|before| self.restore(before)) {
                    Some(Err(worse)) => Failure::input(format!(
                        "{}\nand what was before could not be restored: {}",
                        failure.message, worse.message
                    )),
                    Some(Ok(())) | None => failure,
                });
            }
        }
        if deals_otherwise {
            self.deal_queues()?;
        }
        let down = self
            .policy
            .ports
            .iter()
            .filter(|(index, _)| self.policy.ports.flags(*index).down);
        let down: Vec<_> = down.map(|(_, port)| port.no).collect();
        let opened = next.fresh.iter().chain(&next.taking_over);
        for (_, port) in opened.filter(|(_, port)| down.contains(&port.id)) {
            self.datapath.show_link(port.id, false);
        }
        Ok(())
    }

    /// Lets these lcores do what others did, if they are others.
    fn move_to_lcores(&mut self, lcores: &[u16]) -> Result<(), Failure> {
        if *lcores == *self.running_on {
            return Ok(());
        }
        let moved = self.datapath.move_to_lcores(lcores);
        let pause = moved.map_err(|error| Failure::input(format!("[eal] lcores: {error}")))?;
        self.running_on = lcores.to_vec();
        let pause_us = pause.as_micros();
        tracing::info!("lcores are now {lcores:?}; a shard stood still for {pause_us} us at most");
        Ok(())
    }

    fn next_ports(&self, config: &Config, changes: &PortChanges) -> Result<NextPorts, Failure> {
        let mut table = PortTable::clone(&self.policy.ports);
        let all = policy::port_table(config);
        let said_of = |port: &Port| {
            let index = all.index_of(port.id).expect("it is made of these ports");
            all.port(index).clone()
        };
        let mut next = (Vec::new(), Vec::new(), Vec::new());
        let mut changed = Vec::new();
        for port in &changes.removed {
            let Some(index) = table.index_of(port.id) else {
                continue;
            };
            table = table.without_port(index);
            changed.push(index);
            next.1.push((index, port.clone()));
        }
        let places = self.datapath.port_places();
        for port in &changes.added {
            let with = table.with_port(said_of(port), places);
            let (with, index) = with.ok_or_else(|| {
                let message = format!("port {}: there is no place for another port", port.name);
                Failure::input(message)
            })?;
            // What is started otherwise is still the port at which something was switched off.
            let was = changes
                .removed
                .iter()
                .find(|old| (old.id, &old.name) == (port.id, &port.name));
            let was = was.and_then(|old| self.policy.ports.index_of(old.id));
            let flags = was.map_or_else(PortFlags::default, |was| self.policy.ports.flags(was));
            table = with.with_flags(index, flags);
            changed.push(index);
            let queue = match changes.takes_over(port) {
                true => &mut next.2,
                false => &mut next.0,
            };
            queue.push((index, port.clone()));
        }
        for port in &changes.modified {
            if let Some(index) = table.index_of(port.id) {
                table = table.with_config(index, said_of(port));
                changed.push(index);
            }
        }
        if config.neighbours != self.config.neighbours {
            let tunnels = policy::tunnels(config, |name| {
                let port = config.ports.iter().find(|port| port.name == name);
                port.and_then(|port| table.index_of(port.id))
            });
            table = table.with_tunnels(tunnels);
        }
        let (fresh, closing, taking_over) = next;
        Ok(NextPorts {
            table,
            changed,
            fresh,
            closing,
            taking_over,
        })
    }

    /// Lets lcores poll the queues that the configuration gives to them.
    fn deal_queues(&mut self) -> Result<(), Failure> {
        let places = self.config.ports.iter().filter_map(|port| {
            let index = self.policy.ports.index_of(port.id)?;
            Some((index, port.affinity.clone()))
        });
        let ports: Vec<_> = places.collect();
        self.datapath.deal_queues(&ports).map_err(gone)
    }

    fn open_device(&mut self, index: PortIndex, port: &Port) -> Result<(), Failure> {
        let Some(device) = port.device_config() else {
            return Ok(());
        };
        let started = self.datapath.start_port(index, &device);
        started.map_err(Failure::input)
    }

    /// Closes devices. There is nobody to hand to what does not close.
    fn close_devices(&mut self, ports: &[(PortIndex, Port)]) {
        for (index, port) in ports {
            if self.datapath.remove_port(*index).is_err() {
                tracing::error!("port {}: an lcore does not give it back", port.name);
            }
        }
    }

    /// The exporter of `config`, if it is another.
    fn next_exporter(&self, config: &Config) -> Result<Option<Option<Exporter>>, Failure> {
        if config.metrics == self.config.metrics {
            return Ok(None);
        }
        let Some(listen) = config.metrics else {
            return Ok(Some(None));
        };
        let Some(asker) = self.asker.clone() else {
            return Err(Failure::input("[metrics]: nobody can be asked for them"));
        };
        let started = Exporter::start(listen, asker);
        let started =
            started.map_err(|error| Failure::input(format!("[metrics] listen: {error}")))?;
        Ok(Some(Some(started)))
    }

    /// What differs that is neither flows, groups, ports nor settings of connections.
    fn changed_sections(&self, new: &Config) -> Vec<String> {
        let old = &self.config;
        let neighbours = old.neighbours != new.neighbours;
        let lcores = old.eal.lcores != new.eal.lcores;
        let name = old.bridge.name != new.bridge.name;
        let listen = match new.metrics {
            Some(listen) => format!("[metrics] listen = \"{listen}\""),
            None => "[metrics] off".to_owned(),
        };
        [
            (lcores, format!("[eal] lcores = {:?}", new.eal.lcores)),
            (neighbours, "[[neighbour]]".to_owned()),
            (name, format!("[bridge] name = \"{}\"", new.bridge.name)),
            (old.metrics != new.metrics, listen),
        ]
        .into_iter()
        .filter_map(|(differs, line)| differs.then_some(line))
        .collect()
    }
}

/// The ports of a report.
struct PortLines {
    added: Vec<String>,
    modified: Vec<String>,
    deleted: Vec<String>,
}

impl PortLines {
    fn of(changes: &PortChanges) -> Self {
        let has = |ports: &[Port], name: &str| ports.iter().any(|port| port.name == name);
        let line = |port: &Port| {
            let device = port.device_config().map(|device| device.device.to_string());
            let device = device.unwrap_or_default();
            let given = match &port.affinity[..] {
                [] => String::new(),
                given => {
                    let given = given
                        .iter()
                        .map(|(queue, lcore)| format!("{queue} = {lcore}"));
                    let given: Vec<_> = given.collect();
                    format!(" rxq_affinity {{ {} }}", given.join(", "))
                }
            };
            let (no, name, mtu) = (port.id, &port.name, port.mtu);
            format!("port {no}({name}): {device} mtu {mtu}{given}")
        };
        let PortChanges {
            removed,
            added,
            modified,
            polled_otherwise,
        } = changes;
        let modified = modified.iter().chain(polled_otherwise);
        let anew = added.iter().filter(|port| has(removed, &port.name));
        let anew = anew.map(|port| format!("{}, opened anew", line(port)));
        Self {
            modified: modified.map(line).chain(anew).collect(),
            added: added
                .iter()
                .filter(|port| !has(removed, &port.name))
                .map(line)
                .collect(),
            deleted: removed
                .iter()
                .filter(|port| !has(added, &port.name))
                .map(line)
                .collect(),
        }
    }
}
