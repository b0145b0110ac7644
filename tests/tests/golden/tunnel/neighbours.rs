//! Next hops, and what the switch says for itself.

use weir_tests::switch::Switch;

use super::*;

const INNER: &str = "udp 10.0.0.1:1000 > 10.0.0.2:53";
const FLOWS: &str = "in_port=2 actions=output:9\nin_port=1 actions=output:4";
const ASK: &str = "eth 02:77:65:69:00:00 > ff:ff:ff:ff:ff:ff arp request 192.0.2.1 > 192.0.2.7";
const ASK_AGAIN: &str = "eth 02:77:65:69:00:00 > 02:00:00:00:00:07 arp request 192.0.2.1 > \
                         192.0.2.7 tha=02:00:00:00:00:07";
const ANSWER: &str = "eth 02:00:00:00:00:07 > 02:77:65:69:00:00 arp reply 192.0.2.7 > 192.0.2.1";

fn over_ipv4() -> Switch {
    Switch::builder()
        .tunnel(9, "vxlan over 1 192.0.2.1 > 192.0.2.7 key=1")
        .flows(FLOWS)
}

fn over_ipv6() -> Switch {
    Switch::builder()
        .tunnel(9, "geneve over 1 2001:db8::1 > 2001:db8::7 key=1")
        .flows(FLOWS)
}

/// The destination MAC addresses of what was sent to the underlay.
fn sent_to(sw: &mut Switch) -> Vec<String> {
    let frames = sw.sent_frames(1);
    frames
        .iter()
        .map(|frame| hex(&frame.bytes()[..6]))
        .collect()
}

#[test]
fn a_packet_for_an_unknown_hop_asks_for_it_and_is_dropped() {
    let mut sw = over_ipv4();
    sw.inject_burst(2, &[INNER, INNER]);
    assert_eq!(sw.sent(1), [ASK]);
    assert_eq!(sw.neighbours(), ["1 192.0.2.7 waiting 0"]);
    // Once a second.
    sw.inject(2, INNER);
    assert_eq!(sw.sent(1), [""; 0]);
    sw.advance(1);
    sw.inject(2, INNER);
    assert_eq!(sw.sent(1), [ASK]);
    sw.inject(1, ANSWER);
    assert_eq!(sw.neighbours(), ["1 192.0.2.7 02:00:00:00:00:07 0"]);
    for _ in 0..3 {
        sw.inject(2, INNER);
        assert_eq!(sent_to(&mut sw), ["020000000007"]);
    }
    sw.assert_state("ct: none; drops: tunnel_no_neighbour=4 neighbour_answer=1");
}

#[test]
fn a_question_fits_into_any_frame() {
    let mut sw = over_ipv4();
    let short = "ether type=0x88cc";
    sw.inject(2, short);
    assert_eq!(sw.sent(1), [ASK]);
    let mut sw6 = over_ipv6();
    sw6.inject(2, short);
    let ask = "eth 02:77:65:69:00:00 > 33:33:ff:00:00:07 icmp6 2001:db8::1 > ff02::1:ff00:7 \
               neighbor-solicit target=2001:db8::7 sll=02:77:65:69:00:00";
    assert_eq!(sw6.sent(1), [ask]);
    sw.assert_state("ct: none; drops: tunnel_no_neighbour=1");
    sw6.assert_state("ct: none; drops: tunnel_no_neighbour=1");
}

#[test]
fn a_packet_behind_the_answer_in_one_burst_goes() {
    let mut sw = Switch::builder()
        .tunnel(9, "vxlan over 1 192.0.2.1 > flow key=flow")
        .flows("in_port=9 actions=set_field:192.0.2.7->tun_dst,IN_PORT");
    let arrives = wrapped("udp 192.0.2.9:5 > 192.0.2.1:4789", &vxlan(3), INNER);
    let burst = vec![
        arrives.clone(),
        text::frame(ANSWER),
        arrives.clone(),
        arrives,
    ];
    sw.inject_frames(1, burst);
    let sent = sw.sent_frames(1);
    assert_eq!(text::describe(sent[0].bytes()), ASK);
    assert_eq!(sent.len(), 3);
    sw.assert_state("ct: none; drops: tunnel_no_neighbour=1 neighbour_answer=1");
}

#[test]
fn a_hop_that_is_used_is_asked_whether_it_is_still_there() {
    let mut sw = over_ipv4();
    sw.inject(2, INNER);
    sw.inject(1, ANSWER);
    assert_eq!(sw.sent(1), [ASK]);
    sw.inject_burst(2, &[INNER; 3]);
    assert_eq!(sent_to(&mut sw).len(), 3);
    for _ in 0..3 {
        sw.stall(30);
        sw.inject_burst(2, &[INNER; 3]);
        let sent = sw.sent(1);
        assert_eq!((sent.len(), sent[0].as_str()), (4, ASK_AGAIN));
        sw.inject(1, ANSWER);
        sw.inject(2, INNER);
        assert_eq!(sent_to(&mut sw).len(), 1);
    }
    sw.assert_state("ct: none; drops: tunnel_no_neighbour=1 neighbour_answer=4");
}

#[test]
fn a_hop_that_does_not_answer_any_more_is_gone() {
    let mut sw = over_ipv4();
    sw.inject(2, INNER);
    sw.inject(1, ANSWER);
    assert_eq!(sw.sent(1), [ASK]);
    sw.stall(30);
    for _ in 0..5 {
        sw.inject_burst(2, &[INNER; 2]);
        assert_eq!(sw.sent(1).len(), 3);
        sw.stall(1);
    }
    sw.inject_burst(2, &[INNER; 2]);
    assert_eq!(sw.sent(1), [ASK]);
    sw.inject(1, ANSWER);
    sw.inject(2, INNER);
    assert_eq!(sent_to(&mut sw).len(), 1);
    sw.assert_state("ct: none; drops: tunnel_no_neighbour=3 neighbour_answer=2");
}

#[test]
fn a_hop_that_nobody_sends_to_is_forgotten() {
    let mut sw = over_ipv4();
    sw.inject(2, INNER);
    sw.inject(1, ANSWER);
    assert_eq!(sw.sent(1), [ASK]);
    sw.stall(60);
    assert_eq!(sw.neighbours(), ["1 192.0.2.7 02:00:00:00:00:07 60"]);
    sw.stall(15 * 60);
    assert_eq!(sw.neighbours(), [""; 0]);
    sw.inject(2, INNER);
    assert_eq!(sw.sent(1), [ASK]);
    sw.assert_state("ct: none; drops: tunnel_no_neighbour=2 neighbour_answer=1");
}

#[test]
fn a_hop_that_has_another_address_is_sent_to_there() {
    let mut sw = over_ipv4();
    sw.inject(2, INNER);
    sw.inject(1, ANSWER);
    assert_eq!(sw.sent(1), [ASK]);
    sw.inject_burst(2, &[INNER; 3]);
    assert_eq!(sent_to(&mut sw), ["020000000007"; 3]);
    // It says so unasked.
    sw.inject(
        1,
        "eth 02:00:00:00:00:08 > ff:ff:ff:ff:ff:ff arp request 192.0.2.7 > 192.0.2.1",
    );
    assert_eq!(sw.sent(1).len(), 1);
    sw.inject_burst(2, &[INNER; 3]);
    assert_eq!(sent_to(&mut sw), ["020000000008"; 3]);
    // A stranger, and a group's address, are not believed.
    sw.inject(
        1,
        "eth 02:00:00:00:00:09 > ff:ff:ff:ff:ff:ff arp reply 192.0.2.9 > 192.0.2.1",
    );
    sw.inject(
        1,
        "eth 03:00:00:00:00:09 > ff:ff:ff:ff:ff:ff arp reply 192.0.2.7 > 192.0.2.1",
    );
    sw.inject(2, INNER);
    assert_eq!(sent_to(&mut sw), ["020000000008"]);
    assert_eq!(sw.neighbours(), ["1 192.0.2.7 02:00:00:00:00:08 0"]);
    sw.assert_state("ct: none; drops: tunnel_no_neighbour=1 neighbour_answer=3");
}

#[test]
fn neighbour_discovery_is_the_same() {
    let mut sw = over_ipv6();
    let ask = "eth 02:77:65:69:00:00 > 33:33:ff:00:00:07 icmp6 2001:db8::1 > ff02::1:ff00:7 \
               neighbor-solicit target=2001:db8::7 sll=02:77:65:69:00:00";
    let again = "eth 02:77:65:69:00:00 > 02:00:00:00:00:07 icmp6 2001:db8::1 > 2001:db8::7 \
                 neighbor-solicit target=2001:db8::7 sll=02:77:65:69:00:00";
    let answer = |flags: &str, mac: &str| {
        format!(
            "eth {mac} > {OWN} icmp6 2001:db8::7 > 2001:db8::1 neighbor-advert \
             flags={flags} target=2001:db8::7 tll={mac}"
        )
    };
    sw.inject(2, INNER);
    assert_eq!(sw.sent(1), [ask]);
    // Through a router: not believed, and nothing to us.
    sw.inject(1, &format!("{} ttl=64", answer("SO", PEER)));
    assert_eq!(sw.sent(4).len(), 1);
    sw.inject(1, &answer("S", PEER));
    sw.inject(2, INNER);
    assert_eq!(sent_to(&mut sw), ["020000000007"]);
    sw.stall(30);
    sw.inject(2, INNER);
    let sent = sw.sent(1);
    assert_eq!((sent.len(), sent[0].as_str()), (2, again));
    // Without Override another address does not count.
    sw.inject(1, &answer("S", "02:00:00:00:00:08"));
    sw.inject(1, &answer("SO", PEER));
    sw.inject(2, INNER);
    assert_eq!(sent_to(&mut sw), ["020000000007"]);
    sw.inject(1, &answer("O", "02:00:00:00:00:08"));
    sw.inject(2, INNER);
    assert_eq!(sent_to(&mut sw), ["020000000008"]);
    sw.assert_state("ct: none; drops: tunnel_no_neighbour=1 neighbour_answer=4");
}

#[test]
fn the_switch_answers_for_its_addresses() {
    let mut sw = over_ipv4();
    let arp = "eth 02:00:00:00:00:07 > ff:ff:ff:ff:ff:ff arp request 192.0.2.7 > 192.0.2.1 pad=18";
    sw.inject(1, arp);
    let reply = "eth 02:77:65:69:00:00 > 02:00:00:00:00:07 arp reply 192.0.2.1 > 192.0.2.7";
    assert_eq!(sw.sent(1), [reply]);
    let ping = "eth 02:00:00:00:00:07 > 02:77:65:69:00:00 icmp 192.0.2.7 > 192.0.2.1 \
                echo-request id=7 seq=1 ttl=9 len=21";
    sw.inject(1, ping);
    let pong = "eth 02:77:65:69:00:00 > 02:00:00:00:00:07 icmp 192.0.2.1 > 192.0.2.7 echo-reply \
                id=7 seq=1 len=21";
    assert_eq!(sw.sent(1), [pong]);
    // What is not for it goes to the tables: another address, another protocol, a tag, what is
    // wrong.
    for line in [
        "arp request 192.0.2.7 > 192.0.2.2",
        "icmp 192.0.2.7 > 192.0.2.2 echo-request id=1 seq=1",
        "icmp 192.0.2.7 > 192.0.2.1 echo-reply id=1 seq=1",
        "icmp 192.0.2.7 > 192.0.2.1 echo-request id=1 seq=1 bad-csum",
        "tcp 192.0.2.7:1 > 192.0.2.1:22 S",
        "vlan 5 arp request 192.0.2.7 > 192.0.2.1",
    ] {
        sw.inject(1, line);
        assert_eq!(sw.sent(4), [line]);
    }
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn the_switch_answers_for_its_ipv6_addresses() {
    let mut sw = over_ipv6();
    let solicit = |to: &str, src: &str, dst: &str, sll: &str| {
        format!("eth {PEER} > {to} icmp6 {src} > {dst} neighbor-solicit target=2001:db8::1{sll}")
    };
    let group = "33:33:ff:00:00:01";
    let sll = format!(" sll={PEER}");
    sw.inject(1, &solicit(group, "2001:db8::7", "ff02::1:ff00:1", &sll));
    let advert = format!(
        "eth {OWN} > {PEER} icmp6 2001:db8::1 > 2001:db8::7 neighbor-advert flags=SO \
         target=2001:db8::1 tll={OWN}"
    );
    assert_eq!(sw.sent(1), [advert.as_str()]);
    sw.inject(1, &solicit(OWN, "2001:db8::7", "2001:db8::1", ""));
    assert_eq!(sw.sent(1), [advert.as_str()]);
    // Somebody would like to have the address.
    sw.inject(1, &solicit(group, "::", "ff02::1:ff00:1", ""));
    let to_all = format!(
        "eth {OWN} > 33:33:00:00:00:01 icmp6 2001:db8::1 > ff02::1 neighbor-advert flags=O \
         target=2001:db8::1 tll={OWN}"
    );
    assert_eq!(sw.sent(1), [to_all]);
    let ping =
        format!("eth {PEER} > {OWN} icmp6 2001:db8::7 > 2001:db8::1 echo-request id=7 seq=1 len=9");
    sw.inject(1, &ping);
    let pong =
        format!("eth {OWN} > {PEER} icmp6 2001:db8::1 > 2001:db8::7 echo-reply id=7 seq=1 len=9");
    assert_eq!(sw.sent(1), [pong]);
    // For somebody else who has the same group.
    let other = format!(
        "eth {PEER} > {group} icmp6 2001:db8::7 > ff02::1:ff00:1 neighbor-solicit \
         target=2001:db8:1::1"
    );
    sw.inject(1, &other);
    assert_eq!(sw.sent(4), [other]);
    sw.assert_state("ct: none; drops: none");
}
