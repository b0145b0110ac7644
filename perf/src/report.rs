//! Results as text, and kept in a folder.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::compare::{Row, Spread, row};
use crate::failure::Failure;
use crate::machine::{self, Machine};
use crate::micro::Line;

#[cfg(test)]
mod tests;

/// A Markdown table whose columns are aligned for those who read it as it is.
pub fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count());
        cells
            .chain([heading[column].chars().count()])
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        // The first column is text, the others are figures.
        let padded = cells
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, &width))| {
                if column == 0 {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                }
            });
        format!("| {} |\n", padded.collect::<Vec<_>>().join(" | "))
    };
    let mut text = line(heading.to_vec());
    let rule = widths.iter().enumerate().map(|(column, &width)| {
        let dashes = "-".repeat(width + 1);
        if column == 0 {
            format!("{dashes}-")
        } else {
            format!("{dashes}:")
        }
    });
    text.push_str(&format!("|{}|\n", rule.collect::<Vec<_>>().join("|")));
    for row in rows {
        text.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    text
}

/// The rates, each above `ceiling` and beside `base` in the same scenario; differences and ratios
/// are medians over the rounds.
pub fn rates(rows: &[Row], base: &str, ceiling: &str, tsc_hz: f64) -> String {
    let (above, ratio) = (format!("above {ceiling}"), format!("times {base}"));
    let heading = [
        "scenario",
        "program",
        "Mpps",
        "least to greatest",
        "cycles/packet",
        &above,
        &ratio,
        "least to greatest",
    ];
    let cells = rows.iter().map(|mine| {
        let mut cells = vec![mine.scenario.clone(), mine.contender.clone()];
        let Some(Spread {
            least,
            median,
            greatest,
        }) = mine.mpps()
        else {
            cells.push("none".to_owned());
            cells.resize(heading.len(), String::new());
            return cells;
        };
        let other = |name: &str| (mine.contender != name).then(|| row(rows, &mine.scenario, name));
        cells.push(format!("{median:.2}"));
        cells.push(format!("{least:.2} to {greatest:.2}"));
        cells.push(format!("{:.0}", tsc_hz / (median * 1e6)));
        let above = other(ceiling).flatten();
        let above = above.and_then(|ceiling| mine.cycles_above(ceiling, tsc_hz));
        cells.push(above.map_or(String::new(), |above| format!("{:.0}", above.median)));
        let times = other(base).flatten().and_then(|base| mine.times(base));
        let (times, range) = times.map_or_else(Default::default, |times| {
            let range = format!("{:.2} to {:.2}", times.least, times.greatest);
            (format!("{:.2}", times.median), range)
        });
        cells.extend([times, range]);
        cells
    });
    let mut text = table(&heading, &cells.collect::<Vec<_>>());
    text.push_str(&refusals(rows));
    text
}

/// What a switch does in each scenario: its rate, what a packet costs it above the ceiling, and
/// allocations per packet of its packet path.
pub fn bench(rows: &[Row], switch: &str, ceiling: &str, allocations: &[f64], hz: f64) -> String {
    let heading = [
        "scenario",
        "Mpps",
        "least to greatest",
        "cycles/packet",
        "ceiling Mpps",
        "above ceiling",
        "allocations/packet",
    ];
    let switches = rows.iter().filter(|row| row.contender == switch);
    let cells = switches.zip(allocations).map(|(mine, &allocations)| {
        let rate = mine.mpps();
        let top = row(rows, &mine.scenario, ceiling).and_then(Row::mpps);
        let cycles = |spread: Spread| hz / (spread.median * 1e6);
        let or_none = |text: Option<String>| text.unwrap_or("none".to_owned());
        vec![
            mine.scenario.clone(),
            or_none(rate.map(|rate| format!("{:.2}", rate.median))),
            or_none(rate.map(|rate| format!("{:.2} to {:.2}", rate.least, rate.greatest))),
            or_none(rate.map(|rate| format!("{:.0}", cycles(rate)))),
            or_none(top.map(|top| format!("{:.2}", top.median))),
            or_none(
                rate.zip(top)
                    .map(|(rate, top)| format!("{:.0}", cycles(rate) - cycles(top))),
            ),
            per_packet(allocations),
        ]
    });
    let mut text = table(&heading, &cells.collect::<Vec<_>>());
    text.push_str(&refusals(rows));
    text
}

fn per_packet(allocations: f64) -> String {
    if allocations == 0.0 {
        "0".to_owned()
    } else {
        format!("{allocations:.6}")
    }
}

/// Why there are no figures, a line each.
pub fn refusals(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        for refusal in &row.refusals {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n{}, {}: {refusal}\n", row.scenario, row.contender);
        }
    }
    text
}

/// Every measurement, as CSV.
pub fn rates_csv(rows: &[Row], tsc_hz: f64) -> String {
    let mut text =
        "scenario,program,version,round,mpps,cycles_per_packet,on_cpu_share\n".to_owned();
    for row in rows {
        for (round, measured) in &row.rounds {
            let cycles = measured.cycles_per_packet(tsc_hz);
            let _ = writeln!(
                text,
                "{},{},{},{round},{:.4},{cycles:.1},{:.4}",
                row.scenario, row.contender, measured.version, measured.mpps, measured.on_cpu
            );
        }
    }
    text
}

/// What stages of the packet path cost.
pub fn stages(lines: &[Line]) -> String {
    let heading = [
        "stage",
        "with",
        "cycles/packet",
        "least",
        "above copy",
        "allocations/packet",
    ];
    let cells = lines.iter().map(|line| {
        let Spread { least, median, .. } = line.cost.cycles;
        let above = line
            .copy
            .map_or(String::new(), |copy| format!("{:.1}", median - copy));
        let allocations = per_packet(line.cost.allocations);
        let figures = [
            format!("{median:.1}"),
            format!("{least:.1}"),
            above,
            allocations,
        ];
        [line.what.clone(), line.with.clone()]
            .into_iter()
            .chain(figures)
            .collect()
    });
    table(&heading, &cells.collect::<Vec<_>>())
}

/// The same, as CSV.
pub fn stages_csv(lines: &[Line]) -> String {
    let mut text = "stage,with,least,median,greatest,copy,allocations_per_packet\n".to_owned();
    for Line {
        what,
        with,
        cost,
        copy,
    } in lines
    {
        let Spread {
            least,
            median,
            greatest,
        } = cost.cycles;
        let copy = copy.map_or(String::new(), |copy| format!("{copy:.2}"));
        let _ = writeln!(
            text,
            "\"{what}\",\"{with}\",{least:.2},{median:.2},{greatest:.2},{copy},{}",
            cost.allocations
        );
    }
    text
}

/// Programs and versions that took part.
pub fn versions(rows: &[Row]) -> Vec<String> {
    let mut versions: Vec<String> = rows
        .iter()
        .filter_map(|row| {
            let (_, measured) = row.rounds.first()?;
            Some(format!("{}: {}", row.contender, measured.version))
        })
        .collect();
    versions.sort_unstable();
    versions.dedup();
    versions
}

/// What is kept of a run.
#[derive(Debug)]
pub struct Run<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// What was typed.
    pub command: &'a str,
    /// Circumstances that a reader has to know, a sentence each.
    pub notes: &'a [String],
    /// The tables.
    pub results: &'a str,
    /// Files beside the page: name and content.
    pub files: &'a [(&'a str, String)],
}

impl Run<'_> {
    /// Writes the page called `page`, and the files, into `dir`.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn keep(&self, dir: &Path, page: &str) -> Result<(), Failure> {
        fs::create_dir_all(dir).map_err(Failure::path(dir))?;
        let Self {
            machine,
            command,
            notes,
            results,
            files,
        } = self;
        let mut text = format!("# {}, commit {}\n\n", machine::today(), machine::commit());
        let _ = write!(text, "```\n{command}\n```\n\n{machine}");
        for note in *notes {
            let _ = writeln!(text, "* {note}");
        }
        let _ = write!(text, "\n{results}");
        let page = dir.join(page);
        fs::write(&page, text).map_err(Failure::path(&page))?;
        for (name, content) in *files {
            let path = dir.join(name);
            fs::write(&path, content).map_err(Failure::path(&path))?;
        }
        Ok(())
    }
}
