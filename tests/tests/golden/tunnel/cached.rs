//! An established connection through tunnels is one look-up; all that differs from packet to
//! packet is done anew.

use weir_tests::switch::Switch;

use super::*;

/// The policy of a tunnel end point: what the other end may open, what the host may.
const FIREWALL: &str = "in_port=2,ip,ct_state=-trk actions=ct(table=1,zone=1)
    in_port=9,ip,ct_state=-trk,tun_id=1,tun_src=192.0.2.7 actions=ct(table=1,zone=1)
    table=1,in_port=2,ct_state=+trk+new actions=ct(commit,zone=1),set_tunnel:1,load:0xc0000207->NXM_NX_TUN_IPV4_DST[],output:9
    table=1,in_port=2,ct_state=+trk+est actions=set_tunnel:1,load:0xc0000207->NXM_NX_TUN_IPV4_DST[],output:9
    table=1,in_port=9,ct_state=+trk+est,tun_id=1,tun_src=192.0.2.7 actions=output:2";

fn end_point() -> Switch {
    Switch::builder()
        .tunnel(9, "vxlan over 1 192.0.2.1 > flow key=flow")
        .neighbour(1, "192.0.2.7", PEER_MAC)
        .neighbour(1, "192.0.2.8", PEER_MAC)
        .flows(FIREWALL)
}

fn hits(sw: &Switch) -> u64 {
    sw.trajectory_stats().hits
}

#[test]
fn an_established_connection_is_one_look_up_each_way() {
    let mut sw = end_point();
    let out = "tcp 10.0.0.1:1000 > 10.0.0.2:80";
    let back = "tcp 10.0.0.2:80 > 10.0.0.1:1000";
    let outer = "udp 192.0.2.7:5000 > 192.0.2.1:4789 no-csum";
    sw.inject(2, &format!("{out} S seq=1"));
    let syn_ack = format!("{back} SA seq=100 ack=2");
    sw.inject_frames(1, vec![wrapped(outer, &vxlan(1), &syn_ack)]);
    sw.inject(2, &format!("{out} A seq=2 ack=101"));
    assert_eq!((sw.sent_frames(1).len(), sw.sent(2).len()), (2, 1));
    // The first of each kind is written down.
    for at in 0..2 {
        sw.inject(2, &format!("{out} A seq={} ack=101 len=10", 2 + 10 * at));
        let data = format!("{back} A seq={} ack=2 len=10", 101 + 10 * at);
        sw.inject_frames(1, vec![wrapped(outer, &vxlan(1), &data)]);
    }
    let before = hits(&sw);
    for at in 2..12_u32 {
        // Lengths, TTL, and ECN differ.
        let len = 10 * (at % 3);
        let line = format!(
            "{out} A seq=22 ack=121 len={len} ttl={} tos={}",
            50 + at,
            at % 4
        );
        sw.inject(2, &line);
        let data = format!("{back} A seq=121 ack=22 len={len} tos=2");
        let marked = format!("{outer} tos={} ttl={}", at % 4, 30 + at);
        sw.inject_frames(1, vec![wrapped(&marked, &vxlan(1), &data)]);
    }
    assert_eq!(hits(&sw) - before, 20, "each is a hit");
    let sent = sw.sent_frames(1);
    for (at, frame) in (2..12_u8).zip(&sent[2..]) {
        assert_eq!(frame.bytes()[15], at % 4);
        let len = u16::from_be_bytes([frame.bytes()[16], frame.bytes()[17]]);
        assert_eq!(usize::from(len) + 14, frame.bytes().len());
    }
    assert_eq!(sw.sent(2).len(), 12);
    sw.assert_state("ct: replied=1; drops: none");
}

#[test]
fn another_end_with_the_same_packet_is_another_key() {
    let mut sw = end_point();
    let reply = "udp 10.0.0.2:53 > 10.0.0.1:1000";
    sw.inject(2, "udp 10.0.0.1:1000 > 10.0.0.2:53");
    let from = |src: &str, vni| {
        wrapped(
            &format!("udp {src}:5000 > 192.0.2.1:4789"),
            &vxlan(vni),
            reply,
        )
    };
    for _ in 0..3 {
        sw.inject_frames(
            1,
            vec![
                from("192.0.2.7", 1),
                from("192.0.2.8", 1),
                from("192.0.2.7", 2),
            ],
        );
        assert_eq!(sw.sent(2), [reply]);
    }
    assert!(hits(&sw) > 0);
    assert_eq!(sw.sent_frames(1).len(), 1);
    sw.assert_state("ct: replied=1; drops: table_miss=6");
}

#[test]
fn ttl_and_tos_of_the_outer_header_count_once_a_rule_reads_them() {
    let mut sw = end_point();
    let inner = "udp 10.0.0.2:53 > 10.0.0.1:1000";
    sw.change_flows("priority=40000,in_port=9 actions=output:2")
        .expect("right");
    let with = |ttl: u8| {
        let outer = format!("udp 192.0.2.7:5000 > 192.0.2.1:4789 ttl={ttl}");
        wrapped(&outer, &vxlan(1), inner)
    };
    for ttl in [60, 61, 62, 63] {
        sw.inject_frames(1, vec![with(ttl)]);
    }
    assert_eq!(sw.sent(2).len(), 4);
    sw.change_flows("priority=40001,in_port=9,tun_ttl=61 actions=output:3")
        .expect("right");
    for _ in 0..3 {
        for ttl in [60, 61, 62] {
            sw.inject_frames(1, vec![with(ttl)]);
        }
        assert_eq!((sw.sent(2).len(), sw.sent(3).len()), (2, 1));
    }
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn the_guard_of_the_mtu_counts_tags_and_outer_headers() {
    let mut sw = Switch::builder()
        .tunnel(9, "geneve over 1 192.0.2.1 > 192.0.2.7 key=1")
        .tunnel(10, "gre over 3 192.0.2.1 > 192.0.2.7 key=none")
        .neighbour(1, "192.0.2.7", PEER_MAC)
        .neighbour(3, "192.0.2.7", PEER_MAC)
        .mtu(3, 1300)
        .flows(
            "in_port=2,udp actions=push_vlan:0x8100,set_field:4097->vlan_vid,output:9
             in_port=2,tcp,dl_vlan=7 actions=pop_vlan,output:9
             in_port=4 actions=output:9,output:10",
        );
    for (line, header) in [("udp", 42), ("vlan 7 tcp", 54)] {
        let flags = if line == "udp" { "" } else { " A" };
        let most = 1500 - 36 - header - if line == "udp" { 4 } else { 0 };
        for len in [10, 10, most, most + 1, most, most + 1, 10] {
            sw.inject(
                2,
                &format!("{line} 10.0.0.1:1 > 10.0.0.2:2{flags} len={len}"),
            );
        }
    }
    assert_eq!(sw.sent_frames(1).len(), 10);
    // One copy fits and one does not.
    for len in [10, 10, 1300 - 24 - 42, 1300 - 24 - 41, 1300 - 24 - 42] {
        sw.inject(4, &format!("udp 10.0.0.1:1 > 10.0.0.2:2 len={len}"));
    }
    assert_eq!((sw.sent_frames(1).len(), sw.sent_frames(3).len()), (5, 4));
    sw.assert_state("ct: none; drops: tunnel_mtu=5");
}

#[test]
fn options_that_a_field_stands_for_are_part_of_the_key() {
    let mut sw = Switch::builder()
        .tunnel(9, "geneve over 1 192.0.2.1 > 192.0.2.7 key=1")
        .options("{class=0x0102,type=3,len=4}->tun_metadata0")
        .flows("in_port=9,ip actions=output:2");
    let inner = "udp 10.0.0.2:53 > 10.0.0.1:1000";
    let with = |options: &str| {
        wrapped(
            "udp 192.0.2.7:5 > 192.0.2.1:6081",
            &geneve(1, options),
            inner,
        )
    };
    for _ in 0..2 {
        sw.inject_frames(
            1,
            vec![with(""), with("0102030100000001"), with("0102030100000002")],
        );
    }
    assert_eq!(sw.sent(2), [inner; 6]);
    assert_eq!(hits(&sw), 3);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn where_only_the_tunnel_port_counts_nothing_is_parsed() {
    let mut sw = Switch::builder()
        .tunnel(9, "vxlan over 1 192.0.2.1 > flow key=flow")
        .flows("in_port=9 actions=output:2\nin_port=1 actions=output:3");
    let inner = "udp 10.0.0.2:53 > 10.0.0.1:1000";
    let odd = "ether type=0x88cc len=30";
    for vni in 1..6 {
        let outer = format!("udp 192.0.2.{vni}:5 > 192.0.2.1:4789");
        let frames = vec![
            wrapped(&outer, &vxlan(vni), inner),
            text::frame(odd),
            wrapped(&outer, &vxlan(vni), odd),
        ];
        sw.inject_frames(1, frames);
        assert_eq!(sw.sent(2), [inner, odd]);
        assert_eq!(sw.sent(3), [odd]);
    }
    // All of the tunnel's but the first; what has no key of the underlay tells nothing of it.
    assert_eq!(hits(&sw), 9);
    sw.assert_state("ct: none; drops: none");
}
