//! The running switch: EAL, pools, ports and lcores, started together and stopped together,
//! and how the management thread reaches them.
//!
//! A snapshot passes from the management thread to each lcore and back by three verbs:
//! *publish* stores the newest, *refresh* takes it up, once per pass and only when the
//! generation tells that there is one, and *retire* lets go of the old one, which is freed by the
//! management thread ([`weir_tables::publication`]).
//!
//! What is called an lcore here is a shard, which has tables, queues and counters of its own; threads that run
//! shards, and how these move between them, are in [`crews`].
//!
//! Threads: the management thread owns the [`Switch`]; each lcore owns its end of the publication and
//! the far end of its mailbox.

use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_ct::{Bounds, Owners, Rss, Settings, ShardId};
use weir_packet::{Tick, reassembly};
use weir_tables::cache::CacheSettings;
use weir_tables::counters::{Counter, LcoreCounters, TunnelCounters};
use weir_tables::datapath::{
    Datapath, DeviceConfig, LcoreGone, PollStats, Pool, PortStats, PortStatus, QueueAffinity,
    RxQueueStats,
};
use weir_tables::fragments::Fragments;
use weir_tables::lcore::{Lcore, LcoreAnswer, LcoreRequest, Seat};
use weir_tables::packet_in::{self, PacketIn, PacketInSettings, PacketIns};
use weir_tables::port::{PortConfig as TablePort, PortIndex, PortNo, PortTable};
use weir_tables::publication::{self, GraceTimes, Publications, Publisher};
use weir_tables::snapshot::Snapshot;

use crate::clock::{Clock, Cycles};
use crate::crew::Member;
use crate::eal::{Eal, EalArgs, EalError, node_of_cpu};
use crate::huge_pages::at_once;
use crate::lcore::LcoreError;
use crate::mailbox::{self, Mailbox};
use crate::mempool::{Mempools, PoolError};
use crate::port::{Port, PortError, Spread};
use crate::worker::{
    PortOrder, PortOrders, Processor, Worker, WorkerCounters, WorkerPort, WorkerSettings,
};

mod control;
mod crews;
mod forward;
#[cfg(test)]
pub(crate) mod lines;
mod live;
mod passage;
mod queues;
mod rings;
mod together;

use control::Control;
use crews::{Crews, Made, Make};
use forward::Forward;
use live::{Move, Ports, Queues};
use together::Together;

/// How long the lcore may take to answer a question.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a switch is started with.
#[derive(Clone, Debug)]
pub struct SwitchArgs {
    /// DPDK's environment.
    pub eal: EalArgs,
    /// The CPU that runs each shard of the switch, of which there is one at least: with one for each
    /// lcore, the CPUs of these. To the management thread each shard is an lcore.
    pub cpus: Vec<u16>,
    /// Packet buffers per NUMA node.
    pub mbufs_per_node: u32,
    /// The ports that are devices, with their places in the snapshot's port table. Each gets a
    /// transmit queue for each lcore.
    pub ports: Vec<(PortIndex, DeviceConfig)>,
    /// Whether devices with receive-side scaling may decide which lcore owns what, if there are such.
    pub rss: bool,
    /// How the lcore polls.
    pub worker: WorkerSettings,
    /// The caches.
    pub caches: CacheSettings,
    /// For the connections.
    pub conntrack: Settings,
    /// Pieces of datagrams that wait.
    pub fragments: reassembly::Bounds,
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
    lcores: Vec<Running>,
    ports: Ports,
    /// What the newest snapshot says of them, and of tunnels.
    table: Arc<PortTable>,
    /// The switch's own MAC addresses, by port.
    macs: Vec<[u8; 6]>,
    /// The threads that run the lcores.
    crews: Crews,
    /// Versions published.
    published: u64,
    /// The generation of the newest.
    newest: u64,
    grace: GraceTimes,
}

/// A shard that runs on some lcore, as the management thread sees it.
struct Running {
    publisher: Publisher<Snapshot>,
    mailbox: Mailbox<LcoreRequest, LcoreAnswer>,
    orders: PortOrders,
    packet_ins: PacketIns,
    counters: Arc<LcoreCounters>,
    polls: Arc<WorkerCounters>,
    /// On which CPU.
    cpu: u16,
}

impl Switch {
    /// Starts EAL, every port, and the lcores, which obey `snapshot`.
    ///
    /// # Errors
    /// [`SwitchError`] names what did not start.
    pub fn start(args: SwitchArgs, snapshot: &Arc<Snapshot>) -> Result<Self, SwitchError> {
        let eal = Eal::start(&args.eal)?;
        if eal.management_shares_cpu() {
            tracing::warn!("there is no CPU but the lcore's: the management thread shares it");
        }
        let clock = Clock::start(&eal);
        let mempools = Mempools::new(eal.clone(), args.mbufs_per_node);
        let shard_count = args.cpus.len();
        let hugepages = args.eal.hugepages;
        let rss = Rss::new(args.secret);
        let mut ports = Ports::new(eal.clone(), mempools, &args.cpus, rss);
        let table = Arc::clone(&snapshot.ports);
        let mut macs = vec![[0; 6]; table.len()];
        let mut ready = Vec::new();
        for (index, config) in args.ports {
            let port = ports.start(config)?;
            macs[usize::from(index.0)] = own_mac(&port.started.port);
            ready.push((index, port));
        }
        let mut owners = Owners::new(shard_count as u16, args.secret);
        if shard_count > 1
            && args.rss
            && let Some(rss) = ports.rss_of(&ready)
        {
            owners = owners.led_by(rss);
        }
        ports.set_owners(owners.clone());
        // Nobody polls anything yet that could move.
        let (queues, _) = ports.run(ready);
        let places = ports.set_places(&table);
        let rings = rings::rings(shard_count as u16);
        let mempool = ports.mempool()?;
        let mut switch = Self {
            clock,
            lcores: Vec::new(),
            ports,
            table,
            macs: macs.clone(),
            crews: Crews::new(eal.clone(), clock),
            published: 0,
            newest: snapshot.generation,
            grace: GraceTimes::default(),
        };
        let shards = (0..).zip(&args.cpus).zip(queues).zip(rings);
        let shards = shards.map(|(((me, cpu), queues), rings)| {
            let me = ShardId(me);
            let (publisher, reader) =
                publication::pair(snapshot, snapshot.generation, clock.cycles().0);
            let (mailbox, inbox) = mailbox::pair();
            let (sender, packet_ins) = packet_in::channel(args.packet_ins);
            let (owners, first) = (owners.clone(), Arc::clone(snapshot));
            let (conntrack, secret) = (args.conntrack.clone(), args.secret);
            let (caches, macs, mempool) = (args.caches, macs.clone(), mempool.clone());
            let fragments = args.fragments;
            let lcore = move || {
                let fragments = Fragments::new(fragments, secret);
                let tables =
                    || Lcore::one_of(&owners, me, first, &conntrack, secret).with_caches(caches);
                // Where memory is set aside for DPDK, what lcores have is, too.
                let lcore = match hugepages {
                    true => at_once(tables),
                    false => tables(),
                };
                let lcore = lcore.with_port_macs(macs).with_packet_ins(sender);
                let control =
                    Control::new(lcore.counters(), fragments, reader, inbox, mempool, clock);
                (owners, lcore, control)
            };
            let start = Start {
                queues,
                clock,
                settings: WorkerSettings {
                    spare_ports: places,
                    ..args.worker
                },
            };
            let make: Make = if shard_count == 1 {
                Box::new(move || {
                    let (_, lcore, control) = lcore();
                    start.worker(lcore.counters(), Forward::new(lcore, control))
                })
            } else {
                Box::new(move || {
                    let (owners, lcore, control) = lcore();
                    let counters = lcore.counters();
                    let seat = Seat::new(lcore, &owners, me, Bounds::default());
                    start.worker(counters, Together::new(seat, rings, control))
                })
            };
            let ends = Ends {
                publisher,
                mailbox,
                packet_ins,
                cpu: *cpu,
            };
            (ends, make)
        });
        let (ends, makes): (Vec<_>, Vec<_>) = shards.unzip();
        let made = switch.crews.begin(&args.cpus, makes)?;
        let running = ends.into_iter().zip(made).map(|(ends, made)| Running {
            publisher: ends.publisher,
            mailbox: ends.mailbox,
            orders: made.orders,
            packet_ins: ends.packet_ins,
            counters: made.counters,
            polls: made.polls,
            cpu: ends.cpu,
        });
        switch.lcores = running.collect();
        Ok(switch)
    }
}

/// With what a shard starts.
struct Start {
    queues: Vec<WorkerPort>,
    clock: Clock,
    settings: WorkerSettings,
}

/// What the management thread has of a shard before it is made.
struct Ends {
    publisher: Publisher<Snapshot>,
    mailbox: Mailbox<LcoreRequest, LcoreAnswer>,
    packet_ins: PacketIns,
    cpu: u16,
}

impl Start {
    fn worker<P: Processor + Send + 'static>(
        self,
        counters: Arc<LcoreCounters>,
        processor: P,
    ) -> (Box<dyn Member>, Made) {
        let (worker, orders) =
            Worker::with_orders(processor, self.queues, self.clock, self.settings);
        let polls = worker.counters();
        let made = Made {
            counters,
            polls,
            orders,
        };
        (Box::new(worker), made)
    }
}

impl Switch {
    /// Waits until all lcores obey the newest snapshot.
    fn wait_until_obeyed(&mut self) -> Result<(), LcoreGone> {
        let start = Instant::now();
        while self.oldest_generation() < self.newest {
            if start.elapsed() > PATIENCE {
                return Err(LcoreGone);
            }
            std::thread::sleep(Duration::from_micros(20));
        }
        Ok(())
    }

    /// Lets queues be polled by other lcores, one after the other: the old one stops, hands over what it
    /// has brought, and gives the queue itself to the new one.
    fn move_queues(&mut self, moves: Vec<Move>) -> Result<(), LcoreGone> {
        for Move {
            port,
            queue,
            from,
            to,
        } in moves
        {
            let (give, take) = crossbeam_channel::bounded(1);
            let (say, came) = crossbeam_channel::bounded(1);
            let order = PortOrder::Expect { port, take, say };
            self.lcores[to].orders.ask(order, PATIENCE)?;
            let order = PortOrder::Release { port, queue, give };
            self.lcores[from].orders.ask(order, PATIENCE)?;
            came.recv_timeout(PATIENCE).map_err(|_| LcoreGone)?;
        }
        Ok(())
    }

    /// State and statistics of tunnel ports; `devices` are those of the others.
    fn tunnels(&self, devices: &[PortStatus]) -> Vec<PortStatus> {
        let status = |(index, port): (PortIndex, &TablePort)| {
            let config = self.table.tunnels().of(index)?;
            let below = self.table.port(config.over).no;
            let below = devices.iter().find(|status| status.no == below);
            let tunnels = self.lcores.iter().map(|lcore| &lcore.counters.tunnels);
            let carried: Vec<_> = tunnels
                .filter_map(|tunnels| tunnels.get(usize::from(index.0)))
                .collect();
            let sum = |count: fn(&TunnelCounters) -> &Counter| {
                carried.iter().map(|carried| count(carried).read()).sum()
            };
            Some(PortStatus {
                no: port.no,
                mac: self.macs[usize::from(config.over.0)],
                link_up: below.is_some_and(|below| below.link_up),
                speed_mbps: 0,
                driver: config.kind.name().to_owned(),
                stats: PortStats {
                    rx_packets: sum(|carried| &carried.rx_packets),
                    rx_bytes: sum(|carried| &carried.rx_bytes),
                    tx_packets: sum(|carried| &carried.tx_packets),
                    tx_bytes: sum(|carried| &carried.tx_bytes),
                    ..PortStats::default()
                },
            })
        };
        self.table.iter().filter_map(status).collect()
    }
}

impl Switch {
    /// The driver of a port and, where there are several lcores, how packets come to the one that
    /// owns them.
    fn driver_of(&self, index: PortIndex, port: &Port) -> String {
        let driver = port.driver();
        if self.lcores.len() == 1 {
            return driver.to_owned();
        }
        let spread = match port.spread() {
            Spread::OneQueue => "one queue",
            Spread::SymmetricRss => "symmetric RSS",
            Spread::Unknown => "queues as it likes",
        };
        let how = match self.ports.leads(index) {
            true => "which brings packets to their owner",
            false => "owner by hash in software",
        };
        format!("{driver}, {spread}, {how}")
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
    /// Stops the lcores, then the ports.
    fn drop(&mut self) {
        self.crews.end();
    }
}

impl Datapath for Switch {
    fn now(&self) -> Tick {
        self.clock.tick_at(self.clock.cycles())
    }

    fn counters(&self) -> Vec<Arc<LcoreCounters>> {
        let counters = self.lcores.iter().map(|lcore| &lcore.counters);
        counters.cloned().collect()
    }

    fn poll_stats(&self) -> Vec<PollStats> {
        let stats = |lcore: &Running| {
            let polls = &lcore.polls;
            let (passes, busy) = (polls.passes.read(), polls.busy_passes.read());
            PollStats {
                lcore: lcore.cpu.into(),
                node: node_of_cpu(lcore.cpu),
                busy_polls: busy,
                idle_polls: passes.saturating_sub(busy),
                busy_cycles: polls.busy_cycles.read(),
                idle_cycles: polls.idle_cycles.read(),
            }
        };
        self.lcores.iter().map(stats).collect()
    }

    fn rx_queues(&self) -> Vec<RxQueueStats> {
        let of_port = |queues: &Queues| {
            let port = self.table.port(queues.port).no;
            let all = (0..).zip(&queues.pollers).zip(&queues.loads);
            let stats = all.map(|((queue, &lcore), load)| RxQueueStats {
                port,
                queue,
                lcore,
                busy_cycles: load.busy_cycles.read(),
            });
            stats.collect::<Vec<_>>()
        };
        self.ports.queues.iter().flat_map(of_port).collect()
    }

    fn publish(&mut self, snapshot: Arc<Snapshot>) {
        // What was obeyed so far is measured without what follows.
        self.oldest_generation();
        self.published += 1;
        self.table = Arc::clone(&snapshot.ports);
        let generation = snapshot.generation;
        self.newest = generation;
        self.grace.published(generation, self.clock.cycles().0);
        for lcore in &mut self.lcores {
            lcore.publisher.publish(Arc::clone(&snapshot), generation);
        }
    }

    fn oldest_generation(&mut self) -> u64 {
        let obeyed = self.lcores.iter_mut().map(|lcore| lcore.publisher.retire());
        let obeyed: Vec<_> = obeyed.collect();
        let clock = self.clock;
        let duration = |cycles| clock.duration(Cycles(cycles));
        self.grace.obeyed(obeyed.iter().copied(), duration);
        let oldest = obeyed.iter().map(|obeyed| obeyed.generation).min();
        oldest.expect("there is one lcore at least")
    }

    fn publications(&self) -> Publications {
        let waiting = self.lcores.iter().map(|lcore| lcore.publisher.waiting());
        Publications {
            published: self.published,
            waiting: waiting.max().unwrap_or(0) as u64,
            grace: self.grace.grace(),
        }
    }

    fn pools(&self) -> Vec<Pool> {
        self.ports.pools()
    }

    fn ask(&mut self, lcore: usize, request: LcoreRequest) -> Result<LcoreAnswer, LcoreGone> {
        let lcore = self.lcores.get_mut(lcore).ok_or(LcoreGone)?;
        lcore.mailbox.ask(request, PATIENCE)
    }

    fn check_lcores(&self, cpus: &[u16]) -> Result<(), String> {
        let checked = self.crews.check(cpus);
        checked.map_err(|error| error.to_string())
    }

    fn move_to_lcores(&mut self, cpus: &[u16]) -> Result<Duration, String> {
        let mut shards: Vec<_> = self.lcores.iter_mut().map(|lcore| &mut lcore.cpu).collect();
        let moved = self.crews.move_to(cpus, &mut shards);
        let shards = self.lcores.iter().map(|lcore| lcore.cpu);
        self.ports.run_on(shards.collect());
        moved
    }

    fn packet_ins(&mut self, read: &mut dyn FnMut(&PacketIn)) {
        for lcore in &mut self.lcores {
            lcore.packet_ins.drain(&mut *read);
        }
    }

    fn ports(&self) -> Vec<PortStatus> {
        let status = |(index, port): &(PortIndex, Port)| {
            let (link, stats) = (port.link(), port.stats());
            let refused = |lcore: &Running| {
                let ours = lcore.polls.port(*index);
                ours.tx_full.read() + ours.tx_oversize.read() + ours.tx_chain.read()
            };
            let refused = self.lcores.iter().map(refused).sum();
            let put_off = |lcore: &Running| lcore.polls.port(*index).rx_put_off.read();
            let walks = |lcore: &Running| lcore.polls.port(*index).rx_walks.read();
            PortStatus {
                no: self.table.port(*index).no,
                mac: port.mac(),
                link_up: link.up,
                speed_mbps: link.speed_mbps.unwrap_or(0),
                driver: self.driver_of(*index, port),
                stats: PortStats {
                    rx_packets: stats.rx_packets,
                    rx_bytes: stats.rx_bytes,
                    rx_dropped: stats.rx_missed + stats.rx_no_mbuf,
                    rx_errors: stats.rx_errors,
                    tx_packets: stats.tx_packets,
                    tx_bytes: stats.tx_bytes,
                    tx_dropped: refused,
                    tx_errors: stats.tx_errors,
                    polls_put_off: self.lcores.iter().map(put_off).sum(),
                    walks: self.lcores.iter().map(walks).sum(),
                },
            }
        };
        let devices: Vec<_> = self.ports.running.iter().map(status).collect();
        let tunnels = self.tunnels(&devices);
        devices.into_iter().chain(tunnels).collect()
    }

    fn port_places(&self) -> usize {
        self.ports.places()
    }

    fn start_port(&mut self, index: PortIndex, device: &DeviceConfig) -> Result<(), String> {
        self.ports.prepare(index, device)
    }

    fn attach_port(&mut self, index: PortIndex) -> Result<(), LcoreGone> {
        self.wait_until_obeyed()?;
        let Some(ready) = self.ports.prepared(index) else {
            return Ok(());
        };
        let (queues, moves) = self.ports.run(vec![(index, ready)]);
        for (lcore, ports) in self.lcores.iter_mut().zip(queues) {
            for port in ports {
                lcore.orders.ask(PortOrder::Attach(port), PATIENCE)?;
            }
        }
        self.move_queues(moves)
    }

    fn deal_queues(&mut self, ports: &[(PortIndex, QueueAffinity)]) -> Result<(), LcoreGone> {
        let moves = self.ports.deal_anew(ports);
        self.move_queues(moves)
    }

    fn remove_port(&mut self, index: PortIndex) -> Result<(), LcoreGone> {
        // One that nobody polls closes here.
        if self.ports.prepared(index).is_some() {
            return Ok(());
        }
        self.wait_until_obeyed()?;
        for lcore in 0..self.lcores.len() {
            let orders = &mut self.lcores[lcore].orders;
            // What is given back is the management thread's again, and lets go of the device here.
            drop(orders.ask(PortOrder::Detach(index), PATIENCE)?);
            let forget = LcoreRequest::ForgetPort(index);
            self.ask(lcore, forget)?;
        }
        self.ports.forget(index);
        Ok(())
    }

    fn show_link(&mut self, port: PortNo, up: bool) {
        let named = |(index, _): &&(PortIndex, Port)| self.table.port(*index).no == port;
        // A tunnel has no link of its own to show.
        if let Some((_, device)) = self.ports.running.iter().find(named)
            && !device.show_link(up)
        {
            tracing::warn!("port {port}: its other end cannot be shown whether it is up");
        }
    }

    fn lost_devices(&mut self) -> Vec<PortIndex> {
        let running = self.ports.running.iter();
        let lost = running.filter(|(_, port)| port.is_lost());
        lost.map(|(index, _)| *index).collect()
    }

    fn links(&self) -> Vec<(PortNo, bool)> {
        let devices: Vec<_> = self
            .ports
            .running
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
