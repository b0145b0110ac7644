use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use weir_packet::protocol;

use super::{Filter, PartialTuple};
use crate::testing::any_tuple;

fn error(arguments: &[&str]) -> (String, usize, std::ops::Range<usize>) {
    let error = Filter::parse(arguments).expect_err("a mistake");
    (error.message.clone(), error.argument, error.span)
}

#[test]
fn nothing_is_everything() {
    assert_eq!(Filter::parse(&[]), Ok(Filter::default()));
    assert_eq!(Filter::parse(&[""]), Ok(Filter::default()));
}

#[test]
fn all_parts_together() {
    let filter = Filter::parse(&[
        "zone=5",
        "mark=0x10/0xff",
        "labels=0xffffffffffffffffffffffffffffffff",
        "ct_nw_src=10.1.1.1,ct_nw_dst=10.1.1.2,ct_nw_proto=17,ct_tp_src=2,ct_tp_dst=1",
        "ct_tp_src=7 ct_nw_src=10.1.1.9",
    ])
    .expect("it is right");
    assert_eq!(filter.zone, Some(5));
    assert_eq!(filter.mark, Some((0x10, 0xff)));
    assert_eq!(filter.label, Some((u128::MAX, u128::MAX)));
    assert_eq!(
        filter.original.src,
        Some(IpAddr::V4(Ipv4Addr::new(10, 1, 1, 1)))
    );
    assert_eq!(
        (filter.original.src_port, filter.original.dst_port),
        (Some(2), Some(1))
    );
    assert_eq!(filter.reply.src_port, Some(7));
    assert_eq!(
        filter.reply.src,
        Some(IpAddr::V4(Ipv4Addr::new(10, 1, 1, 9)))
    );
    assert_eq!(filter.exact(), None);
}

#[test]
fn mistakes_are_told_in_the_words_of_ovs() {
    let tuple = |text: &'static str| error(&["zone=1", text]);
    let said = |message: &str, span| (message.to_owned(), 1, span);
    assert_eq!(
        error(&["zone=x"]),
        ("failed to parse zone".to_owned(), 0, 0..6)
    );
    assert_eq!(error(&["zone=65536"]).0, "failed to parse zone");
    assert_eq!(error(&["mark=1/x"]).0, "failed to parse mark");
    assert_eq!(error(&["mark=0x100000000"]).0, "failed to parse mark");
    assert_eq!(error(&["labels=+1"]).0, "failed to parse labels");
    assert_eq!(
        tuple("ct_nw_src="),
        said("field ct_nw_src missing value", 0..10)
    );
    assert_eq!(
        tuple("ct_nw_src=10.0.0.1,ct_nw_src=10.0.0.2"),
        said("ct_nw_src is set multiple times", 19..37)
    );
    assert_eq!(
        tuple("ct_nw_src=10.0.0.1,ct_ipv6_dst=fc00::1"),
        said("the L3 protocol does not match fc00::1", 19..38)
    );
    assert_eq!(
        tuple("ct_nw_src=10.0.0"),
        said("failed to parse field ct_nw_src", 0..16)
    );
    assert_eq!(
        tuple("ct_nw_proto=256"),
        said("failed to parse field ct_nw_proto", 0..15)
    );
    assert_eq!(
        tuple("ct_tp_dst=80"),
        said("port is set without protocol", 0..12)
    );
    assert_eq!(
        tuple("icmp_type=8,ct_nw_proto=1"),
        said("invalid L4 fields", 0..11)
    );
    assert_eq!(
        tuple("ct_nw_proto=17,icmp_id=8"),
        said("invalid L4 fields", 15..24)
    );
    assert_eq!(
        tuple("nw_src=10.0.0.1"),
        said("invalid conntrack tuple field: nw_src", 0..15)
    );
    // Out of order is not understood.
    assert_eq!(
        error(&["mark=1", "zone=5"]),
        ("invalid conntrack tuple field: zone".to_owned(), 1, 0..6)
    );
    assert_eq!(
        error(&["", "", "mark=1"]),
        ("invalid arguments".to_owned(), 2, 0..6)
    );
    // The second tuple is of the same IP version as the first.
    assert_eq!(
        error(&["ct_nw_src=10.0.0.1", "ct_ipv6_src=fc00::1"]),
        (
            "the L3 protocol does not match fc00::1".to_owned(),
            1,
            0..19
        )
    );
}

#[test]
fn one_whole_tuple_is_exact() {
    let exact = |arguments: &[&str]| Filter::parse(arguments).expect("it is right").exact();
    let udp = "ct_nw_src=10.1.1.1,ct_nw_dst=10.1.1.2,ct_nw_proto=17,ct_tp_src=2,ct_tp_dst=1";
    assert_eq!(exact(&[udp]).map(|tuple| tuple.dst_port), Some(1));
    assert!(exact(&["zone=5", udp]).is_some());
    assert_eq!(exact(&["mark=1", udp]), None);
    assert_eq!(exact(&[udp, "ct_tp_src=1"]), None);
    assert_eq!(
        exact(&["ct_nw_src=10.1.1.1,ct_nw_dst=10.1.1.2,ct_nw_proto=17"]),
        None
    );
    let icmp = "ct_nw_proto=1,ct_nw_src=10.1.1.1,ct_nw_dst=10.1.1.2,icmp_id=5,icmp_type=8";
    assert_eq!(exact(&[icmp]), None);
    let icmp = format!("{icmp},icmp_code=0");
    assert_eq!(
        exact(&[&icmp]).map(|tuple| (tuple.src_port, tuple.dst_port)),
        Some((5, 0x0800))
    );
}

fn any_partial() -> impl Strategy<Value = PartialTuple> {
    let addresses = prop_oneof![
        any::<[Option<u32>; 2]>().prop_map(|pair| {
            pair.map(|address| address.map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))))
        }),
        any::<[Option<u128>; 2]>().prop_map(|pair| {
            pair.map(|address| address.map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))))
        }),
    ];
    let protocol = prop_oneof![
        Just(None),
        Just(Some(1)),
        Just(Some(58)),
        any::<Option<u8>>()
    ];
    let ports = any::<[Option<u16>; 3]>();
    (addresses, protocol, ports, any::<[Option<u8>; 2]>()).prop_map(
        |([src, dst], protocol, [src_port, dst_port, icmp_id], [icmp_type, icmp_code])| {
            let icmp = protocol.is_some_and(super::is_icmp);
            PartialTuple {
                src,
                dst,
                protocol,
                src_port: src_port.filter(|_| protocol.is_some()),
                dst_port: dst_port.filter(|_| protocol.is_some()),
                icmp_id: icmp_id.filter(|_| icmp),
                icmp_type: icmp_type.filter(|_| icmp),
                icmp_code: icmp_code.filter(|_| icmp),
            }
        },
    )
}

proptest! {
    #[test]
    fn printed_tuples_parse_to_themselves(partial in any_partial()) {
        prop_assert_eq!(partial.to_string().parse(), Ok(partial));
    }

    #[test]
    fn any_text_parses_or_says_where_it_is_wrong(arguments in prop::collection::vec(
        "(zone=|mark=|labels=|ct_nw_src=|ct_nw_proto=|icmp_id=|[a-z0-9.:=/, ]){0,6}", 0..5,
    )) {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        if let Err(error) = Filter::parse(&arguments) {
            prop_assert!(arguments[error.argument].get(error.span).is_some());
        }
    }

    #[test]
    fn an_exact_filter_matches_its_tuple(tuple in any_tuple()) {
        let [icmp_type, icmp_code] = tuple.dst_port.to_be_bytes();
        let icmp = matches!(tuple.protocol, protocol::ICMP | protocol::ICMPV6);
        let original = PartialTuple {
            src: Some(tuple.src()),
            dst: Some(tuple.dst()),
            protocol: Some(tuple.protocol),
            src_port: (!icmp).then_some(tuple.src_port),
            dst_port: (!icmp).then_some(tuple.dst_port),
            icmp_id: icmp.then_some(tuple.src_port),
            icmp_type: icmp.then_some(icmp_type),
            icmp_code: icmp.then_some(icmp_code),
        };
        prop_assert!(original.matches(&tuple));
        prop_assert_eq!(Filter { original, ..Filter::default() }.exact(), Some(tuple));
        let other = PartialTuple { src_port: Some(tuple.src_port ^ 1), ..original };
        prop_assert!(!other.matches(&tuple));
    }
}
