//! Connections, through a tracker alone.

use std::net::Ipv4Addr;

use weir_ct::{Commit, Filter, Request, Settings, Tracker};
use weir_nat::{NatFlags, NatKind, NatRange, NatSpec};
use weir_packet::{Frame, Tick, VecFrame, parse};

use super::SECRET;
use super::meter::{Cost, Meter};
use super::store::{Store, load};
use crate::captures::{Direction, Traffic};
use crate::failure::Failure;

/// Both directions of established connections, translated as `nat` says.
///
/// # Errors
/// If not all of them are tracked.
pub(super) fn established(
    meter: &Meter,
    traffic: &Traffic,
    nat: Option<NatSpec>,
) -> Result<Cost, Failure> {
    let mut tracker = Tracker::new(&settings(traffic.connections), SECRET);
    let existing = nat.map(|_| NatSpec::Existing);
    let request = Request {
        nat: existing.as_ref(),
        ..Request::default()
    };
    let [forward, reply] =
        [Direction::Forward, Direction::Reply].map(|way| Store::new(traffic, way));
    let mut burst = forward.burst();
    track(&mut tracker, &forward, &mut burst, &commit(nat.as_ref()));
    track(&mut tracker, &reply, &mut burst, &request);
    let cost = meter.measure(2 * forward.len(), || {
        for store in [&forward, &reply] {
            track(&mut tracker, store, &mut burst, &request);
        }
    });
    if tracker.len() != traffic.connections as usize {
        return Err(Failure::Unproven(format!(
            "{} connections are tracked",
            tracker.len()
        )));
    }
    Ok(cost)
}

/// The first packet of each connection, translated as `nat` says.
pub(super) fn new(meter: &Meter, traffic: &Traffic, nat: Option<NatSpec>) -> Cost {
    let store = Store::new(traffic, Direction::Forward);
    let commit = commit(nat.as_ref());
    let mut burst = store.burst();
    meter.measure_with(
        store.len(),
        || {
            // Filled once and emptied, so that its memory is there.
            let mut tracker = Tracker::new(&settings(traffic.connections), SECRET);
            track(&mut tracker, &store, &mut store.burst(), &commit);
            let mut flushed = 0;
            let mut cursor = Some(0);
            while let Some(at) = cursor {
                cursor = tracker.flush(at, usize::MAX, &Filter::default(), &mut flushed);
            }
            tracker
        },
        |tracker| track(tracker, &store, &mut burst, &commit),
    )
}

/// `nat(src=ADDRESS)`
pub(super) fn source(address: Ipv4Addr) -> NatSpec {
    let range = NatRange::new(address.into(), address.into(), None);
    NatSpec::Allocate {
        kind: NatKind::Src,
        range: Some(range.expect("one address is a range")),
        flags: NatFlags::default(),
    }
}

fn commit(nat: Option<&NatSpec>) -> Request<'_> {
    Request {
        commit: Some(Commit::default()),
        nat,
        ..Request::default()
    }
}

fn settings(connections: u32) -> Settings {
    Settings {
        max_connections: connections * 2,
        ..Settings::default()
    }
}

/// Every frame of `store` through the tracker, burst by burst.
fn track(tracker: &mut Tracker, store: &Store, burst: &mut [VecFrame], request: &Request<'_>) {
    let now = Tick::from_millis(1);
    for chunk in store.chunks() {
        let len = load(burst, chunk);
        for frame in &mut burst[..len] {
            let layout = parse(frame.head(), frame.len()).unwrap_or_default();
            let outcome = tracker.execute(frame, &layout, request, now);
            if let Ok(outcome) = &outcome
                && let Some(translation) = &outcome.translation
            {
                translation.apply(frame.head_mut(), &layout);
            }
            let _ = std::hint::black_box(outcome);
        }
    }
}
