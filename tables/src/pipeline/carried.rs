//! What a packet carries from rule to rule beside its key: the action set and the stack.
//!
//! Both last for one pass. What a pass forks by `ct(table=)` or `clone()` begins with a copy.

use super::witness::Event;
use super::{Flow, Journey, Output, Packet, Witness};
use crate::action::TableId;
use crate::drops::DropReason;
use crate::field::Field;
use crate::port::PortNo;
use crate::program::{Op, SetOutput};
use crate::rule::Rule;
use crate::wide::Wide;
use weir_packet::Frame;

/// Rules that may write to one action set.
const WRITERS: usize = 16;
/// Values on the stacks of one packet and its copies; one of more than 128 bits counts as several.
const VALUES: usize = 1024;

/// The action set: the rules that wrote to it since it was empty, in order.
#[derive(Clone, Copy)]
pub(super) struct ActionSet<'a> {
    rules: [Option<&'a Rule>; WRITERS],
    len: u8,
    /// Whether it holds a group, which then is where the packet goes.
    has_group: bool,
}

impl<'a> ActionSet<'a> {
    pub(super) const EMPTY: Self = Self {
        rules: [None; WRITERS],
        len: 0,
        has_group: false,
    };

    const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds what `rule` writes. Returns false if there is no room.
    fn add(&mut self, rule: &'a Rule) -> bool {
        let Some(place) = self.rules.get_mut(usize::from(self.len)) else {
            return false;
        };
        *place = Some(rule);
        self.len += 1;
        true
    }

    fn rules(&self) -> impl Iterator<Item = &'a Rule> {
        self.rules
            .iter()
            .take(usize::from(self.len))
            .flatten()
            .copied()
    }

    /// The rule and the number of the last operation of `kind`.
    fn last(&self, kind: Kind) -> Option<(&'a Rule, usize)> {
        let mut last = None;
        for rule in self.rules() {
            for (at, _) in operations(rule).filter(|(_, op)| Kind::of(op) == Some(kind)) {
                last = Some((rule, at));
            }
        }
        last
    }
}

/// What a rule adds to the action set, numbered as in its program.
fn operations(rule: &Rule) -> impl Iterator<Item = (usize, &Op)> {
    (rule.program.applied..).zip(rule.program.write())
}

/// The kinds of actions of an action set (OpenFlow 1.3.5, 5.10).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    PopVlan,
    PushVlan,
    DecTtl,
    Write,
    Group,
    Output,
    Resubmit,
    Ct,
}

impl Kind {
    const fn of(op: &Op) -> Option<Self> {
        Some(match op {
            Op::PopVlan => Self::PopVlan,
            Op::PushVlan(_) => Self::PushVlan,
            Op::DecTtl(_) => Self::DecTtl,
            Op::Set { .. } | Op::Words(_) | Op::Move { .. } => Self::Write,
            Op::Output(_) | Op::Controller(_) | Op::Normal | Op::Flood | Op::All | Op::InPort => {
                Self::Output
            }
            Op::Group(_) => Self::Group,
            Op::Resubmit { .. } => Self::Resubmit,
            Op::Ct(_) => Self::Ct,
            Op::OutputCut { .. }
            | Op::OutputField(_)
            | Op::CtClear
            | Op::Exit
            | Op::Clone { .. }
            | Op::EndClone
            | Op::Push(_)
            | Op::Pop(_)
            | Op::CheckLarger { .. }
            | Op::FinTimeout
            | Op::ClearSet
            | Op::WriteSet => return None,
        })
    }
}

/// 128 bits of a value; what it has more lies below, the highest first.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    bits: u128,
    /// Whether the value goes on below.
    goes_on: bool,
}

/// Chunks of the widest value.
const MOST_CHUNKS: u16 = Wide::BITS / 128;

/// The stack of a packet, behind those of the packets that it is a copy of.
#[derive(Debug)]
pub(crate) struct Stack {
    values: Vec<Chunk>,
    /// Where the present packet's begins.
    base: usize,
}

impl Stack {
    /// Memory is taken here.
    pub(crate) fn new() -> Self {
        Self {
            values: Vec::with_capacity(VALUES),
            base: 0,
        }
    }

    const fn is_empty(&self) -> bool {
        self.values.len() == self.base
    }

    /// Returns false if there is no room.
    fn push(&mut self, bits: u128) -> bool {
        self.push_chunk(Chunk {
            bits,
            goes_on: false,
        })
    }

    fn push_chunk(&mut self, chunk: Chunk) -> bool {
        let fits = self.values.len() < VALUES;
        if fits {
            self.values.push(chunk);
        }
        fits
    }

    /// Returns false if there is no room.
    fn push_wide(&mut self, value: &Wide) -> bool {
        let chunks = value.len().div_ceil(128).max(1);
        (0..chunks).rev().all(|at| {
            let half = |half: u16| u128::from(value.part(128 * at + 64 * half, 64));
            self.push_chunk(Chunk {
                bits: half(1) << 64 | half(0),
                goes_on: at + 1 < chunks,
            })
        })
    }

    fn pop(&mut self) -> Option<Wide> {
        if self.is_empty() {
            return None;
        }
        let mut value = Wide::ZERO;
        for at in 0..MOST_CHUNKS {
            let Some(Chunk { bits, goes_on }) = self.values.pop() else {
                break;
            };
            value.add_part(128 * at, bits as u64);
            value.add_part(128 * at + 64, (bits >> 64) as u64);
            if !goes_on {
                break;
            }
        }
        Some(value)
    }
}

/// An action set that waits for another lcore: its rules by slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct SavedSet {
    slots: [u32; WRITERS],
    len: u8,
    has_group: bool,
}

impl SavedSet {
    pub(super) const EMPTY: Self = Self {
        slots: [0; WRITERS],
        len: 0,
        has_group: false,
    };
}

/// What waits while a copy of the packet is on its way.
#[derive(Clone, Copy)]
pub(super) struct Aside<'a> {
    set: ActionSet<'a>,
    base: usize,
    len: usize,
}

/// What a copy of the packet begins with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// A copy of what the packet carries.
    AsPacket,
    Empty,
}

impl<'a, O, W: Witness> Journey<'a, O, W> {
    /// Whether the packet carries anything that its key does not say.
    pub(super) const fn carries(&self) -> bool {
        !self.set.is_empty() || !self.stack.is_empty()
    }

    /// The action set, to be kept while the packet waits; `None` if there is a stack, for which
    /// there is no room.
    pub(super) fn saved_set(&self) -> Option<SavedSet> {
        if !self.stack.is_empty() {
            return None;
        }
        let mut saved = SavedSet {
            len: self.set.len,
            has_group: self.set.has_group,
            ..SavedSet::EMPTY
        };
        for (slot, rule) in saved.slots.iter_mut().zip(self.set.rules()) {
            *slot = rule.id.slot;
        }
        Some(saved)
    }

    /// The packet carries what it did before it waited.
    pub(super) fn restore_set(&mut self, saved: &SavedSet) {
        let snapshot = self.snapshot;
        let slots = saved.slots.iter().take(saved.len.into());
        for (place, slot) in self.set.rules.iter_mut().zip(slots) {
            *place = snapshot.rules.rule(*slot);
        }
        self.set.len = saved.len;
        self.set.has_group = saved.has_group;
    }

    /// The pass is over.
    pub(super) fn forget_carried(&mut self) {
        self.set = ActionSet::EMPTY;
        self.stack.values.truncate(self.stack.base);
    }

    /// Begins with a copy of the packet; `None`: there is no room for what it carries.
    pub(super) fn set_aside(&mut self, begin: Begin) -> Option<Aside<'a>> {
        let Stack { values, base } = &mut *self.stack;
        let aside = Aside {
            set: self.set,
            base: *base,
            len: values.len(),
        };
        match begin {
            Begin::Empty => self.set = ActionSet::EMPTY,
            Begin::AsPacket if values.len() + (values.len() - *base) > VALUES => return None,
            Begin::AsPacket => values.extend_from_within(*base..),
        }
        *base = aside.len;
        Some(aside)
    }

    /// Done with the copy.
    pub(super) fn rejoin(&mut self, aside: Aside<'a>) {
        self.set = aside.set;
        self.stack.values.truncate(aside.len);
        self.stack.base = aside.base;
    }

    pub(super) fn push(&mut self, value: u128) -> Flow {
        if self.stack.push(value) {
            Flow::Continue
        } else {
            self.give_up(DropReason::StackLimit)
        }
    }

    pub(super) fn push_wide(&mut self, value: &Wide) -> Flow {
        if self.stack.push_wide(value) {
            Flow::Continue
        } else {
            self.give_up(DropReason::StackLimit)
        }
    }

    /// The value pushed last; `None` if there is none, which is no error.
    pub(super) fn pop(&mut self) -> Option<Wide> {
        self.stack.pop()
    }

    /// Empties the action set.
    pub(super) const fn empty_set(&mut self) {
        self.set = ActionSet::EMPTY;
    }

    pub(super) fn clear_set<F>(&mut self, packet: &mut Packet<F>) {
        self.empty_set();
        packet.set_actset_output(PortNo::UNSET);
    }

    /// `write_actions` of `rule`.
    pub(super) fn write_set<F>(&mut self, packet: &mut Packet<F>, rule: &'a Rule) -> Flow {
        if !self.set.add(rule) {
            return self.give_up(DropReason::ActionSetLimit);
        }
        if W::WATCHES {
            let rules = self.set.rules().collect();
            self.witness.saw(Event::SetIs(rules));
        }
        if !self.set.has_group {
            match rule.program.set_output {
                None => {}
                Some(SetOutput::Port(port)) => packet.set_actset_output(port),
                Some(SetOutput::Group) => {
                    self.set.has_group = true;
                    packet.set_actset_output(PortNo::UNSET);
                }
            }
        }
        Flow::Continue
    }

    /// Executes the action set. Without an action that says where the packet goes, there is
    /// nothing to do.
    pub(super) fn run_set<F>(&mut self, packet: &mut Packet<F>, table: TableId, depth: u32)
    where
        F: Frame,
        O: Output<F>,
    {
        if self.set.is_empty() {
            return;
        }
        let set = std::mem::replace(&mut self.set, ActionSet::EMPTY);
        let ends = [Kind::Group, Kind::Output, Kind::Resubmit, Kind::Ct];
        let Some(end) = ends.into_iter().find_map(|kind| set.last(kind)) else {
            return;
        };
        let before = [Kind::PopVlan, Kind::PushVlan, Kind::DecTtl].map(|kind| set.last(kind));
        let writes = set.rules().flat_map(|rule| {
            let writes = operations(rule).filter(|(_, op)| Kind::of(op) == Some(Kind::Write));
            writes.map(move |(at, _)| (rule, at))
        });
        let here = self.witness.place();
        if W::WATCHES {
            self.witness.saw(Event::SetBegins);
        }
        for (rule, at) in before.into_iter().flatten().chain(writes).chain([end]) {
            let flow = self.run_ops(packet, rule, at..at + 1, table, depth);
            if flow != Flow::Continue {
                break;
            }
        }
        self.witness.return_to(here);
    }
}

impl<F> Packet<F> {
    pub(super) fn set_actset_output(&mut self, port: PortNo) {
        self.key_mut()
            .set_field(Field::ACTSET_OUTPUT, u128::from(port.0));
    }
}
