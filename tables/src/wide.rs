//! Numbers wider than any machine word: what a `tun_metadata` field holds.
//!
//! Cost: sixteen words; for the control plane, and for packets whose options are moved about.

use std::fmt;
use std::ops::{BitAnd, BitOr, Not};

#[cfg(test)]
mod tests;

/// Words of a number.
const WORDS: usize = 16;

/// A number of 1024 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Wide([u64; WORDS]);

impl Wide {
    /// Zero.
    pub const ZERO: Self = Self([0; WORDS]);
    /// Bits of a number.
    pub const BITS: u16 = 64 * WORDS as u16;

    /// The number whose lowest `width` bits are set and no others; all if there are not so many.
    pub fn ones(width: u16) -> Self {
        let mut all = Self::ZERO;
        for (at, word) in (0_u16..).step_by(64).zip(&mut all.0) {
            *word = low_ones(width.saturating_sub(at).min(64));
        }
        all
    }

    /// The lowest 128 bits.
    pub const fn low(&self) -> u128 {
        (self.0[1] as u128) << 64 | self.0[0] as u128
    }

    /// Whether no bit is set.
    pub fn is_zero(&self) -> bool {
        self.0 == [0; WORDS]
    }

    /// How many bits it takes to write the number; 0 for zero.
    pub fn len(&self) -> u16 {
        match self.0.iter().rposition(|&word| word != 0) {
            None => 0,
            Some(at) => 64 * (at as u16 + 1) - self.0[at].leading_zeros() as u16,
        }
    }

    /// Whether the number is zero, which takes no bits.
    pub fn is_empty(&self) -> bool {
        self.is_zero()
    }

    /// `width` bits, at most 64, from bit `start` on; beyond the last bit there are zeros.
    pub const fn part(&self, start: u16, width: u16) -> u64 {
        let (at, shift) = (start as usize / 64, start as u32 % 64);
        if at >= WORDS {
            return 0;
        }
        let mut part = self.0[at] >> shift;
        if shift > 0 && at + 1 < WORDS {
            part |= self.0[at + 1] << (64 - shift);
        }
        part & low_ones(width)
    }

    /// Sets the bits of `part`, of which there are at most 64, from bit `start` on.
    pub const fn add_part(&mut self, start: u16, part: u64) {
        let (at, shift) = (start as usize / 64, start as u32 % 64);
        if at >= WORDS {
            return;
        }
        self.0[at] |= part << shift;
        if shift > 0 && at + 1 < WORDS {
            self.0[at + 1] |= part >> (64 - shift);
        }
    }

    /// The number times two to the power of `bits`; what is carried out of it is lost.
    #[must_use]
    pub fn shifted_up(&self, bits: u16) -> Self {
        let mut shifted = Self::ZERO;
        for (at, word) in (0_u16..).step_by(64).zip(self.0) {
            shifted.add_part(at.saturating_add(bits), word);
        }
        shifted
    }

    /// The number written in hexadecimal digits; `None` if these are none, or too many.
    pub fn from_hex(digits: &str) -> Option<Self> {
        let significant = digits.trim_start_matches('0');
        if digits.is_empty() || significant.len() > usize::from(Self::BITS) / 4 {
            return None;
        }
        let mut number = Self::ZERO;
        for (at, digit) in (0_u16..).step_by(4).zip(significant.chars().rev()) {
            number.add_part(at, digit.to_digit(16)?.into());
        }
        Some(number)
    }
}

/// The lowest `width` bits, at most 64.
const fn low_ones(width: u16) -> u64 {
    if width == 0 {
        0
    } else {
        u64::MAX >> (64 - width as u32)
    }
}

impl From<u128> for Wide {
    fn from(low: u128) -> Self {
        let mut number = Self::ZERO;
        (number.0[0], number.0[1]) = (low as u64, (low >> 64) as u64);
        number
    }
}

impl BitAnd for Wide {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] & other.0[at]))
    }
}

impl BitOr for Wide {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] | other.0[at]))
    }
}

impl Not for Wide {
    type Output = Self;

    fn not(self) -> Self {
        Self(self.0.map(|word| !word))
    }
}

impl fmt::Display for Wide {
    /// Hexadecimal with `0x`; zero is `0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.0.iter().rposition(|&word| word != 0) else {
            return f.write_str("0");
        };
        write!(f, "{:#x}", self.0[first])?;
        self.0[..first]
            .iter()
            .rev()
            .try_for_each(|word| write!(f, "{word:016x}"))
    }
}

impl fmt::Debug for Wide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
