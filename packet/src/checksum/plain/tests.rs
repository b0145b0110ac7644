//! Against the general checks.

use proptest::prelude::*;

use super::*;
use crate::checksum::{ipv4_header_checksum_ok, l4_checksum_ok};
use crate::frame::{Frame, VecFrame};
use crate::layout::{Layout, parse};
use crate::{strategy, text};

/// What the general checks say; `None` if it is not a plain packet.
fn general(frame: &VecFrame) -> Option<bool> {
    let layout = parse(frame.head(), frame.len()).ok()?;
    let plain = Layout::plain(layout.protocol, layout.l3_end);
    let right = ipv4_header_checksum_ok(frame.head(), &layout) && l4_checksum_ok(frame, &layout);
    (layout == plain).then_some(right)
}

fn quick(frame: &VecFrame) -> Option<bool> {
    let layout = parse(frame.head(), frame.len()).ok()?;
    let right = plain_checksums_ok(frame.head(), layout.l3_end as usize, layout.protocol);
    Some(right)
}

#[test]
fn the_inverse_is_one() {
    assert_eq!(INVERSE.wrapping_mul(0xffff), 1);
}

#[test]
fn a_sum_is_right_if_it_is_a_multiple() {
    for quotient in [
        1,
        2,
        0xffff,
        0x1_0000,
        0x1_0001_0001_0000,
        u64::MAX / 0xffff,
    ] {
        assert!(is_right(quotient * 0xffff), "{quotient:#x}");
        assert!(!is_right(quotient * 0xffff - 1), "{quotient:#x}");
    }
    assert!(!is_right(0));
}

#[test]
fn a_datagram_that_ends_behind_its_packet_is_not_right() {
    let frame = text::frame("udp 10.0.0.1:1 > 10.0.0.2:2 udp-len=29 len=20");
    let end = frame.len();
    assert!(!plain_checksums_ok(frame.head(), end, protocol::UDP));
}

#[test]
fn what_does_not_lie_in_the_head_is_not_right() {
    let frame = text::frame("tcp 10.0.0.1:1 > 10.0.0.2:2 A len=20");
    let end = frame.len();
    assert!(plain_checksums_ok(frame.head(), end, protocol::TCP));
    for cut in 0..end {
        assert!(!plain_checksums_ok(
            &frame.head()[..cut],
            end,
            protocol::TCP
        ));
    }
}

proptest! {
    /// Padding, lengths of all kinds, one bit wrong somewhere or nowhere.
    #[test]
    fn says_what_the_general_checks_say(
        kind in prop::sample::select(vec![
            "udp 10.0.0.1:4000 > 192.0.2.1:53",
            "udp 10.0.0.1:4000 > 192.0.2.1:53 no-csum",
            "tcp 10.0.0.1:4000 > 192.0.2.1:80 A seq=5 ack=6",
        ]),
        len in 0..200_usize,
        padding in prop::collection::vec(any::<u8>(), 0..30),
        flip in prop::option::of((12..240_usize, 0..8_u32)),
    ) {
        let mut bytes = text::frame(&format!("{kind} len={len}")).bytes().to_vec();
        bytes.extend(padding);
        if let Some((at, bit)) = flip
            && let Some(byte) = bytes.get_mut(at)
        {
            *byte ^= 1 << bit;
        }
        let frame = VecFrame::from(bytes);
        if let Some(right) = general(&frame) {
            prop_assert_eq!(quick(&frame), Some(right));
        }
    }

    #[test]
    fn says_no_more_than_the_general_checks_of_any_packet(line in strategy::line()) {
        let frame = VecFrame::from(strategy::bytes_of(&line));
        if let Some(right) = general(&frame) {
            prop_assert_eq!(quick(&frame), Some(right));
        }
    }
}
