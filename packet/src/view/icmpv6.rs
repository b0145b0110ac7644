//! ICMPv6 (RFC 4443) and the messages of Neighbour Discovery (RFC 4861) that name a target.

use std::net::Ipv6Addr;

use crate::layout::Malformed;
use crate::protocol::icmpv6;

/// The first four bytes of an ICMPv6 message, which every type has.
#[derive(Clone, Copy, Debug)]
pub struct Icmpv6<'a>(&'a [u8; 4]);

impl<'a> Icmpv6<'a> {
    /// Splits `bytes` into these and the body of the message.
    ///
    /// # Errors
    /// [`Malformed::L4`] if the message is shorter.
    pub fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Malformed> {
        let (header, rest) = bytes.split_first_chunk().ok_or(Malformed::L4)?;
        Ok((Self(header), rest))
    }

    /// Type.
    pub const fn icmp_type(&self) -> u8 {
        self.0[0]
    }

    /// Code.
    pub const fn code(&self) -> u8 {
        self.0[1]
    }

    /// Checksum as it lies there.
    pub const fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.0[2], self.0[3]])
    }

    /// Of a neighbour solicitation or advertisement: target and options. `body` follows this
    /// header.
    pub fn neighbor(&self, body: &'a [u8]) -> Option<(Ipv6Addr, &'a [u8])> {
        if !matches!(
            self.icmp_type(),
            icmpv6::NEIGHBOR_SOLICIT | icmpv6::NEIGHBOR_ADVERT
        ) {
            return None;
        }
        let (target, options) = body.get(4..)?.split_first_chunk::<16>()?;
        Some((Ipv6Addr::from(*target), options))
    }
}
