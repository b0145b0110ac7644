//! What the outer headers of decapsulated packets said, and a short number for each that is
//! different, which stands for it in the key of a trajectory.
//!
//! Invariants
//!   1. A number that was given out names one [`Meta`] for ever: it is not given again before
//!      every trajectory that might name it is gone.
//!
//! Threads: each lcore has its own.
//! Cost: one look at a set per decapsulated packet; memory is taken at start, if there are tunnels.

use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::SeedableRandomState;

use super::options::OptionWords;
use crate::classifier::HashSecret;
use crate::key::{FlowKey, word};
use crate::port::PortIndex;

#[cfg(test)]
mod tests;

/// The first word that tells of a tunnel.
const FIRST: usize = word::TUN_ID as usize;
/// How many there are.
pub(super) const WORDS: usize = (word::CT_STATE - word::TUN_ID) as usize;
/// Which of them has TOS and TTL.
const META: usize = (word::TUN_META - word::TUN_ID) as usize;
/// Its bits that differ from packet to packet of a peer.
pub(crate) const VARYING: u64 = 0xffff;

/// Different ones that have a number at a time.
const CAPACITY: usize = 4_096;
/// Places that one can lie in.
const WAYS: usize = 4;
/// The highest number, which has 24 bits.
pub(crate) const MAX_NUMBER: u32 = 0xff_ffff;

/// What the outer headers of a packet said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The tunnel port that took it.
    pub(crate) port: PortIndex,
    /// The words of the flow key that tell of tunnels.
    pub(super) words: [u64; WORDS],
    /// What its Geneve options say, as far as they are some field's.
    pub(super) options: OptionWords,
    /// What stands for all of it in the key of a trajectory; 0: nothing does.
    pub(crate) number: u32,
}

impl Meta {
    /// Writes what was said into a flow key.
    #[inline]
    pub(crate) fn write_to(&self, key: &mut FlowKey) {
        key.words_mut()[FIRST..FIRST + WORDS].copy_from_slice(&self.words);
        self.options.write_to(key);
    }
}

/// One that has a number.
#[derive(Clone, Debug)]
struct Place {
    number: u32,
    port: PortIndex,
    words: [u64; WORDS],
    options: OptionWords,
}

/// The packets under way that came out of a tunnel, and the numbers.
#[derive(Debug)]
pub(crate) struct Ingress {
    hasher: SeedableRandomState,
    /// Empty where there are no tunnels, or no trajectories.
    places: Box<[Place]>,
    /// The last number given.
    last: u32,
    /// The frames of a burst, in order, if they came out of tunnels.
    metas: Vec<Meta>,
}

impl Ingress {
    /// No number is given. Without tunnels none ever is.
    pub(crate) fn new(secret: HashSecret, has_tunnels: bool, burst: usize) -> Self {
        let shared = foldhash::SharedSeed::global_fixed();
        let (capacity, burst) = if has_tunnels {
            (CAPACITY, burst)
        } else {
            (0, 0)
        };
        Self {
            hasher: SeedableRandomState::with_seed(secret.0.rotate_left(32), shared),
            places: vec![Place::EMPTY; capacity].into(),
            last: 0,
            metas: Vec::with_capacity(burst),
        }
    }

    /// What is known of frame number `at` of the burst under way; `None`: it came out of no
    /// tunnel.
    #[inline]
    pub(crate) fn of(&self, at: usize) -> Option<&Meta> {
        self.metas.get(at)
    }

    /// Whether no frame of the burst came out of a tunnel.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.metas.is_empty()
    }

    /// Adds a frame to the burst.
    #[inline]
    pub(crate) fn push(&mut self, meta: Meta) {
        self.metas.push(meta);
    }

    /// The first `count` frames of the burst are done with.
    pub(crate) fn skip(&mut self, count: usize) {
        self.metas.drain(..count.min(self.metas.len()));
    }

    /// Begins another burst.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.metas.clear();
    }

    /// The number for `meta`, of whose varying bits those of `interest` count; 0 if there is
    /// none left.
    pub(crate) fn number(&mut self, meta: &Meta, interest: u64) -> u32 {
        if self.places.is_empty() {
            return 0;
        }
        let (words, first) = self.place_of(meta, interest);
        let is_used_up = self.is_used_up();
        let set = &mut self.places[first..first + WAYS];
        let is_it = |place: &Place| {
            place.words == words && place.port == meta.port && place.options.agree(&meta.options)
        };
        if let Some(known) = set.iter().find(|place| place.number != 0 && is_it(place)) {
            return known.number;
        }
        if is_used_up {
            return 0;
        }
        self.last += 1;
        let oldest = set.iter_mut().min_by_key(|place| place.number);
        if let Some(place) = oldest {
            *place = Place {
                number: self.last,
                port: meta.port,
                words,
                options: meta.options,
            };
        }
        self.last
    }

    /// The number that [`Self::number`] gave to `meta`; 0: none.
    pub(crate) fn known_number(&self, meta: &Meta, interest: u64) -> u32 {
        if self.places.is_empty() {
            return 0;
        }
        let (words, first) = self.place_of(meta, interest);
        let is_it = |place: &&Place| {
            place.number != 0
                && place.words == words
                && place.port == meta.port
                && place.options.agree(&meta.options)
        };
        let known = self.places[first..first + WAYS].iter().find(is_it);
        known.map_or(0, |place| place.number)
    }

    /// The words of `meta` that count, and where its set begins.
    fn place_of(&self, meta: &Meta, interest: u64) -> ([u64; WORDS], usize) {
        let mut words = meta.words;
        words[META] &= interest | !VARYING;
        let mut hasher = self.hasher.build_hasher();
        (meta.port, words).hash(&mut hasher);
        if !meta.options.is_none() {
            meta.options.words().hash(&mut hasher);
        }
        let first = hasher.finish() as usize % (CAPACITY / WAYS) * WAYS;
        (words, first)
    }

    /// Whether all numbers were given, so that trajectories have to be forgotten.
    #[inline]
    pub(crate) const fn is_used_up(&self) -> bool {
        self.last == MAX_NUMBER
    }

    /// As if all numbers had been given.
    #[cfg(test)]
    pub(crate) const fn use_up(&mut self) {
        self.last = MAX_NUMBER;
    }

    /// Begins to count anew: no trajectory names any number.
    pub(crate) fn start_again(&mut self) {
        self.last = 0;
        self.places.fill(Place::EMPTY);
    }
}

impl Place {
    const EMPTY: Self = Self {
        number: 0,
        port: PortIndex(0),
        words: [0; WORDS],
        options: OptionWords::NONE,
    };
}
