//! What the management thread needs of whoever runs the lcores.

use std::sync::Arc;
use std::time::Duration;

use weir_packet::Tick;

use crate::counters::LcoreCounters;
use crate::lcore::{LcoreAnswer, LcoreRequest};
use crate::packet_in::PacketIn;
use crate::port::{PortIndex, PortNo};
use crate::publication::Publications;
use crate::snapshot::Snapshot;

/// The lcores and ports, as the management thread sees them.
pub trait Datapath {
    /// The time, on the clock that rules and connections live by.
    fn now(&self) -> Tick;

    /// The counters of each shard. To whoever asks it is an lcore, though one lcore may run several.
    fn counters(&self) -> Vec<Arc<LcoreCounters>>;

    /// How the poll loop of each shard fares, with the lcore that runs it.
    fn poll_stats(&self) -> Vec<PollStats>;

    /// Who polls each receive queue, and what it took.
    fn rx_queues(&self) -> Vec<RxQueueStats> {
        Vec::new()
    }

    /// Makes `snapshot` the policy; each lcore obeys it from its next poll on.
    fn publish(&mut self, snapshot: Arc<Snapshot>);

    /// The oldest generation that an lcore may still obey.
    fn oldest_generation(&mut self) -> u64;

    /// How publications fared, and how long the lcores took to obey.
    fn publications(&self) -> Publications {
        Publications::default()
    }

    /// The pools that buffers of frames come from.
    fn pools(&self) -> Vec<Pool> {
        Vec::new()
    }

    /// Asks lcore number `lcore` and waits for the answer.
    ///
    /// # Errors
    /// [`LcoreGone`] if it does not answer.
    fn ask(&mut self, lcore: usize, request: LcoreRequest) -> Result<LcoreAnswer, LcoreGone>;

    /// Whether lcores can be on these CPUs.
    ///
    /// # Errors
    /// Why not.
    fn check_lcores(&self, _cpus: &[u16]) -> Result<(), String> {
        Err("this datapath has no lcores that could be changed".to_owned())
    }

    /// Lets lcores on these CPUs, no more than there are shards, do what other lcores did until now, with
    /// all connections. Returns how long a shard stood still, the longest.
    ///
    /// # Errors
    /// Why not; all is as it was then, unless an lcore does not answer.
    fn move_to_lcores(&mut self, _cpus: &[u16]) -> Result<Duration, String> {
        Err("this datapath has no lcores that could be changed".to_owned())
    }

    /// Asks about a packet, as [`Datapath::ask`] does, the lcore that would deal with it: who has its
    /// connection is found as for one that comes in.
    ///
    /// # Errors
    /// [`LcoreGone`] if one does not answer, or if they go on naming each other, which takes a
    /// connection that passes from one to another each time.
    fn ask_owner(&mut self, request: &LcoreRequest) -> Result<LcoreAnswer, LcoreGone> {
        let mut lcore = 0;
        for _ in 0..MOST_ASKED {
            match self.ask(lcore, request.clone())? {
                LcoreAnswer::Elsewhere(other) => lcore = other,
                answer => return Ok(answer),
            }
        }
        Err(LcoreGone)
    }

    /// Shows each packet for a controller that waits to `read`.
    fn packet_ins(&mut self, read: &mut dyn FnMut(&PacketIn));

    /// State and statistics of each port.
    fn ports(&self) -> Vec<PortStatus>;

    /// Lets the other end of a port see whether the port is up, where its driver can do that.
    fn show_link(&mut self, _port: PortNo, _up: bool) {}

    /// How many places for ports there are, those that were removed included.
    fn port_places(&self) -> usize {
        0
    }

    /// Opens the device of a port that is to be at `index` of the next snapshots' ports. Nobody polls
    /// it before [`Datapath::attach_port`].
    ///
    /// # Errors
    /// Why it did not start; nothing is left of it then.
    fn start_port(&mut self, _index: PortIndex, _device: &DeviceConfig) -> Result<(), String> {
        Err("this datapath opens no devices".to_owned())
    }

    /// Gives the queues of a started port to the lcores, when all of them obey the newest snapshot,
    /// which has the port.
    ///
    /// # Errors
    /// [`LcoreGone`] if one does not answer.
    fn attach_port(&mut self, _index: PortIndex) -> Result<(), LcoreGone> {
        Err(LcoreGone)
    }

    /// Takes a port from the lcores, when all of them obey the newest snapshot, and closes its device.
    /// Also of one that was started and not attached.
    ///
    /// # Errors
    /// [`LcoreGone`] if an lcore does not answer; the device is then left open.
    fn remove_port(&mut self, _index: PortIndex) -> Result<(), LcoreGone> {
        Ok(())
    }

    /// Lets lcores poll the queues that `ports` gives to them, and no others have one by the
    /// configuration; all queues are dealt out as at a start with these ports in this order. A queue that
    /// goes to another lcore loses no packet and keeps the order of each connection's.
    ///
    /// # Errors
    /// [`LcoreGone`] if one does not answer.
    fn deal_queues(&mut self, _ports: &[(PortIndex, QueueAffinity)]) -> Result<(), LcoreGone> {
        Ok(())
    }

    /// Attached ports whose devices have disappeared. They are to be removed.
    fn lost_devices(&mut self) -> Vec<PortIndex> {
        Vec::new()
    }

    /// Whether the link of each port is up.
    fn links(&self) -> Vec<(PortNo, bool)> {
        let ports = self.ports();
        ports.iter().map(|port| (port.no, port.link_up)).collect()
    }
}

/// How many lcores are asked about one packet. Three is usual: anyone, its owner, and to whom that
/// granted it.
const MOST_ASKED: usize = 16;

/// What a port's device is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceConfig {
    /// The port's name in messages.
    pub name: String,
    /// What is opened.
    pub device: DeviceName,
    /// Receive queues; `None`: one for each lcore, or the most that the device has.
    pub queues: Option<u16>,
    /// Longest L3 packet in bytes.
    pub mtu: u16,
    /// Who is to poll some of the receive queues.
    pub affinity: QueueAffinity,
}

/// Receive queues of a port that have an lcore by the configuration: the queue's number and the lcore's,
/// each queue once. The others are dealt out.
pub type QueueAffinity = Vec<(u16, u16)>;

/// A device that DPDK can attach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceName {
    /// A PCI device by its address, `0000:3b:00.0` or `3b:00.0`.
    Pci(String),
    /// A virtual device: driver and number, then arguments: `net_tap0,iface=vm1`.
    Vdev(String),
}

impl std::fmt::Display for DeviceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Pci(text) | Self::Vdev(text)) = self;
        f.write_str(text)
    }
}

/// An lcore did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an lcore does not answer")]
pub struct LcoreGone;

/// How the poll loop of one lcore fares, since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PollStats {
    /// The lcore's number as DPDK has it: the core it is pinned to.
    pub lcore: u32,
    /// The NUMA node of that core.
    pub node: u32,
    /// Polls that brought packets.
    pub busy_polls: u64,
    /// Polls that brought none.
    pub idle_polls: u64,
    /// TSC cycles spent in busy polls.
    pub busy_cycles: u64,
    /// TSC cycles spent in idle polls.
    pub idle_cycles: u64,
}

/// Who polls a receive queue, and what it took since its port was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RxQueueStats {
    /// The port's OpenFlow number.
    pub port: PortNo,
    /// The queue's number at its port.
    pub queue: u16,
    /// The lcore that polls it, by its place among the lcores.
    pub lcore: usize,
    /// TSC cycles spent on its frames, by whichever lcore: an estimate from the polls that were timed.
    pub busy_cycles: u64,
}

/// State and statistics of one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortStatus {
    /// Its OpenFlow number.
    pub no: PortNo,
    /// Its MAC address.
    pub mac: [u8; 6],
    /// Whether the link is up.
    pub link_up: bool,
    /// Link speed in Mb/s; 0: unknown.
    pub speed_mbps: u32,
    /// The driver's name.
    pub driver: String,
    /// Statistics.
    pub stats: PortStats,
}

/// A pool that buffers of frames come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// The NUMA node on which it lies; `None`: wherever there is memory.
    pub node: Option<u32>,
    /// Buffers, in use or not.
    pub buffers: u64,
    /// Those in frames or with a device; exact only while nobody takes or gives back any.
    pub in_use: u64,
}

/// Statistics of one port, since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortStats {
    /// Frames received.
    pub rx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Frames that the device had no room for.
    pub rx_dropped: u64,
    /// Frames that arrived damaged.
    pub rx_errors: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Frames that the queue had no room for.
    pub tx_dropped: u64,
    /// Frames that the device failed to send.
    pub tx_errors: u64,
    /// Polls of a receive queue that were put off because it had more than its share of its lcore's cycles
    /// while other queues had frames waiting.
    pub polls_put_off: u64,
    /// Passes of its packets for which no cache had an answer, so that the tables were asked: what first
    /// packets cost.
    pub walks: u64,
}
