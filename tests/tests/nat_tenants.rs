//! End to end: `nat-same-address-tenants` as its owner printed it, between two tenants with one
//! address and their target, each a network namespace. The policy has no ARP: neighbours are
//! static.
//!
//! Needs what `namespaces.rs` needs, and is skipped as that is.

use std::net::Ipv4Addr;

use weir_tests::namespaces::{Lab, ip, play, text, weir_binary};

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
    knows(&lab, "target", &TENANT.to_string());

    let target = TARGET.to_string();
    for (host, _, _) in TENANTS {
        let pinged = lab.at(host, &["ping", "-c", "3", "-i", "0.2", "-W", "2", &target]);
        assert!(pinged.status.success(), "{}\n{}", text(&pinged), lab.log());
    }
    // The target says whom it sees, over TCP and over UDP.
    let introducing = lab.play("target", &format!("introduce target {TARGET}:{PORT}"));
    for (host, _, alias) in TENANTS {
        let expected = format!("met target, who sees {alias}\n");
        for part in [
            format!("meet {TARGET}:{PORT} 1"),
            format!("hail {TARGET}:{PORT}"),
        ] {
            let told = lab.play(host, &part).told();
            assert!(told.contains(&expected), "{part}: {told}\n{}", lab.log());
        }
    }
    drop(introducing);
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
    // The target reaches nobody unasked: whoever is there, and under no address.
    for (host, _, alias) in TENANTS {
        let introducing = lab.play(host, &format!("introduce {host} {TENANT}:{PORT}"));
        let refused = lab.at("target", &["ping", "-c", "1", "-W", "1", alias]);
        assert!(!refused.status.success(), "{}", text(&refused));
        for address in [alias, &TENANT.to_string()] {
            for part in ["knock", "hail"] {
                let told = lab.play("target", &format!("{part} {address}:{PORT}"));
                let told = told.told();
                assert!(told.contains("nobody answers"), "{address}: {told}");
            }
        }
        drop(introducing);
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

/// What hosts do in the test above.
#[test]
#[ignore = "a part of the other test, run by it"]
fn part() {
    play();
}
