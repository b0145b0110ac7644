use std::sync::Arc;

use super::*;

fn group(id: u32) -> Arc<Group> {
    Arc::new(Group {
        spec: GroupSpec {
            id,
            kind: GroupType::All,
            selection: Selection::default(),
            buckets: Vec::new(),
        },
        counters: RuleId {
            slot: 0,
            generation: 0,
        },
        parts: Box::default(),
        options: Box::default(),
        created: Tick::ZERO,
    })
}

#[test]
fn a_change_among_ten_thousand_groups_copies_one_shard() {
    let mut table = GroupTable::default();
    for id in (0..10_000).map(|number| number * 7) {
        assert!(table.insert(group(id)).is_none());
    }
    assert_eq!(table.iter().count(), 10_000);
    let published = table.clone();
    let before = published.shards();
    assert!(table.insert(group(77)).is_some());
    assert!(table.remove(700).is_some());
    assert!(table.remove(701).is_none());
    let after = table.shards();
    let changed = before.iter().zip(&after).filter(|(a, b)| a != b).count();
    assert_eq!(changed, 2);
    assert!(published.get(700).is_some() && table.get(700).is_none());
    assert!(table.get(77).is_some());
}
