//! How a trajectory comes into the cache, and which goes for it.

use weir_ct::Likely;

use super::entry::{Behind, Entry, EntryId, WAYS};
use super::key::{Key, V4_WORDS, WORDS};
use super::trace::Trace;
use super::{Hashed, Trajectories, apply};

/// Places that a new entry may take if its set is full.
const CHOICES: usize = 4;
/// How often in a row it has to be foreseen that a packet meets no connection to be believed.
const TRUSTED: u8 = 32;
/// How many journeys pass for one that is written down where most are in vain.
const ONE_OF: u32 = 8;

impl Trajectories {
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
        set.put(at, hashed.signature, id);
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

    /// Whether a journey is to be written down. While there is room each is. When all entries are
    /// in use, and most likely more packets than they are for, one of [`ONE_OF`]: a connection
    /// that stays has its turn soon, and the others do not pay for it. So it is with packets that
    /// seem to open connections, which cannot be remembered, as long as they do.
    #[inline]
    pub(crate) fn is_worth_a_trace(&mut self, likely: Likely) -> bool {
        let is_full = self.unused as usize == self.entries.len();
        let is_new = likely == Likely::New && self.foresight >= TRUSTED;
        if !is_full && !is_new {
            return true;
        }
        self.draw = next(self.draw);
        (self.draw >> 16).is_multiple_of(ONE_OF)
    }

    /// Learns whether a packet that seemed to be `likely` so met no connection.
    #[inline]
    pub(crate) const fn learn(&mut self, likely: Likely, is_stranger: bool) {
        match (likely, is_stranger) {
            (Likely::New, true) => self.foresight = self.foresight.saturating_add(1),
            (Likely::New, false) => self.foresight = 0,
            (Likely::Part | Likely::Unknown, _) => {}
        }
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
        let set = self.random_set();
        let set = &self.sets[set];
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
