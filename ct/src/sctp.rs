//! SCTP seen from the middle: one state for the association, and a verification tag for each
//! direction.
//!
//! What a chunk makes of a state is as in Linux's tracker, tags are verified as RFC 9260 8.5 has
//! endpoints do it. A path of an association that was opened over other addresses (RFC 9260
//! 5.4) is picked up by its first HEARTBEAT, whose tag is then the direction's.
//!
//! Invariants
//!   1. A packet judged invalid changes nothing, whichever of its chunks was at fault.
//!
//! Cost: proportional to the chunks of the packet that say anything of the state, at most
//! `MOST_STEPS`.

mod packet;

use std::fmt;

use crate::record::Direction;

pub(crate) use packet::{BadPacket, Packet, Step};

/// How far an association has come. The order is that of `nf_conntrack`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum AssociationState {
    /// An INIT that nobody answered yet, or the end: aborted, or shut down by both.
    Closed,
    /// The INIT ACK went by.
    CookieWait,
    /// The COOKIE ECHO went by.
    CookieEchoed,
    /// The COOKIE ACK went by, or the answer to a HEARTBEAT.
    Established,
    /// The end that opened it shuts down.
    ShutdownSent,
    /// The other end shuts down.
    ShutdownReceived,
    /// The SHUTDOWN ACK went by.
    ShutdownAckSent,
    /// Nothing but HEARTBEATs, in one direction.
    HeartbeatSent,
}

impl AssociationState {
    pub(crate) const ALL: [Self; 8] = [
        Self::Closed,
        Self::CookieWait,
        Self::CookieEchoed,
        Self::Established,
        Self::ShutdownSent,
        Self::ShutdownReceived,
        Self::ShutdownAckSent,
        Self::HeartbeatSent,
    ];
}

impl fmt::Display for AssociationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "CLOSED",
            Self::CookieWait => "COOKIE_WAIT",
            Self::CookieEchoed => "COOKIE_ECHOED",
            Self::Established => "ESTABLISHED",
            Self::ShutdownSent => "SHUTDOWN_SENT",
            Self::ShutdownReceived => "SHUTDOWN_RECD",
            Self::ShutdownAckSent => "SHUTDOWN_ACK_SENT",
            Self::HeartbeatSent => "HEARTBEAT_SENT",
        })
    }
}

/// An association, or one path of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sctp {
    pub(crate) state: AssociationState,
    /// The verification tag that packets of each direction carry; 0: not known yet.
    pub(crate) tags: [u32; 2],
    /// From which direction an INIT came that no COOKIE ACK has ended.
    inits: [bool; 2],
    /// In which direction a HEARTBEAT with another tag went by last: if it is answered, the
    /// association has restarted.
    doubted: Option<Direction>,
}

/// What a packet is to its association.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Part of it.
    Accepted,
    /// Part of it, but nothing to keep it alive by: an INIT sent again, or a HEARTBEAT whose tag
    /// may be that of a new association.
    Tolerated,
    /// Not acceptable: another verification tag.
    BadTag,
    /// Not acceptable: a chunk that the state does not allow.
    BadState,
}

impl Sctp {
    /// An association that `packet` opens; `None` if it cannot.
    ///
    /// RFC 9260 8.4: what belongs to no association is answered with an ABORT, or silently
    /// discarded.
    pub(crate) fn open(packet: &Packet) -> Option<Self> {
        if packet.has_other_chunks {
            return None;
        }
        let mut opened = Self {
            state: AssociationState::Closed,
            tags: [0; 2],
            inits: [false; 2],
            doubted: None,
        };
        let mut state = None;
        for step in packet.steps() {
            match step {
                // RFC 9260 8.5.1 (A).
                Step::Init if packet.tag == 0 => {
                    opened.tags[1] = packet.init_tag;
                    opened.inits[0] = true;
                }
                Step::Heartbeat => opened.tags[0] = packet.tag,
                // Their receiver may know nothing of it, and answer with this tag.
                Step::HeartbeatAck | Step::ShutdownAck => opened.tags = [packet.tag; 2],
                Step::Init
                | Step::InitAck
                | Step::Abort
                | Step::AbortReflected
                | Step::Shutdown
                | Step::Error
                | Step::CookieEcho
                | Step::CookieAck
                | Step::ShutdownComplete
                | Step::ShutdownCompleteReflected => return None,
            }
            state = Some(match (state, step) {
                (None, Step::Heartbeat) => AssociationState::HeartbeatSent,
                (None, Step::ShutdownAck) => AssociationState::ShutdownAckSent,
                (None, _) => AssociationState::Closed,
                (Some(state), step) => after(Direction::Original, state, step)?,
            });
        }
        opened.state = state?;
        Some(opened)
    }

    /// Judges a packet sent in `direction` and, if it is acceptable, follows it.
    pub(crate) fn update(&mut self, direction: Direction, packet: &Packet) -> Verdict {
        let mut after = *self;
        let verdict = after.follow(direction, packet);
        if matches!(verdict, Verdict::Accepted | Verdict::Tolerated) {
            *self = after;
        }
        verdict
    }

    fn follow(&mut self, direction: Direction, packet: &Packet) -> Verdict {
        let (own, peer) = (direction as usize, 1 - direction as usize);
        let by_itself = |step| {
            matches!(
                step,
                Step::Init
                    | Step::Abort
                    | Step::AbortReflected
                    | Step::ShutdownAck
                    | Step::CookieEcho
                    | Step::ShutdownComplete
                    | Step::ShutdownCompleteReflected
                    | Step::Heartbeat
                    | Step::HeartbeatAck
            )
        };
        // RFC 9260 8.5, and the exceptions of 8.5.1.
        if !packet.steps().any(by_itself) && packet.tag != self.tags[own] {
            return Verdict::BadTag;
        }
        let mut alive = true;
        for step in packet.steps() {
            let tag_fits = match step {
                Step::Init => packet.tag == 0,
                Step::Abort | Step::ShutdownComplete | Step::CookieEcho => {
                    packet.tag == self.tags[own]
                }
                // The sender knew no association, and returned the tag that it was sent.
                Step::AbortReflected | Step::ShutdownCompleteReflected => {
                    packet.tag == self.tags[peer]
                }
                Step::Heartbeat | Step::HeartbeatAck if self.tags[own] == 0 => {
                    self.tags[own] = packet.tag;
                    true
                }
                Step::Heartbeat if packet.tag != self.tags[own] => {
                    if packet.has_data || !alive {
                        return Verdict::BadTag;
                    }
                    // It may be of an association that began anew over other addresses. What
                    // the other end says of it decides.
                    self.doubted = Some(direction);
                    alive = false;
                    continue;
                }
                Step::HeartbeatAck if packet.tag != self.tags[own] => {
                    let answers = self.doubted.is_some_and(|doubted| doubted != direction);
                    if packet.has_data || !alive || !answers {
                        return Verdict::BadTag;
                    }
                    self.doubted = None;
                    self.tags[own] = packet.tag;
                    self.tags[peer] = 0;
                    true
                }
                Step::Heartbeat | Step::HeartbeatAck => {
                    self.doubted = None;
                    true
                }
                Step::InitAck
                | Step::Shutdown
                | Step::ShutdownAck
                | Step::Error
                | Step::CookieAck => true,
            };
            if !tag_fits {
                return Verdict::BadTag;
            }
            let Some(state) = after(direction, self.state, step) else {
                return Verdict::BadState;
            };
            match step {
                Step::Init => {
                    if self.inits == [true; 2] {
                        self.inits[peer] = false;
                    }
                    self.inits[own] = true;
                    self.tags[peer] = packet.init_tag;
                    // So that nobody keeps a dead association, and its translation, for ever.
                    if (self.state, state) == (AssociationState::Closed, AssociationState::Closed) {
                        alive = false;
                    }
                }
                Step::InitAck => {
                    let known = self.tags[peer];
                    let differs = known != packet.init_tag;
                    // An answer out of nowhere, or one to an INIT that crossed another one.
                    if (!self.inits[peer] && known != 0 && differs)
                        || (self.inits == [true; 2] && differs)
                    {
                        return Verdict::BadTag;
                    }
                    self.tags[peer] = packet.init_tag;
                }
                Step::CookieAck => self.inits = [false; 2],
                Step::Abort
                | Step::AbortReflected
                | Step::Shutdown
                | Step::ShutdownAck
                | Step::Error
                | Step::CookieEcho
                | Step::ShutdownComplete
                | Step::ShutdownCompleteReflected
                | Step::Heartbeat
                | Step::HeartbeatAck => {}
            }
            self.state = state;
        }
        if alive {
            Verdict::Accepted
        } else {
            Verdict::Tolerated
        }
    }
}

/// What a chunk sent in `direction` makes of a state; `None` if the state does not allow it.
const fn after(
    direction: Direction,
    state: AssociationState,
    step: Step,
) -> Option<AssociationState> {
    use AssociationState::{
        Closed, CookieEchoed, CookieWait, Established, HeartbeatSent, ShutdownAckSent,
        ShutdownReceived, ShutdownSent,
    };
    Some(match (direction, step, state) {
        // A path known by its HEARTBEATs only: the other end has nothing to say but to answer.
        (Direction::Reply, Step::HeartbeatAck, HeartbeatSent) => Established,
        (Direction::Reply, Step::Heartbeat, HeartbeatSent) => HeartbeatSent,
        (Direction::Reply, _, HeartbeatSent) => return None,
        // RFC 9260 8.3: about the path, not the association.
        (_, Step::Heartbeat | Step::HeartbeatAck, state) => state,

        // RFC 9260 9.1: the end, whatever it was.
        (_, Step::Abort | Step::AbortReflected, _) => Closed,

        // RFC 9260 5.1: the handshake.
        (Direction::Original, Step::Init, Closed | ShutdownSent | ShutdownReceived) => Closed,
        (Direction::Original, Step::Init, HeartbeatSent) => CookieWait,
        // RFC 9260 5.2: of an association that lives on until it is confirmed.
        (
            Direction::Original,
            Step::Init,
            state @ (CookieWait | CookieEchoed | Established | ShutdownAckSent),
        ) => state,
        (Direction::Reply, Step::Init, state) => state,
        (Direction::Reply, Step::InitAck, Closed) => CookieWait,
        (Direction::Original, Step::InitAck, HeartbeatSent) => Closed,
        (_, Step::InitAck, state) => state,
        (_, Step::CookieEcho, CookieWait) => CookieEchoed,
        (_, Step::CookieEcho, HeartbeatSent) => Closed,
        (_, Step::CookieEcho, state) => state,
        (_, Step::CookieAck, CookieEchoed) => Established,
        (_, Step::CookieAck, HeartbeatSent) => Closed,
        (_, Step::CookieAck, state) => state,
        // RFC 9260 5.2.6: the cookie came too late.
        (Direction::Reply, Step::Error, CookieEchoed) => Closed,
        (_, Step::Error, HeartbeatSent) => Closed,
        (_, Step::Error, state) => state,

        // RFC 9260 9.2: shutdown.
        (Direction::Original, Step::Shutdown, Established) => ShutdownSent,
        (Direction::Reply, Step::Shutdown, Established) => ShutdownReceived,
        (_, Step::Shutdown, HeartbeatSent) => Closed,
        (_, Step::Shutdown, state) => state,
        (
            _,
            Step::ShutdownAck,
            ShutdownSent | ShutdownReceived | ShutdownAckSent | HeartbeatSent,
        ) => ShutdownAckSent,
        (_, Step::ShutdownAck, state @ (Closed | CookieWait | CookieEchoed | Established)) => state,
        (
            _,
            Step::ShutdownComplete | Step::ShutdownCompleteReflected,
            ShutdownAckSent | HeartbeatSent,
        ) => Closed,
        (_, Step::ShutdownComplete | Step::ShutdownCompleteReflected, state) => state,
    })
}

#[cfg(test)]
mod tests;
