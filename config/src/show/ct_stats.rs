//! How many connections there are of each kind.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use weir_ct::{Tally, protocol_name};

use super::ZoneRow;

/// How many connections there are, and what their zones counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CtStatsRow {
    /// All of them.
    pub total: u64,
    /// By protocol as a dump names it.
    pub protocols: BTreeMap<String, u64>,
    /// TCP connections by the state that a dump shows.
    pub tcp_states: BTreeMap<String, u64>,
    /// What zones counted: the one that was asked for, or all.
    pub zones: Vec<ZoneRow>,
}

impl CtStatsRow {
    /// What was counted.
    pub fn new(tally: &Tally, zones: Vec<ZoneRow>) -> Self {
        let name = |protocol| match protocol_name(protocol) {
            Some(name) => name.to_owned(),
            None => protocol.to_string(),
        };
        let protocols = tally.protocols();
        let states = tally.tcp_states();
        Self {
            total: tally.total(),
            protocols: protocols.map(|(one, count)| (name(one), count)).collect(),
            tcp_states: states
                .map(|(state, count)| (state.to_string(), count))
                .collect(),
            zones,
        }
    }
}

/// The lines of `ovs-appctl dpctl/ct-stats-show`; for `verbose` with the states of TCP connections,
/// and behind them what zones counted, which Open vSwitch does not.
pub fn ct_stats_lines(tally: &Tally, zones: &[ZoneRow], verbose: bool) -> Vec<String> {
    /// In the order of Open vSwitch; what is none of these is counted last.
    const GROUPS: [(&str, &[u8]); 7] = [
        ("TCP", &[6]),
        ("UDP", &[17]),
        ("UDPLITE", &[136]),
        ("SCTP", &[132]),
        ("ICMP", &[1, 58]),
        ("DCCP", &[33]),
        ("IGMP", &[2]),
    ];
    let mut lines = vec![
        "Connections Stats:".to_owned(),
        format!("    Total: {}", tally.total()),
    ];
    let mut other = tally.total();
    for (name, protocols) in GROUPS {
        let those = tally.protocols().filter(|(one, _)| protocols.contains(one));
        let count: u64 = those.map(|(_, count)| count).sum();
        other -= count;
        if count > 0 {
            lines.push(format!("  {name}: {count}"));
            if verbose && name == "TCP" {
                lines.push("    Conn per TCP states:".to_owned());
                let states = tally.tcp_states();
                lines.extend(states.map(|(state, count)| format!("\t  [{state}]={count}")));
            }
        }
    }
    if other > 0 {
        lines.push(format!("  Other: {other}"));
    }
    if verbose {
        lines.extend(zones.iter().map(|zone| format!("  {zone}")));
    }
    lines
}
