//! The ledgers of all limits, and what is to be told to which lcore.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{Ledger, Order, Report, Scope, first_block};
use crate::settings::Settings;

/// What the management thread has to lend: the limits of [`Settings`], to several lcores.
///
/// A limit has a ledger once somebody wanted more than its first share, or once there were more
/// connections than that when the limit was set.
#[derive(Debug)]
pub struct Lender {
    settings: Settings,
    lcores: u16,
    ledgers: HashMap<Scope, Ledger>,
    /// By lcore.
    orders: Vec<Vec<(Scope, Order)>>,
    /// By lcore: how often it had said that it has something to report, when it was heard last.
    heard: Vec<u64>,
    looks: u64,
}

/// What an lcore answers to orders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Of each purse that had an order, or was low.
    pub reports: Vec<(Scope, Report)>,
    /// How often it has said that it has something to report.
    pub words: u64,
}

impl Lender {
    /// For lcores that started with these settings.
    pub fn new(settings: &Settings, lcores: u16) -> Self {
        Self {
            settings: settings.clone(),
            lcores,
            ledgers: HashMap::new(),
            orders: vec![Vec::new(); lcores.into()],
            heard: vec![0; lcores.into()],
            looks: 0,
        }
    }

    /// Whether there is anything to lend: one lcore alone has all of every limit.
    pub const fn is_needed(&self) -> bool {
        self.lcores > 1
    }

    /// Takes over changed settings, when all lcores have done so: each then makes no connection beyond
    /// those that it has under limits that changed. `held` says, by lcore, how many credits of
    /// these they hold. Returns, sorted, the limits for which that stays so until the next orders; for all
    /// others they may begin with the first share.
    pub fn begin(&mut self, settings: &Settings, held: &[Vec<(Scope, u32)>]) -> Arc<[Scope]> {
        for scope in self.settings.changed_limits(settings) {
            self.forget(scope);
        }
        self.settings.clone_from(settings);
        let mut all: BTreeMap<Scope, Vec<u32>> = BTreeMap::new();
        for (lcore, held) in held.iter().enumerate() {
            for &(scope, credits) in held {
                let nothing = || vec![0; self.lcores.into()];
                all.entry(scope).or_insert_with(nothing)[lcore] = credits;
            }
        }
        let mut kept = Vec::new();
        for (scope, held) in all {
            self.forget(scope);
            let Some(limit) = settings.limit(scope) else {
                continue;
            };
            let mut each = (0..).zip(&held);
            if !each.all(|(me, held)| *held <= first_block(limit, self.lcores, me)) {
                kept.push(scope);
                let ledger = Ledger::holding(limit, &held);
                self.ledgers.insert(scope, ledger);
                self.collect(scope);
            }
        }
        kept.into()
    }

    /// Hears those lcores that have something to say, and tells them what follows. `words` is how
    /// often an lcore has said that it has something to report; `ask` gives it orders, and is
    /// `None` if it does not answer.
    ///
    /// Cost: nothing is asked if nobody has a word. Else a few rounds of questions.
    pub fn look(
        &mut self,
        words: impl Fn(usize) -> u64,
        mut ask: impl FnMut(usize, Vec<(Scope, Order)>) -> Option<Said>,
    ) {
        if !self.is_needed() {
            return;
        }
        self.looks += 1;
        let stopped = self.ledgers.iter_mut();
        let stopped = stopped.filter(|(_, ledger)| ledger.is_stopped());
        let stopped: Vec<Scope> = stopped
            .map(|(scope, ledger)| {
                ledger.ask_again();
                *scope
            })
            .collect();
        stopped.into_iter().for_each(|scope| self.collect(scope));
        for _ in 0..ROUNDS {
            let mut any = false;
            for lcore in 0..usize::from(self.lcores) {
                if self.orders[lcore].is_empty() && words(lcore) == self.heard[lcore] {
                    continue;
                }
                any = true;
                let some = self.orders[lcore].len().min(ORDERS);
                let orders: Vec<_> = self.orders[lcore].drain(..some).collect();
                let scopes: Vec<Scope> = orders.iter().map(|(scope, _)| *scope).collect();
                match ask(lcore, orders) {
                    Some(said) => self.hear(lcore, &said),
                    None => scopes.into_iter().for_each(|scope| {
                        if let Some(ledger) = self.ledgers.get_mut(&scope) {
                            ledger.give_up(lcore);
                        }
                        self.collect(scope);
                    }),
                }
            }
            if !any {
                return;
            }
        }
    }

    fn hear(&mut self, lcore: usize, said: &Said) {
        self.heard[lcore] = said.words;
        for &(scope, report) in &said.reports {
            // The limit may have gone.
            let Some(limit) = self.settings.limit(scope) else {
                continue;
            };
            // It has not obeyed all yet, and will report again when it has.
            if self.orders[lcore].iter().any(|(other, _)| *other == scope) {
                continue;
            }
            let lcores = self.lcores;
            let ledger = self.ledgers.entry(scope);
            let ledger = ledger.or_insert_with(|| Ledger::new(limit, lcores));
            ledger.hear(lcore, report, self.looks);
            self.collect(scope);
        }
    }

    /// Takes the orders of one ledger.
    fn collect(&mut self, scope: Scope) {
        if let Some(ledger) = self.ledgers.get_mut(&scope) {
            for (lcore, order) in ledger.orders() {
                self.orders[lcore].push((scope, order));
            }
        }
    }

    fn forget(&mut self, scope: Scope) {
        if self.ledgers.remove(&scope).is_some() {
            for orders in &mut self.orders {
                orders.retain(|(other, _)| *other != scope);
            }
        }
    }

    /// How many credits of a limit are lent, as far as it was spoken of.
    #[cfg(test)]
    pub(crate) fn lent(&self, scope: Scope) -> Option<u32> {
        self.ledgers.get(&scope).map(Ledger::lent)
    }
}

/// How often each lcore is asked in one go: some want, others give back, the first get it.
const ROUNDS: usize = 4;
/// Orders in one question, so that no lcore is held up for long.
const ORDERS: usize = 1024;
