//! What a line of a control connection says of a data connection to come: the commands PORT (RFC
//! 959) and EPRT (RFC 2428), and the replies 227 and 229 to PASV and EPSV.
//!
//! Nothing is assumed of the bytes of a line.

use std::fmt::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// The most bytes of an argument that [`Announcement::text`] makes.
pub const TEXT_MAX: usize = 48;

/// Where an end listens for the data connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The address it says; `None` if it says none, and means its own.
    pub address: Option<IpAddr>,
    /// The port.
    pub port: u16,
    /// Which bytes of the line say so.
    pub at: Range<usize>,
    form: Form,
}

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `10,0,0,5,156,64`
    Numbers,
    /// `10.0.0.5|40000`, with this byte between.
    Extended(u8),
    /// `40000`
    Port,
}

/// What the client's line, with or without its end, announces.
pub fn command(line: &[u8]) -> Option<Announcement> {
    let at = verb(line)?;
    let announcement = if line[..4].eq_ignore_ascii_case(b"PORT") {
        numbers(line, at)?
    } else {
        extended(line, at)?
    };
    // The end of EPRT is the delimiter, which is not rewritten.
    let tail = match announcement.form {
        Form::Extended(_) => announcement.at.end + 1,
        Form::Numbers | Form::Port => announcement.at.end,
    };
    let rest = line.get(tail..).unwrap_or_default();
    rest.iter()
        .all(|byte| matches!(byte, b' ' | b'\r' | b'\n'))
        .then_some(announcement)
}

/// What the server's line announces.
pub fn reply(line: &[u8]) -> Option<Announcement> {
    match line.split_first_chunk::<4>()? {
        // RFC 1123 4.1.2.6: nothing but the numbers can be relied on.
        (b"227 ", _) => (4..line.len())
            .filter(|&at| line[at].is_ascii_digit() && !line[at - 1].is_ascii_digit())
            .find_map(|at| numbers(line, at)),
        (b"229 ", rest) => {
            let open = 4 + rest.iter().position(|byte| *byte == b'(')?;
            let &[delimiter, second, third] = line.get(open + 1..open + 4)? else {
                return None;
            };
            if !is_delimiter(delimiter) || [second, third] != [delimiter; 2] {
                return None;
            }
            let start = open + 4;
            let (port, end) = number(line, start, 5)?;
            (line.get(end..end + 2)? == [delimiter, b')']).then_some(())?;
            Some(Announcement {
                address: None,
                port: u16::try_from(port).ok()?,
                at: start..end,
                form: Form::Port,
            })
        }
        _ => None,
    }
}

/// Whether a line that has no end yet is one of those that announce, and its argument has begun:
/// the argument can only be rewritten as a whole. `from_client` tells whose line it is.
pub fn is_begun(line: &[u8], from_client: bool) -> bool {
    if from_client {
        verb(line).is_some_and(|at| at < line.len())
    } else {
        matches!(
            line.split_first_chunk::<4>(),
            Some((b"227 " | b"229 ", rest)) if !rest.is_empty()
        )
    }
}

impl Announcement {
    /// The same with another address and port, to stand in its place.
    pub fn text(&self, address: IpAddr, port: u16) -> Text {
        let mut text = Text::default();
        let [high, low] = port.to_be_bytes();
        let written = match (self.form, address) {
            (Form::Numbers, IpAddr::V4(address)) => {
                let [a, b, c, d] = address.octets();
                write!(text, "{a},{b},{c},{d},{high},{low}")
            }
            (Form::Extended(delimiter), address) => {
                write!(text, "{address}{}{port}", char::from(delimiter))
            }
            (Form::Numbers, IpAddr::V6(_)) | (Form::Port, _) => write!(text, "{port}"),
        };
        debug_assert!(written.is_ok(), "{TEXT_MAX} bytes are enough");
        text
    }
}

/// A few bytes to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    bytes: [u8; TEXT_MAX],
    len: u8,
}

impl Default for Text {
    fn default() -> Self {
        Self {
            bytes: [0; TEXT_MAX],
            len: 0,
        }
    }
}

impl Text {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len.into()]
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let start = usize::from(self.len);
        let end = start + text.len();
        let there = self.bytes.get_mut(start..end).ok_or(fmt::Error)?;
        there.copy_from_slice(text.as_bytes());
        self.len = end as u8;
        Ok(())
    }
}

/// Where the argument of a command begins that announces.
fn verb(line: &[u8]) -> Option<usize> {
    let (verb, rest) = line.split_first_chunk::<4>()?;
    let announces = verb.eq_ignore_ascii_case(b"PORT") || verb.eq_ignore_ascii_case(b"EPRT");
    let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
    (announces && spaces > 0).then_some(4 + spaces)
}

/// `h1,h2,h3,h4,p1,p2`
fn numbers(line: &[u8], start: usize) -> Option<Announcement> {
    let mut bytes = [0; 6];
    let mut end = start;
    for (place, byte) in bytes.iter_mut().enumerate() {
        if place > 0 {
            (*line.get(end)? == b',').then_some(())?;
            end += 1;
        }
        let (value, behind) = number(line, end, 3)?;
        *byte = u8::try_from(value).ok()?;
        end = behind;
    }
    let [a, b, c, d, high, low] = bytes;
    Some(Announcement {
        address: Some(Ipv4Addr::new(a, b, c, d).into()),
        port: u16::from_be_bytes([high, low]),
        at: start..end,
        form: Form::Numbers,
    })
}

/// `|1|10.0.0.5|40000|`
fn extended(line: &[u8], start: usize) -> Option<Announcement> {
    let &[delimiter, family, second] = line.get(start..start + 3)? else {
        return None;
    };
    if !is_delimiter(delimiter) || second != delimiter {
        return None;
    }
    let at = start + 3;
    let word = line.get(at..)?.split(|byte| *byte == delimiter).next()?;
    let text = std::str::from_utf8(word).ok()?;
    let address = match family {
        b'1' => IpAddr::V4(text.parse::<Ipv4Addr>().ok()?),
        b'2' => IpAddr::V6(text.parse::<Ipv6Addr>().ok()?),
        _ => return None,
    };
    let port_at = at + word.len() + 1;
    let (port, end) = number(line, port_at, 5)?;
    (*line.get(end)? == delimiter).then_some(())?;
    Some(Announcement {
        address: Some(address),
        port: u16::try_from(port).ok()?,
        at: at..end,
        form: Form::Extended(delimiter),
    })
}

/// RFC 2428 2: any printable ASCII character, but it must not look like a part of what it parts.
const fn is_delimiter(byte: u8) -> bool {
    byte.is_ascii_graphic() && !byte.is_ascii_alphanumeric() && !matches!(byte, b'.' | b':')
}

/// A decimal number of at most `digits` digits, and where it ends.
fn number(line: &[u8], start: usize, digits: usize) -> Option<(u32, usize)> {
    let rest = line.get(start..)?;
    let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if len == 0 || len > digits {
        return None;
    }
    let value = rest[..len]
        .iter()
        .fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
    Some((value, start + len))
}

#[cfg(test)]
mod tests;
