use proptest::prelude::*;

use super::*;
use crate::field::Field;

#[test]
fn prefixes_are_rounded_up_to_whole_bytes() {
    for (length, steps) in [
        (0, 0),
        (1, 8),
        (8, 8),
        (9, 16),
        (13, 16),
        (24, 24),
        (31, 32),
        (32, 32),
    ] {
        assert_eq!(
            round(prefix(length, 32), 32),
            prefix(steps, 32),
            "/{length}"
        );
    }
    for (length, steps) in [(0, 0), (61, 64), (64, 64), (65, 72), (127, 128), (128, 128)] {
        assert_eq!(
            round(prefix(length, 128), 128),
            prefix(steps, 128),
            "/{length}"
        );
    }
    assert_eq!(prefix(13, 32), 0xfff8_0000);
}

#[test]
fn other_masks_are_as_the_rules_have_them() {
    for mask in [1, 0x0000_ffff, 0xff00_ff00, 0x7fff_ffff] {
        assert_eq!(round(mask, 32), mask);
    }
}

#[test]
fn each_half_of_a_word_is_an_address_of_its_own() {
    let mut mask = FlowKey::ZERO;
    mask.set_field(Field::IP_SRC, 0xff80_0000);
    mask.set_field(Field::IP_DST, 0xffff_fffe);
    mask.set_field(Field::IPV6_DST, u128::MAX << 80);
    mask.set_field(Field::TCP_DST, 0xfff0);
    let steps = in_steps(&mask);
    assert_eq!(steps.field(Field::IP_SRC), 0xffff_0000);
    assert_eq!(steps.field(Field::IP_DST), 0xffff_ffff);
    assert_eq!(steps.field(Field::IPV6_DST), u128::MAX << 80);
    assert_eq!(steps.field(Field::IPV6_SRC), 0);
    assert_eq!(steps.field(Field::TCP_DST), 0xfff0);
}

proptest! {
    #[test]
    fn bits_are_only_added_and_only_to_addresses(words in prop::collection::vec((0..48_usize, any::<u64>()), 0..12)) {
        let mut mask = FlowKey::ZERO;
        for (at, word) in words {
            mask.words_mut()[at] = word;
        }
        let steps = in_steps(&mask);
        for (at, (before, after)) in mask.words().iter().zip(steps.words()).enumerate() {
            prop_assert_eq!(before & !after, 0);
            let pairs = PAIRS.map(usize::from);
            let long = LONG.map(usize::from);
            let is_address = pairs.contains(&at) || long.contains(&at) || long.contains(&at.wrapping_sub(1));
            prop_assert!(is_address || before == after);
            // So the mask has no more words than it had.
            prop_assert_eq!(*before == 0, *after == 0);
        }
        prop_assert_eq!(in_steps(&steps), steps);
    }
}
