//! Rules whose time is up, and what is told of rules that are gone.
//!
//! A heap holds, for each rule with a timeout, when to look at it next. Lcores note when they used
//! a rule; so a look finds that the rule goes, or when it could go at the earliest.
//!
//! Cost: one look per rule and timeout, however often the rule is used meanwhile; one per second
//! for rules with `fin_timeout`.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use weir_packet::Tick;

use super::FlowTables;
use crate::counters::RuleCount;
use crate::rule::{Rule, RuleId};

/// How often rules are looked at whose timeouts may become shorter.
const FIN_INTERVAL: Duration = Duration::from_secs(1);

/// Why a rule went (OpenFlow 1.3.5, A.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovedReason {
    /// No packet came for `idle_timeout`.
    IdleTimeout,
    /// `hard_timeout` is over.
    HardTimeout,
    /// Somebody deleted it.
    Delete,
}

impl RemovedReason {
    /// The word for it in `ovs-ofctl monitor`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IdleTimeout => "idle",
            Self::HardTimeout => "hard",
            Self::Delete => "delete",
        }
    }
}

/// A rule with `send_flow_rem` is gone.
#[derive(Clone, Debug)]
pub struct FlowRemoved {
    /// The rule.
    pub rule: Arc<Rule>,
    /// Why it went.
    pub reason: RemovedReason,
    /// When.
    pub at: Tick,
    /// All that was ever counted for it.
    pub count: RuleCount,
}

/// A rule that is gone, of which lcores may still count packets.
#[derive(Debug)]
struct Gone {
    /// The first snapshot without it.
    generation: u64,
    rule: Arc<Rule>,
    reason: RemovedReason,
    at: Tick,
}

/// When to look at which rules.
#[derive(Debug, Default)]
pub(super) struct Expiry {
    heap: BinaryHeap<Reverse<(Tick, u32)>>,
    /// By slot: the rule there, and when it is looked at. What else the heap holds is void.
    due: HashMap<u32, (u32, Tick)>,
    gone: VecDeque<Gone>,
}

impl Expiry {
    /// Looks at the rule no later than at `at`.
    fn schedule(&mut self, id: RuleId, at: Tick) {
        let known = self.due.get(&id.slot);
        if known.is_some_and(|&(user, due)| user == id.generation && due <= at) {
            return;
        }
        self.due.insert(id.slot, (id.generation, at));
        self.heap.push(Reverse((at, id.slot)));
    }

    /// The slot and user of a rule that is to be looked at by `now`.
    fn pop(&mut self, now: Tick) -> Option<RuleId> {
        while let Some(&Reverse((at, slot))) = self.heap.peek().filter(|due| due.0.0 <= now) {
            self.heap.pop();
            if let Some(&(generation, due)) = self.due.get(&slot)
                && due == at
            {
                self.due.remove(&slot);
                return Some(RuleId { slot, generation });
            }
        }
        None
    }
}

impl FlowTables {
    /// Takes out the rules whose time was up by `now`, for the next snapshot. Returns how many.
    pub fn expire(&mut self, now: Tick) -> usize {
        let mut expired = 0;
        while let Some(id) = self.expiry.pop(now) {
            let Some(rule) = self.by_slot.shared(id.slot).cloned() else {
                continue;
            };
            if rule.id != id {
                continue;
            }
            match deadline(&rule, &self.count(&rule)) {
                Some((deadline, reason)) if deadline < now => {
                    if let Some(rule) = self.take_out(&rule) {
                        self.slots.retire(rule.id, self.generation + 1);
                        self.went(rule, reason, now);
                        expired += 1;
                    }
                }
                Some(_) | None => self.look_again(&rule, now),
            }
        }
        expired
    }

    /// What is to be told of rules that are gone and that no lcore counts for any more, since all
    /// obey `oldest_generation` or a later one. Before [`FlowTables::reclaim`], which forgets
    /// the counts.
    pub fn removed(&mut self, oldest_generation: u64) -> Vec<FlowRemoved> {
        let mut removed = Vec::new();
        while let Some(gone) = self.expiry.gone.front()
            && gone.generation <= oldest_generation
            && let Some(Gone {
                rule, reason, at, ..
            }) = self.expiry.gone.pop_front()
        {
            let count = self.count(&rule);
            removed.push(FlowRemoved {
                rule,
                reason,
                at,
                count,
            });
        }
        removed
    }

    /// Sees to it that the rule is looked at when its time could be up.
    pub(super) fn look_again(&mut self, rule: &Rule, now: Tick) {
        let first = deadline(rule, &self.count(rule)).map(|(at, _)| at + Duration::from_millis(1));
        let soon = rule.program.fin_timeout.map(|_| now + FIN_INTERVAL);
        let at = match (first, soon) {
            (Some(first), Some(soon)) => Some(first.min(soon)),
            (first, soon) => first.or(soon),
        };
        if let Some(at) = at {
            self.expiry.schedule(rule.id, at);
        }
    }

    /// Notes that a rule is gone from the next snapshot on.
    pub(super) fn went(&mut self, rule: Arc<Rule>, reason: RemovedReason, at: Tick) {
        if rule.flags.send_flow_rem {
            let generation = self.generation + 1;
            self.expiry.gone.push_back(Gone {
                generation,
                rule,
                reason,
                at,
            });
        }
    }
}

/// The last moment of a rule if nothing more is counted for it, and why it goes then.
fn deadline(rule: &Rule, count: &RuleCount) -> Option<(Tick, RemovedReason)> {
    let (idle, hard) = rule.timeouts(count);
    let used = count.last_used.unwrap_or(rule.fresh);
    let after = |from: Tick, seconds: u16, reason| {
        let timeout = Duration::from_secs(seconds.into());
        (seconds > 0).then(|| (from + timeout, reason))
    };
    let idle = after(used, idle, RemovedReason::IdleTimeout);
    let hard = after(rule.modified, hard, RemovedReason::HardTimeout);
    match (hard, idle) {
        (Some(hard), Some(idle)) if idle.0 < hard.0 => Some(idle),
        (hard, idle) => hard.or(idle),
    }
}
