//! What a flood at one port leaves of established traffic at two others, on one lcore.
//!
//! A generator on the other core sends at the third port as fast as it can, or at a rate: first
//! packets of established connections, then packets that all open one. Both cost what they cost;
//! what counts is what the second leaves of the traffic between the first two ports, beside what
//! the first leaves. Or it makes the [attack on caches](tuple_space), at given rates.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::compare::Spread;
use crate::contender::{Contender, Placement, memif};
use crate::daemon::{Daemon, Launch};
use crate::failure::Failure;
use crate::rate::{Plan, steady};
use crate::scenario::{Scenario, policy};
use crate::site::{Run, Site};
use crate::targets::{Bound, Verdict};

mod tuple_space;

pub use tuple_space::Aim;

/// A generator that is not stopped ends by itself.
const LONGEST: Duration = Duration::from_secs(600);

/// What the generator sends: a thousand established connections, both directions.
const ORDINARY: &str = "\
1: udp 172.16.0.1:1024 > 198.18.0.1:53 len=12 | sport=1024..2023
1: udp 198.18.0.1:53 > 172.16.0.1:1024 len=12 | dport=1024..2023
";

/// SYNs that nobody answers, from addresses that nobody has.
const SYNS: &str = "\
1: tcp 172.16.0.1:1024 > 198.18.0.1:80 S | src=172.16.0.1..172.31.255.254 sport=1024..65535
";

/// What floods left.
#[derive(Clone, Debug, Default)]
pub struct Left {
    /// The rate of established traffic under a flood of packets of established connections, in
    /// parts of that without a flood, by round.
    pub ordinary: Vec<f64>,
    /// The same under a flood of SYNs.
    pub syns: Vec<f64>,
}

/// Measures `contender` on the firewall of `scenario`, `rounds` times without a flood and with
/// either in turn; `rate`: packets per second of a flood, `None`: as many as the other core can
/// send.
///
/// # Errors
/// If it does not run, or is not flooded.
pub fn measure(
    contender: &dyn Contender,
    scenario: &Scenario,
    placement: &Placement,
    rate: Option<u64>,
    (plan, rounds): (&Plan, usize),
    mut progress: impl FnMut(&str),
) -> Result<Left, Failure> {
    let scenario = &Scenario {
        policy: policy::FLOODED,
        flooded: true,
        ..scenario.clone()
    };
    let site = Site::of(scenario, placement)?;
    let mut left = Left::default();
    for round in 1..=rounds {
        let name = format!("run{round}");
        let Run { mut running, home } = site.start(contender, &name, plan)?;
        let quiet = steady(&mut *running, scenario, plan)?.mpps;
        let mut flooded = |name, templates| -> Result<f64, Failure> {
            let cpu = placement.main_cpu;
            let mut generator = Generator::start(&home, (name, templates), cpu, rate)?;
            generator.taken()?;
            thread::sleep(plan.warm_up);
            let before = generator.taken()?;
            let beside = steady(&mut *running, scenario, plan)?.mpps;
            let taken = generator.rate_since(before)?;
            progress(&format!(
                "{} {}, round {round}: {quiet:.2} Mpps quiet, {beside:.2} beside {taken:.3} Mpps \
                 of {name}",
                contender.name(),
                scenario.name,
            ));
            Ok(beside / quiet)
        };
        left.ordinary
            .push(flooded("established connections", ORDINARY)?);
        left.syns.push(flooded("spoofed SYNs", SYNS)?);
    }
    Ok(left)
}

/// What the attack left.
#[derive(Clone, Debug)]
pub struct Spared {
    /// Packets per second of the attack.
    pub rate: u64,
    /// The rate of established traffic, in parts of that beside a generator that sends next to nothing,
    /// by round.
    pub left: Vec<f64>,
}

/// Packets per second of a generator that is there, and takes its share of the machine, but attacks nobody.
const CALM: u64 = 10;

/// So many packets make every mask that the attack can make.
const WHOLE_ATTACK: f64 = 8_192.0;

/// Measures what the attack on `aim` leaves of `scenario`'s traffic in `contender`, at each of `rates`.
///
/// # Errors
/// If it does not run, or is not attacked.
pub fn attack(
    contender: &dyn Contender,
    (scenario, aim): (&Scenario, Aim),
    placement: &Placement,
    rates: &[u64],
    (plan, rounds): (&Plan, usize),
    mut progress: impl FnMut(&str),
) -> Result<Vec<Spared>, Failure> {
    let scenario = &Scenario {
        policy: aim.policy(),
        flooded: true,
        ..scenario.clone()
    };
    let site = Site::of(scenario, placement)?;
    let templates = aim.templates();
    let spared = |&rate| Spared {
        rate,
        left: Vec::new(),
    };
    let mut all: Vec<Spared> = rates.iter().map(spared).collect();
    for round in 1..=rounds {
        let name = format!("attack{round}");
        let Run { mut running, home } = site.start(contender, &name, plan)?;
        let mut beside = |rate: u64| -> Result<(f64, f64), Failure> {
            let what = (aim.name(), &*templates);
            let mut generator = Generator::start(&home, what, placement.main_cpu, Some(rate))?;
            generator.taken()?;
            if rate > CALM {
                let whole = Duration::from_secs_f64(WHOLE_ATTACK / rate as f64);
                thread::sleep(plan.warm_up.max(whole));
            }
            let before = generator.taken()?;
            let mpps = steady(&mut *running, scenario, plan)?.mpps;
            Ok((mpps, generator.rate_since(before)? * 1e6))
        };
        let (calm, _) = beside(CALM)?;
        for spared in &mut all {
            let (mpps, taken) = beside(spared.rate)?;
            spared.left.push(mpps / calm);
            progress(&format!(
                "{}, {}, round {round}: {calm:.2} Mpps, {mpps:.2} beside {taken:.0} packets a second of \
                 {} that it took",
                contender.name(),
                aim.name(),
                spared.rate,
            ));
        }
    }
    Ok(all)
}

impl Spared {
    /// Beside the target.
    pub fn verdict(&self, contender: &str, aim: Aim) -> Verdict {
        Verdict {
            what: format!(
                "{contender}, {}: left by {} packets a second",
                aim.name(),
                self.rate
            ),
            bound: Bound::AtLeast(0.8),
            measured: Spread::of(self.left.iter().copied()),
            digits: 3,
        }
    }
}

impl Left {
    /// Beside the target.
    pub fn verdict(&self, contender: &str, scenario: &Scenario) -> Verdict {
        let ratios = self.syns.iter().zip(&self.ordinary);
        Verdict {
            what: format!(
                "{contender}, {}: left by SYNs, times that left by ordinary packets",
                scenario.name
            ),
            bound: Bound::AtLeast(0.9),
            measured: Spread::of(ratios.map(|(syns, ordinary)| syns / ordinary)),
            digits: 3,
        }
    }
}

/// `weir-perf generate` on the core for all else.
struct Generator {
    daemon: Daemon,
    log: PathBuf,
}

impl Generator {
    fn start(
        home: &Path,
        (name, templates): (&str, &str),
        cpu: u16,
        rate: Option<u64>,
    ) -> Result<Self, Failure> {
        let file = home.join(format!("{name}.txt"));
        fs::write(&file, templates).map_err(Failure::path(&file))?;
        let seconds = LONGEST.as_secs().to_string();
        let mut arguments: Vec<String> = vec![
            "generate".to_owned(),
            file.display().to_string(),
            format!("--port={}", memif(home, "client")),
            format!("--seconds={seconds}"),
            format!("--cpu={cpu}"),
        ];
        arguments.extend(rate.map(|rate| format!("--rate={rate}")));
        let program = std::env::current_exe().map_err(Failure::io("weir-perf"))?;
        let launch = Launch {
            program: &program,
            dir: home,
            environment: &[],
            cpu: Some(cpu),
        };
        let daemon = launch.start(&arguments)?;
        let log = daemon.log().to_owned();
        Ok(Self { daemon, log })
    }

    /// How many frames the switch has taken, as soon as the generator says so again, and when it did.
    fn taken(&mut self) -> Result<(Instant, u64), Failure> {
        let said = || {
            let log = fs::read_to_string(&self.log).ok()?;
            last_count(&log)
        };
        let before = said();
        let count = self.daemon.wait_until("sending", || {
            let now = said();
            if now > before { now } else { None }
        })?;
        Ok((Instant::now(), count))
    }

    /// Millions of frames per second since then.
    fn rate_since(&mut self, (then, before): (Instant, u64)) -> Result<f64, Failure> {
        let (now, after) = self.taken()?;
        let span = now.duration_since(then).as_secs_f64();
        Ok((after - before) as f64 / span / 1e6)
    }
}

/// The frames sent by the last line of a generator's progress.
fn last_count(log: &str) -> Option<u64> {
    log.lines().rev().find_map(|line| {
        let (sent, _) = line.split_once(" sent, ")?;
        sent.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::read;

    #[test]
    fn floods_are_templates() {
        for flood in [ORDINARY, SYNS] {
            assert!(read("flood", flood, 1).is_ok());
        }
    }

    #[test]
    fn the_last_count_is_the_newest() {
        let log = "EAL: something\n100 sent, 90 received\n250 sent, 200 received\n";
        assert_eq!(last_count(log), Some(250));
        assert_eq!(last_count("EAL: something\n"), None);
    }
}
