//! Follows a journey and writes down what a trajectory needs.
//!
//! A journey is refused, that is, not written down, if it did something that the next packet of
//! its key need not do: made, changed or did not find a connection; flooded or learned an
//! address; lost a copy; met a limit.

use smallvec::SmallVec;
use weir_ct::Recall;
use weir_packet::{Frame, Layout};

use super::headers::{Changes, Headers};
use super::program::{Ends, Op, Passed, Plan};
use super::sight::Sights;
use super::wire::WireOp;
use crate::action::TableId;
use crate::changes::TableSet;
use crate::drops::DropReason;
use crate::key::{FlowKey, word};
use crate::mac_table::MacPlace;
use crate::port::PortIndex;
use crate::program::Bits;
use crate::tunnel::Outer;

/// How many connections and MAC addresses an entry can refer to.
pub(crate) const REFS: usize = 4;

/// How many outputs through tunnels a journey can have.
const OUTERS: usize = 8;

/// Why a journey is not to be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Class,
    Connection,
    References,
    Address,
    Headers,
    Lost,
    PacketIn,
    FinTimeout,
    CutTunnel,
    NextHop,
    Tunnels,
}

impl Refusal {
    /// In words.
    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            Self::Class => "packets of this class have no key",
            Self::Connection => "a ct() finds no connection, or makes or changes one",
            Self::References => "it meets more connections and MAC addresses than an entry holds",
            Self::Address => "NORMAL learns an address or floods",
            Self::Headers => "its headers change in a way that no program does",
            Self::Lost => "it, or a copy of it, is lost",
            Self::PacketIn => "a controller hears of it",
            Self::FinTimeout => "it shortens the timeouts of a rule",
            Self::CutTunnel => "it is cut before it enters a tunnel",
            Self::NextHop => "a tunnel's next hop is to be asked whether it is there",
            Self::Tunnels => "it leaves through too many tunnels",
        }
    }
}

/// The notes of one journey.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(super) plan: Plan,
    pub(super) connections: SmallVec<[Recall; REFS]>,
    /// The packet's source, as NORMAL knows it.
    pub(super) mac_source: Option<MacPlace>,
    /// Its destination.
    pub(super) mac_destination: Option<MacPlace>,
    /// The first reason not to remember it.
    refused: Option<Refusal>,
    /// The bits of the flow key that decided, if the tables were walked.
    consulted: FlowKey,
    /// Whether somebody wants to know them.
    asks: bool,
    /// Whether something else than a look-up read the packet.
    read: bool,
    /// What is done to any frame of the port, if nothing reads the packet.
    pub(super) wire: Vec<WireOp>,
    /// The frame as it was sent last, or came in.
    headers: Option<Headers>,
    changes: Changes,
    /// VLAN tags and length of the frame as it came in.
    tags: u8,
    len: usize,
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self {
            plan: Plan {
                ops: Vec::with_capacity(32),
                outers: Vec::with_capacity(OUTERS),
                rules: Vec::with_capacity(64),
                drop: None,
                lookups: 0,
                passes: 0,
                longest: 0,
                least_ttl: 0,
                ends: Ends::ANY,
                tables: TableSet::default(),
                groups: Vec::with_capacity(8),
                written: FlowKey::ZERO,
                sights: Sights::new(),
                asks_for_ports: false,
            },
            connections: SmallVec::new(),
            mac_source: None,
            mac_destination: None,
            refused: Some(Refusal::Class),
            consulted: FlowKey::ZERO,
            asks: false,
            read: true,
            wire: Vec::with_capacity(32),
            headers: None,
            changes: Changes::default(),
            tags: 0,
            len: 0,
        }
    }

    /// Begins anew, with a frame as it came in.
    pub(crate) fn begin<F: Frame>(&mut self, frame: &F, layout: &Layout) {
        let plan = &mut self.plan;
        plan.ops.clear();
        plan.outers.clear();
        plan.rules.clear();
        plan.drop = None;
        plan.passes = 0;
        plan.longest = u32::MAX;
        plan.least_ttl = 0;
        plan.ends = Ends::ANY;
        plan.tables = TableSet::default();
        plan.groups.clear();
        plan.written.clear();
        plan.sights.clear();
        plan.asks_for_ports = false;
        self.connections.clear();
        (self.mac_source, self.mac_destination) = (None, None);
        self.headers = Headers::read(frame.head(), layout);
        self.len = frame.len();
        self.refused = match self.headers {
            Some(_) => None,
            None => Some(Refusal::Class),
        };
        self.consulted.clear();
        self.read = false;
        self.wire.clear();
        self.changes = Changes::default();
        self.tags = layout.vlan_tags;
    }

    /// Ends; returns whether there is something to remember.
    pub(crate) fn end(&mut self, lookups: u32, drop: Option<DropReason>) -> bool {
        self.plan.lookups = lookups;
        self.plan.drop = drop;
        self.plan.sights.end();
        self.refused.is_none() && self.refs() <= REFS
    }

    /// Says whether the next journey is to tell which bits decide.
    pub(crate) const fn ask(&mut self, asks: bool) {
        self.asks = asks;
    }

    pub(crate) const fn asks_tables(&self) -> bool {
        self.asks
    }

    /// This journey is no example.
    pub(crate) const fn refuse(&mut self, reason: Refusal) {
        if self.refused.is_none() {
            self.refused = Some(reason);
        }
    }

    /// Why the journey, which has ended, is not to be remembered, if it is not.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        let has_room = self.refs() <= REFS;
        self.refused.or((!has_room).then_some(Refusal::References))
    }

    pub(crate) const fn is_refused(&self) -> bool {
        self.refused.is_some()
    }

    /// What counts at `slot`, a rule or a bucket, was met by the frame, which had this length by
    /// then.
    pub(crate) fn matched(&mut self, slot: u32, len: usize) {
        if self.is_refused() {
            return;
        }
        let longer = len.cast_signed().wrapping_sub(self.len.cast_signed());
        match i8::try_from(longer) {
            Ok(longer) => self.plan.rules.push(Passed { slot, longer }),
            Err(_) => self.refuse(Refusal::Headers),
        }
    }

    /// The packet, which has this `key` by then, is looked up in `table`.
    #[inline]
    pub(crate) fn looked_up(&mut self, table: TableId, key: &FlowKey) {
        if !self.is_refused() {
            self.plan.sights.note(table, key);
        }
    }

    /// An action wrote to `dst` what it read from `src`; from a stack if that is `None`.
    pub(crate) fn moved(&mut self, src: Option<&Bits>, dst: &Bits) {
        if !self.is_refused() {
            match src {
                Some(src) => self.plan.sights.moved(src, dst),
                None => self.plan.sights.vary(dst),
            }
        }
    }

    /// An action reads the packet, or writes to it by what it reads.
    pub(crate) const fn read_packet(&mut self) {
        self.read = true;
    }

    /// Whether what was done to the packet depends on more than its input port.
    pub(super) fn reads_packet(&self) -> bool {
        let words = self.consulted.words();
        let tunnel = usize::from(word::TUN_ID)..usize::from(word::CT_STATE);
        let packet = usize::from(word::ETH_DST)..;
        let consults = words[tunnel]
            .iter()
            .chain(&words[packet])
            .chain(self.consulted.options().into_iter().flatten())
            .any(|&bits| bits != 0);
        self.read || consults || self.writes_beside_macs()
    }

    /// Whether an action wrote something else of the packet than a whole MAC address.
    fn writes_beside_macs(&self) -> bool {
        const MAC: u64 = 0xffff_ffff_ffff << 16;
        let words = self.plan.written.words();
        let (macs, behind) = words[usize::from(word::ETH_DST)..].split_at(2);
        macs.iter().any(|&bits| bits != 0 && bits != MAC) || behind.iter().any(|&bits| bits != 0)
    }

    /// The longest frame, in bytes, that goes this way if it has no tag.
    pub(super) const fn longest_untagged(&self) -> usize {
        (self.plan.longest as usize).saturating_sub(4 * self.tags as usize)
    }

    /// A pass was made through `tables`, whose actions wrote `written`. `consulted`: the bits
    /// that decided, if the tables were walked.
    pub(crate) fn passed(
        &mut self,
        tables: &TableSet,
        written: &FlowKey,
        consulted: Option<&FlowKey>,
    ) {
        // What came of a refused journey is only asked where all tables are walked.
        if self.is_refused() && consulted.is_none() {
            self.read = true;
            return;
        }
        match consulted {
            Some(consulted) => self.consulted.add(consulted),
            None => self.read = true,
        }
        self.plan.passes += 1;
        self.plan.tables.insert_all(tables);
        self.plan.written.add(written);
    }

    /// Actions of a bucket, which are part of no pass, wrote `written`.
    pub(crate) fn wrote(&mut self, written: &FlowKey) {
        if !self.is_refused() {
            self.plan.written.add(written);
        }
    }

    /// A group ran some of its buckets, or could not.
    pub(crate) fn passed_group(&mut self, id: u32) {
        if !self.is_refused() && !self.plan.groups.contains(&id) {
            self.plan.groups.push(id);
        }
    }

    /// It depended on which ports there are what became of the packet.
    pub(crate) const fn asked_for_ports(&mut self) {
        self.plan.asks_for_ports = true;
    }

    /// A `ct()` said this of its connection.
    pub(crate) fn met(&mut self, recall: Option<Recall>, translates: bool) {
        let Some(recall) = recall else {
            return self.refuse(Refusal::Connection);
        };
        if translates {
            let written = self.plan.written.words_mut();
            let tuple = usize::from(word::IPV4)..usize::from(word::IP);
            written[tuple].fill(u64::MAX);
            written[usize::from(word::L4)] = u64::MAX;
        }
        match self
            .connections
            .iter()
            .find(|other| other.place == recall.place)
        {
            Some(other) if other.version == recall.version => {}
            Some(_) => self.refuse(Refusal::Connection),
            None if self.connections.len() == REFS => self.refuse(Refusal::References),
            None => self.connections.push(recall),
        }
    }

    /// NORMAL learned the packet's source; this is where it was known before.
    pub(crate) fn learned(&mut self, known: Option<MacPlace>) {
        Self::note(&mut self.mac_source, known, &mut self.refused);
    }

    /// NORMAL looked for the packet's destination; this is where it is known.
    pub(crate) fn looked_for(&mut self, known: Option<MacPlace>) {
        Self::note(&mut self.mac_destination, known, &mut self.refused);
    }

    fn note(noted: &mut Option<MacPlace>, known: Option<MacPlace>, refused: &mut Option<Refusal>) {
        let is_other = noted.is_some_and(|noted| Some(noted) != known);
        if refused.is_none() && (known.is_none() || is_other) {
            *refused = Some(Refusal::Address);
        }
        *noted = known;
    }

    /// How many references the entry has to hold.
    fn refs(&self) -> usize {
        self.connections.len()
            + usize::from(self.mac_source.is_some())
            + usize::from(self.mac_destination.is_some())
    }

    /// The TTL was decremented, as `changes` has it by now. Of one that was written in part, what
    /// the packet brought does not say how often that goes well.
    pub(crate) fn decremented_ttl(&mut self, changes: Changes) {
        if changes.mixes_ttl() {
            self.refuse(Refusal::Headers);
        }
        let less = changes.ttl_less();
        self.plan.least_ttl = self.plan.least_ttl.max(less.saturating_add(1));
    }

    /// `check_pkt_larger` found the packet, without its tags, larger than `size` or not.
    pub(crate) fn measured(&mut self, size: u16, is_larger: bool) {
        let end = u32::from(size) + 4 * u32::from(self.tags);
        let ends = &mut self.plan.ends;
        if is_larger {
            ends.first = ends.first.max(end + 1);
        } else {
            ends.last = ends.last.min(end);
        }
    }

    /// A frame, or its first `max_len` bytes, was sent to a port of this MTU.
    pub(crate) fn sent(
        &mut self,
        port: PortIndex,
        mtu: u16,
        max_len: u32,
        head: &[u8],
        layout: &Layout,
        changes: Changes,
    ) {
        if !self.rewritten(head, layout, changes) {
            return;
        }
        // What is cut short enough can be as long as it likes.
        if max_len > u32::from(mtu) + 14 + 4 * u32::from(layout.vlan_tags) {
            // A tag more or less makes both the frame and what may be sent longer or shorter.
            let longest = u32::from(mtu) + 14 + 4 * u32::from(self.tags);
            self.plan.longest = self.plan.longest.min(longest);
        }
        self.plan.ops.push(match max_len {
            u32::MAX => Op::Output(port),
            max_len => Op::OutputCut(port, max_len),
        });
        if let Some(macs) = changes.mac_writes(head) {
            self.wire.push(WireOp::Macs(macs));
        }
        self.wire.push(WireOp::Output(port));
    }

    /// A frame was sent through a tunnel with these headers around it, which are put around
    /// frames of at most `longest` bytes.
    pub(crate) fn wrapped(
        &mut self,
        outer: &Outer,
        longest: usize,
        head: &[u8],
        layout: &Layout,
        changes: Changes,
    ) {
        if !self.rewritten(head, layout, changes) {
            return;
        }
        let plan = &mut self.plan;
        if plan.outers.len() == OUTERS {
            return self.refuse(Refusal::Tunnels);
        }
        // As it came in it may be longer by the tags that were taken off.
        let tags = 4 * (i32::from(self.tags) - i32::from(layout.vlan_tags));
        let longest = (longest as u32).saturating_add_signed(tags);
        plan.longest = plan.longest.min(longest);
        plan.ops.push(Op::Wrapped(plan.outers.len() as u8));
        plan.outers.push(outer.clone());
    }

    /// Notes what was done to the headers of a frame that is sent now. Returns false if nothing
    /// is written down any more.
    fn rewritten(&mut self, head: &[u8], layout: &Layout, changes: Changes) -> bool {
        if self.is_refused() {
            return false;
        }
        let (Some(before), Some(after)) = (self.headers, Headers::read(head, layout)) else {
            self.refuse(Refusal::Headers);
            return false;
        };
        if !before.difference(self.changes, &after, changes, &mut self.plan.ops) {
            self.refuse(Refusal::Headers);
            return false;
        }
        // Another copy than the last, with an address that only the packet tells.
        self.read |= self.changes.forgets_macs(changes);
        (self.headers, self.changes) = (Some(after), changes);
        true
    }
}
