use proptest::prelude::*;

use super::*;

#[test]
fn the_start_is_zero() {
    let clock = Clock::with_frequency(Cycles(5_000), 2_000_000_000);
    assert_eq!(clock.tick_at(Cycles(5_000)), Tick::ZERO);
    assert_eq!(clock.tick_at(Cycles(4_000)), Tick::ZERO);
}

#[test]
fn a_second_is_a_thousand_ticks() {
    let clock = Clock::with_frequency(Cycles(7), 2_600_000_000);
    // One cycle more, since the scale is rounded down.
    assert_eq!(
        clock.tick_at(Cycles(7 + 2_600_000_001)),
        Tick::from_millis(1_000)
    );
    assert_eq!(
        clock.tick_at(Cycles(7 + 2_599_999_999)),
        Tick::from_millis(999)
    );
    assert_eq!(
        clock.duration(Cycles(1_300_000_000)),
        Duration::from_millis(500)
    );
}

proptest! {
    #[test]
    fn ticks_are_the_exact_quotient_or_one_less(
        hz in 1_000_000_u64..10_000_000_000,
        passed in 0_u64..u64::MAX / 2,
    ) {
        let clock = Clock::with_frequency(Cycles(0), hz);
        let exact = (u128::from(passed) * 1_000 / u128::from(hz)) as u64;
        let got = clock.tick_at(Cycles(passed)).as_millis();
        prop_assert!(got == exact || got + 1 == exact, "{got} for {exact}");
    }

    #[test]
    fn time_never_goes_back(a in any::<u64>(), b in any::<u64>(), start in any::<u64>()) {
        let clock = Clock::with_frequency(Cycles(start), 2_600_000_000);
        let (early, late) = (Cycles(a.min(b)), Cycles(a.max(b)));
        prop_assert!(clock.tick_at(early) <= clock.tick_at(late));
    }
}
