//! How actions read and write the flow key.

use weir_ct::Outcome;
use weir_packet::IpPair;

use crate::extract::VLAN_PRESENT;
use crate::field::{Field, Prerequisite};
use crate::key::{FlowKey, word};
use crate::program::{Bits, BitsPlace, WordWrite};
use crate::wide::Wide;

const ETH_IPV4: u128 = 0x0800;
const ETH_ARP: u128 = 0x0806;
const ETH_RARP: u128 = 0x8035;
const ETH_IPV6: u128 = 0x86dd;
/// The fields of a packet's tuple, and those of its connection's original one.
const TUPLES: [[Field; 2]; 7] = [
    [Field::NW_PROTO, Field::CT_NW_PROTO],
    [Field::IP_SRC, Field::CT_NW_SRC],
    [Field::IP_DST, Field::CT_NW_DST],
    [Field::IPV6_SRC, Field::CT_IPV6_SRC],
    [Field::IPV6_DST, Field::CT_IPV6_DST],
    [Field::TCP_SRC, Field::CT_TP_SRC],
    [Field::TCP_DST, Field::CT_TP_DST],
];
/// The bits of the type of service that are not ECN (RFC 3168).
const DSCP_MASK: u128 = 0xfc;

impl FlowKey {
    /// The value of `bits`, right-aligned; of more than 128 the lowest.
    pub(crate) fn read_bits(&self, bits: &Bits) -> u128 {
        match &bits.place {
            BitsPlace::Slot { slot, start } => self.read(*slot) >> start & bits.ones(),
            BitsPlace::Option { .. } => self.read_wide(bits).low(),
        }
    }

    /// The value of `bits`, right-aligned.
    pub(crate) fn read_wide(&self, bits: &Bits) -> Wide {
        let BitsPlace::Option { pieces, .. } = &bits.place else {
            return self.read_bits(bits).into();
        };
        let mut value = Wide::ZERO;
        let mut at = 0;
        for piece in pieces {
            let bits = self.word(piece.word.into()) >> piece.shift & piece.ones();
            value.add_part(at, bits);
            at += u16::from(piece.width);
        }
        value
    }

    /// Writes all of `bits`, if the packet has the field. A `tun_metadata` field the packet has
    /// from here on.
    pub(crate) fn write_wide(&mut self, bits: &Bits, value: &Wide) {
        let BitsPlace::Option { pieces, present } = &bits.place else {
            return self.write_bits(bits, value.low(), bits.ones());
        };
        *self.word_mut(word::OPTIONS_PRESENT.into()) |= present;
        let mut at = 0;
        for piece in pieces {
            let part = value.part(at, piece.width.into());
            let word = self.word_mut(piece.word.into());
            *word = *word & !(piece.ones() << piece.shift) | part << piece.shift;
            at += u16::from(piece.width);
        }
    }

    /// Writes constants to words.
    pub(crate) fn write_words(&mut self, writes: &[WordWrite]) {
        for WordWrite { word, mask, value } in writes {
            let word = self.word_mut((*word).into());
            *word = *word & !mask | value;
        }
    }

    /// Writes those of `bits` that are set in `mask`, if the packet has the field.
    ///
    /// A write to a part of the VLAN tag adds a tag to a packet without one. nw_tos names a
    /// byte, of which only the DSCP can be written.
    pub(crate) fn write_bits(&mut self, bits: &Bits, value: u128, mask: u128) {
        let BitsPlace::Slot { slot, start } = bits.place else {
            // Nobody writes a part of these bits.
            return self.write_wide(bits, &value.into());
        };
        if !self.satisfies(bits.prerequisite) {
            return;
        }
        let mut mask = (mask & bits.ones()) << start;
        if bits.field == Field::NW_TOS {
            mask &= DSCP_MASK;
        }
        self.write_masked(slot, value << start, mask);
        if matches!(
            bits.field,
            Field::DL_VLAN | Field::DL_VLAN_PCP | Field::VLAN_PCP
        ) {
            self.words_mut()[usize::from(word::ETH_SRC)] |= u64::from(VLAN_PRESENT);
        }
    }

    /// Sets all of `bits`, in a mask.
    pub(crate) fn write_bits_anyway(&mut self, bits: &Bits) {
        match &bits.place {
            BitsPlace::Slot { slot, start } => {
                self.write_masked(*slot, u128::MAX, bits.ones() << start);
            }
            BitsPlace::Option { .. } => self.write_wide(bits, &!Wide::ZERO),
        }
    }

    /// Sets every bit that tells of a connection, in a mask.
    pub(crate) fn set_ct_ones(&mut self) {
        self.ct_words_mut().fill(u64::MAX);
    }

    /// Puts the connection's original tuple in the place of the packet's, and the other way
    /// round.
    pub(crate) fn swap_tuples(&mut self) {
        for [ours, original] in TUPLES {
            let (packet, connection) = (self.field(ours), self.field(original));
            self.set_field(ours, connection);
            self.set_field(original, packet);
        }
    }

    /// Sets every bit of both tuples, in a mask.
    pub(crate) fn set_tuples_ones(&mut self) {
        for field in TUPLES.into_iter().flatten() {
            self.set_field(field, u128::MAX);
        }
    }

    /// Whether the packet belongs to a connection of which the original tuple is known.
    pub(crate) fn has_original_tuple(&self) -> bool {
        self.field(Field::CT_NW_PROTO) != 0 && self.satisfies(Prerequisite::Ip)
    }

    /// Copies `src` to `dst`, if the packet has both fields.
    pub(crate) fn move_bits(&mut self, src: &Bits, dst: &Bits) {
        if !self.satisfies(src.prerequisite) {
            return;
        }
        if let BitsPlace::Option { .. } = dst.place {
            let value = self.read_wide(src);
            self.write_wide(dst, &value);
        } else {
            let value = self.read_bits(src);
            self.write_bits(dst, value, dst.ones());
        }
    }

    /// Makes the packet one that came through no tunnel.
    pub(crate) fn clear_tunnel(&mut self) {
        let words = self.words_mut();
        words[usize::from(word::TUN_ID)..usize::from(word::CT_STATE)].fill(0);
        self.set_options(None);
    }

    /// Makes the packet untracked.
    #[inline]
    pub(crate) fn clear_ct(&mut self) {
        self.ct_words_mut().fill(0);
    }

    /// Fills in what a ct() in `zone` said.
    #[inline]
    pub(crate) fn set_ct(&mut self, zone: u16, outcome: &Outcome) {
        self.clear_ct();
        let mut state = u64::from(outcome.state.0) << 32 | u64::from(zone) << 16;
        let mut mark = u64::from(outcome.mark) << 32;
        let words = self.words_mut();
        if let Some(tuple) = &outcome.original {
            state |= u64::from(tuple.protocol);
            mark |= ports(tuple);
            match tuple.ip {
                IpPair::V4 { src, dst } => {
                    words[usize::from(word::CT_V4)] =
                        u64::from(src.to_bits()) << 32 | u64::from(dst.to_bits());
                }
                IpPair::V6 { src, dst } => {
                    for (at, address) in [(word::CT_V6_SRC, src), (word::CT_V6_DST, dst)] {
                        let bits = address.to_bits();
                        words[usize::from(at)] = (bits >> 64) as u64;
                        words[usize::from(at) + 1] = bits as u64;
                    }
                }
            }
        }
        words[usize::from(word::CT_STATE)] = state;
        words[usize::from(word::CT_MARK)] = mark;
        words[usize::from(word::CT_LABEL)] = (outcome.label >> 64) as u64;
        words[usize::from(word::CT_LABEL) + 1] = outcome.label as u64;
    }

    fn ct_words_mut(&mut self) -> &mut [u64] {
        let words = usize::from(word::CT_STATE)..usize::from(word::ETH_DST);
        &mut self.words_mut()[words]
    }

    /// Whether the packet is of the kind that has a field with this prerequisite.
    pub(crate) fn satisfies(&self, prerequisite: Prerequisite) -> bool {
        let eth_type = || self.field(Field::ETH_TYPE);
        let protocol = || self.field(Field::NW_PROTO);
        let is_ip = || matches!(eth_type(), ETH_IPV4 | ETH_IPV6);
        // The L4 header of a later fragment is elsewhere.
        let has_l4 = |number| is_ip() && protocol() == number && !self.is_later_fragment();
        match prerequisite {
            Prerequisite::None | Prerequisite::Ethernet => true,
            Prerequisite::VlanVid => self.field(Field::VLAN_TCI) & u128::from(VLAN_PRESENT) != 0,
            Prerequisite::Ipv4 => eth_type() == ETH_IPV4,
            Prerequisite::Ipv6 => eth_type() == ETH_IPV6,
            Prerequisite::Ip => is_ip(),
            Prerequisite::Arp => matches!(eth_type(), ETH_ARP | ETH_RARP),
            Prerequisite::Tcp => has_l4(6),
            Prerequisite::Udp => has_l4(17),
            Prerequisite::Sctp => has_l4(132),
            Prerequisite::Icmpv4 => eth_type() == ETH_IPV4 && has_l4(1),
            Prerequisite::Icmpv6 => eth_type() == ETH_IPV6 && has_l4(58),
            Prerequisite::Nd => self.is_nd(135) || self.is_nd(136),
            Prerequisite::NdSolicit => self.is_nd(135),
            Prerequisite::NdAdvert => self.is_nd(136),
            Prerequisite::Mpls | Prerequisite::Nsh => false,
            Prerequisite::Ct | Prerequisite::CtPorts => self.field(Field::CT_NW_PROTO) != 0,
            Prerequisite::CtIpv4 => self.field(Field::CT_NW_PROTO) != 0 && eth_type() == ETH_IPV4,
            Prerequisite::CtIpv6 => self.field(Field::CT_NW_PROTO) != 0 && eth_type() == ETH_IPV6,
        }
    }

    fn is_later_fragment(&self) -> bool {
        self.field(Field::IP_FRAG) & 2 != 0
    }

    fn is_nd(&self, kind: u128) -> bool {
        self.satisfies(Prerequisite::Icmpv6)
            && self.field(Field::ICMPV6_TYPE) == kind
            && self.field(Field::ICMPV6_CODE) == 0
    }
}

/// ct_tp_src and ct_tp_dst: ports, or an ICMP type and code.
fn ports(tuple: &weir_packet::Tuple) -> u64 {
    let (src, dst) = match tuple.protocol {
        1 | 58 => (tuple.dst_port >> 8, tuple.dst_port & 0xff),
        // No field tells of a key.
        47 => (0, 0),
        _ => (tuple.src_port, tuple.dst_port),
    };
    u64::from(src) << 16 | u64::from(dst)
}
