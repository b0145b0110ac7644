//! What the management thread asks about a packet, with several lcores, is answered by the one that
//! would deal with it: whoever has its connection, wherever its addresses belong.

use std::collections::HashMap;

use weir_ct::Settings;
use weir_packet::{Tuple, VecFrame, parse, text};
use weir_tables::field::Field;
use weir_tests::cluster::{Cluster, Shape};
use weir_tests::pieces::pieces;

const CLIENTS: u8 = 12;
/// Of `ct_state`.
const EST: u128 = 0x02;
const RPL: u128 = 0x08;

const POLICIES: &[(&str, &str)] = &[
    (
        "SNAT to one address",
        "table=0,in_port=1,ip actions=ct(nat,table=3)
         table=3,ip,ct_state=+new actions=ct(commit,nat(src=198.51.100.7)),output:2
         table=3,ip,ct_state=+est actions=output:2
         table=0,in_port=2,ip actions=ct(nat,table=1)
         table=1,ip,ct_state=+est actions=output:1",
    ),
    (
        "SNAT to three ports, few of which lead home",
        "table=0,in_port=1,ip actions=ct(nat,table=3)
         table=3,ip,ct_state=+new \
          actions=ct(commit,nat(src=198.51.100.7-198.51.100.10:5000-5002)),output:2
         table=3,ip,ct_state=+est actions=output:2
         table=0,in_port=2,ip actions=ct(nat,table=1)
         table=1,ip,ct_state=+est actions=output:1",
    ),
    (
        "DNAT",
        "table=0,in_port=1,ip actions=ct(nat,table=3)
         table=3,ip,ct_state=+new actions=ct(commit,nat(dst=10.9.9.9)),output:2
         table=3,ip,ct_state=+est actions=output:2
         table=0,in_port=2,ip actions=ct(nat,table=1)
         table=1,ip,ct_state=+est actions=output:1",
    ),
];

fn settings() -> Settings {
    Settings {
        max_connections: 256,
        ..Settings::default()
    }
}

fn there(client: u8) -> VecFrame {
    let server = client % 3 + 1;
    text::frame(&format!(
        "udp 10.0.0.{client}:4000 > 192.0.2.{server}:53 len=9"
    ))
}

fn back(frame: &VecFrame) -> String {
    let layout = parse(frame.bytes(), frame.bytes().len()).expect("no runt");
    let back = Tuple::of(frame.bytes(), &layout)
        .expect("it has one")
        .reversed();
    let (src, dst) = (back.src(), back.dst());
    format!(
        "udp {src}:{} > {dst}:{} len=9",
        back.src_port, back.dst_port
    )
}

fn described(sent: Vec<(u32, VecFrame)>) -> Vec<(u32, String)> {
    let described = |(port, frame): (u32, VecFrame)| (port, text::describe(frame.bytes()));
    sent.into_iter().map(described).collect()
}

/// A trace of either direction of a connection says what then happens, and that it is established.
#[test]
fn a_trace_finds_the_connection_where_it_is() {
    for (name, flows) in POLICIES {
        for lcores in 1..=8 {
            for chance in [1, 2] {
                let name = format!("{name}, {lcores} lcores, {chance}");
                let mut cluster = Cluster::new(Shape::new(lcores, chance), &settings(), flows);
                for client in 1..=CLIENTS {
                    cluster.inject(1, there(client));
                    cluster.settle();
                    let sent = cluster.sent();
                    let (_, frame) = sent.first().expect("it is sent");
                    let reply = text::frame(&back(frame));
                    for (port, frame, state) in [(2, reply, EST | RPL), (1, there(client), EST)] {
                        let story = cluster.trace(port, &frame);
                        let states = story.sections.iter().map(|section| &section.start);
                        let mut states = states.map(|key| key.field(Field::CT_STATE) & (EST | RPL));
                        assert_eq!(states.next_back(), Some(state), "{name}: {story:#?}");
                        let told = story.sent.iter();
                        let told: Vec<_> = told
                            .map(|(port, frame)| (port.0, text::describe(frame)))
                            .collect();
                        cluster.inject(port, frame);
                        cluster.settle();
                        assert_eq!(told, described(cluster.sent()), "{name}");
                    }
                }
                assert_eq!(cluster.drops(), HashMap::new(), "{name}");
                cluster.end();
            }
        }
    }
}

/// A reply that a controller sends to the tables is translated back by whoever has its connection.
#[test]
fn a_packet_out_goes_to_the_connection() {
    for (name, flows) in POLICIES {
        for lcores in 1..=8 {
            let name = format!("{name}, {lcores} lcores");
            let mut cluster = Cluster::new(Shape::new(lcores, 3), &settings(), flows);
            for client in 1..=CLIENTS {
                cluster.inject(1, there(client));
                cluster.settle();
                let sent = cluster.sent();
                let reply = text::frame(&back(&sent.first().expect("it is sent").1));
                let hex: String = reply
                    .bytes()
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect();
                cluster.packet_out(&format!("in_port=2,packet={hex},actions=table"));
                cluster.settle();
                let sent = cluster.sent();
                assert_eq!(sent.len(), 1, "{name}: {:?}", cluster.drops());
                assert_eq!(sent[0].0, 1, "{name}");
                let told = text::describe(sent[0].1.bytes());
                assert!(
                    told.contains(&format!("> 10.0.0.{client}:4000")),
                    "{name}: {told}"
                );
            }
            assert_eq!(cluster.drops(), HashMap::new(), "{name}");
            cluster.end();
        }
    }
}

/// What a controller tells to be done to a datagram's last piece is in no table, and is not done elsewhere: the
/// datagram is dropped by name, or tracked where it belongs.
#[test]
fn a_controllers_piece_is_tracked_by_its_owner_or_dropped_by_name() {
    let (mut tracked, mut lost) = (0, 0);
    for chance in 0..12 {
        let mut cluster = Cluster::new(Shape::new(3, chance), &settings(), "actions=drop");
        for piece in pieces("udp 10.0.0.1:4000 > 192.0.2.1:53 len=1000", 600) {
            let hex: String = piece
                .bytes()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            cluster.packet_out(&format!(
                "in_port=1,packet={hex},actions=ct(commit),output:2"
            ));
        }
        cluster.settle();
        let drops = cluster.drops();
        let connections: usize = cluster.connections().iter().map(Vec::len).sum();
        match drops.get("hold_limit") {
            Some(dropped) => {
                assert_eq!((*dropped, connections, cluster.sent().len()), (1, 0, 0));
                lost += 1;
            }
            None => {
                assert_eq!((connections, cluster.sent().len()), (1, 2), "{drops:?}");
                tracked += 1;
            }
        }
        cluster.end();
    }
    assert!(tracked > 0 && lost > 0, "{tracked}, {lost}");
}
