//! The hash by which devices spread packets over their queues, known here: so that a packet can be
//! owned by whoever polls the queue it comes to.
//!
//! Receive-side scaling is the Toeplitz function of addresses and, for TCP and UDP, ports. Under a key of
//! which each 16 bits are the same it is a function of the exclusive or of all 16-bit words (Woo and Park,
//! "Scalable TCP Session Monitoring with Symmetric Receive-side Scaling", 2012), and so the same for both
//! directions. Its lowest bits choose an entry of the device's redirection table, and that a queue.
//!
//! The hash is linear. Who knows the key can bring many connections to one lcore, though not to one bucket
//! of any table here: these have hashes of their own. The key is drawn for each process.
//!
//! Cost: two look-ups in tables of 512 bytes each.

use weir_packet::{IpPair, Tuple, protocol};

/// A key for symmetric receive-side scaling, and what devices make of packets under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rss {
    key: u16,
    /// Buckets are told apart by so many of the lowest bits of a hash.
    bits: u32,
    /// Hashes of words that are 0 but for the upper or the lower byte.
    upper: [u16; 256],
    lower: [u16; 256],
}

impl Rss {
    /// As many entries as redirection tables of devices have at most, and more than any number of lcores.
    const MOST_ENTRIES: u16 = 512;
    /// With fewer, lcores would get shares too unlike each other.
    const LEAST_ENTRIES: u16 = 64;

    /// A key drawn with `secret`, for redirection tables of 512 entries or a multiple.
    ///
    /// For each power of two from 64 to 512, that many tuples are of different entries each if they differ
    /// only in the lowest bits of one port, or of one address.
    pub fn new(secret: u64) -> Self {
        // Any sequence will do that comes by every key; one of thirty is fit.
        let start = (secret.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as u16;
        let keys = (0..=u16::MAX).map(|n| start.wrapping_add(n.wrapping_mul(0x9e37)));
        let mut fit = keys.map(Self::with_key).filter(Self::is_fit);
        fit.next().expect("there are such keys")
    }

    /// The same for devices of which none has a redirection table of fewer entries. `None`: nobody can be
    /// led by such a table, which is too small, or whose number of entries is no power of two.
    pub fn with_entries(self, entries: u16) -> Option<Self> {
        let can_be = entries.is_power_of_two() && entries >= Self::LEAST_ENTRIES;
        can_be.then(|| Self {
            bits: entries.min(Self::MOST_ENTRIES).ilog2(),
            ..self
        })
    }

    fn with_key(key: u16) -> Self {
        // Bit 0 is the highest: it meets the start of the key, the next one what follows.
        let hash = |word: u16| {
            let set = (0..u16::BITS).filter(|at| word & 0x8000 >> at != 0);
            set.fold(0, |hash, at| hash ^ key.rotate_left(at))
        };
        let mut rss = Self {
            key,
            bits: Self::MOST_ENTRIES.ilog2(),
            upper: [0; 256],
            lower: [0; 256],
        };
        for byte in 0..=u8::MAX {
            rss.upper[usize::from(byte)] = hash(u16::from(byte) << 8);
            rss.lower[usize::from(byte)] = hash(u16::from(byte));
        }
        rss
    }

    /// Whether no two words have one hash, and none that differ in the lowest bits alone one entry.
    /// Since the hash is linear it is enough to look at what has the hash or the entry of 0.
    fn is_fit(&self) -> bool {
        let tells_apart = |bits: u32| {
            let mask = (1 << bits) - 1;
            (1..1 << bits).all(|word| self.of_word(word) & mask != 0)
        };
        let bits = Self::LEAST_ENTRIES.ilog2()..=Self::MOST_ENTRIES.ilog2();
        bits.into_iter().all(tells_apart) && (1..=u16::MAX).all(|word| self.of_word(word) != 0)
    }

    /// The 16 bits of which the device's key consists, as often as they fit.
    pub const fn key(&self) -> u16 {
        self.key
    }

    /// How many buckets there are: a power of two. A redirection table with as many entries or a multiple
    /// has one bucket in each.
    pub const fn buckets(&self) -> u16 {
        1 << self.bits
    }

    /// How many bits tell them apart.
    pub(super) const fn bits(&self) -> u32 {
        self.bits
    }

    /// The bucket of packets of `tuple`, both directions. `None`: devices differ in what they make of such
    /// packets, or they are better told apart by what devices do not look at.
    pub fn bucket(&self, tuple: &Tuple) -> Option<u16> {
        let ports = match tuple.protocol {
            protocol::TCP | protocol::UDP => tuple.src_port ^ tuple.dst_port,
            // With or without ports or the verification tag.
            protocol::SCTP => return None,
            // By addresses alone; the identifier spreads them, and can be chosen so that replies come
            // home.
            _ if tuple.is_icmp() => return None,
            _ => 0,
        };
        let word = match tuple.ip {
            IpPair::V4 { src, dst } => fold((src.to_bits() ^ dst.to_bits()).into()),
            IpPair::V6 { src, dst } => {
                let both = src.to_bits() ^ dst.to_bits();
                fold(both as u64 ^ (both >> 64) as u64)
            }
        };
        Some(self.of_word(word ^ ports) & (self.buckets() - 1))
    }

    /// The same of a TCP or UDP tuple of IPv4, as [`Owners::pair_of_ends`](super::Owners::pair_of_ends) has it.
    #[inline]
    pub(super) fn bucket_of_ends(&self, [src, dst]: [u64; 2]) -> u16 {
        let both = src ^ dst;
        // Address and port of 48 bits.
        self.of_word((both >> 32 ^ both >> 16 ^ both) as u16) & (self.buckets() - 1)
    }

    /// The hash of a packet of which this is the exclusive or of all words: 16 bits, of which the device's
    /// 32 are twice the same.
    const fn of_word(&self, word: u16) -> u16 {
        let [upper, lower] = word.to_be_bytes();
        self.upper[upper as usize] ^ self.lower[lower as usize]
    }
}

/// The exclusive or of its words.
const fn fold(words: u64) -> u16 {
    let halves = words as u32 ^ (words >> 32) as u32;
    halves as u16 ^ (halves >> 16) as u16
}

#[cfg(test)]
mod tests;
