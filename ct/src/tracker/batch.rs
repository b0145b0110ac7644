//! `ct()` for the packets of a burst: what is far away in memory is asked for for all of them
//! before the first one needs it.
//!
//! ```text
//! each: read headers, verify, hash --> ask for the index's bucket
//! each: look into the bucket       --> ask for the connection that is likely the packet's
//! each, in order: find by key, act
//! ```
//!
//! Invariants
//!   1. The first two stages write nothing, and the last one does for each packet what
//!      [`Tracker::execute`] does, in the order of the packets. So a burst has the outcome that
//!      its packets have one by one, also where they are of one connection.
//!
//! Cost: as for single packets, but that a burst waits for memory about twice, not once or twice
//! for each packet.

use weir_packet::{Frame, Layout, Tick};

use super::{Quest, Refusal, Tracker};
use crate::counters::Invalid;
use crate::extract::{self, Subject};
use crate::key::Key;
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
            let mut ahead = [const { None }; BURST];
            for (job, ahead) in jobs.iter().zip(&mut ahead) {
                *ahead = self.look_ahead(job);
            }
            for ahead in ahead.iter().flatten() {
                if let Some(hash) = ahead.hash {
                    self.table.prefetch_likely(hash);
                }
            }
            for (job, ahead) in jobs.iter_mut().zip(&mut ahead) {
                let (request, quest) = (&job.request, &mut Quest::default());
                let outcome = match ahead.take() {
                    Some(Ahead { subject, .. }) => self.judge(subject, request, quest, now),
                    None => self.attempt(job.frame, job.layout, request, quest, now),
                };
                job.outcome = outcome.map_err(Refusal::without_others);
            }
        }
    }

    /// What can be known of a packet before those that come before it are dealt with; `None` for
    /// one that has met a connection already.
    fn look_ahead<F: Frame>(&self, job: &Job<'_, F>) -> Option<Ahead> {
        if let Some(seen) = job.request.seen {
            self.table.prefetch_slot(seen.slot);
            return None;
        }
        let subject = extract::subject(job.frame, job.layout);
        let tuple = match &subject {
            Ok(Subject::Packet(tuple, _) | Subject::Error(tuple)) => Some(tuple),
            Ok(Subject::LinkControl(_)) | Err(_) => None,
        };
        let hash = tuple.map(|tuple| {
            let key = Key::new(tuple, job.request.zone);
            self.table.prefetch_bucket(&key)
        });
        Some(Ahead { subject, hash })
    }
}

/// Packets between which memory is asked for and needed: enough to hide its latency, and what is
/// asked for stays in the first cache.
const BURST: usize = 32;

struct Ahead {
    subject: Result<Subject, Invalid>,
    /// Of the key, if the packet has one.
    hash: Option<u64>,
}

#[cfg(test)]
mod tests;
