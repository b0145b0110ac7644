//! What identifies one direction of a connection.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::layout::{Fragment, L3, L4, Layout, array};
use crate::protocol;

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

/// One direction of a connection, as `ct()` sees it: addresses, protocol and two 16-bit numbers,
/// in host order.
///
/// For TCP, UDP and SCTP the numbers are the ports; for ICMP and ICMPv6 queries `src_port` is
/// the identifier and `dst_port` is `type << 8 | code`; for GRE they are the upper and the lower
/// half of the key, which is the same in both directions; otherwise both are 0.
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

impl Tuple {
    /// The tuple of a whole datagram, or `None` if it has none: no IP, a fragment, a broken
    /// header, or an ICMP or ICMPv6 message that is no query or reply (an error is about the
    /// tuple it quotes).
    ///
    /// ICMP queries are echo, timestamp, information and address mask, ICMPv6 queries echo and
    /// node information, each with code 0 only. Any other IP protocol has ports of 0.
    #[inline]
    pub fn of(head: &[u8], layout: &Layout) -> Option<Self> {
        let ip = IpPair::of(head, layout)?;
        let l4: &[u8; 8] = match layout.l4 {
            L4::Tcp | L4::Udp | L4::Sctp => {
                let &[s0, s1, d0, d1] = array(head, layout.l4_offset.into())?;
                return Some(Self {
                    ip,
                    protocol: layout.protocol,
                    src_port: u16::from_be_bytes([s0, s1]),
                    dst_port: u16::from_be_bytes([d0, d1]),
                });
            }
            L4::Icmp | L4::Icmpv6 => {
                let end = layout.l3_end as usize;
                array(head.get(..end).unwrap_or(head), layout.l4_offset.into())?
            }
            L4::None => return Self::of_other(ip, head, layout),
        };
        let &[icmp_type, code, _, _, id0, id1, ..] = l4;
        let answer = match ip {
            IpPair::V4 { .. } => opposite_icmp(icmp_type),
            IpPair::V6 { .. } => opposite_icmpv6(icmp_type),
        };
        (answer.is_some() && code == 0).then_some(Self {
            ip,
            protocol: layout.protocol,
            src_port: u16::from_be_bytes([id0, id1]),
            dst_port: u16::from_be_bytes([icmp_type, code]),
        })
    }

    #[cold]
    fn of_other(ip: IpPair, head: &[u8], layout: &Layout) -> Option<Self> {
        if layout.malformed.is_some() || layout.fragment != Fragment::No {
            return None;
        }
        let end = layout.l3_end as usize;
        let l4 = head
            .get(..end)
            .unwrap_or(head)
            .get(layout.l4_offset.into()..)?;
        Self::without_ports(ip, layout.protocol, l4)
    }

    /// The tuple of a packet that is not of TCP, UDP, SCTP, ICMP or ICMPv6, with `l4` behind its
    /// IP headers. `None` if it is GRE whose header is cut off.
    #[inline]
    pub fn without_ports(ip: IpPair, protocol: u8, l4: &[u8]) -> Option<Self> {
        let key = match protocol {
            protocol::GRE => gre_key(l4)?,
            _ => 0,
        };
        Some(Self {
            ip,
            protocol,
            src_port: (key >> 16) as u16,
            dst_port: key as u16,
        })
    }

    /// The key of GRE, 0 if it has none; `None` of any other protocol.
    pub const fn gre_key(&self) -> Option<u32> {
        match self.protocol {
            protocol::GRE => Some((self.src_port as u32) << 16 | self.dst_port as u32),
            _ => None,
        }
    }

    /// The tuple of the answer to a packet of this tuple that nobody translated: addresses
    /// and ports swapped; for an ICMP or ICMPv6 query its reply with the same identifier, and
    /// the other way round.
    ///
    /// A translated connection's answer is not this one: reverse first, then translate.
    #[inline(always)]
    #[must_use]
    pub const fn reversed(self) -> Self {
        let [icmp_type, code] = self.dst_port.to_be_bytes();
        let opposite = match (self.ip, self.protocol) {
            // Most of all, so first.
            (_, protocol::TCP | protocol::UDP) => {
                return Self {
                    ip: self.ip.reversed(),
                    protocol: self.protocol,
                    src_port: self.dst_port,
                    dst_port: self.src_port,
                };
            }
            (IpPair::V4 { .. }, protocol::ICMP) => opposite_icmp(icmp_type),
            (IpPair::V6 { .. }, protocol::ICMPV6) => opposite_icmpv6(icmp_type),
            (_, protocol::GRE) => {
                return Self {
                    ip: self.ip.reversed(),
                    ..self
                };
            }
            (_, _) => {
                return Self {
                    ip: self.ip.reversed(),
                    protocol: self.protocol,
                    src_port: self.dst_port,
                    dst_port: self.src_port,
                };
            }
        };
        let answer = match opposite {
            Some(answer) => answer,
            None => icmp_type,
        };
        Self {
            ip: self.ip.reversed(),
            protocol: self.protocol,
            src_port: self.src_port,
            dst_port: u16::from_be_bytes([answer, code]),
        }
    }

    /// Whether there is an identifier that a translation may change: in an ICMP or ICMPv6 query,
    /// but one for node information, which says there what is asked for (RFC 4620 4).
    #[inline]
    pub const fn has_identifier(&self) -> bool {
        let [icmp_type, _] = self.dst_port.to_be_bytes();
        let asks_node = matches!(
            icmp_type,
            protocol::icmpv6::NODE_QUERY | protocol::icmpv6::NODE_REPLY
        );
        self.is_icmp() && !(asks_node && self.protocol == protocol::ICMPV6)
    }

    /// Whether this is an ICMP or ICMPv6 tuple, which has an identifier instead of ports.
    #[inline]
    pub const fn is_icmp(&self) -> bool {
        matches!(
            (self.ip, self.protocol),
            (IpPair::V4 { .. }, protocol::ICMP) | (IpPair::V6 { .. }, protocol::ICMPV6)
        )
    }
}

impl IpPair {
    /// The addresses of an IPv4 or IPv6 packet, or `None` if it is neither.
    #[inline]
    pub fn of(head: &[u8], layout: &Layout) -> Option<Self> {
        let start = usize::from(layout.l3_offset);
        match layout.l3 {
            L3::Ipv4 => Some(Self::V4 {
                src: Ipv4Addr::from(*array::<4>(head, start + 12)?),
                dst: Ipv4Addr::from(*array::<4>(head, start + 16)?),
            }),
            L3::Ipv6 => Some(Self::V6 {
                src: Ipv6Addr::from(*array::<16>(head, start + 8)?),
                dst: Ipv6Addr::from(*array::<16>(head, start + 24)?),
            }),
            L3::Other | L3::Arp => None,
        }
    }

    /// Source and destination swapped.
    #[inline]
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::V4 { src, dst } => Self::V4 { src: dst, dst: src },
            Self::V6 { src, dst } => Self::V6 { src: dst, dst: src },
        }
    }
}

/// The key of a GRE header (RFC 2890), wherever RFC 1701 has it; 0 if there is none. `None` if the
/// header is cut off.
///
/// The call of enhanced GRE (RFC 2637, version 1) is no key: it differs from one direction to
/// the other, and only the control connection tells which belong together.
fn gre_key(header: &[u8]) -> Option<u32> {
    const CHECKSUM_OR_ROUTING: u16 = 0xc000;
    const KEY: u16 = 0x2000;
    const VERSION: u16 = 0x0007;
    let &[f0, f1, _, _] = header.first_chunk()?;
    let flags = u16::from_be_bytes([f0, f1]);
    if flags & KEY == 0 || flags & VERSION != 0 {
        return Some(0);
    }
    let at = if flags & CHECKSUM_OR_ROUTING == 0 {
        4
    } else {
        8
    };
    array(header, at).map(|key| u32::from_be_bytes(*key))
}

/// The reply's type for a query's, and the other way round; `None` if `icmp_type` is neither.
const fn opposite_icmp(icmp_type: u8) -> Option<u8> {
    use protocol::icmp::{
        ECHO_REPLY, ECHO_REQUEST, INFO_REPLY, INFO_REQUEST, MASK_REPLY, MASK_REQUEST,
        TIMESTAMP_REPLY, TIMESTAMP_REQUEST,
    };
    match icmp_type {
        ECHO_REQUEST => Some(ECHO_REPLY),
        ECHO_REPLY => Some(ECHO_REQUEST),
        TIMESTAMP_REQUEST => Some(TIMESTAMP_REPLY),
        TIMESTAMP_REPLY => Some(TIMESTAMP_REQUEST),
        INFO_REQUEST => Some(INFO_REPLY),
        INFO_REPLY => Some(INFO_REQUEST),
        MASK_REQUEST => Some(MASK_REPLY),
        MASK_REPLY => Some(MASK_REQUEST),
        _ => None,
    }
}

/// As [`opposite_icmp`], for ICMPv6.
const fn opposite_icmpv6(icmp_type: u8) -> Option<u8> {
    use protocol::icmpv6::{ECHO_REPLY, ECHO_REQUEST, NODE_QUERY, NODE_REPLY};
    match icmp_type {
        ECHO_REQUEST => Some(ECHO_REPLY),
        ECHO_REPLY => Some(ECHO_REQUEST),
        NODE_QUERY => Some(NODE_REPLY),
        NODE_REPLY => Some(NODE_QUERY),
        _ => None,
    }
}

/// `udp 10.0.0.5:4000 > 192.0.2.9:53`, `tcp [2001:db8::1]:1 > [2001:db8::2]:2`,
/// `icmp 10.0.0.1 > 10.0.0.2 type=8 code=0 id=7`, `proto=50 10.0.0.1 > 10.0.0.2`,
/// `proto=47 10.0.0.1 > 10.0.0.2 key=7`.
impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (src, dst) = (self.src(), self.dst());
        let ported = match self.protocol {
            protocol::TCP => "tcp",
            protocol::UDP => "udp",
            protocol::SCTP => "sctp",
            _ if self.is_icmp() => {
                let [icmp_type, code] = self.dst_port.to_be_bytes();
                let name = if src.is_ipv4() { "icmp" } else { "icmp6" };
                let id = self.src_port;
                return write!(
                    f,
                    "{name} {src} > {dst} type={icmp_type} code={code} id={id}"
                );
            }
            number => {
                write!(f, "proto={number} {src} > {dst}")?;
                return match self.gre_key() {
                    None | Some(0) => Ok(()),
                    Some(key) => write!(f, " key={key}"),
                };
            }
        };
        let src = SocketAddr::new(src, self.src_port);
        let dst = SocketAddr::new(dst, self.dst_port);
        write!(f, "{ported} {src} > {dst}")
    }
}

#[cfg(test)]
mod tests;
