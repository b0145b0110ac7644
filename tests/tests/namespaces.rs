//! End to end: the real binary with its embedded default on DPDK's TAP devices, between two
//! network namespaces, with the host's own TCP/IP on both sides.
//!
//! Needs root, `ip`, `ping` and the binary (`WEIR_BIN`, or `weir` beside the tests). Without
//! them it says so and passes; with `CI=true` that is a failure.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use weir_tests::namespaces::{ip, text, weir_binary};

/// How much the transfer is, in bytes.
const TRANSFER: u64 = 100_000_000;
const LEFT: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 1);
const RIGHT: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 2);
const PORT: u16 = 5001;
/// Which helper this process is.
const ROLE: &str = "WEIR_TEST_ROLE";

#[test]
fn a_stateful_firewall_between_two_namespaces() {
    let Some(weir) = weir_binary() else {
        return;
    };
    let mut lab = Lab::start(&weir);

    let pinged = lab.in_namespace(
        "left",
        "ping",
        &["-c", "3", "-i", "0.2", "-W", "2", "192.168.0.2"],
    );
    assert!(pinged.status.success(), "{}", text(&pinged));
    let refused = lab.in_namespace("right", "ping", &["-c", "1", "-W", "1", "192.168.0.1"]);
    assert!(!refused.status.success(), "{}", text(&refused));
    assert!(
        lab.weir(&["dump-conntrack"])
            .contains("icmp,orig=(src=192.168.0.1,dst=192.168.0.2,")
    );

    // Left answers nobody who was not asked, though somebody listens there.
    let mut inside = lab.helper("left", "listen");
    let stranger = lab
        .helper("right", "knock")
        .wait_with_output()
        .expect("a helper ends");
    assert!(
        text(&stranger).contains("nobody answers"),
        "{}",
        text(&stranger)
    );
    inside.kill().expect("a helper can be ended");
    inside.wait().expect("a helper ends");

    let receiver = lab.helper("right", "receive");
    let sent = lab
        .helper("left", "send")
        .wait_with_output()
        .expect("a helper ends");
    assert!(sent.status.success(), "{}", text(&sent));
    let received = receiver.wait_with_output().expect("a helper ends");
    assert!(received.status.success(), "{}", text(&received));
    assert!(text(&received).contains("intact"), "{}", text(&received));
    let connections = lab.weir(&["dump-conntrack"]);
    assert!(
        connections.contains("tcp,orig=(src=192.168.0.1,dst=192.168.0.2,"),
        "{connections}"
    );

    lab.silence();
    counts_agree(&lab);
    caches_answered(&lab);
    lab.stop();
}

/// Nearly every packet of the transfer went the way of those before it.
fn caches_answered(lab: &Lab) {
    let lcores = lab.weir_json(&["pmd-stats-show"]);
    let told = format!("{lcores:#}");
    let count = |pointer: &str| {
        let value = lcores.pointer(pointer).and_then(Value::as_u64);
        value.unwrap_or_else(|| panic!("{pointer} of {told}"))
    };
    let (hits, misses) = (
        count("/0/trajectories/hits"),
        count("/0/trajectories/misses"),
    );
    assert!(hits > 20 * misses, "{told}");
    assert!(hits + misses <= count("/0/packets"), "{told}");
    // Passes that no trajectory was for: other classes, and the beginnings of connections.
    assert!(count("/0/megaflows/hits") > 0, "{told}");
}

/// Every packet received was counted by one flow of table 0, and left or was dropped.
fn counts_agree(lab: &Lab) {
    let flows = lab.weir_json(&["dump-flows"]);
    let ports = lab.weir_json(&["dump-ports"]);
    let drops = lab.weir_json(&["dump-drops"]);
    let sum = |rows: &Value, field: &str, wanted: &dyn Fn(&Value) -> bool| -> u64 {
        let rows = rows.as_array().expect("an array of rows");
        let wanted = rows.iter().filter(|row| wanted(row));
        wanted
            .map(|row| {
                row[field]
                    .as_u64()
                    .unwrap_or_else(|| panic!("{field} of {row}"))
            })
            .sum()
    };
    let all = |_: &Value| true;
    let received = sum(&ports, "rx_packets", &all);
    let sent = sum(&ports, "tx_packets", &all);
    let dropped = sum(&drops, "packets", &all);
    let told = format!("{flows:#}\n{ports:#}\n{drops:#}");
    assert!(received > TRANSFER / 65_536, "{told}");

    let table = |number: u64| move |row: &Value| row["table"] == number;
    assert_eq!(sum(&flows, "n_packets", &table(0)), received, "{told}");
    assert_eq!(
        sum(&flows, "n_bytes", &table(0)),
        sum(&ports, "rx_bytes", &all),
        "{told}"
    );
    // With two ports each packet goes to the other one or nowhere.
    assert_eq!(sent + dropped, received, "{told}");

    let reason = |name: &'static str| move |row: &Value| row["reason"] == name;
    let tracked = sum(&flows, "n_packets", &|row| {
        row["table"] == 0 && row["priority"] == 100
    });
    let missed = sum(&drops, "packets", &reason("table_miss"));
    assert_eq!(
        sum(&flows, "n_packets", &table(1)) + missed,
        tracked,
        "{told}"
    );
    let for_nobody = sum(&flows, "n_packets", &|row| row["actions"] == "drop");
    assert_eq!(
        sum(&drops, "packets", &reason("action_drop")),
        for_nobody,
        "{told}"
    );
    assert!(
        for_nobody > 0,
        "the pings and knocks of right were dropped: {told}"
    );
}

/// The switch in a namespace of its own, and its two neighbours. Everything goes when it goes.
struct Lab {
    prefix: String,
    folder: tempfile::TempDir,
    binary: PathBuf,
    switch: Child,
}

impl Lab {
    fn start(binary: &Path) -> Self {
        let prefix = format!("weir-{}", std::process::id());
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["switch", "left", "right"] {
            ip(&["netns", "add", &format!("{prefix}-{name}")]);
        }
        let log = std::fs::File::create(folder.path().join("log")).expect("a log");
        let switch = Command::new("ip")
            .args(["netns", "exec", &format!("{prefix}-switch")])
            .arg(binary)
            .args(["run", "--socket"])
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
        let until = Instant::now() + Duration::from_secs(30);
        while !lab.socket().exists() {
            let ended = lab.switch.try_wait().expect("a child");
            assert!(ended.is_none(), "the switch did not start: {}", lab.log());
            assert!(
                Instant::now() < until,
                "the switch did not start in time: {}",
                lab.log()
            );
            sleep(Duration::from_millis(50));
        }
        lab.place("weir0", "left", LEFT);
        lab.place("weir1", "right", RIGHT);
        lab
    }

    fn place(&self, device: &str, namespace: &str, address: Ipv4Addr) {
        let (switch, namespace) = (self.name("switch"), self.name(namespace));
        ip(&["-n", &switch, "link", "set", device, "netns", &namespace]);
        ip(&[
            "-n",
            &namespace,
            "addr",
            "add",
            &format!("{address}/24"),
            "dev",
            device,
        ]);
        ip(&["-n", &namespace, "link", "set", device, "up"]);
    }

    fn name(&self, namespace: &str) -> String {
        format!("{}-{namespace}", self.prefix)
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("weir.sock")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn in_namespace(&self, namespace: &str, command: &str, arguments: &[&str]) -> Output {
        Command::new("ip")
            .args(["netns", "exec", &self.name(namespace), command])
            .args(arguments)
            .output()
            .expect("ip can be run")
    }

    /// This test's own binary as another process in a namespace. One that listens has begun to
    /// when this returns.
    fn helper(&self, namespace: &str, role: &str) -> Child {
        let mut child = Command::new("ip")
            .args(["netns", "exec", &self.name(namespace)])
            .arg(std::env::current_exe().expect("this binary"))
            .args(["--ignored", "--exact", "helper", "--nocapture"])
            .env(ROLE, role)
            .stdout(Stdio::piped())
            .spawn()
            .expect("ip can be run");
        if matches!(role, "listen" | "receive") {
            // Unbuffered: what follows is for `wait_with_output`.
            let output = child.stdout.as_mut().expect("it is piped");
            let mut line = Vec::new();
            let mut byte = [0];
            while !line.ends_with(b"listening\n") {
                let read = output.read(&mut byte).expect("a pipe");
                assert_eq!(
                    read,
                    1,
                    "a helper ended: {}",
                    String::from_utf8_lossy(&line)
                );
                line.push(byte[0]);
            }
        }
        child
    }

    fn weir(&self, arguments: &[&str]) -> String {
        let output = Command::new(&self.binary)
            .args(arguments)
            .env("WEIR_SOCKET", self.socket())
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

    fn weir_json(&self, arguments: &[&str]) -> Value {
        let printed = self.weir(&[arguments, &["--json"]].concat());
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
    }

    /// Takes the links down and waits until no counter moves.
    fn silence(&self) {
        ip(&["-n", &self.name("left"), "link", "set", "weir0", "down"]);
        ip(&["-n", &self.name("right"), "link", "set", "weir1", "down"]);
        let counters = || {
            let ports = self.weir_json(&["dump-ports"]);
            let rows = ports.as_array().expect("an array of rows").clone();
            rows.into_iter()
                .map(|row| (row["rx_packets"].clone(), row["tx_packets"].clone()))
                .collect::<Vec<_>>()
        };
        let mut last = counters();
        for _ in 0..50 {
            sleep(Duration::from_millis(200));
            let now = counters();
            if now == last {
                return;
            }
            last = now;
        }
        panic!("the counters still move: {last:?}");
    }

    /// SIGTERM: the switch ends, and nothing of it is left.
    fn stop(&mut self) {
        // `ip netns exec` has become the switch.
        let pid = Pid::from_raw(self.switch.id().try_into().expect("a process id"));
        kill(pid, Signal::SIGTERM).expect("the switch runs");
        let until = Instant::now() + Duration::from_secs(10);
        let status = loop {
            if let Some(status) = self.switch.try_wait().expect("a child") {
                break status;
            }
            assert!(
                Instant::now() < until,
                "the switch does not stop: {}",
                self.log()
            );
            sleep(Duration::from_millis(20));
        };
        assert!(status.success(), "{status}: {}", self.log());
        assert!(!self.socket().exists(), "the socket is still there");
        for (namespace, device) in [("left", "weir0"), ("right", "weir1")] {
            let shown = Command::new("ip")
                .args(["-n", &self.name(namespace), "link", "show", device])
                .output()
                .expect("ip can be run");
            assert!(
                !shown.status.success(),
                "{device} is still there: {}",
                text(&shown)
            );
        }
        let unreachable = Command::new(&self.binary)
            .arg("show")
            .env("WEIR_SOCKET", self.socket())
            .output()
            .expect("weir can be run");
        assert_eq!(unreachable.status.code(), Some(3));
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the switch said:\n{}", self.log());
        }
        let _gone_already = self.switch.kill();
        let _waited_already = self.switch.wait();
        for name in ["switch", "left", "right"] {
            let _status = Command::new("ip")
                .args(["netns", "del", &self.name(name)])
                .status();
        }
    }
}

/// The other processes of the tests above, by the role in the environment.
#[test]
#[ignore = "a part of the other tests, run by them"]
fn helper() {
    match std::env::var(ROLE).as_deref() {
        Ok("receive") => receive(),
        Ok("send") => send(),
        Ok("listen") => {
            let _listener = listen();
            sleep(Duration::from_secs(60));
        }
        Ok("knock") => {
            let address = SocketAddr::from((LEFT, PORT));
            match TcpStream::connect_timeout(&address, Duration::from_secs(2)) {
                Ok(_) => println!("somebody answers"),
                Err(error) => println!("nobody answers: {error}"),
            }
        }
        role => panic!("{ROLE} is {role:?}"),
    }
}

fn listen() -> TcpListener {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).expect("a free port");
    println!("listening");
    std::io::stdout().flush().expect("a pipe");
    listener
}

/// Reads the transfer and compares each byte.
fn receive() {
    let (stream, _) = listen().accept().expect("a connection");
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("a socket");
    let mut reader = BufReader::with_capacity(1 << 20, &stream);
    let mut pattern = Pattern::default();
    let mut received = 0;
    loop {
        let bytes = reader.fill_buf().expect("more of the transfer");
        if bytes.is_empty() {
            break;
        }
        for byte in bytes {
            assert_eq!(*byte, pattern.next_byte(), "byte {received}");
            received += 1;
        }
        let taken = bytes.len();
        reader.consume(taken);
    }
    assert_eq!(received, TRANSFER);
    println!("{received} bytes, intact");
    (&stream).write_all(b"!").expect("an open connection");
}

/// Writes the transfer and waits until the other end has read it.
fn send() {
    let stream = TcpStream::connect((RIGHT, PORT)).expect("a connection");
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("a socket");
    let mut pattern = Pattern::default();
    let mut left = TRANSFER;
    while left > 0 {
        let size = left.min(1 << 20);
        let bytes: Vec<u8> = (0..size).map(|_| pattern.next_byte()).collect();
        (&stream).write_all(&bytes).expect("an open connection");
        left -= size;
    }
    stream
        .shutdown(Shutdown::Write)
        .expect("an open connection");
    let mut answer = [0];
    (&stream).read_exact(&mut answer).expect("an answer");
}

/// Bytes of which no two stretches are alike (xorshift64).
struct Pattern {
    state: u64,
    byte: u32,
}

impl Default for Pattern {
    fn default() -> Self {
        Self {
            state: 0x9e37_79b9_7f4a_7c15,
            byte: 0,
        }
    }
}

impl Pattern {
    fn next_byte(&mut self) -> u8 {
        if self.byte == 8 {
            self.byte = 0;
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
        }
        self.byte += 1;
        self.state.to_le_bytes()[self.byte as usize - 1]
    }
}
