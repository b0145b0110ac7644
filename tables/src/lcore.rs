//! What one lcore owns, without the devices: its connections, its MAC table, its counters and
//! the snapshot it obeys.
//!
//! The poll loop in `pmd` and `weir replay` drive the same [`Lcore`].
//!
//! Threads: owned by one lcore; the management thread reaches it through [`LcoreRequest`]s
//! that are answered between bursts, each within a budget.

use std::sync::Arc;

use weir_ct::credits::{Order, Said, Scope};
use weir_ct::{
    After, Cursor, Entry, Event, Expected, Filter, Memory, Owners, RangeCounts, RangeKey, Settings,
    ShardId, Tally, Tracker, ZoneCounts,
};
use weir_packet::{Tick, VecFrame};

use crate::cache::{
    CacheSettings, CacheStats, MaskStats, MegaflowSettings, Megaflows, REFS, Records, Trace,
    Trajectories, TrajectorySettings,
};
use crate::classifier::HashSecret;
use crate::counters::{LcoreCounters, MEMORY_PARTS};
use crate::mac_table::{MacEntry, MacTable};
use crate::packet_in::PacketInSender;
use crate::packet_out::PacketOut;
use crate::pipeline::{Holding, Stack};
use crate::port::PortIndex;
use crate::snapshot::Snapshot;
use crate::trace::{Question, Story};
use crate::tunnel::{Ingress, NeighbourEntry, Neighbours};

mod ahead;
mod burst;
mod find;
mod hit;
mod seat;
mod stage;
mod trace;
mod underlay;

pub use seat::{Handed, Note, Seat};

pub(crate) use ahead::Ahead;
use ahead::Scratch;
use burst::BURST;
use stage::Stage;

/// A question to an lcore, answered between two bursts.
#[derive(Clone, Debug)]
pub enum LcoreRequest {
    /// The connections that `filter` names, at most `budget` slots from `cursor` on.
    DumpConnections {
        /// Where to go on: the default, or what the last answer said.
        cursor: Cursor,
        /// How many slots of the table to look at.
        budget: usize,
        /// Which connections.
        filter: Filter,
        /// To put them into; with room for as many as the budget, so that the lcore need not get
        /// memory.
        room: Vec<Entry>,
    },
    /// The connections that are expected in `zone`, or in any, at most `budget` places from
    /// `cursor` on.
    DumpExpected {
        /// 0, or where the last answer said to go on.
        cursor: u32,
        /// How many places to look at.
        budget: usize,
        /// Which zone.
        zone: Option<u16>,
    },
    /// Forgets the connections that `filter` names, at most `budget` slots from `cursor` on.
    FlushConnections {
        /// Where to go on: the default, or what the last answer said.
        cursor: Cursor,
        /// How many slots of the table to look at.
        budget: usize,
        /// Which connections.
        filter: Filter,
    },
    /// How many connections there are that `filter` names, by protocol and state, among at most
    /// `budget` slots from `cursor` on.
    TallyConnections {
        /// Where to go on: the default, or what the last answer said.
        cursor: Cursor,
        /// How many slots of the table to look at.
        budget: usize,
        /// Which connections.
        filter: Filter,
    },
    /// What happened to connections since this was asked last. From the first time on, until
    /// [`LcoreRequest::StopEvents`], the lcore notes as much as there is room for in what it got
    /// last.
    TakeEvents(Vec<Event>),
    /// Nobody wants to hear of connections any more.
    StopEvents,
    /// What NORMAL has learned.
    ShowMacs,
    /// Forgets what NORMAL has learned.
    FlushMacs,
    /// A port is gone: forgets what NORMAL has learned behind it.
    ForgetPort(PortIndex),
    /// The next hops of tunnels.
    ShowNeighbours,
    /// What zones counted, and how many connections each has: at most `budget` zones from
    /// `cursor` on.
    ZoneCounts {
        /// 0, or where the last answer said to go on.
        cursor: u32,
        /// How many zones to look at.
        budget: usize,
    },
    /// What searches in each range of translations came to.
    RangeCounts,
    /// How many connections have a place in each of `ranges`: of at most `budget` slots from
    /// `cursor` on.
    CountInRanges {
        /// 0, or where the last answer said to go on.
        cursor: u32,
        /// How many slots of the table to look at.
        budget: usize,
        /// The ranges.
        ranges: Arc<[RangeKey]>,
    },
    /// New timeouts, limits and other settings for the connections, those that there are included.
    /// With several lcores, changed limits begin to hold with [`LcoreRequest::BeginLimits`].
    Configure(Settings),
    /// Limits that were changed begin to hold, those that are named excepted: no connection is made
    /// there until the lcore is lent credits.
    BeginLimits(Arc<[Scope]>),
    /// Of several lcores, who may have how many connections.
    Lend(Vec<(Scope, Order)>),
    /// Sends a packet. Whoever has the ports answers it, with [`Lcore::packet_out`], unless it is
    /// [elsewhere](Lcore::packet_out_elsewhere).
    PacketOut {
        /// The frame.
        frame: Vec<u8>,
        /// What to do to it.
        order: Box<PacketOut>,
    },
    /// What would become of a packet.
    Trace(Box<Question>),
}

/// What an lcore says.
#[derive(Clone, Debug)]
pub enum LcoreAnswer {
    /// To [`LcoreRequest::DumpConnections`].
    Connections {
        /// The connections.
        entries: Vec<Entry>,
        /// Where to go on; `None`: that was all.
        next: Option<Cursor>,
    },
    /// To [`LcoreRequest::DumpExpected`].
    Expected {
        /// What is expected.
        entries: Vec<Expected>,
        /// Where to go on; `None`: that was all.
        next: Option<u32>,
    },
    /// To [`LcoreRequest::FlushConnections`].
    Flushed {
        /// How many were forgotten.
        connections: u64,
        /// Where to go on; `None`: that was all.
        next: Option<Cursor>,
    },
    /// To [`LcoreRequest::TallyConnections`].
    Tallied {
        /// How many there are.
        tally: Tally,
        /// Where to go on; `None`: that was all.
        next: Option<Cursor>,
    },
    /// To [`LcoreRequest::TakeEvents`] and [`LcoreRequest::StopEvents`].
    Events {
        /// What happened, in order.
        events: Vec<Event>,
        /// How much more happened for which there was no room.
        lost: u64,
    },
    /// To [`LcoreRequest::ShowMacs`].
    Macs(Vec<MacEntry>),
    /// To [`LcoreRequest::FlushMacs`] and [`LcoreRequest::ForgetPort`].
    MacsFlushed,
    /// To [`LcoreRequest::ShowNeighbours`].
    Neighbours(Vec<NeighbourEntry>),
    /// To [`LcoreRequest::ZoneCounts`].
    Zones {
        /// Zones that counted anything or have connections.
        zones: Vec<ZoneCounts>,
        /// Where to go on; `None`: that was all.
        next: Option<u32>,
    },
    /// To [`LcoreRequest::RangeCounts`]: ranges that counted anything.
    RangeCounts(Vec<RangeCounts>),
    /// To [`LcoreRequest::CountInRanges`].
    InRanges {
        /// Connections, by range.
        counts: Vec<u64>,
        /// Where to go on; `None`: that was all.
        next: Option<u32>,
    },
    /// To [`LcoreRequest::Configure`]: how many credits are held of each limit that changed, or why
    /// nothing was done.
    Configured(Result<Vec<(Scope, u32)>, String>),
    /// To [`LcoreRequest::BeginLimits`].
    LimitsBegun,
    /// To [`LcoreRequest::Lend`].
    Lent(Said),
    /// To [`LcoreRequest::PacketOut`]: done, or why not.
    PacketSent(Result<(), String>),
    /// To [`LcoreRequest::Trace`].
    Traced(Box<Story>),
    /// To a request about a packet, which was not answered: that lcore deals with such packets, as far
    /// as this one knows, and is to be asked.
    Elsewhere(usize),
}

/// What one lcore owns.
pub struct Lcore {
    /// Which of the snapshot's counters are ours.
    index: usize,
    snapshot: Arc<Snapshot>,
    counters: Arc<LcoreCounters>,
    tracker: Tracker,
    macs: MacTable,
    neighbours: Neighbours,
    /// The frames of the burst under way that came out of a tunnel.
    ingress: Ingress,
    megaflows: Option<Megaflows>,
    trajectories: Option<Trajectories>,
    /// The notes of the journey under way.
    trace: Trace,
    /// Those of its passes.
    records: Records,
    /// The stack of the packet under way.
    stack: Stack,
    /// What it left to do, if it stops.
    holding: Box<Holding>,
    /// Where packets for controllers go.
    packet_ins: Option<PacketInSender>,
    /// What is known of the frames of the burst under way.
    stages: Box<[Stage]>,
    /// What is known of those of its frames that go the long way, by place in the burst.
    aheads: Box<[Ahead]>,
    scratch: Scratch,
    /// What the packet under way makes of its connections.
    after: [After; REFS],
    /// Seeds the tables' hashes.
    secret: u64,
}

impl Lcore {
    /// Lcore number `index`, obeying `snapshot`. All memory of its tables is allocated here.
    pub fn new(index: usize, snapshot: Arc<Snapshot>, settings: &Settings, secret: u64) -> Self {
        Self::with_tracker(index, snapshot, Tracker::new(settings, secret), secret)
    }

    /// As [`Lcore::new`], for the lcore that is `me` among all `owners`, and gets a [`Seat`].
    pub fn one_of(
        owners: &Owners,
        me: ShardId,
        snapshot: Arc<Snapshot>,
        settings: &Settings,
        secret: u64,
    ) -> Self {
        let tracker = Tracker::of_shard(settings, secret, owners.clone(), me);
        Self::with_tracker(me.0.into(), snapshot, tracker, secret)
    }

    fn with_tracker(
        index: usize,
        snapshot: Arc<Snapshot>,
        mut tracker: Tracker,
        secret: u64,
    ) -> Self {
        let has_tunnels = !snapshot.ports.tunnels().is_empty();
        let counters = if has_tunnels {
            LcoreCounters::with_tunnels(snapshot.ports.len())
        } else {
            LcoreCounters::default()
        };
        if snapshot.helpers {
            tracker.provide_helpers();
        }
        Self {
            index,
            snapshot,
            counters: Arc::new(counters),
            tracker,
            macs: MacTable::new(HashSecret(secret)),
            neighbours: Neighbours::new(HashSecret(secret), has_tunnels),
            ingress: Ingress::new(HashSecret(secret), has_tunnels, BURST),
            megaflows: None,
            trajectories: None,
            trace: Trace::new(),
            records: Records::new(),
            stack: Stack::new(),
            holding: Box::new(Holding::new()),
            packet_ins: None,
            after: [After::NOTHING; REFS],
            stages: vec![Stage::default(); BURST].into(),
            aheads: vec![Ahead::NOTHING; BURST].into(),
            scratch: Scratch::new(),
            secret,
        }
    }

    /// The same with a megaflow cache.
    #[must_use]
    pub fn with_megaflows(mut self, settings: MegaflowSettings) -> Self {
        self.megaflows = Some(Megaflows::new(settings, HashSecret(self.secret)));
        self
    }

    /// The same with a trajectory cache.
    #[must_use]
    pub fn with_trajectories(mut self, settings: TrajectorySettings) -> Self {
        self.trajectories = Some(Trajectories::new(settings, HashSecret(self.secret)));
        self
    }

    /// The same with somebody who reads packets for controllers. Without, they are lost.
    #[must_use]
    pub fn with_packet_ins(mut self, sender: PacketInSender) -> Self {
        self.packet_ins = Some(sender);
        self
    }

    /// The same with these MAC addresses, by port: of the ports that tunnels ride on they are
    /// the switch's own.
    #[must_use]
    pub fn with_port_macs(mut self, macs: Vec<[u8; 6]>) -> Self {
        self.neighbours.set_macs(macs);
        self
    }

    /// The same with these caches.
    #[must_use]
    pub fn with_caches(mut self, settings: CacheSettings) -> Self {
        if let Some(megaflows) = settings.megaflows {
            self = self.with_megaflows(megaflows);
        }
        if let Some(trajectories) = settings.trajectories {
            self = self.with_trajectories(trajectories);
        }
        self
    }

    /// How many bytes each of [`MEMORY_PARTS`] has.
    pub fn memory(&self) -> [usize; MEMORY_PARTS.len()] {
        let Memory {
            connections,
            index,
            leases,
            timers,
            helpers,
            zones,
        } = self.tracker.memory();
        let connections = connections + helpers + zones;
        let trajectories = self.trajectories.as_ref().map_or(0, Trajectories::memory);
        let megaflows = self.megaflows.as_ref().map_or(0, Megaflows::memory);
        [connections, index, leases, timers, trajectories, megaflows]
    }

    /// What the trajectory cache counted; zeros without one.
    pub fn trajectory_stats(&self) -> CacheStats {
        self.trajectories
            .as_ref()
            .map_or_else(CacheStats::default, Trajectories::stats)
    }

    /// What the megaflow cache counted; zeros without one.
    pub fn megaflow_stats(&self) -> CacheStats {
        self.megaflows
            .as_ref()
            .map_or_else(CacheStats::default, Megaflows::stats)
    }

    /// For how many passes so far the tables were asked, since no cache had an answer.
    #[inline]
    pub fn walks(&self) -> u64 {
        self.counters.walks.read()
    }

    /// What the masks of the megaflow cache counted; zeros without one.
    pub fn mask_stats(&self) -> MaskStats {
        self.megaflows
            .as_ref()
            .map_or_else(MaskStats::default, Megaflows::mask_stats)
    }

    /// What the tracker counted.
    pub const fn connection_counters(&self) -> &weir_ct::Counters {
        self.tracker.counters()
    }

    /// What connections go by.
    pub const fn settings(&self) -> &Settings {
        self.tracker.settings()
    }

    /// Which other lcore a packet-out is to be asked of, as far as is known here.
    pub fn packet_out_elsewhere(&self, frame: &[u8], order: &PacketOut) -> Option<usize> {
        self.elsewhere(&VecFrame::new(frame), order.in_port)
    }

    /// The counters, for those who read them.
    pub fn counters(&self) -> Arc<LcoreCounters> {
        Arc::clone(&self.counters)
    }

    /// The snapshot obeyed.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Obeys `snapshot` from the next packet on; returns the one before, to be retired. With the
    /// first rule that gives connections a helper the memory for that is taken.
    pub fn refresh(&mut self, snapshot: Arc<Snapshot>) -> Arc<Snapshot> {
        if snapshot.helpers {
            self.tracker.provide_helpers();
        }
        std::mem::replace(&mut self.snapshot, snapshot)
    }

    /// Forgets at most `budget` expired connections and publishes what the tracker and the
    /// caches counted.
    pub fn housekeep(&mut self, now: Tick, budget: usize) {
        self.tracker.expire(now, budget);
        if self.ingress.is_used_up() {
            let trajectories = self.trajectories.as_mut();
            if trajectories.is_none_or(|trajectories| trajectories.forget_tunnels(budget)) {
                self.ingress.start_again();
            }
        }
        self.counters.connections.set(self.tracker.len() as u64);
        self.counters.credit_words.set(self.tracker.words());
        for (cell, bytes) in self.counters.memory.iter().zip(self.memory()) {
            cell.set(bytes as u64);
        }
        let values = self.tracker.counters().iter();
        for (cell, (_, value, _)) in self.counters.conntrack.iter().zip(values) {
            cell.set(value);
        }
        self.counters.trajectories.set(self.trajectory_stats());
        self.counters.megaflows.set(self.megaflow_stats());
        self.counters.masks.set(self.mask_stats());
    }

    /// Answers the management thread.
    ///
    /// Cost: bounded by the request's budget; allocates, but not for packets.
    pub fn answer(&mut self, request: LcoreRequest, now: Tick) -> LcoreAnswer {
        match request {
            LcoreRequest::DumpConnections {
                cursor,
                budget,
                filter,
                room: mut entries,
            } => {
                let next = self
                    .tracker
                    .dump(cursor, budget, &filter, now, &mut entries);
                LcoreAnswer::Connections { entries, next }
            }
            LcoreRequest::TallyConnections {
                cursor,
                budget,
                filter,
            } => {
                let mut tally = Tally::default();
                let next = self.tracker.tally(cursor, budget, &filter, now, &mut tally);
                LcoreAnswer::Tallied { tally, next }
            }
            LcoreRequest::TakeEvents(mut events) => {
                let lost = self.tracker.take_events(&mut events, now);
                LcoreAnswer::Events { events, lost }
            }
            LcoreRequest::StopEvents => {
                self.tracker.stop_events();
                LcoreAnswer::Events {
                    events: Vec::new(),
                    lost: 0,
                }
            }
            LcoreRequest::DumpExpected {
                cursor,
                budget,
                zone,
            } => {
                let mut entries = Vec::new();
                let next = self
                    .tracker
                    .dump_expected(cursor, budget, zone, now, &mut entries);
                LcoreAnswer::Expected { entries, next }
            }
            LcoreRequest::FlushConnections {
                cursor,
                budget,
                filter,
            } => {
                let mut connections = 0;
                let next = self
                    .tracker
                    .flush(cursor, budget, &filter, &mut connections);
                LcoreAnswer::Flushed { connections, next }
            }
            LcoreRequest::PacketOut { .. } => {
                LcoreAnswer::PacketSent(Err("this lcore has no ports".to_owned()))
            }
            LcoreRequest::Trace(question) => {
                let frame = VecFrame::new(&question.frame);
                match self.elsewhere(&frame, question.in_port) {
                    Some(other) => LcoreAnswer::Elsewhere(other),
                    None => LcoreAnswer::Traced(Box::new(self.trace(*question, now))),
                }
            }
            LcoreRequest::ShowMacs => LcoreAnswer::Macs(self.macs.entries(now).collect()),
            LcoreRequest::FlushMacs => {
                self.macs.flush();
                LcoreAnswer::MacsFlushed
            }
            LcoreRequest::ForgetPort(port) => {
                self.macs.forget_port(port);
                LcoreAnswer::MacsFlushed
            }
            LcoreRequest::ShowNeighbours => {
                LcoreAnswer::Neighbours(self.neighbours.entries(now).collect())
            }
            LcoreRequest::ZoneCounts { cursor, budget } => {
                let (zones, next) = self.tracker.zone_counts(cursor, budget);
                LcoreAnswer::Zones { zones, next }
            }
            LcoreRequest::RangeCounts => {
                LcoreAnswer::RangeCounts(self.tracker.range_counts().cloned().collect())
            }
            LcoreRequest::CountInRanges {
                cursor,
                budget,
                ranges,
            } => {
                let mut counts = vec![0; ranges.len()];
                let next = self
                    .tracker
                    .count_in_ranges(cursor, budget, &ranges, now, &mut counts);
                LcoreAnswer::InRanges { counts, next }
            }
            LcoreRequest::Configure(settings) => {
                let held = self.tracker.reconfigure(&settings);
                LcoreAnswer::Configured(held.map_err(|error| error.to_string()))
            }
            LcoreRequest::BeginLimits(kept) => {
                self.tracker.begin_limits(&kept);
                LcoreAnswer::LimitsBegun
            }
            LcoreRequest::Lend(orders) => LcoreAnswer::Lent(self.tracker.obey(&orders)),
        }
    }
}
