use proptest::prelude::*;
use weir_packet::{Frame, SegmentedFrame, text};

use super::{BadPacket, MOST_STEPS, Packet, Step};

fn read(chunks: &str) -> Result<Packet, BadPacket> {
    let line = format!("sctp 10.0.0.1:1 > 10.0.0.2:2 vtag=0x5 {chunks}");
    let frame = text::frame(&line);
    let layout = weir_packet::parse(frame.head(), frame.len()).expect("no runt");
    Packet::read(&frame, &layout)
}

fn steps(chunks: &str) -> Option<Vec<Step>> {
    read(chunks).ok().map(|packet| packet.steps().collect())
}

#[test]
fn chunks_that_say_something_are_steps() {
    assert_eq!(steps("init=0x7"), Some(vec![Step::Init]));
    assert_eq!(
        steps("chunk=cookie-ack chunk=sack:0:00 chunk=data:3:0011223344 chunk=shutdown"),
        Some(vec![Step::CookieAck, Step::Shutdown])
    );
    assert_eq!(steps("chunk=abort"), Some(vec![Step::Abort]));
    assert_eq!(steps("chunk=abort:1"), Some(vec![Step::AbortReflected]));
    assert_eq!(
        steps("chunk=shutdown-complete:1"),
        Some(vec![Step::ShutdownCompleteReflected])
    );
    assert_eq!(steps("chunk=data:3:00"), Some(vec![]));
}

#[test]
fn tags_are_read() {
    let packet = read("init-ack=0xa1b2c3d4").expect("it is right");
    assert_eq!((packet.tag, packet.init_tag), (5, 0xa1b2_c3d4));
    assert!(!packet.has_other_chunks);
    let packet = read("chunk=heartbeat chunk=data:3:00").expect("it is right");
    assert_eq!((packet.tag, packet.init_tag), (5, 0));
    assert!(packet.has_data && packet.has_other_chunks);
    let packet = read("chunk=sack").expect("it is right");
    assert!(!packet.has_data && packet.has_other_chunks);
}

#[test]
fn what_may_not_go_together_is_refused() {
    for chunks in [
        "",
        "init=0x7 chunk=data",
        "chunk=data init=0x7",
        "chunk=sack chunk=cookie-ack",
        "chunk=sack chunk=cookie-echo",
        "chunk=shutdown-complete chunk=data",
        // Without all that an INIT holds.
        "chunk=init:0:00000001",
        "chunk=init-ack",
    ] {
        assert_eq!(steps(chunks), None, "{chunks}");
    }
    let many = |count| ["chunk=error"].repeat(count).join(" ");
    assert!(steps(&many(MOST_STEPS)).is_some());
    assert!(steps(&many(MOST_STEPS + 1)).is_none());
}

#[test]
fn lengths_are_held_against_the_packet() {
    let with = |bytes: &str| {
        let line = format!("sctp 10.0.0.1:1 > 10.0.0.2:2 data={bytes} pad=9");
        let frame = text::frame(&line);
        let layout = weir_packet::parse(frame.head(), frame.len()).expect("no runt");
        Packet::read(&frame, &layout).map(|packet| packet.steps().count())
    };
    assert_eq!(with("07000008000000010b0000"), Ok(1), "a rest is no chunk");
    assert_eq!(with("0700000500"), Ok(1), "the last one without padding");
    assert_eq!(with("07000003"), Err(BadPacket));
    assert_eq!(
        with("0700000900000001"),
        Err(BadPacket),
        "it ends in the padding"
    );
}

proptest! {
    /// Any bytes as chunks: no panic, and it does not matter how the frame lies in memory.
    #[test]
    fn any_chunks(bytes in prop::collection::vec(any::<u8>(), 1..80), size in 1..9usize) {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let line = format!("sctp 10.0.0.1:1 > 10.0.0.2:2 data={hex}");
        let frame = text::frame(&line);
        let layout = weir_packet::parse(frame.head(), frame.len()).expect("no runt");
        let cut = SegmentedFrame::new(frame.bytes(), 14 + 20 + 12, &[size]);
        prop_assert_eq!(Packet::read(&cut, &layout), Packet::read(&frame, &layout));
    }
}
