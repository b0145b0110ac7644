use super::*;

#[test]
fn the_front_moves_and_the_bytes_stay() {
    let mut frame = VecFrame::new(&[1, 2, 3, 4]);
    frame.pull_front(2);
    assert_eq!(frame.bytes(), [3, 4]);
    frame.push_front(1).unwrap();
    frame.head_mut()[0] = 9;
    assert_eq!(frame, VecFrame::new(&[9, 3, 4]));
    assert_eq!(frame.len(), 3);
}

#[test]
fn headroom_ends_without_a_change() {
    let mut frame = VecFrame::new(&[7]);
    frame.push_front(VecFrame::HEADROOM).unwrap();
    assert_eq!(frame.push_front(1), Err(NoHeadroom));
    assert_eq!(frame.len(), VecFrame::HEADROOM + 1);
}

#[test]
fn segments_are_cut_in_turn() {
    let bytes: Vec<u8> = (0..10).collect();
    let frame = SegmentedFrame::new(&bytes, 3, &[2, 0, 1]);
    assert_eq!(frame.head(), [0, 1, 2]);
    let tail: Vec<&[u8]> = frame.tail().collect();
    assert_eq!(tail, [&[3, 4][..], &[], &[5], &[6, 7], &[], &[8], &[9]]);
    assert_eq!(frame.len(), 10);
    assert_eq!(frame.to_vec(), bytes);
    assert_eq!(SegmentedFrame::new(&bytes, 3, &[0]).tail().count(), 1);
    assert_eq!(SegmentedFrame::new(&bytes, 30, &[]).head(), bytes);
}

#[test]
fn a_frame_is_cut_to_what_lies_in_its_head() {
    let bytes: Vec<u8> = (0..10).collect();
    let mut linear = VecFrame::new(&bytes);
    linear.truncate(11);
    assert_eq!(linear.bytes(), bytes);
    linear.truncate(4);
    assert_eq!(linear.bytes(), &bytes[..4]);
    let mut pieces = SegmentedFrame::new(&bytes, 6, &[2]);
    pieces.truncate(10);
    assert_eq!(pieces.to_vec(), bytes);
    pieces.truncate(6);
    assert_eq!(
        (pieces.to_vec(), pieces.tail().count()),
        (bytes[..6].to_vec(), 0)
    );
}

#[test]
fn a_head_is_filled_from_behind() {
    let bytes: Vec<u8> = (0..10).collect();
    let mut frame = SegmentedFrame::new(&bytes, 1, &[2, 0, 3]);
    assert!(frame.gather_head(4));
    assert_eq!((frame.head(), frame.to_vec()), (&bytes[..4], bytes.clone()));
    assert!(frame.gather_head(99));
    assert_eq!((frame.head(), frame.tail().count()), (&bytes[..], 0));
}

#[test]
fn frames_are_joined_and_parts_copied() {
    let mut linear = VecFrame::new(&[1, 2, 3]);
    linear.append(VecFrame::new(&[4, 5]));
    assert_eq!(linear.bytes(), [1, 2, 3, 4, 5]);
    let mut frame = SegmentedFrame::new(&[1, 2, 3], 2, &[1]);
    frame.append(SegmentedFrame::new(&[4, 5], 1, &[1]));
    assert_eq!((frame.to_vec(), frame.len()), (vec![1, 2, 3, 4, 5], 5));
    assert_eq!(frame.tail().count(), 3);
    let part = frame.copy_part(1, 3).expect("the frame has these");
    assert_eq!(part.to_vec(), [2, 3, 4]);
    assert_eq!(linear.copy_part(1, 3), Some(VecFrame::new(&[2, 3, 4])));
    assert_eq!(frame.copy_part(3, 3), None);
    assert_eq!(linear.copy_part(6, 0), None);
}
