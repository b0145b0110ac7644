//! What is known of a packet while a flow is read: from its match, and from the actions so far.

use weir_tables::field::{Field, Prerequisite};
use weir_tables::matching::Match;

/// What a packet that comes to the next action is known to be.
#[derive(Clone, Debug, Default)]
pub(super) struct Context {
    /// Nothing is known, and nothing asked: what the packet is shows when it comes.
    anything: bool,
    eth_type: Option<u16>,
    nw_proto: Option<u8>,
    icmp: (Option<u8>, Option<u8>),
    later_fragment: bool,
    ct_state: (u128, u128),
    ct_nw_proto: Option<u8>,
    /// VLAN tags that are known to be there.
    pub(super) tags: u8,
}

const NEW: u128 = 0x01;
const INV: u128 = 0x10;
const TRK: u128 = 0x20;
/// Each of these flags implies that the packet belongs to a connection.
const IN_CONNECTION: u128 = NEW | 0x02 | 0x04 | 0x08 | 0x40 | 0x80;

/// The bit of `vlan_tci` that says that there is a tag.
const TAGGED: u128 = 0x1000;

impl Context {
    /// For actions that stand in no flow, such as those of a group.
    pub(super) fn anything() -> Self {
        Self {
            anything: true,
            ..Self::default()
        }
    }

    pub(super) fn of(matches: &Match) -> Self {
        // A field that is matched in part is not known.
        let exact = |field: Field| {
            let (value, mask) = matches.term(field);
            let slot = field.info().slot?;
            (mask == slot.ones()).then_some(value)
        };
        let byte = |field| exact(field).and_then(|value| u8::try_from(value).ok());
        let (tci, tci_mask) = matches.term(Field::VLAN_TCI);
        Self {
            anything: false,
            eth_type: exact(Field::ETH_TYPE).and_then(|value| u16::try_from(value).ok()),
            nw_proto: byte(Field::NW_PROTO),
            icmp: (byte(Field::ICMP_TYPE), byte(Field::ICMP_CODE)),
            later_fragment: matches.term(Field::IP_FRAG).0 & 2 != 0,
            ct_state: matches.term(Field::CT_STATE),
            ct_nw_proto: byte(Field::CT_NW_PROTO),
            tags: u8::from(tci & tci_mask & TAGGED != 0),
        }
    }

    /// What the match must say for `prerequisite` to hold, if it does not.
    pub(super) fn missing(&self, prerequisite: Prerequisite) -> Option<&'static str> {
        use Prerequisite as P;
        let ok = match prerequisite {
            P::None | P::Ethernet => true,
            P::VlanVid => self.tags > 0,
            P::Mpls => matches!(self.eth_type, Some(0x8847 | 0x8848)),
            P::Ipv4 => self.is_ipv4(),
            P::Ipv6 => self.is_ipv6(),
            P::Ip => self.is_ip(),
            P::Arp => self.is_arp(),
            P::Tcp => self.has_ports() && self.nw_proto == Some(6),
            P::Udp => self.has_ports() && self.nw_proto == Some(17),
            P::Sctp => self.has_ports() && self.nw_proto == Some(132),
            P::Icmpv4 => self.is_ipv4() && self.nw_proto == Some(1),
            P::Icmpv6 => self.is_icmpv6(),
            P::Nd => self.is_nd(&[135, 136]),
            P::NdSolicit => self.is_nd(&[135]),
            P::NdAdvert => self.is_nd(&[136]),
            P::Nsh => self.eth_type == Some(0x894f),
            P::Ct => self.is_ip() && self.in_connection(),
            P::CtIpv4 => self.is_ipv4() && self.in_connection(),
            P::CtIpv6 => self.is_ipv6() && self.in_connection(),
            P::CtPorts => {
                self.is_ip()
                    && self.in_connection()
                    && matches!(self.ct_nw_proto, Some(1 | 6 | 17 | 58 | 132))
            }
        };
        (!ok && !self.anything).then(|| wanted(prerequisite))
    }

    /// An action has put another header in front of what was known, or taken one away.
    pub(super) fn becomes(&mut self, eth_type: Option<u16>) {
        *self = Self {
            eth_type,
            tags: self.tags,
            ..Self::default()
        };
    }

    pub(super) fn is_ip(&self) -> bool {
        self.is_ipv4() || self.is_ipv6()
    }

    pub(super) fn is_ipv4(&self) -> bool {
        self.eth_type == Some(0x0800)
    }

    pub(super) fn is_ipv6(&self) -> bool {
        self.eth_type == Some(0x86dd)
    }

    pub(super) fn is_arp(&self) -> bool {
        matches!(self.eth_type, Some(0x0806 | 0x8035))
    }

    pub(super) fn is_icmp(&self) -> bool {
        self.is_ipv4() && self.nw_proto == Some(1) || self.is_icmpv6()
    }

    /// The Ethernet type, if known.
    pub(super) fn eth_type(&self) -> Option<u16> {
        self.eth_type
    }

    /// The protocol of an IP packet, if known.
    pub(super) fn ip_protocol(&self) -> Option<u8> {
        self.nw_proto.filter(|_| self.is_ip())
    }

    /// Whether something may be said of a packet that nobody has said.
    pub(super) const fn is_anything(&self) -> bool {
        self.anything
    }

    /// Whether the match wants packets that `ct()` found invalid.
    pub(super) fn invalid(&self) -> bool {
        self.ct_state.0 & INV != 0
    }

    /// Whether the packet is known to belong to a connection.
    fn in_connection(&self) -> bool {
        let (value, mask) = self.ct_state;
        value & IN_CONNECTION != 0 || (value & TRK != 0 && mask & INV != 0 && value & INV == 0)
    }

    /// Whether L4 ports can be read.
    fn has_ports(&self) -> bool {
        self.is_ip() && !self.later_fragment
    }

    fn is_icmpv6(&self) -> bool {
        self.is_ipv6() && self.nw_proto == Some(58)
    }

    fn is_nd(&self, types: &[u8]) -> bool {
        self.is_icmpv6()
            && self.icmp.0.is_some_and(|kind| types.contains(&kind))
            && self.icmp.1.is_none_or(|code| code == 0)
    }
}

/// What a match must say for a packet to have a VLAN tag.
pub(super) const A_TAG: &str = "a VLAN tag, such as dl_vlan=5 or vlan_tci=0x1000/0x1000";

/// What a match must say for a packet to have L4 ports.
pub(super) const PORTS: &str = "tcp, udp or sctp (or tcp6, ...), and no later fragment";

fn wanted(prerequisite: Prerequisite) -> &'static str {
    use Prerequisite as P;
    match prerequisite {
        P::None => "nothing",
        P::Ethernet => "eth",
        P::VlanVid => A_TAG,
        P::Mpls => "mpls or mplsm",
        P::Ipv4 => "ip",
        P::Ipv6 => "ipv6",
        P::Ip => "ip or ipv6",
        P::Arp => "arp or rarp",
        P::Tcp => "tcp or tcp6, and no later fragment",
        P::Udp => "udp or udp6, and no later fragment",
        P::Sctp => "sctp or sctp6, and no later fragment",
        P::Icmpv4 => "icmp",
        P::Icmpv6 => "icmp6",
        P::Nd => "icmp6 with icmp_type=135 or icmp_type=136",
        P::NdSolicit => "icmp6 with icmp_type=135",
        P::NdAdvert => "icmp6 with icmp_type=136",
        P::Nsh => "dl_type=0x894f",
        P::Ct => "ip or ipv6, and a ct_state such as +trk-inv or +est",
        P::CtIpv4 => "ip, and a ct_state such as +trk-inv or +est",
        P::CtIpv6 => "ipv6, and a ct_state such as +trk-inv or +est",
        P::CtPorts => {
            "ip or ipv6, a ct_state such as +trk-inv or +est, and a ct_nw_proto with ports"
        }
    }
}
