//! What `ct()` does, packet by packet.

mod batch;
mod help;
mod mend;
mod quest;
mod ranges;
mod reading;
mod recall;
mod rehearse;
mod room;
mod share;
mod tell;
mod translate;
mod walk;

use weir_packet::{Frame, Layout, Tick, Tuple};

use crate::alg::{HELPED, RELATED};
use crate::counters::{Counters, Invalid};
use crate::credits::{Purses, Scope};
use crate::extract::{Subject, Transport};
use crate::index::Place;
use crate::key::Key;
use crate::memory::Memory;
use crate::record::{Datagram, Direction, Ending, Protocol, Query};
use crate::request::{Commit, CtDrop, Meeting, Outcome, Request, Role, Seen};
use crate::sctp;
use crate::settings::{Settings, TableTooSmall};
use crate::state::CtState;
use crate::table::{Birth, Keyed, Table, Turn};
use crate::tcp::Verdict;
use crate::zones::ZoneCounts;

pub use batch::Job;
use quest::Hunt;
pub use quest::Quest;
pub(crate) use quest::Refusal;
use ranges::Ranges;
pub use ranges::{RangeCounts, RangeKey};
use reading::{Habit, Lookup};
pub use reading::{Likely, Reading};
pub use recall::{After, Part, Recall};
use rehearse::Under;
pub use rehearse::{REHEARSAL_ROOM, Rehearsed};
use share::Asking;
pub use walk::Cursor;

/// The connection tracker of one lcore.
pub struct Tracker {
    table: Table,
    settings: Settings,
    /// Below so many connections there is room for one more.
    most: u32,
    /// With other lcores: what this one may have of each limit.
    purses: Option<Box<Purses>>,
    counters: Counters,
    /// Where the search for a connection to evict goes on.
    hand: u32,
    /// The key of the hash by which translations are chosen.
    secret: u64,
    /// What the next random choice of a port depends on.
    draw: u64,
    habit: Habit,
    ranges: Ranges,
    /// How many packets met no connection though they could be part of one.
    strangers: u64,
    /// For whom the packet under way was counted.
    counted: Counted,
    /// In a rehearsal: what it lies over.
    under: Option<Under>,
    /// With other lcores: what is asked of them.
    asking: Asking,
}

impl Tracker {
    /// Takes memory for `settings.max_connections`; nothing grows afterwards. `secret` makes
    /// the collisions of the hash unpredictable, and which address and port of a NAT range a
    /// connection gets; it changes nothing else.
    ///
    /// # Panics
    /// If `max_connections` is above 2^31 - 1.
    pub fn new(settings: &Settings, secret: u64) -> Self {
        Self {
            table: Table::new(settings, secret),
            settings: settings.clone(),
            most: settings.max_connections,
            purses: None,
            counters: Counters::default(),
            hand: 0,
            secret,
            draw: secret,
            habit: Habit::default(),
            ranges: Ranges::default(),
            strangers: 0,
            counted: Counted::default(),
            under: None,
            asking: Asking::default(),
        }
    }

    /// Takes over changed settings, for packets from the next on. Timeouts apply from each
    /// connection's next packet on. A
    /// limit below the present number of connections ends none, but lets none be made.
    ///
    /// One of several trackers makes no more connections under limits that changed than it has, until
    /// [`Tracker::begin_limits`]. Returns how many it may hold of each, for [`credits::Lender::begin`](crate::credits::Lender::begin).
    ///
    /// # Errors
    /// If `max_connections` is above what memory was taken for; then nothing changes.
    pub fn reconfigure(&mut self, settings: &Settings) -> Result<Vec<(Scope, u32)>, TableTooSmall> {
        let wanted = settings.max_connections;
        let slots = self.table.slots();
        let sized = self.purses.as_ref().map_or(slots, |purses| purses.sized);
        if wanted > sized {
            return Err(TableTooSmall { wanted, sized });
        }
        let shards = self.sharing().map_or(1, |sharing| sharing.owners.shards());
        let settings = &share::share_of(settings, shards);
        let held = match &mut self.purses {
            Some(purses) => purses.freeze(&self.settings, settings, &self.table),
            None => Vec::new(),
        };
        self.settings.clone_from(settings);
        self.table.configure(settings);
        self.count_credits();
        Ok(held)
    }

    /// Executes one `ct(...)` for one packet: finds its connection, judges it, and with
    /// `request.commit` creates the connection or changes its mark and label. With `request.nat`
    /// the outcome says what the packet's headers are to be.
    ///
    /// A commit of an invalid packet does nothing, nor does that of a Neighbour Discovery or
    /// MLD message, which is always new.
    ///
    /// # Errors
    /// If the commit could not create the connection; the packet is then to be dropped.
    pub fn execute<F: Frame>(
        &mut self,
        frame: &F,
        layout: &Layout,
        request: &Request<'_>,
        now: Tick,
    ) -> Result<Outcome, CtDrop> {
        let mut outcome = Outcome::default();
        if request.seen.is_none() {
            self.begin_packet();
        }
        self.execute_read(frame, layout, &mut None, request, &mut outcome, now)?;
        Ok(outcome)
    }

    /// What follows is about another packet than before: it counts for whichever connection it
    /// meets, once in each direction, however often it meets it.
    #[inline]
    pub const fn begin_packet(&mut self) {
        self.counted.len = 0;
    }

    /// For which connections the packet under way was counted: for [`Tracker::go_on_with_packet`].
    pub const fn leave_packet(&self) -> Counted {
        self.counted
    }

    /// What follows is about a packet that was left.
    pub const fn go_on_with_packet(&mut self, counted: Counted) {
        self.counted = counted;
    }

    /// As [`Tracker::execute`], for a packet that may have passed a `ct()` before: `reading` is
    /// what that one left, or `None` if there was none or the packet's headers were changed
    /// since, and is for the next one. `outcome` is all overwritten; after an error it means
    /// nothing.
    ///
    /// # Errors
    /// As [`Tracker::execute`].
    pub fn execute_read<F: Frame>(
        &mut self,
        frame: &F,
        layout: &Layout,
        reading: &mut Option<Reading>,
        request: &Request<'_>,
        outcome: &mut Outcome,
        now: Tick,
    ) -> Result<(), CtDrop> {
        self.habit.zone = Some(request.zone);
        self.table.at(now);
        if !self.meet_again(request, outcome, now) {
            let reading = reading.get_or_insert_with(|| Reading::of(frame, layout));
            let Reading {
                subject,
                search,
                size,
            } = reading;
            let mut visit = Visit {
                request,
                zones: request.zones(),
                search,
                size: *size,
                quest: &mut Hunt::default(),
                outcome,
                now,
            };
            let judged = self.judge(subject, &mut visit);
            if self.asking.resumed.is_some() {
                self.end_quest();
            }
            judged.map_err(Refusal::without_others)?;
        } else if self.asking.resumed.is_some() {
            self.end_quest();
        }
        if self.table.alg.is_some() {
            return self.help(frame, layout, request, outcome, now);
        }
        Ok(())
    }

    /// What is to be said of a packet that meets no connection for a second time, or of one that
    /// did when that is over.
    #[inline]
    fn judge(
        &mut self,
        subject: &Result<Subject, Invalid>,
        visit: &mut Visit<'_>,
    ) -> Result<(), Refusal> {
        match subject {
            Ok(Subject::Packet(tuple, transport)) => {
                return self.packet(tuple, transport, visit);
            }
            Ok(Subject::Error(about)) => self.error(about, visit),
            Ok(Subject::LinkControl(tuple)) => *visit.outcome = new(*tuple),
            Err(reason) => self.invalid(*reason, visit),
        }
        Ok(())
    }

    /// Looks at up to `budget` connections whose time may be over, and forgets those for which
    /// it is; returns how many.
    ///
    /// Cost: proportional to the number looked at (each is forgotten, or was prolonged since
    /// it was last looked at) plus the time passed since the last call, up to a bound.
    pub fn expire(&mut self, now: Tick, budget: usize) -> usize {
        self.table.at(now);
        let mut forgotten = 0;
        for _ in 0..budget {
            match self.table.turn(now) {
                Turn::Forgotten => forgotten += 1,
                Turn::PutBack => {}
                Turn::Done => break,
            }
        }
        self.counters.expired += forgotten as u64;
        if let Some(alg) = &mut self.table.alg {
            alg.expire(now, budget);
        }
        forgotten
    }

    /// What zones counted: of `budget` zones from `cursor` on (0 to begin with), those that
    /// counted anything or have connections. And where to go on, or `None` at the end.
    pub fn zone_counts(&self, cursor: u32, budget: usize) -> (Vec<ZoneCounts>, Option<u32>) {
        self.table.zones.counts(cursor, budget)
    }

    /// The settings in force.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How much memory its parts have.
    pub fn memory(&self) -> Memory {
        let mut memory = self.table.memory();
        memory.zones += self.purses.as_ref().map_or(0, |purses| purses.memory());
        memory
    }

    /// Totals since start.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether a packet was ever tracked.
    #[inline]
    pub const fn is_in_use(&self) -> bool {
        self.habit.zone.is_some()
    }

    /// How many packets met no connection though they could be part of one. A packet that passes
    /// several zones may count several times.
    #[inline]
    pub const fn strangers(&self) -> u64 {
        self.strangers
    }

    /// How many connections there are. Those whose time is over are included until
    /// [`Tracker::expire`] comes by, though nothing else counts them.
    pub const fn len(&self) -> usize {
        self.table.live() as usize
    }

    /// Whether there is no connection.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A packet that meets the same connection again is not tracked again: its state stays,
    /// only the metadata is read and written anew.
    ///
    /// Returns whether it does.
    #[inline]
    fn meet_again(&mut self, request: &Request<'_>, outcome: &mut Outcome, now: Tick) -> bool {
        let Some(seen) = request.seen else {
            return false;
        };
        let hot = self.table.hot(seen.slot);
        // A reply may have been met in the zone that it has for itself.
        let [own_zone, reply_zone] = request.zones();
        let is_zone = seen.zone == own_zone
            || (seen.zone == reply_zone && seen.meeting.direction == Direction::Reply);
        let same = hot.id == seen.id && is_zone && !hot.is_expired(now);
        let force = request.commit.is_some_and(|commit| commit.force);
        if !same || (force && !self.has_waited_to_be_heard()) {
            return false;
        }
        self.met_steadily(seen.slot, seen.meeting, request, outcome);
        true
    }

    /// A packet with a tuple of its own.
    #[inline(always)]
    fn packet(
        &mut self,
        tuple: &Tuple,
        transport: &Transport,
        visit: &mut Visit<'_>,
    ) -> Result<(), Refusal> {
        let (request, now) = (visit.request, visit.now);
        let zone = request.zone;
        let [own_zone, reply_zone] = visit.zones;
        let key = Key::new(tuple, own_zone);
        let hash = visit.search.hash(own_zone, || self.table.hash(&key));
        let key = Keyed { key, hash };
        let mut place = if visit.search.is_absent(own_zone, self.table.made()) {
            None
        } else {
            self.find(&key, now)
        };
        if place.is_none() && own_zone != reply_zone {
            place = self.find_reply(tuple, reply_zone, now);
        }
        if let Some(place) = place {
            let force = request.commit.is_some_and(|commit| commit.force);
            if force && place.direction == Direction::Reply {
                self.table.remove(place.slot, Ending::Forced);
                self.counters.forced += 1;
            } else {
                let before = self.table.hot(place.slot).version;
                let mut steady = false;
                let owned;
                let transport = if self.table.hot(place.slot).kin & HELPED == 0 {
                    transport
                } else {
                    owned = self.in_own_numbers(place, transport);
                    &owned
                };
                let state = match self.follow(place, transport, visit.size, now) {
                    Followed::Part(state) => {
                        steady = self.table.hot(place.slot).version == before;
                        Some(state)
                    }
                    Followed::Odd(state) => Some(state),
                    Followed::Invalid(reason) => {
                        self.count_invalid(zone, reason);
                        Some(CtState::TRK | CtState::INV)
                    }
                    Followed::Reopens => {
                        self.table.remove(place.slot, Ending::Reopened);
                        self.counters.reopened += 1;
                        None
                    }
                };
                if let Some(state) = state {
                    let meeting = Meeting {
                        direction: place.direction,
                        role: Role::Part,
                        state,
                        helped: false,
                    };
                    if steady {
                        self.met_steadily(place.slot, meeting, request, visit.outcome);
                    } else {
                        self.met(place.slot, meeting, request, visit.outcome);
                    }
                    return Ok(());
                }
            }
        }
        self.strangers += 1;
        let protocol = match transport.open(self.table.zones.policy(zone).loose) {
            Ok(protocol) => protocol,
            Err(reason) => {
                self.invalid(reason, visit);
                return Ok(());
            }
        };
        match request.commit {
            None => {
                visit.search.missed(own_zone, key.hash, self.table.made());
                *visit.outcome = new(*tuple);
                self.foretell(&key.key, visit);
                Ok(())
            }
            Some(commit) if self.table.sharing().is_some() => {
                self.create_with_others(tuple, key, protocol, commit, visit)
            }
            Some(commit) => self.create(tuple, key, protocol, commit, visit),
        }
    }

    /// An ICMP error about a packet whose reply would have the tuple `about`.
    fn error(&mut self, about: &Tuple, visit: &mut Visit<'_>) {
        match self.find_in(about, visit.zones, visit.now) {
            Some(Place { slot, direction }) => {
                let meeting = Meeting {
                    direction,
                    role: Role::Error,
                    state: CtState::TRK | CtState::REL | reply_bit(direction),
                    helped: false,
                };
                self.met(slot, meeting, visit.request, visit.outcome);
            }
            None => self.invalid(Invalid::IcmpUnrelated, visit),
        }
    }

    /// Finds a connection. One whose time is over is forgotten on the way.
    #[inline(always)]
    fn find(&mut self, key: &Keyed, now: Tick) -> Option<Place> {
        let place = self.table.find(key)?;
        if self.table.hot(place.slot).is_expired(now) {
            self.remove_expired(place.slot);
            return None;
        }
        Some(place)
    }

    #[cold]
    fn remove_expired(&mut self, slot: u32) {
        self.table.remove(slot, Ending::Expired);
        self.counters.expired += 1;
    }

    /// Finds the connection of a packet that opens one in the first of `zones`, with replies in
    /// the second.
    fn find_in(&mut self, tuple: &Tuple, zones: [u16; 2], now: Tick) -> Option<Place> {
        let [own, reply] = zones;
        let key = Keyed::new(&self.table, tuple, own);
        let place = self.find(&key, now);
        if place.is_none() && own != reply {
            return self.find_reply(tuple, reply, now);
        }
        place
    }

    /// Finds the connection of which a packet is a reply, if those are in `zone`.
    #[cold]
    fn find_reply(&mut self, tuple: &Tuple, zone: u16, now: Tick) -> Option<Place> {
        let key = Keyed::new(&self.table, tuple, zone);
        let place = self.find(&key, now);
        place.filter(|place| place.direction == Direction::Reply)
    }

    /// Lets the protocol's tracker judge a packet of a connection and follow it.
    fn follow(&mut self, place: Place, transport: &Transport, size: u32, now: Tick) -> Followed {
        let Place { slot, direction } = place;
        let (Some(hot), zones) = self.table.hot_and_zones(slot) else {
            return Followed::Invalid(Invalid::L4Length);
        };
        let policy = zones.policy(hot.zone);
        let lifetimes = &policy.lifetimes;
        let before = (visible(&hot.protocol), hot.replied);
        let (mut alive, mut odd, mut doubtful) = (true, false, false);
        let state = match (&mut hot.protocol, transport) {
            (Protocol::Tcp(tcp), Transport::Tcp(segment)) => {
                // As long as only one end was heard, what it sends is new.
                let part = match direction {
                    Direction::Reply => CtState::EST | CtState::RPL,
                    Direction::Original if hot.replied => CtState::EST,
                    Direction::Original => CtState::NEW,
                };
                match tcp.update(direction, segment) {
                    Verdict::Accepted => part,
                    Verdict::Tolerated => {
                        (alive, odd) = (false, true);
                        part
                    }
                    Verdict::Challenged => {
                        (alive, odd) = (false, true);
                        doubtful = segment.resets();
                        part
                    }
                    Verdict::SynAgain => {
                        odd = true;
                        CtState::NEW
                    }
                    Verdict::Reopens => return Followed::Reopens,
                    Verdict::OutOfWindow if policy.liberal && !segment.resets() => {
                        odd = true;
                        tcp.follow_flags(direction, segment);
                        part
                    }
                    Verdict::OutOfWindow => return Followed::Invalid(Invalid::TcpWindow),
                    Verdict::BadReset => return Followed::Invalid(Invalid::TcpReset),
                    Verdict::Unanswered => return Followed::Invalid(Invalid::TcpUnanswered),
                }
            }
            (Protocol::Sctp(association), Transport::Sctp(packet)) => {
                match association.update(direction, packet) {
                    sctp::Verdict::Accepted => {}
                    sctp::Verdict::Tolerated => (alive, odd) = (false, true),
                    sctp::Verdict::BadTag => return Followed::Invalid(Invalid::SctpTag),
                    sctp::Verdict::BadState => return Followed::Invalid(Invalid::SctpState),
                }
                match direction {
                    Direction::Reply => CtState::EST | CtState::RPL,
                    Direction::Original if hot.replied => CtState::EST,
                    Direction::Original => CtState::NEW,
                }
            }
            (Protocol::Query(query), Transport::Query | Transport::Answer) => {
                *query = query.after(direction);
                match query {
                    Query::First => CtState::NEW,
                    Query::Replied => CtState::EST | reply_bit(direction),
                }
            }
            (Protocol::Datagram(datagram), Transport::Datagram) => {
                *datagram = datagram.after(direction);
                match datagram {
                    Datagram::First | Datagram::Single => CtState::NEW,
                    Datagram::Multiple => CtState::EST | reply_bit(direction),
                }
            }
            // The key holds the protocol, and the protocol decides the kind of both.
            (
                Protocol::Tcp(_) | Protocol::Sctp(_) | Protocol::Query(_) | Protocol::Datagram(_),
                _,
            ) => {
                return Followed::Invalid(Invalid::L4Length);
            }
        };
        hot.replied |= direction == Direction::Reply;
        let changed = before != (visible(&hot.protocol), hot.replied);
        let deadline = if alive {
            Some(lifetimes.deadline(&hot.protocol, now))
        } else if doubtful {
            // If its receiver does not challenge it, it was right, and that is the end.
            Some(lifetimes.reset(now).min(hot.deadline))
        } else {
            None
        };
        if let Some(deadline) = deadline {
            self.table.set_deadline(slot, deadline, now);
        }
        // As in the kernel: what does not keep the connection is no traffic of its.
        if alive && self.table.is_accounting() && self.counted.is_first(place) {
            self.table.count(slot, direction, size);
        }
        if changed {
            if direction == Direction::Reply && !before.1 {
                self.table.unreplied.remove(slot);
            }
            self.table.touch(slot);
        }
        let state = CtState::TRK | state;
        if odd {
            Followed::Odd(state)
        } else {
            Followed::Part(state)
        }
    }

    /// As [`Self::met`], for a packet like which there will be others; says so, unless its
    /// commit changed something.
    fn met_steadily(
        &mut self,
        slot: u32,
        meeting: Meeting,
        request: &Request<'_>,
        outcome: &mut Outcome,
    ) {
        let before = self.table.hot(slot).version;
        let part = meeting.role == Role::Part && !meeting.state.contains(CtState::INV);
        self.met(slot, meeting, request, outcome);
        if part && self.table.hot(slot).version == before {
            outcome.recall = Some(Recall::new(slot, meeting.direction, before));
        }
    }

    /// What a packet that met a connection is told; a commit's metadata is written before.
    fn met(
        &mut self,
        slot: u32,
        mut meeting: Meeting,
        request: &Request<'_>,
        outcome: &mut Outcome,
    ) {
        let (mut mark, mut label) = (self.table.hot(slot).mark, self.table.cold(slot).label);
        if let Some(commit) = request.commit
            && !meeting.state.contains(CtState::INV)
        {
            (mark, label) = merged(commit, mark, label);
            self.table.set_metadata(slot, mark, label);
        }
        let mut original = self.table.cold(slot).keys[0].tuple();
        if self.table.hot(slot).kin & RELATED != 0 {
            self.relate(slot, &mut meeting, &mut original);
        }
        let translation = request
            .nat
            .and_then(|_| self.translation(slot, &mut meeting));
        *outcome = Outcome {
            state: meeting.state,
            mark,
            label,
            original: Some(original),
            seen: Some(Seen {
                slot,
                zone: self.table.cold(slot).key(meeting.direction).zone(),
                id: self.table.hot(slot).id,
                meeting,
            }),
            translation,
            mends: false,
            recall: None,
        };
    }

    /// Makes a connection.
    fn create(
        &mut self,
        tuple: &Tuple,
        original: Keyed,
        protocol: Protocol,
        commit: Commit,
        visit: &mut Visit<'_>,
    ) -> Result<(), Refusal> {
        let (request, now) = (visit.request, visit.now);
        self.habit.nat = request.nat.copied();
        let expected = self.expected(&original.key, now);
        let (reply, nat) = match &expected {
            Some(expected) => self.reply_as_expected(tuple, expected, visit)?,
            None => self.reply_to(tuple, visit)?,
        };
        let (mark, label) = expected.map_or((0, 0), |expected| (expected.mark, expected.label));
        let (mark, label) = merged(commit, mark, label);
        let birth = Birth {
            zone: request.zone,
            original,
            reply,
            pairs: visit.search.pairs(&self.table, tuple, &reply.key),
            protocol,
            mark,
            label,
            deadline: self
                .table
                .zones
                .policy(request.zone)
                .lifetimes
                .deadline(&protocol, now),
            nat,
            size: visit.size,
        };
        if let Err(reason) = self.make_room(&original.key, request.zone, now) {
            return Err(self.refuse(request.zone, reason));
        }
        let Some(slot) = self.table.insert(&birth, now) else {
            self.beyond_rehearsal();
            return Err(self.refuse(request.zone, CtDrop::TableFull));
        };
        self.counters.created += 1;
        if self.table.is_accounting() {
            // It was counted when it was made.
            let direction = Direction::Original;
            self.counted.is_first(Place { slot, direction });
        }
        if expected.is_some() || commit.helper.is_some() {
            self.begin_kin(slot, expected, commit.helper);
        }
        let meeting = Meeting {
            direction: Direction::Original,
            role: Role::Part,
            state: CtState::TRK | CtState::NEW,
            helped: false,
        };
        // The metadata is there already, and writing it again changes nothing.
        self.met(slot, meeting, request, visit.outcome);
        Ok(())
    }

    /// A packet of no connection that is not acceptable.
    fn invalid(&mut self, reason: Invalid, visit: &mut Visit<'_>) {
        self.count_invalid(visit.request.zone, reason);
        *visit.outcome = Outcome {
            state: CtState::TRK | CtState::INV,
            ..Outcome::default()
        };
    }

    fn count_invalid(&mut self, zone: u16, reason: Invalid) {
        self.counters.count_invalid(reason);
        self.table.zones.invalid(zone, reason);
    }

    /// A commit that cannot be done.
    fn refuse(&mut self, zone: u16, reason: CtDrop) -> Refusal {
        self.counters.count_refused(reason);
        self.table.zones.refused(zone, reason);
        reason.into()
    }

    /// Checks every invariant of the table.
    #[cfg(test)]
    pub(crate) fn check(&self, now: Tick) {
        self.table.check(now);
    }
}

/// Places that a packet was counted for; beyond the first few it may be counted again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted {
    places: [u32; 16],
    len: usize,
}

impl Counted {
    /// Whether it was not counted for this place before; from now on it was.
    #[inline]
    fn is_first(&mut self, place: Place) -> bool {
        let place = place.slot << 1 | place.direction as u32;
        let before = &self.places[..self.len];
        let first = !before.contains(&place);
        if first && let Some(next) = self.places.get_mut(self.len) {
            *next = place;
            self.len += 1;
        }
        first
    }
}

/// One `ct()` of one packet.
struct Visit<'a> {
    request: &'a Request<'a>,
    /// [`Request::zones`]
    zones: [u16; 2],
    search: &'a mut Lookup,
    /// Bytes of the packet from the IP header on.
    size: u32,
    quest: &'a mut Hunt,
    outcome: &'a mut Outcome,
    now: Tick,
}

/// What following a packet came to.
enum Followed {
    /// It is part of the connection, with this state.
    Part(CtState),
    /// The same, but the next packet like it may not be.
    Odd(CtState),
    /// It is not acceptable in the connection.
    Invalid(Invalid),
    /// It opens a new connection in the place of this one.
    Reopens,
}

/// A packet that could open a connection with this tuple.
fn new(tuple: Tuple) -> Outcome {
    Outcome {
        state: CtState::TRK | CtState::NEW,
        original: Some(tuple),
        ..Outcome::default()
    }
}

const fn reply_bit(direction: Direction) -> CtState {
    match direction {
        Direction::Original => CtState::UNTRACKED,
        Direction::Reply => CtState::RPL,
    }
}

/// Mark and label after a commit; bits of a value outside of its mask are not written.
fn merged(commit: Commit, mark: u32, label: u128) -> (u32, u128) {
    let mark = commit
        .mark
        .map_or(mark, |(value, mask)| value & mask | mark & !mask);
    let label = commit
        .label
        .map_or(label, |(value, mask)| value & mask | label & !mask);
    (mark, label)
}

/// The part of a protocol's state on which the state of a packet can depend.
const fn visible(protocol: &Protocol) -> [u8; 2] {
    match protocol {
        Protocol::Tcp(tcp) => {
            let [original, reply] = tcp.states();
            [original as u8, reply as u8]
        }
        Protocol::Sctp(sctp) => [sctp.state as u8, 0],
        Protocol::Query(query) => [*query as u8, 0],
        Protocol::Datagram(datagram) => [*datagram as u8, 0],
    }
}

#[cfg(test)]
mod tests;
