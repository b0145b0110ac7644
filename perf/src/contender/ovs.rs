//! Open vSwitch with DPDK, as Debian packages it: its own database, sockets and settings in a
//! directory of its own, so that an installed switch is neither needed nor touched.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::captures::Direction;
use crate::daemon::{Daemon, Launch};
use crate::failure::{Failure, output_of};
use crate::scenario::Scenario;
use crate::telemetry::Telemetry;

use super::{Busy, Contender, Evidence, Job, Memory, PortCount, Running, find, kept_frames};

/// `ovs-vswitchd` with the userspace datapath and DPDK ports.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ovs;

/// Where Debian puts the daemon that is linked with DPDK.
const DAEMON: &str = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk";
const PACKAGE: &str = "openvswitch-switch-dpdk";
const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// Open vSwitch takes this many packet buffers for its ports together, and no more.
const BUFFERS: u32 = 262_144;
/// What it takes for them and for itself.
pub(super) const MEMORY_MB: u32 = 1_024;

impl Contender for Ovs {
    fn name(&self) -> String {
        "OVS-DPDK".to_owned()
    }

    fn can(&self, scenario: &Scenario) -> bool {
        // A port that keeps its capture in buffers has to leave some for packets.
        kept_frames(scenario) < BUFFERS / 10 * 9
    }

    fn start(&self, job: &Job<'_>) -> Result<Box<dyn Running>, Failure> {
        if !Path::new(DAEMON).is_file() {
            return Err(Failure::Absent {
                program: DAEMON.to_owned(),
                package: PACKAGE,
            });
        }
        let database = Database::start(job.dir)?;
        let prefix = job.file_prefix("ovs");
        database.vsctl(&initial_settings(job, &prefix))?;
        let control = job.dir.join("vswitchd.ctl");
        let launch = Launch {
            program: Path::new(DAEMON),
            dir: job.dir,
            // It makes the bridge's socket in its run directory.
            environment: &[("OVS_RUNDIR", job.dir)],
            // Only its poll loop is to use the worker's CPU.
            cpu: Some(job.placement.main_cpu),
        };
        let mut daemon = launch.start(&[
            "--no-chdir".to_owned(),
            format!("--unixctl={}", control.display()),
            database.remote(),
        ])?;
        let path = Telemetry::path(&prefix);
        daemon.wait_until("in control", || control.exists().then_some(()))?;
        database.vsctl(&words(BRIDGE))?;
        let mut switch = RunningOvs {
            telemetry: daemon.wait_until("in DPDK", || Telemetry::connect(&path).ok())?,
            daemon,
            control,
            version: String::new(),
            devices: [0; 2],
            database,
        };
        switch.version = switch.say_version()?;
        switch.load(job)?;
        // The rules are there before the first packet.
        for port in ports(job) {
            switch.database.vsctl(&port)?;
        }
        switch.check_ports(job.scenario.policy.ports)?;
        for (device, number) in switch.devices.iter_mut().zip(job.scenario.policy.ports) {
            *device = switch.telemetry.number_of(&format!("net_pcap{number}"))?;
        }
        Ok(Box::new(switch))
    }
}

const BRIDGE: &str = "--timeout=30 add-br br0 -- set bridge br0 datapath_type=netdev \
                      fail-mode=secure protocols=OpenFlow13";

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn initial_settings(job: &Job<'_>, prefix: &str) -> Vec<String> {
    let place = job.placement;
    let eal = job.memory_arguments(MEMORY_MB).join(" ");
    let mut arguments = words("--no-wait set Open_vSwitch . other_config:dpdk-init=true");
    arguments.extend([
        format!(
            "other_config:pmd-cpu-mask={:#x}",
            place
                .workers()
                .iter()
                .fold(0, |mask, cpu| mask | 1u64 << cpu)
        ),
        format!("other_config:dpdk-lcore-mask={:#x}", 1u64 << place.main_cpu),
        format!("other_config:dpdk-extra=\"--no-pci --file-prefix={prefix} {eal}\""),
    ]);
    if place.memory == Memory::OrdinaryPages {
        // Otherwise it asks for huge pages by socket, which excludes -m.
        arguments.push("other_config:dpdk-socket-mem=\"\"".to_owned());
    }
    arguments
}

/// What adds each port. The clients' comes last, and by itself: all is ready when it plays.
fn ports(job: &Job<'_>) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    if job.scenario.flooded {
        let mut arguments =
            words("--timeout=60 -- add-port br0 p3 -- set interface p3 type=dpdk ofport_request=3");
        let device = job.generators_device();
        arguments.push(format!("options:dpdk-devargs=\"{device}\""));
        all.push(arguments);
    }
    let [clients, servers] = job.scenario.policy.ports;
    for (number, direction) in [(servers, Direction::Reply), (clients, Direction::Forward)] {
        let device = job.device_arguments(direction);
        let mut arguments = words("--timeout=60");
        arguments.extend(words(&format!(
            "-- add-port br0 p{number} -- set interface p{number} type=dpdk \
             ofport_request={number}"
        )));
        arguments.push(format!(
            "options:dpdk-devargs=\"net_pcap{number},{device}\""
        ));
        let workers = job.placement.workers();
        if workers.len() > 1 {
            let queues = workers.iter().enumerate();
            let pinned: Vec<_> = queues
                .map(|(queue, cpu)| format!("{queue}:{cpu}"))
                .collect();
            arguments.push(format!("options:n_rxq={}", workers.len()));
            arguments.push(format!(
                "other_config:pmd-rxq-affinity=\"{}\"",
                pinned.join(",")
            ));
        }
        all.push(arguments);
    }
    all
}

/// The configuration database.
struct Database {
    dir: PathBuf,
    _daemon: Daemon,
}

impl Database {
    fn start(dir: &Path) -> Result<Self, Failure> {
        let file = dir.join("conf.db");
        let socket = dir.join("db.sock");
        output_of(
            Command::new(find("ovsdb-tool", PACKAGE)?)
                .arg("create")
                .args([&file, &PathBuf::from(SCHEMA)]),
        )?;
        let mut daemon = Daemon::start(
            &find("ovsdb-server", PACKAGE)?,
            dir,
            &[
                "--no-chdir".to_owned(),
                format!("--unixctl={}", dir.join("ovsdb.ctl").display()),
                format!("--remote=punix:{}", socket.display()),
                file.display().to_string(),
            ],
        )?;
        daemon.wait_until("listening", || socket.exists().then_some(()))?;
        let database = Self {
            dir: dir.to_owned(),
            _daemon: daemon,
        };
        database.vsctl(&words("--no-wait init"))?;
        Ok(database)
    }

    fn remote(&self) -> String {
        format!("unix:{}", self.dir.join("db.sock").display())
    }

    fn vsctl(&self, arguments: &[String]) -> Result<String, Failure> {
        let mut command = Command::new(find("ovs-vsctl", PACKAGE)?);
        output_of(
            command
                .arg(format!("--db={}", self.remote()))
                .args(arguments),
        )
    }
}

/// Fields are dropped in order: the switch before its database.
struct RunningOvs {
    daemon: Daemon,
    telemetry: Telemetry,
    control: PathBuf,
    version: String,
    /// DPDK's numbers of the clients' and the servers' port.
    devices: [u16; 2],
    database: Database,
}

impl RunningOvs {
    fn appctl(&self, words: &[&str]) -> Result<String, Failure> {
        let program = find("ovs-appctl", PACKAGE)?;
        output_of(
            Command::new(program)
                .arg("-t")
                .arg(&self.control)
                .args(words),
        )
    }

    fn ofctl(&self, verb: &str, argument: Option<&Path>) -> Result<String, Failure> {
        let bridge = format!("unix:{}", self.bridge_socket().display());
        let mut command = Command::new(find("ovs-ofctl", PACKAGE)?);
        command.args(["-O", "OpenFlow13", verb, &bridge]);
        output_of(command.args(argument))
            .map_err(|failure| self.daemon.failure(&failure.to_string()))
    }

    fn bridge_socket(&self) -> PathBuf {
        self.database.dir.join("br0.mgmt")
    }

    fn say_version(&self) -> Result<String, Failure> {
        // "ovs-vswitchd (Open vSwitch) 3.1.0\nDPDK 22.11.3"
        let text = self.appctl(&["version"])?;
        let line = text.lines().next().unwrap_or_default();
        Ok(line.replace("ovs-vswitchd (Open vSwitch)", "Open vSwitch"))
    }

    fn check_ports(&self, ports: [u32; 2]) -> Result<(), Failure> {
        for number in ports {
            let error = words(&format!("get interface p{number} error"));
            let error = self.database.vsctl(&error)?;
            if error.trim() != "[]" {
                return Err(self
                    .daemon
                    .failure(&format!("port {number}: {}", error.trim())));
            }
        }
        Ok(())
    }

    fn load(&mut self, job: &Job<'_>) -> Result<(), Failure> {
        let flows = job.dir.join("policy.flows");
        let text = job.scenario.policy.flows(job.scenario.traffic.family);
        std::fs::write(&flows, text).map_err(Failure::path(&flows))?;
        let socket = self.bridge_socket();
        self.daemon
            .wait_until("with a bridge", || socket.exists().then_some(()))?;
        let groups = job.dir.join("policy.groups");
        std::fs::write(&groups, job.scenario.policy.groups).map_err(Failure::path(&groups))?;
        self.ofctl("add-groups", Some(&groups))?;
        self.ofctl("add-flows", Some(&flows))?;
        Ok(())
    }
}

impl Running for RunningOvs {
    fn process(&self) -> u32 {
        self.daemon.id()
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn ports(&mut self) -> Result<[PortCount; 2], Failure> {
        let [clients, servers] = self.devices;
        Ok([self.telemetry.port(clients)?, self.telemetry.port(servers)?])
    }

    fn evidence(&mut self) -> Result<Evidence, Failure> {
        // Counters reach the rules when the revalidators have made a round.
        self.appctl(&["revalidator/wait"])?;
        let dump = self.ofctl("dump-flows", None)?;
        let connections = self.appctl(&["dpctl/ct-get-nconns"])?;
        Ok(Evidence {
            rules: dump.lines().filter_map(rule_count).collect(),
            connections: connections.trim().parse().ok(),
        })
    }

    fn busy(&mut self) -> Result<Busy, Failure> {
        let text = self.appctl(&["dpif-netdev/pmd-stats-show"])?;
        busy(&text).ok_or_else(|| self.daemon.failure("does not say what its threads did"))
    }
}

/// What all poll threads have done.
fn busy(text: &str) -> Option<Busy> {
    let sum = |key: &str| {
        let lines = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix(key));
        let numbers = lines.map(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        numbers.sum::<Option<u64>>()
    };
    let busy = Busy {
        packets: sum("packets received:")?,
        cycles: sum("processing cycles:")?,
    };
    (busy.cycles > 0).then_some(busy)
}

/// Cookie and packets of a line of `dump-flows`.
fn rule_count(line: &str) -> Option<(u64, u64)> {
    let value = |key: &str| {
        let rest = &line[line.find(key)? + key.len()..];
        rest.split(',').next()
    };
    let cookie = u64::from_str_radix(value("cookie=0x")?, 16).ok()?;
    Some((cookie, value("n_packets=")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::Busy;

    #[test]
    fn busy_cycles_are_read() {
        let text = "\
pmd thread numa_id 0 core_id 1:
  packets received: 1000000
  packet recirculations: 1000000
  idle cycles: 1234 (0.10%)
  processing cycles: 3333333333 (99.90%)
  avg cycles per packet: 3334.57 (3333334567/1000000)
main thread:
  packets received: 0
  packet recirculations: 0
";
        let expected = Busy {
            packets: 1_000_000,
            cycles: 3_333_333_333,
        };
        assert_eq!(super::busy(text), Some(expected));
        assert_eq!(super::busy("main thread:\n  packets received: 0\n"), None);
    }

    #[test]
    fn dumped_flows_are_read() {
        let line = " cookie=0x1f, duration=6.605s, table=0, n_packets=6473056, n_bytes=1, \
                    priority=100,ip actions=ct(table=1)";
        assert_eq!(super::rule_count(line), Some((31, 6_473_056)));
        assert_eq!(
            super::rule_count("OFPST_FLOW reply (OF1.3) (xid=0x2):"),
            None
        );
    }
}
