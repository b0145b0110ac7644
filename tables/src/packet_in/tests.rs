use std::time::Duration;

use weir_packet::VecFrame;

use super::*;

const ABOUT: About<'static> = About {
    reason: PacketInReason::Action,
    table: TableId(3),
    cookie: Some(7),
    controller: 1,
    userdata: &[1, 2],
};

const SETTINGS: PacketInSettings = PacketInSettings {
    waiting: 4,
    rate: 10,
    burst: 3,
};

fn send(sender: &mut PacketInSender, port: u16, byte: u8, now: Tick) -> Result<(), DropReason> {
    let frame = VecFrame::new(&[byte; 60]);
    sender.send(PortIndex(port), &frame, &FlowKey::ZERO, ABOUT, now)
}

fn first_bytes(receiver: &mut PacketIns) -> Vec<u8> {
    let mut bytes = Vec::new();
    receiver.drain(|event| {
        assert_eq!((event.total_len, event.data.len()), (60, 60));
        assert_eq!((event.table, event.cookie), (TableId(3), Some(7)));
        assert_eq!((event.controller, &event.userdata[..]), (1, &[1, 2][..]));
        bytes.push(event.data[0]);
    });
    bytes
}

#[test]
fn packets_come_in_order_and_their_places_go_round() {
    let (mut sender, mut receiver) = channel(SETTINGS);
    for round in 0..10_u8 {
        let now = Tick::from_millis(1_000 * (u64::from(round) + 1));
        for byte in 0..3 {
            assert_eq!(send(&mut sender, 0, round * 3 + byte, now), Ok(()));
        }
        let expected: Vec<u8> = (round * 3..round * 3 + 3).collect();
        assert_eq!(first_bytes(&mut receiver), expected);
    }
}

#[test]
fn what_is_not_read_in_time_is_lost() {
    let (mut sender, mut receiver) = channel(SETTINGS);
    let now = Tick::from_millis(1_000);
    for port in 0..4 {
        assert_eq!(send(&mut sender, port, 1, now), Ok(()));
    }
    assert_eq!(send(&mut sender, 5, 1, now), Err(DropReason::PacketInFull));
    assert_eq!(first_bytes(&mut receiver).len(), 4);
    assert_eq!(send(&mut sender, 5, 1, now), Ok(()));
}

#[test]
fn each_port_has_its_rate() {
    let (mut sender, mut receiver) = channel(SETTINGS);
    let mut now = Tick::from_millis(1_000);
    let mut sent = |port, now, receiver: &mut PacketIns| {
        let sent = (0..10).take_while(|_| send(&mut sender, port, 1, now).is_ok());
        let sent = sent.count();
        first_bytes(receiver);
        sent
    };
    assert_eq!(sent(0, now, &mut receiver), 3);
    assert_eq!(sent(1, now, &mut receiver), 3);
    now = now + Duration::from_millis(99);
    assert_eq!(sent(0, now, &mut receiver), 0);
    now = now + Duration::from_millis(1);
    assert_eq!(sent(0, now, &mut receiver), 1);
    // No more than fit the bucket.
    now = now + Duration::from_secs(100);
    assert_eq!(sent(0, now, &mut receiver), 3);
}

#[test]
fn a_frame_that_is_too_long_is_cut() {
    let (mut sender, mut receiver) = channel(SETTINGS);
    let frame = VecFrame::new(&vec![0; DATA_MAX + 10]);
    let now = Tick::from_millis(1_000);
    let sent = sender.send(PortIndex(0), &frame, &FlowKey::ZERO, ABOUT, now);
    assert_eq!(sent, Ok(()));
    receiver.drain(|event| {
        assert_eq!(
            (event.total_len, event.data.len()),
            (DATA_MAX + 10, DATA_MAX)
        );
        assert_eq!(event.data.capacity(), DATA_MAX, "memory is taken at start");
    });
}
