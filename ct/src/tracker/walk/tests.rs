use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use weir_packet::{Frame, Tuple, VecFrame, text};

use super::*;
use crate::alg::Helper;
use crate::record::Carried;
use crate::request::{Commit, Request};
use crate::settings::Settings;
use crate::watch::EventKind;

const SLOTS: u32 = 24;

#[derive(Clone, Debug)]
enum Operation {
    Packet {
        line: String,
        zone: u16,
        mark: Option<u32>,
    },
    Pass(u64),
    Flush(Filter, usize),
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let flags = prop::sample::select(&["S", "SA", "A", "FA", "R"][..]);
    let kind = prop_oneof![
        Just("udp".to_owned()),
        flags.prop_map(|flags| format!("tcp:{flags}")),
    ];
    let packet = (
        kind,
        any::<bool>(),
        1..4u16,
        1..4u16,
        0..3u16,
        any::<Option<bool>>(),
    );
    let packet = packet.prop_map(|(kind, back, one, two, zone, mark)| {
        let (one, two) = (format!("10.0.0.{one}:{one}"), format!("10.0.1.{two}:{two}"));
        let (src, dst) = if back { (two, one) } else { (one, two) };
        let line = match kind.strip_prefix("tcp:") {
            Some(flags) => format!("tcp {src} > {dst} {flags}"),
            None => format!("udp {src} > {dst}"),
        };
        let mark = mark.map(u32::from);
        Operation::Packet { line, zone, mark }
    });
    let filter = (prop::option::of(0..3u16), prop::option::of(0..2u32)).prop_map(|(zone, mark)| {
        let mark = mark.map(|mark| (mark, u32::MAX));
        Filter {
            zone,
            mark,
            ..Filter::default()
        }
    });
    let operation = prop_oneof![
        20 => packet,
        4 => prop_oneof![0..1_000u64, 0..40_000u64].prop_map(Operation::Pass),
        1 => (filter, 1..4usize).prop_map(|(filter, budget)| Operation::Flush(filter, budget)),
    ];
    prop::collection::vec(operation, 1..150)
}

fn tracker() -> Tracker {
    let settings = Settings {
        max_connections: SLOTS,
        accounting: true,
        ..Settings::default()
    };
    Tracker::new(&settings, 1)
}

fn packet(tracker: &mut Tracker, line: &str, zone: u16, mark: Option<u32>, now: Tick) {
    let frame: VecFrame = text::frame(line);
    let layout = weir_packet::parse(frame.head(), frame.len()).expect("no runt");
    let mark = mark.map(|mark| (mark, u32::MAX));
    let commit = Commit {
        mark,
        ..Commit::default()
    };
    let request = Request {
        zone,
        commit: Some(commit),
        ..Request::default()
    };
    let _ = tracker.execute(&frame, &layout, &request, now);
}

fn dump(tracker: &Tracker, filter: &Filter, budget: usize, now: Tick) -> Vec<Entry> {
    let (mut entries, mut cursor) = (Vec::new(), Some(Cursor::default()));
    while let Some(at) = cursor {
        cursor = tracker.dump(at, budget, filter, now, &mut entries);
    }
    entries.sort_by_key(|entry| entry.id);
    entries
}

fn flush(tracker: &mut Tracker, filter: &Filter, budget: usize) -> u64 {
    let (mut flushed, mut cursor) = (0, Some(Cursor::default()));
    while let Some(at) = cursor {
        cursor = tracker.flush(at, budget, filter, &mut flushed);
    }
    flushed
}

/// The name of a connection: which, as a whole, does not change.
fn name(entry: &Entry) -> (u64, u16, Tuple, Tick) {
    (entry.id, entry.zone, entry.original, entry.start)
}

proptest! {
    /// Who only hears of events knows which connections there are, and what they were at last.
    #[test]
    fn events_tell_all_that_a_dump_does(operations in operations(), room in 1..20usize) {
        let mut tracker = tracker();
        let mut now = Tick::from_millis(5_000);
        let mut known: BTreeMap<u64, Entry> = BTreeMap::new();
        let (mut told, mut told_lost) = (0, 0);
        prop_assert_eq!(tracker.take_events(&mut Vec::with_capacity(room), now), 0);
        for operation in operations {
            match operation {
                Operation::Packet { line, zone, mark } => {
                    packet(&mut tracker, &line, zone, mark, now);
                }
                Operation::Pass(millis) => {
                    now = now + Duration::from_millis(millis);
                    tracker.expire(now, usize::MAX);
                }
                Operation::Flush(filter, budget) => {
                    flush(&mut tracker, &filter, budget);
                }
            }
            tracker.check(now);
            let mut events = Vec::with_capacity(room);
            let lost = tracker.take_events(&mut events, now);
            prop_assert!(events.len() <= room && (lost == 0 || events.len() == room));
            told += events.len() as u64;
            told_lost += lost;
            for Event { at, kind, entry } in events {
                prop_assert!(at <= now && entry.last_seen <= at && entry.start <= entry.last_seen);
                match kind {
                    EventKind::New => {
                        prop_assert_eq!(entry.start, at);
                        prop_assert!(known.insert(entry.id, entry).is_none());
                    }
                    EventKind::Updated => {
                        let before = known.insert(entry.id, entry.clone());
                        let before = before.map(|before| name(&before));
                        prop_assert!(told_lost > 0 || before == Some(name(&entry)));
                    }
                    EventKind::Destroyed(_) => {
                        let before = known.remove(&entry.id);
                        prop_assert!(told_lost > 0 || before.is_some());
                    }
                }
            }
            if told_lost == 0 {
                let there: BTreeSet<_> = dump(&tracker, &Filter::default(), 3, Tick::ZERO)
                    .iter()
                    .map(|entry| (name(entry), entry.mark, entry.protocol.shown_state()))
                    .map(|all| format!("{all:?}"))
                    .collect();
                let known: BTreeSet<_> = known
                    .values()
                    .map(|entry| (name(entry), entry.mark, entry.protocol.shown_state()))
                    .map(|all| format!("{all:?}"))
                    .collect();
                prop_assert_eq!(there, known);
            }
        }
        let counters = tracker.counters();
        let ended = [counters.expired, counters.evicted, counters.flushed, counters.reopened];
        prop_assert!(told + told_lost >= counters.created + ended.iter().sum::<u64>());
    }

    /// Whatever is looked for, and in whatever slices: a walk meets what matches, once.
    #[test]
    fn walks_meet_what_matches(
        operations in operations(),
        zone in prop::option::of(0..4u16),
        state in prop::sample::select(&["", "established", "syn_sent", "replied", "unreplied"][..]),
        prefix in prop::option::of(24..=32u8),
        budget in 1..30usize,
    ) {
        let mut tracker = tracker();
        let mut now = Tick::from_millis(5_000);
        for operation in operations {
            match operation {
                Operation::Packet { line, zone, mark } => {
                    packet(&mut tracker, &line, zone, mark, now);
                }
                Operation::Pass(millis) => now = now + Duration::from_millis(millis),
                Operation::Flush(..) => {}
            }
        }
        let mut words = Vec::new();
        words.extend(zone.map(|zone| format!("zone={zone}")));
        words.extend((!state.is_empty()).then(|| format!("state={state}")));
        words.extend(prefix.map(|prefix| format!("ct_nw_src=10.0.0.2/{prefix}")));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let filter = Filter::parse(&words).expect("it is right");
        let all = dump(&tracker, &Filter::default(), usize::MAX, now);
        let wanted: Vec<_> = all.iter().filter(|entry| filter.matches(entry)).cloned().collect();
        prop_assert_eq!(&dump(&tracker, &filter, budget, now), &wanted);

        let (mut tally, mut cursor) = (Tally::default(), Some(Cursor::default()));
        while let Some(at) = cursor {
            let mut part = Tally::default();
            cursor = tracker.tally(at, budget, &filter, now, &mut part);
            tally.add(&part);
        }
        prop_assert_eq!(tally.total(), wanted.len() as u64);
        let tcp = wanted.iter().filter_map(|entry| entry.protocol.shown_state());
        let mut states: BTreeMap<_, u64> = BTreeMap::new();
        tcp.for_each(|state| *states.entry(state).or_default() += 1);
        prop_assert_eq!(tally.tcp_states().collect::<Vec<_>>(), states.into_iter().collect::<Vec<_>>());

        flush(&mut tracker, &filter, budget);
        tracker.check(now);
        let left: Vec<_> = all.into_iter().filter(|entry| !filter.matches(entry)).collect();
        prop_assert_eq!(dump(&tracker, &Filter::default(), usize::MAX, now), left);
    }

    /// Connections come and go between the slices of a walk: none is met twice, and those that
    /// are there all the while are met.
    #[test]
    fn what_lives_through_a_walk_is_met_once(
        before in operations(),
        between in prop::collection::vec(operations(), 1..12),
        zone in prop::option::of(0..3u16),
    ) {
        let mut tracker = tracker();
        let now = Tick::from_millis(5_000);
        let act = |tracker: &mut Tracker, operations: Vec<Operation>, most: usize| {
            for operation in operations.into_iter().take(most) {
                match operation {
                    Operation::Packet { line, zone, mark } => packet(tracker, &line, zone, mark, now),
                    Operation::Flush(filter, budget) => {
                        flush(tracker, &filter, budget);
                    }
                    Operation::Pass(_) => {}
                }
            }
        };
        act(&mut tracker, before, 200);
        let filter = Filter { zone, ..Filter::default() };
        let ids = |entries: &[Entry]| -> BTreeSet<u64> {
            entries.iter().map(|entry| entry.id).collect()
        };
        let mut lived = ids(&dump(&tracker, &filter, 1, now));
        let (mut met, mut cursor) = (Vec::new(), Some(Cursor::default()));
        let mut between = between.into_iter();
        while let Some(at) = cursor {
            cursor = tracker.dump(at, 2, &filter, now, &mut met);
            act(&mut tracker, between.next().unwrap_or_default(), 9);
            let there = ids(&dump(&tracker, &filter, 1, now));
            lived.retain(|id| there.contains(id));
        }
        prop_assert_eq!(ids(&met).len(), met.len(), "none is met twice");
        prop_assert!(ids(&met).is_superset(&lived), "{:?} of {:?}", met, lived);
    }
}

#[test]
fn what_is_part_of_a_connection_is_counted_for_it() {
    let mut tracker = tracker();
    let mut now = Tick::from_millis(1_000);
    let there = "udp 10.0.0.1:1 > 10.0.0.2:2";
    let back = "udp 10.0.0.2:2 > 10.0.0.1:1";
    for line in [there, there, back, there] {
        packet(&mut tracker, line, 7, None, now);
        now = now + Duration::from_millis(100);
    }
    // An error about it is no part of it, nor is what passes another zone.
    packet(&mut tracker, there, 8, None, now);
    let zone = Filter {
        zone: Some(7),
        ..Filter::default()
    };
    let [entry] = &dump(&tracker, &zone, 1, now)[..] else {
        panic!("one connection")
    };
    let carried = |packets| Carried {
        packets,
        bytes: packets * 28,
    };
    assert_eq!(entry.carried, Some([carried(3), carried(1)]));
    assert_eq!(entry.start, Tick::from_millis(1_000));
    assert_eq!(entry.last_seen, Tick::from_millis(1_300));
    // Its slot is somebody else's: what was counted is forgotten.
    flush(&mut tracker, &Filter::default(), 1);
    packet(&mut tracker, back, 7, None, now);
    assert_eq!(
        dump(&tracker, &zone, 1, now)[0].carried,
        Some([carried(1), carried(0)])
    );
}

#[test]
fn who_does_not_want_counts_has_no_memory_for_them() {
    let mut settings = Settings {
        max_connections: 1_000,
        accounting: true,
        ..Settings::default()
    };
    let with = Tracker::new(&settings, 1).memory().connections;
    settings.accounting = false;
    let mut without = Tracker::new(&settings, 1);
    assert_eq!(with - without.memory().connections, 32_000);
    packet(
        &mut without,
        "udp 10.0.0.1:1 > 10.0.0.2:2",
        0,
        None,
        Tick::ZERO,
    );
    assert_eq!(
        dump(&without, &Filter::default(), 1, Tick::ZERO)[0].carried,
        None
    );
}

/// A walk over a zone looks at no other connection.
#[test]
fn a_zone_costs_what_it_has() {
    let settings = Settings {
        max_connections: 5_000,
        ..Settings::default()
    };
    let mut tracker = Tracker::new(&settings, 1);
    for port in 1..=4_000 {
        let zone = if port % 400 == 0 { 9 } else { 3 };
        packet(
            &mut tracker,
            &format!("udp 10.0.0.1:{port} > 10.0.0.2:2"),
            zone,
            None,
            Tick::ZERO,
        );
    }
    let filter = Filter {
        zone: Some(9),
        ..Filter::default()
    };
    let mut flushed = 0;
    assert_eq!(
        tracker.flush(Cursor::default(), 10, &filter, &mut flushed),
        None
    );
    assert_eq!((flushed, tracker.len()), (10, 3_990));
}

#[test]
fn a_new_connection_is_told_with_its_helper_and_its_master() {
    let mut tracker = tracker();
    tracker.provide_helpers();
    tracker.take_events(&mut Vec::with_capacity(8), Tick::ZERO);
    let mut execute = |line: &str, helper| {
        let frame: VecFrame = text::frame(line);
        let layout = weir_packet::parse(frame.head(), frame.len()).expect("no runt");
        let commit = Commit {
            helper,
            ..Commit::default()
        };
        let request = Request {
            commit: Some(commit),
            ..Request::default()
        };
        tracker
            .execute(&frame, &layout, &request, Tick::ZERO)
            .expect("there is room");
    };
    // A read request, and the first answer to it.
    let request = "udp 10.0.0.1:1 > 10.0.0.2:69 data=000178006f6374657400";
    execute(request, Some(Helper::Tftp));
    execute("udp 10.0.0.2:99 > 10.0.0.1:1 data=00030001", None);
    let mut events = Vec::with_capacity(8);
    assert_eq!(tracker.take_events(&mut events, Tick::ZERO), 0);
    let told: Vec<_> = events
        .iter()
        .map(|event| {
            let parent = event.entry.parent.map(|parent| parent.dst_port);
            (event.kind, event.entry.helper, parent)
        })
        .collect();
    let new = EventKind::New;
    assert_eq!(
        told,
        [(new, Some(Helper::Tftp), None), (new, None, Some(69))]
    );
}

#[test]
fn endings_have_names() {
    let mut tracker = tracker();
    let commit = |force| Request {
        commit: Some(Commit {
            force,
            ..Commit::default()
        }),
        ..Request::default()
    };
    let mut room = Vec::with_capacity(64);
    tracker.take_events(&mut room, Tick::ZERO);
    let mut execute = |line: &str, force, now| {
        let frame: VecFrame = text::frame(line);
        let layout = weir_packet::parse(frame.head(), frame.len()).expect("no runt");
        tracker
            .execute(&frame, &layout, &commit(force), now)
            .expect("there is room");
    };
    let later = Tick::from_millis(1_000_000);
    execute("udp 10.0.0.1:1 > 10.0.0.2:2", false, Tick::ZERO);
    execute("udp 10.0.0.2:2 > 10.0.0.1:1", true, Tick::ZERO);
    execute("udp 10.0.0.2:2 > 10.0.0.1:1", false, later);
    flush(&mut tracker, &Filter::default(), 1);
    // The array that was given first was without room; this one came back full.
    let mut events = Vec::with_capacity(1);
    assert_eq!(tracker.take_events(&mut events, later), 0);
    let kinds: Vec<_> = events
        .iter()
        .map(|event| (event.kind, event.entry.id, event.at))
        .collect();
    assert_eq!(
        kinds,
        [
            (EventKind::New, 1, Tick::ZERO),
            (EventKind::Destroyed(Ending::Forced), 1, Tick::ZERO),
            (EventKind::New, 2, Tick::ZERO),
            (EventKind::Destroyed(Ending::Expired), 2, later),
            (EventKind::New, 3, later),
            (EventKind::Destroyed(Ending::Flushed), 3, later),
        ]
    );
    assert_eq!(Ending::Forced.name(), "forced");
    // Here there is room for one.
    packet(&mut tracker, "udp 10.0.0.1:1 > 10.0.0.2:2", 0, None, later);
    packet(&mut tracker, "udp 10.0.0.1:1 > 10.0.0.2:3", 0, None, later);
    let mut events = Vec::new();
    assert_eq!(
        (tracker.take_events(&mut events, later), events.len()),
        (1, 1)
    );
    tracker.stop_events();
    packet(&mut tracker, "udp 10.0.0.1:1 > 10.0.0.2:4", 0, None, later);
    events.clear();
    assert_eq!(
        (tracker.take_events(&mut events, later), events.len()),
        (0, 0)
    );
}
