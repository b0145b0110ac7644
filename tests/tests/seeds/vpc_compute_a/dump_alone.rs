//! What the dump does without the supplement in `examples/`, which tells what each line of it is
//! for.

use super::*;

/// The least with which the dump loads: a group that goes nowhere.
const NO_ROUTERS: &str = "group_id=10,type=select";

/// The dump with more flows.
fn dump_with(flows: &str) -> Switch {
    let sw = example().without_policy().switch();
    let mut sw = sw.expect("it loads");
    sw.change_groups(NO_ROUTERS).expect("a group");
    for flows in [&*example().dump(), flows] {
        sw.change_flows(flows).expect("flows");
    }
    sw
}

#[test]
fn it_is_refused_without_its_group() {
    let loaded = example().dump_alone().switch();
    let error = loaded.err().expect("it sends to a group")[0].to_string();
    assert!(error.contains("vpc-computeA.flows:105:"), "{error}");
    assert!(error.contains("there is no group 10"), "{error}");
}

#[test]
fn arp_and_dhcp_are_answered_all_the_same() {
    let mut sw = dump_with("");
    sw.inject(4, &VM4.who_has(GATEWAY.ip));
    assert_eq!(sw.sent_anywhere(), [format!("4: {}", GATEWAY.is_at(&VM4))]);
    sw.inject(5, &VM5.dhcp_discover());
    assert_eq!(sw.packet_ins().len(), 1);
    is_lost(&mut sw, 4, &VM9.who_has(GATEWAY.ip));
    sw.assert_state("ct: none; drops: table_miss=1");
}

/// Table 40 knows of one other network, and so loses everything.
#[test]
fn no_machine_reaches_another() {
    let mut sw = dump_with("");
    for (vm, frame) in [
        // A machine at the next port, one on another host, a gateway.
        (VM4, VM4.to(VM9.mac, &VM4.ping(VM9.ip, 1))),
        (VM5, VM5.to(REMOTE.mac, &VM5.ping(REMOTE.ip, 1))),
        (VM4, VM4.to(GATEWAY.mac, &VM4.ping(VM5.ip, 1))),
    ] {
        is_lost(&mut sw, vm.port, &frame);
    }
    // Nor does what comes out of a tunnel.
    let frame = REMOTE.to(VM5.mac, &REMOTE.ping(VM5.ip, 2));
    UNDERLAY.receive(&mut sw, &PEER, VNI, &frame);
    // The first three are connections by then: the groups let them out.
    sw.assert_state("ct: new=3; drops: table_miss=4");
}

#[test]
fn what_is_refused_is_refused_all_the_same() {
    let mut sw = dump_with("");
    is_lost(
        &mut sw,
        4,
        &VM4.to(VM9.mac, "udp 172.19.29.4:4000 > 172.19.29.5:53"),
    );
    is_lost(&mut sw, 4, &VM4.to(VM9.mac, &VM4.ping("192.0.2.1", 1)));
    let invalid = format!("{} bad-csum", VM4.ping(VM9.ip, 1));
    is_lost(&mut sw, 4, &VM4.to(VM9.mac, &invalid));
    let unknown = format!(
        "icmp 172.19.29.4 > 172.19.29.5 unreachable code=10 {{ {} }} cut=28",
        VM9.ping(VM4.ip, 8)
    );
    is_lost(&mut sw, 4, &VM4.to(VM9.mac, &unknown));
    sw.assert_state("ct: invalid_l4_checksum=1 invalid_icmp_unrelated=1; drops: action_drop=4");
}

/// A request reaches the metadata service; the answer stays in table 37.
#[test]
fn the_metadata_service_is_asked_in_vain() {
    let mut sw = dump_with("");
    let (request, heard) = (
        "tcp 172.19.29.4:40000 > 169.254.169.254:80",
        "tcp 128.0.0.4:40000 > 169.254.169.254:8848",
    );
    sw.inject(4, &VM4.to(GATEWAY.mac, &format!("{request} S seq=1")));
    assert_eq!(sw.packet_ins().len(), 1);
    sw.inject(4, &VM4.to(GATEWAY.mac, &format!("{request} A seq=2 ack=2")));
    let heard = VM4.to(METADATA.mac, &format!("{heard} A seq=2 ack=2"));
    assert_eq!(sw.sent_anywhere(), [format!("6: {heard}")]);
    let answer = "tcp 169.254.169.254:8848 > 128.0.0.4:40000 SA seq=1 ack=2";
    is_lost(&mut sw, 6, &METADATA.to("fa:16:3e:80:00:00", answer));
    is_lost(&mut sw, 6, &METADATA.who_has("128.0.0.4"));
    sw.assert_state("ct: none; drops: table_miss=2");
}

/// With a default in table 40 alone, machines reach each other, and gateways are missing.
#[test]
fn a_default_in_table_40_leaves_the_routers_to_be_named() {
    let mut sw = dump_with("table=40,priority=0 actions=goto_table:45");
    let request = VM4.to(VM9.mac, &VM4.ping(VM9.ip, 1));
    sw.inject(4, &request);
    assert_eq!(sw.sent_anywhere(), [format!("9: {request}")]);
    let request = VM5.to(REMOTE.mac, &VM5.ping(REMOTE.ip, 1));
    sw.inject(5, &request);
    assert_eq!(
        UNDERLAY.sent(&mut sw),
        [format!("10.10.10.7 10: {request}")]
    );
    is_lost(&mut sw, 4, &VM4.to(GATEWAY.mac, &VM4.ping(VM5.ip, 1)));
    sw.assert_state("ct: new=3; drops: no_bucket=1");
}
