//! What lcores remember, so that a packet need not walk the tables.

mod megaflow;
mod paths;
mod prefix;
mod record;
mod trajectory;

pub use megaflow::{MaskStats, MegaflowSettings};
pub(crate) use megaflow::{Megaflows, PassHash, decisive};
pub(crate) use paths::{PathId, Step};
pub(crate) use record::{Lookup, Record, Records};
pub(crate) use trajectory::{
    Admitted, Changes, EntryId, Hashed, Key, REFS, Refusal, Trace, Trajectories,
};
pub use trajectory::{Interest, TrajectorySettings};

/// What a cache counts: passes through the tables (megaflows) or packets (trajectories).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Answered.
    pub hits: u64,
    /// Not answered.
    pub misses: u64,
    /// Entries that a change of policy may concern, and that were not used.
    pub stale: u64,
    /// Not remembered though it could have been: no place, no room for what it comes to, or
    /// (megaflows) too many masks or words.
    pub refused: u64,
}

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
