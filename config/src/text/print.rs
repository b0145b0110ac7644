//! Prints flows as `ovs-ofctl -O OpenFlow13 dump-flows --no-stats` does.

use std::fmt;

use weir_tables::action::{Instructions, Subfield, TableId};
use weir_tables::field::Field;
use weir_tables::flow_mod::{Command, FlowFlags, FlowMod};
use weir_tables::group::GroupSpec;
use weir_tables::group_mod::GroupMod;
use weir_tables::matching::Match;

use super::port::PortLabels;

mod actions;
mod groups;
mod matches;
mod value;

/// Prints with a function; the form of all printers here.
pub(super) struct Text<F>(pub(super) F);

impl<F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result> fmt::Display for Text<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.0)(f)
    }
}

/// A flow in canonical form, as `dump-flows --no-stats` prints it, without the space that begins
/// a line there. A flow that is not to be added begins with its command word. The text reads
/// back as the same flow.
pub fn flow_text(flow: &FlowMod) -> impl fmt::Display {
    Text(move |f: &mut fmt::Formatter<'_>| {
        let (word, acts) = match flow.command {
            Command::Add => ("", true),
            Command::Modify => ("modify ", true),
            Command::ModifyStrict => ("modify_strict ", true),
            Command::Delete => ("delete ", false),
            Command::DeleteStrict => ("delete_strict ", false),
        };
        f.write_str(word)?;
        if let Some((value, mask)) = flow.cookie_filter {
            write!(f, "cookie={value:#x}/{mask:#x}, ")?;
        }
        if let Some(cookie) = flow.new_cookie
            && (cookie != 0 || flow.command != Command::Add)
        {
            write!(f, "cookie={cookie:#x}, ")?;
        }
        if let Some(TableId(table)) = flow.table
            && (table != 0 || flow.command != Command::Add)
        {
            write!(f, "table={table}, ")?;
        }
        head(f, flow)?;
        if let Some(port) = flow.out_port {
            write!(f, "out_port={port}, ")?;
        }
        if let Some(group) = flow.out_group {
            write!(f, "out_group={group}, ")?;
        }
        tail(f, flow, acts)
    })
}

/// A group in canonical form, as `dump-groups` prints it, without the space that begins a line
/// there. The text reads back as the same group.
pub fn group_text(group: &GroupSpec) -> impl fmt::Display {
    Text(move |f: &mut fmt::Formatter<'_>| groups::group(f, group))
}

/// A change of a group as a file of groups has it. The text reads back as the same change.
pub fn group_mod_text(change: &GroupMod) -> impl fmt::Display {
    Text(move |f: &mut fmt::Formatter<'_>| groups::group_mod(f, change))
}

/// A match as flow text, without a priority; empty if it accepts every packet.
pub fn match_text(matches: &Match) -> impl fmt::Display {
    match_text_with(matches, PortLabels::NUMBERS)
}

/// As [`match_text`], with ports as `labels` has them.
pub fn match_text_with(matches: &Match, labels: &PortLabels) -> impl fmt::Display {
    Text(move |f: &mut fmt::Formatter<'_>| matches::write(f, matches, None, labels))
}

/// Instructions as they stand behind `actions=`.
pub fn instructions_text(instructions: &Instructions) -> impl fmt::Display {
    instructions_text_with(instructions, PortLabels::NUMBERS)
}

/// As [`instructions_text`], with ports as `labels` has them.
pub fn instructions_text_with(
    instructions: &Instructions,
    labels: &PortLabels,
) -> impl fmt::Display {
    Text(move |f: &mut fmt::Formatter<'_>| actions::instructions(f, instructions, labels))
}

/// A part of a field, by its wire name.
pub(super) fn subfield_text(subfield: Subfield) -> impl fmt::Display {
    Text(move |f: &mut fmt::Formatter<'_>| actions::subfield(f, subfield))
}

/// A value of `field`, as `set_field` prints it.
pub(super) fn value_text(field: Field, value: u128, mask: u128) -> impl fmt::Display {
    Text(move |f: &mut fmt::Formatter<'_>| value::write(f, field, value, mask))
}

/// A number as actions print it.
pub(super) fn hex_text(value: u128) -> impl fmt::Display {
    Text(move |f: &mut fmt::Formatter<'_>| value::hex(f, value))
}

/// Names of the flags that are set, in the order of a dump.
pub(crate) fn flag_names(flags: FlowFlags) -> impl Iterator<Item = &'static str> {
    let FlowFlags {
        send_flow_rem,
        check_overlap,
        reset_counts,
        no_packet_counts,
        no_byte_counts,
    } = flags;
    [
        (send_flow_rem, "send_flow_rem"),
        (check_overlap, "check_overlap"),
        (reset_counts, "reset_counts"),
        (no_packet_counts, "no_packet_counts"),
        (no_byte_counts, "no_byte_counts"),
    ]
    .into_iter()
    .filter_map(|(set, name)| set.then_some(name))
}

/// Timeouts, flags and importance.
fn head(f: &mut fmt::Formatter<'_>, flow: &FlowMod) -> fmt::Result {
    if flow.idle_timeout != 0 {
        write!(f, "idle_timeout={}, ", flow.idle_timeout)?;
    }
    if flow.hard_timeout != 0 {
        write!(f, "hard_timeout={}, ", flow.hard_timeout)?;
    }
    for name in flag_names(flow.flags) {
        write!(f, "{name} ")?;
    }
    if flow.importance != 0 {
        write!(f, "importance={}, ", flow.importance)?;
    }
    Ok(())
}

/// Priority, match, and the actions if there are any.
fn tail(f: &mut fmt::Formatter<'_>, flow: &FlowMod, acts: bool) -> fmt::Result {
    let priority = (flow.priority != FlowMod::DEFAULT_PRIORITY).then_some(flow.priority);
    matches::write(f, &flow.matches, priority, PortLabels::NUMBERS)?;
    if !acts {
        return Ok(());
    }
    if priority.is_some() || flow.matches != Match::ANY {
        f.write_str(" ")?;
    }
    f.write_str("actions=")?;
    actions::instructions(f, &flow.instructions, PortLabels::NUMBERS)
}
