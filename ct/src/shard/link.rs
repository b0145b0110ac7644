//! What one lcore has to tell another, in order.
//!
//! Invariants
//!   1. A question or an answer always has room: no more are under way than packets can wait,
//!      here and there, and the room for these is nobody else's.

use std::collections::VecDeque;

use weir_nat::Offer;
use weir_packet::Tuple;

use super::trail::Trail;
use crate::alg::{MOST_UNHEARD, Met, Told};
use crate::owner::{Belongs, PairId};

/// Something that one lcore has to tell another. Whoever drives the lcores only carries it.
#[derive(Debug)]
pub struct Message<P>(pub(super) Content<P>);

#[derive(Debug)]
pub(super) enum Content<P> {
    Packet(Passed<P>),
    Word(Word),
}

/// A packet that belongs to the receiver, as far as the sender knows.
#[derive(Debug)]
pub struct Passed<P> {
    pub(super) packet: P,
    pub(super) trail: Trail,
}

impl<P> Passed<P> {
    /// The packet, to be looked at.
    #[inline]
    pub const fn packet(&self) -> &P {
        &self.packet
    }
}

/// All that is no packet.
#[derive(Debug)]
pub(super) enum Word {
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

/// The queue to one lcore. Packets, which are many, do not take the room that words do.
pub(super) struct Link<P> {
    queue: VecDeque<Next<P>>,
    words: VecDeque<Word>,
    packets: usize,
    returns: usize,
    most_packets: usize,
}

/// What comes next.
enum Next<P> {
    Packet(Passed<P>),
    /// The first of the words.
    Word,
}

impl<P> Link<P> {
    /// Takes memory for so many packets, and for all questions and answers that there can be if
    /// on either side at most `waiting` packets wait and as much is told as may be.
    pub(super) fn new(packets: usize, waiting: usize) -> Self {
        let words = 2 * (waiting + MOST_UNHEARD) + MOST_RETURNS;
        Self {
            queue: VecDeque::with_capacity(packets + words),
            words: VecDeque::with_capacity(words),
            packets: 0,
            returns: 0,
            most_packets: packets,
        }
    }

    /// A question or an answer.
    pub(super) fn tell(&mut self, word: Word) {
        debug_assert!(self.queue.len() < self.queue.capacity(), "nothing grows");
        debug_assert!(self.words.len() < self.words.capacity(), "nothing grows");
        self.queue.push_back(Next::Word);
        self.words.push_back(word);
    }

    /// A packet; it comes back if there are too many.
    #[inline]
    pub(super) fn pass_on(&mut self, packet: P, wire: Belongs, hops: u8) -> Result<(), P> {
        if self.packets == self.most_packets {
            return Err(packet);
        }
        debug_assert!(self.queue.len() < self.queue.capacity(), "nothing grows");
        self.packets += 1;
        let trail = Trail::new(wire, hops);
        self.queue.push_back(Next::Packet(Passed { packet, trail }));
        Ok(())
    }

    /// Whether another pair can be given back now.
    pub(super) const fn takes_returns(&self) -> bool {
        self.returns < MOST_RETURNS
    }

    pub(super) fn give_back(&mut self, pair: PairId) {
        self.returns += 1;
        self.tell(Word::Return(pair));
    }

    /// That something was met; counts as something given back.
    pub(super) fn tell_met(&mut self, met: Met) {
        self.returns += 1;
        self.tell(Word::Met(met));
    }

    pub(super) fn pop(&mut self) -> Option<Message<P>> {
        if let Some(passed) = self.pop_packet() {
            return Some(Message(Content::Packet(passed)));
        }
        self.queue.pop_front()?;
        let word = self.words.pop_front()?;
        match word {
            Word::Return(_) | Word::Met(_) => self.returns -= 1,
            Word::Ask { .. } | Word::Answer { .. } | Word::Told(_) | Word::Heard(_) => {}
        }
        Some(Message(Content::Word(word)))
    }

    /// What comes next, if that is a packet.
    #[inline]
    pub(super) fn pop_packet(&mut self) -> Option<Passed<P>> {
        let next = self
            .queue
            .pop_front_if(|next| matches!(next, Next::Packet(_)));
        let Some(Next::Packet(passed)) = next else {
            return None;
        };
        self.packets -= 1;
        Some(passed)
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
