//! Every output of a datagram that came in pieces cuts it again.

use weir_packet::VecFrame;
use weir_tests::pieces::{pieces, whole};
use weir_tests::switch::Switch;
use weir_tests::underlay::{hex, vxlan};

use super::{ASK, ASK_V6, described, inject_each, lines};

#[test]
fn pieces_are_as_large_as_the_largest_that_came() {
    let mut sw = Switch::with_flows("udp actions=ct(commit),output:2");
    // 560 bytes of data in each of the first two, 1,120 in the others.
    let mut ask = pieces(ASK, 580)[..2].to_vec();
    ask.extend_from_slice(&pieces(ASK, 1140)[1..]);
    inject_each(&mut sw, 1, &ask);
    assert_eq!(sw.sent(2), lines(&pieces(ASK, 1140)));
}

#[test]
fn a_smaller_mtu_makes_smaller_pieces_unless_the_sender_minds() {
    let switch = || {
        let flows = "udp actions=ct(commit),output:2
                     ipv6 actions=ct(commit),output:2";
        Switch::builder().mtu(2, 1280).flows(flows)
    };
    for ask in [ASK, ASK_V6] {
        let mut sw = switch();
        inject_each(&mut sw, 1, &pieces(ask, 1500));
        assert_eq!(sw.sent(2), lines(&pieces(ask, 1280)));
    }
    let mut sw = switch();
    inject_each(&mut sw, 1, &pieces(&format!("{ASK} df"), 1500));
    sw.assert_state("ct: new=1; drops: mtu_exceeded=1; fragments: joined=3 datagrams=1");
}

#[test]
fn df_stays_if_the_largest_piece_had_it() {
    let mut sw = Switch::with_flows("udp actions=ct(commit),output:2");
    let ask = pieces(&format!("{ASK} df"), 1500);
    inject_each(&mut sw, 1, &ask);
    assert_eq!(sw.sent(2), lines(&ask));
    let mut mixed = pieces(ASK, 1500);
    mixed[2] = ask[2].clone();
    inject_each(&mut sw, 1, &mixed);
    assert_eq!(sw.sent(2), lines(&pieces(ASK, 1500)));
}

#[test]
fn several_ports_the_host_normal_and_groups_get_pieces() {
    let outputs = [
        ("output:2,output:3,LOCAL", vec![2, 3, 0xffff_fffe]),
        ("NORMAL", vec![2, 3, 4, 0xffff_fffe]),
        ("FLOOD", vec![2, 3, 4, 0xffff_fffe]),
        ("clone(output:2),output:3", vec![2, 3]),
        ("group:1,output:4", vec![2, 3, 4]),
        ("IN_PORT", vec![1]),
    ];
    for (actions, ports) in outputs {
        let flows = format!(
            "udp actions=ct(commit,table=1)
             table=1,udp actions={actions}"
        );
        let mut sw = Switch::builder().local().empty();
        sw.change_groups("group_id=1,type=all,bucket=output:2,bucket=output:3")
            .expect("a group");
        sw.change_flows(&flows).expect("flows");
        let ask = pieces(ASK, 1500);
        inject_each(&mut sw, 1, &ask);
        for port in ports {
            assert_eq!(sw.sent(port), lines(&ask), "{actions} to {port}");
        }
    }
}

#[test]
fn a_controller_gets_the_datagram_whole() {
    let mut sw = Switch::with_flows(
        "udp actions=ct(commit,table=1)
         table=1,udp actions=controller",
    );
    inject_each(&mut sw, 1, &pieces(ASK, 1500));
    let events = sw.packet_ins();
    let [event] = &events[..] else {
        panic!("one packet-in: {events:?}");
    };
    assert!(event.ends_with(&format!(": {}", described(ASK))), "{event}");
}

#[test]
fn what_is_cut_off_goes_as_it_is() {
    let mut sw = Switch::with_flows("udp actions=ct(commit),output(port=2,max_len=200)");
    inject_each(&mut sw, 1, &pieces(ASK, 1500));
    let sent = sw.sent_frames(2);
    assert_eq!(sent.len(), 1);
    let all = weir_packet::text::frame(ASK);
    assert_eq!(sent[0].bytes(), &all.bytes()[..200]);
}

#[test]
fn its_size_is_that_of_its_largest_piece() {
    let mut sw = Switch::with_flows(
        "udp actions=ct(commit,table=1)
         table=1,udp actions=check_pkt_larger(1514)->NXM_NX_REG0[0],check_pkt_larger(1513)->NXM_NX_REG0[1],resubmit(,2)
         table=2,reg0=2 actions=output:2",
    );
    let ask = pieces(ASK, 1500);
    inject_each(&mut sw, 1, &ask);
    assert_eq!(sw.sent(2), lines(&ask));
}

const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 7];
const TO_TUNNEL: &str = "
    in_port=2,ct_state=-trk,udp actions=ct(commit,table=1)
    table=1,in_port=2,udp actions=output:9";

fn tunnelled() -> weir_tests::switch::Builder {
    Switch::builder()
        .tunnel(9, "vxlan over 1 192.0.2.1 > 192.0.2.7 key=42")
        .neighbour(1, "192.0.2.7", PEER_MAC)
}

/// What lies behind 50 bytes of outer headers.
fn unwrapped(frame: &VecFrame) -> VecFrame {
    VecFrame::new(&frame.bytes()[50..])
}

#[test]
fn through_a_tunnel_goes_each_piece_by_itself() {
    let mut sw = tunnelled().flows(TO_TUNNEL);
    let ask = pieces(ASK, 1400);
    inject_each(&mut sw, 2, &ask);
    let sent = sw.sent_frames(1);
    let inner: Vec<_> = sent.iter().map(unwrapped).collect();
    assert_eq!(lines(&inner), lines(&ask));
    // All take one way through the underlay.
    let ports: Vec<_> = sent.iter().map(weir_tests::underlay::source_port).collect();
    assert!(ports.iter().all(|port| *port == ports[0]), "{ports:?}");
    assert_eq!(sw.tunnel_counts(9)[2], ask.len() as u64);
}

#[test]
fn pieces_that_are_too_large_for_a_tunnel_are_lost_there() {
    let mut sw = tunnelled().flows(TO_TUNNEL);
    let ask = pieces(ASK, 1500);
    inject_each(&mut sw, 2, &ask);
    let inner: Vec<_> = sw.sent_frames(1).iter().map(unwrapped).collect();
    assert_eq!(lines(&inner), lines(&ask[2..]));
    sw.assert_state(
        "ct: new=1; drops: tunnel_mtu=2; fragments: joined=3 datagrams=1 cuts=1 pieces=3",
    );
}

#[test]
fn out_of_a_tunnel_pieces_are_put_together_with_what_the_outer_headers_said() {
    let mut sw = tunnelled().flows(
        "in_port=9,ct_state=-trk,udp actions=ct(commit,table=1)
         table=1,in_port=9,tun_id=42,tun_src=192.0.2.7,udp,tp_dst=53 actions=output:3",
    );
    let ask = pieces(ASK, 1400);
    for piece in &ask {
        let outer = "eth 02:00:00:00:00:07 > 02:77:65:69:00:00 udp 192.0.2.7:5 > 192.0.2.1:4789";
        let line = format!("{outer} data={}{}", vxlan(42), hex(piece.bytes()));
        sw.inject(1, &line);
    }
    let sent = sw.sent_frames(3);
    assert_eq!(lines(&sent), lines(&ask));
    assert_eq!(whole(sent), described(ASK));
}
