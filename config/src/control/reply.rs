//! How the management thread answers without ever waiting for a client.
//!
//! Invariant: a queue has room for the frames that [`ReplySender::offer`] admits and two more,
//! so [`ReplySender::one`], `done` and `fail` never wait.

use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::{Failure, Frame};

/// Frames that may wait for a client before [`ReplySender::offer`] refuses more.
const WAITING: usize = 2;

enum Part {
    Frame(Frame),
    Stream(Box<dyn Iterator<Item = Frame> + Send>),
}

/// The way back to one client. Dropped without an end, it tells the client that the switch
/// stops.
///
/// A short answer is [`one`](Self::one) frame. A long one is either a
/// [`stream`](Self::stream), made on the client's own thread from what the iterator owns, or is
/// [`offer`](Self::offer)ed piece by piece between other work.
#[derive(Debug)]
pub struct ReplySender(Sender<Part>);

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Frame(frame) => frame.fmt(f),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// A frame that was not sent.
#[derive(Debug, PartialEq)]
pub enum Refused {
    /// The client has not read what it has yet; offer the frame again later.
    Full(Frame),
    /// Nobody waits for the answer.
    Abandoned,
}

impl ReplySender {
    /// Answers with one frame.
    pub fn one(self, frame: Frame) {
        self.put(frame);
        self.put(Frame::Done);
    }

    /// Answers that all went well.
    pub fn done(self) {
        self.put(Frame::Done);
    }

    /// Answers that it did not.
    pub fn fail(self, failure: Failure) {
        self.put(Frame::Failed(failure));
    }

    /// Answers with all of `frames`, each made on the client's thread when there is room for it.
    pub fn stream(self, frames: impl Iterator<Item = Frame> + Send + 'static) {
        let _ = self.0.try_send(Part::Stream(Box::new(frames)));
        self.put(Frame::Done);
    }

    /// Sends one of several frames, if the client is not behind.
    ///
    /// # Errors
    /// Gives the frame back if it is, or tells that the client is gone.
    pub fn offer(&self, frame: Frame) -> Result<(), Refused> {
        if self.0.len() >= WAITING {
            return Err(Refused::Full(frame));
        }
        self.0
            .try_send(Part::Frame(frame))
            .map_err(|_| Refused::Abandoned)
    }

    /// A failed send means that the client is gone, which is no concern of ours.
    fn put(&self, frame: Frame) {
        let _ = self.0.try_send(Part::Frame(frame));
    }
}

/// Where the frames come out.
pub(super) struct Answer {
    parts: Receiver<Part>,
    stream: Option<Box<dyn Iterator<Item = Frame> + Send>>,
}

/// A pair of ends.
pub(super) fn channel() -> (ReplySender, Answer) {
    let (sender, parts) = bounded(WAITING + 2);
    (
        ReplySender(sender),
        Answer {
            parts,
            stream: None,
        },
    )
}

impl Answer {
    /// The next frame, waiting for it at most `patience`. Always ends with an end frame.
    pub(super) fn next(&mut self, patience: Duration) -> Frame {
        loop {
            if let Some(frame) = self.stream.as_mut().and_then(Iterator::next) {
                return frame;
            }
            self.stream = None;
            match self.parts.recv_timeout(patience) {
                Ok(Part::Frame(frame)) => return frame,
                Ok(Part::Stream(stream)) => self.stream = Some(stream),
                Err(RecvTimeoutError::Timeout) => {
                    return Frame::Failed(Failure::unreachable("the switch does not answer"));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Frame::Failed(Failure::unreachable("the switch is stopping"));
                }
            }
        }
    }
}

/// A pair of ends for tests of those who answer; the answer ends with its end frame.
#[cfg(test)]
pub(crate) fn test_channel() -> (ReplySender, impl Iterator<Item = Frame> + Send) {
    let (sender, mut answer) = channel();
    let mut ended = false;
    let frames = std::iter::from_fn(move || {
        let frame = (!ended).then(|| answer.next(Duration::from_secs(10)))?;
        ended = matches!(frame, Frame::Done | Frame::Failed(_));
        Some(frame)
    });
    (sender, frames)
}
