//! IPv6 (RFC 8200) and its extension headers.

use std::net::Ipv6Addr;

use crate::layout::{Malformed, array, extension_size, is_extension};
use crate::protocol;

/// An IPv6 header known to be whole, without extension headers.
#[derive(Clone, Copy, Debug)]
pub struct Ipv6<'a>(&'a [u8; 40]);

impl<'a> Ipv6<'a> {
    /// Splits `bytes` into header and the rest, which may be shorter or longer than the header
    /// says.
    ///
    /// # Errors
    /// [`Malformed::Ipv6`] if the header is cut off, or of another version.
    pub fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Malformed> {
        match bytes.split_first_chunk::<40>() {
            Some((header, rest)) if header[0] >> 4 == 6 => Ok((Self(header), rest)),
            Some(_) | None => Err(Malformed::Ipv6),
        }
    }

    /// Traffic class: DSCP and ECN.
    pub const fn traffic_class(&self) -> u8 {
        (self.start() >> 20) as u8
    }

    /// Flow label, 20 bits.
    pub const fn flow_label(&self) -> u32 {
        self.start() & 0x000f_ffff
    }

    /// Size of all that follows this header in bytes, as the header says.
    pub const fn payload_size(&self) -> u16 {
        u16::from_be_bytes([self.0[4], self.0[5]])
    }

    /// What follows: an extension header or a protocol.
    pub const fn next_header(&self) -> u8 {
        self.0[6]
    }

    /// Hop limit.
    pub const fn hop_limit(&self) -> u8 {
        self.0[7]
    }

    /// Source address.
    pub fn src(&self) -> Ipv6Addr {
        self.address(8)
    }

    /// Destination address.
    pub fn dst(&self) -> Ipv6Addr {
        self.address(24)
    }

    /// The extension headers at the front of `rest`, which follows this header.
    pub const fn extensions(&self, rest: &'a [u8]) -> Extensions<'a> {
        Extensions {
            next_header: self.next_header(),
            rest,
            ended: false,
        }
    }

    const fn start(&self) -> u32 {
        u32::from_be_bytes([self.0[0], self.0[1], self.0[2], self.0[3]])
    }

    fn address(&self, at: usize) -> Ipv6Addr {
        array::<16>(self.0, at).map_or(Ipv6Addr::UNSPECIFIED, |octets| Ipv6Addr::from(*octets))
    }
}

/// Extension headers in turn, up to the first protocol, the data of a later fragment, or a
/// header that is cut off.
#[derive(Clone, Copy, Debug)]
pub struct Extensions<'a> {
    next_header: u8,
    rest: &'a [u8],
    /// A later fragment's header was passed: its data is the middle of a datagram, whatever
    /// number the header gives it.
    ended: bool,
}

impl<'a> Extensions<'a> {
    /// What follows the headers passed: at the end of the walk a protocol, or the extension
    /// header that is cut off.
    pub const fn next_header(&self) -> u8 {
        self.next_header
    }

    /// The bytes behind the headers passed.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Extension<'a>;

    fn next(&mut self) -> Option<Extension<'a>> {
        if self.ended || !is_extension(self.next_header) {
            return None;
        }
        let &[next_header, units, ..] = array::<8>(self.rest, 0)?;
        let size = extension_size(self.next_header, units);
        let (bytes, rest) = self.rest.split_at_checked(size)?;
        let extension = Extension {
            protocol: self.next_header,
            bytes,
        };
        self.next_header = next_header;
        self.rest = rest;
        self.ended = extension
            .fragment()
            .is_some_and(|(offset, _, _)| offset > 0);
        Some(extension)
    }
}

/// One extension header, whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// Its number.
    pub protocol: u8,
    /// All of it, from the next header's number on; at least 8 bytes.
    pub bytes: &'a [u8],
}

impl Extension<'_> {
    /// Of a fragment header: offset in bytes, whether more follow, identification.
    pub fn fragment(&self) -> Option<(u16, bool, u32)> {
        let &[_, _, o0, o1, i0, i1, i2, i3] = array(self.bytes, 0)?;
        let offset = u16::from_be_bytes([o0, o1]);
        let id = u32::from_be_bytes([i0, i1, i2, i3]);
        (self.protocol == protocol::FRAGMENT).then_some((offset & 0xfff8, offset & 1 != 0, id))
    }

    /// Of a routing header: how many places are still to be visited.
    pub fn segments_left(&self) -> Option<u8> {
        (self.protocol == protocol::ROUTING).then_some(*self.bytes.get(3)?)
    }
}
