use proptest::prelude::*;
use weir_packet::checksum::{
    ipv4_header_checksum_ok, l4_checksum_ok, write_ipv4_header_checksum, write_l4_checksum,
};
use weir_packet::{Frame, VecFrame, parse, strategy, text};

use super::*;

/// The line of `line`'s packet after `change`.
fn after(line: &str, change: impl FnOnce(&mut [u8], &Layout)) -> String {
    let mut frame: VecFrame = text::frame(line);
    let layout = parse(frame.head(), frame.len()).unwrap();
    change(frame.head_mut(), &layout);
    assert_eq!(
        parse(frame.head(), frame.len()),
        Ok(layout),
        "the layout stays true"
    );
    text::describe(frame.bytes())
}

const V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);

#[test]
fn translation_reads_as_it_should() {
    let out = after(
        "vlan 5 udp 10.0.0.5:4000 > 192.0.2.9:53 len=5 pad=3",
        |head, layout| {
            set_src(head, layout, V4.into());
            set_src_port(head, layout, 1024);
        },
    );
    assert_eq!(
        out,
        "vlan 5 udp 198.51.100.7:1024 > 192.0.2.9:53 len=5 pad=3"
    );
    let out = after(
        "sctp [::1]:1 > [::2]:2 vtag=0x7 chunk=data:3:0011223344",
        |head, layout| {
            set_dst(head, layout, V6.into());
            set_dst_port(head, layout, 9);
        },
    );
    assert_eq!(
        out,
        "sctp [::1]:1 > [2001:db8::7]:9 vtag=0x7 chunk=data:3:0011223344"
    );
}

#[test]
fn each_field_by_itself() {
    type Change = fn(&mut [u8], &Layout);
    let changes: [(&str, &str, Change); 9] = [
        (
            "tcp 10.0.0.1:1 > 10.0.0.2:2 S",
            "tcp 10.0.0.1:1 > 10.0.0.2:2 S tos=0x2e",
            |h, l| {
                set_ipv4_tos(h, l, 0x2e);
            },
        ),
        (
            "tcp 10.0.0.1:1 > 10.0.0.2:2 S",
            "tcp 10.0.0.1:1 > 10.0.0.2:2 S ttl=63",
            |h, l| {
                set_ipv4_ttl(h, l, 63);
            },
        ),
        (
            "tcp [::1]:1 > [::2]:2",
            "tcp [::1]:1 > [::2]:2 tos=0x2e",
            |h, l| {
                set_ipv6_traffic_class(h, l, 0x2e);
            },
        ),
        (
            "tcp [::1]:1 > [::2]:2 tos=0xff",
            "tcp [::1]:1 > [::2]:2 tos=0xff label=0xfffff",
            |h, l| {
                set_ipv6_flow_label(h, l, 0xffff_ffff);
            },
        ),
        (
            "tcp [::1]:1 > [::2]:2",
            "tcp [::1]:1 > [::2]:2 ttl=1",
            |h, l| {
                set_ipv6_hop_limit(h, l, 1);
            },
        ),
        (
            "icmp 10.0.0.1 > 10.0.0.2 echo-request id=7 seq=1",
            "icmp 10.0.0.1 > 10.0.0.2 echo-reply id=9 seq=1",
            |h, l| {
                set_icmp_type(h, l, 0);
                set_icmp_id(h, l, 9);
            },
        ),
        (
            "icmp6 ::1 > ::2 unreachable",
            "icmp6 ::1 > ::2 unreachable code=4",
            |h, l| {
                set_icmp_code(h, l, 4);
            },
        ),
        (
            "udp 10.0.0.1:1 > 10.0.0.2:2 no-csum",
            "udp 10.0.0.1:5 > 10.0.0.2:6 no-csum",
            |h, l| {
                set_src_port(h, l, 5);
                set_dst_port(h, l, 6);
            },
        ),
        (
            "sctp 10.0.0.1:1 > 10.0.0.2:2 bad-csum",
            "sctp 10.0.0.1:5 > 10.0.0.2:2 bad-csum",
            |h, l| {
                set_src_port(h, l, 5);
            },
        ),
    ];
    for (before, wanted, change) in changes {
        assert_eq!(after(before, change), wanted);
    }
}

#[test]
fn what_is_not_there_is_not_written() {
    for line in [
        "arp request 10.0.0.1 > 10.0.0.2",
        "ether type=0x88cc len=60",
        "ip proto=17 10.0.0.1 > 10.0.0.2 frag id=1 off=8 len=40",
        "udp 10.0.0.1:1 > 10.0.0.2:2 frag id=1 off=0 mf len=40",
        "ip proto=47 10.0.0.1 > 10.0.0.2 len=40",
    ] {
        let out = after(line, |head, layout| {
            set_ipv6_src(head, layout, V6);
            set_ipv6_dst(head, layout, V6);
            set_ipv6_hop_limit(head, layout, 9);
            set_ipv6_flow_label(head, layout, 9);
            set_ipv6_traffic_class(head, layout, 9);
            set_src_port(head, layout, 9);
            set_dst_port(head, layout, 9);
            set_icmp_type(head, layout, 9);
            set_icmp_code(head, layout, 9);
            set_icmp_id(head, layout, 9);
        });
        assert_eq!(out, line);
    }
    // The identifier would lie in the padding.
    let short = "ip proto=58 ::1 > ::2 data=80007f76 pad=9";
    let bytes = text::parse(short).unwrap();
    let mut changed = bytes.clone();
    set_icmp_id(&mut changed, &parse(&bytes, bytes.len()).unwrap(), 0xffff);
    assert_eq!(changed, bytes);
}

/// RFC 8200 8.1: the pseudo header of a packet on its way has the last address of the route.
#[test]
fn a_pending_route_keeps_the_checksum() {
    let line = "udp [::1]:1 > [::2]:2 csum=0x1234 ext=0:010400000000 ext=43:000100000000";
    let out = after(line, |head, layout| set_ipv6_dst(head, layout, V6));
    assert_eq!(out, line.replace("[::2]", "[2001:db8::7]"));
    let arrived = "udp [::1]:1 > [::2]:2 ext=43:000000000000";
    let out = after(arrived, |head, layout| set_ipv6_dst(head, layout, V6));
    assert_eq!(out, arrived.replace("[::2]", "[2001:db8::7]"));
}

#[test]
fn a_computed_zero_is_sent_as_ones() {
    let mut seen = 0;
    for port in 0..=u16::MAX {
        let mut frame = text::frame("udp 10.0.0.1:1 > 10.0.0.2:2");
        let layout = parse(frame.head(), frame.len()).unwrap();
        set_src_port(frame.head_mut(), &layout, port);
        let checksum = &frame.bytes()[40..42];
        assert_ne!(checksum, [0, 0]);
        seen += u32::from(checksum == [0xff, 0xff]);
    }
    assert_eq!(seen, 1, "one port makes the checksum zero");
}

/// A first fragment carries the checksum of the whole datagram.
#[test]
fn a_first_fragment_is_changed_as_the_whole_is() {
    for (line, at) in [
        ("tcp 10.0.0.1:1 > 10.0.0.2:2 A len=1000", 50),
        ("udp 10.0.0.1:1 > 10.0.0.2:2 len=1000", 40),
        ("icmp 10.0.0.1 > 10.0.0.2 echo-request len=1000", 36),
        ("sctp 10.0.0.1:1 > 10.0.0.2:2 len=1000", 42),
    ] {
        let mut whole = text::parse(line).unwrap();
        let layout = parse(&whole, whole.len()).unwrap();
        let mut first = text::parse(&format!("{line} frag id=1 off=0 mf")).unwrap();
        first[at..at + 2].copy_from_slice(&whole[at..at + 2]);
        set_src(&mut whole, &layout, V4.into());
        let layout = parse(&first, first.len()).unwrap();
        set_src(&mut first, &layout, V4.into());
        assert_eq!(first[at..at + 2], whole[at..at + 2], "{line}");
    }
}

/// What looks like a checksum in a later fragment is data.
#[test]
fn a_later_fragments_data_stays() {
    for (number, more) in [(6, ""), (17, " mf"), (1, ""), (132, "")] {
        let line = format!("ip proto={number} 10.0.0.1 > 10.0.0.2 frag id=1 off=8{more} len=40");
        let out = after(&line, |head, layout| set_dst(head, layout, V4.into()));
        assert_eq!(out, line.replace("10.0.0.2", "198.51.100.7"));
        let line = format!("ip proto={number} ::1 > ::2 frag id=1 off=8{more} len=40");
        let out = after(&line, |head, layout| set_dst(head, layout, V6.into()));
        assert_eq!(out, line.replace("::2", "2001:db8::7"));
    }
}

/// GRE has no port to set: its key is of the packet, whatever the tuple says.
#[test]
fn a_key_of_gre_stays() {
    let out = after(
        "ip proto=47 10.0.0.1 > 10.0.0.2 data=2000080012345678",
        |head, layout| {
            let mut tuple = Tuple::of(head, layout).unwrap();
            assert_eq!(tuple.gre_key(), Some(0x1234_5678));
            tuple.ip = IpPair::V4 {
                src: V4,
                dst: Ipv4Addr::new(192, 0, 2, 1),
            };
            (tuple.src_port, tuple.dst_port) = (1, 2);
            set_tuple(head, layout, &tuple);
        },
    );
    assert_eq!(
        out,
        "ip proto=47 198.51.100.7 > 192.0.2.1 data=2000080012345678"
    );
}

/// One rewrite, with what it needs.
#[derive(Clone, Copy, Debug)]
enum Change {
    Src(IpAddr),
    Dst(IpAddr),
    Tos(u8),
    Ttl(u8),
    Label(u32),
    SrcPort(u16),
    DstPort(u16),
    IcmpType(u8),
    IcmpCode(u8),
    IcmpId(u16),
}

impl Change {
    fn any() -> BoxedStrategy<Self> {
        let address = || {
            prop_oneof![
                strategy::ipv4().prop_map(IpAddr::V4),
                strategy::ipv6().prop_map(IpAddr::V6),
            ]
        };
        prop_oneof![
            4 => address().prop_map(Self::Src),
            4 => address().prop_map(Self::Dst),
            1 => any::<u8>().prop_map(Self::Tos),
            1 => any::<u8>().prop_map(Self::Ttl),
            1 => any::<u32>().prop_map(Self::Label),
            3 => any::<u16>().prop_map(Self::SrcPort),
            3 => any::<u16>().prop_map(Self::DstPort),
            1 => any::<u8>().prop_map(Self::IcmpType),
            1 => any::<u8>().prop_map(Self::IcmpCode),
            1 => any::<u16>().prop_map(Self::IcmpId),
        ]
        .boxed()
    }

    fn apply(self, head: &mut [u8], layout: &Layout) {
        match self {
            Self::Src(address) => set_src(head, layout, address),
            Self::Dst(address) => set_dst(head, layout, address),
            Self::Tos(tos) => {
                set_ipv4_tos(head, layout, tos);
                set_ipv6_traffic_class(head, layout, tos);
            }
            Self::Ttl(ttl) => {
                set_ipv4_ttl(head, layout, ttl);
                set_ipv6_hop_limit(head, layout, ttl);
            }
            Self::Label(label) => set_ipv6_flow_label(head, layout, label),
            Self::SrcPort(port) => set_src_port(head, layout, port),
            Self::DstPort(port) => set_dst_port(head, layout, port),
            Self::IcmpType(icmp_type) => set_icmp_type(head, layout, icmp_type),
            Self::IcmpCode(code) => set_icmp_code(head, layout, code),
            Self::IcmpId(id) => set_icmp_id(head, layout, id),
        }
    }

    /// The field's offset and new bytes, if the packet has the field; by the RFCs' pictures,
    /// without a thought of checksums.
    fn field(self, bytes: &[u8], layout: &Layout) -> Option<(usize, Vec<u8>)> {
        let l3 = usize::from(layout.l3_offset);
        let l4 = usize::from(layout.l4_offset);
        let v4 = layout.l3 == L3::Ipv4;
        let v6 = layout.l3 == L3::Ipv6;
        let ports = matches!(layout.l4, L4::Tcp | L4::Udp | L4::Sctp);
        let icmp = matches!(layout.l4, L4::Icmp | L4::Icmpv6);
        let start = || u32::from_be_bytes(bytes[l3..l3 + 4].try_into().unwrap());
        match self {
            Self::Src(IpAddr::V4(address)) => v4.then(|| (l3 + 12, address.octets().to_vec())),
            Self::Src(IpAddr::V6(address)) => v6.then(|| (l3 + 8, address.octets().to_vec())),
            Self::Dst(IpAddr::V4(address)) => v4.then(|| (l3 + 16, address.octets().to_vec())),
            Self::Dst(IpAddr::V6(address)) => v6.then(|| (l3 + 24, address.octets().to_vec())),
            Self::Tos(tos) if v4 => Some((l3 + 1, vec![tos])),
            Self::Tos(tos) => v6.then(|| {
                let start = start() & 0xf00f_ffff | u32::from(tos) << 20;
                (l3, start.to_be_bytes().to_vec())
            }),
            Self::Ttl(ttl) if v4 => Some((l3 + 8, vec![ttl])),
            Self::Ttl(ttl) => v6.then(|| (l3 + 7, vec![ttl])),
            Self::Label(label) => v6.then(|| {
                let start = start() & 0xfff0_0000 | label & 0x000f_ffff;
                (l3, start.to_be_bytes().to_vec())
            }),
            Self::SrcPort(port) => ports.then(|| (l4, port.to_be_bytes().to_vec())),
            Self::DstPort(port) => ports.then(|| (l4 + 2, port.to_be_bytes().to_vec())),
            Self::IcmpType(icmp_type) => icmp.then(|| (l4, vec![icmp_type])),
            Self::IcmpCode(code) => icmp.then(|| (l4 + 1, vec![code])),
            Self::IcmpId(id) => icmp.then(|| (l4 + 4, id.to_be_bytes().to_vec())),
        }
    }
}

proptest! {
    /// After any rewrite the packet is what writing the field and computing every checksum
    /// anew makes of it, byte for byte, in one piece or many.
    #[test]
    fn rewriting_equals_recomputing(
        frame in strategy::whole_ip_line().prop_flat_map(|line| {
            strategy::segmented(strategy::bytes_of(&line))
        }),
        changes in prop::collection::vec(Change::any(), 1..6),
    ) {
        let mut rewritten = frame.clone();
        let mut oracle = VecFrame::from(frame.to_vec());
        let layout = parse(frame.head(), frame.len()).unwrap();
        let l4 = usize::from(layout.l4_offset);
        let no_checksum = layout.l4 == L4::Udp && oracle.head()[l4 + 6..l4 + 8] == [0, 0];
        for change in changes {
            change.apply(rewritten.head_mut(), &layout);
            if let Some((at, bytes)) = change.field(oracle.head(), &layout) {
                oracle.head_mut()[at..at + bytes.len()].copy_from_slice(&bytes);
            }
        }
        write_ipv4_header_checksum(oracle.head_mut(), &layout);
        if !no_checksum {
            write_l4_checksum(&mut oracle, &layout);
        }
        prop_assert_eq!(text::describe(&rewritten.to_vec()), text::describe(oracle.bytes()));
        prop_assert!(ipv4_header_checksum_ok(rewritten.head(), &layout));
        prop_assert!(no_checksum || l4_checksum_ok(&rewritten, &layout));
    }

    /// Whatever the bytes: no panic, and the layout stays true.
    #[test]
    fn any_packet_can_be_rewritten(
        bytes in strategy::broken(),
        change in Change::any(),
    ) {
        let Ok(layout) = parse(&bytes, bytes.len()) else {
            return Ok(());
        };
        let mut changed = bytes.clone();
        change.apply(&mut changed, &layout);
        prop_assert_eq!(changed.len(), bytes.len());
        prop_assert_eq!(parse(&changed, changed.len()), Ok(layout));
        if let Some((at, new)) = change.field(&bytes, &layout)
            && at + new.len() <= layout.l3_end as usize
        {
            prop_assert_eq!(&changed[at..at + new.len()], &new[..]);
        }
    }

    /// A wrong checksum is not made right.
    #[test]
    fn wrong_stays_wrong(line in strategy::whole_ip_line(), change in Change::any()) {
        prop_assume!(!line.contains("no-csum"));
        let Ok(bytes) = text::parse(&format!("bad-csum {line}")) else {
            return Ok(()); // nothing with an L4 checksum
        };
        let mut frame = VecFrame::from(bytes);
        let layout = parse(frame.head(), frame.len()).unwrap();
        change.apply(frame.head_mut(), &layout);
        prop_assert!(!l4_checksum_ok(&frame, &layout));
    }

    #[test]
    fn a_packet_takes_over_a_tuple(line in strategy::whole_ip_line(), other in strategy::whole_ip_line()) {
        let mut frame = text::frame(&line);
        let layout = parse(frame.head(), frame.len()).unwrap();
        let wanted = text::frame(&other);
        let wanted = parse(wanted.head(), wanted.len())
            .ok()
            .and_then(|layout| Tuple::of(wanted.head(), &layout));
        let (Some(tuple), Some(mut wanted)) = (Tuple::of(frame.head(), &layout), wanted) else {
            return Ok(());
        };
        if tuple.src().is_ipv4() != wanted.src().is_ipv4() {
            return Ok(());
        }
        wanted.protocol = tuple.protocol;
        // Without ports to set, GRE's key stays, and what has none keeps none.
        if layout.l4 == L4::None {
            (wanted.src_port, wanted.dst_port) = (tuple.src_port, tuple.dst_port);
        }
        set_tuple(frame.head_mut(), &layout, &wanted);
        if tuple.is_icmp() {
            wanted.dst_port = tuple.dst_port;
        }
        prop_assert_eq!(Tuple::of(frame.head(), &layout), Some(wanted));
        prop_assert!(line.contains("no-csum") || l4_checksum_ok(&frame, &layout));
    }
}
