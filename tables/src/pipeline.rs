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

use std::ops::Range;

use weir_ct::Tracker;
use weir_packet::{Frame, L3, Layout, Tick};

use crate::action::TableId;
use crate::cache::{Lookup, Megaflows, PassHash, PathId, Records, Step, Trace};
use crate::counters::{LcoreCounters, RuleCounters};
use crate::drops::DropReason;
use crate::field::{Field, Prerequisite};
use crate::key::FlowKey;
use crate::lcore::Ahead;
use crate::mac_table::MacTable;
use crate::packet_in::PacketInSender;
use crate::port::{PortIndex, PortNo};
use crate::program::{Bits, Op, Program};
use crate::rule::Rule;
use crate::snapshot::Snapshot;
use crate::tunnel::{Meta, Neighbours};

mod carried;
mod controller;
mod copies;
mod ct;
mod group;
mod key_access;
mod normal;
mod output;
mod packet;
pub(crate) mod tag;
#[cfg(test)]
mod tests;
mod tunnel;
mod vlan;
mod writeback;

use carried::ActionSet;
pub(crate) use carried::Stack;
use packet::{Packet, Pending};
use tunnel::Egress;

/// How deep resubmits and recirculations may nest. A resubmit to a higher table does not count.
const MAX_DEPTH: u32 = 64;
/// How many look-ups one packet may cause.
const MAX_LOOKUPS: u32 = 4096;

/// How much is sent of a frame that is not cut.
const UNCUT: u32 = u32::MAX;

/// Where frames go that leave the pipeline.
pub trait Output<F> {
    /// Takes `frame` for `port`; frames for one port leave in the order in which they are
    /// handed in.
    fn send(&mut self, port: PortIndex, frame: F);

    /// Takes all `frames`, none of which is longer than `longest` bytes, for `port`.
    #[inline]
    fn send_all(&mut self, port: PortIndex, frames: &mut [Option<F>], longest: usize) {
        let _ = longest;
        for frame in frames.iter_mut().filter_map(Option::take) {
            self.send(port, frame);
        }
    }
}

/// What a journey works on.
pub(crate) struct Journey<'a, O> {
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
}

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
enum Taken {
    Step,
    /// The packet is lost.
    Lost,
    /// A copy of the packet takes the next ones.
    Clone,
    /// This copy of the packet takes no more.
    EndClone,
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
        }
    }

    /// Sends one frame on its journey. Returns whether it was written down.
    ///
    /// `ahead`: what was read of the frame before, if anything was.
    pub(crate) fn run<F>(&mut self, frame: F, layout: Layout, ahead: Option<&Ahead>) -> bool
    where
        F: Frame,
        O: Output<F>,
    {
        if let Some(trace) = &mut self.trace {
            trace.begin(&frame, &layout);
        }
        let in_port = self.snapshot.ports.port(self.in_port).no;
        self.hash = ahead.map_or(PassHash::NONE, |ahead| ahead.hash);
        let mut packet = Packet::new(frame, layout, in_port, self.tunnel, ahead);
        if let Some(egress) = self.passes(&mut packet, TableId(0), 0) {
            self.transmit(packet.frame, &packet.layout, &egress);
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
                    packet.recirculate(zone, changes);
                    self.pass(packet, table, depth);
                }
                Pending::Bucket(bucket) => self.bucket(packet, bucket, depth),
            }
        }
    }

    /// One pass: as the cache remembers it, or else by walking the tables.
    fn pass<F>(&mut self, packet: &mut Packet<F>, table: TableId, depth: u32)
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
                let start = *packet.key();
                self.walk_noting(packet, table, Lookup::default(), depth);
                if let (Some(record), Some(megaflows)) =
                    (self.records.current(), &mut self.megaflows)
                {
                    megaflows.install(self.in_port, &start, record, self.snapshot.generation);
                }
            }
            Remembered::Path(_) | Remembered::NoMatter if self.is_traced() => {
                self.walk_noting(packet, table, Lookup::default(), depth);
            }
            Remembered::Path(_) | Remembered::NoMatter => {
                self.walk_all(packet, table, Lookup::default(), depth);
            }
        }
        self.records.resume(outer);
        self.forget_carried();
    }

    /// Walks through the tables, and then executes the action set.
    fn walk_all<F>(&mut self, packet: &mut Packet<F>, table: TableId, first: Lookup, depth: u32)
    where
        F: Frame,
        O: Output<F>,
    {
        if self.walk(packet, table, first, depth) != Flow::Lost {
            self.run_set(packet, table, depth);
        }
    }

    /// One pass in which the first look-up sees the packet as `first` says, which the cache does
    /// not know.
    fn pass_as<F>(&mut self, packet: &mut Packet<F>, table: TableId, first: Lookup, depth: u32)
    where
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
        if self.is_traced() {
            self.walk_noting(packet, table, first, depth);
        } else {
            self.walk_all(packet, table, first, depth);
        }
        self.records.resume(outer);
        self.forget_carried();
    }

    /// Walks through the tables and notes how.
    fn walk_noting<F>(&mut self, packet: &mut Packet<F>, table: TableId, lookup: Lookup, depth: u32)
    where
        F: Frame,
        O: Output<F>,
    {
        self.records.begin(table, depth);
        self.walk_all(packet, table, lookup, depth);
        if let (Some(trace), Some(record)) = (&mut self.trace, self.records.current()) {
            trace.passed(&record.tables, &record.written, Some(&record.consulted));
        }
    }

    /// Whether the tables are to be walked, whatever the cache knows: only they tell which bits
    /// decide.
    fn asks_tables(&self) -> bool {
        self.trace.as_ref().is_some_and(|trace| trace.asks_tables())
    }

    /// Whether the journey is still being written down.
    fn is_traced(&self) -> bool {
        self.trace.as_ref().is_some_and(|trace| !trace.is_refused())
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
    fn replay<F>(
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

    /// Takes one step that the cache remembers.
    #[inline]
    fn replay_step<F>(&mut self, packet: &mut Packet<F>, step: Step, depth: u32) -> Taken
    where
        F: Frame,
        O: Output<F>,
    {
        match step {
            Step::Missed | Step::Matched { .. } if self.is_exhausted() => return Taken::Lost,
            Step::Missed => self.reason = DropReason::TableMiss,
            Step::Matched { slot } => self.matched(packet, slot),
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
                if self.step(packet, op, Some(rule), rule.table, depth) == Flow::Lost {
                    return Taken::Lost;
                }
            }
        }
        Taken::Step
    }

    /// A step that is remembered: the rule, and the number of the operation in its program.
    #[inline]
    fn operation(&self, slot: u32, op: u16) -> (&'a Rule, usize) {
        let rule = self.snapshot.rules.rule(slot);
        let rule = rule.expect("a path whose rules changed is not taken");
        (rule, usize::from(op))
    }

    /// Counts for the rule at `slot`.
    fn matched<F: Frame>(&mut self, packet: &Packet<F>, slot: u32) {
        self.reason = DropReason::ActionDrop;
        if let Some(trace) = &mut self.trace {
            trace.matched(slot, packet.frame.len());
        }
        self.rule_counters.count(slot, packet.frame.len(), self.now);
    }

    /// Looks the packet up in `table` and does what the rule says. `first` is how the packet is
    /// seen by the first look-up.
    fn walk<F>(
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
                flow @ (Flow::Exit | Flow::Lost) => return flow,
            }
            match rule.program.goto_table {
                Some(next) => table = next,
                None => return Flow::Continue,
            }
        }
    }

    /// Runs the operations of `rule` whose numbers are in `range`.
    fn run_ops<F>(
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
                return flow;
            }
            at += 1;
        }
        Flow::Continue
    }

    /// Notes that operation `at` of `rule` is about to run.
    fn note(&mut self, rule: &Rule, at: usize, depth: u32) {
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
        let rules = self.snapshot.table(table);
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
            Some(rule) => Step::Matched { slot: rule.id.slot },
            None => Step::Missed,
        });
        rule.map(|rule| &**rule)
    }

    /// Runs an operation of `rule`, or of a bucket, which is no rule.
    fn step<F>(
        &mut self,
        packet: &mut Packet<F>,
        op: &Op,
        rule: Option<&'a Rule>,
        table: TableId,
        depth: u32,
    ) -> Flow
    where
        F: Frame,
        O: Output<F>,
    {
        if let (Some(trace), true) = (&mut self.trace, op.reads_packet()) {
            trace.read_packet();
        }
        match op {
            Op::Output(port) => self.output_to(packet, *port, UNCUT, depth),
            Op::OutputCut {
                port: PortNo::IN_PORT,
                max_len,
            } => self.output_to_in_port(packet, *max_len, depth),
            Op::OutputCut { port, max_len } => self.output_to(packet, *port, *max_len, depth),
            Op::OutputField(bits) => {
                let value = packet.key().read_bits(bits);
                self.output_to_value(packet, value, depth);
            }
            Op::Group(id) => self.group(packet, *id, table, depth),
            Op::Normal => self.normal(packet, depth),
            Op::Flood => self.flood(packet, depth),
            Op::InPort => self.output_to_in_port(packet, UNCUT, depth),
            Op::Set { dst, value, mask } => {
                packet.key_mut().write_bits(dst, *value, *mask);
                self.wrote(packet, dst, *mask);
            }
            Op::Move { src, dst } => {
                if packet.key().satisfies(src.prerequisite) {
                    packet.key_mut().move_bits(src, dst);
                    self.wrote(packet, dst, dst.ones());
                }
            }
            Op::PushVlan(ether_type) => return self.push_vlan(packet, *ether_type, depth),
            Op::PopVlan => return self.pop_vlan(packet, depth),
            Op::DecTtl(controllers) => return self.dec_ttl(packet, rule, table, controllers),
            Op::Controller(controller) => {
                return self.controller(packet, rule, controller, table, depth);
            }
            Op::Resubmit {
                port,
                table: next,
                ct,
            } => {
                let lookup = Lookup {
                    port: *port,
                    ct: *ct,
                };
                return self.resubmit(packet, next.unwrap_or(table), table, lookup, depth);
            }
            Op::Ct(ct) => return self.ct(packet, ct, depth),
            Op::CtClear => {
                packet.clear_ct();
                packet.forget_seen();
            }
            Op::Exit => return Flow::Exit,
            Op::Push(src) => {
                if packet.key().satisfies(src.prerequisite) {
                    return self.push(packet.key().read_bits(src));
                }
            }
            Op::Pop(dst) => {
                if let Some(value) = self.pop() {
                    packet.key_mut().write_bits(dst, value, dst.ones());
                    self.wrote(packet, dst, dst.ones());
                }
            }
            Op::CheckLarger { size, dst } => self.check_larger(packet, *size, dst),
            Op::FinTimeout => self.fin_timeout(packet, rule),
            Op::ClearSet => self.clear_set(packet),
            Op::WriteSet => {
                let rule = rule.expect("a bucket writes no action set");
                return self.write_set(packet, rule);
            }
            Op::Clone { .. } | Op::EndClone => {
                unreachable!("whoever runs operations looks after copies")
            }
        }
        Flow::Continue
    }

    /// Looks the packet up in `table`, and goes on behind it in the list of a rule of `own`.
    fn resubmit<F>(
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
            flow @ (Flow::Exit | Flow::Lost) => flow,
        }
    }

    /// `check_pkt_larger`: neither VLAN tags nor padding count.
    fn check_larger<F: Frame>(&mut self, packet: &mut Packet<F>, size: u16, dst: &Bits) {
        let tags = 4 * u32::from(packet.layout.vlan_tags);
        let len = match packet.layout.l3 {
            L3::Ipv4 | L3::Ipv6 if packet.layout.malformed.is_none() => packet.layout.l3_end,
            _ => packet.frame.len() as u32,
        };
        let is_larger = len - tags > u32::from(size);
        packet
            .key_mut()
            .write_bits(dst, is_larger.into(), dst.ones());
        self.wrote(packet, dst, dst.ones());
        if let Some(record) = self.records.current() {
            // The key does not say how long the packet is.
            record.complete = false;
        }
        if let Some(trace) = &mut self.trace {
            trace.measured(size, is_larger);
        }
    }

    /// `fin_timeout`: the keeper of the rule's time hears of the end of a connection.
    fn fin_timeout<F>(&mut self, packet: &Packet<F>, rule: Option<&Rule>) {
        const FIN_OR_RST: u128 = 0x001 | 0x004;
        let is_tcp = packet.key().satisfies(Prerequisite::Tcp);
        let ends = is_tcp && packet.key().field(Field::TCP_FLAGS) & FIN_OR_RST != 0;
        if let Some(rule) = rule.filter(|rule| ends && rule.id.is_counted()) {
            self.rule_counters.end(rule.id.slot);
            if let Some(trace) = &mut self.trace {
                trace.refuse();
            }
        }
    }

    /// Notes that an action wrote those of `bits` that are set in `mask`.
    fn wrote<F>(&self, packet: &mut Packet<F>, bits: &Bits, mask: u128) {
        if self.trace.is_some() && packet.key().satisfies(bits.prerequisite) {
            packet.changes.write(bits, mask);
        }
    }

    /// Counts a look-up, done or remembered. Returns true if it was one too many.
    fn is_exhausted(&mut self) -> bool {
        self.lookups += 1;
        let exhausted = self.lookups > MAX_LOOKUPS;
        if exhausted {
            self.give_up(DropReason::ResubmitLimit);
        }
        exhausted
    }

    /// Ends the journey at a limit.
    fn give_up(&mut self, reason: DropReason) -> Flow {
        self.drop(reason);
        if let Some(record) = self.records.current() {
            record.complete = false;
        }
        Flow::Lost
    }

    fn dec_ttl<F: Frame>(
        &mut self,
        packet: &mut Packet<F>,
        rule: Option<&Rule>,
        table: TableId,
        controllers: &[u16],
    ) -> Flow {
        let slot = Field::NW_TTL.info().slot.expect("nw_ttl is in the key");
        if !packet.key().satisfies(Field::NW_TTL.info().prerequisite) {
            return Flow::Continue;
        }
        let ttl = packet.key().read(slot);
        if ttl <= 1 {
            self.reason = DropReason::TtlExpired;
            if let Some(trace) = &mut self.trace {
                trace.refuse();
            }
            self.ttl_expired(packet, rule, table, controllers);
            return Flow::EndList;
        }
        packet.key_mut().write(slot, ttl - 1);
        if let Some(trace) = &mut self.trace {
            packet.changes.decrement_ttl();
            trace.decremented_ttl(packet.changes.ttl_less());
        }
        Flow::Continue
    }
}
