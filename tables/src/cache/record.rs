//! What is noted during a walk through the tables, so that it can be done again without.
//!
//! Invariant: two packets that agree in the bits of `consulted` take the same steps.

use smallvec::SmallVec;

use super::paths::Step;
use crate::action::TableId;
use crate::changes::TableSet;
use crate::field::{Field, Prerequisite};
use crate::key::FlowKey;
use crate::port::PortNo;
use crate::program::{Bits, Op};

/// The notes of the passes under way: one pass may fork another before it ends. Their memory is
/// used again and again.
#[derive(Debug)]
pub(crate) struct Records {
    stack: Vec<Record>,
    /// How many of them are notes; what lies behind is room for more.
    len: usize,
    /// Whether the pass under way is noted; its notes are the last.
    is_noting: bool,
}

impl Records {
    pub(crate) fn new() -> Self {
        Self {
            stack: Vec::with_capacity(4),
            len: 0,
            is_noting: false,
        }
    }

    /// The notes of the pass under way, if it is noted.
    #[inline]
    pub(crate) fn current(&mut self) -> Option<&mut Record> {
        if self.is_noting {
            self.stack.get_mut(self.len - 1)
        } else {
            None
        }
    }

    /// Begins to note the pass under way, which begins at `table`.
    pub(crate) fn begin(&mut self, table: TableId, depth: u32) {
        debug_assert!(!self.is_noting, "a pass begins once");
        match self.stack.get_mut(self.len) {
            Some(used) => used.begin(table, depth),
            None => self.stack.push(Record::new(table, depth)),
        }
        self.len += 1;
        self.is_noting = true;
    }

    /// Another pass begins, which is not noted yet; returns what [`Self::resume`] needs.
    #[inline]
    pub(crate) const fn suspend(&mut self) -> bool {
        std::mem::replace(&mut self.is_noting, false)
    }

    /// That pass is over, and its notes are forgotten.
    #[inline]
    pub(crate) fn resume(&mut self, was_noting: bool) {
        if self.is_noting {
            self.len -= 1;
        }
        self.is_noting = was_noting;
    }
}

/// How a look-up sees the packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lookup {
    /// This stands in for in_port.
    pub port: Option<PortNo>,
    /// The connection's original tuple stands in for the packet's, and the other way round.
    pub ct: bool,
}

impl Lookup {
    /// Whether it sees the packet as it is.
    pub(crate) const fn is_plain(self) -> bool {
        self.port.is_none() && !self.ct
    }

    /// The key of a packet as it is seen.
    pub(crate) fn of(self, key: &FlowKey) -> FlowKey {
        let mut seen = *key;
        if let Some(port) = self.port {
            seen.set_field(Field::IN_PORT_OXM, u128::from(port.0));
        }
        if self.ct {
            seen.swap_tuples();
        }
        seen
    }
}

/// The notes of one pass.
#[derive(Debug)]
pub(crate) struct Record {
    pub table: TableId,
    /// How deep the pass began.
    pub depth: u32,
    pub steps: SmallVec<[Step; 32]>,
    pub tables: TableSet,
    /// The bits of the key that decided.
    pub consulted: FlowKey,
    /// The bits of the key that actions wrote.
    pub written: FlowKey,
    /// How deep resubmits nested.
    pub nesting: u32,
    /// Whether the walk went as far as the rules said; a pass cut short by something else
    /// is no example.
    pub complete: bool,
}

impl Record {
    /// A pass that begins at `table`, `depth` resubmits and recirculations deep.
    pub(crate) fn new(table: TableId, depth: u32) -> Self {
        Self {
            table,
            depth,
            steps: SmallVec::new(),
            tables: TableSet::default(),
            consulted: FlowKey::ZERO,
            written: FlowKey::ZERO,
            nesting: 0,
            complete: true,
        }
    }

    /// Begins anew. Filled in where it lies: copying it would cost more.
    fn begin(&mut self, table: TableId, depth: u32) {
        (self.table, self.depth) = (table, depth);
        self.steps.clear();
        self.tables = TableSet::default();
        self.consulted.clear();
        self.written.clear();
        self.nesting = 0;
        self.complete = true;
    }

    /// The bits of the key that `ops` write.
    pub(crate) fn written_by(ops: &[Op]) -> FlowKey {
        let mut record = Self::new(TableId(0), 0);
        for op in ops {
            record.run(0, 0, op, 0);
        }
        record.written
    }

    /// Notes that `op`, action number `at` of the rule at `slot`, is about to run.
    ///
    /// What an action does outside of the key (an output, ct) depends on the packet when it is
    /// done again; here counts only what the key, and so later look-ups, depend on.
    pub(crate) fn run(&mut self, slot: u32, at: usize, op: &Op, depth: u32) {
        match (u16::try_from(at), u16::try_from(depth - self.depth)) {
            (Ok(op), Ok(nesting)) => self.steps.push(Step::Run { slot, op, nesting }),
            _ => self.complete = false,
        }
        match op {
            Op::Set { dst, .. } => {
                self.consult(dst.prerequisite);
                self.write(dst);
            }
            Op::Words(writes) => {
                for write in writes {
                    *self.written.word_mut(write.word.into()) |= write.mask;
                }
            }
            Op::Move { src, dst } => {
                self.consult(src.prerequisite);
                self.consult(dst.prerequisite);
                self.consulted.write_bits_anyway(src);
                self.write(dst);
            }
            Op::Push(src) => {
                self.consult(src.prerequisite);
                self.consulted.write_bits_anyway(src);
            }
            Op::Pop(dst) | Op::CheckLarger { dst, .. } => {
                self.consult(dst.prerequisite);
                self.write(dst);
            }
            Op::ClearSet | Op::WriteSet => {
                self.written.set_field(Field::ACTSET_OUTPUT, u128::MAX);
            }
            Op::DecTtl(_) => {
                self.consult(Prerequisite::Ip);
                self.all_of(Field::NW_TTL);
                self.written.set_field(Field::NW_TTL, u128::MAX);
            }
            // Which tag there is shows in what is left.
            Op::PushVlan(_) | Op::PopVlan => {
                self.all_of(Field::VLAN_TCI);
                self.all_of(Field::ETH_TYPE);
                self.written.set_field(Field::VLAN_TCI, u128::MAX);
                self.written.set_field(Field::ETH_TYPE, u128::MAX);
            }
            // The rest of the list sees an untracked packet.
            Op::Ct(_) | Op::CtClear => self.written.set_ct_ones(),
            // Its buckets run on copies, and choose again when it is done again.
            Op::Group(_)
            | Op::Output(_)
            | Op::OutputCut { .. }
            | Op::Controller(_)
            | Op::OutputField(_)
            | Op::Normal
            | Op::Flood
            | Op::All
            | Op::InPort
            | Op::Resubmit { .. }
            | Op::Exit
            | Op::Clone { .. }
            | Op::EndClone
            | Op::FinTimeout => {}
        }
    }

    /// Notes a look-up that saw the packet otherwise than it is; `consulted` are the bits that
    /// decided, of what it saw.
    pub(crate) fn looked_up(&mut self, lookup: Lookup, consulted: &FlowKey) {
        let mut consulted = *consulted;
        if lookup.port.is_some() {
            self.written.set_field(Field::IN_PORT_OXM, u128::MAX);
        }
        if lookup.ct {
            consulted.swap_tuples();
            self.written.set_tuples_ones();
        }
        self.consulted.add(&consulted);
    }

    fn write(&mut self, bits: &Bits) {
        self.written.write_bits_anyway(bits);
        // A write to a part of the tag may add one.
        if matches!(
            bits.field,
            Field::DL_VLAN | Field::DL_VLAN_PCP | Field::VLAN_PCP
        ) {
            self.written.set_field(Field::VLAN_TCI, u128::MAX);
        }
    }

    /// Notes the bits by which a packet is found to have a field.
    pub(crate) fn consult(&mut self, prerequisite: Prerequisite) {
        let fields: &[Field] = match prerequisite {
            Prerequisite::None | Prerequisite::Ethernet => &[],
            Prerequisite::VlanVid => &[Field::VLAN_TCI],
            Prerequisite::Mpls
            | Prerequisite::Nsh
            | Prerequisite::Ipv4
            | Prerequisite::Ipv6
            | Prerequisite::Ip
            | Prerequisite::Arp => &[Field::ETH_TYPE],
            Prerequisite::Tcp
            | Prerequisite::Udp
            | Prerequisite::Sctp
            | Prerequisite::Icmpv4
            | Prerequisite::Icmpv6 => &[Field::ETH_TYPE, Field::NW_PROTO, Field::IP_FRAG],
            Prerequisite::Nd | Prerequisite::NdSolicit | Prerequisite::NdAdvert => &[
                Field::ETH_TYPE,
                Field::NW_PROTO,
                Field::IP_FRAG,
                Field::ICMPV6_TYPE,
                Field::ICMPV6_CODE,
            ],
            Prerequisite::Ct
            | Prerequisite::CtPorts
            | Prerequisite::CtIpv4
            | Prerequisite::CtIpv6 => &[Field::ETH_TYPE, Field::CT_NW_PROTO],
        };
        for field in fields {
            self.all_of(*field);
        }
    }

    fn all_of(&mut self, field: Field) {
        self.consulted.set_field(field, u128::MAX);
    }
}
