//! Client and server behind one address: each sees the other's outside address.

use weir_tests::switch::Switch;

/// A host, as it is written with a port.
#[derive(Clone, Copy)]
struct Hosts {
    client: &'static str,
    other: &'static str,
    server: &'static str,
    outside: &'static str,
    ip: &'static str,
}

const V4: Hosts = Hosts {
    client: "10.0.0.5",
    other: "10.0.0.6",
    server: "10.0.0.9",
    outside: "198.51.100.1",
    ip: "ip",
};
const V6: Hosts = Hosts {
    client: "[fc00::5]",
    other: "[fc00::6]",
    server: "[fc00::9]",
    outside: "[2001:db8::1]",
    ip: "ipv6",
};

fn bare(host: &str) -> &str {
    host.trim_matches(['[', ']'])
}

/// Everybody is at port 1; the server's port 80 is published at the address that all share.
/// Zone 1 has who is published, zone 2 who is hidden.
fn switch(hosts: Hosts) -> Switch {
    let Hosts {
        server,
        outside,
        ip,
        ..
    } = hosts;
    let (server, outside) = (bare(server), bare(outside));
    let (src, dst) = match ip {
        "ip" => ("nw_src", "nw_dst"),
        _ => ("ipv6_src", "ipv6_dst"),
    };
    Switch::with_flows(&format!(
        "priority=2,in_port=1,{ip},{src}={server},{dst}={outside} actions=ct(zone=2,nat,table=3)
         priority=1,in_port=1,{ip},{dst}={outside} actions=ct(zone=1,nat,table=1)
         table=1,{ip},ct_state=+new actions=ct(commit,zone=1,nat(dst={server}),table=2)
         table=1,{ip},ct_state=+est actions=resubmit(,2)
         table=2,{ip} actions=ct(commit,zone=2,nat(src={outside})),in_port
         table=3,{ip},ct_state=+rpl actions=ct(zone=1,nat,table=4)
         table=3,{ip},ct_state=+rel actions=ct(zone=1,nat,table=4)
         table=3,{ip},ct_state=+new actions=ct(zone=1,nat,table=1)
         table=4,{ip} actions=in_port"
    ))
}

fn says(sw: &mut Switch, packet: &str, arrives: &str) {
    sw.inject(1, packet);
    assert_eq!(sw.sent(1), [arrives], "{packet}");
}

#[test]
fn a_client_reaches_a_server_behind_the_same_address() {
    for hosts in [V4, V6] {
        let Hosts {
            client,
            server,
            outside,
            ..
        } = hosts;
        let mut sw = switch(hosts);
        for (flags, numbers, answer, answered) in [
            ("S", "seq=1", "SA", "seq=9 ack=2"),
            ("A", "seq=2 ack=10", "A", "seq=10 ack=2"),
            ("PA", "seq=2 ack=10 len=30", "PA", "seq=10 ack=32 len=90"),
            ("FA", "seq=32 ack=100", "FA", "seq=100 ack=33"),
        ] {
            // The server is not told who it is, and the client not who answers.
            says(
                &mut sw,
                &format!("tcp {client}:4000 > {outside}:80 {flags} {numbers}"),
                &format!("tcp {outside}:4000 > {server}:80 {flags} {numbers}"),
            );
            says(
                &mut sw,
                &format!("tcp {server}:80 > {outside}:4000 {answer} {answered}"),
                &format!("tcp {outside}:80 > {client}:4000 {answer} {answered}"),
            );
        }
        sw.assert_state("ct: replied=2; drops: none");
    }
}

/// Two clients with one port, and the server itself: three connections, each with its answers.
#[test]
fn clients_with_one_port_and_the_server_itself_are_told_apart() {
    for hosts in [V4, V6] {
        let Hosts {
            client,
            other,
            server,
            outside,
            ..
        } = hosts;
        let mut sw = switch(hosts);
        let mut ports = Vec::new();
        for _ in 0..2 {
            for from in [client, other, server] {
                sw.inject(1, &format!("udp {from}:4000 > {outside}:80"));
                let sent = sw.sent(1).remove(0);
                let port = sent
                    .strip_prefix(&format!("udp {outside}:"))
                    .and_then(|rest| rest.strip_suffix(&format!(" > {server}:80")))
                    .unwrap_or_else(|| panic!("{sent}"));
                ports.push(port.to_owned());
                says(
                    &mut sw,
                    &format!("udp {server}:80 > {outside}:{port}"),
                    &format!("udp {outside}:80 > {from}:4000"),
                );
            }
        }
        let (first, second) = ports.split_at(3);
        assert_eq!(first, second, "each keeps its port");
        assert!(first[0] == "4000" && first[1] != first[0] && first[2] != first[1]);
        assert_ne!(first[2], first[0]);
        sw.assert_state("ct: replied=6; drops: none");
    }
}

/// An error of the server about what reached it tells the client of what the client sent; echoes
/// go there and back.
#[test]
fn errors_and_echoes_find_their_way_through_both_zones() {
    for (hosts, icmp, unreachable) in [
        (V4, "icmp", "unreachable code=3"),
        (V6, "icmp6", "unreachable code=4"),
    ] {
        let Hosts {
            client,
            server,
            outside,
            ..
        } = hosts;
        let (c, s, o) = (bare(client), bare(server), bare(outside));
        let mut sw = switch(hosts);
        for _ in 0..2 {
            says(
                &mut sw,
                &format!("udp {client}:4000 > {outside}:80 len=20"),
                &format!("udp {outside}:4000 > {server}:80 len=20"),
            );
            says(
                &mut sw,
                &format!(
                    "{icmp} {s} > {o} {unreachable} {{ udp {outside}:4000 > {server}:80 len=20 }}"
                ),
                &format!(
                    "{icmp} {o} > {c} {unreachable} {{ udp {client}:4000 > {outside}:80 len=20 }}"
                ),
            );
            says(
                &mut sw,
                &format!("{icmp} {c} > {o} echo-request id=7 seq=1 len=40"),
                &format!("{icmp} {o} > {s} echo-request id=7 seq=1 len=40"),
            );
            says(
                &mut sw,
                &format!("{icmp} {s} > {o} echo-reply id=7 seq=1 len=40"),
                &format!("{icmp} {o} > {c} echo-reply id=7 seq=1 len=40"),
            );
        }
        sw.ignore_what_is_sent();
        sw.state();
    }
}
