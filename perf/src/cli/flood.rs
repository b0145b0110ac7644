//! What a flood leaves.

use clap::Args;
use weir_perf::failure::Failure;
use weir_perf::flood;
use weir_perf::machine::Machine;
use weir_perf::scenario::Scenario;

use super::runs::{Program, Runs};
use super::{conclude, scenario};

#[derive(Debug, Args)]
pub(crate) struct Flood {
    /// What passes between the other ports: firewall-CONNECTIONS[-ipv6][-tcp].
    #[arg(long, value_parser = firewall, default_value = "firewall-10k")]
    scenario: Scenario,
    /// Which programs are flooded.
    #[arg(long, value_delimiter = ',', default_value = "weir")]
    programs: Vec<Program>,
    /// Packets per second of a flood; by default as many as the other core can send.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,
    #[command(flatten)]
    runs: Runs,
}

/// A firewall with established connections.
pub(super) fn firewall(name: &str) -> Result<Scenario, String> {
    if !name.starts_with("firewall-") || name.ends_with("-new") {
        return Err("it takes established connections of a firewall".to_owned());
    }
    scenario(name)
}

impl Flood {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let machine = Machine::this();
        println!("{machine}");
        let (scenario, plan) = (&self.scenario, self.runs.plan(&machine));
        let placement = self.runs.placement(scenario, &machine);
        let mut lines = Vec::new();
        let mut targets = Vec::new();
        for &program in &self.programs {
            let contender = self.runs.contender(program);
            let rounds = (&plan, self.runs.rounds());
            let (one, rate) = (contender.as_ref(), self.rate);
            let left = flood::measure(one, scenario, &placement, rate, rounds, |line| {
                eprintln!("{line}");
                lines.push(line.to_owned());
            })?;
            targets.push(left.verdict(&contender.name(), scenario));
        }
        conclude(&targets, ("flood.md", &lines), &self.runs, &machine)
    }
}
