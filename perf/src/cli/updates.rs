//! What changes of the policy cost.

use clap::Args;
use weir_perf::failure::Failure;
use weir_perf::machine::Machine;
use weir_perf::scenario::Scenario;
use weir_perf::updates;

use super::conclude;
use super::flood::firewall;
use super::runs::Runs;

#[derive(Debug, Args)]
pub(crate) struct Updates {
    /// What passes meanwhile: firewall-CONNECTIONS[-ipv6][-tcp].
    #[arg(long, value_parser = firewall, default_value = "firewall-10k")]
    scenario: Scenario,
    #[command(flatten)]
    runs: Runs,
}

impl Updates {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let machine = Machine::this();
        println!("{machine}");
        let (scenario, plan) = (&self.scenario, self.runs.plan(&machine));
        let placement = self.runs.placement(scenario, &machine);
        let rounds = (&plan, self.runs.rounds());
        let weir = self.runs.weir();
        let mut lines = Vec::new();
        let seen = updates::measure(&weir, scenario, &placement, rounds, |line| {
            eprintln!("{line}");
            lines.push(line.to_owned());
        })?;
        conclude(
            &seen.verdicts(scenario),
            ("updates.md", &lines),
            &self.runs,
            &machine,
        )
    }
}
