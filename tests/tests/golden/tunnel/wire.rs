//! The bytes on the underlay, for each kind of tunnel, over IPv4 and IPv6.

use weir_packet::text;
use weir_tests::switch::{Builder, Switch};

use super::*;

const INNER: &str = "udp 10.0.0.1:1000 > 10.0.0.2:53 len=20";
const BACK: &str = "udp 10.0.0.2:53 > 10.0.0.1:1000 len=30";
const FLOWS: &str = "in_port=2 actions=output:9
                     in_port=9 actions=output:2";

fn over_ipv4(tunnel: &str) -> Builder {
    Switch::builder()
        .tunnel(9, &format!("{tunnel} over 1 192.0.2.1 > 192.0.2.7 key=42"))
        .neighbour(1, "192.0.2.7", PEER_MAC)
}

fn over_ipv6(tunnel: &str) -> Builder {
    Switch::builder()
        .tunnel(
            9,
            &format!("{tunnel} over 1 2001:db8::1 > 2001:db8::7 key=42"),
        )
        .neighbour(1, "2001:db8::7", PEER_MAC)
}

/// One packet each way: what leaves at the underlay is `sent`, which gets the source port that
/// was chosen; what arrives there is `arrives`.
fn both_ways(builder: Builder, v6: bool, sent: impl Fn(u16) -> VecFrame, arrives: &VecFrame) {
    let mut sw = builder.flows(FLOWS);
    for _ in 0..3 {
        sw.inject(2, INNER);
        let frames = sw.sent_frames(1);
        let port = match v6 {
            true => source_port_v6(&frames[0]),
            false => source_port(&frames[0]),
        };
        assert_eq!(
            frames,
            [sent(port)],
            "{}",
            text::describe(frames[0].bytes())
        );
        sw.inject_frames(1, vec![arrives.clone()]);
        assert_eq!(sw.sent(2), [BACK]);
    }
    assert_eq!(sw.tunnel_counts(9), [3, 3 * (42 + 30), 3, 3 * (42 + 20)]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn vxlan_over_ipv4() {
    let sent = |port: u16| {
        let outer = format!("eth {OWN} > {PEER} udp 192.0.2.1:{port} > 192.0.2.7:4789 df no-csum");
        wrapped(&outer, &vxlan(42), INNER)
    };
    let arrives = wrapped(
        &format!("eth {PEER} > {OWN} udp 192.0.2.7:5 > 192.0.2.1:4789 no-csum"),
        &vxlan(42),
        BACK,
    );
    both_ways(over_ipv4("vxlan"), false, sent, &arrives);
}

#[test]
fn vxlan_over_ipv6() {
    let sent = |port: u16| {
        let outer = format!("eth {OWN} > {PEER} udp [2001:db8::1]:{port} > [2001:db8::7]:4789");
        wrapped(&outer, &vxlan(42), INNER)
    };
    let arrives = wrapped(
        &format!("eth {PEER} > {OWN} udp [2001:db8::7]:5 > [2001:db8::1]:4789"),
        &vxlan(42),
        BACK,
    );
    both_ways(over_ipv6("vxlan"), true, sent, &arrives);
}

#[test]
fn geneve_over_ipv4() {
    let sent = |port: u16| {
        let outer = format!("eth {OWN} > {PEER} udp 192.0.2.1:{port} > 192.0.2.7:6081 df no-csum");
        wrapped(&outer, &geneve(42, ""), INNER)
    };
    let arrives = wrapped(
        &format!("eth {PEER} > {OWN} udp 192.0.2.7:5 > 192.0.2.1:6081"),
        &geneve(42, "0102000100000007"),
        BACK,
    );
    both_ways(over_ipv4("geneve"), false, sent, &arrives);
}

#[test]
fn geneve_over_ipv6() {
    let sent = |port: u16| {
        let outer = format!("eth {OWN} > {PEER} udp [2001:db8::1]:{port} > [2001:db8::7]:6081");
        wrapped(&outer, &geneve(42, ""), INNER)
    };
    let arrives = wrapped(
        &format!("eth {PEER} > {OWN} udp [2001:db8::7]:5 > [2001:db8::1]:6081 no-csum"),
        &geneve(42, "0102000100000007"),
        BACK,
    );
    both_ways(over_ipv6("geneve"), true, sent, &arrives);
}

#[test]
fn gre_over_ipv4() {
    let sent = |_: u16| {
        let outer = format!("eth {OWN} > {PEER} ip proto=47 192.0.2.1 > 192.0.2.7 df");
        wrapped(&outer, &gre(Some(42)), INNER)
    };
    let arrives = wrapped(
        &format!("eth {PEER} > {OWN} ip proto=47 192.0.2.7 > 192.0.2.1"),
        &gre(Some(42)),
        BACK,
    );
    both_ways(over_ipv4("gre"), false, sent, &arrives);
}

#[test]
fn gre_over_ipv6() {
    let sent = |_: u16| {
        let outer = format!("eth {OWN} > {PEER} ip proto=47 2001:db8::1 > 2001:db8::7");
        wrapped(&outer, &gre(Some(42)), INNER)
    };
    let arrives = wrapped(
        &format!("eth {PEER} > {OWN} ip proto=47 2001:db8::7 > 2001:db8::1"),
        &gre(Some(42)),
        BACK,
    );
    both_ways(over_ipv6("gre"), true, sent, &arrives);
}

#[test]
fn gre_without_a_key_and_with_a_sequence_number() {
    let mut sw = Switch::builder()
        .tunnel(9, "gre over 1 192.0.2.1 > 192.0.2.7 key=none")
        .neighbour(1, "192.0.2.7", PEER_MAC)
        .flows(FLOWS);
    sw.inject(2, INNER);
    let outer = format!("eth {OWN} > {PEER} ip proto=47 192.0.2.1 > 192.0.2.7 df");
    assert_eq!(sw.sent_frames(1), [wrapped(&outer, &gre(None), INNER)]);

    let outer = "ip proto=47 192.0.2.7 > 192.0.2.1";
    // Without anything, with a sequence number, with key 0.
    for header in ["00006558", "1000655800000009", "2000655800000000"] {
        sw.inject_frames(1, vec![wrapped(outer, header, BACK)]);
        assert_eq!(sw.sent(2), [BACK], "{header}");
    }
    // A routing field, an IP payload, another key.
    for header in ["40006558", "00000800", "2000655800000001"] {
        sw.inject_frames(1, vec![wrapped(outer, header, BACK)]);
    }
    sw.assert_state("ct: none; drops: tunnel_malformed=2 tunnel_unknown=1");
}

#[test]
fn a_checksum_of_gre_is_verified() {
    let mut sw = over_ipv4("gre").flows(FLOWS);
    let outer = "ip proto=47 192.0.2.7 > 192.0.2.1";
    let frame = wrapped(outer, "a0006558000000000000002a", BACK);
    sw.inject_frames(1, vec![frame.clone()]);
    let mut sum = weir_packet::checksum::Sum::new();
    sum.add_bytes(&frame.bytes()[34..]);
    let [high, low] = sum.finish().to_bytes();
    let header = format!("a0006558{high:02x}{low:02x}00000000002a");
    sw.inject_frames(1, vec![wrapped(outer, &header, BACK)]);
    assert_eq!(sw.sent(2), [BACK]);
    sw.assert_state("ct: none; drops: tunnel_malformed=1");
}

#[test]
fn another_destination_port() {
    let mut sw = Switch::builder()
        .tunnel(9, "vxlan over 1 192.0.2.1 > 192.0.2.7 key=42 dst_port=8472")
        .neighbour(1, "192.0.2.7", PEER_MAC)
        .flows(FLOWS);
    sw.inject(2, INNER);
    let frames = sw.sent_frames(1);
    assert_eq!(frames[0].bytes()[36..38], 8472_u16.to_be_bytes());
    let outer = |port| format!("udp 192.0.2.7:5 > 192.0.2.1:{port} no-csum");
    sw.inject_frames(1, vec![wrapped(&outer(8472), &vxlan(42), BACK)]);
    assert_eq!(sw.sent(2), [BACK]);
    // Not a tunnel's port: a packet as any other.
    sw.inject_frames(1, vec![wrapped(&outer(4789), &vxlan(42), BACK)]);
    sw.assert_state("ct: none; drops: table_miss=1");
}

#[test]
fn what_is_wrong_with_outer_headers_is_named() {
    let mut sw = over_ipv4("vxlan").flows(FLOWS);
    let right = "udp 192.0.2.7:5 > 192.0.2.1:4789";
    let mut inject = |outer: &str, header: &str| {
        sw.inject_frames(1, vec![wrapped(outer, header, BACK)]);
    };
    inject(&format!("{right} bad-csum"), &vxlan(42));
    inject(&format!("{right} bad-ip-csum"), &vxlan(42));
    inject(right, "0800000000002a01");
    inject(right, "0900000000002a00");
    inject(right, "000000000000");
    inject(&format!("{right} frag id=1 off=0 mf"), &vxlan(42));
    inject(right, &vxlan(43));
    inject("udp 192.0.2.8:5 > 192.0.2.1:4789", &vxlan(42));
    // Nothing inside: a frame that is too short.
    sw.inject(1, &format!("{right} data={}", vxlan(42)));
    // To somebody else: a packet as any other.
    sw.inject_frames(
        1,
        vec![wrapped(
            "udp 192.0.2.7:5 > 192.0.2.9:4789",
            &vxlan(42),
            BACK,
        )],
    );
    sw.assert_state(
        "ct: none; drops: runt=1 table_miss=1 tunnel_malformed=3 tunnel_checksum=2
         tunnel_fragment=1 tunnel_unknown=2; malformed: runt=1",
    );
}

#[test]
fn geneve_that_is_not_understood_is_dropped() {
    let mut sw = over_ipv4("geneve").flows(FLOWS);
    let outer = "udp 192.0.2.7:5 > 192.0.2.1:6081";
    for header in [
        // Version 1; not Ethernet; an option longer than the header says.
        "4000655800002a00",
        "0000080000002a00",
        "0100655800002a0001020303",
    ] {
        sw.inject_frames(1, vec![wrapped(outer, header, BACK)]);
    }
    sw.assert_state("ct: none; drops: tunnel_malformed=3");
}

#[test]
fn padding_of_the_outer_frame_does_not_come_through() {
    let mut sw = over_ipv4("gre").flows(FLOWS);
    let inner = "eth 02:00:00:00:00:01 > 02:00:00:00:00:02 ether type=0x88cc len=2";
    let outer = "ip proto=47 192.0.2.7 > 192.0.2.1";
    let mut bytes = wrapped(outer, &gre(Some(42)), inner).bytes().to_vec();
    bytes.resize(bytes.len() + 20, 0xee);
    sw.inject_frames(1, vec![VecFrame::from(bytes)]);
    assert_eq!(sw.sent_frames(2), [text::frame(inner)]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn congestion_is_carried_across() {
    let mut sw = over_ipv4("vxlan").flows(FLOWS);
    // The inner ECN is copied, DSCP is not.
    for tos in [0x00_u8, 0xb9, 0xba, 0xbb] {
        sw.inject(2, &format!("udp 10.0.0.1:1000 > 10.0.0.2:53 tos={tos}"));
        let frames = sw.sent_frames(1);
        assert_eq!(frames[0].bytes()[15], tos & 3);
    }
    let inward = [
        // Outer, inner, what comes out (RFC 6040 4.2).
        (3, 2, Some(3)),
        (3, 1, Some(3)),
        (1, 2, Some(1)),
        (2, 1, Some(1)),
        (0, 3, Some(3)),
        (2, 0, Some(0)),
        (3, 0, None),
    ];
    for (outer, inner, out) in inward {
        let outer = format!("udp 192.0.2.7:5 > 192.0.2.1:4789 tos={outer}");
        for inner_ip in ["10.0.0.1 > 10.0.0.2", "2001:db8::a > 2001:db8::b"] {
            let line = |ecn: u8| match ecn {
                0 => format!("icmp{} {inner_ip} echo-request id=1 seq=1", v6(inner_ip)),
                ecn => format!(
                    "icmp{} {inner_ip} echo-request id=1 seq=1 tos={ecn}",
                    v6(inner_ip)
                ),
            };
            sw.inject_frames(1, vec![wrapped(&outer, &vxlan(42), &line(inner))]);
            let sent: Vec<_> = sw.sent_frames(2);
            let wanted: Vec<_> = out.iter().map(|ecn| text::frame(&line(*ecn))).collect();
            assert_eq!(sent, wanted, "{outer}");
        }
    }
    // What is not IP has no ECN.
    let arp = "arp request 10.0.0.1 > 10.0.0.2";
    let outer = "udp 192.0.2.7:5 > 192.0.2.1:4789 tos=3";
    sw.inject_frames(1, vec![wrapped(outer, &vxlan(42), arp)]);
    assert_eq!(sw.sent(2), [arp]);
    sw.assert_state("ct: none; drops: tunnel_ecn=2");
}

fn v6(addresses: &str) -> &'static str {
    if addresses.contains(':') { "6" } else { "" }
}

#[test]
fn what_does_not_fit_below_is_dropped() {
    for (kind, size) in [
        ("vxlan", 20 + 8 + 8),
        ("gre", 20 + 8),
        ("geneve", 20 + 8 + 8),
    ] {
        let mut sw = over_ipv4(kind).flows(FLOWS);
        // An inner frame of 14 + 28 + len bytes.
        let most = 1500 - size - 42;
        for (len, sent) in [(most, 1), (most + 1, 0), (most, 1), (most + 1, 0)] {
            sw.inject(2, &format!("udp 10.0.0.1:1000 > 10.0.0.2:53 len={len}"));
            assert_eq!(sw.sent_frames(1).len(), sent, "{kind} {len}");
        }
        sw.assert_state("ct: none; drops: tunnel_mtu=2");
    }
}

#[test]
fn flows_take_different_source_ports_and_keep_them() {
    let mut sw = over_ipv4("vxlan").flows(FLOWS);
    let mut ports = std::collections::BTreeSet::new();
    for client in 1..=50_u16 {
        let line = format!("tcp 10.0.0.1:{client} > 10.0.0.2:80 A");
        sw.inject_burst(2, &[&line, &line, &line]);
        let frames = sw.sent_frames(1);
        let port = source_port(&frames[0]);
        assert!((32_768..61_000).contains(&port));
        assert!(frames.iter().all(|frame| source_port(frame) == port));
        ports.insert(port);
    }
    assert!(ports.len() > 45, "{ports:?}");
    sw.assert_state("ct: none; drops: none");
}
