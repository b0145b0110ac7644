use super::*;

#[test]
fn bars_are_as_long_as_their_rates() {
    let rows = [
        Row::of("a", "top", &[99.0]),
        Row::of("a", "x", &[2.0]),
        Row::of("a", "y", &[8.0]),
        Row::of("b", "x", &[4.0]),
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
    let mut none = Row::of("a", "x", &[1.0]);
    none.rounds.clear();
    let text = chart("t", &[none], "top");
    assert!(!text.contains("<path"), "{text}");
}
