//! Rules by slot, for those who remember a rule's slot rather than the rule.
//!
//! An array of copy-on-write blocks: a change copies one block and the list of blocks.

use std::sync::Arc;

use crate::rule::Rule;

#[cfg(test)]
mod tests;

/// Rules in one block.
const BLOCK: usize = 256;

/// The rules of all tables, by slot.
#[derive(Clone, Debug, Default)]
pub struct SlotTable {
    blocks: Vec<Arc<Block>>,
}

#[derive(Clone, Debug)]
struct Block([Option<Arc<Rule>>; BLOCK]);

impl SlotTable {
    /// The rule at `slot`, if one is there.
    #[inline]
    pub fn rule(&self, slot: u32) -> Option<&Rule> {
        let slot = slot as usize;
        self.blocks.get(slot / BLOCK)?.0[slot % BLOCK].as_deref()
    }

    /// As [`SlotTable::rule`], to be held on to.
    pub(crate) fn shared(&self, slot: u32) -> Option<&Arc<Rule>> {
        let slot = slot as usize;
        self.blocks.get(slot / BLOCK)?.0[slot % BLOCK].as_ref()
    }

    /// Puts `rule` at its slot.
    pub(crate) fn insert(&mut self, rule: &Arc<Rule>) {
        let slot = rule.id.slot as usize;
        while self.blocks.len() <= slot / BLOCK {
            self.blocks.push(Arc::new(Block([const { None }; BLOCK])));
        }
        Arc::make_mut(&mut self.blocks[slot / BLOCK]).0[slot % BLOCK] = Some(Arc::clone(rule));
    }

    /// Empties `slot`.
    pub(crate) fn remove(&mut self, slot: u32) {
        let slot = slot as usize;
        if let Some(block) = self.blocks.get_mut(slot / BLOCK) {
            Arc::make_mut(block).0[slot % BLOCK] = None;
        }
    }
}
