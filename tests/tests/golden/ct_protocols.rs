//! `ct()` of protocols other than TCP, UDP and ICMP, and zones of one direction.

use weir_tests::switch::Switch;

use crate::ct::FIREWALL;

#[test]
fn an_sctp_association_from_handshake_to_close() {
    let mut sw = Switch::with_flows(FIREWALL);
    let c2s = "sctp 10.0.0.1:1000 > 10.0.0.2:80";
    let s2c = "sctp 10.0.0.2:80 > 10.0.0.1:1000";
    for (port, packet, state) in [
        (1, format!("{c2s} init=0x1"), "CLOSED,vtag_orig=0"),
        (
            2,
            format!("{s2c} vtag=0x1 init-ack=0x2"),
            "COOKIE_WAIT,vtag_orig=2",
        ),
        (
            1,
            format!("{c2s} vtag=0x2 chunk=cookie-echo:0:00112233"),
            "COOKIE_ECHOED,vtag_orig=2",
        ),
        (
            2,
            format!("{s2c} vtag=0x1 chunk=cookie-ack"),
            "ESTABLISHED,vtag_orig=2",
        ),
        (
            1,
            format!("{c2s} vtag=0x2 chunk=data:3:00112233"),
            "ESTABLISHED,vtag_orig=2",
        ),
        (
            2,
            format!("{s2c} vtag=0x1 chunk=shutdown"),
            "SHUTDOWN_RECD,vtag_orig=2",
        ),
        (
            1,
            format!("{c2s} vtag=0x2 chunk=shutdown-ack"),
            "SHUTDOWN_ACK_SENT,vtag_orig=2",
        ),
        (
            2,
            format!("{s2c} vtag=0x1 chunk=shutdown-complete"),
            "CLOSED,vtag_orig=2",
        ),
    ] {
        sw.inject(port, &packet);
        assert_eq!(sw.sent(3 - port), [packet]);
        let wanted = format!(",protoinfo=(state={state},vtag_reply=1)");
        assert!(sw.conntrack()[0].ends_with(&wanted), "{wanted}");
    }
    // Another tag, no association, and from outside.
    sw.inject(2, &format!("{s2c} vtag=0x9 chunk=data"));
    sw.inject(1, "sctp 10.0.0.1:1001 > 10.0.0.2:80 vtag=0x2 chunk=data");
    sw.inject(2, "sctp 10.0.0.2:80 > 10.0.0.1:1001 init=0x5");
    sw.assert_state(
        "ct: replied=1 invalid_sctp_unopened=1 invalid_sctp_tag=1; drops: action_drop=3",
    );
}

/// Outside, each port of the one address leads back to the tenant who has it; inside, both have
/// the same address. Where the answers come from nobody knows of tenants.
#[test]
fn zones_of_one_direction_tell_tenants_apart() {
    let mut sw = Switch::with_flows(
        "in_port=1,udp actions=set_field:5->reg0,goto_table:1
         in_port=2,udp actions=set_field:6->reg0,goto_table:1
         in_port=3,udp actions=ct(nat,table=2)
         table=1,udp actions=ct(commit,zone=reg0[0..15],zone_dir=original,nat(src=198.51.100.7:7000-7001),exec(move:reg0->ct_mark)),output:3
         table=2,udp,ct_state=+est+rpl,ct_mark=5 actions=output:1
         table=2,udp,ct_state=+est+rpl,ct_mark=6 actions=output:2
         table=2,udp,ct_state=+new actions=drop",
    );
    let mut outside = Vec::new();
    for _ in 0..3 {
        for tenant in [1, 2] {
            sw.inject(tenant, "udp 10.0.0.5:4000 > 192.0.2.9:53");
            let sent = sw.sent(3);
            assert_eq!(sent.len(), 1);
            outside.push(sent[0].clone());
            let from = sent[0].split(' ').nth(1).expect("an address").to_owned();
            sw.inject(3, &format!("udp 192.0.2.9:53 > {from}"));
            assert_eq!(sw.sent(tenant), ["udp 192.0.2.9:53 > 10.0.0.5:4000"]);
        }
    }
    assert_ne!(outside[0], outside[1]);
    assert_eq!(outside[..2], outside[2..4], "a connection keeps its port");
    sw.inject(3, "udp 192.0.2.9:53 > 198.51.100.7:7002");
    let zones = |line: &String| line.split(",zone=").nth(1).map(str::to_owned);
    let mut zones: Vec<_> = sw.conntrack().iter().filter_map(zones).collect();
    zones.sort();
    assert_eq!(
        zones,
        ["5,zone_dir=original,mark=5", "6,zone_dir=original,mark=6"]
    );
    assert_eq!(sw.flush_conntrack(&["zone=5"]), 1);
    sw.inject(3, "udp 192.0.2.9:53 > 198.51.100.7:7002");
    sw.assert_state("ct: replied=1 created=2 flushed=1; drops: action_drop=2");
}

/// Without a translation the answers of both would have one tuple.
#[test]
fn a_zone_of_one_direction_is_refused_where_answers_could_not_be_told_apart() {
    let mut sw = Switch::with_flows(
        "in_port=1,udp actions=ct(commit,zone=5,zone_dir=original),output:3
         in_port=2,udp actions=ct(commit,zone=6,zone_dir=original),output:3
         in_port=3,udp actions=ct(table=1)
         table=1,udp,ct_state=+est+rpl actions=output:1",
    );
    let ask = "udp 10.0.0.5:4000 > 192.0.2.9:53";
    sw.inject(1, ask);
    sw.inject(2, ask);
    assert_eq!(sw.sent(3), [ask]);
    sw.inject(3, "udp 192.0.2.9:53 > 10.0.0.5:4000");
    assert_eq!(sw.sent(1), ["udp 192.0.2.9:53 > 10.0.0.5:4000"]);
    sw.assert_state("ct: replied=1 refused_tuple_in_use=1; drops: ct_tuple_in_use=1");
}

/// A GRE key tells tunnels between two hosts apart, and an error about one is about it.
#[test]
fn gre_is_told_apart_by_key() {
    let mut sw = Switch::with_flows(FIREWALL);
    let there = |key: u8| format!("ip proto=47 10.0.0.1 > 10.0.0.2 data=20000800000000{key:02x}");
    let back = |key: u8| format!("ip proto=47 10.0.0.2 > 10.0.0.1 data=20000800000000{key:02x}");
    sw.inject(1, &there(7));
    assert_eq!(sw.sent(2), [there(7)]);
    sw.inject(2, &back(8));
    sw.inject(2, &back(7));
    assert_eq!(sw.sent(1), [back(7)]);
    let error = |key| {
        format!(
            "icmp 10.0.0.9 > 10.0.0.1 unreachable code=1 {{ {} }}",
            there(key)
        )
    };
    sw.inject(2, &error(8));
    sw.inject(2, &error(7));
    assert_eq!(sw.sent(1), [error(7)]);
    sw.assert_state("ct: replied=1 invalid_icmp_unrelated=1; drops: action_drop=2");
}
