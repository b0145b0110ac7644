//! What the poll loop does with frames where there are several lcores: the pipeline of [`Seat`], and
//! rings between each two of them.
//!
//! Once per pass an lcore goes on with packets whose waiting is over and looks what others have put into its
//! [rings](super::rings); when its receive queues have had their turns it takes that over. Behind each
//! of these it puts what it has for each other one into that one's ring, in bulk.
//!
//! Cost: per pass two loads for each other lcore while nothing is said; per bulk one store.

use weir_packet::Tick;
use weir_tables::lcore::Seat;
use weir_tables::port::PortIndex;

use super::control::Control;
use super::rings::{Neighbours, TAKEN};
use crate::batch::Drain;
use crate::mbuf::Mbuf;
use crate::worker::{NotSent, Processor, TakenOver, TxPorts};

/// The processor of one of several lcores.
pub(super) struct Together {
    // Frames in rings and queues go before the pool that they are of.
    neighbours: Neighbours<Mbuf>,
    seat: Seat<Mbuf>,
    control: Control,
}

impl Together {
    pub(super) fn new(seat: Seat<Mbuf>, neighbours: Neighbours<Mbuf>, control: Control) -> Self {
        Self {
            neighbours: neighbours.at_home(),
            seat,
            control,
        }
    }

    /// Puts what is to be said into the rings.
    fn say(&mut self) {
        for neighbour in &mut self.neighbours.0 {
            if self.seat.has_notes(neighbour.id) {
                neighbour.say(&mut self.seat);
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
        sent |= self.seat.settle(now, &mut out);
        self.say();
        sent
    }

    fn neighbours(&self) -> usize {
        self.neighbours.0.len()
    }

    #[inline]
    fn look_ahead(&mut self) {
        for neighbour in &mut self.neighbours.0 {
            neighbour.look_ahead();
        }
    }

    fn take_over(&mut self, neighbour: usize, now: Tick, out: &mut TxPorts) -> TakenOver {
        let Some(neighbour) = self.neighbours.0.get_mut(neighbour) else {
            return TakenOver::default();
        };
        let mut out = self.control.gathering(out);
        let notes = neighbour.hear(&mut self.seat, now, &mut out);
        if notes > 0 {
            self.say();
        }
        TakenOver {
            notes,
            waits: notes == TAKEN,
        }
    }

    fn mark_handed_over(&mut self) {
        for neighbour in &mut self.neighbours.0 {
            neighbour.passage.mark(self.seat.messages(neighbour.id));
        }
    }

    fn is_handed_over(&self) -> bool {
        let mut neighbours = self.neighbours.0.iter();
        neighbours.all(|neighbour| neighbour.passage.is_over(neighbour.untaken()))
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
