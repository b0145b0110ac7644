//! Tables, priorities, resubmit, goto, metadata and registers.

use weir_tests::switch::Switch;

#[test]
fn the_highest_priority_wins_whatever_the_order() {
    let mut sw = Switch::with_flows(
        "priority=10,ip actions=output:2
         priority=30,udp,tp_dst=53 actions=output:4
         priority=20,ip,nw_dst=192.0.2.0/24 actions=output:3",
    );
    sw.inject(1, "udp 10.0.0.5:4000 > 192.0.2.9:53");
    assert_eq!(sw.sent(4), ["udp 10.0.0.5:4000 > 192.0.2.9:53"]);
    sw.inject(1, "udp 10.0.0.5:4000 > 192.0.2.9:54");
    assert_eq!(sw.sent(3), ["udp 10.0.0.5:4000 > 192.0.2.9:54"]);
    sw.inject(1, "udp 10.0.0.5:4000 > 198.51.100.9:54");
    assert_eq!(sw.sent(2), ["udp 10.0.0.5:4000 > 198.51.100.9:54"]);
    assert_eq!(
        sw.flows(),
        [
            "table=0, n_packets=1, n_bytes=42, idle_age=0, priority=30,udp,tp_dst=53 actions=output:4",
            "table=0, n_packets=1, n_bytes=42, idle_age=0, priority=20,ip,nw_dst=192.0.2.0/24 actions=output:3",
            "table=0, n_packets=1, n_bytes=42, idle_age=0, priority=10,ip actions=output:2",
        ]
    );
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_miss_drops_in_every_table() {
    let mut sw = Switch::with_flows(
        "in_port=1,udp actions=resubmit(,7)
         table=7,udp,tp_dst=53 actions=output:2",
    );
    sw.inject(2, "udp 10.0.0.5:4000 > 192.0.2.9:53");
    sw.inject(1, "udp 10.0.0.5:4000 > 192.0.2.9:54");
    sw.inject(1, "tcp 10.0.0.5:4000 > 192.0.2.9:53 S");
    sw.assert_state("ct: none; drops: table_miss=3");
}
