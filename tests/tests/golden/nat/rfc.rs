//! What RFC 4787, 5382, 5508 and 7857 ask of a translation, where no other test shows it. The table
//! is `docs/nat.md`.

use weir_tests::switch::Switch;

use super::GATEWAY;

/// Sends from inside; returns what leaves.
fn out(sw: &mut Switch, packet: &str) -> String {
    sw.inject(1, packet);
    sw.sent(2).remove(0)
}

/// Whether the packet comes in.
fn comes_in(sw: &mut Switch, packet: &str) -> bool {
    sw.inject(2, packet);
    sw.sent(1).len() == 1
}

/// RFC 4787 REQ-5 and 6: once answered, a mapping lives for two minutes from the last packet of
/// either side.
#[test]
fn packets_of_both_sides_keep_a_mapping_for_two_minutes() {
    let (request, answer) = (
        "udp 10.0.0.5:4000 > 192.0.2.9:53",
        "udp 192.0.2.9:53 > 198.51.100.7:4000",
    );
    let mut sw = Switch::with_flows(GATEWAY);
    out(&mut sw, request);
    assert!(comes_in(&mut sw, answer));
    // Inbound alone, then outbound alone.
    for _ in 0..3 {
        sw.advance(119);
        assert!(comes_in(&mut sw, answer));
    }
    for _ in 0..3 {
        sw.advance(119);
        out(&mut sw, request);
    }
    sw.advance(119);
    assert!(comes_in(&mut sw, answer));
    sw.advance(121);
    assert!(!comes_in(&mut sw, answer));
    sw.ignore_what_is_sent();
    sw.state();
}

/// RFC 4787 REQ-12, RFC 5382 REQ-10, RFC 5508 REQ-6: an error neither ends what it is about nor
/// lets it live on; and it may come from anybody on the way (REQ-12a).
#[test]
fn an_error_neither_ends_nor_refreshes_a_mapping() {
    let mut sw = Switch::with_flows(GATEWAY);
    let quoted = "udp 198.51.100.7:4000 > 192.0.2.9:53";
    let errors = ["unreachable code=1", "unreachable code=3", "time-exceeded"];
    out(&mut sw, "udp 10.0.0.5:4000 > 192.0.2.9:53");
    for (router, error) in ["203.0.113.1", "192.0.2.9", "203.0.113.2"]
        .iter()
        .zip(errors)
    {
        sw.advance(19);
        let error = format!("icmp {router} > 198.51.100.7 {error} {{ {quoted} }}");
        assert!(comes_in(&mut sw, &error), "{error}");
    }
    // It was not ended.
    assert!(comes_in(&mut sw, "udp 192.0.2.9:53 > 198.51.100.7:4000"));
    for _ in 0..2 {
        sw.advance(59);
        let error = format!("icmp 203.0.113.1 > 198.51.100.7 time-exceeded {{ {quoted} }}");
        assert!(comes_in(&mut sw, &error));
    }
    // Two minutes after the answer, whatever came since.
    sw.advance(3);
    assert!(!comes_in(&mut sw, "udp 192.0.2.9:53 > 198.51.100.7:4000"));
    sw.ignore_what_is_sent();
    sw.state();
}

/// RFC 5382 REQ-2: both ends open at once.
#[test]
fn a_simultaneous_open_passes() {
    let mut sw = Switch::with_flows(
        "in_port=1,ip actions=ct(commit,nat(src=198.51.100.7)),output:2
         in_port=2,ip actions=ct(nat,table=1)
         table=1,ip,ct_state=+rpl-inv+trk actions=output:1",
    );
    assert_eq!(
        out(&mut sw, "tcp 10.0.0.5:4000 > 192.0.2.9:80 S seq=99"),
        "tcp 198.51.100.7:4000 > 192.0.2.9:80 S seq=99"
    );
    for packet in [
        "tcp 192.0.2.9:80 > 198.51.100.7:4000 S seq=499",
        "tcp 192.0.2.9:80 > 198.51.100.7:4000 SA seq=499 ack=100",
    ] {
        assert!(comes_in(&mut sw, packet), "{packet}");
    }
    assert_eq!(
        out(
            &mut sw,
            "tcp 10.0.0.5:4000 > 192.0.2.9:80 SA seq=99 ack=500"
        ),
        "tcp 198.51.100.7:4000 > 192.0.2.9:80 SA seq=99 ack=500"
    );
    assert!(comes_in(
        &mut sw,
        "tcp 192.0.2.9:80 > 198.51.100.7:4000 A seq=500 ack=100"
    ));
    sw.assert_state("ct: replied=1; drops: none");
}

/// RFC 5382 REQ-4: who asks unasked is not answered, and does not hinder who asks from inside.
#[test]
fn an_unsolicited_syn_is_dropped_without_an_answer() {
    let mut sw = Switch::with_flows(GATEWAY);
    sw.inject(2, "tcp 192.0.2.9:80 > 198.51.100.7:4000 S seq=499");
    assert_eq!(sw.sent_anywhere(), [""; 0]);
    sw.advance(3);
    assert_eq!(
        out(&mut sw, "tcp 10.0.0.5:4000 > 192.0.2.9:80 S seq=99"),
        "tcp 198.51.100.7:4000 > 192.0.2.9:80 S seq=99"
    );
    sw.assert_state("ct: new=1; drops: action_drop=1");
}

/// RFC 7857 2.2: a reset is translated, and for a while what follows it.
#[test]
fn a_reset_and_what_follows_it_are_translated() {
    let mut sw = Switch::with_flows(GATEWAY);
    out(&mut sw, "tcp 10.0.0.5:4000 > 192.0.2.9:80 S seq=99");
    assert!(comes_in(
        &mut sw,
        "tcp 192.0.2.9:80 > 198.51.100.7:4000 SA seq=499 ack=100"
    ));
    out(
        &mut sw,
        "tcp 10.0.0.5:4000 > 192.0.2.9:80 A seq=100 ack=500",
    );
    assert_eq!(
        out(&mut sw, "tcp 10.0.0.5:4000 > 192.0.2.9:80 R seq=100"),
        "tcp 198.51.100.7:4000 > 192.0.2.9:80 R seq=100"
    );
    sw.advance(25);
    assert_eq!(
        out(&mut sw, "tcp 10.0.0.5:4000 > 192.0.2.9:80 R seq=100"),
        "tcp 198.51.100.7:4000 > 192.0.2.9:80 R seq=100"
    );
    sw.ignore_what_is_sent();
    sw.state();
}

/// RFC 7857 3: one outside port serves several destinations; RFC 4787 REQ-3: never two connections
/// to one.
#[test]
fn a_port_serves_one_connection_for_each_destination() {
    let mut sw = Switch::with_flows(
        "in_port=1,udp actions=ct(commit,nat(src=198.51.100.7:5000)),output:2
         in_port=2,udp actions=ct(nat),output:1",
    );
    for client in 1..=5 {
        let server = format!("192.0.2.{client}:53");
        assert_eq!(
            out(&mut sw, &format!("udp 10.0.0.{client}:4000 > {server}")),
            format!("udp 198.51.100.7:5000 > {server}")
        );
    }
    for client in 1..=5 {
        sw.inject(2, &format!("udp 192.0.2.{client}:53 > 198.51.100.7:5000"));
        assert_eq!(
            sw.sent(1),
            [format!("udp 192.0.2.{client}:53 > 10.0.0.{client}:4000")]
        );
    }
    sw.inject(1, "udp 10.0.0.9:4000 > 192.0.2.1:53");
    assert_eq!(sw.sent(2), [""; 0]);
    sw.assert_state("ct: replied=5 refused_nat_exhausted=1; drops: nat_exhausted=1");
}

/// RFC 5508 REQ-3 to 5: an error that is damaged, that quotes a damaged header, or that is about
/// nothing we know of is not let in; one from inside leaves with the outside address.
#[test]
fn errors_about_nothing_known_are_invalid_and_those_from_inside_are_translated() {
    let mut sw = Switch::with_flows(
        "in_port=1,ip actions=ct(commit,nat(src=198.51.100.7),table=2)
         table=2,ct_state=-inv,ip actions=output:2
         in_port=2,ip actions=ct(nat,table=1)
         table=1,ip,ct_state=+trk-inv-new actions=output:1",
    );
    out(&mut sw, "udp 10.0.0.5:4000 > 192.0.2.9:53");
    assert!(comes_in(&mut sw, "udp 192.0.2.9:53 > 198.51.100.7:4000"));
    let error = |front: &str, quoted: &str| {
        format!("{front}icmp 203.0.113.1 > 198.51.100.7 unreachable code=1 {{ {quoted} }}")
    };
    let known = "udp 198.51.100.7:4000 > 192.0.2.9:53";
    assert!(comes_in(&mut sw, &error("", known)));
    assert!(!comes_in(&mut sw, &error("bad-csum ", known)));
    assert!(!comes_in(
        &mut sw,
        &error("", "udp 198.51.100.7:4001 > 192.0.2.9:53")
    ));
    // The client tells the server that nobody listens any more.
    assert_eq!(
        out(
            &mut sw,
            "icmp 10.0.0.5 > 192.0.2.9 unreachable code=3 { udp 192.0.2.9:53 > 10.0.0.5:4000 }"
        ),
        "icmp 198.51.100.7 > 192.0.2.9 unreachable code=3 { udp 192.0.2.9:53 > 198.51.100.7:4000 }"
    );
    sw.ignore_what_is_sent();
    sw.state();
}
