//! Tuple space search over the rules of one table.
//!
//! Rules with the same mask form a *subtable*: a hash table over the masked words of the flow
//! key. A lookup visits the subtables in order of the best priority each can offer and ends
//! at the first that cannot beat what was found.
//!
//! What decided is found out in two stages: if no rule of a subtable has what a packet has in front
//! of L4 (its [head](heads)), its ports did not decide.
//!
//! A subtable is a trie of copy-on-write [shards](shard) of at most a few hundred rules, so a
//! new version of a table shares everything with the old one but one shard and the path to it.
//!
//! Invariants
//!   1. `Classifier::subtables` is sorted by `best_priority`, descending.
//!   2. No subtable is empty.
//!   3. The rules of one bucket have the same masked values and descending priorities.
//!
//! Threads: changed by the management thread; a clone (cheap: one reference per subtable) is
//! immutable once published.
//! Cost: one hash and at most one key compare per subtable visited; the same again where a
//! [conjunction] is complete.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::field::Field;
use crate::key::FlowKey;
use crate::rule::Rule;

mod conjunction;
mod heads;
mod rules;
mod shape;
mod shard;
#[cfg(test)]
mod tests;

use conjunction::Softs;
use heads::Heads;
use rules::Rules;
pub use shape::MaskShape;

/// Seeds the hash of masked keys; one per process, so that collisions cannot be prepared.
#[derive(Clone, Copy, Debug)]
pub struct HashSecret(pub u64);

/// All rules of one table, as lcores search them.
#[derive(Clone, Debug)]
pub struct Classifier {
    secret: HashSecret,
    subtables: Vec<Arc<Subtable>>,
}

/// The rules with one mask.
#[derive(Clone, Debug)]
struct Subtable {
    shape: Arc<MaskShape>,
    best_priority: u16,
    rules: Rules,
    /// If the mask has bits in L4.
    heads: Option<Heads>,
}

impl Classifier {
    fn new(secret: HashSecret) -> Self {
        Self {
            secret,
            subtables: Vec::new(),
        }
    }

    /// The rule of highest priority that matches `key`. If several of one priority match, any.
    /// A rule that is a [clause](conjunction) is never the answer.
    pub fn lookup(&self, key: &FlowKey) -> Option<&Arc<Rule>> {
        self.search(key, |_, _| true)
    }

    /// The same; adds to `consulted` the bits of `key` that decided. Every key that agrees
    /// with this one in these bits has the same rule.
    pub fn lookup_consulting(&self, key: &FlowKey, consulted: &mut FlowKey) -> Option<&Arc<Rule>> {
        let found = self.search(key, |subtable, key| {
            subtable.consult(self.secret, key, consulted)
        });
        // What the other bits decide: no packet brings it.
        consulted.set_field(Field::CONJ_ID, 0);
        found
    }

    /// Visits each subtable; where `visit` says no, none of its rules match.
    #[inline]
    fn search(
        &self,
        key: &FlowKey,
        mut visit: impl FnMut(&Subtable, &FlowKey) -> bool,
    ) -> Option<&Arc<Rule>> {
        let mut best: Option<&Arc<Rule>> = None;
        for (at, subtable) in self.subtables.iter().enumerate() {
            if best.is_some_and(|best| best.priority >= subtable.best_priority) {
                break;
            }
            if visit(subtable, key)
                && let Some(rules) = subtable.find(self.secret, key)
                && best.is_none_or(|best| rules[0].priority > best.priority)
            {
                if rules[0].is_clause() {
                    return self.search_softly(key, visit, best, at, rules);
                }
                best = Some(&rules[0]);
            }
        }
        best
    }

    /// Goes on with a search that has met a clause, the first of `rules`, in subtable `at`.
    #[inline(never)]
    fn search_softly<'a>(
        &'a self,
        key: &FlowKey,
        mut visit: impl FnMut(&Subtable, &FlowKey) -> bool,
        mut hard: Option<&'a Arc<Rule>>,
        at: usize,
        rules: &'a [Arc<Rule>],
    ) -> Option<&'a Arc<Rule>> {
        let mut softs = Softs::default();
        softs.push(rules);
        for subtable in &self.subtables[at + 1..] {
            if hard.is_some_and(|hard| hard.priority >= subtable.best_priority) {
                break;
            }
            if visit(subtable, key)
                && let Some(rules) = subtable.find(self.secret, key)
                && hard.is_none_or(|hard| rules[0].priority > hard.priority)
            {
                if rules[0].is_clause() {
                    softs.push(rules);
                } else {
                    hard = Some(&rules[0]);
                }
            }
        }
        let mut with_id = *key;
        softs.resolve(hard, |id| {
            with_id.set_field(Field::CONJ_ID, id.into());
            self.search_hard(&with_id, &mut visit)
        })
    }

    /// The best rule that is no clause. As in Open vSwitch, one with the match of a clause of
    /// higher priority is not seen.
    fn search_hard(
        &self,
        key: &FlowKey,
        mut visit: impl FnMut(&Subtable, &FlowKey) -> bool,
    ) -> Option<&Arc<Rule>> {
        let mut best: Option<&Arc<Rule>> = None;
        for subtable in &self.subtables {
            if best.is_some_and(|best| best.priority >= subtable.best_priority) {
                break;
            }
            if visit(subtable, key)
                && let Some([rule, ..]) = subtable.find(self.secret, key)
                && !rule.is_clause()
                && best.is_none_or(|best| rule.priority > best.priority)
            {
                best = Some(rule);
            }
        }
        best
    }

    /// If `found`, the answer for `key`, is a rule for a conjunction: the rules that are its
    /// clauses and match. Not for the packet path.
    pub(crate) fn clauses_of(&self, found: Option<&Rule>, key: &FlowKey) -> Vec<&Rule> {
        let term = found.map(|rule| rule.matches().term(Field::CONJ_ID));
        let Some((id, _)) = term.filter(|(_, mask)| *mask != 0) else {
            return Vec::new();
        };
        let matching = self.subtables.iter();
        let matching = matching.filter_map(|subtable| subtable.find(self.secret, key));
        matching
            .flatten()
            .filter(|rule| {
                let mut clauses = rule.program.clauses.iter();
                clauses.any(|clause| u128::from(clause.id) == id)
            })
            .map(|rule| &**rule)
            .collect()
    }

    /// How many different masks the rules have.
    pub fn masks(&self) -> usize {
        self.subtables.len()
    }
}

impl Subtable {
    /// Whether a rule may match `key`; adds to `consulted` the bits that say so, all of the mask
    /// if one may.
    #[inline]
    fn consult(&self, secret: HashSecret, key: &FlowKey, consulted: &mut FlowKey) -> bool {
        if let Some(heads) = &self.heads
            && !heads.consult(secret, key, consulted)
        {
            return false;
        }
        self.shape.add_to(consulted);
        true
    }

    /// The rules whose match accepts `key`, by descending priority; at least one.
    fn find(&self, secret: HashSecret, key: &FlowKey) -> Option<&[Arc<Rule>]> {
        let hash = self.shape.hash_key(secret, key);
        self.rules
            .find(hash, |values| self.shape.covers(values, key))
    }
}

/// The rules of one table, as the management thread changes them.
#[derive(Debug)]
pub struct RuleSet {
    published: Classifier,
    /// Per mask, how many rules have which priority; kept out of the published version, so
    /// that a change need not copy it.
    priorities: BTreeMap<Arc<MaskShape>, BTreeMap<u16, usize>>,
    len: usize,
}

impl RuleSet {
    /// No rules.
    pub fn new(secret: HashSecret) -> Self {
        Self {
            published: Classifier::new(secret),
            priorities: BTreeMap::new(),
            len: 0,
        }
    }

    /// The version to publish.
    pub fn classifier(&self) -> Classifier {
        self.published.clone()
    }

    /// Rules in all.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no rule.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The shape of rules with this mask, shared if there are any.
    pub fn shape(&self, mask: &FlowKey) -> Arc<MaskShape> {
        let shape = MaskShape::new(mask);
        match self.priorities.get_key_value(&shape) {
            Some((shared, _)) => Arc::clone(shared),
            None => Arc::new(shape),
        }
    }

    /// Puts `rule` in; returns the rule with the same match and priority that it replaces.
    pub fn insert(&mut self, rule: Arc<Rule>) -> Option<Arc<Rule>> {
        let secret = self.published.secret;
        let priority = rule.priority;
        let shape = Arc::clone(&rule.shape);
        let hash = shape.hash_values(secret, &rule.values);
        let at = self.subtable_or_new(&shape);
        let subtable = Arc::make_mut(&mut self.published.subtables[at]);
        let values = rule.values.clone();
        let replaced = subtable.rules.insert(hash, rule);
        if replaced.is_none() {
            self.len += 1;
            if let Some(heads) = &mut subtable.heads {
                heads.insert(secret, &shape, &values);
            }
            *self
                .priorities
                .entry(shape)
                .or_default()
                .entry(priority)
                .or_default() += 1;
            if priority > subtable.best_priority {
                subtable.best_priority = priority;
                self.sort();
            }
        }
        replaced
    }

    /// Takes out the rule with the match and priority of `rule`.
    pub fn remove(&mut self, rule: &Rule) -> Option<Arc<Rule>> {
        let at = self.position(&rule.shape)?;
        let hash = rule.shape.hash_values(self.published.secret, &rule.values);
        let subtable = Arc::make_mut(&mut self.published.subtables[at]);
        let removed = subtable.rules.remove(hash, rule.priority, &rule.values)?;
        self.len -= 1;
        if let Some(heads) = &mut subtable.heads {
            heads.remove(self.published.secret, &rule.shape, &rule.values);
        }
        let priorities = self
            .priorities
            .get_mut(&rule.shape)
            .expect("the subtable has rules");
        let count = priorities
            .get_mut(&rule.priority)
            .expect("the rule was counted");
        *count -= 1;
        if *count == 0 {
            priorities.remove(&rule.priority);
            match priorities.last_key_value() {
                Some((&best, _)) if best == subtable.best_priority => {}
                Some((&best, _)) => {
                    subtable.best_priority = best;
                    self.sort();
                }
                None => {
                    self.priorities.remove(&rule.shape);
                    self.published.subtables.remove(at);
                }
            }
        }
        Some(removed)
    }

    /// The rule with exactly this mask, these values and this priority.
    pub fn get(&self, shape: &MaskShape, values: &[u64], priority: u16) -> Option<&Arc<Rule>> {
        let subtable = &self.published.subtables[self.position(shape)?];
        let hash = shape.hash_values(self.published.secret, values);
        subtable.rules.get(hash, priority, values)
    }

    /// All rules, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.published
            .subtables
            .iter()
            .flat_map(|subtable| subtable.rules.iter())
    }

    fn position(&self, shape: &MaskShape) -> Option<usize> {
        self.published
            .subtables
            .iter()
            .position(|subtable| *subtable.shape == *shape)
    }

    fn subtable_or_new(&mut self, shape: &Arc<MaskShape>) -> usize {
        self.position(shape).unwrap_or_else(|| {
            self.published.subtables.push(Arc::new(Subtable {
                shape: Arc::clone(shape),
                best_priority: 0,
                rules: Rules::default(),
                heads: Heads::new(shape),
            }));
            self.published.subtables.len() - 1
        })
    }

    /// Restores invariant 1.
    fn sort(&mut self) {
        self.published
            .subtables
            .sort_by_key(|subtable| std::cmp::Reverse(subtable.best_priority));
    }
}
