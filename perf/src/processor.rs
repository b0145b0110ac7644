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

/// What each thread of a process has had of processors so far, and what it waited for one.
#[derive(Clone, Debug, Default)]
pub struct ThreadTimes(BTreeMap<u32, ThreadTime>);

/// What a thread has had of processors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadTime {
    /// How long it ran; for one that runs now, up to the last tick of the system's clock.
    pub ran: Duration,
    /// How long it could have run and did not.
    pub waited: Duration,
}

impl ThreadTime {
    /// Of the time in which it wanted to run, the share in which it did.
    pub fn on_cpu(&self) -> f64 {
        let wanted = self.ran + self.waited;
        if wanted.is_zero() {
            return 0.0;
        }
        self.ran.div_duration_f64(wanted)
    }
}

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
            Some((id, thread_time(&text)?))
        });
        Ok(Self(times.collect()))
    }

    /// What the busiest thread got since `earlier`: that of a poll loop, which never sleeps.
    pub fn busiest_since(&self, earlier: &Self) -> ThreadTime {
        let spans = self.0.iter().map(|(id, time)| {
            let before = earlier.0.get(id).copied().unwrap_or_default();
            ThreadTime {
                ran: time.ran.saturating_sub(before.ran),
                waited: time.waited.saturating_sub(before.waited),
            }
        });
        spans.max_by_key(|span| span.ran).unwrap_or_default()
    }
}

/// `ran waited slices`, both times in nanoseconds.
fn thread_time(schedstat: &str) -> Option<ThreadTime> {
    let mut numbers = schedstat.split_whitespace();
    let mut nanos = || numbers.next()?.parse().ok().map(Duration::from_nanos);
    Some(ThreadTime {
        ran: nanos()?,
        waited: nanos()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_thread_is_found() {
        let at = |text: &str| thread_time(text).expect("times");
        let before = ThreadTimes(BTreeMap::from([(1, at("900 0 1")), (2, at("100 50 3"))]));
        let after = ThreadTimes(BTreeMap::from([
            (1, at("1000 0 1")),
            (2, at("400 150 4")),
            (3, at("7 0 0")),
        ]));
        let busiest = after.busiest_since(&before);
        assert_eq!(busiest, at("300 100 1"));
        assert!((busiest.on_cpu() - 0.75).abs() < 1e-9);
        assert!(thread_time("5").is_none());
    }
}
