use proptest::prelude::*;
use weir_packet::{VecFrame, text};

use super::*;
use crate::testing::any_tuple;

/// What a device computes: for each bit of the input, from the first, that is set, the 32 bits of the key
/// from there on.
fn toeplitz(key: &[u8], input: &[u8]) -> u32 {
    let bit = |bytes: &[u8], at: usize| bytes[at / 8] >> (7 - at % 8) & 1;
    let set = (0..input.len() * 8).filter(|at| bit(input, *at) == 1);
    set.fold(0, |hash, at| {
        let window = (at..at + 32).fold(0, |window, at| window << 1 | u32::from(bit(key, at)));
        hash ^ window
    })
}

/// What a device takes of a packet: addresses and then ports, as they lie in it.
fn input(tuple: &Tuple) -> Vec<u8> {
    let mut input = match tuple.ip {
        IpPair::V4 { src, dst } => [src.octets(), dst.octets()].concat(),
        IpPair::V6 { src, dst } => [src.octets(), dst.octets()].concat(),
    };
    if matches!(tuple.protocol, protocol::TCP | protocol::UDP) {
        input.extend(
            [tuple.src_port, tuple.dst_port]
                .map(u16::to_be_bytes)
                .as_flattened(),
        );
    }
    input
}

/// The model is what the verification suite of Microsoft's RSS says it is.
#[test]
fn the_model_is_that_of_devices() {
    let key: Vec<u8> = (0..40)
        .map(|at| {
            let text =
                "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa";
            u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("two digits")
        })
        .collect();
    for (line, hash) in [
        ("tcp 66.9.149.187:2794 > 161.142.100.80:1766 S", 0x51cc_c178),
        ("tcp 199.92.111.2:14230 > 65.69.140.83:4739 S", 0xc626_b0ea),
        (
            "tcp [3ffe:2501:200:1fff::7]:2794 > [3ffe:2501:200:3::1]:1766 S",
            0x4020_7d3d,
        ),
    ] {
        assert_eq!(toeplitz(&key, &input(&tuple(line))), hash, "{line}");
    }
}

fn tuple(line: &str) -> Tuple {
    let frame: VecFrame = text::frame(line);
    let layout = weir_packet::parse(frame.bytes(), frame.bytes().len()).expect("no runt");
    Tuple::of(frame.bytes(), &layout).expect("a tuple")
}

fn rss(secret: u64, entries: u16) -> Rss {
    let rss = Rss::new(secret).with_entries(entries);
    rss.expect("a table that can lead")
}

proptest! {
    /// The bucket is the entry of a redirection table, of as many entries or a multiple, as what an
    /// entry that has the number of a bucket in its lowest bits is to that bucket.
    #[test]
    fn a_bucket_is_an_entry_of_the_devices_table(tuple in any_tuple(), secret: u64, bits in 6..=9_u32) {
        let rss = rss(secret, 1 << bits);
        let key = rss.key().to_be_bytes().repeat(26);
        if let Some(bucket) = rss.bucket(&tuple) {
            let hash = toeplitz(&key, &input(&tuple));
            for entries in [1 << bits, 512, 1024] {
                prop_assert_eq!(hash % entries % u32::from(rss.buckets()), u32::from(bucket));
            }
            prop_assert_eq!(rss.bucket(&tuple.reversed()), Some(bucket));
        }
    }

    /// Clients of ports in sequence, the commonest traffic, get every bucket equally often.
    #[test]
    fn a_run_of_ports_is_spread_evenly(secret: u64, bits in 6..=9_u32, start in 0..64_u16) {
        let rss = rss(secret, 1 << bits);
        let mut tuple = tuple("udp 10.0.0.1:1 > 192.0.2.9:53");
        let mut often = vec![0; rss.buckets().into()];
        for n in 0..1024 {
            tuple.src_port = start * 1024 + n;
            often[usize::from(rss.bucket(&tuple).expect("UDP has one"))] += 1;
        }
        prop_assert!(often.iter().all(|often| *often == 1024 >> bits), "{:?}", often);
    }
}

/// There are many keys, and with another secret it is another one.
#[test]
fn keys_are_drawn() {
    let keys = (0..1_000).map(|secret| Rss::new(secret).key());
    let different: std::collections::HashSet<_> = keys.collect();
    assert!(different.len() > 400, "{}", different.len());
}

/// A table that is too small, or odd, leads nobody.
#[test]
fn not_every_table_leads() {
    let buckets = |entries| {
        let rss = Rss::new(1).with_entries(entries);
        rss.map(|rss| rss.buckets())
    };
    assert_eq!([0, 1, 32, 72, 127].map(buckets), [None; 5]);
    assert_eq!(
        [64, 128, 512, 2_048].map(buckets),
        [Some(64), Some(128), Some(512), Some(512)]
    );
}
