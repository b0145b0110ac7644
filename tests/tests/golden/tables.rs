//! Tables, priorities, resubmit, goto, metadata, registers and the limits of a journey.

use weir_tests::switch::Switch;

const DNS: &str = "udp 10.0.0.5:4000 > 192.0.2.9:53";

#[test]
fn the_highest_priority_wins_whatever_the_order() {
    let mut sw = Switch::with_flows(
        "priority=10,ip actions=output:2
         priority=30,udp,tp_dst=53 actions=output:4
         priority=20,ip,nw_dst=192.0.2.0/24 actions=output:3",
    );
    sw.inject(1, DNS);
    assert_eq!(sw.sent(4), [DNS]);
    sw.inject(1, "udp 10.0.0.5:4000 > 192.0.2.9:54");
    assert_eq!(sw.sent(3), ["udp 10.0.0.5:4000 > 192.0.2.9:54"]);
    sw.inject(1, "udp 10.0.0.5:4000 > 198.51.100.9:54");
    assert_eq!(sw.sent(2), ["udp 10.0.0.5:4000 > 198.51.100.9:54"]);
    assert_eq!(
        sw.flows(),
        [
            "table=0, n_packets=1, n_bytes=42, idle_age=0, \
             priority=30,udp,tp_dst=53 actions=output:4",
            "table=0, n_packets=1, n_bytes=42, idle_age=0, \
             priority=20,ip,nw_dst=192.0.2.0/24 actions=output:3",
            "table=0, n_packets=1, n_bytes=42, idle_age=0, priority=10,ip actions=output:2",
        ]
    );
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_miss_drops_in_every_table() {
    let mut sw = Switch::with_flows(
        "in_port=1,udp actions=resubmit(,7)
         table=7,udp,tp_dst=53 actions=output:2",
    );
    sw.inject(2, DNS);
    sw.inject(1, "udp 10.0.0.5:4000 > 192.0.2.9:54");
    sw.inject(1, "tcp 10.0.0.5:4000 > 192.0.2.9:53 S");
    sw.assert_state("ct: none; drops: table_miss=3");
}

#[test]
fn a_switch_without_flows_drops_everything() {
    let mut sw = Switch::builder().empty();
    sw.inject(1, DNS);
    sw.inject(4, "arp request 10.0.0.1 > 10.0.0.2");
    sw.assert_state("ct: none; drops: table_miss=2");
}

#[test]
fn a_rule_without_actions_drops() {
    let mut sw = Switch::with_flows("udp actions=drop");
    sw.inject(1, DNS);
    sw.assert_state("ct: none; drops: action_drop=1");
}

#[test]
fn resubmit_runs_another_table_and_comes_back_with_its_changes() {
    let mut sw = Switch::with_flows(
        "in_port=1,ip actions=set_field:1->reg0,resubmit(,1),resubmit(,2),output:4
         table=1,ip,reg0=1 actions=set_field:2->reg0,mod_nw_dst:192.0.2.77,output:2
         table=2,ip,reg0=2 actions=output:3",
    );
    sw.inject(1, DNS);
    let changed = "udp 10.0.0.5:4000 > 192.0.2.77:53";
    assert_eq!(sw.sent(2), [changed]);
    assert_eq!(sw.sent(3), [changed]);
    assert_eq!(sw.sent(4), [changed]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_miss_behind_resubmit_does_not_end_the_list() {
    let mut sw = Switch::with_flows("in_port=1 actions=resubmit(,5),output:2");
    sw.inject(1, DNS);
    assert_eq!(sw.sent(2), [DNS]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn resubmit_with_a_port_replaces_in_port_for_the_look_up_only() {
    let mut sw = Switch::with_flows(
        "in_port=1,udp actions=resubmit(3,1)
         in_port=1,tcp actions=resubmit:3
         in_port=3,tcp actions=output:4,output:1,IN_PORT
         table=1,in_port=3 actions=output:3,output:1,resubmit(,2)
         table=2,in_port=1 actions=IN_PORT",
    );
    sw.inject(1, DNS);
    assert_eq!(sw.sent(3), [DNS]);
    assert_eq!(sw.sent(1), [DNS]);
    let tcp = "tcp 10.0.0.5:4000 > 192.0.2.9:80 S";
    sw.inject(1, tcp);
    assert_eq!(sw.sent(4), [tcp]);
    assert_eq!(sw.sent(1), [tcp]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn an_in_port_that_was_written_is_the_packets_own() {
    let mut sw = Switch::with_flows(
        "in_port=1,udp,tp_dst=1 actions=load:2->NXM_OF_IN_PORT[],output:1,output:2
         in_port=1,udp,tp_dst=2 actions=load:2->NXM_OF_IN_PORT[],IN_PORT
         in_port=1,udp,tp_dst=3 actions=load:2->NXM_OF_IN_PORT[],FLOOD
         in_port=1,udp,tp_dst=4 actions=load:0->NXM_OF_IN_PORT[],NORMAL
         in_port=1,udp,tp_dst=5 actions=load:2->NXM_OF_IN_PORT[],resubmit(,1)
         table=1,in_port=2 actions=output:3",
    );
    let to = |port| format!("udp 10.0.0.5:4000 > 192.0.2.9:{port}");
    sw.inject(1, &to(1));
    assert_eq!(sw.sent_anywhere(), [format!("1: {}", to(1))]);
    sw.inject(1, &to(2));
    assert_eq!(sw.sent_anywhere(), [format!("2: {}", to(2))]);
    sw.inject(1, &to(3));
    let flooded = [1, 3, 4].map(|port| format!("{port}: {}", to(3)));
    assert_eq!(sw.sent_anywhere(), flooded);
    sw.inject(1, &to(4));
    sw.inject(1, &to(5));
    assert_eq!(sw.sent_anywhere(), [format!("3: {}", to(5))]);
    sw.assert_state("ct: none; drops: normal_no_port=1");
}

#[test]
fn goto_goes_on_behind_all_other_instructions() {
    let mut sw = Switch::with_flows(
        "in_port=1 actions=output:2,write_metadata:0xab/0xff,goto_table:1
         table=1,metadata=0xab actions=write_metadata:0x100/0xf00,goto_table:253
         table=253,metadata=0x1ab,ip actions=mod_nw_dst:192.0.2.1,output:3",
    );
    sw.inject(1, DNS);
    assert_eq!(sw.sent(2), [DNS]);
    assert_eq!(sw.sent(3), ["udp 10.0.0.5:4000 > 192.0.2.1:53"]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn metadata_keeps_the_bits_outside_of_the_mask() {
    let mut sw = Switch::with_flows(
        "in_port=1 actions=set_field:0xffffffffffffffff->metadata,resubmit(,1)
         table=1 actions=write_metadata:0x0/0xff00ff00,goto_table:2
         table=2,metadata=0xffffffff00ff00ff actions=output:2",
    );
    sw.inject(1, DNS);
    assert_eq!(sw.sent(2), [DNS]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn registers_overlay_each_other() {
    let mut sw = Switch::with_flows(
        "in_port=1 actions=load:0x12345678->NXM_NX_REG0[],load:0x9abcdef0->NXM_NX_REG1[],resubmit(,1)
         table=1,xreg0=0x123456789abcdef0 actions=set_field:0x1->xreg1,resubmit(,2)
         table=2,reg2=0,reg3=1,xxreg0=0x123456789abcdef00000000000000001 \
             actions=set_field:0xfedcba98000000000000000000000007->xxreg3,resubmit(,3)
         table=3,reg12=0xfedcba98,reg13=0,xreg7=7,reg15=7 actions=output:2",
    );
    sw.inject(1, DNS);
    assert_eq!(sw.sent(2), [DNS]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn every_register_can_be_written_and_matched() {
    for register in 0..16 {
        let value = 0x8000_0001_u32 + register;
        let mut sw = Switch::with_flows(&format!(
            "in_port=1 actions=set_field:{value:#x}->reg{register},resubmit(,1)
             table=1,reg{register}={value:#x} actions=move:NXM_NX_REG{register}[0..15]->NXM_NX_REG{}[16..31],resubmit(,2)
             table=2,reg{}={:#x}/0xffff0000 actions=output:2",
            (register + 1) % 16,
            (register + 1) % 16,
            value << 16,
        ));
        sw.inject(1, DNS);
        assert_eq!(sw.sent(2), [DNS], "reg{register}");
        sw.assert_state("ct: none; drops: none");
    }
}

#[test]
fn pkt_mark_is_one_more_register() {
    let mut sw = Switch::with_flows(
        "in_port=1 actions=set_field:0x12345678->pkt_mark,resubmit(,1)
         table=1,pkt_mark=0x345678/0xffffff actions=load:0x9->NXM_NX_PKT_MARK[0..3],resubmit(,2)
         table=2,pkt_mark=0x12345679 actions=output:2",
    );
    sw.inject(1, DNS);
    assert_eq!(sw.sent(2), [DNS]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn registers_and_metadata_begin_at_zero_for_every_packet() {
    let mut sw = Switch::with_flows(
        "priority=2,reg0=0,reg7=0,metadata=0,pkt_mark=0 \
             actions=set_field:1->reg0,set_field:1->reg7,set_field:1->metadata,set_field:1->pkt_mark,output:2
         priority=1 actions=output:3",
    );
    sw.inject_burst(1, &[DNS, DNS]);
    sw.inject(1, DNS);
    assert_eq!(sw.sent(2), [DNS, DNS, DNS]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn exit_ends_all_lists() {
    let mut sw = Switch::with_flows(
        "in_port=1 actions=resubmit(,1),output:2
         table=1 actions=resubmit(,2),output:3
         table=2 actions=output:4,exit,output:3",
    );
    sw.inject(1, DNS);
    assert_eq!(sw.sent(4), [DNS]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_ttl_that_expires_ends_its_own_list_only() {
    let mut sw = Switch::with_flows(
        "in_port=1,ip actions=resubmit(,1),output:2
         table=1,ip actions=dec_ttl,output:3
         in_port=4,ip actions=dec_ttl,output:3",
    );
    let old = "udp 10.0.0.5:4000 > 192.0.2.9:53 ttl=1";
    sw.inject(1, old);
    assert_eq!(sw.sent(2), [old]);
    sw.inject(4, old);
    sw.inject(4, "udp 10.0.0.5:4000 > 192.0.2.9:53 ttl=0");
    sw.inject(4, "udp [::1]:1 > [::2]:2 ttl=2");
    // Without an IP packet behind it, IPv6 is another rule's.
    sw.assert_state("ct: none; drops: table_miss=1 ttl_expired=2");
}

#[test]
fn a_loop_ends_at_the_depth_limit() {
    let mut sw = Switch::with_flows("in_port=1 actions=resubmit(,0)");
    sw.inject(1, DNS);
    assert_eq!(
        sw.flows(),
        ["table=0, n_packets=65, n_bytes=2730, idle_age=0, in_port=1 actions=resubmit(,0)"]
    );
    sw.assert_state("ct: none; drops: recursion_limit=1");
}

#[test]
fn what_a_loop_sent_before_its_end_was_sent() {
    let mut sw = Switch::with_flows("in_port=1 actions=output:2,resubmit(,0),output:3");
    sw.inject(1, DNS);
    assert_eq!(sw.sent(2).len(), 65);
    sw.assert_state("ct: none; drops: recursion_limit=1");
}

#[test]
fn a_loop_through_ct_ends_at_the_depth_limit() {
    let mut sw = Switch::with_flows("in_port=1,ip actions=ct(table=0)");
    sw.inject(1, DNS);
    assert_eq!(
        sw.flows(),
        ["table=0, n_packets=65, n_bytes=2730, idle_age=0, ip,in_port=1 actions=ct(table=0)"]
    );
    sw.assert_state("ct: none; drops: recursion_limit=1");
}

#[test]
fn resubmits_to_higher_tables_may_nest_deeper() {
    let mut flows: String = (0..200)
        .map(|table| format!("table={table} actions=resubmit(,{})\n", table + 1))
        .collect();
    flows += "table=200 actions=output:2";
    let mut sw = Switch::with_flows(&flows);
    sw.inject(1, DNS);
    assert_eq!(sw.sent(2), [DNS]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn one_packet_is_not_looked_up_for_ever() {
    // Each table doubles the look-ups of the one before.
    let mut flows: String = (0..20)
        .map(|table| {
            let next = table + 1;
            format!("table={table} actions=resubmit(,{next}),resubmit(,{next})\n")
        })
        .collect();
    flows += "table=20 actions=drop";
    let mut sw = Switch::with_flows(&flows);
    sw.inject(1, DNS);
    sw.assert_state("ct: none; drops: resubmit_limit=1");
    let hits: u64 = sw
        .flows()
        .iter()
        .filter_map(|line| {
            let (_, rest) = line.split_once("n_packets=")?;
            rest.split_once(',')?.0.parse::<u64>().ok()
        })
        .sum();
    assert_eq!(hits, 4096);
}

#[test]
fn output_field_reads_a_16_bit_port_number() {
    let mut sw = Switch::with_flows(
        "udp,tp_dst=1 actions=load:3->NXM_NX_REG0[],output:NXM_NX_REG0[]
         udp,tp_dst=2 actions=load:0x30->NXM_NX_REG0[],output:NXM_NX_REG0[4..7]
         udp,tp_dst=3 actions=load:1->NXM_NX_REG0[],output:NXM_NX_REG0[]
         udp,tp_dst=4 actions=load:0xfff8->NXM_NX_REG0[],output:NXM_NX_REG0[]
         udp,tp_dst=5 actions=load:0xfffb->NXM_NX_REG0[],output:NXM_NX_REG0[]
         udp,tp_dst=6 actions=load:0xfffffff8->NXM_NX_REG0[],output:NXM_NX_REG0[]
         udp,tp_dst=7 actions=load:77->NXM_NX_REG0[],output:NXM_NX_REG0[]
         udp,tp_dst=8 actions=load:0xfffa->NXM_NX_REG0[],output:NXM_NX_REG0[]",
    );
    let mut ports = |port| {
        sw.inject(1, &format!("udp 10.0.0.5:4000 > 192.0.2.9:{port}"));
        let sent = sw.sent_anywhere();
        sent.iter()
            .filter_map(|line| Some(line.split_once(':')?.0.to_owned()))
            .collect::<Vec<_>>()
            .join(",")
    };
    assert_eq!(ports(1), "3");
    assert_eq!(ports(2), "3");
    assert_eq!(ports(3), "");
    assert_eq!(ports(4), "1");
    assert_eq!(ports(5), "2,3,4");
    assert_eq!(ports(6), "");
    assert_eq!(ports(7), "");
    assert_eq!(ports(8), "2,3,4");
    sw.assert_state("ct: none; drops: output_to_in_port=1 unknown_port=2");
}

#[test]
fn output_to_the_ports_own_and_to_no_port_are_drops_by_name() {
    let mut sw = Switch::with_flows(
        "udp,tp_dst=1 actions=output:1
         udp,tp_dst=2 actions=output:99
         udp,tp_dst=3 actions=output:1,output:99,output:2
         udp,tp_dst=4 actions=IN_PORT
         udp,tp_dst=5 actions=ALL",
    );
    for port in 1..=5 {
        sw.inject(1, &format!("udp 10.0.0.5:4000 > 192.0.2.9:{port}"));
    }
    let of = |port| format!("udp 10.0.0.5:4000 > 192.0.2.9:{port}");
    assert_eq!(sw.sent(1), [of(4)]);
    assert_eq!(sw.sent(2), [of(3), of(5)]);
    assert_eq!(sw.sent(3), [of(5)]);
    assert_eq!(sw.sent(4), [of(5)]);
    sw.assert_state("ct: none; drops: output_to_in_port=1 unknown_port=1");
}
