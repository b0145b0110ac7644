//! The short way against the long one: two trackers, one of which takes it where it is allowed.

use std::collections::HashMap;

use proptest::prelude::*;
use weir_packet::{Frame, L4, Layout, Tick, VecFrame, parse, text};

use super::{After, Part, Recall};
use crate::entry::Entry;
use crate::filter::Filter;
use crate::request::{Commit, Request};
use crate::settings::Settings;
use crate::state::CtState;
use crate::tracker::{Cursor, Tracker};

/// Segments of two connections, datagrams of two, pings of one, in both directions.
fn lines() -> impl Strategy<Value = String> {
    let flags = proptest::sample::select(vec!["S", "SA", "A", "A", "A", "PA", "FA", "R", "RA"]);
    let number = || prop_oneof![4 => 100..140u32, 1 => any::<u32>()];
    let tcp = (
        0..2u16,
        any::<bool>(),
        flags,
        number(),
        number(),
        0..64u16,
        0..20usize,
    );
    let tcp = tcp.prop_map(|(which, back, flags, seq, ack, win, len)| {
        let port = 4000 + which;
        let (from, to) = match back {
            false => (format!("10.0.0.1:{port}"), "10.0.0.2:80".to_owned()),
            true => ("10.0.0.2:80".to_owned(), format!("10.0.0.1:{port}")),
        };
        format!("tcp {from} > {to} {flags} seq={seq} ack={ack} win={win} len={len}")
    });
    let udp = (0..2u16, any::<bool>()).prop_map(|(which, back)| {
        let port = 4000 + which;
        match back {
            false => format!("udp 10.0.0.1:{port} > 10.0.0.2:53"),
            true => format!("udp 10.0.0.2:53 > 10.0.0.1:{port}"),
        }
    });
    let echo = any::<bool>().prop_map(|back| {
        match back {
            false => "icmp 10.0.0.1 > 10.0.0.2 echo-request id=7",
            true => "icmp 10.0.0.2 > 10.0.0.1 echo-reply id=7",
        }
        .to_owned()
    });
    prop_oneof![3 => tcp, 2 => udp, 1 => echo]
}

fn settings() -> Settings {
    Settings {
        max_connections: 16,
        accounting: true,
        ..Settings::default()
    }
}

fn part(frame: &VecFrame, layout: &Layout) -> Option<Part> {
    match layout.l4 {
        L4::Tcp => Part::tcp(frame.head(), layout),
        L4::Udp => Some(Part::UDP),
        _ => Some(Part::QUERY),
    }
}

fn size(layout: &Layout) -> u32 {
    layout.l3_end - u32::from(layout.l3_offset)
}

fn dump(tracker: &Tracker, now: Tick) -> Vec<Entry> {
    let mut entries = Vec::new();
    tracker.dump(
        Cursor::default(),
        usize::MAX,
        &Filter::default(),
        now,
        &mut entries,
    );
    entries
}

proptest! {
    #[test]
    fn the_short_way_is_the_long_one(
        packets in prop::collection::vec((lines(), any::<bool>(), 0..40_000u64), 1..200),
    ) {
        let mut long = Tracker::new(&settings(), 1);
        let mut short = Tracker::new(&settings(), 1);
        // By the tuple's text, as a cache would have it by the packet's bytes.
        let mut known: HashMap<String, (Recall, CtState)> = HashMap::new();
        let mut now = Tick::from_millis(1000);
        for (line, commit, wait) in packets {
            now = now + std::time::Duration::from_millis(wait);
            let frame = text::frame(&line);
            let layout = parse(frame.head(), frame.len()).expect("no runt");
            let commit = commit.then_some(Commit::default());
            let request = Request { zone: 3, commit, ..Request::default() };
            let wanted = long.execute(&frame, &layout, &request, now);
            let name: String = line.split(" ").take(4).collect();
            let allowed = known.get(&name).and_then(|&(recall, state)| {
                let part = part(&frame, &layout)?;
                let mut after = After::NOTHING;
                let allowed = short.allows(recall, &part, now, &mut after);
                allowed.then_some((recall, state, after))
            });
            match allowed {
                Some((recall, state, after)) => {
                    prop_assert_eq!(wanted.map(|outcome| outcome.state), Ok(state), "{}", line);
                    short.apply(recall, &after, size(&layout), now);
                }
                None => {
                    let got = short.execute(&frame, &layout, &request, now);
                    prop_assert_eq!(got.map(|o| o.state), wanted.map(|o| o.state), "{}", line);
                    known.remove(&name);
                    if let Ok(outcome) = got && let Some(recall) = outcome.recall {
                        known.insert(name, (recall, outcome.state));
                    }
                }
            }
            prop_assert_eq!(dump(&short, now), dump(&long, now), "after {}", line);
            short.check(now);
        }
    }
}

proptest! {
    /// Whether a packet is allowed, and what is then done, in one step and in two.
    #[test]
    fn one_step_is_two(
        packets in prop::collection::vec((lines(), any::<bool>(), 0..40_000u64), 1..200),
    ) {
        let mut two = Tracker::new(&settings(), 1);
        let mut one = Tracker::new(&settings(), 1);
        let mut known: HashMap<String, Recall> = HashMap::new();
        let mut now = Tick::from_millis(1000);
        for (line, commit, wait) in packets {
            now = now + std::time::Duration::from_millis(wait);
            let frame = text::frame(&line);
            let layout = parse(frame.head(), frame.len()).expect("no runt");
            let name: String = line.split(" ").take(4).collect();
            let mut done = false;
            if let (Some(&recall), Some(part)) = (known.get(&name), part(&frame, &layout)) {
                let mut after = After::NOTHING;
                done = two.allows(recall, &part, now, &mut after);
                if done {
                    two.apply(recall, &after, size(&layout), now);
                }
                prop_assert_eq!(one.pass::<true>(recall, &part, size(&layout), now), done, "{}", line);
            }
            if !done {
                let commit = commit.then_some(Commit::default());
                let request = Request { zone: 3, commit, ..Request::default() };
                let wanted = two.execute(&frame, &layout, &request, now);
                let got = one.execute(&frame, &layout, &request, now);
                prop_assert_eq!(got.map(|o| o.recall), wanted.map(|o| o.recall), "{}", line);
                known.remove(&name);
                if let Ok(outcome) = got && let Some(recall) = outcome.recall {
                    known.insert(name, recall);
                }
            }
            prop_assert_eq!(dump(&one, now), dump(&two, now), "after {}", line);
            one.check(now);
        }
    }
}

#[test]
fn established_traffic_takes_the_short_way() {
    let mut tracker = Tracker::new(&settings(), 1);
    let now = Tick::from_millis(1000);
    let send = |line: &str, tracker: &mut Tracker| {
        let frame = text::frame(line);
        let layout = parse(frame.head(), frame.len()).expect("no runt");
        let commit = Some(Commit::default());
        let request = Request {
            zone: 3,
            commit,
            ..Request::default()
        };
        tracker
            .execute(&frame, &layout, &request, now)
            .expect("no drop")
            .recall
    };
    let (there, back) = (
        "udp 10.0.0.1:4000 > 10.0.0.2:53",
        "udp 10.0.0.2:53 > 10.0.0.1:4000",
    );
    assert_eq!(send(there, &mut tracker), None, "made");
    assert_eq!(send(back, &mut tracker), None, "replied to");
    let mut nothing = After::NOTHING;
    let after = &mut nothing;
    let recall = send(there, &mut tracker).expect("it was there, and changed nothing");
    assert!(tracker.allows(recall, &Part::UDP, now, after));
    assert!(
        !tracker.allows(recall, &Part::QUERY, now, after),
        "another protocol"
    );
    let late = now + std::time::Duration::from_secs(3600);
    assert!(
        !tracker.allows(recall, &Part::UDP, late, after),
        "its time is over"
    );
    tracker.flush(Cursor::default(), usize::MAX, &Filter::default(), &mut 0);
    assert!(
        !tracker.allows(recall, &Part::UDP, now, after),
        "it is gone"
    );
    send(there, &mut tracker);
    assert!(
        !tracker.allows(recall, &Part::UDP, now, after),
        "another has its slot"
    );
}
