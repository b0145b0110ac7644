//! `ct()` for the packets of a burst: what is far away in memory is asked for for all of them
//! before the first one needs it.
//!
//! ```text
//! each: read headers, verify, hash
//! each:                            --> ask for the index's buckets, and the lease
//! each: look into the bucket       --> ask for the connection that is likely the packet's
//! each, in order: find by key, act
//! ```
//!
//! Invariants
//!   1. The first three stages write nothing, and the last one does for each packet what
//!      [`Tracker::execute`] does, in the order of the packets. So a burst has the outcome that
//!      its packets have one by one, also where they are of one connection.
//!
//! Cost: as for single packets, but that a burst waits for memory about twice, not once or twice
//! for each packet.

use weir_packet::{Frame, Layout, Tick};

use super::{Likely, Reading, Tracker};
use crate::request::{CtDrop, Outcome, Request};

/// One packet's `ct()`.
#[derive(Debug)]
pub struct Job<'a, F> {
    /// The packet.
    pub frame: &'a F,
    /// Its headers.
    pub layout: &'a Layout,
    /// What is asked for.
    pub request: Request<'a>,
    /// What came of it.
    pub outcome: Result<Outcome, CtDrop>,
}

impl<'a, F> Job<'a, F> {
    /// To be executed.
    pub fn new(frame: &'a F, layout: &'a Layout, request: Request<'a>) -> Self {
        Self {
            frame,
            layout,
            request,
            outcome: Ok(Outcome::default()),
        }
    }
}

impl Tracker {
    /// Executes one `ct(...)` for each of several packets, in their order, as if each had been
    /// given to [`Tracker::execute`]; the results are written into `jobs`. No packet is changed
    /// before all are done, so none may be in `jobs` twice for two `ct(...)` that follow each
    /// other.
    pub fn execute_batch<F: Frame>(&mut self, jobs: &mut [Job<'_, F>], now: Tick) {
        for jobs in jobs.chunks_mut(BURST) {
            let mut readings = [const { None }; BURST];
            for (job, reading) in jobs.iter().zip(&mut readings) {
                match job.request.seen {
                    Some(seen) => self.table.prefetch_slot(seen.slot),
                    None => {
                        let reading = reading.insert(Reading::of(job.frame, job.layout));
                        self.look_ahead_in(job.request.zone, reading, None);
                    }
                }
            }
            for reading in readings.iter().flatten() {
                self.ask_ahead(reading);
            }
            let mut new = 0;
            for reading in readings.iter().flatten() {
                new += u32::from(self.look_closer(reading, new) == Likely::New);
            }
            for (job, reading) in jobs.iter_mut().zip(&mut readings) {
                let (frame, layout, request) = (job.frame, job.layout, &job.request);
                let mut outcome = Outcome::default();
                if request.seen.is_none() {
                    self.begin_packet();
                }
                let done = self.execute_read(frame, layout, reading, request, &mut outcome, now);
                job.outcome = done.map(|()| outcome);
            }
        }
    }
}

/// Packets between which memory is asked for and needed: enough to hide its latency, and what is
/// asked for stays in the first cache.
const BURST: usize = 32;

#[cfg(test)]
pub(super) mod tests;
