//! Addresses are remembered in steps of 8 bits.
//!
//! How many bits of an address decided depends on the packet: with rules for prefixes of every
//! length, packets to random addresses would make a mask for each length, and for each pair of
//! lengths of source and destination. Rounded up to whole bytes there are but a few.
//!
//! Invariant: bits are only added, so an entry stands for fewer packets, never for others.

use crate::key::{FlowKey, word};

/// Bits of a step.
const STEP: u32 = 8;

/// Words that hold two IPv4 addresses.
const PAIRS: [u8; 3] = [word::TUN_V4, word::CT_V4, word::IPV4];
/// First words of IPv6 addresses.
const LONG: [u8; 7] = [
    word::TUN_V6_SRC,
    word::TUN_V6_DST,
    word::CT_V6_SRC,
    word::CT_V6_DST,
    word::IPV6_SRC,
    word::IPV6_DST,
    word::ND_TARGET,
];

/// `mask` with each prefix of an address rounded up to a step. What is no prefix stays.
pub(super) fn in_steps(mask: &FlowKey) -> FlowKey {
    let mut steps = *mask;
    let words = steps.words_mut();
    for at in PAIRS.map(usize::from) {
        let (high, low) = (words[at] >> 32, words[at] & 0xffff_ffff);
        let [high, low] = [high, low].map(|half| round(half.into(), 32) as u64);
        words[at] = high << 32 | low;
    }
    for at in LONG.map(usize::from) {
        let mask = u128::from(words[at]) << 64 | u128::from(words[at + 1]);
        let mask = round(mask, 128);
        (words[at], words[at + 1]) = ((mask >> 64) as u64, mask as u64);
    }
    steps
}

/// The mask of an address of `width` bits.
const fn round(mask: u128, width: u32) -> u128 {
    let length = (mask << (128 - width)).leading_ones();
    if mask != prefix(length, width) {
        return mask;
    }
    prefix(length.next_multiple_of(STEP), width)
}

const fn prefix(length: u32, width: u32) -> u128 {
    match u128::MAX.checked_shl(width - length) {
        Some(mask) => mask & u128::MAX >> (128 - width),
        None => 0,
    }
}

#[cfg(test)]
mod tests;
