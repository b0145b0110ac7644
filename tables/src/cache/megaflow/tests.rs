use std::sync::Arc;

use super::*;
use crate::field::Field;
use crate::flow_tables::FlowTables;

const PORT: PortIndex = PortIndex(3);
const OTHER: PortIndex = PortIndex(5);

/// A cache and what it is asked under.
struct Bench {
    cache: Megaflows,
    snapshot: Snapshot,
}

impl Bench {
    fn new(settings: MegaflowSettings) -> Self {
        let secret = HashSecret(7);
        Self {
            cache: Megaflows::new(settings, secret),
            snapshot: FlowTables::new(1, secret).snapshot(&Arc::default()),
        }
    }

    /// Remembers a pass of a packet whose metadata decided in the bits of `mask`.
    fn install(&mut self, port: PortIndex, value: u64, mask: u64) {
        let mut record = Record::new(TableId(0), 0);
        record.consulted.set_field(Field::METADATA, mask.into());
        let generation = self.snapshot.generation;
        self.cache.install(port, &key(value), &record, generation);
    }

    /// Whether it is known, and how many masks it took to tell.
    fn lookup(&mut self, port: PortIndex, value: u64) -> (bool, u64) {
        let before = self.cache.mask_stats().visited;
        let (key, none) = (key(value), PassHash::NONE);
        let found = self
            .cache
            .lookup(port, TableId(0), &key, none, &self.snapshot);
        (found.is_some(), self.cache.mask_stats().visited - before)
    }
}

fn key(metadata: u64) -> FlowKey {
    let mut key = FlowKey::ZERO;
    key.set_field(Field::METADATA, metadata.into());
    key
}

/// A mask for each number.
const fn mask(number: u64) -> u64 {
    number << 1 | 1 << 40
}

#[test]
fn no_search_is_longer_than_a_port_may_have_masks() {
    let settings = MegaflowSettings::default();
    let most = settings.masks_per_port as u64;
    let mut bench = Bench::new(settings);
    bench.install(OTHER, 1, 1);
    for number in 0..10_000 {
        let (_, visited) = bench.lookup(PORT, u64::MAX);
        assert!(visited <= most);
        bench.install(PORT, u64::MAX, mask(number));
    }
    let MaskStats {
        masks,
        refused,
        replaced,
        ..
    } = bench.cache.mask_stats();
    assert_eq!(masks, most + 1);
    assert_eq!(refused + replaced, 10_000 - most, "each was told");
    assert_eq!(
        bench.lookup(OTHER, 1),
        (true, 1),
        "another port has but its own"
    );
}

#[test]
fn a_flood_at_one_port_leaves_the_entries_of_others() {
    let mut bench = Bench::new(MegaflowSettings {
        entries: 1_024,
        masks_per_port: 64,
    });
    for value in 0..256 {
        bench.install(OTHER, value, u64::MAX);
    }
    for value in 0..100_000 {
        bench.install(PORT, value, u64::MAX);
    }
    let left = (0..256)
        .filter(|&value| bench.lookup(OTHER, value).0)
        .count();
    // All but those of which three or four came to lie in one set of four.
    assert!(left > 220, "{left}");
}

#[test]
fn ports_that_compete_for_a_set_share_it() {
    let mut set = [const { Entry::EMPTY }; WAYS];
    let mut take = |port: PortIndex, clock: u32| {
        let at = place(&set, port, clock);
        set[at] = Entry {
            subtable: 1,
            port,
            used: clock,
            ..Entry::EMPTY
        };
        set.each_ref().map(|entry| entry.port.0)
    };
    let count =
        |ports: [u16; WAYS], of: PortIndex| ports.iter().filter(|&&port| port == of.0).count();
    for clock in 1..=4 {
        take(OTHER, clock);
    }
    let mut ports = [0; WAYS];
    for clock in 5..100 {
        ports = take(PORT, clock);
    }
    assert_eq!((count(ports, PORT), count(ports, OTHER)), (2, 2));
    // What nobody used for long is nobody's.
    for clock in IDLE + 100..IDLE + 102 {
        ports = take(PORT, clock);
    }
    assert_eq!(count(ports, PORT), 4, "{ports:?}");
}
