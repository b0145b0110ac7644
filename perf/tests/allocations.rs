//! The packet path allocates nothing.
//!
//! A program of its own: the counter counts for the whole process, so nothing else may run.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use weir_ct::Filter;
use weir_perf::captures::Direction;
use weir_perf::micro::{Caches, Forwarder};
use weir_perf::scenario::Scenario;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    let counted = allocations_of(|| drop(std::hint::black_box(vec![0; 100])));
    assert_eq!(counted, 1, "the counter counts");

    for name in [
        "port-to-port-1k",
        "l2-rewrite-1k",
        "firewall-1k",
        "firewall-1k-tcp",
        "firewall-1k-ipv6",
        "nine-tables-1k",
        "vpc-computeA-1k",
        "snat-1k",
    ] {
        for &caches in Caches::ALL {
            nothing_is_allocated(name, caches);
        }
    }
}

fn nothing_is_allocated(name: &str, caches: Caches) {
    let scenario = Scenario::named(name).expect("a scenario");
    let mut forwarder = Forwarder::new(&scenario, caches).expect("its policy can be loaded");
    let each_way = forwarder.packets_per_turn() / 2;

    // A mask that the cache has not met takes a place in a list; there are few, whatever comes.
    let first = allocations_of(|| three_turns(&mut forwarder, each_way));
    let most = if caches == Caches::None { 0 } else { 200 };
    assert!(
        first <= most,
        "{name}, {caches:?}: {first} allocations at first"
    );

    // The same connections are opened again, answered and established.
    forwarder.forget_connections(Filter::default());
    let again = allocations_of(|| three_turns(&mut forwarder, each_way));
    assert_eq!(again, 0, "{name}, {caches:?}");
}

/// Opens all connections, answers, and sends once more both ways; everything is sent.
fn three_turns(forwarder: &mut Forwarder, each_way: u64) {
    let opened = forwarder.one_way(Direction::Forward);
    let answered = forwarder.one_way(Direction::Reply);
    let established = forwarder.turn();
    assert_eq!(
        [opened, answered, established],
        [each_way, each_way, 2 * each_way]
    );
}

fn allocations_of(work: impl FnOnce()) -> usize {
    let region = Region::new(ALLOCATOR);
    work();
    let change = region.change();
    change.allocations + change.reallocations
}
