use std::time::Duration;

use weir_packet::Tick;

use super::*;

const A: u64 = 0x0200_0000_000a;

fn at(seconds: u64) -> Tick {
    Tick::from_millis(seconds * 1000)
}

fn port(table: &MacTable, mac: u64, vlan: u16, now: Tick) -> Option<PortIndex> {
    table.find(mac, vlan, now).map(|(port, _)| port)
}

#[test]
fn a_place_stands_until_its_address_moves_or_goes() {
    let mut table = MacTable::new(HashSecret(1));
    assert_eq!(table.learn(A, 10, PortIndex(3), at(0)), None, "new");
    let known = table.learn(A, 10, PortIndex(3), at(1)).expect("known");
    assert_eq!(table.find(A, 10, at(1)), Some((PortIndex(3), known)));
    assert!(table.is_young(known, at(301)));
    assert!(
        !table.is_young(known, at(302)) && table.stands(known),
        "old"
    );
    table.refresh(known, at(302));
    assert!(table.is_young(known, at(302)));
    assert_eq!(table.learn(A, 10, PortIndex(4), at(303)), None, "moved");
    assert!(!table.stands(known));
    let known = table.learn(A, 10, PortIndex(4), at(303)).expect("known");
    table.flush();
    assert!(!table.stands(known));
}

#[test]
fn the_address_of_all_zeros_is_one_like_others() {
    let mut table = MacTable::new(HashSecret(1));
    assert_eq!(port(&table, 0, 0, at(0)), None);
    table.learn(0, 0, PortIndex(3), at(0));
    assert_eq!(port(&table, 0, 0, at(0)), Some(PortIndex(3)));
    assert_eq!(table.entries(at(0)).count(), 1);
}

#[test]
fn an_address_is_found_in_its_vlan_until_it_ages() {
    let mut table = MacTable::new(HashSecret(1));
    table.learn(A, 10, PortIndex(3), at(0));
    assert_eq!(port(&table, A, 10, at(300)), Some(PortIndex(3)));
    assert_eq!(port(&table, A, 11, at(0)), None);
    assert_eq!(port(&table, A, 10, at(301)), None);
    assert_eq!(table.entries(at(301)).count(), 0);
}

#[test]
fn an_address_that_moves_is_found_at_its_new_port() {
    let mut table = MacTable::new(HashSecret(1));
    table.learn(A, 0, PortIndex(1), at(0));
    table.learn(A, 0, PortIndex(2), at(1));
    assert_eq!(port(&table, A, 0, at(1)), Some(PortIndex(2)));
    let entries: Vec<_> = table.entries(at(4)).collect();
    let age = Duration::from_secs(3);
    assert_eq!(
        entries,
        [MacEntry {
            mac: [2, 0, 0, 0, 0, 0xa],
            vlan: 0,
            port: PortIndex(2),
            age
        }]
    );
}

#[test]
fn a_flood_of_addresses_keeps_the_newest_and_the_used() {
    let mut table = MacTable::new(HashSecret(1));
    table.learn(A, 0, PortIndex(0), at(0));
    for n in 0..100_000 {
        table.learn(0x0200_1000_0000 + n, 0, PortIndex(1), at(1));
        if n % 64 == 0 {
            table.learn(A, 0, PortIndex(0), at(2));
        }
    }
    assert_eq!(port(&table, A, 0, at(2)), Some(PortIndex(0)));
    assert_eq!(
        port(&table, 0x0200_1000_0000 + 99_999, 0, at(2)),
        Some(PortIndex(1))
    );
    assert!(table.entries(at(2)).count() <= CAPACITY);
    table.flush();
    assert_eq!(table.entries(at(2)).count(), 0);
}
