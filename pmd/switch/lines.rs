//! No cache line is written by two lcores on the packet path.
//!
//! Two lcores are made as [`super::Switch::start`] makes them: on threads of their own, with the rings that the
//! management thread makes, by the program's allocator. Each block of memory is noted with whom it is for;
//! then no two of different lcores may have bytes in one line, nor in two beside each other that a
//! processor may fetch together ([`LINE`]). Which blocks an lcore writes does not matter: all that it was
//! given is taken for written.
//!
//! Slots in which packets go to controllers are the management thread's, and may begin in a line in which
//! another lcore's ends; what is published to an lcore lies in lines of its own by its type.
//!
//! What two lcores do write in turn is not of this kind: frames that one hands over to another, and the
//! common part of the pool of packet buffers, to which an lcore turns when its own share has run
//! out or over.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread;

use weir_ct::{Bounds, Owners, Settings, ShardId};
use weir_packet::{Tick, reassembly};
use weir_tables::cache::CacheSettings;
use weir_tables::classifier::HashSecret;
use weir_tables::counters::{LINE, RuleCounters};
use weir_tables::flow_tables::FlowTables;
use weir_tables::fragments::Fragments;
use weir_tables::lcore::{Lcore, Seat};
use weir_tables::port::PortTable;

use super::rings;
use crate::huge_pages::HugePages;
use crate::mbuf::Mbuf;
use crate::worker::WorkerCounters;

/// The program's allocator, which notes what is asked for on behalf of somebody.
pub(crate) struct Recording;

/// On whose behalf; 0: nobody's that counts.
type Owner = usize;

/// What lies in rings between lcores: a line of them is written by one end.
const RINGS: Owner = 9;

thread_local! {
    static OWNER: Cell<Owner> = const { Cell::new(0) };
}

/// Blocks by where they begin: their size, and whose they are.
static BLOCKS: Mutex<BTreeMap<usize, (usize, Owner)>> = Mutex::new(BTreeMap::new());

/// Does something to the notes, which themselves are nobody's.
fn note(change: impl FnOnce(&mut BTreeMap<usize, (usize, Owner)>, Owner)) {
    // A thread that ends has no owner any more.
    let owner = OWNER.try_with(|owner| owner.replace(0)).unwrap_or(0);
    if owner == 0 {
        return;
    }
    change(
        &mut BLOCKS.lock().unwrap_or_else(PoisonError::into_inner),
        owner,
    );
    OWNER.set(owner);
}

// SAFETY: all blocks are those of `HugePages`.
unsafe impl GlobalAlloc for Recording {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let block = unsafe { HugePages.alloc(layout) };
        note(|blocks, owner| {
            blocks.insert(block.addr(), (layout.size(), owner));
        });
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let block = unsafe { HugePages.alloc_zeroed(layout) };
        note(|blocks, owner| {
            blocks.insert(block.addr(), (layout.size(), owner));
        });
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        note(|blocks, _| {
            blocks.remove(&block.addr());
        });
        // SAFETY: the caller's promise.
        unsafe { HugePages.dealloc(block, layout) };
    }
}

/// Makes something on behalf of `owner`.
fn on_behalf_of<T>(owner: Owner, make: impl FnOnce() -> T) -> T {
    OWNER.set(owner);
    let made = make();
    OWNER.set(0);
    made
}

/// Two places of different owners that share a line.
fn shared(mut places: Vec<(Range<usize>, Owner)>) -> Option<[(Range<usize>, Owner); 2]> {
    places.retain(|(place, _)| !place.is_empty());
    places.sort_by_key(|(place, _)| place.start);
    let pair = places
        .array_windows()
        .find(|[(one, owner), (next, other)]| {
            owner != other && (one.end - 1) / LINE >= next.start / LINE
        });
    pair.cloned()
}

#[test]
fn sharing_is_seen() {
    let line = |number: usize| number * LINE;
    assert_eq!(
        shared(vec![(line(0)..line(1), 1), (line(1)..line(2), 2)]),
        None
    );
    assert_eq!(
        shared(vec![(5..9, 1), (9..20, 1), (line(1)..line(1) + 1, 2)]),
        None
    );
    let close = [(line(3)..line(4) + 8, 1), (line(4) + 16..line(4) + 24, 2)];
    assert_eq!(shared(close.to_vec()), Some(close));
}

#[test]
fn lcores_have_no_line_in_common() {
    const LCORES: u16 = 2;
    const SECRET: u64 = 7;
    let ports: Arc<PortTable> = Arc::default();
    let mut tables = FlowTables::new(LCORES.into(), HashSecret(SECRET));
    let flow = weir_tables::flow_mod::FlowMod::default();
    tables.apply(&[flow], Tick::ZERO).expect("a flow");
    let snapshot = Arc::new(tables.snapshot(&ports));
    let owners = Owners::new(LCORES, SECRET);
    let rings = on_behalf_of(RINGS, || rings::rings::<Mbuf>(LCORES));
    // They live side by side: the memory of a thread that has ended may become another's.
    let side_by_side = Arc::new([
        Barrier::new(usize::from(LCORES) + 1),
        Barrier::new(usize::from(LCORES) + 1),
    ]);
    let lcores: Vec<_> = (0..LCORES)
        .zip(rings)
        .map(|(me, ends)| {
            let (owners, snapshot) = (owners.clone(), Arc::clone(&snapshot));
            let side_by_side = Arc::clone(&side_by_side);
            thread::spawn(move || {
                let made = on_behalf_of(Owner::from(me) + 1, || {
                    let settings = Settings {
                        max_connections: 10_000,
                        ..Settings::default()
                    };
                    let lcore = Lcore::one_of(&owners, ShardId(me), snapshot, &settings, SECRET);
                    let lcore = lcore.with_caches(CacheSettings::default());
                    let lcore = lcore.with_port_macs(vec![[0; 6]; 3]);
                    let seat = Seat::<Mbuf>::new(lcore, &owners, ShardId(me), Bounds::default());
                    let fragments = Fragments::<Mbuf>::new(reassembly::Bounds::default(), SECRET);
                    (seat, fragments, ends.at_home(), WorkerCounters::new(3))
                });
                for together in &*side_by_side {
                    together.wait();
                }
                drop(made);
            })
        })
        .collect();
    let [made, looked_at] = &*side_by_side;
    made.wait();
    let places = places_noted(&snapshot.counters);
    looked_at.wait();
    for lcore in lcores {
        lcore.join().expect("an lcore");
    }
    for owner in 1..=Owner::from(LCORES) {
        let own = places.iter().filter(|(_, of)| *of == owner).count();
        assert!(own > 50, "lcore {owner} has {own} blocks");
    }
    assert_eq!(shared(places), None);
}

/// All that was noted, and what the management thread made for each lcore to count in.
fn places_noted(counters: &[RuleCounters]) -> Vec<(Range<usize>, Owner)> {
    let blocks = BLOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    let blocks = blocks
        .iter()
        .map(|(&start, &(size, owner))| (start..start + size, owner));
    let cells = (1..).zip(counters);
    let cells = cells.flat_map(|(owner, cells)| cells.places().map(move |place| (place, owner)));
    blocks.chain(cells).collect()
}
