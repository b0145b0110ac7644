//! An earlier version of weir, built beside this one.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::compare::{Row, Spread, make_dir, row};
use crate::failure::{Failure, output_of};
use crate::report::table;

#[cfg(test)]
mod tests;

/// A scenario has lost speed if its median ratio is below this.
pub const LEAST_RATIO: f64 = 0.97;

/// Builds `weir` as it was at `commit` of the repository in the current directory; the program is
/// kept in `dir`, and built only once.
///
/// # Errors
/// If there is no such commit or it does not build.
pub fn build(commit: &str, dir: &Path) -> Result<PathBuf, Failure> {
    let revision = format!("{commit}^{{commit}}");
    let hash = output_of(Command::new("git").args(["rev-parse", "--short=12", &revision]))?;
    let hash = hash.trim();
    make_dir(dir)?;
    let dir = std::path::absolute(dir).map_err(Failure::path(dir))?;
    let program = dir.join(format!("weir-{hash}"));
    if program.is_file() {
        return Ok(program);
    }
    let tree = dir.join(format!("tree-{hash}"));
    let tree_path = tree.display().to_string();
    let worktree = |arguments: &[&str]| {
        let mut command = Command::new("git");
        output_of(command.arg("worktree").args(arguments))
    };
    // What an interrupted build left behind.
    let _ = worktree(&["remove", "--force", &tree_path]);
    worktree(&["add", "--detach", "--force", &tree_path, hash])?;
    let target = dir.join("build");
    let built = output_of(
        Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--quiet", "--release", "--locked", "--bin", "weir"])
            .arg("--target-dir")
            .arg(&target)
            .current_dir(&tree),
    )
    .and_then(|_| {
        let from = target.join("release/weir");
        std::fs::copy(&from, &program).map_err(Failure::path(&from))
    });
    worktree(&["remove", "--force", &tree_path])?;
    built.map(|_| program)
}

/// How `now` stands beside `base` in each scenario.
#[derive(Clone, Debug)]
pub struct Change {
    /// The scenario.
    pub scenario: String,
    /// Millions of packets per second, medians.
    pub mpps: [Option<f64>; 2],
    /// How many times as fast as the base; `None`: one of both has no figure.
    pub times: Option<Spread>,
}

impl Change {
    /// Whether nothing was lost.
    pub fn held(&self) -> bool {
        self.times.is_some_and(|times| times.median >= LEAST_RATIO)
    }
}

/// Holds the rows of `now` beside those of `base`.
pub fn changes(rows: &[Row], base: &str, now: &str) -> Vec<Change> {
    let mine = rows.iter().filter(|row| row.contender == now);
    mine.map(|mine| {
        let before = row(rows, &mine.scenario, base);
        let median = |row: &Row| row.mpps().map(|spread| spread.median);
        Change {
            scenario: mine.scenario.clone(),
            mpps: [before.and_then(median), median(mine)],
            times: before.and_then(|before| mine.times(before)),
        }
    })
    .collect()
}

/// The changes as a table.
pub fn changes_table(changes: &[Change], base: &str) -> String {
    let before = format!("{base}, Mpps");
    let heading = [
        "scenario",
        &before,
        "now, Mpps",
        "ratio",
        "least to greatest",
        "held",
    ];
    let or_none =
        |value: Option<f64>| value.map_or("none".to_owned(), |value| format!("{value:.2}"));
    let cells = changes.iter().map(|change| {
        let range = change.times.map_or(String::new(), |times| {
            format!("{:.3} to {:.3}", times.least, times.greatest)
        });
        let ratio = change.times.map(|times| format!("{:.3}", times.median));
        vec![
            change.scenario.clone(),
            or_none(change.mpps[0]),
            or_none(change.mpps[1]),
            ratio.unwrap_or("none".to_owned()),
            range,
            if change.held() { "yes" } else { "NO" }.to_owned(),
        ]
    });
    table(&heading, &cells.collect::<Vec<_>>())
}
