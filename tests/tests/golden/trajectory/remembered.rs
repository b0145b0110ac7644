//! Which journeys are remembered: those that left everything as they found it.

use super::*;

#[test]
fn a_journey_that_finds_no_connection_is_not_remembered() {
    let mut sw = switch(FIREWALL);
    never(&mut sw, 2, ANSWER);
    // Now the other direction opens, and what was dropped goes through at once.
    sw.inject(1, ASK);
    sw.sent_anywhere();
    sw.inject(2, ANSWER);
    assert_eq!(sw.sent(1), [ANSWER]);
    sw.assert_state("ct: replied=1; drops: action_drop=5");
}

#[test]
fn a_journey_without_ct_is_remembered_whatever_others_do() {
    let mut sw = switch(
        "in_port=3 actions=output:4
         in_port=1 actions=drop",
    );
    assert_eq!(hits(&mut sw, 3, &[ASK; 4]), 3);
    assert_eq!(hits(&mut sw, 1, &[ASK; 4]), 3);
    // A miss of table 0 is a journey, too.
    assert_eq!(hits(&mut sw, 2, &[ASK; 4]), 3);
    sw.assert_state("ct: none; drops: table_miss=4 action_drop=4");
}

#[test]
fn a_journey_that_makes_a_connection_is_not_remembered() {
    let mut sw = switch("udp actions=ct(commit),output:2");
    for port in 1..=20 {
        sw.inject(1, &format!("udp 10.0.0.5:{port} > 192.0.2.9:53"));
    }
    assert_eq!(stats(&sw), (0, 20, 0, 0));
    assert_eq!(hits(&mut sw, 1, &["udp 10.0.0.5:1 > 192.0.2.9:53"; 4]), 2);
    sw.assert_state("ct: new=20; drops: none");
}

#[test]
fn what_seems_to_open_a_connection_and_does_not_is_remembered_soon() {
    let mut sw = switch(
        "in_port=1,udp actions=ct(table=1,zone=1)
         in_port=2,udp actions=ct(table=1,zone=1)
         in_port=3,udp actions=ct(commit,zone=2),output:4
         table=1,in_port=1,ct_state=+new actions=ct(commit,zone=1),output:2
         table=1,in_port=1,ct_state=+est actions=output:2
         table=1,in_port=2,ct_state=+est actions=output:1",
    );
    sw.inject(1, ASK);
    sw.inject(2, ANSWER);
    // So many in a row that it is believed what the last zone suggests of a packet.
    let mut opened = 0;
    let mut open = |sw: &mut Switch| {
        opened += 1;
        sw.inject(3, &format!("udp 10.0.0.6:{opened} > 192.0.2.9:53"));
    };
    for _ in 0..60 {
        open(&mut sw);
    }
    let mut answered = 0;
    for _ in 0..20 {
        open(&mut sw);
        answered += hits(&mut sw, 1, &[ASK]);
    }
    assert!(answered >= 17, "{answered}");
    sw.assert_state("ct: new=80 replied=1; drops: none");
}

#[test]
fn a_journey_that_finds_its_packet_invalid_is_not_remembered() {
    let mut sw = established();
    never(&mut sw, 1, &format!("{ASK} bad-csum"));
    never(&mut sw, 1, &format!("{ASK} bad-ip-csum"));
    never(&mut sw, 2, "icmp 192.0.2.9 > 10.0.0.5 echo-reply id=7");
    never(&mut sw, 1, "udp 10.0.0.5:0 > 192.0.2.9:53");
    never(&mut sw, 1, "tcp 10.0.0.5:1 > 192.0.2.9:53 SF");
    assert!(is_hit(&mut sw, 1, ASK));
    sw.assert_state(
        "ct: replied=1 invalid_ip_checksum=5 invalid_l4_checksum=5 invalid_port_zero=5
             invalid_tcp_flags=5 invalid_icmp_reply_first=5;
         drops: action_drop=25",
    );
}

#[test]
fn a_commit_that_changes_nothing_is_part_of_a_journey() {
    let mut sw = switch(
        "in_port=1,udp actions=ct(commit,exec(set_field:7->ct_mark,set_field:0x70->ct_label)),output:2
         in_port=2,udp actions=ct(commit,exec(set_field:0x7/0xff->ct_mark)),output:1",
    );
    remember_both(&mut sw);
    assert_eq!(hits(&mut sw, 1, &[ASK; 3]), 3);
    assert!(sw.conntrack()[0].ends_with(",mark=7,labels=0x70"));
    sw.assert_state("ct: replied=1; drops: none");
}

#[test]
fn a_commit_that_changes_mark_or_label_is_not() {
    for (name, before, after) in [("ct_mark", 1, 2), ("ct_label", 1, 2)] {
        let mut sw = switch(&format!(
            "priority=2,udp,nw_tos=4 actions=ct(commit,exec(set_field:{after}->{name})),output:2
             priority=1,in_port=1,udp actions=ct(commit,exec(set_field:{before}->{name})),output:2
             priority=1,in_port=2,udp actions=ct(table=1)
             table=1,udp,{name}={before} actions=output:1
             table=1,udp,{name}={after} actions=output:3"
        ));
        remember_both(&mut sw);
        sw.sent_anywhere();
        let change = ASK.replace("len", "tos=0x4 len");
        assert!(!is_hit(&mut sw, 1, &change));
        // The other direction sees it at once.
        assert!(!is_hit(&mut sw, 2, ANSWER));
        assert_eq!(
            sw.sent_anywhere(),
            [format!("2: {change}"), format!("3: {ANSWER}")]
        );
        // Now the commit changes nothing any more, and the answers say the same again.
        remember(&mut sw, 2, ANSWER);
        remember(&mut sw, 1, &change);
        // Two that quarrel about the value are never remembered.
        for _ in 0..4 {
            assert_eq!(hits(&mut sw, 1, &[ASK, &change]), 0);
        }
        sw.assert_state("ct: replied=1; drops: none");
    }
}

#[test]
fn a_connection_that_is_made_anew_by_force_is_not_remembered() {
    let mut sw = switch("udp actions=ct(commit,force),output:3");
    for _ in 0..5 {
        assert_eq!(hits(&mut sw, 1, &[ASK, ANSWER]), 0);
    }
    // Where there is nothing to force it is a commit like any other.
    remember(&mut sw, 1, ANSWER);
    assert!(!is_hit(&mut sw, 1, ASK));
    assert!(!is_hit(&mut sw, 1, ANSWER));
    sw.assert_state("ct: new=1 created=12 forced=11; drops: none");
}

#[test]
fn an_expired_connection_that_comes_again_is_not_remembered() {
    let mut sw = established();
    sw.advance(121);
    // The entry is still there; the connection is another.
    assert!(!is_hit(&mut sw, 1, ASK));
    assert!(!is_hit(&mut sw, 2, ANSWER));
    remember(&mut sw, 1, ASK);
    remember(&mut sw, 2, ANSWER);
    sw.assert_state("ct: replied=1 created=2 expired=1; drops: none");
}

#[test]
fn at_the_limit_a_commit_that_drops_is_not_remembered() {
    let mut sw = Switch::builder().max_connections(1).flows(FIREWALL);
    sw.ignore_what_is_sent();
    remember_both(&mut sw);
    let other = "udp 10.0.0.6:4000 > 192.0.2.9:53";
    never(&mut sw, 1, other);
    sw.flush_conntrack(&[]);
    remember(&mut sw, 1, other);
    never(&mut sw, 2, ANSWER);
    sw.state();
}

#[test]
fn up_to_four_zones_fit_an_entry() {
    for zones in 1..=5 {
        let mut flows = String::new();
        for (port, zone, next) in (1..=zones).flat_map(|zone| {
            let there = (1, zone, zone + 1);
            let back = (2, zones + 1 - zone, zone + 1);
            [there, back]
        }) {
            let table = next - 2;
            flows += &format!(
                "table={table},in_port={port},udp actions=ct(commit,zone={zone},table={})\n",
                next - 1
            );
        }
        flows += &format!("table={zones},in_port=1 actions=output:2\n");
        flows += &format!("table={zones},in_port=2 actions=output:1\n");
        let mut sw = switch(&flows);
        for _ in 0..3 {
            sw.inject(1, ASK);
            sw.inject(2, ANSWER);
        }
        let hit = if zones <= 4 { 3 } else { 0 };
        assert_eq!(hits(&mut sw, 1, &[ASK; 3]), hit, "{zones} zones");
        assert_eq!(hits(&mut sw, 2, &[ANSWER; 3]), hit, "{zones} zones");
        assert_eq!(sw.connections().len(), zones);
        sw.assert_state(&format!("ct: replied={zones}; drops: none"));
        // What happens to any of the connections, the entry does not outlive.
        for zone in 1..=zones {
            sw.flush_conntrack(&[&format!("zone={zone}")]);
            assert!(!is_hit(&mut sw, 1, ASK));
            sw.inject(2, ANSWER);
            hits(&mut sw, 1, &[ASK; 3]);
        }
        sw.state();
    }
}

#[test]
fn a_connection_met_twice_is_tracked_once() {
    let mut sw = switch(
        "ip actions=ct(table=1)
         table=1,ip,ct_state=+new+trk actions=ct(commit,table=2)
         table=1,ip,ct_state=+est+trk actions=ct(commit,table=2)
         table=2,in_port=1 actions=output:2
         table=2,in_port=2 actions=output:1",
    );
    remember_both(&mut sw);
    let c2s = "tcp 10.0.0.1:1000 > 10.0.0.2:80 PA seq=101 ack=501 len=10";
    let s2c = "tcp 10.0.0.2:80 > 10.0.0.1:1000 PA seq=501 ack=111 len=20";
    sw.inject(1, c2s);
    sw.inject(2, s2c);
    remember(&mut sw, 1, c2s);
    remember(&mut sw, 2, s2c);
    sw.assert_state("ct: replied=2; drops: none");
}

#[test]
fn every_rule_on_the_way_counts_as_if_it_had_been_asked() {
    let mut sw = switch(
        "ip actions=resubmit(,2),goto_table:1
         table=1,ip actions=ct(table=3)
         table=2 actions=set_field:1->reg0
         table=3,ct_state=+new,udp actions=push_vlan:0x8100,set_field:4101->vlan_vid,resubmit(,4)
         table=3,ct_state=+est,udp actions=push_vlan:0x8100,set_field:4101->vlan_vid,resubmit(,4)
         table=4,in_port=1,reg0=1,udp actions=ct(commit),output:2
         table=4,in_port=2,reg0=1,udp actions=output:1",
    );
    remember_both(&mut sw);
    let before = sw.flows();
    assert_eq!(hits(&mut sw, 1, &[ASK; 10]), 10);
    let after = sw.flows();
    let packets = |lines: &[String], table: &str| -> u64 {
        let of = |line: &String| -> u64 {
            let (_, count) = line.split_once("n_packets=").unwrap();
            count.split(',').next().unwrap().parse().unwrap()
        };
        let lines = lines.iter().filter(|line| line.starts_with(table));
        lines.map(of).sum()
    };
    for table in ["table=0", "table=1", "table=2", "table=3", "table=4"] {
        assert_eq!(
            packets(&after, table) - packets(&before, table),
            10,
            "{table}"
        );
    }
    sw.assert_state("ct: replied=1; drops: none");
}

#[test]
fn a_connection_met_in_both_directions_is_tracked_as_if_it_was_met_twice() {
    // The packet is sent back to where it came from, through the same zone.
    let mut sw = switch(
        "tcp actions=ct(commit,table=1)
         table=1,tcp actions=move:NXM_OF_IP_SRC[]->NXM_NX_REG0[],\
             move:NXM_OF_IP_DST[]->NXM_OF_IP_SRC[],move:NXM_NX_REG0[]->NXM_OF_IP_DST[],\
             move:NXM_OF_TCP_SRC[]->NXM_NX_REG1[0..15],\
             move:NXM_OF_TCP_DST[]->NXM_OF_TCP_SRC[],move:NXM_NX_REG1[0..15]->NXM_OF_TCP_DST[],\
             ct(table=2)
         table=2,tcp,ct_state=+inv actions=output:4
         table=2,tcp actions=output:2",
    );
    let segment = |seq: u32, ack: u32, len: u32| {
        format!("tcp 10.0.0.1:1000 > 10.0.0.2:80 PA seq={seq} ack={ack} len={len}")
    };
    for seq in (100..200_000).step_by(999) {
        for _ in 0..3 {
            sw.inject(1, &segment(seq, seq, 999));
        }
        sw.inject(1, &segment(seq + 999, seq / 2, 5));
        sw.inject(1, &segment(2 * seq, 7, 5));
    }
    assert!(stats(&sw).0 > 0, "{:?}", stats(&sw));
    sw.state();
}
