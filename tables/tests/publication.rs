//! Every interleaving of publish, refresh and retire, found by `loom`: for all orders of steps that two
//! threads can take, and for all values that the memory model lets them see. The larger models, which
//! would take hours so, are gone through for all orders in which a thread is interrupted at most
//! [`INTERRUPTIONS`] times in the middle of what it does.
//!
//! What is checked is the text of the module that runs, on `loom`'s atomics and locks.

use loom::cell::UnsafeCell;
use loom::thread::{self, ThreadId};

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
    pub(crate) use loom::sync::{Arc, Mutex};
}

#[expect(
    unreachable_pub,
    reason = "the library's module; not all of it is used here"
)]
#[path = "../src/publication/exchange.rs"]
mod exchange;

use sync::Arc;

/// How often a thread is interrupted in the larger models.
const INTERRUPTIONS: usize = 3;

/// A version of which `loom` sees when it is read and when it is freed.
struct Version {
    generation: u64,
    content: UnsafeCell<()>,
    publisher: ThreadId,
}

impl Version {
    fn new(generation: u64) -> Arc<Self> {
        Arc::new(Self {
            generation,
            content: UnsafeCell::new(()),
            publisher: thread::current().id(),
        })
    }

    /// Fails if it may be freed at the same time.
    fn read(&self) -> u64 {
        self.content.with(|_| self.generation)
    }
}

impl Drop for Version {
    fn drop(&mut self) {
        self.content.with_mut(|_| ());
        let here = thread::current().id();
        assert_eq!(here, self.publisher, "an lcore frees nothing");
    }
}

/// An lcore that looks `passes` times for something new, and between that at what it obeys.
fn lcore(mut reader: exchange::Reader<Version>, first: Arc<Version>, passes: u64) -> Arc<Version> {
    let mut obeyed = first;
    for pass in 0..passes {
        if let Some((generation, newer)) = reader.newer() {
            assert!(generation > obeyed.read(), "generations only grow");
            assert_eq!(newer.read(), generation);
            let before = std::mem::replace(&mut obeyed, newer);
            reader.retire(before, generation, pass);
        }
        obeyed.read();
    }
    obeyed
}

fn explore(versions: u64, passes: u64, interruptions: Option<usize>) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = interruptions;
    model.check(move || {
        let first = Version::new(1);
        let (mut publisher, reader) = exchange::pair(&first, 1, 0);
        let running = thread::spawn(move || lcore(reader, first, passes));
        for generation in 2..=versions {
            publisher.publish(Version::new(generation), generation);
            assert!(publisher.waiting() <= 2);
            assert!(publisher.retire().generation <= generation);
        }
        let obeyed = running.join().expect("the lcore does not panic");
        let last = publisher.retire();
        assert_eq!(
            last.generation,
            obeyed.read(),
            "what is told is what is obeyed"
        );
        assert_eq!(publisher.waiting(), usize::from(obeyed.read() != versions));
    });
}

#[test]
fn one_version_among_three_passes() {
    explore(2, 3, None);
}

#[test]
fn two_versions_among_two_passes() {
    explore(3, 2, None);
}

#[test]
fn three_versions_among_three_passes() {
    explore(4, 3, Some(INTERRUPTIONS));
}

/// Two lcores share each version; the last of both publishers frees it.
#[test]
fn two_lcores_obey_the_same_version() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(INTERRUPTIONS);
    model.check(|| {
        let first = Version::new(1);
        let (mut one, reader) = exchange::pair(&first, 1, 0);
        let (mut other, other_reader) = exchange::pair(&first, 1, 0);
        let its = Arc::clone(&first);
        let running = [
            thread::spawn(move || lcore(reader, its, 1)),
            thread::spawn(move || lcore(other_reader, first, 1)),
        ];
        let version = Version::new(2);
        one.publish(Arc::clone(&version), 2);
        other.publish(version, 2);
        let obeyed = running.map(|lcore| lcore.join().expect("an lcore does not panic"));
        for (publisher, obeyed) in [&mut one, &mut other].into_iter().zip(&obeyed) {
            assert_eq!(publisher.retire().generation, obeyed.read());
        }
    });
}
