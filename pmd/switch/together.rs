//! What the poll loop does with frames where there are several lcores: the pipeline of [`Seat`], and
//! rings between each two of them.
//!
//! Once per pass an lcore takes what others have put into its rings and goes on with packets whose
//! waiting is over; behind that and behind each burst it puts what it has for each other one into that
//! one's ring, in bulk. A ring has one writer and one reader; neither waits for the other. What has no room stays in the seat's
//! queue, which is bounded: [`weir_tables::lcore::Seat`] says what is dropped then.
//!
//! Cost: per pass two loads for each other lcore while nothing is said; per bulk one store.

use rtrb::{Consumer, Producer, RingBuffer};
use weir_ct::ShardId;
use weir_packet::Tick;
use weir_tables::lcore::{Note, Seat};
use weir_tables::port::PortIndex;

use super::control::Control;
use super::passage::Passage;
use crate::batch::Drain;
use crate::mbuf::Mbuf;
use crate::worker::{NotSent, Processor, TxPorts};

/// Notes in one ring.
const RING: usize = 256;
/// Notes taken out of one ring per pass: no lcore is held up by another one for longer.
const TAKEN: usize = 64;

/// An lcore's ends of the rings between it and another one.
struct Neighbour {
    id: ShardId,
    to: Producer<Note<Mbuf>>,
    from: Consumer<Note<Mbuf>>,
    passage: Passage,
}

/// All ends of one lcore.
pub(super) struct Neighbours(Vec<Neighbour>);

/// The processor of one of several lcores.
pub(super) struct Together {
    // Frames in rings and queues go before the pool that they are of.
    neighbours: Neighbours,
    seat: Seat<Mbuf>,
    control: Control,
}

/// Rings between each two of so many lcores: the ends of each lcore.
pub(super) fn rings(lcores: u16) -> Vec<Neighbours> {
    let mut all: Vec<_> = (0..lcores).map(|_| Vec::new()).collect();
    for one in 0..lcores {
        for other in one + 1..lcores {
            let (to_other, from_one) = RingBuffer::new(RING);
            let (to_one, from_other) = RingBuffer::new(RING);
            all[usize::from(one)].push(Neighbour {
                id: ShardId(other),
                to: to_other,
                from: from_other,
                passage: Passage::default(),
            });
            all[usize::from(other)].push(Neighbour {
                id: ShardId(one),
                to: to_one,
                from: from_one,
                passage: Passage::default(),
            });
        }
    }
    all.into_iter().map(Neighbours).collect()
}

impl Neighbours {
    /// The same in memory of the thread that calls: an end notes how far it has come, and is not to do so
    /// in a line of another lcore's.
    pub(super) fn at_home(self) -> Self {
        let mut ends = Vec::with_capacity(self.0.len());
        ends.extend(self.0);
        Self(ends)
    }
}

impl Together {
    pub(super) fn new(seat: Seat<Mbuf>, neighbours: Neighbours, control: Control) -> Self {
        Self {
            neighbours: neighbours.at_home(),
            seat,
            control,
        }
    }

    /// Puts what is to be said into the rings.
    fn say(&mut self) {
        for Neighbour {
            id, to, passage, ..
        } in &mut self.neighbours.0
        {
            if !self.seat.has_notes(*id) {
                continue;
            }
            let (room, messages) = (to.slots(), self.seat.messages(*id));
            if let (1.., Ok(slots)) = (room, to.write_chunk_uninit(room)) {
                let said = slots.fill_from_iter(std::iter::from_fn(|| self.seat.outgoing(*id)));
                passage.said(said, messages - self.seat.messages(*id));
            }
        }
    }
}

impl Processor for Together {
    fn process(
        &mut self,
        in_port: PortIndex,
        frames: &mut Drain<'_>,
        now: Tick,
        out: &mut TxPorts,
    ) {
        let mut out = self.control.gathering(out);
        self.seat.receive(in_port, frames.slots(), now, &mut out);
        self.say();
    }

    fn housekeep(&mut self, now: Tick, budget: usize) {
        self.seat.housekeep(now, budget);
        self.control.expire(now, budget);
    }

    fn poll_control(&mut self, now: Tick, out: &mut TxPorts) -> bool {
        let mut sent = self.control.poll(&mut self.seat, now, out);
        let mut out = self.control.gathering(out);
        for Neighbour { id, from, .. } in &mut self.neighbours.0 {
            let waiting = from.slots().min(TAKEN);
            if let (1.., Ok(notes)) = (waiting, from.read_chunk(waiting)) {
                sent = true;
                for note in notes {
                    self.seat.take(*id, note, now, &mut out);
                }
            }
        }
        sent |= self.seat.settle(now, &mut out);
        self.say();
        sent
    }

    fn mark_handed_over(&mut self) {
        for Neighbour { id, passage, .. } in &mut self.neighbours.0 {
            passage.mark(self.seat.messages(*id));
        }
    }

    fn is_handed_over(&self) -> bool {
        let mut neighbours = self.neighbours.0.iter();
        neighbours.all(|Neighbour { to, passage, .. }| passage.is_over(RING - to.slots()))
    }

    #[inline]
    fn walks(&self) -> u64 {
        self.seat.lcore().walks()
    }

    fn refused(&mut self, frames: usize) {
        self.control.refused(frames);
    }

    fn not_sent(&mut self, reason: NotSent, frames: usize) {
        self.control.not_sent(reason, frames);
    }
}
