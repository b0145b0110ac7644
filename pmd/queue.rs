//! Receive and transmit queues: one owner each.
//!
//! A queue keeps its device alive: the device is stopped and closed when its [`Port`] and all of
//! its queues are gone, so that nobody polls a closed device.
//!
//! Threads: a queue may move to another thread (a worker takes its queues with it) but cannot be
//! shared; DPDK's queues have no lock.
//!
//! [`Port`]: crate::port::Port

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Arc;

use weir_tables::counters::Counter;

use crate::batch::MbufBatch;
use crate::clock::Cycles;
use crate::dpdk_sys as ffi;
use crate::port::Device;

/// What a receive queue has cost whoever polled it: written by that lcore, read by anybody. It goes with
/// the queue from one lcore to another. On a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct QueueLoad {
    /// TSC cycles, estimated from the polls that were timed.
    pub(crate) busy_cycles: Counter,
}

/// One receive queue of a started port.
pub struct RxQueue {
    device: Arc<Device>,
    load: Arc<QueueLoad>,
    port: u16,
    queue: u16,
    /// `Cell` is `Send` and not `Sync`.
    not_sync: PhantomData<Cell<()>>,
}

impl RxQueue {
    /// # Safety
    /// The device is started, has this queue, and no other `RxQueue` is made for it.
    pub(crate) unsafe fn new(device: Arc<Device>, queue: u16) -> Self {
        Self {
            port: device.id(),
            device,
            load: Arc::default(),
            queue,
            not_sync: PhantomData,
        }
    }

    /// Receives as many frames as `batch` has room for; returns how many came.
    #[inline]
    pub fn receive<const N: usize>(&mut self, batch: &mut MbufBatch<N>) -> usize {
        let (slots, room) = batch.spare();
        // SAFETY: `self` is the only owner of this queue and `&mut`, so no other thread polls
        // it. DPDK writes at most `room` pointers, all into the spare slots, and each frame it
        // reports becomes ours.
        let came = unsafe { ffi::weir_rx_burst(self.port, self.queue, slots, room) };
        // SAFETY: the first `came` slots were written by the call above.
        unsafe { batch.claim(came) };
        usize::from(came)
    }

    /// Its frames took so many cycles more.
    pub(crate) fn took(&self, cycles: Cycles) {
        self.load.busy_cycles.add(cycles.0);
    }

    /// What it has cost, for others to read.
    pub(crate) fn load(&self) -> Arc<QueueLoad> {
        Arc::clone(&self.load)
    }

    /// The name of the port it belongs to.
    pub fn port_name(&self) -> &str {
        self.device.name()
    }

    /// Its number at that port.
    pub const fn index(&self) -> u16 {
        self.queue
    }
}

/// One transmit queue of a started port.
pub struct TxQueue {
    device: Arc<Device>,
    port: u16,
    queue: u16,
    /// `Cell` is `Send` and not `Sync`.
    not_sync: PhantomData<Cell<()>>,
}

impl TxQueue {
    /// # Safety
    /// The device is started, has this queue, and no other `TxQueue` is made for it.
    pub(crate) unsafe fn new(device: Arc<Device>, queue: u16) -> Self {
        Self {
            port: device.id(),
            device,
            queue,
            not_sync: PhantomData,
        }
    }

    /// Sends from the front of `batch`; frames that the queue did not take stay in it, moved to
    /// the front. Returns how many were sent.
    #[inline]
    pub fn send<const N: usize>(&mut self, batch: &mut MbufBatch<N>) -> usize {
        let (frames, count) = batch.filled();
        // SAFETY: `self` is the only owner of this queue and `&mut`, so no other thread sends on
        // it. The first `count` slots hold frames that are ours.
        let sent = unsafe { ffi::weir_tx_burst(self.port, self.queue, frames, count) };
        // SAFETY: the first `sent` of them are the driver's now.
        unsafe { batch.release_front(sent) };
        usize::from(sent)
    }

    /// The name of the port it belongs to.
    pub fn port_name(&self) -> &str {
        self.device.name()
    }

    /// Its number at that port.
    pub const fn index(&self) -> u16 {
        self.queue
    }

    /// The longest frame that the port sends, in bytes without FCS: its MTU, the Ethernet header
    /// and two VLAN tags.
    pub fn max_frame_bytes(&self) -> usize {
        self.device.max_frame_bytes()
    }

    /// Whether the device takes frames of several segments.
    pub fn sends_chains(&self) -> bool {
        self.device.sends_chains()
    }
}
