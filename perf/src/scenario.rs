//! What is measured: a policy and the traffic that meets it.

use std::net::{IpAddr, Ipv4Addr};

use crate::captures::{Family, Order, Sizes, Traffic, Transport};

pub mod policy;
#[cfg(test)]
mod tests;

pub use policy::{Policy, Role};

/// A policy and its traffic.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What it is called on the command line and in tables: `firewall-10k`.
    pub name: String,
    /// What the switch is told.
    pub policy: &'static Policy,
    /// What it is sent.
    pub traffic: Traffic,
}

impl Scenario {
    /// The scenario with this name: a policy, `-`, a number of connections (`1k`, `250k`, `1M`),
    /// and any of `-ipv6`, `-tcp`, `-imix`, `-zipf`.
    pub fn named(name: &str) -> Option<Self> {
        let policy = POLICIES
            .iter()
            .copied()
            .filter(|policy| name.starts_with(policy.name))
            .max_by_key(|policy| policy.name.len())?;
        let mut words = name[policy.name.len()..].strip_prefix('-')?.split('-');
        let mut traffic = Traffic::udp(count(words.next()?)?);
        for word in words {
            match word {
                "ipv6" => traffic.family = Family::V6,
                "tcp" => traffic.transport = Transport::Tcp,
                "imix" => traffic.sizes = Sizes::Imix,
                "zipf" => {
                    traffic.order = Order::Zipf {
                        frames: traffic.connections,
                        exponent: 1.0,
                    };
                }
                _ => return None,
            }
        }
        if policy.translates {
            // So far only IPv4 clients are translated.
            if traffic.family == Family::V6 {
                return None;
            }
            traffic.translated_to = Some(TRANSLATED_TO);
        }
        Some(Self {
            name: name.to_owned(),
            policy,
            traffic,
        })
    }

    /// What [`Self::named`] understands, for a complaint.
    pub fn names() -> String {
        let policies: Vec<&str> = POLICIES.iter().map(|policy| policy.name).collect();
        format!(
            "POLICY-CONNECTIONS[-ipv6][-tcp][-imix][-zipf], POLICY one of {}, for example \
             firewall-10k",
            policies.join(", ")
        )
    }
}

/// All policies.
pub const POLICIES: &[&Policy] = &[
    &policy::PORT_TO_PORT,
    &policy::L2_REWRITE,
    &policy::FIREWALL,
    &policy::SNAT,
    &policy::NINE_TABLES,
];

/// What [`policy::SNAT`] makes of all clients; for documentation (RFC 5737).
const TRANSLATED_TO: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));

/// `1000`, `10k`, `1M`
fn count(text: &str) -> Option<u32> {
    let (digits, unit) = match text.strip_suffix('k') {
        Some(digits) => (digits, 1_000),
        None => match text.strip_suffix('M') {
            Some(digits) => (digits, 1_000_000),
            None => (text, 1),
        },
    };
    let count = digits.parse::<u32>().ok()?.checked_mul(unit)?;
    (1..=Traffic::MAX_CONNECTIONS)
        .contains(&count)
        .then_some(count)
}
