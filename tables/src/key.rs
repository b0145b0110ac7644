//! The flow key: everything a rule can match, as an array of words.
//!
//! A key is [`WORDS`] 64-bit words in host order; a field lies at a [`Slot`]. A mask has the
//! same form. Words are ordered as a packet is understood (metadata, tunnel, conntrack, L2,
//! L3, L4), so a lookup can be staged. Matching, hashing and un-wildcarding work on whole words
//! and need not know the fields.
//!
//! Behind them are [`OPTION_WORDS`] words for Geneve's options. Few packets have any, so a key
//! without has them not at all: what is not there reads 0.

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::field::Field;

/// Words in every key.
pub const WORDS: usize = 48;
/// Words for options, behind them, in a key that has any.
pub const OPTION_WORDS: usize = 33;
/// Words in all.
pub const ALL_WORDS: usize = WORDS + OPTION_WORDS;

/// Which word holds what. Two words: the first is the higher half of a 128-bit value.
pub mod word {
    /// in_port << 32 | pkt_mark
    pub const PORT: u8 = 0;
    /// metadata
    pub const METADATA: u8 = 1;
    /// reg0 << 32 | reg1, and so on up to reg31: 16 words
    pub const REG: u8 = 2;
    /// actset_output << 32 | conj_id
    pub const CONJ: u8 = 18;
    /// tun_id
    pub const TUN_ID: u8 = 19;
    /// tun_src << 32 | tun_dst
    pub const TUN_V4: u8 = 20;
    /// tun_ipv6_src, two words
    pub const TUN_V6_SRC: u8 = 21;
    /// tun_ipv6_dst, two words
    pub const TUN_V6_DST: u8 = 23;
    /// tun_gbp_id << 32 | tun_gbp_flags << 24 | tun_flags << 16 | tun_ttl << 8 | tun_tos
    pub const TUN_META: u8 = 25;
    /// ct_state << 32 | ct_zone << 16 | ct_nw_proto
    pub const CT_STATE: u8 = 26;
    /// ct_mark << 32 | ct_tp_src << 16 | ct_tp_dst
    pub const CT_MARK: u8 = 27;
    /// ct_label, two words
    pub const CT_LABEL: u8 = 28;
    /// ct_nw_src << 32 | ct_nw_dst
    pub const CT_V4: u8 = 30;
    /// ct_ipv6_src, two words
    pub const CT_V6_SRC: u8 = 31;
    /// ct_ipv6_dst, two words
    pub const CT_V6_DST: u8 = 33;
    /// eth_dst << 16 | eth_type
    pub const ETH_DST: u8 = 35;
    /// eth_src << 16 | vlan_tci (bit 12 set: a tag is there; 0: untagged)
    pub const ETH_SRC: u8 = 36;
    /// ip_src << 32 | ip_dst; arp_spa << 32 | arp_tpa; nd_reserved
    pub const IPV4: u8 = 37;
    /// ipv6_src, two words
    pub const IPV6_SRC: u8 = 38;
    /// ipv6_dst, two words
    pub const IPV6_DST: u8 = 40;
    /// ipv6_label << 32 | nw_proto << 24 | nw_tos << 16 | nw_ttl << 8 | ip_frag
    pub const IP: u8 = 42;
    /// tp_src << 48 | tp_dst << 32 | tcp_flags << 16 | arp_op; an ICMP type lies in tp_src,
    /// a code in tp_dst, nd_options_type in tcp_flags
    pub const L4: u8 = 43;
    /// arp_sha, nd_sll
    pub const ND_SLL: u8 = 44;
    /// arp_tha, nd_tll
    pub const ND_TLL: u8 = 45;
    /// nd_target, two words
    pub const ND_TARGET: u8 = 46;
    /// Of the words for options the first. Bit n: the packet has tun_metadata n.
    pub const OPTIONS_PRESENT: u8 = 48;
    /// What the tun_metadata fields hold, 32 words; which bytes are whose a
    /// [`TlvMap`](crate::tunnel::options::TlvMap) says. What a packet does not have is 0 unless
    /// `delete_field` took it away.
    pub const OPTIONS: u8 = 49;
}

/// Where a field lies in a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    word: u8,
    shift: u8,
    width: u8,
}

impl Slot {
    /// `width` bits starting `shift` bits above the low end of `word`; a field wider than 64
    /// bits begins in `word` (high half) and ends in the next.
    pub(crate) const fn at(word: u8, shift: u8, width: u8) -> Option<Self> {
        assert!(if width > 64 {
            shift == 0 && width == 128
        } else {
            shift + width <= 64
        });
        assert!((word as usize) + (width > 64) as usize <= WORDS);
        Some(Self { word, shift, width })
    }

    /// The value with all bits of the field set.
    pub const fn ones(self) -> u128 {
        u128::MAX >> (128 - self.width as u32)
    }

    /// Bits in the field.
    pub const fn width(self) -> u8 {
        self.width
    }

    /// Its bits in `words`, the first of which is word number `first` of a key.
    #[inline]
    pub(crate) const fn read(self, words: &[u64], first: usize) -> u128 {
        let at = self.word as usize - first;
        if self.width > 64 {
            (words[at] as u128) << 64 | words[at + 1] as u128
        } else {
            (words[at] >> self.shift) as u128 & self.ones()
        }
    }

    /// The words that the field lies in, each with those of `bits` (a value or a mask of the field) that
    /// lie there; the second has none if the field has no more than 64 bits.
    pub(crate) const fn split(self, bits: u128) -> [(usize, u64); 2] {
        let (at, bits) = (self.word as usize, bits & self.ones());
        if self.width > 64 {
            [(at, (bits >> 64) as u64), (at + 1, bits as u64)]
        } else {
            [(at, (bits as u64) << self.shift), (at, 0)]
        }
    }

    /// The first word the field touches.
    pub const fn word(self) -> usize {
        self.word as usize
    }
}

/// A flow key, or the mask of one.
#[derive(Clone, Copy, Eq)]
#[repr(align(64))]
pub struct FlowKey {
    words: [u64; WORDS],
    options: Option<[u64; OPTION_WORDS]>,
}

impl FlowKey {
    /// All bits zero.
    pub const ZERO: Self = Self {
        words: [0; WORDS],
        options: None,
    };

    /// The same, made where it is to lie: as a constant it would be copied, and the words for
    /// options with it.
    #[inline(always)]
    pub(crate) const fn zero() -> Self {
        Self {
            words: [0; WORDS],
            options: None,
        }
    }

    /// The words that every key has.
    pub const fn words(&self) -> &[u64; WORDS] {
        &self.words
    }

    /// The same, writable.
    pub const fn words_mut(&mut self) -> &mut [u64; WORDS] {
        &mut self.words
    }

    /// The words for options; `None`: they are all 0.
    #[inline]
    pub const fn options(&self) -> Option<&[u64; OPTION_WORDS]> {
        self.options.as_ref()
    }

    /// Writes the words for options.
    #[inline]
    pub const fn set_options(&mut self, options: Option<&[u64; OPTION_WORDS]>) {
        self.options = options.copied();
    }

    /// Word `at` of [`ALL_WORDS`].
    ///
    /// # Panics
    /// If there is none.
    #[inline]
    pub fn word(&self, at: usize) -> u64 {
        match self.words.get(at) {
            Some(word) => *word,
            None => self.options.as_ref().map_or(0, |all| all[at - WORDS]),
        }
    }

    /// Word `at` of [`ALL_WORDS`], writable.
    ///
    /// # Panics
    /// If there is none.
    #[inline]
    pub fn word_mut(&mut self, at: usize) -> &mut u64 {
        match self.words.get_mut(at) {
            Some(word) => word,
            None => &mut self.options.get_or_insert([0; OPTION_WORDS])[at - WORDS],
        }
    }

    /// The words that are not 0, by index.
    pub fn set_words(&self) -> impl Iterator<Item = (usize, u64)> {
        let options = self.options.iter().flatten();
        let all = self.words.iter().chain(options).copied().enumerate();
        all.filter(|(_, word)| *word != 0)
    }

    /// Sets the bits of `other`.
    pub fn add(&mut self, other: &Self) {
        let more = other.words;
        for (all, more) in self.words.iter_mut().zip(more) {
            *all |= more;
        }
        if let Some(more) = &other.options {
            let all = self.options.get_or_insert([0; OPTION_WORDS]);
            for (all, more) in all.iter_mut().zip(more) {
                *all |= more;
            }
        }
    }

    /// Clears the bits of `other`.
    pub fn remove(&mut self, other: &Self) {
        for (all, less) in self.words.iter_mut().zip(&other.words) {
            *all &= !less;
        }
        if let (Some(all), Some(less)) = (&mut self.options, &other.options) {
            for (all, less) in all.iter_mut().zip(less) {
                *all &= !less;
            }
        }
    }

    /// Makes all bits zero.
    pub const fn clear(&mut self) {
        self.words = [0; WORDS];
        self.options = None;
    }

    /// Reads the bits of `slot`.
    #[inline]
    pub const fn read(&self, slot: Slot) -> u128 {
        slot.read(&self.words, 0)
    }

    /// Writes the bits of `slot`; bits of `value` beyond its width are ignored.
    pub const fn write(&mut self, slot: Slot, value: u128) {
        self.write_masked(slot, value, slot.ones());
    }

    /// Writes those bits of `slot` that are set in `mask`.
    pub const fn write_masked(&mut self, slot: Slot, value: u128, mask: u128) {
        let at = slot.word as usize;
        let mask = mask & slot.ones();
        let value = value & mask;
        if slot.width > 64 {
            self.words[at] = self.words[at] & !((mask >> 64) as u64) | (value >> 64) as u64;
            self.words[at + 1] = self.words[at + 1] & !(mask as u64) | value as u64;
        } else {
            let mask = (mask as u64) << slot.shift;
            self.words[at] = self.words[at] & !mask | (value as u64) << slot.shift;
        }
    }

    /// The value of `field`; 0 for a field that is not in the key.
    pub fn field(&self, field: Field) -> u128 {
        field.info().slot.map_or(0, |slot| self.read(slot))
    }

    /// Sets `field`; a field that is not in the key is ignored.
    pub fn set_field(&mut self, field: Field, value: u128) {
        if let Some(slot) = field.info().slot {
            self.write(slot, value);
        }
    }

    /// Whether all bits are zero.
    pub fn is_zero(&self) -> bool {
        self.set_words().next().is_none()
    }
}

impl PartialEq for FlowKey {
    fn eq(&self, other: &Self) -> bool {
        let options = match (&self.options, &other.options) {
            (None, None) => true,
            (Some(ours), Some(theirs)) => ours == theirs,
            // What is not there is 0.
            (Some(all), None) | (None, Some(all)) => *all == [0; OPTION_WORDS],
        };
        self.words == other.words && options
    }
}

impl Hash for FlowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.words.hash(state);
    }
}

impl Default for FlowKey {
    fn default() -> Self {
        Self::ZERO
    }
}

impl fmt::Debug for FlowKey {
    /// The words that are not zero, by index.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (at, word) in self.set_words() {
            map.entry(&at, &format_args!("{word:#018x}"));
        }
        map.finish()
    }
}
