//! The control socket: how verbs reach a running switch.
//!
//! A client connects, writes one line of JSON (an [`Envelope`]), and reads lines of JSON, each a
//! [`Frame`], until one is [`Frame::Done`] or [`Frame::Failed`]. Nothing else is said on a
//! connection. Long answers come as many frames, so neither side holds one whole.
//!
//! ```text
//! client                     client's thread          management thread
//!   | {"version":1,...}\n ------> parse --- Request, ReplySender ---> |
//!   | {"flows":[...]}\n <-------- write <------- Frame -------------- |
//!   | "done"\n <----------------- write <------- Frame -------------- |
//! ```
//!
//! Invariants
//!   1. The management thread never waits for a client: see [`ReplySender`].
//!   2. What a client can hold is bounded: [`Limits`].
//!
//! Threads: one that accepts, one for each client; none of them touches an lcore.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::file::NamedText;
use crate::metrics::Sample;
use crate::show::{
    AggregateRow, ConnectionRow, CtStatsRow, DropRow, EventRow, ExpectedRow, FdbRow, FlowRow,
    FlowTableRow, GroupRow, GroupStatsRow, LcoreRow, LimitRow, NatRow, NeighbourRow, PolledRow,
    PortRow, ReloadReport, SwitchRow, TlvRow,
};
use crate::trace::TraceReport;

mod client;
mod reply;
mod server;
mod socket;
#[cfg(test)]
mod tests;

pub use client::{ClientError, Replies, call};
#[cfg(test)]
pub(crate) use reply::test_channel;
pub use reply::{Refused, ReplySender};
pub use server::{Asker, Incoming, Server};
pub use socket::SocketError;

/// The protocol's version. A switch answers only its own; [`Frame::Failed`] keeps its shape for
/// ever, so that it can say so.
pub const VERSION: u32 = 1;

/// What a client writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// [`VERSION`] of the client.
    pub version: u32,
    /// The request.
    pub request: Request,
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The bridge that was named, if it is certain to be one.
    pub bridge: Option<String>,
    /// What to do.
    pub verb: Verb,
}

/// What a client can ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Verb {
    /// Adds one flow.
    AddFlow {
        /// Its text.
        flow: String,
    },
    /// Executes all lines of a file, or none.
    AddFlows {
        /// The file.
        file: NamedText,
    },
    /// Executes all lines of a file of groups, or none.
    AddGroups {
        /// The file.
        file: NamedText,
    },
    /// Lets fields stand for Geneve options, all of them or none.
    AddTlvMap {
        /// Its text.
        map: String,
    },
    /// Executes all lines of a bundle of flows and groups, or none.
    Bundle {
        /// The file.
        file: NamedText,
    },
    /// Executes all lines of a file, or none.
    ChangeFlows {
        /// What lines without a command word mean.
        command: FlowVerb,
        /// The file.
        file: NamedText,
    },
    /// Changes one group.
    ChangeGroup {
        /// How.
        command: GroupVerb,
        /// Its text. May be the bridge's name where the command needs none.
        group: Option<String>,
    },
    /// Keeps what was loaded last.
    Confirm,
    /// Takes limits of zones away.
    CtDelLimits {
        /// Which, as words of the command line. The first may be the bridge's name.
        limits: Vec<String>,
    },
    /// Answered by [`Frame::Limits`].
    CtGetLimits {
        /// Which, as words of the command line. The first may be the bridge's name.
        limits: Vec<String>,
    },
    /// Limits how many connections zones may have.
    CtSetLimits {
        /// To what, as words of the command line. The first may be the bridge's name.
        limits: Vec<String>,
    },
    /// Answered by [`Frame::Lines`] or, for `json`, [`Frame::CtStats`].
    CtStatsShow {
        /// Whether lines tell of states and zones, too.
        more: bool,
        /// Whether a row is wanted instead of lines.
        json: bool,
        /// Of which connections, as words of the command line. The first may be the bridge's name.
        filter: Vec<String>,
    },
    /// Deletes flows.
    DelFlows {
        /// Whether `matching` means one flow.
        strict: bool,
        /// Which; `None`: all. May be the bridge's name: see [`Request::for_bridge`].
        matching: Option<String>,
    },
    /// Lets fields stand for no option any more.
    DelTlvMap {
        /// Which; `None`: all. May be the bridge's name.
        map: Option<String>,
    },
    /// Answered by [`Frame::Lines`] or, for `json`, [`Frame::Connections`].
    DumpConntrack {
        /// `-m`
        more: bool,
        /// `-s`
        statistics: bool,
        /// Whether rows are wanted instead of lines.
        json: bool,
        /// Which, as words of the command line. The first may be the bridge's name.
        filter: Vec<String>,
    },
    /// Answered by [`Frame::Lines`] or, for `json`, [`Frame::Expected`].
    DumpConntrackExp {
        /// Whether rows are wanted instead of lines.
        json: bool,
        /// Which, as words of the command line. The first may be the bridge's name.
        filter: Vec<String>,
    },
    /// Answered by [`Frame::Drops`].
    DumpDrops,
    /// Answered by [`Frame::Aggregate`].
    DumpAggregate {
        /// Which; `None`: all. May be the bridge's name.
        matching: Option<String>,
    },
    /// Answered by [`Frame::Flows`].
    DumpFlows {
        /// Which; `None`: all. May be the bridge's name.
        matching: Option<String>,
        /// How they are shown.
        style: FlowStyle,
    },
    /// Answered by [`Frame::Tables`].
    DumpTables,
    /// Answered by [`Frame::Groups`].
    DumpGroups {
        /// Which; `None`: all. May be the bridge's name.
        group: Option<String>,
    },
    /// Answered by [`Frame::GroupStats`].
    DumpGroupStats {
        /// Which; `None`: all. May be the bridge's name.
        group: Option<String>,
    },
    /// Answered by [`Frame::TlvMap`].
    DumpTlvMap,
    /// Answered by [`Frame::Ports`].
    DumpPorts {
        /// A name or number; `None`: all. May be the bridge's name.
        port: Option<String>,
    },
    /// Forgets what NORMAL has learned.
    FdbFlush,
    /// Answered by [`Frame::Fdb`].
    FdbShow,
    /// Forgets connections.
    FlushConntrack {
        /// Which, as words of the command line. The first may be the bridge's name.
        filter: Vec<String>,
    },
    /// Answered by [`Frame::Sample`].
    Metrics,
    /// Answered by [`Frame::Events`], until the client goes.
    Monitor {
        /// Whether it wants packets whose TTL has run out.
        invalid_ttl: bool,
    },
    /// Answered by [`Frame::Events`], until the client goes.
    MonitorConntrack {
        /// Whether rows are wanted instead of lines.
        json: bool,
        /// Which connections, as words of the command line.
        filter: Vec<String>,
    },
    /// Changes the actions of flows, or adds one if there is none.
    ModFlows {
        /// Whether `flow` means one flow.
        strict: bool,
        /// Its text.
        flow: String,
    },
    /// Switches something on or off at a port.
    ModPort {
        /// A name or number.
        port: String,
        /// What.
        change: PortChange,
    },
    /// Sends packets.
    PacketOut {
        /// Each as text.
        packets: Vec<String>,
    },
    /// Answered by [`Frame::Trace`].
    Trace {
        /// The packet as flow text.
        flow: String,
        /// Its frame in hexadecimal; `None`: it is made of the flow.
        packet: Option<String>,
        /// What recirculations are told that ct() said, in order.
        ct_next: Vec<String>,
    },
    /// Answered by [`Frame::Nat`].
    NatShow,
    /// Answered by [`Frame::Neighbours`].
    NeighShow,
    /// Answered by [`Frame::Polled`].
    PmdRxqShow {
        /// The number of an lcore; `None`: all.
        lcore: Option<u32>,
        /// Over how many seconds, 1 to 60.
        seconds: u32,
    },
    /// Answered by [`Frame::Lcores`].
    PmdStatsShow,
    /// Answered by [`Frame::Reloaded`].
    Reload {
        /// What to load, read by the client: the switch opens no file that a client names.
        /// `None`: the files it runs.
        files: Option<PolicyFiles>,
        /// Change nothing.
        dry_run: bool,
        /// Also undo changes made by hand.
        exact: bool,
        /// Undo it all after so many seconds, unless [`Verb::Confirm`] comes before.
        confirm: Option<u32>,
    },
    /// Undoes what was loaded last and waits to be confirmed.
    Rollback,
    /// Makes the tables hold exactly the flows of a file.
    ReplaceFlows {
        /// The file.
        file: NamedText,
    },
    /// Answered by [`Frame::Switch`].
    Show,
}

/// How `dump-flows` shows flows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowStyle {
    /// Ports by name instead of by number.
    pub names: bool,
    /// What they are sorted by; the first counts most. Empty: by table, then descending priority,
    /// then age.
    pub sort: Vec<SortBy>,
}

/// One thing that flows are sorted by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SortBy {
    /// A field, or `priority`.
    pub field: String,
    /// Whether the largest comes first.
    pub descending: bool,
}

/// What is done with the flows of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlowVerb {
    /// `mod-flows`
    Modify,
    /// `mod-flows --strict`
    ModifyStrict,
    /// `del-flows`
    Delete,
    /// `del-flows --strict`
    DeleteStrict,
}

/// What `mod-port` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortChange {
    /// `up`
    Up,
    /// `down`
    Down,
    /// `receive`
    Receive,
    /// `no-receive`
    NoReceive,
    /// `flood`
    Flood,
    /// `no-flood`
    NoFlood,
    /// `forward`
    Forward,
    /// `no-forward`
    NoForward,
}

/// What `add-group` and its kin do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupVerb {
    /// `add-group`
    Add,
    /// `mod-group`
    Modify,
    /// `mod-group --may-create`
    AddOrModify,
    /// `del-groups`
    Delete,
    /// `insert-buckets`
    InsertBuckets,
    /// `remove-buckets`
    RemoveBuckets,
}

/// A configuration and the files of the policy that it names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyFiles {
    /// The configuration.
    pub config: NamedText,
    /// Its flow files, in its order.
    pub flows: Vec<NamedText>,
    /// Its group files, in its order.
    pub groups: Vec<NamedText>,
}

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Frame {
    /// The sum over flows.
    Aggregate(AggregateRow),
    /// Some connections.
    Connections(Vec<ConnectionRow>),
    /// How many connections there are of each kind.
    CtStats(Box<CtStatsRow>),
    /// Drops by reason.
    Drops(Vec<DropRow>),
    /// Connections that are expected.
    Expected(Vec<ExpectedRow>),
    /// Some events; none: nothing happened lately.
    Events(Vec<EventRow>),
    /// Some learned MAC addresses.
    Fdb(Vec<FdbRow>),
    /// Some flows.
    Flows(Vec<FlowRow>),
    /// Groups.
    Groups(Vec<GroupRow>),
    /// What groups counted.
    GroupStats(Vec<GroupStatsRow>),
    /// Which Geneve options are which fields.
    TlvMap(Vec<TlvRow>),
    /// Each lcore.
    Lcores(Vec<LcoreRow>),
    /// How many connections zones may have and have.
    Limits(Vec<LimitRow>),
    /// Lines to print as they are.
    Lines(Vec<String>),
    /// Ranges of translations.
    Nat(Vec<NatRow>),
    /// The next hops of tunnels.
    Neighbours(Vec<NeighbourRow>),
    /// Each lcore with the receive queues that it polls.
    Polled(Vec<PolledRow>),
    /// Each port's statistics.
    Ports(Vec<PortRow>),
    /// What reload did or would do.
    Reloaded(ReloadReport),
    /// All that Prometheus is told.
    Sample(Box<Sample>),
    /// The switch and its ports.
    Switch(Box<SwitchRow>),
    /// What would become of a packet.
    Trace(Box<TraceReport>),
    /// Flow tables that hold flows.
    Tables(Vec<FlowTableRow>),
    /// The end: all went well.
    Done,
    /// The end: nothing was changed.
    Failed(Failure),
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Whose fault it is.
    pub kind: FailureKind,
    /// What to tell the user; may have several lines.
    pub message: String,
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The request's: exit code 1.
    Input,
    /// The switch's: it is too busy, stops, or speaks another version. Exit code 3.
    Unreachable,
}

/// What a client can take of the switch, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Clients at once; a further one is told so and cut off.
    pub clients: usize,
    /// Bytes of one request.
    pub request_size: usize,
    /// Bytes of all requests that are being read.
    pub requests_size: usize,
    /// Time for a client to write its request.
    pub request_time: Duration,
    /// Time for the management thread to produce the next frame.
    pub answer_time: Duration,
    /// Time for a client to read one frame.
    pub frame_time: Duration,
    /// Time for a client to read its whole answer.
    pub reply_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            clients: 32,
            request_size: 256 << 20,
            requests_size: 512 << 20,
            request_time: Duration::from_secs(10),
            answer_time: Duration::from_secs(60),
            frame_time: Duration::from_secs(10),
            reply_time: Duration::from_secs(600),
        }
    }
}

impl Request {
    /// Takes out the bridge's name, which verbs accept before their own arguments.
    ///
    /// # Errors
    /// If another bridge than `own` was named.
    pub fn for_bridge(mut self, own: &str) -> Result<Verb, Failure> {
        if let Some(other) = self.bridge.filter(|name| name != own) {
            let message = format!("there is no bridge {other}: this switch's is {own}");
            return Err(Failure::input(message));
        }
        // Given as the only argument: the client could not tell what it is.
        match &mut self.verb {
            Verb::DelFlows { matching: word, .. }
            | Verb::DumpAggregate { matching: word }
            | Verb::DumpFlows { matching: word, .. }
            | Verb::DumpGroups { group: word }
            | Verb::DumpGroupStats { group: word }
            | Verb::ChangeGroup {
                command: GroupVerb::Delete,
                group: word,
            }
            | Verb::DelTlvMap { map: word }
            | Verb::DumpPorts { port: word } => {
                word.take_if(|word| word == own);
            }
            Verb::DumpConntrack { filter: words, .. }
            | Verb::DumpConntrackExp { filter: words, .. }
            | Verb::FlushConntrack { filter: words }
            | Verb::CtDelLimits { limits: words }
            | Verb::CtGetLimits { limits: words }
            | Verb::CtSetLimits { limits: words }
            | Verb::CtStatsShow { filter: words, .. } => {
                if words.first().is_some_and(|word| word == own) {
                    words.remove(0);
                }
            }
            Verb::AddFlow { .. }
            | Verb::AddFlows { .. }
            | Verb::AddGroups { .. }
            | Verb::AddTlvMap { .. }
            | Verb::DumpTlvMap
            | Verb::Bundle { .. }
            | Verb::ChangeFlows { .. }
            | Verb::ChangeGroup { .. }
            | Verb::DumpDrops
            | Verb::DumpTables
            | Verb::FdbFlush
            | Verb::FdbShow
            | Verb::Metrics
            | Verb::ModFlows { .. }
            | Verb::ModPort { .. }
            | Verb::Monitor { .. }
            | Verb::MonitorConntrack { .. }
            | Verb::PacketOut { .. }
            | Verb::NatShow
            | Verb::NeighShow
            | Verb::PmdRxqShow { .. }
            | Verb::PmdStatsShow
            | Verb::Trace { .. }
            | Verb::Reload { .. }
            | Verb::ReplaceFlows { .. }
            | Verb::Confirm
            | Verb::Rollback
            | Verb::Show => {}
        }
        Ok(self.verb)
    }
}

impl Verb {
    /// Whether it changes the policy or settings; what it does to connections, learned addresses and
    /// packets does not count.
    pub const fn changes_policy(&self) -> bool {
        match self {
            Self::AddFlow { .. }
            | Self::AddFlows { .. }
            | Self::AddGroups { .. }
            | Self::AddTlvMap { .. }
            | Self::Bundle { .. }
            | Self::ChangeFlows { .. }
            | Self::ChangeGroup { .. }
            | Self::CtDelLimits { .. }
            | Self::CtSetLimits { .. }
            | Self::DelFlows { .. }
            | Self::DelTlvMap { .. }
            | Self::ModFlows { .. }
            | Self::ModPort { .. }
            | Self::ReplaceFlows { .. } => true,
            Self::Reload { dry_run, .. } => !*dry_run,
            _ => false,
        }
    }
}

impl Failure {
    /// The request is wrong.
    pub fn input(message: impl std::fmt::Display) -> Self {
        Self {
            kind: FailureKind::Input,
            message: message.to_string(),
        }
    }

    /// The switch cannot answer.
    pub fn unreachable(message: impl std::fmt::Display) -> Self {
        Self {
            kind: FailureKind::Unreachable,
            message: message.to_string(),
        }
    }
}
