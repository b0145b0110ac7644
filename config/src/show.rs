//! What a running switch tells: rows as they travel over the control socket, and the text and
//! JSON made of them.
//!
//! One structure serves both, so they cannot disagree. Text is that of `ovs-ofctl -O OpenFlow13`
//! and `ovs-appctl` where those have the command; what only weir knows comes in further lines.
//! JSON is an array of rows, with durations and ages in the unit that the field's name ends in.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

mod connections;
mod ct_stats;
mod events;
mod flow_tables;
mod flows;
mod groups;
mod lcores;
mod nat;
mod options;
mod ports;
mod publications;
mod rx_queues;
#[cfg(test)]
mod tests;
mod top;
mod zones;

pub use connections::{ConnectionRow, ExpectedRow, HalfRow};
pub use ct_stats::{CtStatsRow, ct_stats_lines};
pub use events::{
    ConnectionEventRow, EventRow, FlowRemovedRow, PacketInRow, packet_text, write_events,
};
pub use flow_tables::{AggregateRow, FlowTableRow, write_aggregate, write_tables};
pub use flows::{FLOWS_HEADER, FlowRow, Statistics};
pub use groups::{BucketStatsRow, GROUP_STATS_HEADER, GROUPS_HEADER, GroupRow, GroupStatsRow};
pub(crate) use lcores::by_lcore;
pub use lcores::{CacheRow, FragmentsRow, LcoreRow, MasksRow, MemoryRow, write_lcores};
pub use nat::{NatRow, NatZoneRow, range_text, write_nat};
pub use options::{TLV_MAP_HEADER, TlvRow, write_tlv_map};
pub use ports::{LinkState, PortRow, SwitchRow, write_ports, write_switch};
pub use publications::PublicationsRow;
pub use rx_queues::{PolledRow, RxQueueRow, write_polled};
pub use top::{DropRate, LcoreRate, PortRate, TopRow, write_top};
pub use zones::{LimitRow, ZoneRow, write_limits};

/// How many packets left the switch for one reason without being sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropRow {
    /// The reason's name, which is also its label in Prometheus.
    pub reason: String,
    /// Packets, since start.
    pub packets: u64,
    /// The reason in a sentence.
    pub sentence: String,
}

/// A MAC address that NORMAL has learned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FdbRow {
    /// The port's name.
    pub port: String,
    /// The VLAN; 0: untagged.
    pub vlan: u16,
    /// The address, `aa:bb:cc:dd:ee:ff`.
    pub mac: String,
    /// Seconds since it was last seen.
    pub age_s: u64,
}

/// A next hop of tunnels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeighbourRow {
    /// The name of the port that the tunnels ride on.
    pub port: String,
    /// Its address.
    pub ip: std::net::IpAddr,
    /// Its MAC address, `aa:bb:cc:dd:ee:ff`; `None`: it was asked for and has not answered.
    pub mac: Option<String>,
    /// Seconds since it answered last; `None`: it is configured, or has not answered.
    pub age_s: Option<u64>,
}

/// What `reload` did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadReport {
    /// Whether nothing was changed because that was asked for.
    pub dry_run: bool,
    /// Ports, limits of zones, groups and flows that were added, in canonical form.
    pub added: Vec<String>,
    /// Those that do or say something else: their new form. And sections of the configuration
    /// whose settings changed otherwise.
    pub modified: Vec<String>,
    /// Those deleted.
    pub deleted: Vec<String>,
    /// Those changed by hand, which stay as they are.
    pub kept: Vec<String>,
    /// Seconds after which all that is undone, unless somebody confirms.
    pub confirm_s: Option<u32>,
}

/// A time as Open vSwitch prints it: without decimals if it is whole seconds.
struct Milliseconds(u64);

impl std::fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.0 / 1000, self.0 % 1000) {
            (seconds, 0) => write!(f, "{seconds}s"),
            (seconds, millis) => write!(f, "{seconds}.{millis:03}s"),
        }
    }
}

/// Prints drops as `dump-drops` does.
///
/// # Errors
/// Those of `out`.
pub fn write_drops(out: &mut dyn Write, rows: &[DropRow]) -> io::Result<()> {
    let width = rows.iter().map(|row| row.reason.len()).max().unwrap_or(0);
    for DropRow {
        reason,
        packets,
        sentence,
    } in rows
    {
        writeln!(out, "{reason:width$}  {packets:>12}  {sentence}")?;
    }
    let total: u64 = rows
        .iter()
        .map(|row| row.packets)
        .fold(0, u64::wrapping_add);
    writeln!(out, "{:width$}  {total:>12}", "total")
}

/// The heading of `fdb-show`.
pub const FDB_HEADER: &str = " Port  VLAN  MAC                Age";

/// Prints learned addresses as `ovs-appctl fdb/show` does, without the heading.
///
/// # Errors
/// Those of `out`.
pub fn write_fdb(out: &mut dyn Write, rows: &[FdbRow]) -> io::Result<()> {
    rows.iter().try_for_each(
        |FdbRow {
             port,
             vlan,
             mac,
             age_s,
         }| { writeln!(out, "{port:>5}  {vlan:>4}  {mac}  {age_s:>3}") },
    )
}

/// The heading of `neigh-show`.
pub const NEIGHBOUR_HEADER: &str =
    "IP                                            MAC                 Port             Age";

/// Prints next hops as `ovs-appctl tnl/neigh/show` does, without the heading, with ports instead
/// of bridges.
///
/// # Errors
/// Those of `out`.
pub fn write_neighbours(out: &mut dyn Write, rows: &[NeighbourRow]) -> io::Result<()> {
    rows.iter().try_for_each(|row| {
        let NeighbourRow {
            port,
            ip,
            mac,
            age_s,
        } = row;
        let mac = mac.as_deref().unwrap_or("asked for");
        let age = match age_s {
            Some(age) => age.to_string(),
            None if row.mac.is_some() => "static".to_owned(),
            None => "-".to_owned(),
        };
        // An address pads only as text.
        let ip = ip.to_string();
        writeln!(out, "{ip:<46}{mac:<20}{port:<17}{age}")
    })
}

/// Prints what `reload` did: a line for each flow, marked as `diff-flows` does.
///
/// # Errors
/// Those of `out`.
pub fn write_reload(out: &mut dyn Write, report: &ReloadReport) -> io::Result<()> {
    let ReloadReport {
        dry_run,
        added,
        modified,
        deleted,
        kept,
        confirm_s,
    } = report;
    let groups = [('-', deleted), ('~', modified), ('+', added), ('=', kept)];
    for (mark, flows) in groups {
        for flow in flows {
            writeln!(out, "{mark}{flow}")?;
        }
    }
    let verb = if *dry_run { "would be " } else { "" };
    writeln!(
        out,
        "{verb}added {}, modified {}, deleted {}; kept as changed by hand {}",
        added.len(),
        modified.len(),
        deleted.len(),
        kept.len()
    )?;
    match confirm_s {
        Some(seconds) if !*dry_run => writeln!(
            out,
            "undone in {seconds} s unless confirmed: weir confirm, or weir rollback"
        ),
        Some(_) | None => Ok(()),
    }
}
