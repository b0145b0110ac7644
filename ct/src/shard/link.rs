//! What one lcore has to tell another, in order.
//!
//! Invariants
//!   1. A question or an answer always has room: no more are under way than packets can wait,
//!      here and there, and the room for these is nobody else's.

use std::collections::VecDeque;

use weir_nat::Offer;
use weir_packet::Tuple;

use crate::alg::{MOST_UNHEARD, Met, Told};
use crate::owner::{Belongs, PairId};

/// Something that one lcore has to tell another. Whoever drives the lcores only carries it.
#[derive(Debug)]
pub struct Message<P>(pub(super) Content<P>);

#[derive(Debug)]
pub(super) enum Content<P> {
    /// A packet that belongs to the receiver, as far as the sender knows.
    Packet {
        packet: P,
        wire: Belongs,
        /// How often it was passed on.
        hops: u8,
    },
    /// The sender wants a tuple of this offer, from the candidate at `index` on.
    Ask {
        ticket: u32,
        offer: Offer,
        index: u32,
    },
    /// To the question with this ticket.
    Answer { ticket: u32, answer: Answer },
    /// The sender does not use this pair any more, which the receiver gave.
    Return(PairId),
    /// What the sender expects, or does not any more.
    Told(Box<Told>),
    /// The sender has heard what it was told next.
    Heard(Box<Told>),
    /// What the receiver expects was met at the sender.
    Met(Met),
}

/// What an lcore says that was asked for a tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// This one is the asker's from now on.
    Granted(Tuple),
    /// The asker has it already.
    Yours,
    /// The candidates before this one are not to be had.
    GoOn(u32),
    /// There is none.
    Nothing,
}

/// The queue to one lcore.
pub(super) struct Link<P> {
    queue: VecDeque<Message<P>>,
    packets: usize,
    returns: usize,
    most_packets: usize,
}

impl<P> Link<P> {
    /// Takes memory for so many packets, and for all questions and answers that there can be if
    /// on either side at most `waiting` packets wait and as much is told as may be.
    pub(super) fn new(packets: usize, waiting: usize) -> Self {
        Self {
            queue: VecDeque::with_capacity(packets + 2 * (waiting + MOST_UNHEARD) + MOST_RETURNS),
            packets: 0,
            returns: 0,
            most_packets: packets,
        }
    }

    /// A question or an answer.
    pub(super) fn tell(&mut self, content: Content<P>) {
        debug_assert!(self.queue.len() < self.queue.capacity(), "nothing grows");
        self.queue.push_back(Message(content));
    }

    /// A packet; it comes back if there are too many.
    pub(super) fn pass_on(&mut self, packet: P, wire: Belongs, hops: u8) -> Result<(), P> {
        if self.packets == self.most_packets {
            return Err(packet);
        }
        self.packets += 1;
        self.tell(Content::Packet { packet, wire, hops });
        Ok(())
    }

    /// Whether another pair can be given back now.
    pub(super) const fn takes_returns(&self) -> bool {
        self.returns < MOST_RETURNS
    }

    pub(super) fn give_back(&mut self, pair: PairId) {
        self.returns += 1;
        self.tell(Content::Return(pair));
    }

    /// That something was met; counts as something given back.
    pub(super) fn tell_met(&mut self, met: Met) {
        self.returns += 1;
        self.tell(Content::Met(met));
    }

    pub(super) fn pop(&mut self) -> Option<Message<P>> {
        let message = self.queue.pop_front()?;
        match message.0 {
            Content::Packet { .. } => self.packets -= 1,
            Content::Return(_) | Content::Met(_) => self.returns -= 1,
            Content::Ask { .. } | Content::Answer { .. } | Content::Told(_) | Content::Heard(_) => {
            }
        }
        Some(message)
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

/// Pairs and expectations on their way back; others wait in the directory, or where they were met.
const MOST_RETURNS: usize = 64;
