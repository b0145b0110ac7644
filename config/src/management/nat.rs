//! What there is of each range that translations choose from: `nat-show`, and what Prometheus is
//! told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_ct::{RangeCounts, RangeKey};
use weir_nat::NatSpec;
use weir_tables::action::Action;
use weir_tables::datapath::Datapath;
use weir_tables::flow_mod::{Command, FlowMod};
use weir_tables::flow_tables::FlowTables;
use weir_tables::lcore::{LcoreAnswer, LcoreRequest};

use super::{Management, SLICE, gone};
use crate::control::{Failure, Frame};
use crate::show::{NatRow, NatZoneRow, range_text};

mod exhausted;

pub(super) use exhausted::Exhausted;

/// Ranges that have series of their own; what others count is one sum.
const NAMED: usize = 256;

/// The ranges that have series of their own. One that has them keeps them while it is there, so
/// that what it counts never goes back.
#[derive(Debug, Default)]
pub(super) struct Named(BTreeSet<String>);

impl Named {
    /// Rows of the named ranges, and one of all others, if there are any.
    fn bounded(&mut self, rows: Vec<NatRow>) -> Vec<NatRow> {
        let names = || rows.iter().filter_map(|row| row.nat.as_ref());
        let there: BTreeSet<&String> = names().collect();
        self.0.retain(|name| there.contains(name));
        for name in names() {
            if self.0.len() == NAMED {
                break;
            }
            self.0.insert(name.clone());
        }
        let is_named = |row: &NatRow| row.nat.as_ref().is_some_and(|name| self.0.contains(name));
        let (mut named, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(is_named);
        named.extend(others.into_iter().reduce(NatRow::and));
        named
    }
}

impl<D: Datapath> Management<D> {
    /// The ranges of the policy's flows and groups, and those that counted anything before.
    pub(super) fn nat(&mut self) -> Result<Frame, Failure> {
        self.range_rows().map(Frame::Nat)
    }

    /// The same, but no more than [`NAMED`] of them by name.
    pub(super) fn nat_sample(&mut self) -> Result<Vec<NatRow>, Failure> {
        let rows = self.range_rows()?;
        Ok(self.named.bounded(rows))
    }

    fn range_rows(&mut self) -> Result<Vec<NatRow>, Failure> {
        let mut counted: BTreeMap<String, (RangeKey, Vec<RangeCounts>)> = BTreeMap::new();
        for range in ranges(&self.policy.tables) {
            counted
                .entry(range_text(&range))
                .or_insert((range, Vec::new()));
        }
        let mut further = RangeCounts::new(None);
        for row in self.range_counts()? {
            match row.of {
                None => further.add(&row),
                Some((range, _)) => {
                    let (_, rows) = counted
                        .entry(range_text(&range))
                        .or_insert((range, Vec::new()));
                    match rows.iter_mut().find(|known| known.of == row.of) {
                        Some(known) => known.add(&row),
                        None => rows.push(row),
                    }
                }
            }
        }
        let keys: Arc<[RangeKey]> = counted.values().map(|(range, _)| *range).collect();
        let connections = self.connections_in(&keys)?;
        let rows = counted.into_iter().zip(connections);
        let mut rows: Vec<_> = rows
            .map(|((text, (range, mut zones)), connections)| {
                zones.sort_by_key(|row| row.of.map(|(_, zone)| zone));
                NatRow {
                    nat: Some(text),
                    addresses: range
                        .1
                        .map(|range| u64::try_from(range.len()).unwrap_or(u64::MAX)),
                    ports: range
                        .1
                        .and_then(|range| range.ports)
                        .map(|(low, high)| high - low + 1),
                    connections,
                    zones: zones.iter().map(NatZoneRow::of).collect(),
                }
            })
            .collect();
        if further != RangeCounts::new(None) {
            rows.push(NatRow {
                nat: None,
                addresses: None,
                ports: None,
                connections: 0,
                zones: vec![NatZoneRow::of(&further)],
            });
        }
        Ok(rows)
    }

    fn range_counts(&mut self) -> Result<Vec<RangeCounts>, Failure> {
        let mut all = Vec::new();
        for lcore in 0..self.datapath.counters().len() {
            let request = LcoreRequest::RangeCounts;
            match self.datapath.ask(lcore, request).map_err(gone)? {
                LcoreAnswer::RangeCounts(rows) => all.extend(rows),
                other => unreachable!("an lcore answers what it was asked, not {other:?}"),
            }
        }
        Ok(all)
    }

    /// How many connections have a place in each of `ranges`, on all lcores.
    fn connections_in(&mut self, ranges: &Arc<[RangeKey]>) -> Result<Vec<u64>, Failure> {
        let mut sums = vec![0; ranges.len()];
        if ranges.is_empty() {
            return Ok(sums);
        }
        for lcore in 0..self.datapath.counters().len() {
            let mut cursor = Some(0);
            while let Some(at) = cursor {
                let request = LcoreRequest::CountInRanges {
                    cursor: at,
                    budget: SLICE,
                    ranges: Arc::clone(ranges),
                };
                let counts;
                (counts, cursor) = match self.datapath.ask(lcore, request).map_err(gone)? {
                    LcoreAnswer::InRanges { counts, next } => (counts, next),
                    other => unreachable!("an lcore answers what it was asked, not {other:?}"),
                };
                for (sum, count) in sums.iter_mut().zip(counts) {
                    *sum += count;
                }
            }
        }
        Ok(sums)
    }
}

/// What all flows and groups translate to.
fn ranges(tables: &FlowTables) -> Vec<RangeKey> {
    let all = FlowMod {
        command: Command::Delete,
        ..FlowMod::default()
    };
    let mut found = Vec::new();
    for rule in tables.select(&all) {
        add_ranges(&rule.instructions.apply, &mut found);
        add_ranges(&rule.instructions.write_actions, &mut found);
    }
    for group in tables.groups() {
        for bucket in &group.spec.buckets {
            add_ranges(&bucket.actions, &mut found);
        }
    }
    found
}

fn add_ranges(actions: &[Action], found: &mut Vec<RangeKey>) {
    for action in actions {
        match action {
            Action::Ct(ct) => {
                if let Some(NatSpec::Allocate { kind, range, .. }) = ct.nat {
                    found.push((kind, range));
                }
            }
            Action::Clone(actions) => add_ranges(actions, found),
            _ => {}
        }
    }
}
