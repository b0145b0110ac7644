//! The programs that are compared, behind one interface: start, look at counters, stop.
//!
//! Each polls two `net_pcap` devices that play a capture, over and over (`infinite_rx`) or once,
//! and throw away what is sent to them, on one core and with the same memory. Or on two: then
//! each device has two queues, of which each plays a capture of its own ([`queue_capture`]).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::captures::Direction;
use crate::failure::Failure;
use crate::scenario::{Play, Scenario};

mod ovs;
mod testpmd;
mod weir;

pub use ovs::Ovs;
pub use testpmd::{ForwardMode, Testpmd};
pub use weir::{Settings, Weir};

/// A program that forwards.
pub trait Contender {
    /// What it is called in tables.
    fn name(&self) -> String;

    /// Whether it can do what `scenario` asks.
    fn can(&self, scenario: &Scenario) -> bool;

    /// Starts it on `job`; returns when it forwards.
    ///
    /// # Errors
    /// If it does not start.
    fn start(&self, job: &Job<'_>) -> Result<Box<dyn Running>, Failure>;
}

/// A contender at work; dropping it stops it.
pub trait Running {
    /// Its process.
    fn process(&self) -> u32;

    /// Name and version, as it says itself.
    fn version(&self) -> &str;

    /// What the two ports have received and sent.
    ///
    /// # Errors
    /// If it does not answer.
    fn ports(&mut self) -> Result<[PortCount; 2], Failure>;

    /// What its rules have counted.
    ///
    /// # Errors
    /// If it does not answer.
    fn evidence(&mut self) -> Result<Evidence, Failure>;

    /// What its worker has done since it was started. The last thing that is asked of a contender
    /// that plays captures once: it may have to stop for the answer.
    ///
    /// # Errors
    /// If it does not answer.
    fn busy(&mut self) -> Result<Busy, Failure>;

    /// Bytes that the tables of its worker were given, by part; none if it does not say.
    ///
    /// # Errors
    /// If it does not answer.
    fn memory(&mut self) -> Result<Vec<(String, u64)>, Failure> {
        Ok(Vec::new())
    }
}

/// What a worker has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Busy {
    /// Packets received.
    pub packets: u64,
    /// Cycles of the time stamp counter in polls that brought packets.
    pub cycles: u64,
}

/// What a contender is to do, and where.
#[derive(Debug)]
pub struct Job<'a> {
    /// Policy and traffic.
    pub scenario: &'a Scenario,
    /// The capture that port 1 plays.
    pub forward: PathBuf,
    /// The capture that port 2 plays.
    pub reply: PathBuf,
    /// Which cores and memory it gets.
    pub placement: &'a Placement,
    /// For its files; empty and its own.
    pub dir: &'a Path,
}

impl Job<'_> {
    /// Arguments of the `net_pcap` device that plays `direction`.
    fn device_arguments(&self, direction: Direction) -> String {
        let capture = match direction {
            Direction::Forward => &self.forward,
            Direction::Reply => &self.reply,
        };
        let endless = match self.scenario.play {
            Play::Endless => ",infinite_rx=1",
            Play::Once => "",
        };
        let queues = 0..self.placement.workers().len();
        let captures =
            queues.map(|queue| format!("rx_pcap={}", queue_capture(capture, queue).display()));
        captures.collect::<Vec<_>>().join(",") + endless
    }

    /// The switch's side of the port at which a generator sends.
    fn generators_device(&self) -> String {
        memif(self.dir, "server")
    }

    fn buffers(&self) -> u32 {
        buffers(self.scenario)
    }

    fn memory_mb(&self) -> u32 {
        memory_mb(self.buffers(), self.placement.memory)
    }

    /// A name under which DPDK keeps its runtime files, which nobody else uses.
    fn file_prefix(&self, contender: &str) -> String {
        format!("weir-perf-{}-{contender}", std::process::id())
    }

    /// EAL arguments for memory that leave no files behind.
    fn memory_arguments(&self, mb: u32) -> Vec<String> {
        match self.placement.memory {
            Memory::HugePages => vec!["--in-memory".to_owned()],
            Memory::OrdinaryPages => {
                vec!["--no-huge".to_owned(), "-m".to_owned(), mb.to_string()]
            }
        }
    }
}

/// The capture that a queue of a device plays whose first queue plays `first`.
pub fn queue_capture(first: &Path, queue: usize) -> PathBuf {
    if queue == 0 {
        return first.to_owned();
    }
    let name = first.file_name().unwrap_or_default().to_string_lossy();
    first.with_file_name(format!("{queue}-{name}"))
}

/// A device of shared memory that meets its other side in `dir`.
pub(crate) fn memif(dir: &Path, role: &str) -> String {
    let socket = dir.join("generator.sock");
    format!(
        "net_memif0,role={role},id=0,socket={},socket-abstract=no",
        socket.display()
    )
}

/// Which cores and memory a contender gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The core that forwards.
    pub worker_cpu: u16,
    /// The core for all else.
    pub main_cpu: u16,
    /// Whether that forwards, too.
    pub both_forward: bool,
    /// What packet buffers lie in.
    pub memory: Memory,
}

impl Placement {
    /// The same with the cores' parts exchanged.
    #[must_use]
    pub const fn exchanged(self) -> Self {
        Self {
            worker_cpu: self.main_cpu,
            main_cpu: self.worker_cpu,
            ..self
        }
    }

    /// The cores that forward.
    pub fn workers(&self) -> Vec<u16> {
        let mut workers = vec![self.worker_cpu];
        if self.both_forward {
            workers.push(self.main_cpu);
        }
        workers
    }
}

/// What packet buffers lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Huge pages.
    HugePages,
    /// Pages of 4 kB (`--no-huge`).
    OrdinaryPages,
}

/// What a port has received and sent, in frames since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortCount {
    /// Frames received.
    pub received: u64,
    /// Frames sent.
    pub sent: u64,
}

/// What a contender's rules have counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Packets by cookie.
    pub rules: BTreeMap<u64, u64>,
    /// How many connections are tracked; `None`: it does not say.
    pub connections: Option<u64>,
}

/// Packet buffers for `scenario`: a device that plays over and over keeps its whole capture in
/// them.
fn buffers(scenario: &Scenario) -> u32 {
    const SPARE: u32 = 16_384;
    kept_frames(scenario) + SPARE
}

/// Frames that devices keep in packet buffers.
const fn kept_frames(scenario: &Scenario) -> u32 {
    match scenario.play {
        Play::Endless => scenario.frames(),
        Play::Once => 0,
    }
}

/// MB of memory for so many packet buffers (2 kB of data, headroom and header each) and the
/// rest.
fn memory_mb(buffers: u32, memory: Memory) -> u32 {
    const REST_MB: u32 = 256;
    let buffer_size: u64 = match memory {
        Memory::HugePages => 2_560,
        // DPDK lets no buffer lie across two pages.
        Memory::OrdinaryPages => 4_096 + 64,
    };
    (u64::from(buffers) * buffer_size).div_ceil(1 << 20) as u32 + REST_MB
}

/// MB of huge pages that any contender needs for `scenario`.
pub fn most_memory_mb(scenario: &Scenario) -> u32 {
    memory_mb(buffers(scenario), Memory::HugePages).max(ovs::MEMORY_MB)
}

/// Where a program is, looking into the administrator's folders too.
pub(crate) fn find(program: &str, package: &'static str) -> Result<PathBuf, Failure> {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/sbin", "/sbin"])
        .map(|dir| Path::new(dir).join(program))
        .find(|file| file.is_file())
        .ok_or_else(|| Failure::Absent {
            program: program.to_owned(),
            package,
        })
}
