use proptest::prelude::*;
use weir_packet::{Frame, IpPair, VecFrame, protocol, text};

use super::*;
use crate::testing::any_tuple;

fn belongs(owners: &Owners, line: &str) -> Belongs {
    let frame: VecFrame = text::frame(line);
    let layout = weir_packet::parse(frame.head(), frame.len()).expect("no runt");
    owners.belongs(frame.head(), &layout)
}

proptest! {
    #[test]
    fn both_directions_belong_together(tuple in any_tuple(), shards in 1..9u16, secret: u64) {
        let owners = Owners::new(shards, secret);
        let pair = owners.pair(&tuple);
        prop_assert_eq!(pair, owners.pair(&tuple.reversed()));
        prop_assert!(owners.owner(pair).0 < shards);
        prop_assert_eq!(PairId::of(pair.get()), pair);
        prop_assert!(pair.get() > 0 && pair.get() >> PairId::BITS == 0);
    }

    /// What is known of a plain packet makes the same pair as its tuple, whatever decides on owners.
    #[test]
    fn ends_are_what_the_tuple_is(
        (src, src_port) in any::<(u32, u16)>(),
        (dst, dst_port) in any::<(u32, u16)>(),
        tcp: bool,
        secret: u64,
        entries in prop::option::of((6..=9_u32).prop_map(|bits| 1 << bits)),
    ) {
        let owners = Owners::new(3, secret);
        let rss = entries.and_then(|entries| Rss::new(secret).with_entries(entries));
        let owners = rss.into_iter().fold(owners, Owners::led_by);
        let tuple = Tuple {
            ip: IpPair::V4 { src: src.into(), dst: dst.into() },
            protocol: if tcp { protocol::TCP } else { protocol::UDP },
            src_port,
            dst_port,
        };
        let ends = [(src, src_port), (dst, dst_port)];
        let ends = ends.map(|(address, port)| u64::from(address) << 16 | u64::from(port));
        prop_assert_eq!(owners.pair_of_ends(ends, tuple.protocol), owners.pair(&tuple));
    }

    /// Whatever differs makes another pair, but for what a reply differs in.
    #[test]
    fn different_tuples_are_different_pairs(a in any_tuple(), b in any_tuple()) {
        let owners = Owners::new(4, 1);
        let kind = |tuple: &Tuple| if tuple.is_icmp() { tuple.dst_port } else { 0 };
        let differ = a != b && a != b.reversed() && kind(&a) == kind(&b);
        prop_assert!(!differ || owners.pair(&a) != owners.pair(&b));
    }

    #[test]
    fn any_bytes_belong_somewhere(bytes in prop::collection::vec(any::<u8>(), 14..120)) {
        let owners = Owners::new(4, 1);
        if let Ok(layout) = weir_packet::parse(&bytes, bytes.len()) {
            let _ = owners.belongs(&bytes, &layout);
        }
    }
}

/// Each end is taken together: 1:2 > 3:4 is not 1:4 > 3:2.
#[test]
fn ends_are_not_mixed() {
    let owners = Owners::new(4, 1);
    let pairs = ["1.1.1.1:7 > 2.2.2.2:9", "1.1.1.1:9 > 2.2.2.2:7"];
    let [a, b] = pairs.map(|pair| belongs(&owners, &format!("udp {pair}")));
    assert_ne!(a, b);
}

#[test]
fn an_error_belongs_to_what_it_is_about() {
    let owners = Owners::new(1000, 1);
    for (packet, error) in [
        (
            "udp 10.0.0.5:4000 > 192.0.2.9:53",
            "icmp 203.0.113.1 > 10.0.0.5 unreachable code=1 { udp 10.0.0.5:4000 > 192.0.2.9:53 }",
        ),
        (
            "tcp [fc00::1]:1000 > [2001:db8::9]:80 S",
            "icmp6 2001:db8::1 > fc00::1 too-big mtu=1280 { tcp [fc00::1]:1000 > [2001:db8::9]:80 S }",
        ),
        (
            "icmp 192.0.2.9 > 10.0.0.5 echo-reply id=7",
            "icmp 203.0.113.1 > 10.0.0.5 time-exceeded { icmp 10.0.0.5 > 192.0.2.9 echo-request id=7 }",
        ),
    ] {
        assert_eq!(belongs(&owners, packet), belongs(&owners, error), "{error}");
    }
}

#[test]
fn pieces_belong_together() {
    let owners = Owners::new(1000, 1);
    let pieces = [
        "udp 10.0.0.1:1 > 10.0.0.2:2 frag id=7 off=0 mf len=1472",
        "ip proto=17 10.0.0.1 > 10.0.0.2 frag id=7 off=1480 len=100",
    ];
    let [first, later] = pieces.map(|piece| belongs(&owners, piece));
    assert_eq!(first, later);
    assert!(matches!(first, Belongs::Shard(_)));
    // Pieces of another datagram may go elsewhere: they are spread.
    let other = |id| {
        belongs(
            &owners,
            &format!("ip proto=17 10.0.0.1 > 10.0.0.2 frag id={id} off=8 len=8"),
        )
    };
    let shards: std::collections::HashSet<_> =
        (0..50).map(|id| format!("{:?}", other(id))).collect();
    assert!(shards.len() > 40);
    let pieces = [
        "udp [2001:db8::1]:1 > [2001:db8::2]:2 frag id=7 off=0 mf len=1232",
        "ip proto=17 2001:db8::1 > 2001:db8::2 frag id=7 off=1240 len=8",
    ];
    let [first, later] = pieces.map(|piece| belongs(&owners, piece));
    assert_eq!(first, later);
}

#[test]
fn what_has_no_tuple_belongs_with_its_addresses_or_anywhere() {
    let owners = Owners::new(4, 1);
    let solicit = "icmp6 fe80::1 > ff02::1 neighbor-solicit target=fe80::2";
    assert!(matches!(belongs(&owners, solicit), Belongs::Shard(_)));
    let arp = "arp request 10.0.0.1 > 10.0.0.2";
    assert_eq!(belongs(&owners, arp), Belongs::Anywhere);
}

/// Ports in sequence, the commonest traffic, are spread evenly over any number of shards: of
/// 10,000 the standard deviation is below 50.
#[test]
fn shards_get_equal_shares() {
    for shards in [2, 3, 4, 8] {
        let owners = Owners::new(shards, 5);
        let mut shares = vec![0i32; usize::from(shards)];
        for port in 1..=10_000 {
            let ip = IpPair::V4 {
                src: [10, 0, 0, 1].into(),
                dst: [192, 0, 2, 9].into(),
            };
            let (protocol, src_port, dst_port) = (6, port, 80);
            let tuple = Tuple {
                ip,
                protocol,
                src_port,
                dst_port,
            };
            shares[usize::from(owners.owner(owners.pair(&tuple)).0)] += 1;
        }
        let mean = 10_000 / i32::from(shards);
        assert!(
            shares.iter().all(|share| (share - mean).abs() < 250),
            "{shares:?}"
        );
    }
}

/// A datagram that was put together belongs to what it would had it come whole, whatever became of its
/// addresses on its way; an error to what it is about.
#[test]
fn a_datagram_belongs_to_what_it_came_as() {
    let owners = Owners::new(1000, 1);
    let whole = |line: &str, came: Option<IpPair>| {
        let frame: VecFrame = text::frame(line);
        let layout = weir_packet::parse(frame.head(), frame.len()).expect("no runt");
        let pair = owners.pair_of_whole(frame.head(), &layout, came);
        pair.map(Belongs::Pair)
    };
    let ends_of = |line: &str| {
        let frame: VecFrame = text::frame(line);
        let layout = weir_packet::parse(frame.head(), frame.len()).expect("no runt");
        IpPair::of(frame.head(), &layout)
    };
    let packet = "udp 10.0.0.5:4000 > 192.0.2.9:53";
    let rewritten = "udp 203.0.113.9:4000 > 192.0.2.9:53";
    let piece = "udp 10.0.0.5:4000 > 192.0.2.9:53 frag id=7 off=0 mf len=8";
    let belongs_to = Some(belongs(&owners, packet));
    assert_eq!(whole(packet, None), belongs_to);
    assert_eq!(whole(rewritten, ends_of(piece)), belongs_to);
    assert_ne!(whole(rewritten, None), belongs_to);
    let error =
        "icmp 203.0.113.1 > 10.0.0.5 unreachable code=1 { udp 10.0.0.5:4000 > 192.0.2.9:53 }";
    assert_eq!(whole(error, ends_of(error)), belongs_to);
    assert_eq!(whole("icmp 10.0.0.1 > 10.0.0.2 type=200", None), None);
}

/// Led by a device's hash, what it tells apart belongs where the bucket does, whichever way it goes; the
/// rest is spread as ever.
#[test]
fn a_bucket_decides_where_its_packets_belong() {
    for (shards, entries) in [(2, 128), (3, 128), (8, 512), (5, 64)] {
        let rss = Rss::new(99)
            .with_entries(entries)
            .expect("a table that can lead");
        let owners = Owners::new(shards, 7).led_by(rss.clone());
        let mut shares = vec![0; usize::from(shards)];
        (0..rss.buckets())
            .for_each(|bucket| shares[usize::from(owners.owner_of_bucket(bucket).0)] += 1);
        let even = usize::from(rss.buckets() / shards);
        assert!(
            shares.iter().all(|share| (even..=even + 1).contains(share)),
            "{shares:?}"
        );
        let mut pairs = std::collections::HashSet::new();
        for port in 1..2_000 {
            for (line, is_led) in [
                (format!("tcp 10.0.0.1:{port} > 192.0.2.9:80 S"), true),
                (format!("udp [2001:db8::1]:{port} > [2001:db8::2]:53"), true),
                (
                    format!("icmp 10.0.0.1 > 192.0.2.9 echo-request id={port}"),
                    false,
                ),
                (
                    format!("sctp 10.0.0.1:{port} > 192.0.2.9:80 vtag=0 chunk=init:0:00"),
                    false,
                ),
            ] {
                let frame: VecFrame = text::frame(&line);
                let layout = weir_packet::parse(frame.head(), frame.len()).expect("no runt");
                let tuple = Tuple::of(frame.head(), &layout).expect("it has one");
                let (pair, reply) = (owners.pair(&tuple), owners.pair(&tuple.reversed()));
                assert_eq!(pair, reply, "{line}");
                assert!(pairs.insert(pair), "{line}: another pair has the same id");
                assert!(pair.get() > 0 && pair.get() >> PairId::BITS == 0);
                let bucket = rss.bucket(&tuple);
                assert_eq!(bucket.is_some(), is_led, "{line}");
                if let Some(bucket) = bucket {
                    assert_eq!(owners.owner(pair), owners.owner_of_bucket(bucket), "{line}");
                }
                assert!(owners.owner(pair).0 < shards);
            }
        }
    }
}

/// An error comes by a device to the owner of its addresses, and belongs to what it is about.
#[test]
fn an_error_belongs_to_what_it_is_about_whoever_leads() {
    let owners = Owners::new(8, 1).led_by(Rss::new(5));
    let about = belongs(&owners, "udp 10.0.0.5:4000 > 192.0.2.9:53");
    let error =
        "icmp 203.0.113.1 > 10.0.0.5 unreachable code=1 { udp 10.0.0.5:4000 > 192.0.2.9:53 }";
    assert_eq!(belongs(&owners, error), about);
}
