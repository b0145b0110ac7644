//! Several lcores do what one does: whatever the kind of translation, how many there are, who owns
//! what, and in what order they have their turns.

use std::collections::HashMap;

use weir_ct::{Bounds, Settings, ZoneSettings};
use weir_packet::{Frame, Tuple, VecFrame, parse, text};
use weir_tests::cluster::{Cluster, Shape};

/// A policy, and what may differ between one lcore and several.
struct Policy {
    name: &'static str,
    flows: &'static str,
    /// What clients send.
    protocols: &'static [&'static str],
    /// Whether which number a client gets is a matter of choice.
    chooses: bool,
}

const CLIENTS: u8 = 12;

const POLICIES: &[Policy] = &[
    Policy {
        name: "no connection at all",
        flows: "in_port=1 actions=output:2
                in_port=2 actions=output:1",
        protocols: &["tcp", "udp", "icmp", "gre"],
        chooses: false,
    },
    Policy {
        name: "firewall",
        flows: "table=0,ip actions=ct(table=1)
                table=0,arp actions=NORMAL
                table=1,in_port=1,ip,ct_state=+new actions=ct(commit),output:2
                table=1,in_port=1,ip,ct_state=+est actions=output:2
                table=1,in_port=2,ip,ct_state=+est actions=output:1",
        protocols: &["tcp", "udp", "icmp", "gre"],
        chooses: false,
    },
    Policy {
        name: "SNAT with a range of addresses and ports",
        flows: "table=0,in_port=1,ip actions=ct(zone=1,nat,table=1)
                table=0,in_port=2,ip actions=ct(zone=1,nat,table=1)
                table=1,in_port=1,ip,ct_state=+new \
                 actions=ct(commit,zone=1,nat(src=198.51.100.7-198.51.100.9:5000-5400)),output:2
                table=1,in_port=1,ip,ct_state=+est actions=output:2
                table=1,in_port=2,ip,ct_state=+est actions=output:1",
        protocols: &["tcp", "udp", "icmp"],
        chooses: true,
    },
    Policy {
        name: "SNAT to whatever the packet has",
        flows: "table=0,in_port=1,ip actions=ct(commit,nat(src=0.0.0.0)),output:2
                table=0,in_port=2,ip actions=ct(nat,table=1)
                table=1,ip,ct_state=+est actions=output:1",
        protocols: &["tcp", "udp", "icmp"],
        chooses: true,
    },
    Policy {
        name: "SNAT to one address",
        flows: "table=0,in_port=1,ip actions=ct(commit,nat(src=198.51.100.7)),output:2
                table=0,in_port=2,ip actions=ct(nat,table=1)
                table=1,ip,ct_state=+est actions=output:1",
        protocols: &["tcp", "udp", "icmp", "gre"],
        chooses: true,
    },
    Policy {
        name: "DNAT",
        flows: "table=0,in_port=1,ip actions=ct(commit,nat(dst=10.9.9.9)),output:2
                table=0,in_port=2,ip actions=ct(nat,table=1)
                table=1,ip,ct_state=+est actions=output:1",
        protocols: &["tcp", "udp", "icmp", "gre"],
        chooses: false,
    },
    Policy {
        name: "DNAT to a port, through a table that looks first",
        flows: "table=0,ip actions=ct(zone=7,nat,table=1)
                table=1,in_port=1,ip,ct_state=+new \
                 actions=ct(commit,zone=7,nat(dst=10.9.9.9:8080),table=2)
                table=1,in_port=1,ip,ct_state=+est actions=goto_table:2
                table=1,in_port=2,ip,ct_state=+est+rpl actions=output:1
                table=2,ip,nw_dst=10.9.9.9 actions=output:2",
        protocols: &["tcp", "udp"],
        chooses: false,
    },
    Policy {
        name: "DNAT in one zone, SNAT in another",
        flows: "table=0,in_port=1,ip actions=ct(commit,zone=1,nat(dst=10.9.9.9),table=1)
                table=1,ip actions=ct(commit,zone=2,nat(src=198.51.100.7),table=2)
                table=2,ip actions=output:2
                table=0,in_port=2,ip actions=ct(zone=2,nat,table=3)
                table=3,ip actions=ct(zone=1,nat,table=4)
                table=4,ip,ct_state=+est actions=output:1",
        protocols: &["tcp", "udp", "icmp"],
        chooses: true,
    },
    Policy {
        name: "a stateless rewrite before ct()",
        flows: "table=0,in_port=1,ip actions=mod_nw_src:203.0.113.9,ct(table=1)
                table=1,ip,ct_state=+new actions=ct(commit),output:2
                table=1,ip,ct_state=+est actions=output:2
                table=0,in_port=2,ip actions=ct(table=2)
                table=2,ip,ct_state=+est actions=resubmit(,3)
                table=2,ip,ct_state=+new actions=drop
                table=3,ip actions=output:1",
        // Clients that become one address must differ in something else.
        protocols: &["udp with its own port"],
        chooses: false,
    },
    Policy {
        name: "what waits is a copy, deep in lists, with more to do behind it",
        flows: "table=0,in_port=1,ip actions=load:7->reg1,resubmit(,1),output:4
                table=1,ip actions=clone(ct(commit,zone=3,nat(dst=10.9.9.8)),output:3),\
                 resubmit(,2),load:9->reg2,resubmit(,3)
                table=2,ip,reg1=7 actions=ct(commit,zone=1,nat(dst=10.9.9.9)),load:1->reg3,output:2
                table=3,ip,reg2=9,reg3=1 actions=mod_nw_tos:32,output:3
                table=0,in_port=2,ip actions=ct(zone=1,nat,table=4)
                table=4,ip,ct_state=+est actions=output:1",
        protocols: &["udp"],
        chooses: false,
    },
    Policy {
        name: "an action set that ends with ct()",
        flows: "table=0,in_port=1,ip actions=write_actions(set_field:32->ip_dscp,\
                 ct(commit,zone=1,nat(dst=10.9.9.9),table=1)),goto_table:5
                table=5,ip actions=load:3->reg4
                table=1,ip,nw_tos=128 actions=output:2
                table=0,in_port=2,ip actions=ct(zone=1,nat,table=4)
                table=4,ip,ct_state=+est actions=output:1",
        protocols: &["udp"],
        chooses: false,
    },
];

/// Packet number `number` of a client, with its number as payload.
fn packet(protocol: &str, client: u8, number: u32) -> VecFrame {
    let server = client % 3 + 1;
    let (src, dst) = (format!("10.0.0.{client}"), format!("192.0.2.{server}"));
    text::frame(&match protocol {
        "tcp" if number == 0 => format!("tcp {src}:4000 > {dst}:80 S seq=100"),
        "tcp" => {
            let seq = 101 + 4 * (number - 1);
            format!("tcp {src}:4000 > {dst}:80 A seq={seq} ack=501 data={number:08x}")
        }
        "udp" => format!("udp {src}:4000 > {dst}:53 data={number:08x}"),
        "udp with its own port" => {
            let port = 4000 + u16::from(client);
            format!("udp {src}:{port} > {dst}:53 data={number:08x}")
        }
        "icmp" => format!("icmp {src} > {dst} echo-request id=77 seq={number} data={number:08x}"),
        // Without ports, one outside address has one client per server.
        "gre" => format!("ip proto=47 {src} > 192.0.2.{client} data=0000080{number:01x}"),
        other => panic!("no such protocol: {other}"),
    })
}

fn tuple_of(frame: &VecFrame) -> Tuple {
    let layout = parse(frame.bytes(), frame.bytes().len()).expect("no runt");
    Tuple::of(frame.bytes(), &layout).expect("it has one")
}

/// What a server answers to `frame`.
fn answer(protocol: &str, frame: &VecFrame, number: u32) -> VecFrame {
    let tuple = tuple_of(frame);
    let (src, dst) = (tuple.dst(), tuple.src());
    let (from, to) = (tuple.dst_port, tuple.src_port);
    text::frame(&match protocol {
        "tcp" if number == 0 => format!("tcp {src}:{from} > {dst}:{to} SA seq=500 ack=101"),
        "tcp" => format!(
            "tcp {src}:{from} > {dst}:{to} A seq={} ack=101 data={number:08x}",
            501 + 4 * (number - 1)
        ),
        "udp" | "udp with its own port" => {
            format!("udp {src}:{from} > {dst}:{to} data={number:08x}")
        }
        "icmp" => format!(
            "icmp {src} > {dst} echo-reply id={} seq={number} data={number:08x}",
            tuple.src_port
        ),
        "gre" => format!("ip proto=47 {src} > {dst} data=0000080{number:01x}"),
        other => panic!("no such protocol: {other}"),
    })
}

/// Sends packets of all clients, interleaved, and what servers answer; returns what left, by the
/// client that it is about and in order.
struct Play {
    /// By client: what left because of what the client sent.
    there: HashMap<u8, Vec<(u32, VecFrame)>>,
    /// By client: what left because of what the server sent.
    back: HashMap<u8, Vec<(u32, VecFrame)>>,
    drops: HashMap<&'static str, u64>,
}

fn play(policy: &Policy, protocol: &str, shape: Shape) -> (Play, Cluster) {
    let settings = Settings {
        max_connections: 256,
        accounting: true,
        ..Settings::default()
    };
    let mut cluster = Cluster::new(shape, &settings, policy.flows);
    let mut play = Play {
        there: HashMap::new(),
        back: HashMap::new(),
        drops: HashMap::new(),
    };
    // Which client a frame is about: told by the address of the Ethernet source, which no policy
    // writes.
    let marked = |mut frame: VecFrame, client: u8| {
        frame.head_mut()[11] = client;
        frame
    };
    let client_of = |frame: &VecFrame| frame.bytes()[11];
    let collect = |cluster: &mut Cluster, to: &mut HashMap<u8, Vec<(u32, VecFrame)>>| {
        for (port, frame) in cluster.sent() {
            to.entry(client_of(&frame)).or_default().push((port, frame));
        }
    };
    // The first packets, without waiting for anything: of UDP several.
    let first = if protocol == "tcp" { 1 } else { 4 };
    for number in 0..first {
        for client in 1..=CLIENTS {
            cluster.inject(1, marked(packet(protocol, client, number), client));
            if client % 4 == 0 {
                cluster.step();
            }
        }
    }
    // A burst of one client's, behind them, at one lcore.
    if protocol != "tcp" {
        let burst = (first..first + 3).map(|number| marked(packet(protocol, 1, number), 1));
        let frames: Vec<_> = burst.collect();
        frames
            .into_iter()
            .for_each(|frame| cluster.inject(1, frame));
    }
    cluster.settle();
    collect(&mut cluster, &mut play.there);
    // Servers answer to what came to them.
    for round in 0..3 {
        for client in 1..=CLIENTS {
            let came = play
                .there
                .get(&client)
                .and_then(|sent| sent.iter().find(|(port, _)| *port == 2));
            if let Some((_, frame)) = came {
                let back = marked(answer(protocol, frame, round), client);
                cluster.inject(2, back);
            }
        }
        cluster.settle();
        collect(&mut cluster, &mut play.back);
        for client in 1..=CLIENTS {
            cluster.inject(1, marked(packet(protocol, client, 8 + round), client));
        }
        cluster.step();
        cluster.settle();
        collect(&mut cluster, &mut play.there);
    }
    play.drops = cluster.drops();
    (play, cluster)
}

/// Frames as text; what was chosen for the source is left out.
fn lines(sent: &[(u32, VecFrame)], chosen: bool) -> Vec<String> {
    let line = |(port, frame): &(u32, VecFrame)| {
        let text = text::describe(frame.bytes());
        if !chosen {
            return format!("{port}: {text}");
        }
        let words = text.split(' ').enumerate().filter(|(at, word)| {
            // `PROTOCOL SRC > DST ...`; with other addresses, the Ethernet source in front.
            let source = text
                .split(' ')
                .position(|word| word == ">")
                .map(|at| at - 1);
            let last = text
                .split(' ')
                .collect::<Vec<_>>()
                .iter()
                .rposition(|word| *word == ">")
                .map(|at| at - 1);
            Some(*at) != source.max(last) && !word.starts_with("id=")
        });
        let words: Vec<_> = words.map(|(_, word)| word).collect();
        format!("{port}: {}", words.join(" "))
    };
    sent.iter().map(line).collect()
}

fn by_client(sent: &HashMap<u8, Vec<(u32, VecFrame)>>, chosen: bool) -> Vec<(u8, Vec<String>)> {
    let mut clients: Vec<_> = sent
        .iter()
        .map(|(client, sent)| (*client, by_port(lines(sent, chosen))))
        .collect();
    clients.sort();
    clients
}

/// What leaves at different ports has no order, nor have copies that were translated otherwise: a
/// packet does not wait for its copy.
fn by_port(mut lines: Vec<String>) -> Vec<String> {
    let key = |line: &String| {
        let words: Vec<_> = line.split(' ').collect();
        let arrow = words.iter().rposition(|word| *word == ">");
        let to = arrow.and_then(|at| words.get(at + 1).copied());
        (words[0].to_owned(), to.unwrap_or_default().to_owned())
    };
    lines.sort_by_key(key);
    lines
}

/// Where the device's hash decides on owners, nothing of TCP and UDP is handed over, neither there nor back,
/// as long as ports can be chosen that bring replies home.
#[test]
fn what_a_device_brings_to_its_owner_is_not_handed_over() {
    let names = ["firewall", "SNAT with a range of addresses and ports"];
    for policy in POLICIES
        .iter()
        .filter(|policy| names.contains(&policy.name))
    {
        for protocol in ["tcp", "udp"] {
            for lcores in 2..=8 {
                let handed_over = |rss: bool| {
                    let shape = Shape {
                        rss,
                        ..Shape::new(lcores, 5)
                    };
                    let (play, mut cluster) = play(policy, protocol, shape);
                    assert_eq!(play.back.len(), usize::from(CLIENTS));
                    cluster.hand_offs("passed_on")
                };
                let name = format!("{}, {protocol}, {lcores} lcores", policy.name);
                assert_eq!(handed_over(true), 0, "{name}");
                assert!(handed_over(false) > 0, "{name}");
            }
        }
    }
}

#[test]
fn several_lcores_do_what_one_does() {
    for policy in POLICIES {
        for protocol in policy.protocols {
            let (alone, cluster) = play(policy, protocol, Shape::new(1, 0));
            cluster.end();
            assert!(
                !alone.there.is_empty() && !alone.back.is_empty(),
                "{}",
                policy.name
            );
            for lcores in 2..=8 {
                for chance in [1, 2] {
                    let name = format!("{}, {protocol}, {lcores} lcores, {chance}", policy.name);
                    let (several, mut cluster) = play(policy, protocol, Shape::new(lcores, chance));
                    for (one, many, chosen) in [
                        (&alone.there, &several.there, policy.chooses),
                        (&alone.back, &several.back, false),
                    ] {
                        let (one, many) = (by_client(one, chosen), by_client(many, chosen));
                        assert_eq!(one.len(), many.len(), "{name}");
                        for (one, many) in one.iter().zip(&many) {
                            assert_eq!(one, many, "{name}");
                        }
                    }
                    assert_eq!(alone.drops, several.drops, "{name}");
                    assert_eq!(cluster.hand_offs("dropped_queue_full"), 0, "{name}");
                    cluster.end();
                }
            }
        }
    }
}

/// Every packet of a connection was counted by it, so it was its owner that dealt with each.
#[test]
fn every_packet_of_a_connection_is_dealt_with_by_its_owner() {
    for policy in POLICIES
        .iter()
        .filter(|policy| policy.flows.contains("commit"))
    {
        for protocol in policy.protocols {
            let carried = |cluster: &mut Cluster| {
                let mut all: Vec<_> = cluster
                    .connections()
                    .into_iter()
                    .flatten()
                    .map(|entry| {
                        let [there, back] = entry
                            .carried
                            .expect("they count")
                            .map(|carried| carried.packets);
                        (
                            entry.zone,
                            entry.original.src(),
                            entry.original.dst(),
                            there,
                            back,
                        )
                    })
                    .collect();
                all.sort();
                all
            };
            let (_, mut alone) = play(policy, protocol, Shape::new(1, 0));
            let alone = carried(&mut alone);
            for lcores in [2, 3, 8] {
                let (_, mut several) = play(policy, protocol, Shape::new(lcores, 5));
                let several = carried(&mut several);
                if policy.chooses {
                    let counts = |all: &[(u16, _, _, u64, u64)]| -> Vec<_> {
                        let mut counts: Vec<_> = all
                            .iter()
                            .map(|(zone, _, _, there, back)| (*zone, *there, *back))
                            .collect();
                        counts.sort_unstable();
                        counts
                    };
                    assert_eq!(
                        counts(&alone),
                        counts(&several),
                        "{}, {protocol}",
                        policy.name
                    );
                } else {
                    assert_eq!(alone, several, "{}, {protocol}", policy.name);
                }
            }
        }
    }
}

/// With next to no room, packets are dropped by name, and nothing else goes wrong.
#[test]
fn what_has_no_room_is_dropped_by_name() {
    let policy = POLICIES
        .iter()
        .find(|policy| policy.name == "DNAT")
        .expect("there is one");
    let mut full = HashMap::new();
    for chance in 0..40 {
        let shape = Shape {
            bounds: Bounds {
                passing: chance as usize % 3,
                waiting: chance as usize % 2,
            },
            ..Shape::new(4, chance)
        };
        let settings = Settings {
            max_connections: 256,
            ..Settings::default()
        };
        let mut cluster = Cluster::new(shape, &settings, policy.flows);
        for number in 0..4 {
            for client in 1..=CLIENTS {
                cluster.inject(1, packet("udp", client, number));
            }
        }
        cluster.settle();
        let (sent, drops) = (cluster.sent().len() as u64, cluster.drops());
        assert_eq!(
            sent + drops.values().sum::<u64>(),
            4 * u64::from(CLIENTS),
            "{drops:?}"
        );
        for (name, dropped) in drops {
            *full.entry(name).or_insert(0) += dropped;
        }
        cluster.end();
    }
    let mut names: Vec<_> = full.into_keys().collect();
    names.sort_unstable();
    assert_eq!(names, ["hand_off_full", "hold_full"]);
}

/// A packet that waits goes on under the policy that it began with, or from table 0 if that is gone.
#[test]
fn what_waits_begins_anew_when_the_policy_changes() {
    let flows = "in_port=1,ip actions=ct(commit,nat(dst=10.9.9.9)),output:2";
    let mut began_anew = false;
    for chance in 0..8 {
        let settings = Settings {
            max_connections: 64,
            ..Settings::default()
        };
        let mut cluster = Cluster::new(Shape::new(4, chance), &settings, flows);
        cluster.inject(1, packet("udp", 1, 0));
        while cluster.hand_offs("waited") == 0 && cluster.step() {}
        let waits = cluster.hand_offs("waited") > 0 && cluster.sent().is_empty();
        cluster.change_flows("in_port=1,ip actions=ct(commit,nat(dst=10.9.9.9)),output:3");
        cluster.settle();
        if waits {
            began_anew = true;
            let ports: Vec<_> = cluster.sent().into_iter().map(|(port, _)| port).collect();
            assert_eq!(ports, [3]);
        }
        cluster.end();
    }
    assert!(began_anew);
}

/// An error comes to whoever tracks what it quotes, whichever queue it came in by.
#[test]
fn errors_come_to_the_owner_of_what_they_quote() {
    for translation in ["nat(src=198.51.100.7)", "nat(dst=10.9.9.9)"] {
        let flows = format!(
            "table=0,in_port=1,ip actions=ct(commit,{translation}),output:2
             table=0,in_port=2,ip actions=ct(nat,table=1)
             table=1,ip,ct_state=+rel actions=output:1"
        );
        for lcores in 1..=8 {
            let settings = Settings {
                max_connections: 256,
                ..Settings::default()
            };
            let mut cluster = Cluster::new(Shape::new(lcores, 3), &settings, &flows);
            for client in 1..=CLIENTS {
                cluster.inject(1, packet("udp", client, 0));
                cluster.settle();
                let sent = cluster.sent();
                let tuple = tuple_of(&sent.first().expect("it is sent").1);
                let (src, dst) = (tuple.src(), tuple.dst());
                let (from, to) = (tuple.src_port, tuple.dst_port);
                let error = format!(
                    "icmp {dst} > {src} unreachable code=3 {{ udp {src}:{from} > {dst}:{to} len=9 }}"
                );
                cluster.inject(2, text::frame(&error));
                cluster.settle();
                let told = lines(&cluster.sent(), false);
                let server = client % 3 + 1;
                let quoted = format!("{{ udp 10.0.0.{client}:4000 > 192.0.2.{server}:53 len=9 }}");
                assert!(told[0].contains(&quoted), "{lcores} lcores: {told:?}");
                assert_eq!(told.len(), 1);
            }
            assert_eq!(cluster.drops(), HashMap::new());
            cluster.end();
        }
    }
}

/// What a packet has pushed cannot be kept for it: it does not wait but is dropped by name.
#[test]
fn a_packet_with_a_stack_does_not_wait() {
    let flows = "in_port=1,ip actions=push:NXM_OF_IN_PORT[],ct(commit,nat(dst=10.9.9.9)),output:2";
    let settings = Settings {
        max_connections: 256,
        ..Settings::default()
    };
    // By a device's hash, of clients with one port all go home or none do.
    let shape = Shape {
        rss: false,
        ..Shape::new(4, 1)
    };
    let mut cluster = Cluster::new(shape, &settings, flows);
    for client in 1..=CLIENTS {
        cluster.inject(1, packet("udp", client, 0));
    }
    cluster.settle();
    let (sent, drops) = (cluster.sent().len() as u64, cluster.drops());
    let lost = drops.get("hold_limit").copied().unwrap_or(0);
    assert!(sent > 0 && lost > 0, "{sent}, {drops:?}");
    assert_eq!(sent + lost, u64::from(CLIENTS));
    cluster.end();
}

/// A bucket that waits for its translation goes on where it stopped, and nothing else of the packet
/// waits for it: what leaves is what one lcore sends, and by bucket and client it leaves in order.
#[test]
fn buckets_wait_and_go_on() {
    let play = |kind: &str, shape: Shape| {
        let settings = Settings {
            max_connections: 256,
            ..Settings::default()
        };
        let mut cluster = Cluster::new(shape, &settings, "priority=0 actions=drop");
        cluster.bundle(&format!(
            "group add group_id=1,type={kind},\
             bucket=actions=ct(commit,zone=1,nat(dst=10.9.9.9),table=5),\
             bucket=actions=ct(commit,zone=2,nat(dst=10.8.8.8),table=6)
             flow add in_port=1,ip actions=group:1,output:4
             flow add table=5 actions=output:2
             flow add table=6 actions=ct(commit,zone=3,nat(dst=10.7.7.7)),output:3"
        ));
        for number in 0..4 {
            for client in 1..=CLIENTS {
                cluster.inject(1, packet("udp", client, number));
                if client % 5 == 0 {
                    cluster.step();
                }
            }
        }
        cluster.settle();
        let sent = cluster.sent();
        let mut streams: HashMap<(u32, std::net::IpAddr), Vec<String>> = HashMap::new();
        for (port, frame) in &sent {
            let client = tuple_of(frame).src();
            let stream = streams.entry((*port, client)).or_default();
            stream.push(text::describe(frame.bytes()));
        }
        (streams, cluster)
    };
    for kind in ["all", "select"] {
        let (alone, cluster) = play(kind, Shape::new(1, 0));
        cluster.end();
        assert!(!alone.is_empty());
        for lcores in 2..=8 {
            for chance in 1..4 {
                let (several, mut cluster) = play(kind, Shape::new(lcores, chance));
                assert_eq!(alone, several, "{kind}, {lcores} lcores, {chance}");
                assert_eq!(cluster.drops(), HashMap::new());
                let waited = cluster.hand_offs("waited");
                assert!(waited > 0, "{kind}, {lcores} lcores, {chance}");
                cluster.end();
            }
        }
    }
}

/// A datagram in pieces opens a connection on whichever lcore its pieces come together, and its
/// translation is asked for.
#[test]
fn a_datagram_in_pieces_opens_a_connection() {
    let flows = "in_port=1,ip actions=ct(commit,nat(dst=10.9.9.9)),output:2";
    for lcores in 1..=8 {
        let settings = Settings {
            max_connections: 256,
            ..Settings::default()
        };
        let mut cluster = Cluster::new(Shape::new(lcores, 1), &settings, flows);
        for client in 1..=CLIENTS {
            let whole = format!("udp 10.0.0.{client}:4000 > 192.0.2.1:53 len=1000");
            let whole = text::frame(&whole);
            let layout = parse(whole.bytes(), whole.bytes().len()).expect("no runt");
            let pieces = weir_packet::reassembly::cut(&whole, &layout, 600).expect("it can be cut");
            for piece in pieces {
                cluster.inject(1, piece.expect("there is a frame"));
            }
        }
        cluster.settle();
        let sent = cluster.sent();
        assert_eq!(
            sent.len(),
            2 * usize::from(CLIENTS),
            "{:?}",
            cluster.drops()
        );
        for (_, piece) in &sent {
            assert!(text::describe(piece.bytes()).contains("> 10.9.9.9"));
        }
        let connections: usize = cluster.connections().iter().map(Vec::len).sum();
        assert_eq!(connections, usize::from(CLIENTS));
        cluster.end();
    }
}

/// Each lcore learns where an address is, whoever saw it.
#[test]
fn all_lcores_learn() {
    let settings = Settings {
        max_connections: 64,
        ..Settings::default()
    };
    let mut cluster = Cluster::new(Shape::new(3, 1), &settings, "actions=NORMAL");
    for (lcore, port) in [(0, 1), (1, 2), (2, 3)] {
        let line = format!(
            "eth 02:00:00:00:00:0{port} > ff:ff:ff:ff:ff:ff arp request 10.0.0.{port} > 10.0.0.9"
        );
        cluster.receive(lcore, port, vec![text::frame(&line)]);
        cluster.settle();
    }
    cluster.sent();
    let macs = cluster.macs();
    assert_eq!(macs[0].len(), 3);
    assert_eq!(macs[0], macs[1]);
    assert_eq!(macs[0], macs[2]);
    let line = "eth 02:00:00:00:00:01 > 02:00:00:00:00:03 arp reply 10.0.0.1 > 10.0.0.3";
    cluster.receive(1, 1, vec![text::frame(line)]);
    let ports: Vec<_> = cluster.sent().into_iter().map(|(port, _)| port).collect();
    assert_eq!(ports, [3], "it is not flooded");
}

/// Opens UDP connections of zone 5 with ports from `from` on, each answered, until nobody is let in
/// any more though each was tried again and again; returns how many there are, in all. Each look of the
/// management thread comes behind a few packets.
fn fill(cluster: &mut Cluster, from: u16, most: usize) -> usize {
    let count = |cluster: &mut Cluster| cluster.connections().iter().map(Vec::len).sum::<usize>();
    let mut before = usize::MAX;
    let mut there = count(cluster);
    while there != before {
        before = there;
        for port in from..from + 400 {
            cluster.inject(
                1,
                text::frame(&format!("udp 10.0.0.1:{port} > 192.0.2.1:53 len=9")),
            );
            cluster.settle();
            for (_, frame) in cluster.sent() {
                let tuple = tuple_of(&frame);
                let (src, to) = (tuple.src(), tuple.src_port);
                cluster.inject(
                    2,
                    text::frame(&format!("udp 192.0.2.1:53 > {src}:{to} len=9")),
                );
            }
            cluster.settle();
            cluster.sent();
            if port % 4 == 0 {
                cluster.lend();
            }
            there = count(cluster);
            assert!(there <= most, "{there} of {most}");
        }
    }
    there
}

/// A limit is one for all lcores together, to the connection, whichever of them they are on: that of a
/// zone, that of all, lowered, raised, taken away, 0, and fewer than there are lcores.
#[test]
fn limits_are_totals_over_all_lcores() {
    let flows = "in_port=1,ip actions=ct(commit,zone=5),output:2
                 in_port=2,ip actions=ct(zone=5),output:1";
    for (lcores, chance) in [(1, 0), (2, 1), (2, 2), (3, 3), (4, 4), (4, 5), (8, 6)] {
        let limited = |limit: Option<u32>| {
            let zone = ZoneSettings {
                limit,
                ..ZoneSettings::default()
            };
            Settings {
                max_connections: 150,
                zones: [(5, zone)].into(),
                ..Settings::default()
            }
        };
        let mut cluster = Cluster::new(Shape::new(lcores, chance), &limited(Some(60)), flows);
        assert_eq!(fill(&mut cluster, 1000, 60), 60, "{lcores} lcores");
        let drops = cluster.drops();
        assert!(drops["ct_zone_full"] > 0 && drops.len() == 1, "{drops:?}");
        // Lowered, it ends none and lets none begin. Known ones go on.
        cluster.configure(&limited(Some(20)));
        assert_eq!(fill(&mut cluster, 3000, 60), 60);
        cluster.configure(&limited(Some(100)));
        assert_eq!(fill(&mut cluster, 3000, 100), 100);
        // Without it there is that of all.
        cluster.configure(&limited(None));
        assert_eq!(fill(&mut cluster, 5000, 150), 150);
        assert!(cluster.drops()["ct_full"] > 0);
        cluster.configure(&limited(Some(20)));
        assert_eq!(fill(&mut cluster, 7000, 150), 150);
        // As they end, there is room again.
        cluster.pass(121_000);
        assert_eq!(fill(&mut cluster, 7000, 20), 20);
        cluster.configure(&limited(Some(0)));
        cluster.pass(121_000);
        assert_eq!(fill(&mut cluster, 1000, 0), 0);
        cluster.configure(&limited(Some(3)));
        assert_eq!(fill(&mut cluster, 1000, 3), 3, "{lcores} lcores");
        cluster.end();
    }
}

/// A limit of each zone that has none of its own is a limit of each.
#[test]
fn a_default_limit_is_a_total_of_each_zone() {
    let flows = "in_port=1,ip actions=ct(commit,zone=5),output:2
                 in_port=2,ip actions=ct(zone=5),output:1
                 in_port=3,ip actions=ct(commit,zone=6),output:4";
    for lcores in [2, 4, 8] {
        let settings = |zone_limit| Settings {
            max_connections: 500,
            zone_limit,
            ..Settings::default()
        };
        let mut cluster = Cluster::new(Shape::new(lcores, 9), &settings(None), flows);
        // Some were there before.
        for port in 1..=30 {
            cluster.inject(
                1,
                text::frame(&format!("udp 10.0.0.2:{port} > 192.0.2.1:53 len=9")),
            );
            cluster.settle();
            cluster.inject(
                2,
                text::frame(&format!("udp 192.0.2.1:53 > 10.0.0.2:{port} len=9")),
            );
            cluster.settle();
        }
        cluster.sent();
        cluster.configure(&settings(Some(40)));
        assert_eq!(fill(&mut cluster, 1000, 40), 40, "{lcores} lcores");
        // Unreplied ones give way to others of their zone, on the lcore where they are.
        for port in 1..=200 {
            cluster.inject(
                3,
                text::frame(&format!("udp 10.0.0.3:{port} > 192.0.2.1:53 len=9")),
            );
            cluster.settle();
            cluster.lend();
            let all: usize = cluster.connections().iter().map(Vec::len).sum();
            assert!(all <= 80, "{all}");
        }
        let all: usize = cluster.connections().iter().map(Vec::len).sum();
        assert_eq!(all, 80, "{lcores} lcores");
        cluster.end();
    }
}
