//! One limit shared by several lcores: who may hold how many connections of all that it allows.
//!
//! ```text
//! lcore: Purse --Want, Return--> management: Ledger     (mailboxes, each in order)
//!              <--Grant, Recall--
//! ```
//!
//! A credit is the right to hold one connection. Half of a limit is lent from the start, to all
//! lcores alike, so that a limit need not be spoken of until it is near. The rest is lent in
//! blocks that shrink as the limit nears, so that the last credits may go anywhere. When there are none
//! left and an lcore wants some, the others are asked to give back half of what they do not use,
//! rounded up: the last unused credit goes, too, so any one lcore can reach the limit alone. One
//! lcore has the whole limit from the start: it is exact to the connection.
//!
//! A limit that is lowered ends no connection. While more is lent than it allows, every lcore is
//! stopped: it makes no connection, and gives back what it does not use, and what ends.
//!
//! Invariants
//!   1. The ledger counts for each lcore at least the credits in its purse: a grant counts when it
//!      is sent, a return when it has come.
//!   2. No connection is made above [`Purse::allowance`]. Hence all together are at most what is
//!      lent, and that is at most the limit, or shrinks until it is.
//!   3. At most one [`Word::Want`] of a purse is unanswered.
//!
//! Threads: a purse belongs to an lcore, a ledger to the management thread. Nobody waits.
//! Cost: two comparisons for a connection that is made; messages in proportion to the logarithm of the limit
//! while a table fills.

use std::collections::VecDeque;

/// What an lcore tells the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It has few credits left, or none.
    Want,
    /// It had so many connections more than it was lent, when there came to be a limit.
    Holds(u32),
    /// It is stopped and gives back so many.
    Return(u32),
    /// It has answered a [`Order::Recall`]: it gives back so many, perhaps none.
    Recalled(u32),
}

/// What the ledger tells an lcore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It may hold so many connections more, perhaps none: the answer to [`Word::Want`].
    Grant(u32),
    /// It is to give back half of what it does not use.
    Recall,
    /// It is to make no connection, and to give back what it does not use.
    Stop,
    /// It may go on.
    Go,
}

/// The credits of one lcore for one limit.
#[derive(Clone, Debug)]
pub struct Purse {
    credits: u32,
    stopped: bool,
    /// What it last got, by which it is seen when credits become few.
    block: u32,
    /// How many of its credits the ledger does not know of.
    untold: u32,
    wants: bool,
    /// Whether a connection could not be made since the last answer.
    short: bool,
}

impl Purse {
    /// Of one of so many lcores, which has `live` connections as the limit begins to hold.
    pub const fn new(limit: u32, lcores: u16, live: u32) -> Self {
        let credits = first_block(limit, lcores);
        let untold = live.saturating_sub(credits);
        Self {
            credits: credits + untold,
            stopped: false,
            block: credits,
            untold,
            wants: false,
            short: false,
        }
    }

    /// How many connections there may be before one more is refused.
    #[inline]
    pub const fn allowance(&self) -> u32 {
        if self.stopped { 0 } else { self.credits }
    }

    /// Notes that a connection could not be made for lack of credits.
    pub const fn refused(&mut self) {
        self.short = true;
    }

    /// What is to be told, of `live` connections; to be called between bursts until there is nothing.
    pub const fn word(&mut self, live: u32) -> Option<Word> {
        if self.untold > 0 {
            let held = self.untold;
            self.untold = 0;
            return Some(Word::Holds(held));
        }
        let left = self.credits.saturating_sub(live);
        if self.stopped {
            self.credits -= left;
            return if left > 0 {
                Some(Word::Return(left))
            } else {
                None
            };
        }
        // What was missed once may have come since.
        self.short = self.short && left == 0;
        // Of a small block the last credit is used before more is asked for: near a limit they
        // would only go to and fro.
        let few = left < self.block / 4 || self.short;
        if few && !self.wants {
            self.wants = true;
            self.short = false;
            return Some(Word::Want);
        }
        None
    }

    /// Obeys, with `live` connections; what is to be answered, if anything.
    pub const fn obey(&mut self, order: Order, live: u32) -> Option<Word> {
        match order {
            Order::Grant(credits) => {
                self.credits += credits;
                self.block = credits;
                self.wants = false;
                None
            }
            Order::Recall => {
                let unused = self.credits.saturating_sub(live);
                let back = unused.div_ceil(2);
                self.credits -= back;
                self.block = unused - back;
                Some(Word::Recalled(back))
            }
            Order::Stop => {
                self.stopped = true;
                None
            }
            Order::Go => {
                self.stopped = false;
                None
            }
        }
    }
}

/// Who has how many of the credits of one limit.
#[derive(Clone, Debug)]
pub struct Ledger {
    limit: u32,
    lcores: Vec<Account>,
    /// Whether all were told to stop.
    stopped: bool,
    /// Who waits for an answer, in the order in which they asked.
    waiting: VecDeque<usize>,
    orders: Vec<(usize, Order)>,
}

#[derive(Clone, Debug)]
struct Account {
    /// Credits lent.
    lent: u32,
    /// Whether a recall is unanswered.
    recalled: bool,
    /// Whether it had nothing to give for the one who waits now.
    dry: bool,
}

impl Ledger {
    /// Of a limit on so many lcores, each with the purse that [`Purse::new`] makes of the same
    /// numbers.
    ///
    /// # Panics
    /// If there is no lcore.
    pub fn new(limit: u32, lcores: u16) -> Self {
        assert!(lcores > 0, "a limit holds somewhere");
        let account = Account {
            lent: first_block(limit, lcores),
            recalled: false,
            dry: false,
        };
        Self {
            limit,
            lcores: vec![account; lcores.into()],
            stopped: false,
            waiting: VecDeque::new(),
            orders: Vec::new(),
        }
    }

    /// The limit.
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// How many credits are lent, those included that are on their way.
    pub fn lent(&self) -> u32 {
        self.lcores.iter().map(|account| account.lent).sum()
    }

    /// What is to be told to which lcore, in this order.
    pub fn orders(&mut self) -> impl Iterator<Item = (usize, Order)> + '_ {
        self.orders.drain(..)
    }

    /// Changes the limit.
    pub fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
        self.hold();
        self.serve();
    }

    /// Takes in what an lcore says.
    pub fn hear(&mut self, lcore: usize, word: Word) {
        match word {
            Word::Want => self.waiting.push_back(lcore),
            Word::Holds(more) => {
                let account = &mut self.lcores[lcore];
                account.lent = account.lent.saturating_add(more);
            }
            Word::Return(credits) => {
                let account = &mut self.lcores[lcore];
                account.lent = account.lent.saturating_sub(credits);
            }
            Word::Recalled(credits) => {
                let account = &mut self.lcores[lcore];
                account.lent = account.lent.saturating_sub(credits);
                account.recalled = false;
                account.dry = credits == 0;
            }
        }
        self.hold();
        self.serve();
    }

    /// Answers those who wait, as far as it is known how.
    fn serve(&mut self) {
        if self.stopped {
            return;
        }
        while let Some(&lcore) = self.waiting.front() {
            if self.free() == 0 && self.recall(lcore) {
                return;
            }
            self.waiting.pop_front();
            self.grant(lcore);
            for account in &mut self.lcores {
                account.dry = false;
            }
        }
    }

    /// Asks the others for what they do not use, but those that had nothing when they were asked for the
    /// same `lcore`. Returns whether an answer is to be waited for.
    fn recall(&mut self, lcore: usize) -> bool {
        let mut asked = false;
        for (other, account) in self.lcores.iter_mut().enumerate() {
            let may_have = other != lcore && account.lent > 0 && !account.dry;
            if may_have && !account.recalled {
                account.recalled = true;
                self.orders.push((other, Order::Recall));
            }
            asked |= other != lcore && account.recalled;
        }
        asked
    }

    /// Lends a block: an equal part of what is free, of which half stays for those who need more.
    fn grant(&mut self, lcore: usize) {
        let parts = match self.lcores.len() {
            1 => 1,
            lcores => u32::try_from(2 * lcores).unwrap_or(u32::MAX),
        };
        let credits = self.free().div_ceil(parts);
        let account = &mut self.lcores[lcore];
        account.lent += credits;
        self.orders.push((lcore, Order::Grant(credits)));
    }

    fn free(&self) -> u32 {
        self.limit.saturating_sub(self.lent())
    }

    /// Tells all to stop as long as more is lent than the limit allows.
    fn hold(&mut self) {
        let above = self.lent() > self.limit;
        if above != self.stopped {
            self.stopped = above;
            let order = if above { Order::Stop } else { Order::Go };
            let all = 0..self.lcores.len();
            self.orders.extend(all.map(|lcore| (lcore, order)));
        }
    }
}

/// What each of so many lcores has of a limit from the start.
const fn first_block(limit: u32, lcores: u16) -> u32 {
    match lcores {
        1 => limit,
        lcores => limit / (2 * lcores as u32),
    }
}

#[cfg(test)]
mod tests;
