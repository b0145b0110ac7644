//! End to end: a fast failover group whose ports are DPDK's TAP devices, one of which lies in
//! another network namespace, follows their links and `mod-port`.
//!
//! Needs root, `ip`, `ping`, `/dev/net/tun` and the binary (`WEIR_BIN`, or `weir` beside the
//! tests). Without them it says so and passes; with `CI=true` that is a failure.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::unistd::geteuid;
use serde_json::Value;

/// How long the group may take to choose another bucket: links are looked at ten times a second.
const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn a_group_follows_links_and_ports_that_are_switched_off() {
    let lab = match weir_binary() {
        Ok(binary) => Lab::start(&binary),
        Err(why) => {
            eprintln!("SKIPPED: {why}");
            let is_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
            assert!(!is_ci, "{why}");
            return;
        }
    };
    lab.goes_through(0);
    lab.link("far", "far0", "down");
    lab.goes_through(1);
    // Nobody is left.
    lab.link("switch", "near0", "down");
    lab.goes_nowhere();
    lab.link("far", "far0", "up");
    lab.goes_through(0);
    lab.link("switch", "near0", "up");

    lab.weir(&["mod-port", "br0", "far0", "down"]);
    lab.goes_through(1);
    let shown = lab.weir(&["show"]);
    assert!(
        shown.contains("config:     PORT_DOWN\n     state:      LINK_DOWN"),
        "{shown}"
    );
    assert!(!lab.has_carrier(), "the far end sees no link");
    lab.weir(&["mod-port", "far0", "up"]);
    lab.goes_through(0);
    assert!(lab.has_carrier(), "the far end sees a link");
}

/// A switch with `in0`, from which pings come, `far0` in another namespace, and `near0`.
struct Lab {
    prefix: String,
    folder: tempfile::TempDir,
    binary: PathBuf,
    switch: Child,
}

impl Lab {
    fn start(binary: &Path) -> Self {
        let prefix = format!("weir-ff-{}", std::process::id());
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = |at: u32, name: &str| {
            let id = at + 1;
            format!("[[port]]\nname = \"{name}\"\nid = {id}\nvdev = \"net_tap{at},iface={name}\"\n")
        };
        let config = format!(
            "[eal]\nidle_sleep_us = 50\n{}{}{}\
             [bridge]\nflows = [\"policy.flows\"]\ngroups = [\"policy.groups\"]\n",
            port(0, "in0"),
            port(1, "far0"),
            port(2, "near0")
        );
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("a file");
        };
        write("switch.toml", &config);
        write("policy.flows", "in_port=1,icmp actions=group:1\n");
        write(
            "policy.groups",
            "group_id=1,type=ff,bucket=watch_port=2,actions=output:2,\
             bucket=watch_port=3,actions=output:3\n",
        );
        for name in ["switch", "far"] {
            ip(&["netns", "add", &format!("{prefix}-{name}")]);
        }
        let log = std::fs::File::create(folder.path().join("log")).expect("a log");
        let switch = Command::new("ip")
            .args(["netns", "exec", &format!("{prefix}-switch")])
            .arg(binary)
            .arg("run")
            .arg(folder.path().join("switch.toml"))
            .arg("--socket")
            .arg(folder.path().join("weir.sock"))
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("ip can be run");
        let mut lab = Self {
            prefix,
            folder,
            binary: binary.to_owned(),
            switch,
        };
        lab.wait_for_switch();
        let (switch, far) = (lab.name("switch"), lab.name("far"));
        ip(&["-n", &switch, "link", "set", "far0", "netns", &far]);
        lab.link("far", "far0", "up");
        lab.link("switch", "near0", "up");
        lab.link("switch", "in0", "up");
        ip(&["-n", &switch, "addr", "add", "192.0.2.1/24", "dev", "in0"]);
        let peer = ["192.0.2.2", "lladdr", "02:00:00:00:00:02"];
        let known = [&["-n", &switch, "neigh", "add"], &peer[..], &["dev", "in0"]].concat();
        ip(&known);
        lab
    }

    fn wait_for_switch(&mut self) {
        let until = Instant::now() + Duration::from_secs(30);
        while !self.folder.path().join("weir.sock").exists() {
            let ended = self.switch.try_wait().expect("a child");
            assert!(ended.is_none(), "the switch ended: {}", self.log());
            assert!(Instant::now() < until, "no switch: {}", self.log());
            sleep(Duration::from_millis(50));
        }
    }

    fn name(&self, namespace: &str) -> String {
        format!("{}-{namespace}", self.prefix)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn link(&self, namespace: &str, device: &str, state: &str) {
        let namespace = self.name(namespace);
        ip(&["-n", &namespace, "link", "set", device, state]);
    }

    fn has_carrier(&self) -> bool {
        let shown = Command::new("ip")
            .args(["-n", &self.name("far"), "link", "show", "far0"])
            .output()
            .expect("ip can be run");
        !text(&shown).contains("NO-CARRIER")
    }

    /// Sends one packet that nobody answers.
    fn ping(&self) {
        Command::new("ip")
            .args(["netns", "exec", &self.name("switch")])
            .args(["ping", "-c", "1", "-W", "0.2", "-I", "in0", "192.0.2.2"])
            .stdout(Stdio::null())
            .status()
            .expect("ip can be run");
    }

    /// What each bucket counted, and the packets for which there was none.
    fn counts(&self) -> [u64; 3] {
        let json = |arguments: &[&str]| -> Value {
            let printed = self.weir(&[arguments, &["--json"]].concat());
            serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
        };
        let groups = json(&["dump-group-stats"]);
        let bucket = |at: usize| groups[0]["buckets"][at]["packet_count"].as_u64();
        let drops = json(&["dump-drops"]);
        let mut drops = drops.as_array().expect("rows").iter();
        let nowhere = drops.find(|row| row["reason"] == "no_bucket");
        let nowhere = nowhere.and_then(|row| row["packets"].as_u64());
        [bucket(0), bucket(1), nowhere].map(|count| count.expect("a number"))
    }

    /// Pings go through bucket `bucket`, all of them after at most [`PATIENCE`].
    fn goes_through(&self, bucket: usize) {
        let until = Instant::now() + PATIENCE;
        let mut in_turn = 0;
        while in_turn < 3 {
            let before = self.counts();
            self.ping();
            let after = self.counts();
            let mut expected = before;
            expected[bucket] += 1;
            in_turn = if after == expected { in_turn + 1 } else { 0 };
            assert!(
                Instant::now() < until || in_turn > 0,
                "bucket {bucket}: from {before:?} to {after:?}\n{}",
                self.log()
            );
        }
    }

    fn goes_nowhere(&self) {
        self.goes_through(2);
    }

    fn weir(&self, arguments: &[&str]) -> String {
        let output = Command::new(&self.binary)
            .args(arguments)
            .env("WEIR_SOCKET", self.folder.path().join("weir.sock"))
            .output()
            .expect("weir can be run");
        assert!(
            output.status.success(),
            "{arguments:?}: {}\n{}",
            text(&output),
            self.log()
        );
        text(&output)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _gone_already = self.switch.kill();
        let _waited_already = self.switch.wait();
        for name in ["switch", "far"] {
            let _status = Command::new("ip")
                .args(["netns", "del", &self.name(name)])
                .status();
        }
    }
}

/// The binary to test, or what is missing for it.
fn weir_binary() -> Result<PathBuf, String> {
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
    // target/PROFILE/deps/failover-HASH
    let tests = std::env::current_exe().map_err(|error| error.to_string())?;
    let profile = tests
        .parent()
        .and_then(Path::parent)
        .ok_or("a test without a folder")?;
    let beside = profile.join("weir");
    if beside.exists() {
        return Ok(beside);
    }
    Err(format!(
        "no binary {}: cargo build --bin weir",
        beside.display()
    ))
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip")
        .args(arguments)
        .output()
        .expect("ip can be run");
    assert!(
        output.status.success(),
        "ip {}: {}",
        arguments.join(" "),
        text(&output)
    );
}

fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    )
}
