use std::collections::BTreeMap;

use super::*;

fn scenario() -> Scenario {
    Scenario::named("firewall-10k-new").expect("a scenario")
}

fn verdict(sent: u64, opened: u64, connections: Option<u64>) -> Result<u64, String> {
    let ports = [
        PortCount {
            received: 10_000,
            sent: 0,
        },
        PortCount { received: 0, sent },
    ];
    let evidence = Evidence {
        rules: BTreeMap::from([(1, 10_000), (4, opened)]),
        connections,
    };
    let busy = Busy {
        packets: 10_000,
        cycles: 1,
    };
    prove(&scenario(), &ports, &evidence, busy)
}

#[test]
fn opened_connections_are_proven() {
    assert_eq!(verdict(10_000, 10_000, None), Ok(10_000));
    assert_eq!(verdict(9_500, 9_500, Some(9_500)), Ok(9_500));
}

#[test]
fn what_was_not_opened_is_found() {
    assert!(verdict(9_499, 10_000, None).is_err());
    assert!(verdict(10_000, 1, None).is_err());
    let refused = verdict(10_000, 10_000, Some(17)).expect_err("17 connections");
    assert_eq!(
        refused,
        "10000 connections were to be opened, 17 are tracked"
    );
}

#[test]
fn drops_are_found() {
    let evidence = Evidence {
        rules: BTreeMap::from([(3, 1), (4, 10_000)]),
        connections: None,
    };
    let port = PortCount {
        received: 10_000,
        sent: 10_000,
    };
    let busy = Busy {
        packets: 10_000,
        cycles: 1,
    };
    let refused = prove(&scenario(), &[port, port], &evidence, busy).expect_err("a drop");
    assert_eq!(refused, "1 packets took a rule that drops");
}
