//! The shortest way: what becomes of every packet of an input port, where no rule on the way reads
//! more than the port. Then the port is the key, and nothing is parsed.
//!
//! Whether it is so is found out once per port and snapshot, with a packet that walks the tables:
//! the bits that decided say it.
//!
//! Invariant: a wire is used under the snapshot only under which it was found.

use weir_packet::{Frame, Tick};

use super::headers::MacWrites;
use super::program::Passed;
use super::trace::Trace;
use crate::counters::{LcoreCounters, RuleCounters};
use crate::drops::DropReason;
use crate::pipeline::Output;
use crate::port::PortIndex;

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WireOp {
    /// A copy of the frame leaves; the last output takes the frame itself.
    Output(PortIndex),
    /// MAC addresses are written.
    Macs(MacWrites),
}

/// What is known of the packets of one input port.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    /// The snapshot of which it is known; 0: of none.
    generation: u64,
    /// Whether the port is all that counts.
    holds: bool,
    ops: Vec<WireOp>,
    rules: Vec<Passed>,
    drop: Option<DropReason>,
    lookups: u32,
    passes: u32,
    longest: usize,
}

impl Wire {
    /// Whether nobody has found out yet what holds under a snapshot.
    #[inline]
    pub(crate) const fn is_unknown(&self, generation: u64) -> bool {
        self.generation != generation
    }

    /// Whether it can be used under a snapshot.
    #[inline]
    pub(crate) const fn holds(&self, generation: u64) -> bool {
        self.holds && self.generation == generation
    }

    /// Whether it is for a frame: neither a runt nor too long for a port, which may depend on
    /// its tags.
    #[inline]
    pub(crate) fn admits<F: Frame>(&self, frame: &F) -> bool {
        (14..=self.longest).contains(&frame.len())
    }

    /// Takes over what a journey under snapshot `generation` tells.
    pub(crate) fn learn(&mut self, trace: &Trace, generation: u64) {
        if trace.reads_packet() {
            (self.generation, self.holds) = (generation, false);
        } else if !trace.is_refused() {
            (self.generation, self.holds) = (generation, true);
            self.ops.clone_from(&trace.wire);
            self.rules.clone_from(&trace.plan.rules);
            self.drop = trace.plan.drop;
            (self.lookups, self.passes) = (trace.plan.lookups, trace.plan.passes);
            self.longest = trace.longest_untagged();
        }
    }

    /// Does what is done to every frame.
    #[inline]
    pub(crate) fn run<F, O>(&self, mut frame: F, out: &mut O, counters: &LcoreCounters)
    where
        F: Frame,
        O: Output<F>,
    {
        let Some((last, before)) = self.ops.split_last() else {
            return;
        };
        for op in before {
            match op {
                WireOp::Macs(macs) => macs.apply(frame.head_mut()),
                WireOp::Output(port) => match frame.duplicate() {
                    Some(copy) => out.send(*port, copy),
                    None => counters.drop(DropReason::NoBuffer),
                },
            }
        }
        // Nothing is done behind the last output.
        if let WireOp::Output(port) = last {
            out.send(*port, frame);
        }
    }

    /// Counts frames that went this way, `bytes` in all.
    pub(crate) fn count(
        &self,
        frames: usize,
        bytes: usize,
        rules: &RuleCounters,
        counters: &LcoreCounters,
        now: Tick,
    ) {
        let packets = frames as u64;
        if packets == 0 {
            return;
        }
        for passed in &self.rules {
            rules.count_many(passed.slot, packets, bytes as u64, now);
        }
        counters.lookups.add(packets * u64::from(self.lookups));
        counters.passes.add(packets * u64::from(self.passes));
        if let Some(reason) = self.drop {
            counters.drop_many(reason, frames);
        }
    }
}
