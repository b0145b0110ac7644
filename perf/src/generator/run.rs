//! Sends and receives.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use weir_pmd::clock::{Clock, Cycles};
use weir_pmd::eal::{Eal, EalArgs};
use weir_pmd::lcore::{StopFlag, spawn};
use weir_pmd::mempool::{Mempool, Mempools};
use weir_pmd::port::{DeviceName, Port, PortConfig, StartedPort};
use weir_pmd::{MbufBatch, RxQueue, TxQueue};

use super::pace::Pace;
use super::template::Template;
use crate::failure::Failure;
use crate::report::table;

/// How much is sent, and how fast.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Packets per second; `None`: as many as the devices take.
    pub rate: Option<u64>,
    /// How many packets; `None`: until the time is over.
    pub count: Option<u64>,
    /// How long, at most.
    pub time: Duration,
    /// How long to wait for what comes back, after the last packet.
    pub linger: Duration,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Each port.
    pub ports: Vec<PortOutcome>,
    /// From the first packet to the last.
    pub time: Duration,
}

/// What a port sent and received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortOutcome {
    /// Frames that the device took.
    pub sent: u64,
    /// Frames that it had no room for; with a rate to keep they are lost, without one they are
    /// tried again and not counted.
    pub refused: u64,
    /// Frames that came back.
    pub received: u64,
    /// Their bytes, without FCS.
    pub received_bytes: u64,
}

const MBUFS: u32 = 16_383;
const MEMORY_MB: u32 = 192;
const BURST: usize = 32;
/// Clients of shared memory look for their server every few seconds.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// Sends `templates` on `devices` (arguments of virtual devices) from CPU `cpu`, in turn. Tells
/// `progress` once a second how many were sent and received.
///
/// # Errors
/// If DPDK or a device does not start, or nobody is at the other end.
pub fn run(
    devices: &[String],
    templates: Vec<Template>,
    cpu: u16,
    limits: Limits,
    mut progress: impl FnMut(&str),
) -> Result<Outcome, Failure> {
    let failed = |error: &dyn fmt::Display| Failure::Program(error.to_string());
    let eal = Eal::start(&EalArgs {
        worker_cpus: vec![cpu],
        memory_mb: MEMORY_MB,
        ..EalArgs::default()
    })
    .map_err(|error| failed(&error))?;
    let mut pools = Mempools::new(eal.clone(), MBUFS);
    let mut ports = Vec::new();
    for (number, device) in (1..).zip(devices) {
        let config = PortConfig {
            name: number.to_string(),
            device: DeviceName::Vdev(device.clone()),
            rx_queues: 1,
            tx_queues: 1,
            mtu: 1_500,
            rss_key: 0x6d5a,
        };
        ports.push(Port::start(&eal, &mut pools, &config).map_err(|error| failed(&error))?);
    }
    connected(&ports)?;
    let pool = pools.for_node(None).map_err(|error| failed(&error))?;
    let clock = Clock::start(&eal);
    let stop = StopFlag::new();
    let told = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let (handles, queues): (Vec<Port>, Vec<Queues>) = ports.into_iter().map(Queues::split).unzip();
    let mut work = Work {
        queues,
        templates,
        pool: pool.clone(),
        clock,
        limits,
        told: Arc::clone(&told),
    };
    let flag = stop.clone();
    let lcore = spawn(&eal, cpu, move || work.run(&flag)).map_err(|error| failed(&error))?;
    let mut said = Instant::now();
    while !lcore.is_finished() {
        thread::sleep(PAUSE);
        if said.elapsed() >= Duration::from_secs(1) {
            said = Instant::now();
            let [sent, received] = [&told[0], &told[1]].map(|count| count.load(Ordering::Relaxed));
            progress(&format!("{sent} sent, {received} received"));
        }
    }
    let outcome = lcore.join();
    drop(handles);
    Ok(outcome)
}

/// Waits until all links are up.
fn connected(ports: &[StartedPort]) -> Result<(), Failure> {
    let begun = Instant::now();
    while let Some(down) = ports.iter().find(|port| !port.port.link().up) {
        if begun.elapsed() > PATIENCE {
            let name = down.port.name();
            return Err(Failure::Program(format!("port {name}: nobody is there")));
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// The queues of a port and what went through them.
struct Queues {
    rx: Vec<RxQueue>,
    tx: TxQueue,
    /// Frames for this port.
    batch: MbufBatch,
    outcome: PortOutcome,
}

impl Queues {
    fn split(port: StartedPort) -> (Port, Self) {
        let StartedPort { port, rx, mut tx } = port;
        let tx = tx.pop().expect("a queue was asked for");
        let queues = Self {
            rx,
            tx,
            batch: MbufBatch::new(),
            outcome: PortOutcome::default(),
        };
        (port, queues)
    }
}

/// What the lcore does.
struct Work {
    queues: Vec<Queues>,
    templates: Vec<Template>,
    pool: Mempool,
    clock: Clock,
    limits: Limits,
    told: Arc<[AtomicU64; 2]>,
}

impl Work {
    fn run(&mut self, stop: &StopFlag) -> Outcome {
        let hz = self.clock.hz();
        let cycles_of = |time: Duration| (time.as_secs_f64() * hz as f64) as u64;
        let (most, linger) = (cycles_of(self.limits.time), cycles_of(self.limits.linger));
        let mut pace = Pace::new(self.limits.rate, hz);
        let mut left = self.limits.count.unwrap_or(u64::MAX);
        let mut turn = 0;
        let start = self.clock.cycles();
        let mut passed = 0;
        while left > 0 && passed < most && !stop.is_set() {
            let burst = usize::try_from(left).map_or(BURST, |left| left.min(BURST));
            let made = self.make(pace.due(passed, burst), &mut turn);
            pace.took(made);
            left -= made as u64;
            self.send();
            self.receive();
            passed = self.clock.cycles().since(start).0;
        }
        let time = self.clock.duration(Cycles(passed));
        let ended = self.clock.cycles();
        while self.clock.cycles().since(ended).0 < linger && !stop.is_set() {
            self.send();
            self.receive();
        }
        for queues in &mut self.queues {
            queues.outcome.refused += queues.batch.free() as u64;
        }
        let ports = self.queues.iter().map(|queues| queues.outcome).collect();
        Outcome { ports, time }
    }

    /// Makes up to `count` frames, in turn of the templates; returns how many there was room and
    /// memory for.
    fn make(&mut self, count: usize, turn: &mut usize) -> usize {
        for made in 0..count {
            let template = &mut self.templates[*turn];
            let queues = &mut self.queues[template.port];
            if queues.batch.is_full() {
                return made;
            }
            let Ok(frame) = self.pool.frame(template.frame()) else {
                return made;
            };
            // There is room.
            let _ = queues.batch.push(frame);
            template.advance();
            *turn = (*turn + 1) % self.templates.len();
        }
        count
    }

    fn send(&mut self) {
        let keep = self.limits.rate.is_none();
        for queues in &mut self.queues {
            if queues.batch.is_empty() {
                continue;
            }
            let sent = queues.tx.send(&mut queues.batch) as u64;
            queues.outcome.sent += sent;
            if !keep {
                queues.outcome.refused += queues.batch.free() as u64;
            }
        }
        self.tell(0, |outcome| outcome.sent);
    }

    fn receive(&mut self) {
        let mut batch: MbufBatch = MbufBatch::new();
        for queues in &mut self.queues {
            for queue in &mut queues.rx {
                queue.receive(&mut batch);
                for frame in batch.drain() {
                    queues.outcome.received += 1;
                    queues.outcome.received_bytes += weir_packet::Frame::len(&frame) as u64;
                }
            }
        }
        self.tell(1, |outcome| outcome.received);
    }

    fn tell(&self, index: usize, count: impl Fn(&PortOutcome) -> u64) {
        let sum = self
            .queues
            .iter()
            .map(|queues| count(&queues.outcome))
            .sum();
        self.told[index].store(sum, Ordering::Relaxed);
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.time.as_secs_f64();
        let cells = self.ports.iter().zip(1..).map(|(port, number)| {
            let rate = |count: u64| format!("{:.3}", count as f64 / seconds / 1e6);
            vec![
                number.to_string(),
                port.sent.to_string(),
                rate(port.sent),
                port.refused.to_string(),
                port.received.to_string(),
                rate(port.received),
                port.received_bytes.to_string(),
            ]
        });
        let heading = [
            "port", "sent", "Mpps", "refused", "received", "Mpps", "bytes",
        ];
        write!(f, "{}", table(&heading, &cells.collect::<Vec<_>>()))
    }
}
