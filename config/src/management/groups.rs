//! Verbs about groups.

use weir_tables::datapath::Datapath;
use weir_tables::group_mod::BundleStep;

use super::{Management, all_of};
use crate::control::{Failure, Frame, GroupVerb};
use crate::file::NamedText;
use crate::policy;
use crate::show::{GroupRow, GroupStatsRow};
use crate::text::{GroupCommand, GroupOptions, parse_group, parse_group_id};

impl<D: Datapath> Management<D> {
    pub(super) fn add_groups(&mut self, file: &NamedText) -> Result<Option<Frame>, Failure> {
        let names = policy::port_numbers(&self.config.ports);
        let groups = policy::read_group_text(&file.name, &file.text, &names);
        let groups = groups.map_err(|errors| all_of(&errors))?;
        let steps = policy::steps(groups, Vec::new());
        let now = self.datapath.now();
        policy::apply_steps(&mut self.policy.tables, &steps, now).map_err(Failure::input)?;
        self.publish();
        Ok(None)
    }

    pub(super) fn bundle(&mut self, file: &NamedText) -> Result<Option<Frame>, Failure> {
        let names = policy::port_numbers(&self.config.ports);
        let steps = policy::read_bundle(&file.name, &file.text, &names);
        let steps = steps.map_err(|errors| all_of(&errors))?;
        let now = self.datapath.now();
        policy::apply_steps(&mut self.policy.tables, &steps, now).map_err(Failure::input)?;
        self.publish();
        Ok(None)
    }

    pub(super) fn change_group(
        &mut self,
        verb: GroupVerb,
        text: &str,
    ) -> Result<Option<Frame>, Failure> {
        let names = policy::port_numbers(&self.config.ports);
        let options = GroupOptions {
            name: "group",
            command: match verb {
                GroupVerb::Add => GroupCommand::Add,
                GroupVerb::Modify => GroupCommand::Modify,
                GroupVerb::AddOrModify => GroupCommand::AddOrModify,
                GroupVerb::Delete => GroupCommand::Delete,
                GroupVerb::InsertBuckets => GroupCommand::InsertBuckets,
                GroupVerb::RemoveBuckets => GroupCommand::RemoveBuckets,
            },
            command_word: false,
            ports: &names,
        };
        let change = parse_group(text, &options).map_err(Failure::input)?;
        self.apply_bundle(&[BundleStep::Group(change)])?;
        Ok(None)
    }

    pub(super) fn groups(&self, wanted: Option<&str>) -> Result<Frame, Failure> {
        let wanted = which(wanted)?;
        let groups = self.policy.tables.groups();
        let rows = groups
            .iter()
            .filter(|group| wanted.is_none_or(|id| id == group.spec.id))
            .map(|group| GroupRow::of(&group.spec));
        Ok(Frame::Groups(rows.collect()))
    }

    pub(super) fn group_stats(&self, wanted: Option<&str>) -> Result<Frame, Failure> {
        let wanted = which(wanted)?;
        let mut rows = self.all_group_stats();
        rows.retain(|row| wanted.is_none_or(|id| id == row.group_id));
        Ok(Frame::GroupStats(rows))
    }

    pub(super) fn all_group_stats(&self) -> Vec<GroupStatsRow> {
        let (tables, now) = (&self.policy.tables, self.datapath.now());
        let groups = tables.groups();
        let row = |group| GroupStatsRow::of(group, &tables.group_count(group), now);
        groups.iter().map(|group| row(group)).collect()
    }
}

fn which(wanted: Option<&str>) -> Result<Option<u32>, Failure> {
    match wanted {
        None => Ok(None),
        Some(text) => parse_group_id(text).map_err(Failure::input),
    }
}
