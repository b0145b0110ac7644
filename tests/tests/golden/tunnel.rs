//! Tunnels: what comes out of them, what goes into them, and what the switch says for itself on
//! the port that they ride on. Each test runs with and without caches.

use weir_packet::{VecFrame, text};
use weir_tests::underlay::{geneve, gre, hex, source_port, source_port_v6, vxlan, wrapped};

mod cached;
mod fields;
mod neighbours;
mod options;
mod wire;

/// Our MAC address at port 1, which is the first.
const OWN: &str = "02:77:65:69:00:00";
/// That of the other end.
const PEER: &str = "02:00:00:00:00:07";
const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 7];
