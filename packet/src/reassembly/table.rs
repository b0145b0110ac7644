//! Where datagrams and their pieces lie.
//!
//! Invariants
//!   1. A datagram in use is in exactly one chain of the index and in the list of its age.
//!   2. Both versions have one time-out each, so each list of ages is sorted by deadline.
//!   3. A place for a piece is in exactly one list: a datagram's, or that of the free ones.

use super::{Facts, Key, MAX_PIECES, Refused};
use crate::{L3, Tick};

/// The end of a list.
const NONE: u32 = u32::MAX;

/// A piece that is held.
#[derive(Debug)]
pub(super) struct Piece<F> {
    /// Ends with the IP packet.
    pub(super) frame: F,
    /// Where its data begins in the frame.
    pub(super) start: usize,
    pub(super) facts: Facts,
}

/// What is known of the largest piece.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Largest {
    pub(super) ip_size: u16,
    /// Whether one of that size said so.
    pub(super) dont_fragment: bool,
}

#[derive(Debug)]
struct Place<F> {
    piece: Option<Piece<F>>,
    next: u32,
}

/// A datagram that is not whole.
#[derive(Clone, Copy, Debug)]
struct Entry {
    key: Key,
    hash: u64,
    deadline: Tick,
    /// The next of the chain in the index, or of the free ones.
    next: u32,
    older: u32,
    newer: u32,
    first: u32,
    last: u32,
    pieces: u16,
    refused: bool,
    /// Bytes of data held.
    data: u32,
    /// Bytes of data in all, if the last piece came.
    size: Option<u32>,
    largest: Largest,
    /// Which values of ECN were seen, a bit each.
    ecn: u8,
    /// IP header of the first piece in bytes; 0 before it came.
    header_size: u16,
}

impl Entry {
    const fn age(&self) -> usize {
        match self.key.l3 {
            L3::Ipv4 => 0,
            _ => 1,
        }
    }
}

/// The oldest and the newest of one version.
#[derive(Clone, Copy, Debug)]
struct Age {
    oldest: u32,
    newest: u32,
}

#[derive(Debug)]
pub(super) struct Table<F> {
    entries: Box<[Option<Entry>]>,
    /// Those of `entries` that are free.
    free: Vec<u32>,
    chains: Box<[u32]>,
    ages: [Age; 2],
    places: Box<[Place<F>]>,
    free_place: u32,
    pieces: u32,
    bytes: usize,
}

impl<F: crate::Frame> Table<F> {
    pub(super) fn new(datagrams: u32, pieces: u32) -> Self {
        let chains = (datagrams as usize * 2).next_power_of_two();
        let place = |at: u32| Place {
            piece: None,
            next: if at + 1 < pieces { at + 1 } else { NONE },
        };
        Self {
            entries: vec![None; datagrams as usize].into(),
            free: (0..datagrams).rev().collect(),
            chains: vec![NONE; chains].into(),
            ages: [Age {
                oldest: NONE,
                newest: NONE,
            }; 2],
            places: (0..pieces).map(place).collect(),
            free_place: 0,
            pieces: 0,
            bytes: 0,
        }
    }

    pub(super) const fn pieces(&self) -> u32 {
        self.pieces
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) const fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    pub(super) const fn lacks_pieces(&self) -> bool {
        self.free_place == NONE
    }

    pub(super) fn find(&self, hash: u64, key: &Key) -> Option<u32> {
        let mut at = self.chains[self.chain(hash)];
        while at != NONE {
            let entry = self.entry(at);
            if entry.hash == hash && entry.key == *key {
                return Some(at);
            }
            at = entry.next;
        }
        None
    }

    /// A datagram of which nothing came yet. There must be room.
    pub(super) fn begin(&mut self, hash: u64, key: Key, deadline: Tick) -> u32 {
        let slot = self.free.pop().expect("the caller made room");
        let chain = self.chain(hash);
        let entry = Entry {
            key,
            hash,
            deadline,
            next: self.chains[chain],
            older: NONE,
            newer: NONE,
            first: NONE,
            last: NONE,
            pieces: 0,
            refused: false,
            data: 0,
            size: None,
            largest: Largest::default(),
            ecn: 0,
            header_size: 0,
        };
        self.chains[chain] = slot;
        let age = entry.age();
        let newest = self.ages[age].newest;
        self.entries[slot as usize] = Some(Entry {
            older: newest,
            ..entry
        });
        match newest {
            NONE => self.ages[age].oldest = slot,
            _ => self.entry_mut(newest).newer = slot,
        }
        self.ages[age].newest = slot;
        slot
    }

    /// Forgets a datagram without pieces.
    pub(super) fn end(&mut self, slot: u32) {
        let entry = *self.entry(slot);
        debug_assert_eq!(entry.first, NONE, "its pieces were let go");
        let chain = self.chain(entry.hash);
        if self.chains[chain] == slot {
            self.chains[chain] = entry.next;
        } else {
            let mut at = self.chains[chain];
            while self.entry(at).next != slot {
                at = self.entry(at).next;
            }
            self.entry_mut(at).next = entry.next;
        }
        let age = entry.age();
        match entry.older {
            NONE => self.ages[age].oldest = entry.newer,
            older => self.entry_mut(older).newer = entry.newer,
        }
        match entry.newer {
            NONE => self.ages[age].newest = entry.older,
            newer => self.entry_mut(newer).older = entry.older,
        }
        self.entries[slot as usize] = None;
        self.free.push(slot);
    }

    pub(super) fn is_due(&self, slot: u32, now: Tick) -> bool {
        self.entry(slot).deadline <= now
    }

    /// One whose time is over.
    pub(super) fn due(&self, now: Tick) -> Option<u32> {
        self.eldest().find(|&slot| self.is_due(slot, now))
    }

    /// The one that ends first.
    pub(super) fn oldest(&self) -> Option<u32> {
        self.eldest().min_by_key(|&slot| self.entry(slot).deadline)
    }

    fn eldest(&self) -> impl Iterator<Item = u32> {
        let eldest = self.ages.map(|age| age.oldest);
        eldest.into_iter().filter(|&slot| slot != NONE)
    }

    /// Whether the piece goes with those that are held.
    pub(super) fn admits(&self, slot: u32, facts: &Facts) -> Result<(), Refused> {
        let entry = self.entry(slot);
        if entry.refused {
            return Err(Refused::Overlap);
        }
        let (begin, end) = (u32::from(facts.offset), facts.end());
        let mut held_end = 0;
        if let Some(last) = self.piece(entry.last) {
            held_end = last.facts.end();
        }
        if begin < held_end {
            let mut at = entry.first;
            while let Some(piece) = self.piece(at) {
                let (other, other_end) = (u32::from(piece.facts.offset), piece.facts.end());
                if (other, other_end, piece.facts.more) == (begin, end, facts.more) {
                    return Err(Refused::Duplicate);
                }
                if begin < other_end && other < end {
                    return Err(Refused::Overlap);
                }
                at = self.places[at as usize].next;
            }
        }
        let ends = |size: u32| end > size || !facts.more && end != size;
        if entry.size.is_some_and(ends) || !facts.more && end < held_end {
            return Err(Refused::Overlap);
        }
        // The first piece's header is the datagram's.
        let header_size = match facts.offset {
            0 => facts.header_size,
            _ => entry.header_size,
        };
        if u32::from(header_size) + end.max(held_end) > u16::MAX.into() {
            return Err(Refused::Oversize);
        }
        if entry.pieces == MAX_PIECES {
            return Err(Refused::TooMany);
        }
        Ok(())
    }

    /// Holds a piece that is admitted. There must be room.
    pub(super) fn insert(&mut self, slot: u32, piece: Piece<F>) {
        let facts = piece.facts;
        let at = self.free_place;
        self.free_place = self.places[at as usize].next;
        self.pieces += 1;
        self.bytes += piece.frame.len();
        self.places[at as usize].piece = Some(piece);

        let entry = *self.entry(slot);
        let comes_last = match self.piece(entry.last) {
            None => true,
            Some(last) => last.facts.offset < facts.offset,
        };
        let mut before = if comes_last { entry.last } else { NONE };
        if !comes_last {
            let mut next = entry.first;
            while let Some(other) = self.piece(next)
                && other.facts.offset < facts.offset
            {
                before = next;
                next = self.places[next as usize].next;
            }
        }
        let next = match before {
            NONE => std::mem::replace(&mut self.entry_mut(slot).first, at),
            _ => std::mem::replace(&mut self.places[before as usize].next, at),
        };
        self.places[at as usize].next = next;

        let entry = self.entry_mut(slot);
        if comes_last {
            entry.last = at;
        }
        entry.pieces += 1;
        entry.data += facts.size;
        entry.ecn |= 1 << facts.ecn;
        if !facts.more {
            entry.size = Some(facts.end());
        }
        if facts.offset == 0 {
            entry.header_size = facts.header_size;
        }
        let largest = &mut entry.largest;
        if facts.ip_size > largest.ip_size {
            *largest = Largest {
                ip_size: facts.ip_size,
                dont_fragment: facts.dont_fragment,
            };
        } else if facts.ip_size == largest.ip_size {
            largest.dont_fragment |= facts.dont_fragment;
        }
    }

    pub(super) fn is_whole(&self, slot: u32) -> bool {
        let entry = self.entry(slot);
        entry.size == Some(entry.data)
    }

    pub(super) fn ecn(&self, slot: u32) -> u8 {
        self.entry(slot).ecn
    }

    pub(super) fn largest(&self, slot: u32) -> Largest {
        self.entry(slot).largest
    }

    pub(super) fn take_first(&mut self, slot: u32) -> Option<Piece<F>> {
        let at = self.entry(slot).first;
        let place = self.places.get_mut(at as usize)?;
        let piece = place.piece.take()?;
        let next = std::mem::replace(&mut place.next, self.free_place);
        self.free_place = at;
        self.entry_mut(slot).first = next;
        self.pieces -= 1;
        self.bytes -= piece.frame.len();
        Some(piece)
    }

    /// Lets go of all pieces, and holds none from here on; returns how many there were.
    pub(super) fn refuse(&mut self, slot: u32) -> u64 {
        let mut pieces = 0;
        while self.take_first(slot).is_some() {
            pieces += 1;
        }
        let entry = self.entry_mut(slot);
        entry.refused = true;
        entry.last = NONE;
        pieces
    }

    const fn chain(&self, hash: u64) -> usize {
        hash as usize & (self.chains.len() - 1)
    }

    fn piece(&self, at: u32) -> Option<&Piece<F>> {
        self.places.get(at as usize)?.piece.as_ref()
    }

    fn entry(&self, slot: u32) -> &Entry {
        let entry = self.entries[slot as usize].as_ref();
        entry.expect("a slot that is named is in use")
    }

    fn entry_mut(&mut self, slot: u32) -> &mut Entry {
        let entry = self.entries[slot as usize].as_mut();
        entry.expect("a slot that is named is in use")
    }
}
