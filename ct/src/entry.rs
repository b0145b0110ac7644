//! One connection as a dump shows it.

use std::fmt;
use std::time::Duration;

use weir_packet::{IpPair, Tick, Tuple};

use crate::alg::Helper;
use crate::record::Carried;
use crate::request::ZoneDir;
use crate::sctp::AssociationState;
use crate::tcp::PeerState;

/// A connection, copied out of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Unique among all connections this tracker ever made, from 1.
    pub id: u64,
    /// The zone.
    pub zone: u16,
    /// Which direction alone is in the zone, the other one being in zone 0; `None`: both are.
    pub zone_dir: Option<ZoneDir>,
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
    /// When it was made.
    pub start: Tick,
    /// When the last packet came that kept it, as its deadline tells: after timeouts were changed,
    /// wrong by as much until the next one comes.
    pub last_seen: Tick,
    /// What it carried, in original and in reply direction, unless nobody counts.
    pub carried: Option<[Carried; 2]>,
    /// What looks into its payload.
    pub helper: Option<Helper>,
    /// The tuple of the packet that opened its master, if it was expected.
    pub parent: Option<Tuple>,
}

/// A connection that is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The zone.
    pub zone: u16,
    /// The tuple of its first packet; the source port, which may be any, is 0.
    pub tuple: Tuple,
    /// The tuple of the packet that opened its master.
    pub parent: Tuple,
    /// `ct_mark` of its master.
    pub mark: u32,
    /// `ct_label` of its master.
    pub label: u128,
    /// How long it is expected.
    pub timeout_left: Duration,
}

/// As `ovs-appctl dpctl/dump-conntrack-exp` prints it.
impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match protocol_name(self.tuple.protocol) {
            Some(name) => f.write_str(name)?,
            None => write!(f, "{}", self.tuple.protocol)?,
        }
        write!(f, ",orig=({})", Half(&self.tuple, None))?;
        if self.zone != 0 {
            write!(f, ",zone={}", self.zone)?;
        }
        if self.mark != 0 {
            write!(f, ",mark={}", self.mark)?;
        }
        if self.label != 0 {
            write!(f, ",labels={:#x}", self.label)?;
        }
        write!(f, ",parent=({})", Half(&self.parent, None))
    }
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
    /// SCTP.
    Sctp(SctpInfo),
    /// A protocol that only knows whether there were replies.
    Stateless,
}

impl ProtocolInfo {
    /// The one state that a dump shows for both ends of a TCP connection.
    pub fn shown_state(&self) -> Option<PeerState> {
        match self {
            Self::Tcp { original, reply } => Some(original.state.max(reply.state).coalesced()),
            Self::Sctp(_) | Self::Stateless => None,
        }
    }
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

/// An SCTP association.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SctpInfo {
    /// Its state.
    pub state: AssociationState,
    /// The verification tags that packets of the original and of the reply direction carry; 0:
    /// not known yet.
    pub tags: [u32; 2],
}

/// What a dump shows besides the usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DumpStyle {
    /// `-s`: statistics; what was carried, since when, and the time left.
    pub statistics: bool,
    /// `-m`: statistics, id, status, and both halves of a TCP connection.
    pub more: bool,
    /// Which lcore has it, if that is to be told.
    pub lcore: Option<u32>,
    /// The Unix time of the switch's clock's beginning, in milliseconds; `None`: times are told in
    /// seconds since then.
    pub epoch_ms: Option<u64>,
}

impl DumpStyle {
    /// A time of the switch's clock as a dump shows it.
    pub const fn time(&self, at: Tick) -> impl fmt::Display + use<> {
        Time(at, self.epoch_ms)
    }
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
            zone_dir,
            original,
            reply,
            mark,
            label,
            protocol,
            carried,
            ..
        } = self.entry;
        let DumpStyle {
            statistics,
            more,
            lcore,
            ..
        } = self.style;
        let statistics = statistics || more;
        let carried = carried.filter(|_| statistics);
        match protocol_name(original.protocol) {
            Some(name) => f.write_str(name)?,
            None => write!(f, "{}", original.protocol)?,
        }
        let [there, back] = [0, 1].map(|direction| carried.map(|both| both[direction]));
        let (original, reply) = (Half(original, there), Half(reply, back));
        write!(f, ",orig=({original}),reply=({reply})")?;
        if statistics {
            let (start, last) = (self.entry.start, self.entry.last_seen);
            let (start, last) = (self.style.time(start), self.style.time(last));
            write!(f, ",start={start},last={last}")?;
        }
        if more {
            write!(f, ",id={id}")?;
        }
        if *zone != 0 {
            write!(f, ",zone={zone}")?;
        }
        if let Some(direction) = zone_dir {
            write!(f, ",zone_dir={}", direction.name())?;
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
            ProtocolInfo::Tcp { original, reply } if more => halves(f, *original, *reply)?,
            ProtocolInfo::Tcp { .. } | ProtocolInfo::Stateless => {
                if let Some(state) = protocol.shown_state() {
                    write!(f, ",protoinfo=(state={state})")?;
                }
            }
            ProtocolInfo::Sctp(SctpInfo {
                state,
                tags: [original, reply],
            }) => write!(
                f,
                ",protoinfo=(state={state},vtag_orig={original},vtag_reply={reply})"
            )?,
        }
        if let Some(helper) = self.entry.helper {
            write!(f, ",helper={}", helper.name())?;
        }
        if let Some(parent) = self.entry.parent.filter(|_| more) {
            write!(f, ",parent=({})", Half(&parent, None))?;
        }
        match lcore {
            Some(lcore) => write!(f, ",lcore={lcore}"),
            None => Ok(()),
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
pub const fn protocol_name(protocol: u8) -> Option<&'static str> {
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

/// A time: that of day in UTC if the second is known, else in seconds.
struct Time(Tick, Option<u64>);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(tick, epoch_ms) = *self;
        let Some(epoch_ms) = epoch_ms else {
            let millis = tick.as_millis();
            return write!(f, "{}.{:03}", millis / 1000, millis % 1000);
        };
        let millis = epoch_ms.saturating_add(tick.as_millis());
        let (days, of_day) = (millis / MILLIS_OF_DAY, millis % MILLIS_OF_DAY);
        let (year, month, day) = date(days);
        let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
        let (second, milli) = (of_day / 1000 % 60, of_day % 1000);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"
        )
    }
}

const MILLIS_OF_DAY: u64 = 86_400_000;

/// Year, month and day so many days after 1970-01-01. Years begin in March here, so that the
/// day of a leap year is the last one of a year.
const fn date(days: u64) -> (u64, u64, u64) {
    /// Days of 400 years, and from 0000-03-01 to 1970-01-01.
    const ERA: u64 = 146_097;
    const EPOCH: u64 = 719_468;
    let (era, of_era) = ((days + EPOCH) / ERA, (days + EPOCH) % ERA);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    (era * 400 + year + (month <= 2) as u64, month, day)
}

/// The inside of `orig=(...)`.
struct Half<'a>(&'a Tuple, Option<Carried>);

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
            write!(f, ",id={src_port},type={kind},code={code}")?;
        } else if let Some(key @ 1..) = self.0.gre_key() {
            write!(f, ",key={key}")?;
        } else {
            write!(f, ",sport={src_port},dport={dst_port}")?;
        }
        match self.1 {
            Some(Carried { packets, bytes }) => write!(f, ",packets={packets},bytes={bytes}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
