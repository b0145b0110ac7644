//! A program that runs in the background for as long as a value lives.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::failure::Failure;

/// How long a program has to come up, or to end, before it is given up.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(10);

/// A running program. Dropping it ends it: SIGTERM, so that it cleans up; SIGKILL if it does
/// not.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    log: PathBuf,
    /// Held open: some programs end when their standard input does.
    _stdin: Option<ChildStdin>,
}

impl Daemon {
    /// Starts `program`; what it says goes to `DIR/PROGRAM.log`. It dies if this process does.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(program: &Path, dir: &Path, arguments: &[String]) -> Result<Self, Failure> {
        Self::start_with(program, dir, &[], arguments)
    }

    /// As [`Self::start`], with variables in its environment.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_with(
        program: &Path,
        dir: &Path,
        environment: &[(&str, &Path)],
        arguments: &[String],
    ) -> Result<Self, Failure> {
        let name = program
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let log = dir.join(format!("{name}.log"));
        let output = File::create(&log).map_err(Failure::path(&log))?;
        let errors = output.try_clone().map_err(Failure::path(&log))?;
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .current_dir(dir)
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(Failure::io(&name))?;
        let stdin = child.stdin.take();
        Ok(Self {
            name,
            child,
            log,
            _stdin: stdin,
        })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Calls `ready` until it gives something.
    ///
    /// # Errors
    /// If the program ends or does not get there; with its log.
    pub fn wait_until<T>(
        &mut self,
        what: &str,
        mut ready: impl FnMut() -> Option<T>,
    ) -> Result<T, Failure> {
        let begun = Instant::now();
        loop {
            if let Some(value) = ready() {
                return Ok(value);
            }
            let ended = self.child.try_wait().map_err(Failure::io(&self.name))?;
            if let Some(status) = ended {
                return Err(self.failure(&format!("ended ({status}) before {what}")));
            }
            if begun.elapsed() > PATIENCE {
                return Err(self.failure(&format!("not {what} after {PATIENCE:?}")));
            }
            thread::sleep(PAUSE);
        }
    }

    /// A complaint about the program, with the end of its log.
    pub fn failure(&self, message: &str) -> Failure {
        const LINES: usize = 20;
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(LINES)..].join("\n  ");
        Failure::Program(format!("{}: {message}\n  {tail}", self.name))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself, which is what is wanted.
        if let Ok(id) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
        }
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(PAUSE);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
