//! Reads the match of a flow.

use weir_tables::field::{Field, Masking, Prerequisite};
use weir_tables::matching::Match;
use weir_tables::program::check_field;
use weir_tables::wide::Wide;

use super::action::{Unexecuted, lacks};
use super::context::{Context, PORTS};
use super::error::Fault;
use super::names;
use super::number;
use super::option;
use super::port::PortNames;
use super::scan::{Form, Pair, Tok};
use super::value;

/// Collects the terms of a match; prerequisites are checked when all are there.
#[derive(Debug, Default)]
pub(super) struct MatchBuilder<'a> {
    terms: Vec<Term<'a>>,
    options: Vec<OptionMatch>,
}

#[derive(Clone, Copy, Debug)]
struct Term<'a> {
    field: Field,
    value: u128,
    mask: u128,
    /// Whether the rest of the field stays as it is.
    part: bool,
    key: Tok<'a>,
    whole: Tok<'a>,
}

/// What is asked of a `tun_metadata` field.
#[derive(Debug)]
struct OptionMatch {
    field: Field,
    value: Wide,
    mask: Wide,
}

impl<'a> MatchBuilder<'a> {
    /// Takes `pair` if it belongs to a match.
    pub(super) fn take(&mut self, pair: &Pair<'a>, ports: &dyn PortNames) -> Result<bool, Fault> {
        let key = pair.key;
        if let Some(&(_, eth_type, protocol)) =
            names::PROTOCOLS.iter().find(|(name, ..)| *name == key.text)
        {
            pair.bare()?;
            self.push(pair, Field::ETH_TYPE, u128::from(eth_type), 0xffff);
            if let Some(protocol) = protocol {
                self.push(pair, Field::NW_PROTO, u128::from(protocol), 0xff);
            }
            return Ok(true);
        }
        if key.text == "eth" {
            pair.bare()?;
            return Ok(true);
        }
        if key.text.contains('[') {
            self.subfield(pair)?;
            return Ok(true);
        }
        let Some(field) = Field::by_name(key.text) else {
            return Ok(false);
        };
        if field.option().is_some() && pair.form != Form::Parenthesised {
            let (value, mask) = option::masked(field, pair.value)?;
            self.option(pair, field, value, mask)?;
            return Ok(true);
        }
        if pair.form == Form::Parenthesised || pair.value.is_empty() {
            return Err(pair.whole.fault(format!("{} needs a value", key.text)));
        }
        self.field(pair, field, ports)?;
        Ok(true)
    }

    /// The fields that are not executed.
    pub(super) fn unexecuted(&self) -> Vec<Unexecuted> {
        let terms = self.terms.iter().filter(|term| term.mask != 0);
        terms
            .filter_map(|term| {
                let error = check_field(term.field).err()?;
                Some(Unexecuted::new(term.whole, error.to_string()))
            })
            .collect()
    }

    /// The match, if the prerequisites of each field are met.
    pub(super) fn finish(mut self) -> Result<Match, Fault> {
        self.resolve_arp_operations();
        self.resolve_icmp_ports()?;
        let matches = self.build();
        let context = Context::of(&matches);
        for term in self.terms.iter().filter(|term| term.mask != 0) {
            if let Some(missing) = missing(term.field, &context) {
                return Err(lacks(term.key, term.key.text, missing));
            }
        }
        Ok(matches)
    }

    /// In ARP, `nw_proto` is the operation: old dumps write it so.
    fn resolve_arp_operations(&mut self) {
        if !Context::of(&self.build()).is_arp() {
            return;
        }
        for term in &mut self.terms {
            if matches!(term.key.text, "nw_proto" | "ip_proto") {
                term.field = Field::ARP_OP;
                term.mask = if term.mask == 0 { 0 } else { 0xffff };
            }
        }
    }

    /// A port of ICMP is its type or code.
    fn resolve_icmp_ports(&mut self) -> Result<(), Fault> {
        if !Context::of(&self.build()).is_icmp() {
            return Ok(());
        }
        for term in &mut self.terms {
            let field = match term.key.text {
                "tp_src" => Field::ICMP_TYPE,
                "tp_dst" => Field::ICMP_CODE,
                _ => continue,
            };
            if term.mask != 0 && (term.mask != 0xffff || term.value > 0xff) {
                let message = format!("{} of ICMP out of range", term.key.text);
                let hint = "it is a type or a code: expected 0 to 255";
                return Err(term.whole.fault(message).hint(hint));
            }
            term.field = field;
            term.mask &= 0xff;
        }
        Ok(())
    }

    /// A `tun_metadata` field.
    fn option(
        &mut self,
        pair: &Pair<'a>,
        field: Field,
        value: Wide,
        mask: Wide,
    ) -> Result<(), Fault> {
        if self.options.iter().any(|other| other.field == field) {
            let message = format!("{} is given twice", field.name());
            return Err(pair.key.fault(message).hint("write it once, with a mask"));
        }
        self.options.push(OptionMatch { field, value, mask });
        Ok(())
    }

    fn push(&mut self, pair: &Pair<'a>, field: Field, value: u128, mask: u128) {
        let (key, whole) = (pair.key, pair.whole);
        self.terms.push(Term {
            field,
            value,
            mask,
            part: false,
            key,
            whole,
        });
    }

    /// `FIELD[A..B]=VALUE`
    fn subfield(&mut self, pair: &Pair<'a>) -> Result<(), Fault> {
        let sub = value::subfield(pair.key)?;
        let tok = pair.required("a value")?;
        if sub.field.option().is_some() {
            let value = option::fitting(tok, sub.width)?.shifted_up(sub.start);
            let mask = option::ones_of(sub);
            return self.option(pair, sub.field, value, mask);
        }
        let max = u128::MAX >> (128 - u32::from(sub.width));
        let number = number::integer(tok)?;
        if number > max {
            let fault = tok.fault(format!(
                "value does not fit into {}",
                value::bits(sub.width)
            ));
            return Err(fault.hint(format!("expected at most {max:#x}")));
        }
        let (value, mask) = (number << sub.start, max << sub.start);
        if mask != value::ones(sub.field) && sub.field.info().masking == Masking::Exact {
            return Err(pair
                .key
                .fault(format!("{} takes no mask", sub.field.name())));
        }
        let from = self.terms.len();
        self.known(pair, sub.field, value, mask)?;
        for term in &mut self.terms[from..] {
            term.part = true;
        }
        Ok(())
    }

    fn field(&mut self, pair: &Pair<'a>, field: Field, ports: &dyn PortNames) -> Result<(), Fault> {
        if field == Field::DL_VLAN && number::integer(pair.value).is_ok_and(|vid| vid == 0xffff) {
            // OpenFlow 1.0 wrote "no tag" so.
            self.push(pair, Field::VLAN_TCI, 0, 0x1fff);
            return Ok(());
        }
        let (value, mask) = value::masked(field, pair.key.text, pair.value, ports)?;
        self.known(pair, field, value, mask)
    }

    /// Brings `field` to the form in which the flow key has it.
    fn known(
        &mut self,
        pair: &Pair<'a>,
        field: Field,
        value: u128,
        mask: u128,
    ) -> Result<(), Fault> {
        if mask == 0 {
            let field = match field {
                Field::IN_PORT => Field::IN_PORT_OXM,
                Field::DL_VLAN => Field::VLAN_VID,
                Field::DL_VLAN_PCP => Field::VLAN_PCP,
                Field::NW_TOS => Field::IP_DSCP,
                _ => field,
            };
            self.push(pair, field, 0, 0);
            return Ok(());
        }
        match field {
            Field::IN_PORT => {
                // Reserved ports have 32 bits in the key.
                let value = if value >= 0xff00 {
                    value | 0xffff_0000
                } else {
                    value
                };
                self.push(pair, Field::IN_PORT_OXM, value, 0xffff_ffff);
            }
            Field::DL_VLAN => self.push(pair, Field::VLAN_VID, value | 0x1000, 0x1fff),
            Field::DL_VLAN_PCP | Field::VLAN_PCP => {
                self.push(pair, Field::VLAN_PCP, value, mask);
                self.push(pair, Field::VLAN_TCI, 0x1000, 0x1000);
                if let Some(term) = self.terms.last_mut() {
                    term.part = true;
                }
            }
            // All bits of a tag, or none: the priority of no tag means nothing.
            Field::VLAN_TCI if mask == 0xffff && value == 0 => {
                self.push(pair, field, 0, 0x1fff);
            }
            Field::VLAN_TCI if mask == 0xffff && value & 0x1000 == 0 => {
                let fault = pair
                    .value
                    .fault("vlan_tci without the bit that says there is a tag");
                return Err(fault.hint(format!("expected 0, or {:#06x}", value | 0x1000)));
            }
            Field::NW_TOS => {
                if value & 3 != 0 {
                    let fault = pair.value.fault("nw_tos is not a multiple of 4");
                    return Err(fault.hint("its low two bits are matched by nw_ecn"));
                }
                self.push(pair, Field::IP_DSCP, value >> 2, 0x3f);
            }
            Field::ARP_OP => self.push(pair, field, value, 0xffff),
            Field::NSH_MDTYPE if !(1..=2).contains(&value) => {
                return Err(pair
                    .value
                    .fault("nsh_mdtype out of range")
                    .hint("expected 1 or 2"));
            }
            // Each packet is an Ethernet packet.
            Field::PACKET_TYPE if value == 0 => {}
            _ => self.push(pair, field, value, mask),
        }
        Ok(())
    }

    fn build(&self) -> Match {
        let mut matches = Match::ANY;
        for term in &self.terms {
            if !term.part {
                matches.clear(term.field);
            }
            if term.mask != 0 {
                matches.set(term.field, term.value, term.mask);
            }
        }
        for OptionMatch { field, value, mask } in &self.options {
            matches.set_option(*field, value, mask);
        }
        matches
    }
}

/// What the match must have for `field` to be matched, if it does not. Fields that share bits
/// of the key stand for each other, so `udp,tcp_dst=53` is what it is in Open vSwitch.
fn missing(field: Field, context: &Context) -> Option<&'static str> {
    use Prerequisite as P;
    let (any_of, wanted): (&[P], _) = match field {
        Field::TCP_SRC
        | Field::TCP_DST
        | Field::UDP_SRC
        | Field::UDP_DST
        | Field::SCTP_SRC
        | Field::SCTP_DST => (&[P::Tcp, P::Udp, P::Sctp], PORTS),
        Field::ICMP_TYPE | Field::ICMP_CODE | Field::ICMPV6_TYPE | Field::ICMPV6_CODE => {
            (&[P::Icmpv4, P::Icmpv6], "icmp or icmp6")
        }
        Field::IP_SRC | Field::IP_DST => (&[P::Ipv4, P::Arp], "ip"),
        Field::ARP_SPA | Field::ARP_TPA => (&[P::Arp, P::Ipv4], "arp or rarp"),
        // A VLAN tag is part of these matches.
        Field::VLAN_PCP | Field::VLAN_VID | Field::VLAN_TCI => return None,
        _ => return context.missing(field.info().prerequisite),
    };
    let met = any_of
        .iter()
        .any(|&prerequisite| context.missing(prerequisite).is_none());
    (!met).then_some(wanted)
}
