//! Groups: what `group:ID` does with a packet.
//!
//! A group is immutable; a group-mod replaces it. Its counters lie where those of rules do.

use weir_packet::Tick;

use crate::action::Action;
use crate::action_set;
use crate::key::FlowKey;
use crate::matching::Term;
use crate::option_use::OptionError;
use crate::port::{PortNo, PortTable};
use crate::program::{Program, Unsupported, is_executed};
use crate::rule::RuleId;
use crate::tunnel::options::{Place, TlvMap};

mod choice;
mod table;
#[cfg(test)]
mod tests;

pub use table::GroupTable;

/// The highest number of a group, and of a bucket; those above are reserved.
pub const MAX_ID: u32 = 0xffff_ff00;

/// Which buckets of a group run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupType {
    /// Each, on a copy of the packet.
    All,
    /// One, by what the packet is and by weight, of those that are live.
    Select,
    /// Its only one.
    Indirect,
    /// The first that is live.
    FastFailover,
}

/// By what a select group chooses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// `selection_method=`; `None`: the default, which chooses as `dp_hash` does.
    pub method: Option<SelectionMethod>,
    /// Another value chooses otherwise.
    pub param: u64,
    /// The fields that count, and which bits of them; none: those that make a connection, the
    /// same in both directions.
    pub fields: Vec<Term>,
}

/// `selection_method=`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelectionMethod {
    /// By the fields named.
    Hash,
    /// By the connection.
    DpHash,
}

/// One bucket, as its author wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// `bucket_id=`, unique within the group; `None`: the smallest that is free.
    pub id: Option<u32>,
    /// Its share of the packets (select); 0: it is chosen only if there is no other; `None`: 1.
    pub weight: Option<u16>,
    /// It is live if this port is.
    pub watch_port: Option<PortNo>,
    /// It is live if a bucket of this group is.
    pub watch_group: Option<u32>,
    /// An action set.
    pub actions: Vec<Action>,
}

/// A group, as its author wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSpec {
    /// Its number, at most [`MAX_ID`].
    pub id: u32,
    /// Which buckets run.
    pub kind: GroupType,
    /// By what one is chosen, if one is.
    pub selection: Selection,
    /// The buckets, in order; the ID of each is known.
    pub buckets: Vec<Bucket>,
}

/// A group as lcores run it.
#[derive(Debug)]
pub struct Group {
    /// What it is, as text shows it.
    pub spec: GroupSpec,
    /// Its counters.
    pub counters: RuleId,
    /// In the order of the buckets.
    pub(crate) parts: Box<[Part]>,
    /// Where the `tun_metadata` fields lie by which it chooses.
    pub(crate) options: Box<[Place]>,
    /// When it was added.
    pub created: Tick,
}

/// What lcores need of a bucket.
#[derive(Debug)]
pub(crate) struct Part {
    /// Its counters.
    pub counters: RuleId,
    /// What it does.
    pub program: Program,
    /// The bits of the key that this writes.
    pub written: Box<FlowKey>,
}

impl Bucket {
    /// Whether it is live only while something else is.
    pub const fn watches(&self) -> bool {
        self.watch_port.is_some() || self.watch_group.is_some()
    }
}

impl GroupSpec {
    /// The programs of the buckets; `map` says where `tun_metadata` fields lie.
    ///
    /// # Errors
    /// [`Unsupported`] names an action or field that is not executed.
    pub fn compile(&self, map: &TlvMap) -> Result<Vec<Program>, Unsupported> {
        for term in &self.selection.fields {
            if !is_executed(term.field) {
                return Err(Unsupported(format!("field {}", term.field.name())));
            }
        }
        let program =
            |bucket: &Bucket| Program::of_list(&action_set::in_order(&bucket.actions), map);
        self.buckets.iter().map(program).collect()
    }

    /// Where the `tun_metadata` fields lie by which it chooses.
    ///
    /// # Errors
    /// One of them stands for no option of `map`.
    pub(crate) fn chooses_by(&self, map: &TlvMap) -> Result<Box<[Place]>, OptionError> {
        let fields = self.selection.fields.iter().map(|term| term.field);
        let options = fields.filter(|field| field.option().is_some());
        options
            .map(|field| OptionError::place(field, map))
            .collect()
    }

    /// The groups that its buckets send to or watch.
    pub fn refers_to(&self) -> impl Iterator<Item = u32> {
        self.buckets.iter().flat_map(|bucket| {
            let sends = bucket.actions.iter().filter_map(|action| match action {
                Action::Group(id) => Some(*id),
                _ => None,
            });
            sends.chain(bucket.watch_group)
        })
    }
}

impl Group {
    /// The buckets' counters, in order.
    pub fn bucket_counters(&self) -> impl Iterator<Item = RuleId> {
        self.parts.iter().map(|part| part.counters)
    }

    /// The first bucket that is live.
    pub(crate) fn first_live(&self, groups: &GroupTable, ports: &PortTable) -> Option<usize> {
        self.spec
            .buckets
            .iter()
            .position(|bucket| is_live(bucket, groups, ports))
    }
}

/// Whether a bucket may be chosen. Groups that watch each other are refused, so this ends.
fn is_live(bucket: &Bucket, groups: &GroupTable, ports: &PortTable) -> bool {
    let port = |no| ports.index_of(no).is_some_and(|port| ports.is_up(port));
    let group = |id| {
        let group = groups.get(id);
        group.is_some_and(|group| group.first_live(groups, ports).is_some())
    };
    !bucket.watches()
        || bucket.watch_port.is_some_and(port)
        || bucket.watch_group.is_some_and(group)
}
