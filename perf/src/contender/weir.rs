//! weir itself, as a user runs it: `weir run` with a configuration file, and its verbs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::captures::Direction;
use crate::daemon::Daemon;
use crate::failure::{Failure, output_of};
use crate::scenario::Scenario;

use super::{Contender, Evidence, Job, Memory, PortCount, Running};

/// The `weir` program.
#[derive(Clone, Debug)]
pub struct Weir {
    /// What it is called in tables.
    pub name: String,
    /// The program.
    pub program: PathBuf,
}

impl Contender for Weir {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn can(&self, _scenario: &Scenario) -> bool {
        // What it cannot do it says when it reads the policy.
        true
    }

    fn start(&self, job: &Job<'_>) -> Result<Box<dyn Running>, Failure> {
        let version = output_of(Command::new(&self.program).arg("--version"))?;
        let flows = job.dir.join("policy.flows");
        let text = job.scenario.policy.flows(job.scenario.traffic.family);
        fs::write(&flows, text).map_err(Failure::path(&flows))?;
        let config = job.dir.join("weir.toml");
        fs::write(&config, configuration(job)).map_err(Failure::path(&config))?;
        let arguments = ["run".to_owned(), config.display().to_string()];
        let mut daemon = Daemon::start(&self.program, job.dir, &arguments)?;
        let weir = Verbs {
            program: self.program.clone(),
            socket: socket(job.dir),
        };
        daemon.wait_until("forwarding", || {
            let ports = weir.ports().ok()?;
            (ports.iter().any(|port| port.received > 0)).then_some(())
        })?;
        Ok(Box::new(RunningWeir {
            daemon,
            weir,
            version: version.trim().to_owned(),
        }))
    }
}

fn socket(dir: &Path) -> PathBuf {
    dir.join("weir.sock")
}

fn configuration(job: &Job<'_>) -> String {
    let Job {
        placement,
        scenario,
        ..
    } = job;
    let huge = placement.memory == Memory::HugePages;
    // Twice as many as there will be: none is refused because of a bound on the search.
    let connections = scenario.traffic.connections.saturating_mul(2).max(1_000);
    let mut text = format!(
        "[eal]\nlcores = [{}]\nhugepages = {huge}\nmemory_mb = {}\nmbufs = {}\n\n\
         [bridge]\nflows = [\"policy.flows\"]\n\n[conntrack]\nmax_connections = {connections}\n\n\
         [control]\nsocket = \"{}\"\n",
        placement.worker_cpu,
        job.memory_mb(),
        job.buffers(),
        socket(job.dir).display(),
    );
    for (number, direction) in [(1, Direction::Forward), (2, Direction::Reply)] {
        let device = job.device_arguments(direction);
        text.push_str(&format!(
            "\n[[port]]\nname = \"p{number}\"\nid = {number}\nvdev = \"net_pcap{number},{device}\"\n"
        ));
    }
    text
}

/// The verbs of a running switch.
struct Verbs {
    program: PathBuf,
    socket: PathBuf,
}

impl Verbs {
    fn rows(&self, verb: &str) -> Result<Vec<Value>, Failure> {
        let mut command = Command::new(&self.program);
        let text = output_of(command.args([verb, "--json", "--socket"]).arg(&self.socket))?;
        serde_json::from_str(&text)
            .map_err(|error| Failure::Program(format!("weir {verb} --json: {error}")))
    }

    fn ports(&self) -> Result<[PortCount; 2], Failure> {
        let rows = self.rows("dump-ports")?;
        let port = |number: u64| {
            let row = rows.iter().find(|row| row["id"].as_u64() == Some(number));
            row.and_then(|row| {
                let received = row["rx_packets"].as_u64()?;
                Some(PortCount {
                    received,
                    sent: row["tx_packets"].as_u64()?,
                })
            })
            .ok_or_else(|| Failure::Program(format!("weir dump-ports does not show port {number}")))
        };
        Ok([port(1)?, port(2)?])
    }
}

struct RunningWeir {
    daemon: Daemon,
    weir: Verbs,
    version: String,
}

impl Running for RunningWeir {
    fn process(&self) -> u32 {
        self.daemon.id()
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn ports(&mut self) -> Result<[PortCount; 2], Failure> {
        self.weir.ports()
    }

    fn evidence(&mut self) -> Result<Evidence, Failure> {
        let flows = self.weir.rows("dump-flows")?;
        let rules = flows
            .iter()
            .filter_map(|row| Some((row["cookie"].as_u64()?, row["n_packets"].as_u64()?)));
        Ok(Evidence {
            rules: rules.collect(),
            connections: None,
        })
    }
}
