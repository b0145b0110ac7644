//! Room for one more connection: whose time is over goes first, then the oldest unreplied.

use weir_packet::Tick;

use crate::table::Turn;
use crate::tracker::Tracker;

impl Tracker {
    /// Sees to it that the limit allows one more connection: forgets such whose time is over,
    /// else evicts the oldest unreplied of the next [`PROBE`] slots. Returns whether it does.
    ///
    /// Cost: bounded by [`PROBE`], whatever the table holds.
    pub(super) fn make_room(&mut self, now: Tick) -> bool {
        if let Some(room) = self.rehearsed_room(now) {
            return room;
        }
        let limit = self.settings.max_connections;
        if self.table.live() < limit {
            return true;
        }
        for _ in 0..PROBE {
            match self.table.turn(now) {
                Turn::Forgotten => {
                    self.counters.expired += 1;
                    if self.table.live() < limit {
                        return true;
                    }
                }
                Turn::PutBack => {}
                Turn::Done => break,
            }
        }
        while self.table.live() >= limit
            && let Some(slot) = self.table.overdue(now, PROBE as usize)
        {
            self.table.remove(slot);
            self.counters.expired += 1;
        }
        // Above a limit that was lowered, one eviction would not help.
        if self.table.live() == limit
            && let Some(slot) = self.oldest_unreplied()
        {
            self.table.remove(slot);
            self.counters.evicted += 1;
        }
        self.table.live() < limit
    }

    /// The oldest unreplied connection among the next [`PROBE`] slots.
    pub(super) fn oldest_unreplied(&mut self) -> Option<u32> {
        let touched = self.table.touched();
        let mut oldest: Option<(u64, u32)> = None;
        for _ in 0..PROBE.min(touched) {
            self.hand = if self.hand + 1 < touched {
                self.hand + 1
            } else {
                0
            };
            let hot = self.table.hot(self.hand);
            if hot.is_live() && !hot.replied && oldest.is_none_or(|(id, _)| hot.id < id) {
                oldest = Some((hot.id, self.hand));
            }
        }
        oldest.map(|(_, slot)| slot)
    }

    /// Those among which [`Self::oldest_unreplied`] would choose: their numbers and slots.
    pub(super) fn next_unreplied(&self) -> impl Iterator<Item = (u64, u32)> {
        let touched = self.table.touched();
        let next = (1..=PROBE.min(touched)).map(move |n| (self.hand + n) % touched);
        next.map(|slot| (self.table.hot(slot), slot))
            .filter(|(hot, _)| hot.is_live() && !hot.replied)
            .map(|(hot, slot)| (hot.id, slot))
    }

    /// Forgets connections whose time is over though their turn to be looked at may not have
    /// come, at most twice [`PROBE`] of them; returns whether there was one.
    pub(crate) fn forget_overdue(&mut self, now: Tick) -> bool {
        if let Some(forgotten) = self.rehearse_forgetting(now) {
            return forgotten;
        }
        let mut forgotten = 0;
        for _ in 0..PROBE {
            match self.table.turn(now) {
                Turn::Forgotten => forgotten += 1,
                Turn::PutBack => {}
                Turn::Done => break,
            }
        }
        for _ in 0..PROBE {
            let Some(slot) = self.table.overdue(now, PROBE as usize) else {
                break;
            };
            self.table.remove(slot);
            forgotten += 1;
        }
        self.counters.expired += forgotten;
        forgotten > 0
    }
}

/// How many connections are looked at to make room for one.
pub(super) const PROBE: u32 = 64;
