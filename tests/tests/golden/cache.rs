//! The megaflow cache answers, and nobody sees that it does: [`Switch`] holds it against an
//! lcore without one. Here: that it answers at all, and for whom.

use weir_tables::cache::CacheStats;
use weir_tests::switch::Switch;

fn counted(sw: &Switch) -> (u64, u64, u64) {
    let CacheStats {
        hits,
        misses,
        stale,
        refused,
    } = sw.megaflow_stats();
    assert_eq!(refused, 0);
    (hits, misses, stale)
}

#[test]
fn packets_that_differ_where_no_rule_looks_share_an_entry() {
    let mut sw = Switch::with_flows(
        "ip,nw_dst=192.0.2.0/24 actions=dec_ttl,output:2
         arp actions=NORMAL",
    );
    sw.ignore_what_is_sent();
    sw.inject(1, "udp 10.0.0.5:4000 > 192.0.2.9:53");
    assert_eq!(counted(&sw), (0, 1, 0));
    sw.inject(1, "tcp 10.0.0.6:4001 > 192.0.2.10:80 S");
    sw.inject(
        1,
        "icmp 10.0.0.6 > 192.0.2.10 echo-request id=1 seq=1 tos=0x4",
    );
    assert_eq!(counted(&sw), (2, 1, 0));
    sw.inject(1, "udp 10.0.0.5:4000 > 198.51.100.9:53");
    sw.inject(3, "udp 10.0.0.5:4000 > 192.0.2.9:53");
    assert_eq!(counted(&sw).1, 3);
    sw.assert_state("ct: none; drops: table_miss=1");
}

#[test]
fn each_pass_has_its_own_entry() {
    let mut sw = Switch::with_flows(
        "udp actions=ct(table=1)
         table=1,ct_state=+new,udp actions=ct(commit),output:2
         table=1,ct_state=+est,udp actions=output:1",
    );
    sw.ignore_what_is_sent();
    sw.inject(1, "udp 10.0.0.5:4000 > 192.0.2.9:53");
    assert_eq!(counted(&sw), (0, 2, 0));
    sw.inject(1, "udp 10.0.0.5:4001 > 192.0.2.9:53");
    assert_eq!(counted(&sw), (2, 2, 0));
    sw.inject(2, "udp 192.0.2.9:53 > 10.0.0.5:4001");
    assert_eq!(counted(&sw), (2, 4, 0));
    sw.inject(2, "udp 192.0.2.9:53 > 10.0.0.5:4000");
    assert_eq!(counted(&sw), (4, 4, 0));
    sw.assert_state("ct: replied=2; drops: none");
}

#[test]
fn a_change_that_cannot_concern_an_entry_leaves_it() {
    let mut sw = Switch::with_flows(
        "udp actions=output:2
         table=7,tcp actions=output:3",
    );
    sw.ignore_what_is_sent();
    let packet = "udp 10.0.0.5:4000 > 192.0.2.9:53";
    sw.inject(1, packet);
    for elsewhere in [
        "table=7,udp actions=drop",
        "priority=40000,tcp actions=output:4",
    ] {
        sw.change_flows(elsewhere).unwrap();
        sw.inject(1, packet);
    }
    assert_eq!(counted(&sw), (2, 1, 0));
    sw.change_flows("priority=40000,udp,tp_dst=53 actions=output:4")
        .unwrap();
    sw.inject(1, packet);
    assert_eq!(counted(&sw), (2, 2, 1));
    assert_eq!(sw.sent(4), [packet]);
    sw.change_flows("delete_strict priority=40000,udp,tp_dst=53")
        .unwrap();
    sw.inject(1, packet);
    assert_eq!(sw.sent(2).len(), 4);
    sw.assert_state("ct: none; drops: none");
}
