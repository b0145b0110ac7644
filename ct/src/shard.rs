//! One lcore's share of all connections, and what it has to settle with the others.
//!
//! ```text
//! packet --arrive--> its owner's? no --> passed on       (bounded queue)
//!                         | yes
//!                    execute ct() --> both tuples ours? --> done
//!                         | no: the reply's, or its own that a rule rewrote, is H's
//!                    wait (bounded) -- Ask --> H: free? then granted: from now on H passes on
//!                         |                       every packet of it, both directions
//!                    ready <-- Answer --
//!                         ... the last connection with it ends -- Return --> H
//! ```
//!
//! A pair (a tuple and its reverse) is reserved as a whole, and for every zone at once: what
//! comes in on the wire has no zone yet. So a translation in one zone finds taken what another
//! lcore's connection uses in another zone; source translation then gets another port, and a
//! protocol without ports is refused where one lcore alone would have found room.
//!
//! What a rule makes of a packet's addresses on its way is no reason to pass it on: it stays
//! where its wire tuple led it. If it commits, its new tuple is reserved; if another lcore has a
//! connection with that one, the commit is refused, and without a commit the packet is new,
//! though on one lcore alone it would have met the connection.
//!
//! Invariants
//!   1. A connection's two tuples belong to its shard: no other one has a connection with them,
//!      in any zone.
//!   2. The packet that opens a connection goes on only when both do. So no reply, which comes
//!      later, can find its owner without word of it.
//!   3. What was granted is given back when the last connection with it ends, after all that was
//!      said before. A packet that comes too late for it goes back to its owner.
//!   4. Nothing is lost but packets, and these by name: questions, answers and returns have room
//!      or wait where they arise.
//!   5. A packet that announces a connection goes on only when every shard expects that.
//!
//! Threads: one lcore owns it. Messages are carried from [`Shard::outgoing`] to
//! [`Shard::handle`] of the other, in order; whatever carries them.
//! Cost: with one shard nothing. Else one hash and, if anything is granted, one look-up per
//! packet; a handful of messages per translation that does not lead home; once another shard has asked for
//! anything, one look-up more for each connection that begins or ends. An exhausted range is
//! found exhausted by asking every other shard for each of its ports, a bounded number at a
//! time.

mod link;
mod trail;
mod waiting;

use weir_packet::{Frame, Layout, Tick};

use crate::alg::Others;
use crate::owner::{Belongs, Owners, ShardId};
use crate::request::{CtDrop, Outcome, Request};
use crate::settings::Settings;
use crate::shard::link::{Content, Link, Word};
use crate::shard::waiting::Waiting;
use crate::tracker::{Quest, Refusal, Tracker};

pub(crate) use link::Answer;
pub use link::{Message, Passed};
pub use waiting::Ready;

/// A tracker that shares with others. `P` is a packet with whatever is needed to go on with it.
pub struct Shard<P> {
    tracker: Tracker,
    exchange: Exchange<P>,
}

/// What a shard has besides its tracker: who owns what, what is to be told to the others, and the
/// packets that wait for their answers. Its tracker is the one that [`Tracker::of_shard`] made for
/// the same `owners` and `me`.
pub struct Exchange<P> {
    owners: Owners,
    me: ShardId,
    /// By receiver.
    links: Box<[Link<P>]>,
    waiting: Waiting<P>,
    counters: ShardCounters,
}

/// How much may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Packets on their way to one other shard.
    pub passing: usize,
    /// Packets that wait for answers. At most 1024.
    pub waiting: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            passing: 512,
            waiting: 256,
        }
    }
}

/// What becomes of a packet that came in.
#[derive(Debug)]
pub enum Arrival<P> {
    /// It is to be dealt with here and now.
    Here(P, Belongs),
    /// Another shard gets it, or it waits.
    Gone,
    /// There was no room for it.
    Dropped(P, HandOffDrop),
}

/// Why a packet was dropped between shards. Each is a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum HandOffDrop {
    /// Too many packets are on their way to the shard it belongs to.
    #[error("queue to the owner full")]
    QueueFull,
    /// Too many packets wait for answers.
    #[error("too many packets wait for a reservation")]
    WaitingFull,
    /// It was passed on too often.
    #[error("passed on too often")]
    PassedOnTooOften,
}

/// Why a `ct()` was not executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// The packet is to be dropped.
    Drop(CtDrop),
    /// The packet is to wait: [`Shard::wait`].
    Wait(Wish),
}

/// What a packet waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish(pub(crate) Refusal);

macro_rules! counters {
    ($($name:ident: $help:literal,)*) => {
        /// What a shard counts, besides its tracker.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct ShardCounters {
            $(
                #[doc = $help]
                pub $name: u64,
            )*
        }

        impl ShardCounters {
            /// All counters: name, value, and what it counts.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64, &'static str)> {
                [$((stringify!($name), self.$name, $help),)*].into_iter()
            }
        }
    };
}

counters! {
    passed_on: "Packets passed on to the shard they belong to.",
    waited: "Packets that waited, for an answer or behind another one.",
    asked: "Tuples asked for at other shards.",
    granted: "Tuples given to other shards.",
    refused: "Questions of other shards to which the answer was no.",
    given_back: "Tuples given back to other shards.",
    dropped_queue_full: "Packets dropped: queue to the owner full.",
    dropped_waiting_full: "Packets dropped: too many wait for a reservation.",
    dropped_passed_on_too_often: "Packets dropped: passed on too often.",
}

impl<P> Shard<P> {
    /// The shard `me` of all `owners`. Takes all memory; nothing grows afterwards. `secret` is
    /// as in [`Tracker::new`].
    ///
    /// # Panics
    /// If there is no such shard, if `max_connections` is above 2^31 - 1, or if `bounds` are
    /// above what they say.
    pub fn new(
        settings: &Settings,
        secret: u64,
        owners: &Owners,
        me: ShardId,
        bounds: Bounds,
    ) -> Self {
        Self {
            tracker: Tracker::of_shard(settings, secret, owners.clone(), me),
            exchange: Exchange::new(owners, me, bounds),
        }
    }

    /// The connections. To execute a `ct()`, use [`Shard::execute`].
    pub const fn tracker(&self) -> &Tracker {
        &self.tracker
    }

    /// The same, for expiry, flush and settings.
    pub const fn tracker_mut(&mut self) -> &mut Tracker {
        &mut self.tracker
    }

    /// How packets are shared out.
    pub const fn owners(&self) -> &Owners {
        self.exchange.owners()
    }

    /// Totals since start.
    pub const fn counters(&self) -> &ShardCounters {
        self.exchange.counters()
    }

    /// As [`Exchange::arrive`].
    pub fn arrive(&mut self, packet: P, wire: Belongs) -> Arrival<P> {
        self.exchange.arrive(&self.tracker, packet, wire)
    }

    /// Executes one `ct()` for a packet that is dealt with here. `quest` is a new one, or that
    /// with which the packet came back from waiting. If the outcome says that the packet is to be
    /// mended, it may have to wait then: [`Tracker::take_wish`].
    ///
    /// # Errors
    /// If the packet is to be dropped, or to wait.
    pub fn execute<F: Frame>(
        &mut self,
        frame: &F,
        layout: &Layout,
        request: &Request<'_>,
        quest: &mut Quest,
        now: Tick,
    ) -> Result<Outcome, Held> {
        let tracker = &mut self.tracker;
        tracker.resume_quest(*quest);
        let outcome = tracker.execute(frame, layout, request, now);
        outcome.map_err(|drop| match tracker.take_wish() {
            None => Held::Drop(drop),
            Some((wish, held)) => {
                *quest = held;
                Held::Wait(wish)
            }
        })
    }

    /// As [`Exchange::wait`].
    ///
    /// # Errors
    /// The packet, if too many wait; it is to be dropped.
    pub fn wait(
        &mut self,
        packet: P,
        wire: Belongs,
        quest: Quest,
        wish: Wish,
    ) -> Result<(), (P, HandOffDrop)> {
        let waits = self.exchange.wait(packet, wire, quest, wish);
        if waits.is_err() {
            self.tracker.abandon(quest);
        }
        waits
    }

    /// As [`Exchange::ready`].
    pub fn ready(&mut self) -> Option<Ready<P>> {
        self.exchange.ready()
    }

    /// As [`Exchange::handle`].
    pub fn handle(&mut self, from: ShardId, message: Message<P>, now: Tick) -> Arrival<P> {
        self.exchange.handle(&mut self.tracker, from, message, now)
    }

    /// As [`Exchange::outgoing`].
    pub fn outgoing(&mut self, to: ShardId) -> Option<Message<P>> {
        self.exchange.give_back(&mut self.tracker);
        self.exchange.announce(&mut self.tracker);
        self.exchange.outgoing(to)
    }

    /// Whether nothing is to be told, and nobody waits.
    pub fn is_quiet(&self) -> bool {
        self.exchange.is_quiet(&self.tracker)
    }

    /// How many pairs of tuples are in use here, and how many are granted to other shards.
    pub fn pairs(&self) -> (usize, usize) {
        self.tracker.pairs()
    }
}

impl<P> Exchange<P> {
    /// What the shard `me` of all `owners` has besides its tracker. Takes all memory; nothing
    /// grows afterwards.
    ///
    /// # Panics
    /// If there is no such shard, or if `bounds` are above what they say.
    pub fn new(owners: &Owners, me: ShardId, bounds: Bounds) -> Self {
        let shards = owners.shards();
        assert!(me.0 < shards, "there is such a shard");
        assert!(bounds.waiting <= 1024, "the directory has room for them");
        let link = |_| Link::new(bounds.passing, bounds.waiting);
        Self {
            owners: owners.clone(),
            me,
            links: (0..shards).map(link).collect(),
            waiting: Waiting::new(bounds.waiting),
            counters: ShardCounters::default(),
        }
    }

    /// How packets are shared out.
    pub const fn owners(&self) -> &Owners {
        &self.owners
    }

    /// Which shard this is.
    pub const fn me(&self) -> ShardId {
        self.me
    }

    /// Totals since start.
    pub const fn counters(&self) -> &ShardCounters {
        &self.counters
    }

    /// How many packets wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether a packet with this wire tuple must wait behind another one.
    #[inline]
    pub fn blocks(&self, wire: Belongs) -> bool {
        self.waiting.blocks(wire)
    }

    /// A packet that this shard received, from a device. `wire` is what [`Owners::belongs`] says
    /// of it.
    #[inline]
    pub fn arrive(&mut self, tracker: &Tracker, packet: P, wire: Belongs) -> Arrival<P> {
        self.take_in(tracker, packet, wire, 0)
    }

    /// Lets a packet wait whose `ct()` said so. It comes back as [`Exchange::ready`], and then the
    /// same `ct()` is to be executed again with its quest. `wire` is where it belongs, as it
    /// came in.
    ///
    /// # Errors
    /// The packet, if too many wait; it is to be dropped, and its quest to be
    /// [abandoned](Tracker::abandon).
    pub fn wait(
        &mut self,
        packet: P,
        wire: Belongs,
        quest: Quest,
        Wish(wish): Wish,
    ) -> Result<(), (P, HandOffDrop)> {
        if self.waiting.is_full() {
            self.counters.dropped_waiting_full += 1;
            return Err((packet, HandOffDrop::WaitingFull));
        }
        self.counters.waited += 1;
        match wish {
            Refusal::Ask { to, offer, index } => {
                let ticket = self.waiting.ask(packet, wire, quest);
                self.counters.asked += 1;
                self.links[usize::from(to.0)].tell(Word::Ask {
                    ticket,
                    offer,
                    index,
                });
            }
            Refusal::Hear(news) => self.waiting.hear(packet, wire, quest, news),
            Refusal::Later | Refusal::Drop(_) => self.waiting.again(packet, wire, quest),
        }
        Ok(())
    }

    /// Passes a packet on that turned out on its way to belong to `to`, with this wire tuple.
    ///
    /// # Errors
    /// The packet, if there is no room; it is to be dropped.
    pub fn pass_on(
        &mut self,
        to: ShardId,
        packet: P,
        wire: Belongs,
    ) -> Result<(), (P, HandOffDrop)> {
        self.pass(to, packet, wire, 0)
    }

    /// Lets a packet wait until none before it with the same wire tuple does.
    ///
    /// # Errors
    /// The packet, if too many wait; it is to be dropped.
    pub fn follow(&mut self, packet: P, wire: Belongs) -> Result<(), (P, HandOffDrop)> {
        if self.waiting.is_full() {
            self.counters.dropped_waiting_full += 1;
            return Err((packet, HandOffDrop::WaitingFull));
        }
        self.counters.waited += 1;
        self.waiting.follow(packet, wire);
        Ok(())
    }

    /// A packet whose waiting is over, if there is one. It is to be dealt with before the next;
    /// and so many are to be taken at a time that other work is not held up.
    pub fn ready(&mut self) -> Option<Ready<P>> {
        self.waiting.ready()
    }

    /// Takes in what another shard said. A packet may come of it.
    pub fn handle(
        &mut self,
        tracker: &mut Tracker,
        from: ShardId,
        message: Message<P>,
        now: Tick,
    ) -> Arrival<P> {
        let word = match message.0 {
            Content::Packet(passed) => return self.take_passed(tracker, passed),
            Content::Word(word) => word,
        };
        match word {
            Word::Ask {
                ticket,
                offer,
                index,
            } => {
                let answer = tracker.give(from, &offer, index, now);
                match answer {
                    Answer::Granted(_) => self.counters.granted += 1,
                    Answer::Nothing => self.counters.refused += 1,
                    Answer::Yours | Answer::GoOn(_) => {}
                }
                let answer = Word::Answer { ticket, answer };
                self.links[usize::from(from.0)].tell(answer);
            }
            Word::Answer { ticket, answer } => self.answered(tracker, ticket, answer),
            Word::Return(pair) => tracker.take_back(pair, from),
            Word::Told(told) => {
                tracker.hear(from, &told);
                self.links[usize::from(from.0)].tell(Word::Heard(told));
            }
            Word::Heard(told) => {
                if let Some(others) = tracker.others_mut() {
                    others.heard(from, told);
                    self.waiting.heard(others.heard_by_all());
                }
            }
            Word::Met(met) => tracker.met_elsewhere(met),
        }
        Arrival::Gone
    }

    /// As [`Exchange::handle`] of a packet.
    #[inline]
    pub fn take_passed(&mut self, tracker: &Tracker, passed: Passed<P>) -> Arrival<P> {
        let Passed { packet, trail } = passed;
        self.take_in(tracker, packet, trail.wire(), trail.hops())
    }

    /// The next thing that is to be told to the shard `to`.
    pub fn outgoing(&mut self, to: ShardId) -> Option<Message<P>> {
        self.links[usize::from(to.0)].pop()
    }

    /// The packet that is to be passed to the shard `to` before all else that is to be told to it. `None`:
    /// something else comes first.
    #[inline]
    pub fn outgoing_packet(&mut self, to: ShardId) -> Option<Passed<P>> {
        self.links[usize::from(to.0)].pop_packet()
    }

    /// Whether something is to be told to the shard `to`.
    pub fn has_messages(&self, to: ShardId) -> bool {
        !self.links[usize::from(to.0)].is_empty()
    }

    /// How many things are to be told to the shard `to`.
    pub fn messages(&self, to: ShardId) -> usize {
        self.links[usize::from(to.0)].len()
    }

    /// Whether nothing is to be told, and nobody waits.
    pub fn is_quiet(&self, tracker: &Tracker) -> bool {
        let idle = |sharing: &crate::sharing::Sharing| sharing.directory.has_idle();
        self.links.iter().all(Link::is_empty)
            && self.waiting.len() == 0
            && tracker.others().is_none_or(Others::is_quiet)
            && !tracker.sharing().is_some_and(idle)
    }

    #[inline]
    fn take_in(&mut self, tracker: &Tracker, packet: P, wire: Belongs, hops: u8) -> Arrival<P> {
        if let Some(to) = tracker.elsewhere(wire) {
            return match self.pass(to, packet, wire, hops) {
                Ok(()) => Arrival::Gone,
                Err((packet, drop)) => Arrival::Dropped(packet, drop),
            };
        }
        if self.waiting.blocks(wire) {
            if self.waiting.is_full() {
                self.counters.dropped_waiting_full += 1;
                return Arrival::Dropped(packet, HandOffDrop::WaitingFull);
            }
            self.counters.waited += 1;
            self.waiting.follow(packet, wire);
            return Arrival::Gone;
        }
        Arrival::Here(packet, wire)
    }

    /// Passes on a packet that was passed on `hops` times before.
    #[inline]
    fn pass(
        &mut self,
        to: ShardId,
        packet: P,
        wire: Belongs,
        hops: u8,
    ) -> Result<(), (P, HandOffDrop)> {
        if hops == MOST_HOPS {
            self.counters.dropped_passed_on_too_often += 1;
            return Err((packet, HandOffDrop::PassedOnTooOften));
        }
        let link = &mut self.links[usize::from(to.0)];
        match link.pass_on(packet, wire, hops + 1) {
            Ok(()) => {
                self.counters.passed_on += 1;
                Ok(())
            }
            Err(packet) => {
                self.counters.dropped_queue_full += 1;
                Err((packet, HandOffDrop::QueueFull))
            }
        }
    }

    fn answered(&mut self, tracker: &mut Tracker, ticket: u32, answer: Answer) {
        let Some(quest) = self.waiting.answered(ticket) else {
            debug_assert!(false, "nobody waits for {ticket}");
            return;
        };
        match answer {
            Answer::Granted(tuple) => {
                if let Some(sharing) = tracker.sharing_mut() {
                    let pair = sharing.owners.pair(&tuple);
                    sharing.hold(pair);
                    quest.granted(tuple, pair);
                }
            }
            Answer::Yours => {}
            Answer::GoOn(index) => quest.continued(index),
            Answer::Nothing => quest.refused(),
        }
    }

    /// Tells the others what is expected here, and what was met that they expect, as much of it as
    /// there is room for.
    pub fn announce(&mut self, tracker: &mut Tracker) {
        if tracker.others().is_none_or(Others::is_quiet) {
            return;
        }
        while let Some(told) = tracker.next_told() {
            for (to, link) in self.links.iter_mut().enumerate() {
                if to != usize::from(self.me.0)
                    && let Some(others) = tracker.others_mut()
                    && let Some(told) = others.boxed(told)
                {
                    link.tell(Word::Told(told));
                }
            }
        }
        // Any queue may be the one that the next wants.
        while self.links.iter().all(Link::takes_returns)
            && let Some(met) = tracker.others_mut().and_then(Others::next_met)
        {
            self.links[usize::from(met.from.0)].tell_met(met);
        }
    }

    /// Gives back what is not used any more, as much of it as is found within a bounded search.
    pub fn give_back(&mut self, tracker: &mut Tracker) {
        let Some(sharing) = tracker.sharing_mut() else {
            return;
        };
        // Any queue may be the one that the next pair wants.
        while self.links.iter().all(Link::takes_returns)
            && let Some(pair) = sharing.directory.take_idle()
        {
            let owner = sharing.owners.owner(pair);
            self.counters.given_back += 1;
            self.links[usize::from(owner.0)].give_back(pair);
        }
    }
}

/// How often a packet is passed on. Twice is usual: to its owner, and to whom that granted it.
/// What is more takes a return or a grant that passes it on its way, each time another one.
const MOST_HOPS: u8 = 16;

#[cfg(test)]
mod tests;
