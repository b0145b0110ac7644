//! The map of Geneve options, as the management thread changes it, and flow-mods held against it.

use std::borrow::Cow;

use super::{FlowTables, RuleSet};
use crate::flow_mod::FlowMod;
use crate::group::Group;
use crate::option_use::{self, OptionError, fields_of, fields_of_instructions};
use crate::rule::Rule;
use crate::tunnel::options::{TlvError, TlvMap, TlvMapping};

impl FlowTables {
    /// Which options are which `tun_metadata` fields.
    pub fn options(&self) -> &TlvMap {
        &self.options
    }

    /// Lets fields stand for options, all of them or none (`add-tlv-map`).
    ///
    /// # Errors
    /// Why one of them cannot.
    pub fn add_options(&mut self, mappings: &[TlvMapping]) -> Result<(), TlvError> {
        self.change_options(|map| map.add(mappings))
    }

    /// Lets these fields stand for no option any more (`del-tlv-map`). One that stands for none is
    /// passed over.
    ///
    /// # Errors
    /// A flow or a group uses one of them; nothing is then changed.
    ///
    /// Cost: a look at every rule.
    pub fn remove_options(&mut self, fields: &[u8]) -> Result<(), TlvError> {
        let used = self.options_used();
        let is_used = |index: &&u8| **index < TlvMap::FIELDS && used & 1 << **index != 0;
        if let Some(index) = fields.iter().find(is_used) {
            return Err(TlvError::InUse(*index));
        }
        self.change_options(|map| {
            fields.iter().for_each(|index| map.remove(*index));
            Ok(())
        })
    }

    fn change_options(
        &mut self,
        change: impl FnOnce(&mut TlvMap) -> Result<(), TlvError>,
    ) -> Result<(), TlvError> {
        let mut map = (*self.options).clone();
        change(&mut map)?;
        if map != *self.options {
            self.options = map.into();
            self.changes.note_all(self.generation + 1);
        }
        Ok(())
    }

    /// The fields that rules and groups use, as bits.
    fn options_used(&self) -> u64 {
        let of_rule = |rule: &Rule| {
            let matched = rule.options.iter().filter_map(|term| term.field.option());
            let matched = matched.fold(0, |fields, index| fields | 1 << index);
            matched | fields_of_instructions(&rule.instructions)
        };
        let of_group = |group: &Group| {
            let buckets = &group.spec.buckets;
            let chosen_by = group.spec.selection.fields.iter();
            let chosen_by = chosen_by.filter_map(|term| term.field.option());
            let written = fields_of(buckets.iter().flat_map(|bucket| &bucket.actions));
            chosen_by.fold(written, |fields, index| fields | 1 << index)
        };
        let rules = self.tables.iter().flat_map(RuleSet::iter);
        let rules = rules.fold(0, |fields, rule| fields | of_rule(rule));
        let groups = self.groups.iter();
        groups.fold(rules, |fields, group| fields | of_group(group))
    }

    /// The flow-mod or query with its options held against the map; as it is if it has none.
    pub(super) fn with_options<'a>(
        &self,
        change: &'a FlowMod,
    ) -> Result<Cow<'a, FlowMod>, OptionError> {
        let is_plain = change.matches.options().is_empty()
            && fields_of_instructions(&change.instructions) == 0;
        if is_plain {
            return Ok(Cow::Borrowed(change));
        }
        let mut change = change.clone();
        change.matches.resolve(&self.options)?;
        option_use::resolve(&mut change.instructions.apply, &self.options)?;
        option_use::resolve(&mut change.instructions.write_actions, &self.options)?;
        Ok(Cow::Owned(change))
    }
}
