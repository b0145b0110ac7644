//! Zones: by which settings each goes, how many connections it has, and what it counted.
//!
//! Zones with the same settings share a policy, so that what packets read is small. A zone that
//! had a connection, an invalid packet or a refused commit has a row; when all [`ROWS`] are
//! given, further zones share the first. Only the counts of these suffer, never their limits,
//! which are kept for each zone.
//!
//! Invariants
//!   1. `policy_of` names a policy for every zone; policy 0 is that of zones without settings.
//!   2. `live` is the number of the table's connections by zone.
//!
//! Cost: two reads for a packet's policy. Memory is taken once, in [`Zones::new`].

use std::collections::HashMap;

use crate::counters::Invalid;
use crate::lifetimes::Lifetimes;
use crate::record::Ending;
use crate::request::CtDrop;
use crate::settings::{Settings, Timeouts, ZoneSettings};

pub(crate) struct Zones {
    policy_of: Box<[u16; ZONES]>,
    policies: Vec<Policy>,
    live: Box<[u32; ZONES]>,
    row_of: Box<[u16; ZONES]>,
    rows: Box<[Row]>,
    rows_given: u16,
}

/// What connections of a zone go by.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) lifetimes: Lifetimes,
    pub(crate) loose: bool,
    pub(crate) liberal: bool,
    /// Below so many connections of the zone there is room for one more.
    pub(crate) limit: Option<u32>,
    pub(crate) source_limit: Option<u32>,
}

/// How often what happened, by [`name`].
type Row = [u64; KINDS];

/// What one zone counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneCounts {
    /// The zone; `None`: all zones that have no counts of their own, because there are too many.
    pub zone: Option<u16>,
    /// Connections, such included whose time is over but that were not forgotten yet; 0 for what
    /// several zones share.
    pub connections: u32,
    /// What happened and how often: names of [`crate::Counters`], those only that are not 0.
    pub counts: Vec<(&'static str, u64)>,
}

impl Zones {
    pub(crate) fn new(settings: &Settings) -> Self {
        let mut zones = Self {
            policy_of: zeros(),
            policies: Vec::new(),
            live: zeros(),
            row_of: zeros(),
            rows: vec![[0; KINDS]; ROWS].into(),
            rows_given: 1,
        };
        zones.configure(settings, false);
        zones
    }

    /// Takes over changed settings. They hold from each zone's next packet on. `lent`: how many
    /// connections there may be under a limit, somebody else knows.
    pub(crate) fn configure(&mut self, settings: &Settings, lent: bool) {
        let common = ZoneSettings::default();
        let mut known = HashMap::from([(&common, 0)]);
        self.policies.clear();
        self.policies.push(Policy::new(settings, &common, lent));
        self.policy_of.fill(0);
        for (&zone, own) in &settings.zones {
            self.policy_of[usize::from(zone)] = *known.entry(own).or_insert_with(|| {
                self.policies.push(Policy::new(settings, own, lent));
                (self.policies.len() - 1) as u16
            });
        }
    }

    /// What a packet of `zone` goes by.
    #[inline]
    pub(crate) fn policy(&self, zone: u16) -> &Policy {
        &self.policies[usize::from(self.policy_of[usize::from(zone)])]
    }

    pub(crate) fn live(&self, zone: u16) -> u32 {
        self.live[usize::from(zone)]
    }

    /// Notes that a connection began.
    #[inline]
    pub(crate) fn began(&mut self, zone: u16) {
        self.live[usize::from(zone)] += 1;
        self.count(zone, CREATED);
    }

    /// Notes that a connection is over.
    #[inline]
    pub(crate) fn ended(&mut self, zone: u16, ending: Ending) {
        self.live[usize::from(zone)] -= 1;
        self.count(zone, CREATED + 1 + ending as usize);
    }

    /// Counts an invalid packet.
    pub(crate) fn invalid(&mut self, zone: u16, reason: Invalid) {
        self.count(zone, reason as usize);
    }

    /// Counts a commit that drops its packet.
    pub(crate) fn refused(&mut self, zone: u16, reason: CtDrop) {
        self.count(zone, Invalid::NAMES.len() + reason as usize);
    }

    #[inline]
    fn count(&mut self, zone: u16, kind: usize) {
        let row = &mut self.row_of[usize::from(zone)];
        if *row == 0 && usize::from(self.rows_given) < self.rows.len() {
            *row = self.rows_given;
            self.rows_given += 1;
        }
        self.rows[usize::from(*row)][kind] += 1;
    }

    /// What zones counted that counted anything or have connections, of `budget` zones from
    /// `cursor` on; and where to go on.
    pub(crate) fn counts(&self, cursor: u32, budget: usize) -> (Vec<ZoneCounts>, Option<u32>) {
        let end = (cursor as usize).saturating_add(budget.max(1)).min(ZONES);
        let named = |row: &Row| -> Vec<_> {
            let there = row.iter().enumerate().filter(|(_, count)| **count > 0);
            there.map(|(kind, &count)| (name(kind), count)).collect()
        };
        let mut all = Vec::new();
        if cursor == 0 && self.rows[0] != [0; KINDS] {
            all.push(ZoneCounts {
                zone: None,
                connections: 0,
                counts: named(&self.rows[0]),
            });
        }
        for zone in cursor as usize..end {
            let (row, connections) = (self.row_of[zone], self.live[zone]);
            if row > 0 || connections > 0 {
                let counts = (row > 0).then(|| named(&self.rows[usize::from(row)]));
                all.push(ZoneCounts {
                    zone: Some(zone as u16),
                    connections,
                    counts: counts.unwrap_or_default(),
                });
            }
        }
        (all, (end < ZONES).then_some(end as u32))
    }

    /// How much memory it has, in bytes.
    pub(crate) fn memory(&self) -> usize {
        size_of_val(&*self.policy_of)
            + size_of_val(&*self.live)
            + size_of_val(&*self.row_of)
            + size_of_val(&*self.rows)
            + self.policies.capacity() * size_of::<Policy>()
    }
}

impl Policy {
    fn new(settings: &Settings, own: &ZoneSettings, lent: bool) -> Self {
        let limit = own.limit.or(settings.zone_limit);
        let timeouts: &Timeouts = own.timeouts.as_ref().unwrap_or(&settings.timeouts);
        Self {
            lifetimes: Lifetimes::new(timeouts),
            loose: own.tcp_loose.unwrap_or(settings.tcp_loose),
            liberal: own.tcp_liberal.unwrap_or(settings.tcp_liberal),
            limit: limit.map(|limit| if lent { 0 } else { limit }),
            source_limit: own.source_limit,
        }
    }
}

/// How many zones there are.
const ZONES: usize = 1 << 16;
/// How many zones count for themselves, and one row for all others.
const ROWS: usize = 1 + 1024;
/// How many things a zone counts.
const KINDS: usize = CREATED + 1 + Ending::COUNT;
/// The number of what counts connections made.
const CREATED: usize = Invalid::NAMES.len() + CtDrop::COUNT;

const fn name(kind: usize) -> &'static str {
    let refused = Invalid::NAMES.len();
    if kind < refused {
        Invalid::NAMES[kind]
    } else if kind < CREATED {
        CtDrop::NAMES[kind - refused]
    } else if kind == CREATED {
        "created"
    } else {
        Ending::NAMES[kind - CREATED - 1]
    }
}

fn zeros<T: Copy + Default>() -> Box<[T; ZONES]> {
    let zeros = vec![T::default(); ZONES].into_boxed_slice();
    match zeros.try_into() {
        Ok(zeros) => zeros,
        Err(_) => unreachable!("it has as many as it was made with"),
    }
}

#[cfg(test)]
mod tests;
