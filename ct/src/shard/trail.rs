//! Where a packet belongs that is passed on, and how often it was, in one word: packets lie close in the
//! queues between lcores, since each of their cache lines has to move from one to the other.

use crate::owner::{Belongs, PairId, ShardId};

/// `hops << 48 | kind << 44 | pair or shard`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trail(u64);

const NUMBER: u64 = (1 << PairId::BITS) - 1;
const SHARD: u64 = 1 << PairId::BITS;
const ANYWHERE: u64 = 2 << PairId::BITS;
const HOPS_FROM: u32 = PairId::BITS + 4;

impl Trail {
    /// Of a packet with this wire tuple that was passed on `hops` times.
    #[inline]
    pub(super) const fn new(wire: Belongs, hops: u8) -> Self {
        let wire = match wire {
            Belongs::Pair(pair) => pair.get(),
            Belongs::Shard(ShardId(shard)) => SHARD | shard as u64,
            Belongs::Anywhere => ANYWHERE,
        };
        Self((hops as u64) << HOPS_FROM | wire)
    }

    /// Where it belongs.
    #[inline]
    pub(super) const fn wire(self) -> Belongs {
        if self.0 & (SHARD | ANYWHERE) == 0 {
            Belongs::Pair(PairId::of(self.0 & NUMBER))
        } else if self.0 & ANYWHERE == 0 {
            Belongs::Shard(ShardId(self.0 as u16))
        } else {
            Belongs::Anywhere
        }
    }

    /// How often it was passed on.
    #[inline]
    pub(super) const fn hops(self) -> u8 {
        (self.0 >> HOPS_FROM) as u8
    }
}

#[cfg(test)]
mod tests;
