//! Tunnels on several lcores: a packet belongs to the owner of what it carries, wherever the outer
//! one came in, and a next hop that answers one lcore is known to all that asked.

use std::collections::HashSet;
use std::fmt::Write as _;

use weir_ct::{Bounds, Settings};
use weir_packet::{VecFrame, text};
use weir_tests::cluster::{Cluster, Shape};

const CLIENTS: u16 = 12;
const PEER: &str = "02:00:00:00:00:77";
/// Of port 1, which has no device.
const OWN: &str = "02:77:65:69:00:00";
/// The VXLAN header of network 42.
const VXLAN: &str = "0800000000002a00";

/// Clients behind the tunnel at port 9 ask servers at port 2.
fn flows(nat: &str) -> String {
    format!(
        "in_port=9,ip actions=ct(nat,table=1)
         in_port=2,ip actions=ct(nat,table=1)
         table=1,in_port=9,ip,tun_id=42,tun_src=192.0.2.7,ct_state=+new actions=ct(commit{nat}),2
         table=1,in_port=9,ip,tun_id=42,ct_state=+est actions=2
         table=1,in_port=2,ip,ct_state=+est actions=9"
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string grows");
        hex
    })
}

/// A packet in VXLAN, from an outer port of chance.
fn wrapped(inner: &str, outer_port: u16) -> VecFrame {
    let inner = hex(text::frame(inner).bytes());
    text::frame(&format!(
        "eth {PEER} > {OWN} udp 192.0.2.7:{outer_port} > 192.0.2.1:4789 no-csum data={VXLAN}{inner}"
    ))
}

/// What a frame carries in VXLAN.
fn unwrapped(frame: &VecFrame) -> String {
    text::describe(&frame.bytes()[50..])
}

fn settings() -> Settings {
    Settings {
        max_connections: 256,
        ..Settings::default()
    }
}

fn cluster(shape: Shape, nat: &str) -> Cluster {
    let tunnel = "vxlan over 1 192.0.2.1 > 192.0.2.7 key=42";
    Cluster::with_tunnels(shape, &settings(), &[(9, tunnel)], &flows(nat))
}

fn described(sent: &[(u32, VecFrame)]) -> Vec<(u32, String)> {
    let describe = |(port, frame): &(u32, VecFrame)| (*port, text::describe(frame.bytes()));
    sent.iter().map(describe).collect()
}

/// The next hop is asked for by each lcore that sends, and answers somewhere.
fn peer_answers(cluster: &mut Cluster, lcore: usize) {
    let answer = format!("eth {PEER} > {OWN} arp reply 192.0.2.7 > 192.0.2.1");
    cluster.receive(lcore, 1, vec![text::frame(&answer)]);
    cluster.settle();
}

#[test]
fn what_is_carried_is_its_owners() {
    for nat in ["", ",nat(src=198.51.100.7)", ",nat(dst=10.9.9.9)"] {
        for lcores in 1..=8 {
            for chance in [1, 2] {
                let name = format!("{nat}, {lcores} lcores, {chance}");
                let mut cluster = cluster(Shape::new(lcores, chance), nat);
                // Several packets of each, in bursts, by whichever queue.
                for round in 0..3 {
                    for first in (1..=CLIENTS).step_by(3) {
                        let burst = (first..first + 3).map(|client| {
                            let inner = format!(
                                "udp 10.0.0.{client}:4000 > 192.0.2.99:53 data={client:02x}ff{round:02x}"
                            );
                            wrapped(&inner, 1000 + 7 * client + round)
                        });
                        let lcore = usize::from(first);
                        cluster.receive(lcore, 1, burst.collect());
                    }
                }
                cluster.settle();
                let sent = cluster.sent();
                assert_eq!(
                    sent.len(),
                    3 * usize::from(CLIENTS),
                    "{name}: {:?}",
                    cluster.drops()
                );
                assert!(sent.iter().all(|(port, _)| *port == 2), "{name}");
                // In order, by client.
                let mut answers = Vec::new();
                for client in 1..=CLIENTS {
                    let of_client = |(_, line): &(u32, String)| {
                        line.split(" data=")
                            .nth(1)
                            .is_some_and(|data| data.starts_with(&format!("{client:02x}ff")))
                    };
                    let lines: Vec<_> = described(&sent).into_iter().filter(of_client).collect();
                    for (round, (_, line)) in lines.iter().enumerate() {
                        assert!(
                            line.ends_with(&format!("{client:02x}ff{round:02x}")),
                            "{lines:?}"
                        );
                    }
                    let words: Vec<_> = lines[0].1.split(' ').collect();
                    answers.push((
                        client,
                        format!("udp {} > {} data=07ff07", words[3], words[1]),
                    ));
                }
                let tuples: HashSet<_> = answers.iter().map(|(_, line)| line.clone()).collect();
                assert_eq!(tuples.len(), usize::from(CLIENTS), "{name}");
                let connections: usize = cluster.connections().iter().map(Vec::len).sum();
                assert_eq!(connections, usize::from(CLIENTS), "{name}");

                // Nobody knows the next hop: each lcore that has something to send asks.
                for (_, answer) in &answers {
                    cluster.inject(2, text::frame(answer));
                }
                cluster.settle();
                let asked = described(&cluster.sent());
                let question =
                    |line: &(u32, String)| line.0 == 1 && line.1.contains(" arp request ");
                assert!(!asked.is_empty() && asked.iter().all(question), "{asked:?}");
                peer_answers(&mut cluster, usize::from(chance as u16));
                for (client, answer) in &answers {
                    cluster.inject(2, text::frame(answer));
                    cluster.settle();
                    let sent = cluster.sent();
                    let [(1, frame)] = &sent[..] else {
                        panic!("{name}: {:?}", described(&sent));
                    };
                    let inner = format!("udp 192.0.2.99:53 > 10.0.0.{client}:4000 data=07ff07");
                    assert_eq!(unwrapped(frame), inner, "{name}");
                }
                cluster.end();
            }
        }
    }
}

/// Packets that come through the tunnel behind one that waits stay behind it, and know what their
/// outer headers said.
#[test]
fn what_is_carried_waits_in_order() {
    for lcores in [2, 3, 8] {
        for chance in 0..8 {
            let mut cluster = cluster(Shape::new(lcores, chance), ",nat(dst=10.9.9.9)");
            let burst = |from: u16, to: u16| -> Vec<_> {
                let packet = |number| {
                    let inner = format!("udp 10.0.0.1:4000 > 192.0.2.99:53 data=aa{number:02x}");
                    wrapped(&inner, 1000 + number)
                };
                (from..to).map(packet).collect()
            };
            cluster.receive(0, 1, burst(0, 5));
            cluster.step();
            cluster.receive(0, 1, burst(5, 9));
            cluster.settle();
            let lines = described(&cluster.sent());
            let data: Vec<_> = lines
                .iter()
                .filter_map(|(_, line)| line.split("data=").nth(1))
                .collect();
            assert_eq!(
                data,
                [
                    "aa00", "aa01", "aa02", "aa03", "aa04", "aa05", "aa06", "aa07", "aa08"
                ]
            );
            cluster.end();
        }
    }
}

/// Without room to wait packets are dropped by name, those of tunnels as well.
#[test]
fn what_is_carried_and_has_no_room_is_dropped_by_name() {
    let mut full = 0;
    for chance in 0..8 {
        let shape = Shape {
            bounds: Bounds {
                waiting: 1,
                ..Bounds::default()
            },
            ..Shape::new(4, chance)
        };
        let mut cluster = cluster(shape, ",nat(dst=10.9.9.9)");
        let burst = (0..6).map(|number| {
            let inner = format!("udp 10.0.0.1:4000 > 192.0.2.99:53 data={number:02x}");
            wrapped(&inner, 1000 + number)
        });
        cluster.receive(0, 1, burst.collect());
        cluster.settle();
        let (sent, drops) = (cluster.sent().len() as u64, cluster.drops());
        let lost = drops.get("hold_full").copied().unwrap_or(0);
        assert_eq!(sent + lost, 6, "{drops:?}");
        full += lost;
        cluster.end();
    }
    assert!(full > 0);
}

/// Whoever is asked for our address answers, once.
#[test]
fn one_lcore_answers_for_all() {
    for lcores in 1..=4 {
        let mut cluster = cluster(Shape::new(lcores, 1), "");
        for lcore in 0..lcores {
            let question =
                format!("eth {PEER} > ff:ff:ff:ff:ff:ff arp request 192.0.2.7 > 192.0.2.1");
            cluster.receive(lcore.into(), 1, vec![text::frame(&question)]);
            cluster.settle();
            let sent = described(&cluster.sent());
            assert_eq!(sent.len(), 1, "{sent:?}");
            assert!(
                sent[0].1.contains("arp reply 192.0.2.1 > 192.0.2.7"),
                "{sent:?}"
            );
        }
        cluster.end();
    }
}
