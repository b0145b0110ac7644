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

mod diff;
mod monitor;
mod offline;
mod print;
mod request;
#[cfg(test)]
mod tests;
mod top;

pub use print::print;
pub use request::{Call, Layout};

/// How a verb ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// The input is wrong.
    Input,
    /// The command line is wrong.
    Usage,
    /// What was compared differs.
    Differ,
    /// The switch cannot be reached.
    Unreachable,
}

impl Exit {
    /// The exit code. 2, for a wrong command line, is clap's; for what differs, Open vSwitch's.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Input => 1,
            Self::Usage | Self::Differ => 2,
            Self::Unreachable => 3,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub enum VerbError {
    /// Text is wrong.
    #[error("{}", Diagnostic::list(.0))]
    Text(Vec<Diagnostic>),
    /// The command line is wrong in a way that its grammar does not tell.
    #[error("{0}")]
    Usage(String),
    /// What was compared differs, as was printed.
    #[error("they differ")]
    Differ,
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
            Self::Usage(_) => Exit::Usage,
            Self::Differ => Exit::Differ,
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
                _ if matches!(exit, Exit::Done | Exit::Differ) => Ok(()),
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
        Command::DiffFlows(args) => diff::run(&args, out),
        Command::Monitor(args) => monitor::run(args, out),
        Command::Top(args) => top::run(&args, out),
        Command::Replay(args) => Ok(writeln!(out, "{}", replay::run(&args)?)?),
        Command::Trace(args) if args.file().is_some() => offline::trace(&args, out),
        online => {
            let call = Call::new(online)?;
            print(call.layout, control::call(&call.socket, call.request)?, out)
        }
    }
}
