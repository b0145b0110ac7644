//! Arguments of verbs about flows.

use std::io::{IsTerminal, stdout};

use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches};

use super::{Output, Switch};
use crate::control::{FlowStyle, SortBy};

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
    #[command(flatten)]
    pub(crate) sort: Sort,
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
        FlowStyle {
            names: self.names || for_people,
            sort: self.sort.0.clone(),
        }
    }
}

/// `--sort` and `--rsort` in the order in which they were given.
#[derive(Debug)]
pub(crate) struct Sort(Vec<SortBy>);

const SORT: [(&str, &str, bool); 2] = [
    (
        "sort",
        "Sort by a match field, or by priority; may be given again for what is equal",
        false,
    ),
    ("rsort", "The same, with the largest first", true),
];

impl Args for Sort {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.args(SORT.map(|(name, help, _)| {
            Arg::new(name)
                .long(name)
                .help(help)
                .value_name("FIELD")
                .action(ArgAction::Append)
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("priority")
        }))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Sort {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = Vec::new();
        for (name, _, descending) in SORT {
            let fields = matches.get_many::<String>(name).into_iter().flatten();
            let places = matches.indices_of(name).into_iter().flatten();
            given.extend(
                places
                    .zip(fields.cloned())
                    .map(|(place, field)| (place, SortBy { field, descending })),
            );
        }
        given.sort_by_key(|(place, _)| *place);
        Ok(Self(given.into_iter().map(|(_, by)| by).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
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
    /// Which flows, and their new actions; `-`: the lines of standard input.
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
