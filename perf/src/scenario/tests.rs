use std::collections::BTreeSet;

use super::*;
use crate::captures::{CLIENT_MAC, SERVER_MAC};

#[test]
fn names_are_understood() {
    let scenario = Scenario::named("port-to-port-1M").expect("a name");
    assert_eq!(
        (&*scenario.policy.name, scenario.traffic.connections),
        ("port-to-port", 1_000_000)
    );
    let scenario = Scenario::named("firewall-10k-ipv6-tcp-imix").expect("a name");
    let Traffic {
        connections,
        family,
        transport,
        sizes,
        ..
    } = scenario.traffic;
    assert_eq!(
        (connections, family, transport),
        (10_000, Family::V6, Transport::Tcp)
    );
    assert_eq!(sizes, Sizes::Imix);
    assert!(
        Scenario::named("snat-5")
            .expect("a name")
            .traffic
            .translated_to
            .is_some()
    );
    for wrong in [
        "",
        "firewall",
        "firewall-",
        "firewall-0",
        "firewall-99M",
        "x-1k",
        "snat-1k-ipv6",
        "snat-1k-x",
        "firewall-1k-zipf-new",
        "acl-10x11-1k",
        "acl-100x31-1k",
        "acl-0x0-1k",
        "acl-10-1k",
        "acl-10x1-1k-ipv6",
        "vpc-computeA-1k-tcp",
    ] {
        assert!(Scenario::named(wrong).is_none(), "{wrong}");
    }
}

#[test]
fn every_rule_has_its_cookie_and_its_role() {
    for policy in POLICIES {
        for family in [Family::V4, Family::V6] {
            let text = policy.flows(family);
            assert_eq!(text.lines().count(), policy.len());
            assert!(!text.contains("IP,"), "{text}");
            for (number, line) in (1..).zip(text.lines()) {
                assert!(line.starts_with(&format!("cookie={number},")));
                assert!(policy.role(number).is_some());
            }
        }
        assert_eq!(policy.role(0), None);
        assert_eq!(policy.role(policy.len() as u64 + 1), None);
    }
}

#[test]
fn the_nine_tables_know_the_addresses_of_the_captures() {
    let text = policy::NINE_TABLES.flows(Family::V4);
    for mac in [CLIENT_MAC, SERVER_MAC] {
        let mac: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        for key in ["dl_src", "dl_dst"] {
            assert!(text.contains(&format!("{key}={}", mac.join(":"))));
        }
    }
}

#[test]
fn snat_translates_to_the_address_that_replies_go_to() {
    assert!(
        policy::SNAT
            .flows(Family::V4)
            .contains(&format!("nat(src={TRANSLATED_TO})"))
    );
}

#[test]
fn new_connections_are_played_once_and_translated_to_a_pool() {
    let scenario = Scenario::named("snat-1k-new").expect("a name");
    assert_eq!(
        (
            scenario.play,
            scenario.frames(),
            scenario.traffic.translated_to
        ),
        (Play::Once, 1_000, None)
    );
    assert!(
        scenario
            .policy
            .flows(Family::V4)
            .contains("nat(src=203.0.113.1-203.0.113.250)")
    );
    let dir = tempfile::tempdir().expect("a directory");
    let [forward, reply] = scenario.write_captures(dir.path()).expect("captures");
    let size = |path| std::fs::metadata(path).expect("a file").len();
    assert_eq!((size(forward), size(reply)), (24 + 1_000 * 76, 24));
}

#[test]
fn access_lists_have_rules_of_so_many_kinds() {
    for (rules, masks) in [(1, 1), (100, 30), (10_000, 1), (10_000, 30)] {
        let scenario = Scenario::named(&format!("acl-{rules}x{masks}-1k")).expect("a name");
        let text = scenario.policy.flows(Family::V4);
        let listed: BTreeSet<&str> = text
            .lines()
            .filter_map(|line| line.split_once("priority=10,"))
            .map(|(_, rule)| rule)
            .collect();
        assert_eq!(listed.len(), rules as usize, "{rules}x{masks}");
        let kinds: BTreeSet<(String, bool)> = listed
            .iter()
            .map(|rule| {
                let (_, prefix) = rule.split_once('/').expect("a prefix");
                let length: String = prefix.chars().take_while(char::is_ascii_digit).collect();
                (length, rule.contains("tp_dst"))
            })
            .collect();
        assert!(kinds.len() >= masks as usize, "{rules}x{masks}: {kinds:?}");
    }
}

#[test]
fn commits_are_counted_by_table() {
    let commits = [
        policy::PORT_TO_PORT.commits(),
        policy::FIREWALL.commits(),
        policy::NINE_TABLES.commits(),
        Policy::access_list(10, 2).commits(),
        Policy::vpc_compute_a().commits(),
    ];
    assert_eq!(commits, [1, 1, 2, 1, 2]);
}

#[test]
fn the_printed_policy_opens_what_the_captures_send() {
    let scenario = Scenario::named("vpc-computeA-70k").expect("a name");
    let text = scenario.policy.flows(Family::V4);
    assert_eq!(text.lines().count(), scenario.policy.len());
    let [client, server] = scenario.traffic.between.expect("two machines");
    let mac = |bytes: [u8; 6]| bytes.map(|byte| format!("{byte:02x}")).join(":");
    for (port, host) in scenario.policy.ports.into_iter().zip([client, server]) {
        let (mac, ip) = (mac(host.mac), Ipv4Addr::from(host.ip));
        assert!(text.contains(&format!("ip,in_port={port},dl_src={mac},nw_src={ip} ")));
    }
    let tuples = (0..70_000).map(|number| scenario.traffic.tuple(number, Direction::Forward));
    assert_eq!(
        tuples.collect::<std::collections::HashSet<_>>().len(),
        70_000
    );
}
