//! Arguments of verbs about flows.

use std::io::{IsTerminal, stdout};

use clap::Args;

use super::{Output, Switch};
use crate::control::FlowStyle;

/// `weir dump-flows`
#[derive(Debug, Args)]
pub struct DumpFlows {
    #[command(flatten)]
    pub(crate) switch: Switch,
    #[command(flatten)]
    pub(crate) output: Output,
    /// Leave out statistics, and cookie and table where they are 0.
    #[arg(long)]
    pub(crate) no_stats: bool,
    /// Show ports by name; so it is on a terminal if nothing else is said.
    #[arg(long, overrides_with = "no_names")]
    pub(crate) names: bool,
    /// Show ports by number.
    #[arg(long)]
    pub(crate) no_names: bool,
    /// Sort by a match field, or by priority; may be given again for what is equal.
    #[arg(long, value_name = "FIELD", num_args = 0..=1, require_equals = true,
        default_missing_value = "priority", conflicts_with = "rsort")]
    pub(crate) sort: Vec<String>,
    /// The same, with the largest first.
    #[arg(long, value_name = "FIELD", num_args = 0..=1, require_equals = true,
        default_missing_value = "priority")]
    pub(crate) rsort: Vec<String>,
    /// The bridge.
    pub(crate) bridge: Option<String>,
    /// Only flows that this match covers.
    #[arg(value_name = "MATCH")]
    pub(crate) matching: Option<String>,
}

impl DumpFlows {
    /// How the flows are shown.
    pub(crate) fn style(&self) -> FlowStyle {
        let for_people = !self.output.json && !self.no_names && stdout().is_terminal();
        let (sort, descending) = match self.rsort.is_empty() {
            true => (&self.sort, false),
            false => (&self.rsort, true),
        };
        FlowStyle {
            names: self.names || for_people,
            sort: sort.clone(),
            descending,
        }
    }
}

/// `weir dump-aggregate`
#[derive(Debug, Args)]
pub struct DumpAggregate {
    #[command(flatten)]
    pub(crate) switch: Switch,
    #[command(flatten)]
    pub(crate) output: Output,
    /// The bridge.
    pub(crate) bridge: Option<String>,
    /// Only flows that this match covers.
    #[arg(value_name = "MATCH")]
    pub(crate) matching: Option<String>,
}

/// `weir mod-flows`
#[derive(Debug, Args)]
pub struct ModFlows {
    #[command(flatten)]
    pub(crate) switch: Switch,
    /// Only the flow with exactly this match and priority.
    #[arg(long)]
    pub(crate) strict: bool,
    /// The bridge.
    pub(crate) bridge: Option<String>,
    /// Which flows, and their new actions.
    #[arg(required = true)]
    pub(crate) flow: String,
}

/// `weir diff-flows`
#[derive(Debug, Args)]
pub struct DiffFlows {
    #[command(flatten)]
    pub(crate) switch: Switch,
    /// A file, or the bridge; what begins with `.` or `/` is a file, `-` is standard input.
    pub(crate) a: String,
    /// The same.
    pub(crate) b: String,
}
