use weir_tables::classifier::HashSecret;
use weir_tables::flow_tables::FlowTables;

use super::*;

#[test]
fn a_snapshot_is_obeyed_then_handed_back_and_freed_by_the_publisher() {
    let mut tables = FlowTables::new(1, HashSecret(1));
    let mut next = || Arc::new(tables.snapshot(&Arc::default()));
    let first = next();
    let (publisher, mut reader) = pair(&first);
    assert!(reader.newer().is_none());
    publisher.publish(next());
    publisher.publish(next());
    assert_eq!(publisher.oldest_generation(), first.generation);
    let newest = reader.newer().expect("two were published");
    assert_eq!(newest.generation, first.generation + 2);
    let held = Arc::downgrade(&first);
    reader.retire(first, newest.generation);
    assert!(held.upgrade().is_some(), "the lcore does not free it");
    assert!(reader.newer().is_none());
    assert_eq!(publisher.oldest_generation(), newest.generation);
    assert!(held.upgrade().is_none(), "the management thread does");
}

#[test]
fn no_snapshot_is_lost_or_freed_early_under_load() {
    const CHANGES: u64 = 20_000;
    let mut tables = FlowTables::new(1, HashSecret(1));
    let first = Arc::new(tables.snapshot(&Arc::default()));
    let (publisher, mut reader) = pair(&first);
    let lcore = std::thread::spawn(move || {
        let mut obeyed = first;
        while obeyed.generation <= CHANGES {
            if let Some(newer) = reader.newer() {
                assert!(newer.generation > obeyed.generation);
                let generation = newer.generation;
                reader.retire(std::mem::replace(&mut obeyed, newer), generation);
            }
        }
    });
    for _ in 0..CHANGES {
        publisher.publish(Arc::new(tables.snapshot(&Arc::default())));
        let oldest = publisher.oldest_generation();
        assert!(oldest <= CHANGES + 1);
    }
    lcore.join().expect("generations only grow");
    assert_eq!(publisher.oldest_generation(), CHANGES + 1);
}
