use super::*;
use crate::show::{ConnectionEventRow, CtStatsRow, EventRow};

const COMMIT: &str = "tcp actions=ct(commit,zone=5,exec(set_field:7->ct_mark)),output:3
    udp actions=ct(commit,zone=6),output:3";

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn udp(port: u16) -> String {
    format!("udp 10.0.0.1:{port} > 10.0.0.2:6")
}

/// A time of today is as good as any other.
fn without_times(text: &str) -> String {
    let mut text = text.to_owned();
    while let Some(at) = text.find("20") {
        let is_time = text.get(at..at + 24).is_some_and(|time| {
            time.as_bytes()[10] == b'T' && time.ends_with('Z') && time.as_bytes()[4] == b'-'
        });
        let (width, with) = if is_time { (24, "TIME") } else { (2, "2_0") };
        text.replace_range(at..at + width, with);
    }
    text.replace("2_0", "20")
}

impl Management<OneLcore> {
    fn lines(&mut self, verb: Verb) -> Vec<String> {
        let frames = self.ask(verb).expect("lines").into_iter();
        let lines = frames.flat_map(|frame| match frame {
            Frame::Lines(lines) => lines,
            other => panic!("not lines: {other:?}"),
        });
        lines.collect()
    }

    fn stats(&mut self, filter: &str, more: bool) -> Vec<String> {
        let filter = words(filter);
        self.lines(Verb::CtStatsShow {
            more,
            json: false,
            filter,
        })
    }

    fn dump(&mut self, filter: &str, more: bool) -> Vec<String> {
        let (filter, statistics, json) = (words(filter), false, false);
        self.lines(Verb::DumpConntrack {
            more,
            statistics,
            json,
            filter,
        })
    }

    /// What a monitor hears until `count` events came.
    fn hear(&mut self, frames: &mut impl Iterator<Item = Frame>, count: usize) -> Vec<EventRow> {
        let mut rows = Vec::new();
        while rows.len() < count {
            self.look_after();
            match frames.next() {
                Some(Frame::Events(more)) => rows.extend(more),
                other => panic!("a monitor is told events, not {other:?}"),
            }
        }
        rows
    }
}

#[test]
fn connections_are_counted_by_kind_as_open_vswitch_does() {
    let mut management = management(COMMIT);
    assert_eq!(
        management.stats("", true),
        ["Connections Stats:", "    Total: 0"]
    );
    for port in 1..4 {
        management.inject(0, &udp(port));
    }
    management.inject(0, "tcp 10.0.0.1:1 > 10.0.0.2:80 S");
    management.inject(0, "tcp 10.0.0.1:2 > 10.0.0.2:80 S");
    let plain = ["Connections Stats:", "    Total: 5", "  TCP: 2", "  UDP: 3"];
    assert_eq!(management.stats("", false), plain);
    assert_eq!(
        management.stats("", true),
        [
            "Connections Stats:",
            "    Total: 5",
            "  TCP: 2",
            "    Conn per TCP states:",
            "\t  [SYN_SENT]=2",
            "  UDP: 3",
            "  zone=5,connections=2,created=2",
            "  zone=6,connections=3,created=3",
        ]
    );
    let zone = ["Connections Stats:", "    Total: 3", "  UDP: 3"];
    assert_eq!(management.stats("zone=6", false), zone);
    assert_eq!(
        management.stats("zone=7", false),
        ["Connections Stats:", "    Total: 0"]
    );
    let filter = words("zone=5 ct_nw_proto=6,ct_tp_src=2");
    let frames = management.ask(Verb::CtStatsShow {
        more: false,
        json: true,
        filter,
    });
    let [Frame::CtStats(row)] = &frames.expect("a row")[..] else {
        panic!("one row")
    };
    let CtStatsRow {
        total,
        tcp_states,
        zones,
        ..
    } = &**row;
    assert_eq!((*total, tcp_states["SYN_SENT"], zones.len()), (1, 1, 1));
    assert_eq!(zones[0].counts["created"], 2);
    let filter = words("zone=5 5");
    let failure = management.ask(Verb::CtStatsShow {
        more: false,
        json: true,
        filter,
    });
    assert!(
        failure
            .unwrap_err()
            .message
            .contains("filter:1:1: field 5 missing value")
    );
}

#[test]
fn a_dump_tells_all_on_request_and_only_of_what_was_asked_for() {
    let mut management = management(COMMIT);
    management.inject(0, &udp(1));
    management.inject(0, &udp(1));
    management.inject(0, "tcp 10.0.9.1:1 > 10.0.0.2:80 S");
    assert_eq!(
        management.dump("zone=5", false),
        ["tcp,orig=(src=10.0.9.1,dst=10.0.0.2,sport=1,dport=80),\
          reply=(src=10.0.0.2,dst=10.0.9.1,sport=80,dport=1),zone=5,mark=7,\
          protoinfo=(state=SYN_SENT)"]
    );
    let lines = management.dump("zone=6", true);
    assert_eq!(
        lines
            .iter()
            .map(|line| without_times(line))
            .collect::<Vec<_>>(),
        [
            "udp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=1,dport=6,packets=2,bytes=56),\
          reply=(src=10.0.0.2,dst=10.0.0.1,sport=6,dport=1,packets=0,bytes=0),\
          start=TIME,last=TIME,id=1,zone=6,status=CONFIRMED,timeout=60,lcore=1"
        ]
    );
    for (filter, count) in [
        ("", 2),
        ("mark=7", 1),
        ("mark=0/1", 1),
        ("state=syn_sent", 1),
        ("state=unreplied", 2),
        ("state=replied", 0),
        ("ct_nw_src=10.0.0.0/16", 2),
        ("ct_nw_src=10.0.0.0/24", 1),
        ("ct_nw_proto=6,ct_tp_dst=80", 1),
        ("ct_nw_proto=17,ct_tp_dst=80", 0),
        ("zone=5 ct_nw_dst=10.0.0.2", 1),
    ] {
        assert_eq!(management.dump(filter, false).len(), count, "{filter}");
    }
    let filter = words("zone=5");
    let (more, statistics, json) = (false, false, true);
    let frames = management.ask(Verb::DumpConntrack {
        more,
        statistics,
        json,
        filter,
    });
    let [Frame::Connections(rows)] = &frames.expect("rows")[..] else {
        panic!("one frame of rows")
    };
    let json = serde_json::to_string(&rows[0]).expect("rows are JSON");
    assert_eq!(
        without_times(&json),
        r#"{"id":2,"protocol":"tcp","original":{"src":"10.0.9.1","dst":"10.0.0.2","sport":1,"#
            .to_owned()
            + r#""dport":80,"state":"SYN_SENT","window_scale":0,"liberal":false,"packets":1,"#
            + r#""bytes":40},"reply":{"src":"10.0.0.2","dst":"10.0.9.1","sport":80,"dport":1,"#
            + r#""state":"CLOSED","window_scale":0,"liberal":false,"packets":0,"bytes":0},"#
            + r#""zone":5,"mark":7,"labels":"0x0","replied":false,"timeout_s":30,"#
            + r#""start":"TIME","last_seen":"TIME","lcore":1}"#
    );
}

#[test]
fn flush_takes_any_of_these_filters() {
    let mut management = management(COMMIT);
    for port in 1..=600 {
        management.inject(0, &udp(port));
    }
    management.inject(0, "tcp 10.0.9.1:1 > 10.0.0.2:80 S");
    let flush = |management: &mut Management<OneLcore>, filter: &str| {
        let filter = words(filter);
        management.ask(Verb::FlushConntrack { filter }).unwrap();
        management.dump("", false).len()
    };
    assert_eq!(flush(&mut management, "state=replied"), 601);
    assert_eq!(flush(&mut management, "ct_nw_src=10.0.9.0/24"), 600);
    assert_eq!(
        flush(&mut management, "zone=6 ct_nw_proto=17,ct_tp_src=600"),
        599
    );
    assert_eq!(flush(&mut management, "zone=5"), 599);
    assert_eq!(flush(&mut management, "zone=6"), 0);
    let rows = management.zone_counts().expect("they are counted");
    let of_zone = |zone| {
        rows.iter()
            .find(|row| row.zone == Some(zone))
            .expect("it is there")
    };
    assert_eq!(
        (of_zone(5).counts["flushed"], of_zone(6).counts["flushed"]),
        (1, 600)
    );
}

#[test]
fn a_monitor_hears_of_the_connections_that_it_asked_for() {
    let mut management = management(COMMIT);
    management.inject(0, &udp(1));
    let (reply, mut frames) = control::test_channel();
    let filter = words("zone=6");
    management.answer(
        Verb::MonitorConntrack {
            json: false,
            filter,
        },
        reply,
    );
    let (reply, mut rows) = control::test_channel();
    let filter = words("mark=7");
    management.answer(Verb::MonitorConntrack { json: true, filter }, reply);

    management.inject(0, &udp(2));
    management.inject(0, "tcp 10.0.9.1:1 > 10.0.0.2:80 S");
    management.inject(0, &udp(2));
    let filter = words("zone=6 ct_nw_proto=17,ct_tp_src=2");
    management.ask(Verb::FlushConntrack { filter }).unwrap();
    let heard = management.hear(&mut frames, 3);
    let lines: Vec<_> = heard
        .iter()
        .map(|row| match row {
            EventRow::ConnectionLine(line) => without_times(line),
            other => panic!("not a line: {other:?}"),
        })
        .collect();
    let tail = |packets: u64, timeout| {
        let bytes = packets * 28;
        format!(
            "udp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=2,dport=6,packets={packets},bytes={bytes}),\
             reply=(src=10.0.0.2,dst=10.0.0.1,sport=6,dport=2,packets=0,bytes=0),\
             start=TIME,last=TIME,id=2,zone=6,status=CONFIRMED,timeout={timeout},lcore=1"
        )
    };
    assert_eq!(
        lines,
        [
            format!("TIME new {}", tail(1, 60)),
            format!("TIME updated {}", tail(2, 60)),
            format!("TIME destroyed (flushed) {}", tail(2, 60)),
        ]
    );
    let heard = management.hear(&mut rows, 1);
    let [EventRow::Connection(row)] = &heard[..] else {
        panic!("one row, not {heard:?}")
    };
    let ConnectionEventRow {
        event,
        reason,
        connection,
        ..
    } = &**row;
    assert_eq!((event.as_str(), reason, connection.mark), ("new", &None, 7));
    // Who went is not told any more, and when all did, nothing is noted.
    drop((frames, rows));
    management.datapath.now = Tick::from_millis(20_000);
    management.look_after();
    management.look_after();
    assert!(management.monitors.is_empty() && management.event_rooms.is_empty());
}

#[test]
fn a_monitor_under_overload_is_told_how_much_it_lost() {
    let mut management = management(COMMIT);
    let (reply, mut frames) = control::test_channel();
    let filter = Vec::new();
    management.answer(
        Verb::MonitorConntrack {
            json: false,
            filter,
        },
        reply,
    );
    // More than an lcore has room for before somebody looks, and more than a client may wait for.
    let all = 9_000;
    for n in 0..all {
        let (high, port) = (n / 4_000, n % 4_000 + 1);
        management.inject(0, &format!("udp 10.0.{high}.1:{port} > 10.0.0.2:6"));
    }
    let (mut told, mut lost) = (0, 0);
    while told + lost < all {
        for row in management.hear(&mut frames, 1) {
            match row {
                EventRow::ConnectionLine(_) => told += 1,
                EventRow::Lost(count) => lost += count,
                other => panic!("neither a line nor a loss: {other:?}"),
            }
        }
    }
    // Beyond the table's limit each new connection ends an old one.
    assert!(lost > 0 && told > 0, "{told} told, {lost} lost");
}

#[test]
fn a_wrong_filter_is_refused() {
    let mut management = management(COMMIT);
    for verb in [
        Verb::MonitorConntrack {
            json: false,
            filter: words("state=open"),
        },
        Verb::FlushConntrack {
            filter: words("state=open"),
        },
    ] {
        let message = management.ask(verb).unwrap_err().message;
        assert!(
            message.starts_with("filter:1:1: failed to parse state: expected"),
            "{message}"
        );
    }
    assert!(management.monitors.is_empty());
}

#[test]
fn a_sample_has_what_zones_counted() {
    let mut management = management(COMMIT);
    management.inject(0, &udp(1));
    let sample = management.sample();
    assert_eq!(sample.zones.len(), 1);
    assert_eq!(
        (sample.zones[0].zone, sample.zones[0].connections),
        (Some(6), 1)
    );
}
