//! How trajectories lie in memory.

use weir_ct::Recall;

use super::key::{V4_WORDS, WORDS};
use super::program::ProgramId;
use super::trace::REFS;

/// Places of a set: as many as a cache line has room for.
pub(super) const WAYS: usize = 10;

/// Where in [`Set::signatures`] that of a place lies: so that where the first match was found
/// says which place it is.
const LANES: [usize; WAYS] = [4, 0, 5, 1, 6, 2, 7, 3, 8, 9];

/// The greatest signature.
pub(super) const MOST_SIGNATURE: u16 = 0x7fff;

/// Where the entries of some hashes lie.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Set {
    /// By [`LANES`]. 0: the place is empty.
    signatures: [u16; WAYS],
    pub(super) entries: [EntryId; WAYS],
}

const _: () = assert!(size_of::<Set>() == 64);

impl Set {
    pub(super) const EMPTY: Self = Self {
        signatures: [0; WAYS],
        entries: [EntryId(0); WAYS],
    };

    /// How many places are taken: the first.
    pub(super) fn taken(&self) -> usize {
        let empty = LANES.iter().position(|&lane| self.signatures[lane] == 0);
        empty.unwrap_or(WAYS)
    }

    /// Fills a place.
    pub(super) const fn put(&mut self, at: usize, signature: u16, id: EntryId) {
        self.signatures[LANES[at]] = signature;
        self.entries[at] = id;
    }

    /// Empties a place; the last moves into it.
    pub(super) fn take_out(&mut self, at: usize) -> EntryId {
        let last = self.taken() - 1;
        self.signatures.swap(LANES[at], LANES[last]);
        self.entries.swap(at, last);
        self.signatures[LANES[last]] = 0;
        self.entries[last]
    }

    /// An entry with a signature.
    #[inline]
    pub(super) fn any(&self, signature: u16) -> Option<EntryId> {
        let [s0, s1, s2, s3, s4, s5, s6, s7, ..] = self.signatures.map(u64::from);
        let odd = s0 | s1 << 16 | s2 << 32 | s3 << 48;
        let even = s4 | s5 << 16 | s6 << 32 | s7 << 48;
        // Four at once. Signatures are so small that nothing is borrowed from the next, and the
        // highest bit stays where the difference is 0.
        const ONES: u64 = 0x0001_0001_0001_0001;
        const HIGHEST: u64 = 0x8000_8000_8000_8000;
        let four = u64::from(signature) * ONES;
        let equal = |signatures: u64| (HIGHEST - (signatures ^ four)) & HIGHEST;
        match equal(odd) | equal(even) >> 8 {
            0 => self.any_of_last(signature),
            equal => self
                .entries
                .get(equal.trailing_zeros() as usize / 8)
                .copied(),
        }
    }

    /// The same among the places that are seldom taken.
    #[cold]
    fn any_of_last(&self, signature: u16) -> Option<EntryId> {
        let last = [WAYS - 2, WAYS - 1];
        let at = last
            .into_iter()
            .find(|&at| self.signatures[LANES[at]] == signature)?;
        Some(self.entries[at])
    }

    /// All entries with a signature.
    pub(super) fn all(&self, signature: u16) -> impl Iterator<Item = EntryId> {
        let places = LANES.iter().zip(&self.entries);
        places.filter_map(move |(&lane, &id)| (self.signatures[lane] == signature).then_some(id))
    }
}

/// What every hit reads: a cache line.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct Entry {
    /// The key, or its first half.
    pub(super) words: [u64; V4_WORDS],
    /// The version of the first reference.
    pub(super) version: u64,
    /// The place of the first reference.
    pub(super) place: u32,
    pub(super) program: ProgramId,
    /// Generation << 16 | [`Entry::BEHIND`] and so on << 8 | heat; 0: it was never used.
    pub(super) state: u64,
}

/// What most hits need not read: that of a packet of IPv4 which meets one connection and is not
/// translated. Another cache line, in a table of its own.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct Behind {
    /// The rest of an IPv6 key, or the tuple that [`super::program::Op::EntryTuple`] writes.
    pub(super) rest: [u64; WORDS - V4_WORDS],
    pub(super) versions: [u64; REFS - 1],
    pub(super) places: [u32; REFS - 1],
}

const _: () = assert!(size_of::<Entry>() == 64 && size_of::<Behind>() == 64);

impl Behind {
    pub(super) const EMPTY: Self = Self {
        rest: [0; WORDS - V4_WORDS],
        versions: [0; REFS - 1],
        places: [0; REFS - 1],
    };
}

impl Entry {
    pub(super) const EMPTY: Self = Self {
        words: [0; V4_WORDS],
        version: 0,
        place: 0,
        program: ProgramId::FIRST,
        state: 0,
    };

    pub(super) const HEAT: u64 = 0xff;
    /// How many connections it names, from this bit on; they come first.
    pub(super) const CONNECTIONS: u32 = 8;
    /// Whether it names the packet's source in the MAC table.
    pub(super) const MAC_SOURCE: u64 = 1 << 11;
    /// Whether it names its destination there.
    pub(super) const MAC_DESTINATION: u64 = 1 << 12;
    /// Whether [`Behind`] is needed.
    pub(super) const BEHIND: u64 = 1 << 13;
    pub(super) const GENERATION: u32 = 16;
    /// Whether it names a connection, of those that name one or nothing.
    pub(super) const ONE: u64 = 1 << Self::CONNECTIONS;
    /// Whether it names more than one connection.
    pub(super) const MORE: u64 = 6 << Self::CONNECTIONS | Self::MAC_SOURCE | Self::MAC_DESTINATION;

    #[inline]
    pub(super) const fn generation(&self) -> u64 {
        self.state >> Self::GENERATION
    }

    /// The first reference, if it is to a connection.
    #[inline]
    pub(super) const fn first(&self) -> Recall {
        Recall {
            place: self.place,
            version: self.version,
        }
    }

    #[inline]
    pub(super) const fn connections(&self) -> usize {
        (self.state >> Self::CONNECTIONS & 7) as usize
    }

    #[inline]
    pub(super) const fn heat(&self) -> u8 {
        (self.state & Self::HEAT) as u8
    }
}

/// Which of the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntryId(pub(super) u32);

impl EntryId {
    /// None of them.
    pub(crate) const NONE: Self = Self(u32::MAX);
}

#[cfg(test)]
mod tests;
