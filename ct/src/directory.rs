//! Who holds which pair of tuples, as far as one lcore must know: the pairs that connections of
//! its own use, and the pairs that it owns and another lcore has reserved. What is told of uses of pairs
//! that it owns is incomplete until another lcore asks for one: [`Sharing`](crate::sharing::Sharing).
//!
//! Invariants, for the directory of lcore `S`
//!   1. A pair that `S` owns is in use here, or granted to one other lcore, or not in the
//!      directory; never two of these. So no two lcores have connections of one pair.
//!   2. A pair that another lcore `H` owns is in the directory exactly as long as `S` holds it:
//!      from the moment that `H`'s grant arrived until its return is sent.
//!   3. It has room for what all connections of the tracker can use, and never grants so much
//!      that it had not.
//!
//! Threads: owned by one lcore.
//! Cost: one cache line, with rare exceptions, per operation. Memory is taken once: 30 bytes for
//! each connection that there can be.

use weir_packet::hint;

use crate::owner::{PairId, ShardId};

/// Pairs of tuples and who holds them.
pub(crate) struct Directory {
    /// Linear probing. `id << 20 | granted << 19 | (shard or uses)`; 0: nothing.
    entries: Box<[u64]>,
    used: usize,
    granted: usize,
    /// Pairs of others that are held here, used or not.
    lent: usize,
    /// Pairs that are held here and not used.
    idle: usize,
    /// Some of these, the last first.
    recent: Vec<PairId>,
    /// Where the search for others goes on.
    hand: usize,
    /// Entries that uses of the lcore's own may take.
    reserved: usize,
}

/// What is known of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// This lcore, with so many connections.
    Here(u32),
    /// Another one, to which it was granted.
    Granted(ShardId),
}

impl Directory {
    /// Takes memory for the pairs of `connections`, and as many to grant as there are
    /// connections.
    pub(crate) fn new(connections: u32) -> Self {
        let reserved = connections as usize * 2;
        let most = reserved + connections as usize + SPARE;
        Self {
            entries: vec![NOTHING; most.div_ceil(4) * 5].into_boxed_slice(),
            used: 0,
            granted: 0,
            lent: 0,
            idle: 0,
            recent: Vec::with_capacity(RECENT),
            hand: 0,
            reserved,
        }
    }

    /// Who holds `pair`; `None`: nobody but its owner, who does not use it.
    #[inline]
    pub(crate) fn holder(&self, pair: PairId) -> Option<Holder> {
        self.find(pair).map(|at| holder(self.entries[at]))
    }

    /// Whether nothing is granted, so that every pair is where its owner is.
    #[inline]
    pub(crate) const fn grants_nothing(&self) -> bool {
        self.granted == 0
    }

    /// Whether nothing of another lcore's is held here, so that every pair of another one's is elsewhere.
    #[inline]
    pub(crate) const fn borrows_nothing(&self) -> bool {
        self.lent == 0
    }

    /// Asks for the memory in which `pair` is sought.
    #[inline]
    pub(crate) fn ask(&self, pair: PairId) {
        hint::prefetch_element(&self.entries, self.home(pair));
    }

    /// Whether there is room for another connection. There is, unless so many pairs of ended
    /// ones wait to be given back.
    pub(crate) const fn has_room(&self) -> bool {
        self.used + SPARE / 2 < self.entries.len() / 5 * 4
    }

    /// Counts one more use of `pair`, which is not granted. `lent`: another lcore owns it.
    pub(crate) fn add_use(&mut self, pair: PairId, lent: bool) {
        match self.seek(pair) {
            Ok(at) => {
                debug_assert!(matches!(holder(self.entries[at]), Holder::Here(_)));
                if holder(self.entries[at]) == Holder::Here(0) {
                    self.idle -= 1;
                }
                self.entries[at] += 1;
            }
            Err(at) => {
                self.put(at, pair, 1);
                self.lent += usize::from(lent);
            }
        }
    }

    /// Counts one use of `pair` less. Without a use, a pair of this lcore's own is forgotten;
    /// one that another lcore owns is `lent` and waits for [`Directory::take_idle`].
    pub(crate) fn drop_use(&mut self, pair: PairId, lent: bool) {
        let Some(at) = self.find(pair) else {
            debug_assert!(false, "{pair:?} was in use");
            return;
        };
        debug_assert!(matches!(holder(self.entries[at]), Holder::Here(1..)));
        self.entries[at] -= 1;
        if holder(self.entries[at]) != Holder::Here(0) {
            return;
        }
        if lent {
            self.idle += 1;
            if self.recent.len() < RECENT {
                self.recent.push(pair);
            }
        } else {
            self.remove(at);
        }
    }

    /// Grants `pair`, which nobody holds, to another lcore; returns whether there was room.
    pub(crate) fn grant(&mut self, pair: PairId, to: ShardId) -> bool {
        let room = self.granted + self.reserved + SPARE < self.entries.len() / 5 * 4;
        match self.seek(pair) {
            Err(at) if room => {
                self.put(at, pair, GRANTED | u64::from(to.0));
                self.granted += 1;
            }
            Err(_) => {}
            Ok(_) => debug_assert!(false, "nobody holds {pair:?}"),
        }
        room
    }

    /// Takes back `pair`, which was granted to `from`; returns whether it was.
    pub(crate) fn take_back(&mut self, pair: PairId, from: ShardId) -> bool {
        let Some(at) = self.find(pair) else {
            return false;
        };
        if holder(self.entries[at]) != Holder::Granted(from) {
            return false;
        }
        self.remove(at);
        self.granted -= 1;
        true
    }

    /// Forgets and returns a pair of another lcore's that is not used any more, if one is found
    /// within a bounded search.
    pub(crate) fn take_idle(&mut self) -> Option<PairId> {
        if self.idle == 0 {
            self.recent.clear();
            return None;
        }
        while let Some(pair) = self.recent.pop() {
            if let Some(at) = self.find(pair)
                && holder(self.entries[at]) == Holder::Here(0)
            {
                self.remove(at);
                self.idle -= 1;
                self.lent -= 1;
                return Some(pair);
            }
        }
        for _ in 0..SWEEP.min(self.entries.len()) {
            let at = self.hand;
            let entry = self.entries[at];
            if entry != NOTHING && holder(entry) == Holder::Here(0) {
                self.remove(at);
                self.idle -= 1;
                self.lent -= 1;
                return Some(PairId::of(entry >> VALUE_BITS));
            }
            self.hand = self.behind(at);
        }
        None
    }

    /// Whether pairs wait for [`Directory::take_idle`].
    pub(crate) const fn has_idle(&self) -> bool {
        self.idle > 0
    }

    /// How many pairs are in the directory, and how many of them are granted.
    pub(crate) const fn len(&self) -> (usize, usize) {
        (self.used, self.granted)
    }

    /// Writes the entry of `pair`, which has none, at the place at which it was [sought](Self::seek) in
    /// vain.
    fn put(&mut self, at: usize, pair: PairId, value: u64) {
        self.entries[at] = pair.get() << VALUE_BITS | value;
        self.used += 1;
        debug_assert!(self.used < self.entries.len());
    }

    fn find(&self, pair: PairId) -> Option<usize> {
        self.seek(pair).ok()
    }

    /// Where the entry of `pair` is.
    ///
    /// # Errors
    /// If it has none: where it belongs.
    #[inline]
    fn seek(&self, pair: PairId) -> Result<usize, usize> {
        let mut at = self.home(pair);
        loop {
            let entry = self.entries[at];
            if entry >> VALUE_BITS == pair.get() {
                return Ok(at);
            }
            if entry == NOTHING {
                return Err(at);
            }
            at = self.behind(at);
        }
    }

    /// Removes the entry at `hole` and closes the gap, so that no tombstones pile up.
    fn remove(&mut self, mut hole: usize) {
        let mut at = hole;
        loop {
            at = self.behind(at);
            let entry = self.entries[at];
            if entry == NOTHING {
                break;
            }
            // Only what would not be found before its home may move up.
            let home = self.home(PairId::of(entry >> VALUE_BITS));
            if self.distance(home, at) >= self.distance(hole, at) {
                self.entries[hole] = entry;
                hole = at;
            }
        }
        self.entries[hole] = NOTHING;
        self.used -= 1;
    }

    /// Spread anew: the high bits of the pairs of one owner are alike.
    fn home(&self, pair: PairId) -> usize {
        let spread = pair.get().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((u128::from(spread) * self.entries.len() as u128) >> u64::BITS) as usize
    }

    const fn behind(&self, at: usize) -> usize {
        if at + 1 == self.entries.len() {
            0
        } else {
            at + 1
        }
    }

    /// How many entries `to` lies behind `from`, round the end.
    const fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from {
            to - from
        } else {
            to + self.entries.len() - from
        }
    }
}

const NOTHING: u64 = 0;
/// Of an entry, what is not the pair's id.
const VALUE_BITS: u32 = u64::BITS - PairId::BITS;
/// Whether the value is a shard, not a number of uses. These are two per zone at most, and what
/// packets that wait hold.
const GRANTED: u64 = 1 << (VALUE_BITS - 1);
/// Pairs that are held for packets that wait, besides those of connections.
const SPARE: usize = 4096;
/// How many idle pairs are remembered; others are found by looking.
const RECENT: usize = 64;
/// How many entries are looked at for one idle pair.
const SWEEP: usize = 256;

const fn holder(entry: u64) -> Holder {
    let value = entry & ((1 << VALUE_BITS) - 1);
    if value & GRANTED == 0 {
        Holder::Here(value as u32)
    } else {
        Holder::Granted(ShardId((value & !GRANTED) as u16))
    }
}

#[cfg(test)]
mod tests;
