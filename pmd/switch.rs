//! The running switch: EAL, pools, ports and the lcore, started together and stopped together,
//! and how the management thread reaches them.
//!
//! A snapshot passes from the management thread to the lcore and back by three verbs:
//! *publish* stores the newest, *refresh* takes it up, once per pass and only when the
//! generation tells that there is one, and *retire* hands the old one back to be freed by the
//! management thread.
//!
//! Threads: the management thread owns the [`Switch`]; the lcore owns its `SnapshotReader` and
//! the far end of the mailbox.

use std::sync::Arc;
use std::time::Duration;

use weir_ct::Settings;
use weir_packet::Tick;
use weir_packet::reassembly::Bounds;
use weir_tables::cache::CacheSettings;
use weir_tables::counters::LcoreCounters;
use weir_tables::datapath::{Datapath, LcoreGone, PollStats, PortStats, PortStatus};
use weir_tables::fragments::Fragments;
use weir_tables::lcore::{Lcore, LcoreAnswer, LcoreRequest};
use weir_tables::packet_in::{self, PacketIn, PacketInSettings, PacketIns};
use weir_tables::port::{PortConfig as TablePort, PortIndex, PortNo, PortTable};
use weir_tables::snapshot::Snapshot;

use crate::clock::Clock;
use crate::eal::{Eal, EalArgs, EalError};
use crate::lcore::{LcoreError, StopFlag, spawn};
use crate::mempool::{Mempools, PoolError};
use crate::port::{Port, PortConfig, PortError};
use crate::worker::{Worker, WorkerCounters, WorkerPort, WorkerSettings};

mod forward;
mod mailbox;
mod publish;

use forward::Forward;
use mailbox::Mailbox;
use publish::Publisher;

/// How long the lcore may take to answer a question.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a switch is started with.
#[derive(Clone, Debug)]
pub struct SwitchArgs {
    /// DPDK's environment.
    pub eal: EalArgs,
    /// The CPU of the lcore that forwards.
    pub cpu: u16,
    /// Packet buffers per NUMA node.
    pub mbufs_per_node: u32,
    /// The ports that are devices, with their places in the snapshot's port table.
    pub ports: Vec<(PortIndex, PortConfig)>,
    /// How the lcore polls.
    pub worker: WorkerSettings,
    /// The caches.
    pub caches: CacheSettings,
    /// For the connections.
    pub conntrack: Settings,
    /// Pieces of datagrams that wait.
    pub fragments: Bounds,
    /// Packets for controllers.
    pub packet_ins: PacketInSettings,
    /// Seeds the hashes of all tables.
    pub secret: u64,
}

/// Why a switch did not start. Nothing of it is left then.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// DPDK did not start.
    #[error(transparent)]
    Eal(#[from] EalError),
    /// There is no memory for frames.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// A port did not start.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The lcore did not start.
    #[error(transparent)]
    Lcore(#[from] LcoreError),
}

/// A switch that runs.
pub struct Switch {
    clock: Clock,
    publisher: Publisher,
    mailbox: Mailbox,
    packet_ins: PacketIns,
    counters: Arc<LcoreCounters>,
    polls: Arc<WorkerCounters>,
    ports: Vec<(PortIndex, Port)>,
    /// What the snapshot says of them, and of tunnels.
    table: Arc<PortTable>,
    /// The switch's own MAC addresses, by port.
    macs: Vec<[u8; 6]>,
    stop: StopFlag,
    /// `None` once it has been stopped.
    worker: Option<crate::lcore::Lcore<()>>,
}

impl Switch {
    /// Starts EAL, every port, and the lcore, which obeys `snapshot`.
    ///
    /// # Errors
    /// [`SwitchError`] names what did not start.
    pub fn start(args: SwitchArgs, snapshot: Arc<Snapshot>) -> Result<Self, SwitchError> {
        let eal = Eal::start(&args.eal)?;
        if eal.management_shares_cpu() {
            tracing::warn!("there is no CPU but the lcore's: the management thread shares it");
        }
        let clock = Clock::start(&eal);
        let mut mempools = Mempools::new(eal.clone(), args.mbufs_per_node);
        let mut ports = Vec::new();
        let mut queues = Vec::new();
        let table = Arc::clone(&snapshot.ports);
        let mut macs = vec![[0; 6]; table.len()];
        for (index, config) in args.ports {
            let started = Port::start(&eal, &mut mempools, &config)?;
            let tx = started.tx.into_iter().next();
            queues.push(WorkerPort {
                index,
                rx: started.rx,
                tx,
            });
            macs[usize::from(index.0)] = own_mac(&started.port);
            ports.push((index, started.port));
        }
        let (publisher, reader) = publish::pair(&snapshot);
        let (mailbox, inbox) = mailbox::pair();
        let (sender, packet_ins) = packet_in::channel(args.packet_ins);
        let lcore = Lcore::new(0, snapshot, &args.conntrack, args.secret)
            .with_caches(args.caches)
            .with_port_macs(macs.clone())
            .with_packet_ins(sender);
        let counters = lcore.counters();
        let mempool = mempools.for_node(None)?.clone();
        let fragments = Fragments::new(args.fragments, args.secret);
        let forward = Forward::new(lcore, fragments, reader, inbox, mempool, clock);
        let worker = Worker::new(forward, queues, clock, args.worker);
        let polls = worker.counters();
        let stop = StopFlag::new();
        let told = stop.clone();
        let worker = spawn(&eal, args.cpu, move || drop(worker.run(&told)))?;
        let worker = Some(worker);
        Ok(Self {
            clock,
            publisher,
            mailbox,
            packet_ins,
            counters,
            polls,
            ports,
            table,
            macs,
            stop,
            worker,
        })
    }
}

impl Switch {
    /// State and statistics of tunnel ports; `devices` are those of the others.
    fn tunnels(&self, devices: &[PortStatus]) -> Vec<PortStatus> {
        let status = |(index, port): (PortIndex, &TablePort)| {
            let config = self.table.tunnels().of(index)?;
            let below = self.table.port(config.over).no;
            let below = devices.iter().find(|status| status.no == below);
            let carried = self.counters.tunnels.get(usize::from(index.0))?;
            Some(PortStatus {
                no: port.no,
                mac: self.macs[usize::from(config.over.0)],
                link_up: below.is_some_and(|below| below.link_up),
                speed_mbps: 0,
                driver: config.kind.name().to_owned(),
                stats: PortStats {
                    rx_packets: carried.rx_packets.read(),
                    rx_bytes: carried.rx_bytes.read(),
                    tx_packets: carried.tx_packets.read(),
                    tx_bytes: carried.tx_bytes.read(),
                    ..PortStats::default()
                },
            })
        };
        self.table.iter().filter_map(status).collect()
    }
}

/// The MAC address that the switch has at a port: the device's. That of a TAP is the host's, on
/// the other side, so there it is another.
fn own_mac(port: &Port) -> [u8; 6] {
    /// Neither of a group nor assigned by IEEE.
    const LOCALLY_ADMINISTERED: u8 = 0x02;
    let mut mac = port.mac();
    if port.is_tap() {
        mac[0] = (mac[0] | LOCALLY_ADMINISTERED) ^ 0x40;
    }
    mac
}

impl Drop for Switch {
    /// Stops the lcore, then the ports.
    fn drop(&mut self) {
        self.stop.set();
        if let Some(worker) = self.worker.take() {
            worker.join();
        }
    }
}

impl Datapath for Switch {
    fn now(&self) -> Tick {
        self.clock.tick_at(self.clock.cycles())
    }

    fn counters(&self) -> Vec<Arc<LcoreCounters>> {
        vec![Arc::clone(&self.counters)]
    }

    fn poll_stats(&self) -> Vec<PollStats> {
        let polls = &self.polls;
        let (passes, busy) = (polls.passes.read(), polls.busy_passes.read());
        vec![PollStats {
            lcore: self
                .worker
                .as_ref()
                .map_or(0, |worker| u32::from(worker.cpu())),
            busy_polls: busy,
            idle_polls: passes.saturating_sub(busy),
            busy_cycles: polls.busy_cycles.read(),
            idle_cycles: polls.idle_cycles.read(),
        }]
    }

    fn publish(&mut self, snapshot: Arc<Snapshot>) {
        self.publisher.publish(snapshot);
    }

    fn oldest_generation(&self) -> u64 {
        self.publisher.oldest_generation()
    }

    fn ask(&mut self, _lcore: usize, request: LcoreRequest) -> Result<LcoreAnswer, LcoreGone> {
        self.mailbox.ask(request, PATIENCE)
    }

    fn packet_ins(&mut self, read: &mut dyn FnMut(&PacketIn)) {
        self.packet_ins.drain(read);
    }

    fn ports(&self) -> Vec<PortStatus> {
        let status = |(index, port): &(PortIndex, Port)| {
            let (link, stats, ours) = (port.link(), port.stats(), self.polls.port(*index));
            let refused = ours.tx_full.read() + ours.tx_oversize.read() + ours.tx_chain.read();
            PortStatus {
                no: self.table.port(*index).no,
                mac: port.mac(),
                link_up: link.up,
                speed_mbps: link.speed_mbps.unwrap_or(0),
                driver: port.driver().to_owned(),
                stats: PortStats {
                    rx_packets: stats.rx_packets,
                    rx_bytes: stats.rx_bytes,
                    rx_dropped: stats.rx_missed + stats.rx_no_mbuf,
                    rx_errors: stats.rx_errors,
                    tx_packets: stats.tx_packets,
                    tx_bytes: stats.tx_bytes,
                    tx_dropped: refused,
                    tx_errors: stats.tx_errors,
                },
            }
        };
        let devices: Vec<_> = self.ports.iter().map(status).collect();
        let tunnels = self.tunnels(&devices);
        devices.into_iter().chain(tunnels).collect()
    }

    fn show_link(&mut self, port: PortNo, up: bool) {
        let named = |(index, _): &&(PortIndex, Port)| self.table.port(*index).no == port;
        // A tunnel has no link of its own to show.
        if let Some((_, device)) = self.ports.iter().find(named)
            && !device.show_link(up)
        {
            tracing::warn!("port {port}: its other end cannot be shown whether it is up");
        }
    }

    fn links(&self) -> Vec<(PortNo, bool)> {
        let devices: Vec<_> = self
            .ports
            .iter()
            .map(|(index, port)| (*index, port.link().up))
            .collect();
        // A tunnel is up while the port below is.
        let tunnels = self.table.iter().filter_map(|(index, _)| {
            let config = self.table.tunnels().of(index)?;
            let below = devices.iter().find(|(device, _)| *device == config.over);
            Some((index, below.is_some_and(|(_, up)| *up)))
        });
        let all = devices.iter().copied().chain(tunnels);
        all.map(|(index, up)| (self.table.port(index).no, up))
            .collect()
    }
}
