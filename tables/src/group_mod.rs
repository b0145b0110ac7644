//! Changes to the groups, as text or a controller asks for them.

use crate::flow_mod::FlowMod;
use crate::group::{Bucket, GroupSpec};

/// One change to the groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupMod {
    /// Adds a group; refused if there is one with its number.
    Add(GroupSpec),
    /// Replaces a group, and with it its counters; refused if there is none.
    Modify(GroupSpec),
    /// The one or the other.
    AddOrModify(GroupSpec),
    /// Deletes a group (`None`: all of them) and the flows that send to it. One that is not
    /// there is no error.
    Delete(Option<u32>),
    /// Puts buckets into a group, the counters of which begin anew.
    InsertBuckets {
        /// The group.
        group: u32,
        /// Where.
        place: Place,
        /// What.
        buckets: Vec<Bucket>,
    },
    /// Takes buckets out of a group, the counters of which begin anew.
    RemoveBuckets {
        /// The group.
        group: u32,
        /// Which: `None` stands for all.
        place: Option<Place>,
    },
}

/// A place among the buckets of a group: `command_bucket_id=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At the beginning; the first.
    First,
    /// At the end; the last.
    Last,
    /// Behind this bucket; this bucket.
    Bucket(u32),
}

/// One step of a bundle, which is executed as a whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BundleStep {
    /// A change to the flow tables.
    Flow(Box<FlowMod>),
    /// A change to the groups.
    Group(GroupMod),
}
