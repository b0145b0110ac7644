//! Translated connections against a model that is a list; and that their ports come back.

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;
use weir_nat::{NatFlags, NatKind, NatRange, NatSpec, PortChoice, Translation};
use weir_packet::{Frame, IpPair, Tick, Tuple, VecFrame, text};

use crate::filter::Filter;
use crate::request::{Commit, CtDrop, Outcome, Request};
use crate::settings::{Settings, Timeouts};
use crate::shard::{Bounds, Shard};
use crate::state::CtState;
use crate::tracker::{Cursor, Tracker};
use crate::world::{Parcel, World};

const OUTSIDE: [Ipv4Addr; 2] = [
    Ipv4Addr::new(198, 51, 100, 7),
    Ipv4Addr::new(198, 51, 100, 8),
];

/// Few clients, few servers, few ports: tuples collide.
#[derive(Clone, Copy, Debug)]
struct Packet {
    kind: Kind,
    client: u8,
    server: u8,
    port: u16,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Udp,
    Echo,
    Gre,
}

impl Packet {
    fn frame(&self) -> VecFrame {
        let Self {
            client,
            server,
            port,
            ..
        } = self;
        let (client, server) = (format!("10.0.0.{client}"), format!("192.0.2.{server}"));
        text::frame(&match self.kind {
            Kind::Udp => format!("udp {client}:{port} > {server}:53"),
            Kind::Echo => format!("icmp {client} > {server} echo-request id={port}"),
            Kind::Gre => format!("ip proto=47 {client} > {server} data=00000800"),
        })
    }
}

#[derive(Clone, Debug)]
enum Operation {
    /// A packet of a client, committed with this translation.
    Packet(Packet, Option<NatSpec>),
    /// The answer to the packet that was sent last by some connection.
    Answer(prop::sample::Index),
    Pass(u64),
    Expire(usize),
    Flush(u8),
}

fn spec() -> impl Strategy<Value = NatSpec> {
    let ports = prop_oneof![
        Just(None),
        Just(Some((5000, 5001))),
        Just(Some((1024, 1030))),
        Just(Some((5001, 5001))),
    ];
    let flags = (any::<bool>(), 0..3u8).prop_map(|(persistent, choice)| NatFlags {
        persistent,
        choice: [PortChoice::Default, PortChoice::Hash, PortChoice::Random][usize::from(choice)],
    });
    let range = prop_oneof![
        1 => Just(None),
        5 => (0..2usize, 0..2usize, ports).prop_map(|(a, b, ports)| {
            let (first, last) = (OUTSIDE[a.min(b)], OUTSIDE[a.max(b)]);
            Some(NatRange::new(first.into(), last.into(), ports).expect("it is one"))
        }),
    ];
    let kind = prop_oneof![3 => Just(NatKind::Src), 1 => Just(NatKind::Dst)];
    prop_oneof![
        1 => Just(NatSpec::Existing),
        6 => (kind, range, flags).prop_map(|(kind, range, flags)| {
            NatSpec::Allocate { kind, range, flags }
        }),
    ]
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let kind = prop_oneof![4 => Just(Kind::Udp), 1 => Just(Kind::Echo), 1 => Just(Kind::Gre)];
    let port = prop_oneof![Just(1024), Just(1025), Just(5000), Just(5001), Just(600)];
    // The outside addresses have traffic of their own.
    let packet = (kind, 1..6u8, 1..3u8, port).prop_map(|(kind, client, server, port)| Packet {
        kind,
        client,
        server,
        port,
    });
    prop::collection::vec(
        prop_oneof![
            10 => (packet, prop::option::weighted(0.9, spec()))
                .prop_map(|(packet, spec)| Operation::Packet(packet, spec)),
            4 => any::<prop::sample::Index>().prop_map(Operation::Answer),
            1 => (0..70_000u64).prop_map(Operation::Pass),
            1 => (0..4usize).prop_map(Operation::Expire),
            1 => (1..6u8).prop_map(Operation::Flush),
        ],
        0..100,
    )
}

#[derive(Clone, Copy, Debug)]
struct Connection {
    original: Tuple,
    reply: Tuple,
    nat: Option<NatKind>,
    deadline: u64,
    replied: bool,
}

fn tuple_of(frame: &VecFrame) -> Tuple {
    let layout = weir_packet::parse(frame.head(), frame.len()).expect("no runt");
    Tuple::of(frame.head(), &layout).expect("it has one")
}

/// Runs the packet through `ct()` and translates it; returns what it then is.
fn execute(
    tracker: &mut Tracker,
    frame: &mut VecFrame,
    nat: Option<&NatSpec>,
    now: u64,
) -> Result<Outcome, CtDrop> {
    let layout = weir_packet::parse(frame.head(), frame.len()).expect("no runt");
    let request = Request {
        commit: Some(Commit::default()),
        nat,
        ..Request::default()
    };
    let outcome = tracker.execute(frame, &layout, &request, Tick::from_millis(now))?;
    if let Some(translation) = &outcome.translation {
        translation.apply(frame.head_mut(), &layout);
    }
    Ok(outcome)
}

/// The same in a world of several shards.
fn execute_in(
    world: &mut World,
    frame: &mut VecFrame,
    nat: Option<&NatSpec>,
    now: u64,
) -> Result<Outcome, CtDrop> {
    let now = Tick::from_millis(now);
    if world.shards.len() > 1 {
        // Whose time is over holds what it has of another shard until it is forgotten.
        world.expire(now);
    }
    let parcel = Parcel {
        number: 0,
        frame: frame.clone(),
        zone: 0,
        commit: Some(Commit::default()),
        nat: nat.copied(),
        seen: None,
    };
    let done = world.packet(parcel, now);
    *frame = done.frame;
    done.outcome
}

/// A packet of this tuple, which is one that `Packet` makes or the answer to one.
fn packet_of(tuple: &Tuple) -> VecFrame {
    let (src, dst) = (tuple.src(), tuple.dst());
    let Tuple {
        src_port, dst_port, ..
    } = tuple;
    text::frame(&match (tuple.protocol, dst_port) {
        (1, 0x0800) => format!("icmp {src} > {dst} echo-request id={src_port}"),
        (1, _) => format!("icmp {src} > {dst} echo-reply id={src_port}"),
        (17, _) => format!("udp {src}:{src_port} > {dst}:{dst_port}"),
        (number, _) => format!("ip proto={number} {src} > {dst} data=00000800"),
    })
}

fn settings() -> Settings {
    Settings {
        max_connections: 64,
        ..Settings::default()
    }
}

/// The tuple of replies to an `address` and number that the source got.
fn snat_reply(plain: &Tuple, address: IpAddr, number: u16) -> Tuple {
    let IpAddr::V4(dst) = address else {
        return *plain;
    };
    let IpPair::V4 { src, .. } = plain.ip else {
        return *plain;
    };
    let (src_port, dst_port) = match plain.protocol {
        1 => (number, plain.dst_port),
        17 => (plain.src_port, number),
        _ => (0, 0),
    };
    Tuple {
        ip: IpPair::V4 { src, dst },
        protocol: plain.protocol,
        src_port,
        dst_port,
    }
}

/// Whether `reply` is one that `spec` allows for `original`.
fn is_allowed(spec: &NatSpec, original: &Tuple, reply: &Tuple) -> bool {
    let plain = original.reversed();
    let NatSpec::Allocate { kind, range, .. } = spec else {
        return *reply == plain;
    };
    let (far, near) = match kind {
        NatKind::Src => ((reply.src(), plain.src()), (reply.dst(), plain.dst())),
        NatKind::Dst => ((reply.dst(), plain.dst()), (reply.src(), plain.src())),
    };
    let address = match range {
        None => near.0 == near.1,
        Some(range) => range.contains(near.0),
    };
    let icmp = original.is_icmp();
    let (near_port, far_port) = match kind {
        NatKind::Src if icmp => (reply.src_port, reply.dst_port == plain.dst_port),
        NatKind::Src => (reply.dst_port, reply.src_port == plain.src_port),
        // The client's port may change if all others are taken.
        NatKind::Dst => (reply.src_port, true),
    };
    let ports = match (
        range.as_ref().and_then(|range| range.ports),
        original.protocol,
        kind,
    ) {
        (_, 47, _) => near_port == 0,
        (Some((first, last)), 1, NatKind::Src) | (Some((first, last)), 17, _) => {
            (first..=last).contains(&near_port)
        }
        _ => true,
    };
    far.0 == far.1 && address && far_port && ports
}

proptest! {
    #[test]
    fn agrees_with_the_model(
        operations in operations(),
        shards in prop::sample::select(&[1u16, 2, 4][..]),
        secret: u64,
        chance: u64,
        start in 0..1_000_000u64,
    ) {
        let timeouts = Timeouts::default();
        let mut world = World::new(shards, &settings(), secret, chance, Bounds::default());
        let mut model: Vec<Connection> = Vec::new();
        // Those that a turn of the wheel may not have reached yet.
        let mut late: Vec<Connection> = Vec::new();
        let mut now = start;
        for operation in operations {
            let after = |wait: std::time::Duration| now + wait.as_millis() as u64;
            match operation {
                Operation::Packet(packet, spec) => {
                    let mut frame = packet.frame();
                    let (before, original) = (frame.clone(), tuple_of(&frame));
                    let taken = |tuple: &Tuple| model.iter().any(|connection| {
                        connection.original == *tuple || connection.reply == *tuple
                    });
                    let known = model.iter().position(|connection| connection.original == original);
                    let outcome = execute_in(&mut world, &mut frame, spec.as_ref(), now);
                    if let Some(at) = known {
                        let outcome = outcome.expect("it exists");
                        let connection = &mut model[at];
                        let translated = spec.is_some() && connection.nat.is_some();
                        let wanted = if translated {
                            connection.reply.reversed()
                        } else {
                            original
                        };
                        prop_assert_eq!(tuple_of(&frame), wanted);
                        let bit = match connection.nat {
                            Some(NatKind::Src) if translated => CtState::SNAT,
                            Some(NatKind::Dst) if translated => CtState::DNAT,
                            _ => CtState::UNTRACKED,
                        };
                        let nat = CtState::SNAT.0 | CtState::DNAT.0;
                        prop_assert_eq!(outcome.state.0 & nat, bit.0);
                        let echo = matches!(packet.kind, Kind::Echo);
                        connection.deadline = after(match (echo, connection.replied) {
                            (true, false) => timeouts.icmp_first,
                            (true, true) => timeouts.icmp_reply,
                            (false, false) => timeouts.udp_single,
                            (false, true) => timeouts.udp_multiple,
                        });
                    } else if taken(&original) {
                        // A reply by chance: somebody's outside tuple is this one.
                        prop_assert!(outcome.is_ok());
                        world.flush(&Filter::default(), Tick::from_millis(now));
                        model.clear();
                    } else {
                        let plain = original.reversed();
                        let spec = spec.unwrap_or(NatSpec::Existing);
                        match outcome {
                            Ok(_) => {
                                let reply = tuple_of(&frame).reversed();
                                prop_assert!(is_allowed(&spec, &original, &reply), "{reply}");
                                prop_assert!(!taken(&reply), "{reply} is taken");
                                // The original port is kept while it is free; without
                                // another address it leads home.
                                if let NatSpec::Allocate { kind: NatKind::Src, range: None, .. } = spec {
                                    prop_assert!(reply == plain || taken(&plain));
                                }
                                let nat = match spec {
                                    NatSpec::Existing => None,
                                    NatSpec::Allocate { kind, .. } => Some(kind),
                                };
                                let echo = matches!(packet.kind, Kind::Echo);
                                let deadline = after(if echo { timeouts.icmp_first } else { timeouts.udp_first });
                                model.push(Connection { original, reply, nat, deadline, replied: false });
                            }
                            Err(CtDrop::TupleInUse) => {
                                prop_assert!(spec == NatSpec::Existing && taken(&plain));
                            }
                            Err(CtDrop::NatExhausted) => {
                                let NatSpec::Allocate { kind, range, .. } = spec else {
                                    panic!("there was nothing to exhaust");
                                };
                                let range = range.map_or(vec![plain.dst()], |range| {
                                    (0..range.len()).map(|n| range.nth(n)).collect()
                                });
                                for address in range {
                                    let used = model.iter().filter(|connection| match kind {
                                        NatKind::Src => connection.reply.dst() == address
                                            || connection.original.dst() == address,
                                        NatKind::Dst => connection.reply.src() == address
                                            || connection.original.src() == address,
                                    });
                                    prop_assert!(used.count() > 0, "{address} has no connection");
                                    let NatSpec::Allocate { range: Some(range), .. } = spec else {
                                        continue;
                                    };
                                    if kind == NatKind::Dst {
                                        continue;
                                    }
                                    // Not one port is free, whoever has it.
                                    let (first, last) = range.ports.unwrap_or_default();
                                    for number in first..=last {
                                        let reply = snat_reply(&plain, address, number);
                                        let late = shards > 1
                                            && late.iter().any(|other| other.reply == reply);
                                        prop_assert!(taken(&reply) || late, "{reply} is free");
                                    }
                                }
                            }
                            Err(drop) => panic!("{drop}"),
                        }
                        if model.len() == 60 {
                            world.flush(&Filter::default(), Tick::from_millis(now));
                            model.clear();
                        }
                    }
                    // What cannot be seen in the tuple has not changed.
                    prop_assert_eq!(frame.len(), before.len());
                }
                Operation::Answer(index) => {
                    let at = index.index(model.len().max(1));
                    if let Some(connection) = model.get_mut(at) {
                        // To an answer that nobody else could have sent.
                        let mut frame = packet_of(&connection.reply);
                        let bare = NatSpec::Existing;
                        let outcome = execute_in(&mut world, &mut frame, Some(&bare), now);
                        let outcome = outcome.expect("the connection is there");
                        prop_assert!(outcome.state.contains(CtState::EST | CtState::RPL));
                        prop_assert_eq!(tuple_of(&frame), connection.original.reversed());
                        prop_assert_eq!(&frame, &packet_of(&connection.original.reversed()));
                        connection.replied = true;
                        connection.deadline = after(if connection.original.is_icmp() {
                            timeouts.icmp_reply
                        } else {
                            timeouts.udp_multiple
                        });
                    }
                }
                Operation::Pass(millis) => now += millis,
                Operation::Expire(budget) => {
                    for shard in &mut world.shards {
                        shard.tracker_mut().expire(Tick::from_millis(now), budget);
                    }
                    world.settle(Tick::from_millis(now));
                }
                Operation::Flush(client) => {
                    let client = IpAddr::V4(Ipv4Addr::new(10, 0, 0, client));
                    let mut filter = Filter::default();
                    filter.original.src = Some(client.into());
                    world.flush(&filter, Tick::from_millis(now));
                    model.retain(|connection| connection.original.src() != client);
                }
            }
            late.extend(model.iter().filter(|connection| connection.deadline <= now));
            late.retain(|connection| connection.deadline + 128 > now);
            model.retain(|connection| connection.deadline > now);
            let tick = Tick::from_millis(now);
            world.check(tick);
            world.shards.iter().for_each(|shard| shard.tracker().check(tick));
            let there = world.entries(tick);
            let mut there: Vec<_> = there.iter().map(|entry| (entry.original, entry.reply)).collect();
            let mut wanted: Vec<_> = model.iter()
                .map(|connection| (connection.original, connection.reply))
                .collect();
            there.sort_unstable();
            wanted.sort_unstable();
            prop_assert_eq!(there, wanted);
        }
        let end = Tick::from_millis(now + 1_000_000_000);
        world.expire(end);
        for shard in &world.shards {
            shard.tracker().check(end);
            prop_assert!(shard.tracker().table.leases().is_empty(), "every lease came back");
            prop_assert_eq!(shard.pairs(), (0, 0), "every reservation came back");
        }
        prop_assert!(world.shards.iter().all(Shard::is_quiet));
    }
}

fn udp(client: u32, port: u16, server: &str) -> VecFrame {
    text::frame(&format!(
        "udp {}:{port} > {server}",
        Ipv4Addr::from_bits(0x0a00_0000 + client)
    ))
}

fn one_address(ports: Option<(u16, u16)>) -> NatSpec {
    let [address, _] = OUTSIDE.map(IpAddr::V4);
    NatSpec::Allocate {
        kind: NatKind::Src,
        range: Some(NatRange::new(address, address, ports).expect("it is one")),
        flags: NatFlags::default(),
    }
}

/// Every port of the class towards one server; then none there, but any towards another; and
/// as soon as one connection ends, its port.
#[test]
fn an_address_is_exhausted_for_a_destination_when_its_last_port_is_taken() {
    let settings = Settings {
        max_connections: 70_000,
        ..Settings::default()
    };
    let mut tracker = Tracker::new(&settings, 3);
    let spec = one_address(None);
    for client in 0..0xfc00 {
        let mut frame = udp(client, 40_000, "192.0.2.9:53");
        execute(&mut tracker, &mut frame, Some(&spec), 0).expect("a port is free");
    }
    let mut late = udp(0xfc00, 40_000, "192.0.2.9:53");
    assert_eq!(
        execute(&mut tracker, &mut late, Some(&spec), 0),
        Err(CtDrop::NatExhausted)
    );
    assert_eq!(tracker.counters().refused_nat_exhausted, 1);
    let mut other = udp(0xfc00, 40_000, "192.0.2.10:53");
    execute(&mut tracker, &mut other, Some(&spec), 0).expect("another destination");
    assert_eq!(tuple_of(&other).src_port, 40_000);

    let mut gone = udp(7, 40_000, "192.0.2.9:53");
    let filter = Filter::parse(&["ct_nw_src=10.0.0.7"]).expect("it is one");
    execute(&mut tracker, &mut gone, Some(&spec), 0).expect("it is there");
    assert_eq!(
        tracker.flush(Cursor::default(), usize::MAX, &filter, &mut 0),
        None
    );
    execute(&mut tracker, &mut late, Some(&spec), 0).expect("one port is free again");
    assert_eq!(tuple_of(&late), tuple_of(&gone), "the port that came back");
    tracker.check(Tick::ZERO);
}

/// Whoever has its time over holds no port, whether or not it was forgotten.
#[test]
fn an_expired_connection_holds_no_port() {
    let mut tracker = Tracker::new(&settings(), 3);
    let spec = one_address(Some((5000, 5001)));
    for (client, now) in [(1, 0), (2, 30)] {
        let mut frame = udp(client, 1, "192.0.2.9:53");
        execute(&mut tracker, &mut frame, Some(&spec), now).expect("a port is free");
    }
    let mut third = udp(3, 1, "192.0.2.9:53");
    let mut at = |now| execute(&mut tracker, &mut third.clone(), Some(&spec), now).map(drop);
    assert_eq!(at(59_999), Err(CtDrop::NatExhausted));
    assert_eq!(at(60_000), Ok(()));
    third = udp(4, 1, "192.0.2.9:53");
    let mut at = |now| execute(&mut tracker, &mut third.clone(), Some(&spec), now).map(drop);
    assert_eq!(at(60_029), Err(CtDrop::NatExhausted));
    assert_eq!(at(60_030), Ok(()));
    tracker.check(Tick::from_millis(60_030));
}

/// The outside address's own connections are in the way, untranslated as they are: each is met
/// once, and remembered until it ends.
#[test]
fn an_untranslated_connection_in_the_way_is_passed_over() {
    let mut tracker = Tracker::new(&settings(), 3);
    let own = |port| text::frame(&format!("udp 198.51.100.7:{port} > 192.0.2.9:53"));
    for port in 5000..5003 {
        execute(&mut tracker, &mut own(port), None, 0).expect("there is room");
    }
    assert!(tracker.table.leases().is_empty());
    let spec = one_address(Some((5000, 5003)));
    let mut frame = udp(1, 5000, "192.0.2.9:53");
    execute(&mut tracker, &mut frame, Some(&spec), 0).expect("one is free");
    assert_eq!(tuple_of(&frame).src_port, 5003);
    assert!(tracker.table.leases().len() > 1);
    let mut frame = udp(2, 5000, "192.0.2.9:53");
    assert_eq!(
        execute(&mut tracker, &mut frame, Some(&spec), 0),
        Err(CtDrop::NatExhausted)
    );
    tracker.check(Tick::ZERO);
    assert_eq!(
        tracker.flush(Cursor::default(), usize::MAX, &Filter::default(), &mut 0),
        None
    );
    assert!(tracker.table.leases().is_empty());
}

/// A connection whose replies look like its own packets has one number to lease, by whatever
/// direction it is met.
#[test]
fn what_is_its_own_reply_leases_once() {
    let mut tracker = Tracker::new(&settings(), 3);
    let spec = one_address(Some((5000, 5001)));
    let mut own = text::frame("udp 198.51.100.7:5000 > 198.51.100.7:5000");
    execute(&mut tracker, &mut own, Some(&spec), 0).expect("there is room");
    assert_eq!(tracker.table.leases().len(), 1);
    let mut other = udp(1, 5000, "198.51.100.7:5000");
    execute(&mut tracker, &mut other, Some(&spec), 0).expect("one is free");
    assert_eq!(tuple_of(&other).src_port, 5001);
    tracker.check(Tick::ZERO);
    assert_eq!(
        tracker.flush(Cursor::default(), usize::MAX, &Filter::default(), &mut 0),
        None
    );
    assert!(tracker.table.leases().is_empty());
}

#[test]
fn a_range_of_the_other_version_drops() {
    let mut tracker = Tracker::new(&settings(), 3);
    let mut frame = text::frame("udp [fc00::1]:1 > [fc00::2]:2");
    let outcome = execute(&mut tracker, &mut frame, Some(&one_address(None)), 0);
    assert_eq!(outcome, Err(CtDrop::NatVersion));
    assert_eq!(tracker.counters().refused_nat_version, 1);
    assert!(tracker.is_empty());
}

/// A table that churns at its limit, translated: nothing is left over, and no memory is taken
/// (`Table` has no way to).
#[test]
fn churn_at_the_limit_leaves_no_lease() {
    let mut tracker = Tracker::new(&settings(), 1);
    let spec = one_address(None);
    for round in 0..20_000 {
        let mut frame = udp(round, 40_000, "192.0.2.9:53");
        let outcome = execute(&mut tracker, &mut frame, Some(&spec), round.into());
        let outcome = outcome.expect("an unreplied one gives way");
        assert!(matches!(outcome.translation, Some(Translation::Packet(_))));
    }
    assert_eq!(tracker.table.leases().len(), 64);
    tracker.check(Tick::from_millis(20_000));
}
