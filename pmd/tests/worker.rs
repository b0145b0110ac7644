//! The poll loop on an lcore: every frame is sent or counted, nothing is allocated, and a panic
//! stops the process.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sched::sched_getaffinity;
use nix::unistd::Pid;
use support::*;
use weir_packet::{Frame, Tick};
use weir_pmd::clock::Clock;
use weir_pmd::eal::{Eal, EalArgs, EalError};
use weir_pmd::lcore::{self, LcoreError, StopFlag};
use weir_pmd::mempool::{Mempool, Mempools};
use weir_pmd::port::StartedPort;
use weir_pmd::worker::{
    NotSent, Processor, TakenOver, TxPorts, Worker, WorkerCounters, WorkerPort, WorkerSettings,
};
use weir_pmd::{Drain, Mbuf, MbufBatch};
use weir_tables::pipeline::Output;
use weir_tables::port::PortIndex;

/// Sends each frame to the port that its last byte names.
#[derive(Default)]
struct LastByte {
    processed: u64,
    housekept: u64,
    refused: usize,
    lost: Vec<(NotSent, usize)>,
    last_tick: Tick,
    /// Allocations of this thread when the loop began, and in the last pass.
    allocations: Option<(u64, u64)>,
    /// Told to somebody who waits.
    seen: Arc<AtomicU64>,
    /// Whether frames for one port that follow each other are handed out together.
    together: bool,
}

impl LastByte {
    fn send_together(&mut self, mut frames: &mut [Option<Mbuf>], out: &mut TxPorts) {
        let port = |frame: &Option<Mbuf>| frame.as_ref().map(last_byte);
        while let Some(first) = frames.first().map(port) {
            let len = frames
                .iter()
                .take_while(|&frame| port(frame) == first)
                .count();
            let (run, rest) = frames.split_at_mut(len);
            if let Some(port) = first {
                let longest = run.iter().flatten().map(Frame::len).max().unwrap();
                out.send_all(PortIndex(port.into()), run, longest);
                assert!(run.iter().all(Option::is_none));
                self.processed += len as u64;
            }
            frames = rest;
        }
    }
}

fn last_byte(frame: &Mbuf) -> u8 {
    *frame.tail().last().unwrap_or(frame.head()).last().unwrap()
}

impl Processor for LastByte {
    fn process(
        &mut self,
        in_port: PortIndex,
        frames: &mut Drain<'_>,
        now: Tick,
        out: &mut TxPorts,
    ) {
        assert_eq!(in_port, IN);
        assert!(now >= self.last_tick);
        self.last_tick = now;
        if self.together {
            self.send_together(frames.slots(), out);
        }
        for frame in frames {
            let last = frame.tail().last().unwrap_or(frame.head()).last().copied();
            out.send(PortIndex(u16::from(last.unwrap())), frame);
            self.processed += 1;
        }
        self.seen.store(self.processed, Ordering::Release);
    }

    fn housekeep(&mut self, _now: Tick, budget: usize) {
        assert_eq!(budget, 7);
        self.housekept += 1;
    }

    fn poll_control(&mut self, _now: Tick, _out: &mut TxPorts) -> bool {
        let count = ALLOCATIONS.get();
        self.allocations.get_or_insert((count, count)).1 = count;
        false
    }

    fn refused(&mut self, frames: usize) {
        self.refused += frames;
    }

    fn not_sent(&mut self, reason: NotSent, frames: usize) {
        // Recorded without allocating: there are four reasons.
        self.lost.push((reason, frames));
    }
}

const IN: PortIndex = PortIndex(0);
const OUT: u8 = 1;
const NARROW: u8 = 2;
const ABSENT: u8 = 9;

struct Bench {
    input: StartedPort,
    out: StartedPort,
    narrow: StartedPort,
    pool: Mempool,
}

/// Three rings. A worker gets the receive side of the first and the transmit sides of the
/// others; the test keeps the other ends.
fn rings(dpdk: &Dpdk, pools: &mut Mempools, base: u32) -> Bench {
    let mut ring =
        |number: u32, mtu| start(dpdk, pools, &format!("net_ring{}", base + number), mtu).unwrap();
    let (input, out, narrow) = (ring(0, 9_000), ring(1, 9_000), ring(2, 1_500));
    let pool = pools.for_node(None).unwrap().clone();
    Bench {
        input,
        out,
        narrow,
        pool,
    }
}

/// Runs a worker over the bench's rings until `done` frames were processed.
fn run(
    dpdk: &Dpdk,
    bench: &mut Bench,
    settings: WorkerSettings,
    done: u64,
) -> (LastByte, Arc<WorkerCounters>) {
    run_with(dpdk, bench, settings, done, LastByte::default())
}

fn run_with(
    dpdk: &Dpdk,
    bench: &mut Bench,
    settings: WorkerSettings,
    done: u64,
    processor: LastByte,
) -> (LastByte, Arc<WorkerCounters>) {
    let processor = LastByte {
        lost: Vec::with_capacity(64),
        ..processor
    };
    let seen = Arc::clone(&processor.seen);
    let ports = vec![
        WorkerPort {
            index: IN,
            rx: std::mem::take(&mut bench.input.rx),
            tx: None,
        },
        WorkerPort {
            index: PortIndex(u16::from(OUT)),
            rx: Vec::new(),
            tx: bench.out.tx.pop(),
        },
        WorkerPort {
            index: PortIndex(u16::from(NARROW)),
            rx: Vec::new(),
            tx: bench.narrow.tx.pop(),
        },
    ];
    let worker = Worker::new(processor, ports, Clock::start(&dpdk.eal), settings);
    let counters = worker.counters();
    let stop = StopFlag::new();
    let flag = stop.clone();
    let lcore = lcore::spawn(&dpdk.eal, last_cpu(), move || worker.run(&flag)).unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    while seen.load(Ordering::Acquire) < done {
        assert!(
            Instant::now() < end,
            "{} of {done} frames",
            seen.load(Ordering::Acquire)
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    stop.set();
    (lcore.join(), counters)
}

const SETTINGS: WorkerSettings = WorkerSettings {
    housekeeping_passes: 4,
    housekeeping_budget: 7,
    idle_sleep: Duration::ZERO,
    idle_passes: 0,
    spare_ports: 0,
};

fn to(port: u8, len: usize) -> Vec<u8> {
    let mut bytes = pattern(len, port);
    bytes[len - 1] = port;
    bytes
}

#[test]
fn every_frame_is_sent_or_counted() {
    let dpdk = dpdk();
    with_pools(&dpdk, |pools| {
        let mut bench = rings(&dpdk, pools, 20);
        let frames = [
            to(OUT, 60),
            to(NARROW, 1_522),
            to(NARROW, 1_523),
            to(ABSENT, 60),
            to(OUT, 9_022),
            to(OUT, 9_023),
            to(OUT, 61),
            to(0, 60),
        ];
        let pool = &bench.pool;
        send(
            &mut bench.input.tx[0],
            frames.iter().map(|bytes| pool.frame(bytes).unwrap()),
        );
        let mut empty = pool.frame(&[0; 60]).unwrap();
        empty.pull_front(60);
        send(&mut bench.input.tx[0], [empty]);

        let (processor, counters) = run(&dpdk, &mut bench, SETTINGS, frames.len() as u64);
        let came = |port: &mut StartedPort| receive(&mut port.rx[0]);
        assert_eq!(
            came(&mut bench.out),
            [to(OUT, 60), to(OUT, 9_022), to(OUT, 61)]
        );
        assert_eq!(came(&mut bench.narrow), [to(NARROW, 1_522)]);
        assert_eq!(processor.refused, 1);
        processor.lost.iter().for_each(|&(reason, count)| {
            assert_eq!(
                count,
                if reason == NotSent::QueueFull { 0 } else { 2 },
                "{reason:?}"
            );
        });
        assert_eq!(processor.lost.len(), 2);
        let read = |at: u8| {
            let port = counters.port(PortIndex(u16::from(at)));
            [
                port.rx_packets.read(),
                port.rx_refused.read(),
                port.tx_packets.read(),
                port.tx_full.read(),
                port.tx_oversize.read(),
                port.tx_chain.read(),
            ]
        };
        assert_eq!(read(0), [9, 1, 0, 0, 0, 0]);
        assert_eq!(read(OUT), [0, 0, 3, 0, 1, 0]);
        assert_eq!(read(NARROW), [0, 0, 1, 0, 1, 0]);
        assert_eq!(counters.tx_no_queue.read(), 2);
        assert_eq!(counters.ports().len(), 3);
    });
}

#[test]
fn every_frame_that_is_handed_out_with_others_is_sent_or_counted() {
    let dpdk = dpdk();
    with_pools(&dpdk, |pools| {
        let mut bench = rings(&dpdk, pools, 60);
        let frames = [
            to(OUT, 60),
            to(OUT, 61),
            to(NARROW, 1_522),
            to(NARROW, 1_523),
            to(ABSENT, 60),
            to(OUT, 9_022),
            to(OUT, 62),
            to(OUT, 9_023),
        ];
        let pool = &bench.pool;
        let mut empty = pool.frame(&[0; 60]).unwrap();
        empty.pull_front(60);
        send(
            &mut bench.input.tx[0],
            [empty]
                .into_iter()
                .chain(frames.iter().map(|bytes| pool.frame(bytes).unwrap())),
        );
        let processor = LastByte {
            together: true,
            ..LastByte::default()
        };
        let done = frames.len() as u64;
        let (processor, counters) = run_with(&dpdk, &mut bench, SETTINGS, done, processor);
        assert_eq!(
            receive(&mut bench.out.rx[0]),
            [to(OUT, 60), to(OUT, 61), to(OUT, 9_022), to(OUT, 62)]
        );
        assert_eq!(receive(&mut bench.narrow.rx[0]), [to(NARROW, 1_522)]);
        assert_eq!(processor.refused, 1);
        assert_eq!(
            processor.lost,
            [(NotSent::NoQueue, 1), (NotSent::Oversize, 2)]
        );
        let port = counters.port(PortIndex(u16::from(OUT)));
        assert_eq!((port.tx_packets.read(), port.tx_oversize.read()), (4, 1));
    });
}

#[test]
fn what_a_full_queue_refuses_is_freed_and_counted() {
    let dpdk = dpdk();
    with_pools(&dpdk, |pools| {
        let mut bench = rings(&dpdk, pools, 30);
        // Fill the output's ring, which nobody empties, but for ten places.
        let mut filler: MbufBatch<1_013> = MbufBatch::new();
        while !filler.is_full() {
            filler
                .push(bench.pool.frame(&to(OUT, 60)).unwrap())
                .unwrap();
        }
        assert_eq!(bench.out.tx[0].send(&mut filler), 1_013);
        let pool = &bench.pool;
        send(
            &mut bench.input.tx[0],
            (0..32).map(|_| pool.frame(&to(OUT, 60)).unwrap()),
        );
        let (processor, counters) = run(&dpdk, &mut bench, SETTINGS, 32);
        assert_eq!(processor.lost, [(NotSent::QueueFull, 22)]);
        let port = counters.port(PortIndex(u16::from(OUT)));
        assert_eq!((port.tx_packets.read(), port.tx_full.read()), (10, 22));
        let mut left = 0;
        loop {
            match receive(&mut bench.out.rx[0]).len() {
                0 => break,
                count => left += count,
            }
        }
        assert_eq!(left, 1_023);
    });
}

#[test]
fn the_loop_allocates_nothing_and_keeps_house() {
    let dpdk = dpdk();
    with_pools(&dpdk, |pools| {
        let mut bench = rings(&dpdk, pools, 40);
        let pool = &bench.pool;
        for _ in 0..20 {
            let frames = [
                to(OUT, 60),
                to(NARROW, 60),
                to(NARROW, 2_000),
                to(ABSENT, 60),
            ];
            send(
                &mut bench.input.tx[0],
                frames.iter().map(|bytes| pool.frame(bytes).unwrap()),
            );
        }
        let (processor, counters) = run(&dpdk, &mut bench, SETTINGS, 80);
        let (before, after) = processor.allocations.unwrap();
        assert_eq!(after - before, 0);
        let passes = counters.passes.read();
        assert_eq!(processor.housekept, passes / 4);
        let busy = counters.busy_passes.read();
        assert!((1..=80).contains(&busy), "{busy}");
        assert!(counters.busy_cycles.read() > 0 && counters.idle_cycles.read() > 0);
        for port in [&mut bench.out, &mut bench.narrow] {
            assert_eq!(receive(&mut port.rx[0]).len(), 20);
        }
    });
}

/// Sends what comes in back to where it comes from, for so many bursts; meanwhile another lcore hands over
/// dearer packets than there is time for.
struct HandedOver {
    bursts_left: u32,
    own: Duration,
    handed_over: Duration,
    /// Frames, when all is over.
    freed: Arc<AtomicU64>,
}

fn spin(time: Duration) -> Duration {
    let begun = Instant::now();
    while begun.elapsed() < time {
        std::hint::spin_loop();
    }
    begun.elapsed()
}

impl Processor for HandedOver {
    fn process(
        &mut self,
        in_port: PortIndex,
        frames: &mut Drain<'_>,
        _now: Tick,
        out: &mut TxPorts,
    ) {
        if self.bursts_left == 0 {
            self.freed
                .fetch_add(frames.count() as u64, Ordering::Release);
            return;
        }
        self.bursts_left -= 1;
        for frame in frames {
            out.send(in_port, frame);
        }
        self.own += spin(Duration::from_micros(10));
    }

    fn housekeep(&mut self, _now: Tick, _budget: usize) {}

    fn poll_control(&mut self, _now: Tick, _out: &mut TxPorts) -> bool {
        false
    }

    fn neighbours(&self) -> usize {
        1
    }

    fn take_over(&mut self, neighbour: usize, _now: Tick, _out: &mut TxPorts) -> TakenOver {
        assert_eq!(neighbour, 0);
        if self.bursts_left == 0 {
            return TakenOver::default();
        }
        self.handed_over += spin(Duration::from_micros(200));
        TakenOver {
            notes: 64,
            waits: true,
        }
    }

    fn refused(&mut self, _frames: usize) {}

    fn not_sent(&mut self, _reason: NotSent, frames: usize) {
        panic!("{frames} frames were not sent");
    }
}

/// However dear what another lcore hands over is, a queue that has frames waiting gets its share.
#[test]
fn what_another_lcore_hands_over_takes_its_share_and_no_more() {
    const FRAMES: usize = 256;
    let dpdk = dpdk();
    with_pools(&dpdk, |pools| {
        let mut bench = rings(&dpdk, pools, 70);
        let pool = &bench.pool;
        for _ in 0..FRAMES / 32 {
            let frames = (0..32).map(|_| pool.frame(&to(OUT, 60)).unwrap());
            send(&mut bench.input.tx[0], frames);
        }
        let freed = Arc::new(AtomicU64::new(0));
        let processor = HandedOver {
            bursts_left: 10_000,
            own: Duration::ZERO,
            handed_over: Duration::ZERO,
            freed: Arc::clone(&freed),
        };
        let ports = vec![WorkerPort {
            index: IN,
            rx: std::mem::take(&mut bench.input.rx),
            tx: bench.input.tx.pop(),
        }];
        let settings = WorkerSettings::default();
        let worker = Worker::new(processor, ports, Clock::start(&dpdk.eal), settings);
        let stop = StopFlag::new();
        let flag = stop.clone();
        let lcore = lcore::spawn(&dpdk.eal, last_cpu(), move || worker.run(&flag)).unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        while freed.load(Ordering::Acquire) < FRAMES as u64 {
            assert!(Instant::now() < end, "all frames come back");
            std::thread::sleep(Duration::from_millis(1));
        }
        stop.set();
        let done = lcore.join();
        let (own, handed_over) = (done.own.as_secs_f64(), done.handed_over.as_secs_f64());
        let share = own / (own + handed_over);
        assert!((0.4..0.6).contains(&share), "{share:.2} of the lcore");
    });
}

#[test]
fn an_idle_worker_sleeps_if_it_is_told_to() {
    let dpdk = dpdk();
    with_pools(&dpdk, |pools| {
        let mut bench = rings(&dpdk, pools, 50);
        let settings = WorkerSettings {
            idle_sleep: Duration::from_millis(20),
            idle_passes: 3,
            ..SETTINGS
        };
        let worker = Worker::new(
            LastByte::default(),
            vec![WorkerPort {
                index: IN,
                rx: std::mem::take(&mut bench.input.rx),
                tx: None,
            }],
            Clock::start(&dpdk.eal),
            settings,
        );
        let counters = worker.counters();
        let stop = StopFlag::new();
        let flag = stop.clone();
        let lcore = lcore::spawn(&dpdk.eal, last_cpu(), move || worker.run(&flag)).unwrap();
        std::thread::sleep(Duration::from_millis(400));
        stop.set();
        lcore.join();
        let passes = counters.passes.read();
        assert!((3..=3 + 21).contains(&passes), "{passes} passes in 400 ms");
    });
}

#[test]
fn dpdk_starts_once_per_process() {
    let _dpdk = dpdk();
    let again = Eal::start(&EalArgs::default()).err().unwrap();
    assert_eq!(again, EalError::Again);
}

#[test]
fn an_lcore_runs_on_its_cpu_only() {
    let dpdk = dpdk();
    let cpu = last_cpu();
    let lcore = lcore::spawn(&dpdk.eal, cpu, || {
        let set = sched_getaffinity(Pid::from_raw(0)).unwrap();
        (0..64)
            .filter(|&cpu| set.is_set(cpu) == Ok(true))
            .collect::<Vec<_>>()
    })
    .unwrap();
    assert_eq!(lcore.cpu(), cpu);
    assert_eq!(lcore.join(), [usize::from(cpu)]);
}

#[test]
fn an_lcore_on_a_cpu_that_is_not_there_is_an_error() {
    let dpdk = dpdk();
    let error = lcore::spawn(&dpdk.eal, 1_000, || ()).err().unwrap();
    assert!(
        matches!(error, LcoreError::Pin { cpu: 1_000, .. }),
        "{error}"
    );
}

#[test]
fn lcores_come_and_go_more_often_than_there_are_numbers() {
    let dpdk = dpdk();
    with_pool(&dpdk, |pool| {
        for round in 0..200_usize {
            let pool = pool.clone();
            // Takes from its lcore's cache and gives to it.
            let lcore = lcore::spawn(&dpdk.eal, last_cpu(), move || {
                let frames: Vec<_> = (0..50).map(|_| pool.frame(&[1; 60]).unwrap()).collect();
                frames.len() + round
            });
            assert_eq!(lcore.unwrap().join(), 50 + round);
        }
    });
}

#[test]
fn a_panic_on_an_lcore_stops_the_process() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "panics_on_an_lcore", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    let last = format!(
        "weir: the worker on CPU {} panicked, the switch stops: the table is torn",
        last_cpu()
    );
    assert!(text.contains(&last), "{text}");
}

#[test]
#[ignore = "ends the process; run by a_panic_on_an_lcore_stops_the_process"]
fn panics_on_an_lcore() {
    let dpdk = dpdk();
    let lcore = lcore::spawn(&dpdk.eal, last_cpu(), || {
        let torn = "torn";
        panic!("the table is {torn}");
    })
    .unwrap();
    lcore.join();
    std::process::exit(0);
}

/// The last CPU that this process may use.
fn last_cpu() -> u16 {
    let set = sched_getaffinity(Pid::from_raw(0)).unwrap();
    let cpu = (0..1_024)
        .rev()
        .find(|&cpu| set.is_set(cpu) == Ok(true))
        .unwrap();
    u16::try_from(cpu).unwrap()
}

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: passes everything on to the system's allocator; the counter neither allocates nor has
// a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
