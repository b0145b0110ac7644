//! Random packets for property tests (feature `proptest`).
//!
//! Well-formed packets come as lines of [`crate::text`], so that a failing case reads like
//! traffic; [`bytes_of`] makes frames of them. Addresses and ports are often out of a small
//! set, so that packets of one connection, and its replies, are common. Strategies are boxed:
//! nested as they are, their values would not fit on a test's stack.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::frame::SegmentedFrame;
use crate::layout::parse;
use crate::text;

/// The bytes of a line.
///
/// # Panics
/// If the line is none of [`crate::text`]'s.
pub fn bytes_of(line: &str) -> Vec<u8> {
    text::frame(line).bytes().to_vec()
}

/// A well-formed packet of any kind that weir looks into, fragments included.
pub fn line() -> BoxedStrategy<String> {
    prop_oneof![
        8 => whole_ip_line(),
        2 => fragment_line(),
        1 => (front(), arp(), pad()).prop_map(|(front, arp, pad)| format!("{front}{arp}{pad}")),
        1 => (front(), 0x0600u16.., payload(100))
            .prop_filter("a type that is looked into", |(_, ether_type, _)| {
                !matches!(ether_type, 0x0800 | 0x0806 | 0x8035 | 0x86dd | 0x8100 | 0x88a8)
            })
            .prop_map(|(front, ether_type, payload)| {
                format!("{front}ether type={ether_type:#06x}{payload}")
            }),
    ]
    .boxed()
}

/// A well-formed whole datagram over IPv4 or IPv6.
pub fn whole_ip_line() -> BoxedStrategy<String> {
    any::<bool>()
        .prop_flat_map(|v6| {
            (front(), transport(v6), ip_options(v6), pad()).prop_map(
                |(front, transport, options, pad)| format!("{front}{transport}{options}{pad}"),
            )
        })
        .boxed()
}

/// A fragment: a first one with its L4 header, or a later one.
pub fn fragment_line() -> BoxedStrategy<String> {
    any::<bool>()
        .prop_flat_map(|v6| {
            let first = (transport(v6), any::<u16>())
                .prop_map(|(transport, id)| format!("{transport} frag id={id} off=0 mf"));
            let later = (
                protocol(),
                addresses(v6),
                any::<u16>(),
                1u16..8000,
                any::<bool>(),
                payload(1480),
            )
                .prop_map(|(protocol, (src, dst), id, units, more, payload)| {
                    let offset = units * 8;
                    let more = if more { " mf" } else { "" };
                    format!(
                        "ip proto={protocol} {src} > {dst}{payload} frag id={id} off={offset}{more}"
                    )
                });
            (front(), prop_oneof![first, later], ttl_and_tos(), pad())
                .prop_map(|(front, ip, options, pad)| format!("{front}{ip}{options}{pad}"))
        })
        .boxed()
}

/// Bytes that may be anything: well-formed packets with bytes changed, cut off or added, and
/// bytes without any sense.
pub fn broken() -> BoxedStrategy<Vec<u8>> {
    let changes = prop::collection::vec((any::<Index>(), any::<u8>()), 0..5);
    let cut = prop::option::of(any::<Index>());
    prop_oneof![
        4 => (line(), changes, cut).prop_map(|(line, changes, cut)| {
            let mut bytes = bytes_of(&line);
            for (at, value) in changes {
                // Headers are where a change tells.
                let at = at.index(bytes.len().min(100));
                bytes[at] = value;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len().min(200)));
            }
            bytes
        }),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ]
    .boxed()
}

/// A frame in segments, all headers in the first, as every holder of a chain guarantees.
pub fn segmented(bytes: Vec<u8>) -> BoxedStrategy<SegmentedFrame> {
    let headers = parse(&bytes, bytes.len()).map_or(bytes.len(), |layout| {
        // The longest L4 header is TCP's.
        usize::from(layout.l4_offset.max(layout.l3_offset)) + 60
    });
    let sizes = prop::collection::vec(0usize..600, 0..4);
    (0usize..200, sizes)
        .prop_map(move |(more, sizes)| SegmentedFrame::new(&bytes, headers + more, &sizes))
        .boxed()
}

/// An IPv4 address, often one of four.
pub fn ipv4() -> BoxedStrategy<Ipv4Addr> {
    prop_oneof![
        3 => (1u8..=4).prop_map(|host| Ipv4Addr::new(10, 0, 0, host)),
        1 => any::<u32>().prop_map(Ipv4Addr::from_bits),
    ]
    .boxed()
}

/// An IPv6 address, often one of four.
pub fn ipv6() -> BoxedStrategy<Ipv6Addr> {
    prop_oneof![
        3 => (1u16..=4).prop_map(|host| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host)),
        1 => any::<u128>().prop_map(Ipv6Addr::from_bits),
    ]
    .boxed()
}

/// A port, often one of three; sometimes 0.
pub fn port() -> BoxedStrategy<u16> {
    prop_oneof![3 => select(vec![1u16, 53, 4000]), 1 => any::<u16>()].boxed()
}

fn addresses(v6: bool) -> BoxedStrategy<(IpAddr, IpAddr)> {
    if v6 {
        (ipv6(), ipv6())
            .prop_map(|(src, dst)| (src.into(), dst.into()))
            .boxed()
    } else {
        (ipv4(), ipv4())
            .prop_map(|(src, dst)| (src.into(), dst.into()))
            .boxed()
    }
}

fn sockets(v6: bool) -> BoxedStrategy<String> {
    (addresses(v6), port(), port())
        .prop_map(|((src, dst), src_port, dst_port)| {
            let bracketed = |address: IpAddr| match address {
                IpAddr::V4(address) => address.to_string(),
                IpAddr::V6(address) => format!("[{address}]"),
            };
            format!(
                "{}:{src_port} > {}:{dst_port}",
                bracketed(src),
                bracketed(dst)
            )
        })
        .boxed()
}

/// Protocol, addresses, transport header and payload.
fn transport(v6: bool) -> BoxedStrategy<String> {
    prop_oneof![
        4 => (sockets(v6), tcp_words(), payload(1400))
            .prop_map(|(sockets, words, payload)| format!("tcp {sockets}{words}{payload}")),
        4 => (sockets(v6), payload(1400), any::<bool>()).prop_map(move |(sockets, payload, sum)| {
            let sum = if sum || v6 { "" } else { " no-csum" };
            format!("udp {sockets}{sum}{payload}")
        }),
        1 => (sockets(v6), any::<u32>(), prop::collection::vec(any::<u8>(), 1..60)).prop_map(
            |(sockets, vtag, value)| {
                format!("sctp {sockets} vtag={vtag:#x} chunk=data:3:{}", hex(&value))
            }
        ),
        2 => (addresses(v6), icmp_words(v6)).prop_map(move |((src, dst), words)| {
            format!("{} {src} > {dst} {words}", if v6 { "icmp6" } else { "icmp" })
        }),
        1 => (addresses(v6), select(vec![4u8, 47, 50, 89, 253]), payload(200)).prop_map(
            |((src, dst), protocol, payload)| format!("ip proto={protocol} {src} > {dst}{payload}")
        ),
    ]
    .boxed()
}

fn protocol() -> BoxedStrategy<u8> {
    select(vec![1u8, 6, 17, 47, 58, 132]).boxed()
}

fn tcp_words() -> BoxedStrategy<String> {
    let flags = select(vec![
        "S",
        "SA",
        "A",
        "PA",
        "FA",
        "R",
        "RA",
        "PAU",
        "FSRPAUECN",
    ]);
    let options = prop_oneof![
        Just(String::new()),
        (0u8..=15).prop_map(|shift| format!(" mss=1460 sack-ok ts=1:0 wscale={shift}")),
        any::<[u32; 2]>().prop_map(|[value, echo]| format!(" ts={value}:{echo}")),
        any::<[u8; 8]>().prop_map(|raw| format!(" opt={}", hex(&raw))),
    ];
    (flags, any::<u32>(), any::<u32>(), any::<u16>(), options)
        .prop_map(|(flags, seq, ack, window, options)| {
            format!(" {flags} seq={seq} ack={ack} win={window}{options}")
        })
        .boxed()
}

fn icmp_words(v6: bool) -> BoxedStrategy<String> {
    let query = (any::<bool>(), port(), any::<u16>(), payload(600)).prop_map(
        |(request, id, seq, payload)| {
            let name = if request {
                "echo-request"
            } else {
                "echo-reply"
            };
            format!("{name} id={id} seq={seq}{payload}")
        },
    );
    let error = (
        select(vec![
            "unreachable code=1",
            "unreachable code=4",
            "time-exceeded",
        ]),
        sockets(v6),
        prop::option::of(if v6 { 48usize..70 } else { 28usize..70 }),
    )
        .prop_map(|(name, sockets, cut)| {
            let cut = cut.map_or(String::new(), |cut| format!(" cut={cut}"));
            format!("{name} {{ udp {sockets} len=50 }}{cut}")
        });
    let neighbor = (ipv6(), any::<bool>()).prop_map(|(target, solicit)| match solicit {
        true => format!("neighbor-solicit target={target} sll=02:00:00:00:00:01"),
        false => format!("neighbor-advert flags=SO target={target} tll=02:00:00:00:00:02"),
    });
    prop_oneof![
        3 => query,
        1 => error,
        u32::from(v6) => neighbor,
    ]
    .boxed()
}

fn ttl_and_tos() -> BoxedStrategy<String> {
    (any::<u8>(), any::<u8>())
        .prop_map(|(ttl, tos)| format!(" ttl={ttl} tos={tos:#x}"))
        .boxed()
}

fn ip_options(v6: bool) -> BoxedStrategy<String> {
    let words = if v6 {
        let extensions = select(vec![
            "",
            " ext=0:010400000000",
            " ext=43:000000000000",
            " ext=51:00000000000100000002",
            " ext=0:050200000100 ext=60:010400000000",
            " ext=60:010c000000000000000000000000 ext=60:010400000000",
            " frag id=9 off=0",
        ]);
        (0u32..=0x000f_ffff, extensions)
            .prop_map(|(label, words)| format!(" label={label:#x}{words}"))
            .boxed()
    } else {
        let options = select(vec![
            "",
            " df",
            " ipopt=94040000",
            " ipopt=0101010101010100 df",
        ]);
        (any::<u16>(), options)
            .prop_map(|(id, words)| format!(" ip-id={id}{words}"))
            .boxed()
    };
    (ttl_and_tos(), words)
        .prop_map(|(common, words)| format!("{common}{words}"))
        .boxed()
}

/// At most `most` bytes, of an even or odd number, that count up or not.
fn payload(most: usize) -> BoxedStrategy<String> {
    prop_oneof![
        2 => Just(String::new()),
        3 => (0..=most, any::<u8>()).prop_map(|(len, from)| format!(" len={len} from={from}")),
        1 => prop::collection::vec(any::<u8>(), 1..40)
            .prop_map(|bytes| format!(" data={}", hex(&bytes))),
    ]
    .boxed()
}

/// What stands in front: addresses and up to two tags.
fn front() -> BoxedStrategy<String> {
    let tag =
        (0u16..4096, 0u8..8, any::<bool>(), any::<bool>()).prop_map(|(id, pcp, dei, service)| {
            let dei = if dei { " dei" } else { "" };
            let tpid = if service { " tpid 0x88a8" } else { "" };
            format!("vlan {id} pcp {pcp}{dei}{tpid} ")
        });
    let eth = (any::<u8>(), any::<u8>())
        .prop_map(|(src, dst)| format!("eth 02:00:00:00:00:{src:02x} > 02:00:00:00:00:{dst:02x} "));
    let eth = prop_oneof![3 => Just(String::new()), 1 => eth];
    let tags = prop_oneof![4 => Just(0usize), 1 => Just(1), 1 => Just(2)]
        .prop_flat_map(move |count| prop::collection::vec(tag.clone(), count));
    (eth, tags)
        .prop_map(|(eth, tags)| eth + &tags.concat())
        .boxed()
}

fn pad() -> BoxedStrategy<String> {
    prop_oneof![
        3 => Just(String::new()),
        1 => (1usize..40).prop_map(|pad| format!(" pad={pad}")),
    ]
    .boxed()
}

fn arp() -> BoxedStrategy<String> {
    (
        select(vec!["request", "reply", "op=9"]),
        ipv4(),
        ipv4(),
        any::<bool>(),
    )
        .prop_map(|(operation, spa, tpa, reverse)| {
            format!(
                "{} {operation} {spa} > {tpa}",
                if reverse { "rarp" } else { "arp" }
            )
        })
        .boxed()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
