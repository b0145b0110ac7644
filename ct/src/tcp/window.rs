//! Sequence numbers and windows.

use super::segment::Segment;
use super::{End, PeerState};

/// How far a segment may be out of place where it need not be exact: a window without scaling,
/// and a packet.
pub(super) const SLACK: i32 = 0xffff + 1500;

/// What is known of an end's window scale (RFC 7323), in a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Scale(u8);

impl Scale {
    /// No option in its SYN, or it does not count.
    pub(super) const NONE: Self = Self(0);
    /// The handshake was not seen: the scale may be any.
    pub(super) const UNKNOWN: Self = Self(0x40);

    const OFFERED: u8 = 0x80;
    /// Not about the scale: the last that this end sent passed for the other to answer.
    const MARK: u8 = 0x20;
    const SHIFT: u8 = 0x0f;

    /// What a SYN offers.
    pub(super) const fn of_syn(segment: &Segment) -> Self {
        match segment.window_scale {
            // RFC 7323 2.3: more than 14 counts as 14.
            Some(shift) if shift > MAX_SHIFT => Self(Self::OFFERED | MAX_SHIFT),
            Some(shift) => Self(Self::OFFERED | shift),
            None => Self::NONE,
        }
    }

    pub(crate) const fn is_offered(self) -> bool {
        self.0 & Self::OFFERED != 0
    }

    pub(crate) const fn is_unknown(self) -> bool {
        self.0 & Self::UNKNOWN.0 != 0
    }

    pub(super) const fn is_marked(self) -> bool {
        self.0 & Self::MARK != 0
    }

    pub(super) const fn mark(&mut self) {
        self.0 |= Self::MARK;
    }

    pub(super) const fn unmark(&mut self) {
        self.0 &= !Self::MARK;
    }

    /// The shift offered; 0 if none was, or it is unknown.
    pub(crate) const fn shift(self) -> u8 {
        self.0 & Self::SHIFT
    }
}

/// The largest shift (RFC 7323 2.3).
const MAX_SHIFT: u8 = 14;

/// The shifts in force for windows that sender and receiver announce.
pub(super) fn shifts(sender: &End, receiver: &End) -> (u8, u8) {
    if sender.scale.is_unknown() || receiver.scale.is_unknown() {
        (MAX_SHIFT, MAX_SHIFT)
    } else if sender.scale.is_offered()
        && (receiver.scale.is_offered() || receiver.state == PeerState::Closed)
    {
        // To an end not heard yet, the benefit of the doubt.
        (sender.scale.shift(), receiver.scale.shift())
    } else {
        (0, 0)
    }
}

/// A window of `bytes` in units of `1 << shift` bytes, rounded up.
pub(super) fn units(bytes: u32, shift: u8) -> u16 {
    u16::try_from(bytes.div_ceil(1 << shift)).unwrap_or(u16::MAX)
}

/// `a >= b` among sequence numbers (RFC 9293 3.4).
pub(super) const fn at_or_after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() >= 0
}
