//! `examples/vpc-computeA.toml` with traffic of every kind that the policy is about. What each
//! table does is told in `docs/seeds.md`.
//!
//! ```text
//! 3  172.19.29.3 ---+                            +--- routers 10.10.10.4, 10.10.10.5
//! 4  172.19.29.4 ---+-- weir -- 10, 10.10.10.6 --+
//! 9  172.19.29.5 ---+   |  |                     +--- 10.10.10.7 --- 10.100.10.4
//! 5  10.100.10.3 -------+  +--- 6, metadata service
//! ```

use weir_tests::example::Example;
use weir_tests::hosts::{Machine, Underlay};
use weir_tests::switch::Switch;

mod answers;
mod attack;
mod dump_alone;
mod metadata;
mod security_groups;
mod tunnels;

const VM3: Machine = Machine {
    port: 3,
    mac: "fa:16:3e:a2:06:26",
    ip: "172.19.29.3",
};
const VM4: Machine = Machine {
    port: 4,
    mac: "fa:16:3e:6c:e5:40",
    ip: "172.19.29.4",
};
const VM9: Machine = Machine {
    port: 9,
    mac: "fa:16:3e:e3:74:d9",
    ip: "172.19.29.5",
};
/// Where the first network goes on.
const GATEWAY: Machine = Machine {
    port: 1,
    mac: "fa:16:3e:15:9a:ce",
    ip: "172.19.29.1",
};
/// Of the second network.
const VM5: Machine = Machine {
    port: 5,
    mac: "fa:16:3e:d3:af:d4",
    ip: "10.100.10.3",
};
/// Of the second network, on another host.
const REMOTE: Machine = Machine {
    port: 2,
    mac: "fa:16:3e:b2:aa:7b",
    ip: "10.100.10.4",
};
/// Where the second network goes on.
const GATEWAY_2: Machine = Machine {
    port: 1,
    mac: "fa:16:3e:12:78:6f",
    ip: "10.100.10.1",
};
/// The service that tells machines who they are.
const METADATA: Machine = Machine {
    port: 6,
    mac: "fa:16:3e:25:fd:7e",
    ip: "169.254.169.254",
};

/// The machines on this host.
const MACHINES: [Machine; 4] = [VM3, VM4, VM5, VM9];

const ROUTER_A: Machine = Machine {
    port: 10,
    mac: "02:00:00:00:0a:04",
    ip: "10.10.10.4",
};
const ROUTER_B: Machine = Machine {
    port: 10,
    mac: "02:00:00:00:0a:05",
    ip: "10.10.10.5",
};
const PEER: Machine = Machine {
    port: 10,
    mac: "02:00:00:00:0a:07",
    ip: "10.10.10.7",
};
const UNDERLAY: Underlay = Underlay {
    port: 10,
    own: Machine {
        port: 10,
        // That of the eighth port.
        mac: "02:77:65:69:00:07",
        ip: "10.10.10.6",
    },
    others: &[ROUTER_A, ROUTER_B, PEER],
};
/// The ID of both networks on the wire.
const VNI: u32 = 10;

/// The example; the other ends of tunnels are known.
fn example() -> Example {
    Example::load("vpc-computeA").knowing(&UNDERLAY)
}

/// All of it.
fn switch() -> Switch {
    example().switch().expect("it loads")
}

/// A packet comes in that goes nowhere.
#[track_caller]
fn is_lost(sw: &mut Switch, port: u32, packet: &str) {
    sw.inject(port, packet);
    assert_eq!(sw.sent_anywhere(), [""; 0], "{packet}");
    assert_eq!(sw.packet_ins(), [""; 0], "{packet}");
}
