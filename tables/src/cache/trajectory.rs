//! The trajectory cache: what a packet's whole journey comes to, in one look-up.
//!
//! An entry says of all packets with one [`Key`]: these connections and MAC addresses they meet,
//! this [`program::Plan`] (rules counted, headers rewritten, outputs) is carried out. Only journeys are
//! remembered that left everything that a rule can see as it was; see [`Trace`].
//!
//! Entries lie one behind the other in the order in which they came, so that few of them touch
//! little memory. A set of [`WAYS`] places, which is one cache line, says by 16-bit signatures
//! which entry to look at; so a look-up costs one line for the set and one for the entry.
//!
//! Invariants
//!   1. An entry is used only if no change of policy since it was made or checked may concern it.
//!   2. An entry is used only if each connection and MAC address that it names has the version
//!      that it had.
//!   3. A new entry takes the place of one that is used less; if all it could take are in use, it
//!      has to come again. So a flood of flows of one packet each takes places from itself.
//!
//! Threads: each lcore has its own.
//! Cost: memory is taken at start. Installing looks at one set.

use weir_ct::{Recall, Tracker};
use weir_packet::hint::{prefetch_element, prefetch_read};
use weir_packet::{Frame, Layout};

use super::CacheStats;
use crate::changes::Known;
use crate::classifier::HashSecret;
use crate::counters::LcoreCounters;
use crate::mac_table::MacPlace;
use crate::pipeline::Output;
use crate::port::PortIndex;
use crate::snapshot::Snapshot;

mod apply;
mod headers;
mod key;
mod program;
mod trace;
mod wire;

pub(crate) use headers::Changes;
pub use key::Interest;
pub(crate) use key::Key;
use key::{KeyHash, V4_WORDS, WORDS};
use program::{ProgramId, Programs};
pub(crate) use trace::{REFS, Trace};
use wire::Wire;

/// Places of a set: as many as a cache line has room for.
const WAYS: usize = 10;
/// How many of them are taken on average when the cache is full.
const MEAN: usize = 8;
/// Places that a new entry may take if its set is full.
const CHOICES: usize = 4;
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
    /// By input port.
    wires: Vec<Wire>,
    stats: CacheStats,
    /// Entries from here on were never used.
    unused: u32,
    /// An entry that no set names, for the next one.
    spare: Option<EntryId>,
    /// Chooses among places.
    draw: u32,
}

/// Where the entries of some hashes lie.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Set {
    /// 0: the place is empty.
    signatures: [u16; WAYS],
    entries: [EntryId; WAYS],
}

const _: () = assert!(size_of::<Set>() == 64);

impl Set {
    const EMPTY: Self = Self {
        signatures: [0; WAYS],
        entries: [EntryId(0); WAYS],
    };

    /// How many places are taken: the first.
    fn taken(&self) -> usize {
        let empty = self.signatures.iter().position(|&signature| signature == 0);
        empty.unwrap_or(WAYS)
    }

    /// Empties a place; the last moves into it.
    fn take_out(&mut self, at: usize) -> EntryId {
        let last = self.taken() - 1;
        self.signatures.swap(at, last);
        self.entries.swap(at, last);
        self.signatures[last] = 0;
        self.entries[last]
    }

    /// The places with a signature, as bits.
    #[inline]
    fn places(&self, signature: u16) -> u32 {
        // Without a branch, so that the machine compares all at once.
        let mut places = [0_u16; WAYS];
        for (at, place) in places.iter_mut().enumerate() {
            *place = u16::from(self.signatures[at] == signature).wrapping_neg() & 1 << at;
        }
        u32::from(places.into_iter().fold(0, |all, place| all | place))
    }
}

/// What every hit reads: a cache line.
#[derive(Clone, Debug)]
#[repr(align(64))]
struct Entry {
    /// The key, or its first half.
    words: [u64; V4_WORDS],
    /// The version of the first reference.
    version: u64,
    /// The place of the first reference.
    place: u32,
    program: ProgramId,
    /// Generation << 16 | [`Entry::BEHIND`] and so on << 8 | heat; 0: it was never used.
    state: u64,
}

/// What most hits need not read: that of a packet of IPv4 which meets one connection and is not
/// translated. Another cache line, in a table of its own.
#[derive(Clone, Debug)]
#[repr(align(64))]
struct Behind {
    /// The rest of an IPv6 key, or the tuple that [`program::Op::EntryTuple`] writes.
    rest: [u64; WORDS - V4_WORDS],
    versions: [u64; REFS - 1],
    places: [u32; REFS - 1],
}

const _: () = assert!(size_of::<Entry>() == 64 && size_of::<Behind>() == 64);

impl Behind {
    const EMPTY: Self = Self {
        rest: [0; WORDS - V4_WORDS],
        versions: [0; REFS - 1],
        places: [0; REFS - 1],
    };
}

impl Entry {
    const EMPTY: Self = Self {
        words: [0; V4_WORDS],
        version: 0,
        place: 0,
        program: ProgramId::FIRST,
        state: 0,
    };

    const HEAT: u64 = 0xff;
    /// How many connections it names, from this bit on; they come first.
    const CONNECTIONS: u32 = 8;
    /// Whether it names the packet's source in the MAC table.
    const MAC_SOURCE: u64 = 1 << 11;
    /// Whether it names its destination there.
    const MAC_DESTINATION: u64 = 1 << 12;
    /// Whether [`Behind`] is needed.
    const BEHIND: u64 = 1 << 13;
    const GENERATION: u32 = 16;

    #[inline]
    const fn generation(&self) -> u64 {
        self.state >> Self::GENERATION
    }

    #[inline]
    const fn connections(&self) -> usize {
        (self.state >> Self::CONNECTIONS & 7) as usize
    }

    #[inline]
    const fn heat(&self) -> u8 {
        (self.state & Self::HEAT) as u8
    }
}

/// Which of the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntryId(u32);

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
}

/// Which set a key belongs to, and how it is marked there.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hashed {
    set: u32,
    signature: u16,
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
            wires: Vec::new(),
            stats: CacheStats::default(),
            unused: 0,
            spare: None,
            draw: secret.0 as u32 | 1,
        }
    }

    pub(crate) const fn stats(&self) -> CacheStats {
        self.stats
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
        let hash = self.hash.of(key);
        let set = hash as usize & (self.sets.len() - 1);
        prefetch_element(&self.sets, set);
        Hashed {
            set: set as u32,
            signature: ((hash >> 48) as u16).max(1),
        }
    }

    /// The first entry with the signature of a key, which is most likely the key's; asks for it.
    #[inline]
    pub(crate) fn likely(&self, hashed: Hashed) -> Option<EntryId> {
        let set = &self.sets[hashed.set as usize];
        let places = set.places(hashed.signature);
        let id = *set.entries.get(places.trailing_zeros() as usize)?;
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

    #[cold]
    fn find_behind(&self, likely: EntryId, hashed: Hashed, key: &Key) -> Option<EntryId> {
        let set = &self.sets[hashed.set as usize];
        let mut places = set.places(hashed.signature);
        while places != 0 {
            let id = set.entries[places.trailing_zeros() as usize];
            if id != likely && self.is_of(id, key) {
                return Some(id);
            }
            places &= places - 1;
        }
        None
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
        let entry = &self.entries[id.0 as usize];
        if entry.state & Entry::BEHIND != 0 {
            prefetch_element(&self.behind, id.0 as usize);
        }
        if entry.connections() > 0 {
            tracker.prefetch(self.recall(id, 0));
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
            && (program.least_ttl == 0 || apply::ttl(frame.head(), layout) >= program.least_ttl);
        if !fits {
            return None;
        }
        let admitted = Admitted {
            program: entry.program,
            connections: entry.connections(),
            first: Recall {
                place: entry.place,
                version: entry.version,
            },
            meets_macs: entry.state & (Entry::MAC_SOURCE | Entry::MAC_DESTINATION) != 0,
        };
        let current = entry.generation() >= program.clean_since;
        (current || self.catch_up(id, key, snapshot)).then_some(admitted)
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
        let program = self.programs.count(program, frame.len());
        match program.only {
            Some(port) => out.send(port, frame),
            None => {
                let rest = &self.behind[id.0 as usize].rest;
                apply::run(&program.ops, rest, frame, *layout, out, counters);
            }
        }
    }

    /// Holds the entry against the changes since it was made or checked last.
    #[cold]
    fn catch_up(&mut self, id: EntryId, key: &Key, snapshot: &Snapshot) -> bool {
        let entry = &mut self.entries[id.0 as usize];
        let plan = &*self.programs.get(entry.program).plan;
        let (key, mut mask) = key.flow_key(&snapshot.ports, snapshot.interest);
        for (mask, written) in mask.words_mut().iter_mut().zip(plan.written.words()) {
            *mask &= !written;
        }
        let known = Known {
            tables: &plan.tables,
            key: &key,
            mask: &mask,
        };
        if snapshot.changes.concerns(entry.generation(), known) {
            self.stats.stale += 1;
            return false;
        }
        entry.state &= (1 << Entry::GENERATION) - 1;
        entry.state |= snapshot.generation << Entry::GENERATION;
        true
    }

    /// Remembers a journey of a packet of `key`.
    pub(crate) fn install(
        &mut self,
        key: &Key,
        hashed: Hashed,
        trace: &mut Trace,
        generation: u64,
    ) {
        let Some(place) = self.place_for(key, hashed) else {
            self.stats.refused += 1;
            return;
        };
        let (mut words, mut rest) = ([0; V4_WORDS], [0; WORDS - V4_WORDS]);
        words.copy_from_slice(&key.0[..V4_WORDS]);
        if key.is_v6() {
            rest.copy_from_slice(&key.0[V4_WORDS..]);
        } else {
            rest = apply::take_tuple(key, &mut trace.plan.ops);
        }
        let Place { at, id } = place;
        let Some(program) = self.programs.intern(&trace.plan, generation) else {
            self.stats.refused += 1;
            if self.sets[hashed.set as usize].taken() == at {
                self.spare = Some(id);
            }
            self.free_a_program();
            return;
        };
        let set = &mut self.sets[hashed.set as usize];
        (set.signatures[at], set.entries[at]) = (hashed.signature, id);
        let entry = &mut self.entries[id.0 as usize];
        if entry.state != 0 {
            self.programs.release(entry.program);
        }
        let macs = [trace.mac_source, trace.mac_destination];
        let named = trace.connections.len() + macs.iter().flatten().count();
        let mut state = generation << Entry::GENERATION
            | (trace.connections.len() as u64) << Entry::CONNECTIONS;
        for (place, bit) in macs.iter().zip([Entry::MAC_SOURCE, Entry::MAC_DESTINATION]) {
            state |= if place.is_some() { bit } else { 0 };
        }
        if named > 1 || rest != [0; WORDS - V4_WORDS] {
            state |= Entry::BEHIND;
        }
        let mut behind = Behind {
            rest,
            ..Behind::EMPTY
        };
        *entry = Entry {
            words,
            program,
            state,
            ..Entry::EMPTY
        };
        let connections = trace.connections.iter().map(|at| (at.place, at.version));
        let macs = macs.into_iter().flatten().map(|at| (at.at, at.version));
        for (at, (place, version)) in connections.chain(macs).enumerate() {
            match at.checked_sub(1) {
                None => (entry.place, entry.version) = (place, version),
                Some(at) => (behind.places[at], behind.versions[at]) = (place, version),
            }
        }
        self.behind[id.0 as usize] = behind;
    }

    /// The place for the entry of `key`, with the entry that is then its own: what it has, or an
    /// empty place, or that of an entry hardly used.
    fn place_for(&mut self, key: &Key, hashed: Hashed) -> Option<Place> {
        let at_set = hashed.set as usize;
        let set = &self.sets[at_set];
        let likely = self.likely(hashed);
        if let Some(own) = likely.and_then(|likely| self.find(likely, hashed, key)) {
            let at = set.entries[..set.taken()].iter().position(|&id| id == own);
            return at.map(|at| Place { at, id: own });
        }
        let taken = set.taken();
        if taken == WAYS {
            let at = self.coldest(at_set)?;
            let id = self.sets[at_set].entries[at];
            return Some(Place { at, id });
        }
        if let Some(id) = self.unnamed() {
            return Some(Place { at: taken, id });
        }
        // All entries are in use: one of another set has to go.
        let first = self.random_set();
        let other = (0..CHOICES)
            .map(|n| (first + n) % self.sets.len())
            .find(|&other| other != at_set && self.sets[other].taken() > 0)?;
        let at = self.coldest(other)?;
        let id = self.sets[other].take_out(at);
        Some(Place { at: taken, id })
    }

    /// Forgets an entry that has a program for itself and was not hit lately, if a look at one
    /// set finds any: else programs of connections that have ended would stay for ever. Those
    /// that were hit have it less long ago the next time.
    #[cold]
    fn free_a_program(&mut self) {
        self.draw = next(self.draw);
        let sets = self.sets.len() as u64;
        let set = &self.sets[((u64::from(self.draw) * sets) >> 32) as usize];
        for id in &set.entries[..set.taken()] {
            let entry = &mut self.entries[id.0 as usize];
            if entry.state == 0 || !self.programs.is_sole(entry.program) {
                continue;
            }
            if entry.heat() == 0 {
                self.programs.release(entry.program);
                *entry = Entry::EMPTY;
                return;
            }
            entry.state -= 1;
        }
    }

    /// Some set or other.
    fn random_set(&mut self) -> usize {
        self.draw = next(self.draw);
        ((u64::from(self.draw) * self.sets.len() as u64) >> 32) as usize
    }

    /// An entry that no set names; `None`: there is none.
    fn unnamed(&mut self) -> Option<EntryId> {
        if let Some(spare) = self.spare.take() {
            return Some(spare);
        }
        if self.unused as usize == self.entries.len() {
            return None;
        }
        self.unused += 1;
        Some(EntryId(self.unused - 1))
    }

    /// The place of an entry of the set that was not hit lately. If all that are looked at were,
    /// it is less long ago the next time; what is used stays warm in spite of this.
    fn coldest(&mut self, at_set: usize) -> Option<usize> {
        let set = &self.sets[at_set];
        let taken = set.taken();
        self.draw = next(self.draw);
        let first = (self.draw >> 16) as usize;
        let choices = || (0..CHOICES.min(taken)).map(|n| (first + n) % taken);
        let coldest =
            choices().min_by_key(|&at| self.entries[set.entries[at].0 as usize].heat())?;
        if self.entries[set.entries[coldest].0 as usize].heat() == 0 {
            return Some(coldest);
        }
        for at in choices() {
            self.entries[set.entries[at].0 as usize].state -= 1;
        }
        None
    }
}

/// A place of a key's set, and the entry that it names or is to name.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: usize,
    id: EntryId,
}

/// The next of numbers that need not be good.
const fn next(draw: u32) -> u32 {
    draw.wrapping_mul(0x9e37_79b1).wrapping_add(1)
}
