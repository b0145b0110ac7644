//! `vpc-compute1`: a host with two VMs, and its supplement.

use weir_tests::traffic::{End, ping, tcp, udp};

use super::vpc::*;

/// Three packets were spent on meeting the neighbours.
const MET: &str = "tunnel_no_neighbour=3 neighbour_answer=3";

fn state(ct: &str, drops: &str) -> String {
    // Counters are printed in the order of the reasons.
    format!("ct: {ct}; drops: {drops} {MET}").replace("  ", " ")
}

#[test]
fn arp_is_answered_with_the_right_macs() {
    let mut host = Host::compute1();
    for (asker, asked) in [
        (VM1, VM2),
        (VM1, VM3),
        (VM1, GATEWAY),
        (VM3, VM1),
        (VM3, VM2),
        (VM3, GATEWAY),
        // Whether somebody else has its address.
        (VM1, VM1),
    ] {
        for _ in 0..2 {
            host.vm_sends(&asker, &asker.asks(asked.ip));
            host.assert_to_vm(&asker, &asked.answers(&asker));
        }
    }
    let tables = host.passed(|host| host.vm_sends(&VM1, &VM1.asks("172.16.1.77")));
    assert_eq!(tables, [0, 5, 20]);
    // Nobody speaks for another.
    for lie in [
        VM3.asks(VM2.ip),
        format!(
            "eth {} > ff:ff:ff:ff:ff:ff arp request {} > {}",
            VM1.mac, VM3.ip, VM2.ip
        ),
        format!("{} sha={}", VM1.asks(VM2.ip), VM3.mac),
    ] {
        assert_eq!(host.passed(|host| host.vm_sends(&VM1, &lie)), [0]);
    }
    // An answer is for nobody: the switch answers itself.
    host.vm_sends(&VM1, &VM1.answers(&VM2));
    host.assert_nothing();
    host.sw.assert_state(&state("none", "table_miss=5"));
}

#[test]
fn dhcp_goes_to_the_controller() {
    let mut host = Host::compute1();
    for vm in [VM1, VM3] {
        let discover = format!(
            "eth {} > ff:ff:ff:ff:ff:ff udp 0.0.0.0:68 > 255.255.255.255:67 len=300",
            vm.mac
        );
        host.vm_sends(&vm, &discover);
        let told = format!(
            "30 0x0 action 0 reg6={:#x},metadata=0x1,in_port={}: {discover}",
            vm.port, vm.port
        );
        assert_eq!(host.sw.packet_ins(), [told]);
        host.assert_nothing();
    }
    // Who asks for a lease with another's MAC address gets none.
    let stolen = format!(
        "eth {} > ff:ff:ff:ff:ff:ff udp 0.0.0.0:68 > 255.255.255.255:67",
        VM3.mac
    );
    host.vm_sends(&VM1, &stolen);
    assert_eq!(host.sw.packet_ins(), [""; 0]);
    host.sw.assert_state(&state("none", "table_miss=1"));
}

/// The controller hears of the SYN and lets it go on as table 36 sends what follows.
#[test]
fn a_metadata_request_is_rewritten_and_its_answer_too() {
    let mut host = Host::compute1();
    for vm in [VM1, VM3] {
        // The service tells VMs apart by an address that holds their port.
        let alias = format!("128.0.0.{}", vm.port);
        let client = format!("{}:40000", vm.ip);
        let served = tcp(&format!("{alias}:40000"), &format!("{META_IP}:8848"));
        let asked = tcp(&client, &format!("{META_IP}:80"));
        for ((end, asked), (_, served)) in asked.iter().zip(&served) {
            match end {
                End::Client => {
                    host.vm_sends(&vm, &vm.sends(&GATEWAY, asked));
                    let to_service = format!("eth {} > {META_MAC} {served}", vm.mac);
                    if asked.contains(" S ") {
                        let heard = to_service.replace(&alias, vm.ip);
                        let port = vm.port;
                        let told = format!(
                            "36 0x0 action 0 reg6={port:#x},metadata=0x1,in_port={port}: {heard}"
                        );
                        assert_eq!(host.sw.packet_ins(), [told]);
                        let order = format!(
                            "in_port={port},actions=set_field:{alias}->ip_src,output:{META}"
                        );
                        host.sw.packet_out(&order, &heard);
                    }
                    host.assert_to_port(META, &to_service);
                }
                End::Server => {
                    host.sw
                        .inject(META, &format!("eth {META_MAC} > {} {served}", GATEWAY.mac));
                    host.assert_to_vm(&vm, &GATEWAY.sends(&vm, asked));
                }
            }
        }
    }
    // The service opens nothing and speaks to nobody else.
    for line in [
        format!("tcp {META_IP}:8849 > 128.0.0.4:40000 S"),
        format!("tcp {META_IP}:8848 > 128.0.0.9:40000 SA"),
        "tcp 169.254.169.1:8848 > 128.0.0.4:40000 SA".to_owned(),
        format!("udp {META_IP}:8848 > 128.0.0.4:40000"),
    ] {
        let tables = host.passed(|host| host.sw.inject(META, &line));
        assert_eq!(tables, [0], "{line}");
    }
    // Requests to another port are no metadata requests: its security group lets them go.
    let other = VM1.sends(&GATEWAY, &format!("tcp {}:1 > {META_IP}:81 S", VM1.ip));
    host.vm_sends(&VM1, &other);
    host.sw
        .assert_state(&state("none", "table_miss=4 action_drop=1"));
}

#[test]
fn what_security_groups_allow_passes_through_tunnels_in_both_directions() {
    let mut host = Host::compute1();
    let ends = |client: &str, server: &str, port: u16| {
        (format!("{client}:40000"), format!("{server}:{port}"))
    };
    // Out, and the answers.
    let (client, server) = ends(VM1.ip, VM2.ip, 80);
    host.talk(&VM1, End::Client, &COMPUTE2, &VM2, &tcp(&client, &server));
    let (client, server) = ends(VM1.ip, VM2.ip, 53);
    host.talk(&VM1, End::Client, &COMPUTE2, &VM2, &udp(&client, &server));
    host.talk(&VM1, End::Client, &COMPUTE2, &VM2, &ping(VM1.ip, VM2.ip, 1));
    // In, and the answers.
    let (client, server) = ends(VM2.ip, VM1.ip, 80);
    host.talk(&VM1, End::Server, &COMPUTE2, &VM2, &tcp(&client, &server));
    host.talk(&VM1, End::Server, &COMPUTE2, &VM2, &ping(VM2.ip, VM1.ip, 2));
    let [rx, _, tx, _] = host.sw.tunnel_counts(5);
    // Of each connection, what its client says goes one way, the answers the other.
    assert_eq!((tx, rx), (6 + 2 + 3 + 4 + 3, 4 + 2 + 3 + 6 + 3));
    host.sw.assert_state(&state("replied=5", ""));
}

#[test]
fn what_security_groups_refuse_is_dropped_in_both_directions() {
    let mut host = Host::compute1();
    let [own, far] = [VM1.ip, VM2.ip];
    // Table 15: who sends.
    for line in [
        format!("tcp {own}:40000 > {far}:22 S"),
        format!("udp {own}:40000 > {far}:123"),
        format!("icmp {own} > 192.0.2.9 echo-request id=1 seq=1"),
    ] {
        let tables = host.passed(|host| host.vm_sends(&VM1, &VM1.sends(&VM2, &line)));
        assert_eq!(tables, [0, 5, 10, 15], "{line}");
    }
    // Table 55: who receives.
    for line in [
        format!("tcp {far}:40000 > {own}:22 S"),
        format!("udp {far}:40000 > {own}:53"),
        format!("tcp 192.0.2.9:40000 > {own}:80 S"),
        format!("icmp 192.0.2.9 > {own} echo-request id=1 seq=1"),
    ] {
        let packet = GATEWAY.sends(&VM1, &line);
        let tables = host.passed(|host| host.tunnel_brings(&ROUTER1, &packet));
        assert_eq!(tables, [0, 40, 50, 55], "{line}");
    }
    // Table 5: with another's address.
    let spoofed = VM1.sends(&VM2, &format!("tcp {}:1 > {far}:80 S", VM3.ip));
    assert_eq!(host.passed(|host| host.vm_sends(&VM1, &spoofed)), [0]);
    // IPv6 is nobody's.
    let v6 = VM1.sends(&VM2, "udp [fe80::1]:1 > [fe80::2]:53");
    assert_eq!(host.passed(|host| host.vm_sends(&VM1, &v6)), [0]);
    host.sw
        .assert_state(&state("none", "table_miss=2 action_drop=7"));
}

#[test]
fn errors_about_connections_are_related_and_pass() {
    let mut host = Host::compute1();
    // A router says that a name server does not answer.
    let ask = format!("udp {}:40000 > 192.0.2.9:53", VM1.ip);
    host.vm_sends(&VM1, &VM1.sends(&GATEWAY, &ask));
    let sent = host.sw.sent_frames(UPLINK);
    let router = if sent[0].bytes()[33] == 4 {
        ROUTER1
    } else {
        ROUTER2
    };
    let error = format!("icmp 10.9.9.9 > {} unreachable code=3 {{ {ask} }}", VM1.ip);
    let error = GATEWAY.sends(&VM1, &error);
    host.tunnel_brings(&router, &error);
    host.assert_to_vm(&VM1, &error);
    // The VM says that of an answer that it does not wait for any more.
    let answer = format!("udp 192.0.2.9:53 > {}:40000", VM1.ip);
    host.tunnel_brings(&router, &GATEWAY.sends(&VM1, &answer));
    host.assert_to_vm(&VM1, &GATEWAY.sends(&VM1, &answer));
    let error = format!(
        "icmp {} > 192.0.2.9 unreachable code=3 {{ {answer} }}",
        VM1.ip
    );
    host.vm_sends(&VM1, &VM1.sends(&GATEWAY, &error));
    let sent = host.sw.sent(UPLINK);
    assert_eq!(sent.len(), 1);
    // An error about no connection is invalid, and so is one that somebody else sends.
    let error = format!(
        "icmp 10.9.9.9 > {} unreachable code=3 {{ udp {}:40001 > 192.0.2.9:53 }}",
        VM1.ip, VM1.ip
    );
    host.tunnel_brings(&router, &GATEWAY.sends(&VM1, &error));
    let error = format!("icmp {} > 192.0.2.9 unreachable code=3 {{ {ask} }}", VM3.ip);
    host.vm_sends(&VM3, &VM3.sends(&GATEWAY, &error));
    host.assert_nothing();
    host.sw.assert_state(&state(
        "replied=1 invalid_icmp_quote=1 invalid_icmp_unrelated=1",
        "action_drop=2",
    ));
}

#[test]
fn invalid_packets_are_dropped() {
    let mut host = Host::compute1();
    let lines = tcp(&format!("{}:40000", VM1.ip), &format!("{}:80", VM2.ip));
    host.talk(&VM1, End::Client, &COMPUTE2, &VM2, &lines[..6]);
    for (line, tables) in [
        // Flags that contradict each other, port 0, a wrong checksum.
        (
            format!("tcp {}:40001 > {}:80 SF seq=1", VM1.ip, VM2.ip),
            [0, 5, 10, 15],
        ),
        (
            format!("tcp {}:0 > {}:80 S", VM1.ip, VM2.ip),
            [0, 5, 10, 15],
        ),
        (
            format!("tcp {}:40001 > {}:80 S bad-csum", VM1.ip, VM2.ip),
            [0, 5, 10, 15],
        ),
    ] {
        let packet = VM1.sends(&VM2, &line);
        assert_eq!(
            host.passed(|host| host.vm_sends(&VM1, &packet)),
            tables,
            "{line}"
        );
    }
    // A reset from far outside of the window.
    let reset = format!("tcp {}:80 > {}:40000 R seq=3000000000", VM2.ip, VM1.ip);
    let packet = VM2.sends(&VM1, &reset);
    let tables = host.passed(|host| host.tunnel_brings(&COMPUTE2, &packet));
    assert_eq!(tables, [0, 40, 50, 55]);
    host.assert_nothing();
    // The connection lives.
    host.talk(&VM1, End::Client, &COMPUTE2, &VM2, &lines[6..]);
    host.sw.assert_state(&state(
        "replied=1 invalid_l4_checksum=1 invalid_port_zero=1 invalid_tcp_flags=1 \
         invalid_tcp_reset=1",
        "action_drop=4",
    ));
}

#[test]
fn connections_are_spread_over_both_routers_and_stay() {
    let mut host = Host::compute1();
    host.spreads_connections_over_the_routers(&VM1);
    host.sw.assert_state(&state("new=10000", ""));
}

/// Both security groups, one connection: it is committed twice and is one.
#[test]
fn vms_of_one_host_pass_both_security_groups() {
    let mut host = Host::compute1();
    let lines = tcp(&format!("{}:40000", VM1.ip), &format!("{}:80", VM3.ip));
    for (end, line) in &lines {
        let (from, to) = match end {
            End::Client => (VM1, VM3),
            End::Server => (VM3, VM1),
        };
        let tables = host.passed(|host| host.vm_sends(&from, &from.sends(&to, line)));
        host.assert_to_vm(&to, &from.sends(&to, line));
        assert_eq!(tables, [0, 5, 10, 15, 20, 40, 50, 55, 60]);
    }
    // Who sends may ask any name server; who receives is none.
    let ask = VM1.sends(&VM3, &format!("udp {}:40000 > {}:53", VM1.ip, VM3.ip));
    let tables = host.passed(|host| host.vm_sends(&VM1, &ask));
    assert_eq!(tables, [0, 5, 10, 15, 20, 40, 50, 55]);
    host.assert_nothing();
    host.sw
        .assert_state(&state("new=1 replied=1", "action_drop=1"));
}

#[test]
fn only_tunnels_of_the_network_lead_here() {
    let mut host = Host::compute1();
    let ping = VM2.sends(
        &VM1,
        &format!("icmp {} > {} echo-request id=1 seq=1", VM2.ip, VM1.ip),
    );
    // Another network, another sender, nobody's MAC address.
    let other_network = host.outer(&COMPUTE2, 2, &ping);
    host.sw.inject_frames(UPLINK, vec![other_network]);
    let stranger = Peer {
        ip: "10.10.10.99",
        ..COMPUTE2
    };
    host.tunnel_brings(&stranger, &ping);
    let nobody = VM2.sends(
        &Vm {
            mac: "fa:16:3e:00:00:01",
            ..VM1
        },
        "udp 1.1.1.1:1 > 2.2.2.2:2",
    );
    host.tunnel_brings(&COMPUTE2, &nobody);
    // What is not for a tunnel is for nobody.
    host.sw.inject(UPLINK, "tcp 10.10.10.9:1 > 10.10.10.2:22 S");
    host.assert_nothing();
    host.sw.assert_state(&format!(
        "ct: none; drops: table_miss=3 tunnel_unknown=1 {MET}"
    ));
}
