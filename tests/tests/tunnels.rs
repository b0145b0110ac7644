//! End to end: the host's own interface as LOCAL, and a tunnel to another host whose end is Linux's
//! `vxlan` device or Open vSwitch's userspace datapath.
//!
//! Needs root, `ip`, `ping`, `/dev/net/tun`, Open vSwitch and the binary (`WEIR_BIN`, or `weir`
//! beside the tests). Without them it says so and passes; with `CI=true` that is a failure.

use std::net::SocketAddr;

use weir_tests::namespaces::{FarEnd, Lab, OvsHost, ip, play, text, weir_binary};

/// How much a transfer is, in bytes.
const TRANSFER: u64 = 20_000_000;
const PORT: u16 = 5002;
/// The host of the switch, and its peer, inside of the tunnel.
const HOST: &str = "192.168.77.1";
const HOST_MAC: &str = "02:00:00:00:77:01";
const PEER: &str = "192.168.77.2";
const PEER_MAC: &str = "02:00:00:00:77:02";
/// Their addresses below it, those of the policy.
const LOCAL: &str = "10.10.59.1";
const REMOTE: &str = "10.10.59.233";
/// What is left behind the headers of any tunnel over IPv6.
const MTU: &str = "1400";

#[test]
fn a_firewall_over_a_tunnel_to_a_linux_vxlan_device() {
    let Some(lab) = firewall("vxlan") else {
        return;
    };
    linux_end(&lab, LOCAL, &format!("{REMOTE}/24"));
    it_lets_out_and_answers_in(&lab, "vx0");
    looks_right(&lab, "vxlan", REMOTE, 50);
    lab.stop(&[("switch", "br0")]);
}

#[test]
fn a_firewall_over_a_geneve_tunnel_to_open_vswitch() {
    firewall_to_open_vswitch("geneve", 50);
}

/// With its key GRE has 8 bytes, after an IPv4 header.
#[test]
fn a_firewall_over_a_gre_tunnel_to_open_vswitch() {
    firewall_to_open_vswitch("gre", 42);
}

fn firewall_to_open_vswitch(kind: &str, header_size: u64) {
    let Some(lab) = firewall(kind) else {
        return;
    };
    let Some(ovs) = OvsHost::start(&lab, "peer", &open_vswitch(kind)) else {
        return;
    };
    it_lets_out_and_answers_in(&lab, OvsHost::inside());
    looks_right(&lab, kind, REMOTE, header_size);
    // It was Open vSwitch that unwrapped.
    let flows = ovs.appctl(&["dpctl/dump-flows"]);
    assert!(flows.contains("tnl_pop("), "{flows}");
    lab.stop(&[("switch", "br0")]);
}

/// The map of options is changed while both switches run. Each lets in only what has the option that
/// the other one sets: one of 4 bytes, and one that is longer than the room that drivers leave.
#[test]
fn geneve_options_are_set_and_matched_here_and_in_open_vswitch() {
    const MAP: &str = "{class=0x102,type=3,len=4}->tun_metadata0,\
        {class=0x102,type=4,len=124}->tun_metadata7";
    let Some(lab) = firewall("geneve") else {
        return;
    };
    let Some(ovs) = OvsHost::start(&lab, "peer", &open_vswitch("geneve")) else {
        return;
    };
    lab.weir(&["del-flows", "br0"]);
    lab.weir(&["add-tlv-map", "br0", MAP]);
    let map = lab.weir(&["dump-tlv-map", "br0"]);
    ovs.ofctl(&["add-tlv-map", MAP]);
    assert_eq!(map.trim(), ovs.ofctl(&["dump-tlv-map"]).trim());

    let long = |byte: &str| format!("0x{}", byte.repeat(124));
    let (ours, theirs) = (long("a5"), long("5a"));
    lab.weir(&[
        "add-flow",
        &format!(
            "in_port=LOCAL actions=set_field:1->tun_id,set_field:{REMOTE}->tun_dst,\
             set_field:0x12345678->tun_metadata0,set_field:{ours}->tun_metadata7,output:tun"
        ),
    ]);
    let met = format!("in_port=tun,tun_metadata0=0x9,tun_metadata7={theirs} actions=LOCAL");
    lab.weir(&["add-flow", &met]);
    ovs.ofctl(&["del-flows"]);
    ovs.ofctl(&[
        "add-flow",
        &format!(
            "in_port=LOCAL actions=set_field:9->tun_metadata0,set_field:{theirs}->tun_metadata7,\
             output:tun"
        ),
    ]);
    let met = format!("in_port=tun,tun_metadata0=0x12345678,tun_metadata7={ours} actions=LOCAL");
    ovs.ofctl(&["add-flow", &met]);

    for (from, to) in [("switch", PEER), ("peer", HOST)] {
        let pinged = lab.ping(from, to);
        assert!(pinged.status.success(), "{}\n{}", text(&pinged), lab.log());
    }
    let refused = lab.verb(&["del-tlv-map", "br0"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused).contains("NXTTMFC_INVALID_TLV_DEL"),
        "{}",
        text(&refused)
    );
    lab.weir(&["del-flows", "br0", "tun_metadata0=0x9"]);
    let lost = lab.at("switch", &["ping", "-c", "1", "-W", "1", PEER]);
    assert!(!lost.status.success(), "{}", text(&lost));
    lab.weir(&["del-flows"]);
    lab.weir(&["del-tlv-map"]);
    let map = lab.weir(&["dump-tlv-map"]);
    assert!(!map.contains("tun_metadata"), "{map}");
    lab.stop(&[("switch", "br0")]);
}

#[test]
fn a_tunnel_over_ipv6_carries_whatever_comes() {
    let Some(binary) = weir_binary() else {
        return;
    };
    let (local, remote) = ("2001:db8:59::1", "2001:db8:59::233");
    let config = format!(
        "[eal]\nidle_sleep_us = 50\n\
         [[port]]\nname = \"br0\"\nlocal = true\nmtu = {MTU}\n\
         [[port]]\nname = \"uplink\"\nid = 2\nvdev = \"net_tap0,iface=uplink\"\n\
         [[port]]\nname = \"tun\"\nid = 1\nkind = \"vxlan\"\nover = \"uplink\"\n\
         local_ip = \"{local}\"\nremote_ip = \"{remote}\"\nkey = 1\n\
         [bridge]\nflows = [\"policy.flows\"]\n"
    );
    let flows = "in_port=LOCAL actions=output:1\nin_port=1 actions=LOCAL\n";
    let files = [("switch.toml", &*config), ("policy.flows", flows)];
    let lab = Lab::start(binary, "tun6", &files, &["peer"]);
    connect(&lab);
    linux_end(&lab, local, &format!("{remote}/64"));
    for (from, to) in [("switch", PEER), ("peer", HOST)] {
        let pinged = lab.ping(from, to);
        assert!(pinged.status.success(), "{}\n{}", text(&pinged), lab.log());
    }
    lab.transfer("peer", "switch", at(HOST), TRANSFER);
    looks_right(&lab, "vxlan", remote, 70);
    lab.stop(&[("switch", "br0")]);
}

/// The peer as Open vSwitch.
const fn open_vswitch(kind: &str) -> FarEnd<'_> {
    FarEnd {
        kind,
        uplink: "uplink",
        local: "10.10.59.233/24",
        remote: LOCAL,
        key: 1,
        inside: (PEER_MAC, "192.168.77.2/24"),
        mtu: 1400,
    }
}

/// `examples/firewall-over-tunnel.toml` with a tunnel of this kind.
fn firewall(kind: &str) -> Option<Lab> {
    let binary = weir_binary()?;
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
    let toml = include_str!("../../examples/firewall-over-tunnel.toml");
    let replaced = |toml: &str, old: &str, new: &str| {
        assert!(toml.contains(old), "{old}: {toml}");
        toml.replace(old, new)
    };
    let toml = replaced(toml, "kind = \"vxlan\"", &format!("kind = \"{kind}\""));
    let toml = replaced(&toml, "\"../config", &format!("\"{examples}/../config"));
    let supplement = "\"firewall-over-tunnel-supplement";
    let toml = replaced(
        &toml,
        supplement,
        &format!("\"{examples}/{}", &supplement[1..]),
    );
    let name = format!("fw-{kind}");
    let lab = Lab::start(binary, &name, &[("switch.toml", &toml)], &["peer"]);
    connect(&lab);
    Some(lab)
}

/// Gives the host its interface, and the peer the other end of the uplink.
fn connect(lab: &Lab) {
    let (switch, peer) = (lab.name("switch"), lab.name("peer"));
    ip(&["-n", &switch, "link", "set", "uplink", "netns", &peer]);
    ip(&[
        "-n", &switch, "link", "set", "br0", "address", HOST_MAC, "mtu", MTU, "up",
    ]);
    lab.address("switch", "br0", &format!("{HOST}/24"));
}

/// The peer is Linux, with its own device `vx0`.
fn linux_end(lab: &Lab, local: &str, remote: &str) {
    let peer = lab.name("peer");
    lab.address("peer", "uplink", remote);
    ip(&["-n", &peer, "link", "set", "uplink", "up"]);
    let (own, _) = remote.split_once('/').expect("a prefix");
    ip(&[
        "-n", &peer, "link", "add", "vx0", "address", PEER_MAC, "type", "vxlan", "id", "1",
        "local", own, "remote", local, "dstport", "4789",
    ]);
    ip(&["-n", &peer, "link", "set", "vx0", "mtu", MTU, "up"]);
    lab.address("peer", "vx0", &format!("{PEER}/24"));
}

fn at(address: &str) -> SocketAddr {
    SocketAddr::new(address.parse().expect("an address"), PORT)
}

/// The policy: the host opens connections, and its peer answers and opens none. `device` is the
/// peer's inside of the tunnel.
fn it_lets_out_and_answers_in(lab: &Lab, device: &str) {
    // The policy lets no ARP pass.
    lab.neighbour("switch", "br0", PEER, PEER_MAC);
    lab.neighbour("peer", device, HOST, HOST_MAC);
    let pinged = lab.ping("switch", PEER);
    assert!(pinged.status.success(), "{}\n{}", text(&pinged), lab.log());
    let refused = lab.ping("peer", HOST);
    assert!(!refused.status.success(), "{}", text(&refused));

    let listening = lab.play("switch", &format!("listen {}", at(HOST)));
    let knocked = lab.play("peer", &format!("knock {}", at(HOST))).told();
    assert!(knocked.contains("nobody answers"), "{knocked}");
    drop(listening);
    lab.transfer("switch", "peer", at(PEER), TRANSFER);

    let connections = lab.weir(&["dump-conntrack"]);
    let tcp = format!("tcp,orig=(src={HOST},dst={PEER},");
    assert!(connections.contains(&tcp), "{connections}");
    let flows = lab.weir_json(&["dump-flows", "table=1"]);
    let answered = flows.as_array().expect("rows").iter().any(|row| {
        row["actions"] == "LOCAL"
            && row["n_packets"]
                .as_u64()
                .is_some_and(|packets| packets > 100)
    });
    assert!(answered, "{flows:#}");
    let lcores = lab.weir_json(&["pmd-stats-show"]);
    let count = |what: &str| lcores[0]["trajectories"][what].as_u64();
    assert!(
        count("hits") > count("misses").map(|missed| missed * 10),
        "{lcores:#}"
    );
}

/// What the verbs say of the tunnel, of its next hop and of the host's port.
fn looks_right(lab: &Lab, kind: &str, remote: &str, header_size: u64) {
    let ports = lab.weir_json(&["dump-ports"]);
    let of = |name: &str, field: &str| -> u64 {
        let rows = ports.as_array().expect("rows");
        let row = rows.iter().find(|row| row["name"] == name);
        row.and_then(|row| row[field].as_u64())
            .unwrap_or_else(|| panic!("{name} {field}: {ports:#}"))
    };
    assert!(
        of("tun", "tx_bytes") + of("tun", "rx_bytes") > TRANSFER,
        "{ports:#}"
    );
    // Every frame of the tunnel is one below, with its headers, and there are others.
    for direction in ["rx", "tx"] {
        let (packets, bytes) = (format!("{direction}_packets"), format!("{direction}_bytes"));
        assert!(of("uplink", &packets) >= of("tun", &packets), "{ports:#}");
        let headers = header_size * of("tun", &packets);
        assert!(
            of("uplink", &bytes) >= of("tun", &bytes) + headers,
            "{ports:#}"
        );
    }
    let shown = lab.weir(&["show"]);
    assert!(shown.contains(" LOCAL(br0): addr:"), "{shown}");
    assert!(
        shown.contains("device: over uplink, ") && shown.contains(&format!("({kind})")),
        "{shown}"
    );
    let next_hops = lab.weir(&["neigh-show"]);
    let is_known = next_hops.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.first() == Some(&remote) && words.get(2) == Some(&"uplink")
    });
    assert!(is_known, "{next_hops}");
}

/// What hosts do in the tests above.
#[test]
#[ignore = "a part of the other tests, run by them"]
fn part() {
    play();
}
