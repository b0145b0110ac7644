//! clone, push and pop: what is done to a copy, and what is put aside.

use weir_tests::switch::Switch;

const DNS: &str = "udp 10.0.0.5:4000 > 192.0.2.9:53";

#[test]
fn what_is_done_to_a_copy_does_not_last() {
    let mut sw = Switch::with_flows(
        "ip actions=clone(mod_nw_src:203.0.113.1,dec_ttl,set_field:1->reg0,output:2),\
         resubmit(,1)
         table=1,reg0=0 actions=output:3",
    );
    for _ in 0..3 {
        sw.inject(1, "udp 10.0.0.5:4000 > 192.0.2.9:53 ttl=9");
        assert_eq!(sw.sent(2), ["udp 203.0.113.1:4000 > 192.0.2.9:53 ttl=8"]);
        assert_eq!(sw.sent(3), ["udp 10.0.0.5:4000 > 192.0.2.9:53 ttl=9"]);
    }
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn copies_nest() {
    let mut sw = Switch::with_flows(
        "ip actions=set_field:1->reg0,\
         clone(set_field:2->reg0,clone(set_field:3->reg0,resubmit(,1)),resubmit(,1)),resubmit(,1)
         table=1,reg0=1 actions=output:2
         table=1,reg0=2 actions=output:3
         table=1,reg0=3 actions=output:4",
    );
    for _ in 0..3 {
        sw.inject(1, DNS);
        assert_eq!(
            sw.sent_anywhere(),
            [
                format!("2: {DNS}"),
                format!("3: {DNS}"),
                format!("4: {DNS}")
            ]
        );
    }
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_copy_is_tracked_and_translated_by_itself() {
    let mut sw = Switch::with_flows(
        "in_port=1,ip actions=clone(ct(commit,zone=1,table=1,nat(src=198.51.100.7))),output:3
         table=1,ip,ct_state=+trk actions=output:2
         in_port=2,ip actions=ct(zone=1,table=2,nat)
         table=2,ip,ct_state=+est actions=output:1",
    );
    for _ in 0..3 {
        sw.inject(1, DNS);
        assert_eq!(sw.sent(2), ["udp 198.51.100.7:4000 > 192.0.2.9:53"]);
        assert_eq!(sw.sent(3), [DNS]);
        sw.inject(2, "udp 192.0.2.9:53 > 198.51.100.7:4000");
        assert_eq!(sw.sent(1), ["udp 192.0.2.9:53 > 10.0.0.5:4000"]);
    }
    sw.assert_state("ct: replied=1; drops: none");
}

/// As in Open vSwitch.
#[test]
fn an_exit_in_a_copy_ends_everything() {
    let mut sw = Switch::with_flows("ip actions=clone(output:2,exit,output:3),output:4");
    for _ in 0..3 {
        sw.inject(1, DNS);
        assert_eq!(sw.sent_anywhere(), [format!("2: {DNS}")]);
    }
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_ttl_that_ran_out_ends_the_copy_only() {
    let mut sw = Switch::with_flows("ip actions=clone(dec_ttl,output:2),output:3");
    for ttl in [1, 2, 1, 2] {
        let packet = format!("udp 10.0.0.5:4000 > 192.0.2.9:53 ttl={ttl}");
        sw.inject(1, &packet);
        assert_eq!(sw.sent(2).len(), usize::from(ttl > 1));
        assert_eq!(sw.sent(3), [packet]);
    }
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_tag_pushed_on_a_copy_stays_there() {
    let mut sw = Switch::with_flows(
        "actions=clone(push_vlan:0x8100,set_field:4101->vlan_vid,output:2),output:3",
    );
    for _ in 0..3 {
        sw.inject(1, DNS);
        assert_eq!(sw.sent(2), [format!("vlan 5 {DNS}")]);
        assert_eq!(sw.sent(3), [DNS]);
    }
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_copy_executes_what_was_written_to_the_set() {
    let mut sw = Switch::with_flows(
        "actions=clone(resubmit(,2)),resubmit(,3)
         table=2 actions=write_actions(output:3)
         table=3 actions=write_actions(output:4)",
    );
    for _ in 0..3 {
        sw.inject(1, DNS);
        assert_eq!(
            sw.sent_anywhere(),
            [format!("3: {DNS}"), format!("4: {DNS}")]
        );
    }
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn the_last_value_pushed_is_popped_first() {
    let mut sw = Switch::with_flows(
        "ip actions=push:NXM_OF_IP_SRC[],push:NXM_OF_IP_DST[],pop:NXM_OF_IP_SRC[],\
         pop:NXM_OF_IP_DST[],pop:reg0[],output:2",
    );
    for port in [4000, 4000, 4001] {
        sw.inject(1, &format!("udp 10.0.0.5:{port} > 192.0.2.9:53"));
        assert_eq!(sw.sent(2), [format!("udp 192.0.2.9:{port} > 10.0.0.5:53")]);
    }
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn what_a_copy_pops_is_still_there_for_the_packet() {
    let mut sw = Switch::with_flows(
        "ip actions=set_field:5->reg1,push:reg1[],clone(pop:reg0[],resubmit(,1)),pop:reg0[],\
         resubmit(,1)
         table=1,reg0=5 actions=output:2",
    );
    for _ in 0..3 {
        sw.inject(1, DNS);
        assert_eq!(sw.sent(2), [DNS, DNS]);
    }
    sw.assert_state("ct: none; drops: none");
}

/// Part of a packet decides where it goes by way of the stack: no cache may forget that.
#[test]
fn a_look_up_depends_on_what_was_pushed() {
    let mut sw = Switch::with_flows(
        "udp actions=push:NXM_OF_UDP_DST[],pop:reg0[0..15],resubmit(,1)
         ip actions=push:NXM_OF_IP_TOS[2..7],pop:reg0[0..5],resubmit(,1)
         table=1,reg0=53 actions=output:2
         table=1,reg0=1 actions=output:3
         table=1,priority=1 actions=output:4",
    );
    for _ in 0..3 {
        for (packet, port) in [
            (DNS, 2),
            ("udp 10.0.0.5:4000 > 192.0.2.9:54", 4),
            ("tcp 10.0.0.5:4000 > 192.0.2.9:80 S tos=0x4", 3),
            ("tcp 10.0.0.5:4000 > 192.0.2.9:80 S tos=0x8", 4),
        ] {
            sw.inject(1, packet);
            assert_eq!(sw.sent(port), [packet]);
        }
    }
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_stack_that_grows_without_end_is_a_drop() {
    let pushes = "push:NXM_NX_REG0[],".repeat(20);
    let mut sw = Switch::with_flows(&format!("actions={pushes}resubmit(,0),output:2"));
    sw.inject(1, DNS);
    sw.assert_state("ct: none; drops: stack_limit=1");
}
