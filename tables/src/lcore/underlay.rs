//! Bursts of a port that tunnels ride on: what came through a tunnel goes on from the tunnel's
//! port, what is for the switch itself is answered, the rest is a burst as any other.
//!
//! Frames that go on from one port are one burst; what is done before and behind them is not.

use weir_packet::{Frame, Tick};

use super::Lcore;
use super::burst::BURST;
use crate::drops::DropReason;
use crate::pipeline::Output;
use crate::port::PortIndex;
use crate::tunnel::{Reception, answer, classify};

/// Frames that go on together.
struct Run<F> {
    frames: [Option<F>; BURST],
    len: usize,
    in_port: PortIndex,
    /// Their numbers in the burst, if somebody wants to know.
    numbers: [u8; BURST],
}

impl Lcore {
    /// A burst that came in at `over`.
    pub(super) fn underlay<F, O>(
        &mut self,
        over: PortIndex,
        burst: &mut [Option<F>],
        now: Tick,
        out: &mut O,
    ) where
        F: Frame,
        O: Output<F>,
    {
        let mut run = Run {
            frames: std::array::from_fn(|_| None),
            len: 0,
            in_port: over,
            numbers: [0; BURST],
        };
        self.ingress.clear();
        for (at, slot) in burst.iter_mut().enumerate() {
            let Some(mut frame) = slot.take() else {
                continue;
            };
            let len = frame.len();
            let tunnels = self.snapshot.ports.tunnels();
            match classify(&mut frame, over, tunnels, &self.snapshot.options) {
                Reception::Ordinary => {
                    self.goes_on(over, &mut run, now, out);
                    run.push::<O>(at, frame);
                }
                Reception::Inner(meta) if self.snapshot.ports.refuses(meta.port) => {
                    self.ends_here(len, Some(DropReason::PortNoReceive));
                }
                Reception::Inner(mut meta) => {
                    self.goes_on(meta.port, &mut run, now, out);
                    if self.trajectories.is_some() {
                        let interest = self.snapshot.interest.of_tunnels();
                        meta.number = self.ingress.number(&meta, interest);
                    }
                    self.counters.tunnel(meta.port).received(frame.len());
                    // What is counted with the packet is what is left of it.
                    self.counters.bytes.add((len - frame.len()) as u64);
                    self.ingress.push(meta);
                    run.push::<O>(at, frame);
                }
                Reception::Dropped(reason) => {
                    self.ends_here(len, Some(reason));
                }
                Reception::Ours(layout, ours) => {
                    // Who came before has not heard what this one says.
                    self.run_out(&mut run, now, out);
                    if answer(&mut frame, &layout, ours, over, &mut self.neighbours, now) {
                        self.ends_here(len, None);
                        out.send(over, frame);
                    } else {
                        self.ends_here(len, Some(DropReason::NeighbourAnswer));
                    }
                }
            }
        }
        self.run_out(&mut run, now, out);
    }

    /// The next frame goes on from `in_port`.
    fn goes_on<F, O>(&mut self, in_port: PortIndex, run: &mut Run<F>, now: Tick, out: &mut O)
    where
        F: Frame,
        O: Output<F>,
    {
        if run.in_port != in_port {
            self.run_out(run, now, out);
            run.in_port = in_port;
        }
    }

    /// All that came before goes on.
    fn run_out<F, O>(&mut self, run: &mut Run<F>, now: Tick, out: &mut O)
    where
        F: Frame,
        O: Output<F>,
    {
        if run.len > 0 {
            if O::PLACES {
                out.placed(&run.numbers[..run.len]);
            }
            self.frames(run.in_port, &mut run.frames[..run.len], now, out);
            run.len = 0;
            self.ingress.clear();
        }
    }

    /// Counts a frame of `len` bytes that no table sees, and why it is lost, if it is.
    pub(super) fn ends_here(&self, len: usize, lost: Option<DropReason>) {
        let counters = &*self.counters;
        counters.packets.add(1);
        counters.bytes.add(len as u64);
        if let Some(reason) = lost {
            counters.drop(reason);
        }
    }
}

impl<F> Run<F> {
    fn push<O: Output<F>>(&mut self, at: usize, frame: F) {
        if O::PLACES
            && let Some(number) = self.numbers.get_mut(self.len)
        {
            *number = at as u8;
        }
        if let Some(place) = self.frames.get_mut(self.len) {
            *place = Some(frame);
            self.len += 1;
        }
    }
}

#[cfg(test)]
mod tests;
