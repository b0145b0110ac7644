//! NORMAL: to a port that is known.

use super::*;

const HERE: &str = "eth 02:00:00:00:00:0a > 02:00:00:00:00:0b udp 10.0.0.1:1 > 10.0.0.2:2";
const THERE: &str = "eth 02:00:00:00:00:0b > 02:00:00:00:00:0a udp 10.0.0.2:2 > 10.0.0.1:1";

/// A learning switch; its hosts are behind ports 1 and 2.
fn learned() -> Switch {
    let mut sw = switch("actions=NORMAL");
    sw.inject(1, HERE);
    sw.inject(2, THERE);
    remember(&mut sw, 1, HERE);
    remember(&mut sw, 2, THERE);
    sw.sent_anywhere();
    sw
}

#[test]
fn to_a_known_port_is_remembered_and_a_flood_is_not() {
    let mut sw = switch("actions=NORMAL");
    never(&mut sw, 1, HERE);
    never(
        &mut sw,
        1,
        "eth 02:00:00:00:00:0a > ff:ff:ff:ff:ff:ff udp 10.0.0.1:1 > 10.0.0.255:2",
    );
    never(
        &mut sw,
        1,
        "eth 02:00:00:00:00:0a > 01:00:5e:00:00:01 udp 10.0.0.1:1 > 224.0.0.1:2",
    );
    assert_eq!(sw.sent_anywhere().len(), 45);
    // The destination shows itself: no more floods.
    sw.inject(2, THERE);
    remember(&mut sw, 1, HERE);
    assert_eq!(
        sw.sent_anywhere(),
        [vec![format!("1: {THERE}")], vec![format!("2: {HERE}"); 4]].concat()
    );
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_hit_refreshes_the_age_of_the_source() {
    let mut sw = learned();
    for _ in 0..4 {
        sw.advance(200);
        assert!(is_hit(&mut sw, 1, HERE));
        assert!(is_hit(&mut sw, 2, THERE));
    }
    sw.advance(100);
    assert!(is_hit(&mut sw, 1, HERE));
    assert_eq!(
        sw.macs(),
        ["1 0 02:00:00:00:00:0a 0", "2 0 02:00:00:00:00:0b 100"]
    );
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_destination_that_aged_out_is_flooded_to() {
    let mut sw = learned();
    sw.advance(300);
    assert!(is_hit(&mut sw, 1, HERE));
    sw.sent_anywhere();
    sw.advance(1);
    never(&mut sw, 1, HERE);
    assert_eq!(sw.sent_anywhere().len(), 15);
    // Its source aged, too, and is learned anew by the long way or the short.
    sw.inject(2, THERE);
    assert_eq!(sw.sent(1), [THERE]);
    assert!(is_hit(&mut sw, 1, HERE));
    assert_eq!(sw.sent(2), [HERE]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_host_that_moves_is_found_where_it_went() {
    let mut sw = learned();
    // The destination moves to port 3.
    sw.inject(3, THERE);
    assert_eq!(sw.sent(1), [THERE]);
    assert!(!is_hit(&mut sw, 1, HERE));
    assert_eq!(sw.sent(3), [HERE]);
    remember(&mut sw, 1, HERE);
    // The source does.
    sw.sent_anywhere();
    sw.inject(4, HERE);
    assert_eq!(sw.sent(3), [HERE]);
    assert!(!is_hit(&mut sw, 3, THERE));
    assert_eq!(sw.sent(4), [THERE]);
    // And back: what was known of it behind port 1 is not taken for news.
    assert!(!is_hit(&mut sw, 1, HERE));
    assert!(!is_hit(&mut sw, 3, THERE));
    assert_eq!(
        sw.macs(),
        ["1 0 02:00:00:00:00:0a 0", "3 0 02:00:00:00:00:0b 0"]
    );
    sw.state();
}

#[test]
fn an_address_that_lost_its_place_is_learned_anew() {
    let mut sw = learned();
    // More hosts than the table holds.
    for host in 0..40_000_u32 {
        if host % 32 == 0 {
            let frames = (host..host + 32)
                .map(|host| {
                    let [_, a, b, c] = host.to_be_bytes();
                    weir_packet::text::frame(&format!(
                        "eth 02:00:01:{a:02x}:{b:02x}:{c:02x} > 02:00:00:00:00:0a udp 10.0.0.1:1 > 10.0.0.2:2"
                    ))
                })
                .collect();
            sw.stall(1);
            sw.inject_frames(3, frames);
        }
    }
    sw.sent_anywhere();
    assert!(!is_hit(&mut sw, 1, HERE));
    sw.inject(2, THERE);
    sw.inject(1, HERE);
    assert!(is_hit(&mut sw, 1, HERE));
    sw.state();
}

#[test]
fn a_port_says_how_its_frames_are_tagged() {
    let mut sw = Switch::builder()
        .access(1, 5)
        .trunk(2, &[0, 5, 6])
        .flows("actions=NORMAL");
    sw.ignore_what_is_sent();
    let back = THERE.replace("udp", "vlan 5 pcp 3 udp");
    sw.inject(1, HERE);
    sw.inject(2, &back);
    remember(&mut sw, 1, HERE);
    remember(&mut sw, 2, &back);
    sw.sent_anywhere();
    sw.inject(1, HERE);
    sw.inject(2, &back);
    assert_eq!(sw.sent(1), [THERE]);
    assert_eq!(sw.sent(2).len(), 1);
    // The same host in another VLAN is another.
    let other = "eth 02:00:00:00:00:0b > 02:00:00:00:00:0a vlan 6 udp 10.0.0.2:2 > 10.0.0.1:1";
    never(&mut sw, 2, other);
    sw.state();
}

#[test]
fn two_zones_and_two_addresses_fit_an_entry_and_three_do_not() {
    for zones in 1..=3 {
        let mut flows = String::new();
        for zone in 1..=zones {
            let table = zone - 1;
            flows += &format!("table={table},ip actions=ct(commit,zone={zone},table={zone})\n");
        }
        flows += &format!("table={zones} actions=NORMAL\n");
        let mut sw = switch(&flows);
        for _ in 0..3 {
            sw.inject(1, HERE);
            sw.inject(2, THERE);
        }
        let expected = if zones <= 2 { 3 } else { 0 };
        assert_eq!(hits(&mut sw, 1, &[HERE; 3]), expected, "{zones}");
        assert_eq!(hits(&mut sw, 2, &[THERE; 3]), expected, "{zones}");
        // A move is seen, however many connections come first.
        sw.inject(3, THERE);
        sw.sent_anywhere();
        sw.inject(1, HERE);
        assert_eq!(sw.sent(3), [HERE]);
        sw.state();
    }
}

#[test]
fn copies_beside_normal_are_remembered_with_it() {
    let mut sw = switch("actions=output:4,NORMAL");
    sw.inject(1, HERE);
    sw.inject(2, THERE);
    remember(&mut sw, 1, HERE);
    sw.sent_anywhere();
    assert!(is_hit(&mut sw, 1, HERE));
    assert_eq!(
        sw.sent_anywhere(),
        [format!("2: {HERE}"), format!("4: {HERE}")]
    );
    sw.state();
}
