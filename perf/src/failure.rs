//! Why there is no figure.

use std::io;
use std::path::Path;
use std::process::Command;

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The operating system refused something.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// Why not.
        error: io::Error,
    },
    /// A program is not installed.
    #[error("{program} is not installed (Debian package {package})")]
    Absent {
        /// The program.
        program: String,
        /// Where it comes from.
        package: &'static str,
    },
    /// A program failed or said something unexpected; with its log.
    #[error("{0}")]
    Program(String),
    /// The run did not do what its scenario says, so its rate means nothing.
    #[error("the run proves nothing: {0}")]
    Unproven(String),
    /// Other programs took the worker's CPU.
    #[error("the worker had its CPU for {on_cpu_percent:.1} % of the time only")]
    Disturbed {
        /// Share of the time that the worker ran.
        on_cpu_percent: f64,
    },
}

impl Failure {
    /// Says what was tried when `error` came.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        |error| Self::Io { what, error }
    }

    /// Says that reading or writing `path` failed.
    pub fn path(path: &Path) -> impl FnOnce(io::Error) -> Self {
        Self::io(path.display().to_string())
    }
}

/// Runs `command` to its end and returns what it printed.
///
/// # Errors
/// If it cannot be started or fails; with what it said.
pub fn output_of(command: &mut Command) -> Result<String, Failure> {
    let program = Path::new(command.get_program()).display().to_string();
    let output = command.output().map_err(Failure::io(&program))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::Program(format!("{program}: {}", said.trim_end())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
