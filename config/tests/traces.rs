//! `weir trace` without a switch: what it prints of packets through policies of users, and through
//! one that has a bit of everything. Each file of `traces/` begins with lines `# ARGUMENT`, and goes
//! on with what is printed. `WEIR_BLESS=weir` writes what is printed now.

use std::fs;
use std::path::{Path, PathBuf};

use weir_config::file::{Config, Neighbour};
use weir_config::trace::{Asked, TraceReport, offline, write_trace};

#[path = "traces/vpc.rs"]
mod vpc;

/// Configuration, name, flow, `--ct-next`, `--packet`.
type Case = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
    Option<&'static str>,
);

const CASES: &[Case] = &[
    (
        "stateful-inspection",
        "new-from-inside",
        "in_port=2,tcp,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,nw_src=10.0.0.1,nw_dst=10.0.0.2,tp_dst=80",
        &[],
        None,
    ),
    (
        "stateful-inspection",
        "new-from-outside",
        "in_port=outside,tcp,nw_src=10.0.0.2,nw_dst=10.0.0.1,tp_dst=22",
        &[],
        None,
    ),
    (
        "stateful-inspection",
        "established-from-outside",
        "in_port=3,tcp,dl_src=02:00:00:00:00:02,dl_dst=02:00:00:00:00:01,nw_src=10.0.0.2,nw_dst=10.0.0.1,tp_src=80",
        &["trk,est,rpl"],
        None,
    ),
    (
        "stateful-inspection",
        "arp-by-bytes",
        "in_port=2,metadata=0x5",
        &[],
        Some(
            "ffffffffffff02000000000108060001080006040001020000000001 0a000001 000000000000 0a000002",
        ),
    ),
    (
        "nat-same-address-tenants",
        "source-translated",
        "in_port=1,icmp,dl_src=ba:23:62:78:ce:d2,dl_dst=fa:ff:ff:ff:ff:ff,nw_src=192.168.0.7,nw_dst=172.168.0.7",
        &[],
        None,
    ),
    (
        "firewall-over-tunnel",
        "into-the-tunnel",
        "in_port=LOCAL,udp,nw_src=10.0.0.1,nw_dst=10.0.0.2,ct_state=trk|new",
        &["trk,est"],
        None,
    ),
    (
        "firewall-over-tunnel",
        "out-of-the-tunnel",
        "in_port=1,tun_id=1,tun_src=10.10.59.233,udp,nw_src=10.0.0.2,nw_dst=10.0.0.1",
        &["trk,est"],
        None,
    ),
    (
        "floating-ips",
        "neighbour-solicitation",
        "in_port=one,icmp6,dl_src=02:00:00:00:01:05,ipv6_src=fd00:a::5,ipv6_dst=ff02::1:ff00:1,icmp_type=135,nd_target=fd00:a::1,nd_sll=02:00:00:00:01:05",
        &[],
        None,
    ),
    (
        "features",
        "ct-nat-recirculation",
        "in_port=1,tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tcp_dst=80",
        &[],
        None,
    ),
    (
        "features",
        "established",
        "in_port=1,tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tcp_dst=80",
        &["trk,est", "trk,inv"],
        None,
    ),
    (
        "features",
        "clone-conjunction",
        "in_port=1,udp,nw_src=10.0.0.1,nw_dst=10.0.0.2,udp_dst=53",
        &[],
        None,
    ),
    (
        "features",
        "select-group",
        "in_port=1,icmp,nw_src=10.0.0.1,nw_dst=10.0.0.2",
        &[],
        None,
    ),
    (
        "features",
        "all-group",
        "in_port=1,icmp,nw_src=10.0.0.1,nw_dst=10.0.0.3",
        &[],
        None,
    ),
    (
        "features",
        "normal",
        "in_port=1,arp,dl_src=02:00:00:00:00:01,dl_dst=ff:ff:ff:ff:ff:ff,dl_vlan=10",
        &[],
        None,
    ),
    (
        "features",
        "action-set-controller",
        "in_port=2,ip,nw_proto=99,reg3=0x7",
        &[],
        None,
    ),
    (
        "features",
        "table-miss",
        "in_port=2,ipv6,nw_proto=17,ipv6_src=2001:db8::1,ipv6_dst=2001:db8::2",
        &[],
        None,
    ),
];

fn traces() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces")
}

fn cases() -> impl Iterator<Item = &'static Case> {
    CASES.iter().chain(vpc::CASES)
}

/// A policy beside the traces, or an example, whose tunnels know their next hops.
fn configuration(policy: &str) -> Config {
    let beside = traces().join(format!("{policy}.toml"));
    if beside.exists() {
        return Config::load(&beside).expect("a configuration");
    }
    let path = traces().join(format!("../../../examples/{policy}.toml"));
    let mut config = Config::load(&path).expect("a configuration");
    if policy.starts_with("vpc-") {
        config.neighbours.extend((2..8).map(|host| Neighbour {
            port: "uplink".to_owned(),
            ip: [10, 10, 10, host].into(),
            mac: [2, 0, 0, 0, 0, host],
        }));
    }
    config
}

fn trace(&(policy, _, flow, states, packet): &Case) -> TraceReport {
    let config = configuration(policy);
    let states: Vec<_> = states.iter().map(|&state| state.to_owned()).collect();
    let asked = Asked {
        flow,
        packet,
        ct_next: &states,
    };
    offline(asked, &config).unwrap_or_else(|errors| panic!("{flow}: {}", errors[0]))
}

#[test]
fn packets_are_explained() {
    let mut wrong = Vec::new();
    for case in cases() {
        let (policy, name, flow, states, packet) = case;
        let mut printed = format!("# {flow}\n").into_bytes();
        for state in *states {
            printed.extend(format!("# --ct-next {state}\n").bytes());
        }
        if let Some(packet) = packet {
            printed.extend(format!("# --packet {packet}\n").bytes());
        }
        write_trace(&mut printed, &trace(case)).expect("memory takes all");
        let printed = String::from_utf8(printed).expect("text");
        let path = traces().join(format!("{policy}.{name}.txt"));
        if std::env::var_os("WEIR_BLESS").is_some_and(|who| who == "weir") {
            fs::write(&path, &printed).expect("the file can be written");
        } else if fs::read_to_string(&path).unwrap_or_default() != printed {
            wrong.push(format!("{}:\n{printed}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_report_as_json_is_the_report() {
    for case in cases() {
        let report = trace(case);
        let text = serde_json::to_string(&report).expect("rows");
        let again: TraceReport = serde_json::from_str(&text).expect("what was written");
        assert_eq!(again, report);
    }
}
