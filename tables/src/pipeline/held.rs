//! A packet whose journey stops at a `ct()`, because another lcore must be asked first, or because it
//! is a datagram that was put together here and belongs to another one; and how it goes on, when that
//! one has answered or there.
//!
//! What the packet did on its way stays done; what is left to do is written down while the functions
//! that run it return, from the innermost list of actions to the outermost: the *rungs*. Of a pass
//! that the megaflow cache remembered, the steps that are left are copied. Then the rungs are run
//! in the same order, the first beginning with that `ct()`.
//!
//! Rules go by their numbers in the snapshot, which is the same for all lcores: so what is left can
//! be done by another one.
//!
//! Invariants
//!   1. A journey that stops has nothing pending, and its frame is up to date: `ct()` sees to both.
//!   2. What is left names rules by slot, and is only run under the snapshot that it was written
//!      down under. If another one is obeyed by then, the packet begins again at table 0; it is
//!      dropped by name if it has been translated already by the `ct()` that it waits at, because
//!      others are to hear what it announces.
//!
//! Threads: as the journey's.
//! Cost: nothing for a packet that does not stop; no allocation for one that does.

use weir_ct::{Counted, Quest, Wish};
use weir_packet::Frame;

use super::carried::SavedSet;
use super::packet::Packet;
use super::tunnel::Egress;
use super::{Flow, Journey, Output, Witness};
use crate::action::TableId;
use crate::cache::{Refusal, Step};
use crate::drops::DropReason;
use crate::port::PortIndex;
use crate::tunnel::Meta;

/// Lists of actions that may be left, one within the other.
const RUNGS: usize = 24;
/// Remembered steps that may be left.
const STEPS: usize = 64;

/// Something that is left to do.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rung {
    /// The operations of the rule at `slot` whose numbers are from `at` to `end`.
    Ops {
        slot: u32,
        at: u16,
        end: u16,
        table: TableId,
        depth: u32,
    },
    /// The list of a rule is over: perhaps on to another table.
    ListEnd { goto: Option<TableId>, depth: u32 },
    /// The action set.
    Set { table: TableId, depth: u32 },
    /// The operations of a bucket from number `next` on.
    Bucket {
        group: u32,
        at: u16,
        next: u16,
        table: TableId,
        depth: u32,
    },
    /// The remembered steps.
    Steps { depth: u32 },
}

/// What is written down while a journey stops. Each lcore has one.
#[derive(Debug)]
pub(crate) struct Holding {
    /// For what it waits, while it stops; without a wish, for its turn.
    wish: Option<(Option<Wish>, Quest)>,
    left: Left,
}

/// What is left to do.
#[derive(Clone, Copy, Debug)]
struct Left {
    rungs: [Rung; RUNGS],
    rungs_len: usize,
    steps: [Step; STEPS],
    steps_len: usize,
    /// The rules that wrote to the action set.
    set: SavedSet,
    /// There was no room to write down what is left.
    overflown: bool,
}

/// A packet, but for its frame, in the middle of its journey.
#[derive(Debug)]
pub struct Suspended {
    packet: Packet<()>,
    in_port: PortIndex,
    tunnel: Option<Meta>,
    generation: u64,
    wish: Option<Wish>,
    quest: Quest,
    left: Left,
    lookups: u32,
    buckets: u32,
    effects: u32,
    reason: DropReason,
    counted: Counted,
}

impl Suspended {
    /// For what it waits; without a wish, for its turn.
    pub(crate) const fn wish(&self) -> (Option<Wish>, Quest) {
        (self.wish, self.quest)
    }

    /// It goes on at another lcore: what it met on this one is nothing to it.
    pub(crate) fn leave_lcore(&mut self) {
        self.packet.forget_seen();
        self.counted = Counted::default();
    }

    /// Where it came in.
    pub(crate) const fn in_port(&self) -> PortIndex {
        self.in_port
    }

    /// What its outer headers said, if it came out of a tunnel.
    pub(crate) const fn tunnel(&self) -> Option<&Meta> {
        self.tunnel.as_ref()
    }
}

impl Holding {
    pub(crate) const fn new() -> Self {
        Self {
            wish: None,
            left: Left::NOTHING,
        }
    }

    /// Whether the packet under way stops.
    #[inline(always)]
    pub(super) const fn is_active(&self) -> bool {
        self.wish.is_some()
    }

    /// Notes something that is left to do, after all that was noted before.
    #[cold]
    pub(super) fn leave(&mut self, rung: Rung) {
        let left = &mut self.left;
        match left.rungs.get_mut(left.rungs_len) {
            Some(place) => {
                *place = rung;
                left.rungs_len += 1;
            }
            None => left.overflown = true,
        }
    }

    /// What is left cannot be written down.
    pub(super) const fn refuse(&mut self) {
        self.left.overflown = true;
    }

    /// Notes a remembered step.
    #[cold]
    pub(super) fn leave_step(&mut self, step: Step) {
        let left = &mut self.left;
        match left.steps.get_mut(left.steps_len) {
            Some(place) => {
                *place = step;
                left.steps_len += 1;
            }
            None => left.overflown = true,
        }
    }
}

impl Left {
    const NOTHING: Self = Self {
        rungs: [Rung::Steps { depth: 0 }; RUNGS],
        rungs_len: 0,
        steps: [Step::PADDING; STEPS],
        steps_len: 0,
        set: SavedSet::EMPTY,
        overflown: false,
    };

    fn rungs(&self) -> &[Rung] {
        &self.rungs[..self.rungs_len]
    }

    fn steps(&self) -> &[Step] {
        &self.steps[..self.steps_len]
    }
}

impl<O, W: Witness> Journey<'_, O, W> {
    /// The `ct()` under way is to wait; without a `wish`, for its turn.
    #[cold]
    pub(super) fn stop(&mut self, wish: Option<Wish>, quest: Quest) -> Flow {
        let Some(set) = self.saved_set() else {
            self.tracker.abandon(quest);
            return self.give_up(DropReason::HoldLimit);
        };
        let holding = &mut *self.holding;
        holding.left.rungs_len = 0;
        holding.left.steps_len = 0;
        holding.left.overflown = false;
        holding.left.set = set;
        holding.wish = Some((wish, quest));
        if let Some(trace) = &mut self.trace {
            trace.refuse(Refusal::Connection);
        }
        if let Some(record) = self.records.current() {
            record.complete = false;
        }
        Flow::Held
    }

    /// What is done with a packet at the end of its way: it is sent, if it is to be, or waits.
    pub(super) fn conclude<F>(&mut self, mut packet: Packet<F>, egress: Option<Egress>)
    where
        F: Frame,
        O: Output<F>,
    {
        if let Some(egress) = egress {
            let options = self.options_of(&mut packet, &egress);
            self.transmit(packet.frame, &packet.layout, &egress, options.as_ref());
        } else if self.holding.is_active() {
            self.hold(packet);
        }
    }

    /// Hands over a packet whose journey has stopped.
    #[cold]
    pub(super) fn hold<F>(&mut self, packet: Packet<F>)
    where
        O: Output<F>,
    {
        let Some((wish, quest)) = self.holding.wish.take() else {
            return;
        };
        let effects = self.effects;
        // Whoever goes on without it has done something with it.
        self.effects += 1;
        if self.holding.left.overflown {
            self.tracker.abandon(quest);
            return self.drop(DropReason::HoldLimit);
        }
        let (frame, packet) = packet.without_frame();
        let suspended = Suspended {
            packet,
            in_port: self.in_port,
            tunnel: self.tunnel.copied(),
            generation: self.snapshot.generation,
            wish,
            quest,
            left: self.holding.left,
            lookups: self.lookups,
            buckets: self.buckets,
            effects,
            reason: self.reason,
            counted: self.tracker.leave_packet(),
        };
        if let Err(reason) = self.out.hold(frame, suspended) {
            self.tracker.abandon(quest);
            self.drop(reason);
        }
    }

    /// Goes on with a packet that waited, with what was found out for it: `None` if it only waited
    /// behind another one.
    #[cold]
    pub(crate) fn go_on<F>(&mut self, frame: F, suspended: &Suspended, quest: Option<Quest>)
    where
        F: Frame,
        O: Output<F>,
    {
        self.tracker.go_on_with_packet(suspended.counted);
        self.lookups = suspended.lookups;
        self.buckets = suspended.buckets;
        self.effects = suspended.effects;
        self.reason = suspended.reason;
        let lookups = self.lookups;
        let mut packet = suspended.packet.with_frame(frame);
        let is_current = suspended.generation == self.snapshot.generation;
        let is_done = suspended.quest.hears();
        if is_done && !(is_current && self.is_still_met(&packet)) {
            self.drop(DropReason::HoldLimit);
        } else if is_current {
            self.tracker.resume_quest(quest.unwrap_or_default());
            self.restore_set(&suspended.left.set);
            self.climb(&mut packet, &suspended.left);
            self.forget_carried();
            let egress = self.finish(&mut packet, 0);
            self.conclude(packet, egress);
        } else {
            // Nobody knows any more what was left to do.
            if let Some(quest) = quest {
                self.tracker.abandon(quest);
            }
            let in_port = self.snapshot.ports.port(self.in_port).no;
            let largest_piece = packet.largest_piece;
            let mut packet = Packet::new(packet.frame, packet.layout, in_port, self.tunnel, None);
            packet.largest_piece = largest_piece;
            let egress = self.passes(&mut packet, TableId(0), 0);
            self.conclude(packet, egress);
        }
        if self.effects == 0 {
            self.counters.drop(self.reason);
        }
        self.counters.lookups.add(u64::from(self.lookups - lookups));
    }

    /// Whether the connection that the packet met last is still there.
    fn is_still_met<F>(&self, packet: &Packet<F>) -> bool {
        let seen = packet.seen();
        seen.is_some_and(|seen| self.tracker.has_seen(&seen, self.now))
    }

    /// Does what is left, from the innermost to the outermost.
    fn climb<F>(&mut self, packet: &mut Packet<F>, left: &Left)
    where
        F: Frame,
        O: Output<F>,
    {
        let mut flow = Flow::Continue;
        for (number, rung) in left.rungs().iter().enumerate() {
            flow = self.step_up(packet, *rung, left, flow);
            if flow == Flow::Held {
                let rest = &left.rungs()[number + 1..];
                rest.iter().for_each(|rung| self.holding.leave(*rung));
                return;
            }
        }
    }

    /// Does one thing that is left. `flow` is how what lies within it has ended.
    fn step_up<F>(&mut self, packet: &mut Packet<F>, rung: Rung, left: &Left, flow: Flow) -> Flow
    where
        F: Frame,
        O: Output<F>,
    {
        match rung {
            Rung::Ops {
                slot,
                at,
                end,
                table,
                depth,
            } => {
                let rule = self.snapshot.rules.rule(slot);
                match (flow, rule) {
                    (Flow::Continue, Some(rule)) => {
                        self.run_ops(packet, rule, at.into()..end.into(), table, depth)
                    }
                    (flow, _) => flow,
                }
            }
            Rung::ListEnd { goto, depth } => match (flow, goto) {
                (Flow::Continue, Some(next)) => self.walk_from(packet, next, depth),
                (Flow::EndList, _) => Flow::Continue,
                (flow, _) => flow,
            },
            Rung::Set { table, depth } => {
                if flow != Flow::Lost {
                    self.run_set(packet, table, depth);
                }
                if self.holding.is_active() {
                    return Flow::Held;
                }
                self.forget_carried();
                Flow::Continue
            }
            Rung::Bucket {
                group,
                at,
                next,
                table,
                depth,
            } => {
                self.bucket_from(packet, group, at.into(), next.into(), table, depth);
                if self.holding.is_active() {
                    return Flow::Held;
                }
                Flow::Continue
            }
            Rung::Steps { depth } => {
                self.take_steps(packet, left.steps(), 0, depth);
                if self.holding.is_active() {
                    return Flow::Held;
                }
                Flow::Continue
            }
        }
    }

    /// Takes remembered steps from number `at` on, to the end or to that of the copy that they are
    /// taken for. Returns the number of the next.
    fn take_steps<F>(
        &mut self,
        packet: &mut Packet<F>,
        steps: &[Step],
        mut at: usize,
        depth: u32,
    ) -> usize
    where
        F: Frame,
        O: Output<F>,
    {
        use super::pass::Taken;

        while let Some(&step) = steps.get(at) {
            at += 1;
            match self.replay_step(packet, step, depth) {
                Taken::Step => {}
                Taken::EndClone => return at,
                Taken::Clone => {
                    let Some((mut copy, aside)) = self.begin_copy(packet, depth) else {
                        at = self.behind_copy_of(steps, at);
                        continue;
                    };
                    at = self.take_steps(&mut copy, steps, at, depth);
                    self.end_copy(copy, aside, depth);
                }
                Taken::Lost => return self.behind_copy_of(steps, at),
                Taken::Held => {
                    let end = self.behind_copy_of(steps, at);
                    self.holding.leave(Rung::Steps { depth });
                    let rest = &steps[at - 1..end];
                    rest.iter().for_each(|step| self.holding.leave_step(*step));
                    return end;
                }
            }
        }
        at
    }

    /// The number of the step behind those of the copy to which step `at` belongs; of no copy:
    /// behind all.
    fn behind_copy_of(&self, steps: &[Step], mut at: usize) -> usize {
        let mut nested = 0;
        while let Some(step) = steps.get(at) {
            at += 1;
            match self.ends_copy(*step, nested) {
                Some(deeper) => nested = deeper,
                None => return at,
            }
        }
        at
    }
}
