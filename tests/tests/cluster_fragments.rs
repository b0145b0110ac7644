//! Datagrams in pieces, with several lcores: they are put together wherever their pieces meet, and go
//! on at the lcore of their connection, as if they had come whole.

use std::collections::HashMap;

use weir_ct::{Bounds, Settings, ShardId};
use weir_packet::{Frame, Tuple, VecFrame, parse, text};
use weir_tests::cluster::{Cluster, Shape};
use weir_tests::pieces::{gathered, pieces};

const CLIENTS: u8 = 8;

/// Each kind of translation, and what is known of a packet before its `ct()` told to a table behind.
const POLICIES: &[(&str, &str)] = &[
    (
        "no translation, registers and metadata kept",
        "table=0,in_port=1,ip actions=load:7->reg3,load:0x1234->metadata,load:9->pkt_mark,\
          ct(commit,zone=5,table=1)
         table=1,udp,ct_zone=5,reg3=7,metadata=0x1234,pkt_mark=9,ip_frag=no,tp_dst=53 \
          actions=output:2
         table=0,in_port=2,ip actions=load:8->xreg2,ct(zone=5,table=2)
         table=2,udp,xreg2=8,ct_state=+est+rpl,tp_src=53 actions=output:1",
    ),
    (
        "SNAT to one address",
        "table=0,in_port=1,ip actions=load:7->reg3,ct(commit,nat(src=198.51.100.7),table=1)
         table=1,udp,reg3=7,nw_src=198.51.100.7 actions=output:2
         table=0,in_port=2,ip actions=ct(nat,table=2)
         table=2,ip,ct_state=+est actions=output:1",
    ),
    (
        "SNAT to a range, looked at before",
        "table=0,in_port=1,ip actions=load:7->reg3,ct(zone=1,nat,table=1)
         table=1,udp,reg3=7,ct_state=+new \
          actions=ct(commit,zone=1,nat(src=198.51.100.7-198.51.100.9:5000-5400)),output:2
         table=1,udp,reg3=7,ct_state=+est actions=output:2
         table=0,in_port=2,ip actions=ct(zone=1,nat,table=2)
         table=2,ip,ct_state=+est actions=output:1",
    ),
    (
        "DNAT",
        "table=0,in_port=1,ip actions=load:7->reg3,ct(commit,nat(dst=10.9.9.9)),output:2
         table=0,in_port=2,ip actions=ct(nat,table=2)
         table=2,ip,ct_state=+est actions=output:1",
    ),
    (
        "DNAT to a port, from a list within another",
        "table=0,in_port=1,ip actions=load:7->reg3,resubmit(,1),output:3
         table=1,ip,reg3=7 actions=ct(commit,zone=7,nat(dst=10.9.9.9:8080)),load:1->reg4,resubmit(,2)
         table=2,ip,reg3=7,reg4=1 actions=output:2
         table=0,in_port=2,ip actions=ct(zone=7,nat,table=4)
         table=4,ip,ct_state=+est actions=output:1",
    ),
    (
        "DNAT in one zone, SNAT in another",
        "table=0,in_port=1,ip actions=load:7->reg3,ct(commit,zone=1,nat(dst=10.9.9.9),table=1)
         table=1,ip,reg3=7 actions=ct(commit,zone=2,nat(src=198.51.100.7),table=2)
         table=2,ip,reg3=7 actions=output:2
         table=0,in_port=2,ip actions=ct(zone=2,nat,table=3)
         table=3,ip actions=ct(zone=1,nat,table=4)
         table=4,ip,ct_state=+est actions=output:1",
    ),
    (
        "a stateless rewrite before ct()",
        "table=0,in_port=1,ip actions=mod_nw_src:203.0.113.9,load:7->reg3,ct(table=1)
         table=1,ip,reg3=7,ct_state=+new actions=ct(commit),output:2
         table=1,ip,reg3=7,ct_state=+est actions=output:2
         table=0,in_port=2,ip actions=ct(table=2)
         table=2,ip,ct_state=+est actions=output:1",
    ),
    (
        "an action set that ends with ct()",
        "table=0,in_port=1,ip actions=write_actions(set_field:32->ip_dscp,\
          ct(commit,zone=1,nat(dst=10.9.9.9),table=1)),goto_table:5
         table=5,ip actions=load:3->reg3
         table=1,ip,nw_tos=128,reg3=3 actions=output:2
         table=0,in_port=2,ip actions=ct(zone=1,nat,table=4)
         table=4,ip,ct_state=+est actions=output:1",
    ),
];

fn settings() -> Settings {
    Settings {
        max_connections: 256,
        accounting: true,
        ..Settings::default()
    }
}

fn tuple_of(frame: &VecFrame) -> Tuple {
    let layout = parse(frame.bytes(), frame.bytes().len()).expect("no runt");
    Tuple::of(frame.bytes(), &layout).expect("it has one")
}

/// Whole, or in pieces: packet number `number` of a client.
fn sends(client: u8, number: u16) -> Vec<VecFrame> {
    let (port, id) = (4000 + u16::from(client), u16::from(client) << 8 | number);
    let packet = format!("udp 10.0.0.{client}:{port} > 192.0.2.1:53 ip-id={id}");
    if number.is_multiple_of(2) {
        vec![text::frame(&format!("{packet} len={}", 20 + number))]
    } else {
        pieces(&format!("{packet} len={}", 1000 + number), 600)
    }
}

/// The same of what a server answers to `frame`.
fn answers(frame: &VecFrame, number: u16) -> Vec<VecFrame> {
    let back = tuple_of(frame).reversed();
    let id = 0x8000 | back.dst_port.rotate_left(4) ^ number;
    let packet = format!(
        "udp {}:{} > {}:{} ip-id={id} len={}",
        back.src(),
        back.src_port,
        back.dst(),
        back.dst_port,
        1200 + number
    );
    if number.is_multiple_of(2) {
        pieces(&packet, 800)
    } else {
        vec![text::frame(&packet)]
    }
}

/// What left at a port, put together: by what the length of the datagram says of who sent it and when.
fn came(cluster: &mut Cluster, port: u32) -> Vec<VecFrame> {
    let sent = cluster.sent().into_iter();
    gathered(
        sent.filter(|(at, _)| *at == port)
            .map(|(_, frame)| frame)
            .collect(),
    )
}

/// The length of each, and all of the packet but its source, which may have been chosen.
fn facts(frames: &[VecFrame]) -> Vec<String> {
    let fact = |frame: &VecFrame| {
        let tuple = tuple_of(frame);
        format!("{} > {}:{}", frame.len(), tuple.dst(), tuple.dst_port)
    };
    frames.iter().map(fact).collect()
}

/// Clients and servers speak in turn, whole packets and pieces; what came where, and what each
/// connection carried.
fn speak(flows: &str, shape: Shape) -> (Vec<Vec<String>>, Vec<String>, Cluster) {
    let mut cluster = Cluster::new(shape, &settings(), flows);
    let mut heard = Vec::new();
    for number in 0..4 {
        for client in 1..=CLIENTS {
            // Who begins with a datagram in pieces is another one each time.
            let number = number + u16::from(client % 2);
            for frame in sends(client, number) {
                cluster.inject(1, frame);
            }
            cluster.settle();
            let there = came(&mut cluster, 2);
            heard.push(facts(&there));
            let Some(frame) = there.first() else {
                continue;
            };
            for frame in answers(frame, number) {
                cluster.inject(2, frame);
            }
            cluster.settle();
            heard.push(facts(&came(&mut cluster, 1)));
        }
    }
    let mut carried: Vec<_> = cluster
        .connections()
        .into_iter()
        .flatten()
        .map(|entry| {
            let carried = entry.carried.expect("they count");
            let [there, back] = carried.map(|carried| (carried.packets, carried.bytes));
            let from = entry.original.src_port;
            format!("{} {from} {there:?} {back:?}", entry.zone)
        })
        .collect();
    carried.sort();
    (heard, carried, cluster)
}

/// Whatever is made of its addresses, a datagram in pieces is dealt with by the lcore of its connection,
/// with what was known of it before.
#[test]
fn a_datagram_in_pieces_is_dealt_with_by_its_owner() {
    for (name, flows) in POLICIES {
        let (heard, carried, cluster) = speak(flows, Shape::new(1, 0));
        cluster.end();
        assert!(
            heard.iter().all(|heard| heard.len() == 1),
            "{name}: {heard:?}"
        );
        assert!(carried.len() >= CLIENTS.into(), "{name}: {carried:?}");
        for lcores in 2..=8 {
            for chance in [1, 2] {
                let name = format!("{name}, {lcores} lcores, {chance}");
                let (several, of_several, mut cluster) = speak(flows, Shape::new(lcores, chance));
                assert_eq!(heard, several, "{name}");
                assert_eq!(carried, of_several, "{name}");
                assert_eq!(cluster.drops(), HashMap::new(), "{name}");
                assert!(cluster.hand_offs("passed_on") > 0, "{name}");
                cluster.end();
            }
        }
    }
}

/// Datagrams of one connection that one lcore puts together stay in order, in whatever order lcores have
/// their turns, though the first has to wait for its translation and the others behind it.
#[test]
fn datagrams_of_one_lcore_stay_in_order() {
    let flows = "in_port=1,ip actions=ct(commit,nat(dst=10.9.9.9)),output:2";
    let (mut moved, mut waited) = (0, 0);
    for lcores in 2..=8 {
        for chance in 1..7 {
            let shape = Shape::new(lcores, chance);
            let owners = shape.owners();
            let mut cluster = Cluster::new(shape, &settings(), flows);
            let datagram = |id: u16| {
                let line = format!(
                    "udp 10.0.0.1:4000 > 192.0.2.1:53 ip-id={id} len={}",
                    1000 + id
                );
                pieces(&line, 600)
            };
            let puts_together = |id| owners.owner_of_frame(datagram(id)[0].bytes());
            let one = ShardId((chance % u64::from(lcores)) as u16);
            let ids: Vec<u16> = (1..200)
                .filter(|&id| puts_together(id) == Some(one))
                .take(12)
                .collect();
            for &id in &ids {
                for piece in datagram(id) {
                    cluster.receive(usize::from(one.0), 1, vec![piece]);
                }
                if id % 3 == 0 {
                    cluster.step();
                }
            }
            cluster.settle();
            let lens = came(&mut cluster, 2);
            let lens: Vec<_> = lens.iter().map(|frame| frame.len() - 42 - 1000).collect();
            let sent: Vec<_> = ids.iter().map(|&id| usize::from(id)).collect();
            assert_eq!(
                lens,
                sent,
                "{lcores} lcores, {chance}: {:?}",
                cluster.drops()
            );
            moved += cluster.hand_offs("passed_on");
            waited += cluster.hand_offs("waited");
            cluster.end();
        }
    }
    assert!(moved > 0 && waited > 0, "{moved} moved, {waited} waited");
}

/// A datagram that is under way to another lcore when the policy changes begins at table 0 there, and
/// is still cut as its pieces were.
#[test]
fn a_datagram_begins_anew_when_the_policy_changes() {
    let mut began_anew = 0;
    for chance in 1..13 {
        let flows = "in_port=1,ip actions=load:7->reg3,ct(commit,table=1)
                     table=1,reg3=7 actions=output:2";
        let mut cluster = Cluster::new(Shape::new(4, chance), &settings(), flows);
        let datagram = pieces("udp 10.0.0.1:4000 > 192.0.2.1:53 len=3000", 600);
        let owner = Shape::new(4, chance)
            .owners()
            .owner_of_frame(datagram[0].bytes());
        let owner = owner.expect("it is somebody's");
        // Whoever puts it together has it at once, so that it is the datagram that moves.
        cluster.receive(owner.0.into(), 1, datagram);
        let moves = cluster.sent_nothing();
        cluster.change_flows("priority=40000,in_port=1,udp,ip_frag=no,tp_dst=53 actions=output:3");
        cluster.settle();
        let sent = cluster.sent();
        assert!(sent.iter().all(|(_, piece)| piece.len() <= 614));
        let port = if moves { 3 } else { 2 };
        assert!(sent.iter().all(|(at, _)| *at == port));
        let frames = sent.into_iter().map(|(_, frame)| frame).collect();
        assert_eq!(gathered(frames).len(), 1);
        began_anew += usize::from(moves);
        cluster.end();
    }
    assert!(began_anew > 0);
}

/// So many datagrams can be under way from one lcore; beyond that they are dropped by name, and there is
/// room again afterwards.
#[test]
fn what_has_no_room_is_dropped_by_name() {
    let flows = "in_port=1,ip actions=ct(commit),output:2";
    for (chance, passing) in [(1, 0), (2, 4), (3, 512), (4, 512)] {
        let shape = Shape {
            bounds: Bounds {
                passing,
                ..Bounds::default()
            },
            ..Shape::new(3, chance)
        };
        let mut cluster = Cluster::new(shape, &settings(), flows);
        let owners = shape.owners();
        let (mut begun, mut came_out) = (0, 0);
        for round in 1..=3_u16 {
            // All are put together by one lcore, so that it is only datagrams that are handed over.
            let all = (1..).map(|id| {
                let line = format!("udp 10.0.0.{}:4000 > 192.0.2.{round}:53", id % 200);
                pieces(&format!("{line} ip-id={id} len=1000"), 600)
            });
            let of_one =
                |all: &Vec<VecFrame>| owners.owner_of_frame(all[0].bytes()) == Some(ShardId(0));
            for datagram in all.filter(of_one).take(150) {
                cluster.receive(0, 1, datagram);
                begun += 1;
            }
            cluster.settle();
            came_out += came(&mut cluster, 2).len();
        }
        let drops = cluster.drops();
        assert_eq!(drops.keys().collect::<Vec<_>>(), [&"hand_off_full"]);
        assert_eq!(begun, came_out + drops["hand_off_full"] as usize);
        // What had room before has room again.
        let boxes = if passing == 512 { 64 } else { passing };
        assert!(came_out >= 3 * boxes, "{came_out} of {begun}");
        cluster.end();
    }
}
