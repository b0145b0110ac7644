//! End to end: the compute hosts of `examples/`, each started as it is, with machines at its TAPs.
//!
//! Needs what `namespaces.rs` needs, and is skipped as that is.

use std::net::SocketAddr;

use weir_tests::namespaces::{Lab, ip, play, text, weir_binary};

/// A machine: the name of its port and of its host, MAC and IP address.
#[derive(Clone, Copy)]
struct Machine(&'static str, &'static str, &'static str);

impl Machine {
    /// Its TAP becomes the machine's interface.
    fn arrive(self, lab: &Lab) {
        let Self(name, mac, address) = self;
        lab.place(name, name, mac, &format!("{address}/24"));
    }

    /// Who `address` is, as the machine was answered by the switch's tables alone.
    fn asks_for(self, lab: &Lab, address: &str, mac: &str) {
        // There need not be anybody to answer the ping.
        lab.at(self.0, &["ping", "-c", "1", "-W", "0.2", address]);
        let known = text(&lab.at(self.0, &["ip", "neigh", "show", address]));
        assert!(known.contains(mac), "{}: {known}\n{}", self.0, lab.log());
    }

    fn reaches(self, lab: &Lab, other: Self) {
        let pinged = lab.ping(self.0, other.2);
        assert!(pinged.status.success(), "{}\n{}", text(&pinged), lab.log());
    }

    fn at(self, port: u16) -> SocketAddr {
        SocketAddr::new(self.2.parse().expect("an address"), port)
    }

    /// `self` may open TCP connections to `other`'s port 80, and to no other.
    fn browses(self, lab: &Lab, server: (&Lab, Self)) {
        let (far, other) = server;
        for (port, expected) in [(80, "somebody answers"), (81, "nobody answers")] {
            let at = other.at(port);
            let _listening = far.play(other.0, &format!("listen {at}"));
            let knocked = lab.play(self.0, &format!("knock {at}")).told();
            assert!(knocked.contains(expected), "{at}: {knocked}\n{}", lab.log());
        }
    }
}

/// `show` has a line for each of these ports.
fn shows(lab: &Lab, ports: &[&str]) {
    let shown = lab.weir(&["show", "br0"]);
    for port in ports {
        assert!(
            shown.contains(&format!(" {port}: addr:")),
            "{port}: {shown}"
        );
    }
}

const VM1: Machine = Machine("vm1", "fa:16:3e:73:c9:74", "172.16.1.4");
const VM2: Machine = Machine("vm2", "fa:16:3e:5e:16:34", "172.16.1.3");
const VM3: Machine = Machine("vm3", "fa:16:3e:8a:06:16", "172.16.1.5");
/// Of the virtual network of hosts 1 and 2.
const GATEWAY: (&str, &str) = ("172.16.1.1", "fa:16:3e:97:64:ef");

#[test]
fn machines_of_compute_host_a() {
    let Some(binary) = weir_binary() else {
        return;
    };
    let lab = Lab::start_example(binary, "vpc-computeA", &["vm3", "vm4", "vm5"]);
    let ports = [
        "1(routers)",
        "2(peer)",
        "3(vm3)",
        "4(vm4)",
        "5(vm5)",
        "6(metadata)",
        "9(vm9)",
        "10(uplink)",
    ];
    shows(&lab, &ports);
    let vm3 = Machine("vm3", "fa:16:3e:a2:06:26", "172.19.29.3");
    let vm4 = Machine("vm4", "fa:16:3e:6c:e5:40", "172.19.29.4");
    // In the other network.
    let vm5 = Machine("vm5", "fa:16:3e:d3:af:d4", "10.100.10.3");
    for machine in [vm3, vm4, vm5] {
        machine.arrive(&lab);
    }
    vm3.asks_for(&lab, "172.19.29.1", "fa:16:3e:15:9a:ce");
    vm5.asks_for(&lab, "10.100.10.1", "fa:16:3e:12:78:6f");
    vm3.reaches(&lab, vm4);
    let connections = lab.weir(&["dump-conntrack", "zone=1"]);
    assert!(
        connections.contains("icmp,orig=(src=172.19.29.3,"),
        "{connections}"
    );
    // Machines may open nothing but ICMP.
    let at = vm4.at(80);
    let _listening = lab.play("vm4", &format!("listen {at}"));
    let knocked = lab.play("vm3", &format!("knock {at}")).told();
    assert!(knocked.contains("nobody answers"), "{knocked}");
    lab.stop(&[("vm3", "vm3"), ("vm4", "vm4"), ("vm5", "vm5")]);
}

/// Each host is a switch of its own; what machines of both send each other goes through VXLAN.
#[test]
fn machines_of_compute_hosts_1_and_2() {
    let Some(binary) = weir_binary() else {
        return;
    };
    let one = Lab::start_example(binary.clone(), "vpc-compute1", &["vm1", "vm3", "underlay"]);
    let two = Lab::start_example(binary, "vpc-compute2", &["vm2"]);
    let routers = ["2(router1)", "10(uplink)", "1(meta)"];
    shows(&one, &["3(router2)", "4(vm1)", "5(compute2)", "6(vm3)"]);
    shows(&two, &["4(router2)", "3(vm2)", "5(compute1)"]);
    for lab in [&one, &two] {
        shows(lab, &routers);
    }
    VM1.arrive(&one);
    VM3.arrive(&one);
    VM2.arrive(&two);
    VM1.asks_for(&one, GATEWAY.0, GATEWAY.1);
    VM2.asks_for(&two, GATEWAY.0, GATEWAY.1);

    VM1.reaches(&one, VM3);
    VM3.browses(&one, (&one, VM1));
    connect(&one, &two);
    VM2.reaches(&two, VM1);
    VM1.reaches(&one, VM2);
    VM2.browses(&two, (&one, VM1));
    let transfer = VM2.at(80);
    let receiver = two.play("vm2", &format!("receive {transfer} 5000000"));
    one.play("vm3", &format!("send {transfer} 5000000")).told();
    let received = receiver.told();
    assert!(received.contains("all of it"), "{received}");
    for (lab, address) in [(&one, "10.10.10.3"), (&two, "10.10.10.2")] {
        let next_hops = lab.weir(&["neigh-show"]);
        assert!(next_hops.contains(address), "{next_hops}");
    }
    one.stop(&[("vm1", "vm1"), ("vm3", "vm3")]);
    two.stop(&[("vm2", "vm2")]);
}

/// A network between both hosts: a bridge with both uplinks.
fn connect(one: &Lab, two: &Lab) {
    let underlay = one.name("underlay");
    ip(&["-n", &underlay, "link", "add", "bridge", "type", "bridge"]);
    for (lab, device) in [(one, "uplink1"), (two, "uplink2")] {
        let switch = lab.name("switch");
        ip(&[
            "-n", &switch, "link", "set", "uplink", "netns", &underlay, "name", device,
        ]);
        ip(&[
            "-n", &underlay, "link", "set", device, "master", "bridge", "up",
        ]);
    }
    ip(&["-n", &underlay, "link", "set", "bridge", "up"]);
}

/// What machines do in the tests above.
#[test]
#[ignore = "a part of the other tests, run by them"]
fn part() {
    play();
}
