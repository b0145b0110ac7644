//! What documents say a test shows is a test.

use std::fs;
use std::path::Path;

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
