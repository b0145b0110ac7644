//! The text of an IP packet.

use std::net::{IpAddr, SocketAddr};

use super::super::TextError;
use super::super::packet::{
    CHUNK_NAMES, Csum, DEFAULT_WINDOW, Fragment, ICMP_NAMES, ICMPV6_NAMES, INIT_NAMES, Ip,
    IpOptions, KnownTcpOptions, PLAIN_INIT, Payload, Rest, SOURCE_LINK_LAYER, TARGET_LINK_LAYER,
    TCP_FLAGS, Tcp, TcpOptions, Transport,
};
use super::payload;
use super::words::{Word, Words, list};

/// From the protocol's name to the last word that belongs to the packet.
pub(super) fn packet(words: &mut Words<'_>, options: IpOptions) -> Result<Ip, TextError> {
    let start = words.next(&list(&KINDS))?;
    let mut ip = match start.text {
        "tcp" | "udp" | "sctp" => {
            let (src, dst) = sockets(words)?;
            let ports = (src.port(), dst.port());
            let transport = match start.text {
                "tcp" => Transport::Tcp(Tcp {
                    ports,
                    flags: 0,
                    seq: 0,
                    ack: 0,
                    window: DEFAULT_WINDOW,
                    urgent: 0,
                    options: TcpOptions::Known(KnownTcpOptions::default()),
                }),
                "udp" => Transport::Udp { ports, len: None },
                _ => Transport::Sctp { ports, vtag: 0 },
            };
            Ip {
                src: src.ip(),
                dst: dst.ip(),
                options,
                transport,
                payload: Payload::EMPTY,
            }
        }
        "icmp" | "icmp6" | "ip" => {
            let number = match start.text {
                "ip" => Some(words.require_value("proto")?.number(u8::MAX)?),
                _ => None,
            };
            let (src, dst) = addresses(words)?;
            let transport = match number {
                Some(number) => Transport::Other(number),
                None if src.is_ipv6() != (start.text == "icmp6") => {
                    return Err(start.error("addresses of the other family behind it"));
                }
                None => icmp_type(words, src.is_ipv6())?,
            };
            Ip {
                src,
                dst,
                options,
                transport,
                payload: Payload::EMPTY,
            }
        }
        _ => return Err(start.error(&format!("expected {}", list(&KINDS)))),
    };
    // Every word is offered to the transport first: `id=` is ICMP's before it is anybody's.
    while transport(words, &mut ip)?
        || option(words, &mut ip.options)?
        || payload(words, &mut ip.payload)?
    {}
    fits(start, &ip)?;
    Ok(ip)
}

const KINDS: [&str; 11] = [
    "tcp", "udp", "sctp", "icmp", "icmp6", "ip", "arp", "rarp", "ether", "vlan", "hex",
];

/// What the words cannot say together.
fn fits(start: Word<'_>, ip: &Ip) -> Result<(), TextError> {
    let options = &ip.options;
    let later = options.fragment.is_some_and(|fragment| fragment.offset > 0);
    let ipv4_only = options.ipv4_id != 0
        || options.ipv4_df
        || !options.ipv4_options.is_empty()
        || options.ipv4_csum != Csum::Right;
    let ipv6_only = options.ipv6_label != 0 || !options.ipv6_extensions.is_empty();
    let why = match ip.transport {
        Transport::Other(_) if options.csum != Csum::Right => "no L4 checksum is known of it",
        Transport::Other(_) => "",
        _ if later => "a later fragment has no L4 header; write `ip proto=`",
        _ => "",
    };
    let why = match ip.is_ipv6() {
        true if ipv4_only => "`ip-id=`, `df`, `ipopt=` and `ip-csum=` are IPv4's",
        false if ipv6_only => "`label=` and `ext=` are IPv6's",
        false if options.fragment.is_some() && options.ipv4_id != 0 => {
            "the id of a fragment stands behind `frag`"
        }
        _ => why,
    };
    if why.is_empty() {
        Ok(())
    } else {
        Err(start.error(why))
    }
}

fn sockets(words: &mut Words<'_>) -> Result<(SocketAddr, SocketAddr), TextError> {
    let wanted = "ADDRESS:PORT or [IPV6]:PORT";
    let src: SocketAddr = words.next(wanted)?.parsed(wanted)?;
    words.require(">")?;
    let word = words.next(wanted)?;
    let dst: SocketAddr = word.parsed(wanted)?;
    if src.is_ipv6() == dst.is_ipv6() {
        Ok((src, dst))
    } else {
        Err(two_families(word))
    }
}

fn addresses(words: &mut Words<'_>) -> Result<(IpAddr, IpAddr), TextError> {
    let src = words.next("an IP address")?.ip()?;
    words.require(">")?;
    let word = words.next("an IP address")?;
    let dst = word.ip()?;
    if src.is_ipv6() == dst.is_ipv6() {
        Ok((src, dst))
    } else {
        Err(two_families(word))
    }
}

fn two_families(word: Word<'_>) -> TextError {
    word.error("expected an address of the source's family")
}

fn icmp_type(words: &mut Words<'_>, is_ipv6: bool) -> Result<Transport, TextError> {
    let names = if is_ipv6 { ICMPV6_NAMES } else { ICMP_NAMES };
    let icmp_type = match words.value("type")? {
        Some(value) => value.number(u8::MAX)?,
        None => words.next("an ICMP type's name or `type=`")?.named(names)?,
    };
    Ok(Transport::Icmp {
        icmp_type,
        code: 0,
        rest: 0,
    })
}

/// A word about the IP header or the L4 checksum, if one comes next.
pub(super) fn option(words: &mut Words<'_>, options: &mut IpOptions) -> Result<bool, TextError> {
    if words.word("frag") {
        options.fragment = Some(fragment(words)?);
    } else if words.word("bad-csum") {
        options.csum = Csum::Bad;
    } else if words.word("no-csum") {
        options.csum = Csum::Is(0);
    } else if let Some(value) = words.value("csum")? {
        options.csum = Csum::Is(value.number(u32::MAX)?);
    } else if let Some(value) = words.value("ttl")? {
        options.ttl = Some(value.number(u8::MAX)?);
    } else if let Some(value) = words.value("tos")? {
        options.tos = value.number(u8::MAX)?;
    } else if let Some(value) = words.value("ip-id")? {
        options.ipv4_id = value.number(u16::MAX)?;
    } else if words.word("df") {
        options.ipv4_df = true;
    } else if let Some(value) = words.value("ipopt")? {
        options.ipv4_options = value.hex()?;
    } else if words.word("bad-ip-csum") {
        options.ipv4_csum = Csum::Bad;
    } else if let Some(value) = words.value("ip-csum")? {
        options.ipv4_csum = Csum::Is(value.number(u32::from(u16::MAX))?);
    } else if let Some(value) = words.value("label")? {
        options.ipv6_label = value.number(0x000f_ffff)?;
    } else if let Some(value) = words.value("ext")? {
        let (number, body) = value.split();
        let body = body.ok_or_else(|| value.error("expected PROTOCOL:HEX"))?;
        options
            .ipv6_extensions
            .push((number.number(u8::MAX)?, body.hex()?));
    } else {
        return Ok(false);
    }
    Ok(true)
}

fn fragment(words: &mut Words<'_>) -> Result<Fragment, TextError> {
    let mut fragment = Fragment {
        id: 0,
        offset: 0,
        more: false,
    };
    loop {
        if let Some(value) = words.value("id")? {
            fragment.id = value.number(u32::MAX)?;
        } else if let Some(value) = words.value("off")? {
            fragment.offset = value.number(0xfff8)?;
            if !fragment.offset.is_multiple_of(8) {
                return Err(value.error("expected a multiple of 8"));
            }
        } else if words.word("mf") {
            fragment.more = true;
        } else {
            return Ok(fragment);
        }
    }
}

/// A word about this packet's transport, if one comes next.
fn transport(words: &mut Words<'_>, ip: &mut Ip) -> Result<bool, TextError> {
    let is_ipv6 = ip.is_ipv6();
    match &mut ip.transport {
        Transport::Tcp(header) => tcp(words, header),
        Transport::Udp { len, .. } => match words.value("udp-len")? {
            Some(value) => {
                *len = Some(value.number(u16::MAX)?);
                Ok(true)
            }
            None => Ok(false),
        },
        Transport::Sctp { vtag, .. } => sctp(words, vtag, &mut ip.payload),
        Transport::Icmp {
            icmp_type,
            code,
            rest,
        } => {
            if let Some(value) = words.value("code")? {
                *code = value.number(u8::MAX)?;
                return Ok(true);
            }
            Ok(
                icmp_rest(words, Rest::of(is_ipv6, *icmp_type, *code), rest)?
                    || icmp_payload(words, &mut ip.payload)?,
            )
        }
        Transport::Other(_) => Ok(false),
    }
}

fn tcp(words: &mut Words<'_>, tcp: &mut Tcp) -> Result<bool, TextError> {
    if let Some(word) = words.peek()
        && let Some(flags) = tcp_flags(word.text)
    {
        tcp.flags |= flags;
        words.next("flags")?;
        return Ok(true);
    }
    if let Some(value) = words.value("seq")? {
        tcp.seq = value.number(u32::MAX)?;
    } else if let Some(value) = words.value("ack")? {
        tcp.ack = value.number(u32::MAX)?;
    } else if let Some(value) = words.value("win")? {
        tcp.window = value.number(u16::MAX)?;
    } else if let Some(value) = words.value("urg")? {
        tcp.urgent = value.number(u16::MAX)?;
    } else if let Some(value) = words.value("opt")? {
        tcp.options = TcpOptions::Raw(value.hex()?);
    } else {
        let TcpOptions::Known(known) = &mut tcp.options else {
            return Ok(false);
        };
        if let Some(value) = words.value("mss")? {
            known.mss = Some(value.number(u16::MAX)?);
        } else if words.word("sack-ok") {
            known.sack_ok = true;
        } else if let Some(value) = words.value("ts")? {
            let (stamp, echo) = value.split();
            let echo = echo.ok_or_else(|| value.error("expected VALUE:ECHO"))?;
            known.timestamps = Some((stamp.number(u32::MAX)?, echo.number(u32::MAX)?));
        } else if let Some(value) = words.value("wscale")? {
            known.window_scale = Some(value.number(u8::MAX)?);
        } else {
            return Ok(false);
        }
    }
    Ok(true)
}

fn tcp_flags(word: &str) -> Option<u16> {
    word.chars().try_fold(0, |flags, letter| {
        Some(flags | 1 << TCP_FLAGS.find(letter)?)
    })
}

fn sctp(words: &mut Words<'_>, vtag: &mut u32, payload: &mut Payload) -> Result<bool, TextError> {
    if let Some(value) = words.value("vtag")? {
        *vtag = value.number(u32::MAX)?;
        return Ok(true);
    }
    let Some(chunk) = chunk(words)? else {
        return Ok(false);
    };
    match payload {
        Payload::Chunks(chunks) => chunks.push(chunk),
        _ => *payload = Payload::Chunks(vec![chunk]),
    }
    Ok(true)
}

/// Type, flags and value of a chunk, if one comes next.
fn chunk(words: &mut Words<'_>) -> Result<Option<(u8, u8, Vec<u8>)>, TextError> {
    for (name, chunk_type) in INIT_NAMES {
        if let Some(value) = words.value(name)? {
            let tag: u32 = value.number(u32::MAX)?;
            let body = [&tag.to_be_bytes()[..], &PLAIN_INIT].concat();
            return Ok(Some((chunk_type, 0, body)));
        }
    }
    let Some(value) = words.value("chunk")? else {
        return Ok(None);
    };
    let (name, rest) = value.split();
    let (flags, body) = match rest.map(Word::split) {
        None => (0, Vec::new()),
        Some((flags, body)) => (
            flags.number(u8::MAX)?,
            body.map(Word::hex).transpose()?.unwrap_or_default(),
        ),
    };
    Ok(Some((name.named(CHUNK_NAMES)?, flags, body)))
}

fn icmp_rest(words: &mut Words<'_>, kind: Rest, rest: &mut u32) -> Result<bool, TextError> {
    if let Some(value) = words.value("rest")? {
        *rest = value.number(u32::MAX)?;
        return Ok(true);
    }
    match kind {
        Rest::IdAndSeq => {
            if let Some(value) = words.value("id")? {
                *rest = *rest & 0xffff | u32::from(value.number(u16::MAX)?) << 16;
            } else if let Some(value) = words.value("seq")? {
                *rest = *rest & 0xffff_0000 | u32::from(value.number(u16::MAX)?);
            } else {
                return Ok(false);
            }
        }
        Rest::Mtu => match words.value("mtu")? {
            Some(value) => *rest = value.number(u32::MAX)?,
            None => return Ok(false),
        },
        Rest::NeighborFlags => match words.value("flags")? {
            Some(value) => {
                let flags = value.text.chars().try_fold(0, |flags, letter| {
                    Some(flags | 1 << (31 - "RSO".find(letter)?))
                });
                *rest = flags.ok_or_else(|| value.error("expected letters out of RSO"))?;
            }
            None => return Ok(false),
        },
        Rest::Other => return Ok(false),
    }
    Ok(true)
}

fn icmp_payload(words: &mut Words<'_>, payload: &mut Payload) -> Result<bool, TextError> {
    if words.word("{") {
        let mut options = IpOptions::default();
        while option(words, &mut options)? {}
        let packet = Box::new(packet(words, options)?);
        words.require("}")?;
        *payload = Payload::Quote { packet, cut: None };
        return Ok(true);
    }
    if let Payload::Quote { cut, .. } = payload
        && let Some(value) = words.value("cut")?
    {
        *cut = Some(value.number(usize::from(u16::MAX))?);
        return Ok(true);
    }
    if let Some(value) = words.value("target")? {
        *payload = Payload::Neighbor {
            target: value.ipv6()?,
            mac: None,
        };
        return Ok(true);
    }
    let Payload::Neighbor { mac, .. } = payload else {
        return Ok(false);
    };
    if let Some(value) = words.value("sll")? {
        *mac = Some((SOURCE_LINK_LAYER, value.mac()?));
    } else if let Some(value) = words.value("tll")? {
        *mac = Some((TARGET_LINK_LAYER, value.mac()?));
    } else {
        return Ok(false);
    }
    Ok(true)
}
