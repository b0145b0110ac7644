//! What becomes of frames that leave the pipeline of a seat.

use weir_ct::{Arrival, Belongs, HandOffDrop, Owners, PairId, ShardId, Tracker};
use weir_packet::{Frame, IpPair, Layout, parse};

use super::{Held, Kept, Load, Parcel};
use crate::drops::DropReason;
use crate::fragments::Fragments;
use crate::lcore::Lcore;
use crate::lcore::burst::BURST;
use crate::pipeline::{Asks, Output, Suspended};
use crate::port::PortIndex;
use crate::tunnel::Meta;

/// Frames of a burst are bits of a word.
const _: () = assert!(BURST <= u32::BITS as usize);

/// Where frames go that leave the pipeline of a seat: out, or into the queue of those that wait.
pub(super) struct Seated<'a, F, O> {
    out: &'a mut O,
    held: &'a mut Held<F>,
    in_port: PortIndex,
    /// Where the packets of the burst belong.
    wires: [Belongs; BURST],
    /// Whether that is known; otherwise it is asked of what is asked for.
    are_known: bool,
    /// The numbers in the burst of those that are dealt with together.
    numbers: [u8; BURST],
    /// Which of them is under way.
    at: usize,
    /// Whether they are the first of their connections: those that wait came behind.
    pub(super) first: bool,
    /// With which addresses the one under way came, if it has no tuple.
    pub(super) came: Option<IpPair>,
    /// What the datagram belongs to that it became, and which other lcore has that.
    whole: Option<(PairId, Option<ShardId>)>,
    pub(super) lost: Lost,
}

/// Packets that were dropped.
#[derive(Clone, Copy, Default)]
pub(super) struct Lost {
    /// They could not wait behind others.
    waiting: usize,
    /// They could not be handed over, and were counted as received.
    handed: usize,
}

impl Lost {
    fn add(&mut self, drop: HandOffDrop) {
        match drop {
            HandOffDrop::WaitingFull => self.waiting += 1,
            HandOffDrop::QueueFull | HandOffDrop::PassedOnTooOften => self.handed += 1,
        }
    }

    pub(super) fn count(self, lcore: &Lcore) {
        for (reason, packets) in [
            (DropReason::HoldFull, self.waiting),
            (DropReason::HandOffFull, self.handed),
        ] {
            if packets > 0 {
                lcore.counters.drop_many(reason, packets);
            }
        }
    }
}

impl<'a, F, O> Seated<'a, F, O> {
    /// For frames that came in at `in_port` and belong to `wires`; `None`: that is not known yet. Those of
    /// their connections that wait came before them.
    #[inline]
    pub(super) fn new(
        out: &'a mut O,
        held: &'a mut Held<F>,
        in_port: PortIndex,
        wires: Option<[Belongs; BURST]>,
    ) -> Self {
        Self {
            out,
            held,
            in_port,
            wires: wires.unwrap_or([Belongs::Anywhere; BURST]),
            are_known: wires.is_some(),
            numbers: IN_ORDER,
            at: 0,
            first: false,
            came: None,
            whole: None,
            lost: Lost::default(),
        }
    }
}

impl<F: Frame, O> Seated<'_, F, O> {
    /// Finds out where frame number `number` of the burst belongs; returns it if that is here.
    #[inline]
    fn ask(&mut self, number: usize, frame: F, kept: Kept, tracker: &Tracker) -> Arrival<F> {
        let owners = self.held.exchange.owners();
        let wire = belongs_as_parsed(owners, frame.head(), frame.len());
        self.wires[number] = wire;
        let parcel = Parcel::Frame {
            frame,
            in_port: self.in_port,
            kept,
        };
        match self.held.exchange.arrive(tracker, parcel, wire) {
            Arrival::Here(Parcel::Frame { frame, .. }, wire) => Arrival::Here(frame, wire),
            Arrival::Dropped(Parcel::Frame { frame, .. }, drop) => Arrival::Dropped(frame, drop),
            // It has not moved.
            Arrival::Gone | Arrival::Here(..) | Arrival::Dropped(..) => Arrival::Gone,
        }
    }
}

impl<F: Frame, O: Output<F>> Output<F> for Seated<'_, F, O> {
    const PLACES: bool = true;

    #[inline(always)]
    fn send(&mut self, port: PortIndex, frame: F) {
        self.out.send(port, frame);
    }

    #[inline]
    fn send_all(&mut self, port: PortIndex, frames: &mut [Option<F>], longest: usize) {
        self.out.send_all(port, frames, longest);
    }

    fn fragments(&mut self) -> Option<&mut Fragments<F>> {
        self.out.fragments()
    }

    fn placed(&mut self, numbers: &[u8]) {
        if let Some(places) = self.numbers.get_mut(..numbers.len()) {
            places.copy_from_slice(numbers);
        }
    }

    fn skip(&mut self, count: usize) {
        self.numbers.copy_within(count.min(BURST).., 0);
    }

    fn sift(
        &mut self,
        frames: &mut [Option<F>],
        tracker: &Tracker,
        asks: impl Fn(usize) -> Asks,
    ) -> (u64, u64) {
        let mut gone = (0, 0);
        if self.are_known {
            return gone;
        }
        let waits = self.held.exchange.waiting() > 0;
        // First of all of them where they belong, so that what is known of that is on its way.
        let mut asked = 0_u32;
        for (at, slot) in frames.iter().enumerate().take(BURST) {
            let (Some(frame), asks) = (slot, asks(at)) else {
                continue;
            };
            let owners = self.held.exchange.owners();
            let number = usize::from(self.numbers[at]);
            // Each writes it by itself: to move it right after it was written in two parts stalls.
            let may_be_elsewhere = match asks {
                Asks::Nothing => continue,
                Asks::Ends(ends, protocol) => {
                    let wire = Belongs::Pair(owners.pair_of_ends(ends, protocol));
                    self.wires[number] = wire;
                    tracker.may_be_elsewhere(wire)
                }
                Asks::Parsed(layout) => {
                    let wire = owners.belongs(frame.head(), &layout);
                    self.wires[number] = wire;
                    tracker.may_be_elsewhere(wire)
                }
                Asks::Whose => {
                    let wire = belongs_as_parsed(owners, frame.head(), frame.len());
                    self.wires[number] = wire;
                    tracker.may_be_elsewhere(wire)
                }
            };
            asked |= u32::from(may_be_elsewhere || waits) << at;
        }
        while asked != 0 {
            let at = asked.trailing_zeros() as usize;
            asked &= asked - 1;
            let wire = self.wires[usize::from(self.numbers[at])];
            let to = tracker.elsewhere(wire);
            if to.is_none() && !(waits && self.held.exchange.blocks(wire)) {
                continue;
            }
            let Some(frame) = frames.get_mut(at).and_then(Option::take) else {
                continue;
            };
            let bytes = frame.len() as u64;
            let parcel = Parcel::Frame {
                frame,
                in_port: self.in_port,
                kept: Kept::Nothing,
            };
            let exchange = &mut self.held.exchange;
            let passed = match to {
                Some(to) => exchange.pass_on(to, parcel, wire),
                None => exchange.follow(parcel, wire),
            };
            match passed {
                Ok(()) => gone = (gone.0 + 1, gone.1 + bytes),
                // It was received and lost here.
                Err((_, drop)) => self.lost.add(drop),
            }
        }
        gone
    }

    #[inline]
    fn pair(&self, at: usize) -> Option<PairId> {
        match self.wires[usize::from(self.numbers[at])] {
            Belongs::Pair(pair) => Some(pair),
            Belongs::Shard(_) | Belongs::Anywhere => None,
        }
    }

    #[cold]
    fn claim(&mut self, at: usize, frame: F, tracker: &Tracker) -> Option<F> {
        if self.are_known {
            return Some(frame);
        }
        let number = usize::from(self.numbers[at]);
        match self.ask(number, frame, Kept::Counted, tracker) {
            Arrival::Here(frame, _) => Some(frame),
            Arrival::Gone => None,
            Arrival::Dropped(_, drop) => {
                self.lost.add(drop);
                None
            }
        }
    }

    #[inline(always)]
    fn admit(&mut self, at: usize, frame: F, tunnel: Option<&Meta>) -> Option<F> {
        let at = usize::from(self.numbers[at]);
        self.at = at;
        self.came = match self.wires[at] {
            Belongs::Shard(_) => ends_of(&frame),
            Belongs::Pair(_) | Belongs::Anywhere => None,
        };
        self.whole = None;
        match self.first || self.held.exchange.waiting() == 0 {
            true => Some(frame),
            false => self.admit_behind(at, frame, tunnel),
        }
    }

    #[cold]
    fn keeps_whole(&mut self, tracker: &Tracker, head: &[u8], layout: &Layout) -> bool {
        let owners = self.held.exchange.owners();
        let Some(pair) = owners.pair_of_whole(head, layout, self.came) else {
            return true;
        };
        let wire = Belongs::Pair(pair);
        let elsewhere = tracker.elsewhere(wire);
        self.whole = Some((pair, elsewhere));
        elsewhere.is_none() && !self.held.exchange.blocks(wire)
    }

    #[cold]
    fn hold(&mut self, frame: F, suspended: Suspended) -> Result<(), DropReason> {
        let wire = match self.whole {
            Some((pair, Some(holder))) => return self.send_on(frame, suspended, holder, pair),
            Some((pair, None)) => Belongs::Pair(pair),
            None => self.wires[self.at],
        };
        let (wish, quest) = suspended.wish();
        let behind = !self.first && self.held.exchange.blocks(wire);
        let id = self
            .held
            .suspended
            .keep(suspended)
            .ok_or(DropReason::HoldFull)?;
        let parcel = Parcel::Frame {
            frame,
            in_port: self.in_port,
            kept: Kept::Suspended(id),
        };
        let waits = match wish {
            Some(wish) if !behind => self.held.exchange.wait(parcel, wire, quest, wish),
            Some(_) | None => self.held.exchange.follow(parcel, wire),
        };
        waits.map_err(|(_, drop)| {
            self.held.suspended.take(id);
            reason_of(drop)
        })
    }
}

impl<F: Frame, O: Output<F>> Seated<'_, F, O> {
    /// As [`Output::admit`], of frame number `at` of the burst, while others wait.
    fn admit_behind(&mut self, at: usize, frame: F, tunnel: Option<&Meta>) -> Option<F> {
        if !self.held.exchange.blocks(self.wires[at]) {
            return Some(frame);
        }
        let kept = match tunnel {
            None => Some(Kept::Counted),
            Some(meta) => self.held.tunnels.keep(*meta).map(Kept::Unpacked),
        };
        let Some(kept) = kept else {
            self.lost.waiting += 1;
            return None;
        };
        let parcel = Parcel::Frame {
            frame,
            in_port: self.in_port,
            kept,
        };
        let waits = self.held.exchange.follow(parcel, self.wires[at]);
        if waits.is_err() {
            self.lost.waiting += 1;
            if let Kept::Unpacked(id) = kept {
                self.held.tunnels.take(id);
            }
        }
        None
    }

    /// A packet goes on at `holder`, which has `pair`.
    fn send_on(
        &mut self,
        frame: F,
        mut suspended: Suspended,
        holder: ShardId,
        pair: PairId,
    ) -> Result<(), DropReason> {
        let mut luggage = self.held.luggage.pop().ok_or(DropReason::HandOffFull)?;
        suspended.leave_lcore();
        luggage.load = Some(Load {
            frame,
            in_port: self.in_port,
            packet: suspended,
        });
        let parcel = Parcel::Moved(luggage);
        let passed = self
            .held
            .exchange
            .pass_on(holder, parcel, Belongs::Pair(pair));
        passed.map_err(|(parcel, drop)| {
            if let Parcel::Moved(mut luggage) = parcel {
                luggage.load = None;
                self.held.luggage.push(luggage);
            }
            reason_of(drop)
        })
    }
}

/// Where a packet belongs that has not been parsed.
#[cold]
fn belongs_as_parsed(owners: &Owners, head: &[u8], len: usize) -> Belongs {
    match parse(head, len) {
        Ok(layout) => owners.belongs(head, &layout),
        Err(_) => Belongs::Anywhere,
    }
}

/// With which addresses a packet comes.
#[cold]
pub(super) fn ends_of<F: Frame>(frame: &F) -> Option<IpPair> {
    let layout = parse(frame.head(), frame.len()).ok()?;
    IpPair::of(frame.head(), &layout)
}

/// The numbers of frames that are all of their burst.
const IN_ORDER: [u8; BURST] = {
    let mut numbers = [0; BURST];
    let mut at = 0;
    while at < BURST {
        numbers[at] = at as u8;
        at += 1;
    }
    numbers
};

/// Of which name a drop between lcores is.
pub(super) const fn reason_of(drop: HandOffDrop) -> DropReason {
    match drop {
        HandOffDrop::QueueFull => DropReason::HandOffFull,
        HandOffDrop::WaitingFull => DropReason::HoldFull,
        HandOffDrop::PassedOnTooOften => DropReason::HandOffLoop,
    }
}
