//! What connections cost weir in memory.
//!
//! Resident memory and huge pages of the process with all connections of a scenario established,
//! less those of the same run that can hold next to none and has no caches; by part.

use std::fs;
use std::time::Duration;

use crate::compare::Spread;
use crate::contender::{Placement, Settings, Weir};
use crate::failure::Failure;
use crate::rate::{Plan, steady};
use crate::report::table;
use crate::scenario::Scenario;
use crate::site::{Run, Site};
use crate::targets::{Bound, Verdict};

#[cfg(test)]
mod tests;

/// `max_connections` of the run that the others are held against.
const FEW: u32 = 1_000;

/// Memory in MB.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    /// Connections, their indexes and timers: what a run without caches needs more.
    pub connections: f64,
    /// What caches add to that.
    pub caches: f64,
    /// What weir says that its tables were given, by part.
    pub parts: Vec<(String, f64)>,
    /// What the run that holds next to none has, packet buffers included.
    pub rest: f64,
}

/// Measures `weir` in `scenario`. Tells `progress` about each run.
///
/// # Errors
/// If a run does not come about, or the connections are not established.
pub fn measure(
    weir: &Weir,
    scenario: &Scenario,
    placement: &Placement,
    plan: &Plan,
    mut progress: impl FnMut(&str),
) -> Result<Memory, Failure> {
    let site = Site::of(scenario, placement)?;
    let mut run = |connections: u32, no_cache: bool| {
        let settings = Settings {
            max_connections: Some(connections),
            no_cache,
            secret: None,
        };
        let weir = Weir {
            settings,
            ..weir.clone()
        };
        let name = format!("{connections}-{no_cache}");
        let Run { mut running, .. } = site.start(&weir, &name, plan)?;
        if connections > FEW {
            // Proves that all are established.
            let second = Plan {
                interval: Duration::from_secs(1),
                ..*plan
            };
            steady(&mut *running, scenario, &second)?;
        }
        let mb = resident_mb(running.process())?;
        let caches = if no_cache { "without" } else { "with" };
        progress(&format!(
            "memory, at most {connections} connections, {caches} caches: {mb:.0} MB"
        ));
        let parts = running.memory()?;
        Ok::<_, Failure>((mb, parts))
    };
    // A power of two is the natural size of a table; a search for room is bounded.
    let all =
        (scenario.traffic.connections + scenario.traffic.connections / 32).next_power_of_two();
    let (rest, _) = run(FEW, true)?;
    let (tracked, _) = run(all, true)?;
    let (cached, parts) = run(all, false)?;
    let in_mb = |(part, bytes): (String, u64)| (part, bytes as f64 / 1_048_576.0);
    Ok(Memory {
        connections: tracked - rest,
        caches: cached - tracked,
        parts: parts.into_iter().map(in_mb).collect(),
        rest,
    })
}

impl Memory {
    /// Beside the target.
    pub fn verdict(&self, scenario: &Scenario) -> Verdict {
        Verdict {
            what: format!("{}, MB for connections and caches", scenario.name),
            bound: Bound::AtMost(800.0),
            measured: Spread::of([self.connections + self.caches]),
            digits: 0,
        }
    }

    /// The parts as a table.
    pub fn table(&self) -> String {
        let cell = |what: &str, mb: f64| vec![what.to_owned(), format!("{mb:.0}")];
        let mut rows = vec![
            cell("connections, indexes, timers", self.connections),
            cell("caches", self.caches),
            cell("the rest, packet buffers included", self.rest),
        ];
        let parts = self.parts.iter();
        rows.extend(parts.map(|(part, mb)| cell(&format!("room for {part}"), *mb)));
        table(&["memory", "MB"], &rows)
    }
}

/// Resident memory and huge pages of a process.
fn resident_mb(process: u32) -> Result<f64, Failure> {
    let path = format!("/proc/{process}/status");
    let text = fs::read_to_string(&path).map_err(Failure::io(&path))?;
    resident_kb(&text)
        .map(|kb| kb as f64 / 1024.0)
        .ok_or_else(|| Failure::Program(format!("{path} does not tell the memory")))
}

/// `VmRSS` counts no huge pages of hugetlbfs, `HugetlbPages` only those.
fn resident_kb(status: &str) -> Option<u64> {
    let value = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    Some(value("VmRSS:")? + value("HugetlbPages:").unwrap_or(0))
}
