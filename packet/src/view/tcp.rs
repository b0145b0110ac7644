//! TCP (RFC 9293) and its options.

use crate::layout::Malformed;

/// A TCP header known to be whole, options included.
#[derive(Clone, Copy, Debug)]
pub struct Tcp<'a> {
    fixed: &'a [u8; 20],
    options: &'a [u8],
}

impl<'a> Tcp<'a> {
    /// FIN, the lowest flag.
    pub const FIN: u16 = 0x001;
    /// SYN
    pub const SYN: u16 = 0x002;
    /// RST
    pub const RST: u16 = 0x004;
    /// PSH
    pub const PSH: u16 = 0x008;
    /// ACK
    pub const ACK: u16 = 0x010;
    /// URG
    pub const URG: u16 = 0x020;

    /// Splits `bytes` into header and data.
    ///
    /// # Errors
    /// [`Malformed::L4`] if the header is cut off, or shorter than 20 bytes.
    pub fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Malformed> {
        let (fixed, rest) = bytes.split_first_chunk::<20>().ok_or(Malformed::L4)?;
        let header_size = usize::from(fixed[12] >> 4) * 4;
        let options_size = header_size.checked_sub(20).ok_or(Malformed::L4)?;
        let (options, rest) = rest.split_at_checked(options_size).ok_or(Malformed::L4)?;
        Ok((Self { fixed, options }, rest))
    }

    /// Source port.
    pub const fn src_port(&self) -> u16 {
        u16::from_be_bytes([self.fixed[0], self.fixed[1]])
    }

    /// Destination port.
    pub const fn dst_port(&self) -> u16 {
        u16::from_be_bytes([self.fixed[2], self.fixed[3]])
    }

    /// Sequence number of the first octet.
    pub const fn sequence(&self) -> u32 {
        u32::from_be_bytes([self.fixed[4], self.fixed[5], self.fixed[6], self.fixed[7]])
    }

    /// Acknowledgment number.
    pub const fn acknowledgment(&self) -> u32 {
        u32::from_be_bytes([self.fixed[8], self.fixed[9], self.fixed[10], self.fixed[11]])
    }

    /// All twelve flag bits, the reserved ones included.
    pub const fn flags(&self) -> u16 {
        u16::from_be_bytes([self.fixed[12], self.fixed[13]]) & 0x0fff
    }

    /// Window, not scaled.
    pub const fn window(&self) -> u16 {
        u16::from_be_bytes([self.fixed[14], self.fixed[15]])
    }

    /// Checksum as it lies there.
    pub const fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.fixed[16], self.fixed[17]])
    }

    /// Urgent pointer.
    pub const fn urgent(&self) -> u16 {
        u16::from_be_bytes([self.fixed[18], self.fixed[19]])
    }

    /// The options as they lie there, up to 40 bytes.
    pub const fn option_bytes(&self) -> &'a [u8] {
        self.options
    }

    /// The options one by one, without padding, up to the first that is broken.
    pub const fn options(&self) -> TcpOptions<'a> {
        TcpOptions(self.options)
    }

    /// Window scale (RFC 7323): the shift, as it lies there.
    pub fn window_scale(&self) -> Option<u8> {
        self.options().find_map(|option| match option {
            TcpOption::WindowScale(shift) => Some(shift),
            _ => None,
        })
    }

    /// Whether selective acknowledgment is permitted (RFC 2018).
    pub fn sack_permitted(&self) -> bool {
        self.options()
            .any(|option| option == TcpOption::SackPermitted)
    }

    /// Selectively acknowledged blocks (RFC 2018): first number of each and the one behind it.
    pub fn sack_blocks(&self) -> impl Iterator<Item = (u32, u32)> + use<'a> {
        let blocks = self.options().find_map(|option| match option {
            TcpOption::Sack(blocks) => Some(blocks),
            _ => None,
        });
        blocks
            .unwrap_or_default()
            .iter()
            .map(|&[a, b, c, d, e, f, g, h]| {
                (
                    u32::from_be_bytes([a, b, c, d]),
                    u32::from_be_bytes([e, f, g, h]),
                )
            })
    }
}

/// The options of a TCP header.
#[derive(Clone, Copy, Debug)]
pub struct TcpOptions<'a>(&'a [u8]);

/// One TCP option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpOption<'a> {
    /// Maximum segment size.
    Mss(u16),
    /// Window scale (RFC 7323).
    WindowScale(u8),
    /// Selective acknowledgment permitted (RFC 2018).
    SackPermitted,
    /// Selective acknowledgment (RFC 2018), a pair of sequence numbers each.
    Sack(&'a [[u8; 8]]),
    /// Timestamps (RFC 7323).
    Timestamps {
        /// The sender's clock.
        value: u32,
        /// The clock of the other side, as last seen.
        echo: u32,
    },
    /// Any other, or one of these with another length.
    Other {
        /// Its number.
        kind: u8,
        /// What follows number and length.
        value: &'a [u8],
    },
}

impl<'a> Iterator for TcpOptions<'a> {
    type Item = TcpOption<'a>;

    fn next(&mut self) -> Option<TcpOption<'a>> {
        while let [1, rest @ ..] = self.0 {
            self.0 = rest;
        }
        // 0 ends the list.
        let &[kind @ 2..=255, size, ..] = self.0 else {
            return None;
        };
        let (option, rest) = self.0.split_at_checked(size.into())?;
        // A size below 2 would never end.
        let value = option.get(2..)?;
        self.0 = rest;
        Some(match (kind, value) {
            (2, &[a, b]) => TcpOption::Mss(u16::from_be_bytes([a, b])),
            (3, &[shift]) => TcpOption::WindowScale(shift),
            (4, []) => TcpOption::SackPermitted,
            (5, blocks) if blocks.len().is_multiple_of(8) => TcpOption::Sack(blocks.as_chunks().0),
            (8, &[a, b, c, d, e, f, g, h]) => TcpOption::Timestamps {
                value: u32::from_be_bytes([a, b, c, d]),
                echo: u32::from_be_bytes([e, f, g, h]),
            },
            (kind, value) => TcpOption::Other { kind, value },
        })
    }
}
