use proptest::prelude::*;
use weir_packet::strategy::{bytes_of, line as any_line};
use weir_packet::{Frame, VecFrame, parse, text};

use super::*;
use crate::extract::PacketWords;
use crate::field::Field;
use crate::port::{PortConfig, VlanMode};

/// Whoever takes an interest in these bits, in all.
fn interest(bits: u64) -> Interest {
    Interest {
        bits: bits | TCI,
        epoch: 1,
        ..Interest::default()
    }
}

/// Ports 7 and 8, in this order.
fn ports() -> PortTable {
    let port = |no| PortConfig {
        no: PortNo(no),
        name: format!("p{no}"),
        mtu: 1500,
        vlan: VlanMode::TrunkAll,
    };
    PortTable::new(vec![port(7), port(8)])
}

fn key(frame: &VecFrame, interest: Interest) -> Option<Key> {
    let layout = parse(frame.head(), frame.len()).ok()?;
    Key::of(frame.head(), &layout, PortIndex(1), interest)
}

/// What a rule can see of a packet from port `no`.
fn whole(frame: &VecFrame, no: u32) -> FlowKey {
    let mut whole = FlowKey::ZERO;
    let layout = parse(frame.head(), frame.len()).expect("it has a key");
    PacketWords::read(frame.head(), &layout).copy_to(&mut whole);
    whole.set_field(Field::IN_PORT_OXM, no.into());
    whole
}

/// The pattern of a rule that matches what `mask` says of a packet.
fn pattern(of: &FlowKey, mask: &FlowKey, interest: Interest) -> Pattern {
    let shape = MaskShape::new(mask);
    Pattern::of(&shape, &shape.select(of), &ports(), interest)
}

/// The words that keys tell of.
const TOLD: [u8; 10] = [
    word::PORT,
    word::ETH_DST,
    word::ETH_SRC,
    word::IPV4,
    word::IPV6_SRC,
    word::IPV6_SRC + 1,
    word::IPV6_DST,
    word::IPV6_DST + 1,
    word::IP,
    word::L4,
];

/// Some bits of some words.
fn mask() -> impl Strategy<Value = FlowKey> {
    let bits = prop_oneof![
        3 => Just(u64::MAX),
        3 => prop::sample::select(vec![0xffff, 0xff << 24, 0xffff_ffff << 32, 0xffff << 32, 0x1fff]),
        1 => any::<u64>(),
    ];
    let words = prop::collection::vec((prop::sample::select(&TOLD[..]), bits), 0..5);
    (words, any::<[bool; 2]>()).prop_map(|(words, [family, protocol])| {
        let mut mask = FlowKey::ZERO;
        for (at, bits) in words {
            *mask.word_mut(at.into()) |= bits;
        }
        // As rules have it that match addresses or ports.
        *mask.word_mut(word::ETH_DST.into()) |= if family { 0xffff } else { 0 };
        *mask.word_mut(word::IP.into()) |= if protocol { IP_PROTOCOL } else { 0 };
        mask
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, ..ProptestConfig::default() })]

    /// A key without the pattern of a rule is of no packet that the rule can match, as far as the key's
    /// own words tell.
    #[test]
    fn what_differs_from_a_pattern_cannot_match(
        packets in (any_line(), any_line()),
        port in 7..10_u32,
        bits: u64,
        mask in mask(),
        written in mask(),
    ) {
        let interest = interest(bits);
        let [packet, other] =
            [&packets.0, &packets.1].map(|line| VecFrame::new(&bytes_of(line)));
        if let Some(key) = key(&packet, interest)
            && parse(other.head(), other.len()).is_ok()
        {
            let of = whole(&other, port);
            if pattern(&of, &mask, interest).differs(&key, &Unwritten::but(&written)) {
                let ports = ports();
                let told = TOLD.iter().any(|&at| {
                    let (value, known) = key.flow_word(at.into(), &ports, interest);
                    let bits = mask.word(at.into()) & known & !written.word(at.into());
                    (value ^ of.word(at.into())) & bits != 0
                });
                prop_assert!(told);
            }
            // What matches the packet itself is in its pattern.
            let own = whole(&packet, 8);
            prop_assert!(!pattern(&own, &mask, interest).differs(&key, &Unwritten::but(&FlowKey::ZERO)));
        }
    }

    /// What two patterns have in common is in each.
    #[test]
    fn what_differs_from_both_differs_from_each(
        packets in (any_line(), any_line(), any_line()),
        masks in (mask(), mask()),
    ) {
        let interest = interest(u64::MAX);
        let [packet, one, other] = [&packets.0, &packets.1, &packets.2]
            .map(|line| VecFrame::new(&bytes_of(line)));
        let readable = |frame: &VecFrame| parse(frame.head(), frame.len()).is_ok();
        if let Some(key) = key(&packet, interest)
            && readable(&one)
            && readable(&other)
        {
            let one = pattern(&whole(&one, 7), &masks.0, interest);
            let other = pattern(&whole(&other, 8), &masks.1, interest);
            let unwritten = Unwritten::but(&FlowKey::ZERO);
            if one.or(&other).differs(&key, &unwritten) {
                prop_assert!(one.differs(&key, &unwritten) && other.differs(&key, &unwritten));
            }
        }
    }
}

/// A rule for `other` is told from `packet` by `field` alone.
#[track_caller]
fn is_told_by(field: Field, packet: &str, other: &str) {
    let interest = interest(u64::MAX);
    let (packet, other) = (text::frame(packet), text::frame(other));
    let mut mask = FlowKey::ZERO;
    mask.set_field(field, u128::MAX);
    for prerequisite in [Field::ETH_TYPE, Field::NW_PROTO] {
        mask.set_field(prerequisite, u128::MAX);
    }
    let key = key(&packet, interest).expect("it has a key");
    let pattern = pattern(&whole(&other, 8), &mask, interest);
    assert!(
        pattern.differs(&key, &Unwritten::but(&FlowKey::ZERO)),
        "{field:?}"
    );
    let mut written = FlowKey::ZERO;
    written.set_field(field, u128::MAX);
    assert!(
        !pattern.differs(&key, &Unwritten::but(&written)),
        "{field:?}"
    );
}

#[test]
fn each_field_of_a_key_tells_rules_apart() {
    let packet = "udp 10.0.0.1:1 > 10.0.0.2:2";
    for (field, other) in [
        (Field::IP_SRC, "udp 10.0.0.9:1 > 10.0.0.2:2"),
        (Field::IP_DST, "udp 10.0.0.1:1 > 10.0.0.9:2"),
        (Field::UDP_SRC, "udp 10.0.0.1:9 > 10.0.0.2:2"),
        (Field::UDP_DST, "udp 10.0.0.1:1 > 10.0.0.2:9"),
        (Field::NW_PROTO, "tcp 10.0.0.1:1 > 10.0.0.2:2 S"),
        (Field::NW_TTL, "udp 10.0.0.1:1 > 10.0.0.2:2 ttl=9"),
        (Field::VLAN_TCI, "vlan 5 udp 10.0.0.1:1 > 10.0.0.2:2"),
        (Field::ETH_TYPE, "udp [2001:db8::1]:1 > [2001:db8::2]:2"),
        (Field::ETH_TYPE, "arp request 10.0.0.1 > 10.0.0.2"),
    ] {
        is_told_by(field, packet, other);
    }
    let packet = "tcp [2001:db8::1]:1 > [2001:db8::2]:2 A";
    for (field, other) in [
        (Field::IPV6_SRC, "tcp [2001:db8::9]:1 > [2001:db8::2]:2 A"),
        (Field::IPV6_SRC, "tcp [2001:db9::1]:1 > [2001:db8::2]:2 A"),
        (Field::IPV6_DST, "tcp [2001:db8::1]:1 > [2001:db8::9]:2 A"),
        (Field::IPV6_DST, "tcp [2001:db8::1]:1 > [2001:db9::2]:2 A"),
        (Field::TCP_FLAGS, "tcp [2001:db8::1]:1 > [2001:db8::2]:2 S"),
        (Field::TCP_DST, "tcp [2001:db8::1]:1 > [2001:db8::2]:9 A"),
    ] {
        is_told_by(field, packet, other);
    }
}

#[test]
fn a_port_tells_rules_apart_while_it_alone_has_its_number() {
    let packet = text::frame("udp 10.0.0.1:1 > 10.0.0.2:2");
    let key = key(&packet, Interest::default()).expect("it has a key");
    let mut mask = FlowKey::ZERO;
    mask.set_field(Field::IN_PORT_OXM, u128::MAX);
    let shape = MaskShape::new(&mask);
    let differs = |no, ports: &PortTable| {
        let values = shape.select(&whole(&packet, no));
        let pattern = Pattern::of(&shape, &values, ports, Interest::default());
        pattern.differs(&key, &Unwritten::but(&FlowKey::ZERO))
    };
    assert!(differs(7, &ports()));
    assert!(!differs(8, &ports()));
    // Of a port that nobody has, packets may come that are still under way.
    let without = ports().without_port(PortIndex(0));
    assert!(!differs(7, &without));
    let renamed = PortConfig {
        name: "other".to_owned(),
        ..ports().port(PortIndex(0)).clone()
    };
    let (again, _) = without.with_port(renamed, 3).expect("there is room");
    assert!(!differs(7, &again));
}
