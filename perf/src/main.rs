//! `cargo run --release -p weir-perf -- COMMAND`

use std::alloc::System;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use weir_perf::captures::Direction;
use weir_perf::compare::{Rounds, Row, compare, make_dir};
use weir_perf::contender::{
    Contender, ForwardMode, Memory, Ovs, Placement, Testpmd, Weir, most_memory_mb,
};
use weir_perf::failure::Failure;
use weir_perf::machine::{Machine, today};
use weir_perf::micro::{self, Caches, Line, Meter};
use weir_perf::rate::{Noise, Plan};
use weir_perf::report::{self, Run, rates_csv, stages, stages_csv, versions};
use weir_perf::scenario::Scenario;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What weir costs, and what others cost on the same machine.
#[derive(Debug, Parser)]
#[command(name = "weir-perf", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure weir: forwarding rates beside testpmd's, allocations, and the cost of each stage.
    #[command(after_help = "Example:\n  weir-perf bench --keep perf/runs")]
    Bench(Bench),

    /// Write the captures of a scenario.
    #[command(after_help = "Example:\n  weir-perf captures firewall-10k --out /tmp/captures")]
    Captures(Captures),

    /// Measure forwarding rates, program beside program.
    #[command(after_help = "Example:\n  \
        weir-perf compare --programs testpmd-io,ovs,weir --scenarios port-to-port-1k,firewall-10k")]
    Compare(Compare),

    /// Measure what each stage of the packet path costs, without devices.
    #[command(after_help = "Example:\n  weir-perf stages")]
    Stages(Stages),
}

#[derive(Debug, Args)]
struct Bench {
    /// What is measured: POLICY-CONNECTIONS[-ipv6][-tcp], separated by commas.
    #[arg(
        long,
        value_delimiter = ',',
        value_parser = scenario,
        default_value = "port-to-port-1k,port-to-port-100k,firewall-1k,firewall-10k,firewall-100k"
    )]
    scenarios: Vec<Scenario>,
    #[command(flatten)]
    runs: Runs,
}

#[derive(Debug, Args)]
struct Captures {
    /// POLICY-CONNECTIONS[-ipv6][-tcp][-imix][-zipf]
    #[arg(value_parser = scenario)]
    scenario: Scenario,
    /// Where to write forward.pcap and reply.pcap; made if missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct Compare {
    /// What is measured: POLICY-CONNECTIONS[-ipv6][-tcp][-imix][-zipf], separated by commas.
    #[arg(
        long,
        value_delimiter = ',',
        value_parser = scenario,
        default_value = "port-to-port-10k,l2-rewrite-10k,firewall-1k,firewall-10k,firewall-100k,\
            nine-tables-10k"
    )]
    scenarios: Vec<Scenario>,
    /// Which programs take part.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "testpmd-io,testpmd-macswap,ovs,weir"
    )]
    programs: Vec<Program>,
    #[command(flatten)]
    runs: Runs,
}

#[derive(Debug, Args)]
struct Stages {
    /// Keep the results in DIR/DATE-MACHINE.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// How programs are run.
#[derive(Debug, Args)]
struct Runs {
    /// The weir program.
    #[arg(long, value_name = "PATH", default_value = "target/release/weir")]
    weir: PathBuf,
    /// How many rounds.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
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
    /// Accept runs during which others used the worker's core, and print rates per second of
    /// processor time. Without it such a run is tried again, and then refused.
    #[arg(long)]
    noisy: bool,
    /// Keep the results in DIR/DATE-MACHINE.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Program {
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

/// How often a disturbed run is tried again.
const RETRIES: usize = 4;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Bench(options) => bench(&options),
        Command::Captures(options) => write_captures(&options),
        Command::Compare(options) => run_compare(&options),
        Command::Stages(options) => run_stages(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("weir-perf: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn scenario(name: &str) -> Result<Scenario, String> {
    Scenario::named(name).ok_or_else(|| format!("expected {}", Scenario::names()))
}

fn write_captures(options: &Captures) -> Result<(), Failure> {
    make_dir(&options.out)?;
    for (direction, name) in [(Direction::Forward, "forward"), (Direction::Reply, "reply")] {
        let path = options.out.join(format!("{name}.pcap"));
        options
            .scenario
            .traffic
            .write(direction, &path)
            .map_err(Failure::path(&path))?;
    }
    Ok(())
}

fn bench(options: &Bench) -> Result<(), Failure> {
    let machine = Machine::this();
    println!("{machine}");
    let meter = meter();
    let programs = [Program::TestpmdIo, Program::Weir];
    let rows = options.runs.rows(&options.scenarios, &programs, &machine)?;
    let allocations = options
        .scenarios
        .iter()
        .map(|scenario| Ok(micro::pipeline(&meter, scenario, Caches::Megaflows)?.allocations));
    let allocations = allocations.collect::<Result<Vec<f64>, Failure>>()?;
    let ceiling = Testpmd(ForwardMode::Io).name();
    let rates = report::bench(&rows, WEIR, &ceiling, &allocations, machine.tsc_hz);
    println!("{rates}");
    let lines = stage_lines(&meter)?;
    println!("{}", stages(&lines));

    if let Some(dir) = &options.runs.keep {
        let notes = options.runs.notes(&rows, &options.scenarios, &machine);
        let files = [
            ("rates.csv", rates_csv(&rows, machine.tsc_hz)),
            ("stages.csv", stages_csv(&lines)),
        ];
        let results = format!("{rates}\n{}", stages(&lines));
        keep(dir, "README.md", &machine, &notes, &results, &files)?;
    }
    Ok(())
}

fn run_compare(options: &Compare) -> Result<(), Failure> {
    let machine = Machine::this();
    println!("{machine}");
    let rows = options
        .runs
        .rows(&options.scenarios, &options.programs, &machine)?;
    let results = report::rates(&rows, &Ovs.name(), machine.tsc_hz);
    println!("{results}");
    if let Some(dir) = &options.runs.keep {
        let notes = options.runs.notes(&rows, &options.scenarios, &machine);
        let files = [("compare.csv", rates_csv(&rows, machine.tsc_hz))];
        keep(dir, "compare.md", &machine, &notes, &results, &files)?;
    }
    Ok(())
}

fn run_stages(options: &Stages) -> Result<(), Failure> {
    let machine = Machine::this();
    println!("{machine}");
    let lines = stage_lines(&meter())?;
    let results = stages(&lines);
    println!("{results}");
    if let Some(dir) = &options.keep {
        let files = [("stages.csv", stages_csv(&lines))];
        keep(dir, "stages.md", &machine, &[], &results, &files)?;
    }
    Ok(())
}

fn meter() -> Meter {
    Meter::new(|| {
        let stats = ALLOCATOR.stats();
        (stats.allocations + stats.reallocations) as u64
    })
}

fn stage_lines(meter: &Meter) -> Result<Vec<Line>, Failure> {
    micro::all(meter, |line| {
        eprintln!(
            "{}, {}: {:.1} cycles",
            line.what, line.with, line.cost.cycles.median
        );
    })
}

/// Keeps results in a folder that is named after the day and the machine.
fn keep(
    dir: &Path,
    page: &str,
    machine: &Machine,
    notes: &[String],
    results: &str,
    files: &[(&str, String)],
) -> Result<(), Failure> {
    let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let command = format!("weir-perf {command}");
    let run = Run {
        machine,
        command: &command,
        notes,
        results,
        files,
    };
    run.keep(&dir.join(format!("{}-{}", today(), machine.slug())), page)
}

/// What weir is called in tables.
const WEIR: &str = "weir";

impl Runs {
    fn rows(
        &self,
        scenarios: &[Scenario],
        programs: &[Program],
        machine: &Machine,
    ) -> Result<Vec<Row>, Failure> {
        let contenders: Vec<Box<dyn Contender>> = programs
            .iter()
            .map(|&program| self.contender(program))
            .collect();
        let rounds = Rounds {
            count: self.rounds,
            retries: RETRIES,
            plan: Plan {
                warm_up: Duration::from_secs_f64(self.warm_up),
                interval: Duration::from_secs_f64(self.seconds),
                noise: if self.noisy {
                    Noise::Tolerated
                } else {
                    Noise::Refused
                },
            },
        };
        let placement = |scenario: &Scenario| self.placement(scenario, machine);
        compare(scenarios, &contenders, placement, rounds, |line| {
            eprintln!("{line}");
        })
    }

    fn placement(&self, scenario: &Scenario, machine: &Machine) -> Placement {
        Placement {
            worker_cpu: self.worker_cpu,
            main_cpu: self.main_cpu,
            memory: match self.memory {
                Some(Pages::Huge) => Memory::HugePages,
                Some(Pages::Ordinary) => Memory::OrdinaryPages,
                None => machine.memory_for(most_memory_mb(scenario)),
            },
        }
    }

    fn contender(&self, program: Program) -> Box<dyn Contender> {
        match program {
            Program::TestpmdIo => Box::new(Testpmd(ForwardMode::Io)),
            Program::TestpmdMacswap => Box::new(Testpmd(ForwardMode::MacSwap)),
            Program::Ovs => Box::new(Ovs),
            Program::Weir => Box::new(Weir {
                name: WEIR.to_owned(),
                // The program runs elsewhere than where it was named.
                program: std::path::absolute(&self.weir).unwrap_or_else(|_| self.weir.clone()),
            }),
        }
    }

    /// Circumstances that a reader has to know.
    fn notes(&self, rows: &[Row], scenarios: &[Scenario], machine: &Machine) -> Vec<String> {
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
        if self.noisy {
            notes.push(
                "others used the machine meanwhile: rates are per second of the worker's \
                 processor time, and its caches were not its own"
                    .to_owned(),
            );
        }
        notes
    }
}
