//! Several shards at once: whatever the order in which packets come in and messages arrive, a
//! connection is one shard's, an outside tuple is one shard's, replies find it, and nothing that
//! was reserved stays so.

mod world;

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use weir_ct::{Bounds, Commit, CtDrop, CtState, Cursor, Filter, HandOffDrop, Settings, ShardId};
use weir_nat::{NatFlags, NatKind, NatRange, NatSpec};
use weir_packet::{Tick, Tuple, VecFrame, text};

use world::{Done, Parcel, World, tuple_of};

/// What a client sends: few clients, servers and ports, so that outside tuples collide.
#[derive(Clone, Copy, Debug)]
struct Packet {
    protocol: u8,
    client: u8,
    server: u8,
    port: u16,
    nat: Option<NatSpec>,
}

#[derive(Clone, Debug)]
enum Event {
    /// A packet comes in.
    Packet(Packet),
    /// The packet that came in before comes in again.
    Again,
    /// The answer to a packet that went out.
    Answer(prop::sample::Index),
    /// So many things happen.
    Steps(usize),
    Flush(u8),
    Pass(u64),
}

impl Packet {
    fn frame(&self) -> VecFrame {
        let (client, server) = (self.client, self.server);
        let port = self.port;
        text::frame(&match self.protocol {
            1 => format!("icmp 10.0.0.{client} > 192.0.2.{server} echo-request id={port}"),
            17 => format!("udp 10.0.0.{client}:{port} > 192.0.2.{server}:53"),
            number => format!("ip proto={number} 10.0.0.{client} > 192.0.2.{server} data=0000"),
        })
    }
}

/// A packet of this tuple.
fn frame_of(tuple: &Tuple) -> VecFrame {
    let (src, dst) = (tuple.src(), tuple.dst());
    let (src_port, dst_port) = (tuple.src_port, tuple.dst_port);
    text::frame(&match (tuple.protocol, dst_port) {
        (1, 0x0800) => format!("icmp {src} > {dst} echo-request id={src_port}"),
        (1, _) => format!("icmp {src} > {dst} echo-reply id={src_port}"),
        (17, _) => format!("udp {src}:{src_port} > {dst}:{dst_port}"),
        (number, _) => format!("ip proto={number} {src} > {dst} data=0000"),
    })
}

fn specs() -> impl Strategy<Value = Option<NatSpec>> {
    let ports = prop_oneof![
        Just(None),
        Just(Some((5000, 5001))),
        Just(Some((5000, 5020))),
    ];
    let kind = prop_oneof![Just(NatKind::Src), Just(NatKind::Dst)];
    let spec = (kind, 7..9u8, 0..2u8, ports).prop_map(|(kind, first, more, ports)| {
        let address = |last: u8| format!("198.51.100.{last}").parse().expect("an address");
        let range = NatRange::new(address(first), address(first + more), ports);
        NatSpec::Allocate {
            kind,
            range: Some(range.expect("a range")),
            flags: NatFlags::default(),
        }
    });
    prop::option::weighted(0.9, spec)
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let protocol = prop_oneof![4 => Just(17), 1 => Just(1), 1 => Just(47)];
    let port = prop_oneof![Just(4000u16), Just(5000), Just(5001)];
    let packet = (protocol, 1..6u8, 1..4u8, port, specs()).prop_map(
        |(protocol, client, server, port, nat)| Packet {
            protocol,
            client,
            server,
            port,
            nat,
        },
    );
    let event = prop_oneof![
        12 => packet.prop_map(Event::Packet),
        4 => Just(Event::Again),
        6 => any::<prop::sample::Index>().prop_map(Event::Answer),
        8 => (0..12usize).prop_map(Event::Steps),
        1 => (1..6u8).prop_map(Event::Flush),
        1 => prop_oneof![Just(10u64), Just(30_000), Just(70_000)].prop_map(Event::Pass),
    ];
    prop::collection::vec(event, 0..120)
}

fn parcel(number: usize, frame: VecFrame, nat: Option<NatSpec>) -> Parcel {
    Parcel {
        number,
        frame,
        zone: 0,
        commit: Some(Commit::default()),
        nat: nat.or(Some(NatSpec::Existing)),
        seen: None,
    }
}

fn settings() -> Settings {
    Settings {
        max_connections: 256,
        ..Settings::default()
    }
}

/// Plays the events; returns the world when all is quiet, what became of each packet, and the
/// time.
fn play(events: &[Event], mut world: World) -> Result<(World, Vec<Done>, Tick), TestCaseError> {
    let mut now = 1_000_037;
    let mut sent: Vec<Parcel> = Vec::new();
    let mut done: Vec<Done> = Vec::new();
    for event in events {
        let tick = Tick::from_millis(now);
        let next = match event {
            Event::Packet(packet) => Some(parcel(sent.len(), packet.frame(), packet.nat)),
            Event::Again => sent.last().cloned(),
            Event::Answer(index) if !done.is_empty() => {
                let answered = index.get(&done);
                let tuple = tuple_of(&answered.frame).filter(|_| answered.outcome.is_ok());
                tuple.map(|tuple| parcel(0, frame_of(&tuple.reversed()), None))
            }
            Event::Answer(_) => None,
            Event::Steps(steps) => {
                for _ in 0..*steps {
                    world.step(tick);
                }
                None
            }
            Event::Flush(client) => {
                let filter = Filter::parse(&[&format!("ct_nw_src=10.0.0.{client}")]);
                let filter = filter.expect("a filter");
                for shard in &mut world.shards {
                    shard
                        .tracker_mut()
                        .flush(Cursor::default(), usize::MAX, &filter, &mut 0);
                }
                None
            }
            Event::Pass(millis) => {
                now += millis;
                let tick = Tick::from_millis(now);
                for shard in &mut world.shards {
                    shard.tracker_mut().expire(tick, usize::MAX);
                }
                None
            }
        };
        if let Some(next) = next {
            let next = Parcel {
                number: sent.len(),
                ..next
            };
            sent.push(next.clone());
            world.arrive(next, tick);
        }
        for came in std::mem::take(&mut world.done) {
            // Some go through a second zone, where they are.
            let on = came.number.is_multiple_of(3) && came.outcome.is_ok();
            done.push(came.clone());
            if on && tuple_of(&came.frame).is_some() {
                let nat = [dnat(), snat((5000, 5003)), None][came.number % 9 / 3];
                let next = Parcel {
                    zone: 2,
                    ..parcel(sent.len(), came.frame, nat)
                };
                sent.push(next.clone());
                world.stay(came.shard, came.wire, next, tick);
            }
        }
        world.check(Tick::from_millis(now));
    }
    let tick = Tick::from_millis(now);
    world.settle(tick);
    done.append(&mut world.done);
    world.check(tick);
    // Each packet once, or dropped by name.
    let mut numbers: Vec<_> = done.iter().map(|done| done.number).collect();
    numbers.extend(world.dropped.iter().map(|(number, _)| *number));
    numbers.sort_unstable();
    prop_assert_eq!(numbers, (0..sent.len()).collect::<Vec<_>>());
    Ok((world, done, tick))
}

proptest! {
    // What goes wrong here takes several things at once.
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]
    #[test]
    fn whatever_the_order(
        events in events(),
        shards in prop::sample::select(&[1u16, 2, 4][..]),
        chance: u64,
    ) {
        let world = World::new(shards, &settings(), 7, chance, Bounds::default());
        let (mut world, _, now) = play(&events, world)?;
        prop_assert_eq!(&world.dropped, &[]);
        // Two connections never have one tuple, on whichever shards.
        let mut tuples = HashSet::new();
        let by_shard = world.entries_by_shard(now);
        for entry in by_shard.iter().flatten() {
            prop_assert!(tuples.insert((entry.zone, entry.original)), "{}", entry);
            // Between twice the same end there is only one.
            let own = entry.original == entry.reply;
            prop_assert!(own || tuples.insert((entry.zone, entry.reply)), "{}", entry);
        }
        // Every packet of a connection comes to it, in either direction.
        for (shard, entries) in by_shard.iter().enumerate() {
            for entry in entries.iter().filter(|entry| entry.original != entry.reply) {
                for (tuple, wanted) in [
                    (entry.reply, CtState::EST | CtState::RPL),
                    (entry.original, CtState::EST),
                ] {
                    let zone = entry.zone;
                    let next = Parcel { zone, ..parcel(0, frame_of(&tuple), None) };
                    let done = world.packet(next, now);
                    prop_assert_eq!(done.shard, ShardId(shard as u16));
                    let outcome = done.outcome.expect("it exists");
                    prop_assert!(outcome.state.contains(wanted), "{} {}", tuple, outcome.state);
                    prop_assert_eq!(outcome.original, Some(entry.original));
                }
            }
        }
        world.end(now);
    }

    /// Next to no room anywhere: packets are dropped, each by name, and nothing else goes wrong.
    #[test]
    fn with_little_room(
        events in events(),
        shards in prop::sample::select(&[2u16, 4][..]),
        passing in 0..3usize,
        waiting in 0..3usize,
        chance: u64,
    ) {
        let bounds = Bounds { passing, waiting };
        let world = World::new(shards, &settings(), 7, chance, bounds);
        let (world, _, now) = play(&events, world)?;
        let mut counted = HashMap::new();
        for shard in &world.shards {
            let counters = shard.counters();
            for (drop, count) in [
                (HandOffDrop::QueueFull, counters.dropped_queue_full),
                (HandOffDrop::WaitingFull, counters.dropped_waiting_full),
                (HandOffDrop::PassedOnTooOften, counters.dropped_passed_on_too_often),
            ] {
                *counted.entry(drop).or_insert(0) += count as usize;
            }
        }
        for (_, drop) in &world.dropped {
            *counted.get_mut(drop).expect("all are there") -= 1;
        }
        prop_assert!(counted.values().all(|count| *count == 0), "{:?}", counted);
        world.end(now);
    }

    /// Packets of one connection leave in the order in which they came in, though the first
    /// waits for another shard.
    #[test]
    fn none_overtakes(chance: u64, client in 1..200u8, packets in 1..20usize) {
        let mut world = World::new(4, &settings(), 7, chance, Bounds::default());
        let packet = Packet { protocol: 47, client, server: 1, port: 0, nat: dnat() };
        let now = Tick::from_millis(5);
        for number in 0..packets {
            world.arrive(parcel(number, packet.frame(), packet.nat), now);
            // Those that come in elsewhere are passed on first.
            while world.shards.iter().all(|shard| shard.counters().waited == 0)
                && world.done.is_empty()
                && world.step(now)
            {}
        }
        world.settle(now);
        let holder = world.done[0].shard;
        prop_assert!(world.done.iter().all(|done| done.shard == holder));
        let tuples: HashSet<_> = world.done.iter().map(|done| tuple_of(&done.frame)).collect();
        prop_assert_eq!(tuples.len(), 1, "all are of one connection");
        prop_assert_eq!(world.done.len(), packets);
    }
}

fn dnat() -> Option<NatSpec> {
    let address = "10.9.9.9".parse().expect("an address");
    Some(NatSpec::Allocate {
        kind: NatKind::Dst,
        range: Some(NatRange::new(address, address, None).expect("a range")),
        flags: NatFlags::default(),
    })
}

fn snat(ports: (u16, u16)) -> Option<NatSpec> {
    let address = "198.51.100.7".parse().expect("an address");
    Some(NatSpec::Allocate {
        kind: NatKind::Src,
        range: Some(NatRange::new(address, address, Some(ports)).expect("a range")),
        flags: NatFlags::default(),
    })
}

/// A client's packet to the one server, from the port that all have.
fn opened(world: &mut World, client: u8, nat: Option<NatSpec>) -> Done {
    let packet = Packet {
        protocol: 17,
        client,
        server: 1,
        port: 4000,
        nat,
    };
    world.packet(parcel(0, packet.frame(), nat), Tick::ZERO)
}

/// Source translation finds a port whose replies come home, and then nobody is asked.
#[test]
fn replies_come_home_by_themselves_while_there_is_a_port_for_it() {
    let mut world = World::new(4, &settings(), 7, 1, Bounds::default());
    for client in 1..=100 {
        let done = opened(&mut world, client, snat((1024, 65_535)));
        done.outcome.expect("a port is free");
    }
    let asked: u64 = world
        .shards
        .iter()
        .map(|shard| shard.counters().asked)
        .sum();
    assert_eq!(asked, 0);
    world.end(Tick::ZERO);
}

/// A range is exhausted when its last port is taken, not before, whoever its tuples belong to;
/// one that comes free is found again.
#[test]
fn a_range_is_used_to_its_last_port() {
    for (shards, chance) in [(1, 0), (2, 1), (4, 2), (4, 3), (7, 4)] {
        let mut world = World::new(shards, &settings(), 7, chance, Bounds::default());
        let nat = snat((5000, 5099));
        let send = |world: &mut World, client| {
            let done = opened(world, client, nat);
            done.outcome
                .map(|_| tuple_of(&done.frame).expect("it has one").src_port)
        };
        let ports: HashSet<_> = (1..=100).map(|client| send(&mut world, client)).collect();
        assert_eq!(ports, (5000..5100).map(Ok).collect());
        assert_eq!(send(&mut world, 101), Err(CtDrop::NatExhausted));
        let gone = send(&mut world, 33).expect("it is there");
        let filter = Filter::parse(&["ct_nw_src=10.0.0.33"]).expect("a filter");
        assert_eq!(world.flush(&filter, Tick::ZERO), 1);
        assert_eq!(send(&mut world, 101), Ok(gone));
        assert_eq!(send(&mut world, 102), Err(CtDrop::NatExhausted));
        world.end(Tick::ZERO);
    }
}

/// The outside tuple of a translated destination belongs to whoever it belongs to: that shard is
/// asked, and from then on passes on what comes.
#[test]
fn a_translated_destination_is_reserved_where_it_belongs() {
    let mut world = World::new(4, &settings(), 7, 3, Bounds::default());
    let mut passed_on = 0;
    for client in 1..=200 {
        let (protocol, server, port) = (17, 1, 4000);
        let packet = Packet {
            protocol,
            client,
            server,
            port,
            nat: dnat(),
        };
        let done = world.packet(parcel(0, packet.frame(), dnat()), Tick::ZERO);
        let inside = tuple_of(&done.frame).expect("it has one");
        assert_eq!(inside.src_port, 4000, "the client's port stays");
        passed_on += u64::from(world.owners.owner(world.owners.pair(&inside)) != done.shard);
        let answer = world.packet(parcel(0, frame_of(&inside.reversed()), None), Tick::ZERO);
        assert_eq!(answer.shard, done.shard);
    }
    let granted = |world: &World| -> u64 {
        world
            .shards
            .iter()
            .map(|shard| shard.counters().granted)
            .sum()
    };
    assert_eq!(granted(&world), passed_on);
    assert!(
        (100..200).contains(&passed_on),
        "three in four, by chance: {passed_on}"
    );
    world.end(Tick::ZERO);
}

/// What a client's packet leaves as, or why it does not.
fn translated(world: &mut World, packet: &str, nat: NatSpec) -> Result<Tuple, CtDrop> {
    let done = world.packet(parcel(0, text::frame(packet), Some(nat)), Tick::ZERO);
    let tuple = tuple_of(&done.frame).expect("it has one");
    done.outcome.map(|_| tuple)
}

fn pool(addresses: u8, ports: Option<(u16, u16)>, persistent: bool) -> NatSpec {
    let address = |last: u8| format!("198.51.100.{last}").parse().expect("an address");
    let range = NatRange::new(address(1), address(addresses), ports).expect("a range");
    NatSpec::Allocate {
        kind: NatKind::Src,
        range: Some(range),
        flags: NatFlags {
            persistent,
            ..NatFlags::default()
        },
    }
}

/// Several addresses, with ports given and with those of a class; and identifiers. On whichever
/// shard a client's packets come in, all of it is used before anybody is refused, and what comes
/// back is found.
#[test]
fn every_address_and_port_is_used_on_any_number_of_shards() {
    let udp = |client: u32| {
        format!(
            "udp 10.0.{}.{}:4000 > 192.0.2.9:53",
            client / 200,
            client % 200 + 1
        )
    };
    let echo = |client: u32| {
        format!(
            "icmp 10.0.{}.{} > 192.0.2.9 echo-request id=7",
            client / 200,
            client % 200 + 1
        )
    };
    let privileged = |client: u32| {
        format!(
            "udp 10.0.{}.{}:900 > 192.0.2.9:53",
            client / 200,
            client % 200 + 1
        )
    };
    type Client = dyn Fn(u32) -> String;
    let kinds: [(NatSpec, &Client, u32); 4] = [
        (pool(3, Some((5000, 5019)), false), &udp, 60),
        (pool(3, Some((5000, 5019)), true), &echo, 60),
        (pool(20, Some((80, 80)), false), &udp, 20),
        (pool(2, None, false), &privileged, 2 * 424),
    ];
    let settings = Settings {
        max_connections: 1_000,
        ..Settings::default()
    };
    for shards in 1..=8 {
        for (nat, client, room) in kinds {
            let mut world = World::new(shards, &settings, 7, shards.into(), Bounds::default());
            let mut given = HashMap::new();
            for number in 0..room {
                let tuple = translated(&mut world, &client(number), nat);
                let tuple = tuple.unwrap_or_else(|drop| panic!("{number} of {room}: {drop}"));
                assert_eq!(given.insert(tuple, number), None, "{tuple} is given twice");
            }
            let late = client(room);
            assert_eq!(
                translated(&mut world, &late, nat),
                Err(CtDrop::NatExhausted)
            );
            // One ends, whoever had it: its place is the only one, and is found.
            let gone = room / 2;
            let place = translated(&mut world, &client(gone), nat);
            let host = client(gone);
            let host = host.split([' ', ':']).nth(1).expect("an address");
            let filter = Filter::parse(&[&format!("ct_nw_src={host}")]).expect("a filter");
            assert_eq!(world.flush(&filter, Tick::ZERO), 1);
            assert_eq!(translated(&mut world, &late, nat), place);
            let later = client(room + 1);
            assert_eq!(
                translated(&mut world, &later, nat),
                Err(CtDrop::NatExhausted)
            );
            world.end(Tick::ZERO);
        }
    }
}

/// A persistent client's address hangs on nothing but the client and the range.
#[test]
fn a_persistent_address_is_the_same_on_any_number_of_shards() {
    let mut addresses = HashSet::new();
    for shards in 1..=8 {
        let secret = u64::from(shards) * 1_000_003;
        let mut world = World::new(shards, &settings(), secret, 5, Bounds::default());
        for port in 4000..4020 {
            let packet = format!("udp 10.0.0.5:{port} > 192.0.2.{}:53", port - 3999);
            let tuple = translated(&mut world, &packet, pool(200, None, true)).expect("a port");
            addresses.insert(tuple.src());
        }
        world.end(Tick::ZERO);
    }
    assert_eq!(addresses.len(), 1, "{addresses:?}");
}
