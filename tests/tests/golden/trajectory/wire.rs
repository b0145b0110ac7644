//! Where no rule reads more than the input port, nothing is parsed.

use super::{hits, switch};

/// Packets of all kinds, only some of which have a key.
const ANY: [&str; 7] = [
    "udp 10.0.0.5:4000 > 192.0.2.9:53",
    "tcp [::1]:1 > [::2]:2 S",
    "eth 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff arp request 10.0.0.1 > 10.0.0.2 pad=18",
    "ether type=0x88cc len=46",
    "udp 10.0.0.5:4000 > 192.0.2.9:53 frag id=7 off=0 mf len=8",
    "vlan 5 vlan 6 udp 10.0.0.5:4000 > 192.0.2.9:53 len=9",
    "udp 10.0.0.5:4000 > 192.0.2.9:53 udp-len=99 len=9",
];

#[test]
fn everything_goes_the_way_of_the_first() {
    let mut sw = switch("in_port=1 actions=output:2,output:3\nin_port=2 actions=drop");
    assert_eq!(hits(&mut sw, 1, &ANY), ANY.len() as u64 - 1);
    assert_eq!(hits(&mut sw, 2, &ANY), ANY.len() as u64 - 1);
    assert_eq!(hits(&mut sw, 3, &ANY), ANY.len() as u64 - 1);
    sw.assert_state("ct: none; drops: table_miss=7 action_drop=7; malformed: l4=3");
}

#[test]
fn addresses_are_written_whatever_they_were() {
    let mut sw = switch(
        "in_port=1 actions=output:3,mod_dl_dst:02:00:00:00:00:02,output:2
         in_port=2 actions=mod_dl_src:02:00:00:00:00:07,mod_dl_dst:02:00:00:00:00:08,output:1",
    );
    // The first has the address that is written to it.
    let same = "eth 02:00:00:00:00:01 > 02:00:00:00:00:02 udp 10.0.0.5:4000 > 192.0.2.9:53";
    let other = "eth 02:00:00:00:00:03 > 02:00:00:00:00:04 udp 10.0.0.5:4000 > 192.0.2.9:53";
    assert_eq!(hits(&mut sw, 1, &[same, other, ANY[2], ANY[3]]), 3);
    assert_eq!(hits(&mut sw, 2, &[same, other, ANY[2], ANY[3]]), 3);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn what_reads_the_packet_ends_it() {
    for rule in [
        "priority=9,udp actions=output:4",
        "priority=9,in_port=1 actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],output:4",
        "priority=9,in_port=1 actions=NORMAL",
        "priority=9,in_port=1 actions=push_vlan:0x8100,output:4",
        "priority=9,in_port=1 actions=load:0->NXM_OF_ETH_DST[0..7],output:4",
        "priority=9,in_port=1 actions=ct(commit),output:4",
    ] {
        let mut sw = switch("priority=1,in_port=1 actions=output:2");
        assert_eq!(hits(&mut sw, 1, &ANY), ANY.len() as u64 - 1, "{rule}");
        sw.change_flows(rule).expect("a rule");
        assert!(hits(&mut sw, 1, &ANY) < ANY.len() as u64 - 1, "{rule}");
        sw.change_flows("delete_strict priority=9,udp")
            .expect("a rule");
        sw.change_flows("delete_strict priority=9,in_port=1")
            .expect("a rule");
        assert_eq!(hits(&mut sw, 1, &ANY), ANY.len() as u64 - 1, "{rule}");
        sw.state();
    }
}

#[test]
fn runts_and_frames_too_long_are_still_dropped() {
    let mut sw = switch("in_port=1 actions=output:2");
    let long = "udp 10.0.0.5:4000 > 192.0.2.9:53 len=1473";
    let longest = "udp 10.0.0.5:4000 > 192.0.2.9:53 len=1472";
    let tagged = "vlan 5 udp 10.0.0.5:4000 > 192.0.2.9:53 len=1472";
    assert_eq!(
        hits(
            &mut sw,
            1,
            &[ANY[0], longest, long, tagged, "hex 0011", ANY[0]]
        ),
        2
    );
    sw.assert_state("ct: none; drops: runt=1 mtu_exceeded=1; malformed: runt=1");
}
