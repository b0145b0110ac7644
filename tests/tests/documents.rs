//! What documents say a test shows is a test.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use weir_ct::{Filter, PartialTuple, StateFilter};

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
