//! How one lcore gets at what is published: a slot for the newest version, and two numbers.
//!
//! Invariants
//!   1. The publisher holds every version that the lcore may look at, so what the lcore lets go of is
//!      never the last: it frees nothing.
//!   2. `obeyed` is stored behind that, so what is older than it nobody but the publisher holds.
//!   3. The lcore never waits: if the publisher is at the slot, it looks again in its next pass.
//!
//! Threads: one publisher, one reader. `tests/publication.rs` goes through every interleaving of this
//! very file with `loom`, which is why it takes what it stands on from `super::sync`.
//! Cost for the lcore: one load per pass; the exchange itself only when there is something new.

use std::collections::VecDeque;

use super::sync::{Arc, AtomicU64, Mutex, Ordering};

/// What both ends see. On cache lines of its own: what is published to one lcore, and what that one says
/// of it, is not in the way of another.
#[repr(align(128))]
struct Shared<T> {
    /// The newest version and its generation; `None`: the lcore has taken it.
    newest: Mutex<Option<(u64, Arc<T>)>>,
    /// The generation of the newest version.
    published: AtomicU64,
    /// The generation that the lcore obeys.
    obeyed: AtomicU64,
    /// When it began to.
    obeyed_at: AtomicU64,
}

const _: () = assert!(align_of::<Shared<()>>() >= 128);

/// The management thread's end.
pub struct Publisher<T> {
    shared: Arc<Shared<T>>,
    /// What the lcore may look at, oldest first: the version that it obeys, one that it may have
    /// taken since, and the newest.
    held: VecDeque<(u64, Arc<T>)>,
}

/// The lcore's end.
pub struct Reader<T> {
    shared: Arc<Shared<T>>,
    obeyed: u64,
}

/// Which version an lcore obeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Obeyed {
    /// Its generation.
    pub generation: u64,
    /// When the lcore began to obey it, or one that was published since; in whatever unit the lcore
    /// told it.
    pub at: u64,
}

/// Both ends; the lcore obeys `first` since `now`.
pub fn pair<T>(first: &Arc<T>, generation: u64, now: u64) -> (Publisher<T>, Reader<T>) {
    let shared = Arc::new(Shared {
        newest: Mutex::new(None),
        published: AtomicU64::new(generation),
        obeyed: AtomicU64::new(generation),
        obeyed_at: AtomicU64::new(now),
    });
    let publisher = Publisher {
        shared: Arc::clone(&shared),
        held: VecDeque::from([(generation, Arc::clone(first))]),
    };
    let obeyed = generation;
    (publisher, Reader { shared, obeyed })
}

impl<T> Publisher<T> {
    /// Makes `version` the newest. `generation` is above that of all before it.
    ///
    /// # Panics
    /// If the lcore panicked while it was at the slot, which ends the process.
    pub fn publish(&mut self, version: Arc<T>, generation: u64) {
        let place = Some((generation, Arc::clone(&version)));
        let before = self.shared.newest.lock();
        let before = std::mem::replace(&mut *before.expect("the lcore does not panic"), place);
        self.shared.published.store(generation, Ordering::Release);
        if let Some((unseen, _)) = before {
            // The lcore never took it.
            self.held.retain(|(held, _)| *held != unseen);
        }
        self.held.push_back((generation, version));
        // Behind the exchange: if the lcore has taken what was at the slot, it has also told that it
        // obeys what it took before.
        self.retire();
    }

    /// What the lcore obeys. Also frees what it no longer looks at.
    pub fn retire(&mut self) -> Obeyed {
        let generation = self.shared.obeyed.load(Ordering::Acquire);
        let at = self.shared.obeyed_at.load(Ordering::Relaxed);
        while self
            .held
            .front()
            .is_some_and(|(held, _)| *held < generation)
        {
            self.held.pop_front();
        }
        Obeyed { generation, at }
    }

    /// How many versions but the newest wait for the lcore to let go of them: at most two.
    pub fn waiting(&self) -> usize {
        self.held.len() - 1
    }
}

impl<T> Reader<T> {
    /// The newest version and its generation, if it is another than the one obeyed. It is to be
    /// obeyed, and the one before to be handed to [`Reader::retire`], before this is asked again.
    #[inline]
    pub fn newer(&self) -> Option<(u64, Arc<T>)> {
        // What is obeyed may be newer: the slot is filled before the generation is stored.
        if self.shared.published.load(Ordering::Acquire) <= self.obeyed {
            return None;
        }
        self.take()
    }

    #[cold]
    fn take(&self) -> Option<(u64, Arc<T>)> {
        self.shared.newest.try_lock().ok()?.take()
    }

    /// Lets go of the version that was obeyed until `now`; `generation` is obeyed from now on.
    pub fn retire(&mut self, before: Arc<T>, generation: u64, now: u64) {
        drop(before);
        self.obeyed = generation;
        self.shared.obeyed_at.store(now, Ordering::Relaxed);
        self.shared.obeyed.store(generation, Ordering::Release);
    }
}
