//! How a new version of the policy reaches the lcores, how the old ones are freed, and how long that
//! takes.
//!
//! Three verbs: *publish* (management thread) makes a version the newest, *refresh* (lcore, once per
//! pass) takes it up, *retire* lets go of the one before. A version that no lcore looks at any more is
//! freed by the management thread.

mod exchange;
mod grace;
mod sync {
    pub(super) use std::sync::atomic::{AtomicU64, Ordering};
    pub(super) use std::sync::{Arc, Mutex};
}
#[cfg(test)]
mod tests;

pub use exchange::{Obeyed, Publisher, Reader, pair};
pub use grace::{GRACE_BOUNDS, Grace, GraceTimes, Publications};
