//! What a table must know when it is one of several: which tuples its connections may have.

use weir_packet::Tuple;

use crate::directory::{Directory, Holder};
use crate::key::Key;
use crate::owner::{Owners, PairId, ShardId};

/// One of several tables that share out connections among them.
pub(crate) struct Sharing {
    pub(crate) owners: Owners,
    pub(crate) me: ShardId,
    pub(crate) directory: Directory,
}

impl Sharing {
    pub(crate) fn new(owners: Owners, me: ShardId, connections: u32) -> Self {
        Self {
            owners,
            me,
            directory: Directory::new(connections),
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

    /// Asks for what [`Sharing::route`] will look at.
    #[inline]
    pub(crate) fn ask(&self, pair: PairId) {
        if self.is_noted(self.owners.owner(pair)) {
            self.directory.ask(pair);
        }
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

    /// Notes that a connection has keys of these pairs, which belong here.
    #[inline]
    pub(crate) fn begin(&mut self, [original, reply]: [PairId; 2]) {
        self.hold(original);
        if reply != original {
            self.hold(reply);
        }
    }

    /// Counts one more use of `pair`, which belongs here.
    #[inline]
    pub(crate) fn hold(&mut self, pair: PairId) {
        let lent = self.owners.owner(pair) != self.me;
        self.directory.add_use(pair, lent);
    }

    /// Notes that a connection had these keys.
    pub(crate) fn end(&mut self, keys: &[Key; 2]) {
        let [original, reply] = self.pairs(keys);
        self.give_up(original);
        if reply != original {
            self.give_up(reply);
        }
    }

    /// Counts one use of `pair` less.
    pub(crate) fn give_up(&mut self, pair: PairId) {
        let lent = self.owners.owner(pair) != self.me;
        self.directory.drop_use(pair, lent);
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
    pub(crate) fn ask_to_begin(&self, [original, reply]: [PairId; 2]) {
        self.directory.ask(original);
        if reply != original {
            self.directory.ask(reply);
        }
    }

    /// Checks that the directory is that of connections with these keys.
    #[cfg(test)]
    pub(crate) fn check<'a>(&self, connections: impl Iterator<Item = &'a [Key; 2]>) {
        use std::collections::HashMap;

        let mut uses: HashMap<PairId, u32> = HashMap::new();
        for keys in connections {
            let [original, reply] = self.pairs(keys);
            *uses.entry(original).or_default() += 1;
            if reply != original {
                *uses.entry(reply).or_default() += 1;
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
