//! Conjunctive matches against a linear list.

use super::*;

/// How many clauses a conjunction has.
const fn clauses_of(id: u32) -> u8 {
    2 + (id % 3) as u8
}

/// Few conjunctions and values, so that some are complete.
fn conjunctive() -> impl Strategy<Value = Listed> {
    let clause = (1..5u32, any::<u8>()).prop_map(|(id, clause)| Action::Conjunction {
        id,
        clause: 1 + clause % clauses_of(id),
        clauses: clauses_of(id),
    });
    let clauses = prop::collection::vec(clause, 1..4).prop_map(|mut clauses| {
        clauses.sort_by_key(id_of);
        clauses.dedup_by_key(|clause| id_of(clause));
        clauses
    });
    // One dimension each, so that clauses of one conjunction meet.
    let dimension = (0..4usize, 0..2u32).prop_map(|(which, value)| {
        let mut matches = Match::ANY;
        match which {
            0 => matches.set_exact(Field::IN_PORT_OXM, value.into()),
            1 => matches.set_exact(Field::METADATA, value.into()),
            2 => matches.set_exact(Field::IP_DST, u128::from(value * 0x0101_0101)),
            _ => matches.set(Field::IP_DST, u128::from(value << 24), 0xff00_0000),
        }
        matches
    });
    let clause =
        (0..4u16, dimension.clone(), clauses).prop_map(|(priority, matches, clauses)| Listed {
            priority,
            matches,
            clauses,
        });
    let taken = (0..4u16, dimension, 1..5u128, any::<bool>());
    let taken = taken.prop_map(|(priority, mut matches, id, beside)| {
        if !beside {
            matches = Match::ANY;
        }
        matches.set_exact(Field::CONJ_ID, id);
        Listed {
            priority,
            matches,
            clauses: Vec::new(),
        }
    });
    prop_oneof![5 => clause, 3 => taken, 1 => listed()]
}

fn conjunctive_key() -> impl Strategy<Value = FlowKey> {
    (0..2u128, 0..2u128, 0..2u32, 0..2u32).prop_map(|(port, metadata, address, low)| {
        let mut key = FlowKey::ZERO;
        key.set_field(Field::IN_PORT_OXM, port);
        key.set_field(Field::METADATA, metadata);
        let address = (address * 0x0101_0101) & !1 | low;
        key.set_field(Field::IP_DST, address.into());
        key
    })
}

fn id_of(clause: &Action) -> u32 {
    match *clause {
        Action::Conjunction { id, .. } => id,
        _ => unreachable!("a clause is a conjunction action"),
    }
}

/// The IDs whose clauses `rules` have all, each from another rule.
fn complete(rules: &[&Listed]) -> Vec<u32> {
    let all = rules.iter().flat_map(|rule| &rule.clauses);
    let mut ids: Vec<u32> = all.clone().map(id_of).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.retain(|&id| {
        let has = |wanted: u8| {
            all.clone().any(|action| match *action {
                Action::Conjunction {
                    id: other, clause, ..
                } => other == id && clause == wanted,
                _ => false,
            })
        };
        (1..=clauses_of(id)).all(has)
    });
    ids
}

/// The best of the rules that are no clauses: of those with one match only the first can be.
fn best_hard<'a>(list: &'a [Listed], key: &FlowKey) -> Option<&'a Listed> {
    let accepting = list.iter().filter(|listed| listed.matches.accepts(key));
    let head = |listed: &&Listed| {
        !list
            .iter()
            .any(|other| other.matches == listed.matches && other.priority > listed.priority)
    };
    accepting
        .filter(head)
        .filter(|listed| listed.clauses.is_empty())
        .max_by_key(|listed| listed.priority)
}

/// What the look-up of `key` finds, priority by priority.
fn oracle<'a>(list: &'a [Listed], key: &FlowKey) -> Option<&'a Listed> {
    let mut priorities: Vec<u16> = list.iter().map(|listed| listed.priority).collect();
    priorities.sort_unstable();
    priorities.dedup();
    for priority in priorities.into_iter().rev() {
        let here: Vec<&Listed> = list
            .iter()
            .filter(|listed| listed.priority == priority && listed.matches.accepts(key))
            .collect();
        if let Some(hard) = here.iter().find(|listed| listed.clauses.is_empty()) {
            return Some(hard);
        }
        for id in complete(&here) {
            let mut with_id = *key;
            with_id.set_field(Field::CONJ_ID, id.into());
            if let Some(rule) = best_hard(list, &with_id) {
                return Some(rule);
            }
        }
    }
    None
}

/// A table of the rules, without those that others replaced.
fn table(rules: &[Listed]) -> (RuleSet, Vec<Listed>) {
    let mut set = RuleSet::new(SECRET);
    let mut list: Vec<Listed> = Vec::new();
    for candidate in rules {
        list.retain(|other| {
            other.priority != candidate.priority || other.matches != candidate.matches
        });
        list.push(candidate.clone());
        set.insert(rule(&set, candidate, 0));
    }
    (set, list)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn conjunctions_agree_with_a_linear_list(
        rules in prop::collection::vec(conjunctive(), 1..40),
        keys in prop::collection::vec(conjunctive_key(), 1..12),
    ) {
        let (set, list) = table(&rules);
        let classifier = set.classifier();
        for key in keys {
            let found = classifier.lookup(&key);
            let wanted = oracle(&list, &key);
            prop_assert_eq!(
                found.map(|rule| rule.priority),
                wanted.map(|listed| listed.priority)
            );
            if let (Some(found), Some(wanted)) = (found, wanted) {
                prop_assert!(!found.is_clause());
                // Of two that overlap at one priority either is right, but of one conjunction.
                let id = |matches: &Match| matches.term(Field::CONJ_ID);
                let (mut found, wanted) = (found.matches(), &wanted.matches);
                if id(&found).1 != 0 && id(wanted).1 != 0 {
                    prop_assert_eq!(id(&found), id(wanted));
                }
                found.clear(Field::CONJ_ID);
                prop_assert!(found.accepts(&key));
            }
        }
    }

    #[test]
    fn bits_that_were_not_consulted_do_not_decide_over_conjunctions(
        rules in prop::collection::vec(conjunctive(), 1..40),
        key in conjunctive_key(),
        others in prop::collection::vec(conjunctive_key(), 1..20),
    ) {
        let (set, _) = table(&rules);
        let classifier = set.classifier();
        let mut consulted = FlowKey::ZERO;
        let found = classifier.lookup_consulting(&key, &mut consulted);
        prop_assert_eq!(found.map(Arc::as_ptr), classifier.lookup(&key).map(Arc::as_ptr));
        prop_assert_eq!(consulted.field(Field::CONJ_ID), 0);
        for other in others {
            // As likely to match as the first, but like it in all that was consulted.
            let mut mixed = other;
            let words = mixed.words_mut().iter_mut().zip(consulted.words());
            for ((word, consulted), first) in words.zip(key.words()) {
                *word = *word & !consulted | first & consulted;
            }
            let again = classifier.lookup(&mixed);
            prop_assert_eq!(found.map(Arc::as_ptr), again.map(Arc::as_ptr));
        }
    }
}

/// Clause `clause` of 2 of the conjunctions `ids`, for one source or one destination.
fn address(field: Field, address: u32, ids: std::ops::Range<u32>, clause: u8) -> Listed {
    let mut matches = Match::ANY;
    matches.set_exact(field, address.into());
    Listed {
        priority: 1,
        matches,
        clauses: ids
            .map(|id| Action::Conjunction {
                id,
                clause,
                clauses: 2,
            })
            .collect(),
    }
}

#[test]
fn a_change_among_ten_thousand_clauses_copies_one_shard() {
    let mut set = RuleSet::new(SECRET);
    for number in 0..10_000 {
        set.insert(rule(&set, &address(Field::IP_DST, number, 1..2, 1), 0));
    }
    let published = set.classifier();
    let before = published.subtables[0].rules.shards();
    set.insert(rule(&set, &address(Field::IP_DST, 77, 1..3, 1), 1));
    let after = set.classifier().subtables[0].rules.shards();
    let changed = after.iter().filter(|shard| !before.contains(shard)).count();
    assert_eq!((after.len(), changed), (before.len(), 1));
}

#[test]
fn a_rule_of_many_conjunctions_is_found_with_each() {
    let (mut set, ids) = (RuleSet::new(SECRET), 1_000);
    set.insert(rule(&set, &address(Field::IP_SRC, 7, 1..ids, 1), 0));
    for id in 1..ids {
        set.insert(rule(&set, &address(Field::IP_DST, id, id..id + 1, 2), 0));
        let mut taken = Listed::default();
        taken.matches.set_exact(Field::CONJ_ID, id.into());
        set.insert(rule(&set, &taken, id.into()));
    }
    let classifier = set.classifier();
    for id in 1..ids {
        let mut key = FlowKey::ZERO;
        key.set_field(Field::IP_SRC, 7);
        key.set_field(Field::IP_DST, id.into());
        let found = classifier.lookup(&key).map(|rule| rule.cookie);
        assert_eq!(found, Some(id.into()));
        key.set_field(Field::IP_SRC, 8);
        assert!(classifier.lookup(&key).is_none());
    }
}

/// A packet that matches more clauses than there is room for without allocating.
#[test]
fn clauses_of_a_hundred_masks_are_all_found() {
    let mut set = RuleSet::new(SECRET);
    for bit in 0..100_u32 {
        let mut listed = Listed {
            priority: 1,
            ..Listed::default()
        };
        listed.matches.set(Field::IPV6_SRC, 0, 1 << bit);
        // Number 99 is the second clause of conjunction 5, number 3 the first.
        let (id, clause) = match bit {
            3 => (5, 1),
            99 => (5, 2),
            _ => (100 + bit, 1),
        };
        listed.clauses = vec![Action::Conjunction {
            id,
            clause,
            clauses: 2,
        }];
        set.insert(rule(&set, &listed, 0));
    }
    let mut taken = Listed::default();
    taken.matches.set_exact(Field::CONJ_ID, 5);
    set.insert(rule(&set, &taken, 5));
    let classifier = set.classifier();
    let found = classifier.lookup(&FlowKey::ZERO);
    assert_eq!(found.map(|rule| rule.cookie), Some(5));
    let mut key = FlowKey::ZERO;
    key.set_field(Field::IPV6_SRC, 1 << 99);
    assert!(classifier.lookup(&key).is_none());
}
