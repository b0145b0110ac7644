use weir_packet::Tick;

use super::*;
use crate::group::{Bucket, GroupSpec, GroupType};
use crate::matching::Term;
use crate::rule::RuleId;

fn group(buckets: &[(u32, u16)]) -> Group {
    Group {
        spec: GroupSpec {
            id: 1,
            kind: GroupType::Select,
            selection: Selection::default(),
            buckets: buckets
                .iter()
                .map(|&(id, weight)| Bucket {
                    id: Some(id),
                    weight: Some(weight),
                    watch_port: None,
                    watch_group: None,
                    actions: Vec::new(),
                })
                .collect(),
        },
        counters: RuleId {
            slot: 0,
            generation: 0,
        },
        parts: Box::default(),
        options: Box::default(),
        created: Tick::ZERO,
    }
}

/// A UDP packet of connection `number`: few clients, most ports one behind the other.
fn key(number: u128) -> FlowKey {
    let mut key = FlowKey::ZERO;
    for (field, value) in [
        (Field::ETH_TYPE, 0x0800),
        (Field::NW_PROTO, 17),
        (Field::IP_SRC, 0x0a00_0000 + number % 7),
        (Field::IP_DST, 0xc000_0209),
        (Field::UDP_SRC, 1024 + number),
        (Field::UDP_DST, 53),
    ] {
        key.set_field(field, value);
    }
    key
}

fn reversed(key: &FlowKey) -> FlowKey {
    let mut reversed = *key;
    for (one, other) in [
        (Field::IP_SRC, Field::IP_DST),
        (Field::IPV6_SRC, Field::IPV6_DST),
        (Field::UDP_SRC, Field::UDP_DST),
        (Field::ETH_SRC, Field::ETH_DST),
    ] {
        reversed.set_field(one, key.field(other));
        reversed.set_field(other, key.field(one));
    }
    reversed
}

/// The ID of the bucket for each of 10,000 connections.
fn choices(group: &Group) -> Vec<u32> {
    let (groups, ports) = (GroupTable::default(), PortTable::default());
    let choose = |number| {
        let at = group.choose(&key(number), &groups, &ports);
        group.spec.buckets[at.expect("a bucket")].id.expect("an ID")
    };
    (0..10_000).map(choose).collect()
}

/// How many of `choices` each bucket of `group` has.
fn shares(group: &Group, choices: &[u32]) -> Vec<usize> {
    let of = |bucket: &Bucket| choices.iter().filter(|id| Some(**id) == bucket.id).count();
    group.spec.buckets.iter().map(of).collect()
}

#[test]
fn equal_buckets_have_equal_shares_within_5_percent() {
    for buckets in 2..=8 {
        let group = group(&(0..buckets).map(|id| (id, 1)).collect::<Vec<_>>());
        let equal = 10_000 / buckets as usize;
        for share in shares(&group, &choices(&group)) {
            let off = share.abs_diff(equal) * 100;
            assert!(
                off <= equal * 5,
                "{share} of {equal} with {buckets} buckets"
            );
        }
    }
}

#[test]
fn shares_are_as_the_weights() {
    for weights in [[1, 3], [100, 300], [65_535, 1], [5, 0]] {
        let group = group(&[(1, weights[0]), (2, weights[1])]);
        let shares = shares(&group, &choices(&group));
        let sum = usize::from(weights[0]) + usize::from(weights[1]);
        let expected = 10_000 * usize::from(weights[1]) / sum;
        assert!(
            shares[1].abs_diff(expected) < 150,
            "{weights:?}: {shares:?}"
        );
    }
}

#[test]
fn a_bucket_that_goes_moves_only_its_own_connections() {
    let all = [(1, 2), (5, 2), (3, 1), (9, 7)];
    let before = choices(&group(&all));
    for gone in 0..all.len() {
        let mut rest = all.to_vec();
        let (id, _) = rest.remove(gone);
        let after = choices(&group(&rest));
        let moved = before.iter().zip(&after).filter(|(a, b)| a != b);
        let (mut count, had) = (0, before.iter().filter(|other| **other == id).count());
        for (from, _) in moved {
            assert_eq!(*from, id);
            count += 1;
        }
        assert_eq!(count, had);
    }
}

#[test]
fn a_bucket_that_comes_takes_its_share_and_moves_nothing_else() {
    let before = choices(&group(&[(0, 1), (1, 1), (2, 1)]));
    let after = choices(&group(&[(7, 1), (2, 1), (0, 1), (1, 1)]));
    let moved: Vec<u32> = before
        .iter()
        .zip(&after)
        .filter_map(|(from, to)| (from != to).then_some(*to))
        .collect();
    assert!(moved.iter().all(|to| *to == 7));
    assert!(moved.len().abs_diff(2_500) < 125, "{} moved", moved.len());
}

#[test]
fn a_weight_that_grows_only_draws_connections() {
    let before = choices(&group(&[(0, 1), (1, 1), (2, 1)]));
    let after = choices(&group(&[(0, 1), (1, 2), (2, 1)]));
    for (from, to) in before.iter().zip(&after) {
        assert!(from == to || *to == 1);
    }
}

#[test]
fn without_a_weight_it_is_chosen_if_there_is_no_other() {
    let (groups, ports) = (GroupTable::default(), PortTable::default());
    let choose = |buckets: &[(u32, u16)]| group(buckets).choose(&key(1), &groups, &ports);
    assert_eq!(choose(&[(0, 0), (1, 1)]), Some(1));
    assert!(choose(&[(0, 0), (1, 0)]).is_some());
    assert_eq!(choose(&[]), None);
}

#[test]
fn both_directions_hash_to_one_value() {
    let selection = Selection::default();
    let mut others = vec![key(1)];
    others.extend((0..4).map(|kind| {
        let mut key = key(77 + kind);
        let (field, value) = [
            (Field::ETH_TYPE, 0x86dd),
            (Field::NW_PROTO, 1),
            (Field::ETH_TYPE, 0x0806),
            (Field::IP_FRAG, 1),
        ][kind as usize];
        key.set_field(field, value);
        key.set_field(Field::IPV6_SRC, 5 << 100);
        key.set_field(Field::ETH_SRC, 0x0200_0000_0007);
        key
    }));
    for key in &others {
        assert_eq!(hash(&selection, key), hash(&selection, &reversed(key)));
    }
    assert_ne!(hash(&selection, &key(1)), hash(&selection, &key(2)));
    let param = Selection {
        param: 1,
        ..Selection::default()
    };
    assert_ne!(hash(&selection, &key(1)), hash(&param, &key(1)));
}

/// Only the first piece of a datagram has ports.
#[test]
fn pieces_of_a_datagram_hash_to_one_value() {
    let selection = Selection::default();
    let (mut first, mut later) = (key(3), key(3));
    first.set_field(Field::IP_FRAG, 1);
    later.set_field(Field::IP_FRAG, 3);
    later.set_field(Field::UDP_SRC, 0);
    later.set_field(Field::UDP_DST, 0);
    assert_eq!(hash(&selection, &first), hash(&selection, &later));
}

#[test]
fn only_the_fields_named_count_and_only_if_the_packet_has_them() {
    let of = |field: Field, mask| {
        let fields = vec![Term {
            field,
            value: 0,
            mask,
        }];
        Selection {
            fields,
            ..Selection::default()
        }
    };
    let destination = of(Field::IP_DST, 0xffff_ff00);
    let (one, mut other) = (key(1), key(2));
    other.set_field(Field::IP_DST, 0xc000_02ff);
    assert_eq!(hash(&destination, &one), hash(&destination, &other));
    other.set_field(Field::IP_DST, 0xc000_03ff);
    assert_ne!(hash(&destination, &one), hash(&destination, &other));
    let tcp = of(Field::TCP_SRC, 0xffff);
    assert_eq!(hash(&tcp, &key(1)), hash(&tcp, &key(2)));
    let udp = of(Field::UDP_SRC, 0xffff);
    assert_ne!(hash(&udp, &key(1)), hash(&udp, &key(2)));
}

#[test]
fn the_logarithm_is_one() {
    for draw in [1, 2, 3, 1 << 40, u64::MAX / 3, u64::MAX / 2, u64::MAX] {
        let exact = (draw as f64 / 2f64.powi(64)).ln();
        assert!(
            (ln(draw) - exact).abs() <= 1e-10,
            "{draw}: {} {exact}",
            ln(draw)
        );
    }
}
