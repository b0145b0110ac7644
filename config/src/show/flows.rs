//! Flows with their statistics.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use weir_packet::Tick;
use weir_tables::counters::RuleCount;
use weir_tables::flow_mod::FlowMod;
use weir_tables::rule::Rule;

use super::Milliseconds;
use crate::text::{PortLabels, flag_names, instructions_text_with, match_text_with};

/// The line before a dump of flows.
pub const FLOWS_HEADER: &str = "OFPST_FLOW reply (OF1.3) (xid=0x2):";

/// The priority that is not printed.
const DEFAULT_PRIORITY: u16 = FlowMod::DEFAULT_PRIORITY;

/// One flow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowRow {
    /// Cookie.
    pub cookie: u64,
    /// Milliseconds since it was added.
    pub duration_ms: u64,
    /// Table.
    pub table: u8,
    /// Packets that matched.
    pub n_packets: u64,
    /// Their bytes.
    pub n_bytes: u64,
    /// Seconds without a packet until it goes; 0: never.
    pub idle_timeout: u16,
    /// Seconds until it goes; 0: never.
    pub hard_timeout: u16,
    /// Names of its flags.
    pub flags: Vec<String>,
    /// Eviction rank.
    pub importance: u16,
    /// Seconds since the last packet, or since it was added.
    pub idle_age_s: u64,
    /// Seconds since it was last modified.
    pub hard_age_s: u64,
    /// Priority.
    pub priority: u16,
    /// The match in canonical form, without the priority; empty: everything.
    #[serde(rename = "match")]
    pub matches: String,
    /// The actions in canonical form.
    pub actions: String,
}

/// Whether a flow is printed with what it counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistics {
    /// As `dump-flows` does.
    Shown,
    /// As `dump-flows --no-stats` does; cookie and table are left out too where they are 0.
    Omitted,
}

impl FlowRow {
    /// `rule` at `now`, with what it counted until then.
    ///
    /// Cost: allocates the text of the match and of the actions.
    pub fn of(rule: &Rule, count: RuleCount, now: Tick) -> Self {
        Self::labelled(rule, count, now, PortLabels::NUMBERS)
    }

    /// As [`FlowRow::of`], with ports as `labels` has them.
    pub fn labelled(rule: &Rule, count: RuleCount, now: Tick, labels: &PortLabels) -> Self {
        let duration = now.since(rule.created);
        let (idle_timeout, hard_timeout) = rule.timeouts(&count);
        let idle = now.since(count.last_used.unwrap_or(rule.created));
        Self {
            cookie: rule.cookie,
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            table: rule.table.0,
            n_packets: count.packets,
            n_bytes: count.bytes,
            idle_timeout,
            hard_timeout,
            flags: flag_names(rule.flags).map(str::to_owned).collect(),
            importance: rule.importance,
            idle_age_s: idle.as_secs(),
            hard_age_s: now.since(rule.modified).as_secs(),
            priority: rule.priority,
            matches: match_text_with(&rule.matches(), labels).to_string(),
            actions: instructions_text_with(&rule.instructions, labels).to_string(),
        }
    }

    /// The line of `ovs-ofctl dump-flows`, without its leading space.
    pub fn line(&self, statistics: Statistics) -> String {
        let shown = statistics == Statistics::Shown;
        let mut line = String::new();
        // Writing to a String cannot fail.
        let mut put = |part: std::fmt::Arguments<'_>| line.write_fmt(part).unwrap_or(());
        if shown || self.cookie != 0 {
            put(format_args!("cookie={:#x}, ", self.cookie));
        }
        if shown {
            put(format_args!(
                "duration={}, ",
                Milliseconds(self.duration_ms)
            ));
        }
        if shown || self.table != 0 {
            put(format_args!("table={}, ", self.table));
        }
        if shown {
            put(format_args!(
                "n_packets={}, n_bytes={}, ",
                self.n_packets, self.n_bytes
            ));
        }
        if self.idle_timeout != 0 {
            put(format_args!("idle_timeout={}, ", self.idle_timeout));
        }
        if self.hard_timeout != 0 {
            put(format_args!("hard_timeout={}, ", self.hard_timeout));
        }
        for flag in &self.flags {
            put(format_args!("{flag} "));
        }
        if self.importance != 0 {
            put(format_args!("importance={}, ", self.importance));
        }
        if shown {
            put(format_args!("idle_age={}, ", self.idle_age_s));
            if self.hard_age_s != self.duration_ms / 1000 {
                put(format_args!("hard_age={}, ", self.hard_age_s));
            }
        }
        if self.priority != DEFAULT_PRIORITY {
            put(format_args!("priority={}", self.priority));
            put(format_args!(
                "{}",
                if self.matches.is_empty() { "" } else { "," }
            ));
        }
        put(format_args!("{}", self.matches));
        if !line.is_empty() && !line.ends_with(' ') {
            line.push(' ');
        }
        line.push_str("actions=");
        line.push_str(&self.actions);
        line
    }
}
