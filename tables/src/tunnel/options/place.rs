//! Where the value of a `tun_metadata` field lies in the flow key.
//!
//! The words for options are 64 units of 32 bits, numbered from the higher half of the first. A
//! field has as many as its option needs; they need not follow each other, so that there is room
//! as long as there is any. The first holds the highest bits.

use crate::key::{FlowKey, word};
use crate::wide::Wide;

/// Where a field lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) index: u8,
    /// Bytes.
    pub(crate) size: u8,
    /// Bit n: unit n is the field's.
    units: u64,
}

/// Some bits that follow each other, in one word of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) word: u8,
    /// The lowest of them.
    pub(crate) shift: u8,
    /// How many, at most 32.
    pub(crate) width: u8,
}

impl Piece {
    /// Its bits, right-aligned.
    #[inline]
    pub(crate) const fn ones(self) -> u64 {
        u64::MAX >> (64 - self.width as u32)
    }
}

impl Place {
    /// A place for field `index` of `size` bytes, a multiple of 4, beside the units in `taken`;
    /// `None` if there is no room.
    pub(crate) fn new(index: u8, size: u8, taken: u64) -> Option<Self> {
        let mut units = 0;
        for _ in 0..size / 4 {
            let free = !(taken | units);
            if free == 0 {
                return None;
            }
            // The lowest that is free.
            units |= free & free.wrapping_neg();
        }
        Some(Self { index, size, units })
    }

    /// The units, as bits.
    pub(crate) const fn bits(self) -> u64 {
        self.units
    }

    /// The numbers of the units, the first of which holds the highest bits of the value.
    #[inline]
    pub(crate) fn units(self) -> impl Iterator<Item = u8> {
        let mut left = self.units;
        std::iter::from_fn(move || {
            let unit = (left != 0).then(|| left.trailing_zeros() as u8)?;
            left &= left - 1;
            Some(unit)
        })
    }

    /// Where a unit begins in its word.
    #[inline]
    pub(crate) const fn shift(unit: u8) -> u32 {
        32 * (1 - (unit as u32 & 1))
    }

    /// The field's bit in the word that says which fields there are.
    #[inline]
    pub(crate) const fn present(self) -> u64 {
        1 << self.index
    }

    /// The units of a packet's value, the first of which holds the highest bits; all 0 if it does
    /// not have the field.
    #[inline]
    pub(crate) fn words_of(self, key: &FlowKey) -> impl Iterator<Item = u64> {
        let values = key.options().filter(|all| all[0] & self.present() != 0);
        self.units().map(move |unit| {
            let word = values.map_or(0, |all| all[1 + usize::from(unit / 2)]);
            word >> Self::shift(unit) & 0xffff_ffff
        })
    }

    /// Bits of the value.
    pub(crate) fn width(self) -> u16 {
        u16::from(self.size) * 8
    }

    /// `width` bits of the value from bit `start` on, the lowest first.
    pub(crate) fn pieces(self, start: u16, width: u16) -> Box<[Piece]> {
        let units: Vec<u8> = self.units().collect();
        let end = start + width;
        let lowest_first = (0_u16..).step_by(32).zip(units.into_iter().rev());
        lowest_first
            .filter_map(|(at, unit)| {
                let from = start.max(at);
                let to = end.min(at + 32);
                (from < to).then(|| Piece {
                    word: word::OPTIONS + unit / 2,
                    shift: (u32::from(from - at) + Self::shift(unit)) as u8,
                    width: (to - from) as u8,
                })
            })
            .collect()
    }

    /// What a write of the bits of `mask` comes to: word, bits written, and what they are then.
    /// It makes the field one that the packet has.
    pub(crate) fn writes(self, value: &Wide, mask: &Wide) -> Vec<(u8, u64, u64)> {
        let mut writes = vec![(word::OPTIONS_PRESENT, self.present(), self.present())];
        let mut at = 0;
        for piece in self.pieces(0, self.width()) {
            let width = u16::from(piece.width);
            let bits = |number: &Wide| number.part(at, width) << piece.shift;
            let (mask, value) = (bits(mask), bits(value));
            at += width;
            if mask == 0 {
                continue;
            }
            match writes.iter_mut().find(|write| write.0 == piece.word) {
                Some(write) => {
                    write.1 |= mask;
                    write.2 |= value & mask;
                }
                None => writes.push((piece.word, mask, value & mask)),
            }
        }
        writes
    }
}
