//! The action set: what is written to it, when it is executed and in which order.

use weir_tests::switch::Switch;

const DNS: &str = "udp 10.0.0.5:4000 > 192.0.2.9:53";

#[test]
fn the_last_output_written_is_executed_at_the_end() {
    let mut sw = Switch::with_flows(
        "actions=write_actions(output:2),goto_table:1
         table=1,udp,tp_dst=53 actions=output:4,write_actions(output:3)
         table=1,priority=1 actions=output:4",
    );
    for _ in 0..3 {
        sw.inject(1, DNS);
        assert_eq!(
            sw.sent_anywhere(),
            [format!("3: {DNS}"), format!("4: {DNS}")]
        );
        sw.inject(1, "udp 10.0.0.5:4000 > 192.0.2.9:54");
        assert_eq!(sw.sent(2), ["udp 10.0.0.5:4000 > 192.0.2.9:54"]);
        assert_eq!(sw.sent(4), ["udp 10.0.0.5:4000 > 192.0.2.9:54"]);
    }
    sw.assert_state("ct: none; drops: none");
}

/// Whatever the order of writing: tags, TTL, fields, output.
#[test]
fn the_order_of_execution_is_openflows() {
    let mut sw = Switch::with_flows(
        "ip actions=write_actions(output:2,mod_nw_src:203.0.113.1,dec_ttl,push_vlan:0x8100)",
    );
    sw.inject(1, "udp 10.0.0.5:4000 > 192.0.2.9:53 ttl=9");
    assert_eq!(
        sw.sent(2),
        ["vlan 0 udp 203.0.113.1:4000 > 192.0.2.9:53 ttl=8"]
    );
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn without_a_way_out_nothing_of_the_set_is_done() {
    let mut sw = Switch::with_flows("ip actions=write_actions(dec_ttl,push_vlan:0x8100)");
    sw.inject(1, DNS);
    sw.assert_state("ct: none; drops: action_drop=1");
}

#[test]
fn clear_actions_empties_the_set() {
    let mut sw = Switch::with_flows(
        "actions=write_actions(mod_dl_src:02:00:00:00:00:77,output:2),goto_table:1
         table=1,udp actions=clear_actions,write_actions(output:3)
         table=1,tcp actions=clear_actions",
    );
    for _ in 0..2 {
        sw.inject(1, DNS);
        assert_eq!(sw.sent_anywhere(), [format!("3: {DNS}")]);
        sw.inject(1, "tcp 10.0.0.5:4000 > 192.0.2.9:80 S");
    }
    sw.assert_state("ct: none; drops: action_drop=2");
}

/// The manual of Open vSwitch: "Actions in the action set are still executed".
#[test]
fn an_exit_leaves_the_set() {
    let mut sw = Switch::with_flows(
        "actions=resubmit(,1),output:4
         table=1 actions=resubmit(,2),exit
         table=2 actions=write_actions(output:3)",
    );
    for _ in 0..3 {
        sw.inject(1, DNS);
        assert_eq!(sw.sent_anywhere(), [format!("3: {DNS}")]);
    }
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn actset_output_says_where_the_set_leads() {
    let mut sw = Switch::with_flows(
        "priority=2,udp actions=write_actions(output:3),goto_table:1
         priority=1 actions=goto_table:1
         table=1,actset_output=3 actions=output:2
         table=1,actset_output=UNSET actions=output:4",
    );
    for _ in 0..3 {
        sw.inject(1, DNS);
        assert_eq!(
            sw.sent_anywhere(),
            [format!("2: {DNS}"), format!("3: {DNS}")]
        );
        sw.inject(1, "tcp 10.0.0.5:4000 > 192.0.2.9:80 S");
        assert_eq!(sw.sent(4), ["tcp 10.0.0.5:4000 > 192.0.2.9:80 S"]);
    }
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_tracked_copy_begins_with_the_set_and_the_stack() {
    let mut sw = Switch::with_flows(
        "ip actions=set_field:7->reg1,push:reg1[],write_actions(output:3),goto_table:1
         table=1,ip actions=ct(commit,table=2),output:4
         table=2,ip actions=pop:reg0[],resubmit(,3)
         table=3,reg0=7 actions=output:2",
    );
    for _ in 0..3 {
        sw.inject(1, DNS);
        assert_eq!(
            sw.sent_anywhere(),
            [
                format!("2: {DNS}"),
                format!("3: {DNS}"),
                format!("3: {DNS}"),
                format!("4: {DNS}")
            ]
        );
    }
    sw.assert_state("ct: new=1; drops: none");
}

#[test]
fn a_set_can_track_or_look_up_again() {
    let mut sw = Switch::with_flows(
        "udp actions=write_actions(ct(commit,table=1))
         tcp actions=write_actions(resubmit(,2))
         table=1,ip,ct_state=+trk actions=output:2
         table=2 actions=output:3",
    );
    for _ in 0..3 {
        sw.inject(1, DNS);
        assert_eq!(sw.sent_anywhere(), [format!("2: {DNS}")]);
        sw.inject(1, "tcp 10.0.0.5:4000 > 192.0.2.9:80 S");
        assert_eq!(sw.sent(3), ["tcp 10.0.0.5:4000 > 192.0.2.9:80 S"]);
    }
    sw.assert_state("ct: new=1; drops: none");
}

#[test]
fn a_set_has_room_for_sixteen_writers() {
    let mut flows = String::new();
    for table in 0..17 {
        let next = table + 1;
        flows += &format!("table={table} actions=write_actions(output:2),goto_table:{next}\n");
    }
    let mut sw = Switch::with_flows(&format!("{flows}table=17 actions=drop"));
    sw.inject(1, DNS);
    sw.assert_state("ct: none; drops: action_set_limit=1");
}
