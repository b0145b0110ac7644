//! Two seats with plain frames on one thread, and on two.

use std::sync::Arc;
use std::thread;

use weir_config::policy::{apply, read_flow_text};
use weir_ct::{Belongs, Bounds, Owners, Settings};
use weir_packet::{VecFrame, parse, text};
use weir_tables::classifier::HashSecret;
use weir_tables::flow_tables::FlowTables;
use weir_tables::lcore::Lcore;
use weir_tables::port::{PortConfig, PortIndex, PortNo, PortTable, VlanMode};

use super::*;

const SECRET: u64 = 7;

#[derive(Default)]
struct Sent(Vec<VecFrame>);

impl Output<VecFrame> for Sent {
    fn send(&mut self, _port: PortIndex, frame: VecFrame) {
        self.0.push(frame);
    }
}

fn owners() -> Owners {
    Owners::new(2, SECRET)
}

/// Two seats of a switch that sends everything out at port 2, and the ends of their rings.
fn seats(bounds: Bounds) -> [(Seat<VecFrame>, Neighbour<VecFrame>); 2] {
    let port = |no| PortConfig {
        no: PortNo(no),
        name: format!("p{no}"),
        mtu: 1500,
        vlan: VlanMode::TrunkAll,
    };
    let ports = Arc::new(PortTable::new((1..=2).map(port).collect()));
    let mut tables = FlowTables::new(2, HashSecret(SECRET));
    let flows = read_flow_text("flows", "actions=output:2", &|_: &str| None::<PortNo>);
    apply(&mut tables, &flows.expect("a flow"), Tick::ZERO).expect("it can be executed");
    let snapshot = Arc::new(tables.snapshot(&ports));
    let settings = Settings {
        max_connections: 100,
        ..Settings::default()
    };
    let ends = rings(2);
    let mut seats = (0..).map(ShardId).zip(ends).map(|(me, mut ends)| {
        let lcore = Lcore::one_of(&owners(), me, Arc::clone(&snapshot), &settings, SECRET);
        let end = ends.0.pop().expect("one other lcore");
        (Seat::new(lcore, &owners(), me, bounds), end)
    });
    [(); 2].map(|()| seats.next().expect("two"))
}

/// The `count` first packets that belong to `shard`, each of another connection.
fn packets_of(shard: u16, count: usize) -> Vec<VecFrame> {
    let packets = (1..).map(|number: u32| {
        let (host, port) = (number >> 14, 1 + number % (1 << 14));
        text::frame(&format!("udp 10.0.{host}.1:{port} > 10.0.0.2:9"))
    });
    let belongs = |frame: &VecFrame| {
        let layout = parse(frame.head(), frame.len()).expect("no runt");
        match owners().belongs(frame.head(), &layout) {
            Belongs::Pair(pair) => owners().owner(pair) == ShardId(shard),
            Belongs::Shard(_) | Belongs::Anywhere => false,
        }
    };
    packets.filter(belongs).take(count).collect()
}

fn receive(seat: &mut Seat<VecFrame>, frames: &[VecFrame], out: &mut Sent) {
    for burst in frames.chunks(32) {
        let mut slots: Vec<_> = burst.iter().cloned().map(Some).collect();
        seat.receive(PortIndex(0), &mut slots, Tick::ZERO, out);
    }
}

fn hear(end: &mut Neighbour<VecFrame>, seat: &mut Seat<VecFrame>, out: &mut Sent) -> usize {
    end.look_ahead();
    end.hear(seat, Tick::ZERO, out)
}

/// More than a ring has room for comes out at the other end, all of it and in order.
#[test]
fn what_is_handed_over_arrives_in_order() {
    let bounds = Bounds {
        passing: 1_000,
        ..Bounds::default()
    };
    let [(mut one, mut to_other), (mut other, mut to_one)] = seats(bounds);
    let packets = packets_of(1, 1_000);
    let mut out = Sent::default();
    receive(&mut one, &packets, &mut out);
    assert_eq!(out.0, []);
    to_other.say(&mut one);
    assert_eq!(
        (to_other.untaken(), one.messages(ShardId(1))),
        (RING, 1_000 - RING)
    );
    while hear(&mut to_one, &mut other, &mut out) > 0 {
        to_other.say(&mut one);
        assert_eq!(to_other.untaken(), RING.min(1_000 - out.0.len()));
    }
    assert_eq!(out.0, packets);
    assert!(one.is_quiet() && to_other.untaken() == 0);
}

/// What does not wait in the queue, which is bounded, is lost and counted; nothing else is.
#[test]
fn what_has_no_room_is_counted() {
    let bounds = Bounds {
        passing: 64,
        ..Bounds::default()
    };
    let [(mut one, mut to_other), (mut other, mut to_one)] = seats(bounds);
    let packets = packets_of(1, RING + 100);
    let mut out = Sent::default();
    for burst in packets.chunks(32) {
        receive(&mut one, burst, &mut out);
        to_other.say(&mut one);
    }
    let lost = RING + 100 - (RING + 64);
    one.housekeep(Tick::ZERO, 0);
    let counters = one.lcore().counters();
    let counted = |name| {
        let names = weir_ct::ShardCounters::default();
        let at = names.iter().position(|(counter, ..)| counter == name);
        counters.hand_offs[at.expect("a counter")].read()
    };
    assert_eq!(counted("dropped_queue_full"), lost as u64);
    assert_eq!(counted("passed_on"), (RING + 64) as u64);
    while hear(&mut to_one, &mut other, &mut out) > 0 {
        to_other.say(&mut one);
    }
    assert_eq!(out.0, packets[..RING + 64]);
}

/// Two threads at once, each with more for the other than rings and queues hold.
#[test]
fn two_threads_hand_over_to_each_other() {
    const PACKETS: usize = 20_000;
    let mut threads = Vec::new();
    for (at, (mut seat, mut end)) in (0..).zip(seats(Bounds::default())) {
        threads.push(thread::spawn(move || {
            let others = packets_of(1 - at, PACKETS);
            let mut left = &others[..];
            let mut out = Sent::default();
            while !left.is_empty() || out.0.len() < PACKETS || seat.has_notes(end.id) {
                let heard = hear(&mut end, &mut seat, &mut out);
                seat.settle(Tick::ZERO, &mut out);
                // As much as there is room for.
                let room = Bounds::default().passing - seat.messages(end.id);
                let burst = &left[..left.len().min(room).min(32)];
                receive(&mut seat, burst, &mut out);
                left = &left[burst.len()..];
                end.say(&mut seat);
                if heard == 0 && burst.is_empty() {
                    thread::yield_now();
                }
            }
            // Nobody else is left to take what may still lie in the ring.
            (out.0, end)
        }));
    }
    for (at, thread) in (0..).zip(threads) {
        let (sent, _end) = thread.join().expect("no panic");
        assert!(sent == packets_of(at, PACKETS), "all of it, in order");
    }
}
