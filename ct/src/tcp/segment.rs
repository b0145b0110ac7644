//! The TCP header as the tracker reads it.

use weir_packet::Layout;

/// What a segment is, by its flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SegmentKind {
    /// SYN without ACK.
    Syn,
    /// SYN with ACK.
    SynAck,
    /// ACK without SYN, FIN and RST; with or without data.
    Ack,
    /// FIN with ACK.
    Fin,
    /// RST, with or without ACK.
    Rst,
}

/// One TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) kind: SegmentKind,
    /// Number of its first octet.
    pub(crate) sequence: u32,
    /// Meaningful if `acknowledges`.
    pub(crate) acknowledgment: u32,
    /// The ACK flag.
    pub(crate) acknowledges: bool,
    /// As on the wire.
    pub(crate) window: u16,
    /// Octets of data.
    pub(crate) payload_size: u32,
    /// RFC 7323 window scale option of a SYN.
    pub(crate) window_scale: Option<u8>,
}

/// Why a TCP header is not acceptable in any connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadSegment {
    /// The header is not within the frame's first segment.
    Length,
    /// Flags that contradict each other.
    Flags,
}

impl Segment {
    /// Reads the TCP header of a frame whose layout says that it has one.
    pub(crate) fn read(head: &[u8], layout: &Layout) -> Result<Self, BadSegment> {
        let bytes = head
            .get(usize::from(layout.l4_offset)..)
            .ok_or(BadSegment::Length)?;
        let (fixed, rest) = bytes.split_first_chunk::<20>().ok_or(BadSegment::Length)?;
        let header_size = usize::from(fixed[12] >> 4) * 4;
        let options_size = header_size.checked_sub(20).ok_or(BadSegment::Length)?;
        let options = rest.get(..options_size).ok_or(BadSegment::Length)?;
        let l4_end = u32::from(layout.l4_offset) + header_size as u32;
        let payload_size = layout
            .l3_end
            .checked_sub(l4_end)
            .ok_or(BadSegment::Length)?;
        let kind = kind_of(fixed[13]).ok_or(BadSegment::Flags)?;
        let &[
            _,
            _,
            _,
            _,
            s0,
            s1,
            s2,
            s3,
            a0,
            a1,
            a2,
            a3,
            _,
            flags,
            w0,
            w1,
            ..,
        ] = fixed;
        Ok(Self {
            kind,
            sequence: u32::from_be_bytes([s0, s1, s2, s3]),
            acknowledgment: u32::from_be_bytes([a0, a1, a2, a3]),
            acknowledges: flags & ACK != 0,
            window: u16::from_be_bytes([w0, w1]),
            payload_size,
            window_scale: match kind {
                SegmentKind::Syn | SegmentKind::SynAck => window_scale(options),
                SegmentKind::Ack | SegmentKind::Fin | SegmentKind::Rst => None,
            },
        })
    }

    /// The number after its last octet; SYN and FIN count as one octet each (RFC 9293 3.4).
    pub(crate) const fn end(&self) -> u32 {
        let flag = match self.kind {
            SegmentKind::Syn | SegmentKind::SynAck | SegmentKind::Fin => 1,
            SegmentKind::Ack | SegmentKind::Rst => 0,
        };
        self.sequence
            .wrapping_add(self.payload_size)
            .wrapping_add(flag)
    }

    /// Whether it has SYN.
    #[inline]
    pub(crate) const fn synchronizes(&self) -> bool {
        matches!(self.kind, SegmentKind::Syn | SegmentKind::SynAck)
    }

    /// Whether it is a reset.
    pub(crate) const fn resets(&self) -> bool {
        matches!(self.kind, SegmentKind::Rst)
    }
}

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;
const URG: u8 = 0x20;

/// `None` if the flags contradict each other, as Linux has it: SYN, RST and FIN exclude each
/// other, FIN wants ACK, there is one of SYN, RST and ACK, and nothing is urgent in a SYN-ACK or
/// a reset. PSH and the flags of ECN say nothing.
const fn kind_of(flags: u8) -> Option<SegmentKind> {
    const SYN_URG: u8 = SYN | URG;
    const SYN_ACK: u8 = SYN | ACK;
    const ACK_URG: u8 = ACK | URG;
    const FIN_ACK: u8 = FIN | ACK;
    const FIN_ACK_URG: u8 = FIN | ACK | URG;
    const RST_ACK: u8 = RST | ACK;
    match flags & (FIN | SYN | RST | ACK | URG) {
        SYN | SYN_URG => Some(SegmentKind::Syn),
        SYN_ACK => Some(SegmentKind::SynAck),
        ACK | ACK_URG => Some(SegmentKind::Ack),
        FIN_ACK | FIN_ACK_URG => Some(SegmentKind::Fin),
        RST | RST_ACK => Some(SegmentKind::Rst),
        _ => None,
    }
}

/// The window scale option (RFC 7323 2.2), as it stands on the wire.
fn window_scale(mut options: &[u8]) -> Option<u8> {
    loop {
        match *options {
            // End of list.
            [] | [0, ..] => return None,
            // No operation.
            [1, ref rest @ ..] => options = rest,
            [3, 3, shift, ..] => return Some(shift),
            // A length below 2 would never end.
            [_, size, ..] => options = options.get(usize::from(size.max(2))..)?,
            [_] => return None,
        }
    }
}

#[cfg(test)]
mod tests;
