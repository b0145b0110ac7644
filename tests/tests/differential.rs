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

use weir_tests::differential::{Case, CommandCase, Outcome, Ovs, OvsError, Rows, Side, run_weir};

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

/// `differential/rows.txt` names what Open vSwitch's language has, a row for each field, action,
/// instruction and rule of the grammar; a row that ends in `!` has no case, and says why.
#[test]
fn rows_without_a_case_are_marked() {
    let cases = all_cases();
    let commands = all_commands();
    let has_commands = |section: &str, word: &str| {
        let mut abouts = commands.iter().flat_map(|case| &case.about);
        abouts.any(|about| about.contains(section) && names(about, word))
    };
    let has_case = |section: &str, word: &str| {
        has_commands(section, word)
            || cases.iter().any(|case| {
                let about = case.about.iter();
                let named = about.clone().any(|about| names(about, word));
                let in_section = about.clone().any(|about| about.contains(section));
                // What stands in the flows is tested, too.
                let in_flows = section.starts_with("2.");
                named && in_section || in_flows && case.flows.iter().any(|flow| names(flow, word))
            })
    };
    let mut wrong = String::new();
    let rows = include_str!("../differential/rows.txt");
    let rows = rows.lines().filter(|row| !row.starts_with('#'));
    for row in rows {
        let (row, marked) = match row.split_once(" !") {
            Some((row, why)) if !why.trim().is_empty() => (row, true),
            Some((row, _)) => panic!("{row}: no reason"),
            None => (row, false),
        };
        let (section, word) = row.split_once(' ').expect("a section and a word");
        match (has_case(section, word), marked) {
            (true, false) | (false, true) => {}
            (true, true) => wrong += &format!("{row}: has a case now\n"),
            (false, false) => wrong += &format!("{row}: no case\n"),
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// How many cases there are at least about connections, translation apart.
const CONNTRACK_CASES: usize = 150;
/// How many there are at least about translation and helpers.
const TRANSLATION_CASES: usize = 75;

/// `differential/rows` lists what there is to connection tracking, a file for each section; a case
/// names the rows that it `covers:`.
#[test]
fn each_row_of_connection_tracking_has_a_case() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("differential/rows");
    let mut rows = Rows::read_all(&folder).unwrap_or_else(|error| panic!("{error}"));
    let cases = all_cases();
    let covers = cases.iter().map(|case| (&case.name, &case.covers));
    let commands = all_commands();
    let covers = covers.chain(commands.iter().map(|case| (&case.name, &case.covers)));
    for (case, covered) in covers {
        rows.cover(case, covered)
            .unwrap_or_else(|error| panic!("{error}"));
    }
    let open: Vec<String> = rows.open().map(ToString::to_string).collect();
    assert!(open.is_empty(), "rows without a case:\n{}", open.join("\n"));
    // Translation and its helpers are counted apart.
    let translates = |section: &str| matches!(section, "1.6" | "1.7");
    let cases = rows.cases(|section| !translates(section));
    assert!(cases >= CONNTRACK_CASES, "{cases} cases");
    let cases = rows.cases(translates);
    assert!(
        cases >= TRANSLATION_CASES,
        "{cases} cases about translation"
    );
}

/// Whether `text` has `word`, and not just as a part of another.
fn names(text: &str, word: &str) -> bool {
    let (text, word) = (text.to_ascii_lowercase(), word.to_ascii_lowercase());
    let is_part = |letter: Option<char>| {
        letter.is_some_and(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    };
    text.match_indices(&word).any(|(at, _)| {
        !is_part(text[..at].chars().next_back()) && !is_part(text[at + word.len()..].chars().next())
    })
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

fn all_commands() -> Vec<CommandCase> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("differential/commands");
    CommandCase::read_all(&folder).unwrap_or_else(|error| panic!("{error}"))
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
