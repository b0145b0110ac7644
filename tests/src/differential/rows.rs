//! The rows, bullets and surprises of Open vSwitch's connection tracking, by names that stay, and
//! which cases cover them.
//!
//! Each `differential/rows/SECTION.txt` lists the rows of one section, one a line, behind the
//! section's number. A case names those that it shows in its `covers:` lines. A row that ends in
//! `! REASON` has no case.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// Its section's number, as `1.2`.
    pub section: String,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.section, self.name)
    }
}

/// All rows, and the names of the cases that cover each.
#[derive(Clone, Debug, Default)]
pub struct Rows(BTreeMap<Row, Covered>);

#[derive(Clone, Debug, Default)]
struct Covered {
    by: Vec<String>,
    /// Whether the list says why it has no case.
    excused: bool,
}

impl Rows {
    /// Reads the lists (`*.txt`) of a folder.
    ///
    /// # Errors
    /// If one cannot be read, names a row of another section, or a row twice.
    pub fn read_all(folder: &Path) -> Result<Self, String> {
        let unreadable = |error: std::io::Error| format!("{}: {error}", folder.display());
        let mut rows = Self::default();
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let section = path.file_stem().unwrap_or_default().to_string_lossy();
            let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            rows.add(&section, &text)
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(rows)
    }

    /// Adds the list of one section.
    ///
    /// # Errors
    /// If it names a row of another section, or a row twice.
    pub fn add(&mut self, section: &str, list: &str) -> Result<(), String> {
        let lines = list.lines().map(str::trim);
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (line, reason) = match line.split_once(" ! ") {
                Some((line, reason)) => (line, Some(reason)),
                None => (line, None),
            };
            let covered = Covered {
                excused: reason.is_some(),
                ..Covered::default()
            };
            let row = match line.split_once(' ') {
                Some((number, name)) if number == section => Row {
                    section: section.to_owned(),
                    name: name.to_owned(),
                },
                _ => return Err(format!("`{line}`: expected `{section} NAME`")),
            };
            if self.0.insert(row, covered).is_some() {
                return Err(format!("`{line}` twice"));
            }
        }
        Ok(())
    }

    /// Notes that `case` covers `rows`.
    ///
    /// # Errors
    /// If there is no such row, or none that has a case.
    pub fn cover(&mut self, case: &str, rows: &[String]) -> Result<(), String> {
        for line in rows {
            let (section, name) = line.split_once(' ').unwrap_or((line, ""));
            let row = Row {
                section: section.to_owned(),
                name: name.to_owned(),
            };
            match self.0.get_mut(&row) {
                None => return Err(format!("{case}: there is no row `{line}`")),
                Some(row) if row.excused => {
                    return Err(format!("{case}: `{line}` is said to have no case"));
                }
                Some(row) => row.by.push(case.to_owned()),
            }
        }
        Ok(())
    }

    /// The rows that no case covers.
    pub fn open(&self) -> impl Iterator<Item = &Row> {
        let open = self.0.iter();
        let open = open.filter(|(_, covered)| covered.by.is_empty() && !covered.excused);
        open.map(|(row, _)| row)
    }

    /// How many cases cover a row of a section for which `counts` holds.
    pub fn cases(&self, counts: impl Fn(&str) -> bool) -> usize {
        let rows = self.0.iter().filter(|(row, _)| counts(&row.section));
        let mut cases: Vec<_> = rows.flat_map(|(_, covered)| &covered.by).collect();
        cases.sort();
        cases.dedup();
        cases.len()
    }
}

#[cfg(test)]
mod tests;
