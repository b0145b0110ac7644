//! How far what was handed over has come: whether another lcore has taken all that there was at some
//! moment.
//!
//! Between two lcores there are a queue, of messages in order, and a ring. What goes from the queue into the
//! ring may have news of other kinds before it, which are in no order with messages.

/// The way from one lcore to another.
#[derive(Debug, Default)]
pub(super) struct Passage {
    /// Notes put into the ring since the start.
    said: u64,
    /// Messages that are still in the queue of those that were there at the mark.
    behind: usize,
    /// When so many notes have left the ring, all that was there at the mark has.
    over: u64,
}

impl Passage {
    /// So many notes were put into the ring, of which so many are messages.
    #[inline]
    pub(super) fn said(&mut self, notes: usize, messages: usize) {
        self.said += notes as u64;
        if self.behind > 0 {
            self.behind = self.behind.saturating_sub(messages);
            self.over = self.said;
        }
    }

    /// All that there is now counts: what is in the ring, and so many messages in the queue.
    pub(super) fn mark(&mut self, queued: usize) {
        self.behind = queued;
        self.over = self.said;
    }

    /// Whether the other lcore has taken all that there was at the last mark; so many notes are in the
    /// ring.
    pub(super) fn is_over(&self, in_ring: usize) -> bool {
        self.behind == 0 && self.said - in_ring as u64 >= self.over
    }
}

#[cfg(test)]
mod tests;
