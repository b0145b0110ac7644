//! How lcores agree on who has a connection, in every order in which it can happen: each thing that one
//! tells another may arrive, each lcore have its turn, and each packet come in, before or behind all else
//! that is under way; only what one lcore tells another stays in its order, as in a ring.
//!
//! Each order is played from the start, and the next one differs from it as late as possible. Of orders
//! that differ only in steps which do not see each other, because they are of different lcores, one is
//! played (sleep sets, Godefroid 1996), so all that can make a difference are gone through, each once.

use std::collections::{BTreeMap, VecDeque};

use weir_ct::Settings;
use weir_packet::{VecFrame, text};
use weir_tests::cluster::{Cluster, Move, Shape};

/// More orders than a scenario has; with more it would take too long for a test.
const MOST: usize = 20_000;

struct Scenario {
    lcores: u16,
    flows: &'static str,
    /// By lcore: what comes in there at port 1, in order.
    packets: &'static [&'static [&'static str]],
}

/// What became of the packets.
type Outcome = (usize, Vec<(&'static str, u64)>, usize);

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Between lcores.
    Between(Move),
    /// The next packet comes in at an lcore.
    Comes(usize),
}

impl Step {
    /// The lcore that does something. What it says is put behind what it has said, which nobody else
    /// touches.
    const fn lcore(self) -> usize {
        match self {
            Self::Between(Move::Tell { to, .. }) => to,
            Self::Between(Move::Turn(lcore)) | Self::Comes(lcore) => lcore,
        }
    }
}

/// A place where one of several things happens.
struct Place {
    possible: Vec<Step>,
    choice: usize,
    /// Steps of which each order that begins with them here was played, in another order.
    asleep: Vec<Step>,
}

impl Place {
    /// Chooses the first possible step from `from` on that is not asleep.
    fn choose(&mut self, from: usize) -> bool {
        let rest = from..self.possible.len();
        let next = rest
            .clone()
            .find(|&at| !self.asleep.contains(&self.possible[at]));
        self.choice = next.unwrap_or(self.choice);
        next.is_some()
    }

    /// What is asleep behind this place.
    fn asleep_behind(&self) -> Vec<Step> {
        let chosen = self.possible[self.choice].lcore();
        let played = self.possible[..self.choice].iter().chain(&self.asleep);
        played
            .filter(|step| step.lcore() != chosen)
            .copied()
            .collect()
    }
}

/// Plays one order: what `places` choose, and beyond them always the first; they are filled up. `None`: in
/// the end only steps were possible that were played in another order.
fn play(scenario: &Scenario, chance: u64, places: &mut Vec<Place>) -> Option<Outcome> {
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
    for at in 0.. {
        let between = cluster.moves().into_iter().map(Step::Between);
        let coming = (0..waiting.len()).filter(|&lcore| !waiting[lcore].is_empty());
        let possible: Vec<_> = between.chain(coming.map(Step::Comes)).collect();
        if possible.is_empty() {
            break;
        }
        if at == places.len() {
            let asleep = places.last().map_or_else(Vec::new, Place::asleep_behind);
            let mut place = Place {
                possible: possible.clone(),
                choice: 0,
                asleep,
            };
            if !place.choose(0) {
                return None;
            }
            places.push(place);
        }
        let place = &places[at];
        assert_eq!(
            place.possible, possible,
            "it depends on what happened, and on nothing else"
        );
        match place.possible[place.choice] {
            Step::Between(next) => cluster.make(next),
            Step::Comes(lcore) => {
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
    Some((sent, drops, connections))
}

/// All orders, and how often each outcome was met.
fn explore(scenario: &Scenario, chance: u64) -> BTreeMap<Outcome, usize> {
    let mut outcomes = BTreeMap::new();
    let mut places = Vec::new();
    for _ in 0..MOST {
        if let Some(outcome) = play(scenario, chance, &mut places) {
            *outcomes.entry(outcome).or_insert(0) += 1;
        }
        // The last choice behind which another is left becomes that one.
        loop {
            let Some(place) = places.last_mut() else {
                return outcomes;
            };
            if place.choose(place.choice + 1) {
                break;
            }
            places.pop();
        }
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
    println!("{most} orders at most");
    assert!(most > 4, "{most} orders");
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

/// A datagram in pieces and a packet that came whole are of one connection, wherever the pieces meet and
/// whichever comes to its owner first.
#[test]
fn a_datagram_that_is_put_together_elsewhere_makes_no_connection_of_its_own() {
    let scenario = Scenario {
        lcores: 2,
        flows: "table=0,ip actions=ct(commit),output:2",
        packets: &[
            &[
                "udp 10.0.0.1:1 > 192.0.2.9:53 frag id=7 off=0 mf no-csum udp-len=24 len=8",
                "ip proto=17 10.0.0.1 > 192.0.2.9 frag id=7 off=16 data=0102030405060708",
            ],
            &["udp 10.0.0.1:1 > 192.0.2.9:53"],
        ],
    };
    // The packet, and two pieces.
    explore_all(&scenario, |outcome| assert_eq!(outcome, &(3, vec![], 1)));
}
