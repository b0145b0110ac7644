//! What a worker counts: written by it alone, read by anybody at any time.

use weir_tables::counters::{Counter, LINE};
use weir_tables::port::PortIndex;

/// Counters of one lcore's loop. On cache lines of their own, which nobody else writes, nor those beside them.
#[derive(Debug)]
#[repr(align(128))]
pub struct WorkerCounters {
    /// Passes over all queues.
    pub passes: Counter,
    /// Those in which a frame came.
    pub busy_passes: Counter,
    /// Cycles of the passes in which a frame came.
    pub busy_cycles: Counter,
    /// Cycles of the passes in which none came, sleep included.
    pub idle_cycles: Counter,
    /// Frames for ports that have no queue on this lcore.
    pub tx_no_queue: Counter,
    ports: Box<[PortCounters]>,
}

/// Counters of one port on one lcore.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct PortCounters {
    /// Frames received.
    pub rx_packets: Counter,
    /// Those of them that could not be used: empty, or headers that do not fit a buffer.
    pub rx_refused: Counter,
    /// Polls of a receive queue left out because it had more than its share of the lcore's cycles.
    pub rx_put_off: Counter,
    /// Passes of its frames for which the processor had to ask the tables.
    pub rx_walks: Counter,
    /// Frames that the device took.
    pub tx_packets: Counter,
    /// Frames that the device's queue had no room for, and that were dropped.
    pub tx_full: Counter,
    /// Frames dropped because they are longer than the port's MTU allows.
    pub tx_oversize: Counter,
    /// Frames dropped because they are chains, which the device does not take.
    pub tx_chain: Counter,
}

const _: () = assert!(align_of::<WorkerCounters>() >= LINE && align_of::<PortCounters>() >= LINE);

impl PortCounters {
    /// Another port has its place; only the owner may say so.
    pub(super) fn start_anew(&self) {
        let Self {
            rx_packets,
            rx_refused,
            rx_put_off,
            rx_walks,
            tx_packets,
            tx_full,
            tx_oversize,
            tx_chain,
        } = self;
        let all = [
            rx_packets,
            rx_refused,
            rx_put_off,
            rx_walks,
            tx_packets,
            tx_full,
            tx_oversize,
            tx_chain,
        ];
        all.into_iter().for_each(|counter| counter.set(0));
    }
}

impl WorkerCounters {
    pub(crate) fn new(ports: usize) -> Self {
        Self {
            passes: Counter::default(),
            busy_passes: Counter::default(),
            busy_cycles: Counter::default(),
            idle_cycles: Counter::default(),
            tx_no_queue: Counter::default(),
            ports: (0..ports).map(|_| PortCounters::default()).collect(),
        }
    }

    /// How many ports there is room for.
    pub const fn places(&self) -> usize {
        self.ports.len()
    }

    /// The counters of a port.
    ///
    /// # Panics
    /// If the lcore has no queue of a port at or behind this index.
    pub fn port(&self, index: PortIndex) -> &PortCounters {
        &self.ports[usize::from(index.0)]
    }

    /// The counters of all ports, by index.
    pub fn ports(&self) -> &[PortCounters] {
        &self.ports
    }
}
