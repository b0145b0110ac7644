use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::offer::with_number;
use super::*;
use crate::leases::{Leases, Pool};

/// The connections of one zone, as a set; and which of them are known to stand in the way.
struct Model {
    taken: HashSet<Tuple>,
    known: HashSet<(Tuple, bool)>,
    /// Questions asked.
    questions: usize,
    /// One tuple in so many leads home.
    lcores: u64,
}

impl Model {
    fn new(taken: impl IntoIterator<Item = Tuple>) -> Self {
        Self {
            taken: taken.into_iter().collect(),
            known: HashSet::new(),
            questions: 0,
            lcores: 1,
        }
    }
}

impl Connections for Model {
    fn next_free(&self, reply: &Tuple, end: End, from: u16, to: u16) -> Option<u16> {
        (from..=to).find(|&number| {
            let reply = with_number(*reply, end, number);
            !self.known.contains(&(reply, end == End::Src))
        })
    }

    fn is_taken(&mut self, reply: &Tuple, end: End) -> bool {
        self.questions += 1;
        let taken = self.taken.contains(reply);
        if taken {
            self.known.insert((*reply, end == End::Src));
        }
        taken
    }

    fn leads_home(&self, reply: &Tuple) -> bool {
        tuple_hash(99, reply).is_multiple_of(self.lcores)
    }
}

fn v4(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, last))
}

fn range(first: u8, last: u8, ports: Option<(u16, u16)>) -> NatRange {
    NatRange::new(v4(first), v4(last), ports).expect("it is one")
}

fn udp(src: u8, src_port: u16, dst: u8, dst_port: u16) -> Tuple {
    Tuple {
        ip: IpPair::V4 {
            src: Ipv4Addr::new(10, 0, 0, src),
            dst: Ipv4Addr::new(192, 0, 2, dst),
        },
        protocol: protocol::UDP,
        src_port,
        dst_port,
    }
}

fn choice<'a>(kind: NatKind, range: Option<&'a NatRange>) -> Choice<'a> {
    Choice {
        kind,
        range,
        flags: NatFlags::default(),
        secret: 1,
        random: 2,
    }
}

/// What `choice` gives connections from the clients `originals`, one after the other.
fn outside(choice: &Choice<'_>, originals: impl IntoIterator<Item = Tuple>) -> Vec<String> {
    let mut model = Model::new([]);
    originals
        .into_iter()
        .map(|original| match choice.reply(&original, &mut model) {
            Err(error) => error.to_string(),
            Ok(None) => "exhausted".to_owned(),
            Ok(Some(reply)) => {
                assert!(model.taken.insert(reply), "{reply} is given twice");
                reply.reversed().to_string()
            }
        })
        .collect()
}

#[test]
fn a_port_is_kept_while_it_is_free_and_stays_in_its_class() {
    let one = range(7, 7, None);
    let choice = choice(NatKind::Src, Some(&one));
    let given = outside(
        &choice,
        [
            udp(1, 4000, 9, 53),
            udp(2, 4000, 9, 53),
            udp(3, 4000, 9, 54),
            udp(2, 65_535, 9, 53),
            udp(1, 65_535, 9, 53),
            udp(1, 511, 9, 53),
            udp(2, 511, 9, 53),
            udp(1, 520, 9, 53),
            udp(2, 520, 9, 53),
            udp(1, 1023, 9, 53),
            udp(2, 1023, 9, 53),
        ],
    );
    let outside =
        |src_port, dst_port| format!("udp 198.51.100.7:{src_port} > 192.0.2.9:{dst_port}");
    assert_eq!(
        given,
        [
            outside(4000, 53),
            outside(4001, 53),
            outside(4000, 54),
            outside(65_535, 53),
            outside(1024, 53),
            outside(511, 53),
            outside(1, 53),
            outside(520, 53),
            outside(600, 53),
            outside(1023, 53),
            outside(601, 53),
        ]
    );
}

#[test]
fn each_address_and_port_of_a_range_is_given_before_it_is_exhausted() {
    for kind in [NatKind::Src, NatKind::Dst] {
        let some = range(7, 9, Some((5000, 5004)));
        let choice = choice(kind, Some(&some));
        // One destination for SNAT; one client for DNAT, whose port is changed if need be.
        let clients = (1..=16).map(|n| match kind {
            NatKind::Src => udp(n, 700, 9, 53),
            NatKind::Dst => udp(1, 700, n, 53),
        });
        let given = outside(&choice, clients);
        if kind == NatKind::Src {
            assert_eq!(given[15], "exhausted");
        }
        assert_eq!(given.iter().collect::<HashSet<_>>().len(), 16);
    }
}

#[test]
fn without_ports_there_is_one_connection_per_address() {
    let gre = |src| Tuple {
        protocol: protocol::GRE,
        src_port: 0,
        dst_port: 0,
        ..udp(src, 0, 9, 0)
    };
    let some = range(7, 9, Some((5000, 5004)));
    let given = outside(&choice(NatKind::Src, Some(&some)), (1..=4).map(gre));
    assert_eq!(given[3], "exhausted");
    assert_eq!(given.iter().collect::<HashSet<_>>().len(), 4);
}

#[test]
fn identifiers_are_given_like_ports() {
    let echo = |src, id| Tuple {
        protocol: protocol::ICMP,
        src_port: id,
        dst_port: 0x0800,
        ..udp(src, 0, 9, 0)
    };
    let one = range(7, 7, None);
    let clients = [echo(1, 0xffff), echo(2, 0xffff), echo(3, 0)];
    assert_eq!(
        outside(&choice(NatKind::Src, Some(&one)), clients),
        [0xffff, 0, 1].map(|id| format!("icmp 198.51.100.7 > 192.0.2.9 type=8 code=0 id={id}"))
    );
    let one = range(7, 7, Some((40, 41)));
    let given = outside(
        &choice(NatKind::Src, Some(&one)),
        (1..=3).map(|src| echo(src, 7)),
    );
    assert!(
        given[0].ends_with("id=40") || given[0].ends_with("id=41"),
        "{given:?}"
    );
    assert_eq!(given[2], "exhausted");
}

#[test]
fn nothing_changes_without_a_range_but_on_a_collision() {
    let zero = NatRange::new(
        Ipv4Addr::UNSPECIFIED.into(),
        Ipv4Addr::UNSPECIFIED.into(),
        None,
    );
    let zero = zero.expect("it is one");
    for range in [None, Some(&zero)] {
        let choice = choice(NatKind::Src, range);
        let original = udp(1, 4000, 9, 53);
        let mut model = Model::new([]);
        assert_eq!(
            choice.reply(&original, &mut model),
            Ok(Some(original.reversed()))
        );
        let mut model = Model::new([original.reversed()]);
        let moved = udp(1, 4001, 9, 53).reversed();
        assert_eq!(choice.reply(&original, &mut model), Ok(Some(moved)));
    }
}

#[test]
fn a_range_of_the_other_version_is_an_error() {
    let v6 = NatRange::new(Ipv6Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into(), None);
    let v6 = v6.expect("it is one");
    let choice = choice(NatKind::Src, Some(&v6));
    assert_eq!(
        choice.reply(&udp(1, 1, 1, 1), &mut Model::new([])),
        Err(OtherVersion)
    );
}

/// A client keeps its outside address whatever it connects to; which one that is depends on the
/// secret, unless it is to be the same for ever.
#[test]
fn addresses_are_paired_and_persistent() {
    let many = range(0, 255, None);
    let address = |client: u8, port: u16, secret: u64, persistent: bool| {
        let flags = NatFlags {
            persistent,
            ..NatFlags::default()
        };
        let choice = Choice {
            flags,
            secret,
            ..choice(NatKind::Src, Some(&many))
        };
        let reply = choice.reply(&udp(client, port, port as u8, port), &mut Model::new([]));
        reply.expect("one version").expect("a free one").dst()
    };
    for persistent in [false, true] {
        let addresses: HashSet<_> = (1..100)
            .map(|port| address(1, port, 7, persistent))
            .collect();
        assert_eq!(addresses.len(), 1, "one client, one address");
        let addresses: HashSet<_> = (0..100).map(|n| address(n, 1, 7, persistent)).collect();
        assert!(addresses.len() > 60, "clients are spread");
        let addresses: HashSet<_> = (0..100).map(|n| address(1, 1, n, persistent)).collect();
        assert_eq!(addresses.len() == 1, persistent);
    }
    // Another value would be another address after an update.
    assert_eq!(address(1, 1, 7, true), v4(146));
}

#[test]
fn back_ends_are_spread_over_connections() {
    let some = range(1, 4, Some((80, 83)));
    let given = outside(
        &choice(NatKind::Dst, Some(&some)),
        (1000..1400).map(|p| udp(1, p, 9, 80)),
    );
    let mut count = std::collections::HashMap::new();
    for given in &given {
        let (_, back_end) = given.split_once(" > ").expect("a tuple");
        *count.entry(back_end).or_insert(0) += 1;
    }
    assert_eq!(count.len(), 16);
    assert!(count.values().all(|&n| (10..=45).contains(&n)), "{count:?}");
}

#[test]
fn a_random_port_is_one_of_the_range_and_not_the_original() {
    let some = range(7, 7, Some((5000, 5999)));
    let port = |random, picked| {
        let flags = NatFlags {
            choice: picked,
            ..NatFlags::default()
        };
        let choice = Choice {
            flags,
            random,
            ..choice(NatKind::Src, Some(&some))
        };
        let reply = choice.reply(&udp(1, 5000, 9, 53), &mut Model::new([]));
        reply.expect("one version").expect("a free one").dst_port
    };
    let ports: HashSet<_> = (0..100).map(|n| port(n, PortChoice::Random)).collect();
    assert!(ports.len() > 90 && ports.iter().all(|port| (5000..6000).contains(port)));
    assert_eq!(port(1, PortChoice::Hash), 5000);
    assert_eq!(port(1, PortChoice::Default), 5000);
}

/// With real leases: the ports of one address for one destination, one after the other until
/// none is left. No choice asks more than twice.
#[test]
fn a_choice_at_full_occupancy_asks_as_little_as_at_none() {
    struct Leased(Leases, usize);
    impl Connections for Leased {
        fn next_free(&self, _: &Tuple, _: End, from: u16, to: u16) -> Option<u16> {
            let free = self.0.next_free(Pool(1), from.into(), to.into());
            free.map(|port| port as u16)
        }
        fn is_taken(&mut self, reply: &Tuple, _: End) -> bool {
            self.1 += 1;
            self.0.is_leased(Pool(1), reply.dst_port.into())
        }
    }
    let one = range(7, 7, None);
    let mut leased = Leased(Leases::new(65_536), 0);
    let mut most = 0;
    for n in 0..0xfc00u32 {
        let choice = choice(NatKind::Src, Some(&one));
        // Most clients want the same few ports.
        let reply = choice.reply(&udp(1, 1024 + (n % 700) as u16, 9, 53), &mut leased);
        let reply = reply.expect("one version").expect("a free one");
        leased
            .0
            .lease(Pool(1), reply.dst_port.into())
            .expect("there is room");
        most = most.max(std::mem::take(&mut leased.1));
    }
    let choice = choice(NatKind::Src, Some(&one));
    assert_eq!(choice.reply(&udp(1, 1024, 9, 53), &mut leased), Ok(None));
    assert_eq!(most, 2);
}

/// Tuples that `choice` could give to `original`, by brute force.
fn every_reply(choice: &Choice<'_>, original: &Tuple) -> Vec<Tuple> {
    let untranslated = original.reversed();
    let addresses: Vec<IpAddr> = match choice.range {
        Some(range) => (0..range.len()).map(|n| range.nth(n)).collect(),
        None => vec![match choice.kind {
            NatKind::Src => untranslated.dst(),
            NatKind::Dst => untranslated.src(),
        }],
    };
    let class = |port: u16| -> Vec<u16> {
        match port {
            _ if original.is_icmp() => (0..=0xffff).collect(),
            _ if !has_ports(original) => vec![0],
            ..512 => (1..512).chain([port]).collect(),
            512..1024 => (600..1024).chain([port]).collect(),
            1024.. => (1024..=0xffff).collect(),
        }
    };
    let ports = choice.range.and_then(|range| range.ports);
    let mut replies = Vec::new();
    for address in addresses {
        match choice.kind {
            NatKind::Src => {
                let reply = with_dst(untranslated, address);
                let ports = match ports {
                    Some((first, last)) if numbers(original).is_some() => (first..=last).collect(),
                    Some(_) | None => class(original.src_port),
                };
                replies.extend(ports.iter().map(|&port| with_number(reply, End::Dst, port)));
            }
            NatKind::Dst => {
                let reply = with_src(untranslated, address);
                let fronts = match ports {
                    Some((first, last)) if has_ports(original) => (first..=last)
                        .map(|port| with_number(reply, End::Src, port))
                        .collect(),
                    Some(_) | None => vec![reply],
                };
                for reply in fronts {
                    for number in class(original.src_port) {
                        replies.push(with_number(reply, End::Dst, number));
                    }
                }
            }
        }
    }
    if !has_ports(original) && !original.is_icmp() {
        replies
            .iter_mut()
            .for_each(|reply| (reply.src_port, reply.dst_port) = (0, 0));
    }
    replies
}

fn any_choice() -> impl Strategy<Value = (NatKind, Option<NatRange>, NatFlags)> {
    let ports = prop::option::of((1..2000u16, 0..6u16).prop_map(|(low, more)| (low, low + more)));
    let range =
        (0..250u8, 0..3u8, ports).prop_map(|(low, more, ports)| range(low, low + more, ports));
    let picked = prop_oneof![
        Just(PortChoice::Default),
        Just(PortChoice::Hash),
        Just(PortChoice::Random),
    ];
    (
        prop_oneof![Just(NatKind::Src), Just(NatKind::Dst)],
        prop::option::weighted(0.8, range),
        (any::<bool>(), picked).prop_map(|(persistent, choice)| NatFlags { persistent, choice }),
    )
}

fn any_original() -> impl Strategy<Value = Tuple> {
    let port = || prop_oneof![1..3u16, 505..520u16, 1015..1030u16, 65_530..=65_535u16];
    let protocol = prop_oneof![
        4 => Just(protocol::UDP),
        1 => Just(protocol::TCP),
        1 => Just(protocol::ICMP),
        1 => Just(protocol::GRE),
    ];
    (protocol, port(), port()).prop_map(|(number, src_port, dst_port)| {
        let (src_port, dst_port) = match number {
            protocol::ICMP => (src_port, 0x0800),
            protocol::GRE => (0, 0),
            _ => (src_port, dst_port),
        };
        Tuple {
            protocol: number,
            ..udp(1, src_port, 9, dst_port)
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    /// However many tuples are taken, known or not: what is chosen is a free one of those that
    /// may be chosen, and nothing is exhausted while there is one.
    #[test]
    fn chooses_what_is_free(
        (kind, range, flags) in any_choice(),
        original in any_original(),
        secret: u64,
        random: u64,
        occupancy in prop_oneof![Just(0u64), 1..100u64, Just(99), Just(100), Just(101)],
        known in 0..=100u64,
        salt: u64,
    ) {
        let choice = Choice { kind, range: range.as_ref(), flags, secret, random };
        let possible = every_reply(&choice, &original);
        let left = mixed(salt) % possible.len() as u64;
        let taken = possible.iter().enumerate().filter(|(n, _)| match occupancy {
            // All but one.
            101 => *n as u64 != left,
            percent => mixed(salt ^ *n as u64) % 100 < percent,
        });
        let mut model = Model::new(taken.map(|(_, tuple)| *tuple));
        model.known = model.taken.iter()
            .filter(|tuple| mixed(salt ^ u64::from(tuple.dst_port)) % 100 < known)
            .flat_map(|&tuple| [(tuple, false), (tuple, true)])
            .collect();
        let given = choice.reply(&original, &mut model).expect("one version");
        let free: HashSet<_> = possible.iter().filter(|tuple| !model.taken.contains(tuple)).collect();
        match given {
            None => prop_assert!(free.is_empty(), "{free:?}"),
            Some(given) => prop_assert!(free.contains(&given), "{given}"),
        }
        // The same question has the same answer.
        prop_assert_eq!(choice.reply(&original, &mut model), Ok(given));
    }

    /// The offers hold all that may be chosen, and what leads home is found first; another is
    /// never given.
    #[test]
    fn offers_hold_every_reply(
        (kind, range, flags) in any_choice(),
        original in any_original(),
        lcores in 1..5u64,
        taken in 0..=100u64,
        salt: u64,
    ) {
        let choice = Choice { kind, range: range.as_ref(), flags, secret: 1, random: 2 };
        let possible: HashSet<_> = every_reply(&choice, &original).into_iter().collect();
        let mut offered = HashSet::new();
        let mut position = Position::default();
        let mut given_up = false;
        let mut found = None;
        let is_taken = |tuple: &Tuple| mixed(salt ^ tuple_hash(3, tuple)) % 100 < taken;
        let mut model = Model::new(possible.iter().copied().filter(is_taken));
        model.lcores = lcores;
        while let Some((offer, next)) = choice.offer(&original, position).expect("one version") {
            let candidates: Vec<_> = (0..).map_while(|index| offer.candidate(index)).collect();
            prop_assert!(offer.only().is_none_or(|only| candidates == [*only]));
            let good = |tuple: &&Tuple| model.leads_home(tuple) && !model.taken.contains(*tuple);
            let first = candidates.iter().find(good).copied();
            match offer.find(&mut model) {
                Search::Found(tuple) => {
                    prop_assert_eq!(Some(tuple), first);
                    found = found.or(first);
                }
                Search::Exhausted => prop_assert_eq!(first, None),
                Search::GivenUp => given_up = true,
            }
            offered.extend(candidates);
            position = next;
        }
        prop_assert_eq!(&offered, &possible);
        prop_assert!(!given_up || lcores > 1);
        prop_assert_eq!(choice.reply(&original, &mut model), Ok(found));
    }
}

/// With several lcores the original port is kept if it leads home, else the next one is taken
/// that does.
#[test]
fn the_next_port_that_leads_home_is_taken() {
    let one = range(7, 7, None);
    let choice = choice(NatKind::Src, Some(&one));
    let mut model = Model::new([]);
    model.lcores = 4;
    let mut kept = 0;
    for port in 2000..2400 {
        let original = udp(1, port, 9, 53);
        let reply = choice
            .reply(&original, &mut model)
            .expect("one version")
            .expect("one is free");
        assert!(model.leads_home(&reply));
        kept += u32::from(reply.dst_port == port);
        let passed_over = (port..reply.dst_port).map(|dst_port| Tuple { dst_port, ..reply });
        assert!(
            passed_over
                .into_iter()
                .all(|tuple| !model.leads_home(&tuple))
        );
    }
    assert!((60..140).contains(&kept), "one in four: {kept}");
}
