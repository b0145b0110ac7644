//! A private Open vSwitch: `ovsdb-server` and `ovs-vswitchd --enable-dummy` in a temporary
//! directory, with the clock stopped and moved by hand.
//!
//! The datapath of type `dummy` is the userspace datapath (`dpif-netdev`) with its connection
//! tracker; its ports take frames as hexadecimal text and write what they send to a capture.
//!
//! Invariants
//!   1. After [`Ovs::run`] has injected a frame, every frame that it causes has been sent
//!      before the next one goes in.
//!   2. No cached datapath flow serves a second frame: each is translated from the OpenFlow
//!      tables, so counters and MAC learning are exact.

use std::fs::File;
use std::io;
use std::io::Read;
use std::path::PathBuf;

mod daemons;
mod tunnel;

use super::case::{Case, Packet, PortSpec, Question, port_name};
use super::commands::{CommandCase, REFUSED};
use super::expectation::Side;
use super::outcome::{Outcome, SentFrame};
use super::unixctl::UnixCtl;
pub(crate) use daemons::{Daemons, checked, command};
pub use tunnel::{TunnelCase, TunnelOutcome};

/// Two tags are parsed, as in weir; by default Open vSwitch parses one.
const VLAN_LIMIT: &str = "other_config:vlan-limit=2";

/// Control commands served by one turn of the daemon's main loop, and one more. After that
/// many calls the loop has turned, so what was queued before them is done.
const CALLS_PER_TURN: usize = 11;

/// Size in bytes of the header of a capture file, and of that of each record in it.
const PCAP_HEADER_SIZE: usize = 24;
const PCAP_RECORD_SIZE: usize = 16;

/// The bridge that each case gets.
const BRIDGE: &str = "br0";

/// Why Open vSwitch gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum OvsError {
    /// A program of Open vSwitch is not there.
    #[error("Open vSwitch is not installed ({0} not found; Debian package openvswitch-switch)")]
    Absent(String),
    /// A program failed; its error text.
    #[error("{0}")]
    Failed(String),
    /// The operating system refused something.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// The running daemons. Dropping it kills them and removes their directory.
pub struct Ovs {
    control: UnixCtl,
    captures_made: usize,
    daemons: Daemons,
}

impl Ovs {
    /// Starts both daemons and waits until they answer.
    ///
    /// # Errors
    /// [`OvsError::Absent`] if Open vSwitch is not installed; otherwise what went wrong, with
    /// the daemon's log.
    pub fn start() -> Result<Self, OvsError> {
        let options = ["--enable-dummy"];
        let daemons = Daemons::start(&[], &options, &[VLAN_LIMIT])?;
        let control = UnixCtl::connect(&daemons.control())?;
        Ok(Self {
            control,
            captures_made: 0,
            daemons,
        })
    }

    /// The version of the running switch, as it prints it.
    ///
    /// # Errors
    /// If the daemon does not answer.
    pub fn version(&mut self) -> Result<String, OvsError> {
        Ok(self.call("version", &[])?.trim().to_owned())
    }

    /// Runs one case on a fresh bridge with no connections and the clock stopped.
    ///
    /// # Errors
    /// If Open vSwitch refuses the flows or a command of the case, or gives no answer.
    pub fn run(&mut self, case: &Case) -> Result<Outcome, OvsError> {
        let mut captures = self.make_bridge(&case.ports)?;
        if !case.groups.is_empty() {
            // Groups of OpenFlow 1.3 have no selection method.
            let groups = case.groups.join("\n");
            self.ofctl_of("OpenFlow15", &["add-groups"], &["-"], &groups)?;
        }
        self.ofctl(&["add-flows"], &["-"], &case.flow_file(Side::Ovs))?;
        for line in &case.ovs_commands {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.split_first().expect("a command line is not empty") {
                (&"ovs-vsctl", arguments) => self.daemons.vsctl(arguments)?,
                (method, arguments) => self.call(method, arguments)?,
            };
        }
        let mut sent = Vec::new();
        let mut answers = Vec::new();
        let mut questions = case.questions.iter().peekable();
        let mut now_ms = 0;
        for packet in &case.packets {
            while let Some(asked) = questions.next_if(|asked| asked.packets <= sent.len()) {
                answers.push(self.ask(asked, &mut now_ms)?);
            }
            self.advance(packet.time_ms - now_ms)?;
            now_ms = packet.time_ms;
            self.inject(packet)?;
            let mut frames = Vec::new();
            for capture in &mut captures {
                let port = capture.port.clone();
                let read = capture.new_frames()?;
                frames.extend(read.into_iter().map(|frame| SentFrame {
                    port: port.clone(),
                    frame,
                }));
            }
            sent.push(frames);
        }
        for asked in questions {
            answers.push(self.ask(asked, &mut now_ms)?);
        }
        let conntrack = self.call("dpctl/dump-conntrack", &[])?;
        let conntrack = conntrack.lines().map(str::to_owned).collect();
        let dump = self.ofctl(&["dump-flows"], &[], "")?;
        let outcome = Outcome::new(sent, conntrack, dump.lines(), case.flows.len());
        let outcome = outcome.map_err(OvsError::Failed)?.with_answers(answers);
        if case.groups.is_empty() {
            return Ok(outcome);
        }
        let groups = self.ofctl(&["dump-group-stats"], &[], "")?;
        Ok(outcome.with_groups(groups.lines()))
    }

    /// The answer to a question of a case; `None` if it is refused.
    fn ask(&mut self, asked: &Question, now_ms: &mut u64) -> Result<Option<String>, OvsError> {
        self.advance(asked.time_ms - *now_ms)?;
        *now_ms = asked.time_ms;
        let words: Vec<&str> = asked.words.iter().map(String::as_str).collect();
        let (verb, arguments) = words.split_first().expect("a question is not empty");
        if *verb == "ct-flush" {
            return match self.ofctl(&[verb], arguments, "") {
                Ok(text) => Ok(Some(text)),
                Err(OvsError::Failed(_)) => Ok(None),
                Err(error) => Err(error),
            };
        }
        Ok(self.control.call(&format!("dpctl/{verb}"), arguments).ok())
    }

    /// What Open vSwitch answers to each command of a sequence.
    ///
    /// # Errors
    /// If it does not answer at all.
    pub fn run_commands(&mut self, case: &CommandCase) -> Result<Vec<Vec<String>>, OvsError> {
        let ports = ["1", "2", "3"].map(|number| PortSpec {
            number: number.to_owned(),
            settings: Vec::new(),
        });
        self.make_bridge(&ports)?;
        let mut answers = Vec::new();
        for step in &case.steps {
            let verb: Vec<&str> = step.verb.iter().map(String::as_str).collect();
            let input = step.input.join("\n") + "\n";
            let done = match verb[..] {
                _ if step.only_asks() => Ok(String::new()),
                ["add-flows"] => self.ofctl(&verb, &["-"], &input),
                // What the tool speaks unless told otherwise: later versions neither add a flow
                // nor change a cookie.
                ["mod-flows"] | ["--strict", "mod-flows"] => {
                    self.ofctl_of("OpenFlow10", &verb, &[input.trim_end()], "")
                }
                _ => self.ofctl(&verb, &[input.trim_end()], ""),
            };
            let shown: Vec<&str> = step.shown().into_iter().collect();
            let dump = done.and_then(|_| self.ofctl(&["--no-stats", "dump-flows"], &shown, ""));
            let mut lines: Vec<String> = match dump {
                Ok(dump) => dump.lines().map(|line| line.trim().to_owned()).collect(),
                Err(OvsError::Failed(_)) => vec![REFUSED.to_owned()],
                Err(error) => return Err(error),
            };
            lines.sort();
            answers.push(lines);
        }
        Ok(answers)
    }

    /// What `dpctl` answers to each command behind packets that came in at port 1 of two, which obey
    /// `flows`; an error's text if it refuses. What is in `before` is said before they come.
    ///
    /// # Errors
    /// If Open vSwitch refuses the policy, `before`, or does not answer.
    pub fn dpctl(
        &mut self,
        flows: &str,
        before: &[&str],
        packets: &[Vec<u8>],
        commands: &[&str],
    ) -> Result<Vec<Result<String, String>>, OvsError> {
        let ports = ["1", "2"].map(|number| PortSpec {
            number: number.to_owned(),
            settings: Vec::new(),
        });
        self.make_bridge(&ports)?;
        self.ofctl(&["add-flows"], &["-"], flows)?;
        let split = |line: &str| -> (String, Vec<String>) {
            let mut words = line.split(' ').map(str::to_owned);
            let verb = words.next().unwrap_or_default();
            (format!("dpctl/{verb}"), words.collect())
        };
        for line in before {
            let (verb, words) = split(line);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            self.call(&verb, &words)?;
        }
        for frame in packets {
            self.inject_at("1", frame)?;
        }
        let mut answers = Vec::new();
        for line in commands {
            let (verb, words) = split(line);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            answers.push(self.control.call(&verb, &words));
        }
        Ok(answers)
    }

    /// What `ofproto/trace` says of each flow, with `--ct-next` for each of its states, on a switch
    /// with ports of these numbers.
    ///
    /// # Errors
    /// If Open vSwitch refuses the policy or does not answer.
    pub fn traces(
        &mut self,
        ports: &[u32],
        groups: &str,
        flows: &str,
        questions: &[(&str, &[&str])],
    ) -> Result<Vec<String>, OvsError> {
        let spec = |number: &u32| PortSpec {
            number: number.to_string(),
            settings: Vec::new(),
        };
        let ports: Vec<_> = ports.iter().map(spec).collect();
        self.make_bridge(&ports)?;
        if !groups.is_empty() {
            self.ofctl_of("OpenFlow15", &["add-groups"], &["-"], groups)?;
        }
        self.ofctl(&["add-flows"], &["-"], flows)?;
        let mut traces = Vec::new();
        for (flow, states) in questions {
            let mut arguments = vec![BRIDGE, flow];
            for state in *states {
                arguments.extend(["--ct-next", state]);
            }
            traces.push(self.call("ofproto/trace", &arguments)?);
        }
        Ok(traces)
    }

    fn make_bridge(&mut self, ports: &[PortSpec]) -> Result<Vec<Capture>, OvsError> {
        let mut captures = Vec::new();
        let mut words: Vec<String> = ["add-br", BRIDGE, "--", "set", "bridge", BRIDGE]
            .into_iter()
            .chain([
                "datapath_type=dummy",
                "fail-mode=secure",
                "protocols=OpenFlow10,OpenFlow13,OpenFlow15",
            ])
            .map(str::to_owned)
            .collect();
        for port in ports {
            self.captures_made += 1;
            let path = self
                .daemons
                .dir()
                .join(format!("sent-{}.pcap", self.captures_made));
            let name = port.name();
            words.push("--".to_owned());
            if !port.is_local() {
                words.extend(["add-port", BRIDGE, &name].map(str::to_owned));
                words.extend(
                    port.settings
                        .iter()
                        .map(|(key, value)| format!("{key}={value}")),
                );
                words.push("--".to_owned());
            }
            words.extend(["set", "interface", &name].map(str::to_owned));
            words.push(format!("options:tx_pcap={}", path.display()));
            if !port.is_local() {
                words.push("type=dummy".to_owned());
                words.push(format!("ofport_request={}", port.number));
            }
            captures.push(Capture {
                port: port.number.clone(),
                path,
                file: None,
            });
        }
        // Limits and timeouts of zones are the datapath's, in the database too.
        self.daemons.vsctl(&[
            "--if-exists",
            "del-br",
            BRIDGE,
            "--",
            "clear",
            "Open_vSwitch",
            ".",
            "datapaths",
        ])?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.daemons.vsctl(&words)?;
        self.call("dpctl/flush-conntrack", &[])?;
        self.call("time/stop", &[])?;
        Ok(captures)
    }

    fn advance(&mut self, millis: u64) -> Result<(), OvsError> {
        if millis > 0 {
            self.call("time/warp", &[&millis.to_string()])?;
            self.turn()?;
        }
        Ok(())
    }

    fn inject(&mut self, packet: &Packet) -> Result<(), OvsError> {
        self.inject_at(&packet.port, &packet.frame)
    }

    fn inject_at(&mut self, port: &str, frame: &[u8]) -> Result<(), OvsError> {
        let name = port_name(port);
        let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        self.call("netdev-dummy/receive", &[&name, &hex])?;
        self.turn()?;
        // Counters move from the datapath's flows to the rules, and the flows go.
        self.call("revalidator/purge", &[])?;
        Ok(())
    }

    /// Returns when the daemon's main loop has turned at least once.
    fn turn(&mut self) -> Result<(), OvsError> {
        for _ in 0..CALLS_PER_TURN {
            self.call("version", &[])?;
        }
        Ok(())
    }

    fn call(&mut self, method: &str, arguments: &[&str]) -> Result<String, OvsError> {
        self.control.call(method, arguments).map_err(|error| {
            let log = self.daemons.log();
            OvsError::Failed(format!("{error}\n{}", daemons::tail(&log)))
        })
    }

    fn ofctl(&self, verb: &[&str], arguments: &[&str], input: &str) -> Result<String, OvsError> {
        self.ofctl_of("OpenFlow13", verb, arguments, input)
    }

    fn ofctl_of(
        &self,
        version: &str,
        verb: &[&str],
        arguments: &[&str],
        input: &str,
    ) -> Result<String, OvsError> {
        let daemons = &self.daemons;
        daemons.ofctl(BRIDGE, version, verb, arguments, input)
    }
}

/// What one port has sent; grows while the switch runs.
struct Capture {
    port: String,
    path: PathBuf,
    file: Option<File>,
}

impl Capture {
    /// The frames that were sent since the last call, in order.
    fn new_frames(&mut self) -> Result<Vec<Vec<u8>>, OvsError> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let mut file = File::open(&self.path)?;
                file.read_exact(&mut [0; PCAP_HEADER_SIZE])?;
                self.file.insert(file)
            }
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let mut frames = Vec::new();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let cut_off = || OvsError::Failed("a capture ends within a record".to_owned());
            let (header, behind) = rest
                .split_at_checked(PCAP_RECORD_SIZE)
                .ok_or_else(cut_off)?;
            let size = u32::from_ne_bytes(header[8..12].try_into().expect("four bytes"));
            let (frame, behind) = behind.split_at_checked(size as usize).ok_or_else(cut_off)?;
            frames.push(frame.to_vec());
            rest = behind;
        }
        Ok(frames)
    }
}
