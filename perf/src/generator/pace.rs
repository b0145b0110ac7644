//! When to send how much.

/// Packets per second, counted in cycles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Packets per cycle; `None`: as many as there is room for.
    per_cycle: Option<f64>,
    sent: u64,
}

impl Pace {
    /// So many packets per second of a clock with `hz` cycles; `None`: as many as there is room
    /// for.
    pub(super) fn new(rate: Option<u64>, hz: u64) -> Self {
        Self {
            per_cycle: rate.map(|rate| rate as f64 / hz as f64),
            sent: 0,
        }
    }

    /// How many packets are due `cycles` after the start, `most` at once.
    pub(super) fn due(&self, cycles: u64, most: usize) -> usize {
        let Some(per_cycle) = self.per_cycle else {
            return most;
        };
        let due = (cycles as f64 * per_cycle) as u64;
        usize::try_from(due.saturating_sub(self.sent)).map_or(most, |due| due.min(most))
    }

    /// So many have had their turn.
    pub(super) fn took(&mut self, packets: usize) {
        self.sent += packets as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept() {
        let mut pace = Pace::new(Some(1_000), 1_000_000);
        let mut sent = 0;
        for cycles in (0..=1_000_000).step_by(10) {
            let due = pace.due(cycles, 32);
            assert!(due <= 1, "{due} at {cycles}");
            pace.took(due);
            sent += due;
        }
        assert_eq!(sent, 1_000);
        // What was missed is made up for, but not all at once.
        assert_eq!(pace.due(2_000_000, 32), 32);
    }

    #[test]
    fn without_a_rate_all_is_due() {
        assert_eq!(Pace::new(None, 1).due(0, 32), 32);
    }
}
