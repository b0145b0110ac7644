//! The short way through the tracker, for a packet of which a cache knows the connection.
//!
//! What a cache remembers of a connection is a [`Recall`]: its slot, the version that the slot
//! had, and the packet's direction. The version changes with everything that a rule could see,
//! so as long as it stands, `ct()` says of the next packet what it said of the last, provided
//! that the packet itself is acceptable.
//!
//! Invariants
//!   1. [`Tracker::allows`] writes nothing. What it allows, [`Tracker::apply`] does, and the two
//!      together do what [`Tracker::execute`] does.
//!   2. A packet that would change what a rule can see is not allowed: it takes the long way.
//!
//! Cost: one cache line, the connection's hot half.

use weir_packet::{Layout, Tick};

use super::Tracker;
use crate::extract::Transport;
use crate::record::{Direction, Protocol};
use crate::tcp::{Segment, Tcp, Verdict};

/// A connection that a packet met, and that was afterwards as it was before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recall {
    /// Slot << 1 | direction.
    pub place: u32,
    /// The version of the slot.
    pub version: u64,
}

impl Recall {
    pub(super) const fn new(slot: u32, direction: Direction, version: u64) -> Self {
        let place = match direction {
            Direction::Original => slot << 1,
            Direction::Reply => slot << 1 | 1,
        };
        Self { place, version }
    }

    const fn slot(self) -> u32 {
        self.place >> 1
    }

    const fn direction(self) -> Direction {
        if self.place & 1 == 0 {
            Direction::Original
        } else {
            Direction::Reply
        }
    }
}

/// What a packet is to every connection on its way: read once, judged by each.
#[derive(Clone, Copy, Debug)]
pub struct Part(Transport);

impl Part {
    /// A TCP segment; `None` if its header is not acceptable in any connection.
    #[inline]
    pub fn tcp(head: &[u8], layout: &Layout) -> Option<Self> {
        let segment = Segment::read(head, layout).ok()?;
        Some(Self(Transport::Tcp(segment)))
    }

    /// A UDP datagram.
    pub const UDP: Self = Self(Transport::Datagram);

    /// An ICMP or ICMPv6 query or its answer.
    pub const QUERY: Self = Self(Transport::Query);
}

/// What a packet that was allowed makes of a connection.
#[derive(Clone, Copy, Debug)]
pub struct After(Tcp);

impl After {
    /// Nothing yet.
    pub const NOTHING: Self = Self(Tcp::UNHEARD);
}

impl Tracker {
    /// Asks for the part of a connection that [`Tracker::allows`] reads.
    #[inline]
    pub fn prefetch(&self, recall: Recall) {
        self.table.prefetch_hot(recall.slot());
    }

    /// Whether connections count what they carry.
    #[inline]
    pub fn is_accounting(&self) -> bool {
        self.table.is_accounting()
    }

    /// Asks for what [`Tracker::pass`] counts in.
    #[inline]
    pub fn prefetch_account(&self, recall: Recall) {
        self.table.prefetch_account(recall.slot());
    }

    /// Whether `ct()` would say of a packet what it said when `recall` was made; `after` is then
    /// for [`Tracker::apply`]. If not, or only after a change, the packet has to go the long way.
    /// Checksums are the caller's business. Writes nothing of the tracker's.
    #[inline]
    pub fn allows(&self, recall: Recall, part: &Part, now: Tick, after: &mut After) -> bool {
        let Some(hot) = self.table.all_hot().get(recall.slot() as usize) else {
            return false;
        };
        if hot.version != recall.version || hot.is_expired(now) {
            return false;
        }
        let direction = recall.direction();
        match (&hot.protocol, &part.0) {
            (Protocol::Datagram(datagram), Transport::Datagram) => {
                datagram.after(direction) == *datagram
            }
            (Protocol::Query(query), Transport::Query) => query.after(direction) == *query,
            (Protocol::Tcp(tcp), Transport::Tcp(segment)) => {
                after.0 = *tcp;
                let verdict = after.0.update(direction, segment);
                verdict == Verdict::Accepted && after.0.states() == tcp.states()
            }
            _ => false,
        }
    }

    /// [`Tracker::allows`] and [`Tracker::apply`] in one step, for a packet that meets one
    /// connection and of which nothing else can be refused any more. Returns whether it is
    /// allowed; if not, nothing is written. The packet has `size` bytes from the IP header on.
    /// `COUNTS` is [`Tracker::is_accounting`], asked once for many packets.
    #[inline(always)]
    pub fn pass<const COUNTS: bool>(
        &mut self,
        recall: Recall,
        part: &Part,
        size: u32,
        now: Tick,
    ) -> bool {
        let slot = recall.slot();
        let (hot, zones) = self.table.hot_and_zones(slot);
        let Some(hot) = hot else {
            return false;
        };
        if hot.version != recall.version || hot.is_expired(now) {
            return false;
        }
        let direction = recall.direction();
        let lifetimes = &zones.policy(hot.zone).lifetimes;
        let deadline = match (&mut hot.protocol, &part.0) {
            (Protocol::Datagram(datagram), Transport::Datagram) => {
                if datagram.after(direction) != *datagram {
                    return false;
                }
                lifetimes.after_datagram(*datagram, now)
            }
            (Protocol::Tcp(tcp), Transport::Tcp(segment)) => {
                let mut after = *tcp;
                let verdict = after.update(direction, segment);
                if verdict != Verdict::Accepted || after.states() != tcp.states() {
                    return false;
                }
                *tcp = after;
                lifetimes.after_segment(&after, now)
            }
            (Protocol::Query(query), Transport::Query) => {
                if query.after(direction) != *query {
                    return false;
                }
                lifetimes.after_query(*query, now)
            }
            _ => return false,
        };
        if deadline > hot.deadline {
            hot.deadline = deadline;
        } else if deadline != hot.deadline {
            self.bring_forward(slot, deadline, now);
        }
        if COUNTS {
            self.table.count(slot, direction, size);
        }
        true
    }

    /// Timeouts were made shorter since the last packet.
    #[cold]
    fn bring_forward(&mut self, slot: u32, deadline: Tick, now: Tick) {
        self.table.set_deadline(slot, deadline, now);
    }

    /// Tracks a packet that [`Tracker::allows`], to which `after` belongs, and that has `size` bytes
    /// from the IP header on.
    #[inline]
    pub fn apply(&mut self, recall: Recall, after: &After, size: u32, now: Tick) {
        let slot = recall.slot();
        let (Some(hot), zones) = self.table.hot_and_zones(slot) else {
            return;
        };
        let lifetimes = &zones.policy(hot.zone).lifetimes;
        if let Protocol::Tcp(tcp) = &mut hot.protocol {
            *tcp = after.0;
        }
        let deadline = lifetimes.deadline(&hot.protocol, now);
        if hot.deadline != deadline {
            self.table.set_deadline(slot, deadline, now);
        }
        self.table.count(slot, recall.direction(), size);
    }
}

#[cfg(test)]
mod tests;
