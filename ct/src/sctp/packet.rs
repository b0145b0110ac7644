//! An SCTP packet as the tracker reads it: what its chunks say of the association.

use weir_packet::{Frame, Layout, bytes_at};

/// One chunk that says something of the association's state, or of its tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Step {
    Init,
    InitAck,
    Heartbeat,
    HeartbeatAck,
    Abort,
    /// ABORT with the tag of the receiver reflected: its T flag (RFC 9260 3.3.7).
    AbortReflected,
    Shutdown,
    ShutdownAck,
    Error,
    CookieEcho,
    CookieAck,
    ShutdownComplete,
    /// The same with the T flag (RFC 9260 3.3.13).
    ShutdownCompleteReflected,
}

/// What is needed of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    /// The verification tag of its header.
    pub(crate) tag: u32,
    /// The tag that an INIT or INIT ACK wants to be sent from now on; else 0.
    pub(crate) init_tag: u32,
    steps: [Step; MOST_STEPS],
    steps_len: u8,
    /// Whether there is a DATA chunk.
    pub(crate) has_data: bool,
    /// Whether there is a chunk that is no step, DATA included.
    pub(crate) has_other_chunks: bool,
}

/// As many control chunks as a packet may bundle. Endpoints bundle two or three.
pub(crate) const MOST_STEPS: usize = 8;

/// Why a packet is not acceptable in any association: a chunk whose length is impossible, none
/// at all, chunks that may not be bundled (RFC 9260 6.10), or more than [`MOST_STEPS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadPacket;

impl Packet {
    /// Reads the chunks of a packet whose layout says that it is SCTP.
    ///
    /// Cost: reads the header of each chunk, wherever it lies.
    pub(crate) fn read<F: Frame>(frame: &F, layout: &Layout) -> Result<Self, BadPacket> {
        let start = usize::from(layout.l4_offset);
        let end = (layout.l3_end as usize).min(frame.len());
        let number = |at| bytes_at(frame, at).map(u32::from_be_bytes).ok_or(BadPacket);
        let mut packet = Self {
            tag: number(start + 4)?,
            init_tag: 0,
            steps: [Step::Init; MOST_STEPS],
            steps_len: 0,
            has_data: false,
            has_other_chunks: false,
        };
        let (mut at, mut is_first, mut is_last) = (start + COMMON_HEADER, true, false);
        // Fewer than four bytes are no chunk, and no harm.
        while at + CHUNK_HEADER <= end {
            let [chunk_type, flags, s0, s1] = bytes_at(frame, at).ok_or(BadPacket)?;
            let size = usize::from(u16::from_be_bytes([s0, s1]));
            if size < CHUNK_HEADER || at + size > end || is_last {
                return Err(BadPacket);
            }
            match step(chunk_type, flags) {
                None => {
                    packet.has_data |= chunk_type == DATA;
                    packet.has_other_chunks = true;
                }
                Some(step) => {
                    if matches!(step, Step::Init | Step::InitAck) {
                        if size < CHUNK_HEADER + INIT_FIXED {
                            return Err(BadPacket);
                        }
                        packet.init_tag = number(at + CHUNK_HEADER)?;
                    }
                    let alone = matches!(
                        step,
                        Step::Init
                            | Step::InitAck
                            | Step::ShutdownComplete
                            | Step::ShutdownCompleteReflected
                    );
                    let goes_first = matches!(step, Step::CookieEcho | Step::CookieAck);
                    let room = packet.steps.get_mut(usize::from(packet.steps_len));
                    if (alone || goes_first) && !is_first {
                        return Err(BadPacket);
                    }
                    *room.ok_or(BadPacket)? = step;
                    packet.steps_len += 1;
                    is_last = alone;
                }
            }
            is_first = false;
            at += size.next_multiple_of(4);
        }
        if is_first { Err(BadPacket) } else { Ok(packet) }
    }

    /// Its chunks that say something of the association, in order.
    pub(crate) fn steps(&self) -> impl Iterator<Item = Step> + '_ {
        self.steps.iter().take(self.steps_len.into()).copied()
    }
}

/// Bytes of the common header.
const COMMON_HEADER: usize = 12;
/// Bytes of a chunk's type, flags and length.
const CHUNK_HEADER: usize = 4;
/// Bytes of an INIT that are always there: tag, window, streams, first number (RFC 9260 3.3.2).
const INIT_FIXED: usize = 16;
/// A chunk type.
const DATA: u8 = 0;
/// The flag of ABORT and SHUTDOWN COMPLETE.
const REFLECTED: u8 = 0x01;

/// What a chunk of this type is (RFC 9260 3.2); `None` if it says nothing of the association.
const fn step(chunk_type: u8, flags: u8) -> Option<Step> {
    let reflected = flags & REFLECTED != 0;
    Some(match chunk_type {
        1 => Step::Init,
        2 => Step::InitAck,
        4 => Step::Heartbeat,
        5 => Step::HeartbeatAck,
        6 if reflected => Step::AbortReflected,
        6 => Step::Abort,
        7 => Step::Shutdown,
        8 => Step::ShutdownAck,
        9 => Step::Error,
        10 => Step::CookieEcho,
        11 => Step::CookieAck,
        14 if reflected => Step::ShutdownCompleteReflected,
        14 => Step::ShutdownComplete,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
