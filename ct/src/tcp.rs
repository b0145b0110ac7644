//! TCP seen from the middle: two ends, each with a state, and what each may send.
//!
//! States and tests are those of pf and of Open vSwitch: each end is judged by what it sent and
//! what the other acknowledged; a segment must lie within the windows that both announced (Guido
//! van Rooij, "Real Stateful TCP Packet Filtering in IP Filter"; RFC 9293 3.10.7.4). Better than
//! there: simultaneous open works, a FIN counts as acknowledged only if it is, a reset from an
//! end not heard before must acknowledge the SYN, windows of SYNs are never scaled, and a SYN gets
//! no further without an answer.
//!
//! What RFC 5961 has endpoints answer with a challenge ACK passes and is not believed: a SYN
//! where there is a connection, a reset in the window that is not the next number, an ACK in
//! answer to a SYN. So an end that has lost its memory can open the connection anew, and nobody
//! who guesses can end it.
//!
//! Invariants
//!   1. A segment judged invalid changes nothing.
//!   2. `sent` and `allowed` of an end mean nothing while its state is `Closed`.
//!
//! Cost: constant; a handful of comparisons.

mod segment;
mod window;

use std::fmt;

use crate::record::Direction;

pub(crate) use segment::{BadSegment, Segment, SegmentKind};
use window::{SLACK, Scale, at_or_after, units};

/// How far one end of a TCP connection has come. The order is that of progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum PeerState {
    /// Not heard yet.
    Closed,
    /// Heard; what it sent is not acknowledged yet.
    SynSent,
    /// Acknowledged by the other end.
    Established,
    /// Has sent a FIN.
    Closing,
    /// Its FIN is acknowledged.
    FinWait2,
    /// Reset, by either end.
    TimeWait,
}

impl PeerState {
    /// All of them, by number.
    pub(crate) const ALL: [Self; 6] = [
        Self::Closed,
        Self::SynSent,
        Self::Established,
        Self::Closing,
        Self::FinWait2,
        Self::TimeWait,
    ];

    /// As a dump shows one state for both ends: as the kernel names it.
    #[must_use]
    pub const fn coalesced(self) -> Self {
        match self {
            Self::FinWait2 => Self::TimeWait,
            Self::Closed | Self::SynSent | Self::Established | Self::Closing | Self::TimeWait => {
                self
            }
        }
    }
}

impl fmt::Display for PeerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "CLOSED",
            Self::SynSent => "SYN_SENT",
            Self::Established => "ESTABLISHED",
            Self::Closing => "CLOSING",
            Self::FinWait2 => "FIN_WAIT_2",
            Self::TimeWait => "TIME_WAIT",
        })
    }
}

/// One end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// The number after the highest it sent.
    pub(crate) sent: u32,
    /// The number after the highest it may send: acknowledged by the other end, plus the window
    /// announced there.
    pub(crate) allowed: u32,
    /// The largest window it announced, in units of its scale.
    window: u16,
    pub(crate) scale: Scale,
    pub(crate) state: PeerState,
}

impl End {
    /// Before its first segment.
    const fn unheard(scale: Scale) -> Self {
        Self {
            sent: 0,
            allowed: 0,
            window: 1,
            scale,
            state: PeerState::Closed,
        }
    }
}

/// A TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tcp {
    original: End,
    reply: End,
}

/// What a segment is to its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Part of it.
    Accepted,
    /// Part of it, but too odd to keep the connection alive by it.
    Tolerated,
    /// For its receiver to answer: it passes, and the connection stays as it is.
    Challenged,
    /// A SYN sent again, nobody having answered.
    SynAgain,
    /// A SYN of a new connection; this one is over.
    Reopens,
    /// Not acceptable: outside of the window.
    OutOfWindow,
    /// Not acceptable: a reset whose number does not fit.
    BadReset,
    /// Not acceptable: the opening end goes on though its SYN was not answered.
    Unanswered,
}

/// Which timeout applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    SynSent,
    SynRecv,
    Established,
    FinWait,
    TimeWait,
    Close,
}

impl Tcp {
    /// A connection opened by `segment`, which is a SYN or picked up in the middle.
    pub(crate) fn open(segment: &Segment) -> Self {
        let end = segment.end();
        if segment.kind == SegmentKind::Syn {
            // RFC 7323 2.2: the window of a SYN is not scaled. One octet beyond the SYN is
            // granted for TCP Fast Open's retransmissions and the like.
            let scale = Scale::of_syn(segment);
            let original = End {
                sent: end,
                allowed: end.wrapping_add(1),
                window: units(segment.window.into(), scale.shift()).max(1),
                scale,
                state: PeerState::SynSent,
            };
            return Self {
                original,
                reply: End::unheard(Scale::NONE),
            };
        }
        let original = End {
            sent: end,
            allowed: end.wrapping_add(1),
            window: segment.window.max(1),
            scale: Scale::UNKNOWN,
            state: PeerState::SynSent,
        };
        Self {
            original,
            reply: End::unheard(Scale::UNKNOWN),
        }
    }

    /// Judges a segment sent in `direction` and, if it is acceptable, follows it.
    pub(crate) fn update(&mut self, direction: Direction, segment: &Segment) -> Verdict {
        if segment.synchronizes()
            && let Some(verdict) = self.begin_again(direction, segment)
        {
            return verdict;
        }
        match direction {
            Direction::Original => judge(&mut self.original, &mut self.reply, segment),
            Direction::Reply => judge(&mut self.reply, &mut self.original, segment),
        }
    }

    /// A segment with SYN that is no step of the handshake under way; `None` if it may be one.
    fn begin_again(&mut self, direction: Direction, segment: &Segment) -> Option<Verdict> {
        let states = self.states();
        if segment.kind == SegmentKind::Syn {
            if states.iter().all(|&state| state >= PeerState::FinWait2) {
                return Some(Verdict::Reopens);
            }
            if states == [PeerState::SynSent, PeerState::Closed] && direction == Direction::Original
            {
                // RFC 9293 3.8.1: sent again. It may as well be a new attempt from the same
                // port, with another initial sequence number (RFC 6056): believe the latest.
                *self = Self::open(segment);
                return Some(Verdict::SynAgain);
            }
        }
        let (sender, receiver) = match direction {
            Direction::Original => (self.original.state, self.reply.state),
            Direction::Reply => (self.reply.state, self.original.state),
        };
        let answers = segment.kind == SegmentKind::SynAck && receiver < PeerState::Established;
        if sender < PeerState::Established || answers {
            return None;
        }
        // RFC 5961 4.2: answered by a challenge ACK, whatever its number, or by a SYN-ACK if the
        // receiver knows nothing of the connection any more.
        match (segment.kind, direction) {
            (SegmentKind::SynAck, Direction::Reply) if self.original.scale.is_marked() => {
                *self = Self::opened_anew(segment);
                Some(Verdict::Accepted)
            }
            (SegmentKind::Syn, Direction::Original) => {
                self.original.scale.mark();
                Some(Verdict::Challenged)
            }
            (_, Direction::Original | Direction::Reply) => Some(Verdict::Challenged),
        }
    }

    /// Both ends have begun again, as `answer`, the SYN-ACK, tells. The scale of the opening end
    /// was not believed when its SYN went by.
    fn opened_anew(answer: &Segment) -> Self {
        let acknowledged = answer.acknowledgment;
        let window = answer.window.max(1);
        let end = |sent: u32, allowed, window, state| End {
            sent,
            allowed,
            window,
            scale: Scale::UNKNOWN,
            state,
        };
        Self {
            original: end(
                acknowledged,
                acknowledged.wrapping_add(window.into()),
                1,
                PeerState::Established,
            ),
            reply: end(
                answer.end(),
                answer.end().wrapping_add(1),
                window,
                PeerState::SynSent,
            ),
        }
    }

    /// Follows a segment that [`Tcp::update`] found outside of the window, where that is not held
    /// against it: only the flags count.
    pub(crate) fn follow_flags(&mut self, direction: Direction, segment: &Segment) {
        let (sender, receiver) = match direction {
            Direction::Original => (&mut self.original, &mut self.reply),
            Direction::Reply => (&mut self.reply, &mut self.original),
        };
        let covers = segment.acknowledges && at_or_after(segment.acknowledgment, receiver.sent);
        sender.state = sender_after(sender.state, segment.kind);
        receiver.state = receiver_after(receiver.state, segment, covers);
    }

    /// Which timeout applies now.
    pub(crate) fn phase(&self) -> Phase {
        let (low, high) = if self.original.state <= self.reply.state {
            (self.original.state, self.reply.state)
        } else {
            (self.reply.state, self.original.state)
        };
        if low >= PeerState::FinWait2 {
            Phase::Close
        } else if low >= PeerState::Closing {
            Phase::TimeWait
        } else if low == PeerState::Closed {
            // Only one end was heard.
            Phase::SynSent
        } else if low < PeerState::Established {
            Phase::SynRecv
        } else if high >= PeerState::Closing {
            Phase::FinWait
        } else {
            Phase::Established
        }
    }

    /// Before the first segment.
    pub(crate) const UNHEARD: Self = Self {
        original: End::unheard(Scale::NONE),
        reply: End::unheard(Scale::NONE),
    };

    /// How far both ends have come.
    #[inline]
    pub(crate) const fn states(&self) -> [PeerState; 2] {
        [self.original.state, self.reply.state]
    }

    pub(crate) const fn end(&self, direction: Direction) -> &End {
        match direction {
            Direction::Original => &self.original,
            Direction::Reply => &self.reply,
        }
    }
}

/// Judges `segment` and, if it is acceptable, writes down what it changes.
fn judge(sender: &mut End, receiver: &mut End, segment: &Segment) -> Verdict {
    let first = sender.state == PeerState::Closed;
    if first {
        if let Some(verdict) = answer(sender, receiver, segment) {
            return verdict;
        }
        hear(sender, receiver, segment);
    } else if receiver.state == PeerState::Closed && !sender.scale.is_unknown() {
        if !segment.resets() {
            return Verdict::Unanswered;
        }
        // RFC 9293 3.10.7.3: to an ACK out of nowhere the answer is a reset with its number.
        if segment.sequence != sender.sent && receiver.scale.is_marked() {
            return Verdict::Challenged;
        }
    }
    let (shift, receiver_shift) = window::shifts(sender, receiver);
    // RFC 7323 2.2: the window of a SYN is not scaled.
    let window = match segment.kind {
        SegmentKind::Syn | SegmentKind::SynAck => segment.window.into(),
        SegmentKind::Ack | SegmentKind::Fin | SegmentKind::Rst => {
            u32::from(segment.window) << shift
        }
    };
    // No acknowledgment, or the reset of a SYN that timed out, which may carry 0: nothing to
    // test and nothing gained.
    let acknowledges = segment.acknowledges
        && !(segment.resets() && segment.acknowledgment == 0)
        && receiver.state != PeerState::Closed;
    let acknowledged = if acknowledges {
        segment.acknowledgment
    } else {
        receiver.sent
    };
    // A segment without data may lie anywhere (a keep-alive is one before).
    let (start, end) = if segment.end() == segment.sequence {
        (sender.sent, sender.sent)
    } else {
        (segment.sequence, segment.end())
    };

    let receiver_window = u32::from(receiver.window) << receiver_shift;
    // How far the acknowledgment lags behind what was sent; negative: ahead of it.
    let lag = receiver.sent.wrapping_sub(acknowledged).cast_signed();
    // What an end says first need not fit: the other may have been picked up in the middle.
    let acknowledgment_fits = first || (-SLACK..=SLACK << shift).contains(&lag);
    // Where the window begins that the receiver announced.
    let edge = sender.allowed.wrapping_sub(receiver_window);
    let reset_fits = !segment.resets() || first || {
        // RFC 5961 3.2: the exact number, whether or not what was sent has arrived; one off for
        // SYN and FIN that were not counted.
        let off = segment.sequence.wrapping_sub(sender.sent).cast_signed();
        (-1..=1).contains(&off) || segment.sequence == edge
    };
    let in_window = at_or_after(sender.allowed, end)
        && at_or_after(start, sender.sent.wrapping_sub(receiver_window));

    let verdict = if in_window && acknowledgment_fits && reset_fits {
        Verdict::Accepted
    } else if may_be_odd(sender, receiver, segment)
        && at_or_after(sender.allowed.wrapping_add(SLACK.cast_unsigned()), end)
        && at_or_after(start, sender.sent.wrapping_sub(SLACK.cast_unsigned()))
    {
        Verdict::Tolerated
    } else if !reset_fits {
        // RFC 5961 3.2: in the window, but not exact.
        let challenged = acknowledgment_fits
            && at_or_after(segment.sequence, edge)
            && at_or_after(sender.allowed, segment.sequence);
        return if challenged {
            Verdict::Challenged
        } else {
            Verdict::BadReset
        };
    } else {
        return Verdict::OutOfWindow;
    };

    sender.window = sender.window.max(units(window, shift));
    if at_or_after(end, sender.sent) {
        sender.sent = end;
    }
    let allowed = acknowledged.wrapping_add(window.max(1));
    if receiver.state != PeerState::Closed && at_or_after(allowed, receiver.allowed) {
        receiver.allowed = allowed;
    }
    receiver.scale.unmark();
    let covers = acknowledges && at_or_after(acknowledged, receiver.sent);
    sender.state = sender_after(sender.state, segment.kind);
    // An odd segment acknowledges nothing.
    if verdict == Verdict::Accepted || segment.resets() {
        receiver.state = receiver_after(receiver.state, segment, covers);
    }
    verdict
}

/// Takes note of an end's first segment: where its numbers begin, and its scale.
fn hear(sender: &mut End, receiver: &mut End, segment: &Segment) {
    if matches!(segment.kind, SegmentKind::Syn | SegmentKind::SynAck) {
        let scale = Scale::of_syn(segment);
        if scale.is_offered() && receiver.scale.is_offered() {
            sender.scale = scale;
        } else {
            // RFC 7323 2.2: scaling needs the offer of both ends.
            receiver.window = units(u32::from(receiver.window) << receiver.scale.shift(), 0);
            receiver.scale = Scale::NONE;
            sender.scale = Scale::NONE;
        }
    } else if receiver.scale.is_offered() {
        // Its SYN went by unseen, and with it the scale.
        receiver.scale = Scale::UNKNOWN;
        sender.scale = Scale::UNKNOWN;
    }
    let (shift, receiver_shift) = window::shifts(sender, receiver);
    let window = match segment.kind {
        SegmentKind::Syn | SegmentKind::SynAck => units(segment.window.into(), shift),
        SegmentKind::Ack | SegmentKind::Fin | SegmentKind::Rst => segment.window,
    };
    let receiver_window = u32::from(receiver.window) << receiver_shift;
    sender.sent = segment.sequence;
    sender.allowed = segment.end().wrapping_add(receiver_window.max(1));
    sender.window = window.max(1);
}

/// What an end says that was not heard before, if that does not begin its part of the connection.
/// If the other end was picked up in the middle, there is nothing to hold it against.
fn answer(sender: &mut End, receiver: &End, segment: &Segment) -> Option<Verdict> {
    if receiver.scale.is_unknown() || receiver.state != PeerState::SynSent {
        return None;
    }
    let lag = receiver.sent.wrapping_sub(segment.acknowledgment);
    match segment.kind {
        // Simultaneous open (RFC 9293 3.5, figure 8).
        SegmentKind::Syn => None,
        // It may acknowledge less than all: what came with the SYN (RFC 7413).
        SegmentKind::SynAck if lag <= SLACK.cast_unsigned() => None,
        SegmentKind::SynAck => Some(Verdict::OutOfWindow),
        // RFC 9293 3.10.7.3: acceptable only if it acknowledges the SYN.
        SegmentKind::Rst if segment.acknowledges && lag == 0 => None,
        SegmentKind::Rst => Some(Verdict::BadReset),
        // An end that still has an earlier connection challenges the SYN (RFC 5961 4.2).
        SegmentKind::Ack => {
            sender.scale.mark();
            Some(Verdict::Challenged)
        }
        SegmentKind::Fin => Some(Verdict::OutOfWindow),
    }
}

/// Whether a segment somewhat out of place is let pass: the other end was not heard yet, or the
/// connection is closing down. A reset is not, unless there is nothing left to reset.
fn may_be_odd(sender: &End, receiver: &End, segment: &Segment) -> bool {
    let over = sender.state >= PeerState::FinWait2 && receiver.state >= PeerState::FinWait2;
    let closing = sender.state >= PeerState::FinWait2 || receiver.state >= PeerState::FinWait2;
    if segment.resets() {
        over
    } else {
        closing || receiver.state == PeerState::Closed
    }
}

/// How far the sender of an acceptable segment has come.
const fn sender_after(state: PeerState, kind: SegmentKind) -> PeerState {
    use PeerState::{Closed, Closing, Established, FinWait2, SynSent, TimeWait};
    use SegmentKind::{Ack, Fin, Rst, Syn, SynAck};
    match (state, kind) {
        // RFC 9293 3.5: the first or second step of the handshake, or both at once.
        (Closed, Syn | SynAck) => SynSent,
        // Picked up in the middle: heard, but not yet acknowledged.
        (Closed, Ack) => SynSent,
        // Retransmissions; data in a handshake (RFC 7413).
        (SynSent, Syn | SynAck | Ack) => SynSent,
        // Old SYNs within the window: the endpoint answers them (RFC 5961 4.2).
        (Established, Syn | SynAck | Ack) => Established,
        // RFC 9293 3.6: nothing new will be sent.
        (Closed | SynSent | Established, Fin) => Closing,
        // Retransmissions, and acknowledgments of what the other end still sends.
        (Closing, Syn | SynAck | Ack | Fin) => Closing,
        (FinWait2, Syn | SynAck | Ack | Fin) => FinWait2,
        // RFC 9293 3.10.7.4: a reset ends both ends; its number was tested (RFC 5961 3.2).
        (Closed | SynSent | Established | Closing | FinWait2, Rst) => TimeWait,
        // What was under way when the connection was reset.
        (TimeWait, Syn | SynAck | Ack | Fin | Rst) => TimeWait,
    }
}

/// How far the receiver of an acceptable segment has come; `covers`: the segment acknowledges
/// all that the receiver sent.
const fn receiver_after(state: PeerState, segment: &Segment, covers: bool) -> PeerState {
    use PeerState::{Closed, Closing, Established, FinWait2, SynSent, TimeWait};
    use SegmentKind::{Ack, Fin, Rst, Syn, SynAck};
    match (state, segment.kind) {
        // Not heard yet.
        (Closed, Syn | SynAck | Ack | Fin) => Closed,
        // A SYN without ACK acknowledges nothing: simultaneous open (RFC 9293 3.5, figure 8).
        (SynSent, Syn) => SynSent,
        (SynSent, SynAck | Ack | Fin) => Established,
        (Established, Syn | SynAck | Ack | Fin) => Established,
        // RFC 9293 3.6: FIN-WAIT-1 to FIN-WAIT-2 (or CLOSING to TIME-WAIT, LAST-ACK to CLOSED)
        // wants the FIN acknowledged, not older data.
        (Closing, SynAck | Ack | Fin) if covers => FinWait2,
        (Closing, Syn | SynAck | Ack | Fin) => Closing,
        (FinWait2, Syn | SynAck | Ack | Fin) => FinWait2,
        // RFC 9293 3.10.7.4: a reset ends both ends.
        (Closed | SynSent | Established | Closing | FinWait2, Rst) => TimeWait,
        (TimeWait, Syn | SynAck | Ack | Fin | Rst) => TimeWait,
    }
}

#[cfg(test)]
mod tests;
