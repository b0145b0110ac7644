//! Reads actions and instructions, and checks them against the match.

use weir_tables::action::{Action, Instructions, Subfield, TableId};
use weir_tables::field::{Access, Field, Prerequisite};
use weir_tables::port::PortNo;

use super::context::Context;
use super::error::Fault;
use super::names;
use super::scan::{Form, Pair, Pairs, Tok};
use super::value::{self, PortNames};

/// Reads the actions of one flow.
pub(super) struct ActionReader<'p> {
    pub(super) ports: &'p dyn PortNames,
    /// What is known of a packet at this point.
    pub(super) context: Context,
    /// The flow's table; `None`: it may be in any.
    pub(super) table: Option<TableId>,
}

/// Where actions stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Within {
    /// The apply list.
    Apply,
    /// `write_actions(...)`
    Set,
    /// `ct(exec(...))`
    CtExec,
}

/// Instructions in the order in which they must stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Apply,
    Clear,
    Write,
    Metadata,
    Goto,
}

impl Stage {
    const fn name(self) -> &'static str {
        match self {
            Self::Apply => "an action",
            Self::Clear => "clear_actions",
            Self::Write => "write_actions",
            Self::Metadata => "write_metadata",
            Self::Goto => "goto_table",
        }
    }
}

impl ActionReader<'_> {
    /// Actions and instructions.
    pub(super) fn instructions(&mut self, text: Tok<'_>) -> Result<Instructions, Fault> {
        let mut instructions = Instructions::default();
        let mut list = List::default();
        let mut stage = Stage::Apply;
        let mut pairs = Pairs::new(text);
        while let Some(pair) = pairs.next()? {
            let next = match pair.key.text.to_ascii_lowercase().as_str() {
                "clear_actions" => Stage::Clear,
                "write_actions" => Stage::Write,
                "write_metadata" => Stage::Metadata,
                "goto_table" => Stage::Goto,
                _ => Stage::Apply,
            };
            if next < stage {
                let message = format!("{} must stand before {}", next.name(), stage.name());
                return Err(pair.whole.fault(message));
            }
            if next == stage && next != Stage::Apply {
                return Err(pair.whole.fault(format!("{} is given twice", next.name())));
            }
            stage = next;
            match next {
                Stage::Apply => self.action(&pair, Within::Apply, &mut list)?,
                Stage::Clear => {
                    pair.bare()?;
                    instructions.clear_actions = true;
                }
                Stage::Write => instructions.write_actions = self.action_set(&pair)?,
                Stage::Metadata => {
                    let (value, mask) = value::masked_u64(pair.required("a value")?, "metadata")?;
                    instructions.write_metadata = Some((value & mask, mask));
                }
                Stage::Goto => instructions.goto_table = Some(self.goto_table(&pair)?),
            }
            if next != Stage::Apply {
                list.other.get_or_insert(pair.whole);
            }
        }
        instructions.apply = list.finish(Within::Apply)?;
        Ok(instructions)
    }

    /// A list of actions.
    pub(super) fn actions(&mut self, text: Tok<'_>, within: Within) -> Result<Vec<Action>, Fault> {
        let mut list = List::default();
        let mut pairs = Pairs::new(text);
        while let Some(pair) = pairs.next()? {
            if names::INSTRUCTIONS.contains(&pair.key.text.to_ascii_lowercase().as_str()) {
                return Err(pair
                    .whole
                    .fault(format!("{} is not an action", pair.key.text)));
            }
            self.action(&pair, within, &mut list)?;
        }
        list.finish(within)
    }

    /// `write_actions(...)`: what an earlier action changes is unknown when the set is run, but
    /// the text is judged as if it were run at this point, as in Open vSwitch.
    fn action_set(&mut self, pair: &Pair<'_>) -> Result<Vec<Action>, Fault> {
        let mut inner = ActionReader {
            ports: self.ports,
            context: self.context.clone(),
            table: self.table,
        };
        inner.actions(pair.value, Within::Set)
    }

    fn goto_table(&self, pair: &Pair<'_>) -> Result<TableId, Fault> {
        let tok = pair.required("a table")?;
        let table = value::table(tok)?;
        match self.table {
            Some(own) if table <= own => Err(tok
                .fault("goto_table goes forward only")
                .hint(format!("expected a table above {}", own.0))),
            _ => Ok(table),
        }
    }

    fn action<'a>(
        &mut self,
        pair: &Pair<'a>,
        within: Within,
        list: &mut List<'a>,
    ) -> Result<(), Fault> {
        let key = pair.key.text.to_ascii_lowercase();
        let from = list.actions.len();
        if within == Within::CtExec && !matches!(key.as_str(), "set_field" | "load" | "move") {
            let known = names::ACTIONS.contains(&key.as_str());
            let fault = if known {
                pair.whole
                    .fault(format!("{key} is not allowed in ct(exec(...))"))
            } else {
                names::unknown_action(pair.key)
            };
            return Err(fault.hint("expected set_field, load or move to ct_mark or ct_label"));
        }
        self.parse(&key, pair, within, list)?;
        if within == Within::Set && !list.actions[from..].iter().all(fits_action_set) {
            return Err(pair
                .whole
                .fault(format!("{key} is not allowed in write_actions")));
        }
        list.whole.resize(list.actions.len(), pair.whole);
        Ok(())
    }

    fn parse<'a>(
        &mut self,
        key: &str,
        pair: &Pair<'a>,
        within: Within,
        list: &mut List<'a>,
    ) -> Result<(), Fault> {
        let out = &mut list.actions;
        let number = |what, max| value::ranged(pair.required("a number")?, what, 0, max);
        match key {
            "drop" => {
                pair.bare()?;
                list.drop.get_or_insert(pair.whole);
            }
            "output" => out.push(self.output(pair)?),
            "controller" => out.push(controller(pair)?),
            "group" => out.push(Action::Group(group(pair.required("a number")?)?)),
            "resubmit" => out.push(self.resubmit(pair)?),
            "set_field" => self.set_field(pair, within, out)?,
            "load" => self.load(pair, within, out)?,
            "move" => out.push(self.move_bits(pair, within)?),
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
                if self.context.tags == 0 && within == Within::Apply {
                    return Err(lacks(pair.whole, key, self.missing(Prerequisite::VlanVid)));
                }
                self.context.tags = self.context.tags.saturating_sub(1);
                out.push(Action::PopVlan);
            }
            "push_vlan" => out.push(self.push_vlan(pair)?),
            "dec_ttl" => {
                if !pair.value.is_empty() {
                    let fault = pair
                        .value
                        .fault("dec_ttl with controllers is not supported yet");
                    return Err(fault.hint("write dec_ttl"));
                }
                if !self.context.is_ip() && within == Within::Apply {
                    return Err(lacks(pair.whole, key, self.missing(Prerequisite::Ip)));
                }
                out.push(Action::DecTtl);
            }
            "set_tunnel" | "set_tunnel64" => {
                let id = number("tunnel ID", u128::from(u64::MAX))?;
                self.set(pair, Field::TUN_ID, id, out)?;
            }
            "ct" => out.push(self.ct(pair)?),
            "ct_clear" => {
                pair.bare()?;
                out.push(Action::CtClear);
            }
            "conjunction" => out.push(conjunction(pair)?),
            "note" => out.push(note(pair)?),
            "exit" => {
                pair.bare()?;
                out.push(Action::Exit);
            }
            "apply_actions" => {
                let fault = pair.whole.fault("apply_actions is the default");
                return Err(fault.hint("write its actions without it"));
            }
            "nat" => return Err(pair.whole.fault("nat stands only inside ct(...)")),
            _ if names::UNSUPPORTED_ACTIONS.contains(&key) => {
                return Err(pair.whole.fault(format!("{key} is not supported yet")));
            }
            _ => out.push(self.bare_port(pair)?),
        }
        Ok(())
    }

    /// `5`, `NORMAL`, `"eth0"`
    fn bare_port(&self, pair: &Pair<'_>) -> Result<Action, Fault> {
        let first = pair.key.text.bytes().next();
        match value::port(pair.key, self.ports) {
            Ok(port) => {
                pair.bare()?;
                output_port(pair.key, port)
            }
            Err(fault) if first.is_some_and(|byte| byte.is_ascii_digit() || byte == b'"') => {
                Err(fault)
            }
            Err(_) => Err(names::unknown_action(pair.key)),
        }
    }

    fn output(&self, pair: &Pair<'_>) -> Result<Action, Fault> {
        let tok = pair.required("a port")?;
        if pair.form == Form::Parenthesised && tok.text.contains('=') {
            return Err(pair
                .whole
                .fault("output(port=...,max_len=...) is not supported yet"));
        }
        let fault = match value::port(tok, self.ports) {
            Ok(port) => return output_port(tok, port),
            Err(fault) => fault,
        };
        let name = tok.text.split('[').next().unwrap_or(tok.text);
        if Field::by_name(name)
            .or_else(|| Field::by_wire_name(name))
            .is_none()
        {
            return Err(fault);
        }
        let source = value::subfield(tok)?;
        self.readable(tok, source.field)?;
        Ok(Action::OutputField(source))
    }

    fn resubmit(&self, pair: &Pair<'_>) -> Result<Action, Fault> {
        let mut parts = pair.value.text.split(',');
        let mut at = 0;
        let mut part = || {
            let text = parts.next().unwrap_or("");
            let tok = pair
                .value
                .part(at.min(pair.value.text.len()), at + text.len());
            at = (at + text.len() + 1).min(pair.value.text.len());
            tok.trim()
        };
        let (port, table, ct, rest) = (part(), part(), part(), part());
        if !rest.is_empty() {
            return Err(rest.fault("resubmit has at most three arguments"));
        }
        let port = match port.is_empty() {
            true => None,
            false => Some(value::port(port, self.ports)?).filter(|port| *port != PortNo::IN_PORT),
        };
        let table = match table.is_empty() {
            true => None,
            false => Some(value::table(table)?),
        };
        let with_ct = match ct.text {
            "" => false,
            "ct" => true,
            _ => return Err(ct.fault("expected ct, or nothing")),
        };
        if port.is_none() && table.is_none() {
            let fault = pair.whole.fault("resubmit needs a port, a table or both");
            return Err(fault.hint("such as resubmit(,5)"));
        }
        if with_ct && let Some(missing) = self.missing(Prerequisite::Ct) {
            return Err(lacks(ct, "ct", Some(missing)));
        }
        Ok(Action::Resubmit {
            port,
            table,
            ct: with_ct,
        })
    }

    /// Writes a whole field whose value is in range.
    fn set(
        &mut self,
        pair: &Pair<'_>,
        field: Field,
        value: u128,
        out: &mut Vec<Action>,
    ) -> Result<(), Fault> {
        let missing = self.missing(field.info().prerequisite);
        if missing.is_some() {
            return Err(lacks(pair.whole, pair.key.text, missing));
        }
        out.push(Action::SetField {
            field,
            value,
            mask: value::writable(field),
        });
        Ok(())
    }

    fn set_field(
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
        let (value, mask) = value::masked(field, value_tok, self.ports)?;
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

    fn load(
        &mut self,
        pair: &Pair<'_>,
        within: Within,
        out: &mut Vec<Action>,
    ) -> Result<(), Fault> {
        let (value_tok, dst_tok) = arrow(pair)?;
        let dst = value::subfield(dst_tok)?;
        self.writable(dst_tok, dst.field, within)?;
        let value = value::integer(value_tok)?;
        let max = u128::MAX >> (128 - u32::from(dst.width));
        if value > max {
            let fault = value_tok.fault(format!("value does not fit into {} bits", dst.width));
            return Err(fault.hint(format!("expected at most {max:#x}")));
        }
        let (value, mask) = (value << dst.start, max << dst.start);
        if dst.field == Field::VLAN_TCI && mask & 0x1000 != 0 {
            self.context.tags = u8::from(value & 0x1000 != 0);
        }
        loads(dst.field, value, mask, out);
        Ok(())
    }

    fn move_bits(&self, pair: &Pair<'_>, within: Within) -> Result<Action, Fault> {
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
            Some(missing) => Err(lacks(tok, field.name(), Some(missing))),
            None => Ok(()),
        }
    }

    fn writable(&self, tok: Tok<'_>, field: Field, within: Within) -> Result<(), Fault> {
        let info = field.info();
        let name = info.name;
        match (info.access, within) {
            (Access::ReadOnly, _) => return Err(tok.fault(format!("{name} is read-only"))),
            (Access::CtExec, Within::Apply | Within::Set) => {
                let fault = tok.fault(format!("{name} can be written only by ct"));
                return Err(fault.hint("write ct(commit,exec(...))"));
            }
            (Access::ReadWrite, Within::CtExec) => {
                let fault = tok.fault(format!("{name} cannot be written in ct(exec(...))"));
                return Err(fault.hint("expected ct_mark or ct_label"));
            }
            (Access::ReadWrite, Within::Apply | Within::Set) | (Access::CtExec, Within::CtExec) => {
            }
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
            Some(missing) => Err(lacks(tok, name, Some(missing))),
            None => Ok(()),
        }
    }

    /// `mod_vlan_*` writes into a tag that it adds if none is known to be there.
    fn push_tag_for(
        &mut self,
        key: &str,
        pair: &Pair<'_>,
        out: &mut Vec<Action>,
    ) -> Result<(), Fault> {
        if self.context.tags > 0 {
            return Ok(());
        }
        if key.starts_with("set_") {
            return Err(lacks(pair.whole, key, self.missing(Prerequisite::VlanVid)));
        }
        out.push(Action::PushVlan(0x8100));
        self.context.tags = 1;
        Ok(())
    }

    fn push_vlan(&mut self, pair: &Pair<'_>) -> Result<Action, Fault> {
        let tok = pair.required("an Ethernet type")?;
        let ether_type: u16 = value::narrow(tok, "Ethernet type")?;
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
    fn port_field(&self, pair: &Pair<'_>, fields: [Field; 3]) -> Result<Field, Fault> {
        let [tcp, udp, sctp] = fields;
        match self.context.ip_protocol() {
            Some(6) => Ok(tcp),
            Some(17) => Ok(udp),
            Some(132) => Ok(sctp),
            _ => Err(lacks(
                pair.whole,
                pair.key.text,
                Some("tcp, udp or sctp (or tcp6, ...)"),
            )),
        }
    }

    fn missing(&self, prerequisite: Prerequisite) -> Option<&'static str> {
        self.context.missing(prerequisite)
    }
}

/// A list of actions as it grows.
#[derive(Default)]
struct List<'a> {
    actions: Vec<Action>,
    /// The text of each.
    whole: Vec<Tok<'a>>,
    drop: Option<Tok<'a>>,
    /// The first instruction behind the actions.
    other: Option<Tok<'a>>,
}

impl List<'_> {
    fn finish(self, within: Within) -> Result<Vec<Action>, Fault> {
        if let Some(drop) = self.drop
            && (!self.actions.is_empty() || self.other.is_some())
        {
            let fault = drop.fault("drop stands alone");
            return Err(fault.hint("remove it, or all other actions"));
        }
        if within == Within::Apply
            && self
                .actions
                .iter()
                .any(|action| matches!(action, Action::Conjunction { .. }))
        {
            let beside =
                |action: &Action| matches!(action, Action::Conjunction { .. } | Action::Note(_));
            let wrong = self.actions.iter().position(|action| !beside(action));
            if let Some(tok) = wrong.map(|at| self.whole[at]).or(self.other) {
                let fault = tok.fault("not allowed beside conjunction");
                return Err(fault.hint("expected conjunction and note only"));
            }
        }
        Ok(self.actions)
    }
}

/// `tok` is called `name` and lacks what it needs.
pub(super) fn lacks(tok: Tok<'_>, name: &str, missing: Option<&str>) -> Fault {
    let fault = tok.fault(format!("{name} lacks its prerequisite"));
    match missing {
        Some(missing) => fault.hint(format!("the match must have {missing}")),
        None => fault,
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
            .hint(format!("{}:VALUE->FIELD", pair.key.text))),
    }
}

fn output_port(tok: Tok<'_>, port: PortNo) -> Result<Action, Fault> {
    match port {
        PortNo::CONTROLLER => Ok(Action::Controller { max_len: u16::MAX }),
        PortNo::NONE | PortNo::UNSET => Err(tok.fault(format!("{} is not a port", tok.text))),
        _ => Ok(Action::Output(port)),
    }
}

fn controller(pair: &Pair<'_>) -> Result<Action, Fault> {
    let mut max_len = u16::MAX;
    if pair.form == Form::Assigned && !pair.value.text.contains('=') {
        max_len = value::narrow(pair.required("a length")?, "max_len")?;
        return Ok(Action::Controller { max_len });
    }
    let mut pairs = Pairs::new(pair.value);
    while let Some(option) = pairs.next()? {
        match option.key.text {
            "max_len" => max_len = value::narrow(option.required("a length")?, "max_len")?,
            "reason" | "id" | "userdata" | "pause" | "meter_id" => {
                let message = format!("controller({}) is not supported yet", option.key.text);
                return Err(option.whole.fault(message));
            }
            text if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                max_len = value::narrow(option.key, "max_len")?;
            }
            _ => {
                let fault = option
                    .key
                    .fault(format!("unknown option {}", option.key.text));
                return Err(fault.hint("expected max_len"));
            }
        }
    }
    Ok(Action::Controller { max_len })
}

/// A group's number; those above are reserved.
pub(super) fn group(tok: Tok<'_>) -> Result<u32, Fault> {
    const MAX: u128 = 0xffff_ff00;
    let id = value::ranged(tok, "group", 0, MAX)?;
    u32::try_from(id).map_err(|_| tok.fault("group out of range"))
}

fn mac(pair: &Pair<'_>) -> Result<u128, Fault> {
    value::mac(pair.required("an Ethernet address")?)
}

fn ipv4(pair: &Pair<'_>) -> Result<u128, Fault> {
    value::ipv4_address(pair.required("an IPv4 address")?).map(u128::from)
}

fn conjunction(pair: &Pair<'_>) -> Result<Action, Fault> {
    let syntax = || {
        pair.whole
            .fault("bad conjunction")
            .hint("expected conjunction(ID,K/N)")
    };
    let (id, clause) = pair.value.split_once(",").ok_or_else(syntax)?;
    let (clause, clauses) = clause.split_once("/").ok_or_else(syntax)?;
    let id = value::narrow(id.trim(), "conjunction's ID")?;
    let (clause, clauses) = (clause.trim(), clauses.trim());
    let count = value::ranged(clauses, "number of clauses", 2, 64)?;
    let number = value::ranged(clause, "clause", 1, count)?;
    Ok(Action::Conjunction {
        id,
        clause: u8::try_from(number).map_err(|_| syntax())?,
        clauses: u8::try_from(count).map_err(|_| syntax())?,
    })
}

/// Bytes in a note beyond which it no longer fits into an OpenFlow message.
const NOTE_MAX: usize = 65_494;

/// `note:01.02.ab`, filled with zeros to the size that it has on the wire.
fn note(pair: &Pair<'_>) -> Result<Action, Fault> {
    let digits: Vec<u8> = pair
        .value
        .text
        .bytes()
        .filter(|byte| !matches!(byte, b'.' | b' ' | b'\t'))
        .collect();
    let (digits, rest) = digits.as_chunks::<2>();
    let bytes: Option<Vec<u8>> = digits
        .iter()
        .map(
            |pair| match pair.map(|digit| char::from(digit).to_digit(16)) {
                [Some(high), Some(low)] => u8::try_from(high << 4 | low).ok(),
                _ => None,
            },
        )
        .collect();
    let Some(mut bytes) = bytes.filter(|_| rest.is_empty()) else {
        return Err(pair
            .value
            .fault("bad note")
            .hint("expected bytes such as 01.02.ab"));
    };
    if bytes.len() > NOTE_MAX {
        return Err(pair
            .value
            .fault(format!("note of more than {NOTE_MAX} bytes")));
    }
    // The action's header has 10 bytes, and actions are multiples of 8.
    let padded = (bytes.len() + 10).next_multiple_of(8) - 10;
    bytes.resize(padded, 0);
    Ok(Action::Note(bytes))
}

/// Whether an action may be in the action set.
const fn fits_action_set(action: &Action) -> bool {
    match action {
        Action::Output(_)
        | Action::Controller { .. }
        | Action::Group(_)
        | Action::SetField { .. }
        | Action::Load { .. }
        | Action::Move { .. }
        | Action::PushVlan(_)
        | Action::PopVlan
        | Action::DecTtl
        | Action::Resubmit { .. }
        | Action::Ct(_)
        | Action::CtClear => true,
        Action::OutputField(_) | Action::Conjunction { .. } | Action::Note(_) | Action::Exit => {
            false
        }
    }
}
