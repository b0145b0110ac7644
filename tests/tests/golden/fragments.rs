//! Datagrams in pieces: each passes by itself up to the first ct(), which puts them together; what
//! follows sees one datagram, and outputs cut it again.

use weir_packet::{VecFrame, text};
use weir_tests::pieces::{pieces, whole};
use weir_tests::switch::Switch;

mod outputs;
mod random;
mod refused;

/// From port 1 everything may go out to 2; from 2 only what belongs to a connection.
const FIREWALL: &str = "
    priority=9,ct_state=-trk,ip actions=ct(table=1)
    priority=9,ct_state=-trk,ipv6 actions=ct(table=1)
    table=1,priority=9,ct_state=+inv+trk actions=drop
    table=1,in_port=1,ct_state=+new+trk,ip actions=ct(commit),output:2
    table=1,in_port=1,ct_state=+new+trk,ipv6 actions=ct(commit),output:2
    table=1,in_port=1,ct_state=+est+trk actions=output:2
    table=1,in_port=2,ct_state=+est+trk actions=output:1
    table=1,in_port=2,ct_state=+rel+trk actions=output:1";

const ASK: &str = "udp 10.0.0.5:4000 > 192.0.2.9:53 ip-id=7 len=4000";
const ANSWER: &str = "udp 192.0.2.9:53 > 10.0.0.5:4000 ip-id=8 len=4000";
const ASK_V6: &str = "udp [fd00::5]:4000 > [2001:db8::9]:53 frag id=7 off=0 len=4000";
const ANSWER_V6: &str = "udp [2001:db8::9]:53 > [fd00::5]:4000 frag id=8 off=0 len=4000";

fn inject_each(sw: &mut Switch, port: u32, frames: &[VecFrame]) {
    for frame in frames {
        sw.inject_frames(port, vec![frame.clone()]);
    }
}

#[test]
fn a_firewall_passes_datagrams_as_they_came() {
    for (ask, answer, size) in [(ASK, ANSWER, 1500), (ASK_V6, ANSWER_V6, 1280)] {
        let mut sw = Switch::with_flows(FIREWALL);
        let (ask, answer) = (pieces(ask, size), pieces(answer, size));
        assert!(ask.len() > 2, "{}", ask.len());
        inject_each(&mut sw, 2, &answer);
        inject_each(&mut sw, 1, &ask);
        assert_eq!(sw.sent(2), lines(&ask));
        // In one burst, the last piece first.
        let mut turned = answer.clone();
        turned.reverse();
        sw.inject_frames(2, turned);
        assert_eq!(sw.sent(1), lines(&answer));
        assert_eq!(sw.conntrack().len(), 1);
        let n = ask.len();
        let (joined, sent) = (3 * n, 2 * n);
        sw.assert_state(&format!(
            "ct: replied=1; drops: table_miss=1; \
             fragments: joined={joined} datagrams=3 cuts=2 pieces={sent}"
        ));
    }
}

#[test]
fn before_ct_pieces_pass_by_themselves_and_behind_it_there_is_one_datagram() {
    let mut sw = Switch::with_flows(
        "priority=9,udp,ip_frag=first,tp_dst=0 actions=set_field:1->reg0,ct(table=1)
         priority=8,udp,ip_frag=later actions=set_field:2->reg0,ct(table=1)
         priority=7,udp actions=drop
         table=1,priority=9,ip,ip_frag=yes actions=drop
         table=1,priority=8,udp,tp_src=4000,tp_dst=53,ip_frag=no,reg0=2 actions=output:2
         table=1,priority=7,udp,tp_src=4000,tp_dst=53,ip_frag=no,reg0=1 actions=output:3",
    );
    let ask = pieces(ASK, 1500);
    inject_each(&mut sw, 1, &ask);
    assert_eq!(sw.sent(2), lines(&ask));
    // The registers are those of the piece that came last.
    let mut turned = ask.clone();
    turned.reverse();
    inject_each(&mut sw, 1, &turned);
    assert_eq!(sw.sent(3), lines(&ask));
    let counted: Vec<u64> = sw.flows().iter().map(|line| packets(line)).collect();
    assert_eq!(counted, [2, 4, 0, 0, 1, 1]);
    sw.assert_state("ct: none; drops: none; fragments: joined=6 datagrams=2 cuts=2 pieces=6");
}

/// `n_packets` of a line of `dump-flows`.
fn packets(line: &str) -> u64 {
    let (_, rest) = line.split_once("n_packets=").expect("statistics");
    let (number, _) = rest.split_once(',').expect("and more");
    number.parse().expect("a number")
}

#[test]
fn what_follows_ct_in_its_list_sees_the_datagram_too() {
    let mut sw = Switch::with_flows(
        "priority=9,udp,in_port=1 actions=ct(commit),resubmit(,1)
         table=1,priority=9,udp,ip_frag=no,tp_dst=53 actions=output:2
         table=1,priority=8 actions=drop",
    );
    let ask = pieces(ASK, 1500);
    inject_each(&mut sw, 1, &ask);
    assert_eq!(sw.sent(2), lines(&ask));
    sw.assert_state("ct: new=1; drops: none; fragments: joined=3 datagrams=1 cuts=1 pieces=3");
}

#[test]
fn without_ct_pieces_are_not_touched() {
    let mut sw = Switch::with_flows("ip actions=output:2");
    let ask = pieces(ASK, 1500);
    inject_each(&mut sw, 1, &ask[1..]);
    assert_eq!(sw.sent(2), lines(&ask[1..]));
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_copy_that_waits_does_not_keep_the_packet() {
    let mut sw = Switch::with_flows("udp actions=clone(ct(commit),output:2),output:3");
    let ask = pieces(ASK, 1500);
    inject_each(&mut sw, 1, &ask);
    assert_eq!(sw.sent(3), lines(&ask));
    assert_eq!(sw.sent(2), lines(&ask));
    sw.assert_state("ct: new=1; drops: none; fragments: joined=3 datagrams=1 cuts=1 pieces=3");
}

#[test]
fn what_was_output_before_ct_went_in_pieces() {
    let mut sw = Switch::with_flows("udp actions=output:3,ct(commit),output:2");
    let ask = pieces(ASK, 1500);
    inject_each(&mut sw, 1, &ask);
    assert_eq!(sw.sent(3), lines(&ask));
    assert_eq!(sw.sent(2), lines(&ask));
    sw.assert_state("ct: new=1; drops: none; fragments: joined=3 datagrams=1 cuts=1 pieces=3");
}

const NAT: &str = "
    in_port=1,ct_state=-trk,ip actions=ct(commit,table=1,nat(src=198.51.100.7))
    in_port=2,ct_state=-trk,ip actions=ct(table=1,nat)
    in_port=1,ct_state=-trk,ipv6 actions=ct(commit,table=1,nat(src=2001:db8::7))
    in_port=2,ct_state=-trk,ipv6 actions=ct(table=1,nat)
    table=1,in_port=1,ct_state=+trk-inv actions=output:2
    table=1,in_port=2,ct_state=+trk-inv actions=output:1";

#[test]
fn translated_datagrams_are_right_in_every_piece() {
    let ways = [
        (
            ASK,
            "udp 198.51.100.7:4000 > 192.0.2.9:53 ip-id=7 len=4000",
            "udp 192.0.2.9:53 > 198.51.100.7:4000 ip-id=8 len=4000",
            ANSWER,
        ),
        (
            ASK_V6,
            "udp [2001:db8::7]:4000 > [2001:db8::9]:53 frag id=7 off=0 len=4000",
            "udp [2001:db8::9]:53 > [2001:db8::7]:4000 frag id=8 off=0 len=4000",
            ANSWER_V6,
        ),
        (
            "icmp 10.0.0.5 > 192.0.2.9 echo-request ip-id=7 id=9 seq=1 len=4000",
            "icmp 198.51.100.7 > 192.0.2.9 echo-request ip-id=7 id=9 seq=1 len=4000",
            "icmp 192.0.2.9 > 198.51.100.7 echo-reply ip-id=7 id=9 seq=1 len=4000",
            "icmp 192.0.2.9 > 10.0.0.5 echo-reply ip-id=7 id=9 seq=1 len=4000",
        ),
    ];
    for (ask, asked, answer, answered) in ways {
        let mut sw = Switch::with_flows(NAT);
        inject_each(&mut sw, 1, &pieces(ask, 1400));
        let sent = sw.sent_frames(2);
        assert_eq!(sent.len(), pieces(ask, 1400).len());
        assert_eq!(whole(sent), described(asked));
        inject_each(&mut sw, 2, &pieces(answer, 1400));
        assert_eq!(whole(sw.sent_frames(1)), described(answered));
    }
}

/// Frames in words.
fn lines(frames: &[VecFrame]) -> Vec<String> {
    let line = |frame: &VecFrame| text::describe(frame.bytes());
    frames.iter().map(line).collect()
}

/// A line as it is printed.
fn described(line: &str) -> String {
    text::describe(text::frame(line).bytes())
}

#[test]
fn a_datagram_is_put_together_once_for_all_zones_that_it_passes() {
    let mut sw = Switch::with_flows(
        "in_port=1,ct_state=-trk,udp actions=ct(zone=1,commit,table=1)
         table=1,udp actions=ct(zone=2,commit,nat(src=198.51.100.7),table=2)
         table=2,ct_zone=2,ip_frag=no,udp actions=output:2",
    );
    inject_each(&mut sw, 1, &pieces(ASK, 1500));
    let sent = sw.sent_frames(2);
    let translated = "udp 198.51.100.7:4000 > 192.0.2.9:53 ip-id=7 len=4000";
    assert_eq!(whole(sent), described(translated));
    sw.assert_state("ct: new=2; drops: none; fragments: joined=3 datagrams=1 cuts=1 pieces=3");
}

#[test]
fn zones_keep_their_pieces_apart() {
    let mut sw = Switch::with_flows(
        "in_port=1,udp actions=ct(zone=1,commit),output:3
         in_port=2,udp actions=ct(zone=2,commit),output:3",
    );
    let ask = pieces(ASK, 1500);
    inject_each(&mut sw, 1, &ask[..2]);
    inject_each(&mut sw, 2, &ask[2..]);
    sw.assert_state("ct: none; drops: none; fragments: held=3");
    inject_each(&mut sw, 2, &ask[..2]);
    assert_eq!(sw.sent(3), lines(&ask));
    inject_each(&mut sw, 1, &ask[2..]);
    assert_eq!(sw.sent(3), lines(&ask));
    sw.assert_state("ct: new=2; drops: none; fragments: joined=6 datagrams=2 cuts=2 pieces=6");
}

#[test]
fn whole_packets_of_the_connection_are_not_cut() {
    let mut sw = Switch::with_flows(FIREWALL);
    let small = "udp 10.0.0.5:4000 > 192.0.2.9:53 len=1400";
    inject_each(&mut sw, 1, &pieces(ASK, 576));
    assert_eq!(sw.sent(2), lines(&pieces(ASK, 576)));
    for _ in 0..4 {
        sw.inject(1, small);
        assert_eq!(sw.sent(2), [small]);
        inject_each(&mut sw, 1, &pieces(ASK, 1000));
        assert_eq!(sw.sent(2), lines(&pieces(ASK, 1000)));
    }
    assert_eq!(sw.conntrack().len(), 1);
}

#[test]
fn atomic_fragments_are_whole() {
    let mut sw = Switch::with_flows(FIREWALL);
    let atomic = "udp [fd00::5]:4000 > [2001:db8::9]:53 frag id=7 off=0 len=8";
    sw.inject(1, atomic);
    assert_eq!(sw.sent(2), [atomic]);
    sw.assert_state("ct: new=1; drops: none");
}

#[test]
fn tags_stay_with_the_pieces() {
    let mut sw = Switch::with_flows(
        "in_port=1,udp actions=ct(commit,table=1)
         table=1,udp,dl_vlan=7,tp_dst=53 actions=set_field:4105->vlan_vid,dec_ttl,output:2",
    );
    inject_each(&mut sw, 1, &pieces(&format!("vlan 7 {ASK}"), 1500));
    assert_eq!(
        sw.sent(2),
        lines(&pieces(&format!("vlan 9 {ASK} ttl=63"), 1500))
    );
}

#[test]
fn an_error_that_quotes_a_first_piece_is_related_and_of_a_later_one_is_not() {
    let mut sw = Switch::with_flows(FIREWALL);
    let ask = pieces(ASK, 1500);
    inject_each(&mut sw, 1, &ask);
    assert_eq!(sw.sent(2), lines(&ask));
    let error = |quoted: &VecFrame| {
        format!(
            "icmp 192.0.2.1 > 10.0.0.5 time-exceeded code=1 {{ {} }} cut=28",
            text::describe(quoted.bytes())
        )
    };
    sw.inject(2, &error(&ask[0]));
    assert_eq!(sw.sent(1).len(), 1);
    sw.inject(2, &error(&ask[1]));
    assert!(sw.sent(1).is_empty());
}
