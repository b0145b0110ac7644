//! Requests answered over a datapath of one lcore that runs in this thread.

use weir_packet::{Tick, VecFrame, text};
use weir_tables::cache::{CacheSettings, MegaflowSettings, TrajectorySettings};
use weir_tables::classifier::HashSecret;
use weir_tables::counters::LcoreCounters;
use weir_tables::datapath::{
    DeviceConfig, PollStats, PortStats, PortStatus, QueueAffinity, RxQueueStats,
};
use weir_tables::lcore::Lcore;
use weir_tables::packet_in::{self, PacketIn, PacketInSettings, PacketIns};
use weir_tables::pipeline::Output;
use weir_tables::port::{PortIndex, PortNo};
use weir_tables::snapshot::Snapshot;

use super::*;
use crate::control::{self, FailureKind, FlowStyle, FlowVerb, PortChange, SortBy};
use crate::file::FlowSource;
use crate::show::Statistics;

mod connections;
mod groups;
mod limits;
mod loads;
mod nat;
mod options;
mod reload;
mod trace;

struct OneLcore {
    lcore: Lcore,
    links: Vec<(PortNo, bool)>,
    packet_ins: PacketIns,
    sent: Vec<PortIndex>,
    /// What was shown to the other ends of ports.
    shown: Vec<(PortNo, bool)>,
    /// What was done to devices, in order.
    devices: Vec<String>,
    /// A device that does not open.
    broken: Option<&'static str>,
    /// Devices that have disappeared.
    lost: Vec<PortIndex>,
    polls: PollStats,
    rx_queues: Vec<RxQueueStats>,
    now: Tick,
}

struct Sent<'a>(&'a mut Vec<PortIndex>);

impl Output<VecFrame> for Sent<'_> {
    fn send(&mut self, port: PortIndex, _frame: VecFrame) {
        self.0.push(port);
    }
}

impl Datapath for OneLcore {
    fn now(&self) -> Tick {
        self.now
    }

    fn counters(&self) -> Vec<Arc<LcoreCounters>> {
        vec![self.lcore.counters()]
    }

    fn poll_stats(&self) -> Vec<PollStats> {
        vec![PollStats {
            lcore: 1,
            ..self.polls
        }]
    }

    fn rx_queues(&self) -> Vec<RxQueueStats> {
        self.rx_queues.clone()
    }

    fn publish(&mut self, snapshot: Arc<Snapshot>) {
        self.lcore.refresh(snapshot);
    }

    fn oldest_generation(&mut self) -> u64 {
        self.lcore.snapshot().generation
    }

    fn ask(&mut self, _lcore: usize, request: LcoreRequest) -> Result<LcoreAnswer, LcoreGone> {
        let LcoreRequest::PacketOut { frame, order } = request else {
            return Ok(self.lcore.answer(request, self.now));
        };
        let (frame, mut sent) = (VecFrame::new(&frame), Sent(&mut self.sent));
        self.lcore.packet_out(frame, &order, self.now, &mut sent);
        Ok(LcoreAnswer::PacketSent(Ok(())))
    }

    fn packet_ins(&mut self, read: &mut dyn FnMut(&PacketIn)) {
        self.packet_ins.drain(read);
    }

    fn ports(&self) -> Vec<PortStatus> {
        let snapshot = self.lcore.snapshot();
        let status = |no| PortStatus {
            no,
            mac: [2, 0, 0, 0, 0, 1],
            link_up: true,
            speed_mbps: 0,
            driver: "net_test".to_owned(),
            stats: PortStats::default(),
        };
        snapshot
            .ports
            .iter()
            .map(|(_, port)| status(port.no))
            .collect()
    }

    fn show_link(&mut self, port: PortNo, up: bool) {
        self.shown.push((port, up));
    }

    fn port_places(&self) -> usize {
        4
    }

    fn start_port(&mut self, index: PortIndex, wanted: &DeviceConfig) -> Result<(), String> {
        let DeviceConfig { device, mtu, .. } = wanted;
        if self
            .broken
            .is_some_and(|broken| device.to_string() == broken)
        {
            return Err(format!("{device} is broken"));
        }
        self.devices
            .push(format!("open {} {device} mtu {mtu}", index.0));
        Ok(())
    }

    fn check_lcores(&self, cpus: &[u16]) -> Result<(), String> {
        match cpus.contains(&99) {
            true => Err("CPU 99 is not there".to_owned()),
            false => Ok(()),
        }
    }

    fn move_to_lcores(&mut self, cpus: &[u16]) -> Result<Duration, String> {
        self.check_lcores(cpus)?;
        self.devices.push(format!("lcores {cpus:?}"));
        Ok(Duration::ZERO)
    }

    fn attach_port(&mut self, index: PortIndex) -> Result<(), LcoreGone> {
        let ports = &self.lcore.snapshot().ports;
        let known = ports.iter().any(|(known, _)| known == index);
        assert!(known, "the snapshot that is obeyed knows what is polled");
        self.devices.push(format!("attach {}", index.0));
        Ok(())
    }

    fn remove_port(&mut self, index: PortIndex) -> Result<(), LcoreGone> {
        self.lost.retain(|lost| *lost != index);
        self.devices.push(format!("close {}", index.0));
        Ok(())
    }

    fn deal_queues(&mut self, ports: &[(PortIndex, QueueAffinity)]) -> Result<(), LcoreGone> {
        let given = ports
            .iter()
            .map(|(index, given)| format!(" {} {given:?}", index.0));
        self.devices
            .push(format!("deal{}", given.collect::<String>()));
        Ok(())
    }

    fn lost_devices(&mut self) -> Vec<PortIndex> {
        self.lost.clone()
    }

    fn links(&self) -> Vec<(PortNo, bool)> {
        self.links.clone()
    }
}

fn management(flows: &str) -> Management<OneLcore> {
    let mut config = Config::embedded();
    let text = NamedText {
        name: "test.flows".to_owned(),
        text: flows.to_owned(),
    };
    config.bridge.flows = vec![FlowSource::Embedded(text)];
    config.conntrack.max_connections = 5_000;
    let mut policy = Policy::load(&config, 1, HashSecret(1), Tick::ZERO).expect("right flows");
    let snapshot = Arc::new(policy.tables.snapshot(&policy.ports));
    let lcore = Lcore::new(0, snapshot, &policy.conntrack, 1).with_caches(CacheSettings {
        trajectories: Some(TrajectorySettings { entries: 64 }),
        megaflows: Some(MegaflowSettings {
            entries: 64,
            ..MegaflowSettings::default()
        }),
    });
    let (sender, packet_ins) = packet_in::channel(PacketInSettings::default());
    let datapath = OneLcore {
        lcore: lcore.with_packet_ins(sender),
        links: Vec::new(),
        packet_ins,
        sent: Vec::new(),
        shown: Vec::new(),
        devices: Vec::new(),
        broken: None,
        lost: Vec::new(),
        polls: PollStats::default(),
        rx_queues: Vec::new(),
        now: Tick::ZERO,
    };
    Management::new(config, None, policy, datapath)
}

impl Management<OneLcore> {
    /// A packet comes in at the port with this index; returns the indexes it leaves at.
    fn inject(&mut self, port: u16, packet: &str) -> Vec<u16> {
        let frame = text::frame(packet);
        let datapath = &mut self.datapath;
        let mut out = Sent(&mut datapath.sent);
        datapath.lcore.process(
            PortIndex(port),
            std::iter::once(frame),
            datapath.now,
            &mut out,
        );
        // What is sent to a port that was removed finds no queue there.
        let ports = &datapath.lcore.snapshot().ports;
        std::mem::take(&mut datapath.sent)
            .into_iter()
            .filter(|sent| ports.iter().any(|(index, _)| index == *sent))
            .map(|port| port.0)
            .collect()
    }

    /// All frames of the answer to `verb`.
    fn ask(&mut self, verb: Verb) -> Result<Vec<Frame>, Failure> {
        let (reply, answer) = control::test_channel();
        self.answer(verb, reply);
        let reader = std::thread::spawn(move || answer.collect::<Vec<_>>());
        while !reader.is_finished() {
            self.look_after();
            std::thread::yield_now();
        }
        let mut frames = reader.join().expect("the reader does not panic");
        match frames.pop() {
            Some(Frame::Done) => Ok(frames),
            Some(Frame::Failed(failure)) => Err(failure),
            other => panic!("an answer ends with an end, not {other:?}"),
        }
    }

    fn flow_lines(&mut self) -> Vec<String> {
        let frames = self.ask(dump(None, FlowStyle::default())).expect("a dump");
        let rows = frames.into_iter().flat_map(|frame| match frame {
            Frame::Flows(rows) => rows,
            other => panic!("not flows: {other:?}"),
        });
        rows.map(|row| row.line(Statistics::Omitted)).collect()
    }
}

fn dump(matching: Option<&str>, style: FlowStyle) -> Verb {
    let matching = matching.map(str::to_owned);
    Verb::DumpFlows { matching, style }
}

fn add(text: &str) -> Verb {
    let file = NamedText {
        name: "more.flows".to_owned(),
        text: text.to_owned(),
    };
    Verb::AddFlows { file }
}

const A_TO_B: &str = "udp 10.0.0.1:5 > 10.0.0.2:6";

#[test]
fn an_added_flow_is_obeyed_by_the_next_packet() {
    let mut management = management("arp actions=drop");
    assert!(management.inject(0, A_TO_B).is_empty());
    management
        .ask(Verb::AddFlow {
            flow: "udp actions=output:weir1".into(),
        })
        .unwrap();
    assert_eq!(management.inject(0, A_TO_B), [1]);
    management
        .ask(Verb::DelFlows {
            strict: false,
            matching: Some("udp".into()),
        })
        .unwrap();
    assert!(management.inject(0, A_TO_B).is_empty());
    assert_eq!(management.flow_lines(), ["arp actions=drop"]);
}

#[test]
fn a_file_with_one_wrong_line_changes_nothing_and_says_where() {
    let mut management = management("arp actions=drop");
    let failure = management
        .ask(add("udp actions=drop\ntcp actions=group:1\n"))
        .unwrap_err();
    assert_eq!(failure.kind, FailureKind::Input);
    assert!(
        failure
            .message
            .starts_with("more.flows:2:1: there is no group 1 (OFPBAC_BAD_OUT_GROUP)\n")
    );
    assert_eq!(management.flow_lines(), ["arp actions=drop"]);
}

#[test]
fn counts_survive_a_replacement_that_keeps_the_flow() {
    let mut management = management("udp actions=output:3\narp actions=drop");
    management.inject(0, A_TO_B);
    let text = "udp actions=output:3\nicmp actions=drop".to_owned();
    let file = NamedText {
        name: "new.flows".into(),
        text,
    };
    management.ask(Verb::ReplaceFlows { file }).unwrap();
    management.inject(0, A_TO_B);
    let frames = management
        .ask(dump(Some("udp"), FlowStyle::default()))
        .unwrap();
    let [Frame::Flows(rows)] = &frames[..] else {
        panic!("one frame of flows")
    };
    assert_eq!((rows[0].n_packets, rows.len()), (2, 1));
    assert_eq!(
        management.flow_lines(),
        ["udp actions=output:3", "icmp actions=drop"]
    );
}

#[test]
fn reload_of_the_files_shows_what_was_changed_by_hand_and_keeps_it() {
    let mut management = management("arp actions=drop");
    management.ask(add("udp actions=drop")).unwrap();
    let reload = |dry_run, exact| Verb::Reload {
        files: None,
        dry_run,
        exact,
        confirm: None,
    };
    let kept = management.ask(reload(true, false)).unwrap();
    let [Frame::Reloaded(report)] = &kept[..] else {
        panic!("one report")
    };
    assert_eq!(report.kept, ["udp actions=drop"]);
    let gone = management.ask(reload(false, true)).unwrap();
    let [Frame::Reloaded(report)] = &gone[..] else {
        panic!("one report")
    };
    assert_eq!(report.deleted, ["udp actions=drop"]);
    assert_eq!(management.flow_lines(), ["arp actions=drop"]);
}

#[test]
fn a_long_dump_reaches_a_slow_reader_whole() {
    let mut management = management("ip actions=ct(commit,zone=5)");
    for port in 1..=3_000 {
        management.inject(0, &format!("udp 10.0.0.1:{port} > 10.0.0.2:6"));
    }
    let dump = |words: &[&str]| Verb::DumpConntrack {
        more: false,
        statistics: false,
        json: false,
        filter: words.iter().map(|word| (*word).to_owned()).collect(),
    };
    let count = |frames: Vec<Frame>| -> usize {
        let lines = |frame: &Frame| match frame {
            Frame::Lines(lines) => lines.len(),
            other => panic!("not lines: {other:?}"),
        };
        frames.iter().map(lines).sum()
    };
    assert_eq!(count(management.ask(dump(&[])).unwrap()), 3_000);
    assert_eq!(count(management.ask(dump(&["zone=6"])).unwrap()), 0);
    management
        .ask(Verb::FlushConntrack {
            filter: vec!["zone=5".into()],
        })
        .unwrap();
    assert_eq!(count(management.ask(dump(&["zone=5"])).unwrap()), 0);
    let failure = management.ask(dump(&["zone=x"])).unwrap_err();
    assert!(
        failure.message.contains("failed to parse zone"),
        "{}",
        failure.message
    );
}

#[test]
fn what_is_expected_is_dumped_by_zone() {
    let mut management = management("udp actions=ct(commit,zone=5,alg=tftp)");
    let request = "000178006f6374657400";
    for port in [4000, 4001] {
        let packet = format!("udp 10.0.0.1:{port} > 10.0.0.2:69 data={request}");
        management.inject(0, &packet);
    }
    let dump = |words: &[&str], json| Verb::DumpConntrackExp {
        json,
        filter: words.iter().map(|word| (*word).to_owned()).collect(),
    };
    let mut lines = |words: &[&str]| match &management.ask(dump(words, false)).unwrap()[..] {
        [Frame::Lines(lines)] => lines.clone(),
        other => panic!("not lines: {other:?}"),
    };
    assert_eq!(
        lines(&["zone=5"])[0],
        "udp,orig=(src=10.0.0.2,dst=10.0.0.1,sport=0,dport=4000),zone=5,\
         parent=(src=10.0.0.1,dst=10.0.0.2,sport=4000,dport=69)"
    );
    assert_eq!((lines(&[]).len(), lines(&["zone=6"]).len()), (2, 0));
    let frames = management.ask(dump(&[], true)).unwrap();
    let [Frame::Expected(rows)] = &frames[..] else {
        panic!("not rows: {frames:?}");
    };
    assert_eq!((rows[1].zone, rows[1].timeout_s), (5, 300));
    assert_eq!(
        (rows[1].original.sport, rows[1].parent.sport),
        (None, Some(4001))
    );
    let failure = management.ask(dump(&["mark=1"], false)).unwrap_err();
    assert_eq!(failure.message, "expected zone=N and nothing else");
}

#[test]
fn drops_are_told_by_reason() {
    let mut management = management("in_port=2,udp actions=drop");
    management.inject(0, A_TO_B);
    management.inject(1, A_TO_B);
    let frames = management.ask(Verb::DumpDrops).unwrap();
    let [Frame::Drops(rows)] = &frames[..] else {
        panic!("one frame of drops")
    };
    let counted: Vec<_> = rows
        .iter()
        .filter(|row| row.packets > 0)
        .map(|row| row.reason.as_str())
        .collect();
    assert_eq!(counted, ["table_miss", "action_drop"]);
}

#[test]
fn lcores_say_what_their_caches_answered() {
    let mut management = management("udp actions=output:3");
    for _ in 0..5 {
        management.inject(0, A_TO_B);
    }
    for port in 1..=3 {
        // Of a class that no trajectory is for, and alike in what decided.
        management.inject(0, &format!("ip proto=17 10.0.0.{port} > 10.0.0.9 data=00"));
        management.inject(0, &format!("ip proto=99 10.0.0.{port} > 10.0.0.9 data=00"));
    }
    let now = management.datapath.now;
    management.datapath.lcore.housekeep(now, 1);
    let frames = management.ask(Verb::PmdStatsShow).expect("rows");
    let [Frame::Lcores(rows)] = &frames[..] else {
        panic!("not rows: {frames:?}")
    };
    let [row] = &rows[..] else {
        panic!("not one: {rows:?}")
    };
    assert_eq!((row.trajectories.hits, row.trajectories.misses), (4, 1));
    assert_eq!((row.megaflows.hits, row.megaflows.misses), (2, 2));
    management.ask(add("udp actions=drop")).expect("done");
    management.inject(0, A_TO_B);
    management.datapath.lcore.housekeep(now, 1);
    let frames = management.ask(Verb::PmdStatsShow).expect("rows");
    let [Frame::Lcores(rows)] = &frames[..] else {
        panic!("not rows: {frames:?}")
    };
    assert_eq!(
        (rows[0].trajectories.stale, rows[0].megaflows.stale),
        (1, 1)
    );
}

#[test]
fn a_sample_counts_what_happened() {
    let mut management = management("udp actions=ct(commit),output:3\ntable=4,arp actions=drop");
    management.inject(0, A_TO_B);
    management.inject(0, "tcp 10.0.0.1:5 > 10.0.0.2:6");
    let now = management.datapath.now;
    management.datapath.lcore.housekeep(now, 1);
    let frames = management.ask(Verb::Metrics).expect("a sample");
    let [Frame::Sample(sample)] = &frames[..] else {
        panic!("not a sample: {frames:?}")
    };
    assert_eq!((sample.connections, sample.max_connections), (1, 5_000));
    let value = |rows: &[CounterRow], name: &str| {
        rows.iter()
            .find(|row| row.name == name)
            .map(|row| row.value)
    };
    assert_eq!(value(&sample.conntrack, "created"), Some(1));
    assert_eq!(value(&sample.malformed, "runt"), Some(0));
    let dropped: Vec<_> = sample.drops.iter().filter(|row| row.packets > 0).collect();
    assert_eq!(
        (dropped.len(), dropped[0].reason.as_str()),
        (1, "table_miss")
    );
    let tables: Vec<_> = sample
        .tables
        .iter()
        .map(|row| (row.table, row.flows))
        .collect();
    assert_eq!(tables, [(0, 1), (4, 1)]);
    assert_eq!(sample.lcores[0].packets, 2);
}

/// The events that `monitor` tells until there are `count`.
fn events(
    management: &mut Management<OneLcore>,
    frames: &mut dyn Iterator<Item = Frame>,
    count: usize,
) -> String {
    let mut text = Vec::new();
    let mut seen = 0;
    while seen < count {
        management.look_after();
        let Some(Frame::Events(rows)) = frames.next() else {
            panic!("a monitor is told events");
        };
        seen += rows.len();
        crate::show::write_events(&mut text, &rows).expect("memory can be written");
    }
    String::from_utf8(text).expect("it is text")
}

#[test]
fn a_monitor_hears_of_packets_and_of_flows_that_are_gone() {
    let mut management = management(
        "cookie=0x77,udp actions=set_field:5->reg1,controller(userdata=01.02),output:3
         priority=7,cookie=5,tcp,idle_timeout=2,send_flow_rem actions=dec_ttl",
    );
    let (reply, mut frames) = control::test_channel();
    management.answer(Verb::Monitor { invalid_ttl: false }, reply);
    assert_eq!(management.inject(0, A_TO_B), [1]);
    // Nobody asked for packets whose TTL has run out.
    let tcp = "tcp 10.0.0.1:1000 > 10.0.0.2:80 S ttl=1";
    assert!(management.inject(0, tcp).is_empty());
    let heard = events(&mut management, &mut frames, 1);
    let first = "NXT_PACKET_IN2 (OF1.3) (xid=0x0): cookie=0x77 total_len=42 reg1=0x5,in_port=2 \
        (via action) data_len=42 (unbuffered)\n userdata=01.02\nudp,vlan_tci=0x0000,";
    assert!(heard.starts_with(first), "{heard}");
    management.datapath.now = Tick::from_millis(5_000);
    let heard = events(&mut management, &mut frames, 1);
    assert_eq!(
        heard,
        "OFPT_FLOW_REMOVED (OF1.3) (xid=0x0): priority=7,tcp reason=idle table_id=0 cookie:0x5 \
         duration5s idle2 pkts1 bytes54\n"
    );
}

#[test]
fn a_monitor_is_told_what_was_over_the_rate() {
    let mut management = management("udp actions=controller,output:3");
    let (reply, mut frames) = control::test_channel();
    management.answer(Verb::Monitor { invalid_ttl: false }, reply);
    let PacketInSettings { burst, .. } = PacketInSettings::default();
    for _ in 0..burst + 3 {
        assert_eq!(management.inject(0, A_TO_B), [1]);
        management.datapath.packet_ins.drain(|_| {});
    }
    let heard = events(&mut management, &mut frames, 1);
    assert_eq!(
        heard,
        "3 packets were lost: 3 over the rate of their port, 0 without a slot\n"
    );
    let sample = management.sample();
    let value = |rows: &[CounterRow], name: &str| {
        let row = rows.iter().find(|row| row.name == name);
        row.map(|row| row.value)
    };
    assert_eq!(value(&sample.packet_ins, "action"), Some(u64::from(burst)));
    assert_eq!(value(&sample.packet_ins_refused, "rate"), Some(3));
    assert_eq!(value(&sample.packet_ins_refused, "slots"), Some(0));
}

#[test]
fn a_silent_monitor_is_told_that_there_is_nothing() {
    let mut management = management("actions=drop");
    let (reply, mut frames) = control::test_channel();
    management.answer(Verb::Monitor { invalid_ttl: true }, reply);
    management.datapath.now = Tick::from_millis(20_000);
    management.look_after();
    assert_eq!(frames.next(), Some(Frame::Events(Vec::new())));
    drop(frames);
    management.datapath.now = Tick::from_millis(40_000);
    management.look_after();
    assert!(management.monitors.is_empty());
}

#[test]
fn a_packet_out_does_what_it_says() {
    let mut management = management(
        "reg3=5,udp,in_port=2 actions=output:3
         reg3=5 actions=drop",
    );
    let bytes: String = text::frame(A_TO_B)
        .bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let out = |actions: &str| Verb::PacketOut {
        packets: vec![format!("in_port=2,reg3=5,packet={bytes} actions={actions}")],
    };
    management.ask(out("output:3,TABLE")).unwrap();
    assert_eq!(management.datapath.sent, [PortIndex(1), PortIndex(1)]);
    let failure = management.ask(out("group:1")).unwrap_err();
    assert_eq!(
        failure.message,
        "there is no group 1 (OFPBAC_BAD_OUT_GROUP)"
    );
    let failure = management
        .ask(Verb::PacketOut {
            packets: vec!["in_port=2,packet=00 actions=drop".into()],
        })
        .unwrap_err();
    assert!(
        failure
            .message
            .starts_with("packet-out:1:18: not a frame\n"),
        "{}",
        failure.message
    );
}

#[test]
fn next_hops_are_those_that_are_configured_and_those_that_answered() {
    let text = "[[port]]\nname = \"up\"\nid = 1\n\
                [[port]]\nname = \"tun\"\nid = 9\nkind = \"gre\"\nover = \"up\"\n\
                local_ip = \"192.0.2.1\"\nremote_ip = \"flow\"\n\
                [[neighbour]]\nport = \"up\"\nip = \"192.0.2.9\"\nmac = \"02:00:00:00:00:09\"\n";
    let config = Config::parse("t.toml", text).expect("it is valid");
    let mut policy = Policy::load(&config, 1, HashSecret(1), Tick::ZERO).expect("no flows");
    let snapshot = Arc::new(policy.tables.snapshot(&policy.ports));
    let (sender, packet_ins) = packet_in::channel(PacketInSettings::default());
    let lcore = Lcore::new(0, snapshot, &policy.conntrack, 1);
    let datapath = OneLcore {
        lcore: lcore.with_packet_ins(sender),
        links: Vec::new(),
        packet_ins,
        shown: Vec::new(),
        devices: Vec::new(),
        broken: None,
        lost: Vec::new(),
        polls: PollStats::default(),
        rx_queues: Vec::new(),
        sent: Vec::new(),
        now: Tick::from_millis(1_000),
    };
    let mut management = Management::new(config, None, policy, datapath);
    let flows = "in_port=1 actions=set_field:192.0.2.7->tun_dst,output:tun\n";
    management.ask(add(flows)).expect("right flows");
    management.inject(0, "udp 10.0.0.1:1 > 10.0.0.2:2");
    let mut shown = || {
        let frames = management.ask(Verb::NeighShow).expect("an answer");
        let [Frame::Neighbours(rows)] = &frames[..] else {
            panic!("not next hops: {frames:?}");
        };
        let row = |row: &crate::show::NeighbourRow| {
            (
                row.port.clone(),
                row.ip.to_string(),
                row.mac.clone(),
                row.age_s,
            )
        };
        let rows: Vec<_> = rows.iter().map(row).collect();
        management.inject(
            0,
            "eth 02:00:00:00:00:07 > ff:ff:ff:ff:ff:ff arp reply 192.0.2.7 > 192.0.2.1",
        );
        rows
    };
    let row = |ip: &str, mac: Option<&str>, age| {
        ("up".to_owned(), ip.to_owned(), mac.map(str::to_owned), age)
    };
    let configured = row("192.0.2.9", Some("02:00:00:00:00:09"), None);
    assert_eq!(shown(), [row("192.0.2.7", None, None), configured.clone()]);
    let answered = row("192.0.2.7", Some("02:00:00:00:00:07"), Some(0));
    assert_eq!(shown(), [answered, configured]);
}

#[test]
fn flows_are_modified_or_added() {
    let mut management = management("udp actions=output:3\ntcp,tp_dst=80 actions=output:3");
    management.inject(0, A_TO_B);
    let modify = |strict, flow: &str| Verb::ModFlows {
        strict,
        flow: flow.to_owned(),
    };
    management
        .ask(modify(false, "ip actions=output:weir0"))
        .unwrap();
    management
        .ask(modify(true, "tcp,priority=5 actions=drop"))
        .unwrap();
    management
        .ask(modify(false, "cookie=1/-1,ip actions=drop"))
        .unwrap();
    let row = |matching: &str| match management.flows(Some(matching), &FlowStyle::default()) {
        Ok(mut frames) => frames.next(),
        Err(failure) => panic!("{failure:?}"),
    };
    let Some(Frame::Flows(rows)) = row("udp") else {
        panic!("no flow")
    };
    assert_eq!(
        (rows[0].n_packets, rows[0].actions.as_str()),
        (1, "output:2")
    );
    assert_eq!(
        management.flow_lines(),
        [
            "udp actions=output:2",
            "tcp,tp_dst=80 actions=output:2",
            "priority=5,tcp actions=drop",
        ]
    );
    let failure = management.ask(modify(false, "ip")).unwrap_err();
    assert!(
        failure.message.starts_with("flow:1:3: missing actions\n"),
        "{}",
        failure.message
    );
    let failure = management
        .ask(modify(false, "ip actions=pop_mpls:0x800"))
        .unwrap_err();
    assert_eq!(failure.kind, FailureKind::Input);
}

#[test]
fn lines_of_a_file_change_flows_all_or_none() {
    let mut management = management("udp actions=output:3\ntcp actions=output:3\narp actions=drop");
    let change = |command, text: &str| Verb::ChangeFlows {
        command,
        file: NamedText {
            name: "-".to_owned(),
            text: text.to_owned(),
        },
    };
    let modified = "# both\nudp actions=output:2\nip,nw_proto=6 actions=drop\n";
    management
        .ask(change(FlowVerb::Modify, modified))
        .expect("right");
    let lines = [
        "udp actions=output:2",
        "tcp actions=drop",
        "arp actions=drop",
    ];
    assert_eq!(management.flow_lines(), lines);
    // A strict change of what is not there adds it.
    management
        .ask(change(
            FlowVerb::ModifyStrict,
            "priority=3,udp actions=drop",
        ))
        .expect("right");
    let failure = management.ask(change(FlowVerb::Delete, "arp\nudp,tp_dist=1\n"));
    let message = failure.expect_err("wrong").message;
    assert!(message.starts_with("-:2:5: "), "{message}");
    assert_eq!(management.flow_lines().len(), 4);
    management
        .ask(change(FlowVerb::DeleteStrict, "udp\narp\n"))
        .expect("right");
    let lines = ["tcp actions=drop", "priority=3,udp actions=drop"];
    assert_eq!(management.flow_lines(), lines);
    management
        .ask(change(FlowVerb::Delete, "ip\n"))
        .expect("right");
    assert!(management.flow_lines().is_empty());
}

#[test]
fn flows_are_summed_and_tables_counted() {
    let mut management = management(
        "udp actions=output:3\ntable=7,priority=1,tcp actions=drop\ntable=7,tcp actions=drop",
    );
    management.inject(0, A_TO_B);
    let aggregate = |matching: &str| Verb::DumpAggregate {
        matching: Some(matching.to_owned()),
    };
    let [Frame::Aggregate(sum)] = management.ask(aggregate("ip")).unwrap()[..] else {
        panic!("not a sum")
    };
    assert_eq!((sum.packet_count, sum.flow_count), (1, 3));
    let [Frame::Aggregate(sum)] = management.ask(aggregate("out_port=weir1")).unwrap()[..] else {
        panic!("not a sum")
    };
    assert_eq!((sum.packet_count, sum.flow_count), (1, 1));
    let frames = management.ask(Verb::DumpTables).unwrap();
    let [Frame::Tables(rows)] = &frames[..] else {
        panic!("not tables")
    };
    let rows: Vec<_> = rows
        .iter()
        .map(|row| (row.table, row.active, row.matched))
        .collect();
    assert_eq!(rows, [(0, 1, 1), (7, 2, 0)]);
}

#[test]
fn flows_are_sorted_and_ports_named() {
    let mut management = management(
        "priority=5,udp,tp_dst=53,in_port=2 actions=output:3,resubmit(3,1)
         priority=9,udp,tp_dst=7 actions=LOCAL
         priority=7,arp actions=drop",
    );
    let mut lines = |sort: &[&str], descending, names| {
        let by = |word: &&str| SortBy {
            field: word.trim_start_matches('-').to_owned(),
            descending: descending || word.starts_with('-'),
        };
        let sort = sort.iter().map(by).collect();
        let style = FlowStyle { names, sort };
        let frames = management.ask(dump(None, style))?;
        let [Frame::Flows(rows)] = &frames[..] else {
            panic!("not flows")
        };
        Ok::<_, Failure>(
            rows.iter()
                .map(|row| row.line(Statistics::Omitted))
                .collect::<Vec<_>>(),
        )
    };
    let dns = "priority=5,udp,in_port=weir0,tp_dst=53 actions=output:weir1,resubmit(weir1,1)";
    let (echo, arp) = (
        "priority=9,udp,tp_dst=7 actions=LOCAL",
        "priority=7,arp actions=drop",
    );
    assert_eq!(lines(&["priority"], false, true).unwrap(), [dns, arp, echo]);
    assert_eq!(lines(&["priority"], true, true).unwrap(), [echo, arp, dns]);
    // A flow without the field comes last, whichever end comes first.
    assert_eq!(lines(&["udp_dst"], false, true).unwrap(), [echo, dns, arp]);
    assert_eq!(lines(&["tp_dst"], true, true).unwrap(), [dns, echo, arp]);
    assert_eq!(
        lines(&["eth_type", "priority"], false, true).unwrap(),
        [dns, echo, arp]
    );
    assert_eq!(
        lines(&["eth_type", "-priority"], false, true).unwrap(),
        [echo, dns, arp]
    );
    let failure = lines(&["tp_dist"], false, false).unwrap_err();
    assert!(
        failure.message.ends_with("did you mean tp_dst?"),
        "{}",
        failure.message
    );
}

#[test]
fn a_port_that_is_switched_off_is_shown_and_obeyed() {
    let mut management =
        management("udp,in_port=2 actions=output:3\nudp,in_port=3 actions=output:2");
    let change = |port: &str, change| Verb::ModPort {
        port: port.to_owned(),
        change,
    };
    assert_eq!(management.inject(0, A_TO_B), [1]);
    management.ask(change("weir1", PortChange::Down)).unwrap();
    management.ask(change("3", PortChange::NoFlood)).unwrap();
    assert!(management.inject(0, A_TO_B).is_empty());
    assert!(management.inject(1, A_TO_B).is_empty());
    assert_eq!(management.datapath.shown, [(PortNo(3), false)]);
    let Frame::Switch(row) = Frame::Switch(Box::new(management.switch())) else {
        unreachable!("it was just made")
    };
    let config = |name: &str| {
        let port = row.ports.iter().find(|port| port.name == name);
        port.map(|port| port.config.join(" "))
    };
    assert_eq!(config("weir0").as_deref(), Some(""));
    assert_eq!(config("weir1").as_deref(), Some("PORT_DOWN NO_FLOOD"));
    management.ask(change("weir1", PortChange::Up)).unwrap();
    assert_eq!(management.inject(0, A_TO_B), [1]);
    assert_eq!(
        management.datapath.shown,
        [(PortNo(3), false), (PortNo(3), true)]
    );
    let failure = management.ask(change("weir7", PortChange::Up)).unwrap_err();
    assert_eq!(failure.message, "there is no port weir7");
}

#[test]
fn learned_addresses_are_forgotten_on_demand() {
    let mut management = management("actions=NORMAL");
    management.inject(0, A_TO_B);
    let shown = |management: &mut Management<OneLcore>| {
        let frames = management.ask(Verb::FdbShow).unwrap();
        matches!(&frames[..], [Frame::Fdb(rows)] if !rows.is_empty())
    };
    assert!(shown(&mut management));
    management.ask(Verb::FdbFlush).unwrap();
    assert!(!shown(&mut management));
}
