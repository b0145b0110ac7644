//! What changed between snapshots, so that a cache can keep what a change cannot concern.
//!
//! The log is bounded: of older changes only their having been remains, and who needs to know
//! them has to assume the worst.
//!
//! Threads: written by the management thread, read by lcores as part of a snapshot.
//! Cost: a check visits the changes since the entry was last checked, each once.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::action::TableId;
use crate::classifier::MaskShape;
use crate::field::Field;
use crate::key::FlowKey;
use crate::rule::Rule;

#[cfg(test)]
mod tests;

/// Changes that are remembered.
const CAPACITY: usize = 256;

/// A set of tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TableSet([u64; 4]);

impl TableSet {
    /// Adds `table`.
    pub const fn insert(&mut self, table: TableId) {
        self.0[table.0 as usize / 64] |= 1 << (table.0 % 64);
    }

    /// Adds all of `other`.
    pub const fn insert_all(&mut self, other: &Self) {
        let mut at = 0;
        while at < self.0.len() {
            self.0[at] |= other.0[at];
            at += 1;
        }
    }

    /// Whether `table` is in the set.
    pub const fn contains(&self, table: TableId) -> bool {
        self.0[table.0 as usize / 64] & 1 << (table.0 % 64) != 0
    }
}

/// Something that came, went, or acts differently.
#[derive(Clone, Debug)]
struct Change {
    /// The first snapshot with the change.
    generation: u64,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Rule {
        table: TableId,
        shape: Arc<MaskShape>,
        values: Box<[u64]>,
    },
    Group(u32),
}

/// The latest changes, oldest first.
#[derive(Clone, Debug, Default)]
pub struct ChangeLog {
    changes: VecDeque<Arc<Change>>,
    /// The newest generation of which a change was forgotten.
    forgotten: u64,
}

/// What a cache knows of the packets that an entry stands for.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The tables that were passed.
    pub tables: &'a TableSet,
    /// The groups that were passed.
    pub groups: &'a [u32],
    /// The key's bits, as the pass began.
    pub key: &'a FlowKey,
    /// Which of them are known, and were not written by an action.
    pub mask: &'a FlowKey,
}

impl ChangeLog {
    /// Notes that `rule` came, went, or acts differently from snapshot `generation` on.
    pub(crate) fn note(&mut self, rule: &Rule, generation: u64) {
        let (mut shape, mut values) = (Arc::clone(&rule.shape), rule.values.clone());
        let mut matches = rule.matches();
        if matches.term(Field::CONJ_ID).1 != 0 {
            // No key tells the conjunction that a packet completes.
            matches.clear(Field::CONJ_ID);
            shape = Arc::new(MaskShape::new(&matches.mask()));
            values = shape.select(&matches.key());
        }
        let table = rule.table;
        let what = What::Rule {
            table,
            shape,
            values,
        };
        self.push(Change { generation, what });
    }

    /// Notes that a group came, went, or chooses or acts differently from snapshot `generation`
    /// on.
    pub(crate) fn note_group(&mut self, id: u32, generation: u64) {
        let what = What::Group(id);
        self.push(Change { generation, what });
    }

    /// Notes that something changed that concerns any packet from snapshot `generation` on.
    pub(crate) fn note_all(&mut self, generation: u64) {
        self.changes.clear();
        self.forgotten = generation;
    }

    fn push(&mut self, change: Change) {
        if self.changes.len() == CAPACITY
            && let Some(oldest) = self.changes.pop_front()
        {
            self.forgotten = oldest.generation;
        }
        self.changes.push_back(Arc::new(change));
    }

    /// Whether any change after snapshot `generation` was in one of `tables` or of `groups`.
    pub fn touch(&self, generation: u64, tables: &TableSet, groups: &[u32]) -> bool {
        generation < self.forgotten
            || self
                .changes
                .iter()
                .rev()
                .take_while(|change| change.generation > generation)
                .any(|change| match &change.what {
                    What::Rule { table, .. } => tables.contains(*table),
                    What::Group(id) => groups.contains(id),
                })
    }

    /// Whether any change after snapshot `generation` may concern packets of which `known` is
    /// known.
    pub fn concerns(&self, generation: u64, known: Known<'_>) -> bool {
        self.concerns_words(generation, known.tables, known.groups, |at| {
            (known.key.word(at), known.mask.word(at))
        })
    }

    /// As [`Self::concerns`], where `word` tells a word of the key and its known bits: only those that a
    /// change asks for.
    pub(crate) fn concerns_words(
        &self,
        generation: u64,
        tables: &TableSet,
        groups: &[u32],
        word: impl Fn(usize) -> (u64, u64),
    ) -> bool {
        if generation < self.forgotten {
            return true;
        }
        let newer = self
            .changes
            .iter()
            .rev()
            .take_while(|change| change.generation > generation);
        newer.into_iter().any(|change| match &change.what {
            What::Rule {
                table,
                shape,
                values,
            } => {
                tables.contains(*table)
                    && shape.pairs().zip(values).all(|((at, mask), required)| {
                        let (value, known) = word(at);
                        (value ^ required) & mask & known == 0
                    })
            }
            What::Group(id) => groups.contains(id),
        })
    }
}
