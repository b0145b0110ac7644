//! How trajectories lie in memory.

use super::key::{V4_WORDS, WORDS};
use super::program::ProgramId;
use super::trace::REFS;

/// Places of a set: as many as a cache line has room for.
pub(super) const WAYS: usize = 10;

/// Where the entries of some hashes lie.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Set {
    /// 0: the place is empty.
    pub(super) signatures: [u16; WAYS],
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
        let empty = self.signatures.iter().position(|&signature| signature == 0);
        empty.unwrap_or(WAYS)
    }

    /// Empties a place; the last moves into it.
    pub(super) fn take_out(&mut self, at: usize) -> EntryId {
        let last = self.taken() - 1;
        self.signatures.swap(at, last);
        self.entries.swap(at, last);
        self.signatures[last] = 0;
        self.entries[last]
    }

    /// The places with a signature, as bits.
    #[inline]
    pub(super) fn places(&self, signature: u16) -> u32 {
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

    #[inline]
    pub(super) const fn generation(&self) -> u64 {
        self.state >> Self::GENERATION
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
