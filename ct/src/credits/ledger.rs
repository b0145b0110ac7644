//! Who has how many of the credits of one limit: the side of the management thread.

use super::{Order, Report, Want, first_block};

/// Who has how many of the credits of one limit.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    limit: u32,
    lcores: Vec<Account>,
    /// Whether all were told to stop.
    stopped: bool,
    /// Who is served first, each in turn: what is left may not be enough for all.
    turn: usize,
    /// How often the management thread has looked, as far as is known here.
    look: u64,
    orders: Vec<(usize, Order)>,
}

#[derive(Clone, Copy, Debug)]
struct Account {
    /// Credits lent, those included that are on their way.
    lent: u32,
    want: Want,
    /// Whether a recall is unanswered.
    recalled: bool,
    /// For whom that wanted so much it was asked, since credits were lent last.
    asked: Want,
    /// Until which look it keeps one that it does not use.
    keeps: u64,
}

impl Account {
    const fn of(lent: u32) -> Self {
        Self {
            lent,
            want: Want::Nothing,
            recalled: false,
            asked: Want::Nothing,
            keeps: 0,
        }
    }
}

impl Ledger {
    /// Of a limit on so many lcores, each with the purse that [`super::Purse::new`] makes.
    pub(crate) fn new(limit: u32, lcores: u16) -> Self {
        let blocks = (0..lcores).map(|me| first_block(limit, lcores, me));
        Self::of(limit, blocks)
    }

    /// Of a limit that begins to hold when lcores have so many credits, which are in use. What is
    /// left of it is lent to all alike; if they have more, they are stopped.
    pub(crate) fn holding(limit: u32, held: &[u32]) -> Self {
        let mut ledger = Self::of(limit, held.iter().copied());
        ledger.hold();
        let each = ledger.free() / held.len() as u32;
        if each > 0 {
            for lcore in 0..held.len() {
                ledger.grant(lcore, each);
            }
        }
        ledger
    }

    fn of(limit: u32, lent: impl Iterator<Item = u32>) -> Self {
        Self {
            limit,
            lcores: lent.map(Account::of).collect(),
            stopped: false,
            turn: 0,
            look: 0,
            orders: Vec::new(),
        }
    }

    /// How many credits are lent.
    pub(crate) fn lent(&self) -> u32 {
        let lent = self.lcores.iter().map(|account| account.lent);
        lent.fold(0, u32::saturating_add)
    }

    /// Whether more is lent than the limit allows.
    pub(crate) const fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Takes what is to be told to which lcore, in this order.
    pub(crate) fn orders(&mut self) -> impl Iterator<Item = (usize, Order)> + '_ {
        self.orders.drain(..)
    }

    /// Takes in what an lcore reports, after it has obeyed all that it was told, in the look with
    /// this number.
    pub(crate) fn hear(&mut self, lcore: usize, report: Report, look: u64) {
        self.look = look;
        let account = &mut self.lcores[lcore];
        account.recalled = false;
        account.lent = report.credits;
        account.want = account.want.max(report.want);
        self.hold();
        self.serve();
    }

    /// An lcore does not answer: what it was told may or may not have come.
    pub(crate) fn give_up(&mut self, lcore: usize) {
        let account = &mut self.lcores[lcore];
        if std::mem::take(&mut account.recalled) {
            self.serve();
        }
    }

    /// While all are stopped: asks again for what is not used any more.
    pub(crate) fn ask_again(&mut self) {
        let all = self.lcores.iter().enumerate();
        let some = all.filter(|(_, account)| account.lent > 0);
        self.orders
            .extend(some.map(|(lcore, _)| (lcore, Order::Stop)));
    }

    /// Lends to those who want some, as soon as it is known how much there is.
    fn serve(&mut self) {
        let waiting = self.lcores.iter();
        let waiting = waiting.filter(|account| account.want > Want::Nothing);
        let waiting = waiting.count() as u32;
        let awaited = self.lcores.iter().any(|account| account.recalled);
        if self.stopped || waiting == 0 || awaited {
            return;
        }
        let idle = self.lcores.iter();
        let idle = idle.filter(|account| account.want == Want::Nothing);
        let idle = idle.fold(0_u32, |sum, account| sum.saturating_add(account.lent));
        // It may be that most of what is left is with those who do not use it.
        if self.free() < waiting.max(idle / 8) && self.recall() {
            return;
        }
        // Half of it stays for those who want more soon.
        let block = self.free().div_ceil(2 * waiting);
        let (lcores, first) = (self.lcores.len(), self.turn);
        for lcore in (0..lcores).map(|n| (first + n) % lcores) {
            if self.lcores[lcore].want > Want::Nothing {
                self.grant(lcore, block.min(self.free()));
            }
        }
        self.turn = (first + 1) % lcores;
        for account in &mut self.lcores {
            account.asked = Want::Nothing;
        }
    }

    /// Asks those who want nothing for what they do not use, once before credits are lent. Returns
    /// whether there is an answer to wait for.
    fn recall(&mut self) -> bool {
        let urgency = self.urgency();
        let look = self.look;
        let mut asked = false;
        for (lcore, account) in self.lcores.iter_mut().enumerate() {
            if account.want == Want::Nothing && account.lent > 0 && account.asked < urgency {
                account.recalled = true;
                account.asked = urgency;
                let order = if urgency == Want::Last && account.keeps <= look {
                    Order::RecallLast
                } else {
                    Order::Recall
                };
                self.orders.push((lcore, order));
                asked = true;
            }
        }
        asked
    }

    /// How much somebody wants credits.
    fn urgency(&self) -> Want {
        let wants = self.lcores.iter().map(|account| account.want);
        wants.max().unwrap_or(Want::Nothing)
    }

    fn grant(&mut self, lcore: usize, credits: u32) {
        let account = &mut self.lcores[lcore];
        account.lent += credits;
        if std::mem::replace(&mut account.want, Want::Nothing) == Want::Last {
            account.keeps = self.look + KEPT;
        }
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

/// For how many looks an lcore that had to refuse keeps what it got for that: a second and a quarter, so that
/// a SYN that comes again after one (RFC 6298 2) finds it there, whoever else refuses meanwhile.
const KEPT: u64 = 128;
