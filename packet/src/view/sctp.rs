//! SCTP (RFC 9260): the common header and the chunks.

use crate::layout::{Malformed, array};

/// An SCTP common header known to be whole.
#[derive(Clone, Copy, Debug)]
pub struct Sctp<'a>(&'a [u8; 12]);

impl<'a> Sctp<'a> {
    /// Splits `bytes` into the common header and the chunks.
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

    /// Verification tag.
    pub const fn verification_tag(&self) -> u32 {
        u32::from_be_bytes([self.0[4], self.0[5], self.0[6], self.0[7]])
    }

    /// Checksum as it lies there, its bytes in wire order.
    pub const fn checksum(&self) -> [u8; 4] {
        [self.0[8], self.0[9], self.0[10], self.0[11]]
    }
}

/// Chunks in turn, up to the first that is cut off or too short to be one.
#[derive(Clone, Copy, Debug)]
pub struct Chunks<'a>(&'a [u8]);

impl<'a> Chunks<'a> {
    /// The chunks at the front of `bytes`, which follow the common header.
    pub const fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What is behind the chunks passed; nothing, at the end of a walk over whole chunks.
    pub const fn rest(&self) -> &'a [u8] {
        self.0
    }
}

/// One chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Type (RFC 9260 3.2).
    pub chunk_type: u8,
    /// Flags; what they mean depends on the type.
    pub flags: u8,
    /// What follows the four bytes of the chunk's header, without padding.
    pub value: &'a [u8],
    /// Up to three bytes that fill up to a multiple of four; the last chunk may lack them.
    pub padding: &'a [u8],
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        let &[chunk_type, flags, s0, s1] = array(self.0, 0)?;
        let size = usize::from(u16::from_be_bytes([s0, s1]));
        let value = self.0.get(4..size)?;
        let behind = self.0.get(size..)?;
        let padding_size = (size.next_multiple_of(4) - size).min(behind.len());
        let (padding, rest) = behind.split_at_checked(padding_size)?;
        self.0 = rest;
        Some(Chunk {
            chunk_type,
            flags,
            value,
            padding,
        })
    }
}
