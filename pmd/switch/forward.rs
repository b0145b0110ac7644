//! What the poll loop does with frames where there is one lcore: the pipeline of [`Lcore`], obeying
//! the newest snapshot.

use weir_packet::Tick;
use weir_tables::lcore::Lcore;
use weir_tables::port::PortIndex;

use super::control::Control;
use crate::batch::Drain;
use crate::worker::{NotSent, Processor, TxPorts};

/// The processor of a switch's only lcore.
pub(super) struct Forward {
    lcore: Lcore,
    control: Control,
}

impl Forward {
    pub(super) const fn new(lcore: Lcore, control: Control) -> Self {
        Self { lcore, control }
    }
}

impl Processor for Forward {
    fn process(
        &mut self,
        in_port: PortIndex,
        frames: &mut Drain<'_>,
        now: Tick,
        out: &mut TxPorts,
    ) {
        let mut out = self.control.gathering(out);
        self.lcore
            .process_slots(in_port, frames.slots(), now, &mut out);
    }

    fn housekeep(&mut self, now: Tick, budget: usize) {
        self.lcore.housekeep(now, budget);
        self.control.expire(now, budget);
    }

    #[inline]
    fn poll_control(&mut self, now: Tick, out: &mut TxPorts) -> bool {
        self.control.poll(&mut self.lcore, now, out)
    }

    #[inline]
    fn walks(&self) -> u64 {
        self.lcore.walks()
    }

    fn refused(&mut self, frames: usize) {
        self.control.refused(frames);
    }

    fn not_sent(&mut self, reason: NotSent, frames: usize) {
        self.control.not_sent(reason, frames);
    }
}
