//! What a flood leaves.

use clap::{Args, ValueEnum};
use weir_perf::failure::Failure;
use weir_perf::flood::{self, Aim};
use weir_perf::machine::Machine;
use weir_perf::scenario::Scenario;

use super::runs::{Program, Runs};
use super::{conclude, scenario};

#[derive(Debug, Args)]
pub(crate) struct Flood {
    /// What passes between the other ports: firewall-CONNECTIONS[-ipv6][-tcp]; with an attack
    /// vpc-computeA-CONNECTIONS.
    #[arg(long, value_parser = flooded)]
    scenario: Option<Scenario>,
    /// Instead of floods, what breaks caches that look through masks one by one.
    #[arg(long, value_enum)]
    attack: Option<Attack>,
    /// Which programs are flooded.
    #[arg(long, value_delimiter = ',', default_value = "weir")]
    programs: Vec<Program>,
    /// Packets per second of a flood, by default as many as the other core can send; of an attack
    /// one or several, by default 1,000 and 100,000.
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..))]
    rate: Vec<u64>,
    #[command(flatten)]
    runs: Runs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Attack {
    /// Tuple-space explosion aimed at the port security of a compute host.
    PortSecurity,
    /// Tuple-space explosion by way of a security group that the attacker made.
    SecurityGroup,
}

impl Attack {
    const fn aim(self) -> Aim {
        match self {
            Self::PortSecurity => Aim::PortSecurity,
            Self::SecurityGroup => Aim::SecurityGroup,
        }
    }
}

/// Established connections of a firewall, or of the compute host that is attacked.
fn flooded(name: &str) -> Result<Scenario, String> {
    if name.starts_with("vpc-computeA-") && !name.ends_with("-new") {
        return scenario(name);
    }
    firewall(name)
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
        let default = match self.attack {
            Some(_) => "vpc-computeA-10k",
            None => "firewall-10k",
        };
        let named = || Scenario::named(default).expect("a scenario");
        let scenario = &self.scenario.clone().unwrap_or_else(named);
        if scenario.name.starts_with("vpc-") != self.attack.is_some() {
            let message = format!(
                "{}: a flood is of a firewall, an attack of vpc-computeA",
                scenario.name
            );
            return Err(Failure::Program(message));
        }
        if self.attack.is_none() && self.rate.len() > 1 {
            return Err(Failure::Program("--rate: a flood has one".to_owned()));
        }
        let plan = self.runs.plan(&machine);
        let placement = self.runs.placement(scenario, &machine);
        let rounds = (&plan, self.runs.rounds());
        let mut lines = Vec::new();
        let mut targets = Vec::new();
        let mut say = |line: &str| {
            eprintln!("{line}");
            lines.push(line.to_owned());
        };
        for &program in &self.programs {
            let contender = self.runs.contender(program);
            let (one, name) = (contender.as_ref(), contender.name());
            let Some(attack) = self.attack else {
                let rate = self.rate.first().copied();
                let left = flood::measure(one, scenario, &placement, rate, rounds, &mut say)?;
                targets.push(left.verdict(&name, scenario));
                continue;
            };
            let (aim, rates) = (attack.aim(), self.rates());
            let what = (scenario, aim);
            let all = flood::attack(one, what, &placement, &rates, rounds, &mut say)?;
            targets.extend(all.iter().map(|spared| spared.verdict(&name, aim)));
        }
        let page = match self.attack {
            Some(Attack::PortSecurity) => "attack-port-security.md",
            Some(Attack::SecurityGroup) => "attack-security-group.md",
            None => "flood.md",
        };
        conclude(&targets, (page, &lines), &self.runs, &machine)
    }

    /// Those of an attack.
    fn rates(&self) -> Vec<u64> {
        if self.rate.is_empty() {
            vec![1_000, 100_000]
        } else {
            self.rate.clone()
        }
    }
}
