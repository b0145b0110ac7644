//! The connections that are expected, by the key that their first packets will have.
//!
//! Cost: constant per operation; what is over is found by looking at a few of them at a time.

use std::collections::HashMap;
use std::time::Duration;

use weir_nat::NatSpec;
use weir_packet::Tick;

use crate::key::Key;

/// How long a connection is expected, as in Linux.
pub(crate) const LIFETIME: Duration = Duration::from_secs(300);

/// A connection that is expected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expectation {
    /// The key of its first packet, as that comes in; any source port will do, here it is 0.
    pub(crate) key: Key,
    /// The slot of the connection that said so.
    pub(crate) master: u32,
    /// What it is translated to, if anything: to what its master is.
    pub(crate) nat: Option<NatSpec>,
    pub(crate) deadline: Tick,
    /// With several lcores: which of all that were ever expected here, and what the others are
    /// told of it.
    pub(crate) number: u64,
    pub(crate) said: Said,
}

/// What other lcores were told of an expectation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// By which of the [news](super::Others::note).
    pub(crate) news: u64,
    /// Of its master.
    pub(crate) mark: u32,
    pub(crate) label: u128,
}

pub(crate) struct Expectations {
    entries: Box<[Option<Expectation>]>,
    free: Vec<u32>,
    index: HashMap<Key, u32>,
    /// Where the search for those whose time is over goes on.
    hand: u32,
}

impl Expectations {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            entries: vec![None; most].into(),
            free: (0..most as u32).rev().collect(),
            // With twice the room it never grows.
            index: HashMap::with_capacity(2 * most),
            hand: 0,
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    pub(crate) fn find(&self, key: &Key) -> Option<(u32, &Expectation)> {
        let at = *self.index.get(key)?;
        Some((at, self.get(at)?))
    }

    pub(crate) fn get(&self, at: u32) -> Option<&Expectation> {
        self.entries.get(at as usize)?.as_ref()
    }

    /// Puts one in, of a key that is not there. If there is no room, one of a few others goes
    /// whose time is over: it is `gone` from its place. `None` if there is none.
    pub(crate) fn insert(
        &mut self,
        expectation: Expectation,
        now: Tick,
        gone: &mut Option<(u32, Expectation)>,
    ) -> Option<u32> {
        debug_assert!(!self.index.contains_key(&expectation.key));
        if self.free.is_empty() {
            for _ in 0..PROBE {
                if let Some((at, over)) = self.next()
                    && over.deadline <= now
                {
                    *gone = Some((at, over));
                    self.remove(at);
                    break;
                }
            }
        }
        let at = self.free.pop()?;
        self.index.insert(expectation.key, at);
        self.entries[at as usize] = Some(expectation);
        Some(at)
    }

    pub(crate) fn remove(&mut self, at: u32) -> Option<Expectation> {
        let expectation = self.entries.get_mut(at as usize)?.take()?;
        self.index.remove(&expectation.key);
        self.free.push(at);
        Some(expectation)
    }

    /// The same, to be written, but for its key.
    pub(crate) fn get_mut(&mut self, at: u32) -> Option<&mut Expectation> {
        self.entries.get_mut(at as usize)?.as_mut()
    }

    /// What is at the next place, round and round.
    pub(crate) fn next(&mut self) -> Option<(u32, Expectation)> {
        self.hand = (self.hand + 1) % (self.entries.len().max(1) as u32);
        let expectation = *self.get(self.hand)?;
        Some((self.hand, expectation))
    }

    /// Those at up to `budget` places from `cursor` on, and where to go on.
    pub(crate) fn slice(
        &self,
        cursor: u32,
        budget: usize,
    ) -> (impl Iterator<Item = &Expectation>, Option<u32>) {
        let start = (cursor as usize).min(self.entries.len());
        let end = (start + budget.max(1)).min(self.entries.len());
        let next = (end < self.entries.len()).then_some(end as u32);
        (self.entries[start..end].iter().flatten(), next)
    }

    pub(crate) fn memory(&self) -> usize {
        size_of_val(&*self.entries)
            + self.free.capacity() * size_of::<u32>()
            + self.index.capacity() * size_of::<(Key, u32)>()
    }
}

/// How many are looked at to make room for one.
const PROBE: usize = 64;
