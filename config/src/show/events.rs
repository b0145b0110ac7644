//! What `weir monitor` tells: packet-ins and rules that are gone, as `ovs-ofctl monitor` prints
//! them.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use weir_ct::{DumpStyle, Ending, Event, EventKind};
use weir_packet::{Fragment, L3, L4, Layout, parse};
use weir_tables::field::Field;
use weir_tables::flow_mod::FlowMod;
use weir_tables::flow_tables::FlowRemoved;
use weir_tables::key::FlowKey;
use weir_tables::matching::Match;
use weir_tables::packet_in::{PacketIn, packet_key};
use weir_tables::tunnel::options::TlvMap;
use weir_tables::wide::Wide;

use super::{ConnectionRow, Milliseconds};
use crate::text::match_text;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventRow {
    /// Something happened to a connection.
    Connection(Box<ConnectionEventRow>),
    /// Something happened to a connection, as a line.
    ConnectionLine(String),
    /// A rule with `send_flow_rem` is gone.
    FlowRemoved(FlowRemovedRow),
    /// So many events were not told, because nobody read.
    Lost(u64),
    /// A packet was sent to the controller.
    PacketIn(PacketInRow),
    /// Packets were to be sent to the controller and were not.
    Refused {
        /// So many were more than their port may send.
        over_rate: u64,
        /// For so many there was no slot: nobody had read those before.
        no_slot: u64,
    },
}

/// Something that happened to a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionEventRow {
    /// When.
    pub at: String,
    /// `new`, `updated` or `destroyed`.
    pub event: String,
    /// Why it was destroyed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The connection; of one that is destroyed, as it was at last.
    pub connection: ConnectionRow,
}

/// A packet that was sent to the controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacketInRow {
    /// Milliseconds on the switch's clock.
    pub at_ms: u64,
    /// The table of the rule that sent it.
    pub table: u8,
    /// That rule's cookie; none: a packet-out sent it.
    pub cookie: Option<u64>,
    /// Why it was sent.
    pub reason: String,
    /// Which controller it is for.
    pub controller: u16,
    /// What the tables knew of it beside its headers, as a match.
    pub metadata: String,
    /// The action's userdata, in hexadecimal with dots.
    pub userdata: String,
    /// Length of the frame, in bytes.
    pub total_len: usize,
    /// The frame, in hexadecimal.
    pub data: String,
}

/// A rule that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowRemovedRow {
    /// Its table.
    pub table: u8,
    /// Its priority.
    pub priority: u16,
    /// Its match, without the priority.
    #[serde(rename = "match")]
    pub matches: String,
    /// Why it went.
    pub reason: String,
    /// Its cookie.
    pub cookie: u64,
    /// How long it lived, in milliseconds.
    pub duration_ms: u64,
    /// Its `idle_timeout`, in seconds.
    pub idle_timeout: u16,
    /// Its `hard_timeout`, in seconds.
    pub hard_timeout: u16,
    /// Packets that matched it.
    pub n_packets: u64,
    /// Their bytes.
    pub n_bytes: u64,
}

impl EventRow {
    /// Of a connection, as a row.
    pub fn of_connection(event: &Event, style: &DumpStyle) -> Self {
        let (name, ending) = event_name(event.kind);
        Self::Connection(Box::new(ConnectionEventRow {
            at: style.time(event.at).to_string(),
            event: name.to_owned(),
            reason: ending.map(|ending| ending.name().to_owned()),
            connection: ConnectionRow::new(&event.entry, style),
        }))
    }

    /// Of a connection, as a line: time, what happened, and the line of a dump.
    pub fn line_of_connection(event: &Event, style: &DumpStyle) -> Self {
        let (name, ending) = event_name(event.kind);
        let why = ending.map_or_else(String::new, |ending| format!(" ({})", ending.name()));
        let (at, line) = (style.time(event.at), event.entry.display(*style));
        Self::ConnectionLine(format!("{at} {name}{why} {line}"))
    }
}

const fn event_name(kind: EventKind) -> (&'static str, Option<Ending>) {
    match kind {
        EventKind::New => ("new", None),
        EventKind::Updated => ("updated", None),
        EventKind::Destroyed(ending) => ("destroyed", Some(ending)),
    }
}

impl PacketInRow {
    /// The row of a packet-in; `options` says which fields its options are.
    pub fn of(event: &PacketIn, options: &TlvMap) -> Self {
        let hex = |bytes: &[u8], separator: &str| {
            let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            bytes.join(separator)
        };
        Self {
            at_ms: event.at.as_millis(),
            table: event.table.0,
            cookie: event.cookie,
            reason: event.reason.name().to_owned(),
            controller: event.controller,
            metadata: match_text(&metadata(&event.key, options)).to_string(),
            userdata: hex(&event.userdata, "."),
            total_len: event.total_len,
            data: hex(&event.data, ""),
        }
    }
}

impl From<&FlowRemoved> for FlowRemovedRow {
    fn from(gone: &FlowRemoved) -> Self {
        let FlowRemoved {
            rule,
            reason,
            at,
            count,
        } = gone;
        let (idle_timeout, hard_timeout) = rule.timeouts(count);
        let duration = at.since(rule.created);
        Self {
            table: rule.table.0,
            priority: rule.priority,
            matches: match_text(&rule.matches()).to_string(),
            reason: reason.name().to_owned(),
            cookie: rule.cookie,
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            idle_timeout,
            hard_timeout,
            n_packets: count.packets,
            n_bytes: count.bytes,
        }
    }
}

impl PacketInRow {
    /// The frame's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let digits: Vec<u8> = self
            .data
            .chars()
            .filter_map(|digit| digit.to_digit(16))
            .filter_map(|digit| u8::try_from(digit).ok())
            .collect();
        let (pairs, _) = digits.as_chunks::<2>();
        pairs.iter().map(|[high, low]| high << 4 | low).collect()
    }
}

/// Prints events.
///
/// # Errors
/// If `out` has any.
pub fn write_events(out: &mut dyn Write, rows: &[EventRow]) -> io::Result<()> {
    for row in rows {
        match row {
            // Only asked for as JSON, of which nothing is printed here.
            EventRow::Connection(row) => writeln!(out, "{} {}", row.at, row.event)?,
            EventRow::ConnectionLine(line) => writeln!(out, "{line}")?,
            EventRow::PacketIn(row) => write_packet_in(out, row)?,
            EventRow::FlowRemoved(row) => write_flow_removed(out, row)?,
            EventRow::Refused { over_rate, no_slot } => {
                let all = over_rate + no_slot;
                writeln!(
                    out,
                    "{all} packets were lost: {over_rate} over the rate of their port, {no_slot} \
                     without a slot"
                )?;
            }
            EventRow::Lost(count) => {
                writeln!(out, "{count} events were lost: they were not read in time")?;
            }
        }
    }
    // Who looks at events wants to see them as they come.
    out.flush()
}

fn write_packet_in(out: &mut dyn Write, row: &PacketInRow) -> io::Result<()> {
    write!(out, "NXT_PACKET_IN2 (OF1.3) (xid=0x0):")?;
    if row.table != 0 {
        write!(out, " table_id={}", row.table)?;
    }
    if let Some(cookie) = row.cookie {
        write!(out, " cookie={cookie:#x}")?;
    }
    let data = row.bytes();
    writeln!(
        out,
        " total_len={} {} (via {}) data_len={} (unbuffered)",
        row.total_len,
        row.metadata,
        row.reason,
        data.len()
    )?;
    if !row.userdata.is_empty() {
        writeln!(out, " userdata={}", row.userdata)?;
    }
    writeln!(out, "{}", packet_text(&data))
}

fn write_flow_removed(out: &mut dyn Write, row: &FlowRemovedRow) -> io::Result<()> {
    let mut line = "OFPT_FLOW_REMOVED (OF1.3) (xid=0x0): ".to_owned();
    // Writing to a String cannot fail.
    let mut put = |part: std::fmt::Arguments<'_>| line.write_fmt(part).unwrap_or(());
    if row.priority != FlowMod::DEFAULT_PRIORITY {
        let comma = if row.matches.is_empty() { "" } else { "," };
        put(format_args!("priority={}{comma}", row.priority));
    }
    put(format_args!("{}", row.matches));
    put(format_args!(
        " reason={} table_id={}",
        row.reason, row.table
    ));
    if row.cookie != 0 {
        put(format_args!(" cookie:{:#x}", row.cookie));
    }
    let duration = Milliseconds(row.duration_ms);
    put(format_args!(" duration{duration} idle{}", row.idle_timeout));
    if row.hard_timeout != 0 {
        put(format_args!(" hard{}", row.hard_timeout));
    }
    put(format_args!(" pkts{} bytes{}", row.n_packets, row.n_bytes));
    writeln!(out, "{line}")
}

/// What is shown of a packet's metadata where it is not zero.
const METADATA: [Field; 14] = [
    Field::PKT_MARK,
    Field::CT_ZONE,
    Field::CT_MARK,
    Field::CT_LABEL,
    Field::TUN_ID,
    Field::TUN_SRC,
    Field::TUN_DST,
    Field::TUN_IPV6_SRC,
    Field::TUN_IPV6_DST,
    Field::TUN_GBP_ID,
    Field::TUN_GBP_FLAGS,
    Field::TUN_TOS,
    Field::TUN_TTL,
    Field::METADATA,
];

/// The fields that describe a connection's original tuple.
const CONNECTION: [Field; 3] = [Field::CT_NW_PROTO, Field::CT_TP_SRC, Field::CT_TP_DST];
const CONNECTION_V4: [Field; 2] = [Field::CT_NW_SRC, Field::CT_NW_DST];
const CONNECTION_V6: [Field; 2] = [Field::CT_IPV6_SRC, Field::CT_IPV6_DST];
const ETH_IPV6: u128 = 0x86dd;

fn metadata(key: &FlowKey, options: &TlvMap) -> Match {
    let mut matches = Match::ANY;
    let exact = |matches: &mut Match, field: Field| matches.set_exact(field, key.field(field));
    for field in METADATA.into_iter().chain((0..32).map(Field::reg)) {
        if key.field(field) != 0 {
            exact(&mut matches, field);
        }
    }
    for (field, value) in key.option_fields(options) {
        matches.set_option(field, &value, &Wide::ones(field.info().width));
    }
    let state = key.field(Field::CT_STATE);
    if state != 0 {
        matches.set(Field::CT_STATE, state, 0xff);
    }
    if key.field(Field::CT_NW_PROTO) != 0 {
        let addresses = match key.field(Field::ETH_TYPE) {
            ETH_IPV6 => CONNECTION_V6,
            _ => CONNECTION_V4,
        };
        exact(&mut matches, Field::ETH_TYPE);
        for field in CONNECTION.into_iter().chain(addresses) {
            exact(&mut matches, field);
        }
    }
    exact(&mut matches, Field::IN_PORT_OXM);
    matches
}

const LINK: [Field; 3] = [Field::ETH_SRC, Field::ETH_DST, Field::ETH_TYPE];
const IP: [Field; 5] = [
    Field::NW_PROTO,
    Field::IP_DSCP,
    Field::NW_ECN,
    Field::NW_TTL,
    Field::IP_FRAG,
];

/// A packet in a line, and its L4 checksum.
pub fn packet_text(frame: &[u8]) -> String {
    let Ok(layout) = parse(frame, frame.len()) else {
        return "(a frame shorter than an Ethernet header)".to_owned();
    };
    let key = packet_key(frame, &layout);
    let mut matches = Match::ANY;
    let mut exact = |fields: &[Field]| {
        for &field in fields {
            matches.set_exact(field, key.field(field));
        }
    };
    exact(&[Field::VLAN_TCI]);
    exact(&LINK);
    match layout.l3 {
        L3::Other => {}
        L3::Arp => exact(&[
            Field::ARP_SPA,
            Field::ARP_TPA,
            Field::ARP_OP,
            Field::ARP_SHA,
            Field::ARP_THA,
        ]),
        L3::Ipv4 => exact(&[Field::IP_SRC, Field::IP_DST]),
        L3::Ipv6 => exact(&[Field::IPV6_SRC, Field::IPV6_DST, Field::IPV6_LABEL]),
    }
    if matches!(layout.l3, L3::Ipv4 | L3::Ipv6) {
        exact(&IP);
    }
    match layout.l4 {
        L4::None => {}
        L4::Tcp => exact(&[Field::TCP_SRC, Field::TCP_DST, Field::TCP_FLAGS]),
        L4::Udp | L4::Sctp => exact(&[Field::UDP_SRC, Field::UDP_DST]),
        L4::Icmp => exact(&[Field::ICMP_TYPE, Field::ICMP_CODE]),
        L4::Icmpv6 => {
            exact(&[Field::ICMPV6_TYPE, Field::ICMPV6_CODE]);
            if matches!(key.field(Field::ICMPV6_TYPE), 135 | 136) {
                exact(&[Field::ND_TARGET, Field::ND_SLL, Field::ND_TLL]);
            }
        }
    }
    let mut text = match_text(&matches).to_string();
    if layout.vlan_tags > 0 {
        // As if two tags were looked for.
        text = text.replacen(",dl_src=", ",vlan_tci1=0x0000,dl_src=", 1);
    }
    text + &checksum_text(frame, &layout)
}

/// ` udp_csum:33b`
fn checksum_text(frame: &[u8], layout: &Layout) -> String {
    let (name, at, size) = match layout.l4 {
        L4::None => return String::new(),
        L4::Tcp => ("tcp", 16, 2),
        L4::Udp => ("udp", 6, 2),
        L4::Sctp => ("sctp", 8, 4),
        L4::Icmp => ("icmp", 2, 2),
        L4::Icmpv6 => ("icmp6", 2, 2),
    };
    if layout.fragment == Fragment::Later {
        return String::new();
    }
    let start = usize::from(layout.l4_offset) + at;
    let bytes = frame.get(start..start + size).unwrap_or_default();
    let number = bytes
        .iter()
        .fold(0_u32, |number, &byte| number << 8 | u32::from(byte));
    format!(" {name}_csum:{number:x}")
}
