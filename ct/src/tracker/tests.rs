//! The tracker against a model that is a plain list, and a few things a script cannot say.

use std::time::Duration;

use proptest::prelude::*;
use weir_packet::{ChecksumStatus, Frame, NoHeadroom, Tick, Tuple, VecFrame, text};

use super::{Cursor, Tracker};
use crate::entry::Entry;
use crate::extract::{self, Subject, Transport};
use crate::filter::{Filter, PartialTuple};
use crate::lifetimes::Lifetimes;
use crate::record::{Datagram, Direction, Protocol, Query};
use crate::request::{Commit, CtDrop, Outcome, Request, ZoneDir};
use crate::settings::{Settings, TableTooSmall, Timeouts, ZoneSettings};
use crate::shard::Bounds;
use crate::state::CtState;
use crate::world::{Parcel, World};
use crate::{sctp, tcp};

/// A packet of few addresses and ports, so that packets meet.
#[derive(Clone, Copy, Debug)]
struct Packet {
    kind: Kind,
    /// 10.0.0.SRC to 10.0.0.DST
    src: u8,
    dst: u8,
    port: u16,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Udp,
    EchoRequest,
    EchoReply,
    Gre,
    /// Flags and numbers.
    Tcp(&'static str),
    /// Tag and chunks.
    Sctp(&'static str),
}

/// Of a connection between two ends that both begin at 100.
const SEGMENTS: [&str; 9] = [
    "S seq=100",
    "S seq=100",
    "SA seq=100 ack=101",
    "A seq=101 ack=101",
    "A seq=101 ack=101 len=9",
    "FA seq=101 ack=101",
    "A seq=102 ack=102",
    "R seq=101",
    "A seq=3000000000 ack=101",
];

/// Of an association whose ends both chose the tag 1.
const CHUNKS: [&str; 9] = [
    "init=1",
    "init=1",
    "vtag=1 init-ack=1",
    "vtag=1 chunk=cookie-echo",
    "vtag=1 chunk=cookie-ack",
    "vtag=1 chunk=data",
    "vtag=1 chunk=heartbeat",
    "vtag=1 chunk=abort",
    "vtag=2 chunk=data",
];

impl Packet {
    fn line(&self) -> String {
        let Self { src, dst, port, .. } = self;
        match self.kind {
            Kind::Udp => format!("udp 10.0.0.{src}:{port} > 10.0.0.{dst}:1"),
            Kind::EchoRequest => {
                format!("icmp 10.0.0.{src} > 10.0.0.{dst} echo-request id={port}")
            }
            Kind::EchoReply => format!("icmp 10.0.0.{src} > 10.0.0.{dst} echo-reply id={port}"),
            Kind::Gre => format!("ip proto=47 10.0.0.{src} > 10.0.0.{dst} data=00000800"),
            Kind::Tcp(rest) => {
                format!("tcp 10.0.0.{src}:{port} > 10.0.0.{dst}:{port} {rest}")
            }
            Kind::Sctp(rest) => {
                format!("sctp 10.0.0.{src}:{port} > 10.0.0.{dst}:{port} {rest}")
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Operation {
    Packet(Packet, Request<'static>),
    Pass(u64),
    Expire(usize),
    Flush(Filter, usize),
    /// Of all connections.
    Limit(u32),
    ZoneLimit(u16, Option<u32>),
    SourceLimit(u16, Option<u32>),
    /// `udp_multiple` of a zone, in seconds.
    Timeout(u16, u64),
}

const SLOTS: u32 = 6;

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let kind = prop_oneof![
        4 => Just(Kind::Udp),
        1 => Just(Kind::EchoRequest),
        1 => Just(Kind::EchoReply),
        1 => Just(Kind::Gre),
        4 => prop::sample::select(&SEGMENTS[..]).prop_map(Kind::Tcp),
        4 => prop::sample::select(&CHUNKS[..]).prop_map(Kind::Sctp),
    ];
    let packet = (kind, 1..4u8, 1..4u8, 1..3u16).prop_map(|(kind, src, dst, port)| Packet {
        kind,
        src,
        dst,
        port,
    });
    let zone_dir = prop_oneof![
        6 => Just(None),
        1 => Just(Some(ZoneDir::Original)),
        1 => Just(Some(ZoneDir::Reply)),
    ];
    let commit = (
        any::<bool>(),
        any::<Option<(u32, u32)>>(),
        any::<Option<(u128, u128)>>(),
        zone_dir,
    )
        .prop_map(|(force, mark, label, zone_dir)| Commit {
            force,
            mark,
            label,
            zone_dir,
            helper: None,
        });
    let request =
        (0..2u16, prop::option::weighted(0.7, commit)).prop_map(|(zone, commit)| Request {
            zone,
            commit,
            ..Request::default()
        });
    let filter = (
        prop::option::of(0..2u16),
        prop::option::of(0..4u32),
        prop::option::of(1..3u16),
    )
        .prop_map(|(zone, mark, port)| Filter {
            zone,
            mark: mark.map(|bits| (bits, 3)),
            label: None,
            state: None,
            original: PartialTuple {
                src_port: port,
                ..PartialTuple::default()
            },
            reply: PartialTuple::default(),
        });
    // Steps at which deadlines are hit exactly, just missed, and jumped over.
    let span = prop_oneof![
        Just(0),
        Just(1),
        0..200u64,
        Just(2_999),
        Just(29_999),
        Just(30_000),
        Just(60_000),
        0..700_000u64,
    ];
    let limit = prop::option::weighted(0.7, 0..4u32);
    prop::collection::vec(
        prop_oneof![
            16 => (packet, request).prop_map(|(packet, request)| {
                Operation::Packet(packet, request)
            }),
            5 => span.prop_map(Operation::Pass),
            2 => (0..5usize).prop_map(Operation::Expire),
            1 => (filter, 1..4usize).prop_map(|(filter, budget)| Operation::Flush(filter, budget)),
            1 => (0..=SLOTS).prop_map(Operation::Limit),
            1 => (0..2u16, limit.clone()).prop_map(|(zone, limit)| Operation::ZoneLimit(zone, limit)),
            1 => (0..2u16, limit).prop_map(|(zone, limit)| Operation::SourceLimit(zone, limit)),
            1 => (0..2u16, 1..300u64).prop_map(|(zone, span)| Operation::Timeout(zone, span)),
        ],
        0..120,
    )
}

/// What the tracker is to hold, oldest first.
struct Model {
    connections: Vec<Connection>,
    settings: Settings,
}

#[derive(Clone, Debug)]
struct Connection {
    zone: u16,
    /// Of its original and of its reply tuple.
    zones: [u16; 2],
    original: Tuple,
    mark: u32,
    label: u128,
    replied: bool,
    /// TCP and SCTP have trackers of their own, which are tested elsewhere.
    protocol: Protocol,
    /// Whether it was counted for its source address.
    counted: bool,
    deadline: u64,
}

/// What the packet of a connection is to it.
enum Part {
    Alive(CtState),
    /// It keeps nothing alive; a reset that may be right brings the end nearer.
    Idle(CtState, Option<u64>),
    Invalid,
    Reopens,
}

impl Model {
    fn new(settings: &Settings) -> Self {
        Self {
            connections: Vec::new(),
            settings: settings.clone(),
        }
    }

    fn zone(&mut self, zone: u16) -> &mut ZoneSettings {
        self.settings.zones.entry(zone).or_default()
    }

    fn lifetimes(&self, zone: u16) -> Lifetimes {
        let own = self.settings.zones.get(&zone);
        let own = own.and_then(|zone| zone.timeouts.as_ref());
        Lifetimes::new(own.unwrap_or(&self.settings.timeouts))
    }

    /// The connection of which a packet in `zone` is a part, and in which direction.
    fn find(&self, tuple: Tuple, zone: u16) -> Option<(usize, Direction)> {
        self.connections
            .iter()
            .enumerate()
            .find_map(|(at, connection)| {
                let [original_zone, reply_zone] = connection.zones;
                if connection.original == tuple && original_zone == zone {
                    Some((at, Direction::Original))
                } else if connection.original.reversed() == tuple && reply_zone == zone {
                    Some((at, Direction::Reply))
                } else {
                    None
                }
            })
    }

    fn packet(&mut self, frame: &VecFrame, request: &Request, now: u64) -> Result<Outcome, CtDrop> {
        self.forget(now);
        let layout = weir_packet::parse(frame.head(), frame.len()).expect("no runt");
        let Ok(Subject::Packet(tuple, transport)) = extract::subject(frame, &layout) else {
            panic!("each is a packet of a connection");
        };
        let force = request.commit.is_some_and(|commit| commit.force);
        let zones = match request.commit.and_then(|commit| commit.zone_dir) {
            None => [request.zone; 2],
            Some(ZoneDir::Original) => [request.zone, 0],
            Some(ZoneDir::Reply) => [0, request.zone],
        };
        let found = self.find(tuple, zones[0]).or_else(|| {
            let found = self.find(tuple, zones[1]);
            found.filter(|(_, direction)| *direction == Direction::Reply)
        });
        if let Some((at, direction)) = found {
            let part = if force && direction == Direction::Reply {
                Part::Reopens
            } else {
                let lifetimes = self.lifetimes(self.connections[at].zone);
                self.connections[at].follow(direction, &transport, &lifetimes, now)
            };
            let connection = &mut self.connections[at];
            let state = match part {
                Part::Reopens => None,
                Part::Invalid => Some(CtState::INV),
                Part::Alive(state) | Part::Idle(state, _) => {
                    connection.replied |= direction == Direction::Reply;
                    connection.write(request);
                    Some(state)
                }
            };
            if let Part::Idle(_, Some(deadline)) = part {
                connection.deadline = connection.deadline.min(deadline);
            }
            if let Some(state) = state {
                return Ok(connection.outcome(state));
            }
            self.connections.remove(at);
        }
        let Ok(protocol) = transport.open(true) else {
            return Ok(Outcome {
                state: CtState::TRK | CtState::INV,
                ..Outcome::default()
            });
        };
        let lifetimes = self.lifetimes(request.zone);
        let deadline = lifetimes.deadline(&protocol, Tick::from_millis(now));
        let mut connection = Connection {
            zone: request.zone,
            zones,
            original: tuple,
            mark: 0,
            label: 0,
            replied: false,
            protocol,
            counted: false,
            deadline: deadline.as_millis(),
        };
        if request.commit.is_some() {
            if self.find(tuple.reversed(), zones[1]).is_some() {
                return Err(CtDrop::TupleInUse);
            }
            self.make_room(&mut connection)?;
            connection.write(request);
            self.connections.push(connection.clone());
        }
        Ok(connection.outcome(CtState::NEW))
    }

    fn make_room(&mut self, new: &mut Connection) -> Result<(), CtDrop> {
        let own = self
            .settings
            .zones
            .get(&new.zone)
            .cloned()
            .unwrap_or_default();
        let of_source = |other: &&Connection| {
            other.counted && other.zone == new.zone && other.original.src() == new.original.src()
        };
        if let Some(limit) = own.source_limit {
            if self.connections.iter().filter(of_source).count() >= limit as usize {
                return Err(CtDrop::SourceLimit);
            }
            new.counted = true;
        }
        let all = Some(self.settings.max_connections);
        for (zone, limit, reason) in [
            (Some(new.zone), own.limit, CtDrop::ZoneFull),
            (None, all, CtDrop::TableFull),
        ] {
            let Some(limit) = limit else { continue };
            let there = |other: &Connection| zone.is_none_or(|zone| zone == other.zone);
            let count = |model: &Self| model.connections.iter().filter(|c| there(c)).count();
            let unreplied = |other: &Connection| there(other) && !other.replied;
            if count(self) == limit as usize
                && let Some(oldest) = self.connections.iter().position(unreplied)
            {
                self.connections.remove(oldest);
            }
            if count(self) >= limit as usize {
                return Err(reason);
            }
        }
        Ok(())
    }

    /// What the user sets.
    fn change(&mut self, operation: &Operation) {
        match *operation {
            Operation::Limit(limit) => self.settings.max_connections = limit,
            Operation::ZoneLimit(zone, limit) => self.zone(zone).limit = limit,
            Operation::SourceLimit(zone, limit) => self.zone(zone).source_limit = limit,
            Operation::Timeout(zone, seconds) => {
                let timeouts = self.settings.timeouts.clone();
                self.zone(zone).timeouts = Some(Timeouts {
                    udp_multiple: Duration::from_secs(seconds),
                    ..timeouts
                });
            }
            Operation::Packet(..)
            | Operation::Pass(_)
            | Operation::Expire(_)
            | Operation::Flush(..) => {}
        }
    }

    fn forget(&mut self, now: u64) {
        self.connections
            .retain(|connection| connection.deadline > now);
    }

    fn flush(&mut self, filter: &Filter) -> u64 {
        let before = self.connections.len();
        self.connections.retain(|connection| {
            !(filter.zone.is_none_or(|zone| zone == connection.zone)
                && filter
                    .mark
                    .is_none_or(|(value, mask)| connection.mark & mask == value)
                && filter.original.matches(&connection.original))
        });
        (before - self.connections.len()) as u64
    }
}

impl Connection {
    fn follow(
        &mut self,
        direction: Direction,
        transport: &Transport,
        lifetimes: &Lifetimes,
        now: u64,
    ) -> Part {
        let replied = self.replied || direction == Direction::Reply;
        let heard = match (replied, direction) {
            (false, _) => CtState::NEW,
            (true, Direction::Original) => CtState::EST,
            (true, Direction::Reply) => CtState::EST | CtState::RPL,
        };
        let tick = Tick::from_millis(now);
        let part = match (&mut self.protocol, transport) {
            (Protocol::Tcp(tcp), Transport::Tcp(segment)) => match tcp.update(direction, segment) {
                tcp::Verdict::Accepted => Part::Alive(heard),
                tcp::Verdict::SynAgain => Part::Alive(CtState::NEW),
                tcp::Verdict::Tolerated => Part::Idle(heard, None),
                tcp::Verdict::Challenged => {
                    let end = lifetimes.reset(tick).as_millis();
                    Part::Idle(heard, segment.resets().then_some(end))
                }
                tcp::Verdict::Reopens => Part::Reopens,
                tcp::Verdict::OutOfWindow | tcp::Verdict::BadReset | tcp::Verdict::Unanswered => {
                    Part::Invalid
                }
            },
            (Protocol::Sctp(sctp), Transport::Sctp(packet)) => {
                match sctp.update(direction, packet) {
                    sctp::Verdict::Accepted => Part::Alive(heard),
                    sctp::Verdict::Tolerated => Part::Idle(heard, None),
                    sctp::Verdict::BadTag | sctp::Verdict::BadState => Part::Invalid,
                }
            }
            (Protocol::Query(query), Transport::Query | Transport::Answer) => {
                if replied {
                    *query = Query::Replied;
                }
                Part::Alive(heard)
            }
            (Protocol::Datagram(datagram), Transport::Datagram) => {
                *datagram = if replied {
                    Datagram::Multiple
                } else {
                    Datagram::Single
                };
                Part::Alive(heard)
            }
            (protocol, transport) => panic!("{protocol:?} never meets {transport:?}"),
        };
        if let Part::Alive(_) = part {
            self.deadline = lifetimes.deadline(&self.protocol, tick).as_millis();
        }
        part
    }

    fn write(&mut self, request: &Request) {
        let Some(Commit { mark, label, .. }) = request.commit else {
            return;
        };
        if let Some((value, mask)) = mark {
            self.mark = self.mark & !mask | value & mask;
        }
        if let Some((value, mask)) = label {
            self.label = self.label & !mask | value & mask;
        }
    }

    fn known(&self, now: u64) -> Known {
        let Self {
            zone,
            original,
            mark,
            label,
            replied,
            deadline,
            ..
        } = *self;
        let reply = original.reversed();
        (zone, original, reply, mark, label, replied, deadline - now)
    }

    fn outcome(&self, state: CtState) -> Outcome {
        let Self {
            mark,
            label,
            original,
            ..
        } = *self;
        let state = CtState::TRK | state;
        Outcome {
            state,
            mark,
            label,
            original: Some(original),
            ..Outcome::default()
        }
    }
}

/// What a dump shows of a connection, and the model knows as well.
type Known = (u16, Tuple, Tuple, u32, u128, bool, u64);

fn known(entry: &Entry) -> Known {
    let Entry {
        zone,
        original,
        reply,
        mark,
        label,
        replied,
        ..
    } = *entry;
    (
        zone,
        original,
        reply,
        mark,
        label,
        replied,
        entry.timeout_left.as_millis() as u64,
    )
}

fn dump(tracker: &Tracker, now: Tick) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut cursor = Some(Cursor::default());
    while let Some(at) = cursor {
        cursor = tracker.dump(at, 2, &Filter::default(), now, &mut entries);
    }
    entries
}

fn execute(
    tracker: &mut Tracker,
    line: &str,
    request: &Request,
    now: Tick,
) -> Result<Outcome, CtDrop> {
    let frame = text::frame(line);
    let layout = weir_packet::parse(frame.head(), frame.len()).expect("no runt");
    tracker.execute(&frame, &layout, request, now)
}

fn settings(max_connections: u32) -> Settings {
    Settings {
        max_connections,
        ..Settings::default()
    }
}

proptest! {
    /// As below, on several shards; without limits, which are each table's own.
    #[test]
    fn shards_agree_with_the_model(
        operations in operations(),
        shards in prop::sample::select(&[1u16, 2, 4][..]),
        secret: u64,
        chance: u64,
        start in 0..1_000_000u64,
    ) {
        let mut world = World::new(shards, &settings(200), secret, chance, Bounds::default());
        let mut model = Model::new(&settings(200));
        let mut now = start;
        for operation in operations {
            let tick = Tick::from_millis(now);
            match operation {
                Operation::Packet(packet, request) => {
                    let frame = text::frame(&packet.line());
                    let Request { zone, commit, .. } = request;
                    let (number, nat, seen) = (0, None, None);
                    let wanted = model.packet(&frame, &request, now);
                    let parcel = Parcel { number, frame, zone, commit, nat, seen };
                    let there = world.packet(parcel, tick).outcome;
                    let forget = |outcome| Outcome { seen: None, recall: None, ..outcome };
                    prop_assert_eq!(there.map(forget), wanted, "{}", packet.line());
                }
                Operation::Pass(millis) => now += millis,
                Operation::Expire(_) => {
                    world.expire(tick);
                }
                Operation::Flush(filter, _) => {
                    model.forget(now);
                    // Expired ones may be flushed as well; they are no longer in the model.
                    let expired = world.entries(Tick::ZERO).len() - model.connections.len();
                    let flushed = world.flush(&filter, tick);
                    let wanted = model.flush(&filter);
                    prop_assert!((wanted..=wanted + expired as u64).contains(&flushed));
                }
                Operation::Timeout(..) => {
                    model.change(&operation);
                    prop_assert_eq!(world.reconfigure(&model.settings), Ok(()));
                }
                Operation::Limit(_) | Operation::ZoneLimit(..) | Operation::SourceLimit(..) => {}
            }
            let tick = Tick::from_millis(now);
            world.check(tick);
            world.shards.iter().for_each(|shard| shard.tracker().check(tick));
            model.forget(now);
            let mut there: Vec<_> = world.entries(tick).iter().map(known).collect();
            let mut wanted: Vec<_> = model.connections.iter().map(|other| other.known(now)).collect();
            there.sort_unstable();
            wanted.sort_unstable();
            prop_assert_eq!(there, wanted);
        }
        world.end(Tick::from_millis(now));
    }

    #[test]
    fn agrees_with_the_model(operations in operations(), secret: u64, start in 0..1_000_000u64) {
        let mut tracker = Tracker::new(&settings(SLOTS), secret);
        let mut model = Model::new(&settings(SLOTS));
        let mut now = start;
        for operation in operations {
            match operation {
                Operation::Packet(packet, request) => {
                    let line = packet.line();
                    let frame = text::frame(&line);
                    let layout = weir_packet::parse(frame.head(), frame.len()).expect("no runt");
                    let tick = Tick::from_millis(now);
                    let there = tracker.execute(&frame, &layout, &request, tick);
                    let there = there.map(|outcome| Outcome { seen: None, recall: None, ..outcome });
                    let wanted = model.packet(&frame, &request, now);
                    prop_assert_eq!(there, wanted, "{} with {:?}", line, request);
                }
                Operation::Pass(millis) => now += millis,
                Operation::Expire(budget) => {
                    let before = tracker.len();
                    let forgotten = tracker.expire(Tick::from_millis(now), budget);
                    prop_assert!(forgotten <= budget);
                    prop_assert_eq!(before - tracker.len(), forgotten);
                }
                Operation::Flush(filter, budget) => {
                    model.forget(now);
                    // Expired ones may be flushed as well; they are no longer in the model.
                    let expired = dump(&tracker, Tick::ZERO).len() - model.connections.len();
                    let (mut cursor, mut flushed) = (Some(Cursor::default()), 0);
                    while let Some(at) = cursor {
                        cursor = tracker.flush(at, budget, &filter, &mut flushed);
                    }
                    let wanted = model.flush(&filter);
                    prop_assert!((wanted..=wanted + expired as u64).contains(&flushed));
                }
                Operation::Limit(_)
                | Operation::ZoneLimit(..)
                | Operation::SourceLimit(..)
                | Operation::Timeout(..) => {
                    model.change(&operation);
                    prop_assert_eq!(tracker.reconfigure(&model.settings), Ok(Vec::new()));
                }
            }
            tracker.check(Tick::from_millis(now));
            model.forget(now);
            let mut entries: Vec<_> =
                dump(&tracker, Tick::from_millis(now)).iter().map(known).collect();
            let mut wanted: Vec<_> = model.connections.iter().map(|other| other.known(now)).collect();
            entries.sort_unstable();
            wanted.sort_unstable();
            prop_assert_eq!(entries, wanted);
            prop_assert!(tracker.len() >= model.connections.len());
        }
        // At the end of time everything is forgotten, and counted once.
        let end = Tick::from_millis(now + 1_000_000_000);
        while tracker.expire(end, 3) > 0 {}
        prop_assert!(tracker.is_empty());
        let counters = tracker.counters();
        let ended = counters.expired + counters.evicted + counters.flushed + counters.forced
            + counters.reopened;
        prop_assert_eq!(counters.created, ended);
        tracker.check(end);
    }

    /// Any bytes at all, with and without a commit, in a table of any state: no panic, and each
    /// invalid packet is counted once.
    #[test]
    fn any_frame(
        frames in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..120), 0..8u8, any::<bool>()), 1..20,
        ),
    ) {
        let mut tracker = Tracker::new(&settings(4), 1);
        let mut invalid = 0;
        for (bytes, kind, good) in frames {
            let frame = Vouched { frame: VecFrame::from(dressed(bytes, kind)), good };
            let Ok(layout) = weir_packet::parse(frame.head(), frame.len()) else { continue };
            let request = Request { commit: Some(Commit::default()), ..Request::default() };
            if let Ok(outcome) = tracker.execute(&frame, &layout, &request, Tick::ZERO) {
                prop_assert!(outcome.state.contains(CtState::TRK));
                invalid += u64::from(outcome.state.contains(CtState::INV));
            }
            tracker.check(Tick::ZERO);
        }
        let counted = tracker.counters().iter().filter(|(name, ..)| name.starts_with("invalid"));
        prop_assert_eq!(counted.map(|(_, value, _)| value).sum::<u64>(), invalid);
    }
}

/// Random bytes behind headers that get them looked at.
fn dressed(bytes: Vec<u8>, kind: u8) -> Vec<u8> {
    let mut frame = match kind {
        0 => return bytes,
        1 => text::parse("udp 10.0.0.1:1 > 10.0.0.2:2"),
        2 => text::parse("tcp 10.0.0.1:1 > 10.0.0.2:2 S"),
        3 => text::parse("icmp 10.0.0.1 > 10.0.0.2 unreachable code=1"),
        4 => text::parse("icmp6 fc00::1 > fc00::2 type=1"),
        5 => text::parse("icmp6 fc00::1 > fc00::2 neighbor-solicit target=fc00::2"),
        6 => text::parse("sctp 10.0.0.1:1 > 10.0.0.2:2 vtag=0x5"),
        _ => text::parse("ip proto=47 fc00::1 > fc00::2 data=00"),
    }
    .expect("it is right");
    // Grow the IP packet by the random bytes.
    let grown = bytes.len() as u16;
    if frame[12..14] == [0x08, 0x00] {
        let total = u16::from_be_bytes([frame[16], frame[17]]) + grown;
        frame[16..18].copy_from_slice(&total.to_be_bytes());
    } else {
        let payload = u16::from_be_bytes([frame[18], frame[19]]) + grown;
        frame[18..20].copy_from_slice(&payload.to_be_bytes());
    }
    frame.extend(bytes);
    frame
}

/// A frame for which the device vouches, or which it calls bad.
#[derive(Clone, Debug)]
struct Vouched {
    frame: VecFrame,
    good: bool,
}

impl Frame for Vouched {
    fn head(&self) -> &[u8] {
        self.frame.head()
    }

    fn head_mut(&mut self) -> &mut [u8] {
        self.frame.head_mut()
    }

    fn len(&self) -> usize {
        self.frame.len()
    }

    fn tail(&self) -> impl Iterator<Item = &[u8]> {
        self.frame.tail()
    }

    fn push_front(&mut self, count: usize) -> Result<(), NoHeadroom> {
        self.frame.push_front(count)
    }

    fn pull_front(&mut self, count: usize) {
        self.frame.pull_front(count);
    }

    fn truncate(&mut self, size: usize) {
        self.frame.truncate(size);
    }

    fn gather_head(&mut self, bytes: u16) -> bool {
        self.frame.gather_head(bytes)
    }

    fn duplicate(&self) -> Option<Self> {
        self.frame.duplicate().map(|frame| Self { frame, ..*self })
    }

    fn append(&mut self, behind: Self) {
        self.frame.append(behind.frame);
    }

    fn copy_part(&self, from: usize, size: usize) -> Option<Self> {
        let part = self.frame.copy_part(from, size);
        part.map(|frame| Self { frame, ..*self })
    }

    fn ip_checksum_status(&self) -> ChecksumStatus {
        if self.good {
            ChecksumStatus::Good
        } else {
            ChecksumStatus::Bad
        }
    }

    fn l4_checksum_status(&self) -> ChecksumStatus {
        self.ip_checksum_status()
    }
}

#[test]
fn the_device_is_believed_about_checksums() {
    let state = |line: &str, good| {
        let frame = Vouched {
            frame: text::frame(line),
            good,
        };
        let layout = weir_packet::parse(frame.head(), frame.len()).expect("no runt");
        let mut tracker = Tracker::new(&settings(1), 1);
        let outcome = tracker.execute(&frame, &layout, &Request::default(), Tick::ZERO);
        outcome.map(|outcome| outcome.state)
    };
    let (new, invalid) = (CtState::TRK | CtState::NEW, CtState::TRK | CtState::INV);
    assert_eq!(
        state("udp 10.0.0.1:1 > 10.0.0.2:2 bad-csum bad-ip-csum", true),
        Ok(new)
    );
    assert_eq!(state("udp 10.0.0.1:1 > 10.0.0.2:2", false), Ok(invalid));
    assert_eq!(state("udp [fc00::1]:1 > [fc00::2]:2", false), Ok(invalid));
    // A protocol without a checksum that is looked at has none that could be bad.
    assert_eq!(
        state("ip proto=50 fc00::1 > fc00::2 data=00", false),
        Ok(new)
    );
}

#[test]
fn seen_is_harmless_when_outdated() {
    let mut tracker = Tracker::new(&settings(1), 1);
    let commit = Request {
        commit: Some(Commit::default()),
        ..Request::default()
    };
    let first = "udp 10.0.0.1:1 > 10.0.0.2:2";
    let outcome = execute(&mut tracker, first, &commit, Tick::ZERO).expect("there is room");
    // Another connection takes the slot.
    assert_eq!(
        tracker.flush(Cursor::default(), 9, &Filter::default(), &mut 0),
        None
    );
    let other = "udp 10.0.0.3:1 > 10.0.0.2:2";
    execute(&mut tracker, other, &commit, Tick::ZERO).expect("there is room");
    let request = Request {
        seen: outcome.seen,
        ..Request::default()
    };
    let again = execute(&mut tracker, first, &request, Tick::ZERO).expect("no commit");
    assert_eq!(
        (again.state, again.seen),
        (CtState::TRK | CtState::NEW, None)
    );
}

#[test]
fn a_version_changes_with_what_a_rule_can_see() {
    let mut tracker = Tracker::new(&settings(1), 1);
    let mark = |mark| Request {
        commit: Some(Commit {
            mark: Some((mark, u32::MAX)),
            ..Commit::default()
        }),
        ..Request::default()
    };
    let there = "udp 10.0.0.1:1 > 10.0.0.2:2";
    let back = "udp 10.0.0.2:2 > 10.0.0.1:1";
    let mut last = 0;
    let mut changes = |line: &str, request: &Request, wanted: bool| {
        execute(&mut tracker, line, request, Tick::ZERO).expect("there is room");
        let version = tracker.table.hot(0).version;
        assert_eq!(version != last, wanted, "{line} {request:?}");
        last = version;
    };
    changes(there, &mark(1), true);
    changes(there, &Request::default(), true); // no longer the first
    changes(there, &Request::default(), false);
    changes(there, &mark(1), false);
    changes(there, &mark(2), true);
    changes(back, &Request::default(), true);
    changes(back, &Request::default(), false);
    changes(there, &Request::default(), false);
    tracker.flush(Cursor::default(), 9, &Filter::default(), &mut 0);
    assert_ne!(tracker.table.hot(0).version, last);
}

#[test]
fn a_limit_above_the_memory_is_refused() {
    let mut tracker = Tracker::new(&settings(10), 1);
    let error = TableTooSmall {
        wanted: 11,
        sized: 10,
    };
    assert_eq!(tracker.reconfigure(&settings(11)), Err(error));
    assert_eq!(tracker.reconfigure(&settings(0)), Ok(Vec::new()));
    let commit = Request {
        commit: Some(Commit::default()),
        ..Request::default()
    };
    let outcome = execute(
        &mut tracker,
        "udp 10.0.0.1:1 > 10.0.0.2:2",
        &commit,
        Tick::ZERO,
    );
    assert_eq!(outcome, Err(CtDrop::TableFull));
}

#[test]
fn expiry_costs_what_its_budget_allows() {
    let mut tracker = Tracker::new(&settings(100), 1);
    let commit = Request {
        commit: Some(Commit::default()),
        ..Request::default()
    };
    for port in 1..=100 {
        let line = format!("udp 10.0.0.1:{port} > 10.0.0.2:2");
        execute(&mut tracker, &line, &commit, Tick::ZERO).expect("there is room");
    }
    let late = Tick::from_millis(100_000_000);
    assert_eq!(tracker.expire(late, 0), 0);
    assert_eq!(tracker.expire(late, 30), 30);
    assert_eq!(tracker.len(), 70);
    assert_eq!(tracker.expire(late, 1000), 70);
    assert_eq!(tracker.expire(late, 1000), 0);
}

/// A table that churns at its limit for long takes no memory: what was taken at start suffices.
#[test]
fn churn_at_the_limit_takes_no_memory() {
    let mut tracker = Tracker::new(&settings(64), 1);
    let commit = Request {
        commit: Some(Commit::default()),
        ..Request::default()
    };
    for round in 0..20_000u32 {
        let [a, b, c, d] = (0x0a00_0000 + round).to_be_bytes();
        let line = format!("udp {a}.{b}.{c}.{d}:1 > 10.0.0.2:2");
        let now = Tick::from_millis(u64::from(round));
        execute(&mut tracker, &line, &commit, now).expect("an unreplied one gives way");
    }
    assert_eq!(tracker.len(), 64);
    assert_eq!(tracker.counters().evicted, 20_000 - 64);
    tracker.check(Tick::from_millis(20_000));
}

fn in_zone(zone: u16) -> Request<'static> {
    Request {
        zone,
        commit: Some(Commit::default()),
        ..Request::default()
    }
}

/// A connection from this client's port, and an answer if it gets one.
fn open(tracker: &mut Tracker, zone: u16, client: u32, answered: bool, now: Tick) -> bool {
    let [a, b, c, d] = (0x0a00_0000 + client).to_be_bytes();
    let there = format!("udp {a}.{b}.{c}.{d}:1 > 192.0.2.1:2");
    let back = format!("udp 192.0.2.1:2 > {a}.{b}.{c}.{d}:1");
    let made = execute(tracker, &there, &in_zone(zone), now).is_ok();
    if answered {
        execute(tracker, &back, &in_zone(zone), now).expect("it is no commit that drops");
    }
    made
}

/// Whatever lies between them: a flood takes places from itself, and those that have replies stay.
#[test]
fn a_flood_is_made_room_for_wherever_its_connections_lie() {
    const SLOTS: u32 = 20_000;
    let mut tracker = Tracker::new(&settings(SLOTS), 1);
    let now = Tick::from_millis(1_000);
    // Ten without a reply, in the middle of the others and at the ends.
    let lonely = |n: u32| n.is_multiple_of(SLOTS / 10);
    for n in 0..SLOTS {
        assert!(open(&mut tracker, 0, n, !lonely(n), now));
    }
    for n in 0..1_000 {
        assert!(open(&mut tracker, 0, SLOTS + n, false, now), "{n}");
    }
    assert_eq!(tracker.counters().evicted, 1_000);
    // The first ten were those that there were.
    let replied = dump_of(&tracker, now);
    let replied = replied.iter().filter(|entry| entry.replied);
    assert_eq!(replied.count(), (SLOTS - 10) as usize);
    // With the last of them answered nobody can go.
    for n in 0..10 {
        open(&mut tracker, 0, SLOTS + 990 + n, true, now);
    }
    assert!(!open(&mut tracker, 0, 3 * SLOTS, false, now));
    tracker.check(now);
}

/// The same of a zone at its limit, whatever others have.
#[test]
fn a_flood_in_a_zone_takes_places_from_the_zone_alone() {
    let mut settings = settings(5_000);
    let limited = ZoneSettings {
        limit: Some(300),
        ..ZoneSettings::default()
    };
    settings.zones.insert(5, limited);
    let mut tracker = Tracker::new(&settings, 1);
    let now = Tick::from_millis(1_000);
    // Many without a reply in another zone, on both sides.
    (0..1_000).for_each(|n| assert!(open(&mut tracker, 6, n, false, now)));
    for n in 0..300 {
        assert!(open(&mut tracker, 5, n, n != 7, now));
    }
    (1_000..2_000).for_each(|n| assert!(open(&mut tracker, 6, n, false, now)));
    let refused = (300..2_000).filter(|n| !open(&mut tracker, 5, *n, false, now));
    // 64 of the zone's are looked at for each, until the search comes to the one that there was; from
    // then on the flood's own is found.
    assert_eq!(refused.collect::<Vec<_>>(), [300, 301, 302, 303]);
    assert_eq!(tracker.table.zones.live(5), 300);
    assert_eq!(tracker.table.zones.live(6), 2_000);
    tracker.check(now);
}

/// Honest clients are answered before their turn comes, though a flood goes on.
#[test]
fn honest_connections_outlive_a_flood() {
    const SLOTS: u32 = 2_048;
    let mut tracker = Tracker::new(&settings(SLOTS), 1);
    let now = Tick::from_millis(1_000);
    (0..SLOTS / 2).for_each(|n| assert!(open(&mut tracker, 0, n, true, now)));
    let mut client = SLOTS;
    let mut lost = 0;
    for honest in 0..500 {
        let [a, b] = (1_000 + honest as u16).to_be_bytes();
        let there = format!("udp 172.16.{a}.{b}:1 > 192.0.2.1:2");
        let back = format!("udp 192.0.2.1:2 > 172.16.{a}.{b}:1");
        execute(&mut tracker, &there, &in_zone(0), now).expect("somebody gives way");
        // So much of the flood comes before the answer does.
        for _ in 0..256 {
            client += 1;
            assert!(open(&mut tracker, 0, client, false, now));
        }
        let answered = execute(&mut tracker, &back, &in_zone(0), now);
        let state = answered.expect("there is room").state;
        lost += u32::from(!state.contains(CtState::EST));
        if state.contains(CtState::EST) {
            let exact = format!(
                "ct_nw_src=172.16.{a}.{b},ct_nw_dst=192.0.2.1,ct_nw_proto=17,ct_tp_src=1,ct_tp_dst=2"
            );
            let filter = Filter::parse(&[&exact]).expect("it is right");
            tracker.flush(Cursor::default(), 1, &filter, &mut 0);
        }
    }
    assert!(lost < 25, "{lost} of 500");
}

fn dump_of(tracker: &Tracker, now: Tick) -> Vec<Entry> {
    let mut entries = Vec::new();
    tracker.dump(
        Cursor::default(),
        usize::MAX,
        &Filter::default(),
        now,
        &mut entries,
    );
    entries
}
