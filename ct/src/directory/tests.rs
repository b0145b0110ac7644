use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Operation {
    Use,
    Drop,
    Grant(u16),
    TakeBack(u16),
    TakeIdle,
}

fn operations() -> impl Strategy<Value = Vec<(u64, Operation)>> {
    let operation = prop_oneof![
        4 => Just(Operation::Use),
        4 => Just(Operation::Drop),
        2 => (0..3u16).prop_map(Operation::Grant),
        2 => (0..3u16).prop_map(Operation::TakeBack),
        1 => Just(Operation::TakeIdle),
    ];
    // Ids that share their low bits, and some at the ends.
    let id = prop_oneof![
        1..30u64,
        (1..30u64).prop_map(|n| n << 39),
        Just((1 << 44) - 1)
    ];
    prop::collection::vec((id, operation), 0..400)
}

/// Every other pair is lent.
fn is_lent(id: u64) -> bool {
    id.count_ones() % 2 == 1
}

proptest! {
    #[test]
    fn agrees_with_a_map(operations in operations()) {
        let mut directory = Directory::new(20);
        let mut model: HashMap<u64, Holder> = HashMap::new();
        for (id, operation) in operations {
            let pair = PairId::of(id);
            match (operation, model.get(&id).copied()) {
                (Operation::Use, None | Some(Holder::Here(_))) => {
                    directory.add_use(pair, is_lent(id));
                    let uses = model.entry(id).or_insert(Holder::Here(0));
                    if let Holder::Here(uses) = uses {
                        *uses += 1;
                    }
                }
                (Operation::Drop, Some(Holder::Here(uses @ 1..))) => {
                    directory.drop_use(pair, is_lent(id));
                    model.insert(id, Holder::Here(uses - 1));
                    if uses == 1 && !is_lent(id) {
                        model.remove(&id);
                    }
                }
                (Operation::Grant(to), None) => {
                    let grants = |holder: &&Holder| matches!(holder, Holder::Granted(_));
                    let room = model.values().filter(grants).count() < 20;
                    // What is rounded up may be granted too.
                    if directory.grant(pair, ShardId(to)) {
                        model.insert(id, Holder::Granted(ShardId(to)));
                    } else {
                        prop_assert!(!room);
                    }
                }
                (Operation::TakeBack(from), there) => {
                    let granted = there == Some(Holder::Granted(ShardId(from)));
                    prop_assert_eq!(directory.take_back(pair, ShardId(from)), granted);
                    if granted {
                        model.remove(&id);
                    }
                }
                (Operation::TakeIdle, _) => {
                    let idle = |model: &HashMap<u64, Holder>| {
                        model.values().any(|holder| *holder == Holder::Here(0))
                    };
                    prop_assert_eq!(directory.has_idle(), idle(&model));
                    if let Some(pair) = directory.take_idle() {
                        prop_assert_eq!(model.remove(&pair.get()), Some(Holder::Here(0)));
                    }
                }
                (Operation::Use | Operation::Drop | Operation::Grant(_), _) => {}
            }
            for id in (1..30).chain((1..30).map(|n| n << 39)) {
                prop_assert_eq!(directory.holder(PairId::of(id)), model.get(&id).copied());
            }
            let granted = model.values().filter(|holder| matches!(holder, Holder::Granted(_)));
            let granted = granted.count();
            prop_assert_eq!(directory.len(), (model.len(), granted));
            prop_assert_eq!(directory.grants_nothing(), granted == 0);
            let is_borrowed = |(&id, holder): (&u64, &Holder)| {
                is_lent(id) && matches!(holder, Holder::Here(_))
            };
            prop_assert_eq!(directory.borrows_nothing(), !model.iter().any(is_borrowed));
        }
    }
}

/// However many end at once, each is found to be given back, in searches that are bounded.
#[test]
fn every_idle_pair_is_found() {
    let mut directory = Directory::new(10_000);
    for id in 1..=10_000 {
        directory.add_use(PairId::of(id), true);
    }
    for id in 1..=10_000 {
        directory.drop_use(PairId::of(id), true);
    }
    let (mut found, mut searches) = (0, 0);
    while directory.has_idle() {
        found += usize::from(directory.take_idle().is_some());
        searches += 1;
    }
    assert_eq!((found, directory.len()), (10_000, (0, 0)));
    assert!(searches < 12_000, "{searches} searches");
}

/// What connections of the lcore's own can use is never granted.
#[test]
fn grants_leave_room_for_the_lcores_own() {
    let mut directory = Directory::new(1000);
    let granted = (1..100_000)
        .take_while(|&id| directory.grant(PairId::of(id), ShardId(1)))
        .count();
    assert!((1000..1100).contains(&granted), "{granted}");
    for id in 0..2000 {
        assert!(directory.has_room());
        directory.add_use(PairId::of(1 << 40 | id), false);
    }
    assert_eq!(
        directory.holder(PairId::of(1)),
        Some(Holder::Granted(ShardId(1)))
    );
}
