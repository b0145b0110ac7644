//! A packet between text and bytes: what the line says, with defaults filled in.

use std::net::{IpAddr, Ipv6Addr};

use crate::protocol;
use crate::view::VlanTag;

pub(super) type Mac = [u8; 6];

pub(super) const DEFAULT_SRC: Mac = [2, 0, 0, 0, 0, 1];
pub(super) const DEFAULT_DST: Mac = [2, 0, 0, 0, 0, 2];
pub(super) const DEFAULT_WINDOW: u16 = 65_535;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Packet {
    pub(super) src: Mac,
    pub(super) dst: Mac,
    pub(super) tags: Vec<VlanTag>,
    pub(super) body: Body,
    /// Zero bytes behind everything.
    pub(super) pad: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Body {
    Arp(Arp),
    Ip(Box<Ip>),
    /// Another Ethertype.
    Ether(u16, Payload),
    /// The whole frame as it is; everything else of the packet is ignored.
    Hex(Vec<u8>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Arp {
    pub(super) reverse: bool,
    pub(super) operation: u16,
    pub(super) sha: Mac,
    pub(super) spa: std::net::Ipv4Addr,
    pub(super) tha: Mac,
    pub(super) tpa: std::net::Ipv4Addr,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ip {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) options: IpOptions,
    pub(super) transport: Transport,
    pub(super) payload: Payload,
}

/// What may be said of every IP packet.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct IpOptions {
    /// `None`: [`Ip::default_ttl`].
    pub(super) ttl: Option<u8>,
    pub(super) tos: u8,
    pub(super) fragment: Option<Fragment>,
    pub(super) csum: Csum,
    pub(super) ipv4_id: u16,
    pub(super) ipv4_df: bool,
    pub(super) ipv4_options: Vec<u8>,
    pub(super) ipv4_csum: Csum,
    pub(super) ipv6_label: u32,
    pub(super) ipv6_extensions: Vec<(u8, Vec<u8>)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fragment {
    pub(super) id: u32,
    /// In bytes.
    pub(super) offset: u16,
    pub(super) more: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Csum {
    #[default]
    Right,
    /// One too high, in one's complement; SCTP: the lowest bit flipped. Both survive a change
    /// of the packet with an incremental update.
    Bad,
    /// This number, as it lies in the packet.
    Is(u32),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Transport {
    Tcp(Tcp),
    /// `len`: `None` if it is right.
    Udp {
        ports: (u16, u16),
        len: Option<u16>,
    },
    Sctp {
        ports: (u16, u16),
        vtag: u32,
    },
    /// ICMP or ICMPv6, as the addresses have it.
    Icmp {
        icmp_type: u8,
        code: u8,
        rest: u32,
    },
    Other(u8),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tcp {
    pub(super) ports: (u16, u16),
    /// 9 bits, NS the highest.
    pub(super) flags: u16,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) window: u16,
    pub(super) urgent: u16,
    pub(super) options: TcpOptions,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum TcpOptions {
    Known(KnownTcpOptions),
    Raw(Vec<u8>),
}

/// Encoded in this order, and filled up with "no operation" in front of each to 4 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct KnownTcpOptions {
    pub(super) mss: Option<u16>,
    pub(super) sack_ok: bool,
    pub(super) timestamps: Option<(u32, u32)>,
    pub(super) window_scale: Option<u8>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Payload {
    /// `len` bytes that count up from `from`.
    Counting {
        len: usize,
        from: u8,
    },
    Bytes(Vec<u8>),
    /// What an ICMP error is about; the first `cut` bytes of it.
    Quote {
        packet: Box<Ip>,
        cut: Option<usize>,
    },
    /// Neighbour Discovery: the target and at most one link-layer address option, with its
    /// type.
    Neighbor {
        target: Ipv6Addr,
        mac: Option<(u8, Mac)>,
    },
    /// SCTP: type, flags and value of each.
    Chunks(Vec<(u8, u8, Vec<u8>)>),
}

impl Payload {
    pub(super) const EMPTY: Self = Self::Counting { len: 0, from: 0 };

    /// Bytes, or their length if they count up.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let Some(&from) = bytes.first() else {
            return Self::EMPTY;
        };
        if counting(bytes.len(), from).eq(bytes.iter().copied()) {
            Self::Counting {
                len: bytes.len(),
                from,
            }
        } else {
            Self::Bytes(bytes.to_vec())
        }
    }
}

/// `len` bytes that count up from `from`.
pub(super) fn counting(len: usize, from: u8) -> impl Iterator<Item = u8> {
    (0..len).map(move |index| from.wrapping_add(index as u8))
}

impl Ip {
    pub(super) const fn is_ipv6(&self) -> bool {
        self.src.is_ipv6()
    }

    /// RFC 4861 wants 255 in Neighbour Discovery, and hosts verify it.
    pub(super) fn default_ttl(&self) -> u8 {
        if self.neighbor_discovery() { 255 } else { 64 }
    }

    pub(super) fn neighbor_discovery(&self) -> bool {
        use protocol::icmpv6::{REDIRECT, ROUTER_SOLICIT};
        let discovery = ROUTER_SOLICIT..=REDIRECT;
        matches!(&self.transport, Transport::Icmp { icmp_type, .. }
            if self.is_ipv6() && discovery.contains(icmp_type))
    }

    pub(super) const fn protocol(&self) -> u8 {
        match self.transport {
            Transport::Tcp(_) => protocol::TCP,
            Transport::Udp { .. } => protocol::UDP,
            Transport::Sctp { .. } => protocol::SCTP,
            Transport::Icmp { .. } if self.is_ipv6() => protocol::ICMPV6,
            Transport::Icmp { .. } => protocol::ICMP,
            Transport::Other(number) => number,
        }
    }
}

/// Option types of RFC 4861 4.6.
pub(super) const SOURCE_LINK_LAYER: u8 = 1;
pub(super) const TARGET_LINK_LAYER: u8 = 2;

/// What the four bytes behind an ICMP header are.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Rest {
    IdAndSeq,
    Mtu,
    NeighborFlags,
    Other,
}

impl Rest {
    pub(super) const fn of(is_ipv6: bool, icmp_type: u8, code: u8) -> Self {
        match (is_ipv6, icmp_type, code) {
            (false, 0 | 8 | 13..=18, _) | (true, 128 | 129, _) => Self::IdAndSeq,
            (false, 3, 4) | (true, 2, _) => Self::Mtu,
            (true, protocol::icmpv6::NEIGHBOR_ADVERT, _) => Self::NeighborFlags,
            (_, _, _) => Self::Other,
        }
    }
}

/// Whether this type quotes the packet that it is about.
pub(super) const fn quotes(is_ipv6: bool, icmp_type: u8) -> bool {
    if is_ipv6 {
        matches!(icmp_type, 1..=4)
    } else {
        matches!(icmp_type, 3 | 4 | 5 | 11 | 12)
    }
}

pub(super) const ICMP_NAMES: &[(&str, u8)] = &[
    ("echo-reply", protocol::icmp::ECHO_REPLY),
    ("unreachable", protocol::icmp::UNREACHABLE),
    ("source-quench", protocol::icmp::SOURCE_QUENCH),
    ("redirect", protocol::icmp::REDIRECT),
    ("echo-request", protocol::icmp::ECHO_REQUEST),
    ("time-exceeded", protocol::icmp::TIME_EXCEEDED),
    ("parameter-problem", protocol::icmp::PARAMETER_PROBLEM),
    ("timestamp-request", protocol::icmp::TIMESTAMP_REQUEST),
    ("timestamp-reply", protocol::icmp::TIMESTAMP_REPLY),
    ("info-request", protocol::icmp::INFO_REQUEST),
    ("info-reply", protocol::icmp::INFO_REPLY),
    ("mask-request", protocol::icmp::MASK_REQUEST),
    ("mask-reply", protocol::icmp::MASK_REPLY),
];

pub(super) const ICMPV6_NAMES: &[(&str, u8)] = &[
    ("unreachable", protocol::icmpv6::UNREACHABLE),
    ("too-big", protocol::icmpv6::PACKET_TOO_BIG),
    ("time-exceeded", protocol::icmpv6::TIME_EXCEEDED),
    ("parameter-problem", protocol::icmpv6::PARAMETER_PROBLEM),
    ("echo-request", protocol::icmpv6::ECHO_REQUEST),
    ("echo-reply", protocol::icmpv6::ECHO_REPLY),
    ("mld-query", protocol::icmpv6::MLD_QUERY),
    ("mld-report", protocol::icmpv6::MLD_REPORT),
    ("mld-done", protocol::icmpv6::MLD_DONE),
    ("router-solicit", protocol::icmpv6::ROUTER_SOLICIT),
    ("router-advert", protocol::icmpv6::ROUTER_ADVERT),
    ("neighbor-solicit", protocol::icmpv6::NEIGHBOR_SOLICIT),
    ("neighbor-advert", protocol::icmpv6::NEIGHBOR_ADVERT),
    ("redirect", protocol::icmpv6::REDIRECT),
    ("mld2-report", protocol::icmpv6::MLD2_REPORT),
];

pub(super) const CHUNK_NAMES: &[(&str, u8)] = &[
    ("data", 0),
    ("init", 1),
    ("init-ack", 2),
    ("sack", 3),
    ("heartbeat", 4),
    ("heartbeat-ack", 5),
    ("abort", 6),
    ("shutdown", 7),
    ("shutdown-ack", 8),
    ("error", 9),
    ("cookie-echo", 10),
    ("cookie-ack", 11),
    ("shutdown-complete", 14),
];

/// Chunks that are mostly told by their tag.
pub(super) const INIT_NAMES: [(&str, u8); 2] = [("init", 1), ("init-ack", 2)];

/// What follows the tag of an INIT or INIT ACK that is told by it: a window of 65,536 bytes, one
/// stream each way, and 1 as the first number (RFC 9260 3.3.2).
pub(super) const PLAIN_INIT: [u8; 12] = [0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1];

/// Bit 0 first.
pub(super) const TCP_FLAGS: &str = "FSRPAUECN";

impl Arp {
    /// A request does not know the target's address.
    pub(super) const fn default_tha(&self, eth_dst: Mac) -> Mac {
        if self.operation == 1 { [0; 6] } else { eth_dst }
    }
}
