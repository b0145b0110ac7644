//! From a frame to the packet words of a flow key.

use weir_packet::{Fragment, L3, L4, Layout};

use crate::field::Field;
use crate::key::{FlowKey, WORDS, word};
use crate::neighbour::{LinkAddress, Message};

/// Bit 12 of `vlan_tci`: a tag is there.
pub(crate) const VLAN_PRESENT: u16 = 0x1000;

/// ip_frag: a piece of a datagram.
const FRAG_ANY: u64 = 1;
/// ip_frag: not the first piece.
const FRAG_LATER: u64 = 2;

/// The first word that a packet's headers fill.
const FIRST_PACKET_WORD: usize = word::ETH_DST as usize;

/// What the headers of a frame say: the last words of a flow key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PacketWords([u64; PACKET_WORDS]);

const PACKET_WORDS: usize = WORDS - FIRST_PACKET_WORD;

impl PacketWords {
    /// Those of nothing.
    pub(crate) const NONE: Self = Self([0; PACKET_WORDS]);

    /// Reads them.
    #[inline]
    pub(crate) fn read(head: &[u8], layout: &Layout) -> Self {
        let mut words = Self::NONE;
        words.fill(head, layout);
        words
    }

    /// Those of a key.
    #[inline]
    pub(crate) fn of(key: &FlowKey) -> Self {
        let words = key.words().last_chunk();
        Self(*words.expect("a key has more words than those of its packet"))
    }

    /// Writes them into `key`, whose other words stay as they are.
    #[inline]
    pub(crate) const fn copy_to(&self, key: &mut FlowKey) {
        if let Some(words) = key.words_mut().last_chunk_mut() {
            *words = self.0;
        }
    }

    /// Takes over what `from` says of Ethernet and VLAN.
    pub(crate) fn copy_link(&mut self, from: &Self) {
        const LINK: usize = word::IPV4 as usize - FIRST_PACKET_WORD;
        self.0[..LINK].copy_from_slice(&from.0[..LINK]);
    }

    /// Whether `key` says the same of its packet.
    #[inline]
    pub(crate) fn agrees(&self, key: &FlowKey) -> bool {
        key.words()[FIRST_PACKET_WORD..] == self.0
    }

    /// The value of a field of the packet's headers.
    ///
    /// # Panics
    /// If it is no such field.
    pub(crate) fn field(&self, field: Field) -> u128 {
        let slot = field.info().slot.expect("fields of headers are in the key");
        slot.read(&self.0, FIRST_PACKET_WORD)
    }

    #[inline]
    fn fill(&mut self, head: &[u8], layout: &Layout) {
        let words = &mut self.0;
        words[at(word::ETH_DST)] = be48(head, 0) << 16 | u64::from(layout.ether_type);
        let tci = if layout.vlan_tags > 0 {
            be16(head, 14) | VLAN_PRESENT
        } else {
            0
        };
        words[at(word::ETH_SRC)] = be48(head, 6) << 16 | u64::from(tci);
        let l3 = usize::from(layout.l3_offset);
        match layout.l3 {
            L3::Other => {}
            L3::Arp => {
                words[at(word::IPV4)] =
                    u64::from(be32(head, l3 + 14)) << 32 | u64::from(be32(head, l3 + 24));
                // Like Open vSwitch, which keeps the operation in eight bits.
                let operation = be16(head, l3 + 6);
                words[at(word::L4)] = if operation > 0xff {
                    0
                } else {
                    u64::from(operation)
                };
                words[at(word::ND_SLL)] = be48(head, l3 + 8);
                words[at(word::ND_TLL)] = be48(head, l3 + 18);
            }
            L3::Ipv4 => {
                words[at(word::IPV4)] = be64(head, l3 + 12);
                let [tos, ttl] = [byte(head, l3 + 1), byte(head, l3 + 8)];
                words[at(word::IP)] = ip_word(layout, tos, ttl);
                l4_words(head, layout, words);
            }
            L3::Ipv6 => {
                words[at(word::IPV6_SRC)] = be64(head, l3 + 8);
                words[at(word::IPV6_SRC) + 1] = be64(head, l3 + 16);
                words[at(word::IPV6_DST)] = be64(head, l3 + 24);
                words[at(word::IPV6_DST) + 1] = be64(head, l3 + 32);
                let first = be32(head, l3);
                let traffic_class = (first >> 20) as u8;
                words[at(word::IP)] = u64::from(first & 0xf_ffff) << 32
                    | ip_word(layout, traffic_class, byte(head, l3 + 7));
                l4_words(head, layout, words);
            }
        }
    }
}

/// Where the word of a flow key lies among those of its packet.
const fn at(word: u8) -> usize {
    word as usize - FIRST_PACKET_WORD
}

fn ip_word(layout: &Layout, tos: u8, ttl: u8) -> u64 {
    let fragment = match layout.fragment {
        Fragment::No => 0,
        Fragment::First => FRAG_ANY,
        Fragment::Later => FRAG_ANY | FRAG_LATER,
    };
    u64::from(layout.protocol) << 24 | u64::from(tos) << 16 | u64::from(ttl) << 8 | fragment
}

fn l4_words(head: &[u8], layout: &Layout, words: &mut [u64; PACKET_WORDS]) {
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
    words[at(word::L4)] = u64::from(src) << 48 | u64::from(dst) << 32 | u64::from(flags) << 16;
    if let Some(message) = Message::read(head, layout) {
        neighbour_words(&message, words);
    }
}

#[cold]
fn neighbour_words(message: &Message, words: &mut [u64; PACKET_WORDS]) {
    let Message {
        reserved,
        target,
        source,
        destination,
        first_type,
    } = message;
    let address = |link: &Option<LinkAddress>| link.map_or(0, |link| be48(&link.mac, 0));
    words[at(word::IPV4)] = u64::from(*reserved);
    words[at(word::L4)] |= u64::from(*first_type) << 16;
    words[at(word::ND_SLL)] = address(source);
    words[at(word::ND_TLL)] = address(destination);
    words[at(word::ND_TARGET)] = be64(target, 0);
    words[at(word::ND_TARGET) + 1] = be64(target, 8);
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
