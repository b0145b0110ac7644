//! What lcores remember, so that a packet need not walk the tables.

mod megaflow;
mod paths;
mod record;

pub(crate) use megaflow::Megaflows;
pub use megaflow::{CacheStats, MegaflowSettings};
pub(crate) use paths::{PathId, Step};
pub(crate) use record::Record;
