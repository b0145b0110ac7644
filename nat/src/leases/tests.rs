use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Operation {
    Lease(u64, u32),
    LeaseMany(u64, u32, u32),
    GiveBack(u64, prop::sample::Index),
    GiveBackMany(u64, u32, u32),
    Search(u64, u32, u32),
}

/// Numbers where words, and words of words, begin and end.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![
        4 => 0..200u32,
        2 => 3990..4200u32,
        2 => 65_400..65_536u32,
        1 => Just(u32::MAX),
        1 => u32::MAX - 5000..=u32::MAX,
        1 => any::<u32>(),
    ]
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let pool = || 0..3u64;
    prop::collection::vec(
        prop_oneof![
            4 => (pool(), number()).prop_map(|(pool, number)| Operation::Lease(pool, number)),
            2 => (pool(), number(), 0..9000u32)
                .prop_map(|(pool, from, count)| Operation::LeaseMany(pool, from, count)),
            3 => (pool(), any::<prop::sample::Index>())
                .prop_map(|(pool, index)| Operation::GiveBack(pool, index)),
            1 => (pool(), number(), 0..9000u32)
                .prop_map(|(pool, from, count)| Operation::GiveBackMany(pool, from, count)),
            4 => (pool(), number(), number())
                .prop_map(|(pool, from, to)| Operation::Search(pool, from, to)),
        ],
        0..40,
    )
}

/// As many pools as there are, spread or next to each other as if their hashes were bad.
fn pool(number: u64, close: bool) -> Pool {
    Pool(if close {
        number + 2
    } else {
        number.wrapping_mul(0xdead_beef_cafe_f00d)
    })
}

impl Leases {
    /// Checks every invariant against what is leased.
    fn check(&self, model: &HashMap<u64, BTreeSet<u32>>, close: bool) {
        let mut words: HashMap<u64, u64> = HashMap::new();
        for (&number, leased) in model {
            let mut level_bits: BTreeSet<u64> = leased.iter().map(|&n| n.into()).collect();
            for level in 0..LEVELS {
                let mut full = BTreeSet::new();
                for place in level_bits {
                    let bits = words.entry(id(pool(number, close), level, place / BITS));
                    let bits = bits.or_default();
                    *bits |= 1 << (place % BITS);
                    if *bits == u64::MAX {
                        full.insert(place / BITS);
                    }
                }
                level_bits = full;
            }
        }
        let there = self.nodes.iter().filter(|node| node[0] != 0);
        let there: HashMap<u64, u64> = there.map(|node| (node[0], node[1])).collect();
        assert_eq!(there, words);
        assert_eq!(self.used, words.len());
        assert_eq!(self.len(), model.values().map(BTreeSet::len).sum::<usize>());
        for (&id, &bits) in &words {
            let at = self.find(id).expect("every word is found");
            assert_eq!(self.nodes[at][1], bits);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn agrees_with_sets(operations in operations(), close: bool) {
        let mut leases = Leases::new(1 << 17);
        let mut model: HashMap<u64, BTreeSet<u32>> = HashMap::new();
        for operation in operations {
            match operation {
                Operation::Lease(number, lease) => {
                    if model.entry(number).or_default().insert(lease) {
                        prop_assert_eq!(leases.lease(pool(number, close), lease), Ok(()));
                    }
                }
                Operation::LeaseMany(number, from, count) => {
                    for lease in from..=from.saturating_add(count) {
                        if model.entry(number).or_default().insert(lease) {
                            prop_assert_eq!(leases.lease(pool(number, close), lease), Ok(()));
                        }
                    }
                }
                Operation::GiveBack(number, index) => {
                    let leased = model.entry(number).or_default();
                    if let Some(&lease) = leased.iter().nth(index.index(leased.len().max(1))) {
                        leased.remove(&lease);
                        leases.give_back(pool(number, close), lease);
                    }
                }
                Operation::GiveBackMany(number, from, count) => {
                    for lease in from..=from.saturating_add(count) {
                        if model.entry(number).or_default().remove(&lease) {
                            leases.give_back(pool(number, close), lease);
                        }
                    }
                }
                Operation::Search(number, from, to) => {
                    let leased = model.entry(number).or_default();
                    let wanted = (from..=to).find(|number| !leased.contains(number));
                    let (found, words) = leases.search(pool(number, close), from, to);
                    prop_assert_eq!(found, wanted);
                    prop_assert!(words <= 2 * LEVELS, "{words} words");
                }
            }
        }
        leases.check(&model, close);
        for (number, leased) in &mut model {
            while let Some(lease) = leased.pop_last() {
                leases.give_back(pool(*number, close), lease);
            }
        }
        prop_assert!(leases.is_empty());
        leases.check(&model, close);
    }
}

/// The ports of an address, all but one: wherever that is and the search begins, it is found by
/// reading five words.
#[test]
fn the_last_port_is_as_near_as_the_first() {
    let pool = Pool(7);
    let mut leases = Leases::new(65_536);
    for port in 0..=0xffff {
        leases.lease(pool, port).expect("there is room");
    }
    assert_eq!(leases.search(pool, 1024, 0xffff), (None, 3));
    let mut most = 0;
    for free in (1024..=0xffff).step_by(37) {
        leases.give_back(pool, free);
        for from in [1024, free.saturating_sub(1).max(1024), free / 2, free] {
            let (found, words) = leases.search(pool, from, 0xffff);
            assert_eq!(found, Some(free));
            most = most.max(words);
        }
        leases.lease(pool, free).expect("there is room");
    }
    assert_eq!(most, 5);
}

/// At 99 % occupancy a search reads about as many words as at any other.
#[test]
fn a_full_pool_is_searched_as_fast_as_an_empty_one() {
    let pool = Pool(0x1234_5678_9abc_def0);
    let mut leases = Leases::new(65_536);
    let mut average_words = Vec::new();
    // Any order will do that has no order: an odd factor visits all ports.
    let mut ports = (0..0x1_0000_u32).map(|n| n.wrapping_mul(40_503) & 0xffff);
    for percent in [0usize, 50, 90, 99] {
        while leases.len() < 65_536 * percent / 100 {
            let port = ports.next().expect("not all are leased");
            leases.lease(pool, port).expect("there is room");
        }
        let words: u32 = (0..=0xffff)
            .map(|from| leases.search(pool, from, 0xffff).1)
            .sum();
        average_words.push(f64::from(words) / 65_536.0);
    }
    assert!(
        average_words.iter().all(|&words| words < 3.0),
        "{average_words:?}"
    );
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let mut leases = Leases::new(0);
    let mut count = 0;
    // The worst case: each lease in a word of its own.
    while leases.lease(Pool(u64::from(count) << 40), count * 64) == Ok(()) {
        count += 1;
    }
    assert!(count as usize >= SPARE);
    let before = leases.nodes.clone();
    assert_eq!(leases.lease(Pool(1), 1), Err(NoRoom));
    assert_eq!(leases.nodes, before);
    for number in 0..count {
        leases.give_back(Pool(u64::from(number) << 40), number * 64);
    }
    assert!(leases.is_empty());
    assert!(leases.nodes.iter().all(|node| *node == NONE));
}

#[test]
fn memory_is_enough_for_as_many_leases_as_were_asked_for() {
    for wanted in [1u32, 100, 1000, 5000] {
        let mut leases = Leases::new(wanted);
        for number in 0..wanted {
            let pool = Pool(u64::from(number).wrapping_mul(0x2545_f491_4f6c_dd1d));
            assert_eq!(leases.lease(pool, number), Ok(()));
        }
        let mut leases = Leases::new(wanted);
        for number in 0..wanted {
            assert_eq!(leases.lease(Pool(3), number), Ok(()));
        }
    }
}
