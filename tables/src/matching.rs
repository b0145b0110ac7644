//! What a rule matches: a flow key and a mask.

use crate::field::Field;
use crate::key::FlowKey;
use crate::option_use::{OptionError, normalise};
use crate::tunnel::options::TlvMap;
use crate::wide::Wide;

/// A match as its author wrote it, brought to the form of the flow key: overlaid fields
/// (`xreg0` and `reg0`, `tcp_src` and `udp_src`) are one.
///
/// It takes room for the words of the key that count, 24 bytes each: a file has a million of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// By index, each with a bit that counts at least.
    words: Vec<Word>,
    unexecuted: Vec<Term>,
    options: Vec<OptionTerm>,
}

/// A word of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word {
    at: u8,
    /// The bits that count.
    mask: u64,
    /// What they must be; 0 elsewhere.
    value: u64,
}

/// A field, the value it must have and the bits that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// The field.
    pub field: Field,
    /// The value, within `mask`.
    pub value: u128,
    /// The bits that count.
    pub mask: u128,
}

/// A `tun_metadata` field that a packet must have, and what it must be. Where that lies in the
/// key depends on a [`TlvMap`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionTerm {
    /// The field.
    pub field: Field,
    /// The value, within `mask`.
    pub value: Box<Wide>,
    /// The bits that count; none: it is enough that the packet has the field; all that any option
    /// has: all.
    pub mask: Box<Wide>,
}

impl Match {
    /// Matches every packet.
    pub const ANY: Self = Self {
        words: Vec::new(),
        unexecuted: Vec::new(),
        options: Vec::new(),
    };

    /// Requires `field` to equal `value` in the bits of `mask`; later calls win.
    pub fn set(&mut self, field: Field, value: u128, mask: u128) {
        match field.info().slot {
            Some(slot) => {
                let values = slot.split(value & mask);
                for ((at, mask), (_, value)) in slot.split(mask).into_iter().zip(values) {
                    self.require(at, mask, value);
                }
            }
            None => {
                self.unexecuted.retain(|term| term.field != field);
                self.unexecuted.push(Term {
                    field,
                    value: value & mask,
                    mask,
                });
                self.unexecuted.sort_by_key(|term| term.field);
            }
        }
    }

    /// Requires those bits of `key` that are set in `mask`.
    pub fn of_key(key: &FlowKey, mask: &FlowKey) -> Self {
        let words = mask
            .set_words()
            .map(|(at, mask)| (at, mask, key.word(at) & mask));
        Self::from_words(words, &[])
    }

    /// Requires the packet to have the `tun_metadata` field `field`, with `value` in the bits of
    /// `mask`; later calls win. The key says nothing of it before [`Self::resolve`].
    ///
    /// # Panics
    /// If it is another field.
    pub fn set_option(&mut self, field: Field, value: &Wide, mask: &Wide) {
        assert!(field.option().is_some(), "{field:?} is no option");
        self.options.retain(|term| term.field != field);
        self.options.push(OptionTerm {
            field,
            value: Box::new(*value & *mask),
            mask: Box::new(*mask),
        });
        self.options.sort_by_key(|term| term.field);
    }

    /// What is required of `tun_metadata` fields, by their numbers.
    pub fn options(&self) -> &[OptionTerm] {
        &self.options
    }

    /// Writes what is required of `tun_metadata` fields into the key.
    ///
    /// # Errors
    /// A field stands for no option of `map`, or for a shorter one.
    pub(crate) fn resolve(&mut self, map: &TlvMap) -> Result<(), OptionError> {
        for term in &mut self.options {
            let place = OptionError::place(term.field, map)?;
            normalise(term.field, &mut term.value, &mut term.mask, place.width())?;
            for (word, mask, value) in place.writes(&term.value, &term.mask) {
                let word = Word {
                    at: word,
                    mask,
                    value,
                };
                require(&mut self.words, word);
            }
        }
        Ok(())
    }

    /// From words of the key: index, mask and value of each that counts; `options` says what
    /// those of options mean.
    pub(crate) fn from_words(
        words: impl Iterator<Item = (usize, u64, u64)>,
        options: &[OptionTerm],
    ) -> Self {
        let mut matches = Self {
            options: options.to_vec(),
            ..Self::ANY
        };
        for (at, mask, value) in words {
            matches.require(at, mask, value);
        }
        matches
    }

    /// Requires nothing of `field`.
    pub fn clear(&mut self, field: Field) {
        match field.info().slot {
            Some(slot) => {
                let parts = slot.split(slot.ones());
                for word in &mut self.words {
                    for (_, bits) in parts.iter().filter(|(at, _)| *at == usize::from(word.at)) {
                        word.mask &= !bits;
                        word.value &= !bits;
                    }
                }
                self.words.retain(|word| word.mask != 0);
            }
            None => self.unexecuted.retain(|term| term.field != field),
        }
    }

    /// Requires all bits of `field` to equal `value`.
    pub fn set_exact(&mut self, field: Field, value: u128) {
        let width = u32::from(field.info().width);
        self.set(field, value, u128::MAX >> (128 - width.min(128)));
    }

    /// Value and mask required of `field`: `(0, 0)` if none.
    pub fn term(&self, field: Field) -> (u128, u128) {
        match field.info().slot {
            Some(slot) => (self.key().read(slot), self.mask().read(slot)),
            None => self
                .unexecuted
                .iter()
                .find(|term| term.field == field)
                .map_or((0, 0), |term| (term.value, term.mask)),
        }
    }

    /// The values; zero where the mask is.
    pub fn key(&self) -> FlowKey {
        let mut key = FlowKey::ZERO;
        for word in &self.words {
            *key.word_mut(word.at.into()) = word.value;
        }
        key
    }

    /// The bits that count.
    pub fn mask(&self) -> FlowKey {
        let mut mask = FlowKey::ZERO;
        for word in &self.words {
            *mask.word_mut(word.at.into()) = word.mask;
        }
        mask
    }

    /// The words that count: index, mask and value.
    pub(crate) fn words(&self) -> impl Iterator<Item = (usize, u64, u64)> {
        self.words
            .iter()
            .map(|word| (word.at.into(), word.mask, word.value))
    }

    fn require(&mut self, at: usize, mask: u64, value: u64) {
        let at = u8::try_from(at).expect("a key has fewer words");
        require(&mut self.words, Word { at, mask, value });
    }

    /// Requirements on fields that are parsed and printed but not executed.
    pub fn unexecuted(&self) -> &[Term] {
        &self.unexecuted
    }

    /// Whether a packet with `key` satisfies this match (of the executed fields).
    pub fn accepts(&self, key: &FlowKey) -> bool {
        let mut words = self.words.iter();
        words.all(|word| key.word(word.at.into()) & word.mask == word.value)
    }
}

/// Requires what `word` says; of what was required before it overwrites the same bits.
fn require(words: &mut Vec<Word>, word: Word) {
    if word.mask == 0 {
        return;
    }
    match words.binary_search_by_key(&word.at, |other| other.at) {
        Ok(found) => {
            let found = &mut words[found];
            found.mask |= word.mask;
            found.value = found.value & !word.mask | word.value;
        }
        Err(place) => words.insert(place, word),
    }
}
