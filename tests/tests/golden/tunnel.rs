//! Tunnels: what comes out of them, what goes into them, and what the switch says for itself on
//! the port that they ride on. Each test runs with and without caches.

use std::fmt::Write;

use weir_packet::{VecFrame, text};

mod cached;
mod fields;
mod neighbours;
mod wire;

/// Our MAC address at port 1, which is the first.
const OWN: &str = "02:77:65:69:00:00";
/// That of the other end.
const PEER: &str = "02:00:00:00:00:07";
const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 7];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut all, byte| {
        write!(all, "{byte:02x}").expect("a string takes all");
        all
    })
}

/// A tunnel's header as hexadecimal digits.
fn vxlan(vni: u32) -> String {
    format!("08000000{vni:06x}00")
}

fn geneve(vni: u32, options: &str) -> String {
    let words = options.len() / 8;
    format!("{words:02x}006558{vni:06x}00{options}")
}

fn gre(key: Option<u32>) -> String {
    key.map_or_else(|| "00006558".to_owned(), |key| format!("20006558{key:08x}"))
}

/// A frame whose IP payload behind `outer` (a line without payload) is a tunnel's `header` and
/// the packet `inner`.
fn wrapped(outer: &str, header: &str, inner: &str) -> VecFrame {
    let inner = hex(text::frame(inner).bytes());
    text::frame(&format!("{outer} data={header}{inner}"))
}

/// The UDP source port of an outer IPv4 packet.
fn source_port(frame: &VecFrame) -> u16 {
    u16::from_be_bytes([frame.bytes()[34], frame.bytes()[35]])
}

/// The same of an outer IPv6 packet.
fn source_port_v6(frame: &VecFrame) -> u16 {
    u16::from_be_bytes([frame.bytes()[54], frame.bytes()[55]])
}
