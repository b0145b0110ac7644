//! What a table must know when it is one of several: which tuples its connections may have.
//!
//! Which of its own tuples are in use matters only to others that want one of them. Until the first one
//! asks, nothing of that is noted; then it is noted of all connections, those in some slots at a time, and
//! from then on of each that begins or ends.
//!
//! Invariants
//!   1. The directory has the uses of all tuples that are lent, and of the lcore's own those by connections
//!      in slots below [`Sharing::noted`].
//!   2. Nothing is granted before all of these are noted.

use weir_packet::Tuple;

use crate::directory::{Directory, Holder};
use crate::key::Key;
use crate::owner::{Owners, PairId, ShardId};

/// One of several tables that share out connections among them.
pub(crate) struct Sharing {
    pub(crate) owners: Owners,
    pub(crate) me: ShardId,
    pub(crate) directory: Directory,
    /// [`Sharing::noted`]
    noted: u32,
}

/// [`Sharing::noted`] when all is noted.
const ALL: u32 = u32::MAX;

impl Sharing {
    pub(crate) fn new(owners: Owners, me: ShardId, connections: u32) -> Self {
        Self {
            owners,
            me,
            directory: Directory::new(connections),
            noted: 0,
        }
    }

    /// Where packets of `pair` are to go, as far as is known here: to whoever holds it, else to
    /// its owner, who knows.
    #[inline]
    pub(crate) fn route(&self, pair: PairId) -> ShardId {
        let owner = self.owners.owner(pair);
        if !self.is_noted(owner) {
            return owner;
        }
        match self.directory.holder(pair) {
            None => owner,
            Some(Holder::Here(_)) => self.me,
            Some(Holder::Granted(to)) => to,
        }
    }

    /// Whether packets of `pair` may have to go elsewhere; if so, asks for what [`Sharing::route`] will look at.
    #[inline(always)]
    pub(crate) fn may_be_elsewhere(&self, pair: PairId) -> bool {
        let owner = self.owners.owner(pair);
        let is_noted = self.is_noted(owner);
        if is_noted {
            self.directory.ask(pair);
        }
        is_noted || owner != self.me
    }

    /// Whether the directory may say of a pair of `owner`'s that another one holds it.
    #[inline]
    fn is_noted(&self, owner: ShardId) -> bool {
        match owner == self.me {
            true => !self.directory.grants_nothing(),
            false => !self.directory.borrows_nothing(),
        }
    }

    /// Whether `tuple` is one of this lcore's own, whoever holds it.
    pub(crate) fn owns(&self, tuple: &Tuple) -> bool {
        self.owners.owner(self.owners.pair(tuple)) == self.me
    }

    /// Whether connections of `tuple` belong here.
    pub(crate) fn is_ours(&self, tuple: &Tuple) -> bool {
        self.route(self.owners.pair(tuple)) == self.me
    }

    /// Below which slot it is noted what connections use; above all slots if that is all of them.
    pub(crate) const fn noted(&self) -> u32 {
        self.noted
    }

    /// Whether anything may have to be noted of a connection that begins or ends.
    #[inline]
    pub(crate) const fn notes(&self) -> bool {
        self.noted > 0 || !self.directory.borrows_nothing()
    }

    /// Notes that the connection in `slot` has keys of these pairs, which belong here.
    #[inline]
    pub(crate) fn begin(&mut self, slot: u32, pairs: [PairId; 2]) {
        for pair in each(pairs) {
            let lent = self.is_lent(pair);
            if lent || slot < self.noted {
                self.directory.add_use(pair, lent);
            }
        }
    }

    /// Notes that the connection in `slot` had these keys.
    #[inline]
    pub(crate) fn end(&mut self, slot: u32, keys: &[Key; 2]) {
        if !self.notes() {
            return;
        }
        for pair in each(self.pairs(keys)) {
            let lent = self.is_lent(pair);
            if lent || slot < self.noted {
                self.directory.drop_use(pair, lent);
            }
        }
    }

    /// Notes what connections use that began before anybody asked: those in slots from
    /// [`Sharing::noted`] on. `are_last`: there are no others.
    pub(crate) fn note<'a>(
        &mut self,
        connections: impl Iterator<Item = &'a [Key; 2]> + Clone,
        (slots, are_last): (u32, bool),
    ) {
        for pair in connections.clone().flat_map(|keys| each(self.pairs(keys))) {
            self.directory.ask(pair);
        }
        for keys in connections {
            for pair in each(self.pairs(keys)) {
                // What is lent was noted from the start.
                if !self.is_lent(pair) {
                    self.directory.add_use(pair, false);
                }
            }
        }
        self.noted = if are_last { ALL } else { self.noted + slots };
    }

    /// Whether all is noted, so that something can be granted.
    pub(crate) const fn can_grant(&self) -> bool {
        self.noted == ALL
    }

    /// Counts one more use of `pair`, which another lcore has lent.
    pub(crate) fn hold(&mut self, pair: PairId) {
        debug_assert!(self.is_lent(pair));
        self.directory.add_use(pair, true);
    }

    /// Counts one use less.
    pub(crate) fn give_up(&mut self, pair: PairId) {
        debug_assert!(self.is_lent(pair));
        self.directory.drop_use(pair, true);
    }

    fn is_lent(&self, pair: PairId) -> bool {
        self.owners.owner(pair) != self.me
    }

    /// The pairs of a connection with these keys: the same, unless it is translated.
    pub(crate) fn pairs(&self, keys: &[Key; 2]) -> [PairId; 2] {
        let [original, reply] = keys.each_ref().map(Key::tuple);
        let pair = self.owners.pair(&original);
        [pair, self.reply_pair((&original, pair), &reply)]
    }

    /// The pair of `reply`, where that of the tuple which it may be the reverse of is known.
    #[inline]
    pub(crate) fn reply_pair(&self, (original, pair): (&Tuple, PairId), reply: &Tuple) -> PairId {
        match original.reversed() == *reply {
            true => pair,
            false => self.owners.pair(reply),
        }
    }

    /// Asks for what [`Sharing::begin`] will write.
    #[inline]
    pub(crate) fn ask_to_begin(&self, pairs: [PairId; 2]) {
        each(pairs).for_each(|pair| self.directory.ask(pair));
    }

    /// Checks that the directory is that of connections in these slots, with these keys.
    #[cfg(test)]
    pub(crate) fn check<'a>(&self, connections: impl Iterator<Item = (u32, &'a [Key; 2])>) {
        use std::collections::HashMap;

        let mut uses: HashMap<PairId, u32> = HashMap::new();
        for (slot, keys) in connections {
            for pair in each(self.pairs(keys)) {
                if self.is_lent(pair) || slot < self.noted {
                    *uses.entry(pair).or_default() += 1;
                }
            }
        }
        for (&pair, &uses) in &uses {
            assert_eq!(self.directory.holder(pair), Some(Holder::Here(uses)));
        }
        if !self.directory.has_idle() {
            let (all, granted) = self.directory.len();
            assert_eq!(all - granted, uses.len());
        }
    }
}

/// Each of them once.
fn each([original, reply]: [PairId; 2]) -> impl Iterator<Item = PairId> {
    std::iter::once(original).chain((reply != original).then_some(reply))
}
