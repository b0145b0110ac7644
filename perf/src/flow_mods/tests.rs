use std::collections::BTreeSet;
use std::path::PathBuf;

use super::*;
use crate::captures::{Direction, Traffic};

#[test]
fn what_comes_goes() {
    for rules in [Rules::Apart, Rules::Passed, Rules::Among, Rules::Registers] {
        let (Verb::AddFlow { flow }, Verb::DelFlows { strict, matching }) =
            (verb(rules, 6), verb(rules, 7))
        else {
            panic!("a rule comes, then goes");
        };
        let rule = matching.expect("a rule");
        assert!(strict);
        assert_eq!(flow, format!("cookie=1,{rule},actions=drop"));
        assert_ne!(verb(rules, 6), verb(rules, 8));
    }
}

#[test]
fn rules_among_the_traffic_match_none_of_it() {
    let traffic = Traffic::udp(16 * CLIENTS);
    let (mut addresses, mut ports, mut pairs) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for connection in 0..traffic.connections {
        let tuple = traffic.tuple(connection, Direction::Forward);
        let (address, port) = (tuple.src().to_string(), tuple.src_port.to_string());
        addresses.insert(address.clone());
        ports.insert(port.clone());
        pairs.insert((address, port));
    }
    for number in 0..10_000 {
        let Verb::AddFlow { flow } = verb(Rules::Among, 2 * number) else {
            panic!("a rule comes");
        };
        let after = |name: &str| {
            let (_, rest) = flow.split_once(name).expect("it is matched");
            rest.split(',').next().unwrap_or(rest).to_owned()
        };
        let (address, port) = (after("nw_src="), after("tp_src="));
        assert!(
            addresses.contains(&address) && ports.contains(&port),
            "{flow}"
        );
        assert!(!pairs.contains(&(address, port)), "{flow}");
    }
}

#[test]
fn too_few_changes_are_found() {
    let changes = |made| Changes {
        made,
        span: Duration::from_secs(2),
    };
    assert!(changes(1_900).enough().is_ok());
    assert!(changes(1_899).enough().is_err());
    assert!(Changes::default().enough().is_err());
}

#[test]
fn nobody_there_is_a_complaint() {
    let socket = PathBuf::from("/nonexistent/weir.sock");
    assert!(churn(&socket, Rules::Apart, &AtomicBool::new(false)).is_err());
    // One that is stopped before it begins changes nothing.
    let mut changed = Err(Failure::Program(String::new()));
    let begun = Beside::start(0, &mut changed, move |stop| {
        churn(&socket, Rules::Apart, stop)
    });
    drop(begun);
    assert!(changed.is_err() || changed.is_ok_and(|changes| changes.made == 0));
}
