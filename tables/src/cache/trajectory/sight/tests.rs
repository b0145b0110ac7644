use proptest::prelude::*;

use super::*;
use crate::field::Field;
use crate::program::BitsPlace;

/// Some bits of a field, as an action names them.
fn bits(field: Field, start: u16, width: u16) -> Bits {
    Bits {
        place: BitsPlace::Slot {
            slot: field.info().slot.expect("it lies in the key"),
            start,
        },
        width,
        field,
        prerequisite: field.info().prerequisite,
    }
}

/// Shape and values of a rule that matches fields: value and mask of each.
fn rule(terms: &[(Field, u128, u128)]) -> (MaskShape, Box<[u64]>) {
    let (mut key, mut mask) = (FlowKey::ZERO, FlowKey::ZERO);
    for &(field, value, bits) in terms {
        let slot = field.info().slot.expect("it lies in the key");
        key.write_masked(slot, value, bits);
        mask.write_masked(slot, bits, bits);
    }
    let shape = MaskShape::new(&mask);
    let values = shape.select(&key);
    (shape, values)
}

const ALL: u128 = u32::MAX as u128;

fn key(terms: &[(Field, u128)]) -> FlowKey {
    let mut key = FlowKey::ZERO;
    for &(field, value) in terms {
        key.set_field(field, value);
    }
    key
}

/// Whether a look-up in `table` may have seen what a rule asks for; both ways to ask agree.
fn shows(sights: &Sights, table: u8, terms: &[(Field, u128, u128)]) -> bool {
    let (shape, values) = rule(terms);
    let shows = sights.may_show(TableId(table), &shape, &values);
    let asked = Asked::of(&shape, &values);
    assert_eq!(sights.may_show_asked(TableId(table), &asked), shows);
    shows
}

#[test]
fn each_table_is_told_by_what_was_seen_there() {
    let mut sights = Sights::new();
    sights.note(TableId(0), &FlowKey::ZERO);
    sights.note(TableId(1), &key(&[(Field::REG5, 7), (Field::REG6, 1)]));
    sights.note(TableId(1), &key(&[(Field::REG5, 9), (Field::REG6, 1)]));
    sights.end();
    for (table, port, seen) in [(0, 0, true), (0, 7, false), (1, 0, false), (1, 7, true)] {
        assert_eq!(shows(&sights, table, &[(Field::REG5, port, ALL)]), seen);
    }
    assert!(shows(
        &sights,
        1,
        &[(Field::REG5, 9, ALL), (Field::REG6, 1, ALL)]
    ));
    assert!(!shows(
        &sights,
        1,
        &[(Field::REG5, 9, ALL), (Field::REG6, 2, ALL)]
    ));
    // Both at once was never there.
    assert!(!shows(
        &sights,
        1,
        &[(Field::REG5, 7, 7), (Field::REG5, 9, 8)]
    ));
    assert!(!shows(&sights, 1, &[(Field::METADATA, 1, 1)]));
    // What keys tell is not told here, and of another table nothing is known.
    assert!(shows(&sights, 1, &[(Field::IP_SRC, 1, ALL)]));
    assert!(shows(&sights, 2, &[(Field::REG5, 8, ALL)]));
}

#[test]
fn what_comes_from_the_packet_tells_nothing_and_makes_no_difference() {
    let journey = |address: u128| {
        let mut sights = Sights::new();
        sights.note(TableId(0), &key(&[(Field::REG3, 4)]));
        sights.moved(&bits(Field::IP_SRC, 0, 32), &bits(Field::REG0, 0, 32));
        sights.moved(&bits(Field::REG0, 0, 8), &bits(Field::REG1, 8, 8));
        sights.moved(&bits(Field::REG3, 0, 32), &bits(Field::REG2, 0, 32));
        let low = (address & 0xff) << 8;
        let seen = [
            (Field::REG0, address),
            (Field::REG1, low),
            (Field::REG2, 4),
            (Field::REG3, 4),
        ];
        sights.note(TableId(1), &key(&seen));
        sights.vary(&bits(Field::METADATA, 0, 4));
        sights.note(TableId(2), &key(&[(Field::METADATA, 0x50 | address & 0xf)]));
        sights.end();
        sights
    };
    let sights = journey(0x0a00_0001);
    assert_eq!(sights, journey(0x0a00_0002));
    assert!(shows(&sights, 1, &[(Field::REG0, 3, ALL)]));
    assert!(shows(&sights, 1, &[(Field::REG1, 0x300, ALL)]));
    assert!(!shows(&sights, 1, &[(Field::REG1, 0x301, ALL)]));
    assert!(!shows(&sights, 1, &[(Field::REG2, 3, ALL)]));
    assert!(shows(&sights, 2, &[(Field::METADATA, 0x57, 0xff)]));
    assert!(!shows(&sights, 2, &[(Field::METADATA, 0x67, 0xff)]));
}

#[test]
fn of_more_kinds_of_look_ups_than_are_held_nothing_is_known() {
    let mut sights = Sights::new();
    for value in 0..=SIGHTS as u128 {
        assert_eq!(shows(&sights, 0, &[(Field::REG0, 99, ALL)]), value == 0);
        sights.note(TableId(0), &key(&[(Field::REG0, value)]));
    }
    sights.note(TableId(0), &key(&[(Field::REG0, 1)]));
    assert!(shows(&sights, 0, &[(Field::REG0, 99, ALL)]));
    sights.clear();
    sights.note(TableId(0), &key(&[(Field::REG0, 1)]));
    assert!(!shows(&sights, 0, &[(Field::REG0, 99, ALL)]));
}

#[test]
fn of_connections_it_is_told_whether_they_are_new() {
    let seen = |state, zone| {
        let mut sights = Sights::new();
        let ct = [
            (Field::CT_STATE, state),
            (Field::CT_ZONE, zone),
            (Field::CT_NW_PROTO, 6),
        ];
        sights.note(TableId(1), &key(&ct));
        sights.end();
        sights
    };
    let sights = seen(0x22, 5);
    assert!(!shows(&sights, 1, &[(Field::CT_STATE, 0x21, 0x3f)]));
    assert!(!shows(&sights, 1, &[(Field::CT_STATE, 0x20, 0x22)]));
    // Neither the direction nor what was translated, nor the zone, makes a difference.
    assert_eq!(sights, seen(0xea, 6));
    assert!(shows(
        &sights,
        1,
        &[(Field::CT_STATE, 0x2a, 0x2a), (Field::CT_ZONE, 9, 0xffff)]
    ));
}

const FIELDS: [Field; 4] = [Field::METADATA, Field::REG0, Field::REG5, Field::CT_STATE];

proptest! {
    /// What is not shown no look-up matches; what is shown some look-up matches, in as much as is told.
    #[test]
    fn sights_are_the_look_ups(
        look_ups in prop::collection::vec((0..4_u8, prop::collection::vec((0..4_usize, 0..4_u128), 0..4)), 1..14),
        rules in prop::collection::vec(prop::collection::vec((0..4_usize, 0..4_u128, 1..4_u128), 0..4), 1..20),
    ) {
        let mut sights = Sights::new();
        let keys: Vec<_> = look_ups
            .iter()
            .map(|(table, written)| {
                let written: Vec<_> = written.iter().map(|&(at, value)| (FIELDS[at], value)).collect();
                let key = key(&written);
                sights.note(TableId(*table), &key);
                (*table, key)
            })
            .collect();
        sights.end();
        for terms in rules {
            let terms: Vec<_> = terms.iter().map(|&(at, value, mask)| (FIELDS[at], value & mask, mask)).collect();
            let (shape, values) = rule(&terms);
            for table in 0..4 {
                let mut of_table = keys.iter().filter(|(other, _)| *other == table).peekable();
                let expected = of_table.peek().is_none() || of_table.any(|(_, key)| shape.covers(&values, key));
                prop_assert_eq!(sights.may_show(TableId(table), &shape, &values), expected);
                let asked = Asked::of(&shape, &values);
                let held = sights.may_show_asked(TableId(table), &asked);
                prop_assert!(held || !expected);
                prop_assert!(held == expected || shape.len() > TERMS);
            }
        }
    }
}
