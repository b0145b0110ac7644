//! Questions of the management thread, answered by an lcore between two bursts. `Q` is a question, `A`
//! its answer.
//!
//! Cost for the lcore: one load per pass while nobody asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use weir_tables::datapath::LcoreGone;

#[cfg(test)]
mod tests;

/// The management thread's end. Questions and answers are numbered, so that an answer that
/// came too late is not taken for another question's.
pub(crate) struct Mailbox<Q, A> {
    asked: Arc<AtomicU64>,
    number: u64,
    questions: Sender<(u64, Q)>,
    answers: Receiver<(u64, A)>,
}

/// The lcore's end.
pub(crate) struct Inbox<Q, A> {
    asked: Arc<AtomicU64>,
    /// The number of the last question taken.
    taken: u64,
    questions: Receiver<(u64, Q)>,
    answers: Sender<(u64, A)>,
}

/// Both ends.
pub(crate) fn pair<Q, A>() -> (Mailbox<Q, A>, Inbox<Q, A>) {
    let asked = Arc::new(AtomicU64::new(0));
    let (questions, to_lcore) = bounded(1);
    // One answer that nobody waited for, and the one waited for.
    let (from_lcore, answers) = bounded(2);
    let mailbox = Mailbox {
        asked: Arc::clone(&asked),
        number: 0,
        questions,
        answers,
    };
    (
        mailbox,
        Inbox {
            asked,
            taken: 0,
            questions: to_lcore,
            answers: from_lcore,
        },
    )
}

impl<Q, A> Mailbox<Q, A> {
    /// Asks, and waits for the answer at most `patience`.
    ///
    /// # Errors
    /// [`LcoreGone`] if there is none by then.
    pub(crate) fn ask(&mut self, request: Q, patience: Duration) -> Result<A, LcoreGone> {
        self.answers.try_iter().for_each(drop);
        self.number += 1;
        self.questions
            .send_timeout((self.number, request), patience)
            .map_err(|_| LcoreGone)?;
        self.asked.store(self.number, Ordering::Release);
        loop {
            let (number, answer) = self.answers.recv_timeout(patience).map_err(|_| LcoreGone)?;
            if number == self.number {
                return Ok(answer);
            }
        }
    }
}

impl<Q, A> Inbox<Q, A> {
    /// Answers one question, if there is one.
    #[inline]
    pub(crate) fn answer(&mut self, answer: impl FnOnce(Q) -> A) {
        if self.asked.load(Ordering::Acquire) == self.taken {
            return;
        }
        if let Ok((number, request)) = self.questions.try_recv() {
            self.taken = number;
            // There is room: at most one question was given up while it was being answered.
            let _ = self.answers.try_send((number, answer(request)));
        }
    }
}
