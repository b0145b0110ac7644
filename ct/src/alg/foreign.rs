//! What is expected with several lcores: whichever of them meets a connection that was announced is
//! to know of it, for the packet that opens it may come to any.
//!
//! ```text
//! master's lcore: announced --> expectation, its packet waits --Told--> every other lcore: Foreign
//!                               all have heard: it goes on    <-Heard--
//!                               the expectation ends          <--Met--- committed at one of them
//!                               is over --Told--> every other lcore
//! ```
//!
//! What is told of an expectation is what is the case when it is told. The others answer in order, so
//! how much each has heard is one number.
//!
//! Where the end that announces is translated, its lcore tells the other side a port of which the
//! expectation's tuple is its own, as for source translation: so no two lcores choose the same one
//! at once. What is announced as it is may be announced at two lcores at once; then both stand, and
//! where only one has room the later one does.
//!
//! Invariants
//!   1. A packet that announces goes on when every other lcore has heard of it.
//!   2. Of what ends here the others are told, however it ends: there is always room to note it.
//!   3. No lcore has more foreign expectations than all others may have.
//!   4. Nothing is allocated: what is told travels in boxes that come back with the answer.
//!
//! Threads: one lcore's; boxes pass between them.
//! Cost: one message to each other lcore per announcement and end, and one back.

use std::collections::{HashMap, VecDeque};

use weir_nat::NatSpec;
use weir_packet::Tick;

use crate::key::Key;
use crate::owner::ShardId;

/// What another lcore's master expects.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Foreign {
    /// As of [`Expectation`](super::Expectation).
    pub(crate) key: Key,
    pub(crate) nat: Option<NatSpec>,
    /// The original key of its master.
    pub(crate) parent: Key,
    /// Of its master.
    pub(crate) mark: u32,
    pub(crate) label: u128,
    pub(crate) deadline: Tick,
    /// Whose master it is.
    pub(crate) from: ShardId,
    /// Which of that lcore's it is.
    pub(crate) number: u64,
}

/// What one lcore tells the others of one expectation of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told {
    Expected(Foreign),
    Over { key: Key, number: u64 },
}

/// An expectation of another lcore's that was met here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Met {
    pub(crate) key: Key,
    pub(crate) from: ShardId,
    pub(crate) number: u64,
}

/// That something is to be told of an expectation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct News {
    pub(crate) key: Key,
    pub(crate) number: u64,
}

/// What an lcore knows of others' expectations, and what these know of its own.
pub(crate) struct Others {
    pub(crate) me: ShardId,
    foreign: HashMap<Key, Foreign>,
    most_foreign: usize,
    /// What is to be told, the oldest first.
    news: VecDeque<News>,
    most_news: usize,
    last_number: u64,
    /// How many news there were, and how many of them were told.
    noted: u64,
    told: u64,
    /// How many of these each lcore has heard, and the least of that.
    heard: Box<[u64]>,
    heard_by_all: u64,
    /// In which to tell.
    #[expect(clippy::vec_box, reason = "the boxes travel, and come back")]
    boxes: Vec<Box<Told>>,
    /// What was met here and is to be told.
    met: VecDeque<Met>,
}

impl Others {
    /// For the lcore `me` of `shards`, which expects at most `most_own` connections itself. Takes
    /// all memory.
    pub(crate) fn new(me: ShardId, shards: u16, most_own: usize) -> Self {
        let others = usize::from(shards).saturating_sub(1);
        // What cannot be split evenly is one more at some.
        let most_foreign = (most_own + 1) * others;
        let nothing = Told::Over {
            key: Key::NONE,
            number: 0,
        };
        Self {
            me,
            // With twice the room it never grows.
            foreign: HashMap::with_capacity(2 * most_foreign),
            most_foreign,
            news: VecDeque::with_capacity(NEWS * most_own),
            most_news: NEWS * most_own,
            last_number: 0,
            noted: 0,
            told: 0,
            heard: vec![0; shards.into()].into(),
            heard_by_all: 0,
            boxes: vec![Box::new(nothing); MOST_UNHEARD * others],
            met: VecDeque::with_capacity(MOST_MET),
        }
    }

    /// What another lcore expects with this key.
    pub(crate) fn find(&self, key: &Key, now: Tick) -> Option<&Foreign> {
        let foreign = self.foreign.get(key)?;
        (now < foreign.deadline).then_some(foreign)
    }

    /// The number of an expectation that is new.
    pub(crate) const fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Whether something more can be told of what is expected, if `own` are: for each of them there
    /// is to be room to tell its end.
    pub(crate) fn has_room(&self, own: usize) -> bool {
        // The next one, and its end.
        self.news.len() + own + 2 <= self.most_news
    }

    /// Notes that something is to be told of an expectation; there is room. Returns what is to be
    /// [heard by all](Self::is_heard) then.
    pub(crate) fn note(&mut self, key: Key, number: u64) -> u64 {
        debug_assert!(self.news.len() < self.most_news, "there is room");
        self.news.push_back(News { key, number });
        self.noted += 1;
        self.noted
    }

    /// Whether each other lcore has heard what was noted as number `news`.
    pub(crate) const fn is_heard(&self, news: u64) -> bool {
        news <= self.heard_by_all
    }

    /// How much all have heard.
    pub(crate) const fn heard_by_all(&self) -> u64 {
        self.heard_by_all
    }

    /// Whether there is nothing to be told or to be heard.
    pub(crate) fn is_quiet(&self) -> bool {
        self.news.is_empty() && self.heard_by_all == self.told && self.met.is_empty()
    }

    /// The next expectation of which the others are to be told, if not too much is under way.
    pub(crate) fn next_news(&mut self) -> Option<News> {
        let others = self.heard.len().saturating_sub(1);
        if self.boxes.len() < others {
            return None;
        }
        let news = self.news.pop_front()?;
        self.told += 1;
        Some(news)
    }

    /// Something to be told, to be sent to one other lcore.
    pub(crate) fn boxed(&mut self, told: Told) -> Option<Box<Told>> {
        let mut room = self.boxes.pop()?;
        *room = told;
        Some(room)
    }

    /// The lcore `by` has heard what it was told next.
    pub(crate) fn heard(&mut self, by: ShardId, room: Box<Told>) {
        self.boxes.push(room);
        if let Some(heard) = self.heard.get_mut(usize::from(by.0)) {
            *heard += 1;
        }
        let me = usize::from(self.me.0);
        let others = self.heard.iter().enumerate().filter(|(at, _)| *at != me);
        self.heard_by_all = others.map(|(_, heard)| *heard).min().unwrap_or(self.told);
    }

    /// Takes in what the lcore `from` tells.
    pub(crate) fn hear(&mut self, from: ShardId, told: &Told) {
        match told {
            Told::Expected(foreign) => {
                debug_assert!(
                    self.foreign.len() < self.most_foreign
                        || self.foreign.contains_key(&foreign.key),
                    "no more than all others may have"
                );
                self.foreign.insert(foreign.key, *foreign);
            }
            Told::Over { key, number } => {
                let is_it = |foreign: &Foreign| (foreign.from, foreign.number) == (from, *number);
                if self.foreign.get(key).is_some_and(is_it) {
                    self.foreign.remove(key);
                }
            }
        }
    }

    /// Whether one more can be met.
    pub(crate) fn can_meet(&self) -> bool {
        self.met.len() < MOST_MET
    }

    /// What the lcore `from` expects was met here; it is to be told.
    pub(crate) fn meet(&mut self, met: Met) {
        let Met { key, from, number } = met;
        self.hear(from, &Told::Over { key, number });
        if self.can_meet() {
            self.met.push_back(met);
        }
    }

    /// What is to be told to whom that was met here.
    pub(crate) fn next_met(&mut self) -> Option<Met> {
        self.met.pop_front()
    }

    /// Knows of what `other` knows with this key, too, unless it was met here.
    pub(crate) fn adopt(&mut self, other: &Self, key: &Key) {
        if let Some(foreign) = other.foreign.get(key) {
            let is_it = |met: &Met| (met.from, met.number) == (foreign.from, foreign.number);
            if !self.met.iter().any(is_it) {
                self.foreign.insert(*key, *foreign);
            }
        }
    }

    pub(crate) fn memory(&self) -> usize {
        self.foreign.capacity() * size_of::<(Key, Foreign)>()
            + self.news.capacity() * size_of::<News>()
            + self.boxes.capacity() * (size_of::<Box<Told>>() + size_of::<Told>())
            + self.met.capacity() * size_of::<Met>()
    }
}

/// News for which there is room, by expectation that there may be.
const NEWS: usize = 3;
/// How much may be under way to each other lcore that this one has not heard of.
pub(crate) const MOST_UNHEARD: usize = 16;
/// What was met and is not told yet; beyond that nothing is met.
const MOST_MET: usize = 256;

#[cfg(test)]
mod tests;
