use std::net::IpAddr;

use proptest::prelude::*;
use weir_packet::strategy::{broken, bytes_of, line as any_line};
use weir_packet::{Frame, Tuple, VecFrame, parse, text};

use super::*;
use crate::extract::PacketWords;
use crate::field::Field;
use crate::port::{PortConfig, PortNo, VlanMode};

/// All bits.
const EVERYTHING: Interest = Interest {
    tunnel: 0,
    bits: u64::MAX,
    epoch: 3,
    size: 200,
};

fn key(frame: &VecFrame, interest: Interest) -> Option<Key> {
    let layout = parse(frame.head(), frame.len()).ok()?;
    Key::of(frame.head(), &layout, PortIndex(1), interest)
}

fn line(line: &str) -> VecFrame {
    text::frame(line)
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![3 => any_line().prop_map(|line| bytes_of(&line)), 1 => broken()]
}

#[test]
fn packets_of_these_classes_have_a_key() {
    for packet in [
        "udp 10.0.0.1:1 > 10.0.0.2:2",
        "tcp 10.0.0.1:1 > 10.0.0.2:2 S",
        "icmp 10.0.0.1 > 10.0.0.2 echo-request id=1 seq=1",
        "icmp 10.0.0.1 > 10.0.0.2 echo-reply id=1 seq=1",
        "udp [2001:db8::1]:1 > [2001:db8::2]:2",
        "tcp [2001:db8::1]:1 > [2001:db8::2]:2 A",
        "vlan 5 udp 10.0.0.1:1 > 10.0.0.2:2",
    ] {
        assert!(
            key(&line(packet), Interest::default()).is_some(),
            "{packet}"
        );
    }
}

#[test]
fn other_packets_have_none() {
    for packet in [
        "vlan 5 vlan 6 udp 10.0.0.1:1 > 10.0.0.2:2",
        "udp 10.0.0.1:1 > 10.0.0.2:2 frag id=7 off=0 mf len=1472",
        "icmp 10.0.0.9 > 10.0.0.1 unreachable code=3 { udp 10.0.0.1:4 > 10.0.0.2:5 len=9 } cut=28",
        "ether type=0x88cc len=46",
        "ip proto=47 10.0.0.1 > 10.0.0.2 data=00000800",
    ] {
        assert_eq!(key(&line(packet), Interest::default()), None, "{packet}");
    }
}

#[test]
fn what_differs_from_packet_to_packet_counts_if_somebody_takes_an_interest() {
    let (one, other) = (
        line("tcp 10.0.0.1:1 > 10.0.0.2:2 A ttl=5 tos=0x4 seq=1"),
        line("tcp 10.0.0.1:1 > 10.0.0.2:2 PA ttl=6 tos=0x8 seq=2"),
    );
    let narrow = Interest::default();
    assert_eq!(key(&one, narrow), key(&other, narrow));
    for (field, shift) in [(0xff, TOS_SHIFT), (0xff, TTL_SHIFT), (0xfff, FLAGS_SHIFT)] {
        let bits = narrow.bits | field << shift;
        let wide = Interest {
            bits,
            epoch: 1,
            ..Interest::default()
        };
        assert_ne!(key(&one, wide), key(&other, wide), "{shift}");
        assert_ne!(key(&one, wide), key(&one, narrow), "another epoch");
    }
}

#[test]
fn the_quick_look_is_for_most_packets() {
    let lines = [
        ("udp 10.0.0.1:1 > 10.0.0.2:2", true, false),
        ("tcp 10.0.0.1:1 > 10.0.0.2:2 A", true, false),
        ("udp [2001:db8::1]:1 > [2001:db8::2]:2", false, true),
        ("tcp [2001:db8::1]:1 > [2001:db8::2]:2 A", false, true),
        ("sctp [2001:db8::1]:1 > [2001:db8::2]:2", false, false),
    ];
    for (text, v4, v6) in lines {
        let frame = line(text);
        let (head, len) = (frame.head(), frame.len());
        for (read, expected) in [
            (
                Key::read_plain as fn(_, _, _, _, &mut _, &mut _) -> bool,
                v4,
            ),
            (Key::read_plain_v6, v6),
        ] {
            let (mut layout, mut key) = (Layout::default(), Key::default());
            let is_read = read(head, len, PortIndex(1), EVERYTHING, &mut layout, &mut key);
            assert_eq!(is_read, expected, "{text}");
        }
    }
}

proptest! {
    /// The quick look says what the thorough one says, or nothing.
    #[test]
    fn plain_packets_are_like_others(frame in any_frame()) {
        let frame = VecFrame::new(&frame);
        let (head, len) = (frame.head(), frame.len());
        for read in [Key::read_plain, Key::read_plain_v6] {
            let (mut layout, mut key) = (Layout::default(), Key::default());
            if read(head, len, PortIndex(1), EVERYTHING, &mut layout, &mut key) {
                prop_assert_eq!(parse(head, len), Ok(layout));
                prop_assert_eq!(Key::of(head, &layout, PortIndex(1), EVERYTHING), Some(key));
                if layout.l3 == L3::Ipv4 {
                    let tuple = Tuple::of(head, &layout).expect("it has ports");
                    let end = |address, port| match address {
                        IpAddr::V4(address) => u64::from(address.to_bits()) << 16 | u64::from(port),
                        IpAddr::V6(_) => 0,
                    };
                    let (src, dst) = (end(tuple.src(), tuple.src_port), end(tuple.dst(), tuple.dst_port));
                    prop_assert_eq!(key.plain_ends(), [src, dst]);
                    prop_assert_eq!(key.protocol(), tuple.protocol);
                }
            }
        }
    }

    /// What the key says is what the flow key says.
    #[test]
    fn a_key_tells_the_flow_key(frame in any_frame(), bits: u64) {
        let frame = VecFrame::new(&frame);
        let interest = Interest { bits: bits | 0xffff, epoch: 1, ..Interest::default() };
        if let Some(key) = key(&frame, interest) {
            let port = |no| PortConfig {
                no: PortNo(no),
                name: format!("p{no}"),
                mtu: 1500,
                vlan: VlanMode::TrunkAll,
            };
            let ports = PortTable::new(vec![port(7), port(8)]);
            let (known, mask) = key.flow_key(&ports, interest);
            let mut whole = FlowKey::ZERO;
            let layout = parse(frame.head(), frame.len()).expect("it has a key");
            PacketWords::read(frame.head(), &layout).copy_to(&mut whole);
            whole.set_field(Field::IN_PORT_OXM, 8);
            whole.set_field(Field::ACTSET_OUTPUT, PortNo::UNSET.0.into());
            for (at, mask) in mask.words().iter().enumerate() {
                let nd = at >= usize::from(word::ND_SLL);
                prop_assert_eq!(
                    whole.words()[at] & mask,
                    if nd { 0 } else { known.words()[at] },
                    "word {}", at
                );
            }
        }
    }
}
