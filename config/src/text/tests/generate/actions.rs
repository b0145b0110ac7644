//! Strategies for actions.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use weir_nat::{NatFlags, NatKind, NatRange, NatSpec, PortChoice};
use weir_tables::action::{Action, Alg, CtAction, Subfield, TableId, ZoneSource};
use weir_tables::field::{Access, Field, Prerequisite};
use weir_tables::port::PortNo;

use super::{IPV4, IPV6, Kind, ones, whole_value};

pub(super) fn ports() -> impl Strategy<Value = PortNo> {
    let reserved = [
        PortNo::TABLE,
        PortNo::NORMAL,
        PortNo::FLOOD,
        PortNo::ALL,
        PortNo::LOCAL,
    ];
    prop_oneof![
        3 => (0..=PortNo::MAX.0).prop_map(PortNo),
        1 => select(reserved.to_vec()),
    ]
}

pub(super) fn tables() -> impl Strategy<Value = TableId> {
    (0..=TableId::MAX.0).prop_map(TableId)
}

/// Some bits of one of `fields`, at most `max` of them.
fn subfields(fields: Vec<Field>, max: u16) -> impl Strategy<Value = Subfield> {
    (select(fields), any::<Index>(), any::<Index>()).prop_map(move |(field, start, width)| {
        let all = field.info().width;
        let start = u16::try_from(start.index(all.into())).expect("a field has few bits");
        let room = (all - start).min(max);
        let width = u16::try_from(width.index(room.into())).expect("a field has few bits") + 1;
        // Whole fields often.
        if start % 2 == 0 && all <= max {
            Subfield::whole(field)
        } else {
            Subfield {
                field,
                start,
                width,
            }
        }
    })
}

/// `set_field`, `load` or `move` to a field that may be written with `access`.
fn writes(kind: Kind, access: Access) -> BoxedStrategy<Action> {
    let fields = kind.writable(access);
    let set = (select(fields.clone()), any::<u128>()).prop_map(|(field, bits)| {
        let (value, mask) = match field {
            Field::VLAN_VID => (bits & 0xfff | 0x1000, 0x1fff),
            Field::NW_TOS => (bits & 0xfc, 0xfc),
            _ => (whole_value(field, bits), ones(field)),
        };
        Action::SetField { field, value, mask }
    });
    let load =
        (subfields(fields.clone(), 64), any::<u128>()).prop_map(|(dst, bits)| Action::Load {
            value: bits & (u128::MAX >> (128 - u32::from(dst.width))),
            dst,
        });
    let moves = (subfields(fields, 128), subfields(kind.readable(), 128)).prop_map(|(dst, src)| {
        let width = dst.width.min(src.width);
        Action::Move {
            src: Subfield { width, ..src },
            dst: Subfield { width, ..dst },
        }
    });
    prop_oneof![set, load, moves].boxed()
}

fn nats(kind: Kind) -> impl Strategy<Value = NatSpec> {
    let v4 = (1..=u32::MAX, any::<u16>()).prop_map(|(last, below)| {
        let first = last.saturating_sub(below.into());
        (
            IpAddr::V4(Ipv4Addr::from_bits(first)),
            IpAddr::V4(Ipv4Addr::from_bits(last)),
        )
    });
    let v6 = (1..=u128::MAX, any::<u16>()).prop_map(|(last, below)| {
        let first = last.saturating_sub(below.into());
        (
            IpAddr::V6(Ipv6Addr::from_bits(first)),
            IpAddr::V6(Ipv6Addr::from_bits(last)),
        )
    });
    let addresses = match kind.eth_type {
        IPV4 => v4.boxed(),
        IPV6 => v6.boxed(),
        _ => prop_oneof![v4, v6].boxed(),
    };
    let fits = matches!(kind.eth_type, None | IPV4 | IPV6);
    let ports = option::of((1..=u16::MAX, any::<u16>()));
    let range = (addresses, ports).prop_map(|((first, last), ports)| NatRange {
        first,
        last,
        ports: ports.map(|(first, more)| (first, first.saturating_add(more))),
    });
    let choice = select(vec![
        PortChoice::Default,
        PortChoice::Hash,
        PortChoice::Random,
    ]);
    let flags =
        (any::<bool>(), choice).prop_map(|(persistent, choice)| NatFlags { persistent, choice });
    let end = select(vec![NatKind::Src, NatKind::Dst]);
    (option::of((end, option::of(range), flags))).prop_map(move |spec| match spec {
        None => NatSpec::Existing,
        Some((kind, range, flags)) => NatSpec::Allocate {
            kind,
            range: range.filter(|_| fits),
            flags,
        },
    })
}

fn cts(kind: Kind) -> impl Strategy<Value = Action> {
    let sources = kind
        .readable()
        .into_iter()
        .filter(|field| field.info().width >= 16)
        .collect();
    let zone = prop_oneof![
        any::<u16>().prop_map(ZoneSource::Number),
        subfields(sources, 128).prop_map(|sub| {
            let start = sub.start.min(sub.field.info().width - 16);
            ZoneSource::Field(Subfield {
                field: sub.field,
                start,
                width: 16,
            })
        }),
    ];
    let exec = vec(writes(kind, Access::CtExec), 0..3);
    let alg = matches!(kind.eth_type, IPV4 | IPV6);
    let alg = match kind.protocol.filter(|_| alg) {
        Some(6) => Some(Alg::Ftp),
        Some(17) => Some(Alg::Tftp),
        _ => None,
    };
    let alg = select(vec![None, alg]);
    (
        any::<(bool, bool)>(),
        zone,
        option::of(tables()),
        option::of(nats(kind)),
        exec,
        alg,
    )
        .prop_map(move |((commit, force), zone, table, nat, exec, alg)| {
            let commit = commit && !kind.invalid;
            Action::Ct(Box::new(CtAction {
                commit,
                force: force && commit,
                zone,
                table,
                nat: nat.filter(|nat| commit || *nat == NatSpec::Existing),
                exec: if commit { exec } else { Vec::new() },
                alg,
            }))
        })
}

fn notes() -> impl Strategy<Value = Action> {
    (0..3_usize)
        .prop_flat_map(|units| vec(any::<u8>(), 6 + 8 * units))
        .prop_map(Action::Note)
}

pub(super) fn actions(kind: Kind) -> impl Strategy<Value = Action> {
    let resubmit = (option::of(ports()), option::of(tables()), any::<bool>())
        .prop_filter("a port, a table or both", |(port, table, _)| {
            port.is_some() || table.is_some()
        })
        .prop_map(move |(port, table, ct)| {
            let ct = ct && kind.holds(Prerequisite::Ct);
            Action::Resubmit { port, table, ct }
        });
    prop_oneof![
        4 => ports().prop_map(Action::Output),
        1 => Just(Action::Output(PortNo::IN_PORT)),
        1 => subfields(kind.readable(), 128).prop_map(Action::OutputField),
        1 => any::<u16>().prop_map(|max_len| Action::Controller { max_len }),
        1 => (0..=0xffff_ff00_u32).prop_map(Action::Group),
        6 => writes(kind, Access::ReadWrite),
        1 => select(vec![0x8100, 0x88a8]).prop_map(Action::PushVlan),
        1 => Just(Action::PopVlan),
        1 => Just(Action::DecTtl),
        2 => resubmit,
        4 => cts(kind),
        1 => Just(Action::CtClear),
        1 => notes(),
        1 => Just(Action::Exit),
    ]
}

pub(super) fn conjunctions() -> impl Strategy<Value = Vec<Action>> {
    let conjunction =
        (any::<u32>(), 2..=64_u8, any::<Index>()).prop_map(|(id, clauses, clause)| {
            let clause = u8::try_from(clause.index(clauses.into())).expect("at most 64") + 1;
            Action::Conjunction {
                id,
                clause,
                clauses,
            }
        });
    vec(prop_oneof![4 => conjunction, 1 => notes()], 1..4)
}

/// Removes what a packet with `tags` known tags does not let happen.
pub(super) fn possible(kind: Kind, actions: Vec<Action>) -> Vec<Action> {
    let mut tags = u8::from(kind.tagged);
    let mut kept = Vec::new();
    for action in actions {
        let fits = match &action {
            Action::PushVlan(_) if tags < 2 => {
                tags += 1;
                true
            }
            Action::PushVlan(_) => false,
            Action::PopVlan if tags > 0 => {
                tags -= 1;
                true
            }
            Action::PopVlan => false,
            Action::DecTtl => kind.holds(Prerequisite::Ip),
            Action::SetField {
                field: Field::VLAN_TCI,
                value,
                ..
            } => {
                tags = u8::from(value & 0x1000 != 0);
                true
            }
            Action::Load { dst, value } if dst.field == Field::VLAN_TCI => {
                let bits = value << dst.start;
                if (dst.start..dst.start + dst.width).contains(&12) {
                    tags = u8::from(bits & 0x1000 != 0);
                }
                true
            }
            // A tag was known when these were generated, but may be gone.
            Action::SetField { field, .. } => needs_no_tag(*field) || tags > 0,
            Action::Load { dst, .. } => needs_no_tag(dst.field) || tags > 0,
            Action::Move { src, dst } => {
                (needs_no_tag(dst.field) && src.field != Field::VLAN_PCP) || tags > 0
            }
            Action::OutputField(src) => src.field != Field::VLAN_PCP || tags > 0,
            Action::Ct(ct) => {
                let pcp = |action: &Action| matches!(action, Action::Move { src, .. } if src.field == Field::VLAN_PCP);
                tags > 0 || !ct.exec.iter().any(pcp)
            }
            _ => true,
        };
        if fits {
            kept.push(action);
        }
    }
    kept
}

fn needs_no_tag(field: Field) -> bool {
    !matches!(field, Field::VLAN_VID | Field::VLAN_PCP)
}

pub(super) fn in_action_set(action: &Action) -> bool {
    !matches!(
        action,
        Action::OutputField(_) | Action::Note(_) | Action::Exit
    )
}

/// Whether nothing in the list adds or removes a tag, so that the action set, which is judged
/// behind it, may rely on the match.
pub(super) fn keeps_tags(actions: &[Action]) -> bool {
    actions.iter().all(|action| match action {
        Action::PushVlan(_) | Action::PopVlan => false,
        Action::SetField { field, .. } => *field != Field::VLAN_TCI,
        Action::Load { dst, .. } => dst.field != Field::VLAN_TCI,
        _ => true,
    })
}
