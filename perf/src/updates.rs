//! What changes of the policy cost: how long files of flows take to load, how long one flow-mod among
//! a million takes until it is published and until the lcore obeys, and what a thousand of them in a
//! second leave of the traffic, in a table that no packet passes and in one that all pass, for addresses that
//! nobody has, for such as packets have, and for registers that stand otherwise for all packets; and what is left while `reload` adds a port and removes it again,
//! one of the two each second.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use weir_config::control::{Frame, Request, Verb, call};
use weir_config::file::NamedText;
use weir_config::show::PublicationsRow;

use crate::beside::{Aside, Beside};
use crate::compare::Spread;
use crate::contender::{Placement, Running, Weir};
use crate::failure::Failure;
use crate::flow_mods::{Rules, churn};
use crate::processor::ThreadTimes;
use crate::rate::{Plan, steady, steady_while};
use crate::scenario::Scenario;
use crate::scenario::policy::NINE_TABLES;
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
    /// The same where rules ask for registers, with those of other ports.
    pub registers: Vec<f64>,
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
    let tables = in_registers(scenario);
    let second = Site::of(&tables, placement)?;
    let mut seen = Updates::default();
    for round in 1..=rounds {
        let name = format!("run{round}");
        let Run { mut running, home } = second.start(weir, &name, plan)?;
        let aside = Aside::on(placement.main_cpu);
        let socket = Weir::socket(&home);
        let (quiet, busy) = churned(
            &mut *running,
            &tables,
            (plan, placement),
            &socket,
            Rules::Registers,
        )?;
        drop((running, aside));
        progress(&format!(
            "{}, round {round}: {quiet:.2} Mpps quiet, {busy:.2} with a flow-mod per ms for registers of others",
            tables.name
        ));
        seen.registers.push(busy / quiet);
        let Run { mut running, home } = site.start(weir, &name, plan)?;
        let _aside = Aside::on(placement.main_cpu);
        let socket = Weir::socket(&home);
        let mut watch = Watch::begin(&socket, running.process())?;
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
                    Rules::Registers => unreachable!("this policy has none"),
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
        progress(&watch.tell(&format!("round {round}, under traffic"))?);
        for ((flows, _), taken) in FILES.iter().zip(&mut seen.loads) {
            let seconds = load(&socket, *flows)?;
            progress(&format!(
                "round {round}: {flows} flows loaded in {seconds:.2} s"
            ));
            taken.push(seconds);
        }
        progress(&watch.tell(&format!("round {round}, loads"))?);
        let before = publications(&socket)?;
        let first = seen.singles.len();
        for number in 0..SINGLE {
            let begun = Instant::now();
            let flow = format!(
                "table=201,priority=9,ip,nw_src={},actions=drop",
                address(number)
            );
            ask(&socket, Verb::AddFlow { flow })?;
            seen.singles.push(1e6 * begun.elapsed().as_secs_f64());
        }
        let [half, most, longest] =
            [0.5, 0.99, 1.0].map(|part| quantile(&seen.singles[first..], part));
        progress(&format!(
            "round {round}: single flow-mods are answered after {half:.1} us, 99 of 100 within {most:.1} us, \
             all within {longest:.1} us"
        ));
        progress(&watch.tell(&format!("round {round}, single flow-mods"))?);
        let after = publications(&socket)?;
        let measured = (after.grace_count - before.grace_count).max(1) as f64;
        let mean = (after.grace_sum_ns - before.grace_sum_ns) as f64 / measured / 1e3;
        let longest = after.grace_longest_ns as f64 / 1e3;
        seen.grace.push((mean, longest));
    }
    Ok(seen)
}

/// The same traffic, with a policy whose tables ask for registers that were written on the way.
fn in_registers(scenario: &Scenario) -> Scenario {
    let policy = &scenario.policy.name;
    Scenario {
        name: scenario.name.replacen(&**policy, &NINE_TABLES.name, 1),
        policy: NINE_TABLES,
        ..scenario.clone()
    }
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

/// What `part` of the values is at most.
fn quantile(values: &[f64], part: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    let count = (values.len() as f64 * part).ceil() as usize;
    values
        .get(count.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}

/// Looks after a switch how soon its lcore obeys, and whether that has its core for itself.
struct Watch<'a> {
    socket: &'a Path,
    process: u32,
    publications: PublicationsRow,
    threads: ThreadTimes,
}

impl<'a> Watch<'a> {
    fn begin(socket: &'a Path, process: u32) -> Result<Self, Failure> {
        Ok(Self {
            socket,
            process,
            publications: publications(socket)?,
            threads: ThreadTimes::of(process)?,
        })
    }

    /// Tells what has been since it was asked last.
    fn tell(&mut self, what: &str) -> Result<String, Failure> {
        let now = Self::begin(self.socket, self.process)?;
        let waited = now.threads.busiest_since(&self.threads).waited;
        let text = obeyed(&self.publications, &now.publications);
        *self = now;
        let waited = 1e3 * waited.as_secs_f64();
        Ok(format!(
            "{what}: {text}; it waited {waited:.1} ms for its core"
        ))
    }
}

/// How soon the lcore obeyed between two looks, in words.
fn obeyed(before: &PublicationsRow, after: &PublicationsRow) -> String {
    let count = after.grace_count - before.grace_count;
    let mean = (after.grace_sum_ns - before.grace_sum_ns) as f64 / 1e3 / count.max(1) as f64;
    let longest = after.grace_longest_ns as f64 / 1e3;
    let earlier = |bound: u64| {
        let same = before.grace.iter().find(|(other, _)| *other == bound);
        same.map_or(0, |(_, count)| *count)
    };
    let within = |part: f64| {
        let least = count as f64 * part;
        let mut classes = after.grace.iter();
        let class = classes.find(|(bound, count)| (count - earlier(*bound)) as f64 >= least);
        class.map_or_else(
            || "longer than all classes".to_owned(),
            |(bound, _)| format!("within {} us", bound / 1_000),
        )
    };
    let [half, most, all] = [0.5, 0.99, 1.0].map(within);
    format!(
        "{count} publications, the lcore obeys half of them {half}, 99 of 100 {most}, all {all}; after \
         {mean:.1} us on average, and so far {longest:.1} us at most"
    )
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
                format!(
                    "{}, a flow-mod per ms for registers of others, times quiet",
                    in_registers(scenario).name
                ),
                Bound::AtLeast(0.8),
                &self.registers,
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
