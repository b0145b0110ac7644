//! What looking at connections costs.

use clap::Args;
use weir_perf::failure::Failure;
use weir_perf::machine::Machine;
use weir_perf::observation;
use weir_perf::scenario::Scenario;

use super::runs::Runs;
use super::{conclude, scenario};

#[derive(Debug, Args)]
pub(crate) struct Observe {
    /// What passes meanwhile: POLICY-CONNECTIONS[-ipv6][-tcp].
    #[arg(long, value_parser = scenario, default_value = "firewall-1M")]
    scenario: Scenario,
    #[command(flatten)]
    runs: Runs,
}

impl Observe {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let machine = Machine::this();
        println!("{machine}");
        let (scenario, plan) = (&self.scenario, self.runs.plan(&machine));
        let placement = self.runs.placement(scenario, &machine);
        let rounds = (&plan, self.runs.rounds());
        let weir = self.runs.weir();
        let mut lines = Vec::new();
        let seen = observation::measure(&weir, scenario, &placement, rounds, |line| {
            eprintln!("{line}");
            lines.push(line.to_owned());
        })?;
        conclude(
            &seen.verdicts(scenario),
            ("observe.md", &lines),
            &self.runs,
            &machine,
        )
    }
}
