//! The field registry: one row per match field, shared by parser, printer, flow key,
//! actions and documentation.
//!
//! Names, widths, prerequisites and wire names are those of `ovs-fields(7)`. Fields that
//! Open vSwitch overlays (`tcp_src`, `udp_src`, `icmp_type`; `ip_src`, `arp_spa`; the
//! registers) share their bits of the [flow key](crate::key::FlowKey) here too, so
//! `udp,tp_dst=53` means what its author meant.
//!
//! Cost: a lookup by [`Field`] is an array index; by name, a hash lookup (control plane only).

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::key::{Slot, word};

mod rows;
#[cfg(test)]
mod tests;

/// A match field: an index into the registry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Field(u8);

/// Everything the registry knows of a field.
#[derive(Debug)]
pub struct FieldInfo {
    /// The name `set_field` prints, e.g. `eth_src`.
    pub name: &'static str,
    /// Other names accepted, e.g. `dl_src`.
    pub aliases: &'static [&'static str],
    /// Significant bits.
    pub width: u16,
    /// Which masks a match may use.
    pub masking: Masking,
    /// How a value is written.
    pub format: Format,
    /// What a packet must be for the field to exist.
    pub prerequisite: Prerequisite,
    /// Who may write it.
    pub access: Access,
    /// Wire names (NXM/OXM); the first is what `load` and `move` print.
    pub wire_names: &'static [&'static str],
    /// Where it lies in the flow key; `None`: that of a `tun_metadata` field is for a
    /// [`TlvMap`](crate::tunnel::options::TlvMap) to say; any other is parsed and printed but not
    /// executed, and a policy that uses it is refused.
    pub slot: Option<Slot>,
}

/// Which masks a match on a field may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Masking {
    /// All bits or none.
    Exact,
    /// Any bits.
    Bitwise,
}

/// How a field's value is written in flow text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Decimal.
    Dec,
    /// Hexadecimal with `0x`.
    Hex,
    /// `aa:bb:cc:dd:ee:ff`.
    Ethernet,
    /// Dotted quad, `/len` or `/mask`.
    Ipv4,
    /// RFC 5952, `/len` or `/mask`.
    Ipv6,
    /// `+trk-new`.
    CtState,
    /// `+syn-ack`.
    TcpFlags,
    /// `no`, `yes`, `first`, `later`, `not_later`.
    Fragment,
    /// A port number or a reserved port's name.
    Port,
    /// `+oam`.
    TunnelFlags,
    /// `(namespace,type)`.
    PacketType,
    /// A number of as many bytes as an option has, in hexadecimal with `0x`.
    Bytes,
}

/// What a packet must be for a field to exist (`ovs-fields(7)`, "Prerequisites").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prerequisite {
    /// Always there.
    None,
    /// An Ethernet packet.
    Ethernet,
    /// A VLAN tag.
    VlanVid,
    /// `eth_type` 0x8847 or 0x8848.
    Mpls,
    /// `eth_type` 0x0800.
    Ipv4,
    /// `eth_type` 0x86dd.
    Ipv6,
    /// IPv4 or IPv6.
    Ip,
    /// `eth_type` 0x0806 or 0x8035.
    Arp,
    /// IP with `nw_proto` 6.
    Tcp,
    /// IP with `nw_proto` 17.
    Udp,
    /// IP with `nw_proto` 132.
    Sctp,
    /// IPv4 with `nw_proto` 1.
    Icmpv4,
    /// IPv6 with `nw_proto` 58.
    Icmpv6,
    /// ICMPv6 type 135 or 136, code 0.
    Nd,
    /// ICMPv6 type 135, code 0.
    NdSolicit,
    /// ICMPv6 type 136, code 0.
    NdAdvert,
    /// `eth_type` 0x894f.
    Nsh,
    /// IP and a ct_state that implies a valid connection tuple.
    Ct,
    /// As `Ct`, with IPv4.
    CtIpv4,
    /// As `Ct`, with IPv6.
    CtIpv6,
    /// As `Ct`, with a protocol that has ports or an ICMP type.
    CtPorts,
}

/// Who may write a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nobody.
    ReadOnly,
    /// `set_field`, `load`, `move`.
    ReadWrite,
    /// The same, but only inside `ct(commit,exec(...))`.
    CtExec,
}

impl Field {
    /// The registry's row.
    pub fn info(self) -> &'static FieldInfo {
        &rows::ROWS[usize::from(self.0)]
    }

    /// The name `set_field` prints.
    pub fn name(self) -> &'static str {
        self.info().name
    }

    /// Register `number`.
    ///
    /// # Panics
    /// If `number` is above 31.
    pub const fn reg(number: u8) -> Self {
        assert!(number < 32, "there are 32 registers");
        Self(Self::REG0.0 + number)
    }

    /// `tun_metadata` field `number`.
    ///
    /// # Panics
    /// If `number` is above 63.
    pub const fn tun_metadata(number: u8) -> Self {
        assert!(number < 64, "there are 64 fields for options");
        Self(Self::TUN_METADATA0.0 + number)
    }

    /// Which `tun_metadata` field it is; `None`: it is another.
    pub const fn option(self) -> Option<u8> {
        match self.0.checked_sub(Self::TUN_METADATA0.0) {
            Some(number) if number < 64 => Some(number),
            Some(_) | None => None,
        }
    }

    /// All fields, in the registry's order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..u8::try_from(rows::ROWS.len()).expect("fewer than 256 rows")).map(Self)
    }

    /// Finds a field by name or alias, without regard to case.
    pub fn by_name(name: &str) -> Option<Self> {
        static INDEX: LazyLock<HashMap<String, Field>> = LazyLock::new(|| {
            Field::all()
                .flat_map(|field| {
                    let info = field.info();
                    std::iter::once(info.name)
                        .chain(info.aliases.iter().copied())
                        .map(move |name| (name.to_owned(), field))
                })
                .collect()
        });
        INDEX.get(name.to_ascii_lowercase().as_str()).copied()
    }

    /// Finds a field by one of its NXM or OXM names, without regard to case.
    pub fn by_wire_name(name: &str) -> Option<Self> {
        static INDEX: LazyLock<HashMap<&'static str, Field>> = LazyLock::new(|| {
            Field::all()
                .flat_map(|field| {
                    field
                        .info()
                        .wire_names
                        .iter()
                        .map(move |name| (*name, field))
                })
                .collect()
        });
        INDEX.get(name.to_ascii_uppercase().as_str()).copied()
    }
}

impl std::fmt::Debug for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
