use proptest::prelude::*;

use super::*;

fn numbers() -> impl Strategy<Value = Wide> {
    (prop::array::uniform16(any::<u64>()), 0..=Wide::BITS)
        .prop_map(|(words, width)| Wide(words) & Wide::ones(width))
}

#[test]
fn zero_is_written_as_a_digit_and_the_rest_with_a_prefix() {
    assert_eq!(Wide::ZERO.to_string(), "0");
    assert_eq!(Wide::from(0x12_u128).to_string(), "0x12");
    let number = Wide::from(1_u128).shifted_up(64);
    assert_eq!(number.to_string(), "0x10000000000000000");
    assert_eq!((number.len(), Wide::ZERO.len()), (65, 0));
}

#[test]
fn digits_that_are_none_or_too_many_are_refused() {
    for wrong in ["", "g", "0x1", "-1", &"f".repeat(257)] {
        assert_eq!(Wide::from_hex(wrong), None, "{wrong}");
    }
    let zeros = "0".repeat(300);
    assert_eq!(Wide::from_hex(&zeros), Some(Wide::ZERO));
    let all = "f".repeat(256);
    assert_eq!(Wide::from_hex(&all), Some(Wide::ones(Wide::BITS)));
}

proptest! {
    #[test]
    fn printing_is_the_inverse_of_parsing(number in numbers()) {
        let text = number.to_string();
        let digits = text.strip_prefix("0x").unwrap_or(&text);
        prop_assert_eq!(Wide::from_hex(digits), Some(number));
    }

    #[test]
    fn parts_put_together_are_the_number(number in numbers(), width in 1..=64_u16) {
        let mut copy = Wide::ZERO;
        for at in (0..Wide::BITS).step_by(width.into()) {
            copy.add_part(at, number.part(at, width));
        }
        prop_assert_eq!(copy, number);
    }

    #[test]
    fn shifting_agrees_with_a_smaller_number(low: u64, bits in 0..64_u16) {
        let wide = Wide::from(u128::from(low)).shifted_up(bits);
        prop_assert_eq!(wide.low(), u128::from(low) << bits);
        prop_assert_eq!(wide & Wide::ones(bits), Wide::ZERO);
    }
}
