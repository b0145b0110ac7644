use proptest::prelude::*;

use super::*;

fn belongs() -> impl Strategy<Value = Belongs> {
    prop_oneof![
        (1..=NUMBER).prop_map(|id| Belongs::Pair(PairId::of(id))),
        any::<u16>().prop_map(|shard| Belongs::Shard(ShardId(shard))),
        Just(Belongs::Anywhere),
        Just(Belongs::Pair(PairId::of(NUMBER))),
        Just(Belongs::Shard(ShardId(u16::MAX))),
    ]
}

proptest! {
    #[test]
    fn a_trail_says_what_it_was_made_of(wire in belongs(), hops: u8) {
        let trail = Trail::new(wire, hops);
        prop_assert_eq!((trail.wire(), trail.hops()), (wire, hops));
    }
}
