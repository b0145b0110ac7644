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
    let (sender, frames) = unbounded();
    std::thread::Builder::new()
        .name("replies".to_owned())
        .spawn(move || {
            let mut reader = BufReader::new(stream);
            loop {
                let frame = read_frame(&mut reader);
                let last = !matches!(&frame, Ok(frame) if !matches!(frame, Frame::Done));
                if sender.send(frame).is_err() || last {
                    return;
                }
            }
        })
        .map_err(unreachable)?;
    Ok(Replies {
        frames,
        not_sent: sent.err(),
        ended: false,
    })
}

/// The frames of an answer. They are read as fast as the switch writes them: a user who looks
/// at them page by page does not hold up the switch, which would cut off a slow reader.
#[derive(Debug)]
pub struct Replies {
    frames: Receiver<Result<Frame, ClientError>>,
    not_sent: Option<io::Error>,
    ended: bool,
}

impl Iterator for Replies {
    type Item = Result<Frame, ClientError>;

    /// The next frame; `None` after [`Frame::Done`], which is not given out.
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let frame = self.frames.recv().unwrap_or_else(|_| {
            Err(ClientError::Broken(
                "the connection ended before the answer did".to_owned(),
            ))
        });
        match frame {
            Ok(Frame::Done) => {
                self.ended = true;
                None
            }
            Ok(Frame::Failed(failure)) => {
                self.ended = true;
                Some(Err(ClientError::Failed(failure)))
            }
            Ok(frame) => Some(Ok(frame)),
            Err(error) => {
                self.ended = true;
                Some(Err(match self.not_sent.take() {
                    Some(error) => ClientError::Broken(error.to_string()),
                    None => error,
                }))
            }
        }
    }
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
