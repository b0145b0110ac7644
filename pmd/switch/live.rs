//! Ports of a running switch: started one by one, dealt out to the lcores, taken from them and closed.
//!
//! Invariants
//!   1. A device is closed by the management thread, when no lcore has a queue of it.
//!   2. No lcore polls a port that the snapshot which it obeys does not know.
//!
//! Threads: the management thread's.

use std::sync::Arc;

use weir_tables::datapath::DeviceConfig;
use weir_tables::port::{PortIndex, PortTable};

use super::queues;
use crate::eal::Eal;
use crate::mempool::{Mempool, Mempools, PoolError};
use crate::port::{Port, PortConfig, PortError};
use crate::queue::{QueueLoad, RxQueue};
use crate::worker::WorkerPort;

/// Places for ports that come later. DPDK has fewer devices at one time; what was removed keeps its
/// place for as long as there are others.
const SPARE: usize = 64;

/// A started port and what each lcore gets of it.
pub(super) struct Dealt {
    pub(super) port: Port,
    pub(super) queues: Vec<WorkerPort>,
}

/// A receive queue of a running port.
pub(super) struct Polled {
    pub(super) port: PortIndex,
    pub(super) queue: u16,
    /// Who polls it.
    pub(super) lcore: usize,
    pub(super) load: Arc<QueueLoad>,
}

/// The ports that are devices, and what starting more takes.
pub(super) struct Ports {
    pub(super) running: Vec<(PortIndex, Port)>,
    pub(super) polled: Vec<Polled>,
    /// Started, and polled by nobody yet.
    prepared: Vec<(PortIndex, Dealt)>,
    deal: queues::Deal,
    mempools: Mempools,
    eal: Eal,
    lcores: usize,
    places: usize,
}

impl Ports {
    pub(super) const fn new(eal: Eal, mempools: Mempools, lcores: usize) -> Self {
        Self {
            running: Vec::new(),
            polled: Vec::new(),
            prepared: Vec::new(),
            deal: queues::Deal::new(lcores),
            mempools,
            eal,
            lcores,
            places: 0,
        }
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

    /// Starts a port, and deals its queues out.
    pub(super) fn start(
        &mut self,
        index: PortIndex,
        config: PortConfig,
    ) -> Result<Dealt, PortError> {
        let started = queues::start(&self.eal, &mut self.mempools, config, self.lcores)?;
        let queues = self.deal.out(index, started.rx, started.tx);
        Ok(Dealt {
            port: started.port,
            queues,
        })
    }

    /// Starts a port for [`Ports::prepared`].
    pub(super) fn prepare(
        &mut self,
        index: PortIndex,
        wanted: &DeviceConfig,
    ) -> Result<(), String> {
        let started = self.start(index, wanted.clone().into());
        let dealt = started.map_err(|error| error.to_string())?;
        self.prepared.push((index, dealt));
        Ok(())
    }

    /// The port runs: what the lcores are to get of it.
    pub(super) fn run(&mut self, index: PortIndex, dealt: Dealt) -> Vec<WorkerPort> {
        for (lcore, port) in dealt.queues.iter().enumerate() {
            let polled = |queue: &RxQueue| Polled {
                port: index,
                queue: queue.index(),
                lcore,
                load: queue.load(),
            };
            self.polled.extend(port.rx.iter().map(polled));
        }
        self.running.push((index, dealt.port));
        dealt.queues
    }

    /// The port runs no more.
    pub(super) fn forget(&mut self, index: PortIndex) {
        self.running.retain(|(running, _)| *running != index);
        self.polled.retain(|polled| polled.port != index);
    }

    /// The port that was prepared for `index`.
    pub(super) fn prepared(&mut self, index: PortIndex) -> Option<Dealt> {
        let at = self.prepared.iter().position(|(at, _)| *at == index)?;
        Some(self.prepared.swap_remove(at).1)
    }
}
