use std::collections::VecDeque;

use proptest::prelude::*;

use super::window::{SLACK, units};
use super::{PeerState, Phase, Segment, SegmentKind, Tcp, Verdict};
use crate::record::Direction;

fn any_segment() -> impl Strategy<Value = Segment> {
    let kind = prop_oneof![
        1 => Just(SegmentKind::Syn),
        1 => Just(SegmentKind::SynAck),
        4 => Just(SegmentKind::Ack),
        1 => Just(SegmentKind::Fin),
        1 => Just(SegmentKind::Rst),
    ];
    // Mostly near each other, so that segments fit.
    let number = || prop_oneof![0..20u32, 0..200_000u32, any::<u32>()];
    let size = prop_oneof![Just(0), 0..1460u32];
    let window = prop_oneof![0..10u16, any::<u16>()];
    let scale = prop_oneof![Just(None), any::<u8>().prop_map(Some)];
    (kind, number(), number(), any::<bool>(), window, size, scale).prop_map(
        |(kind, sequence, acknowledgment, with_ack, window, payload_size, scale)| {
            let syn = matches!(kind, SegmentKind::Syn | SegmentKind::SynAck);
            Segment {
                kind,
                sequence,
                acknowledgment,
                acknowledges: match kind {
                    SegmentKind::Syn => false,
                    SegmentKind::SynAck | SegmentKind::Ack | SegmentKind::Fin => true,
                    SegmentKind::Rst => with_ack,
                },
                window,
                payload_size,
                window_scale: scale.filter(|_| syn),
            }
        },
    )
}

fn any_direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::Original), Just(Direction::Reply)]
}

const fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::Original => Direction::Reply,
        Direction::Reply => Direction::Original,
    }
}

proptest! {
    /// Whatever comes: an unacceptable segment changes nothing, nobody goes back a state unless
    /// a repeated SYN starts anew, and a FIN is not acknowledged before it was sent.
    #[test]
    fn any_segments(
        first in any_segment(),
        segments in prop::collection::vec((any_direction(), any_segment()), 0..40),
    ) {
        let mut tcp = Tcp::open(&first);
        for (direction, segment) in segments {
            let before = tcp;
            let verdict = tcp.update(direction, &segment);
            let ends = [Direction::Original, Direction::Reply];
            match verdict {
                Verdict::OutOfWindow
                | Verdict::BadReset
                | Verdict::Unanswered
                | Verdict::Reopens => {
                    prop_assert_eq!(tcp, before);
                }
                Verdict::Challenged => {
                    // Nothing but a mark.
                    let unmarked = |mut tcp: Tcp| {
                        tcp.original.scale.unmark();
                        tcp.reply.scale.unmark();
                        tcp
                    };
                    prop_assert_eq!(unmarked(tcp), unmarked(before));
                }
                Verdict::Accepted if segment.kind == SegmentKind::SynAck
                    && before.original.scale.is_marked()
                    && before.reply.state >= PeerState::Established =>
                {
                    prop_assert_eq!(tcp, Tcp::opened_anew(&segment));
                }
                Verdict::SynAgain => {
                    prop_assert_eq!(tcp, Tcp::open(&segment));
                    prop_assert_eq!(before.reply.state, PeerState::Closed);
                }
                Verdict::Accepted | Verdict::Tolerated => {
                    for end in ends {
                        prop_assert!(tcp.end(end).state >= before.end(end).state);
                    }
                    prop_assert!(tcp.end(direction).state > PeerState::Closed);
                    let receiver = opposite(direction);
                    if tcp.end(receiver).state == PeerState::FinWait2 {
                        prop_assert!(before.end(receiver).state >= PeerState::Closing);
                    }
                    let closed = ends.map(|end| tcp.end(end).state >= PeerState::FinWait2);
                    prop_assert_eq!(tcp.phase() == Phase::Close, closed == [true, true]);
                }
            }
            if segment.resets() && matches!(verdict, Verdict::Accepted) {
                prop_assert_eq!(ends.map(|end| tcp.end(end).state), [PeerState::TimeWait; 2]);
            }
        }
    }

    /// Two endpoints that follow RFC 9293 over a network that loses and delays, seen from the
    /// middle: every segment belongs to the connection, and at the end both are closed.
    #[test]
    fn lawful_traffic_is_accepted(
        numbers: [u32; 2],
        scales in prop::array::uniform2(prop::option::of(0..15u8)),
        windows in prop::array::uniform2(2000..60_000u32),
        octets in prop::array::uniform2(0..60_000u32),
        seed in 1..u64::MAX,
        loss in 0..30u8,
    ) {
        let mut random = seed;
        let mut lost = || {
            // Xorshift.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % 100 < loss.into()
        };
        let scaled = scales.iter().all(Option::is_some);
        let shift = |end: usize| if scaled { scales[end].map_or(0, |s: u8| s.min(14)) } else { 0 };
        let mut ends = [0, 1].map(|end| Endpoint {
            start: numbers[end],
            to_send: octets[end],
            // Of a window below its unit nothing would be left.
            window: windows[end].max(1 << shift(end)),
            shift: shift(end),
            their_shift: shift(1 - end),
            // A server offers a scale only to a client that does (RFC 7323 2.2).
            scale: scales[end].filter(|_| end == 0 || scaled),
            client: end == 0,
            ..Endpoint::default()
        });
        let mut tcp: Option<Tcp> = None;
        let mut wire: VecDeque<(usize, Segment)> = VecDeque::new();
        for _ in 0..5000 {
            let Some((from, segment)) = wire.pop_front() else {
                // Nothing under way: retransmission timers fire at both ends.
                if ends.iter().all(|end| end.fin_acknowledged) {
                    break;
                }
                for (from, end) in ends.iter_mut().enumerate() {
                    end.next = end.acknowledged;
                    wire.extend(end.send().into_iter().map(|segment| (from, segment)));
                }
                continue;
            };
            if lost() {
                continue; // before it came by
            }
            match &mut tcp {
                None => tcp = Some(Tcp::open(&segment)),
                Some(tcp) => {
                    let direction = [Direction::Original, Direction::Reply][from];
                    let before = *tcp;
                    let verdict = tcp.update(direction, &segment);
                    prop_assert!(
                        matches!(
                            verdict,
                            Verdict::Accepted
                                | Verdict::Tolerated
                                | Verdict::Challenged
                                | Verdict::SynAgain
                        ),
                        "{:?} of {:?} by {:?}", verdict, segment, before
                    );
                }
            }
            if lost() {
                continue; // behind
            }
            let to = 1 - from;
            let answers = ends[to].receive(&segment);
            wire.extend(answers.into_iter().map(|segment| (to, segment)));
        }
        prop_assert!(ends.iter().all(|end| end.fin_acknowledged), "the transfer ended");
        let phase = tcp.map(|tcp| tcp.phase());
        // The very last acknowledgment may have been lost before it came by.
        prop_assert!(matches!(phase, Some(Phase::Close | Phase::TimeWait | Phase::FinWait)));
    }

    #[test]
    fn a_window_is_never_rounded_down(bytes: u16, shift in 0..15u8) {
        let units = units(bytes.into(), shift);
        prop_assert!(u32::from(units) << shift >= bytes.into());
    }
}

/// As much of RFC 9293 as a transfer needs: go-back-N, one byte stream each way, then a FIN.
#[derive(Clone, Debug, Default)]
struct Endpoint {
    start: u32,
    to_send: u32,
    window: u32,
    shift: u8,
    scale: Option<u8>,
    /// What the other end allows, from its latest window.
    receive_limit: u32,
    /// What is sent next, counted as the following.
    next: u32,
    /// Octets, SYN and FIN included, that the other end acknowledged.
    acknowledged: u32,
    /// The same that came in order.
    received: u32,
    their_start: u32,
    heard: bool,
    fin_acknowledged: bool,
    client: bool,
    /// The shift of the other end's windows.
    their_shift: u8,
}

impl Endpoint {
    /// Everything that may be sent now and was not sent yet; at least an acknowledgment.
    fn send(&mut self) -> Vec<Segment> {
        let mut segments = Vec::new();
        if !self.heard {
            if self.client {
                segments.push(self.segment(SegmentKind::Syn, 0, 0));
            }
            return segments;
        }
        if self.acknowledged == 0 {
            segments.push(self.segment(SegmentKind::SynAck, 0, 0));
            return segments;
        }
        let fin = self.to_send + 1;
        let limit = fin.min(self.acknowledged + self.receive_limit);
        self.next = self.next.max(self.acknowledged);
        while self.next < limit {
            let size = (limit - self.next).min(1460);
            segments.push(self.segment(SegmentKind::Ack, self.next, size));
            self.next += size;
        }
        // The FIN needs room in the window as well.
        if self.next == fin && fin < self.acknowledged + self.receive_limit {
            segments.push(self.segment(SegmentKind::Fin, fin, 0));
            self.next += 1;
        }
        if segments.is_empty() {
            segments.push(self.segment(SegmentKind::Ack, self.next, 0));
        }
        segments
    }

    fn receive(&mut self, segment: &Segment) -> Vec<Segment> {
        let syn = matches!(segment.kind, SegmentKind::Syn | SegmentKind::SynAck);
        if syn && !self.heard {
            self.heard = true;
            self.their_start = segment.sequence;
            self.received = 1;
        }
        if !self.heard {
            return Vec::new();
        }
        let first = segment.sequence.wrapping_sub(self.their_start);
        let len = segment.end().wrapping_sub(segment.sequence);
        if first <= self.received && first + len > self.received {
            self.received = first + len;
        }
        let mut progress = false;
        if segment.acknowledges {
            let acknowledged = segment.acknowledgment.wrapping_sub(self.start);
            progress = acknowledged > self.acknowledged;
            self.acknowledged = self.acknowledged.max(acknowledged);
            self.fin_acknowledged = self.acknowledged == self.to_send + 2;
        }
        let shift = if syn { 0 } else { self.their_shift };
        self.receive_limit = u32::from(segment.window) << shift;
        if progress && !self.fin_acknowledged {
            self.send()
        } else if len > 0 {
            vec![self.segment(SegmentKind::Ack, self.next.max(self.acknowledged), 0)]
        } else {
            Vec::new()
        }
    }

    fn segment(&self, kind: SegmentKind, offset: u32, payload_size: u32) -> Segment {
        let syn = matches!(kind, SegmentKind::Syn | SegmentKind::SynAck);
        let window = if syn {
            self.window.min(0xffff)
        } else {
            // Rounded down: never more than there is.
            (self.window >> self.shift).min(0xffff)
        };
        Segment {
            kind,
            sequence: self.start.wrapping_add(offset),
            acknowledgment: self.their_start.wrapping_add(self.received),
            acknowledges: kind != SegmentKind::Syn,
            window: window as u16,
            payload_size,
            window_scale: self.scale.filter(|_| syn),
        }
    }
}

const fn segment(kind: SegmentKind, sequence: u32, acknowledgment: u32) -> Segment {
    Segment {
        kind,
        sequence,
        acknowledgment,
        acknowledges: !matches!(kind, SegmentKind::Syn),
        window: 1000,
        payload_size: 0,
        window_scale: None,
    }
}

#[test]
fn an_odd_segment_keeps_nothing_alive() {
    use Direction::{Original, Reply};
    let mut tcp = Tcp::open(&segment(SegmentKind::Syn, 0, 0));
    for (direction, kind, sequence, acknowledgment) in [
        (Reply, SegmentKind::SynAck, 0, 1),
        (Original, SegmentKind::Fin, 1, 1),
        (Reply, SegmentKind::Fin, 1, 2),
    ] {
        tcp.update(direction, &segment(kind, sequence, acknowledgment));
    }
    assert_eq!(tcp.states(), [PeerState::FinWait2, PeerState::Closing]);
    // Closing down: the client may send a little more than the server allowed.
    let slack = SLACK.cast_unsigned();
    let data = |payload_size| Segment {
        payload_size,
        ..segment(SegmentKind::Ack, 1002 + slack - 100, 1)
    };
    assert_eq!(tcp.update(Original, &data(101)), Verdict::OutOfWindow);
    assert_eq!(tcp.update(Original, &data(100)), Verdict::Tolerated);
    assert_eq!(tcp.phase(), Phase::TimeWait);
}
