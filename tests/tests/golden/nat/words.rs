//! The words of `nat(...)`, each as it tells on packets.

use std::collections::HashSet;

use weir_tests::switch::Switch;

/// The switch of a process that drew `secret` when it started: clients at port 1.
fn started(secret: u64, nat: &str) -> Switch {
    let ip = if nat.contains("::") { "ipv6" } else { "ip" };
    let builder = Switch::builder().secret(secret).max_connections(2_000);
    builder.flows(&format!("in_port=1,{ip} actions=ct(commit,{nat}),output:2"))
}

/// The source that `packet` leaves with; `None` if it does not leave.
fn source(sw: &mut Switch, packet: &str) -> Option<String> {
    sw.inject(1, packet);
    let sent = sw.sent(2).pop()?;
    let (front, _) = sent.split_once(" > ").expect("a packet");
    front.split(' ').next_back().map(str::to_owned)
}

fn address(source: &str) -> &str {
    source.rsplit_once(':').expect("a port").0
}

/// As many clients as a range has addresses and ports for one destination, and one more.
#[test]
fn every_address_and_port_is_used_before_a_range_is_exhausted() {
    let v4 = |n: u32| format!("udp 10.0.0.{n}:4000 > 192.0.2.9:53");
    let v6 = |n: u32| format!("udp [fc00::{n}]:4000 > [2001:db8::9]:53");
    let echo = |n: u32| format!("icmp 10.0.0.{n} > 192.0.2.9 echo-request id=7 seq=1");
    let gre = |n: u32| format!("ip proto=47 10.0.0.{n} > 192.0.2.9 data=00000800");
    let low = |n: u32| format!("tcp 10.0.0.{n}:20 > 192.0.2.9:514 S seq=1");
    let (pool4, pool6) = (
        "198.51.100.7-198.51.100.9:5000-5001",
        "[2001:db8::7]-[2001:db8::9]:5000-5001",
    );
    type Client = dyn Fn(u32) -> String;
    let cases: [(&str, &str, &Client, usize); 6] = [
        (pool4, "", &v4, 6),
        (pool4, ",random", &v4, 6),
        (pool6, ",persistent", &v6, 6),
        // The identifier of an echo is a port.
        (pool4, ",hash", &echo, 6),
        // What has no ports has a connection to each address.
        (pool4, "", &gre, 3),
        // Ports of a class, without a range of them: 1 to 511.
        ("198.51.100.7-198.51.100.8", "", &low, 2 * 511),
    ];
    for (range, flags, client, room) in cases {
        let mut sw = started(3, &format!("nat(src={range}{flags})"));
        let mut seen = HashSet::new();
        for n in 0..room as u32 {
            // Each client twice: the second packet is of the same connection.
            let packet = client(n % 250 + 1).replace("10.0.0.", &format!("10.{}.0.", n / 250));
            let first = source(&mut sw, &packet);
            assert_eq!(source(&mut sw, &packet), first, "{range}{flags}");
            let sent = first.unwrap_or_else(|| panic!("{packet}: {range}{flags} is used up"));
            // Addresses alone do not tell echoes apart.
            let echo = packet.starts_with("icmp");
            assert!(seen.insert(sent) || echo, "{packet}: given twice");
        }
        let replies: HashSet<_> = sw.connections().iter().map(|entry| entry.reply).collect();
        assert_eq!(replies.len(), room, "{range}{flags}");
        let late = client(251);
        assert_eq!(source(&mut sw, &late), None, "{late} {range}{flags}");
        sw.assert_state(&format!(
            "ct: new={room} refused_nat_exhausted=1; drops: nat_exhausted=1"
        ));
    }
}

/// What a client of `nat` gets in processes that drew other secrets.
fn after_restarts(nat: &str, packet: &str) -> HashSet<String> {
    let starts = 1..=12;
    starts
        .map(|secret| {
            let source = source(&mut started(secret, nat), packet).expect("it is free");
            address(&source).to_owned()
        })
        .collect()
}

/// RFC 4787 REQ-2: whatever a client connects to, it comes from one address; with `persistent`
/// that is the same after a restart, too.
#[test]
fn a_client_keeps_its_address_and_over_restarts_if_persistent() {
    for (range, client, server) in [
        ("198.51.100.0-198.51.100.255", "10.0.0.5", "192.0.2.9"),
        (
            "2001:db8::-2001:db8::ffff:ffff",
            "[fc00::5]",
            "[2001:db8:1::9]",
        ),
    ] {
        for (flags, stays) in [("", false), (",random", false), (",persistent", true)] {
            let nat = format!("nat(src={range}{flags})");
            let mut sw = started(1, &nat);
            let mut addresses = HashSet::new();
            for port in 4000..4020 {
                let packet = format!("udp {client}:{port} > {server}:{}", port - 3900);
                let source = source(&mut sw, &packet).expect("a free one");
                addresses.insert(address(&source).to_owned());
            }
            assert_eq!(addresses.len(), 1, "{nat}: {addresses:?}");
            let addresses = after_restarts(&nat, &format!("udp {client}:4000 > {server}:53"));
            assert_eq!(addresses.len() == 1, stays, "{nat}: {addresses:?}");
            sw.assert_state("ct: new=20; drops: none");
        }
    }
}

/// The server to which a client's connections go: one for all if persistent, each else.
#[test]
fn connections_are_spread_over_back_ends_but_a_persistent_client_stays_with_one() {
    for (flags, spread) in [("", true), (",hash", true), (",persistent", false)] {
        let mut sw = Switch::with_flows(&format!(
            "in_port=1,tcp actions=ct(commit,nat(dst=10.0.0.1-10.0.0.8{flags})),output:2"
        ));
        let mut servers = HashSet::new();
        for port in 4000..4040 {
            sw.inject(1, &format!("tcp 203.0.113.5:{port} > 192.0.2.9:80 S seq=1"));
            let sent = sw.sent(2).remove(0);
            let (_, server) = sent.split_once(" > ").expect("a packet");
            servers.insert(server.split_once(':').expect("a port").0.to_owned());
        }
        assert_eq!(servers.len() > 5, spread, "{flags}: {servers:?}");
        assert!(spread || servers.len() == 1, "{flags}: {servers:?}");
        sw.assert_state("ct: new=40; drops: none");
    }
}

/// `random` begins anywhere in the range; `hash`, and saying nothing, with the client's own port
/// where that is in it, and else at a place that is the same for the same connection.
#[test]
fn a_random_port_is_another_for_each_connection() {
    let ports = |flags: &str, range: &str, port: u16| {
        let nat = format!("nat(src=198.51.100.7:{range}{flags})");
        let mut sw = started(1, &nat);
        let ports: HashSet<_> = (1..=30)
            .map(|n| {
                let packet = format!("udp 10.0.0.5:{port} > 192.0.2.{n}:53");
                source(&mut sw, &packet).expect("a free one")
            })
            .collect();
        sw.assert_state("ct: new=30; drops: none");
        ports
    };
    assert!(ports(",random", "5000-5999", 5000).len() > 20);
    for flags in ["", ",hash", ",persistent"] {
        let own = HashSet::from(["198.51.100.7:5000".to_owned()]);
        assert_eq!(ports(flags, "5000-5999", 5000), own);
        let some = ports(flags, "5000-5999", 80);
        assert!(some.len() > 20, "destinations choose, too");
        assert_eq!(ports(flags, "5000-5999", 80), some);
    }
}

/// `nat(src=0.0.0.0)` and `nat(src=::)` as `nat(src)`: addresses stay, and ports while nobody has
/// them.
#[test]
fn an_all_zero_source_changes_a_port_only_if_it_is_taken() {
    for (zero, ip, client, server, other) in [
        ("src=0.0.0.0", "ip", "10.0.0.5", "192.0.2.9", "192.0.2.8"),
        ("src=::", "ipv6", "[fc00::5]", "[fc00::9]", "[fc00::8]"),
        ("src", "ip", "10.0.0.5", "192.0.2.9", "192.0.2.8"),
    ] {
        let dst = if ip == "ip" { "nw_dst" } else { "ipv6_dst" };
        let [to, from] = [server, other].map(|host| host.trim_matches(['[', ']']));
        // What goes to the other server comes to the first.
        let mut sw = Switch::with_flows(&format!(
            "priority=2,in_port=1,{ip},{dst}={from} actions=ct(commit,nat(dst={to})),output:2
             priority=1,in_port=1,{ip} actions=ct(commit,nat({zero})),output:2
             in_port=2,{ip} actions=ct(nat),output:1"
        ));
        let to_server = |port: u16| format!("udp {client}:{port} > {server}:53");
        sw.inject(1, &to_server(4001));
        assert_eq!(sw.sent(2), [to_server(4001)]);
        for _ in 0..2 {
            sw.inject(1, &format!("udp {client}:4000 > {other}:53"));
            assert_eq!(sw.sent(2), [to_server(4000)]);
            // Another connection between the same ends.
            sw.inject(1, &to_server(4000));
            let sent = sw.sent(2).remove(0);
            let port = sent
                .strip_prefix(&format!("udp {client}:"))
                .and_then(|rest| rest.strip_suffix(&format!(" > {server}:53")));
            let port: u16 = port.expect("the client").parse().expect("a port");
            assert!(port >= 1024 && port != 4000 && port != 4001, "{port}");
            for (port, from) in [(port, server), (4000, other)] {
                sw.inject(2, &format!("udp {server}:53 > {client}:{port}"));
                assert_eq!(sw.sent(1), [format!("udp {from}:53 > {client}:4000")]);
            }
        }
        sw.assert_state("ct: new=1 replied=2; drops: none");
    }
}

/// A journey through four zones: published, hidden, not translated, published again. Each zone
/// knows its own tuple, which rules see, and both bits say what the last one did.
#[test]
fn each_zone_of_a_journey_translates_once_and_shows_its_own_tuple() {
    let mut sw = Switch::with_flows(
        "in_port=1,udp actions=ct(commit,zone=1,nat(dst=10.1.0.1:5301),table=1)
         table=1,udp,ct_state=+dnat-snat,ct_nw_dst=192.0.2.9,ct_nw_proto=17,ct_tp_dst=53,nw_dst=10.1.0.1,tp_dst=5301 \
             actions=ct(commit,zone=2,nat(src=10.2.0.1:4002),table=2)
         table=2,udp,ct_state=+snat-dnat,ct_zone=2,ct_nw_src=10.0.0.5,ct_nw_dst=10.1.0.1,ct_nw_proto=17,ct_tp_src=4000 \
             actions=ct(commit,zone=3,nat,table=3)
         table=3,udp,ct_state=+trk-inv-snat-dnat,ct_nw_src=10.2.0.1,ct_nw_dst=10.1.0.1 \
             actions=ct(commit,zone=4,nat(dst=10.4.0.1),table=4)
         table=4,udp,ct_state=+dnat,ct_nw_dst=10.1.0.1,nw_dst=10.4.0.1 actions=output:2
         in_port=2,udp actions=ct(zone=4,nat,table=5)
         table=5,udp,ct_state=+snat+rpl,ct_nw_dst=10.1.0.1,nw_src=10.1.0.1 actions=ct(zone=3,nat,table=6)
         table=6,udp,ct_state=-snat-dnat+rpl actions=ct(zone=2,nat,table=7)
         table=7,udp,ct_state=+dnat-snat+rpl,ct_nw_src=10.0.0.5,nw_dst=10.0.0.5 \
             actions=ct(zone=1,nat,table=8)
         table=8,udp,ct_state=+snat-dnat+rpl,ct_nw_dst=192.0.2.9,nw_src=192.0.2.9 actions=output:1",
    );
    for _ in 0..3 {
        sw.inject(1, "udp 10.0.0.5:4000 > 192.0.2.9:53 len=5");
        assert_eq!(sw.sent(2), ["udp 10.2.0.1:4002 > 10.4.0.1:5301 len=5"]);
        sw.inject(2, "udp 10.4.0.1:5301 > 10.2.0.1:4002 len=6");
        assert_eq!(sw.sent(1), ["udp 192.0.2.9:53 > 10.0.0.5:4000 len=6"]);
    }
    sw.assert_state("ct: replied=4; drops: none");
}

/// As in Open vSwitch: the translation that a connection has in a zone is its only one there, the
/// mark that comes with a second is kept.
#[test]
fn a_second_translation_in_one_zone_is_ignored() {
    let mut sw = Switch::with_flows(
        "in_port=1,ipv6 actions=ct(commit,zone=1,nat(src=2001:db8::7),table=1)
         table=1,ipv6 actions=ct(commit,zone=1,nat(dst=2001:db8::9),exec(set_field:5->ct_mark),table=2)
         table=2,ct_mark=5,ct_state=+snat-dnat,ipv6 actions=output:2
         in_port=2,ipv6 actions=ct(zone=1,nat,table=3)
         table=3,ipv6,ct_state=+dnat-snat+rpl,ct_mark=5,ct_ipv6_src=fc00::5 actions=output:1",
    );
    for _ in 0..2 {
        sw.inject(1, "tcp [fc00::5]:4000 > [2001:db8:1::9]:80 S seq=1");
        assert_eq!(
            sw.sent(2),
            ["tcp [2001:db8::7]:4000 > [2001:db8:1::9]:80 S seq=1"]
        );
    }
    sw.inject(
        2,
        "tcp [2001:db8:1::9]:80 > [2001:db8::7]:4000 SA seq=9 ack=2",
    );
    assert_eq!(
        sw.sent(1),
        ["tcp [2001:db8:1::9]:80 > [fc00::5]:4000 SA seq=9 ack=2"]
    );
    sw.assert_state("ct: replied=1; drops: none");
}

/// `ct(commit,nat(dst=...))` on replies, as policies of deployments have it: the connection has
/// its translation already, and what the action says is not looked at.
#[test]
fn a_translation_asked_for_on_replies_is_that_of_the_connection() {
    let mut sw = Switch::with_flows(
        "in_port=1,ip actions=ct(commit,zone=1,nat(src=198.51.100.7)),output:2
         in_port=2,ip actions=ct(zone=1,table=1)
         table=1,ip,ct_state=+est actions=ct(commit,zone=1,nat(dst=10.0.0.66)),output:1",
    );
    for _ in 0..3 {
        sw.inject(1, "udp 10.0.0.5:4000 > 192.0.2.9:53");
        assert_eq!(sw.sent(2), ["udp 198.51.100.7:4000 > 192.0.2.9:53"]);
        sw.inject(2, "udp 192.0.2.9:53 > 198.51.100.7:4000");
        assert_eq!(sw.sent(1), ["udp 192.0.2.9:53 > 10.0.0.5:4000"]);
    }
    // Who is new comes no further, and gets no translation.
    sw.inject(2, "udp 192.0.2.9:53 > 198.51.100.7:4001");
    sw.assert_state("ct: replied=1; drops: table_miss=1");
}

/// A translation is applied where the action says so: a `ct()` without `nat` looks only.
#[test]
fn a_bare_nat_translates_what_has_a_translation_and_nothing_else() {
    let mut sw = Switch::with_flows(
        "in_port=1,udp,tp_dst=53 actions=ct(commit,nat(src=198.51.100.7)),output:2
         in_port=1,udp,tp_dst=54 actions=ct(commit,nat),output:2
         in_port=2,udp,tp_src=53 actions=ct(table=1)
         in_port=2,udp,tp_src=54 actions=ct(nat,table=1)
         table=1,udp,ct_state=+est-dnat-snat actions=output:1",
    );
    sw.inject(1, "udp 10.0.0.5:4000 > 192.0.2.9:53");
    assert_eq!(sw.sent(2), ["udp 198.51.100.7:4000 > 192.0.2.9:53"]);
    sw.inject(1, "udp 10.0.0.5:4000 > 192.0.2.9:54");
    assert_eq!(sw.sent(2), ["udp 10.0.0.5:4000 > 192.0.2.9:54"]);
    for _ in 0..2 {
        sw.inject(2, "udp 192.0.2.9:53 > 198.51.100.7:4000");
        assert_eq!(sw.sent(1), ["udp 192.0.2.9:53 > 198.51.100.7:4000"]);
        sw.inject(2, "udp 192.0.2.9:54 > 10.0.0.5:4000");
        assert_eq!(sw.sent(1), ["udp 192.0.2.9:54 > 10.0.0.5:4000"]);
    }
    sw.assert_state("ct: replied=2; drops: none");
}

/// A commit that finds nothing drops its packet, by whatever way: alone, in a fork, in a bucket, and
/// with what follows it. It never leaves as it came.
#[test]
fn what_cannot_be_translated_is_never_forwarded() {
    for (actions, reaches) in [
        (
            "ct(commit,nat(src=198.51.100.7:5000)),output:2",
            [""; 0].as_slice(),
        ),
        ("ct(commit,nat(src=198.51.100.7:5000),table=1)", &[]),
        (
            "output:3,ct(commit,nat(src=198.51.100.7:5000),table=1)",
            &["3"],
        ),
        (
            "clone(ct(commit,nat(src=198.51.100.7:5000),table=1)),output:3",
            &["3"],
        ),
        ("group:1", &[]),
        ("group:2", &[]),
    ] {
        let mut sw = Switch::with_flows("table=1 actions=output:2");
        sw.change_groups(
            "group_id=1,type=select,bucket=actions=ct(commit,nat(src=198.51.100.7:5000),table=1)
             group_id=2,type=indirect,bucket=actions=ct(commit,nat(src=fc00::1),table=1)",
        )
        .expect("a group");
        sw.change_flows(&format!("in_port=1,ip actions={actions}"))
            .expect("a flow");
        sw.inject(1, "udp 10.0.0.5:4000 > 192.0.2.9:53");
        sw.sent_anywhere();
        for _ in 0..3 {
            sw.inject(1, "udp 10.0.0.6:4000 > 192.0.2.9:53");
            let wanted: Vec<_> = reaches
                .iter()
                .map(|port| format!("{port}: udp 10.0.0.6:4000 > 192.0.2.9:53"))
                .collect();
            assert_eq!(sw.sent_anywhere(), wanted, "{actions}");
        }
        let state = sw.state();
        assert!(state.contains("refused_nat_"), "{actions}: {state}");
    }
}
