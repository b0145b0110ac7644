//! What a second lcore adds.

use clap::Args;
use weir_perf::contender::{Contender, ForwardMode, Ovs, Settings, Testpmd, Weir};
use weir_perf::failure::Failure;
use weir_perf::machine::Machine;
use weir_perf::report::table;
use weir_perf::scaling::{self, Entrant, HEADING, SECRET, Shares};
use weir_perf::scenario::{Play, Scenario};

use super::runs::Runs;
use super::{conclude, scenario};

#[derive(Debug, Args)]
pub(crate) struct Scaling {
    /// What is measured, with so many connections of each lcore, separated by commas.
    #[arg(long, value_delimiter = ',', value_parser = scenario,
        default_value = "firewall-10k,snat-10k,firewall-1M-new")]
    scenarios: Vec<Scenario>,
    #[command(flatten)]
    runs: Runs,
}

impl Scaling {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let machine = Machine::this();
        println!("{machine}");
        let weir = Weir {
            settings: Settings {
                secret: Some(SECRET),
                ..Settings::default()
            },
            ..self.runs.weir()
        };
        let (io, ovs) = (Testpmd(ForwardMode::Io), Ovs);
        let entrant = |contender, suffix: &str, shares| Entrant {
            name: format!("{}{suffix}", Contender::name(contender)),
            contender,
            shares,
            may_fail: false,
        };
        // With two threads Open vSwitch loses first packets while its last port comes up.
        let ovs = |shares| Entrant {
            may_fail: true,
            ..entrant(&ovs as &dyn Contender, "", shares)
        };
        let entrants = [
            entrant(&io, "", Shares::Owned),
            ovs(Shares::Owned),
            entrant(&weir, "", Shares::Owned),
            entrant(&weir, ", half handed over", Shares::AsTheyCome),
        ];
        let plan = self.runs.plan(&machine);
        let rounds = (&plan, self.runs.rounds());
        let mut lines = Vec::new();
        let mut rows = Vec::new();
        let mut targets = Vec::new();
        for scenario in &self.scenarios {
            let placement = self.runs.placement(scenario, &machine);
            // What is handed over and what is lost by that changes which ports translation gives, and which
            // connections come to be.
            let handed = scenario.policy.translates_to.is_none() && scenario.play == Play::Endless;
            let entrants = &entrants[..if handed { 4 } else { 3 }];
            let all = scaling::measure(entrants, scenario, &placement, rounds, |line| {
                eprintln!("{line}");
                lines.push(line.to_owned());
            })?;
            let ceiling = &all[0];
            rows.extend(all.iter().map(|scaled| scaled.row(scenario, ceiling)));
            targets.push(all[2].verdict(scenario, ceiling));
        }
        let told = table(&HEADING, &rows);
        println!("{told}");
        lines.push(told);
        conclude(&targets, ("scaling.md", &lines), &self.runs, &machine)
    }
}
