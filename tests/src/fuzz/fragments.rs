//! Bytes as pieces of datagrams.

use weir_packet::checksum::ipv4_header_checksum_ok;
use weir_packet::reassembly::{Bounds, Gathered, Reassembly, Refused, cut};
use weir_packet::{Fragment, Frame, SegmentedFrame, Tick, parse, text};

/// Bytes that say what one piece is.
const ORDER: usize = 5;

/// Each five bytes are a piece: which datagram and version, where, how long, how much later.
/// Every piece is held, refused or part of a datagram that is handed out, which is well-formed and
/// can be cut as it came.
///
/// # Panics
/// If not.
pub fn fragments(bytes: &[u8]) {
    let bounds = Bounds {
        datagrams: 4,
        ..Bounds::default()
    };
    let mut table = Reassembly::new(bounds, 0);
    let (mut taken, mut handed_out, mut now) = (0, 0, 0);
    for order in bytes.chunks_exact(ORDER) {
        now += u64::from(order[4]) * 100;
        let line = piece(order);
        let whole = text::frame(&line);
        let frame = SegmentedFrame::new(whole.bytes(), 70, &[usize::from(order[3]) + 1]);
        let layout = parse(frame.head(), frame.len()).expect("no runt");
        let is_piece = layout.fragment != Fragment::No;
        match table.gather(frame, &layout, 0, Tick::from_millis(now)) {
            Err(_) => {
                assert!(!is_piece, "{line}");
                continue;
            }
            Ok(Gathered::Whole(datagram)) => {
                handed_out += u64::from(datagram.pieces);
                let frame = datagram.frame;
                let layout = parse(frame.head(), frame.len()).expect("no runt");
                assert_eq!(layout.fragment, Fragment::No, "{line}");
                assert_eq!(layout.l3_end as usize, frame.len(), "{line}");
                assert!(ipv4_header_checksum_ok(frame.head(), &layout), "{line}");
                let pieces = cut(&frame, &layout, datagram.largest.into());
                for piece in pieces.expect("it came in pieces") {
                    let piece = piece.expect("there is memory");
                    let size = piece.len() - usize::from(layout.l3_offset);
                    assert!(size <= datagram.largest.into(), "{line}");
                }
            }
            Ok(Gathered::Waiting | Gathered::Refused(_)) => {}
        }
        taken += 1;
        let refused: u64 = Refused::ALL.iter().map(|&kind| table.refused(kind)).sum();
        assert_eq!(taken, u64::from(table.held()) + handed_out + refused);
    }
    table.expire(Tick::from_millis(now + 60_000), usize::MAX);
    assert_eq!((table.held(), table.held_bytes()), (0, 0));
}

fn piece(order: &[u8]) -> String {
    let (id, protocol) = (
        order[0] & 7,
        [253, 17, 6, 58][usize::from(order[0] >> 3 & 3)],
    );
    let net = if order[0] & 0x80 == 0 {
        "10.0.0."
    } else {
        "fd00::"
    };
    let scale = [8, 32, 128][usize::from(order[0] >> 5 & 3).min(2)];
    let offset = u32::from(order[1]) * scale;
    let offset = offset.min(0xfff8);
    let more = if order[2] & 1 == 0 { "" } else { " mf" };
    let size = u32::from(order[3]) * if order[2] & 2 == 0 { 8 } else { 1 };
    let tos = order[2] >> 2 & 3;
    format!(
        "ip proto={protocol} {net}1 > {net}2 tos={tos} frag id={id} off={offset}{more} len={size}"
    )
}

/// Datagrams in two or three pieces, in all orders that matter.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for version in [0, 0x80] {
        for size in [1, 3, 120] {
            let first = [version, 0, 1, size, 0];
            let middle = [version, size, 1, size, 1];
            let last = [version, size * 2, 2, 5, 1];
            let again = [version, 1, 1, size, 0];
            seeds.push([first, middle, last].concat());
            seeds.push([last, middle, first].concat());
            seeds.push([middle, first, first, last].concat());
            seeds.push([first, again, middle, last].concat());
        }
    }
    seeds
}
