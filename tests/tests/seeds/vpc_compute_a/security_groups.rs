//! Security groups. Of what machines open, their groups let ICMP to both networks out, and
//! everything to both networks in; what belongs to a connection passes either way.

use weir_packet::text;
use weir_tests::hosts::{Sender, tcp};
use weir_tests::pieces::pieces;

use super::*;

/// Machines of one network ping each other through both groups: each clause with each prefix.
#[test]
fn icmp_passes_out_and_in() {
    let mut sw = switch();
    let mut id = 0;
    for from in [VM3, VM4, VM9] {
        for to in [VM3, VM4, VM9] {
            if from.port == to.port {
                continue;
            }
            id += 1;
            let request = from.to(to.mac, &from.ping(to.ip, id));
            for _ in 0..3 {
                sw.inject(from.port, &request);
                assert_eq!(sw.sent_anywhere(), [format!("{}: {request}", to.port)]);
            }
            let reply = to.to(from.mac, &to.pong(from.ip, id));
            for _ in 0..3 {
                sw.inject(to.port, &reply);
                assert_eq!(sw.sent_anywhere(), [format!("{}: {reply}", from.port)]);
                sw.inject(from.port, &request);
                assert_eq!(sw.sent_anywhere(), [format!("{}: {request}", to.port)]);
            }
            // The other prefix, which is behind the same MAC address.
            let request = from.to(to.mac, &from.ping("10.100.10.77", id));
            sw.inject(from.port, &request);
            assert_eq!(sw.sent_anywhere(), [format!("{}: {request}", to.port)]);
        }
    }
    assert_eq!(
        sw.conntrack()[0],
        "icmp,orig=(src=172.19.29.3,dst=10.100.10.77,id=1,type=8,code=0),\
         reply=(src=10.100.10.77,dst=172.19.29.3,id=1,type=0,code=0),zone=1"
    );
    sw.assert_state("ct: new=6 replied=6; drops: none");
}

/// What ovs-vswitchd's kernel datapath puts together for `ct()`, too.
#[test]
fn a_ping_larger_than_a_frame_passes() {
    let mut sw = switch();
    let request = VM4.to(
        VM9.mac,
        &format!("{} ip-id=7 len=3000", VM4.ping(VM9.ip, 1)),
    );
    let reply = VM9.to(
        VM4.mac,
        &format!("{} ip-id=8 len=3000", VM9.pong(VM4.ip, 1)),
    );
    for (from, to, packet) in [(VM4, VM9, request), (VM9, VM4, reply)] {
        let pieces = pieces(&packet.replace(" len=56", ""), 1450);
        sw.inject_frames(from.port, pieces.clone());
        let described = pieces.iter().map(|piece| text::describe(piece.bytes()));
        assert_eq!(sw.sent(to.port), described.collect::<Vec<_>>());
    }
    sw.assert_state("ct: replied=1; drops: none; fragments: joined=6 datagrams=2 cuts=2 pieces=6");
}

#[test]
fn nothing_else_passes_out() {
    let mut sw = switch();
    for (vm, network, gateway) in [
        (VM3, "172.19.29.77", GATEWAY),
        (VM4, "172.19.29.77", GATEWAY),
        (VM9, "172.19.29.77", GATEWAY),
        (VM5, "10.100.10.77", GATEWAY_2),
    ] {
        let ip = vm.ip;
        for packet in [
            format!("tcp {ip}:4000 > {network}:80 S seq=7 mss=1460"),
            format!("udp {ip}:4000 > {network}:53 len=30"),
            format!("sctp {ip}:1 > {network}:2 init=0x1"),
            format!("ip proto=47 {ip} > {network} data=00000800"),
            // Right but for the prefix.
            vm.ping("172.19.28.255", 1),
            vm.ping("172.19.30.0", 1),
            vm.ping("10.100.9.255", 1),
            vm.ping("192.0.2.1", 1),
            vm.ping("255.255.255.255", 1),
        ] {
            is_lost(&mut sw, vm.port, &vm.to(gateway.mac, &packet));
        }
    }
    sw.assert_state("ct: none; drops: action_drop=36");
}

/// The one machine that can be reached from outside: for addresses of both networks, whatever
/// the protocol.
#[test]
fn everything_for_both_networks_passes_in() {
    let mut sw = switch();
    let mut count = 0;
    for to in [VM5.ip, "10.100.10.255", "172.19.29.0", "172.19.29.255"] {
        for packet in [
            format!("tcp 198.51.100.1:4000 > {to}:80 S seq=7 mss=1460"),
            format!("udp 198.51.100.1:4000 > {to}:53 len=30"),
            format!("icmp 198.51.100.1 > {to} echo-request id=1 seq=1"),
            format!("ip proto=47 198.51.100.1 > {to} data=00000800"),
        ] {
            let frame = GATEWAY_2.to(VM5.mac, &packet);
            UNDERLAY.receive(&mut sw, &ROUTER_B, VNI, &frame);
            assert_eq!(sw.sent_anywhere(), [format!("5: {frame}")]);
            count += 1;
        }
    }
    for to in ["10.100.9.255", "10.100.11.0", "172.19.28.255", "192.0.2.1"] {
        for packet in [
            format!("tcp 198.51.100.1:4000 > {to}:80 S seq=7 mss=1460"),
            format!("icmp 198.51.100.1 > {to} echo-request id=1 seq=1"),
        ] {
            let frame = GATEWAY_2.to(VM5.mac, &packet);
            UNDERLAY.receive(&mut sw, &ROUTER_B, VNI, &frame);
            assert_eq!(sw.sent_anywhere(), [""; 0]);
        }
    }
    assert_eq!(count, 16);
    sw.assert_state("ct: new=16; drops: action_drop=8");
}

/// The machine answers, though its own group lets it open nothing but ICMP.
#[test]
fn a_tcp_connection_from_outside_lives_and_ends() {
    let mut sw = switch();
    let connection = tcp("198.51.100.1:4000", "10.100.10.3:80");
    for (at, (sender, packet)) in connection.iter().enumerate() {
        match sender {
            Sender::Client => {
                let frame = GATEWAY_2.to(VM5.mac, packet);
                UNDERLAY.receive(&mut sw, &ROUTER_A, VNI, &frame);
                assert_eq!(sw.sent_anywhere(), [format!("5: {frame}")]);
            }
            Sender::Server => {
                let frame = VM5.to(GATEWAY_2.mac, packet);
                sw.inject(5, &frame);
                let sent = UNDERLAY.sent(&mut sw);
                assert!(
                    [ROUTER_A, ROUTER_B]
                        .map(|router| format!("{} 10: {frame}", router.ip))
                        .contains(&sent[0]),
                    "{sent:?}"
                );
                assert_eq!((sent.len(), sw.sent_anywhere().len()), (1, 0));
            }
        }
        if at == 6 {
            // Far behind the window, and an answer to what was never sent.
            for segment in [
                "PA seq=900000000 ack=6401 len=9",
                "PA seq=1121 ack=900000000 len=9",
            ] {
                let packet = format!("tcp 198.51.100.1:4000 > 10.100.10.3:80 {segment}");
                let frame = GATEWAY_2.to(VM5.mac, &packet);
                UNDERLAY.receive(&mut sw, &ROUTER_A, VNI, &frame);
                assert_eq!(sw.sent_anywhere(), [""; 0], "{segment}");
            }
            let packet = "tcp 10.100.10.3:80 > 198.51.100.1:4000 PA seq=900000000 ack=1121 len=9";
            is_lost(&mut sw, 5, &VM5.to(GATEWAY_2.mac, packet));
            assert_eq!(
                sw.conntrack(),
                [
                    "tcp,orig=(src=198.51.100.1,dst=10.100.10.3,sport=4000,dport=80),\
                  reply=(src=10.100.10.3,dst=198.51.100.1,sport=80,dport=4000),\
                  zone=2,protoinfo=(state=ESTABLISHED)"
                ]
            );
        }
    }
    assert_eq!(
        sw.conntrack(),
        [
            "tcp,orig=(src=198.51.100.1,dst=10.100.10.3,sport=4000,dport=80),\
          reply=(src=10.100.10.3,dst=198.51.100.1,sport=80,dport=4000),\
          zone=2,protoinfo=(state=TIME_WAIT)"
        ]
    );
    sw.assert_state("ct: replied=1 invalid_tcp_window=3; drops: action_drop=3");
}

/// Errors pass whose quoted packet belongs to a connection, both ways.
#[test]
fn related_icmp_passes_and_other_errors_do_not() {
    let mut sw = switch();
    // Between two machines.
    let request = VM4.ping(VM9.ip, 7);
    sw.inject(4, &VM4.to(VM9.mac, &request));
    assert_eq!(sw.sent(9), [VM4.to(VM9.mac, &request)]);
    let error = VM9.to(
        VM4.mac,
        &format!("icmp 172.19.29.5 > 172.19.29.4 unreachable code=10 {{ {request} }} cut=28"),
    );
    for _ in 0..2 {
        sw.inject(9, &error);
        assert_eq!(sw.sent_anywhere(), [format!("4: {error}")]);
    }

    // To the outside: nobody listens at this port.
    let question = "udp 198.51.100.1:4000 > 10.100.10.3:53 len=30";
    let frame = GATEWAY_2.to(VM5.mac, question);
    UNDERLAY.receive(&mut sw, &ROUTER_A, VNI, &frame);
    assert_eq!(sw.sent(5), [frame]);
    let error = VM5.to(
        GATEWAY_2.mac,
        &format!("icmp 10.100.10.3 > 198.51.100.1 unreachable code=3 {{ {question} }} cut=28"),
    );
    sw.inject(5, &error);
    let sent = UNDERLAY.sent(&mut sw);
    assert!(sent[0].ends_with(&format!(" 10: {error}")), "{sent:?}");

    // From the outside: a router on the way has a smaller MTU.
    let syn = "tcp 198.51.100.1:4000 > 10.100.10.3:80 S seq=1000 mss=1460";
    let frame = GATEWAY_2.to(VM5.mac, syn);
    UNDERLAY.receive(&mut sw, &ROUTER_A, VNI, &frame);
    assert_eq!(sw.sent(5), [frame]);
    let answer = "tcp 10.100.10.3:80 > 198.51.100.1:4000 SA seq=5000 ack=1001 mss=1460";
    sw.inject(5, &VM5.to(GATEWAY_2.mac, answer));
    assert_eq!(UNDERLAY.sent(&mut sw).len(), 1);
    let too_big = |quoted: &str| {
        let packet = format!(
            "icmp 203.0.113.9 > 10.100.10.3 unreachable code=4 mtu=1400 {{ {quoted} }} cut=28"
        );
        GATEWAY_2.to(VM5.mac, &packet)
    };
    UNDERLAY.receive(&mut sw, &ROUTER_A, VNI, &too_big(answer));
    let quoted = "tcp 10.100.10.3:80 > 198.51.100.1:4000 seq=5000 len=4";
    assert_eq!(sw.sent_anywhere(), [format!("5: {}", too_big(quoted))]);

    // What nobody sent.
    let other = answer.replace(":4000", ":4001");
    UNDERLAY.receive(&mut sw, &ROUTER_A, VNI, &too_big(&other));
    assert_eq!(sw.sent_anywhere(), [""; 0]);
    let other = VM9.ping(VM4.ip, 8);
    let error = format!("icmp 172.19.29.4 > 172.19.29.5 unreachable code=10 {{ {other} }} cut=28");
    is_lost(&mut sw, 4, &VM4.to(VM9.mac, &error));
    sw.assert_state("ct: new=2 replied=1 invalid_icmp_unrelated=2; drops: action_drop=2");
}

#[test]
fn what_is_invalid_is_dropped() {
    let mut sw = switch();
    let ping = VM4.ping(VM9.ip, 1);
    for packet in [
        format!("{ping} bad-csum"),
        format!("{ping} bad-ip-csum"),
        VM4.pong(VM9.ip, 1),
    ] {
        is_lost(&mut sw, 4, &VM4.to(VM9.mac, &packet));
    }
    for packet in [
        "udp 198.51.100.1:0 > 10.100.10.3:53",
        "udp 198.51.100.1:4000 > 10.100.10.3:53 len=9 bad-csum",
        "tcp 198.51.100.1:4000 > 10.100.10.3:80 SF",
        "tcp 198.51.100.1:4000 > 10.100.10.3:80 FP",
    ] {
        let frame = GATEWAY_2.to(VM5.mac, packet);
        UNDERLAY.receive(&mut sw, &ROUTER_A, VNI, &frame);
        assert_eq!(sw.sent_anywhere(), [""; 0], "{packet}");
    }
    sw.assert_state(
        "ct: invalid_ip_checksum=1 invalid_l4_checksum=2 invalid_port_zero=1
             invalid_tcp_flags=2 invalid_icmp_reply_first=1;
         drops: action_drop=7",
    );
}

/// Both networks may use the same addresses: the zone is the network.
#[test]
fn connections_are_told_apart_by_network() {
    let mut sw = switch();
    let ping = VM4.ping("10.100.10.3", 1);
    sw.inject(4, &VM4.to(GATEWAY.mac, &ping));
    let sent = UNDERLAY.sent(&mut sw);
    assert!(sent[0].ends_with(&ping), "{sent:?}");
    // The router brings it into the other network.
    let routed = GATEWAY_2.to(VM5.mac, &ping);
    UNDERLAY.receive(&mut sw, &ROUTER_A, VNI, &routed);
    assert_eq!(sw.sent_anywhere(), [format!("5: {routed}")]);
    let zones: Vec<bool> = sw
        .conntrack()
        .iter()
        .map(|line| line.contains("zone=1"))
        .collect();
    assert_eq!(zones, [true, false]);
    sw.assert_state("ct: new=2; drops: none");
}
