//! Ports of a running switch: started one by one, dealt out to the lcores, taken from them and closed.
//!
//! Invariants
//!   1. A device is closed by the management thread, when no lcore has a queue of it.
//!   2. No lcore polls a port that the snapshot which it obeys does not know.
//!
//! Threads: the management thread's.

use std::sync::Arc;

use weir_ct::{Owners, Rss};
use weir_tables::datapath::{DeviceConfig, Pool, QueueAffinity};
use weir_tables::port::{PortIndex, PortTable};

use super::queues::{self, Wanted};
use crate::eal::{Eal, node_of_cpu};
use crate::mempool::{Mempool, Mempools, PoolError};
use crate::port::{Port, PortConfig, PortError, PortErrorCause, StartedPort};
use crate::queue::QueueLoad;
use crate::worker::WorkerPort;

/// Places for ports that come later. DPDK has fewer devices at one time; what was removed keeps its
/// place for as long as there are others.
const SPARE: usize = 64;

/// A port that is started, and polled by nobody yet.
pub(super) struct Ready {
    pub(super) started: StartedPort,
    affinity: QueueAffinity,
}

/// The receive queues of a running port.
pub(super) struct Queues {
    pub(super) port: PortIndex,
    node: Option<u32>,
    affinity: QueueAffinity,
    /// By queue: who polls it.
    pub(super) pollers: Vec<usize>,
    /// By queue: what it takes.
    pub(super) loads: Vec<Arc<QueueLoad>>,
    /// Whether the device brings packets to their owners, all of them.
    pub(super) leads: bool,
}

/// A queue that is to be polled by another lcore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) port: PortIndex,
    pub(super) queue: u16,
    pub(super) from: usize,
    pub(super) to: usize,
}

/// The ports that are devices, and what starting more takes.
pub(super) struct Ports {
    pub(super) running: Vec<(PortIndex, Port)>,
    /// Of each that runs.
    pub(super) queues: Vec<Queues>,
    /// Started, and polled by nobody yet.
    prepared: Vec<(PortIndex, Ready)>,
    mempools: Mempools,
    eal: Eal,
    /// The CPU that runs each shard, and the NUMA node of that.
    cpus: Vec<u16>,
    nodes: Vec<u32>,
    places: usize,
    /// By which devices are to spread frames.
    rss: Rss,
    /// Who owns what, once that is known.
    owners: Option<Owners>,
}

impl Ports {
    pub(super) fn new(eal: Eal, mempools: Mempools, cpus: &[u16], rss: Rss) -> Self {
        Self {
            running: Vec::new(),
            queues: Vec::new(),
            prepared: Vec::new(),
            mempools,
            eal,
            cpus: cpus.to_vec(),
            nodes: cpus.iter().map(|cpu| node_of_cpu(*cpu)).collect(),
            places: 0,
            rss,
            owners: None,
        }
    }

    /// How those of `ready` that can bring packets to their owners do it; `None`: there are none.
    pub(super) fn rss_of(&self, ready: &[(PortIndex, Ready)]) -> Option<Rss> {
        let ports = ready.iter().map(|(_, ready)| &ready.started.port);
        let entries = ports.filter_map(Port::redirections);
        let leading = entries.filter_map(|entries| self.rss.clone().with_entries(entries));
        leading.min_by_key(Rss::buckets)
    }

    /// Says who owns what from now on.
    pub(super) fn set_owners(&mut self, owners: Owners) {
        self.owners = Some(owners);
    }

    /// Shards run on these CPUs now.
    pub(super) fn run_on(&mut self, cpus: Vec<u16>) {
        self.nodes = cpus.iter().map(|cpu| node_of_cpu(*cpu)).collect();
        self.cpus = cpus;
    }

    /// Makes places: those of `table`, and spare ones. Returns how many there are.
    pub(super) fn set_places(&mut self, table: &PortTable) -> usize {
        self.places = table.len() + SPARE;
        self.places
    }

    /// How many there are.
    pub(super) const fn places(&self) -> usize {
        self.places
    }

    /// Where frames come from that no device received.
    pub(super) fn mempool(&mut self) -> Result<Mempool, PoolError> {
        self.mempools.for_node(None).cloned()
    }

    /// What there is of buffers, and what of it is in use.
    pub(super) fn pools(&self) -> Vec<Pool> {
        let pools = self.mempools.iter();
        let pools = pools.map(|(node, pool)| Pool {
            node,
            buffers: pool.capacity() as u64,
            in_use: pool.in_use() as u64,
        });
        pools.collect()
    }

    /// Starts a port. Nothing of it is left if a queue has an lcore that the device does not have.
    pub(super) fn start(&mut self, wanted: DeviceConfig) -> Result<Ready, PortError> {
        let affinity = wanted.affinity.clone();
        let (port, device) = (wanted.name.clone(), wanted.device.clone());
        let lcores = self.cpus.len();
        let config = PortConfig {
            rss_key: self.rss.key(),
            ..wanted.into()
        };
        let started = queues::start(&self.eal, &mut self.mempools, config, lcores)?;
        let count = started.rx.len() as u16;
        if let Some(&(queue, lcore)) = affinity.iter().find(|(queue, _)| *queue >= count) {
            let cause = PortErrorCause::NoSuchQueue {
                queue,
                lcore,
                count,
            };
            let cause = Box::new(cause);
            return Err(PortError {
                port,
                device,
                cause,
            });
        }
        Ok(Ready { started, affinity })
    }

    /// Starts a port for [`Ports::prepared`].
    pub(super) fn prepare(
        &mut self,
        index: PortIndex,
        wanted: &DeviceConfig,
    ) -> Result<(), String> {
        let started = self.start(wanted.clone());
        let ready = started.map_err(|error| error.to_string())?;
        self.prepared.push((index, ready));
        Ok(())
    }

    /// The port that was prepared for `index`.
    pub(super) fn prepared(&mut self, index: PortIndex) -> Option<Ready> {
        let at = self.prepared.iter().position(|(at, _)| *at == index)?;
        Some(self.prepared.swap_remove(at).1)
    }

    /// These ports run: what each lcore is to get of them, and which queues of others are to be polled by
    /// another lcore because the configuration gives theirs to one of these.
    pub(super) fn run(
        &mut self,
        ports: Vec<(PortIndex, Ready)>,
    ) -> (Vec<Vec<WorkerPort>>, Vec<Move>) {
        let mut given: Vec<Vec<WorkerPort>> = self.cpus.iter().map(|_| Vec::new()).collect();
        let mut received = Vec::new();
        for (index, Ready { started, affinity }) in ports {
            let StartedPort { port, rx, tx } = started;
            self.queues.push(Queues {
                port: index,
                node: port.node(),
                affinity,
                pollers: Vec::new(),
                loads: rx.iter().map(crate::queue::RxQueue::load).collect(),
                leads: false,
            });
            // A driver may have made more queues than were asked for.
            for (lcore, tx) in given.iter_mut().zip(tx) {
                lcore.push(WorkerPort {
                    index,
                    rx: Vec::new(),
                    tx: Some(tx),
                });
            }
            received.push((index, rx));
            self.running.push((index, port));
        }
        let moves = self.settle();
        for (index, rx) in received {
            self.lead(index);
            let queues = self.queues.iter().find(|queues| queues.port == index);
            let pollers = queues.map(|queues| &queues.pollers[..]).unwrap_or_default();
            for (queue, &lcore) in rx.into_iter().zip(pollers) {
                let mut ports = given[lcore].iter_mut();
                if let Some(port) = ports.find(|port| port.index == index) {
                    port.rx.push(queue);
                }
            }
        }
        (given, moves)
    }

    /// Lets the device of a port bring packets to their owners, if it can. Nobody polls its queues yet; a
    /// queue that gets another poller later keeps its packets, for none may overtake another.
    fn lead(&mut self, index: PortIndex) {
        let running = self.running.iter().find(|(running, _)| *running == index);
        let queues = self.queues.iter_mut().find(|queues| queues.port == index);
        let (Some((_, port)), Some(queues)) = (running, queues) else {
            return;
        };
        let Some((owners, rss)) = self
            .owners
            .as_ref()
            .and_then(|owners| Some((owners, owners.rss()?)))
        else {
            return;
        };
        // Of a table with fewer entries, one would be of several owners.
        let can = |entries: &u16| entries.is_power_of_two() && *entries >= rss.buckets();
        let Some(entries) = port.redirections().filter(can) else {
            return;
        };
        let owner = |entry| usize::from(owners.owner_of_bucket(entry & (rss.buckets() - 1)).0);
        let table = queues::redirect(&queues.pollers, (0..entries).map(owner));
        match port.redirect(&table) {
            Ok(()) => queues.leads = true,
            Err(error) => tracing::warn!(
                "port {}: lcores hand over what its device does not bring to its owner: {error}",
                port.name()
            ),
        }
    }

    /// Whether the device of a port brings packets to their owners.
    pub(super) fn leads(&self, index: PortIndex) -> bool {
        let mut queues = self.queues.iter();
        queues.any(|queues| queues.port == index && queues.leads)
    }

    /// The port runs no more.
    pub(super) fn forget(&mut self, index: PortIndex) {
        self.running.retain(|(running, _)| *running != index);
        self.queues.retain(|queues| queues.port != index);
    }

    /// From now on the configuration gives queues of these ports to lcores, and no others; all are dealt
    /// out as at a start with these ports in this order. Returns what that moves.
    pub(super) fn deal_anew(&mut self, ports: &[(PortIndex, QueueAffinity)]) -> Vec<Move> {
        let place = |queues: &Queues| ports.iter().position(|(index, _)| *index == queues.port);
        self.queues
            .sort_by_key(|queues| place(queues).unwrap_or(usize::MAX));
        for queues in &mut self.queues {
            let said = ports.iter().find(|(index, _)| *index == queues.port);
            queues.affinity = said
                .map(|(_, affinity)| affinity.clone())
                .unwrap_or_default();
        }
        let before: Vec<_> = self
            .queues
            .iter_mut()
            .map(|queues| std::mem::take(&mut queues.pollers))
            .collect();
        self.settle();
        let mut all = Vec::new();
        for (queues, before) in self.queues.iter_mut().zip(before) {
            let moved = moves(queues.port, &before, &queues.pollers);
            // The device goes on to bring packets where it did.
            queues.leads &= moved.is_empty();
            all.extend(moved);
        }
        all
    }

    /// Says who polls what, with as few changes as can be.
    fn settle(&mut self) -> Vec<Move> {
        let place = |cpu: u16| self.cpus.iter().position(|of_shard| *of_shard == cpu);
        let wanted = |queues: &Queues| Wanted {
            node: queues.node,
            explicit: queues
                .affinity
                .iter()
                .filter_map(|(queue, cpu)| Some((*queue, place(*cpu)?)))
                .collect(),
            now: (0..queues.loads.len())
                .map(|queue| queues.pollers.get(queue).copied())
                .collect(),
        };
        let wanted: Vec<_> = self.queues.iter().map(wanted).collect();
        let assigned = queues::assign(&self.cpus, &self.nodes, &wanted);
        let mut all = Vec::new();
        for (queues, pollers) in self.queues.iter_mut().zip(assigned) {
            let before = std::mem::replace(&mut queues.pollers, pollers);
            let moved = moves(queues.port, &before, &queues.pollers);
            // The device goes on to bring packets where it did.
            queues.leads &= moved.is_empty();
            all.extend(moved);
            let named = self.running.iter().find(|(index, _)| *index == queues.port);
            let (Some(node), Some((_, port))) = (queues.node, named) else {
                continue;
            };
            for (queue, &lcore) in queues.pollers.iter().enumerate() {
                let is_explicit = |(of, _): &(u16, u16)| usize::from(*of) == queue;
                if self.nodes[lcore] != node
                    && before.get(queue) != Some(&lcore)
                    && !queues.affinity.iter().any(is_explicit)
                {
                    tracing::warn!(
                        "port {}: no lcore on NUMA node {node}, where its device is, can poll queue \
                         {queue}: lcore {} on node {} does, which may be slower",
                        port.name(),
                        self.cpus[lcore],
                        self.nodes[lcore]
                    );
                }
            }
        }
        all
    }
}

/// Queues that were polled by one lcore and are to be by another.
fn moves(port: PortIndex, before: &[usize], after: &[usize]) -> Vec<Move> {
    let all = (0..).zip(before).zip(after);
    let moved = all.filter(|((_, from), to)| from != to);
    let moved = moved.map(|((queue, &from), &to)| Move {
        port,
        queue,
        from,
        to,
    });
    moved.collect()
}
