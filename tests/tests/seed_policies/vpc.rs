//! Two compute hosts of one virtual network, 172.16.1.0/24, and who is around them.
//!
//! The tables of a host, as its controller writes them: 0 says where a packet comes from
//! (metadata: the subnet; reg6: the VM), 5 lets a VM speak with its own addresses only, 10 and 15
//! are the security group of who sends, 20 divides into ARP (25), DHCP (30), metadata requests
//! (35, 36) and the rest; 40 says where a packet goes (reg7: the port; tun_id: the network), 50
//! and 55 are the security group of who receives, 60 sends. 37 is the metadata service's answer.
//!
//! ```text
//! VM 1 172.16.1.4 --4 compute1       compute2 3-- VM 2 172.16.1.3
//! VM 3 172.16.1.5 --6    |  10.10.10.0/24 |
//!          metadata --1  +-------+--------+  1-- metadata
//!                            routers .4, .5
//! ```

use std::collections::BTreeMap;

use weir_packet::{VecFrame, text};
use weir_tests::switch::Switch;
use weir_tests::traffic::End;
use weir_tests::underlay::{source_port, vxlan, wrapped};

/// The port that the tunnels ride on.
pub(crate) const UPLINK: u32 = 10;
/// The metadata service's port, its address and its MAC address.
pub(crate) const META: u32 = 1;
pub(crate) const META_IP: &str = "169.254.169.254";
pub(crate) const META_MAC: &str = "fa:16:3e:25:fd:7e";

/// Who has a MAC address and an IP address in the virtual network.
#[derive(Clone, Copy)]
pub(crate) struct Vm {
    /// Its port; 0 for the gateway, which has none.
    pub(crate) port: u32,
    pub(crate) ip: &'static str,
    pub(crate) mac: &'static str,
}

pub(crate) const VM1: Vm = Vm {
    port: 4,
    ip: "172.16.1.4",
    mac: "fa:16:3e:73:c9:74",
};
pub(crate) const VM2: Vm = Vm {
    port: 3,
    ip: "172.16.1.3",
    mac: "fa:16:3e:5e:16:34",
};
pub(crate) const VM3: Vm = Vm {
    port: 6,
    ip: "172.16.1.5",
    mac: "fa:16:3e:8a:06:16",
};
pub(crate) const GATEWAY: Vm = Vm {
    port: 0,
    ip: "172.16.1.1",
    mac: "fa:16:3e:97:64:ef",
};

impl Vm {
    /// What it sends to `to`: `packet`, from its IP header on.
    pub(crate) fn sends(&self, to: &Self, packet: &str) -> String {
        format!("eth {} > {} {packet}", self.mac, to.mac)
    }

    /// Its question who has an address.
    pub(crate) fn asks(&self, ip: &str) -> String {
        format!(
            "eth {} > ff:ff:ff:ff:ff:ff arp request {} > {ip}",
            self.mac, self.ip
        )
    }

    /// The answer to that: this one has it.
    pub(crate) fn answers(&self, to: &Self) -> String {
        format!(
            "eth {} > {} arp reply {} > {}",
            self.mac, to.mac, self.ip, to.ip
        )
    }
}

/// Another end of tunnels.
#[derive(Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) ip: &'static str,
    pub(crate) mac: &'static str,
}

pub(crate) const ROUTER1: Peer = Peer {
    ip: "10.10.10.4",
    mac: "02:00:00:00:10:04",
};
pub(crate) const ROUTER2: Peer = Peer {
    ip: "10.10.10.5",
    mac: "02:00:00:00:10:05",
};
pub(crate) const COMPUTE1: Peer = Peer {
    ip: "10.10.10.2",
    mac: "02:00:00:00:10:02",
};
pub(crate) const COMPUTE2: Peer = Peer {
    ip: "10.10.10.3",
    mac: "02:00:00:00:10:03",
};

/// A switch as one of the hosts.
pub(crate) struct Host {
    pub(crate) sw: Switch,
    /// Its address on the underlay.
    pub(crate) ip: &'static str,
    /// The MAC address of its uplink.
    pub(crate) mac: String,
}

impl Host {
    /// Host 1 with its neighbours known: three packets were spent on that.
    pub(crate) fn compute1() -> Self {
        let mut host = Self::new(Switch::of_example("vpc-compute1"), COMPUTE1.ip);
        for (tunnel, peer) in [(2, ROUTER1), (3, ROUTER2), (5, COMPUTE2)] {
            host.meet(tunnel, &peer);
        }
        host
    }

    /// Host 2, likewise.
    pub(crate) fn compute2() -> Self {
        let mut host = Self::new(Switch::of_example("vpc-compute2"), COMPUTE2.ip);
        for (tunnel, peer) in [(2, ROUTER1), (4, ROUTER2), (5, COMPUTE1)] {
            host.meet(tunnel, &peer);
        }
        host
    }

    pub(crate) fn new(sw: Switch, ip: &'static str) -> Self {
        Self {
            sw,
            ip,
            mac: String::new(),
        }
    }

    /// A packet for `tunnel`'s other end makes the switch ask for it, and it answers.
    pub(crate) fn meet(&mut self, tunnel: u32, peer: &Peer) {
        let order = format!("in_port=CONTROLLER,actions=output:{tunnel}");
        self.sw.packet_out(&order, "ether type=0x88cc len=46");
        let asks = self.sw.sent(UPLINK);
        let [ask] = &asks[..] else {
            panic!("one question: {asks:?}");
        };
        let own = ask.split(' ').nth(1).expect("eth SRC > DST");
        assert_eq!(
            *ask,
            format!(
                "eth {own} > ff:ff:ff:ff:ff:ff arp request {} > {}",
                self.ip, peer.ip
            )
        );
        own.clone_into(&mut self.mac);
        self.sw.inject(
            UPLINK,
            &format!(
                "eth {} > {own} arp reply {} > {}",
                peer.mac, peer.ip, self.ip
            ),
        );
    }

    /// `packet` comes in at the port of `vm`.
    #[track_caller]
    pub(crate) fn vm_sends(&mut self, vm: &Vm, packet: &str) {
        self.sw.inject(vm.port, packet);
    }

    /// The frame in which `peer` sends `inner` here, in network `vni`.
    pub(crate) fn outer(&self, peer: &Peer, vni: u32, inner: &str) -> VecFrame {
        let (own, ip) = (&self.mac, self.ip);
        let outer = format!(
            "eth {} > {own} udp {}:5555 > {ip}:4789 no-csum",
            peer.mac, peer.ip
        );
        wrapped(&outer, &vxlan(vni), inner)
    }

    /// `inner` comes out of the tunnel from `peer`, in network 1.
    #[track_caller]
    pub(crate) fn tunnel_brings(&mut self, peer: &Peer, inner: &str) {
        let frame = self.outer(peer, 1, inner);
        self.sw.inject_frames(UPLINK, vec![frame]);
    }

    /// What was sent is `inner`, to the VM, byte by byte, and nothing else.
    #[track_caller]
    pub(crate) fn assert_to_vm(&mut self, vm: &Vm, inner: &str) {
        self.assert_to_port(vm.port, inner);
    }

    /// As [`Self::assert_to_vm`], to a port.
    #[track_caller]
    pub(crate) fn assert_to_port(&mut self, port: u32, inner: &str) {
        let sent = self.sw.sent_frames(port);
        assert_eq!(described(&sent), described(&[text::frame(inner)]));
        self.assert_nothing();
    }

    /// What was sent is `inner`, through the tunnel to `peer` with id 1, byte by byte, and
    /// nothing else.
    #[track_caller]
    pub(crate) fn assert_to_tunnel(&mut self, peer: &Peer, inner: &str) {
        let sent = self.sw.sent_frames(UPLINK);
        let [frame] = &sent[..] else {
            panic!("one frame: {:?}, not\n{inner}", described(&sent));
        };
        let outer = format!(
            "eth {} > {} udp {}:{} > {}:4789 df no-csum",
            self.mac,
            peer.mac,
            self.ip,
            source_port(frame),
            peer.ip
        );
        assert_eq!(
            described(&sent),
            described(&[wrapped(&outer, &vxlan(1), inner)])
        );
        self.assert_nothing();
    }

    /// Nothing was sent.
    #[track_caller]
    pub(crate) fn assert_nothing(&mut self) {
        assert_eq!(self.sw.sent_anywhere(), [""; 0]);
    }

    /// A conversation between a VM here and somebody behind `peer`, all of which passes.
    #[track_caller]
    pub(crate) fn talk(
        &mut self,
        vm: &Vm,
        opens: End,
        peer: &Peer,
        far: &Vm,
        lines: &[(End, String)],
    ) {
        for (end, line) in lines {
            if *end == opens {
                let packet = vm.sends(far, line);
                self.vm_sends(vm, &packet);
                self.assert_to_tunnel(peer, &packet);
            } else {
                let packet = far.sends(vm, line);
                self.tunnel_brings(peer, &packet);
                self.assert_to_vm(vm, &packet);
            }
        }
    }

    /// The tables in which a rule counted a packet while `act` ran, in order, each once.
    pub(crate) fn passed(&mut self, act: impl FnOnce(&mut Self)) -> Vec<u8> {
        let before = packets(&self.sw.flows());
        act(self);
        let after = packets(&self.sw.flows());
        let mut tables: Vec<u8> = before
            .iter()
            .zip(&after)
            .filter(|(before, after)| before != after)
            .map(|(_, (table, _))| *table)
            .collect();
        tables.sort_unstable();
        tables.dedup();
        tables
    }
}

/// Table and packets of each line of a dump.
fn packets(flows: &[String]) -> Vec<(u8, u64)> {
    let value = |line: &str, key: &str| -> Option<u64> {
        let rest = &line[line.find(key)? + key.len()..];
        rest[..rest.find(',')?].parse().ok()
    };
    flows
        .iter()
        .map(|line| {
            let table = value(line, "table=").unwrap_or(0);
            let packets = value(line, "n_packets=").expect("each line counts");
            (u8::try_from(table).expect("a table"), packets)
        })
        .collect()
}

/// Frames as lines, which say all of them and read better than bytes.
fn described(frames: &[VecFrame]) -> Vec<String> {
    let line = |frame: &VecFrame| text::describe(frame.bytes());
    frames.iter().map(line).collect()
}

impl Host {
    /// 10,000 connections of `vm` to the gateway, half of them to each router, each to one.
    pub(crate) fn spreads_connections_over_the_routers(&mut self, vm: &Vm) {
        const CONNECTIONS: u16 = 10_000;
        let mut chosen: BTreeMap<u16, u8> = BTreeMap::new();
        for round in 0..2 {
            let ports: Vec<u16> = (20_000..20_000 + CONNECTIONS).collect();
            for ports in ports.chunks(250) {
                let packet = |port: &u16| {
                    let line = format!("udp {}:{port} > 192.0.2.9:53 len=20", vm.ip);
                    text::frame(&vm.sends(&GATEWAY, &line))
                };
                self.sw
                    .inject_frames(vm.port, ports.iter().map(packet).collect());
                let sent = self.sw.sent_frames(UPLINK);
                assert_eq!(sent.len(), ports.len());
                for (frame, port) in sent.iter().zip(ports) {
                    let (router, inner) = router_and_source(frame);
                    assert_eq!(inner, *port);
                    let first = *chosen.entry(inner).or_insert(router);
                    assert_eq!(first, router, "connection {inner}, round {round}");
                }
            }
        }
        let to_first = chosen.values().filter(|&&router| router == 4).count();
        assert!(chosen.values().all(|router| matches!(router, 4 | 5)));
        let half = usize::from(CONNECTIONS / 2);
        assert!(
            to_first.abs_diff(half) * 20 <= half,
            "{to_first} of {CONNECTIONS}"
        );
        let (all, buckets) = self.sw.group_packets(1);
        assert_eq!(all, 2 * u64::from(CONNECTIONS));
        assert_eq!(buckets[0], 2 * to_first as u64);
    }
}

/// The last byte of the outer destination and the inner UDP source port.
fn router_and_source(frame: &VecFrame) -> (u8, u16) {
    let bytes = frame.bytes();
    // Ethernet, IPv4, UDP, VXLAN, Ethernet, IPv4.
    let inner = 14 + 20 + 8 + 8 + 14 + 20;
    (
        bytes[14 + 19],
        u16::from_be_bytes([bytes[inner], bytes[inner + 1]]),
    )
}
