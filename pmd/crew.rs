//! What the thread of an lcore does: it lets workers pass over their queues, one after the other, and
//! takes workers in or gives them up between two passes.
//!
//! A [`Worker`] is a shard of the switch with all that it owns: queues, connections, caches, counters,
//! its ends of the rings to other shards. Which thread runs it is nothing to it: it can be moved to
//! another one as a whole, in the time of one message, however many connections it has. Nobody
//! polls its queues meanwhile, and what others have for it stays in their rings, so what comes
//! waits in order. Whoever is to run it looks out for it before it is let go, and the thread that ran
//! it hands it over itself: so it does not stand still for as long as the management thread may not
//! have its turn.
//!
//! Invariants
//!   1. A worker is run by one thread at a time: it is owned by that one's crew, or under way.
//!
//! Threads: a crew is its thread's own; orders come from the management thread.
//! Cost: one load per round while there are no orders and nobody is expected, and a call through a pointer
//! per pass.

use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, SendError, Sender, unbounded};
use weir_tables::datapath::LcoreGone;

use crate::clock::{Clock, Cycles};
use crate::lcore::StopFlag;
use crate::mailbox::{self, Inbox, Mailbox};
use crate::worker::{Idle, Processor, Worker};

/// How long a thread sleeps that has no worker.
const NOBODY: Duration = Duration::from_micros(50);

/// Something that passes over its queues whenever it is told to.
pub(crate) trait Member: Send {
    /// As [`Worker::pass_over`].
    fn pass_over(&mut self, start: &mut Cycles, idle: &mut Idle);
}

impl<P: Processor + Send> Member for Worker<P> {
    fn pass_over(&mut self, start: &mut Cycles, idle: &mut Idle) {
        Self::pass_over(self, start, idle);
    }
}

/// What the management thread wants of a crew.
pub(crate) enum CrewOrder {
    /// To look for a worker that comes from another crew.
    Expect,
    /// To let the worker with this number go to another crew, which expects it.
    Give(usize, Sender<Moving>),
    /// To say how long workers stood still that came.
    Tell,
}

/// What a crew says.
#[derive(Debug)]
pub(crate) enum CrewAnswer {
    /// It is done.
    Done,
    /// There is no such worker.
    Nobody,
    /// Of those that have come since this was asked last, the longest; `None`: one is still expected.
    StoodStill(Option<Cycles>),
}

/// A worker on its way from one crew to another.
pub(crate) struct Moving {
    number: usize,
    member: Box<dyn Member>,
    /// When it was run last.
    since: Cycles,
}

/// The management thread's end of a crew.
pub(crate) struct CrewEnd {
    orders: Mailbox<CrewOrder, CrewAnswer>,
    /// By way of which workers come.
    pub(crate) door: Sender<Moving>,
}

/// The workers of one thread.
pub(crate) struct Crew {
    members: Vec<(usize, Box<dyn Member>)>,
    orders: Inbox<CrewOrder, CrewAnswer>,
    door: Receiver<Moving>,
    /// How many will come.
    expected: usize,
    /// The longest that one of those stood still that came.
    longest: Cycles,
    clock: Clock,
}

impl CrewEnd {
    /// Orders something, and waits until that is done, at most `patience`.
    ///
    /// # Errors
    /// [`LcoreGone`] if it is not by then.
    pub(crate) fn order(
        &mut self,
        order: CrewOrder,
        patience: Duration,
    ) -> Result<CrewAnswer, LcoreGone> {
        self.orders.ask(order, patience)
    }
}

impl Crew {
    /// These workers by number, and how they are changed.
    pub(crate) fn new(members: Vec<(usize, Box<dyn Member>)>, clock: Clock) -> (Self, CrewEnd) {
        let (mailbox, orders) = mailbox::pair();
        let (door, come_in) = unbounded();
        let crew = Self {
            members,
            orders,
            door: come_in,
            expected: 0,
            longest: Cycles(0),
            clock,
        };
        let orders = mailbox;
        (crew, CrewEnd { orders, door })
    }

    /// Lets them run until `stop` is set.
    pub(crate) fn run(mut self, stop: &StopFlag) {
        let mut start = self.clock.cycles();
        let mut idle = Idle::default();
        while !stop.is_set() {
            if self.follow_orders() || self.expected > 0 && self.let_in() {
                // What that took is nobody's.
                start = self.clock.cycles();
            }
            let last = self.members.len().saturating_sub(1);
            for (at, (_, member)) in self.members.iter_mut().enumerate() {
                // Whoever expects another one does not sleep.
                idle.is_last = at == last && self.expected == 0;
                member.pass_over(&mut start, &mut idle);
            }
            if self.members.is_empty() {
                if self.expected == 0 {
                    thread::sleep(NOBODY);
                }
                start = self.clock.cycles();
            }
        }
    }

    /// Takes in a worker, if it has come; returns whether.
    #[cold]
    fn let_in(&mut self) -> bool {
        let Ok(moving) = self.door.try_recv() else {
            return false;
        };
        self.expected -= 1;
        let stood_still = self.clock.cycles().since(moving.since);
        self.longest = self.longest.max(stood_still);
        self.members.push((moving.number, moving.member));
        true
    }

    /// Returns whether there was an order.
    #[inline]
    fn follow_orders(&mut self) -> bool {
        let Self {
            members,
            expected,
            longest,
            clock,
            ..
        } = self;
        let mut any = false;
        self.orders.answer(|order| {
            any = true;
            match order {
                CrewOrder::Expect => {
                    *expected += 1;
                    CrewAnswer::Done
                }
                CrewOrder::Give(number, door) => {
                    let at = members.iter().position(|(other, _)| *other == number);
                    let Some(at) = at else {
                        return CrewAnswer::Nobody;
                    };
                    let (number, member) = members.remove(at);
                    let since = clock.cycles();
                    let moving = Moving {
                        number,
                        member,
                        since,
                    };
                    match door.send(moving) {
                        Ok(()) => CrewAnswer::Done,
                        Err(SendError(back)) => {
                            members.push((back.number, back.member));
                            CrewAnswer::Nobody
                        }
                    }
                }
                CrewOrder::Tell if *expected > 0 => CrewAnswer::StoodStill(None),
                CrewOrder::Tell => CrewAnswer::StoodStill(Some(std::mem::take(longest))),
            }
        });
        any
    }
}

/// The CPU of each shard once lcores are on `cpus`, if each has been on that of `before`: no lcore has two
/// more than another, and none is moved that need not be.
///
/// # Panics
/// If there are no CPUs.
pub(crate) fn deal_out(before: &[u16], cpus: &[u16]) -> Vec<u16> {
    assert!(!cpus.is_empty(), "there is one lcore at least");
    let (each, over) = (before.len() / cpus.len(), before.len() % cpus.len());
    let mut counts = vec![0; cpus.len()];
    // Of those that have more than their share, `over` may have one more than the others.
    let mut larger = 0;
    let mut stays = |cpu: u16| {
        let at = cpus.iter().position(|other| *other == cpu)?;
        if counts[at] == each {
            if larger == over {
                return None;
            }
            larger += 1;
        } else if counts[at] > each {
            return None;
        }
        counts[at] += 1;
        Some(cpu)
    };
    let kept: Vec<Option<u16>> = before.iter().map(|cpu| stays(*cpu)).collect();
    let place = |kept: Option<u16>| {
        kept.unwrap_or_else(|| {
            let least = counts.iter().min().copied().unwrap_or(0);
            let at = counts.iter().position(|count| *count == least);
            let at = at.expect("there is a least one");
            counts[at] += 1;
            cpus[at]
        })
    };
    kept.into_iter().map(place).collect()
}

#[cfg(test)]
mod tests;
