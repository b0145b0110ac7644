//! What an lcore's loop costs before it does anything: frames from one port to the other, over
//! two `net_pcap` devices that repeat a capture without end.
//!
//! `cargo bench --bench io -- CAPTURE [SECONDS]`; the capture may be one of any number of frames.
//! Compare with `dpdk-testpmd --forward-mode=io` over the same devices.
//!
//! Two loops: queues and batches by hand, and a [`Worker`] whose processor only forwards.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::sched::sched_getaffinity;
use nix::unistd::Pid;
use weir_packet::Tick;
use weir_pmd::clock::Clock;
use weir_pmd::eal::{Eal, EalArgs};
use weir_pmd::lcore::{StopFlag, spawn};
use weir_pmd::mempool::Mempools;
use weir_pmd::port::{DeviceName, Port, PortConfig, StartedPort};
use weir_pmd::worker::{NotSent, Processor, TxPorts, Worker, WorkerPort, WorkerSettings};
use weir_pmd::{Drain, MbufBatch};
use weir_tables::pipeline::Output;
use weir_tables::port::PortIndex;

const MEMORY_MB: u32 = 1_024;

fn main() {
    // Cargo adds `--bench`.
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench");
    let Some(capture) = arguments.next() else {
        println!("io: no capture given, nothing measured");
        return;
    };
    let seconds = arguments
        .next()
        .map_or(5, |text| text.parse().expect("SECONDS is a number"));
    let cpus = sched_getaffinity(Pid::from_raw(0)).expect("the process has an affinity");
    let cpu = (0..1_024_u16)
        .rev()
        .find(|&cpu| cpus.is_set(usize::from(cpu)) == Ok(true));
    let cpu = cpu.expect("the process has a CPU");
    let args = EalArgs {
        worker_cpus: vec![cpu],
        memory_mb: MEMORY_MB,
        ..EalArgs::default()
    };
    let eal = Eal::start(&args).expect("DPDK starts");
    by_hand(&eal, cpu, &capture, seconds);
    with_a_worker(&eal, cpu, &capture, seconds);
}

/// Receive a burst, send it, as testpmd does.
fn by_hand(eal: &Eal, cpu: u16, capture: &str, seconds: u64) {
    let mut pools = Mempools::new(eal.clone(), 131_071);
    let [mut one, mut two] = ports(eal, &mut pools, capture);
    let stop = StopFlag::new();
    let flag = stop.clone();
    let clock = Clock::start(eal);
    let lcore = spawn(eal, cpu, move || {
        let mut batch: MbufBatch = MbufBatch::new();
        let (mut sent, start) = (0_u64, clock.cycles());
        while !flag.is_set() {
            for (rx, tx) in [
                (&mut one.rx[0], &mut two.tx[0]),
                (&mut two.rx[0], &mut one.tx[0]),
            ] {
                rx.receive(&mut batch);
                if !batch.is_empty() {
                    sent += tx.send(&mut batch) as u64;
                    batch.free();
                }
            }
        }
        (sent, clock.cycles().since(start))
    })
    .expect("the lcore starts");
    thread::sleep(Duration::from_secs(seconds));
    stop.set();
    let (sent, cycles) = lcore.join();
    report("queues by hand", sent, clock.duration(cycles), cycles.0);
}

/// The switch's own loop.
fn with_a_worker(eal: &Eal, cpu: u16, capture: &str, seconds: u64) {
    let mut pools = Mempools::new(eal.clone(), 131_071);
    let ports = ports(eal, &mut pools, capture);
    let (handles, ports): (Vec<_>, Vec<_>) = (0..)
        .zip(ports)
        .map(|(at, mut port)| {
            let index = PortIndex(at);
            (
                port.port,
                WorkerPort {
                    index,
                    rx: port.rx,
                    tx: port.tx.pop(),
                },
            )
        })
        .unzip();
    let clock = Clock::start(eal);
    let worker = Worker::new(Forward, ports, clock, WorkerSettings::default());
    let counters = worker.counters();
    let stop = StopFlag::new();
    let flag = stop.clone();
    let lcore = spawn(eal, cpu, move || worker.run(&flag)).expect("the lcore starts");
    thread::sleep(Duration::from_secs(seconds));
    stop.set();
    lcore.join();
    drop(handles);
    let counters = Arc::clone(&counters);
    let sent = counters
        .ports()
        .iter()
        .map(|port| port.tx_packets.read())
        .sum();
    let cycles = counters.busy_cycles.read();
    let duration = clock.duration(weir_pmd::clock::Cycles(cycles));
    report("worker that forwards", sent, duration, cycles);
}

fn ports(eal: &Eal, pools: &mut Mempools, capture: &str) -> [StartedPort; 2] {
    [0, 1].map(|number| {
        // Without a capture to write to, what is sent is counted and freed.
        let vdev = format!("net_pcap{number},rx_pcap={capture},infinite_rx=1");
        let config = PortConfig {
            name: format!("p{number}"),
            device: DeviceName::Vdev(vdev),
            rx_queues: 1,
            tx_queues: 1,
            mtu: 1_500,
            rss_key: 0x6d5a,
        };
        Port::start(eal, pools, &config).unwrap_or_else(|error| panic!("{error}"))
    })
}

fn report(what: &str, frames: u64, duration: Duration, cycles: u64) {
    let rate = frames as f64 / duration.as_secs_f64() / 1e6;
    let cost = cycles as f64 / frames as f64;
    println!("{what}: {rate:.2} Mpps, {cost:.1} cycles per frame");
}

/// Sends what comes in at one port to the other.
struct Forward;

impl Processor for Forward {
    fn process(
        &mut self,
        in_port: PortIndex,
        frames: &mut Drain<'_>,
        _now: Tick,
        out: &mut TxPorts,
    ) {
        for frame in frames {
            out.send(PortIndex(1 - in_port.0), frame);
        }
    }

    fn housekeep(&mut self, _now: Tick, _budget: usize) {}

    fn poll_control(&mut self, _now: Tick, _out: &mut TxPorts) -> bool {
        false
    }

    fn refused(&mut self, _frames: usize) {}

    fn not_sent(&mut self, reason: NotSent, frames: usize) {
        panic!("{frames} frames were not sent: {reason:?}");
    }
}
