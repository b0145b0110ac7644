//! What `ct()` would do to a packet, found out without doing it.
//!
//! While a *rehearsal* goes on, a small tracker lies over the real one. Connections that a packet
//! meets are copied into it, and the code that tracks packets runs on the copies; where it asks
//! which tuples and numbers are taken, or whether there is room, it is told what lies under it,
//! too. So there is one tracker's code, and what it says of a packet is what would be said.
//!
//! Invariants
//!   1. What lies under is never written to: nobody has it other than by [`Under`]'s shared
//!      reference until the rehearsal ends.
//!
//! Threads: as the tracker's.
//! Cost: takes memory for [`REHEARSAL_ROOM`] connections when it begins; a packet that is not rehearsed
//! pays one comparison if it opens a connection.

use std::sync::Arc;

use weir_nat::End;
use weir_packet::{Frame, Layout, Tick, Tuple};

use super::{Reading, Tracker};
use crate::alg::Others;
use crate::entry::Entry;
use crate::extract::Subject;
use crate::key::Key;
use crate::record::{Direction, Ending};
use crate::request::{CtDrop, Outcome, Request};
use crate::settings::Settings;
use crate::sharing::Sharing;
use crate::table::{Keyed, Table};
use crate::tracker::room::PROBE;

#[cfg(test)]
mod tests;

/// Connections that one rehearsal can copy or make.
pub const REHEARSAL_ROOM: u32 = 512;

/// The tracker that a rehearsal lies over.
pub(super) struct Under {
    tracker: Arc<Tracker>,
    /// Its slots for which what lies over it stands, whether or not there is anything.
    covered: Vec<u32>,
    /// There were more than it has room for.
    beyond: bool,
}

/// What a `ct()` would have done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rehearsed {
    /// The connection that the packet belongs to, as it is.
    pub before: Option<Entry>,
    /// The connection that it met or would make, as it would be.
    pub after: Option<Entry>,
    /// The counters that would count.
    pub counted: Vec<&'static str>,
    /// The rehearsal has met more than [`REHEARSAL_ROOM`] connections: there was no room for this
    /// one or one before, so what is said may not be what would happen.
    pub beyond: bool,
}

impl Tracker {
    /// Lets what follows be a rehearsal, until [`Tracker::end_rehearsal`].
    pub fn begin_rehearsal(&mut self) {
        let settings = Settings {
            max_connections: REHEARSAL_ROOM,
            ..self.settings.clone()
        };
        let mut over = Self::new(&settings, self.secret);
        over.settings.clone_from(&self.settings);
        over.draw = self.draw;
        if self.table.alg.is_some() {
            over.provide_helpers();
        }
        if let (Some(own), Some(others)) = (&mut over.table.alg, self.others()) {
            let room = REHEARSAL_ROOM as usize;
            own.others = Some(Box::new(Others::new(others.me, 1, room)));
        }
        let real = std::mem::replace(self, over);
        self.under = Some(Under {
            tracker: Arc::new(real),
            covered: Vec::new(),
            beyond: false,
        });
    }

    /// Forgets what was rehearsed: everything is as it was before. Does nothing if nothing is.
    pub fn end_rehearsal(&mut self) {
        if let Some(real) = self
            .under
            .take()
            .and_then(|under| Arc::into_inner(under.tracker))
        {
            *self = real;
        }
    }

    /// As [`Tracker::execute_read`], in a rehearsal; also says what that would do.
    pub fn rehearse<F: Frame>(
        &mut self,
        frame: &F,
        layout: &Layout,
        reading: &mut Option<Reading>,
        request: &Request<'_>,
        outcome: &mut Outcome,
        now: Tick,
    ) -> (Result<(), CtDrop>, Rehearsed) {
        let subject = reading
            .get_or_insert_with(|| Reading::of(frame, layout))
            .subject;
        let mut before = None;
        if let Ok(Subject::Packet(tuple, _) | Subject::Error(tuple)) = &subject {
            for zone in request.zones() {
                self.cover(tuple, zone, now);
                self.cover(&tuple.reversed(), zone, now);
                self.cover_expecting(tuple, zone, now);
            }
            before = self
                .find_in(tuple, request.zones(), now)
                .map(|place| self.table.entry(place.slot, now));
        }
        let counters = self.counters.clone();
        let done = self.execute_read(frame, layout, reading, request, outcome, now);
        let met = outcome.seen.filter(|_| done.is_ok());
        let pairs = self.counters.iter().zip(counters.iter());
        let rehearsed = Rehearsed {
            before,
            after: met.map(|seen| self.table.entry(seen.slot, now)),
            counted: pairs
                .filter(|((_, after, _), (_, before, _))| after != before)
                .map(|((name, ..), _)| name)
                .collect(),
            beyond: self.under.as_ref().is_some_and(|under| under.beyond),
        };
        (done, rehearsed)
    }

    /// Copies the connection with this tuple from the tracker under this one, if there is one and
    /// it was not copied before.
    fn cover(&mut self, tuple: &Tuple, zone: u16, now: Tick) {
        let Some(Under {
            tracker,
            covered,
            beyond,
        }) = &mut self.under
        else {
            return;
        };
        let table = &tracker.table;
        let Some(place) = table.find(&Keyed::new(table, tuple, zone)) else {
            return;
        };
        if covered.contains(&place.slot) {
            return;
        }
        covered.push(place.slot);
        let kin = table.hot(place.slot).kin;
        if table.hot(place.slot).is_expired(now) {
            return;
        }
        let Some(slot) = self.table.adopt(table, place.slot, now) else {
            *beyond = true;
            return;
        };
        if let (Some(own), Some(alg)) = (&mut self.table.alg, &table.alg) {
            own.adopt(slot, alg, place.slot, now);
            self.table.set_kin(slot, kin);
        }
    }

    /// Notes that there was no room to rehearse what would be done.
    pub(super) const fn beyond_rehearsal(&mut self) {
        if let Some(under) = &mut self.under {
            under.beyond = true;
        }
    }

    /// The same of the connection that expects one that begins with this tuple.
    fn cover_expecting(&mut self, tuple: &Tuple, zone: u16, now: Tick) {
        let key = Key::new(tuple, zone);
        let Some(under) = self.under.as_ref().map(|under| Arc::clone(&under.tracker)) else {
            return;
        };
        if let (Some(own), Some(others)) = (self.others_mut(), under.others()) {
            own.adopt(others, &key.without_number(End::Src));
        }
        let Some(master) = under.expecting(&key, now) else {
            return;
        };
        self.cover(&master.tuple(), zone, now);
    }

    /// In a rehearsal: whether there would be room for one more connection with this original
    /// key. Those that would go for it are gone. Which one is evicted may differ if the packet
    /// itself has met those that are looked at.
    pub(super) fn rehearsed_room(
        &mut self,
        original: &Key,
        zone: u16,
        now: Tick,
    ) -> Option<Result<(), CtDrop>> {
        self.under.as_ref()?;
        let policy = self.table.zones.policy(zone);
        let (limit, source_limit) = (policy.limit, policy.source_limit);
        if let Some(limit) = source_limit {
            let over = self.table.of_source(original, zone);
            let under = self.under.as_mut()?;
            under.forget_overdue(now, |under| under.of_source(original, zone) + over < limit);
            if under.of_source(original, zone) + over >= limit {
                return Some(Err(CtDrop::SourceLimit));
            }
        }
        if limit.is_some() && !self.rehearse_fitting(Some(zone), now)? {
            return Some(Err(CtDrop::ZoneFull));
        }
        if !self.rehearse_fitting(None, now)? {
            return Some(Err(CtDrop::TableFull));
        }
        Some(Ok(()))
    }

    /// In a rehearsal: whether a limit, of `zone` if there is one, would allow one more.
    fn rehearse_fitting(&mut self, zone: Option<u16>, now: Tick) -> Option<bool> {
        let limit = self.under.as_ref()?.tracker.allowance(zone);
        let live = |table: &Table| zone.map_or(table.live(), |zone| table.zones.live(zone));
        let over = live(&self.table);
        let under = self.under.as_mut()?;
        under.forget_overdue(now, |under| under.live(zone) + over < limit);
        if under.live(zone) + over == limit {
            if let Some(slot) = under.oldest_unreplied(zone) {
                under.covered.push(slot);
                self.counters.evicted += 1;
            } else if let Some(slot) = self.oldest_unreplied(zone) {
                self.table.remove(slot, Ending::Evicted);
                self.counters.evicted += 1;
            }
        }
        let over = live(&self.table);
        Some(self.under.as_ref()?.live(zone) + over < limit)
    }

    /// In a rehearsal: whether connections under it whose time is over would be forgotten; they
    /// then count as forgotten.
    pub(super) fn rehearse_forgetting(&mut self, now: Tick) -> Option<bool> {
        Some(self.under.as_mut()?.forget_overdue(now, |_| false))
    }
}

impl Under {
    /// Whether the number at `end` of `key` is somebody's of whom no copy was made.
    pub(super) fn is_taken(&self, key: &Keyed, now: Tick) -> bool {
        let table = &self.tracker.table;
        let place = table.find(key);
        place.is_some_and(|place| {
            !self.covered.contains(&place.slot) && !table.hot(place.slot).is_expired(now)
        })
    }

    /// Whether somebody of whom no copy was made expects a connection with this key.
    pub(super) fn is_expected(&self, key: &Key, now: Tick) -> bool {
        let alg = self.tracker.table.alg.as_ref();
        let expected = alg.and_then(|alg| alg.expected(key, now));
        let foreign = self.tracker.others();
        expected.is_some_and(|(_, expectation)| !self.covered.contains(&expectation.master))
            || foreign.is_some_and(|others| others.find(key, now).is_some())
    }

    /// What it knows of other lcores, if there are any.
    pub(super) fn sharing(&self) -> Option<&Sharing> {
        self.tracker.sharing()
    }

    /// The first number from `from` to `to` that is leased at `end` of `key` neither here nor in
    /// `over`.
    pub(super) fn next_free(
        &self,
        over: &Table,
        key: &Key,
        end: End,
        from: u16,
        to: u16,
    ) -> Option<u16> {
        let table = &self.tracker.table;
        let mut at = from;
        let free = loop {
            let Some(here) = table.next_free(key, end, at, to) else {
                break None;
            };
            match over.next_free(key, end, here, to) {
                Some(there) if there == here => break Some(here),
                Some(there) => at = there,
                None => break None,
            }
        };
        // What those held who are copied, or gone, is as free as `over` says.
        let covered = self.covered.iter().flat_map(|&slot| {
            Direction::BOTH.map(|direction| (slot, direction, table.cold(slot).key(direction)))
        });
        let given_up = covered.filter_map(|(slot, direction, own)| {
            let is_leased = table.hot(slot).leased & direction.lease_bit(end) != 0;
            let number = own
                .number(end)
                .filter(|number| (from..=to).contains(number))?;
            let alike = own.without_number(end).is(&key.without_number(end));
            let is_free = || over.next_free(key, end, number, number).is_some();
            (is_leased && alike && is_free()).then_some(number)
        });
        given_up.chain(free).min()
    }

    /// How many connections there are that no copy stands for, in `zone` if there is one.
    fn live(&self, zone: Option<u16>) -> u32 {
        let table = &self.tracker.table;
        let Some(zone) = zone else {
            return table.live() - self.covered.len() as u32;
        };
        let covered = self.covered.iter();
        let covered = covered.filter(|&&slot| table.hot(slot).zone == zone);
        table.zones.live(zone) - covered.count() as u32
    }

    /// How many connections the source of `key` opened in `zone`, of those that no copy stands for.
    fn of_source(&self, key: &Key, zone: u16) -> u32 {
        let table = &self.tracker.table;
        let covered = self.covered.iter();
        let covered = covered.filter(|&&slot| table.counts_for(slot, key, zone));
        table.of_source(key, zone) - covered.count() as u32
    }

    /// Lets those of the connections looked at first whose time is over be gone, until it is
    /// `enough`; returns whether there were any.
    fn forget_overdue(&mut self, now: Tick, enough: impl Fn(&Self) -> bool) -> bool {
        let before = self.covered.len();
        let tracker = Arc::clone(&self.tracker);
        for slot in tracker.table.all_overdue(now, PROBE as usize) {
            if enough(self) {
                break;
            }
            if !self.covered.contains(&slot) {
                self.covered.push(slot);
            }
        }
        self.covered.len() > before
    }

    /// Which one would be evicted.
    fn oldest_unreplied(&self, zone: Option<u16>) -> Option<u32> {
        self.tracker.would_evict(zone, &self.covered)
    }
}
