use proptest::prelude::*;

use super::*;

/// How many shards each CPU has.
fn counts(dealt: &[u16], cpus: &[u16]) -> Vec<usize> {
    let count = |cpu: &u16| dealt.iter().filter(|other| *other == cpu).count();
    cpus.iter().map(count).collect()
}

#[test]
fn shards_are_dealt_out_evenly_and_stay_where_they_can() {
    assert_eq!(deal_out(&[1, 1, 1, 1], &[1]), [1, 1, 1, 1]);
    assert_eq!(deal_out(&[1, 1, 1, 1], &[1, 2]), [1, 1, 2, 2]);
    assert_eq!(deal_out(&[1, 1, 2, 2], &[1, 2, 3, 4]), [1, 3, 2, 4]);
    assert_eq!(deal_out(&[1, 3, 2, 4], &[2, 3, 4]), [2, 3, 2, 4]);
    assert_eq!(deal_out(&[2, 3, 2, 4], &[7]), [7; 4]);
    // A shard fewer than lcores: one has none.
    assert_eq!(deal_out(&[1], &[2, 3]), [2]);
}

proptest! {
    /// No lcore has two more than another; those that move are as few as that allows.
    #[test]
    fn no_more_move_than_must(
        before in prop::collection::vec(0..6_u16, 1..12),
        cpus in prop::collection::btree_set(0..6_u16, 1..6),
    ) {
        let cpus: Vec<_> = cpus.into_iter().collect();
        let dealt = deal_out(&before, &cpus);
        let there = counts(&dealt, &cpus);
        prop_assert_eq!(there.iter().sum::<usize>(), before.len());
        let (least, most) = (there.iter().min().unwrap(), there.iter().max().unwrap());
        prop_assert!(most - least <= 1, "{:?}", dealt);
        let stayed = before.iter().zip(&dealt).filter(|(a, b)| a == b).count();
        let (each, over) = (before.len() / cpus.len(), before.len() % cpus.len());
        let full: usize = counts(&before, &cpus).iter().map(|n| (*n).min(each)).sum();
        let beyond = counts(&before, &cpus).iter().filter(|n| **n > each).count();
        prop_assert_eq!(stayed, full + beyond.min(over));
    }
}
