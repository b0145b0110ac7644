//! Programs: what is done to each packet, and for which packets.

use super::*;

#[test]
fn a_ttl_is_counted_down_from_what_each_packet_brings() {
    let mut sw = Switch::with_flows("ip actions=dec_ttl,output:2\nipv6 actions=dec_ttl,output:2");
    for (prefix, last) in [
        ("udp 10.0.0.5:1 > 192.0.2.9:2", 1),
        ("udp [::1]:1 > [::2]:2", 1),
    ] {
        sw.inject(1, prefix);
        assert_eq!(sw.sent(2), [format!("{prefix} ttl=63")]);
        for ttl in [64, 255, 2, 9] {
            assert!(is_hit(&mut sw, 1, &format!("{prefix} ttl={ttl}")));
            let less = ttl - 1;
            assert_eq!(sw.sent(2), [format!("{prefix} ttl={less}")]);
        }
        for ttl in 0..=last {
            assert!(!is_hit(&mut sw, 1, &format!("{prefix} ttl={ttl}")));
        }
        // Nor did these put themselves into the entry's place.
        assert!(is_hit(&mut sw, 1, &format!("{prefix} ttl=2")));
        assert_eq!(sw.sent(2), [format!("{prefix} ttl=1")]);
    }
    sw.assert_state("ct: none; drops: ttl_expired=4");
}

#[test]
fn two_hops_need_two_to_spare() {
    let mut sw =
        switch("ip actions=dec_ttl,output:2,resubmit(,1)\ntable=1,ip actions=dec_ttl,output:3");
    let with = |ttl| format!("udp 10.0.0.5:1 > 192.0.2.9:2 ttl={ttl}");
    remember(&mut sw, 1, &with(9));
    sw.sent_anywhere();
    assert!(is_hit(&mut sw, 1, &with(3)));
    assert_eq!(
        sw.sent_anywhere(),
        [format!("2: {}", with(2)), format!("3: {}", with(1))]
    );
    never(&mut sw, 1, &with(2));
    assert_eq!(sw.sent_anywhere(), vec![format!("2: {}", with(1)); 5]);
    never(&mut sw, 1, &with(1));
    never(&mut sw, 1, &with(0));
    assert!(is_hit(&mut sw, 1, &with(3)));
    sw.state();
}

#[test]
fn a_ttl_that_was_set_is_not_the_packets() {
    for actions in [
        "mod_nw_ttl:7,output:2",
        "dec_ttl,mod_nw_ttl:7,output:2",
        "mod_nw_ttl:8,dec_ttl,output:2",
        "dec_ttl,output:3,mod_nw_ttl:7,output:2",
        "mod_nw_ttl:9,output:3,dec_ttl,dec_ttl,output:2",
    ] {
        let mut sw = switch(&format!("ip actions={actions}"));
        remember(&mut sw, 1, "udp 10.0.0.5:1 > 192.0.2.9:2 ttl=9");
        for ttl in [255, 64, 3, 2] {
            sw.sent(2);
            assert!(is_hit(
                &mut sw,
                1,
                &format!("udp 10.0.0.5:1 > 192.0.2.9:2 ttl={ttl}")
            ));
            assert_eq!(
                sw.sent(2),
                ["udp 10.0.0.5:1 > 192.0.2.9:2 ttl=7"],
                "{actions}"
            );
        }
        for ttl in [1, 0] {
            for _ in 0..3 {
                sw.inject(1, &format!("udp 10.0.0.5:1 > 192.0.2.9:2 ttl={ttl}"));
            }
        }
        sw.state();
    }
}

#[test]
fn bits_that_an_action_leaves_are_each_packets_own() {
    let mut sw = switch(
        "udp actions=mod_nw_tos:32,output:2
         tcp actions=mod_nw_ecn:1,output:2
         udp6 actions=mod_nw_ecn:2,set_field:0x5/0xf->ipv6_label,output:2",
    );
    for (packets, sent) in [
        (
            [
                "udp 10.0.0.5:1 > 192.0.2.9:2",
                "udp 10.0.0.5:1 > 192.0.2.9:2 tos=0x43",
            ],
            [
                "udp 10.0.0.5:1 > 192.0.2.9:2 tos=0x20",
                "udp 10.0.0.5:1 > 192.0.2.9:2 tos=0x23",
            ],
        ),
        (
            [
                "tcp 10.0.0.5:1 > 192.0.2.9:2 A",
                "tcp 10.0.0.5:1 > 192.0.2.9:2 A tos=0x43",
            ],
            [
                "tcp 10.0.0.5:1 > 192.0.2.9:2 A tos=0x1",
                "tcp 10.0.0.5:1 > 192.0.2.9:2 A tos=0x41",
            ],
        ),
        (
            [
                "udp [::1]:1 > [::2]:2",
                "udp [::1]:1 > [::2]:2 tos=0x43 label=0x9876c",
            ],
            [
                "udp [::1]:1 > [::2]:2 tos=0x2 label=0x5",
                "udp [::1]:1 > [::2]:2 tos=0x42 label=0x98765",
            ],
        ),
    ] {
        remember(&mut sw, 1, packets[0]);
        sw.sent(2);
        assert_eq!(hits(&mut sw, 1, &packets), 2);
        assert_eq!(sw.sent(2), sent);
    }
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_frame_too_long_for_a_port_on_the_way_is_no_hit() {
    let mut sw = Switch::builder()
        .mtu(2, 1000)
        .mtu(3, 600)
        .flows("actions=output:2,output:3,output:4");
    sw.ignore_what_is_sent();
    let sized = |ip: usize| format!("udp 10.0.0.5:1 > 192.0.2.9:2 len={}", ip - 28);
    remember(&mut sw, 1, &sized(100));
    assert!(is_hit(&mut sw, 1, &sized(600)));
    sw.sent_anywhere();
    for (ip, ports) in [(601, "24"), (1000, "24"), (1001, "4"), (1500, "4")] {
        never(&mut sw, 1, &sized(ip));
        let sent = sw.sent_anywhere();
        assert_eq!(sent.len(), 5 * ports.len(), "{ip}");
        assert!(sent.iter().all(|sent| ports.contains(&sent[..1])));
    }
    assert!(is_hit(&mut sw, 1, &sized(600)));
    sw.assert_state("ct: none; drops: mtu_exceeded=30");
}

#[test]
fn tags_do_not_count_against_the_mtu() {
    for actions in [
        "push_vlan:0x8100,set_field:4101->vlan_vid,output:2",
        "pop_vlan,output:2",
        "mod_vlan_vid:7,output:2",
        "output:2",
    ] {
        let matches = if actions.starts_with("pop") {
            "dl_vlan=5"
        } else {
            "udp"
        };
        let mut sw = Switch::builder()
            .mtu(2, 600)
            .flows(&format!("{matches} actions={actions}"));
        sw.ignore_what_is_sent();
        for tag in ["vlan 5 ", ""] {
            if tag.is_empty() && matches != "udp" {
                continue;
            }
            let sized = |ip: usize| format!("{tag}udp 10.0.0.5:1 > 192.0.2.9:2 len={}", ip - 28);
            for _ in 0..3 {
                sw.inject(1, &sized(600));
                sw.inject(1, &sized(601));
                sw.inject(1, &sized(597));
                sw.inject(1, &sized(604));
            }
        }
        sw.state();
    }
}

#[test]
fn a_tag_is_pushed_popped_and_rewritten() {
    for (flows, packet, sent) in [
        (
            "udp actions=push_vlan:0x8100,set_field:4101->vlan_vid,output:2",
            ASK.to_owned(),
            vec![format!("2: vlan 5 {ASK}")],
        ),
        (
            "dl_vlan=5 actions=pop_vlan,output:2",
            format!("vlan 5 pcp 3 {ASK}"),
            vec![format!("2: {ASK}")],
        ),
        (
            "dl_vlan=5 actions=mod_vlan_vid:6,output:2,mod_vlan_pcp:1,output:3,pop_vlan,output:4",
            format!("vlan 5 pcp 3 {ASK}"),
            vec![
                format!("2: vlan 6 pcp 3 {ASK}"),
                format!("3: vlan 6 pcp 1 {ASK}"),
                format!("4: {ASK}"),
            ],
        ),
        (
            "udp actions=output:2,push_vlan:0x8100,set_field:4101->vlan_vid,output:3,pop_vlan,\
                dec_ttl,output:4",
            ASK.to_owned(),
            vec![
                format!("2: {ASK}"),
                format!("3: vlan 5 {ASK}"),
                format!("4: {ASK} ttl=63"),
            ],
        ),
        (
            "dl_vlan=5,udp actions=mod_nw_src:1.2.3.4,pop_vlan,mod_tp_dst:9,output:2",
            format!("vlan 5 {ASK}"),
            vec!["2: udp 1.2.3.4:4000 > 192.0.2.9:9 len=9".to_owned()],
        ),
    ] {
        let mut sw = switch(flows);
        remember(&mut sw, 1, &packet);
        sw.sent_anywhere();
        assert!(is_hit(&mut sw, 1, &packet));
        let expected: Vec<String> = sent.iter().map(|line| reordered(line)).collect();
        assert_eq!(sw.sent_anywhere(), expected, "{flows}");
        sw.assert_state("ct: none; drops: none");
    }
}

/// A line as it is printed.
fn reordered(line: &str) -> String {
    let (port, packet) = line.split_once(": ").unwrap();
    let frame = weir_packet::text::frame(packet);
    format!("{port}: {}", weir_packet::text::describe(frame.bytes()))
}

#[test]
fn a_second_tag_is_the_tables_business() {
    let mut sw = switch("udp actions=push_vlan:0x88a8,set_field:4102->vlan_vid,output:2");
    never(&mut sw, 1, &format!("vlan 5 {ASK}"));
    remember(&mut sw, 1, ASK);
    sw.state();
}

#[test]
fn each_copy_is_as_the_packet_was_by_then() {
    let mut sw = switch(
        "udp actions=output:2,mod_dl_dst:02:00:00:00:00:09,output:3,mod_nw_tos:4,output:2,dec_ttl,\
            mod_nw_dst:1.2.3.4,output:4,mod_tp_src:9,mod_dl_src:02:00:00:00:00:07,IN_PORT",
    );
    remember(&mut sw, 1, ASK);
    sw.sent_anywhere();
    assert!(is_hit(
        &mut sw,
        1,
        "udp 10.0.0.5:4000 > 192.0.2.9:53 len=9 ttl=7 tos=0x3"
    ));
    let sent: Vec<String> = [
        "1: eth 02:00:00:00:00:07 > 02:00:00:00:00:09 udp 10.0.0.5:9 > 1.2.3.4:53 ttl=6 tos=0x7 len=9",
        "2: udp 10.0.0.5:4000 > 192.0.2.9:53 len=9 ttl=7 tos=0x3",
        "2: eth 02:00:00:00:00:01 > 02:00:00:00:00:09 udp 10.0.0.5:4000 > 192.0.2.9:53 len=9 ttl=7 tos=0x7",
        "3: eth 02:00:00:00:00:01 > 02:00:00:00:00:09 udp 10.0.0.5:4000 > 192.0.2.9:53 len=9 ttl=7 tos=0x3",
        "4: eth 02:00:00:00:00:01 > 02:00:00:00:00:09 udp 10.0.0.5:4000 > 1.2.3.4:53 len=9 ttl=6 tos=0x7",
    ]
    .map(reordered)
    .to_vec();
    assert_eq!(sw.sent_anywhere(), sent);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn what_happens_behind_a_fork_does_not_happen_to_what_follows_it() {
    let mut sw = switch(
        "priority=40000,in_port=1,udp actions=output:3,ct(commit,table=1),mod_nw_tos:8,output:4
         udp actions=ct(table=1)
         table=1,in_port=1,udp actions=dec_ttl,mod_nw_dst:1.2.3.4,output:2
         table=1,in_port=2,udp actions=output:1",
    );
    for _ in 0..3 {
        sw.inject(1, ASK);
        sw.inject(2, ANSWER);
    }
    for _ in 0..4 {
        sw.inject(1, &format!("{ASK} ttl=9"));
        sw.inject(1, &format!("{ASK} ttl=1"));
    }
    sw.assert_state("ct: replied=1; drops: none");
}

#[test]
fn a_fork_with_a_later_output_is_remembered_if_it_can_be_said() {
    let mut sw = switch(
        "in_port=1,udp actions=output:3,ct(commit,table=1)
         table=1,udp actions=dec_ttl,mod_nw_dst:1.2.3.4,output:2,output:4",
    );
    remember(&mut sw, 1, ASK);
    sw.sent_anywhere();
    assert!(is_hit(&mut sw, 1, ASK));
    let there = "udp 10.0.0.5:4000 > 1.2.3.4:53 ttl=63 len=9";
    assert_eq!(
        sw.sent_anywhere(),
        [
            format!("2: {there}"),
            format!("3: {ASK}"),
            format!("4: {there}")
        ]
    );
    sw.assert_state("ct: new=1; drops: none");
}

#[test]
fn a_checksum_of_zero_stays_zero() {
    let mut sw = switch("udp actions=mod_nw_src:1.2.3.4,mod_tp_dst:9,output:2");
    remember(&mut sw, 1, ASK);
    sw.sent(2);
    for (packet, sent) in [
        (ASK, "udp 1.2.3.4:4000 > 192.0.2.9:9 len=9"),
        (
            "udp 10.0.0.5:4000 > 192.0.2.9:53 no-csum len=9",
            "udp 1.2.3.4:4000 > 192.0.2.9:9 no-csum len=9",
        ),
        (
            "udp 10.0.0.5:4000 > 192.0.2.9:53 bad-csum len=9",
            "udp 1.2.3.4:4000 > 192.0.2.9:9 bad-csum len=9",
        ),
    ] {
        assert!(is_hit(&mut sw, 1, packet));
        assert_eq!(
            sw.sent(2),
            [reordered(&format!("2: {sent}"))[3..].to_owned()]
        );
    }
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_checksum_never_becomes_zero() {
    // One payload of 65,536 makes the sum of the packet that goes out zero.
    let mut sw = switch("udp actions=mod_nw_src:1.2.3.4,mod_tp_dst:9,output:2");
    let mut zeros = 0;
    for data in 0..=0xffff_u32 {
        let mut frame =
            weir_packet::text::frame("udp 10.0.0.5:4000 > 192.0.2.9:53 no-csum data=0000");
        let bytes = weir_packet::Frame::head_mut(&mut frame);
        bytes[42..44].copy_from_slice(&(data as u16).to_be_bytes());
        let sum = udp_checksum(bytes);
        bytes[40..42].copy_from_slice(&sum.to_be_bytes());
        if data % 257 != 0 && outgoing_is_far_from_zero(sum) {
            continue;
        }
        sw.inject_frames(1, vec![frame]);
        for sent in sw.sent_frames(2) {
            let sum = u16::from_be_bytes([sent.bytes()[40], sent.bytes()[41]]);
            assert_ne!(sum, 0);
            zeros += u32::from(sum == 0xffff);
        }
    }
    assert!(zeros > 0);
    sw.assert_state("ct: none; drops: none");
}

/// RFC 768: over the pseudo header and the datagram; all ones instead of zero.
fn udp_checksum(frame: &[u8]) -> u16 {
    let words = |bytes: &[u8]| -> u32 {
        let pairs = bytes.chunks(2);
        pairs
            .map(|pair| u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)])))
            .sum()
    };
    let size = frame.len() - 34;
    let mut sum = words(&frame[26..]) - words(&frame[40..42]) + 17 + size as u32;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    match !(sum as u16) {
        0 => 0xffff,
        sum => sum,
    }
}

/// Whether the rewrite of the test above cannot lead from `sum` to zero.
fn outgoing_is_far_from_zero(sum: u16) -> bool {
    // The rewrite adds the same to every sum: 10.0.0.5 becomes 1.2.3.4, and 53 becomes 9.
    let words = |sum: u32| (sum & 0xffff) + (sum >> 16);
    let before = words(words(0x0a00 + 0x0005 + 53));
    let after = words(words(0x0102 + 0x0304 + 9));
    let outgoing = i64::from(sum) + i64::from(before) - i64::from(after);
    let outgoing = outgoing.rem_euclid(0xffff);
    outgoing.min(0xffff - outgoing) > 3
}

#[test]
fn tags_of_another_kind_are_not_taken_for_the_same() {
    for actions in [
        "output:2",
        "pop_vlan,output:2",
        "mod_vlan_vid:6,output:2",
        "pop_vlan,push_vlan:0x8100,set_field:4101->vlan_vid,output:2",
        "pop_vlan,push_vlan:0x8100,set_field:4102->vlan_vid,output:2",
        "pop_vlan,output:3,push_vlan:0x8100,set_field:4101->vlan_vid,output:2",
        "push_vlan:0x8100,output:2",
    ] {
        let [ctag, stag] = ["0x8100", "0x88a8"].map(|tpid| format!("vlan 5 tpid {tpid} {ASK}"));
        for [first, second] in [[&ctag, &stag], [&stag, &ctag]] {
            let mut sw = switch(&format!("dl_vlan=5 actions={actions}"));
            for _ in 0..3 {
                sw.inject(1, first);
            }
            for _ in 0..3 {
                sw.inject(1, second);
            }
            sw.inject(1, first);
            sw.state();
        }
    }
}

#[test]
fn what_was_written_behind_a_fork_is_not_left_on_what_follows_it() {
    for (ip, write) in [
        ("udp", "mod_nw_tos:32"),
        ("udp", "mod_nw_ecn:1"),
        ("udp", "mod_nw_ttl:7"),
        ("udp", "dec_ttl"),
        ("udp", "load:3->NXM_NX_IP_TTL[0..3]"),
        ("udp6", "set_field:0x5/0xf->ipv6_label"),
        ("udp6", "mod_nw_ttl:7"),
    ] {
        let mut sw = switch(&format!(
            "{ip} actions=ct(commit,table=1),output:4
             table=1,{ip} actions={write},output:2"
        ));
        let packet = |ttl: u8, tos: u8| match ip {
            "udp" => format!("udp 10.0.0.5:1 > 192.0.2.9:2 ttl={ttl} tos={tos}"),
            _ => format!("udp [::1]:1 > [::2]:2 ttl={ttl} tos={tos} label={tos}"),
        };
        for tos in [0x20, 0x20, 0x20, 0, 1, 0x43, 0x20] {
            for ttl in [64, 7, 9] {
                sw.inject(1, &packet(ttl, tos));
            }
        }
        sw.state();
    }
}
