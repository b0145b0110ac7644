use crate::classifier::HashSecret;
use crate::flow_mod::{Command, FlowMod};
use crate::flow_tables::FlowTables;
use weir_packet::Tick;

#[test]
fn a_snapshot_keeps_the_rules_it_was_made_with() {
    let mut tables = FlowTables::new(1, HashSecret(1));
    let add = FlowMod::default();
    tables
        .apply(std::slice::from_ref(&add), Tick::ZERO)
        .unwrap();
    let before = tables.snapshot(&std::sync::Arc::default());
    let slot = tables.select(&FlowMod {
        command: Command::Delete,
        ..add.clone()
    })[0]
        .id
        .slot;
    assert_eq!(
        before.rules.rule(slot).map(|rule| rule.priority),
        Some(add.priority)
    );
    tables
        .apply(
            &[FlowMod {
                command: Command::Delete,
                ..add
            }],
            Tick::ZERO,
        )
        .unwrap();
    let after = tables.snapshot(&std::sync::Arc::default());
    assert!(after.rules.rule(slot).is_none());
    assert!(before.rules.rule(slot).is_some());
    assert!(before.rules.rule(1_000_000).is_none());
}
