//! What lcores obey: an immutable version of all tables and ports.
//!
//! The management thread makes the next snapshot, publishes it and retires the old one; an
//! lcore takes the newest once per poll. A snapshot shares with its predecessor all that did
//! not change.

use std::sync::Arc;

use crate::action::TableId;
use crate::cache::Interest;
use crate::changes::ChangeLog;
use crate::classifier::Classifier;
use crate::counters::RuleCounters;
use crate::group::GroupTable;
use crate::port::PortTable;
use crate::slot_table::SlotTable;
use crate::tunnel::options::TlvMap;

/// One version of the policy.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts versions, from 1.
    pub generation: u64,
    /// By table number; `None`: no rules.
    pub tables: Vec<Option<Arc<Classifier>>>,
    /// The groups.
    pub groups: GroupTable,
    /// The ports.
    pub ports: Arc<PortTable>,
    /// Which Geneve options are which fields.
    pub options: Arc<TlvMap>,
    /// The rules, by slot.
    pub rules: SlotTable,
    /// What changed lately.
    pub changes: ChangeLog,
    /// Which bits of packets anything in it, or before it, reads.
    pub interest: Interest,
    /// Whether anything in it, or before it, gives connections helpers.
    pub helpers: bool,
    /// Where each lcore counts for the rules.
    pub counters: Arc<[RuleCounters]>,
}

impl Snapshot {
    /// The rules of `table`, if there are any.
    #[inline]
    pub fn table(&self, table: TableId) -> Option<&Classifier> {
        self.tables.get(usize::from(table.0))?.as_deref()
    }
}
