//! One connection as a dump shows it.

use std::fmt;
use std::time::Duration;

use weir_packet::{IpPair, Tuple};

use crate::tcp::PeerState;

/// A connection, copied out of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Unique among all connections this tracker ever made, from 1.
    pub id: u64,
    /// The zone.
    pub zone: u16,
    /// The tuple of the packet that opened it.
    pub original: Tuple,
    /// The tuple that replies have.
    pub reply: Tuple,
    /// `ct_mark`
    pub mark: u32,
    /// `ct_label`
    pub label: u128,
    /// What the protocol's tracker knows.
    pub protocol: ProtocolInfo,
    /// Whether a packet in reply direction was seen.
    pub replied: bool,
    /// How long until it is forgotten if nothing more comes.
    pub timeout_left: Duration,
}

/// State kept by a protocol's tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolInfo {
    /// TCP.
    Tcp {
        /// The end that opened the connection.
        original: TcpInfo,
        /// The other end.
        reply: TcpInfo,
    },
    /// A protocol that only knows whether there were replies.
    Stateless,
}

/// One end of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpInfo {
    /// Its state.
    pub state: PeerState,
    /// The shift of RFC 7323 in force for windows that this end announces.
    pub window_scale: u8,
    /// Whether this end offered scaling in its SYN.
    pub scaling: bool,
    /// Whether its scale is unknown, because the handshake was not seen.
    pub liberal: bool,
}

/// What a dump shows besides the usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DumpStyle {
    /// `-s`: statistics; the time left.
    pub statistics: bool,
    /// `-m`: id, status, and both halves of a TCP connection.
    pub more: bool,
}

impl Entry {
    /// The line `ovs-appctl dpctl/dump-conntrack` prints for it, without a line end.
    pub const fn display(&self, style: DumpStyle) -> impl fmt::Display + '_ {
        Line { entry: self, style }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.display(DumpStyle::default()).fmt(f)
    }
}

struct Line<'a> {
    entry: &'a Entry,
    style: DumpStyle,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entry {
            id,
            zone,
            original,
            reply,
            mark,
            label,
            protocol,
            ..
        } = self.entry;
        let DumpStyle { statistics, more } = self.style;
        match protocol_name(original.protocol) {
            Some(name) => f.write_str(name)?,
            None => write!(f, "{}", original.protocol)?,
        }
        write!(f, ",orig=({}),reply=({})", Half(original), Half(reply))?;
        if more {
            write!(f, ",id={id}")?;
        }
        if *zone != 0 {
            write!(f, ",zone={zone}")?;
        }
        if more {
            // A connection in the table is confirmed; one with traffic both ways is assured.
            f.write_str(if self.entry.replied {
                ",status=SEEN_REPLY|ASSURED|CONFIRMED"
            } else {
                ",status=CONFIRMED"
            })?;
        }
        if statistics {
            write!(f, ",timeout={}", self.entry.timeout_left.as_secs())?;
        }
        if *mark != 0 {
            write!(f, ",mark={mark}")?;
        }
        if *label != 0 {
            write!(f, ",labels={label:#x}")?;
        }
        match protocol {
            ProtocolInfo::Tcp { original, reply } if more => halves(f, *original, *reply),
            ProtocolInfo::Tcp { original, reply } => {
                let state = original.state.max(reply.state).coalesced();
                write!(f, ",protoinfo=(state={state})")
            }
            ProtocolInfo::Stateless => Ok(()),
        }
    }
}

fn halves(f: &mut fmt::Formatter<'_>, original: TcpInfo, reply: TcpInfo) -> fmt::Result {
    write!(
        f,
        ",protoinfo=(state_orig={},state_reply={}",
        original.state, reply.state
    )?;
    if original.window_scale != 0 || reply.window_scale != 0 {
        let (ours, theirs) = (original.window_scale, reply.window_scale);
        write!(f, ",wscale_orig={ours},wscale_reply={theirs}")?;
    }
    write!(
        f,
        ",flags_orig={},flags_reply={})",
        flags(original),
        flags(reply)
    )
}

const fn flags(info: TcpInfo) -> &'static str {
    match (info.scaling, info.liberal) {
        (false, false) => "0",
        (true, false) => "WINDOW_SCALE",
        (false, true) => "BE_LIBERAL",
        (true, true) => "WINDOW_SCALE|BE_LIBERAL",
    }
}

/// The names `dump-conntrack` knows; any other protocol is printed as its number.
const fn protocol_name(protocol: u8) -> Option<&'static str> {
    Some(match protocol {
        1 => "icmp",
        2 => "igmp",
        6 => "tcp",
        17 => "udp",
        33 => "dccp",
        58 => "icmpv6",
        132 => "sctp",
        136 => "udplite",
        _ => return None,
    })
}

/// The inside of `orig=(...)`.
struct Half<'a>(&'a Tuple);

impl fmt::Display for Half<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tuple {
            ip,
            protocol,
            src_port,
            dst_port,
        } = self.0;
        match ip {
            IpPair::V4 { src, dst } => write!(f, "src={src},dst={dst}")?,
            IpPair::V6 { src, dst } => write!(f, "src={src},dst={dst}")?,
        }
        if matches!(protocol, 1 | 58) {
            let [kind, code] = dst_port.to_be_bytes();
            write!(f, ",id={src_port},type={kind},code={code}")
        } else {
            write!(f, ",sport={src_port},dport={dst_port}")
        }
    }
}

#[cfg(test)]
mod tests;
