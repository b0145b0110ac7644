//! Outputs of other kinds than to a port: cut, by length, by the connection's first tuple.

use weir_packet::Frame;
use weir_tests::switch::Switch;

fn lengths(sw: &mut Switch, port: u32) -> Vec<usize> {
    sw.sent_frames(port).iter().map(Frame::len).collect()
}

#[test]
fn a_cut_output_leaves_the_packet_whole() {
    let mut sw = Switch::with_flows(
        "actions=output(port=2,max_len=20),output(port=1,max_len=20),\
         output(port=IN_PORT,max_len=100),output:3",
    );
    for len in [0, 100, 1400, 100] {
        sw.inject(1, &format!("udp 10.0.0.5:4000 > 192.0.2.9:53 len={len}"));
        assert_eq!(lengths(&mut sw, 2), [20]);
        assert_eq!(lengths(&mut sw, 1), [(42 + len).min(100)]);
        assert_eq!(lengths(&mut sw, 3), [42 + len]);
    }
    sw.assert_state("ct: none; drops: none");
}

/// What is cut may have been too long for the port.
#[test]
fn the_mtu_is_held_against_what_is_left() {
    let mut sw =
        Switch::with_flows("actions=output(port=2,max_len=1514),output(port=3,max_len=1600)");
    for len in [1400, 2000, 1400, 2000] {
        sw.inject(1, &format!("udp 10.0.0.5:4000 > 192.0.2.9:53 len={len}"));
        assert_eq!(lengths(&mut sw, 2), [(42 + len).min(1514)]);
        assert_eq!(lengths(&mut sw, 3).len(), usize::from(len == 1400));
    }
    sw.assert_state("ct: none; drops: mtu_exceeded=2");
}

#[test]
fn translated_packets_are_cut_behind_the_translation() {
    let mut sw = Switch::with_flows(
        "in_port=1,ip actions=ct(commit,table=1,nat(src=198.51.100.7))
         table=1,ip,ct_state=+trk actions=output(port=2,max_len=34),output:3
         in_port=2,ip actions=ct(nat,table=2)
         table=2,ip actions=output:1",
    );
    for _ in 0..4 {
        sw.inject(1, "udp 10.0.0.5:4000 > 192.0.2.9:53 len=8");
        let cut = sw.sent_frames(2);
        assert_eq!(cut[0].bytes().len(), 34);
        assert_eq!(cut[0].bytes()[26..30], [198, 51, 100, 7]);
        assert_eq!(sw.sent(3), ["udp 198.51.100.7:4000 > 192.0.2.9:53 len=8"]);
        sw.inject(2, "udp 192.0.2.9:53 > 198.51.100.7:4000");
        assert_eq!(sw.sent(1), ["udp 192.0.2.9:53 > 10.0.0.5:4000"]);
    }
    sw.assert_state("ct: replied=1; drops: none");
}

/// 100 bytes are not more than 100. Neither tags nor padding count.
#[test]
fn what_is_larger_is_known_to_the_tables() {
    let mut sw = Switch::with_flows(
        "actions=check_pkt_larger(100)->reg0[3],resubmit(,1)
         table=1,reg0=8 actions=output:2
         table=1,reg0=0 actions=output:3",
    );
    for _ in 0..3 {
        for (packet, port) in [
            ("udp 10.0.0.5:4000 > 192.0.2.9:53 len=58", 3),
            ("udp 10.0.0.5:4000 > 192.0.2.9:53 len=59", 2),
            ("udp 10.0.0.5:4000 > 192.0.2.9:53 len=50 pad=20", 3),
            ("vlan 5 udp 10.0.0.5:4000 > 192.0.2.9:53 len=58", 3),
            ("vlan 5 udp 10.0.0.5:4000 > 192.0.2.9:53 len=59", 2),
            ("ether type=0x88cc len=86", 3),
            ("ether type=0x88cc len=87", 2),
            ("udp [::1]:1 > [::2]:2 len=38", 3),
            ("udp [::1]:1 > [::2]:2 len=39", 2),
        ] {
            sw.inject(1, packet);
            assert_eq!(sw.sent(port), [packet]);
        }
    }
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn short_and_long_packets_of_a_connection_go_their_ways() {
    let mut sw = Switch::with_flows(
        "in_port=1,ip actions=ct(commit,table=1)
         table=1,ip actions=check_pkt_larger(200)->reg0[0],resubmit(,2)
         table=2,reg0=1 actions=output:2
         table=2,reg0=0 actions=output:3
         in_port=2,ip actions=ct(table=3)
         table=3,ip actions=output:1",
    );
    for round in 0..6 {
        for (len, port) in [(10, 3), (500, 2), (10, 3)] {
            sw.inject(1, &format!("udp 10.0.0.5:4000 > 192.0.2.9:53 len={len}"));
            assert_eq!(lengths(&mut sw, port), [42 + len], "round {round}");
        }
        sw.inject(2, "udp 192.0.2.9:53 > 10.0.0.5:4000");
        assert_eq!(sw.sent(1).len(), 1);
    }
    assert!(
        sw.trajectory_stats().hits >= 12,
        "{:?}",
        sw.trajectory_stats()
    );
    sw.assert_state("ct: replied=1; drops: none");
}

#[test]
fn a_look_up_by_the_original_tuple() {
    let mut sw = Switch::with_flows(
        "in_port=1,ip actions=ct(commit,table=1,nat(src=198.51.100.7))
         in_port=2,ip actions=ct(nat,table=1)
         table=1,ip,ct_state=+trk-inv actions=resubmit(,2,ct)
         table=2,ip,nw_src=10.0.0.5,udp,tp_dst=53 actions=resubmit(,3)
         table=3,in_port=1,ip,nw_src=198.51.100.7 actions=output:2
         table=3,in_port=2,ip,nw_dst=10.0.0.5 actions=output:1",
    );
    for _ in 0..4 {
        sw.inject(1, "udp 10.0.0.5:4000 > 192.0.2.9:53");
        assert_eq!(sw.sent(2), ["udp 198.51.100.7:4000 > 192.0.2.9:53"]);
        sw.inject(2, "udp 192.0.2.9:53 > 198.51.100.7:4000");
        assert_eq!(sw.sent(1), ["udp 192.0.2.9:53 > 10.0.0.5:4000"]);
    }
    // Another connection, whose original tuple is another.
    sw.inject(1, "udp 10.0.0.6:4000 > 192.0.2.9:53");
    sw.assert_state("ct: new=1 replied=1; drops: table_miss=1");
}

#[test]
fn table_is_the_first_table() {
    let mut sw = Switch::with_flows(
        "reg0=0 actions=set_field:1->reg0,TABLE,output:3
         reg0=1 actions=output:2",
    );
    for _ in 0..3 {
        sw.inject(1, "udp 10.0.0.5:4000 > 192.0.2.9:53");
        assert_eq!(sw.sent(2).len(), 1);
        assert_eq!(sw.sent(3).len(), 1);
    }
    sw.assert_state("ct: none; drops: none");
}
