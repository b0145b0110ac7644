//! Rings between each two lcores: what one hands over to the other, in bulk.
//!
//! ```text
//! seat --say--> slips, 24 bytes each: a packet, or that the next note is due --hear--> seat of the other
//!               notes, which are larger and few
//! ```
//!
//! A ring has one writer and one reader; neither waits for the other. What has no room stays in the seat's
//! queue, which is bounded: [`weir_tables::lcore::Seat`] says what is dropped then.
//!
//! Invariants
//!   1. What is said arrives in the order in which it was said. A note is in its ring before its slip is, and
//!      leaves it before its slip does; so there is room for it.
//!
//! Threads: an end is one lcore's.
//! Cost: per bulk one store, and the other end's place is read when there is too little room as far as was
//! known; per packet three eighths of a cache line that moves, beside those of the packet itself, for which the
//! receiver asks before it looks at the first of the bulk.

use rtrb::chunks::ChunkError;
use rtrb::{Consumer, Producer, RingBuffer};
use weir_ct::ShardId;
use weir_packet::{Frame, Tick};
use weir_tables::lcore::{Handed, Note, Seat};
use weir_tables::pipeline::Output;

use super::passage::Passage;
use crate::mbuf::Mbuf;

/// Slips in one ring.
const RING: usize = 256;
/// Slips taken out of one ring per pass: no lcore is held up by another one for longer.
pub(super) const TAKEN: usize = 64;

/// What lies in a ring: close together, since each cache line has to move from lcore to lcore.
enum Slip<F> {
    Packet(Handed<F>),
    /// The next of the notes, which lie in a ring of their own.
    Note,
}

const _: () = assert!(size_of::<Slip<Mbuf>>() == 24);

/// An lcore's ends of the rings between it and another one.
pub(super) struct Neighbour<F> {
    pub(super) id: ShardId,
    to: Producer<Slip<F>>,
    from: Consumer<Slip<F>>,
    /// With room for a note for each slip: a note is there before its slip is.
    notes_to: Producer<Note<F>>,
    notes_from: Consumer<Note<F>>,
    pub(super) passage: Passage,
    /// Slips that lay in the ring when that was looked at.
    seen: usize,
}

/// All ends of one lcore.
pub(super) struct Neighbours<F>(pub(super) Vec<Neighbour<F>>);

/// Rings between each two of so many lcores: the ends of each lcore.
pub(super) fn rings<F: Frame>(lcores: u16) -> Vec<Neighbours<F>> {
    let mut all: Vec<_> = (0..lcores).map(|_| Vec::new()).collect();
    for one in 0..lcores {
        for other in one + 1..lcores {
            let (at_one, at_other) = between(one, other);
            all[usize::from(one)].push(at_one);
            all[usize::from(other)].push(at_other);
        }
    }
    all.into_iter().map(Neighbours).collect()
}

/// The ends of the rings between two lcores: the one's, and the other's.
fn between<F>(one: u16, other: u16) -> (Neighbour<F>, Neighbour<F>) {
    let (to_other, from_one) = RingBuffer::new(RING);
    let (to_one, from_other) = RingBuffer::new(RING);
    let (notes_to_other, notes_from_one) = RingBuffer::new(RING);
    let (notes_to_one, notes_from_other) = RingBuffer::new(RING);
    let at_one = Neighbour {
        id: ShardId(other),
        to: to_other,
        from: from_other,
        notes_to: notes_to_other,
        notes_from: notes_from_other,
        passage: Passage::default(),
        seen: 0,
    };
    let at_other = Neighbour {
        id: ShardId(one),
        to: to_one,
        from: from_one,
        notes_to: notes_to_one,
        notes_from: notes_from_one,
        passage: Passage::default(),
        seen: 0,
    };
    (at_one, at_other)
}

impl<F: Frame> Neighbour<F> {
    /// Puts what is to be said into the rings, as far as there is room.
    pub(super) fn say(&mut self, seat: &mut Seat<F>) {
        let messages = seat.messages(self.id);
        let mut said = 0;
        loop {
            said += self.hand_over(seat);
            if self.to.is_full() {
                break;
            }
            let Some(note) = seat.outgoing(self.id) else {
                break;
            };
            let told = self.notes_to.push(note).is_ok() && self.to.push(Slip::Note).is_ok();
            debug_assert!(told, "there is room for as many notes as slips");
            said += 1;
        }
        self.passage.said(said, messages - seat.messages(self.id));
    }

    /// Packets up to the next note, with one store for all of them; returns how many.
    fn hand_over(&mut self, seat: &mut Seat<F>) -> usize {
        let wanted = seat.messages(self.id).min(RING);
        // The other end's place is looked at only if there is too little room as far as was known.
        let room = match self.to.write_chunk_uninit(wanted) {
            Ok(_) => wanted,
            Err(ChunkError::TooFewSlots(room)) => room,
        };
        let slots = self.to.write_chunk_uninit(room);
        slots.map_or(0, |slots| {
            let packets = std::iter::from_fn(|| seat.hand_over(self.id));
            slots.fill_from_iter(packets.map(Slip::Packet))
        })
    }

    /// How many slips the other lcore has not taken yet.
    pub(super) fn untaken(&self) -> usize {
        RING - self.to.slots()
    }

    /// Looks what the other lcore has put into the ring, and asks for the memory of its packets: so that it
    /// is here when their turn comes.
    pub(super) fn look_ahead(&mut self) {
        self.seen = self.from.slots().min(TAKEN);
        let Ok(slips) = self.from.read_chunk(self.seen) else {
            return;
        };
        let (first, rest) = slips.as_slices();
        for slip in first.iter().chain(rest) {
            if let Slip::Packet(packet) = slip {
                packet.prefetch();
            }
        }
    }

    /// Takes in what [`Self::look_ahead`] saw; returns how many slips.
    pub(super) fn hear<O: Output<F>>(
        &mut self,
        seat: &mut Seat<F>,
        now: Tick,
        out: &mut O,
    ) -> usize {
        let seen = std::mem::take(&mut self.seen);
        let Ok(slips) = self.from.read_chunk(seen) else {
            return 0;
        };
        for slip in slips {
            match slip {
                Slip::Packet(packet) => seat.accept(packet, now, out),
                Slip::Note => {
                    let note = self.notes_from.pop();
                    debug_assert!(note.is_ok(), "a note is there before its slip is");
                    if let Ok(note) = note {
                        seat.take(self.id, note, now, out);
                    }
                }
            }
        }
        seat.finish(now, out);
        seen
    }
}

impl<F> Neighbours<F> {
    /// The same in memory of the thread that calls: an end notes how far it has come, and is not to do so
    /// in a line of another lcore's.
    pub(super) fn at_home(self) -> Self {
        let mut ends = Vec::with_capacity(self.0.len());
        ends.extend(self.0);
        Self(ends)
    }
}

#[cfg(test)]
mod tests;
