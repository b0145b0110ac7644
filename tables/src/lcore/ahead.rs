//! What is read of the packets of a burst that go the long way, before the first of them does: so
//! that the memory that they need is on its way, for all of them at once.
//!
//! ```text
//! each: headers, checksums, tuple; hash of the first pass -> ask for the megaflow
//! each:                                                   -> ask for where connection and replies
//!                                                            are sought
//! each: look into the index                               -> ask for the connection, or for the
//!                                                            memory of the one that it opens
//! ```
//!
//! Invariants
//!   1. Nothing is decided here: what was read of the packet itself stands, since nobody else has
//!      the frame; all that depends on tables is looked up again when the packet has its turn.

use weir_ct::{Likely, PairId, Reading, Tracker};
use weir_packet::{Frame, Layout};

use crate::cache::{Megaflows, PassHash};
use crate::extract::PacketWords;
use crate::field::Field;
use crate::key::FlowKey;
use crate::port::{PortIndex, PortNo};
use crate::tunnel::Meta;

/// What is known of a packet that goes the long way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ahead {
    pub(crate) wire: PacketWords,
    /// What the tracker will want to know, should it be asked.
    pub(crate) reading: Option<Reading>,
    /// Of the first pass, under the mask that is likeliest.
    pub(crate) hash: PassHash,
    pub(crate) likely: Likely,
}

impl Ahead {
    pub(super) const NOTHING: Self = Self {
        wire: PacketWords::NONE,
        reading: None,
        hash: PassHash::NONE,
        likely: Likely::Unknown,
    };

    /// Reads what the tables match on, and asks for the megaflow that is likely the packet's.
    #[inline]
    pub(super) fn read_words<F: Frame>(
        &mut self,
        frame: &F,
        layout: &Layout,
        in_port: PortIndex,
        tunnel: Option<&Meta>,
        scratch: &mut Scratch,
        megaflows: Option<&Megaflows>,
    ) {
        self.wire = PacketWords::read(frame.head(), layout);
        self.hash = PassHash::NONE;
        if let Some(megaflows) = megaflows {
            if let Some(tunnel) = tunnel {
                tunnel.write_to(&mut scratch.0);
            }
            self.wire.copy_to(&mut scratch.0);
            self.hash = megaflows.look_ahead(in_port, &scratch.0);
        }
    }

    /// Reads what the tracker will want to know. `pair`: what the packet's tuple belongs to, if that is
    /// known.
    #[inline]
    pub(super) fn read<F: Frame>(
        &mut self,
        frame: &F,
        layout: &Layout,
        tracker: &Tracker,
        pair: impl FnOnce() -> Option<PairId>,
    ) {
        self.likely = Likely::Unknown;
        self.reading = None;
        if tracker.is_in_use() {
            let mut reading = Reading::of(frame, layout);
            tracker.look_ahead(&mut reading, pair());
            self.reading = Some(reading);
        }
    }

    /// Asks for where the connection is sought.
    #[inline]
    pub(super) fn ask(&self, tracker: &Tracker) {
        if let Some(reading) = &self.reading {
            tracker.ask_ahead(reading);
        }
    }

    /// Asks for what will be read next; `new` counts packets that likely open connections.
    #[inline]
    pub(super) fn look_closer(&mut self, tracker: &Tracker, new: &mut u32) {
        if let Some(reading) = &self.reading {
            self.likely = tracker.look_closer(reading, *new);
            *new += u32::from(self.likely == Likely::New);
        }
    }
}

/// The key with which packets of a burst begin, but for what their headers say.
#[derive(Debug)]
pub(super) struct Scratch(FlowKey);

impl Scratch {
    pub(super) const fn new() -> Self {
        Self(FlowKey::ZERO)
    }

    /// For packets from this port.
    pub(super) fn begin(&mut self, in_port: PortNo) {
        self.0.set_field(Field::IN_PORT_OXM, u128::from(in_port.0));
        self.0.clear_tunnel();
    }
}
