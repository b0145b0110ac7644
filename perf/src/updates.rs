//! What changes of the policy cost: how long files of flows take to load, how long one flow-mod among
//! a million takes until it is published and until the lcore obeys, and what a thousand of them in a
//! second leave of the traffic, in a table that no packet passes and in one that all pass, for addresses that
//! nobody has and for such as packets have; and what is left while `reload` adds a port and removes it again,
//! one of the two each second.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use weir_config::control::{Frame, Request, Verb, call};
use weir_config::file::NamedText;
use weir_config::show::PublicationsRow;

use crate::beside::Beside;
use crate::compare::Spread;
use crate::contender::{Placement, Running, Weir};
use crate::failure::Failure;
use crate::flow_mods::{Rules, churn};
use crate::rate::{Plan, steady, steady_while};
use crate::scenario::Scenario;
use crate::site::{Run, Site};
use crate::targets::{Bound, Verdict};

#[cfg(test)]
mod tests;

/// Files that are loaded: how many flows, in how many seconds at most.
const FILES: [(u32, f64); 2] = [(100_000, 1.0), (1_000_000, 10.0)];
/// Flow-mods that are timed one by one.
const SINGLE: u32 = 1_000;

/// What changes cost.
#[derive(Clone, Debug, Default)]
pub struct Updates {
    /// Seconds that each of [`FILES`] took from the request to the answer.
    pub loads: [Vec<f64>; FILES.len()],
    /// Microseconds of each single flow-mod among the flows of the last file, from the request to
    /// the answer: socket, parser and publication.
    pub singles: Vec<f64>,
    /// Microseconds from the publication until the lcore obeyed: mean and longest of a round.
    pub grace: Vec<(f64, f64)>,
    /// The rate with a flow-mod per millisecond in parts of that without, in a table that no packet
    /// passes.
    pub apart: Vec<f64>,
    /// The same in a table that every packet passes, for addresses that nobody has.
    pub passed: Vec<f64>,
    /// The same for addresses and ports that are in use, but not together.
    pub among: Vec<f64>,
    /// The same while a port comes or goes each second.
    pub reloaded: Vec<f64>,
}

/// Measures `weir` in `scenario`, a firewall, in rounds.
///
/// # Errors
/// If it does not run, or refuses a flow.
pub fn measure(
    weir: &Weir,
    scenario: &Scenario,
    placement: &Placement,
    (plan, rounds): (&Plan, usize),
    mut progress: impl FnMut(&str),
) -> Result<Updates, Failure> {
    let site = Site::of(scenario, placement)?;
    let mut seen = Updates::default();
    for round in 1..=rounds {
        let name = format!("run{round}");
        let Run { mut running, home } = site.start(weir, &name, plan)?;
        let socket = Weir::socket(&home);
        let mut beside = |rules| -> Result<f64, Failure> {
            let (quiet, busy) =
                churned(&mut *running, scenario, (plan, placement), &socket, rules)?;
            progress(&format!(
                "{}, round {round}: {quiet:.2} Mpps quiet, {busy:.2} with a flow-mod per ms in a table \
                 that {} passes",
                scenario.name,
                match rules {
                    Rules::Apart => "no packet",
                    Rules::Passed => "every packet",
                    Rules::Among => "every packet, with values as packets have,",
                }
            ));
            Ok(busy / quiet)
        };
        seen.apart.push(beside(Rules::Apart)?);
        seen.passed.push(beside(Rules::Passed)?);
        seen.among.push(beside(Rules::Among)?);
        let (quiet, busy) = while_reloading(&mut *running, scenario, (plan, placement), &home)?;
        progress(&format!(
            "{}, round {round}: {quiet:.2} Mpps quiet, {busy:.2} while a port comes or goes each second",
            scenario.name
        ));
        seen.reloaded.push(busy / quiet);
        for ((flows, _), taken) in FILES.iter().zip(&mut seen.loads) {
            let seconds = load(&socket, *flows)?;
            progress(&format!(
                "round {round}: {flows} flows loaded in {seconds:.2} s"
            ));
            taken.push(seconds);
        }
        let before = publications(&socket)?;
        for number in 0..SINGLE {
            let begun = Instant::now();
            let flow = format!(
                "table=201,priority=9,ip,nw_src={},actions=drop",
                address(number)
            );
            ask(&socket, Verb::AddFlow { flow })?;
            seen.singles.push(1e6 * begun.elapsed().as_secs_f64());
        }
        let after = publications(&socket)?;
        let measured = (after.grace_count - before.grace_count).max(1) as f64;
        let mean = (after.grace_sum_ns - before.grace_sum_ns) as f64 / measured / 1e3;
        let longest = after.grace_longest_ns as f64 / 1e3;
        progress(&format!(
            "round {round}: the lcore obeys after {mean:.1} us, {longest:.1} us at most"
        ));
        seen.grace.push((mean, longest));
    }
    Ok(seen)
}

/// The rate without and with changes.
fn churned(
    running: &mut dyn Running,
    scenario: &Scenario,
    (plan, placement): (&Plan, &Placement),
    socket: &Path,
    rules: Rules,
) -> Result<(f64, f64), Failure> {
    let quiet = steady(running, scenario, plan)?.mpps;
    let mut changed = Err(Failure::Program("nothing was changed".to_owned()));
    let busy = steady_while(running, scenario, plan, || {
        let socket = socket.to_owned();
        let work = move |stop: &AtomicBool| churn(&socket, rules, stop);
        Beside::start(placement.main_cpu, &mut changed, work)
    })?;
    changed?.enough().map_err(Failure::Unproven)?;
    Ok((quiet, busy.mpps))
}

/// The rate without and with ports that come and go.
fn while_reloading(
    running: &mut dyn Running,
    scenario: &Scenario,
    (plan, placement): (&Plan, &Placement),
    home: &Path,
) -> Result<(f64, f64), Failure> {
    let quiet = steady(running, scenario, plan)?.mpps;
    let mut changed = Err(Failure::Program("nothing was reloaded".to_owned()));
    let busy = steady_while(running, scenario, plan, || {
        let home = home.to_owned();
        let work = move |stop: &AtomicBool| come_and_go(&home, stop);
        Beside::start(placement.main_cpu, &mut changed, work)
    })?;
    let reloads = changed?;
    if (reloads as f64) < plan.interval.as_secs_f64().floor() {
        let message = format!("{reloads} reloads in {:?}", plan.interval);
        return Err(Failure::Unproven(message));
    }
    Ok((quiet, busy.mpps))
}

/// Adds a port and removes it again by `reload`, one of the two each second; returns how many there were.
fn come_and_go(home: &Path, stop: &AtomicBool) -> Result<u64, Failure> {
    const PERIOD: Duration = Duration::from_secs(1);
    let (config, socket) = (Weir::config(home), Weir::socket(home));
    let without = fs::read_to_string(&config).map_err(Failure::path(&config))?;
    let with =
        format!("{without}\n[[port]]\nname = \"guest\"\nid = 77\nvdev = \"net_null77,no-rx=1\"\n");
    let begun = Instant::now();
    let mut reloads = 0;
    while !stop.load(Ordering::Relaxed) || reloads % 2 == 1 {
        let text = if reloads % 2 == 0 { &with } else { &without };
        fs::write(&config, text).map_err(Failure::path(&config))?;
        let verb = Verb::Reload {
            files: None,
            dry_run: false,
            exact: false,
            confirm: None,
        };
        let frames = ask(&socket, verb)?;
        let failed = frames.iter().find_map(|frame| match frame {
            Frame::Failed(failure) => Some(format!("{failure:?}")),
            _ => None,
        });
        if let Some(failure) = failed {
            return Err(Failure::Program(failure));
        }
        reloads += 1;
        let due = begun + PERIOD * u32::try_from(reloads).unwrap_or(u32::MAX);
        while !stop.load(Ordering::Relaxed) && Instant::now() < due {
            thread::sleep(PERIOD / 100);
        }
    }
    Ok(reloads)
}

/// Loads so many flows as one file; returns the seconds until the answer.
fn load(socket: &Path, flows: u32) -> Result<f64, Failure> {
    let lines = (0..flows).map(|number| {
        let (priority, dst) = (10 + number % 7, number % 250);
        format!(
            "table=201,priority={priority},ip,nw_src={},nw_dst=192.168.{dst}.1,actions=output:2\n",
            address(number)
        )
    });
    let file = NamedText {
        name: "many.flows".to_owned(),
        text: lines.collect(),
    };
    let begun = Instant::now();
    ask(socket, Verb::AddFlows { file })?;
    Ok(begun.elapsed().as_secs_f64())
}

fn address(number: u32) -> std::net::Ipv4Addr {
    std::net::Ipv4Addr::from_bits(0x0a00_0000 | number)
}

fn publications(socket: &Path) -> Result<PublicationsRow, Failure> {
    let frames = ask(socket, Verb::Show)?;
    let row = frames.into_iter().find_map(|frame| match frame {
        Frame::Switch(switch) => Some(switch.publications),
        _ => None,
    });
    row.ok_or_else(|| Failure::Program("weir does not show itself".to_owned()))
}

fn ask(socket: &Path, verb: Verb) -> Result<Vec<Frame>, Failure> {
    let request = Request { bridge: None, verb };
    let failed = |error| Failure::Program(format!("weir does not answer: {error}"));
    let frames = call(socket, request).map_err(failed)?;
    frames.map(|frame| frame.map_err(failed)).collect()
}

impl Updates {
    /// Beside the targets.
    pub fn verdicts(&self, scenario: &Scenario) -> Vec<Verdict> {
        let verdict = |what: String, bound, values: &[f64], digits| Verdict {
            what,
            bound,
            measured: Spread::of(values.iter().copied()),
            digits,
        };
        let loads = FILES.iter().zip(&self.loads).map(|((flows, most), taken)| {
            verdict(
                format!("{flows} flows loaded, s"),
                Bound::AtMost(*most),
                taken,
                2,
            )
        });
        let mut verdicts: Vec<_> = loads.collect();
        let [mean, longest] = [0, 1].map(|at| {
            let values = self
                .grace
                .iter()
                .map(|&(mean, longest)| [mean, longest][at]);
            values.collect::<Vec<_>>()
        });
        let name = &scenario.name;
        verdicts.extend([
            verdict(
                "a flow-mod among a million, us until answered".to_owned(),
                Bound::AtMost(100.0),
                &self.singles,
                1,
            ),
            verdict(
                "the same, us until obeyed, mean".to_owned(),
                Bound::AtMost(1e3),
                &mean,
                1,
            ),
            verdict(
                "publications, us until obeyed, longest".to_owned(),
                Bound::AtMost(1e3),
                &longest,
                1,
            ),
            verdict(
                format!("{name}, a flow-mod per ms in a table not passed, times quiet"),
                Bound::AtLeast(0.95),
                &self.apart,
                3,
            ),
            verdict(
                format!("{name}, a flow-mod per ms in a table that all pass, times quiet"),
                Bound::AtLeast(0.8),
                &self.passed,
                3,
            ),
            verdict(
                format!("{name}, the same with values as packets have, times quiet"),
                Bound::AtLeast(0.8),
                &self.among,
                3,
            ),
            verdict(
                format!("{name}, a port comes or goes each second, times quiet"),
                Bound::AtLeast(0.95),
                &self.reloaded,
                3,
            ),
        ]);
        verdicts
    }
}
