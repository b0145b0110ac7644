//! Measures a piece of work in cycles and allocations per packet.

use std::time::{Duration, Instant};

use quanta::Clock;

use crate::compare::Spread;

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
    /// How many samples are taken.
    pub samples: usize,
    /// A sample repeats the work until it took so long.
    pub least_sample: Duration,
    clock: Clock,
}

impl Meter {
    /// A meter that asks `allocations` how many there were.
    pub fn new(allocations: fn() -> u64) -> Self {
        Self {
            allocations,
            samples: 15,
            least_sample: Duration::from_millis(10),
            clock: Clock::new(),
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
        let mut cycles = Vec::with_capacity(self.samples);
        for _ in 0..self.samples {
            let mut value = prepare();
            let before = (self.allocations)();
            let from = self.clock.raw();
            work(&mut value);
            let to = self.clock.raw();
            allocations += (self.allocations)() - before;
            cycles.push((to - from) as f64 / packets as f64);
        }
        let packets = packets * self.samples as u64;
        Cost {
            cycles: Spread::of(cycles).expect("there are samples"),
            allocations: allocations as f64 / packets as f64,
        }
    }
}
