//! End to end: the host's own interface as LOCAL, and a VXLAN tunnel to another host whose end is
//! Linux's `vxlan` device.
//!
//! Needs root, `ip`, `ping`, `/dev/net/tun` and the binary (`WEIR_BIN`, or `weir` beside the
//! tests). Without them it says so and passes; with `CI=true` that is a failure.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use weir_tests::namespaces::{ip, text, weir_binary};

/// How much a transfer is, in bytes.
const TRANSFER: usize = 20_000_000;
const PORT: u16 = 5002;
/// Which helper this process is, and with whom it talks.
const ROLE: &str = "WEIR_TEST_TUNNEL_ROLE";
const ADDRESS: &str = "WEIR_TEST_TUNNEL_ADDRESS";

/// The policy as its owner printed it. There the host's own firewall had tracked what came from
/// LOCAL; here nobody has.
const SEED: &str = include_str!("../../config/tests/seeds/firewall-over-tunnel.flows");
const UNTRACKED: &str = "ct_state=-trk,ip,in_port=LOCAL actions=ct(table=1,zone=1)";

#[test]
fn a_firewall_over_a_tunnel_to_a_linux_vxlan_device() {
    let Some(lab) = Lab::start(&Ends::V4, &format!("{SEED}\n{UNTRACKED}\n")) else {
        return;
    };
    // The policy lets no ARP pass.
    lab.know_each_other();
    let (host, peer) = (Ends::INSIDE_HOST, Ends::INSIDE_PEER);
    let pinged = lab.ping("switch", peer);
    assert!(pinged.status.success(), "{}\n{}", text(&pinged), lab.log());
    let refused = lab.ping("peer", host);
    assert!(!refused.status.success(), "{}", text(&refused));
    lab.transfer("switch", "peer", peer);

    let connections = lab.weir(&["dump-conntrack"]);
    let tcp = format!("tcp,orig=(src={host},dst={peer},");
    assert!(connections.contains(&tcp), "{connections}");
    lab.looks_right();
    let flows = lab.weir_json(&["dump-flows", "table=1"]);
    let answered = flows.as_array().expect("rows").iter().any(|row| {
        row["actions"] == "LOCAL"
            && row["n_packets"]
                .as_u64()
                .is_some_and(|packets| packets > 100)
    });
    assert!(answered, "{flows:#}");
    let misses = lab.weir_json(&["pmd-stats-show"]);
    let (hits, missed) = (
        &misses[0]["trajectories"]["hits"],
        &misses[0]["trajectories"]["misses"],
    );
    assert!(
        hits.as_u64() > missed.as_u64().map(|missed| missed * 10),
        "{misses:#}"
    );
    lab.stop();
}

#[test]
fn a_tunnel_over_ipv6_carries_whatever_comes() {
    let Some(lab) = Lab::start(
        &Ends::V6,
        "in_port=LOCAL actions=output:1\nin_port=1 actions=LOCAL\n",
    ) else {
        return;
    };
    for (from, to) in [("switch", Ends::INSIDE_PEER), ("peer", Ends::INSIDE_HOST)] {
        let pinged = lab.ping(from, to);
        assert!(pinged.status.success(), "{}\n{}", text(&pinged), lab.log());
    }
    lab.transfer("peer", "switch", Ends::INSIDE_HOST);
    lab.looks_right();
    lab.stop();
}

/// The addresses of both ends.
struct Ends {
    local: &'static str,
    peer: &'static str,
    prefix: u8,
    remote: &'static str,
    key: &'static str,
}

impl Ends {
    /// Those of the policy.
    const V4: Self = Self {
        local: "10.10.59.1",
        peer: "10.10.59.233",
        prefix: 24,
        remote: "flow",
        key: "\"flow\"",
    };
    const V6: Self = Self {
        local: "2001:db8:59::1",
        peer: "2001:db8:59::233",
        prefix: 64,
        remote: "2001:db8:59::233",
        key: "1",
    };
    const INSIDE_HOST: &'static str = "192.168.77.1";
    const INSIDE_PEER: &'static str = "192.168.77.2";
}

/// The host with the switch, and another host at the end of its uplink.
struct Lab {
    prefix: String,
    folder: tempfile::TempDir,
    binary: PathBuf,
    switch: Child,
    peer: &'static str,
}

impl Lab {
    fn start(ends: &Ends, flows: &str) -> Option<Self> {
        let binary = weir_binary()?;
        let family = if ends.local.contains(':') { 6 } else { 4 };
        let prefix = format!("weir-tun{family}-{}", std::process::id());
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = format!(
            "[eal]\nidle_sleep_us = 50\n\
             [[port]]\nname = \"br0\"\nlocal = true\nmtu = 1400\n\
             [[port]]\nname = \"uplink\"\nid = 2\nvdev = \"net_tap0,iface=uplink\"\n\
             [[port]]\nname = \"tun\"\nid = 1\nkind = \"vxlan\"\nover = \"uplink\"\n\
             local_ip = \"{}\"\nremote_ip = \"{}\"\nkey = {}\n\
             [bridge]\nflows = [\"policy.flows\"]\n",
            ends.local, ends.remote, ends.key
        );
        std::fs::write(folder.path().join("switch.toml"), config).expect("a file");
        std::fs::write(folder.path().join("policy.flows"), flows).expect("a file");
        for name in ["switch", "peer"] {
            ip(&["netns", "add", &format!("{prefix}-{name}")]);
        }
        let log = std::fs::File::create(folder.path().join("log")).expect("a log");
        let switch = Command::new("ip")
            .args(["netns", "exec", &format!("{prefix}-switch")])
            .arg(&binary)
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
            binary,
            switch,
            peer: ends.peer,
        };
        lab.wait_for_switch();
        lab.connect(ends);
        Some(lab)
    }

    fn wait_for_switch(&mut self) {
        let until = Instant::now() + Duration::from_secs(30);
        while !self.socket().exists() {
            let ended = self.switch.try_wait().expect("a child");
            assert!(ended.is_none(), "the switch ended: {}", self.log());
            assert!(Instant::now() < until, "no switch: {}", self.log());
            sleep(Duration::from_millis(50));
        }
    }

    /// Gives both hosts their interfaces.
    fn connect(&self, ends: &Ends) {
        let (switch, peer) = (self.name("switch"), self.name("peer"));
        ip(&["-n", &switch, "link", "set", "uplink", "netns", &peer]);
        let address = format!("{}/{}", ends.peer, ends.prefix);
        let mut add = vec!["-n", &peer, "addr", "add", &address, "dev", "uplink"];
        if ends.prefix == 64 {
            add.push("nodad");
        }
        ip(&add);
        ip(&["-n", &peer, "link", "set", "uplink", "up"]);
        ip(&[
            "-n", &peer, "link", "add", "vx0", "address", PEER_MAC, "type", "vxlan", "id", "1",
            "local", ends.peer, "remote", ends.local, "dstport", "4789",
        ]);
        ip(&["-n", &peer, "link", "set", "vx0", "mtu", "1400", "up"]);
        ip(&[
            "-n", &switch, "link", "set", "br0", "address", HOST_MAC, "mtu", "1400", "up",
        ]);
        for (namespace, device, address) in [
            (&peer, "vx0", Ends::INSIDE_PEER),
            (&switch, "br0", Ends::INSIDE_HOST),
        ] {
            let address = format!("{address}/24");
            ip(&["-n", namespace, "addr", "add", &address, "dev", device]);
        }
    }

    /// Inside of the tunnel nobody has to ask for MAC addresses.
    fn know_each_other(&self) {
        for (namespace, device, address, mac) in [
            ("switch", "br0", Ends::INSIDE_PEER, PEER_MAC),
            ("peer", "vx0", Ends::INSIDE_HOST, HOST_MAC),
        ] {
            let namespace = self.name(namespace);
            ip(&[
                "-n", &namespace, "neigh", "replace", address, "lladdr", mac, "dev", device,
            ]);
        }
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

    /// Pings until one answer came: the first packet asks for the next hop and is lost.
    fn ping(&self, namespace: &str, address: &str) -> Output {
        Command::new("ip")
            .args(["netns", "exec", &self.name(namespace), "ping"])
            .args(["-c", "4", "-i", "0.3", "-W", "2", address])
            .output()
            .expect("ip can be run")
    }

    /// A TCP connection from one host to the other, over which much is sent and counted.
    fn transfer(&self, from: &str, to: &str, address: &str) {
        let mut receiver = self.helper(to, "receive", address);
        // It says when it listens.
        let output = receiver.stdout.as_mut().expect("it is piped");
        let mut said = Vec::new();
        while !said.ends_with(b"listening\n") {
            let mut byte = [0];
            let read = output.read(&mut byte).expect("a pipe");
            assert_eq!(
                read,
                1,
                "a helper ended: {}",
                String::from_utf8_lossy(&said)
            );
            said.push(byte[0]);
        }
        let sent = self.helper(from, "send", address).wait_with_output();
        let sent = sent.expect("a helper ends");
        assert!(sent.status.success(), "{}\n{}", text(&sent), self.log());
        let received = receiver.wait_with_output().expect("a helper ends");
        assert!(received.status.success(), "{}", text(&received));
        assert!(text(&received).contains("all of it"), "{}", text(&received));
    }

    fn helper(&self, namespace: &str, role: &str, address: &str) -> Child {
        Command::new("ip")
            .args(["netns", "exec", &self.name(namespace)])
            .arg(std::env::current_exe().expect("this binary"))
            .args(["--ignored", "--exact", "helper", "--nocapture"])
            .env(ROLE, role)
            .env(ADDRESS, address)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("ip can be run")
    }

    /// What the verbs say of the tunnel, of its next hop and of the host's port.
    fn looks_right(&self) {
        let ports = self.weir_json(&["dump-ports"]);
        let of = |name: &str, field: &str| -> u64 {
            let rows = ports.as_array().expect("rows");
            let row = rows.iter().find(|row| row["name"] == name);
            row.and_then(|row| row[field].as_u64())
                .unwrap_or_else(|| panic!("{name} {field}: {ports:#}"))
        };
        let least = TRANSFER as u64;
        assert!(
            of("tun", "tx_bytes") + of("tun", "rx_bytes") > least,
            "{ports:#}"
        );
        // Every frame of the tunnel is one below, with 50 or 70 bytes more, and there are others.
        for direction in ["rx", "tx"] {
            let (packets, bytes) = (format!("{direction}_packets"), format!("{direction}_bytes"));
            assert!(of("uplink", &packets) >= of("tun", &packets), "{ports:#}");
            let headers = 50 * of("tun", &packets);
            assert!(
                of("uplink", &bytes) >= of("tun", &bytes) + headers,
                "{ports:#}"
            );
        }
        let shown = self.weir(&["show"]);
        assert!(shown.contains(" LOCAL(br0): addr:"), "{shown}");
        assert!(
            shown.contains("device: over uplink, ") && shown.contains("(vxlan)"),
            "{shown}"
        );
        let next_hops = self.weir(&["neigh-show"]);
        let is_known = next_hops.lines().any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.first() == Some(&self.peer) && words.get(2) == Some(&"uplink")
        });
        assert!(is_known, "{next_hops}");
    }

    fn weir(&self, arguments: &[&str]) -> String {
        let output = Command::new(&self.binary)
            .args(arguments)
            .env("WEIR_SOCKET", self.socket())
            .output()
            .expect("weir can be run");
        let told = text(&output);
        assert!(
            output.status.success(),
            "{arguments:?}: {told}\n{}",
            self.log()
        );
        told
    }

    fn weir_json(&self, arguments: &[&str]) -> Value {
        let printed = self.weir(&[arguments, &["--json"]].concat());
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
    }

    /// SIGTERM: the switch ends, and the host's interface with it.
    fn stop(mut self) {
        let pid = Pid::from_raw(self.switch.id().try_into().expect("a process id"));
        kill(pid, Signal::SIGTERM).expect("the switch runs");
        let status = self.switch.wait().expect("a child");
        assert!(status.success(), "{status}: {}", self.log());
        let shown = Command::new("ip")
            .args(["-n", &self.name("switch"), "link", "show", "br0"])
            .output()
            .expect("ip can be run");
        assert!(
            !shown.status.success(),
            "br0 is still there: {}",
            text(&shown)
        );
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the switch said:\n{}", self.log());
        }
        let _gone_already = self.switch.kill();
        let _waited_already = self.switch.wait();
        for name in ["switch", "peer"] {
            let name = self.name(name);
            let _status = Command::new("ip").args(["netns", "del", &name]).status();
        }
    }
}

const HOST_MAC: &str = "02:00:00:00:77:01";
const PEER_MAC: &str = "02:00:00:00:77:02";

/// The other processes of the tests above, by the role in the environment.
#[test]
#[ignore = "a part of the other tests, run by them"]
fn helper() {
    let address: IpAddr = std::env::var(ADDRESS)
        .expect("a helper is told")
        .parse()
        .expect("an address");
    let address = SocketAddr::from((address, PORT));
    match std::env::var(ROLE).as_deref() {
        Ok("receive") => {
            let listener = TcpListener::bind(address).expect("a free port");
            println!("listening");
            std::io::stdout().flush().expect("a pipe");
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut all = Vec::new();
            stream.read_to_end(&mut all).expect("the transfer");
            assert_eq!(all.len(), TRANSFER);
            let right = all
                .iter()
                .enumerate()
                .all(|(at, byte)| *byte == pattern(at));
            assert!(right, "a byte is wrong");
            println!("all of it");
            stream.write_all(b"!").expect("an open connection");
        }
        Ok("send") => {
            let patience = Duration::from_secs(20);
            let stream = TcpStream::connect_timeout(&address, patience);
            let mut stream = stream.expect("a connection");
            let bytes: Vec<u8> = (0..TRANSFER).map(pattern).collect();
            stream.write_all(&bytes).expect("an open connection");
            stream
                .shutdown(Shutdown::Write)
                .expect("an open connection");
            stream.read_exact(&mut [0]).expect("an answer");
        }
        role => panic!("{ROLE} is {role:?}"),
    }
}

/// Byte number `at` of a transfer.
fn pattern(at: usize) -> u8 {
    (at.wrapping_mul(0x9e37_79b9) >> 16) as u8
}
