//! Interned paths: which rules a pass matched and which of their actions it ran, in order.
//!
//! Many megaflows take one path. A step names a rule by its slot, never by pointer, and is
//! looked up in the snapshot that the lcore obeys when it is taken.
//!
//! Cost: interning hashes the steps once; nothing is ever moved. When the room is used up,
//! everything is forgotten at once.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::record::Record;
use crate::action::TableId;
use crate::changes::TableSet;
use crate::key::FlowKey;

/// One step of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The rule at `slot`, of `table`, matched and is counted.
    Matched { slot: u32, table: TableId },
    /// A table was looked up and had no rule.
    Missed { table: TableId },
    /// The rule at `slot` runs its action number `op`, `nesting` resubmits deep.
    Run { slot: u32, op: u16, nesting: u16 },
}

impl Step {
    /// Is never taken.
    pub(crate) const PADDING: Self = Self::Missed { table: TableId(0) };
}

/// A few steps that follow each other, copied: taking one may need the cache for another packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steps {
    steps: [Step; CHUNK],
    len: usize,
}

/// As many steps are taken out at once.
const CHUNK: usize = 8;

impl Steps {
    #[inline]
    pub(crate) fn as_slice(&self) -> &[Step] {
        &self.steps[..self.len]
    }

    /// Whether the path ends with them.
    #[inline]
    pub(crate) const fn are_last(&self) -> bool {
        self.len < CHUNK
    }
}

/// Steps in all paths together.
const STEPS: usize = 1 << 16;
/// Paths in all.
const PATHS: usize = 1 << 12;

/// Names a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PathId(u32);

impl PathId {
    /// The first there is, if there is any.
    pub(super) const FIRST: Self = Self(0);
}

#[derive(Debug)]
struct Path {
    start: u32,
    len: u32,
    /// The tables passed.
    tables: TableSet,
    /// The bits of the key that its actions write.
    written: FlowKey,
    /// How deep its resubmits nest.
    nesting: u32,
}

/// All paths.
#[derive(Debug)]
pub(super) struct Paths {
    /// [`padded`].
    steps: Vec<Step>,
    paths: Vec<Path>,
    index: HashTable<PathId>,
}

impl Paths {
    pub(super) fn new() -> Self {
        Self {
            steps: padded(Vec::with_capacity(STEPS + CHUNK)),
            paths: Vec::with_capacity(PATHS),
            index: HashTable::with_capacity(PATHS),
        }
    }

    /// How many bytes they have room in.
    pub(super) fn memory(&self) -> usize {
        self.steps.capacity() * size_of::<Step>() + self.paths.capacity() * size_of::<Path>()
    }

    /// The path that was noted; `None` if there is no room for it.
    pub(super) fn intern(&mut self, record: &Record) -> Option<PathId> {
        let Record {
            steps,
            tables,
            written,
            nesting,
            ..
        } = record;
        let hash = hash(steps);
        let same = |id: &PathId| {
            let path = &self.paths[id.0 as usize];
            self.steps[path.range()] == **steps
                && path.tables == *tables
                && path.written == *written
                && path.nesting == *nesting
        };
        if let Some(id) = self.index.find(hash, same) {
            return Some(*id);
        }
        let used = self.steps.len() - CHUNK;
        if self.paths.len() == PATHS || used + steps.len() > STEPS {
            return None;
        }
        let id = PathId(u32::try_from(self.paths.len()).ok()?);
        let (start, len) = (u32::try_from(used).ok()?, u32::try_from(steps.len()).ok()?);
        self.steps.truncate(self.steps.len() - CHUNK);
        self.steps.extend_from_slice(steps);
        self.steps.extend([Step::PADDING; CHUNK]);
        self.paths.push(Path {
            start,
            len,
            tables: *tables,
            written: *written,
            nesting: *nesting,
        });
        let (paths, all) = (&self.paths, &self.steps);
        let hash_of = |id: &PathId| self::hash(&all[paths[id.0 as usize].range()]);
        self.index.insert_unique(hash, id, hash_of);
        Some(id)
    }

    /// The steps of a path from `at` on, as many as there is room for; none behind its end.
    #[inline]
    pub(super) fn steps(&self, id: PathId, at: usize) -> Steps {
        let path = &self.paths[id.0 as usize];
        let len = (path.len as usize).saturating_sub(at).min(CHUNK);
        // What follows behind the path's end is not looked at.
        let rest = self.steps.get(path.start as usize + at..);
        let steps = rest.and_then(|rest| rest.first_chunk());
        Steps {
            steps: *steps.expect("behind the last path there is padding"),
            len,
        }
    }

    /// How deep the resubmits of a path nest.
    #[inline]
    pub(super) fn nesting(&self, id: PathId) -> u32 {
        self.paths[id.0 as usize].nesting
    }

    /// The tables that a path passes, and the bits that its actions write.
    pub(super) fn facts(&self, id: PathId) -> (&TableSet, &FlowKey) {
        let path = &self.paths[id.0 as usize];
        (&path.tables, &path.written)
    }

    /// Forgets all paths.
    pub(super) fn clear(&mut self) {
        self.steps = padded(std::mem::take(&mut self.steps));
        self.paths.clear();
        self.index.clear();
    }
}

impl Path {
    #[inline]
    const fn range(&self) -> std::ops::Range<usize> {
        self.start as usize..(self.start + self.len) as usize
    }
}

/// Nothing but padding, so that [`CHUNK`] steps can be copied wherever a path begins.
fn padded(mut steps: Vec<Step>) -> Vec<Step> {
    steps.clear();
    steps.extend([Step::PADDING; CHUNK]);
    steps
}

fn hash(steps: &[Step]) -> u64 {
    let mut hasher = FixedState::default().build_hasher();
    for step in steps {
        hasher.write_u64(match *step {
            // The slot tells the table.
            Step::Matched { slot, .. } => u64::from(slot) << 32 | 0xffff_fffe,
            Step::Missed { table } => u64::from(table.0) << 56 | !(0xff << 56),
            Step::Run { slot, op, nesting } => {
                u64::from(slot) << 32 | u64::from(nesting) << 16 | u64::from(op)
            }
        });
    }
    hasher.finish()
}
