//! `ct()`: zones, forks, commits, marks, what becomes of the packet and of the connection.

use weir_ct::DumpStyle;
use weir_tests::switch::Switch;

const ASK: &str = "udp 10.0.0.5:4000 > 192.0.2.9:53";
const ANSWER: &str = "udp 192.0.2.9:53 > 10.0.0.5:4000";

/// From port 1 everything may go out to 2; from 2 only what belongs to a connection.
pub(crate) const FIREWALL: &str = "
    priority=100,ip actions=ct(table=1)
    priority=100,ipv6 actions=ct(table=1)
    priority=10,arp actions=NORMAL
    priority=1 actions=drop
    table=1,priority=9,ct_state=+inv+trk actions=drop
    table=1,in_port=1,ct_state=+new+trk,ip actions=ct(commit),output:2
    table=1,in_port=1,ct_state=+new+trk,ipv6 actions=ct(commit),output:2
    table=1,in_port=1,ct_state=+est+trk actions=output:2
    table=1,in_port=2,ct_state=+rel+trk actions=output:1
    table=1,in_port=2,ct_state=+est+trk actions=output:1
    table=1,in_port=2,ct_state=+new+trk actions=drop";

#[test]
fn a_firewall_lets_answers_in_and_nothing_else() {
    let mut sw = Switch::with_flows(FIREWALL);
    sw.inject(2, ANSWER);
    sw.inject(1, ASK);
    assert_eq!(sw.sent(2), [ASK]);
    sw.inject(2, ANSWER);
    assert_eq!(sw.sent(1), [ANSWER]);
    sw.inject(1, ASK);
    assert_eq!(sw.sent(2), [ASK]);
    sw.inject(2, "udp 192.0.2.9:53 > 10.0.0.5:4001");
    sw.inject(2, "udp 192.0.2.9:54 > 10.0.0.5:4000");
    sw.inject(2, "tcp 192.0.2.9:53 > 10.0.0.5:4000 S");
    sw.inject(2, "udp 192.0.2.9:53 > 10.0.0.5:4000 bad-csum");
    assert_eq!(
        sw.conntrack(),
        ["udp,orig=(src=10.0.0.5,dst=192.0.2.9,sport=4000,dport=53),\
          reply=(src=192.0.2.9,dst=10.0.0.5,sport=53,dport=4000)"]
    );
    sw.assert_state("ct: replied=1 invalid_l4_checksum=1; drops: action_drop=5");
}

#[test]
fn a_tcp_connection_from_handshake_to_close() {
    let mut sw = Switch::with_flows(FIREWALL);
    let c2s = "tcp 10.0.0.1:1000 > 10.0.0.2:80";
    let s2c = "tcp 10.0.0.2:80 > 10.0.0.1:1000";
    let states = [
        (1, format!("{c2s} S seq=100 mss=1460 wscale=7"), "SYN_SENT"),
        (
            2,
            format!("{s2c} SA seq=500 ack=101 wscale=7"),
            "ESTABLISHED",
        ),
        (1, format!("{c2s} A seq=101 ack=501"), "ESTABLISHED"),
        (
            1,
            format!("{c2s} PA seq=101 ack=501 len=100"),
            "ESTABLISHED",
        ),
        (2, format!("{s2c} A seq=501 ack=201"), "ESTABLISHED"),
        (
            2,
            format!("{s2c} PA seq=501 ack=201 len=1000"),
            "ESTABLISHED",
        ),
        (1, format!("{c2s} FA seq=201 ack=1501"), "CLOSING"),
        (2, format!("{s2c} FA seq=1501 ack=202"), "TIME_WAIT"),
        (1, format!("{c2s} A seq=202 ack=1502"), "TIME_WAIT"),
    ];
    for (port, packet, state) in &states {
        sw.inject(*port, packet);
        assert_eq!(sw.sent(3 - port), [&**packet]);
        let dump = sw.conntrack();
        let protoinfo = dump[0]
            .split_once(",protoinfo=")
            .map(|(_, info)| info.to_owned());
        assert_eq!(
            protoinfo.as_deref(),
            Some(&*format!("(state={state})")),
            "{packet}"
        );
    }
    // Nobody goes on where the connection has ended; a new SYN opens another.
    sw.advance(60);
    sw.inject(2, &format!("{s2c} PA seq=1502 ack=202 len=9"));
    sw.inject(1, &format!("{c2s} S seq=9000"));
    assert_eq!(sw.sent(2).len(), 1);
    sw.assert_state("ct: new=1 created=2 expired=1; drops: action_drop=1");
}

#[test]
fn segments_outside_of_the_window_are_invalid() {
    let mut sw = Switch::with_flows(FIREWALL);
    sw.inject(1, "tcp 10.0.0.1:1000 > 10.0.0.2:80 S seq=100");
    sw.inject(2, "tcp 10.0.0.2:80 > 10.0.0.1:1000 SA seq=500 ack=101");
    sw.inject(1, "tcp 10.0.0.1:1000 > 10.0.0.2:80 A seq=101 ack=501");
    assert_eq!(sw.sent_anywhere().len(), 3);
    sw.inject(
        1,
        "tcp 10.0.0.1:1000 > 10.0.0.2:80 PA seq=10000101 ack=501 len=9",
    );
    sw.inject(2, "tcp 10.0.0.2:80 > 10.0.0.1:1000 R seq=400000");
    sw.inject(1, "tcp 10.0.0.1:1000 > 10.0.0.2:80 SF seq=101");
    sw.assert_state(
        "ct: replied=1 invalid_tcp_flags=1 invalid_tcp_window=1 invalid_tcp_reset=1;
         drops: action_drop=3",
    );
}

#[test]
fn without_loose_pick_up_only_a_syn_opens() {
    let mut sw = Switch::builder().no_tcp_pickup().flows(FIREWALL);
    sw.inject(1, "tcp 10.0.0.1:1000 > 10.0.0.2:80 PA seq=7 ack=9 len=5");
    sw.assert_state("ct: invalid_tcp_not_syn=1; drops: action_drop=1");
    let mut sw = Switch::with_flows(FIREWALL);
    let packet = "tcp 10.0.0.1:1000 > 10.0.0.2:80 PA seq=7 ack=9 len=5";
    sw.inject(1, packet);
    assert_eq!(sw.sent(2), [packet]);
    sw.assert_state("ct: new=1; drops: none");
}

#[test]
fn echoes_of_both_families() {
    let mut sw = Switch::with_flows(FIREWALL);
    for (ask, answer) in [
        (
            "icmp 10.0.0.1 > 10.0.0.2 echo-request id=7 seq=1 len=56",
            "icmp 10.0.0.2 > 10.0.0.1 echo-reply id=7 seq=1 len=56",
        ),
        (
            "icmp6 2001:db8::1 > 2001:db8::2 echo-request id=7 seq=1 len=56",
            "icmp6 2001:db8::2 > 2001:db8::1 echo-reply id=7 seq=1 len=56",
        ),
    ] {
        sw.inject(2, answer);
        sw.inject(2, ask);
        sw.inject(1, ask);
        assert_eq!(sw.sent(2), [ask]);
        sw.inject(2, answer);
        assert_eq!(sw.sent(1), [answer]);
    }
    assert_eq!(
        sw.conntrack(),
        [
            "icmp,orig=(src=10.0.0.1,dst=10.0.0.2,id=7,type=8,code=0),\
             reply=(src=10.0.0.2,dst=10.0.0.1,id=7,type=0,code=0)",
            "icmpv6,orig=(src=2001:db8::1,dst=2001:db8::2,id=7,type=128,code=0),\
             reply=(src=2001:db8::2,dst=2001:db8::1,id=7,type=129,code=0)",
        ]
    );
    // An answer without a question is invalid, a question from outside new: both are dropped.
    sw.assert_state("ct: replied=2 invalid_icmp_reply_first=2; drops: action_drop=4");
}

#[test]
fn errors_about_a_connection_are_related() {
    let mut sw = Switch::with_flows(FIREWALL);
    sw.inject(1, ASK);
    assert_eq!(sw.sent(2), [ASK]);
    let error = "icmp 192.0.2.1 > 10.0.0.5 unreachable code=3 { udp 10.0.0.5:4000 > 192.0.2.9:53 }";
    sw.inject(2, error);
    assert_eq!(sw.sent(1), [error]);
    sw.inject(
        2,
        "icmp 192.0.2.1 > 10.0.0.5 unreachable code=3 { udp 10.0.0.5:4001 > 192.0.2.9:53 }",
    );
    sw.assert_state("ct: new=1 invalid_icmp_unrelated=1; drops: action_drop=1");
}

#[test]
fn connections_expire() {
    let mut sw = Switch::with_flows(FIREWALL);
    sw.inject(1, ASK);
    sw.advance(59);
    assert_eq!(sw.conntrack().len(), 1);
    sw.advance(1);
    assert_eq!(sw.conntrack(), [""; 0]);
    sw.inject(2, ANSWER);
    sw.inject(1, ASK);
    sw.inject(2, ANSWER);
    sw.advance(119);
    let timeout = DumpStyle {
        statistics: true,
        more: false,
        ..DumpStyle::default()
    };
    assert!(sw.conntrack_in(timeout)[0].contains(",timeout=1"));
    sw.advance(1);
    sw.inject(2, ANSWER);
    assert_eq!(
        sw.sent_anywhere(),
        [
            format!("1: {ANSWER}"),
            format!("2: {ASK}"),
            format!("2: {ASK}")
        ]
    );
    sw.assert_state("ct: created=2 expired=2; drops: action_drop=2");
}

#[test]
fn timeouts_are_the_configured_ones() {
    let mut sw = Switch::builder()
        .timeouts(|timeouts| {
            timeouts.udp_first = std::time::Duration::from_secs(3);
            timeouts.tcp_syn_sent = std::time::Duration::from_secs(5);
        })
        .flows(FIREWALL);
    sw.ignore_what_is_sent();
    sw.inject(1, ASK);
    sw.inject(1, "tcp 10.0.0.5:4000 > 192.0.2.9:80 S");
    sw.advance(3);
    assert_eq!(sw.conntrack().len(), 1);
    sw.advance(2);
    assert_eq!(sw.conntrack().len(), 0);
    // The timer wheel may be a tick late; nobody but the counter sees it.
    sw.advance(1);
    sw.assert_state("ct: created=2 expired=2; drops: none");
}

#[test]
fn without_commit_nothing_is_kept() {
    let mut sw = Switch::with_flows(
        "udp actions=ct(table=1)
         table=1,ct_state=+new-est-rpl-inv+trk,udp actions=output:2",
    );
    sw.inject(1, ASK);
    sw.inject(1, ASK);
    assert_eq!(sw.sent(2), [ASK, ASK]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn what_follows_ct_is_untracked() {
    let mut sw = Switch::with_flows(
        "in_port=1,udp actions=ct(commit,zone=3),resubmit(,2)
         in_port=3,udp actions=ct(table=1,zone=3),resubmit(,2)
         table=1,udp,ct_state=+trk,ct_zone=3 actions=resubmit(,2)
         table=2,udp,ct_state=-trk,ct_zone=0,ct_mark=0 actions=output:2
         table=2,udp,ct_state=+trk,ct_zone=3 actions=output:4",
    );
    sw.inject(1, ASK);
    assert_eq!(sw.sent(2), [ASK]);
    sw.inject(3, ASK);
    assert_eq!(sw.sent(4), [ASK]);
    assert_eq!(sw.sent(2), [ASK]);
    sw.assert_state("ct: new=1; drops: none");
}

#[test]
fn ct_clear_forgets_what_ct_said() {
    let mut sw = Switch::with_flows(
        "udp actions=ct(table=1)
         table=1,udp,ct_state=+trk actions=ct_clear,resubmit(,2)
         table=2,udp,ct_state=-trk actions=output:2",
    );
    sw.inject(1, ASK);
    assert_eq!(sw.sent(2), [ASK]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn zones_are_apart() {
    let mut sw = Switch::with_flows(
        "in_port=1,udp actions=ct(commit,zone=5),output:2
         in_port=2,udp actions=ct(table=1,zone=5)
         in_port=3,udp actions=ct(table=1,zone=6)
         table=1,udp,ct_state=+est+rpl,ct_zone=5 actions=output:1
         table=1,udp,ct_state=+new,ct_zone=6 actions=output:4",
    );
    sw.inject(1, ASK);
    assert_eq!(sw.sent(2), [ASK]);
    sw.inject(2, ANSWER);
    assert_eq!(sw.sent(1), [ANSWER]);
    sw.inject(3, ANSWER);
    assert_eq!(sw.sent(4), [ANSWER]);
    assert!(sw.conntrack()[0].ends_with(",zone=5"));
    assert_eq!(sw.flush_conntrack(&["zone=6"]), 0);
    assert_eq!(sw.flush_conntrack(&["zone=5"]), 1);
    sw.assert_state("ct: created=1 flushed=1; drops: none");
}

#[test]
fn the_zone_can_come_from_a_field() {
    let mut sw = Switch::with_flows(
        "udp actions=set_field:0xabcd0007->reg4,ct(table=1,zone=NXM_NX_REG4[0..15])
         table=1,udp,ct_zone=7,ct_state=+new actions=ct(commit,zone=NXM_NX_CT_ZONE[],table=2)
         table=2,udp,ct_zone=7 actions=output:2",
    );
    sw.inject(1, ASK);
    assert_eq!(sw.sent(2), [ASK]);
    assert!(sw.conntrack()[0].ends_with(",zone=7"));
    sw.assert_state("ct: new=1; drops: none");
}

#[test]
fn one_packet_through_two_zones_makes_two_connections() {
    let mut sw = Switch::with_flows(
        "udp actions=ct(commit,zone=1,table=1)
         table=1,udp,ct_zone=1 actions=ct(commit,zone=2,table=2)
         table=2,udp,ct_zone=2 actions=output:2",
    );
    sw.inject(1, ASK);
    assert_eq!(sw.sent(2), [ASK]);
    assert_eq!(sw.conntrack().len(), 2);
    sw.assert_state("ct: new=2; drops: none");
}

#[test]
fn a_packet_that_meets_its_connection_twice_is_counted_once() {
    let mut sw = Switch::with_flows(
        "udp actions=ct(table=1)
         table=1,udp,ct_state=+new+trk actions=ct(commit,table=2)
         table=1,udp,ct_state=+est+trk actions=ct(commit,table=2)
         table=2,udp actions=output:2",
    );
    sw.inject(1, ASK);
    // Met again by the same packet, it is still the connection's first: 60 seconds to live.
    let style = DumpStyle {
        statistics: true,
        more: true,
        ..DumpStyle::default()
    };
    assert_eq!(
        sw.conntrack_in(style),
        [
            "udp,orig=(src=10.0.0.5,dst=192.0.2.9,sport=4000,dport=53,packets=1,bytes=28),\
          reply=(src=192.0.2.9,dst=10.0.0.5,sport=53,dport=4000,packets=0,bytes=0),\
          start=1000.000,last=1000.000,id=1,status=CONFIRMED,timeout=60"
        ]
    );
    assert_eq!(sw.sent(2), [ASK]);
    sw.assert_state("ct: new=1; drops: none");
}

#[test]
fn marks_and_labels_are_kept_with_the_connection() {
    let mut sw = Switch::with_flows(
        "in_port=1,udp actions=set_field:0xab->reg0,\
             ct(commit,zone=1,exec(set_field:0x1200->ct_mark,move:NXM_NX_REG0[0..7]->NXM_NX_CT_MARK[0..7],\
             set_field:0xaa00000000->ct_label)),output:2
         in_port=2,udp actions=ct(table=1,zone=1)
         table=1,ct_mark=0x12ab,ct_label=0xaa00000000,udp actions=\
             ct(commit,zone=1,exec(set_field:0xff/0xff->ct_mark)),output:1",
    );
    sw.inject(1, ASK);
    assert_eq!(sw.sent(2), [ASK]);
    assert!(sw.conntrack()[0].ends_with(",zone=1,mark=4779,labels=0xaa00000000"));
    sw.inject(2, ANSWER);
    assert_eq!(sw.sent(1), [ANSWER]);
    assert!(sw.conntrack()[0].ends_with(",zone=1,mark=4863,labels=0xaa00000000"));
    sw.assert_state("ct: replied=1; drops: none");
}

#[test]
fn a_fork_of_the_commit_sees_the_new_mark() {
    let mut sw = Switch::with_flows(
        "udp actions=ct(commit,table=1,exec(set_field:0xb8->ct_mark))
         table=1,udp,ct_mark=0xb8,ct_state=+new actions=move:NXM_NX_CT_MARK[0..7]->NXM_OF_IP_TOS[],output:2",
    );
    sw.inject(1, ASK);
    assert_eq!(sw.sent(2), [format!("{ASK} tos=0xb8")]);
    sw.assert_state("ct: new=1; drops: none");
}

#[test]
fn the_original_tuple_is_that_of_the_opener_in_both_directions() {
    let mut sw = Switch::with_flows(
        "in_port=1,udp actions=ct(commit),output:2
         in_port=2,udp actions=ct(table=1)
         table=1,ct_state=+trk+est-inv,ct_nw_src=10.0.0.5,ct_nw_dst=192.0.2.9,ct_nw_proto=17,\
             ct_tp_src=4000,ct_tp_dst=53,udp actions=output:1",
    );
    sw.inject(1, ASK);
    sw.inject(2, ANSWER);
    assert_eq!(
        sw.sent_anywhere(),
        [format!("1: {ANSWER}"), format!("2: {ASK}")]
    );
    sw.assert_state("ct: replied=1; drops: none");
}

#[test]
fn force_remakes_the_connection_in_the_packets_direction() {
    let mut sw = Switch::with_flows(
        "in_port=1,udp actions=ct(commit),output:2
         in_port=2,udp actions=ct(commit,force),output:1",
    );
    sw.inject(1, ASK);
    sw.inject(2, ANSWER);
    assert_eq!(sw.sent_anywhere().len(), 2);
    assert!(sw.conntrack()[0].starts_with("udp,orig=(src=192.0.2.9,"));
    // In the original direction force changes nothing.
    sw.inject(2, ANSWER);
    assert_eq!(sw.sent(1), [ANSWER]);
    sw.assert_state("ct: new=1 created=2 forced=1; drops: none");
}

#[test]
fn at_the_limit_the_oldest_unreplied_connection_goes() {
    let mut sw = Switch::builder().max_connections(2).flows(FIREWALL);
    let ask = |port| format!("udp 10.0.0.5:{port} > 192.0.2.9:53");
    let answer = |port| format!("udp 192.0.2.9:53 > 10.0.0.5:{port}");
    sw.inject(1, &ask(1));
    sw.inject(2, &answer(1));
    sw.inject(1, &ask(2));
    sw.inject(1, &ask(3));
    assert_eq!(sw.sent(2), [ask(1), ask(2), ask(3)]);
    sw.inject(2, &answer(2));
    sw.inject(2, &answer(3));
    assert_eq!(sw.sent(1), [answer(1), answer(3)]);
    // Now both are replied, and there is nothing to evict.
    sw.inject(1, &ask(4));
    sw.assert_state(
        "ct: replied=2 created=3 evicted=1 refused_table_full=1; drops: action_drop=1 ct_full=1",
    );
}

#[test]
fn a_commit_of_an_invalid_packet_does_nothing() {
    let mut sw = Switch::with_flows("udp actions=ct(commit),output:2");
    sw.inject(1, "udp 10.0.0.1:0 > 10.0.0.2:2");
    assert_eq!(sw.sent(2), ["udp 10.0.0.1:0 > 10.0.0.2:2"]);
    sw.assert_state("ct: invalid_port_zero=1; drops: none");
}

#[test]
fn a_rewrite_before_ct_is_what_ct_sees() {
    let mut sw = Switch::with_flows(
        "in_port=1,udp actions=mod_nw_dst:192.0.2.77,mod_tp_dst:5353,ct(commit),output:2
         in_port=2,udp actions=ct(table=1)
         table=1,udp,ct_state=+est actions=output:1",
    );
    sw.inject(1, ASK);
    assert_eq!(sw.sent(2), ["udp 10.0.0.5:4000 > 192.0.2.77:5353"]);
    let answer = "udp 192.0.2.77:5353 > 10.0.0.5:4000";
    sw.inject(2, answer);
    assert_eq!(sw.sent(1), [answer]);
    sw.assert_state("ct: replied=1; drops: none");
}

#[test]
fn a_rewrite_between_two_cts_is_another_connection() {
    let mut sw = Switch::with_flows(
        "udp actions=ct(commit,table=1)
         table=1,udp actions=mod_tp_dst:5353,ct(commit,table=2)
         table=2,udp,ct_state=+new actions=output:2",
    );
    sw.inject(1, ASK);
    assert_eq!(sw.sent(2), ["udp 10.0.0.5:4000 > 192.0.2.9:5353"]);
    assert_eq!(sw.conntrack().len(), 2);
    sw.assert_state("ct: new=2; drops: none");
}

#[test]
fn a_connection_may_run_inside_of_a_vlan() {
    let mut sw = Switch::with_flows(FIREWALL);
    let ask = format!("vlan 5 vlan 6 {ASK}");
    sw.inject(1, &ask);
    assert_eq!(sw.sent(2), [ask]);
    sw.inject(2, ANSWER);
    assert_eq!(sw.sent(1), [ANSWER]);
    sw.assert_state("ct: replied=1; drops: none");
}

#[test]
fn two_packets_of_one_burst_see_each_other() {
    let mut sw = Switch::with_flows(FIREWALL);
    sw.inject_burst(1, &[ASK, ASK, "udp 10.0.0.5:4001 > 192.0.2.9:53"]);
    assert_eq!(sw.sent(2).len(), 3);
    sw.assert_state("ct: new=2; drops: none");
}

#[test]
fn flush_selects_by_mark_label_and_tuple() {
    let mut sw = Switch::with_flows(
        "udp,tp_dst=1 actions=ct(commit,exec(set_field:1->ct_mark)),output:2
         udp,tp_dst=2 actions=ct(commit,exec(set_field:2->ct_label)),output:2
         udp,tp_dst=3 actions=ct(commit),output:2",
    );
    for port in 1..=3 {
        sw.inject(1, &format!("udp 10.0.0.5:4000 > 192.0.2.9:{port}"));
    }
    assert_eq!(sw.sent(2).len(), 3);
    assert_eq!(sw.flush_conntrack(&["mark=1"]), 1);
    assert_eq!(sw.flush_conntrack(&["labels=0x2/0x2"]), 1);
    assert_eq!(sw.flush_conntrack(&["ct_nw_src=10.0.0.6"]), 0);
    assert_eq!(
        sw.flush_conntrack(&["ct_nw_src=10.0.0.5,ct_nw_proto=17,ct_tp_dst=3"]),
        1
    );
    sw.assert_state("ct: created=3 flushed=3; drops: none");
}
