//! `ct(...)`: the frame is brought up to date, tracked, and translated in place.
//!
//! As in Open vSwitch, what follows in the list goes on with the translated frame but matches on
//! the key that it had: what a connection was translated to is known behind `table=` only. So
//! what a pass does depends on no connection, and can be remembered.

use weir_ct::{Commit, Request};
use weir_packet::{Fragment, Frame};

use super::carried::Begin;
use super::witness::Event;
use super::{Flow, Journey, Output, Packet, Witness};
use crate::field::Field;
use crate::key::FlowKey;
use crate::program::{CommitOp, CtOp, Op, Zone};

impl<O, W: Witness> Journey<'_, O, W> {
    /// Tracks the packet; with `table`, a copy goes on there, and what follows here is
    /// untracked.
    pub(super) fn ct<F>(&mut self, packet: &mut Packet<F>, op: &CtOp, depth: u32) -> Flow
    where
        F: Frame,
        O: Output<F>,
    {
        if !self.settle(packet, depth) {
            return Flow::Lost;
        }
        let zone = match &op.zone {
            Zone::Number(zone) => *zone,
            Zone::Bits(bits) => packet.key().read_bits(bits) as u16,
        };
        let commit = op
            .commit
            .as_ref()
            .map(|commit| commit_request(commit, packet.key()));
        if packet.layout.fragment != Fragment::No {
            match self.gather(packet, zone) {
                Flow::Continue => {}
                flow => return flow,
            }
        }
        let request = Request {
            zone,
            commit,
            nat: op.nat.as_ref(),
            seen: packet.seen(),
        };
        let done = if W::WATCHES {
            let (done, rehearsed) = self.tracker.rehearse(
                &packet.frame,
                &packet.layout,
                &mut packet.reading,
                &request,
                &mut packet.outcome,
                self.now,
            );
            self.witness.saw(Event::Tracked {
                request: &request,
                outcome: done.map(|()| &packet.outcome),
                rehearsed: Box::new(rehearsed),
                table: op.table,
            });
            done
        } else {
            self.tracker.execute_read(
                &packet.frame,
                &packet.layout,
                &mut packet.reading,
                &request,
                &mut packet.outcome,
                self.now,
            )
        };
        match done {
            Err(reason) => {
                if let Some((wish, quest)) = self.tracker.take_wish() {
                    return self.stop(Some(wish), quest);
                }
                self.drop(reason.into());
                return Flow::Lost;
            }
            Ok(()) => {
                packet.tracked();
                let outcome = &packet.outcome;
                if let Some(trace) = &mut self.trace {
                    trace.met(outcome.recall, outcome.translation.is_some());
                }
                if let Some(translation) = &outcome.translation {
                    translation.apply(packet.frame.head_mut(), &packet.layout);
                    packet.translated = true;
                    packet.reading = None;
                }
                if packet.outcome.mends {
                    match self.mend(packet) {
                        Flow::Continue => {}
                        flow => return flow,
                    }
                }
                if let Some(table) = op.table {
                    packet.recirculate_later(table, zone);
                    if self.carries() {
                        self.flush_carrying(packet, Begin::AsPacket, depth);
                    }
                }
            }
        }
        packet.clear_ct();
        Flow::Continue
    }
}

impl<O, W: Witness> Journey<'_, O, W> {
    /// Gives the packet the payload and the numbers that its connection's helper wants, if that can
    /// be done. With several lcores it may have to wait then, until all others have heard what it
    /// announces; the `ct()` finds it tracked and mended afterwards.
    #[cold]
    fn mend<F>(&mut self, packet: &mut Packet<F>) -> Flow
    where
        F: Frame,
        O: Output<F>,
    {
        let mended = self.tracker.mend(&mut packet.frame, &mut packet.layout);
        packet.translated = true;
        packet.reading = None;
        let wish = self.tracker.take_wish();
        if let Err(reason) = mended {
            self.drop(reason.into());
            return Flow::Lost;
        }
        match wish {
            Some((wish, quest)) => self.stop(Some(wish), quest),
            None => Flow::Continue,
        }
    }
}

/// What `ct(commit,exec(...))` asks of the tracker.
#[inline(always)]
fn commit_request(op: &CommitOp, key: &FlowKey) -> Commit {
    if op.exec.is_empty() {
        return Commit {
            force: op.force,
            zone_dir: op.zone_dir,
            helper: op.helper,
            ..Commit::default()
        };
    }
    let mut scratch = *key;
    let mut written = FlowKey::ZERO;
    for op in &op.exec {
        match op {
            Op::Set { dst, value, mask } => {
                scratch.write_bits(dst, *value, *mask);
                written.write_bits(dst, *mask, *mask);
            }
            Op::Move { src, dst } => {
                scratch.move_bits(src, dst);
                written.write_bits(dst, dst.ones(), dst.ones());
            }
            _ => unreachable!("compile_exec() lets only writes into exec()"),
        }
    }
    let mark_mask = written.field(Field::CT_MARK) as u32;
    let label_mask = written.field(Field::CT_LABEL);
    Commit {
        force: op.force,
        zone_dir: op.zone_dir,
        mark: (mark_mask != 0).then(|| (scratch.field(Field::CT_MARK) as u32, mark_mask)),
        label: (label_mask != 0).then(|| (scratch.field(Field::CT_LABEL), label_mask)),
        helper: op.helper,
    }
}
