//! One run: start a contender, warm it up, measure its rate, prove that it did its work.
//!
//! A rate counts frames *sent*. It stands only if the worker had its core to itself and if the
//! counters say that, while it was measured, nothing was dropped and nothing new was opened.

use std::thread;
use std::time::{Duration, Instant};

use crate::contender::{Contender, Evidence, Job, PortCount, Running};
use crate::failure::Failure;
use crate::processor::ThreadTimes;
use crate::scenario::{Role, Scenario};

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
}

/// What is done when other programs take the worker's core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noise {
    /// There is no figure.
    Refused,
    /// The rate is that per second of processor time, which leaves out the time that the worker
    /// waited, but not what the others did to its caches.
    Tolerated,
}

/// The worker's least share of the time in a run that is not disturbed.
pub const LEAST_ON_CPU: f64 = 0.98;

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
    let begun = Instant::now();
    let turns = WARM_UP_TURNS * u64::from(job.scenario.traffic.frames_per_turn());
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

    let before = running.evidence()?;
    let first = Sample::take(&mut *running)?;
    thread::sleep(plan.interval);
    let last = Sample::take(&mut *running)?;
    let after = running.evidence()?;

    let sent = prove(job.scenario, [&first.ports, &last.ports], [&before, &after])
        .map_err(Failure::Unproven)?;
    let span = last.at.duration_since(first.at).as_secs_f64();
    let on_cpu = last.threads.busiest_since(&first.threads).as_secs_f64() / span;
    let seconds = match plan.noise {
        Noise::Refused if on_cpu < LEAST_ON_CPU => {
            return Err(Failure::Disturbed {
                on_cpu_percent: 100.0 * on_cpu,
            });
        }
        Noise::Refused => span,
        Noise::Tolerated => span * on_cpu.min(1.0),
    };
    let version = running.version().to_owned();
    Ok(Measurement {
        version,
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
    if sent == 0 || sent + received / 1_000 + IN_FLIGHT < received {
        return Err(format!("of {received} frames received {sent} were sent"));
    }
    for port in grown {
        if port.sent * 5 < sent * 2 {
            return Err(format!("the directions are not alike: {grown:?}"));
        }
    }
    rules(scenario, sent, before, after)?;
    if scenario.policy.tracks
        && let Some(connections) = after.connections
        && connections > scenario.traffic.connections.into()
    {
        return Err(format!("there are {connections} connections"));
    }
    Ok(sent)
}

/// Checks what the rules counted, if the contender has rules.
fn rules(
    scenario: &Scenario,
    sent: u64,
    before: &Evidence,
    after: &Evidence,
) -> Result<(), String> {
    if before.rules.is_empty() && after.rules.is_empty() {
        return Ok(());
    }
    let (mut dropped, mut forwarded, mut opened) = (0, 0, 0);
    for (&cookie, &count) in &after.rules {
        let grown = count.saturating_sub(before.rules.get(&cookie).copied().unwrap_or_default());
        match scenario.policy.role(cookie) {
            Some(Role::Drops) => dropped += grown,
            Some(Role::Forwards) => forwarded += grown,
            Some(Role::Opens) => opened += grown,
            Some(Role::Passes) => {}
            None => {
                return Err(format!(
                    "there is a rule with cookie {cookie} that nobody added"
                ));
            }
        }
    }
    if dropped > 0 {
        return Err(format!("{dropped} packets took a rule that drops"));
    }
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
