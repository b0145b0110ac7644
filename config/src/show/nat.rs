//! Ranges of translations.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use weir_ct::{RangeCounts, RangeKey};
use weir_nat::{NatFlags, NatSpec};

/// One range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NatRow {
    /// As in a flow, without flags: `nat(src=192.0.2.1:1024-65535)`; `None`: all ranges without
    /// a row of their own, because there are too many.
    pub nat: Option<String>,
    /// Addresses; `None`: each keeps its own.
    pub addresses: Option<u64>,
    /// Ports of each, if they are given.
    pub ports: Option<u16>,
    /// Connections that have one now; a port serves one for each destination.
    pub connections: u64,
    /// Zones in which the first choice was taken, or nothing was left.
    pub zones: Vec<NatZoneRow>,
}

impl NatRow {
    /// What two ranges have together, none of which is named then: its zones are one.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let zones = self.zones.into_iter().chain(other.zones);
        Self {
            nat: None,
            addresses: None,
            ports: None,
            connections: self.connections + other.connections,
            zones: zones.reduce(NatZoneRow::and).into_iter().collect(),
        }
    }
}

/// What searches in a range came to, in one zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NatZoneRow {
    /// The zone; `None`: several.
    pub zone: Option<u16>,
    /// Connections that did not get the first choice.
    pub searched: u64,
    /// The most candidates that were looked at for one connection.
    pub longest_probe: u32,
    /// Packets dropped because everything was taken.
    pub exhausted: u64,
    /// Packets dropped because the addresses are of the other IP version.
    pub other_version: u64,
}

impl NatZoneRow {
    /// Of what an lcore counted.
    pub fn of(counts: &RangeCounts) -> Self {
        Self {
            zone: counts.of.map(|(_, zone)| zone),
            searched: counts.searched,
            longest_probe: counts.longest_probe,
            exhausted: counts.exhausted,
            other_version: counts.other_version,
        }
    }

    /// What two zones counted together.
    fn and(self, other: Self) -> Self {
        Self {
            zone: None,
            searched: self.searched + other.searched,
            longest_probe: self.longest_probe.max(other.longest_probe),
            exhausted: self.exhausted + other.exhausted,
            other_version: self.other_version + other.other_version,
        }
    }
}

/// A range as it stands in a flow.
pub fn range_text((kind, range): &RangeKey) -> String {
    let (kind, range) = (*kind, *range);
    let flags = NatFlags::default();
    NatSpec::Allocate { kind, range, flags }.to_string()
}

/// Prints ranges, each with its zones below it.
///
/// # Errors
/// Those of `out`.
pub fn write_nat(out: &mut dyn Write, rows: &[NatRow]) -> io::Result<()> {
    for row in rows {
        match &row.nat {
            None => write!(out, "further ranges")?,
            Some(nat) => {
                write!(out, "{nat}: ")?;
                if let Some(addresses) = row.addresses {
                    write!(out, "addresses={addresses},")?;
                }
                if let Some(ports) = row.ports {
                    write!(out, "ports={ports},")?;
                }
                write!(out, "connections={}", row.connections)?;
            }
        }
        writeln!(out)?;
        for zone in &row.zones {
            match zone.zone {
                Some(zone) => write!(out, "  zone={zone},")?,
                None => write!(out, "  ")?,
            }
            let NatZoneRow {
                searched,
                longest_probe,
                exhausted,
                other_version,
                ..
            } = zone;
            writeln!(
                out,
                "searched={searched},longest_probe={longest_probe},exhausted={exhausted},\
                 other_version={other_version}"
            )?;
        }
    }
    Ok(())
}
