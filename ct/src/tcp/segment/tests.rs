use proptest::prelude::*;
use weir_packet::{Frame, Layout, text};

use super::{BadSegment, Segment, SegmentKind, kind_of, window_scale};

fn read(line: &str) -> Result<Segment, BadSegment> {
    let frame = text::frame(line);
    let layout = weir_packet::parse(frame.head(), frame.len()).expect("no runt");
    Segment::read(frame.head(), &layout)
}

#[test]
fn reads_every_part() {
    let line = "tcp 10.0.0.1:1 > 10.0.0.2:2 SA seq=7 ack=9 win=512 mss=1460 sack-ok ts=1:2 wscale=8 \
                len=3 pad=20";
    assert_eq!(
        read(line),
        Ok(Segment {
            kind: SegmentKind::SynAck,
            sequence: 7,
            acknowledgment: 9,
            acknowledges: true,
            window: 512,
            payload_size: 3,
            window_scale: Some(8),
        })
    );
    assert_eq!(read(line).map(|segment| segment.end()), Ok(11));
}

#[test]
fn a_scale_counts_in_a_syn_only() {
    let scale = |flags| {
        read(&format!("tcp 10.0.0.1:1 > 10.0.0.2:2 {flags} wscale=8"))
            .map(|segment| segment.window_scale)
    };
    assert_eq!(scale("S"), Ok(Some(8)));
    assert_eq!(scale("A"), Ok(None));
}

/// The rule in its own words: exactly one of SYN, FIN and RST, or ACK alone; FIN needs ACK; URG
/// goes with a SYN or with what has ACK and is no SYN or RST. The rest says nothing.
#[test]
fn all_flags() {
    for flags in 0..=u8::MAX {
        let [fin, syn, rst, _, ack, urg] = std::array::from_fn(|bit| flags & 1 << bit != 0);
        let steps = u8::from(fin) + u8::from(syn) + u8::from(rst);
        let urgent = !urg || (syn && !ack) || (ack && !syn && !rst);
        let lawful = steps <= 1 && (steps == 1 || ack) && (!fin || ack) && urgent;
        let kind = kind_of(flags);
        assert_eq!(kind.is_some(), lawful, "{flags:#04x}");
        let wanted = match kind {
            None => continue,
            Some(_) if rst => SegmentKind::Rst,
            Some(_) if syn && ack => SegmentKind::SynAck,
            Some(_) if syn => SegmentKind::Syn,
            Some(_) if fin => SegmentKind::Fin,
            Some(_) => SegmentKind::Ack,
        };
        assert_eq!(kind, Some(wanted), "{flags:#04x}");
    }
}

#[test]
fn scale_among_other_options() {
    assert_eq!(window_scale(&[]), None);
    assert_eq!(window_scale(&[3, 3, 9]), Some(9));
    assert_eq!(window_scale(&[2, 4, 5, 180, 1, 3, 3, 7]), Some(7));
    // Behind the end of the list.
    assert_eq!(window_scale(&[1, 0, 3, 3, 7]), None);
    // Cut off, or with a length that it cannot have.
    assert_eq!(window_scale(&[3, 3]), None);
    assert_eq!(window_scale(&[3]), None);
    assert_eq!(window_scale(&[3, 2, 3, 3, 5]), Some(5));
    assert_eq!(window_scale(&[8, 0, 3, 3, 5]), Some(5));
    assert_eq!(window_scale(&[8, 200, 3, 3, 5]), None);
}

proptest! {
    #[test]
    fn any_options_end(options in prop::collection::vec(any::<u8>(), 0..40)) {
        let scale = window_scale(&options);
        prop_assert!(scale.is_none_or(|scale| options.windows(3).any(|w| w == [3, 3, scale])));
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        head in prop::collection::vec(any::<u8>(), 0..80),
        l4_offset in 0..100u16,
        l3_end in 0..100u32,
    ) {
        let layout = Layout { l4_offset, l3_end, ..Layout::default() };
        if let Ok(segment) = Segment::read(&head, &layout) {
            prop_assert!(u32::from(l4_offset) + 20 + segment.payload_size <= l3_end);
        }
    }
}
