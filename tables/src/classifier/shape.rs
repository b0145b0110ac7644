//! The mask of a subtable: which words of the flow key count, and which bits of each.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::SeedableRandomState;

use super::HashSecret;
use crate::key::{FlowKey, WORDS};

const _: () = assert!(WORDS <= 64, "the bitmap has one bit per word");

/// The words of a mask that are not zero.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MaskShape {
    /// Bit n: word n counts.
    bitmap: u64,
    /// The masks of those words, in ascending order of the words.
    masks: Box<[u64]>,
}

impl MaskShape {
    /// The shape of `mask`.
    pub fn new(mask: &FlowKey) -> Self {
        let mut bitmap = 0;
        let mut masks = Vec::new();
        for (at, &word) in mask
            .words()
            .iter()
            .enumerate()
            .filter(|(_, word)| **word != 0)
        {
            bitmap |= 1 << at;
            masks.push(word);
        }
        Self {
            bitmap,
            masks: masks.into(),
        }
    }

    /// Index and mask of each word that counts.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, u64)> {
        Bits(self.bitmap).zip(self.masks.iter().copied())
    }

    /// How many words count.
    #[expect(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        self.masks.len()
    }

    /// The bits that count, less those in `other`.
    pub fn without(&self, other: &FlowKey) -> FlowKey {
        let mut mask = FlowKey::ZERO;
        for (at, word) in self.pairs() {
            mask.words_mut()[at] = word & !other.words()[at];
        }
        mask
    }

    /// Adds the bits that count to `mask`.
    pub fn add_to(&self, mask: &mut FlowKey) {
        for (at, word) in self.pairs() {
            mask.words_mut()[at] |= word;
        }
    }

    /// The words of `key` that count.
    pub fn select(&self, key: &FlowKey) -> Box<[u64]> {
        self.pairs()
            .map(|(at, mask)| key.words()[at] & mask)
            .collect()
    }

    /// Whether `key` has `values` in the bits that count.
    pub fn covers(&self, values: &[u64], key: &FlowKey) -> bool {
        self.pairs()
            .zip(values)
            .all(|((at, mask), value)| key.words()[at] & mask == *value)
    }

    /// The hash of the masked words of `key`.
    pub fn hash_key(&self, secret: HashSecret, key: &FlowKey) -> u64 {
        let mut hasher = hasher(secret);
        for (at, mask) in self.pairs() {
            hasher.write_u64(key.words()[at] & mask);
        }
        hasher.finish()
    }

    /// The hash of words that are already selected and masked.
    pub fn hash_values(&self, secret: HashSecret, values: &[u64]) -> u64 {
        let mut hasher = hasher(secret);
        for &value in values {
            hasher.write_u64(value);
        }
        hasher.finish()
    }
}

fn hasher(secret: HashSecret) -> impl Hasher {
    SeedableRandomState::with_seed(secret.0, foldhash::SharedSeed::global_fixed()).build_hasher()
}

/// The indexes of the bits set, ascending.
struct Bits(u64);

impl Iterator for Bits {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let at = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(at)
    }
}
