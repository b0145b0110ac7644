use std::sync::Arc;
use std::time::Duration;

use super::*;

#[test]
fn a_version_is_obeyed_then_let_go_of_and_freed_by_the_publisher() {
    let first = Arc::new("first");
    let (mut publisher, mut reader) = pair(&first, 1, 0);
    assert!(reader.newer().is_none());
    let unseen = Arc::new("unseen");
    let unseen_held = Arc::downgrade(&unseen);
    publisher.publish(unseen, 2);
    publisher.publish(Arc::new("third"), 3);
    assert!(unseen_held.upgrade().is_none(), "nobody can look at it");
    assert_eq!(
        publisher.retire(),
        Obeyed {
            generation: 1,
            at: 0
        }
    );
    assert_eq!(publisher.waiting(), 1);

    let (generation, third) = reader.newer().expect("two were published");
    assert_eq!((generation, *third), (3, "third"));
    let held = Arc::downgrade(&first);
    reader.retire(first, generation, 70);
    assert!(held.upgrade().is_some(), "the lcore does not free it");
    assert!(reader.newer().is_none());
    assert_eq!(
        publisher.retire(),
        Obeyed {
            generation: 3,
            at: 70
        }
    );
    assert!(held.upgrade().is_none(), "the management thread does");
    assert_eq!(publisher.waiting(), 0);
}

#[test]
fn an_lcore_that_stands_still_holds_up_two_versions_at_most() {
    let (mut publisher, reader) = pair(&Arc::new(1), 1, 0);
    for generation in 2..10 {
        publisher.publish(Arc::new(generation), generation);
        assert_eq!(publisher.waiting(), 1);
    }
    // It has taken one, and stops before it says so.
    let taken = reader.newer().expect("there is a newer one");
    for generation in 10..20 {
        publisher.publish(Arc::new(generation), generation);
        assert_eq!(publisher.waiting(), 2);
    }
    assert_eq!(taken, (9, Arc::new(9)));
}

#[test]
fn no_version_is_lost_or_freed_early_under_load() {
    const CHANGES: u64 = 50_000;
    let first = Arc::new(1);
    let (mut publisher, mut reader) = pair(&first, 1, 0);
    let lcore = std::thread::spawn(move || {
        let mut obeyed = first;
        while *obeyed <= CHANGES {
            if let Some((generation, newer)) = reader.newer() {
                assert!(*newer > *obeyed && *newer == generation);
                let before = std::mem::replace(&mut obeyed, newer);
                assert!(Arc::strong_count(&before) > 1, "the publisher has it, too");
                reader.retire(before, generation, generation);
            }
        }
    });
    let mut oldest = 1;
    for generation in 2..=CHANGES + 1 {
        publisher.publish(Arc::new(generation), generation);
        assert!(publisher.waiting() <= 2);
        let obeyed = publisher.retire();
        assert!((oldest..=generation).contains(&obeyed.generation));
        assert!(obeyed.generation == 1 || obeyed.at >= obeyed.generation);
        oldest = obeyed.generation;
    }
    lcore.join().expect("generations only grow");
    assert_eq!(publisher.retire().generation, CHANGES + 1);
    assert_eq!(publisher.waiting(), 0);
}

#[test]
fn a_grace_period_ends_with_the_last_lcore() {
    let micros = Duration::from_micros;
    let obeyed = |generation, at| Obeyed { generation, at };
    let mut times = GraceTimes::default();
    times.published(2, 100);
    times.obeyed([obeyed(2, 103), obeyed(1, 7)].into_iter(), micros);
    assert_eq!(times.grace(), Grace::default(), "one has not taken it up");
    times.obeyed([obeyed(2, 103), obeyed(2, 140)].into_iter(), micros);
    times.published(3, 200);
    // One CPU's counter lies behind.
    times.obeyed([obeyed(3, 199), obeyed(3, 198)].into_iter(), micros);
    let grace = times.grace();
    assert_eq!(
        (grace.count(), grace.sum, grace.longest),
        (2, micros(40), micros(40))
    );
    let classes: Vec<_> = grace
        .counts
        .iter()
        .enumerate()
        .filter(|(_, count)| **count > 0)
        .collect();
    assert_eq!(
        classes,
        [(0, &1), (4, &1)],
        "up to 1 and up to 50 microseconds"
    );
}

#[test]
fn what_is_longer_than_all_bounds_is_counted() {
    let mut times = GraceTimes::default();
    times.published(1, 0);
    let late = Obeyed {
        generation: 1,
        at: 3,
    };
    times.obeyed(std::iter::once(late), Duration::from_secs);
    assert_eq!(times.grace().counts[GRACE_BOUNDS.len()], 1);
    assert_eq!(times.grace().longest, Duration::from_secs(3));
}
