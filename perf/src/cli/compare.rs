//! weir beside others, and beside itself.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use weir_perf::base::{self, changes, changes_table};
use weir_perf::chart::chart;
use weir_perf::compare::Row;
use weir_perf::contender::{Contender, ForwardMode, Ovs, Testpmd};
use weir_perf::failure::Failure;
use weir_perf::kept::Kept;
use weir_perf::machine::{Machine, commit};
use weir_perf::report::{self, rates_csv};
use weir_perf::scenario::Scenario;
use weir_perf::targets::{Names, SCENARIOS, Verdict, judge, verdicts};
use weir_perf::{flow_mods, memory};

use super::runs::{Program, Runs, WEIR, weir};
use super::{Results, keep, scenario};

const PROGRAMS: &str = "testpmd-io,testpmd-macswap,ovs,weir";

/// What the other scenarios are not about.
const FURTHER: &str = "port-to-port-1k,port-to-port-100k,port-to-port-10k-ipv6,l2-rewrite-1k,\
    l2-rewrite-100k,snat-1M,vpc-computeA-1k,vpc-computeA-100k,vpc-computeA-1M,vpc-computeA-1M-new,\
    nine-tables-1k,nine-tables-10k,nine-tables-100k,nine-tables-1M,\
    firewall-10k-ipv6,firewall-100k-ipv6,nine-tables-10k-ipv6,\
    firewall-1k-tcp,firewall-10k-tcp,firewall-100k-tcp,firewall-10k-ipv6-tcp,snat-10k-tcp,\
    nine-tables-10k-tcp,\
    firewall-10k-imix,snat-10k-imix,firewall-10k-tcp-imix,\
    firewall-10k-zipf,firewall-100k-zipf,firewall-1M-zipf,snat-100k-zipf,nine-tables-100k-zipf,\
    firewall-100k-new,snat-100k-new,firewall-1M-ipv6-new,nine-tables-1M-new,\
    acl-1x1-10k,acl-10x1-10k,acl-10x10-10k,acl-100x1-10k,acl-100x10-10k,acl-100x30-10k,\
    acl-1000x1-10k,acl-1000x10-10k,acl-1000x30-10k,\
    acl-10000x1-10k,acl-10000x10-10k,acl-10000x30-10k";

#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// What is measured: POLICY-CONNECTIONS[-ipv6][-tcp][-imix][-zipf][-new], separated by commas.
    #[arg(long, value_delimiter = ',', value_parser = scenario, default_value = SCENARIOS)]
    scenarios: Vec<Scenario>,
    /// Which programs take part.
    #[arg(long, value_delimiter = ',', default_value = PROGRAMS)]
    programs: Vec<Program>,
    /// What is measured of weir besides.
    #[arg(long, value_delimiter = ',', default_value = "memory,flow-mods")]
    besides: Vec<Besides>,
    #[command(flatten)]
    runs: Runs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Besides {
    /// Throughput while a rule changes each millisecond.
    FlowMods,
    /// What a million connections take.
    Memory,
    /// Nothing.
    None,
}

#[derive(Debug, Args)]
pub(crate) struct CompareAll {
    /// What is measured: POLICY-CONNECTIONS[-ipv6][-tcp][-imix][-zipf][-new], separated by commas.
    #[arg(long, value_delimiter = ',', value_parser = scenario, default_value = FURTHER)]
    scenarios: Vec<Scenario>,
    /// Which programs take part.
    #[arg(long, value_delimiter = ',', default_value = PROGRAMS)]
    programs: Vec<Program>,
    /// Where each finished scenario is kept; one that is there is not measured again.
    #[arg(long, value_name = "DIR", default_value = "target/compare-all")]
    out: PathBuf,
    #[command(flatten)]
    runs: Runs,
}

#[derive(Debug, Args)]
pub(crate) struct Against {
    /// The earlier version: a commit of the repository in the current directory.
    #[arg(value_name = "COMMIT")]
    base: String,
    /// What is measured: POLICY-CONNECTIONS[-ipv6][-tcp][-imix][-zipf][-new], separated by commas.
    #[arg(long, value_delimiter = ',', value_parser = scenario, default_value = SCENARIOS)]
    scenarios: Vec<Scenario>,
    #[command(flatten)]
    runs: Runs,
}

impl Compare {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let machine = Machine::this();
        println!("{machine}");
        let rows = self.runs.rows(&self.scenarios, &self.programs, &machine)?;
        let (text, mut judged) = tables(&rows, &machine);
        println!("{text}");
        let mut text = text;
        let mut add = |part: String| {
            println!("{part}");
            text.push_str(&format!("\n{part}"));
        };
        for besides in &self.besides {
            // One that fails is told, and does not cost the figures of the others.
            match self.measure(*besides, &machine, &mut judged) {
                Ok(Some(part)) => add(part),
                Ok(None) => {}
                Err(failure) => add(format!("{besides:?}: {failure}\n")),
            }
        }
        if !judged.is_empty() {
            add(verdicts(&judged));
        }
        if let Some(dir) = &self.runs.keep {
            keep_rows(
                dir,
                "compare",
                &self.runs,
                (&self.scenarios, &rows),
                &text,
                &machine,
            )?;
        }
        Ok(())
    }

    fn measure(
        &self,
        besides: Besides,
        machine: &Machine,
        judged: &mut Vec<Verdict>,
    ) -> Result<Option<String>, Failure> {
        let plan = self.runs.plan(machine);
        let progress = |line: &str| eprintln!("{line}");
        match besides {
            Besides::FlowMods => {
                let scenario = Scenario::named("firewall-10k").expect("a scenario");
                let placement = self.runs.placement(&scenario, machine);
                let rounds = (&plan, self.runs.rounds());
                let weir = self.runs.weir();
                let influence = flow_mods::measure(&weir, &scenario, &placement, rounds, progress)?;
                judged.push(influence.verdict(&scenario));
                Ok(None)
            }
            Besides::Memory => {
                let scenario = Scenario::named("firewall-1M").expect("a scenario");
                let placement = self.runs.placement(&scenario, machine);
                let weir = self.runs.weir();
                let memory = memory::measure(&weir, &scenario, &placement, &plan, progress)?;
                judged.push(memory.verdict(&scenario));
                Ok(Some(memory.table()))
            }
            Besides::None => Ok(None),
        }
    }
}

impl CompareAll {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let machine = Machine::this();
        println!("{machine}");
        let how = self.runs.how(&self.programs, &commit());
        let kept = Kept {
            dir: &self.out,
            how: &how,
        };
        let mut rows = Vec::new();
        for scenario in &self.scenarios {
            if let Some(finished) = kept.read(&scenario.name) {
                eprintln!("{}: finished before", scenario.name);
                rows.extend(finished);
                continue;
            }
            let new = self
                .runs
                .rows(std::slice::from_ref(scenario), &self.programs, &machine)?;
            kept.write(&scenario.name, &new, machine.tsc_hz)?;
            rows.extend(new);
        }
        let (text, _) = tables(&rows, &machine);
        println!("{text}");
        if let Some(dir) = &self.runs.keep {
            keep_rows(
                dir,
                "compare-all",
                &self.runs,
                (&self.scenarios, &rows),
                &text,
                &machine,
            )?;
        }
        Ok(())
    }
}

impl Against {
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let machine = Machine::this();
        println!("{machine}");
        eprintln!("building weir as of {}", self.base);
        let program = base::build(&self.base, Path::new("target/base"))?;
        let before = weir(&format!("{WEIR} {}", self.base), &program);
        let name = before.name.clone();
        let contenders: [Box<dyn Contender>; 2] = [Box::new(before), Box::new(self.runs.weir())];
        let rounds = (&machine, self.runs.rounds_against());
        let rows = self.runs.compare(&self.scenarios, &contenders, rounds)?;
        let changes = changes(&rows, &name, WEIR);
        let mut text = changes_table(&changes, &name);
        text.push_str(&report::refusals(&rows));
        println!("{text}");
        if let Some(dir) = &self.runs.keep {
            keep_rows(
                dir,
                "against",
                &self.runs,
                (&self.scenarios, &rows),
                &text,
                &machine,
            )?;
        }
        let held = changes.iter().all(base::Change::held);
        if !held {
            eprintln!(
                "weir-perf: a scenario has less than {} of its rate of {}",
                base::LEAST_RATIO,
                self.base
            );
        }
        Ok(if held {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// The rates as text, and how they stand beside the targets.
fn tables(rows: &[Row], machine: &Machine) -> (String, Vec<Verdict>) {
    let (ovs, io) = (Ovs.name(), Testpmd(ForwardMode::Io).name());
    let names = Names {
        weir: WEIR,
        ovs: &ovs,
        io: &io,
    };
    let text = report::rates(rows, &ovs, &io, machine.tsc_hz);
    (text, judge(rows, names, machine.tsc_hz))
}

fn keep_rows(
    dir: &Path,
    name: &str,
    runs: &Runs,
    (scenarios, rows): (&[Scenario], &[Row]),
    text: &str,
    machine: &Machine,
) -> Result<(), Failure> {
    let io = Testpmd(ForwardMode::Io).name();
    let title = "millions of packets per second, one lcore (new connections: of connections)";
    let names = ["md", "csv", "svg"].map(|kind| format!("{name}.{kind}"));
    let text = format!("![rates]({})\n\n{text}", names[2]);
    let results = Results {
        page: &names[0],
        notes: &runs.notes(rows, scenarios, machine),
        text: &text,
        files: &[
            (&names[1], rates_csv(rows, machine.tsc_hz)),
            (&names[2], chart(title, rows, &io)),
        ],
    };
    keep(dir, machine, &results)
}
