//! Every packet that does not arrive has a name: oversized, malformed, unknown.

use weir_packet::{VecFrame, text};
use weir_tests::switch::Switch;

#[test]
fn a_packet_above_the_mtu_is_dropped_at_that_port_only() {
    let mut sw = Switch::builder()
        .mtu(2, 600)
        .mtu(3, 601)
        .flows("actions=output:2,output:3");
    // 20 bytes of IPv4 and 8 of UDP in front of the payload.
    let fits = "udp 10.0.0.1:1 > 10.0.0.2:2 len=572";
    let above = "udp 10.0.0.1:1 > 10.0.0.2:2 len=573";
    sw.inject(1, fits);
    assert_eq!(
        sw.sent_anywhere(),
        [format!("2: {fits}"), format!("3: {fits}")]
    );
    sw.inject(1, above);
    assert_eq!(sw.sent_anywhere(), [format!("3: {above}")]);
    sw.inject(1, "udp 10.0.0.1:1 > 10.0.0.2:2 len=574");
    sw.assert_state("ct: none; drops: mtu_exceeded=3");
}

#[test]
fn tags_do_not_count_towards_the_mtu() {
    let mut sw = Switch::builder().mtu(2, 600).flows(
        "in_port=1 actions=push_vlan:0x8100,output:2
         in_port=3 actions=output:2",
    );
    let full = "udp 10.0.0.1:1 > 10.0.0.2:2 len=572";
    sw.inject(1, full);
    sw.inject(3, &format!("vlan 5 vlan 6 {full}"));
    assert_eq!(
        sw.sent(2),
        [format!("vlan 0 {full}"), format!("vlan 5 vlan 6 {full}")]
    );
    sw.inject(3, "vlan 5 vlan 6 udp 10.0.0.1:1 > 10.0.0.2:2 len=573");
    sw.assert_state("ct: none; drops: mtu_exceeded=1");
}

#[test]
fn runts_are_counted_and_go_no_further() {
    let mut sw = Switch::with_flows("actions=output:2");
    sw.inject_frames(
        1,
        vec![
            VecFrame::new(&[]),
            VecFrame::new(&[0; 13]),
            VecFrame::new(&[0; 14]),
        ],
    );
    assert_eq!(sw.sent(2).len(), 1);
    assert_eq!(
        sw.flows(),
        ["table=0, n_packets=1, n_bytes=14, idle_age=0, actions=output:2"]
    );
    sw.assert_state("ct: none; drops: runt=2; malformed: runt=2");
}

/// The packet with some of its bytes replaced, or cut off behind `len` bytes.
fn damaged(line: &str, changes: &[(usize, u8)], len: usize) -> VecFrame {
    let mut bytes = text::parse(line).expect("a packet");
    for &(at, value) in changes {
        bytes[at] = value;
    }
    bytes.truncate(len);
    VecFrame::from(bytes)
}

#[test]
fn malformed_packets_are_counted_by_kind_and_switched_by_what_is_whole() {
    let udp = "udp 10.0.0.1:1 > 10.0.0.2:2 len=30";
    let udp6 = "udp [::1]:1 > [::2]:2 ext=60:010400000000 len=30";
    let frames = [
        // A tag is announced and cut off.
        damaged("vlan 5 udp 10.0.0.1:1 > 10.0.0.2:2", &[], 15),
        damaged("arp request 10.0.0.1 > 10.0.0.2", &[], 30),
        // IPv4: version 5, four words of header, total length beyond the frame, cut off.
        damaged(udp, &[(14, 0x55)], 100),
        damaged(udp, &[(14, 0x44)], 100),
        damaged(udp, &[(16, 0xff)], 100),
        damaged(udp, &[], 33),
        // IPv6: version 4, payload beyond the frame, an extension header beyond the packet.
        damaged(udp6, &[(14, 0x40)], 200),
        damaged(udp6, &[(18, 0xff)], 200),
        damaged(udp6, &[(55, 0xff)], 200),
        // UDP longer than its packet, a TCP header that claims 60 bytes.
        damaged(udp, &[(38, 0xff)], 100),
        damaged("tcp 10.0.0.1:1 > 10.0.0.2:2 S", &[(46, 0xf0)], 100),
    ];
    let mut sw = Switch::with_flows(
        "priority=9,udp,tp_dst=2 actions=output:4
         priority=8,ip actions=output:2
         priority=8,ipv6 actions=output:3
         priority=1 actions=drop",
    );
    sw.ignore_what_is_sent();
    for frame in &frames {
        sw.inject_frames(1, vec![frame.clone()]);
    }
    let sent: Vec<usize> = (2..=4).map(|port| sw.sent_frames(port).len()).collect();
    // Four broken IPv4 headers and TCP; three of IPv6; UDP, whose ports are whole.
    assert_eq!(sent, [5, 3, 1]);
    sw.assert_state(
        "ct: none; drops: action_drop=2;
         malformed: vlan=1 arp=1 ipv4=4 ipv6=2 ipv6_extension=1 l4=2",
    );
}

#[test]
fn headers_of_malformed_packets_are_not_written() {
    let cut = damaged("udp 10.0.0.1:1 > 10.0.0.2:2 len=30", &[], 33);
    let mut sw = Switch::with_flows(
        "ip actions=mod_nw_src:1.2.3.4,mod_nw_tos:4,output:2
         arp actions=set_field:2->arp_op,output:2",
    );
    sw.inject_frames(1, vec![cut.clone()]);
    assert_eq!(sw.sent_frames(2), [cut]);
    let arp = damaged("arp request 10.0.0.1 > 10.0.0.2", &[], 30);
    sw.inject_frames(1, vec![arp.clone()]);
    assert_eq!(sw.sent_frames(2), [arp]);
    sw.assert_state("ct: none; drops: none; malformed: arp=1 ipv4=1");
}

#[test]
fn every_cut_of_a_packet_is_accounted_for() {
    for line in [
        "vlan 5 vlan 6 tcp 10.0.0.1:1 > 10.0.0.2:2 S mss=1460 len=20",
        "udp [::1]:1 > [::2]:2 ext=60:010400000000 len=30",
        "arp request 10.0.0.1 > 10.0.0.2",
        "icmp 10.0.0.9 > 10.0.0.1 unreachable code=3 { udp 10.0.0.1:4 > 10.0.0.2:5 }",
    ] {
        let whole = text::parse(line).expect("a packet");
        let mut sw = Switch::with_flows(
            "ip actions=ct(table=1)
             ipv6 actions=ct(table=1)
             arp actions=NORMAL
             table=1,ip actions=dec_ttl,mod_nw_src:1.2.3.4,output:2
             table=1,ipv6 actions=dec_ttl,set_field:::9->ipv6_src,output:2",
        );
        sw.ignore_what_is_sent();
        for len in 0..=whole.len() {
            sw.inject_frames(1, vec![VecFrame::new(&whole[..len])]);
        }
    }
}
