use weir_packet::{VecFrame, text};

use super::*;
use crate::request::Commit;
use crate::tracker::Cursor;

fn owners() -> Owners {
    Owners::new(2, 1)
}

fn shard(me: u16, bounds: Bounds) -> Shard<VecFrame> {
    let settings = Settings {
        max_connections: 8,
        ..Settings::default()
    };
    Shard::new(&settings, 7, &owners(), ShardId(me), bounds)
}

fn wire(frame: &VecFrame) -> Belongs {
    let layout = weir_packet::parse(frame.head(), frame.len()).expect("no runt");
    owners().belongs(frame.head(), &layout)
}

/// A packet that belongs to this shard.
fn packet_of(shard: u16, nth: usize) -> VecFrame {
    let packets = (1..).map(|port| text::frame(&format!("udp 10.0.0.1:{port} > 10.0.0.2:9")));
    let belongs = |frame: &VecFrame| match wire(frame) {
        Belongs::Pair(pair) => owners().owner(pair) == ShardId(shard),
        Belongs::Shard(_) | Belongs::Anywhere => false,
    };
    packets.filter(belongs).nth(nth).expect("every other one")
}

fn arrive(shard: &mut Shard<VecFrame>, frame: &VecFrame) -> Arrival<VecFrame> {
    shard.arrive(frame.clone(), wire(frame))
}

/// A commit of a packet that a rule gave another shard's tuple.
fn execute(shard: &mut Shard<VecFrame>, frame: &VecFrame, quest: &mut Quest) -> Result<(), Held> {
    let layout = weir_packet::parse(frame.head(), frame.len()).expect("no runt");
    let request = Request {
        commit: Some(Commit::default()),
        ..Request::default()
    };
    let outcome = shard.execute(frame, &layout, &request, quest, Tick::ZERO);
    outcome.map(drop)
}

fn carry(from: &mut Shard<VecFrame>, to: &mut Shard<VecFrame>) {
    while let Some(message) = from.outgoing(to.exchange.me) {
        let arrival = to.handle(from.exchange.me, message, Tick::ZERO);
        assert!(matches!(arrival, Arrival::Gone));
    }
}

#[test]
fn a_packet_of_another_shard_is_passed_on_while_there_is_room() {
    let bounds = Bounds {
        passing: 2,
        waiting: 2,
    };
    let mut a = shard(0, bounds);
    assert!(matches!(
        arrive(&mut a, &packet_of(0, 0)),
        Arrival::Here(..)
    ));
    for n in 0..2 {
        assert!(matches!(arrive(&mut a, &packet_of(1, n)), Arrival::Gone));
    }
    let arrival = arrive(&mut a, &packet_of(1, 2));
    assert!(
        matches!(arrival, Arrival::Dropped(frame, HandOffDrop::QueueFull) if frame == packet_of(1, 2))
    );
    assert!(a.outgoing(ShardId(1)).is_some());
    assert!(matches!(arrive(&mut a, &packet_of(1, 2)), Arrival::Gone));
    assert_eq!(
        (a.counters().passed_on, a.counters().dropped_queue_full),
        (3, 1)
    );
}

/// A rule may give a packet another tuple before `ct()`: then that one is asked for.
#[test]
fn a_tuple_that_a_rule_wrote_is_reserved_too() {
    let (mut a, mut b) = (shard(0, Bounds::default()), shard(1, Bounds::default()));
    let (came, rewritten) = (packet_of(0, 0), packet_of(1, 0));
    let mut quest = Quest::default();
    let Err(Held::Wait(wish)) = execute(&mut a, &rewritten, &mut quest) else {
        panic!("it is b's");
    };
    a.wait(rewritten.clone(), wire(&came), quest, wish)
        .expect("there is room");
    assert!(a.ready().is_none());
    carry(&mut a, &mut b);
    carry(&mut b, &mut a);
    let ready = a.ready().expect("b said yes");
    let mut quest = ready.quest.expect("it waited in a ct()");
    assert_eq!(execute(&mut a, &ready.packet, &mut quest), Ok(()));
    assert_eq!((a.pairs(), b.pairs()), ((1, 0), (0, 1)));
    // What comes to b of it goes to a.
    assert!(matches!(arrive(&mut b, &rewritten), Arrival::Gone));
    assert!(matches!(arrive(&mut a, &rewritten), Arrival::Here(..)));
    // Two packets pass each other: b's is handed over after a gave the tuple back.
    a.tracker_mut()
        .flush(Cursor::default(), 8, &crate::Filter::default(), &mut 0);
    carry(&mut a, &mut b);
    assert_eq!((a.pairs(), b.pairs()), ((0, 0), (0, 0)));
    let handed = b.outgoing(ShardId(0)).expect("the packet");
    assert!(matches!(
        a.handle(ShardId(1), handed, Tick::ZERO),
        Arrival::Gone
    ));
    let back = a.outgoing(ShardId(1)).expect("the packet");
    let arrival = b.handle(ShardId(0), back, Tick::ZERO);
    assert!(matches!(arrival, Arrival::Here(frame, _) if frame == rewritten));
}

#[test]
fn a_tuple_that_its_owner_uses_is_refused() {
    let (mut a, mut b) = (shard(0, Bounds::default()), shard(1, Bounds::default()));
    let rewritten = packet_of(1, 0);
    assert_eq!(execute(&mut b, &rewritten, &mut Quest::default()), Ok(()));
    let mut quest = Quest::default();
    let Err(Held::Wait(wish)) = execute(&mut a, &rewritten, &mut quest) else {
        panic!("it is b's");
    };
    a.wait(rewritten.clone(), wire(&packet_of(0, 0)), quest, wish)
        .expect("there is room");
    carry(&mut a, &mut b);
    carry(&mut b, &mut a);
    let mut quest = a.ready().and_then(|ready| ready.quest).expect("b said no");
    let drop = Held::Drop(CtDrop::TupleInUse);
    assert_eq!(execute(&mut a, &rewritten, &mut quest), Err(drop));
    assert_eq!(b.counters().refused, 1);
    assert!(a.is_quiet() && b.is_quiet());
}

#[test]
fn so_many_packets_wait_and_no_more() {
    let bounds = Bounds {
        passing: 2,
        waiting: 2,
    };
    let mut a = shard(0, bounds);
    for n in 0..3 {
        let (came, rewritten) = (packet_of(0, n), packet_of(1, n));
        let mut quest = Quest::default();
        let Err(Held::Wait(wish)) = execute(&mut a, &rewritten, &mut quest) else {
            panic!("it is b's");
        };
        let waits = a.wait(rewritten, wire(&came), quest, wish);
        assert_eq!(
            waits.map_err(|(_, drop)| drop),
            if n < 2 {
                Ok(())
            } else {
                Err(HandOffDrop::WaitingFull)
            }
        );
    }
    // Nor behind another.
    let arrival = arrive(&mut a, &packet_of(0, 0));
    assert!(matches!(
        arrival,
        Arrival::Dropped(_, HandOffDrop::WaitingFull)
    ));
    assert!(matches!(
        arrive(&mut a, &packet_of(0, 5)),
        Arrival::Here(..)
    ));
    assert_eq!(a.counters().dropped_waiting_full, 2);
}

#[test]
fn one_shard_asks_nobody() {
    let settings = Settings {
        max_connections: 8,
        ..Settings::default()
    };
    let owners = Owners::new(1, 1);
    let mut alone: Shard<VecFrame> =
        Shard::new(&settings, 7, &owners, ShardId(0), Bounds::default());
    for n in 0..4 {
        let frame = packet_of(n % 2, n.into());
        assert!(matches!(arrive(&mut alone, &frame), Arrival::Here(..)));
        assert_eq!(execute(&mut alone, &frame, &mut Quest::default()), Ok(()));
    }
    assert!(alone.is_quiet());
    assert_eq!(alone.pairs(), (0, 0));
    assert_eq!(alone.counters().iter().map(|(_, n, _)| n).sum::<u64>(), 0);
}
