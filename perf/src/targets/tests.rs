use super::*;
use crate::scenario::Scenario;

const NAMES: Names<'static> = Names {
    weir: "weir",
    ovs: "ovs",
    io: "io",
};

#[test]
fn all_scenarios_exist() {
    let names: Vec<&str> = SCENARIOS.split(',').collect();
    for name in &names {
        assert!(Scenario::named(name).is_some(), "{name}");
    }
    for target in TARGETS {
        let (Times(scenario, other, _) | Own(scenario, other, _)) = target else {
            continue;
        };
        assert!(names.contains(scenario) && names.contains(other));
    }
}

#[test]
fn medians_are_held_against_the_targets() {
    let rows = [
        Row::of("firewall-1k", "io", &[50.0, 50.0, 50.0]),
        Row::of("firewall-1k", "ovs", &[2.0, 2.0, 2.0]),
        Row::of("firewall-1k", "weir", &[9.0, 10.0, 20.0]),
        Row::of("firewall-100k", "ovs", &[2.0, 1.0]),
        Row::of("firewall-1M", "weir", &[5.0, 5.0]),
    ];
    let verdicts = judge(&rows, NAMES, 1e9);
    let told: Vec<(&str, Option<f64>, Option<bool>)> = verdicts
        .iter()
        .map(|verdict| {
            let median = verdict.measured.map(|measured| measured.median);
            (verdict.what.as_str(), median, verdict.reached())
        })
        .collect();
    assert_eq!(
        told,
        [
            ("firewall-1k, times ovs", Some(5.0), Some(true)),
            (
                "firewall-1M, times ovs in firewall-100k",
                Some(3.75),
                Some(true)
            ),
            (
                "firewall-1k, cycles/packet above io",
                Some(80.0),
                Some(false)
            ),
        ]
    );
}

#[test]
fn the_table_says_what_is_reached() {
    let verdict = |bound, measured| Verdict {
        what: "memory, MB".to_owned(),
        bound,
        measured,
        digits: 0,
    };
    let text = verdicts(&[
        verdict(Bound::AtMost(800.0), Spread::of([799.0])),
        verdict(Bound::AtLeast(0.95), None),
    ]);
    let lines: Vec<&str> = text.lines().skip(2).collect();
    assert_eq!(
        lines,
        [
            "| memory, MB |   at most 800 |    799 |        799 to 799 |     yes |",
            "| memory, MB | at least 0.95 |   none |                   |       ? |",
        ]
    );
}
