//! How lcores agree on who has a connection, in every order in which it can happen: each thing that one
//! tells another may arrive, each lcore have its turn, and each packet come in, before or behind all else
//! that is under way; only what one lcore tells another stays in its order, as in a ring.
//!
//! Each order is played from the start, and the next one differs from it as late as possible, so all
//! are gone through, each once.

use std::collections::{BTreeMap, VecDeque};

use weir_ct::Settings;
use weir_packet::{VecFrame, text};
use weir_tests::cluster::{Cluster, Shape};

/// More orders than a scenario has; with more it would take too long for a test.
const MOST: usize = 60_000;

struct Scenario {
    lcores: u16,
    flows: &'static str,
    /// By lcore: what comes in there at port 1, in order.
    packets: &'static [&'static [&'static str]],
}

/// What became of the packets.
type Outcome = (usize, Vec<(&'static str, u64)>, usize);

/// Plays one order. `schedule` says which of the possible things happens, and beyond its end always
/// the first; it is filled up with how many were possible.
fn play(scenario: &Scenario, chance: u64, schedule: &mut Vec<(usize, usize)>) -> Outcome {
    let settings = Settings {
        max_connections: 64,
        ..Settings::default()
    };
    let mut cluster = Cluster::new(
        Shape::new(scenario.lcores, chance),
        &settings,
        scenario.flows,
    );
    let frames = |packets: &&[&str]| packets.iter().map(|packet| text::frame(packet)).collect();
    let mut waiting: Vec<VecDeque<VecFrame>> = scenario.packets.iter().map(frames).collect();
    let mut at = 0;
    loop {
        let moves = cluster.moves();
        let coming = waiting
            .iter()
            .enumerate()
            .filter(|(_, queue)| !queue.is_empty());
        let coming: Vec<_> = coming.map(|(lcore, _)| lcore).collect();
        let possible = moves.len() + coming.len();
        if possible == 0 {
            break;
        }
        if at == schedule.len() {
            schedule.push((0, possible));
        }
        let (choice, before) = schedule[at];
        assert_eq!(
            before, possible,
            "what is possible depends on what happened, and on nothing else"
        );
        at += 1;
        match moves.get(choice) {
            Some(next) => cluster.make(*next),
            None => {
                let lcore = coming[choice - moves.len()];
                let frame = waiting[lcore].pop_front().expect("one is coming");
                cluster.receive(lcore, 1, vec![frame]);
            }
        }
    }
    // Checks that each packet is counted once and that no two lcores have one tuple.
    cluster.settle();
    let sent = cluster.sent().len();
    let mut drops: Vec<_> = cluster.drops().into_iter().collect();
    drops.sort_unstable();
    let connections = cluster.connections().iter().map(Vec::len).sum();
    // Checks that nothing stays reserved.
    cluster.end();
    (sent, drops, connections)
}

/// All orders, and how often each outcome was met.
fn explore(scenario: &Scenario, chance: u64) -> BTreeMap<Outcome, usize> {
    let mut outcomes = BTreeMap::new();
    let mut schedule = Vec::new();
    for _ in 0..MOST {
        *outcomes
            .entry(play(scenario, chance, &mut schedule))
            .or_insert(0) += 1;
        // The last choice that was not the last possible one becomes another.
        while schedule
            .pop_if(|(choice, possible)| *choice + 1 == *possible)
            .is_some()
        {}
        let Some((choice, _)) = schedule.last_mut() else {
            return outcomes;
        };
        *choice += 1;
    }
    panic!("more than {MOST} orders; {outcomes:?}");
}

/// Explores with several secrets, so that each lcore is now the owner and now not, and hands the outcomes
/// of each to `check`. At least one had several orders.
fn explore_all(scenario: &Scenario, check: impl Fn(&Outcome)) {
    let mut most = 0;
    for chance in 0..6 {
        let outcomes = explore(scenario, chance);
        most = most.max(outcomes.values().sum());
        outcomes.keys().for_each(&check);
    }
    assert!(most > 20, "{most} orders");
}

const ONE_PORT: &str = "table=0,ip actions=ct(commit,nat(src=198.51.100.7:5000)),output:2";
const TWO_PORTS: &str = "table=0,ip actions=ct(commit,nat(src=198.51.100.7:5000-5001)),output:2";
const DNAT: &str = "table=0,ip actions=ct(commit,nat(dst=10.9.9.9)),output:2";

/// Two connections want one outside tuple: whatever the order, one gets it.
#[test]
fn of_two_that_want_one_tuple_one_gets_it() {
    let scenario = Scenario {
        lcores: 2,
        flows: ONE_PORT,
        packets: &[
            &["udp 10.0.0.1:1 > 192.0.2.9:53"],
            &["udp 10.0.0.2:2 > 192.0.2.9:53"],
        ],
    };
    explore_all(&scenario, |outcome| {
        assert_eq!(outcome, &(1, vec![("nat_exhausted", 1)], 1));
    });
}

/// There are as many tuples as connections: each gets one, and each only one.
#[test]
fn two_that_find_two_tuples_both_get_one() {
    let scenario = Scenario {
        lcores: 2,
        flows: TWO_PORTS,
        packets: &[
            &["udp 10.0.0.1:1 > 192.0.2.9:53"],
            &["udp 10.0.0.2:2 > 192.0.2.9:53"],
        ],
    };
    explore_all(&scenario, |outcome| assert_eq!(outcome, &(2, vec![], 2)));
}

/// The second packet of a connection waits behind the first wherever it comes in.
#[test]
fn packets_of_one_connection_that_come_in_at_two_lcores_make_one() {
    let scenario = Scenario {
        lcores: 2,
        flows: DNAT,
        packets: &[
            &["udp 10.0.0.1:1 > 192.0.2.9:53"],
            &["udp 10.0.0.1:1 > 192.0.2.9:53"],
        ],
    };
    explore_all(&scenario, |outcome| assert_eq!(outcome, &(2, vec![], 1)));
}

/// A third lcore owns what two others want.
#[test]
fn three_lcores_agree() {
    let scenario = Scenario {
        lcores: 3,
        flows: DNAT,
        packets: &[
            &["udp 10.0.0.1:1 > 192.0.2.9:53"],
            &["udp 10.0.0.2:2 > 192.0.2.9:53"],
            &[],
        ],
    };
    explore_all(&scenario, |outcome| assert_eq!(outcome, &(2, vec![], 2)));
}
