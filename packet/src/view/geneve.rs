//! Geneve (RFC 8926).

use super::MalformedTunnel;
use crate::ether_type;

/// A Geneve header with its options, known to be whole.
#[derive(Clone, Copy, Debug)]
pub struct Geneve<'a> {
    fixed: &'a [u8; 8],
    options: &'a [u8],
}

impl<'a> Geneve<'a> {
    /// The header's size in bytes, without options.
    pub const SIZE: usize = 8;
    /// The UDP port that IANA assigned.
    pub const PORT: u16 = 6081;
    /// Options are at most this long in all, in bytes.
    pub const MAX_OPTIONS: usize = 252;
    /// The O bit: a control packet.
    const OAM: u8 = 0x80;
    /// The C bit: some option is critical.
    const CRITICAL: u8 = 0x40;

    /// Splits `bytes`, which follow a UDP header, into header and payload.
    ///
    /// # Errors
    /// [`MalformedTunnel`] if header or options are cut off, the version is not 0, or the
    /// options do not end where the header says.
    #[inline]
    pub fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), MalformedTunnel> {
        let (fixed, rest) = bytes.split_first_chunk::<8>().ok_or(MalformedTunnel)?;
        let [version_and_size, ..] = *fixed;
        if version_and_size >> 6 != 0 {
            return Err(MalformedTunnel);
        }
        let size = usize::from(version_and_size & 0x3f) * 4;
        let (options, rest) = rest.split_at_checked(size).ok_or(MalformedTunnel)?;
        let header = Self { fixed, options };
        let mut walk = header.options();
        walk.by_ref().for_each(drop);
        if !walk.rest.is_empty() {
            return Err(MalformedTunnel);
        }
        Ok((header, rest))
    }

    /// Whether it is a control packet (O bit).
    #[inline]
    pub const fn is_oam(&self) -> bool {
        self.fixed[1] & Self::OAM != 0
    }

    /// Whether some option is critical (C bit).
    pub const fn has_critical(&self) -> bool {
        self.fixed[1] & Self::CRITICAL != 0
    }

    /// The payload's Ethertype.
    #[inline]
    pub const fn protocol(&self) -> u16 {
        u16::from_be_bytes([self.fixed[2], self.fixed[3]])
    }

    /// Network identifier, 24 bits.
    #[inline]
    pub const fn vni(&self) -> u32 {
        u32::from_be_bytes([0, self.fixed[4], self.fixed[5], self.fixed[6]])
    }

    /// All options as they lie in the packet.
    #[inline]
    pub const fn raw_options(&self) -> &'a [u8] {
        self.options
    }

    /// The options in turn.
    #[inline]
    pub const fn options(&self) -> GeneveOptions<'a> {
        GeneveOptions::of(self.options)
    }

    /// The header of an Ethernet frame behind `options_size` bytes of options, a multiple of 4
    /// up to [`Self::MAX_OPTIONS`]; of `vni` the lower 24 bits count.
    #[inline]
    pub const fn header(
        vni: u32,
        options_size: usize,
        is_oam: bool,
        has_critical: bool,
    ) -> [u8; 8] {
        let [_, v0, v1, v2] = vni.to_be_bytes();
        let [p0, p1] = ether_type::TEB.to_be_bytes();
        let mut flags = 0;
        if is_oam {
            flags |= Self::OAM;
        }
        if has_critical {
            flags |= Self::CRITICAL;
        }
        [
            (options_size / 4) as u8 & 0x3f,
            flags,
            p0,
            p1,
            v0,
            v1,
            v2,
            0,
        ]
    }
}

/// One option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeneveOption<'a> {
    /// Who defines its type.
    pub class: u16,
    /// Its type; the highest bit says that it is critical.
    pub option_type: u8,
    /// Its data: up to 124 bytes, a multiple of 4.
    pub data: &'a [u8],
}

impl GeneveOption<'_> {
    /// An option header's size in bytes.
    pub const HEADER_SIZE: usize = 4;
    /// Longest data of an option, in bytes.
    pub const MAX_DATA: usize = 124;

    /// Whether who does not know it has to drop the packet.
    pub const fn is_critical(&self) -> bool {
        self.option_type & 0x80 != 0
    }
}

/// Options in turn, up to the first that is cut off.
#[derive(Clone, Copy, Debug)]
pub struct GeneveOptions<'a> {
    rest: &'a [u8],
}

impl<'a> GeneveOptions<'a> {
    /// The options that `bytes` begin with.
    #[inline]
    pub const fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for GeneveOptions<'a> {
    type Item = GeneveOption<'a>;

    #[inline]
    fn next(&mut self) -> Option<GeneveOption<'a>> {
        let (&[c0, c1, option_type, words], behind) = self.rest.split_first_chunk()?;
        let size = usize::from(words & 0x1f) * 4;
        let (data, rest) = behind.split_at_checked(size)?;
        self.rest = rest;
        Some(GeneveOption {
            class: u16::from_be_bytes([c0, c1]),
            option_type,
            data,
        })
    }
}
