//! GRE (RFC 2784) with key and sequence number (RFC 2890).

use super::MalformedTunnel;
use crate::layout::array;

/// A GRE header known to be whole, with its optional fields.
#[derive(Clone, Copy, Debug)]
pub struct Gre<'a> {
    /// Flags and protocol, then what the flags announce: 4 to 16 bytes.
    bytes: &'a [u8],
}

impl<'a> Gre<'a> {
    /// Checksum and reserved field are there.
    const CHECKSUM: u16 = 0x8000;
    /// The key is there.
    const KEY: u16 = 0x2000;
    /// The sequence number is there.
    const SEQUENCE: u16 = 0x1000;

    /// Splits `bytes`, which follow an IP header, into header and payload.
    ///
    /// # Errors
    /// [`MalformedTunnel`] if the header is cut off, the version is not 0, or it has a
    /// routing field or anything else that RFC 2784 has taken out.
    #[inline]
    pub fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), MalformedTunnel> {
        let &[f0, f1, _, _] = array(bytes, 0).ok_or(MalformedTunnel)?;
        let flags = u16::from_be_bytes([f0, f1]);
        if flags & !(Self::CHECKSUM | Self::KEY | Self::SEQUENCE) != 0 {
            return Err(MalformedTunnel);
        }
        let size = 4 + 4 * flags.count_ones() as usize;
        let (header, rest) = bytes.split_at_checked(size).ok_or(MalformedTunnel)?;
        Ok((Self { bytes: header }, rest))
    }

    /// The header's size in bytes.
    #[inline]
    pub const fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The payload's Ethertype.
    #[inline]
    pub fn protocol(&self) -> u16 {
        array(self.bytes, 2).map_or(0, |bytes| u16::from_be_bytes(*bytes))
    }

    /// Whether there is a checksum, over header and payload.
    #[inline]
    pub fn has_checksum(&self) -> bool {
        self.flags() & Self::CHECKSUM != 0
    }

    /// The key, if there is one.
    #[inline]
    pub fn key(&self) -> Option<u32> {
        let at = if self.has_checksum() { 8 } else { 4 };
        let key = array(self.bytes, at).map(|bytes| u32::from_be_bytes(*bytes));
        key.filter(|_| self.flags() & Self::KEY != 0)
    }

    /// The sequence number, if there is one.
    pub fn sequence(&self) -> Option<u32> {
        let at = self.bytes.len().saturating_sub(4);
        let number = array(self.bytes, at).map(|bytes| u32::from_be_bytes(*bytes));
        number.filter(|_| self.flags() & Self::SEQUENCE != 0)
    }

    /// The first four bytes of the header of a payload of this Ethertype; a key follows them
    /// if `has_key`.
    #[inline]
    pub const fn header(protocol: u16, has_key: bool) -> [u8; 4] {
        let flags = if has_key { Self::KEY } else { 0 };
        let ([f0, f1], [p0, p1]) = (flags.to_be_bytes(), protocol.to_be_bytes());
        [f0, f1, p0, p1]
    }

    fn flags(&self) -> u16 {
        array(self.bytes, 0).map_or(0, |bytes| u16::from_be_bytes(*bytes))
    }
}
