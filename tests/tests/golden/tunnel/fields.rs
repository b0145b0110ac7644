//! What comes out of a tunnel has fields, which are matched, and written where a packet goes in.

use weir_tests::switch::Switch;

use super::*;

const INNER: &str = "udp 10.0.0.1:1000 > 10.0.0.2:53";

/// Ports 9 (VXLAN), 10 (Geneve) and 11 (GRE) over IPv4, 19 to 21 over IPv6, with end points from
/// flows.
fn flow_based(flows: &str) -> Switch {
    let mut builder = Switch::builder();
    for (at, kind) in (0..).zip(["vxlan", "geneve", "gre"]) {
        builder = builder
            .tunnel(9 + at, &format!("{kind} over 1 192.0.2.1 > flow key=flow"))
            .tunnel(
                19 + at,
                &format!("{kind} over 1 2001:db8::1 > flow key=flow"),
            );
    }
    builder
        .neighbour(1, "192.0.2.7", PEER_MAC)
        .neighbour(1, "192.0.2.8", PEER_MAC)
        .neighbour(1, "2001:db8::7", PEER_MAC)
        .flows(flows)
}

#[test]
fn each_field_is_matched_over_ipv4() {
    for (matched, differs) in [
        ("tun_id=5", "tun_id=6"),
        ("tun_id=0x1/0x1", "tun_id=0x0/0x1"),
        ("tun_src=192.0.2.7", "tun_src=192.0.2.8"),
        ("tun_src=192.0.2.0/24", "tun_src=192.0.3.0/24"),
        ("tun_dst=192.0.2.1", "tun_dst=192.0.2.7"),
        ("tun_ttl=61", "tun_ttl=64"),
        ("tun_tos=0x20", "tun_tos=0"),
        ("tun_ipv6_src=::", "tun_ipv6_src=::1"),
    ] {
        let mut sw = flow_based(&format!(
            "{matched} actions=output:2\n{differs} actions=output:3"
        ));
        let outer = "ttl=61 tos=0x20";
        for (port, header) in [(4789, vxlan(5)), (6081, geneve(5, ""))] {
            let outer = format!("udp 192.0.2.7:5 > 192.0.2.1:{port} {outer}");
            let frame = wrapped(&outer, &header, INNER);
            sw.inject_frames(1, vec![frame.clone(), frame]);
            assert_eq!(sw.sent(2), [INNER, INNER], "{matched}");
        }
        let outer = format!("ip proto=47 192.0.2.7 > 192.0.2.1 {outer}");
        sw.inject_frames(1, vec![wrapped(&outer, &gre(Some(5)), INNER)]);
        assert_eq!(sw.sent(2), [INNER], "{matched}");
        sw.assert_state("ct: none; drops: none");
    }
}

#[test]
fn each_field_is_matched_over_ipv6() {
    for (matched, differs) in [
        ("tun_id=5", "tun_id=6"),
        ("tun_ipv6_src=2001:db8::7", "tun_ipv6_src=2001:db8::8"),
        ("tun_ipv6_src=2001:db8::/32", "tun_ipv6_src=2001:db9::/32"),
        ("tun_ipv6_dst=2001:db8::1", "tun_ipv6_dst=2001:db8::7"),
        ("tun_ttl=61", "tun_ttl=64"),
        ("tun_tos=0x20", "tun_tos=0"),
        ("tun_src=0.0.0.0", "tun_src=192.0.2.7"),
    ] {
        let mut sw = flow_based(&format!(
            "{matched} actions=output:2\n{differs} actions=output:3"
        ));
        let outer = "ttl=61 tos=0x20";
        for (port, header) in [(4789, vxlan(5)), (6081, geneve(5, ""))] {
            let outer = format!("udp [2001:db8::7]:5 > [2001:db8::1]:{port} {outer}");
            let frame = wrapped(&outer, &header, INNER);
            sw.inject_frames(1, vec![frame.clone(), frame]);
            assert_eq!(sw.sent(2), [INNER, INNER], "{matched}");
        }
        let outer = format!("ip proto=47 2001:db8::7 > 2001:db8::1 {outer}");
        sw.inject_frames(1, vec![wrapped(&outer, &gre(Some(5)), INNER)]);
        assert_eq!(sw.sent(2), [INNER], "{matched}");
        sw.assert_state("ct: none; drops: none");
    }
}

#[test]
fn a_control_packet_is_matched_and_made() {
    let mut sw = flow_based(
        "in_port=10,tun_flags=+oam actions=output:2
         in_port=10,tun_flags=-oam actions=output:3
         in_port=4 actions=set_field:192.0.2.7->tun_dst,set_field:oam->tun_flags,output:10",
    );
    let outer = "udp 192.0.2.7:5 > 192.0.2.1:6081";
    sw.inject_frames(1, vec![wrapped(outer, "0080655800000500", INNER)]);
    assert_eq!(sw.sent(2), [INNER]);
    sw.inject_frames(1, vec![wrapped(outer, "0000655800000500", INNER)]);
    assert_eq!(sw.sent(3), [INNER]);
    sw.inject(4, INNER);
    assert_eq!(sw.sent_frames(1)[0].bytes()[42..46], [0, 0x80, 0x65, 0x58]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn each_kind_of_tunnel_is_its_own_port() {
    let mut sw = flow_based(
        "in_port=9 actions=output:2
         in_port=10 actions=output:3
         in_port=21 actions=output:4",
    );
    let frame = wrapped("udp 192.0.2.7:5 > 192.0.2.1:4789", &vxlan(1), INNER);
    sw.inject_frames(1, vec![frame]);
    let frame = wrapped("udp 192.0.2.7:5 > 192.0.2.1:6081", &geneve(1, ""), INNER);
    sw.inject_frames(1, vec![frame]);
    let frame = wrapped("ip proto=47 2001:db8::7 > 2001:db8::1", &gre(None), INNER);
    sw.inject_frames(1, vec![frame]);
    assert_eq!(sw.sent(2), [INNER]);
    assert_eq!(sw.sent(3), [INNER]);
    assert_eq!(sw.sent(4), [INNER]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn one_packet_goes_to_two_ends_with_two_keys() {
    let mut sw = flow_based(
        "in_port=2 actions=set_tunnel:7,load:0xc0000207->NXM_NX_TUN_IPV4_DST[],output:9,resubmit(,1)
         table=1 actions=set_field:0x1000008->tun_id,set_field:192.0.2.8->tun_dst,output:9,output:11,resubmit(,2)
         table=2 actions=set_field:2001:db8::7->tun_ipv6_dst,output:20,output:3",
    );
    for _ in 0..3 {
        sw.inject(2, INNER);
        let frames = sw.sent_frames(1);
        let port = source_port(&frames[0]);
        let head = format!("eth {OWN} > {PEER}");
        let udp = |dst: &str| format!("{head} udp 192.0.2.1:{port} > {dst}:4789 df no-csum");
        let gre_outer = format!("{head} ip proto=47 192.0.2.1 > 192.0.2.8 df");
        let v6 = format!("{head} udp [2001:db8::1]:{port} > [2001:db8::7]:6081");
        assert_eq!(
            frames,
            [
                wrapped(&udp("192.0.2.7"), &vxlan(7), INNER),
                // A network identifier has 24 bits, a key of GRE 32.
                wrapped(&udp("192.0.2.8"), &vxlan(8), INNER),
                wrapped(&gre_outer, &gre(Some(0x100_0008)), INNER),
                wrapped(&v6, &geneve(8, ""), INNER),
            ]
        );
        assert_eq!(sw.sent(3), [INNER]);
    }
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn nobody_is_sent_to_who_is_not_named() {
    let mut sw = flow_based("in_port=2 actions=set_tunnel:7,output:9\nin_port=3 actions=output:19");
    sw.inject(2, INNER);
    sw.inject(2, INNER);
    sw.inject(3, INNER);
    sw.assert_state("ct: none; drops: tunnel_no_remote=3");
}

#[test]
fn what_came_through_a_tunnel_keeps_its_fields_through_ct_and_into_the_next() {
    let mut sw = flow_based(
        "in_port=9,udp,ct_state=-trk actions=ct(commit,table=1)
         table=1,tun_id=5,tun_src=192.0.2.7 actions=set_field:2001:db8::7->tun_ipv6_dst,output:20",
    );
    for _ in 0..3 {
        sw.inject_frames(
            1,
            vec![wrapped(
                "udp 192.0.2.7:5 > 192.0.2.1:4789",
                &vxlan(5),
                INNER,
            )],
        );
        let frames = sw.sent_frames(1);
        let outer = format!(
            "eth {OWN} > {PEER} udp [2001:db8::1]:{} > [2001:db8::7]:6081",
            source_port_v6(&frames[0])
        );
        assert_eq!(frames, [wrapped(&outer, &geneve(5, ""), INNER)]);
    }
    sw.assert_state("ct: new=1; drops: none");
}

#[test]
fn the_most_specific_port_takes_a_packet() {
    let mut sw = Switch::builder()
        .tunnel(10, "vxlan over 1 192.0.2.1 > flow key=flow")
        .tunnel(11, "vxlan over 1 192.0.2.1 > 192.0.2.7 key=flow")
        .tunnel(12, "vxlan over 1 192.0.2.1 > flow key=5")
        .tunnel(13, "vxlan over 1 192.0.2.1 > 192.0.2.7 key=5")
        .tunnel(14, "vxlan over 3 192.0.2.1 > flow key=flow")
        .tunnel(15, "vxlan over 1 192.0.2.2 > flow key=none")
        .flows("actions=move:NXM_OF_IN_PORT[]->NXM_OF_ETH_SRC[0..15],output:2");
    for (over, src, dst, vni, port) in [
        (1, "192.0.2.7", "192.0.2.1", 5, 13),
        (1, "192.0.2.8", "192.0.2.1", 5, 12),
        (1, "192.0.2.7", "192.0.2.1", 6, 11),
        (1, "192.0.2.8", "192.0.2.1", 6, 10),
        (3, "192.0.2.7", "192.0.2.1", 5, 14),
        (1, "192.0.2.7", "192.0.2.2", 0, 15),
    ] {
        let outer = format!("udp {src}:5 > {dst}:4789");
        sw.inject_frames(over, vec![wrapped(&outer, &vxlan(vni), INNER)]);
        let wanted = format!("eth 02:00:00:00:00:{port:02x} > 02:00:00:00:00:02 {INNER}");
        assert_eq!(sw.sent(2), [wanted]);
    }
    sw.inject_frames(
        1,
        vec![wrapped(
            "udp 192.0.2.7:5 > 192.0.2.2:4789",
            &vxlan(1),
            INNER,
        )],
    );
    sw.assert_state("ct: none; drops: tunnel_unknown=1");
}

#[test]
fn normal_learns_at_tunnel_ports() {
    let mut sw = Switch::builder()
        .ports(3)
        .tunnel(9, "vxlan over 1 192.0.2.1 > 192.0.2.7 key=5")
        .neighbour(1, "192.0.2.7", PEER_MAC)
        .trunk(1, &[4000])
        .flows("actions=NORMAL");
    let line = "eth 02:00:00:00:00:aa > 02:00:00:00:00:bb udp 10.0.0.1:1 > 10.0.0.2:2";
    let back = "eth 02:00:00:00:00:bb > 02:00:00:00:00:aa udp 10.0.0.2:2 > 10.0.0.1:1";
    sw.inject_frames(
        1,
        vec![wrapped("udp 192.0.2.7:5 > 192.0.2.1:4789", &vxlan(5), line)],
    );
    assert_eq!(sw.sent(2), [line]);
    assert_eq!(sw.sent(3), [line]);
    for _ in 0..3 {
        sw.inject(2, back);
        assert_eq!(sw.sent_frames(1).len(), 1);
    }
    assert_eq!(
        sw.macs(),
        ["2 0 02:00:00:00:00:bb 0", "9 0 02:00:00:00:00:aa 0"]
    );
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn the_host_itself_is_a_port() {
    let mut sw = Switch::builder().local().flows(
        "in_port=LOCAL,udp actions=output:1
         in_port=1 actions=LOCAL
         in_port=LOCAL,tcp actions=IN_PORT
         in_port=2 actions=NORMAL
         in_port=3 actions=load:0xfffe->NXM_NX_REG0[0..15],output:NXM_NX_REG0[0..15]",
    );
    let local = 0xffff_fffe;
    sw.inject(local, INNER);
    assert_eq!(sw.sent(1), [INNER]);
    sw.inject(1, INNER);
    assert_eq!(sw.sent(local), [INNER]);
    let tcp = "tcp 10.0.0.1:1 > 10.0.0.2:2 S";
    sw.inject(local, tcp);
    assert_eq!(sw.sent(local), [tcp]);
    sw.inject(2, INNER);
    assert_eq!(sw.sent(local), [INNER]);
    assert_eq!(
        (sw.sent(1).len(), sw.sent(3).len(), sw.sent(4).len()),
        (1, 1, 1)
    );
    sw.inject(3, INNER);
    assert_eq!(sw.sent(local), [INNER]);
    sw.assert_state("ct: none; drops: none");
}
