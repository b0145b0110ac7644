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
use crate::port::PortIndex;
use crate::rule::Rule;

#[cfg(test)]
mod tests;

/// A set of tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TableSet([u64; 4]);

impl TableSet {
    /// None.
    pub const EMPTY: Self = Self([0; 4]);

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

    /// Whether a table is in both sets.
    #[inline]
    pub const fn meets(&self, other: &Self) -> bool {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
        a & e | b & f | c & g | d & h != 0
    }
}

/// Something that came, went, or acts differently.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// The first snapshot with the change.
    pub(crate) generation: u64,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    /// A rule of `table` that matches packets with these values in the bits of the shape.
    Rule {
        table: TableId,
        shape: Arc<MaskShape>,
        values: Box<[u64]>,
    },
    Group(u32),
    /// A port has come to this place, has gone from there, or is configured otherwise.
    Port(PortIndex),
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
    /// Changes that are remembered.
    pub(crate) const CAPACITY: usize = 256;

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

    /// Notes that a port has come to the place `index`, has gone from there, or is configured otherwise from
    /// snapshot `generation` on.
    pub(crate) fn note_port(&mut self, index: PortIndex, generation: u64) {
        let what = What::Port(index);
        self.push(Change { generation, what });
    }

    /// Notes that something changed that concerns any packet from snapshot `generation` on.
    pub(crate) fn note_all(&mut self, generation: u64) {
        self.changes.clear();
        self.forgotten = generation;
    }

    fn push(&mut self, change: Change) {
        if self.changes.len() == Self::CAPACITY
            && let Some(oldest) = self.changes.pop_front()
        {
            self.forgotten = oldest.generation;
        }
        self.changes.push_back(Arc::new(change));
    }

    /// The newest generation of which a change was forgotten.
    pub(crate) const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The changes after snapshot `generation` that are remembered, oldest first.
    pub(crate) fn after(&self, generation: u64) -> impl DoubleEndedIterator<Item = &Change> {
        // Who asks most likely knows all but the last few.
        let known = self.changes.iter().rev();
        let newer = known.take_while(|change| change.generation > generation);
        let first = self.changes.len() - newer.count();
        self.changes.range(first..).map(|change| &**change)
    }

    /// Whether any change after snapshot `generation` was in one of `tables` or of `groups`, or of a port. Of a
    /// table, those do not count that ask for what no look-up there saw, as `shows` tells of shapes and values.
    pub(crate) fn touch(
        &self,
        generation: u64,
        tables: &TableSet,
        groups: &[u32],
        shows: impl Fn(TableId, &MaskShape, &[u64]) -> bool,
    ) -> bool {
        generation < self.forgotten
            || self.after(generation).any(|change| match &change.what {
                What::Rule {
                    table,
                    shape,
                    values,
                } => tables.contains(*table) && shows(*table, shape, values),
                What::Group(id) => groups.contains(id),
                What::Port(_) => true,
            })
    }

    /// Whether any change after snapshot `generation` may concern packets of which `known` is
    /// known. Changes of ports do not.
    pub fn concerns(&self, generation: u64, known: Known<'_>) -> bool {
        let word = |at| (known.key.word(at), known.mask.word(at));
        let (tables, groups) = (known.tables, known.groups);
        self.concerns_words(generation, tables, groups, |_| false, |_, _, _| true, word)
    }

    /// As [`Self::concerns`], where `word` tells a word of the key and its known bits: only those that a
    /// change asks for; `meets`, whether it counts for them which port lies at a place; and `shows`, whether a
    /// look-up in a table may have seen what such a rule asks for.
    pub(crate) fn concerns_words(
        &self,
        generation: u64,
        tables: &TableSet,
        groups: &[u32],
        meets: impl Fn(PortIndex) -> bool,
        shows: impl Fn(TableId, &MaskShape, &[u64]) -> bool,
        word: impl Fn(usize) -> (u64, u64),
    ) -> bool {
        if generation < self.forgotten {
            return true;
        }
        self.after(generation)
            .rev()
            .any(|change| match &change.what {
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
                        && shows(*table, shape, values)
                }
                What::Group(id) => groups.contains(id),
                What::Port(index) => meets(*index),
            })
    }
}
