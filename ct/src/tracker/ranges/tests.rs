use std::net::IpAddr;

use weir_nat::NatFlags;
use weir_packet::{Frame, text};

use super::*;
use crate::{Commit, Request, Settings};

fn range(ports: Option<(u16, u16)>) -> NatRange {
    let address = |last| IpAddr::from([198, 51, 100, last]);
    NatRange::new(address(7), address(8), ports).expect("a range")
}

const fn spec(kind: NatKind, range: Option<NatRange>) -> NatSpec {
    let flags = NatFlags {
        persistent: false,
        choice: weir_nat::PortChoice::Default,
    };
    NatSpec::Allocate { kind, range, flags }
}

fn commit(tracker: &mut Tracker, packet: &str, spec: &NatSpec, zone: u16) -> Result<(), CtDrop> {
    let frame = text::frame(packet);
    let layout = weir_packet::parse(frame.head(), frame.len()).expect("no runt");
    let request = Request {
        zone,
        commit: Some(Commit::default()),
        nat: Some(spec),
        ..Request::default()
    };
    tracker
        .execute(&frame, &layout, &request, Tick::ZERO)
        .map(drop)
}

fn used(tracker: &Tracker, ranges: &[RangeKey], now: Tick) -> Vec<u64> {
    let mut counts = vec![0; ranges.len()];
    let mut cursor = Some(0);
    while let Some(at) = cursor {
        cursor = tracker.count_in_ranges(at, 2, ranges, now, &mut counts);
    }
    counts
}

#[test]
fn searches_and_refusals_are_counted_by_range_and_zone() {
    let mut tracker = Tracker::new(&Settings::default(), 5);
    let ports = range(Some((5000, 5001)));
    let snat = spec(NatKind::Src, Some(ports));
    for client in 1..=6 {
        let packet = format!("udp 10.0.0.{client}:5000 > 192.0.2.9:53");
        let outcome = commit(&mut tracker, &packet, &snat, 3);
        // Two addresses with two ports.
        assert_eq!(outcome.is_ok(), client <= 4, "{client}");
    }
    let packet = "udp 10.0.0.1:5000 > 192.0.2.9:53";
    assert_eq!(commit(&mut tracker, packet, &snat, 4), Ok(()));
    let packet = "udp [fc00::1]:1 > [fc00::2]:2";
    let outcome = commit(&mut tracker, packet, &snat, 4);
    assert_eq!(outcome, Err(CtDrop::NatVersion));

    let key = (NatKind::Src, Some(ports));
    let rows: Vec<_> = tracker.range_counts().cloned().collect();
    let [three, four] = &rows[..] else {
        panic!("{rows:?}")
    };
    assert_eq!(three.of, Some((key, 3)));
    assert_eq!((three.exhausted, three.other_version), (2, 0));
    // Each of the two addresses gave one client its own port.
    assert_eq!(three.searched, 2);
    assert!((2..=8).contains(&three.longest_probe), "{three:?}");
    let other_version = RangeCounts {
        other_version: 1,
        ..RangeCounts::new(Some((key, 4)))
    };
    assert_eq!(*four, other_version);

    let all = [
        key,
        (NatKind::Src, Some(range(None))),
        (NatKind::Src, Some(range(Some((5001, 5001))))),
        (NatKind::Dst, Some(ports)),
        (NatKind::Src, None),
    ];
    assert_eq!(used(&tracker, &all, Tick::ZERO), [5, 5, 2, 0, 0]);
    let late = Tick::from_millis(1_000_000);
    assert_eq!(used(&tracker, &all, late), [0; 5]);
}

#[test]
fn an_address_that_stays_has_no_range() {
    let mut tracker = Tracker::new(&Settings::default(), 5);
    let stays = spec(NatKind::Src, None);
    let packet = "udp 10.0.0.1:5000 > 192.0.2.9:53";
    assert_eq!(commit(&mut tracker, packet, &stays, 0), Ok(()));
    assert_eq!(tracker.range_counts().count(), 0);
    let all = [(NatKind::Src, None), (NatKind::Dst, None)];
    assert_eq!(used(&tracker, &all, Tick::ZERO), [1, 0]);
}

#[test]
fn ranges_beyond_the_rows_share_one() {
    let mut ranges = Ranges::default();
    for port in 1..=2 * ROWS as u16 {
        let spec = spec(NatKind::Src, Some(range(Some((port, port)))));
        for probes in [2, 3] {
            ranges.note(&spec, 0, probes, None);
        }
    }
    assert_eq!(ranges.rows.len(), ROWS);
    assert_eq!(ranges.rows.capacity(), ROWS, "no memory was taken");
    let shared = ROWS as u64 + 1;
    assert_eq!(
        (ranges.rows[0].of, ranges.rows[0].searched),
        (None, 2 * shared)
    );
    let mine = &ranges.rows[7];
    assert_eq!((mine.searched, mine.longest_probe), (2, 3));
}
