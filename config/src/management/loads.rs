//! What receive queues take of their lcores, over the last minute.
//!
//! Counters only grow; what they were is noted every [`STEP`], and the difference to what they are is what
//! was taken since. A queue that went to another lcore, and one of a port that was opened anew, counts from then on.

use std::collections::VecDeque;
use std::time::Duration;

use weir_packet::Tick;
use weir_tables::datapath::{Datapath, PollStats, RxQueueStats};

use super::Management;
use crate::control::{Failure, Frame};
use crate::show::{PolledRow, RxQueueRow};

/// How often counters are noted, as Open vSwitch does.
const STEP: Duration = Duration::from_secs(5);
/// As far back as anybody can ask, in seconds.
pub(crate) const LONGEST_S: u32 = 60;

/// What counters were, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Loads {
    notes: VecDeque<Note>,
}

#[derive(Debug)]
struct Note {
    at: Tick,
    lcores: Vec<PollStats>,
    queues: Vec<RxQueueStats>,
}

impl Note {
    fn of(datapath: &impl Datapath) -> Self {
        Self {
            at: datapath.now(),
            lcores: datapath.poll_stats(),
            queues: datapath.rx_queues(),
        }
    }

    /// Cycles of an lcore: those in polls that brought packets, and all.
    fn cycles(&self, lcore: usize) -> Option<(u64, u64)> {
        let polls = self.lcores.get(lcore)?;
        Some((polls.busy_cycles, polls.busy_cycles + polls.idle_cycles))
    }

    /// What this queue had taken, if the same lcore polled it.
    fn taken(&self, queue: &RxQueueStats) -> Option<u64> {
        let same = |old: &&RxQueueStats| {
            (old.port, old.queue, old.lcore) == (queue.port, queue.queue, queue.lcore)
                && old.busy_cycles <= queue.busy_cycles
        };
        self.queues.iter().find(same).map(|old| old.busy_cycles)
    }
}

impl Loads {
    /// Notes what the counters are, if it is time to.
    pub(super) fn look(&mut self, datapath: &impl Datapath) {
        let now = datapath.now();
        let last = self.notes.back();
        if last.is_some_and(|last| now < last.at + STEP) {
            return;
        }
        self.notes.push_back(Note::of(datapath));
        let oldest = Duration::from_secs(LONGEST_S.into());
        // One that is older than anybody asks for is enough.
        while self
            .notes
            .get(1)
            .is_some_and(|next| now >= next.at + oldest)
        {
            self.notes.pop_front();
        }
    }

    /// The notes from the latest that is so many seconds old on, or all if none is.
    fn since(&self, now: Tick, seconds: u32) -> impl DoubleEndedIterator<Item = &Note> {
        let age = Duration::from_secs(seconds.into());
        let old = |note: &Note| now >= note.at + age;
        let first = self.notes.iter().rposition(old).unwrap_or(0);
        self.notes.iter().skip(first)
    }
}

impl<D: Datapath> Management<D> {
    /// Who polls what; `only`: one lcore.
    pub(super) fn polled(&self, only: Option<u32>, seconds: u32) -> Result<Frame, Failure> {
        let now = Note::of(&self.datapath);
        let mut rows: Vec<_> = now
            .lcores
            .iter()
            .enumerate()
            .map(|(lcore, polls)| PolledRow {
                lcore: polls.lcore,
                numa: polls.node,
                isolated: self.is_isolated(polls.lcore),
                seconds,
                queues: self.rx_queues(&now, seconds, Some(lcore)),
                ..PolledRow::default()
            })
            .collect();
        for (lcore, row) in rows.iter_mut().enumerate() {
            let (Some(old), Some((busy, all))) =
                (self.loads.since(now.at, seconds).next(), now.cycles(lcore))
            else {
                continue;
            };
            let Some((old_busy, old_all)) = old.cycles(lcore) else {
                continue;
            };
            let (busy, all) = (busy.saturating_sub(old_busy), all.saturating_sub(old_all));
            let queues = row.queues.iter().filter_map(|queue| queue.recent_cycles);
            row.recent_cycles = (all > 0).then_some(all);
            row.busy_percent = percent(busy, all);
            row.overhead_percent = percent(busy.saturating_sub(queues.sum()), all);
        }
        if let Some(only) = only {
            rows.retain(|row| row.lcore == only);
            if rows.is_empty() {
                return Err(Failure::input(format!("there is no lcore {only}")));
            }
        }
        Ok(Frame::Polled(rows))
    }

    /// Whether the configuration gives a queue to this lcore.
    fn is_isolated(&self, lcore: u32) -> bool {
        let mut given = self.config.ports.iter().flat_map(|port| &port.affinity);
        given.any(|(_, to)| u32::from(*to) == lcore)
    }

    /// Each receive queue, for metrics.
    pub(super) fn all_rx_queues(&self) -> Vec<RxQueueRow> {
        self.rx_queues(&Note::of(&self.datapath), LONGEST_S, None)
    }

    /// The receive queues of one lcore, or of all, as they are `now`; by port and number.
    fn rx_queues(&self, now: &Note, seconds: u32, of: Option<usize>) -> Vec<RxQueueRow> {
        let row = |queue: &RxQueueStats| {
            // For as long as it was polled by this lcore.
            let notes = self.loads.since(now.at, seconds).rev();
            let recent = notes.map_while(|old| {
                let taken = queue.busy_cycles - old.taken(queue)?;
                let (_, then) = old.cycles(queue.lcore)?;
                let (_, all) = now.cycles(queue.lcore)?;
                Some((taken, all.saturating_sub(then)))
            });
            let recent = recent.last().filter(|(_, all)| *all > 0);
            let port = self.config.ports.iter().find(|port| port.id == queue.port);
            RxQueueRow {
                port: port.map_or_else(|| queue.port.to_string(), |port| port.name.clone()),
                id: queue.port.0,
                queue: queue.queue,
                lcore: now.lcores.get(queue.lcore).map_or(0, |polls| polls.lcore),
                busy_cycles: queue.busy_cycles,
                recent_cycles: recent.map(|(taken, _)| taken),
                usage_percent: recent.and_then(|(taken, all)| percent(taken, all)),
            }
        };
        let wanted = now.queues.iter();
        let wanted = wanted.filter(|queue| of.is_none_or(|lcore| queue.lcore == lcore));
        let mut rows: Vec<_> = wanted.map(row).collect();
        rows.sort_by(|a, b| (&a.port, a.queue).cmp(&(&b.port, b.queue)));
        rows
    }
}

/// Rounded; an estimate may come to more than there is.
fn percent(part: u64, whole: u64) -> Option<u64> {
    let share = (part as f64 * 100.0 / whole as f64).round();
    (whole > 0).then_some(share.min(100.0) as u64)
}
