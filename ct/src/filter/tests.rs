use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use weir_packet::{IpPair, Tuple, protocol};

use super::{Filter, Network, PartialTuple, StateFilter};
use crate::entry::{ProtocolInfo, SctpInfo, TcpInfo};
use crate::sctp::AssociationState;
use crate::tcp::PeerState;
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
        Some(IpAddr::V4(Ipv4Addr::new(10, 1, 1, 1)).into())
    );
    assert_eq!(
        (filter.original.src_port, filter.original.dst_port),
        (Some(2), Some(1))
    );
    assert_eq!(filter.reply.src_port, Some(7));
    assert_eq!(
        filter.reply.src,
        Some(IpAddr::V4(Ipv4Addr::new(10, 1, 1, 9)).into())
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
    let v4 = (any::<u32>(), 0..=32u8)
        .prop_map(|(bits, prefix)| Network::new(Ipv4Addr::from_bits(bits).into(), prefix));
    let v6 = (any::<u128>(), 0..=128u8)
        .prop_map(|(bits, prefix)| Network::new(Ipv6Addr::from_bits(bits).into(), prefix));
    let none = || Just(None);
    let addresses = prop_oneof![
        [prop_oneof![none(), v4.clone()], prop_oneof![none(), v4]],
        [prop_oneof![none(), v6.clone()], prop_oneof![none(), v6]],
    ];
    let protocol = prop_oneof![
        Just(None),
        Just(Some(1)),
        Just(Some(58)),
        Just(Some(47)),
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
                gre_key: icmp_id.map(u32::from).filter(|_| protocol == Some(47)),
            }
        },
    )
}

#[test]
fn states_are_those_that_a_dump_shows() {
    let state = |text: &str| Filter::parse(&[text]).map(|filter| filter.state);
    assert_eq!(
        state("state=ESTABLISHED"),
        Ok(Some(StateFilter::Shown(
            Some(PeerState::Established),
            Some(AssociationState::Established)
        )))
    );
    assert_eq!(
        state("state=time_wait"),
        Ok(Some(StateFilter::Shown(Some(PeerState::TimeWait), None)))
    );
    assert_eq!(
        state("state=shutdown_recd"),
        Ok(Some(StateFilter::Shown(
            None,
            Some(AssociationState::ShutdownReceived)
        )))
    );
    assert_eq!(state("state=unreplied"), Ok(Some(StateFilter::Unreplied)));
    assert_eq!(state("state=REPLIED"), Ok(Some(StateFilter::Replied)));
    for wrong in ["state=", "state=FIN_WAIT_2", "state=est"] {
        let (message, argument, span) = error(&[wrong]);
        assert!(message.starts_with("failed to parse state: expected CLOSED, SYN_SENT"));
        assert_eq!((argument, span), (0, 0..wrong.len()));
    }
}

#[test]
fn a_state_is_that_of_its_protocol() {
    let taken = |text: &str, protocol: &ProtocolInfo| {
        let filter = Filter::parse(&[text]).expect("a state");
        filter.takes_state(protocol, true)
    };
    let end = |state| TcpInfo {
        state,
        window_scale: 0,
        scaling: false,
        liberal: false,
    };
    let tcp = ProtocolInfo::Tcp {
        original: end(PeerState::Closed),
        reply: end(PeerState::Closed),
    };
    let sctp = |state| {
        ProtocolInfo::Sctp(SctpInfo {
            state,
            tags: [1, 2],
        })
    };
    let closed = sctp(AssociationState::Closed);
    assert!(taken("state=CLOSED", &tcp) && taken("state=CLOSED", &closed));
    assert!(!taken("state=TIME_WAIT", &closed) && !taken("state=COOKIE_WAIT", &tcp));
    assert!(taken(
        "state=cookie_wait",
        &sctp(AssociationState::CookieWait)
    ));
    assert!(!taken("state=cookie_wait", &closed));
    assert!(!taken("state=CLOSED", &ProtocolInfo::Stateless));
}

#[test]
fn tunnels_of_gre_are_found_by_their_keys() {
    let gre = |key: u32| Tuple {
        ip: IpPair::V4 {
            src: Ipv4Addr::new(10, 0, 0, 1),
            dst: Ipv4Addr::new(10, 0, 0, 2),
        },
        protocol: protocol::GRE,
        src_port: (key >> 16) as u16,
        dst_port: key as u16,
    };
    let wanted: PartialTuple = "ct_nw_src=10.0.0.1,ct_nw_proto=47,gre_key=0x12345678"
        .parse()
        .expect("it is right");
    assert_eq!(wanted.exact(), None);
    let whole: PartialTuple = "ct_nw_src=10.0.0.1,ct_nw_dst=10.0.0.2,ct_nw_proto=47,gre_key=7"
        .parse()
        .expect("it is right");
    assert_eq!(whole.exact(), Some(gre(7)));
    assert!(wanted.matches(&gre(0x1234_5678)));
    assert!(!wanted.matches(&gre(0x1234_5679)) && !wanted.matches(&gre(0)));
    let none: PartialTuple = "ct_nw_proto=47,gre_key=0".parse().expect("it is right");
    assert!(none.matches(&gre(0)) && !none.matches(&gre(1)));
    assert_eq!(
        wanted.to_string(),
        "ct_nw_src=10.0.0.1,ct_nw_proto=47,gre_key=305419896"
    );
    let message = |text: &str| text.parse::<PartialTuple>().expect_err(text).message;
    assert_eq!(message("gre_key=1,ct_nw_proto=47"), "invalid L4 fields");
    assert_eq!(message("ct_nw_proto=6,gre_key=1"), "invalid L4 fields");
    assert_eq!(
        message("ct_nw_proto=47,gre_key=0x100000000"),
        "failed to parse field gre_key"
    );
}

#[test]
fn addresses_may_be_prefixes() {
    let original = |text: &str| text.parse::<PartialTuple>();
    let tuple = original("ct_nw_src=10.1.2.3/8,ct_nw_dst=0.0.0.0/0").expect("it is right");
    assert_eq!(
        tuple.to_string(),
        "ct_nw_src=10.0.0.0/8,ct_nw_dst=0.0.0.0/0"
    );
    assert!(original("ct_ipv6_src=fc00::/7").is_ok());
    for wrong in ["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10/8"] {
        let error = original(&format!("ct_nw_dst={wrong}")).expect_err(wrong);
        assert_eq!(error.message, "failed to parse field ct_nw_dst");
    }
    let network = |text: &str, prefix| Network::new(text.parse().expect("an address"), prefix);
    let has = |network: Option<Network>, text: &str| {
        let network = network.expect("not too long");
        network.contains(text.parse().expect("an address"))
    };
    assert!(has(network("10.1.0.0", 16), "10.1.255.255"));
    assert!(!has(network("10.1.0.0", 16), "10.2.0.0"));
    assert!(has(network("10.1.0.0", 0), "255.0.0.1"));
    assert!(!has(network("0.0.0.0", 0), "::"));
    assert!(has(network("fc00::", 7), "fdff::1"));
    assert!(!has(network("fc00::", 128), "fc00::1"));
    assert_eq!(network("::", 129), None);
}

proptest! {
    #[test]
    fn a_prefix_has_what_agrees_in_its_bits(one: u128, other: u128, prefix in 0..=128u8) {
        // Alike in the first bits of some number.
        let alike = one ^ other.checked_shr(u32::from(prefix) / 2).unwrap_or(0);
        let network = Network::new(Ipv6Addr::from_bits(one).into(), prefix).expect("not too long");
        let agrees = (0..prefix).all(|bit| (one ^ alike) << bit >> 127 == 0);
        prop_assert_eq!(network.contains(Ipv6Addr::from_bits(alike).into()), agrees);
    }

    #[test]
    fn printed_tuples_parse_to_themselves(partial in any_partial()) {
        prop_assert_eq!(partial.to_string().parse(), Ok(partial));
    }

    #[test]
    fn any_text_parses_or_says_where_it_is_wrong(arguments in prop::collection::vec(
        "(zone=|mark=|labels=|state=|ct_nw_src=|ct_nw_proto=|icmp_id=|[a-z0-9.:=/, ]){0,6}", 0..5,
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
            src: Some(tuple.src().into()),
            dst: Some(tuple.dst().into()),
            protocol: Some(tuple.protocol),
            src_port: (!icmp).then_some(tuple.src_port),
            dst_port: (!icmp).then_some(tuple.dst_port),
            icmp_id: icmp.then_some(tuple.src_port),
            icmp_type: icmp.then_some(icmp_type),
            icmp_code: icmp.then_some(icmp_code),
            gre_key: None,
        };
        prop_assert!(original.matches(&tuple));
        prop_assert_eq!(Filter { original, ..Filter::default() }.exact(), Some(tuple));
        let other = PartialTuple { src_port: Some(tuple.src_port ^ 1), ..original };
        prop_assert!(!other.matches(&tuple));
    }
}

#[test]
fn each_state_is_parsed_and_named_where_one_is_not() {
    for name in StateFilter::names() {
        let filter = Filter::parse(&[&format!("state={name}")]).expect("it is one");
        let state = filter.state.expect("it was asked for").to_string();
        assert!(state.eq_ignore_ascii_case(&name));
        let filter = Filter::parse(&[&format!("state={}", name.to_ascii_lowercase())]);
        assert!(filter.is_ok());
    }
    let names = StateFilter::names();
    let (last, others) = names.split_last().expect("there are some");
    let expected = format!("expected {} or {last}", others.join(", "));
    let error = Filter::parse(&["state=LISTEN"]).expect_err("there is no such state");
    assert_eq!(error.message, format!("failed to parse state: {expected}"));
}
