use std::fmt::Write as _;

use proptest::prelude::*;

use super::{Numbers, Text};

fn text(text: &str) -> Text {
    let mut made = Text::default();
    made.write_str(text).expect("a short text");
    made
}

#[test]
fn numbers_behind_a_text_move_and_those_before_do_not() {
    let mut numbers = Numbers::default();
    assert!(numbers.is_empty());
    numbers.replace(100, 4, text("abcdef"));
    assert!(!numbers.is_empty());
    assert_eq!(
        [99, 100, 102, 104, 110].map(|own| numbers.sent(own)),
        [99, 100, 100, 106, 112]
    );
    assert_eq!(
        [99, 100, 103, 105, 106, 112].map(|sent| numbers.own(sent)),
        [99, 100, 100, 100, 104, 110]
    );
    assert_eq!(
        [99, 103, 106].map(|sent| numbers.own_from(sent)),
        [99, 104, 104]
    );
    // A shorter one.
    numbers.replace(200, 10, text("xyz"));
    assert_eq!(
        [104, 199, 200, 209, 210].map(|own| numbers.sent(own)),
        [106, 201, 202, 202, 205]
    );
    assert_eq!(
        [201, 202, 203, 205].map(|sent| numbers.own(sent)),
        [199, 200, 200, 210]
    );
    // Of the first text only how far it moved is known from now on.
    numbers.replace(300, 1, text("22"));
    assert_eq!(
        [100, 199, 210, 301].map(|own| numbers.sent(own)),
        [102, 201, 205, 297]
    );
    assert_eq!(
        numbers
            .within(0, 1000)
            .map(|edit| edit.start)
            .collect::<Vec<_>>(),
        [300, 200]
    );
    assert!(numbers.within(210, 300).next().is_none());
    assert_eq!(numbers.within(209, 300).count(), 1);
}

proptest! {
    /// Wherever numbers begin: what all arrived of is what was sent, and nothing of a text is
    /// acknowledged before all of it is.
    #[test]
    fn what_is_acknowledged_was_sent(
        isn: u32,
        edits in prop::collection::vec((1_u32..60, 1_u32..24, 1_usize..24), 0..3),
        offset in 0_u32..200,
    ) {
        let mut numbers = Numbers::default();
        let (mut at, mut texts) = (isn, Vec::new());
        for (gap, size, len) in edits {
            at = at.wrapping_add(gap);
            numbers.replace(at, size, text(&"x".repeat(len)));
            texts.push((at.wrapping_sub(isn), size));
            at = at.wrapping_add(size);
        }
        let own = isn.wrapping_add(offset);
        let inside = |offset: u32| texts.iter().any(|(at, size)| offset > *at && offset < at + size);
        // Only the last two texts can be told.
        if !inside(offset) && (texts.len() < 3 || offset >= texts[0].0 + texts[0].1) {
            prop_assert_eq!(numbers.own(numbers.sent(own)), own);
            prop_assert_eq!(numbers.own_from(numbers.sent(own)), own);
        }
        let sent = numbers.sent(isn).wrapping_add(offset);
        let (all, first) = (numbers.own(sent), numbers.own_from(sent));
        prop_assert!(first.wrapping_sub(all) < 24, "{all} {first}");
        let told = all.wrapping_sub(isn);
        prop_assert!(texts.len() == 3 || !inside(told), "{told} of {texts:?}");
    }
}
