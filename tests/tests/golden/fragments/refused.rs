//! What is odd about pieces has a counter each, and what they take is bounded.

use weir_packet::reassembly::{Bounds, MAX_PIECES};
use weir_tests::pieces::pieces;
use weir_tests::switch::Switch;

use super::{ASK, ASK_V6, FIREWALL, inject_each, lines};

const FIRST: &str = "udp 10.0.0.5:4000 > 192.0.2.9:53 frag id=7 off=0 mf len=40";

#[test]
fn odd_pieces_have_a_counter_each() {
    let later = |rest: &str| format!("ip proto=17 10.0.0.5 > 192.0.2.9 frag id=7 {rest}");
    let cases = [
        // The datagram goes, and what is still to come of it.
        (
            vec![
                FIRST.to_owned(),
                later("off=40 len=8"),
                later("off=56 len=8"),
            ],
            "fragment_overlap=3",
            0,
        ),
        // The piece goes.
        (
            vec![FIRST.to_owned(), FIRST.to_owned()],
            "fragment_duplicate=1",
            1,
        ),
        (
            vec!["tcp 10.0.0.5:1 > 192.0.2.9:2 S frag id=7 off=0 mf len=4".to_owned()],
            "",
            1,
        ),
        (
            vec!["ip proto=6 10.0.0.5 > 192.0.2.9 frag id=7 off=0 mf len=8".to_owned()],
            "fragment_tiny=1",
            0,
        ),
        (vec![later("off=8")], "fragment_tiny=1", 0),
        (vec![later("off=48 mf len=9")], "fragment_misaligned=1", 0),
        (
            vec![FIRST.to_owned(), later("off=65528 len=9")],
            "fragment_oversize=2",
            0,
        ),
        (
            vec![format!("{FIRST} tos=3"), later("off=48 len=8")],
            "fragment_ecn=2",
            0,
        ),
    ];
    for (lines, drops, held) in cases {
        let mut sw = Switch::with_flows(FIREWALL);
        for line in &lines {
            sw.inject(1, line);
        }
        let drops = if drops.is_empty() { "none" } else { drops };
        let fragments = match held {
            0 => String::new(),
            held => format!("; fragments: held={held}"),
        };
        sw.assert_state(&format!("ct: none; drops: {drops}{fragments}"));
    }
}

#[test]
fn a_datagram_of_too_many_pieces_is_refused() {
    let mut sw = Switch::with_flows(FIREWALL);
    for at in 0..=MAX_PIECES {
        let off = 8 * at;
        sw.inject(
            1,
            &format!("ip proto=253 10.0.0.5 > 192.0.2.9 frag id=7 off={off} mf len=8"),
        );
    }
    let all = MAX_PIECES + 1;
    sw.assert_state(&format!("ct: none; drops: fragment_too_many={all}"));
}

#[test]
fn the_largest_datagram_comes_through_in_pieces_of_576_bytes() {
    let mut sw = Switch::with_flows(FIREWALL);
    let largest = pieces("udp 10.0.0.5:4000 > 192.0.2.9:53 ip-id=7 len=65507", 576);
    assert_eq!(largest.len(), 119);
    sw.inject_frames(1, largest.clone());
    assert_eq!(sw.sent(2), lines(&largest));
}

#[test]
fn pieces_wait_for_half_a_minute_and_those_of_ipv6_for_a_whole_one() {
    for (ask, size, seconds) in [(ASK, 1500, 30), (ASK_V6, 1280, 60)] {
        let ask = pieces(ask, size);
        let (last, others) = ask.split_last().expect("pieces");
        let held = others.len();
        let mut sw = Switch::with_flows(FIREWALL);
        inject_each(&mut sw, 1, others);
        sw.advance(seconds - 1);
        sw.assert_state(&format!("ct: none; drops: none; fragments: held={held}"));
        sw.advance(1);
        sw.assert_state(&format!("ct: none; drops: fragment_expired={held}"));
        // Without housekeeping, too.
        inject_each(&mut sw, 1, others);
        sw.stall(seconds);
        inject_each(&mut sw, 1, std::slice::from_ref(last));
        sw.assert_state(&format!(
            "ct: none; drops: fragment_expired={}; fragments: held=1",
            2 * held
        ));
        inject_each(&mut sw, 1, others);
        assert_eq!(sw.sent(2), lines(&ask));
    }
}

#[test]
fn a_flood_takes_no_more_than_it_may() {
    let bounds = Bounds {
        datagrams: 4,
        ..Bounds::default()
    };
    let mut sw = Switch::builder().fragments(bounds).flows(FIREWALL);
    for id in 0..100 {
        sw.inject(
            1,
            &format!("udp 10.0.0.5:4000 > 192.0.2.9:53 frag id={id} off=0 mf len=1400"),
        );
    }
    sw.assert_state("ct: none; drops: fragment_evicted=96; fragments: held=4");
    // Whoever sends all of a datagram at once gets through all the same.
    let ask = pieces(ASK, 1500);
    sw.inject_frames(1, ask.clone());
    assert_eq!(sw.sent(2), lines(&ask));
    sw.assert_state(
        "ct: new=1; drops: fragment_evicted=97; \
         fragments: held=3 joined=3 datagrams=1 cuts=1 pieces=3",
    );
}

#[test]
fn a_datagram_with_a_wrong_checksum_is_invalid_as_a_whole() {
    let mut sw = Switch::with_flows(FIREWALL);
    inject_each(&mut sw, 1, &pieces(&format!("{ASK} bad-csum"), 1500));
    sw.assert_state(
        "ct: invalid_l4_checksum=1; drops: action_drop=1; fragments: joined=3 datagrams=1",
    );
}
