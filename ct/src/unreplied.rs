//! Which connections may be given up for a new one: those that saw no reply.
//!
//! A bit for each slot, and one for each 64 of these that is not 0, so that the next is found at
//! once however many others lie between. It is set when a connection is made and taken away with its
//! first reply. A connection that ends leaves it: whoever comes upon it there takes it away.
//!
//! Invariants
//!   1. The bit of each live connection without a reply is set.
//!   2. A word is not 0 only if its bit in `filled` is set.
//!
//! Cost: two words are written for a connection that is made, and for one that gets its first reply;
//! nothing for any other packet. A search reads a word for each 4,096 slots that it passes. Memory
//! is taken once: a bit and a little for each slot.

pub(crate) struct Unreplied {
    words: Box<[u64]>,
    /// By word.
    filled: Box<[u64]>,
}

impl Unreplied {
    pub(crate) fn new(slots: u32) -> Self {
        let words = (slots as usize).div_ceil(WORD);
        Self {
            words: vec![0; words].into(),
            filled: vec![0; words.div_ceil(WORD)].into(),
        }
    }

    pub(crate) fn memory(&self) -> usize {
        size_of_val(&*self.words) + size_of_val(&*self.filled)
    }

    #[inline]
    pub(crate) fn insert(&mut self, slot: u32) {
        let slot = slot as usize;
        let word = slot / WORD;
        self.words[word] |= 1 << (slot % WORD);
        self.filled[word / WORD] |= 1 << (word % WORD);
    }

    pub(crate) fn remove(&mut self, slot: u32) {
        let slot = slot as usize;
        let word = slot / WORD;
        self.words[word] &= !(1 << (slot % WORD));
        if self.words[word] == 0 {
            self.filled[word / WORD] &= !(1 << (word % WORD));
        }
    }

    /// Writes slots whose bit is set into `out`, each once: from `first` on, and then from the
    /// beginning. Returns how many there were, up to what there is room for.
    pub(crate) fn fill(&self, first: u32, out: &mut [u32]) -> usize {
        let first = first as usize;
        let mask = u64::MAX << (first % WORD);
        let mut count = 0;
        let mut take = |word: usize, mut bits: u64| {
            while bits != 0 && count < out.len() {
                out[count] = (word * WORD) as u32 + bits.trailing_zeros();
                count += 1;
                bits &= bits - 1;
            }
            count < out.len()
        };
        let home = first / WORD;
        let Some(&at_home) = self.words.get(home) else {
            return if first == 0 { 0 } else { self.fill(0, out) };
        };
        let mut going = take(home, at_home & mask);
        let mut at = home + 1;
        while going && let Some(word) = self.next_word(at) {
            going = take(word, self.words[word]);
            at = word + 1;
        }
        at = 0;
        while going && let Some(word) = self.next_word(at).filter(|word| *word < home) {
            going = take(word, self.words[word]);
            at = word + 1;
        }
        if going {
            take(home, at_home & !mask);
        }
        count
    }

    /// The first word from this one on that is not 0.
    fn next_word(&self, word: usize) -> Option<usize> {
        let mut group = word / WORD;
        let mut rest = self.filled.get(group)? & (u64::MAX << (word % WORD));
        while rest == 0 {
            group += 1;
            rest = *self.filled.get(group)?;
        }
        Some(group * WORD + rest.trailing_zeros() as usize)
    }
}

const WORD: usize = u64::BITS as usize;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::Unreplied;

    /// Slots on both sides of the edges of words and of groups of them.
    fn slot() -> impl Strategy<Value = u32> {
        let edge = prop::sample::select(vec![0_u32, 64, 128, 4_096, 8_192, 12_288, 19_999]);
        (edge, 0..4_u32).prop_map(|(edge, back)| edge.saturating_sub(back))
    }

    proptest! {
        #[test]
        fn is_a_set_in_a_circle(
            steps in prop::collection::vec((any::<bool>(), slot()), 0..60),
            first in slot(),
        ) {
            let mut bits = Unreplied::new(20_000);
            let mut model = BTreeSet::new();
            for (inserts, slot) in steps {
                if inserts {
                    bits.insert(slot);
                    model.insert(slot);
                } else {
                    bits.remove(slot);
                    model.remove(&slot);
                }
            }
            let wanted: Vec<u32> = model.range(first..).chain(model.range(..first)).copied().collect();
            let mut out = [0; 100];
            let count = bits.fill(first, &mut out);
            prop_assert_eq!(&out[..count], &wanted[..]);
            let few = bits.fill(first, &mut out[..5]);
            prop_assert_eq!(&out[..few], &wanted[..wanted.len().min(5)]);
        }
    }

    #[test]
    fn without_slots_there_is_none() {
        let mut out = [0; 9];
        assert_eq!(Unreplied::new(0).fill(0, &mut out), 0);
        let mut bits = Unreplied::new(64);
        bits.insert(63);
        for first in [0, 63, 64, 1_000] {
            assert_eq!(bits.fill(first, &mut out), 1);
            assert_eq!(out[0], 63);
        }
    }
}
