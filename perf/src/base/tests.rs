use super::*;

#[test]
fn a_loss_is_found() {
    let held = |now: &[f64]| {
        let rows = [Row::of("a", "base", &[100.0; 3]), Row::of("a", "weir", now)];
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
