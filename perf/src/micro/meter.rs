//! Measures a piece of work in cycles and allocations per packet.
//!
//! Cycles are the thread's own processor time at the rate of the time stamp counter: what others
//! do on the CPU meanwhile does not count, though it may cost the work its caches.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use crate::compare::Spread;
use crate::processor::tsc_hz;

/// What something costs.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Cycles of the time stamp counter per packet, over the samples.
    pub cycles: Spread,
    /// Allocations, re-allocations included, per packet.
    pub allocations: f64,
}

/// How costs are measured.
pub struct Meter {
    /// How many allocations the process has made so far.
    pub allocations: fn() -> u64,
    /// How many samples are taken at most.
    pub samples: usize,
    /// After so long no more samples are taken, but at least [`LEAST_SAMPLES`].
    pub patience: Duration,
    /// A sample repeats the work until it took so long.
    pub least_sample: Duration,
    tsc_hz: f64,
}

/// A median of fewer says little.
pub const LEAST_SAMPLES: usize = 5;

impl Meter {
    /// A meter that asks `allocations` how many there were.
    pub fn new(allocations: fn() -> u64) -> Self {
        Self {
            allocations,
            samples: 31,
            patience: Duration::from_secs(3),
            least_sample: Duration::from_millis(5),
            tsc_hz: tsc_hz(),
        }
    }

    /// What `work` costs, which handles `packets` packets each time it is called.
    pub fn measure(&self, packets: u64, mut work: impl FnMut()) -> Cost {
        let begun = Instant::now();
        work();
        let once = begun.elapsed().max(Duration::from_nanos(1));
        let times = self.least_sample.div_duration_f64(once).ceil().max(1.0) as u64;
        self.sample(packets * times, || (), |()| (0..times).for_each(|_| work()))
    }

    /// What `work` costs on a value that `prepare` makes for each sample.
    pub fn measure_with<T>(
        &self,
        packets: u64,
        prepare: impl FnMut() -> T,
        work: impl FnMut(&mut T),
    ) -> Cost {
        self.sample(packets, prepare, work)
    }

    fn sample<T>(
        &self,
        packets: u64,
        mut prepare: impl FnMut() -> T,
        mut work: impl FnMut(&mut T),
    ) -> Cost {
        let mut allocations = 0;
        // Taken before, so that the list does not count.
        let mut cycles = Vec::with_capacity(self.samples.max(LEAST_SAMPLES));
        let begun = Instant::now();
        while cycles.len() < LEAST_SAMPLES
            || cycles.len() < self.samples && begun.elapsed() < self.patience
        {
            let mut value = prepare();
            let before = (self.allocations)();
            let from = processor_time();
            work(&mut value);
            let span = processor_time() - from;
            allocations += (self.allocations)() - before;
            cycles.push(span.as_secs_f64() * self.tsc_hz / packets as f64);
        }
        let packets = packets * cycles.len() as u64;
        Cost {
            cycles: Spread::of(cycles).expect("there are samples"),
            allocations: allocations as f64 / packets as f64,
        }
    }
}

/// Processor time of this thread so far.
fn processor_time() -> Duration {
    let clock = ClockId::CLOCK_THREAD_CPUTIME_ID;
    clock_gettime(clock).map_or(Duration::ZERO, Duration::from)
}
