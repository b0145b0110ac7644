//! The switch and the hosts of the soak: who is where, and what the configuration says at a time.
//!
//! Each packet goes to one port or is dropped: there is no NORMAL, and neighbours are known.

use std::net::SocketAddr;

use weir_tests::namespaces::Lab;

/// A port of the switch with its host.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) host: &'static str,
    pub(crate) device: &'static str,
    pub(crate) id: u32,
    pub(crate) mac: &'static str,
    pub(crate) address: &'static str,
    /// As whom `outside` sees it.
    pub(crate) seen: &'static str,
}

const fn place(
    host: &'static str,
    (device, id): (&'static str, u32),
    mac: &'static str,
    address: &'static str,
    seen: &'static str,
) -> Place {
    Place {
        host,
        device,
        id,
        mac,
        address,
        seen,
    }
}

/// Its connections are translated and always work; zone 1.
pub(crate) const INSIDE: Place = place(
    "inside",
    ("weir0", 2),
    "02:00:00:00:00:02",
    "192.168.0.1",
    "192.168.0.9",
);
/// To which all others write.
pub(crate) const OUTSIDE: Place = place(
    "outside",
    ("weir1", 3),
    "02:00:00:00:00:03",
    "192.168.0.2",
    "192.168.0.2",
);
/// Its port comes and goes, its zone is flushed, its connections are not translated; zone 3.
pub(crate) const GUEST: Place = place(
    "guest",
    ("weir2", 4),
    "02:00:00:00:00:04",
    "192.168.0.3",
    "192.168.0.3",
);
/// Its device disappears, its zone is flushed, its connections are translated; zone 2.
pub(crate) const FRAIL: Place = place(
    "frail",
    ("weir3", 5),
    "02:00:00:00:00:05",
    "192.168.0.4",
    "192.168.0.10",
);

/// Where letters are answered.
pub(crate) const LETTERS: &str = "192.168.0.2:5001";
/// Where metrics are.
pub(crate) const METRICS: &str = "127.0.0.1:9473";

pub(crate) const FLOWS: &str = "priority=10,in_port=2,ip,nw_dst=192.168.0.2 actions=ct(zone=1,nat,table=1)\n\
    priority=10,in_port=5,ip,nw_dst=192.168.0.2 actions=ct(zone=2,nat,table=1)\n\
    priority=10,in_port=4,ip,nw_dst=192.168.0.2 actions=ct(zone=3,table=1)\n\
    priority=10,in_port=3,ip,nw_dst=192.168.0.9 actions=ct(zone=1,nat,table=2)\n\
    priority=10,in_port=3,ip,nw_dst=192.168.0.10 actions=ct(zone=2,nat,table=2)\n\
    priority=10,in_port=3,ip,nw_dst=192.168.0.3 actions=ct(zone=3,table=2)\n\
    priority=0,in_port=2 actions=drop\n\
    priority=0,in_port=3 actions=drop\n\
    priority=0,in_port=4 actions=drop\n\
    priority=0,in_port=5 actions=drop\n\
    table=1,priority=20,ct_state=+est actions=output:3\n\
    table=1,priority=20,ct_state=+rel-new actions=output:3\n\
    table=1,priority=10,ct_state=+new,in_port=2 actions=ct(commit,zone=1,nat(src=192.168.0.9)),output:3\n\
    table=1,priority=10,ct_state=+new,in_port=5 actions=ct(commit,zone=2,nat(src=192.168.0.10)),output:3\n\
    table=1,priority=10,ct_state=+new,in_port=4 actions=ct(commit,zone=3),output:3\n\
    table=1,priority=0 actions=drop\n\
    table=2,priority=20,ct_state=-new+trk-inv,ct_zone=1 actions=output:2\n\
    table=2,priority=20,ct_state=-new+trk-inv,ct_zone=2 actions=output:5\n\
    table=2,priority=20,ct_state=-new+trk-inv,ct_zone=3 actions=output:4\n\
    table=2,priority=0 actions=drop\n";

/// What a configuration may say differently from another.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Variant {
    pub(crate) has_guest: bool,
    pub(crate) both_lcores: bool,
    /// The queues of `inside` change places.
    pub(crate) crossed: bool,
    /// Another limit of a zone, other timeouts.
    pub(crate) generous: bool,
}

/// The configuration with CPUs `one` and `other`.
pub(crate) fn config([one, other]: [usize; 2], variant: Variant) -> String {
    let port = |place: &Place, more: &str| {
        let (device, id) = (place.device, place.id);
        let tap = id - 2;
        format!(
            "[[port]]\nname = \"{device}\"\nid = {id}\nqueues = 2\n\
             vdev = \"net_tap{tap},iface={device}\"\n{more}"
        )
    };
    let lcores = match variant.both_lcores {
        true => format!("{one}, {other}"),
        false => one.to_string(),
    };
    let affinity = match (variant.both_lcores, variant.crossed) {
        (false, _) => String::new(),
        (true, false) => format!("rxq_affinity = {{ 0 = {one}, 1 = {other} }}\n"),
        (true, true) => format!("rxq_affinity = {{ 0 = {other}, 1 = {one} }}\n"),
    };
    let guest = match variant.has_guest {
        true => port(&GUEST, ""),
        false => String::new(),
    };
    let (limit, timeout) = match variant.generous {
        true => (9_000, 15),
        false => (5_000, 20),
    };
    format!(
        "[eal]\nlcores = [{lcores}]\nshards = 2\nidle_sleep_us = 50\n{}{}{guest}{}\
         [bridge]\nflows = [\"flows.txt\"]\n\
         [cache]\ntrajectories = 1024\nmegaflows = 1024\n\
         [conntrack]\nmax_connections = 20000\n\
         [conntrack.timeouts]\nudp_multiple = {timeout}\ntcp_time_wait = {timeout}\n\
         [[zone]]\nid = 2\nlimit = {limit}\n\
         [metrics]\nlisten = \"0.0.0.0:9473\"\n",
        port(&INSIDE, &affinity),
        port(&OUTSIDE, ""),
        port(&FRAIL, ""),
    )
}

/// Gives a port to its host, which knows everybody.
pub(crate) fn settle(lab: &Lab, place: &Place) {
    lab.set(place.host, "net/ipv6/conf/default/disable_ipv6", "1");
    let address = format!("{}/24", place.address);
    lab.place(place.device, place.host, place.mac, &address);
    let neighbours = match place.host {
        "outside" => vec![&INSIDE, &GUEST, &FRAIL],
        _ => vec![&OUTSIDE],
    };
    for other in neighbours {
        lab.neighbour(place.host, place.device, other.seen, other.mac);
    }
}

/// Whom `outside` sees as whom.
pub(crate) fn known() -> String {
    let pair = |place: &Place| format!("{}={}", place.host, place.seen);
    [INSIDE, GUEST, FRAIL]
        .iter()
        .map(pair)
        .collect::<Vec<_>>()
        .join(",")
}

/// Where metrics are.
pub(crate) fn metrics() -> SocketAddr {
    METRICS.parse().expect("an address")
}
