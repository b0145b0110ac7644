//! Tuple-space explosion (Csikor et al., CoNEXT 2019): machine 3 sends what is denied for reasons that
//! take other bits to tell, so that each packet might make a mask of its own, and a search in the
//! cache would take thousands of steps. Counted is what comes of it: masks, and masks looked through.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use weir_packet::{VecFrame, text};
use weir_tables::cache::MaskStats;

use super::*;

/// Packets of one burst.
const BURST: usize = 32;

/// Open vSwitch makes 8,192 masks of either attack; here rules alone say how many there can be.
const MOST_MASKS: u64 = 8;

/// For each bit of `value`, which has so many: what differs from it there and in no higher bit.
fn flips(value: u32, bits: u32) -> impl Iterator<Item = RangeInclusive<u32>> {
    (0..bits).map(move |bit| {
        let below = (1 << (bits - 1 - bit)) - 1;
        let first = (value ^ (below + 1)) & !below;
        first..=first | below
    })
}

/// The last value of each flip, so that no two are alike.
fn values(value: u32, bits: u32) -> Vec<u32> {
    flips(value, bits).map(|range| *range.end()).collect()
}

fn udp(eth_dst: &str, [src, dst, sport, dport]: [u32; 4]) -> VecFrame {
    let [src, dst] = [src, dst].map(Ipv4Addr::from_bits);
    let mac = VM3.mac;
    text::frame(&format!(
        "eth {mac} > {eth_dst} udp {src}:{sport} > {dst}:{dport}"
    ))
}

/// Sends all of `frames`; returns what masks counted meanwhile, and how many passes asked.
fn attack(sw: &mut Switch, frames: &[VecFrame]) -> (MaskStats, u64) {
    let asked = |sw: &Switch| {
        let stats = sw.megaflow_stats();
        stats.hits + stats.misses
    };
    let (before, asked_before) = (sw.mask_stats(), asked(sw));
    for burst in frames.chunks(BURST) {
        sw.inject_frames(VM3.port, burst.to_vec());
    }
    let after = sw.mask_stats();
    let grown = MaskStats {
        masks: after.masks - before.masks,
        visited: after.visited - before.visited,
        refused: after.refused - before.refused,
        replaced: after.replaced - before.replaced,
    };
    (grown, asked(sw) - asked_before)
}

/// Masks that a packet of an honest connection takes to look through, where only megaflows are there.
fn honest(sw: &mut Switch) -> u64 {
    let request = VM4.to(VM9.mac, &VM4.ping(VM9.ip, 1));
    let reply = VM9.to(VM4.mac, &VM9.pong(VM4.ip, 1));
    let mut visited = 0;
    for _ in 0..8 {
        let before = sw.mask_stats().visited;
        for (from, to, packet) in [(VM4, VM9, &request), (VM9, VM4, &reply)] {
            sw.inject(from.port, packet);
            assert_eq!(sw.sent_anywhere(), [format!("{}: {packet}", to.port)]);
        }
        visited = sw.mask_stats().visited - before;
    }
    visited
}

#[track_caller]
fn comes_to_little(sw: &mut Switch, frames: &[VecFrame]) {
    let quiet = honest(sw);
    let (grown, asked) = attack(sw, frames);
    assert!(grown.masks <= MOST_MASKS, "{grown:?}");
    assert!(grown.visited <= asked * MOST_MASKS, "{grown:?} for {asked}");
    assert_eq!((grown.refused, grown.replaced), (0, 0));
    // The same again: whatever order masks have by now.
    let (again, asked) = attack(sw, frames);
    assert_eq!(again.masks, 0);
    assert!(again.visited <= asked * MOST_MASKS, "{again:?} for {asked}");
    let hits = sw.trajectory_stats().hits;
    assert_eq!(honest(sw), quiet, "others look through as many as before");
    assert!(
        sw.trajectory_stats().hits >= hits + 8,
        "their journeys are still known"
    );
}

/// Port security denies it: addresses that are not the sender's, DHCP's ports, and the
/// metadata service's address, which other rules tell apart.
#[test]
fn port_security_makes_few_masks() {
    let mut frames = Vec::new();
    for src in values(Ipv4Addr::new(172, 19, 29, 3).to_bits(), 32) {
        for dst in values(Ipv4Addr::new(169, 254, 169, 254).to_bits(), 32) {
            for sport in values(68, 16).into_iter().step_by(2) {
                frames.push(udp("ff:ff:ff:ff:ff:ff", [src, dst, sport, 67]));
            }
        }
    }
    assert_eq!(frames.len(), 8_192);
    let mut sw = switch();
    comes_to_little(&mut sw, &frames);
    sw.assert_state("ct: replied=1; drops: table_miss=16384");
}

/// The attacker's own security group, which a tenant may write as it likes, denies it.
#[test]
fn a_security_group_of_the_attackers_makes_few_masks() {
    let mut sw = switch();
    let commit = "actions=ct(commit,table=20,zone=NXM_NX_CT_ZONE[])";
    for (priority, what) in [
        (150, "tp_dst=53"),
        (140, "nw_dst=198.51.100.10"),
        (130, "tp_src=12345"),
    ] {
        let rule = format!(
            "table=15,priority={priority},ct_state=+new-est-rel-inv+trk,udp,reg6=0x3,{what} {commit}"
        );
        sw.change_flows(&rule).expect("a rule");
    }
    let own = Ipv4Addr::new(172, 19, 29, 3).to_bits();
    let mut frames = Vec::new();
    for dst in values(Ipv4Addr::new(198, 51, 100, 10).to_bits(), 32) {
        for sport in values(12_345, 16) {
            for dport in values(53, 16) {
                frames.push(udp(GATEWAY.mac, [own, dst, sport, dport]));
            }
        }
    }
    assert_eq!(frames.len(), 8_192);
    comes_to_little(&mut sw, &frames);
    sw.assert_state("ct: replied=1; drops: action_drop=16384");
}
