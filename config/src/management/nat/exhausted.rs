//! Warnings that ranges of translations refuse connections: one for each range, zone and reason
//! in an interval.
//!
//! Cost: a sum of counters each [`LOOK`]; lcores are asked only if these say that there was a
//! refusal. What is remembered is bounded by the rows that lcores have for ranges.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use weir_ct::RangeCounts;
use weir_packet::Tick;
use weir_tables::datapath::Datapath;

use super::super::rows;
use super::Management;
use crate::show::range_text;

/// How often counters are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long nothing more is said of a range, zone and reason.
const INTERVAL: Duration = Duration::from_secs(10);

/// What was said.
#[derive(Debug, Default)]
pub(in super::super) struct Exhausted {
    looked: Option<Tick>,
    /// Refusals that lcores had counted when they were asked last.
    refused: u64,
    /// Whether some of those were not said, since their interval was not over.
    unsaid: bool,
    told: BTreeMap<About, Told>,
}

/// Range, zone and reason; no range: those for which there are no rows.
type About = (Option<(String, u16)>, Reason);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    Exhausted,
    OtherVersion,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    at: Tick,
    packets: u64,
}

/// A range refused connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Warning {
    about: About,
    /// Packets dropped since the last warning about it.
    packets: u64,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            about: (range, reason),
            packets,
        } = self;
        match range {
            Some((range, zone)) => write!(f, "{range} in zone {zone}: ")?,
            None => f.write_str("further ranges of nat(): ")?,
        }
        let why = match reason {
            Reason::Exhausted => "every address and port is taken",
            Reason::OtherVersion => "its addresses are of the other IP version",
        };
        let packets_text = if *packets == 1 { "packet" } else { "packets" };
        write!(f, "{packets} {packets_text} dropped, {why}")
    }
}

impl Exhausted {
    /// What is to be said at `now`, of these rows.
    fn warnings(&mut self, rows: impl Iterator<Item = RangeCounts>, now: Tick) -> Vec<Warning> {
        let mut counted: BTreeMap<About, u64> = BTreeMap::new();
        for row in rows {
            let range = row.of.map(|(range, zone)| (range_text(&range), zone));
            for (reason, packets) in [
                (Reason::Exhausted, row.exhausted),
                (Reason::OtherVersion, row.other_version),
            ] {
                if packets > 0 {
                    *counted.entry((range.clone(), reason)).or_default() += packets;
                }
            }
        }
        self.unsaid = false;
        let mut warnings = Vec::new();
        for (about, packets) in counted {
            let told = self.told.get(&about);
            let more = packets - told.map_or(0, |told| told.packets.min(packets));
            if more == 0 {
                continue;
            }
            if told.is_some_and(|told| now.since(told.at) < INTERVAL) {
                self.unsaid = true;
                continue;
            }
            self.told.insert(about.clone(), Told { at: now, packets });
            let packets = more;
            warnings.push(Warning { about, packets });
        }
        warnings
    }
}

impl<D: Datapath> Management<D> {
    /// What is to be warned of now.
    pub(in super::super) fn exhausted_ranges(&mut self) -> Vec<Warning> {
        let now = self.datapath.now();
        let looked = self.exhausted.looked;
        if looked.is_some_and(|looked| now.since(looked) < LOOK) {
            return Vec::new();
        }
        self.exhausted.looked = Some(now);
        let counters = rows::conntrack(&self.datapath.counters());
        let of_nat = counters
            .iter()
            .filter(|row| row.name.starts_with("refused_nat_"));
        let refused = of_nat.map(|row| row.value).sum();
        if refused == self.exhausted.refused && !self.exhausted.unsaid {
            return Vec::new();
        }
        let Ok(rows) = self.range_counts() else {
            return Vec::new();
        };
        self.exhausted.refused = refused;
        self.exhausted.warnings(rows.into_iter(), now)
    }
}
