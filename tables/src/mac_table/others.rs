//! What lcores tell each other of MAC addresses.
//!
//! Each learns from its own packets at once, and tells the others; an address that stays in use on
//! one lcore only is told of again long before it would age out on the others. So ageing counts the
//! youngest use on any lcore, give or take [`REMINDER`].

use std::collections::VecDeque;
use std::time::Duration;

use weir_packet::Tick;

use super::{CAPACITY, Key, MacTable, Place, WAYS, place_for};
use crate::port::PortIndex;

#[cfg(test)]
mod tests;

/// How long after it was told of last an address that is in use is told of again.
pub(crate) const REMINDER: Duration = Duration::from_secs(60);
/// Addresses that wait to be told.
const NEWS: usize = 256;

/// Where an address was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MacNews {
    key: Key,
    port: PortIndex,
    used: Tick,
}

/// What others are to be told.
#[derive(Clone, Debug)]
pub(super) struct Others {
    news: VecDeque<MacNews>,
    /// By place: which use of it the others know.
    told: Box<[Tick]>,
    /// Where the search for what is to be told again goes on.
    hand: usize,
}

impl MacTable {
    /// From now on the other lcores are told.
    pub(crate) fn tell_others(&mut self) {
        self.others = Some(Box::new(Others {
            news: VecDeque::with_capacity(NEWS),
            told: vec![Tick::ZERO; CAPACITY].into(),
            hand: 0,
        }));
    }

    /// Something that the others are to be told.
    pub(crate) fn take_news(&mut self) -> Option<MacNews> {
        self.others.as_mut()?.news.pop_front()
    }

    /// Another lcore has seen an address.
    pub(crate) fn hear(&mut self, news: &MacNews) {
        let MacNews { key, port, used } = *news;
        let start = self.set_start(key);
        let set = &mut self.places[start..][..WAYS];
        let at = place_for(set, key, used);
        let place = &mut set[at];
        let known = place.key == key;
        // Whoever saw it last is right.
        if place.key != Key::NONE && place.used > used {
            return;
        }
        let same = known && place.port == port;
        *place = Place {
            key,
            port,
            used,
            version: place.version + u64::from(!same),
        };
        if let Some(others) = &mut self.others {
            others.told[start + at] = used;
        }
    }

    /// Looks at `budget` places for addresses that were used since the others were told of them.
    pub(crate) fn remind(&mut self, now: Tick, budget: usize) {
        for _ in 0..budget.min(CAPACITY) {
            let Some(others) = &mut self.others else {
                return;
            };
            let at = others.hand;
            let place = &self.places[at];
            let due = place.key != Key::NONE
                && place.is_young(now)
                && place.used.since(others.told[at]) >= REMINDER;
            if due && others.news.len() == NEWS {
                return;
            }
            others.hand = (at + 1) % CAPACITY;
            if due {
                self.tell(at);
            }
        }
    }

    /// Tells the others of a place. What has no room is told when it is due again.
    #[cold]
    pub(super) fn tell(&mut self, at: usize) {
        let Some(others) = &mut self.others else {
            return;
        };
        let Place {
            key, port, used, ..
        } = self.places[at];
        if others.news.len() < NEWS {
            others.news.push_back(MacNews { key, port, used });
            others.told[at] = used;
        } else {
            others.told[at] = Tick::ZERO;
        }
    }
}
