//! What one lcore owns, without the devices: its connections, its MAC table, its counters and
//! the snapshot it obeys.
//!
//! The poll loop in `pmd` and `weir replay` drive the same [`Lcore`].
//!
//! Threads: owned by one lcore; the management thread reaches it through [`LcoreRequest`]s
//! that are answered between bursts, each within a budget.

use std::sync::Arc;

use weir_ct::{Entry, Filter, Settings, Tracker};
use weir_packet::{Frame, Tick, parse};

use crate::cache::{CacheStats, MegaflowSettings, Megaflows};
use crate::classifier::HashSecret;
use crate::counters::LcoreCounters;
use crate::drops::DropReason;
use crate::mac_table::{MacEntry, MacTable};
use crate::pipeline::{Journey, Output};
use crate::port::PortIndex;
use crate::snapshot::Snapshot;

/// A question to an lcore, answered between two bursts.
#[derive(Clone, Debug)]
pub enum LcoreRequest {
    /// The connections that `filter` names, at most `budget` slots from `cursor` on.
    DumpConnections {
        /// 0, or where the last answer said to go on.
        cursor: u32,
        /// How many slots of the table to look at.
        budget: usize,
        /// Which connections.
        filter: Filter,
    },
    /// Forgets the connections that `filter` names, at most `budget` slots from `cursor` on.
    FlushConnections {
        /// 0, or where the last answer said to go on.
        cursor: u32,
        /// How many slots of the table to look at.
        budget: usize,
        /// Which connections.
        filter: Filter,
    },
    /// What NORMAL has learned.
    ShowMacs,
    /// New timeouts and settings for the connections.
    Configure(Settings),
}

/// What an lcore says.
#[derive(Clone, Debug)]
pub enum LcoreAnswer {
    /// To [`LcoreRequest::DumpConnections`].
    Connections {
        /// The connections.
        entries: Vec<Entry>,
        /// Where to go on; `None`: that was all.
        next: Option<u32>,
    },
    /// To [`LcoreRequest::FlushConnections`].
    Flushed {
        /// How many were forgotten.
        connections: u64,
        /// Where to go on; `None`: that was all.
        next: Option<u32>,
    },
    /// To [`LcoreRequest::ShowMacs`].
    Macs(Vec<MacEntry>),
    /// To [`LcoreRequest::Configure`]: done, or why not.
    Configured(Result<(), String>),
}

/// What one lcore owns.
pub struct Lcore {
    /// Which of the snapshot's counters are ours.
    index: usize,
    snapshot: Arc<Snapshot>,
    counters: Arc<LcoreCounters>,
    tracker: Tracker,
    macs: MacTable,
    megaflows: Option<Megaflows>,
    /// Seeds the tables' hashes.
    secret: u64,
}

impl Lcore {
    /// Lcore number `index`, obeying `snapshot`. All memory of its tables is allocated here.
    pub fn new(index: usize, snapshot: Arc<Snapshot>, settings: &Settings, secret: u64) -> Self {
        Self {
            index,
            snapshot,
            counters: Arc::default(),
            tracker: Tracker::new(settings, secret),
            macs: MacTable::new(HashSecret(secret)),
            megaflows: None,
            secret,
        }
    }

    /// The same with a megaflow cache.
    #[must_use]
    pub fn with_megaflows(mut self, settings: MegaflowSettings) -> Self {
        self.megaflows = Some(Megaflows::new(settings, HashSecret(self.secret)));
        self
    }

    /// What the megaflow cache counted; zeros without one.
    pub fn megaflow_stats(&self) -> CacheStats {
        self.megaflows
            .as_ref()
            .map_or_else(CacheStats::default, Megaflows::stats)
    }

    /// The counters, for those who read them.
    pub fn counters(&self) -> Arc<LcoreCounters> {
        Arc::clone(&self.counters)
    }

    /// The snapshot obeyed.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Obeys `snapshot` from the next packet on; returns the one before, to be retired.
    pub fn refresh(&mut self, snapshot: Arc<Snapshot>) -> Arc<Snapshot> {
        std::mem::replace(&mut self.snapshot, snapshot)
    }

    /// Takes one burst of frames that came in at `in_port`, in order; each is sent, kept in a
    /// queue of `out`, or dropped and counted.
    pub fn process<F, O>(
        &mut self,
        in_port: PortIndex,
        frames: impl Iterator<Item = F>,
        now: Tick,
        out: &mut O,
    ) where
        F: Frame,
        O: Output<F>,
    {
        let counters = &*self.counters;
        let (mut packets, mut bytes) = (0, 0);
        for frame in frames {
            packets += 1;
            bytes += frame.len() as u64;
            let layout = match parse(frame.head(), frame.len()) {
                Ok(layout) => layout,
                Err(malformed) => {
                    counters.malformed[malformed as usize].add(1);
                    counters.drop(DropReason::Runt);
                    continue;
                }
            };
            if let Some(malformed) = layout.malformed {
                counters.malformed[malformed as usize].add(1);
            }
            let snapshot = &*self.snapshot;
            let rule_counters = &snapshot.counters[self.index];
            let (tracker, macs) = (&mut self.tracker, &mut self.macs);
            Journey::new(
                snapshot,
                rule_counters,
                counters,
                tracker,
                macs,
                self.megaflows.as_mut(),
                out,
                in_port,
                now,
            )
            .run(frame, layout);
        }
        counters.packets.add(packets);
        counters.bytes.add(bytes);
        counters.bursts.add(1);
    }

    /// Forgets at most `budget` expired connections and publishes the tracker's counters.
    pub fn housekeep(&mut self, now: Tick, budget: usize) {
        self.tracker.expire(now, budget);
        self.counters.connections.set(self.tracker.len() as u64);
        let values = self.tracker.counters().iter();
        for (cell, (_, value, _)) in self.counters.conntrack.iter().zip(values) {
            cell.set(value);
        }
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
            } => {
                let mut entries = Vec::new();
                let next = self
                    .tracker
                    .dump(cursor, budget, &filter, now, &mut entries);
                LcoreAnswer::Connections { entries, next }
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
            LcoreRequest::ShowMacs => LcoreAnswer::Macs(self.macs.entries(now).collect()),
            LcoreRequest::Configure(settings) => {
                let done = self.tracker.reconfigure(&settings);
                LcoreAnswer::Configured(done.map_err(|error| error.to_string()))
            }
        }
    }
}
