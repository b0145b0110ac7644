//! A verb's end of the control socket.

use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crossbeam_channel::{Receiver, unbounded};

use super::{Envelope, Failure, Frame, Request, VERSION};

/// Longest frame accepted, in bytes.
const FRAME_SIZE: u64 = 64 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there, or may not be spoken to.
    #[error("cannot reach the switch at {}: {error}", path.display())]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The answer broke off, or is not one.
    #[error("the switch's answer broke off: {0}")]
    Broken(String),
    /// The switch refused.
    #[error("{}", .0.message)]
    Failed(Failure),
}

/// Sends `request` to the switch that listens at `path`.
///
/// # Errors
/// If it cannot be reached. Whatever the switch says comes out of [`Replies`].
pub fn call(path: &Path, request: Request) -> Result<Replies, ClientError> {
    let unreachable = |error| ClientError::Unreachable {
        path: path.to_owned(),
        error,
    };
    let mut stream = UnixStream::connect(path).map_err(unreachable)?;
    let envelope = Envelope {
        version: VERSION,
        request,
    };
    let mut line = serde_json::to_vec(&envelope).expect("text keys and numbers only");
    line.push(b'\n');
    // A switch that cuts us off still says why: read that rather than report a broken pipe.
    let sent = stream.write_all(&line);
    Ok(Replies {
        source: Source::Here(BufReader::new(stream)),
        not_sent: sent.err(),
    })
}

/// The frames of an answer. They are read as fast as the switch writes them: a user who looks
/// at them page by page does not hold up the switch, which would cut off a slow reader. What comes behind the
/// first, and has not come with it, is read by a thread of its own; who is only told that all went well needs none.
#[derive(Debug)]
pub struct Replies {
    source: Source,
    not_sent: Option<io::Error>,
}

/// Where the next frame comes from.
#[derive(Debug)]
enum Source {
    /// It is read when it is asked for.
    Here(BufReader<UnixStream>),
    /// A thread reads it.
    Thread(Receiver<Result<Frame, ClientError>>),
    /// There is none.
    Ended,
}

impl Source {
    fn next(&mut self) -> Option<Result<Frame, ClientError>> {
        let ended = || {
            Err(ClientError::Broken(
                "the connection ended before the answer did".to_owned(),
            ))
        };
        match std::mem::replace(self, Self::Ended) {
            Self::Here(mut reader) => {
                let frame = read_frame(&mut reader);
                if !is_last(&frame) {
                    *self = match has_frame(&reader) {
                        true => Self::Here(reader),
                        false => match read_on(reader) {
                            Ok(frames) => Self::Thread(frames),
                            Err(error) => return Some(Err(ClientError::Broken(error.to_string()))),
                        },
                    };
                }
                Some(frame)
            }
            Self::Thread(frames) => {
                let frame = frames.recv().unwrap_or_else(|_| ended());
                if !is_last(&frame) {
                    *self = Self::Thread(frames);
                }
                Some(frame)
            }
            Self::Ended => None,
        }
    }
}

impl Iterator for Replies {
    type Item = Result<Frame, ClientError>;

    /// The next frame; `None` after [`Frame::Done`], which is not given out.
    fn next(&mut self) -> Option<Self::Item> {
        match self.source.next()? {
            Ok(Frame::Done) => None,
            Ok(Frame::Failed(failure)) => Some(Err(ClientError::Failed(failure))),
            Ok(frame) => Some(Ok(frame)),
            Err(error) => Some(Err(match self.not_sent.take() {
                Some(error) => ClientError::Broken(error.to_string()),
                None => error,
            })),
        }
    }
}

/// Whether the answer ends with it.
const fn is_last(frame: &Result<Frame, ClientError>) -> bool {
    matches!(frame, Err(_) | Ok(Frame::Done | Frame::Failed(_)))
}

/// Whether another frame has come whole already.
fn has_frame(reader: &BufReader<UnixStream>) -> bool {
    reader.buffer().contains(&b'\n')
}

/// Reads the frames that come, on a thread of its own.
fn read_on(mut reader: BufReader<UnixStream>) -> io::Result<Receiver<Result<Frame, ClientError>>> {
    let (sender, frames) = unbounded();
    std::thread::Builder::new()
        .name("replies".to_owned())
        .spawn(move || {
            loop {
                let frame = read_frame(&mut reader);
                let last = is_last(&frame);
                if sender.send(frame).is_err() || last {
                    return;
                }
            }
        })?;
    Ok(frames)
}

fn read_frame(reader: &mut impl BufRead) -> Result<Frame, ClientError> {
    let broken = |error: &dyn std::fmt::Display| ClientError::Broken(error.to_string());
    let mut line = Vec::new();
    reader
        .take(FRAME_SIZE)
        .read_until(b'\n', &mut line)
        .map_err(|error| broken(&error))?;
    if line.last() != Some(&b'\n') {
        return Err(broken(&"the connection ended before the answer did"));
    }
    serde_json::from_slice(&line).map_err(|error| broken(&error))
}
