//! Ports that come, go and are configured otherwise: who met them is looked up anew, and nobody else.

use proptest::prelude::*;
use weir_tables::port::VlanMode;
use weir_tests::switch::Switch;

use super::{ANSWER, ASK, established, is_hit, remember, stats, switch};

#[test]
fn a_port_that_comes_or_goes_leaves_entries_that_do_not_meet_it() {
    let mut sw = established();
    for change in [Switch::port_comes, Switch::port_goes, Switch::port_comes] {
        change(&mut sw, 5);
        assert!(is_hit(&mut sw, 1, ASK));
        assert!(is_hit(&mut sw, 2, ANSWER));
    }
    let (_, _, stale, _) = stats(&sw);
    assert_eq!(stale, 0);
    sw.state();
}

#[test]
fn what_went_to_all_ports_goes_to_a_new_one_too() {
    let mut sw = switch(
        "udp actions=FLOOD
         tcp actions=ALL",
    );
    for packet in [ASK, "tcp 10.0.0.5:4000 > 192.0.2.9:80 A seq=1 ack=1"] {
        remember(&mut sw, 1, packet);
        sw.sent_anywhere();
        sw.port_comes(5);
        sw.inject(1, packet);
        assert_eq!(sw.sent_anywhere().len(), 4);
        sw.inject(1, packet);
        sw.sent_anywhere();
        sw.port_goes(5);
        sw.inject(1, packet);
        assert_eq!(sw.sent_anywhere().len(), 3);
    }
    sw.state();
}

#[test]
fn what_went_to_a_port_that_was_not_there_finds_it_when_it_comes() {
    let mut sw = switch("udp actions=output:5");
    remember(&mut sw, 1, ASK);
    sw.port_comes(5);
    sw.inject(1, ASK);
    assert_eq!(sw.sent(5), [ASK]);
    remember(&mut sw, 1, ASK);
    sw.sent(5);
    sw.port_goes(5);
    sw.inject(1, ASK);
    assert!(sw.sent_anywhere().is_empty());
    // Another port in its place is not meant.
    for no in 6..=9 {
        sw.port_comes(no);
    }
    sw.inject(1, ASK);
    assert!(sw.sent_anywhere().is_empty());
    sw.state();
}

#[test]
fn what_comes_in_at_the_place_of_another_port_is_its_own() {
    let mut sw = switch(
        "in_port=5,udp actions=output:1
         in_port=9,udp actions=output:2",
    );
    for no in 5..=8 {
        sw.port_comes(no);
    }
    remember(&mut sw, 5, ASK);
    sw.sent_anywhere();
    sw.port_goes(5);
    sw.port_comes(9);
    sw.inject(9, ASK);
    assert_eq!(sw.sent(2), [ASK]);
    remember(&mut sw, 9, ASK);
    sw.state();
}

#[test]
fn a_port_that_carries_other_vlans_is_obeyed_at_once() {
    let mut sw = switch("actions=NORMAL");
    let [there, back] = [
        "eth 02:00:00:00:00:01 > 02:00:00:00:00:02 udp 10.0.0.5:4000 > 192.0.2.9:53",
        "eth 02:00:00:00:00:02 > 02:00:00:00:00:01 udp 192.0.2.9:53 > 10.0.0.5:4000",
    ];
    sw.inject(1, there);
    sw.inject(2, back);
    remember(&mut sw, 1, there);
    remember(&mut sw, 2, back);
    sw.sent_anywhere();
    // The other end is not in VLAN 0 any more, so nobody knows where it is.
    sw.port_carries(2, VlanMode::Access(7));
    sw.inject(1, there);
    assert_eq!(sw.sent(3).len(), 1);
    remember(&mut sw, 1, there);
    sw.sent_anywhere();
    sw.port_carries(3, VlanMode::Access(7));
    sw.inject(1, there);
    assert_eq!(sw.sent(3).len(), 0);
    assert_eq!(sw.sent(4).len(), 1);
    sw.state();
}

/// Two tables that all packets pass, each of which asks for something else.
const POLICY: &str = "
    table=0,priority=10,ip actions=ct(commit,zone=1,table=1)
    table=0,priority=10,ipv6 actions=ct(commit,zone=1,table=1)
    table=0,priority=1 actions=FLOOD
    table=1,priority=5,in_port=1,tcp actions=dec_ttl,output:2
    table=1,priority=5,in_port=1,udp actions=FLOOD
    table=1,priority=5,in_port=1,udp6 actions=output:2,output:5
    table=1,priority=5,in_port=2 actions=NORMAL
    table=1,priority=5,in_port=5 actions=output:1
    table=1,priority=1 actions=output:6";

/// Conversations: what one says, and what the other does.
const PACKETS: [[&str; 2]; 5] = [
    [
        "udp 10.0.0.5:4000 > 192.0.2.9:53",
        "udp 192.0.2.9:53 > 10.0.0.5:4000",
    ],
    [
        "udp 10.0.0.6:4000 > 192.0.2.9:53",
        "udp 192.0.2.9:53 > 10.0.0.6:4000",
    ],
    [
        "udp [2001:db8::1]:4000 > [2001:db8::9]:53",
        "udp [2001:db8::9]:53 > [2001:db8::1]:4000",
    ],
    [
        "vlan 5 udp 10.0.0.5:4000 > 192.0.2.10:53",
        "vlan 5 udp 192.0.2.10:53 > 10.0.0.5:4000",
    ],
    [
        "icmp 10.0.0.5 > 192.0.2.9 echo-request id=1 seq=1",
        "icmp 192.0.2.9 > 10.0.0.5 echo-reply id=1 seq=1",
    ],
];

/// What rules that come and go match, in tables that are passed and in one that is not.
const MATCHES: [&str; 24] = [
    "ip,nw_dst=240.0.0.1",
    "ip,nw_dst=192.0.2.9",
    "ip,nw_dst=192.0.2.8/30",
    "ip,nw_src=10.0.0.6",
    "udp,tp_dst=53",
    "udp,tp_src=4000,nw_dst=192.0.2.10",
    "tcp,tp_dst=53",
    "tcp,tp_src=0x10/0xfff0",
    "ipv6,ipv6_src=2001:db8::1",
    "ipv6,ipv6_dst=2001:db8::8/125",
    "ipv6,ipv6_dst=2001:db9::/32",
    "udp6,tp_dst=53",
    "icmp,icmp_type=8",
    "icmp,icmp_type=0,icmp_code=0",
    "icmp6,icmpv6_type=128",
    "arp,arp_tpa=192.0.2.9",
    "in_port=1",
    "in_port=5,ip",
    "in_port=6",
    "dl_vlan=5",
    "vlan_tci=0,ip",
    "dl_dst=02:00:00:00:00:02",
    "ip,nw_tos=32",
    "ct_state=+est+trk,ip,nw_src=192.0.2.9",
];

/// Something that changes.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Port 5 or 6 comes, or goes if it is there.
    Port(usize),
    Add {
        table: u8,
        matches: usize,
        drops: bool,
    },
    Delete {
        table: u8,
        matches: usize,
    },
    Link {
        up: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let rule = (0..3_u8, 0..MATCHES.len());
    prop_oneof![
        2 => (0..2_usize).prop_map(Step::Port),
        4 => (rule.clone(), any::<bool>())
            .prop_map(|((table, matches), drops)| Step::Add { table, matches, drops }),
        3 => rule.prop_map(|(table, matches)| Step::Delete { table, matches }),
        1 => any::<bool>().prop_map(|up| Step::Link { up }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Between bursts of established traffic rules and ports come and go, often several before the next
    /// packet; the lcores without caches say what every packet has to meet.
    #[test]
    fn random_changes_of_rules_and_ports_are_obeyed_by_the_next_packet(
        steps in prop::collection::vec((prop::collection::vec(step(), 1..6), 0..4_usize), 1..24),
    ) {
        let mut sw = switch(POLICY);
        let mut there = [false; 2];
        for (changes, silent) in steps {
            for (at, [out, back]) in PACKETS.iter().enumerate() {
                // Who is silent has more to catch up with.
                if at + 1 != silent {
                    sw.inject_burst(1, &[*out; 3]);
                    sw.inject_burst(2, &[*back; 3]);
                }
            }
            if there[0] {
                sw.inject(5, PACKETS[0][0]);
            }
            sw.sent_anywhere();
            for change in changes {
                match change {
                    Step::Port(which) => {
                        let no = 5 + which as u32;
                        if there[which] { sw.port_goes(no) } else { sw.port_comes(no) }
                        there[which] = !there[which];
                    }
                    Step::Add { table, matches, drops } => {
                        let actions = match (drops, table) {
                            (true, _) => "drop",
                            (false, 0) => "goto_table:1",
                            (false, _) => "output:3",
                        };
                        let matches = MATCHES[matches];
                        let flow = format!("table={table},priority=20,{matches} actions={actions}");
                        sw.change_flows(&flow).unwrap();
                    }
                    Step::Delete { table, matches } => {
                        let matches = MATCHES[matches];
                        let flow = format!("delete_strict table={table},priority=20,{matches}");
                        sw.change_flows(&flow).unwrap();
                    }
                    Step::Link { up } => sw.link(2, up),
                }
            }
        }
        sw.state();
    }
}
