//! ICMP (RFC 792).

use crate::layout::Malformed;

/// The first eight bytes of an ICMP message, which every type has.
#[derive(Clone, Copy, Debug)]
pub struct Icmp<'a>(&'a [u8; 8]);

impl<'a> Icmp<'a> {
    /// Splits `bytes` into these and the rest: data, or the packet that an error quotes.
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

    /// The four bytes whose meaning depends on the type.
    pub const fn rest_of_header(&self) -> u32 {
        u32::from_be_bytes([self.0[4], self.0[5], self.0[6], self.0[7]])
    }
}
