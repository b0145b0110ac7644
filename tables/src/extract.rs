//! From a frame to the packet words of a flow key.

use weir_packet::{Fragment, L3, L4, Layout};

use crate::key::{FlowKey, word};

/// Bit 12 of `vlan_tci`: a tag is there.
pub(crate) const VLAN_PRESENT: u16 = 0x1000;

/// ip_frag: a piece of a datagram.
const FRAG_ANY: u64 = 1;
/// ip_frag: not the first piece.
const FRAG_LATER: u64 = 2;

/// The first word that a packet's headers fill.
const FIRST_PACKET_WORD: usize = word::ETH_DST as usize;

/// Fills in what the headers of a frame say; the other words of `key` stay as they are.
pub(crate) fn packet_words(head: &[u8], layout: &Layout, key: &mut FlowKey) {
    let words = key.words_mut();
    words[FIRST_PACKET_WORD..].fill(0);
    words[usize::from(word::ETH_DST)] = be48(head, 0) << 16 | u64::from(layout.ether_type);
    let tci = if layout.vlan_tags > 0 {
        be16(head, 14) | VLAN_PRESENT
    } else {
        0
    };
    words[usize::from(word::ETH_SRC)] = be48(head, 6) << 16 | u64::from(tci);
    let l3 = usize::from(layout.l3_offset);
    match layout.l3 {
        L3::Other => {}
        L3::Arp => {
            words[usize::from(word::IPV4)] =
                u64::from(be32(head, l3 + 14)) << 32 | u64::from(be32(head, l3 + 24));
            // Like Open vSwitch, which keeps the operation in eight bits.
            let operation = be16(head, l3 + 6);
            words[usize::from(word::L4)] = if operation > 0xff {
                0
            } else {
                u64::from(operation)
            };
            words[usize::from(word::ND_SLL)] = be48(head, l3 + 8);
            words[usize::from(word::ND_TLL)] = be48(head, l3 + 18);
        }
        L3::Ipv4 => {
            words[usize::from(word::IPV4)] = be64(head, l3 + 12);
            let [tos, ttl] = [byte(head, l3 + 1), byte(head, l3 + 8)];
            words[usize::from(word::IP)] = ip_word(layout, tos, ttl);
            l4_words(head, layout, words);
        }
        L3::Ipv6 => {
            words[usize::from(word::IPV6_SRC)] = be64(head, l3 + 8);
            words[usize::from(word::IPV6_SRC) + 1] = be64(head, l3 + 16);
            words[usize::from(word::IPV6_DST)] = be64(head, l3 + 24);
            words[usize::from(word::IPV6_DST) + 1] = be64(head, l3 + 32);
            let first = be32(head, l3);
            let traffic_class = (first >> 20) as u8;
            words[usize::from(word::IP)] = u64::from(first & 0xf_ffff) << 32
                | ip_word(layout, traffic_class, byte(head, l3 + 7));
            l4_words(head, layout, words);
        }
    }
}

/// Copies what the headers of a frame say from `from` to `to`.
pub(crate) fn copy_packet_words(from: &FlowKey, to: &mut FlowKey) {
    to.words_mut()[FIRST_PACKET_WORD..].copy_from_slice(&from.words()[FIRST_PACKET_WORD..]);
}

/// As [`copy_packet_words`], of Ethernet and VLAN only.
pub(crate) fn copy_link_words(from: &FlowKey, to: &mut FlowKey) {
    let link = FIRST_PACKET_WORD..usize::from(word::IPV4);
    to.words_mut()[link.clone()].copy_from_slice(&from.words()[link]);
}

/// Whether two keys agree in what the headers of a frame say.
pub(crate) fn packet_words_equal(left: &FlowKey, right: &FlowKey) -> bool {
    left.words()[FIRST_PACKET_WORD..] == right.words()[FIRST_PACKET_WORD..]
}

fn ip_word(layout: &Layout, tos: u8, ttl: u8) -> u64 {
    let fragment = match layout.fragment {
        Fragment::No => 0,
        Fragment::First => FRAG_ANY,
        Fragment::Later => FRAG_ANY | FRAG_LATER,
    };
    u64::from(layout.protocol) << 24 | u64::from(tos) << 16 | u64::from(ttl) << 8 | fragment
}

fn l4_words(head: &[u8], layout: &Layout, words: &mut [u64]) {
    let l4 = usize::from(layout.l4_offset);
    let [src, dst, flags] = match layout.l4 {
        L4::None => return,
        L4::Tcp => [
            be16(head, l4),
            be16(head, l4 + 2),
            be16(head, l4 + 12) & 0x0fff,
        ],
        L4::Udp | L4::Sctp => [be16(head, l4), be16(head, l4 + 2), 0],
        L4::Icmp | L4::Icmpv6 => [u16::from(byte(head, l4)), u16::from(byte(head, l4 + 1)), 0],
    };
    words[usize::from(word::L4)] =
        u64::from(src) << 48 | u64::from(dst) << 32 | u64::from(flags) << 16;
}

// The layout has checked that these bytes are there; zero stands for "they are not", so that
// nothing here can panic.

fn array<const N: usize>(head: &[u8], at: usize) -> [u8; N] {
    head.get(at..)
        .and_then(|rest| rest.first_chunk())
        .copied()
        .unwrap_or([0; N])
}

fn byte(head: &[u8], at: usize) -> u8 {
    u8::from_be_bytes(array(head, at))
}

fn be16(head: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(array(head, at))
}

fn be32(head: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(array(head, at))
}

fn be48(head: &[u8], at: usize) -> u64 {
    u64::from(be16(head, at)) << 32 | u64::from(be32(head, at + 2))
}

fn be64(head: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(array(head, at))
}
