use std::io::{self, Write};
use std::sync::Mutex;

use super::*;
use crate::show::{NatRow, NatZoneRow, write_nat};

impl Management<OneLcore> {
    fn nat_rows(&mut self) -> Vec<NatRow> {
        let frames = self.ask(Verb::NatShow).expect("ranges");
        let [Frame::Nat(rows)] = &frames[..] else {
            panic!("one frame of ranges, not {frames:?}")
        };
        rows.clone()
    }
}

#[test]
fn ranges_are_shown_with_their_connections_and_refusals() {
    let mut management = management(
        "udp,in_port=2 actions=ct(commit,zone=3,nat(src=198.51.100.7:5000-5001,random)),output:3
         table=9,tcp actions=clone(ct(commit,nat(dst=10.0.0.1-10.0.0.4))),ct(commit,nat(src))",
    );
    for client in 1..=3 {
        let packet = format!("udp 10.0.0.{client}:5000 > 192.0.2.9:53");
        // Two ports towards one destination.
        assert_eq!(management.inject(0, &packet).len(), usize::from(client < 3));
    }
    management.inject(0, "udp 10.0.0.1:5000 > 192.0.2.10:53");
    let rows = management.nat_rows();
    let frames = management.ask(Verb::Metrics).expect("a sample");
    let [Frame::Sample(sample)] = &frames[..] else {
        panic!("one sample, not {frames:?}")
    };
    assert_eq!(sample.nat, rows, "Prometheus is told the same");
    let mut text = Vec::new();
    write_nat(&mut text, &rows).expect("a vector takes all");
    let longest = rows[2].zones[0].longest_probe;
    assert!(longest <= 4, "{longest}");
    let searched = rows[2].zones[0].searched;
    let text = String::from_utf8(text).expect("text");
    assert_eq!(
        text,
        format!(
            "nat(dst=10.0.0.1-10.0.0.4): addresses=4,connections=0\n\
             nat(src): connections=0\n\
             nat(src=198.51.100.7:5000-5001): addresses=1,ports=2,connections=3\n\
             \x20 zone=3,searched={searched},longest_probe={longest},exhausted=1,other_version=0\n"
        )
    );
    // What its range counted is there when its flow is not.
    management
        .ask(Verb::DelFlows {
            strict: false,
            matching: None,
        })
        .expect("deleted");
    let rows = management.nat_rows();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].connections, rows[0].zones[0].exhausted), (3, 1));
}

/// What the log gets.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// The lines since the last look.
    fn lines(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock().expect("no panic"));
        let text = String::from_utf8(bytes).expect("text");
        text.lines().map(|line| line.trim().to_owned()).collect()
    }
}

impl Management<OneLcore> {
    /// Time passes, while the management thread looks after itself.
    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.datapath.now = self.datapath.now + Duration::from_secs(1);
            let now = self.datapath.now;
            self.datapath.lcore.housekeep(now, usize::MAX);
            self.look_after();
        }
    }
}

/// The first refusal is told within a second, what follows once in ten seconds; each range, zone
/// and reason by itself, and nothing while nothing is refused.
#[test]
fn a_range_that_refuses_is_warned_of_once_in_an_interval() {
    let mut management = management(
        "udp,in_port=2 actions=ct(commit,zone=3,nat(src=198.51.100.7:5000)),output:3
         udp,in_port=3 actions=ct(commit,zone=4,nat(src=198.51.100.7:5000)),output:2
         priority=1,in_port=2 actions=ct(commit,nat(src=fc00::1)),output:3",
    );
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .without_time()
        .with_target(false)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let client = |number: u32| format!("udp 10.0.0.{number}:4000 > 192.0.2.9:53");
    management.inject(0, &client(1));
    management.pass(3);
    assert_eq!(log.lines(), [""; 0], "one port for one connection");

    for number in 2..=4 {
        assert!(management.inject(0, &client(number)).is_empty());
    }
    management.pass(1);
    let zone3 = "nat(src=198.51.100.7:5000) in zone 3: ";
    let taken = "dropped, every address and port is taken";
    assert_eq!(log.lines(), [format!("WARN {zone3}3 packets {taken}")]);

    // More of the same waits for its turn; another zone and another range do not.
    for number in 1..=2 {
        management.inject(0, &client(number + 4));
        management.inject(1, &client(number));
    }
    management.inject(0, "tcp 10.0.0.1:1 > 192.0.2.9:80 S seq=1");
    management.pass(1);
    assert_eq!(
        log.lines(),
        [
            format!("WARN nat(src=198.51.100.7:5000) in zone 4: 1 packet {taken}"),
            "WARN nat(src=fc00::1) in zone 0: 1 packet dropped, its addresses are of the other \
             IP version"
                .to_owned(),
        ]
    );
    management.pass(8);
    assert_eq!(log.lines(), [""; 0]);
    management.pass(1);
    assert_eq!(log.lines(), [format!("WARN {zone3}2 packets {taken}")]);
    management.pass(60);
    assert_eq!(log.lines(), [""; 0]);
    management.inject(0, &client(9));
    management.pass(1);
    assert_eq!(log.lines().len(), 0, "the port was free again");
}

/// What Prometheus is told of ranges is bounded, and who has series keeps them.
#[test]
fn a_few_hundred_ranges_have_series_of_their_own() {
    let flow = |n: u32| {
        let address = std::net::Ipv4Addr::from_bits(0xc633_6400 + n);
        format!("table=9,priority={n},udp actions=ct(commit,nat(src={address}:5000)),output:3\n")
    };
    let mut management = management(&(100..400).map(flow).collect::<String>());
    let named = |management: &mut Management<OneLcore>| {
        let rows = management.nat_sample().expect("rows");
        let names: Vec<_> = rows.iter().filter_map(|row| row.nat.clone()).collect();
        (rows.len(), names)
    };
    let (rows, before) = named(&mut management);
    assert_eq!((rows, before.len()), (257, 256), "and one for all others");
    // One that comes in front of them by its name takes nobody's place.
    management.ask(add(&flow(1))).expect("a flow");
    assert_eq!(named(&mut management), (257, before.clone()));
    let matching = Some("table=9,udp".to_owned());
    let strict = false;
    let gone = Verb::DelFlows { strict, matching };
    management.ask(gone).expect("deleted");
    assert_eq!(named(&mut management), (0, Vec::new()));
    management.ask(add(&flow(1))).expect("a flow");
    assert_eq!(named(&mut management).0, 1);
}

/// What ranges without a name count is one sum, of all zones.
#[test]
fn further_ranges_are_one_row() {
    let row = |connections, zone| NatRow {
        nat: Some(String::new()),
        addresses: Some(1),
        ports: Some(1),
        connections,
        zones: vec![NatZoneRow {
            zone: Some(zone),
            searched: 1,
            longest_probe: zone.into(),
            exhausted: 2,
            other_version: 3,
        }],
    };
    let sum = row(5, 9).and(row(6, 7)).and(row(7, 8));
    assert_eq!((sum.nat.as_ref(), sum.addresses), (None, None));
    assert_eq!(sum.connections, 18);
    let zone = NatZoneRow {
        zone: None,
        searched: 3,
        longest_probe: 9,
        exhausted: 6,
        other_version: 9,
    };
    assert_eq!(sum.zones, [zone]);
}
