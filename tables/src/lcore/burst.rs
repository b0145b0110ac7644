//! One burst: from received frames to sent ones.
//!
//! ```text
//! parse, key, hash -> signatures -> entries -> connections -> act, packet by packet
//!     (every packet of the burst)  (each stage asks for the memory of the next)
//! ```
//!
//! Those not found are read ahead as [`super::ahead`] says. The stages before the last only find
//! and prefetch; what decides is read in the last, in the order in which the packets came, and each
//! is done with before the next.
//!
//! Frames stay where they lie until they go. Most are plain packets ([`Layout::plain`]) that were
//! found, one behind the other with one program: they go in a [run](crate::cache), whose loop knows
//! where headers lie and hands the port all of its frames at once: [`super::hit`].

use std::iter::FusedIterator;

use weir_ct::{Likely, Quest};
use weir_packet::{Frame, Layout, Malformed, Tick, parse};

use super::Lcore;
use super::hit::Refused;
use super::stage::Stage;
use crate::cache::EntryId;
use crate::drops::DropReason;
use crate::packet_out::PacketOut;
use crate::pipeline::{Asks, Journey, Output, Suspended};
use crate::port::PortIndex;
use crate::tunnel::Meta;

/// Frames that go through the stages together.
pub(super) const BURST: usize = 32;

impl Lcore {
    /// Takes one burst of frames that came in at `in_port`, in order; each is sent, kept in a
    /// queue of `out`, or dropped and counted.
    pub fn process<F, O>(
        &mut self,
        in_port: PortIndex,
        mut frames: impl FusedIterator<Item = F>,
        now: Tick,
        out: &mut O,
    ) where
        F: Frame,
        O: Output<F>,
    {
        loop {
            let mut burst: [Option<F>; BURST] = std::array::from_fn(|_| frames.next());
            let len = burst.iter().take_while(|frame| frame.is_some()).count();
            self.part(in_port, &mut burst[..len], now, out);
            if len < BURST {
                break;
            }
        }
        self.counters.bursts.add(1);
    }

    /// As [`Lcore::process`], for frames that lie in an array, of which some may be missing.
    /// Afterwards all are.
    pub fn process_slots<F, O>(
        &mut self,
        in_port: PortIndex,
        frames: &mut [Option<F>],
        now: Tick,
        out: &mut O,
    ) where
        F: Frame,
        O: Output<F>,
    {
        for part in frames.chunks_mut(BURST) {
            self.part(in_port, part, now, out);
        }
        self.counters.bursts.add(1);
    }

    /// At most [`BURST`] frames.
    #[inline]
    fn part<F, O>(&mut self, in_port: PortIndex, burst: &mut [Option<F>], now: Tick, out: &mut O)
    where
        F: Frame,
        O: Output<F>,
    {
        if burst.is_empty() {
            return;
        }
        if self.snapshot.ports.refuses(in_port) {
            self.refuse(burst);
        } else if self.snapshot.ports.tunnels().ride_on(in_port) {
            self.underlay(in_port, burst, now, out);
        } else {
            self.frames(in_port, burst, now, out);
        }
    }

    /// The port receives nothing.
    #[cold]
    fn refuse<F: Frame>(&self, burst: &mut [Option<F>]) {
        for frame in burst.iter_mut().filter_map(Option::take) {
            self.ends_here(frame.len(), Some(DropReason::PortNoReceive));
        }
    }

    /// The same of frames as the tables see them.
    #[inline]
    pub(super) fn frames<F, O>(
        &mut self,
        in_port: PortIndex,
        burst: &mut [Option<F>],
        now: Tick,
        out: &mut O,
    ) where
        F: Frame,
        O: Output<F>,
    {
        if self.trajectories.is_some() {
            self.remembered(in_port, burst, now, out);
        } else {
            self.walked(in_port, burst, now, out);
        }
    }

    /// A burst without trajectories.
    fn walked<F, O>(&mut self, in_port: PortIndex, burst: &mut [Option<F>], now: Tick, out: &mut O)
    where
        F: Frame,
        O: Output<F>,
    {
        let mut stages = std::mem::take(&mut self.stages);
        let frames = burst.iter().flatten();
        let came = frames.fold((0, 0), |(packets, bytes), frame| {
            (packets + 1, bytes + frame.len() as u64)
        });
        let gone = out.sift(burst, &self.tracker, |_| Asks::Whose);
        self.counters.packets.add(came.0 - gone.0);
        self.counters.bytes.add(came.1 - gone.1);
        for (frame, stage) in burst.iter().zip(&mut stages) {
            let Some(frame) = frame else {
                stage.leave_empty();
                continue;
            };
            stage.only_parse(frame.head(), frame.len());
        }
        self.look_ahead(in_port, burst, &stages, |at| out.pair(at));
        for (at, (slot, stage)) in burst.iter_mut().zip(&stages).enumerate() {
            let tunnel = self.ingress.of(at);
            let Some(frame) = slot.take().and_then(|frame| out.admit(at, frame, tunnel)) else {
                continue;
            };
            match stage.layout() {
                Ok(layout) => {
                    self.journey(in_port, at, frame, layout, Some(at), false, now, out);
                }
                Err(_) => self.runt(Malformed::Runt),
            }
        }
        self.stages = stages;
    }

    /// A burst with trajectories.
    fn remembered<F, O>(
        &mut self,
        in_port: PortIndex,
        burst: &mut [Option<F>],
        now: Tick,
        out: &mut O,
    ) where
        F: Frame,
        O: Output<F>,
    {
        let generation = self.snapshot.generation;
        let Some(trajectories) = &mut self.trajectories else {
            return;
        };
        if trajectories.wire(in_port).holds(generation) {
            return self.wired(in_port, burst, now, out);
        }
        let mut stages = std::mem::take(&mut self.stages);
        let mut found = if self.ingress.is_empty() {
            self.find::<F, false>(in_port, burst, &mut stages)
        } else {
            self.find::<F, true>(in_port, burst, &mut stages)
        };
        if found.misses {
            let asks = |at: usize| stages[at].asks();
            let (frames, bytes) = out.sift(burst, &self.tracker, asks);
            found.packets -= frames;
            found.bytes -= bytes;
            let mut left = burst.iter().zip(&stages);
            if left.any(|(frame, stage)| frame.is_some() && stage.entry == EntryId::NONE) {
                self.look_ahead(in_port, burst, &stages, |at| out.pair(at));
            }
        }
        self.counters.packets.add(found.packets);
        self.counters.bytes.add(found.bytes);
        let counts = self.tracker.is_accounting();
        if counts {
            self.prefetch_accounts(&stages[..burst.len()]);
        }
        let (mut hits, mut misses) = (0, 0);
        // Whether an earlier packet of the burst may have put another in an entry's place.
        let mut installed = false;
        let mut next = 0;
        loop {
            let quick = match stages.get(next) {
                Some(stage) if stage.is_plain() => {
                    let (burst, stages) = (&mut burst[next..], &stages[next..]);
                    match counts {
                        false => self.runs::<F, O, false>(burst, stages, installed, now, out),
                        true => self.runs::<F, O, true>(burst, stages, installed, now, out),
                    }
                }
                Some(_) | None => 0,
            };
            hits += quick as u64;
            let at = next + quick;
            let (Some(slot), Some(stage)) = (burst.get_mut(at), stages.get(at)) else {
                break;
            };
            next = at + 1;
            let (Some(mut frame), layout) = (slot.take(), stage.layout()) else {
                continue;
            };
            let Ok(layout) = &layout else {
                self.runt(Malformed::Runt);
                continue;
            };
            let Stage {
                key, hashed, entry, ..
            } = stage;
            // What has an entry was not read ahead.
            let ahead = (*entry == EntryId::NONE).then_some(at);
            if *entry != EntryId::NONE && (!installed || self.is_still(*entry, key)) {
                match self.hit(*entry, key, frame, layout, now, out) {
                    Ok(()) => {
                        hits += 1;
                        continue;
                    }
                    Err(Refused(back)) => frame = back,
                }
            }
            if ahead.is_none() {
                let Some(claimed) = out.claim(at, frame, &self.tracker) else {
                    continue;
                };
                frame = claimed;
            }
            let Some(frame) = out.admit(at, frame, self.ingress.of(at)) else {
                continue;
            };
            let missed = !hashed.is_none();
            misses += u64::from(missed);
            let likely = ahead.map_or(Likely::Unknown, |at| self.aheads[at].likely);
            let traced = missed && self.is_worth_a_trace(likely);
            let strangers = self.tracker.strangers();
            let noted = self.journey(in_port, at, frame, *layout, ahead, traced, now, out);
            if let Some(trajectories) = &mut self.trajectories {
                trajectories.learn(likely, self.tracker.strangers() != strangers);
                if noted {
                    trajectories.install(key, *hashed, &mut self.trace, generation);
                    installed = true;
                }
            }
        }
        if let Some(trajectories) = &mut self.trajectories {
            trajectories.count(hits, misses);
            let rules = &self.snapshot.counters[self.index];
            trajectories.programs.fold(rules, &self.counters, now);
        }
        self.stages = stages;
    }

    /// Whether a journey is to be written down.
    fn is_worth_a_trace(&mut self, likely: Likely) -> bool {
        let trajectories = self.trajectories.as_mut();
        trajectories.is_some_and(|trajectories| trajectories.is_worth_a_trace(likely))
    }

    /// One packet, frame number `at` of its burst, by way of the tables or of the megaflow cache.
    /// Returns whether it was written down, which it is only if `traced`.
    ///
    /// `ahead`: where it is said what was read of the frame before, if anything was.
    #[expect(clippy::too_many_arguments, reason = "all of them are of the packet")]
    fn journey<F, O>(
        &mut self,
        in_port: PortIndex,
        at: usize,
        frame: F,
        layout: Layout,
        ahead: Option<usize>,
        traced: bool,
        now: Tick,
        out: &mut O,
    ) -> bool
    where
        F: Frame,
        O: Output<F>,
    {
        if let Some(malformed) = layout.malformed {
            self.counters.malformed[malformed as usize].add(1);
        }
        let snapshot = &*self.snapshot;
        let mut asks = None;
        if let (true, Some(trajectories)) = (traced, &mut self.trajectories) {
            let wire = trajectories.wire(in_port);
            asks = wire.is_unknown(snapshot.generation).then_some(wire);
            self.trace.ask(asks.is_some());
        }
        let noted = Journey::new(
            snapshot,
            &snapshot.counters[self.index],
            &self.counters,
            &mut self.tracker,
            &mut self.macs,
            &mut self.neighbours,
            self.megaflows.as_mut(),
            traced.then_some(&mut self.trace),
            &mut self.records,
            &mut self.stack,
            &mut self.holding,
            self.packet_ins.as_mut(),
            out,
            in_port,
            self.ingress.of(at),
            now,
        )
        .run(frame, layout, ahead.map(|at| &self.aheads[at]));
        if let Some(wire) = asks {
            wire.learn(&self.trace, snapshot.generation);
        }
        noted
    }

    /// Begins with a packet of a burst that had to wait behind another one, and was counted.
    /// `tunnel`: what its outer headers said, if it came out of one.
    pub(super) fn begin<F, O>(
        &mut self,
        in_port: PortIndex,
        frame: F,
        tunnel: Option<Meta>,
        now: Tick,
        out: &mut O,
    ) where
        F: Frame,
        O: Output<F>,
    {
        self.ingress.clear();
        let in_port = tunnel.as_ref().map_or(in_port, |tunnel| tunnel.port);
        if let Some(tunnel) = tunnel {
            self.ingress.push(tunnel);
        }
        match parse(frame.head(), frame.len()) {
            Ok(layout) => {
                self.journey(in_port, 0, frame, layout, None, false, now, out);
            }
            Err(_) => self.runt(Malformed::Runt),
        }
        self.ingress.clear();
    }

    /// Goes on with a packet that waited. `quest`: what was found out for it; `None` if it only
    /// waited behind another one.
    pub(super) fn go_on<F, O>(
        &mut self,
        frame: F,
        suspended: &Suspended,
        quest: Option<Quest>,
        now: Tick,
        out: &mut O,
    ) where
        F: Frame,
        O: Output<F>,
    {
        let snapshot = &*self.snapshot;
        Journey::new(
            snapshot,
            &snapshot.counters[self.index],
            &self.counters,
            &mut self.tracker,
            &mut self.macs,
            &mut self.neighbours,
            self.megaflows.as_mut(),
            None,
            &mut self.records,
            &mut self.stack,
            &mut self.holding,
            self.packet_ins.as_mut(),
            out,
            suspended.in_port(),
            suspended.tunnel(),
            now,
        )
        .go_on(frame, suspended, quest);
    }

    /// Does to a frame what the controller said.
    pub fn packet_out<F, O>(&mut self, frame: F, order: &PacketOut, now: Tick, out: &mut O)
    where
        F: Frame,
        O: Output<F>,
    {
        let Ok(layout) = parse(frame.head(), frame.len()) else {
            return self.runt(Malformed::Runt);
        };
        let snapshot = &*self.snapshot;
        let in_port = snapshot.ports.index_of(order.in_port);
        let in_port = in_port.unwrap_or(PortIndex(0));
        Journey::new(
            snapshot,
            &snapshot.counters[self.index],
            &self.counters,
            &mut self.tracker,
            &mut self.macs,
            &mut self.neighbours,
            None,
            None,
            &mut self.records,
            &mut self.stack,
            &mut self.holding,
            self.packet_ins.as_mut(),
            out,
            in_port,
            None,
            now,
        )
        .packet_out(frame, layout, order.in_port, &order.metadata, &order.rule);
    }

    /// A burst from a port of which nothing else counts.
    fn wired<F, O>(&mut self, in_port: PortIndex, burst: &mut [Option<F>], now: Tick, out: &mut O)
    where
        F: Frame,
        O: Output<F>,
    {
        // Nothing of a packet counts but its port, so nothing is remembered that says whose it is. Its owner
        // keeps it in order with others of its tuple that came in elsewhere.
        out.sift(burst, &self.tracker, |_| Asks::Whose);
        let Some(trajectories) = &mut self.trajectories else {
            return;
        };
        let wire = trajectories.wire(in_port);
        let (mut frames, mut bytes) = (0, 0);
        let mut other = burst.len();
        for (at, slot) in burst.iter_mut().enumerate() {
            let Some(frame) = slot.take_if(|frame| wire.admits(frame)) else {
                if slot.is_none() {
                    continue;
                }
                other = at;
                break;
            };
            frames += 1;
            bytes += frame.len();
            wire.run(frame, out, &self.counters);
        }
        self.counters.packets.add(frames as u64);
        self.counters.bytes.add(bytes as u64);
        let rules = &self.snapshot.counters[self.index];
        wire.count(frames, bytes, rules, &self.counters, now);
        trajectories.count(frames as u64, 0);
        if other < burst.len() {
            // Behind a frame that goes the long way, all do, to stay in order.
            self.ingress.skip(other);
            out.skip(other);
            self.walked(in_port, &mut burst[other..], now, out);
        }
    }

    fn runt(&self, malformed: Malformed) {
        let counters = &*self.counters;
        counters.malformed[malformed as usize].add(1);
        counters.drop(DropReason::Runt);
    }
}
