//! A tuple and its zone as the index compares them: five words, no padding, no pointers.

use std::net::{Ipv4Addr, Ipv6Addr};

use weir_nat::End;
use weir_packet::{IpPair, Tuple, protocol};

/// One direction of a connection in one zone.
///
/// Word 0 is `src_port << 48 | dst_port << 32 | zone << 16 | protocol << 8 | version`; IPv4 has
/// both addresses in word 1 and zeros behind it, IPv6 the source in words 1 and 2 and the
/// destination in words 3 and 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key([u64; 5]);

impl Key {
    /// The key of nothing: its version is 0.
    pub(crate) const NONE: Self = Self([0; 5]);

    pub(crate) fn new(tuple: &Tuple, zone: u16) -> Self {
        let head = u64::from(tuple.src_port) << 48
            | u64::from(tuple.dst_port) << 32
            | u64::from(zone) << 16
            | u64::from(tuple.protocol) << 8;
        match tuple.ip {
            IpPair::V4 { src, dst } => {
                let addresses = u64::from(src.to_bits()) << 32 | u64::from(dst.to_bits());
                Self([head | V4, addresses, 0, 0, 0])
            }
            IpPair::V6 { src, dst } => {
                let [src_high, src_low] = halves(src);
                let [dst_high, dst_low] = halves(dst);
                Self([head | V6, src_high, src_low, dst_high, dst_low])
            }
        }
    }

    /// Whether both are the same: what differs between two keys of IPv4 lies in two words.
    #[inline]
    pub(crate) const fn is(&self, other: &Self) -> bool {
        let ([a0, a1, a2, a3, a4], [b0, b1, b2, b3, b4]) = (self.0, other.0);
        (a0 ^ b0 | a1 ^ b1) == 0 && (a0 & 0xff != V6 || (a2 ^ b2 | a3 ^ b3 | a4 ^ b4) == 0)
    }

    pub(crate) const fn zone(&self) -> u16 {
        (self.0[0] >> 16) as u16
    }

    pub(crate) const fn tuple(&self) -> Tuple {
        let [head, a, b, c, d] = self.0;
        let ip = if head & 0xff == V6 {
            IpPair::V6 {
                src: joined(a, b),
                dst: joined(c, d),
            }
        } else {
            IpPair::V4 {
                src: Ipv4Addr::from_bits((a >> 32) as u32),
                dst: Ipv4Addr::from_bits(a as u32),
            }
        };
        Tuple {
            ip,
            protocol: (head >> 8) as u8,
            src_port: (head >> 48) as u16,
            dst_port: (head >> 32) as u16,
        }
    }

    /// The number at `end` that a translation may choose: a port, or the identifier of an ICMP
    /// query, which is the same at both. `None` if the protocol has none; a query for node
    /// information has none either, but says there what is asked for (RFC 4620 4).
    pub(crate) const fn number(&self, end: End) -> Option<u16> {
        match self.number_shift(end) {
            Some(shift) => Some((self.0[0] >> shift) as u16),
            None => None,
        }
    }

    /// This key with a number of 0 at `end`: what all keys have in common that differ there only.
    pub(crate) const fn without_number(&self, end: End) -> Self {
        let mut key = *self;
        if let Some(shift) = self.number_shift(end) {
            key.0[0] &= !(0xffff << shift);
        }
        key
    }

    /// Its source address in `zone`, as a key of its own: no tuple has protocol 0 and destination
    /// 0.
    pub(crate) const fn source(&self, zone: u16) -> Self {
        let [head, a, b, ..] = self.0;
        let zone = (zone as u64) << 16;
        if head & 0xff == V6 {
            Self([zone | V6, a, b, 0, 0])
        } else {
            Self([zone | V4, a & !0xffff_ffff, 0, 0, 0])
        }
    }

    const fn number_shift(&self, end: End) -> Option<u32> {
        const SRC: u32 = 48;
        const DST: u32 = 32;
        const NODE_QUERY: u8 = protocol::icmpv6::NODE_QUERY;
        const NODE_REPLY: u8 = protocol::icmpv6::NODE_REPLY;
        match ((self.0[0] >> 8) as u8, self.0[0] & 0xff, end) {
            (protocol::TCP | protocol::UDP | protocol::SCTP, _, End::Dst) => Some(DST),
            (protocol::TCP | protocol::UDP | protocol::SCTP, _, End::Src)
            | (protocol::ICMP, V4, End::Src | End::Dst) => Some(SRC),
            (protocol::ICMPV6, V6, End::Src | End::Dst) => match (self.0[0] >> 40) as u8 {
                NODE_QUERY | NODE_REPLY => None,
                _ => Some(SRC),
            },
            (_, _, End::Src | End::Dst) => None,
        }
    }

    /// The words that are not zero for every key of its IP version: what a hash must cover.
    pub(crate) fn words(&self) -> &[u64] {
        let [head, addresses, ..] = &self.0;
        if head & 0xff == V6 {
            &self.0
        } else {
            debug_assert!(self.0[2..] == [0; 3], "{addresses:#x}");
            &self.0[..2]
        }
    }
}

const V4: u64 = 4;
const V6: u64 = 6;

const fn halves(address: Ipv6Addr) -> [u64; 2] {
    let bits = address.to_bits();
    [(bits >> 64) as u64, bits as u64]
}

const fn joined(high: u64, low: u64) -> Ipv6Addr {
    Ipv6Addr::from_bits((high as u128) << 64 | low as u128)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use weir_nat::End;
    use weir_packet::Tuple;

    use super::Key;
    use crate::testing::any_tuple;

    proptest! {
        #[test]
        fn holds_tuple_and_zone(tuple in any_tuple(), zone: u16) {
            let key = Key::new(&tuple, zone);
            prop_assert_eq!(key.tuple(), tuple);
            prop_assert_eq!(key.zone(), zone);
        }

        #[test]
        fn a_number_is_a_port_or_an_identifier(tuple in any_tuple(), zone: u16) {
            let ported = matches!(tuple.protocol, 6 | 17 | 132);
            let key = Key::new(&tuple, zone);
            for end in [End::Src, End::Dst] {
                let (number, without) = match end {
                    End::Dst if ported => (tuple.dst_port, Tuple { dst_port: 0, ..tuple }),
                    End::Src | End::Dst => (tuple.src_port, Tuple { src_port: 0, ..tuple }),
                };
                if ported || tuple.has_identifier() {
                    prop_assert_eq!(key.number(end), Some(number));
                    prop_assert_eq!(key.without_number(end), Key::new(&without, zone));
                } else {
                    prop_assert_eq!(key.number(end), None);
                    prop_assert_eq!(key.without_number(end), key);
                }
            }
        }
    }
}
