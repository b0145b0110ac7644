//! What the configuration says of tunnels.

use std::net::IpAddr;

use weir_tables::tunnel::{Remote, TunnelKey, TunnelKind};

/// What makes a `[[port]]` a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// What frames are wrapped in.
    pub kind: TunnelKind,
    /// The name of the port that it rides on, which is none.
    pub over: String,
    /// Our address; no group's.
    pub local: IpAddr,
    /// The other end, of the same address family.
    pub remote: Remote,
    /// The key, which fits the kind.
    pub key: TunnelKey,
    /// The UDP port; 0 for GRE.
    pub dst_port: u16,
}

impl Tunnel {
    /// Bytes of headers, from the outer IP header up to the inner IP header, without options.
    pub const fn overhead(&self) -> u16 {
        let ip = if self.local.is_ipv4() { 20 } else { 40 };
        let tunnel = match self.kind {
            TunnelKind::Geneve | TunnelKind::Vxlan => 8 + 8,
            TunnelKind::Gre if matches!(self.key, TunnelKey::Absent) => 4,
            TunnelKind::Gre => 8,
        };
        ip + tunnel + 14
    }
}

/// `[[neighbour]]`: a next hop that need not be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The name of a port that a tunnel rides on.
    pub port: String,
    /// Its address.
    pub ip: IpAddr,
    /// Its MAC address; no group's.
    pub mac: [u8; 6],
}
