//! Whose turn it is: receive queues that have frames waiting share the lcore's cycles evenly, however
//! dear their frames are. What each other lcore hands over is a queue like these.
//!
//! A queue that took more than another which waits has a debt, and is not polled until the others have
//! caught up. So a port from which every packet opens a connection, or meets no cache, takes its share of
//! an lcore and no more; what is too much for that share is lost where it came from, in the
//! queue of its own device, and not in those of other ports; or, if it is another lcore that it came in at, in
//! the queue there for this one. (This is deficit round robin, Shreedhar and
//! Varghese 1995, in cycles instead of bytes, and with the quantum taken from what the others took.)
//! While nothing waits anywhere nobody has a debt, so who is alone may take all of it.
//!
//! Cycles for *first packets*, for which the tables were asked, [weigh](FIRST) more: what belongs to
//! established traffic goes before what nobody knows yet. Who sends nothing else takes a fifth of an lcore
//! at which one other queue waits, and less where there are more; it is its own excess that is lost.
//!
//! Cycles are counted in one of [`EVERY`] passes, since reading the counter costs as much as some
//! packets do. What those passes took, times [`EVERY`], is also what is told of each queue's share of its
//! lcore: an estimate, which is as good as the timed passes are many.

use crate::clock::Cycles;

/// One of so many passes is timed, and stands for all.
const EVERY: u32 = 8;
/// A queue may be so many cycles ahead before it is passed over: some bursts, so that
/// queues which cost nearly the same take turns.
const AHEAD: u64 = 1 << 16;

/// So many times a cycle weighs that was spent on a burst of first packets alone.
const FIRST: u64 = 4;

/// What `cycles` weigh that a burst of `frames` took, for which the tables were asked `walks` times.
#[inline]
pub(super) fn weighed(cycles: Cycles, frames: usize, walks: u64) -> Cycles {
    let frames = (frames as u64).max(1);
    let first = walks.min(frames);
    Cycles(cycles.0 * (frames + (FIRST - 1) * first) / frames)
}

/// What all passes took of which one took `cycles`, as far as one tells.
#[inline]
pub(super) const fn estimate(cycles: Cycles) -> Cycles {
    Cycles(cycles.0 * EVERY as u64)
}

/// The debts of an lcore's receive queues, and of the other lcores behind them.
#[derive(Debug)]
pub(super) struct Turns {
    queues: Box<[Queue]>,
    until_timed: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Queue {
    /// Weighed cycles taken more than the one that waits and took least.
    debt: u64,
    /// Whether frames wait, as far as was seen.
    waits: bool,
}

impl Turns {
    pub(super) fn new(queues: usize) -> Self {
        Self {
            queues: vec![Queue::default(); queues].into(),
            until_timed: EVERY,
        }
    }

    /// Whether this queue is polled in this pass.
    #[inline]
    pub(super) fn is_due(&self, queue: usize) -> bool {
        self.queues[queue].debt <= AHEAD
    }

    /// In a timed pass a queue was polled and had so many [weighed] cycles' worth of frames; `waits`: it may
    /// have more.
    pub(super) fn took(&mut self, queue: usize, cycles: Cycles, waits: bool) {
        let queue = &mut self.queues[queue];
        queue.debt += estimate(cycles).0;
        queue.waits = waits;
    }

    /// In a timed pass a queue was polled and had nothing.
    pub(super) fn was_empty(&mut self, queue: usize) {
        self.queues[queue].waits = false;
    }

    /// Whether the pass that begins is timed.
    #[inline]
    pub(super) fn begin(&mut self) -> bool {
        self.until_timed -= 1;
        let timed = self.until_timed == 0;
        if timed {
            self.until_timed = EVERY;
        }
        timed
    }

    /// A timed pass ended: who waits and took least has no debt now, and who waits for nothing
    /// keeps no claim on what it did not take.
    pub(super) fn settle(&mut self) {
        let waiting = self.queues.iter().filter(|queue| queue.waits);
        let least = waiting.map(|queue| queue.debt).min().unwrap_or(u64::MAX);
        for queue in &mut self.queues {
            queue.debt = queue.debt.saturating_sub(least);
        }
    }
}

#[cfg(test)]
mod tests;
