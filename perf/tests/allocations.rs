//! The packet path allocates nothing.
//!
//! One test function: the counter counts for the whole process, so nothing else may run.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use weir_perf::captures::Direction;
use weir_perf::micro::Forwarder;
use weir_perf::scenario::Scenario;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn packets_cost_no_allocation() {
    let region = Region::new(ALLOCATOR);
    std::hint::black_box(vec![0; 100]);
    assert_eq!(region.change().allocations, 1, "the counter counts");

    for name in [
        "port-to-port-1k",
        "l2-rewrite-1k",
        "firewall-1k",
        "firewall-1k-tcp",
        "firewall-1k-ipv6",
        "nine-tables-1k",
    ] {
        let scenario = Scenario::named(name).expect("a scenario");
        let mut forwarder = Forwarder::new(&scenario).expect("its policy can be loaded");

        let each_way = forwarder.packets_per_turn() / 2;

        let region = Region::new(ALLOCATOR);
        // Forward first, so that no reply is dropped: opening connections is included.
        let opened = forwarder.one_way(Direction::Forward);
        let answered = forwarder.one_way(Direction::Reply);
        let established = forwarder.turn();
        let change = region.change();

        assert_eq!(
            [opened, answered, established],
            [each_way, each_way, 2 * each_way],
            "{name}"
        );
        assert_eq!(
            (change.allocations, change.reallocations),
            (0, 0),
            "{name}: {change:?}"
        );
    }
}
