//! Both checksums of the packets that most are, at fixed places and in few steps.
//!
//! *Plain* is an IPv4 packet without options that is no fragment, behind an Ethernet header
//! without tags, with UDP or TCP: [`Layout::plain`](crate::Layout::plain). The addresses, which
//! count in the header and in the pseudo header, lie right in front of the L4 packet.

use super::{carry_add, sum_words};
use crate::protocol;

/// Where the headers of a plain packet lie.
const IP: usize = 14;
const ADDRESSES: usize = IP + 12;
const L4: usize = IP + 20;

/// Whether the IPv4 header checksum of a plain packet is right, and that of its L4 packet, which
/// for UDP may be missing. `end` is where the IP packet ends.
///
/// False also if the packet does not lie in `head` as a whole: then
/// [`ipv4_header_checksum_ok`](super::ipv4_header_checksum_ok) and
/// [`l4_checksum_ok`](super::l4_checksum_ok) tell.
///
/// Cost: reads the whole IP packet once, in words of 8.
#[inline(always)]
pub fn plain_checksums_ok(head: &[u8], end: usize, protocol: u8) -> bool {
    let Some(headers) = head.first_chunk::<{ L4 + 8 }>() else {
        return false;
    };
    let addresses = word::<8, _>(headers, ADDRESSES);
    let header = chain([
        word::<8, _>(headers, IP),
        word::<4, _>(headers, IP + 8),
        addresses,
    ]);
    if !is_right(header) {
        return false;
    }
    // Numbers of the pseudo header as they would lie there.
    let (len, lies) = if protocol == protocol::UDP {
        if word::<2, _>(headers, L4 + 6) == 0 {
            return true;
        }
        let lies = word::<2, _>(headers, L4 + 4) as u16;
        (usize::from(u16::from_be(lies)), lies)
    } else {
        let len = end.wrapping_sub(L4);
        (len, (len as u16).to_be())
    };
    let Some(segment) = head.get(L4..L4 + len).filter(|_| L4 + len <= end) else {
        return false;
    };
    let pseudo = u64::from(lies) + u64::from(u16::from(protocol).to_be());
    let Some(last) = segment.last_chunk::<8>() else {
        return false;
    };
    let (words, rest) = segment.as_chunks::<8>();
    let word = |at: usize| u64::from_ne_bytes(words[at]);
    // Of the last word what is not part of another. Two shifts, since all of it may be.
    let last = (u64::from_le_bytes(*last) >> 8 >> (56 - 8 * rest.len())).to_le();
    let sum = match words.len() {
        1 => chain([pseudo, addresses, last, word(0)]),
        2 => chain([pseudo, addresses, last, word(0), word(1)]),
        3 => chain([pseudo, addresses, last, word(0), word(1), word(2)]),
        4 => chain([pseudo, addresses, last, word(0), word(1), word(2), word(3)]),
        _ => carry_add(chain([pseudo, addresses]), sum_words(segment)),
    };
    is_right(sum)
}

/// `N` bytes at `at` as a number in the machine's byte order.
#[inline(always)]
fn word<const N: usize, const ALL: usize>(bytes: &[u8; ALL], at: usize) -> u64 {
    let mut word = [0; 8];
    word[..N].copy_from_slice(&bytes[at..at + N]);
    u64::from_le_bytes(word).to_le()
}

/// The one's complement sum, one carry handed to the next addition.
#[inline(always)]
fn chain<const N: usize>(words: [u64; N]) -> u64 {
    let (mut sum, mut carry) = (words[0], false);
    for &word in &words[1..] {
        (sum, carry) = sum.carrying_add(word, carry);
    }
    carry_add(sum, carry.into())
}

/// Whether a sum is that of data with a right checksum: all ones in 16 bits, so a multiple of
/// 0xffff but 0.
#[inline(always)]
const fn is_right(sum: u64) -> bool {
    // The product with the inverse is the quotient if there is no rest, and greater than any if
    // there is one.
    sum.wrapping_mul(INVERSE).wrapping_sub(1) < u64::MAX / 0xffff
}

/// Of 0xffff, modulo 2^64.
const INVERSE: u64 = {
    // Newton: each step doubles the number of bits that are right; three are to begin with.
    let mut inverse = 0xffff_u64;
    let mut step = 0;
    while step < 5 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(0xffff_u64.wrapping_mul(inverse)));
        step += 1;
    }
    inverse
};

#[cfg(test)]
mod tests;
