//! The packet scripts of `ct/tests/scripts` through Linux's nf_conntrack: the same verdict for
//! each packet, or a `kernel-differs:` line under it that says which, and why.
//!
//! ```text
//! AF_PACKET --veth--> namespace: conntrack -> counters by state -> not committed: dropped
//!                                                               -> forwarded to nobody
//! ```
//!
//! Zone and commit are told by the source MAC address. The kernel's clock cannot be set, so a
//! script is compared up to its first pause of a second or more. Packets that the IP layer
//! discards before conntrack sees them are `gone`, which agrees with `inv`.
//!
//! Needs root, `ip`, `nft` and `sysctl`. Without them it says so and passes; with `CI=true` that
//! is a failure.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, SockaddrLike, sendto, socket,
};
use nix::unistd::geteuid;
use weir_packet::text;

/// So many packets are compared at least: what is skipped is seen.
const LEAST_PACKETS: usize = 200;

#[test]
fn every_packet_gets_the_verdict_of_the_kernel() {
    if let Some(missing) = missing() {
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        eprintln!("skipped: {missing}");
        return;
    }
    let (mut failures, mut compared) = (String::new(), 0);
    for path in scripts() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let script = fs::read_to_string(&path).expect("the script can be read");
        if let Some(why) = script.lines().find_map(|l| l.strip_prefix("kernel-skips:")) {
            eprintln!("{name}: not for the kernel:{why}");
            continue;
        }
        let lab = Lab::start();
        let packets = lab.run(&script, &mut failures, &name);
        eprintln!("{name}: {packets} packets compared");
        compared += packets;
    }
    assert!(failures.is_empty(), "\n{failures}");
    assert!(compared >= LEAST_PACKETS, "{compared} packets compared");
}

/// What is not there, if anything.
fn missing() -> Option<String> {
    if !geteuid().is_root() {
        return Some("root is needed".to_owned());
    }
    let absent = |program: &&str| {
        let found = Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        found.is_err()
    };
    let program = ["ip", "nft", "sysctl"].into_iter().find(absent)?;
    Some(format!("no `{program}`"))
}

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ct/tests/scripts");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "pkt"))
        .collect();
    paths.sort();
    assert!(paths.len() > 30, "the scripts are there");
    paths
}

/// The namespace, and the way into it.
struct Lab {
    namespace: String,
    socket: OwnedFd,
    /// Our end of the veth pair.
    into: LinkAddr,
}

/// The MAC address that frames are for.
const ROUTER: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// Counters, by what a script calls the state.
const STATES: [(&str, &str); 8] = [
    ("inv", "ct state invalid"),
    ("untracked", "ct state untracked"),
    ("new", "ct state new ct direction original"),
    ("est", "ct state established ct direction original"),
    ("est|rpl", "ct state established ct direction reply"),
    ("rel", "ct state related ct direction original"),
    ("rel|rpl", "ct state related ct direction reply"),
    ("new|rpl", "ct state new ct direction reply"),
];

impl Lab {
    fn start() -> Self {
        let namespace = format!("weir-ct-{}", std::process::id());
        let outside = format!("wct{}", std::process::id());
        run("ip", &["netns", "add", &namespace]);
        run(
            "ip",
            &[
                "link", "add", &outside, "type", "veth", "peer", "name", "in0", "netns", &namespace,
            ],
        );
        let within = |arguments: &[&str]| {
            let mut all = vec!["netns", "exec", namespace.as_str()];
            all.extend(arguments);
            run("ip", &all);
        };
        within(&["ip", "link", "set", "in0", "address", "02:00:00:00:00:02"]);
        within(&[
            "ip", "link", "add", "out0", "arp", "off", "type", "veth", "peer", "name", "end0",
        ]);
        for setting in [
            "net.ipv4.ip_forward=1",
            "net.ipv6.conf.all.forwarding=1",
            // Nobody but us sends packets: no router solicitations, no address detection.
            "net.ipv6.conf.all.autoconf=0",
            "net.ipv6.conf.in0.addr_gen_mode=1",
            "net.ipv6.conf.out0.addr_gen_mode=1",
            "net.ipv6.conf.end0.disable_ipv6=1",
            "net.ipv4.conf.all.rp_filter=0",
            "net.ipv4.conf.default.rp_filter=0",
            "net.ipv4.conf.in0.rp_filter=0",
        ] {
            within(&["sysctl", "-q", "-w", setting]);
        }
        for link in ["lo", "in0", "out0", "end0"] {
            within(&["ip", "link", "set", link, "up"]);
        }
        run(
            "sysctl",
            &[
                "-q",
                "-w",
                &format!("net.ipv6.conf.{outside}.disable_ipv6=1"),
            ],
        );
        run("ip", &["link", "set", &outside, "up"]);
        within(&["ip", "route", "add", "default", "dev", "out0"]);
        within(&["ip", "-6", "route", "add", "default", "dev", "out0"]);
        within(&["nft", &rules()]);
        let address = getifaddrs()
            .expect("interfaces can be listed")
            .filter(|interface| interface.interface_name == outside)
            .find_map(|interface| interface.address?.as_link_addr().copied())
            .expect("our end is there");
        let socket = socket(
            AddressFamily::Packet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            None,
        )
        .expect("a packet socket");
        assert_eq!(address.family(), Some(AddressFamily::Packet));
        Self {
            namespace,
            socket,
            into: address,
        }
    }

    /// Sends the packets of a script; returns how many were compared.
    fn run(&self, script: &str, failures: &mut String, name: &str) -> usize {
        let mut compared = 0;
        let lines: Vec<_> = script.lines().enumerate().collect();
        for (at, (number, line)) in lines.iter().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            if word == "set" {
                rest.split_whitespace()
                    .for_each(|setting| self.set(setting));
            }
            let Some(seconds) = word.strip_prefix('+') else {
                continue;
            };
            if seconds.parse::<f64>().expect("a number of seconds") >= 1.0 {
                return compared;
            }
            let (packet, wanted) = rest.split_once("=>").expect("a packet and its verdict");
            let wanted = wanted.split_whitespace().next().unwrap_or_default();
            let differs = lines[at + 1..]
                .iter()
                .map(|(_, line)| line.trim())
                .take_while(|line| !line.starts_with('+'))
                .find_map(|line| line.strip_prefix("kernel-differs:"))
                .map(|line| line.split_whitespace().next().unwrap_or_default());
            let Some((zone, commits, frame)) = frame_of(packet) else {
                continue;
            };
            let verdict = self.verdict(zone, commits, frame);
            compared += 1;
            let agrees = match differs {
                Some(differs) => verdict == differs && differs != wanted,
                None => verdict == wanted || (verdict == "gone" && wanted == "inv"),
            };
            if !agrees {
                let line = number + 1;
                writeln!(
                    failures,
                    "{name}:{line}: the kernel says {verdict}\n    {packet}=> {wanted}"
                )
                .expect("a string takes all");
            }
        }
        compared
    }

    /// Settings that the kernel has, too.
    fn set(&self, setting: &str) {
        let (name, value) = setting.split_once('=').expect("a value");
        let name = match name {
            "tcp_loose" => "nf_conntrack_tcp_loose",
            "tcp_liberal" => "nf_conntrack_tcp_be_liberal",
            _ => return,
        };
        let value = u8::from(value == "true");
        let setting = format!("net.netfilter.{name}={value}");
        self.within(&["sysctl", "-q", "-w", &setting]);
    }

    /// What the kernel says of one packet.
    fn verdict(&self, zone: u16, commits: bool, mut frame: Vec<u8>) -> &'static str {
        let before = self.counters();
        frame[..6].copy_from_slice(&ROUTER);
        let [high, low] = zone.to_be_bytes();
        frame[6..12].copy_from_slice(&[2, 0, 1, high, low, commits.into()]);
        let fd = self.socket.as_raw_fd();
        sendto(fd, &frame, &self.into, MsgFlags::empty()).expect("it can be sent");
        let start = Instant::now();
        loop {
            let after = self.counters();
            if let Some((state, _)) = STATES.iter().find(|(s, _)| after.get(s) != before.get(s)) {
                return state;
            }
            if start.elapsed() > Duration::from_millis(100) {
                return "gone";
            }
            sleep(Duration::from_millis(2));
        }
    }

    /// Packets by state.
    fn counters(&self) -> BTreeMap<&'static str, u64> {
        let output = Command::new("ip")
            .args(["netns", "exec", &self.namespace])
            .args(["nft", "list", "counters"])
            .output()
            .expect("nft runs");
        let listed = String::from_utf8_lossy(&output.stdout);
        let mut counters = BTreeMap::new();
        let mut state = None;
        for line in listed.lines().map(str::trim) {
            if let Some(rest) = line.strip_prefix("counter s") {
                let number = rest.split_whitespace().next().and_then(|n| n.parse().ok());
                state = number.map(|number: usize| STATES[number].0);
            } else if let (Some(state), Some(rest)) = (state, line.strip_prefix("packets ")) {
                let packets = rest.split_whitespace().next().and_then(|n| n.parse().ok());
                counters.insert(state, packets.expect("a number of packets"));
            }
        }
        assert_eq!(counters.len(), STATES.len(), "{listed}");
        counters
    }

    fn within(&self, arguments: &[&str]) {
        let mut all = vec!["netns", "exec", self.namespace.as_str()];
        all.extend(arguments);
        run("ip", &all);
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // The veth pair goes with it.
        run("ip", &["netns", "del", &self.namespace]);
        let start = Instant::now();
        let outside = format!("wct{}", std::process::id());
        while Path::new("/sys/class/net").join(&outside).exists() {
            assert!(start.elapsed() < Duration::from_secs(5), "{outside} stays");
            sleep(Duration::from_millis(5));
        }
    }
}

/// The counters, and what decides between them.
fn rules() -> String {
    let mut rules = "table inet weir {\n".to_owned();
    for at in 0..STATES.len() {
        writeln!(rules, "counter s{at} {{ }}").expect("a string takes all");
    }
    // Whatever this host would say about the packets is not part of them.
    rules += "chain out { type filter hook output priority -300; drop; }\n";
    rules += "chain zone { type filter hook prerouting priority -300;\n";
    for zone in 1..16 {
        writeln!(
            rules,
            "ether saddr & ff:ff:ff:ff:ff:00 == 02:00:01:00:{zone:02x}:00 ct zone set {zone}"
        )
        .expect("a string takes all");
    }
    rules += "}\nchain count { type filter hook prerouting priority -150;\n";
    for (at, (_, condition)) in STATES.iter().enumerate() {
        writeln!(rules, "{condition} counter name s{at}").expect("a string takes all");
    }
    rules += "ether saddr & 00:00:00:00:00:ff == 00:00:00:00:00:00 drop\n}\n}\n";
    rules
}

/// Zone, whether it is committed, and the frame; `None` if the packet is not for the kernel.
fn frame_of(packet: &str) -> Option<(u16, bool, Vec<u8>)> {
    let (mut zone, mut commits) = (0, false);
    let mut packet = packet.trim();
    loop {
        let (word, rest) = packet.split_once(' ').unwrap_or((packet, ""));
        if let Some(number) = word.strip_prefix("zone=") {
            zone = number.parse().ok()?;
        } else if word.starts_with("commit") {
            commits = true;
        } else if word == "again" || word.starts_with("nat") {
            return None;
        } else {
            let line = match word {
                ">" => format!("tcp 10.0.0.1:1000 > 10.0.0.2:80 {rest}"),
                "<" => format!("tcp 10.0.0.2:80 > 10.0.0.1:1000 {rest}"),
                _ => packet.to_owned(),
            };
            let frame = text::parse(&line).expect("the packet can be read");
            return Some((zone, commits, frame));
        }
        packet = rest.trim();
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
}
