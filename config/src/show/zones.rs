//! Zones: their limits, and what they counted.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::{Deserialize, Serialize};

/// How many connections a zone may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitRow {
    /// The zone; `None`: every zone without a limit of its own.
    pub zone: Option<u16>,
    /// The limit; `None`: there is none.
    pub limit: Option<u32>,
    /// How many the zone has; `None` for the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// What one zone counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneRow {
    /// The zone; `None`: all zones that have no counts of their own, because there are too many.
    pub zone: Option<u16>,
    /// Connections now.
    pub connections: u64,
    /// What happened and how often, by the names of the tracker's counters; zeros are left out.
    pub counts: BTreeMap<String, u64>,
}

impl std::fmt::Display for ZoneRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.zone {
            Some(zone) => write!(f, "zone={zone},connections={}", self.connections)?,
            None => f.write_str("further zones")?,
        }
        let mut counts = self.counts.iter();
        counts.try_for_each(|(name, count)| write!(f, ",{name}={count}"))
    }
}

/// Prints limits as `ovs-appctl dpctl/ct-get-limits` does: no limit is printed as 0.
///
/// # Errors
/// Those of `out`.
pub fn write_limits(out: &mut dyn Write, rows: &[LimitRow]) -> io::Result<()> {
    for LimitRow { zone, limit, count } in rows {
        let limit = limit.unwrap_or(0);
        match zone {
            None => writeln!(out, "default limit={limit}")?,
            Some(zone) => {
                let count = count.unwrap_or(0);
                writeln!(out, "zone={zone},limit={limit},count={count}")?;
            }
        }
    }
    Ok(())
}
