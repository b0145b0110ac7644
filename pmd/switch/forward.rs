//! What the poll loop does with frames: the pipeline of [`Lcore`], obeying the newest snapshot.

use std::sync::Arc;

use weir_packet::Tick;
use weir_tables::counters::LcoreCounters;
use weir_tables::drops::DropReason;
use weir_tables::fragments::{Fragments, Gathering};
use weir_tables::lcore::{Lcore, LcoreAnswer, LcoreRequest};
use weir_tables::port::PortIndex;

use super::mailbox::Inbox;
use super::publish::SnapshotReader;
use crate::batch::Drain;
use crate::clock::Clock;
use crate::mbuf::Mbuf;
use crate::mempool::Mempool;
use crate::worker::{NotSent, Processor, TxPorts};

/// The processor of a switch's lcore.
pub(super) struct Forward {
    lcore: Lcore,
    fragments: Fragments<Mbuf>,
    counters: Arc<LcoreCounters>,
    snapshots: SnapshotReader,
    inbox: Inbox,
    /// Where frames of packet-outs come from.
    mempool: Mempool,
    clock: Clock,
}

impl Forward {
    pub(super) fn new(
        lcore: Lcore,
        fragments: Fragments<Mbuf>,
        snapshots: SnapshotReader,
        inbox: Inbox,
        mempool: Mempool,
        clock: Clock,
    ) -> Self {
        let counters = lcore.counters();
        Self {
            lcore,
            fragments,
            counters,
            snapshots,
            inbox,
            mempool,
            clock,
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
        let fragments = &mut self.fragments;
        let mut out = Gathering { out, fragments };
        self.lcore
            .process_slots(in_port, frames.slots(), now, &mut out);
    }

    fn housekeep(&mut self, now: Tick, budget: usize) {
        self.lcore.housekeep(now, budget);
        self.fragments.expire(now, budget, &self.counters);
    }

    #[inline]
    fn poll_control(&mut self, now: Tick, out: &mut TxPorts) -> bool {
        if let Some(snapshot) = self.snapshots.newer() {
            let generation = snapshot.generation;
            let old = self.lcore.refresh(snapshot);
            self.snapshots.retire(old, generation);
        }
        let (lcore, mempool, fragments) = (&mut self.lcore, &self.mempool, &mut self.fragments);
        let (clock, counters) = (&self.clock, &self.counters);
        let mut sent = false;
        self.inbox.answer(|request| {
            let start = clock.cycles();
            let answer = match request {
                LcoreRequest::PacketOut { frame, order } => {
                    let made = mempool.frame(&frame).map_err(|error| error.to_string());
                    LcoreAnswer::PacketSent(made.map(|frame| {
                        let mut out = Gathering { out, fragments };
                        lcore.packet_out(frame, &order, now, &mut out);
                        sent = true;
                    }))
                }
                request => lcore.answer(request, now),
            };
            counters.answer_cycles.add(clock.cycles().since(start).0);
            answer
        });
        sent
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
