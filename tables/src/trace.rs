//! What would become of a packet, told step by step, while nothing changes.
//!
//! The packet takes the way of any other: the same pipeline runs, with a [`Witness`] that is told
//! what happens, on a connection tracker in rehearsal and on copies of all else that it writes to.
//! So what is told is what would be done, and nothing of it is done.
//!
//! A story has a section for each pass that begins with the packet or with a recirculation, as
//! `ofproto/trace` of Open vSwitch has.
//!
//! Threads: an lcore tells, between two bursts; whoever asked reads.
//! Cost: that of the packet without caches, and copies of the MAC table and of some memory for
//! connections. Allocates.
//!
//! [`Witness`]: crate::pipeline::witness::Witness

use std::net::IpAddr;

use weir_ct::{Commit, CtDrop, CtState, Entry};
use weir_nat::{NatSpec, Translation};

use crate::action::{Action, PacketInReason, TableId};
use crate::drops::DropReason;
use crate::field::Field;
use crate::key::FlowKey;
use crate::matching::Match;
use crate::port::{PortIndex, PortNo};
use crate::rule::Rule;
use crate::tunnel::TunnelKind;

mod teller;

pub(crate) use teller::Teller;

/// Which packet.
#[derive(Clone, Debug)]
pub struct Question {
    /// The port at which it comes in.
    pub in_port: PortNo,
    /// The frame.
    pub frame: Vec<u8>,
    /// What else the tables see of it at first: registers, metadata, ct_state and so on.
    pub metadata: FlowKey,
    /// What the first recirculations are told that ct() said, in order.
    pub states: Vec<CtState>,
}

/// What would become of it.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// What happened before any table, if anything did.
    pub arrival: Option<Arrival>,
    /// Its passes, those of recirculations in the order in which ct() forked them.
    pub sections: Vec<Section>,
    /// The frames that would leave, in order.
    pub sent: Vec<(PortNo, Vec<u8>)>,
    /// Why the packet, or copies of it, would be lost.
    pub drops: Vec<DropReason>,
    /// Packet-ins.
    pub packet_ins: Vec<PacketInStory>,
    /// What the trajectory cache knows of the packet.
    pub trajectory: CacheStory,
    /// How many of [`Question::states`] no recirculation asked for.
    pub unused_states: usize,
    /// Whether a ct() would keep the packet, or go on with the datagram of which it is the last
    /// piece.
    pub is_gathered: bool,
}

/// What becomes of a frame at a port that tunnels ride on, or of a runt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The outer headers are taken off; it goes on as one from this port.
    Decapsulated(PortNo),
    /// It is for the switch itself, which answers.
    Answered,
    /// It is lost before any table sees it.
    Dropped(DropReason),
}

/// A pass, and all that is not a recirculation.
#[derive(Clone, Debug)]
pub struct Section {
    /// What began it; `None`: the packet came in.
    pub resumed: Option<Resumed>,
    /// What the tables saw at first.
    pub start: FlowKey,
    /// The same at the end.
    pub end: FlowKey,
    /// What happened.
    pub nodes: Vec<Node>,
    /// The look-ups as the megaflow cache sees them; that of the section itself is the last.
    pub megaflows: Vec<MegaflowStory>,
    /// What is done to the frame.
    pub effects: Vec<Effect>,
}

/// A recirculation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// Which one, from 1.
    pub id: usize,
    /// Where it begins.
    pub table: TableId,
    /// Whether [`Question::states`] said what ct() is to have said.
    pub forced: bool,
}

/// Something that happened, and what it caused.
#[derive(Clone, Debug)]
pub struct Node {
    /// What.
    pub told: Told,
    /// What it caused.
    pub nodes: Vec<Self>,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Told {
    /// A table was looked up.
    Table {
        /// Which.
        table: TableId,
        /// The rule that matched.
        rule: Option<RuleStory>,
    },
    /// An action.
    Action(Action),
    /// `clear_actions`
    ClearActions,
    /// `write_actions(...)`
    WriteActions(Vec<Action>),
    /// `write_metadata:VALUE/MASK`
    WriteMetadata(u64, u64),
    /// `goto_table:N`
    Goto(TableId),
    /// Nothing: the packet goes nowhere from here.
    Drop,
    /// The action set is executed.
    ActionSet,
    /// A bucket, by its ID or else its place.
    Bucket(u32),
    /// More about what it belongs to.
    Note(Note),
}

/// A rule of a table.
#[derive(Clone, Debug)]
pub struct RuleStory {
    /// Its match.
    pub matches: Box<Match>,
    /// Its priority.
    pub priority: u16,
    /// Its cookie.
    pub cookie: u64,
}

impl RuleStory {
    fn of(rule: &Rule) -> Self {
        Self {
            matches: Box::new(rule.matches()),
            priority: rule.priority,
            cookie: rule.cookie,
        }
    }
}

/// More about something.
#[derive(Clone, Debug)]
pub enum Note {
    /// The action set holds these now.
    ActionSetIs(Vec<Action>),
    /// A clause of the conjunction by which a rule matched.
    Clause {
        /// `conj_id`
        id: u32,
        /// Which ones of them, from 1.
        clauses: Vec<u8>,
        /// Of how many.
        of: u8,
        /// The rule that is the clause.
        rule: RuleStory,
    },
    /// The bucket that was chosen, by its ID or else its place.
    Chosen(Option<u32>),
    /// What a look-up sees in place of in_port.
    SeenAt(PortNo),
    /// A look-up sees the connection's original tuple.
    SeenAsOriginal,
    /// What a `ct()` came to.
    Ct(Box<CtStory>),
    /// A `ct()` in this zone met a piece of a datagram.
    Gathered {
        /// Which zone.
        zone: u16,
    },
    /// A recirculation will begin.
    Recirculates {
        /// Which.
        id: usize,
        /// Where.
        table: TableId,
    },
    /// What follows in the list sees an untracked packet.
    Untracked,
    /// NORMAL would learn an address.
    Learns {
        /// The address.
        mac: [u8; 6],
        /// In which VLAN.
        vlan: u16,
        /// Behind which port.
        port: PortIndex,
    },
    /// NORMAL looked for the destination.
    Bridges {
        /// In which VLAN.
        vlan: u16,
        /// Behind which port it is.
        found: Option<PortIndex>,
        /// What is done about it.
        how: Bridging,
    },
    /// The packet enters a tunnel.
    Wrapped(WrapStory),
    /// A tunnel's next hop is not known.
    UnknownHop {
        /// The port below.
        over: PortIndex,
        /// Its address.
        ip: IpAddr,
        /// Whether it is asked for.
        ask: bool,
    },
    /// A controller hears of the packet.
    PacketIn(PacketInStory),
    /// An action sends the packet nowhere.
    Nowhere(DropReason),
    /// The packet, or a copy, is lost.
    Dropped(DropReason),
}

/// What NORMAL does with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bridging {
    /// It goes to the port behind which its destination is.
    Forwards,
    /// It goes to all ports of its VLAN.
    Floods,
    /// Its destination is where it came from.
    Drops,
}

/// Who hears of the packet, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketInStory {
    /// Why.
    pub reason: PacketInReason,
    /// Which controller.
    pub controller: u16,
}

/// What a `ct()` came to.
#[derive(Clone, Debug)]
pub struct CtStory {
    /// The zone.
    pub zone: u16,
    /// What it says of the packet; `None`: it drops it.
    pub state: Result<CtState, CtDrop>,
    /// `ct_mark`
    pub mark: u32,
    /// `ct_label`
    pub label: u128,
    /// The packet's connection as it is.
    pub before: Option<Entry>,
    /// The connection as it would be.
    pub after: Option<Entry>,
    /// The counters that would count.
    pub counted: Vec<&'static str>,
    /// The packet has met more connections than a trace can follow, so this may not be right.
    pub beyond: bool,
    /// What the headers become.
    pub translation: Option<Translation>,
}

/// The outer headers of a packet that enters a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrapStory {
    /// The tunnel port.
    pub tunnel: PortIndex,
    /// The port below.
    pub over: PortIndex,
    /// How.
    pub kind: TunnelKind,
    /// The key, if the header has one.
    pub key: Option<u32>,
    /// Destination and source.
    pub macs: [[u8; 6]; 2],
    /// Destination and source.
    pub ips: [IpAddr; 2],
    /// Size of all outer headers in bytes.
    pub size: usize,
}

/// What is done to a frame.
#[derive(Clone, Debug)]
pub enum Effect {
    /// It is sent, or its first bytes are.
    Output {
        /// To this port.
        port: PortNo,
        /// At most so many; `None`: all.
        max_len: Option<u32>,
    },
    /// Header fields get these values.
    Set(Vec<(Field, u128)>),
    /// It gets a tag.
    PushVlan(u16),
    /// It loses one.
    PopVlan,
    /// It is tracked.
    Ct {
        /// In this zone.
        zone: u16,
        /// What is committed.
        commit: Option<Commit>,
        /// How it is translated.
        nat: Option<NatSpec>,
    },
    /// A copy goes on in this recirculation.
    Recirculate(usize),
    /// A controller gets a copy.
    PacketIn(PacketInStory),
    /// What follows is done to a copy.
    CopyBegins,
    /// The copy is done with.
    CopyEnds,
}

/// A walk through tables as the megaflow cache sees it.
#[derive(Clone, Debug)]
pub struct MegaflowStory {
    /// Where it begins.
    pub table: TableId,
    /// What the tables saw at first.
    pub start: FlowKey,
    /// The bits of it that decide, as an entry would have them.
    pub consulted: FlowKey,
    /// Why the cache does not remember it; `None`: it could.
    pub unfit: Option<&'static str>,
    /// What it knows of it.
    pub cache: CacheStory,
}

/// What a cache knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CacheStory {
    /// There is no such cache.
    #[default]
    Absent,
    /// It would answer.
    Hit,
    /// It would not.
    Miss(String),
}
