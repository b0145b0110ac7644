//! What is done to the packets of a trajectory: one program for all that pass the same rules and
//! leave the same way.
//!
//! What depends on the packet itself is an operation (a TTL decrement) or a guard (the longest
//! frame that every port on the way sends), never a recorded byte. What depends on the connection
//! (to what it is translated) lies in the entry.
//!
//! Invariants
//!   1. A program lives as long as an entry names it, or has counts that no rule got yet.
//!   2. No change between `clean_since` and `checked` concerns a table that the program passes, or if so, what
//!      look-ups [saw](Sights) there.
//!
//! Cost: interning hashes the plan once. Memory for all programs is taken at start, but for what
//! a new plan holds.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use weir_packet::{Layout, Tick, Tuple};

use super::apply;
use super::key::{Key, Unwritten};
use super::sight::Sights;
use crate::changes::{ChangeLog, TableSet};
use crate::counters::{LcoreCounters, RuleCounters};
use crate::drops::DropReason;
use crate::key::FlowKey;
use crate::port::PortIndex;
use crate::snapshot::Snapshot;
use crate::tunnel::Outer;

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    /// A copy of the frame leaves; the last output takes the frame itself.
    Output(PortIndex),
    /// The same, of at most so many bytes.
    OutputCut(PortIndex, u32),
    /// As [`Op::Output`], through a tunnel: with the headers at this place of [`Plan::outers`].
    Wrapped(u8),
    /// Both MAC addresses, as they lie in the frame.
    Macs([u8; 12]),
    /// TPID and TCI.
    PushTag([u8; 4]),
    PopTag,
    Tci(u16),
    /// Addresses and ports become what the entry says.
    EntryTuple,
    Tuple(Tuple),
    Tos {
        mask: u8,
        value: u8,
    },
    Label {
        mask: u32,
        value: u32,
    },
    Ttl(u8),
    TtlLess(u8),
}

/// What all packets of a trajectory have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Plan {
    pub(crate) ops: Vec<Op>,
    /// What is put around frames that leave through tunnels.
    pub(crate) outers: Vec<Outer>,
    /// The rules matched, in order.
    pub(crate) rules: Vec<Passed>,
    /// Why the packet is dropped if there is no output.
    pub(crate) drop: Option<DropReason>,
    pub(crate) lookups: u32,
    pub(crate) passes: u32,
    /// The longest frame that goes this way, in bytes.
    pub(crate) longest: u32,
    /// The smallest TTL that a packet may bring.
    pub(crate) least_ttl: u8,
    /// Where the IP packet of a frame may end, in bytes from its start.
    pub(crate) ends: Ends,
    /// The tables passed.
    pub(crate) tables: TableSet,
    /// The groups passed.
    pub(crate) groups: Vec<u32>,
    /// The bits of the flow key that were written on the way.
    pub(crate) written: FlowKey,
    /// What look-ups saw of it in registers.
    pub(crate) sights: Sights,
    /// Whether it counts which ports there are: some were sent to because they are there, or one was not
    /// there.
    pub(crate) asks_for_ports: bool,
}

impl Plan {
    /// Whether it counts which port lies at `place`, for packets of `key`.
    pub(crate) fn meets(&self, place: PortIndex, key: &Key) -> bool {
        let leaves = |op: &Op| match op {
            Op::Output(port) | Op::OutputCut(port, _) => *port == place,
            _ => false,
        };
        let rides = |outer: &Outer| outer.tunnel == place || outer.over == place;
        self.asks_for_ports
            || key.in_port() == place
            || self.ops.iter().any(leaves)
            || self.outers.iter().any(rides)
    }
}

/// From where to where a frame's IP packet may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ends {
    pub(crate) first: u32,
    pub(crate) last: u32,
}

impl Ends {
    pub(crate) const ANY: Self = Self {
        first: 0,
        last: u32::MAX,
    };
}

/// A rule on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Passed {
    pub(crate) slot: u32,
    /// By how many bytes of tags the frame was longer than it came in.
    pub(crate) longer: i8,
}

/// A program and its counts.
#[derive(Debug)]
pub(crate) struct Program {
    /// What every packet needs of the plan.
    pub(crate) ops: Box<[Op]>,
    /// If every packet leaves once and whole.
    pub(super) quick: Option<Quick>,
    /// Whether it leaves through a tunnel.
    pub(crate) is_wrapped: bool,
    pub(crate) longest: u32,
    /// Whether `least_ttl` or `ends` keeps any packet out.
    pub(crate) is_guarded: bool,
    pub(crate) least_ttl: u8,
    pub(crate) ends: Ends,
    pub(crate) plan: Box<Plan>,
    /// What `plan` does not write.
    pub(super) unwritten: Box<Unwritten>,
    hash: u64,
    /// Entries that name it.
    users: u32,
    /// Packets and bytes that its rules have not got yet.
    packets: u32,
    bytes: u64,
    pub(super) checked: u64,
    /// An entry that was made or checked since needs no check of its own.
    pub(crate) clean_since: u64,
    /// What `clean_since` and `checked` were before.
    before: Clean,
    /// In so many runs more entries are expected that need it.
    pub(super) late: u16,
}

/// No change between two snapshots concerns what a program passes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clean {
    since: u64,
    until: u64,
}

impl Clean {
    /// The snapshot from which on changes are to be looked at, for an entry that was checked under another.
    #[inline]
    pub(super) fn after(self, checked: u64) -> u64 {
        if checked >= self.since {
            checked.max(self.until)
        } else {
            checked
        }
    }
}

/// Runs after a change in which entries catch up before the run; one that comes later does so by itself.
const LATE: u16 = 1024;

/// What is done to a packet that leaves once, after which nothing is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quick {
    pub(super) port: PortIndex,
    pub(super) change: Change,
}

/// What is done to the bytes of a packet before it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Nothing,
    /// It gets the entry's tuple.
    Tuple,
    /// The operations before the last.
    Other,
}

impl Quick {
    fn of(ops: &[Op]) -> Option<Self> {
        let (&Op::Output(port), before) = ops.split_last()? else {
            return None;
        };
        let change = match before {
            [] => Change::Nothing,
            [Op::EntryTuple] => Change::Tuple,
            _ => Change::Other,
        };
        let in_place = before.iter().all(Op::is_in_place);
        in_place.then_some(Self { port, change })
    }
}

impl Op {
    /// Whether it leaves length and place of a packet as they are, and cannot fail.
    const fn is_in_place(&self) -> bool {
        match self {
            Self::Macs(_)
            | Self::EntryTuple
            | Self::Tuple(_)
            | Self::Tos { .. }
            | Self::Label { .. }
            | Self::Ttl(_)
            | Self::TtlLess(_) => true,
            Self::Output(_)
            | Self::OutputCut(..)
            | Self::Wrapped(_)
            | Self::PushTag(_)
            | Self::PopTag
            | Self::Tci(_) => false,
        }
    }
}

/// Names a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProgramId(u32);

/// All programs of a cache.
#[derive(Debug)]
pub(crate) struct Programs {
    all: Vec<Program>,
    free: Vec<ProgramId>,
    index: HashTable<ProgramId>,
    /// Programs with counts, or perhaps without users.
    touched: Vec<ProgramId>,
    hasher: FixedState,
}

/// Programs in all.
const CAPACITY: usize = 1 << 14;

impl ProgramId {
    /// The first there is, if there is any.
    pub(super) const FIRST: Self = Self(0);
}

impl Programs {
    pub(crate) fn new() -> Self {
        Self {
            all: Vec::with_capacity(CAPACITY),
            free: Vec::with_capacity(CAPACITY),
            index: HashTable::with_capacity(CAPACITY),
            touched: Vec::with_capacity(CAPACITY),
            hasher: FixedState::default(),
        }
    }

    #[inline]
    pub(crate) fn get(&self, id: ProgramId) -> &Program {
        &self.all[id.0 as usize]
    }

    /// The program with this plan, with one more user; `None` if there is no room for it. By itself, so that those
    /// who find their entry do not pay for it.
    #[inline(never)]
    pub(crate) fn intern(&mut self, plan: &Plan, generation: u64) -> Option<ProgramId> {
        let hash = self.hasher.hash_one(plan) | 1;
        let all = &self.all;
        let same = |id: &ProgramId| *all[id.0 as usize].plan == *plan;
        if let Some(&id) = self.index.find(hash, same) {
            self.all[id.0 as usize].users += 1;
            return Some(id);
        }
        let program = Program {
            quick: Quick::of(&plan.ops).filter(|_| plan.ends == Ends::ANY),
            is_wrapped: !plan.outers.is_empty(),
            ops: plan.ops.clone().into(),
            longest: plan.longest,
            is_guarded: plan.least_ttl > 0 || plan.ends != Ends::ANY,
            least_ttl: plan.least_ttl,
            ends: plan.ends,
            plan: Box::new(plan.clone()),
            unwritten: Box::new(Unwritten::but(&plan.written)),
            hash,
            users: 1,
            packets: 0,
            bytes: 0,
            checked: generation,
            clean_since: generation,
            before: Clean {
                since: generation,
                until: generation,
            },
            late: 0,
        };
        let id = match self.free.pop() {
            Some(id) => {
                self.all[id.0 as usize] = program;
                id
            }
            None if self.all.len() < CAPACITY => {
                self.all.push(program);
                ProgramId(self.all.len() as u32 - 1)
            }
            None => return None,
        };
        let all = &self.all;
        self.index
            .insert_unique(hash, id, |id| all[id.0 as usize].hash);
        Some(id)
    }

    /// Whether one entry only names it.
    pub(crate) fn is_sole(&self, id: ProgramId) -> bool {
        self.all[id.0 as usize].users == 1
    }

    /// One entry less names it.
    pub(crate) fn release(&mut self, id: ProgramId) {
        let program = &mut self.all[id.0 as usize];
        program.users -= 1;
        if program.users == 0 && program.packets == 0 {
            self.touched.push(id);
        }
    }

    /// Counts packets, `bytes` in all, for all rules of the program, which is returned.
    #[inline]
    pub(crate) fn count(&mut self, id: ProgramId, packets: usize, bytes: usize) -> &Program {
        let program = &mut self.all[id.0 as usize];
        if program.packets == 0 {
            self.touched.push(id);
        }
        program.packets += packets as u32;
        program.bytes += bytes as u64;
        program
    }

    /// Gives the rules what was counted for them, and forgets programs that nobody names.
    #[inline]
    pub(crate) fn fold(&mut self, rules: &RuleCounters, counters: &LcoreCounters, now: Tick) {
        while let Some(id) = self.touched.pop() {
            let program = &mut self.all[id.0 as usize];
            let packets = u64::from(std::mem::take(&mut program.packets));
            let bytes = std::mem::take(&mut program.bytes);
            let plan = &*program.plan;
            if packets > 0 {
                for &Passed { slot, longer } in &plan.rules {
                    let bytes = bytes.wrapping_add_signed(i64::from(longer) * packets as i64);
                    rules.count_many(slot, packets, bytes, now);
                }
                counters.lookups.add(packets * u64::from(plan.lookups));
                counters.passes.add(packets * u64::from(plan.passes));
                if let Some(reason) = plan.drop {
                    counters.drop_many(reason, packets as usize);
                }
            }
            if program.users == 0 && program.hash != FORGOTTEN {
                let hash = std::mem::replace(&mut program.hash, FORGOTTEN);
                if let Ok(entry) = self.index.find_entry(hash, |other| *other == id) {
                    entry.remove();
                }
                self.free.push(id);
            }
        }
    }

    /// The program, when it has heard of all changes up to `snapshot`.
    #[inline]
    pub(crate) fn current(&mut self, id: ProgramId, snapshot: &Snapshot) -> &mut Program {
        let program = &mut self.all[id.0 as usize];
        if program.checked != snapshot.generation {
            program.follow(&snapshot.changes, snapshot.generation);
        }
        program
    }
}

/// The hash of a program that is free; no plan has it.
const FORGOTTEN: u64 = 0;

impl Program {
    /// Whether a packet's TTL and length are such as the program is for.
    #[inline]
    pub(crate) fn guards(&self, head: &[u8], layout: &Layout) -> bool {
        apply::ttl(head, layout) >= self.least_ttl
            && self.ends.first <= layout.l3_end
            && layout.l3_end <= self.ends.last
    }

    #[cold]
    fn follow(&mut self, changes: &ChangeLog, generation: u64) {
        if self.is_touched(changes) {
            self.before = self.clean();
            self.clean_since = generation;
            self.late = LATE;
        }
        self.checked = generation;
    }

    /// Whether something changed on its way since it heard of changes last.
    fn is_touched(&self, changes: &ChangeLog) -> bool {
        let Plan {
            tables,
            groups,
            sights,
            ..
        } = &*self.plan;
        let shows = |table, shape: &_, values: &_| sights.may_show(table, shape, values);
        changes.touch(self.checked, tables, groups, shows)
    }

    const fn clean(&self) -> Clean {
        Clean {
            since: self.clean_since,
            until: self.checked,
        }
    }

    /// The snapshot from which on changes are to be looked at, for an entry that was checked under
    /// `generation`, which is before `clean_since`.
    #[inline]
    pub(super) fn first_to_check(&self, generation: u64) -> u64 {
        self.before.after(generation)
    }

    /// The same, before it has heard of the changes up to `snapshot`; `None`: there are none.
    pub(super) fn would_check(&self, generation: u64, snapshot: &Snapshot) -> Option<u64> {
        let (clean_since, before) = match self.is_touched(&snapshot.changes) {
            true => (snapshot.generation, self.clean()),
            false => (self.clean_since, self.before),
        };
        (generation < clean_since).then(|| before.after(generation))
    }
}
