use super::*;

fn row(rates: &[(usize, f64)]) -> Row {
    let measured = |mpps| Measurement {
        version: String::new(),
        mpps,
        on_cpu: 1.0,
    };
    Row {
        scenario: "s".to_owned(),
        contender: "c".to_owned(),
        rounds: rates
            .iter()
            .map(|&(round, mpps)| (round, measured(mpps)))
            .collect(),
        refusals: Vec::new(),
    }
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
