//! Changes of policy: obeyed by the next packet; what they do not concern goes on being answered.

use proptest::prelude::*;

use super::*;

#[test]
fn a_change_of_an_unrelated_table_leaves_all_entries() {
    let mut sw = established();
    let before = stats(&sw);
    for n in 0..1000 {
        let flow = format!("table=7,priority={n},udp,tp_dst={n} actions=output:3");
        sw.change_flows(&flow).unwrap();
        assert!(is_hit(&mut sw, 1, ASK));
        if n % 3 == 0 {
            sw.change_flows(&format!(
                "delete {}",
                flow.split(' ')
                    .next()
                    .unwrap()
                    .replace(&format!("priority={n},"), "")
            ))
            .unwrap();
        }
    }
    assert_eq!(stats(&sw), (before.0 + 1000, before.1, before.2, before.3));
    sw.state();
}

#[test]
fn a_change_for_other_packets_leaves_an_entry() {
    let mut sw = established();
    for elsewhere in [
        "table=0,priority=60000,tcp actions=drop",
        "table=0,priority=60000,ip,nw_dst=192.0.2.10 actions=drop",
        "table=0,priority=60000,in_port=3 actions=drop",
        "table=0,priority=60000,ip,nw_src=11.0.0.0/8 actions=drop",
        "table=1,priority=60000,udp6 actions=drop",
        "table=1,priority=60000,in_port=4,udp actions=drop",
    ] {
        sw.change_flows(elsewhere).unwrap();
        assert!(is_hit(&mut sw, 1, ASK), "{elsewhere}");
        assert!(is_hit(&mut sw, 2, ANSWER), "{elsewhere}");
    }
    assert_eq!(sw.trajectory_stats().stale, 0);
    sw.assert_state("ct: replied=1; drops: none");
}

#[test]
fn a_change_for_its_packets_is_obeyed_at_once() {
    for change in [
        "table=0,priority=60000,udp actions=drop",
        "table=0,priority=60000,ip,nw_src=10.0.0.0/8 actions=drop",
        "table=0,priority=60000,in_port=1 actions=drop",
        "table=1,priority=60000,udp actions=drop",
        "table=1,priority=60000,ct_state=+est actions=drop",
        "table=1,priority=60000,in_port=1,ip,nw_tos=0 actions=drop",
        "modify table=1,in_port=1 actions=drop",
        "modify_strict table=1,in_port=1,ct_state=+est+trk actions=drop",
        "delete table=1",
        "delete in_port=1",
        "delete_strict priority=100,ip",
        "delete",
    ] {
        let mut sw = established();
        sw.sent_anywhere();
        let stale = sw.trajectory_stats().stale;
        sw.change_flows(change).unwrap();
        assert!(!is_hit(&mut sw, 1, ASK), "{change}");
        assert_eq!(sw.sent_anywhere(), [""; 0], "{change}");
        // Either it was held against the change, or nobody can ask for it any more.
        assert!(sw.trajectory_stats().stale == stale + 1 || change.contains("nw_tos"));
        sw.state();
    }
}

#[test]
fn a_drop_that_is_lifted_is_lifted_at_once() {
    let mut sw = switch("in_port=1,udp actions=drop\nin_port=2 actions=output:1");
    remember(&mut sw, 1, ASK);
    sw.change_flows("priority=40000,udp,tp_dst=53 actions=output:2")
        .unwrap();
    sw.inject(1, ASK);
    assert_eq!(sw.sent(2), [ASK]);
    remember(&mut sw, 1, ASK);
    sw.change_flows("delete_strict priority=40000,udp,tp_dst=53")
        .unwrap();
    sw.sent(2);
    sw.inject(1, ASK);
    assert_eq!(sw.sent(2), [""; 0]);
    // A miss of a table is held against what comes into it, too.
    let mut sw = switch("udp actions=resubmit(,5)");
    remember(&mut sw, 1, ASK);
    sw.change_flows("table=5 actions=output:2").unwrap();
    sw.inject(1, ASK);
    assert_eq!(sw.sent(2), [ASK]);
    sw.state();
}

#[test]
fn an_entry_that_slept_through_more_changes_than_are_noted_is_not_used() {
    let mut sw = established();
    sw.sent_anywhere();
    sw.change_flows("table=1,priority=60000,udp actions=drop")
        .unwrap();
    for n in 0..1000 {
        sw.change_flows(&format!("table=7,udp,tp_dst={n} actions=output:3"))
            .unwrap();
    }
    sw.inject(1, ASK);
    sw.inject(2, ANSWER);
    assert_eq!(sw.sent_anywhere(), [""; 0]);
    sw.state();
}

#[test]
fn a_change_for_others_behind_many_elsewhere_leaves_an_entry() {
    let mut sw = established();
    for n in 0..1000 {
        sw.change_flows(&format!("table=7,udp,tp_dst={n} actions=output:3"))
            .unwrap();
        assert!(is_hit(&mut sw, 1, ASK));
        assert!(is_hit(&mut sw, 2, ANSWER));
    }
    // Who is hit after each sees to it that more is known of them than the log has.
    for n in 0..1000 {
        let change = format!(
            "table=1,priority=60000,udp,tp_dst={} actions=drop",
            5000 + n
        );
        sw.change_flows(&change).unwrap();
        assert!(is_hit(&mut sw, 2, ANSWER));
        if n % 500 == 499 {
            assert!(is_hit(&mut sw, 1, ASK));
        }
    }
    let (_, _, stale, _) = stats(&sw);
    assert_eq!(stale, 0);
    sw.state();
}

#[test]
fn a_rule_in_the_slot_of_another_gets_no_count_of_its() {
    let mut sw = established();
    for n in 1..60 {
        sw.change_flows(&format!(
            "table=1,priority={},udp actions=output:3",
            40_000 + n
        ))
        .unwrap();
        for _ in 0..3 {
            sw.inject_burst(1, &[ASK; 5]);
        }
        sw.change_flows(&format!(
            "delete_strict table=1,priority={},udp",
            40_000 + n
        ))
        .unwrap();
        let flow = format!("table=9,priority={n},udp actions=output:4");
        sw.change_flows(&flow).unwrap();
        sw.inject_burst(1, &[ASK; 5]);
        assert!(
            sw.flows()
                .iter()
                .all(|line| !line.starts_with("table=9") || line.contains("n_packets=0,"))
        );
    }
    sw.state();
}

/// Firewall and gateway in one, in two zones and four tables.
const GATEWAY: &str = "
    table=0,priority=10,in_port=1,ip actions=ct(commit,zone=1,table=1)
    table=0,priority=10,in_port=2,ip actions=ct(zone=2,nat,table=2)
    table=0,priority=1 actions=drop
    table=1,priority=5,ip,ct_state=+trk-inv actions=ct(commit,zone=2,nat(src=198.51.100.7),table=3)
    table=2,priority=5,ip,ct_state=+est+rpl actions=ct(zone=1,table=3)
    table=3,priority=5,in_port=1,ip actions=dec_ttl,output:2
    table=3,priority=5,in_port=2,ip,ct_state=+est actions=output:1";

const CHANGES: [&str; 22] = [
    "table=0,priority=20,udp actions=drop",
    "delete_strict table=0,priority=20,udp",
    "table=0,priority=30,ip,nw_src=10.0.0.6 actions=output:3",
    "delete_strict table=0,priority=30,ip,nw_src=10.0.0.6",
    "table=1,priority=20,udp,tp_src=4000 actions=output:4",
    "delete_strict table=1,priority=20,udp,tp_src=4000",
    "table=2,priority=20,ip,nw_dst=10.0.0.0/29 actions=drop",
    "delete_strict table=2,priority=20,ip,nw_dst=10.0.0.0/29",
    "table=3,priority=20,ip,nw_src=198.51.100.7 actions=output:4",
    "delete_strict table=3,priority=20,ip,nw_src=198.51.100.7",
    "table=3,priority=30,ip,ct_state=+trk-inv,ct_nw_src=10.0.0.5 actions=output:3",
    "delete_strict table=3,priority=30,ip,ct_state=+trk-inv,ct_nw_src=10.0.0.5",
    "table=3,priority=40,ip,nw_tos=32 actions=output:3",
    "modify table=3 actions=output:1,output:2,output:3",
    "modify_strict table=3,priority=5,in_port=1,ip actions=dec_ttl,dec_ttl,output:2",
    "delete table=3",
    "table=3,priority=5,in_port=1,ip actions=dec_ttl,output:2",
    "table=3,priority=5,in_port=2,ip,ct_state=+est actions=output:1",
    "table=7,priority=5,udp actions=output:1",
    "delete table=7",
    "table=3,priority=6,tcp,tcp_flags=+psh actions=push_vlan:0x8100,set_field:4101->vlan_vid,output:2",
    "table=2,priority=25,ct_mark=0,ct_zone=2,ip actions=ct(zone=1,table=3)",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Between bursts of established traffic anything may change; the lcores without caches say
    /// what every packet has to meet.
    #[test]
    fn random_changes_are_obeyed_by_the_next_packet(
        steps in prop::collection::vec((0..CHANGES.len(), 1..4_usize, 0..3_usize), 1..40),
    ) {
        let mut sw = switch(GATEWAY);
        for (change, times, bursts) in steps {
            for _ in 0..bursts + 1 {
                for host in 5..=6 {
                    for protocol in ["udp", "tcp"] {
                        let flags = if protocol == "tcp" { " PA seq=101 ack=501 len=10" } else { "" };
                        let out = format!("{protocol} 10.0.0.{host}:400{host} > 192.0.2.9:53{flags}");
                        let back = format!("{protocol} 192.0.2.9:53 > 198.51.100.7:400{host}{flags}");
                        sw.inject_burst(1, &vec![&*out; times]);
                        sw.inject_burst(2, &vec![&*back; times]);
                    }
                }
            }
            sw.change_flows(CHANGES[change]).unwrap();
        }
        sw.state();
    }
}
