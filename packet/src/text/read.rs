//! The text of a packet, word by word.

mod ip;
mod words;

use self::words::{Words, list};
use super::TextError;
use super::packet::{Arp, Body, DEFAULT_DST, DEFAULT_SRC, IpOptions, Packet, Payload};
use crate::ether_type;
use crate::view::VlanTag;

/// The packet that a line describes.
pub(super) fn packet(line: &str) -> Result<Packet, TextError> {
    let mut words = Words::new(line);
    let mut packet = Packet {
        src: DEFAULT_SRC,
        dst: DEFAULT_DST,
        tags: Vec::new(),
        body: Body::Hex(Vec::new()),
        pad: 0,
    };
    let mut options = IpOptions::default();
    while front(&mut words, &mut packet)? || ip::option(&mut words, &mut options)? {}
    packet.body = body(&mut words, &packet, options)?;
    while !words.at_end() {
        match words.value("pad")? {
            Some(value) => packet.pad = value.number(usize::from(u16::MAX))?,
            None => return Err(words.unexpected("the end of the line")),
        }
    }
    Ok(packet)
}

/// `eth` or `vlan`, if one of them comes next.
fn front(words: &mut Words<'_>, packet: &mut Packet) -> Result<bool, TextError> {
    if words.word("eth") {
        packet.src = words.next("an Ethernet address")?.mac()?;
        words.require(">")?;
        packet.dst = words.next("an Ethernet address")?.mac()?;
        return Ok(true);
    }
    if !words.word("vlan") {
        return Ok(false);
    }
    let mut tag = VlanTag {
        tpid: ether_type::VLAN,
        tci: words.next("a VLAN id")?.number(0x0fff)?,
    };
    loop {
        if words.word("pcp") {
            let priority: u16 = words.next("a priority from 0 to 7")?.number(7)?;
            tag.tci = tag.tci & 0x1fff | priority << 13;
        } else if words.word("dei") {
            tag.tci |= 0x1000;
        } else if words.word("tpid") {
            tag.tpid = words.next("an Ethertype")?.number(u16::MAX)?;
        } else {
            packet.tags.push(tag);
            return Ok(true);
        }
    }
}

fn body(words: &mut Words<'_>, packet: &Packet, options: IpOptions) -> Result<Body, TextError> {
    if words.word("hex") {
        let mut bytes = Vec::new();
        while !words.at_end() {
            bytes.extend(words.next("hexadecimal digits")?.hex()?);
        }
        return Ok(Body::Hex(bytes));
    }
    if words.word("ether") {
        let value = words.require_value("type")?;
        return Ok(Body::Ether(value.number(u16::MAX)?, plain_payload(words)?));
    }
    let reverse = words.word("rarp");
    if reverse || words.word("arp") {
        return Ok(Body::Arp(arp(words, packet, reverse)?));
    }
    Ok(Body::Ip(Box::new(ip::packet(words, options)?)))
}

fn plain_payload(words: &mut Words<'_>) -> Result<Payload, TextError> {
    let mut payload = Payload::EMPTY;
    while self::payload(words, &mut payload)? {}
    Ok(payload)
}

/// `len=`, `from=` or `data=`, if one of them comes next.
fn payload(words: &mut Words<'_>, payload: &mut Payload) -> Result<bool, TextError> {
    let (len, from) = match *payload {
        Payload::Counting { len, from } => (len, from),
        _ => (0, 0),
    };
    if let Some(value) = words.value("len")? {
        *payload = Payload::Counting {
            len: value.number(usize::from(u16::MAX))?,
            from,
        };
    } else if let Some(value) = words.value("from")? {
        *payload = Payload::Counting {
            len,
            from: value.number(u8::MAX)?,
        };
    } else if let Some(value) = words.value("data")? {
        *payload = Payload::Bytes(value.hex()?);
    } else {
        return Ok(false);
    }
    Ok(true)
}

fn arp(words: &mut Words<'_>, packet: &Packet, reverse: bool) -> Result<Arp, TextError> {
    let operation = if words.word("request") {
        1
    } else if words.word("reply") {
        2
    } else {
        match words.value("op")? {
            Some(value) => value.number(u16::MAX)?,
            None => return Err(words.unexpected(&list(&["request", "reply", "op="]))),
        }
    };
    let spa = words.next("an IPv4 address")?.ipv4()?;
    words.require(">")?;
    let tpa = words.next("an IPv4 address")?.ipv4()?;
    let mut arp = Arp {
        reverse,
        operation,
        sha: packet.src,
        spa,
        tha: [0; 6],
        tpa,
    };
    arp.tha = arp.default_tha(packet.dst);
    loop {
        if let Some(value) = words.value("sha")? {
            arp.sha = value.mac()?;
        } else if let Some(value) = words.value("tha")? {
            arp.tha = value.mac()?;
        } else {
            return Ok(arp);
        }
    }
}
