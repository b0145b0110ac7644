use proptest::prelude::*;

use super::*;

/// RFC 1071 section 4.1, as it stands there.
fn checksum_by_the_book(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    let mut rest = bytes;
    while let [left, right, more @ ..] = rest {
        sum += u32::from(u16::from_be_bytes([*left, *right]));
        rest = more;
    }
    if let [left] = rest {
        sum += u32::from(*left) << 8;
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = Sum::new();
    sum.add_bytes(bytes);
    sum.finish().to_host()
}

/// RFC 1071 section 3.
#[test]
fn the_example_of_the_rfc() {
    let mut sum = Sum::new();
    sum.add_bytes(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
    assert_eq!(sum.fold(), 0xddf2);
}

/// RFC 1624 section 4: where RFC 1141 gets 0xffff, equation 3 gets 0.
#[test]
fn the_corner_case_of_rfc_1624() {
    let after = Checksum(0xdd2f).apply(Delta::of_u16(0x5555, 0x3285));
    assert_eq!(after.to_host(), 0x0000);
    assert_eq!(after.never_zero().to_host(), 0xffff);
}

#[test]
fn all_ones_over_a_large_frame_do_not_overflow() {
    let ones = vec![0xff; 65_535];
    assert_eq!(checksum(&ones), checksum_by_the_book(&ones));
}

#[test]
fn no_change_changes_nothing() {
    for value in [0, 1, 0x7fff, 0xfffe] {
        assert_eq!(Checksum(value).apply(Delta::NONE), Checksum(value));
        assert_eq!(Checksum(value).apply(Delta::of_u16(5, 5)), Checksum(value));
    }
}

proptest! {
    #[test]
    fn agrees_with_the_book(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(checksum(&bytes), checksum_by_the_book(&bytes));
    }

    #[test]
    fn pieces_of_odd_length_add_up(pieces in prop::collection::vec(
        prop::collection::vec(any::<u8>(), 0..40), 0..6,
    )) {
        let mut sum = Sum::new();
        pieces.iter().for_each(|piece| sum.add_bytes(piece));
        prop_assert_eq!(sum.finish().to_host(), checksum_by_the_book(&pieces.concat()));
    }

    #[test]
    fn a_delta_is_what_recomputing_finds(
        mut bytes in prop::collection::vec(any::<u8>(), 34..80),
        at in 0usize..8,
        new in any::<u128>(),
        width in prop::sample::select(vec![2usize, 4, 6, 16]),
    ) {
        bytes[33] |= 1; // all zeros have a checksum of their own
        let at = at * 2;
        let before = Checksum(checksum_by_the_book(&bytes));
        let there = bytes[at..at + width].to_vec();
        let new = new.to_be_bytes();
        let new = &new[..width];
        let delta = match width {
            2 => Delta::of_u16(
                u16::from_be_bytes(there.try_into().unwrap()),
                u16::from_be_bytes(new.try_into().unwrap()),
            ),
            4 => Delta::of_u32(
                u32::from_be_bytes(there.try_into().unwrap()),
                u32::from_be_bytes(new.try_into().unwrap()),
            ),
            6 => Delta::of_mac(there.try_into().unwrap(), new.try_into().unwrap()),
            _ => Delta::of_u128(
                u128::from_be_bytes(there.try_into().unwrap()),
                u128::from_be_bytes(new.try_into().unwrap()),
            ),
        };
        bytes[at..at + width].copy_from_slice(new);
        prop_assert_eq!(before.apply(delta).to_host(), checksum_by_the_book(&bytes));
    }
}

proptest! {
    #[test]
    fn pieces_of_any_length_sum_up_to_the_whole(
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
        cuts in prop::collection::vec(0..2000_usize, 0..4),
    ) {
        let mut words = 0_u64;
        for word in bytes.chunks(2) {
            let low = word.get(1).copied().unwrap_or(0);
            words += u64::from(u16::from_be_bytes([word[0], low]));
        }
        let wanted = fold(words);
        let mut sum = Sum::new();
        let (mut rest, mut at) = (&bytes[..], 0);
        for cut in cuts {
            let (piece, behind) = rest.split_at(cut.saturating_sub(at).min(rest.len()));
            at += piece.len();
            sum.add_bytes(piece);
            rest = behind;
        }
        sum.add_bytes(rest);
        prop_assert_eq!(sum.fold(), wanted);
        prop_assert_eq!(sum.is_right(), wanted == 0xffff);
    }
}
