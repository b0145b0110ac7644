//! `firewall-over-tunnel`: the host may open connections to another one behind a tunnel, which
//! may only answer. Zone 1 tracks both directions; `tun_id` 1 and 10.10.59.233 are the tunnel.
//!
//! As printed, what comes from the host was tracked already, by the firewall of its kernel. A
//! packet from weir's LOCAL is untracked; one line more takes it to the same place. ARP is not
//! in the policy: both ends have static neighbours.

use weir_config::file::Config;
use weir_packet::{VecFrame, text};
use weir_tables::port::PortNo;
use weir_tests::switch::Switch;
use weir_tests::traffic::{End, ping, tcp, udp};
use weir_tests::underlay::{geneve, gre, source_port, vxlan, wrapped};

const LOCAL: u32 = PortNo::LOCAL.0;
const UPLINK: u32 = 2;
const OWN: &str = "02:77:65:69:00:01";
const PEER: &str = "02:00:00:00:59:e9";
const KINDS: [&str; 3] = ["vxlan", "geneve", "gre"];
const HOST: &str = "192.168.77.1";
const FAR: &str = "192.168.77.2";

/// What the dump leaves to the host's own firewall.
const UNTRACKED: &str = "ct_state=-trk,ip,in_port=LOCAL actions=ct(table=1,zone=1)";

/// The dump as it is, over a tunnel of this kind.
fn alone(kind: &str) -> Switch {
    let toml = format!(
        "[[port]]\nname = \"br0\"\nlocal = true\n\
         [[port]]\nname = \"uplink\"\nid = {UPLINK}\n\
         [[port]]\nname = \"tun\"\nid = 1\nkind = \"{kind}\"\nover = \"uplink\"\n\
         local_ip = \"10.10.59.1\"\nremote_ip = \"flow\"\nkey = \"flow\"\n\
         [[neighbour]]\nport = \"uplink\"\nip = \"10.10.59.233\"\nmac = \"{PEER}\"\n\
         [bridge]\nflows = [\"../config/tests/seeds/firewall-over-tunnel.flows\"]\n"
    );
    let name = concat!(env!("CARGO_MANIFEST_DIR"), "/firewall.toml");
    let config = Config::parse(name, &toml).unwrap_or_else(|error| panic!("{error}"));
    Switch::of_config(&config).unwrap_or_else(|errors| panic!("{}", errors[0]))
}

fn with_local(kind: &str) -> Switch {
    let mut sw = alone(kind);
    sw.change_flows(UNTRACKED).expect("it can be executed");
    sw
}

fn header(kind: &str, id: u32) -> String {
    match kind {
        "vxlan" => vxlan(id),
        "geneve" => geneve(id, ""),
        _ => gre(Some(id)),
    }
}

/// `inner` on its way from here, with the source port that `sent` chose.
fn outward(kind: &str, inner: &str, sent: &VecFrame) -> VecFrame {
    let (own, peer) = ("10.10.59.1", "10.10.59.233");
    let eth = format!("eth {OWN} > {PEER}");
    let port = source_port(sent);
    let outer = match kind {
        "vxlan" => format!("{eth} udp {own}:{port} > {peer}:4789 df no-csum"),
        "geneve" => format!("{eth} udp {own}:{port} > {peer}:6081 df no-csum"),
        _ => format!("{eth} ip proto=47 {own} > {peer} df"),
    };
    wrapped(&outer, &header(kind, 1), inner)
}

/// `inner` on its way here, from `peer` in network `id`.
fn inward(kind: &str, peer: &str, id: u32, inner: &str) -> VecFrame {
    let own = "10.10.59.1";
    let eth = format!("eth {PEER} > {OWN}");
    let outer = match kind {
        "vxlan" => format!("{eth} udp {peer}:5 > {own}:4789 no-csum"),
        "geneve" => format!("{eth} udp {peer}:5 > {own}:6081 no-csum"),
        _ => format!("{eth} ip proto=47 {peer} > {own}"),
    };
    wrapped(&outer, &header(kind, id), inner)
}

#[test]
fn the_host_opens_connections_and_the_other_end_answers() {
    for kind in KINDS {
        let mut sw = with_local(kind);
        let mut lines = ping(HOST, FAR, 7);
        lines.extend(udp(&format!("{HOST}:4000"), &format!("{FAR}:53")));
        lines.extend(tcp(&format!("{HOST}:4000"), &format!("{FAR}:80")));
        for (end, line) in &lines {
            if *end == End::Client {
                sw.inject(LOCAL, line);
                let sent = sw.sent_frames(UPLINK);
                assert_eq!(sent, [outward(kind, line, &sent[0])], "{kind}: {line}");
            } else {
                let frame = inward(kind, "10.10.59.233", 1, line);
                sw.inject_frames(UPLINK, vec![frame]);
                let sent = sw.sent_frames(LOCAL);
                assert_eq!(sent, [text::frame(line)], "{kind}: {line}");
            }
        }
        sw.assert_state("ct: replied=3; drops: none");
    }
}

/// New from the tunnel goes to table 2, which is empty; what is neither new nor established,
/// such as an error about a connection, matches nothing.
#[test]
fn what_nobody_asked_for_is_dropped() {
    for kind in KINDS {
        let mut sw = with_local(kind);
        for (peer, id, line) in [
            ("10.10.59.233", 1, format!("tcp {FAR}:4000 > {HOST}:22 S")),
            (
                "10.10.59.233",
                1,
                format!("icmp {FAR} > {HOST} echo-request id=1 seq=1"),
            ),
            (
                "10.10.59.233",
                1,
                format!("udp {FAR}:1 > {HOST}:2 bad-csum"),
            ),
            ("10.10.59.233", 1, format!("arp request {FAR} > {HOST}")),
            // Another network, another end.
            ("10.10.59.233", 2, format!("tcp {FAR}:4000 > {HOST}:22 S")),
            ("10.10.59.234", 1, format!("tcp {FAR}:4000 > {HOST}:22 S")),
        ] {
            sw.inject_frames(UPLINK, vec![inward(kind, peer, id, &line)]);
            assert_eq!(sw.sent_anywhere(), [""; 0], "{kind}: {line}");
        }
        let ask = format!("udp {HOST}:4000 > {FAR}:53");
        sw.inject(LOCAL, &ask);
        assert_eq!(sw.sent(UPLINK).len(), 1);
        let error = format!("icmp {FAR} > {HOST} unreachable code=3 {{ {ask} }}");
        sw.inject_frames(UPLINK, vec![inward(kind, "10.10.59.233", 1, &error)]);
        sw.assert_state("ct: new=1 invalid_l4_checksum=1; drops: table_miss=7");
    }
}

/// As printed: nothing of the host's passes, and so nothing of the other end's is an answer: its
/// SYN-ACK is invalid, and what follows would be new, which table 2 does not let in.
#[test]
fn the_dump_alone_lets_nothing_of_an_untracked_host_pass() {
    let mut sw = alone("vxlan");
    for (_, line) in tcp(&format!("{HOST}:4000"), &format!("{FAR}:80")) {
        if line.starts_with(&format!("tcp {HOST}")) {
            sw.inject(LOCAL, &line);
        } else {
            let frame = inward("vxlan", "10.10.59.233", 1, &line);
            sw.inject_frames(UPLINK, vec![frame]);
        }
        assert_eq!(sw.sent_anywhere(), [""; 0], "{line}");
    }
    sw.assert_state("ct: invalid_tcp_syn_ack_first=1; drops: table_miss=10");
}
