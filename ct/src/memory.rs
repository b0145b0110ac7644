//! How much memory the parts of a tracker have, in bytes.
//!
//! It is taken once, when the tracker is made; the system gives each page when it is first written.

/// The parts of a tracker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Records: state, keys, labels, and the list of those that are free.
    pub connections: usize,
    /// From keys to records.
    pub index: usize,
    /// Which ports and identifiers of NAT ranges are leased.
    pub leases: usize,
    /// What waits for its time-out.
    pub timers: usize,
    /// Helpers, what they expect, and what they know of control connections.
    pub helpers: usize,
    /// What zones count and go by.
    pub zones: usize,
}
