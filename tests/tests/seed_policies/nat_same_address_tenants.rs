//! `nat-same-address-tenants`: two tenants, both 192.168.0.7, at ports 1 and 2. Each has a zone
//! and an address of its own (192.168.0.17 and 192.168.0.27) towards 172.168.0.7 at port 3. The
//! policy has no ARP: MAC addresses are the policy's own, neighbours are static.
//!
//! A reply meets `ct(commit,nat(dst=...))` on a connection that is there: the translation that it
//! has is undone, and the one named is not made (`nat-same-address-tenants.case`).

use weir_packet::text;
use weir_tests::switch::Switch;
use weir_tests::traffic::{End, ping, tcp, udp};

const POLICY: &str = include_str!("../../../config/tests/seeds/nat-same-address-tenants.flows");
const GATEWAY: &str = "fa:ff:ff:ff:ff:ff";
const TARGET: (&str, &str) = ("172.168.0.7", "ba:60:bd:9b:27:a7");
/// Port, MAC address and the address that the target sees.
const TENANTS: [(u32, &str, &str); 2] = [
    (1, "ba:23:62:78:ce:d2", "192.168.0.17"),
    (2, "ca:7a:93:97:f9:40", "192.168.0.27"),
];
const TENANT: &str = "192.168.0.7";

/// All that a tenant says to the target, and the answers.
fn conversations(tenant: &str) -> Vec<(End, String)> {
    let mut lines = ping(tenant, TARGET.0, 7);
    lines.extend(udp(&format!("{tenant}:4000"), &format!("{}:53", TARGET.0)));
    lines.extend(tcp(&format!("{tenant}:4000"), &format!("{}:80", TARGET.0)));
    lines
}

#[test]
fn both_tenants_reach_the_target_each_under_its_own_address() {
    let mut sw = Switch::with_flows(POLICY);
    let inside = conversations(TENANT);
    let outside = TENANTS.map(|(_, _, alias)| conversations(alias));
    for (at, (end, line)) in inside.iter().enumerate() {
        // Turn by turn, so that both are under way at once, with the same ports.
        for ((port, mac, _), outside) in TENANTS.iter().zip(&outside) {
            let translated = &outside[at].1;
            if *end == End::Client {
                sw.inject(*port, &format!("eth {mac} > {GATEWAY} {line}"));
                let expected = format!("eth {mac} > {} {translated}", TARGET.1);
                assert_eq!(sw.sent_frames(3), [text::frame(&expected)], "{line}");
            } else {
                sw.inject(3, &format!("eth {} > {GATEWAY} {translated}", TARGET.1));
                let expected = format!("eth {} > {mac} {line}", TARGET.1);
                assert_eq!(sw.sent_frames(*port), [text::frame(&expected)], "{line}");
            }
        }
    }
    sw.assert_state("ct: replied=6; drops: none");
}

#[test]
fn the_target_does_not_reach_them_unasked() {
    let mut sw = Switch::with_flows(POLICY);
    for (_, _, alias) in TENANTS {
        for line in [
            format!("tcp {}:4000 > {alias}:22 S", TARGET.0),
            format!("udp {}:4000 > {alias}:53", TARGET.0),
            format!("icmp {} > {alias} echo-request id=1 seq=1", TARGET.0),
        ] {
            sw.inject(3, &format!("eth {} > {GATEWAY} {line}", TARGET.1));
        }
    }
    // Nor another address of the tenants', nor by ARP.
    for line in [
        format!("tcp {}:4000 > {TENANT}:22 S", TARGET.0),
        format!("arp request {} > 192.168.0.17", TARGET.0),
    ] {
        sw.inject(3, &format!("eth {} > {GATEWAY} {line}", TARGET.1));
    }
    assert_eq!(sw.sent_anywhere(), [""; 0]);
    sw.assert_state("ct: none; drops: table_miss=6 action_drop=2");
}

/// An error about a connection is related, not established: the policy has no rule for it.
#[test]
fn errors_do_not_come_back() {
    let mut sw = Switch::with_flows(POLICY);
    let (port, mac, alias) = TENANTS[0];
    sw.inject(
        port,
        &format!("eth {mac} > {GATEWAY} udp {TENANT}:4000 > {}:53", TARGET.0),
    );
    let asked = format!("udp {alias}:4000 > {}:53", TARGET.0);
    assert_eq!(sw.sent(3), [format!("eth {mac} > {} {asked}", TARGET.1)]);
    let error = format!(
        "icmp {} > {alias} unreachable code=3 {{ {asked} }}",
        TARGET.0
    );
    sw.inject(3, &format!("eth {} > {GATEWAY} {error}", TARGET.1));
    sw.assert_state("ct: new=1; drops: table_miss=1");
}
