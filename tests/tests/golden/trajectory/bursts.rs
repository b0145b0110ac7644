//! Within a burst: packets act in the order in which they came, whatever the cache knew of them
//! when the burst began. The lcores without a cache, which take one packet after the other, say
//! what has to come out.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;

/// Policies that let both directions in at one port, so that a burst can mix them.
const POLICIES: [&str; 6] = [
    // A firewall.
    "ip actions=ct(table=1)
     table=1,ip,ct_state=+new actions=ct(commit),output:2
     table=1,ip,ct_state=+est-rpl actions=output:2
     table=1,ip,ct_state=+est+rpl actions=output:3
     table=1,ip,ct_state=+inv actions=output:4",
    // Only what goes to 10.0.0.9 opens; the other direction has to wait for it.
    "ip actions=ct(table=1)
     table=1,ip,ct_state=+new,nw_dst=10.0.0.9 actions=ct(commit),output:2
     table=1,ip,ct_state=+est-rpl actions=dec_ttl,output:2
     table=1,ip,ct_state=+est+rpl actions=push_vlan:0x8100,set_field:4101->vlan_vid,output:3",
    // Replies change the mark, which decides about both directions.
    "priority=9,ip actions=ct(zone=3,table=1)
     table=1,ip,ct_state=+new actions=ct(commit,zone=3,exec(set_field:1->ct_mark)),output:2
     table=1,ip,ct_state=+est-rpl,ct_mark=1 actions=output:2
     table=1,ip,ct_state=+est-rpl,ct_mark=2 actions=output:4
     table=1,ip,ct_state=+est+rpl actions=ct(commit,zone=3,exec(set_field:2->ct_mark)),output:3",
    // Source translation.
    "priority=9,ip,nw_dst=10.0.0.9 actions=ct(commit,nat(src=198.51.100.7),table=1)
     priority=1,ip actions=ct(nat,table=1)
     table=1,ip,ct_state=+est+rpl actions=output:3
     table=1,ip,ct_state=-rpl-inv actions=output:2
     table=1,ip,ct_state=+inv actions=output:4",
    // Two zones, source and destination translation.
    "priority=9,ip,nw_dst=10.0.0.9 actions=ct(commit,zone=1,table=1)
     priority=1,ip actions=ct(zone=2,nat,table=2)
     table=1,ip,ct_state=-inv actions=ct(commit,zone=2,nat(src=198.51.100.7),table=3)
     table=2,ip,ct_state=+rpl actions=ct(zone=1,table=3)
     table=3,ip,ct_state=+rpl actions=output:3
     table=3,ip,ct_state=-rpl actions=dec_ttl,output:2",
    // Flags decide, and a connection is committed by every packet.
    "ip actions=ct(commit,table=1)
     table=1,priority=9,tcp,tcp_flags=+fin actions=output:4
     table=1,priority=8,tcp,tcp_flags=+rst actions=output:2,output:4
     table=1,ip,ct_state=+rpl actions=output:3
     table=1,ip,ct_state=-rpl actions=output:2",
];

/// A packet of one of a few connections.
#[derive(Clone, Copy, Debug)]
struct Part {
    connection: u8,
    to_server: bool,
    /// Whether the client is addressed as it is seen outside.
    outside: bool,
    kind: usize,
    /// Where in the stream, in units of [`LEN`].
    at: u32,
    damage: usize,
}

/// TCP flags, and how many bytes follow.
const SEGMENTS: [(&str, u32); 9] = [
    ("S", 0),
    ("SA", 0),
    ("A", 0),
    ("PA", LEN),
    ("PA", LEN),
    ("A", LEN),
    ("FA", 0),
    ("R", 0),
    ("RA", 0),
];
const LEN: u32 = 10;
const DAMAGES: [&str; 8] = ["", "", "", "", "", "", " bad-csum", " ttl=1"];

impl Part {
    fn line(self) -> String {
        let Self {
            connection,
            to_server,
            outside,
            kind,
            at,
            damage,
        } = self;
        let address = if outside && !to_server {
            "198.51.100.7"
        } else {
            "10.0.0.5"
        };
        let port = 4000 + u16::from(connection);
        let (client, server) = (format!("{address}:{port}"), "10.0.0.9:53".to_owned());
        let (src, dst) = if to_server {
            (client, server)
        } else {
            (server, client)
        };
        let damage = DAMAGES[damage];
        if connection % 2 == 0 {
            let (flags, len) = SEGMENTS[kind];
            // Both streams advance alike, so that most segments fit.
            let first = if flags.starts_with('S') {
                0
            } else {
                1 + LEN * at
            };
            let ack = if flags == "S" { 0 } else { 5001 + LEN * at };
            let (seq, ack) = if to_server {
                (1000 + first, ack)
            } else {
                (5000 + first, ack - 4000 * u32::from(ack > 0))
            };
            let len = if len == 0 {
                String::new()
            } else {
                format!(" len={len}")
            };
            let ack = if ack == 0 {
                String::new()
            } else {
                format!(" ack={ack}")
            };
            format!("tcp {src} > {dst} {flags} seq={seq}{ack}{len}{damage}")
        } else {
            format!("udp {src} > {dst} len={at}{damage}")
        }
    }
}

fn part() -> impl Strategy<Value = Part> {
    (
        0..4_u8,
        any::<bool>(),
        any::<bool>(),
        0..SEGMENTS.len(),
        0..4_u32,
        0..DAMAGES.len(),
    )
        .prop_map(|(connection, to_server, outside, kind, at, damage)| Part {
            connection,
            to_server,
            outside,
            kind,
            at,
            damage,
        })
}

#[derive(Clone, Debug)]
enum Step {
    /// A burst, and how often it comes.
    Burst(Vec<Part>, usize),
    /// Data both ways, so that there is something to remember.
    Chat(u8, usize),
    Stall(u64),
    Advance(u64),
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (prop::collection::vec(part(), 1..40), 1..4_usize)
            .prop_map(|(parts, times)| Step::Burst(parts, times)),
        4 => (0..4_u8, 1..5_usize).prop_map(|(connection, times)| Step::Chat(connection, times)),
        1 => (0..200_u64).prop_map(Step::Stall),
        1 => (0..200_u64).prop_map(Step::Advance),
        1 => Just(Step::Flush),
    ]
}

#[test]
fn a_burst_equals_its_packets_one_by_one() {
    let config = ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let input = (
        0..POLICIES.len(),
        prop::sample::select(&[2, 4, 256][..]),
        prop::collection::vec(step(), 1..25),
    );
    let (answered, packets) = (Cell::new(0), Cell::new(0));
    TestRunner::new(config)
        .run(&input, |(policy, max_connections, steps)| {
            let mut sw = Switch::builder()
                .max_connections(max_connections)
                .flows(POLICIES[policy]);
            sw.ignore_what_is_sent();
            for step in steps {
                match step {
                    Step::Burst(parts, times) => {
                        let lines: Vec<String> = parts.iter().map(|part| part.line()).collect();
                        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
                        for _ in 0..times {
                            sw.inject_burst(1, &lines);
                        }
                        packets.set(packets.get() + lines.len() * times);
                    }
                    Step::Chat(connection, times) => {
                        let outside = policy == 3 || policy == 4;
                        let lines = [true, false].map(|to_server| {
                            let part = Part {
                                connection,
                                to_server,
                                outside,
                                kind: 3,
                                at: 0,
                                damage: 0,
                            };
                            part.line()
                        });
                        for _ in 0..times {
                            sw.inject_burst(1, &[&*lines[0], &*lines[1], &*lines[0]]);
                        }
                    }
                    Step::Stall(seconds) => sw.stall(seconds),
                    Step::Advance(seconds) => sw.advance(seconds),
                    Step::Flush => {
                        sw.flush_conntrack(&[]);
                    }
                }
            }
            answered.set(answered.get() + sw.trajectory_stats().hits);
            sw.state();
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    // Else it would say nothing about the cache.
    let (answered, packets) = (answered.get(), packets.get() as u64);
    assert!(
        answered > packets / 10,
        "{answered} of {packets} packets were answered"
    );
}

#[test]
fn the_opening_packet_and_its_answer_in_one_burst() {
    let mut sw = switch(POLICIES[1]);
    // The answer before the question is new, the one behind it a reply.
    let ask = "udp 10.0.0.5:4000 > 10.0.0.9:53";
    let answer = "udp 10.0.0.9:53 > 10.0.0.5:4000";
    sw.inject_burst(1, &[answer, ask, answer, ask, answer]);
    assert_eq!(sw.sent(2), [ask.to_owned(), format!("{ask} ttl=63")]);
    assert_eq!(
        sw.sent(3),
        [format!("vlan 5 {answer}"), format!("vlan 5 {answer}")]
    );
    for _ in 0..3 {
        sw.inject_burst(1, &[answer, ask, answer, ask, answer]);
    }
    sw.assert_state(
        "ct: replied=1; drops: action_drop=0"
            .replace(" action_drop=0", " table_miss=1")
            .as_str(),
    );
}

#[test]
fn the_end_of_a_connection_amid_a_burst() {
    let mut sw = switch(POLICIES[0]);
    let c2s = "tcp 10.0.0.5:4000 > 10.0.0.9:53";
    let s2c = "tcp 10.0.0.9:53 > 10.0.0.5:4000";
    let data = format!("{c2s} PA seq=101 ack=501 len=10");
    let reply = format!("{s2c} PA seq=501 ack=111 len=10");
    sw.inject_burst(
        1,
        &[
            &format!("{c2s} S seq=100"),
            &format!("{s2c} SA seq=500 ack=101"),
            &format!("{c2s} A seq=101 ack=501"),
            &data,
            &reply,
        ],
    );
    remember(&mut sw, 1, &data);
    remember(&mut sw, 1, &reply);
    // All of these are found before the reset acts, which itself changes nothing that a rule
    // could see; what follows it does not find the connection as it was.
    let reset = format!("{c2s} RA seq=111 ack=511");
    let before = sw.trajectory_stats().hits;
    sw.inject_burst(1, &[&data, &reply, &reset, &data, &reply, &data]);
    assert_eq!(sw.trajectory_stats().hits - before, 3);
    sw.state();
}

#[test]
fn an_entry_whose_place_was_taken_amid_a_burst_is_not_used() {
    let caches = weir_tests::switch::Caches {
        trajectories: weir_tables::cache::TrajectorySettings { entries: 16 },
        ..weir_tests::switch::Caches::default()
    };
    let mut sw = Switch::builder()
        .caches(caches)
        .flows("udp,tp_dst=1 actions=output:2\nudp,tp_dst=2 actions=output:3");
    sw.ignore_what_is_sent();
    let packet = |n: usize| format!("udp 10.0.0.{}:4000 > 10.0.0.9:{}", n / 2, 1 + n % 2);
    let lines: Vec<String> = (0..20).map(packet).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    // More than the cache holds: each burst finds what its own packets then push out.
    for shift in 0..20 {
        let mut burst = lines.clone();
        burst.rotate_left(shift);
        sw.inject_burst(1, &burst);
    }
    sw.assert_state("ct: none; drops: none");
}
