//! What is sent is the packet as it was when its output was due, in the order of the actions,
//! however late the frame is copied.

use weir_tests::switch::Switch;

const PLAIN: &str = "udp 10.0.0.1:1 > 10.0.0.2:2 len=9";

#[test]
fn each_output_has_the_packet_as_it_was_then() {
    let mut sw = Switch::with_flows(
        "udp actions=output:2,mod_nw_dst:9.9.9.9,output:3,dec_ttl,mod_tp_dst:7,output:4,output:2",
    );
    sw.inject(1, PLAIN);
    let last = "udp 10.0.0.1:1 > 9.9.9.9:7 ttl=63 len=9";
    assert_eq!(sw.sent(2), [PLAIN, last]);
    assert_eq!(sw.sent(3), ["udp 10.0.0.1:1 > 9.9.9.9:2 len=9"]);
    assert_eq!(sw.sent(4), [last]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn tags_change_between_outputs() {
    let mut sw = Switch::with_flows(
        "udp actions=output:2,push_vlan:0x8100,output:2,set_field:4101->vlan_vid,output:2,\
         push_vlan:0x88a8,output:2,pop_vlan,pop_vlan,output:2",
    );
    sw.inject(1, PLAIN);
    assert_eq!(
        sw.sent(2),
        [
            PLAIN.to_owned(),
            format!("vlan 0 {PLAIN}"),
            format!("vlan 5 {PLAIN}"),
            format!("vlan 0 tpid 0x88a8 vlan 5 {PLAIN}"),
            PLAIN.to_owned(),
        ]
    );
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_change_after_the_last_output_is_not_seen() {
    let mut sw =
        Switch::with_flows("udp,dl_vlan=5 actions=output:2,mod_nw_dst:9.9.9.9,dec_ttl,pop_vlan");
    sw.inject(1, &format!("vlan 5 {PLAIN}"));
    assert_eq!(sw.sent(2), [format!("vlan 5 {PLAIN}")]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_ct_fork_runs_before_what_follows_and_on_its_own_copy() {
    let mut sw = Switch::with_flows(
        "udp actions=output:2,ct(table=1),mod_nw_dst:9.9.9.9,output:2
         table=1,udp,ct_state=+new+trk actions=output:2,mod_nw_dst:8.8.8.8,output:2,output:3",
    );
    sw.inject(1, PLAIN);
    let (forked, rest) = (
        PLAIN.replace("10.0.0.2", "8.8.8.8"),
        PLAIN.replace("10.0.0.2", "9.9.9.9"),
    );
    assert_eq!(sw.sent(2), [PLAIN, PLAIN, &*forked, &*rest]);
    assert_eq!(sw.sent(3), [forked]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_fork_at_the_end_needs_no_copy_and_sees_the_same() {
    let mut sw = Switch::with_flows(
        "udp actions=output:2,mod_nw_dst:9.9.9.9,ct(table=1)
         table=1,udp,nw_dst=9.9.9.9 actions=output:2,dec_ttl,output:3",
    );
    sw.inject(1, PLAIN);
    let changed = PLAIN.replace("10.0.0.2", "9.9.9.9");
    assert_eq!(sw.sent(2), [PLAIN, &*changed]);
    assert_eq!(sw.sent(3), [changed.replace(" len", " ttl=63 len")]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn two_forks_keep_their_registers_apart() {
    let mut sw = Switch::with_flows(
        "udp actions=set_field:1->reg0,ct(table=1),set_field:2->reg0,ct(table=1),output:4
         table=1,udp,reg0=1 actions=push_vlan:0x8100,set_field:3->reg0,output:2
         table=1,udp,reg0=2,vlan_tci=0 actions=output:3",
    );
    sw.inject(1, PLAIN);
    assert_eq!(sw.sent(2), [format!("vlan 0 {PLAIN}")]);
    assert_eq!(sw.sent(3), [PLAIN]);
    assert_eq!(sw.sent(4), [PLAIN]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn forks_nest() {
    let mut sw = Switch::with_flows(
        "udp actions=ct(table=1),output:4
         table=1,udp actions=mod_nw_ttl:9,ct(table=2,zone=1),output:3
         table=2,udp,ct_zone=1 actions=mod_nw_ttl:8,output:2",
    );
    sw.inject(1, PLAIN);
    let with_ttl = |ttl: u8| PLAIN.replace(" len", &format!(" ttl={ttl} len"));
    assert_eq!(sw.sent(2), [with_ttl(8)]);
    assert_eq!(sw.sent(3), [with_ttl(9)]);
    assert_eq!(sw.sent(4), [PLAIN]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn flood_comes_between_its_neighbours() {
    let mut sw = Switch::with_flows("udp actions=output:3,dec_ttl,FLOOD,dec_ttl,output:3");
    sw.inject(1, PLAIN);
    let with_ttl = |ttl: u8| PLAIN.replace(" len", &format!(" ttl={ttl} len"));
    assert_eq!(sw.sent(2), [with_ttl(63)]);
    assert_eq!(sw.sent(3), [PLAIN.to_owned(), with_ttl(63), with_ttl(62)]);
    assert_eq!(sw.sent(4), [with_ttl(63)]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn packets_of_a_burst_stay_in_order_on_every_port() {
    let mut sw = Switch::with_flows(
        "udp,tp_src=1 actions=output:2,ct(table=1)
         udp,tp_src=2 actions=ct(table=1),output:2
         udp,tp_src=3 actions=output:2
         table=1,udp actions=output:2",
    );
    let of = |src, id| format!("udp 10.0.0.1:{src} > 10.0.0.2:{id}");
    sw.inject_burst(
        1,
        &[
            &of(3, 1),
            &of(1, 2),
            &of(2, 3),
            &of(3, 4),
            &of(2, 5),
            &of(1, 6),
        ],
    );
    assert_eq!(
        sw.sent(2),
        [
            of(3, 1),
            of(1, 2),
            of(1, 2),
            of(2, 3),
            of(2, 3),
            of(3, 4),
            of(2, 5),
            of(2, 5),
            of(1, 6),
            of(1, 6)
        ]
    );
    sw.assert_state("ct: none; drops: none");
}
