//! The megaflow cache answers, and nobody sees that it does: [`Switch`] holds it against an
//! lcore without one. Here: that it answers at all, and for whom.

use weir_tables::cache::{CacheStats, MegaflowSettings};
use weir_tests::switch::{Caches, Switch};

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

/// A switch whose megaflow cache takes `masks` masks of one port.
fn with_masks(masks_per_port: usize, flows: &str) -> Switch {
    let caches = Caches {
        megaflows: MegaflowSettings {
            entries: 4096,
            masks_per_port,
        },
        ..Caches::default()
    };
    let mut sw = Switch::builder().caches(caches).flows(flows);
    sw.ignore_what_is_sent();
    sw
}

/// Sends packets from and to random addresses, each with as many leading zeros as another; how
/// many the cache could not take for want of a mask.
fn refused_of_random(sw: &mut Switch, packet: impl Fn(u128, u128) -> String) -> u64 {
    let mut state = 1_u64;
    let mut random = |below: u32| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (state >> 33) as u32 % below
    };
    for _ in 0..2_000 {
        let mut address = || {
            let noise = u128::from(random(u32::MAX)) << 64 | u128::from(random(u32::MAX));
            1 << 127 >> random(128) | noise >> random(128)
        };
        let packet = packet(address(), address());
        sw.inject(1, &packet);
    }
    sw.megaflow_stats().refused
}

/// So many masks are room for packets to random addresses, and 15 are not.
#[track_caller]
fn masks_suffice(masks: usize, flows: &str, packet: impl Fn(u128, u128) -> String + Copy) {
    let mut sw = with_masks(masks, flows);
    assert_eq!(refused_of_random(&mut sw, packet), 0);
    sw.state();
    let mut sw = with_masks(15, flows);
    assert!(refused_of_random(&mut sw, packet) > 0);
    sw.state();
}

#[test]
fn prefixes_of_every_length_make_few_masks() {
    // Which rule matches is the number of leading zeros: so many bits decide.
    let mut flows = String::new();
    for length in 1..=32_u32 {
        let (prefix, priority) = (std::net::Ipv4Addr::from(1 << (32 - length)), 100 - length);
        flows += &format!(
            "table=0,priority={priority},ip,nw_src={prefix}/{length} actions=goto_table:1
             table=1,priority={priority},ip,nw_dst={prefix}/{length} actions=output:2\n"
        );
    }
    let packet = |src: u128, dst: u128| {
        let [src, dst] = [src, dst].map(|bits| std::net::Ipv4Addr::from((bits >> 96) as u32));
        format!("udp {src}:1 > {dst}:2")
    };
    // A byte to four of each address, and none of the destination if the source has no rule.
    masks_suffice(17, &flows, packet);
}

#[test]
fn prefixes_of_long_addresses_make_few_masks() {
    let mut flows = String::new();
    for length in 1..=128_u32 {
        let (prefix, priority) = (std::net::Ipv6Addr::from(1 << (128 - length)), 200 - length);
        flows += &format!("priority={priority},ipv6,ipv6_dst={prefix}/{length} actions=output:2\n");
    }
    let packet = |src: u128, dst: u128| {
        let [src, dst] = [src, dst].map(std::net::Ipv6Addr::from);
        format!("udp [{src}]:1 > [{dst}]:2")
    };
    masks_suffice(16, &flows, packet);
}

#[test]
fn where_masks_have_run_out_the_tables_answer() {
    let mut flows = String::new();
    for bit in 0..16 {
        let (port, priority) = (1 << bit, 100 - bit);
        flows += &format!(
            "priority={priority},udp,tp_dst={port}/{port} actions=output:{}\n",
            2 + bit % 3
        );
    }
    let mut sw = with_masks(4, &flows);
    for port in 0..300 {
        sw.inject(1, &format!("udp 10.0.0.5:1 > 192.0.2.9:{}", port * 211));
    }
    assert!(sw.megaflow_stats().refused > 0);
    assert!(sw.megaflow_stats().hits > 0);
    // Another port has masks of its own.
    let refused = sw.megaflow_stats().refused;
    sw.inject(3, "udp 10.0.0.5:1 > 192.0.2.9:1");
    assert_eq!(sw.megaflow_stats().refused, refused);
    sw.state();
}

#[test]
fn masks_that_nobody_needs_any_more_make_room() {
    let policy = |field: &str, first: u32| {
        let rule = |bit: u32| {
            let (value, priority) = (1 << (first + bit), 100 - bit);
            let out = 2 + bit % 3;
            format!("priority={priority},udp,{field}={value}/{value} actions=output:{out}\n")
        };
        (0..4).map(rule).collect::<String>()
    };
    let mut sw = with_masks(4, &policy("tp_dst", 0));
    let packet = |src: u32, dst: u32| format!("udp 10.0.0.5:{src} > 192.0.2.9:{dst}");
    let hits = |sw: &mut Switch, packets: &mut dyn Iterator<Item = String>| {
        let before = sw.megaflow_stats().hits;
        packets.for_each(|packet| sw.inject(1, &packet));
        sw.megaflow_stats().hits - before
    };
    hits(&mut sw, &mut (0..200).map(|n| packet(1, n)));
    let mut again = (0..100).map(|n| packet(1, n));
    assert_eq!(hits(&mut sw, &mut again), 100);
    // Another policy has masks of its own; the cache takes to them.
    sw.change_flows("delete").unwrap();
    sw.change_flows(&policy("tp_src", 4)).unwrap();
    hits(&mut sw, &mut (0..5_000).map(|n| packet(n % 256, 1)));
    let mut again = (0..100).map(|n| packet(n, 1));
    assert_eq!(hits(&mut sw, &mut again), 100);
    sw.state();
}

/// While the steps of one path are taken, a copy of the packet takes another; there is room for
/// 4,096.
#[test]
fn more_paths_than_there_is_room_for_while_one_is_taken() {
    const ENDS: u16 = 4_500;
    let outputs = ",output:2".repeat(40);
    let ends = (1..=ENDS).map(|port| format!("table=1,udp,tp_dst={port} actions=output:3\n"));
    let mut sw = Switch::builder().empty();
    sw.change_flows(&format!(
        "udp actions=ct(table=1){outputs}\n{}",
        ends.collect::<String>()
    ))
    .unwrap();
    let ports: Vec<u16> = (1..=ENDS).collect();
    for some in ports.chunks(500) {
        let packets: Vec<_> = some
            .iter()
            .map(|port| format!("udp 10.0.0.5:9 > 192.0.2.9:{port}"))
            .collect();
        let packets: Vec<&str> = packets.iter().map(String::as_str).collect();
        sw.inject_burst(1, &packets);
        assert_eq!(sw.sent(3).len(), some.len());
        assert_eq!(sw.sent(2).len(), some.len() * 40);
    }
    sw.assert_state("ct: none; drops: none");
}
