//! NORMAL: learning, moving, ageing, flooding, VLANs of ports.

use weir_tests::switch::Switch;

const A: &str = "02:00:00:00:00:0a";
const B: &str = "02:00:00:00:00:0b";
const BROADCAST: &str = "ff:ff:ff:ff:ff:ff";

/// A packet from `src` to `dst`.
fn from_to(src: &str, dst: &str) -> String {
    format!("eth {src} > {dst} udp 10.0.0.1:1 > 10.0.0.2:2")
}

/// The ports at which packets left.
fn ports(sw: &mut Switch) -> String {
    let sent = sw.sent_anywhere();
    let port = |line: &String| line.split_once(':').map(|(port, _)| port.to_owned());
    sent.iter().filter_map(port).collect::<Vec<_>>().join(",")
}

#[test]
fn an_address_is_flooded_until_it_is_learned() {
    let mut sw = Switch::with_flows("actions=NORMAL");
    sw.inject(1, &from_to(A, B));
    assert_eq!(ports(&mut sw), "2,3,4");
    sw.inject(2, &from_to(B, A));
    assert_eq!(ports(&mut sw), "1");
    sw.inject(1, &from_to(A, B));
    assert_eq!(ports(&mut sw), "2");
    assert_eq!(sw.macs(), [format!("1 0 {A} 0"), format!("2 0 {B} 0")]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn groups_are_flooded_and_not_learned() {
    let mut sw = Switch::with_flows("actions=NORMAL");
    sw.inject(1, &from_to(A, BROADCAST));
    assert_eq!(ports(&mut sw), "2,3,4");
    sw.inject(2, &from_to("33:33:00:00:00:01", A));
    assert_eq!(ports(&mut sw), "1");
    sw.inject(3, &from_to(B, "33:33:00:00:00:01"));
    assert_eq!(ports(&mut sw), "1,2,4");
    assert_eq!(sw.macs(), [format!("1 0 {A} 0"), format!("3 0 {B} 0")]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn an_address_that_moves_is_found_at_its_new_port() {
    let mut sw = Switch::with_flows("actions=NORMAL");
    sw.inject(1, &from_to(A, BROADCAST));
    sw.inject(3, &from_to(A, BROADCAST));
    sw.inject(2, &from_to(B, A));
    // Two floods, and one packet to port 3 alone.
    assert_eq!(ports(&mut sw), "1,2,2,3,3,4,4");
    assert_eq!(sw.macs(), [format!("2 0 {B} 0"), format!("3 0 {A} 0")]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn an_address_ages_unless_it_is_seen() {
    let mut sw = Switch::with_flows("actions=NORMAL");
    sw.inject(1, &from_to(A, B));
    sw.inject(2, &from_to(B, A));
    sw.advance(200);
    sw.inject(1, &from_to(A, BROADCAST));
    sw.sent_anywhere();
    sw.advance(100);
    assert_eq!(sw.macs(), [format!("1 0 {A} 100"), format!("2 0 {B} 300")]);
    sw.inject(3, &from_to("02:00:00:00:00:0c", B));
    assert_eq!(ports(&mut sw), "2");
    sw.advance(1);
    sw.inject(3, &from_to("02:00:00:00:00:0c", B));
    assert_eq!(ports(&mut sw), "1,2,4");
    sw.inject(3, &from_to("02:00:00:00:00:0c", A));
    assert_eq!(ports(&mut sw), "1");
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_packet_to_its_own_side_is_dropped_by_name() {
    let mut sw = Switch::with_flows("actions=NORMAL");
    sw.inject(1, &from_to(A, BROADCAST));
    sw.sent_anywhere();
    sw.inject(1, &from_to(B, A));
    sw.assert_state("ct: none; drops: normal_no_port=1");
}

#[test]
fn the_only_port_has_nobody_to_flood_to() {
    let mut sw = Switch::builder().ports(1).flows("actions=NORMAL");
    sw.inject(1, &from_to(A, B));
    sw.assert_state("ct: none; drops: normal_no_port=1");
}

#[test]
fn reserved_groups_are_not_forwarded() {
    let mut sw = Switch::with_flows("actions=NORMAL");
    for last in ["00", "01", "0e", "0f"] {
        sw.inject(1, &from_to(A, &format!("01:80:c2:00:00:{last}")));
    }
    assert_eq!(sw.macs(), [""; 0]);
    sw.inject(1, &from_to(A, "01:80:c2:00:00:10"));
    assert_eq!(ports(&mut sw), "2,3,4");
    sw.assert_state("ct: none; drops: normal_reserved=4");
}

#[test]
fn the_rewritten_addresses_count() {
    let mut sw = Switch::with_flows(
        "in_port=1 actions=mod_dl_src:02:00:00:00:00:0c,NORMAL
         in_port=2 actions=mod_dl_dst:02:00:00:00:00:0c,NORMAL",
    );
    sw.inject(1, &from_to(A, B));
    assert_eq!(ports(&mut sw), "2,3,4");
    assert_eq!(sw.macs(), ["1 0 02:00:00:00:00:0c 0"]);
    sw.inject(2, &from_to(B, A));
    assert_eq!(
        sw.sent(1),
        ["eth 02:00:00:00:00:0b > 02:00:00:00:00:0c udp 10.0.0.1:1 > 10.0.0.2:2"]
    );
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn resubmit_with_a_port_does_not_change_where_normal_learns() {
    let mut sw = Switch::with_flows(
        "in_port=1 actions=resubmit(3,1)
         table=1,in_port=3 actions=NORMAL",
    );
    sw.inject(1, &from_to(A, B));
    assert_eq!(ports(&mut sw), "2,3,4");
    assert_eq!(sw.macs(), [format!("1 0 {A} 0")]);
    sw.assert_state("ct: none; drops: none");
}

/// Ports 1 and 2: access 10; 3: trunk for all; 4: trunk for 10 and 20; 5: access 20; 6: trunk
/// for 20 and untagged.
fn with_vlans() -> Switch {
    Switch::builder()
        .ports(6)
        .access(1, 10)
        .access(2, 10)
        .trunk(4, &[10, 20])
        .access(5, 20)
        .trunk(6, &[0, 20])
        .flows("actions=NORMAL")
}

#[test]
fn access_ports_untag_and_trunks_tag() {
    let mut sw = with_vlans();
    let plain = from_to(A, BROADCAST);
    sw.inject(1, &plain);
    let tagged = format!("eth {A} > {BROADCAST} vlan 10 udp 10.0.0.1:1 > 10.0.0.2:2");
    assert_eq!(
        sw.sent_anywhere(),
        [
            format!("2: {plain}"),
            format!("3: {tagged}"),
            format!("4: {tagged}")
        ]
    );
    assert_eq!(sw.macs(), [format!("1 10 {A} 0")]);

    sw.inject(3, &tagged.replace(A, B));
    let (plain, tagged) = (plain.replace(A, B), tagged.replace(A, B));
    assert_eq!(
        sw.sent_anywhere(),
        [
            format!("1: {plain}"),
            format!("2: {plain}"),
            format!("4: {tagged}")
        ]
    );
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_learned_address_is_tagged_as_its_port_wants_it() {
    let mut sw = with_vlans();
    sw.inject(
        4,
        &format!("eth {A} > {BROADCAST} vlan 20 pcp 5 udp 10.0.0.1:1 > 10.0.0.2:2"),
    );
    sw.sent_anywhere();
    sw.inject(5, &from_to(B, A));
    assert_eq!(
        sw.sent(4),
        [format!("eth {B} > {A} vlan 20 udp 10.0.0.1:1 > 10.0.0.2:2")]
    );
    sw.inject(
        4,
        &format!("eth {A} > {B} vlan 20 pcp 5 udp 10.0.0.1:1 > 10.0.0.2:2"),
    );
    assert_eq!(sw.sent(5), [from_to(A, B)]);
    // The same addresses in another VLAN are others.
    sw.inject(1, &from_to(B, A));
    assert_eq!(ports(&mut sw), "2,3,4");
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_vlan_that_the_port_does_not_carry_is_dropped_by_name() {
    let mut sw = with_vlans();
    let in_vlan = |vlan| format!("vlan {vlan} udp 10.0.0.1:1 > 10.0.0.2:2");
    sw.inject(1, &in_vlan(10));
    sw.inject(1, &in_vlan(20));
    sw.inject(4, &in_vlan(30));
    sw.inject(4, "udp 10.0.0.1:1 > 10.0.0.2:2");
    sw.inject(6, &in_vlan(10));
    sw.assert_state("ct: none; drops: normal_vlan=5");
}

#[test]
fn a_priority_tag_is_no_vlan() {
    let mut sw = with_vlans();
    sw.inject(1, "vlan 0 pcp 5 udp 10.0.0.1:1 > 10.0.0.2:2");
    assert_eq!(
        sw.sent_anywhere(),
        [
            "2: udp 10.0.0.1:1 > 10.0.0.2:2",
            "3: vlan 10 pcp 5 udp 10.0.0.1:1 > 10.0.0.2:2",
            "4: vlan 10 pcp 5 udp 10.0.0.1:1 > 10.0.0.2:2",
        ]
    );
    sw.inject(6, "vlan 0 pcp 5 udp 10.0.0.1:1 > 10.0.0.2:2");
    assert_eq!(sw.sent_anywhere(), ["3: udp 10.0.0.1:1 > 10.0.0.2:2"]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn an_inner_tag_stays_where_it_is() {
    let mut sw = with_vlans();
    sw.inject(3, "vlan 10 pcp 2 vlan 77 udp 10.0.0.1:1 > 10.0.0.2:2");
    assert_eq!(
        sw.sent_anywhere(),
        [
            "1: vlan 77 udp 10.0.0.1:1 > 10.0.0.2:2",
            "2: vlan 77 udp 10.0.0.1:1 > 10.0.0.2:2",
            "4: vlan 10 pcp 2 vlan 77 udp 10.0.0.1:1 > 10.0.0.2:2",
        ]
    );
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn normal_leaves_the_packet_as_it_was_for_what_follows() {
    let mut sw = Switch::builder()
        .access(1, 10)
        .access(2, 10)
        .flows("ip,in_port=1 actions=output:4,NORMAL,mod_nw_dst:9.9.9.9,output:4");
    sw.inject(1, "udp 10.0.0.1:1 > 10.0.0.2:2");
    assert_eq!(
        sw.sent_anywhere(),
        [
            "2: udp 10.0.0.1:1 > 10.0.0.2:2",
            "3: vlan 10 udp 10.0.0.1:1 > 10.0.0.2:2",
            "4: udp 10.0.0.1:1 > 10.0.0.2:2",
            "4: vlan 10 udp 10.0.0.1:1 > 10.0.0.2:2",
            "4: udp 10.0.0.1:1 > 9.9.9.9:2",
        ]
    );
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn the_result_does_not_depend_on_the_secret() {
    let run = |secret| {
        let mut sw = Switch::builder().secret(secret).flows("actions=NORMAL");
        for host in 0..200 {
            let src = format!("02:00:00:00:01:{host:02x}");
            let dst = format!("02:00:00:00:01:{:02x}", host * 7 % 200);
            sw.inject(1 + host % 4, &from_to(&src, &dst));
        }
        sw.sent_anywhere()
    };
    assert_eq!(run(1), run(u64::MAX));
}
