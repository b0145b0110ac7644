//! A program that runs in the background for as long as a value lives.

use std::fs::{self, File};
use std::io::Write;
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
    stdin: Option<ChildStdin>,
}

/// How a program is started.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// The program.
    pub program: &'a Path,
    /// The directory it runs in.
    pub dir: &'a Path,
    /// Variables in its environment.
    pub environment: &'a [(&'a str, &'a Path)],
    /// The CPU of the threads that do not choose one; `None`: any.
    pub cpu: Option<u16>,
}

impl Launch<'_> {
    /// As [`Daemon::start`].
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&self, arguments: &[String]) -> Result<Daemon, Failure> {
        let name = self.program.file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        let log = self.dir.join(format!("{name}.log"));
        let output = File::create(&log).map_err(Failure::path(&log))?;
        let errors = output.try_clone().map_err(Failure::path(&log))?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if let Some(cpu) = self.cpu {
            command.args(["taskset", "-c", &cpu.to_string()]);
        }
        let mut child = command
            .arg(self.program)
            .args(arguments)
            .envs(self.environment.iter().copied())
            .current_dir(self.dir)
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(Failure::io(&name))?;
        let stdin = child.stdin.take();
        Ok(Daemon {
            name,
            child,
            log,
            stdin,
        })
    }
}

impl Daemon {
    /// Starts `program` in `dir`; what it says goes to `DIR/PROGRAM.log`. It dies if this process
    /// does.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(program: &Path, dir: &Path, arguments: &[String]) -> Result<Self, Failure> {
        let launch = Launch {
            program,
            dir,
            environment: &[],
            cpu: None,
        };
        launch.start(arguments)
    }

    /// The file of what it says.
    pub fn log(&self) -> &Path {
        &self.log
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

    /// Writes `line` to its standard input.
    ///
    /// # Errors
    /// If it does not read it any more.
    pub fn say(&mut self, line: &str) -> Result<(), Failure> {
        let stdin = self.stdin.as_mut().expect("it is held open");
        let written = stdin.write_all(format!("{line}\n").as_bytes());
        written
            .and_then(|()| stdin.flush())
            .map_err(Failure::io(&self.name))
    }

    /// Waits until it has ended, and returns all that it said.
    ///
    /// # Errors
    /// If it does not end.
    pub fn last_words(&mut self) -> Result<String, Failure> {
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if begun.elapsed() > PATIENCE {
                return Err(self.failure("does not end"));
            }
            thread::sleep(PAUSE);
        }
        fs::read_to_string(&self.log).map_err(Failure::path(&self.log))
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
