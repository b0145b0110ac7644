//! One burst: from received frames to sent ones.
//!
//! ```text
//! parse, key, hash -> signatures -> entries -> connections -> act, packet by packet
//!     (every packet of the burst)  (each stage asks for the memory of the next)
//! ```
//!
//! Those not found are read ahead as [`super::ahead`] says. The stages before the last only find and prefetch; what decides is read in the last, in the
//! order in which the packets came, and each is done with before the next.
//!
//! A hit has two halves: first all checks, which write nothing; only if all pass, the effects.
//! What is refused takes the long way, as if it had not been found.

use std::iter::FusedIterator;

use weir_ct::{Likely, Part};
use weir_packet::checksum::{ipv4_header_checksum_ok, l4_checksum_ok};
use weir_packet::{ChecksumStatus, Frame, L3, L4, Layout, Malformed, Tick, parse};

use super::Lcore;
use crate::cache::{Admitted, EntryId, Hashed, Interest, Key};
use crate::drops::DropReason;
use crate::pipeline::{Journey, Output};
use crate::port::PortIndex;

/// Frames that go through the stages together.
pub(super) const BURST: usize = 32;

/// What the stages know of one frame.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stage {
    layout: Layout,
    key: Key,
    hashed: Hashed,
    found: Found,
}

/// How far a frame was found.
#[derive(Clone, Copy, Debug, Default)]
enum Found {
    /// It is a runt.
    #[default]
    Runt,
    /// It is of no class that the cache remembers.
    NoKey,
    /// There is nothing under its key.
    Nothing,
    /// This has its signature.
    Likely(EntryId),
    /// This is its entry.
    Entry(EntryId),
}

impl Stage {
    /// Parses a packet that is not one of the plain ones.
    #[cold]
    fn look_closer(&mut self, head: &[u8], len: usize, in_port: PortIndex, interest: Interest) {
        let Ok(layout) = parse(head, len) else {
            self.found = Found::Runt;
            return;
        };
        self.layout = layout;
        self.found = match Key::of(head, &layout, in_port, interest) {
            None => Found::NoKey,
            Some(key) => {
                self.key = key;
                Found::Nothing
            }
        };
    }
}

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
            let burst: [Option<F>; BURST] = std::array::from_fn(|_| frames.next());
            let is_last = burst[BURST - 1].is_none();
            if burst[0].is_none() {
                break;
            }
            if self.trajectories.is_some() {
                self.remembered(in_port, burst, now, out);
            } else {
                self.walked(in_port, burst, now, out);
            }
            if is_last {
                break;
            }
        }
        self.counters.bursts.add(1);
    }

    /// A burst without trajectories.
    fn walked<F, O>(
        &mut self,
        in_port: PortIndex,
        burst: [Option<F>; BURST],
        now: Tick,
        out: &mut O,
    ) where
        F: Frame,
        O: Output<F>,
    {
        let mut stages = std::mem::take(&mut self.stages);
        for (frame, stage) in burst.iter().map_while(Option::as_ref).zip(&mut stages) {
            self.counters.packets.add(1);
            self.counters.bytes.add(frame.len() as u64);
            stage.found = match parse(frame.head(), frame.len()) {
                Ok(layout) => {
                    stage.layout = layout;
                    Found::NoKey
                }
                Err(_) => Found::Runt,
            };
        }
        self.look_ahead(in_port, &burst, &stages);
        for (at, (frame, stage)) in burst.into_iter().flatten().zip(&stages).enumerate() {
            match stage.found {
                Found::Runt => self.runt(Malformed::Runt),
                _ => {
                    self.journey(in_port, frame, stage.layout, Some(at), false, now, out);
                }
            }
        }
        self.stages = stages;
    }

    /// Reads what goes the long way as far as that can be done for all of the burst at once.
    #[inline]
    fn look_ahead<F: Frame>(
        &mut self,
        in_port: PortIndex,
        burst: &[Option<F>; BURST],
        stages: &[Stage],
    ) {
        let long_way = |stage: &Stage| matches!(stage.found, Found::Nothing | Found::NoKey);
        self.scratch.begin(self.snapshot.ports.port(in_port).no);
        for ((frame, stage), ahead) in burst.iter().zip(stages).zip(&mut self.aheads) {
            let Some(frame) = frame else {
                break;
            };
            if long_way(stage) {
                let (tracker, megaflows) = (&self.tracker, self.megaflows.as_ref());
                let layout = &stage.layout;
                ahead.read(
                    frame,
                    layout,
                    in_port,
                    &mut self.scratch,
                    tracker,
                    megaflows,
                );
            }
        }
        let mut new = 0;
        for ((frame, stage), ahead) in burst.iter().zip(stages).zip(&mut self.aheads) {
            if frame.is_none() {
                break;
            }
            if long_way(stage) {
                ahead.look_closer(&self.tracker, &mut new);
            }
        }
    }

    /// A burst with trajectories.
    fn remembered<F, O>(
        &mut self,
        in_port: PortIndex,
        burst: [Option<F>; BURST],
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
        if self.find(in_port, &burst, &mut stages) {
            self.look_ahead(in_port, &burst, &stages);
        }
        let (mut hits, mut misses) = (0, 0);
        // Whether an earlier packet of the burst may have put another in an entry's place.
        let mut installed = false;
        for (at, (frame, stage)) in burst.into_iter().zip(stages.iter()).enumerate() {
            let Some(mut frame) = frame else {
                break;
            };
            let Stage {
                layout,
                key,
                hashed,
                found,
            } = stage;
            let mut ahead = Some(at);
            let missed = match *found {
                Found::Entry(id) if !installed || self.is_still(id, key) => {
                    match self.hit(id, key, frame, layout, now, out) {
                        Ok(()) => {
                            hits += 1;
                            continue;
                        }
                        Err(Refused(back)) => {
                            frame = back;
                            ahead = None;
                            true
                        }
                    }
                }
                Found::Entry(_) => {
                    ahead = None;
                    true
                }
                Found::Nothing | Found::Likely(_) => true,
                Found::NoKey => false,
                Found::Runt => {
                    self.runt(Malformed::Runt);
                    continue;
                }
            };
            misses += u64::from(missed);
            let likely = ahead.map_or(Likely::Unknown, |at| self.aheads[at].likely);
            let traced = missed && self.is_worth_a_trace(likely);
            let strangers = self.tracker.strangers();
            let noted = self.journey(in_port, frame, *layout, ahead, traced, now, out);
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

    /// The stages that find and prefetch. Returns whether there is a packet without an entry.
    #[inline]
    fn find<F: Frame>(
        &self,
        in_port: PortIndex,
        burst: &[Option<F>],
        stages: &mut [Stage],
    ) -> bool {
        let Some(trajectories) = &self.trajectories else {
            return false;
        };
        let interest = self.snapshot.interest;
        let (mut packets, mut bytes) = (0, 0);
        for (frame, stage) in burst.iter().zip(stages.iter_mut()) {
            let Some(frame) = frame else {
                break;
            };
            let (head, len) = (frame.head(), frame.len());
            packets += 1;
            bytes += len;
            let Stage { layout, key, .. } = stage;
            if Key::read_plain(head, len, in_port, interest, layout, key) {
                stage.hashed = trajectories.hash(key);
                stage.found = Found::Nothing;
            } else {
                stage.look_closer(head, len, in_port, interest);
                if let Found::Nothing = stage.found {
                    stage.hashed = trajectories.hash(&stage.key);
                }
            }
        }
        self.counters.packets.add(packets as u64);
        self.counters.bytes.add(bytes as u64);
        let stages = &mut stages[..packets];
        for stage in stages.iter_mut() {
            if let Found::Nothing = stage.found
                && let Some(likely) = trajectories.likely(stage.hashed)
            {
                stage.found = Found::Likely(likely);
            }
        }
        let mut misses = false;
        for stage in stages {
            if let Found::Likely(likely) = stage.found {
                stage.found = match trajectories.find(likely, stage.hashed, &stage.key) {
                    Some(id) => {
                        trajectories.prefetch_behind(id, &self.tracker);
                        Found::Entry(id)
                    }
                    None => Found::Nothing,
                };
            }
            misses |= !matches!(stage.found, Found::Entry(_));
        }
        misses
    }

    /// Whether a journey is to be written down.
    fn is_worth_a_trace(&mut self, likely: Likely) -> bool {
        let trajectories = self.trajectories.as_mut();
        trajectories.is_some_and(|trajectories| trajectories.is_worth_a_trace(likely))
    }

    /// Whether an entry is that of `key` after others were installed.
    fn is_still(&self, id: EntryId, key: &Key) -> bool {
        let trajectories = self.trajectories.as_ref();
        trajectories.is_some_and(|trajectories| trajectories.is_of(id, key))
    }

    /// One packet by way of an entry: first all checks, which write nothing, then all effects.
    #[inline]
    fn hit<F, O>(
        &mut self,
        id: EntryId,
        key: &Key,
        frame: F,
        layout: &Layout,
        now: Tick,
        out: &mut O,
    ) -> Result<(), Refused<F>>
    where
        F: Frame,
        O: Output<F>,
    {
        let Some(trajectories) = &mut self.trajectories else {
            return Err(Refused(frame));
        };
        let Some(admitted) = trajectories.admit(id, key, &frame, layout, &self.snapshot) else {
            return Err(Refused(frame));
        };
        let Admitted {
            program,
            connections,
            first,
            meets_macs,
        } = admitted;
        // Most packets meet one connection, and no address.
        if connections > 0 {
            let Some(part) = part(&frame, layout) else {
                return Err(Refused(frame));
            };
            if !self.tracker.allows(first, &part, now, &mut self.after[0]) {
                return Err(Refused(frame));
            }
            for at in 1..connections {
                let recall = trajectories.recall(id, at);
                if !self.tracker.allows(recall, &part, now, &mut self.after[at]) {
                    return Err(Refused(frame));
                }
            }
        }
        let mut source = None;
        if meets_macs {
            let destination;
            [source, destination] = trajectories.macs(id);
            let known = source.is_none_or(|place| self.macs.stands(place))
                && destination.is_none_or(|place| self.macs.is_young(place, now));
            if !known {
                return Err(Refused(frame));
            }
        }

        if connections > 0 {
            self.tracker.apply(first, &self.after[0], now);
            for at in 1..connections {
                let recall = trajectories.recall(id, at);
                self.tracker.apply(recall, &self.after[at], now);
            }
        }
        if let Some(source) = source {
            self.macs.refresh(source, now);
        }
        trajectories.run(id, program, frame, layout, out, &self.counters);
        Ok(())
    }

    /// One packet by way of the tables or of the megaflow cache. Returns whether it was written
    /// down, which it is only if `traced`.
    ///
    /// `ahead`: where it is said what was read of the frame before, if anything was.
    #[expect(clippy::too_many_arguments, reason = "all of them are of the packet")]
    fn journey<F, O>(
        &mut self,
        in_port: PortIndex,
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
            self.megaflows.as_mut(),
            traced.then_some(&mut self.trace),
            &mut self.records,
            out,
            in_port,
            now,
        )
        .run(frame, layout, ahead.map(|at| &self.aheads[at]));
        if let Some(wire) = asks {
            wire.learn(&self.trace, snapshot.generation);
        }
        noted
    }

    /// A burst from a port of which nothing else counts.
    fn wired<F, O>(&mut self, in_port: PortIndex, burst: [Option<F>; BURST], now: Tick, out: &mut O)
    where
        F: Frame,
        O: Output<F>,
    {
        let Some(trajectories) = &mut self.trajectories else {
            return;
        };
        let wire = trajectories.wire(in_port);
        let (mut frames, mut bytes) = (0, 0);
        let mut burst = burst.into_iter().flatten();
        let mut other = None;
        for frame in burst.by_ref() {
            if !wire.admits(&frame) {
                other = Some(frame);
                break;
            }
            frames += 1;
            bytes += frame.len();
            wire.run(frame, out, &self.counters);
        }
        self.counters.packets.add(frames as u64);
        self.counters.bytes.add(bytes as u64);
        let rules = &self.snapshot.counters[self.index];
        wire.count(frames, bytes, rules, &self.counters, now);
        trajectories.count(frames as u64, 0);
        if other.is_some() {
            // Behind a frame that goes the long way, all do, to stay in order.
            let mut rest = other.into_iter().chain(burst);
            self.walked(in_port, std::array::from_fn(|_| rest.next()), now, out);
        }
    }

    fn runt(&self, malformed: Malformed) {
        let counters = &*self.counters;
        counters.malformed[malformed as usize].add(1);
        counters.drop(DropReason::Runt);
    }
}

/// A packet that an entry is not for, to go the long way.
struct Refused<F>(F);

/// What a packet that has a key is to connections; `None` if `ct()` would find it invalid.
#[inline]
fn part<F: Frame>(frame: &F, layout: &Layout) -> Option<Part> {
    let head = frame.head();
    let header = match frame.ip_checksum_status() {
        ChecksumStatus::Good => true,
        ChecksumStatus::Bad => layout.l3 != L3::Ipv4,
        ChecksumStatus::Unknown => ipv4_header_checksum_ok(head, layout),
    };
    let right = header
        && match frame.l4_checksum_status() {
            ChecksumStatus::Good => true,
            ChecksumStatus::Bad => false,
            ChecksumStatus::Unknown => l4_checksum_ok(frame, layout),
        };
    if !right {
        return None;
    }
    match layout.l4 {
        L4::Tcp => Part::tcp(head, layout),
        L4::Udp => Some(Part::UDP),
        L4::Icmp | L4::Icmpv6 => Some(Part::QUERY),
        L4::None | L4::Sctp => None,
    }
}
