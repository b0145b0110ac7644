use super::*;
use crate::classifier::HashSecret;

const MAC: u64 = 0x0200_0000_0001;
const FIRST: PortIndex = PortIndex(1);
const SECOND: PortIndex = PortIndex(2);

fn table() -> MacTable {
    let mut table = MacTable::new(HashSecret(7));
    table.tell_others();
    table
}

fn carry(from: &mut MacTable, to: &mut MacTable) -> usize {
    let mut carried = 0;
    while let Some(news) = from.take_news() {
        to.hear(&news);
        carried += 1;
    }
    carried
}

fn seconds(seconds: u64) -> Tick {
    Tick::from_millis(1_000_000 + seconds * 1000)
}

fn port_of(table: &MacTable, now: Tick) -> Option<PortIndex> {
    table.find(MAC, 5, now).map(|(port, _)| port)
}

#[test]
fn others_hear_of_what_is_new_and_of_what_moved_and_of_nothing_else() {
    let (mut here, mut there) = (table(), table());
    here.learn(MAC, 5, FIRST, seconds(0));
    here.learn(MAC, 5, FIRST, seconds(1));
    assert_eq!(carry(&mut here, &mut there), 1);
    assert_eq!(port_of(&there, seconds(1)), Some(FIRST));
    here.learn(MAC, 5, SECOND, seconds(2));
    assert_eq!(carry(&mut here, &mut there), 1);
    assert_eq!(port_of(&there, seconds(2)), Some(SECOND));
    assert_eq!(
        carry(&mut there, &mut here),
        0,
        "what was heard is not told on"
    );
}

#[test]
fn whoever_saw_it_last_is_right() {
    let (mut here, mut there) = (table(), table());
    here.learn(MAC, 5, FIRST, seconds(0));
    there.learn(MAC, 5, SECOND, seconds(1));
    carry(&mut here, &mut there);
    carry(&mut there, &mut here);
    assert_eq!(port_of(&here, seconds(1)), Some(SECOND));
    assert_eq!(port_of(&there, seconds(1)), Some(SECOND));
}

#[test]
fn what_is_used_on_one_lcore_ages_on_none() {
    let (mut here, mut there) = (table(), table());
    for second in (0..2_000).step_by(10) {
        here.learn(MAC, 5, FIRST, seconds(second));
        here.remind(seconds(second), CAPACITY);
        carry(&mut here, &mut there);
        assert_eq!(port_of(&there, seconds(second)), Some(FIRST));
    }
    let later = seconds(1_990) + super::super::MAC_AGEING + Duration::from_secs(1);
    assert_eq!(port_of(&there, later), None);
    here.remind(later, CAPACITY);
    assert_eq!(here.take_news(), None, "what is not used is not told of");
}

#[test]
fn a_move_makes_what_was_remembered_of_a_place_void() {
    let (mut here, mut there) = (table(), table());
    there.learn(MAC, 5, FIRST, seconds(0));
    let place = there.learn(MAC, 5, FIRST, seconds(0)).expect("it is known");
    here.learn(MAC, 5, FIRST, seconds(1));
    carry(&mut here, &mut there);
    assert!(there.stands(place));
    here.learn(MAC, 5, SECOND, seconds(2));
    carry(&mut here, &mut there);
    assert!(!there.stands(place));
}
