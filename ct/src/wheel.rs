//! The timer wheel: every connection waits in one bucket, and is looked at when that bucket's
//! time has come.
//!
//! A packet that prolongs a connection writes the deadline into the connection and leaves the
//! wheel alone: looked at too early, the connection is put back by the deadline it then has.
//! Only a deadline that moves *nearer* moves the connection (a connection that closes: once or
//! twice in its life).
//!
//! Invariants
//!   1. A connection waits in a bucket not later than its deadline's (rounded up), unless it
//!      lies beyond the horizon, which only makes the bucket earlier.
//!   2. Every bucket in `[next, next + BUCKETS)` is a turn of its own; nothing waits outside.
//!
//! Cost: constant per operation; a turn costs what waits in it.

use weir_packet::Tick;
use weir_packet::hint::prefetch_element;

/// Buckets of doubly linked lists of slots.
pub(crate) struct Wheel {
    heads: Box<[u32]>,
    links: Box<[Link]>,
    /// The turn that is looked at next.
    next: u64,
    /// How many slots wait.
    waiting: u32,
}

/// Where a slot waits.
#[derive(Clone, Copy, Debug)]
struct Link {
    previous: u32,
    next: u32,
    /// Meaningless for a slot that does not wait.
    bucket: u32,
}

impl Wheel {
    /// A wheel for `slots` slots.
    pub(crate) fn new(slots: u32) -> Self {
        let idle = Link {
            previous: NONE,
            next: NONE,
            bucket: 0,
        };
        Self {
            heads: vec![NONE; BUCKETS as usize].into_boxed_slice(),
            links: vec![idle; slots as usize].into_boxed_slice(),
            next: 0,
            waiting: 0,
        }
    }

    /// How many bytes it has.
    pub(crate) fn memory(&self) -> usize {
        size_of_val(&*self.heads) + size_of_val(&*self.links)
    }

    /// Asks for where it is noted how `slot` waits.
    #[inline]
    pub(crate) fn prefetch(&self, slot: u32) {
        prefetch_element(&self.links, slot as usize);
    }

    /// Lets `slot`, which does not wait yet, wait for `deadline`.
    pub(crate) fn insert(&mut self, slot: u32, deadline: Tick, now: Tick) {
        if self.waiting == 0 {
            // Nothing can be missed: the wheel need not catch up.
            self.next = self.next.max(now.as_millis() / TURN_MILLIS);
        }
        self.waiting += 1;
        let turn = turn_of(deadline).clamp(self.next, self.next + BUCKETS - 1);
        let bucket = bucket_of(turn);
        let head = self.heads[bucket];
        self.links[slot as usize] = Link {
            previous: NONE,
            next: head,
            bucket: bucket as u32,
        };
        if head != NONE {
            self.links[head as usize].previous = slot;
        }
        self.heads[bucket] = slot;
    }

    /// Takes out `slot`, which waits.
    pub(crate) fn remove(&mut self, slot: u32) {
        let Link {
            previous,
            next,
            bucket,
        } = self.links[slot as usize];
        if previous == NONE {
            self.heads[bucket as usize] = next;
        } else {
            self.links[previous as usize].next = next;
        }
        if next != NONE {
            self.links[next as usize].previous = previous;
        }
    }

    /// Takes out and returns a slot whose turn has come by `now`, or `None` if there is none.
    ///
    /// Cost: passes over empty turns, at most [`BUCKETS`] of them however long ago the last
    /// call was.
    pub(crate) fn pop(&mut self, now: Tick) -> Option<u32> {
        let last = now.as_millis() / TURN_MILLIS;
        if last >= self.next + BUCKETS {
            // A round and more was missed. The buckets are the same in every round, and all of
            // them are due: one round suffices.
            self.next = last - (BUCKETS - 1);
        }
        while self.next <= last {
            let slot = self.heads[bucket_of(self.next)];
            if slot != NONE {
                self.remove(slot);
                return Some(slot);
            }
            self.next += 1;
        }
        None
    }

    /// Up to `limit` slots of the turn after `now`'s: those whose deadline may have come while
    /// their turn has not.
    pub(crate) fn almost_due(&self, now: Tick, limit: usize) -> impl Iterator<Item = u32> {
        self.of_turn(now.as_millis() / TURN_MILLIS + 1).take(limit)
    }

    /// Up to `limit` of the slots that [`Wheel::pop`] would return.
    pub(crate) fn all_due(&self, now: Tick, limit: usize) -> impl Iterator<Item = u32> {
        let last = now.as_millis() / TURN_MILLIS;
        let first = self.next.max((last + 1).saturating_sub(BUCKETS));
        (first..=last)
            .flat_map(|turn| self.of_turn(turn))
            .take(limit)
    }

    /// The slots of a turn.
    fn of_turn(&self, turn: u64) -> impl Iterator<Item = u32> {
        let mut slot = self.heads[bucket_of(turn)];
        std::iter::from_fn(move || {
            let found = slot;
            if found == NONE {
                return None;
            }
            slot = self.links[found as usize].next;
            Some(found)
        })
    }

    /// Every slot that waits, by bucket.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> Vec<u32> {
        let mut slots = Vec::new();
        for (bucket, &head) in self.heads.iter().enumerate() {
            let (mut previous, mut slot) = (NONE, head);
            while slot != NONE {
                let link = self.links[slot as usize];
                assert_eq!((link.previous, link.bucket as usize), (previous, bucket));
                slots.push(slot);
                (previous, slot) = (slot, link.next);
            }
        }
        slots
    }

    /// The time by which `slot`, which waits, is looked at.
    #[cfg(test)]
    pub(crate) fn due(&self, slot: u32) -> Tick {
        let bucket = u64::from(self.links[slot as usize].bucket);
        let ahead = bucket.wrapping_sub(self.next) % BUCKETS;
        Tick::from_millis((self.next + ahead) * TURN_MILLIS)
    }
}

/// A bucket's share of time in milliseconds. Connections are forgotten at most this late.
const TURN_MILLIS: u64 = 64;
/// Buckets. Their product with the above is the horizon, about nine minutes: whoever waits
/// longer is looked at that often, which costs next to nothing.
const BUCKETS: u64 = 8192;
/// No slot.
const NONE: u32 = u32::MAX;

const _: () = assert!(BUCKETS.is_power_of_two());

/// The first turn that begins no earlier than `deadline`.
const fn turn_of(deadline: Tick) -> u64 {
    deadline.as_millis().div_ceil(TURN_MILLIS)
}

const fn bucket_of(turn: u64) -> usize {
    (turn % BUCKETS) as usize
}

#[cfg(test)]
mod tests;
