//! What the subcommands do, but for `run`, which needs DPDK.
//!
//! Results go to standard output, complaints to standard error, and the exit code says which
//! kind of complaint: [`Exit`].

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use crate::cli::Command;
use crate::control::{self, ClientError, FailureKind};
use crate::diagnostic::Diagnostic;
use crate::replay::{self, ReplayError};

mod monitor;
mod offline;
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
    #[error("{}", Diagnostic::list(.0))]
    Text(Vec<Diagnostic>),
    /// A replay failed.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The switch said no, or said nothing.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The result cannot be written.
    #[error("cannot write the result: {0}")]
    Output(#[from] io::Error),
}

impl From<Diagnostic> for VerbError {
    fn from(error: Diagnostic) -> Self {
        Self::Text(vec![error])
    }
}

impl VerbError {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Text(_) | Self::Replay(_) => Exit::Input,
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
            // There is nowhere to complain of standard error itself.
            let _ = match &error {
                // Begins with FILE:LINE:COLUMN, where editors look for it.
                VerbError::Text(_) | VerbError::Client(ClientError::Failed(_)) => {
                    writeln!(io::stderr(), "{error}")
                }
                _ if exit == Exit::Done => Ok(()),
                _ => writeln!(io::stderr(), "weir: {error}"),
            };
            exit
        }
    }
}

fn attempt(command: Command, out: &mut dyn Write) -> Result<(), VerbError> {
    match command {
        Command::Check(args) => offline::check(&args.config, out),
        Command::ParseFlows(args) => offline::parse_flows(&args.file, out),
        Command::Monitor(args) => monitor::run(args, out),
        Command::Replay(args) => Ok(writeln!(out, "{}", replay::run(&args)?)?),
        Command::Trace(args) if args.file().is_some() => offline::trace(&args, out),
        online => {
            let call = Call::new(online)?;
            print(call.layout, control::call(&call.socket, call.request)?, out)
        }
    }
}
