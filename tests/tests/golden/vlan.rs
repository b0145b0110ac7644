//! Tags pushed, popped and written, up to two of them.

use weir_tests::switch::Switch;

/// What leaves at port 2 for a packet under these flows.
fn after(flows: &str, packet: &str) -> Vec<String> {
    let mut sw = Switch::with_flows(flows);
    sw.inject(1, packet);
    let sent = sw.sent(2);
    sw.assert_state("ct: none; drops: none");
    sent
}

const PLAIN: &str = "udp 10.0.0.1:1 > 10.0.0.2:2 len=9";

#[test]
fn push_makes_a_tag_with_vid_and_priority_0() {
    assert_eq!(
        after("actions=push_vlan:0x8100,output:2", PLAIN),
        [format!("vlan 0 {PLAIN}")]
    );
    assert_eq!(
        after(
            "actions=push_vlan:0x8100,set_field:4101->vlan_vid,set_field:6->vlan_pcp,output:2",
            PLAIN
        ),
        [format!("vlan 5 pcp 6 {PLAIN}")]
    );
}

#[test]
fn a_second_tag_goes_in_front() {
    assert_eq!(
        after(
            "actions=push_vlan:0x88a8,set_field:4196->vlan_vid,output:2",
            &format!("vlan 5 pcp 3 {PLAIN}")
        ),
        [format!("vlan 100 tpid 0x88a8 vlan 5 pcp 3 {PLAIN}")]
    );
}

#[test]
fn a_third_tag_is_a_drop_by_name() {
    let mut sw = Switch::with_flows(
        "in_port=1 actions=output:2,push_vlan:0x8100,output:3
         in_port=2 actions=resubmit(,1),output:3
         table=1 actions=push_vlan:0x8100",
    );
    let two = format!("vlan 5 vlan 6 {PLAIN}");
    sw.inject(1, &two);
    assert_eq!(sw.sent(2), [&*two]);
    sw.inject(2, &two);
    sw.assert_state("ct: none; drops: too_many_tags=2");
}

#[test]
fn pop_removes_the_outer_tag_only() {
    let two = format!("vlan 5 vlan 6 pcp 1 {PLAIN}");
    assert_eq!(
        after("dl_vlan=5 actions=pop_vlan,output:2", &two),
        [format!("vlan 6 pcp 1 {PLAIN}")]
    );
}

#[test]
fn what_lies_behind_a_popped_tag_can_be_matched_and_written() {
    let mut sw = Switch::with_flows(
        "dl_vlan=5 actions=pop_vlan,resubmit(,1)
         table=1,dl_vlan=6 actions=pop_vlan,resubmit(,2)
         table=2,vlan_tci=0,udp,tp_dst=2 actions=mod_tp_dst:3,output:2",
    );
    sw.inject(1, &format!("vlan 5 vlan 6 {PLAIN}"));
    assert_eq!(sw.sent(2), ["udp 10.0.0.1:1 > 10.0.0.2:3 len=9"]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn header_fields_can_be_written_under_two_tags() {
    assert_eq!(
        after(
            "udp actions=mod_nw_src:1.2.3.4,mod_tp_dst:7,dec_ttl,output:2",
            &format!("vlan 5 vlan 6 {PLAIN}")
        ),
        ["vlan 5 vlan 6 udp 1.2.3.4:1 > 10.0.0.2:7 ttl=63 len=9"]
    );
}

#[test]
fn a_write_before_a_push_is_not_lost() {
    assert_eq!(
        after(
            "udp actions=mod_nw_src:1.2.3.4,push_vlan:0x8100,set_field:4101->vlan_vid,mod_tp_dst:7,output:2",
            PLAIN
        ),
        ["vlan 5 udp 1.2.3.4:1 > 10.0.0.2:7 len=9"]
    );
    assert_eq!(
        after(
            "udp,dl_vlan=9 actions=mod_nw_src:1.2.3.4,pop_vlan,mod_tp_dst:7,output:2",
            &format!("vlan 9 {PLAIN}")
        ),
        ["udp 1.2.3.4:1 > 10.0.0.2:7 len=9"]
    );
}

#[test]
fn mod_vlan_writes_the_tag_or_makes_one() {
    let tagged = format!("vlan 5 pcp 3 {PLAIN}");
    assert_eq!(
        after("actions=mod_vlan_vid:9,output:2", PLAIN),
        [format!("vlan 9 {PLAIN}")]
    );
    assert_eq!(
        after(
            "vlan_tci=0x1000/0x1000 actions=mod_vlan_vid:9,output:2",
            &tagged
        ),
        [format!("vlan 9 pcp 3 {PLAIN}")]
    );
    assert_eq!(
        after(
            "vlan_tci=0x1000/0x1000 actions=mod_vlan_pcp:7,output:2",
            &tagged
        ),
        [format!("vlan 5 pcp 7 {PLAIN}")]
    );
    assert_eq!(
        after("actions=mod_vlan_pcp:7,output:2", PLAIN),
        [format!("vlan 0 pcp 7 {PLAIN}")]
    );
}

#[test]
fn writing_the_whole_tci_makes_and_removes_tags() {
    let tagged = format!("vlan 5 pcp 3 {PLAIN}");
    assert_eq!(
        after("actions=load:0xb009->NXM_OF_VLAN_TCI[],output:2", PLAIN),
        [format!("vlan 9 pcp 5 {PLAIN}")]
    );
    assert_eq!(
        after("actions=load:0->NXM_OF_VLAN_TCI[],output:2", &tagged),
        [PLAIN]
    );
    assert_eq!(
        after("actions=load:9->NXM_OF_VLAN_TCI[0..11],output:2", &tagged),
        [format!("vlan 9 pcp 3 {PLAIN}")]
    );
    // There is no tag whose VID could be written.
    assert_eq!(
        after("actions=load:9->NXM_OF_VLAN_TCI[0..11],output:2", PLAIN),
        [PLAIN]
    );
}

#[test]
fn a_tci_moves_through_a_register() {
    assert_eq!(
        after(
            "dl_vlan=5 actions=move:NXM_OF_VLAN_TCI[]->NXM_NX_REG0[0..15],pop_vlan,resubmit(,1)
             table=1,vlan_tci=0 actions=move:NXM_NX_REG0[0..15]->NXM_OF_VLAN_TCI[],output:2",
            &format!("vlan 5 pcp 3 {PLAIN}")
        ),
        [format!("vlan 5 pcp 3 {PLAIN}")]
    );
}

#[test]
fn tags_are_matched_as_open_vswitch_does() {
    let flows = "priority=9,dl_vlan=0xffff actions=output:2
         priority=8,dl_vlan=5,dl_vlan_pcp=3 actions=output:3
         priority=7,vlan_tci=0x1000/0x1000 actions=output:4";
    let mut sw = Switch::with_flows(flows);
    let tagged = |tag: &str| format!("{tag} {PLAIN}");
    sw.inject(1, PLAIN);
    sw.inject(1, &tagged("vlan 5 pcp 3"));
    sw.inject(1, &tagged("vlan 5 pcp 4"));
    sw.inject(1, &tagged("vlan 0"));
    sw.inject(1, &tagged("vlan 6 vlan 5 pcp 3"));
    assert_eq!(sw.sent(2), [PLAIN]);
    assert_eq!(sw.sent(3), [tagged("vlan 5 pcp 3")]);
    assert_eq!(
        sw.sent(4),
        [
            tagged("vlan 5 pcp 4"),
            tagged("vlan 0"),
            tagged("vlan 6 vlan 5 pcp 3")
        ]
    );
    sw.assert_state("ct: none; drops: none");
}
