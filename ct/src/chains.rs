//! Which connections each zone has, the newest first, and when each began.
//!
//! Invariants
//!   1. A slot is in the list of its zone exactly while it is live.
//!   2. A list is in descending order of when its connections were made, hence of their numbers.
//!
//! Cost: constant per operation. Memory is taken once; numbers are stored one higher, so that 0 is
//! none and pages that nobody has used yet stay untouched.

use weir_packet::Tick;
use weir_packet::hint::prefetch_element;

pub(crate) struct Chains {
    /// By zone.
    heads: Box<[u32]>,
    /// By zone: where the search for a connection to give up goes on.
    hands: Box<[u32]>,
    links: Box<[Link]>,
}

/// A slot's place in the list of its zone.
#[derive(Clone, Copy, Debug, Default)]
struct Link {
    newer: u32,
    older: u32,
    born: Tick,
}

impl Chains {
    pub(crate) fn new(slots: u32) -> Self {
        Self {
            heads: vec![0; ZONES].into(),
            hands: vec![0; ZONES].into(),
            links: vec![Link::default(); slots as usize].into(),
        }
    }

    /// Bytes for each of all slots together.
    pub(crate) fn memory(&self) -> usize {
        size_of_val(&*self.links)
    }

    /// Bytes for each of all zones together.
    pub(crate) fn zone_memory(&self) -> usize {
        size_of_val(&*self.heads) + size_of_val(&*self.hands)
    }

    /// Asks for a slot's place.
    #[inline]
    pub(crate) fn prefetch(&self, slot: u32) {
        prefetch_element(&self.links, slot as usize);
    }

    /// Puts `slot`, which is in no list, in front of the zone's.
    #[inline]
    pub(crate) fn insert(&mut self, zone: u16, slot: u32, now: Tick) {
        let head = &mut self.heads[usize::from(zone)];
        let older = std::mem::replace(head, slot + 1);
        self.links[slot as usize] = Link {
            newer: 0,
            older,
            born: now,
        };
        if let Some(link) = self.link_mut(older) {
            link.newer = slot + 1;
        }
    }

    /// Takes `slot` out of the zone's list.
    #[inline]
    pub(crate) fn remove(&mut self, zone: u16, slot: u32) {
        let Link { newer, older, .. } = self.links[slot as usize];
        match self.link_mut(newer) {
            Some(link) => link.older = older,
            None => self.heads[usize::from(zone)] = older,
        }
        if let Some(link) = self.link_mut(older) {
            link.newer = newer;
        }
    }

    /// Where the search in a zone goes on; somebody else may be there by now.
    pub(crate) fn hand(&self, zone: u16) -> Option<u32> {
        self.hands[usize::from(zone)].checked_sub(1)
    }

    /// Lets the search in a zone go on at `slot`, or at the beginning.
    pub(crate) fn set_hand(&mut self, zone: u16, slot: Option<u32>) {
        self.hands[usize::from(zone)] = slot.map_or(0, |slot| slot + 1);
    }

    /// The newest connection of a zone.
    pub(crate) fn newest(&self, zone: u16) -> Option<u32> {
        self.heads[usize::from(zone)].checked_sub(1)
    }

    /// The connection of the same zone that was made before the one in `slot`.
    pub(crate) fn older(&self, slot: u32) -> Option<u32> {
        self.links[slot as usize].older.checked_sub(1)
    }

    /// When the connection in `slot` was made.
    pub(crate) fn born(&self, slot: u32) -> Tick {
        self.links[slot as usize].born
    }

    /// Lets the connection in `slot` be made at another time.
    pub(crate) fn set_born(&mut self, slot: u32, born: Tick) {
        self.links[slot as usize].born = born;
    }

    fn link_mut(&mut self, number: u32) -> Option<&mut Link> {
        self.links.get_mut(number.checked_sub(1)? as usize)
    }
}

/// How many zones there are.
const ZONES: usize = 1 << 16;
