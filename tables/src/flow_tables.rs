//! The authoritative flow tables: what flow-mods change and dumps show.
//!
//! A bundle of flow-mods is applied as a whole or not at all; a [`Snapshot`] of the result is
//! then published to the lcores.
//!
//! Invariants
//!   1. A slot of a removed rule is used again only when no lcore obeys a snapshot in which
//!      the rule still was.
//!
//! Threads: owned by the management thread.
//! Cost: a strict change costs one shard; a change by wildcards looks at the rules of the
//! tables named.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_packet::Tick;

use crate::action::{Action, Instructions, TableId};
use crate::cache::Interest;
use crate::changes::ChangeLog;
use crate::classifier::{HashSecret, RuleSet};
use crate::counters::{RuleCount, RuleCounters};
use crate::flow_mod::{Command, FlowMod};
use crate::group::{Group, GroupTable};
use crate::group_mod::{BundleStep, GroupMod};
use crate::matching::Match;
use crate::option_use::OptionError;
use crate::port::{PortNo, PortTable};
use crate::program::{Program, Unsupported};
use crate::rule::{Rule, RuleId};
use crate::slot_table::SlotTable;
use crate::snapshot::Snapshot;
use crate::tunnel::options::TlvMap;

mod expiry;
mod groups;
mod options;
mod slots;
#[cfg(test)]
mod tests;

use expiry::Expiry;
pub use expiry::{FlowRemoved, RemovedReason};
pub use groups::{GroupCount, GroupModError};
use slots::Slots;

/// Why a flow-mod is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlowModError {
    /// It uses something that weir parses and does not execute.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// It is about a Geneve option, and this is why.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// `check_overlap` was asked for, and another rule of the same priority can match the
    /// same packet.
    #[error("another rule of the same priority overlaps (check_overlap)")]
    Overlap,
    /// It sends to a group that is not there.
    #[error("there is no group {0} (OFPBAC_BAD_OUT_GROUP)")]
    NoGroup(u32),
    /// It is about groups, and this is why.
    #[error(transparent)]
    Group(#[from] GroupModError),
}

/// The tables.
#[derive(Debug)]
pub struct FlowTables {
    secret: HashSecret,
    tables: Vec<RuleSet>,
    groups: GroupTable,
    /// The rules that send to each group.
    senders: Senders,
    slots: Slots,
    by_slot: SlotTable,
    options: Arc<TlvMap>,
    changes: ChangeLog,
    interest: Interest,
    helpers: bool,
    counters: Vec<RuleCounters>,
    expiry: Expiry,
    generation: u64,
    sequence: u64,
}

/// By group, the rules that send to it, by slot.
type Senders = BTreeMap<u32, BTreeMap<u32, Arc<Rule>>>;

/// What a bundle changed, in numbers of rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Rules that are new.
    pub added: usize,
    /// Rules with new instructions.
    pub modified: usize,
    /// Rules that are gone.
    pub deleted: usize,
}

/// How to take back one step of a bundle.
enum Undo {
    Remove(Arc<Rule>),
    Insert(Arc<Rule>),
    RemoveGroup(Arc<Group>),
    InsertGroup(Arc<Group>),
}

/// One step of a bundle.
#[derive(Clone, Copy)]
enum Step<'a> {
    Flow(&'a FlowMod),
    Group(&'a GroupMod),
}

/// A bundle being applied.
#[derive(Default)]
struct Journal {
    undo: Vec<Undo>,
    /// Slots of what was taken out; they are free once the bundle stands.
    removed: Vec<RuleId>,
    /// Rules that were deleted, and none in their place.
    deleted: Vec<Arc<Rule>>,
    /// Rules that have come, or changed.
    put: Vec<Arc<Rule>>,
    /// The step under way, and by which step groups were put in.
    step: usize,
    groups: Vec<(usize, u32)>,
    applied: Applied,
}

impl FlowTables {
    /// Empty tables for `lcores` lcores.
    pub fn new(lcores: usize, secret: HashSecret) -> Self {
        let tables = (0..=TableId::MAX.0).map(|_| RuleSet::new(secret)).collect();
        Self {
            secret,
            tables,
            groups: GroupTable::default(),
            senders: BTreeMap::new(),
            slots: Slots::default(),
            by_slot: SlotTable::default(),
            options: Arc::default(),
            changes: ChangeLog::default(),
            interest: Interest::default(),
            helpers: false,
            counters: vec![RuleCounters::default(); lcores],
            expiry: Expiry::default(),
            generation: 0,
            sequence: 0,
        }
    }

    /// The next snapshot, to be published.
    pub fn snapshot(&mut self, ports: &Arc<PortTable>) -> Snapshot {
        self.generation += 1;
        for counters in &mut self.counters {
            *counters = counters.grown_to(self.slots.len());
        }
        let tables = self
            .tables
            .iter()
            .map(|rules| (!rules.is_empty()).then(|| Arc::new(rules.classifier())))
            .collect();
        Snapshot {
            generation: self.generation,
            tables,
            groups: self.groups.clone(),
            ports: Arc::clone(ports),
            options: Arc::clone(&self.options),
            rules: self.by_slot.clone(),
            changes: self.changes.clone(),
            interest: self.interest,
            helpers: self.helpers,
            counters: self.counters.clone().into(),
        }
    }

    /// Frees the slots of rules that no lcore can count for any more, since all obey
    /// `oldest_generation` or a later one.
    pub fn reclaim(&mut self, oldest_generation: u64) {
        let counters = &self.counters;
        self.slots.reclaim(oldest_generation, |slot| {
            for lcore in counters {
                lcore.reset(slot);
            }
        });
    }

    /// Applies all of `mods` in order.
    ///
    /// # Errors
    /// The index of the flow-mod that was refused, and why; nothing is then changed.
    pub fn apply<'a>(
        &mut self,
        mods: impl IntoIterator<Item = &'a FlowMod>,
        now: Tick,
    ) -> Result<Applied, (usize, FlowModError)> {
        self.apply_steps(mods.into_iter().map(Step::Flow), now)
    }

    /// Applies all of `steps` in order; a flow may send to a group of an earlier step.
    ///
    /// # Errors
    /// The index of the step that was refused, and why; nothing is then changed.
    pub fn apply_bundle<'a>(
        &mut self,
        steps: impl IntoIterator<Item = &'a BundleStep>,
        now: Tick,
    ) -> Result<Applied, (usize, FlowModError)> {
        let steps = steps.into_iter().map(|step| match step {
            BundleStep::Flow(change) => Step::Flow(change),
            BundleStep::Group(change) => Step::Group(change),
        });
        self.apply_steps(steps, now)
    }

    fn apply_steps<'a>(
        &mut self,
        steps: impl Iterator<Item = Step<'a>>,
        now: Tick,
    ) -> Result<Applied, (usize, FlowModError)> {
        let mut journal = Journal::default();
        for (at, step) in steps.enumerate() {
            journal.step = at;
            let done = match step {
                Step::Flow(change) => self.apply_one(change, now, &mut journal),
                Step::Group(change) => self.apply_group(change, now, &mut journal),
            };
            if let Err(error) = done {
                self.roll_back(journal);
                return Err((at, error));
            }
        }
        if let Err((at, error)) = self.check_loops(&journal) {
            self.roll_back(journal);
            return Err((at, error.into()));
        }
        for rule in journal.deleted {
            self.went(rule, RemovedReason::Delete, now);
        }
        for rule in journal.put {
            self.look_again(&rule, now);
        }
        // The snapshot that no longer has these is the next one.
        for id in journal.removed {
            self.slots.retire(id, self.generation + 1);
        }
        Ok(journal.applied)
    }

    /// Whether `change` can be executed, whatever the tables hold.
    ///
    /// # Errors
    /// [`FlowModError::Unsupported`] names what cannot.
    pub fn check(change: &FlowMod) -> Result<(), FlowModError> {
        check_support(change)?;
        Program::compile(&change.instructions, TlvMap::any())?;
        Ok(())
    }

    /// The rules that `query` names (as `dump-flows` and `del-flows` do), by table, then
    /// descending priority, then age. A field that stands for no option is in no rule.
    pub fn select(&self, query: &FlowMod) -> Vec<Arc<Rule>> {
        let Ok(query) = self.with_options(query) else {
            return Vec::new();
        };
        let query = &*query;
        let mut rules: Vec<_> = self
            .tables_of(query)
            .flat_map(|rules| rules.iter().filter(|rule| names(query, rule)).cloned())
            .collect();
        rules.sort_by_key(|rule| (rule.table, std::cmp::Reverse(rule.priority), rule.sequence));
        rules
    }

    /// What `rule` counted, over all lcores.
    pub fn count(&self, rule: &Rule) -> RuleCount {
        self.count_of(rule.id)
    }

    /// What was counted at a slot, over all lcores.
    fn count_of(&self, id: RuleId) -> RuleCount {
        let mut sum = RuleCount::default();
        // What was not published yet may have no cells.
        for count in self
            .counters
            .iter()
            .filter_map(|lcore| lcore.try_read(id.slot))
        {
            sum.packets += count.packets;
            sum.bytes += count.bytes;
            sum.last_used = sum.last_used.max(count.last_used);
            sum.ended |= count.ended;
        }
        sum
    }

    /// Rules and masks of each table that has any.
    pub fn table_sizes(&self) -> impl Iterator<Item = (TableId, usize, usize)> {
        (0..)
            .map(TableId)
            .zip(&self.tables)
            .filter(|(_, rules)| !rules.is_empty())
            .map(|(table, rules)| (table, rules.len(), rules.classifier().masks()))
    }

    fn tables_of(&self, query: &FlowMod) -> impl Iterator<Item = &RuleSet> {
        match query.table {
            Some(TableId(table)) => self.tables.get(usize::from(table)..=usize::from(table)),
            None => Some(&self.tables[..]),
        }
        .unwrap_or_default()
        .iter()
    }

    fn apply_one(
        &mut self,
        change: &FlowMod,
        now: Tick,
        journal: &mut Journal,
    ) -> Result<(), FlowModError> {
        let change = &*self.with_options(change)?;
        match change.command {
            Command::Add => self.add(change, now, journal),
            Command::Modify | Command::ModifyStrict => {
                check_support(change)?;
                let program = Arc::new(self.compile(&change.instructions)?);
                self.check_groups(&change.instructions)?;
                let rules = self.select(change);
                if rules.is_empty() && change.cookie_filter.is_none() {
                    return self.add(change, now, journal);
                }
                let instructions = Arc::new(change.instructions.clone());
                for rule in rules {
                    self.modify(&rule, change, &instructions, &program, now, journal);
                }
                Ok(())
            }
            Command::Delete | Command::DeleteStrict => {
                for rule in self.select(change) {
                    self.delete(&rule, journal);
                }
                Ok(())
            }
        }
    }

    /// Compiles what a rule is to do.
    fn compile(&self, instructions: &Instructions) -> Result<Program, Unsupported> {
        Program::compile(instructions, &self.options)
    }

    fn add(
        &mut self,
        change: &FlowMod,
        now: Tick,
        journal: &mut Journal,
    ) -> Result<(), FlowModError> {
        check_support(change)?;
        let program = Arc::new(self.compile(&change.instructions)?);
        self.check_groups(&change.instructions)?;
        let table = change.table.unwrap_or_default();
        let rules = &self.tables[usize::from(table.0)];
        if change.flags.check_overlap && rules.iter().any(|rule| overlaps(change, rule)) {
            return Err(FlowModError::Overlap);
        }
        let shape = rules.shape(&change.matches.mask());
        self.sequence += 1;
        let rule = Arc::new(Rule {
            id: self.slots.allocate(),
            table,
            priority: change.priority,
            cookie: change.new_cookie.unwrap_or(0),
            values: shape.select(&change.matches.key()),
            shape,
            options: change.matches.options().into(),
            instructions: Arc::new(change.instructions.clone()),
            program,
            idle_timeout: change.idle_timeout,
            hard_timeout: change.hard_timeout,
            importance: change.importance,
            flags: change.flags,
            created: now,
            modified: now,
            fresh: now,
            sequence: self.sequence,
        });
        match self.put(&rule, journal) {
            None => journal.applied.added += 1,
            Some(replaced) => {
                journal.applied.modified += 1;
                journal.removed.push(replaced.id);
            }
        }
        Ok(())
    }

    fn modify(
        &mut self,
        rule: &Arc<Rule>,
        change: &FlowMod,
        instructions: &Arc<Instructions>,
        program: &Arc<Program>,
        now: Tick,
        journal: &mut Journal,
    ) {
        let id = if change.flags.reset_counts {
            self.slots.allocate()
        } else {
            rule.id
        };
        let modified = Arc::new(Rule {
            id,
            table: rule.table,
            priority: rule.priority,
            cookie: change.new_cookie.unwrap_or(rule.cookie),
            shape: Arc::clone(&rule.shape),
            values: rule.values.clone(),
            options: rule.options.clone(),
            instructions: Arc::clone(instructions),
            program: Arc::clone(program),
            idle_timeout: rule.idle_timeout,
            hard_timeout: rule.hard_timeout,
            importance: rule.importance,
            flags: rule.flags,
            created: rule.created,
            modified: now,
            fresh: if id == rule.id { rule.fresh } else { now },
            sequence: rule.sequence,
        });
        let replaced = self.put(&modified, journal);
        journal.applied.modified += 1;
        if id != rule.id {
            journal.removed.extend(replaced.map(|before| before.id));
        }
    }

    fn delete(&mut self, rule: &Arc<Rule>, journal: &mut Journal) {
        if let Some(removed) = self.take_out(rule) {
            journal.removed.push(removed.id);
            journal.deleted.push(Arc::clone(&removed));
            journal.undo.push(Undo::Insert(removed));
            journal.applied.deleted += 1;
        }
    }

    fn put(&mut self, rule: &Arc<Rule>, journal: &mut Journal) -> Option<Arc<Rule>> {
        let replaced = self.put_in(rule);
        journal.undo.push(match &replaced {
            None => Undo::Remove(Arc::clone(rule)),
            Some(before) => Undo::Insert(Arc::clone(before)),
        });
        let expires = rule.idle_timeout > 0 || rule.hard_timeout > 0;
        if expires || rule.program.fin_timeout.is_some() {
            journal.put.push(Arc::clone(rule));
        }
        replaced
    }

    fn roll_back(&mut self, journal: Journal) {
        for step in journal.undo.into_iter().rev() {
            match step {
                Undo::Remove(rule) => {
                    self.take_out(&rule);
                    self.slots.retire(rule.id, self.generation);
                }
                Undo::Insert(before) => {
                    if let Some(after) = self.put_in(&before)
                        && after.id != before.id
                    {
                        self.slots.retire(after.id, self.generation);
                    }
                }
                Undo::RemoveGroup(group) => self.take_back_group(&group),
                Undo::InsertGroup(before) => self.put_back_group(before),
            }
        }
    }

    /// Puts `rule` in its table and slot, for the next snapshot.
    fn put_in(&mut self, rule: &Arc<Rule>) -> Option<Arc<Rule>> {
        let replaced = self.tables[usize::from(rule.table.0)].insert(Arc::clone(rule));
        if let Some(before) = &replaced {
            self.by_slot.remove(before.id.slot);
            self.forget_sender(before);
        }
        self.by_slot.insert(rule);
        self.note_sender(rule);
        self.changes.note(rule, self.generation + 1);
        self.interest.widen(rule);
        self.helpers |= rule.program.helps();
        replaced
    }

    /// Takes `rule` out of its table and slot, for the next snapshot.
    fn take_out(&mut self, rule: &Rule) -> Option<Arc<Rule>> {
        let removed = self.tables[usize::from(rule.table.0)].remove(rule)?;
        self.by_slot.remove(removed.id.slot);
        self.forget_sender(&removed);
        self.changes.note(&removed, self.generation + 1);
        Some(removed)
    }

    /// The seed of the tables' hashes.
    pub const fn secret(&self) -> HashSecret {
        self.secret
    }
}

/// Refuses what is parsed and not executed.
fn check_support(change: &FlowMod) -> Result<(), Unsupported> {
    let refuse = |what: &str| Err(Unsupported(what.to_owned()));
    if let Some(term) = change.matches.unexecuted().first() {
        return refuse(&format!("field {}", term.field.name()));
    }
    Ok(())
}

/// Whether `query` names `rule`.
fn names(query: &FlowMod, rule: &Rule) -> bool {
    let strict = matches!(query.command, Command::ModifyStrict | Command::DeleteStrict);
    let table = query.table.is_none_or(|table| table == rule.table);
    let cookie = query
        .cookie_filter
        .is_none_or(|(value, mask)| (rule.cookie ^ value) & mask == 0);
    let port = query
        .out_port
        .is_none_or(|port| outputs_to(&rule.instructions, port));
    let group = query
        .out_group
        .is_none_or(|group| groups_of(&rule.instructions).any(|other| other == group));
    table && cookie && port && group && {
        if strict {
            rule.priority == query.priority && rule.matches() == query.matches
        } else {
            covers(&query.matches, &rule.matches())
        }
    }
}

/// Whether every packet that `narrow` accepts is accepted by `wide`.
fn covers(wide: &Match, narrow: &Match) -> bool {
    let (key, all) = (narrow.key(), narrow.mask());
    wide.words()
        .all(|(at, mask, value)| mask & !all.word(at) == 0 && (value ^ key.word(at)) & mask == 0)
}

/// Whether some packet could match both at the same priority.
fn overlaps(change: &FlowMod, rule: &Rule) -> bool {
    let (ours, theirs) = (&change.matches, &rule.matches());
    let (key, all) = (theirs.key(), theirs.mask());
    let agree = ours
        .words()
        .all(|(at, mask, value)| (value ^ key.word(at)) & mask & all.word(at) == 0);
    rule.priority == change.priority && ours != theirs && agree
}

fn outputs_to(instructions: &Instructions, port: PortNo) -> bool {
    actions(instructions).any(|action| match action {
        Action::Output(to) => *to == port,
        Action::Controller(_) => port == PortNo::CONTROLLER,
        _ => false,
    })
}

/// The groups that a rule sends to.
fn groups_of(instructions: &Instructions) -> impl Iterator<Item = u32> {
    actions(instructions).filter_map(|action| match action {
        Action::Group(id) => Some(*id),
        _ => None,
    })
}

fn actions(instructions: &Instructions) -> impl Iterator<Item = &Action> {
    instructions.apply.iter().chain(&instructions.write_actions)
}

impl FlowTables {
    /// The id of every rule, for tests of slots.
    #[cfg(test)]
    fn ids(&self) -> Vec<RuleId> {
        self.tables
            .iter()
            .flat_map(RuleSet::iter)
            .map(|rule| rule.id)
            .collect()
    }
}
