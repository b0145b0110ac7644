use proptest::prelude::*;

use super::*;

const OVER: PortIndex = PortIndex(1);
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 7];
const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 8];

fn ip(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

fn at(seconds: u64) -> Tick {
    Tick::from_millis(1_000_000 + seconds * 1_000)
}

fn table() -> Neighbours {
    Neighbours::new(HashSecret(3), true)
}

fn claim(mac: [u8; 6]) -> Claim {
    Claim {
        ip: ip(7),
        mac,
        is_answer: true,
        overrides: true,
    }
}

fn place(hop: NextHop) -> NeighbourPlace {
    match hop {
        NextHop::Known { place, .. } => place,
        NextHop::Unknown { .. } => panic!("it is not known"),
    }
}

#[test]
fn who_was_not_asked_for_is_not_learned() {
    let mut table = table();
    table.learn(OVER, claim(MAC), at(0));
    assert_eq!(table.entries(at(0)).count(), 0);
    assert_eq!(
        table.next_hop(OVER, ip(7), at(0)),
        NextHop::Unknown { ask: true }
    );
    assert_eq!(
        table.next_hop(OVER, ip(7), at(0)),
        NextHop::Unknown { ask: false }
    );
    // The same address behind another port is somebody else.
    table.learn(PortIndex(2), claim(MAC), at(0));
    assert_eq!(
        table.next_hop(OVER, ip(7), at(1)),
        NextHop::Unknown { ask: true }
    );
    table.learn(OVER, claim(MAC), at(1));
    assert!(matches!(
        table.next_hop(OVER, ip(7), at(1)),
        NextHop::Known {
            mac: MAC,
            ask: false,
            ..
        }
    ));
}

#[test]
fn a_place_stands_until_it_has_to_be_asked_or_is_another() {
    let mut table = table();
    table.next_hop(OVER, ip(7), at(0));
    table.learn(OVER, claim(MAC), at(0));
    let known = place(table.next_hop(OVER, ip(7), at(0)));
    assert!(table.stands(known, at(29)));
    assert!(!table.stands(known, at(30)));
    let again = table.next_hop(OVER, ip(7), at(30));
    assert!(matches!(again, NextHop::Known { ask: true, .. }));
    // For a second nobody else need ask.
    assert!(table.stands(known, at(30)));
    assert!(!table.stands(known, at(31)));
    table.learn(OVER, claim(MAC), at(31));
    assert!(table.stands(known, at(60)));
    table.learn(OVER, claim(OTHER), at(60));
    assert!(!table.stands(known, at(60)));
    assert!(table.stands(NeighbourPlace::STATIC, at(60)));
}

#[test]
fn that_somebody_sends_does_not_say_that_he_hears() {
    let mut table = table();
    table.next_hop(OVER, ip(7), at(0));
    table.learn(OVER, claim(MAC), at(0));
    let asks = Claim {
        is_answer: false,
        ..claim(MAC)
    };
    table.learn(OVER, asks, at(20));
    let known = place(table.next_hop(OVER, ip(7), at(20)));
    assert!(!table.stands(known, at(30)));
}

#[test]
fn without_tunnels_nobody_is_known() {
    let mut table = Neighbours::new(HashSecret(3), false);
    assert_eq!(
        table.next_hop(OVER, ip(7), at(0)),
        NextHop::Unknown { ask: false }
    );
    table.learn(OVER, claim(MAC), at(0));
    assert_eq!(table.entries(at(0)).count(), 0);
}

#[test]
fn a_port_has_its_devices_address_or_one_of_its_own() {
    let mut table = table();
    assert_eq!(
        table.own_mac(PortIndex(0x102)),
        [0x02, 0x77, 0x65, 0x69, 1, 2]
    );
    table.set_macs(vec![MAC]);
    assert_eq!(table.own_mac(PortIndex(0)), MAC);
}

proptest! {
    /// A place that stands names the MAC address that it named before, however many come and go.
    #[test]
    fn a_place_that_stands_is_the_same(
        steps in prop::collection::vec((0..4_u8, any::<u8>(), 1..9_u8, 0..40_u64), 0..300),
    ) {
        let mut table = table();
        let mut now = 0;
        let mut known: Vec<(NeighbourPlace, IpAddr, [u8; 6])> = Vec::new();
        for (what, who, mac, pause) in steps {
            now += pause / 10;
            let mac = [2, 0, 0, 0, 0, mac];
            if what == 0 {
                let claim = Claim { ip: ip(who), ..claim(mac) };
                table.learn(OVER, claim, at(now));
            } else if let NextHop::Known { mac, place, .. } = table.next_hop(OVER, ip(who % 16), at(now)) {
                known.push((place, ip(who % 16), mac));
            }
            let there: Vec<_> = known
                .iter()
                .filter(|(place, ..)| table.stands(*place, at(now)))
                .copied()
                .collect();
            for (_, ip, mac) in there {
                let is_known = matches!(
                    table.next_hop(OVER, ip, at(now)),
                    NextHop::Known { mac: now, ask: false, .. } if now == mac
                );
                prop_assert!(is_known);
            }
        }
    }
}
