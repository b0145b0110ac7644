use proptest::prelude::*;

use super::*;

/// Few, so that they meet, and those at the edges.
fn signatures() -> impl Strategy<Value = u16> {
    prop_oneof![
        1..4_u16,
        MOST_SIGNATURE - 2..=MOST_SIGNATURE,
        1..=MOST_SIGNATURE
    ]
}

proptest! {
    /// Against a list.
    #[test]
    fn a_set_finds_what_was_put_into_it(
        put in prop::collection::vec(signatures(), 0..=WAYS),
        out in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        asked in signatures(),
    ) {
        let mut set = Set::EMPTY;
        let mut model: Vec<(u16, EntryId)> = Vec::new();
        for (at, &signature) in put.iter().enumerate() {
            let id = EntryId(100 + at as u32);
            prop_assert_eq!(set.taken(), at);
            set.put(at, signature, id);
            model.push((signature, id));
        }
        for at in out {
            if !model.is_empty() {
                let at = at.index(model.len());
                prop_assert_eq!(set.take_out(at), model.swap_remove(at).1);
            }
        }
        prop_assert_eq!(set.taken(), model.len());
        for asked in model.iter().map(|&(signature, _)| signature).chain([asked]) {
            let with = |&(signature, id): &(u16, EntryId)| (signature == asked).then_some(id);
            let wanted: Vec<EntryId> = model.iter().filter_map(with).collect();
            prop_assert_eq!(set.all(asked).collect::<Vec<_>>(), wanted.clone());
            match set.any(asked) {
                Some(id) => prop_assert!(wanted.contains(&id)),
                None => prop_assert!(wanted.is_empty()),
            }
        }
    }
}
