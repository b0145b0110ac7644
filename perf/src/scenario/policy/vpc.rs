//! The policy of a compute host as its owner printed it.

use super::{Policy, Role, Rules, table};
use crate::captures::Host;

const DUMP: &str = include_str!("../../../../config/tests/seeds/vpc-computeA.flows");
const SUPPLEMENT: &str = include_str!("../../../../examples/vpc-computeA-supplement.flows");
const GROUPS: &str = include_str!("../../../../examples/vpc-computeA-supplement.groups");

/// The dump lets machines open nothing but pings; what is measured are connections that
/// are told apart by their ports.
const MEASURED: &str =
    "table=15,priority=100,udp,reg6=0x4,nw_dst=172.19.29.0/24,actions=conjunction(4,2/2)";

/// The machine that opens connections, behind port 4.
pub const CLIENT: Host = Host {
    mac: [0xfa, 0x16, 0x3e, 0x6c, 0xe5, 0x40],
    ip: [172, 19, 29, 4],
};

/// The machine that answers, behind port 9 of the same host.
pub const SERVER: Host = Host {
    mac: [0xfa, 0x16, 0x3e, 0xe3, 0x74, 0xd9],
    ip: [172, 19, 29, 5],
};

impl Policy {
    /// What `examples/vpc-computeA.toml` runs, and a rule that lets [`CLIENT`] open UDP
    /// connections: port security, connection tracking in the zone of the network on the way out
    /// of the sender and into the receiver, conjunctive security groups, L2 look-up.
    pub fn vpc_compute_a() -> Self {
        let lines = DUMP.lines().chain(SUPPLEMENT.lines()).chain([MEASURED]);
        let rules = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let rules = rules.map(|line| line.strip_prefix("cookie=0x0, ").unwrap_or(line));
        Self {
            name: "vpc-computeA".into(),
            tracks: true,
            translates_to: None,
            ports: [4, 9],
            groups: GROUPS,
            rules: Rules::Made(rules.map(|rule| (role(rule), rule.to_owned())).collect()),
        }
    }

    /// The same with more rules, as the dump would have them.
    pub fn with(self, more: &[&str]) -> Self {
        let own = (0..self.len()).filter_map(|index| self.rule(index));
        let own = own.map(|(role, rule)| (role, rule.to_owned()));
        let more = more.iter().map(|rule| (role(rule), (*rule).to_owned()));
        Self {
            rules: Rules::Made(own.chain(more).collect()),
            ..self.clone()
        }
    }
}

/// What it means that a line of the dump was hit.
fn role(rule: &str) -> Role {
    let (_, actions) = rule.split_once("actions=").expect("a rule has actions");
    if actions == "drop" {
        Role::Drops
    } else if actions.starts_with("ct(commit") {
        Role::Opens
    } else if table(rule) == "table=60" {
        Role::Forwards
    } else {
        Role::Passes
    }
}
