use proptest::prelude::*;
use weir_packet::{Frame, VecFrame};
use weir_tables::packet_in::packet_key;

use super::*;

fn matches(flow: &str) -> Match {
    parse_match(flow, &Options::default()).expect("a flow")
}

fn asked<'a>(flow: &'a str, packet: Option<&'a str>, ct_next: &'a [String]) -> Asked<'a> {
    Asked {
        flow,
        packet,
        ct_next,
    }
}

fn refusal(asked: Asked<'_>) -> String {
    let errors = offline(asked, &Config::embedded()).expect_err("a refusal");
    Diagnostic::list(&errors)
}

#[test]
fn what_is_wrong_is_shown() {
    assert_eq!(
        refusal(asked("in_port=2,tcpp", None, &[])),
        "flow:1:11: unknown keyword tcpp\n  in_port=2,tcpp\n            ^^^^ did you mean tcp?"
    );
    assert_eq!(
        refusal(asked("tcp,in_port=9", None, &[])),
        "flow:1:5: there is no port 9\n  tcp,in_port=9\n      ^^^^^^^^^ expected 2 or 3"
    );
    assert_eq!(
        refusal(asked("tcp", None, &[])),
        "flow:1:4: missing in_port\n  tcp\n     ^ add in_port=PORT"
    );
    assert_eq!(
        refusal(asked("in_port=2,ip,nw_src=10.0.0.0/8", None, &[])),
        "flow:1:29: wildcards are not allowed here\n  in_port=2,ip,nw_src=10.0.0.0/8\n  \
         \u{20}                           ^^ a packet has one value"
    );
    let states = ["trk,esst".to_owned()];
    assert_eq!(
        refusal(asked("in_port=2", None, &states)),
        "--ct-next:1:5: unknown ct_state flag \"esst\"\n  trk,esst\n      ^^^^ the flags are new, \
         est, rel, rpl, inv, trk, snat, dnat"
    );
    assert_eq!(
        refusal(asked("in_port=2", Some("0011zz"), &[])),
        "--packet:1:5: not a hexadecimal digit\n  0011zz\n      ^ expected at least 14 bytes in \
         hexadecimal"
    );
    let frame = "ffffffffffff0200000000010806";
    assert_eq!(
        refusal(asked("in_port=2,tcp", Some(frame), &[])),
        "flow:1:1: with --packet the headers are those of the packet\n  in_port=2,tcp\n  \
         ^^^^^^^^^^^^^ only in_port and metadata"
    );
}

#[test]
fn states_are_those_that_a_packet_can_have() {
    let state = |text: &str| states::parse(text).map(|state| state.to_string());
    assert_eq!(state("trk,est"), Ok("est|trk".to_owned()));
    assert_eq!(state("trk|new|snat"), Ok("new|trk|snat".to_owned()));
    assert_eq!(state(""), Ok("0".to_owned()));
    for text in ["new", "trk,new,est", "trk,inv,est", "trk,new,rpl", "trk,,"] {
        assert!(state(text).is_err(), "{text}");
    }
}

#[test]
fn what_a_flow_does_not_say_is_such_as_anybody_sends() {
    let describe = |flow| weir_packet::text::describe(&packet::synthesize(&matches(flow)));
    let link = "eth 00:00:00:00:00:00 > 00:00:00:00:00:00";
    assert_eq!(
        describe("tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2"),
        format!("{link} tcp 10.0.0.1:32768 > 10.0.0.2:9 S")
    );
    assert_eq!(
        describe("udp6,ipv6_dst=2001:db8::1,tp_dst=53,dl_vlan=5"),
        format!("{link} vlan 5 udp [::]:32768 > [2001:db8::1]:53")
    );
    assert_eq!(
        describe("icmp6,icmp_type=135,nd_target=fe80::1,nd_sll=02:00:00:00:00:01"),
        format!("{link} icmp6 :: > :: neighbor-solicit target=fe80::1 sll=02:00:00:00:00:01")
    );
    assert_eq!(
        describe("arp,arp_spa=10.0.0.1,arp_tpa=10.0.0.2"),
        format!("{link} arp request 10.0.0.1 > 10.0.0.2")
    );
}

/// Fields of one class of packets, all of them given.
fn flows() -> impl Strategy<Value = String> {
    let ip = prop::sample::select(
        &[
            ("tcp", true),
            ("udp", true),
            ("sctp", true),
            ("icmp", false),
            ("tcp6", true),
            ("udp6", true),
            ("sctp6", true),
            ("icmp6", false),
        ][..],
    );
    let vlan = prop::option::of((0..4096u16, 0..8u8));
    (
        ip,
        any::<(u32, u32, u16, u16)>(),
        0..64u8,
        0..4u8,
        any::<u8>(),
        0..4u8,
        vlan,
    )
        .prop_map(
            |((name, has_ports), (src, dst, sport, dport), dscp, ecn, ttl, frag, vlan)| {
                let mut flow = format!("{name},nw_tos={},nw_ecn={ecn},nw_ttl={ttl}", dscp << 2);
                if name.ends_with('6') {
                    flow += &format!(
                        ",ipv6_src=2001:db8::{:x},ipv6_dst=fe80::{:x}",
                        src >> 16,
                        dst >> 16
                    );
                } else {
                    let [src, dst] = [src, dst].map(std::net::Ipv4Addr::from_bits);
                    flow += &format!(",nw_src={src},nw_dst={dst}");
                }
                // Of which protocol a later piece is, IPv6 does not say: it reads 44.
                match (frag, has_ports) {
                    (1, _) if !name.ends_with('6') => flow += ",nw_frag=later",
                    (0, _) | (_, false) => {}
                    (_, true) => flow += &format!(",tp_src={sport},tp_dst={dport}"),
                }
                if let Some((vid, pcp)) = vlan {
                    flow += &format!(",dl_vlan={vid},dl_vlan_pcp={pcp}");
                }
                flow
            },
        )
}

proptest! {
    #[test]
    fn a_packet_is_what_its_flow_says(flow in flows()) {
        let matches = matches(&flow);
        let frame = VecFrame::from(packet::synthesize(&matches));
        let layout = weir_packet::parse(frame.head(), frame.len()).expect("no runt");
        prop_assert_eq!(layout.malformed, None);
        let key = packet_key(frame.head(), &layout);
        for (at, (mask, value)) in matches.mask().words().iter().zip(matches.key().words()).enumerate() {
            if at >= usize::from(word::ETH_DST) {
                prop_assert_eq!(key.words()[at] & mask, *value, "word {} of {}", at, &flow);
            }
        }
        if layout.fragment == weir_packet::Fragment::No {
            prop_assert!(weir_packet::checksum::l4_checksum_ok(&frame, &layout), "{}", &flow);
        }
    }

    #[test]
    fn no_text_panics(flow in ".{0,40}", packet in prop::option::of("[0-9a-fx ]{0,80}"), state in "[a-z,|]{0,12}") {
        let states = [state];
        let ports = PortTable::new(Vec::new());
        let _ = question(asked(&flow, packet.as_deref(), &states), &Config::embedded(), &ports);
    }
}

#[test]
fn more_connections_than_a_trace_can_follow_are_told() {
    let zones: Vec<_> = (1..=514)
        .map(|zone| format!("ct(commit,zone={zone})"))
        .collect();
    let mut config = Config::embedded();
    config.bridge.flows = vec![crate::file::FlowSource::Embedded(crate::file::NamedText {
        name: "test.flows".to_owned(),
        text: format!("udp actions={},output:3", zones.join(",")),
    })];
    let report = offline(asked("in_port=2,udp", None, &[]), &config).expect("a trace");
    let mut text = Vec::new();
    write_trace(&mut text, &report).expect("memory can be written");
    let text = String::from_utf8(text).expect("it is text");
    let told: Vec<_> = text
        .lines()
        .filter(|line| {
            line.ends_with(
                "more than the 512 connections that a trace can follow: this may be wrong",
            )
        })
        .collect();
    // There it would be dropped, and is not.
    assert_eq!(told.len(), 1, "{text}");
    assert!(told[0].contains("zone 513"), "{told:?}");
}
