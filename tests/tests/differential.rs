//! Every case of `tests/differential/cases` through Open vSwitch and through weir.
//!
//! `WEIR_CASE=WORD` runs the cases whose name holds WORD. `WEIR_BLESS=ovs` writes what Open
//! vSwitch answers into the cases, and what weir answers into those that say why it `differs:`.
//! Where Open vSwitch is not installed weir is held against the recorded answers only; with
//! `CI=true` that is a failure.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::io::Write;
use std::path::PathBuf;

use weir_tests::differential::{Case, Outcome, Ovs, OvsError, Side, run_weir};

#[test]
fn weir_answers_as_open_vswitch_does() {
    let cases = chosen_cases();
    let mut ovs = start_ovs();
    let mut failures = Vec::new();
    for case in &cases {
        let weir = run_weir(case);
        let ovs = ovs.as_mut().map(|ovs| ovs.run(case));
        let failure = match (std::env::var_os("WEIR_BLESS"), ovs) {
            (Some(_), Some(Ok(ovs))) => bless(case, &ovs, weir.as_ref().ok()),
            (None, None) => check_weir(case, &weir),
            (None, Some(Ok(ovs))) => check_both(case, &ovs, &weir),
            (_, Some(Err(error))) => format!("Open vSwitch: {error}\n"),
            (Some(_), None) => "nothing to bless without Open vSwitch\n".to_owned(),
        };
        if !failure.is_empty() {
            failures.push(format!("{}: {}\n{failure}", case.name, case.title));
        }
    }
    let failed = failures.len();
    assert!(
        failures.is_empty(),
        "{failed} of {} cases failed\n\n{}",
        cases.len(),
        failures.join("\n")
    );
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

#[test]
fn cases_say_why_the_switches_differ() {
    for case in all_cases() {
        let told_apart = case.is_split() || !case.flows_ovs.is_empty();
        assert_eq!(told_apart, !case.differs.is_empty(), "{}", case.name);
    }
}

fn check_both(case: &Case, ovs: &Outcome, weir: &Result<Outcome, String>) -> String {
    let mut failure = check_weir(case, weir);
    let differences = ovs.differences(case, Side::Ovs);
    if !differences.is_empty() {
        failure = format!("{failure}Open vSwitch does otherwise than recorded\n{differences}");
    }
    if let Ok(weir) = weir
        && case.flows_ovs.is_empty()
    {
        for (ovs, weir) in ovs
            .flows
            .iter()
            .zip(&weir.flows)
            .filter(|(ovs, weir)| ovs != weir)
        {
            failure = format!("{failure}dump-flows\n  Open vSwitch {ovs}\n  weir         {weir}\n");
        }
    }
    failure
}

fn check_weir(case: &Case, weir: &Result<Outcome, String>) -> String {
    match (weir, &case.refused) {
        (Ok(outcome), None) => outcome.differences(case, Side::Weir),
        (Ok(_), Some(_)) => "is expected to be refused and is not\n".to_owned(),
        (Err(error), Some(refused)) if error.contains(refused) => String::new(),
        (Err(error), _) => format!("weir: {error}\n"),
    }
}

fn bless(case: &Case, ovs: &Outcome, weir: Option<&Outcome>) -> String {
    let text = case.with_answers(ovs, weir.filter(|_| !case.differs.is_empty()));
    match fs::write(&case.path, text) {
        Ok(()) => String::new(),
        Err(error) => format!("{}: {error}\n", case.path.display()),
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
        Err(error @ OvsError::Absent(_)) if std::env::var("CI").as_deref() != Ok("true") => {
            // Not `eprintln!`: the test harness would keep it to itself.
            let _ = writeln!(
                io::stderr(),
                "SKIPPED: {error}: weir is held against recorded answers only"
            );
            None
        }
        Err(error) => panic!("{error}"),
    }
}
