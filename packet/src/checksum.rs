//! The internet checksum (RFC 1071), its incremental update (RFC 1624), and SCTP's `CRC32c`.
//!
//! Three types keep the three stages apart: a [`Sum`] runs over data, a [`Checksum`] is what
//! stands in a header, a [`Delta`] is what a change of data does to a checksum. A delta is
//! computed once and applied to as many checksums as cover the changed bytes.
//!
//! Cost: a sum reads each byte once, in words of 8; nothing here allocates.

mod crc32c;
mod packet;
mod plain;

use std::net::{Ipv4Addr, Ipv6Addr};

pub use crc32c::Crc32c;
pub use packet::{
    ipv4_header_checksum_ok, l4_checksum_ok, write_ipv4_header_checksum, write_l4_checksum,
};
pub use plain::plain_checksums_ok;

/// A running one's complement sum.
///
/// Segments may be of odd length: what follows is added at the right half of its word.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    /// One's complement sum in the machine's byte order.
    total: u64,
    /// Whether an odd number of bytes was added.
    odd: bool,
}

impl Sum {
    /// A sum of nothing.
    pub const fn new() -> Self {
        Self {
            total: 0,
            odd: false,
        }
    }

    /// Adds bytes as they follow on what was added.
    #[inline(always)]
    pub fn add_bytes(&mut self, bytes: &[u8]) {
        let sum = sum_words(bytes);
        // What begins in the middle of a word is added the other way round.
        let sum = if self.odd { sum.rotate_left(8) } else { sum };
        self.total = carry_add(self.total, sum);
        self.odd ^= !bytes.len().is_multiple_of(2);
    }

    /// Adds a 16-bit number of a pseudo header.
    #[inline]
    pub const fn add_u16(&mut self, word: u16) {
        self.total = carry_add(self.total, word.to_be() as u64);
    }

    /// Adds a 32-bit number of a pseudo header.
    #[inline]
    pub const fn add_u32(&mut self, number: u32) {
        self.total = carry_add(self.total, number.to_be() as u64);
    }

    /// Adds the pseudo header of IPv4 (RFC 793, RFC 768); `len` is that of the L4 packet.
    #[inline]
    pub const fn add_ipv4_pseudo(&mut self, src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, len: u16) {
        self.add_u32(src.to_bits());
        self.add_u32(dst.to_bits());
        self.add_u16(protocol as u16);
        self.add_u16(len);
    }

    /// Adds the pseudo header of IPv6 (RFC 8200 8.1); `len` is that of the L4 packet.
    #[inline]
    pub fn add_ipv6_pseudo(&mut self, src: Ipv6Addr, dst: Ipv6Addr, protocol: u8, len: u32) {
        // Pseudo headers stand in front, whenever they are added.
        self.total = carry_add(self.total, sum_words(&src.octets()));
        self.total = carry_add(self.total, sum_words(&dst.octets()));
        self.add_u32(len);
        self.add_u16(protocol.into());
    }

    /// Whether the sum is that of data with a right checksum: all ones.
    #[inline]
    pub const fn is_right(self) -> bool {
        self.total != 0 && self.total.is_multiple_of(0xffff)
    }

    /// The sum in 16 bits. 0 only if everything added was 0.
    #[inline]
    pub const fn fold(self) -> u16 {
        u16::from_be(fold(self.total))
    }

    /// The checksum of what was added.
    #[inline]
    pub const fn finish(self) -> Checksum {
        Checksum(!self.fold())
    }
}

/// A finished internet checksum, in host order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksum(u16);

impl Checksum {
    /// The checksum that lies in a header.
    #[inline]
    pub const fn from_bytes(bytes: [u8; 2]) -> Self {
        Self(u16::from_be_bytes(bytes))
    }

    /// As it lies in a header.
    #[inline]
    pub const fn to_bytes(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }

    /// As a number.
    #[inline]
    pub const fn to_host(self) -> u16 {
        self.0
    }

    /// The checksum after a change of the data (RFC 1624, equation 3). A wrong checksum stays
    /// as wrong as it was.
    #[inline]
    #[must_use]
    pub const fn apply(self, delta: Delta) -> Self {
        Self(!fold(!self.0 as u64 + delta.0 as u64))
    }

    /// For UDP, where 0 says that there is no checksum: a computed 0 is sent as 0xffff, which
    /// means the same in one's complement (RFC 768).
    #[inline]
    #[must_use]
    pub const fn never_zero(self) -> Self {
        if self.0 == 0 { Self(0xffff) } else { self }
    }
}

/// What a change of data does to a checksum over it.
///
/// The changed bytes lie at an even distance from where the checksum's data begins; that is so
/// for every field of the headers that weir changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delta(u16);

impl Delta {
    /// No change.
    pub const NONE: Self = Self(0);

    /// As a number, to be kept.
    #[inline]
    pub const fn to_host(self) -> u16 {
        self.0
    }

    /// What [`Self::to_host`] gave.
    #[inline]
    pub const fn from_host(number: u16) -> Self {
        Self(number)
    }

    /// A 16-bit word changes.
    #[inline]
    pub const fn of_u16(old: u16, new: u16) -> Self {
        Self(fold(!old as u64 + new as u64))
    }

    /// A 32-bit number changes.
    #[inline]
    pub const fn of_u32(old: u32, new: u32) -> Self {
        Self(fold(!old as u64 + new as u64))
    }

    /// A 128-bit number changes.
    #[inline]
    pub const fn of_u128(old: u128, new: u128) -> Self {
        let (sum, carry) = (!old).overflowing_add(new);
        let low = (sum & u64::MAX as u128) as u64;
        let high = (sum >> 64) as u64;
        let halves = (low >> 32) + (low & 0xffff_ffff) + (high >> 32) + (high & 0xffff_ffff);
        Self(fold(halves + carry as u64))
    }

    /// An Ethernet address changes (in Neighbour Discovery's options).
    #[inline]
    pub const fn of_mac(old: [u8; 6], new: [u8; 6]) -> Self {
        let [a, b, c, d, e, f] = old;
        let [g, h, i, j, k, l] = new;
        let high = Self::of_u32(
            u32::from_be_bytes([a, b, c, d]),
            u32::from_be_bytes([g, h, i, j]),
        );
        high.and(Self::of_u16(
            u16::from_be_bytes([e, f]),
            u16::from_be_bytes([k, l]),
        ))
    }

    /// Both changes.
    #[inline]
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(fold(self.0 as u64 + other.0 as u64))
    }
}

/// Adds the carries back in until 16 bits are left. 0 only if `sum` is 0.
#[inline]
const fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    sum as u16
}

/// Adds with the carry brought around, so that nothing of a one's complement sum is lost. 0 only
/// if both are.
#[inline]
const fn carry_add(left: u64, right: u64) -> u64 {
    let (sum, carry) = left.overflowing_add(right);
    sum + carry as u64
}

/// The one's complement sum of words in the machine's byte order; an odd last byte is the first
/// of its word.
#[inline(always)]
fn sum_words(bytes: &[u8]) -> u64 {
    // The sum depends neither on the byte order in which words are added (RFC 1071 2) nor on
    // their width.
    let (mut sum, mut rest) = (0, bytes);
    if bytes.len() >= LONG {
        (sum, rest) = sum_blocks(bytes);
    }
    while let Some((word, behind)) = rest.split_first_chunk::<8>() {
        sum = carry_add(sum, u64::from_ne_bytes(*word));
        rest = behind;
    }
    if rest.is_empty() {
        return sum;
    }
    let last = match bytes.last_chunk::<8>() {
        // Without those of its bytes that were added already.
        Some(last) => u64::from_le_bytes(*last) >> (64 - 8 * rest.len()),
        None => {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            u64::from_le_bytes(last)
        }
    };
    carry_add(sum, last.to_le())
}

/// So many bytes are worth more than one lane.
const LONG: usize = 128;

/// The sum of the whole blocks of 32 bytes, and what is left.
fn sum_blocks(bytes: &[u8]) -> (u64, &[u8]) {
    let (blocks, rest) = bytes.as_chunks::<32>();
    // Four lanes, which do not wait for each other.
    let mut lanes = [0; 4];
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane = carry_add(*lane, u64::from_ne_bytes(*word));
        }
    }
    (lanes.into_iter().fold(0, carry_add), rest)
}

#[cfg(test)]
mod tests;
