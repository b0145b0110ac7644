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
    /// such whose time is over, else evicts the oldest of the next [`PROBE`] that are unreplied, of
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

    /// Gives up one for a new connection, of those in `zone` if there is one.
    fn evict(&mut self, zone: Option<u16>) {
        if let Some(slot) = self.oldest_unreplied(zone) {
            self.table.remove(slot, Ending::Evicted);
            self.counters.evicted += 1;
        }
    }

    /// The oldest of the next [`PROBE`] unreplied connections, of those in `zone` if there is one.
    ///
    /// The search goes on where the last one ended, so that under a flood all of them have their turn
    /// before any comes again. Where none of those is in the zone, the zone is searched by itself: on from
    /// where that search ended, or from its newest, where those of a flood are.
    pub(super) fn oldest_unreplied(&mut self, zone: Option<u16>) -> Option<u32> {
        let mut slots = [0; PROBE as usize];
        let count = self.table.unreplied.fill(self.hand, &mut slots);
        let slots = &slots[..count];
        // They may lie anywhere: all are asked for at once.
        slots.iter().for_each(|slot| self.table.prefetch_hot(*slot));
        let mut oldest = None;
        for &slot in slots {
            let hot = self.table.hot(slot);
            if !hot.is_live() || hot.replied {
                self.table.unreplied.remove(slot);
            } else if zone.is_none_or(|zone| zone == hot.zone)
                && oldest.is_none_or(|(id, _)| hot.id < id)
            {
                oldest = Some((hot.id, slot));
            }
        }
        self.hand = slots.last().map_or(self.hand, |slot| slot + 1);
        match (oldest, zone) {
            (Some((_, slot)), _) => Some(slot),
            (None, None) => None,
            (None, Some(zone)) => {
                let oldest = self.oldest_in(zone, &[]);
                let last = self.walk(zone, self.hand_in(zone)).last();
                let next = last.and_then(|slot| self.table.chains.older(slot));
                self.table.chains.set_hand(zone, next);
                oldest
            }
        }
    }

    /// Which one [`Self::oldest_unreplied`] chooses, those left out that are `covered`.
    pub(super) fn would_evict(&self, zone: Option<u16>, covered: &[u32]) -> Option<u32> {
        let mut slots = [0; PROBE as usize];
        let count = self.table.unreplied.fill(self.hand, &mut slots);
        let slots = slots[..count].iter().copied();
        let there = |slot: &u32| zone.is_none_or(|zone| zone == self.table.hot(*slot).zone);
        let oldest = self.oldest_of(slots.filter(there), covered);
        oldest.or_else(|| self.oldest_in(zone?, covered))
    }

    /// The oldest unreplied connection of a zone, of some of them.
    #[cold]
    fn oldest_in(&self, zone: u16, covered: &[u32]) -> Option<u32> {
        let on = self.walk(zone, self.hand_in(zone));
        let oldest = self.oldest_of(on, covered);
        oldest.or_else(|| self.oldest_of(self.walk(zone, None), covered))
    }

    fn oldest_of(&self, slots: impl Iterator<Item = u32>, covered: &[u32]) -> Option<u32> {
        let may_go = |slot: &u32| {
            let hot = self.table.hot(*slot);
            hot.is_live() && !hot.replied && !covered.contains(slot)
        };
        let numbers = slots
            .filter(may_go)
            .map(|slot| (self.table.hot(slot).id, slot));
        numbers.min().map(|(_, slot)| slot)
    }

    /// At most [`PROBE`] connections of a zone, from that in `first` on to older ones, or from the
    /// newest.
    fn walk(&self, zone: u16, first: Option<u32>) -> impl Iterator<Item = u32> + '_ {
        let first = first.or_else(|| self.table.chains.newest(zone));
        let older = |slot: &u32| self.table.chains.older(*slot);
        std::iter::successors(first, older).take(PROBE as usize)
    }

    /// Where the search in a zone goes on, if that is still there.
    fn hand_in(&self, zone: u16) -> Option<u32> {
        let hand = self.table.chains.hand(zone);
        hand.filter(|slot| self.table.is_of_zone(*slot, zone))
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
