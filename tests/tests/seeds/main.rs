//! The flow dumps that the switch is made for: each is read, printed and read back as the same;
//! what is not executed yet is refused by name; what is executed runs.

use std::collections::BTreeSet;
use std::path::Path;

use weir_config::text::{Options, flow_text, parse_flow_file};
use weir_tables::flow_mod::FlowMod;
use weir_tables::flow_tables::FlowTables;
use weir_tests::switch::Switch;

mod vpc_compute_a;

/// Name, number of flows, and what they need that is not executed yet: of each flow what its
/// refusal names.
const SEEDS: [(&str, usize, &[&str]); 6] = [
    ("firewall-over-tunnel", 6, &[]),
    ("nat-same-address-tenants", 9, &[]),
    ("stateful-inspection", 7, &[]),
    ("vpc-compute1", 33, &[]),
    ("vpc-compute2", 28, &[]),
    ("vpc-computeA", 106, &[]),
];

fn text(name: &str) -> String {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../config/tests/seeds/{name}.flows"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn flows(name: &str, text: &str) -> Vec<FlowMod> {
    let options = Options {
        name,
        ..Options::default()
    };
    match parse_flow_file(text, &options) {
        Ok(flows) => flows.into_iter().map(|flow| flow.value).collect(),
        Err(errors) => panic!("{}", errors[0]),
    }
}

#[test]
fn every_seed_is_printed_and_read_back_as_the_same() {
    for (name, count, _) in SEEDS {
        let read = flows(name, &text(name));
        assert_eq!(read.len(), count, "{name}");
        let printed: String = read
            .iter()
            .map(|flow| format!("{}\n", flow_text(flow)))
            .collect();
        assert_eq!(flows(name, &printed), read, "{name}");
        let again: String = flows(name, &printed)
            .iter()
            .map(|flow| format!("{}\n", flow_text(flow)))
            .collect();
        assert_eq!(again, printed, "{name}");
    }
}

#[test]
fn what_a_seed_needs_and_weir_does_not_execute_is_named() {
    for (name, _, expected) in SEEDS {
        let missing: BTreeSet<String> = flows(name, &text(name))
            .iter()
            .filter_map(|flow| FlowTables::check(flow).err())
            .map(|error| error.to_string().replace(" is not supported yet", ""))
            .collect();
        assert_eq!(missing.iter().collect::<Vec<_>>(), expected, "{name}");
        let loaded = Switch::builder().empty().change_flows(&text(name));
        // Groups are no part of the seeds.
        let lacks_groups = |error: &String| error.contains("there is no group");
        let is_executed = loaded.as_ref().map_or_else(lacks_groups, |_| true);
        assert_eq!(is_executed, expected.is_empty(), "{name}");
    }
}

/// Port 2 is inside, port 3 outside; 1 and 4 are nobody's.
#[test]
fn stateful_inspection_protects_what_is_behind_port_2() {
    let mut sw = Switch::with_flows(&text("stateful-inspection"));
    let (inside, outside) = ("02:00:00:00:00:02", "02:00:00:00:00:03");
    let out = |packet: &str| format!("eth {inside} > {outside} {packet}");
    let back = |packet: &str| format!("eth {outside} > {inside} {packet}");

    let who_has =
        format!("eth {outside} > ff:ff:ff:ff:ff:ff arp request 192.168.0.2 > 192.168.0.1");
    sw.inject(3, &who_has);
    assert_eq!(
        sw.sent_anywhere(),
        [1, 2, 4].map(|port| format!("{port}: {who_has}"))
    );
    let is_at = out("arp reply 192.168.0.1 > 192.168.0.2");
    sw.inject(2, &is_at);
    assert_eq!(sw.sent_anywhere(), [format!("3: {is_at}")]);

    for (ask, answer) in [
        (
            "icmp 192.168.0.1 > 192.168.0.2 echo-request id=1 seq=1 len=56",
            "icmp 192.168.0.2 > 192.168.0.1 echo-reply id=1 seq=1 len=56",
        ),
        (
            "udp 192.168.0.1:4000 > 192.168.0.2:53 len=30",
            "udp 192.168.0.2:53 > 192.168.0.1:4000 len=90",
        ),
        (
            "tcp 192.168.0.1:4000 > 192.168.0.2:80 S seq=7 mss=1460",
            "tcp 192.168.0.2:80 > 192.168.0.1:4000 SA seq=9 ack=8 mss=1460",
        ),
    ] {
        // Nothing comes in that nobody asked for.
        let unasked = answer
            .replace("echo-reply", "echo-request")
            .replace(" SA ", " S ");
        sw.inject(3, &back(&unasked));
        assert_eq!(sw.sent_anywhere(), [""; 0]);
        sw.inject(2, &out(ask));
        assert_eq!(sw.sent_anywhere(), [format!("3: {}", out(ask))]);
        sw.inject(3, &back(answer));
        assert_eq!(sw.sent_anywhere(), [format!("2: {}", back(answer))]);
        sw.inject(2, &out(ask));
        assert_eq!(sw.sent_anywhere(), [format!("3: {}", out(ask))]);
    }
    // IPv6 and whatever else is for nobody.
    sw.inject(2, "udp [::1]:1 > [::2]:2");
    sw.inject(2, "ether type=0x88cc len=46");
    // An invalid packet is neither new nor established.
    sw.inject(2, &out("udp 192.168.0.1:0 > 192.168.0.2:53"));
    sw.assert_state("ct: replied=3 invalid_port_zero=1; drops: table_miss=1 action_drop=5");
    assert_eq!(
        sw.flows_matching("table=1"),
        [
            "table=1, n_packets=3, n_bytes=228, idle_age=0, ct_state=+new,in_port=2 actions=ct(commit),NORMAL",
            "table=1, n_packets=3, n_bytes=228, idle_age=0, ct_state=+est,in_port=2 actions=NORMAL",
            "table=1, n_packets=3, n_bytes=288, idle_age=0, ct_state=+new,in_port=3 actions=drop",
            "table=1, n_packets=3, n_bytes=288, idle_age=0, ct_state=+est,in_port=3 actions=NORMAL",
        ]
    );
}

/// What a dump does not hold: the groups that its flows send to.
const GROUPS: &str = "group_id=10,type=all,bucket=actions=output:1";

/// VM 4 may ping, and nothing else; what is not executed yet is left out.
#[test]
fn the_security_groups_of_vpc_compute_a_are_conjunctions() {
    let flows: Vec<FlowMod> = flows("vpc-computeA", &text("vpc-computeA"))
        .into_iter()
        .filter(|flow| FlowTables::check(flow).is_ok())
        .collect();
    let mut sw = Switch::builder().ports(9).empty();
    sw.change_groups(GROUPS).expect("it can be executed");
    sw.apply(&flows).expect("they can be executed");
    let from = |packet: &str| format!("eth fa:16:3e:6c:e5:40 > fa:16:3e:e3:74:d9 {packet}");
    sw.inject(
        4,
        &from("icmp 172.19.29.4 > 172.19.29.5 echo-request id=1 seq=1"),
    );
    sw.inject(4, &from("udp 172.19.29.4:4000 > 172.19.29.5:53"));
    sw.inject(
        4,
        &from("icmp 172.19.29.4 > 192.0.2.1 echo-request id=1 seq=1"),
    );
    let hits = |filter: &str| -> Vec<String> {
        let flows = sw.flows_matching(filter);
        let hit = |flow: &&String| !flow.contains("n_packets=0");
        flows
            .iter()
            .filter(hit)
            .filter_map(|flow| flow.split_once("idle_age=0, "))
            .map(|(_, flow)| flow.to_owned())
            .collect()
    };
    assert_eq!(
        hits("table=15"),
        [
            "priority=1000,conj_id=4,ip,reg6=0x4 \
             actions=ct(commit,table=20,zone=NXM_NX_CT_ZONE[])",
            "priority=1 actions=drop",
        ]
    );
    // What the dump holds of table 40 is for another tunnel.
    sw.assert_state("ct: new=1; drops: table_miss=1 action_drop=2");
}
