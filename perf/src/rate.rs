//! One run: start a contender, warm it up, measure its rate, prove that it did its work.
//!
//! A rate counts frames *sent*. It stands only if the counters say that, while it was measured,
//! nothing was dropped and nothing new was opened. [`opening`] is about new connections instead.

use std::thread;
use std::time::{Duration, Instant};

use crate::contender::{Contender, Evidence, Job, PortCount, Running};
use crate::failure::Failure;
use crate::processor::ThreadTimes;
use crate::scenario::{Play, Role, Scenario};

pub mod opening;
#[cfg(test)]
mod tests;

/// How a run is made.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// At least so long it runs before it is measured.
    pub warm_up: Duration,
    /// So long it is measured.
    pub interval: Duration,
    /// What is done when other programs take the worker's core.
    pub noise: Noise,
    /// Ticks of the time stamp counter per second.
    pub tsc_hz: f64,
}

/// What is done when other programs take the worker's core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noise {
    /// There is no figure.
    Refused,
    /// The rate is that per second of processor time, which leaves out the time that the worker
    /// waited, but not what the others did to its caches.
    Tolerated,
    /// It counts: what takes the core is a part of what is measured.
    Counted,
}

/// The worker's least share of the time in a run that is not disturbed.
pub const LEAST_ON_CPU: f64 = 0.98;

impl Noise {
    /// The seconds that count of `seconds`, of which the worker had the share `on_cpu`.
    ///
    /// # Errors
    /// If the run is refused.
    pub fn counted(self, seconds: f64, on_cpu: f64) -> Result<f64, Failure> {
        match self {
            Self::Refused if on_cpu < LEAST_ON_CPU => Err(Failure::Disturbed {
                on_cpu_percent: 100.0 * on_cpu,
            }),
            Self::Refused | Self::Counted => Ok(seconds),
            Self::Tolerated => Ok(seconds * on_cpu.min(1.0)),
        }
    }
}

/// What one run measured.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// Name and version of the program.
    pub version: String,
    /// Frames sent by both ports per second, in millions.
    pub mpps: f64,
    /// The worker's share of the time.
    pub on_cpu: f64,
}

impl Measurement {
    /// Cycles of the time stamp counter per frame sent.
    pub fn cycles_per_packet(&self, tsc_hz: f64) -> f64 {
        tsc_hz / (self.mpps * 1e6)
    }
}

/// Every connection has been met in both directions after so many turns of the captures.
const WARM_UP_TURNS: u64 = 3;
/// A contender that does not get there in this time does not forward.
const LONGEST_WARM_UP: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// Runs `contender` on `job`.
///
/// # Errors
/// If it does not run, is disturbed, or does not prove that it did its work.
pub fn run(contender: &dyn Contender, job: &Job<'_>, plan: &Plan) -> Result<Measurement, Failure> {
    let mut running = contender.start(job)?;
    match job.scenario.play {
        Play::Endless => {
            warm_up(&mut *running, job.scenario, plan)?;
            steady(&mut *running, job.scenario, plan)
        }
        Play::Once => opening::measure(&mut *running, job.scenario, plan),
    }
}

/// Waits until every connection has been met in both directions.
///
/// # Errors
/// If that takes too long.
pub fn warm_up(running: &mut dyn Running, scenario: &Scenario, plan: &Plan) -> Result<(), Failure> {
    let begun = Instant::now();
    let turns = WARM_UP_TURNS * u64::from(scenario.traffic.frames_per_turn());
    while begun.elapsed() < plan.warm_up
        || running.ports()?.iter().any(|port| port.received < turns)
    {
        if begun.elapsed() > LONGEST_WARM_UP {
            let ports = running.ports()?;
            return Err(Failure::Unproven(format!(
                "it does not get warm: {ports:?}"
            )));
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// Measures a contender that is warm.
///
/// # Errors
/// If it is disturbed, or does not prove that it does its work.
pub fn steady(
    running: &mut dyn Running,
    scenario: &Scenario,
    plan: &Plan,
) -> Result<Measurement, Failure> {
    steady_while(running, scenario, plan, || ())
}

/// The same, while something else goes on: from when `begin` is called until its result is
/// dropped.
///
/// # Errors
/// As [`steady`].
pub fn steady_while<T>(
    running: &mut dyn Running,
    scenario: &Scenario,
    plan: &Plan,
    begin: impl FnOnce() -> T,
) -> Result<Measurement, Failure> {
    let before = running.evidence()?;
    let meanwhile = begin();
    let first = Sample::take(running)?;
    thread::sleep(plan.interval);
    let last = Sample::take(running)?;
    drop(meanwhile);
    let after = running.evidence()?;

    let sent = prove(scenario, [&first.ports, &last.ports], [&before, &after])
        .map_err(Failure::Unproven)?;
    let span = last.at.duration_since(first.at);
    let waited = last.threads.busiest_since(&first.threads).waited;
    let on_cpu = 1.0 - waited.div_duration_f64(span).min(1.0);
    let seconds = plan.noise.counted(span.as_secs_f64(), on_cpu)?;
    Ok(Measurement {
        version: running.version().to_owned(),
        mpps: sent as f64 / seconds / 1e6,
        on_cpu,
    })
}

/// The counters at one moment.
struct Sample {
    at: Instant,
    ports: [PortCount; 2],
    threads: ThreadTimes,
}

impl Sample {
    fn take(running: &mut dyn Running) -> Result<Self, Failure> {
        let asked = Instant::now();
        let ports = running.ports()?;
        let answered = Instant::now();
        let threads = ThreadTimes::of(running.process())?;
        Ok(Self {
            at: asked + answered.duration_since(asked) / 2,
            ports,
            threads,
        })
    }
}

/// How many frames were sent between two looks at the counters, or why that proves nothing.
fn prove(
    scenario: &Scenario,
    [first, last]: [&[PortCount; 2]; 2],
    [before, after]: [&Evidence; 2],
) -> Result<u64, String> {
    let mut grown = [PortCount::default(); 2];
    for (grown, (first, last)) in grown.iter_mut().zip(first.iter().zip(last)) {
        grown.received = last.received.saturating_sub(first.received);
        grown.sent = last.sent.saturating_sub(first.sent);
    }
    let [one, two] = grown;
    let (received, sent) = (one.received + two.received, one.sent + two.sent);
    // Frames on their way when the counters were read.
    const IN_FLIGHT: u64 = 1_000;
    let is_whole = scenario.overloaded || sent + received / 1_000 + IN_FLIGHT >= received;
    if sent == 0 || !is_whole {
        return Err(format!("of {received} frames received {sent} were sent"));
    }
    for port in grown {
        if port.sent * 5 < sent * 2 {
            return Err(format!("the directions are not alike: {grown:?}"));
        }
    }
    rules(scenario, sent, before, after)?;
    if scenario.policy.tracks
        && !scenario.flooded
        && let Some(connections) = after.connections
        && connections > scenario.traffic.connections.into()
    {
        return Err(format!("there are {connections} connections"));
    }
    Ok(sent)
}

/// What rules have counted between two looks at them, by role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Taken {
    dropped: u64,
    forwarded: u64,
    opened: u64,
}

/// What the rules counted; `None` if the contender has no rules.
fn taken(
    scenario: &Scenario,
    before: &Evidence,
    after: &Evidence,
) -> Result<Option<Taken>, String> {
    if before.rules.is_empty() && after.rules.is_empty() {
        return Ok(None);
    }
    let mut taken = Taken::default();
    for (&cookie, &count) in &after.rules {
        let grown = count.saturating_sub(before.rules.get(&cookie).copied().unwrap_or_default());
        match scenario.policy.role(cookie) {
            Some(Role::Drops) => taken.dropped += grown,
            Some(Role::Forwards) => taken.forwarded += grown,
            Some(Role::Opens) => taken.opened += grown,
            Some(Role::Passes) => {}
            None => {
                return Err(format!(
                    "there is a rule with cookie {cookie} that nobody added"
                ));
            }
        }
    }
    // What a generator sends may well be dropped.
    if taken.dropped > 0 && !scenario.flooded {
        return Err(format!("{} packets took a rule that drops", taken.dropped));
    }
    Ok(Some(taken))
}

/// Checks that the rules counted established connections.
fn rules(
    scenario: &Scenario,
    sent: u64,
    before: &Evidence,
    after: &Evidence,
) -> Result<(), String> {
    let Some(taken) = taken(scenario, before, after)? else {
        return Ok(());
    };
    let Taken {
        opened, forwarded, ..
    } = taken;
    if opened > sent / 1_000 {
        return Err(format!("{opened} packets opened a connection"));
    }
    // Rules are read before and after the ports, and may lag behind them.
    if forwarded < sent / 2 {
        return Err(format!(
            "{sent} frames were sent, but {forwarded} met a rule that forwards"
        ));
    }
    Ok(())
}
