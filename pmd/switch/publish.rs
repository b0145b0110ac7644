//! Publish, refresh, retire: how a snapshot reaches an lcore and comes back.
//!
//! Invariants
//!   1. A snapshot is freed by the management thread only: the lcore hands back what it no
//!      longer obeys.
//!   2. `obeyed` is at most the generation of the snapshot the lcore looks at.
//!
//! Cost for the lcore: one load per pass; the exchange itself only when there is a change.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, bounded};
use weir_tables::snapshot::Snapshot;

#[cfg(test)]
mod tests;

/// Snapshots that may wait to be freed. The queue is emptied before each publication, and
/// the lcore takes at most one snapshot per publication, so it never holds more than two.
const RETIRED: usize = 4;

struct Shared {
    newest: ArcSwap<Snapshot>,
    /// The generation of `newest`.
    published: AtomicU64,
    /// The generation that the lcore obeys.
    obeyed: AtomicU64,
}

/// The management thread's end.
pub(super) struct Publisher {
    shared: Arc<Shared>,
    retired: Receiver<Arc<Snapshot>>,
}

/// The lcore's end.
pub(super) struct SnapshotReader {
    shared: Arc<Shared>,
    retired: Sender<Arc<Snapshot>>,
    obeyed: u64,
}

/// Both ends; the lcore obeys `first`.
pub(super) fn pair(first: &Arc<Snapshot>) -> (Publisher, SnapshotReader) {
    let obeyed = first.generation;
    let shared = Arc::new(Shared {
        newest: ArcSwap::new(Arc::clone(first)),
        published: AtomicU64::new(obeyed),
        obeyed: AtomicU64::new(obeyed),
    });
    let (sender, retired) = bounded(RETIRED);
    let publisher = Publisher {
        shared: Arc::clone(&shared),
        retired,
    };
    (
        publisher,
        SnapshotReader {
            shared,
            retired: sender,
            obeyed,
        },
    )
}

impl Publisher {
    /// Makes `snapshot` the newest.
    pub(super) fn publish(&self, snapshot: Arc<Snapshot>) {
        self.free_retired();
        let generation = snapshot.generation;
        self.shared.newest.store(snapshot);
        self.shared.published.store(generation, Ordering::Release);
    }

    /// The generation that the lcore obeys. Also frees what it has handed back.
    pub(super) fn oldest_generation(&self) -> u64 {
        self.free_retired();
        self.shared.obeyed.load(Ordering::Acquire)
    }

    fn free_retired(&self) {
        self.retired.try_iter().for_each(drop);
    }
}

impl SnapshotReader {
    /// The newest snapshot, if it is another than the one obeyed.
    #[inline]
    pub(super) fn newer(&self) -> Option<Arc<Snapshot>> {
        // What is obeyed may be newer: `newest` is stored before its generation is.
        if self.shared.published.load(Ordering::Acquire) <= self.obeyed {
            return None;
        }
        Some(self.shared.newest.load_full())
    }

    /// Tells that `generation` is obeyed now, and hands back the snapshot that was before.
    pub(super) fn retire(&mut self, old: Arc<Snapshot>, generation: u64) {
        self.obeyed = generation;
        let sent = self.retired.try_send(old);
        debug_assert!(sent.is_ok(), "the queue is emptied before each publication");
        self.shared.obeyed.store(generation, Ordering::Release);
    }
}
