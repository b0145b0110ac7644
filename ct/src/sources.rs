//! How many connections each source address of a zone has opened.
//!
//! An address is known by its hash only, of 64 bits and keyed with the tracker's secret: that two
//! share one is as likely as guessing the secret. Open addressing with linear probing; what is
//! taken out leaves no gap.
//!
//! Invariants
//!   1. An entry has a count above 0. Between the place where it is looked for first and its own
//!      there is no empty one.
//!
//! Cost: constant; memory is taken once, in [`Sources::new`].

pub(crate) struct Sources {
    entries: Box<[Entry]>,
    mask: usize,
}

/// An address and its connections; 0: empty.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    hash: u64,
    count: u32,
}

impl Sources {
    /// For as many addresses as there may be connections.
    pub(crate) fn new(connections: u32) -> Self {
        // At most half full, so that runs stay short.
        let size = (connections as usize * 2).next_power_of_two().max(2);
        Self {
            entries: vec![Entry::default(); size].into(),
            mask: size - 1,
        }
    }

    pub(crate) fn count(&self, hash: u64) -> u32 {
        self.entries[self.place(hash)].count
    }

    /// Counts one more.
    pub(crate) fn begin(&mut self, hash: u64) {
        let place = self.place(hash);
        let entry = &mut self.entries[place];
        entry.hash = hash;
        entry.count += 1;
    }

    /// Counts one less of those that [`Sources::begin`] counted.
    pub(crate) fn end(&mut self, hash: u64) {
        let mut gap = self.place(hash);
        let entry = &mut self.entries[gap];
        debug_assert!(entry.count > 0, "it was counted");
        entry.count = entry.count.saturating_sub(1);
        if entry.count > 0 {
            return;
        }
        // What was looked for in the gap, or before, moves up.
        let mut at = gap;
        loop {
            at = (at + 1) & self.mask;
            let entry = self.entries[at];
            if entry.count == 0 {
                break;
            }
            let home = entry.hash as usize & self.mask;
            if at.wrapping_sub(home) & self.mask >= at.wrapping_sub(gap) & self.mask {
                self.entries[gap] = entry;
                gap = at;
            }
        }
        self.entries[gap].count = 0;
    }

    pub(crate) fn memory(&self) -> usize {
        size_of_val(&*self.entries)
    }

    /// Where `hash` is, or would be.
    fn place(&self, hash: u64) -> usize {
        let mut at = hash as usize & self.mask;
        while self.entries[at].count > 0 && self.entries[at].hash != hash {
            at = (at + 1) & self.mask;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::Sources;

    proptest! {
        /// Few places, so that runs meet and wrap.
        #[test]
        fn counts_like_a_map(steps in prop::collection::vec((any::<bool>(), 0..24u64), 0..200)) {
            let mut sources = Sources::new(16);
            let mut model: HashMap<u64, u32> = HashMap::new();
            for (begins, number) in steps {
                // Homes close to each other, also at the end.
                let hash = (number << 32) | ((number / 3 + 28) % 32);
                let count = model.entry(hash).or_default();
                let live = *count > 0;
                if begins {
                    *count += 1;
                    let total: u32 = model.values().sum();
                    if total > 16 {
                        *model.get_mut(&hash).expect("just there") -= 1;
                    } else {
                        sources.begin(hash);
                    }
                } else if live {
                    *count -= 1;
                    sources.end(hash);
                }
                for (&hash, &count) in &model {
                    prop_assert_eq!(sources.count(hash), count);
                }
            }
        }
    }
}
