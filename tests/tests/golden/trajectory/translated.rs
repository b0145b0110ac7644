//! Journeys with address translation.

use super::*;

/// Inside is port 1, outside port 2; everybody inside shares one address.
const GATEWAY: &str = "
    in_port=1,ip actions=ct(commit,nat(src=198.51.100.7)),output:2
    in_port=2,ip actions=ct(nat,table=1)
    table=1,ip,ct_state=+est+trk actions=output:1
    table=1,ip,ct_state=+rel+trk actions=output:1
    table=1,priority=1 actions=drop";

/// Sends packets both ways until both are remembered; then what comes out has to be these.
#[track_caller]
fn both_ways(sw: &mut Switch, out: [&str; 2], back: [&str; 2]) {
    for _ in 0..3 {
        sw.inject(1, out[0]);
        sw.inject(2, back[0]);
    }
    sw.sent_anywhere();
    assert!(is_hit(sw, 1, out[0]), "{}", out[0]);
    assert!(is_hit(sw, 2, back[0]), "{}", back[0]);
    assert_eq!(sw.sent(2), [out[1]]);
    assert_eq!(sw.sent(1), [back[1]]);
}

#[test]
fn the_source_is_translated_for_every_class() {
    let mut sw = switch(GATEWAY);
    both_ways(
        &mut sw,
        [
            "udp 10.0.0.5:4000 > 192.0.2.9:53 len=5",
            "udp 198.51.100.7:4000 > 192.0.2.9:53 len=5",
        ],
        [
            "udp 192.0.2.9:53 > 198.51.100.7:4000 len=9",
            "udp 192.0.2.9:53 > 10.0.0.5:4000 len=9",
        ],
    );
    both_ways(
        &mut sw,
        [
            "tcp 10.0.0.5:4000 > 192.0.2.9:80 PA seq=101 ack=501 len=10",
            "tcp 198.51.100.7:4000 > 192.0.2.9:80 PA seq=101 ack=501 len=10",
        ],
        [
            "tcp 192.0.2.9:80 > 198.51.100.7:4000 PA seq=501 ack=111 len=9",
            "tcp 192.0.2.9:80 > 10.0.0.5:4000 PA seq=501 ack=111 len=9",
        ],
    );
    both_ways(
        &mut sw,
        [
            "icmp 10.0.0.5 > 192.0.2.9 echo-request id=7 seq=1 len=5",
            "icmp 198.51.100.7 > 192.0.2.9 echo-request id=7 seq=1 len=5",
        ],
        [
            "icmp 192.0.2.9 > 198.51.100.7 echo-reply id=7 seq=1 len=5",
            "icmp 192.0.2.9 > 10.0.0.5 echo-reply id=7 seq=1 len=5",
        ],
    );
    // A datagram without a checksum goes the same way and gets none.
    assert!(is_hit(
        &mut sw,
        1,
        "udp 10.0.0.5:4000 > 192.0.2.9:53 no-csum len=5"
    ));
    assert_eq!(
        sw.sent(2),
        ["udp 198.51.100.7:4000 > 192.0.2.9:53 no-csum len=5"]
    );
    // An error about a remembered connection is translated by the long way.
    let error = |address| {
        format!(
            "icmp 192.0.2.1 > {address} unreachable code=3 {{ udp {address}:4000 > 192.0.2.9:53 len=5 }}"
        )
    };
    never(&mut sw, 2, &error("198.51.100.7"));
    assert_eq!(sw.sent(1), vec![error("10.0.0.5"); 5]);
    sw.assert_state("ct: replied=3; drops: none");
}

#[test]
fn a_translated_port_is_the_connections_own() {
    let mut sw = switch(GATEWAY);
    let clients: Vec<String> = (1..30)
        .map(|host| format!("udp 10.0.0.{host}:4000 > 192.0.2.9:53"))
        .collect();
    for client in &clients {
        sw.inject(1, client);
    }
    let first = sw.sent(2);
    for client in &clients {
        remember(&mut sw, 1, client);
    }
    sw.sent(2);
    for (client, sent) in clients.iter().zip(&first) {
        assert!(is_hit(&mut sw, 1, client));
        assert_eq!(sw.sent(2), [&**sent]);
        let (source, _) = sent.strip_prefix("udp ").unwrap().split_once(" >").unwrap();
        let reply = format!("udp 192.0.2.9:53 > {source}");
        remember(&mut sw, 2, &reply);
        let back = sw.sent(1);
        let (host, _) = client
            .strip_prefix("udp ")
            .unwrap()
            .split_once(" >")
            .unwrap();
        assert_eq!(back, vec![format!("udp 192.0.2.9:53 > {host}"); 4]);
    }
    sw.assert_state("ct: replied=29; drops: none");
}

#[test]
fn a_destination_is_translated() {
    let mut sw = switch(
        "in_port=1,tcp,nw_dst=198.51.100.7,tp_dst=80 actions=ct(commit,nat(dst=10.0.0.5:8080)),output:2
         in_port=2,ip actions=ct(nat,table=1)
         table=1,ip,ct_state=+rpl actions=output:1",
    );
    both_ways(
        &mut sw,
        [
            "vlan 7 tcp 192.0.2.9:4000 > 198.51.100.7:80 A seq=101 ack=501",
            "vlan 7 tcp 192.0.2.9:4000 > 10.0.0.5:8080 A seq=101 ack=501",
        ],
        [
            "tcp 10.0.0.5:8080 > 192.0.2.9:4000 A seq=501 ack=101",
            "tcp 198.51.100.7:80 > 192.0.2.9:4000 A seq=501 ack=101",
        ],
    );
    sw.assert_state("ct: replied=1; drops: none");
}

#[test]
fn both_ends_are_translated_in_two_zones() {
    let mut sw = switch(
        "in_port=1,ip actions=ct(commit,zone=1,nat(dst=10.0.0.9:5353),table=1)
         table=1,ip actions=dec_ttl,ct(commit,zone=2,nat(src=10.0.0.1),table=2)
         table=2,ip,ct_zone=2,in_port=1 actions=mod_dl_dst:02:00:00:00:00:09,output:2
         in_port=2,ip actions=ct(zone=2,nat,table=3)
         table=3,ip,ct_state=+rpl actions=ct(zone=1,nat,table=4)
         table=4,ip,ct_state=+rpl actions=output:1",
    );
    both_ways(
        &mut sw,
        [
            "udp 10.0.0.5:4000 > 198.51.100.7:53 len=5",
            "eth 02:00:00:00:00:01 > 02:00:00:00:00:09 udp 10.0.0.1:4000 > 10.0.0.9:5353 ttl=63 len=5",
        ],
        [
            "udp 10.0.0.9:5353 > 10.0.0.1:4000 len=7",
            "udp 198.51.100.7:53 > 10.0.0.5:4000 len=7",
        ],
    );
    // The entry does not outlive either connection.
    assert_eq!(sw.flush_conntrack(&["zone=2"]), 1);
    never(&mut sw, 2, "udp 10.0.0.9:5353 > 10.0.0.1:4000 len=7");
    assert!(!is_hit(
        &mut sw,
        1,
        "udp 10.0.0.5:4000 > 198.51.100.7:53 len=5"
    ));
    sw.state();
}

#[test]
fn addresses_of_ipv6_are_translated() {
    let mut sw = switch(
        "in_port=1,ipv6 actions=ct(commit,nat(src=2001:db8::7)),output:2
         in_port=2,ipv6 actions=ct(nat,table=1)
         table=1,ipv6,ct_state=+est+rpl actions=output:1",
    );
    both_ways(
        &mut sw,
        [
            "udp [fd00::5]:4000 > [2001:db8::9]:53 len=5",
            "udp [2001:db8::7]:4000 > [2001:db8::9]:53 len=5",
        ],
        [
            "udp [2001:db8::9]:53 > [2001:db8::7]:4000 len=6",
            "udp [2001:db8::9]:53 > [fd00::5]:4000 len=6",
        ],
    );
    both_ways(
        &mut sw,
        [
            "icmp6 fd00::5 > 2001:db8::9 echo-request id=7 seq=1",
            "icmp6 2001:db8::7 > 2001:db8::9 echo-request id=7 seq=1",
        ],
        [
            "icmp6 2001:db8::9 > 2001:db8::7 echo-reply id=7 seq=1",
            "icmp6 2001:db8::9 > fd00::5 echo-reply id=7 seq=1",
        ],
    );
    sw.assert_state("ct: replied=2; drops: none");
}

#[test]
fn copies_before_and_behind_a_translation_differ() {
    let mut sw =
        switch("in_port=1,udp actions=output:3,ct(commit,nat(src=198.51.100.7)),output:2,output:4");
    remember(&mut sw, 1, ASK);
    sw.sent_anywhere();
    assert!(is_hit(&mut sw, 1, ASK));
    let translated = "udp 198.51.100.7:4000 > 192.0.2.9:53 len=9";
    assert_eq!(
        sw.sent_anywhere(),
        [
            format!("2: {translated}"),
            format!("3: {ASK}"),
            format!("4: {translated}")
        ]
    );
    sw.assert_state("ct: new=1; drops: none");
}

#[test]
fn another_lease_for_the_same_packets_is_seen_at_once() {
    let mut sw = switch(GATEWAY);
    let packet = "udp 10.0.0.5:4000 > 192.0.2.9:53";
    remember(&mut sw, 1, packet);
    sw.flush_conntrack(&[]);
    // Somebody else takes the port.
    sw.inject(1, "udp 10.0.0.6:4000 > 192.0.2.9:53");
    sw.sent(2);
    for _ in 0..4 {
        sw.inject(1, packet);
    }
    let sent = sw.sent(2);
    assert!(
        !sent[0].starts_with("udp 198.51.100.7:4000 "),
        "{}",
        sent[0]
    );
    assert!(sent.iter().all(|other| *other == sent[0]));
    sw.state();
}

#[test]
fn a_rule_behind_a_translation_is_asked_about_what_was_translated() {
    let mut sw = switch(
        "in_port=1,udp actions=ct(commit,nat(src=198.51.100.7),table=1)
         table=1,priority=1,udp actions=output:2",
    );
    remember(&mut sw, 1, ASK);
    // This concerns the translated packet only, and that one's.
    sw.change_flows("table=1,priority=9,udp,nw_src=198.51.100.7 actions=output:3")
        .unwrap();
    sw.sent_anywhere();
    sw.inject(1, ASK);
    assert_eq!(sw.sent(3).len(), 1);
    remember(&mut sw, 1, ASK);
    sw.change_flows(
        "table=1,priority=10,udp,ct_state=+trk-inv,ct_nw_src=10.0.0.5 actions=output:4",
    )
    .unwrap();
    sw.sent_anywhere();
    sw.inject(1, ASK);
    assert_eq!(sw.sent(4).len(), 1);
    sw.assert_state("ct: new=1; drops: none");
}
