//! Groups and what they counted.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use weir_packet::Tick;
use weir_tables::flow_tables::GroupCount;
use weir_tables::group::{Group, GroupSpec};

use super::Milliseconds;
use crate::text::group_text;

/// The line before a dump of groups.
pub const GROUPS_HEADER: &str = "OFPST_GROUP_DESC reply (OF1.3) (xid=0x2):";

/// The line before a dump of what groups counted.
pub const GROUP_STATS_HEADER: &str = "OFPST_GROUP reply (OF1.3) (xid=0x2):";

/// One group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRow {
    /// Its number.
    pub group_id: u32,
    /// The whole of it in canonical form.
    pub group: String,
}

impl GroupRow {
    /// The row of a group.
    pub fn of(spec: &GroupSpec) -> Self {
        Self {
            group_id: spec.id,
            group: group_text(spec).to_string(),
        }
    }
}

/// What one group counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupStatsRow {
    /// Its number.
    pub group_id: u32,
    /// Milliseconds since it was added.
    pub duration_ms: u64,
    /// Flows that send to it.
    pub ref_count: u64,
    /// Packets that ran a bucket of it.
    pub packet_count: u64,
    /// Their bytes.
    pub byte_count: u64,
    /// Its buckets, in order.
    pub buckets: Vec<BucketStatsRow>,
}

/// What one bucket counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketStatsRow {
    /// Its number.
    pub bucket_id: u32,
    /// Packets.
    pub packet_count: u64,
    /// Their bytes.
    pub byte_count: u64,
}

impl GroupStatsRow {
    /// `group` at `now`, with what it counted until then.
    pub fn of(group: &Group, count: &GroupCount, now: Tick) -> Self {
        let duration = now.since(group.created);
        let buckets = group.spec.buckets.iter().zip(&count.buckets);
        Self {
            group_id: group.spec.id,
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            ref_count: count.senders as u64,
            packet_count: count.all.packets,
            byte_count: count.all.bytes,
            buckets: buckets
                .map(|(bucket, count)| BucketStatsRow {
                    bucket_id: bucket.id.unwrap_or_default(),
                    packet_count: count.packets,
                    byte_count: count.bytes,
                })
                .collect(),
        }
    }

    /// The line of `ovs-ofctl dump-group-stats`, without its leading space. There, too, buckets
    /// are numbered by their place.
    pub fn line(&self) -> String {
        let Self {
            group_id,
            duration_ms,
            ref_count,
            packet_count,
            byte_count,
            buckets,
        } = self;
        let mut line = format!(
            "group_id={group_id},duration={},ref_count={ref_count},packet_count={packet_count},\
             byte_count={byte_count}",
            Milliseconds(*duration_ms)
        );
        for (at, bucket) in buckets.iter().enumerate() {
            let (packets, bytes) = (bucket.packet_count, bucket.byte_count);
            // Writing to a String cannot fail.
            let _ = write!(
                line,
                ",bucket{at}:packet_count={packets},byte_count={bytes}"
            );
        }
        line
    }
}
