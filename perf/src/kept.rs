//! Results of scenarios in files, so that a long comparison can be broken off and taken up again.
//!
//! A scenario has one file, written when it is finished: a line that says how it was measured,
//! then [`rates_csv`]. A file that was measured otherwise does not count.

use std::fs;
use std::path::{Path, PathBuf};

use crate::compare::{Row, make_dir};
use crate::failure::Failure;
use crate::rate::Measurement;
use crate::report::rates_csv;

#[cfg(test)]
mod tests;

/// A folder of results.
#[derive(Clone, Debug)]
pub struct Kept<'a> {
    /// The folder.
    pub dir: &'a Path,
    /// How scenarios are measured: programs, versions, rounds.
    pub how: &'a str,
}

impl Kept<'_> {
    /// The rows of a scenario that was finished, if it was.
    pub fn read(&self, scenario: &str) -> Option<Vec<Row>> {
        let text = fs::read_to_string(self.path(scenario)).ok()?;
        let (how, csv) = text.split_once('\n')?;
        (how.strip_prefix("# ")? == self.how).then_some(())?;
        parse(csv)
    }

    /// Keeps the rows of a scenario, if each of them has figures.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, scenario: &str, rows: &[Row], tsc_hz: f64) -> Result<(), Failure> {
        let finished = |row: &Row| row.refusals.is_empty() && !row.rounds.is_empty();
        if !rows.iter().all(finished) {
            return Ok(());
        }
        make_dir(self.dir)?;
        let path = self.path(scenario);
        let text = format!("# {}\n{}", self.how, rates_csv(rows, tsc_hz));
        // Whole or not at all.
        let new = path.with_extension("new");
        fs::write(&new, text).map_err(Failure::path(&new))?;
        fs::rename(&new, &path).map_err(Failure::path(&path))
    }

    fn path(&self, scenario: &str) -> PathBuf {
        self.dir.join(format!("{scenario}.csv"))
    }
}

/// Reads what [`rates_csv`] wrote.
fn parse(csv: &str) -> Option<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for line in csv.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let [scenario, contender, version, round, mpps, _cycles, on_cpu] = cells[..] else {
            return None;
        };
        let measured = Measurement {
            version: version.to_owned(),
            mpps: mpps.parse().ok()?,
            on_cpu: on_cpu.parse().ok()?,
        };
        let round = (round.parse().ok()?, measured);
        match rows.last_mut() {
            Some(row) if row.scenario == scenario && row.contender == contender => {
                row.rounds.push(round);
            }
            _ => rows.push(Row {
                scenario: scenario.to_owned(),
                contender: contender.to_owned(),
                rounds: vec![round],
                refusals: Vec::new(),
            }),
        }
    }
    Some(rows)
}
