//! What it costs to look at a million connections while packets pass: dumps beside forwarding, the
//! flush of a small zone among them, and what Prometheus asks for.
//!
//! What a dump costs an lcore is by the lcore's own account: the cycles that it spent on questions
//! of the management thread, of all that passed while dumps went on.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use weir_config::control::{Frame, Request, Verb, call};
use weir_packet::text;

use crate::beside::Beside;
use crate::compare::Spread;
use crate::contender::{Placement, Weir};
use crate::failure::Failure;
use crate::rate::{Plan, steady, steady_while};
use crate::scenario::Scenario;
use crate::site::{Run, Site};
use crate::targets::{Bound, Verdict};

/// Connections of the zone that is flushed.
const FEW: u16 = 10;
/// Their zone, which the policy does not use.
const ZONE: &str = "zone=7";
/// How often it is flushed in each round.
const FLUSHES: usize = 20;
/// How often metrics are asked for in each round.
const SCRAPES: usize = 10;
/// The most that one may take of an lcore, in milliseconds: a hundredth, if one is made every 15 s.
const SCRAPE_ON_LCORE: f64 = 150.0;

/// What looking cost.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// Connections that a dump told, the least over all dumps.
    pub connections: u64,
    /// The rate beside dumps in parts of that without, by round.
    pub ratios: Vec<f64>,
    /// The rate without dumps, in parts of that of the first round.
    pub quiet: Vec<f64>,
    /// Per cent of the lcore's cycles that dumps took, by round.
    pub shares: Vec<f64>,
    /// Milliseconds that a flush of a zone of [`FEW`] took, from the command to its answer, all of
    /// them.
    pub flushes: Vec<f64>,
    /// Milliseconds of these on the lcore.
    pub flushes_on_lcore: Vec<f64>,
    /// Milliseconds until all metrics were told, all of them.
    pub scrapes: Vec<f64>,
    /// Milliseconds of these on the lcore.
    pub scrapes_on_lcore: Vec<f64>,
}

/// Measures `weir` in `scenario`, `rounds` times quiet and beside dumps in turn.
///
/// # Errors
/// If it does not run, or does not tell every connection.
pub fn measure(
    weir: &Weir,
    scenario: &Scenario,
    placement: &Placement,
    (plan, rounds): (&Plan, usize),
    mut progress: impl FnMut(&str),
) -> Result<Observation, Failure> {
    let site = Site::of(scenario, placement)?;
    let Run { mut running, home } = site.start(weir, "run", plan)?;
    let socket = Weir::socket(&home);
    let mut seen = Observation {
        connections: u64::MAX,
        ..Observation::default()
    };
    let mut first = None;
    for round in 1..=rounds {
        let quiet = steady(&mut *running, scenario, plan)?.mpps;
        let mut dumps = Ok(Dumps::default());
        let busy = steady_while(&mut *running, scenario, plan, || {
            let socket = socket.clone();
            Beside::start(placement.main_cpu, &mut dumps, move |stop| {
                look(&socket, stop)
            })
        })?
        .mpps;
        let dumps = dumps?;
        let wanted = u64::from(scenario.traffic.connections);
        if dumps.least < wanted {
            let message = format!("a dump told {} connections of {wanted}", dumps.least);
            return Err(Failure::Unproven(message));
        }
        let share = 100.0 * dumps.answering as f64 / dumps.cycles as f64;
        progress(&format!(
            "{}, round {round}: {quiet:.2} Mpps quiet, {busy:.2} beside {} dumps of {} connections \
             that took {:.1} s each and {share:.2} % of the lcore's cycles",
            scenario.name,
            dumps.made,
            dumps.least,
            dumps.span.as_secs_f64() / dumps.made as f64,
        ));
        seen.connections = seen.connections.min(dumps.least);
        seen.ratios.push(busy / quiet);
        seen.quiet.push(quiet / *first.get_or_insert(quiet));
        seen.shares.push(share);
        let hz = plan.tsc_hz;
        for _ in 0..FLUSHES {
            let (whole, cycles) = flush_few(&socket)?;
            seen.flushes.push(1e3 * whole.as_secs_f64());
            seen.flushes_on_lcore.push(1e3 * cycles as f64 / hz);
        }
        let flush = Spread::of(seen.flushes.iter().copied());
        progress(&format!(
            "{}, round {round}: a zone of {FEW} flushed in {:.3} ms",
            scenario.name,
            flush.map_or(f64::NAN, |flush| flush.median),
        ));
        for _ in 0..SCRAPES {
            let (whole, cycles) = timed(&socket, Verb::Metrics)?;
            seen.scrapes.push(1e3 * whole.as_secs_f64());
            seen.scrapes_on_lcore.push(1e3 * cycles as f64 / hz);
        }
        let scrape = Spread::of(seen.scrapes.iter().copied());
        progress(&format!(
            "{}, round {round}: metrics told in {:.3} ms",
            scenario.name,
            scrape.map_or(f64::NAN, |scrape| scrape.median),
        ));
    }
    Ok(seen)
}

impl Observation {
    /// Beside the targets. What is within the noise is what quiet rounds differ by, too.
    pub fn verdicts(&self, scenario: &Scenario) -> Vec<Verdict> {
        let name = &scenario.name;
        let verdict = |what: &str, bound, values: &[f64], digits| Verdict {
            what: format!("{name}, {what}"),
            bound,
            measured: Spread::of(values.iter().copied()),
            digits,
        };
        let least = self.quiet.iter().copied().fold(1.0, f64::min);
        vec![
            verdict(
                "full dump, % of the lcore's cycles",
                Bound::AtMost(2.0),
                &self.shares,
                2,
            ),
            verdict(
                "beside dumps, times quiet",
                Bound::AtLeast(least.min(0.98)),
                &self.ratios,
                3,
            ),
            verdict(
                "flush of a zone of 10, ms until answered",
                Bound::AtMost(1.0),
                &self.flushes,
                3,
            ),
            verdict(
                "flush of a zone of 10, ms on the lcore",
                Bound::AtMost(1.0),
                &self.flushes_on_lcore,
                4,
            ),
            verdict(
                "metrics asked for, ms until told",
                Bound::AtMost(1e3),
                &self.scrapes,
                1,
            ),
            verdict(
                "metrics asked for, ms on the lcore",
                Bound::AtMost(SCRAPE_ON_LCORE),
                &self.scrapes_on_lcore,
                3,
            ),
        ]
    }
}

/// Dumps that were made.
#[derive(Clone, Copy, Debug, Default)]
struct Dumps {
    made: u64,
    /// Connections that one told, the least.
    least: u64,
    span: Duration,
    /// The lcore's cycles meanwhile, and those spent on answers.
    cycles: u64,
    answering: u64,
}

/// Dumps all connections again and again until `stop`, at least once.
fn look(socket: &Path, stop: &AtomicBool) -> Result<Dumps, Failure> {
    let begun = Instant::now();
    let (cycles, answering) = lcore_cycles(socket)?;
    let mut dumps = Dumps {
        least: u64::MAX,
        ..Dumps::default()
    };
    while dumps.made == 0 || !stop.load(Ordering::Relaxed) {
        dumps.least = dumps.least.min(dumped(socket, &[])?);
        dumps.made += 1;
    }
    let (cycles_after, answering_after) = lcore_cycles(socket)?;
    dumps.span = begun.elapsed();
    dumps.cycles = cycles_after - cycles;
    dumps.answering = answering_after - answering;
    Ok(dumps)
}

/// Fills the zone and flushes it; how long that took, and how many cycles of the lcore.
fn flush_few(socket: &Path) -> Result<(Duration, u64), Failure> {
    let packets = (1..=FEW).map(|port| {
        let frame: weir_packet::VecFrame =
            text::frame(&format!("udp 198.51.100.1:{port} > 198.51.100.2:9"));
        let hex: String = frame
            .bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("in_port=controller,packet={hex},actions=ct(commit,{ZONE})")
    });
    let packets = packets.collect();
    ask(socket, Verb::PacketOut { packets }, |_| ())?;
    let there = dumped(socket, &[ZONE])?;
    let filter = vec![ZONE.to_owned()];
    let took = timed(socket, Verb::FlushConntrack { filter })?;
    let left = dumped(socket, &[ZONE])?;
    if (there, left) != (FEW.into(), 0) {
        let message = format!("of {there} connections in a zone {left} are left");
        return Err(Failure::Unproven(message));
    }
    Ok(took)
}

/// How long a question took until it was answered, and how many cycles of the lcore.
fn timed(socket: &Path, verb: Verb) -> Result<(Duration, u64), Failure> {
    let (_, before) = lcore_cycles(socket)?;
    let begun = Instant::now();
    ask(socket, verb, |_| ())?;
    let span = begun.elapsed();
    let (_, after) = lcore_cycles(socket)?;
    Ok((span, after - before))
}

/// How many connections a dump tells.
fn dumped(socket: &Path, filter: &[&str]) -> Result<u64, Failure> {
    let verb = Verb::DumpConntrack {
        more: false,
        statistics: false,
        json: false,
        filter: filter.iter().map(|word| (*word).to_owned()).collect(),
    };
    let mut lines = 0;
    ask(socket, verb, |frame| {
        if let Frame::Lines(some) = frame {
            lines += some.len() as u64;
        }
    })?;
    Ok(lines)
}

/// All cycles of the lcore, and those that it spent on answers.
fn lcore_cycles(socket: &Path) -> Result<(u64, u64), Failure> {
    let mut cycles = (0, 0);
    ask(socket, Verb::PmdStatsShow, |frame| {
        if let Frame::Lcores(rows) = frame {
            let all = rows.iter().map(|row| row.busy_cycles + row.idle_cycles);
            cycles = (all.sum(), rows.iter().map(|row| row.answer_cycles).sum());
        }
    })?;
    Ok(cycles)
}

fn ask(socket: &Path, verb: Verb, mut hear: impl FnMut(Frame)) -> Result<(), Failure> {
    let request = Request { bridge: None, verb };
    let failed = |error| Failure::Program(format!("weir does not answer: {error}"));
    for frame in call(socket, request).map_err(failed)? {
        hear(frame.map_err(failed)?);
    }
    Ok(())
}
