//! Translation: what a new connection gets, and what becomes of a packet of one.

use weir_nat::{
    Choice, Connections, End, NatKind, NatSpec, Offer, OtherVersion, Position, Search, Translation,
    Whereabouts,
};
use weir_packet::{Tick, Tuple};

use crate::key::Key;
use crate::owner::{PairId, ShardId};
use crate::record::{Direction, Ending};
use crate::request::{CtDrop, Meeting, Role};
use crate::state::CtState;
use crate::table::{Keyed, Table};
use crate::tracker::quest::{Asked, Hunt, Refusal};
use crate::tracker::reading::Lookup;
use crate::tracker::rehearse::Under;
use crate::tracker::{Tracker, Visit};

impl Tracker {
    /// The tuple that replies to `tuple` are to have, which no connection has, and which end is
    /// translated.
    ///
    /// Both tuples belong to this lcore then. If that takes asking another one, the answer goes
    /// into `quest`, and then it is tried again.
    #[inline(always)]
    pub(super) fn reply_to(
        &mut self,
        tuple: &Tuple,
        visit: &mut Visit<'_>,
    ) -> Result<(Keyed, Option<NatKind>), Refusal> {
        let (zone, now) = (visit.request.zone, visit.now);
        if let Some(sharing) = self.table.sharing() {
            let pair = visit.search.pair(sharing, tuple);
            if sharing.route(pair) != sharing.me {
                self.be_ours(tuple, pair, visit)?;
            }
        }
        let [_, reply_zone] = visit.zones;
        if let Some(spec @ NatSpec::Allocate { kind, .. }) = visit.request.nat {
            let reply = self.translated(tuple, spec, [zone, reply_zone], visit)?;
            return Ok((reply, Some(*kind)));
        }
        let reply = tuple.reversed();
        let reply = visit.search.keyed_reply(&self.table, &reply, reply_zone);
        if self.find(&reply, now).is_some() {
            return Err(self.refuse(zone, CtDrop::TupleInUse));
        }
        Ok((reply, None))
    }

    /// The same for a connection of the first of `zones` that is translated, with replies in the
    /// second.
    fn translated(
        &mut self,
        tuple: &Tuple,
        spec: &NatSpec,
        [zone, reply_zone]: [u16; 2],
        visit: &mut Visit<'_>,
    ) -> Result<Keyed, Refusal> {
        let Visit {
            search, quest, now, ..
        } = visit;
        let now = *now;
        let chosen = self.choose(tuple, spec, search, quest, [zone, reply_zone], now);
        match &chosen {
            Ok(_) if quest.probes > 1 => self.ranges.note(spec, zone, quest.probes, None),
            Err(Refusal::Drop(drop)) => self.ranges.note(spec, zone, quest.probes, Some(*drop)),
            Ok(_) | Err(Refusal::Ask { .. } | Refusal::Later | Refusal::Hear(_)) => {}
        }
        Ok(search.keyed_reply(&self.table, &chosen?, reply_zone))
    }

    /// A free tuple of those that `spec` has to choose from, for a connection of the first of
    /// `zones` whose replies are in the second.
    fn choose(
        &mut self,
        tuple: &Tuple,
        spec: &NatSpec,
        search: &Lookup,
        quest: &mut Hunt,
        [zone, reply_zone]: [u16; 2],
        now: Tick,
    ) -> Result<Tuple, Refusal> {
        let NatSpec::Allocate { kind, range, flags } = spec else {
            return Ok(tuple.reversed());
        };
        let draw = quest.draw.unwrap_or_else(|| {
            self.draw = self.draw.wrapping_add(1);
            self.draw.wrapping_sub(1)
        });
        quest.draw = Some(draw);
        let choice = Choice {
            kind: *kind,
            range: range.as_ref(),
            flags: *flags,
            secret: self.secret,
            random: draw,
        };
        if let Some(reply) = quest.granted.take()
            && !self
                .in_zone(search, &mut quest.probes, reply_zone, now)
                .is_taken(&reply, End::Dst)
        {
            return Ok(reply);
        }
        loop {
            match choice.offer(tuple, quest.position) {
                Ok(Some((offer, next))) => {
                    if let Some(reply) = self.take(&offer, search, quest, reply_zone, now)? {
                        return Ok(reply);
                    }
                    quest.go_on(next);
                }
                Ok(None) if !quest.swept && self.forget_overdue(now) => {
                    quest.swept = true;
                    quest.go_on(Position::default());
                }
                Ok(None) => {
                    return Err(self.refuse(zone, CtDrop::NatExhausted));
                }
                Err(OtherVersion) => {
                    return Err(self.refuse(zone, CtDrop::NatVersion));
                }
            }
        }
    }

    /// The key that replies have first choice of, if `original` opens a connection that is
    /// translated like the last one, and where it is noted whether its port is leased.
    #[inline]
    pub(super) fn expected_reply(
        &self,
        original: &Tuple,
        zone: u16,
    ) -> Option<(Key, Option<Whereabouts>)> {
        let Some(NatSpec::Allocate { kind, range, flags }) = &self.habit.nat else {
            return Some((Key::new(&original.reversed(), zone), None));
        };
        let choice = Choice {
            kind: *kind,
            range: range.as_ref(),
            flags: *flags,
            secret: self.secret,
            random: self.draw,
        };
        let (offer, _) = choice.offer(original, Position::default()).ok()??;
        let reply = Key::new(&offer.candidate(0)?, zone);
        let lease = match kind {
            NatKind::Src => self.table.lease_whereabouts(&reply, End::Dst),
            NatKind::Dst => None,
        };
        Some((reply, lease))
    }

    /// The packet's own tuple, which it got on its way, does not belong here; its owner may give it.
    #[cold]
    fn be_ours(
        &mut self,
        tuple: &Tuple,
        pair: PairId,
        visit: &mut Visit<'_>,
    ) -> Result<(), Refusal> {
        let Some(sharing) = self.table.sharing() else {
            return Ok(());
        };
        let quest = &mut *visit.quest;
        let (owner, me) = (sharing.owners.owner(pair), sharing.me);
        if owner == me || quest.original_refused {
            return Err(self.refuse(visit.request.zone, CtDrop::TupleInUse));
        }
        quest.asked = Asked::Original;
        Err(Refusal::Ask {
            to: owner,
            offer: Offer::exactly(*tuple),
            index: 0,
        })
    }

    /// A free tuple of an offer: one of those that lead home, else one that another lcore gives.
    fn take(
        &mut self,
        offer: &Offer,
        search: &Lookup,
        quest: &mut Hunt,
        zone: u16,
        now: Tick,
    ) -> Result<Option<Tuple>, Refusal> {
        if quest.stage == 0 {
            match offer.find(&mut self.in_zone(search, &mut quest.probes, zone, now)) {
                Search::Found(reply) => return Ok(Some(reply)),
                Search::Exhausted => {}
                Search::GivenUp => quest.rest = true,
            }
            quest.stage = 1;
        }
        let Some(sharing) = self.table.sharing() else {
            return Ok(None);
        };
        let shards = sharing.owners.shards();
        while quest.stage < shards {
            let to = ShardId((sharing.me.0 + quest.stage) % shards);
            let pointless = offer.only().is_some_and(|only| {
                sharing.is_ours(only) || sharing.owners.owner(sharing.owners.pair(only)) != to
            });
            if !pointless {
                quest.asked = Asked::Reply;
                let (offer, index) = (*offer, quest.index);
                return Err(Refusal::Ask { to, offer, index });
            }
            quest.stage += 1;
        }
        if !quest.rest {
            return Ok(None);
        }
        let from = quest.index;
        quest.index += SLICE;
        for index in from..quest.index {
            let Some(reply) = offer.candidate(index) else {
                return Ok(None);
            };
            let mut zone = self.in_zone(search, &mut quest.probes, zone, now);
            if zone.leads_home(&reply) && !zone.is_taken(&reply, End::Dst) {
                return Ok(Some(reply));
            }
        }
        Err(Refusal::Later)
    }

    fn in_zone<'a>(
        &'a mut self,
        search: &'a Lookup,
        probes: &'a mut u32,
        zone: u16,
        now: Tick,
    ) -> InZone<'a> {
        InZone {
            search,
            probes,
            table: &mut self.table,
            under: self.under.as_ref(),
            expired: &mut self.counters.expired,
            zone,
            now,
        }
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

/// How many candidates of an offer are looked at in one go.
pub(crate) const SLICE: u32 = 256;

/// The connections of one zone, as a choice sees them.
struct InZone<'a> {
    search: &'a Lookup,
    /// How many candidates were looked at.
    probes: &'a mut u32,
    table: &'a mut Table,
    /// In a rehearsal: what it lies over.
    under: Option<&'a Under>,
    expired: &'a mut u64,
    zone: u16,
    now: Tick,
}

impl Connections for InZone<'_> {
    fn next_free(&self, reply: &Tuple, end: End, from: u16, to: u16) -> Option<u16> {
        let key = Key::new(reply, self.zone);
        match self.under {
            None => self.table.next_free(&key, end, from, to),
            Some(under) => under.next_free(self.table, &key, end, from, to),
        }
    }

    fn leads_home(&self, reply: &Tuple) -> bool {
        let sharing = self.table.sharing();
        sharing.is_none_or(|sharing| sharing.is_ours(reply))
    }

    fn is_taken(&mut self, reply: &Tuple, end: End) -> bool {
        *self.probes = self.probes.saturating_add(1);
        let key = self.search.keyed_reply(self.table, reply, self.zone);
        let Some(place) = self.table.find(&key) else {
            return self
                .under
                .is_some_and(|under| under.is_taken(&key, self.now));
        };
        if self.table.hot(place.slot).is_expired(self.now) {
            self.table.remove(place.slot, Ending::Expired);
            *self.expired += 1;
            return false;
        }
        self.table.lease(place, end);
        true
    }
}

#[cfg(test)]
mod tests;
