//! Templates: packets as text with fields that count.
//!
//! ```text
//! # PORT: PACKET [| FIELD=FROM..TO[/STEP] ...]
//! 1: udp 10.0.0.1:1024 > 198.18.0.1:53 len=18 | sport=1024..65535 src=10.0.0.1..10.0.3.232
//! 1: tcp 10.0.0.1:1 > 198.18.0.1:80 S | sport=1..60000,seq=0..4294967295/7 dst=198.18.0.1..198.18.0.9
//! 2: udp 198.18.0.1:53 > 10.0.0.1:9 frag id=1 off=0 mf len=16 | id=0..65535
//! ```
//!
//! A packet is what [`weir_packet::text`] reads. Templates take turns. Each time a template had
//! its turn its first field goes on; whenever that begins again, the second goes on, and so on,
//! as digits of a number do. Fields joined by a comma move together and begin again with the
//! first of them. Checksums stay as right, or as wrong, as they were.
//!
//! Fields: `eth_src`, `eth_dst`, `vlan`, `src`, `dst` (IPv4; of an IPv6 address the lower half),
//! `tos`, `ttl`, `id` (IPv4 or fragment header), `off` (IPv4, in units of eight bytes), `sport`,
//! `dport`, `seq`, `ack`, `flags`, `win` (TCP), `icmp_id`, `icmp_seq`, and `u8@N`, `u16@N`,
//! `u32@N`, `u64@N` for any bytes from the Nth of the frame.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use weir_config::diagnostic::Diagnostic;
use weir_packet::checksum::{Checksum, Delta};
use weir_packet::{Fragment, L3, Layout, parse, protocol, text};

use super::counter::{Counter, Place};

#[cfg(test)]
mod tests;

/// A packet whose fields count.
#[derive(Clone, Debug)]
pub struct Template {
    /// Index of the port it is sent on.
    pub port: usize,
    frame: Vec<u8>,
    wheels: Vec<Wheel>,
    /// The words whose sums the checksums are over.
    sums: Sums,
}

/// Fields that move together.
#[derive(Clone, Debug)]
struct Wheel(Vec<Counter>);

/// The checksums of a frame, and what they are over.
#[derive(Clone, Debug, Default)]
struct Sums {
    ip: Option<usize>,
    ip_header: Range<usize>,
    l4: Option<usize>,
    l4_header: Range<usize>,
    /// Addresses that the L4 checksum covers.
    pseudo: Range<usize>,
    udp: bool,
}

impl Template {
    /// The frame as it is now.
    pub fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// Goes on to the next frame.
    pub fn advance(&mut self) {
        let Self {
            frame,
            wheels,
            sums,
            ..
        } = self;
        for Wheel(counters) in wheels {
            let mut again = false;
            for (index, counter) in counters.iter_mut().enumerate() {
                let wrapped = counter.advance();
                again |= wrapped && index == 0;
                sums.change(frame, counter);
            }
            if !again {
                break;
            }
        }
    }
}

impl Sums {
    fn of(frame: &[u8], layout: &Layout) -> Self {
        let l3 = usize::from(layout.l3_offset);
        let l4 = usize::from(layout.l4_offset);
        let end = layout.l3_end as usize;
        let (ip, ip_header, pseudo) = match layout.l3 {
            L3::Ipv4 => (Some(l3 + 10), l3..l4, l3 + 12..l3 + 20),
            L3::Ipv6 => (None, 0..0, l3 + 8..l3 + 40),
            L3::Arp | L3::Other => return Self::default(),
        };
        let (at, covers_addresses) = match layout.protocol {
            protocol::TCP => (16, true),
            protocol::UDP => (6, true),
            protocol::ICMP => (2, false),
            protocol::ICMPV6 => (2, true),
            _ => (usize::MAX, false),
        };
        let there = layout.fragment != Fragment::Later && at < 64 && l4 + at + 2 <= frame.len();
        Self {
            ip,
            ip_header,
            l4: there.then_some(l4 + at),
            l4_header: if there { l4..end } else { 0..0 },
            pseudo: if there && covers_addresses {
                pseudo
            } else {
                0..0
            },
            udp: layout.protocol == protocol::UDP,
        }
    }

    /// Writes a counter's value into `frame` and keeps the checksums in step.
    fn change(&self, frame: &mut [u8], counter: &Counter) {
        let Place { offset, size, .. } = counter.place();
        // Headers begin at even offsets, so that words do, too.
        let (from, to) = (offset & !1, (offset + size + 1) & !1);
        let mut old = [0; 10];
        let len = (to.min(frame.len())) - from;
        old[..len].copy_from_slice(&frame[from..from + len]);
        counter.write(frame);
        let mut new = [0; 10];
        new[..len].copy_from_slice(&frame[from..from + len]);
        let word = |bytes: &[u8; 10], at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let delta = |covered: &Range<usize>| {
            let words = (0..to - from).step_by(2);
            let covered = words.filter(|at| covered.contains(&(from + at)));
            covered.fold(Delta::NONE, |sum, at| {
                sum.and(Delta::of_u16(word(&old, at), word(&new, at)))
            })
        };
        if let Some(at) = self.ip {
            apply(frame, at, delta(&self.ip_header), false);
        }
        if let Some(at) = self.l4 {
            let none = self.udp && frame[at..at + 2] == [0, 0];
            if !none {
                let delta = delta(&self.l4_header).and(delta(&self.pseudo));
                apply(frame, at, delta, self.udp);
            }
        }
    }
}

/// Changes the checksum at `at`.
fn apply(frame: &mut [u8], at: usize, delta: Delta, never_zero: bool) {
    let mut checksum = Checksum::from_bytes([frame[at], frame[at + 1]]).apply(delta);
    if never_zero {
        checksum = checksum.never_zero();
    }
    frame[at..at + 2].copy_from_slice(&checksum.to_bytes());
}

/// Reads the templates of a file for `ports` ports.
///
/// # Errors
/// Says where it is wrong.
pub fn read(file: &str, text: &str, ports: usize) -> Result<Vec<Template>, Vec<Diagnostic>> {
    let mut templates = Vec::new();
    let mut errors = Vec::new();
    for line in text.lines() {
        let start = line.as_ptr().addr() - text.as_ptr().addr();
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        match template(line, ports) {
            Ok(template) => templates.push(template),
            Err((span, message)) => {
                let span = start + span.start..start + span.end;
                errors.push(Diagnostic::at(file, text, span, message));
            }
        }
    }
    if templates.is_empty() && errors.is_empty() {
        errors.push(Diagnostic::file(file, "there is no template"));
    }
    if errors.is_empty() {
        Ok(templates)
    } else {
        Err(errors)
    }
}

/// Where in a line, in bytes, and why.
type Complaint = (Range<usize>, String);

fn template(line: &str, ports: usize) -> Result<Template, Complaint> {
    let within = |part: &str| {
        let start = part.as_ptr().addr() - line.as_ptr().addr();
        start..start + part.len()
    };
    let (port, rest) = line
        .split_once(':')
        .ok_or_else(|| (0..line.len(), "expected PORT: PACKET".to_owned()))?;
    let index = port.trim().parse::<usize>().ok();
    let index = index
        .and_then(|number| number.checked_sub(1))
        .filter(|index| *index < ports);
    let index = index.ok_or_else(|| (within(port), format!("expected a port, 1 to {ports}")))?;
    let (packet, fields) = rest.split_once('|').unwrap_or((rest, ""));
    let packet_text = packet.trim();
    let mut frame = text::parse(packet_text).map_err(|error| {
        let skipped = packet_text.chars().take(error.column - 1);
        let at = within(packet_text).start + skipped.map(char::len_utf8).sum::<usize>();
        (at..at + 1, error.message)
    })?;
    let layout = parse(&frame, frame.len())
        .map_err(|error| (within(packet_text), format!("a frame that is {error:?}")))?;
    let sums = Sums::of(&frame, &layout);
    let mut wheels = Vec::new();
    for word in fields.split_whitespace() {
        let counters = word.split(',').map(|field| {
            counter(field, &mut frame, &layout).map_err(|message| (within(field), message))
        });
        wheels.push(Wheel(counters.collect::<Result<_, _>>()?));
    }
    for counter in wheels.iter().flat_map(|Wheel(counters)| counters) {
        sums.change(&mut frame, counter);
    }
    Ok(Template {
        port: index,
        frame,
        wheels,
        sums,
    })
}

/// `FIELD=FROM..TO[/STEP]`
fn counter(text: &str, frame: &mut [u8], layout: &Layout) -> Result<Counter, String> {
    let expected = || "expected FIELD=FROM..TO or FIELD=FROM..TO/STEP".to_owned();
    let (name, range) = text.split_once('=').ok_or_else(expected)?;
    let (from, to) = range.split_once("..").ok_or_else(expected)?;
    let (to, step) = to.split_once('/').unwrap_or((to, "1"));
    let step = number(step).ok_or_else(|| format!("a step is a number, not {step}"))?;
    let place = place(name, frame, layout)?;
    let inside = place.offset + place.size <= frame.len();
    if !inside {
        return Err(format!("the frame has {} bytes", frame.len()));
    }
    let value = |text: &str| value(text).ok_or_else(|| format!("{text} is no value"));
    let (first, last) = (value(from)?, value(to)?);
    Counter::new(place, first, last, step).ok_or_else(|| {
        format!(
            "expected values from 0 to {}, the smaller first, and a step of 1 or more",
            place.greatest()
        )
    })
}

/// Where the field `name` lies.
fn place(name: &str, frame: &[u8], layout: &Layout) -> Result<Place, String> {
    if let Some((kind, offset)) = name.split_once('@') {
        let size = match kind {
            "u8" => 1,
            "u16" => 2,
            "u32" => 4,
            "u64" => 8,
            _ => return Err(format!("{kind} is not u8, u16, u32 or u64")),
        };
        let offset = number(offset).and_then(|offset| usize::try_from(offset).ok());
        let offset = offset.filter(|offset| *offset < frame.len());
        let offset = offset.ok_or_else(|| format!("the frame has {} bytes", frame.len()))?;
        return Ok(Place::bytes(offset, size));
    }
    let l3 = usize::from(layout.l3_offset);
    let l4 = usize::from(layout.l4_offset);
    let v4 = layout.l3 == L3::Ipv4;
    let v6 = layout.l3 == L3::Ipv6;
    let whole = layout.fragment != Fragment::Later;
    let is = |protocols: &[u8]| whole && (v4 || v6) && protocols.contains(&layout.protocol);
    let ports = is(&[protocol::TCP, protocol::UDP]);
    let tcp = is(&[protocol::TCP]);
    let icmp = is(&[protocol::ICMP, protocol::ICMPV6]);
    let fragment = usize::from(layout.fragment_header_offset);
    let (there, place) = match name {
        "eth_dst" => (true, Place::bytes(0, 6)),
        "eth_src" => (true, Place::bytes(6, 6)),
        "vlan" => (
            layout.vlan_tags > 0,
            Place {
                bits: 12,
                ..Place::bytes(14, 2)
            },
        ),
        "src" if v6 => (true, Place::bytes(l3 + 16, 8)),
        "dst" if v6 => (true, Place::bytes(l3 + 32, 8)),
        "src" => (v4, Place::bytes(l3 + 12, 4)),
        "dst" => (v4, Place::bytes(l3 + 16, 4)),
        "tos" => (v4, Place::bytes(l3 + 1, 1)),
        "ttl" if v6 => (true, Place::bytes(l3 + 7, 1)),
        "ttl" => (v4, Place::bytes(l3 + 8, 1)),
        "id" if v6 => (fragment > 0, Place::bytes(fragment + 4, 4)),
        "id" => (v4, Place::bytes(l3 + 4, 2)),
        "off" => (
            v4,
            Place {
                bits: 13,
                ..Place::bytes(l3 + 6, 2)
            },
        ),
        "sport" => (ports, Place::bytes(l4, 2)),
        "dport" => (ports, Place::bytes(l4 + 2, 2)),
        "seq" => (tcp, Place::bytes(l4 + 4, 4)),
        "ack" => (tcp, Place::bytes(l4 + 8, 4)),
        "flags" => (tcp, Place::bytes(l4 + 13, 1)),
        "win" => (tcp, Place::bytes(l4 + 14, 2)),
        "icmp_id" => (icmp, Place::bytes(l4 + 4, 2)),
        "icmp_seq" => (icmp, Place::bytes(l4 + 6, 2)),
        _ => return Err(format!("{name} is no field")),
    };
    if there {
        Ok(place)
    } else {
        Err(format!("the packet has no {name}"))
    }
}

/// A number, an IPv4 or Ethernet address, or the lower half of an IPv6 address.
fn value(text: &str) -> Option<u64> {
    if let Some(number) = number(text) {
        return Some(number);
    }
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => return Some(Ipv4Addr::to_bits(address).into()),
        Ok(IpAddr::V6(address)) => return Some(Ipv6Addr::to_bits(address) as u64),
        Err(_) => {}
    }
    let bytes: Option<Vec<u8>> = text
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16).ok())
        .collect();
    let bytes = bytes.filter(|bytes| bytes.len() == 6)?;
    Some(
        bytes
            .iter()
            .fold(0, |sum, &byte| sum << 8 | u64::from(byte)),
    )
}

/// Decimal, or hexadecimal after `0x`.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
