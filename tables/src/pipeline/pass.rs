//! One pass: as the megaflow cache remembers it, or else by walking the tables and noting how.

use weir_packet::Frame;

use super::held::Rung;
use super::packet::Packet;
use super::witness::Event;
use super::{Flow, Journey, MAX_DEPTH, Output, Witness};
use crate::action::TableId;
use crate::cache::{Lookup, PassHash, PathId, Step};
use crate::drops::DropReason;
use crate::program::Op;
use crate::rule::Rule;

/// What the cache knows of a pass.
enum Remembered {
    /// Nothing yet.
    Nothing,
    /// The steps to take.
    Path(PathId),
    /// The tables have to be asked, and the answer is no use to others.
    NoMatter,
}

/// What became of a remembered step.
pub(super) enum Taken {
    Step,
    /// The packet is lost.
    Lost,
    /// The packet waits, and takes it again afterwards.
    Held,
    /// A copy of the packet takes the next ones.
    Clone,
    /// This copy of the packet takes no more.
    EndClone,
}

impl<'a, O, W: Witness> Journey<'a, O, W> {
    /// One pass: as the cache remembers it, or else by walking the tables.
    pub(super) fn pass<F>(&mut self, packet: &mut Packet<F>, table: TableId, depth: u32)
    where
        F: Frame,
        O: Output<F>,
    {
        self.counters.passes.add(1);
        // The fork of a pass may begin while that pass is being noted.
        let outer = self.records.suspend();
        let remembered = if self.carries() {
            Remembered::NoMatter
        } else {
            self.remembered(packet, table, depth)
        };
        match remembered {
            Remembered::Path(path) if !self.asks_tables() => {
                if let Some(megaflows) = &mut self.megaflows {
                    if let Some(trace) = &mut self.trace {
                        let (tables, written) = megaflows.facts(path);
                        trace.passed(tables, written, None);
                    }
                    megaflows.hold_paths();
                }
                self.replay(packet, path, 0, depth);
                if let Some(megaflows) = &mut self.megaflows {
                    megaflows.release_paths();
                }
            }
            Remembered::Nothing => {
                self.counters.walks.add(1);
                let start = *packet.key();
                self.walk_noting(packet, table, Lookup::default(), depth);
                if let (Some(record), Some(megaflows)) =
                    (self.records.current(), &mut self.megaflows)
                {
                    megaflows.install(self.in_port, &start, record, self.snapshot.generation);
                }
            }
            Remembered::Path(_) | Remembered::NoMatter if W::WATCHES || self.is_traced() => {
                self.counters.walks.add(1);
                self.walk_noting(packet, table, Lookup::default(), depth);
            }
            Remembered::Path(_) | Remembered::NoMatter => {
                self.counters.walks.add(1);
                self.walk_all(packet, table, Lookup::default(), depth);
            }
        }
        self.records.resume(outer);
        self.forget_carried();
    }

    /// Walks through the tables and notes how.
    pub(super) fn walk_noting<F>(
        &mut self,
        packet: &mut Packet<F>,
        table: TableId,
        lookup: Lookup,
        depth: u32,
    ) where
        F: Frame,
        O: Output<F>,
    {
        self.records.begin(table, depth);
        let start = W::WATCHES.then(|| (*packet.key(), self.unfit(packet, lookup)));
        self.walk_all(packet, table, lookup, depth);
        if let (Some((start, unfit)), Some(record)) = (start, self.records.current()) {
            self.witness.saw(Event::Passed {
                start: &start,
                end: packet.key(),
                record,
                unfit,
            });
        }
        if let (Some(trace), Some(record)) = (&mut self.trace, self.records.current()) {
            trace.passed(&record.tables, &record.written, Some(&record.consulted));
        }
    }

    /// Why the cache knows nothing of the pass of a packet that is about to begin, if so.
    fn unfit<F>(&self, packet: &Packet<F>, lookup: Lookup) -> Option<&'static str> {
        if self.carries() {
            Some("the packet carries an action set or a stack")
        } else if !lookup.is_plain() {
            Some("the first look-up sees the packet otherwise than it is")
        } else if !packet.is_cacheable() {
            Some("the packet is a fragment, malformed, or has two tags")
        } else {
            None
        }
    }

    /// What the cache knows of a pass.
    fn remembered<F>(&mut self, packet: &Packet<F>, table: TableId, depth: u32) -> Remembered {
        let ahead = std::mem::replace(&mut self.hash, PassHash::NONE);
        let Some(megaflows) = &mut self.megaflows else {
            return Remembered::NoMatter;
        };
        if !packet.is_cacheable() {
            return Remembered::NoMatter;
        }
        match megaflows.lookup(self.in_port, table, packet.key(), ahead, self.snapshot) {
            None => Remembered::Nothing,
            Some(path) if depth + megaflows.nesting(path) <= MAX_DEPTH => Remembered::Path(path),
            // It goes deeper than is allowed from here; where it ends, the tables know.
            Some(_) => Remembered::NoMatter,
        }
    }

    /// Takes the steps that the cache remembers, from number `at` to the end, or to the end of
    /// the copy that they are taken for. Returns the number of the next.
    pub(super) fn replay<F>(
        &mut self,
        packet: &mut Packet<F>,
        path: PathId,
        mut at: usize,
        depth: u32,
    ) -> usize
    where
        F: Frame,
        O: Output<F>,
    {
        while let Some(megaflows) = &self.megaflows {
            let steps = megaflows.steps(path, at);
            let first = at;
            for &step in steps.as_slice() {
                at += 1;
                match self.replay_step(packet, step, depth) {
                    // Behind an exit only such steps were noted as are taken all the same.
                    Taken::Step => {}
                    Taken::Lost => return self.behind_copy(path, at),
                    Taken::Held => return self.leave_steps(path, at, depth),
                    Taken::EndClone => return at,
                    Taken::Clone => {
                        at = self.replay_clone(packet, path, at, depth);
                        break;
                    }
                }
            }
            let is_end = steps.are_last() && at == first + steps.as_slice().len();
            if is_end {
                break;
            }
        }
        at
    }

    /// Takes one step that the cache remembers. Always part of the loop, though where packets may wait
    /// it is taken elsewhere, too.
    #[inline(always)]
    pub(super) fn replay_step<F>(&mut self, packet: &mut Packet<F>, step: Step, depth: u32) -> Taken
    where
        F: Frame,
        O: Output<F>,
    {
        match step {
            Step::Missed { .. } | Step::Matched { .. } if self.is_exhausted() => {
                return Taken::Lost;
            }
            Step::Missed { table } => {
                self.looked_up(packet, table);
                self.reason = DropReason::TableMiss;
            }
            Step::Matched { slot, table } => {
                self.looked_up(packet, table);
                self.matched(packet, slot);
            }
            Step::Run { slot, op, nesting } => {
                let (rule, op) = self.operation(slot, op);
                if op >= rule.program.applied {
                    // It is the set that is executed now.
                    self.empty_set();
                }
                let op = &rule.program.ops[op];
                match op {
                    Op::EndClone => return Taken::EndClone,
                    Op::Clone { .. } => return Taken::Clone,
                    _ => {}
                }
                let depth = depth + u32::from(nesting);
                match self.step(packet, op, Some(rule), rule.table, depth) {
                    Flow::Lost => return Taken::Lost,
                    Flow::Held => return Taken::Held,
                    Flow::Continue | Flow::EndList | Flow::Exit => {}
                }
            }
        }
        Taken::Step
    }

    /// Writes down what is left of a path from the step before number `at` on, or of the copy that
    /// it is taken for. Returns the number of the step behind it.
    #[cold]
    fn leave_steps(&mut self, path: PathId, at: usize, depth: u32) -> usize {
        let end = self.behind_copy(path, at);
        self.holding.leave(Rung::Steps { depth });
        let mut next = at - 1;
        while let Some(megaflows) = &self.megaflows
            && next < end
        {
            let steps = megaflows.steps(path, next);
            let Some(step) = steps.as_slice().first() else {
                break;
            };
            self.holding.leave_step(*step);
            next += 1;
        }
        end
    }

    /// A step that is remembered: the rule, and the number of the operation in its program.
    #[inline]
    pub(super) fn operation(&self, slot: u32, op: u16) -> (&'a Rule, usize) {
        let rule = self.snapshot.rules.rule(slot);
        let rule = rule.expect("a path whose rules changed is not taken");
        (rule, usize::from(op))
    }

    /// Whether the tables are to be walked, whatever the cache knows: only they tell which bits
    /// decide.
    fn asks_tables(&self) -> bool {
        self.trace.as_ref().is_some_and(|trace| trace.asks_tables())
    }

    /// Whether the journey is still being written down.
    pub(super) fn is_traced(&self) -> bool {
        self.trace.as_ref().is_some_and(|trace| !trace.is_refused())
    }
}
