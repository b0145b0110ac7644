//! `weir trace` beside `ofproto/trace`: the same packets pass the same rules, in the same order.
//!
//! Where Open vSwitch is not installed nothing is compared; with `CI=true` that is a failure.

use std::path::Path;

use weir_config::file::Config;
use weir_config::trace::{Asked, offline, write_trace};
use weir_tests::differential::{Ovs, OvsError};

/// A policy of `config/tests/traces`, and packets with the states that `ct()` is to give them.
type Question = (&'static str, &'static [&'static str]);
const CASES: &[(&str, &[Question])] = &[
    (
        "nat-same-address-tenants",
        &[
            ("in_port=1,icmp,nw_src=192.168.0.7,nw_dst=172.168.0.7", &[]),
            (
                "in_port=2,tcp,nw_src=192.168.0.7,nw_dst=172.168.0.7,tp_dst=22",
                &["trk,est"],
            ),
            (
                "in_port=3,icmp,nw_src=172.168.0.7,nw_dst=10.0.0.1",
                &["trk,est,rpl"],
            ),
            ("in_port=3,udp,nw_src=172.168.0.7,nw_dst=10.0.0.1", &[]),
        ],
    ),
    (
        "features",
        &[
            (
                "in_port=1,tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tp_dst=80",
                &[],
            ),
            (
                "in_port=1,tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tp_dst=80",
                &["trk,est"],
            ),
            (
                "in_port=1,udp,nw_src=10.0.0.1,nw_dst=10.0.0.2,udp_dst=53",
                &[],
            ),
            (
                "in_port=1,udp,nw_src=10.0.0.1,nw_dst=10.0.0.9,udp_dst=54",
                &[],
            ),
            ("in_port=1,icmp,nw_src=10.0.0.1,nw_dst=10.0.0.3", &[]),
            ("in_port=1,arp,dl_dst=ff:ff:ff:ff:ff:ff,dl_vlan=10", &[]),
            ("in_port=2,ip,nw_proto=99,reg3=0x7", &[]),
            (
                "in_port=2,ipv6,nw_proto=17,ipv6_src=2001:db8::1,ipv6_dst=2001:db8::2",
                &[],
            ),
        ],
    ),
];

#[test]
fn packets_pass_the_rules_that_ofproto_trace_names() {
    let mut ovs = match Ovs::start() {
        Ok(ovs) => ovs,
        Err(error @ OvsError::Absent(_)) if std::env::var("CI").as_deref() != Ok("true") => {
            eprintln!("SKIPPED: {error}: nothing to compare with");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let traces = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/tests/traces");
    let mut wrong = String::new();
    for (policy, questions) in CASES {
        let config = Config::load(&traces.join(format!("{policy}.toml"))).expect("it is right");
        let ports: Vec<_> = config.ports.iter().map(|port| port.id.0).collect();
        let text = |texts: Vec<weir_config::file::NamedText>| -> String {
            texts.into_iter().map(|named| named.text + "\n").collect()
        };
        let groups = text(config.group_texts().expect("they are there"));
        let flows = text(config.flow_texts().expect("they are there"));
        let theirs = ovs.traces(&ports, &groups, &flows, questions);
        let theirs = theirs.unwrap_or_else(|error| panic!("{policy}: {error}"));
        for ((flow, states), theirs) in questions.iter().zip(theirs) {
            let ct_next: Vec<_> = states.iter().map(|&state| state.to_owned()).collect();
            let asked = Asked {
                flow,
                packet: None,
                ct_next: &ct_next,
            };
            let report = offline(asked, &config).unwrap_or_else(|errors| panic!("{}", errors[0]));
            let mut ours = Vec::new();
            write_trace(&mut ours, &report).expect("memory takes all");
            let ours = String::from_utf8(ours).expect("text");
            if rules(&ours) != rules(&theirs) || rules(&ours).is_empty() {
                wrong +=
                    &format!("{policy}: {flow} {states:?}\n{ours}\n--- Open vSwitch:\n{theirs}\n");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The lines that name a table and a rule of it, or that there is none.
fn rules(trace: &str) -> Vec<&str> {
    let is_table = |line: &&str| {
        let number = line.split_once(". ").map_or("", |(number, _)| number);
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    trace.lines().map(str::trim).filter(is_table).collect()
}
