//! Datagrams in pieces, for tests.

use weir_packet::checksum::{ipv4_header_checksum_ok, l4_checksum_ok, write_ipv4_header_checksum};
use weir_packet::reassembly::{Bounds, Gathered, Reassembly, cut};
use weir_packet::{Frame, L3, Layout, Tick, VecFrame, parse, text};

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
    let mut found = wholes(pieces);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// The pieces of a frame, cut at `places`, which count units of eight bytes of its data; those
/// beyond its end, and those named twice, do not count.
///
/// # Panics
/// If it cannot be cut.
pub fn pieces_at(whole: &VecFrame, places: &[usize]) -> Vec<VecFrame> {
    const UNIT: usize = 8;
    let layout = parse(whole.head(), whole.len()).expect("no runt");
    let ip = usize::from(layout.l3_offset);
    let start = match layout.l3 {
        L3::Ipv4 => usize::from(layout.l4_offset),
        _ => usize::from(layout.fragment_header_offset) + 8,
    };
    let (headers, data) = whole.bytes()[..layout.l3_end as usize].split_at(start);
    let mut ends: Vec<usize> = places.iter().map(|place| place * UNIT).collect();
    ends.retain(|&end| end > 0 && end < data.len());
    ends.push(data.len());
    ends.sort_unstable();
    ends.dedup();
    let mut begin = 0;
    ends.into_iter()
        .map(|end| {
            let (more, offset) = (end < data.len(), begin as u16);
            let mut bytes = [headers, &data[begin..end]].concat();
            let size = (bytes.len() - ip) as u16;
            match layout.l3 {
                L3::Ipv4 => {
                    bytes[ip + 2..ip + 4].copy_from_slice(&size.to_be_bytes());
                    let field = u16::from(more) << 13 | offset >> 3;
                    bytes[ip + 6..ip + 8].copy_from_slice(&field.to_be_bytes());
                    let layout = Layout {
                        l3_end: bytes.len() as u32,
                        ..layout
                    };
                    write_ipv4_header_checksum(&mut bytes, &layout);
                }
                _ => {
                    bytes[ip + 4..ip + 6].copy_from_slice(&(size - 40).to_be_bytes());
                    let field = offset | u16::from(more);
                    bytes[start - 6..start - 4].copy_from_slice(&field.to_be_bytes());
                }
            }
            begin = end;
            VecFrame::new(&bytes)
        })
        .collect()
}

/// The datagrams that `frames` are or are pieces of, in the order in which they become whole, in the
/// words of [`weir_packet::text`].
///
/// # Panics
/// If a piece is missing, or a checksum is wrong.
pub fn wholes(frames: Vec<VecFrame>) -> Vec<String> {
    let found = gathered(frames).into_iter();
    found.map(|frame| text::describe(frame.bytes())).collect()
}

/// As [`wholes`], as frames.
///
/// # Panics
/// If a piece is missing, or a checksum is wrong.
pub fn gathered(frames: Vec<VecFrame>) -> Vec<VecFrame> {
    let mut waiting = Reassembly::new(Bounds::default(), 1);
    let mut found = Vec::new();
    for frame in frames {
        let layout = parse(frame.head(), frame.len()).expect("no runt");
        assert!(
            ipv4_header_checksum_ok(frame.head(), &layout),
            "the IPv4 checksum of a piece"
        );
        match waiting.gather(frame, &layout, 0, Tick::ZERO) {
            Ok(Gathered::Waiting) => {}
            Ok(Gathered::Whole(datagram)) => found.push(datagram.frame),
            Ok(Gathered::Refused(reason)) => panic!("{reason:?}"),
            Err(frame) => found.push(frame),
        }
    }
    assert_eq!(waiting.held(), 0, "a piece is missing");
    for frame in &found {
        let layout = parse(frame.head(), frame.len()).expect("no runt");
        assert!(l4_checksum_ok(frame, &layout), "the L4 checksum");
    }
    found
}
