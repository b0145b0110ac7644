//! Packets on their way to a controller.
//!
//! An lcore puts packet-ins into a ring, the management thread takes them out. Their memory is made
//! at start and goes round: what has been read comes back empty through a second ring. So an lcore
//! neither allocates nor waits; if nothing comes back in time, the packet-in is lost by name.
//!
//! Ports have a rate each ([`PacketInSettings`]), so that what one tenant sends to the controller
//! does not take the others' places.
//!
//! Threads: one lcore has the [`PacketInSender`], the management thread the [`PacketIns`].
//! Cost: a copy of the frame and of the flow key; a load and a store for each ring.

use rtrb::{Consumer, Producer, RingBuffer};
use weir_packet::{Frame, Layout, Tick};

use crate::action::{PacketInReason, TableId};
use crate::drops::DropReason;
use crate::extract::PacketWords;
use crate::key::FlowKey;
use crate::port::PortIndex;

#[cfg(test)]
mod tests;

/// Bytes of a frame that a packet-in holds at most: a jumbo frame with two tags.
pub const DATA_MAX: usize = 9_216;
/// Bytes of `userdata` that a packet-in holds at most.
pub const USERDATA_MAX: usize = 256;

/// How many packet-ins there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketInSettings {
    /// Packet-ins that wait for the management thread, per lcore.
    pub waiting: usize,
    /// Packet-ins per second and input port.
    pub rate: u32,
    /// How many may come at once.
    pub burst: u32,
}

impl Default for PacketInSettings {
    fn default() -> Self {
        Self {
            waiting: 256,
            rate: 1_000,
            burst: 250,
        }
    }
}

/// A packet for a controller.
#[derive(Clone, Debug)]
pub struct PacketIn {
    /// When it came.
    pub at: Tick,
    /// Why it was sent.
    pub reason: PacketInReason,
    /// The table of the rule that sent it.
    pub table: TableId,
    /// That rule's cookie; `None`: no rule sent it.
    pub cookie: Option<u64>,
    /// Which controller it is for.
    pub controller: u16,
    /// What the tables knew of the packet.
    pub key: FlowKey,
    /// What the action said.
    pub userdata: Vec<u8>,
    /// Length of the frame, in bytes.
    pub total_len: usize,
    /// The frame, or as much of it as there was room for ([`DATA_MAX`]).
    pub data: Vec<u8>,
}

impl PacketIn {
    fn new() -> Self {
        Self {
            at: Tick::ZERO,
            reason: PacketInReason::Action,
            table: TableId(0),
            cookie: None,
            controller: 0,
            key: FlowKey::ZERO,
            userdata: Vec::with_capacity(USERDATA_MAX),
            total_len: 0,
            data: Vec::with_capacity(DATA_MAX),
        }
    }
}

/// What the headers of a frame say.
pub fn packet_key(head: &[u8], layout: &Layout) -> FlowKey {
    let mut key = FlowKey::ZERO;
    PacketWords::read(head, layout).copy_to(&mut key);
    key
}

/// What is said of a packet-in beside its packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    pub(crate) reason: PacketInReason,
    pub(crate) table: TableId,
    pub(crate) cookie: Option<u64>,
    pub(crate) controller: u16,
    pub(crate) userdata: &'a [u8],
}

/// The lcore's end.
#[derive(Debug)]
pub struct PacketInSender {
    full: Producer<Box<PacketIn>>,
    empty: Consumer<Box<PacketIn>>,
    /// By input port.
    buckets: Vec<Bucket>,
    settings: PacketInSettings,
}

/// The management thread's end.
#[derive(Debug)]
pub struct PacketIns {
    full: Consumer<Box<PacketIn>>,
    empty: Producer<Box<PacketIn>>,
}

/// Input ports that have a bucket of their own; those beyond share the last one.
const BUCKETS: usize = 256;

/// Both ends. All memory is taken here.
pub fn channel(settings: PacketInSettings) -> (PacketInSender, PacketIns) {
    let (full, to_read) = RingBuffer::new(settings.waiting);
    let (mut empty, to_fill) = RingBuffer::new(settings.waiting);
    while empty.push(Box::new(PacketIn::new())).is_ok() {}
    let bucket = Bucket {
        millitokens: u64::from(settings.burst) * MILLI,
        filled: Tick::ZERO,
    };
    let sender = PacketInSender {
        full,
        empty: to_fill,
        buckets: vec![bucket; BUCKETS],
        settings,
    };
    let receiver = PacketIns {
        full: to_read,
        empty,
    };
    (sender, receiver)
}

impl PacketInSender {
    /// Hands a packet to the management thread.
    ///
    /// # Errors
    /// The port has used up its rate, or nothing was read for too long.
    pub(crate) fn send<F: Frame>(
        &mut self,
        port: PortIndex,
        frame: &F,
        key: &FlowKey,
        about: About<'_>,
        now: Tick,
    ) -> Result<(), DropReason> {
        let at = usize::from(port.0).min(self.buckets.len() - 1);
        if !self.buckets[at].take(&self.settings, now) {
            return Err(DropReason::PacketInLimited);
        }
        let Ok(mut event) = self.empty.pop() else {
            return Err(DropReason::PacketInFull);
        };
        event.at = now;
        event.reason = about.reason;
        event.table = about.table;
        event.cookie = about.cookie;
        event.controller = about.controller;
        event.key = *key;
        event.userdata.clear();
        let userdata = &about.userdata[..about.userdata.len().min(USERDATA_MAX)];
        event.userdata.extend_from_slice(userdata);
        event.total_len = frame.len();
        event.data.clear();
        for part in std::iter::once(frame.head()).chain(frame.tail()) {
            let room = DATA_MAX - event.data.len();
            event.data.extend_from_slice(&part[..part.len().min(room)]);
        }
        // There is room: as many go round as each ring holds.
        self.full.push(event).map_err(|_| DropReason::PacketInFull)
    }
}

impl PacketIns {
    /// Shows each packet-in that waits to `read`, in the order in which they came.
    pub fn drain(&mut self, mut read: impl FnMut(&PacketIn)) {
        while let Ok(event) = self.full.pop() {
            read(&event);
            // There is room, as in the other ring. An lcore that is gone needs none.
            let _ = self.empty.push(event);
        }
    }
}

/// Tokens are counted in thousandths.
const MILLI: u64 = 1_000;

/// A token bucket.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    millitokens: u64,
    filled: Tick,
}

impl Bucket {
    /// Takes a token; returns whether there was one.
    fn take(&mut self, settings: &PacketInSettings, now: Tick) -> bool {
        let elapsed = u64::try_from(now.since(self.filled).as_millis()).unwrap_or(u64::MAX);
        // So many per second are so many thousandths per millisecond.
        let come = elapsed.saturating_mul(settings.rate.into());
        let most = u64::from(settings.burst) * MILLI;
        self.millitokens = self.millitokens.saturating_add(come).min(most);
        self.filled = now;
        let left = self.millitokens.checked_sub(MILLI);
        self.millitokens = left.unwrap_or(self.millitokens);
        left.is_some()
    }
}
