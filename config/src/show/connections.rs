//! Tracked connections as rows. Their lines are [`weir_ct::Entry`]'s own.

use serde::{Deserialize, Serialize};
use weir_ct::{Carried, DumpStyle, Entry, Expected, ProtocolInfo, TcpInfo};
use weir_packet::Tuple;

/// One connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionRow {
    /// Unique among all connections of its lcore.
    pub id: u64,
    /// The protocol as a line names it, or its number.
    pub protocol: String,
    /// The tuple of the packet that opened it.
    pub original: HalfRow,
    /// The tuple that replies have.
    pub reply: HalfRow,
    /// Zone.
    pub zone: u16,
    /// The direction that alone is in the zone, if the other one is in zone 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone_dir: Option<String>,
    /// `ct_mark`
    pub mark: u32,
    /// `ct_label`, hexadecimal: JSON's numbers do not reach that far.
    pub labels: String,
    /// Whether a packet in reply direction was seen.
    pub replied: bool,
    /// Seconds until it is forgotten if nothing more comes.
    pub timeout_s: u64,
    /// When it was made.
    pub start: String,
    /// When the last packet came that kept it.
    pub last_seen: String,
    /// The lcore that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lcore: Option<u32>,
    /// What looks into its payload: `ftp` or `tftp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helper: Option<String>,
    /// The tuple of the packet that opened its master, if it was expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<HalfRow>,
}

/// A connection that is expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectedRow {
    /// The protocol as a line names it.
    pub protocol: String,
    /// The tuple of its first packet; any source port will do.
    pub original: HalfRow,
    /// The tuple of the packet that opened its master.
    pub parent: HalfRow,
    /// Zone.
    pub zone: u16,
    /// `ct_mark` of its master.
    pub mark: u32,
    /// `ct_label` of its master, hexadecimal.
    pub labels: String,
    /// Seconds for which it is expected.
    pub timeout_s: u64,
}

impl From<&Expected> for ExpectedRow {
    fn from(expected: &Expected) -> Self {
        let line = expected.to_string();
        let any_port = HalfRow {
            sport: None,
            ..HalfRow::plain(&expected.tuple)
        };
        Self {
            protocol: line.split(',').next().unwrap_or_default().to_owned(),
            original: any_port,
            parent: HalfRow::plain(&expected.parent),
            zone: expected.zone,
            mark: expected.mark,
            labels: format!("{:#x}", expected.label),
            timeout_s: expected.timeout_left.as_secs(),
        }
    }
}

/// One direction of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HalfRow {
    /// Source address.
    pub src: String,
    /// Destination address.
    pub dst: String,
    /// Source port; not of ICMP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sport: Option<u16>,
    /// Destination port; not of ICMP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dport: Option<u16>,
    /// ICMP identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u16>,
    /// ICMP type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<u8>,
    /// ICMP code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u8>,
    /// TCP state of the end that sends in this direction; for SCTP, that of the association.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The shift of RFC 7323 of its windows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_scale: Option<u8>,
    /// Whether that is unknown, because the handshake was not seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub liberal: Option<bool>,
    /// Packets in this direction, if they are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets: Option<u64>,
    /// Their bytes, from the IP header on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

impl ConnectionRow {
    /// Of a connection, with times and lcore as `style` tells them.
    pub fn new(entry: &Entry, style: &DumpStyle) -> Self {
        let (original, reply) = match entry.protocol {
            ProtocolInfo::Tcp { original, reply } => (Some(original), Some(reply)),
            ProtocolInfo::Sctp(_) => (None, None),
            ProtocolInfo::Stateless => (None, None),
        };
        let [there, back] = [0, 1].map(|direction| entry.carried.map(|both| both[direction]));
        let line = entry.to_string();
        Self {
            id: entry.id,
            protocol: line.split(',').next().unwrap_or_default().to_owned(),
            original: HalfRow::new(entry, &entry.original, original, there),
            reply: HalfRow::new(entry, &entry.reply, reply, back),
            zone: entry.zone,
            zone_dir: entry.zone_dir.map(|direction| direction.name().to_owned()),
            mark: entry.mark,
            labels: format!("{:#x}", entry.label),
            replied: entry.replied,
            timeout_s: entry.timeout_left.as_secs(),
            start: style.time(entry.start).to_string(),
            last_seen: style.time(entry.last_seen).to_string(),
            lcore: style.lcore,
            helper: entry.helper.map(|helper| helper.name().to_owned()),
            parent: entry.parent.map(|parent| HalfRow::plain(&parent)),
        }
    }
}

impl HalfRow {
    fn new(entry: &Entry, tuple: &Tuple, tcp: Option<TcpInfo>, carried: Option<Carried>) -> Self {
        let state = match entry.protocol {
            ProtocolInfo::Tcp { .. } => tcp.map(|tcp| tcp.state.to_string()),
            ProtocolInfo::Sctp(association) => Some(association.state.to_string()),
            ProtocolInfo::Stateless => None,
        };
        Self {
            state,
            window_scale: tcp.map(|tcp| tcp.window_scale),
            liberal: tcp.map(|tcp| tcp.liberal),
            packets: carried.map(|carried| carried.packets),
            bytes: carried.map(|carried| carried.bytes),
            ..Self::plain(tuple)
        }
    }

    /// Addresses and ports alone.
    fn plain(tuple: &Tuple) -> Self {
        let [kind, code] = tuple.dst_port.to_be_bytes();
        let is_icmp = matches!(tuple.protocol, 1 | 58);
        let of_icmp = |value| is_icmp.then_some(value);
        let of_others = |value| (!is_icmp).then_some(value);
        Self {
            src: tuple.src().to_string(),
            dst: tuple.dst().to_string(),
            sport: of_others(tuple.src_port),
            dport: of_others(tuple.dst_port),
            id: of_icmp(tuple.src_port),
            kind: is_icmp.then_some(kind),
            code: is_icmp.then_some(code),
            state: None,
            window_scale: None,
            liberal: None,
            packets: None,
            bytes: None,
        }
    }
}
