//! What a second lcore adds, beside what it adds to testpmd, which only moves frames.
//!
//! Both devices have a queue for each lcore, and each queue plays a capture of its own, which the driver
//! keeps in memory or reads from a file: so the lcore that polls a queue is its traffic's source, too,
//! and all CPUs do nothing but forward. Connections of one lcore are not another's, and as many with
//! two lcores as with one: what is lost is what lcores cost each other, and the machine.
//!
//! The second lcore runs where the management thread and all else does; what that takes from it
//! counts, so rates are per second of time.
//!
//! CPUs are not equally fast, least of all those of a virtual machine, whose neighbours differ; so one lcore is measured
//! on each of both, and its rate is the mean.
//!
//! Where CPUs are two threads of one core, they share its execution units and caches, and testpmd's own ratio
//! says how much a second is worth; so ratios are held against that.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use weir_ct::{Owners, ShardId};

use crate::captures::{Direction, Traffic, write_empty};
use crate::compare::{Spread, make_dir, temporary_dir};
use crate::contender::{Contender, Job, Placement, Running, queue_capture};
use crate::failure::Failure;
use crate::rate::{Noise, Plan, opening, steady, warm_up};
use crate::scenario::{Play, Scenario};
use crate::targets::{Bound, Verdict};

/// What weir seeds its hashes with, so that it is known which lcore owns what.
pub const SECRET: u64 = 0x5ca1_ab1e;
/// Lcores at most.
const LCORES: u16 = 2;

/// Which connections the captures of the queues have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shares {
    /// Each queue has those that the lcore which polls it owns, as a device would deal them that
    /// hashes as the switch does.
    Owned,
    /// Whichever: half of the packets are another lcore's, and are handed over. What one lcore brings and the
    /// other has no time for is lost; the rate is that of what is sent.
    AsTheyCome,
}

/// Millions of packets per second with one lcore and with two, by round.
#[derive(Clone, Debug, Default)]
pub struct Scaled {
    /// What it is called.
    pub name: String,
    /// With one, the mean of what it is on each CPU.
    pub one: Vec<f64>,
    /// With two.
    pub two: Vec<f64>,
    /// Whether it once did not prove that it did its work: then it has no figures.
    gave_up: bool,
}

/// Who takes part.
pub struct Entrant<'a> {
    /// The program.
    pub contender: &'a dyn Contender,
    /// What it is called in the table.
    pub name: String,
    /// What it is sent.
    pub shares: Shares,
    /// Whether the others are measured without it if it does not prove that it did its work.
    pub may_fail: bool,
}

/// Measures all `entrants` in `scenario`, whose connections are those of each lcore, in rounds. Tells
/// `progress` about each run.
///
/// # Errors
/// If one does not run, or does not prove that it did its work, unless it may fail to do that.
pub fn measure(
    entrants: &[Entrant<'_>],
    scenario: &Scenario,
    placement: &Placement,
    (plan, rounds): (&Plan, usize),
    mut progress: impl FnMut(&str),
) -> Result<Vec<Scaled>, Failure> {
    let plan = &Plan {
        noise: Noise::Counted,
        ..*plan
    };
    let dir = temporary_dir()?;
    let captures = [Shares::Owned, Shares::AsTheyCome]
        .map(|shares| Captures::write(scenario, shares, dir.path()));
    let [owned, as_they_come] = captures;
    let (owned, as_they_come) = (owned?, as_they_come?);
    let scaled = |entrant: &Entrant<'_>| Scaled {
        name: entrant.name.clone(),
        ..Scaled::default()
    };
    let mut all: Vec<Scaled> = entrants.iter().map(scaled).collect();
    for round in 1..=rounds {
        for (entrant, scaled) in entrants.iter().zip(&mut all) {
            let captures = match entrant.shares {
                Shares::Owned => &owned,
                Shares::AsTheyCome => &as_they_come,
            };
            if scaled.gave_up {
                continue;
            }
            let tell = |what: &str| progress(&format!("{}, round {round}, {what}", scenario.name));
            match captures.run_all(entrant, placement, plan, dir.path(), tell)? {
                Some([one, other, together]) => {
                    scaled.one.push((one + other) / 2.0);
                    scaled.two.push(together);
                }
                None => scaled.give_up(),
            }
        }
    }
    Ok(all)
}

/// The captures of a scenario, one per queue and direction.
struct Captures {
    /// Of one lcore's share.
    scenario: Scenario,
    first: [PathBuf; 2],
}

impl Captures {
    fn write(scenario: &Scenario, shares: Shares, dir: &Path) -> Result<Self, Failure> {
        let dir = dir.join(format!("{shares:?}"));
        make_dir(&dir)?;
        let first = ["forward.pcap", "reply.pcap"].map(|name| dir.join(name));
        let each = scenario.traffic.connections;
        let owners = Owners::new(LCORES, SECRET);
        let mut chosen: [Vec<u32>; LCORES as usize] = Default::default();
        for connection in 0.. {
            let lcore = match shares {
                Shares::Owned => owner(&owners, &scenario.traffic, connection),
                Shares::AsTheyCome => Some(ShardId((connection / each).min(1) as u16)),
            };
            if let Some(ShardId(lcore)) = lcore {
                let chosen = &mut chosen[usize::from(lcore)];
                if chosen.len() < each as usize {
                    chosen.push(connection);
                }
            }
            if chosen.iter().all(|chosen| chosen.len() == each as usize) {
                break;
            }
        }
        for (queue, connections) in chosen.iter().enumerate() {
            let traffic = &scenario.traffic;
            let [forward, reply] = first.each_ref().map(|first| queue_capture(first, queue));
            let written = traffic.write_some(connections, Direction::Forward, &forward);
            written.map_err(Failure::path(&forward))?;
            let written = match scenario.play {
                Play::Endless => traffic.write_some(connections, Direction::Reply, &reply),
                Play::Once => write_empty(&reply),
            };
            written.map_err(Failure::path(&reply))?;
        }
        Ok(Self {
            scenario: Scenario {
                overloaded: shares == Shares::AsTheyCome,
                ..scenario.clone()
            },
            first,
        })
    }

    /// Millions of packets per second: of an lcore on either CPU, and of both. `None`: it did not prove that it
    /// did its work, and may fail to.
    fn run_all(
        &self,
        entrant: &Entrant<'_>,
        placement: &Placement,
        plan: &Plan,
        dir: &Path,
        mut tell: impl FnMut(&str),
    ) -> Result<Option<[f64; 3]>, Failure> {
        let [alone, together] = [false, true].map(|both_forward| Placement {
            both_forward,
            ..*placement
        });
        let mut rates = [0.0; 3];
        for (placement, rate) in [alone, alone.exchanged(), together].iter().zip(&mut rates) {
            let home = dir.join("run");
            // A run before may have left files.
            let _ = std::fs::remove_dir_all(&home);
            make_dir(&home)?;
            let what = format!("{}, CPUs {:?}", entrant.name, placement.workers());
            match self.run(entrant.contender, placement, plan, &home) {
                Ok(mpps) => *rate = mpps,
                Err(Failure::Unproven(why)) if entrant.may_fail => {
                    tell(&format!("{what}: no figure: {why}"));
                    return Ok(None);
                }
                Err(failure) => return Err(failure),
            }
            tell(&format!("{what}: {rate:.2} Mpps"));
        }
        Ok(Some(rates))
    }

    /// Millions of packets per second of all lcores.
    fn run(
        &self,
        contender: &dyn Contender,
        placement: &Placement,
        plan: &Plan,
        dir: &Path,
    ) -> Result<f64, Failure> {
        let mut scenario = self.scenario.clone();
        let lcores = placement.workers().len() as u32;
        scenario.traffic.connections *= lcores;
        let [forward, reply] = self.first.clone();
        let job = Job {
            scenario: &scenario,
            forward,
            reply,
            placement,
            dir,
        };
        let mut running = contender.start(&job)?;
        let running = &mut *running;
        match scenario.play {
            Play::Endless => {
                warm_up(running, &scenario, plan)?;
                steady(running, &scenario, plan).map(|measured| measured.mpps)
            }
            Play::Once => opened(running, &scenario, plan, lcores),
        }
    }
}

/// Which lcore owns a connection in both directions; `None`: each another.
fn owner(owners: &Owners, traffic: &Traffic, connection: u32) -> Option<ShardId> {
    let of = |direction| owners.owner_of_frame(&traffic.frame_of(connection, direction));
    let owner = of(Direction::Forward)?;
    (of(Direction::Reply)? == owner).then_some(owner)
}

/// Millions of connections per second that `lcores` opened together: what each says of the polls that
/// brought packets, for which they must have been busy at one time.
fn opened(
    running: &mut dyn Running,
    scenario: &Scenario,
    plan: &Plan,
    lcores: u32,
) -> Result<f64, Failure> {
    const PAUSE: Duration = Duration::from_millis(100);
    let begun = Instant::now();
    let frames = u64::from(scenario.frames());
    // Looking costs the second lcore time, so there are few looks.
    while running.ports()?[0].received < frames / 100 && begun.elapsed() < 50 * PAUSE {
        thread::sleep(PAUSE / 10);
    }
    let started = Instant::now();
    thread::sleep(PAUSE);
    while running.ports()?[0].received < frames && started.elapsed() < 100 * PAUSE {
        thread::sleep(PAUSE);
    }
    let took = started.elapsed();
    let each = opening::measure(running, scenario, plan)?;
    let mpps = each.mpps * f64::from(lcores);
    let together = Duration::from_secs_f64(frames as f64 / (mpps * 1e6));
    if took > together.mul_f64(1.25) + 2 * PAUSE {
        return Err(Failure::Unproven(format!(
            "{lcores} lcores were not busy at one time: {took:?} instead of {together:?}"
        )));
    }
    Ok(mpps)
}

impl Scaled {
    fn give_up(&mut self) {
        *self = Self {
            name: std::mem::take(&mut self.name),
            gave_up: true,
            ..Self::default()
        };
    }

    /// What the second lcore makes of the rate, by round.
    pub fn ratios(&self) -> impl Iterator<Item = f64> {
        self.one.iter().zip(&self.two).map(|(one, two)| two / one)
    }

    /// In parts of what it makes of that of `ceiling`, within rounds.
    pub fn of(&self, ceiling: &Self) -> Option<Spread> {
        let ratios = self.ratios().zip(ceiling.ratios());
        Spread::of(ratios.map(|(mine, ceiling)| mine / ceiling))
    }

    /// Beside the target.
    pub fn verdict(&self, scenario: &Scenario, ceiling: &Self) -> Verdict {
        Verdict {
            what: format!(
                "{}, {}: of the ratio of {} from one lcore to two",
                scenario.name, self.name, ceiling.name
            ),
            bound: Bound::AtLeast(0.95),
            measured: self.of(ceiling),
            digits: 3,
        }
    }

    /// A row for [`HEADING`].
    pub fn row(&self, scenario: &Scenario, ceiling: &Self) -> Vec<String> {
        let median = |values: &[f64]| {
            let spread = Spread::of(values.iter().copied());
            spread.map_or_else(String::new, |spread| format!("{:.2}", spread.median))
        };
        let told = |spread: Option<Spread>| {
            spread.map_or_else(String::new, |spread| {
                let Spread {
                    least,
                    median,
                    greatest,
                } = spread;
                format!("{median:.3} ({least:.3} to {greatest:.3})")
            })
        };
        vec![
            scenario.name.clone(),
            self.name.clone(),
            median(&self.one),
            median(&self.two),
            told(Spread::of(self.ratios())),
            told(self.of(ceiling)),
        ]
    }
}

/// Of the table.
pub const HEADING: [&str; 6] = [
    "scenario",
    "program",
    "Mpps, one lcore",
    "two",
    "ratio",
    "of the first program's ratio",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_queue_has_what_its_lcore_owns() {
        let owners = Owners::new(LCORES, SECRET);
        for name in ["firewall-1k", "snat-1k"] {
            let scenario = Scenario::named(name).expect("a scenario");
            let own = (0..4_000).filter_map(|one| owner(&owners, &scenario.traffic, one));
            let (first, second): (Vec<_>, Vec<_>) = own.partition(|&shard| shard == ShardId(0));
            let all = first.len() + second.len();
            // Translated, a half has its replies at another lcore.
            let expected = if name.starts_with("snat") {
                2_000
            } else {
                4_000
            };
            assert!(all.abs_diff(expected) < 200, "{name}: {all}");
            assert!(first.len().abs_diff(second.len()) < 300, "{name}");
        }
    }

    #[test]
    fn ratios_are_taken_within_rounds() {
        let scaled = |one: &[f64], two: &[f64]| Scaled {
            one: one.to_vec(),
            two: two.to_vec(),
            ..Scaled::default()
        };
        let io = scaled(&[10.0, 20.0], &[15.0, 40.0]);
        let mine = scaled(&[2.0, 4.0], &[3.0, 6.0]);
        let spread = mine.of(&io).expect("two rounds");
        assert_eq!((spread.least, spread.greatest), (0.75, 1.0));
    }
}
