//! What the subcommands do, but for `run`, which needs DPDK.
//!
//! Results go to standard output, complaints to standard error, and the exit code says which
//! kind of complaint: [`Exit`].

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use crate::cli::Command;
use crate::control::{ClientError, FailureKind, call};
use crate::diagnostic::Diagnostic;

mod print;
mod request;
#[cfg(test)]
mod tests;

pub use print::print;
pub use request::{Call, Layout};

/// Exit codes. 2, for a wrong command line, is clap's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// The input is wrong.
    Input = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The switch cannot be reached.
    Unreachable = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub enum VerbError {
    /// Text is wrong.
    #[error(transparent)]
    Text(#[from] Diagnostic),
    /// The switch said no, or said nothing.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The result cannot be written.
    #[error("cannot write the result: {0}")]
    Output(#[from] io::Error),
}

impl VerbError {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Text(_) => Exit::Input,
            Self::Client(ClientError::Failed(failure)) if failure.kind == FailureKind::Input => {
                Exit::Input
            }
            Self::Client(_) => Exit::Unreachable,
            // Who closes the pipe early has seen enough.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Self::Output(_) => Exit::Input,
        }
    }
}

/// Executes `command`, which is not `run`, and reports what went wrong on standard error.
pub fn execute(command: Command) -> Exit {
    let mut out = BufWriter::new(io::stdout().lock());
    let done = attempt(command, &mut out).and_then(|()| Ok(out.flush()?));
    match done {
        Ok(()) => Exit::Done,
        Err(error) => {
            let exit = error.exit();
            // What was printed before the failure is still worth reading, and comes first.
            let _ = out.flush();
            if exit != Exit::Done {
                // There is nowhere to complain of standard error itself.
                let _ = writeln!(io::stderr(), "weir: {error}");
            }
            exit
        }
    }
}

fn attempt(command: Command, out: &mut dyn Write) -> Result<(), VerbError> {
    let Call {
        socket,
        request,
        layout,
    } = Call::new(command)?;
    print(layout, call(&socket, request)?, out)
}
