//! Which numbers (ports, ICMP identifiers, addresses) of a pool are leased, and which is the
//! next that is not.
//!
//! A pool is a set of numbers under one key, such as the ports of one outside address towards
//! one destination. All pools share one table: a number is a bit in a word of 64, and a word
//! that is full is a bit in a word of the level above, so that whatever is full is passed over
//! in one step.
//!
//! Invariants
//!   1. A bit of the lowest level is set exactly if its number is leased.
//!   2. A bit of a higher level is set exactly if the word below it is full.
//!   3. A word without bits is not in the table: as many words as leases suffice, and what the
//!      levels above them take.
//!
//! Threads: owned by one lcore.
//! Cost: a lease or its return writes one word, and one more per level that fills or stops being
//! full; the search reads at most two words per level. Memory is taken once; nothing grows.

use weir_packet::hint::touch_element;

/// Leased numbers, by pool.
pub struct Leases {
    /// Linear probing.
    nodes: Box<[Node]>,
    used: usize,
    leased: usize,
}

/// Where something is noted most likely: a hint, which decides nothing.
#[derive(Clone, Copy, Debug)]
pub struct Whereabouts(usize);

/// A pool: the hash of whatever tells it from others, under a secret key.
///
/// If two words have one id, numbers look taken that are free. Among a million words that
/// happens with a probability below one in ten million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool(pub u64);

/// A word of a pool: its id, which is not 0, and its bits. An array, since the allocator hands
/// out zeros for such without touching them: memory is used where there are leases.
type Node = [u64; 2];
const NONE: Node = [0; 2];

/// There is no room to note one more lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room for another lease")]
pub struct NoRoom;

impl Leases {
    /// Takes memory for `leases` in pools of any sizes.
    pub fn new(leases: u32) -> Self {
        // A fourth stays empty, so that searches for what is not there end soon.
        let nodes = (leases as usize + SPARE + LEVELS as usize).div_ceil(3) * 4;
        Self {
            nodes: vec![NONE; nodes].into_boxed_slice(),
            used: 0,
            leased: 0,
        }
    }

    /// How many bytes they have.
    pub fn memory(&self) -> usize {
        size_of_val(&*self.nodes)
    }

    /// How many numbers are leased, over all pools.
    pub const fn len(&self) -> usize {
        self.leased
    }

    /// Whether nothing is leased.
    pub const fn is_empty(&self) -> bool {
        self.leased == 0
    }

    /// Leases `number`, which is free.
    ///
    /// # Errors
    /// [`NoRoom`] if more is leased than memory was taken for; nothing changes then.
    pub fn lease(&mut self, pool: Pool, number: u32) -> Result<(), NoRoom> {
        if self.used + LEVELS as usize > self.nodes.len() / 4 * 3 {
            return Err(NoRoom);
        }
        debug_assert!(!self.is_leased(pool, number), "{number} is leased twice");
        self.leased += 1;
        let mut place = u64::from(number);
        for level in 0..LEVELS {
            let bits = self.bits_mut(pool, level, place / BITS);
            *bits |= 1 << (place % BITS);
            if *bits != u64::MAX {
                break;
            }
            place /= BITS;
        }
        Ok(())
    }

    /// Gives back `number`, which is leased.
    pub fn give_back(&mut self, pool: Pool, number: u32) {
        debug_assert!(self.is_leased(pool, number), "{number} is not leased");
        let mut place = u64::from(number);
        for level in 0..LEVELS {
            let Some(at) = self.find(id(pool, level, place / BITS)) else {
                return;
            };
            let bits = &mut self.nodes[at][1];
            let was_full = *bits == u64::MAX;
            *bits &= !(1 << (place % BITS));
            if *bits == 0 {
                self.remove(at);
            }
            if level == 0 {
                self.leased -= 1;
            }
            if !was_full {
                return;
            }
            place /= BITS;
        }
    }

    /// Where it is noted whether `number` is leased, to be asked for.
    #[inline]
    pub fn whereabouts(&self, pool: Pool, number: u32) -> Whereabouts {
        Whereabouts(self.home(id(pool, 0, u64::from(number) / BITS)))
    }

    /// Fetches what lies there ([`touch_element`]).
    #[inline]
    pub fn touch(&self, whereabouts: Whereabouts) {
        touch_element(&self.nodes, whereabouts.0);
    }

    /// Whether `number` is leased.
    pub fn is_leased(&self, pool: Pool, number: u32) -> bool {
        let number = u64::from(number);
        self.bits(pool, 0, number / BITS) >> (number % BITS) & 1 != 0
    }

    /// The least number from `from` to `to` that is not leased.
    pub fn next_free(&self, pool: Pool, from: u32, to: u32) -> Option<u32> {
        self.search(pool, from, to).0
    }

    /// As [`Leases::next_free`], and how many words were read.
    fn search(&self, pool: Pool, from: u32, to: u32) -> (Option<u32>, u32) {
        let mut words = 0;
        let mut level = 0;
        // In units of what a bit of this level stands for.
        let mut place = u64::from(from);
        while place << (level * BITS_LOG2) <= u64::from(to) {
            words += 1;
            let free = !self.bits(pool, level, place / BITS) & u64::MAX << (place % BITS);
            if free == 0 {
                // All of the rest of this word is full: on with what follows it.
                place = place / BITS + 1;
                level += 1;
                if level == LEVELS {
                    break;
                }
                continue;
            }
            place = place / BITS * BITS + u64::from(free.trailing_zeros());
            if level == 0 {
                let found = u32::try_from(place).ok().filter(|&found| found <= to);
                return (found, words);
            }
            level -= 1;
            place *= BITS;
        }
        (None, words)
    }

    fn bits(&self, pool: Pool, level: u32, place: u64) -> u64 {
        self.find(id(pool, level, place))
            .map_or(0, |at| self.nodes[at][1])
    }

    /// The word, made if it is not there. There is room.
    fn bits_mut(&mut self, pool: Pool, level: u32, place: u64) -> &mut u64 {
        let id = id(pool, level, place);
        let mut at = self.home(id);
        loop {
            let there = self.nodes[at][0];
            if there == id {
                break;
            }
            if there == NONE[0] {
                self.nodes[at] = [id, 0];
                self.used += 1;
                break;
            }
            at = self.behind(at);
        }
        &mut self.nodes[at][1]
    }

    fn find(&self, id: u64) -> Option<usize> {
        let mut at = self.home(id);
        loop {
            let there = self.nodes[at][0];
            if there == id {
                return Some(at);
            }
            if there == NONE[0] {
                return None;
            }
            at = self.behind(at);
        }
    }

    /// Removes the word at `hole` and closes the gap, so that no tombstones pile up.
    fn remove(&mut self, mut hole: usize) {
        let mut at = hole;
        loop {
            at = self.behind(at);
            let node = self.nodes[at];
            if node[0] == NONE[0] {
                break;
            }
            // Only what would not be found before its home may move up.
            let from_home = self.distance(self.home(node[0]), at);
            let from_hole = self.distance(hole, at);
            if from_home >= from_hole {
                self.nodes[hole] = node;
                hole = at;
            }
        }
        self.nodes[hole] = NONE;
        self.used -= 1;
    }

    fn home(&self, id: u64) -> usize {
        ((u128::from(id) * self.nodes.len() as u128) >> 64) as usize
    }

    fn behind(&self, at: usize) -> usize {
        if at + 1 == self.nodes.len() {
            0
        } else {
            at + 1
        }
    }

    /// How many nodes `to` lies behind `from`, round the end.
    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from {
            to - from
        } else {
            to + self.nodes.len() - from
        }
    }
}

/// Numbers in a word.
const BITS: u64 = 64;
const BITS_LOG2: u32 = 6;
/// Levels of words over numbers of 32 bits.
const LEVELS: u32 = 6;
/// Words for levels above the lowest while next to nothing is leased.
const SPARE: usize = 64;

/// Words of one pool never share an id; of two pools no more often than chance has it.
const fn id(pool: Pool, level: u32, place: u64) -> u64 {
    // The golden ratio: words that follow each other lie far apart.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let of_pool = (level as u64) << 32 | place;
    let id = pool.0.wrapping_add(of_pool.wrapping_mul(SPREAD));
    if id == NONE[0] { 1 } else { id }
}

#[cfg(test)]
mod tests;
