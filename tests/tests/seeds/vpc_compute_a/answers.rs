//! What the switch says for others: ARP, and DHCP to the controller; and what it does not
//! believe.

use super::*;

#[test]
fn arp_is_answered_for_all_of_the_own_network() {
    let mut sw = switch();
    let first = [VM3, VM4, VM9, GATEWAY];
    let second = [VM5, REMOTE, GATEWAY_2];
    for network in [&first[..], &second] {
        let here = network
            .iter()
            .filter(|one| MACHINES.iter().any(|vm| vm.mac == one.mac));
        for asks in here {
            for asked in network {
                sw.inject(asks.port, &asks.who_has(asked.ip));
                // Its own address, too: whoever announces itself hears of itself.
                assert_eq!(
                    sw.sent_anywhere(),
                    [format!("{}: {}", asks.port, asked.is_at(asks))]
                );
            }
        }
    }
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn other_arp_goes_nowhere() {
    let mut sw = switch();
    for (port, packet) in [
        // Who is not there.
        (4, VM4.who_has("172.19.29.77")),
        // Who is in the other network.
        (4, VM4.who_has(VM5.ip)),
        (5, VM5.who_has(VM4.ip)),
        // An answer that nobody asked for.
        (4, VM4.is_at(&VM9)),
        // Somebody else's address, MAC address, both or port.
        (
            4,
            VM4.to("ff:ff:ff:ff:ff:ff", "arp request 172.19.29.5 > 172.19.29.1"),
        ),
        (4, VM9.who_has(GATEWAY.ip)),
        (4, format!("{} sha={}", VM4.who_has(GATEWAY.ip), VM9.mac)),
        (9, VM4.who_has(GATEWAY.ip)),
        // Before it has an address (RFC 5227 2.1).
        (
            4,
            VM4.to("ff:ff:ff:ff:ff:ff", "arp request 0.0.0.0 > 172.19.29.4"),
        ),
    ] {
        is_lost(&mut sw, port, &packet);
    }
    // No machine's, but from outside.
    let asks = REMOTE.who_has(VM5.ip);
    UNDERLAY.receive(&mut sw, &PEER, VNI, &asks);
    sw.assert_state("ct: none; drops: table_miss=10");
}

#[test]
fn dhcp_goes_to_the_controller_and_to_nobody_else() {
    let mut sw = switch();
    for vm in MACHINES {
        sw.inject(vm.port, &vm.dhcp_discover());
        let network = if vm.port == 5 { 2 } else { 1 };
        let port = vm.port;
        assert_eq!(
            sw.packet_ins(),
            [format!(
                "30 0x0 action 0 reg6={port:#x},metadata={network:#x},in_port={port}: {}",
                vm.dhcp_discover()
            )]
        );
        assert_eq!(sw.sent_anywhere(), [""; 0]);
    }
    // The controller answers for the server.
    let offer = format!(
        "eth fa:16:3e:f9:df:5d > {} udp 172.19.29.2:67 > 172.19.29.4:68 len=300",
        VM4.mac
    );
    sw.packet_out("in_port=CONTROLLER,actions=output:4", &offer);
    assert_eq!(sw.sent_anywhere(), [format!("4: {offer}")]);

    for (port, packet) in [
        // With another MAC address, or as a server.
        (4, VM9.dhcp_discover()),
        (
            4,
            VM4.to(
                "ff:ff:ff:ff:ff:ff",
                "udp 0.0.0.0:67 > 255.255.255.255:68 len=300",
            ),
        ),
    ] {
        is_lost(&mut sw, port, &packet);
    }
    // To the server alone it is a packet as any other, which no group allows.
    is_lost(
        &mut sw,
        4,
        &VM4.to(
            "fa:16:3e:f9:df:5d",
            "udp 172.19.29.4:68 > 172.19.29.2:67 len=300",
        ),
    );
    sw.assert_state("ct: none; drops: table_miss=2 action_drop=1");
}

#[test]
fn nobody_speaks_for_somebody_else() {
    let mut sw = switch();
    for (port, packet) in [
        // Another address, MAC address or port.
        (4, VM4.to(VM9.mac, &VM3.ping(VM9.ip, 1))),
        (4, VM3.to(VM9.mac, &VM4.ping(VM9.ip, 1))),
        (3, VM4.to(VM9.mac, &VM4.ping(VM9.ip, 1))),
        (5, VM5.to(GATEWAY_2.mac, &VM4.ping(REMOTE.ip, 1))),
        // No IPv6, no Neighbour Discovery, nothing else.
        (
            4,
            VM4.to(VM9.mac, "icmp6 fe80::1 > fe80::2 echo-request id=1 seq=1"),
        ),
        (
            4,
            VM4.to(
                "33:33:ff:00:00:02",
                "icmp6 fe80::1 > ff02::1:ff00:2 neighbor-solicit target=fe80::2",
            ),
        ),
        (4, VM4.to("01:80:c2:00:00:0e", "ether type=0x88cc len=46")),
        // A port that has no machine.
        (10, VM4.to(VM9.mac, &VM4.ping(VM9.ip, 1))),
    ] {
        is_lost(&mut sw, port, &packet);
    }
    sw.assert_state("ct: none; drops: table_miss=8");
}

#[test]
fn probes_of_the_controller_go_back_to_it() {
    let mut sw = switch();
    let probe = "eth 77:66:55:44:33:22 > 22:33:44:55:66:77 ether type=0x88cd len=46";
    for port in [4, 10] {
        sw.inject(port, probe);
        assert_eq!(
            sw.packet_ins(),
            [format!("0 0x0 action 0 in_port={port}: {probe}")]
        );
    }
    sw.assert_state("ct: none; drops: none");
}
