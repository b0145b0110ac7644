//! A described packet as text: what [`super::read`] would assume is left out.

use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;

use super::packet::{
    Arp, Body, CHUNK_NAMES, Csum, DEFAULT_DST, DEFAULT_SRC, DEFAULT_WINDOW, ICMP_NAMES,
    ICMPV6_NAMES, INIT_NAMES, Ip, IpOptions, Mac, PLAIN_INIT, Packet, Payload, Rest,
    SOURCE_LINK_LAYER, TCP_FLAGS, Tcp, TcpOptions, Transport,
};
use crate::ether_type;

impl Display for Packet {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Body::Hex(bytes) = &self.body {
            return write!(f, "hex {}", Hex(bytes));
        }
        if (self.src, self.dst) != (DEFAULT_SRC, DEFAULT_DST) {
            write!(f, "eth {} > {} ", MacText(self.src), MacText(self.dst))?;
        }
        for tag in &self.tags {
            write!(f, "vlan {} ", tag.vid())?;
            if tag.pcp() != 0 {
                write!(f, "pcp {} ", tag.pcp())?;
            }
            if tag.dei() {
                f.write_str("dei ")?;
            }
            if tag.tpid != ether_type::VLAN {
                write!(f, "tpid {:#06x} ", tag.tpid)?;
            }
        }
        match &self.body {
            Body::Arp(arp) => self.arp(arp, f)?,
            Body::Ip(ip) => ip.fmt(f)?,
            Body::Ether(ether_type, payload) => {
                write!(f, "ether type={ether_type:#06x}{payload}")?;
            }
            Body::Hex(_) => {}
        }
        if self.pad > 0 {
            write!(f, " pad={}", self.pad)?;
        }
        Ok(())
    }
}

impl Packet {
    fn arp(&self, arp: &Arp, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if arp.reverse { "rarp " } else { "arp " })?;
        match arp.operation {
            1 => f.write_str("request")?,
            2 => f.write_str("reply")?,
            number => write!(f, "op={number}")?,
        }
        write!(f, " {} > {}", arp.spa, arp.tpa)?;
        if arp.sha != self.src {
            write!(f, " sha={}", MacText(arp.sha))?;
        }
        if arp.tha != arp.default_tha(self.dst) {
            write!(f, " tha={}", MacText(arp.tha))?;
        }
        Ok(())
    }
}

impl Display for Ip {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.transport {
            Transport::Tcp(tcp) => self.ported("tcp", tcp.ports, f)?,
            Transport::Udp { ports, .. } => self.ported("udp", *ports, f)?,
            Transport::Sctp { ports, .. } => self.ported("sctp", *ports, f)?,
            Transport::Icmp { .. } => {
                let name = if self.is_ipv6() { "icmp6" } else { "icmp" };
                write!(f, "{name} {} > {}", self.src, self.dst)?;
            }
            Transport::Other(number) => {
                write!(f, "ip proto={number} {} > {}", self.src, self.dst)?;
            }
        }
        match &self.transport {
            Transport::Tcp(tcp) => tcp.fmt(f)?,
            Transport::Udp { len: Some(len), .. } => write!(f, " udp-len={len}")?,
            Transport::Sctp { vtag, .. } if *vtag != 0 => write!(f, " vtag={vtag:#x}")?,
            Transport::Icmp {
                icmp_type,
                code,
                rest,
            } => self.icmp(*icmp_type, *code, *rest, f)?,
            Transport::Udp { .. } | Transport::Sctp { .. } | Transport::Other(_) => {}
        }
        match (self.options.csum, &self.transport) {
            (Csum::Right, _) => {}
            (Csum::Bad, _) => f.write_str(" bad-csum")?,
            (Csum::Is(0), Transport::Udp { .. }) => f.write_str(" no-csum")?,
            (Csum::Is(number), _) => write!(f, " csum={number:#06x}")?,
        }
        self.options.fmt(f)?;
        self.payload.fmt(f)
    }
}

impl Ip {
    fn ported(&self, name: &str, ports: (u16, u16), f: &mut Formatter<'_>) -> fmt::Result {
        let src = SocketAddr::new(self.src, ports.0);
        let dst = SocketAddr::new(self.dst, ports.1);
        write!(f, "{name} {src} > {dst}")
    }

    fn icmp(&self, icmp_type: u8, code: u8, rest: u32, f: &mut Formatter<'_>) -> fmt::Result {
        let names = if self.is_ipv6() {
            ICMPV6_NAMES
        } else {
            ICMP_NAMES
        };
        match name_of(names, icmp_type) {
            Some(name) => write!(f, " {name}")?,
            None => write!(f, " type={icmp_type}")?,
        }
        if code != 0 {
            write!(f, " code={code}")?;
        }
        match Rest::of(self.is_ipv6(), icmp_type, code) {
            Rest::IdAndSeq => write!(f, " id={} seq={}", rest >> 16, rest & 0xffff),
            Rest::Mtu => write!(f, " mtu={rest}"),
            Rest::NeighborFlags if rest & 0x1fff_ffff == 0 && rest != 0 => {
                f.write_str(" flags=")?;
                "RSO"
                    .chars()
                    .zip([31, 30, 29])
                    .try_for_each(|(letter, bit)| match rest >> bit & 1 {
                        0 => Ok(()),
                        _ => write!(f, "{letter}"),
                    })
            }
            Rest::NeighborFlags | Rest::Other if rest != 0 => write!(f, " rest={rest:#x}"),
            Rest::NeighborFlags | Rest::Other => Ok(()),
        }
    }
}

impl Display for IpOptions {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(ttl) = self.ttl {
            write!(f, " ttl={ttl}")?;
        }
        if self.tos != 0 {
            write!(f, " tos={:#x}", self.tos)?;
        }
        if self.ipv4_id != 0 {
            write!(f, " ip-id={}", self.ipv4_id)?;
        }
        if self.ipv4_df {
            f.write_str(" df")?;
        }
        if !self.ipv4_options.is_empty() {
            write!(f, " ipopt={}", Hex(&self.ipv4_options))?;
        }
        match self.ipv4_csum {
            Csum::Right => {}
            Csum::Bad => f.write_str(" bad-ip-csum")?,
            Csum::Is(number) => write!(f, " ip-csum={number:#06x}")?,
        }
        if self.ipv6_label != 0 {
            write!(f, " label={:#x}", self.ipv6_label)?;
        }
        for (number, body) in &self.ipv6_extensions {
            write!(f, " ext={number}:{}", Hex(body))?;
        }
        if let Some(fragment) = self.fragment {
            write!(f, " frag id={} off={}", fragment.id, fragment.offset)?;
            if fragment.more {
                f.write_str(" mf")?;
            }
        }
        Ok(())
    }
}

impl Display for Tcp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.flags != 0 {
            f.write_str(" ")?;
        }
        for (bit, letter) in TCP_FLAGS.chars().enumerate() {
            if self.flags >> bit & 1 != 0 {
                write!(f, "{letter}")?;
            }
        }
        if self.seq != 0 {
            write!(f, " seq={}", self.seq)?;
        }
        if self.ack != 0 {
            write!(f, " ack={}", self.ack)?;
        }
        if self.window != DEFAULT_WINDOW {
            write!(f, " win={}", self.window)?;
        }
        if self.urgent != 0 {
            write!(f, " urg={}", self.urgent)?;
        }
        let known = match &self.options {
            TcpOptions::Known(known) => known,
            TcpOptions::Raw(raw) => return write!(f, " opt={}", Hex(raw)),
        };
        if let Some(mss) = known.mss {
            write!(f, " mss={mss}")?;
        }
        if known.sack_ok {
            f.write_str(" sack-ok")?;
        }
        if let Some((value, echo)) = known.timestamps {
            write!(f, " ts={value}:{echo}")?;
        }
        if let Some(shift) = known.window_scale {
            write!(f, " wscale={shift}")?;
        }
        Ok(())
    }
}

impl Display for Payload {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counting { len: 0, .. } => Ok(()),
            Self::Counting { len, from: 0 } => write!(f, " len={len}"),
            Self::Counting { len, from } => write!(f, " len={len} from={from}"),
            Self::Bytes(bytes) => write!(f, " data={}", Hex(bytes)),
            Self::Quote { packet, cut } => {
                write!(f, " {{ {packet} }}")?;
                cut.map_or(Ok(()), |cut| write!(f, " cut={cut}"))
            }
            Self::Neighbor { target, mac } => {
                write!(f, " target={target}")?;
                match mac {
                    None => Ok(()),
                    Some((SOURCE_LINK_LAYER, mac)) => write!(f, " sll={}", MacText(*mac)),
                    Some((_, mac)) => write!(f, " tll={}", MacText(*mac)),
                }
            }
            Self::Chunks(chunks) => chunks.iter().try_for_each(|(chunk_type, flags, value)| {
                if let (Some(name), 0, Some((tag, rest))) = (
                    name_of(&INIT_NAMES, *chunk_type),
                    flags,
                    value.split_first_chunk(),
                ) && rest == PLAIN_INIT
                {
                    return write!(f, " {name}={:#x}", u32::from_be_bytes(*tag));
                }
                match name_of(CHUNK_NAMES, *chunk_type) {
                    Some(name) => write!(f, " chunk={name}")?,
                    None => write!(f, " chunk={chunk_type}")?,
                }
                match (flags, value.is_empty()) {
                    (0, true) => Ok(()),
                    (flags, true) => write!(f, ":{flags}"),
                    (flags, false) => write!(f, ":{flags}:{}", Hex(value)),
                }
            }),
        }
    }
}

fn name_of(names: &[(&'static str, u8)], number: u8) -> Option<&'static str> {
    names
        .iter()
        .find(|named| named.1 == number)
        .map(|named| named.0)
}

struct Hex<'a>(&'a [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

struct MacText(Mac);

impl Display for MacText {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}
