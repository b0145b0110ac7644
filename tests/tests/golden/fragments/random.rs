//! Datagrams that come in pieces fare as if they came whole, but that they leave in pieces.

use proptest::prelude::*;
use weir_packet::{VecFrame, text};
use weir_tests::pieces::{pieces_at, wholes};
use weir_tests::switch::Switch;

use super::NAT;

/// A datagram, and where it is cut.
#[derive(Clone, Debug)]
struct Datagram {
    line: String,
    places: Vec<usize>,
}

/// Of connection number `at`; no two have a port or identification in common.
fn datagram(at: u16) -> impl Strategy<Value = Datagram> {
    // The first piece holds any L4 header.
    let places = prop::collection::vec(3_usize..1000, 0..12);
    (0..6, 40_usize..8000, places).prop_map(move |(kind, len, places)| {
        let port = 4000 + at;
        let v4 = format!("10.0.0.{at}:{port} > 192.0.2.9:53 ip-id={port} len={len}");
        let v6 = format!("[fd00::{at}]:{port} > [2001:db8::9]:53 frag id={port} off=0 len={len}");
        let line = match kind {
            0 => format!("udp {v4}"),
            1 => format!("udp {v6}"),
            2 => format!("tcp {}", v4.replace(" ip-id", " A seq=7 ack=9 ip-id")),
            3 => format!("tcp {}", v6.replace(" frag", " A seq=7 ack=9 frag")),
            4 => format!(
                "icmp 10.0.0.{at} > 192.0.2.9 echo-request id={port} seq=1 ip-id={port} len={len}"
            ),
            _ => format!(
                "icmp6 fd00::{at} > 2001:db8::9 echo-request id={port} seq=1 frag id={port} off=0 \
                 len={len}"
            ),
        };
        Datagram { line, places }
    })
}

fn datagrams() -> impl Strategy<Value = Vec<Datagram>> {
    (1_usize..6).prop_flat_map(|count| (1..=count as u16).map(datagram).collect::<Vec<_>>())
}

fn switch() -> Switch {
    let ports = Switch::builder().mtu(1, 9000).mtu(2, 9000);
    ports.flows(NAT)
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pieces_fare_as_the_whole(
        datagrams in datagrams(),
        order in prop::collection::vec(any::<prop::sample::Index>(), 80),
        burst in 1_usize..9,
    ) {
        let frames: Vec<VecFrame> = datagrams.iter().map(|one| text::frame(&one.line)).collect();
        let mut together = switch();
        together.inject_frames(1, frames.clone());
        let mut expected = together.sent_frames(2);
        for _ in &datagrams {
            prop_assert!(!expected.is_empty());
        }

        let mut pieces: Vec<VecFrame> = frames
            .iter()
            .zip(&datagrams)
            .flat_map(|(frame, one)| pieces_at(frame, &one.places))
            .collect();
        let count = pieces.len();
        for (at, other) in order.iter().enumerate().take(count) {
            pieces.swap(at, other.index(count));
        }
        let largest = pieces.iter().map(|piece| piece.bytes().len()).max();
        let mut apart = switch();
        for burst in pieces.chunks(burst) {
            apart.inject_frames(1, burst.to_vec());
        }
        let sent = apart.sent_frames(2);
        prop_assert!(sent.iter().map(|piece| piece.bytes().len()).max() <= largest);
        prop_assert_eq!(sorted(wholes(sent)), sorted(wholes(expected.split_off(0))));
        prop_assert_eq!(apart.conntrack(), together.conntrack());
        prop_assert!(apart.state().contains("; drops: none"), "{}", apart.state());
    }
}
