//! What the management thread wants of an lcore, between two bursts.

use std::sync::Arc;

use weir_packet::Tick;
use weir_tables::counters::LcoreCounters;
use weir_tables::drops::DropReason;
use weir_tables::fragments::{Fragments, Gathering};
use weir_tables::lcore::{Lcore, LcoreAnswer, LcoreRequest, Seat};
use weir_tables::packet_out::PacketOut;
use weir_tables::publication::Reader;
use weir_tables::snapshot::Snapshot;

use crate::clock::Clock;
use crate::mailbox::Inbox;
use crate::mbuf::Mbuf;
use crate::mempool::Mempool;
use crate::worker::{NotSent, TxPorts};

/// What an lcore has beside its tables: its ends of what the management thread holds the other ends
/// of, and pieces of datagrams.
pub(super) struct Control {
    counters: Arc<LcoreCounters>,
    fragments: Fragments<Mbuf>,
    snapshots: Reader<Snapshot>,
    inbox: Inbox<LcoreRequest, LcoreAnswer>,
    /// Where frames of packet-outs come from.
    mempool: Mempool,
    clock: Clock,
}

/// An lcore, alone or among others.
pub(super) trait Place {
    /// The lcore.
    fn lcore(&mut self) -> &mut Lcore;

    /// As [`Lcore::packet_out`].
    fn packet_out(
        &mut self,
        frame: Mbuf,
        order: &PacketOut,
        now: Tick,
        out: &mut Gathering<'_, Mbuf, TxPorts>,
    );
}

impl Place for Lcore {
    fn lcore(&mut self) -> &mut Lcore {
        self
    }

    fn packet_out(
        &mut self,
        frame: Mbuf,
        order: &PacketOut,
        now: Tick,
        out: &mut Gathering<'_, Mbuf, TxPorts>,
    ) {
        Self::packet_out(self, frame, order, now, out);
    }
}

impl Place for Seat<Mbuf> {
    fn lcore(&mut self) -> &mut Lcore {
        self.lcore_mut()
    }

    fn packet_out(
        &mut self,
        frame: Mbuf,
        order: &PacketOut,
        now: Tick,
        out: &mut Gathering<'_, Mbuf, TxPorts>,
    ) {
        Self::packet_out(self, frame, order, now, out);
    }
}

impl Control {
    pub(super) const fn new(
        counters: Arc<LcoreCounters>,
        fragments: Fragments<Mbuf>,
        snapshots: Reader<Snapshot>,
        inbox: Inbox<LcoreRequest, LcoreAnswer>,
        mempool: Mempool,
        clock: Clock,
    ) -> Self {
        Self {
            counters,
            fragments,
            snapshots,
            inbox,
            mempool,
            clock,
        }
    }

    /// Takes over a new snapshot and answers a question. Returns whether anything was handed to
    /// `out`.
    #[inline]
    pub(super) fn poll<P: Place>(&mut self, place: &mut P, now: Tick, out: &mut TxPorts) -> bool {
        if let Some((generation, snapshot)) = self.snapshots.newer() {
            let old = place.lcore().refresh(snapshot);
            let obeyed_at = self.clock.cycles().0;
            self.snapshots.retire(old, generation, obeyed_at);
        }
        let (mempool, fragments) = (&self.mempool, &mut self.fragments);
        let (clock, counters) = (&self.clock, &self.counters);
        let mut sent = false;
        self.inbox.answer(|request| {
            let start = clock.cycles();
            let answer = match request {
                LcoreRequest::PacketOut { frame, order } => {
                    if let Some(other) = place.lcore().packet_out_elsewhere(&frame, &order) {
                        LcoreAnswer::Elsewhere(other)
                    } else {
                        let made = mempool.frame(&frame).map_err(|error| error.to_string());
                        LcoreAnswer::PacketSent(made.map(|frame| {
                            let mut out = Gathering { out, fragments };
                            place.packet_out(frame, &order, now, &mut out);
                            sent = true;
                        }))
                    }
                }
                request => place.lcore().answer(request, now),
            };
            counters.answer_cycles.add(clock.cycles().since(start).0);
            answer
        });
        sent
    }

    /// `out`, and the pieces that wait beside it.
    #[inline]
    pub(super) const fn gathering<'a>(
        &'a mut self,
        out: &'a mut TxPorts,
    ) -> Gathering<'a, Mbuf, TxPorts> {
        let fragments = &mut self.fragments;
        Gathering { out, fragments }
    }

    /// Lets go of pieces whose time is over.
    pub(super) fn expire(&mut self, now: Tick, budget: usize) {
        self.fragments.expire(now, budget, &self.counters);
    }

    pub(super) fn refused(&self, frames: usize) {
        self.counters.packets.add(frames as u64);
        self.counters.drop_many(DropReason::HeaderSplit, frames);
    }

    pub(super) fn not_sent(&self, reason: NotSent, frames: usize) {
        let reason = match reason {
            NotSent::Chain => DropReason::TxChain,
            NotSent::NoQueue => DropReason::UnknownPort,
            NotSent::Oversize => DropReason::MtuExceeded,
            NotSent::QueueFull => DropReason::TxFull,
        };
        self.counters.drop_many(reason, frames);
    }
}
