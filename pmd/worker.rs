//! The poll loop of an lcore: receive, process, send, account; nothing else touches its queues.
//!
//! Invariants
//!   1. But where queues are taken over or given back, in the loop there is no allocation, lock,
//!      atomic read-modify-write or log, and no system call but the sleep that
//!      [`WorkerSettings::idle_sleep`] asks for. The cycle counter is read once per pass, and in one of
//!      eight passes once per queue.
//!   2. Frames for one port leave in the order in which they were handed in.
//!   3. Every frame that the worker loses is counted, by port and reason.
//!   4. Queues that have frames waiting, and other lcores that hand frames over, get the same share of
//!      the lcore's cycles each (`worker/turns.rs`).
//!
//! Threads: the worker owns its queues and its [`Processor`]; others read [`WorkerCounters`].
//! Cost: two function pointers into the driver per burst; per frame what the processor takes.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use weir_packet::Tick;
use weir_tables::port::PortIndex;

use crate::batch::{BURST, Drain, MbufBatch};
use crate::clock::{Clock, Cycles};
use crate::lcore::StopFlag;
use crate::mailbox::{self, Inbox, Mailbox};
use crate::queue::{RxQueue, TxQueue};

mod counters;
mod turns;
mod tx;

pub use counters::{PortCounters, WorkerCounters};
pub use tx::TxPorts;

use turns::{Turns, estimate, weighed};

/// What is done with the frames.
pub trait Processor {
    /// Takes one burst that came in at `in_port`, in order. Frames left in `frames` are freed.
    fn process(&mut self, in_port: PortIndex, frames: &mut Drain<'_>, now: Tick, out: &mut TxPorts);

    /// Work that is not about a packet: at most `budget` units of it.
    fn housekeep(&mut self, now: Tick, budget: usize);

    /// Takes over a new snapshot and answers the management thread, which may want packets to be
    /// sent. Called once per pass. Returns whether anything may have been handed to `out`.
    fn poll_control(&mut self, now: Tick, out: &mut TxPorts) -> bool;

    /// How many other lcores hand packets over to this one.
    #[inline]
    fn neighbours(&self) -> usize {
        0
    }

    /// Looks what they have handed over, and asks for its memory. Called once per pass.
    #[inline]
    fn look_ahead(&mut self) {}

    /// Takes over what one of them had handed over when that was looked at.
    #[inline]
    fn take_over(&mut self, neighbour: usize, now: Tick, out: &mut TxPorts) -> TakenOver {
        let _ = (neighbour, now, out);
        TakenOver::default()
    }

    /// How many passes of frames so far no cache had an answer for. They cost more than what is
    /// established, and who sends many of them gets less of the lcore: see `worker/turns.rs`.
    fn walks(&self) -> u64 {
        0
    }

    /// Frames came in that could not be used and were freed: they were empty, or their headers
    /// did not fit the first buffer. Called after the burst that they were in.
    fn refused(&mut self, frames: usize);

    /// What was handed over to other lcores so far is to be remembered, for [`Self::is_handed_over`].
    fn mark_handed_over(&mut self) {}

    /// Whether the other lcores have taken all that was handed over to them when that was asked for last.
    fn is_handed_over(&self) -> bool {
        true
    }

    /// Frames that [`Self::process`] handed out were not sent and were freed. Called after the
    /// burst that they were in.
    fn not_sent(&mut self, reason: NotSent, frames: usize);
}

/// What was taken over from another lcore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TakenOver {
    /// Packets, and whatever else was said.
    pub notes: usize,
    /// Whether there is likely more.
    pub waits: bool,
}

/// Why a frame was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// It is a chain of segments, which the port's device does not take.
    Chain,
    /// The port has no queue on this lcore.
    NoQueue,
    /// It is longer than the port's MTU allows.
    Oversize,
    /// The device's queue was full.
    QueueFull,
}

/// How a worker runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerSettings {
    /// Passes between two calls of [`Processor::housekeep`].
    pub housekeeping_passes: u32,
    /// The budget of each call.
    pub housekeeping_budget: usize,
    /// How long to sleep after [`Self::idle_passes`] passes without a frame; zero: never, the
    /// CPU is the worker's own.
    pub idle_sleep: Duration,
    /// Passes without a frame before the first sleep; then it sleeps after each.
    pub idle_passes: u32,
    /// Places for ports beside those that it begins with: see [`PortOrder`].
    pub spare_ports: usize,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            housekeeping_passes: 32,
            housekeeping_budget: 64,
            idle_sleep: Duration::ZERO,
            idle_passes: 512,
            spare_ports: 0,
        }
    }
}

/// The queues of one lcore at one port.
pub struct WorkerPort {
    /// The port's place in the snapshot.
    pub index: PortIndex,
    /// Receive queues that this lcore polls; may be none.
    pub rx: Vec<RxQueue>,
    /// The transmit queue that this lcore sends on.
    pub tx: Option<TxQueue>,
}

/// What the management thread wants done to the queues of an lcore, between two passes.
pub(crate) enum PortOrder {
    /// Poll and send on these, too. The port's counters begin anew.
    Attach(WorkerPort),
    /// Give back those of a port.
    Detach(PortIndex),
    /// Poll this receive queue of a port no more, and give it to whoever takes it as soon as nothing can
    /// overtake what it has brought.
    Release {
        port: PortIndex,
        queue: u16,
        give: Sender<RxQueue>,
    },
    /// Poll a receive queue of this port, too, when it comes, and say then that it has.
    Expect {
        port: PortIndex,
        take: Receiver<RxQueue>,
        say: Sender<()>,
    },
}

/// The management thread's end of what it orders; the answer is what was given back.
pub(crate) type PortOrders = Mailbox<PortOrder, Option<WorkerPort>>;

/// How long nothing came to a thread, which may sleep then.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    /// Passes without a frame, whichever worker's.
    passes: u32,
    /// Whether the worker whose turn it is is the last of its thread.
    pub(crate) is_last: bool,
}

/// An lcore's loop with all that it owns.
pub struct Worker<P> {
    processor: P,
    rx: Vec<(PortIndex, RxQueue)>,
    turns: Turns,
    tx: TxPorts,
    batch: MbufBatch,
    counters: Arc<WorkerCounters>,
    clock: Clock,
    settings: WorkerSettings,
    until_housekeeping: u32,
    orders: Inbox<PortOrder, Option<WorkerPort>>,
    /// Queues that go to other lcores, and those that come from others.
    leaving: Vec<(RxQueue, Sender<RxQueue>)>,
    expected: Vec<(PortIndex, Receiver<RxQueue>, Sender<()>)>,
}

impl<P: Processor> Worker<P> {
    /// A worker that polls and sends on the queues of `ports`. All of its memory is allocated
    /// here.
    pub fn new(
        processor: P,
        ports: Vec<WorkerPort>,
        clock: Clock,
        settings: WorkerSettings,
    ) -> Self {
        Self::with_orders(processor, ports, clock, settings).0
    }

    /// As [`Worker::new`], and how its queues are changed while it runs.
    pub(crate) fn with_orders(
        processor: P,
        ports: Vec<WorkerPort>,
        clock: Clock,
        settings: WorkerSettings,
    ) -> (Self, PortOrders) {
        let port_count = ports
            .iter()
            .map(|port| usize::from(port.index.0) + 1)
            .max()
            .unwrap_or(0);
        let counters = Arc::new(WorkerCounters::new(port_count + settings.spare_ports));
        let mut rx = Vec::new();
        let mut tx = TxPorts::new(Arc::clone(&counters));
        for port in ports {
            rx.extend(port.rx.into_iter().map(|queue| (port.index, queue)));
            if let Some(queue) = port.tx {
                tx.attach(port.index, queue);
            }
        }
        let (mailbox, orders) = mailbox::pair();
        let worker = Self {
            turns: Turns::new(rx.len() + processor.neighbours()),
            processor,
            rx,
            tx,
            batch: MbufBatch::new(),
            counters,
            clock,
            settings,
            until_housekeeping: settings.housekeeping_passes,
            orders,
            leaving: Vec::new(),
            expected: Vec::new(),
        };
        (worker, mailbox)
    }

    /// What it counts, for others to read.
    pub fn counters(&self) -> Arc<WorkerCounters> {
        Arc::clone(&self.counters)
    }

    /// Polls until `stop` is set; returns the processor. The queues are given up.
    pub fn run(mut self, stop: &StopFlag) -> P {
        let mut start = self.clock.cycles();
        let mut idle = Idle {
            passes: 0,
            is_last: true,
        };
        while !stop.is_set() {
            self.pass_over(&mut start, &mut idle);
        }
        self.processor
    }

    /// Does once what is to be done in turn. `start` is when that began, and afterwards when it
    /// ended.
    #[inline]
    pub(crate) fn pass_over(&mut self, start: &mut Cycles, idle: &mut Idle) {
        let now = self.clock.tick_at(*start);
        self.follow_orders();
        let busy = self.processor.poll_control(now, &mut self.tx);
        if busy {
            self.tx.flush();
            self.tx.report(&mut self.processor);
        }
        let came = self.pass(now) + usize::from(busy);
        self.until_housekeeping = self.until_housekeeping.saturating_sub(1);
        if self.until_housekeeping == 0 {
            self.until_housekeeping = self.settings.housekeeping_passes;
            self.processor
                .housekeep(now, self.settings.housekeeping_budget);
        }
        if came > 0 {
            idle.passes = 0;
        } else {
            idle.passes = idle.passes.saturating_add(1);
            let sleeps = idle.is_last && !self.settings.idle_sleep.is_zero();
            if sleeps && idle.passes > self.settings.idle_passes {
                thread::sleep(self.settings.idle_sleep);
            }
        }
        let end = self.clock.cycles();
        self.account(came, end.since(*start));
        *start = end;
    }

    /// Takes queues over or gives them back, if that is wanted. No frame is under way.
    #[inline]
    fn follow_orders(&mut self) {
        let (rx, tx, counters) = (&mut self.rx, &mut self.tx, &self.counters);
        let (turns, processor) = (&mut self.turns, &mut self.processor);
        let (leaving, expected) = (&mut self.leaving, &mut self.expected);
        let neighbours = processor.neighbours();
        self.orders.answer(|order| {
            let given_back = match order {
                PortOrder::Attach(port) => {
                    let WorkerPort {
                        index,
                        rx: queues,
                        tx: queue,
                    } = port;
                    counters.port(index).start_anew();
                    rx.extend(queues.into_iter().map(|queue| (index, queue)));
                    if let Some(queue) = queue {
                        tx.attach(index, queue);
                    }
                    None
                }
                PortOrder::Detach(index) => {
                    let queues = rx.extract_if(.., |(port, _)| *port == index);
                    Some(WorkerPort {
                        index,
                        rx: queues.map(|(_, queue)| queue).collect(),
                        tx: tx.detach(index),
                    })
                }
                PortOrder::Release { port, queue, give } => {
                    let is_meant =
                        |(of, rx): &mut (PortIndex, RxQueue)| *of == port && rx.index() == queue;
                    let released = rx.extract_if(.., is_meant);
                    leaving.extend(released.map(|(_, rx)| (rx, give.clone())));
                    processor.mark_handed_over();
                    None
                }
                PortOrder::Expect { port, take, say } => {
                    expected.push((port, take, say));
                    None
                }
            };
            // Queues have moved: nobody has a debt.
            *turns = Turns::new(rx.len() + neighbours);
            given_back
        });
        if !self.leaving.is_empty() || !self.expected.is_empty() {
            self.move_queues();
        }
    }

    /// Gives queues to other lcores, and takes those that come from others.
    ///
    /// A queue stays with this lcore, polled by nobody, until what it has brought lies with the lcores that
    /// it belongs to: what the next one polls is handed over behind it.
    #[cold]
    fn move_queues(&mut self) {
        if self.processor.is_handed_over() {
            for (queue, give) in self.leaving.drain(..) {
                // There is room for one. If nobody waits for it any more the switch stops.
                let _ = give.try_send(queue);
            }
        }
        let (rx, turns) = (&mut self.rx, &mut self.turns);
        let neighbours = self.processor.neighbours();
        self.expected.retain(|(port, take, say)| {
            let Ok(queue) = take.try_recv() else {
                return true;
            };
            rx.push((*port, queue));
            *turns = Turns::new(rx.len() + neighbours);
            let _ = say.try_send(());
            false
        });
    }

    /// Polls each queue whose turn it is once, and takes over what other lcores hand over whose turn it is;
    /// returns how many frames came.
    #[inline]
    fn pass(&mut self, now: Tick) -> usize {
        let mut came_in_all = 0;
        self.processor.look_ahead();
        let timed = self.turns.begin();
        let mut begun = if timed {
            self.clock.cycles()
        } else {
            Cycles(0)
        };
        for (number, (in_port, queue)) in self.rx.iter_mut().enumerate() {
            if !self.turns.is_due(number) {
                self.counters.port(*in_port).rx_put_off.add(1);
                continue;
            }
            let came = queue.receive(&mut self.batch);
            if came == 0 {
                if timed {
                    self.turns.was_empty(number);
                    // What looking for nothing took is not the next one's.
                    begun = self.clock.cycles();
                }
                continue;
            }
            came_in_all += came;
            let walked = self.processor.walks();
            let mut frames = self.batch.drain();
            self.processor
                .process(*in_port, &mut frames, now, &mut self.tx);
            let refused = frames.refused();
            drop(frames);
            let counters = self.counters.port(*in_port);
            counters.rx_packets.add(came as u64);
            let walks = self.processor.walks() - walked;
            if walks > 0 {
                counters.rx_walks.add(walks);
            }
            if refused > 0 {
                counters.rx_refused.add(refused as u64);
                self.processor.refused(refused);
            }
            self.tx.flush();
            self.tx.report(&mut self.processor);
            if timed {
                let ended = self.clock.cycles();
                let cycles = ended.since(begun);
                self.turns
                    .took(number, weighed(cycles, came, walks), came == BURST);
                queue.took(estimate(cycles));
                begun = ended;
            }
        }
        for neighbour in 0..self.processor.neighbours() {
            let number = self.rx.len() + neighbour;
            if !self.turns.is_due(number) {
                continue;
            }
            let walked = self.processor.walks();
            let TakenOver { notes, waits } = self.processor.take_over(neighbour, now, &mut self.tx);
            if notes == 0 {
                if timed {
                    self.turns.was_empty(number);
                    begun = self.clock.cycles();
                }
                continue;
            }
            came_in_all += notes;
            self.tx.flush();
            self.tx.report(&mut self.processor);
            if timed {
                let walks = self.processor.walks() - walked;
                let ended = self.clock.cycles();
                let cycles = weighed(ended.since(begun), notes, walks);
                self.turns.took(number, cycles, waits);
                begun = ended;
            }
        }
        if timed {
            self.turns.settle();
        }
        came_in_all
    }

    #[inline]
    fn account(&self, came: usize, spent: Cycles) {
        let counters = &self.counters;
        counters.passes.add(1);
        if came > 0 {
            counters.busy_passes.add(1);
            counters.busy_cycles.add(spent.0);
        } else {
            counters.idle_cycles.add(spent.0);
        }
    }
}
