//! Which lcore a packet belongs to.
//!
//! Every packet of a connection must be handled by one lcore, whichever queue it came in by. So
//! the owner is a hash of what identifies the connection, the same for both directions: the
//! addresses and numbers of the tuple, each end taken together, the lesser end first. An ICMP
//! error belongs where the packet that it quotes does; the pieces of a datagram belong together,
//! and where the whole belongs is found when it is whole. The tuple is that of the wire, before
//! any translation and outside of any zone.
//!
//! Where devices have receive-side scaling, the owner is decided by that hash instead ([`Rss`]), so that what
//! comes by such a device comes to its owner at once; what does not is handed over as ever.
//!
//! Cost: one keyed, non-linear hash per packet. No look-up.

mod rss;

use std::hash::Hasher;
use std::sync::Arc;

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;
pub use rss::Rss;
use weir_packet::{Fragment, IpPair, L3, Layout, Tuple};

use crate::extract;

/// An lcore that tracks connections, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub u16);

/// A tuple and its reverse, of whatever zone: what belongs to one shard as a whole.
///
/// It is a hash of 44 bits under a secret key, whose uppermost bits may be those of a device's hash. Two
/// pairs with one id belong to one shard and are claimed and given back together, which is as right
/// as if they were one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PairId(u64);

/// What decides where a packet belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belongs {
    /// Its tuple, or for an ICMP error the quoted one: the owner, or whoever reserved it there.
    Pair(PairId),
    /// A packet with addresses but no tuple, a fragment for example.
    Shard(ShardId),
    /// A packet without addresses: any shard is as good as another.
    Anywhere,
}

/// How packets are shared out among the lcores. The same on all of them.
#[derive(Clone)]
pub struct Owners {
    shards: u16,
    seed: SharedSeed,
    start: u64,
    rss: Option<Arc<Rss>>,
    /// The uppermost bits of a [`PairId`] that decide on the owner.
    deciding: u32,
}

impl PairId {
    /// Bits of an id.
    pub(crate) const BITS: u32 = 44;

    /// The id as a number below 2^[`PairId::BITS`], never 0.
    pub(crate) const fn get(self) -> u64 {
        self.0
    }

    /// The id of what has this hash.
    #[inline]
    fn from_hash(hash: u64) -> Self {
        Self((hash >> (u64::BITS - Self::BITS)).max(1))
    }

    /// The id that [`PairId::get`] gave.
    pub(crate) const fn of(number: u64) -> Self {
        Self(number)
    }
}

impl Owners {
    /// The most lcores there can be.
    pub const MAX_SHARDS: u16 = 1024;

    /// Owners for `shards` lcores; `secret` makes it unpredictable what goes where.
    ///
    /// # Panics
    /// If `shards` is 0 or above [`Owners::MAX_SHARDS`].
    pub fn new(shards: u16, secret: u64) -> Self {
        assert!(
            (1..=Self::MAX_SHARDS).contains(&shards),
            "from 1 to 1024 shards"
        );
        // Not the hash of the index, whose buckets would then be of one shard each.
        let secret = !secret;
        Self {
            shards,
            seed: SharedSeed::from_u64(secret),
            start: secret.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            rss: None,
            deciding: PairId::BITS,
        }
    }

    /// The same, but whatever devices tell apart by `rss` belongs to the shard of its bucket.
    #[must_use]
    pub fn led_by(self, rss: Rss) -> Self {
        Self {
            deciding: rss.bits(),
            rss: Some(Arc::new(rss)),
            ..self
        }
    }

    /// What decides on owners besides the hash under the secret: what devices are to be told.
    pub fn rss(&self) -> Option<&Rss> {
        self.rss.as_deref()
    }

    /// The shard that owns what is in a bucket of [`Owners::rss`].
    pub fn owner_of_bucket(&self, bucket: u16) -> ShardId {
        self.owner(PairId(u64::from(bucket) << (PairId::BITS - self.deciding)))
    }

    /// How many lcores there are.
    pub const fn shards(&self) -> u16 {
        self.shards
    }

    /// What `tuple` and its reverse are together.
    #[inline]
    pub fn pair(&self, tuple: &Tuple) -> PairId {
        let numbers = if tuple.is_icmp() {
            // The identifier is at both ends; the type differs between query and answer.
            [tuple.src_port; 2]
        } else if tuple.gre_key().is_some() {
            // So is the key.
            [tuple.src_port ^ tuple.dst_port; 2]
        } else {
            [tuple.src_port, tuple.dst_port]
        };
        let id = self.id(tuple.ip, numbers, Salt::Tuple(tuple.protocol));
        match self.rss.as_deref().and_then(|rss| rss.bucket(tuple)) {
            Some(bucket) => self.in_bucket(id, bucket),
            None => id,
        }
    }

    /// As [`Owners::pair`], for a TCP or UDP tuple of IPv4: each end is its address, then its port
    /// (`address << 16 | port`).
    #[inline(always)]
    pub fn pair_of_ends(&self, [src, dst]: [u64; 2], protocol: u8) -> PairId {
        let id = self.id_of_ends([src, dst], protocol.into());
        match self.rss.as_deref() {
            Some(rss) => self.in_bucket(id, rss.bucket_of_ends([src, dst])),
            None => id,
        }
    }

    /// The id with the bucket in its uppermost bits, and never 0.
    const fn in_bucket(&self, id: PairId, bucket: u16) -> PairId {
        let below = PairId::BITS - self.deciding;
        let id = (bucket as u64) << below | id.0 & ((1 << below) - 1);
        PairId(if id == 0 { 1 } else { id })
    }

    /// The shard that `pair` belongs to unless another one reserved it.
    pub const fn owner(&self, pair: PairId) -> ShardId {
        let bucket = pair.0 >> (PairId::BITS - self.deciding);
        ShardId(((bucket * self.shards as u64) >> self.deciding) as u16)
    }

    /// Which shard owns a frame, unless another one reserved its tuple; `None`: any may have it.
    pub fn owner_of_frame(&self, frame: &[u8]) -> Option<ShardId> {
        let layout = weir_packet::parse(frame, frame.len()).ok()?;
        match self.belongs(frame, &layout) {
            Belongs::Pair(pair) => Some(self.owner(pair)),
            Belongs::Shard(shard) => Some(shard),
            Belongs::Anywhere => None,
        }
    }

    /// Where a packet belongs, of which `head` and `layout` are the parsed headers. Nothing is
    /// verified: a packet that is broken belongs somewhere too.
    pub fn belongs(&self, head: &[u8], layout: &Layout) -> Belongs {
        if layout.fragment == Fragment::No
            && let Some(tuple) = Tuple::of(head, layout).or_else(|| extract::about(head, layout))
        {
            return Belongs::Pair(self.pair(&tuple));
        }
        let Some(ip) = IpPair::of(head, layout) else {
            return Belongs::Anywhere;
        };
        let salt = match layout.fragment {
            Fragment::No => Salt::Addresses,
            Fragment::First | Fragment::Later => {
                let protocol = match layout.l3 {
                    // RFC 8200 4.5: pieces may say different things of what follows.
                    L3::Ipv6 => 0,
                    L3::Ipv4 | L3::Arp | L3::Other => layout.protocol,
                };
                Salt::Fragment(protocol, identification(head, layout))
            }
        };
        Belongs::Shard(self.owner(self.id(ip, [0; 2], salt)))
    }

    /// What a datagram belongs to that came in pieces, as if it had come whole. `came`: the addresses
    /// that its pieces came with, whatever rules have made of them since. `None`: it has no tuple,
    /// and any shard may have it.
    pub fn pair_of_whole(
        &self,
        head: &[u8],
        layout: &Layout,
        came: Option<IpPair>,
    ) -> Option<PairId> {
        let tuple = match Tuple::of(head, layout) {
            Some(tuple) => Tuple {
                ip: came.unwrap_or(tuple.ip),
                ..tuple
            },
            None => extract::about(head, layout)?,
        };
        Some(self.pair(&tuple))
    }

    #[inline]
    fn id(&self, ip: IpPair, [src_number, dst_number]: [u16; 2], salt: Salt) -> PairId {
        let salt = match salt {
            Salt::Tuple(protocol) => u64::from(protocol),
            Salt::Addresses => 1 << 8,
            Salt::Fragment(protocol, id) => 2 << 8 | u64::from(protocol) | u64::from(id) << 16,
        };
        match ip {
            IpPair::V4 { src, dst } => {
                let end = |address: std::net::Ipv4Addr, number| {
                    u64::from(address.to_bits()) << 16 | u64::from(number)
                };
                self.id_of_ends([end(src, src_number), end(dst, dst_number)], salt)
            }
            IpPair::V6 { src, dst } => {
                let mut hasher = FoldHasher::with_seed(self.start, &self.seed);
                let (a, b) = ((src, src_number), (dst, dst_number));
                for (address, number) in [a.min(b), a.max(b)] {
                    hasher.write_u128(address.to_bits());
                    hasher.write_u64(number.into());
                }
                hasher.write_u64(salt);
                PairId::from_hash(hasher.finish())
            }
        }
    }

    /// The same of IPv4, each end as one number.
    #[inline(always)]
    fn id_of_ends(&self, [a, b]: [u64; 2], salt: u64) -> PairId {
        let mut hasher = FoldHasher::with_seed(self.start, &self.seed);
        hasher.write_u64(a.min(b));
        hasher.write_u64(a.max(b));
        hasher.write_u64(salt);
        PairId::from_hash(hasher.finish())
    }
}

/// What is hashed besides addresses and numbers: different things never look alike.
#[derive(Clone, Copy)]
enum Salt {
    Tuple(u8),
    Addresses,
    Fragment(u8, u32),
}

/// The identification of a fragment; 0 if it is cut off.
fn identification(head: &[u8], layout: &Layout) -> u32 {
    let bytes = |at: usize, size: usize| head.get(at..at + size).unwrap_or_default();
    let bytes = match layout.l3 {
        L3::Ipv4 => bytes(usize::from(layout.l3_offset) + 4, 2),
        L3::Ipv6 => bytes(usize::from(layout.fragment_header_offset) + 4, 4),
        L3::Arp | L3::Other => &[],
    };
    bytes.iter().fold(0, |id, &byte| id << 8 | u32::from(byte))
}

#[cfg(test)]
mod tests;
