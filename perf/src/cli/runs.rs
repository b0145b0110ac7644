//! How programs are run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use weir_perf::compare::{Rounds, Row, compare};
use weir_perf::contender::{
    Contender, ForwardMode, Memory, Ovs, Placement, Settings, Testpmd, Weir, most_memory_mb,
};
use weir_perf::failure::Failure;
use weir_perf::machine::Machine;
use weir_perf::rate::{LEAST_ON_CPU, Noise, Plan};
use weir_perf::report::versions;
use weir_perf::scenario::Scenario;

/// What weir is called in tables.
pub(crate) const WEIR: &str = "weir";

/// How often a disturbed run is tried again.
const RETRIES: usize = 4;

/// How programs are run.
#[derive(Debug, Args)]
pub(crate) struct Runs {
    /// The weir program.
    #[arg(long, value_name = "PATH", default_value = "target/release/weir")]
    weir: PathBuf,
    /// How many rounds; by default 3, and 5 against an earlier version.
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds that each run is measured.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Seconds that each run warms up, or three turns of its captures if that takes longer.
    #[arg(long, default_value_t = 2.0)]
    warm_up: f64,
    /// The core that forwards.
    #[arg(long, default_value_t = 1)]
    worker_cpu: u16,
    /// The core for all else.
    #[arg(long, default_value_t = 0)]
    main_cpu: u16,
    /// What packet buffers lie in; by default huge pages if enough are free.
    #[arg(long)]
    memory: Option<Pages>,
    /// Print rates per second of time, and refuse runs during which others used the worker's
    /// core. Without it rates are per second of the worker's own processor time.
    #[arg(long)]
    strict: bool,
    /// Keep the results in DIR/DATE-MACHINE.
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Program {
    /// testpmd that only moves frames.
    TestpmdIo,
    /// testpmd that swaps addresses; only for l2-rewrite.
    TestpmdMacswap,
    /// Open vSwitch with DPDK.
    Ovs,
    /// weir.
    Weir,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Pages {
    /// Huge pages.
    Huge,
    /// Pages of 4 kB.
    Ordinary,
}

impl Runs {
    pub(crate) fn rows(
        &self,
        scenarios: &[Scenario],
        programs: &[Program],
        machine: &Machine,
    ) -> Result<Vec<Row>, Failure> {
        let contenders: Vec<Box<dyn Contender>> = programs
            .iter()
            .map(|&program| self.contender(program))
            .collect();
        self.compare(scenarios, &contenders, (machine, self.rounds()))
    }

    /// Rounds of programs beside each other.
    pub(crate) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(3)
    }

    /// Rounds of two versions of a program: smaller differences matter.
    pub(crate) fn rounds_against(&self) -> usize {
        self.rounds.unwrap_or(5)
    }

    pub(crate) fn compare(
        &self,
        scenarios: &[Scenario],
        contenders: &[Box<dyn Contender>],
        (machine, rounds): (&Machine, usize),
    ) -> Result<Vec<Row>, Failure> {
        let rounds = Rounds {
            count: rounds,
            retries: RETRIES,
            plan: self.plan(machine),
        };
        let placement = |scenario: &Scenario| self.placement(scenario, machine);
        compare(scenarios, contenders, placement, rounds, |line| {
            eprintln!("{line}");
        })
    }

    pub(crate) fn plan(&self, machine: &Machine) -> Plan {
        Plan {
            warm_up: Duration::from_secs_f64(self.warm_up),
            interval: Duration::from_secs_f64(self.seconds),
            noise: if self.strict {
                Noise::Refused
            } else {
                Noise::Tolerated
            },
            tsc_hz: machine.tsc_hz,
        }
    }

    pub(crate) fn placement(&self, scenario: &Scenario, machine: &Machine) -> Placement {
        Placement {
            worker_cpu: self.worker_cpu,
            main_cpu: self.main_cpu,
            both_forward: false,
            memory: match self.memory {
                Some(Pages::Huge) => Memory::HugePages,
                Some(Pages::Ordinary) => Memory::OrdinaryPages,
                None => machine.memory_for(most_memory_mb(scenario)),
            },
        }
    }

    /// weir as it was built last.
    pub(crate) fn weir(&self) -> Weir {
        weir(WEIR, &self.weir)
    }

    pub(crate) fn contender(&self, program: Program) -> Box<dyn Contender> {
        match program {
            Program::TestpmdIo => Box::new(Testpmd(ForwardMode::Io)),
            Program::TestpmdMacswap => Box::new(Testpmd(ForwardMode::MacSwap)),
            Program::Ovs => Box::new(Ovs),
            Program::Weir => Box::new(self.weir()),
        }
    }

    /// How a scenario is measured, in a line that changes with whatever its figures depend on.
    pub(crate) fn how(&self, programs: &[Program], commit: &str) -> String {
        let rounds = self.rounds();
        let Self {
            seconds,
            warm_up,
            strict,
            memory,
            ..
        } = self;
        format!(
            "{commit} {programs:?} rounds={rounds} seconds={seconds} warm_up={warm_up} \
             strict={strict} memory={memory:?}"
        )
    }

    /// Circumstances that a reader has to know.
    pub(crate) fn notes(
        &self,
        rows: &[Row],
        scenarios: &[Scenario],
        machine: &Machine,
    ) -> Vec<String> {
        let mut notes = versions(rows);
        let Self {
            warm_up,
            seconds,
            worker_cpu,
            main_cpu,
            ..
        } = self;
        notes.push(format!(
            "each run: {warm_up} s of warm-up or more, {seconds} s measured; worker on CPU \
             {worker_cpu}, all else on CPU {main_cpu}"
        ));
        let ordinary = scenarios
            .iter()
            .filter(|scenario| self.placement(scenario, machine).memory == Memory::OrdinaryPages);
        let names: Vec<&str> = ordinary.map(|scenario| scenario.name.as_str()).collect();
        notes.push(if names.is_empty() {
            "packet buffers in huge pages".to_owned()
        } else {
            format!("packet buffers in ordinary pages for {}", names.join(", "))
        });
        if !self.strict {
            let measured = rows.iter().flat_map(|row| &row.rounds);
            let least = measured.map(|(_, one)| one.on_cpu).fold(1.0, f64::min);
            let disturbed = if least < LEAST_ON_CPU {
                "; others used the machine meanwhile, and its caches were not its own"
            } else {
                ""
            };
            notes.push(format!(
                "rates are per second of the worker's processor time, which it had for {:.1} % of \
                 the time or more{disturbed}",
                100.0 * least
            ));
        }
        notes
    }
}

/// A version of weir.
pub(crate) fn weir(name: &str, program: &Path) -> Weir {
    Weir {
        name: name.to_owned(),
        // The program runs elsewhere than where it was named.
        program: std::path::absolute(program).unwrap_or_else(|_| program.to_owned()),
        settings: Settings::default(),
    }
}
