//! A frame on its way, and what the tables know of it.
//!
//! Invariants
//!   1. `wire` is what the frame's headers say, but what ct() has translated in this pass: that
//!      the tables learn when the packet comes back from it.
//!   2. While a recirculation is pending, the key with which it goes on is `kept`, or if that is
//!      `None`, `key` itself; what it is to say of connections is in `outcome`. So a
//!      packet whose list ends with `ct(table=)` is not copied, nor is its key.
//!   3. The same holds of a pending bucket of a group; nothing of it is in `outcome`. Of a pending
//!      output the key is kept only if options of the packet are to be sent.
//!   4. If nothing was `written`, `key` says of the packet what `wire` does.

use weir_ct::{Outcome, Reading, Seen};
use weir_packet::reassembly::Datagram;
use weir_packet::{Fragment, Frame, Layout};

use super::tunnel::Egress;
use crate::action::TableId;
use crate::cache::Changes;
use crate::extract::PacketWords;
use crate::field::Field;
use crate::key::{FlowKey, word};
use crate::lcore::Ahead;
use crate::port::PortNo;
use crate::tunnel::Meta;

/// A frame on its way.
#[derive(Debug)]
pub(super) struct Packet<F> {
    pub(super) frame: F,
    pub(super) layout: Layout,
    pub(super) wire: PacketWords,
    /// What tables match and actions change.
    key: FlowKey,
    /// Whether an action may have changed the key since `wire` was all that it says of the packet.
    written: bool,
    kept: Option<FlowKey>,
    /// What the last ct() said.
    pub(super) outcome: Outcome,
    /// Whether the connection that it met is to be told to the next one.
    is_met: bool,
    /// What a ct() has read of the headers; gone when they are written.
    pub(super) reading: Option<Reading>,
    /// Whether the headers were translated since they were read.
    pub(super) translated: bool,
    /// IP size in bytes of the largest piece that the datagram came in; 0: it came whole.
    pub(super) largest_piece: u16,
    /// What actions have written that differs from packet to packet of a connection.
    pub(super) changes: Changes,
    pending: Option<Pending>,
}

/// What will happen to the frame next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pending {
    Output(Egress),
    /// [`Packet::recirculate`] makes its key.
    Recirculate {
        table: TableId,
        /// That of the ct() that said so.
        zone: u16,
        changes: Changes,
    },
    /// [`Packet::begin_bucket`] makes its key.
    Bucket(PendingBucket),
}

/// A bucket that will run.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingBucket {
    pub(super) group: u32,
    /// Its place in the group.
    pub(super) at: usize,
    /// Where the group action stands.
    pub(super) table: TableId,
    changes: Changes,
    is_met: bool,
}

impl<F: Frame> Packet<F> {
    /// A frame that came in at `in_port`, perhaps out of a tunnel. `ahead`: what was read of it before, if anything was.
    #[inline]
    pub(super) fn new(
        frame: F,
        layout: Layout,
        in_port: PortNo,
        tunnel: Option<&Meta>,
        ahead: Option<&Ahead>,
    ) -> Self {
        let (wire, reading) = match ahead {
            Some(ahead) => (ahead.wire, ahead.reading),
            None => (PacketWords::read(frame.head(), &layout), None),
        };
        // Filled in where it lies: copying what was just written costs more than all the rest.
        let mut packet = Self {
            frame,
            layout,
            wire,
            key: FlowKey::zero(),
            written: false,
            kept: None,
            outcome: Outcome::default(),
            is_met: false,
            reading,
            translated: false,
            largest_piece: 0,
            changes: Changes::default(),
            pending: None,
        };
        packet
            .key
            .set_field(Field::IN_PORT_OXM, u128::from(in_port.0));
        packet
            .key
            .set_field(Field::ACTSET_OUTPUT, u128::from(PortNo::UNSET.0));
        if let Some(tunnel) = tunnel {
            tunnel.write_to(&mut packet.key);
        }
        packet.wire.copy_to(&mut packet.key);
        packet
    }

    /// The same packet in another frame, with nothing pending; `None` without a frame for it.
    pub(super) fn duplicate(&self) -> Option<Self> {
        let frame = self.frame.duplicate()?;
        Some(Self {
            frame,
            layout: self.layout,
            wire: self.wire,
            key: self.key,
            written: self.written,
            kept: None,
            outcome: self.outcome,
            is_met: self.is_met,
            reading: self.reading,
            translated: self.translated,
            largest_piece: self.largest_piece,
            changes: self.changes,
            pending: None,
        })
    }

    /// As [`Self::duplicate`], on the way that is pending here: with the key that was kept for
    /// it.
    pub(super) fn fork(&mut self) -> Option<Self> {
        let kept = self.kept.take();
        let mut fork = self.duplicate()?;
        fork.kept = kept;
        Some(fork)
    }

    /// Becomes the datagram that this was a piece of; what the key says of anything but the
    /// headers stays as it is. Nothing may be pending.
    pub(super) fn become_whole(&mut self, datagram: Datagram<F>, layout: Layout) {
        self.frame = datagram.frame;
        self.layout = layout;
        self.largest_piece = datagram.largest;
        self.wire = PacketWords::read(self.frame.head(), &layout);
        self.wire.copy_to(&mut self.key);
        self.reading = None;
    }

    /// Begins the recirculation that was pending: the tables learn what ct() said, and what the
    /// frame was translated to.
    pub(super) fn recirculate(&mut self, zone: u16, changes: Changes) {
        if let Some(kept) = self.kept.take() {
            self.key = kept;
            self.written = false;
        }
        self.key.set_ct(zone, &self.outcome);
        if self.translated {
            self.wire = PacketWords::read(self.frame.head(), &self.layout);
            self.wire.copy_to(&mut self.key);
            self.translated = false;
        }
        self.changes = changes;
    }
}

impl Packet<()> {
    /// The packet that was taken apart.
    pub(super) fn with_frame<F>(&self, frame: F) -> Packet<F> {
        Packet {
            frame,
            layout: self.layout,
            wire: self.wire,
            key: self.key,
            written: self.written,
            kept: self.kept,
            outcome: self.outcome,
            is_met: self.is_met,
            reading: self.reading,
            translated: self.translated,
            largest_piece: self.largest_piece,
            changes: self.changes,
            pending: None,
        }
    }
}

impl<F> Packet<F> {
    /// The frame, and all else. Nothing may be pending.
    pub(super) fn without_frame(self) -> (F, Packet<()>) {
        debug_assert!(self.pending.is_none(), "what waits has nothing pending");
        let packet = Packet {
            frame: (),
            layout: self.layout,
            wire: self.wire,
            key: self.key,
            written: self.written,
            kept: self.kept,
            outcome: self.outcome,
            is_met: self.is_met,
            // It is read again.
            reading: None,
            translated: self.translated,
            largest_piece: self.largest_piece,
            changes: self.changes,
            pending: None,
        };
        (self.frame, packet)
    }

    /// Takes over all words but those of the packet's headers and of its port.
    pub(super) fn set_metadata(&mut self, metadata: &FlowKey) {
        let words = usize::from(word::METADATA)..usize::from(word::ETH_DST);
        let from = &metadata.words()[words.clone()];
        self.key.words_mut()[words].copy_from_slice(from);
        self.key
            .set_field(Field::PKT_MARK, metadata.field(Field::PKT_MARK));
        self.key.set_options(metadata.options());
        self.key
            .set_field(Field::ACTSET_OUTPUT, u128::from(PortNo::UNSET.0));
    }

    /// What tables match.
    #[inline]
    pub(super) const fn key(&self) -> &FlowKey {
        &self.key
    }

    /// The same, to be changed by an action.
    #[inline]
    pub(super) fn key_mut(&mut self) -> &mut FlowKey {
        let goes_on = match &self.pending {
            None => false,
            Some(Pending::Recirculate { .. } | Pending::Bucket(_)) => true,
            Some(Pending::Output(egress)) => egress.sends_options(),
        };
        if goes_on && self.kept.is_none() {
            self.kept = Some(self.key);
        }
        self.written = true;
        &mut self.key
    }

    /// Whether nothing is pending and the frame says what the key does.
    #[inline]
    pub(super) const fn is_settled(&self) -> bool {
        self.pending.is_none() && !self.written
    }

    /// Whether the frame says what the key does.
    pub(super) fn is_up_to_date(&mut self) -> bool {
        self.written = self.written && !self.wire.agrees(&self.key);
        !self.written
    }

    /// The connection met last, for the packet's next ct().
    #[inline]
    pub(super) const fn seen(&self) -> Option<Seen> {
        if self.is_met { self.outcome.seen } else { None }
    }

    /// What was met last is nothing to the packet as it is now.
    pub(super) const fn forget_seen(&mut self) {
        self.is_met = false;
    }

    /// Makes the packet untracked from here on; what is pending is not.
    pub(super) fn clear_ct(&mut self) {
        // What ct() said to a recirculation is in `outcome`.
        if let (Some(Pending::Bucket(_)), None) = (&self.pending, &self.kept) {
            self.kept = Some(self.key);
        }
        self.key.clear_ct();
    }

    /// Lets at most `max_len` bytes of the frame be sent when nothing else needs it. Nothing may
    /// be pending.
    #[inline]
    pub(super) const fn output_later(&mut self, egress: Egress) {
        self.pending = Some(Pending::Output(egress));
    }

    /// Lets the packet go on at `table`, as it is now but for what ct() said, when nothing else
    /// needs the frame. Nothing may be pending.
    #[inline]
    pub(super) const fn recirculate_later(&mut self, table: TableId, zone: u16) {
        let changes = self.changes;
        self.pending = Some(Pending::Recirculate {
            table,
            zone,
            changes,
        });
    }

    /// A ct() has written [`Self::outcome`].
    #[inline]
    pub(super) const fn tracked(&mut self) {
        self.is_met = true;
    }

    /// Lets a bucket run on the packet as it is now when nothing else needs the frame. Nothing
    /// may be pending.
    pub(super) const fn bucket_later(&mut self, group: u32, at: usize, table: TableId) {
        self.pending = Some(Pending::Bucket(PendingBucket {
            group,
            at,
            table,
            changes: self.changes,
            is_met: self.is_met,
        }));
    }

    /// Becomes what it was when the bucket was to run.
    pub(super) fn begin_bucket(&mut self, bucket: &PendingBucket) {
        if let Some(kept) = self.kept.take() {
            self.key = kept;
            self.written = true;
        }
        self.changes = bucket.changes;
        self.is_met = bucket.is_met;
    }

    /// The key that the packet had when the output was decided that was pending, as far as it
    /// tells of options.
    pub(super) fn take_key_of_output(&mut self) -> FlowKey {
        self.kept.take().unwrap_or(self.key)
    }

    /// What is to happen next.
    #[inline]
    pub(super) const fn take_pending(&mut self) -> Option<Pending> {
        self.pending.take()
    }

    /// What in_port says.
    pub(super) fn in_port(&self) -> PortNo {
        PortNo(self.key.field(Field::IN_PORT_OXM) as u32)
    }

    /// Whether the key says all that the tables could find out about the packet: not what lies
    /// behind a second tag, nor what is wrong with a header.
    pub(super) fn is_cacheable(&self) -> bool {
        let layout = &self.layout;
        layout.malformed.is_none() && layout.fragment == Fragment::No && layout.vlan_tags < 2
    }
}
