//! Frames on their way out: gathered per port, handed to the device in bulk.

use std::sync::Arc;

use weir_packet::Frame;
use weir_tables::pipeline::Output;
use weir_tables::port::PortIndex;

use super::counters::{PortCounters, WorkerCounters};
use super::{NotSent, Processor};
use crate::batch::MbufBatch;
use crate::mbuf::Mbuf;
use crate::queue::TxQueue;

/// Frames gathered for one port before the device is asked to take them.
const TX_BATCH: usize = 64;

/// The transmit side of one lcore: a buffer and a queue for each port.
///
/// Every buffer is empty between two bursts.
pub struct TxPorts {
    ports: Vec<Option<TxPort>>,
    /// Ports whose buffer is not empty. Never longer than `ports`, which it was allocated for.
    waiting: Vec<PortIndex>,
    lost: Lost,
    counters: Arc<WorkerCounters>,
}

struct TxPort {
    queue: TxQueue,
    max_frame_bytes: usize,
    sends_chains: bool,
    batch: MbufBatch<TX_BATCH>,
}

/// Frames lost in this burst, by reason.
#[derive(Default)]
struct Lost {
    any: bool,
    chain: usize,
    no_queue: usize,
    oversize: usize,
    queue_full: usize,
}

impl TxPorts {
    pub(super) fn new(counters: Arc<WorkerCounters>) -> Self {
        Self {
            ports: Vec::new(),
            waiting: Vec::new(),
            lost: Lost::default(),
            counters,
        }
    }

    pub(super) fn attach(&mut self, index: PortIndex, queue: TxQueue) {
        let at = usize::from(index.0);
        if self.ports.len() <= at {
            self.ports.resize_with(at + 1, || None);
            self.waiting.reserve(self.ports.len());
        }
        self.ports[at] = Some(TxPort {
            max_frame_bytes: queue.max_frame_bytes(),
            sends_chains: queue.sends_chains(),
            queue,
            batch: MbufBatch::new(),
        });
    }

    /// Gives back the queue of a port; what is sent there from now on is lost.
    pub(super) fn detach(&mut self, index: PortIndex) -> Option<TxQueue> {
        let port = self.ports.get_mut(usize::from(index.0))?.take()?;
        debug_assert!(port.batch.is_empty(), "buffers are empty between bursts");
        Some(port.queue)
    }

    /// Hands everything to the devices. What a queue has no room for is dropped: waiting would
    /// only delay what comes next, for all ports.
    #[inline]
    pub(super) fn flush(&mut self) {
        for index in self.waiting.drain(..) {
            if let Some(Some(port)) = self.ports.get_mut(usize::from(index.0)) {
                port.flush(self.counters.port(index), &mut self.lost);
            }
        }
    }

    /// Tells `processor` what was lost since the last time.
    #[inline]
    pub(super) fn report(&mut self, processor: &mut impl Processor) {
        if !self.lost.any {
            return;
        }
        let lost = std::mem::take(&mut self.lost);
        let reasons = [
            (NotSent::Chain, lost.chain),
            (NotSent::NoQueue, lost.no_queue),
            (NotSent::Oversize, lost.oversize),
            (NotSent::QueueFull, lost.queue_full),
        ];
        for (reason, frames) in reasons.into_iter().filter(|&(_, frames)| frames > 0) {
            processor.not_sent(reason, frames);
        }
    }
}

impl TxPort {
    /// Whether it takes all of `frames`, none of which is longer than `longest` bytes.
    #[inline]
    fn takes(&self, frames: &[Option<Mbuf>], longest: usize) -> bool {
        let is_chain = |frame: &Mbuf| frame.segments() > 1;
        longest <= self.max_frame_bytes
            && (self.sends_chains || !frames.iter().flatten().any(is_chain))
    }

    fn flush(&mut self, counters: &PortCounters, lost: &mut Lost) {
        let mut sent = 0;
        // Some drivers take fewer than they could at once; one that takes none is full.
        while !self.batch.is_empty() {
            let taken = self.queue.send(&mut self.batch);
            sent += taken;
            if taken == 0 {
                break;
            }
        }
        counters.tx_packets.add(sent as u64);
        if !self.batch.is_empty() {
            let dropped = self.batch.free();
            counters.tx_full.add(dropped as u64);
            lost.any = true;
            lost.queue_full += dropped;
        }
    }
}

impl Output<Mbuf> for TxPorts {
    /// All at once, if none of them can be one that the port does not take.
    #[inline]
    fn send_all(&mut self, index: PortIndex, mut frames: &mut [Option<Mbuf>], longest: usize) {
        let port = self.ports.get_mut(usize::from(index.0));
        let Some(port) = port
            .and_then(Option::as_mut)
            .filter(|port| port.takes(frames, longest))
        else {
            for frame in frames.iter_mut().filter_map(Option::take) {
                self.send(index, frame);
            }
            return;
        };
        if port.batch.is_empty() && !frames.is_empty() {
            self.waiting.push(index);
        }
        loop {
            let taken = port.batch.append(frames);
            frames = &mut frames[taken..];
            if frames.is_empty() {
                break;
            }
            port.flush(self.counters.port(index), &mut self.lost);
        }
    }

    /// Keeps the frame until the end of the burst, or until the port's buffer is full.
    #[inline(always)]
    fn send(&mut self, index: PortIndex, frame: Mbuf) {
        let Some(Some(port)) = self.ports.get_mut(usize::from(index.0)) else {
            self.counters.tx_no_queue.add(1);
            self.lost.any = true;
            self.lost.no_queue += 1;
            return;
        };
        // A driver stops at a frame that it cannot send, which would hold up those behind it.
        if frame.len() > port.max_frame_bytes {
            self.counters.port(index).tx_oversize.add(1);
            self.lost.any = true;
            self.lost.oversize += 1;
            return;
        }
        if !port.sends_chains && frame.segments() > 1 {
            self.counters.port(index).tx_chain.add(1);
            self.lost.any = true;
            self.lost.chain += 1;
            return;
        }
        if port.batch.is_full() {
            port.flush(self.counters.port(index), &mut self.lost);
        } else if port.batch.is_empty() {
            self.waiting.push(index);
        }
        let pushed = port.batch.push(frame);
        debug_assert!(pushed.is_ok(), "a full buffer was flushed above");
    }
}
