//! What helpers do: which connections are expected, and what becomes of one that was.

use weir_nat::{End, NatFlags, NatKind, NatRange, NatSpec};
use weir_packet::{Frame, IpPair, Layout, Tick, Tuple, protocol};

use super::{Refusal, Tracker, Visit};
use crate::alg::ftp::{self, Announcement};
use crate::alg::{
    Alg, Expectation, HELPED, Helper, LIFETIME, Mend, Met, PER_MASTER, RELATED, is_at_or_after,
    tftp,
};
use crate::extract::Transport;
use crate::index::Place;
use crate::key::Key;
use crate::owner::ShardId;
use crate::record::Direction;
use crate::request::{CtDrop, Meeting, Outcome, Request, Role};
use crate::state::CtState;
use crate::table::Keyed;
use crate::tcp::{Segment, SegmentKind};

/// What a connection gets that was expected.
#[derive(Clone, Copy, Debug)]
pub(super) struct Foretold {
    whose: Whose,
    nat: Option<NatSpec>,
    /// The original key of its master.
    parent: Key,
    pub(super) mark: u32,
    pub(super) label: u128,
}

/// Where the expectation of a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// Here, at this place and under this number.
    Own(u32, u64),
    /// At another lcore, under this number.
    Foreign(ShardId, u64),
}

impl Tracker {
    /// Takes memory for helpers, if it was not taken; without, no connection gets one.
    pub fn provide_helpers(&mut self) {
        let slots = self.table.slots();
        let sharing = self.table.sharing();
        let lcore = sharing.map(|sharing| (sharing.me, sharing.owners.shards()));
        let alg = &mut self.table.alg;
        alg.get_or_insert_with(|| Box::new(Alg::new(slots, lcore)));
    }

    /// Lets the helper of the connection that a packet met look at it, once in each zone. Where
    /// packets of the connection are translated, that is when this one is.
    ///
    /// With several lcores a packet waits until all others have heard what is expected.
    ///
    /// # Errors
    /// If the packet is to be held.
    pub(super) fn help<F: Frame>(
        &mut self,
        frame: &F,
        layout: &Layout,
        request: &Request<'_>,
        outcome: &mut Outcome,
        now: Tick,
    ) -> Result<(), CtDrop> {
        let Some(seen) = &mut outcome.seen else {
            return Ok(());
        };
        let (slot, hot) = (seen.slot, self.table.hot(seen.slot));
        if hot.kin & HELPED == 0 {
            return Ok(());
        }
        outcome.recall = None;
        let Meeting {
            direction,
            role,
            state,
            helped,
        } = seen.meeting;
        let untranslated = hot.nat.is_some() && request.nat.is_none();
        if role != Role::Part || state.contains(CtState::INV) || untranslated {
            return Ok(());
        }
        if !helped {
            seen.meeting.helped = true;
            self.look(frame, layout, request, outcome, (slot, direction), now)?;
        }
        if self.table.sharing().is_some() {
            self.tell_others(slot, outcome);
        }
        Ok(())
    }

    /// Lets the helper of the connection in `slot` look at a packet.
    fn look<F: Frame>(
        &mut self,
        frame: &F,
        layout: &Layout,
        request: &Request<'_>,
        outcome: &mut Outcome,
        (slot, direction): (u32, Direction),
        now: Tick,
    ) -> Result<(), CtDrop> {
        match self.helper(slot) {
            Some(Helper::Tftp) => self.help_tftp(frame, layout, slot, direction, now),
            Some(Helper::Ftp) => {
                let held = self.help_ftp(frame, layout, slot, direction, &mut outcome.mends, now);
                if held {
                    let zone = request.zone;
                    return Err(self.refuse(zone, CtDrop::Held).without_others());
                }
            }
            None => {}
        }
        Ok(())
    }

    /// A request: the server answers from a port of its own to the one that it came from.
    fn help_tftp<F: Frame>(
        &mut self,
        frame: &F,
        layout: &Layout,
        slot: u32,
        direction: Direction,
        now: Tick,
    ) {
        let start = usize::from(layout.l4_offset) + 8;
        let head = frame.head();
        let payload = head.get(start..head.len().min(layout.l3_end as usize));
        if direction == Direction::Original && payload.is_some_and(tftp::is_request) {
            let own = self.table.cold(slot).key(direction).tuple();
            let outside = self.table.cold(slot).key(Direction::Reply).tuple();
            self.expect(slot, direction, own.src_port, Some(outside.dst_port), now);
        }
    }

    /// A segment of a control connection. Says whether it is held as a whole; `mends` if it or its
    /// numbers are to be changed.
    fn help_ftp<F: Frame>(
        &mut self,
        frame: &F,
        layout: &Layout,
        slot: u32,
        direction: Direction,
        mends: &mut bool,
        now: Tick,
    ) -> bool {
        let Ok(segment) = Segment::read(frame.head(), layout) else {
            return false;
        };
        let rewrites = self.rewrites(slot, direction);
        let Some(alg) = &mut self.table.alg else {
            return false;
        };
        let mut mend = Mend::new(slot, direction, segment.sequence);
        let Some(control) = alg.control_mut(slot) else {
            return false;
        };
        let (stream, numbers) = control.end_mut(direction);
        let mut announced: [Option<(u32, Announcement)>; PER_MASTER] = Default::default();
        if segment.payload_size > 0 && !segment.synchronizes() {
            let (start, end) = (
                segment.sequence,
                segment.sequence.wrapping_add(segment.payload_size),
            );
            numbers.forget_far(start);
            let before = stream.next();
            if let (Some((held, bytes)), Some(next)) = (stream.held(), before)
                && is_at_or_after(start, held)
                && is_at_or_after(next, start)
            {
                let missing = start.wrapping_sub(held) as usize;
                mend.put_in_front(bytes.get(..missing).unwrap_or_default());
                mend.start = held;
            }
            let from_client = direction == Direction::Original;
            stream.read(
                start,
                payload(frame, layout, segment.payload_size),
                |line| {
                    let announcement = if from_client {
                        ftp::command(line.bytes)
                    } else {
                        ftp::reply(line.bytes)
                    };
                    let place = announced.iter_mut().find(|place| place.is_none());
                    if let (Some(announcement), Some(place)) = (announcement, place) {
                        *place = Some((line.start, announcement));
                    }
                },
            );
            let begun = stream.begun().filter(|_| stream.next() == Some(end));
            let begun = begun.filter(|line| ftp::is_begun(line, from_client));
            if let Some(line) = begun
                && rewrites
                && segment.kind == SegmentKind::Ack
            {
                let line_start = end.wrapping_sub(line.len() as u32);
                let from = if is_at_or_after(line_start, mend.start) {
                    line_start
                } else {
                    mend.start
                };
                stream.hold(from, before != stream.next());
            } else if segment.kind != SegmentKind::Ack {
                stream.release();
            }
            if let Some((held, _)) = stream.held()
                && !is_at_or_after(held, end)
            {
                mend.cut = end.wrapping_sub(held);
                let size = segment.payload_size + mend.prefix().len() as u32;
                if mend.cut >= size {
                    return true;
                }
            }
        }
        *mends = !mend.prefix().is_empty() || mend.cut > 0;
        alg.mend = mend;
        for (line, announcement) in announced.into_iter().flatten() {
            let at = line.wrapping_add(announcement.at.start as u32);
            let sent_already = !is_at_or_after(at, mend.start);
            self.announced(
                slot,
                direction,
                at,
                &announcement,
                rewrites && sent_already,
                now,
            );
        }
        let alg = self.table.alg.as_deref();
        let control = alg.and_then(|alg| alg.control(slot));
        *mends |= control.is_some_and(|control| !control.is_unmoved());
        false
    }

    /// The end that sends in `direction` says where it listens; the text begins at the number
    /// `at`. `too_late`: its beginning was let go on already.
    fn announced(
        &mut self,
        slot: u32,
        direction: Direction,
        at: u32,
        announcement: &Announcement,
        too_late: bool,
        now: Tick,
    ) {
        let own = self.table.cold(slot).key(direction).tuple();
        let outside = self.table.cold(slot).key(direction.opposite()).tuple();
        let is_own = announcement
            .address
            .is_none_or(|address| address == own.src());
        // RFC 2577 3: what lies below belongs to others.
        if !is_own || announcement.port < 1024 || too_late {
            self.counters.expectations_refused += 1;
            return;
        }
        let Some(port) = self.expect(slot, direction, announcement.port, None, now) else {
            return;
        };
        let text = announcement.text(outside.dst(), port);
        let says_no_address = announcement.address.is_none();
        let same = port == announcement.port && (says_no_address || outside.dst() == own.src());
        if !same
            && let Some(control) = self
                .table
                .alg
                .as_mut()
                .and_then(|alg| alg.control_mut(slot))
        {
            let size = announcement.at.len() as u32;
            let (_, numbers) = control.end_mut(direction);
            numbers.replace(at, size, text);
        }
    }

    /// Expects a connection to `port` of the end that sends in `direction`, from the other end.
    /// Returns the port that it is to be opened to on the other side: `outside`, or one that is
    /// free. `None` if there is none, or no room.
    fn expect(
        &mut self,
        slot: u32,
        direction: Direction,
        port: u16,
        outside: Option<u16>,
        now: Tick,
    ) -> Option<u16> {
        let found = self.find_expected(slot, direction, port, outside, now);
        match found {
            Some(_) => self.counters.expectations += 1,
            None => self.counters.expectations_refused += 1,
        }
        found
    }

    fn find_expected(
        &mut self,
        slot: u32,
        direction: Direction,
        port: u16,
        outside: Option<u16>,
        now: Tick,
    ) -> Option<u16> {
        let zone = self.table.hot(slot).zone;
        let own = self.table.cold(slot).key(direction).tuple();
        let other = self.table.cold(slot).key(direction.opposite()).tuple();
        let inside = own.ip.reversed();
        let nat = translation(other.ip, inside, port);
        let moves = matches!(
            nat,
            Some(NatSpec::Allocate {
                kind: NatKind::Dst,
                ..
            })
        );
        let first = outside.unwrap_or(port);
        // Only what is translated can be asked for elsewhere.
        let chooses = moves && outside.is_none();
        let shards = self.homes().map_or(1, |homes| homes.owners.shards());
        let tries = if chooses { TRIES * shards } else { 1 };
        let deadline = now + LIFETIME;
        let said = self.said(slot);
        for number in 0..tries {
            // Ports from 1024 on, round and round.
            let port = match first.checked_add(number) {
                Some(port) => port,
                None => first.wrapping_add(number).wrapping_add(1024),
            };
            let tuple = Tuple {
                ip: other.ip,
                protocol: other.protocol,
                src_port: 0,
                dst_port: port,
            };
            // No other lcore chooses what belongs here.
            if chooses && self.homes().is_some_and(|homes| !homes.owns(&tuple)) {
                continue;
            }
            let key = Key::new(&tuple, zone);
            let alg = self.table.alg.as_mut()?;
            match alg.expectations.find(&key) {
                None => {}
                Some((at, there)) if there.deadline <= now => alg.met(at),
                Some((at, there)) if there.master == slot && there.nat == nat => {
                    return alg.renew(at, deadline, said).then_some(port);
                }
                Some(_) => continue,
            }
            let others = alg.others.as_ref();
            if others.is_some_and(|others| others.find(&key, now).is_some()) {
                continue;
            }
            let under = self.under.as_ref();
            if under.is_some_and(|under| under.is_expected(&key, now)) {
                continue;
            }
            let expectation = Expectation {
                key,
                master: slot,
                nat,
                deadline,
                number: 0,
                said,
            };
            return alg.expect(expectation, now).then_some(port);
        }
        None
    }

    /// What a connection gets whose first packet has this key, if it is expected.
    #[inline(always)]
    pub(super) fn expected(&self, key: &Key, now: Tick) -> Option<Foretold> {
        self.expected_of(self.table.alg.as_deref()?, key, now)
    }

    #[inline(never)]
    fn expected_of(&self, alg: &Alg, key: &Key, now: Tick) -> Option<Foretold> {
        let Some((at, expectation)) = alg.expected(key, now) else {
            return foreign(alg, key, now);
        };
        let (hot, cold) = (
            self.table.hot(expectation.master),
            self.table.cold(expectation.master),
        );
        (!hot.is_expired(now)).then(|| Foretold {
            whose: Whose::Own(at, expectation.number),
            nat: expectation.nat,
            parent: *cold.key(Direction::Original),
            mark: hot.mark,
            label: cold.label,
        })
    }

    /// The original key of the connection of this lcore that expects one whose first packet has
    /// this key.
    pub(super) fn expecting(&self, key: &Key, now: Tick) -> Option<Key> {
        let expected = self.expected(key, now)?;
        matches!(expected.whose, Whose::Own(..)).then_some(expected.parent)
    }

    /// Where the connection is expected whose first packet has this key.
    pub(super) fn whose(&self, key: &Key, now: Tick) -> Option<Whose> {
        self.expected(key, now).map(|expected| expected.whose)
    }

    /// A packet that could open a connection: is it expected?
    #[inline(always)]
    pub(super) fn foretell(&self, key: &Key, visit: &mut Visit<'_>) {
        if let Some(expected) = self.expected(key, visit.now) {
            let outcome = &mut *visit.outcome;
            outcome.state |= CtState::REL;
            (outcome.mark, outcome.label) = (expected.mark, expected.label);
            outcome.original = Some(expected.parent.tuple());
        }
    }

    /// As [`Self::reply_to`], for a connection that is translated as was foretold.
    #[cold]
    pub(super) fn reply_as_expected(
        &mut self,
        tuple: &Tuple,
        expected: &Foretold,
        visit: &mut Visit<'_>,
    ) -> Result<(Keyed, Option<NatKind>), Refusal> {
        let zone = visit.request.zone;
        let fits = |alg: &Alg| {
            let can_meet = match (expected.whose, &alg.others) {
                (Whose::Own(..), _) => true,
                (Whose::Foreign(..), others) => others.as_ref().is_some_and(|it| it.can_meet()),
            };
            alg.has_room(None) && can_meet
        };
        if !self.table.alg.as_deref().is_some_and(fits) {
            return Err(self.refuse(zone, CtDrop::TableFull));
        }
        let request = Request {
            nat: visit.request.nat.and(expected.nat.as_ref()),
            ..*visit.request
        };
        let mut visit = Visit {
            request: &request,
            zones: visit.zones,
            search: visit.search,
            size: visit.size,
            quest: visit.quest,
            outcome: visit.outcome,
            now: visit.now,
        };
        self.reply_to(tuple, &mut visit)
    }

    /// A connection was made that was expected, or is to have a helper.
    #[cold]
    pub(super) fn begin_kin(
        &mut self,
        slot: u32,
        expected: Option<Foretold>,
        helper: Option<Helper>,
    ) {
        let original = self.table.cold(slot).keys[0];
        let protocol = original.tuple().protocol;
        let fits = match helper {
            Some(Helper::Ftp) => protocol == protocol::TCP,
            Some(Helper::Tftp) => protocol == protocol::UDP,
            None => false,
        };
        let alg = self.table.alg.as_mut();
        let kin = match (alg, expected, helper) {
            (Some(alg), Some(expected), _) => {
                match (expected.whose, &mut alg.others) {
                    (Whose::Own(at, _), _) => alg.met(at),
                    (Whose::Foreign(from, number), Some(others)) => {
                        let key = original.without_number(End::Src);
                        others.meet(Met { key, from, number });
                    }
                    (Whose::Foreign(..), None) => {}
                }
                alg.begin_child(slot, expected.parent);
                self.counters.related += 1;
                RELATED
            }
            (Some(alg), None, Some(helper)) if fits && alg.has_room(Some(helper)) => {
                alg.begin_master(slot, helper);
                HELPED
            }
            (_, None, Some(_)) if fits => {
                self.counters.unhelped += 1;
                0
            }
            (..) => 0,
        };
        self.table.set_kin(slot, kin);
        if kin != 0 {
            self.table.tell_kin(slot);
        }
    }

    /// What a packet is told of a connection that was expected: it is related to its master, and
    /// shows the master's tuple.
    #[cold]
    pub(super) fn relate(&self, slot: u32, meeting: &mut Meeting, original: &mut Tuple) {
        if !meeting.state.contains(CtState::INV) {
            meeting.state |= CtState::REL;
        }
        if let Some(parent) = self.parent(slot) {
            *original = parent;
        }
    }

    /// The segment as the end sees it that it goes to, whose numbers it acknowledges.
    #[cold]
    pub(super) fn in_own_numbers(&self, place: Place, transport: &Transport) -> Transport {
        let alg = self.table.alg.as_deref();
        match (alg.and_then(|alg| alg.control(place.slot)), transport) {
            (Some(control), Transport::Tcp(segment)) if segment.acknowledges => {
                let numbers = control.numbers(place.direction.opposite());
                Transport::Tcp(Segment {
                    acknowledgment: numbers.own(segment.acknowledgment),
                    ..*segment
                })
            }
            _ => *transport,
        }
    }

    /// What looks into the payload of the connection in `slot`.
    pub(super) fn helper(&self, slot: u32) -> Option<Helper> {
        let master = self.table.alg.as_deref()?.master(slot)?;
        Some(master.helper)
    }

    /// The tuple of the master of the connection in `slot`.
    pub(super) fn parent(&self, slot: u32) -> Option<Tuple> {
        self.table.alg.as_deref()?.parent(slot)
    }

    /// Whether the other end knows the one that sends in `direction` under another address.
    fn rewrites(&self, slot: u32, direction: Direction) -> bool {
        let cold = self.table.cold(slot);
        let (own, outside) = (cold.key(direction), cold.key(direction.opposite()));
        own.tuple().src() != outside.tuple().dst()
    }
}

/// What another lcore's master expects with this key.
#[cold]
fn foreign(alg: &Alg, key: &Key, now: Tick) -> Option<Foretold> {
    let others = alg.others.as_deref()?;
    let foreign = others.find(&key.without_number(End::Src), now)?;
    Some(Foretold {
        whose: Whose::Foreign(foreign.from, foreign.number),
        nat: foreign.nat,
        parent: foreign.parent,
        mark: foreign.mark,
        label: foreign.label,
    })
}

/// How many ports are tried that the other end could be told, for each lcore that they may belong to.
const TRIES: u16 = 64;

/// What makes packets between `from` ones between `to`, to this port if the destination changes.
fn translation(from: IpPair, to: IpPair, port: u16) -> Option<NatSpec> {
    let addresses = |ip| {
        let tuple = Tuple {
            ip,
            protocol: 0,
            src_port: 0,
            dst_port: 0,
        };
        (tuple.src(), tuple.dst())
    };
    let ((old_src, old_dst), (src, dst)) = (addresses(from), addresses(to));
    let (kind, range) = if old_dst != dst {
        (NatKind::Dst, NatRange::new(dst, dst, Some((port, port))))
    } else if old_src != src {
        (NatKind::Src, NatRange::new(src, src, None))
    } else {
        return None;
    };
    Some(NatSpec::Allocate {
        kind,
        range: Some(range.ok()?),
        flags: NatFlags::default(),
    })
}

/// The first `size` bytes behind the TCP header, piece by piece.
fn payload<'a, F: Frame>(
    frame: &'a F,
    layout: &Layout,
    size: u32,
) -> impl Iterator<Item = &'a [u8]> {
    let end = layout.l3_end as usize;
    let mut skip = end - size as usize;
    let mut left = size as usize;
    std::iter::once(frame.head())
        .chain(frame.tail())
        .map(move |piece| {
            let from = skip.min(piece.len());
            let to = (from + left).min(piece.len());
            skip -= from;
            left -= to - from;
            &piece[from..to]
        })
}
