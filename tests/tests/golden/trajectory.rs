//! The trajectory cache answers where it may and not where it may not. That nobody sees which is
//! for [`Switch`] to say, which holds it against lcores without it, packet by packet.

use weir_tables::cache::CacheStats;
use weir_tests::switch::Switch;

mod alike;
mod bursts;
mod classes;
mod eviction;
mod headers;
mod normal;
mod policy;
mod ports;
mod registers;
mod remembered;
mod translated;
mod versions;
mod wire;

const ASK: &str = "udp 10.0.0.5:4000 > 192.0.2.9:53 len=9";
const ANSWER: &str = "udp 192.0.2.9:53 > 10.0.0.5:4000 len=30";

/// From port 1 everything may go out to 2; from 2 only what belongs to a connection.
const FIREWALL: &str = "
    priority=100,ip actions=ct(table=1)
    priority=100,ipv6 actions=ct(table=1)
    priority=1 actions=drop
    table=1,priority=9,ct_state=+inv+trk actions=drop
    table=1,in_port=1,ct_state=+new+trk,ip actions=ct(commit),output:2
    table=1,in_port=1,ct_state=+new+trk,ipv6 actions=ct(commit),output:2
    table=1,in_port=1,ct_state=+est+trk actions=output:2
    table=1,in_port=2,ct_state=+rel+trk actions=output:1
    table=1,in_port=2,ct_state=+est+trk actions=output:1
    table=1,in_port=2,ct_state=+new+trk actions=drop";

/// A switch of which only the cache is of interest.
fn switch(flows: &str) -> Switch {
    let mut sw = Switch::with_flows(flows);
    sw.ignore_what_is_sent();
    sw
}

/// How many of `packets`, a burst each, the cache answered.
#[track_caller]
fn hits(sw: &mut Switch, port: u32, packets: &[&str]) -> u64 {
    let before = sw.trajectory_stats();
    for packet in packets {
        sw.inject(port, packet);
    }
    sw.trajectory_stats().hits - before.hits
}

/// Whether the cache answers `packet`.
#[track_caller]
fn is_hit(sw: &mut Switch, port: u32, packet: &str) -> bool {
    hits(sw, port, &[packet]) == 1
}

/// Sends `packet` until the cache has it, which takes three packets at most.
#[track_caller]
fn remember(sw: &mut Switch, port: u32, packet: &str) {
    hits(sw, port, &[packet; 3]);
    assert!(is_hit(sw, port, packet), "{packet} is not remembered");
}

/// Sends `packet` often, which the cache must not answer.
#[track_caller]
fn never(sw: &mut Switch, port: u32, packet: &str) {
    assert_eq!(hits(sw, port, &[packet; 5]), 0, "{packet}");
}

/// A switch with the firewall, where [`ASK`] and [`ANSWER`] are remembered.
fn established() -> Switch {
    let mut sw = switch(FIREWALL);
    remember_both(&mut sw);
    sw
}

fn remember_both(sw: &mut Switch) {
    sw.inject(1, ASK);
    sw.inject(2, ANSWER);
    remember(sw, 1, ASK);
    remember(sw, 2, ANSWER);
}

/// Hits, misses, stale entries and refused ones.
fn stats(sw: &Switch) -> (u64, u64, u64, u64) {
    let CacheStats {
        hits,
        misses,
        stale,
        refused,
    } = sw.trajectory_stats();
    (hits, misses, stale, refused)
}
