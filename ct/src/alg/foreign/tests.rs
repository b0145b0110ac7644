//! What others are told, and when it is heard.

use weir_packet::{IpPair, Tick, Tuple};

use super::{Foreign, MOST_UNHEARD, Met, Others, Told};
use crate::key::Key;
use crate::owner::ShardId;

const NOW: Tick = Tick::from_millis(1_000);

fn key(port: u16) -> Key {
    let ip = IpPair::V4 {
        src: [192, 0, 2, 9].into(),
        dst: [10, 0, 0, 5].into(),
    };
    let tuple = Tuple {
        ip,
        protocol: 6,
        src_port: 0,
        dst_port: port,
    };
    Key::new(&tuple, 0)
}

fn foreign(port: u16, from: u16, number: u64) -> Told {
    Told::Expected(Foreign {
        key: key(port),
        nat: None,
        parent: Key::NONE,
        mark: 7,
        label: 0,
        deadline: Tick::from_millis(2_000),
        from: ShardId(from),
        number,
    })
}

fn numbers(others: &Others, port: u16) -> Option<(u16, u64)> {
    let found = others.find(&key(port), NOW)?;
    Some((found.from.0, found.number))
}

#[test]
fn what_was_told_is_known_until_it_is_over() {
    let mut others = Others::new(ShardId(0), 3, 8);
    others.hear(ShardId(1), &foreign(40_000, 1, 5));
    assert_eq!(numbers(&others, 40_000), Some((1, 5)));
    assert_eq!(
        others
            .find(&key(40_000), Tick::from_millis(2_000))
            .map(|it| it.mark),
        None
    );
    // Of an earlier one with this key, or of another lcore's.
    for (from, number) in [(1, 4), (2, 5)] {
        let key = key(40_000);
        others.hear(ShardId(from), &Told::Over { key, number });
        assert_eq!(numbers(&others, 40_000), Some((1, 5)));
    }
    let key = key(40_000);
    others.hear(ShardId(1), &Told::Over { key, number: 5 });
    assert_eq!(numbers(&others, 40_000), None);
}

#[test]
fn the_later_of_two_lcores_is_known() {
    let mut others = Others::new(ShardId(0), 3, 8);
    others.hear(ShardId(1), &foreign(40_000, 1, 5));
    others.hear(ShardId(2), &foreign(40_000, 2, 9));
    assert_eq!(numbers(&others, 40_000), Some((2, 9)));
    let key = key(40_000);
    others.hear(ShardId(1), &Told::Over { key, number: 5 });
    assert_eq!(numbers(&others, 40_000), Some((2, 9)));
}

#[test]
fn what_is_met_is_gone_and_told_once() {
    let mut others = Others::new(ShardId(0), 2, 8);
    others.hear(ShardId(1), &foreign(40_000, 1, 5));
    assert!(others.can_meet() && others.is_quiet());
    others.meet(Met {
        key: key(40_000),
        from: ShardId(1),
        number: 5,
    });
    assert_eq!(numbers(&others, 40_000), None);
    assert!(!others.is_quiet());
    assert_eq!(others.next_met().map(|met| met.number), Some(5));
    assert!(others.next_met().is_none() && others.is_quiet());
}

/// News are heard in order, and as much as the slowest has.
#[test]
fn all_have_heard_what_the_slowest_has() {
    let mut others = Others::new(ShardId(1), 3, 64);
    let news: Vec<u64> = (0..20).map(|port| others.note(key(port), 1)).collect();
    let mut rooms = [Vec::new(), Vec::new()];
    let mut told = 0;
    while let Some(next) = others.next_news() {
        assert_eq!(next.key.tuple().dst_port, told);
        told += 1;
        for rooms in &mut rooms {
            let over = Told::Over {
                key: next.key,
                number: 1,
            };
            rooms.push(others.boxed(over).expect("as many as there are lcores"));
        }
    }
    assert_eq!(usize::from(told), MOST_UNHEARD, "no more is under way");
    let [first, last] = rooms;
    for room in first {
        others.heard(ShardId(0), room);
    }
    assert!(!others.is_heard(news[0]), "the other has not");
    for (room, news) in last.into_iter().zip(&news) {
        assert!(!others.is_heard(*news));
        others.heard(ShardId(2), room);
        assert!(others.is_heard(*news));
    }
    assert!(others.next_news().is_some(), "there is room for the rest");
}

/// Room is kept for the end of each.
#[test]
fn there_is_room_to_tell_every_end() {
    let mut others = Others::new(ShardId(0), 2, 4);
    let mut own = 0;
    while others.has_room(own) && own < 4 {
        others.note(key(own as u16), own as u64);
        own += 1;
    }
    while others.has_room(own) {
        others.note(key(0), 0);
    }
    for end in 0..own {
        others.note(key(end as u16), end as u64);
    }
    assert!(!others.has_room(0));
}
