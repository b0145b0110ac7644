//! From key to connection: a hash table of slot numbers, the keys lying with the connections.
//!
//! Invariants
//!   1. At most half of the room is used, so that a removal practically never leaves a
//!      tombstone, and if tombstones ever pile up they are swept in place: the table does not
//!      grow.
//!
//! Cost: one hash (keyed and non-linear: its collisions depend on the secret) and, with rare
//! exceptions, one key compare per look-up.

use std::hash::Hasher;

use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;
use hashbrown::HashTable;

use crate::key::Key;
use crate::record::{Cold, Direction};

/// Both tuples of every connection.
pub(crate) struct Index {
    /// Slot << 1 | direction.
    table: HashTable<u32>,
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
        let entries = connections as usize * 2;
        Self {
            table: HashTable::with_capacity(entries * 2),
            hash: KeyHash::new(secret),
        }
    }

    /// Finds the connection that `key` belongs to.
    pub(crate) fn find(&self, key: &Key, cold: &[Cold]) -> Option<Place> {
        let hash = self.hash.of(key);
        self.table
            .find(hash, |&packed| key_at(packed, cold) == key)
            .map(|&packed| unpack(packed))
    }

    /// Adds `place`, whose key lies in `cold` and is not in the index yet.
    pub(crate) fn insert(&mut self, place: Place, cold: &[Cold]) {
        let Self { table, hash } = self;
        let packed = pack(place);
        let key_hash = hash.of(key_at(packed, cold));
        table.insert_unique(key_hash, packed, |&packed| hash.of(key_at(packed, cold)));
    }

    /// Removes `place`, whose key still lies in `cold`; returns whether it was there.
    pub(crate) fn remove(&mut self, place: Place, cold: &[Cold]) -> bool {
        let packed = pack(place);
        let hash = self.hash.of(key_at(packed, cold));
        match self.table.find_entry(hash, |&other| other == packed) {
            Ok(entry) => {
                entry.remove();
                true
            }
            Err(_) => false,
        }
    }

    /// The hash of a key that need not be in the index.
    pub(crate) fn hash(&self, key: &Key) -> u64 {
        self.hash.of(key)
    }

    /// Every place, in no particular order.
    #[cfg(test)]
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        self.table.iter().map(|&packed| unpack(packed))
    }

    /// How many entries fit without a reallocation.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.table.capacity()
    }
}

/// A keyed hash.
struct KeyHash {
    seed: SharedSeed,
    start: u64,
}

impl KeyHash {
    fn new(secret: u64) -> Self {
        Self {
            seed: SharedSeed::from_u64(secret),
            start: secret.rotate_left(32),
        }
    }

    fn of(&self, key: &Key) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.start, &self.seed);
        for &word in key.words() {
            hasher.write_u64(word);
        }
        hasher.finish()
    }
}

fn key_at(packed: u32, cold: &[Cold]) -> &Key {
    let Place { slot, direction } = unpack(packed);
    cold[slot as usize].key(direction)
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
