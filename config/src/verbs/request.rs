//! From a command line to a request.

use std::path::{Path, PathBuf};

use clap::Parser;

use super::VerbError;
use crate::cli::{ChangeGroup, Cli, Command, Switch};
use crate::control::{FlowVerb, GroupVerb, PolicyFiles, Request, Verb};
use crate::diagnostic::Diagnostic;
use crate::file::{Config, read_text};
use crate::show::Statistics;

/// What stands for the lines of standard input.
const INPUT: &str = "-";

/// A request to a running switch, and how its answer is printed.
#[derive(Debug, PartialEq)]
pub struct Call {
    /// The switch's control socket.
    pub socket: PathBuf,
    /// The request.
    pub request: Request,
    /// How to print the answer.
    pub layout: Layout,
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Nothing is expected, nothing printed.
    Silent,
    /// Text, under this heading if it is not empty.
    Text {
        /// The first line.
        heading: &'static str,
        /// How flows are printed.
        statistics: Statistics,
    },
    /// One JSON array of rows.
    JsonRows,
    /// One JSON object.
    JsonObject,
    /// One JSON object in each line.
    JsonLines,
}

impl Call {
    /// What the command line `weir WORDS...` asks of a running switch; reads the files it names.
    ///
    /// # Errors
    /// If it is none, or is wrong.
    pub fn of_words(words: &[String]) -> Result<Self, VerbError> {
        let line = std::iter::once("weir").chain(words.iter().map(String::as_str));
        let cli = Cli::try_parse_from(line).map_err(|error| VerbError::Usage(error.to_string()))?;
        match cli.command {
            Command::Run(_)
            | Command::Check(_)
            | Command::ParseFlows(_)
            | Command::DiffFlows(_)
            | Command::Monitor(_)
            | Command::Top(_)
            | Command::Replay(_) => Err(VerbError::Usage("asks no running switch once".to_owned())),
            command => Self::new(command),
        }
    }

    /// What `command` asks; reads the files it names, so that the switch need not.
    ///
    /// # Errors
    /// If a file cannot be read, or a configuration or the command line is wrong.
    ///
    /// # Panics
    /// If `command` is not for a running switch.
    pub(super) fn new(command: Command) -> Result<Self, VerbError> {
        let shown = |json, shape| if json { shape } else { text("") };
        let (switch, bridge, verb, layout) = match command {
            Command::AddFlow(args) => {
                let verb = match args.flow.as_str() {
                    INPUT => Verb::AddFlows {
                        file: read_text(Path::new(INPUT))?,
                    },
                    _ => Verb::AddFlow { flow: args.flow },
                };
                (args.switch, args.bridge, verb, Layout::Silent)
            }
            Command::AddFlows(args) => {
                let verb = Verb::AddFlows {
                    file: read_text(&args.file)?,
                };
                (args.switch, args.bridge, verb, Layout::Silent)
            }
            Command::AddGroups(args) => {
                let verb = Verb::AddGroups {
                    file: read_text(&args.file)?,
                };
                (args.switch, args.bridge, verb, Layout::Silent)
            }
            Command::Bundle(args) => {
                let verb = Verb::Bundle {
                    file: read_text(&args.file)?,
                };
                (args.switch, args.bridge, verb, Layout::Silent)
            }
            Command::AddGroup(args) => change_group(args, GroupVerb::Add),
            Command::ModGroup(args) => {
                let command = match args.may_create {
                    true => GroupVerb::AddOrModify,
                    false => GroupVerb::Modify,
                };
                change_group(args.change, command)
            }
            Command::InsertBuckets(args) => change_group(args, GroupVerb::InsertBuckets),
            Command::RemoveBuckets(args) => change_group(args, GroupVerb::RemoveBuckets),
            Command::DelGroups(args) => {
                let (bridge, group) = only_argument(args.bridge, args.group);
                let command = GroupVerb::Delete;
                let verb = Verb::ChangeGroup { command, group };
                (args.switch, bridge, verb, Layout::Silent)
            }
            Command::DumpGroups(args) => {
                let (bridge, group) = only_argument(args.bridge, args.group);
                let layout = match args.output.json {
                    true => Layout::JsonRows,
                    false => text(crate::show::GROUPS_HEADER),
                };
                (args.switch, bridge, Verb::DumpGroups { group }, layout)
            }
            Command::AddTlvMap(args) => {
                let verb = Verb::AddTlvMap { map: args.map };
                (args.switch, args.bridge, verb, Layout::Silent)
            }
            Command::DelTlvMap(args) => {
                let (bridge, map) = only_argument(args.bridge, args.map);
                (args.switch, bridge, Verb::DelTlvMap { map }, Layout::Silent)
            }
            Command::DumpTlvMap(args) => {
                let layout = match args.output.json {
                    true => Layout::JsonRows,
                    false => text(crate::show::TLV_MAP_HEADER),
                };
                (args.switch, args.bridge, Verb::DumpTlvMap, layout)
            }
            Command::DumpGroupStats(args) => {
                let (bridge, group) = only_argument(args.bridge, args.group);
                let layout = match args.output.json {
                    true => Layout::JsonRows,
                    false => text(crate::show::GROUP_STATS_HEADER),
                };
                (args.switch, bridge, Verb::DumpGroupStats { group }, layout)
            }
            Command::DelFlows(args) => {
                let (bridge, matching) = only_argument(args.bridge, args.matching);
                let strict = args.strict;
                let verb = match matching.as_deref() {
                    Some(INPUT) => Verb::ChangeFlows {
                        command: match strict {
                            true => FlowVerb::DeleteStrict,
                            false => FlowVerb::Delete,
                        },
                        file: read_text(Path::new(INPUT))?,
                    },
                    _ => Verb::DelFlows { strict, matching },
                };
                (args.switch, bridge, verb, Layout::Silent)
            }
            Command::DumpConntrack(args) => {
                let verb = Verb::DumpConntrack {
                    more: args.more,
                    statistics: args.statistics,
                    json: args.output.json,
                    filter: args.words,
                };
                (
                    args.switch,
                    None,
                    verb,
                    shown(args.output.json, Layout::JsonRows),
                )
            }
            Command::DumpConntrackExp(args) => {
                let json = args.output.json;
                let filter = args.words;
                let verb = Verb::DumpConntrackExp { json, filter };
                (args.switch, None, verb, shown(json, Layout::JsonRows))
            }
            Command::DumpAggregate(args) => {
                let (bridge, matching) = only_argument(args.bridge, args.matching);
                let layout = shown(args.output.json, Layout::JsonObject);
                let verb = Verb::DumpAggregate { matching };
                (args.switch, bridge, verb, layout)
            }
            Command::DumpTables(args) => {
                let layout = shown(args.output.json, Layout::JsonRows);
                (args.switch, args.bridge, Verb::DumpTables, layout)
            }
            Command::FdbFlush(args) => (args.switch, args.bridge, Verb::FdbFlush, text("")),
            Command::ModFlows(args) => {
                let (strict, flow) = (args.strict, args.flow);
                let verb = match flow.as_str() {
                    INPUT => Verb::ChangeFlows {
                        command: match strict {
                            true => FlowVerb::ModifyStrict,
                            false => FlowVerb::Modify,
                        },
                        file: read_text(Path::new(INPUT))?,
                    },
                    _ => Verb::ModFlows { strict, flow },
                };
                (args.switch, args.bridge, verb, Layout::Silent)
            }
            Command::ModPort(args) => {
                let (bridge, verb) = args.change()?;
                (args.switch, bridge, verb, Layout::Silent)
            }
            Command::DumpDrops(args) => {
                let layout = shown(args.output.json, Layout::JsonRows);
                (args.switch, args.bridge, Verb::DumpDrops, layout)
            }
            Command::DumpFlows(args) => {
                let style = args.style();
                let (bridge, matching) = only_argument(args.bridge, args.matching);
                // As Open vSwitch: only the plain dump has the heading.
                let plain = !style.names && style.sort.is_empty();
                let layout = match (args.output.json, args.no_stats) {
                    (true, _) => Layout::JsonRows,
                    (false, true) => Layout::Text {
                        heading: "",
                        statistics: Statistics::Omitted,
                    },
                    (false, false) if plain => text(crate::show::FLOWS_HEADER),
                    (false, false) => text(""),
                };
                let verb = Verb::DumpFlows { matching, style };
                (args.switch, bridge, verb, layout)
            }
            Command::DumpPorts(args) => {
                let (bridge, port) = only_argument(args.bridge, args.port);
                let layout = shown(args.output.json, Layout::JsonRows);
                (args.switch, bridge, Verb::DumpPorts { port }, layout)
            }
            Command::FdbShow(args) => {
                let layout = if args.output.json {
                    Layout::JsonRows
                } else {
                    text(crate::show::FDB_HEADER)
                };
                (args.switch, args.bridge, Verb::FdbShow, layout)
            }
            Command::NatShow(args) => {
                let layout = shown(args.output.json, Layout::JsonRows);
                (args.switch, args.bridge, Verb::NatShow, layout)
            }
            Command::NeighShow(args) => {
                let layout = if args.output.json {
                    Layout::JsonRows
                } else {
                    text(crate::show::NEIGHBOUR_HEADER)
                };
                (args.switch, args.bridge, Verb::NeighShow, layout)
            }
            Command::FlushConntrack(args) => {
                let verb = Verb::FlushConntrack { filter: args.words };
                (args.switch, None, verb, Layout::Silent)
            }
            Command::CtStatsShow(args) => {
                let mut filter = args.words;
                let all = filter.len();
                filter.retain(|word| word != "verbose");
                let verb = Verb::CtStatsShow {
                    more: args.more || filter.len() < all,
                    json: args.output.json,
                    filter,
                };
                let layout = shown(args.output.json, Layout::JsonObject);
                (args.switch, None, verb, layout)
            }
            Command::CtGetLimits(args) => {
                let layout = shown(args.output.json, Layout::JsonRows);
                let verb = Verb::CtGetLimits { limits: args.words };
                (args.switch, None, verb, layout)
            }
            Command::CtSetLimits(args) => {
                let verb = Verb::CtSetLimits { limits: args.words };
                (args.switch, None, verb, Layout::Silent)
            }
            Command::CtDelLimits(args) => {
                let verb = Verb::CtDelLimits { limits: args.words };
                (args.switch, None, verb, Layout::Silent)
            }
            Command::Monitor(args) => {
                let mut bridge = None;
                let mut invalid_ttl = false;
                let json = args.output.json;
                let layout = match json {
                    true => Layout::JsonLines,
                    false => text(""),
                };
                let mut words = args.words;
                if let Some(at) = words.iter().take(2).position(|word| word == "ct") {
                    if args.pcap.is_some() {
                        let message = "monitor ct has no packets to write to --pcap";
                        return Err(VerbError::Usage(message.to_owned()));
                    }
                    let filter = words.split_off(at + 1);
                    words.truncate(at);
                    let verb = Verb::MonitorConntrack { json, filter };
                    let request = Request {
                        bridge: words.pop(),
                        verb,
                    };
                    return Ok(Self {
                        socket: args.switch.socket,
                        request,
                        layout,
                    });
                }
                for word in words {
                    match word.as_str() {
                        "invalid_ttl" => invalid_ttl = true,
                        _ if word.parse::<u16>().is_ok() => {}
                        _ => bridge = Some(word),
                    }
                }
                (args.switch, bridge, Verb::Monitor { invalid_ttl }, layout)
            }
            Command::PacketOut(args) => {
                let mut packets = args.words;
                // A packet has actions; the name of a bridge has none.
                let is_bridge = packets.first().is_some_and(|word| !word.contains('='));
                let bridge = is_bridge.then(|| packets.remove(0));
                let verb = Verb::PacketOut { packets };
                (args.switch, bridge, verb, Layout::Silent)
            }
            Command::PmdRxqShow(args) => {
                let layout = shown(args.output.json, Layout::JsonRows);
                let verb = Verb::PmdRxqShow {
                    lcore: args.pmd,
                    seconds: args.secs,
                };
                (args.switch, args.bridge, verb, layout)
            }
            Command::PmdStatsShow(args) => {
                let layout = shown(args.output.json, Layout::JsonRows);
                (args.switch, args.bridge, Verb::PmdStatsShow, layout)
            }
            Command::Reload(args) => {
                let files = args.config.as_deref().map(policy_files).transpose()?;
                let verb = Verb::Reload {
                    files,
                    dry_run: args.dry_run,
                    exact: args.exact,
                    confirm: args.confirm,
                };
                (
                    args.switch,
                    None,
                    verb,
                    shown(args.output.json, Layout::JsonObject),
                )
            }
            Command::Confirm(args) => (args.switch, None, Verb::Confirm, Layout::Silent),
            Command::Rollback(args) => (args.switch, None, Verb::Rollback, Layout::Silent),
            Command::ReplaceFlows(args) => {
                let verb = Verb::ReplaceFlows {
                    file: read_text(&args.file)?,
                };
                (args.switch, args.bridge, verb, Layout::Silent)
            }
            Command::Trace(args) => {
                let (bridge, flow) = args.of_switch();
                let verb = Verb::Trace {
                    flow,
                    packet: args.packet,
                    ct_next: args.ct_next,
                };
                let layout = shown(args.output.json, Layout::JsonObject);
                (args.switch, bridge, verb, layout)
            }
            Command::Show(args) => {
                let layout = shown(args.output.json, Layout::JsonObject);
                (args.switch, args.bridge, Verb::Show, layout)
            }
            Command::Run(_)
            | Command::Check(_)
            | Command::DiffFlows(_)
            | Command::ParseFlows(_)
            | Command::Replay(_)
            | Command::Top(_) => {
                unreachable!("not one request to a running switch")
            }
        };
        Ok(Self {
            socket: switch.socket,
            request: Request { bridge, verb },
            layout,
        })
    }
}

fn change_group(args: ChangeGroup, command: GroupVerb) -> (Switch, Option<String>, Verb, Layout) {
    let group = Some(args.group);
    let verb = Verb::ChangeGroup { command, group };
    (args.switch, args.bridge, verb, Layout::Silent)
}

const fn text(heading: &'static str) -> Layout {
    Layout::Text {
        heading,
        statistics: Statistics::Shown,
    }
}

/// One argument alone may be the bridge or the verb's own; only the switch knows.
fn only_argument(
    first: Option<String>,
    second: Option<String>,
) -> (Option<String>, Option<String>) {
    match second {
        None => (None, first),
        Some(_) => (first, second),
    }
}

fn policy_files(path: &Path) -> Result<PolicyFiles, Diagnostic> {
    let config = read_text(path)?;
    let parsed = Config::parse(&config.name, &config.text)?;
    Ok(PolicyFiles {
        flows: parsed.flow_texts()?,
        groups: parsed.group_texts()?,
        config,
    })
}
