//! Prints groups.

use std::fmt;

use weir_tables::group::{Bucket, GroupSpec, GroupType, Selection, SelectionMethod};
use weir_tables::group_mod::{GroupMod, Place};
use weir_tables::matching::Term;

use super::{actions, value};
use crate::text::port::PortLabels;
use crate::text::value::ones;

/// A group as `dump-groups` prints it, without the space that begins a line there.
pub(super) fn group(f: &mut fmt::Formatter<'_>, group: &GroupSpec) -> fmt::Result {
    let GroupSpec {
        id,
        kind,
        selection,
        buckets,
    } = group;
    write!(
        f,
        "group_id={id},type={}",
        match kind {
            GroupType::All => "all",
            GroupType::Select => "select",
            GroupType::Indirect => "indirect",
            GroupType::FastFailover => "ff",
        }
    )?;
    select(f, selection)?;
    list(f, buckets)
}

pub(super) fn group_mod(f: &mut fmt::Formatter<'_>, change: &GroupMod) -> fmt::Result {
    match change {
        GroupMod::Add(spec) => group(f, spec),
        GroupMod::Modify(spec) => {
            f.write_str("modify ")?;
            group(f, spec)
        }
        GroupMod::AddOrModify(spec) => {
            f.write_str("add_or_mod ")?;
            group(f, spec)
        }
        GroupMod::Delete(None) => f.write_str("delete group_id=all"),
        GroupMod::Delete(Some(id)) => write!(f, "delete group_id={id}"),
        GroupMod::InsertBuckets {
            group,
            place,
            buckets,
        } => {
            write!(f, "insert_bucket group_id={group},command_bucket_id=")?;
            command_bucket(f, Some(*place))?;
            list(f, buckets)
        }
        GroupMod::RemoveBuckets { group, place } => {
            write!(f, "remove_bucket group_id={group},command_bucket_id=")?;
            command_bucket(f, *place)
        }
    }
}

fn select(f: &mut fmt::Formatter<'_>, selection: &Selection) -> fmt::Result {
    let Selection {
        method: Some(method),
        param,
        fields,
    } = selection
    else {
        return Ok(());
    };
    f.write_str(match method {
        SelectionMethod::Hash => ",selection_method=hash",
        SelectionMethod::DpHash => ",selection_method=dp_hash",
    })?;
    if *param != 0 {
        write!(f, ",selection_method_param={param}")?;
    }
    let (open, close) = match fields.len() {
        0 => return Ok(()),
        1 => ("=", ""),
        _ => ("(", ")"),
    };
    write!(f, ",fields{open}")?;
    for (at, Term { field, mask, .. }) in fields.iter().enumerate() {
        f.write_str(if at > 0 { "," } else { "" })?;
        f.write_str(field.name())?;
        if *mask != ones(*field) {
            f.write_str("=")?;
            value::write(f, *field, *mask, ones(*field))?;
        }
    }
    f.write_str(close)
}

/// The buckets; their numbers only where reading would not give them the same.
fn list(f: &mut fmt::Formatter<'_>, buckets: &[Bucket]) -> fmt::Result {
    let is_usual = |(at, bucket): (u32, &Bucket)| bucket.id.is_none_or(|id| id == at);
    let numbered = !(0..).zip(buckets).all(is_usual);
    for bucket in buckets {
        f.write_str(",bucket=")?;
        if let Some(id) = bucket.id.filter(|_| numbered) {
            write!(f, "bucket_id:{id},")?;
        }
        if let Some(weight) = bucket.weight {
            write!(f, "weight:{weight},")?;
        }
        if let Some(port) = bucket.watch_port {
            write!(f, "watch_port:{port},")?;
        }
        if let Some(group) = bucket.watch_group {
            write!(f, "watch_group:{group},")?;
        }
        f.write_str("actions=")?;
        if bucket.actions.is_empty() {
            f.write_str("drop")?;
        }
        actions::list(f, &bucket.actions, PortLabels::NUMBERS)?;
    }
    Ok(())
}

fn command_bucket(f: &mut fmt::Formatter<'_>, place: Option<Place>) -> fmt::Result {
    match place {
        None => f.write_str("all"),
        Some(Place::First) => f.write_str("first"),
        Some(Place::Last) => f.write_str("last"),
        Some(Place::Bucket(id)) => write!(f, "{id}"),
    }
}
