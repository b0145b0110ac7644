//! The walk through the tables: look up, do what the rule says, go on.

use std::ops::Range;

use weir_packet::Frame;

use super::held::Rung;
use super::packet::Packet;
use super::witness::Event;
use super::{Flow, Journey, MAX_DEPTH, MAX_LOOKUPS, Output, Witness};
use crate::action::TableId;
use crate::cache::{Lookup, Step};
use crate::drops::DropReason;
use crate::field::Prerequisite;
use crate::key::FlowKey;
use crate::program::{Op, Program};
use crate::rule::Rule;

impl<'a, O, W: Witness> Journey<'a, O, W> {
    /// One pass in which the first look-up sees the packet as `first` says, which the cache does
    /// not know.
    pub(super) fn pass_as<F>(
        &mut self,
        packet: &mut Packet<F>,
        table: TableId,
        first: Lookup,
        depth: u32,
    ) where
        F: Frame,
        O: Output<F>,
    {
        if first.is_plain() {
            return self.pass(packet, table, depth);
        }
        if first.ct && !packet.key().has_original_tuple() {
            return;
        }
        self.counters.passes.add(1);
        let outer = self.records.suspend();
        if W::WATCHES || self.is_traced() {
            self.walk_noting(packet, table, first, depth);
        } else {
            self.walk_all(packet, table, first, depth);
        }
        self.records.resume(outer);
        self.forget_carried();
    }

    /// Walks through the tables, and then executes the action set.
    pub(super) fn walk_all<F>(
        &mut self,
        packet: &mut Packet<F>,
        table: TableId,
        first: Lookup,
        depth: u32,
    ) where
        F: Frame,
        O: Output<F>,
    {
        match self.walk(packet, table, first, depth) {
            Flow::Lost => {}
            Flow::Held => self.holding.leave(Rung::Set { table, depth }),
            _ => self.run_set(packet, table, depth),
        }
    }

    /// Looks the packet up in `table` and does what the rule says. `first` is how the packet is
    /// seen by the first look-up.
    fn walk<F>(&mut self, packet: &mut Packet<F>, table: TableId, first: Lookup, depth: u32) -> Flow
    where
        F: Frame,
        O: Output<F>,
    {
        let here = self.witness.place();
        let flow = self.walk_on(packet, table, first, depth);
        self.witness.return_to(here);
        flow
    }

    fn walk_on<F>(
        &mut self,
        packet: &mut Packet<F>,
        mut table: TableId,
        mut first: Lookup,
        depth: u32,
    ) -> Flow
    where
        F: Frame,
        O: Output<F>,
    {
        if let Some(record) = self.records.current() {
            record.nesting = record.nesting.max(depth - record.depth);
        }
        if depth > MAX_DEPTH {
            return self.give_up(DropReason::RecursionLimit);
        }
        loop {
            if self.is_exhausted() {
                return Flow::Lost;
            }
            let Some(rule) = self.look_up(packet, table, std::mem::take(&mut first)) else {
                self.reason = DropReason::TableMiss;
                return Flow::Continue;
            };
            self.matched(packet, rule.id.slot);
            match self.run_ops(packet, rule, 0..rule.program.applied, table, depth) {
                Flow::Continue => {}
                Flow::EndList => return Flow::Continue,
                Flow::Held => {
                    let goto = rule.program.goto_table;
                    self.holding.leave(Rung::ListEnd { goto, depth });
                    return Flow::Held;
                }
                flow @ (Flow::Exit | Flow::Lost) => return flow,
            }
            match rule.program.goto_table {
                Some(next) => {
                    if W::WATCHES {
                        self.witness.saw(Event::Goto(next));
                    }
                    table = next;
                }
                None => return Flow::Continue,
            }
        }
    }

    /// Goes on in `table`, where the list of a rule said.
    pub(super) fn walk_from<F>(
        &mut self,
        packet: &mut Packet<F>,
        table: TableId,
        depth: u32,
    ) -> Flow
    where
        F: Frame,
        O: Output<F>,
    {
        self.walk_on(packet, table, Lookup::default(), depth)
    }

    /// Runs the operations of `rule` whose numbers are in `range`.
    pub(super) fn run_ops<F>(
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
        let program: &Program = &rule.program;
        let mut at = range.start;
        while at < range.end {
            let op = &program.ops[at];
            self.note(rule, at, depth);
            if W::WATCHES {
                self.witness.saw(Event::Op { rule, at });
            }
            let flow = match op {
                Op::Clone { end } => {
                    let flow = self.run_clone(packet, rule, at + 1..*end, table, depth);
                    at = *end;
                    flow
                }
                _ => self.step(packet, op, Some(rule), table, depth),
            };
            if flow != Flow::Continue {
                // Something else than the rules ended this: no example for others.
                if let (Some(record), Flow::Lost) = (self.records.current(), flow) {
                    record.complete = false;
                }
                if flow == Flow::Held {
                    self.leave_ops(rule, at..range.end, table, depth);
                }
                return flow;
            }
            at += 1;
        }
        Flow::Continue
    }

    /// Writes down the operations that are left of a list. Of one that sent the packet elsewhere,
    /// the rest is left; a `ct()` itself is left.
    #[cold]
    fn leave_ops(&mut self, rule: &Rule, range: Range<usize>, table: TableId, depth: u32) {
        let own = matches!(rule.program.ops[range.start], Op::Ct(_));
        let at = range.start + usize::from(!own);
        match (u16::try_from(at), u16::try_from(range.end)) {
            (Ok(at), Ok(end)) => self.holding.leave(Rung::Ops {
                slot: rule.id.slot,
                at,
                end,
                table,
                depth,
            }),
            _ => self.holding.refuse(),
        }
    }

    /// Notes that operation `at` of `rule` is about to run.
    pub(super) fn note(&mut self, rule: &Rule, at: usize, depth: u32) {
        let op = &rule.program.ops[at];
        if let (Some(record), false) = (self.records.current(), op.is_jump()) {
            record.run(rule.id.slot, at, op, depth);
        }
    }

    /// The rule of `table` for the packet; the look-up is noted.
    fn look_up<F>(
        &mut self,
        packet: &Packet<F>,
        table: TableId,
        lookup: Lookup,
    ) -> Option<&'a Rule> {
        let mut key = packet.key();
        let other;
        if !lookup.is_plain() {
            other = lookup.of(key);
            key = &other;
        }
        self.looked_up(packet, table);
        let rules = self.snapshot.table(table);
        if W::WATCHES {
            let rule = rules.and_then(|rules| rules.lookup(key));
            let rule = rule.map(|rule| &**rule);
            let clauses = rules.map(|rules| rules.clauses_of(rule, key));
            let clauses = clauses.unwrap_or_default();
            self.witness.saw(Event::Looked {
                table,
                lookup,
                rule,
                clauses,
            });
        }
        let Some(record) = self.records.current() else {
            return rules?.lookup(key).map(|rule| &**rule);
        };
        record.tables.insert(table);
        let rule = if lookup.is_plain() {
            rules.and_then(|rules| rules.lookup_consulting(key, &mut record.consulted))
        } else {
            let mut consulted = FlowKey::ZERO;
            let rule = rules.and_then(|rules| rules.lookup_consulting(key, &mut consulted));
            record.looked_up(lookup, &consulted);
            rule
        };
        record.steps.push(match rule {
            Some(rule) => Step::Matched {
                slot: rule.id.slot,
                table,
            },
            None => Step::Missed { table },
        });
        rule.map(|rule| &**rule)
    }

    /// Looks the packet up in `table`, and goes on behind it in the list of a rule of `own`.
    pub(super) fn resubmit<F>(
        &mut self,
        packet: &mut Packet<F>,
        table: TableId,
        own: TableId,
        lookup: Lookup,
        depth: u32,
    ) -> Flow
    where
        F: Frame,
        O: Output<F>,
    {
        if lookup.ct {
            if let Some(record) = self.records.current() {
                record.consult(Prerequisite::CtPorts);
            }
            if !packet.key().has_original_tuple() {
                return Flow::Continue;
            }
        }
        match self.walk(packet, table, lookup, depth + u32::from(table <= own)) {
            Flow::Continue | Flow::EndList => Flow::Continue,
            flow @ (Flow::Exit | Flow::Lost | Flow::Held) => flow,
        }
    }

    /// Notes that the packet is looked up in `table`, now or as it is remembered.
    #[inline]
    pub(super) fn looked_up<F>(&mut self, packet: &Packet<F>, table: TableId) {
        if let Some(trace) = &mut self.trace {
            trace.looked_up(table, packet.key());
        }
    }

    /// Counts for the rule at `slot`.
    pub(super) fn matched<F: Frame>(&mut self, packet: &Packet<F>, slot: u32) {
        self.reason = DropReason::ActionDrop;
        if let Some(trace) = &mut self.trace {
            trace.matched(slot, packet.frame.len());
        }
        self.rule_counters.count(slot, packet.frame.len(), self.now);
    }

    /// Counts a look-up, done or remembered. Returns true if it was one too many.
    pub(super) fn is_exhausted(&mut self) -> bool {
        self.lookups += 1;
        let exhausted = self.lookups > MAX_LOOKUPS;
        if exhausted {
            self.give_up(DropReason::ResubmitLimit);
        }
        exhausted
    }

    /// Ends the journey at a limit.
    pub(super) fn give_up(&mut self, reason: DropReason) -> Flow {
        self.drop(reason);
        if let Some(record) = self.records.current() {
            record.complete = false;
        }
        Flow::Lost
    }
}
