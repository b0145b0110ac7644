use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn meta(port: u16, id: u64, meta: u64) -> Meta {
    let mut words = [0; WORDS];
    (words[0], words[META]) = (id, meta);
    Meta {
        port: PortIndex(port),
        words,
        options: OptionWords::NONE,
        number: 0,
    }
}

fn ingress() -> Ingress {
    Ingress::new(HashSecret(7), true, 4)
}

proptest! {
    /// A number stands for one thing, and while there is room for all each has one.
    #[test]
    fn numbers_are_for_ever(all in prop::collection::vec((0..3_u16, 0..9_u64, 0..3_u64), 0..200)) {
        let mut ingress = ingress();
        let mut model: HashMap<u32, Meta> = HashMap::new();
        for (port, id, tos) in all {
            let one = meta(port, id, tos);
            let number = ingress.number(&one, VARYING);
            prop_assert!(number != 0);
            prop_assert_eq!(*model.entry(number).or_insert(one), one);
            prop_assert_eq!(ingress.number(&one, VARYING), number);
        }
    }
}

#[test]
fn what_nobody_reads_makes_no_difference() {
    let mut ingress = ingress();
    let (left, right) = (meta(1, 5, 0x1_0102), meta(1, 5, 0x1_0203));
    assert_eq!(ingress.number(&left, 0), ingress.number(&right, 0));
    assert_ne!(ingress.number(&left, 0xff), ingress.number(&right, 0xff));
    let same_tos = meta(1, 5, 0x1_0902);
    assert_eq!(ingress.number(&left, 0xff), ingress.number(&same_tos, 0xff));
    // Flags always count.
    let other = meta(1, 5, 0x0_0102);
    assert_ne!(ingress.number(&left, 0), ingress.number(&other, 0));
}

#[test]
fn one_that_lost_its_place_gets_another_number() {
    let mut ingress = ingress();
    let first = ingress.number(&meta(1, 0, 0), 0);
    for id in 1..100_000 {
        ingress.number(&meta(1, id, 0), 0);
    }
    assert!(ingress.number(&meta(1, 0, 0), 0) > first);
}

#[test]
fn when_all_numbers_were_given_there_is_none_until_trajectories_are_gone() {
    let mut ingress = ingress();
    ingress.last = MAX_NUMBER - 1;
    let known = meta(1, 1, 0);
    assert_eq!(ingress.number(&known, 0), MAX_NUMBER);
    assert!(ingress.is_used_up());
    assert_eq!(ingress.number(&meta(1, 2, 0), 0), 0);
    assert_eq!(ingress.number(&known, 0), MAX_NUMBER);
    ingress.start_again();
    assert_eq!(ingress.number(&meta(1, 2, 0), 0), 1);
}

#[test]
fn without_tunnels_there_are_no_numbers() {
    let mut ingress = Ingress::new(HashSecret(7), false, 4);
    assert_eq!(ingress.number(&meta(1, 2, 0), 0), 0);
}
