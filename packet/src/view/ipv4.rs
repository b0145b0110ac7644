//! IPv4 (RFC 791).

use std::net::Ipv4Addr;

use crate::layout::Malformed;

/// An IPv4 header known to be whole: version 4, at least 20 bytes, options in bounds.
#[derive(Clone, Copy, Debug)]
pub struct Ipv4<'a> {
    fixed: &'a [u8; 20],
    options: &'a [u8],
}

impl<'a> Ipv4<'a> {
    /// Splits `bytes` into header and the rest, which may be shorter or longer than the header
    /// says.
    ///
    /// # Errors
    /// [`Malformed::Ipv4`] if the header is cut off, or of another version.
    pub fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Malformed> {
        let (fixed, rest) = bytes.split_first_chunk::<20>().ok_or(Malformed::Ipv4)?;
        if fixed[0] >> 4 != 4 {
            return Err(Malformed::Ipv4);
        }
        let header_size = usize::from(fixed[0] & 0x0f) * 4;
        let options_size = header_size.checked_sub(20).ok_or(Malformed::Ipv4)?;
        let (options, rest) = rest.split_at_checked(options_size).ok_or(Malformed::Ipv4)?;
        Ok((Self { fixed, options }, rest))
    }

    /// Header size in bytes, 20 to 60.
    pub const fn header_size(&self) -> usize {
        20 + self.options.len()
    }

    /// Type of service: DSCP and ECN.
    pub const fn tos(&self) -> u8 {
        self.fixed[1]
    }

    /// Size of header and data in bytes, as the header says.
    pub const fn total_size(&self) -> u16 {
        u16::from_be_bytes([self.fixed[2], self.fixed[3]])
    }

    /// Identification, by which fragments belong together.
    pub const fn id(&self) -> u16 {
        u16::from_be_bytes([self.fixed[4], self.fixed[5]])
    }

    /// Whether it must not be fragmented.
    pub const fn dont_fragment(&self) -> bool {
        self.fixed[6] & 0x40 != 0
    }

    /// Whether more fragments follow.
    pub const fn more_fragments(&self) -> bool {
        self.fixed[6] & 0x20 != 0
    }

    /// Where in the datagram the data belongs, in bytes.
    pub const fn fragment_offset(&self) -> u16 {
        u16::from_be_bytes([self.fixed[6], self.fixed[7]]) << 3
    }

    /// Time to live.
    pub const fn ttl(&self) -> u8 {
        self.fixed[8]
    }

    /// Protocol of the data.
    pub const fn protocol(&self) -> u8 {
        self.fixed[9]
    }

    /// Header checksum as it lies there.
    pub const fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.fixed[10], self.fixed[11]])
    }

    /// Source address.
    pub const fn src(&self) -> Ipv4Addr {
        let [_, _, _, _, _, _, _, _, _, _, _, _, a, b, c, d, ..] = *self.fixed;
        Ipv4Addr::new(a, b, c, d)
    }

    /// Destination address.
    pub const fn dst(&self) -> Ipv4Addr {
        let [.., a, b, c, d] = *self.fixed;
        Ipv4Addr::new(a, b, c, d)
    }

    /// Options, up to 40 bytes.
    pub const fn options(&self) -> &'a [u8] {
        self.options
    }
}
