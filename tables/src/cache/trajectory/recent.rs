//! What changed lately, said in the words of keys: so an entry is held against many changes in a few
//! compares, without looking at what they match.
//!
//! A change that matches packets has a [`Pattern`]: bits that the key of each of them has. Keys say less than
//! rules can ask for, so a key may have a pattern's bits and no packet of it be concerned; then the
//! [`ChangeLog`] decides, unless look-ups [saw](super::sight) otherwise. Changes lie in blocks, and what all of a block ask for in the same way is asked first:
//! rules that come and go beside the traffic have some bit in common that it has not.
//!
//! Invariants
//!   1. Every change after snapshot `since`, up to snapshot `until`, is in a block.
//!   2. No key that differs from a change's pattern, in bits that were not written on the way, is of a packet
//!      that the change concerns.
//!
//! Threads: each lcore has its own.
//! Cost: a compare of five words per block with a change since the entry was checked, and, of a block that
//! does not differ as a whole, one per change. Following a snapshot costs a pattern per change. Memory is taken at start.

use super::key::{Key, Pattern, Unwritten};
use super::program::Plan;
use super::sight::Asked;
use crate::action::TableId;
use crate::changes::{self, ChangeLog, TableSet, What};
use crate::port::PortIndex;
use crate::snapshot::Snapshot;

/// Changes of a block.
const BLOCK: usize = 16;
/// So many changes are known at least, if no port came or went: more than a log remembers, for entries that
/// are seldom hit.
const KEPT: usize = 4 * ChangeLog::CAPACITY;
/// Blocks, of which one is being filled.
const BLOCKS: usize = KEPT / BLOCK + 1;

/// The changes.
#[derive(Clone, Debug)]
pub(super) struct Recent {
    /// Of those up to this snapshot nothing is known.
    since: u64,
    /// The snapshot that was followed last.
    until: u64,
    blocks: Box<[Block]>,
    /// The block that the next change is put into.
    newest: usize,
}

/// Changes that came one after the other.
#[derive(Clone, Copy, Debug)]
struct Block {
    changes: [Change; BLOCK],
    len: usize,
    /// The newest generation of a change; 0: there is none.
    newest: u64,
    /// What all of them ask for.
    common: Pattern,
    /// The tables in which they are.
    tables: TableSet,
    /// Whether they are of rules, all of them.
    of_rules: bool,
}

#[derive(Clone, Copy, Debug)]
struct Change {
    /// The first snapshot with it.
    generation: u64,
    place: Place,
    pattern: Pattern,
    /// What it asks for beside that.
    asked: Asked,
}

/// Where something changed.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// Among the rules of a table.
    Table(TableId),
    Group(u32),
    Port(PortIndex),
}

impl Recent {
    pub(super) fn new() -> Self {
        Self {
            since: 0,
            until: 0,
            blocks: vec![Block::EMPTY; BLOCKS].into(),
            newest: 0,
        }
    }

    /// Notes what changed up to `snapshot`.
    #[inline]
    pub(super) fn follow(&mut self, snapshot: &Snapshot) {
        if self.until != snapshot.generation {
            self.note(snapshot);
        }
    }

    #[cold]
    fn note(&mut self, snapshot: &Snapshot) {
        let (log, ports) = (&snapshot.changes, &snapshot.ports);
        let moved = |change: &changes::Change| matches!(change.what, What::Port(_));
        // Patterns name places of ports. Where one has come, they are made anew.
        if log.forgotten() > self.until || log.after(self.until).any(moved) {
            self.blocks.fill(Block::EMPTY);
            self.since = log.forgotten();
            self.until = log.forgotten();
        }
        for change in log.after(self.until) {
            let (place, pattern, asked) = match &change.what {
                What::Rule {
                    table,
                    shape,
                    values,
                } => {
                    let pattern = Pattern::of(shape, values, ports, snapshot.interest);
                    (Place::Table(*table), pattern, Asked::of(shape, values))
                }
                What::Group(id) => (Place::Group(*id), Pattern::ANY, Asked::NOTHING),
                What::Port(index) => (Place::Port(*index), Pattern::ANY, Asked::NOTHING),
            };
            self.push(Change {
                generation: change.generation,
                place,
                pattern,
                asked,
            });
        }
        self.until = snapshot.generation;
    }

    fn push(&mut self, change: Change) {
        if self.blocks[self.newest].len == BLOCK {
            self.newest = (self.newest + 1) % BLOCKS;
            let oldest = &mut self.blocks[self.newest];
            self.since = self.since.max(oldest.newest);
            *oldest = Block::EMPTY;
        }
        self.blocks[self.newest].push(change);
    }

    /// Whether no change after snapshot `generation` concerns packets of `key` that go the way of `plan`, which
    /// leaves so much `unwritten`. False also if that takes a closer look.
    #[inline(always)]
    pub(super) fn spares(
        &self,
        generation: u64,
        plan: &Plan,
        unwritten: &Unwritten,
        key: &Key,
    ) -> bool {
        if generation < self.since {
            return false;
        }
        // From the newest on, until those that are older.
        let mut at = self.newest;
        loop {
            let block = &self.blocks[at];
            if block.newest <= generation {
                return true;
            }
            if !block.spares(generation, plan, unwritten, key) {
                return false;
            }
            at = at.checked_sub(1).unwrap_or(BLOCKS - 1);
            if at == self.newest {
                return true;
            }
        }
    }
}

impl Block {
    const EMPTY: Self = Self {
        changes: [Change {
            generation: 0,
            place: Place::Group(0),
            pattern: Pattern::ANY,
            asked: Asked::NOTHING,
        }; BLOCK],
        len: 0,
        newest: 0,
        common: Pattern::ANY,
        tables: TableSet::EMPTY,
        of_rules: true,
    };

    fn push(&mut self, change: Change) {
        match change.place {
            Place::Table(table) => self.tables.insert(table),
            Place::Group(_) | Place::Port(_) => self.of_rules = false,
        }
        self.common = match self.len {
            0 => change.pattern,
            _ => self.common.or(&change.pattern),
        };
        self.newest = change.generation;
        self.changes[self.len] = change;
        self.len += 1;
    }

    #[inline(always)]
    fn spares(&self, generation: u64, plan: &Plan, unwritten: &Unwritten, key: &Key) -> bool {
        let as_a_whole = self.of_rules
            && (self.common.differs(key, unwritten) || !self.tables.meets(&plan.tables));
        as_a_whole || self.spares_each(generation, plan, unwritten, key)
    }

    #[inline(never)]
    fn spares_each(&self, generation: u64, plan: &Plan, unwritten: &Unwritten, key: &Key) -> bool {
        let newest_first = self.changes[..self.len].iter().rev();
        newest_first
            .take_while(|change| change.generation > generation)
            .all(|change| match change.place {
                Place::Table(table) => {
                    !plan.tables.contains(table)
                        || change.pattern.differs(key, unwritten)
                        || !plan.sights.may_show_asked(table, &change.asked)
                }
                Place::Group(id) => !plan.groups.contains(&id),
                Place::Port(index) => !plan.meets(index, key),
            })
    }
}

#[cfg(test)]
mod tests;
