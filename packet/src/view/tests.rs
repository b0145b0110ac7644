use proptest::prelude::*;

use super::*;
use crate::layout::{L3, L4, parse};
use crate::{strategy, text};

fn l4_bytes(line: &str) -> Vec<u8> {
    let bytes = text::parse(line).unwrap();
    let layout = parse(&bytes, bytes.len()).unwrap();
    bytes[layout.l4_offset.into()..layout.l3_end as usize].to_vec()
}

#[test]
fn tcp_options_are_found() {
    let bytes = l4_bytes("tcp 10.0.0.1:1 > 10.0.0.2:2 S mss=1460 sack-ok ts=5:6 wscale=7");
    let (tcp, _) = Tcp::split(&bytes).unwrap();
    let wanted = [
        TcpOption::Mss(1460),
        TcpOption::SackPermitted,
        TcpOption::Timestamps { value: 5, echo: 6 },
        TcpOption::WindowScale(7),
    ];
    assert_eq!(tcp.options().collect::<Vec<_>>(), wanted);
    assert_eq!((tcp.window_scale(), tcp.sack_permitted()), (Some(7), true));
}

#[test]
fn selective_acknowledgments_are_read() {
    let sack = "0101051200000001000000020000000300000004";
    let bytes = l4_bytes(&format!("tcp 10.0.0.1:1 > 10.0.0.2:2 A opt={sack}"));
    let (tcp, _) = Tcp::split(&bytes).unwrap();
    assert_eq!(tcp.sack_blocks().collect::<Vec<_>>(), [(1, 2), (3, 4)]);
    assert_eq!((tcp.window_scale(), tcp.sack_permitted()), (None, false));
}

#[test]
fn broken_tcp_options_end_the_list() {
    for (options, count) in [
        ("00030307", 0), // behind the end
        ("03030702", 1), // no length
        ("03030702", 1),
        ("01010302", 1),         // known, but of another length
        ("0303070200000000", 1), // a length of 0
        ("030307fe09000000", 1), // longer than the header
        ("fe0401fe", 1),         // unknown
    ] {
        let bytes = l4_bytes(&format!("tcp 10.0.0.1:1 > 10.0.0.2:2 S opt={options}"));
        let (tcp, _) = Tcp::split(&bytes).unwrap();
        assert_eq!(tcp.options().count(), count, "{options}");
    }
}

#[test]
fn chunks_are_walked() {
    let bytes = l4_bytes("sctp 10.0.0.1:1 > 10.0.0.2:2 vtag=5 chunk=data:3:0011223344 chunk=abort");
    let (sctp, rest) = Sctp::split(&bytes).unwrap();
    assert_eq!(sctp.verification_tag(), 5);
    let mut chunks = Chunks::of(rest);
    let first = chunks.next().unwrap();
    assert_eq!(
        (first.chunk_type, first.flags, first.value.len()),
        (0, 3, 5)
    );
    assert_eq!(first.padding.len(), 3);
    assert_eq!(chunks.next().map(|chunk| chunk.chunk_type), Some(6));
    assert_eq!((chunks.next(), chunks.rest().len()), (None, 0));
    assert_eq!(
        Chunks::of(&[0, 0, 0, 3, 9]).next(),
        None,
        "shorter than its header"
    );
}

#[test]
fn a_later_fragments_data_is_no_header() {
    let bytes = text::parse("ip proto=60 ::1 > ::2 frag id=1 off=8 data=0600010400000000").unwrap();
    let (header, rest) = Ipv6::split(&bytes[14..]).unwrap();
    let mut extensions = header.extensions(rest);
    let fragment = extensions.next().unwrap();
    assert_eq!(fragment.fragment(), Some((8, false, 1)));
    assert_eq!((extensions.next(), extensions.rest().len()), (None, 8));
}

#[test]
fn neighbours_are_named() {
    let bytes = l4_bytes("icmp6 fe80::1 > fe80::2 neighbor-solicit target=fe80::2");
    let (message, body) = Icmpv6::split(&bytes).unwrap();
    let (target, options) = message.neighbor(body).unwrap();
    assert_eq!((target.to_string().as_str(), options.len()), ("fe80::2", 0));
    let bytes = l4_bytes("icmp6 ::1 > ::2 echo-request len=30");
    let (message, body) = Icmpv6::split(&bytes).unwrap();
    assert!(message.neighbor(body).is_none());
}

proptest! {
    /// No view panics, walks end, and each agrees with the layout on what is whole.
    #[test]
    fn any_bytes_are_viewed(bytes in strategy::broken()) {
        let Ok(layout) = parse(&bytes, bytes.len()) else {
            prop_assert!(Ethernet::split(&bytes).is_err());
            return Ok(());
        };
        prop_assert!(Ethernet::split(&bytes).is_ok());
        prop_assert_eq!(VlanTag::all(&bytes, &layout).count(), usize::from(layout.vlan_tags));
        let l3 = &bytes[layout.l3_offset.into()..layout.l3_end as usize];
        match layout.l3 {
            L3::Other => {}
            L3::Arp => prop_assert!(Arp::split(l3).is_ok()),
            L3::Ipv4 => {
                let (header, rest) = Ipv4::split(l3).unwrap();
                prop_assert_eq!(l3.len() - rest.len(), header.header_size());
                prop_assert_eq!(usize::from(header.total_size()), l3.len());
            }
            L3::Ipv6 => {
                let (header, rest) = Ipv6::split(l3).unwrap();
                prop_assert_eq!(usize::from(header.payload_size()), rest.len());
                let mut extensions = header.extensions(rest);
                extensions.by_ref().for_each(drop);
                if layout.malformed.is_none() && layout.protocol != 44 {
                    prop_assert_eq!(extensions.next_header(), layout.protocol);
                    let l4 = l3.len() - (usize::from(layout.l4_offset) - usize::from(layout.l3_offset));
                    prop_assert_eq!(extensions.rest().len(), l4);
                }
            }
        }
        let l4 = match layout.l4 {
            L4::None => &bytes[..],
            _ => &bytes[layout.l4_offset.into()..layout.l3_end as usize],
        };
        if let Ok((tcp, _)) = Tcp::split(l4) {
            tcp.options().for_each(drop);
            tcp.sack_blocks().for_each(drop);
        }
        Chunks::of(l4).for_each(drop);
        match layout.l4 {
            L4::None => {}
            L4::Tcp => prop_assert!(Tcp::split(l4).is_ok()),
            L4::Udp => prop_assert!(Udp::split(l4).is_ok()),
            L4::Sctp => prop_assert!(Sctp::split(l4).is_ok()),
            L4::Icmp => prop_assert!(Icmp::split(l4).is_ok()),
            L4::Icmpv6 => prop_assert!(Icmpv6::split(l4).is_ok()),
        }
    }
}

#[test]
fn a_vxlan_header_is_what_it_says_or_none() {
    let header = Vxlan::header(0xff12_3456);
    assert_eq!(header, [8, 0, 0, 0, 0x12, 0x34, 0x56, 0]);
    let bytes = [&header[..], &[9]].concat();
    let (vxlan, rest) = Vxlan::split(&bytes).unwrap();
    assert_eq!((vxlan.vni(), rest), (0x12_3456, &[9][..]));
    assert!(Vxlan::split(&bytes[..7]).is_err());
    for (at, value) in [(0, 0), (0, 0x0c), (1, 1), (3, 1), (7, 1)] {
        let mut wrong = header;
        wrong[at] = value;
        assert!(Vxlan::split(&wrong).is_err(), "byte {at}");
    }
}

#[test]
fn geneve_options_end_where_the_header_says() {
    let option = [0x01, 0x02, 0x83, 1, 1, 2, 3, 4];
    let header = Geneve::header(0x12_3456, 12, true, true);
    let bytes = [&header[..], &option, &[0, 1, 2, 0], &[9]].concat();
    let (geneve, rest) = Geneve::split(&bytes).unwrap();
    assert_eq!((geneve.vni(), rest), (0x12_3456, &[9][..]));
    assert_eq!(geneve.protocol(), crate::ether_type::TEB);
    assert!(geneve.is_oam() && geneve.has_critical());
    let options: Vec<_> = geneve.options().collect();
    let first = GeneveOption {
        class: 0x0102,
        option_type: 0x83,
        data: &[1, 2, 3, 4],
    };
    assert!(options[0] == first && first.is_critical());
    let second = GeneveOption {
        class: 1,
        option_type: 2,
        data: &[],
    };
    assert!(options[1..] == [second] && !second.is_critical());
    // Cut off, another version, an option that is longer than the header says.
    assert!(Geneve::split(&bytes[..19]).is_err());
    for (at, value) in [(0, 0x43), (11, 3)] {
        let mut wrong = bytes.clone();
        wrong[at] = value;
        assert!(Geneve::split(&wrong).is_err(), "byte {at}");
    }
}

#[test]
fn gre_has_the_fields_that_its_flags_announce() {
    let all = [
        0xb0, 0, 0x65, 0x58, 0xaa, 0xbb, 0, 0, 0, 0, 0, 7, 0, 0, 0, 9, 1,
    ];
    let (gre, rest) = Gre::split(&all).unwrap();
    assert_eq!((gre.size(), rest), (16, &[1][..]));
    assert_eq!((gre.key(), gre.sequence()), (Some(7), Some(9)));
    assert!(gre.has_checksum());
    assert!(Gre::split(&all[..15]).is_err());
    let key = [&Gre::header(0x0800, true)[..], &[0, 0, 1, 0]].concat();
    let (gre, rest) = Gre::split(&key).unwrap();
    assert_eq!(
        (gre.protocol(), gre.key(), gre.sequence()),
        (0x0800, Some(256), None)
    );
    assert!(rest.is_empty() && !gre.has_checksum());
    let plain = Gre::header(0x6558, false);
    let (gre, _) = Gre::split(&plain).unwrap();
    assert_eq!((gre.key(), gre.sequence(), gre.size()), (None, None, 4));
    for flags in [[0x40, 0], [0x08, 0], [0, 1]] {
        assert!(Gre::split(&[flags[0], flags[1], 0x65, 0x58]).is_err());
    }
}

proptest! {
    #[test]
    fn no_bytes_are_too_odd_for_a_tunnel(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok((vxlan, rest)) = Vxlan::split(&bytes) {
            prop_assert_eq!(&Vxlan::header(vxlan.vni())[..], &bytes[..bytes.len() - rest.len()]);
        }
        if let Ok((geneve, rest)) = Geneve::split(&bytes) {
            let sizes = geneve.options().map(|option| GeneveOption::HEADER_SIZE + option.data.len());
            prop_assert_eq!(sizes.sum::<usize>(), geneve.raw_options().len());
            prop_assert_eq!(Geneve::SIZE + geneve.raw_options().len() + rest.len(), bytes.len());
        }
        if let Ok((gre, rest)) = Gre::split(&bytes) {
            prop_assert_eq!(gre.size() + rest.len(), bytes.len());
            let fields = [gre.has_checksum(), gre.key().is_some(), gre.sequence().is_some()];
            let count = fields.into_iter().filter(|there| *there).count();
            prop_assert_eq!(gre.size(), 4 + 4 * count);
        }
    }
}
