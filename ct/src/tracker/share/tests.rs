//! What is noted of a tracker's own tuples, and when.

use std::collections::HashSet;

use proptest::prelude::*;
use weir_packet::{Frame, VecFrame, text};

use super::*;
use crate::record::Ending;
use crate::request::Request;

/// Ports of which the first shard of two has a tuple.
fn ports(owners: &Owners) -> impl Iterator<Item = u16> {
    (1..=u16::MAX).filter(|&port| owners.owner_of_frame(packet(port).head()) == Some(ShardId(0)))
}

fn packet(port: u16) -> VecFrame {
    text::frame(&format!("udp 10.0.0.1:{port} > 10.0.0.2:9"))
}

fn tuple(port: u16) -> Tuple {
    let frame = packet(port);
    let layout = weir_packet::parse(frame.head(), frame.len()).expect("no runt");
    Tuple::of(frame.head(), &layout).expect("it has ports")
}

fn commit(tracker: &mut Tracker, port: u16, zone: u16) {
    let frame = packet(port);
    let layout = weir_packet::parse(frame.head(), frame.len()).expect("no runt");
    let request = Request {
        zone,
        commit: Some(Commit::default()),
        ..Request::default()
    };
    let outcome = tracker.execute(&frame, &layout, &request, Tick::ZERO);
    outcome.expect("there is room");
}

fn end(tracker: &mut Tracker, port: u16, zone: u16) {
    let found = tracker
        .table
        .find(&Keyed::new(&tracker.table, &tuple(port), zone));
    if let Some(place) = found {
        tracker.table.remove(place.slot, Ending::Flushed);
    }
}

fn tracker(owners: &Owners, connections: u32) -> Tracker {
    let settings = Settings {
        max_connections: connections,
        ..Settings::default()
    };
    Tracker::of_shard(&settings, 7, owners.clone(), ShardId(0))
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Commit(usize, u16),
    End(usize, u16),
    Note(u32),
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let operation = prop_oneof![
        6 => (0..30_usize, 0..3_u16).prop_map(|(port, zone)| Operation::Commit(port, zone)),
        4 => (0..30_usize, 0..3_u16).prop_map(|(port, zone)| Operation::End(port, zone)),
        1 => (0..5_u32).prop_map(Operation::Note),
    ];
    prop::collection::vec(operation, 0..200)
}

proptest! {
    /// However connections come and go while it is noted what they use, in the end it is known which tuples
    /// are free in every zone.
    #[test]
    fn what_is_in_use_is_never_given(operations in operations()) {
        let owners = Owners::new(2, 1);
        let ports: Vec<u16> = ports(&owners).take(30).collect();
        let mut tracker = tracker(&owners, 256);
        let mut live = HashSet::new();
        for operation in operations {
            match operation {
                Operation::Commit(port, zone) => {
                    commit(&mut tracker, ports[port], zone);
                    live.insert((port, zone));
                }
                Operation::End(port, zone) => {
                    end(&mut tracker, ports[port], zone);
                    live.remove(&(port, zone));
                }
                Operation::Note(slots) => {
                    tracker.table.note_uses(slots);
                }
            }
            tracker.check(Tick::ZERO);
        }
        for (at, &port) in ports.iter().enumerate() {
            let offer = Offer::exactly(tuple(port));
            let answer = tracker.give(ShardId(1), &offer, 0, Tick::ZERO);
            let is_free = (0..3).all(|zone| !live.contains(&(at, zone)));
            let granted = matches!(answer, Answer::Granted(_));
            prop_assert_eq!(granted, is_free, "{:?}", answer);
        }
    }
}

/// The first question is put off until all that is in use is noted, some connections at a time.
#[test]
fn whoever_asks_first_asks_again() {
    let owners = Owners::new(2, 1);
    let mut tracker = tracker(&owners, 8192);
    let ports: Vec<u16> = ports(&owners).take(2500).collect();
    for &port in &ports {
        commit(&mut tracker, port, 1);
    }
    assert_eq!(tracker.pairs(), (0, 0), "nobody has asked");
    let mut noted = Vec::new();
    let offer = Offer::exactly(tuple(ports[2000]));
    while let Answer::GoOn(0) = tracker.give(ShardId(1), &offer, 0, Tick::ZERO) {
        noted.push(tracker.pairs().0);
        assert!(noted.len() < 4);
    }
    assert_eq!(noted, [1024, 2048]);
    assert_eq!(tracker.pairs(), (2500, 0));
    end(&mut tracker, ports[2000], 1);
    let answer = tracker.give(ShardId(1), &offer, 0, Tick::ZERO);
    assert!(matches!(answer, Answer::Granted(_)), "{answer:?}");
    assert_eq!(tracker.pairs(), (2499, 1));
}
