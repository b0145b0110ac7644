use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::checksum::{ipv4_header_checksum_ok, l4_checksum_ok};
use crate::{SegmentedFrame, VecFrame, parse, text};

const NOW: Tick = Tick::from_millis(1000);

fn layout(frame: &impl Frame) -> Layout {
    parse(frame.head(), frame.len()).expect("no runt")
}

fn table() -> Reassembly<VecFrame> {
    Reassembly::new(Bounds::default(), 7)
}

fn gather<F: Frame + std::fmt::Debug>(
    table: &mut Reassembly<F>,
    frame: F,
    now: Tick,
) -> Gathered<F> {
    let layout = layout(&frame);
    table.gather(frame, &layout, 0, now).expect("a piece")
}

/// What becomes of pieces in turn: `-` held, `+` whole, or the reason.
fn fates(table: &mut Reassembly<VecFrame>, lines: &[&str]) -> Vec<String> {
    let fate = |line: &&str| match gather(table, text::frame(line), NOW) {
        Gathered::Waiting => "-".to_owned(),
        Gathered::Whole(_) => "+".to_owned(),
        Gathered::Refused(reason) => format!("{reason:?}"),
    };
    lines.iter().map(fate).collect()
}

const FIRST: &str = "ip proto=253 10.0.0.1 > 10.0.0.2 frag id=7 off=0 mf len=16";
const MIDDLE: &str = "ip proto=253 10.0.0.1 > 10.0.0.2 frag id=7 off=16 mf len=16";
const LAST: &str = "ip proto=253 10.0.0.1 > 10.0.0.2 frag id=7 off=32 len=5";

#[test]
fn the_last_piece_that_was_missing_makes_it_whole() {
    let mut table = table();
    assert_eq!(fates(&mut table, &[LAST, FIRST]), ["-", "-"]);
    assert_eq!((table.held(), table.held_bytes()), (2, 50 + 39));
    let Gathered::Whole(whole) = gather(&mut table, text::frame(MIDDLE), NOW) else {
        panic!("nothing is missing");
    };
    assert_eq!((whole.pieces, whole.largest), (3, 36));
    let layout = layout(&whole.frame);
    assert_eq!((layout.fragment, layout.l3_end), (Fragment::No, 34 + 37));
    assert!(ipv4_header_checksum_ok(whole.frame.head(), &layout));
    assert_eq!((table.held(), table.held_bytes()), (0, 0));
}

#[test]
fn only_pieces_of_one_datagram_and_context_meet() {
    let mut table = table();
    let others = [
        "ip proto=253 10.0.0.1 > 10.0.0.2 frag id=8 off=16 len=4",
        "ip proto=254 10.0.0.1 > 10.0.0.2 frag id=7 off=16 len=4",
        "ip proto=253 10.0.0.3 > 10.0.0.2 frag id=7 off=16 len=4",
        "ip proto=253 10.0.0.1 > 10.0.0.3 frag id=7 off=16 len=4",
    ];
    assert_eq!(fates(&mut table, &[FIRST]), ["-"]);
    assert_eq!(fates(&mut table, &others), ["-"; 4]);
    let last = text::frame("ip proto=253 10.0.0.1 > 10.0.0.2 frag id=7 off=16 len=4");
    let found = layout(&last);
    let elsewhere = table.gather(last, &found, 1, NOW);
    assert!(matches!(elsewhere, Ok(Gathered::Waiting)), "{elsewhere:?}");
}

#[test]
fn an_overlap_refuses_the_datagram_and_what_is_still_to_come() {
    let mut table = table();
    let other = "ip proto=253 10.0.0.1 > 10.0.0.2 frag id=7 off=8 mf len=16";
    let fates = fates(&mut table, &[FIRST, other, MIDDLE, LAST, FIRST]);
    assert_eq!(fates, ["-", "Overlap", "Overlap", "Overlap", "Overlap"]);
    assert_eq!((table.refused(Refused::Overlap), table.held()), (5, 0));
}

#[test]
fn the_end_is_where_the_last_piece_says() {
    for lines in [
        [
            LAST,
            "ip proto=253 10.0.0.1 > 10.0.0.2 frag id=7 off=40 len=5",
        ],
        [
            LAST,
            "ip proto=253 10.0.0.1 > 10.0.0.2 frag id=7 off=40 mf len=8",
        ],
        [
            "ip proto=253 10.0.0.1 > 10.0.0.2 frag id=7 off=40 mf len=8",
            LAST,
        ],
    ] {
        assert_eq!(fates(&mut table(), &lines), ["-", "Overlap"], "{lines:?}");
    }
}

#[test]
fn odd_pieces_are_refused_by_name() {
    for (line, reason) in [
        ("udp 10.0.0.1:1 > 10.0.0.2:2 frag id=7 off=0 mf", "-"),
        ("ip proto=17 10.0.0.1 > 10.0.0.2 frag id=7 off=8", "Tiny"),
        (
            "ip proto=6 10.0.0.1 > 10.0.0.2 frag id=7 off=0 mf len=16",
            "Tiny",
        ),
        (
            "ip proto=6 10.0.0.1 > 10.0.0.2 frag id=7 off=0 mf len=24",
            "-",
        ),
        (
            "ip proto=253 10.0.0.1 > 10.0.0.2 frag id=7 off=0 mf len=12",
            "Misaligned",
        ),
        (
            "ip proto=253 10.0.0.1 > 10.0.0.2 frag id=7 off=65512 len=4",
            "Oversize",
        ),
        (
            "ip proto=253 10.0.0.1 > 10.0.0.2 frag id=7 off=65504 len=11",
            "-",
        ),
        (
            "ip proto=253 fd00::1 > fd00::2 frag id=7 off=65480 mf len=16",
            "Oversize",
        ),
    ] {
        assert_eq!(fates(&mut table(), &[line]), [reason], "{line}");
    }
}

#[test]
fn a_piece_again_is_refused_alone() {
    let fates = fates(&mut table(), &[FIRST, FIRST, LAST, MIDDLE]);
    assert_eq!(fates, ["-", "Duplicate", "-", "+"]);
}

#[test]
fn congestion_is_kept_or_the_datagram_refused() {
    let first = "ip proto=253 10.0.0.1 > 10.0.0.2 tos=2 frag id=7 off=0 mf len=16";
    let last = |tos| format!("ip proto=253 10.0.0.1 > 10.0.0.2 tos={tos} frag id=7 off=16 len=4");
    let mut table = table();
    assert_eq!(fates(&mut table, &[first]), ["-"]);
    let Gathered::Whole(whole) = gather(&mut table, text::frame(&last(3)), NOW) else {
        panic!("nothing is missing");
    };
    assert_eq!(whole.frame.head()[15], 3);
    assert!(ipv4_header_checksum_ok(
        whole.frame.head(),
        &layout(&whole.frame)
    ));
    let not_capable = first.replace("tos=2 ", "");
    assert_eq!(fates(&mut table, &[&not_capable, &last(3)]), ["-", "Ecn"]);
    assert_eq!((table.refused(Refused::Ecn), table.held()), (2, 0));
}

#[test]
fn pieces_wait_for_so_long_and_no_longer() {
    for (first, timeout) in [
        (FIRST.to_owned(), IPV4_TIMEOUT),
        (FIRST.replace("10.0.0.", "fd00::"), IPV6_TIMEOUT),
    ] {
        let mut table = table();
        gather(&mut table, text::frame(&first), NOW);
        let due = NOW + timeout;
        let before = Tick::from_millis(due.as_millis() - 1);
        assert_eq!(table.expire(before, 9), 0);
        // Found too late, and not by the sweep: it begins anew.
        let again = gather(&mut table, text::frame(&first), due);
        assert!(matches!(again, Gathered::Waiting), "{again:?}");
        assert_eq!((table.refused(Refused::Expired), table.held()), (1, 1));
        assert_eq!(table.expire(due + timeout, 9), 1);
        assert_eq!((table.refused(Refused::Expired), table.held()), (2, 0));
    }
}

#[test]
fn a_flood_takes_the_place_of_the_oldest() {
    let bounds = Bounds {
        datagrams: 2,
        pieces: MAX_PIECES.into(),
        bytes: 0,
    };
    let mut table = Reassembly::<VecFrame>::new(bounds, 7);
    for id in 1..=3 {
        let line = format!("ip proto=253 10.0.0.1 > 10.0.0.2 frag id={id} off=0 mf len=16");
        gather(&mut table, text::frame(&line), NOW);
    }
    assert_eq!((table.refused(Refused::Evicted), table.held()), (1, 2));
    for id in 1..=3 {
        let line = format!("ip proto=253 10.0.0.1 > 10.0.0.2 frag id={id} off=16 mf len=60000");
        let fate = gather(&mut table, text::frame(&line), NOW);
        assert!(matches!(fate, Gathered::Waiting), "{fate:?}");
        assert!(table.held_bytes() <= LEAST_BYTES);
    }
    assert!(table.refused(Refused::Evicted) > 2);
}

#[test]
fn a_datagram_has_so_many_pieces() {
    let mut table = table();
    let line = |at: u32| {
        format!(
            "ip proto=253 10.0.0.1 > 10.0.0.2 frag id=7 off={} mf len=8",
            at * 8
        )
    };
    let lines: Vec<String> = (0..=u32::from(MAX_PIECES)).map(line).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let fates = fates(&mut table, &lines);
    assert_eq!(fates.last().map(String::as_str), Some("TooMany"));
    assert_eq!(table.refused(Refused::TooMany), u64::from(MAX_PIECES) + 1);
}

#[test]
fn what_is_no_piece_comes_back() {
    let frame = text::frame("udp 10.0.0.1:1 > 10.0.0.2:2");
    let found = layout(&frame);
    assert!(table().gather(frame, &found, 0, NOW).is_err());
    let frame = text::frame("udp [fd00::1]:1 > [fd00::2]:2 len=100");
    assert!(
        cut(&frame, &layout(&frame), 80).is_none(),
        "no fragment header"
    );
    let frame = text::frame(FIRST);
    assert!(cut(&frame, &layout(&frame), 80).is_none(), "a piece");
    let frame = text::frame("udp 10.0.0.1:1 > 10.0.0.2:2 len=100");
    assert!(
        cut(&frame, &layout(&frame), 27).is_none(),
        "no room for data"
    );
}

#[test]
fn options_that_are_not_copied_stay_in_the_first_piece() {
    // Record route, then security, which every piece carries.
    let mut options = [7, 3, 4, 1, 130, 4, 9, 9, 0, 7, 3, 4];
    cut::blank_options(&mut options);
    assert_eq!(options, [1, 1, 1, 1, 130, 4, 9, 9, 0, 7, 3, 4]);
    let mut broken = [7, 9, 4, 0];
    cut::blank_options(&mut broken);
    assert_eq!(broken, [7, 9, 4, 0]);
}

/// A datagram that can be cut, of both versions.
fn datagrams() -> impl Strategy<Value = VecFrame> {
    let v4 = "udp 10.0.0.1:1 > 10.0.0.2:2".to_owned();
    let v6 = "udp [fd00::1]:1 > [fd00::2]:2 frag id=9 off=0".to_owned();
    (prop_oneof![Just(v4), Just(v6)], 0_usize..9000)
        .prop_map(|(line, size)| text::frame(&format!("{line} len={size}")))
}

proptest! {
    #[test]
    fn what_is_cut_comes_together_in_any_order(
        whole in datagrams(),
        size in 200_usize..3000,
        order in prop::collection::vec(any::<prop::sample::Index>(), 64),
        again in prop::collection::vec(any::<bool>(), 64),
        head in 70_usize..300,
    ) {
        let found = layout(&whole);
        let pieces = cut(&whole, &found, size).expect("it can be cut");
        let mut pieces: Vec<VecFrame> = pieces.map(|piece| piece.expect("memory")).collect();
        for piece in &pieces {
            let found = layout(piece);
            prop_assert!(found.l3_end as usize - 14 <= size);
            prop_assert!(ipv4_header_checksum_ok(piece.head(), &found));
        }
        if pieces.len() == 1 {
            prop_assert_eq!(&pieces[0], &whole);
            return Ok(());
        }
        let largest = pieces.iter().map(|piece| piece.len() - 14).max();
        let count = pieces.len();
        for (at, other) in order.iter().enumerate().take(count) {
            pieces.swap(at, other.index(count));
        }
        let mut table = Reassembly::new(Bounds::default(), 7);
        let mut came = None;
        for (at, piece) in pieces.iter().enumerate() {
            let chain = || SegmentedFrame::new(piece.bytes(), head, &[100, 0, 7]);
            match gather(&mut table, chain(), NOW) {
                Gathered::Waiting => prop_assert!(at + 1 < count),
                Gathered::Whole(datagram) => {
                    prop_assert_eq!(at + 1, count);
                    came = Some(datagram);
                    break;
                }
                Gathered::Refused(reason) => prop_assert!(false, "{:?}", reason),
            }
            if again[at] {
                let fate = gather(&mut table, chain(), NOW);
                prop_assert!(matches!(fate, Gathered::Refused(Refused::Duplicate)));
            }
        }
        let came = came.expect("every piece came");
        prop_assert_eq!(usize::from(came.pieces), count);
        prop_assert_eq!(Some(usize::from(came.largest)), largest);
        prop_assert_eq!(came.frame.to_vec(), whole.bytes());
        let found = layout(&came.frame);
        prop_assert!(l4_checksum_ok(&came.frame, &found));
        // As large as it came, it goes.
        let cut_again = cut(&came.frame, &found, came.largest.into()).expect("it can be cut");
        let sizes = cut_again.map(|piece| piece.expect("memory").len() - 14).max();
        prop_assert_eq!(sizes, largest);
    }

    #[test]
    fn pieces_fare_as_in_a_simple_model(
        ops in prop::collection::vec((0_u32..3, 0_u32..6, 1_u32..4, any::<bool>(), 0_u64..8), 1..80),
    ) {
        #[derive(Default)]
        struct Model {
            pieces: Vec<(u32, u32, bool)>,
            refused: bool,
            deadline: u64,
        }
        let mut table = table();
        let mut models: BTreeMap<u32, Model> = BTreeMap::new();
        let (mut taken, mut handed_out, mut now) = (0_u64, 0_u64, 0_u64);
        for (id, at, units, more, seconds) in ops {
            now += seconds * 1000;
            models.retain(|_, model| model.deadline > now);
            let size = if more { units * 8 } else { units * 8 - 3 };
            let (begin, end) = (at * 8, at * 8 + size);
            if begin == 0 && !more {
                continue;
            }
            taken += 1;
            let model = models.entry(id).or_insert_with(|| Model {
                deadline: now + 30_000,
                ..Model::default()
            });
            let last = model.pieces.iter().find(|piece| !piece.2).map(|piece| piece.1);
            let expected = if model.refused {
                "Overlap"
            } else if model.pieces.contains(&(begin, end, more)) {
                "Duplicate"
            } else if model.pieces.iter().any(|&(b, e, _)| begin < e && b < end || !more && e > end)
                || last.is_some_and(|last| end > last || !more)
            {
                model.refused = true;
                "Overlap"
            } else {
                model.pieces.push((begin, end, more));
                let held: u32 = model.pieces.iter().map(|(b, e, _)| e - b).sum();
                let last = if more { last } else { Some(end) };
                if last == Some(held) { "+" } else { "-" }
            };
            let whole = model.pieces.len() as u64;
            let more = if more { " mf" } else { "" };
            let line = format!(
                "ip proto=253 10.0.0.1 > 10.0.0.2 frag id={id} off={begin}{more} len={size}"
            );
            let fate = match gather(&mut table, text::frame(&line), Tick::from_millis(now)) {
                Gathered::Waiting => "-".to_owned(),
                Gathered::Whole(_) => "+".to_owned(),
                Gathered::Refused(reason) => format!("{reason:?}"),
            };
            prop_assert_eq!(fate, expected, "{}", line);
            if expected == "+" {
                handed_out += whole;
                models.remove(&id);
            }
            let refused: u64 = Refused::ALL.iter().map(|&reason| table.refused(reason)).sum();
            prop_assert_eq!(taken, u64::from(table.held()) + handed_out + refused);
        }
        table.expire(Tick::from_millis(now + 60_000), 9);
        prop_assert_eq!((table.held(), table.held_bytes()), (0, 0));
    }
}
