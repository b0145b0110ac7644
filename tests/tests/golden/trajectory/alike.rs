//! Packets that share a key and differ in everything else: what the cache makes of each is what
//! the tables would have made of it, byte for byte.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;

/// What all packets of a kind have in common, and what an IP match calls them.
const KINDS: [(&str, &str, &str); 7] = [
    ("udp", "", "udp 10.0.0.5:4000 > 192.0.2.9:53"),
    ("udp", "vlan 5 pcp 3 ", "udp 10.0.0.5:4000 > 192.0.2.9:53"),
    ("tcp", "", "tcp 10.0.0.5:4000 > 192.0.2.9:53 PA seq=7 ack=9"),
    ("icmp", "", "icmp 10.0.0.5 > 192.0.2.9 echo-request id=7"),
    ("udp6", "", "udp [fd00::5]:4000 > [2001:db8::9]:53"),
    (
        "tcp6",
        "vlan 5 ",
        "tcp [fd00::5]:4000 > [2001:db8::9]:53 PA seq=7 ack=9",
    ),
    ("icmp6", "", "icmp6 fd00::5 > 2001:db8::9 echo-request id=7"),
];

/// Actions, and whose: 4 of IPv4, 6 of IPv6, p of what has ports, u of what has no tag, t of what
/// has one, else everybody's.
const ACTIONS: [(&str, &str); 28] = [
    ("", "output:2"),
    ("", "output:2"),
    ("", "output:3"),
    ("", "output:4"),
    ("", "IN_PORT"),
    ("", "dec_ttl"),
    ("", "dec_ttl"),
    ("", "mod_nw_ttl:2"),
    ("", "load:3->NXM_NX_IP_TTL[0..3]"),
    ("4", "mod_nw_tos:32"),
    ("4", "mod_nw_ecn:1"),
    ("6", "set_field:0x60->nw_tos"),
    ("6", "set_field:0x5/0xf->ipv6_label"),
    ("", "mod_dl_dst:02:00:00:00:00:09"),
    ("", "load:7->NXM_OF_ETH_SRC[0..7]"),
    ("4", "mod_nw_dst:203.0.113.7"),
    ("4", "load:7->NXM_OF_IP_SRC[8..15]"),
    ("6", "set_field:2001:db8::7->ipv6_src"),
    ("p", "mod_tp_src:999"),
    ("u", "push_vlan:0x8100,set_field:4102->vlan_vid"),
    ("t", "mod_vlan_vid:7"),
    ("t", "mod_vlan_pcp:1"),
    ("t", "pop_vlan"),
    ("", "resubmit(,1)"),
    ("", "ct(commit)"),
    ("", "ct(commit,zone=2,table=1)"),
    ("4", "ct(commit,zone=3,nat(src=198.51.100.7),table=1)"),
    ("6", "ct(commit,zone=3,nat(src=2001:db8::8),table=1)"),
];

/// The actions of a rule for packets of `kind`.
fn actions(kind: usize, chosen: &[usize]) -> String {
    let (protocol, tag, _) = KINDS[kind];
    let mut tagged = !tag.is_empty();
    let mut list = Vec::new();
    for &at in chosen {
        let (whose, action) = ACTIONS[at];
        let possible = match whose {
            "4" => !protocol.ends_with('6'),
            "6" => protocol.ends_with('6'),
            "p" => !protocol.starts_with("icmp"),
            "u" => !tagged,
            "t" => tagged,
            _ => true,
        };
        if possible {
            tagged = match whose {
                "u" => true,
                "t" => action != "pop_vlan",
                _ => tagged,
            };
            list.push(action);
        }
    }
    if list.is_empty() {
        "drop".to_owned()
    } else {
        list.join(",")
    }
}

/// What differs.
#[derive(Clone, Copy, Debug)]
struct Rest {
    ttl: u8,
    tos: u8,
    label: u32,
    size: usize,
    sum: &'static str,
    pad: usize,
}

impl Rest {
    fn packet(self, kind: usize) -> String {
        let (protocol, tag, packet) = KINDS[kind];
        let Self {
            ttl,
            tos,
            label,
            size,
            sum,
            pad,
        } = self;
        let label = if protocol.ends_with('6') {
            format!(" label={label}")
        } else {
            String::new()
        };
        let sum = match sum {
            "no-csum" if !protocol.starts_with("udp") => "",
            "bad-ip-csum" if protocol.ends_with('6') => "",
            sum => sum,
        };
        format!("{tag}{packet} ttl={ttl} tos={tos}{label} {sum} len={size} pad={pad}")
    }
}

fn rest() -> impl Strategy<Value = Rest> {
    let ttl = prop::sample::select(&[0, 1, 2, 3, 4, 64, 64, 64, 255][..]);
    let size = prop::sample::select(
        &[
            0_usize, 1, 8, 9, 480, 500, 531, 532, 572, 573, 1400, 1431, 1432, 1433, 1472,
        ][..],
    );
    let sum = prop::sample::select(&["", "", "", "", "", "no-csum", "bad-csum", "bad-ip-csum"][..]);
    let pad = prop::sample::select(&[0_usize, 0, 0, 18][..]);
    (ttl, any::<u8>(), 0..0x10_0000_u32, size, sum, pad).prop_map(
        |(ttl, tos, label, size, sum, pad)| Rest {
            ttl,
            tos,
            label,
            size,
            sum,
            pad,
        },
    )
}

#[test]
fn packets_that_share_a_key_come_out_as_without_a_cache() {
    let config = ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let chosen = || prop::collection::vec(0..ACTIONS.len(), 1..8);
    let input = (
        0..KINDS.len(),
        chosen(),
        chosen(),
        prop::collection::vec(rest(), 1..40),
    );
    let (hits, packets) = (Cell::new(0), Cell::new(0));
    TestRunner::new(config)
        .run(&input, |(kind, first, second, rests)| {
            let protocol = KINDS[kind].0;
            let mut sw = Switch::builder().mtu(3, 600).mtu(4, 559).empty();
            sw.ignore_what_is_sent();
            let rules = [
                (0, actions(kind, &first)),
                // A tag may have come or gone by then.
                (1, actions(kind, &second).replace("resubmit(,1)", "dec_ttl")),
            ];
            for (table, actions) in rules {
                let loops = actions.replace("table=1", "table=2");
                let actions = if table == 1 { loops } else { actions };
                let tag = if actions.contains("vlan_vid:")
                    || actions.contains("vlan_pcp:")
                    || actions.contains("pop_vlan")
                {
                    ",vlan_tci=0x1000/0x1000"
                } else {
                    ""
                };
                let flow = format!("table={table},{protocol}{tag} actions={actions}");
                sw.change_flows(&flow)
                    .unwrap_or_else(|error| panic!("{error}"));
            }
            sw.change_flows("table=2 actions=output:2,output:3")
                .expect("a rule");
            for rest in rests {
                sw.inject(1, &rest.packet(kind));
                packets.set(packets.get() + 1);
            }
            hits.set(hits.get() + sw.trajectory_stats().hits);
            sw.state();
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    // Else it would say nothing about the cache.
    let (hits, packets) = (hits.get(), packets.get());
    assert!(
        hits > packets / 4,
        "{hits} of {packets} packets were answered"
    );
}

/// How far a TTL of which a part was written can be decremented, the part that was not does not
/// say.
#[test]
fn a_ttl_written_in_part_runs_out_as_without_a_cache() {
    let mut sw = Switch::builder().empty();
    sw.change_flows("udp actions=load:3->NXM_NX_IP_TTL[0..3],dec_ttl,dec_ttl,dec_ttl")
        .expect("a rule");
    for ttl in [64, 4, 64] {
        sw.inject(1, &format!("udp 10.0.0.5:4000 > 192.0.2.9:53 ttl={ttl}"));
    }
    sw.state();
}
