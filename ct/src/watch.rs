//! What becomes of connections, for somebody who wants to hear of it.
//!
//! While somebody does, each change is copied into an array of fixed size; who listens takes the
//! array and leaves an empty one. What has no room is counted, and never waited for.
//!
//! Cost: while nobody listens, one branch for each connection made, changed or ended; nothing for
//! other packets.

use std::net::Ipv4Addr;
use std::time::Duration;

use weir_packet::{IpPair, Tick, Tuple};

use crate::entry::{Entry, ProtocolInfo};
use crate::record::Ending;

/// Something that happened to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Tick,
    /// What.
    pub kind: EventKind,
    /// The connection as it is now; of one that ended, as it was at last.
    pub entry: Entry,
}

impl Event {
    /// Room for so many, in memory that was written to, so that who fills it waits for no page.
    pub fn room(len: usize) -> Vec<Self> {
        let info = ProtocolInfo::Stateless;
        let tuple = Tuple {
            ip: IpPair::V4 {
                src: Ipv4Addr::UNSPECIFIED,
                dst: Ipv4Addr::UNSPECIFIED,
            },
            protocol: 0,
            src_port: 0,
            dst_port: 0,
        };
        let entry = Entry {
            id: 0,
            zone: 0,
            zone_dir: None,
            original: tuple,
            reply: tuple,
            mark: 0,
            label: 0,
            protocol: info,
            replied: false,
            timeout_left: Duration::ZERO,
            start: Tick::ZERO,
            last_seen: Tick::ZERO,
            carried: None,
            helper: None,
            parent: None,
        };
        let (at, kind) = (Tick::ZERO, EventKind::New);
        let mut room = vec![Self { at, kind, entry }; len];
        room.clear();
        room
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It was made.
    New,
    /// Something changed that a rule could see: its state, mark or label.
    Updated,
    /// It ended.
    Destroyed(Ending),
}

/// Who listens.
#[derive(Debug)]
pub(crate) struct Watch {
    events: Vec<Event>,
    lost: u64,
    /// The time of what happens now.
    pub(crate) now: Tick,
}

impl Watch {
    pub(crate) const fn new(now: Tick) -> Self {
        Self {
            events: Vec::new(),
            lost: 0,
            now,
        }
    }

    pub(crate) fn note(&mut self, kind: EventKind, entry: Entry) {
        if self.events.len() < self.events.capacity() {
            let at = self.now;
            self.events.push(Event { at, kind, entry });
        } else {
            self.lost += 1;
        }
    }

    /// More is known of the connection that was made last.
    pub(crate) fn complete(&mut self, entry: Entry) {
        if let Some(event) = self.events.last_mut()
            && event.kind == EventKind::New
            && event.entry.id == entry.id
        {
            event.entry = entry;
        }
    }

    /// Gives what happened for `room`, which is to be empty; returns how much was lost.
    pub(crate) fn take(&mut self, room: &mut Vec<Event>) -> u64 {
        debug_assert!(room.is_empty(), "what is in there would be told again");
        std::mem::swap(&mut self.events, room);
        std::mem::take(&mut self.lost)
    }
}
