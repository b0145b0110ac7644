//! Bytes as what the two ends of a control connection say.

use weir_ct::{Commit, CtState, Helper, Request, Settings, Tracker};
use weir_nat::{NatFlags, NatKind, NatRange, NatSpec};
use weir_packet::checksum::{ipv4_header_checksum_ok, l4_checksum_ok};
use weir_packet::{Frame, Tick, VecFrame, parse, text};

/// One segment after the other, through a tracker that translates the client: what comes out is a
/// packet with right lengths and checksums, whatever was said. The first byte of a segment says
/// whose it is (1: the server's), whether it is the last (2), and in its upper half how many octets
/// it repeats; the second how many bytes of data follow.
///
/// # Panics
/// If it is not.
pub fn control(bytes: &[u8]) {
    let settings = Settings {
        max_connections: 4,
        tcp_liberal: true,
        ..Settings::default()
    };
    let mut tracker = Tracker::new(&settings, 1);
    tracker.provide_helpers();
    let (client, server) = ("10.0.0.5:4000", "192.0.2.9:21");
    let public = "198.51.100.77:4000";
    pass(&mut tracker, &format!("tcp {client} > {server} S seq=99"));
    pass(
        &mut tracker,
        &format!("tcp {server} > {public} SA seq=499 ack=100"),
    );
    pass(
        &mut tracker,
        &format!("tcp {client} > {server} A seq=100 ack=500"),
    );
    let (mut said, mut rest) = ([100_u32, 500], bytes);
    while let [what, size, more @ ..] = rest {
        let (data, behind) = more.split_at(usize::from(*size).min(more.len()));
        rest = behind;
        let of_server = usize::from(what & 1);
        let flags = if what & 2 == 0 { "PA" } else { "FA" };
        let start = said[of_server] - u32::from(what >> 4);
        said[of_server] = said[of_server].max(start + data.len() as u32);
        let (from, to) = if of_server == 1 {
            (server, public)
        } else {
            (client, server)
        };
        let ack = said[1 - of_server];
        let hex: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
        let data = if hex.is_empty() {
            String::new()
        } else {
            format!(" data={hex}")
        };
        pass(
            &mut tracker,
            &format!("tcp {from} > {to} {flags} seq={start} ack={ack}{data}"),
        );
    }
    let mut expected = Vec::new();
    tracker.dump_expected(0, usize::MAX, None, NOW, &mut expected);
    assert!(expected.len() <= 4, "one master");
    for expected in expected {
        // RFC 2577: nobody speaks for others.
        let (src, dst) = (
            expected.tuple.src().to_string(),
            expected.tuple.dst().to_string(),
        );
        assert!(matches!(
            (&*src, &*dst),
            ("192.0.2.9", "198.51.100.77") | ("10.0.0.5", "192.0.2.9")
        ));
        assert!(expected.tuple.dst_port >= 1024);
    }
}

const NOW: Tick = Tick::from_millis(1);
fn pass(tracker: &mut Tracker, line: &str) {
    let mut frame: VecFrame = text::frame(line);
    let mut layout = parse(frame.bytes(), frame.len()).expect("a frame");
    let address = [198, 51, 100, 77].into();
    let nat = NatSpec::Allocate {
        kind: NatKind::Src,
        range: NatRange::new(address, address, None).ok(),
        flags: NatFlags::default(),
    };
    let request = Request {
        commit: Some(Commit {
            helper: Some(Helper::Ftp),
            ..Commit::default()
        }),
        nat: Some(&nat),
        ..Request::default()
    };
    let Ok(outcome) = tracker.execute(&frame, &layout, &request, NOW) else {
        return;
    };
    if let Some(translation) = &outcome.translation {
        translation.apply(frame.head_mut(), &layout);
    }
    if outcome.mends && tracker.mend(&mut frame, &mut layout).is_err() {
        return;
    }
    assert!(!outcome.state.contains(CtState::REL), "{line}");
    assert_eq!(parse(frame.bytes(), frame.len()), Ok(layout), "{line}");
    assert!(ipv4_header_checksum_ok(frame.head(), &layout), "{line}");
    assert!(l4_checksum_ok(&frame, &layout), "{line}");
}
