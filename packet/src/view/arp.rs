//! ARP over Ethernet for IPv4 (RFC 826), and RARP (RFC 903), which is laid out the same.

use std::net::Ipv4Addr;

use crate::layout::Malformed;

/// An ARP packet.
#[derive(Clone, Copy, Debug)]
pub struct Arp<'a>(&'a [u8; 28]);

impl<'a> Arp<'a> {
    /// Splits `bytes` into the packet and the rest: padding.
    ///
    /// # Errors
    /// [`Malformed::Arp`] if it is cut off, or not about Ethernet and IPv4.
    pub fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Malformed> {
        match bytes.split_first_chunk::<28>() {
            Some((packet @ [0, 1, 0x08, 0x00, 6, 4, ..], rest)) => Ok((Self(packet), rest)),
            Some(_) | None => Err(Malformed::Arp),
        }
    }

    /// Operation: 1 request, 2 reply; RARP: 3 request, 4 reply.
    pub const fn operation(&self) -> u16 {
        u16::from_be_bytes([self.0[6], self.0[7]])
    }

    /// Sender's Ethernet address.
    pub const fn sha(&self) -> [u8; 6] {
        let [_, _, _, _, _, _, _, _, a, b, c, d, e, f, ..] = *self.0;
        [a, b, c, d, e, f]
    }

    /// Sender's IPv4 address.
    pub const fn spa(&self) -> Ipv4Addr {
        Ipv4Addr::new(self.0[14], self.0[15], self.0[16], self.0[17])
    }

    /// Target's Ethernet address.
    pub const fn tha(&self) -> [u8; 6] {
        let [.., a, b, c, d, e, f, _, _, _, _] = *self.0;
        [a, b, c, d, e, f]
    }

    /// Target's IPv4 address.
    pub const fn tpa(&self) -> Ipv4Addr {
        Ipv4Addr::new(self.0[24], self.0[25], self.0[26], self.0[27])
    }
}
