use super::*;
use crate::rate::Measurement;

fn rates(contender: &str, rates: &[f64]) -> Row {
    let measured = |&mpps: &f64| Measurement {
        version: String::new(),
        mpps,
        on_cpu: 1.0,
    };
    Row {
        scenario: "a".to_owned(),
        contender: contender.to_owned(),
        rounds: (1..).zip(rates.iter().map(measured)).collect(),
        refusals: Vec::new(),
    }
}

#[test]
fn a_loss_is_found() {
    let held = |now: &[f64]| {
        let rows = [rates("base", &[100.0; 3]), rates("weir", now)];
        let changes = changes(&rows, "base", "weir");
        assert_eq!(changes.len(), 1);
        let table = changes_table(&changes, "base");
        assert_eq!(table.contains("NO"), !changes[0].held());
        changes[0].held()
    };
    assert!(held(&[97.0, 10.0, 200.0]));
    assert!(!held(&[96.9, 10.0, 200.0]));
    // No figure is no proof.
    assert!(!held(&[]));
}

#[test]
fn an_unknown_commit_is_a_complaint() {
    let dir = tempfile::tempdir().expect("a directory");
    assert!(build("no-such-commit", dir.path()).is_err());
}
