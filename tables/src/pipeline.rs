//! A packet's way through the tables: the reference run, without caches.
//!
//! A *journey* is everything that happens because of one received packet; a *pass* is a walk
//! through the tables that starts at table 0 or where a `ct(table=)` sends the packet on.
//!
//! Actions change the flow key; the frame is brought up to date only when somebody outside
//! will see it (output, ct). What happens to the frame last needs no copy: an output or a
//! recirculation stays *pending* until the next one comes, and only then costs a duplicate.
//! So order is kept, and a packet that goes to one port is never copied.
//!
//! Invariants
//!   1. Each journey either attempts an output or counts exactly one drop; further copies that
//!      cannot be sent are counted one by one.
//!
//! Threads: run by one lcore, on its own state and an immutable snapshot.
//! Cost: one look-up per table passed; no allocation.

use weir_ct::{PairId, Tracker};
use weir_packet::{Frame, Layout, Tick};

use crate::action::TableId;
use crate::cache::{Changes, Megaflows, PassHash, Records, Trace};
use crate::counters::{LcoreCounters, RuleCounters};
use crate::drops::DropReason;
use crate::fragments::Fragments;
use crate::lcore::Ahead;
use crate::mac_table::MacTable;
use crate::packet_in::PacketInSender;
use crate::port::PortIndex;
use crate::snapshot::Snapshot;
use crate::tunnel::{Meta, Neighbours};

mod carried;
mod controller;
mod copies;
mod ct;
mod fragment;
mod group;
pub(crate) mod held;
mod key_access;
mod normal;
mod output;
mod packet;
mod pass;
mod step;
pub(crate) mod tag;
#[cfg(test)]
mod tests;
mod tunnel;
mod vlan;
mod walk;
pub(crate) mod witness;
mod writeback;

use carried::ActionSet;
pub(crate) use carried::Stack;
pub(crate) use held::Holding;
pub use held::Suspended;
use packet::{Packet, Pending};
use tunnel::Egress;
use witness::{Event, Silent, Witness};

/// How deep resubmits and recirculations may nest. A resubmit to a higher table does not count.
const MAX_DEPTH: u32 = 64;
/// How many look-ups one packet may cause.
const MAX_LOOKUPS: u32 = 4096;

/// How much is sent of a frame that is not cut.
const UNCUT: u32 = u32::MAX;

/// What a burst says of a frame that may be another lcore's.
#[derive(Clone, Copy, Debug)]
pub enum Asks {
    /// It is this lcore's.
    Nothing,
    /// Whose is it?
    Whose,
    /// Whose is it? It has been parsed.
    Parsed(Layout),
    /// Whose is it? It is a plain packet of IPv4: source and destination, as
    /// [`Owners::pair_of_ends`](weir_ct::Owners::pair_of_ends) has them, and protocol.
    Ends([u64; 2], u8),
}

/// Where frames go that leave the pipeline.
pub trait Output<F> {
    /// Whether [`Output::placed`] is to be called.
    const PLACES: bool = false;

    /// Takes `frame` for `port`; frames for one port leave in the order in which they are
    /// handed in.
    fn send(&mut self, port: PortIndex, frame: F);

    /// Where pieces of datagrams wait for others. Without, ct() finds each piece invalid.
    fn fragments(&mut self) -> Option<&mut Fragments<F>> {
        None
    }

    /// Takes all `frames`, none of which is longer than `longest` bytes, for `port`.
    #[inline]
    fn send_all(&mut self, port: PortIndex, frames: &mut [Option<F>], longest: usize) {
        let _ = longest;
        for frame in frames.iter_mut().filter_map(Option::take) {
            self.send(port, frame);
        }
    }

    /// The frames that are dealt with next are only some of the burst, with these numbers.
    #[inline(always)]
    fn placed(&mut self, numbers: &[u8]) {
        let _ = numbers;
    }

    /// So many of them are done with; the rest is dealt with next.
    #[inline(always)]
    fn skip(&mut self, count: usize) {
        let _ = count;
    }

    /// Frame number `at` of those that are dealt with is about to begin a journey. Keeps it if
    /// others of its connection wait that came before it. `tunnel`: what its outer headers said, if it
    /// came out of one.
    #[inline(always)]
    fn admit(&mut self, at: usize, frame: F, tunnel: Option<&Meta>) -> Option<F> {
        let _ = (at, tunnel);
        Some(frame)
    }

    /// A datagram has been put together, whose headers are `head`. Returns whether it goes on here
    /// and now; otherwise it waits for its turn, perhaps at another lcore: [`Output::hold`].
    fn keeps_whole(&mut self, tracker: &Tracker, head: &[u8], layout: &Layout) -> bool {
        let _ = (tracker, head, layout);
        true
    }

    /// Takes out of a burst what belongs to another lcore, of the frames of which `asks` says that nothing
    /// is known here. Returns how many frames, and how many bytes of them.
    #[inline(always)]
    fn sift(
        &mut self,
        frames: &mut [Option<F>],
        tracker: &Tracker,
        asks: impl Fn(usize) -> Asks,
    ) -> (u64, u64) {
        let _ = (frames, tracker, asks);
        (0, 0)
    }

    /// What the tuple of frame number `at` belongs to, if somebody has asked that.
    #[inline(always)]
    fn pair(&self, at: usize) -> Option<PairId> {
        let _ = at;
        None
    }

    /// Frame number `at`, of which something was known that holds no longer, and which is counted.
    /// Takes it if it belongs to another lcore.
    #[inline(always)]
    fn claim(&mut self, at: usize, frame: F, tracker: &Tracker) -> Option<F> {
        let _ = (at, tracker);
        Some(frame)
    }

    /// Keeps the frame of a packet that waits for another lcore, or for its turn.
    ///
    /// # Errors
    /// Why it is dropped, if it cannot wait.
    fn hold(&mut self, frame: F, suspended: Suspended) -> Result<(), DropReason> {
        let _ = (frame, suspended);
        Err(DropReason::HoldFull)
    }
}

/// What a journey works on.
pub(crate) struct Journey<'a, O, W = Silent> {
    pub snapshot: &'a Snapshot,
    pub rule_counters: &'a RuleCounters,
    pub counters: &'a LcoreCounters,
    pub tracker: &'a mut Tracker,
    pub macs: &'a mut MacTable,
    pub neighbours: &'a mut Neighbours,
    pub megaflows: Option<&'a mut Megaflows>,
    /// Where the journey is written down, if it is to be remembered.
    pub trace: Option<&'a mut Trace>,
    pub out: &'a mut O,
    pub in_port: PortIndex,
    /// What the outer headers said, if the packet came out of a tunnel.
    pub tunnel: Option<&'a Meta>,
    pub now: Tick,
    /// The stack of the packet under way.
    pub stack: &'a mut Stack,
    /// Its action set.
    set: ActionSet<'a>,
    /// Where packets for controllers go.
    pub packet_ins: Option<&'a mut PacketInSender>,
    lookups: u32,
    /// Of the first pass.
    hash: PassHash,
    /// Buckets run.
    buckets: u32,
    /// The notes of passes that walk the tables and are to be remembered.
    records: &'a mut Records,
    /// Outputs attempted, and drops counted.
    effects: u32,
    /// Why the packet will have been dropped if nothing else happens.
    reason: DropReason,
    /// What is left to do, if it stops.
    holding: &'a mut Holding,
    /// Who is told what happens.
    witness: W,
}

/// How an action list goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// With the next action.
    Continue,
    /// Not; lists that resubmitted here go on.
    EndList,
    /// Not at all; only the action set is left to be executed.
    Exit,
    /// Not at all: the packet is lost.
    Lost,
    /// Not before another lcore has answered; what is left to do is noted on the way out.
    Held,
}

impl<'a, O> Journey<'a, O> {
    #[expect(
        clippy::too_many_arguments,
        reason = "it is the lcore's state, taken apart"
    )]
    pub(crate) fn new(
        snapshot: &'a Snapshot,
        rule_counters: &'a RuleCounters,
        counters: &'a LcoreCounters,
        tracker: &'a mut Tracker,
        macs: &'a mut MacTable,
        neighbours: &'a mut Neighbours,
        megaflows: Option<&'a mut Megaflows>,
        trace: Option<&'a mut Trace>,
        records: &'a mut Records,
        stack: &'a mut Stack,
        holding: &'a mut Holding,
        packet_ins: Option<&'a mut PacketInSender>,
        out: &'a mut O,
        in_port: PortIndex,
        tunnel: Option<&'a Meta>,
        now: Tick,
    ) -> Self {
        Self {
            snapshot,
            rule_counters,
            counters,
            tracker,
            macs,
            neighbours,
            megaflows,
            trace,
            records,
            out,
            in_port,
            tunnel,
            now,
            stack,
            packet_ins,
            set: ActionSet::EMPTY,
            lookups: 0,
            hash: PassHash::NONE,
            buckets: 0,
            effects: 0,
            reason: DropReason::ActionDrop,
            holding,
            witness: Silent,
        }
    }
}

impl<'a, O, W: Witness> Journey<'a, O, W> {
    /// Sends one frame on its journey. Returns whether it was written down.
    ///
    /// `ahead`: what was read of the frame before, if anything was.
    pub(crate) fn run<F>(&mut self, frame: F, layout: Layout, ahead: Option<&Ahead>) -> bool
    where
        F: Frame,
        O: Output<F>,
    {
        self.tracker.begin_packet();
        if let Some(trace) = &mut self.trace {
            trace.begin(&frame, &layout);
        }
        let in_port = self.snapshot.ports.port(self.in_port).no;
        self.hash = ahead.map_or(PassHash::NONE, |ahead| ahead.hash);
        let mut packet = Packet::new(frame, layout, in_port, self.tunnel, ahead);
        let egress = self.passes(&mut packet, TableId(0), 0);
        match egress {
            // Not in a function, which would get a copy of the packet.
            Some(egress) => {
                let options = self.options_of(&mut packet, &egress);
                self.transmit(packet.frame, &packet.layout, &egress, options.as_ref());
            }
            None if self.holding.is_active() => self.hold(packet),
            None => {}
        }
        let lost = (self.effects == 0).then_some(self.reason);
        if let Some(reason) = lost {
            self.counters.drop(reason);
        }
        self.counters.lookups.add(u64::from(self.lookups));
        match &mut self.trace {
            Some(trace) => trace.end(self.lookups, lost),
            None => false,
        }
    }

    /// One pass, and those that follow from it on the same frame. Returns where the frame is to
    /// be sent in the end, if anywhere.
    #[inline]
    fn passes<F>(&mut self, packet: &mut Packet<F>, table: TableId, depth: u32) -> Option<Egress>
    where
        F: Frame,
        O: Output<F>,
    {
        self.pass(packet, table, depth);
        self.finish(packet, depth)
    }

    /// The passes and buckets that are pending, and those that follow from them on the same
    /// frame. Returns where the frame is to be sent in the end, if anywhere.
    fn finish<F>(&mut self, packet: &mut Packet<F>, mut depth: u32) -> Option<Egress>
    where
        F: Frame,
        O: Output<F>,
    {
        loop {
            let pending = packet.take_pending()?;
            depth += 1;
            match pending {
                Pending::Output(egress) => return Some(egress),
                Pending::Recirculate {
                    table,
                    zone,
                    changes,
                } => {
                    let here = self.witness.place();
                    self.resume(packet, table, zone, changes);
                    self.pass(packet, table, depth);
                    self.witness.return_to(here);
                }
                Pending::Bucket(bucket) => self.bucket(packet, bucket, depth),
            }
        }
    }

    /// Begins the recirculation to `table` that was pending.
    #[inline(always)]
    fn resume<F: Frame>(
        &mut self,
        packet: &mut Packet<F>,
        table: TableId,
        zone: u16,
        changes: Changes,
    ) {
        if let (true, Some(state)) = (W::WATCHES, self.witness.next_state()) {
            packet.outcome.state = state;
        }
        packet.recirculate(zone, changes);
        if W::WATCHES {
            let key = packet.key();
            self.witness.saw(Event::Resumed { table, key });
        }
    }
}
