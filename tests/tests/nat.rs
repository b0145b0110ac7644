//! `ct(nat(...))` through the whole switch. What Open vSwitch does is in `differential/cases`;
//! here is what it does not do, and what no list of packets can say.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use proptest::prelude::*;
use weir_nat::rewrite;
use weir_packet::checksum::{ipv4_header_checksum_ok, l4_checksum_ok};
use weir_packet::{Frame, L4, Tuple, VecFrame, parse, strategy, text};
use weir_tests::switch::Switch;

const ASK: &str = "udp 10.0.0.5:4000 > 192.0.2.9:53";

/// 1 is inside, 2 outside; nothing comes in that belongs to no connection.
fn masquerade(range: &str) -> String {
    format!(
        "in_port=1,ip actions=ct(commit,nat(src={range})),output:2
         in_port=2,ip actions=ct(nat,table=1)
         table=1,ct_state=+est actions=output:1
         table=1,ct_state=+rel actions=output:1"
    )
}

#[test]
fn snat_reply_is_translated_back() {
    let mut sw = Switch::with_flows(&masquerade("198.51.100.7"));
    sw.inject(1, ASK);
    assert_eq!(sw.sent(2), ["udp 198.51.100.7:4000 > 192.0.2.9:53"]);
    sw.inject(2, "udp 192.0.2.9:53 > 198.51.100.7:4000");
    assert_eq!(sw.sent(1), ["udp 192.0.2.9:53 > 10.0.0.5:4000"]);
    assert_eq!(
        sw.conntrack(),
        ["udp,orig=(src=10.0.0.5,dst=192.0.2.9,sport=4000,dport=53),\
          reply=(src=192.0.2.9,dst=198.51.100.7,sport=53,dport=4000)"]
    );
    // Unasked for.
    sw.inject(2, "udp 192.0.2.8:53 > 198.51.100.7:4000");
    sw.inject(2, "udp 192.0.2.9:53 > 10.0.0.5:4000");
    sw.assert_state("ct: replied=1; drops: table_miss=2");
}

/// Every address and every port before "exhausted"; then the packet is dropped by name, never
/// sent untranslated; and what comes back is given out again.
#[test]
fn a_range_is_exhausted_when_nothing_of_it_is_left() {
    let mut sw = Switch::with_flows(&masquerade("198.51.100.7-198.51.100.9:6000-6003"));
    let mut outside = BTreeSet::new();
    for client in 1..=12 {
        sw.inject(1, &format!("udp 10.0.0.{client}:4000 > 192.0.2.9:53"));
        outside.extend(sw.sent(2));
    }
    let all = (7..=9).flat_map(|address| {
        (6000..=6003).map(move |port| format!("udp 198.51.100.{address}:{port} > 192.0.2.9:53"))
    });
    assert_eq!(outside, all.collect());

    let late = "udp 10.0.0.13:4000 > 192.0.2.9:53";
    sw.inject(1, late);
    assert_eq!(sw.sent_anywhere(), [""; 0]);
    sw.inject(1, "udp 10.0.0.13:4000 > 192.0.2.9:54");
    assert_eq!(sw.sent(2).len(), 1, "another destination");

    assert_eq!(sw.flush_conntrack(&["ct_nw_src=10.0.0.3"]), 1);
    sw.inject(1, late);
    assert!(outside.contains(&sw.sent(2)[0]), "what came back");
    sw.inject(1, "udp 10.0.0.14:4000 > 192.0.2.9:53");
    // When all have expired, all is free.
    sw.advance(60);
    sw.inject(1, "udp 10.0.0.15:4000 > 192.0.2.9:53");
    assert!(outside.contains(&sw.sent(2)[0]));
    sw.assert_state(
        "ct: new=1 created=15 expired=13 flushed=1 refused_nat_exhausted=2;
         drops: nat_exhausted=2",
    );
}

#[test]
fn a_client_keeps_its_address_and_with_persistent_after_a_restart() {
    let address_of = |secret, flags: &str, client: u8| {
        let flows = masquerade(&format!("198.51.100.0-198.51.100.255{flags}"));
        let mut sw = Switch::builder().secret(secret).flows(&flows);
        let addresses: HashSet<String> = (1..20)
            .map(|n| {
                sw.inject(
                    1,
                    &format!("udp 10.0.0.{client}:{} > 192.0.2.{n}:53", 4000 + n),
                );
                let sent = sw.sent(2).remove(0);
                let (address, _) = sent.split_once(':').expect("it has a port");
                address.to_owned()
            })
            .collect();
        assert_eq!(addresses.len(), 1, "{addresses:?}");
        addresses.into_iter().next()
    };
    for client in 1..5 {
        let restarts = |flags| (0..6).map(move |secret| address_of(secret, flags, client));
        assert!(restarts("").collect::<HashSet<_>>().len() > 1);
        assert_eq!(restarts(",persistent").collect::<HashSet<_>>().len(), 1);
    }
}

/// A rule without `ip` may translate; what it cannot be applied to is not let through.
#[test]
fn a_range_of_the_other_version_drops() {
    let mut sw = Switch::with_flows("in_port=1 actions=ct(commit,nat(src=198.51.100.7)),output:2");
    sw.inject(1, "udp [fc00::1]:1 > [fc00::2]:2");
    sw.inject(1, "arp request 10.0.0.1 > 10.0.0.2");
    assert_eq!(sw.sent(2), ["arp request 10.0.0.1 > 10.0.0.2"]);
    sw.assert_state(
        "ct: refused_nat_version=1 invalid_not_ip=1;
         drops: nat_version=1",
    );
}

/// The same as one policy: a journey through both zones either way, met in bursts.
#[test]
fn both_ends_in_two_zones_packet_by_packet_of_one_burst() {
    let mut sw = Switch::with_flows(
        "in_port=1,ip actions=ct(commit,zone=1,nat(dst=10.0.0.9:8080),table=1)
         table=1,ip actions=ct(commit,zone=2,nat(src=10.0.0.1)),output:2
         in_port=2,ip actions=ct(zone=2,nat,table=2)
         table=2,ip actions=ct(zone=1,nat),output:1",
    );
    let ask =
        |client: u8, len: u8| format!("udp 203.0.113.{client}:4000 > 198.51.100.1:53 len={len}");
    let (a, b, c) = (ask(5, 1), ask(6, 2), ask(5, 3));
    sw.inject_burst(1, &[&a, &b, &c]);
    assert_eq!(
        sw.sent(2),
        [
            "udp 10.0.0.1:4000 > 10.0.0.9:8080 len=1",
            "udp 10.0.0.1:4001 > 10.0.0.9:8080 len=2",
            "udp 10.0.0.1:4000 > 10.0.0.9:8080 len=3",
        ]
    );
    sw.inject_burst(
        2,
        &[
            "udp 10.0.0.9:8080 > 10.0.0.1:4001 len=4",
            "udp 10.0.0.9:8080 > 10.0.0.1:4000 len=5",
        ],
    );
    assert_eq!(
        sw.sent(1),
        [
            "udp 198.51.100.1:53 > 203.0.113.6:4000 len=4",
            "udp 198.51.100.1:53 > 203.0.113.5:4000 len=5",
        ]
    );
    sw.assert_state("ct: replied=4; drops: none");
}

/// Whatever is left of the quoted packet is what its sender sent, and every checksum is right;
/// the harness looks at the outer ones.
#[test]
fn a_quote_of_any_length_is_the_senders_own_packet() {
    for (ask, quoted, plain, least) in [
        (
            "udp 10.0.0.5:4000 > 192.0.2.9:53 len=40",
            "udp 198.51.100.7:6000 > 192.0.2.9:53 len=40",
            "udp 10.0.0.5:4000 > 192.0.2.9:53 len=40",
            28,
        ),
        (
            "tcp 10.0.0.5:4000 > 192.0.2.9:80 S seq=5 mss=1460",
            "tcp 198.51.100.7:6000 > 192.0.2.9:80 S seq=5 mss=1460",
            "tcp 10.0.0.5:4000 > 192.0.2.9:80 S seq=5 mss=1460",
            28,
        ),
        (
            "icmp 10.0.0.5 > 192.0.2.9 echo-request id=7 seq=1 len=30",
            "icmp 198.51.100.7 > 192.0.2.9 echo-request id=6000 seq=1 len=30",
            "icmp 10.0.0.5 > 192.0.2.9 echo-request id=7 seq=1 len=30",
            28,
        ),
        (
            "sctp 10.0.0.5:4000 > 192.0.2.9:80 init=0x1",
            "sctp 198.51.100.7:6000 > 192.0.2.9:80 init=0x1",
            "sctp 10.0.0.5:4000 > 192.0.2.9:80 init=0x1",
            28,
        ),
    ] {
        let mut sw = Switch::with_flows(&masquerade("198.51.100.7:6000"));
        sw.inject(1, ask);
        let sent = sw.sent_frames(2);
        assert_eq!(sent, [text::frame(quoted)]);
        let size = sent[0].len() - 14;
        for cut in least..=size {
            // Half of a checksum cannot be kept right.
            if ask.starts_with("tcp") && cut == 37 {
                continue;
            }
            let error = |to: &str, inner: &str| {
                format!("icmp 203.0.113.1 > {to} time-exceeded {{ {inner} }} cut={cut}")
            };
            sw.inject(2, &error("198.51.100.7", quoted));
            let wanted = text::frame(&error("10.0.0.5", plain));
            assert_eq!(sw.sent_frames(1), [wanted], "{ask} cut={cut}");
        }
    }
}

fn seed() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../config/tests/seeds/nat-same-address-tenants.flows");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Two tenants have the address 192.168.0.7. Both reach the target at port 3, each seen under
/// an address of its own; the target cannot reach them unasked.
#[test]
fn tenants_of_one_address_are_told_apart() {
    let mut sw = Switch::with_flows(&seed());
    let router = "fa:ff:ff:ff:ff:ff";
    let target = "ba:60:bd:9b:27:a7";
    let tenants = [
        (1, "ba:23:62:78:ce:d2", "192.168.0.17"),
        (2, "ca:7a:93:97:f9:40", "192.168.0.27"),
    ];
    for (_, _, outside) in tenants {
        let unasked = format!("tcp 172.168.0.7:80 > {outside}:4000 S");
        sw.inject(3, &format!("eth {target} > {router} {unasked}"));
        assert_eq!(sw.sent_anywhere(), [""; 0]);
    }
    let exchanges = [
        (
            "icmp {A} > 172.168.0.7 echo-request id=1 seq=1 len=56",
            "icmp 172.168.0.7 > {A} echo-reply id=1 seq=1 len=56",
        ),
        (
            "tcp {A}:4000 > 172.168.0.7:80 S seq=1",
            "tcp 172.168.0.7:80 > {A}:4000 SA seq=9 ack=2",
        ),
        (
            "tcp {A}:4000 > 172.168.0.7:80 PA seq=2 ack=10 len=100",
            "tcp 172.168.0.7:80 > {A}:4000 PA seq=10 ack=102 len=1000",
        ),
        (
            "udp {A}:4000 > 172.168.0.7:53 len=40",
            "udp 172.168.0.7:53 > {A}:4000 len=80",
        ),
    ];
    for (ask, answer) in exchanges {
        // Both ask before either is answered.
        for (port, mac, outside) in tenants {
            let ask = |address: &str| ask.replace("{A}", address);
            sw.inject(
                port,
                &format!("eth {mac} > {router} {}", ask("192.168.0.7")),
            );
            assert_eq!(
                sw.sent_anywhere(),
                [format!("3: eth {mac} > {target} {}", ask(outside))]
            );
        }
        for (port, mac, outside) in tenants {
            let answer = |address: &str| answer.replace("{A}", address);
            sw.inject(3, &format!("eth {target} > {router} {}", answer(outside)));
            assert_eq!(
                sw.sent_anywhere(),
                [format!(
                    "{port}: eth {target} > {mac} {}",
                    answer("192.168.0.7")
                )]
            );
        }
    }
    sw.assert_state("ct: replied=6; drops: table_miss=2");
}

/// The answer that a mirror would give: source and destination swapped, requests made replies
/// and the other way round. Twice is nothing.
fn mirrored(frame: &VecFrame) -> Option<VecFrame> {
    let layout = parse(frame.head(), frame.len()).ok()?;
    let tuple = Tuple::of(frame.head(), &layout)?;
    let mut mirrored = frame.clone();
    let reversed = tuple.reversed();
    rewrite::set_tuple(mirrored.head_mut(), &layout, &reversed);
    if matches!(layout.l4, L4::Icmp | L4::Icmpv6) {
        let [kind, _] = reversed.dst_port.to_be_bytes();
        rewrite::set_icmp_type(mirrored.head_mut(), &layout, kind);
    }
    Some(mirrored)
}

fn is_right(frame: &VecFrame) -> bool {
    parse(frame.head(), frame.len()).is_ok_and(|layout| {
        ipv4_header_checksum_ok(frame.head(), &layout) && l4_checksum_ok(frame, &layout)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]
    /// Out, off a mirror, and in again: every byte is what it was, whatever the packet, its
    /// tags, options and payload; and on the way every checksum was right.
    #[test]
    fn there_and_back(line in strategy::whole_ip_line(), destination: bool, ports: bool) {
        let end = if destination { "dst" } else { "src" };
        let (v4, v6) = if ports {
            ("198.51.100.7:6000-6001", "[2001:db8::7]:6000-6001")
        } else {
            ("198.51.100.7", "2001:db8::7")
        };
        let mut sw = Switch::with_flows(&format!(
            "in_port=1,ip actions=ct(commit,nat({end}={v4}),table=1)
             in_port=1,ipv6 actions=ct(commit,nat({end}={v6}),table=1)
             in_port=2,ip actions=ct(nat,table=2)
             in_port=2,ipv6 actions=ct(nat,table=2)
             table=1,ct_state=+snat actions=output:2
             table=1,ct_state=+dnat actions=output:2
             table=2 actions=output:1"
        ));
        sw.ignore_what_is_sent();
        let before = text::frame(&line);
        sw.inject_frames(1, vec![before.clone()]);
        let translated = sw.sent_frames(2).pop();
        // Some packets open no connection.
        prop_assume!(translated.is_some());
        let translated = translated.expect("it is there");
        prop_assert!(is_right(&translated), "{}", text::describe(translated.bytes()));
        let answer = mirrored(&translated).expect("it has a tuple");
        sw.inject_frames(2, vec![answer]);
        let back = sw.sent_frames(1).pop().expect("whatever is answered");
        prop_assert!(is_right(&back), "{}", text::describe(back.bytes()));
        let back = mirrored(&back).expect("it has a tuple");
        prop_assert_eq!(text::describe(back.bytes()), text::describe(before.bytes()));
    }
}
