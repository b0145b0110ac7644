//! Keys: who has one, and which packets share one.

use super::*;

#[test]
fn both_directions_of_each_class_are_remembered() {
    for (ask, answer) in [
        (ASK, ANSWER),
        (
            "udp [2001:db8::5]:4000 > [2001:db8::9]:53",
            "udp [2001:db8::9]:53 > [2001:db8::5]:4000 len=9",
        ),
        (
            "icmp 10.0.0.1 > 10.0.0.2 echo-request id=7 seq=1 len=56",
            "icmp 10.0.0.2 > 10.0.0.1 echo-reply id=7 seq=1 len=56",
        ),
        (
            "icmp6 2001:db8::1 > 2001:db8::2 echo-request id=7 seq=1",
            "icmp6 2001:db8::2 > 2001:db8::1 echo-reply id=7 seq=1",
        ),
        (
            "vlan 5 pcp 3 udp 10.0.0.5:4000 > 192.0.2.9:53 len=9",
            "vlan 5 udp 192.0.2.9:53 > 10.0.0.5:4000 len=30",
        ),
        (
            "udp 10.0.0.5:4000 > 192.0.2.9:53 ipopt=94040000 pad=9",
            ANSWER,
        ),
        (
            "tcp 10.0.0.1:1000 > 10.0.0.2:80 PA seq=101 ack=501 len=10",
            "tcp 10.0.0.2:80 > 10.0.0.1:1000 PA seq=501 ack=111 len=20",
        ),
        (
            "tcp [::1]:1000 > [::2]:80 PA seq=101 ack=501 len=10",
            "tcp [::2]:80 > [::1]:1000 PA seq=501 ack=111 len=20",
        ),
    ] {
        let mut sw = switch(FIREWALL);
        // One makes the connection, the next may move it on.
        let before = if ask.starts_with("tcp") { 3 } else { 2 };
        for _ in 0..before {
            sw.inject(1, ask);
            sw.inject(2, answer);
        }
        assert_eq!(hits(&mut sw, 1, &[ask; 3]), 3, "{ask}");
        assert_eq!(hits(&mut sw, 2, &[answer; 3]), 3, "{answer}");
        sw.assert_state("ct: replied=1; drops: none");
    }
}

#[test]
fn other_classes_are_never_remembered() {
    for packet in [
        "sctp 10.0.0.5:1 > 192.0.2.9:2 init=0x1",
        "ip proto=47 10.0.0.5 > 192.0.2.9 data=00000800",
        "icmp 192.0.2.1 > 10.0.0.5 unreachable code=3 { udp 10.0.0.5:4000 > 192.0.2.9:53 len=9 }",
        "icmp 10.0.0.5 > 192.0.2.9 type=13 id=7 seq=1 len=12",
        "icmp6 fe80::1 > ff02::1:ff00:2 neighbor-solicit target=fe80::2",
        "udp 10.0.0.5:4000 > 192.0.2.9:53 frag id=7 off=0 mf len=16",
        "ip proto=17 10.0.0.5 > 192.0.2.9 frag id=7 off=24 len=16",
        "udp [::1]:1000 > [::2]:53 frag id=9 off=0 mf len=8",
        "udp [::1]:1000 > [::2]:53 ext=60:010400000000 len=5",
        "vlan 5 vlan 6 udp 10.0.0.5:4000 > 192.0.2.9:53 len=9",
        "udp 10.0.0.5:4000 > 192.0.2.9:53 udp-len=99 len=9",
        "eth 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff arp request 10.0.0.1 > 10.0.0.2 pad=18",
        "ether type=0x88cc len=46",
        "hex 0011",
    ] {
        let mut sw = established();
        let before = stats(&sw);
        never(&mut sw, 1, packet);
        never(&mut sw, 2, packet);
        let mut stateless = switch("actions=output:3");
        never(&mut stateless, 1, packet);
        // They are not even looked for.
        assert_eq!(stats(&sw), before, "{packet}");
        assert_eq!(stats(&stateless), (0, 0, 0, 0), "{packet}");
        sw.state();
    }
}

#[test]
fn packets_that_differ_in_anything_of_the_key_have_their_own_entries() {
    let mut sw = switch("ip actions=output:2\nipv6 actions=output:2");
    let packets = [
        "udp 10.0.0.5:4000 > 192.0.2.9:53",
        "tcp 10.0.0.5:4000 > 192.0.2.9:53 S",
        "udp 10.0.0.6:4000 > 192.0.2.9:53",
        "udp 10.0.0.5:4000 > 192.0.2.10:53",
        "udp 10.0.0.5:4001 > 192.0.2.9:53",
        "udp 10.0.0.5:4000 > 192.0.2.9:54",
        "eth 02:00:00:00:00:03 > 02:00:00:00:00:02 udp 10.0.0.5:4000 > 192.0.2.9:53",
        "eth 02:00:00:00:00:01 > 02:00:00:00:00:04 udp 10.0.0.5:4000 > 192.0.2.9:53",
        "vlan 0 udp 10.0.0.5:4000 > 192.0.2.9:53",
        "vlan 5 udp 10.0.0.5:4000 > 192.0.2.9:53",
        "vlan 5 pcp 1 udp 10.0.0.5:4000 > 192.0.2.9:53",
        "udp 10.0.0.5:4000 > 192.0.2.9:53 ipopt=94040000",
        "udp [::10.0.0.5]:4000 > [::192.0.2.9]:53",
        "udp [1::10.0.0.5]:4000 > [::192.0.2.9]:53",
        "udp [::10.0.0.5]:4000 > [1::192.0.2.9]:53",
        "icmp 10.0.0.5 > 192.0.2.9 echo-request id=7",
        "icmp 10.0.0.5 > 192.0.2.9 echo-request id=8",
        "icmp 10.0.0.5 > 192.0.2.9 echo-reply id=7",
    ];
    assert_eq!(hits(&mut sw, 1, &packets), 0);
    assert_eq!(hits(&mut sw, 3, &packets), 0);
    assert_eq!(hits(&mut sw, 1, &packets), packets.len() as u64);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn packets_that_differ_where_no_rule_looks_share_an_entry() {
    let mut sw = switch("ip actions=output:2\nipv6 actions=output:2");
    let alike = [
        "tcp 10.0.0.5:4000 > 192.0.2.9:80 S seq=1",
        "tcp 10.0.0.5:4000 > 192.0.2.9:80 PA seq=2 ack=9 len=100 tos=0xff",
        "tcp 10.0.0.5:4000 > 192.0.2.9:80 A seq=2 ack=9 ttl=1",
        "tcp 10.0.0.5:4000 > 192.0.2.9:80 A seq=2 ack=9 ip-id=77 df win=1",
    ];
    assert_eq!(hits(&mut sw, 1, &alike), 3);
    let alike = [
        "udp [::1]:1 > [::2]:2 label=0x5",
        "udp [::1]:1 > [::2]:2 label=0x6 ttl=3 len=8",
        "udp [::1]:1 > [::2]:2 tos=0x9",
    ];
    assert_eq!(hits(&mut sw, 1, &alike), 2);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn an_interest_in_a_field_tells_packets_apart() {
    for (rule, one, other) in [
        (
            "ip,nw_tos=32 actions=output:3",
            "udp 10.0.0.5:4000 > 192.0.2.9:53",
            "udp 10.0.0.5:4000 > 192.0.2.9:53 tos=0x20",
        ),
        (
            "ip,nw_ttl=9 actions=output:3",
            "udp 10.0.0.5:4000 > 192.0.2.9:53",
            "udp 10.0.0.5:4000 > 192.0.2.9:53 ttl=9",
        ),
        (
            "tcp,tcp_flags=+fin actions=output:3",
            "tcp 10.0.0.5:4000 > 192.0.2.9:80 A",
            "tcp 10.0.0.5:4000 > 192.0.2.9:80 FA",
        ),
        (
            "ipv6,ipv6_label=5 actions=output:3",
            "udp [::1]:1 > [::2]:2",
            "udp [::1]:1 > [::2]:2 label=0x5",
        ),
        (
            "ip,nw_ecn=3 actions=output:3",
            "udp 10.0.0.5:4000 > 192.0.2.9:53",
            "udp 10.0.0.5:4000 > 192.0.2.9:53 tos=0x3",
        ),
    ] {
        let flows = format!("priority=1 actions=output:2\npriority=9,{rule}");
        let mut sw = Switch::with_flows(&flows);
        assert_eq!(hits(&mut sw, 1, &[one, other, one, other]), 2, "{rule}");
        assert_eq!(sw.sent(2), [one; 2]);
        assert_eq!(sw.sent(3), [other; 2]);
        sw.assert_state("ct: none; drops: none");

        // The rule comes while packets of both kinds share an entry.
        let mut sw = Switch::with_flows("priority=1 actions=output:2");
        assert_eq!(hits(&mut sw, 1, &[one, other, one, other]), 3, "{rule}");
        assert_eq!(sw.sent(2), [one, other, one, other]);
        sw.change_flows(&format!("priority=9,{rule}")).unwrap();
        sw.inject(1, other);
        sw.inject(1, one);
        assert_eq!(hits(&mut sw, 1, &[other, one]), 2, "{rule}");
        assert_eq!(sw.sent(2), [one; 2]);
        assert_eq!(sw.sent(3), [other; 2]);
        // And goes: nobody is told apart any more, by rule.
        sw.change_flows(&format!(
            "delete_strict priority=9,{}",
            rule.split(' ').next().unwrap()
        ))
        .unwrap();
        sw.inject(1, other);
        sw.inject(1, one);
        assert_eq!(sw.sent(2), [other, one]);
        sw.assert_state("ct: none; drops: none");
    }
}

#[test]
fn what_an_action_reads_tells_packets_apart() {
    for (flows, one, other) in [
        (
            "udp actions=move:NXM_OF_IP_TOS[]->NXM_NX_REG0[0..7],resubmit(,1)
             table=1,reg0=0x20 actions=output:3
             table=1,reg0=0 actions=output:2",
            "udp 10.0.0.5:4000 > 192.0.2.9:53",
            "udp 10.0.0.5:4000 > 192.0.2.9:53 tos=0x20",
        ),
        (
            "udp actions=move:NXM_NX_IP_TTL[]->NXM_NX_REG0[0..7],resubmit(,1)
             table=1,reg0=2 actions=output:NXM_NX_REG0[]
             table=1,reg0=3 actions=output:NXM_NX_REG0[]",
            "udp 10.0.0.5:4000 > 192.0.2.9:53 ttl=2",
            "udp 10.0.0.5:4000 > 192.0.2.9:53 ttl=3",
        ),
        (
            "udp actions=move:NXM_NX_IP_TTL[]->NXM_NX_REG0[0..7],ct(commit,zone=NXM_NX_REG0[0..15],table=1)
             table=1,udp,ct_zone=8 actions=output:2
             table=1,udp,ct_zone=9 actions=output:3",
            "udp 10.0.0.5:4000 > 192.0.2.9:53 ttl=8",
            "udp 10.0.0.5:4000 > 192.0.2.9:53 ttl=9",
        ),
        (
            "udp actions=ct(commit,exec(move:NXM_NX_IP_TTL[]->NXM_NX_CT_MARK[0..7]),table=1)
             table=1,udp,ct_mark=8 actions=output:2
             table=1,udp,ct_mark=9 actions=output:3",
            "udp 10.0.0.5:4000 > 192.0.2.9:53 ttl=8",
            "udp 10.0.0.5:4000 > 192.0.2.9:53 ttl=9",
        ),
    ] {
        let mut sw = Switch::with_flows(flows);
        for _ in 0..4 {
            sw.inject_burst(1, &[one, other, one]);
        }
        assert_eq!(sw.sent(2), [one; 8], "{flows}");
        assert_eq!(sw.sent(3), [other; 4], "{flows}");
        remember(&mut sw, 1, one);
        sw.ignore_what_is_sent();
        sw.state();
    }
}

#[test]
fn an_action_that_begins_to_read_tells_packets_apart() {
    let one = "udp 10.0.0.5:4000 > 192.0.2.9:53 ttl=2";
    let other = "udp 10.0.0.5:4000 > 192.0.2.9:53 ttl=3";
    for change in [
        "modify udp actions=output:NXM_NX_IP_TTL[]",
        "modify_strict udp actions=move:NXM_NX_IP_TTL[]->NXM_NX_REG0[0..7],output:NXM_NX_REG0[]",
        "udp actions=output:NXM_NX_IP_TTL[]",
    ] {
        let mut sw = Switch::with_flows("udp actions=output:4");
        assert_eq!(hits(&mut sw, 1, &[one, other, one]), 2);
        assert_eq!(sw.sent(4), [one, other, one]);
        sw.change_flows(change).unwrap();
        sw.inject_burst(1, &[one, other]);
        assert_eq!(hits(&mut sw, 1, &[one, other, one, other]), 4, "{change}");
        assert_eq!(sw.sent(2), [one; 3]);
        assert_eq!(sw.sent(3), [other; 3]);
        sw.assert_state("ct: none; drops: none");
    }
}
