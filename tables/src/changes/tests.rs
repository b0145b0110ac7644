use std::sync::Arc;

use weir_packet::Tick;

use super::*;
use crate::classifier::HashSecret;
use crate::field::Field;
use crate::flow_mod::{Command, FlowMod};
use crate::flow_tables::FlowTables;
use crate::snapshot::Snapshot;

/// A flow of `table` for one value of `metadata`.
fn flow(table: u8, metadata: u128) -> FlowMod {
    let mut flow = FlowMod {
        table: Some(TableId(table)),
        ..FlowMod::default()
    };
    flow.matches.set_exact(Field::METADATA, metadata);
    flow
}

fn snapshot(tables: &mut FlowTables, change: FlowMod) -> Snapshot {
    tables.apply(&[change], Tick::ZERO).unwrap();
    tables.snapshot(&Arc::default())
}

struct Entry {
    tables: TableSet,
    key: FlowKey,
    mask: FlowKey,
}

impl Entry {
    /// An entry that passed table 1 and knows `metadata`.
    fn new(metadata: u128) -> Self {
        let mut entry = Self {
            tables: TableSet::default(),
            key: FlowKey::ZERO,
            mask: FlowKey::ZERO,
        };
        entry.tables.insert(TableId(1));
        entry.key.set_field(Field::METADATA, metadata);
        entry.mask.set_field(Field::METADATA, u128::MAX);
        entry
    }

    fn is_concerned(&self, snapshot: &Snapshot, since: u64) -> bool {
        let Self { tables, key, mask } = self;
        snapshot.changes.concerns(
            since,
            Known {
                tables,
                groups: &[],
                key,
                mask,
            },
        )
    }
}

#[test]
fn only_what_can_match_in_a_table_that_was_passed_concerns_an_entry() {
    let mut tables = FlowTables::new(1, HashSecret(1));
    let first = snapshot(&mut tables, flow(0, 9)).generation;
    let entry = Entry::new(5);
    let other_table = snapshot(&mut tables, flow(2, 5));
    assert!(!entry.is_concerned(&other_table, first));
    let other_metadata = snapshot(&mut tables, flow(1, 6));
    assert!(!entry.is_concerned(&other_metadata, first));
    let same = snapshot(&mut tables, flow(1, 5));
    assert!(entry.is_concerned(&same, first));
    assert!(!entry.is_concerned(&same, same.generation));
}

#[test]
fn bits_that_are_not_known_may_match() {
    let mut tables = FlowTables::new(1, HashSecret(1));
    let first = snapshot(&mut tables, flow(0, 9)).generation;
    let mut entry = Entry::new(5);
    entry.mask = FlowKey::ZERO;
    let change = snapshot(&mut tables, flow(1, 6));
    assert!(entry.is_concerned(&change, first));
}

#[test]
fn deleting_and_modifying_are_changes_too() {
    let mut tables = FlowTables::new(1, HashSecret(1));
    let first = snapshot(&mut tables, flow(1, 5)).generation;
    let entry = Entry::new(5);
    let modified = FlowMod {
        command: Command::ModifyStrict,
        ..flow(1, 5)
    };
    let second = snapshot(&mut tables, modified);
    assert!(entry.is_concerned(&second, first));
    let deleted = FlowMod {
        command: Command::Delete,
        ..flow(1, 5)
    };
    let third = snapshot(&mut tables, deleted);
    assert!(entry.is_concerned(&third, second.generation));
}

#[test]
fn what_was_forgotten_concerns_everybody() {
    let mut tables = FlowTables::new(1, HashSecret(1));
    let first = snapshot(&mut tables, flow(0, 0)).generation;
    let entry = Entry::new(5);
    let mut last = snapshot(&mut tables, flow(2, 0));
    for metadata in 0..ChangeLog::CAPACITY as u128 {
        last = snapshot(&mut tables, flow(2, metadata));
    }
    assert!(entry.is_concerned(&last, first));
    assert!(!entry.is_concerned(&last, last.generation - 1));
}
