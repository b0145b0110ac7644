//! Strategies for actions.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use weir_ct::ZoneDir;
use weir_nat::{NatFlags, NatKind, NatRange, NatSpec, PortChoice};
use weir_tables::action::{
    Action, Alg, ControllerAction, CtAction, PacketInReason, Subfield, TableId, ZoneSource,
};
use weir_tables::field::{Access, Field, Prerequisite};
use weir_tables::port::PortNo;
use weir_tables::wide::Wide;

use super::matches::{option_field, wide};
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
    if access != Access::ReadWrite {
        return prop_oneof![set, load, moves].boxed();
    }
    let mask = prop_oneof![Just(Wide::ones(992)), wide()];
    let options = (option_field(), wide(), mask).prop_map(|(field, value, mask)| {
        // A write of nothing is none.
        let mask = if mask.is_zero() { Wide::ones(8) } else { mask };
        Action::SetOption {
            field,
            value: Box::new(value & mask),
            mask: Box::new(mask),
        }
    });
    prop_oneof![4 => set, 4 => load, 4 => moves, 1 => options].boxed()
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
        option::of(select(vec![ZoneDir::Original, ZoneDir::Reply])),
        exec,
        alg,
    )
        .prop_map(
            move |((commit, force), zone, table, nat, zone_dir, exec, alg)| {
                let commit = commit && !kind.invalid;
                Action::Ct(Box::new(CtAction {
                    commit,
                    force: force && commit,
                    zone,
                    zone_dir: zone_dir.filter(|_| commit && zone != ZoneSource::Number(0)),
                    table,
                    nat: nat.filter(|nat| commit || *nat == NatSpec::Existing),
                    exec: if commit { exec } else { Vec::new() },
                    alg,
                }))
            },
        )
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
        1 => controllers(),
        1 => (ports_of_devices(), 14_u32..).prop_map(|(port, max_len)| {
            Action::OutputCut { port, max_len }
        }),
        1 => (0..=0xffff_ff00_u32).prop_map(Action::Group),
        6 => writes(kind, Access::ReadWrite),
        1 => select(vec![0x8100, 0x88a8]).prop_map(Action::PushVlan),
        1 => Just(Action::PopVlan),
        1 => option_field().prop_map(Action::DeleteField),
        1 => vec(any::<u16>(), 0..3).prop_map(Action::DecTtl),
        1 => subfields(kind.readable(), 128).prop_map(Action::Push),
        1 => subfields(kind.writable(Access::ReadWrite), 128).prop_map(Action::Pop),
        1 => (any::<u16>(), subfields(kind.writable(Access::ReadWrite), 1))
            .prop_filter("a bit", |(_, dst)| dst.width == 1)
            .prop_map(|(size, dst)| Action::CheckPktLarger { size, dst }),
        6 => any::<(u16, u16)>().prop_map(|(idle, hard)| Action::FinTimeout { idle, hard }),
        1 => vec(writes(kind, Access::ReadWrite), 0..3).prop_map(Action::Clone),
        2 => unexecuted(),
        2 => resubmit,
        4 => cts(kind),
        1 => Just(Action::CtClear),
        1 => notes(),
        1 => Just(Action::Exit),
    ]
}

fn ports_of_devices() -> impl Strategy<Value = PortNo> {
    prop_oneof![
        3 => (0..=PortNo::MAX.0).prop_map(PortNo),
        1 => select(vec![PortNo::LOCAL, PortNo::IN_PORT]),
    ]
}

fn controllers() -> impl Strategy<Value = Action> {
    let userdata = prop_oneof![Just(Vec::new()), vec(any::<u8>(), 1..4)];
    let meter = option::weighted(0.2, any::<u32>());
    let reason = select(PacketInReason::ALL.to_vec());
    let plain = any::<u16>().prop_map(|max_len| ControllerAction {
        max_len,
        ..ControllerAction::default()
    });
    let any = (any::<(u16, u16, bool)>(), reason, userdata, meter).prop_map(
        |((max_len, id, pause), reason, userdata, meter)| ControllerAction {
            max_len,
            reason,
            id,
            userdata,
            pause,
            meter,
        },
    );
    prop_oneof![plain, any].prop_map(|action| Action::Controller(Box::new(action)))
}

/// Actions that stand for themselves.
fn unexecuted() -> impl Strategy<Value = Action> {
    let all = [
        ("learn", "learn(table=1)", false),
        (
            "learn",
            "learn(table=2,idle_timeout=5,priority=7,send_flow_rem,delete_learned,cookie=0x8,\
             limit=3,result_dst=NXM_NX_REG0[0],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],eth_type=0x800,\
             ip_src=1.2.3.4,NXM_NX_REG3[0..3]=0x5,load:NXM_OF_IN_PORT[]->NXM_NX_REG1[0..15],\
             load:0x5->NXM_NX_REG2[],output:NXM_OF_IN_PORT[])",
            false,
        ),
        (
            "multipath",
            "multipath(nw_src,50,hrw,12,3,NXM_NX_REG0[2..5])",
            false,
        ),
        (
            "bundle",
            "bundle(symmetric_l4,60,active_backup,ofport,members:)",
            false,
        ),
        (
            "bundle",
            "bundle(eth_src,0,hrw,ofport,members:1,LOCAL)",
            false,
        ),
        (
            "bundle_load",
            "bundle_load(eth_src,0,hrw,ofport,NXM_NX_REG0[0..15],members:1,2)",
            false,
        ),
        (
            "sample",
            "sample(probability=12345,collector_set_id=1,obs_domain_id=2,\
             obs_point_id=NXM_NX_REG0[],sampling_port=1,ingress)",
            false,
        ),
        ("set_queue", "set_queue:4294967295", true),
        ("pop_queue", "pop_queue", false),
        (
            "encap",
            "encap(nsh(md_type=2,tlv(0x1000,10,0x12345678)))",
            true,
        ),
        ("push_mpls", "push_mpls:0x8847", true),
    ];
    select(all.to_vec()).prop_map(|(name, text, in_set)| Action::Unexecuted {
        name,
        text: text.to_owned(),
        in_set,
    })
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
            // What is known of the packet is forgotten behind these, so they come last.
            Action::Unexecuted { name, .. } if matches!(*name, "encap" | "push_mpls") => {
                kept.push(action);
                return kept;
            }
            Action::FinTimeout { .. } => kind.holds(Prerequisite::Tcp),
            Action::Clone(actions) => {
                // The tag inside is that outside.
                let inner = possible(
                    Kind {
                        tagged: tags > 0,
                        ..kind
                    },
                    actions.clone(),
                );
                inner == *actions
            }
            Action::Push(src) => src.field != Field::VLAN_PCP || tags > 0,
            Action::Pop(dst) | Action::CheckPktLarger { dst, .. } => {
                needs_no_tag(dst.field) || tags > 0
            }
            Action::DecTtl(_) => kind.holds(Prerequisite::Ip),
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
    match action {
        Action::OutputCut { .. }
        | Action::OutputField(_)
        | Action::Note(_)
        | Action::Exit
        | Action::Clone(_)
        | Action::Push(_)
        | Action::Pop(_)
        | Action::DeleteField(_)
        | Action::CheckPktLarger { .. }
        | Action::FinTimeout { .. } => false,
        Action::Unexecuted { in_set, .. } => *in_set,
        Action::Controller(action) => {
            let max_len = action.max_len;
            **action
                == ControllerAction {
                    max_len,
                    ..ControllerAction::default()
                }
        }
        _ => true,
    }
}

/// Whether nothing in the list adds or removes a tag, so that the action set, which is judged
/// behind it, may rely on the match.
pub(super) fn keeps_tags(actions: &[Action]) -> bool {
    actions.iter().all(|action| match action {
        Action::PushVlan(_) | Action::PopVlan => false,
        // Nothing is known behind these.
        Action::Unexecuted { name, .. } => !matches!(*name, "encap" | "push_mpls"),
        Action::SetField { field, .. } => *field != Field::VLAN_TCI,
        Action::Load { dst, .. } => dst.field != Field::VLAN_TCI,
        _ => true,
    })
}
