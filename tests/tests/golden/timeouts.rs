//! Rules that go when their time is up, and what is told of them.

use weir_tests::switch::Switch;

const DNS: &str = "udp 10.0.0.5:4000 > 192.0.2.9:53";

#[test]
fn an_idle_rule_goes_and_one_in_use_stays() {
    let mut sw = Switch::with_flows(
        "priority=2,udp,idle_timeout=10,send_flow_rem actions=output:2
         priority=1 actions=output:3",
    );
    for _ in 0..5 {
        sw.inject(1, DNS);
        assert_eq!(sw.sent(2), [DNS]);
        sw.advance(9);
        assert!(sw.removed().is_empty());
    }
    sw.advance(2);
    assert_eq!(
        sw.removed(),
        ["table=0 priority=2,udp reason=idle packets=5"]
    );
    sw.inject(1, DNS);
    assert_eq!(sw.sent(3), [DNS]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_rule_that_was_never_used_goes_too() {
    let mut sw = Switch::with_flows("udp,idle_timeout=10 actions=output:2");
    sw.advance(10);
    assert_eq!(sw.flows().len(), 1);
    sw.advance(1);
    assert!(sw.flows().is_empty());
    // Nobody asked to be told.
    assert!(sw.removed().is_empty());
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_hard_timeout_does_not_care_for_packets() {
    let mut sw =
        Switch::with_flows("udp,hard_timeout=10,idle_timeout=8,send_flow_rem actions=output:2");
    for _ in 0..4 {
        sw.inject(1, DNS);
        assert_eq!(sw.sent(2), [DNS]);
        sw.advance(3);
    }
    assert_eq!(
        sw.removed(),
        ["table=0 priority=32768,udp reason=hard packets=4"]
    );
    sw.inject(1, DNS);
    sw.assert_state("ct: none; drops: table_miss=1");
}

#[test]
fn a_modified_rule_lives_longer_by_its_hard_timeout() {
    let mut sw = Switch::with_flows("udp,hard_timeout=10 actions=output:2");
    sw.advance(8);
    sw.change_flows("modify udp actions=output:3")
        .expect("it is a flow");
    sw.advance(8);
    assert_eq!(sw.flows().len(), 1);
    sw.advance(3);
    assert!(sw.flows().is_empty());
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn who_is_deleted_is_told_with_all_that_was_counted() {
    let mut sw = Switch::with_flows(
        "udp,send_flow_rem actions=output:2
         tcp,send_flow_rem actions=output:2",
    );
    sw.inject_burst(1, &[DNS, DNS]);
    assert_eq!(sw.sent(2), [DNS, DNS]);
    sw.change_flows("delete udp").expect("it is a command");
    assert_eq!(
        sw.removed(),
        ["table=0 priority=32768,udp reason=delete packets=2"]
    );
    // A rule that replaces another is no end.
    sw.change_flows("tcp,send_flow_rem actions=output:3")
        .expect("it is a flow");
    assert!(sw.removed().is_empty());
    sw.assert_state("ct: none; drops: none");
}

/// Caches forget a rule that is gone, and what it did.
#[test]
fn established_connections_notice_too() {
    let mut sw = Switch::with_flows(
        "in_port=1,ip actions=ct(commit,table=1)
         in_port=2,ip actions=ct(table=1)
         priority=2,table=1,in_port=1,ip,hard_timeout=60 actions=output:2
         priority=2,table=1,in_port=2,ip actions=output:1
         priority=1,table=1 actions=output:3",
    );
    for _ in 0..4 {
        sw.inject(1, DNS);
        assert_eq!(sw.sent(2), [DNS]);
        sw.inject(2, "udp 192.0.2.9:53 > 10.0.0.5:4000");
        assert_eq!(sw.sent(1).len(), 1);
    }
    assert!(sw.trajectory_stats().hits > 0);
    sw.advance(61);
    sw.inject(1, DNS);
    assert_eq!(sw.sent(3), [DNS]);
    sw.assert_state("ct: replied=1; drops: none");
}

#[test]
fn the_end_of_a_connection_shortens_timeouts() {
    let mut sw = Switch::with_flows(
        "tcp,idle_timeout=100 actions=fin_timeout(idle_timeout=5),output:2
         udp actions=output:2",
    );
    sw.ignore_what_is_sent();
    for _ in 0..4 {
        sw.inject(1, "tcp 10.0.0.5:4000 > 192.0.2.9:80 A");
    }
    sw.advance(50);
    assert!(
        sw.flows()[0].contains("idle_timeout=100"),
        "{:?}",
        sw.flows()
    );
    for _ in 0..3 {
        sw.inject(1, "tcp 10.0.0.5:4000 > 192.0.2.9:80 A");
        sw.inject(1, "tcp 10.0.0.5:4000 > 192.0.2.9:80 FA");
    }
    assert!(sw.flows()[0].contains("idle_timeout=5"), "{:?}", sw.flows());
    sw.advance(4);
    assert_eq!(sw.flows().len(), 2);
    sw.advance(2);
    assert_eq!(sw.flows().len(), 1);
    sw.assert_state("ct: none; drops: none");
}
