//! What connections carried, by whatever way their packets went; each lcore counts the same.

use weir_ct::Carried;
use weir_tests::switch::{Builder, Switch};

const FIREWALL: &str = "
    priority=100,ip actions=ct(table=1,nat)
    priority=100,ipv6 actions=ct(table=1,nat)
    priority=50,arp actions=NORMAL
    table=1,in_port=1,ct_state=+trk+new,ip actions=ct(commit,nat(src=198.51.100.7)),output:2
    table=1,in_port=1,ct_state=+trk+new,ipv6 actions=ct(commit),output:2
    table=1,in_port=1,ct_state=+trk+est actions=output:2
    table=1,in_port=2,ct_state=+trk+est actions=output:1
    table=1,in_port=2,ct_state=+trk+rel actions=output:1";

fn carried(sw: &mut Switch) -> Vec<[(u64, u64); 2]> {
    let pair = |carried: Carried| (carried.packets, carried.bytes);
    let entries = sw.connections().into_iter();
    entries
        .map(|entry| entry.carried.expect("it is counted").map(pair))
        .collect()
}

/// Enough for each kind of packet to be remembered, and then to go in runs.
const TIMES: u64 = 9;

#[test]
fn each_packet_counts_once_in_its_direction() {
    for tag in ["", "vlan 5 "] {
        let mut sw = Switch::with_flows(FIREWALL);
        for _ in 0..TIMES {
            sw.inject(1, &format!("{tag}udp 10.0.0.5:4000 > 192.0.2.9:53 len=10"));
            sw.inject(
                2,
                &format!("{tag}udp 192.0.2.9:53 > 198.51.100.7:4000 len=100"),
            );
        }
        // IP and UDP headers, and what is behind them.
        assert_eq!(sw.sent_anywhere().len() as u64, 2 * TIMES);
        let expected = [(TIMES, TIMES * 38), (TIMES, TIMES * 128)];
        assert_eq!(carried(&mut sw), [expected], "{tag}");
    }
}

#[test]
fn tcp_counts_what_is_part_of_it() {
    let mut sw = Switch::with_flows(FIREWALL);
    sw.inject(1, "tcp 10.0.0.5:4000 > 192.0.2.9:80 S seq=100 win=1000");
    sw.inject(
        2,
        "tcp 192.0.2.9:80 > 198.51.100.7:4000 SA seq=500 ack=101 win=1000",
    );
    for _ in 0..TIMES {
        sw.inject(
            1,
            "tcp 10.0.0.5:4000 > 192.0.2.9:80 A seq=101 ack=501 win=1000",
        );
    }
    assert_eq!(carried(&mut sw), [[(TIMES + 1, (TIMES + 1) * 40), (1, 40)]]);
    assert_eq!(sw.sent_anywhere().len() as u64, TIMES + 2);
}

#[test]
fn ipv6_counts_from_its_header_on() {
    let mut sw = Switch::with_flows(FIREWALL);
    for _ in 0..TIMES {
        sw.inject(1, "udp [2001:db8::1]:4000 > [2001:db8::2]:53");
        sw.inject(2, "udp [2001:db8::2]:53 > [2001:db8::1]:4000");
    }
    assert_eq!(sw.sent_anywhere().len() as u64, 2 * TIMES);
    assert_eq!(carried(&mut sw), [[(TIMES, TIMES * 48); 2]]);
}

#[test]
fn a_packet_that_passes_two_zones_counts_once_in_each() {
    let mut sw = Switch::with_flows(
        "table=0,ip actions=ct(commit,zone=1,table=1)
         table=1,ip actions=ct(commit,zone=2,table=2)
         table=2,ip actions=ct(commit,zone=1,table=3)
         table=3,ip actions=output:2",
    );
    for _ in 0..TIMES {
        sw.inject(1, "udp 10.0.0.5:4000 > 192.0.2.9:53");
    }
    assert_eq!(sw.sent(2).len() as u64, TIMES);
    assert_eq!(carried(&mut sw), [[(TIMES, TIMES * 28), (0, 0)]; 2]);
}

#[test]
fn nothing_else_changes_where_nobody_counts() {
    let mut sw = Builder::default().no_accounting().flows(FIREWALL);
    for n in 0..TIMES {
        let seq = 101 + 10 * n;
        sw.inject(1, "udp 10.0.0.5:4000 > 192.0.2.9:53 len=10");
        sw.inject(2, "udp 192.0.2.9:53 > 198.51.100.7:4000 len=100");
        sw.inject(1, "udp [2001:db8::1]:4000 > [2001:db8::2]:53");
        sw.inject(
            1,
            &format!("tcp 10.0.0.5:4000 > 192.0.2.9:80 A seq={seq} ack=501 win=1000 len=10"),
        );
    }
    assert_eq!(sw.sent_anywhere().len() as u64, 4 * TIMES);
    let entries = sw.connections();
    assert_eq!(entries.len(), 3);
    assert!(entries.iter().all(|entry| entry.carried.is_none()));
}

/// As in the kernel, which counts what it accepts; and it accepts a segment without data wherever it
/// lies, if what it acknowledges fits.
#[test]
fn tcp_does_not_count_what_is_not_accepted() {
    let mut sw = Switch::with_flows(FIREWALL);
    sw.inject(1, "tcp 10.0.0.5:4000 > 192.0.2.9:80 S seq=100 win=1000");
    sw.inject(
        2,
        "tcp 192.0.2.9:80 > 198.51.100.7:4000 SA seq=500 ack=101 win=1000",
    );
    sw.inject(
        1,
        "tcp 10.0.0.5:4000 > 192.0.2.9:80 A seq=101 ack=501 win=1000",
    );
    let before = [[(2, 80), (1, 40)]];
    assert_eq!(carried(&mut sw), before);
    assert_eq!(sw.sent_anywhere().len(), 3);
    for stray in [
        "tcp 10.0.0.5:4000 > 192.0.2.9:80 A seq=101 ack=900000501 win=1000",
        // For its receiver to challenge.
        "tcp 10.0.0.5:4000 > 192.0.2.9:80 S seq=7777 win=1000",
        // Outside of the window.
        "tcp 10.0.0.5:4000 > 192.0.2.9:80 A seq=900000101 ack=501 win=1000 len=10",
        "tcp 10.0.0.5:4000 > 192.0.2.9:80 R seq=900000101",
    ] {
        sw.inject(1, stray);
        drop(sw.sent_anywhere());
        assert_eq!(carried(&mut sw), before, "{stray}");
    }
    sw.inject(
        1,
        "tcp 10.0.0.5:4000 > 192.0.2.9:80 A seq=900000101 ack=501 win=1000",
    );
    drop(sw.sent_anywhere());
    assert_eq!(carried(&mut sw), [[(3, 120), (1, 40)]]);
}
