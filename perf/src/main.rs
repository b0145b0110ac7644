//! `cargo run --release -p weir-perf -- COMMAND`

use std::alloc::System;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use weir_perf::captures::Direction;
use weir_perf::compare::{Rounds, compare};
use weir_perf::contender::{Contender, ForwardMode, Memory, Ovs, Placement, Testpmd, Weir};
use weir_perf::failure::Failure;
use weir_perf::machine::{Machine, today};
use weir_perf::micro::{self, Meter};
use weir_perf::rate::{Noise, Plan};
use weir_perf::report::{Run, rates, rates_csv, stages, stages_csv, versions};
use weir_perf::scenario::Scenario;

/// What weir costs, and what others cost on the same machine.
#[derive(Debug, Parser)]
#[command(name = "weir-perf", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the captures of a scenario.
    #[command(after_help = "Example:\n  weir-perf captures firewall-10k --out /tmp/captures")]
    Captures(Captures),

    /// Measure forwarding rates, program beside program.
    #[command(after_help = "Example:\n  \
        weir-perf compare --programs testpmd-io,ovs,weir --scenarios port-to-port-1k,firewall-10k")]
    Compare(Compare),

    /// Measure what each stage of the packet path costs, without devices.
    Micro(Micro),
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
        default_value = "port-to-port-1k,firewall-1k,firewall-10k,firewall-100k"
    )]
    scenarios: Vec<Scenario>,
    /// Which programs take part.
    #[arg(long, value_delimiter = ',', default_value = "testpmd-io,ovs,weir")]
    programs: Vec<Program>,
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

#[derive(Debug, Args)]
struct Micro {
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

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How often a disturbed run is tried again.
const RETRIES: usize = 4;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Captures(captures) => write_captures(&captures),
        Command::Compare(options) => run_compare(&options),
        Command::Micro(options) => run_micro(&options),
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
    weir_perf::compare::make_dir(&options.out)?;
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

fn run_compare(options: &Compare) -> Result<(), Failure> {
    let machine = Machine::this();
    println!("{machine}");
    let contenders: Vec<Box<dyn Contender>> = options
        .programs
        .iter()
        .map(|&program| contender(program, options))
        .collect();
    let placement = |scenario: &Scenario| Placement {
        worker_cpu: options.worker_cpu,
        main_cpu: options.main_cpu,
        memory: match options.memory {
            Some(Pages::Huge) => Memory::HugePages,
            Some(Pages::Ordinary) => Memory::OrdinaryPages,
            None => machine.memory_for(weir_perf::contender::most_memory_mb(scenario)),
        },
    };
    let rounds = Rounds {
        count: options.rounds,
        retries: RETRIES,
        plan: Plan {
            warm_up: Duration::from_secs_f64(options.warm_up),
            interval: Duration::from_secs_f64(options.seconds),
            noise: if options.noisy {
                Noise::Tolerated
            } else {
                Noise::Refused
            },
        },
    };
    let rows = compare(&options.scenarios, &contenders, placement, rounds, |line| {
        eprintln!("{line}");
    })?;
    let results = rates(&rows, "OVS-DPDK", machine.tsc_hz);
    println!("{results}");

    if let Some(dir) = &options.keep {
        let mut notes = versions(&rows);
        notes.push(format!(
            "each run: {} s of warm-up, {} s measured; worker on CPU {}, all else on CPU {}; {}",
            options.warm_up,
            options.seconds,
            options.worker_cpu,
            options.main_cpu,
            match placement(&options.scenarios[0]).memory {
                Memory::HugePages => "packet buffers in huge pages",
                Memory::OrdinaryPages => "packet buffers in ordinary pages",
            }
        ));
        if options.noisy {
            notes.push(
                "others used the machine meanwhile: rates are per second of the worker's \
                 processor time, and its caches were not its own"
                    .to_owned(),
            );
        }
        let csv = rates_csv(&rows, machine.tsc_hz);
        keep(dir, "rates", &machine, &notes, &results, csv)?;
    }
    Ok(())
}

fn run_micro(options: &Micro) -> Result<(), Failure> {
    let machine = Machine::this();
    println!("{machine}");
    let meter = Meter::new(|| {
        let stats = ALLOCATOR.stats();
        (stats.allocations + stats.reallocations) as u64
    });
    let lines = micro::all(&meter, |line| {
        eprintln!(
            "{}, {}: {:.1} cycles",
            line.what, line.with, line.cost.cycles.median
        );
    })?;
    let results = stages(&lines);
    println!("{results}");
    if let Some(dir) = &options.keep {
        keep(dir, "stages", &machine, &[], &results, stages_csv(&lines))?;
    }
    Ok(())
}

/// Keeps results in a folder that is named after the day and the machine.
fn keep(
    dir: &Path,
    kind: &str,
    machine: &Machine,
    notes: &[String],
    results: &str,
    csv: String,
) -> Result<(), Failure> {
    let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let run = Run {
        machine,
        command: &format!("weir-perf {command}"),
        notes,
        results,
        files: &[(&format!("{kind}.csv"), csv)],
    };
    let dir = dir.join(format!("{}-{}", today(), machine.slug()));
    run.keep(&dir, &format!("{kind}.md"))
}

fn contender(program: Program, options: &Compare) -> Box<dyn Contender> {
    match program {
        Program::TestpmdIo => Box::new(Testpmd(ForwardMode::Io)),
        Program::TestpmdMacswap => Box::new(Testpmd(ForwardMode::MacSwap)),
        Program::Ovs => Box::new(Ovs),
        Program::Weir => Box::new(Weir {
            name: "weir".to_owned(),
            // The program runs elsewhere than where it was named.
            program: std::path::absolute(&options.weir).unwrap_or_else(|_| options.weir.clone()),
        }),
    }
}
