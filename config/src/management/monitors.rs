//! Clients that want to hear of packet-ins and of rules that are gone, or of connections.
//!
//! Invariant: what waits for a client is bounded; one that reads too slowly is told how much it
//! has missed.

use std::collections::VecDeque;
use std::time::Duration;

use weir_ct::{DumpStyle, Event, Filter};
use weir_packet::Tick;
use weir_tables::action::PacketInReason;
use weir_tables::flow_tables::FlowRemoved;
use weir_tables::packet_in::PacketIn;
use weir_tables::tunnel::options::TlvMap;

use crate::control::{Frame, Refused, ReplySender};
use crate::show::{EventRow, PacketInRow};

/// Events that may wait for one client.
const WAITING: usize = 4_096;
/// Events in one frame of an answer.
const PER_FRAME: usize = 64;
/// After so long without an event the client is told that there was none: else it would not know
/// whether the switch is still there, nor the switch whether the client is.
const SILENCE: Duration = Duration::from_secs(15);

/// One client.
#[derive(Debug)]
pub(super) struct Monitor {
    reply: ReplySender,
    wants: Wants,
    waiting: VecDeque<EventRow>,
    lost: u64,
    /// Packets over the rate of their port, and those for which there was no slot.
    refused: [u64; 2],
    /// When something was said last.
    spoken: Tick,
}

/// What a client wants to hear of.
#[expect(
    clippy::large_enum_variant,
    reason = "each monitor has one, and they are few"
)]
#[derive(Clone, Copy, Debug)]
pub(super) enum Wants {
    /// What a controller would.
    OpenFlow {
        /// Also packets whose TTL has run out.
        invalid_ttl: bool,
    },
    /// Connections.
    Connections {
        /// Which.
        filter: Filter,
        /// Rows instead of lines.
        json: bool,
        /// The Unix time of the switch's clock's beginning, in milliseconds.
        epoch_ms: u64,
    },
}

impl Monitor {
    pub(super) fn new(reply: ReplySender, wants: Wants, now: Tick) -> Self {
        Self {
            reply,
            wants,
            waiting: VecDeque::new(),
            lost: 0,
            refused: [0; 2],
            spoken: now,
        }
    }

    /// `options` says which fields the packet's options are.
    pub(super) fn packet_in(&mut self, event: &PacketIn, options: &TlvMap) {
        if let Wants::OpenFlow { invalid_ttl } = self.wants
            && (event.reason != PacketInReason::InvalidTtl || invalid_ttl)
        {
            self.hear(|| EventRow::PacketIn(PacketInRow::of(event, options)));
        }
    }

    pub(super) fn flow_removed(&mut self, gone: &FlowRemoved) {
        if let Wants::OpenFlow { .. } = self.wants {
            self.hear(|| EventRow::FlowRemoved(gone.into()));
        }
    }

    /// Whether it wants to hear of connections.
    pub(super) const fn wants_connections(&self) -> bool {
        matches!(self.wants, Wants::Connections { .. })
    }

    /// Something happened to a connection of this lcore.
    pub(super) fn connection(&mut self, event: &Event, lcore: u32) {
        if let Wants::Connections {
            filter,
            json,
            epoch_ms,
        } = self.wants
            && filter.matches(&event.entry)
        {
            let style = DumpStyle {
                statistics: true,
                more: true,
                lcore: Some(lcore),
                epoch_ms: Some(epoch_ms),
            };
            self.hear(|| match json {
                true => EventRow::of_connection(event, &style),
                false => EventRow::line_of_connection(event, &style),
            });
        }
    }

    /// So much more happened to connections, and an lcore had no room for it.
    pub(super) const fn connections_lost(&mut self, count: u64) {
        if self.wants_connections() {
            self.lost += count;
        }
    }

    /// So many packets more were not handed over: they were over the rate of their port, or there
    /// was no slot.
    pub(super) const fn refused(&mut self, over_rate: u64, no_slot: u64) {
        if self.wants_connections() {
            return;
        }
        self.refused[0] += over_rate;
        self.refused[1] += no_slot;
    }

    fn hear(&mut self, event: impl FnOnce() -> EventRow) {
        if self.waiting.len() < WAITING {
            self.waiting.push_back(event());
        } else {
            self.lost += 1;
        }
    }

    /// Tells the client what it is ready for. Returns false when it is gone.
    pub(super) fn go_on(&mut self, now: Tick) -> bool {
        loop {
            let count = self.waiting.len().min(PER_FRAME);
            let mut rows: Vec<_> = self.waiting.drain(..count).collect();
            let lost = std::mem::take(&mut self.lost);
            if lost > 0 {
                rows.push(EventRow::Lost(lost));
            }
            let [over_rate, no_slot] = std::mem::take(&mut self.refused);
            if over_rate + no_slot > 0 {
                rows.push(EventRow::Refused { over_rate, no_slot });
            }
            if rows.is_empty() && now.since(self.spoken) < SILENCE {
                return true;
            }
            let is_last = rows.len() < PER_FRAME;
            match self.reply.offer(Frame::Events(rows)) {
                Ok(()) => self.spoken = now,
                Err(Refused::Full(Frame::Events(rows))) => {
                    for row in rows.into_iter().rev() {
                        match row {
                            EventRow::Lost(count) => self.lost += count,
                            EventRow::Refused { over_rate, no_slot } => {
                                self.refused(over_rate, no_slot);
                            }
                            row => self.waiting.push_front(row),
                        }
                    }
                    return true;
                }
                Err(Refused::Full(_) | Refused::Abandoned) => return false,
            }
            if is_last {
                return true;
            }
        }
    }
}
