//! A firewall and a translation on the wire between two routers.

use weir_tests::namespaces::{Routers, V4, V6, weir_binary_and};

#[test]
fn a_firewall_between_two_routers() {
    let Some(binary) = weir_binary_and(Routers::PROGRAMS) else {
        return;
    };
    let routers = Routers::start_example(
        binary,
        "dual-stack-firewall",
        ["10.0.0.0/24", "fd00:a::/64"],
    );
    for addresses in [V4, V6] {
        let seen = addresses.client;
        routers.only_the_client_pings(&addresses, seen);
        routers.client_is_answered(&addresses);
        routers.client_fetches_files(&addresses);
        routers.client_traces_the_route(&addresses);
        routers.both_ends_find_the_mtu(&addresses, seen);
    }
    let connections = routers.lab.weir(&["dump-conntrack"]);
    for protocol in ["icmp", "icmpv6", "udp", "tcp", "sctp"] {
        let line = format!("{protocol},orig=(src=");
        assert!(connections.contains(&line), "{line}: {connections}");
    }
}

/// The outer router knows no way to the private networks: what was not translated does not come back.
#[test]
fn a_translation_between_two_routers() {
    let Some(binary) = weir_binary_and(Routers::PROGRAMS) else {
        return;
    };
    let outside = ["203.0.113.8", "2001:db8:113::8"];
    let routers = Routers::start_example(binary, "masquerade", outside);
    for (addresses, seen) in [V4, V6].into_iter().zip(outside) {
        routers.only_the_client_pings(&addresses, seen);
        routers.client_is_answered(&addresses);
        routers.client_fetches_files(&addresses);
        routers.client_traces_the_route(&addresses);
        routers.both_ends_find_the_mtu(&addresses, seen);
        let connections = routers.lab.weir(&["dump-conntrack", "zone=1"]);
        for protocol in ["udp", "tcp", "sctp"] {
            let (client, server) = (addresses.client, addresses.server);
            let line = format!("{protocol},orig=(src={client},dst={server},");
            let reply = format!("reply=(src={server},dst={seen},");
            let mut lines = connections.lines();
            let is_there = lines.any(|row| row.starts_with(&line) && row.contains(&reply));
            assert!(is_there, "{line} {reply}: {connections}");
        }
    }
}
