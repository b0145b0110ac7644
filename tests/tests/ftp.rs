//! End to end: FTP, active and passive, and TFTP between two hosts, over IPv4 and IPv6, with and
//! without translation. What no helper has found announced is let through by no rule.
//!
//! Needs what `namespaces.rs` needs, and `python3`; without them it is skipped as that is.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use weir_tests::namespaces::{Lab, ip, text, two_cpus, weir_binary_and};

const HOSTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ftp/hosts.py");
const CLIENT_MAC: &str = "02:00:00:00:00:05";
const SERVER_MAC: &str = "02:00:00:00:00:09";
const SERVER: [&str; 2] = ["10.0.0.9", "2001:db8::9"];

/// Ports 2121 and 6900 are asked under another address.
const FLOWS: &str = "\
arp actions=NORMAL
icmp6 actions=NORMAL
priority=1,ip actions=ct(nat,table=1)
priority=1,ipv6 actions=ct(nat,table=1)
table=1,in_port=1,ct_state=+new-rel,tcp,tp_dst=21 actions=ct(commit,alg=ftp),2
table=1,in_port=1,ct_state=+new-rel,tcp6,tp_dst=21 actions=ct(commit,alg=ftp),2
table=1,in_port=1,ct_state=+new-rel,tcp,tp_dst=2121 actions=ct(commit,alg=ftp,nat(src=10.0.0.177)),2
table=1,in_port=1,ct_state=+new-rel,tcp6,tp_dst=2121 actions=ct(commit,alg=ftp,nat(src=2001:db8::1:177)),2
table=1,in_port=1,ct_state=+new-rel,udp,tp_dst=69 actions=ct(commit,alg=tftp),2
table=1,in_port=1,ct_state=+new-rel,udp6,tp_dst=69 actions=ct(commit,alg=tftp),2
table=1,in_port=1,ct_state=+new-rel,udp,tp_dst=6900 actions=ct(commit,alg=tftp,nat(src=10.0.0.177)),2
table=1,in_port=1,ct_state=+new-rel,udp6,tp_dst=6900 actions=ct(commit,alg=tftp,nat(src=2001:db8::1:177)),2
table=1,in_port=1,ct_state=+new+rel,ip actions=ct(commit,nat),2
table=1,in_port=1,ct_state=+new+rel,ipv6 actions=ct(commit,nat),2
table=1,in_port=2,ct_state=+new+rel,ip actions=ct(commit,nat),1
table=1,in_port=2,ct_state=+new+rel,ipv6 actions=ct(commit,nat),1
table=1,in_port=1,ct_state=+est actions=2
table=1,in_port=2,ct_state=+est actions=1
";

#[test]
fn files_are_fetched_and_stored_in_every_way() {
    files_are_fetched("ftp", "");
}

/// What one lcore hears announced comes in at the other as often as not.
#[test]
fn files_are_fetched_and_stored_through_two_lcores() {
    let [one, other] = two_cpus();
    files_are_fetched("ftp2", &format!("lcores = [{one}, {other}]\n"));
}

/// `lcores`: their line of the configuration, if there are several.
fn files_are_fetched(lab_name: &str, lcores: &str) {
    let Some(binary) = weir_binary_and(&[&["python3", "--version"]]) else {
        return;
    };
    let toml = format!(
        "[eal]\n{lcores}idle_sleep_us = 50\n\
        [[port]]\nname = \"client\"\nid = 1\nvdev = \"net_tap0,iface=client\"\n\
        [[port]]\nname = \"server\"\nid = 2\nvdev = \"net_tap1,iface=server\"\n\
        [bridge]\nflows = [\"switch.flows\"]\n"
    );
    let lab = Lab::start(
        binary,
        lab_name,
        &[("switch.toml", &toml), ("switch.flows", FLOWS)],
        &["client", "server"],
    );
    lab.place("client", "client", CLIENT_MAC, "10.0.0.5/24");
    lab.place("server", "server", SERVER_MAC, "10.0.0.9/24");
    for (host, address) in [("client", "2001:db8::5/64"), ("server", "2001:db8::9/64")] {
        let name = lab.name(host);
        ip(&["-n", &name, "addr", "add", address, "dev", host, "nodad"]);
        ip(&["-n", &name, "link", "set", "lo", "up"]);
    }
    let name = lab.name("server");
    for public in ["10.0.0.177", "2001:db8::1:177"] {
        ip(&[
            "-n", &name, "neigh", "add", public, "lladdr", CLIENT_MAC, "dev", "server",
        ]);
        ip(&["-n", &name, "route", "add", public, "dev", "server"]);
    }

    let mut server = Command::new("ip")
        .args(["netns", "exec", &name, "python3", HOSTS, "serve"])
        .args(SERVER)
        .stdout(Stdio::piped())
        .spawn()
        .expect("ip can be run");
    let mut ready = String::new();
    let said = server.stdout.take().expect("a pipe");
    BufReader::new(said).read_line(&mut ready).expect("a pipe");
    assert_eq!(ready, "ready\n");

    let [four, six] = SERVER;
    let asked = lab.at("client", &["python3", HOSTS, "ask", four, six]);
    server.kill().expect("a server can be ended");
    server.wait().expect("a server ends");
    let told = text(&asked);
    let connections = lab.weir(&["dump-conntrack", "-m"]);
    let drops = lab.weir(&["dump-drops"]);
    assert!(asked.status.success(), "{told}\n{connections}\n{drops}");
    for address in SERVER {
        for port in [21, 2121] {
            for way in ["passive", "active", "pieces"] {
                let line = format!("ftp {address} {port} {way}\n");
                assert!(told.contains(&line), "{line}{told}");
            }
        }
        for port in [69, 6900] {
            assert!(told.contains(&format!("tftp {address} {port}\n")), "{told}");
        }
    }
    // The names of helpers and masters; nothing is expected any more but what was never met.
    assert!(connections.contains(",helper=ftp"), "{connections}");
    let parent = ",parent=(src=10.0.0.5,dst=10.0.0.9,";
    assert!(connections.contains(parent), "{connections}");
    assert_eq!(lab.weir(&["dump-conntrack-exp"]), "");
    let held = drops.lines().find(|line| line.contains("ftp_held"));
    assert!(held.is_some(), "{drops}");
}
