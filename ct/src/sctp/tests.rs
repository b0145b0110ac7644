use proptest::prelude::*;
use weir_packet::{Frame, text};

use super::{AssociationState, Packet, Sctp, Step, Verdict, after};
use crate::record::Direction;

use AssociationState::{
    Closed, CookieEchoed, CookieWait, Established, HeartbeatSent, ShutdownAckSent,
    ShutdownReceived, ShutdownSent,
};
use Direction::{Original, Reply};

const STATES: [AssociationState; 8] = [
    Closed,
    CookieWait,
    CookieEchoed,
    Established,
    ShutdownSent,
    ShutdownReceived,
    ShutdownAckSent,
    HeartbeatSent,
];

fn packet(chunks: &str) -> Packet {
    let frame = text::frame(&format!("sctp 10.0.0.1:1 > 10.0.0.2:2 {chunks}"));
    let layout = weir_packet::parse(frame.head(), frame.len()).expect("no runt");
    Packet::read(&frame, &layout).expect("it is right")
}

/// The association that an INIT with tag 1 and its answer with tag 2 make.
fn established() -> Sctp {
    let mut sctp = Sctp::open(&packet("init=1")).expect("an INIT opens");
    for (direction, chunks) in [
        (Reply, "vtag=1 init-ack=2"),
        (Original, "vtag=2 chunk=cookie-echo:0:00"),
        (Reply, "vtag=1 chunk=cookie-ack"),
    ] {
        assert_eq!(sctp.update(direction, &packet(chunks)), Verdict::Accepted);
    }
    assert_eq!((sctp.state, sctp.tags), (Established, [2, 1]));
    sctp
}

#[test]
fn each_direction_has_its_tag() {
    for (direction, own, other) in [(Original, 2, 1), (Reply, 1, 2)] {
        for chunk in ["data:3:00", "sack", "shutdown", "error", "abort"] {
            let mut sctp = established();
            let there = |tag| packet(&format!("vtag={tag} chunk={chunk}"));
            assert_eq!(
                sctp.update(direction, &there(other)),
                Verdict::BadTag,
                "{chunk}"
            );
            assert_eq!(sctp, established(), "it changes nothing");
            assert_eq!(
                sctp.update(direction, &there(own)),
                Verdict::Accepted,
                "{chunk}"
            );
        }
    }
}

#[test]
fn a_reflected_tag_is_that_of_the_other_direction() {
    let mut sctp = established();
    assert_eq!(
        sctp.update(Reply, &packet("vtag=1 chunk=abort:1")),
        Verdict::BadTag
    );
    assert_eq!(
        sctp.update(Reply, &packet("vtag=2 chunk=abort:1")),
        Verdict::Accepted
    );
    assert_eq!(sctp.state, Closed);
}

#[test]
fn what_is_out_of_the_blue_opens_nothing() {
    for chunks in [
        "chunk=data:3:00",
        "chunk=sack",
        "chunk=abort",
        "chunk=shutdown",
        "chunk=shutdown-complete",
        "chunk=cookie-echo",
        "chunk=cookie-ack",
        "chunk=error",
        "init-ack=2",
        "vtag=1 init=2",
        "chunk=heartbeat chunk=data:3:00",
    ] {
        assert_eq!(Sctp::open(&packet(chunks)), None, "{chunks}");
    }
}

#[test]
fn a_path_is_opened_by_a_heartbeat_and_established_by_its_answer() {
    let mut sctp = Sctp::open(&packet("vtag=2 chunk=heartbeat")).expect("it opens");
    assert_eq!((sctp.state, sctp.tags), (HeartbeatSent, [2, 0]));
    assert_eq!(
        sctp.update(Reply, &packet("vtag=1 chunk=sack")),
        Verdict::BadTag,
        "nobody knows the tag of that direction yet"
    );
    let answer = packet("vtag=1 chunk=heartbeat-ack");
    assert_eq!(sctp.update(Reply, &answer), Verdict::Accepted);
    assert_eq!((sctp.state, sctp.tags), (Established, [2, 1]));
}

#[test]
fn a_heartbeat_with_another_tag_is_believed_when_it_is_answered() {
    let mut sctp = established();
    let before = sctp;
    assert_eq!(
        sctp.update(Original, &packet("vtag=9 chunk=heartbeat")),
        Verdict::Tolerated
    );
    assert_eq!(
        sctp.update(Original, &packet("vtag=7 chunk=heartbeat-ack")),
        Verdict::BadTag,
        "not an answer to itself"
    );
    assert_eq!((sctp.tags, sctp.state), (before.tags, before.state));
    assert_eq!(
        sctp.update(Reply, &packet("vtag=8 chunk=heartbeat-ack")),
        Verdict::Accepted
    );
    assert_eq!(sctp.tags, [0, 8]);
    // With data nothing is doubted.
    assert_eq!(
        established().update(Original, &packet("vtag=9 chunk=heartbeat chunk=data:3:00")),
        Verdict::BadTag
    );
}

#[test]
fn inits_may_cross() {
    let mut sctp = Sctp::open(&packet("init=1")).expect("an INIT opens");
    assert_eq!(sctp.update(Reply, &packet("init=2")), Verdict::Tolerated);
    assert_eq!(sctp.tags, [2, 1]);
    // An answer must tell the tag that the INIT told.
    assert_eq!(
        sctp.update(Reply, &packet("vtag=1 init-ack=3")),
        Verdict::BadTag
    );
    assert_eq!(
        sctp.update(Reply, &packet("vtag=1 init-ack=2")),
        Verdict::Accepted
    );
    assert_eq!(sctp.state, CookieWait);
}

#[test]
fn an_init_sent_again_keeps_nothing_alive() {
    let mut sctp = Sctp::open(&packet("init=1")).expect("an INIT opens");
    assert_eq!(sctp.update(Original, &packet("init=5")), Verdict::Tolerated);
    assert_eq!(sctp.tags, [0, 5], "the latest is believed");
}

#[test]
fn only_an_end_is_closed_and_only_a_handshake_established() {
    for direction in [Original, Reply] {
        for state in STATES {
            for step in [Step::Abort, Step::AbortReflected] {
                let wanted = match (direction, state) {
                    (Reply, HeartbeatSent) => None,
                    _ => Some(Closed),
                };
                assert_eq!(after(direction, state, step), wanted);
            }
            let acked = after(direction, state, Step::CookieAck);
            assert_eq!(
                acked == Some(Established),
                matches!(state, CookieEchoed | Established)
            );
            for step in [Step::Heartbeat, Step::HeartbeatAck] {
                let there = after(direction, state, step);
                let opens = (direction, state, step) == (Reply, HeartbeatSent, Step::HeartbeatAck);
                assert_eq!(there, Some(if opens { Established } else { state }));
            }
        }
    }
}

proptest! {
    /// Whatever comes: what is refused changes nothing, and the tag of a direction is one that
    /// somebody has told.
    #[test]
    fn what_is_refused_changes_nothing(
        packets in prop::collection::vec(
            (any::<bool>(), 0..4u32, prop::sample::select(&CHUNKS[..]), 1..4u32), 0..60,
        ),
    ) {
        let mut sctp = Sctp::open(&packet("init=1")).expect("an INIT opens");
        for (reply, tag, chunk, init) in packets {
            let direction = if reply { Reply } else { Original };
            let before = sctp;
            let chunk = chunk.replace("TAG", &init.to_string());
            let verdict = sctp.update(direction, &packet(&format!("vtag={tag} {chunk}")));
            if matches!(verdict, Verdict::BadTag | Verdict::BadState) {
                prop_assert_eq!(sctp, before);
            }
            prop_assert!(sctp.tags.iter().all(|tag| *tag < 4));
        }
    }
}

const CHUNKS: [&str; 14] = [
    "init=TAG",
    "init-ack=TAG",
    "chunk=cookie-echo",
    "chunk=cookie-ack",
    "chunk=cookie-ack chunk=data",
    "chunk=heartbeat",
    "chunk=heartbeat-ack",
    "chunk=shutdown",
    "chunk=shutdown-ack",
    "chunk=shutdown-complete",
    "chunk=abort",
    "chunk=abort:1",
    "chunk=error",
    "chunk=data",
];
