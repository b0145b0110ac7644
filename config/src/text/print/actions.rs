//! Prints actions and instructions.

use std::fmt;
use std::net::IpAddr;

use weir_nat::{NatKind, NatRange, NatSpec, PortChoice};
use weir_tables::action::{Action, Alg, CtAction, Instructions, Subfield, ZoneSource};

use super::value::{self, hex, ipv6_address};

pub(super) fn instructions(f: &mut fmt::Formatter<'_>, instructions: &Instructions) -> fmt::Result {
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
        list(f, apply)?;
    }
    if *clear_actions {
        next(f)?;
        f.write_str("clear_actions")?;
    }
    if !write_actions.is_empty() {
        next(f)?;
        f.write_str("write_actions(")?;
        list(f, write_actions)?;
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

pub(super) fn list(f: &mut fmt::Formatter<'_>, actions: &[Action]) -> fmt::Result {
    for (at, one) in actions.iter().enumerate() {
        if at > 0 {
            f.write_str(",")?;
        }
        action(f, one)?;
    }
    Ok(())
}

pub(super) fn action(f: &mut fmt::Formatter<'_>, action: &Action) -> fmt::Result {
    match action {
        Action::Output(port) => match port.reserved_name() {
            Some(name) => f.write_str(name),
            None => write!(f, "output:{}", port.0),
        },
        Action::OutputField(source) => {
            f.write_str("output:")?;
            subfield(f, *source)
        }
        Action::Controller { max_len } => write!(f, "CONTROLLER:{max_len}"),
        Action::Group(id) => write!(f, "group:{id}"),
        Action::SetField { field, value, mask } => {
            f.write_str("set_field:")?;
            value::write(f, *field, *value, *mask)?;
            write!(f, "->{}", field.name())
        }
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
        Action::DecTtl => f.write_str("dec_ttl"),
        Action::Resubmit {
            port: Some(port),
            table: None,
            ct: false,
        } => {
            write!(f, "resubmit:{port}")
        }
        Action::Resubmit { port, table, ct } => {
            f.write_str("resubmit(")?;
            if let Some(port) = port {
                write!(f, "{port}")?;
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
            for (at, byte) in bytes.iter().enumerate() {
                write!(f, "{}{byte:02x}", if at > 0 { "." } else { "" })?;
            }
            Ok(())
        }
        Action::Exit => f.write_str("exit"),
    }
}

/// The wire name and the bits.
fn subfield(f: &mut fmt::Formatter<'_>, subfield: Subfield) -> fmt::Result {
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
    if let Some(spec) = translation {
        next(f)?;
        nat(f, spec)?;
    }
    if !exec.is_empty() {
        next(f)?;
        f.write_str("exec(")?;
        list(f, exec)?;
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
