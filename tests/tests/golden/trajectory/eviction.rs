//! Who keeps a place in a cache that is too small.

use weir_packet::{VecFrame, text};
use weir_tables::cache::TrajectorySettings;
use weir_tests::switch::Caches;

use super::*;

const CONNECTIONS: u16 = 64;

fn small(entries: usize) -> Switch {
    let caches = Caches {
        trajectories: TrajectorySettings { entries },
        ..Caches::default()
    };
    let flows = "
        priority=9,tcp actions=ct(table=1)
        udp actions=output:2
        table=1,in_port=1,tcp,ct_state=+new actions=ct(commit),output:2
        table=1,in_port=1,tcp,ct_state=+est actions=output:2
        table=1,in_port=2,tcp,ct_state=+est actions=output:1";
    let mut sw = Switch::builder().caches(caches).flows(flows);
    sw.ignore_what_is_sent();
    sw
}

fn segments() -> [Vec<VecFrame>; 2] {
    let out = |port| format!("tcp 10.0.0.5:{port} > 192.0.2.9:80 PA seq=101 ack=501 len=10");
    let back = |port| format!("tcp 192.0.2.9:80 > 10.0.0.5:{port} PA seq=501 ack=111 len=10");
    let frames = |line: &dyn Fn(u16) -> String| {
        (0..CONNECTIONS)
            .map(|n| text::frame(&line(4000 + n)))
            .collect()
    };
    [frames(&out), frames(&back)]
}

#[test]
fn a_flood_of_one_packet_flows_does_not_wash_out_what_is_used() {
    let mut sw = small(1024);
    let [out, back] = segments();
    for _ in 0..6 {
        sw.inject_frames(1, out.clone());
        sw.inject_frames(2, back.clone());
    }
    sw.sent_anywhere();
    // 100,000 flows, in bursts of 500; each connection gets a packet now and then.
    let (mut hits, mut asked) = (0, 0);
    for round in 0..200_u32 {
        let flood = (0..500)
            .map(|n| {
                let [_, a, b, c] = (500 * round + n).to_be_bytes();
                text::frame(&format!("udp 10.{a}.{b}.{c}:9 > 192.0.2.9:53"))
            })
            .collect();
        sw.inject_frames(3, flood);
        let before = sw.trajectory_stats().hits;
        sw.inject_frames(1, out.clone());
        sw.inject_frames(2, back.clone());
        hits += sw.trajectory_stats().hits - before;
        asked += 2 * u64::from(CONNECTIONS);
        sw.sent_anywhere();
    }
    let (_, _, stale, _) = stats(&sw);
    assert_eq!(stale, 0);
    assert!(
        hits * 1000 >= asked * 999,
        "{hits} of {asked} were answered"
    );
    sw.assert_state("ct: replied=64; drops: none");
}

#[test]
fn what_is_not_used_makes_place() {
    let mut sw = small(1024);
    let [out, back] = segments();
    for _ in 0..6 {
        sw.inject_frames(1, out.clone());
        sw.inject_frames(2, back.clone());
    }
    // Other traffic, four times what the cache holds, that comes again and again.
    let others: Vec<VecFrame> = (0..512_u16)
        .map(|n| text::frame(&format!("udp 10.1.0.5:{n} > 192.0.2.9:53")))
        .collect();
    for _ in 0..30 {
        sw.inject_frames(3, others.clone());
        sw.sent_anywhere();
    }
    let before = sw.trajectory_stats().hits;
    sw.inject_frames(3, others.clone());
    assert!(sw.trajectory_stats().hits - before >= 500);
    sw.state();
}

#[test]
fn a_cache_of_one_set_goes_on_being_right() {
    let mut sw = small(1);
    let [out, back] = segments();
    for _ in 0..20 {
        sw.inject_frames(1, out.clone());
        sw.inject_frames(2, back.clone());
        sw.sent_anywhere();
    }
    let (hits, misses, stale, _) = stats(&sw);
    assert_eq!(hits + misses, 40 * u64::from(CONNECTIONS));
    assert_eq!(stale, 0);
    sw.assert_state("ct: replied=64; drops: none");
}

#[test]
fn more_connections_than_programs_go_the_long_way() {
    // What an IPv6 address is translated to does not fit an entry: a program for each connection.
    const MANY: u16 = 17_000;
    let caches = Caches {
        trajectories: TrajectorySettings { entries: 1 << 16 },
        ..Caches::default()
    };
    let flows = "
        in_port=1,udp6 actions=ct(commit,nat(src=2001:db8::7)),output:2
        in_port=2,udp6 actions=drop";
    let mut sw = Switch::builder()
        .caches(caches)
        .max_connections(20_000)
        .flows(flows);
    sw.ignore_what_is_sent();
    let frames: Vec<VecFrame> = (0..MANY)
        .map(|n| text::frame(&format!("udp [fd00::5]:{} > [2001:db8::9]:53", 20_000 + n)))
        .collect();
    for _ in 0..3 {
        sw.inject_frames(1, frames.clone());
        sw.sent_anywhere();
    }
    let (_, _, _, refused) = stats(&sw);
    assert!(refused > 0);
    // Who comes again goes on with the program that it had.
    sw.flush_conntrack(&[]);
    for _ in 0..10 {
        sw.inject_frames(1, frames[..100].to_vec());
    }
    let before = sw.trajectory_stats().hits;
    sw.inject_frames(1, frames[..100].to_vec());
    assert!(sw.trajectory_stats().hits - before > 90);
    // Who is new gets that of a connection that has ended.
    let others: Vec<VecFrame> = (0..100)
        .map(|n| text::frame(&format!("udp [fd00::5]:{} > [2001:db8::9]:54", 50_000 + n)))
        .collect();
    for _ in 0..40 {
        sw.inject_frames(1, others.clone());
    }
    let before = sw.trajectory_stats().hits;
    sw.inject_frames(1, others);
    assert!(sw.trajectory_stats().hits - before > 90);
    sw.assert_state("ct: new=200 created=17200 flushed=17000; drops: none");
}
