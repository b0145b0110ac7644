//! Translation: what a new connection gets, and what becomes of a packet of one.

use weir_nat::{Choice, Connections, End, NatKind, NatSpec, OtherVersion, Translation};
use weir_packet::{Tick, Tuple};

use crate::key::Key;
use crate::record::Direction;
use crate::request::{CtDrop, Meeting, Request, Role};
use crate::state::CtState;
use crate::table::{Table, Turn};
use crate::tracker::{PROBE, Tracker};

impl Tracker {
    /// The tuple that replies to `tuple` are to have, which no connection has, and which end is
    /// translated.
    pub(super) fn reply_to(
        &mut self,
        tuple: &Tuple,
        request: &Request<'_>,
        now: Tick,
    ) -> Result<(Tuple, Option<NatKind>), CtDrop> {
        let zone = request.zone;
        let Some(NatSpec::Allocate { kind, range, flags }) = request.nat else {
            let reply = tuple.reversed();
            if self.find(&Key::new(&reply, zone), now).is_some() {
                self.counters.refused_tuple_in_use += 1;
                return Err(CtDrop::TupleInUse);
            }
            return Ok((reply, None));
        };
        let choice = Choice {
            kind: *kind,
            range: range.as_ref(),
            flags: *flags,
            secret: self.secret,
            random: self.draw,
        };
        self.draw = self.draw.wrapping_add(1);
        let mut chosen = self.choose(&choice, tuple, zone, now);
        if chosen == Ok(None) && self.forget_overdue(now) {
            chosen = self.choose(&choice, tuple, zone, now);
        }
        match chosen {
            Ok(Some(reply)) => Ok((reply, Some(*kind))),
            Ok(None) => {
                self.counters.refused_nat_exhausted += 1;
                Err(CtDrop::NatExhausted)
            }
            Err(OtherVersion) => {
                self.counters.refused_nat_version += 1;
                Err(CtDrop::NatVersion)
            }
        }
    }

    fn choose(
        &mut self,
        choice: &Choice<'_>,
        tuple: &Tuple,
        zone: u16,
        now: Tick,
    ) -> Result<Option<Tuple>, OtherVersion> {
        let mut zone = InZone {
            table: &mut self.table,
            expired: &mut self.counters.expired,
            zone,
            now,
        };
        choice.reply(tuple, &mut zone)
    }

    /// Forgets connections whose time is over though their turn to be looked at may not have
    /// come, at most twice [`PROBE`] of them; returns whether there was one.
    fn forget_overdue(&mut self, now: Tick) -> bool {
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

    /// What is to become of a packet of the connection in `slot`; notes the translation in its
    /// state. `None` if nothing changes, or was changed on the packet's way already.
    ///
    /// As in Open vSwitch, the state says so also where a translation changes nothing, and an
    /// invalid packet is translated like any other.
    pub(super) fn translation(&self, slot: u32, meeting: &mut Meeting) -> Option<Translation> {
        let kind = self.table.hot(slot).nat?;
        let done = |bit| meeting.state.contains(bit);
        if done(CtState::SNAT) || done(CtState::DNAT) {
            return None;
        }
        let end = match (kind, meeting.direction) {
            (NatKind::Src, Direction::Original) | (NatKind::Dst, Direction::Reply) => End::Src,
            (NatKind::Dst, Direction::Original) | (NatKind::Src, Direction::Reply) => End::Dst,
        };
        meeting.state |= match end {
            End::Src => CtState::SNAT,
            End::Dst => CtState::DNAT,
        };
        let [original, reply] = self.table.cold(slot).keys.map(|key| key.tuple());
        if reply == original.reversed() {
            return None;
        }
        let tuple = match meeting.direction {
            Direction::Original => reply.reversed(),
            Direction::Reply => original.reversed(),
        };
        Some(match meeting.role {
            Role::Part => Translation::Packet(tuple),
            Role::Error => Translation::Error {
                src: (end == End::Src).then(|| tuple.src()),
                dst: (end == End::Dst).then(|| tuple.dst()),
                // It quotes a packet of the other direction.
                quoted: tuple.reversed(),
            },
        })
    }
}

/// The connections of one zone, as a choice sees them.
struct InZone<'a> {
    table: &'a mut Table,
    expired: &'a mut u64,
    zone: u16,
    now: Tick,
}

impl Connections for InZone<'_> {
    fn next_free(&self, reply: &Tuple, end: End, from: u16, to: u16) -> Option<u16> {
        let key = Key::new(reply, self.zone);
        self.table.next_free(&key, end, from, to)
    }

    fn is_taken(&mut self, reply: &Tuple, end: End) -> bool {
        let Some(place) = self.table.find(&Key::new(reply, self.zone)) else {
            return false;
        };
        if self.table.hot(place.slot).is_expired(self.now) {
            self.table.remove(place.slot);
            *self.expired += 1;
            return false;
        }
        self.table.lease(place, end);
        true
    }
}

#[cfg(test)]
mod tests;
