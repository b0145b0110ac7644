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
use weir_tables::port::{PortConfig, PortNo, PortTable, VlanMode};

use crate::diagnostic::Diagnostic;
use crate::file::{Config, FailMode, NamedText, Port, Vlans};
use crate::text::{Options, PortNames, Spanned, match_text, parse_flow_file};

#[cfg(test)]
mod tests;

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
    /// All that is wrong with the flow files.
    pub fn load(
        config: &Config,
        lcores: usize,
        secret: HashSecret,
        now: Tick,
    ) -> Result<Self, Vec<Diagnostic>> {
        let texts = config.flow_texts().map_err(|error| vec![error])?;
        let flows = read_flows(config, &texts)?;
        let mut tables = FlowTables::new(lcores, secret);
        apply(&mut tables, &flows, now).map_err(|error| vec![error])?;
        let loaded = flow_set(&tables);
        let ports = Arc::new(port_table(&config.ports));
        Ok(Self {
            tables,
            ports,
            conntrack: config.conntrack.clone(),
            loaded,
        })
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
        flows.push(Spanned {
            value: normal_for_all(),
            file: "fail_mode".to_owned(),
            line: 0,
            source_line: String::new(),
        });
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
    let flows = parse_flow_file(text, &options)?;
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
    let mods: Vec<_> = flows.iter().map(|flow| flow.value.clone()).collect();
    tables
        .apply(&mods, now)
        .map_err(|(at, error)| flows[at].error(error.to_string()))
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
    let key = FlowKey {
        table: flow.table.unwrap_or_default(),
        priority: std::cmp::Reverse(flow.priority),
        matches: match_text(&flow.matches).to_string(),
    };
    (key, flow)
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
pub fn port_table(ports: &[Port]) -> PortTable {
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
    PortTable::new(ports.iter().map(of).collect())
}

/// Finds a port's number by its name.
pub fn port_numbers(ports: &[Port]) -> impl PortNames + use<> {
    let numbers: BTreeMap<_, _> = ports
        .iter()
        .map(|port| (port.name.clone(), port.id))
        .collect();
    move |name: &str| numbers.get(name).copied()
}

/// How to get from one set of flows to another.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Flows that are new.
    pub added: Vec<FlowMod>,
    /// Flows that do or say something else now.
    pub modified: Vec<FlowMod>,
    /// Flows that are to go.
    pub deleted: Vec<FlowMod>,
    /// Flows that were changed by hand and stay.
    pub kept: Vec<FlowMod>,
}

impl Difference {
    /// From `current` to exactly `wanted`.
    pub fn exact(current: &FlowSet, wanted: &FlowSet) -> Self {
        let mut difference = Self::default();
        for (key, flow) in wanted {
            match current.get(key) {
                None => difference.added.push(flow.clone()),
                Some(now) if now != flow => difference.modified.push(flow.clone()),
                Some(_) => {}
            }
        }
        let gone = current.iter().filter(|(key, _)| !wanted.contains_key(key));
        difference
            .deleted
            .extend(gone.map(|(_, flow)| flow.clone()));
        difference
    }

    /// From `current`, which began as `loaded` and was changed by hand since, to what the files
    /// say now: only what changed in the files changes.
    pub fn of_files(current: &FlowSet, loaded: &FlowSet, wanted: &FlowSet) -> Self {
        let mut difference = Self::default();
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
