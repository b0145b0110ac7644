//! What documents say a test shows is a test.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use weir_ct::{Filter, PartialTuple, StateFilter};
use weir_tests::differential::{Case, CommandCase};

/// Each name in the last column of the tables of `docs/nat.md`: `FILE::TEST`, a file, or
/// `NAME.case` of the differential cases.
#[test]
fn tests_that_the_table_of_translation_names_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = include_str!("../../docs/nat.md");
    let rows = text.lines().filter(|line| line.starts_with("| "));
    let mut named = 0;
    for row in rows.filter(|row| !row.starts_with("|---")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let [_, _, _, shown_by] = cells[..] else {
            panic!("four columns: {row}")
        };
        for name in shown_by.split('`').skip(1).step_by(2) {
            named += 1;
            let (file, test) = match name.split_once("::") {
                Some((file, test)) => (file.to_owned(), Some(test)),
                None if name.ends_with(".case") => {
                    (format!("tests/differential/cases/{name}"), None)
                }
                None => (name.to_owned(), None),
            };
            let path = root.join(&file);
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
            let is_there = |test: &str| text.contains(&format!("fn {test}("));
            assert!(test.is_none_or(is_there), "{file} has no test {name}");
        }
    }
    assert!(named > 60, "{named}");
}

/// The rows of the table below a heading of a document: what is in each cell.
fn rows<'a>(text: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let (_, section) = text.split_once(heading).expect("there is such a section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| "));
    let cells = |row: &'a str| row.trim_matches('|').split('|').map(str::trim).collect();
    // The first row says what the columns are.
    rows.skip(1).map(cells).collect()
}

/// The words in the first column, without their quotes.
fn words(rows: &[Vec<&str>]) -> BTreeSet<String> {
    let words: BTreeSet<_> = rows
        .iter()
        .map(|row| row[0].trim_matches('`').to_owned())
        .collect();
    assert_eq!(words.len(), rows.len(), "each has one row");
    words
}

fn set<T: ToString>(all: impl IntoIterator<Item = T>) -> BTreeSet<String> {
    all.into_iter().map(|one| one.to_string()).collect()
}

/// `docs/connections.md` has every word that names connections, and no other; its examples are
/// parsed, and each is an example of its word.
#[test]
fn words_that_name_connections_are_documented() {
    let text = include_str!("../../docs/connections.md");
    let (simple, fields) = (rows(text, "## Words\n"), rows(text, "## Tuples\n"));
    let states = rows(text, "## States\n");
    assert_eq!(words(&simple), set(Filter::WORDS));
    assert_eq!(words(&fields), set(PartialTuple::FIELDS));
    assert_eq!(words(&states), set(StateFilter::names()));
    for row in simple.iter().chain(&fields) {
        let [word, example] = [row[0], row[3]].map(|cell| cell.trim_matches('`'));
        let mut names = example.split(',').filter_map(|part| part.split_once('='));
        assert!(names.any(|(name, _)| name == word), "{example}");
        let filter = Filter::parse(&[example]).unwrap_or_else(|error| panic!("{word}: {error}"));
        assert_ne!(filter, Filter::default(), "{word}");
    }
    for state in words(&states) {
        let filter = Filter::parse(&[&format!("state={state}")]);
        assert!(filter.is_ok_and(|filter| filter.state.is_some()), "{state}");
    }
}

/// `docs/differences.md` has each line of a differential case that says why the two switches differ.
/// `WEIR_BLESS=1` writes it.
#[test]
fn every_difference_is_listed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cases = Case::read_all(&root.join("differential/cases"));
    let commands = CommandCase::read_all(&root.join("differential/commands"));
    let cases = cases.unwrap_or_else(|error| panic!("{error}"));
    let commands = commands.unwrap_or_else(|error| panic!("{error}"));
    let cases = cases.into_iter().flat_map(|case| {
        let differs = case.differs.into_iter();
        differs.map(move |why| (why, case.name.clone()))
    });
    let commands = commands.into_iter();
    let commands = commands.filter(|case| !case.differs.is_empty());
    let commands = commands.map(|case| (case.differs, case.name));
    let mut table = String::from(
        "# Differences from Open vSwitch, case by case\n\n\
         Written from `tests/differential` by the test of `tests/tests/documents.rs`; do not edit.\n\n\
         What was chosen, and why, is in the table of the README. Here is every reason for which a case of \
         `tests/differential/cases` or `tests/differential/commands` records another answer of weir's, in \
         the words of that case.\n\n| why | cases |\n|---|---|\n",
    );
    let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
    for (why, case) in cases.chain(commands) {
        match reasons.iter_mut().find(|(other, _)| *other == why) {
            Some((_, cases)) => cases.push(case),
            None => reasons.push((why, vec![case])),
        }
    }
    for (why, cases) in reasons {
        let cases: Vec<_> = cases.iter().map(|case| format!("`{case}`")).collect();
        let cases = cases.join(", ");
        table += &format!("| {} | {cases} |\n", why.replace('|', "\\|"));
    }
    let path = root.join("../docs/differences.md");
    if std::env::var_os("WEIR_BLESS").is_some() {
        fs::write(&path, &table).expect("it can be written");
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(there, table, "WEIR_BLESS=1 writes it");
}
