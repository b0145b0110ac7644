//! Dump, flush and count: in slices, so that packets go on in between.
//!
//! A connection made or ended between two slices may be met or missed; one that lives all the
//! while is met once. Cost: one slot after the other, up to the budget; with a zone to look for, only
//! those of its connections.

use weir_packet::Tick;

use crate::entry::{Entry, Expected};
use crate::filter::Filter;
use crate::record::{Direction, Ending};
use crate::table::{Keyed, Table, info};
use crate::tally::Tally;
use crate::tracker::Tracker;
use crate::watch::{Event, Watch};

/// Where a walk over the connections goes on; the default is where it begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    slot: u32,
    /// Over a zone: what was made at this number or later was met already; 0: nothing was.
    below: u64,
}

impl Tracker {
    /// Copies the connections that match `filter` to the end of `out`, looking at `budget`
    /// slots from `cursor` on. Returns where to go on, or `None` at the end.
    ///
    /// `out` grows only if it has no room for `budget` more.
    pub fn dump(
        &self,
        cursor: Cursor,
        budget: usize,
        filter: &Filter,
        now: Tick,
        out: &mut Vec<Entry>,
    ) -> Option<Cursor> {
        let mut walk = Walk::new(&self.table, cursor, budget, filter.zone);
        while let Some(slot) = walk.next(&self.table) {
            if !self.table.hot(slot).is_expired(now) && self.matches(slot, filter) {
                out.push(self.table.entry(slot, now));
            }
        }
        walk.cursor(&self.table)
    }

    /// Counts the connections that match `filter`, looking at `budget` slots from `cursor` on.
    /// Returns where to go on, or `None` at the end.
    pub fn tally(
        &self,
        cursor: Cursor,
        budget: usize,
        filter: &Filter,
        now: Tick,
        tally: &mut Tally,
    ) -> Option<Cursor> {
        let mut walk = Walk::new(&self.table, cursor, budget, filter.zone);
        while let Some(slot) = walk.next(&self.table) {
            let hot = self.table.hot(slot);
            if !hot.is_expired(now) && self.matches(slot, filter) {
                let protocol = self
                    .table
                    .cold(slot)
                    .key(Direction::Original)
                    .tuple()
                    .protocol;
                tally.count(protocol, &info(&hot.protocol));
            }
        }
        walk.cursor(&self.table)
    }

    /// Removes the connections that match `filter`, looking at `budget` slots from `cursor` on,
    /// and adds their number to `flushed`. Returns where to go on, or `None` at the end.
    ///
    /// A filter that is one whole original tuple is looked up in its zone, by default zone 0,
    /// as Open vSwitch does; it then also finds the connection whose replies have that tuple.
    pub fn flush(
        &mut self,
        cursor: Cursor,
        budget: usize,
        filter: &Filter,
        flushed: &mut u64,
    ) -> Option<Cursor> {
        if let Some(tuple) = filter.exact() {
            let zone = filter.zone.unwrap_or(0);
            // That direction may be in zone 0 though the connection is not.
            let slot = [zone, 0].into_iter().find_map(|key_zone| {
                let key = Keyed::new(&self.table, &tuple, key_zone);
                let slot = self.table.find(&key)?.slot;
                let is_there = key_zone == zone || self.table.hot(slot).zone == zone;
                is_there.then_some(slot)
            });
            if let Some(slot) = slot {
                self.end(slot, flushed);
            }
            return None;
        }
        let mut walk = Walk::new(&self.table, cursor, budget, filter.zone);
        while let Some(slot) = walk.next(&self.table) {
            if self.matches(slot, filter) {
                self.end(slot, flushed);
            }
        }
        walk.cursor(&self.table)
    }

    /// Copies what is expected in `zone`, or in any, to the end of `out`, looking at `budget`
    /// places from `cursor` on (0 to begin with). Returns where to go on, or `None` at the end.
    pub fn dump_expected(
        &self,
        cursor: u32,
        budget: usize,
        zone: Option<u16>,
        now: Tick,
        out: &mut Vec<Expected>,
    ) -> Option<u32> {
        let alg = self.table.alg.as_ref()?;
        let (slice, next) = alg.expectations.slice(cursor, budget);
        for expectation in slice.filter(|expectation| now < expectation.deadline) {
            let (key, master) = (expectation.key, expectation.master);
            let hot = self.table.hot(master);
            if zone.is_none_or(|zone| zone == key.zone()) && !hot.is_expired(now) {
                out.push(Expected {
                    zone: key.zone(),
                    tuple: key.tuple(),
                    parent: self.table.cold(master).key(Direction::Original).tuple(),
                    mark: hot.mark,
                    label: self.table.cold(master).label,
                    timeout_left: expectation.deadline.since(now),
                });
            }
        }
        next
    }

    /// Gives for `room`, which is to be empty, what happened to connections since this was asked
    /// last, and says how much more there was no room for. From the first time on there is as much
    /// room as was given last.
    pub fn take_events(&mut self, room: &mut Vec<Event>, now: Tick) -> u64 {
        let watch = self
            .table
            .watch
            .get_or_insert_with(|| Watch::new(now).into());
        watch.take(room)
    }

    /// Nobody listens any more.
    pub fn stop_events(&mut self) {
        self.table.watch = None;
    }

    fn matches(&self, slot: u32, filter: &Filter) -> bool {
        let (hot, cold) = (self.table.hot(slot), self.table.cold(slot));
        filter.takes_metadata(hot.zone, hot.mark, cold.label)
            && filter.takes_state(&info(&hot.protocol), hot.replied)
            && filter
                .original
                .takes(|| cold.key(Direction::Original).tuple())
            && filter.reply.takes(|| cold.key(Direction::Reply).tuple())
    }

    fn end(&mut self, slot: u32, flushed: &mut u64) {
        self.table.remove(slot, Ending::Flushed);
        self.counters.flushed += 1;
        *flushed += 1;
    }
}

/// A part of a walk. It is always ahead of the slot that it gave last, so that may be forgotten.
struct Walk {
    zone: Option<u16>,
    /// The slot that is looked at next, if there is one.
    at: Option<u32>,
    below: u64,
    left: usize,
}

impl Walk {
    fn new(table: &Table, cursor: Cursor, budget: usize, zone: Option<u16>) -> Self {
        let Cursor { slot, below } = cursor;
        let at = match zone {
            None => Some(slot),
            Some(zone) if below > 0 && table.is_of_zone(slot, zone) => Some(slot),
            // The beginning; or it was forgotten in between, and what was met is passed over.
            Some(zone) => table.chains.newest(zone),
        };
        Self {
            zone,
            at,
            below: if below > 0 { below } else { u64::MAX },
            // A budget of 0 would never come to an end.
            left: budget.max(1),
        }
    }

    /// The next live slot, while there is one and the budget lasts.
    fn next(&mut self, table: &Table) -> Option<u32> {
        while self.left > 0 {
            let slot = self.at?;
            let Some(_) = self.zone else {
                if slot >= table.touched() {
                    self.at = None;
                    return None;
                }
                self.left -= 1;
                self.at = Some(slot + 1);
                if table.hot(slot).is_live() {
                    return Some(slot);
                }
                continue;
            };
            self.left -= 1;
            self.at = table.chains.older(slot);
            let id = table.hot(slot).id;
            if id < self.below {
                self.below = id;
                return Some(slot);
            }
        }
        None
    }

    fn cursor(self, table: &Table) -> Option<Cursor> {
        let slot = self.at?;
        if self.zone.is_none() && slot >= table.touched() {
            return None;
        }
        let below = self.below;
        Some(Cursor { slot, below })
    }
}

#[cfg(test)]
mod tests;
