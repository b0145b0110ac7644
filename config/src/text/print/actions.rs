//! Prints actions and instructions.

use std::fmt;
use std::net::IpAddr;

use weir_nat::{NatKind, NatRange, NatSpec, PortChoice};
use weir_tables::action::{
    Action, Alg, ControllerAction, CtAction, Instructions, Subfield, ZoneSource,
};

use super::value::{self, hex, ipv6_address};
use crate::text::port::PortLabels;

pub(super) fn instructions(
    f: &mut fmt::Formatter<'_>,
    instructions: &Instructions,
    labels: &PortLabels,
) -> fmt::Result {
    let Instructions {
        apply,
        clear_actions,
        write_actions,
        write_metadata,
        goto_table,
    } = instructions;
    let mut comma = "";
    let mut next = |f: &mut fmt::Formatter<'_>| f.write_str(std::mem::replace(&mut comma, ","));
    if !apply.is_empty() {
        next(f)?;
        list(f, apply, labels)?;
    }
    if *clear_actions {
        next(f)?;
        f.write_str("clear_actions")?;
    }
    if !write_actions.is_empty() {
        next(f)?;
        f.write_str("write_actions(")?;
        list(f, write_actions, labels)?;
        f.write_str(")")?;
    }
    if let Some((value, mask)) = *write_metadata {
        next(f)?;
        f.write_str("write_metadata:")?;
        hex(f, value.into())?;
        if mask != u64::MAX {
            f.write_str("/")?;
            hex(f, mask.into())?;
        }
    }
    if let Some(table) = goto_table {
        next(f)?;
        write!(f, "goto_table:{}", table.0)?;
    }
    if comma.is_empty() {
        f.write_str("drop")
    } else {
        Ok(())
    }
}

pub(super) fn list(
    f: &mut fmt::Formatter<'_>,
    actions: &[Action],
    labels: &PortLabels,
) -> fmt::Result {
    for (at, one) in actions.iter().enumerate() {
        if at > 0 {
            f.write_str(",")?;
        }
        action(f, one, labels)?;
    }
    Ok(())
}

pub(super) fn action(
    f: &mut fmt::Formatter<'_>,
    action: &Action,
    labels: &PortLabels,
) -> fmt::Result {
    match action {
        Action::Output(port) => match port.reserved_name() {
            Some(name) => f.write_str(name),
            None => write!(f, "output:{}", labels.text(*port)),
        },
        Action::OutputField(source) => {
            f.write_str("output:")?;
            subfield(f, *source)
        }
        Action::OutputCut { port, max_len } => {
            write!(f, "output(port={},max_len={max_len})", labels.text(*port))
        }
        Action::Controller(inner) => controller(f, inner),
        Action::Group(id) => write!(f, "group:{id}"),
        Action::SetField { field, value, mask } => {
            f.write_str("set_field:")?;
            value::write(f, *field, *value, *mask)?;
            write!(f, "->{}", field.name())
        }
        Action::SetOption { field, value, mask } => {
            f.write_str("set_field:")?;
            value::wide(f, *field, value, mask)?;
            write!(f, "->{}", field.name())
        }
        Action::DeleteField(field) => write!(f, "delete_field:{}", field.name()),
        Action::Load { value, dst } => {
            f.write_str("load:")?;
            hex(f, *value)?;
            f.write_str("->")?;
            subfield(f, *dst)
        }
        Action::Move { src, dst } => {
            f.write_str("move:")?;
            subfield(f, *src)?;
            f.write_str("->")?;
            subfield(f, *dst)
        }
        Action::PushVlan(ether_type) => write!(f, "push_vlan:{ether_type:#x}"),
        Action::PopVlan => f.write_str("pop_vlan"),
        Action::DecTtl(ids) if ids.is_empty() => f.write_str("dec_ttl"),
        Action::DecTtl(ids) => {
            for (at, id) in ids.iter().enumerate() {
                write!(f, "{}{id}", if at > 0 { "," } else { "dec_ttl(" })?;
            }
            f.write_str(")")
        }
        Action::Resubmit {
            port: Some(port),
            table: None,
            ct: false,
        } => {
            write!(f, "resubmit:{}", labels.text(*port))
        }
        Action::Resubmit { port, table, ct } => {
            f.write_str("resubmit(")?;
            if let Some(port) = port {
                write!(f, "{}", labels.text(*port))?;
            }
            f.write_str(",")?;
            if let Some(table) = table {
                write!(f, "{}", table.0)?;
            }
            f.write_str(if *ct { ",ct)" } else { ")" })
        }
        Action::Ct(inner) => ct(f, inner),
        Action::CtClear => f.write_str("ct_clear"),
        Action::Conjunction {
            id,
            clause,
            clauses,
        } => {
            write!(f, "conjunction({id},{clause}/{clauses})")
        }
        Action::Note(bytes) => {
            f.write_str("note:")?;
            hex_bytes(f, bytes)
        }
        Action::Exit => f.write_str("exit"),
        Action::Clone(actions) if actions.is_empty() => f.write_str("clone(drop)"),
        Action::Clone(actions) => {
            f.write_str("clone(")?;
            list(f, actions, labels)?;
            f.write_str(")")
        }
        Action::Push(src) => {
            f.write_str("push:")?;
            subfield(f, *src)
        }
        Action::Pop(dst) => {
            f.write_str("pop:")?;
            subfield(f, *dst)
        }
        Action::CheckPktLarger { size, dst } => {
            write!(f, "check_pkt_larger({size})->")?;
            subfield(f, *dst)
        }
        Action::FinTimeout { idle, hard } => {
            let options = [("idle_timeout", *idle), ("hard_timeout", *hard)];
            let options = options.into_iter().filter(|option| option.1 != 0);
            f.write_str("fin_timeout(")?;
            for (at, (name, seconds)) in options.enumerate() {
                write!(f, "{}{name}={seconds}", if at > 0 { "," } else { "" })?;
            }
            f.write_str(")")
        }
        Action::Unexecuted { text, .. } => f.write_str(text),
    }
}

/// The short form if it says all, else what is not the default.
fn controller(f: &mut fmt::Formatter<'_>, action: &ControllerAction) -> fmt::Result {
    let default = ControllerAction::default();
    let ControllerAction {
        max_len,
        reason,
        id,
        userdata,
        pause,
        meter,
    } = action;
    let plain = ControllerAction {
        max_len: *max_len,
        ..default.clone()
    };
    if *action == plain {
        return write!(f, "CONTROLLER:{max_len}");
    }
    let mut comma = "controller(";
    let mut next = |f: &mut fmt::Formatter<'_>| f.write_str(std::mem::replace(&mut comma, ","));
    if *reason != default.reason {
        next(f)?;
        write!(f, "reason={}", reason.name())?;
    }
    if *max_len != default.max_len {
        next(f)?;
        write!(f, "max_len={max_len}")?;
    }
    if *id != default.id {
        next(f)?;
        write!(f, "id={id}")?;
    }
    if !userdata.is_empty() {
        next(f)?;
        f.write_str("userdata=")?;
        hex_bytes(f, userdata)?;
    }
    if *pause {
        next(f)?;
        f.write_str("pause")?;
    }
    if let Some(meter) = meter {
        next(f)?;
        write!(f, "meter_id={meter}")?;
    }
    f.write_str(")")
}

fn hex_bytes(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for (at, byte) in bytes.iter().enumerate() {
        write!(f, "{}{byte:02x}", if at > 0 { "." } else { "" })?;
    }
    Ok(())
}

/// The wire name and the bits.
pub(super) fn subfield(f: &mut fmt::Formatter<'_>, subfield: Subfield) -> fmt::Result {
    let Subfield {
        field,
        start,
        width,
    } = subfield;
    f.write_str(
        field
            .info()
            .wire_names
            .first()
            .copied()
            .unwrap_or(field.name()),
    )?;
    if subfield == Subfield::whole(field) {
        f.write_str("[]")
    } else if width == 1 {
        write!(f, "[{start}]")
    } else {
        write!(f, "[{start}..{}]", start + width - 1)
    }
}

fn ct(f: &mut fmt::Formatter<'_>, ct: &CtAction) -> fmt::Result {
    let CtAction {
        commit,
        force,
        zone,
        zone_dir,
        table,
        nat: translation,
        exec,
        alg,
    } = ct;
    let mut comma = "";
    let mut next = |f: &mut fmt::Formatter<'_>| f.write_str(std::mem::replace(&mut comma, ","));
    f.write_str("ct(")?;
    if *commit {
        next(f)?;
        f.write_str("commit")?;
    }
    if *force {
        next(f)?;
        f.write_str("force")?;
    }
    if let Some(table) = table {
        next(f)?;
        write!(f, "table={}", table.0)?;
    }
    match *zone {
        ZoneSource::Number(0) => {}
        ZoneSource::Number(zone) => {
            next(f)?;
            write!(f, "zone={zone}")?;
        }
        ZoneSource::Field(source) => {
            next(f)?;
            f.write_str("zone=")?;
            subfield(f, source)?;
        }
    }
    if let Some(direction) = zone_dir {
        next(f)?;
        write!(f, "zone_dir={}", direction.name())?;
    }
    if let Some(spec) = translation {
        next(f)?;
        nat(f, spec)?;
    }
    if !exec.is_empty() {
        next(f)?;
        f.write_str("exec(")?;
        list(f, exec, PortLabels::NUMBERS)?;
        f.write_str(")")?;
    }
    if let Some(alg) = alg {
        next(f)?;
        f.write_str(match alg {
            Alg::Ftp => "alg=ftp",
            Alg::Tftp => "alg=tftp",
        })?;
    }
    f.write_str(")")
}

fn nat(f: &mut fmt::Formatter<'_>, spec: &NatSpec) -> fmt::Result {
    let NatSpec::Allocate {
        kind,
        range: addresses,
        flags,
    } = spec
    else {
        return f.write_str("nat");
    };
    f.write_str(match kind {
        NatKind::Src => "nat(src",
        NatKind::Dst => "nat(dst",
    })?;
    if let Some(addresses) = addresses {
        f.write_str("=")?;
        range(f, addresses)?;
    }
    if flags.persistent {
        f.write_str(",persistent")?;
    }
    f.write_str(match flags.choice {
        PortChoice::Default => "",
        PortChoice::Hash => ",hash",
        PortChoice::Random => ",random",
    })?;
    f.write_str(")")
}

fn range(f: &mut fmt::Formatter<'_>, range: &NatRange) -> fmt::Result {
    let NatRange { first, last, ports } = range;
    let address = |f: &mut fmt::Formatter<'_>, address: &IpAddr| match address {
        IpAddr::V4(address) => write!(f, "{address}"),
        IpAddr::V6(address) => {
            f.write_str(if ports.is_some() { "[" } else { "" })?;
            ipv6_address(f, address.to_bits())?;
            f.write_str(if ports.is_some() { "]" } else { "" })
        }
    };
    address(f, first)?;
    if last != first {
        f.write_str("-")?;
        address(f, last)?;
    }
    match ports {
        None => Ok(()),
        Some((first, last)) if first == last => write!(f, ":{first}"),
        Some((first, last)) => write!(f, ":{first}-{last}"),
    }
}
