//! Several contenders on several scenarios, in turn, in rounds.
//!
//! Contenders take turns within a scenario and scenarios within a round, so that a machine that
//! gets slower or noisier meets all alike; ratios are taken within rounds.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

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

/// Runs all `contenders` on all `scenarios`, all of them in each round. Tells `progress` about
/// each run.
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
    let dir = temporary_dir()?;
    let mut entrants = Vec::new();
    for scenario in scenarios {
        let home = dir.path().join(&scenario.name);
        make_dir(&home)?;
        let [forward, reply] = scenario.write_captures(&home)?;
        let placement = placement(scenario);
        let able = contenders.iter().filter(|one| one.can(scenario));
        entrants.extend(able.map(|contender| Entrant {
            scenario,
            contender: contender.as_ref(),
            captures: [forward.clone(), reply.clone()],
            placement,
            row: Row {
                scenario: scenario.name.clone(),
                contender: contender.name(),
                rounds: Vec::new(),
                refusals: Vec::new(),
            },
        }));
    }
    for round in 1..=rounds.count {
        for entrant in &mut entrants {
            let home = dir.path().join("run");
            let told = entrant.run(round, &home, &rounds)?;
            let Row {
                scenario,
                contender,
                ..
            } = &entrant.row;
            progress(&format!("{scenario}, round {round}, {contender}: {told}"));
        }
    }
    Ok(entrants.into_iter().map(|entrant| entrant.row).collect())
}

/// A contender in a scenario.
struct Entrant<'a> {
    scenario: &'a Scenario,
    contender: &'a dyn Contender,
    captures: [PathBuf; 2],
    placement: Placement,
    row: Row,
}

impl Entrant<'_> {
    /// Runs a round and notes what it gave; says it, too.
    fn run(&mut self, round: usize, home: &Path, rounds: &Rounds) -> Result<String, Failure> {
        let [forward, reply] = self.captures.clone();
        let job = Job {
            scenario: self.scenario,
            forward,
            reply,
            placement: &self.placement,
            dir: home,
        };
        match run(self.contender, &job, rounds) {
            Ok(measured) => {
                let (mpps, on_cpu) = (measured.mpps, 100.0 * measured.on_cpu);
                self.row.rounds.push((round, measured));
                Ok(format!(
                    "{mpps:.2} Mpps (on its core {on_cpu:.1} % of the time)"
                ))
            }
            Err(absent @ Failure::Absent { .. }) => Err(absent),
            Err(refusal) => {
                let told = refusal.to_string();
                let text = match refusal {
                    // How much differs from round to round.
                    Failure::Disturbed { .. } => {
                        "other programs used the worker's CPU in some rounds".to_owned()
                    }
                    _ => told.clone(),
                };
                if !self.row.refusals.contains(&text) {
                    self.row.refusals.push(text);
                }
                Ok(told)
            }
        }
    }
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
        self.beside(other, |mine, theirs| mine.mpps / theirs.mpps)
    }

    /// How many cycles a frame takes above those that it takes `other`, over the rounds that both
    /// have.
    pub fn cycles_above(&self, other: &Self, tsc_hz: f64) -> Option<Spread> {
        self.beside(other, |mine, theirs| {
            mine.cycles_per_packet(tsc_hz) - theirs.cycles_per_packet(tsc_hz)
        })
    }

    fn beside(
        &self,
        other: &Self,
        compared: impl Fn(&Measurement, &Measurement) -> f64,
    ) -> Option<Spread> {
        Spread::of(self.rounds.iter().filter_map(|(round, measured)| {
            let (_, theirs) = other.rounds.iter().find(|(number, _)| number == round)?;
            Some(compared(measured, theirs))
        }))
    }
}

/// The row of a contender in a scenario.
pub fn row<'a>(rows: &'a [Row], scenario: &str, contender: &str) -> Option<&'a Row> {
    rows.iter()
        .find(|row| row.scenario == scenario && row.contender == contender)
}

/// A folder for captures and programs' files that goes when it is dropped.
///
/// # Errors
/// If it cannot be made.
pub fn temporary_dir() -> Result<TempDir, Failure> {
    let dir = tempfile::Builder::new().prefix("weir-perf-").tempdir();
    dir.map_err(Failure::io("a temporary directory"))
}

/// Makes a folder, unless it is there already.
///
/// # Errors
/// If it cannot be made.
pub fn make_dir(dir: &Path) -> Result<(), Failure> {
    fs::create_dir_all(dir).map_err(Failure::path(dir))
}
