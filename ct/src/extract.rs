//! From packet to tuple, with every reason for which a packet has none.

mod quote;

use weir_packet::checksum::{ipv4_header_checksum_ok, l4_checksum_ok};
use weir_packet::protocol::{icmp, icmpv6};
use weir_packet::{ChecksumStatus, Fragment, Frame, IpPair, L3, L4, Layout, Malformed, Tuple};

use crate::counters::Invalid;
use crate::record::{Datagram, Protocol, Query};
use crate::sctp::{self, Sctp};
use crate::tcp::{BadSegment, Segment, SegmentKind, Tcp};

/// What a packet is to the tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A packet of a connection.
    Packet(Tuple, Transport),
    /// An ICMP error about a packet whose reply would have this tuple.
    Error(Tuple),
    /// Neighbour Discovery or MLD: about no connection, and needed for any.
    LinkControl(Tuple),
}

/// What the protocol's tracker needs of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp(Segment),
    Sctp(sctp::Packet),
    /// An ICMP or ICMPv6 query.
    Query,
    /// An answer to one.
    Answer,
    Datagram,
}

impl Transport {
    /// The state of a connection that this packet opens.
    #[inline(always)]
    pub(crate) fn open(&self, loose: bool) -> Result<Protocol, Invalid> {
        match self {
            Self::Tcp(segment) => match segment.kind {
                SegmentKind::Syn => Ok(Protocol::Tcp(Tcp::open(segment))),
                // Half of a handshake: neither new nor established.
                SegmentKind::SynAck => Err(Invalid::TcpSynAckFirst),
                SegmentKind::Ack | SegmentKind::Fin | SegmentKind::Rst if loose => {
                    Ok(Protocol::Tcp(Tcp::open(segment)))
                }
                SegmentKind::Ack | SegmentKind::Fin | SegmentKind::Rst => Err(Invalid::TcpNotSyn),
            },
            Self::Sctp(packet) => match Sctp::open(packet) {
                Some(sctp) => Ok(Protocol::Sctp(sctp)),
                None => Err(Invalid::SctpUnopened),
            },
            Self::Query => Ok(Protocol::Query(Query::First)),
            Self::Answer => Err(Invalid::IcmpReplyFirst),
            Self::Datagram => Ok(Protocol::Datagram(Datagram::First)),
        }
    }
}

/// Finds out what a packet is to the tracker; checksums are verified unless the device did.
pub(crate) fn subject<F: Frame>(frame: &F, layout: &Layout) -> Result<Subject, Invalid> {
    let head = frame.head();
    let ip = match layout.malformed {
        Some(Malformed::Ipv4 | Malformed::Ipv6 | Malformed::Ipv6Extension) => None,
        Some(Malformed::Runt | Malformed::Vlan | Malformed::Arp | Malformed::L4) | None => {
            IpPair::of(head, layout)
        }
    };
    let Some(ip) = ip else {
        return Err(match layout.malformed {
            Some(Malformed::Ipv4 | Malformed::Ipv6 | Malformed::Ipv6Extension) => Invalid::IpHeader,
            Some(Malformed::Runt | Malformed::Vlan | Malformed::Arp | Malformed::L4) | None => {
                Invalid::NotIp
            }
        });
    };
    let header_right = match frame.ip_checksum_status() {
        ChecksumStatus::Good => true,
        ChecksumStatus::Bad => false,
        ChecksumStatus::Unknown => ipv4_header_checksum_ok(head, layout),
    };
    if layout.l3 == L3::Ipv4 && !header_right {
        return Err(Invalid::IpChecksum);
    }
    if layout.fragment != Fragment::No {
        return Err(Invalid::Fragment);
    }
    if layout.malformed == Some(Malformed::L4) {
        return Err(Invalid::L4Length);
    }
    let right = match frame.l4_checksum_status() {
        ChecksumStatus::Good => true,
        ChecksumStatus::Bad => layout.l4 == L4::None,
        ChecksumStatus::Unknown => l4_checksum_ok(frame, layout),
    };
    if !right {
        return Err(Invalid::L4Checksum);
    }
    match layout.l4 {
        L4::Tcp => {
            let tuple = with_ports(head, layout)?;
            match Segment::read(head, layout) {
                Ok(segment) => Ok(Subject::Packet(tuple, Transport::Tcp(segment))),
                Err(BadSegment::Length) => Err(Invalid::L4Length),
                Err(BadSegment::Flags) => Err(Invalid::TcpFlags),
            }
        }
        L4::Udp => Ok(Subject::Packet(
            with_ports(head, layout)?,
            Transport::Datagram,
        )),
        L4::Sctp => {
            let tuple = with_ports(head, layout)?;
            match sctp::Packet::read(frame, layout) {
                Ok(packet) => Ok(Subject::Packet(tuple, Transport::Sctp(packet))),
                Err(sctp::BadPacket) => Err(Invalid::SctpChunks),
            }
        }
        L4::Icmp | L4::Icmpv6 => message(head, layout, ip),
        L4::None => {
            let tuple = Tuple::of(head, layout).ok_or(Invalid::L4Length)?;
            Ok(Subject::Packet(tuple, Transport::Datagram))
        }
    }
}

fn with_ports(head: &[u8], layout: &Layout) -> Result<Tuple, Invalid> {
    let tuple = Tuple::of(head, layout).ok_or(Invalid::L4Length)?;
    if tuple.src_port == 0 || tuple.dst_port == 0 {
        return Err(Invalid::PortZero);
    }
    Ok(tuple)
}

/// An ICMP or ICMPv6 message.
fn message(head: &[u8], layout: &Layout, ip: IpPair) -> Result<Subject, Invalid> {
    let end = (layout.l3_end as usize).min(head.len());
    let bytes = head
        .get(usize::from(layout.l4_offset)..end)
        .ok_or(Invalid::L4Length)?;
    // All that is tracked has at least eight bytes; ICMPv6 may lawfully have four.
    let (fixed, body) = bytes.split_first_chunk::<8>().ok_or(Invalid::L4Length)?;
    let (kind, code) = (fixed[0], fixed[1]);
    let role = match ip {
        IpPair::V4 { .. } => role_icmp(kind),
        IpPair::V6 { .. } => role_icmpv6(kind),
    };
    let transport = match role {
        Role::Query => Transport::Query,
        Role::Answer => Transport::Answer,
        Role::Error => {
            let quoted = quoted(body, ip).ok_or(Invalid::IcmpQuote)?;
            return Ok(Subject::Error(quoted.reversed()));
        }
        Role::LinkControl => {
            let tuple = Tuple {
                ip,
                protocol: layout.protocol,
                src_port: 0,
                dst_port: u16::from_be_bytes([kind, code]),
            };
            return Ok(Subject::LinkControl(tuple));
        }
        Role::Other => return Err(Invalid::IcmpType),
    };
    let tuple = Tuple::of(head, layout).ok_or(Invalid::IcmpType)?;
    Ok(Subject::Packet(tuple, transport))
}

/// The tuple of the packet that the body of an error between these addresses quotes.
fn quoted(body: &[u8], ip: IpPair) -> Option<Tuple> {
    match ip {
        IpPair::V4 { dst, .. } => quote::ipv4(body, dst),
        IpPair::V6 { dst, .. } => quote::ipv6(body, dst),
    }
}

/// The tuple of the packet that an ICMP error is about; `None` if the packet is none. Checksums
/// are not verified.
pub(crate) fn about(head: &[u8], layout: &Layout) -> Option<Tuple> {
    let ip = IpPair::of(head, layout)?;
    let end = (layout.l3_end as usize).min(head.len());
    let bytes = head.get(usize::from(layout.l4_offset)..end)?;
    let (fixed, body) = bytes.split_first_chunk::<8>()?;
    let role = match layout.l4 {
        L4::Icmp => role_icmp(fixed[0]),
        L4::Icmpv6 => role_icmpv6(fixed[0]),
        L4::None | L4::Tcp | L4::Udp | L4::Sctp => return None,
    };
    match role {
        Role::Error => quoted(body, ip),
        Role::Query | Role::Answer | Role::LinkControl | Role::Other => None,
    }
}

/// What a type of message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Query,
    Answer,
    Error,
    LinkControl,
    Other,
}

const fn role_icmp(kind: u8) -> Role {
    match kind {
        icmp::ECHO_REQUEST | icmp::TIMESTAMP_REQUEST | icmp::INFO_REQUEST | icmp::MASK_REQUEST => {
            Role::Query
        }
        icmp::ECHO_REPLY | icmp::TIMESTAMP_REPLY | icmp::INFO_REPLY | icmp::MASK_REPLY => {
            Role::Answer
        }
        icmp::UNREACHABLE
        | icmp::SOURCE_QUENCH
        | icmp::REDIRECT
        | icmp::TIME_EXCEEDED
        | icmp::PARAMETER_PROBLEM => Role::Error,
        _ => Role::Other,
    }
}

const fn role_icmpv6(kind: u8) -> Role {
    match kind {
        icmpv6::ECHO_REQUEST | icmpv6::NODE_QUERY => Role::Query,
        icmpv6::ECHO_REPLY | icmpv6::NODE_REPLY => Role::Answer,
        // RFC 4443 2.1, 2.4: errors that nobody has defined yet are errors.
        ..icmpv6::ECHO_REQUEST => Role::Error,
        _ if icmpv6::is_link_control(kind) => Role::LinkControl,
        _ => Role::Other,
    }
}
