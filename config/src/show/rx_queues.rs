//! Who polls which receive queue, and what it takes of its lcore.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

/// One receive queue of a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RxQueueRow {
    /// The port's name.
    pub port: String,
    /// Its OpenFlow number.
    pub id: u32,
    /// The queue's number.
    pub queue: u16,
    /// The lcore that polls it.
    pub lcore: u32,
    /// TSC cycles spent on its frames since the port was started, by whichever lcore; estimated.
    pub busy_cycles: u64,
    /// The same, of the interval that was asked for and while this lcore polled it; `None`: there is no
    /// such interval yet.
    pub recent_cycles: Option<u64>,
    /// Its share of the lcore's cycles in that time, in percent.
    pub usage_percent: Option<u64>,
}

/// An lcore with the queues that it polls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolledRow {
    /// Its number: the core it is pinned to.
    pub lcore: u32,
    /// The NUMA node of that core.
    pub numa: u32,
    /// Whether it polls only queues that the configuration gives it.
    pub isolated: bool,
    /// Seconds that were asked for; the interval is shorter where the switch does not run for so long.
    pub seconds: u32,
    /// Its queues, by port and number.
    pub queues: Vec<RxQueueRow>,
    /// All its cycles in the interval, idle ones among them; `None`: there is no interval yet.
    pub recent_cycles: Option<u64>,
    /// The share of polls that brought packets, in percent.
    pub busy_percent: Option<u64>,
    /// What of these was spent on none of the queues' frames: packets that other lcores handed over,
    /// questions of the management thread, expiry, the loop itself.
    pub overhead_percent: Option<u64>,
}

/// Prints who polls what as `ovs-appctl dpif-netdev/pmd-rxq-show` does, with each lcore's sum added.
///
/// # Errors
/// Those of `out`.
pub fn write_polled(out: &mut dyn Write, rows: &[PolledRow]) -> io::Result<()> {
    if let Some(row) = rows.first() {
        writeln!(out, "Displaying last {} seconds pmd usage %", row.seconds)?;
    }
    for row in rows {
        let PolledRow {
            lcore,
            numa,
            isolated,
            queues,
            busy_percent,
            overhead_percent,
            ..
        } = row;
        writeln!(out, "pmd thread numa_id {numa} core_id {lcore}:")?;
        writeln!(out, "  isolated : {isolated}")?;
        for queue in queues {
            writeln!(
                out,
                "  port: {:<16}  queue-id: {:>2} (enabled)   pmd usage: {}",
                queue.port,
                queue.queue,
                percent(queue.usage_percent)
            )?;
        }
        writeln!(out, "  overhead: {}", percent(*overhead_percent))?;
        writeln!(out, "  busy: {}", percent(*busy_percent))?;
    }
    Ok(())
}

fn percent(share: Option<u64>) -> String {
    share.map_or("NOT AVAIL".to_owned(), |share| format!("{share:>2} %"))
}
