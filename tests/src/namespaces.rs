//! What tests with real hosts share: the switch, the hosts, and what they do.
//!
//! Each test has namespaces of its own, so tests run beside each other.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use serde_json::Value;
use tempfile::TempDir;
use weir_config::control::{Frame, Request, Verb, call};

mod letters;
mod meet;
mod ovs;
mod part;
mod routers;

pub use ovs::{FarEnd, OvsHost};
pub use part::{Part, play};
pub use routers::{Addresses, Routers, V4, V6};

/// How long the switch may take to start and to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// The binary to test: `WEIR_BIN`, or `weir` beside the tests. `None`, having said so, where
/// something is missing for it.
///
/// # Panics
/// With `CI=true`, instead of `None`.
pub fn weir_binary() -> Option<PathBuf> {
    weir_binary_and(&[])
}

/// As [`weir_binary`], for hosts that have these programs, too; each with arguments with which it does
/// nothing.
///
/// # Panics
/// As that.
pub fn weir_binary_and(programs: &[&[&str]]) -> Option<PathBuf> {
    match find_binary(programs) {
        Ok(binary) => Some(binary),
        Err(why) => {
            eprintln!("SKIPPED: {why}");
            let is_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
            assert!(!is_ci, "{why}");
            None
        }
    }
}

/// The binary, or what is missing for it.
fn find_binary(programs: &[&[&str]]) -> Result<PathBuf, String> {
    if !geteuid().is_root() {
        return Err("network namespaces need root".to_owned());
    }
    if !Path::new("/dev/net/tun").exists() {
        return Err("there is no /dev/net/tun".to_owned());
    }
    for program in [&[&["ip", "-V"][..], &["ping", "-V"]], programs].concat() {
        let words = program.join(" ");
        let done = Command::new(program[0]).args(&program[1..]).output();
        let done = done.map_err(|error| format!("{words}: {error}"))?;
        if !done.status.success() {
            return Err(format!("{words}: {}", text(&done)));
        }
    }
    if let Some(weir) = std::env::var_os("WEIR_BIN") {
        return Ok(weir.into());
    }
    // target/PROFILE/deps/TEST-HASH
    let tests = std::env::current_exe().map_err(|error| error.to_string())?;
    let profile = tests.parent().and_then(Path::parent);
    let beside = profile.ok_or("a test without a folder")?.join("weir");
    if beside.exists() {
        return Ok(beside);
    }
    let beside = beside.display();
    Err(format!("no binary {beside}: cargo build --bin weir"))
}

/// Two CPUs that this process may run on.
///
/// # Panics
/// If there are no two.
pub fn two_cpus() -> [usize; 2] {
    let pid = Pid::from_raw(0);
    let cpus = nix::sched::sched_getaffinity(pid).expect("the process has an affinity");
    let mut allowed = (0..nix::sched::CpuSet::count()).filter(|&cpu| cpus.is_set(cpu) == Ok(true));
    let both = [allowed.next(), allowed.next()];
    both.map(|cpu| cpu.expect("the test needs two CPUs"))
}

/// Runs `ip`.
///
/// # Panics
/// If it fails, with what it said.
pub fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output();
    let output = output.expect("ip can be run");
    let words = arguments.join(" ");
    assert!(output.status.success(), "ip {words}: {}", text(&output));
}

/// All that a program said.
pub fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    let (out, err) = (String::from_utf8_lossy(out), String::from_utf8_lossy(err));
    format!("{out}{err}")
}

/// A switch in a namespace of its own, and namespaces for hosts at its ports. All go with it.
#[derive(Debug)]
pub struct Lab {
    prefix: String,
    hosts: Vec<&'static str>,
    folder: TempDir,
    binary: PathBuf,
    switch: Child,
}

impl Lab {
    /// Runs the first of `files`, a configuration; the others lie beside it. Makes a namespace for
    /// each of `hosts`.
    ///
    /// # Panics
    /// If the switch does not start within half a minute, with its log.
    pub fn start(
        binary: PathBuf,
        name: &str,
        files: &[(&str, &str)],
        hosts: &[&'static str],
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).expect("a file");
        }
        let config = folder.path().join(files[0].0);
        Self::run(binary, name, Some(&config), folder, hosts)
    }

    /// Runs `examples/NAME.toml` where it lies.
    ///
    /// # Panics
    /// As [`Lab::start`].
    pub fn start_example(binary: PathBuf, name: &str, hosts: &[&'static str]) -> Self {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        let config = examples.join(format!("{name}.toml"));
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::run(binary, name, Some(&config), folder, hosts)
    }

    /// Runs the embedded default.
    ///
    /// # Panics
    /// As [`Lab::start`].
    pub fn start_default(binary: PathBuf, name: &str, hosts: &[&'static str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::run(binary, name, None, folder, hosts)
    }

    fn run(
        binary: PathBuf,
        name: &str,
        config: Option<&Path>,
        folder: TempDir,
        hosts: &[&'static str],
    ) -> Self {
        // Tests of one process run side by side.
        static LABS: AtomicU32 = AtomicU32::new(0);
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("weir-{name}-{}-{number}", std::process::id());
        for host in ["switch"].iter().chain(hosts) {
            ip(&["netns", "add", &format!("{prefix}-{host}")]);
        }
        let log = File::create(folder.path().join("log")).expect("a log");
        let switch = Command::new("ip")
            .args(["netns", "exec", &format!("{prefix}-switch")])
            .arg(&binary)
            .arg("run")
            .args(config)
            .arg("--socket")
            .arg(folder.path().join("weir.sock"))
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("ip can be run");
        let mut lab = Self {
            prefix,
            hosts: hosts.to_vec(),
            folder,
            binary,
            switch,
        };
        let until = Instant::now() + PATIENCE;
        while !lab.socket().exists() {
            let ended = lab.switch.try_wait().expect("a child");
            assert!(ended.is_none(), "the switch ended: {}", lab.log());
            assert!(Instant::now() < until, "no switch: {}", lab.log());
            sleep(Duration::from_millis(50));
        }
        lab
    }

    /// The switch's process.
    pub fn pid(&self) -> u32 {
        // `ip netns exec` has become the switch.
        self.switch.id()
    }

    /// Writes a file beside the configuration, or another configuration.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self, file: &str, text: &str) {
        std::fs::write(self.folder.path().join(file), text).expect("a file");
    }

    /// Gives a port of the switch to a host, with these addresses.
    pub fn place(&self, device: &str, host: &str, mac: &str, address: &str) {
        self.plug(device, host, mac);
        self.address(host, device, address);
    }

    /// Gives a port of the switch to a host, with this MAC address.
    pub fn plug(&self, device: &str, host: &str, mac: &str) {
        let (switch, name) = (self.name("switch"), self.name(host));
        ip(&["-n", &switch, "link", "set", device, "netns", &name]);
        ip(&["-n", &name, "link", "set", device, "address", mac, "up"]);
    }

    /// Joins a new device of one host to one of another.
    pub fn cable(&self, (one, device): (&str, &str), (other, far_device): (&str, &str)) {
        let (one, other) = (self.name(one), self.name(other));
        let far = ["peer", "name", far_device, "netns", &other];
        let cable = ["-n", &one, "link", "add", device, "type", "veth"];
        ip(&[&cable, &far[..]].concat());
        ip(&["-n", &one, "link", "set", device, "up"]);
        ip(&["-n", &other, "link", "set", far_device, "up"]);
    }

    /// Runs `ip` about a host's routes.
    pub fn route(&self, host: &str, arguments: &[&str]) {
        ip(&[&["-n", &self.name(host)], arguments].concat());
    }

    /// Sets `/proc/sys/NAME` of a host.
    ///
    /// # Panics
    /// If there is no such setting.
    pub fn set(&self, host: &str, name: &str, value: &str) {
        let write = format!("echo {value} > /proc/sys/{name}");
        let written = self.at(host, &["sh", "-c", &write]);
        assert!(written.status.success(), "{}", text(&written));
    }

    /// Gives a device at a host an address, at once.
    pub fn address(&self, host: &str, device: &str, address: &str) {
        let name = self.name(host);
        let mut add = vec!["-n", &name, "addr", "add", address, "dev", device];
        if address.contains(':') {
            // Nobody else has it.
            add.push("nodad");
        }
        ip(&add);
    }

    /// Lets a host know the MAC address of a neighbour.
    pub fn neighbour(&self, host: &str, device: &str, address: &str, mac: &str) {
        let name = self.name(host);
        let to = [address, "lladdr", mac, "dev", device];
        ip(&[&["-n", &name, "neigh", "replace"], &to[..]].concat());
    }

    /// The namespace of a host.
    pub fn name(&self, host: &str) -> String {
        format!("{}-{host}", self.prefix)
    }

    /// Runs a program at a host until it ends.
    pub fn at(&self, host: &str, program: &[&str]) -> Output {
        let output = Command::new("ip")
            .args(["netns", "exec", &self.name(host)])
            .args(program)
            .output();
        output.expect("ip can be run")
    }

    /// What a verb prints.
    ///
    /// # Panics
    /// If it fails.
    pub fn weir(&self, arguments: &[&str]) -> String {
        let output = self.verb(arguments);
        let told = text(&output);
        let log = self.log();
        assert!(output.status.success(), "{arguments:?}: {told}\n{log}");
        told
    }

    /// What a verb says with `--json`.
    ///
    /// # Panics
    /// If it fails.
    pub fn weir_json(&self, arguments: &[&str]) -> Value {
        let printed = self.weir(&[arguments, &["--json"]].concat());
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
    }

    /// A verb, which may be refused.
    pub fn verb(&self, arguments: &[&str]) -> Output {
        Command::new(&self.binary)
            .args(arguments)
            .env("WEIR_SOCKET", self.socket())
            .output()
            .expect("weir can be run")
    }

    /// What the switch answers to a verb over the control socket, without a process for it.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn ask(&self, verb: Verb) -> Vec<Frame> {
        let request = Request { bridge: None, verb };
        let frames = call(&self.socket(), request).and_then(Iterator::collect);
        frames.unwrap_or_else(|error| panic!("{error}\n{}", self.log()))
    }

    /// Resident memory of the switch in KiB.
    ///
    /// # Panics
    /// If it does not run.
    pub fn resident(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(path).expect("the switch runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let words = line.and_then(|line| line.split_whitespace().next());
        words.expect("a size").parse().expect("a number")
    }

    /// What the switch said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// SIGTERM: the switch ends, and nothing of it is left.
    ///
    /// # Panics
    /// If something is: the socket, or one of these devices at a host.
    pub fn stop(mut self, devices: &[(&str, &str)]) {
        let pid = Pid::from_raw(self.pid().try_into().expect("a process id"));
        kill(pid, Signal::SIGTERM).expect("the switch runs");
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.switch.try_wait().expect("a child") {
                break status;
            }
            let is_late = Instant::now() >= until;
            assert!(!is_late, "the switch does not stop: {}", self.log());
            sleep(Duration::from_millis(20));
        };
        assert!(status.success(), "{status}: {}", self.log());
        assert!(!self.socket().exists(), "the socket is still there");
        for (host, device) in devices {
            let shown = self.at(host, &["ip", "link", "show", device]);
            let told = text(&shown);
            assert!(!shown.status.success(), "{device} is still there: {told}");
        }
        assert_eq!(self.verb(&["show"]).status.code(), Some(3));
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("weir.sock")
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the switch said:\n{}", self.log());
        }
        let _gone_already = self.switch.kill();
        let _waited_already = self.switch.wait();
        for host in ["switch"].iter().chain(&self.hosts) {
            let name = self.name(host);
            let _status = Command::new("ip").args(["netns", "del", &name]).status();
        }
    }
}
