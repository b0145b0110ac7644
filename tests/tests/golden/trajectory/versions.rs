//! What a hit is held against: the connection as it is now, and the packet's place in it.

use super::*;

const C2S: &str = "tcp 10.0.0.1:1000 > 10.0.0.2:80";
const S2C: &str = "tcp 10.0.0.2:80 > 10.0.0.1:1000";

/// A TCP connection behind its handshake, of which both directions are remembered.
fn connected() -> Switch {
    let mut sw = switch(FIREWALL);
    sw.inject(1, &format!("{C2S} S seq=100"));
    sw.inject(2, &format!("{S2C} SA seq=500 ack=101"));
    sw.inject(1, &format!("{C2S} A seq=101 ack=501"));
    remember(&mut sw, 1, &format!("{C2S} PA seq=101 ack=501 len=10"));
    remember(&mut sw, 2, &format!("{S2C} PA seq=501 ack=111 len=20"));
    sw.sent_anywhere();
    sw
}

#[test]
fn data_goes_on_within_the_cache() {
    let mut sw = connected();
    for n in 0..20_u32 {
        let (here, there) = (111 + 10 * n, 521 + 20 * n);
        assert!(is_hit(
            &mut sw,
            1,
            &format!("{C2S} PA seq={here} ack={there} len=10")
        ));
        let here = here + 10;
        assert!(is_hit(
            &mut sw,
            2,
            &format!("{S2C} PA seq={there} ack={here} len=20")
        ));
    }
    sw.assert_state("ct: replied=1; drops: none");
}

#[test]
fn a_segment_outside_of_the_window_is_refused_and_counted() {
    let mut sw = connected();
    never(&mut sw, 1, &format!("{C2S} PA seq=10000101 ack=501 len=9"));
    assert!(is_hit(
        &mut sw,
        1,
        &format!("{C2S} PA seq=101 ack=501 len=10")
    ));
    sw.assert_state("ct: replied=1 invalid_tcp_window=5; drops: action_drop=5");
}

#[test]
fn the_window_that_hits_moved_is_the_one_that_counts() {
    let mut sw = connected();
    // Each hit moves the window on; what was outside at first is inside at last.
    let far = format!("{C2S} PA seq=100101 ack=501 len=9");
    never(&mut sw, 1, &far);
    for n in 0..90_u32 {
        let (seq, next) = (111 + 1000 * n, 1111 + 1000 * n);
        assert!(is_hit(
            &mut sw,
            1,
            &format!("{C2S} A seq={seq} ack=521 len=1000")
        ));
        assert!(is_hit(&mut sw, 2, &format!("{S2C} A seq=521 ack={next}")));
    }
    assert!(is_hit(&mut sw, 1, &far));
    sw.assert_state("ct: replied=1 invalid_tcp_window=5; drops: action_drop=5");
}

#[test]
fn the_end_of_a_connection_takes_the_long_way() {
    let mut sw = connected();
    let closing = [
        (1, format!("{C2S} FA seq=111 ack=521"), "CLOSING"),
        (2, format!("{S2C} FA seq=521 ack=112"), "TIME_WAIT"),
        (1, format!("{C2S} A seq=112 ack=522"), "TIME_WAIT"),
    ];
    for (port, packet, state) in &closing {
        sw.inject(*port, packet);
        assert_eq!(sw.sent(3 - port), [&**packet]);
        assert!(
            sw.conntrack()[0].ends_with(&format!("(state={state})")),
            "{packet}"
        );
    }
    // The time to live is that of the new state, by whatever way it came.
    sw.advance(60);
    assert_eq!(sw.conntrack(), [""; 0]);
    never(&mut sw, 2, &format!("{S2C} PA seq=522 ack=112 len=9"));
    sw.state();
}

#[test]
fn a_reset_ends_a_remembered_connection() {
    let mut sw = connected();
    let reset = format!("{S2C} RA seq=521 ack=111");
    assert!(!is_hit(&mut sw, 2, &format!("{S2C} R seq=400000")));
    assert!(is_hit(
        &mut sw,
        2,
        &format!("{S2C} PA seq=501 ack=111 len=20")
    ));
    sw.inject(2, &reset);
    assert!(sw.conntrack()[0].ends_with("(state=TIME_WAIT)"));
    sw.inject(1, &format!("{C2S} PA seq=111 ack=521 len=10"));
    sw.state();
}

#[test]
fn a_syn_amid_a_connection_means_the_same_to_all() {
    let mut sw = connected();
    for syn in [
        format!("{C2S} S seq=101"),
        format!("{C2S} S seq=900000"),
        format!("{S2C} SA seq=501 ack=101"),
        format!("{C2S} SF seq=111"),
        format!("{C2S} A seq=101 ack=501 opt=0208"),
    ] {
        let port = if syn.starts_with(C2S) { 1 } else { 2 };
        sw.inject(port, &syn);
    }
    sw.state();
}

#[test]
fn a_wrong_checksum_is_invalid_in_spite_of_a_good_entry() {
    let mut sw = established();
    for wrong in ["bad-csum", "bad-ip-csum", "csum=0x1234"] {
        assert!(!is_hit(&mut sw, 1, &format!("{ASK} {wrong}")));
    }
    // None at all is right.
    assert!(is_hit(&mut sw, 1, &format!("{ASK} no-csum")));
    assert!(is_hit(&mut sw, 1, ASK));
    let mut tcp = connected();
    assert!(!is_hit(
        &mut tcp,
        1,
        &format!("{C2S} PA seq=101 ack=501 len=10 bad-csum")
    ));
    assert!(is_hit(
        &mut tcp,
        1,
        &format!("{C2S} PA seq=101 ack=501 len=10")
    ));
    sw.assert_state(
        "ct: replied=1 invalid_ip_checksum=1 invalid_l4_checksum=2; drops: action_drop=3",
    );
    tcp.assert_state("ct: replied=1 invalid_l4_checksum=1; drops: action_drop=1");
}

#[test]
fn where_nobody_asks_for_checksums_they_do_not_matter() {
    let mut sw = switch("actions=output:2");
    let wrong = ASK.replace("len", "bad-csum len");
    assert_eq!(hits(&mut sw, 1, &[ASK, &wrong, ASK, &wrong]), 3);
    assert_eq!(sw.sent(2)[1], wrong);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_first_reply_takes_the_long_way() {
    let mut sw = switch(
        "udp actions=ct(table=1)
         table=1,ct_state=+new,udp actions=ct(commit),output:2
         table=1,ct_state=+est-rpl,udp actions=output:3
         table=1,ct_state=+est+rpl,udp actions=output:4",
    );
    sw.inject(1, ASK);
    remember(&mut sw, 1, ASK);
    sw.inject(2, ANSWER);
    assert_eq!(sw.sent(4), [ANSWER]);
    remember(&mut sw, 1, ASK);
    remember(&mut sw, 2, ANSWER);
    sw.assert_state("ct: replied=1; drops: none");
}

#[test]
fn what_expired_is_gone_even_if_the_wheel_is_late() {
    let mut sw = established();
    sw.sent_anywhere();
    sw.stall(119);
    assert!(is_hit(&mut sw, 2, ANSWER));
    sw.stall(119);
    // The hit was a sign of life.
    assert!(is_hit(&mut sw, 1, ASK));
    sw.stall(120);
    assert_eq!(sw.sent_anywhere().len(), 2);
    assert!(!is_hit(&mut sw, 2, ANSWER));
    assert_eq!(sw.sent_anywhere(), [""; 0]);
    sw.assert_state("ct: created=1 expired=1; drops: action_drop=1");
}

#[test]
fn hits_keep_a_connection_alive() {
    let mut sw = established();
    for _ in 0..20 {
        sw.advance(100);
        assert!(is_hit(&mut sw, 2, ANSWER));
    }
    sw.advance(119);
    assert!(is_hit(&mut sw, 1, ASK));
    sw.assert_state("ct: replied=1; drops: none");
}

#[test]
fn a_flush_is_seen_at_once() {
    let mut sw = established();
    assert_eq!(sw.flush_conntrack(&[]), 1);
    sw.sent_anywhere();
    never(&mut sw, 2, ANSWER);
    assert_eq!(sw.sent_anywhere(), [""; 0]);
    sw.assert_state("ct: created=1 flushed=1; drops: action_drop=5");
}

#[test]
fn another_connection_in_the_slot_is_not_taken_for_the_first() {
    let mut sw = Switch::builder().max_connections(1).flows(FIREWALL);
    sw.ignore_what_is_sent();
    for port in 1..40 {
        let (ask, answer) = (
            format!("udp 10.0.0.5:{port} > 192.0.2.9:53"),
            format!("udp 192.0.2.9:53 > 10.0.0.5:{port}"),
        );
        sw.inject(1, &ask);
        sw.inject(2, &answer);
        remember(&mut sw, 1, &ask);
        remember(&mut sw, 2, &answer);
        sw.flush_conntrack(&[]);
        for old in 1..=port {
            let answer = format!("udp 192.0.2.9:53 > 10.0.0.5:{old}");
            assert!(!is_hit(&mut sw, 2, &answer));
        }
    }
    sw.state();
}

#[test]
fn the_same_tuple_opened_from_the_other_side_is_another_connection() {
    let mut sw = switch(
        "udp actions=ct(table=1)
         table=1,ct_state=+new,udp actions=ct(commit),output:2
         table=1,ct_state=+est-rpl,udp actions=output:3
         table=1,ct_state=+est+rpl,udp actions=output:4",
    );
    sw.inject(1, ASK);
    sw.inject(1, ANSWER);
    remember(&mut sw, 1, ASK);
    remember(&mut sw, 1, ANSWER);
    sw.flush_conntrack(&[]);
    sw.inject(1, ANSWER);
    sw.inject(1, ASK);
    sw.sent_anywhere();
    remember(&mut sw, 1, ANSWER);
    assert_eq!(sw.sent_anywhere().len(), 4);
    remember(&mut sw, 1, ASK);
    assert_eq!(sw.sent(4), [ASK; 4]);
    sw.state();
}
