//! Actions that write fields.

use weir_tables::action::{Action, Subfield};
use weir_tables::field::{Access, Field, Prerequisite};
use weir_tables::wide::Wide;

use super::{ActionReader, Within, lacks};
use crate::text::address;
use crate::text::context::{A_TAG, PORTS};
use crate::text::error::Fault;
use crate::text::names;
use crate::text::number;
use crate::text::option;
use crate::text::scan::{Pair, Pairs, Tok};
use crate::text::value;

impl ActionReader<'_> {
    /// The short-hands that OpenFlow 1.3 writes as `set_field`, and actions on tags and TTL.
    /// Returns whether `key` is one of them.
    pub(super) fn header_action(
        &mut self,
        key: &str,
        pair: &Pair<'_>,
        within: Within,
        out: &mut Vec<Action>,
    ) -> Result<bool, Fault> {
        let number = |what, max| number::ranged(pair.required("a number")?, what, 0, max);
        match key {
            "mod_dl_src" => self.set(pair, Field::ETH_SRC, mac(pair)?, out)?,
            "mod_dl_dst" => self.set(pair, Field::ETH_DST, mac(pair)?, out)?,
            "mod_nw_src" => self.set(pair, Field::IP_SRC, ipv4(pair)?, out)?,
            "mod_nw_dst" => self.set(pair, Field::IP_DST, ipv4(pair)?, out)?,
            "mod_nw_tos" => {
                let tos = number("TOS", 0xff)?;
                if tos & 3 != 0 {
                    return Err(pair.value.fault("TOS is not a multiple of 4"));
                }
                self.set(pair, Field::IP_DSCP, tos >> 2, out)?;
            }
            "mod_nw_ecn" => self.set(pair, Field::NW_ECN, number("ECN", 3)?, out)?,
            "mod_nw_ttl" | "set_nw_ttl" => {
                self.set(pair, Field::NW_TTL, number("TTL", 0xff)?, out)?;
            }
            "mod_tp_src" => {
                let fields = [Field::TCP_SRC, Field::UDP_SRC, Field::SCTP_SRC];
                self.set(
                    pair,
                    self.port_field(pair, fields)?,
                    number("port", 0xffff)?,
                    out,
                )?;
            }
            "mod_tp_dst" => {
                let fields = [Field::TCP_DST, Field::UDP_DST, Field::SCTP_DST];
                self.set(
                    pair,
                    self.port_field(pair, fields)?,
                    number("port", 0xffff)?,
                    out,
                )?;
            }
            "mod_vlan_vid" | "set_vlan_vid" => {
                let vid = number("VLAN", 0xfff)?;
                self.push_tag_for(key, pair, out)?;
                self.set(pair, Field::VLAN_VID, vid | 0x1000, out)?;
            }
            "mod_vlan_pcp" | "set_vlan_pcp" => {
                let priority = number("VLAN priority", 7)?;
                self.push_tag_for(key, pair, out)?;
                self.set(pair, Field::VLAN_PCP, priority, out)?;
            }
            "strip_vlan" | "pop_vlan" => {
                pair.bare()?;
                if self.context.tags == 0 && within != Within::Set {
                    return Err(lacks(pair.whole, key, A_TAG));
                }
                self.context.tags = self.context.tags.saturating_sub(1);
                out.push(Action::PopVlan);
            }
            "push_vlan" => out.push(self.push_vlan(pair)?),
            "dec_ttl" => {
                let controllers = controllers(pair)?;
                if !self.context.is_ip() && within != Within::Set {
                    return Err(lacks(pair.whole, key, "ip or ipv6"));
                }
                out.push(Action::DecTtl(controllers));
            }
            "set_tunnel" | "set_tunnel64" => {
                let id = number("tunnel ID", u128::from(u64::MAX))?;
                self.set(pair, Field::TUN_ID, id, out)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Writes a whole field whose value is in range.
    pub(super) fn set(
        &mut self,
        pair: &Pair<'_>,
        field: Field,
        value: u128,
        out: &mut Vec<Action>,
    ) -> Result<(), Fault> {
        if let Some(missing) = self.missing(field.info().prerequisite) {
            return Err(lacks(pair.whole, pair.key.text, missing));
        }
        out.push(Action::SetField {
            field,
            value,
            mask: value::writable(field),
        });
        Ok(())
    }

    pub(super) fn set_field(
        &mut self,
        pair: &Pair<'_>,
        within: Within,
        out: &mut Vec<Action>,
    ) -> Result<(), Fault> {
        let (value_tok, dst_tok) = arrow(pair)?;
        let Some(field) = Field::by_name(dst_tok.text) else {
            let name = dst_tok.text.split('[').next().unwrap_or("");
            let fault = names::unknown_field(dst_tok);
            return Err(
                match Field::by_wire_name(name).or_else(|| Field::by_name(name)) {
                    Some(field) => {
                        let name = field.name();
                        fault.hint(format!(
                            "set_field writes {name}, or bits of it with VALUE/MASK"
                        ))
                    }
                    None => fault,
                },
            );
        };
        self.writable(dst_tok, field, within)?;
        if field.option().is_some() {
            let (value, mask) = option::masked(field, value_tok)?;
            set_option(field, value, mask, out);
            return Ok(());
        }
        let (value, mask) = value::masked(field, field.name(), value_tok, self.ports)?;
        let whole = mask == value::ones(field) || mask == value::writable(field);
        match field {
            Field::VLAN_VID if value & 0x1000 == 0 => {
                let fault = value_tok.fault("vlan_vid without the bit that says there is a tag");
                return Err(fault.hint(format!("add 4096, or write mod_vlan_vid:{value}")));
            }
            Field::NW_TOS if value & 3 != 0 => {
                return Err(value_tok.fault("nw_tos is not a multiple of 4"));
            }
            Field::VLAN_TCI if mask & 0x1000 != 0 => {
                self.context.tags = u8::from(value & 0x1000 != 0);
            }
            _ => {}
        }
        if whole {
            out.push(Action::SetField {
                field,
                value,
                mask: value::writable(field),
            });
        } else {
            loads(field, value, mask & value::ones(field), out);
        }
        Ok(())
    }

    pub(super) fn load(
        &mut self,
        pair: &Pair<'_>,
        within: Within,
        out: &mut Vec<Action>,
    ) -> Result<(), Fault> {
        let (value_tok, dst_tok) = arrow(pair)?;
        let dst = value::subfield(dst_tok)?;
        self.writable(dst_tok, dst.field, within)?;
        if dst.field.option().is_some() {
            let value = option::fitting(value_tok, dst.width)?.shifted_up(dst.start);
            set_option(dst.field, value, option::ones_of(dst), out);
            return Ok(());
        }
        let value = number::integer(value_tok)?;
        let max = u128::MAX >> (128 - u32::from(dst.width));
        if value > max {
            let fault = value_tok.fault(format!(
                "value does not fit into {}",
                value::bits(dst.width)
            ));
            return Err(fault.hint(format!("expected at most {max:#x}")));
        }
        let (value, mask) = (value << dst.start, max << dst.start);
        if dst.field == Field::VLAN_TCI && mask & 0x1000 != 0 {
            self.context.tags = u8::from(value & 0x1000 != 0);
        }
        loads(dst.field, value, mask, out);
        Ok(())
    }

    /// `delete_field:tun_metadataN`
    pub(super) fn delete_field(&self, pair: &Pair<'_>) -> Result<Action, Fault> {
        let tok = pair.required("a field")?;
        let field = value::field(tok)?;
        if field.option().is_some() {
            return Ok(Action::DeleteField(field));
        }
        let fault = tok.fault(format!("{} cannot be taken from a packet", field.name()));
        Err(fault.hint("expected tun_metadata0 to tun_metadata63"))
    }

    pub(super) fn move_bits(&self, pair: &Pair<'_>, within: Within) -> Result<Action, Fault> {
        let (src_tok, dst_tok) = arrow(pair)?;
        let (src, dst) = (value::subfield(src_tok)?, value::subfield(dst_tok)?);
        self.readable(src_tok, src.field)?;
        self.writable(dst_tok, dst.field, within)?;
        if src.width != dst.width {
            return Err(pair.value.fault(format!(
                "source is {} bits wide, destination {}",
                src.width, dst.width
            )));
        }
        Ok(Action::Move { src, dst })
    }

    /// Whether `field` can be read by an action.
    pub(super) fn readable(&self, tok: Tok<'_>, field: Field) -> Result<(), Fault> {
        if field.info().wire_names.is_empty() {
            return Err(tok.fault(format!("{} cannot be read by an action", field.name())));
        }
        match self.missing(field.info().prerequisite) {
            // The tag's number is 0 without a tag.
            Some(_) if field == Field::VLAN_VID => Ok(()),
            Some(missing) => Err(lacks(tok, field.name(), missing)),
            None => Ok(()),
        }
    }

    pub(super) fn writable(&self, tok: Tok<'_>, field: Field, within: Within) -> Result<(), Fault> {
        let info = field.info();
        let name = info.name;
        match (info.access, within) {
            (Access::ReadOnly, _) => return Err(tok.fault(format!("{name} is read-only"))),
            (Access::CtExec, Within::Apply | Within::Set | Within::Clone) => {
                let fault = tok.fault(format!("{name} can be written only by ct"));
                return Err(fault.hint("write ct(commit,exec(...))"));
            }
            (Access::ReadWrite, Within::CtExec) => {
                let fault = tok.fault(format!("{name} cannot be written in ct(exec(...))"));
                return Err(fault.hint("expected ct_mark or ct_label"));
            }
            (Access::ReadWrite, Within::Apply | Within::Set | Within::Clone)
            | (Access::CtExec, Within::CtExec) => {}
        }
        if info.wire_names.is_empty() || field == Field::IN_PORT_OXM {
            let fault = tok.fault(format!("{name} cannot be written"));
            return Err(match field {
                Field::DL_VLAN => fault.hint("write mod_vlan_vid:N"),
                Field::DL_VLAN_PCP => fault.hint("write mod_vlan_pcp:N"),
                Field::IN_PORT_OXM => fault.hint("write in_port"),
                _ => fault,
            });
        }
        let prerequisite = match field {
            Field::VLAN_VID => Prerequisite::VlanVid,
            _ => info.prerequisite,
        };
        match self.missing(prerequisite) {
            Some(missing) => Err(lacks(tok, name, missing)),
            None => Ok(()),
        }
    }

    /// `mod_vlan_*` writes into a tag that it adds if none is known to be there.
    pub(super) fn push_tag_for(
        &mut self,
        key: &str,
        pair: &Pair<'_>,
        out: &mut Vec<Action>,
    ) -> Result<(), Fault> {
        if self.context.tags > 0 {
            return Ok(());
        }
        if key.starts_with("set_") {
            return Err(lacks(pair.whole, key, A_TAG));
        }
        out.push(Action::PushVlan(0x8100));
        self.context.tags = 1;
        Ok(())
    }

    pub(super) fn push_vlan(&mut self, pair: &Pair<'_>) -> Result<Action, Fault> {
        let tok = pair.required("an Ethernet type")?;
        let ether_type: u16 = number::narrow(tok, "Ethernet type")?;
        if !matches!(ether_type, 0x8100 | 0x88a8) {
            let fault = tok.fault("not the Ethernet type of a VLAN tag");
            return Err(fault.hint("expected 0x8100 or 0x88a8"));
        }
        if self.context.tags >= 2 {
            return Err(pair.whole.fault("a packet has at most two VLAN tags"));
        }
        self.context.tags += 1;
        Ok(Action::PushVlan(ether_type))
    }

    /// The field that `mod_tp_src` or `mod_tp_dst` writes.
    pub(super) fn port_field(&self, pair: &Pair<'_>, fields: [Field; 3]) -> Result<Field, Fault> {
        let [tcp, udp, sctp] = fields;
        match self.context.ip_protocol() {
            Some(6) => Ok(tcp),
            Some(17) => Ok(udp),
            Some(132) => Ok(sctp),
            _ => Err(lacks(pair.whole, pair.key.text, PORTS)),
        }
    }
}

/// The numbers of `dec_ttl(ID,...)`.
fn controllers(pair: &Pair<'_>) -> Result<Vec<u16>, Fault> {
    let mut ids = Vec::new();
    let mut pairs = Pairs::new(pair.value);
    while let Some(id) = pairs.next()? {
        id.bare()?;
        ids.push(number::narrow(id.key, "controller's number")?);
    }
    Ok(ids)
}

/// Writes the bits of `mask`, if there are any, to a `tun_metadata` field.
fn set_option(field: Field, value: Wide, mask: Wide, out: &mut Vec<Action>) {
    if !mask.is_zero() {
        let (value, mask) = (Box::new(value), Box::new(mask));
        out.push(Action::SetOption { field, value, mask });
    }
}

/// Writes the bits of `mask`, run by run, at most 64 bits at a time.
fn loads(field: Field, value: u128, mask: u128, out: &mut Vec<Action>) {
    let mut at = 0;
    while at < 128 && mask >> at != 0 {
        at += (mask >> at).trailing_zeros();
        let width = (mask >> at).trailing_ones().min(64);
        let value = value >> at & (u128::MAX >> (128 - width));
        let dst = Subfield {
            field,
            start: narrow(at),
            width: narrow(width),
        };
        out.push(Action::Load { value, dst });
        at += width;
    }
}

/// A bit's number, below 128.
fn narrow(bit: u32) -> u16 {
    u16::try_from(bit).unwrap_or(u16::MAX)
}

/// The two sides of `->`.
fn arrow<'a>(pair: &Pair<'a>) -> Result<(Tok<'a>, Tok<'a>), Fault> {
    match pair.value.split_once("->") {
        Some((_, dst)) if dst.is_empty() => Err(pair.whole.fault("missing field behind ->")),
        Some((value, _)) if value.is_empty() => Err(pair.whole.fault("missing value before ->")),
        Some(sides) => Ok(sides),
        None => Err(pair
            .whole
            .fault("missing ->")
            .hint(format!("such as {}:1->reg0[]", pair.key.text))),
    }
}

pub(super) fn mac(pair: &Pair<'_>) -> Result<u128, Fault> {
    address::mac(pair.required("an Ethernet address")?)
}

pub(super) fn ipv4(pair: &Pair<'_>) -> Result<u128, Fault> {
    address::ipv4_address(pair.required("an IPv4 address")?).map(u128::from)
}
