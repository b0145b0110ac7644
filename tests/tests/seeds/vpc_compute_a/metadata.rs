//! The metadata service: machines ask 169.254.169.254, the service at port 6 hears them as
//! 128.0.0.0 plus their port, the controller hears of each connection first.

use weir_tests::hosts::{Sender, tcp};

use super::*;

/// The machine, its gateway, and as what the service knows it.
const CLIENTS: [(Machine, Machine, &str); 4] = [
    (VM3, GATEWAY, "128.0.0.3"),
    (VM4, GATEWAY, "128.0.0.4"),
    (VM5, GATEWAY_2, "128.0.0.5"),
    (VM9, GATEWAY, "128.0.0.9"),
];

#[test]
fn requests_and_answers_are_rewritten() {
    let mut sw = switch();
    for (vm, gateway, alias) in CLIENTS {
        let seen_by_vm = tcp(&format!("{}:40000", vm.ip), "169.254.169.254:80");
        let seen_by_service = tcp(&format!("{alias}:40000"), "169.254.169.254:8848");
        for ((sender, near), (_, far)) in seen_by_vm.iter().zip(&seen_by_service) {
            let to_service = vm.to(METADATA.mac, far);
            match sender {
                Sender::Client if near.contains(" S ") => {
                    sw.inject(vm.port, &vm.to(gateway.mac, near));
                    assert_eq!(sw.sent_anywhere(), [""; 0]);
                    // The controller hears from where, and gives it back.
                    let heard = near.replace("254:80 ", "254:8848 ");
                    let network = if vm.port == 5 { 2 } else { 1 };
                    assert_eq!(
                        sw.packet_ins(),
                        [format!(
                            "36 0x0 action 0 reg6={0:#x},metadata={network:#x},in_port={0}: {1}",
                            vm.port,
                            vm.to(METADATA.mac, &heard)
                        )]
                    );
                    let order = format!("actions=set_field:{alias}->ip_src,output:6");
                    sw.packet_out(&order, &vm.to(METADATA.mac, &heard));
                    assert_eq!(sw.sent_anywhere(), [format!("6: {to_service}")]);
                }
                Sender::Client => {
                    sw.inject(vm.port, &vm.to(gateway.mac, near));
                    assert_eq!(sw.sent_anywhere(), [format!("6: {to_service}")]);
                }
                Sender::Server => {
                    sw.inject(6, &METADATA.to("fa:16:3e:80:00:00", far));
                    assert_eq!(
                        sw.sent_anywhere(),
                        [format!("{}: {}", vm.port, gateway.to(vm.mac, near))]
                    );
                }
            }
        }
    }
    // It is no connection to the tracker.
    sw.assert_state("ct: none; drops: none");
}

/// Whatever a machine says that its address is, the service hears from which port it came.
#[test]
fn a_machine_cannot_ask_as_another() {
    let mut sw = switch();
    let packet = "tcp 172.19.29.5:40000 > 169.254.169.254:80 A seq=1 ack=1";
    sw.inject(4, &VM9.to(GATEWAY.mac, packet));
    let heard = "tcp 128.0.0.4:40000 > 169.254.169.254:8848 A seq=1 ack=1";
    assert_eq!(
        sw.sent_anywhere(),
        [format!("6: {}", VM9.to(METADATA.mac, heard))]
    );
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn the_service_finds_whom_it_answers() {
    let mut sw = switch();
    for (_, _, alias) in CLIENTS {
        sw.inject(6, &METADATA.who_has(alias));
        let answer = format!(
            "eth fa:16:3e:80:00:00 > {} arp reply {alias} > {}",
            METADATA.mac, METADATA.ip
        );
        assert_eq!(sw.sent_anywhere(), [format!("6: {answer}")]);
    }
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn nothing_else_gets_there_or_away() {
    let mut sw = switch();
    // Another port or protocol is a packet as any other, which no group allows.
    for packet in [
        "tcp 172.19.29.4:40000 > 169.254.169.254:8848 S",
        "udp 172.19.29.4:40000 > 169.254.169.254:80",
        "icmp 172.19.29.4 > 169.254.169.254 echo-request id=1 seq=1",
    ] {
        is_lost(&mut sw, 4, &VM4.to(GATEWAY.mac, packet));
    }
    // The service answers, and does not ask.
    for packet in [
        "tcp 169.254.169.254:8849 > 128.0.0.4:40000 S",
        "tcp 169.254.169.250:8848 > 128.0.0.4:40000 SA",
        "tcp 169.254.169.254:8848 > 128.0.0.6:40000 SA",
        "tcp 169.254.169.254:8848 > 172.19.29.4:40000 SA",
        "icmp 169.254.169.254 > 128.0.0.4 echo-request id=1 seq=1",
        "arp request 169.254.169.254 > 172.19.29.4",
    ] {
        is_lost(&mut sw, 6, &METADATA.to("fa:16:3e:80:00:00", packet));
    }
    sw.assert_state("ct: none; drops: table_miss=6 action_drop=3");
}
