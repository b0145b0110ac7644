//! Lcores come and go: shards of the switch move from one to another while packets come in for all of
//! them, and everything that a connection has goes with it.

use std::collections::HashMap;

use weir_ct::{Settings, ZoneSettings};
use weir_packet::{Tuple, VecFrame, parse, text};
use weir_tests::cluster::{Cluster, Shape};

const CLIENTS: u8 = 12;
const SHARDS: u16 = 4;
/// From one lcore to two, to four, to three, and back.
const LCORES: [usize; 5] = [1, 2, 4, 3, 1];

const FIREWALL: &str = "table=0,ip actions=ct(zone=3,table=1)
     table=1,in_port=1,ip,ct_state=+new actions=ct(commit,zone=3,exec(set_field:7->ct_mark)),output:2
     table=1,in_port=1,ip,ct_state=+est,ct_mark=7 actions=output:2
     table=1,in_port=2,ip,ct_state=+est,ct_mark=7 actions=output:1";
/// There is a port for each client of a server, and none to spare.
const SNAT: &str = "table=0,in_port=1,ip actions=ct(zone=3,nat,table=1)
     table=0,in_port=2,ip actions=ct(zone=3,nat,table=1)
     table=1,in_port=1,ip,ct_state=+new \
      actions=ct(commit,zone=3,nat(src=198.51.100.7-198.51.100.9:5000-5003)),output:2
     table=1,in_port=1,ip,ct_state=+est actions=output:2
     table=1,in_port=2,ip,ct_state=+est actions=output:1";
const DNAT: &str = "table=0,in_port=1,ip actions=ct(zone=3,nat,table=1)
     table=0,in_port=2,ip actions=ct(zone=3,nat,table=1)
     table=1,in_port=1,ip,ct_state=+new actions=ct(commit,zone=3,nat(dst=10.9.9.9)),output:2
     table=1,in_port=1,ip,ct_state=+est actions=output:2
     table=1,in_port=2,ip,ct_state=+est actions=output:1";

fn settings() -> Settings {
    let zone = ZoneSettings {
        limit: Some(CLIENTS.into()),
        ..ZoneSettings::default()
    };
    Settings {
        max_connections: 256,
        accounting: true,
        zones: [(3, zone)].into(),
        ..Settings::default()
    }
}

fn tuple_of(frame: &VecFrame) -> Tuple {
    let layout = parse(frame.bytes(), frame.bytes().len()).expect("no runt");
    Tuple::of(frame.bytes(), &layout).expect("it has one")
}

/// Segment number `number` of a client: the first is a SYN.
fn there(client: u8, number: u32) -> VecFrame {
    let ends = format!("tcp 10.0.0.{client}:4000 > 192.0.2.1:80");
    text::frame(&match number {
        0 => format!("{ends} S seq=100"),
        _ => format!("{ends} A seq={} ack=501 data={number:08x}", 97 + 4 * number),
    })
}

/// The same of the server, to whom it sees.
fn back(seen: &VecFrame, number: u32) -> VecFrame {
    let back = tuple_of(seen).reversed();
    let (src, dst) = (back.src(), back.dst());
    let ends = format!("tcp {src}:{} > {dst}:{}", back.src_port, back.dst_port);
    text::frame(&match number {
        0 => format!("{ends} SA seq=500 ack=101"),
        _ => format!(
            "{ends} A seq={} ack=101 data={number:08x}",
            497 + 4 * number
        ),
    })
}

/// Shares the shards out among so many lcores. Those that move are with nobody while `meanwhile` happens;
/// afterwards all has settled.
fn move_to(
    cluster: &mut Cluster,
    on: &mut [usize],
    lcores: usize,
    meanwhile: impl FnOnce(&mut Cluster),
) {
    let moved: Vec<_> = (0..on.len())
        .filter(|&shard| on[shard] != shard % lcores)
        .collect();
    for &shard in &moved {
        cluster.take_away(shard);
        on[shard] = shard % lcores;
    }
    meanwhile(cluster);
    while cluster.step() {}
    for &shard in &moved {
        cluster.give(shard);
        cluster.step();
    }
    cluster.settle();
}

/// What left at a port, by the number of its client: the last byte of the Ethernet source would do, but
/// translated or not, the inside address tells.
fn by_client(sent: &[(u32, VecFrame)], seen: &HashMap<Tuple, u8>) -> Vec<(u8, u32, Vec<u8>)> {
    let mut all: Vec<_> = sent
        .iter()
        .map(|(port, frame)| {
            let tuple = tuple_of(frame);
            let client = match port {
                1 => *tuple
                    .dst()
                    .to_string()
                    .rsplit('.')
                    .next()
                    .map(|n| n.parse().expect("a number"))
                    .as_ref()
                    .expect("an address"),
                _ => seen[&tuple],
            };
            // The payload, which has the number of the segment.
            (client, *port, frame.bytes()[54..].to_vec())
        })
        .collect();
    // By client and port, each in order.
    all.sort_by_key(|(client, port, _)| (*client, *port));
    all
}

/// What clients and servers say while lcores come and go, and the books afterwards. Returns what each
/// connection carried.
fn play(name: &str, flows: &str, shape: Shape) -> Vec<String> {
    let mut cluster = Cluster::new(shape, &settings(), flows);
    cluster.lend();
    let mut seen = HashMap::new();
    let mut servers = HashMap::new();
    for client in 1..=CLIENTS {
        // An lcore that has no credits left is lent some, and the client tries again.
        let mut sent = Vec::new();
        while sent.is_empty() {
            cluster.inject(1, there(client, 0));
            cluster.settle();
            cluster.lend();
            sent = cluster.sent();
        }
        let (_, frame) = sent.remove(0);
        seen.insert(tuple_of(&frame), client);
        cluster.inject(2, back(&frame, 0));
        cluster.settle();
        cluster.inject(1, there(client, 1));
        servers.insert(client, frame);
        cluster.settle();
        cluster.sent();
    }
    let drops = cluster.drops();
    let mut on = vec![0; shape.lcores.into()];
    let mut number = 2;
    for lcores in LCORES.into_iter().cycle().take(10) {
        let first = number;
        move_to(&mut cluster, &mut on, lcores, |cluster| {
            for _ in 0..3 {
                for client in 1..=CLIENTS {
                    cluster.inject(1, there(client, number));
                    cluster.inject(2, back(&servers[&client], number - 1));
                    if client % 5 == 0 {
                        cluster.step();
                    }
                }
                number += 1;
            }
        });
        let sent = by_client(&cluster.sent(), &seen);
        let mut wanted = Vec::new();
        for client in 1..=CLIENTS {
            for (port, back) in [(1, 1), (2, 0)] {
                let numbers = first - back..number - back;
                wanted.extend(numbers.map(|n| (client, port, n.to_be_bytes().to_vec())));
            }
        }
        assert_eq!(sent, wanted, "{name}, to {lcores} lcores");
    }
    assert_eq!(cluster.drops(), drops, "{name}");
    // The limit is still one for all: there is no room for another client.
    for _ in 0..3 {
        cluster.lend();
        cluster.inject(1, text::frame("tcp 10.0.0.99:4000 > 192.0.2.1:80 S seq=1"));
        cluster.settle();
        assert!(cluster.sent_nothing(), "{name}");
    }
    let entries = cluster.connections().into_iter().flatten();
    let carried = |entry: weir_ct::Entry| {
        let (from, mark) = (entry.original.src(), entry.mark);
        format!("{from} mark={mark} {:?}", entry.carried)
    };
    let mut carried: Vec<_> = entries.map(carried).collect();
    carried.sort_unstable();
    // Every port is free again: as many find one.
    cluster.flush("");
    cluster.settle();
    for client in 101..=100 + CLIENTS {
        let mut tries = 0;
        while cluster.sent_nothing() {
            cluster.inject(1, there(client, 0));
            cluster.settle();
            cluster.lend();
            tries += 1;
            assert!(tries < 8, "{name}: {:?}", cluster.drops());
        }
        cluster.sent();
    }
    cluster.end();
    carried
}

/// Established connections go on while shards move: every packet gets there, once and in order, translated as
/// ever, whether or not it came while its shard was with nobody; and each connection has counted what
/// it does on one lcore that nobody moves.
#[test]
fn connections_go_on_while_lcores_come_and_go() {
    for (name, flows) in [("firewall", FIREWALL), ("SNAT", SNAT), ("DNAT", DNAT)] {
        let alone = play(name, flows, Shape::new(1, 0));
        assert_eq!(alone.len(), usize::from(CLIENTS));
        for shards in [2, SHARDS, 7] {
            for chance in 1..4 {
                let name = format!("{name}, {shards} shards, {chance}");
                let shape = Shape {
                    rss: false,
                    ..Shape::new(shards, chance)
                };
                let several = play(&name, flows, shape);
                assert_eq!(alone, several, "{name}");
            }
        }
    }
}

/// Time goes on for what moves: what is not used ends when it would have.
#[test]
fn timers_go_with_their_connections() {
    for chance in 1..4 {
        let flows = "in_port=1,ip actions=ct(commit,nat(src=198.51.100.7)),output:2";
        let mut cluster = Cluster::new(
            Shape::new(SHARDS, chance),
            &Settings {
                max_connections: 256,
                ..Settings::default()
            },
            flows,
        );
        let mut on = vec![0; SHARDS.into()];
        for client in 1..=CLIENTS {
            cluster.inject(
                1,
                text::frame(&format!("udp 10.0.0.{client}:4000 > 192.0.2.1:53 len=9")),
            );
        }
        cluster.settle();
        for (lcores, millis) in LCORES.into_iter().zip([0, 20_000, 20_000, 19_000]) {
            cluster.pass(millis);
            move_to(&mut cluster, &mut on, lcores, |_| {});
            let there: usize = cluster.connections().iter().map(Vec::len).sum();
            assert_eq!(there, usize::from(CLIENTS));
        }
        cluster.pass(2_000);
        let there: usize = cluster.connections().iter().map(Vec::len).sum();
        assert_eq!(there, 0, "it is over a minute after its packet");
        cluster.end();
    }
}

/// What a master has announced is expected wherever its connection comes to, though all have moved since; and
/// an announcement that waits for others to hear of it waits for those that are with nobody.
#[test]
fn what_is_expected_is_so_after_lcores_have_changed() {
    let flows = "ip actions=ct(nat,table=1)
         table=1,in_port=1,tcp,ct_state=+new-rel,tp_dst=21 \
          actions=ct(commit,alg=ftp,nat(src=198.51.100.7)),output:2
         table=1,in_port=1,ip,ct_state=+est actions=output:2
         table=1,in_port=2,ip,ct_state=+est actions=output:1
         table=1,in_port=2,tcp,ct_state=+new+rel actions=ct(commit,nat),output:1";
    for chance in 1..8 {
        let mut cluster = Cluster::new(
            Shape::new(SHARDS, chance),
            &Settings {
                max_connections: 256,
                ..Settings::default()
            },
            flows,
        );
        let mut on = vec![0; SHARDS.into()];
        let control = "tcp 10.0.0.5:4000 > 192.0.2.9:21";
        cluster.inject(1, text::frame(&format!("{control} S seq=100")));
        cluster.settle();
        let seen = tuple_of(&cluster.sent()[0].1);
        let answers = format!("tcp 192.0.2.9:21 > 198.51.100.7:{}", seen.src_port);
        cluster.inject(2, text::frame(&format!("{answers} SA seq=500 ack=101")));
        cluster.inject(1, text::frame(&format!("{control} A seq=101 ack=501")));
        cluster.settle();
        cluster.sent();
        // PORT 10,0,0,5,19,137
        let data: String = b"PORT 10,0,0,5,19,137\r\n"
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let port = text::frame(&format!("{control} A seq=101 ack=501 data={data}"));
        move_to(&mut cluster, &mut on, 4, |cluster| {
            cluster.inject(1, port);
            while cluster.step() {}
            let told = cluster.sent();
            assert_eq!(told.len(), 0, "others have not heard: {told:?}");
        });
        let told = cluster.sent();
        let text = String::from_utf8_lossy(&told[0].1.bytes()[54..]).into_owned();
        let numbers: Vec<u16> = text
            .trim_start_matches("PORT ")
            .trim_end()
            .split(',')
            .map(|number| number.parse().expect("a number"))
            .collect();
        assert_eq!(numbers[..4], [198, 51, 100, 7], "{text}");
        let announced = numbers[4] << 8 | numbers[5];
        for lcores in LCORES {
            move_to(&mut cluster, &mut on, lcores, |_| {});
            assert_eq!(cluster.expected().len(), 1);
        }
        let open = format!("tcp 192.0.2.9:20 > 198.51.100.7:{announced} S seq=7");
        cluster.inject(2, text::frame(&open));
        cluster.settle();
        let sent = cluster.sent();
        let came: Vec<_> = sent
            .iter()
            .map(|(port, frame)| (*port, tuple_of(frame)))
            .collect();
        assert_eq!(came.len(), 1, "{chance}: {:?}", cluster.drops());
        assert_eq!((came[0].0, came[0].1.dst_port), (1, 5001));
        assert_eq!(came[0].1.dst().to_string(), "10.0.0.5");
        assert_eq!(cluster.expected().len(), 0, "it is expected once");
        cluster.end();
    }
}
