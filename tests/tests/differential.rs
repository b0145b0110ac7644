//! Every case of `tests/differential/cases` through Open vSwitch and through weir.
//!
//! `WEIR_CASE=WORD` runs the cases whose name holds WORD. `WEIR_BLESS=1` writes what Open
//! vSwitch answers into the cases; weir is not asked then. Where Open vSwitch is not installed
//! weir is held against the recorded answers only; with `CI=true` that is a failure.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use weir_tests::differential::{Case, Outcome, Ovs, OvsError, Side};

#[test]
fn weir_answers_as_open_vswitch_does() {
    let cases = chosen_cases();
    let mut ovs = start_ovs();
    let mut failures = Vec::new();
    for case in &cases {
        if let Some(ovs) = &mut ovs {
            match ovs.run(case) {
                Ok(outcome) => settle(case, &outcome, &mut failures),
                Err(error) => failures.push(format!("{}: Open vSwitch: {error}", case.name)),
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} cases failed\n\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

/// Checks what Open vSwitch did against the record, or writes the record.
fn settle(case: &Case, outcome: &Outcome, failures: &mut Vec<String>) {
    if std::env::var_os("WEIR_BLESS").is_some() {
        let text = case.with_answers(outcome, None);
        if let Err(error) = fs::write(&case.path, text) {
            failures.push(format!("{}: {error}", case.path.display()));
        }
        return;
    }
    let differences = outcome.differences(case, Side::Ovs);
    if !differences.is_empty() {
        failures.push(format!(
            "{}: Open vSwitch does otherwise\n{differences}",
            case.name
        ));
    }
}

#[test]
fn each_case_is_about_something_of_its_own() {
    let mut seen: HashMap<String, String> = HashMap::new();
    for case in all_cases() {
        for about in case.about {
            if let Some(other) = seen.insert(about.clone(), case.name.clone()) {
                panic!("{} and {other} are both about `{about}`", case.name);
            }
        }
    }
}

fn all_cases() -> Vec<Case> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("differential/cases");
    Case::read_all(&folder).unwrap_or_else(|error| panic!("{error}"))
}

fn chosen_cases() -> Vec<Case> {
    let mut cases = all_cases();
    if let Ok(word) = std::env::var("WEIR_CASE") {
        cases.retain(|case| case.name.contains(&word));
    }
    assert!(!cases.is_empty(), "no case to run");
    cases
}

fn start_ovs() -> Option<Ovs> {
    match Ovs::start() {
        Ok(ovs) => Some(ovs),
        Err(OvsError::Absent(what)) if std::env::var("CI").as_deref() != Ok("true") => {
            eprintln!("SKIPPED: Open vSwitch is not installed ({what} not found): weir is held");
            eprintln!("SKIPPED: against recorded answers only. apt-get install openvswitch-switch");
            None
        }
        Err(error) => panic!("{error}"),
    }
}
