//! Which counters belong to which rule.

use std::collections::VecDeque;

use crate::rule::RuleId;

/// Hands out slots, and takes them back after a grace period.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// The generation of the present or next user of each slot.
    generations: Vec<u32>,
    free: Vec<u32>,
    /// Slots of removed rules, with the first snapshot that no longer has the rule.
    retired: VecDeque<(u64, u32)>,
}

impl Slots {
    /// Slots in all, used or not.
    pub(super) fn len(&self) -> usize {
        self.generations.len()
    }

    /// A slot that nobody counts into.
    pub(super) fn allocate(&mut self) -> RuleId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.generations.push(0);
            u32::try_from(self.generations.len() - 1).expect("fewer than 2^32 rules")
        });
        RuleId {
            slot,
            generation: self.generations[slot as usize],
        }
    }

    /// Takes back the slot of a rule that is in no snapshot from `generation` on.
    pub(super) fn retire(&mut self, id: RuleId, generation: u64) {
        self.retired.push_back((generation, id.slot));
    }

    /// Frees the slots that nobody counts into now that all lcores obey `oldest` or later;
    /// `reset` sets a slot's counters to zero.
    pub(super) fn reclaim(&mut self, oldest: u64, reset: impl Fn(u32)) {
        while let Some(&(generation, slot)) = self.retired.front() {
            if generation > oldest {
                break;
            }
            self.retired.pop_front();
            reset(slot);
            let users = &mut self.generations[slot as usize];
            *users = users.wrapping_add(1);
            self.free.push(slot);
        }
    }
}
