//! Conjunctive matches (`ovs-fields(7)`, "Conjunctive Match Fields"): a packet that matches a
//! rule for each clause of a conjunction is looked up again with the conjunction's ID in
//! `conj_id`.
//!
//! A rule that is a clause is a *soft* match: whether it counts is known only when those of the
//! other clauses have been found. Everything is decided as in Open vSwitch, which leaves open
//! what happens if several conjunctions of one priority are complete; here the smallest ID is
//! tried first.
//!
//! Nothing is kept beside the rules: a clause lies in its subtable like any other rule, so a
//! flow-mod copies one shard, and ten thousand clauses with one mask cost one hash.
//!
//! Cost: another search for each complete conjunction, most often one. To find it, the clauses
//! of the rules found are merged; of the rule with most clauses only those are read that
//! others have, too.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::program::Clause;
use crate::rule::Rule;

/// Soft matches beyond which memory is allocated: of one packet, all with different masks.
const SOFT: usize = 64;

/// A rule that is a clause, and the rules of lower priority with the same match.
#[derive(Clone, Copy, Debug)]
struct Soft<'a> {
    rules: &'a [Arc<Rule>],
    /// How many clauses of the first rule the merge has passed.
    at: usize,
}

/// The soft matches of one packet.
#[derive(Debug, Default)]
pub(super) struct Softs<'a>(SmallVec<[Soft<'a>; SOFT]>);

impl<'a> Soft<'a> {
    fn rule(&self) -> &'a Arc<Rule> {
        &self.rules[0]
    }

    fn clauses(&self) -> &'a [Clause] {
        &self.rule().program.clauses[self.at..]
    }
}

impl<'a> Softs<'a> {
    /// Adds a clause: the first of `rules`, which all have one match.
    pub(super) fn push(&mut self, rules: &'a [Arc<Rule>]) {
        self.0.push(Soft { rules, at: 0 });
    }

    /// The best rule, given the best that is no clause. `again` looks for the best rule that is
    /// no clause with an ID in `conj_id`.
    pub(super) fn resolve(
        mut self,
        mut hard: Option<&'a Arc<Rule>>,
        mut again: impl FnMut(u32) -> Option<&'a Arc<Rule>>,
    ) -> Option<&'a Arc<Rule>> {
        loop {
            let above =
                |soft: &mut Soft<'_>| hard.is_none_or(|hard| soft.rule().priority > hard.priority);
            self.0.retain(above);
            let Some(priority) = self.0.iter().map(|soft| soft.rule().priority).max() else {
                return hard;
            };
            // Those that count now come first.
            self.0
                .sort_unstable_by_key(|soft| soft.rule().priority != priority);
            let len = self
                .0
                .partition_point(|soft| soft.rule().priority == priority);
            let mut merge = Merge::new(&mut self.0[..len]);
            while let Some(id) = merge.next() {
                if let Some(rule) = again(id) {
                    return Some(rule);
                }
            }
            // None is complete: in place of these come the next rules with the same matches.
            for at in (0..len).rev() {
                match &self.0[at].rules[1..] {
                    [] => {
                        self.0.swap_remove(at);
                    }
                    rest if rest[0].is_clause() => self.0[at] = Soft { rules: rest, at: 0 },
                    rest => {
                        if hard.is_none_or(|hard| rest[0].priority > hard.priority) {
                            hard = Some(&rest[0]);
                        }
                        self.0.swap_remove(at);
                    }
                }
            }
        }
    }
}

/// The IDs of complete conjunctions among the clauses of some rules, ascending.
///
/// A conjunction has two clauses at least, each of another rule; so an ID that only one rule
/// has need not be looked at.
struct Merge<'m, 'a> {
    softs: &'m mut [Soft<'a>],
    /// How many rules there are; no conjunction of more clauses is complete.
    rules: usize,
}

impl<'m, 'a> Merge<'m, 'a> {
    fn new(softs: &'m mut [Soft<'a>]) -> Self {
        // The one with most clauses comes last, and is asked rather than read.
        let longest = (0..softs.len()).max_by_key(|&at| softs[at].clauses().len());
        if let Some(longest) = longest {
            let last = softs.len() - 1;
            softs.swap(longest, last);
        }
        let rules = softs.len();
        Self { softs, rules }
    }

    fn next(&mut self) -> Option<u32> {
        let (longest, others) = self.softs.split_last_mut()?;
        loop {
            let first = |soft: &Soft<'_>| soft.clauses().first().map(|clause| clause.id);
            let id = others.iter().filter_map(first).min()?;
            let (mut bits, mut wanted) = (0, None);
            let mut take = |clause: &Clause| {
                bits |= clause.bits;
                wanted.get_or_insert(*clause);
            };
            for soft in others.iter_mut() {
                if let Some(clause) = soft.clauses().first().filter(|clause| clause.id == id) {
                    take(clause);
                    soft.at += 1;
                }
            }
            longest.at += longest.clauses().partition_point(|clause| clause.id < id);
            if let Some(clause) = longest.clauses().first().filter(|clause| clause.id == id) {
                take(clause);
            }
            let complete = |clause: &Clause| {
                usize::from(clause.clauses) <= self.rules && bits & clause.all() == clause.all()
            };
            if wanted.as_ref().is_some_and(complete) {
                return Some(id);
            }
        }
    }
}
