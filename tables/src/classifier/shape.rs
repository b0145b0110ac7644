//! The mask of a subtable: which words of the flow key count, and which bits of each.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::SeedableRandomState;

use super::HashSecret;
use crate::key::{ALL_WORDS, FlowKey};

const _: () = assert!(ALL_WORDS <= 128, "the bitmap has one bit per word");

/// The words of a mask that are not zero.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MaskShape {
    /// Bit n: word n counts, and word 64 + n.
    bitmap: [u64; 2],
    /// The masks of those words, in ascending order of the words.
    masks: Box<[u64]>,
}

impl MaskShape {
    /// The shape of `mask`.
    pub fn new(mask: &FlowKey) -> Self {
        let mut bitmap = [0; 2];
        let mut masks = Vec::new();
        for (at, word) in mask.set_words() {
            bitmap[at / 64] |= 1 << (at % 64);
            masks.push(word);
        }
        Self {
            bitmap,
            masks: masks.into(),
        }
    }

    /// Index and mask of each word that counts.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, u64)> {
        Bits::of(self.bitmap).zip(self.masks.iter().copied())
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
            *mask.word_mut(at) = word & !other.word(at);
        }
        mask
    }

    /// Adds the bits that count to `mask`.
    pub fn add_to(&self, mask: &mut FlowKey) {
        for (at, word) in self.pairs() {
            *mask.word_mut(at) |= word;
        }
    }

    /// The words of `key` that count.
    pub fn select(&self, key: &FlowKey) -> Box<[u64]> {
        self.pairs().map(|(at, mask)| key.word(at) & mask).collect()
    }

    /// Whether `key` has `values` in the bits that count.
    pub fn covers(&self, values: &[u64], key: &FlowKey) -> bool {
        self.pairs()
            .zip(values)
            .all(|((at, mask), value)| key.word(at) & mask == *value)
    }

    /// The hash of the masked words of `key`.
    pub fn hash_key(&self, secret: HashSecret, key: &FlowKey) -> u64 {
        let mut hasher = hasher(secret);
        for (at, mask) in self.pairs() {
            hasher.write_u64(key.word(at) & mask);
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
struct Bits {
    bits: u64,
    /// What the lowest of them is.
    base: usize,
    /// Those from 64 on, until the others are done.
    more: u64,
}

impl Bits {
    const fn of([bits, more]: [u64; 2]) -> Self {
        Self {
            bits,
            base: 0,
            more,
        }
    }
}

impl Iterator for Bits {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.bits == 0 {
            if self.more == 0 {
                return None;
            }
            *self = Self {
                bits: self.more,
                base: 64,
                more: 0,
            };
        }
        let at = self.base + self.bits.trailing_zeros() as usize;
        self.bits &= self.bits - 1;
        Some(at)
    }
}
