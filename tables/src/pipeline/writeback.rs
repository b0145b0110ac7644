//! Brings a frame up to date with what actions did to its flow key.

use std::net::{Ipv4Addr, Ipv6Addr};

use weir_nat::rewrite;
use weir_packet::{Frame, L3, L4};

use super::Packet;
use super::vlan::TPID_8021Q;
use crate::drops::DropReason;
use crate::extract::{PacketWords, VLAN_PRESENT};
use crate::field::Field;
use crate::neighbour::{self, Message};

/// A packet in which one of these changes belongs to another connection.
const TUPLE_FIELDS: [Field; 6] = [
    Field::IP_SRC,
    Field::IP_DST,
    Field::IPV6_SRC,
    Field::IPV6_DST,
    Field::TCP_SRC,
    Field::TCP_DST,
];

impl<F: Frame> Packet<F> {
    /// Writes every header field in which `key` differs from `wire`; IP and L4 checksums
    /// are kept right, a wrong one stays wrong.
    ///
    /// # Errors
    /// If a VLAN tag has to be added and cannot be.
    pub(super) fn write_back(&mut self) -> Result<(), DropReason> {
        if TUPLE_FIELDS
            .iter()
            .any(|&field| self.changed(field).is_some())
        {
            self.forget_seen();
        }
        self.reading = None;
        self.write_ethernet();
        match self.layout.l3 {
            L3::Other => {}
            L3::Arp => self.write_arp(),
            L3::Ipv4 => {
                self.write_ipv4();
                self.write_l4();
            }
            L3::Ipv6 => {
                self.write_ipv6();
                self.write_l4();
            }
        }
        self.write_vlan()?;
        // Fields that the frame does not have (an IPv4 address of an ARP-only rule, say) are
        // forgotten here, like a write to a register that is not there.
        Ok(())
    }

    /// The new value of `field` if it was changed.
    fn changed(&self, field: Field) -> Option<u128> {
        let value = self.key().field(field);
        (value != self.wire.field(field)).then_some(value)
    }

    fn write_ethernet(&mut self) {
        let (src, dst) = (self.changed(Field::ETH_SRC), self.changed(Field::ETH_DST));
        let head = self.frame.head_mut();
        if let Some(dst) = dst {
            head[..6].copy_from_slice(&mac_bytes(dst));
        }
        if let Some(src) = src {
            head[6..12].copy_from_slice(&mac_bytes(src));
        }
    }

    fn write_arp(&mut self) {
        let at = usize::from(self.layout.l3_offset);
        let operation = self.changed(Field::ARP_OP);
        let macs = [
            (8, self.changed(Field::ARP_SHA)),
            (18, self.changed(Field::ARP_THA)),
        ];
        let ips = [
            (14, self.changed(Field::ARP_SPA)),
            (24, self.changed(Field::ARP_TPA)),
        ];
        let arp = &mut self.frame.head_mut()[at..];
        if let Some(operation) = operation {
            arp[6..8].copy_from_slice(&(operation as u16).to_be_bytes());
        }
        for (at, mac) in macs {
            if let Some(mac) = mac {
                arp[at..at + 6].copy_from_slice(&mac_bytes(mac));
            }
        }
        for (at, ip) in ips {
            if let Some(ip) = ip {
                arp[at..at + 4].copy_from_slice(&(ip as u32).to_be_bytes());
            }
        }
    }

    fn write_ipv4(&mut self) {
        let layout = self.layout;
        let src = self
            .changed(Field::IP_SRC)
            .map(|value| Ipv4Addr::from_bits(value as u32));
        let dst = self
            .changed(Field::IP_DST)
            .map(|value| Ipv4Addr::from_bits(value as u32));
        let tos = self.changed(Field::NW_TOS).map(|value| value as u8);
        let ttl = self.changed(Field::NW_TTL).map(|value| value as u8);
        let head = self.frame.head_mut();
        if let Some(src) = src {
            rewrite::set_ipv4_src(head, &layout, src);
        }
        if let Some(dst) = dst {
            rewrite::set_ipv4_dst(head, &layout, dst);
        }
        if let Some(tos) = tos {
            rewrite::set_ipv4_tos(head, &layout, tos);
        }
        if let Some(ttl) = ttl {
            rewrite::set_ipv4_ttl(head, &layout, ttl);
        }
    }

    fn write_ipv6(&mut self) {
        let layout = self.layout;
        let src = self.changed(Field::IPV6_SRC).map(Ipv6Addr::from_bits);
        let dst = self.changed(Field::IPV6_DST).map(Ipv6Addr::from_bits);
        let class = self.changed(Field::NW_TOS).map(|value| value as u8);
        let label = self.changed(Field::IPV6_LABEL).map(|value| value as u32);
        let hop_limit = self.changed(Field::NW_TTL).map(|value| value as u8);
        let head = self.frame.head_mut();
        if let Some(src) = src {
            rewrite::set_ipv6_src(head, &layout, src);
        }
        if let Some(dst) = dst {
            rewrite::set_ipv6_dst(head, &layout, dst);
        }
        if let Some(class) = class {
            rewrite::set_ipv6_traffic_class(head, &layout, class);
        }
        if let Some(label) = label {
            rewrite::set_ipv6_flow_label(head, &layout, label);
        }
        if let Some(hop_limit) = hop_limit {
            rewrite::set_ipv6_hop_limit(head, &layout, hop_limit);
        }
    }

    fn write_l4(&mut self) {
        let layout = self.layout;
        if layout.l4 == L4::Icmpv6 {
            self.write_neighbour();
        }
        let src = self.changed(Field::TCP_SRC).map(|value| value as u16);
        let dst = self.changed(Field::TCP_DST).map(|value| value as u16);
        if src.is_none() && dst.is_none() {
            return;
        }
        match layout.l4 {
            L4::None => {}
            L4::Tcp | L4::Udp | L4::Sctp => {
                if let Some(src) = src {
                    rewrite::set_src_port(self.frame.head_mut(), &layout, src);
                }
                if let Some(dst) = dst {
                    rewrite::set_dst_port(self.frame.head_mut(), &layout, dst);
                }
            }
            L4::Icmp | L4::Icmpv6 => {
                let head = self.frame.head_mut();
                if let Some(kind) = src {
                    rewrite::set_icmp_type(head, &layout, kind as u8);
                }
                if let Some(code) = dst {
                    rewrite::set_icmp_code(head, &layout, code as u8);
                }
            }
        }
    }

    /// What is written to a message of Neighbour Discovery that has the field.
    fn write_neighbour(&mut self) {
        let layout = self.layout;
        let Some(message) = Message::read(self.frame.head(), &layout) else {
            return;
        };
        let reserved = self.changed(Field::ND_RESERVED);
        let target = self.changed(Field::ND_TARGET);
        let kind = self.changed(Field::ND_OPTIONS_TYPE);
        let [source, destination] = [Field::ND_SLL, Field::ND_TLL].map(|field| self.changed(field));
        let head = self.frame.head_mut();
        if let Some(reserved) = reserved {
            let bytes = (reserved as u32).to_be_bytes();
            rewrite::set_icmpv6_bytes(head, &layout, neighbour::RESERVED_AT, bytes);
        }
        if let Some(target) = target {
            let bytes = target.to_be_bytes();
            rewrite::set_icmpv6_bytes(head, &layout, neighbour::TARGET_AT, bytes);
        }
        let first = match message.first_type {
            neighbour::SOURCE => message.source,
            _ => message.destination,
        };
        if let (Some(kind), Some(link)) = (kind, first) {
            // One unit of eight bytes.
            let bytes = [kind as u8, 1];
            rewrite::set_icmpv6_bytes(head, &layout, link.at - 2, bytes);
        }
        // As in Open vSwitch an address goes into the option that has its type by then.
        let Some(message) = Message::read(head, &layout) else {
            return;
        };
        for (link, mac) in [(message.source, source), (message.destination, destination)] {
            if let (Some(link), Some(mac)) = (link, mac) {
                rewrite::set_icmpv6_bytes(head, &layout, link.at, mac_bytes(mac));
            }
        }
    }

    /// Last, since a tag moves the headers behind it.
    fn write_vlan(&mut self) -> Result<(), DropReason> {
        let wanted = self.tci();
        let Some(before) = self
            .changed(Field::VLAN_TCI)
            .map(|_| self.wire.field(Field::VLAN_TCI))
        else {
            self.wire = PacketWords::of(self.key());
            return Ok(());
        };
        let had_tag = before as u16 & VLAN_PRESENT != 0;
        match (had_tag, wanted & VLAN_PRESENT != 0) {
            (true, true) => {
                self.write_tci(wanted);
                self.wire = PacketWords::of(self.key());
            }
            (false, true) => self.push_tag(TPID_8021Q, wanted)?,
            (true, false) => self.pop_tag(),
            // Bits of a tag that is not there.
            (false, false) => self.key_mut().set_field(Field::VLAN_TCI, 0),
        }
        Ok(())
    }
}

fn mac_bytes(value: u128) -> [u8; 6] {
    let bytes = (value as u64).to_be_bytes();
    std::array::from_fn(|at| bytes[at + 2])
}
