//! The rules with one mask, by their masked values.

use std::sync::Arc;

use smallvec::SmallVec;

use super::shard::{Bucket, Trie};
use crate::rule::Rule;

/// Rules by the hash of their masked words.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules(Trie<Equal>);

/// The rules with the same masked values, by descending priority; at least one.
#[derive(Clone, Debug)]
struct Equal {
    hash: u64,
    rules: SmallVec<[Arc<Rule>; 1]>,
}

impl Bucket for Equal {
    #[inline]
    fn hash(&self) -> u64 {
        self.hash
    }
}

impl Equal {
    #[inline]
    fn values(&self) -> &[u64] {
        &self.rules[0].values
    }

    fn insert(&mut self, rule: Arc<Rule>) -> Option<Arc<Rule>> {
        let at = self
            .rules
            .partition_point(|other| other.priority > rule.priority);
        match self.rules.get_mut(at) {
            Some(other) if other.priority == rule.priority => Some(std::mem::replace(other, rule)),
            _ => {
                self.rules.insert(at, rule);
                None
            }
        }
    }
}

impl Rules {
    /// The rules whose values satisfy `matches`, by descending priority; at least one.
    #[inline]
    pub(super) fn find(&self, hash: u64, matches: impl Fn(&[u64]) -> bool) -> Option<&[Arc<Rule>]> {
        let found = self.0.find(hash, |equal| matches(equal.values()));
        found.map(|equal| &*equal.rules)
    }

    /// The rule with these values and this priority.
    pub(super) fn get(&self, hash: u64, priority: u16, values: &[u64]) -> Option<&Arc<Rule>> {
        let rules = self.find(hash, |candidate| candidate == values)?;
        rules.iter().find(|rule| rule.priority == priority)
    }

    /// Puts `rule` in; returns the one with the same values and priority that it replaces.
    pub(super) fn insert(&mut self, hash: u64, rule: Arc<Rule>) -> Option<Arc<Rule>> {
        let same = Arc::clone(&rule);
        let same = |equal: &Equal| *equal.values() == *same.values;
        self.0.change(hash, same, |equal| match equal {
            Some(mut equal) => {
                let replaced = equal.insert(rule);
                (Some(equal), replaced)
            }
            None => {
                let rules = SmallVec::from_buf([rule]);
                (Some(Equal { hash, rules }), None)
            }
        })
    }

    /// Takes out the rule with these values and this priority.
    pub(super) fn remove(&mut self, hash: u64, priority: u16, values: &[u64]) -> Option<Arc<Rule>> {
        // Look before copying anything.
        self.get(hash, priority, values)?;
        let same = |equal: &Equal| equal.values() == values;
        self.0.change(hash, same, |equal| {
            let Some(mut equal) = equal else {
                return (None, None);
            };
            let at = equal
                .rules
                .iter()
                .position(|rule| rule.priority == priority);
            let removed = at.map(|at| equal.rules.remove(at));
            ((!equal.rules.is_empty()).then_some(equal), removed)
        })
    }

    /// All rules, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.0.iter().flat_map(|equal| equal.rules.iter())
    }

    /// The shards, for tests of what versions share.
    #[cfg(test)]
    pub(super) fn shards(&self) -> Vec<*const ()> {
        self.0.shards()
    }
}
