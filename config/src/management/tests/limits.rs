use weir_ct::{Owners, ShardId};

use super::*;
use crate::control::PolicyFiles;
use crate::show::{LimitRow, ReloadReport, write_limits};

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

impl Management<OneLcore> {
    /// What `ct-get-limits` prints.
    fn limit_text(&mut self, zones: &str) -> String {
        let limits = words(zones);
        let frames = self.ask(Verb::CtGetLimits { limits }).expect("limits");
        let [Frame::Limits(rows)] = &frames[..] else {
            panic!("one frame of limits, not {frames:?}")
        };
        let mut text = Vec::new();
        write_limits(&mut text, rows).expect("a vector takes all");
        String::from_utf8(text).expect("text")
    }

    fn set(&mut self, line: &str) -> Result<Vec<Frame>, Failure> {
        let limits = words(line);
        self.ask(Verb::CtSetLimits { limits })
    }

    fn delete(&mut self, line: &str) -> Result<Vec<Frame>, Failure> {
        let limits = words(line);
        self.ask(Verb::CtDelLimits { limits })
    }

    /// Opens so many connections, each from another port on; returns how many packets got through.
    fn open(&mut self, from: u16, count: u16) -> usize {
        let packets = from..from + count;
        let through = packets.map(|port| self.inject(0, &udp(port)).len());
        through.sum()
    }

    fn reload_with(&mut self, conntrack: &str, dry_run: bool, exact: bool) -> ReloadReport {
        let mut text = self.config.to_string();
        let (start, end) = (text.find("[conntrack]"), text.find("[controller]"));
        let (start, end) = (start.expect("a section"), end.expect("the next"));
        text.replace_range(start..end, conntrack);
        let text = text.lines().filter(|line| !line.starts_with("flows = "));
        let config = NamedText {
            name: "new.toml".into(),
            text: text.collect::<Vec<_>>().join("\n"),
        };
        let flows = self.config.flow_texts().expect("embedded");
        let files = Some(PolicyFiles {
            config,
            flows,
            groups: Vec::new(),
        });
        let frames = self.ask(Verb::Reload {
            files,
            dry_run,
            exact,
            confirm: None,
        });
        match frames.expect("a report").pop() {
            Some(Frame::Reloaded(report)) => report,
            other => panic!("no report: {other:?}"),
        }
    }
}

fn udp(port: u16) -> String {
    format!("udp 10.0.0.1:{port} > 10.0.0.2:6")
}

const COMMIT: &str = "ip actions=ct(commit,zone=5),output:3";

#[test]
fn limits_are_shown_as_open_vswitch_does() {
    let mut management = management(COMMIT);
    assert_eq!(management.limit_text(""), "default limit=0\n");
    management
        .set("default=10 zone=7,limit=3 limit=0x20,zone=5 zone=9,limit=0")
        .unwrap();
    assert_eq!(management.open(1, 2), 2);
    assert_eq!(
        management.limit_text(""),
        "default limit=10\nzone=5,limit=32,count=2\nzone=7,limit=3,count=0\nzone=9,limit=0,count=0\n"
    );
    assert_eq!(
        management.limit_text("zone=8,5"),
        "default limit=10\nzone=8,limit=10,count=0\nzone=5,limit=32,count=2\n"
    );
    management.delete("zone=5,7,100").unwrap();
    assert_eq!(
        management.limit_text(""),
        "default limit=10\nzone=9,limit=0,count=0\n"
    );
    management.delete("default zone=9").unwrap();
    assert_eq!(management.limit_text(""), "default limit=0\n");
    let frames = management
        .ask(Verb::CtGetLimits {
            limits: words("zone=5"),
        })
        .unwrap();
    let row = |zone, count| LimitRow {
        zone,
        limit: None,
        count,
    };
    assert_eq!(
        frames,
        [Frame::Limits(vec![row(None, None), row(Some(5), Some(2))])]
    );
}

#[test]
fn more_zones_than_are_asked_one_by_one_are_counted_alike() {
    let mut management = management(COMMIT);
    management.open(1, 3);
    let list: Vec<_> = (0..100).map(|zone| zone.to_string()).collect();
    let text = management.limit_text(&format!("zone={}", list.join(",")));
    assert_eq!(text.lines().count(), 101);
    assert_eq!(text.lines().nth(6), Some("zone=5,limit=0,count=3"));
    assert!(
        text.lines()
            .skip(1)
            .filter(|line| line.ends_with("count=0"))
            .count()
            == 99
    );
}

/// Unreplied connections go for others at a limit, so the number stays; at 0 none is made.
#[test]
fn a_limit_holds_from_the_next_packet_on() {
    let mut management = management(COMMIT);
    assert_eq!(management.open(1, 5), 5);
    management.set("zone=5,limit=5").unwrap();
    assert_eq!(management.open(100, 3), 3);
    assert!(management.limit_text("").contains("zone=5,limit=5,count=5"));
    management.set("zone=5,limit=0").unwrap();
    assert_eq!(management.open(200, 3), 0);
    management.delete("zone=5").unwrap();
    assert_eq!(management.open(300, 3), 3);
    management.set("default=8").unwrap();
    management.open(400, 3);
    assert!(
        management
            .limit_text("zone=5")
            .contains("zone=5,limit=8,count=8")
    );
    management.set("default=0").unwrap();
    management.open(500, 1);
    assert!(
        management
            .limit_text("zone=5")
            .contains("zone=5,limit=0,count=9")
    );
}

#[test]
fn wrong_limits_are_pointed_at_and_change_nothing() {
    let mut management = management(COMMIT);
    management.set("default=3").unwrap();
    for (line, message) in [
        ("", "expected default=N"),
        ("foo", "field foo missing value"),
        ("zone=5", "failed to parse zone limit"),
        (
            "zone=1,limit=2 zone=5,limit=x",
            "limits:1:8: failed to parse field limit",
        ),
        ("zone=70000,limit=1", "failed to parse field zone"),
        ("zone=1,limit=-1", "failed to parse field limit"),
        ("zone=,limit=1", "field zone missing value"),
        (
            "zone=1,limit=1,foo=3",
            "limits:1:16: invalid zone limit field: foo",
        ),
        (
            "zone=3,limit=1 default=7",
            "invalid zone limit field: default",
        ),
        ("default=x", "limits:1:9: invalid default limit"),
        ("default=5000000000", "invalid default limit"),
    ] {
        let failure = management.set(line).expect_err(line);
        assert!(
            failure.message.contains(message),
            "{line}: {}",
            failure.message
        );
    }
    for (line, message) in [
        ("", "expected default"),
        ("3", "invalid argument 3"),
        ("zone=", "invalid zone"),
        ("zone=1,x", "limits:1:8: invalid zone"),
        ("zone=65536", "invalid zone"),
        ("zone=1 zone=2", "one list of zones"),
    ] {
        let failure = management.delete(line).expect_err(line);
        assert!(
            failure.message.contains(message),
            "{line}: {}",
            failure.message
        );
        if !line.is_empty() {
            let limits = words(line);
            let failure = management
                .ask(Verb::CtGetLimits { limits })
                .expect_err(line);
            assert!(
                failure.message.contains(message),
                "{line}: {}",
                failure.message
            );
        }
    }
    assert_eq!(management.limit_text(""), "default limit=3\n");
}

#[test]
fn limits_set_by_hand_stay_over_a_reload_until_the_file_says_otherwise() {
    let mut management = management(COMMIT);
    let before = "[conntrack]\nmax_connections = 5000\naccounting = true\nzone_limit = 100\n[[zone]]\nid = 1\nlimit = 10\n";
    let report = management.reload_with(before, false, false);
    assert_eq!(
        report.added,
        ["ct-limit default=100", "ct-limit zone=1,limit=10"]
    );
    management.set("zone=1,limit=11 zone=2,limit=22").unwrap();

    let report = management.reload_with(before, true, false);
    assert_eq!(
        report.kept,
        ["ct-limit zone=1,limit=11", "ct-limit zone=2,limit=22"]
    );
    let changed = before.replace("limit = 10\n", "limit = 12\n");
    let report = management.reload_with(&changed, false, false);
    assert_eq!(report.modified, ["ct-limit zone=1,limit=12"]);
    assert_eq!(report.kept, ["ct-limit zone=2,limit=22"]);
    let expected = "default limit=100\nzone=1,limit=12,count=0\nzone=2,limit=22,count=0\n";
    assert_eq!(management.limit_text(""), expected);

    let other = changed.replace(
        "[[zone]]",
        "tcp_loose = false\n[[zone]]\ntcp_liberal = true",
    );
    let report = management.reload_with(&other, false, true);
    assert_eq!(report.modified, ["[conntrack]", "[[zone]] id = 1"]);
    assert_eq!(report.deleted, ["ct-limit zone=2,limit=22"]);
    assert!(!management.datapath.lcore.settings().tcp_loose);
    assert_eq!(
        management.limit_text(""),
        "default limit=100\nzone=1,limit=12,count=0\n"
    );
}

/// Several lcores, each with the packets that are its own.
struct Lcores {
    lcores: Vec<Lcore>,
    owners: Owners,
    now: Tick,
}

impl Datapath for Lcores {
    fn now(&self) -> Tick {
        self.now
    }

    fn counters(&self) -> Vec<Arc<LcoreCounters>> {
        self.lcores.iter().map(Lcore::counters).collect()
    }

    fn poll_stats(&self) -> Vec<PollStats> {
        vec![PollStats::default(); self.lcores.len()]
    }

    fn publish(&mut self, snapshot: Arc<Snapshot>) {
        for lcore in &mut self.lcores {
            lcore.refresh(Arc::clone(&snapshot));
        }
    }

    fn oldest_generation(&mut self) -> u64 {
        self.lcores[0].snapshot().generation
    }

    fn ask(&mut self, lcore: usize, request: LcoreRequest) -> Result<LcoreAnswer, LcoreGone> {
        Ok(self.lcores[lcore].answer(request, self.now))
    }

    fn packet_ins(&mut self, _read: &mut dyn FnMut(&PacketIn)) {}

    fn ports(&self) -> Vec<PortStatus> {
        Vec::new()
    }
}

impl Management<Lcores> {
    fn on(lcores: u16, flows: &str) -> Self {
        let mut config = Config::embedded();
        let text = NamedText {
            name: "test.flows".to_owned(),
            text: flows.to_owned(),
        };
        config.bridge.flows = vec![FlowSource::Embedded(text)];
        config.conntrack.max_connections = 500;
        let policy = Policy::load(&config, lcores.into(), HashSecret(1), Tick::ZERO);
        let mut policy = policy.expect("right flows");
        let snapshot = Arc::new(policy.tables.snapshot(&policy.ports));
        let owners = Owners::new(lcores, 3);
        let lcore = |me| {
            let snapshot = Arc::clone(&snapshot);
            Lcore::one_of(&owners, ShardId(me), snapshot, &policy.conntrack, 1)
        };
        let datapath = Lcores {
            lcores: (0..lcores).map(lcore).collect(),
            owners: owners.clone(),
            now: Tick::ZERO,
        };
        Self::new(config, None, policy, datapath)
    }

    /// Opens connections with an answer, and looks after the lcores now and then; how many of
    /// each lcore there are.
    fn fill(&mut self) -> Vec<u64> {
        for n in 0..3 * 300 {
            let (port, mut sent) = (1 + n % 300, Vec::new());
            let there = format!("udp 10.0.0.1:{port} > 10.0.0.2:6");
            let back = format!("udp 10.0.0.2:6 > 10.0.0.1:{port}");
            for (in_port, packet) in [(0, there), (1, back)] {
                let frame = text::frame(&packet);
                let Lcores {
                    lcores,
                    owners,
                    now,
                } = &mut self.datapath;
                let owner = owners.owner_of_frame(frame.bytes()).map_or(0, |id| id.0);
                let lcore = &mut lcores[usize::from(owner)];
                let frames = std::iter::once(frame);
                lcore.process(PortIndex(in_port), frames, *now, &mut Sent(&mut sent));
                lcore.housekeep(*now, 64);
            }
            if n % 8 == 0 {
                self.look_after();
            }
        }
        let counters = self.datapath.counters();
        counters
            .iter()
            .map(|lcore| lcore.connections.read())
            .collect()
    }

    fn set(&mut self, line: &str) {
        let limits = words(line);
        self.set_limits(&limits).expect("it is possible");
    }
}

#[test]
fn what_verbs_set_and_show_is_of_all_lcores_together() {
    for lcores in 2..=5 {
        let flows = "ip,nw_src=10.0.0.1 actions=ct(commit,zone=5),output:3
                     ip,nw_src=10.0.0.2 actions=ct(zone=5),output:3";
        let mut management = Management::on(lcores, flows);
        management.set("default=7 zone=5,limit=50");
        let there = management.fill();
        assert_eq!(there.iter().sum::<u64>(), 50, "{there:?}");
        let limits = management.limits(&words("zone=5,6")).expect("limits");
        let row = |zone, limit, count| LimitRow {
            zone,
            limit: Some(limit),
            count,
        };
        let rows = vec![
            row(None, 7, None),
            row(Some(5), 50, Some(50)),
            row(Some(6), 7, Some(0)),
        ];
        assert_eq!(limits, Frame::Limits(rows));
        management.set("zone=5,limit=20");
        assert_eq!(management.fill().iter().sum::<u64>(), 50);
        management.set("zone=5,limit=90");
        assert_eq!(management.fill().iter().sum::<u64>(), 90);
        let deleted = management.delete_limits(&words("zone=5"));
        assert_eq!(deleted.expect("it is possible"), None);
        // The default is below what there is.
        assert_eq!(management.fill().iter().sum::<u64>(), 90);
        management.set("default=0");
        assert_eq!(management.fill().iter().sum::<u64>(), 300);
        assert_eq!(management.sample().max_connections, 500);
    }
}
