//! Several contenders on several scenarios, in turn, in rounds.
//!
//! Contenders take turns within a round, so that a machine that gets slower or noisier meets
//! all alike; ratios are taken within rounds.

use std::fs;
use std::path::Path;

use crate::captures::Direction;
use crate::contender::{Contender, Job, Placement};
use crate::failure::Failure;
use crate::rate::{self, Measurement, Plan};
use crate::scenario::Scenario;

#[cfg(test)]
mod tests;

/// What a contender did in a scenario.
#[derive(Clone, Debug)]
pub struct Row {
    /// The scenario's name.
    pub scenario: String,
    /// The contender's name.
    pub contender: String,
    /// A measurement of each round that gave one, with the round's number.
    pub rounds: Vec<(usize, Measurement)>,
    /// Why rounds gave none, each reason once.
    pub refusals: Vec<String>,
}

/// How rounds are made.
#[derive(Clone, Copy, Debug)]
pub struct Rounds {
    /// How many.
    pub count: usize,
    /// How often a disturbed run is tried again.
    pub retries: usize,
    /// How one run is made.
    pub plan: Plan,
}

/// Runs all `contenders` on all `scenarios`. Tells `progress` about each run.
///
/// # Errors
/// If captures cannot be written or a contender is not installed; what goes wrong in a run is
/// told in its [`Row`].
pub fn compare(
    scenarios: &[Scenario],
    contenders: &[Box<dyn Contender>],
    placement: impl Fn(&Scenario) -> Placement,
    rounds: Rounds,
    mut progress: impl FnMut(&str),
) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for scenario in scenarios {
        let dir = tempfile::Builder::new().prefix("weir-perf-").tempdir();
        let dir = dir.map_err(Failure::io("a temporary directory"))?;
        let [forward, reply] = ["forward.pcap", "reply.pcap"].map(|name| dir.path().join(name));
        for (direction, path) in [(Direction::Forward, &forward), (Direction::Reply, &reply)] {
            scenario
                .traffic
                .write(direction, path)
                .map_err(Failure::path(path))?;
        }
        let able: Vec<_> = contenders.iter().filter(|one| one.can(scenario)).collect();
        let first = rows.len();
        rows.extend(able.iter().map(|contender| Row {
            scenario: scenario.name.clone(),
            contender: contender.name(),
            rounds: Vec::new(),
            refusals: Vec::new(),
        }));
        let placement = placement(scenario);
        for round in 1..=rounds.count {
            for (contender, row) in able.iter().zip(&mut rows[first..]) {
                let home = dir.path().join(format!("{round}-{}", row.contender));
                let job = Job {
                    scenario,
                    forward: forward.clone(),
                    reply: reply.clone(),
                    placement: &placement,
                    dir: &home,
                };
                match run(contender.as_ref(), &job, &rounds) {
                    Ok(measured) => {
                        let (mpps, on_cpu) = (measured.mpps, 100.0 * measured.on_cpu);
                        progress(&format!(
                            "{}, round {round}, {}: {mpps:.2} Mpps (on its core {on_cpu:.1} % of \
                             the time)",
                            row.scenario, row.contender,
                        ));
                        row.rounds.push((round, measured));
                    }
                    Err(absent @ Failure::Absent { .. }) => return Err(absent),
                    Err(refusal) => {
                        progress(&format!(
                            "{}, round {round}, {}: {refusal}",
                            row.scenario, row.contender
                        ));
                        let text = match refusal {
                            // How much differs from round to round.
                            Failure::Disturbed { .. } => {
                                "other programs used the worker's CPU in some rounds".to_owned()
                            }
                            refusal => refusal.to_string(),
                        };
                        if !row.refusals.contains(&text) {
                            row.refusals.push(text);
                        }
                    }
                }
            }
        }
    }
    Ok(rows)
}

fn run(contender: &dyn Contender, job: &Job<'_>, rounds: &Rounds) -> Result<Measurement, Failure> {
    let mut tries = 0;
    loop {
        // A program that was stopped may leave files that hinder the next.
        let _ = fs::remove_dir_all(job.dir);
        fs::create_dir_all(job.dir).map_err(Failure::path(job.dir))?;
        match rate::run(contender, job, &rounds.plan) {
            Err(Failure::Disturbed { .. }) if tries < rounds.retries => tries += 1,
            result => return result,
        }
    }
}

/// The least, the median and the greatest of some values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The least.
    pub least: f64,
    /// The median; of an even number of values, the mean of the two in the middle.
    pub median: f64,
    /// The greatest.
    pub greatest: f64,
}

impl Spread {
    /// Of `values`; `None` if there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        let (&least, &greatest) = (values.first()?, values.last()?);
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self {
            least,
            median: f64::midpoint(low, high),
            greatest,
        })
    }
}

impl Row {
    /// Millions of frames per second, over the rounds.
    pub fn mpps(&self) -> Option<Spread> {
        Spread::of(self.rounds.iter().map(|(_, measured)| measured.mpps))
    }

    /// How many times as fast as `other`, over the rounds that both have.
    pub fn times(&self, other: &Self) -> Option<Spread> {
        Spread::of(self.rounds.iter().filter_map(|(round, measured)| {
            let (_, theirs) = other.rounds.iter().find(|(number, _)| number == round)?;
            Some(measured.mpps / theirs.mpps)
        }))
    }
}

/// Makes a folder, unless it is there already.
///
/// # Errors
/// If it cannot be made.
pub fn make_dir(dir: &Path) -> Result<(), Failure> {
    fs::create_dir_all(dir).map_err(Failure::path(dir))
}
