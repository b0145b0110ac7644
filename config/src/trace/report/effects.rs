//! What is done to a frame, as Open vSwitch writes actions of a datapath. Ports have their OpenFlow
//! numbers; of headers only what changes is written.

use std::net::{Ipv4Addr, Ipv6Addr};

use weir_ct::Commit;
use weir_nat::NatSpec;
use weir_tables::action::{Action, CtAction};
use weir_tables::field::Field;
use weir_tables::key::FlowKey;
use weir_tables::port::PortNo;
use weir_tables::trace::Effect;

use super::action_text;

/// The effects, separated by commas; `drop` if there are none. `start`: what the packet was.
pub(super) fn text(effects: &[Effect], start: &FlowKey) -> String {
    let text = list(&mut effects.iter(), start);
    match text.is_empty() {
        true => "drop".to_owned(),
        false => text.join(","),
    }
}

/// The effects up to the end of the copy to which they are done.
fn list<'a>(effects: &mut impl Iterator<Item = &'a Effect>, start: &FlowKey) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some(effect) = effects.next() {
        match effect {
            Effect::Output {
                port,
                max_len: None,
            } => texts.push(port_text(*port)),
            Effect::Output {
                port,
                max_len: Some(max_len),
            } => texts.push(format!("trunc({max_len}),{}", port_text(*port))),
            Effect::Set(values) => texts.extend(set(values, start)),
            Effect::PushVlan(tci) => {
                texts.push(format!("push_vlan(vid={},pcp={})", tci & 0xfff, tci >> 13));
            }
            Effect::PopVlan => texts.push("pop_vlan".to_owned()),
            Effect::Ct { zone, commit, nat } => texts.push(ct(*zone, *commit, nat.as_ref())),
            Effect::Recirculate(id) => texts.push(format!("recirc({id:#x})")),
            Effect::PacketIn(told) => texts.push(format!(
                "userspace(controller(reason={},controller_id={}))",
                told.reason.name(),
                told.controller
            )),
            Effect::CopyBegins => {
                let copy = list(effects, start);
                if !copy.is_empty() {
                    texts.push(format!("clone({})", copy.join(",")));
                }
            }
            Effect::CopyEnds => break,
        }
    }
    texts
}

fn port_text(port: PortNo) -> String {
    port.to_string()
}

fn ct(zone: u16, commit: Option<Commit>, nat: Option<&NatSpec>) -> String {
    let mut parts = Vec::new();
    match commit {
        None => {}
        Some(commit) if commit.force => parts.push("force_commit".to_owned()),
        Some(_) => parts.push("commit".to_owned()),
    }
    if zone != 0 {
        parts.push(format!("zone={zone}"));
    }
    if let Some(direction) = commit.and_then(|commit| commit.zone_dir) {
        parts.push(format!("zone_dir={}", direction.name()));
    }
    if let Some((mark, mask)) = commit.and_then(|commit| commit.mark) {
        parts.push(format!("mark={mark:#x}/{mask:#x}"));
    }
    if let Some((label, mask)) = commit.and_then(|commit| commit.label) {
        parts.push(format!("label={label:#x}/{mask:#x}"));
    }
    if let Some(nat) = nat {
        let action = Action::Ct(Box::new(CtAction {
            nat: Some(*nat),
            ..CtAction::default()
        }));
        let text = action_text(&action);
        let inner = text
            .strip_prefix("ct(")
            .and_then(|text| text.strip_suffix(')'));
        parts.extend(inner.map(str::to_owned));
    }
    match parts.is_empty() {
        true => "ct".to_owned(),
        false => format!("ct({})", parts.join(",")),
    }
}

/// `set(HEADER(NAME=VALUE,...))` for each header that changes.
fn set(values: &[(Field, u128)], start: &FlowKey) -> Vec<String> {
    let transport = match start.field(Field::NW_PROTO) {
        6 => "tcp",
        17 => "udp",
        132 => "sctp",
        _ => "icmp",
    };
    let is_arp = start.field(Field::ETH_TYPE) == 0x0806;
    let is_v6 = start.field(Field::ETH_TYPE) == 0x86dd;
    let mut headers: Vec<(&str, Vec<String>)> = Vec::new();
    for &(field, value) in values {
        let (header, text) = match field {
            Field::ETH_SRC => ("eth", format!("src={}", mac(value))),
            Field::ETH_DST => ("eth", format!("dst={}", mac(value))),
            // Where an IPv6 address has its own beginning.
            Field::IP_SRC | Field::IP_DST if is_v6 => continue,
            Field::IP_SRC if is_arp => ("arp", format!("sip={}", ipv4(value))),
            Field::IP_DST if is_arp => ("arp", format!("tip={}", ipv4(value))),
            Field::IP_SRC => ("ipv4", format!("src={}", ipv4(value))),
            Field::IP_DST => ("ipv4", format!("dst={}", ipv4(value))),
            Field::IPV6_SRC => ("ipv6", format!("src={}", Ipv6Addr::from_bits(value))),
            Field::IPV6_DST => ("ipv6", format!("dst={}", Ipv6Addr::from_bits(value))),
            Field::IPV6_LABEL => ("ipv6", format!("label={value:#x}")),
            Field::NW_TOS if is_v6 => ("ipv6", format!("tclass={value:#x}")),
            Field::NW_TTL if is_v6 => ("ipv6", format!("hlimit={value}")),
            Field::NW_TOS => ("ipv4", format!("tos={value:#x}")),
            Field::NW_TTL => ("ipv4", format!("ttl={value}")),
            Field::TCP_SRC if transport == "icmp" => ("icmp", format!("type={value}")),
            Field::TCP_DST if transport == "icmp" => ("icmp", format!("code={value}")),
            Field::TCP_SRC => (transport, format!("src={value}")),
            Field::TCP_DST => (transport, format!("dst={value}")),
            Field::ARP_OP => ("arp", format!("op={value}")),
            Field::ND_TARGET => ("nd", format!("target={}", Ipv6Addr::from_bits(value))),
            Field::VLAN_TCI => ("vlan", format!("vid={},pcp={}", value & 0xfff, value >> 13)),
            other => (other.name(), format!("{value:#x}")),
        };
        match headers.iter_mut().find(|(name, _)| *name == header) {
            Some((_, texts)) => texts.push(text),
            None => headers.push((header, vec![text])),
        }
    }
    let text = |(header, texts): (&str, Vec<String>)| format!("set({header}({}))", texts.join(","));
    headers.into_iter().map(text).collect()
}

fn ipv4(value: u128) -> Ipv4Addr {
    Ipv4Addr::from_bits(value as u32)
}

fn mac(value: u128) -> String {
    let bytes = (value as u64).to_be_bytes();
    super::mac_text(std::array::from_fn(|at| bytes[at + 2]))
}
