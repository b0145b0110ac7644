//! Rules for registers: they concern whoever had the value there, whatever else changes.

use proptest::prelude::*;

use super::*;

/// As of a compute host: the port, and behind that its network, stand in registers from table 0 on; what goes to
/// a port of the same host gets that one's number in a second turn.
const HOST: &str = "
    table=0,priority=100,in_port=1 actions=load:0x5->NXM_NX_REG5[],load:0x1->NXM_NX_REG6[],resubmit(,71)
    table=0,priority=100,in_port=2 actions=load:0x6->NXM_NX_REG5[],load:0x1->NXM_NX_REG6[],resubmit(,71)
    table=71,priority=95,reg5=0x5,ip,nw_src=10.0.0.5 actions=ct(table=72,zone=NXM_NX_REG6[0..15])
    table=71,priority=95,reg5=0x6,ip,nw_src=192.0.2.9 actions=ct(table=72,zone=NXM_NX_REG6[0..15])
    table=72,priority=77,ct_state=+new-est,reg5=0x5,udp actions=resubmit(,73)
    table=72,priority=77,ct_state=+est-rel+rpl,ct_zone=1,reg5=0x5 actions=resubmit(,73)
    table=72,priority=77,ct_state=+est-rel,ct_zone=1,reg5=0x5 actions=resubmit(,73)
    table=72,priority=77,ct_state=+est-rel,ct_zone=1,reg5=0x6 actions=resubmit(,73)
    table=73,priority=100,reg6=0x1,in_port=1 actions=load:0x6->NXM_NX_REG5[],resubmit(,81)
    table=73,priority=100,reg6=0x1,in_port=2 actions=load:0x5->NXM_NX_REG5[],resubmit(,81)
    table=81,priority=100,ct_state=+new-est,ip,reg5=0x6 actions=ct(commit,zone=NXM_NX_REG6[0..15]),resubmit(,94)
    table=81,priority=90,ct_state=+est,reg5=0x6 actions=resubmit(,94)
    table=81,priority=90,ct_state=+est,reg5=0x5 actions=resubmit(,94)
    table=94,priority=10,reg5=0x6 actions=output:2
    table=94,priority=10,reg5=0x5 actions=output:1";

fn host() -> Switch {
    let mut sw = switch(HOST);
    remember_both(&mut sw);
    sw
}

#[test]
fn a_rule_for_another_port_leaves_all_entries() {
    let mut sw = host();
    let before = stats(&sw);
    let others = [
        "table=71,priority=60000,reg5=0x7,ip",
        "table=72,priority=60000,reg5=0x7",
        "table=72,priority=60000,ct_state=+new-est,reg5=0x5,udp,tp_dst=53",
        "table=72,priority=60000,ct_state=+inv+trk,reg5=0x5",
        "table=72,priority=60000,reg5=0x5,reg6=0x2,udp",
        "table=72,priority=60000,reg5=0x4/0x7",
        "table=81,priority=60000,reg5=0x7,udp,tp_dst=53",
        // Nothing is written there yet, or never.
        "table=0,priority=60000,reg5=0x5",
        "table=72,priority=60000,reg0=0x1",
        "table=94,priority=60000,metadata=0x1",
    ];
    for other in others {
        for change in [
            format!("{other} actions=drop"),
            format!("delete_strict {other}"),
        ] {
            sw.change_flows(&change).unwrap();
            assert!(is_hit(&mut sw, 1, ASK), "{change}");
            assert!(is_hit(&mut sw, 2, ANSWER), "{change}");
        }
    }
    let hits = before.0 + 4 * others.len() as u64;
    assert_eq!(stats(&sw), (hits, before.1, before.2, before.3));
    sw.state();
}

#[test]
fn a_rule_for_what_was_written_by_then_is_obeyed_at_once() {
    for change in [
        "table=0,priority=60000,reg5=0",
        "table=71,priority=60000,reg5=0x5",
        "table=72,priority=60000,reg5=0x5,reg6=0x1,udp,tp_dst=53",
        "table=72,priority=60000,ct_state=+est,ct_zone=1,reg5=0x4/0x6",
        "table=81,priority=60000,reg5=0x6,nw_src=10.0.0.5,udp",
        "table=94,priority=60000,reg5=0x6,metadata=0",
    ] {
        let mut sw = host();
        sw.sent_anywhere();
        let stale = sw.trajectory_stats().stale;
        sw.change_flows(&format!("{change} actions=drop")).unwrap();
        assert!(!is_hit(&mut sw, 1, ASK), "{change}");
        assert_eq!(sw.sent_anywhere(), [""; 0], "{change}");
        assert_eq!(sw.trajectory_stats().stale, stale + 1, "{change}");
        sw.state();
    }
}

#[test]
fn rules_for_other_packets_of_the_port_leave_an_entry_between_those_for_other_ports() {
    let mut sw = host();
    for n in 0..600 {
        let other = match n % 3 {
            0 => format!("reg5=0x5,udp,tp_src={}", 5_000 + n),
            1 => format!("reg5=0x{:x},udp", 0x100 + n),
            _ => format!("reg5=0x{:x},reg6=0x1,ct_state=+est", 0x100 + n),
        };
        sw.change_flows(&format!("table=72,priority=60000,{other} actions=drop"))
            .unwrap();
        // One is asked after each change, one after many.
        assert!(is_hit(&mut sw, 1, ASK), "{other}");
        assert!(n % 100 != 99 || is_hit(&mut sw, 2, ANSWER), "{other}");
    }
    let (_, _, stale, _) = stats(&sw);
    assert_eq!(stale, 0);
    sw.state();
}

#[test]
fn what_a_packet_brought_into_a_register_is_held_against_no_rule() {
    let mut sw = switch(
        "in_port=1,udp actions=move:NXM_OF_UDP_SRC[]->NXM_NX_REG0[0..15],resubmit(,1)
         table=1,priority=1 actions=output:2",
    );
    let other = "udp 10.0.0.5:4001 > 192.0.2.9:53 len=9";
    remember(&mut sw, 1, ASK);
    remember(&mut sw, 1, other);
    sw.sent_anywhere();
    sw.change_flows("table=1,priority=2,reg0=4001 actions=output:3")
        .unwrap();
    sw.inject(1, ASK);
    sw.inject(1, other);
    assert_eq!(
        (sw.sent(2), sw.sent(3)),
        (vec![ASK.to_owned()], vec![other.to_owned()])
    );
    sw.state();
}

/// Where rules come and go, what they may ask for, and what they do.
fn change() -> impl Strategy<Value = String> {
    const TABLES: [u8; 6] = [0, 71, 72, 73, 81, 94];
    const MATCHES: [&str; 14] = [
        "reg5=0",
        "reg5=0x5",
        "reg5=0x6",
        "reg5=0x7",
        "reg5=0x4/0x4",
        "reg6=0x1,reg5=0x6",
        "reg6=0x2",
        "reg0=0x35",
        "reg0=0x1/0x1,reg5=0x5",
        "metadata=0x9",
        "metadata=0/0xf,reg6=0x1",
        "ct_state=+est,reg5=0x5",
        "ct_zone=1,reg6=0x1,reg5=0x5,metadata=0",
        "ct_mark=0x3,reg5=0x5",
    ];
    const ACTIONS: [&str; 9] = [
        "drop",
        "output:3",
        "load:0x6->NXM_NX_REG5[],resubmit(,94)",
        "load:0x7->NXM_NX_REG5[0..2],resubmit(,72),resubmit(,94)",
        "move:NXM_NX_REG6[]->NXM_NX_REG0[],resubmit(,72)",
        "move:NXM_OF_IP_SRC[0..7]->NXM_NX_REG0[0..7],resubmit(,73)",
        "write_metadata:0x9/0xf,goto_table:94",
        "push:NXM_OF_IP_SRC[],pop:NXM_NX_REG0[],resubmit(,81),resubmit(,94)",
        "ct(commit,zone=1,exec(load:0x3->NXM_NX_CT_MARK[]),table=73)",
    ];
    let place = (0..TABLES.len(), 0..MATCHES.len(), 0..2_usize);
    (place, prop::option::weighted(0.7, 0..ACTIONS.len())).prop_map(
        |((table, matches, ip), action)| {
            // Rules that both match are of different priorities.
            let priority = 200 + 2 * matches + ip;
            let family = [",ip", ",udp"][ip];
            let rule = format!(
                "table={},priority={priority},{}{family}",
                TABLES[table], MATCHES[matches]
            );
            match action {
                Some(action) => format!("{rule} actions={}", ACTIONS[action]),
                None => format!("delete_strict {rule}"),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    /// Between bursts rules for registers come and go; the lcores without caches say what every packet has to
    /// meet.
    #[test]
    fn random_rules_for_registers_are_obeyed_by_the_next_packet(
        steps in prop::collection::vec((change(), 1..3_usize), 1..40),
    ) {
        let mut sw = host();
        for (change, times) in steps {
            // One that loops is refused, like any that cannot be.
            let _ = sw.change_flows(&change);
            for port in [4_000, 4_001] {
                let ask = format!("udp 10.0.0.5:{port} > 192.0.2.9:53 len=9");
                let answer = format!("udp 192.0.2.9:53 > 10.0.0.5:{port} len=30");
                sw.inject_burst(1, &vec![&*ask; times]);
                sw.inject_burst(2, &vec![&*answer; times]);
            }
        }
        sw.state();
    }
}
