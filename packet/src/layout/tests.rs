use proptest::prelude::*;

use super::*;
use crate::frame::Frame;
use crate::strategy;
use crate::text;

fn layout(line: &str) -> Layout {
    let bytes = text::parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    parse(&bytes, bytes.len()).unwrap_or_else(|error| panic!("{line}: {error:?}"))
}

/// The layout of an unbroken packet without tags whose IP header has no options.
fn plain(l3: L3, l4: L4, protocol: u8, l3_size: u32) -> Layout {
    let (ether_type, header) = match l3 {
        L3::Ipv4 => (0x0800, 20),
        L3::Ipv6 => (0x86dd, 40),
        L3::Arp | L3::Other => panic!("no IP"),
    };
    Layout {
        ether_type,
        protocol,
        l3,
        l4,
        l3_offset: 14,
        l4_offset: 14 + header,
        l3_end: 14 + l3_size,
        ..Layout::default()
    }
}

#[test]
fn whole_packets() {
    for (line, wanted) in [
        (
            "tcp 10.0.0.1:1 > 10.0.0.2:2 S mss=9",
            plain(L3::Ipv4, L4::Tcp, 6, 44),
        ),
        (
            "udp 10.0.0.1:1 > 10.0.0.2:2 len=3 pad=9",
            plain(L3::Ipv4, L4::Udp, 17, 31),
        ),
        ("sctp [::1]:1 > [::2]:2", plain(L3::Ipv6, L4::Sctp, 132, 52)),
        (
            "icmp 10.0.0.1 > 10.0.0.2 echo-request",
            plain(L3::Ipv4, L4::Icmp, 1, 28),
        ),
        (
            "icmp6 ::1 > ::2 echo-request",
            plain(L3::Ipv6, L4::Icmpv6, 58, 48),
        ),
        (
            "ip proto=47 ::1 > ::2 len=1",
            plain(L3::Ipv6, L4::None, 47, 41),
        ),
        // An ICMP of the other family has no view; its number is still matched.
        (
            "ip proto=58 10.0.0.1 > 10.0.0.2 len=8",
            plain(L3::Ipv4, L4::None, 58, 28),
        ),
        (
            "ip proto=1 ::1 > ::2 len=8",
            plain(L3::Ipv6, L4::None, 1, 48),
        ),
        // Four bytes are a whole ICMPv6 header.
        (
            "ip proto=58 ::1 > ::2 len=4",
            plain(L3::Ipv6, L4::Icmpv6, 58, 44),
        ),
    ] {
        assert_eq!(layout(line), wanted, "{line}");
    }
}

#[test]
fn options_tags_and_extension_headers_move_what_follows() {
    let got = layout("vlan 1 tpid 0x88a8 vlan 2 udp 10.0.0.1:1 > 10.0.0.2:2 ipopt=94040000");
    let wanted = Layout {
        vlan_tags: 2,
        l3_offset: 22,
        l4_offset: 46,
        l3_end: 22 + 32,
        ..plain(L3::Ipv4, L4::Udp, 17, 0)
    };
    assert_eq!(got, wanted);
    let line = "tcp [::1]:1 > [::2]:2 ext=0:010400000000 ext=51:00000000000100000002";
    let wanted = Layout {
        l4_offset: 14 + 40 + 8 + 12,
        ..plain(L3::Ipv6, L4::Tcp, 6, 80)
    };
    assert_eq!(layout(line), wanted);
}

#[test]
fn fragments() {
    let first = Fragment::First;
    let later = Fragment::Later;
    let none = L4::None;
    for (line, wanted) in [
        (
            "udp 10.0.0.1:1 > 10.0.0.2:2 frag id=1 off=0 mf",
            Layout {
                fragment: first,
                ..plain(L3::Ipv4, none, 17, 28)
            },
        ),
        // A later IPv4 fragment still tells its protocol ...
        (
            "ip proto=17 10.0.0.1 > 10.0.0.2 frag id=1 off=8 len=9",
            Layout {
                fragment: later,
                ..plain(L3::Ipv4, none, 17, 29)
            },
        ),
        (
            "tcp [::1]:1 > [::2]:2 frag id=1 off=0 mf",
            Layout {
                fragment: first,
                fragment_header_offset: 54,
                l4_offset: 62,
                ..plain(L3::Ipv6, none, 6, 68)
            },
        ),
        // ... a later IPv6 fragment does not.
        (
            "ip proto=17 ::1 > ::2 frag id=1 off=8 mf len=8",
            Layout {
                fragment: later,
                fragment_header_offset: 54,
                l4_offset: 62,
                ..plain(L3::Ipv6, none, 44, 56)
            },
        ),
        // RFC 6946: an atomic fragment is a whole datagram.
        (
            "udp [::1]:1 > [::2]:2 frag id=1 off=0",
            Layout {
                fragment_header_offset: 54,
                l4_offset: 62,
                ..plain(L3::Ipv6, L4::Udp, 17, 56)
            },
        ),
        // The extension header behind the fragment header is not there in a later fragment.
        (
            "ip proto=60 ::1 > ::2 frag id=1 off=8 len=1",
            Layout {
                fragment: later,
                fragment_header_offset: 54,
                l4_offset: 62,
                ..plain(L3::Ipv6, none, 44, 49)
            },
        ),
    ] {
        assert_eq!(layout(line), wanted, "{line}");
    }
}

#[test]
fn no_ip() {
    let arp = Layout {
        ether_type: 0x0806,
        l3: L3::Arp,
        l3_offset: 14,
        l3_end: 42,
        ..Layout::default()
    };
    assert_eq!(layout("arp request 10.0.0.1 > 10.0.0.2 pad=18"), arp);
    assert_eq!(
        layout("rarp op=3 10.0.0.1 > 10.0.0.2"),
        Layout {
            ether_type: 0x8035,
            ..arp
        }
    );
    let other = |ether_type, l3_offset, l3_end| Layout {
        ether_type,
        l3_offset,
        l3_end,
        ..Layout::default()
    };
    assert_eq!(layout("ether type=0x88cc len=46"), other(0x88cc, 14, 60));
    // Spanning tree: a length, LLC without SNAP.
    assert_eq!(
        layout("ether type=0x0026 data=424203000000"),
        other(0x05ff, 14, 20)
    );
    assert_eq!(layout("ether type=0x0002 data=aaaa"), other(0x05ff, 14, 16));
    // SNAP with a type that is none, of another organisation, and right.
    assert_eq!(
        layout("ether type=0x0008 data=aaaa030000000100"),
        other(0x05ff, 22, 22)
    );
    assert_eq!(
        layout("ether type=0x0008 data=aaaa0300000c2000"),
        other(0x05ff, 14, 22)
    );
    assert_eq!(
        layout("ether type=0x0008 data=aaaa03000000809b"),
        other(0x809b, 22, 22)
    );
    // A third tag is not parsed.
    let tagged = Layout {
        vlan_tags: 2,
        ..other(0x8100, 22, 26)
    };
    assert_eq!(
        layout("vlan 1 vlan 2 ether type=0x8100 data=00030800"),
        tagged
    );
    // 0x9100 never was a standard.
    assert_eq!(
        layout("ether type=0x9100 data=00030800"),
        other(0x9100, 14, 18)
    );
}

#[test]
fn snap_may_carry_ip() {
    let inner = &text::parse("udp 10.0.0.1:1 > 10.0.0.2:2 len=4").unwrap()[14..];
    let mut bytes = text::parse("ether type=0x0028 data=aaaa030000000800").unwrap();
    bytes.extend_from_slice(inner);
    let wanted = Layout {
        l3_offset: 22,
        l4_offset: 42,
        l3_end: 54,
        ..plain(L3::Ipv4, L4::Udp, 17, 0)
    };
    assert_eq!(parse(&bytes, bytes.len()), Ok(wanted));
}

/// What is wrong with the packet of a line after one byte of it was changed.
fn wrong(line: &str, at: usize, value: u8) -> (L3, L4, u8, Option<Malformed>) {
    let mut bytes = text::parse(line).unwrap();
    bytes[at] = value;
    let layout = parse(&bytes, bytes.len()).unwrap();
    (layout.l3, layout.l4, layout.protocol, layout.malformed)
}

#[test]
fn broken_headers_are_told() {
    let udp = "udp 10.0.0.1:1 > 10.0.0.2:2 len=4";
    let ipv4 = (L3::Other, L4::None, 0, Some(Malformed::Ipv4));
    assert_eq!(wrong(udp, 14, 0x55), ipv4, "version");
    assert_eq!(wrong(udp, 14, 0x44), ipv4, "header length below 5");
    assert_eq!(wrong(udp, 14, 0x4f), ipv4, "header longer than the packet");
    assert_eq!(wrong(udp, 17, 33), ipv4, "packet longer than the frame");
    assert_eq!(wrong(udp, 17, 19), ipv4, "packet shorter than its header");
    assert_eq!(
        wrong(udp, 17, 27),
        (L3::Ipv4, L4::None, 17, Some(Malformed::L4)),
        "cut UDP"
    );
    // The ports of a UDP packet are whole whatever its length says.
    let udp_length = (L3::Ipv4, L4::Udp, 17, Some(Malformed::L4));
    assert_eq!(wrong(udp, 39, 13), udp_length, "UDP longer than its packet");
    assert_eq!(wrong(udp, 39, 7), udp_length, "UDP shorter than its header");
    assert_eq!(
        wrong(udp, 39, 8),
        (L3::Ipv4, L4::Udp, 17, None),
        "UDP shorter than its packet"
    );

    let tcp = "tcp 10.0.0.1:1 > 10.0.0.2:2 S";
    let l4 = (L3::Ipv4, L4::None, 6, Some(Malformed::L4));
    assert_eq!(wrong(tcp, 46, 0x40), l4, "data offset below 5");
    assert_eq!(wrong(tcp, 46, 0x60), l4, "options behind the end");

    let ext = "udp [::1]:1 > [::2]:2 ext=0:010400000000";
    let ipv6 = (L3::Other, L4::None, 0, Some(Malformed::Ipv6));
    assert_eq!(wrong(ext, 14, 0x40), ipv6, "version");
    assert_eq!(wrong(ext, 19, 17), ipv6, "packet longer than the frame");
    let extension = (L3::Ipv6, L4::None, 0, Some(Malformed::Ipv6Extension));
    assert_eq!(
        wrong(ext, 55, 2),
        extension,
        "extension longer than the packet"
    );
    assert_eq!(wrong(ext, 19, 7), extension, "extension cut off");
    let twice = "udp [::1]:1 > [::2]:2 ext=44:000000000001 frag id=1 off=0 mf";
    assert_eq!(wrong(twice, 55, 0), extension, "two fragment headers");

    let arp = (L3::Other, L4::None, 0, Some(Malformed::Arp));
    assert_eq!(
        wrong("arp request 10.0.0.1 > 10.0.0.2", 18, 5),
        arp,
        "address size"
    );
    assert_eq!(
        layout("ether type=0x0806 len=27").malformed,
        Some(Malformed::Arp)
    );
    let cut = layout("ether type=0x8100 data=0005");
    assert_eq!(
        (cut.malformed, cut.ether_type),
        (Some(Malformed::Vlan), 0x8100)
    );
    assert_eq!(parse(&[0; 13], 13), Err(Malformed::Runt));
}

#[test]
fn extension_headers_are_followed_so_far() {
    let with = |count: usize| {
        let line = format!(
            "udp [::1]:1 > [::2]:2{}",
            " ext=60:010400000000".repeat(count)
        );
        layout(&line).malformed
    };
    assert_eq!(with(MAX_EXTENSIONS), None);
    assert_eq!(with(MAX_EXTENSIONS + 1), Some(Malformed::Ipv6Extension));
}

#[test]
fn headers_behind_the_head_are_cut_off() {
    let bytes = text::parse("tcp 10.0.0.1:1 > 10.0.0.2:2 S wscale=7 len=100").unwrap();
    let whole = parse(&bytes, bytes.len()).unwrap();
    assert_eq!(
        parse(&bytes[..58], bytes.len()),
        Ok(whole),
        "all headers are there"
    );
    let cut = parse(&bytes[..57], bytes.len()).unwrap();
    assert_eq!(
        cut,
        Layout {
            l4: L4::None,
            malformed: Some(Malformed::L4),
            ..whole
        }
    );
    let cut = parse(&bytes[..33], bytes.len()).unwrap();
    assert_eq!((cut.l3, cut.malformed), (L3::Other, Some(Malformed::Ipv4)));
}

/// Everything that the layout names lies in the head.
fn check(layout: &Layout, head: &[u8], len: usize) -> Result<(), TestCaseError> {
    let l3 = usize::from(layout.l3_offset);
    let l4 = usize::from(layout.l4_offset);
    let end = layout.l3_end as usize;
    let packet = head.len().min(end);
    prop_assert!(l3 <= head.len() && end <= len && l3 <= end);
    let l3_header = match layout.l3 {
        L3::Other => 0,
        L3::Arp => 28,
        L3::Ipv4 => 20,
        L3::Ipv6 => 40,
    };
    prop_assert!(l3 + l3_header <= packet);
    if matches!(layout.l3, L3::Ipv4 | L3::Ipv6) {
        prop_assert!(l3 + l3_header <= l4 && l4 <= packet);
    } else {
        prop_assert_eq!((l4, layout.l4, layout.protocol), (0, L4::None, 0));
    }
    let l4_header = match layout.l4 {
        L4::None => 0,
        L4::Tcp => usize::from(head[l4 + 12] >> 4) * 4,
        L4::Udp | L4::Icmp => 8,
        L4::Sctp => 12,
        L4::Icmpv6 => 4,
    };
    prop_assert!(l4_header == 0 || l4 + l4_header <= packet);
    if layout.fragment != Fragment::No {
        prop_assert_eq!(layout.l4, L4::None);
    }
    if layout.fragment_header_offset != 0 {
        prop_assert!(usize::from(layout.fragment_header_offset) + 8 <= packet);
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes_are_parsed(head in strategy::broken(), tail in 0usize..100) {
        let len = head.len() + tail;
        match parse(&head, len) {
            Ok(layout) => check(&layout, &head, len)?,
            Err(error) => prop_assert_eq!((error, head.len() < 14), (Malformed::Runt, true)),
        }
    }

    #[test]
    fn well_formed_packets_are_not_malformed(line in strategy::line(), pad in 0usize..50) {
        let mut bytes = strategy::bytes_of(&line);
        let layout = parse(&bytes, bytes.len()).unwrap();
        check(&layout, &bytes, bytes.len())?;
        prop_assert_eq!(layout.malformed, None);
        if layout.l3 != L3::Other {
            bytes.resize(bytes.len() + pad, 0xa5);
            prop_assert_eq!(parse(&bytes, bytes.len()), Ok(layout), "padding is not looked at");
        }
    }

    #[test]
    fn segments_make_no_difference(
        frame in strategy::line().prop_flat_map(|line| strategy::segmented(strategy::bytes_of(&line))),
    ) {
        let whole = frame.to_vec();
        prop_assert_eq!(parse(frame.head(), frame.len()), parse(&whole, whole.len()));
    }

    #[test]
    fn a_packet_cut_short_is_malformed(
        line in strategy::whole_ip_line(),
        cut in any::<prop::sample::Index>(),
    ) {
        let bytes = strategy::bytes_of(&line);
        let end = parse(&bytes, bytes.len()).unwrap().l3_end as usize;
        let cut = &bytes[..cut.index(end)];
        match parse(cut, cut.len()) {
            Ok(layout) => {
                prop_assert_eq!(layout.l3, L3::Other);
                prop_assert!(matches!(
                    layout.malformed,
                    Some(Malformed::Ipv4 | Malformed::Ipv6 | Malformed::Vlan)
                ));
            }
            Err(error) => prop_assert_eq!((error, cut.len() < 14), (Malformed::Runt, true)),
        }
    }
}
