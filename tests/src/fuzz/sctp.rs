//! Bytes as the packets of an SCTP association.

use weir_ct::{Commit, Filter, ProtocolInfo, Request, Settings, Tracker};
use weir_packet::checksum::write_l4_checksum;
use weir_packet::{Frame, SegmentedFrame, Tick, VecFrame, parse, text};

/// Each packet is two bytes, what it is and how long, and then its verification tag and chunks.
/// They go through the tracker: nothing panics, it does not matter how a frame lies in memory, an
/// invalid packet changes nothing, and there is one association at most.
///
/// # Panics
/// If one of these fails.
pub fn sctp_chunks(bytes: &[u8]) {
    let settings = Settings {
        max_connections: 4,
        ..Settings::default()
    };
    let (mut whole, mut cut) = (Tracker::new(&settings, 0), Tracker::new(&settings, 0));
    let mut millis = 0;
    let mut rest = bytes;
    while let Some((&[kind, size], behind)) = rest.split_first_chunk::<2>() {
        let (packet, behind) = behind.split_at(usize::from(size).min(behind.len()));
        rest = behind;
        millis += u64::from(kind >> 4) * 1_000;
        let now = Tick::from_millis(millis);
        let frame = frame(kind & REPLY != 0, packet);
        let segmented = SegmentedFrame::new(frame.bytes(), 14 + 20 + 12, &[3, 0, 8]);
        let layout = parse(frame.head(), frame.len()).expect("it is long enough");
        let request = Request {
            commit: (kind & COMMIT != 0).then(Commit::default),
            ..Request::default()
        };
        let before = states(&whole, now);
        let said = whole.execute(&frame, &layout, &request, now);
        let said = said.expect("there is room for four");
        let other = cut.execute(&segmented, &layout, &request, now);
        assert_eq!(Ok(said), other);
        let after = states(&whole, now);
        assert!(after.len() <= 1, "{after:?}");
        if said.state == weir_ct::CtState::TRK | weir_ct::CtState::INV {
            assert_eq!(before, after, "{}", text::describe(frame.bytes()));
        }
    }
}

/// Bits of a packet's first byte; the upper four are the seconds since the one before.
const REPLY: u8 = 1;
const COMMIT: u8 = 2;

/// The packet with this tag and these chunks, its checksum right.
fn frame(reply: bool, packet: &[u8]) -> VecFrame {
    let line = if reply {
        "sctp 10.0.0.2:2 > 10.0.0.1:1"
    } else {
        "sctp 10.0.0.1:1 > 10.0.0.2:2"
    };
    let mut bytes = text::parse(line).expect("it is right");
    let (tag, chunks) = packet.split_at(packet.len().min(4));
    let tag_at = 14 + 20 + 4;
    bytes[tag_at..tag_at + tag.len()].copy_from_slice(tag);
    bytes.extend_from_slice(chunks);
    let total = (bytes.len() - 14) as u16;
    bytes[16..18].copy_from_slice(&total.to_be_bytes());
    let mut frame = VecFrame::from(bytes);
    let layout = parse(frame.head(), frame.len()).expect("it is long enough");
    weir_packet::checksum::write_ipv4_header_checksum(frame.head_mut(), &layout);
    write_l4_checksum(&mut frame, &layout);
    frame
}

/// State, tags and time left of what there is.
fn states(tracker: &Tracker, now: Tick) -> Vec<String> {
    let mut entries = Vec::new();
    let walked = tracker.dump(
        Default::default(),
        99,
        &Filter::default(),
        now,
        &mut entries,
    );
    assert_eq!(walked, None, "a few slots are looked at in one go");
    let state = |entry: &weir_ct::Entry| match entry.protocol {
        ProtocolInfo::Sctp(association) => format!("{association:?} {:?}", entry.timeout_left),
        ProtocolInfo::Tcp { .. } | ProtocolInfo::Stateless => panic!("{entry}"),
    };
    entries.iter().map(state).collect()
}

/// The SCTP packets of a script of `ct/tests/scripts`, as [`sctp_chunks`] reads them.
pub(super) fn of_script(script: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in script.lines() {
        let Some((packet, _)) = line.split_once("=>") else {
            continue;
        };
        let Some((asked, packet)) = packet.split_once("sctp ") else {
            continue;
        };
        let Ok(frame) = text::parse(&format!("sctp {}", packet.trim())) else {
            continue;
        };
        let Ok(layout) = parse(&frame, frame.len()) else {
            continue;
        };
        let ports = usize::from(layout.l4_offset);
        let Some(&[.., s0, s1, d0, d1]) = frame.get(ports..ports + 4) else {
            continue;
        };
        let (src, dst) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
        // In each script one end has the higher port when it answers.
        let reply = if src < 80 && dst < 80 {
            src > dst
        } else {
            src == 80
        };
        let commit = asked.contains("commit");
        let chunks = frame.get(ports + 12..).unwrap_or_default();
        let tag = frame.get(ports + 4..ports + 8).unwrap_or_default();
        let kind = if reply { REPLY } else { 0 } | if commit { COMMIT } else { 0 };
        bytes.extend_from_slice(&[kind, (4 + chunks.len()) as u8]);
        bytes.extend_from_slice(tag);
        bytes.extend_from_slice(chunks);
    }
    bytes
}
