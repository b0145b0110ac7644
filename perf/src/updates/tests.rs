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
        reloaded: vec![0.96],
    };
    let scenario = Scenario::named("firewall-10k").expect("a scenario");
    let reached: Vec<_> = updates
        .verdicts(&scenario)
        .iter()
        .map(Verdict::reached)
        .collect();
    let expected = [true, false, true, true, false, true, false, true, true];
    assert_eq!(reached, expected.map(Some));
}
