//! The daemons of a private Open vSwitch, with all their files in a temporary directory, and the programs
//! that speak to them.

use std::fs::File;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::OvsError;

/// Where Debian keeps the schema of the switch's database.
const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// How long a daemon may take to come up.
const START: Duration = Duration::from_secs(15);

/// `ovsdb-server` and `ovs-vswitchd`. Dropping them kills them and removes their directory.
pub(crate) struct Daemons {
    dir: TempDir,
    // Fields are dropped in order of declaration: the switch before its database.
    _switch: Daemon,
    _database: Daemon,
}

impl Daemons {
    /// Starts both and waits until they answer: the switch with these options, and behind the words
    /// `prefix`, which run it elsewhere. `set` are settings of the whole switch.
    ///
    /// # Errors
    /// [`OvsError::Absent`] if Open vSwitch is not installed; otherwise what went wrong, with
    /// the daemon's log.
    pub(crate) fn start(prefix: &[&str], options: &[&str], set: &[&str]) -> Result<Self, OvsError> {
        for program in [
            "ovsdb-tool",
            "ovsdb-server",
            "ovs-vswitchd",
            "ovs-vsctl",
            "ovs-ofctl",
        ] {
            if find(program).is_none() {
                return Err(OvsError::Absent(program.to_owned()));
            }
        }
        let dir = tempfile::Builder::new().prefix("weir-ovs-").tempdir()?;
        let at = |name: &str| dir.path().join(name).display().to_string();
        let (database, socket) = (at("conf.db"), at("db.sock"));
        checked(
            command(dir.path(), "ovsdb-tool").args(["create", &database, SCHEMA]),
            "",
        )?;
        let database = Daemon::start(
            command(dir.path(), "setpriv")
                .args(["--pdeathsig", "KILL", "ovsdb-server", "--no-chdir"])
                .arg(format!("--unixctl={}", at("ovsdb.ctl")))
                .arg(format!("--remote=punix:{socket}"))
                .arg(&database),
            dir.path().join("ovsdb.log"),
        )?;
        database.wait_for(Path::new(&socket))?;
        let mut begin = vec!["--no-wait", "init"];
        if !set.is_empty() {
            begin.extend(["--", "set", "Open_vSwitch", "."]);
            begin.extend(set);
        }
        vsctl_in(dir.path(), &begin)?;
        let words = [
            "setpriv",
            "--pdeathsig",
            "KILL",
            "ovs-vswitchd",
            "--no-chdir",
        ];
        let words = [prefix, &words].concat();
        let control = at("vswitchd.ctl");
        let switch = Daemon::start(
            command(dir.path(), words[0])
                .args(&words[1..])
                .arg("--disable-system")
                .args(options)
                .arg(format!("--unixctl={control}"))
                .arg(format!("unix:{socket}")),
            dir.path().join("vswitchd.log"),
        )?;
        switch.wait_for(Path::new(&control))?;
        Ok(Self {
            dir,
            _switch: switch,
            _database: database,
        })
    }

    /// Where both keep their files.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where the switch listens for `ovs-appctl`.
    pub(crate) fn control(&self) -> PathBuf {
        self.dir.path().join("vswitchd.ctl")
    }

    /// What the switch said.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("vswitchd.log")).unwrap_or_default()
    }

    /// Changes the database, and waits until the switch has done so.
    ///
    /// # Errors
    /// What `ovs-vsctl` says.
    pub(crate) fn vsctl(&self, arguments: &[&str]) -> Result<String, OvsError> {
        vsctl_in(self.dir.path(), arguments)
    }

    /// What `ovs-ofctl` says of a bridge, in this version of OpenFlow.
    ///
    /// # Errors
    /// What it says when it fails.
    pub(crate) fn ofctl(
        &self,
        bridge: &str,
        version: &str,
        verb: &[&str],
        arguments: &[&str],
        input: &str,
    ) -> Result<String, OvsError> {
        let socket = self.dir.path().join(format!("{bridge}.mgmt"));
        checked(
            command(self.dir.path(), "ovs-ofctl")
                .args(["-O", version])
                .args(verb)
                .arg(format!("unix:{}", socket.display()))
                .args(arguments),
            input,
        )
    }
}

fn vsctl_in(dir: &Path, arguments: &[&str]) -> Result<String, OvsError> {
    let database = format!("--db=unix:{}", dir.join("db.sock").display());
    checked(command(dir, "ovs-vsctl").arg(database).args(arguments), "")
}

/// A daemon that dies with this value.
struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    fn start(command: &mut Command, log: PathBuf) -> Result<Self, OvsError> {
        let output = File::create(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        Ok(Self { child, log })
    }

    fn wait_for(&self, path: &Path) -> Result<(), OvsError> {
        let begun = Instant::now();
        // The path is there before anybody listens.
        while UnixStream::connect(path).is_err() {
            if begun.elapsed() > START {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                let message = format!("nobody listens at {}:\n{}", path.display(), tail(&log));
                return Err(OvsError::Failed(message));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Either fails only if the daemon is already gone, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program of Open vSwitch that keeps all its files in `dir`.
pub(crate) fn command(dir: &Path, program: &str) -> Command {
    let mut command = Command::new(find(program).unwrap_or_else(|| program.into()));
    for variable in ["OVS_RUNDIR", "OVS_DBDIR", "OVS_SYSCONFDIR", "OVS_LOGDIR"] {
        command.env(variable, dir);
    }
    command
        .env("PATH", search_path())
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .current_dir(dir);
    if matches!(program, "ovs-appctl" | "ovs-ofctl" | "ovs-vsctl") {
        // A daemon that died answers nobody.
        command.arg("--timeout=60");
    }
    command
}

/// Where programs are looked for: a user's `PATH` need not have the administrator's folders.
fn search_path() -> String {
    format!(
        "{}:/usr/sbin:/sbin",
        std::env::var("PATH").unwrap_or_default()
    )
}

fn find(program: &str) -> Option<PathBuf> {
    search_path()
        .split(':')
        .map(|dir| Path::new(dir).join(program))
        .find(|path| path.is_file())
}

/// Runs a command to its end with `input` on its standard input; returns what it printed.
pub(crate) fn checked(command: &mut Command, input: &str) -> Result<String, OvsError> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().expect("standard input is piped");
    stdin.write_all(input.as_bytes())?;
    drop(stdin);
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let error = String::from_utf8_lossy(&output.stderr);
    let program = Path::new(command.get_program()).display().to_string();
    Err(OvsError::Failed(format!(
        "{program}: {}{}",
        text,
        error.trim_end()
    )))
}

/// The last lines of a log.
pub(super) fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
