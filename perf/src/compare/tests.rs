use super::*;

impl Row {
    /// What tests need: `rates` in Mpps, of rounds from 1 on.
    pub(crate) fn of(scenario: &str, contender: &str, rates: &[f64]) -> Self {
        let measured = |&mpps: &f64| Measurement {
            version: format!("{contender} 1.0"),
            mpps,
            on_cpu: 1.0,
        };
        Self {
            scenario: scenario.to_owned(),
            contender: contender.to_owned(),
            rounds: (1..).zip(rates.iter().map(measured)).collect(),
            refusals: Vec::new(),
        }
    }
}

/// Rates of these rounds.
fn row(rates: &[(usize, f64)]) -> Row {
    let (rounds, rates): (Vec<_>, Vec<_>) = rates.iter().copied().unzip();
    let mut row = Row::of("s", "c", &rates);
    for (measured, round) in row.rounds.iter_mut().zip(rounds) {
        measured.0 = round;
    }
    row
}

#[test]
fn medians_are_of_the_middle() {
    assert_eq!(Spread::of([]), None);
    let spread = Spread::of([5.0, 1.0, 2.0]).expect("values");
    assert_eq!(
        (spread.least, spread.median, spread.greatest),
        (1.0, 2.0, 5.0)
    );
    assert_eq!(
        Spread::of([4.0, 1.0]).map(|spread| spread.median),
        Some(2.5)
    );
}

#[test]
fn ratios_are_taken_within_rounds() {
    let mine = row(&[(1, 10.0), (2, 4.0), (3, 9.0)]);
    let theirs = row(&[(1, 5.0), (3, 3.0), (4, 1.0)]);
    let times = mine.times(&theirs).expect("rounds in common");
    assert_eq!((times.least, times.median, times.greatest), (2.0, 2.5, 3.0));
    assert_eq!(mine.times(&row(&[(7, 1.0)])), None);
}
