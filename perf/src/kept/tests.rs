use super::*;

fn rows() -> Vec<Row> {
    let measured = |mpps| Measurement {
        version: "x 1.0".to_owned(),
        mpps,
        on_cpu: 0.5,
    };
    let row = |contender: &str, rates: &[f64]| Row {
        scenario: "a-1k".to_owned(),
        contender: contender.to_owned(),
        rounds: (1..)
            .zip(rates.iter().map(|&rate| measured(rate)))
            .collect(),
        refusals: Vec::new(),
    };
    vec![row("one", &[1.5, 2.25]), row("other", &[4.0])]
}

#[test]
fn what_is_written_is_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let how = "three rounds";
    let kept = Kept {
        dir: dir.path(),
        how,
    };
    assert!(kept.read("a-1k").is_none());
    kept.write("a-1k", &rows(), 2e9).expect("written");
    let read = kept.read("a-1k").expect("rows");
    assert_eq!(rates_csv(&read, 2e9), rates_csv(&rows(), 2e9));
    let other = Kept {
        how: "five rounds",
        ..kept
    };
    assert!(other.read("a-1k").is_none());
}

#[test]
fn a_refused_scenario_is_not_finished() {
    let dir = tempfile::tempdir().expect("a directory");
    let kept = Kept {
        dir: dir.path(),
        how: "",
    };
    let mut refused = rows();
    refused[0].refusals.push("it dropped".to_owned());
    kept.write("a-1k", &refused, 2e9).expect("no file");
    let mut empty = rows();
    empty[1].rounds.clear();
    kept.write("a-1k", &empty, 2e9).expect("no file");
    assert!(kept.read("a-1k").is_none());
}
