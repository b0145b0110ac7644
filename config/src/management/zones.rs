//! What zones counted, on all lcores.

use std::collections::BTreeMap;

use weir_tables::datapath::Datapath;
use weir_tables::lcore::{LcoreAnswer, LcoreRequest};

use super::{Management, gone};
use crate::control::Failure;
use crate::show::ZoneRow;

/// How many zones an lcore looks at between two bursts: most of them have nothing to tell.
const ZONES_PER_SLICE: usize = 1024;

impl<D: Datapath> Management<D> {
    /// Each zone that counted anything or has connections, and what zones without counts of their
    /// own have in common.
    pub(super) fn zone_counts(&mut self) -> Result<Vec<ZoneRow>, Failure> {
        let mut rows: BTreeMap<Option<u16>, (u64, BTreeMap<&'static str, u64>)> = BTreeMap::new();
        for lcore in 0..self.datapath.counters().len() {
            let mut cursor = Some(0);
            while let Some(at) = cursor {
                let request = LcoreRequest::ZoneCounts {
                    cursor: at,
                    budget: ZONES_PER_SLICE,
                };
                let zones;
                (zones, cursor) = match self.datapath.ask(lcore, request).map_err(gone)? {
                    LcoreAnswer::Zones { zones, next } => (zones, next),
                    other => unreachable!("an lcore answers what it was asked, not {other:?}"),
                };
                for zone in zones {
                    let (connections, counts) = rows.entry(zone.zone).or_default();
                    *connections += u64::from(zone.connections);
                    for (name, count) in zone.counts {
                        *counts.entry(name).or_default() += count;
                    }
                }
            }
        }
        let row = |(zone, (connections, counts)): (_, (_, BTreeMap<&str, u64>))| ZoneRow {
            zone,
            connections,
            counts: counts
                .into_iter()
                .map(|(name, count)| (name.to_owned(), count))
                .collect(),
        };
        Ok(rows.into_iter().map(row).collect())
    }
}
