//! How the lcores fare.

use std::io::{self, Write};
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};
use weir_tables::counters::{Counter, FragmentCounters, MEMORY_PARTS};

/// One cache of an lcore, since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheRow {
    /// What it answered: whole journeys or passes.
    pub hits: u64,
    /// What it was asked and did not answer.
    pub misses: u64,
    /// Entries given up because a change of policy may concern them.
    pub stale: u64,
    /// What it had no place for.
    pub refused: u64,
}

/// The masks of a megaflow cache, which a pass looks through one after the other. A port has a bounded
/// number of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasksRow {
    /// How many there are now, of all ports together.
    pub masks: u64,
    /// How many were looked through, for all passes that asked.
    pub visited: u64,
    /// Passes that were not remembered because their port had as many as it may.
    pub refused: u64,
    /// Masks that made room for another one of their port.
    pub replaced: u64,
}

/// The memory of an lcore's tables, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryRow {
    /// Records of connections.
    pub connections: u64,
    /// From tuples to connections.
    pub index: u64,
    /// Leased ports and identifiers of NAT ranges.
    pub leases: u64,
    /// What waits for its time-out.
    pub timers: u64,
    /// The trajectory cache.
    pub trajectories: u64,
    /// The megaflow cache.
    pub megaflows: u64,
}

impl MemoryRow {
    /// Reads what an lcore published.
    pub(crate) fn read(cells: &[Counter; MEMORY_PARTS.len()]) -> Self {
        let [connections, index, leases, timers, trajectories, megaflows] =
            cells.each_ref().map(Counter::read);
        Self {
            connections,
            index,
            leases,
            timers,
            trajectories,
            megaflows,
        }
    }

    /// Each part's name and bytes.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let bytes = [
            self.connections,
            self.index,
            self.leases,
            self.timers,
            self.trajectories,
            self.megaflows,
        ];
        MEMORY_PARTS.into_iter().zip(bytes)
    }
}

/// Pieces of datagrams on an lcore: those that ct() has put together, and what outputs cut again.
/// Those that were dropped are among the drops, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FragmentsRow {
    /// Pieces that wait for others now.
    pub waiting: u64,
    /// Bytes of their frames.
    pub waiting_bytes: u64,
    /// Pieces that became part of a datagram.
    pub joined: u64,
    /// Datagrams that became whole.
    pub datagrams: u64,
    /// Outputs for which a datagram was cut.
    pub cuts: u64,
    /// Pieces made by that.
    pub pieces: u64,
}

impl FragmentsRow {
    /// Reads what an lcore counted.
    pub(crate) fn read(cells: &FragmentCounters) -> Self {
        Self {
            waiting: cells.held.read(),
            waiting_bytes: cells.held_bytes.read(),
            joined: cells.joined.read(),
            datagrams: cells.datagrams.read(),
            cuts: cells.cuts.read(),
            pieces: cells.pieces.read(),
        }
    }
}

/// One lcore, since its start: what its shards counted, wherever they ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LcoreRow {
    /// Its number: the core it is pinned to.
    pub lcore: u32,
    /// Packets received.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Polls that brought packets.
    pub busy_polls: u64,
    /// Polls that brought none.
    pub idle_polls: u64,
    /// Passes through the tables: one for each packet, one for each recirculation.
    pub passes: u64,
    /// Table look-ups.
    pub lookups: u64,
    /// Whole journeys remembered: asked once for each packet of a class that it remembers.
    pub trajectories: CacheRow,
    /// Passes remembered: asked where the trajectories had no answer.
    pub megaflows: CacheRow,
    /// The masks of those.
    pub masks: MasksRow,
    /// What memory its tables were given at start.
    pub memory: MemoryRow,
    /// Pieces of datagrams.
    pub fragments: FragmentsRow,
    /// TSC cycles spent in polls that brought packets.
    pub busy_cycles: u64,
    /// TSC cycles spent in polls that brought none.
    pub idle_cycles: u64,
    /// TSC cycles spent, in whatever polls, on questions of the management thread: dumps, flushes,
    /// events, counts of zones.
    pub answer_cycles: u64,
}

/// What lcores have counted whose shards have counted `shards`.
pub(crate) fn by_lcore(shards: impl Iterator<Item = LcoreRow>) -> Vec<LcoreRow> {
    let mut rows: Vec<LcoreRow> = Vec::new();
    for shard in shards {
        match rows.iter_mut().find(|row| row.lcore == shard.lcore) {
            Some(row) => *row += shard,
            None => rows.push(shard),
        }
    }
    rows
}

/// Lets rows be added up, field by field. Every field is named: one that is new and not is an error.
macro_rules! added_up {
    ($row:ty: $($field:ident)+ $(; of the first: $kept:ident)?) => {
        impl AddAssign for $row {
            fn add_assign(&mut self, other: Self) {
                let Self { $($field,)+ $($kept: _)? } = other;
                $(self.$field += $field;)+
            }
        }
    };
}

added_up!(CacheRow: hits misses stale refused);
added_up!(MasksRow: masks visited refused replaced);
added_up!(MemoryRow: connections index leases timers trajectories megaflows);
added_up!(FragmentsRow: waiting waiting_bytes joined datagrams cuts pieces);
added_up!(LcoreRow: packets bytes busy_polls idle_polls passes lookups trajectories megaflows masks memory
    fragments busy_cycles idle_cycles answer_cycles; of the first: lcore);

/// Prints lcores in the form that `ovs-appctl dpif-netdev/pmd-stats-show` had up to 3.x.
///
/// # Errors
/// Those of `out`.
pub fn write_lcores(out: &mut dyn Write, lcores: &[LcoreRow]) -> io::Result<()> {
    for row in lcores {
        let cycles = row.busy_cycles.saturating_add(row.idle_cycles);
        writeln!(out, "pmd thread core_id {}:", row.lcore)?;
        writeln!(out, "  packets received: {}", row.packets)?;
        writeln!(out, "  bytes received: {}", row.bytes)?;
        writeln!(
            out,
            "  packets per busy poll: {}",
            ratio(row.packets, row.busy_polls)
        )?;
        writeln!(
            out,
            "  packet recirculations: {}",
            row.passes.saturating_sub(row.packets)
        )?;
        let passes = ratio(row.passes, row.packets);
        writeln!(out, "  avg. datapath passes per packet: {passes}")?;
        writeln!(
            out,
            "  avg. table lookups per packet: {}",
            ratio(row.lookups, row.packets)
        )?;
        for (name, cache) in [
            ("trajectory", row.trajectories),
            ("megaflow", row.megaflows),
        ] {
            let asked = cache.hits.saturating_add(cache.misses);
            let share = percent(cache.hits, asked);
            writeln!(out, "  {name} hits: {} ({share})", cache.hits)?;
            writeln!(out, "  {name} misses: {}", cache.misses)?;
            writeln!(out, "  {name} stale: {}", cache.stale)?;
            writeln!(out, "  {name} refused: {}", cache.refused)?;
        }
        let MasksRow {
            masks,
            visited,
            refused,
            replaced,
        } = row.masks;
        let asked = row.megaflows.hits.saturating_add(row.megaflows.misses);
        let visited = ratio(visited, asked);
        writeln!(
            out,
            "  megaflow masks: {masks} ({visited} looked through per pass)"
        )?;
        writeln!(out, "  megaflow masks refused: {refused}")?;
        writeln!(out, "  megaflow masks replaced: {replaced}")?;
        let FragmentsRow {
            waiting,
            waiting_bytes,
            joined,
            datagrams,
            cuts,
            pieces,
        } = row.fragments;
        writeln!(
            out,
            "  fragments waiting: {waiting} ({waiting_bytes} bytes)"
        )?;
        writeln!(out, "  fragments joined: {joined} ({datagrams} datagrams)")?;
        writeln!(out, "  fragments made: {pieces} ({cuts} datagrams cut)")?;
        write!(out, "  memory in MB:")?;
        for (name, bytes) in row.memory.parts() {
            write!(out, " {name} {:.1}", bytes as f64 / 1_048_576.0)?;
        }
        writeln!(out)?;
        let share = |part| percent(part, cycles);
        writeln!(
            out,
            "  idle cycles: {} ({})",
            row.idle_cycles,
            share(row.idle_cycles)
        )?;
        writeln!(
            out,
            "  processing cycles: {} ({})",
            row.busy_cycles,
            share(row.busy_cycles)
        )?;
        writeln!(
            out,
            "  answering cycles: {} ({})",
            row.answer_cycles,
            share(row.answer_cycles)
        )?;
        let (all, busy) = (
            ratio(cycles, row.packets),
            ratio(row.busy_cycles, row.packets),
        );
        writeln!(
            out,
            "  avg cycles per packet: {all} ({cycles}/{})",
            row.packets
        )?;
        writeln!(
            out,
            "  avg processing cycles per packet: {busy} ({}/{})",
            row.busy_cycles, row.packets
        )?;
    }
    Ok(())
}

/// `a / b` with two digits; `?` if there is nothing to divide by.
fn ratio(a: u64, b: u64) -> String {
    if b == 0 {
        "?".to_owned()
    } else {
        format!("{:.2}", a as f64 / b as f64)
    }
}

fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        "?".to_owned()
    } else {
        format!("{:.2}%", 100.0 * part as f64 / whole as f64)
    }
}
