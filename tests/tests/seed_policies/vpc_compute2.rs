//! `vpc-compute2`: a host with one VM, caught while its controller was still writing: it lacks
//! table 35, its tunnel to the other host and what leads there. The supplement has them.

use weir_tests::traffic::{End, ping, tcp};

use super::vpc::*;

const MET: &str = "tunnel_no_neighbour=3 neighbour_answer=3";

#[test]
fn arp_is_answered_with_the_right_macs() {
    let mut host = Host::compute2();
    for asked in [VM1, VM2, VM3, GATEWAY] {
        for _ in 0..2 {
            host.vm_sends(&VM2, &VM2.asks(asked.ip));
            host.assert_to_vm(&VM2, &asked.answers(&VM2));
        }
    }
    host.vm_sends(&VM2, &VM2.asks("172.16.1.77"));
    host.sw
        .assert_state(&format!("ct: none; drops: table_miss=1 {MET}"));
}

#[test]
fn dhcp_goes_to_the_controller() {
    let mut host = Host::compute2();
    let discover = format!(
        "eth {} > ff:ff:ff:ff:ff:ff udp 0.0.0.0:68 > 255.255.255.255:67 len=300",
        VM2.mac
    );
    host.vm_sends(&VM2, &discover);
    let told = format!("30 0x0 action 0 reg6=0x3,metadata=0x1,in_port=3: {discover}");
    assert_eq!(host.sw.packet_ins(), [told]);
    host.sw.assert_state(&format!("ct: none; drops: {MET}"));
}

#[test]
fn a_metadata_request_is_rewritten_and_its_answer_too() {
    let mut host = Host::compute2();
    let asked = tcp(&format!("{}:40000", VM2.ip), &format!("{META_IP}:80"));
    let served = tcp("128.0.0.3:40000", &format!("{META_IP}:8848"));
    for ((end, asked), (_, served)) in asked.iter().zip(&served) {
        if *end == End::Server {
            let answer = format!("eth {META_MAC} > {} {served}", GATEWAY.mac);
            host.sw.inject(META, &answer);
            host.assert_to_vm(&VM2, &GATEWAY.sends(&VM2, asked));
            continue;
        }
        host.vm_sends(&VM2, &VM2.sends(&GATEWAY, asked));
        let to_service = format!("eth {} > {META_MAC} {served}", VM2.mac);
        if asked.contains(" S ") {
            let heard = to_service.replace("128.0.0.3", VM2.ip);
            let told = format!("36 0x0 action 0 reg6=0x3,metadata=0x1,in_port=3: {heard}");
            assert_eq!(host.sw.packet_ins(), [told]);
            let order = format!("in_port=3,actions=set_field:128.0.0.3->ip_src,output:{META}");
            host.sw.packet_out(&order, &heard);
        }
        host.assert_to_port(META, &to_service);
    }
    host.sw.assert_state(&format!("ct: none; drops: {MET}"));
}

#[test]
fn security_groups_allow_and_refuse_in_both_directions() {
    let mut host = Host::compute2();
    let opens = tcp(&format!("{}:40000", VM2.ip), &format!("{}:80", VM1.ip));
    host.talk(&VM2, End::Client, &COMPUTE1, &VM1, &opens);
    let opened = tcp(&format!("{}:40000", VM3.ip), &format!("{}:80", VM2.ip));
    host.talk(&VM2, End::Server, &COMPUTE1, &VM3, &opened);
    host.talk(&VM2, End::Client, &COMPUTE1, &VM3, &ping(VM2.ip, VM3.ip, 7));
    host.talk(&VM2, End::Server, &COMPUTE1, &VM1, &ping(VM1.ip, VM2.ip, 8));

    let ssh = VM2.sends(&VM1, &format!("tcp {}:1 > {}:22 S", VM2.ip, VM1.ip));
    let tables = host.passed(|host| host.vm_sends(&VM2, &ssh));
    assert_eq!(tables, [0, 5, 10, 15]);
    let ssh = VM1.sends(&VM2, &format!("tcp {}:1 > {}:22 S", VM1.ip, VM2.ip));
    let tables = host.passed(|host| host.tunnel_brings(&COMPUTE1, &ssh));
    assert_eq!(tables, [0, 40, 50, 55]);
    let stranger = GATEWAY.sends(&VM2, &format!("tcp 192.0.2.9:1 > {}:80 S", VM2.ip));
    let tables = host.passed(|host| host.tunnel_brings(&ROUTER2, &stranger));
    assert_eq!(tables, [0, 40, 50, 55]);
    let invalid = format!("tcp {}:1 > {}:80 S bad-csum", VM1.ip, VM2.ip);
    let invalid = VM1.sends(&VM2, &invalid);
    host.tunnel_brings(&COMPUTE1, &invalid);
    host.assert_nothing();
    host.sw.assert_state(&format!(
        "ct: replied=4 invalid_l4_checksum=1; drops: action_drop=4 {MET}"
    ));
}

#[test]
fn errors_about_connections_are_related_and_pass() {
    let mut host = Host::compute2();
    let ask = format!("tcp {}:40000 > {}:80 S seq=1", VM2.ip, VM1.ip);
    host.vm_sends(&VM2, &VM2.sends(&VM1, &ask));
    host.assert_to_tunnel(&COMPUTE1, &VM2.sends(&VM1, &ask));
    let error = format!(
        "icmp {} > {} unreachable code=3 {{ {ask} }}",
        VM1.ip, VM2.ip
    );
    let error = VM1.sends(&VM2, &error);
    host.tunnel_brings(&COMPUTE1, &error);
    host.assert_to_vm(&VM2, &error);
    host.sw.assert_state(&format!("ct: new=1; drops: {MET}"));
}

#[test]
fn connections_are_spread_over_both_routers_and_stay() {
    let mut host = Host::compute2();
    host.spreads_connections_over_the_routers(&VM2);
    host.sw
        .assert_state(&format!("ct: new=10000; drops: {MET}"));
}
