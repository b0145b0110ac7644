//! A switch of several lcores, driven one by one: bursts come in at any of them, what they tell
//! each other is carried in an order that chance decides, and so is which of them has its turn.
//!
//! With one lcore it is the same as any other switch; what it does is what a switch of several must
//! do, whatever chance says.
//!
//! Invariants, checked whenever all is quiet
//!   1. Every packet received is counted by one lcore, and is sent or dropped by name.
//!   2. No two lcores have a connection of one tuple, and nothing stays reserved without a use.

use std::collections::HashMap;
use std::sync::Arc;

use weir_config::text::{Options, parse_bundle_file, parse_flow_file, parse_packet_out};
use weir_ct::credits::Lender;
use weir_ct::{Bounds, Cursor, Entry, Filter, Owners, PairId, Rss, Settings, ShardId};
use weir_packet::{Tick, VecFrame, parse, reassembly};
use weir_tables::cache::CacheSettings;
use weir_tables::classifier::HashSecret;
use weir_tables::counters::LcoreCounters;
use weir_tables::datapath::{Datapath, LcoreGone, PollStats, PortStatus};
use weir_tables::drops::DropReason;
use weir_tables::flow_mod::FlowMod;
use weir_tables::flow_tables::FlowTables;
use weir_tables::fragments::{Fragments, Gathering};
use weir_tables::key::FlowKey;
use weir_tables::lcore::{Lcore, LcoreAnswer, LcoreRequest, Seat};
use weir_tables::mac_table::MacEntry;
use weir_tables::packet_in::PacketIn;
use weir_tables::packet_out::PacketOut;
use weir_tables::pipeline::Output;
use weir_tables::port::{PortConfig, PortIndex, PortNo, PortTable, VlanMode};
use weir_tables::snapshot::Snapshot;
use weir_tables::trace::{Question, Story};
use weir_tables::tunnel::Tunnels;

use crate::switch::Tunnel;

/// How many lcores there are, and what decides what happens when.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Lcores.
    pub lcores: u16,
    /// Which lcore owns what, and in what order things happen.
    pub chance: u64,
    /// Whether the device's hash decides on owners, and it puts packets there.
    pub rss: bool,
    /// The caches of each.
    pub caches: CacheSettings,
    /// How much may wait between them.
    pub bounds: Bounds,
}

impl Shape {
    /// So many lcores with small caches and the usual room. If `chance` is odd, the device's hash
    /// decides on owners.
    pub fn new(lcores: u16, chance: u64) -> Self {
        let caches = crate::switch::Caches::default();
        Self {
            lcores,
            chance,
            rss: chance % 2 == 1,
            caches: CacheSettings {
                megaflows: Some(caches.megaflows),
                trajectories: Some(caches.trajectories),
            },
            bounds: Bounds::default(),
        }
    }

    /// Who owns what.
    pub fn owners(&self) -> Owners {
        let owners = Owners::new(self.lcores, self.chance);
        match self.rss {
            true => owners.led_by(Rss::new(self.chance)),
            false => owners,
        }
    }
}

/// One thing that happens between lcores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// The first thing that one has to tell another arrives there.
    Tell {
        /// Who tells.
        from: usize,
        /// Who is told.
        to: usize,
    },
    /// One deals with what it was told.
    Turn(usize),
}

/// Several lcores with ports 1 to 4.
pub struct Cluster {
    tables: FlowTables,
    ports: Arc<PortTable>,
    seats: Vec<Seat<VecFrame>>,
    /// Pieces that wait, by lcore.
    fragments: Vec<Fragments<VecFrame>>,
    /// Which of them have something to deal with that they were told.
    unsettled: Vec<bool>,
    /// Of those that no thread runs now, what has come to their queues.
    under_way: Vec<Option<Bursts>>,
    owners: Owners,
    now: Tick,
    draw: u64,
    received: u64,
    lender: Lender,
    /// Frames sent and not yet looked at, with the lcore that sent each.
    sent: Sent,
}

impl Datapath for Cluster {
    fn now(&self) -> Tick {
        self.now
    }

    fn counters(&self) -> Vec<Arc<LcoreCounters>> {
        let counters = self.seats.iter().map(|seat| seat.lcore().counters());
        counters.collect()
    }

    fn poll_stats(&self) -> Vec<PollStats> {
        vec![PollStats::default(); self.seats.len()]
    }

    fn publish(&mut self, snapshot: Arc<Snapshot>) {
        for seat in &mut self.seats {
            drop(seat.lcore_mut().refresh(Arc::clone(&snapshot)));
        }
    }

    fn oldest_generation(&mut self) -> u64 {
        let obeyed = self.seats.iter();
        let obeyed = obeyed.map(|seat| seat.lcore().snapshot().generation);
        obeyed.min().unwrap_or(0)
    }

    fn ask(&mut self, lcore: usize, request: LcoreRequest) -> Result<LcoreAnswer, LcoreGone> {
        let seat = self.seats.get_mut(lcore).ok_or(LcoreGone)?;
        let LcoreRequest::PacketOut { frame, order } = request else {
            return Ok(seat.lcore_mut().answer(request, self.now));
        };
        if let Some(other) = seat.lcore().packet_out_elsewhere(&frame, &order) {
            return Ok(LcoreAnswer::Elsewhere(other));
        }
        let mut out = Gathering {
            out: &mut self.sent,
            fragments: &mut self.fragments[lcore],
        };
        seat.packet_out(VecFrame::new(&frame), &order, self.now, &mut out);
        self.unsettled[lcore] = true;
        Ok(LcoreAnswer::PacketSent(Ok(())))
    }

    fn packet_ins(&mut self, _read: &mut dyn FnMut(&PacketIn)) {}

    fn ports(&self) -> Vec<PortStatus> {
        Vec::new()
    }
}

/// What has come, and where, in order.
type Bursts = Vec<(PortIndex, Vec<VecFrame>)>;

#[derive(Default)]
struct Sent(Vec<(PortIndex, VecFrame)>);

impl Output<VecFrame> for Sent {
    fn send(&mut self, port: PortIndex, frame: VecFrame) {
        self.0.push((port, frame));
    }
}

impl Cluster {
    /// A switch with these flows.
    ///
    /// # Panics
    /// With the message of the first error, if a flow is wrong or cannot be executed.
    pub fn new(shape: Shape, settings: &Settings, flows: &str) -> Self {
        Self::with_tunnels(shape, settings, &[], flows)
    }

    /// The same with tunnel ports, as [`crate::switch::Builder::tunnel`] has them.
    ///
    /// # Panics
    /// As that, and if a tunnel is none.
    pub fn with_tunnels(
        shape: Shape,
        settings: &Settings,
        tunnels: &[(u32, &str)],
        flows: &str,
    ) -> Self {
        let port = |no| PortConfig {
            no: PortNo(no),
            name: format!("p{no}"),
            mtu: 1500,
            vlan: VlanMode::TrunkAll,
        };
        let numbers = (1..=4).chain(tunnels.iter().map(|(no, _)| *no));
        let ports = PortTable::new(numbers.map(port).collect());
        let index = |no| ports.index_of(PortNo(no)).expect("there is a port");
        let tunnels = tunnels.iter().map(|(no, tunnel)| {
            let Tunnel { over, mut config } = Tunnel::read(tunnel).expect("a tunnel");
            config.over = index(over);
            (index(*no), config)
        });
        let tunnels = Tunnels::new(&tunnels.collect::<Vec<_>>(), &[]);
        let ports = Arc::new(ports.with_tunnels(tunnels));
        let secret = 0x5eed;
        let mut tables = FlowTables::new(shape.lcores.into(), HashSecret(secret));
        let snapshot = Arc::new(tables.snapshot(&ports));
        let owners = shape.owners();
        let seat = |me| {
            let me = ShardId(me);
            let lcore = Lcore::one_of(&owners, me, Arc::clone(&snapshot), settings, secret);
            Seat::new(lcore.with_caches(shape.caches), &owners, me, shape.bounds)
        };
        let mut cluster = Self {
            seats: (0..shape.lcores).map(seat).collect(),
            fragments: (0..shape.lcores)
                .map(|_| Fragments::new(reassembly::Bounds::default(), secret))
                .collect(),
            unsettled: vec![false; shape.lcores.into()],
            under_way: vec![None; shape.lcores.into()],
            tables,
            ports,
            owners: owners.clone(),
            now: Tick::from_millis(1_000_000),
            draw: shape.chance,
            received: 0,
            lender: Lender::new(settings, shape.lcores),
            sent: Sent::default(),
        };
        cluster.change_flows(flows);
        cluster
    }

    /// Changes flows; each lcore obeys at once.
    ///
    /// # Panics
    /// If one is wrong or cannot be executed.
    pub fn change_flows(&mut self, flows: &str) {
        let options = Options {
            name: "flows",
            ..Options::default()
        };
        let read = parse_flow_file(flows, &options);
        let read = read.unwrap_or_else(|errors| panic!("{}", errors[0]));
        let mods: Vec<FlowMod> = read.into_iter().map(|flow| flow.value).collect();
        let applied = self.tables.apply(&mods, self.now);
        applied.unwrap_or_else(|(at, error)| panic!("flow {}: {error}", at + 1));
        self.publish_tables();
    }

    /// Changes flows and groups.
    ///
    /// # Panics
    /// If one is wrong or cannot be executed.
    pub fn bundle(&mut self, text: &str) {
        let read = parse_bundle_file("bundle", text, &());
        let read = read.unwrap_or_else(|errors| panic!("{}", errors[0]));
        let steps: Vec<_> = read.into_iter().map(|step| step.value).collect();
        let applied = self.tables.apply_bundle(&steps, self.now);
        applied.unwrap_or_else(|(at, error)| panic!("line {}: {error}", at + 1));
        self.publish_tables();
    }

    fn publish_tables(&mut self) {
        let snapshot = self.tables.snapshot(&self.ports);
        Datapath::publish(self, Arc::new(snapshot));
    }

    /// A burst comes in at `port`, by a queue of lcore number `lcore`.
    pub fn receive(&mut self, lcore: usize, port: u32, frames: Vec<VecFrame>) {
        let in_port = self.ports.index_of(PortNo(port)).expect("there is a port");
        self.received += frames.len() as u64;
        let lcore = lcore % self.seats.len();
        match &mut self.under_way[lcore] {
            Some(queues) => queues.push((in_port, frames)),
            None => self.burst(lcore, in_port, frames),
        }
    }

    fn burst(&mut self, lcore: usize, in_port: PortIndex, frames: Vec<VecFrame>) {
        let mut slots: Vec<_> = frames.into_iter().map(Some).collect();
        let mut out = Gathering {
            out: &mut self.sent,
            fragments: &mut self.fragments[lcore],
        };
        self.seats[lcore].receive(in_port, &mut slots, self.now, &mut out);
        self.unsettled[lcore] = true;
    }

    /// Number `lcore` is taken from its thread, to be moved to another one: what comes to it waits.
    pub fn take_away(&mut self, lcore: usize) {
        self.under_way[lcore].get_or_insert_default();
    }

    /// Another thread runs number `lcore` from now on.
    pub fn give(&mut self, lcore: usize) {
        for (port, frames) in self.under_way[lcore].take().into_iter().flatten() {
            self.burst(lcore, port, frames);
        }
    }

    /// A packet comes in at `port`, where a device would put it: at its owner, if the device's hash decides on
    /// owners and tells such packets apart; else by a hash of both ends, each in its place, so that one
    /// direction of a connection comes in at one lcore.
    pub fn inject(&mut self, port: u32, frame: VecFrame) {
        let lcore = self.queue_of(&frame);
        self.receive(lcore, port, vec![frame]);
    }

    fn queue_of(&self, frame: &VecFrame) -> usize {
        let tuple = parse(frame.bytes(), frame.bytes().len())
            .ok()
            .and_then(|layout| weir_packet::Tuple::of(frame.bytes(), &layout));
        if let (Some(rss), Some(tuple)) = (self.owners.rss(), &tuple)
            && let Some(bucket) = rss.bucket(tuple)
        {
            return self.owners.owner_of_bucket(bucket).0.into();
        }
        let ends = tuple.map_or([0; 4], |tuple| {
            let last = |address: std::net::IpAddr| match address {
                std::net::IpAddr::V4(address) => u64::from(address.to_bits()),
                std::net::IpAddr::V6(address) => address.to_bits() as u64,
            };
            let ports = [tuple.src_port, tuple.dst_port].map(u64::from);
            [last(tuple.src()), last(tuple.dst()), ports[0], ports[1]]
        });
        let mix = |hash: u64, end: u64| {
            (hash ^ end)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(29)
        };
        ends.into_iter().fold(7, mix) as usize
    }

    /// A number below `below`.
    fn chance(&mut self, below: usize) -> usize {
        self.draw = self
            .draw
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.draw >> 33) as usize % below
    }

    /// One thing happens: what one lcore has to tell another is carried, a part of it, and that one
    /// has its turn. Returns whether there was anything to do.
    pub fn step(&mut self) -> bool {
        let lcores = self.seats.len();
        let (first, most) = (self.chance(lcores * lcores), 1 + self.chance(5));
        for pair in (0..lcores * lcores).map(|n| (first + n) % (lcores * lcores)) {
            let (from, to) = (pair / lcores, pair % lcores);
            if [from, to]
                .iter()
                .any(|&seat| self.under_way[seat].is_some())
            {
                continue;
            }
            let mut carried = false;
            for _ in 0..most {
                if !self.tell(from, to) {
                    break;
                }
                carried = true;
            }
            if carried {
                self.settle_one(to);
                return true;
            }
        }
        let mut any = false;
        for at in 0..lcores {
            any |= self.under_way[at].is_none() && self.settle_one(at);
        }
        let all_run = self.under_way.iter().all(Option::is_none);
        any || all_run && !self.seats.iter().all(Seat::is_quiet)
    }

    /// Carries the next thing that one lcore has to tell another; returns whether there was anything.
    fn tell(&mut self, from: usize, to: usize) -> bool {
        let mut out = Gathering {
            out: &mut self.sent,
            fragments: &mut self.fragments[to],
        };
        let (sender, receiver) = (ShardId(from as u16), ShardId(to as u16));
        if let Some(packet) = self.seats[from].hand_over(receiver) {
            self.seats[to].accept(packet, self.now, &mut out);
        } else if let Some(note) = self.seats[from].outgoing(receiver) {
            self.seats[to].take(sender, note, self.now, &mut out);
        } else {
            return false;
        }
        true
    }

    fn settle_one(&mut self, at: usize) -> bool {
        let mut out = Gathering {
            out: &mut self.sent,
            fragments: &mut self.fragments[at],
        };
        self.seats[at].settle(self.now, &mut out)
    }

    /// All that may happen next, but for packets that come in: each is a part of [`Cluster::step`].
    pub fn moves(&self) -> Vec<Move> {
        let lcores = self.seats.len();
        let pairs = (0..lcores * lcores).map(|pair| (pair / lcores, pair % lcores));
        let told = pairs.filter(|&(from, to)| self.seats[from].has_notes(ShardId(to as u16)));
        let turns = (0..lcores).filter(|&lcore| self.unsettled[lcore]);
        told.map(|(from, to)| Move::Tell { from, to })
            .chain(turns.map(Move::Turn))
            .collect()
    }

    /// Lets one thing happen.
    pub fn make(&mut self, next: Move) {
        match next {
            Move::Tell { from, to } => {
                self.unsettled[to] |= self.tell(from, to);
            }
            Move::Turn(lcore) => {
                self.unsettled[lcore] = self.settle_one(lcore);
            }
        }
    }

    /// Until nothing is left to do.
    ///
    /// # Panics
    /// If that takes too long, or an invariant breaks.
    pub fn settle(&mut self) {
        let mut steps = 0;
        while self.step() {
            steps += 1;
            assert!(steps < 1_000_000, "it comes to an end");
        }
        let counted: u64 = self.each_counter(|lcore| lcore.counters().packets.read());
        assert_eq!(counted, self.received, "each packet is counted once");
        self.check_tuples();
    }

    /// The management thread looks once which lcores want more of what limits allow, and lends it.
    ///
    /// # Panics
    /// If an lcore answers otherwise than it was asked.
    pub fn lend(&mut self) {
        self.pass(0);
        let words = self.seats.iter();
        let words: Vec<u64> = words
            .map(|seat| seat.lcore().counters().credit_words.read())
            .collect();
        let (seats, now) = (&mut self.seats, self.now);
        self.lender.look(
            |lcore| words[lcore],
            |lcore, orders| {
                let request = LcoreRequest::Lend(orders);
                match seats[lcore].lcore_mut().answer(request, now) {
                    LcoreAnswer::Lent(said) => Some(said),
                    other => panic!("an order is answered with {other:?}"),
                }
            },
        );
    }

    /// The management thread changes settings.
    ///
    /// # Panics
    /// If they are refused, or an lcore answers otherwise than it was asked.
    pub fn configure(&mut self, settings: &Settings) {
        let (mut held, now) = (Vec::new(), self.now);
        for seat in &mut self.seats {
            let request = LcoreRequest::Configure(settings.clone());
            match seat.lcore_mut().answer(request, now) {
                LcoreAnswer::Configured(done) => held.push(done.expect("they are possible")),
                other => panic!("settings are answered with {other:?}"),
            }
        }
        let kept = self.lender.begin(settings, &held);
        for seat in &mut self.seats {
            let request = LcoreRequest::BeginLimits(Arc::clone(&kept));
            let answer = seat.lcore_mut().answer(request, now);
            assert!(matches!(answer, LcoreAnswer::LimitsBegun));
        }
        self.lend();
    }

    /// What would become of a packet that came in at `port`, told by whoever would deal with it.
    ///
    /// # Panics
    /// If nobody tells.
    pub fn trace(&mut self, port: u32, frame: &VecFrame) -> Story {
        let question = Question {
            in_port: PortNo(port),
            frame: frame.bytes().to_vec(),
            metadata: FlowKey::ZERO,
            states: Vec::new(),
        };
        let request = LcoreRequest::Trace(Box::new(question));
        match self.ask_owner(&request) {
            Ok(LcoreAnswer::Traced(story)) => *story,
            other => panic!("a question for a journey is answered with {other:?}"),
        }
    }

    /// A controller sends a packet.
    ///
    /// # Panics
    /// If `text` says none, as `packet-out` takes it, or nobody sends it.
    pub fn packet_out(&mut self, text: &str) {
        let options = Options {
            name: "packet-out",
            ..Options::default()
        };
        let read = parse_packet_out(text, &options).unwrap_or_else(|error| panic!("{error}"));
        let tlvs = self.tables.options();
        let order = PacketOut::new(read.in_port, read.metadata, read.actions, tlvs);
        let request = LcoreRequest::PacketOut {
            frame: read.frame,
            order: Box::new(order.expect("it can be executed")),
        };
        let answer = self.ask_owner(&request);
        assert!(
            matches!(answer, Ok(LcoreAnswer::PacketSent(Ok(())))),
            "a packet-out is answered with {answer:?}"
        );
    }

    /// What left at any port since the last look, in order: the port's number and the frame.
    pub fn sent(&mut self) -> Vec<(u32, VecFrame)> {
        let ports = &self.ports;
        let sent = self.sent.0.drain(..);
        sent.map(|(port, frame)| (ports.port(port).no.0, frame))
            .collect()
    }

    /// Whether nothing left since the last look.
    pub const fn sent_nothing(&self) -> bool {
        self.sent.0.is_empty()
    }

    /// Time passes; what is over is forgotten.
    pub fn pass(&mut self, millis: u64) {
        self.now = Tick::from_millis(self.now.as_millis() + millis);
        for seat in &mut self.seats {
            seat.housekeep(self.now, usize::MAX);
        }
    }

    /// The connections of each lcore.
    pub fn connections(&mut self) -> Vec<Vec<Entry>> {
        let now = self.now;
        let dump = |seat: &mut Seat<VecFrame>| {
            let (mut all, mut cursor) = (Vec::new(), Some(Cursor::default()));
            while let Some(at) = cursor {
                let request = LcoreRequest::DumpConnections {
                    cursor: at,
                    budget: 1024,
                    filter: Filter::default(),
                    room: Vec::new(),
                };
                let answer = seat.lcore_mut().answer(request, now);
                let LcoreAnswer::Connections { entries, next } = answer else {
                    panic!("a dump is answered with connections");
                };
                all.extend(entries);
                cursor = next;
            }
            all
        };
        self.seats.iter_mut().map(dump).collect()
    }

    /// What is expected, as dumps show it: of all lcores together, sorted.
    pub fn expected(&mut self) -> Vec<String> {
        let now = self.now;
        let mut lines = Vec::new();
        for seat in &mut self.seats {
            let mut cursor = Some(0);
            while let Some(at) = cursor {
                let request = LcoreRequest::DumpExpected {
                    cursor: at,
                    budget: 1024,
                    zone: None,
                };
                let answer = seat.lcore_mut().answer(request, now);
                let LcoreAnswer::Expected { entries, next } = answer else {
                    panic!("what is expected is answered with expectations");
                };
                lines.extend(entries.iter().map(ToString::to_string));
                cursor = next;
            }
        }
        lines.sort();
        lines
    }

    /// Ends the connections that a filter names, on each lcore. Returns how many there were.
    ///
    /// # Panics
    /// If the filter is none.
    pub fn flush(&mut self, filter: &str) -> u64 {
        let words: Vec<_> = filter.split_whitespace().collect();
        let filter = Filter::parse(&words).expect("a filter");
        let now = self.now;
        let flush = |seat: &mut Seat<VecFrame>| {
            let (mut flushed, mut cursor) = (0, Some(Cursor::default()));
            while let Some(at) = cursor {
                let request = LcoreRequest::FlushConnections {
                    cursor: at,
                    budget: 1024,
                    filter,
                };
                let answer = seat.lcore_mut().answer(request, now);
                let LcoreAnswer::Flushed { connections, next } = answer else {
                    panic!("a flush is answered with {answer:?}");
                };
                flushed += connections;
                cursor = next;
            }
            flushed
        };
        self.seats.iter_mut().map(flush).sum()
    }

    /// The MAC addresses that each lcore knows, sorted.
    pub fn macs(&mut self) -> Vec<Vec<MacEntry>> {
        let now = self.now;
        let macs = |seat: &mut Seat<VecFrame>| match seat
            .lcore_mut()
            .answer(LcoreRequest::ShowMacs, now)
        {
            LcoreAnswer::Macs(mut entries) => {
                entries.sort_by_key(|entry| (entry.vlan, entry.mac));
                entries
            }
            other => panic!("a question for MAC addresses is answered with {other:?}"),
        };
        self.seats.iter_mut().map(macs).collect()
    }

    /// Ends all connections; nothing stays reserved.
    ///
    /// # Panics
    /// If something does.
    pub fn end(mut self) {
        self.flush("");
        self.settle();
        assert_eq!(
            self.expected(),
            [""; 0],
            "what is expected ends with its masters"
        );
        for seat in &self.seats {
            assert_eq!(seat.pairs(), (0, 0), "what was reserved was given back");
        }
    }

    /// Drops by reason, of all lcores together, if there were any.
    pub fn drops(&self) -> HashMap<&'static str, u64> {
        let reasons = DropReason::ALL.iter().map(|reason| {
            let dropped =
                self.each_counter(|lcore| lcore.counters().drops[*reason as usize].read());
            (reason.name(), dropped)
        });
        reasons.filter(|(_, dropped)| *dropped > 0).collect()
    }

    /// What was counted under a name of [`weir_ct::ShardCounters`], of all lcores together.
    ///
    /// # Panics
    /// If there is no such counter.
    pub fn hand_offs(&mut self, name: &str) -> u64 {
        self.pass(0);
        let counters = weir_ct::ShardCounters::default();
        let at = counters.iter().position(|(other, ..)| other == name);
        let at = at.expect("there is such a counter");
        self.each_counter(|lcore| lcore.counters().hand_offs[at].read())
    }

    fn each_counter(&self, read: impl Fn(&Lcore) -> u64) -> u64 {
        self.seats.iter().map(|seat| read(seat.lcore())).sum()
    }

    /// No two lcores have a connection of one tuple.
    fn check_tuples(&mut self) {
        let mut holders: HashMap<PairId, usize> = HashMap::new();
        for (at, entries) in self.connections().iter().enumerate() {
            for entry in entries {
                for tuple in [entry.original, entry.reply] {
                    let other = holders.insert(self.owners.pair(&tuple), at);
                    assert!(
                        other.is_none_or(|other| other == at),
                        "{tuple} at {other:?}, {at}"
                    );
                }
            }
        }
    }
}
