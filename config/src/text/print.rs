//! Prints flows as `ovs-ofctl -O OpenFlow13 dump-flows` does.

use std::fmt;
use std::time::Duration;

use weir_tables::action::{Action, Instructions, TableId};
use weir_tables::field::Field;
use weir_tables::flow_mod::{Command, FlowFlags, FlowMod};
use weir_tables::matching::Match;

mod actions;
mod matches;
mod value;

/// Prints with a function; the form of all printers here.
struct Text<F>(F);

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

/// What a rule has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowStatistics {
    /// Time since the rule was added.
    pub duration: Duration,
    /// Packets matched.
    pub packets: u64,
    /// Bytes of these packets.
    pub bytes: u64,
    /// Time since the last packet, or since the rule was added.
    pub idle_age: Duration,
    /// Time since the rule was last modified.
    pub hard_age: Duration,
}

/// A line of `dump-flows`, statistics included, without the space that begins it.
pub fn flow_line(flow: &FlowMod, statistics: FlowStatistics) -> impl fmt::Display {
    Text(move |f: &mut fmt::Formatter<'_>| {
        write!(f, "cookie={:#x}, duration=", flow.new_cookie.unwrap_or(0))?;
        duration(f, statistics.duration)?;
        write!(
            f,
            ", table={}, n_packets={}, n_bytes={}, ",
            flow.table.unwrap_or_default().0,
            statistics.packets,
            statistics.bytes
        )?;
        head(f, flow)?;
        write!(f, "idle_age={}, ", statistics.idle_age.as_secs())?;
        if statistics.hard_age.as_secs() != statistics.duration.as_secs() {
            write!(f, "hard_age={}, ", statistics.hard_age.as_secs())?;
        }
        tail(f, flow, true)
    })
}

/// A match as flow text, without a priority; empty if it accepts every packet.
pub fn match_text(matches: &Match) -> impl fmt::Display {
    Text(move |f: &mut fmt::Formatter<'_>| matches::write(f, matches, None))
}

/// Instructions as they stand behind `actions=`.
pub fn instructions_text(instructions: &Instructions) -> impl fmt::Display {
    Text(move |f: &mut fmt::Formatter<'_>| actions::instructions(f, instructions))
}

/// A list of actions; `drop` if it is empty.
pub fn actions_text(actions: &[Action]) -> impl fmt::Display {
    Text(move |f: &mut fmt::Formatter<'_>| match actions {
        [] => f.write_str("drop"),
        actions => actions::list(f, actions),
    })
}

/// One action.
pub fn action_text(action: &Action) -> impl fmt::Display {
    Text(move |f: &mut fmt::Formatter<'_>| actions::action(f, action))
}

/// The value of a field in the field's own notation, with the mask unless it has all bits.
pub fn value_text(field: Field, value: u128, mask: u128) -> impl fmt::Display {
    Text(move |f: &mut fmt::Formatter<'_>| value::write(f, field, value, mask))
}

/// Timeouts, flags and importance.
fn head(f: &mut fmt::Formatter<'_>, flow: &FlowMod) -> fmt::Result {
    if flow.idle_timeout != 0 {
        write!(f, "idle_timeout={}, ", flow.idle_timeout)?;
    }
    if flow.hard_timeout != 0 {
        write!(f, "hard_timeout={}, ", flow.hard_timeout)?;
    }
    let FlowFlags {
        send_flow_rem,
        check_overlap,
        reset_counts,
        no_packet_counts,
        no_byte_counts,
    } = flow.flags;
    for (set, name) in [
        (send_flow_rem, "send_flow_rem "),
        (check_overlap, "check_overlap "),
        (reset_counts, "reset_counts "),
        (no_packet_counts, "no_packet_counts "),
        (no_byte_counts, "no_byte_counts "),
    ] {
        if set {
            f.write_str(name)?;
        }
    }
    if flow.importance != 0 {
        write!(f, "importance={}, ", flow.importance)?;
    }
    Ok(())
}

/// Priority, match, and the actions if there are any.
fn tail(f: &mut fmt::Formatter<'_>, flow: &FlowMod, acts: bool) -> fmt::Result {
    let priority = (flow.priority != FlowMod::DEFAULT_PRIORITY).then_some(flow.priority);
    matches::write(f, &flow.matches, priority)?;
    if !acts {
        return Ok(());
    }
    if priority.is_some() || flow.matches != Match::ANY {
        f.write_str(" ")?;
    }
    f.write_str("actions=")?;
    actions::instructions(f, &flow.instructions)
}

/// `1s`, `1.234s`, or as many digits as it takes.
fn duration(f: &mut fmt::Formatter<'_>, duration: Duration) -> fmt::Result {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    match nanos {
        0 => write!(f, "{seconds}s"),
        _ if nanos % 1_000_000 == 0 => write!(f, "{seconds}.{:03}s", nanos / 1_000_000),
        _ => {
            let digits = format!("{nanos:09}");
            write!(f, "{seconds}.{}s", digits.trim_end_matches('0'))
        }
    }
}
