//! Packets for the controller.

use weir_tests::switch::Switch;

const DNS: &str = "udp 10.0.0.5:4000 > 192.0.2.9:53";

#[test]
fn a_packet_in_says_where_it_comes_from() {
    let mut sw = Switch::with_flows(
        "udp actions=set_field:5->reg1,set_field:9->metadata,resubmit(,1),output:2
         table=1,udp,cookie=0x12 actions=controller(id=3),CONTROLLER:65535",
    );
    for _ in 0..3 {
        sw.inject(1, DNS);
        assert_eq!(
            sw.packet_ins(),
            [
                format!("1 0x12 action 3 reg1=0x5,metadata=0x9,in_port=1: {DNS}"),
                format!("1 0x12 action 0 reg1=0x5,metadata=0x9,in_port=1: {DNS}"),
            ]
        );
        assert_eq!(sw.sent(2), [DNS]);
    }
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn the_controller_gets_the_packet_as_it_is_by_then() {
    let mut sw = Switch::with_flows(
        "ip actions=mod_nw_src:203.0.113.1,push_vlan:0x8100,set_field:4101->vlan_vid,\
         controller,pop_vlan,output:2",
    );
    for _ in 0..3 {
        sw.inject(1, DNS);
        assert_eq!(
            sw.packet_ins(),
            ["0 0x0 action 0 in_port=1: vlan 5 udp 203.0.113.1:4000 > 192.0.2.9:53"]
        );
        assert_eq!(sw.sent(2), ["udp 203.0.113.1:4000 > 192.0.2.9:53"]);
    }
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn the_controller_hears_of_connections() {
    let mut sw = Switch::with_flows(
        "ip actions=ct(commit,zone=7,table=1,exec(set_field:3->ct_mark))
         table=1,ip actions=controller",
    );
    sw.inject(1, DNS);
    let expected = "1 0x0 action 0 ct_state=new|trk,ct_zone=7,ct_mark=0x3,ct_nw_src=10.0.0.5,\
        ct_nw_dst=192.0.2.9,ct_nw_proto=17,ct_tp_src=4000,ct_tp_dst=53,ip,in_port=1: ";
    assert_eq!(sw.packet_ins(), [format!("{expected}{DNS}")]);
    sw.assert_state("ct: new=1; drops: none");
}

#[test]
fn a_ttl_that_ran_out_goes_to_the_controllers_that_are_named() {
    let mut sw = Switch::with_flows(
        "udp actions=dec_ttl(4,5),output:2
         tcp actions=dec_ttl,output:2",
    );
    let expired = "udp 10.0.0.5:4000 > 192.0.2.9:53 ttl=1";
    sw.inject(1, expired);
    assert_eq!(
        sw.packet_ins(),
        [4, 5].map(|id| format!("0 0x0 invalid_ttl {id} in_port=1: {expired}"))
    );
    sw.inject(1, "tcp 10.0.0.5:4000 > 192.0.2.9:80 S ttl=0");
    assert_eq!(
        sw.packet_ins(),
        ["0 0x0 invalid_ttl 0 in_port=1: tcp 10.0.0.5:4000 > 192.0.2.9:80 S ttl=0"]
    );
    sw.assert_state("ct: none; drops: ttl_expired=2");
}

#[test]
fn an_action_set_may_lead_to_the_controller() {
    let mut sw = Switch::with_flows(
        "actions=write_actions(controller),goto_table:1
         table=1,actset_output=CONTROLLER actions=output:2",
    );
    for _ in 0..3 {
        sw.inject(1, DNS);
        assert_eq!(
            sw.packet_ins(),
            [format!("0 0x0 action 0 in_port=1: {DNS}")]
        );
        assert_eq!(sw.sent(2), [DNS]);
    }
    sw.assert_state("ct: none; drops: none");
}

/// Each port may send as many at once as its bucket holds; others do not suffer.
#[test]
fn a_port_that_sends_too_much_to_the_controller_is_held_back() {
    let mut sw = Switch::with_flows("actions=controller");
    for _ in 0..300 {
        sw.inject(1, DNS);
    }
    assert_eq!(sw.packet_ins().len(), 250);
    sw.inject(2, DNS);
    assert_eq!(sw.packet_ins().len(), 1);
    sw.advance(1);
    sw.inject(1, DNS);
    assert_eq!(sw.packet_ins().len(), 1);
    sw.assert_state("ct: none; drops: packet_in_limited=50");
}
