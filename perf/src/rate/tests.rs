use std::collections::BTreeMap;

use super::*;

const NO_PORTS: [PortCount; 2] = [PortCount {
    received: 0,
    sent: 0,
}; 2];

fn ports(received: u64, sent: u64) -> [PortCount; 2] {
    [PortCount { received, sent }; 2]
}

fn firewall() -> Scenario {
    Scenario::named("firewall-1k").expect("a scenario")
}

/// Cookies of the firewall's rules, by number.
fn counted(counts: &[(u64, u64)]) -> Evidence {
    let mut rules: BTreeMap<u64, u64> = (1..=7).map(|cookie| (cookie, 0)).collect();
    rules.extend(counts.iter().copied());
    Evidence {
        rules,
        connections: Some(1000),
    }
}

fn verdict(last: [PortCount; 2], after: &Evidence) -> Result<u64, String> {
    let before = counted(&[(4, 1000), (6, 77)]);
    prove(&firewall(), [&NO_PORTS, &last], [&before, after])
}

#[test]
fn an_established_run_is_proven() {
    let after = counted(&[(4, 1000), (5, 1_000_000), (6, 77), (7, 1_000_000)]);
    assert_eq!(verdict(ports(1_000_000, 1_000_000), &after), Ok(2_000_000));
}

#[test]
fn losses_are_found() {
    let after = counted(&[(4, 1000), (5, 1_000_000), (6, 77), (7, 1_000_000)]);
    let refused = verdict(ports(1_000_000, 990_000), &after).expect_err("losses");
    assert!(
        refused.contains("2000000 frames received 1980000 were sent"),
        "{refused}"
    );
    assert!(verdict(NO_PORTS, &after).is_err());
}

#[test]
fn drops_are_found() {
    let after = counted(&[(4, 1000), (5, 1_000_000), (6, 78), (7, 1_000_000)]);
    let refused = verdict(ports(1_000_000, 1_000_000), &after).expect_err("a drop");
    assert_eq!(refused, "1 packets took a rule that drops");
}

#[test]
fn traffic_that_is_not_established_is_found() {
    let after = counted(&[(4, 1_001_000), (5, 1_000_000), (6, 77), (7, 1_000_000)]);
    let refused = verdict(ports(1_000_000, 1_000_000), &after).expect_err("new connections");
    assert_eq!(refused, "1000000 packets opened a connection");
    let after = counted(&[(4, 1000), (1, 2_000_000), (6, 77)]);
    let refused = verdict(ports(1_000_000, 1_000_000), &after).expect_err("untracked");
    assert!(refused.contains("but 0 met"), "{refused}");
}

#[test]
fn one_way_traffic_is_found() {
    let after = counted(&[(4, 1000), (5, 2_000_000), (6, 77)]);
    let one_way = [
        PortCount {
            received: 2_000_000,
            sent: 0,
        },
        PortCount {
            received: 0,
            sent: 2_000_000,
        },
    ];
    let refused = verdict(one_way, &after).expect_err("one way");
    assert!(refused.contains("not alike"), "{refused}");
}

#[test]
fn more_connections_than_there_are_are_found() {
    let mut after = counted(&[(4, 1000), (5, 1_000_000), (6, 77), (7, 1_000_000)]);
    after.connections = Some(1001);
    assert!(verdict(ports(1_000_000, 1_000_000), &after).is_err());
}

#[test]
fn rules_of_somebody_else_are_found() {
    let mut after = counted(&[(5, 1_000_000), (7, 1_000_000)]);
    after.rules.insert(99, 1);
    assert!(verdict(ports(1_000_000, 1_000_000), &after).is_err());
}
