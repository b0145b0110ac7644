//! What the ranges of translations came to: how far searches went, what was refused, and how many
//! connections have a place in each.
//!
//! A range has a row for each zone in which its first choice once was taken, or nothing was left;
//! when all [`ROWS`] are given, further ones have none but share the first.
//!
//! Cost: nothing where the first choice is free. How many connections a range has is counted when
//! somebody asks.

use weir_nat::{End, NatKind, NatRange, NatSpec};
use weir_packet::Tick;

use super::Tracker;
use crate::record::Direction;
use crate::request::CtDrop;

/// Ranges and zones that are told apart.
const ROWS: usize = 256;

/// What a translation chooses from: which end, and addresses and ports; no range: the address
/// stays.
pub type RangeKey = (NatKind, Option<NatRange>);

/// What the searches in one range came to, in one zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeCounts {
    /// The range and the zone; `None`: all for which there are no rows.
    pub of: Option<(RangeKey, u16)>,
    /// Connections that did not get the first choice.
    pub searched: u64,
    /// The most candidates that were looked at for one connection.
    pub longest_probe: u32,
    /// Commits that dropped their packet: every address and port was taken.
    pub exhausted: u64,
    /// Commits that dropped their packet: the range has addresses of the other IP version.
    pub other_version: u64,
}

impl RangeCounts {
    /// Nothing yet.
    pub const fn new(of: Option<(RangeKey, u16)>) -> Self {
        Self {
            of,
            searched: 0,
            longest_probe: 0,
            exhausted: 0,
            other_version: 0,
        }
    }

    /// Adds what another lcore counted.
    pub fn add(&mut self, other: &Self) {
        self.searched += other.searched;
        self.longest_probe = self.longest_probe.max(other.longest_probe);
        self.exhausted += other.exhausted;
        self.other_version += other.other_version;
    }

    const fn is_empty(&self) -> bool {
        self.searched == 0 && self.exhausted == 0 && self.other_version == 0
    }
}

/// The rows.
#[derive(Debug)]
pub(super) struct Ranges {
    rows: Vec<RangeCounts>,
    /// The row that was used last.
    last: usize,
}

impl Default for Ranges {
    fn default() -> Self {
        let mut rows = Vec::with_capacity(ROWS);
        rows.push(RangeCounts::new(None));
        Self { rows, last: 0 }
    }
}

impl Ranges {
    /// Notes what a search in the range of `spec` came to, after so many candidates.
    pub(super) fn note(&mut self, spec: &NatSpec, zone: u16, probes: u32, drop: Option<CtDrop>) {
        let NatSpec::Allocate { kind, range, .. } = spec else {
            return;
        };
        let row = self.row(((*kind, *range), zone));
        row.longest_probe = row.longest_probe.max(probes);
        match drop {
            None => row.searched += 1,
            Some(CtDrop::NatExhausted) => row.exhausted += 1,
            Some(CtDrop::NatVersion) => row.other_version += 1,
            Some(_) => {}
        }
    }

    fn row(&mut self, of: (RangeKey, u16)) -> &mut RangeCounts {
        let of = Some(of);
        if self.rows[self.last].of != of {
            let at = self.rows.iter().position(|row| row.of == of);
            self.last = at.unwrap_or_else(|| {
                if self.rows.len() == ROWS {
                    return 0;
                }
                self.rows.push(RangeCounts::new(of));
                self.rows.len() - 1
            });
        }
        &mut self.rows[self.last]
    }
}

impl Tracker {
    /// What the searches in each range came to, since start.
    pub fn range_counts(&self) -> impl Iterator<Item = &RangeCounts> {
        self.ranges.rows.iter().filter(|row| !row.is_empty())
    }

    /// Counts the connections that have an address and port of each of `ranges`: of `budget`
    /// slots from `cursor` on (0 to begin with) into `counts`. Returns where to go on, or `None` at
    /// the end. A connection whose address stayed is counted for what has no range.
    ///
    /// Cost: a step for each slot and range.
    ///
    /// # Panics
    /// If `counts` is shorter than `ranges`.
    pub fn count_in_ranges(
        &self,
        cursor: u32,
        budget: usize,
        ranges: &[RangeKey],
        now: Tick,
        counts: &mut [u64],
    ) -> Option<u32> {
        let touched = self.table.touched();
        let budget = u32::try_from(budget.max(1)).unwrap_or(u32::MAX);
        let end = cursor.saturating_add(budget).min(touched);
        for slot in cursor..end {
            let hot = self.table.hot(slot);
            let Some(kind) = hot.nat.filter(|_| hot.is_live() && !hot.is_expired(now)) else {
                continue;
            };
            let cold = self.table.cold(slot);
            let reply = cold.key(Direction::Reply);
            let (wire, plain) = (reply.tuple(), cold.key(Direction::Original).tuple());
            let (end, address, stayed) = match kind {
                NatKind::Src => (End::Dst, wire.dst(), plain.src()),
                NatKind::Dst => (End::Src, wire.src(), plain.dst()),
            };
            for (at, (of_kind, range)) in ranges.iter().enumerate() {
                let is_in = |range: &NatRange| {
                    let port = reply.number(end);
                    range.contains(address) && port.is_none_or(|port| range.contains_port(port))
                };
                let counts_here =
                    *of_kind == kind && range.as_ref().map_or(address == stayed, is_in);
                counts[at] += u64::from(counts_here);
            }
        }
        (end < touched).then_some(end)
    }
}

#[cfg(test)]
mod tests;
