//! Grace periods: how long it takes from the publication of a version until the last lcore obeys it.
//!
//! An lcore notes when it took up a version; the management thread holds that against when it published
//! it, whenever it looks. Who looks late does not measure more, unless other versions were taken up in
//! between: so it is to look before each publication.

use std::collections::VecDeque;
use std::time::Duration;

use super::Obeyed;

/// The upper bounds of the classes that grace periods are counted in; what is longer is in a class of
/// its own.
pub const GRACE_BOUNDS: [Duration; 12] = [
    Duration::from_micros(1),
    Duration::from_micros(2),
    Duration::from_micros(5),
    Duration::from_micros(10),
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(100),
    Duration::from_secs(1),
];

/// Versions whose taking up is measured at one time. An lcore that stands still for longer than so
/// many publications is measured by the first of them.
const MEASURED: usize = 1_024;

/// How long grace periods were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grace {
    /// How many were at most as long as each of [`GRACE_BOUNDS`] and longer than the one before; at
    /// last how many were longer than all.
    pub counts: [u64; GRACE_BOUNDS.len() + 1],
    /// All together.
    pub sum: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Grace {
    /// How many were measured.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn add(&mut self, period: Duration) {
        let class = GRACE_BOUNDS.partition_point(|bound| *bound < period);
        self.counts[class] += 1;
        self.sum += period;
        self.longest = self.longest.max(period);
    }
}

/// How publications fare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Publications {
    /// Versions published since the start.
    pub published: u64,
    /// Versions but the newest that an lcore may still look at.
    pub waiting: u64,
    /// How long it took until the last lcore obeyed.
    pub grace: Grace,
}

/// Measures grace periods.
#[derive(Debug, Default)]
pub struct GraceTimes {
    /// Generations that not all lcores obey, with the time of publication; oldest first.
    pending: VecDeque<(u64, u64)>,
    grace: Grace,
}

impl GraceTimes {
    /// `generation` is published at `now`.
    pub fn published(&mut self, generation: u64, now: u64) {
        if self.pending.len() < MEASURED {
            self.pending.push_back((generation, now));
        }
    }

    /// What each lcore obeys. `duration` says how long a difference of two of its times is.
    pub fn obeyed(
        &mut self,
        lcores: impl Iterator<Item = Obeyed>,
        duration: impl Fn(u64) -> Duration,
    ) {
        let last = lcores.reduce(|one, other| Obeyed {
            generation: one.generation.min(other.generation),
            at: one.at.max(other.at),
        });
        let Some(last) = last else { return };
        while let Some(&(generation, published)) = self.pending.front()
            && generation <= last.generation
        {
            self.pending.pop_front();
            // The counters of two CPUs may differ by a few cycles.
            let period = last.at.saturating_sub(published);
            self.grace.add(duration(period));
        }
    }

    /// What was measured.
    pub const fn grace(&self) -> Grace {
        self.grace
    }
}
