//! Rules by slot, for those who remember a rule's slot rather than the rule.
//!
//! A tree of copy-on-write blocks, of two levels: a change copies one block, the folder that it is in, and
//! the list of folders, some three hundred references where there are a million rules.

use std::sync::Arc;

use crate::rule::Rule;

#[cfg(test)]
mod tests;

/// Rules in one block.
const BLOCK: usize = 128;
/// Blocks in one folder.
const FOLDER: usize = 128;

/// The rules of all tables, by slot.
#[derive(Clone, Debug, Default)]
pub struct SlotTable {
    folders: Vec<Arc<Folder>>,
}

#[derive(Clone, Debug)]
struct Folder([Option<Arc<Block>>; FOLDER]);

#[derive(Clone, Debug)]
struct Block([Option<Arc<Rule>>; BLOCK]);

impl SlotTable {
    /// The rule at `slot`, if one is there.
    #[inline]
    pub fn rule(&self, slot: u32) -> Option<&Rule> {
        self.shared(slot).map(|rule| &**rule)
    }

    /// As [`SlotTable::rule`], to be held on to.
    #[inline]
    pub(crate) fn shared(&self, slot: u32) -> Option<&Arc<Rule>> {
        let (folder, block, at) = place(slot);
        self.folders.get(folder)?.0[block].as_ref()?.0[at].as_ref()
    }

    /// Puts `rule` at its slot.
    pub(crate) fn insert(&mut self, rule: &Arc<Rule>) {
        let (folder, block, at) = place(rule.id.slot);
        while self.folders.len() <= folder {
            self.folders
                .push(Arc::new(Folder([const { None }; FOLDER])));
        }
        let block = Arc::make_mut(&mut self.folders[folder]).0[block]
            .get_or_insert_with(|| Arc::new(Block([const { None }; BLOCK])));
        Arc::make_mut(block).0[at] = Some(Arc::clone(rule));
    }

    /// Empties `slot`.
    pub(crate) fn remove(&mut self, slot: u32) {
        if self.shared(slot).is_none() {
            return;
        }
        let (folder, block, at) = place(slot);
        if let Some(block) = &mut Arc::make_mut(&mut self.folders[folder]).0[block] {
            Arc::make_mut(block).0[at] = None;
        }
    }
}

/// Folder, block of it, and place in that.
#[inline]
const fn place(slot: u32) -> (usize, usize, usize) {
    let slot = slot as usize;
    (slot / BLOCK / FOLDER, slot / BLOCK % FOLDER, slot % BLOCK)
}
