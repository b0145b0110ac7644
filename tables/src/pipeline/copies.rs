//! `clone(...)`: what is done to a copy of the packet does not last.
//!
//! Only an `exit` in it does, as in Open vSwitch: nothing at all is done behind it.

use std::ops::Range;

use weir_packet::Frame;

use super::carried::{Aside, Begin};
use super::held::Rung;
use super::witness::Event;
use super::{Flow, Journey, Output, Packet, Witness};
use crate::action::TableId;
use crate::cache::{PathId, Step};
use crate::drops::DropReason;
use crate::program::Op;
use crate::rule::Rule;

impl<'a, O, W: Witness> Journey<'a, O, W> {
    /// Runs the operations of `rule` whose numbers are in `range` on a copy.
    pub(super) fn run_clone<F>(
        &mut self,
        packet: &mut Packet<F>,
        rule: &'a Rule,
        range: Range<usize>,
        table: TableId,
        depth: u32,
    ) -> Flow
    where
        F: Frame,
        O: Output<F>,
    {
        let end = range.end;
        let Some((mut copy, aside)) = self.begin_copy(packet, depth) else {
            if let Some(record) = self.records.current() {
                record.complete = false;
            }
            return Flow::Continue;
        };
        if W::WATCHES {
            self.witness.saw(Event::CopyBegins);
        }
        let flow = self.run_ops(&mut copy, rule, range, table, depth);
        match flow {
            Flow::Lost => {}
            Flow::Held => self.holding.leave(Rung::Set { table, depth }),
            _ => self.run_set(&mut copy, table, depth),
        }
        self.note(rule, end, depth);
        self.end_copy(copy, aside, depth);
        if W::WATCHES {
            self.witness.saw(Event::CopyEnds);
        }
        match flow {
            // The packet itself does not wait for its copy.
            Flow::Continue | Flow::EndList | Flow::Lost | Flow::Held => Flow::Continue,
            Flow::Exit => Flow::Exit,
        }
    }

    /// Takes the steps of a copy that are remembered, from number `at` on. Returns the number of
    /// the step behind them.
    pub(super) fn replay_clone<F>(
        &mut self,
        packet: &mut Packet<F>,
        path: PathId,
        at: usize,
        depth: u32,
    ) -> usize
    where
        F: Frame,
        O: Output<F>,
    {
        let Some((mut copy, aside)) = self.begin_copy(packet, depth) else {
            return self.behind_copy(path, at);
        };
        let next = self.replay(&mut copy, path, at, depth);
        self.end_copy(copy, aside, depth);
        next
    }

    /// The number of the step behind those of the copy to which step `at` belongs; of no copy:
    /// behind all.
    #[cold]
    pub(super) fn behind_copy(&self, path: PathId, mut at: usize) -> usize {
        let mut nested = 0;
        while let Some(megaflows) = &self.megaflows {
            let steps = megaflows.steps(path, at);
            for step in steps.as_slice() {
                at += 1;
                match self.ends_copy(*step, nested) {
                    Some(deeper) => nested = deeper,
                    None => return at,
                }
            }
            if steps.are_last() {
                break;
            }
        }
        at
    }

    /// How many copies nest behind a step, of `nested` before it; `None`: it ends the outermost.
    pub(super) fn ends_copy(&self, step: Step, nested: u32) -> Option<u32> {
        let Step::Run { slot, op, .. } = step else {
            return Some(nested);
        };
        let (rule, op) = self.operation(slot, op);
        match rule.program.ops[op] {
            Op::Clone { .. } => Some(nested + 1),
            Op::EndClone => nested.checked_sub(1),
            _ => Some(nested),
        }
    }

    /// What is pending for a copy, and then the packet goes on.
    pub(super) fn end_copy<F>(&mut self, mut copy: Packet<F>, aside: Aside<'a>, depth: u32)
    where
        F: Frame,
        O: Output<F>,
    {
        let egress = self.finish(&mut copy, depth);
        self.conclude(copy, egress);
        self.rejoin(aside);
    }

    /// A copy of the packet as it is now, with what it carries. `None`: there is none, which is
    /// counted.
    pub(super) fn begin_copy<F>(
        &mut self,
        packet: &mut Packet<F>,
        depth: u32,
    ) -> Option<(Packet<F>, Aside<'a>)>
    where
        F: Frame,
        O: Output<F>,
    {
        if !self.settle(packet, depth) {
            return None;
        }
        let Some(copy) = packet.duplicate() else {
            self.drop(DropReason::NoBuffer);
            return None;
        };
        let Some(aside) = self.set_aside(Begin::AsPacket) else {
            self.drop(DropReason::StackLimit);
            return None;
        };
        Some((copy, aside))
    }
}
