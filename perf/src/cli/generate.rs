//! The generator.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use weir_config::diagnostic::Diagnostic;
use weir_perf::failure::Failure;
use weir_perf::generator::{Limits, read, run};

#[derive(Debug, Args)]
pub(crate) struct Generate {
    /// Templates, a line each: PORT: PACKET [| FIELD=FROM..TO[/STEP] ...]
    file: PathBuf,
    /// The device of a port, as DPDK names it; the first is port 1, and so on.
    #[arg(long = "port", value_name = "VDEV", required = true)]
    ports: Vec<String>,
    /// Packets per second; by default as many as the devices take.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,
    /// How many packets; by default as many as there is time for.
    #[arg(long)]
    count: Option<u64>,
    /// Seconds to send.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Seconds to wait for what comes back, after the last packet.
    #[arg(long, default_value_t = 0.5)]
    linger: f64,
    /// The CPU that sends.
    #[arg(long, default_value_t = 0)]
    cpu: u16,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Generate {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let text = std::fs::read_to_string(&self.file).map_err(Failure::path(&self.file))?;
        let name = self.file.display().to_string();
        let templates = read(&name, &text, self.ports.len())
            .map_err(|errors| Failure::Program(Diagnostic::list(&errors)))?;
        let limits = Limits {
            rate: self.rate,
            count: self.count,
            time: Duration::from_secs_f64(self.seconds),
            linger: Duration::from_secs_f64(self.linger),
        };
        let outcome = run(&self.ports, templates, self.cpu, limits, |line| {
            eprintln!("{line}");
        })?;
        if self.json {
            let ports: Vec<_> = outcome
                .ports
                .iter()
                .map(|port| {
                    json!({
                        "sent": port.sent,
                        "refused": port.refused,
                        "received": port.received,
                        "received_bytes": port.received_bytes,
                    })
                })
                .collect();
            let seconds = outcome.time.as_secs_f64();
            println!("{}", json!({ "seconds": seconds, "ports": ports }));
        } else {
            println!("{outcome}");
        }
        Ok(())
    }
}
