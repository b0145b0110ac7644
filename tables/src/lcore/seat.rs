//! An lcore among others: which packets are its own, what it hands to the others, and those that
//! wait for their answers.
//!
//! ```text
//! burst of a device --> whose is it? -- another's --> queue to that one (bounded)
//!                        | ours                        what has no room is dropped and counted
//!                        v
//!                     Lcore::process_slots -- a ct() must ask another one --> waits (bounded)
//! queue of another --> whose is it? ...                                        |
//!                     Lcore::go_on <------------------------------ answer -----+
//! ```
//!
//! A packet that comes through a tunnel belongs to the owner of what it carries; it is handed over as
//! it is, and unpacked there.
//!
//! A datagram in pieces is put together by the owner of its pieces. If its connection is another
//! lcore's, its journey stops at the `ct()` that put it together, and goes on there: what is known of
//! it travels with the frame, in one of a few boxes that come back. It takes its place among the
//! packets of its connection when it comes there.
//!
//! What this lcore remembers a journey of belongs here, so nobody asks; of all else the receiver asks whose it
//! is. The packet that belongs to another lcore costs its receiver a look into the trajectory cache and the
//! hash of its tuple, and nothing is read of it but its headers. What is said to another lcore lies in its queue until whoever
//! drives the lcores carries it, in order, from [`Seat::outgoing`] to [`Seat::take`].
//!
//! Back-pressure: an lcore that is behind takes less, so its queues fill, and then packets for it are
//! dropped where they came in, by name; never others. Questions and answers always have room.
//!
//! Invariants
//!   1. Packets of one connection are begun in the order in which they came in: while one waits,
//!      those behind it do, whether they are of the same burst or of a later one. So do datagrams that
//!      one lcore has put together, in the order in which they became whole.
//!   2. There are always as many boxes as at the start: each is at home, with a packet, or on its
//!      way home, for which there is always room.
//!
//! Threads: owned by one lcore.
//! Cost: a hash per packet of which no journey is remembered; with a single lcore there is no seat, and
//! nothing is paid.

use std::collections::VecDeque;

use weir_ct::{Arrival, Belongs, Bounds, Exchange, Message, Owners, Passed, Quest, ShardId};
use weir_packet::{Frame, Tick, parse};

use super::Lcore;
use super::burst::BURST;
use crate::mac_table::MacNews;
use crate::packet_out::PacketOut;
use crate::pipeline::{Output, Suspended};
use crate::port::PortIndex;
use crate::tunnel::{Meta, NeighbourNews};

mod belonging;
mod seated;
mod shelf;

use belonging::{belongs, belongs_inside};
use seated::{Seated, ends_of, reason_of};
use shelf::Shelf;

/// How many packets that waited are gone on with in one go.
const READY: usize = 32;

/// A packet between lcores, or waiting on one.
#[derive(Debug)]
enum Parcel<F> {
    /// As it is.
    Frame {
        frame: F,
        in_port: PortIndex,
        kept: Kept,
    },
    /// In the middle of its journey, and from another lcore.
    Moved(Box<Luggage<F>>),
}

// A few of them share a cache line, and the line has to move from lcore to lcore.
const _: () = assert!(size_of::<Option<Handed<Box<u8>>>>() == 24);

/// How far a packet has come, and what is kept of it if its journey has begun.
#[derive(Clone, Copy, Debug)]
enum Kept {
    /// Nothing was done.
    Nothing,
    /// It was counted as received.
    Counted,
    /// The same, and unpacked; what its outer headers said lies there.
    Unpacked(u16),
    /// It is in the middle of its journey; what is known of it lies there.
    Suspended(u16),
}

/// A box for a packet that goes on at another lcore.
#[derive(Debug)]
struct Luggage<F> {
    /// Whose box it is.
    home: ShardId,
    load: Option<Load<F>>,
}

/// The packet, and what is known of it.
#[derive(Debug)]
struct Load<F> {
    frame: F,
    in_port: PortIndex,
    packet: Suspended,
}

/// A packet that is handed to another lcore.
#[derive(Debug)]
pub struct Handed<F>(Passed<Parcel<F>>);

/// Something that an lcore tells another.
#[derive(Debug)]
pub struct Note<F>(Content<F>);

#[derive(Debug)]
enum Content<F> {
    /// About connections and who has them.
    Message(Message<Parcel<F>>),
    /// What all are to know.
    News(News),
    /// A box of the receiver's comes home.
    Home(Box<Luggage<F>>),
}

/// What one lcore has learned and tells all others.
#[derive(Clone, Copy, Debug)]
enum News {
    /// Where a MAC address is.
    Mac(MacNews),
    /// What a next hop of tunnels said.
    Neighbour(NeighbourNews),
}

/// An lcore among others. `F` is a frame.
pub struct Seat<F> {
    lcore: Lcore,
    held: Held<F>,
    /// Boxes of others, by owner.
    homeward: Box<[VecDeque<Box<Luggage<F>>>]>,
    /// Packets that came from others and are to be dealt with together.
    run: Run<F>,
    /// What was not told, by receiver.
    news: Box<[VecDeque<News>]>,
}

/// Who has what, and what waits for others or goes to them.
struct Held<F> {
    exchange: Exchange<Parcel<F>>,
    suspended: Shelf<Suspended>,
    /// Of packets that wait unpacked.
    tunnels: Shelf<Meta>,
    /// Boxes that are at home.
    luggage: Vec<Box<Luggage<F>>>,
}

/// Frames that are dealt with together, and where they belong.
struct Run<F> {
    frames: [Option<F>; BURST],
    wires: [Belongs; BURST],
    len: usize,
    in_port: PortIndex,
}

impl<F: Frame> Seat<F> {
    /// The seat `me` of all `owners` for an lcore that was [made for it](Lcore::one_of). Takes all
    /// memory.
    ///
    /// # Panics
    /// If there is no such seat, or `bounds` are above what they say.
    pub fn new(mut lcore: Lcore, owners: &Owners, me: ShardId, bounds: Bounds) -> Self {
        lcore.macs.tell_others();
        lcore.neighbours.tell_others();
        let has_tunnels = !lcore.snapshot.ports.tunnels().is_empty();
        let news = |_| VecDeque::with_capacity(NEWS);
        let boxes = if owners.shards() > 1 { BOXES } else { 0 };
        let empty = |_| {
            let (home, load) = (me, None);
            Box::new(Luggage { home, load })
        };
        Self {
            lcore,
            held: Held {
                exchange: Exchange::new(owners, me, bounds),
                suspended: Shelf::new(bounds.waiting),
                tunnels: Shelf::new(if has_tunnels { bounds.waiting } else { 0 }),
                luggage: (0..boxes).map(empty).collect(),
            },
            homeward: (0..owners.shards())
                .map(|_| VecDeque::with_capacity(boxes))
                .collect(),
            run: Run::new(),
            news: (0..owners.shards()).map(news).collect(),
        }
    }

    /// The lcore, to be looked at.
    pub const fn lcore(&self) -> &Lcore {
        &self.lcore
    }

    /// The lcore, for what is not about packets that come in.
    pub const fn lcore_mut(&mut self) -> &mut Lcore {
        &mut self.lcore
    }

    /// Which one this is.
    pub const fn me(&self) -> ShardId {
        self.held.exchange.me()
    }

    /// Whether nothing is to be told, and nobody waits.
    pub fn is_quiet(&self) -> bool {
        self.held.exchange.is_quiet(&self.lcore.tracker)
            && self.news.iter().all(VecDeque::is_empty)
            && self.homeward.iter().all(VecDeque::is_empty)
    }

    /// How many pairs of tuples are in use here, and how many are granted to others.
    pub fn pairs(&self) -> (usize, usize) {
        self.lcore.tracker.pairs()
    }

    /// Takes one burst that came in at `in_port` of a device, in order. Afterwards all `frames` are
    /// gone.
    pub fn receive<O: Output<F>>(
        &mut self,
        in_port: PortIndex,
        frames: &mut [Option<F>],
        now: Tick,
        out: &mut O,
    ) {
        let tunnels = self.lcore.snapshot.ports.tunnels();
        let is_underlay = tunnels.ride_on(in_port);
        if !is_underlay && self.held.exchange.waiting() == 0 {
            return self.receive_known(in_port, frames, now, out);
        }
        self.run.in_port = in_port;
        for frame in frames.iter_mut().filter_map(Option::take) {
            let wire = match parse(frame.head(), frame.len()) {
                Ok(layout) if is_underlay => {
                    let (owners, snapshot) = (self.held.exchange.owners(), &self.lcore.snapshot);
                    belongs_inside(owners, snapshot, &frame, &layout, in_port)
                }
                Ok(layout) => self.held.exchange.owners().belongs(frame.head(), &layout),
                Err(_) => Belongs::Anywhere,
            };
            let kept = Kept::Nothing;
            let parcel = Parcel::Frame {
                frame,
                in_port,
                kept,
            };
            let arrival = self.held.exchange.arrive(&self.lcore.tracker, parcel, wire);
            self.arrived(arrival, now, out);
        }
        self.run_out(false, now, out);
    }

    /// The same while nobody waits, of a port on which no tunnel rides. What this lcore has an entry for
    /// belongs here: it was here when the entry was made, and connections do not move while they live.
    /// Only of the rest it is asked whose it is.
    fn receive_known<O: Output<F>>(
        &mut self,
        in_port: PortIndex,
        frames: &mut [Option<F>],
        now: Tick,
        out: &mut O,
    ) {
        self.run_out(false, now, out);
        for part in frames.chunks_mut(BURST) {
            let mut seated = Seated::new(out, &mut self.held, in_port, None);
            self.lcore.process_slots(in_port, part, now, &mut seated);
            seated.lost.count(&self.lcore);
        }
    }

    /// Takes in what another lcore said. Packets that came with it may be dealt with only in
    /// [`Seat::settle`], which is to be called when all is taken that there is.
    pub fn take<O: Output<F>>(&mut self, from: ShardId, note: Note<F>, now: Tick, out: &mut O) {
        match note.0 {
            Content::Message(message) => {
                let tracker = &mut self.lcore.tracker;
                let arrival = self.held.exchange.handle(tracker, from, message, now);
                self.arrived(arrival, now, out);
            }
            Content::Home(luggage) => self.held.luggage.push(luggage),
            Content::News(News::Mac(news)) => self.lcore.macs.hear(&news),
            Content::News(News::Neighbour(news)) => self.lcore.neighbours.hear(&news, now),
        }
    }

    /// Takes in a packet that another lcore handed over: as [`Seat::take`] of a note that says so.
    #[inline]
    pub fn accept<O: Output<F>>(&mut self, handed: Handed<F>, now: Tick, out: &mut O) {
        let arrival = self
            .held
            .exchange
            .take_passed(&self.lcore.tracker, handed.0);
        self.arrived(arrival, now, out);
    }

    /// Deals with packets that others handed over, as far as that has not been done yet.
    #[inline]
    pub fn finish<O: Output<F>>(&mut self, now: Tick, out: &mut O) {
        self.run_out(false, now, out);
    }

    /// Deals with packets that others handed over, and with those whose waiting is over, a bounded
    /// number. Once per poll. Returns whether there were any.
    pub fn settle<O: Output<F>>(&mut self, now: Tick, out: &mut O) -> bool {
        let mut any = self.run.len > 0;
        self.run_out(false, now, out);
        for _ in 0..READY {
            let Some(ready) = self.held.exchange.ready() else {
                break;
            };
            any = true;
            self.go_on(ready.packet, ready.wire, ready.quest, true, now, out);
        }
        self.held.exchange.give_back(&mut self.lcore.tracker);
        self.held.exchange.announce(&mut self.lcore.tracker);
        while let Some(news) = self.lcore_news() {
            let me = usize::from(self.me().0);
            for (_, queue) in (0..).zip(&mut self.news).filter(|(to, _)| *to != me) {
                // What has no room is told again when it is due.
                if queue.len() < queue.capacity() {
                    queue.push_back(news);
                }
            }
        }
        any
    }

    /// Whether something is to be told to the lcore `to`.
    pub fn has_notes(&self, to: ShardId) -> bool {
        let at = usize::from(to.0);
        self.held.exchange.has_messages(to)
            || !self.news[at].is_empty()
            || !self.homeward[at].is_empty()
    }

    /// How many of these are about connections and who has them, packets among them. They are told in
    /// order; other news may go before.
    pub fn messages(&self, to: ShardId) -> usize {
        self.held.exchange.messages(to)
    }

    /// The packet that is to be handed to the lcore `to` next. `None`: something else comes before, if
    /// anything does, as [`Seat::outgoing`] says.
    #[inline]
    pub fn hand_over(&mut self, to: ShardId) -> Option<Handed<F>> {
        let at = usize::from(to.0);
        if !self.news[at].is_empty() || !self.homeward[at].is_empty() {
            return None;
        }
        self.held.exchange.outgoing_packet(to).map(Handed)
    }

    /// The next thing that is to be told to the lcore `to`, packets among it.
    pub fn outgoing(&mut self, to: ShardId) -> Option<Note<F>> {
        if let Some(news) = self.news[usize::from(to.0)].pop_front() {
            return Some(Note(Content::News(news)));
        }
        if let Some(luggage) = self.homeward[usize::from(to.0)].pop_front() {
            return Some(Note(Content::Home(luggage)));
        }
        let message = self.held.exchange.outgoing(to)?;
        Some(Note(Content::Message(message)))
    }

    /// As [`Lcore::housekeep`]; also tells the others of MAC addresses that are in use.
    pub fn housekeep(&mut self, now: Tick, budget: usize) {
        self.lcore.macs.remind(now, budget);
        let counted = self.held.exchange.counters().iter();
        for (cell, (_, value, _)) in self.lcore.counters.hand_offs.iter().zip(counted) {
            cell.set(value);
        }
        self.lcore.housekeep(now, budget);
    }

    /// Does to a frame what the controller said. If it has to wait, it may; what the controller said
    /// itself does not: the frame is then dropped by name.
    pub fn packet_out<O: Output<F>>(
        &mut self,
        frame: F,
        order: &PacketOut,
        now: Tick,
        out: &mut O,
    ) {
        let snapshot = &self.lcore.snapshot;
        let in_port = snapshot.ports.index_of(order.in_port);
        let wire = belongs(self.held.exchange.owners(), snapshot, &frame, in_port);
        let mut seated = Seated::new(
            out,
            &mut self.held,
            in_port.unwrap_or(PortIndex(0)),
            Some([wire; BURST]),
        );
        seated.came = ends_of(&frame);
        self.lcore.packet_out(frame, order, now, &mut seated);
        seated.lost.count(&self.lcore);
    }

    /// Something that the others are to be told.
    fn lcore_news(&mut self) -> Option<News> {
        let mac = self.lcore.macs.take_news().map(News::Mac);
        mac.or_else(|| self.lcore.neighbours.take_news().map(News::Neighbour))
    }

    fn arrived<O: Output<F>>(&mut self, arrival: Arrival<Parcel<F>>, now: Tick, out: &mut O) {
        match arrival {
            Arrival::Gone => {}
            Arrival::Here(
                Parcel::Frame {
                    frame,
                    in_port,
                    kept: Kept::Nothing,
                },
                wire,
            ) => {
                if self.run.in_port != in_port || self.run.len == BURST {
                    self.run_out(false, now, out);
                    self.run.in_port = in_port;
                }
                self.run.push(frame, wire);
            }
            Arrival::Here(parcel, wire) => {
                // What came before goes before.
                self.run_out(false, now, out);
                self.go_on(parcel, wire, None, false, now, out);
            }
            Arrival::Dropped(parcel, drop) => {
                let reason = reason_of(drop);
                match parcel {
                    Parcel::Moved(mut luggage) => {
                        luggage.load = None;
                        self.send_home(luggage);
                        self.lcore.counters.drop_many(reason, 1);
                    }
                    Parcel::Frame { frame, .. } => {
                        self.lcore.ends_here(frame.len(), Some(reason));
                    }
                }
            }
        }
    }

    /// Deals with the packets that are together. `first`: those of their connections that wait came
    /// behind them.
    fn run_out<O: Output<F>>(&mut self, first: bool, now: Tick, out: &mut O) {
        if self.run.len == 0 {
            return;
        }
        let Run {
            frames,
            wires,
            len,
            in_port,
        } = &mut self.run;
        let mut seated = Seated::new(out, &mut self.held, *in_port, Some(*wires));
        seated.first = first;
        let frames = &mut frames[..std::mem::take(len)];
        self.lcore.process_slots(*in_port, frames, now, &mut seated);
        seated.lost.count(&self.lcore);
    }

    /// The box of a packet that has come goes home.
    fn send_home(&mut self, luggage: Box<Luggage<F>>) {
        self.homeward[usize::from(luggage.home.0)].push_back(luggage);
    }

    /// A packet whose waiting is over, or that comes from another lcore. `first`: as of
    /// [`Self::run_out`].
    #[cold]
    fn go_on<O: Output<F>>(
        &mut self,
        parcel: Parcel<F>,
        wire: Belongs,
        quest: Option<Quest>,
        first: bool,
        now: Tick,
        out: &mut O,
    ) {
        let (frame, in_port, begun) = match parcel {
            Parcel::Frame {
                frame,
                in_port,
                kept,
            } => {
                let begun = match kept {
                    Kept::Nothing => {
                        // It has not been looked at, and is dealt with as one that comes in now.
                        self.run.in_port = in_port;
                        self.run.push(frame, wire);
                        return self.run_out(true, now, out);
                    }
                    Kept::Counted => Begun::Not(None),
                    Kept::Unpacked(id) => Begun::Not(self.held.tunnels.take(id)),
                    Kept::Suspended(id) => Begun::Yes(self.held.suspended.take(id)),
                };
                (frame, in_port, begun)
            }
            Parcel::Moved(mut luggage) => {
                let load = luggage.load.take();
                self.send_home(luggage);
                let Some(load) = load else {
                    debug_assert!(false, "there is something in a box that comes");
                    return;
                };
                (load.frame, load.in_port, Begun::Yes(Some(load.packet)))
            }
        };
        let mut seated = Seated::new(out, &mut self.held, in_port, Some([wire; BURST]));
        seated.first = first;
        match begun {
            Begun::Yes(Some(suspended)) => {
                self.lcore.go_on(frame, &suspended, quest, now, &mut seated);
            }
            Begun::Yes(None) => debug_assert!(false, "what is suspended was kept"),
            Begun::Not(tunnel) => self.lcore.begin(in_port, frame, tunnel, now, &mut seated),
        }
        seated.lost.count(&self.lcore);
    }
}

impl<F: Frame> Handed<F> {
    /// Asks for the memory of the packet, which another lcore had.
    #[inline]
    pub fn prefetch(&self) {
        if let Parcel::Frame { frame, .. } = self.0.packet() {
            frame.prefetch();
        }
    }
}

/// How far a packet whose waiting is over had come.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one at a time, on the stack"
)]
enum Begun {
    Yes(Option<Suspended>),
    Not(Option<Meta>),
}

impl<F> Run<F> {
    fn new() -> Self {
        Self {
            frames: std::array::from_fn(|_| None),
            wires: [Belongs::Anywhere; BURST],
            len: 0,
            in_port: PortIndex(0),
        }
    }

    #[inline]
    fn push(&mut self, frame: F, wire: Belongs) {
        self.frames[self.len] = Some(frame);
        self.wires[self.len] = wire;
        self.len += 1;
    }
}

/// Packets that can be on their way to go on elsewhere, from one lcore.
const BOXES: usize = 64;
/// What waits to be told to one lcore.
const NEWS: usize = 256;
