//! What a rule matches: a flow key and a mask.

use crate::field::Field;
use crate::key::FlowKey;
use crate::option_use::{OptionError, normalise};
use crate::tunnel::options::TlvMap;
use crate::wide::Wide;

/// A match as its author wrote it, brought to the form of the flow key: overlaid fields
/// (`xreg0` and `reg0`, `tcp_src` and `udp_src`) are one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    key: FlowKey,
    mask: FlowKey,
    unexecuted: Vec<Term>,
    options: Vec<OptionTerm>,
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
        key: FlowKey::ZERO,
        mask: FlowKey::ZERO,
        unexecuted: Vec::new(),
        options: Vec::new(),
    };

    /// Requires `field` to equal `value` in the bits of `mask`; later calls win.
    pub fn set(&mut self, field: Field, value: u128, mask: u128) {
        match field.info().slot {
            Some(slot) => {
                self.mask.write_masked(slot, mask, mask);
                self.key.write_masked(slot, value, mask);
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
                *self.mask.word_mut(word.into()) |= mask;
                *self.key.word_mut(word.into()) |= value;
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
            *matches.mask.word_mut(at) = mask;
            *matches.key.word_mut(at) = value;
        }
        matches
    }

    /// Requires nothing of `field`.
    pub fn clear(&mut self, field: Field) {
        match field.info().slot {
            Some(slot) => {
                self.mask.write(slot, 0);
                self.key.write(slot, 0);
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
            Some(slot) => (self.key.read(slot), self.mask.read(slot)),
            None => self
                .unexecuted
                .iter()
                .find(|term| term.field == field)
                .map_or((0, 0), |term| (term.value, term.mask)),
        }
    }

    /// The values; zero where the mask is.
    pub const fn key(&self) -> &FlowKey {
        &self.key
    }

    /// The bits that count.
    pub const fn mask(&self) -> &FlowKey {
        &self.mask
    }

    /// Requirements on fields that are parsed and printed but not executed.
    pub fn unexecuted(&self) -> &[Term] {
        &self.unexecuted
    }

    /// Whether a packet with `key` satisfies this match (of the executed fields).
    pub fn accepts(&self, key: &FlowKey) -> bool {
        let mut words = self.mask.set_words();
        words.all(|(at, mask)| key.word(at) & mask == self.key.word(at))
    }
}
