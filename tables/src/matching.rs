//! What a rule matches: a flow key and a mask.

use crate::field::Field;
use crate::key::FlowKey;

/// A match as its author wrote it, brought to the form of the flow key: overlaid fields
/// (`xreg0` and `reg0`, `tcp_src` and `udp_src`) are one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    key: FlowKey,
    mask: FlowKey,
    unexecuted: Vec<Term>,
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

impl Match {
    /// Matches every packet.
    pub const ANY: Self = Self {
        key: FlowKey::ZERO,
        mask: FlowKey::ZERO,
        unexecuted: Vec::new(),
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
        let pairs = mask.words().iter().zip(key.words()).enumerate();
        Self::from_words(pairs.map(|(at, (mask, value))| (at, *mask, value & mask)))
    }

    /// From words of the key: index, mask and value of each that counts.
    pub(crate) fn from_words(words: impl Iterator<Item = (usize, u64, u64)>) -> Self {
        let mut matches = Self::ANY;
        for (at, mask, value) in words {
            matches.mask.words_mut()[at] = mask;
            matches.key.words_mut()[at] = value;
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
        let pairs = self.mask.words().iter().zip(self.key.words());
        pairs
            .zip(key.words())
            .all(|((mask, want), have)| have & mask == *want)
    }
}
