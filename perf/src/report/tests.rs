use super::*;

#[test]
fn tables_are_aligned() {
    let rows = [["one", "1"], ["twelve", "12.00"]];
    let rows = rows.map(|row| row.map(str::to_owned).to_vec());
    let expected = "\
| what   | count |
|--------|------:|
| one    |     1 |
| twelve | 12.00 |
";
    assert_eq!(table(&["what", "count"], &rows), expected);
}

#[test]
fn rates_stand_beside_the_base_in_the_same_scenario() {
    let rows = [
        Row::of("a", "base", &[1.0, 2.0, 3.0]),
        Row::of("a", "other", &[4.0, 8.0, 12.0]),
        Row::of("b", "base", &[100.0]),
    ];
    let text = rates(&rows, "base", "base", 2e9);
    let lines: Vec<Vec<&str>> = text
        .lines()
        .skip(2)
        .map(|line| line.split('|').map(str::trim).skip(1).take(8).collect())
        .collect();
    assert_eq!(
        lines,
        [
            ["a", "base", "2.00", "1.00 to 3.00", "1000", "", "", ""],
            [
                "a",
                "other",
                "8.00",
                "4.00 to 12.00",
                "250",
                "-750",
                "4.00",
                "4.00 to 4.00"
            ],
            ["b", "base", "100.00", "100.00 to 100.00", "20", "", "", ""],
        ]
    );
    assert_eq!(
        rates_csv(&rows, 2e9).lines().nth(4),
        Some("a,other,other 1.0,1,4.0000,500.0,1.0000")
    );
    assert_eq!(versions(&rows), ["base: base 1.0", "other: other 1.0"]);
}

#[test]
fn a_bench_says_what_is_above_the_ceiling() {
    let rows = [Row::of("a", "top", &[20.0]), Row::of("a", "mine", &[10.0])];
    let text = bench(&rows, "mine", "top", &[0.0], 2e9);
    let last = text.lines().last().expect("a line");
    let cells: Vec<&str> = last.split('|').map(str::trim).collect();
    assert_eq!(
        cells,
        [
            "",
            "a",
            "10.00",
            "10.00 to 10.00",
            "200",
            "20.00",
            "100",
            "0",
            ""
        ]
    );
}

#[test]
fn what_was_refused_has_no_figure_and_a_reason() {
    let mut refused = Row::of("a", "mine", &[]);
    refused.refusals.push("it dropped".to_owned());
    for text in [
        rates(std::slice::from_ref(&refused), "base", "io", 2e9),
        bench(&[refused.clone()], "mine", "top", &[0.0], 2e9),
    ] {
        assert!(text.contains("none"), "{text}");
        assert!(text.ends_with("\na, mine: it dropped\n"), "{text}");
    }
}
