//! What is switched off at a port (`mod-port`), whatever was remembered before.

use weir_tables::port::PortFlags;
use weir_tests::switch::Switch;

const DNS: &str = "udp 10.0.0.5:4000 > 192.0.2.9:53";
const ON: PortFlags = PortFlags {
    down: false,
    no_receive: false,
    no_flood: false,
    no_forward: false,
};
const DOWN: PortFlags = PortFlags { down: true, ..ON };
const NO_RECEIVE: PortFlags = PortFlags {
    no_receive: true,
    ..ON
};
const NO_FLOOD: PortFlags = PortFlags {
    no_flood: true,
    ..ON
};
const NO_FORWARD: PortFlags = PortFlags {
    no_forward: true,
    ..ON
};

#[test]
fn a_port_that_is_down_neither_receives_nor_sends() {
    let mut sw = Switch::with_flows(
        "in_port=1 actions=output:2
         in_port=2 actions=output:1",
    );
    for _ in 0..3 {
        sw.inject(1, DNS);
        sw.inject(2, DNS);
    }
    assert_eq!(sw.sent_anywhere().len(), 6);
    sw.port_flags(2, DOWN);
    sw.inject(1, DNS);
    sw.inject(1, DNS);
    sw.inject(2, DNS);
    assert!(sw.sent_anywhere().is_empty());
    sw.port_flags(2, ON);
    sw.inject(1, DNS);
    sw.inject(2, DNS);
    assert_eq!(sw.sent_anywhere().len(), 2);
    sw.assert_state("ct: none; drops: port_no_receive=1 port_no_forward=2");
}

#[test]
fn receiving_and_sending_are_switched_off_apart() {
    let mut sw = Switch::with_flows(
        "in_port=1 actions=output:2,output:3
         in_port=2 actions=output:1",
    );
    sw.inject(1, DNS);
    assert_eq!(sw.sent_anywhere().len(), 2);
    sw.port_flags(2, NO_RECEIVE);
    sw.inject(1, DNS);
    sw.inject(2, DNS);
    assert_eq!(
        sw.sent_anywhere(),
        [format!("2: {DNS}"), format!("3: {DNS}")]
    );
    sw.port_flags(2, NO_FORWARD);
    // Another output is none the worse for it.
    sw.inject(1, DNS);
    sw.inject(2, DNS);
    assert_eq!(
        sw.sent_anywhere(),
        [format!("1: {DNS}"), format!("3: {DNS}")]
    );
    sw.assert_state("ct: none; drops: port_no_receive=1");
}

#[test]
fn a_port_may_be_left_out_of_flooding() {
    let mut sw = Switch::with_flows(
        "udp actions=FLOOD
         tcp actions=ALL
         icmp actions=NORMAL",
    );
    let ports = |sw: &mut Switch| {
        let sent = sw.sent_anywhere();
        let port = |line: String| line.chars().next().unwrap_or_default();
        sent.into_iter().map(port).collect::<String>()
    };
    let ping = "icmp 10.0.0.5 > 192.0.2.9 echo-request id=1 seq=1";
    let web = "tcp 10.0.0.5:4000 > 192.0.2.9:80 S";
    sw.inject(1, DNS);
    assert_eq!(ports(&mut sw), "234");
    sw.port_flags(3, NO_FLOOD);
    sw.inject(1, DNS);
    assert_eq!(ports(&mut sw), "24");
    sw.inject(1, web);
    assert_eq!(ports(&mut sw), "234");
    sw.inject(1, ping);
    assert_eq!(ports(&mut sw), "24");
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn established_connections_meet_a_port_that_is_switched_off() {
    let mut sw = Switch::with_flows(
        "table=0,udp actions=ct(table=1)
         table=1,ct_state=+trk+new,udp,in_port=1 actions=ct(commit),output:2
         table=1,ct_state=+trk+est,udp,in_port=1 actions=output:2
         table=1,ct_state=+trk+est,udp,in_port=2 actions=output:1",
    );
    let answer = "udp 192.0.2.9:53 > 10.0.0.5:4000";
    for _ in 0..3 {
        sw.inject(1, DNS);
        sw.inject(2, answer);
    }
    assert_eq!(sw.sent_anywhere().len(), 6);
    sw.port_flags(1, NO_FORWARD);
    sw.inject(2, answer);
    sw.inject(2, answer);
    assert!(sw.sent_anywhere().is_empty());
    sw.port_flags(1, ON);
    sw.inject(2, answer);
    assert_eq!(sw.sent(1), [answer]);
    sw.assert_state("ct: replied=1; drops: port_no_forward=2");
}

#[test]
fn a_bucket_that_watches_a_port_that_is_down_is_not_live() {
    let mut sw = Switch::builder().empty();
    sw.change_groups(
        "group_id=1,type=ff,bucket=watch_port=2,actions=output:2,\
         bucket=watch_port=3,actions=output:3",
    )
    .unwrap();
    sw.change_flows("udp actions=group:1").unwrap();
    for (flags, port) in [(ON, 2), (DOWN, 3), (NO_FLOOD, 2), (DOWN, 3), (ON, 2)] {
        sw.port_flags(2, flags);
        sw.inject(1, DNS);
        sw.inject(1, DNS);
        assert_eq!(sw.sent(port), [DNS, DNS]);
    }
    sw.assert_state("ct: none; drops: none");
}
