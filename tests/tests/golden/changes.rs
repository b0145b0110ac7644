//! Flows changed between packets, and what they count.

use weir_tests::switch::Switch;

const DNS: &str = "udp 10.0.0.5:4000 > 192.0.2.9:53 len=10";

#[test]
fn counts_add_up_over_tables() {
    let mut sw = Switch::with_flows(
        "priority=2,udp actions=resubmit(,1),resubmit(,1)
         priority=1 actions=resubmit(,1)
         table=1,ip actions=output:2
         table=1,arp actions=drop",
    );
    sw.inject_burst(1, &[DNS, DNS, "arp request 10.0.0.1 > 10.0.0.2"]);
    sw.advance(7);
    sw.inject(1, "tcp 10.0.0.5:4000 > 192.0.2.9:80 S");
    assert_eq!(sw.sent(2).len(), 5);
    assert_eq!(
        sw.flows(),
        [
            "table=0, n_packets=2, n_bytes=104, idle_age=7, \
             priority=2,udp actions=resubmit(,1),resubmit(,1)",
            "table=0, n_packets=2, n_bytes=96, idle_age=0, priority=1 actions=resubmit(,1)",
            "table=1, n_packets=5, n_bytes=262, idle_age=0, ip actions=output:2",
            "table=1, n_packets=1, n_bytes=42, idle_age=7, arp actions=drop",
        ]
    );
    sw.assert_state("ct: none; drops: action_drop=1");
}

#[test]
fn a_flow_counts_the_bytes_that_reach_it() {
    let mut sw = Switch::with_flows(
        "in_port=1 actions=push_vlan:0x8100,resubmit(,1)
         table=1 actions=push_vlan:0x8100,output:2",
    );
    sw.inject(1, DNS);
    assert_eq!(sw.sent_frames(2)[0].bytes().len(), 52 + 8);
    let bytes: Vec<_> = sw
        .flows()
        .iter()
        .filter_map(|line| Some(line.split_once("n_bytes=")?.1.split_once(',')?.0.to_owned()))
        .collect();
    assert_eq!(bytes, ["52", "56"]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_change_holds_from_the_next_packet_on() {
    let mut sw = Switch::with_flows("udp actions=output:2");
    sw.inject(1, DNS);
    sw.change_flows("modify udp actions=output:3").unwrap();
    sw.inject(1, DNS);
    sw.change_flows("priority=40000,udp actions=output:4")
        .unwrap();
    sw.inject(1, DNS);
    sw.change_flows("delete_strict priority=40000,udp").unwrap();
    sw.inject(1, DNS);
    sw.change_flows("delete").unwrap();
    sw.inject(1, DNS);
    assert_eq!(sw.sent(2), [DNS]);
    assert_eq!(sw.sent(3), [DNS, DNS]);
    assert_eq!(sw.sent(4), [DNS]);
    sw.assert_state("ct: none; drops: table_miss=1");
}

#[test]
fn modify_keeps_counters_and_add_begins_anew() {
    let mut sw = Switch::with_flows("udp actions=output:2");
    sw.inject(1, DNS);
    sw.advance(3);
    sw.change_flows("modify udp actions=output:3").unwrap();
    sw.inject(1, DNS);
    assert_eq!(
        sw.flows(),
        ["table=0, n_packets=2, n_bytes=104, idle_age=0, hard_age=0, udp actions=output:3"]
    );
    sw.change_flows("udp actions=output:4").unwrap();
    assert_eq!(
        sw.flows(),
        ["table=0, n_packets=0, n_bytes=0, idle_age=0, udp actions=output:4"]
    );
    sw.inject(1, DNS);
    assert_eq!(sw.sent_anywhere().len(), 3);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_bundle_is_applied_as_a_whole_or_not_at_all() {
    let mut sw = Switch::with_flows(
        "udp actions=output:2
         tcp actions=output:2",
    );
    let error = sw
        .change_flows(
            "delete udp
             modify tcp actions=output:3
             icmp actions=output:4
             add ip actions=group:7",
        )
        .unwrap_err();
    assert_eq!(error, "flow 4: there is no group 7 (OFPBAC_BAD_OUT_GROUP)");
    assert_eq!(
        sw.flows(),
        [
            "table=0, n_packets=0, n_bytes=0, idle_age=0, udp actions=output:2",
            "table=0, n_packets=0, n_bytes=0, idle_age=0, tcp actions=output:2",
        ]
    );
    sw.inject(1, DNS);
    assert_eq!(sw.sent(2), [DNS]);
    let applied = sw
        .change_flows(
            "delete udp
             modify tcp actions=output:3
             icmp actions=output:4",
        )
        .unwrap();
    assert_eq!(
        (applied.added, applied.modified, applied.deleted),
        (1, 1, 1)
    );
    sw.inject(1, DNS);
    sw.assert_state("ct: none; drops: table_miss=1");
}

#[test]
fn counters_of_a_deleted_flow_do_not_come_back_with_the_next() {
    let mut sw = Switch::with_flows("udp actions=output:2");
    for round in 0..5 {
        sw.inject(1, DNS);
        sw.change_flows("delete").unwrap();
        sw.change_flows(&format!("udp actions=output:{}", 2 + round % 3))
            .unwrap();
        assert!(sw.flows()[0].starts_with("table=0, n_packets=0, n_bytes=0"));
    }
    assert_eq!(sw.sent_anywhere().len(), 5);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn connections_outlive_a_change_of_flows() {
    let mut sw = Switch::with_flows("in_port=1,udp actions=ct(commit),output:2");
    sw.inject(1, DNS);
    sw.change_flows(
        "delete
         udp actions=ct(table=1)
         table=1,ct_state=+rpl+est,udp actions=output:1",
    )
    .unwrap();
    let answer = "udp 192.0.2.9:53 > 10.0.0.5:4000 len=10";
    sw.inject(2, answer);
    assert_eq!(
        sw.sent_anywhere(),
        [format!("1: {answer}"), format!("2: {DNS}")]
    );
    sw.assert_state("ct: replied=1; drops: none");
}

#[test]
fn dumps_and_deletes_select_by_match_table_cookie_and_port() {
    let mut sw = Switch::with_flows(
        "cookie=0x1,udp,tp_dst=53 actions=output:2
         cookie=0x2,table=1,udp actions=output:3
         cookie=0x13,table=1,tcp actions=output:2
         priority=1 actions=drop",
    );
    let count = |sw: &Switch, filter| sw.flows_matching(filter).len();
    assert_eq!(count(&sw, "udp"), 2);
    assert_eq!(count(&sw, "table=1"), 2);
    assert_eq!(count(&sw, "cookie=0x1/0x1"), 2);
    assert_eq!(count(&sw, "out_port=2"), 2);
    assert_eq!(count(&sw, "udp,tp_dst=54"), 0);
    sw.change_flows("delete cookie=0x1/0x1,out_port=2").unwrap();
    assert_eq!(
        sw.flows(),
        [
            "table=0, n_packets=0, n_bytes=0, idle_age=0, priority=1 actions=drop",
            "cookie=0x2, table=1, n_packets=0, n_bytes=0, idle_age=0, udp actions=output:3",
        ]
    );
}
