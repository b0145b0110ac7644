use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn map(mappings: &[(u16, u8, u8, u8)]) -> Option<TlvMap> {
    let one = |&(class, option_type, size, index): &(u16, u8, u8, u8)| TlvMapping {
        class,
        option_type,
        size,
        index,
    };
    TlvMap::new(mappings.iter().map(one).collect())
}

fn fields(options: &[u8], map: &TlvMap) -> BTreeMap<u8, Vec<u8>> {
    let mut fields = BTreeMap::new();
    parse(options, map, |index, value| {
        fields.insert(index, value.to_vec());
    });
    fields
}

#[test]
fn a_map_names_fields_and_options_once() {
    assert!(map(&[(0xffff, 0, 4, 0), (0xffff, 1, 124, 63)]).is_some());
    for wrong in [
        &[(1, 0, 4, 0), (1, 1, 4, 0)][..],
        &[(1, 0, 4, 0), (1, 0, 8, 1)],
        &[(1, 0, 0, 0)],
        &[(1, 0, 6, 0)],
        &[(1, 0, 128, 0)],
        &[(1, 0, 4, 64)],
        &[(1, 0, 124, 0), (1, 1, 124, 1), (1, 2, 12, 2)],
    ] {
        assert_eq!(map(wrong), None, "{wrong:?}");
    }
}

#[test]
fn an_option_of_another_size_is_another() {
    let map = map(&[(0x0102, 0x80, 8, 5)]).expect("a map");
    let options = [
        1, 2, 0x80, 1, 9, 9, 9, 9, 1, 2, 0x80, 2, 1, 2, 3, 4, 5, 6, 7, 8,
    ];
    let wanted = BTreeMap::from([(5, vec![1, 2, 3, 4, 5, 6, 7, 8])]);
    assert_eq!(fields(&options, &map), wanted);
    assert!(RawOptions::of(&options).has_critical());
}

#[test]
fn options_beyond_what_a_header_can_announce_are_left_out() {
    let map = map(&[(1, 0, 124, 0), (1, 1, 124, 1), (1, 2, 4, 2)]).expect("a map");
    let raw = serialise(&map, |_, place| {
        place.fill(7);
        true
    });
    assert_eq!(raw.bytes().len(), 128 + 8);
    let kept: Vec<u8> = fields(raw.bytes(), &map).into_keys().collect();
    assert_eq!(kept, [0, 2]);
}

proptest! {
    #[test]
    fn parsing_is_the_inverse_of_serialising(
        sizes in prop::collection::vec(1..8_u8, 0..12),
        values in prop::collection::btree_map(0..12_u8, any::<u8>(), 0..12),
    ) {
        let mappings: Vec<_> = (0..).zip(&sizes).map(|(at, words)| (7, at, words * 4, at)).collect();
        let map = map(&mappings);
        prop_assume!(map.is_some());
        let map = map.expect("it was looked at");
        let raw = serialise(&map, |index, place| {
            place.fill(values.get(&index).copied().unwrap_or(0x55));
            values.contains_key(&index)
        });
        let sent: BTreeMap<u8, Vec<u8>> = mappings
            .iter()
            .filter_map(|&(_, _, size, index)| {
                Some((index, vec![*values.get(&index)?; usize::from(size)]))
            })
            .collect();
        let all: usize = sent.values().map(|value| value.len() + 4).sum();
        prop_assume!(all <= Geneve::MAX_OPTIONS);
        prop_assert_eq!(fields(raw.bytes(), &map), sent);
        prop_assert_eq!(RawOptions::of(raw.bytes()), raw);
    }

    #[test]
    fn no_bytes_are_too_odd_to_parse(bytes in prop::collection::vec(any::<u8>(), 0..260)) {
        let map = map(&[(0, 0, 4, 0), (0x0101, 1, 8, 1)]).expect("a map");
        let _ = fields(&bytes, &map);
        let _ = RawOptions::of(&bytes).has_critical();
    }
}
