//! Datagrams in pieces, for tests.

use weir_packet::checksum::{ipv4_header_checksum_ok, l4_checksum_ok};
use weir_packet::reassembly::{Bounds, Gathered, Reassembly, cut};
use weir_packet::{Frame, Tick, VecFrame, parse, text};

/// The pieces of the packet that `line` describes ([`weir_packet::text`]), in order, with at most
/// `size` bytes behind Ethernet. One of IPv6 needs a fragment header: `frag id= off=0`.
///
/// # Panics
/// If it is no packet, or cannot be cut.
pub fn pieces(line: &str, size: usize) -> Vec<VecFrame> {
    pieces_of(&text::frame(line), size)
}

/// As [`pieces`], of a frame.
///
/// # Panics
/// If it cannot be cut.
pub fn pieces_of(whole: &VecFrame, size: usize) -> Vec<VecFrame> {
    let layout = parse(whole.head(), whole.len()).expect("no runt");
    let pieces = cut(whole, &layout, size).expect("a datagram that can be cut");
    pieces.map(|piece| piece.expect("memory")).collect()
}

/// The one datagram that `pieces` are of, in any order, in the words of [`weir_packet::text`].
///
/// # Panics
/// If they are not all of one, or a checksum is wrong.
pub fn whole(pieces: Vec<VecFrame>) -> String {
    let mut waiting = Reassembly::new(Bounds::default(), 1);
    let mut found = None;
    for piece in pieces {
        assert!(found.is_none(), "a piece too many");
        let layout = parse(piece.head(), piece.len()).expect("no runt");
        assert!(
            ipv4_header_checksum_ok(piece.head(), &layout),
            "the IPv4 checksum of a piece"
        );
        match waiting.gather(piece, &layout, 0, Tick::ZERO) {
            Ok(Gathered::Waiting) => {}
            Ok(Gathered::Whole(datagram)) => found = Some(datagram.frame),
            Ok(Gathered::Refused(reason)) => panic!("{reason:?}"),
            Err(frame) => panic!("no piece: {}", text::describe(frame.bytes())),
        }
    }
    let whole = found.expect("a piece is missing");
    let layout = parse(whole.head(), whole.len()).expect("no runt");
    assert!(l4_checksum_ok(&whole, &layout), "the L4 checksum");
    text::describe(whole.bytes())
}
