//! What NORMAL has learned: which MAC address lies behind which port, by VLAN.
//!
//! A fixed table of sets: an address lies in one of the [`WAYS`] places of its set, and a new
//! address takes the place that was not used for the longest time. So learning costs the same
//! however many addresses a stranger invents.
//!
//! Threads: each lcore has its own.

use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use foldhash::fast::SeedableRandomState;
use weir_packet::Tick;

use crate::classifier::HashSecret;
use crate::port::PortIndex;

#[cfg(test)]
mod tests;

/// How long an address is remembered after it was last seen (Open vSwitch's `mac-aging-time`).
pub const MAC_AGEING: Duration = Duration::from_secs(300);

/// Addresses in all (Open vSwitch's `mac-table-size`).
const CAPACITY: usize = 8_192;
/// Places an address can lie in.
const WAYS: usize = 4;

/// A MAC address and the VLAN it was seen in: `mac << 12 | vlan`, never 0 for a unicast address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key(u64);

#[derive(Clone, Copy, Debug)]
struct Place {
    key: Key,
    port: PortIndex,
    used: Tick,
}

/// One learned address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacEntry {
    /// The address.
    pub mac: [u8; 6],
    /// The VLAN; 0: untagged.
    pub vlan: u16,
    /// The port behind which it lies.
    pub port: PortIndex,
    /// Time since it was last seen.
    pub age: Duration,
}

/// The table.
#[derive(Debug)]
pub struct MacTable {
    hasher: SeedableRandomState,
    places: Box<[Option<Place>]>,
}

impl MacTable {
    /// An empty table.
    pub fn new(secret: HashSecret) -> Self {
        let shared = foldhash::SharedSeed::global_fixed();
        Self {
            hasher: SeedableRandomState::with_seed(secret.0, shared),
            places: vec![None; CAPACITY].into(),
        }
    }

    /// Notes that `mac` in `vlan` was seen behind `port`.
    pub fn learn(&mut self, mac: u64, vlan: u16, port: PortIndex, now: Tick) {
        let key = Key::new(mac, vlan);
        let set = self.set_mut(key);
        let known = set
            .iter()
            .position(|place| place.is_some_and(|place| place.key == key));
        let at = known.unwrap_or_else(|| {
            let idle = |place: &Option<Place>| place.map_or(Duration::MAX, |at| now.since(at.used));
            (0..WAYS)
                .max_by_key(|&at| idle(&set[at]))
                .expect("a set has places")
        });
        set[at] = Some(Place {
            key,
            port,
            used: now,
        });
    }

    /// The port behind which `mac` in `vlan` was seen within [`MAC_AGEING`].
    pub fn find(&self, mac: u64, vlan: u16, now: Tick) -> Option<PortIndex> {
        let key = Key::new(mac, vlan);
        let set = &self.places[self.set_start(key)..][..WAYS];
        let place = set.iter().flatten().find(|place| place.key == key)?;
        (now.since(place.used) <= MAC_AGEING).then_some(place.port)
    }

    /// Forgets everything.
    pub fn flush(&mut self) {
        self.places.fill(None);
    }

    /// All addresses that have not aged out.
    pub fn entries(&self, now: Tick) -> impl Iterator<Item = MacEntry> {
        let entries = self.places.iter().flatten().map(move |place| MacEntry {
            mac: place.key.mac(),
            vlan: place.key.vlan(),
            port: place.port,
            age: now.since(place.used),
        });
        entries.filter(|entry| entry.age <= MAC_AGEING)
    }

    fn set_start(&self, key: Key) -> usize {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u64(key.0);
        hasher.finish() as usize % (CAPACITY / WAYS) * WAYS
    }

    fn set_mut(&mut self, key: Key) -> &mut [Option<Place>] {
        let start = self.set_start(key);
        &mut self.places[start..][..WAYS]
    }
}

impl Key {
    const fn new(mac: u64, vlan: u16) -> Self {
        Self(mac << 12 | vlan as u64)
    }

    fn mac(self) -> [u8; 6] {
        let bytes = (self.0 >> 12).to_be_bytes();
        std::array::from_fn(|at| bytes[at + 2])
    }

    const fn vlan(self) -> u16 {
        (self.0 & 0xfff) as u16
    }
}
