//! The trajectory cache: what a packet's whole journey comes to, in one look-up.
//!
//! An entry says of all packets with one [`Key`]: these connections and MAC addresses they meet,
//! this [`program::Plan`] (rules counted, headers rewritten, outputs) is carried out. Only
//! journeys are remembered that left everything that a rule can see as it was; see [`Trace`].
//!
//! Entries lie one behind the other in the order in which they came, so that few of them touch
//! little memory. A [`Set`] of places, which is one cache line, says by signatures of
//! 14 bits which entry to look at; so a look-up costs one line for the set and one for the entry.
//!
//! Invariants
//!   1. An entry is used only if no change of policy since it was made or checked may concern it.
//!   2. An entry is used only if each connection and MAC address that it names has the version
//!      that it had.
//!   3. A new entry takes the place of one that is used less; if all it could take are in use, it
//!      has to come again. So a flood of flows of one packet each takes places from itself.
//!
//! Threads: each lcore has its own.
//! Cost: memory is taken at start, but for what a new plan holds. Installing looks at one set,
//! and at another when all entries are in use.

use weir_ct::{Recall, Tracker};
use weir_packet::hint::{prefetch_element, prefetch_read};
use weir_packet::{Frame, Layout, Tick};

use super::CacheStats;
use crate::classifier::HashSecret;
use crate::counters::LcoreCounters;
use crate::mac_table::MacPlace;
use crate::pipeline::Output;
use crate::port::PortIndex;
use crate::snapshot::Snapshot;
use crate::tunnel::Neighbours;

mod apply;
mod entry;
mod explain;
mod headers;
mod install;
mod key;
mod program;
mod recent;
mod run;
mod sight;
mod trace;
mod wire;

pub(crate) use entry::EntryId;
use entry::{Behind, Entry, MOST_SIGNATURE, Set};
pub(crate) use headers::Changes;
pub use key::Interest;
pub(crate) use key::Key;
use key::KeyHash;
use program::{Plan, Program, ProgramId, Programs};
use recent::Recent;
pub(crate) use trace::{REFS, Refusal, Trace};
use wire::Wire;

/// How many places of a set are taken on average when the cache is full.
const MEAN: usize = 8;
/// An entry that was hit as often lately is spared as long as it can be.
const MOST_HEAT: u8 = 7;

/// How large the cache is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrajectorySettings {
    /// Entries; rounded up to a power of two.
    pub entries: usize,
}

impl Default for TrajectorySettings {
    fn default() -> Self {
        Self { entries: 262_144 }
    }
}

/// The cache of one lcore.
#[derive(Debug)]
pub(crate) struct Trajectories {
    hash: KeyHash,
    sets: Box<[Set]>,
    entries: Box<[Entry]>,
    behind: Box<[Behind]>,
    pub(crate) programs: Programs,
    recent: Recent,
    /// By input port.
    wires: Vec<Wire>,
    stats: CacheStats,
    /// Entries from here on were never used.
    unused: u32,
    /// An entry that no set names, for the next one.
    spare: Option<EntryId>,
    /// How often in a row it was foreseen that a packet meets no connection.
    foresight: u8,
    /// Chooses among places.
    draw: u32,
    /// Where [`Self::forget_tunnels`] goes on.
    forgetting: usize,
}

/// What a packet needs of the entry that it was admitted to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admitted {
    pub(crate) program: ProgramId,
    /// How many connections it names.
    pub(crate) connections: usize,
    /// The first of them, if there is any.
    pub(crate) first: Recall,
    /// Whether it names MAC addresses.
    pub(crate) meets_macs: bool,
    /// Whether it leaves through a tunnel.
    pub(crate) is_wrapped: bool,
}

/// Which set a key belongs to, and how it is marked there.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hashed {
    set: u32,
    /// Odd; 0: there is no key.
    signature: u16,
}

impl Hashed {
    /// Of what has no key.
    pub(crate) const NONE: Self = Self {
        set: 0,
        signature: 0,
    };

    /// Whether there is no key.
    #[inline]
    pub(crate) const fn is_none(self) -> bool {
        self.signature == 0
    }
}

impl Trajectories {
    pub(crate) fn new(settings: TrajectorySettings, secret: HashSecret) -> Self {
        let entries = settings.entries.max(MEAN).next_power_of_two();
        Self {
            hash: KeyHash::new(secret),
            sets: vec![Set::EMPTY; entries / MEAN].into(),
            entries: vec![Entry::EMPTY; entries].into(),
            behind: vec![Behind::EMPTY; entries].into(),
            programs: Programs::new(),
            recent: Recent::new(),
            wires: Vec::new(),
            stats: CacheStats::default(),
            unused: 0,
            spare: None,
            foresight: 0,
            draw: secret.0 as u32 | 1,
            forgetting: 0,
        }
    }

    pub(crate) const fn stats(&self) -> CacheStats {
        self.stats
    }

    /// How many bytes of memory it was given at start.
    pub(crate) fn memory(&self) -> usize {
        size_of_val(&*self.sets) + size_of_val(&*self.entries) + size_of_val(&*self.behind)
    }

    /// What is known of all packets of an input port.
    #[inline]
    pub(crate) fn wire(&mut self, port: PortIndex) -> &mut Wire {
        let at = usize::from(port.0);
        if at >= self.wires.len() {
            self.wires.resize_with(at + 1, Wire::default);
        }
        &mut self.wires[at]
    }

    /// Counts what became of a burst.
    pub(crate) const fn count(&mut self, hits: u64, misses: u64) {
        self.stats.hits += hits;
        self.stats.misses += misses;
    }

    /// Hashes a key, and asks for the signatures of its set.
    #[inline]
    pub(crate) fn hash(&self, key: &Key) -> Hashed {
        self.hashed(self.hash.of(key))
    }

    /// The same for the key of a plain packet.
    #[inline(always)]
    pub(crate) fn hash_plain(&self, key: &Key) -> Hashed {
        self.hashed(self.hash.of_v4(key))
    }

    #[inline(always)]
    fn hashed(&self, hash: u64) -> Hashed {
        let set = hash as usize & (self.sets.len() - 1);
        prefetch_element(&self.sets, set);
        Hashed {
            set: set as u32,
            signature: (hash >> 48) as u16 & MOST_SIGNATURE | 1,
        }
    }

    /// The first entry with the signature of a key, which is most likely the key's; asks for it.
    #[inline]
    pub(crate) fn likely(&self, hashed: Hashed) -> Option<EntryId> {
        let set = self.sets.get(hashed.set as usize)?;
        let id = set.any(hashed.signature)?;
        prefetch_read(self.entries.get(id.0 as usize)?);
        Some(id)
    }

    /// The entry of `key`, of which `likely` is one with the same signature.
    #[inline]
    pub(crate) fn find(&self, likely: EntryId, hashed: Hashed, key: &Key) -> Option<EntryId> {
        if self.is_of(likely, key) {
            return Some(likely);
        }
        self.find_behind(likely, hashed, key)
    }

    /// As [`Trajectories::find`] for the key of a plain packet; [`EntryId::NONE`] if there is
    /// none. Asks for what a hit reads beyond the entry.
    #[inline(always)]
    pub(crate) fn find_plain(
        &self,
        likely: EntryId,
        hashed: Hashed,
        key: &Key,
        tracker: &Tracker,
    ) -> EntryId {
        match self.entries.get(likely.0 as usize) {
            Some(entry) if key.same_v4(&entry.words) => {
                self.prefetch_more(likely, entry, tracker);
                likely
            }
            _ => self.find_further(likely, hashed, key, tracker),
        }
    }

    #[cold]
    fn find_further(
        &self,
        likely: EntryId,
        hashed: Hashed,
        key: &Key,
        tracker: &Tracker,
    ) -> EntryId {
        let found = self.find_behind(likely, hashed, key);
        if let Some(id) = found {
            self.prefetch_behind(id, tracker);
        }
        found.unwrap_or(EntryId::NONE)
    }

    #[cold]
    fn find_behind(&self, likely: EntryId, hashed: Hashed, key: &Key) -> Option<EntryId> {
        let set = &self.sets[hashed.set as usize];
        set.all(hashed.signature)
            .find(|&id| id != likely && self.is_of(id, key))
    }

    /// Whether the entry is still that of `key`.
    #[inline]
    pub(crate) fn is_of(&self, id: EntryId, key: &Key) -> bool {
        let rest = || &self.behind[id.0 as usize].rest;
        key.same(&self.entries[id.0 as usize].words, rest)
    }

    /// Asks for what a hit reads beyond the entry, which has come.
    #[inline]
    pub(crate) fn prefetch_behind(&self, id: EntryId, tracker: &Tracker) {
        self.prefetch_more(id, &self.entries[id.0 as usize], tracker);
    }

    #[inline(always)]
    fn prefetch_more(&self, id: EntryId, entry: &Entry, tracker: &Tracker) {
        if entry.state & Entry::BEHIND != 0 {
            prefetch_element(&self.behind, id.0 as usize);
        }
        if entry.connections() > 0 {
            tracker.prefetch(entry.first());
        }
    }

    /// Asks for what the entry's first connection counts in, if it names any.
    #[inline]
    pub(crate) fn prefetch_account(&self, id: EntryId, tracker: &Tracker) {
        let entry = &self.entries[id.0 as usize];
        if entry.connections() > 0 {
            tracker.prefetch_account(entry.first());
        }
    }

    /// Place and version of a reference.
    #[inline]
    fn reference(&self, id: EntryId, at: usize) -> (u32, u64) {
        match at.checked_sub(1) {
            None => {
                let entry = &self.entries[id.0 as usize];
                (entry.place, entry.version)
            }
            Some(at) => {
                let behind = &self.behind[id.0 as usize];
                (behind.places[at], behind.versions[at])
            }
        }
    }

    /// One of the connections that the entry names.
    #[inline]
    pub(crate) fn recall(&self, id: EntryId, at: usize) -> Recall {
        let (place, version) = self.reference(id, at);
        Recall { place, version }
    }

    /// The MAC addresses that the entry names: source and destination.
    pub(crate) fn macs(&self, id: EntryId) -> [Option<MacPlace>; 2] {
        let entry = &self.entries[id.0 as usize];
        let mut next = entry.connections();
        [Entry::MAC_SOURCE, Entry::MAC_DESTINATION].map(|which| {
            (entry.state & which != 0).then(|| {
                let (at, version) = self.reference(id, next);
                next += 1;
                MacPlace { at, version }
            })
        })
    }

    /// The entry, which is that of `key`, if it is for a frame: no change of policy concerns it,
    /// and the frame is neither too long for its program nor at the end of its life.
    #[inline]
    pub(crate) fn admit<F: Frame>(
        &mut self,
        id: EntryId,
        key: &Key,
        frame: &F,
        layout: &Layout,
        snapshot: &Snapshot,
    ) -> Option<Admitted> {
        let entry = &self.entries[id.0 as usize];
        let program = self.programs.current(entry.program, snapshot);
        let fits = frame.len() <= program.longest as usize
            && (!program.is_guarded || program.guards(frame.head(), layout));
        if !fits {
            return None;
        }
        let admitted = Admitted {
            program: entry.program,
            connections: entry.connections(),
            first: entry.first(),
            meets_macs: entry.state & (Entry::MAC_SOURCE | Entry::MAC_DESTINATION) != 0,
            is_wrapped: program.is_wrapped,
        };
        let current = entry.generation() >= program.clean_since;
        (current || self.catch_up(id, key, snapshot)).then_some(admitted)
    }

    /// Whether every next hop of a program's tunnels is what it was.
    pub(crate) fn next_hops_stand(
        &self,
        program: ProgramId,
        neighbours: &Neighbours,
        now: Tick,
    ) -> bool {
        let outers = &self.programs.get(program).plan.outers;
        let mut hops = outers.iter().map(|outer| outer.next_hop);
        hops.all(|hop| neighbours.stands(hop, now))
    }

    /// Forgets entries that name a tunnel's other end, looking at no more than `budget`. Returns
    /// whether there is none left.
    pub(crate) fn forget_tunnels(&mut self, budget: usize) -> bool {
        let end = self
            .forgetting
            .saturating_add(budget)
            .min(self.entries.len());
        for entry in &mut self.entries[self.forgetting..end] {
            if entry.state != 0 && key::names_tunnel(&entry.words) {
                self.programs.release(entry.program);
                *entry = Entry::EMPTY;
            }
        }
        let is_done = end == self.entries.len();
        self.forgetting = if is_done { 0 } else { end };
        is_done
    }

    /// Counts a frame and does what the program of the entry says. Everything was checked.
    #[inline]
    pub(crate) fn run<F, O>(
        &mut self,
        id: EntryId,
        program: ProgramId,
        frame: F,
        layout: &Layout,
        out: &mut O,
        counters: &LcoreCounters,
    ) where
        F: Frame,
        O: Output<F>,
    {
        let entry = &mut self.entries[id.0 as usize];
        if entry.heat() < MOST_HEAT {
            entry.state += 1;
        }
        let program = self.programs.count(program, 1, frame.len());
        let rest = &self.behind[id.0 as usize].rest;
        let outers = if program.is_wrapped {
            &program.plan.outers[..]
        } else {
            &[]
        };
        apply::run(&program.ops, outers, rest, frame, *layout, out, counters);
    }

    /// Holds the entry against the changes since it was made or checked last; counts it if it is stale.
    #[cold]
    fn catch_up(&mut self, id: EntryId, key: &Key, snapshot: &Snapshot) -> bool {
        self.recent.follow(snapshot);
        let entry = &mut self.entries[id.0 as usize];
        let program = self.programs.get(entry.program);
        let stands = advance(entry, program, &self.recent, key, snapshot);
        self.stats.stale += u64::from(!stands);
        stands
    }
}

/// Holds an entry, which is that of `key`, against the changes since it was made or checked last; `recent`
/// follows `snapshot`. After each change of a table that packets pass all entries come here once.
#[inline(always)]
fn advance(
    entry: &mut Entry,
    program: &Program,
    recent: &Recent,
    key: &Key,
    snapshot: &Snapshot,
) -> bool {
    let (plan, unwritten) = (&*program.plan, &*program.unwritten);
    let generation = program.first_to_check(entry.generation());
    let stands = recent.spares(generation, plan, unwritten, key)
        || !is_concerned(plan, key, generation, snapshot);
    if stands {
        entry.state &= (1 << Entry::GENERATION) - 1;
        entry.state |= snapshot.generation << Entry::GENERATION;
    }
    stands
}

/// Whether a change after snapshot `generation` may concern packets of `key` that go the way of `plan`.
#[cold]
fn is_concerned(plan: &Plan, key: &Key, generation: u64, snapshot: &Snapshot) -> bool {
    let word = |at| {
        let (value, known) = key.flow_word(at, &snapshot.ports, snapshot.interest);
        (value, known & !plan.written.word(at))
    };
    let (tables, groups) = (&plan.tables, &plan.groups);
    let meets = |place| plan.meets(place, key);
    let shows = |table, shape: &_, values: &_| plan.sights.may_show(table, shape, values);
    let changes = &snapshot.changes;
    changes.concerns_words(generation, tables, groups, meets, shows, word)
}
