//! What is measured: a policy and the traffic that meets it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use crate::captures::{Direction, Family, Order, Sizes, Traffic, Transport, write_empty};
use crate::failure::Failure;

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
    pub policy: Policy,
    /// What it is sent.
    pub traffic: Traffic,
    /// How often it is sent.
    pub play: Play,
    /// Whether there is a third port, at which a generator sends ([`crate::flood`]).
    pub flooded: bool,
    /// Whether more may come than is sent: the devices bring packets as fast as they are asked, also where
    /// one lcore then hands over more than the other takes.
    pub overloaded: bool,
}

/// How often captures are played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Play {
    /// Both directions, over and over: established connections.
    Endless,
    /// The first packet of each connection, once: new connections.
    Once,
}

impl Scenario {
    /// The scenario with this name: a policy, `-`, a number of connections (`1k`, `250k`, `1M`),
    /// and any of `-ipv6`, `-tcp`, `-imix`, `-zipf`, `-new`. The policy `acl-RULESxMASKS` is
    /// [`Policy::access_list`], `vpc-computeA` [`Policy::vpc_compute_a`].
    pub fn named(name: &str) -> Option<Self> {
        let (policy, rest) = policy(name)?;
        let mut words = rest.strip_prefix('-')?.split('-');
        let mut scenario = Self {
            name: name.to_owned(),
            policy,
            traffic: Traffic::udp(count(words.next()?)?),
            play: Play::Endless,
            flooded: false,
            overloaded: false,
        };
        let traffic = &mut scenario.traffic;
        if name.starts_with(VPC) {
            traffic.between = Some([policy::VPC_CLIENT, policy::VPC_SERVER]);
        }
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
                "new" => scenario.play = Play::Once,
                _ => return None,
            }
        }
        let plain = traffic.family == Family::V4 && traffic.transport == Transport::Udp;
        if (name.starts_with(ACCESS_LIST) || name.starts_with(VPC)) && !plain {
            // Their rules are about UDP over IPv4.
            return None;
        }
        if scenario.policy.translates_to.is_some() {
            // So far only IPv4 clients are translated.
            if traffic.family == Family::V6 {
                return None;
            }
            match scenario.play {
                Play::Endless => traffic.translated_to = Some(TRANSLATED_TO),
                // Nobody has to know in advance which address of a pool replies go to.
                Play::Once => scenario.policy = policy::SNAT_POOL,
            }
        }
        // Which connections a capture has must be known where each is to come once.
        (scenario.play == Play::Endless || scenario.traffic.order == Order::Shuffled)
            .then_some(scenario)
    }

    /// What [`Self::named`] understands, for a complaint.
    pub fn names() -> String {
        let policies: Vec<&str> = POLICIES.iter().map(|policy| &*policy.name).collect();
        format!(
            "POLICY-CONNECTIONS[-ipv6][-tcp][-imix][-zipf][-new], POLICY one of {}, \
             {VPC}, acl-RULESxMASKS, for example firewall-10k",
            policies.join(", ")
        )
    }

    /// Writes what the clients' and the servers' port play to `forward.pcap` and `reply.pcap` in `dir`.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write_captures(&self, dir: &Path) -> Result<[PathBuf; 2], Failure> {
        let paths = ["forward.pcap", "reply.pcap"].map(|name| dir.join(name));
        let [forward, reply] = &paths;
        let written = self.traffic.write(Direction::Forward, forward);
        written.map_err(Failure::path(forward))?;
        let written = match self.play {
            Play::Endless => self.traffic.write(Direction::Reply, reply),
            Play::Once => write_empty(reply),
        };
        written.map_err(Failure::path(reply))?;
        Ok(paths)
    }

    /// Frames that both devices have in their captures together.
    pub const fn frames(&self) -> u32 {
        match self.play {
            Play::Endless => 2 * self.traffic.frames_per_turn(),
            Play::Once => self.traffic.frames_per_turn(),
        }
    }
}

/// The policy that `name` begins with, and the rest.
fn policy(name: &str) -> Option<(Policy, &str)> {
    if let Some(list) = name.strip_prefix(ACCESS_LIST) {
        let (size, _) = list.split_once('-')?;
        let (rules, masks) = size.split_once('x')?;
        let (rules, masks) = (count(rules)?, count(masks)?);
        let possible = masks <= policy::MOST_MASKS && masks <= rules && rules <= MOST_RULES;
        return possible.then(|| (Policy::access_list(rules, masks), &list[size.len()..]));
    }
    if let Some(rest) = name.strip_prefix(VPC) {
        return Some((Policy::vpc_compute_a(), rest));
    }
    let known = POLICIES
        .iter()
        .filter(|policy| name.starts_with(&*policy.name))
        .max_by_key(|policy| policy.name.len())?;
    Some((Policy::clone(known), &name[known.name.len()..]))
}

/// All policies that are written down here.
pub const POLICIES: &[&Policy] = &[
    &policy::PORT_TO_PORT,
    &policy::L2_REWRITE,
    &policy::FIREWALL,
    &policy::SNAT,
    &policy::NINE_TABLES,
];

/// The policy of a compute host as its owner printed it.
const VPC: &str = "vpc-computeA";

/// What names of access lists begin with.
const ACCESS_LIST: &str = "acl-";

/// Rules of the longest access list.
const MOST_RULES: u32 = 10_000;

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
