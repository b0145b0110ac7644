//! weir alone.

use std::path::PathBuf;

use clap::Args;
use weir_perf::contender::{Contender, ForwardMode, Testpmd};
use weir_perf::failure::Failure;
use weir_perf::machine::Machine;
use weir_perf::micro::{self, Caches, Line, Meter};
use weir_perf::report::{self, rates_csv, stages, stages_csv};
use weir_perf::scenario::Scenario;

use super::runs::{Program, Runs, WEIR};
use super::{Results, keep, scenario};
use crate::meter;

#[derive(Debug, Args)]
pub(crate) struct Bench {
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
pub(crate) struct Stages {
    /// Measure only those whose name contains this.
    #[arg(long, value_name = "WORD", default_value = "")]
    only: String,
    /// Keep the results in DIR/DATE-MACHINE.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

impl Bench {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let machine = Machine::this();
        println!("{machine}");
        let meter = meter();
        let programs = [Program::TestpmdIo, Program::Weir];
        let rows = self.runs.rows(&self.scenarios, &programs, &machine)?;
        let allocations = self.scenarios.iter().map(|scenario| {
            Ok(micro::pipeline(&meter, scenario, Caches::Trajectories)?.allocations)
        });
        let allocations = allocations.collect::<Result<Vec<f64>, Failure>>()?;
        let ceiling = Testpmd(ForwardMode::Io).name();
        let rates = report::bench(&rows, WEIR, &ceiling, &allocations, machine.tsc_hz);
        println!("{rates}");
        let lines = stage_lines(&meter, "")?;
        println!("{}", stages(&lines));

        if let Some(dir) = &self.runs.keep {
            let results = Results {
                page: "README.md",
                notes: &self.runs.notes(&rows, &self.scenarios, &machine),
                text: &format!("{rates}\n{}", stages(&lines)),
                files: &[
                    ("rates.csv", rates_csv(&rows, machine.tsc_hz)),
                    ("stages.csv", stages_csv(&lines)),
                ],
            };
            keep(dir, &machine, &results)?;
        }
        Ok(())
    }
}

impl Stages {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let machine = Machine::this();
        println!("{machine}");
        let lines = stage_lines(&meter(), &self.only)?;
        let text = stages(&lines);
        println!("{text}");
        if let Some(dir) = &self.keep {
            let results = Results {
                page: "stages.md",
                notes: &[],
                text: &text,
                files: &[("stages.csv", stages_csv(&lines))],
            };
            keep(dir, &machine, &results)?;
        }
        Ok(())
    }
}

fn stage_lines(meter: &Meter, only: &str) -> Result<Vec<Line>, Failure> {
    micro::all(meter, only, |line| {
        eprintln!(
            "{}, {}: {:.1} cycles",
            line.what, line.with, line.cost.cycles.median
        );
    })
}
