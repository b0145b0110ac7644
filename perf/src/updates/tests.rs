use super::*;

#[test]
fn each_target_has_its_figures() {
    let updates = Updates {
        loads: [vec![0.5], vec![11.0]],
        singles: vec![50.0, 90.0, 70.0],
        grace: vec![(3.0, 2_000.0)],
        apart: vec![0.97],
        passed: vec![0.7],
        among: vec![0.85],
        registers: vec![0.9],
        reloaded: vec![0.96],
    };
    let scenario = Scenario::named("firewall-10k").expect("a scenario");
    let reached: Vec<_> = updates
        .verdicts(&scenario)
        .iter()
        .map(Verdict::reached)
        .collect();
    let expected = [
        true, false, true, true, false, true, false, true, true, true,
    ];
    assert_eq!(reached, expected.map(Some));
}

#[test]
fn half_of_the_values_and_all_but_few() {
    let values: Vec<_> = (1..=200).rev().map(f64::from).collect();
    let quantiles = [0.5, 0.99, 1.0].map(|part| quantile(&values, part));
    assert_eq!(quantiles, [100.0, 198.0, 200.0]);
    assert_eq!(quantile(&[7.0], 0.99), 7.0);
}

#[test]
fn grace_periods_between_two_looks_are_told() {
    let row = |counts: [u64; 3], count, sum_us: u64| PublicationsRow {
        grace: [1_000, 2_000, 5_000].into_iter().zip(counts).collect(),
        grace_count: count,
        grace_sum_ns: 1_000 * sum_us,
        grace_longest_ns: 7_500,
        ..PublicationsRow::default()
    };
    let before = row([5, 5, 9], 10, 40);
    assert_eq!(
        obeyed(&before, &row([8, 105, 109], 110, 240)),
        "100 publications, the lcore obeys half of them within 2 us, 99 of 100 within 2 us, all within 2 us; \
         after 2.0 us on average, and so far 7.5 us at most"
    );
    assert_eq!(
        obeyed(&before, &row([5, 5, 108], 110, 540)),
        "100 publications, the lcore obeys half of them within 5 us, 99 of 100 within 5 us, all longer than \
         all classes; after 5.0 us on average, and so far 7.5 us at most"
    );
}

#[test]
fn the_policy_with_registers_has_the_same_traffic() {
    let scenario = Scenario::named("firewall-10k-tcp").expect("a scenario");
    let tables = in_registers(&scenario);
    let named = Scenario::named("nine-tables-10k-tcp").expect("a scenario");
    assert_eq!(tables.name, named.name);
    assert_eq!(format!("{tables:?}"), format!("{named:?}"));
}
