//! Packets that wait for another lcore's answer, and the packets of the same connection behind
//! them, so that none overtakes.
//!
//! Invariants
//!   1. Of the packets with one wire tuple only the first is asked for; the others follow it in
//!      the order in which they came.
//!
//! Cost: a packet that arrives while none waits for its like costs one read; the rest is
//! proportional to the number that waits, which is bounded.

use std::collections::VecDeque;

use crate::owner::{Belongs, PairId};
use crate::tracker::Quest;

pub(super) struct Waiting<P> {
    packets: VecDeque<Waiter<P>>,
    most: usize,
    /// How many wait, by a few bits of their pair.
    like: Box<[u16; LIKE]>,
    last_ticket: u32,
    /// How much all other lcores have heard of what is expected here.
    heard: u64,
}

struct Waiter<P> {
    packet: P,
    wire: Belongs,
    state: State,
}

enum State {
    /// It waits for the answer with this ticket.
    Asking(u32, Quest),
    /// It waits until all others have heard as much.
    Hearing(u64, Quest),
    /// It has been answered.
    Answered(Quest),
    /// It comes behind another one.
    Following,
}

/// A packet whose waiting is over.
#[derive(Debug)]
pub struct Ready<P> {
    /// The packet.
    pub packet: P,
    /// Where it belongs, as it came in.
    pub wire: Belongs,
    /// For the `ct()` that it waited in, which is to be executed again. `None`: it has not been
    /// looked at yet.
    pub quest: Option<Quest>,
}

impl<P> Waiting<P> {
    pub(super) fn new(most: usize) -> Self {
        assert!(most <= usize::from(u16::MAX), "a u16 counts them");
        Self {
            packets: VecDeque::with_capacity(most),
            most,
            like: Box::new([0; LIKE]),
            last_ticket: 0,
            heard: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.packets.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.packets.len() >= self.most
    }

    /// Whether a packet with this wire tuple must wait behind another one.
    #[inline]
    pub(super) fn blocks(&self, wire: Belongs) -> bool {
        match wire {
            Belongs::Pair(pair) => {
                self.like[like(pair)] > 0 && self.packets.iter().any(|other| other.wire == wire)
            }
            Belongs::Shard(_) | Belongs::Anywhere => false,
        }
    }

    /// Lets a packet wait behind another one. There is room.
    pub(super) fn follow(&mut self, packet: P, wire: Belongs) {
        self.count(wire, 1);
        let state = State::Following;
        let waiter = Waiter {
            packet,
            wire,
            state,
        };
        self.packets.push_back(waiter);
    }

    /// Lets a packet wait, which is the first with its wire tuple; returns the ticket of the
    /// answer that it waits for. There is room.
    pub(super) fn ask(&mut self, packet: P, wire: Belongs, quest: Quest) -> u32 {
        self.last_ticket = self.last_ticket.wrapping_add(1);
        let state = State::Asking(self.last_ticket, quest);
        self.first(packet, wire, state);
        self.last_ticket
    }

    /// As [`Waiting::ask`], for a packet that needs only time.
    pub(super) fn again(&mut self, packet: P, wire: Belongs, quest: Quest) {
        self.first(packet, wire, State::Answered(quest));
    }

    /// As [`Waiting::ask`], for a packet that waits until all other lcores have heard so much.
    pub(super) fn hear(&mut self, packet: P, wire: Belongs, quest: Quest, news: u64) {
        self.first(packet, wire, State::Hearing(news, quest));
    }

    /// All other lcores have heard so much.
    pub(super) const fn heard(&mut self, heard: u64) {
        self.heard = heard;
    }

    /// Notes an answer; returns the quest that it is for, to be written.
    pub(super) fn answered(&mut self, ticket: u32) -> Option<&mut Quest> {
        self.packets.iter_mut().find_map(|waiter| {
            let State::Asking(other, quest) = &waiter.state else {
                return None;
            };
            if *other != ticket {
                return None;
            }
            waiter.state = State::Answered(*quest);
            match &mut waiter.state {
                State::Answered(quest) => Some(quest),
                State::Asking(..) | State::Hearing(..) | State::Following => None,
            }
        })
    }

    /// Takes out a packet whose waiting is over. It is to be dealt with before the next.
    pub(super) fn ready(&mut self) -> Option<Ready<P>> {
        let at = (0..self.packets.len()).find(|&at| {
            let waiter = &self.packets[at];
            match waiter.state {
                State::Asking(..) => false,
                State::Answered(_) => true,
                State::Hearing(news, _) => news <= self.heard,
                State::Following => {
                    let mut before = self.packets.range(..at);
                    !before.any(|other| other.wire == waiter.wire)
                }
            }
        })?;
        let Waiter {
            packet,
            wire,
            state,
        } = self.packets.remove(at)?;
        self.count(wire, -1);
        let quest = match state {
            State::Asking(_, quest) | State::Hearing(_, quest) | State::Answered(quest) => {
                Some(quest)
            }
            State::Following => None,
        };
        Some(Ready {
            packet,
            wire,
            quest,
        })
    }

    fn first(&mut self, packet: P, wire: Belongs, state: State) {
        self.count(wire, 1);
        // Whoever follows it is there already, if it waits a second time.
        self.packets.push_front(Waiter {
            packet,
            wire,
            state,
        });
    }

    fn count(&mut self, wire: Belongs, change: i16) {
        if let Belongs::Pair(pair) = wire {
            let count = &mut self.like[like(pair)];
            *count = count.wrapping_add_signed(change);
        }
    }
}

/// Entries of [`Waiting::like`].
const LIKE: usize = 1024;

const fn like(pair: PairId) -> usize {
    pair.get() as usize % LIKE
}
