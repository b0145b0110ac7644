//! Frames in mbufs: `Mbuf` behaves as a frame in ordinary memory does, and gives everything back.

mod support;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use support::{MBUFS, bytes, dpdk, pattern, with_pool};
use weir_packet::checksum::l4_checksum_ok;
use weir_packet::reassembly::{Bounds, Gathered, Reassembly, cut};
use weir_packet::{ChecksumStatus, Frame, NoHeadroom, Tick, VecFrame, parse, text};
use weir_pmd::mempool::{BUFFER_BYTES, MakeFrameError};
use weir_pmd::{Mbuf, MbufBatch};

/// Room in a segment behind the first, which needs no headroom.
const TAIL_BYTES: usize = BUFFER_BYTES as usize + 128;

#[test]
fn a_frame_has_the_bytes_it_was_made_from() {
    let dpdk = dpdk();
    with_pool(&dpdk, |pool| {
        for len in [60, 1_514, 2_048, 2_049, 4_096, 9_018, 40_000] {
            let wanted = pattern(len, 7);
            let frame = pool.frame(&wanted).unwrap();
            assert_eq!(bytes(&frame), wanted);
            let first = len.min(usize::from(BUFFER_BYTES));
            assert_eq!(frame.head().len(), first);
            assert_eq!(frame.segments(), 1 + (len - first).div_ceil(TAIL_BYTES));
            assert_eq!(frame.ip_checksum_status(), ChecksumStatus::Unknown);
            assert_eq!(frame.l4_checksum_status(), ChecksumStatus::Unknown);
        }
    });
}

#[test]
fn a_frame_that_cannot_be_made_leaves_nothing_behind() {
    let dpdk = dpdk();
    with_pool(&dpdk, |pool| {
        assert_eq!(pool.frame(&[]).unwrap_err(), MakeFrameError::Empty);
        let endless = vec![0; usize::from(BUFFER_BYTES) * (usize::from(u16::MAX) + 1)];
        assert_eq!(pool.frame(&endless).unwrap_err(), MakeFrameError::TooLong);
        let more_than_all = vec![0; TAIL_BYTES * (MBUFS as usize + 1)];
        assert_eq!(
            pool.frame(&more_than_all).unwrap_err(),
            MakeFrameError::Exhausted
        );
        assert_eq!(pool.in_use(), 0);
    });
}

#[test]
fn an_empty_pool_makes_no_copy() {
    let dpdk = dpdk();
    with_pool(&dpdk, |pool| {
        let mut frames = Vec::new();
        while let Ok(frame) = pool.frame(&[1; 60]) {
            frames.push(frame);
        }
        assert_eq!(frames.len(), MBUFS as usize);
        assert!(frames[0].duplicate().is_none());
        frames.pop();
        assert!(frames[0].duplicate().is_some());
    });
}

#[test]
fn a_full_batch_hands_the_frame_back() {
    let dpdk = dpdk();
    with_pool(&dpdk, |pool| {
        let mut batch: MbufBatch<2> = MbufBatch::new();
        for seed in 0..2 {
            batch.push(pool.frame(&pattern(60, seed)).unwrap()).unwrap();
        }
        let back = batch
            .push(pool.frame(&pattern(60, 2)).unwrap())
            .unwrap_err();
        assert_eq!(bytes(&back), pattern(60, 2));
        assert!(batch.is_full());
        assert_eq!(batch.free(), 2);
        assert!(batch.is_empty());
    });
}

#[test]
fn frames_in_slots_are_appended_as_far_as_there_is_room() {
    let dpdk = dpdk();
    with_pool(&dpdk, |pool| {
        let frame = |seed| Some(pool.frame(&pattern(60, seed)).unwrap());
        for hole in [None, Some(0), Some(1)] {
            let mut batch: MbufBatch<4> = MbufBatch::new();
            batch.push(frame(9).unwrap()).unwrap();
            let mut slots: Vec<Option<Mbuf>> = (0..5).map(frame).collect();
            if let Some(hole) = hole {
                slots[hole] = None;
            }
            assert_eq!(batch.append(&mut slots), 3);
            assert!(slots[..3].iter().all(Option::is_none));
            assert!(slots[3..].iter().all(Option::is_some));
            let wanted = (0..3).filter(|&seed| Some(usize::from(seed)) != hole);
            let wanted: Vec<_> = [9]
                .into_iter()
                .chain(wanted)
                .map(|seed| pattern(60, seed))
                .collect();
            assert_eq!(
                batch.drain().map(|frame| bytes(&frame)).collect::<Vec<_>>(),
                wanted
            );
        }
        let mut full: MbufBatch<1> = MbufBatch::new();
        full.push(frame(0).unwrap()).unwrap();
        assert_eq!(full.append(&mut [frame(1)]), 0);
    });
}

#[test]
fn frames_are_taken_out_where_they_lie_or_freed() {
    let dpdk = dpdk();
    with_pool(&dpdk, |pool| {
        let mut batch: MbufBatch<4> = MbufBatch::new();
        for seed in 0..4 {
            batch.push(pool.frame(&pattern(60, seed)).unwrap()).unwrap();
        }
        let mut drain = batch.drain();
        let taken = drain.slots()[2].take();
        assert_eq!(taken.map(|frame| bytes(&frame)), Some(pattern(60, 2)));
        assert_eq!(drain.slots().iter().flatten().count(), 3);
        assert_eq!(drain.refused(), 0);
        drop(drain);
        assert!(batch.is_empty());
        assert_eq!(pool.in_use(), 0);
        // What cannot be used leaves its slot empty.
        let mut empty = pool.frame(&[0; 60]).unwrap();
        empty.pull_front(60);
        batch.push(empty).unwrap();
        batch.push(pool.frame(&pattern(60, 5)).unwrap()).unwrap();
        let mut drain = batch.drain();
        let there: Vec<bool> = drain.slots().iter().map(Option::is_some).collect();
        assert_eq!((there, drain.refused()), (vec![false, true], 1));
    });
}

#[test]
fn a_drain_that_is_dropped_frees_the_rest() {
    let dpdk = dpdk();
    with_pool(&dpdk, |pool| {
        let mut batch: MbufBatch<4> = MbufBatch::new();
        for seed in 0..4 {
            batch.push(pool.frame(&pattern(60, seed)).unwrap()).unwrap();
        }
        let first = batch.drain().next().unwrap();
        assert_eq!(bytes(&first), pattern(60, 0));
        assert!(batch.is_empty());
        assert_eq!(pool.in_use(), 1);
    });
}

#[test]
fn headers_that_lie_in_several_segments_are_gathered() {
    let dpdk = dpdk();
    with_pool(&dpdk, |pool| {
        let wanted = pattern(5_000, 3);
        let mut frame = pool.frame(&wanted).unwrap();
        // What is left of the first segment after taking off long outer headers.
        frame.pull_front(2_000);
        assert_eq!((frame.head().len(), frame.segments()), (48, 3));
        assert!(frame.gather_head(Mbuf::HEAD_BYTES));
        assert_eq!(frame.head().len(), usize::from(Mbuf::HEAD_BYTES));
        assert_eq!(bytes(&frame), wanted[2_000..]);
        // A receiver does the same on its own.
        let mut frame = pool.frame(&wanted).unwrap();
        frame.pull_front(2_040);
        let mut batch: MbufBatch = MbufBatch::new();
        batch.push(frame).unwrap();
        let mut drain = batch.drain();
        let frame = drain.next().unwrap();
        assert_eq!(drain.refused(), 0);
        assert_eq!(frame.head().len(), usize::from(Mbuf::HEAD_BYTES));
        assert_eq!(bytes(&frame), wanted[2_040..]);
    });
}

#[test]
fn what_is_cut_off_a_frame_goes_back_to_the_pool() {
    let dpdk = dpdk();
    with_pool(&dpdk, |pool| {
        let wanted = pattern(5_000, 3);
        for size in [4_999, 4_096, 2_049, 2_048, 2_047, 14] {
            let mut frame = pool.frame(&wanted).unwrap();
            assert_eq!(pool.in_use(), 3);
            frame.truncate(size);
            assert_eq!(bytes(&frame), wanted[..size]);
            assert_eq!(pool.in_use(), frame.segments());
            assert_eq!(frame.segments(), size.div_ceil(2_048));
        }
        assert_eq!(pool.in_use(), 0);
    });
}

#[test]
fn gathering_a_whole_segment_gives_its_buffer_back() {
    let dpdk = dpdk();
    with_pool(&dpdk, |pool| {
        let wanted = pattern(2_060, 9);
        let mut frame = pool.frame(&wanted).unwrap();
        frame.pull_front(2_000);
        // The data lies at the end of its buffer, so it has to move first.
        assert_eq!((frame.segments(), pool.in_use()), (2, 2));
        assert!(frame.gather_head(60));
        assert_eq!(bytes(&frame), wanted[2_000..]);
        assert_eq!((frame.segments(), pool.in_use()), (1, 1));
        assert!(frame.headroom() >= 128);
        // There is no more of it.
        assert!(frame.gather_head(1_000));
    });
}

#[test]
fn long_headers_have_room_as_long_as_there_are_buffers() {
    const HEADERS: usize = 330;
    let dpdk = dpdk();
    with_pool(&dpdk, |pool| {
        for (len, before, after) in [(60, 1, 1), (1_514, 1, 1), (2_048, 1, 2), (5_000, 3, 4)] {
            let wanted = pattern(len, 7);
            let mut frame = pool.frame(&wanted).unwrap();
            assert_eq!((frame.segments(), frame.headroom()), (before, 128));
            frame.push_front(HEADERS).unwrap();
            assert_eq!((frame.segments(), pool.in_use()), (after, after));
            assert_eq!(
                (frame.len(), &bytes(&frame)[HEADERS..]),
                (HEADERS + len, &wanted[..])
            );
            // More than any driver wants.
            assert!(frame.headroom() >= 16);
            assert_eq!(frame.push_front(2_000), Err(NoHeadroom));
            assert_eq!(bytes(&frame)[HEADERS..], wanted);
        }
        let mut frame = pool.frame(&pattern(2_048, 1)).unwrap();
        let mut others = Vec::new();
        while let Ok(other) = pool.frame(&[0]) {
            others.push(other);
        }
        assert_eq!(frame.push_front(HEADERS), Err(NoHeadroom));
        assert_eq!(bytes(&frame), pattern(2_048, 1));
    });
}

#[test]
fn a_frame_that_is_cut_gives_its_other_buffers_back() {
    let dpdk = dpdk();
    with_pool(&dpdk, |pool| {
        let wanted = pattern(5_000, 5);
        let mut frame = pool.frame(&wanted).unwrap();
        frame.truncate(5_000);
        assert_eq!((bytes(&frame), frame.segments()), (wanted.clone(), 3));
        frame.truncate(42);
        assert_eq!(bytes(&frame), wanted[..42]);
        assert_eq!((frame.len(), frame.segments(), pool.in_use()), (42, 1, 1));
        let mut single = pool.frame(&wanted[..100]).unwrap();
        single.truncate(7);
        assert_eq!(bytes(&single), wanted[..7]);
    });
}

/// A chain of as many buffers as it had pieces; what is cut from it is one buffer each, whether the
/// device takes chains or not.
#[test]
fn a_datagram_of_many_pieces_is_cut_into_single_buffers() {
    let dpdk = dpdk();
    with_pool(&dpdk, |pool| {
        let line = "udp [fd00::1]:1 > [fd00::2]:2 frag id=7 off=0 len=60000";
        let whole = text::frame(line);
        let layout = parse(whole.head(), whole.len()).unwrap();
        let pieces = cut(&whole, &layout, 1_500).unwrap();
        let pieces: Vec<VecFrame> = pieces.map(Option::unwrap).collect();
        let mut waiting = Reassembly::new(Bounds::default(), 7);
        let mut found = None;
        for piece in pieces.iter().rev() {
            let layout = parse(piece.head(), piece.len()).unwrap();
            let frame = pool.frame(piece.bytes()).unwrap();
            match waiting.gather(frame, &layout, 0, Tick::ZERO).unwrap() {
                Gathered::Waiting => {}
                Gathered::Whole(datagram) => found = Some(datagram),
                Gathered::Refused(reason) => panic!("{reason:?}"),
            }
        }
        let datagram = found.unwrap();
        assert_eq!(datagram.frame.segments(), pieces.len());
        assert_eq!(bytes(&datagram.frame), whole.bytes());
        let layout = parse(datagram.frame.head(), datagram.frame.len()).unwrap();
        assert!(l4_checksum_ok(&datagram.frame, &layout));
        let again = cut(&datagram.frame, &layout, datagram.largest.into()).unwrap();
        for (piece, expected) in again.map(Option::unwrap).zip(&pieces) {
            assert_eq!(piece.segments(), 1);
            assert_eq!(bytes(&piece), expected.bytes());
        }
        drop(datagram);
        assert_eq!(pool.in_use(), 0);
    });
}

#[test]
fn an_empty_frame_is_refused() {
    let dpdk = dpdk();
    with_pool(&dpdk, |pool| {
        let mut frame = pool.frame(&pattern(60, 1)).unwrap();
        frame.pull_front(60);
        let mut batch: MbufBatch = MbufBatch::new();
        batch.push(frame).unwrap();
        batch.push(pool.frame(&pattern(61, 1)).unwrap()).unwrap();
        let mut drain = batch.drain();
        assert_eq!(drain.next().map(|frame| frame.len()), Some(61));
        assert!(drain.next().is_none());
        assert_eq!(drain.refused(), 1);
    });
}

/// A change to a frame.
#[derive(Clone, Copy, Debug)]
enum Change {
    Push(usize),
    Pull(usize),
    Write(usize, u8),
    Copy,
    /// Cut in two there, and joined again.
    Cut(usize),
    Gather(u16),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        (0_usize..400).prop_map(Change::Push),
        (0_usize..200).prop_map(Change::Pull),
        (0_usize..2_000, any::<u8>()).prop_map(|(at, value)| Change::Write(at, value)),
        Just(Change::Copy),
        (1_usize..10_000).prop_map(Change::Cut),
        (0_u16..400).prop_map(Change::Gather),
    ];
    prop::collection::vec(change, 0..30)
}

#[test]
fn a_frame_behaves_as_a_list_of_bytes() {
    let dpdk = dpdk();
    with_pool(&dpdk, |pool| {
        let mut runner = TestRunner::new(Config::with_cases(300));
        let cases = (60_usize..10_000, any::<u8>(), changes());
        let result = runner.run(&cases, |(len, seed, changes)| {
            let mut model = pattern(len, seed);
            let mut frame = pool.frame(&model).unwrap();
            for change in changes {
                apply(change, &mut frame, &mut model)?;
                prop_assert_eq!(bytes(&frame), &model[..]);
            }
            Ok(())
        });
        result.unwrap();
    });
}

fn apply(change: Change, frame: &mut Mbuf, model: &mut Vec<u8>) -> Result<(), TestCaseError> {
    match change {
        Change::Push(count) => {
            prop_assert!(frame.push_front(count).is_ok());
            frame.head_mut()[..count].fill(0xee);
            model.splice(0..0, vec![0xee; count]);
        }
        Change::Pull(count) => {
            // A frame keeps a byte: an empty one is never made.
            let count = count.min(frame.head().len()).min(frame.len() - 1);
            frame.pull_front(count);
            model.drain(..count);
        }
        Change::Write(at, value) => {
            if let Some(byte) = frame.head_mut().get_mut(at) {
                *byte = value;
                model[at] = value;
            }
        }
        Change::Copy => {
            let mut copy = frame.duplicate().expect("the pool is not empty");
            // The old one may change without the new one noticing.
            std::mem::swap(frame, &mut copy);
            copy.head_mut().fill(0);
        }
        Change::Cut(at) => {
            let len = frame.len();
            prop_assert!(frame.copy_part(len, 1).is_none());
            if at < len {
                let front = frame.copy_part(0, at).expect("the pool is not empty");
                let behind = frame.copy_part(at, len - at);
                let segments = front.segments();
                *frame = front;
                frame.append(behind.expect("the pool is not empty"));
                prop_assert!(frame.segments() > segments);
                prop_assert_eq!(frame.len(), len);
            }
        }
        Change::Gather(count) => {
            prop_assert!(frame.gather_head(count));
            prop_assert!(frame.head().len() >= usize::from(count).min(frame.len()));
        }
    }
    Ok(())
}
