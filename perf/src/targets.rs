//! What weir is to reach, and whether it did.
//!
//! A target is about the median over rounds of a ratio or difference within rounds.

use crate::compare::{Row, Spread, row};
use crate::report::table;

#[cfg(test)]
mod tests;

/// A bound, with its unit told by [`Verdict::what`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// The median is to be this or more.
    AtLeast(f64),
    /// The median is to be this or less.
    AtMost(f64),
}

/// A target and what was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What was measured, and in what.
    pub what: String,
    /// What it is to be.
    pub bound: Bound,
    /// What it is; `None`: there is no figure.
    pub measured: Option<Spread>,
    /// Digits behind the point.
    pub digits: usize,
}

impl Verdict {
    /// Whether the target is reached; `None`: nobody knows.
    pub fn reached(&self) -> Option<bool> {
        let median = self.measured?.median;
        Some(match self.bound {
            Bound::AtLeast(least) => median >= least,
            Bound::AtMost(most) => median <= most,
        })
    }
}

/// One scenario against another row.
enum Target {
    /// Scenario, Open vSwitch's scenario, how many times as fast at least.
    Times(&'static str, &'static str, f64),
    /// Scenario, weir's own other scenario, how many times as fast at least.
    Own(&'static str, &'static str, f64),
    /// Scenario, cycles per packet above testpmd io at most.
    Above(&'static str, f64),
}

use Target::{Above, Own, Times};

/// All that are about rates, on one lcore.
const TARGETS: &[Target] = &[
    Times("firewall-1k", "firewall-1k", 5.0),
    Times("firewall-10k", "firewall-10k", 6.0),
    Times("firewall-100k", "firewall-100k", 4.0),
    // Open vSwitch has not got packet buffers for the captures of a million.
    Times("firewall-1M", "firewall-100k", 3.0),
    Times("snat-1k", "snat-1k", 6.0),
    Times("snat-10k", "snat-10k", 8.0),
    Times("snat-100k", "snat-100k", 5.0),
    Own("vpc-computeA-10k", "firewall-10k", 0.85),
    Times("vpc-computeA-10k", "vpc-computeA-10k", 8.0),
    Times("firewall-1M-new", "firewall-1M-new", 2.5),
    Times("snat-1M-new", "snat-1M-new", 3.0),
    Times("port-to-port-10k", "port-to-port-10k", 1.0),
    Times("l2-rewrite-10k", "l2-rewrite-10k", 2.0),
    Above("firewall-1k", 75.0),
    Above("firewall-10k", 90.0),
    Above("firewall-100k", 155.0),
    Above("snat-1k", 85.0),
    Above("snat-10k", 100.0),
    Above("snat-100k", 190.0),
];

/// The scenarios that the targets are about.
pub const SCENARIOS: &str = "firewall-1k,firewall-10k,vpc-computeA-10k,firewall-100k,firewall-1M,\
    snat-1k,snat-10k,snat-100k,port-to-port-10k,l2-rewrite-10k,firewall-1M-new,snat-1M-new";

/// What the contenders are called in [`Row`]s.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// The switch that the targets are for.
    pub weir: &'a str,
    /// The switch it is held against.
    pub ovs: &'a str,
    /// The ceiling.
    pub io: &'a str,
}

/// Holds `rows` against the targets, leaving out those whose scenario was not run.
pub fn judge(rows: &[Row], names: Names<'_>, tsc_hz: f64) -> Vec<Verdict> {
    let run = |target: &&Target| {
        let (Times(scenario, ..) | Own(scenario, ..) | Above(scenario, _)) = target;
        row(rows, scenario, names.weir).is_some()
    };
    let verdict = |target: &Target| match *target {
        Times(scenario, theirs, least) => Verdict {
            what: beside(scenario, theirs, names.ovs),
            bound: Bound::AtLeast(least),
            measured: row(rows, scenario, names.weir)
                .zip(row(rows, theirs, names.ovs))
                .and_then(|(mine, theirs)| mine.times(theirs)),
            digits: 2,
        },
        Own(scenario, other, least) => Verdict {
            what: format!("{scenario}, times its own {other}"),
            bound: Bound::AtLeast(least),
            measured: row(rows, scenario, names.weir)
                .zip(row(rows, other, names.weir))
                .and_then(|(mine, other)| mine.times(other)),
            digits: 2,
        },
        Above(scenario, most) => Verdict {
            what: format!("{scenario}, cycles/packet above {}", names.io),
            bound: Bound::AtMost(most),
            measured: row(rows, scenario, names.weir)
                .zip(row(rows, scenario, names.io))
                .and_then(|(mine, io)| mine.cycles_above(io, tsc_hz)),
            digits: 0,
        },
    };
    TARGETS.iter().filter(run).map(verdict).collect()
}

fn beside(scenario: &str, theirs: &str, name: &str) -> String {
    if scenario == theirs {
        format!("{scenario}, times {name}")
    } else {
        format!("{scenario}, times {name} in {theirs}")
    }
}

/// The verdicts as a table.
pub fn verdicts(verdicts: &[Verdict]) -> String {
    let heading = ["target", "bound", "median", "least to greatest", "reached"];
    let cells = verdicts.iter().map(|verdict| {
        let digits = verdict.digits;
        let bound = match verdict.bound {
            Bound::AtLeast(least) => format!("at least {least}"),
            Bound::AtMost(most) => format!("at most {most}"),
        };
        let (median, range) = verdict.measured.map_or_else(
            || ("none".to_owned(), String::new()),
            |Spread {
                 least,
                 median,
                 greatest,
             }| {
                (
                    format!("{median:.digits$}"),
                    format!("{least:.digits$} to {greatest:.digits$}"),
                )
            },
        );
        let reached = match verdict.reached() {
            Some(true) => "yes",
            Some(false) => "no",
            None => "?",
        };
        vec![
            verdict.what.clone(),
            bound,
            median,
            range,
            reached.to_owned(),
        ]
    });
    table(&heading, &cells.collect::<Vec<_>>())
}
