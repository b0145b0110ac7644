//! One limit shared by several lcores: who may hold how many connections of all that it allows.
//!
//! ```text
//! lcore: Purse --Report--> management: Ledger     (an answer, between two bursts)
//!              <--Order---                        (the question)
//! ```
//!
//! A credit is the right to hold one connection. All of a limit is lent from the start, to all
//! lcores alike. An lcore that has few left says so, and gets half of what is not lent; where there
//! is nothing, the others are asked to give back half of what they do not use. So blocks
//! shrink as the limit nears, and the last credits may go anywhere. An idle lcore keeps one, so that its
//! first connection need not wait; that one goes, too, once another lcore had to refuse, which then keeps
//! one for a while: the same packet may come again.
//!
//! Hence, of a limit `L` on `N` lcores, any one alone reaches `L - (N - 1)` without a refusal if it is
//! heard in time, and `L` after `N - 1` refusals at most. All together never have more than `L`.
//!
//! A limit that is set or lowered ends no connection. While more are held than it allows, every lcore is
//! stopped: it makes no connection, and gives back what ends.
//!
//! Invariants
//!   1. The ledger counts for each lcore at least the credits in its purse: a grant counts when it
//!      is made, what is given back when it is reported.
//!   2. No connection is made above [`Purse::allowance`]. Hence all together are at most what is
//!      lent, and that is at most the limit, or shrinks until it is.
//!
//! Threads: a purse belongs to an lcore, a ledger to the management thread. No lcore waits: without
//! credits it does what it does at the limit.
//! Cost: a few comparisons for a connection that is made; messages in proportion to the logarithm of the
//! limit while a table fills.

mod ledger;
mod lender;
mod purses;

pub(crate) use ledger::Ledger;
pub use lender::{Lender, Said};
pub(crate) use purses::Purses;

/// What a limit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// All connections.
    All,
    /// Those of a zone.
    Zone(u16),
}

/// How much an lcore wants more credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Want {
    /// It has enough.
    Nothing,
    /// It has few left.
    More,
    /// It had none for a connection: it would have the last that another one does not use.
    Last,
}

/// What an lcore says of one of its purses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The credits in it.
    pub credits: u32,
    /// Whether it wants more.
    pub want: Want,
}

/// What an lcore is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It may hold so many connections more, perhaps none: the answer to what it wanted.
    Grant(u32),
    /// It is to give back half of what it does not use, but keep one.
    Recall,
    /// It is to give back half of what it does not use, the last one, too.
    RecallLast,
    /// It is to make no connection, and to give back what it does not use.
    Stop,
    /// It may go on.
    Go,
}

/// The credits of one lcore for one limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Purse {
    credits: u32,
    /// How many were unused when it last got or gave some, by which it is seen when they become few.
    block: u32,
    stopped: bool,
    /// Whether a connection could not be made since the last report.
    short: bool,
    /// Whether the lcore has said that there is something to report.
    told: bool,
}

impl Purse {
    /// What lcore number `me` of so many has of a limit from the start.
    pub(crate) fn new(limit: u32, lcores: u16, me: u16) -> Self {
        Self::holding(first_block(limit, lcores, me))
    }

    /// With so many credits.
    pub(crate) const fn holding(credits: u32) -> Self {
        Self {
            credits,
            block: credits,
            stopped: false,
            short: false,
            told: false,
        }
    }

    pub(crate) const fn credits(&self) -> u32 {
        self.credits
    }

    /// How many connections there may be before one more is refused.
    #[inline]
    pub(crate) const fn allowance(&self) -> u32 {
        if self.stopped { 0 } else { self.credits }
    }

    /// Whether there is something to report for the first time: few credits are left when there
    /// are `live` connections.
    #[inline]
    pub(crate) const fn becomes_low(&self, live: u32) -> bool {
        !self.told && !self.stopped && self.is_low(live)
    }

    const fn is_low(&self, live: u32) -> bool {
        self.credits.saturating_sub(live) <= self.block / 4
    }

    /// Notes that it will be reported.
    pub(crate) const fn tell(&mut self) {
        self.told = true;
    }

    /// Notes that a connection could not be made for lack of credits. Returns whether that is news.
    pub(crate) const fn refuse(&mut self) -> bool {
        self.short = true;
        !self.told && !self.stopped
    }

    /// Obeys, with `live` connections.
    pub(crate) fn obey(&mut self, order: Order, live: u32) {
        let unused = self.credits.saturating_sub(live);
        match order {
            Order::Grant(credits) => self.credits += credits,
            Order::Recall => self.credits -= unused / 2,
            Order::RecallLast => self.credits -= unused.div_ceil(2),
            Order::Stop => {
                self.stopped = true;
                self.credits -= unused;
            }
            Order::Go => self.stopped = false,
        }
        self.block = self.credits.saturating_sub(live);
    }

    /// What is to be reported, with `live` connections and room for `most`.
    pub(crate) fn report(&mut self, live: u32, most: u32) -> Report {
        // Who is asked for what it does not use wants nothing for that.
        let told = std::mem::take(&mut self.told);
        let short = std::mem::take(&mut self.short);
        let want = if !told || self.stopped || self.credits >= most || !self.is_low(live) {
            Want::Nothing
        } else if short && self.credits <= live {
            Want::Last
        } else {
            Want::More
        };
        Report {
            credits: self.credits,
            want,
        }
    }
}

/// What lcore number `me` of so many has of a limit from the start: all lcores together, all of it.
fn first_block(limit: u32, lcores: u16, me: u16) -> u32 {
    let (lcores, me) = (u32::from(lcores), u32::from(me));
    limit / lcores + u32::from(me < limit % lcores)
}

#[cfg(test)]
mod tests;
