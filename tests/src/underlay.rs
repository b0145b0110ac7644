//! Frames of the underlay: what tunnels look like from outside, put together by hand.

use std::fmt::Write;

use weir_packet::{VecFrame, text};

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut all, byte| {
        write!(all, "{byte:02x}").expect("a string takes all");
        all
    })
}

/// A VXLAN header (RFC 7348 5) as hexadecimal digits.
pub fn vxlan(vni: u32) -> String {
    format!("08000000{vni:06x}00")
}

/// A Geneve header (RFC 8926 3.4) with `options`, all as hexadecimal digits.
pub fn geneve(vni: u32, options: &str) -> String {
    let words = options.len() / 8;
    format!("{words:02x}006558{vni:06x}00{options}")
}

/// A GRE header (RFC 2784 2.1, RFC 2890 2) as hexadecimal digits.
pub fn gre(key: Option<u32>) -> String {
    key.map_or_else(|| "00006558".to_owned(), |key| format!("20006558{key:08x}"))
}

/// A frame whose IP payload behind `outer` (a line without payload) is a tunnel's `header` and
/// the packet `inner`.
pub fn wrapped(outer: &str, header: &str, inner: &str) -> VecFrame {
    let inner = hex(text::frame(inner).bytes());
    text::frame(&format!("{outer} data={header}{inner}"))
}

/// The UDP source port of an outer IPv4 packet.
pub fn source_port(frame: &VecFrame) -> u16 {
    u16::from_be_bytes([frame.bytes()[34], frame.bytes()[35]])
}

/// The same of an outer IPv6 packet.
pub fn source_port_v6(frame: &VecFrame) -> u16 {
    u16::from_be_bytes([frame.bytes()[54], frame.bytes()[55]])
}
