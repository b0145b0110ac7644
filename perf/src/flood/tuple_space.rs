//! The tuple-space-explosion attack (Csikor et al., CoNEXT 2019): packets that are denied, each for
//! reasons that take other bits to tell.
//!
//! A cache that finds out why a packet met no rule remembers as few bits as it can: a prefix of an
//! address and of a port, as far as the first bit that differs from a rule's. Packets whose fields
//! differ from the rules' at each bit in turn, in all combinations, then make a mask for each
//! combination, and a cache that looks through its masks one by one gets slower with each. Bits
//! behind those that differ change, so that hardly any packet comes twice.
//!
//! The attacker is a machine behind a port of its own, on the compute host of
//! [`Policy::vpc_compute_a`].

use std::fmt::Write;
use std::net::Ipv4Addr;

use crate::scenario::Policy;

/// What the attacker aims at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// The policy as its owner printed it: port security, which denies the packets as spoofed, with
    /// the addresses and ports of its other rules.
    PortSecurity,
    /// A security group that the attacker has made for itself, as tenants may: one address, one
    /// port to send from, one to send to.
    SecurityGroup,
}

impl Aim {
    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PortSecurity => "port security",
            Self::SecurityGroup => "own security group",
        }
    }

    /// The policy that is attacked.
    pub fn policy(self) -> Policy {
        match self {
            Self::PortSecurity => Policy::vpc_compute_a(),
            Self::SecurityGroup => Policy::vpc_compute_a().with(GROUP),
        }
    }

    /// The packets, as templates.
    pub fn templates(self) -> String {
        match self {
            Self::PortSecurity => port_security(),
            Self::SecurityGroup => security_group(),
        }
    }
}

/// The attacker's own: what it may open.
const GROUP: &[&str] = &[
    "table=15,priority=150,ct_state=+new-est-rel-inv+trk,udp,reg6=0x3,tp_dst=53,\
     actions=ct(commit,table=20,zone=NXM_NX_CT_ZONE[])",
    "table=15,priority=140,ct_state=+new-est-rel-inv+trk,udp,reg6=0x3,nw_dst=198.51.100.10,\
     actions=ct(commit,table=20,zone=NXM_NX_CT_ZONE[])",
    "table=15,priority=130,ct_state=+new-est-rel-inv+trk,udp,reg6=0x3,tp_src=12345,\
     actions=ct(commit,table=20,zone=NXM_NX_CT_ZONE[])",
];

/// The attacker.
const MAC: &str = "fa:16:3e:a2:06:26";
const IP: Ipv4Addr = Ipv4Addr::new(172, 19, 29, 3);

/// The security group's address and ports at each bit: 32 * 16 * 16 masks.
fn security_group() -> String {
    let mut text = String::new();
    for dst in flips(Ipv4Addr::new(198, 51, 100, 10).to_bits(), 32) {
        for sport in flips(12_345, 16) {
            for dport in flips(53, 16) {
                let gateway = "fa:16:3e:15:9a:ce";
                packet(
                    &mut text,
                    gateway,
                    (IP.to_bits()..=IP.to_bits(), dst.clone()),
                    (sport.clone(), dport),
                );
            }
        }
    }
    text
}

/// What port security compares: the sender's own address, the metadata service's, and for broadcasts
/// the port of DHCP clients at half of its bits: 32 * 32 * 8 masks.
fn port_security() -> String {
    let mut text = String::new();
    let service = Ipv4Addr::new(169, 254, 169, 254).to_bits();
    for src in flips(IP.to_bits(), 32) {
        for dst in flips(service, 32) {
            for sport in flips(68, 16).step_by(2) {
                let everybody = "ff:ff:ff:ff:ff:ff";
                let dport = 1_024..=65_535;
                packet(
                    &mut text,
                    everybody,
                    (src.clone(), dst.clone()),
                    (sport, dport),
                );
            }
        }
    }
    text
}

/// Values first and last of a field.
type Range = std::ops::RangeInclusive<u32>;

/// For each bit of `value`, which has so many: what differs from it there and in no higher bit.
fn flips(value: u32, bits: u32) -> impl Iterator<Item = Range> + Clone {
    (0..bits).map(move |bit| {
        let below = (1 << (bits - 1 - bit)) - 1;
        let first = (value ^ (below + 1)) & !below;
        first..=first | below
    })
}

/// A template of packets whose fields lie in these ranges, and change with each.
fn packet(
    text: &mut String,
    eth_dst: &str,
    (src, dst): (Range, Range),
    (sport, dport): (Range, Range),
) {
    let address = Ipv4Addr::from_bits;
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "1: eth {MAC} > {eth_dst} udp {}:{} > {}:{} len=12 |",
        address(*src.start()),
        sport.start(),
        address(*dst.start()),
        dport.start()
    );
    let addresses = [("src", src), ("dst", dst)].into_iter();
    for (field, range) in addresses.filter(|(_, range)| range.start() < range.end()) {
        let (first, last) = (address(*range.start()), address(*range.end()));
        let _ = write!(text, " {field}={first}..{last}");
    }
    let ports = [("sport", sport), ("dport", dport)].into_iter();
    for (field, range) in ports.filter(|(_, range)| range.start() < range.end()) {
        let _ = write!(text, " {field}={}..{}", range.start(), range.end());
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::generator::{Template, read};

    #[test]
    fn flips_cover_each_bit_and_what_is_below() {
        let ranges: Vec<_> = flips(0b1010, 4).collect();
        assert_eq!(
            ranges,
            [
                0..=0b0111,
                0b1100..=0b1111,
                0b1000..=0b1001,
                0b1011..=0b1011
            ]
        );
    }

    #[test]
    fn each_packet_differs_at_other_bits() {
        for (aim, count) in [(Aim::SecurityGroup, 8_192), (Aim::PortSecurity, 8_192)] {
            let templates = read("attack", &aim.templates(), 1).expect("templates");
            let frames: BTreeSet<&[u8]> = templates.iter().map(Template::frame).collect();
            assert_eq!(frames.len(), count, "{aim:?}");
        }
    }

    #[test]
    fn the_group_is_the_attackers() {
        let policy = Aim::SecurityGroup.policy();
        assert_eq!(policy.len(), Aim::PortSecurity.policy().len() + GROUP.len());
    }
}
