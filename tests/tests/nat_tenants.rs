//! End to end: `nat-same-address-tenants` as its owner printed it, between two tenants with one
//! address and their target, each a network namespace. The policy has no ARP: neighbours are
//! static.
//!
//! Needs what `namespaces.rs` needs, and is skipped as that is.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use weir_tests::namespaces::{Lab, ip, text, weir_binary};

const TENANT: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 7);
const TARGET: Ipv4Addr = Ipv4Addr::new(172, 168, 0, 7);
const TARGET_MAC: &str = "ba:60:bd:9b:27:a7";
const GATEWAY_MAC: &str = "fa:ff:ff:ff:ff:ff";
/// Host, MAC address and the address that the target sees.
const TENANTS: [(&str, &str, &str); 2] = [
    ("one", "ba:23:62:78:ce:d2", "192.168.0.17"),
    ("two", "ca:7a:93:97:f9:40", "192.168.0.27"),
];
const PORT: u16 = 5003;
/// Which helper this process is.
const ROLE: &str = "WEIR_TEST_TENANT_ROLE";

#[test]
fn two_tenants_with_one_address_reach_the_target() {
    let Some(binary) = weir_binary() else {
        return;
    };
    let toml = format!(
        "[eal]\nidle_sleep_us = 50\n\
         [[port]]\nname = \"one\"\nid = 1\nvdev = \"net_tap0,iface=one\"\n\
         [[port]]\nname = \"two\"\nid = 2\nvdev = \"net_tap1,iface=two\"\n\
         [[port]]\nname = \"target\"\nid = 3\nvdev = \"net_tap2,iface=target\"\n\
         [bridge]\nflows = [\"{}/../config/tests/seeds/nat-same-address-tenants.flows\"]\n",
        env!("CARGO_MANIFEST_DIR")
    );
    let lab = Lab::start(
        binary,
        "nat",
        &[("switch.toml", &toml)],
        &["one", "two", "target"],
    );
    for (host, mac, _) in TENANTS {
        lab.place(host, host, mac, &format!("{TENANT}/32"));
        knows(&lab, host, &TARGET.to_string());
    }
    lab.place("target", "target", TARGET_MAC, &format!("{TARGET}/32"));
    for (_, _, alias) in TENANTS {
        knows(&lab, "target", alias);
    }

    let target = TARGET.to_string();
    for (host, _, _) in TENANTS {
        let pinged = lab.at(host, &["ping", "-c", "3", "-i", "0.2", "-W", "2", &target]);
        assert!(pinged.status.success(), "{}\n{}", text(&pinged), lab.log());
    }
    // The target says whom it sees, over TCP and over UDP.
    let mut server = helper(&lab, "target", "serve");
    sleep(Duration::from_millis(500));
    for (host, _, alias) in TENANTS {
        let asked = helper(&lab, host, "ask").wait_with_output();
        let told = text(&asked.expect("a helper ends"));
        for protocol in ["tcp", "udp"] {
            let seen = format!("{protocol}: I see {alias}");
            assert!(told.contains(&seen), "{told}\n{}", lab.log());
        }
    }
    server.kill().expect("a helper can be ended");
    server.wait().expect("a helper ends");
    let connections = lab.weir(&["dump-conntrack"]);
    for (zone, (_, _, alias)) in (1..).zip(TENANTS) {
        let reply = format!("reply=(src={TARGET},dst={alias},");
        let line = connections
            .lines()
            .find(|line| line.starts_with("tcp,") && line.contains(&reply));
        let line = line.unwrap_or_else(|| panic!("{reply} {connections}"));
        assert!(line.contains(&format!("orig=(src={TENANT},dst={TARGET},")));
        assert!(line.contains(&format!("zone={zone}")), "{line}");
    }
    // The target reaches nobody unasked.
    for (_, _, alias) in TENANTS {
        let refused = lab.at("target", &["ping", "-c", "1", "-W", "1", alias]);
        assert!(!refused.status.success(), "{}", text(&refused));
    }
}

/// `host` sends what is for `address` to the gateway's MAC address.
fn knows(lab: &Lab, host: &str, address: &str) {
    let name = lab.name(host);
    ip(&["-n", &name, "route", "add", address, "dev", host]);
    ip(&[
        "-n",
        &name,
        "neigh",
        "add",
        address,
        "lladdr",
        GATEWAY_MAC,
        "dev",
        host,
    ]);
}

/// This test's own binary as another process at a host.
fn helper(lab: &Lab, host: &str, role: &str) -> Child {
    Command::new("ip")
        .args(["netns", "exec", &lab.name(host)])
        .arg(std::env::current_exe().expect("this binary"))
        .args(["--ignored", "--exact", "helper_process", "--nocapture"])
        .env(ROLE, role)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("ip can be run")
}

/// The other processes of the test above, by the role in the environment.
#[test]
#[ignore = "a part of the other test, run by it"]
fn helper_process() {
    match std::env::var(ROLE).as_deref() {
        Ok("serve") => serve(),
        Ok("ask") => ask(),
        role => panic!("{ROLE} is {role:?}"),
    }
}

/// Tells everybody who asks the address that it sees.
fn serve() {
    let listener = TcpListener::bind((TARGET, PORT)).expect("a free port");
    let socket = UdpSocket::bind((TARGET, PORT)).expect("a free port");
    std::thread::spawn(move || {
        loop {
            let (_, from) = socket.recv_from(&mut [0; 16]).expect("a question");
            let answer = format!("udp: I see {}", from.ip());
            socket.send_to(answer.as_bytes(), from).expect("sent");
        }
    });
    for stream in listener.incoming() {
        let mut stream = stream.expect("a connection");
        let from = stream.peer_addr().expect("it is open").ip();
        write!(stream, "tcp: I see {from}").expect("it is open");
    }
}

fn ask() {
    const PATIENCE: Duration = Duration::from_secs(5);
    let address = SocketAddr::from((TARGET, PORT));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    println!("{answer}");
    let socket = UdpSocket::bind((TENANT, 0)).expect("a port");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    socket.send_to(b"who", address).expect("sent");
    let mut answer = [0; 64];
    let size = socket.recv(&mut answer).expect("an answer");
    println!("{}", String::from_utf8_lossy(&answer[..size]));
}
