use super::*;
use crate::{layout, text};

fn tuple(src: &str, dst: &str, protocol: u8) -> Tuple {
    let (src, dst): (SocketAddr, SocketAddr) = (src.parse().unwrap(), dst.parse().unwrap());
    let ip = match (src.ip(), dst.ip()) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => IpPair::V4 { src, dst },
        (IpAddr::V6(src), IpAddr::V6(dst)) => IpPair::V6 { src, dst },
        (src, dst) => panic!("{src} and {dst} are of two families"),
    };
    Tuple {
        ip,
        protocol,
        src_port: src.port(),
        dst_port: dst.port(),
    }
}

#[test]
fn ports_swap() {
    let there = tuple("10.0.0.5:4000", "192.0.2.9:53", protocol::UDP);
    assert_eq!(
        there.reversed(),
        tuple("192.0.2.9:53", "10.0.0.5:4000", protocol::UDP)
    );
    assert_eq!(there.to_string(), "udp 10.0.0.5:4000 > 192.0.2.9:53");
}

#[test]
fn queries_become_replies_and_keep_their_identifier() {
    let echo = tuple("10.0.0.1:7", "10.0.0.2:2048", protocol::ICMP);
    assert_eq!(
        echo.to_string(),
        "icmp 10.0.0.1 > 10.0.0.2 type=8 code=0 id=7"
    );
    assert_eq!(
        echo.reversed().to_string(),
        "icmp 10.0.0.2 > 10.0.0.1 type=0 code=0 id=7"
    );
    let echo = tuple("[::1]:7", "[::2]:32768", protocol::ICMPV6);
    assert_eq!(echo.to_string(), "icmp6 ::1 > ::2 type=128 code=0 id=7");
    assert_eq!(
        echo.reversed().to_string(),
        "icmp6 ::2 > ::1 type=129 code=0 id=7"
    );
}

#[test]
fn an_icmp_number_in_the_other_family_is_nothing_special() {
    let strange = tuple("10.0.0.1:0", "10.0.0.2:0", protocol::ICMPV6);
    assert_eq!(strange.to_string(), "proto=58 10.0.0.1 > 10.0.0.2");
    assert_eq!(
        strange.reversed().to_string(),
        "proto=58 10.0.0.2 > 10.0.0.1"
    );
}

#[test]
fn reversing_twice_is_the_identity() {
    for number in 0..=u8::MAX {
        for icmp_type in [0, 8, 13, 14, 15, 16] {
            let there = tuple("10.0.0.1:5", "10.0.0.2:0", number);
            let there = Tuple {
                dst_port: icmp_type << 8,
                ..there
            };
            assert_eq!(there.reversed().reversed(), there);
        }
    }
}

/// The tuple of a line's packet, as text.
fn of(line: &str) -> Option<String> {
    let bytes = text::parse(line).unwrap();
    let layout = layout::parse(&bytes, bytes.len()).unwrap();
    Tuple::of(&bytes, &layout).map(|tuple| tuple.to_string())
}

#[test]
fn packets_have_tuples() {
    for line in [
        "tcp 10.0.0.1:1 > 10.0.0.2:2",
        "udp [2001:db8::1]:1 > [2001:db8::2]:65535",
        "sctp 10.0.0.1:1 > 10.0.0.2:0",
        "icmp 10.0.0.1 > 10.0.0.2 type=13 code=0 id=7",
        "icmp 10.0.0.1 > 10.0.0.2 type=17 code=0 id=7",
        "icmp6 ::1 > ::2 type=129 code=0 id=7",
        "icmp6 ::1 > ::2 type=140 code=0 id=0",
    ] {
        assert_eq!(of(&line.replace(" id=0", "")).as_deref(), Some(line));
    }
    assert_eq!(
        of("ip proto=47 ::1 > ::2 len=9").as_deref(),
        Some("proto=47 ::1 > ::2")
    );
}

#[test]
fn a_gre_key_is_part_of_the_tuple() {
    let key = |header: &str| of(&format!("ip proto=47 ::1 > ::2 data={header}"));
    let with = |key: &str| Some(format!("proto=47 ::1 > ::2{key}"));
    assert_eq!(key("00000800"), with(""));
    assert_eq!(key("200008000a0b0c0d"), with(" key=168496141"));
    // Behind a sum; behind the sum that goes with the routing of RFC 1701.
    assert_eq!(key("a0000800ffff000000000007"), with(" key=7"));
    assert_eq!(key("60000800ffff000000000007"), with(" key=7"));
    // A sequence number is none, nor is the call of enhanced GRE.
    assert_eq!(key("1000080000000007"), with(""));
    assert_eq!(key("2001880b00040007"), with(""));
    // Cut off.
    assert_eq!(key("000008"), None);
    assert_eq!(key("20000800000000"), None);
}

#[test]
fn the_answer_to_a_gre_packet_has_its_key() {
    let there = tuple("10.0.0.1:1", "10.0.0.2:2", protocol::GRE);
    assert_eq!(there.gre_key(), Some(0x1_0002));
    assert_eq!(
        there.reversed(),
        tuple("10.0.0.2:1", "10.0.0.1:2", protocol::GRE)
    );
}

#[test]
fn some_packets_have_none() {
    for line in [
        "arp request 10.0.0.1 > 10.0.0.2",
        "udp 10.0.0.1:1 > 10.0.0.2:2 frag id=1 off=0 mf",
        "ip proto=47 10.0.0.1 > 10.0.0.2 frag id=1 off=8",
        "icmp 10.0.0.1 > 10.0.0.2 echo-request code=1 id=7 seq=1",
        "icmp 10.0.0.1 > 10.0.0.2 unreachable { udp 10.0.0.2:1 > 10.0.0.1:1 }",
        "icmp6 ::1 > ::2 neighbor-solicit target=::2",
        "ip proto=6 10.0.0.1 > 10.0.0.2 len=19",
        // Whole as ICMPv6, too short for an identifier; the padding is none.
        "ip proto=58 ::1 > ::2 data=80000000 pad=20",
    ] {
        assert_eq!(of(line), None, "{line}");
    }
}
