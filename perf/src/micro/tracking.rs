//! Connections, through a tracker alone.

use std::net::Ipv4Addr;

use weir_ct::{Commit, Cursor, Filter, Request, Settings, Tracker};
use weir_nat::{NatFlags, NatKind, NatRange, NatSpec};
use weir_packet::{Frame, Tick, VecFrame, parse};

use super::meter::{Cost, Meter};
use super::store::{Store, load};
use super::{OUTSIDE, SECRET};
use crate::captures::{Direction, Host, Traffic};
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
    track(
        &mut tracker,
        forward.chunks(),
        &mut burst,
        &commit(nat.as_ref()),
    );
    track(&mut tracker, reply.chunks(), &mut burst, &request);
    let cost = meter.measure(2 * forward.len(), || {
        for store in [&forward, &reply] {
            track(&mut tracker, store.chunks(), &mut burst, &request);
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
            track(&mut tracker, store.chunks(), &mut store.burst(), &commit);
            let mut flushed = 0;
            let mut cursor = Some(Cursor::default());
            while let Some(at) = cursor {
                cursor = tracker.flush(at, usize::MAX, &Filter::default(), &mut flushed);
            }
            tracker
        },
        |tracker| {
            track(tracker, store.chunks(), &mut burst, &commit);
        },
    )
}

/// The first packets of [`OPENED`] connections, translated to the one outside address that has
/// `percent` of its ports taken towards their destination.
///
/// # Errors
/// If they do not all get a port.
pub(super) fn crowded(meter: &Meter, percent: u32) -> Result<Cost, Failure> {
    let store = |client| Store::new(&between(client), Direction::Forward);
    let (there, comes) = (store([10, 0, 0, 1]), store([10, 0, 0, 2]));
    let range = NatRange::new(OUTSIDE.into(), OUTSIDE.into(), Some(POOL_PORTS));
    let nat = NatSpec::Allocate {
        kind: NatKind::Src,
        range: Some(range.expect("one address is a range")),
        flags: NatFlags::default(),
    };
    let commit = commit(Some(&nat));
    let mut burst = there.burst();
    let mut tracker = Tracker::new(&settings(POOL), SECRET);
    let taken = (POOL * percent / 100) as usize;
    let mut made = track(&mut tracker, there.first(taken), &mut burst, &commit);
    let filter = Filter::parse(&["ct_nw_src=10.0.0.2"]).expect("it is one");
    let tracker = std::cell::RefCell::new(tracker);
    let mut samples = 0;
    let cost = meter.measure_with(
        OPENED as u64,
        || {
            let mut cursor = Some(Cursor::default());
            while let Some(at) = cursor {
                cursor = tracker.borrow_mut().flush(at, usize::MAX, &filter, &mut 0);
            }
        },
        |()| {
            let first = comes.first(OPENED);
            made += track(&mut tracker.borrow_mut(), first, &mut burst, &commit);
            samples += 1;
        },
    );
    if made != taken + samples * OPENED {
        let message = format!("{percent} % of the ports taken: {made} connections were opened");
        return Err(Failure::Unproven(message));
    }
    Ok(cost)
}

/// [`POOL`] connections of one client to one server.
pub(super) fn between(client: [u8; 4]) -> Traffic {
    Traffic {
        between: Some([client, [198, 18, 0, 1]].map(|ip| Host { mac: [2; 6], ip })),
        ..Traffic::udp(POOL)
    }
}

/// Ports of the outside address: those that the captures' clients use, so that each of these is
/// taken as likely as any.
const POOL_PORTS: (u16, u16) = (1024, 61_023);
pub(super) const POOL: u32 = 60_000;
/// Half of what is free when 99 % are taken.
pub(super) const OPENED: usize = 300;

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

/// Every frame of `chunks` through the tracker, burst by burst; returns how many it did not drop.
fn track<'a>(
    tracker: &mut Tracker,
    chunks: impl Iterator<Item = std::slice::ChunksExact<'a, u8>>,
    burst: &mut [VecFrame],
    request: &Request<'_>,
) -> usize {
    let now = Tick::from_millis(1);
    let mut passed = 0;
    for chunk in chunks {
        let len = load(burst, chunk);
        for frame in &mut burst[..len] {
            let layout = parse(frame.head(), frame.len()).unwrap_or_default();
            let outcome = tracker.execute(frame, &layout, request, now);
            if let Ok(outcome) = &outcome
                && let Some(translation) = &outcome.translation
            {
                translation.apply(frame.head_mut(), &layout);
            }
            passed += usize::from(outcome.is_ok());
            let _ = std::hint::black_box(outcome);
        }
    }
    passed
}
