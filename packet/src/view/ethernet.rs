//! Ethernet (IEEE 802.3), without the tags and the type behind the addresses.

use crate::layout::Malformed;

/// The addresses of an Ethernet frame.
#[derive(Clone, Copy, Debug)]
pub struct Ethernet<'a>(&'a [u8; 12]);

impl<'a> Ethernet<'a> {
    /// Splits a frame into its addresses and the rest: tags and type.
    ///
    /// # Errors
    /// [`Malformed::Runt`] if it is shorter than an Ethernet header.
    pub fn split(frame: &'a [u8]) -> Result<(Self, &'a [u8]), Malformed> {
        match frame.split_first_chunk() {
            Some((addresses, rest)) if rest.len() >= 2 => Ok((Self(addresses), rest)),
            Some(_) | None => Err(Malformed::Runt),
        }
    }

    /// Destination address.
    pub const fn dst(&self) -> [u8; 6] {
        let [a, b, c, d, e, f, ..] = *self.0;
        [a, b, c, d, e, f]
    }

    /// Source address.
    pub const fn src(&self) -> [u8; 6] {
        let [.., a, b, c, d, e, f] = *self.0;
        [a, b, c, d, e, f]
    }
}
