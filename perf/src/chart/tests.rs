use super::*;
use crate::rate::Measurement;

fn row(scenario: &str, contender: &str, rate: f64) -> Row {
    let measured = Measurement {
        version: String::new(),
        mpps: rate,
        on_cpu: 1.0,
    };
    Row {
        scenario: scenario.to_owned(),
        contender: contender.to_owned(),
        rounds: vec![(1, measured)],
        refusals: Vec::new(),
    }
}

#[test]
fn bars_are_as_long_as_their_rates() {
    let rows = [
        row("a", "top", 99.0),
        row("a", "x", 2.0),
        row("a", "y", 8.0),
        row("b", "x", 4.0),
    ];
    let text = chart("rates <1>", &rows, "top");
    let width = |rate: f64| format!("width=\"{:.1}\"", (WIDTH - LEFT - RIGHT) * rate / 8.0);
    for (rate, times) in [(2.0, 1), (8.0, 1), (4.0, 1)] {
        assert_eq!(text.matches(&width(rate)).count(), times, "{text}");
    }
    assert!(text.contains(">top 99.0<") && text.contains("rates &lt;1&gt;"));
    assert!(text.starts_with("<svg") && text.ends_with("</svg>\n"));
}

#[test]
fn a_row_without_a_figure_has_no_bar() {
    let mut none = row("a", "x", 1.0);
    none.rounds.clear();
    let text = chart("t", &[none], "top");
    assert!(!text.contains("<path"), "{text}");
}
