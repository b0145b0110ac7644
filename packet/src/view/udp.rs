//! UDP (RFC 768).

use crate::layout::Malformed;

/// A UDP header known to be whole.
#[derive(Clone, Copy, Debug)]
pub struct Udp<'a>(&'a [u8; 8]);

impl<'a> Udp<'a> {
    /// Splits `bytes` into header and the rest, which may be shorter or longer than the header
    /// says.
    ///
    /// # Errors
    /// [`Malformed::L4`] if the header is cut off.
    pub fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Malformed> {
        let (header, rest) = bytes.split_first_chunk().ok_or(Malformed::L4)?;
        Ok((Self(header), rest))
    }

    /// Source port.
    pub const fn src_port(&self) -> u16 {
        u16::from_be_bytes([self.0[0], self.0[1]])
    }

    /// Destination port.
    pub const fn dst_port(&self) -> u16 {
        u16::from_be_bytes([self.0[2], self.0[3]])
    }

    /// Size of header and data in bytes, as the header says.
    pub const fn size(&self) -> u16 {
        u16::from_be_bytes([self.0[4], self.0[5]])
    }

    /// Checksum as it lies there; 0: none.
    pub const fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.0[6], self.0[7]])
    }
}
