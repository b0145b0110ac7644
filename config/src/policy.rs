//! From configuration and flow text to what the datapath runs.
//!
//! Invariant: a [`Policy`] was validated as a whole; nothing in it can be refused later.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_ct::Settings;
use weir_packet::Tick;
use weir_tables::action::{Action, Instructions, TableId};
use weir_tables::classifier::HashSecret;
use weir_tables::flow_mod::{Command, FlowMod};
use weir_tables::flow_tables::FlowTables;
use weir_tables::group_mod::BundleStep;
use weir_tables::port::{PortConfig, PortIndex, PortNo, PortTable, VlanMode};
use weir_tables::tunnel::{StaticNeighbour, TunnelConfig, Tunnels};

use crate::diagnostic::Diagnostic;
use crate::file::{Config, FailMode, NamedText, Port, Vlans};
use crate::text::{Options, PortNames, Spanned, match_text, parse_flow_file};

mod groups;
#[cfg(test)]
mod tests;

pub use groups::{GroupSet, group_set, read_bundle, read_group_text, read_groups, steps};

/// What the datapath is started with.
#[derive(Debug)]
pub struct Policy {
    /// The flow tables, filled.
    pub tables: FlowTables,
    /// The ports.
    pub ports: Arc<PortTable>,
    /// For the connections.
    pub conntrack: Settings,
    /// The flows that came from files.
    pub loaded: FlowSet,
    /// The groups that came from files.
    pub loaded_groups: GroupSet,
}

/// Flows by what makes each unique.
pub type FlowSet = BTreeMap<FlowKey, FlowMod>;

/// What makes a flow unique: table, priority (highest first) and match.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlowKey {
    table: TableId,
    priority: std::cmp::Reverse<u16>,
    matches: String,
}

impl Policy {
    /// Reads what `config` names and fills the tables of `lcores` lcores.
    ///
    /// # Errors
    /// All that is wrong with the flow and group files.
    pub fn load(
        config: &Config,
        lcores: usize,
        secret: HashSecret,
        now: Tick,
    ) -> Result<Self, Vec<Diagnostic>> {
        let texts = config.flow_texts().map_err(|error| vec![error])?;
        let group_texts = config.group_texts().map_err(|error| vec![error])?;
        let steps = read_policy(config, &group_texts, &texts)?;
        let mut tables = FlowTables::new(lcores, secret);
        tables
            .add_options(&config.options)
            .expect("a configuration's options fit into a map");
        apply_steps(&mut tables, &steps, now).map_err(|error| vec![error])?;
        let loaded = flow_set(&tables);
        let loaded_groups = group_set(&tables);
        let ports = Arc::new(port_table(config));
        Ok(Self {
            tables,
            ports,
            conntrack: config.conntrack.clone(),
            loaded,
            loaded_groups,
        })
    }
}

/// Reads the texts of groups and flows, as [`read_groups`] and [`read_flows`] do.
///
/// # Errors
/// All that is wrong with either.
pub fn read_policy(
    config: &Config,
    groups: &[NamedText],
    flows: &[NamedText],
) -> Result<Vec<Spanned<BundleStep>>, Vec<Diagnostic>> {
    match (read_groups(config, groups), read_flows(config, flows)) {
        (Ok(groups), Ok(flows)) => Ok(steps(groups, flows)),
        (Err(errors), Ok(_)) | (Ok(_), Err(errors)) => Err(errors),
        (Err(mut errors), Err(more)) => {
            errors.extend(more);
            Err(errors)
        }
    }
}

/// Reads flow text and checks that all of it can be executed. With `fail_mode =
/// "standalone"`, the first flow is a NORMAL for all packets.
///
/// # Errors
/// All that is wrong, as far as it can be found without executing anything.
pub fn read_flows(
    config: &Config,
    texts: &[NamedText],
) -> Result<Vec<Spanned<FlowMod>>, Vec<Diagnostic>> {
    let mut flows = Vec::new();
    if config.bridge.fail_mode == FailMode::Standalone {
        let file = "fail_mode".to_owned();
        flows.push(Spanned::new(normal_for_all(), file, 0, String::new()));
    }
    let mut errors = Vec::new();
    let ports = port_numbers(&config.ports);
    for NamedText { name, text } in texts {
        match read_flow_text(name, text, &ports) {
            Ok(read) => flows.extend(read),
            Err(wrong) => errors.extend(wrong),
        }
    }
    if errors.is_empty() {
        Ok(flows)
    } else {
        Err(errors)
    }
}

/// Reads the flow text called `name` and checks that all of it can be executed.
///
/// # Errors
/// All that is wrong with it.
pub fn read_flow_text(
    name: &str,
    text: &str,
    ports: &dyn PortNames,
) -> Result<Vec<Spanned<FlowMod>>, Vec<Diagnostic>> {
    let options = Options {
        name,
        ports,
        ..Options::default()
    };
    read_flow_file(text, &options)
}

/// Reads a file of flows as [`parse_flow_file`] does and checks that all of it can be executed.
///
/// # Errors
/// All that is wrong with it.
pub fn read_flow_file(
    text: &str,
    options: &Options<'_>,
) -> Result<Vec<Spanned<FlowMod>>, Vec<Diagnostic>> {
    let flows = parse_flow_file(text, options)?;
    let errors: Vec<_> = flows
        .iter()
        .filter_map(|flow| Some(flow.error(FlowTables::check(&flow.value).err()?.to_string())))
        .collect();
    if errors.is_empty() {
        Ok(flows)
    } else {
        Err(errors)
    }
}

/// Applies `flows` as one bundle.
///
/// # Errors
/// Points at the flow that was refused; nothing is then changed.
pub fn apply(
    tables: &mut FlowTables,
    flows: &[Spanned<FlowMod>],
    now: Tick,
) -> Result<weir_tables::flow_tables::Applied, Diagnostic> {
    tables
        .apply(flows.iter().map(|flow| &flow.value), now)
        .map_err(|(at, error)| flows[at].error(error.to_string()))
}

/// Applies `steps` as one bundle.
///
/// # Errors
/// Points at the step that was refused; nothing is then changed.
pub fn apply_steps(
    tables: &mut FlowTables,
    steps: &[Spanned<BundleStep>],
    now: Tick,
) -> Result<weir_tables::flow_tables::Applied, Diagnostic> {
    tables
        .apply_bundle(steps.iter().map(|step| &step.value), now)
        .map_err(|(at, error)| steps[at].error(error.to_string()))
}

/// All flows of `tables`.
pub fn flow_set(tables: &FlowTables) -> FlowSet {
    let all = FlowMod {
        command: Command::Delete,
        ..FlowMod::default()
    };
    tables
        .select(&all)
        .iter()
        .map(|rule| keyed(rule.flow_mod()))
        .collect()
}

fn keyed(flow: FlowMod) -> (FlowKey, FlowMod) {
    (flow_key(&flow), flow)
}

/// What makes `flow` unique.
pub fn flow_key(flow: &FlowMod) -> FlowKey {
    FlowKey {
        table: flow.table.unwrap_or_default(),
        priority: std::cmp::Reverse(flow.priority),
        matches: match_text(&flow.matches).to_string(),
    }
}

fn normal_for_all() -> FlowMod {
    let apply = vec![Action::Output(PortNo::NORMAL)];
    let instructions = Instructions {
        apply,
        ..Instructions::default()
    };
    FlowMod {
        table: Some(TableId(0)),
        priority: 0,
        instructions,
        ..FlowMod::default()
    }
}

/// The ports as the datapath knows them.
pub fn port_table(config: &Config) -> PortTable {
    let of = |port: &Port| PortConfig {
        no: port.id,
        name: port.name.clone(),
        mtu: port.mtu,
        vlan: match &port.vlans {
            Vlans::Access(vlan) => VlanMode::Access(*vlan),
            Vlans::All => VlanMode::TrunkAll,
            Vlans::Trunk(vlans) => VlanMode::Trunk(vlans.iter().copied().collect()),
        },
    };
    let ports = PortTable::new(config.ports.iter().map(of).collect());
    let tunnels = tunnels(config, |name| {
        let at = config.ports.iter().position(|port| port.name == name)?;
        u16::try_from(at).ok().map(PortIndex)
    });
    ports.with_tunnels(tunnels)
}

/// The tunnels among the ports; `index` finds a port's place by its name.
pub fn tunnels(config: &Config, index: impl Fn(&str) -> Option<PortIndex>) -> Tunnels {
    let index = |name: &str| index(name).unwrap_or(PortIndex(u16::MAX));
    let tunnels: Vec<_> = config
        .ports
        .iter()
        .filter_map(|port| {
            let tunnel = port.tunnel.as_ref()?;
            let config = TunnelConfig {
                kind: tunnel.kind,
                over: index(&tunnel.over),
                local: tunnel.local,
                remote: tunnel.remote,
                key: tunnel.key,
                dst_port: tunnel.dst_port,
            };
            Some((index(&port.name), config))
        })
        .collect();
    let neighbours: Vec<_> = config
        .neighbours
        .iter()
        .map(|neighbour| StaticNeighbour {
            over: index(&neighbour.port),
            ip: neighbour.ip,
            mac: neighbour.mac,
        })
        .collect();
    Tunnels::new(&tunnels, &neighbours)
}

/// Finds a port's number by its name.
pub fn port_numbers(ports: &[Port]) -> impl PortNames + use<> {
    let numbers: BTreeMap<_, _> = ports
        .iter()
        .map(|port| (port.name.clone(), port.id))
        .collect();
    move |name: &str| numbers.get(name).copied()
}

/// How to get from one set of flows, or groups, to another.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference<T> {
    /// What is new.
    pub added: Vec<T>,
    /// What does or says something else now.
    pub modified: Vec<T>,
    /// What is to go.
    pub deleted: Vec<T>,
    /// What was changed by hand and stays.
    pub kept: Vec<T>,
}

impl<T: Clone + PartialEq> Difference<T> {
    /// From `current` to exactly `wanted`.
    pub fn exact<K: Ord>(current: &BTreeMap<K, T>, wanted: &BTreeMap<K, T>) -> Self {
        // As if all that is there came from files.
        Self::of_files(current, current, wanted)
    }

    /// From `current`, which began as `loaded` and was changed by hand since, to what the files
    /// say now: only what changed in the files changes.
    pub fn of_files<K: Ord>(
        current: &BTreeMap<K, T>,
        loaded: &BTreeMap<K, T>,
        wanted: &BTreeMap<K, T>,
    ) -> Self {
        let mut difference = Self {
            added: Vec::new(),
            modified: Vec::new(),
            deleted: Vec::new(),
            kept: Vec::new(),
        };
        for (key, flow) in wanted {
            let before = loaded.get(key);
            match current.get(key) {
                Some(now) if now == flow => {}
                // The file says what it said, somebody said otherwise.
                Some(now) if before == Some(flow) => difference.kept.push(now.clone()),
                Some(_) => difference.modified.push(flow.clone()),
                None if before == Some(flow) => {}
                None => difference.added.push(flow.clone()),
            }
        }
        for (key, now) in current.iter().filter(|(key, _)| !wanted.contains_key(key)) {
            if loaded.get(key) == Some(now) {
                difference.deleted.push(now.clone());
            } else {
                difference.kept.push(now.clone());
            }
        }
        difference
    }
}

impl Difference<FlowMod> {
    /// The bundle that does it. A flow that only acts differently keeps its statistics.
    pub fn bundle(&self, current: &FlowSet) -> Vec<FlowMod> {
        let delete = |flow: &FlowMod| FlowMod {
            command: Command::DeleteStrict,
            new_cookie: None,
            ..flow.clone()
        };
        let modify = |flow: &FlowMod| {
            let (key, _) = keyed(flow.clone());
            let keeps_statistics = current.get(&key).is_some_and(|now| {
                let settings = |flow: &FlowMod| {
                    (
                        flow.idle_timeout,
                        flow.hard_timeout,
                        flow.importance,
                        flow.flags,
                    )
                };
                settings(now) == settings(flow)
            });
            let command = if keeps_statistics {
                Command::ModifyStrict
            } else {
                Command::Add
            };
            FlowMod {
                command,
                ..flow.clone()
            }
        };
        let deleted = self.deleted.iter().map(delete);
        let modified = self.modified.iter().map(modify);
        deleted
            .chain(modified)
            .chain(self.added.iter().cloned())
            .collect()
    }
}
