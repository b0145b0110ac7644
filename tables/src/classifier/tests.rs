use std::sync::Arc;

use proptest::prelude::*;
use weir_packet::Tick;

use super::*;
use crate::action::{Action, Instructions, TableId};
use crate::field::Field;
use crate::flow_mod::FlowFlags;
use crate::matching::Match;
use crate::program::Program;
use crate::rule::RuleId;
use crate::tunnel::options::TlvMap;

const SECRET: HashSecret = HashSecret(7);

mod conjunction;

/// A rule, as the linear list that is our oracle keeps it.
#[derive(Clone, Debug, Default)]
struct Listed {
    priority: u16,
    matches: Match,
    /// The conjunctions of which it is a clause.
    clauses: Vec<Action>,
}

fn rule(set: &RuleSet, listed: &Listed, cookie: u64) -> Arc<Rule> {
    let shape = set.shape(&listed.matches.mask());
    let instructions = Instructions {
        apply: listed.clauses.clone(),
        ..Instructions::default()
    };
    Arc::new(Rule {
        id: RuleId {
            slot: 0,
            generation: 0,
        },
        table: TableId(0),
        priority: listed.priority,
        cookie,
        values: shape.select(&listed.matches.key()),
        shape,
        options: Box::default(),
        program: Arc::new(
            Program::compile(&instructions, &TlvMap::default()).expect("it can be executed"),
        ),
        instructions: Arc::new(instructions),
        idle_timeout: 0,
        hard_timeout: 0,
        importance: 0,
        flags: FlowFlags::default(),
        created: Tick::ZERO,
        fresh: Tick::ZERO,
        modified: Tick::ZERO,
        sequence: 0,
    })
}

/// Few values and masks, so that rules meet.
fn listed() -> impl Strategy<Value = Listed> {
    let prefix = prop_oneof![Just(0u32), Just(8), Just(16), Just(24), Just(32)];
    let l4 = prop::option::weighted(0.4, 0..3u128);
    (0..4u16, 0..3u128, any::<bool>(), 0..8u32, prefix, l4).prop_map(
        |(priority, port, with_port, address, prefix, l4)| {
            let mut matches = Match::ANY;
            if with_port {
                matches.set_exact(Field::IN_PORT_OXM, port);
            }
            let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
            let value = address * 0x0101_0101;
            matches.set(Field::IP_DST, u128::from(value & mask), u128::from(mask));
            if let Some(l4) = l4 {
                matches.set_exact(Field::UDP_SRC, l4);
            }
            Listed {
                priority,
                matches,
                ..Listed::default()
            }
        },
    )
}

fn key() -> impl Strategy<Value = FlowKey> {
    (0..3u128, 0..8u32, 0..4u32, 0..4u128).prop_map(|(port, address, noise, l4)| {
        let mut key = FlowKey::ZERO;
        key.set_field(Field::UDP_SRC, l4);
        key.set_field(Field::IN_PORT_OXM, port);
        key.set_field(
            Field::IP_DST,
            u128::from((address * 0x0101_0101) ^ (noise << 3)),
        );
        key.set_field(Field::METADATA, u128::from(noise));
        key
    })
}

proptest! {
    #[test]
    fn lookup_agrees_with_a_linear_list(
        rules in prop::collection::vec((listed(), any::<bool>()), 0..60),
        keys in prop::collection::vec(key(), 1..40),
    ) {
        let mut set = RuleSet::new(SECRET);
        let mut list: Vec<Listed> = Vec::new();
        for (at, (candidate, remove)) in rules.iter().enumerate() {
            let same = |other: &Listed| {
                other.priority == candidate.priority && other.matches == candidate.matches
            };
            let known = list.iter().position(same);
            let new = rule(&set, candidate, at as u64);
            if *remove {
                let removed = set.remove(&new);
                prop_assert_eq!(removed.is_some(), known.is_some());
                known.map(|at| list.remove(at));
            } else {
                let replaced = set.insert(new);
                prop_assert_eq!(replaced.is_some(), known.is_some());
                if known.is_none() {
                    list.push(candidate.clone());
                }
            }
            prop_assert_eq!(set.len(), list.len());
            prop_assert_eq!(set.iter().count(), list.len());
        }
        let classifier = set.classifier();
        for key in keys {
            let accepting = list.iter().filter(|listed| listed.matches.accepts(&key));
            let best = accepting.map(|listed| listed.priority).max();
            let found = classifier.lookup(&key);
            prop_assert_eq!(found.map(|rule| rule.priority), best);
            if let Some(rule) = found {
                prop_assert!(rule.matches().accepts(&key));
            }
        }
    }
}

#[test]
fn a_published_version_does_not_change() {
    let mut set = RuleSet::new(SECRET);
    let mut matches = Match::ANY;
    matches.set_exact(Field::IN_PORT_OXM, 1);
    let listed = Listed {
        priority: 5,
        matches,
        ..Listed::default()
    };
    set.insert(rule(&set, &listed, 1));
    let before = set.classifier();
    set.insert(rule(&set, &listed, 2));
    let mut key = FlowKey::ZERO;
    key.set_field(Field::IN_PORT_OXM, 1);
    assert_eq!(before.lookup(&key).map(|rule| rule.cookie), Some(1));
    assert_eq!(
        set.classifier().lookup(&key).map(|rule| rule.cookie),
        Some(2)
    );
    set.remove(&rule(&set, &listed, 0));
    assert!(set.classifier().lookup(&key).is_none());
    assert_eq!(set.classifier().masks(), 0);
    assert_eq!(before.lookup(&key).map(|rule| rule.cookie), Some(1));
}

#[test]
fn one_change_copies_one_shard() {
    let mut set = RuleSet::new(SECRET);
    let listed = |address: u32| {
        let mut matches = Match::ANY;
        matches.set_exact(Field::IP_DST, u128::from(address));
        Listed {
            priority: 1,
            matches,
            ..Listed::default()
        }
    };
    for address in 0..20_000 {
        set.insert(rule(&set, &listed(address), 0));
    }
    let before = set.classifier();
    let shards_before = before.subtables[0].rules.shards();
    assert!(
        shards_before.len() >= 20_000 / 512,
        "{} shards",
        shards_before.len()
    );
    set.insert(rule(&set, &listed(77), 1));
    let shards_after = set.classifier().subtables[0].rules.shards();
    let changed = shards_after
        .iter()
        .filter(|shard| !shards_before.contains(shard))
        .count();
    assert_eq!((shards_after.len(), changed), (shards_before.len(), 1));
}

#[test]
fn an_equal_mask_shares_its_shape() {
    let mut set = RuleSet::new(SECRET);
    let mut matches = Match::ANY;
    matches.set(Field::IP_DST, 0x0a00_0000, 0xff00_0000);
    let first = rule(
        &set,
        &Listed {
            priority: 1,
            matches,
            ..Listed::default()
        },
        0,
    );
    set.insert(Arc::clone(&first));
    assert!(Arc::ptr_eq(
        &first.shape,
        &set.shape(&first.matches().mask())
    ));
}

/// One rule for DHCP must not give each connection a megaflow of its own.
#[test]
fn ports_are_consulted_where_a_rule_has_the_rest() {
    let mut set = RuleSet::new(SECRET);
    let listed = |address: u128, port: u128| {
        let mut matches = Match::ANY;
        matches.set_exact(Field::IP_DST, address);
        matches.set_exact(Field::UDP_SRC, port);
        Listed {
            priority: 1,
            matches,
            ..Listed::default()
        }
    };
    let consulted = |set: &RuleSet, address: u128| {
        let mut key = FlowKey::ZERO;
        key.set_field(Field::IP_DST, address);
        key.set_field(Field::UDP_SRC, 68);
        let mut consulted = FlowKey::ZERO;
        let found = set
            .classifier()
            .lookup_consulting(&key, &mut consulted)
            .is_some();
        let bits = [Field::IP_DST, Field::UDP_SRC].map(|field| consulted.field(field).count_ones());
        (found, bits)
    };
    let rules = [(7, 67), (7, 68), (8, 67)].map(|(address, port)| listed(address, port));
    let rules = rules.map(|listed| rule(&set, &listed, 0));
    for rule in &rules {
        set.insert(Arc::clone(rule));
        set.insert(Arc::clone(rule));
    }
    assert_eq!(consulted(&set, 7), (true, [32, 16]));
    assert_eq!(consulted(&set, 8), (false, [32, 16]));
    assert_eq!(consulted(&set, 9), (false, [32, 0]));
    set.remove(&rules[1]);
    assert_eq!(consulted(&set, 7), (false, [32, 16]));
    set.remove(&rules[0]);
    assert_eq!(consulted(&set, 7), (false, [32, 0]));
    set.remove(&rules[0]);
    assert_eq!(consulted(&set, 8), (false, [32, 16]));
}

proptest! {
    #[test]
    fn bits_that_were_not_consulted_do_not_decide(
        rules in prop::collection::vec(listed(), 1..40),
        key in key(),
        flips in prop::collection::vec((0..48usize, any::<u64>()), 1..20),
    ) {
        let mut set = RuleSet::new(SECRET);
        for candidate in &rules {
            set.insert(rule(&set, candidate, 0));
        }
        let classifier = set.classifier();
        let mut consulted = FlowKey::ZERO;
        let found = classifier.lookup_consulting(&key, &mut consulted);
        let mut other = key;
        for (at, bits) in flips {
            other.words_mut()[at] ^= bits & !consulted.words()[at];
        }
        let again = classifier.lookup(&other);
        prop_assert_eq!(found.map(Arc::as_ptr), again.map(Arc::as_ptr));
    }
}
