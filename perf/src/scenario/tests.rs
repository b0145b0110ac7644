use super::*;
use crate::captures::{CLIENT_MAC, SERVER_MAC};

#[test]
fn names_are_understood() {
    let scenario = Scenario::named("port-to-port-1M").expect("a name");
    assert_eq!(
        (scenario.policy.name, scenario.traffic.connections),
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
