use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::wide::Wide;

/// Class, type, size and number of a field.
type Row = (u16, u8, u8, u8);

fn mapping(&(class, option_type, size, index): &Row) -> TlvMapping {
    TlvMapping {
        class,
        option_type,
        size,
        index,
    }
}

fn map(rows: &[Row]) -> Result<TlvMap, TlvError> {
    let mappings: Vec<_> = rows.iter().map(mapping).collect();
    TlvMap::new(&mappings)
}

/// The fields that a packet with these options has.
fn fields(options: &[u8], map: &TlvMap) -> Result<BTreeMap<u8, Wide>, BadOption> {
    let mut key = FlowKey::ZERO;
    OptionWords::read(options, map)?.write_to(&mut key);
    Ok(fields_of(&key, map))
}

fn fields_of(key: &FlowKey, map: &TlvMap) -> BTreeMap<u8, Wide> {
    let has = |place: Place| key.word(word::OPTIONS_PRESENT.into()) & place.present() != 0;
    let places = map.places().filter(|(_, place)| has(*place));
    places
        .map(|(mapping, place)| (mapping.index, value(key, place)))
        .collect()
}

fn value(key: &FlowKey, place: Place) -> Wide {
    let mut value = Wide::ZERO;
    let mut at = 0;
    for piece in place.pieces(0, place.width()) {
        let bits = key.word(piece.word.into()) >> piece.shift & piece.ones();
        value.add_part(at, bits);
        at += u16::from(piece.width);
    }
    value
}

/// An option as it lies in a packet.
fn option(class: u16, option_type: u8, data: &[u8]) -> Vec<u8> {
    let [c0, c1] = class.to_be_bytes();
    let header = [c0, c1, option_type, (data.len() / 4) as u8];
    [&header[..], data].concat()
}

#[test]
fn a_map_names_fields_and_options_once() {
    assert!(map(&[(0xffff, 0, 4, 0), (0xffff, 1, 124, 63)]).is_ok());
    let duplicate = TlvError::Duplicate {
        class: 1,
        option_type: 0,
    };
    let full = TlvError::Full {
        size: 12,
        taken: 248,
    };
    for (wrong, why) in [
        (
            &[(1, 0, 4, 0), (1, 1, 4, 0)][..],
            TlvError::AlreadyMapped(0),
        ),
        (&[(1, 0, 4, 0), (1, 0, 8, 1)], duplicate),
        (&[(1, 0, 0, 0)], TlvError::Size(0)),
        (&[(1, 0, 6, 0)], TlvError::Size(6)),
        (&[(1, 0, 128, 0)], TlvError::Size(128)),
        (&[(1, 0, 4, 64)], TlvError::Index(64)),
        (&[(1, 0, 124, 0), (1, 1, 124, 1), (1, 2, 12, 2)], full),
    ] {
        assert_eq!(map(wrong), Err(why), "{wrong:?}");
    }
}

#[test]
fn a_refused_field_takes_the_others_with_it() {
    let mut map = map(&[(1, 0, 4, 0)]).expect("a map");
    let before = map.clone();
    let two = [(1, 1, 4, 1), (1, 0, 4, 2)].map(|row| mapping(&row));
    assert!(map.add(&two).is_err());
    assert_eq!(map, before);
}

#[test]
fn what_is_free_need_not_lie_together() {
    let rows: Vec<Row> = (0..64).map(|at| (1, at, 4, at)).collect();
    let mut map = map(&rows).expect("a map");
    assert_eq!(map.taken(), TlvMap::SIZE);
    for index in (1..63).step_by(2) {
        map.remove(index);
    }
    assert_eq!(map.add(&[mapping(&(2, 0, 124, 1))]), Ok(()));
    let data: Vec<u8> = (0..124).collect();
    let got = fields(&option(2, 0, &data), &map).expect("a mapped option");
    assert_eq!(got.keys().copied().collect::<Vec<_>>(), [1]);
    let digits: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(got.get(&1).copied(), Wide::from_hex(&digits));
}

#[test]
fn an_option_that_has_to_be_understood_is() {
    let map = map(&[(0x0102, 0x80, 8, 5)]).expect("a map");
    let mapped = option(0x0102, 0x80, &[1, 2, 3, 4, 5, 6, 7, 8]);
    let other = option(0x0102, 0x03, &[9; 4]);
    let both = [other.clone(), mapped.clone()].concat();
    let wanted = BTreeMap::from([(5, Wide::from(0x0102_0304_0506_0708_u128))]);
    assert_eq!(fields(&both, &map), Ok(wanted));
    assert!(RawOptions::of(&both).has_critical());
    assert_eq!(fields(&other, &map), Ok(BTreeMap::new()));
    // Another size, a critical one that nobody knows, and one that is cut off.
    for wrong in [
        option(0x0102, 0x80, &[9; 4]),
        option(0x0102, 0x81, &[9; 4]),
        both[..both.len() - 4].to_vec(),
    ] {
        assert_eq!(fields(&wrong, &map), Err(BadOption));
    }
    let again = [mapped, option(0x0102, 0x80, &[0xff; 8])].concat();
    let last = BTreeMap::from([(5, Wide::ones(64))]);
    assert_eq!(fields(&again, &map), Ok(last));
}

#[test]
fn options_beyond_what_a_header_can_announce_are_left_out() {
    let map = map(&[(1, 0, 124, 0), (1, 1, 124, 1), (1, 2, 4, 2)]).expect("a map");
    let mut key = FlowKey::ZERO;
    key.set_options(Some(&[u64::MAX; OPTION_WORDS]));
    let raw = RawOptions::of_key(&key, &map);
    assert_eq!(raw.bytes().len(), 128 + 8);
    let kept: Vec<u8> = fields(raw.bytes(), &map)
        .expect("whole options")
        .into_keys()
        .collect();
    assert_eq!(kept, [0, 2]);
}

#[test]
fn a_packet_without_options_clears_a_key_that_had_some() {
    let map = map(&[(1, 0, 4, 0)]).expect("a map");
    let mut key = FlowKey::ZERO;
    OptionWords::read(&option(1, 0, &[1; 4]), &map)
        .expect("a mapped option")
        .write_to(&mut key);
    assert!(key.has_options());
    OptionWords::NONE.write_to(&mut key);
    assert!(key.is_zero());
}

/// Fields of some sizes, and which of them a packet has, filled with what.
fn packets() -> impl Strategy<Value = (Vec<Row>, BTreeMap<u8, u8>)> {
    let sizes = prop::collection::vec(1..8_u8, 0..12);
    let values = prop::collection::btree_map(0..12_u8, any::<u8>(), 0..12);
    (sizes, values).prop_map(|(sizes, values)| {
        let rows = (0..)
            .zip(sizes)
            .map(|(at, words)| (7, at, words * 4, 3 * at));
        (rows.collect(), values)
    })
}

proptest! {
    #[test]
    fn parsing_is_the_inverse_of_serialising((rows, values) in packets()) {
        let map = map(&rows);
        prop_assume!(map.is_ok());
        let map = map.expect("it was looked at");
        let sent: Vec<u8> = rows
            .iter()
            .filter_map(|row| {
                let fill = values.get(&row.1)?;
                Some(option(row.0, row.1, &vec![*fill; row.2.into()]))
            })
            .collect::<Vec<_>>()
            .concat();
        prop_assume!(sent.len() <= Geneve::MAX_OPTIONS);
        let mut key = FlowKey::ZERO;
        let words = OptionWords::read(&sent, &map).expect("mapped options");
        words.write_to(&mut key);
        let raw = RawOptions::of_key(&key, &map);
        prop_assert_eq!(raw.bytes(), &sent[..]);
        prop_assert_eq!(RawOptions::of(raw.bytes()), raw);
        prop_assert_eq!(fields_of(&key, &map).len(), values.keys().filter(|at| usize::from(**at) < rows.len()).count());
    }

    #[test]
    fn no_bytes_are_too_odd_to_parse(bytes in prop::collection::vec(any::<u8>(), 0..260)) {
        let map = map(&[(0, 0, 4, 0), (0x0101, 1, 8, 1)]).expect("a map");
        let _ = fields(&bytes, &map);
        let _ = RawOptions::of(&bytes).has_critical();
    }

    /// Fields come and go; none ever has another's room, and there is room as long as there is.
    #[test]
    fn fields_share_no_room(
        steps in prop::collection::vec((0..64_u8, 1..32_u8, any::<bool>()), 0..120),
    ) {
        let mut map = TlvMap::default();
        let mut model = BTreeMap::new();
        for (index, words, adds) in steps {
            if adds {
                let taken: u16 = model.values().copied().map(u16::from).sum();
                let fits = !model.contains_key(&index) && taken + 4 * u16::from(words) <= 256;
                let added = map.add(&[mapping(&(9, index, 4 * words, index))]);
                prop_assert_eq!(added.is_ok(), fits);
                if fits {
                    model.insert(index, 4 * words);
                }
            } else {
                map.remove(index);
                model.remove(&index);
            }
            let mut all = 0_u64;
            for (mapping, place) in map.places() {
                prop_assert_eq!(model.get(&mapping.index), Some(&mapping.size));
                prop_assert_eq!(place.bits().count_ones(), u32::from(mapping.size / 4));
                prop_assert_eq!(all & place.bits(), 0);
                all |= place.bits();
            }
            prop_assert_eq!(map.iter().count(), model.len());
        }
    }

    #[test]
    fn pieces_are_the_bits_that_are_asked_for(
        before in 0..33_u8,
        size in 1..32_u8,
        start in 0..992_u16,
        width in 1..992_u16,
        numbers in prop::array::uniform16(any::<u64>()),
    ) {
        let size = size * 4;
        let start = start % (u16::from(size) * 8);
        let width = width.min(u16::from(size) * 8 - start);
        let mut taken = 0_u64;
        for unit in 0..before {
            taken |= 1_u64.rotate_left(u32::from(unit) * 2);
        }
        let place = Place::new(0, size, taken);
        let place = place.expect("half of the room is left");
        let mut number = Wide::ZERO;
        for (at, part) in (0..).zip(numbers) {
            number.add_part(64 * at, part);
        }
        let number = number & Wide::ones(place.width());
        let mut key = FlowKey::ZERO;
        for (word, mask, value) in place.writes(&number, &Wide::ones(992)) {
            *key.word_mut(word.into()) |= mask & value;
        }
        prop_assert_eq!(value(&key, place), number);
        let mut got = Wide::ZERO;
        let mut at = 0;
        for piece in place.pieces(start, width) {
            got.add_part(at, key.word(piece.word.into()) >> piece.shift & piece.ones());
            at += u16::from(piece.width);
        }
        prop_assert_eq!(at, width);
        let mut wanted = Wide::ZERO;
        for at in (0..width).step_by(64) {
            wanted.add_part(at, number.part(start + at, (width - at).min(64)));
        }
        prop_assert_eq!(got, wanted);
    }
}
