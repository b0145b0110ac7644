//! What tests with real hosts share: the binary, and commands in network namespaces.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::unistd::geteuid;
use tempfile::TempDir;

/// The binary to test: `WEIR_BIN`, or `weir` beside the tests. `None`, having said so, where
/// something is missing for it.
///
/// # Panics
/// With `CI=true`, instead of `None`.
pub fn weir_binary() -> Option<PathBuf> {
    match find_binary() {
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
fn find_binary() -> Result<PathBuf, String> {
    if !geteuid().is_root() {
        return Err("network namespaces need root".to_owned());
    }
    if !Path::new("/dev/net/tun").exists() {
        return Err("there is no /dev/net/tun".to_owned());
    }
    for tool in ["ip", "ping"] {
        let found = Command::new(tool)
            .arg("-V")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        found.map_err(|error| format!("{tool}: {error}"))?;
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
        let prefix = format!("weir-{name}-{}", std::process::id());
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).expect("a file");
        }
        for host in ["switch"].iter().chain(hosts) {
            ip(&["netns", "add", &format!("{prefix}-{host}")]);
        }
        let log = File::create(folder.path().join("log")).expect("a log");
        let switch = Command::new("ip")
            .args(["netns", "exec", &format!("{prefix}-switch")])
            .arg(&binary)
            .arg("run")
            .arg(folder.path().join(files[0].0))
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
        let until = Instant::now() + Duration::from_secs(30);
        while !lab.socket().exists() {
            let ended = lab.switch.try_wait().expect("a child");
            assert!(ended.is_none(), "the switch ended: {}", lab.log());
            assert!(Instant::now() < until, "no switch: {}", lab.log());
            sleep(Duration::from_millis(50));
        }
        lab
    }

    /// Gives a port of the switch to a host, with these addresses.
    pub fn place(&self, device: &str, host: &str, mac: &str, address: &str) {
        let (switch, host) = (self.name("switch"), self.name(host));
        ip(&["-n", &switch, "link", "set", device, "netns", &host]);
        ip(&["-n", &host, "link", "set", device, "address", mac, "up"]);
        ip(&["-n", &host, "addr", "add", address, "dev", device]);
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
        let output = Command::new(&self.binary)
            .args(arguments)
            .env("WEIR_SOCKET", self.socket())
            .output()
            .expect("weir can be run");
        let told = text(&output);
        assert!(output.status.success(), "{told}\n{}", self.log());
        told
    }

    /// What the switch said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
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
