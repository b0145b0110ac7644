//! `ct(nat)`: addresses and ports there and back, and what is quoted of them.

use weir_tests::switch::Switch;

mod balance;
mod checksums;
mod hairpin;
mod rfc;
mod words;

/// Inside is port 1, outside port 2; everybody inside shares one address.
const GATEWAY: &str = "
    in_port=1,ip actions=ct(commit,nat(src=198.51.100.7)),output:2
    in_port=2,ip actions=ct(nat,table=1)
    table=1,ip,ct_state=+est+trk actions=output:1
    table=1,ip,ct_state=+rel+trk actions=output:1
    table=1,priority=1 actions=drop";

#[test]
fn snat_reply_is_translated_back() {
    let mut sw = Switch::with_flows(GATEWAY);
    sw.inject(1, "udp 10.0.0.5:4000 > 192.0.2.9:53 len=5");
    assert_eq!(sw.sent(2), ["udp 198.51.100.7:4000 > 192.0.2.9:53 len=5"]);
    sw.inject(2, "udp 192.0.2.9:53 > 198.51.100.7:4000 len=9");
    assert_eq!(sw.sent(1), ["udp 192.0.2.9:53 > 10.0.0.5:4000 len=9"]);
    assert_eq!(
        sw.conntrack(),
        ["udp,orig=(src=10.0.0.5,dst=192.0.2.9,sport=4000,dport=53),\
          reply=(src=192.0.2.9,dst=198.51.100.7,sport=53,dport=4000)"]
    );
    sw.assert_state("ct: replied=1; drops: none");
}

#[test]
fn nobody_comes_in_by_the_shared_address() {
    let mut sw = Switch::with_flows(GATEWAY);
    sw.inject(1, "udp 10.0.0.5:4000 > 192.0.2.9:53");
    assert_eq!(sw.sent(2).len(), 1);
    sw.inject(2, "udp 192.0.2.9:54 > 198.51.100.7:4000");
    sw.inject(2, "udp 192.0.2.10:53 > 198.51.100.7:4000");
    sw.inject(2, "udp 192.0.2.9:53 > 198.51.100.7:4001");
    sw.assert_state("ct: new=1; drops: action_drop=3");
}

#[test]
fn two_clients_with_one_port_are_told_apart() {
    let mut sw = Switch::with_flows(GATEWAY);
    sw.inject(1, "tcp 10.0.0.5:4000 > 192.0.2.9:80 S seq=1");
    sw.inject(1, "tcp 10.0.0.6:4000 > 192.0.2.9:80 S seq=5");
    let sent = sw.sent(2);
    assert_eq!(sent[0], "tcp 198.51.100.7:4000 > 192.0.2.9:80 S seq=1");
    let port: u16 = sent[1]
        .strip_prefix("tcp 198.51.100.7:")
        .and_then(|rest| rest.strip_suffix(" > 192.0.2.9:80 S seq=5"))
        .expect("translated")
        .parse()
        .expect("a port");
    assert!(port != 4000 && port >= 1024, "{port}");
    sw.inject(
        2,
        &format!("tcp 192.0.2.9:80 > 198.51.100.7:{port} SA seq=9 ack=6"),
    );
    assert_eq!(
        sw.sent(1),
        ["tcp 192.0.2.9:80 > 10.0.0.6:4000 SA seq=9 ack=6"]
    );
    sw.assert_state("ct: new=1 replied=1; drops: none");
}

#[test]
fn dnat_publishes_a_server() {
    let mut sw = Switch::with_flows(
        "in_port=2,tcp,nw_dst=198.51.100.7,tp_dst=80 actions=\
             ct(commit,nat(dst=10.0.0.5:8080)),output:1
         in_port=1,ip actions=ct(nat,table=1)
         table=1,ip,ct_state=+rpl actions=output:2",
    );
    sw.inject(2, "vlan 7 tcp 192.0.2.9:4000 > 198.51.100.7:80 S seq=1");
    assert_eq!(
        sw.sent(1),
        ["vlan 7 tcp 192.0.2.9:4000 > 10.0.0.5:8080 S seq=1"]
    );
    sw.inject(1, "tcp 10.0.0.5:8080 > 192.0.2.9:4000 SA seq=9 ack=2");
    assert_eq!(
        sw.sent(2),
        ["tcp 198.51.100.7:80 > 192.0.2.9:4000 SA seq=9 ack=2"]
    );
    sw.assert_state("ct: replied=1; drops: none");
}

#[test]
fn echoes_and_errors_find_their_way_back() {
    let mut sw = Switch::with_flows(GATEWAY);
    sw.inject(
        1,
        "icmp 10.0.0.5 > 192.0.2.9 echo-request id=7 seq=1 len=56",
    );
    assert_eq!(
        sw.sent(2),
        ["icmp 198.51.100.7 > 192.0.2.9 echo-request id=7 seq=1 len=56"]
    );
    sw.inject(
        2,
        "icmp 192.0.2.9 > 198.51.100.7 echo-reply id=7 seq=1 len=56",
    );
    assert_eq!(
        sw.sent(1),
        ["icmp 192.0.2.9 > 10.0.0.5 echo-reply id=7 seq=1 len=56"]
    );

    sw.inject(1, "udp 10.0.0.5:4000 > 192.0.2.9:53 len=9");
    assert_eq!(sw.sent(2), ["udp 198.51.100.7:4000 > 192.0.2.9:53 len=9"]);
    sw.inject(
        2,
        "icmp 192.0.2.1 > 198.51.100.7 unreachable code=3 \
         { udp 198.51.100.7:4000 > 192.0.2.9:53 len=9 }",
    );
    assert_eq!(
        sw.sent(1),
        ["icmp 192.0.2.1 > 10.0.0.5 unreachable code=3 { udp 10.0.0.5:4000 > 192.0.2.9:53 len=9 }"]
    );
    sw.assert_state("ct: new=1 replied=1; drops: none");
}

#[test]
fn a_range_is_used_up_and_given_back() {
    let mut sw = Switch::with_flows(
        "in_port=1,udp actions=ct(commit,nat(src=198.51.100.7:5000-5001)),output:2",
    );
    let ask = |host| format!("udp 10.0.0.{host}:4000 > 192.0.2.9:53");
    sw.inject(1, &ask(5));
    sw.inject(1, &ask(6));
    let mut sent = sw.sent(2);
    sent.sort();
    assert_eq!(
        sent,
        [
            "udp 198.51.100.7:5000 > 192.0.2.9:53",
            "udp 198.51.100.7:5001 > 192.0.2.9:53"
        ]
    );
    sw.inject(1, &ask(7));
    assert_eq!(sw.sent(2), [""; 0]);
    // Towards another server the ports are free, and in a while here too.
    sw.inject(1, "udp 10.0.0.7:4000 > 192.0.2.10:53");
    assert_eq!(sw.sent(2).len(), 1);
    sw.advance(61);
    sw.inject(1, &ask(7));
    assert_eq!(sw.sent(2).len(), 1);
    sw.assert_state(
        "ct: new=1 created=4 expired=3 refused_nat_exhausted=1; drops: nat_exhausted=1",
    );
}

#[test]
fn a_fork_and_the_rest_both_see_the_translated_packet() {
    let mut sw = Switch::with_flows(
        "in_port=1,udp actions=output:4,ct(commit,nat(src=198.51.100.7),table=1),mod_tp_dst:99,output:3
         table=1,udp,ct_state=+snat,nw_src=198.51.100.7 actions=output:2",
    );
    sw.inject(1, "udp 10.0.0.5:4000 > 192.0.2.9:53");
    assert_eq!(
        sw.sent_anywhere(),
        [
            "2: udp 198.51.100.7:4000 > 192.0.2.9:53",
            "3: udp 198.51.100.7:4000 > 192.0.2.9:99",
            "4: udp 10.0.0.5:4000 > 192.0.2.9:53",
        ]
    );
    sw.assert_state("ct: new=1; drops: none");
}
