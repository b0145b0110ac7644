//! The megaflow cache: what one pass through the tables does with all packets that agree in
//! the bits that decided.
//!
//! Tuple space search: the entries of one input port, first table and mask form a subtable.
//! All entries lie in one fixed array of sets; a new entry takes the place that was not used for the
//! longest time of whichever port has the most places in its set. So nothing grows, and a flood
//! at one port evicts what it brought itself, not what other ports need.
//!
//! Invariants
//!   1. An entry is used only if its generation is the snapshot's, or if no change since then
//!      may concern it; its generation then advances.
//!   2. A port has at most `masks_per_port` subtables, so that what one tenant sends does not
//!      lengthen another's search; prefixes count in steps of 8 bits, so that few masks do.
//!      What finds no place is not cached: the tables answer. A new mask takes the place of one
//!      that is hit less often than new ones ask for a place.
//!
//! Threads: each lcore has its own.
//! Cost: one hash per subtable visited, subtables by hits; no pass visits more than a port has. Memory is taken at start, but for
//! the lists of masks.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::SeedableRandomState;
use weir_packet::hint::prefetch_element;

use super::CacheStats;
use super::paths::{PathId, Paths, Steps};
use super::prefix::in_steps;
use super::record::Record;
use crate::action::TableId;
use crate::changes::{Known, TableSet};
use crate::classifier::{HashSecret, MaskShape};
use crate::key::FlowKey;
use crate::port::PortIndex;
use crate::snapshot::Snapshot;
use crate::trace::{CacheStory, MegaflowStory};

#[cfg(test)]
mod tests;

/// Words of a key that an entry can hold; a pass that consulted more is not cached.
const KEY_WORDS: usize = 13;
/// Places of a set.
const WAYS: usize = 4;
/// As many hits is a new subtable credited with.
const GRACE: u32 = 64;
/// Hits between two rankings of a port's subtables.
const RANKING_HITS: u32 = 1 << 16;
/// An entry that was not used while so many were used or made is nobody's any more.
const IDLE: u32 = 1 << 20;

/// How large the cache is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MegaflowSettings {
    /// Entries; rounded up to a power of two.
    pub entries: usize,
    /// Masks that packets of one input port may make.
    pub masks_per_port: usize,
}

impl Default for MegaflowSettings {
    fn default() -> Self {
        Self {
            entries: 65_536,
            masks_per_port: 64,
        }
    }
}

/// The cache of one lcore.
#[derive(Debug)]
pub(crate) struct Megaflows {
    hasher: SeedableRandomState,
    settings: MegaflowSettings,
    sets: Box<[[Entry; WAYS]]>,
    /// By input port.
    ports: Vec<Made>,
    next_subtable: u32,
    paths: Paths,
    /// Paths whose steps are being taken.
    replays: u32,
    clock: u32,
    stats: CacheStats,
    masks: MaskStats,
}

/// What the masks of the megaflow cache count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaskStats {
    /// How many there are now, of all ports together.
    pub masks: u64,
    /// How many were looked through, for all passes that asked.
    pub visited: u64,
    /// Passes that were not remembered because their port had as many masks as it may.
    pub refused: u64,
    /// Masks that made room for another one of their port.
    pub replaced: u64,
}

/// The masks under which passes are remembered that began at one table with packets of one
/// port.
#[derive(Debug)]
struct Subtable {
    /// Tells its entries from others in the same set; never 0.
    id: u32,
    shape: MaskShape,
    /// Lately, less how often new ones asked for a place.
    hits: u32,
}

/// What the packets of one port have made.
#[derive(Debug, Default)]
struct Made {
    /// How many subtables.
    masks: usize,
    /// By the table at which passes begin; those of table 0 first.
    starts: Vec<(TableId, Vec<Subtable>)>,
}

impl Made {
    /// The subtables of passes that begin at `table`.
    #[inline]
    fn at(&mut self, table: TableId) -> Option<&mut Vec<Subtable>> {
        let mut starts = self.starts.iter_mut();
        starts
            .find(|(start, _)| *start == table)
            .map(|(_, subtables)| subtables)
    }
}

/// The hash of a first pass, made before its turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PassHash {
    /// 0: there is none.
    subtable: u32,
    hash: u32,
}

impl PassHash {
    /// None.
    pub(crate) const NONE: Self = Self {
        subtable: 0,
        hash: 0,
    };
}

/// 128 bytes: two cache lines.
#[derive(Clone, Debug)]
#[repr(align(64))]
struct Entry {
    /// 0: the place is empty.
    subtable: u32,
    /// Of its hash, bits that do not choose the set.
    tag: u16,
    port: PortIndex,
    path: PathId,
    used: u32,
    generation: u64,
    values: [u64; KEY_WORDS],
}

const _: () = assert!(size_of::<Entry>() == 128);

impl Entry {
    const EMPTY: Self = Self {
        subtable: 0,
        tag: 0,
        port: PortIndex(0),
        path: PathId::FIRST,
        used: 0,
        generation: 0,
        values: [0; KEY_WORDS],
    };
}

impl Megaflows {
    pub(crate) fn new(settings: MegaflowSettings, secret: HashSecret) -> Self {
        let sets = settings.entries.div_ceil(WAYS).next_power_of_two();
        let shared = foldhash::SharedSeed::global_fixed();
        Self {
            hasher: SeedableRandomState::with_seed(secret.0, shared),
            settings,
            sets: vec![[const { Entry::EMPTY }; WAYS]; sets].into(),
            ports: Vec::new(),
            next_subtable: 1,
            paths: Paths::new(),
            replays: 0,
            clock: 0,
            stats: CacheStats::default(),
            masks: MaskStats::default(),
        }
    }

    pub(crate) const fn stats(&self) -> CacheStats {
        self.stats
    }

    pub(crate) const fn mask_stats(&self) -> MaskStats {
        self.masks
    }

    /// How many bytes of memory it was given at start.
    pub(crate) fn memory(&self) -> usize {
        size_of_val(&*self.sets) + self.paths.memory()
    }

    /// Asks for where packets like `key` that came in at `port` and begin at table 0 are most
    /// likely found; returns the hash.
    #[inline]
    pub(crate) fn look_ahead(&self, port: PortIndex, key: &FlowKey) -> PassHash {
        let made = self.ports.get(usize::from(port.0));
        let Some((TableId(0), subtables)) = made.and_then(|made| made.starts.first()) else {
            return PassHash::NONE;
        };
        let Some(first) = subtables.first() else {
            return PassHash::NONE;
        };
        let hash = hash(&self.hasher, first.id, &first.shape, key);
        prefetch_element(&self.sets, hash as usize & (self.sets.len() - 1));
        PassHash {
            subtable: first.id,
            hash,
        }
    }

    /// The path of packets like `key` that came in at `port` and begin at `table`. `ahead`: what
    /// [`Self::look_ahead`] said of this key, if it was asked.
    #[inline(always)]
    pub(crate) fn lookup(
        &mut self,
        port: PortIndex,
        table: TableId,
        key: &FlowKey,
        ahead: PassHash,
        snapshot: &Snapshot,
    ) -> Option<PathId> {
        let found = self.find(port, table, key, ahead, snapshot);
        match found {
            Some(_) => self.stats.hits += 1,
            None => self.stats.misses += 1,
        }
        found
    }

    fn find(
        &mut self,
        port: PortIndex,
        table: TableId,
        key: &FlowKey,
        ahead: PassHash,
        snapshot: &Snapshot,
    ) -> Option<PathId> {
        let subtables = self.ports.get_mut(usize::from(port.0))?.at(table)?;
        for (at, subtable) in subtables.iter_mut().enumerate() {
            let hash = if subtable.id == ahead.subtable {
                ahead.hash
            } else {
                hash(&self.hasher, subtable.id, &subtable.shape, key)
            };
            self.masks.visited += 1;
            let set = &mut self.sets[hash as usize & (self.sets.len() - 1)];
            let Some(entry) = set.iter_mut().find(|entry| entry.is(subtable, hash, key)) else {
                continue;
            };
            if entry.generation != snapshot.generation {
                let (tables, written) = self.paths.facts(entry.path);
                let mask = subtable.shape.without(written);
                let known = Known {
                    tables,
                    // What groups do is not remembered here.
                    groups: &[],
                    key,
                    mask: &mask,
                };
                if snapshot.changes.concerns(entry.generation, known) {
                    *entry = Entry::EMPTY;
                    self.stats.stale += 1;
                    return None;
                }
                entry.generation = snapshot.generation;
            }
            self.clock = self.clock.wrapping_add(1);
            entry.used = self.clock;
            let path = entry.path;
            subtable.hits += 1;
            if subtable.hits == RANKING_HITS {
                rank(subtables);
            } else if at > 0 && subtables[at].hits > subtables[at - 1].hits {
                subtables.swap(at, at - 1);
            }
            return Some(path);
        }
        None
    }

    /// What is known of a pass that begins as `story` says, with a packet that came in at `port`.
    /// Changes nothing.
    pub(crate) fn explain(
        &self,
        port: PortIndex,
        story: &MegaflowStory,
        snapshot: &Snapshot,
    ) -> CacheStory {
        let made = self.ports.get(usize::from(port.0));
        let starts = made.into_iter().flat_map(|made| &made.starts);
        let subtables: Vec<_> = starts
            .filter(|(start, _)| *start == story.table)
            .flat_map(|(_, subtables)| subtables)
            .collect();
        if let Some(unfit) = story.unfit {
            return CacheStory::Miss(format!("not remembered: {unfit}"));
        }
        for subtable in &subtables {
            let hash = hash(&self.hasher, subtable.id, &subtable.shape, &story.start);
            let set = &self.sets[hash as usize & (self.sets.len() - 1)];
            let mut entries = set.iter();
            let Some(entry) = entries.find(|entry| entry.is(subtable, hash, &story.start)) else {
                continue;
            };
            let (tables, written) = self.paths.facts(entry.path);
            let known = Known {
                tables,
                groups: &[],
                key: &story.start,
                mask: &subtable.shape.without(written),
            };
            let is_current = entry.generation == snapshot.generation;
            if is_current || !snapshot.changes.concerns(entry.generation, known) {
                return CacheStory::Hit;
            }
            return CacheStory::Miss(format!(
                "stale: a change of policy since generation {} may concern the entry",
                entry.generation
            ));
        }
        let masks = subtables.len();
        let shape = MaskShape::new(&story.consulted);
        CacheStory::Miss(if shape.len() > KEY_WORDS {
            let words = shape.len();
            format!("key too large: {words} words decide, an entry holds {KEY_WORDS}")
        } else if subtables.iter().any(|subtable| subtable.shape == shape) {
            format!("its mask is one of the port's {masks} here, but no entry has its values")
        } else if made.is_some_and(|made| made.masks >= self.settings.masks_per_port) {
            let most = self.settings.masks_per_port;
            format!("unmatched: no mask of {masks} here is its own, and the port has all {most}")
        } else {
            format!("unmatched: no mask of {masks} here is its own")
        })
    }

    /// How deep the resubmits of `path` nest.
    #[inline]
    pub(crate) fn nesting(&self, path: PathId) -> u32 {
        self.paths.nesting(path)
    }

    /// The tables that `path` passes, and the bits that its actions write.
    pub(crate) fn facts(&self, path: PathId) -> (&TableSet, &FlowKey) {
        self.paths.facts(path)
    }

    /// The steps of `path` from `at` on, a few at a time; none behind its end.
    #[inline]
    pub(crate) fn steps(&self, path: PathId, at: usize) -> Steps {
        self.paths.steps(path, at)
    }

    /// Remembers a pass of a packet from `port` that began with `key`.
    pub(crate) fn install(
        &mut self,
        port: PortIndex,
        key: &FlowKey,
        record: &Record,
        generation: u64,
    ) {
        if !record.complete {
            return;
        }
        let shape = MaskShape::new(&in_steps(&record.consulted));
        if shape.len() > KEY_WORDS {
            self.stats.refused += 1;
            return;
        }
        let Some(path) = self.intern(record) else {
            self.stats.refused += 1;
            return;
        };
        let Some(subtable) = self.subtable(port, record.table, &shape) else {
            self.stats.refused += 1;
            self.masks.refused += 1;
            return;
        };
        let mut values = [0; KEY_WORDS];
        for (value, (at, mask)) in values.iter_mut().zip(shape.pairs()) {
            *value = key.word(at) & mask;
        }
        let hash = hash(&self.hasher, subtable, &shape, key);
        self.clock = self.clock.wrapping_add(1);
        let (clock, sets) = (self.clock, self.sets.len());
        let set = &mut self.sets[hash as usize & (sets - 1)];
        let place = place(set, port, clock);
        set[place] = Entry {
            subtable,
            tag: tag(hash),
            port,
            path,
            used: clock,
            generation,
            values,
        };
    }

    /// The steps of a path are about to be taken, during which other passes may end: no path may
    /// be forgotten until [`Self::release_paths`].
    pub(crate) const fn hold_paths(&mut self) {
        self.replays += 1;
    }

    /// The steps were taken.
    pub(crate) const fn release_paths(&mut self) {
        self.replays -= 1;
    }

    /// The path that was recorded. If there is no room for it, everything is forgotten first,
    /// unless paths are held.
    fn intern(&mut self, record: &Record) -> Option<PathId> {
        if let Some(path) = self.paths.intern(record) {
            return Some(path);
        }
        if self.replays > 0 {
            return None;
        }
        for set in &mut self.sets {
            set.fill(Entry::EMPTY);
        }
        self.paths.clear();
        self.paths.intern(record)
    }

    /// The id of the subtable of `shape`, which is made if the port may have another.
    fn subtable(&mut self, port: PortIndex, table: TableId, shape: &MaskShape) -> Option<u32> {
        let port = usize::from(port.0);
        if port >= self.ports.len() {
            self.ports.resize_with(port + 1, Made::default);
        }
        let mut known = self.ports[port].at(table).into_iter().flatten();
        if let Some(known) = known.find(|subtable| subtable.shape == *shape) {
            return Some(known.id);
        }
        if self.next_subtable == u32::MAX {
            // Numbers have run out: an entry left behind could be taken for another's.
            self.forget();
        }
        if !self.has_room(port) {
            return None;
        }
        let id = self.next_subtable;
        self.next_subtable += 1;
        let subtable = Subtable {
            id,
            shape: shape.clone(),
            hits: GRACE,
        };
        let made = &mut self.ports[port];
        made.masks += 1;
        self.masks.masks += 1;
        match made.at(table) {
            Some(subtables) => subtables.push(subtable),
            None => {
                made.starts.push((table, vec![subtable]));
                made.starts.sort_by_key(|(start, _)| start.0);
            }
        }
        Some(id)
    }

    /// Whether the port may have another subtable. If it has as many as it may, all of them pay
    /// for the question, and one that cannot goes.
    fn has_room(&mut self, port: usize) -> bool {
        let made = &mut self.ports[port];
        if made.masks < self.settings.masks_per_port {
            return true;
        }
        let mut idle = None;
        for (start, (_, subtables)) in made.starts.iter_mut().enumerate() {
            for (at, subtable) in subtables.iter_mut().enumerate() {
                match subtable.hits.checked_sub(1) {
                    Some(hits) => subtable.hits = hits,
                    None => idle = Some((start, at)),
                }
            }
        }
        let Some((start, at)) = idle else {
            return false;
        };
        made.starts[start].1.remove(at);
        made.masks -= 1;
        self.masks.masks -= 1;
        self.masks.replaced += 1;
        true
    }

    /// Forgets everything but the paths.
    fn forget(&mut self) {
        for set in &mut self.sets {
            set.fill(Entry::EMPTY);
        }
        self.ports.fill_with(Made::default);
        self.masks.masks = 0;
        self.next_subtable = 1;
    }
}

impl Entry {
    fn is(&self, subtable: &Subtable, hash: u32, key: &FlowKey) -> bool {
        self.tag == tag(hash)
            && self.subtable == subtable.id
            && subtable
                .shape
                .covers(&self.values[..subtable.shape.len()], key)
    }
}

/// The bits by which an entry for a pass would tell packets apart.
pub(crate) fn decisive(record: &Record) -> FlowKey {
    in_steps(&record.consulted)
}

#[inline(always)]
fn hash(hasher: &SeedableRandomState, subtable: u32, shape: &MaskShape, key: &FlowKey) -> u32 {
    let mut hasher = hasher.build_hasher();
    hasher.write_u32(subtable);
    shape.each(key, |word| hasher.write_u64(word));
    let hash = hasher.finish();
    (hash ^ hash >> 32) as u32
}

/// What of a hash an entry keeps.
#[inline(always)]
const fn tag(hash: u32) -> u16 {
    (hash >> 16) as u16
}

/// The place of `set` that a new entry of `port` takes: an empty one, or one that nobody needs, or else,
/// of the port that would have the most places with it, the one not used for the longest time.
fn place(set: &[Entry; WAYS], port: PortIndex, clock: u32) -> usize {
    let idle = |entry: &Entry| match entry.subtable {
        0 => u32::MAX,
        _ => clock.wrapping_sub(entry.used),
    };
    let places = |of: PortIndex| {
        let held = set.iter().filter(|entry| entry.port == of).count();
        held + usize::from(of == port)
    };
    let rank = |&at: &usize| {
        let idle = idle(&set[at]);
        if idle >= IDLE {
            (true, 0, idle)
        } else {
            (false, places(set[at].port), idle)
        }
    };
    (0..WAYS).max_by_key(rank).expect("a set has places")
}

/// Puts the subtables in the order of their hits, and lets what was count half.
fn rank(subtables: &mut [Subtable]) {
    subtables.sort_by_key(|subtable| std::cmp::Reverse(subtable.hits));
    for subtable in subtables {
        subtable.hits /= 2;
    }
}
