//! What a rule asks of keys: bits that the key of each packet has which the rule can match.
//!
//! Keys say less than rules can ask for. What they do not say is left out, so a pattern is had by more keys
//! than those of the rule's packets, never by fewer.

use weir_packet::{ether_type, protocol};

use super::{Interest, Key, TCI, V4_WORDS, V6, WORDS, bits_of};
use crate::classifier::MaskShape;
use crate::extract::VLAN_PRESENT;
use crate::key::{FlowKey, word};
use crate::port::{PortIndex, PortNo, PortTable};

/// Bits of a key's words, and what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    mask: [u64; WORDS],
    values: [u64; WORDS],
}

/// The bits of a key that are as the packet came in, whatever was done to it since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unwritten([u64; WORDS]);

/// Where the protocol lies in word 1.
const PROTOCOL: u64 = 0xff << 8;
/// No packet that has a key is of this protocol.
const NO_PROTOCOL: u64 = 0xff << 8;
/// Where the input port lies in word 1.
const IN_PORT: u64 = 0xffff << 16;
/// Where both ports of TCP or UDP lie in word 1.
const L4_PORTS: u64 = 0xffff_ffff << 32;
/// Of word `IP` of a flow key, the protocol.
const IP_PROTOCOL: u64 = 0xff << 24;

impl Pattern {
    /// Every key has it.
    pub(crate) const ANY: Self = Self {
        mask: [0; WORDS],
        values: [0; WORDS],
    };

    /// What rules ask for that match packets with `values` in the bits of `shape`.
    pub(crate) fn of(
        shape: &MaskShape,
        values: &[u64],
        ports: &PortTable,
        interest: Interest,
    ) -> Self {
        let (mut mask, mut wanted) = (FlowKey::ZERO, FlowKey::ZERO);
        for ((at, bits), value) in shape.pairs().zip(values) {
            *mask.word_mut(at) = bits;
            *wanted.word_mut(at) = *value;
        }
        let mut pattern = Self {
            mask: placed(&mask, interest.bits),
            values: placed(&wanted, interest.bits),
        };
        // Before it is known of which family packets are, words are no addresses.
        let ethernet = usize::from(word::ETH_DST);
        let family = (mask.word(ethernet) & 0xffff == 0xffff).then(|| wanted.word(ethernet) as u16);
        match family {
            Some(ether_type::IPV4) => {
                pattern.mask[1] |= V6;
                pattern.mask[V4_WORDS..].fill(0);
            }
            Some(ether_type::IPV6) => {
                pattern.mask[0] = mask.word(word::IPV6_SRC.into()).to_be();
                pattern.values[0] = wanted.word(word::IPV6_SRC.into()).to_be();
                pattern.mask[1] |= V6;
                pattern.values[1] |= V6;
            }
            Some(_) => {
                pattern = Self::ANY;
                pattern.mask[1] = PROTOCOL;
                pattern.values[1] = NO_PROTOCOL;
                return pattern;
            }
            None => {
                pattern.mask[0] = 0;
                pattern.mask[V4_WORDS..].fill(0);
            }
        }
        // Of an ICMP packet, type and code lie elsewhere than ports.
        let ip = usize::from(word::IP);
        let transport = wanted.word(ip) & mask.word(ip) & IP_PROTOCOL;
        let has_ports = [protocol::TCP, protocol::UDP].map(|number| u64::from(number) << 24);
        if mask.word(ip) & IP_PROTOCOL != IP_PROTOCOL || !has_ports.contains(&transport) {
            pattern.mask[1] &= !L4_PORTS;
        }
        let port = usize::from(word::PORT);
        if mask.word(port) >> 32 == u64::from(u32::MAX)
            && let Some(index) = ports.only_index_of(PortNo((wanted.word(port) >> 32) as u32))
        {
            pattern.mask[1] |= IN_PORT;
            pattern.values[1] |= u64::from(index.0) << 16;
        }
        for (value, mask) in pattern.values.iter_mut().zip(&pattern.mask) {
            *value &= mask;
        }
        pattern
    }

    /// What the keys have in common that have either.
    pub(crate) fn or(&self, other: &Self) -> Self {
        let mut both = Self::ANY;
        for at in 0..WORDS {
            let alike = !(self.values[at] ^ other.values[at]);
            both.mask[at] = self.mask[at] & other.mask[at] & alike;
            both.values[at] = self.values[at] & both.mask[at];
        }
        both
    }

    /// Whether `key` is not of its packets, whatever was done to bits that are not among `unwritten`.
    #[inline(always)]
    pub(crate) fn differs(&self, key: &Key, unwritten: &Unwritten) -> bool {
        let differs = |at: usize| (key.0[at] ^ self.values[at]) & self.mask[at] & unwritten.0[at];
        let mut bits = 0;
        for at in 0..V4_WORDS {
            bits |= differs(at);
        }
        // The words behind are of no meaning to a packet of IPv4.
        if bits == 0 && key.is_v6() {
            for at in V4_WORDS..WORDS {
                bits |= differs(at);
            }
        }
        bits != 0
    }
}

impl Unwritten {
    /// All bits but those that stand for what `written` says.
    pub(crate) fn but(written: &FlowKey) -> Self {
        let mut rest = FlowKey::ZERO;
        for at in 0..rest.words().len() {
            rest.words_mut()[at] = !written.word(at);
        }
        let word = |at: u8| rest.word(at.into());
        let mut bits = placed(&rest, u64::MAX);
        bits[0] &= word(word::IPV6_SRC).to_be();
        if word(word::ETH_DST) & 0xffff == 0xffff {
            bits[1] |= V6;
        } else {
            bits = [0; WORDS];
        }
        if word(word::PORT) >> 32 == u64::from(u32::MAX) {
            bits[1] |= IN_PORT;
        }
        Self(bits)
    }
}

impl Key {
    /// The place of the port that its packets came in at.
    pub(crate) const fn in_port(&self) -> PortIndex {
        PortIndex((self.0[1] >> 16) as u16)
    }
}

/// The bits of a flow key where a key has them, of an IPv4 packet in the first word, as far as somebody takes
/// an interest. Input port and shape are left out.
fn placed(flow: &FlowKey, interest: u64) -> [u64; WORDS] {
    let word = |at: u8| flow.word(at.into());
    let (dst, src) = (word(word::ETH_DST), word(word::ETH_SRC));
    let ports = u64::from(((word(word::L4) >> 32) as u32).to_be()) << 32;
    let tag = src & TCI & !u64::from(VLAN_PRESENT);
    [
        word(word::IPV4).to_be(),
        ports | (word(word::IP) & IP_PROTOCOL) >> 16,
        bits_of(flow) & interest & !TCI | tag,
        (dst & !0xffff | src >> 48).to_be(),
        u64::from(((src >> 16) as u32).to_be()) << 32,
        word(word::IPV6_SRC + 1).to_be(),
        word(word::IPV6_DST).to_be(),
        word(word::IPV6_DST + 1).to_be(),
    ]
}

#[cfg(test)]
mod tests;
