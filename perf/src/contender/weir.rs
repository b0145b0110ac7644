//! weir itself, as a user runs it: `weir run` with a configuration file, and its verbs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::captures::Direction;
use crate::daemon::Daemon;
use crate::failure::{Failure, output_of};
use crate::scenario::{Play, Scenario};

use super::{Busy, Contender, Evidence, Job, Memory, PortCount, Running};

/// The `weir` program.
#[derive(Clone, Debug)]
pub struct Weir {
    /// What it is called in tables.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// How it is run.
    pub settings: Settings,
}

/// How weir is run, where it is not as the scenario wants it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `max_connections`; by default twice as many as there will be, so that none is refused
    /// because a search for room is bounded.
    pub max_connections: Option<u32>,
    /// Whether it runs without caches.
    pub no_cache: bool,
    /// What its hashes are seeded with; by default a number that it chooses.
    pub secret: Option<u64>,
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
        let groups = job.dir.join("policy.groups");
        fs::write(&groups, job.scenario.policy.groups).map_err(Failure::path(&groups))?;
        let config = Self::config(job.dir);
        let text = configuration(job, &self.settings, self.knows_trajectories(job.dir)?);
        // Two lcores do not come up at one moment: what is played once has to wait for both.
        let late = job.placement.both_forward && job.scenario.play == Play::Once;
        let first = if late {
            without_clients(&text, job)
        } else {
            &text
        };
        fs::write(&config, first).map_err(Failure::path(&config))?;
        let mut arguments = vec!["run".to_owned(), config.display().to_string()];
        if self.settings.no_cache {
            arguments.push("--no-cache".to_owned());
        }
        if let Some(secret) = self.settings.secret {
            arguments.push(format!("--secret={secret}"));
        }
        let mut daemon = Daemon::start(&self.program, job.dir, &arguments)?;
        let weir = Verbs {
            program: self.program.clone(),
            socket: Weir::socket(job.dir),
            ports: job.scenario.policy.ports,
        };
        if late {
            daemon.wait_until("answering", || weir.rows("dump-ports").ok())?;
            fs::write(&config, &text).map_err(Failure::path(&config))?;
            let mut reload = Command::new(&weir.program);
            output_of(reload.arg("reload").arg("--socket").arg(&weir.socket))?;
        }
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

impl Weir {
    /// The configuration of a switch that was started for a job in `dir`.
    pub fn config(dir: &Path) -> PathBuf {
        dir.join("weir.toml")
    }

    /// The control socket of a switch that was started for a job in `dir`.
    pub fn socket(dir: &Path) -> PathBuf {
        dir.join("weir.sock")
    }

    /// Whether the size of its trajectory cache can be told: versions before had none.
    fn knows_trajectories(&self, dir: &Path) -> Result<bool, Failure> {
        let config = dir.join("probe.toml");
        let text = "[cache]\ntrajectories = 1024\n";
        fs::write(&config, text).map_err(Failure::path(&config))?;
        let mut command = Command::new(&self.program);
        command.arg("check").arg(&config).stdin(Stdio::null());
        let output = command.output().map_err(Failure::path(&self.program))?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        // Only a key that is not known is named; that there are no ports is complained of anyway.
        Ok(!complaint.contains("trajectories"))
    }
}

fn configuration(job: &Job<'_>, settings: &Settings, trajectories: bool) -> String {
    let Job {
        placement,
        scenario,
        ..
    } = job;
    let huge = placement.memory == Memory::HugePages;
    let traffic = &scenario.traffic;
    let twice = || traffic.connections.saturating_mul(2).max(1_000);
    let connections = settings.max_connections.unwrap_or_else(twice);
    // Versions before had none.
    let groups = if scenario.policy.groups.is_empty() {
        ""
    } else {
        "groups = [\"policy.groups\"]\n"
    };
    let mut text = format!(
        "[eal]\nlcores = {:?}\nhugepages = {huge}\nmemory_mb = {}\nmbufs = {}\n\n\
         [bridge]\nflows = [\"policy.flows\"]\n{}\n[conntrack]\nmax_connections = {connections}\n\n\
         [control]\nsocket = \"{}\"\n",
        placement.workers(),
        job.memory_mb(),
        job.buffers(),
        groups,
        Weir::socket(job.dir).display(),
    );
    if trajectories && let Some(entries) = trajectory_entries(traffic.connections) {
        text.push_str(&format!("\n[cache]\ntrajectories = {entries}\n"));
    }
    // The clients' port comes last: all is ready when it plays.
    let [clients, servers] = scenario.policy.ports;
    for (number, direction) in [(servers, Direction::Reply), (clients, Direction::Forward)] {
        let device = job.device_arguments(direction);
        text.push_str(&format!(
            "\n[[port]]\nname = \"p{number}\"\nid = {number}\nvdev = \"net_pcap{number},{device}\"\n"
        ));
    }
    if scenario.flooded {
        let device = job.generators_device();
        text.push_str(&format!(
            "\n[[port]]\nname = \"p3\"\nid = 3\nvdev = \"{device}\"\n"
        ));
    }
    text
}

/// The configuration but for the clients' port, its last.
fn without_clients<'a>(text: &'a str, job: &Job<'_>) -> &'a str {
    let [clients, _] = job.scenario.policy.ports;
    let port = format!("\n[[port]]\nname = \"p{clients}\"");
    text.find(&port).map_or(text, |at| &text[..at])
}

/// Entries for both directions of so many connections and as many to spare; `None` where the
/// default will do.
fn trajectory_entries(connections: u32) -> Option<u32> {
    const LITTLE: u32 = 16_384;
    (connections > LITTLE).then(|| connections.saturating_mul(4).next_power_of_two())
}

/// The verbs of a running switch.
struct Verbs {
    program: PathBuf,
    socket: PathBuf,
    /// The clients' and the servers'.
    ports: [u32; 2],
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
        let port = |number: u32| {
            let row = rows
                .iter()
                .find(|row| row["id"].as_u64() == Some(number.into()));
            row.and_then(|row| {
                let received = row["rx_packets"].as_u64()?;
                Some(PortCount {
                    received,
                    sent: row["tx_packets"].as_u64()?,
                })
            })
            .ok_or_else(|| Failure::Program(format!("weir dump-ports does not show port {number}")))
        };
        let [clients, servers] = self.ports;
        Ok([port(clients)?, port(servers)?])
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
        let mut rules = BTreeMap::new();
        for row in &flows {
            if let (Some(cookie), Some(count)) = (row["cookie"].as_u64(), row["n_packets"].as_u64())
            {
                *rules.entry(cookie).or_default() += count;
            }
        }
        Ok(Evidence {
            rules,
            connections: None,
        })
    }

    fn memory(&mut self) -> Result<Vec<(String, u64)>, Failure> {
        let rows = self.weir.rows("pmd-stats-show")?;
        let mut parts = Vec::<(String, u64)>::new();
        let memory = |row: &Value| row["memory"].as_object().cloned();
        for (name, bytes) in rows.iter().filter_map(memory).flatten() {
            let bytes = bytes.as_u64().unwrap_or(0);
            match parts.iter_mut().find(|(part, _)| *part == name) {
                Some((_, sum)) => *sum += bytes,
                None => parts.push((name, bytes)),
            }
        }
        Ok(parts)
    }

    fn busy(&mut self) -> Result<Busy, Failure> {
        let rows = self.weir.rows("pmd-stats-show")?;
        let sum = |key: &str| {
            rows.iter()
                .map(|row| row[key].as_u64())
                .sum::<Option<u64>>()
        };
        match (sum("packets"), sum("busy_cycles")) {
            (Some(packets), Some(cycles)) => Ok(Busy { packets, cycles }),
            _ => Err(self.daemon.failure("does not say what its lcores did")),
        }
    }
}
