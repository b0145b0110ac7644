use proptest::prelude::*;
use weir_packet::checksum::{ipv4_header_checksum_ok, l4_checksum_ok};
use weir_packet::{SegmentedFrame, VecFrame, parse, strategy};

use super::super::config::{TunnelConfig, Tunnels};
use super::super::options::TlvMap;
use super::super::{Reception, classify};
use super::*;

const TUNNEL: PortIndex = PortIndex(1);
const BELOW: PortIndex = PortIndex(0);

/// One tunnel of each end.
fn ends(kind: TunnelKind, v6: bool, key: TunnelKey) -> [TunnelConfig; 2] {
    let [here, there]: [IpAddr; 2] = match v6 {
        false => [[192, 0, 2, 1].into(), [192, 0, 2, 7].into()],
        true => [1, 7].map(|end| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, end])),
    };
    [(here, there), (there, here)].map(|(local, remote)| TunnelConfig {
        kind,
        over: BELOW,
        local,
        remote: Remote::Address(remote),
        key,
        dst_port: kind.default_port().unwrap_or(0),
    })
}

fn kinds() -> impl Strategy<Value = TunnelKind> {
    prop::sample::select(&TunnelKind::ALL[..])
}

fn options() -> impl Strategy<Value = RawOptions> {
    prop::collection::vec((any::<u16>(), any::<u8>(), 0..4_u8), 0..8).prop_map(|all| {
        let mut bytes = Vec::new();
        for (class, option_type, words) in all {
            bytes.extend(class.to_be_bytes());
            // Nobody has to know them.
            bytes.extend([option_type & 0x7f, words]);
            bytes.extend(vec![option_type; usize::from(words) * 4]);
        }
        RawOptions::of(&bytes)
    })
}

/// The headers from `config`'s end, with a flow's key of 5.
fn outer(config: &TunnelConfig, options: RawOptions) -> Outer {
    let mut key = FlowKey::ZERO;
    key.set_field(Field::TUN_ID, 5);
    let to = Destination::of(config, &key).expect("it has an address");
    let macs = [[2, 0, 0, 0, 0, 7], [2, 0, 0, 0, 0, 1]];
    let mut outer = Outer::new(TUNNEL, config, &to, macs, NeighbourPlace::STATIC);
    if config.kind == TunnelKind::Geneve {
        outer.options = options;
    }
    outer
}

/// Whether the outer packet is one that every host takes.
fn is_right<F: Frame>(frame: &F, outer: &Outer) -> bool {
    let layout = parse(frame.head(), frame.len()).expect("no runt");
    let carries_udp = outer.kind != TunnelKind::Gre;
    layout.malformed.is_none()
        && layout.l3_end as usize == frame.len()
        && ipv4_header_checksum_ok(frame.head(), &layout)
        && l4_checksum_ok(frame, &layout)
        && (layout.l4 == L4::Udp) == carries_udp
}

proptest! {
    /// The other end gets the packet that went in.
    #[test]
    fn what_is_wrapped_comes_out_as_it_was(
        line in strategy::line(),
        kind in kinds(),
        v6 in any::<bool>(),
        key in prop::sample::select(&[TunnelKey::Absent, TunnelKey::Number(0xab_cdef), TunnelKey::Flow][..]),
        options in options(),
    ) {
        let [here, there] = ends(kind, v6, key);
        let outer = outer(&here, options);
        let original = weir_packet::text::frame(&line);
        let layout = parse(original.head(), original.len()).expect("no runt");
        let mut frame = VecFrame::from([vec![0; 300], original.bytes().to_vec()].concat());
        frame.pull_front(300);
        prop_assert!(outer.wrap(&mut frame, &layout).is_ok());
        prop_assert_eq!(frame.len(), original.len() + outer.size());
        prop_assert!(is_right(&frame, &outer));

        let tunnels = Tunnels::new(&[(TUNNEL, there)], &[]);
        let Reception::Inner(meta) = classify(&mut frame, BELOW, &tunnels, &TlvMap::default()) else {
            return Err(TestCaseError::fail(format!("{line} did not come out")));
        };
        prop_assert_eq!(meta.port, TUNNEL);
        let mut came = FlowKey::ZERO;
        meta.write_to(&mut came);
        prop_assert_eq!(came.field(Field::TUN_ID), u128::from(outer.key.unwrap_or(0)));
        prop_assert_eq!(came.field(Field::TUN_TTL), u128::from(TTL));
        prop_assert_eq!(frame.bytes(), original.bytes());
    }

    /// A frame in pieces is wrapped as one in one piece.
    #[test]
    fn segments_do_not_matter(
        line in strategy::whole_ip_line(),
        kind in kinds(),
        v6 in any::<bool>(),
        sizes in prop::collection::vec(0..40_usize, 1..4),
    ) {
        let [here, there] = ends(kind, v6, TunnelKey::Number(5));
        let outer = outer(&here, RawOptions::NONE);
        let mut linear = weir_packet::text::frame(&line);
        let layout = parse(linear.head(), linear.len()).expect("no runt");
        let head = layout.l4_offset.max(layout.l3_offset).max(14) + 20;
        let mut pieces = SegmentedFrame::new(linear.bytes(), head.into(), &sizes);
        prop_assert!(outer.wrap(&mut linear, &layout).is_ok());
        prop_assert!(outer.wrap(&mut pieces, &layout).is_ok());
        prop_assert_eq!(linear.bytes(), pieces.to_vec());

        let tunnels = Tunnels::new(&[(TUNNEL, there)], &[]);
        let came = matches!(classify(&mut pieces, BELOW, &tunnels, &TlvMap::default()), Reception::Inner(_));
        prop_assert!(came);
        let original = weir_packet::text::frame(&line);
        prop_assert_eq!(original.bytes(), pieces.to_vec());
    }

    /// Whatever comes in at an underlay port is taken without a panic, and what is not taken for
    /// a tunnel's is left as it was.
    #[test]
    fn no_bytes_are_too_odd(bytes in strategy::broken(), damage in any::<(u8, u8)>(), v6 in any::<bool>()) {
        let both = TunnelKind::ALL.map(|kind| {
            let [here, there] = ends(kind, v6, TunnelKey::Flow);
            (here, TunnelConfig { remote: Remote::Flow, ..there })
        });
        let list: Vec<_> = (1..).map(PortIndex).zip(both.map(|(_, there)| there)).collect();
        let tunnels = Tunnels::new(&list, &[]);
        let mut frame = VecFrame::from(bytes.clone());
        if let Reception::Ordinary = classify(&mut frame, BELOW, &tunnels, &TlvMap::default()) {
            prop_assert_eq!(frame.bytes(), &bytes[..]);
        }
        // The same inside of a tunnel, whose headers are damaged.
        for (here, _) in both {
            let mut frame = VecFrame::from(bytes.clone());
            let Ok(layout) = parse(frame.head(), frame.len()) else { continue };
            let outer = outer(&here, RawOptions::NONE);
            prop_assert!(outer.wrap(&mut frame, &layout).is_ok());
            let at = 14 + usize::from(damage.0) % (outer.size() - 14);
            frame.head_mut()[at] ^= damage.1;
            let _ = classify(&mut frame, BELOW, &tunnels, &TlvMap::default());
        }
    }
}

#[test]
fn a_destination_has_to_be_one_host() {
    let [mut config, _] = ends(TunnelKind::Vxlan, false, TunnelKey::Flow);
    config.remote = Remote::Flow;
    let to = |address: u32| {
        let mut key = FlowKey::ZERO;
        key.set_field(Field::TUN_DST, address.into());
        Destination::of(&config, &key)
    };
    assert_eq!(to(0), None);
    assert_eq!(to(0xe000_0001), None);
    assert!(to(0x0a00_0001).is_some());
}

#[test]
fn without_room_a_frame_is_left_as_it_was() {
    let [config, _] = ends(TunnelKind::Vxlan, true, TunnelKey::Number(1));
    let mut frame = weir_packet::text::frame("udp 10.0.0.1:1 > 10.0.0.2:2");
    let layout = parse(frame.head(), frame.len()).expect("no runt");
    frame
        .push_front(VecFrame::HEADROOM - 48)
        .expect("there is room");
    let before = frame.clone();
    let outer = outer(&config, RawOptions::NONE);
    assert_eq!(outer.size(), 14 + 40 + 16);
    assert_eq!(outer.wrap(&mut frame, &layout), Err(NoHeadroom));
    assert_eq!(frame, before);
}
