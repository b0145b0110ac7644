//! What FTP and TFTP announce on several lcores: whichever of them the announced connection comes
//! to, it is expected there before the announcement has left, once, and no longer than its master
//! lives.

use std::fmt::Write as _;

use weir_ct::{Bounds, Settings};
use weir_packet::{Tuple, VecFrame, parse, text};
use weir_tests::cluster::{Cluster, Shape};

const CLIENTS: u16 = 6;

/// Who is called what, and how clients are translated.
struct Case {
    name: &'static str,
    /// Behind `ct(commit,alg=...`.
    nat: &'static str,
    client: &'static str,
    /// The server, as clients know it, and itself.
    asked: &'static str,
    server: &'static str,
}

const CASES: [Case; 6] = [
    Case {
        name: "IPv4",
        nat: "",
        client: "10.0.0.5",
        asked: "192.0.2.9",
        server: "192.0.2.9",
    },
    Case {
        name: "IPv4, client translated",
        nat: ",nat(src=198.51.100.7)",
        client: "10.0.0.5",
        asked: "192.0.2.9",
        server: "192.0.2.9",
    },
    Case {
        name: "IPv4, server translated",
        nat: ",nat(dst=10.9.9.9)",
        client: "10.0.0.5",
        asked: "192.0.2.9",
        server: "10.9.9.9",
    },
    Case {
        name: "IPv6",
        nat: "",
        client: "2001:db8::5",
        asked: "2001:db8:9::9",
        server: "2001:db8:9::9",
    },
    Case {
        name: "IPv6, client translated",
        nat: ",nat(src=2001:db8:77::7)",
        client: "2001:db8::5",
        asked: "2001:db8:9::9",
        server: "2001:db8:9::9",
    },
    Case {
        name: "IPv6, server translated",
        nat: ",nat(dst=fd00::9)",
        client: "2001:db8::5",
        asked: "2001:db8:9::9",
        server: "fd00::9",
    },
];

/// Who announces what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// PORT or EPRT.
    Active,
    /// EPRT, of either version.
    Extended,
    /// 227.
    Passive,
    /// 229.
    ExtendedPassive,
}

/// No connection of data is let through that is not related.
fn flows(nat: &str) -> String {
    let mut flows = String::new();
    for (ip, tcp, udp) in [("ip", "tcp", "udp"), ("ipv6", "tcp6", "udp6")] {
        // Each range has addresses of one version.
        let fits = nat.is_empty() || nat.contains("::") == (ip == "ipv6");
        let nat = if fits { nat } else { "" };
        let new = "table=1,in_port=1,ct_state=+new-rel";
        let mark = "exec(set_field:7->ct_mark)";
        writeln!(
            flows,
            "{ip} actions=ct(nat,table=1)
             {new},{tcp},tp_dst=21 actions=ct(commit,alg=ftp{nat},{mark}),2
             {new},{udp},tp_dst=69 actions=ct(commit,alg=tftp{nat},{mark}),2
             table=1,in_port=1,ct_state=+new+rel,ct_mark=7,{ip} actions=ct(commit,nat),2
             table=1,in_port=2,ct_state=+new+rel,ct_mark=7,{ip} actions=ct(commit,nat),1"
        )
        .expect("a string grows");
    }
    flows
        + "table=1,in_port=1,ct_state=+est actions=2
           table=1,in_port=2,ct_state=+est actions=1"
}

fn settings() -> Settings {
    Settings {
        max_connections: 512,
        ..Settings::default()
    }
}

fn end(address: &str, port: u16) -> String {
    if address.contains(':') {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    }
}

fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string grows");
        hex
    })
}

fn tuple_of(frame: &VecFrame) -> Tuple {
    let layout = parse(frame.bytes(), frame.bytes().len()).expect("no runt");
    Tuple::of(frame.bytes(), &layout).expect("it has one")
}

/// What a TCP segment carries.
fn payload(frame: &VecFrame) -> String {
    let bytes = frame.bytes();
    let layout = parse(bytes, bytes.len()).expect("no runt");
    let tcp = usize::from(layout.l4_offset);
    let start = tcp + usize::from(bytes[tcp + 12] >> 4) * 4;
    String::from_utf8_lossy(&bytes[start..layout.l3_end as usize]).into_owned()
}

/// A control connection, as its ends see it.
struct Control {
    /// The client, and the server as it knows it.
    here: [String; 2],
    /// The server, and the client as it knows it.
    there: [String; 2],
    said: [u32; 2],
}

impl Control {
    /// Opens one, and waits until it is established.
    fn open(cluster: &mut Cluster, case: &Case, number: u16) -> Self {
        let here = [end(case.client, 4000 + number), end(case.asked, 21)];
        let [client, asked] = &here;
        cluster.inject(1, text::frame(&format!("tcp {client} > {asked} S seq=99")));
        let [(2, came)] = &settled(cluster)[..] else {
            panic!("{}: it is opened", case.name);
        };
        let tuple = tuple_of(came);
        let public = end(&tuple.src().to_string(), tuple.src_port);
        let there = [end(case.server, 21), public];
        let [server, public] = &there;
        let answer = format!("tcp {server} > {public} SA seq=499 ack=100");
        cluster.inject(2, text::frame(&answer));
        assert_eq!(settled(cluster).len(), 1, "{}: it is answered", case.name);
        let ack = format!("tcp {client} > {asked} A seq=100 ack=500");
        cluster.inject(1, text::frame(&ack));
        assert_eq!(settled(cluster).len(), 1);
        Self {
            here,
            there,
            said: [0; 2],
        }
    }

    /// What the client says next.
    fn command(&mut self, line: &str) -> VecFrame {
        let [client, asked] = &self.here;
        let seq = 100 + self.said[0];
        self.said[0] += line.len() as u32;
        let data = hex(line);
        let line = format!("tcp {client} > {asked} PA seq={seq} ack=500 data={data}");
        text::frame(&line)
    }

    /// What the server says next.
    fn reply(&mut self, line: &str) -> VecFrame {
        let [server, public] = &self.there;
        let seq = 500 + self.said[1];
        self.said[1] += line.len() as u32;
        let data = hex(line);
        let line = format!("tcp {server} > {public} PA seq={seq} ack=100 data={data}");
        text::frame(&line)
    }
}

fn settled(cluster: &mut Cluster) -> Vec<(u32, VecFrame)> {
    cluster.settle();
    cluster.sent()
}

/// Until something has left; no further.
fn first_sent(cluster: &mut Cluster) -> Vec<(u32, VecFrame)> {
    loop {
        let sent = cluster.sent();
        if !sent.is_empty() || !cluster.step() {
            return sent;
        }
    }
}

/// Address and port that an announcement names; `None` of the address: that of who says it.
fn announced(line: &str) -> (Option<String>, u16) {
    let words = |inner: &str, by: char| -> Vec<String> {
        inner.trim_end().split(by).map(str::to_owned).collect()
    };
    if let Some((_, inner)) = line.split_once("EPRT ") {
        let parts = words(inner, '|');
        return (Some(parts[2].clone()), parts[3].parse().expect("a port"));
    }
    if line.starts_with("229 ") {
        return (None, words(line, '|')[3].parse().expect("a port"));
    }
    let numbers: String = line.split_once(['(', ' ']).expect("numbers").1.into();
    let numbers: Vec<u16> = numbers
        .split(|it: char| !it.is_ascii_digit())
        .filter_map(|it| it.parse().ok())
        .collect();
    let [.., a, b, c, d, high, low] = numbers[..] else {
        panic!("six numbers in {line}");
    };
    (Some(format!("{a}.{b}.{c}.{d}")), high << 8 | low)
}

fn commas(address: &str, port: u16) -> String {
    format!("{},{},{}", address.replace('.', ","), port >> 8, port & 255)
}

/// Announces where a connection is to go, and returns from which port (in this direction) to where,
/// as the other end was told, and where it is to come out.
fn announce(
    cluster: &mut Cluster,
    case: &Case,
    control: &mut Control,
    way: Way,
    port: u16,
) -> (u32, String, String) {
    let (client, server) = (case.client, case.server);
    let version = if client.contains(':') { 2 } else { 1 };
    let (from, frame, inside) = match way {
        Way::Active if version == 1 => {
            let line = format!("PORT {}\r\n", commas(client, port));
            (1, control.command(&line), client)
        }
        Way::Active | Way::Extended => {
            let line = format!("EPRT |{version}|{client}|{port}|\r\n");
            (1, control.command(&line), client)
        }
        Way::Passive if version == 1 => {
            let line = format!("227 Entering Passive Mode ({}).\r\n", commas(server, port));
            (2, control.reply(&line), server)
        }
        Way::Passive | Way::ExtendedPassive => {
            let line = format!("229 Extended Passive Mode (|||{port}|)\r\n");
            (2, control.reply(&line), server)
        }
    };
    cluster.inject(from, frame);
    let sent = first_sent(cluster);
    let [(to, left)] = &sent[..] else {
        panic!("{}: one leaves: {sent:?}", case.name);
    };
    assert_eq!(*to, 3 - from);
    let (address, port_told) = announced(&payload(left));
    // Who hears it asks the speaker where no address is said.
    let address = address.unwrap_or_else(|| tuple_of(left).src().to_string());
    (*to, end(&address, port_told), end(inside, port))
}

/// The announced connection is opened from `port` at once, and carries packets both ways.
fn data_comes(
    cluster: &mut Cluster,
    case: &Case,
    (side, told, inside): &(u32, String, String),
    port: u16,
) {
    let name = case.name;
    // As the opener and as the other end knows the opener.
    let opener = if *side == 2 { case.server } else { case.client };
    let opener = end(opener, port);
    let open = format!("tcp {opener} > {told} S seq=1");
    cluster.inject(*side, text::frame(&open));
    let sent = settled(cluster);
    let [(to, came)] = &sent[..] else {
        panic!("{name}: {open} is expected: {:?}", cluster.drops());
    };
    assert_eq!(*to, 3 - side, "{name}");
    let tuple = tuple_of(came);
    let at = end(&tuple.dst().to_string(), tuple.dst_port);
    assert_eq!(at, *inside, "{name}");
    let seen = end(&tuple.src().to_string(), tuple.src_port);
    let answer = format!("tcp {inside} > {seen} SA seq=8 ack=2");
    cluster.inject(*to, text::frame(&answer));
    let sent = settled(cluster);
    let back = format!("tcp {told} > {opener} SA seq=8 ack=2");
    let lines: Vec<_> = sent
        .iter()
        .map(|(_, it)| text::describe(it.bytes()))
        .collect();
    assert_eq!(lines, [back], "{name}");
    let data = format!("tcp {opener} > {told} PA seq=2 ack=9 data=0102");
    cluster.inject(*side, text::frame(&data));
    assert_eq!(settled(cluster).len(), 1, "{name}");
    // No second one.
    let (address, own) = opener.rsplit_once(':').expect("a port");
    let other = own.parse::<u16>().expect("a port") + 1;
    let again = format!("tcp {address}:{other} > {told} S seq=1");
    cluster.inject(*side, text::frame(&again));
    assert_eq!(settled(cluster).len(), 0, "{name}: {again}");
}

#[test]
fn an_announced_connection_is_expected_wherever_it_comes_in() {
    let ways = [
        Way::Active,
        Way::Extended,
        Way::Passive,
        Way::ExtendedPassive,
    ];
    for case in &CASES {
        for lcores in 1..=8 {
            for chance in [1, 2] {
                let shape = Shape::new(lcores, chance);
                let mut cluster = Cluster::new(shape, &settings(), &flows(case.nat));
                for client in 0..CLIENTS {
                    let mut control = Control::open(&mut cluster, case, client);
                    for (number, way) in (0..).zip(ways) {
                        // Two clients may say the same: their addresses are different ones.
                        let port = 40_000 + 8 * client + number;
                        let told = announce(&mut cluster, case, &mut control, way, port);
                        data_comes(&mut cluster, case, &told, 50_000 + 64 * client + 2 * number);
                    }
                    assert_eq!(cluster.expected(), [""; 0], "{}", case.name);
                }
                let marked = cluster.connections().into_iter().flatten();
                let (masters, children): (Vec<_>, Vec<_>) =
                    marked.partition(|entry| entry.helper.is_some());
                assert_eq!(masters.len(), usize::from(CLIENTS));
                assert_eq!(children.len(), ways.len() * usize::from(CLIENTS));
                for child in children {
                    assert_eq!(child.mark, 7, "it has its master's");
                    let parent = child.parent.expect("it has a master");
                    assert!(masters.iter().any(|it| it.original == parent), "{parent}");
                }
                if lcores == 1 {
                    assert_eq!(cluster.hand_offs("waited"), 0);
                }
                cluster.end();
            }
        }
    }
}

#[test]
fn an_answer_of_tftp_is_expected_wherever_it_comes_in() {
    for case in &CASES {
        for lcores in 1..=8 {
            let mut cluster = Cluster::new(Shape::new(lcores, 3), &settings(), &flows(case.nat));
            for client in 0..4 * CLIENTS {
                let (here, asked) = (end(case.client, 4000 + client), end(case.asked, 69));
                let request = hex("\0\u{1}boot/grub.cfg\0octet\0");
                let line = format!("udp {here} > {asked} data={request}");
                cluster.inject(1, text::frame(&line));
                let sent = first_sent(&mut cluster);
                let [(2, left)] = &sent[..] else {
                    panic!("{}: {sent:?}", case.name);
                };
                let tuple = tuple_of(left);
                let public = end(&tuple.src().to_string(), tuple.src_port);
                let server = end(case.server, 33_000 + client);
                cluster.inject(
                    2,
                    text::frame(&format!("udp {server} > {public} data=0003")),
                );
                let told = settled(&mut cluster);
                assert_eq!(told.len(), 1, "{}: {:?}", case.name, cluster.drops());
                // The client hears whom it asked, from a port that leads to the same lcore.
                let tuple = tuple_of(&told[0].1);
                let known = end(case.asked, tuple.src_port);
                assert!(tuple.src_port == 33_000 + client || case.nat.contains("dst="));
                let lines: Vec<_> = told
                    .iter()
                    .map(|(_, it)| text::describe(it.bytes()))
                    .collect();
                assert_eq!(
                    lines,
                    [format!("udp {known} > {here} data=0003")],
                    "{}",
                    case.name
                );
                cluster.inject(1, text::frame(&format!("udp {here} > {known} data=0004")));
                let told = settled(&mut cluster);
                let lines: Vec<_> = told
                    .iter()
                    .map(|(_, it)| text::describe(it.bytes()))
                    .collect();
                assert_eq!(
                    lines,
                    [format!("udp {public} > {server} data=0004")],
                    "{}",
                    case.name
                );
                // RFC 1350 4: one transfer is one pair of ports.
                let other = end(case.server, 44_000 + client);
                cluster.inject(2, text::frame(&format!("udp {other} > {public} data=0003")));
                assert_eq!(settled(&mut cluster).len(), 0, "{}", case.name);
            }
            assert_eq!(cluster.expected(), [""; 0]);
            cluster.end();
        }
    }
}

/// What is announced is shown once, whoever was told of it, and is gone with its master, with its
/// time or with a flush of everything.
#[test]
fn what_is_expected_ends_with_its_master_everywhere() {
    let case = &CASES[1];
    for lcores in [1, 2, 3, 8] {
        for chance in 0..4 {
            for ending in ["flush", "time"] {
                let shape = Shape::new(lcores, chance);
                let mut cluster = Cluster::new(shape, &settings(), &flows(case.nat));
                let mut control = Control::open(&mut cluster, case, 0);
                let mut told = Vec::new();
                // The first one gives way.
                for port in 40_000..40_005 {
                    told.push(announce(
                        &mut cluster,
                        case,
                        &mut control,
                        Way::Active,
                        port,
                    ));
                    cluster.settle();
                }
                let expected = cluster.expected();
                assert_eq!(expected.len(), 4, "{expected:?}");
                match ending {
                    "flush" => assert_eq!(cluster.flush("ct_nw_proto=6,ct_tp_dst=21"), 1),
                    _ => cluster.pass(301_000),
                }
                cluster.settle();
                assert_eq!(cluster.expected(), [""; 0], "{ending}");
                for (number, (side, at, _)) in (0..).zip(&told) {
                    for port in 0..8 {
                        let from = end(case.server, 20 + 10 * number + port);
                        let open = format!("tcp {from} > {at} S seq=1");
                        cluster.inject(*side, text::frame(&open));
                    }
                }
                assert_eq!(settled(&mut cluster).len(), 0, "{ending}, {lcores} lcores");
                cluster.end();
            }
        }
    }
}

/// What follows an announcement that waits stays behind it, and the answer to neither is held up.
#[test]
fn nothing_overtakes_an_announcement() {
    for case in &CASES {
        for lcores in 1..=8 {
            for chance in 0..4 {
                let shape = Shape::new(lcores, chance);
                let mut cluster = Cluster::new(shape, &settings(), &flows(case.nat));
                let mut control = Control::open(&mut cluster, case, 1);
                let commands = [
                    format!("EPRT |1|{}|40000|\r\n", case.client),
                    "RETR one\r\n".to_owned(),
                    "NOOP\r\n".to_owned(),
                ]
                .map(|line| match case.client.contains(':') {
                    true => line.replace("|1|", "|2|"),
                    false => line,
                });
                for line in &commands {
                    let frame = control.command(line);
                    cluster.inject(1, frame);
                }
                let sent = settled(&mut cluster);
                let said: Vec<_> = sent.iter().map(|(_, it)| payload(it)).collect();
                assert!(said[0].starts_with("EPRT "), "{said:?}");
                assert_eq!(said[1..], commands[1..], "{}, {lcores} lcores", case.name);
                cluster.end();
            }
        }
    }
}

/// Without room to wait the announcement is dropped by name; what comes again is expected.
#[test]
fn an_announcement_without_room_is_dropped_by_name() {
    let case = &CASES[1];
    for chance in 0..8 {
        let shape = Shape {
            bounds: Bounds {
                waiting: 0,
                ..Bounds::default()
            },
            ..Shape::new(3, chance)
        };
        let mut cluster = Cluster::new(shape, &settings(), &flows(case.nat));
        let mut control = Control::open(&mut cluster, case, 0);
        let said = control.said;
        let frame = control.command(&format!("PORT {}\r\n", commas(case.client, 40_000)));
        cluster.inject(1, frame);
        assert_eq!(settled(&mut cluster).len(), 0, "it cannot wait");
        assert_eq!(cluster.drops(), [("hold_full", 1)].into());
        // The client says it again, and all have heard it before.
        control.said = said;
        let told = announce(&mut cluster, case, &mut control, Way::Active, 40_000);
        let from = end(case.server, 20);
        let open = format!("tcp {from} > {} S seq=1", told.1);
        cluster.inject(2, text::frame(&open));
        let sent = settled(&mut cluster);
        // Where its own translation must be asked for, it cannot wait either.
        assert!(sent.len() == 1 || cluster.drops()["hold_full"] == 2);
        cluster.end();
    }
}

/// While an announcement waits the policy changes: it is dropped by name, not sent as it is.
#[test]
fn an_announcement_does_not_go_on_under_another_policy() {
    let case = &CASES[1];
    let mut waited = false;
    for chance in 0..8 {
        let mut cluster = Cluster::new(Shape::new(4, chance), &settings(), &flows(case.nat));
        let mut control = Control::open(&mut cluster, case, 0);
        let before = cluster.hand_offs("waited");
        let frame = control.command(&format!("PORT {}\r\n", commas(case.client, 40_000)));
        cluster.inject(1, frame);
        while cluster.hand_offs("waited") == before && cluster.step() {}
        if cluster.sent().is_empty() {
            waited = true;
            cluster.change_flows("table=7,actions=drop");
            assert_eq!(settled(&mut cluster).len(), 0);
            assert_eq!(cluster.drops(), [("hold_limit", 1)].into());
        }
        cluster.end();
    }
    assert!(waited);
}

/// A child has the mark that its master has when it comes, also where that was written after it was
/// announced.
#[test]
fn a_child_has_its_masters_mark_of_now() {
    let case = &CASES[0];
    let renamed = "priority=40000,in_port=1,tcp,tp_dst=21,tcp_flags=+psh \
                   actions=ct(commit,nat,exec(set_field:9->ct_mark),table=2)
                   table=2 actions=2
                   table=1,in_port=2,ct_state=+new+rel,ct_mark=9,ip actions=ct(commit,nat),1";
    for lcores in 1..=8 {
        let mut cluster = Cluster::new(Shape::new(lcores, 1), &settings(), &flows(case.nat));
        let mut control = Control::open(&mut cluster, case, 0);
        let told = announce(&mut cluster, case, &mut control, Way::Active, 40_000);
        cluster.settle();
        cluster.change_flows(renamed);
        let frame = control.command("NOOP\r\n");
        cluster.inject(1, frame);
        assert_eq!(first_sent(&mut cluster).len(), 1, "{lcores} lcores");
        data_comes(&mut cluster, case, &told, 20);
        let marks: Vec<_> = cluster
            .connections()
            .into_iter()
            .flatten()
            .map(|it| it.mark)
            .collect();
        assert_eq!(marks, [9, 9]);
        cluster.end();
    }
}
