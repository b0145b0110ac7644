//! Groups of the policy.

use std::collections::BTreeMap;

use weir_tables::flow_mod::FlowMod;
use weir_tables::flow_tables::FlowTables;
use weir_tables::group::GroupSpec;
use weir_tables::group_mod::{BundleStep, GroupMod};

use super::{Difference, port_numbers};
use crate::diagnostic::Diagnostic;
use crate::file::{Config, NamedText};
use crate::text::{GroupOptions, PortNames, Spanned, parse_bundle_file, parse_group_file};

/// Groups by number.
pub type GroupSet = BTreeMap<u32, GroupSpec>;

/// All groups of `tables`.
pub fn group_set(tables: &FlowTables) -> GroupSet {
    let groups = tables.groups().into_iter();
    groups
        .map(|group| (group.spec.id, group.spec.clone()))
        .collect()
}

/// Reads group text and checks that all of it can be executed.
///
/// # Errors
/// All that is wrong, as far as it can be found without executing anything.
pub fn read_groups(
    config: &Config,
    texts: &[NamedText],
) -> Result<Vec<Spanned<GroupMod>>, Vec<Diagnostic>> {
    let ports = port_numbers(&config.ports);
    let (mut groups, mut errors) = (Vec::new(), Vec::new());
    for text in texts {
        match read_group_text(&text.name, &text.text, &ports) {
            Ok(read) => groups.extend(read),
            Err(wrong) => errors.extend(wrong),
        }
    }
    if errors.is_empty() {
        Ok(groups)
    } else {
        Err(errors)
    }
}

/// Reads the group text called `name` and checks that all of it can be executed.
///
/// # Errors
/// All that is wrong with it.
pub fn read_group_text(
    name: &str,
    text: &str,
    ports: &dyn PortNames,
) -> Result<Vec<Spanned<GroupMod>>, Vec<Diagnostic>> {
    let options = GroupOptions {
        name,
        ports,
        ..GroupOptions::default()
    };
    let groups = parse_group_file(text, &options)?;
    check(&groups, |change| FlowTables::check_group(change).err())?;
    Ok(groups)
}

/// Reads a bundle and checks that all of it can be executed.
///
/// # Errors
/// All that is wrong with it.
pub fn read_bundle(
    name: &str,
    text: &str,
    ports: &dyn PortNames,
) -> Result<Vec<Spanned<BundleStep>>, Vec<Diagnostic>> {
    let steps = parse_bundle_file(name, text, ports)?;
    check(&steps, |step| match step {
        BundleStep::Flow(change) => FlowTables::check(change).err(),
        BundleStep::Group(change) => FlowTables::check_group(change).err(),
    })?;
    Ok(steps)
}

fn check<T, E: ToString>(
    read: &[Spanned<T>],
    refusal: impl Fn(&T) -> Option<E>,
) -> Result<(), Vec<Diagnostic>> {
    let errors: Vec<_> = read
        .iter()
        .filter_map(|one| Some(one.error(refusal(&one.value)?.to_string())))
        .collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}

/// The groups, and behind them the flows, which may send to them.
pub fn steps(
    groups: Vec<Spanned<GroupMod>>,
    flows: Vec<Spanned<FlowMod>>,
) -> Vec<Spanned<BundleStep>> {
    let groups = groups.into_iter().map(|one| one.map(BundleStep::Group));
    let boxed = |flow| BundleStep::Flow(Box::new(flow));
    let flows = flows.into_iter().map(|one| one.map(boxed));
    groups.chain(flows).collect()
}

impl Difference<GroupSpec> {
    /// The bundle that does it together with `flows`, which may need new groups and may free old
    /// ones.
    pub fn around(&self, flows: Vec<FlowMod>) -> Vec<BundleStep> {
        let changed = self.modified.iter().chain(&self.added);
        let changed = changed.map(|spec| GroupMod::AddOrModify(spec.clone()));
        let deleted = self.deleted.iter();
        let deleted = deleted.map(|spec| GroupMod::Delete(Some(spec.id)));
        changed
            .map(BundleStep::Group)
            .chain(flows.into_iter().map(Box::new).map(BundleStep::Flow))
            .chain(deleted.map(BundleStep::Group))
            .collect()
    }
}
