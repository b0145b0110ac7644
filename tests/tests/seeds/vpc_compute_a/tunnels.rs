//! Tunnels to another host and to two routers of equal cost.

use std::collections::BTreeMap;

use weir_packet::text;
use weir_tests::hosts::{Sender, tcp};

use super::*;

#[test]
fn a_machine_on_another_host_is_reached_and_answers() {
    let mut sw = switch();
    let request = VM5.to(REMOTE.mac, &VM5.ping(REMOTE.ip, 1));
    let reply = REMOTE.to(VM5.mac, &REMOTE.pong(VM5.ip, 1));
    for _ in 0..3 {
        sw.inject(5, &request);
        assert_eq!(
            UNDERLAY.sent(&mut sw),
            [format!("10.10.10.7 10: {request}")]
        );
        UNDERLAY.receive(&mut sw, &PEER, VNI, &reply);
        assert_eq!(sw.sent_anywhere(), [format!("5: {reply}")]);
    }
    // And the other way round.
    let request = REMOTE.to(VM5.mac, &REMOTE.ping(VM5.ip, 2));
    let reply = VM5.to(REMOTE.mac, &VM5.pong(REMOTE.ip, 2));
    for _ in 0..3 {
        UNDERLAY.receive(&mut sw, &PEER, VNI, &request);
        assert_eq!(sw.sent_anywhere(), [format!("5: {request}")]);
        sw.inject(5, &reply);
        assert_eq!(UNDERLAY.sent(&mut sw), [format!("10.10.10.7 10: {reply}")]);
    }
    let size = text::frame(&request).bytes().len() as u64;
    assert_eq!(sw.tunnel_counts(2), [6, 6 * size, 6, 6 * size]);
    assert_eq!(sw.tunnel_counts(1), [0; 4]);
    sw.assert_state("ct: replied=2; drops: none");
}

#[test]
fn a_gateway_is_behind_the_routers() {
    let mut sw = switch();
    for (vm, gateway) in [
        (VM3, GATEWAY),
        (VM4, GATEWAY),
        (VM9, GATEWAY),
        (VM5, GATEWAY_2),
    ] {
        for to in ["172.19.29.200", "10.100.10.200"] {
            let request = vm.to(gateway.mac, &vm.ping(to, 1));
            let mut routers = Vec::new();
            for _ in 0..3 {
                sw.inject(vm.port, &request);
                let sent = UNDERLAY.sent(&mut sw);
                let (router, frame) = sent[0].split_once(' ').expect("address and frame");
                assert_eq!(frame, format!("10: {request}"));
                routers.push(router.to_owned());
            }
            assert!(["10.10.10.4", "10.10.10.5"].contains(&&*routers[0]));
            routers.dedup();
            assert_eq!(routers.len(), 1, "{routers:?}");
        }
    }
    sw.assert_state("ct: new=8; drops: none");
}

/// What comes out of a tunnel is for the second network, whatever it says: the dump has no way
/// back into the first.
#[test]
fn only_the_second_network_is_reached_from_outside() {
    let mut sw = switch();
    for (from, vni, frame) in [
        // The first network's machines and gateway.
        (ROUTER_A, VNI, GATEWAY.to(VM4.mac, &GATEWAY.ping(VM4.ip, 1))),
        (ROUTER_A, VNI, VM4.to(GATEWAY.mac, &VM4.ping(GATEWAY.ip, 1))),
        // Another network's ID, and that of which only table 40 knows.
        (ROUTER_A, 11, GATEWAY_2.to(VM5.mac, &REMOTE.ping(VM5.ip, 1))),
        (PEER, 0, GATEWAY_2.to(VM5.mac, &REMOTE.ping(VM5.ip, 1))),
        (
            ROUTER_B,
            1,
            GATEWAY_2.to(VM5.mac, "icmp 172.16.1.4 > 172.16.1.3 echo-request"),
        ),
        // All of them.
        (
            ROUTER_B,
            VNI,
            GATEWAY_2.to("ff:ff:ff:ff:ff:ff", &REMOTE.ping(VM5.ip, 1)),
        ),
    ] {
        UNDERLAY.receive(&mut sw, &from, vni, &frame);
        assert_eq!(sw.sent_anywhere(), [""; 0], "{frame}");
    }
    sw.assert_state("ct: none; drops: table_miss=6");
}

/// What came from a tunnel may go into another: the router reaches the other host's machine.
#[test]
fn a_packet_may_go_from_tunnel_to_tunnel() {
    let mut sw = switch();
    let frame = GATEWAY_2.to(REMOTE.mac, "tcp 198.51.100.1:4000 > 10.100.10.4:80 S seq=7");
    UNDERLAY.receive(&mut sw, &ROUTER_A, VNI, &frame);
    assert_eq!(UNDERLAY.sent(&mut sw), [format!("10.10.10.7 10: {frame}")]);
    // Not back to where it came from.
    UNDERLAY.receive(&mut sw, &PEER, VNI, &frame);
    assert_eq!(sw.sent_anywhere(), [""; 0]);
    sw.assert_state("ct: none; drops: output_to_in_port=1");
}

#[test]
fn ends_of_tunnels_ask_for_each_other() {
    let sw = Example::load("vpc-computeA").switch();
    let mut sw = sw.expect("it loads");
    for other in UNDERLAY.others {
        sw.inject(10, &other.who_has(UNDERLAY.own.ip));
        assert_eq!(
            sw.sent_anywhere(),
            [format!("10: {}", UNDERLAY.own.is_at(other))]
        );
    }
    let request = VM5.to(REMOTE.mac, &VM5.ping(REMOTE.ip, 1));
    sw.inject(5, &request);
    assert_eq!(
        sw.sent_anywhere(),
        [format!("10: {}", UNDERLAY.own.who_has(PEER.ip))]
    );
    sw.inject(10, &PEER.is_at(&UNDERLAY.own));
    sw.inject(5, &request);
    assert_eq!(
        UNDERLAY.sent(&mut sw),
        [format!("10.10.10.7 10: {request}")]
    );
    sw.assert_state("ct: new=1; drops: tunnel_no_neighbour=1 neighbour_answer=1");
}

/// 10,000 clients behind the routers open connections to one machine. Its answers go to both
/// routers alike, those of one connection to one router.
#[test]
fn answers_are_spread_over_the_routers_and_a_connection_keeps_its_router() {
    const CONNECTIONS: u32 = 10_000;
    /// Frames in a burst.
    const BURST: usize = 32;
    let mut sw = switch();
    let mut router_of: BTreeMap<String, String> = BTreeMap::new();
    let conversations: Vec<_> = (0..CONNECTIONS)
        .map(|n| {
            let client = format!("198.51.{}.{}:{}", n / 200 % 100, n % 200 + 1, 1024 + n);
            (client.clone(), tcp(&client, "10.100.10.3:80"))
        })
        .collect();
    // Up to the answer.
    for step in 0..6 {
        for burst in conversations.chunks(BURST) {
            let line = |(_, packets): &(String, Vec<(Sender, String)>)| match &packets[step] {
                (Sender::Client, packet) => GATEWAY_2.to(VM5.mac, packet),
                (Sender::Server, packet) => VM5.to(GATEWAY_2.mac, packet),
            };
            let lines: Vec<String> = burst.iter().map(line).collect();
            if burst[0].1[step].0 == Sender::Client {
                let frames = lines
                    .iter()
                    .map(|line| UNDERLAY.wrapped(&ROUTER_A, VNI, line));
                sw.inject_frames(10, frames.collect());
                assert_eq!(sw.sent(5), lines);
                continue;
            }
            sw.inject_frames(5, lines.iter().map(|line| text::frame(line)).collect());
            for sent in UNDERLAY.sent(&mut sw) {
                let (router, frame) = sent.split_once(" 10: ").expect("its ID");
                let at = lines.iter().position(|line| line == frame);
                let (client, _) = &burst[at.expect("it was sent")];
                let before = router_of
                    .entry(client.clone())
                    .or_insert_with(|| router.to_owned());
                assert_eq!(before, router, "{client}");
            }
        }
    }
    assert_eq!(router_of.len(), CONNECTIONS as usize);
    for router in [ROUTER_A, ROUTER_B] {
        let share = router_of.values().filter(|ip| *ip == router.ip).count();
        assert!((4_750..=5_250).contains(&share), "{}: {share}", router.ip);
    }
    let (all, buckets) = sw.group_packets(10);
    assert_eq!((all, buckets.len()), (3 * u64::from(CONNECTIONS), 2));
    sw.assert_state("ct: replied=10000; drops: none");
}
