//! A rehearsal against the act.

use proptest::prelude::*;
use weir_nat::{NatFlags, NatKind, NatRange, NatSpec};
use weir_packet::Tick;

use super::*;
use crate::filter::Filter;
use crate::request::{Commit, ZoneDir};
use crate::tracker::Cursor;
use crate::tracker::batch::tests::{Asked, asked, layout};

/// All that a rehearsal might change.
fn state(tracker: &Tracker, now: Tick) -> impl PartialEq + std::fmt::Debug + use<> {
    let mut entries = Vec::new();
    tracker.dump(
        Cursor::default(),
        usize::MAX,
        &Filter::default(),
        now,
        &mut entries,
    );
    let versions: Vec<_> = tracker
        .table
        .all_hot()
        .iter()
        .map(|hot| format!("{hot:?}"))
        .collect();
    let counters = tracker.counters().clone();
    (
        entries,
        versions,
        counters,
        tracker.draw,
        tracker.strangers,
        tracker.table.made(),
    )
}

proptest! {
    /// Several `ct()` of one packet see what those before them would have done.
    #[test]
    fn a_rehearsal_says_what_happens_and_changes_nothing(
        packets in prop::collection::vec(
            (prop::collection::vec(asked(), 1..4), prop_oneof![3 => Just(0u64), 1 => Just(10), 1 => Just(40_000)]),
            1..80,
        ),
        limit in 3..40u32,
        secret: u64,
    ) {
        let settings = Settings { max_connections: limit, ..Settings::default() };
        let mut tracker = Tracker::new(&settings, secret);
        let mut millis = 5;
        for (steps, pass) in packets {
            millis += pass;
            let now = Tick::from_millis(millis);
            // All steps are of one packet, in several zones.
            let frame = &steps[0].frame;
            let layout = layout(frame);
            let run = |tracker: &mut Tracker, rehearse: bool| {
                let (mut outcome, mut reading) = (Outcome::default(), None);
                let mut all = Vec::new();
                for Asked { zone, commit, nat, .. } in &steps {
                    let request = Request {
                        zone: *zone,
                        commit: *commit,
                        nat: nat.as_ref(),
                        seen: outcome.seen,
                    };
                    let done = if rehearse {
                        let (done, _) = tracker.rehearse(frame, &layout, &mut reading, &request, &mut outcome, now);
                        done
                    } else {
                        tracker.execute_read(frame, &layout, &mut reading, &request, &mut outcome, now)
                    };
                    let Outcome { state, mark, label, original, translation, .. } = outcome;
                    all.push(done.map(|()| (state, mark, label, original, translation)));
                    if done.is_err() {
                        break;
                    }
                }
                all
            };
            let before = state(&tracker, now);
            tracker.begin_rehearsal();
            let said = run(&mut tracker, true);
            tracker.end_rehearsal();
            prop_assert_eq!(before, state(&tracker, now));
            tracker.check(now);
            let evicted = tracker.counters().evicted;
            let done = run(&mut tracker, false);
            // What a packet of which one step fills the table meets in the next is not foretold.
            let steps = if tracker.counters().evicted == evicted { done.len() } else { 1 };
            prop_assert_eq!(&said[..steps.min(said.len())], &done[..steps]);
        }
    }
}

/// What the packet's first `ct()` would take does not hide what its second would free.
#[test]
fn a_port_that_would_be_given_up_is_free_below_one_that_would_be_taken() {
    let ports = |first, last| NatSpec::Allocate {
        kind: NatKind::Src,
        range: Some(
            NatRange::new(
                [10, 0, 0, 9].into(),
                [10, 0, 0, 9].into(),
                Some((first, last)),
            )
            .expect("a range"),
        ),
        flags: NatFlags::default(),
    };
    let frame = weir_packet::text::frame("udp 10.0.0.2:80 > 10.0.0.1:1");
    let layout = layout(&frame);
    let (first, one, two) = (ports(1, 1), ports(2, 2), ports(1, 3));
    let commit = |zone, zone_dir, nat| Request {
        zone,
        commit: Some(Commit {
            zone_dir,
            ..Commit::default()
        }),
        nat: Some(nat),
        seen: None,
    };
    let mut chosen = Vec::new();
    for secret in 0..16 {
        let mut tracker = Tracker::new(&Settings::default(), secret);
        let start = Tick::from_millis(5);
        tracker
            .execute(&frame, &layout, &commit(0, None, &first), start)
            .expect("it is free");
        let over = Tick::from_millis(1_000_000);
        let steps = [
            commit(1, Some(ZoneDir::Original), &one),
            commit(0, None, &two),
        ];
        tracker.begin_rehearsal();
        let said = steps.map(|request| {
            let mut outcome = Outcome::default();
            let (done, _) =
                tracker.rehearse(&frame, &layout, &mut None, &request, &mut outcome, over);
            done.map(|()| outcome.translation)
        });
        tracker.end_rehearsal();
        let done = steps.map(|request| {
            let outcome = tracker.execute(&frame, &layout, &request, over);
            outcome.map(|outcome| outcome.translation)
        });
        assert_eq!(said, done, "with {secret}");
        chosen.push(format!("{:?}", done[1]));
    }
    chosen.sort_unstable();
    chosen.dedup();
    assert_eq!(chosen.len(), 2, "1 and 3: {chosen:?}");
}

#[test]
fn the_connection_is_told_as_it_is_and_as_it_would_be() {
    let mut tracker = Tracker::new(
        &Settings {
            max_connections: 4,
            ..Settings::default()
        },
        1,
    );
    let now = Tick::from_millis(5);
    let frame = weir_packet::text::frame("udp 10.0.0.1:1 > 10.0.0.2:53");
    let layout = layout(&frame);
    let request = Request {
        commit: Some(Commit::default()),
        ..Request::default()
    };
    let rehearse = |tracker: &mut Tracker| {
        tracker.begin_rehearsal();
        let done = tracker.rehearse(
            &frame,
            &layout,
            &mut None,
            &request,
            &mut Outcome::default(),
            now,
        );
        tracker.end_rehearsal();
        done.0.expect("there is room");
        done.1
    };
    let made = rehearse(&mut tracker);
    assert_eq!((made.before, made.counted), (None, vec!["created"]));
    assert_eq!(made.after.map(|entry| entry.original.dst_port), Some(53));
    assert!(tracker.is_empty(), "it was only rehearsed");
    tracker
        .execute(&frame, &layout, &request, now)
        .expect("there is room");
    let met = rehearse(&mut tracker);
    assert!(met.before.is_some_and(|entry| entry.original.src_port == 1));
    assert_eq!(met.counted, Vec::<&str>::new());
}

/// What is copied counts as what is made.
#[test]
fn more_connections_than_there_is_room_for_are_told() {
    let settings = Settings {
        max_connections: 10_000,
        ..Settings::default()
    };
    let mut tracker = Tracker::new(&settings, 1);
    let now = Tick::from_millis(5);
    let frame = weir_packet::text::frame("udp 10.0.0.1:1 > 10.0.0.2:53");
    let layout = layout(&frame);
    let request = |zone: u32| Request {
        zone: zone as u16,
        commit: Some(Commit::default()),
        ..Request::default()
    };
    for zone in 0..REHEARSAL_ROOM / 2 {
        tracker
            .execute(&frame, &layout, &request(zone), now)
            .expect("there is room");
    }
    tracker.begin_rehearsal();
    let mut beyond = Vec::new();
    for zone in 0..REHEARSAL_ROOM + 2 {
        let (mut outcome, request) = (Outcome::default(), request(zone));
        let done = tracker.rehearse(&frame, &layout, &mut None, &request, &mut outcome, now);
        if done.1.beyond {
            beyond.push(zone);
        }
    }
    tracker.end_rehearsal();
    assert_eq!(beyond, [REHEARSAL_ROOM, REHEARSAL_ROOM + 1]);
}
