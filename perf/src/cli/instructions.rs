//! Instructions per packet.

use std::path::PathBuf;

use clap::Args;
use weir_perf::failure::Failure;
use weir_perf::instructions::{count, counts_csv, counts_table, drive};
use weir_perf::machine::Machine;
use weir_perf::micro::Caches;
use weir_perf::scenario::Scenario;

use super::{Results, keep, scenario};

#[derive(Debug, Args)]
pub(crate) struct Instructions {
    /// What is counted: POLICY-CONNECTIONS[-ipv6][-tcp][-zipf][-new], separated by commas.
    #[arg(
        long,
        value_delimiter = ',',
        value_parser = scenario,
        default_value = "port-to-port-1k,l2-rewrite-1k,firewall-1k,firewall-1k-tcp,\
            firewall-1k-ipv6,snat-1k,nine-tables-1k,vpc-computeA-1k,acl-100x30-1k,\
            firewall-2k-new,snat-2k-new"
    )]
    scenarios: Vec<Scenario>,
    /// What stands before the tables, separated by commas; by default each possibility.
    #[arg(long, value_delimiter = ',', value_parser = caches)]
    caches: Vec<Caches>,
    /// Keep the results in DIR/DATE-MACHINE.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Runs a scenario without devices, for others to look at.
#[derive(Debug, Args)]
pub(crate) struct Drive {
    /// POLICY-CONNECTIONS[-ipv6][-tcp][-zipf][-new]
    #[arg(value_parser = scenario)]
    scenario: Scenario,
    /// What stands before the tables.
    #[arg(value_parser = caches)]
    caches: Caches,
    /// Turns of the captures; of those played once, halves.
    far: u32,
}

impl Instructions {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let machine = Machine::this();
        println!("{machine}");
        let program = std::env::current_exe().map_err(Failure::io("this program"))?;
        let caches = if self.caches.is_empty() {
            Caches::ALL
        } else {
            &self.caches
        };
        let mut counts = Vec::new();
        for scenario in &self.scenarios {
            for &caches in caches {
                let count = count(&program, scenario, caches)?;
                let (name, caches) = (&count.scenario, caches.name());
                eprintln!("{name}, {caches}: {:.0} instructions", count.per_packet);
                counts.push(count);
            }
        }
        let text = counts_table(&counts);
        println!("{text}");
        if let Some(dir) = &self.keep {
            let results = Results {
                page: "instructions.md",
                notes: &["counted by callgrind; the copying of the frame included".to_owned()],
                text: &text,
                files: &[("instructions.csv", counts_csv(&counts))],
            };
            keep(dir, &machine, &results)?;
        }
        Ok(())
    }
}

impl Drive {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let sent = drive(&self.scenario, self.caches, self.far)?;
        println!("{sent}");
        Ok(())
    }
}

fn caches(name: &str) -> Result<Caches, String> {
    Caches::named(name).ok_or_else(|| {
        let names: Vec<&str> = Caches::ALL.iter().map(|caches| caches.name()).collect();
        format!("expected one of {}", names.join(", "))
    })
}
