//! What lcores remember, so that a packet need not walk the tables.

mod megaflow;
mod paths;
mod record;
mod trajectory;

pub(crate) use megaflow::Megaflows;
pub use megaflow::{CacheStats, MegaflowSettings};
pub(crate) use paths::{PathId, Step};
pub(crate) use record::Record;
pub(crate) use trajectory::{Changes, EntryId, Hashed, Key, REFS, Trace, Trajectories};
pub use trajectory::{Interest, TrajectorySettings};
