//! The command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use weir_perf::failure::Failure;
use weir_perf::machine::{Machine, today};
use weir_perf::report::Run;
use weir_perf::scenario::Scenario;
use weir_perf::targets::{Verdict, verdicts};

mod bench;
mod compare;
mod flood;
mod generate;
mod instructions;
mod observe;
mod runs;
mod scaling;
mod updates;

/// What weir costs, and what others cost on the same machine.
#[derive(Debug, Parser)]
#[command(name = "weir-perf", max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Hold an earlier version of weir against this one: fails if a scenario has become slower.
    #[command(after_help = "Example:\n  weir-perf against HEAD~3 --rounds 7")]
    Against(compare::Against),

    /// Measure weir: forwarding rates beside testpmd's, allocations, and the cost of each stage.
    #[command(after_help = "Example:\n  weir-perf bench --keep perf/runs")]
    Bench(bench::Bench),

    /// Write the captures of a scenario.
    #[command(after_help = "Example:\n  weir-perf captures firewall-10k --out /tmp/captures")]
    Captures(Captures),

    /// Measure forwarding rates, program beside program, and hold them against the targets.
    #[command(after_help = "Example:\n  \
        weir-perf compare --programs testpmd-io,ovs,weir --scenarios port-to-port-1k,firewall-10k")]
    Compare(compare::Compare),

    /// The same for all further scenarios; what is finished is not measured again.
    #[command(after_help = "Example:\n  weir-perf compare-all --out target/compare-all")]
    CompareAll(compare::CompareAll),

    /// Run a scenario without devices, under a profiler for example; prints the packets sent.
    #[command(after_help = "Example:\n  perf record weir-perf drive firewall-10k megaflows 100")]
    Drive(instructions::Drive),

    /// Measure what a flood at one port leaves of established traffic at others.
    #[command(
        after_help = "Example:\n  weir-perf flood --programs weir,ovs --rounds 3\n  \
        weir-perf flood --attack security-group --programs weir,ovs --rate 1000,100000"
    )]
    Flood(flood::Flood),

    /// Send packets made from templates to a switch, and count what comes back.
    #[command(after_help = "Example:\n  \
        weir-perf generate flood.txt --rate 1000000 \\\n    \
        --port net_memif0,role=client,id=0,socket=/tmp/memif.sock,socket-abstract=no")]
    Generate(generate::Generate),

    /// Count instructions per packet, without devices, with callgrind.
    #[command(after_help = "Example:\n  weir-perf instructions --keep perf/runs")]
    Instructions(instructions::Instructions),

    /// Measure what it costs to dump connections while packets pass, and to flush a small zone.
    #[command(after_help = "Example:\n  weir-perf observe --rounds 3 --keep perf/runs")]
    Observe(observe::Observe),

    /// Measure what a second lcore adds, beside what it adds to testpmd and Open vSwitch.
    #[command(after_help = "Example:\n  weir-perf scaling --scenarios firewall-10k --rounds 3")]
    Scaling(scaling::Scaling),

    /// Measure what each stage of the packet path costs, without devices.
    #[command(after_help = "Example:\n  weir-perf stages")]
    Stages(bench::Stages),

    /// Measure what changes of the policy cost, and what they leave of the traffic.
    #[command(after_help = "Example:\n  weir-perf updates --rounds 3")]
    Updates(updates::Updates),
}

impl Command {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        let done = |()| ExitCode::SUCCESS;
        match self {
            Self::Against(options) => options.run(),
            Self::Bench(options) => options.run().map(done),
            Self::Captures(options) => options.run().map(done),
            Self::Compare(options) => options.run().map(done),
            Self::CompareAll(options) => options.run().map(done),
            Self::Drive(options) => options.run().map(done),
            Self::Flood(options) => options.run().map(done),
            Self::Generate(options) => options.run().map(done),
            Self::Instructions(options) => options.run().map(done),
            Self::Observe(options) => options.run().map(done),
            Self::Scaling(options) => options.run().map(done),
            Self::Stages(options) => options.run().map(done),
            Self::Updates(options) => options.run().map(done),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Captures {
    /// POLICY-CONNECTIONS[-ipv6][-tcp][-imix][-zipf][-new]
    #[arg(value_parser = scenario)]
    scenario: Scenario,
    /// Where to write forward.pcap and reply.pcap; made if missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Captures {
    fn run(&self) -> Result<(), Failure> {
        weir_perf::compare::make_dir(&self.out)?;
        self.scenario.write_captures(&self.out).map(drop)
    }
}

fn scenario(name: &str) -> Result<Scenario, String> {
    Scenario::named(name).ok_or_else(|| format!("expected {}", Scenario::names()))
}

/// What is kept of a run besides its page.
struct Results<'a> {
    page: &'a str,
    notes: &'a [String],
    text: &'a str,
    files: &'a [(&'a str, String)],
}

/// Prints what was measured beside the targets, and keeps it with what was said meanwhile as `page`.
fn conclude(
    targets: &[Verdict],
    (page, lines): (&'static str, &[String]),
    runs: &runs::Runs,
    machine: &Machine,
) -> Result<(), Failure> {
    let text = verdicts(targets);
    println!("{text}");
    if let Some(dir) = &runs.keep {
        let results = Results {
            page,
            notes: lines,
            text: &text,
            files: &[],
        };
        keep(dir, machine, &results)?;
    }
    Ok(())
}

/// Keeps results in a folder that is named after the day and the machine.
fn keep(dir: &Path, machine: &Machine, results: &Results<'_>) -> Result<(), Failure> {
    let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let command = format!("weir-perf {command}");
    let run = Run {
        machine,
        command: &command,
        notes: results.notes,
        results: results.text,
        files: results.files,
    };
    let dir = dir.join(format!("{}-{}", today(), machine.slug()));
    run.keep(&dir, results.page)
}
