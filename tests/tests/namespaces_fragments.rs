//! Datagrams larger than a frame, between the TCP/IP of two namespaces: through a stateful firewall
//! and through SNAT, IPv4 and IPv6, on DPDK's TAP devices.
//!
//! Needs what `namespaces` needs.

use std::io::{ErrorKind, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use serde_json::Value;
use weir_tests::namespaces::{Lab, text, weir_binary};

const CONFIG: &str = r#"
[eal]
hugepages = false
idle_sleep_us = 100

[[port]]
name = "weir0"
id = 1
vdev = "net_tap0,iface=weir0"

[[port]]
name = "weir1"
id = 2
vdev = "net_tap1,iface=weir1"

[bridge]
flows = ["policy.flows"]
"#;

/// From 1 everything goes out, what has a source address that ends in 11 as from one that ends in
/// 100; from 2 comes what belongs to that.
const POLICY: &str = "
    priority=30,arp actions=NORMAL
    priority=30,icmp6,icmp_type=135 actions=NORMAL
    priority=30,icmp6,icmp_type=136 actions=NORMAL
    priority=20,in_port=1,ip,nw_src=10.9.0.11 actions=ct(commit,zone=7,nat(src=10.9.0.100),table=1)
    priority=20,in_port=2,ip,nw_dst=10.9.0.100 actions=ct(zone=7,nat,table=1)
    priority=20,in_port=1,ipv6,ipv6_src=fd09::11 actions=ct(commit,zone=7,nat(src=fd09::100),table=1)
    priority=20,in_port=2,ipv6,ipv6_dst=fd09::100 actions=ct(zone=7,nat,table=1)
    priority=10,ip actions=ct(table=1)
    priority=10,ipv6 actions=ct(table=1)
    table=1,priority=9,ip,ip_frag=yes actions=drop
    table=1,priority=9,ipv6,ip_frag=yes actions=drop
    table=1,priority=8,in_port=1,ct_state=-inv+new,ct_zone=0,ip actions=ct(commit),output:2
    table=1,priority=8,in_port=1,ct_state=-inv+new,ct_zone=0,ipv6 actions=ct(commit),output:2
    table=1,priority=7,in_port=1,ct_state=-inv+trk actions=output:2
    table=1,priority=7,in_port=2,ct_state=-inv+est actions=output:1
    table=1,priority=7,in_port=2,ct_state=-inv+rel actions=output:1";

const LEFT_MAC: &str = "02:00:00:00:00:02";
const PORT: u16 = 5001;
const CLOSED_PORT: u16 = 5009;

#[test]
fn datagrams_larger_than_a_frame_pass_a_firewall_and_a_translation() {
    let Some(binary) = weir_binary() else {
        return;
    };
    let files = [("weir.toml", CONFIG), ("policy.flows", POLICY)];
    let lab = Lab::start(binary, "pieces", &files, &["left", "right"]);
    lab.place("weir0", "left", LEFT_MAC, "10.9.0.1/24");
    lab.place("weir1", "right", "02:00:00:00:00:03", "10.9.0.2/24");
    lab.address("left", "weir0", "10.9.0.11/24");
    lab.address("left", "weir0", "fd09::1/64");
    lab.address("left", "weir0", "fd09::11/64");
    lab.address("right", "weir1", "fd09::2/64");
    lab.neighbour("right", "weir1", "10.9.0.100", LEFT_MAC);
    lab.neighbour("right", "weir1", "fd09::100", LEFT_MAC);

    for (right, lefts) in [
        ("10.9.0.2", ["10.9.0.1", "10.9.0.11"]),
        ("fd09::2", ["fd09::1", "fd09::11"]),
    ] {
        let at = |port| SocketAddr::new(right.parse::<IpAddr>().expect("an address"), port);
        let echoing = lab.play("right", &format!("echo {}", at(PORT)));
        for left in lefts {
            let ping = [
                "ping", "-c", "3", "-i", "0.2", "-W", "2", "-s", "5000", "-I", left, right,
            ];
            let pinged = lab.at("left", &ping);
            assert!(pinged.status.success(), "{left}: {}", text(&pinged));
            for size in [8_000, 60_000] {
                let part = format!("ask {left} {} {size}", at(PORT));
                let asked = lab.play("left", &part).told();
                let told = || format!("{part}: {asked}\n{}", lab.weir(&["dump-drops"]));
                assert!(asked.contains("answered"), "{}", told());
            }
            // Right says that its port is unreachable, and quotes what came.
            let part = format!("ask {left} {} 8000", at(CLOSED_PORT));
            let asked = lab.play("left", &part).told();
            assert!(asked.contains("refused"), "{part}: {asked}\n{}", lab.log());
        }
        drop(echoing);
    }
    // Nobody comes in unasked, in however many pieces.
    let refused = lab.at(
        "right",
        &["ping", "-c", "1", "-W", "1", "-s", "5000", "10.9.0.1"],
    );
    assert!(!refused.status.success(), "{}", text(&refused));

    let drops = lab.weir_json(&["dump-drops"]);
    let drops = drops.as_array().expect("an array of rows");
    let odd = drops.iter().filter(|row| {
        let reason = row["reason"].as_str().unwrap_or_default();
        reason.starts_with("fragment_") && row["packets"] != 0
    });
    let odd: Vec<&Value> = odd.collect();
    assert!(odd.is_empty(), "{odd:?}");
    let stats = lab.weir_json(&["pmd-stats-show"]);
    let pieces = &stats[0]["fragments"];
    let count = |name: &str| {
        pieces[name]
            .as_u64()
            .unwrap_or_else(|| panic!("{name}: {stats}"))
    };
    assert_eq!(count("waiting"), 0, "{stats}");
    // Four ways, there and back: pings of four pieces, datagrams of six and of forty-one.
    assert!(count("datagrams") >= 4 * (2 * 3 + 2 * 2 + 1), "{stats}");
    assert!(count("joined") >= 4 * 2 * (3 * 4 + 6 + 41), "{stats}");
    lab.stop(&[("left", "weir0"), ("right", "weir1")]);
}

/// What hosts do in the test above:
///
/// | words | does |
/// |---|---|
/// | `echo ADDRESS` | sends each datagram back |
/// | `ask FROM ADDRESS SIZE` | sends one of that size there; says `answered`, `refused` or `nobody answers` |
#[test]
#[ignore = "a part of the other test, run by it"]
fn part() {
    let part = std::env::var("WEIR_TEST_PART").expect("a part to play");
    let words: Vec<&str> = part.split(' ').collect();
    match words[..] {
        ["echo", address] => {
            let socket = UdpSocket::bind(address).expect("a free port");
            println!("ready");
            std::io::stdout().flush().expect("a pipe");
            let mut datagram = vec![0; 65_535];
            loop {
                let (size, from) = socket.recv_from(&mut datagram).expect("a datagram");
                socket.send_to(&datagram[..size], from).expect("sent");
            }
        }
        ["ask", from, address, size] => {
            let from = SocketAddr::new(from.parse().expect("an address"), 0);
            let socket = UdpSocket::bind(from).expect("a free port");
            let patience = Duration::from_secs(3);
            socket.set_read_timeout(Some(patience)).expect("a socket");
            socket.connect(address).expect("a route");
            let size: usize = size.parse().expect("a size");
            let question: Vec<u8> = (0..size).map(|at| (at * 7 / 5) as u8).collect();
            socket.send(&question).expect("sent");
            let mut answer = vec![0; 65_535];
            match socket.recv(&mut answer) {
                Ok(size) => {
                    assert!(answer[..size] == question, "another datagram came back");
                    println!("answered");
                }
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => println!("refused"),
                Err(error) => println!("nobody answers: {error}"),
            }
        }
        _ => panic!("the part is {part}"),
    }
}
