//! Prints matches. The order of fields is that of Open vSwitch.

use std::fmt;

use weir_tables::field::Field;
use weir_tables::matching::Match;

use super::value;
use crate::text::names::PROTOCOLS;
use crate::text::port::PortLabels;

/// `priority` and the match, separated by commas.
pub(super) fn write(
    f: &mut fmt::Formatter<'_>,
    matches: &Match,
    priority: Option<u16>,
    labels: &PortLabels,
) -> fmt::Result {
    let mut out = Printer {
        f,
        matches,
        labels,
        first: true,
    };
    if let Some(priority) = priority {
        out.item(format_args!("priority={priority}"))?;
    }
    for field in BEFORE_PROTOCOL {
        out.field(field.name(), field)?;
    }
    let kind = Kind::of(matches);
    if let Some(name) = kind.name {
        out.item(format_args!("{name}"))?;
    }
    for field in (0..32).map(Field::reg) {
        out.field(field.name(), field)?;
    }
    for field in TUNNEL {
        out.field(field.name(), field)?;
    }
    out.options()?;
    out.field("metadata", Field::METADATA)?;
    out.field("in_port", Field::IN_PORT_OXM)?;
    out.vlan()?;
    out.field("dl_src", Field::ETH_SRC)?;
    out.field("dl_dst", Field::ETH_DST)?;
    if kind.name.is_none() {
        let (eth_type, mask) = matches.term(Field::ETH_TYPE);
        if mask != 0 {
            out.item(format_args!("dl_type={eth_type:#06x}"))?;
        }
    }
    out.network(&kind)?;
    for field in MPLS {
        out.field(field.name(), field)?;
    }
    out.field("nw_frag", Field::IP_FRAG)?;
    out.transport(&kind)
}

const BEFORE_PROTOCOL: [Field; 18] = [
    Field::PKT_MARK,
    Field::RECIRC_ID,
    Field::DP_HASH,
    Field::CONJ_ID,
    Field::SKB_PRIORITY,
    Field::ACTSET_OUTPUT,
    Field::CT_STATE,
    Field::CT_ZONE,
    Field::CT_MARK,
    Field::CT_LABEL,
    Field::CT_NW_SRC,
    Field::CT_IPV6_SRC,
    Field::CT_NW_DST,
    Field::CT_IPV6_DST,
    Field::CT_NW_PROTO,
    Field::CT_TP_SRC,
    Field::CT_TP_DST,
    Field::PACKET_TYPE,
];

const TUNNEL: [Field; 16] = [
    Field::TUN_ID,
    Field::TUN_SRC,
    Field::TUN_DST,
    Field::TUN_IPV6_SRC,
    Field::TUN_IPV6_DST,
    Field::TUN_GBP_ID,
    Field::TUN_GBP_FLAGS,
    Field::TUN_TOS,
    Field::TUN_TTL,
    Field::TUN_ERSPAN_VER,
    Field::TUN_ERSPAN_IDX,
    Field::TUN_ERSPAN_DIR,
    Field::TUN_ERSPAN_HWID,
    Field::TUN_GTPU_FLAGS,
    Field::TUN_GTPU_MSGTYPE,
    Field::TUN_FLAGS,
];

const MPLS: [Field; 4] = [
    Field::MPLS_LABEL,
    Field::MPLS_TC,
    Field::MPLS_TTL,
    Field::MPLS_BOS,
];

const NSH: [Field; 10] = [
    Field::NSH_FLAGS,
    Field::NSH_TTL,
    Field::NSH_MDTYPE,
    Field::NSH_NP,
    Field::NSH_SPI,
    Field::NSH_SI,
    Field::NSH_C1,
    Field::NSH_C2,
    Field::NSH_C3,
    Field::NSH_C4,
];

/// What the match says of protocols.
struct Kind {
    /// The shorthand for all of it.
    name: Option<&'static str>,
    /// Whether the shorthand does not say the IP protocol that is matched.
    protocol_unsaid: bool,
    arp: bool,
    icmp: bool,
    icmp6: bool,
}

impl Kind {
    fn of(matches: &Match) -> Self {
        let (eth_type, eth_mask) = matches.term(Field::ETH_TYPE);
        let (protocol, protocol_mask) = matches.term(Field::NW_PROTO);
        let exact = eth_mask == 0xffff;
        let protocol_exact = protocol_mask == 0xff;
        let shorthand = |protocol: Option<u128>| {
            PROTOCOLS
                .iter()
                .find(|row| {
                    u128::from(row.1) == eth_type && row.2.map(u128::from) == protocol && exact
                })
                .map(|row| row.0)
        };
        let ip = exact && matches!(eth_type, 0x0800 | 0x86dd);
        let full = shorthand(Some(protocol)).filter(|_| protocol_exact);
        Self {
            name: full.or_else(|| shorthand(None)),
            protocol_unsaid: full.is_none() && protocol_mask != 0,
            arp: exact && matches!(eth_type, 0x0806 | 0x8035),
            icmp6: exact && eth_type == 0x86dd && protocol_exact && protocol == 58,
            icmp: ip && protocol_exact && protocol == if eth_type == 0x0800 { 1 } else { 58 },
        }
    }
}

struct Printer<'f, 'g, 'm> {
    f: &'f mut fmt::Formatter<'g>,
    matches: &'m Match,
    labels: &'m PortLabels,
    first: bool,
}

impl Printer<'_, '_, '_> {
    fn item(&mut self, text: fmt::Arguments<'_>) -> fmt::Result {
        if !std::mem::take(&mut self.first) {
            self.f.write_str(",")?;
        }
        self.f.write_fmt(text)
    }

    /// `name=VALUE` if the match says anything of `field`.
    fn field(&mut self, name: &str, field: Field) -> fmt::Result {
        let (value, mask) = self.matches.term(field);
        if mask == 0 {
            return Ok(());
        }
        self.item(format_args!("{name}="))?;
        match field {
            Field::IPV6_LABEL if mask == 0xf_ffff => write!(self.f, "{value:#07x}"),
            Field::IPV6_LABEL => write!(self.f, "{value:#07x}/{mask:#07x}"),
            Field::NSH_FLAGS if mask != 0xff => write!(self.f, "{value:#04x}/{mask:#04x}"),
            // A masked number of 16 bits is hexadecimal even where it is zero.
            Field::TCP_SRC
            | Field::TCP_DST
            | Field::CT_TP_SRC
            | Field::CT_TP_DST
            | Field::TUN_GBP_ID
                if mask != 0xffff =>
            {
                write!(self.f, "{value:#x}/{mask:#x}")
            }
            // As a zone of `ct()` is written, though not as the field's value is.
            Field::CT_ZONE if mask == 0xffff => write!(self.f, "{value}"),
            Field::IN_PORT_OXM if self.labels.knows(value::port(value)) => {
                write!(self.f, "{}", self.labels.text(value::port(value)))
            }
            // Unlike as a value to write, a single flag is shown with its sign.
            Field::TUN_FLAGS => self.f.write_str(if value == 0 { "-oam" } else { "+oam" }),
            _ => value::write(self.f, field, value, mask),
        }
    }

    /// The `tun_metadata` fields: one that only has to be there has no value.
    fn options(&mut self) -> fmt::Result {
        for term in self.matches.options() {
            self.item(format_args!("{}", term.field.name()))?;
            if !term.mask.is_zero() {
                self.f.write_str("=")?;
                value::wide(self.f, term.field, &term.value, &term.mask)?;
            }
        }
        Ok(())
    }

    fn vlan(&mut self) -> fmt::Result {
        let (tci, mask) = self.matches.term(Field::VLAN_TCI);
        if mask == 0 {
            return Ok(());
        }
        let (vid, priority) = (mask & 0xfff, mask & 0xe000);
        let plain = tci & mask & 0x1000 != 0
            && matches!(vid, 0 | 0xfff)
            && matches!(priority, 0 | 0xe000)
            && vid | priority != 0;
        if !plain {
            return match mask {
                0xffff => self.item(format_args!("vlan_tci={tci:#06x}")),
                _ => self.item(format_args!("vlan_tci={tci:#06x}/{mask:#06x}")),
            };
        }
        if vid != 0 {
            self.item(format_args!("dl_vlan={}", tci & 0xfff))?;
        }
        if priority != 0 {
            self.item(format_args!("dl_vlan_pcp={}", tci >> 13))?;
        }
        Ok(())
    }

    fn network(&mut self, kind: &Kind) -> fmt::Result {
        self.field("ipv6_src", Field::IPV6_SRC)?;
        self.field("ipv6_dst", Field::IPV6_DST)?;
        self.field("ipv6_label", Field::IPV6_LABEL)?;
        if kind.arp {
            self.field("arp_spa", Field::ARP_SPA)?;
            self.field("arp_tpa", Field::ARP_TPA)?;
        } else if !kind.icmp6 {
            self.field("nw_src", Field::IP_SRC)?;
            self.field("nw_dst", Field::IP_DST)?;
        }
        for field in NSH {
            self.field(field.name(), field)?;
        }
        self.field("arp_op", Field::ARP_OP)?;
        if kind.protocol_unsaid {
            self.field("nw_proto", Field::NW_PROTO)?;
        }
        if kind.arp {
            self.field("arp_sha", Field::ARP_SHA)?;
            self.field("arp_tha", Field::ARP_THA)?;
        }
        let (dscp, mask) = self.matches.term(Field::IP_DSCP);
        match mask {
            0 => {}
            0x3f => self.item(format_args!("nw_tos={}", dscp << 2))?,
            _ => self.item(format_args!("nw_tos={:#x}/{:#x}", dscp << 2, mask << 2))?,
        }
        self.field("nw_ecn", Field::NW_ECN)?;
        self.field("nw_ttl", Field::NW_TTL)
    }

    fn transport(&mut self, kind: &Kind) -> fmt::Result {
        if kind.icmp {
            self.field("icmp_type", Field::ICMP_TYPE)?;
            self.field("icmp_code", Field::ICMP_CODE)?;
        } else {
            self.field("tp_src", Field::TCP_SRC)?;
            self.field("tp_dst", Field::TCP_DST)?;
        }
        if !kind.arp {
            self.field("nd_target", Field::ND_TARGET)?;
            self.field("nd_sll", Field::ND_SLL)?;
            self.field("nd_tll", Field::ND_TLL)?;
        }
        if kind.icmp6 {
            self.field("nd_reserved", Field::ND_RESERVED)?;
            return self.field("nd_options_type", Field::ND_OPTIONS_TYPE);
        }
        self.field("tcp_flags", Field::TCP_FLAGS)
    }
}
