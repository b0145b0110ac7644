//! Processor time: how fast the clock of cycles runs, and who got the processor.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use quanta::Clock;

use crate::failure::Failure;

/// Ticks of the time stamp counter per second, measured against the system's clock.
///
/// Where there is no constant counter, nanoseconds stand in for it: the result is 1e9.
pub fn tsc_hz() -> f64 {
    const SPAN: Duration = Duration::from_millis(200);
    let clock = Clock::new();
    let (begun, from) = (Instant::now(), clock.raw());
    thread::sleep(SPAN);
    let (span, to) = (begun.elapsed(), clock.raw());
    (to - from) as f64 / span.as_secs_f64()
}

/// What each thread of a process has had of processors so far.
#[derive(Clone, Debug, Default)]
pub struct ThreadTimes(BTreeMap<u32, Duration>);

impl ThreadTimes {
    /// Reads `/proc/ID/task/*/schedstat`.
    ///
    /// # Errors
    /// If the process is gone.
    pub fn of(process: u32) -> Result<Self, Failure> {
        let path = format!("/proc/{process}/task");
        let tasks = fs::read_dir(&path).map_err(Failure::io(&path))?;
        let times = tasks.filter_map(|task| {
            // A thread may end between the listing and the look at it.
            let task = task.ok()?;
            let id = task.file_name().to_str()?.parse().ok()?;
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            let nanos = text.split_whitespace().next()?.parse().ok()?;
            Some((id, Duration::from_nanos(nanos)))
        });
        Ok(Self(times.collect()))
    }

    /// What the busiest thread got since `earlier`: that of a poll loop, which never sleeps.
    pub fn busiest_since(&self, earlier: &Self) -> Duration {
        let spans = self
            .0
            .iter()
            .map(|(id, &time)| time.saturating_sub(earlier.0.get(id).copied().unwrap_or_default()));
        spans.max().unwrap_or_default()
    }
}
