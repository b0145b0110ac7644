//! The credits of one of several lcores, for all connections and for those of each zone.
//!
//! Threads: owned by the lcore.
//! Cost: constant for a packet. A change of the default limit looks at each zone.

use super::lender::Said;
use super::{Order, Purse, Report, Scope};
use crate::settings::Settings;
use crate::table::Table;

/// What one lcore has of every limit.
pub(crate) struct Purses {
    lcores: u16,
    me: u16,
    /// For how many connections, on all lcores, memory was taken at start.
    pub(crate) sized: u32,
    all: Purse,
    /// By zone, once some zone has a limit.
    zones: Box<[Purse]>,
    /// Which have something to report.
    low: Vec<Scope>,
    /// How often that was said.
    words: u64,
    /// Those of limits that have changed: nothing is lent before it is known what others hold.
    frozen: Vec<Scope>,
}

impl Purses {
    /// Of lcore number `me` of so many, without connections.
    pub(crate) fn new(settings: &Settings, lcores: u16, me: u16) -> Self {
        let mut purses = Self {
            lcores,
            me,
            sized: settings.max_connections,
            all: Purse::new(settings.max_connections, lcores, me),
            zones: Box::default(),
            low: Vec::with_capacity(LOW),
            words: 0,
            frozen: Vec::new(),
        };
        purses.take_memory(settings);
        for zone in 0..purses.zones.len() {
            if let Some(limit) = settings.limit(Scope::Zone(zone as u16)) {
                purses.zones[zone] = Purse::new(limit, lcores, me);
            }
        }
        purses
    }

    pub(crate) fn memory(&self) -> usize {
        size_of_val(&*self.zones) + LOW * size_of::<Scope>()
    }

    /// How many connections there may be before one more is refused.
    #[inline]
    pub(crate) fn allowance(&self, scope: Scope) -> u32 {
        match scope {
            Scope::All => self.all.allowance(),
            Scope::Zone(zone) => {
                let purse = self.zones.get(usize::from(zone));
                purse.map_or(0, Purse::allowance)
            }
        }
    }

    /// One connection is to be made, where there are `live`.
    #[inline]
    pub(crate) fn spend(&mut self, scope: Scope, live: u32) {
        if self.purse(scope).becomes_low(live + 1) {
            self.tell(scope);
        }
    }

    /// One could not be made for lack of credits.
    pub(crate) fn refuse(&mut self, scope: Scope) {
        if self.purse(scope).refuse() {
            self.tell(scope);
        }
    }

    /// How often there was something to report, by now; `live` connections are there in all.
    pub(crate) fn words(&mut self, live: u32) -> u64 {
        if self.all.becomes_low(live) {
            self.tell(Scope::All);
        }
        self.words
    }

    /// What is not told for lack of room is told when the next connection is made.
    fn tell(&mut self, scope: Scope) {
        if self.low.len() < LOW {
            self.low.push(scope);
            self.purse(scope).tell();
            self.words += 1;
        }
    }

    fn purse(&mut self, scope: Scope) -> &mut Purse {
        match scope {
            Scope::All => &mut self.all,
            Scope::Zone(zone) => &mut self.zones[usize::from(zone)],
        }
    }

    /// Obeys, and reports of each purse that was told something or is low.
    pub(crate) fn obey(&mut self, orders: &[(Scope, Order)], table: &Table) -> Said {
        let mut told: Vec<Scope> = std::mem::take(&mut self.low);
        for &(scope, order) in orders {
            if self.is_there(scope) {
                self.purse(scope).obey(order, live(table, scope));
                told.push(scope);
            }
        }
        told.sort_unstable();
        told.dedup();
        let most = table.slots();
        let report = |scope: &Scope| -> (Scope, Report) {
            (*scope, self.purse(*scope).report(live(table, *scope), most))
        };
        let reports = told.iter().map(report).collect();
        told.clear();
        told.shrink_to(LOW);
        told.reserve_exact(LOW);
        self.low = told;
        Said {
            reports,
            words: self.words,
        }
    }

    /// Limits change: where they do, no connection is made beyond those there are, or under a
    /// limit that is raised, beyond those there might have been. Returns how many credits are held
    /// of each limit that changed, those that hold none left out.
    pub(crate) fn freeze(
        &mut self,
        old: &Settings,
        new: &Settings,
        table: &Table,
    ) -> Vec<(Scope, u32)> {
        self.take_memory(new);
        let mut frozen = std::mem::take(&mut self.frozen);
        frozen.extend(old.changed_limits(new));
        frozen.sort_unstable();
        frozen.dedup();
        frozen.retain(|scope| new.limit(*scope).is_some());
        for &scope in &frozen {
            let raised = old.limit(scope) <= new.limit(scope) && old.limit(scope).is_some();
            let purse = self.purse(scope);
            let credits = if raised && !purse.stopped {
                purse.credits()
            } else {
                live(table, scope)
            };
            *purse = Purse::holding(credits);
        }
        self.low
            .retain(|scope| frozen.binary_search(scope).is_err());
        self.frozen = frozen;
        let held = self.frozen.clone().into_iter();
        held.map(|scope| (scope, self.purse(scope).credits()))
            .filter(|(_, credits)| *credits > 0)
            .collect()
    }

    /// Changed limits begin to hold: those not in `kept`, which is sorted, with their first share.
    pub(crate) fn begin(&mut self, settings: &Settings, kept: &[Scope]) {
        for scope in std::mem::take(&mut self.frozen) {
            if kept.binary_search(&scope).is_err()
                && let Some(limit) = settings.limit(scope)
            {
                *self.purse(scope) = Purse::new(limit, self.lcores, self.me);
            }
        }
    }

    fn is_there(&self, scope: Scope) -> bool {
        match scope {
            Scope::All => true,
            Scope::Zone(zone) => usize::from(zone) < self.zones.len(),
        }
    }

    fn take_memory(&mut self, settings: &Settings) {
        if self.zones.is_empty() && settings.limits_zones() {
            self.zones = vec![Purse::holding(0); 1 << 16].into();
        }
    }
}

/// How many connections there are.
fn live(table: &Table, scope: Scope) -> u32 {
    match scope {
        Scope::All => table.live(),
        Scope::Zone(zone) => table.zones.live(zone),
    }
}

/// How many purses can have something to report at a time.
const LOW: usize = 256;
