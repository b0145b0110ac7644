//! Strategies for flows in canonical form: any field, any action, each with what it needs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use weir_nat::{NatFlags, NatKind, NatRange, NatSpec, PortChoice};
use weir_tables::action::{Action, Alg, CtAction, Instructions, Subfield, TableId, ZoneSource};
use weir_tables::field::{Access, Field, Format, Masking, Prerequisite};
use weir_tables::flow_mod::{Command, FlowFlags, FlowMod};
use weir_tables::matching::Match;
use weir_tables::port::PortNo;

/// What packets of a flow are.
#[derive(Clone, Copy, Debug)]
struct Kind {
    eth_type: Option<u16>,
    protocol: Option<u8>,
    /// ICMPv6 type for Neighbour Discovery.
    nd: Option<u8>,
    /// The match says that the packet belongs to a connection.
    connection: bool,
    connection_protocol: Option<u8>,
    /// The match says that the packet is invalid.
    invalid: bool,
    tagged: bool,
}

const IPV4: Option<u16> = Some(0x0800);
const IPV6: Option<u16> = Some(0x86dd);

impl Kind {
    fn holds(&self, prerequisite: Prerequisite) -> bool {
        use Prerequisite as P;
        let ip = matches!(self.eth_type, IPV4 | IPV6);
        let connection = ip && self.connection;
        match prerequisite {
            P::None | P::Ethernet => true,
            P::VlanVid => self.tagged,
            P::Mpls => matches!(self.eth_type, Some(0x8847 | 0x8848)),
            P::Ipv4 => self.eth_type == IPV4,
            P::Ipv6 => self.eth_type == IPV6,
            P::Ip => ip,
            P::Arp => matches!(self.eth_type, Some(0x0806 | 0x8035)),
            P::Tcp => ip && self.protocol == Some(6),
            P::Udp => ip && self.protocol == Some(17),
            P::Sctp => ip && self.protocol == Some(132),
            P::Icmpv4 => self.eth_type == IPV4 && self.protocol == Some(1),
            P::Icmpv6 => self.eth_type == IPV6 && self.protocol == Some(58),
            P::Nd => self.nd.is_some(),
            P::NdSolicit => self.nd == Some(135),
            P::NdAdvert => self.nd == Some(136),
            P::Nsh => self.eth_type == Some(0x894f),
            P::Ct => connection,
            P::CtIpv4 => connection && self.eth_type == IPV4,
            P::CtIpv6 => connection && self.eth_type == IPV6,
            P::CtPorts => connection && self.connection_protocol.is_some(),
        }
    }

    fn readable(&self) -> Vec<Field> {
        Field::all()
            .filter(|field| {
                let info = field.info();
                !info.wire_names.is_empty() && self.holds(info.prerequisite)
            })
            .collect()
    }

    fn writable(&self, access: Access) -> Vec<Field> {
        self.readable()
            .into_iter()
            .filter(|&field| field.info().access == access && field != Field::IN_PORT_OXM)
            .filter(|&field| field != Field::VLAN_VID || self.tagged)
            .collect()
    }
}

fn kinds() -> impl Strategy<Value = Kind> {
    let protocols = prop_oneof![
        2 => Just((None, None)),
        6 => (
            select(vec![IPV4, IPV6]),
            option::of(prop_oneof![select(vec![6, 17, 132, 1, 58]), any::<u8>()]),
        ),
        2 => select(vec![0x0806, 0x8035, 0x8847, 0x8848, 0x894f]).prop_map(|t| (Some(t), None)),
        1 => any::<u16>().prop_map(|eth_type| (Some(eth_type), None)),
    ];
    let connection = select(vec![1_u8, 6, 17, 132]);
    let nd = select(vec![None, Some(135), Some(136)]);
    let flags = any::<[bool; 3]>();
    (protocols, nd, option::of(connection), flags).prop_map(
        |((eth_type, protocol), nd, connection_protocol, [connection, invalid, tagged])| Kind {
            eth_type,
            protocol,
            nd: nd.filter(|_| eth_type == IPV6 && protocol == Some(58)),
            connection,
            connection_protocol: connection_protocol
                .filter(|_| connection && matches!(eth_type, IPV4 | IPV6)),
            invalid: invalid && !connection,
            tagged,
        },
    )
}

fn ones(field: Field) -> u128 {
    u128::MAX >> (128 - u32::from(field.info().width))
}

/// Turns random bits into a value that `field` can have as a whole.
fn whole_value(field: Field, bits: u128) -> u128 {
    let value = bits & ones(field);
    match (field, field.info().format) {
        (Field::ARP_OP, _) => value & 0xff,
        (Field::NSH_TTL, _) => value % 64,
        (Field::NSH_MDTYPE, _) => value % 2 + 1,
        (Field::NW_TOS, _) => value & 0xfc,
        (Field::PACKET_TYPE, _) => value.max(1),
        (Field::IN_PORT, _) => {
            if value > 0xfeff {
                value | 0xfff8
            } else {
                value
            }
        }
        (_, Format::Port) => {
            if value > 0xfeff {
                value | 0xffff_fff8
            } else {
                value
            }
        }
        _ => value,
    }
}

/// Fields of a match that are not set through the kind of packet, or in another form.
fn matchable(kind: &Kind) -> Vec<Field> {
    Field::all()
        .filter(|&field| kind.holds(field.info().prerequisite))
        .filter(|field| {
            !matches!(
                *field,
                Field::IN_PORT
                    | Field::ETH_TYPE
                    | Field::NW_PROTO
                    | Field::CT_NW_PROTO
                    | Field::CT_STATE
                    | Field::VLAN_TCI
                    | Field::VLAN_VID
                    | Field::VLAN_PCP
                    | Field::DL_VLAN
                    | Field::DL_VLAN_PCP
                    | Field::NW_TOS
                    | Field::IP_FRAG
            )
        })
        // The type of Neighbour Discovery is set through the kind, and its code is 0.
        .filter(|&field| {
            kind.nd.is_none() || !matches!(field, Field::ICMPV6_TYPE | Field::ICMPV6_CODE)
        })
        .collect()
}

fn matches(kind: Kind) -> impl Strategy<Value = Match> {
    let (general, special): (Vec<_>, Vec<_>) = matchable(&kind).into_iter().partition(|field| {
        matches!(
            field.info().prerequisite,
            Prerequisite::None | Prerequisite::Ethernet
        )
    });
    // Fields of a protocol are few, and their protocol is one of many.
    let fields = match special.is_empty() {
        true => select(general).boxed(),
        false => prop_oneof![select(general), select(special)].boxed(),
    };
    let terms = vec((fields, any::<u128>(), any::<u128>()), 0..6);
    let ct_state = (any::<u8>(), any::<u8>());
    let vlan = (0..8_u8, any::<u16>(), any::<u16>());
    let fragment = select(vec![(0_u128, 0_u128), (0, 3), (1, 1), (1, 3), (0, 2)]);
    (terms, ct_state, vlan, fragment).prop_map(move |(terms, ct_state, vlan, fragment)| {
        let mut matches = Match::ANY;
        if let Some(eth_type) = kind.eth_type {
            matches.set_exact(Field::ETH_TYPE, eth_type.into());
        }
        if let Some(protocol) = kind.protocol {
            matches.set_exact(Field::NW_PROTO, protocol.into());
        }
        if let Some(nd) = kind.nd {
            matches.set_exact(Field::ICMPV6_TYPE, nd.into());
        }
        if let Some(protocol) = kind.connection_protocol {
            matches.set_exact(Field::CT_NW_PROTO, protocol.into());
        }
        let (mut value, mut mask) = ct_state;
        value &= !0x10;
        if kind.connection {
            // +trk-inv
            (value, mask) = (value | 0x20, mask | 0x30);
        }
        if kind.invalid {
            (value, mask) = (value | 0x10, mask | 0x10);
        }
        if mask != 0 {
            matches.set(Field::CT_STATE, value.into(), mask.into());
        }
        for (field, value, mask) in terms {
            let mask = match field.info().masking {
                Masking::Exact => ones(field),
                Masking::Bitwise if mask & 3 == 0 => ones(field),
                Masking::Bitwise => mask & ones(field),
            };
            if mask != 0 {
                matches.clear(field);
                matches.set(field, whole_value(field, value), mask);
            }
        }
        let (choice, value, mask) = vlan;
        match (kind.tagged, choice) {
            (true, 0) => matches.set(Field::VLAN_TCI, 0x1000, 0x1000),
            (true, 1 | 2) => matches.set(Field::VLAN_TCI, (value | 0x1000).into(), 0x1fff),
            (true, 3) => matches.set(Field::VLAN_TCI, (value | 0x1000).into(), 0xffff),
            (true, 4) => matches.set(Field::VLAN_TCI, (value | 0x1000).into(), 0xf000),
            (true, _) => {
                let mask = (mask | 0x1000).into();
                matches.set(Field::VLAN_TCI, (value | 0x1000).into(), mask);
            }
            (false, 0) => matches.set(Field::VLAN_TCI, 0, 0x1fff),
            (false, 1) if mask & 0x0fff != 0 => {
                matches.set(Field::VLAN_TCI, value.into(), (mask & !0x1000).into());
            }
            (false, _) => {}
        }
        if matches!(kind.eth_type, IPV4 | IPV6) && fragment.1 != 0 {
            matches.set(Field::IP_FRAG, fragment.0, fragment.1);
        }
        matches
    })
}

fn ports() -> impl Strategy<Value = PortNo> {
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

fn tables() -> impl Strategy<Value = TableId> {
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

fn actions(kind: Kind) -> impl Strategy<Value = Action> {
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

fn conjunctions() -> impl Strategy<Value = Vec<Action>> {
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
fn possible(kind: Kind, actions: Vec<Action>) -> Vec<Action> {
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

fn in_action_set(action: &Action) -> bool {
    !matches!(
        action,
        Action::OutputField(_) | Action::Note(_) | Action::Exit
    )
}

/// Whether nothing in the list adds or removes a tag, so that the action set, which is judged
/// behind it, may rely on the match.
fn keeps_tags(actions: &[Action]) -> bool {
    actions.iter().all(|action| match action {
        Action::PushVlan(_) | Action::PopVlan => false,
        Action::SetField { field, .. } => *field != Field::VLAN_TCI,
        Action::Load { dst, .. } => dst.field != Field::VLAN_TCI,
        _ => true,
    })
}

fn instructions(kind: Kind, table: Option<TableId>) -> impl Strategy<Value = Instructions> {
    let above = table.map_or(0, |table| table.0 + 1);
    let goto = match above <= TableId::MAX.0 {
        true => option::of((above..=TableId::MAX.0).prop_map(TableId)).boxed(),
        false => Just(None).boxed(),
    };
    let apply = vec(actions(kind), 0..5);
    let write = vec(actions(kind), 0..3);
    let metadata = option::weighted(0.3, any::<(u64, u64)>());
    (apply, any::<bool>(), write, metadata, goto).prop_map(
        move |(apply, clear_actions, write, metadata, goto_table)| {
            let apply = possible(kind, apply);
            let mut write_actions = possible(kind, write);
            write_actions.retain(in_action_set);
            if !keeps_tags(&apply) {
                write_actions.clear();
            }
            Instructions {
                apply,
                clear_actions,
                write_actions,
                write_metadata: metadata.map(|(value, mask)| (value & mask, mask)),
                goto_table,
            }
        },
    )
}

fn flags() -> impl Strategy<Value = FlowFlags> {
    any::<[bool; 5]>().prop_map(|flags| {
        let [
            send_flow_rem,
            check_overlap,
            reset_counts,
            no_packet_counts,
            no_byte_counts,
        ] = flags;
        FlowFlags {
            send_flow_rem,
            check_overlap,
            reset_counts,
            no_packet_counts,
            no_byte_counts,
        }
    })
}

fn cookie_filters() -> impl Strategy<Value = Option<(u64, u64)>> {
    option::of((any::<u64>(), 1..=u64::MAX).prop_map(|(value, mask)| (value & mask, mask)))
}

fn priorities() -> impl Strategy<Value = u16> {
    prop_oneof![Just(FlowMod::DEFAULT_PRIORITY), any::<u16>()]
}

fn changes(command: Command) -> impl Strategy<Value = FlowMod> {
    let table = match command {
        Command::Add => tables().prop_map(Some).boxed(),
        _ => option::of(tables()).boxed(),
    };
    let parts = (table, kinds()).prop_flat_map(|(table, kind)| {
        let instructions = prop_oneof![
            5 => instructions(kind, table),
            1 => conjunctions()
                .prop_map(|apply| Instructions { apply, ..Instructions::default() }),
        ];
        (Just(table), matches(kind), instructions)
    });
    let cookies = (any::<u64>(), cookie_filters());
    let numbers = (priorities(), any::<u16>(), any::<u16>(), any::<u16>());
    (parts, cookies, numbers, flags(), any::<[bool; 3]>()).prop_map(
        move |((table, matches, instructions), cookies, numbers, flags, present)| {
            let (priority, idle_timeout, hard_timeout, importance) = numbers;
            let (cookie, cookie_filter) = cookies;
            let add = command == Command::Add;
            FlowMod {
                command,
                table,
                priority,
                matches,
                new_cookie: (add || present[0]).then_some(cookie),
                cookie_filter: cookie_filter.filter(|_| !add),
                idle_timeout: if present[1] { idle_timeout } else { 0 },
                hard_timeout: if present[2] { hard_timeout } else { 0 },
                importance: if add && present[1] { importance } else { 0 },
                flags,
                instructions,
                ..FlowMod::default()
            }
        },
    )
}

fn deletions(command: Command) -> impl Strategy<Value = FlowMod> {
    let out = (option::of(ports()), option::of(0..=0xffff_ff00_u32));
    let filters = (option::of(tables()), cookie_filters(), priorities());
    (kinds().prop_flat_map(matches), filters, out).prop_map(
        move |(matches, (table, cookie_filter, priority), (out_port, out_group))| FlowMod {
            command,
            table,
            priority: match command {
                Command::DeleteStrict => priority,
                _ => FlowMod::DEFAULT_PRIORITY,
            },
            matches,
            cookie_filter,
            out_port,
            out_group,
            ..FlowMod::default()
        },
    )
}

/// Changes to the flow tables that a text can ask for, as reading it gives them.
pub(super) fn flow_mods() -> impl Strategy<Value = FlowMod> {
    prop_oneof![
        6 => changes(Command::Add),
        1 => changes(Command::Modify),
        1 => changes(Command::ModifyStrict),
        1 => deletions(Command::Delete),
        1 => deletions(Command::DeleteStrict),
    ]
}

/// Flows to add.
pub(super) fn added_flows() -> impl Strategy<Value = FlowMod> {
    changes(Command::Add)
}
