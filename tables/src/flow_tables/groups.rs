//! The groups, as the management thread changes them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_packet::Tick;

use super::{FlowModError, FlowTables, Journal, Undo, groups_of};
use crate::action::Instructions;
use crate::cache::Record;
use crate::counters::RuleCount;
use crate::group::{Bucket, Group, GroupSpec, GroupType, MAX_ID, Part};
use crate::group_mod::{GroupMod, Place};
use crate::option_use;
use crate::port::{PortIndex, PortNo};
use crate::program::Program;
use crate::rule::Rule;
use crate::tunnel::options::TlvMap;

/// Why a group-mod is refused; the names in parentheses are OpenFlow's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupModError {
    /// There is a group with this number.
    #[error("there is a group {0} already (OFPGMFC_GROUP_EXISTS)")]
    GroupExists(u32),
    /// There is no group with this number.
    #[error("there is no group {0} (OFPGMFC_UNKNOWN_GROUP)")]
    UnknownGroup(u32),
    /// The group has no bucket with this number.
    #[error("the group has no bucket {0} (OFPGMFC_UNKNOWN_BUCKET)")]
    UnknownBucket(u32),
    /// Two buckets of the group would have this number.
    #[error("the group has two buckets {0} (OFPGMFC_BUCKET_EXISTS)")]
    BucketExists(u32),
    /// The number is reserved.
    #[error("group {0} is reserved (OFPGMFC_INVALID_GROUP)")]
    Reserved(u32),
    /// An indirect group has another number of buckets than one.
    #[error("an indirect group has one bucket (OFPGMFC_INVALID_GROUP)")]
    NotOneBucket,
    /// A bucket has a weight and the group does not choose by weight.
    #[error("only buckets of a select group have a weight (OFPGMFC_INVALID_GROUP)")]
    Weight,
    /// A bucket of a fast failover group watches nothing.
    #[error("a bucket of a fast failover group watches a port or a group (OFPGMFC_INVALID_GROUP)")]
    WatchesNothing,
    /// A bucket watches something and the group runs it whether or not it is live.
    #[error("buckets of this type of group watch nothing (OFPGMFC_WATCH_UNSUPPORTED)")]
    Watches,
    /// A selection method is given and the group does not choose.
    #[error("only a select group has a selection method (OFPBPC_BAD_VALUE)")]
    Selection,
    /// Through its buckets, the group would come back to itself.
    #[error("group {0} would send to itself or watch itself (OFPGMFC_LOOP)")]
    Loop(u32),
}

/// What a group counted, over all lcores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupCount {
    /// Flows that send to it.
    pub senders: usize,
    /// Packets that ran some bucket of it, or all.
    pub all: RuleCount,
    /// By bucket, in order.
    pub buckets: Vec<RuleCount>,
}

impl FlowTables {
    /// All groups, by number.
    pub fn groups(&self) -> Vec<Arc<Group>> {
        let mut groups: Vec<_> = self.groups.iter().cloned().collect();
        groups.sort_by_key(|group| group.spec.id);
        groups
    }

    /// The group with this number.
    pub fn group(&self, id: u32) -> Option<&Arc<Group>> {
        self.groups.get(id)
    }

    /// What `group` counted, over all lcores.
    pub fn group_count(&self, group: &Group) -> GroupCount {
        GroupCount {
            senders: self.senders.get(&group.spec.id).map_or(0, BTreeMap::len),
            all: self.count_of(group.counters),
            buckets: group
                .bucket_counters()
                .map(|id| self.count_of(id))
                .collect(),
        }
    }

    /// Whether a group-mod can be executed, whatever the tables hold.
    ///
    /// # Errors
    /// Names what cannot.
    pub fn check_group(change: &GroupMod) -> Result<(), FlowModError> {
        match change {
            GroupMod::Add(spec) | GroupMod::Modify(spec) | GroupMod::AddOrModify(spec) => {
                check_spec(spec)?;
                spec.compile(TlvMap::any())?;
            }
            GroupMod::InsertBuckets { group, buckets, .. } => {
                let spec = GroupSpec {
                    id: *group,
                    kind: GroupType::All,
                    selection: Default::default(),
                    buckets: buckets.clone(),
                };
                spec.compile(TlvMap::any())?;
            }
            GroupMod::RemoveBuckets { .. } | GroupMod::Delete(_) => {}
        }
        Ok(())
    }

    /// Tells that the links of `ports` came or went: groups that watch one of them choose anew.
    pub fn links_changed(&mut self, ports: &[PortNo]) {
        let mut affected: BTreeSet<u32> = BTreeSet::new();
        loop {
            let before = affected.len();
            for group in self.groups.iter() {
                let watches = |bucket: &Bucket| {
                    let port = bucket.watch_port.is_some_and(|port| ports.contains(&port));
                    port || bucket.watch_group.is_some_and(|id| affected.contains(&id))
                };
                if group.spec.buckets.iter().any(watches) {
                    affected.insert(group.spec.id);
                }
            }
            if affected.len() == before {
                break;
            }
        }
        for id in affected {
            self.changes.note_group(id, self.generation + 1);
        }
    }

    /// Tells that something was switched on or off at a port: what was remembered of any packet
    /// may be wrong.
    pub fn ports_changed(&mut self) {
        self.changes.note_all(self.generation + 1);
    }

    /// Tells that a port has come to the place `index` of the table of ports, has gone from there, or is
    /// configured otherwise: what was remembered of packets that came in or left there may be wrong, and of
    /// those that were sent to all ports, or to one that was not there.
    pub fn port_came_or_went(&mut self, index: PortIndex) {
        self.changes.note_port(index, self.generation + 1);
    }

    /// Refuses instructions that send to a group which is not there.
    pub(super) fn check_groups(&self, instructions: &Instructions) -> Result<(), FlowModError> {
        match groups_of(instructions).find(|id| self.groups.get(*id).is_none()) {
            Some(id) => Err(FlowModError::NoGroup(id)),
            None => Ok(()),
        }
    }

    pub(super) fn note_sender(&mut self, rule: &Arc<Rule>) {
        for id in groups_of(&rule.instructions) {
            let senders = self.senders.entry(id).or_default();
            senders.insert(rule.id.slot, Arc::clone(rule));
        }
    }

    pub(super) fn forget_sender(&mut self, rule: &Rule) {
        for id in groups_of(&rule.instructions) {
            if let Some(senders) = self.senders.get_mut(&id) {
                senders.remove(&rule.id.slot);
                if senders.is_empty() {
                    self.senders.remove(&id);
                }
            }
        }
    }

    pub(super) fn apply_group(
        &mut self,
        change: &GroupMod,
        now: Tick,
        journal: &mut Journal,
    ) -> Result<(), FlowModError> {
        match change {
            GroupMod::Add(spec) => {
                if self.groups.get(spec.id).is_some() {
                    return Err(GroupModError::GroupExists(spec.id).into());
                }
                check_spec(spec)?;
                self.put_group(spec.clone(), now, journal)
            }
            GroupMod::Modify(spec) => {
                self.known_group(spec.id)?;
                check_spec(spec)?;
                self.put_group(spec.clone(), now, journal)
            }
            GroupMod::AddOrModify(spec) => {
                check_spec(spec)?;
                self.put_group(spec.clone(), now, journal)
            }
            GroupMod::Delete(Some(id)) => {
                self.delete_group(*id, journal);
                Ok(())
            }
            GroupMod::Delete(None) => {
                for group in self.groups() {
                    self.delete_group(group.spec.id, journal);
                }
                Ok(())
            }
            GroupMod::InsertBuckets {
                group,
                place,
                buckets,
            } => {
                let mut spec = self.known_group(*group)?.spec.clone();
                let at = match place {
                    Place::First => 0,
                    Place::Last => spec.buckets.len(),
                    Place::Bucket(id) => bucket_at(&spec, *id)? + 1,
                };
                spec.buckets.splice(at..at, buckets.iter().cloned());
                self.put_group(spec, now, journal)
            }
            GroupMod::RemoveBuckets { group, place } => {
                let mut spec = self.known_group(*group)?.spec.clone();
                let last = spec.buckets.len().saturating_sub(1);
                let range = match place {
                    None => 0..spec.buckets.len(),
                    Some(_) if spec.buckets.is_empty() => 0..0,
                    Some(Place::First) => 0..1,
                    Some(Place::Last) => last..last + 1,
                    Some(Place::Bucket(id)) => {
                        let at = bucket_at(&spec, *id)?;
                        at..at + 1
                    }
                };
                spec.buckets.drain(range);
                self.put_group(spec, now, journal)
            }
        }
    }

    fn known_group(&self, id: u32) -> Result<&Arc<Group>, GroupModError> {
        self.groups.get(id).ok_or(GroupModError::UnknownGroup(id))
    }

    /// Puts a group in place of the one with its number, if there is one.
    fn put_group(
        &mut self,
        mut spec: GroupSpec,
        now: Tick,
        journal: &mut Journal,
    ) -> Result<(), FlowModError> {
        number_buckets(&mut spec)?;
        settle_weights(&mut spec)?;
        if spec.kind == GroupType::Indirect && spec.buckets.len() != 1 {
            return Err(GroupModError::NotOneBucket.into());
        }
        journal.groups.push((journal.step, spec.id));
        for bucket in &mut spec.buckets {
            option_use::resolve(&mut bucket.actions, &self.options)?;
        }
        let programs = spec.compile(&self.options)?;
        let options = spec.chooses_by(&self.options)?;
        let created = self
            .groups
            .get(spec.id)
            .map_or(now, |before| before.created);
        let part = |program: Program, slots: &mut super::Slots| Part {
            counters: slots.allocate(),
            written: Box::new(Record::written_by(&program.ops)),
            program,
        };
        let counters = self.slots.allocate();
        let parts = programs.into_iter();
        let group = Arc::new(Group {
            spec,
            counters,
            parts: parts
                .map(|program| part(program, &mut self.slots))
                .collect(),
            options,
            created,
        });
        self.interest.widen_by_group(&group);
        self.helpers |= group.parts.iter().any(|part| part.program.helps());
        self.changes.note_group(group.spec.id, self.generation + 1);
        match self.groups.insert(Arc::clone(&group)) {
            None => journal.undo.push(Undo::RemoveGroup(group)),
            Some(before) => {
                journal.removed.extend(slots_of(&before));
                journal.undo.push(Undo::InsertGroup(before));
            }
        }
        Ok(())
    }

    fn delete_group(&mut self, id: u32, journal: &mut Journal) {
        let senders = self.senders.get(&id).map(|all| all.values().cloned());
        let senders: Vec<_> = senders.into_iter().flatten().collect();
        for rule in senders {
            self.delete(&rule, journal);
        }
        if let Some(removed) = self.groups.remove(id) {
            self.changes.note_group(id, self.generation + 1);
            journal.removed.extend(slots_of(&removed));
            journal.undo.push(Undo::InsertGroup(removed));
        }
    }

    /// Takes back that `group` was added.
    pub(super) fn take_back_group(&mut self, group: &Group) {
        self.groups.remove(group.spec.id);
        self.retire_group(group);
        self.changes.note_group(group.spec.id, self.generation + 1);
    }

    /// Takes back that `before` was deleted or replaced.
    pub(super) fn put_back_group(&mut self, before: Arc<Group>) {
        let id = before.spec.id;
        if let Some(after) = self.groups.insert(before) {
            self.retire_group(&after);
        }
        self.changes.note_group(id, self.generation + 1);
    }

    /// Frees the slots of a group that was never published.
    fn retire_group(&mut self, group: &Group) {
        for id in slots_of(group) {
            self.slots.retire(id, self.generation);
        }
    }

    /// Refuses a bundle after which a group can be come to from itself.
    pub(super) fn check_loops(&self, journal: &Journal) -> Result<(), (usize, GroupModError)> {
        let referred = |id| self.groups.get(id).map(|group| group.spec.refers_to());
        for &(step, from) in &journal.groups {
            let mut seen = BTreeSet::new();
            let mut pending: Vec<u32> = referred(from).into_iter().flatten().collect();
            while let Some(id) = pending.pop() {
                if id == from {
                    return Err((step, GroupModError::Loop(id)));
                }
                if seen.insert(id) {
                    pending.extend(referred(id).into_iter().flatten());
                }
            }
        }
        Ok(())
    }
}

/// All slots into which a group counts.
fn slots_of(group: &Group) -> impl Iterator<Item = crate::rule::RuleId> {
    std::iter::once(group.counters).chain(group.bucket_counters())
}

fn bucket_at(spec: &GroupSpec, id: u32) -> Result<usize, GroupModError> {
    let at = spec.buckets.iter().position(|bucket| bucket.id == Some(id));
    at.ok_or(GroupModError::UnknownBucket(id))
}

/// Gives a number to each bucket that has none.
fn number_buckets(spec: &mut GroupSpec) -> Result<(), GroupModError> {
    let mut taken = BTreeSet::new();
    for id in spec.buckets.iter().filter_map(|bucket| bucket.id) {
        if !taken.insert(id) {
            return Err(GroupModError::BucketExists(id));
        }
    }
    let mut free = (0..=MAX_ID).filter(|id| !taken.contains(id));
    for bucket in spec.buckets.iter_mut().filter(|bucket| bucket.id.is_none()) {
        bucket.id = free.next();
    }
    Ok(())
}

/// Leaves out weights that say what is so anyway.
fn settle_weights(spec: &mut GroupSpec) -> Result<(), GroupModError> {
    let usual = u16::from(spec.kind == GroupType::Select);
    for bucket in &mut spec.buckets {
        bucket.weight = bucket.weight.filter(|weight| *weight != usual);
        if spec.kind != GroupType::Select && bucket.weight.is_some() {
            return Err(GroupModError::Weight);
        }
    }
    Ok(())
}

/// What OpenFlow asks of a group that is added or replaced.
fn check_spec(spec: &GroupSpec) -> Result<(), GroupModError> {
    use GroupType::{All, FastFailover, Indirect, Select};
    if spec.id > MAX_ID {
        return Err(GroupModError::Reserved(spec.id));
    }
    if spec.kind == Indirect && spec.buckets.len() != 1 {
        return Err(GroupModError::NotOneBucket);
    }
    if spec.kind != Select && spec.selection != Default::default() {
        return Err(GroupModError::Selection);
    }
    for bucket in &spec.buckets {
        match spec.kind {
            All | Indirect if bucket.watches() => return Err(GroupModError::Watches),
            FastFailover if !bucket.watches() => return Err(GroupModError::WatchesNothing),
            All | Indirect | FastFailover if bucket.weight.is_some() => {
                return Err(GroupModError::Weight);
            }
            All | Indirect | FastFailover | Select => {}
        }
    }
    Ok(())
}
