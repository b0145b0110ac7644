//! What lcores remember, so that a packet need not walk the tables.

mod megaflow;
mod paths;
mod prefix;
mod record;
mod trajectory;

pub(crate) use megaflow::Megaflows;
pub use megaflow::{CacheStats, MegaflowSettings};
pub(crate) use paths::{PathId, Step};
pub(crate) use record::Record;
pub(crate) use trajectory::{Admitted, Changes, EntryId, Hashed, Key, REFS, Trace, Trajectories};
pub use trajectory::{Interest, TrajectorySettings};

/// Which caches there are, and how large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    /// The trajectory cache; `None`: there is none.
    pub trajectories: Option<TrajectorySettings>,
    /// The megaflow cache; `None`: there is none.
    pub megaflows: Option<MegaflowSettings>,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            trajectories: Some(TrajectorySettings::default()),
            megaflows: Some(MegaflowSettings::default()),
        }
    }
}

impl CacheSettings {
    /// No cache: every packet walks the tables.
    pub const NONE: Self = Self {
        trajectories: None,
        megaflows: None,
    };
}
