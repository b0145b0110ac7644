//! Room for one more connection: whose time is over goes first, then the oldest unreplied.

use weir_packet::Tick;

use crate::credits::Scope;
use crate::key::Key;
use crate::record::Ending;
use crate::request::CtDrop;
use crate::table::{Table, Turn};
use crate::tracker::Tracker;

impl Tracker {
    /// Sees to it that every limit allows one more connection of `zone` with this original key: forgets
    /// such whose time is over, else evicts the oldest unreplied of the next [`PROBE`] slots, of
    /// the same zone if it is the zone's limit. A source limit evicts nobody.
    ///
    /// Cost: bounded by [`PROBE`], whatever the table holds.
    pub(super) fn make_room(&mut self, original: &Key, zone: u16, now: Tick) -> Result<(), CtDrop> {
        if let Some(room) = self.rehearsed_room(original, zone, now) {
            return room;
        }
        let policy = self.table.zones.policy(zone);
        let (limit, source_limit) = (policy.limit, policy.source_limit);
        if let Some(limit) = source_limit
            && !self.fits(now, None, |table| table.of_source(original, zone) < limit)
        {
            return Err(CtDrop::SourceLimit);
        }
        if let Some(limit) = limit
            && self.table.zones.live(zone) >= limit
        {
            self.make_room_at(Some(zone), now)?;
        }
        if self.table.live() >= self.most {
            self.make_room_at(None, now)?;
        }
        Ok(())
    }

    /// As [`Self::make_room`], for a limit that may be reached: the zone's, or that of all.
    #[cold]
    fn make_room_at(&mut self, zone: Option<u16>, now: Tick) -> Result<(), CtDrop> {
        let scope = zone.map_or(Scope::All, Scope::Zone);
        let limit = self.allowance(zone);
        let live = |table: &Table| zone.map_or(table.live(), |zone| table.zones.live(zone));
        if self.fits(now, zone, |table| live(table) < limit) {
            let live = live(&self.table);
            if let Some(purses) = &mut self.purses {
                purses.spend(scope, live);
            }
            return Ok(());
        }
        // Without credits it is at its limit, whether or not others have some.
        if let Some(purses) = &mut self.purses {
            purses.refuse(scope);
        }
        // Above a limit that was lowered, one eviction would not help.
        if live(&self.table) == limit {
            self.evict(zone);
        }
        if live(&self.table) < limit {
            return Ok(());
        }
        Err(match zone {
            Some(_) => CtDrop::ZoneFull,
            None => CtDrop::TableFull,
        })
    }

    /// Whether a limit allows one more, if need be after some were forgotten whose time is over:
    /// such whose turn it is, such whose turn it almost is, and those of `zone` among the next
    /// [`PROBE`] slots.
    fn fits(&mut self, now: Tick, zone: Option<u16>, allows: impl Fn(&Table) -> bool) -> bool {
        if allows(&self.table) {
            return true;
        }
        for _ in 0..PROBE {
            match self.table.turn(now) {
                Turn::Forgotten => {
                    self.counters.expired += 1;
                    if allows(&self.table) {
                        return true;
                    }
                }
                Turn::PutBack => {}
                Turn::Done => break,
            }
        }
        for _ in 0..PROBE {
            let Some(slot) = self.table.overdue(now, PROBE as usize) else {
                break;
            };
            self.table.remove(slot, Ending::Expired);
            self.counters.expired += 1;
            if allows(&self.table) {
                return true;
            }
        }
        if zone.is_some() {
            let touched = self.table.touched();
            for n in 0..PROBE.min(touched) {
                let slot = (self.hand + 1 + n) % touched;
                let hot = self.table.hot(slot);
                if hot.is_live() && Some(hot.zone) == zone && hot.is_expired(now) {
                    self.table.remove(slot, Ending::Expired);
                    self.counters.expired += 1;
                    if allows(&self.table) {
                        return true;
                    }
                }
            }
        }
        false
    }

    /// Gives up the oldest unreplied connection among the next [`PROBE`] slots, of those in
    /// `zone` if there is one.
    fn evict(&mut self, zone: Option<u16>) {
        if let Some(slot) = self.oldest_unreplied(zone) {
            self.table.remove(slot, Ending::Evicted);
            self.counters.evicted += 1;
        }
    }

    /// The oldest unreplied connection among the next [`PROBE`] slots, of those in `zone` if there
    /// is one.
    pub(super) fn oldest_unreplied(&mut self, zone: Option<u16>) -> Option<u32> {
        let oldest = self.next_unreplied(zone).min();
        let touched = self.table.touched();
        if touched > 0 {
            self.hand = (self.hand + PROBE.min(touched)) % touched;
        }
        oldest.map(|(_, slot)| slot)
    }

    /// Those among which [`Self::oldest_unreplied`] chooses: their numbers and slots.
    pub(super) fn next_unreplied(&self, zone: Option<u16>) -> impl Iterator<Item = (u64, u32)> {
        let touched = self.table.touched();
        let next = (1..=PROBE.min(touched)).map(move |n| (self.hand + n) % touched);
        next.map(|slot| (self.table.hot(slot), slot))
            .filter(move |(hot, _)| {
                let there = zone.is_none_or(|zone| zone == hot.zone);
                there && hot.is_live() && !hot.replied
            })
            .map(|(hot, slot)| (hot.id, slot))
    }

    /// Forgets connections whose time is over though their turn to be looked at may not have
    /// come, at most twice [`PROBE`] of them; returns whether there was one.
    pub(crate) fn forget_overdue(&mut self, now: Tick) -> bool {
        if let Some(forgotten) = self.rehearse_forgetting(now) {
            return forgotten;
        }
        self.table.at(now);
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
            self.table.remove(slot, Ending::Expired);
            forgotten += 1;
        }
        self.counters.expired += forgotten;
        forgotten > 0
    }
}

/// How many connections are looked at to make room for one.
pub(super) const PROBE: u32 = 64;
