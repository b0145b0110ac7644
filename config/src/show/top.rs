//! What happens in the switch from one look to the next.

use std::io::{self, Write};

use serde::Serialize;

use super::{CacheRow, DropRow, LcoreRow, LinkState, PortRow};
use crate::metrics::Sample;

#[cfg(test)]
mod tests;

/// Reasons for drops that are shown.
const DROPS_MAX: usize = 8;

/// The time between two looks, as `weir top` shows it. Rates are rounded down.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TopRow {
    /// Milliseconds since the switch started.
    pub at_ms: u64,
    /// Milliseconds between the looks.
    pub interval_ms: u64,
    /// Connections now.
    pub connections: u64,
    /// The most there can be.
    pub max_connections: u64,
    /// Connections that came, per second.
    pub created_per_s: u64,
    /// Each port.
    pub ports: Vec<PortRate>,
    /// Each lcore.
    pub lcores: Vec<LcoreRate>,
    /// Reasons for which most packets were dropped, those with the highest rate first.
    pub drops: Vec<DropRate>,
}

/// What one port carried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PortRate {
    /// Its name.
    pub name: String,
    /// Its link.
    pub link: LinkState,
    /// Frames received, per second.
    pub rx_packets_per_s: u64,
    /// Bits received, per second.
    pub rx_bits_per_s: u64,
    /// Frames sent, per second.
    pub tx_packets_per_s: u64,
    /// Bits sent, per second.
    pub tx_bits_per_s: u64,
    /// Frames that there was no room for, either way, per second.
    pub dropped_per_s: u64,
}

/// How one lcore fared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LcoreRate {
    /// Its number.
    pub lcore: u32,
    /// Packets, per second.
    pub packets_per_s: u64,
    /// Cycles of busy polls, per packet; none if there was no packet.
    pub cycles_per_packet: Option<u64>,
    /// Share of its cycles in busy polls, in percent; none if there was no cycle.
    pub busy_percent: Option<f64>,
    /// Passes through the tables, per packet.
    pub passes_per_packet: Option<f64>,
    /// Journeys that the trajectory cache answered, of those it was asked, in percent.
    pub trajectory_hits_percent: Option<f64>,
    /// Passes that the megaflow cache answered, of those it was asked, in percent.
    pub megaflow_hits_percent: Option<f64>,
}

/// How often packets were dropped for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DropRate {
    /// The reason's name.
    pub reason: String,
    /// Packets, per second.
    pub packets_per_s: u64,
    /// Packets since start.
    pub packets: u64,
}

impl TopRow {
    /// What happened from one look to the next.
    pub fn between(before: &Sample, after: &Sample) -> Self {
        let interval_ms = after.at_ms.saturating_sub(before.at_ms);
        let per_s = PerSecond(interval_ms);
        let created = |sample: &Sample| {
            let mut counters = sample.conntrack.iter();
            counters
                .find(|row| row.name == "created")
                .map_or(0, |row| row.value)
        };
        let port = |now: &PortRow| {
            let then = before.ports.iter().find(|port| port.id == now.id);
            per_s.port(then, now)
        };
        let lcore = |now: &LcoreRow| {
            let then = before.lcores.iter().find(|other| other.lcore == now.lcore);
            lcore(then.copied().unwrap_or_default(), *now, per_s)
        };
        let drop = |now: &DropRow| {
            let then = before.drops.iter().find(|row| row.reason == now.reason);
            DropRate {
                reason: now.reason.clone(),
                packets_per_s: per_s.of(then.map_or(0, |row| row.packets), now.packets),
                packets: now.packets,
            }
        };
        let mut drops: Vec<_> = after.drops.iter().map(drop).collect();
        drops.retain(|row| row.packets > 0);
        drops.sort_by_key(|row| std::cmp::Reverse((row.packets_per_s, row.packets)));
        drops.truncate(DROPS_MAX);
        Self {
            at_ms: after.at_ms,
            interval_ms,
            connections: after.connections,
            max_connections: after.max_connections,
            created_per_s: per_s.of(created(before), created(after)),
            ports: after.ports.iter().map(port).collect(),
            lcores: after.lcores.iter().map(lcore).collect(),
            drops,
        }
    }
}

/// A time in milliseconds that counts become rates over.
#[derive(Clone, Copy)]
struct PerSecond(u64);

impl PerSecond {
    fn of(self, before: u64, after: u64) -> u64 {
        let more = u128::from(after.saturating_sub(before)) * 1000;
        let rate = more.checked_div(self.0.into()).unwrap_or(0);
        u64::try_from(rate).unwrap_or(u64::MAX)
    }

    fn port(self, before: Option<&PortRow>, after: &PortRow) -> PortRate {
        let rate = |read: fn(&PortRow) -> u64| self.of(before.map_or(0, read), read(after));
        PortRate {
            name: after.name.clone(),
            link: after.link,
            rx_packets_per_s: rate(|port| port.rx_packets),
            rx_bits_per_s: rate(|port| port.rx_bytes.saturating_mul(8)),
            tx_packets_per_s: rate(|port| port.tx_packets),
            tx_bits_per_s: rate(|port| port.tx_bytes.saturating_mul(8)),
            dropped_per_s: rate(|port| port.rx_dropped.saturating_add(port.tx_dropped)),
        }
    }
}

fn lcore(before: LcoreRow, after: LcoreRow, per_s: PerSecond) -> LcoreRate {
    let since = |read: fn(&LcoreRow) -> u64| read(&after).saturating_sub(read(&before));
    let packets = since(|lcore| lcore.packets);
    let (busy, idle) = (
        since(|lcore| lcore.busy_cycles),
        since(|lcore| lcore.idle_cycles),
    );
    let hits = |before: CacheRow, after: CacheRow| {
        let hits = after.hits.saturating_sub(before.hits);
        let misses = after.misses.saturating_sub(before.misses);
        ratio(hits, hits + misses).map(|share| share * 100.0)
    };
    LcoreRate {
        lcore: after.lcore,
        packets_per_s: per_s.of(before.packets, after.packets),
        cycles_per_packet: busy.checked_div(packets),
        busy_percent: ratio(busy, busy + idle).map(|share| share * 100.0),
        passes_per_packet: ratio(since(|lcore| lcore.passes), packets),
        trajectory_hits_percent: hits(before.trajectories, after.trajectories),
        megaflow_hits_percent: hits(before.megaflows, after.megaflows),
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Prints one look.
///
/// # Errors
/// Those of `out`.
pub fn write_top(out: &mut dyn Write, row: &TopRow) -> io::Result<()> {
    let (seconds, interval) = (row.at_ms / 1000, row.interval_ms as f64 / 1000.0);
    writeln!(
        out,
        "up {seconds} s, over {interval:.1} s; connections {} of {}, {} new/s",
        row.connections, row.max_connections, row.created_per_s
    )?;
    writeln!(
        out,
        "\n{:<15} {:<4} {:>12} {:>11} {:>12} {:>11} {:>10}",
        "port", "link", "rx packets/s", "rx Mb/s", "tx packets/s", "tx Mb/s", "dropped/s"
    )?;
    for port in &row.ports {
        let link = match port.link {
            LinkState::Down => "down",
            LinkState::Up => "up",
        };
        let megabits = |bits: u64| bits as f64 / 1e6;
        writeln!(
            out,
            "{:<15} {link:<4} {:>12} {:>11.3} {:>12} {:>11.3} {:>10}",
            port.name,
            port.rx_packets_per_s,
            megabits(port.rx_bits_per_s),
            port.tx_packets_per_s,
            megabits(port.tx_bits_per_s),
            port.dropped_per_s
        )?;
    }
    writeln!(
        out,
        "\n{:<5} {:>12} {:>13} {:>7} {:>13} {:>15} {:>13}",
        "lcore",
        "packets/s",
        "cycles/packet",
        "busy",
        "passes/packet",
        "trajectory hits",
        "megaflow hits"
    )?;
    for lcore in &row.lcores {
        let percent = |share: Option<f64>| share.map_or("-".to_owned(), |it| format!("{it:.1}%"));
        let cycles = lcore.cycles_per_packet.map(|cycles| cycles.to_string());
        let passes = lcore.passes_per_packet.map(|passes| format!("{passes:.2}"));
        writeln!(
            out,
            "{:<5} {:>12} {:>13} {:>7} {:>13} {:>15} {:>13}",
            lcore.lcore,
            lcore.packets_per_s,
            cycles.as_deref().unwrap_or("-"),
            percent(lcore.busy_percent),
            passes.as_deref().unwrap_or("-"),
            percent(lcore.trajectory_hits_percent),
            percent(lcore.megaflow_hits_percent)
        )?;
    }
    writeln!(
        out,
        "\n{:<20} {:>12} {:>15}",
        "dropped", "packets/s", "in all"
    )?;
    for drop in &row.drops {
        writeln!(
            out,
            "{:<20} {:>12} {:>15}",
            drop.reason, drop.packets_per_s, drop.packets
        )?;
    }
    Ok(())
}
