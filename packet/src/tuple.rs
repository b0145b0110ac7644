//! What identifies one direction of a connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Source and destination address of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IpPair {
    /// IPv4.
    V4 {
        /// Source.
        src: Ipv4Addr,
        /// Destination.
        dst: Ipv4Addr,
    },
    /// IPv6.
    V6 {
        /// Source.
        src: Ipv6Addr,
        /// Destination.
        dst: Ipv6Addr,
    },
}

/// One direction of a connection, as ct() sees it: addresses, protocol and two 16-bit numbers,
/// in host order.
///
/// For TCP, UDP and SCTP the numbers are the ports; for ICMP and ICMPv6 queries `src_port` is
/// the identifier and `dst_port` is `type << 8 | code`; otherwise both are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tuple {
    /// Source and destination address.
    pub ip: IpPair,
    /// IP protocol number.
    pub protocol: u8,
    /// Source port, or ICMP identifier.
    pub src_port: u16,
    /// Destination port, or ICMP type and code.
    pub dst_port: u16,
}

impl Tuple {
    /// Source address.
    pub const fn src(&self) -> IpAddr {
        match self.ip {
            IpPair::V4 { src, .. } => IpAddr::V4(src),
            IpPair::V6 { src, .. } => IpAddr::V6(src),
        }
    }

    /// Destination address.
    pub const fn dst(&self) -> IpAddr {
        match self.ip {
            IpPair::V4 { dst, .. } => IpAddr::V4(dst),
            IpPair::V6 { dst, .. } => IpAddr::V6(dst),
        }
    }
}
