//! Both compute hosts, wired together at their uplinks: VMs of one talk to the VM of the other.

use weir_tests::switch::Switch;
use weir_tests::traffic::{End, ping, tcp, udp};

use super::vpc::*;

/// Both hosts; what leaves an uplink comes in at the other.
struct Pair {
    one: Host,
    two: Host,
}

impl Pair {
    /// The hosts without having met: they find each other.
    fn new() -> Self {
        Self {
            one: Host::new(Switch::of_example("vpc-compute1"), COMPUTE1.ip),
            two: Host::new(Switch::of_example("vpc-compute2"), COMPUTE2.ip),
        }
    }

    /// Carries frames from uplink to uplink until there are none.
    fn wire(&mut self) {
        loop {
            let from_one = self.one.sw.sent_frames(UPLINK);
            let from_two = self.two.sw.sent_frames(UPLINK);
            if from_one.is_empty() && from_two.is_empty() {
                return;
            }
            for frame in from_one {
                self.two.sw.inject_frames(UPLINK, vec![frame]);
            }
            for frame in from_two {
                self.one.sw.inject_frames(UPLINK, vec![frame]);
            }
        }
    }

    fn host_of(&mut self, vm: &Vm) -> &mut Host {
        if vm.port == VM2.port {
            &mut self.two
        } else {
            &mut self.one
        }
    }

    /// `from` sends a packet to a VM of the other host; what comes out there.
    fn send(&mut self, from: &Vm, to: &Vm, line: &str) -> Vec<String> {
        self.host_of(from).vm_sends(from, &from.sends(to, line));
        self.wire();
        self.host_of(to).sw.sent(to.port)
    }

    /// Each line passes and comes out as it was.
    #[track_caller]
    fn talk(&mut self, client: &Vm, server: &Vm, lines: &[(End, String)]) {
        for (end, line) in lines {
            let (from, to) = match end {
                End::Client => (client, server),
                End::Server => (server, client),
            };
            let packet = from.sends(to, line);
            self.host_of(from).vm_sends(from, &packet);
            self.wire();
            self.host_of(to).assert_to_vm(to, &packet);
        }
    }
}

#[test]
fn vms_talk_through_the_tunnel() {
    let mut pair = Pair::new();
    // The hosts look for each other on the underlay, each once; the packet that asks is lost.
    for (from, to) in [(VM1, VM2), (VM2, VM1)] {
        let line = format!("icmp {} > {} echo-request id=1 seq=1", from.ip, to.ip);
        assert_eq!(pair.send(&from, &to, &line), [""; 0]);
    }
    pair.talk(&VM2, &VM1, &ping(VM2.ip, VM1.ip, 1));
    for client in [VM1, VM3] {
        pair.talk(&client, &VM2, &ping(client.ip, VM2.ip, 1));
        let web = [format!("{}:40000", client.ip), format!("{}:80", VM2.ip)];
        pair.talk(&client, &VM2, &tcp(&web[0], &web[1]));
        let web = [format!("{}:40001", VM2.ip), format!("{}:80", client.ip)];
        pair.talk(&VM2, &client, &tcp(&web[0], &web[1]));
        // An error about a connection of the other's.
        let unheard = format!("tcp {}:40002 > {}:80 S seq=1", client.ip, VM2.ip);
        pair.talk(&client, &VM2, &[(End::Client, unheard.clone())]);
        let error = format!(
            "icmp {} > {} unreachable code=3 {{ {unheard} }}",
            VM2.ip, client.ip
        );
        pair.talk(&client, &VM2, &[(End::Server, error)]);
        // Allowed to ask, but not to be asked.
        let dns = udp(&format!("{}:1", client.ip), &format!("{}:53", VM2.ip));
        assert_eq!(pair.send(&client, &VM2, &dns[0].1), [""; 0]);
        // Not even allowed to ask.
        let ssh = format!("tcp {}:1 > {}:22 S", client.ip, VM2.ip);
        assert_eq!(pair.send(&client, &VM2, &ssh), [""; 0]);
    }
    // Each host tracked each connection; those that nobody answered are new.
    const MET: &str = "tunnel_no_neighbour=1 neighbour_answer=1";
    let state = format!("ct: new=4 replied=7; drops: action_drop=2 {MET}");
    pair.one.sw.assert_state(&state);
    let state = format!("ct: new=2 replied=7; drops: action_drop=2 {MET}");
    pair.two.sw.assert_state(&state);
    let [rx1, rx1_bytes, tx1, tx1_bytes] = pair.one.sw.tunnel_counts(5);
    assert_eq!(
        pair.two.sw.tunnel_counts(5),
        [tx1, tx1_bytes, rx1, rx1_bytes]
    );
}
