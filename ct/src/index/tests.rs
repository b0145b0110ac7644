use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

use proptest::prelude::*;
use weir_packet::{IpPair, Tuple, protocol};

use super::*;
use crate::testing::any_tuple;

/// The wire bytes that hash functions of network cards and of Open vSwitch's kind cover:
/// addresses and ports. The protocol, which follows them, is always TCP's here.
type Wire = [u8; 12];

fn tuple_of(wire: Wire) -> Tuple {
    let [s0, s1, s2, s3, d0, d1, d2, d3, p0, p1, q0, q1] = wire;
    Tuple {
        ip: IpPair::V4 {
            src: Ipv4Addr::new(s0, s1, s2, s3),
            dst: Ipv4Addr::new(d0, d1, d2, d3),
        },
        protocol: protocol::TCP,
        src_port: u16::from_be_bytes([p0, p1]),
        dst_port: u16::from_be_bytes([q0, q1]),
    }
}

/// 10.0.0.1:1024 to 192.0.2.9:80
const BASE: Wire = [10, 0, 0, 1, 192, 0, 2, 9, 4, 0, 0, 80];

/// CRC32C (Castagnoli) of a TCP packet's tuple, begun with `seed`, as DPDK's `rte_hash_crc`.
fn crc32c(wire: Wire, seed: u32) -> u32 {
    const REVERSED_POLYNOMIAL: u32 = 0x82f6_3b78;
    let bytes = wire.into_iter().chain([protocol::TCP]);
    bytes.fold(seed, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            crc >> 1 ^ if crc & 1 == 1 { REVERSED_POLYNOMIAL } else { 0 }
        })
    })
}

/// The Toeplitz hash under the key that makes it symmetric.
fn symmetric_rss(wire: Wire) -> u32 {
    const KEY: [u8; 2] = [0x6d, 0x5a];
    let key_bit = |at: usize| KEY[at / 8 % 2] >> (7 - at % 8) & 1;
    let set = (0..wire.len() * 8).filter(|at| wire[at / 8] >> (7 - at % 8) & 1 == 1);
    set.fold(0, |hash, at| {
        let window = (0..32).fold(0, |window, n| window << 1 | u32::from(key_bit(at + n)));
        hash ^ window
    })
}

/// As many tuples with the hash of [`BASE`] as asked for, for any hash for which that of a
/// difference does not depend on from what: one solves linear equations over single bits.
fn colliding(hash: impl Fn(Wire) -> u32, tuples: usize) -> Vec<Wire> {
    let to_wire = |bits: u128| -> Wire { *bits.to_be_bytes().last_chunk().expect("16 > 12") };
    let effect = |bits| hash(to_wire(bits)) ^ hash([0; 12]);
    // Gauss: per leading bit of effect, a difference that has it.
    let mut pivots: [Option<(u32, u128)>; 32] = [None; 32];
    let mut without_effect = Vec::new();
    for bit in 0..96 {
        let mut difference = 1u128 << bit;
        let mut left = effect(difference);
        while left != 0 {
            let leading = &mut pivots[left.ilog2() as usize];
            let Some((other, with)) = *leading else {
                *leading = Some((left, difference));
                break;
            };
            left ^= other;
            difference ^= with;
        }
        if left == 0 {
            without_effect.push(difference);
        }
    }
    let base = u128::from_be_bytes(std::array::from_fn(|n| if n < 4 { 0 } else { BASE[n - 4] }));
    (0..tuples)
        .map(|n| {
            let chosen = without_effect.iter().take(32).enumerate();
            let chosen = chosen.filter(|(bit, _)| n >> bit & 1 == 1);
            to_wire(chosen.fold(base, |bits, (_, difference)| bits ^ difference))
        })
        .collect()
}

/// As many tuples that differ as those of a port scan do.
fn in_sequence(tuples: usize) -> Vec<Wire> {
    let wire = |n: usize| {
        let mut wire = BASE;
        wire[8..10].copy_from_slice(&(n as u16).to_be_bytes());
        wire[3] = (n >> 16) as u8;
        wire
    };
    (0..tuples).map(wire).collect()
}

/// How evenly hashes lie.
#[derive(Debug)]
struct Spread {
    /// Keys in the fullest bucket.
    fullest: usize,
    /// Different signatures.
    signatures: usize,
}

const TUPLES: usize = 10_000;

fn index(secret: u64) -> Index {
    // A place for each of the tuples.
    Index::new(TUPLES as u32 / 2, secret)
}

fn spread(index: &Index, hashes: impl IntoIterator<Item = u64>) -> Spread {
    let mut load = vec![0; index.buckets.len()];
    let mut signatures = HashSet::new();
    for hash in hashes {
        load[index.home(hash)] += 1;
        signatures.insert(signature(hash));
    }
    Spread {
        fullest: load.into_iter().max().unwrap_or(0),
        signatures: signatures.len(),
    }
}

impl Spread {
    /// Whether it could be that of random hashes. In 2,000 buckets of 5 on average one has 21
    /// with a probability of 2 in 10,000; of 65,535 signatures 10,000 keys have 9,276 +- 24.
    fn is_even(&self) -> bool {
        self.fullest <= 20 && (9_156..=9_396).contains(&self.signatures)
    }
}

fn spread_of(secret: u64, wires: &[Wire]) -> Spread {
    let index = index(secret);
    assert_eq!(index.buckets.len(), 2000);
    let hash = |&wire: &Wire| index.hash(&Key::new(&tuple_of(wire), 0));
    spread(&index, wires.iter().map(hash))
}

/// Secrets need not be good ones for the spread to be.
const SECRETS: [u64; 5] = [0, 1, 7, u64::MAX, 0x1234_5678_9abc_def0];

#[test]
fn tuples_that_collide_under_crc32_are_spread() {
    let wires = colliding(|wire| crc32c(wire, 0), TUPLES);
    assert_eq!(wires.iter().collect::<HashSet<_>>().len(), TUPLES);
    // What this test would say of CRC32: all in one bucket, whatever it begins with.
    for seed in [0, u32::MAX, 0xdead_beef] {
        let crcs: HashSet<_> = wires.iter().map(|&wire| crc32c(wire, seed)).collect();
        assert_eq!(crcs.len(), 1);
        let hash = |&wire: &Wire| u64::from(crc32c(wire, seed)) * 0x1_0000_0001;
        assert!(!spread(&index(0), wires.iter().map(hash)).is_even());
    }
    for secret in SECRETS {
        let spread = spread_of(secret, &wires);
        assert!(spread.is_even(), "secret {secret:#x}: {spread:?}");
    }
}

#[test]
fn tuples_that_collide_under_symmetric_rss_are_spread() {
    let wires = colliding(symmetric_rss, TUPLES);
    assert_eq!(wires.iter().collect::<HashSet<_>>().len(), TUPLES);
    let hashes: HashSet<_> = wires.iter().map(|&wire| symmetric_rss(wire)).collect();
    assert_eq!(hashes.len(), 1);
    let hash = |&wire: &Wire| u64::from(symmetric_rss(wire)) * 0x1_0000_0001;
    assert!(!spread(&index(0), wires.iter().map(hash)).is_even());
    for secret in SECRETS {
        let spread = spread_of(secret, &wires);
        assert!(spread.is_even(), "secret {secret:#x}: {spread:?}");
    }
}

#[test]
fn tuples_in_sequence_are_spread() {
    for secret in SECRETS {
        let spread = spread_of(secret, &in_sequence(TUPLES));
        assert!(spread.is_even(), "secret {secret:#x}: {spread:?}");
    }
}

/// How many buckets of one table have the tuples that share a bucket of another, both given by
/// a hash: many, unless collisions outlive a change of the key.
fn apart(one: impl Fn(Wire) -> usize, other: impl Fn(Wire) -> usize) -> (usize, usize) {
    let wires = in_sequence(100_000);
    let together = one(wires[0]);
    let together: Vec<_> = wires
        .into_iter()
        .filter(|&wire| one(wire) == together)
        .collect();
    let buckets: HashSet<_> = together.iter().map(|&wire| other(wire)).collect();
    (together.len(), buckets.len())
}

#[test]
fn what_collides_depends_on_the_secret() {
    // About 50 of the tuples share a bucket; of 2000 buckets these are to have nearly as many.
    let home = |secret| {
        let index = index(secret);
        move |wire| index.home(index.hash(&Key::new(&tuple_of(wire), 0)))
    };
    let (tuples, buckets) = apart(home(1), home(2));
    assert!(
        tuples > 20 && buckets > tuples * 9 / 10,
        "{tuples}, {buckets}"
    );
    // CRC32 keeps together what was together: its seed only moves all of them.
    let home = |seed| move |wire| crc32c(wire, seed) as usize % 2048;
    let (tuples, buckets) = apart(home(1), home(2));
    assert!(tuples > 20 && buckets == 1, "{tuples}, {buckets}");
}

/// An index and the connections it speaks of; a slot has both of its keys or none.
struct Full {
    index: Index,
    cold: Vec<Cold>,
}

impl Full {
    fn new(slots: u32, secret: u64) -> Self {
        Self {
            index: Index::new(slots, secret),
            cold: vec![Cold::FREE; slots as usize],
        }
    }

    fn places(&self, slot: u32) -> [(u64, Place); 2] {
        Direction::BOTH.map(|direction| {
            let key = self.cold[slot as usize].key(direction);
            (self.index.hash(key), Place { slot, direction })
        })
    }

    fn insert(&mut self, slot: u32, keys: [Key; 2]) {
        self.cold[slot as usize].keys = keys;
        for (hash, place) in self.places(slot) {
            self.index.insert(hash, place);
        }
    }

    fn remove(&mut self, slot: u32) {
        for (hash, place) in self.places(slot) {
            assert!(self.index.remove(hash, place));
            assert!(!self.index.remove(hash, place), "it is gone");
        }
    }

    /// Checks the invariants.
    fn check(&self) {
        let buckets = self.index.buckets.len();
        let mut passed_on = vec![0; buckets];
        for place in self.index.places() {
            let hash = self
                .index
                .hash(self.cold[place.slot as usize].key(place.direction));
            let mut at = self.index.home(hash);
            let found = self.index.whereabouts(pack(place), at, signature(hash));
            let (there, _) = found.expect("each place can be found");
            while at != there {
                passed_on[at] += 1;
                at = self.index.behind(at);
            }
        }
        let counted = self.index.buckets.iter().map(|bucket| bucket.passed_on);
        assert_eq!(counted.collect::<Vec<_>>(), passed_on);
    }
}

proptest! {
    /// Small tables, so that buckets fill and pass on; whatever is free may be used.
    #[test]
    fn agrees_with_a_map(
        tuples in prop::collection::hash_set(any_tuple(), 48),
        operations in prop::collection::vec((0..24u32, 0..48usize, 0..48usize), 0..300),
        secret: u64,
    ) {
        let keys: Vec<_> = tuples.iter().map(|tuple| Key::new(tuple, 3)).collect();
        let mut full = Full::new(24, secret);
        let mut model: HashMap<Key, Place> = HashMap::new();
        for (slot, original, reply) in operations {
            if model.values().any(|place| place.slot == slot) {
                full.remove(slot);
                model.retain(|_, place| place.slot != slot);
            } else if original != reply
                && !model.contains_key(&keys[original])
                && !model.contains_key(&keys[reply])
            {
                full.insert(slot, [keys[original], keys[reply]]);
                for (key, direction) in [original, reply].into_iter().zip(Direction::BOTH) {
                    model.insert(keys[key], Place { slot, direction });
                }
            }
            for key in &keys {
                prop_assert_eq!(full.index.find(key, &full.cold), model.get(key).copied());
            }
            prop_assert_eq!(full.index.places().count(), model.len());
            full.check();
        }
    }

    #[test]
    fn signatures_are_compared_exactly(mut signatures: [u16; PLACES], n in 0..PLACES, signature: u16) {
        signatures[n] = signature;
        let bucket = Bucket { signatures, ..Bucket::EMPTY };
        let wanted: Vec<_> = (0..PLACES).filter(|&n| signatures[n] == signature).collect();
        prop_assert_eq!(bucket.alike(signature).collect::<Vec<_>>(), wanted);
    }
}

/// Every place taken: the table has as much room again, and finds all.
#[test]
fn every_connection_has_room() {
    for slots in [0, 1, 2, 3, 5, 1000] {
        let mut full = Full::new(slots, 5);
        let wires = in_sequence(2 * slots as usize);
        let keys: Vec<_> = wires
            .iter()
            .map(|&wire| Key::new(&tuple_of(wire), 0))
            .collect();
        for (slot, pair) in keys.chunks_exact(2).enumerate() {
            full.insert(slot as u32, [pair[0], pair[1]]);
        }
        full.check();
        for (n, key) in keys.iter().enumerate() {
            let found = full.index.find(key, &full.cold).expect("it is there");
            assert_eq!(found.slot as usize, n / 2);
        }
    }
}

/// A thousand generations at the limit leave what one does: nothing piles up that would have
/// to be swept, and searches do not grow longer.
#[test]
fn churn_leaves_nothing_behind() {
    const SLOTS: u32 = 1000;
    let mut full = Full::new(SLOTS, 9);
    let key = |n: u32| {
        let ip = IpPair::V4 {
            src: Ipv4Addr::from_bits(n),
            dst: Ipv4Addr::LOCALHOST,
        };
        let (protocol, src_port, dst_port) = (protocol::UDP, 1, 2);
        let tuple = Tuple {
            ip,
            protocol,
            src_port,
            dst_port,
        };
        [tuple, tuple.reversed()].map(|tuple| Key::new(&tuple, 0))
    };
    let passed_on = |full: &Full| -> u32 {
        full.index
            .buckets
            .iter()
            .map(|bucket| bucket.passed_on)
            .sum()
    };
    for slot in 0..SLOTS {
        full.insert(slot, key(slot));
    }
    let capacity = full.index.capacity();
    let mut most = 0;
    let mut draw = 1u32;
    for n in SLOTS..1000 * SLOTS {
        draw = draw.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let slot = draw % SLOTS;
        full.remove(slot);
        full.insert(slot, key(n));
        if n % SLOTS == 0 {
            most = most.max(passed_on(&full));
        }
    }
    full.check();
    assert_eq!(full.index.capacity(), capacity);
    // Of 2000 places in buckets of 5 on average 0.7 % do not fit in their own.
    assert!((1..100).contains(&most), "{most} places passed on");
    for slot in 0..SLOTS {
        full.remove(slot);
    }
    assert_eq!(passed_on(&full), 0);
    assert_eq!(full.index.places().count(), 0);
}
