//! What the poll loop does with frames: the pipeline of [`Lcore`], obeying the newest snapshot.

use std::sync::Arc;

use weir_packet::Tick;
use weir_tables::counters::LcoreCounters;
use weir_tables::drops::DropReason;
use weir_tables::lcore::Lcore;
use weir_tables::port::PortIndex;

use super::mailbox::Inbox;
use super::publish::SnapshotReader;
use crate::batch::Drain;
use crate::worker::{NotSent, Processor, TxPorts};

/// The processor of a switch's lcore.
pub(super) struct Forward {
    lcore: Lcore,
    counters: Arc<LcoreCounters>,
    snapshots: SnapshotReader,
    inbox: Inbox,
}

impl Forward {
    pub(super) fn new(lcore: Lcore, snapshots: SnapshotReader, inbox: Inbox) -> Self {
        let counters = lcore.counters();
        Self {
            lcore,
            counters,
            snapshots,
            inbox,
        }
    }
}

impl Processor for Forward {
    fn process(
        &mut self,
        in_port: PortIndex,
        frames: &mut Drain<'_>,
        now: Tick,
        out: &mut TxPorts,
    ) {
        self.lcore.process_slots(in_port, frames.slots(), now, out);
    }

    fn housekeep(&mut self, now: Tick, budget: usize) {
        self.lcore.housekeep(now, budget);
    }

    #[inline]
    fn poll_control(&mut self, now: Tick) {
        if let Some(snapshot) = self.snapshots.newer() {
            let generation = snapshot.generation;
            let old = self.lcore.refresh(snapshot);
            self.snapshots.retire(old, generation);
        }
        let lcore = &mut self.lcore;
        self.inbox.answer(|request| lcore.answer(request, now));
    }

    fn refused(&mut self, frames: usize) {
        self.counters.packets.add(frames as u64);
        self.counters.drop_many(DropReason::HeaderSplit, frames);
    }

    fn not_sent(&mut self, reason: NotSent, frames: usize) {
        let reason = match reason {
            NotSent::Chain => DropReason::TxChain,
            NotSent::NoQueue => DropReason::UnknownPort,
            NotSent::Oversize => DropReason::MtuExceeded,
            NotSent::QueueFull => DropReason::TxFull,
        };
        self.counters.drop_many(reason, frames);
    }
}
