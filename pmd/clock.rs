//! The cycle counter as a clock.
//!
//! One reading costs about 20 cycles and no system call, so a worker reads it once per pass and
//! hands the time down.
//!
//! Invariants: all clocks made by copying count from the same start, on every lcore; this needs
//! an invariant TSC that is the same on all CPUs (x86-64 since 2008; the generic timer on
//! `AArch64`), as DPDK itself does.

use std::time::Duration;

use weir_packet::Tick;

use crate::dpdk_sys as ffi;
use crate::eal::Eal;

/// A number of cycles, or a reading of the counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cycles(pub u64);

impl Cycles {
    /// Cycles passed since `earlier`; zero if that lies in the future (another CPU's counter may
    /// be ahead by a few).
    #[inline]
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

/// The counter with its start and frequency.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Cycles,
    hz: u64,
    /// Milliseconds per cycle times 2^64.
    scale: u64,
}

impl Clock {
    /// Starts at [`Tick::ZERO`] now, with the frequency that EAL found at its start.
    pub fn start(_eal: &Eal) -> Self {
        // SAFETY: EAL runs, so the frequency is known.
        let hz = unsafe { ffi::rte_get_tsc_hz() };
        Self::with_frequency(cycles(), hz)
    }

    /// Reads the counter.
    #[inline]
    pub fn cycles(&self) -> Cycles {
        cycles()
    }

    /// The time at a reading, in milliseconds since the start.
    #[inline]
    pub const fn tick_at(&self, reading: Cycles) -> Tick {
        let passed = reading.since(self.start).0;
        // The high half of a product of 64 by 64 bits, which cannot overflow. The scale is rounded
        // down, which loses one millisecond in 2^64 cycles.
        Tick::from_millis(((passed as u128 * self.scale as u128) >> 64) as u64)
    }

    /// How long a number of cycles takes.
    pub fn duration(&self, cycles: Cycles) -> Duration {
        let nanos = u128::from(cycles.0) * NANOS_PER_SECOND / u128::from(self.hz);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Cycles per second.
    pub const fn hz(&self) -> u64 {
        self.hz
    }

    pub(crate) const fn with_frequency(start: Cycles, hz: u64) -> Self {
        // At least 1 kHz, or a millisecond is less than a cycle; no such counter exists.
        assert!(hz > MILLIS_PER_SECOND as u64);
        let scale = ((MILLIS_PER_SECOND << 64) / hz as u128) as u64;
        Self { start, hz, scale }
    }
}

#[inline]
fn cycles() -> Cycles {
    // SAFETY: reads a register.
    Cycles(unsafe { ffi::weir_cycles() })
}

const MILLIS_PER_SECOND: u128 = 1_000;
const NANOS_PER_SECOND: u128 = 1_000_000_000;

#[cfg(test)]
mod tests;
