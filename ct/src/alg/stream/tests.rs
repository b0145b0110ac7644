use proptest::prelude::*;

use super::{LINE, MOST_HELD, Stream};

/// The lines that end in a segment, with their numbers.
fn read(stream: &mut Stream, start: u32, data: &str) -> Vec<(u32, String)> {
    let mut lines = Vec::new();
    stream.read(start, [data.as_bytes()].into_iter(), |line| {
        lines.push((line.start, String::from_utf8_lossy(line.bytes).into_owned()));
    });
    lines
}

#[test]
fn lines_are_put_together_from_their_pieces() {
    let mut stream = Stream::default();
    assert_eq!(
        read(&mut stream, 100, "USER a\r\nPO"),
        [(100, "USER a\r\n".into())]
    );
    assert_eq!(stream.begun(), Some(&b"PO"[..]));
    assert_eq!(read(&mut stream, 110, "RT 1"), []);
    assert_eq!(read(&mut stream, 114, "\r\n"), [(108, "PORT 1\r\n".into())]);
    assert_eq!((stream.begun(), stream.next()), (None, Some(116)));
    // What comes again is not read again; what is new of it is.
    assert_eq!(read(&mut stream, 110, "RT 1\r\nQ"), []);
    assert_eq!(read(&mut stream, 116, "QU"), []);
    assert_eq!(read(&mut stream, 118, "IT\n"), [(116, "QUIT\n".into())]);
}

#[test]
fn what_was_lost_is_not_made_up() {
    let mut stream = Stream::default();
    read(&mut stream, 0, "PO");
    // Two octets are missing; the line that they are of is given up, and the next one is read.
    assert_eq!(
        read(&mut stream, 4, " 1\nPORT 2\n"),
        [(7, "PORT 2\n".into())]
    );
    // They come late.
    assert_eq!(read(&mut stream, 2, "RT"), []);
    let long = "x".repeat(LINE) + "\nPORT 3\n";
    assert_eq!(
        read(&mut stream, 14, &long),
        [(14 + LINE as u32 + 1, "PORT 3\n".into())]
    );
}

#[test]
fn lines_within_a_reply_are_no_replies() {
    let mut stream = Stream::default();
    let text = "211-Features:\n227 (1,2,3,4,5,6)\n211 End\n227 (1,2,3,4,5,7)\n";
    let lines = read(&mut stream, 0, text);
    assert_eq!(
        lines.iter().map(|(_, line)| &**line).collect::<Vec<_>>(),
        ["211 End\n", "227 (1,2,3,4,5,7)\n"]
    );
}

#[test]
fn what_is_held_is_known() {
    let mut stream = Stream::default();
    read(&mut stream, 0, "NOOP\nPORT 1,2");
    assert!(stream.held().is_none());
    assert!(stream.hold(5, true));
    assert_eq!(stream.held(), Some((5, &b"PORT 1,2"[..])));
    read(&mut stream, 13, ",3");
    assert!(stream.hold(13, true), "from where it was held");
    assert_eq!(stream.held(), Some((5, &b"PORT 1,2,3"[..])));
    // Nothing new: a sender that waits is not kept waiting for ever.
    assert!(stream.hold(15, false) && stream.hold(15, false));
    assert!(!stream.hold(15, false));
    assert_eq!((stream.held(), stream.begun()), (None, None));
    read(&mut stream, 15, "\n");

    read(&mut stream, 16, "PORT 1");
    assert!(stream.hold(16, true));
    read(&mut stream, 22, "\n");
    assert_eq!(stream.held(), None);
    read(&mut stream, 23, &"y".repeat(MOST_HELD as usize + 1));
    assert!(!stream.hold(23, true), "too much");
}

proptest! {
    /// However a text is cut, and whatever of it comes twice, its lines are found.
    #[test]
    fn lines_do_not_depend_on_segments(
        isn: u32,
        lines in prop::collection::vec("[A-Z ,]{0,20}\n", 1..6),
        cuts in prop::collection::vec((1_usize..30, any::<bool>()), 1..40),
    ) {
        let text: String = lines.concat();
        let (mut stream, mut found, mut at) = (Stream::default(), Vec::new(), 0);
        for (size, again) in cuts.into_iter().cycle() {
            let end = (at + size).min(text.len());
            let from = if again { at.saturating_sub(size) } else { at };
            let start = isn.wrapping_add(from as u32);
            found.extend(read(&mut stream, start, &text[from..end]).into_iter().map(|(_, line)| line));
            at = end;
            if at == text.len() {
                break;
            }
        }
        prop_assert_eq!(found, lines);
    }

    /// Segments of anything, anywhere.
    #[test]
    fn any_segments_are_read(
        segments in prop::collection::vec((0_u32..400, prop::collection::vec(any::<u8>(), 0..200), 0..3), 0..20),
    ) {
        let mut stream = Stream::default();
        for (start, data, hold) in segments {
            stream.read(start, [&data[..]].into_iter(), |line| {
                assert!(line.bytes.ends_with(b"\n") && line.bytes.len() <= LINE);
            });
            match (hold, stream.begun(), stream.next()) {
                (1.., Some(line), Some(next)) => {
                    stream.hold(next.wrapping_sub(line.len() as u32), hold == 1);
                }
                _ => stream.release(),
            }
            if let Some((from, bytes)) = stream.held() {
                prop_assert!(bytes.len() <= MOST_HELD as usize);
                prop_assert_eq!(Some(from.wrapping_add(bytes.len() as u32)), stream.next());
            }
        }
    }
}
