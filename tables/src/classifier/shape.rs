//! The mask of a subtable: which words of the flow key count, and which bits of each.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::SeedableRandomState;

use super::HashSecret;
use crate::key::{FlowKey, OPTION_WORDS, WORDS, word};

const _: () = assert!(WORDS <= 64 && OPTION_WORDS <= 64, "one bit per word");

/// The words of a mask that are not zero.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MaskShape {
    /// Bit n: word n counts.
    words: u64,
    /// Bit n: word n of those for options counts.
    options: u64,
    /// The masks of those words, in ascending order of the words.
    masks: Box<[u64]>,
}

impl MaskShape {
    /// The shape of `mask`.
    pub fn new(mask: &FlowKey) -> Self {
        let (mut words, mut options) = (0, 0);
        let mut masks = Vec::new();
        for (at, word) in mask.set_words() {
            if at < WORDS {
                words |= 1 << at;
            } else {
                options |= 1 << (at - WORDS);
            }
            masks.push(word);
        }
        Self {
            words,
            options,
            masks: masks.into(),
        }
    }

    /// The part that is not about L4; `None` if that is all of it.
    pub(super) fn head(&self) -> Option<Self> {
        let words = self.words & HEAD;
        (words != self.words).then(|| Self {
            words,
            options: self.options,
            masks: self.head_of(&self.masks).collect(),
        })
    }

    /// Of words for this shape those that are not about L4.
    fn head_of(&self, words: &[u64]) -> impl Iterator<Item = u64> {
        let pairs = self.pairs().zip(words);
        let head = pairs.filter(|((at, _), _)| *at >= WORDS || HEAD >> at & 1 != 0);
        head.map(|(_, word)| *word)
    }

    /// Index and mask of each word that counts.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, u64)> {
        let options = Bits(self.options).map(|at| WORDS + at);
        let all = Bits(self.words).chain(options);
        all.zip(self.masks.iter().copied())
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
    #[inline]
    pub fn covers(&self, values: &[u64], key: &FlowKey) -> bool {
        let pairs = self.masks.iter().zip(values);
        Bits(self.words)
            .zip(pairs)
            .all(|(at, (mask, value))| key.words()[at] & mask == *value)
            && (self.options == 0 || self.covers_options(values, key))
    }

    #[cold]
    fn covers_options(&self, values: &[u64], key: &FlowKey) -> bool {
        let pairs = self.masks.iter().zip(values);
        let pairs = pairs.skip(self.words.count_ones() as usize);
        Bits(self.options)
            .zip(pairs)
            .all(|(at, (mask, value))| key.word(WORDS + at) & mask == *value)
    }

    /// Hands the words of `key` that count to `take`, masked, in ascending order. Few rules match
    /// options, so those before them do not pay for these.
    #[inline(always)]
    pub fn each(&self, key: &FlowKey, mut take: impl FnMut(u64)) {
        for (at, mask) in Bits(self.words).zip(&*self.masks) {
            take(key.words()[at] & mask);
        }
        if self.options != 0 {
            let masks = &self.masks[self.words.count_ones() as usize..];
            for (at, mask) in Bits(self.options).zip(masks) {
                take(key.word(WORDS + at) & mask);
            }
        }
    }

    /// The hash of the masked words of `key`.
    pub fn hash_key(&self, secret: HashSecret, key: &FlowKey) -> u64 {
        let mut hasher = hasher(secret);
        self.each(key, |word| hasher.write_u64(word));
        hasher.finish()
    }

    /// The hash of words that are already selected and masked.
    pub fn hash_values(&self, secret: HashSecret, values: &[u64]) -> u64 {
        hash(secret, values.iter().copied())
    }

    /// The hash of what the [head](Self::head) has of such words.
    pub(super) fn hash_head(&self, secret: HashSecret, values: &[u64]) -> u64 {
        hash(secret, self.head_of(values))
    }
}

/// The words in front of L4, which come last.
const HEAD: u64 = (1 << word::L4) - 1;

fn hash(secret: HashSecret, words: impl Iterator<Item = u64>) -> u64 {
    let mut hasher = hasher(secret);
    words.for_each(|word| hasher.write_u64(word));
    hasher.finish()
}

fn hasher(secret: HashSecret) -> impl Hasher {
    SeedableRandomState::with_seed(secret.0, foldhash::SharedSeed::global_fixed()).build_hasher()
}

/// The indexes of the bits set, ascending.
struct Bits(u64);

impl Iterator for Bits {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let at = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(at)
    }
}
