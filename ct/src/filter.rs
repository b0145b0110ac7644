//! Which connections a dump or a flush is about, and its text.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use weir_packet::{IpPair, Tuple, protocol};

use crate::entry::{Entry, ProtocolInfo, SctpInfo};
use crate::sctp::AssociationState;
use crate::tcp::PeerState;

/// Conditions, all of which must hold. The default holds for every connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The zone.
    pub zone: Option<u16>,
    /// Value and mask for the mark.
    pub mark: Option<(u32, u32)>,
    /// Value and mask for the label.
    pub label: Option<(u128, u128)>,
    /// The state.
    pub state: Option<StateFilter>,
    /// Parts of the original tuple.
    pub original: PartialTuple,
    /// Parts of the reply tuple.
    pub reply: PartialTuple,
}

/// What state a connection is to be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateFilter {
    /// A dump shows this state of it, of TCP or of SCTP; of either name there is at least one.
    Shown(Option<PeerState>, Option<AssociationState>),
    /// A packet in reply direction was seen.
    Replied,
    /// None was.
    Unreplied,
}

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// How many bits of `address` count; the others are 0.
    prefix: u8,
}

/// Parts of a tuple; what is `None` may be anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartialTuple {
    /// `ct_nw_src` or `ct_ipv6_src`
    pub src: Option<Network>,
    /// `ct_nw_dst` or `ct_ipv6_dst`
    pub dst: Option<Network>,
    /// `ct_nw_proto`
    pub protocol: Option<u8>,
    /// `ct_tp_src`
    pub src_port: Option<u16>,
    /// `ct_tp_dst`
    pub dst_port: Option<u16>,
    /// `icmp_id`
    pub icmp_id: Option<u16>,
    /// `icmp_type`
    pub icmp_type: Option<u8>,
    /// `icmp_code`
    pub icmp_code: Option<u8>,
    /// `gre_key`; 0 is that of packets without a key.
    pub gre_key: Option<u32>,
}

/// What is wrong with a filter's text, in Open vSwitch's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FilterError {
    /// Which argument, from 0.
    pub argument: usize,
    /// Which bytes of it.
    pub span: Range<usize>,
    /// The message.
    pub message: String,
}

impl Filter {
    /// The words in front of tuples, in their order.
    pub const WORDS: [&str; 4] = ["zone", "mark", "labels", "state"];

    /// Parses the arguments of `flush-conntrack`: `[zone=N] [mark=X[/M]] [labels=Y[/N]]
    /// [state=STATE] ['ORIGINAL' ['REPLY']]`, in this order. Beyond Open vSwitch, an address may be
    /// a prefix, GRE has a key, and there is a state: that of TCP or SCTP as a dump shows it, `replied`
    /// or `unreplied`.
    ///
    /// # Errors
    /// Where, and what is wrong.
    pub fn parse(arguments: &[&str]) -> Result<Self, FilterError> {
        let mut filter = Self::default();
        let mut rest = arguments.iter().enumerate().peekable();
        for word in Self::WORDS {
            let value_of = |text: &str| text.strip_prefix(word)?.strip_prefix('=').map(str::len);
            let Some((argument, text)) = rest.next_if(|(_, text)| value_of(text).is_some()) else {
                continue;
            };
            filter
                .set(word, &text[word.len() + 1..])
                .map_err(|message| whole(argument, text, message))?;
        }
        // The second tuple shares the IP version and protocol of the first.
        let mut context = Context::default();
        for tuple in [&mut filter.original, &mut filter.reply] {
            if let Some((argument, text)) = rest.next() {
                *tuple = context.parse(text).map_err(|(span, message)| FilterError {
                    argument,
                    span,
                    message,
                })?;
            }
        }
        if let Some((argument, text)) = rest.next() {
            return Err(whole(argument, text, "invalid arguments"));
        }
        Ok(filter)
    }

    /// Sets the condition that one of [`Self::WORDS`] names.
    fn set(&mut self, word: &str, value: &str) -> Result<(), &'static str> {
        match word {
            "zone" => {
                let zone = number(value).and_then(|zone| u16::try_from(zone).ok());
                self.zone = Some(zone.ok_or("failed to parse zone")?);
            }
            "mark" => {
                let mark = masked(value, u32::MAX.into())
                    .and_then(|(mark, mask)| Some((mark.try_into().ok()?, mask.try_into().ok()?)));
                self.mark = Some(mark.ok_or("failed to parse mark")?);
            }
            "labels" => {
                let label = masked(value, u128::MAX);
                self.label = Some(label.ok_or("failed to parse labels")?);
            }
            "state" => self.state = Some(StateFilter::parse(value).ok_or(UNKNOWN_STATE)?),
            _ => unreachable!("it is one of the words"),
        }
        Ok(())
    }

    /// The tuple, if the filter asks for one whole original tuple and at most the zone besides.
    pub(crate) fn exact(&self) -> Option<Tuple> {
        let alone = self.mark.is_none()
            && self.label.is_none()
            && self.state.is_none()
            && self.reply == PartialTuple::default();
        if alone { self.original.exact() } else { None }
    }

    /// Whether it holds for a connection.
    pub fn matches(&self, entry: &Entry) -> bool {
        self.takes_metadata(entry.zone, entry.mark, entry.label)
            && self.takes_state(&entry.protocol, entry.replied)
            && self.original.matches(&entry.original)
            && self.reply.matches(&entry.reply)
    }

    pub(crate) fn takes_metadata(&self, zone: u16, mark: u32, label: u128) -> bool {
        self.zone.is_none_or(|wanted| wanted == zone)
            && self
                .mark
                .is_none_or(|(value, mask)| (mark ^ value) & mask == 0)
            && self
                .label
                .is_none_or(|(value, mask)| (label ^ value) & mask == 0)
    }

    pub(crate) fn takes_state(&self, protocol: &ProtocolInfo, replied: bool) -> bool {
        match self.state {
            None => true,
            Some(StateFilter::Shown(tcp, sctp)) => match protocol {
                ProtocolInfo::Tcp { .. } => tcp.is_some() && protocol.shown_state() == tcp,
                ProtocolInfo::Sctp(SctpInfo { state, .. }) => sctp == Some(*state),
                ProtocolInfo::Stateless => false,
            },
            Some(StateFilter::Replied) => replied,
            Some(StateFilter::Unreplied) => !replied,
        }
    }
}

impl StateFilter {
    /// The names that are parsed, whatever their case: states of TCP as a dump shows them, those of SCTP
    /// that TCP has not, and whether there was a reply.
    pub fn names() -> Vec<String> {
        let tcp = PeerState::ALL.into_iter();
        let tcp = tcp.filter(|state| state.coalesced() == *state);
        let mut names: Vec<_> = tcp.map(|state| state.to_string()).collect();
        for state in AssociationState::ALL {
            let name = state.to_string();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.extend(["replied".to_owned(), "unreplied".to_owned()]);
        names
    }

    fn parse(text: &str) -> Option<Self> {
        let shown = PeerState::ALL.into_iter();
        let shown = shown.filter(|state| state.coalesced() == *state);
        let mut shown = shown.filter(|state| state.to_string().eq_ignore_ascii_case(text));
        let mut of_sctp = AssociationState::ALL.into_iter();
        let of_sctp = of_sctp.find(|state| state.to_string().eq_ignore_ascii_case(text));
        match (text.to_ascii_lowercase().as_str(), shown.next(), of_sctp) {
            ("replied", ..) => Some(Self::Replied),
            ("unreplied", ..) => Some(Self::Unreplied),
            (_, None, None) => None,
            (_, tcp, sctp) => Some(Self::Shown(tcp, sctp)),
        }
    }
}

impl fmt::Display for StateFilter {
    /// As it is parsed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shown(Some(state), _) => state.fmt(f),
            Self::Shown(None, Some(state)) => state.fmt(f),
            Self::Shown(None, None) => Ok(()),
            Self::Replied => f.write_str("replied"),
            Self::Unreplied => f.write_str("unreplied"),
        }
    }
}

impl Network {
    /// Those whose first `prefix` bits are those of `address`; `None` if it has not as many.
    pub const fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let address = match address {
            IpAddr::V4(v4) if prefix <= 32 => {
                let mask = (u32::MAX as u64) << (32 - prefix);
                IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask as u32))
            }
            IpAddr::V6(v6) if prefix <= 128 => {
                let mask = match prefix {
                    0 => 0,
                    _ => u128::MAX << (128 - prefix),
                };
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
            }
            IpAddr::V4(_) | IpAddr::V6(_) => return None,
        };
        Some(Self { address, prefix })
    }

    /// Whether it has `address`.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4()
            && Self::new(address, self.prefix) == Some(*self)
    }

    /// The address, if there is one only.
    const fn only(self) -> Option<IpAddr> {
        match (self.address, self.prefix) {
            (IpAddr::V4(_), 32) | (IpAddr::V6(_), 128) => Some(self.address),
            (IpAddr::V4(_) | IpAddr::V6(_), _) => None,
        }
    }

    /// `ADDRESS` or `ADDRESS/BITS`.
    fn parse(text: &str, version: Version) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(number(prefix)?)),
            None => (text, None),
        };
        let (address, most): (IpAddr, u8) = match version {
            Version::V4 => (address.parse::<Ipv4Addr>().ok()?.into(), 32),
            Version::V6 => (address.parse::<Ipv6Addr>().ok()?.into(), 128),
        };
        Self::new(address, prefix.unwrap_or(most.into()).try_into().ok()?)
    }
}

impl From<IpAddr> for Network {
    /// This one address.
    fn from(address: IpAddr) -> Self {
        let prefix = if address.is_ipv4() { 32 } else { 128 };
        Self { address, prefix }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.only() {
            Some(address) => address.fmt(f),
            None => write!(f, "{}/{}", self.address, self.prefix),
        }
    }
}

impl PartialTuple {
    /// The fields of its text. Those of ports, ICMP and GRE come behind `ct_nw_proto`.
    pub const FIELDS: [&str; 11] = [
        "ct_nw_src",
        "ct_nw_dst",
        "ct_ipv6_src",
        "ct_ipv6_dst",
        "ct_nw_proto",
        "ct_tp_src",
        "ct_tp_dst",
        "icmp_id",
        "icmp_type",
        "icmp_code",
        "gre_key",
    ];

    /// As [`Self::matches`]; the tuple is made only if some part counts.
    pub(crate) fn takes(&self, tuple: impl FnOnce() -> Tuple) -> bool {
        *self == Self::default() || self.matches(&tuple())
    }

    /// Whether `tuple` has all these parts.
    pub fn matches(&self, tuple: &Tuple) -> bool {
        let [icmp_type, icmp_code] = tuple.dst_port.to_be_bytes();
        self.src.is_none_or(|src| src.contains(tuple.src()))
            && self.dst.is_none_or(|dst| dst.contains(tuple.dst()))
            && self
                .protocol
                .is_none_or(|protocol| protocol == tuple.protocol)
            && self.src_port.is_none_or(|port| port == tuple.src_port)
            && self.dst_port.is_none_or(|port| port == tuple.dst_port)
            && self.icmp_id.is_none_or(|id| id == tuple.src_port)
            && self.icmp_type.is_none_or(|kind| kind == icmp_type)
            && self.icmp_code.is_none_or(|code| code == icmp_code)
            && self.gre_key.is_none_or(|key| tuple.gre_key() == Some(key))
    }

    /// The tuple, if no part is left open.
    fn exact(&self) -> Option<Tuple> {
        let ip = match (self.src?.only()?, self.dst?.only()?) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => IpPair::V4 { src, dst },
            (IpAddr::V6(src), IpAddr::V6(dst)) => IpPair::V6 { src, dst },
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
        };
        let protocol = self.protocol?;
        let (src_port, dst_port) = if is_icmp(protocol) {
            (
                self.icmp_id?,
                u16::from_be_bytes([self.icmp_type?, self.icmp_code?]),
            )
        } else if let Some(key) = self.gre_key {
            if (self.src_port, self.dst_port) != (None, None) {
                return None;
            }
            ((key >> 16) as u16, key as u16)
        } else {
            (self.src_port?, self.dst_port?)
        };
        Some(Tuple {
            ip,
            protocol,
            src_port,
            dst_port,
        })
    }
}

impl std::str::FromStr for PartialTuple {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Context::default()
            .parse(text)
            .map_err(|(span, message)| FilterError {
                argument: 0,
                span,
                message,
            })
    }
}

impl fmt::Display for PartialTuple {
    /// As it is parsed; nothing if all parts are open.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = Vec::new();
        for (address, v4, v6) in [
            (self.src, "ct_nw_src", "ct_ipv6_src"),
            (self.dst, "ct_nw_dst", "ct_ipv6_dst"),
        ] {
            if let Some(network) = address {
                let name = if network.address.is_ipv4() { v4 } else { v6 };
                fields.push(format!("{name}={network}"));
            }
        }
        for (value, name) in [
            (self.protocol.map(u16::from), "ct_nw_proto"),
            (self.src_port, "ct_tp_src"),
            (self.dst_port, "ct_tp_dst"),
            (self.icmp_id, "icmp_id"),
            (self.icmp_type.map(u16::from), "icmp_type"),
            (self.icmp_code.map(u16::from), "icmp_code"),
        ] {
            if let Some(value) = value {
                fields.push(format!("{name}={value}"));
            }
        }
        if let Some(key) = self.gre_key {
            fields.push(format!("gre_key={key}"));
        }
        f.write_str(&fields.join(","))
    }
}

/// What one tuple's text means for the next.
#[derive(Default)]
struct Context {
    version: Option<Version>,
    protocol: Option<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    V4,
    V6,
}

type Complaint = (Range<usize>, String);

impl Context {
    fn parse(&mut self, text: &str) -> Result<PartialTuple, Complaint> {
        let mut tuple = PartialTuple::default();
        for (span, field) in fields(text) {
            let complain = |message: String| Err((span.clone(), message));
            let (key, value) = field.split_once('=').unwrap_or((field, ""));
            if value.is_empty() {
                return complain(format!("field {key} missing value"));
            }
            if !PartialTuple::FIELDS.contains(&key) {
                return complain(format!("invalid conntrack tuple field: {key}"));
            }
            let failed = || (span.clone(), format!("failed to parse field {key}"));
            let small = || {
                number(value)
                    .and_then(|n| u8::try_from(n).ok())
                    .ok_or_else(failed)
            };
            let wide = || {
                number(value)
                    .and_then(|n| u16::try_from(n).ok())
                    .ok_or_else(failed)
            };
            match key {
                "ct_nw_src" | "ct_nw_dst" | "ct_ipv6_src" | "ct_ipv6_dst" => {
                    let version = if key.starts_with("ct_nw") {
                        Version::V4
                    } else {
                        Version::V6
                    };
                    if self.version.is_some_and(|known| known != version) {
                        return complain(format!("the L3 protocol does not match {value}"));
                    }
                    let part = if key.ends_with("src") {
                        &mut tuple.src
                    } else {
                        &mut tuple.dst
                    };
                    if part.is_some() {
                        return complain(format!("{key} is set multiple times"));
                    }
                    *part = Some(Network::parse(value, version).ok_or_else(failed)?);
                    self.version = Some(version);
                }
                "ct_nw_proto" => {
                    if tuple.protocol.is_some() {
                        return complain(format!("{key} is set multiple times"));
                    }
                    tuple.protocol = Some(small()?);
                    self.protocol = tuple.protocol;
                }
                "ct_tp_src" => tuple.src_port = Some(wide()?),
                "ct_tp_dst" => tuple.dst_port = Some(wide()?),
                "icmp_type" | "icmp_code" | "icmp_id" => {
                    if !self.protocol.is_some_and(is_icmp) {
                        return complain("invalid L4 fields".to_owned());
                    }
                    match key {
                        "icmp_type" => tuple.icmp_type = Some(small()?),
                        "icmp_code" => tuple.icmp_code = Some(small()?),
                        _ => tuple.icmp_id = Some(wide()?),
                    }
                }
                "gre_key" => {
                    if self.protocol != Some(protocol::GRE) {
                        return complain("invalid L4 fields".to_owned());
                    }
                    let key = number(value).and_then(|key| u32::try_from(key).ok());
                    tuple.gre_key = Some(key.ok_or_else(failed)?);
                }
                _ => unreachable!("it is one of the fields"),
            }
        }
        if self.protocol.is_none() && (tuple.src_port.is_some() || tuple.dst_port.is_some()) {
            return Err((0..text.len(), "port is set without protocol".to_owned()));
        }
        Ok(tuple)
    }
}

const UNKNOWN_STATE: &str = "failed to parse state: expected CLOSED, SYN_SENT, ESTABLISHED, CLOSING, \
                             TIME_WAIT, COOKIE_WAIT, COOKIE_ECHOED, SHUTDOWN_SENT, SHUTDOWN_RECD, \
                             SHUTDOWN_ACK_SENT, HEARTBEAT_SENT, replied or unreplied";

const fn is_icmp(protocol: u8) -> bool {
    matches!(protocol, protocol::ICMP | protocol::ICMPV6)
}

/// The fields of a tuple's text, and where they stand.
fn fields(text: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    text.split([',', ' ', '\t', '\n', '\r'])
        .scan(0, |at, field| {
            let start = *at;
            *at += field.len() + 1;
            Some((start..start + field.len(), field))
        })
        .filter(|(_, field)| !field.is_empty())
}

/// A decimal or hexadecimal number.
fn number(text: &str) -> Option<u128> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    // `from_str_radix` would take a sign.
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    u128::from_str_radix(digits, radix).ok()
}

/// `VALUE` or `VALUE/MASK`; without a mask, `all` bits count.
fn masked(text: &str, all: u128) -> Option<(u128, u128)> {
    match text.split_once('/') {
        Some((value, mask)) => Some((number(value)?, number(mask)?)),
        None => Some((number(text)?, all)),
    }
}

fn whole(argument: usize, text: &str, message: &str) -> FilterError {
    FilterError {
        argument,
        span: 0..text.len(),
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests;
