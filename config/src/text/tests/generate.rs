//! Strategies for flows in canonical form: any field, any action, each with what it needs.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use weir_tables::action::{Instructions, TableId};
use weir_tables::field::{Access, Field, Format, Prerequisite};
use weir_tables::flow_mod::{Command, FlowFlags, FlowMod};

pub(crate) use self::groups::group_mods;

use self::actions::{actions, conjunctions, in_action_set, keeps_tags, ports, possible, tables};
use self::matches::matches;

mod actions;
mod groups;
mod matches;

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
                let is_short = field.option().is_none();
                !info.wire_names.is_empty() && is_short && self.holds(info.prerequisite)
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
pub(crate) fn added_flows() -> impl Strategy<Value = FlowMod> {
    changes(Command::Add)
}
