//! What the thread of an lcore does: it lets workers pass over their queues, one after the other, and
//! takes workers in or gives them up between two passes.
//!
//! A [`Worker`] is a shard of the switch with all that it owns: queues, connections, caches, counters,
//! its ends of the rings to other shards. Which thread runs it is nothing to it: it can be moved to
//! another one as a whole, in the time of two messages, however many connections it has. Nobody
//! polls its queues meanwhile, and what others have for it stays in their rings, so what comes
//! waits in order.
//!
//! Invariants
//!   1. A worker is run by one thread at a time: it is owned by that one's crew, or under way.
//!
//! Threads: a crew is its thread's own; orders come from the management thread.
//! Cost: one load per round while there are no orders, and a call through a pointer per pass.

use std::thread;
use std::time::Duration;

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
    /// To run this worker, too, which has this number.
    Take(usize, Box<dyn Member>),
    /// To give up the worker with this number.
    Give(usize),
}

/// The management thread's end of what it orders; the answer is the worker that was given up.
pub(crate) type CrewOrders = Mailbox<CrewOrder, Option<Box<dyn Member>>>;

/// The workers of one thread.
pub(crate) struct Crew {
    members: Vec<(usize, Box<dyn Member>)>,
    orders: Inbox<CrewOrder, Option<Box<dyn Member>>>,
    clock: Clock,
}

impl Crew {
    /// These workers by number, and how they are changed.
    pub(crate) fn new(members: Vec<(usize, Box<dyn Member>)>, clock: Clock) -> (Self, CrewOrders) {
        let (mailbox, orders) = mailbox::pair();
        let crew = Self {
            members,
            orders,
            clock,
        };
        (crew, mailbox)
    }

    /// Lets them run until `stop` is set.
    pub(crate) fn run(mut self, stop: &StopFlag) {
        let mut start = self.clock.cycles();
        let mut idle = Idle::default();
        while !stop.is_set() {
            if self.follow_orders() {
                // What that took is nobody's.
                start = self.clock.cycles();
            }
            let last = self.members.len().saturating_sub(1);
            for (at, (_, member)) in self.members.iter_mut().enumerate() {
                idle.is_last = at == last;
                member.pass_over(&mut start, &mut idle);
            }
            if self.members.is_empty() {
                thread::sleep(NOBODY);
                start = self.clock.cycles();
            }
        }
    }

    /// Returns whether there was an order.
    #[inline]
    fn follow_orders(&mut self) -> bool {
        let members = &mut self.members;
        let mut any = false;
        self.orders.answer(|order| {
            any = true;
            match order {
                CrewOrder::Take(number, member) => {
                    members.push((number, member));
                    None
                }
                CrewOrder::Give(number) => {
                    let at = members.iter().position(|(other, _)| *other == number)?;
                    Some(members.remove(at).1)
                }
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
