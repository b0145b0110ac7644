//! What a tracker takes of memory, and when: all of it at start. Alone in its process, so that
//! what is counted is the tracker's.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use weir_ct::{Bounds, Commit, Owners, Request, Settings, Shard, ShardId, Tracker};
use weir_nat::{NatFlags, NatKind, NatRange, NatSpec};
use weir_packet::{Frame, Tick, VecFrame, text};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Records, index, timers, leases, lists by zone and of free slots, together.
const BYTES_PER_CONNECTION: usize = 256;
/// What each carried.
const BYTES_PER_ACCOUNT: usize = 32;

#[test]
fn memory_is_taken_at_start_and_within_its_bound() {
    for (max_connections, accounting) in [(1_000_000, true), (1_000_000, false), (1000, true)] {
        let account = if accounting { BYTES_PER_ACCOUNT } else { 0 };
        let settings = Settings {
            max_connections,
            accounting,
            ..Settings::default()
        };
        let region = Region::new(ALLOCATOR);
        let tracker = Tracker::new(&settings, 1);
        // What belongs to zones does not depend on the number of connections.
        let zones = tracker.memory().zones;
        assert!(zones < 1_400_000, "{zones} bytes");
        let bytes = region.change().bytes_allocated - zones;
        // The timer wheel's heads, whatever the number of connections, and what a page rounds.
        let fixed = 40_000;
        let bound = max_connections as usize * (BYTES_PER_CONNECTION + account) + fixed;
        assert!(bytes <= bound, "{bytes} bytes, of {bound}");
        // The records alone are 160; a bound that is far away would say nothing.
        assert!(
            bytes >= max_connections as usize * (200 + account),
            "{bytes} bytes"
        );
        drop(tracker);
    }
    shared();
    churn();
}

/// The same with several lcores, the directory included.
fn shared() {
    let settings = Settings::default();
    let region = Region::new(ALLOCATOR);
    let owners = Owners::new(4, 1);
    let shard: Shard<()> = Shard::new(&settings, 1, &owners, ShardId(0), Bounds::default());
    let bytes = region.change().bytes_allocated - shard.tracker().memory().zones;
    // The wheel's heads, and the queues to four shards.
    let bound =
        settings.slots(4) as usize * (BYTES_PER_CONNECTION + BYTES_PER_ACCOUNT + 16) + 1_000_000;
    assert!(bytes <= bound, "{bytes} bytes, of {bound}");
    drop(shard);
}

/// A table at its limit, every connection translated, several generations long: nothing is
/// allocated, moved or given back.
fn churn() {
    const CONNECTIONS: u32 = 500;
    let settings = Settings {
        max_connections: CONNECTIONS,
        ..Settings::default()
    };
    let address = "198.51.100.7".parse().expect("an address");
    let range = NatRange::new(address, address, None).expect("a range");
    let nat = NatSpec::Allocate {
        kind: NatKind::Src,
        range: Some(range),
        flags: NatFlags::default(),
    };
    let request = Request {
        commit: Some(Commit::default()),
        nat: Some(&nat),
        ..Request::default()
    };
    let mut tracker = Tracker::new(&settings, 1);
    let mut frame: VecFrame = text::frame("udp 10.0.0.0:4000 > 192.0.255.255:53 no-csum");
    let layout = weir_packet::parse(frame.head(), frame.len()).expect("no runt");
    let region = Region::new(ALLOCATOR);
    for n in 0..100 * CONNECTIONS {
        // The sender's address and, so that the header's sum stays right, the receiver's.
        let head = frame.head_mut();
        head[28..30].copy_from_slice(&(n as u16).to_be_bytes());
        head[32..34].copy_from_slice(&(!(n as u16)).to_be_bytes());
        let outcome = tracker.execute(&frame, &layout, &request, Tick::from_millis(n.into()));
        assert!(
            outcome.is_ok_and(|outcome| outcome.translation.is_some()),
            "packet {n}"
        );
    }
    let change = region.change();
    assert_eq!(tracker.len(), CONNECTIONS as usize);
    assert_eq!((change.allocations, change.reallocations), (0, 0));
    assert_eq!(change.deallocations, 0);
}
