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

mod others;
#[cfg(test)]
mod tests;

pub(crate) use others::MacNews;
use others::Others;

/// How long an address is remembered after it was last seen (Open vSwitch's `mac-aging-time`).
pub const MAC_AGEING: Duration = Duration::from_secs(300);

/// Addresses in all (Open vSwitch's `mac-table-size`).
const CAPACITY: usize = 8_192;
/// Places an address can lie in.
const WAYS: usize = 4;

/// A MAC address and the VLAN it was seen in: `1 << 63 | mac << 12 | vlan`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key(u64);

#[derive(Clone, Copy, Debug)]
struct Place {
    /// 0: nobody.
    key: Key,
    port: PortIndex,
    used: Tick,
    /// Changes with `key` and `port`.
    version: u64,
}

/// Where an address lies, and which version of the place that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MacPlace {
    pub(crate) at: u32,
    pub(crate) version: u64,
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
#[derive(Clone, Debug)]
pub struct MacTable {
    hasher: SeedableRandomState,
    places: Box<[Place]>,
    /// With other lcores: what they are to be told.
    others: Option<Box<Others>>,
}

impl MacTable {
    /// An empty table.
    pub fn new(secret: HashSecret) -> Self {
        let shared = foldhash::SharedSeed::global_fixed();
        Self {
            hasher: SeedableRandomState::with_seed(secret.0, shared),
            places: vec![Place::EMPTY; CAPACITY].into(),
            others: None,
        }
    }

    /// Notes that `mac` in `vlan` was seen behind `port`. Returns where, if that was known.
    pub(crate) fn learn(
        &mut self,
        mac: u64,
        vlan: u16,
        port: PortIndex,
        now: Tick,
    ) -> Option<MacPlace> {
        let key = Key::new(mac, vlan);
        let start = self.set_start(key);
        let set = &mut self.places[start..][..WAYS];
        let at = place_for(set, key, now);
        let place = &mut set[at];
        let same = place.key == key && place.port == port;
        *place = Place {
            key,
            port,
            used: now,
            version: place.version + u64::from(!same),
        };
        if !same && self.others.is_some() {
            self.tell(start + at);
        }
        let place = &self.places[start + at];
        same.then_some(MacPlace {
            at: (start + at) as u32,
            version: place.version,
        })
    }

    /// The port behind which `mac` in `vlan` was seen within [`MAC_AGEING`], and where that is
    /// noted.
    pub(crate) fn find(&self, mac: u64, vlan: u16, now: Tick) -> Option<(PortIndex, MacPlace)> {
        let key = Key::new(mac, vlan);
        let start = self.set_start(key);
        let set = &self.places[start..][..WAYS];
        let at = set.iter().position(|place| place.key == key)?;
        let place = &set[at];
        let known = MacPlace {
            at: (start + at) as u32,
            version: place.version,
        };
        place.is_young(now).then_some((place.port, known))
    }

    /// Whether what was known at `place` still stands.
    #[inline]
    pub(crate) fn stands(&self, place: MacPlace) -> bool {
        self.places[place.at as usize].version == place.version
    }

    /// As [`MacTable::stands`], and was seen within [`MAC_AGEING`].
    #[inline]
    pub(crate) fn is_young(&self, place: MacPlace, now: Tick) -> bool {
        self.stands(place) && self.places[place.at as usize].is_young(now)
    }

    /// The address at `place`, which stands, was seen again.
    #[inline]
    pub(crate) fn refresh(&mut self, place: MacPlace, now: Tick) {
        self.places[place.at as usize].used = now;
    }

    /// Forgets everything.
    pub fn flush(&mut self) {
        for place in &mut self.places {
            *place = Place {
                version: place.version + 1,
                ..Place::EMPTY
            };
        }
    }

    /// Forgets what was seen behind `port`, which is gone.
    pub fn forget_port(&mut self, port: PortIndex) {
        let there = |place: &&mut Place| place.port == port && place.key != Key::NONE;
        for place in self.places.iter_mut().filter(there) {
            *place = Place {
                version: place.version + 1,
                ..Place::EMPTY
            };
        }
    }

    /// All addresses that have not aged out.
    pub fn entries(&self, now: Tick) -> impl Iterator<Item = MacEntry> {
        let known = self.places.iter().filter(|place| place.key != Key::NONE);
        let entries = known.map(move |place| MacEntry {
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
}

/// Where in its set a key lies, or is to lie.
fn place_for(set: &[Place], key: Key, now: Tick) -> usize {
    let known = set.iter().position(|place| place.key == key);
    known.unwrap_or_else(|| {
        let idle = |place: &Place| match place.key {
            Key::NONE => Duration::MAX,
            _ => now.since(place.used),
        };
        (0..WAYS)
            .max_by_key(|&at| idle(&set[at]))
            .expect("a set has places")
    })
}

impl Place {
    const EMPTY: Self = Self {
        key: Key::NONE,
        port: PortIndex(0),
        used: Tick::ZERO,
        version: 0,
    };

    fn is_young(&self, now: Tick) -> bool {
        now.since(self.used) <= MAC_AGEING
    }
}

impl Key {
    const NONE: Self = Self(0);

    const fn new(mac: u64, vlan: u16) -> Self {
        Self(1 << 63 | mac << 12 | vlan as u64)
    }

    fn mac(self) -> [u8; 6] {
        let bytes = (self.0 >> 12).to_be_bytes();
        std::array::from_fn(|at| bytes[at + 2])
    }

    const fn vlan(self) -> u16 {
        (self.0 & 0xfff) as u16
    }
}
