//! What the dumps of compute hosts do without their supplements: the group that they send to is
//! needed to load them at all, and is all that is added here.

use weir_config::file::Config;
use weir_tests::switch::{Switch, example};

use super::vpc::*;

/// The example without the flows of its supplement.
fn alone(name: &str) -> Config {
    let mut config = example(name);
    config.bridge.flows.truncate(1);
    config
}

#[test]
fn without_its_group_a_dump_is_refused() {
    for (name, line) in [("vpc-compute1", 33), ("vpc-compute2", 28)] {
        let mut config = alone(name);
        config.bridge.groups.clear();
        let Err(errors) = Switch::of_config(&config) else {
            panic!("{name} has no group 1");
        };
        let error = errors[0].to_string();
        assert!(error.contains(&format!("{name}.flows:{line}:")), "{error}");
        assert!(error.contains("there is no group 1"), "{error}");
    }
}

/// Whatever a VM sends, its port is unknown.
#[test]
fn vms_are_not_served() {
    for (name, vm, far) in [("vpc-compute1", VM1, VM2), ("vpc-compute2", VM2, VM1)] {
        let mut host = Host::new(Switch::of_config(&alone(name)).expect("it loads"), "");
        for line in [
            vm.asks(far.ip),
            format!(
                "eth {} > ff:ff:ff:ff:ff:ff udp 0.0.0.0:68 > 255.255.255.255:67",
                vm.mac
            ),
            vm.sends(&GATEWAY, &format!("tcp {}:1 > {META_IP}:80 S", vm.ip)),
            vm.sends(&far, &format!("tcp {}:1 > {}:80 S", vm.ip, far.ip)),
            vm.sends(
                &far,
                &format!("icmp {} > {} echo-request id=1 seq=1", vm.ip, far.ip),
            ),
        ] {
            assert_eq!(
                host.passed(|host| host.vm_sends(&vm, &line)),
                [0; 0],
                "{line}"
            );
        }
        assert_eq!(host.sw.packet_ins(), [""; 0]);
        host.sw.assert_state("ct: none; drops: table_miss=5");
    }
}

#[test]
fn the_metadata_service_is_not_heard() {
    for (name, vm) in [("vpc-compute1", VM1), ("vpc-compute2", VM2)] {
        let mut host = Host::new(Switch::of_config(&alone(name)).expect("it loads"), "");
        let answer = format!("tcp {META_IP}:8848 > 128.0.0.{}:40000 SA", vm.port);
        let tables = host.passed(|host| host.sw.inject(META, &answer));
        assert_eq!(tables, [0], "and nothing in table 37");
        host.sw.assert_state("ct: none; drops: table_miss=1");
    }
}

/// What comes out of tunnels reaches no VM, and no router; host 1 sends what is for VM 2 on.
#[test]
fn what_comes_out_of_tunnels_ends_in_table_40_or_50() {
    for (name, ip, vm) in [
        ("vpc-compute1", COMPUTE1.ip, VM1),
        ("vpc-compute2", COMPUTE2.ip, VM2),
    ] {
        let mut host = Host::new(Switch::of_config(&alone(name)).expect("it loads"), ip);
        host.meet(2, &ROUTER1);
        let packet = |to: &Vm| {
            let ask = format!("icmp 172.16.1.9 > {} echo-request id=1 seq=1", to.ip);
            GATEWAY.sends(to, &ask)
        };
        let to_vm = host.passed(|host| host.tunnel_brings(&ROUTER1, &packet(&vm)));
        assert_eq!(to_vm, [0], "table 40 does not know its own VM");
        let to_gateway = host.passed(|host| host.tunnel_brings(&ROUTER1, &packet(&GATEWAY)));
        assert_eq!(to_gateway, [0, 40], "table 50 is empty");
        let other_network = host.outer(&ROUTER1, 2, &packet(&vm));
        host.sw.inject_frames(UPLINK, vec![other_network]);
        host.assert_nothing();
        host.sw
            .assert_state("ct: none; drops: table_miss=3 tunnel_no_neighbour=1 neighbour_answer=1");
    }
}

#[test]
fn host_1_sends_on_what_is_for_the_other_host() {
    let config = alone("vpc-compute1");
    let mut host = Host::new(Switch::of_config(&config).expect("it loads"), COMPUTE1.ip);
    host.meet(5, &COMPUTE2);
    host.meet(2, &ROUTER1);
    let ask = format!("icmp 172.16.1.9 > {} echo-request id=1 seq=1", VM2.ip);
    let ask = GATEWAY.sends(&VM2, &ask);
    let tables = host.passed(|host| host.tunnel_brings(&ROUTER1, &ask));
    assert_eq!(tables, [0, 40, 60]);
    host.assert_to_tunnel(&COMPUTE2, &ask);
    // But not back to where it came from.
    host.tunnel_brings(&COMPUTE2, &ask);
    host.assert_nothing();
    host.sw.assert_state(
        "ct: none; drops: output_to_in_port=1 tunnel_no_neighbour=2 neighbour_answer=2",
    );
}
