//! From key to connection: a hash table of slot numbers, the keys lying with the connections.
//!
//! A bucket is one cache line: ten places, a signature of 16 bits of hash for each, and a count.
//! A key's home is a bucket; if that is full, the next bucket with room takes it, and each
//! bucket on the way counts that one was passed on. So a search ends at the first bucket that
//! passed nothing on, and a removal leaves no tombstone: the counts go down again, and the room
//! is that of an empty bucket. A general hash table keeps tombstones, and has to sweep them out
//! of the whole table now and then; this one has no operation that looks at all of it.
//!
//! Invariants
//!   1. A place lies in its key's home bucket, or behind it such that every bucket from home to
//!      there, exclusive, counts it.
//!   2. A signature is 0 exactly if there is no place, and else that of the place's key.
//!   3. Memory is taken in [`Index::new`], for twice as many places as there can be: half a
//!      bucket is used on average, so that about one in a hundred passes anything on.
//!
//! Threads: owned by one lcore.
//! Cost: one hash (keyed and non-linear: its collisions depend on the secret), one cache line
//! and, with rare exceptions, one key compare per look-up. An insertion or a removal reads as
//! many lines as a look-up and writes one of them.

use std::hash::Hasher;

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;
use weir_packet::hint::{prefetch_element, touch_element};

use crate::key::Key;
use crate::record::{Cold, Direction};

/// Both tuples of every connection.
pub(crate) struct Index {
    buckets: Box<[Bucket]>,
    hash: KeyHash,
}

/// A connection's slot, and which of its two tuples was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) slot: u32,
    pub(crate) direction: Direction,
}

impl Index {
    /// The most connections that places can be told apart for.
    pub(crate) const MAX_CONNECTIONS: u32 = u32::MAX >> 1;

    /// Takes memory for `connections`; `secret` makes collisions unpredictable.
    pub(crate) fn new(connections: u32, secret: u64) -> Self {
        assert!(
            connections <= Self::MAX_CONNECTIONS,
            "at most 2^31 connections"
        );
        let places = connections as usize * 2;
        let buckets = (places * 2).div_ceil(PLACES).max(1);
        Self {
            buckets: vec![Bucket::EMPTY; buckets].into_boxed_slice(),
            hash: KeyHash::new(secret),
        }
    }

    /// How many bytes it has.
    pub(crate) fn memory(&self) -> usize {
        size_of_val(&*self.buckets)
    }

    /// Finds the connection that `key` belongs to.
    #[cfg(test)]
    pub(crate) fn find(&self, key: &Key, cold: &[Cold]) -> Option<Place> {
        self.find_hashed(self.hash(key), key, cold)
    }

    /// Finds the connection that `key`, which has this hash, belongs to.
    #[inline]
    pub(crate) fn find_hashed(&self, hash: u64, key: &Key, cold: &[Cold]) -> Option<Place> {
        let home = self.home(hash);
        let bucket = &self.buckets[home];
        for n in bucket.alike(signature(hash)) {
            let packed = bucket.places[n];
            if key_at(packed, cold).is(key) {
                return Some(unpack(packed));
            }
        }
        if bucket.passed_on == 0 {
            return None;
        }
        self.find_behind(home, signature(hash), key, cold)
    }

    /// Goes on behind the home bucket.
    #[cold]
    fn find_behind(&self, home: usize, signature: u16, key: &Key, cold: &[Cold]) -> Option<Place> {
        let mut at = self.behind(home);
        while at != home {
            let bucket = &self.buckets[at];
            for n in bucket.alike(signature) {
                let packed = bucket.places[n];
                if key_at(packed, cold).is(key) {
                    return Some(unpack(packed));
                }
            }
            if bucket.passed_on == 0 {
                return None;
            }
            at = self.behind(at);
        }
        None
    }

    /// The place that a key with this hash likely has, to be asked for; whose it is, only the key
    /// says. Looks at one bucket.
    #[inline]
    pub(crate) fn likely(&self, hash: u64) -> Option<Place> {
        let bucket = &self.buckets[self.home(hash)];
        let n = bucket.alike(signature(hash)).next()?;
        Some(unpack(bucket.places[n]))
    }

    /// Fetches the bucket in which a key with this hash is looked for ([`touch_element`]).
    #[inline]
    pub(crate) fn touch(&self, hash: u64) {
        touch_element(&self.buckets, self.home(hash));
    }

    /// Asks for the bucket in which a key with this hash is looked for.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        prefetch_element(&self.buckets, self.home(hash));
    }

    /// Adds `place`, whose key has this hash and is not in the index yet.
    ///
    /// # Panics
    /// If there are more places than memory was taken for, twice over.
    pub(crate) fn insert(&mut self, hash: u64, place: Place) {
        let packed = pack(place);
        let mut at = self.home(hash);
        for _ in 0..self.buckets.len() {
            let bucket = &mut self.buckets[at];
            if let Some(n) = bucket.alike(EMPTY).next() {
                bucket.signatures[n] = signature(hash);
                bucket.places[n] = packed;
                return;
            }
            bucket.passed_on += 1;
            at = self.behind(at);
        }
        panic!("the index has room for twice as many places as there are");
    }

    /// Removes `place`, whose key has this hash; returns whether it was there.
    pub(crate) fn remove(&mut self, hash: u64, place: Place) -> bool {
        let packed = pack(place);
        let home = self.home(hash);
        let Some((at, n)) = self.whereabouts(packed, home, signature(hash)) else {
            return false;
        };
        let mut passed = home;
        while passed != at {
            self.buckets[passed].passed_on -= 1;
            passed = self.behind(passed);
        }
        self.buckets[at].signatures[n] = EMPTY;
        true
    }

    /// The hash of a key that need not be in the index.
    #[inline]
    pub(crate) fn hash(&self, key: &Key) -> u64 {
        self.hash.of(key)
    }

    /// In which bucket `packed` is, and where there.
    fn whereabouts(&self, packed: u32, home: usize, signature: u16) -> Option<(usize, usize)> {
        let mut at = home;
        for _ in 0..self.buckets.len() {
            let bucket = &self.buckets[at];
            let mut alike = bucket.alike(signature);
            if let Some(n) = alike.find(|&n| bucket.places[n] == packed) {
                return Some((at, n));
            }
            if bucket.passed_on == 0 {
                return None;
            }
            at = self.behind(at);
        }
        None
    }

    /// The high half of the hash chooses the bucket, the low one makes the signature.
    #[inline]
    fn home(&self, hash: u64) -> usize {
        (((hash >> 32) * self.buckets.len() as u64) >> 32) as usize
    }

    #[inline]
    fn behind(&self, at: usize) -> usize {
        if at + 1 == self.buckets.len() {
            0
        } else {
            at + 1
        }
    }

    /// Every place, in no particular order.
    #[cfg(test)]
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        self.buckets.iter().flat_map(|bucket| {
            let empty: Vec<_> = bucket.alike(EMPTY).collect();
            let there = (0..PLACES).filter(move |n| !empty.contains(n));
            there.map(|n| unpack(bucket.places[n]))
        })
    }

    /// How many places there is room for.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.buckets.len() * PLACES
    }
}

/// Places in a bucket: with their signatures and the count they fill a cache line.
const PLACES: usize = 10;

/// One cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Bucket {
    signatures: [u16; PLACES],
    /// How many places lie behind this bucket that would lie in it, had there been room.
    passed_on: u32,
    /// Slot << 1 | direction.
    places: [u32; PLACES],
}

const _: () = assert!(size_of::<Bucket>() == 64);

impl Bucket {
    const EMPTY: Self = Self {
        signatures: [EMPTY; PLACES],
        passed_on: 0,
        places: [0; PLACES],
    };

    /// Where the signature is this one.
    #[inline]
    fn alike(&self, signature: u16) -> Alike {
        // Without a branch, so that the machine compares all at once.
        let mut alike = [0_u16; PLACES];
        for (n, bit) in alike.iter_mut().enumerate() {
            *bit = u16::from(self.signatures[n] == signature).wrapping_neg() & 1 << n;
        }
        Alike(u32::from(alike.into_iter().fold(0, |all, bit| all | bit)))
    }
}

/// The signature of no key.
const EMPTY: u16 = 0;

#[inline]
const fn signature(hash: u64) -> u16 {
    match hash as u16 {
        EMPTY => 1,
        signature => signature,
    }
}

/// Which places of a bucket, each a bit.
struct Alike(u32);

impl Iterator for Alike {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let n = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(n)
    }
}

/// A keyed hash. Its last step folds once more: the high bits choose the bucket, and without
/// it they would follow tuples that differ in a few bits only.
struct KeyHash {
    seed: SharedSeed,
    start: u64,
}

impl KeyHash {
    fn new(secret: u64) -> Self {
        Self {
            seed: SharedSeed::from_u64(secret),
            // A secret may be small; what hashing starts from is not.
            start: secret.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        }
    }

    #[inline]
    fn of(&self, key: &Key) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.start, &self.seed);
        // Of a length that is known, or the hasher keeps books about halves of its block.
        match *key.words() {
            [head, addresses] => {
                hasher.write_u64(head);
                hasher.write_u64(addresses);
            }
            ref words => {
                for &word in words {
                    hasher.write_u64(word);
                }
            }
        }
        hasher.finish()
    }
}

#[inline]
fn key_at(packed: u32, cold: &[Cold]) -> &Key {
    // Packets go both ways alike, so that a branch on the direction would be a coin's throw.
    &cold[(packed >> 1) as usize].keys[packed as usize & 1]
}

const fn pack(place: Place) -> u32 {
    place.slot << 1
        | match place.direction {
            Direction::Original => 0,
            Direction::Reply => 1,
        }
}

const fn unpack(packed: u32) -> Place {
    let direction = if packed & 1 == 0 {
        Direction::Original
    } else {
        Direction::Reply
    };
    Place {
        slot: packed >> 1,
        direction,
    }
}

#[cfg(test)]
mod tests;
