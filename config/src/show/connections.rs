//! Tracked connections as rows. Their lines are [`weir_ct::Entry`]'s own.

use serde::{Deserialize, Serialize};
use weir_ct::{Entry, ProtocolInfo};
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
    /// `ct_mark`
    pub mark: u32,
    /// `ct_label`, hexadecimal: JSON's numbers do not reach that far.
    pub labels: String,
    /// Whether a packet in reply direction was seen.
    pub replied: bool,
    /// Seconds until it is forgotten if nothing more comes.
    pub timeout_s: u64,
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
    /// TCP state of the end that sends in this direction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

impl From<&Entry> for ConnectionRow {
    fn from(entry: &Entry) -> Self {
        let (original, reply) = match entry.protocol {
            ProtocolInfo::Tcp { original, reply } => (
                Some(original.state.to_string()),
                Some(reply.state.to_string()),
            ),
            ProtocolInfo::Stateless => (None, None),
        };
        let line = entry.to_string();
        Self {
            id: entry.id,
            protocol: line.split(',').next().unwrap_or_default().to_owned(),
            original: HalfRow::new(&entry.original, original),
            reply: HalfRow::new(&entry.reply, reply),
            zone: entry.zone,
            mark: entry.mark,
            labels: format!("{:#x}", entry.label),
            replied: entry.replied,
            timeout_s: entry.timeout_left.as_secs(),
        }
    }
}

impl HalfRow {
    fn new(tuple: &Tuple, state: Option<String>) -> Self {
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
            state,
        }
    }
}
