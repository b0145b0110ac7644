//! Verbs about connections beside those of `ovs-appctl dpctl`: the same limits, packets and commands,
//! weir's over its control socket.
//!
//! Where Open vSwitch is not installed weir is held against what is written here only; with
//! `CI=true` that is a failure.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use weir_config::control::{self, Frame, Limits, Request, Server, Verb};
use weir_config::file::{Config, Control, FlowSource, NamedText};
use weir_config::management::Management;
use weir_config::policy::Policy;
use weir_config::show::write_limits;
use weir_packet::{Tick, VecFrame, text};
use weir_tables::classifier::HashSecret;
use weir_tables::counters::LcoreCounters;
use weir_tables::datapath::{Datapath, LcoreGone, PollStats, PortStatus};
use weir_tables::lcore::{Lcore, LcoreAnswer, LcoreRequest};
use weir_tables::packet_in::PacketIn;
use weir_tables::pipeline::Output;
use weir_tables::port::PortIndex;
use weir_tables::snapshot::Snapshot;
use weir_tests::differential::{Ovs, OvsError};

const FLOWS: &str = "table=0,udp,tp_dst=9 actions=ct(commit,zone=9),output:2
    table=0,ip actions=ct(commit,zone=3),output:2";

/// What comes in at port 1 before anything is asked.
const PACKETS: [&str; 8] = [
    "tcp 10.0.0.1:1000 > 10.0.0.2:80 S",
    "tcp 10.0.0.1:1001 > 10.0.0.2:80 S",
    "tcp 10.0.0.1:1002 > 10.0.0.2:80 A",
    "udp 10.0.0.1:5 > 10.0.0.2:53",
    "udp 10.0.0.1:6 > 10.0.0.2:9",
    "icmp 10.0.0.1 > 10.0.0.2 echo-request id=7 seq=1",
    "ip proto=47 10.0.0.1 > 10.0.0.2 data=00000800",
    "udp [fc00::1]:5 > [fc00::2]:53",
];

/// A command, and what both answer: sorted lines, `-` if it is refused.
const COMMANDS: &[(&str, &str)] = &[
    ("ct-set-limits default=10 zone=3,limit=9 zone=2,limit=0", ""),
    (
        "ct-get-limits",
        "default limit=10\nzone=2,limit=0,count=0\nzone=3,limit=9,count=6",
    ),
    (
        "ct-get-limits zone=2,7",
        "default limit=10\nzone=2,limit=0,count=0\nzone=7,limit=10,count=0",
    ),
    ("ct-set-limits limit=0x20,zone=0x10", ""),
    ("ct-set-limits zone=5", "-"),
    ("ct-set-limits zone=5,limit=x", "-"),
    ("ct-set-limits zone=70000,limit=1", "-"),
    ("ct-set-limits zone=3,limit=1 default=7", "-"),
    ("ct-set-limits zone=3,limit=1,foo=3", "-"),
    ("ct-set-limits default=x", "-"),
    ("ct-get-limits zone=x", "-"),
    ("ct-get-limits 3", "-"),
    ("ct-del-limits zone=2,16,100", ""),
    ("ct-del-limits zone=x", "-"),
    ("ct-del-limits 1", "-"),
    ("ct-set-limits default=0", ""),
    ("ct-get-limits", "default limit=0\nzone=3,limit=9,count=6"),
    (
        "ct-stats-show",
        "  ICMP: 1\n  Other: 1\n  TCP: 3\n  UDP: 2\n    Total: 7\nConnections Stats:",
    ),
    (
        "ct-stats-show zone=9",
        "  UDP: 1\n    Total: 1\nConnections Stats:",
    ),
    ("ct-stats-show zone=4", "    Total: 0\nConnections Stats:"),
    (
        "dump-conntrack zone=9",
        "udp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=6,dport=9),\
         reply=(src=10.0.0.2,dst=10.0.0.1,sport=9,dport=6),zone=9",
    ),
    ("flush-conntrack zone=3 ct_tp_src=7", "-"),
    (
        "ct-stats-show zone=3",
        "  ICMP: 1\n  Other: 1\n  TCP: 3\n  UDP: 1\n    Total: 6\nConnections Stats:",
    ),
    ("flush-conntrack zone=3", ""),
    (
        "ct-stats-show",
        "  UDP: 1\n    Total: 1\nConnections Stats:",
    ),
    ("flush-conntrack", ""),
    ("ct-stats-show", "    Total: 0\nConnections Stats:"),
];

struct OneLcore {
    lcore: Lcore,
    now: Tick,
}

struct Nowhere;

impl Output<VecFrame> for Nowhere {
    fn send(&mut self, _port: PortIndex, _frame: VecFrame) {}
}

impl Datapath for OneLcore {
    fn now(&self) -> Tick {
        self.now
    }

    fn counters(&self) -> Vec<Arc<LcoreCounters>> {
        vec![self.lcore.counters()]
    }

    fn poll_stats(&self) -> Vec<PollStats> {
        vec![PollStats::default()]
    }

    fn publish(&mut self, snapshot: Arc<Snapshot>) {
        self.lcore.refresh(snapshot);
    }

    fn oldest_generation(&mut self) -> u64 {
        self.lcore.snapshot().generation
    }

    fn ask(&mut self, _lcore: usize, request: LcoreRequest) -> Result<LcoreAnswer, LcoreGone> {
        Ok(self.lcore.answer(request, self.now))
    }

    fn packet_ins(&mut self, _read: &mut dyn FnMut(&PacketIn)) {}

    fn ports(&self) -> Vec<PortStatus> {
        Vec::new()
    }
}

/// weir with a control socket.
struct Weir {
    directory: TempDir,
    _server: Server,
}

impl Weir {
    fn start() -> Self {
        let mut config = Config::embedded();
        let flows = NamedText {
            name: "test.flows".to_owned(),
            text: FLOWS.to_owned(),
        };
        config.bridge.flows = vec![FlowSource::Embedded(flows)];
        config.conntrack.max_connections = 1_000;
        let mut policy = Policy::load(&config, 1, HashSecret(1), Tick::ZERO).expect("right flows");
        let snapshot = Arc::new(policy.tables.snapshot(&policy.ports));
        let mut lcore = Lcore::new(0, snapshot, &policy.conntrack, 1);
        let now = Tick::ZERO;
        for packet in PACKETS {
            let frame: VecFrame = text::frame(packet);
            lcore.process(PortIndex(0), std::iter::once(frame), now, &mut Nowhere);
        }
        let directory = tempfile::tempdir().expect("a directory");
        let control = Control {
            socket: directory.path().join("weir.sock"),
            mode: 0o600,
            owner: None,
            group: None,
        };
        let server = Server::start(&control, Limits::default()).expect("it starts");
        let requests = server.requests();
        thread::spawn(move || {
            let mut management = Management::new(config, None, policy, OneLcore { lcore, now });
            management.run(&requests, || false);
        });
        Self {
            directory,
            _server: server,
        }
    }

    /// The lines that a command of `dpctl` answers; `Err` if it is refused.
    fn dpctl(&self, line: &str) -> Result<String, String> {
        let mut words = line.split(' ').map(str::to_owned);
        let name = words.next().expect("a command");
        let words: Vec<String> = words.collect();
        let verb = match name.as_str() {
            "ct-get-limits" => Verb::CtGetLimits { limits: words },
            "ct-set-limits" => Verb::CtSetLimits { limits: words },
            "ct-del-limits" => Verb::CtDelLimits { limits: words },
            "ct-stats-show" => Verb::CtStatsShow {
                more: false,
                json: false,
                filter: words,
            },
            "dump-conntrack" => Verb::DumpConntrack {
                more: false,
                statistics: false,
                json: false,
                filter: words,
            },
            "flush-conntrack" => Verb::FlushConntrack { filter: words },
            other => panic!("there is no {other} here"),
        };
        let request = Request { bridge: None, verb };
        let socket = self.directory.path().join("weir.sock");
        let mut text = Vec::new();
        for frame in control::call(&socket, request).map_err(|error| error.to_string())? {
            match frame.map_err(|error| error.to_string())? {
                Frame::Limits(rows) => write_limits(&mut text, &rows).expect("memory is written"),
                Frame::Lines(lines) => text.extend((lines.join("\n") + "\n").bytes()),
                other => panic!("an answer to another question: {other:?}"),
            }
        }
        Ok(String::from_utf8(text).expect("text"))
    }
}

fn answer(answered: Result<String, String>) -> String {
    match answered {
        Ok(text) => {
            let mut lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
            lines.sort_unstable();
            lines.join("\n")
        }
        Err(_) => "-".to_owned(),
    }
}

#[test]
fn verbs_about_connections_answer_as_those_of_dpctl() {
    let weir = Weir::start();
    let packets: Vec<Vec<u8>> = PACKETS
        .iter()
        .map(|packet| text::frame(packet).bytes().to_vec())
        .collect();
    let commands: Vec<_> = COMMANDS.iter().map(|(command, _)| *command).collect();
    // Open vSwitch counts only in zones that have a limit when a connection comes.
    const BEFORE: [&str; 2] = ["ct-set-limits zone=3,limit=1000", "ct-get-limits"];
    let ovs = match Ovs::start() {
        Ok(mut ovs) => {
            let answers = ovs.dpctl(FLOWS, &BEFORE, &packets, &commands);
            Some(answers.unwrap_or_else(|error| panic!("{error}")))
        }
        Err(error @ OvsError::Absent(_)) if std::env::var("CI").as_deref() != Ok("true") => {
            eprintln!("SKIPPED: {error}: weir is held against recorded answers only");
            None
        }
        Err(error) => panic!("{error}"),
    };
    let mut failures = String::new();
    for (at, (command, wanted)) in COMMANDS.iter().enumerate() {
        let mut answers = vec![("weir", answer(weir.dpctl(command)))];
        if let Some(ovs) = &ovs {
            answers.push(("ovs", answer(ovs[at].clone())));
        }
        for (who, answered) in answers {
            if answered != answer(Ok((*wanted).to_owned())) {
                failures += &format!("{command}\n  {who}:\n{answered}\n  expected:\n{wanted}\n");
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn a_monitor_of_connections_hears_over_the_socket() {
    let weir = Weir::start();
    let socket = weir.directory.path().join("weir.sock");
    let verb = Verb::MonitorConntrack {
        json: true,
        filter: vec!["zone=9".to_owned()],
    };
    let request = Request { bridge: None, verb };
    let mut heard = control::call(&socket, request).expect("it listens");
    // The monitor listens once its request was taken, which comes before the next.
    thread::sleep(Duration::from_millis(200));
    weir.dpctl("flush-conntrack").expect("all go");
    let row = loop {
        match heard.next().expect("no end").expect("no failure") {
            Frame::Events(rows) if rows.is_empty() => {}
            Frame::Events(rows) => break serde_json::to_value(&rows[0]).expect("rows are JSON"),
            other => panic!("a monitor is told events, not {other:?}"),
        }
    };
    let row = &row["connection"];
    assert_eq!(
        (&row["event"], &row["reason"]),
        (&"destroyed".into(), &"flushed".into())
    );
    assert_eq!(row["connection"]["zone"], 9);
    assert_eq!(row["connection"]["original"]["packets"], 1);
}
