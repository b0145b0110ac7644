//! What look-ups on the way saw where no key tells: in registers and metadata, and what `ct()` said of the
//! packet.
//!
//! A journey begins with registers that are 0, and mostly constants are written there, so all packets of a
//! program are seen alike. A rule that asks for another value, as security groups have one for each port and
//! network, cannot match any of them; so it is told apart here, once per program, whatever its entries are.
//!
//! Invariants
//!   1. Every look-up of a journey is in a sight, unless there are none.
//!   2. A bit that is the same for all packets of an entry, but may differ between entries of one way, is
//!      varying: 0 in all sights, and nothing is told by it.
//!
//! Cost: noting a look-up copies and compares [`WORDS`] words. Memory is taken at start, but for what a new
//! plan holds.

use weir_ct::CtState;

use crate::action::TableId;
use crate::changes::TableSet;
use crate::classifier::MaskShape;
use crate::key::{FlowKey, word};
use crate::program::Bits;

/// Words of a flow key that are told: metadata, registers, and some bits of `ct_state`.
const WORDS: usize = 18;
/// The registers lie behind each other, and metadata in front of them.
const FIRST: usize = word::METADATA as usize;
const LAST: usize = word::CONJ as usize - 1;
const _: () = assert!(LAST + 1 - FIRST == WORDS - 1 && FIRST + 1 == word::REG as usize);
/// The bits of `ct_state`, by which nearly every rule behind `ct()` goes. The others, as the direction or the zone,
/// would be told of ways that are one where rules do not ask for them.
const STATE: CtState =
    CtState(CtState::NEW.0 | CtState::EST.0 | CtState::REL.0 | CtState::INV.0 | CtState::TRK.0);
const CT: u64 = (STATE.0 as u64) << 32;

/// Kinds of look-ups that are told apart; journeys that have more say nothing.
const SIGHTS: usize = 16;

/// So many words a rule can ask for that are held against sights; what else it asks for is not.
const TERMS: usize = 3;

/// What the look-ups of a journey saw.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sights {
    sights: Vec<Sight>,
    /// [`Sights::vary`].
    varying: [u64; WORDS],
    /// There were more than are held.
    overflown: bool,
}

/// What look-ups in some tables saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Sight {
    tables: TableSet,
    words: [u64; WORDS],
}

/// What a rule asks for where keys tell nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    terms: [Term; TERMS],
    len: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Term {
    /// Which of [`WORDS`].
    at: u8,
    mask: u64,
    value: u64,
}

impl Sights {
    pub(super) fn new() -> Self {
        Self {
            sights: Vec::with_capacity(SIGHTS),
            varying: [0; WORDS],
            overflown: false,
        }
    }

    pub(super) fn clear(&mut self) {
        self.sights.clear();
        self.varying = [0; WORDS];
        self.overflown = false;
    }

    /// A packet of `key` is looked up in `table`.
    pub(super) fn note(&mut self, table: TableId, key: &FlowKey) {
        if self.overflown {
            return;
        }
        let mut newest_first = self.sights.iter_mut().rev();
        if let Some(same) = newest_first.find(|sight| sight.is_of(key)) {
            return same.tables.insert(table);
        }
        if self.sights.len() == SIGHTS {
            self.sights.clear();
            self.overflown = true;
            return;
        }
        let mut tables = TableSet::EMPTY;
        tables.insert(table);
        let words = told(key);
        self.sights.push(Sight { tables, words });
    }

    /// `dst` gets what is in `src`: something that others of the same way may have otherwise, unless that is told.
    #[cold]
    pub(super) fn moved(&mut self, src: &Bits, dst: &Bits) {
        let mut from = FlowKey::ZERO;
        from.write_bits_anyway(src);
        let mut sources = from.set_words().peekable();
        let is_told = sources.peek().is_some()
            && sources.all(|(at, bits)| place(at).is_some_and(|at| bits & !self.known(at) == 0));
        if !is_told {
            self.vary(dst);
        }
    }

    /// `dst` gets what others of the same way may have otherwise.
    pub(super) fn vary(&mut self, dst: &Bits) {
        let mut to = FlowKey::ZERO;
        to.write_bits_anyway(dst);
        for (varying, bits) in self.varying.iter_mut().zip(told(&to)) {
            *varying |= bits;
        }
    }

    /// The journey is over.
    pub(super) fn end(&mut self) {
        if self.varying == [0; WORDS] {
            return;
        }
        for sight in &mut self.sights {
            for (word, varying) in sight.words.iter_mut().zip(&self.varying) {
                *word &= !varying;
            }
        }
    }

    /// Whether a look-up in `table` may have seen what a rule asks for with `values` in the bits of `shape`.
    pub(crate) fn may_show(&self, table: TableId, shape: &MaskShape, values: &[u64]) -> bool {
        self.show(table, || {
            let pairs = shape.pairs().zip(values);
            pairs.filter_map(|((at, mask), value)| Some((place(at)?, mask, *value)))
        })
    }

    /// The same, for as much as is held of what it asks for.
    #[inline]
    pub(super) fn may_show_asked(&self, table: TableId, asked: &Asked) -> bool {
        asked.len == 0 || {
            let terms = asked.terms[..usize::from(asked.len)].iter();
            self.show(table, || {
                let terms = terms.clone();
                terms.map(|term| (usize::from(term.at), term.mask, term.value))
            })
        }
    }

    /// Whether a look-up in `table` may have seen all of `terms`: place, mask and value.
    #[inline]
    fn show<T: Iterator<Item = (usize, u64, u64)>>(
        &self,
        table: TableId,
        terms: impl Fn() -> T,
    ) -> bool {
        let sights = self.sights.iter();
        let mut is_known = false;
        for sight in sights.filter(|sight| sight.tables.contains(table)) {
            is_known = true;
            let agrees = |(at, mask, value): (usize, u64, u64)| {
                (sight.words[at] ^ value) & mask & self.known(at) == 0
            };
            if terms().all(agrees) {
                return true;
            }
        }
        !is_known
    }

    /// Which bits of a word are the same for all packets of the way.
    const fn known(&self, at: usize) -> u64 {
        let whole = if at == WORDS - 1 { CT } else { u64::MAX };
        whole & !self.varying[at]
    }
}

impl Sight {
    /// Whether a look-up of a packet of `key` sees the same.
    #[inline]
    fn is_of(&self, key: &FlowKey) -> bool {
        let words = key.words();
        self.words[..WORDS - 1] == words[FIRST..=LAST]
            && self.words[WORDS - 1] == words[usize::from(word::CT_STATE)] & CT
    }
}

impl Asked {
    pub(super) const NOTHING: Self = Self {
        terms: [Term {
            at: 0,
            mask: 0,
            value: 0,
        }; TERMS],
        len: 0,
    };

    /// What rules ask for that match packets with `values` in the bits of `shape`.
    pub(super) fn of(shape: &MaskShape, values: &[u64]) -> Self {
        let mut asked = Self::NOTHING;
        for ((at, mask), value) in shape.pairs().zip(values) {
            if let (Some(at), Some(term)) = (place(at), asked.terms.get_mut(usize::from(asked.len)))
            {
                *term = Term {
                    at: at as u8,
                    mask,
                    value: *value,
                };
                asked.len += 1;
            }
        }
        asked
    }
}

/// Where a word of a flow key is told, if it is.
const fn place(at: usize) -> Option<usize> {
    match at {
        FIRST..=LAST => Some(at - FIRST),
        at if at == word::CT_STATE as usize => Some(WORDS - 1),
        _ => None,
    }
}

/// The words of a flow key that are told.
#[inline]
fn told(key: &FlowKey) -> [u64; WORDS] {
    let mut told = [0; WORDS];
    let words = key.words();
    told[..WORDS - 1].copy_from_slice(&words[FIRST..=LAST]);
    told[WORDS - 1] = words[usize::from(word::CT_STATE)] & CT;
    told
}

#[cfg(test)]
mod tests;
