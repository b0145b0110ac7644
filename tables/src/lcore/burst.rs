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
//! where headers lie and hands the port all of its frames at once.
//!
//! A hit has two halves: first all checks, which write nothing; only if all pass, the effects.
//! What is refused takes the long way, as if it had not been found.

use std::iter::FusedIterator;

use weir_ct::{Likely, Part, Recall, Tracker};
use weir_packet::checksum::{ipv4_header_checksum_ok, l4_checksum_ok, plain_checksums_ok};
use weir_packet::{ChecksumStatus, Frame, L3, L4, Layout, Malformed, Tick, parse, protocol};

use super::Lcore;
use crate::cache::{Admitted, EntryId, Hashed, Interest, Key};
use crate::drops::DropReason;
use crate::packet_out::PacketOut;
use crate::pipeline::{Journey, Output};
use crate::port::PortIndex;
use crate::tunnel::Meta;

/// Frames that go through the stages together.
pub(super) const BURST: usize = 32;

/// What the stages know of one frame. Of a plain packet, only the first line is used and the
/// first words of the second.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Stage {
    key: Key,
    hashed: Hashed,
    /// The entry that is the key's or, at first, likely is; [`EntryId::NONE`].
    entry: EntryId,
    /// Where the IP packet ends, if it is a [plain](Layout::plain) one; else 0.
    plain_end: u32,
    /// If it is not.
    closer: Closer,
}

/// What a closer look at a frame says.
#[derive(Clone, Copy, Debug)]
enum Closer {
    /// There is no frame.
    Nothing,
    /// It is a runt.
    Runt,
    /// This is its layout.
    Layout(Layout),
}

impl Default for Stage {
    fn default() -> Self {
        Self {
            key: Key::default(),
            hashed: Hashed::NONE,
            entry: EntryId::NONE,
            plain_end: 0,
            closer: Closer::Nothing,
        }
    }
}

impl Stage {
    /// Adds what is known of the tunnel that the packet came through, if it did, to its key. Returns
    /// false if nothing stands for that: the packet has no key then.
    #[inline(always)]
    fn come_through(&mut self, tunnel: Option<&Meta>) -> bool {
        let Some(tunnel) = tunnel else {
            return true;
        };
        self.key.set_tunnel(tunnel.number);
        tunnel.number != 0
    }

    /// Parses a packet that is not a plain one; returns whether it has a key.
    #[cold]
    fn look_closer(
        &mut self,
        head: &[u8],
        len: usize,
        in_port: PortIndex,
        interest: Interest,
    ) -> bool {
        self.only_parse(head, len);
        let key = match &self.closer {
            Closer::Layout(layout) => Key::of(head, layout, in_port, interest),
            Closer::Nothing | Closer::Runt => None,
        };
        let has_key = key.is_some();
        self.key = key.unwrap_or(self.key);
        has_key
    }

    /// Parses a packet for which no entry is sought.
    fn only_parse(&mut self, head: &[u8], len: usize) {
        self.leave_empty();
        self.closer = match parse(head, len) {
            Ok(layout) => Closer::Layout(layout),
            Err(_) => Closer::Runt,
        };
    }

    /// There is no frame.
    fn leave_empty(&mut self) {
        self.hashed = Hashed::NONE;
        self.entry = EntryId::NONE;
        self.plain_end = 0;
        self.closer = Closer::Nothing;
    }

    /// Whether it is a plain packet.
    #[inline]
    const fn is_plain(&self) -> bool {
        self.plain_end > 0
    }

    /// The layout of a frame that is there and no runt.
    fn layout(&self) -> Result<Layout, Closer> {
        match (self.plain_end, self.closer) {
            (0, Closer::Layout(layout)) => Ok(layout),
            (0, other) => Err(other),
            (end, _) => Ok(Layout::plain(self.key.protocol(), end)),
        }
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
        if self.snapshot.ports.tunnels().ride_on(in_port) {
            self.underlay(in_port, burst, now, out);
        } else {
            self.frames(in_port, burst, now, out);
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
        for (frame, stage) in burst.iter().zip(&mut stages) {
            let Some(frame) = frame else {
                stage.leave_empty();
                continue;
            };
            self.counters.packets.add(1);
            self.counters.bytes.add(frame.len() as u64);
            stage.only_parse(frame.head(), frame.len());
        }
        self.look_ahead(in_port, burst, &stages);
        for (at, (slot, stage)) in burst.iter_mut().zip(&stages).enumerate() {
            let Some(frame) = slot.take() else { continue };
            match stage.layout() {
                Ok(layout) => {
                    self.journey(in_port, at, frame, layout, Some(at), false, now, out);
                }
                Err(_) => self.runt(Malformed::Runt),
            }
        }
        self.stages = stages;
    }

    /// Reads what goes the long way as far as that can be done for all of the burst at once.
    #[inline]
    fn look_ahead<F: Frame>(&mut self, in_port: PortIndex, burst: &[Option<F>], stages: &[Stage]) {
        self.scratch.begin(self.snapshot.ports.port(in_port).no);
        let all = burst.iter().zip(stages).zip(&mut self.aheads);
        for (at, ((frame, stage), ahead)) in all.enumerate() {
            if let (Some(frame), EntryId::NONE, Ok(layout)) = (frame, stage.entry, stage.layout()) {
                let (tracker, megaflows) = (&self.tracker, self.megaflows.as_ref());
                let scratch = &mut self.scratch;
                let tunnel = self.ingress.of(at);
                ahead.read(frame, &layout, in_port, tunnel, scratch, tracker, megaflows);
            }
        }
        let mut new = 0;
        for ((frame, stage), ahead) in burst.iter().zip(stages).zip(&mut self.aheads) {
            if let (Some(_), EntryId::NONE, Ok(_)) = (frame, stage.entry, stage.layout()) {
                ahead.look_closer(&self.tracker, &mut new);
            }
        }
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
        let missed = if self.ingress.is_empty() {
            self.find::<F, false>(in_port, burst, &mut stages)
        } else {
            self.find::<F, true>(in_port, burst, &mut stages)
        };
        if missed {
            self.look_ahead(in_port, burst, &stages);
        }
        let (mut hits, mut misses) = (0, 0);
        // Whether an earlier packet of the burst may have put another in an entry's place.
        let mut installed = false;
        let mut next = 0;
        loop {
            let quick = match stages.get(next) {
                Some(stage) if stage.is_plain() => {
                    self.runs(&mut burst[next..], &stages[next..], installed, now, out)
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

    /// The stages that find and prefetch. Returns whether there is a packet without an entry. By
    /// itself, so that its loops have all registers; and made twice, so that what came out of no
    /// tunnel (`TUNNELLED` is false) does not pay for what did.
    #[inline(never)]
    fn find<F: Frame, const TUNNELLED: bool>(
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
        for (at, (frame, stage)) in burst.iter().zip(stages.iter_mut()).enumerate() {
            let Some(frame) = frame else {
                stage.leave_empty();
                continue;
            };
            let (head, len) = (frame.head(), frame.len());
            packets += 1;
            bytes += len;
            let mut layout = Layout::default();
            if Key::read_plain(head, len, in_port, interest, &mut layout, &mut stage.key) {
                stage.plain_end = layout.l3_end;
                stage.hashed = if !TUNNELLED || stage.come_through(self.ingress.of(at)) {
                    trajectories.hash_plain(&stage.key)
                } else {
                    Hashed::NONE
                };
            } else if stage.look_closer(head, len, in_port, interest)
                && (!TUNNELLED || stage.come_through(self.ingress.of(at)))
            {
                stage.hashed = trajectories.hash(&stage.key);
            }
        }
        self.counters.packets.add(packets);
        self.counters.bytes.add(bytes as u64);
        let stages = &mut stages[..burst.len()];
        for stage in stages.iter_mut() {
            stage.entry = match stage.hashed.is_none() {
                true => EntryId::NONE,
                false => trajectories.likely(stage.hashed).unwrap_or(EntryId::NONE),
            };
        }
        let mut misses = false;
        for stage in stages {
            let Stage { key, hashed, .. } = stage;
            if stage.entry != EntryId::NONE && stage.plain_end > 0 {
                stage.entry = trajectories.find_plain(stage.entry, *hashed, key, &self.tracker);
            } else if stage.entry != EntryId::NONE {
                let found = trajectories.find(stage.entry, *hashed, key);
                stage.entry = found.unwrap_or(EntryId::NONE);
                if let Some(id) = found {
                    trajectories.prefetch_behind(id, &self.tracker);
                }
            }
            misses |= stage.entry == EntryId::NONE;
        }
        misses
    }

    /// Runs of plain packets that were found, from the first on; returns how many they are. What
    /// cannot be done this way is left as it is. `recheck`: whether another may have been put in
    /// an entry's place. By itself, so that its loop has all registers.
    #[inline(never)]
    fn runs<F, O>(
        &mut self,
        burst: &mut [Option<F>],
        stages: &[Stage],
        recheck: bool,
        now: Tick,
        out: &mut O,
    ) -> usize
    where
        F: Frame,
        O: Output<F>,
    {
        let Some(trajectories) = &mut self.trajectories else {
            return 0;
        };
        let tracker = &mut self.tracker;
        let mut done = 0;
        while let Some(first) = stages.get(done)
            && let Some(run) = trajectories.run_of(first.entry, &self.snapshot)
        {
            let (mut packets, mut bytes) = (0, 0);
            for (frame, stage) in burst[done..].iter_mut().zip(&stages[done..]) {
                let Some(frame) = frame else { break };
                let (id, end, protocol) = (stage.entry, stage.plain_end, stage.key.protocol());
                let len = frame.len();
                let Some(ttl) = plain_ttl(frame.head()).filter(|_| end > 0) else {
                    break;
                };
                let Some(member) = trajectories.member(&run, id, len, ttl) else {
                    break;
                };
                if recheck && !trajectories.is_of(id, &stage.key) {
                    break;
                }
                if let Some(connection) = member.connection
                    && !passes(tracker, connection, frame, (protocol, end), now)
                {
                    break;
                }
                trajectories.change(&run, id, member, frame, (protocol, end));
                packets += 1;
                bytes += len;
            }
            if packets == 0 {
                break;
            }
            trajectories.end_run(&run, packets, bytes);
            let frames = &mut burst[done..done + packets];
            out.send_all(run.port(), frames, run.longest());
            done += packets;
        }
        done
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
            is_wrapped,
        } = admitted;
        if is_wrapped && !trajectories.next_hops_stand(program, &self.neighbours, now) {
            return Err(Refused(frame));
        }
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
            self.walked(in_port, &mut burst[other..], now, out);
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

/// The TTL of a plain packet.
#[inline(always)]
fn plain_ttl(head: &[u8]) -> Option<u8> {
    let headers: &[u8; 42] = head.first_chunk()?;
    Some(headers[22])
}

/// Whether `ct()` would say of a plain packet what it said before, in which case it is tracked.
/// False also if that takes a closer look.
#[inline(always)]
fn passes<F: Frame>(
    tracker: &mut Tracker,
    connection: Recall,
    frame: &F,
    (protocol, end): (u8, u32),
    now: Tick,
) -> bool {
    let head = frame.head();
    let right = match frame.checksums_unknown() {
        true => plain_checksums_ok(head, end as usize, protocol),
        false => checksums_ok(frame, &Layout::plain(protocol, end)),
    };
    right
        && match protocol {
            protocol::TCP => segment_passes(tracker, connection, head, end, now),
            _ => tracker.pass(connection, &Part::UDP, now),
        }
}

/// The same for a plain TCP segment whose checksums are right.
#[inline(never)]
fn segment_passes(
    tracker: &mut Tracker,
    connection: Recall,
    head: &[u8],
    end: u32,
    now: Tick,
) -> bool {
    let part = Part::tcp(head, &Layout::plain(protocol::TCP, end));
    part.is_some_and(|part| tracker.pass(connection, &part, now))
}

/// Whether both checksums of a packet are right.
fn checksums_ok<F: Frame>(frame: &F, layout: &Layout) -> bool {
    let header = match frame.ip_checksum_status() {
        ChecksumStatus::Good => true,
        ChecksumStatus::Bad => layout.l3 != L3::Ipv4,
        ChecksumStatus::Unknown => ipv4_header_checksum_ok(frame.head(), layout),
    };
    header
        && match frame.l4_checksum_status() {
            ChecksumStatus::Good => true,
            ChecksumStatus::Bad => false,
            ChecksumStatus::Unknown => l4_checksum_ok(frame, layout),
        }
}

/// What a packet that has a key is to connections; `None` if `ct()` would find it invalid.
fn part<F: Frame>(frame: &F, layout: &Layout) -> Option<Part> {
    if !checksums_ok(frame, layout) {
        return None;
    }
    match layout.l4 {
        L4::Tcp => Part::tcp(frame.head(), layout),
        L4::Udp => Some(Part::UDP),
        L4::Icmp | L4::Icmpv6 => Some(Part::QUERY),
        L4::None | L4::Sctp => None,
    }
}
