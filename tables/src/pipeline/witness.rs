//! Who is told what happens to a packet on its journey: nobody on the packet path, and
//! [`crate::trace`] when somebody wants to know.
//!
//! There is one pipeline. Its functions are compiled twice, and with [`Silent`] nothing is left of
//! what is said here: every event is told under [`Witness::WATCHES`], which is a constant.

use std::net::IpAddr;

use weir_ct::{CtDrop, CtState, Outcome, Rehearsed, Request};
use weir_packet::{Frame, Layout};

use super::packet::Packet;
use super::{Journey, Output};
use crate::action::{PacketInReason, TableId};
use crate::cache::{Lookup, Record};
use crate::drops::DropReason;
use crate::extract::PacketWords;
use crate::group::Group;
use crate::key::FlowKey;
use crate::port::{PortIndex, PortNo};
use crate::rule::Rule;
use crate::trace::Bridging;
use crate::tunnel::Outer;

/// Hears of a journey.
pub(crate) trait Witness {
    /// Whether it wants to be told anything.
    const WATCHES: bool;
    /// Where in the story something is told.
    type Place: Copy;

    /// Hears of an event.
    fn saw(&mut self, event: Event<'_>);

    /// Where what is told next belongs.
    fn place(&self) -> Self::Place;

    /// What is told next belongs there.
    fn return_to(&mut self, place: Self::Place);

    /// What the next recirculation is to be told that ct() said, if not what it did say.
    fn next_state(&mut self) -> Option<CtState>;
}

impl<W: Witness> Witness for &mut W {
    const WATCHES: bool = W::WATCHES;
    type Place = W::Place;

    fn saw(&mut self, event: Event<'_>) {
        (**self).saw(event);
    }

    fn place(&self) -> W::Place {
        (**self).place()
    }

    fn return_to(&mut self, place: W::Place) {
        (**self).return_to(place);
    }

    fn next_state(&mut self) -> Option<CtState> {
        (**self).next_state()
    }
}

/// Wants to be told nothing.
pub(crate) struct Silent;

impl Witness for Silent {
    const WATCHES: bool = false;
    type Place = ();

    #[inline(always)]
    fn saw(&mut self, _: Event<'_>) {}

    #[inline(always)]
    fn place(&self) {}

    #[inline(always)]
    fn return_to(&mut self, (): ()) {}

    #[inline(always)]
    fn next_state(&mut self) -> Option<CtState> {
        None
    }
}

/// What happens to a packet.
pub(crate) enum Event<'a> {
    /// The journey begins with a pass from table 0.
    Began {
        key: &'a FlowKey,
    },
    /// A recirculation begins.
    Resumed {
        table: TableId,
        key: &'a FlowKey,
    },
    /// A walk through the tables is over.
    Passed {
        start: &'a FlowKey,
        end: &'a FlowKey,
        record: &'a Record,
        /// Why the megaflow cache does not remember it, if so.
        unfit: Option<&'static str>,
    },
    /// A table was looked up.
    Looked {
        table: TableId,
        lookup: Lookup,
        rule: Option<&'a Rule>,
        /// If the rule is one for a conjunction: its clauses that matched.
        clauses: Vec<&'a Rule>,
    },
    /// An operation of a rule is about to run.
    Op {
        rule: &'a Rule,
        at: usize,
    },
    /// The packet goes on to another table.
    Goto(TableId),
    /// What follows happens to a copy.
    CopyBegins,
    CopyEnds,
    /// The action set holds what these rules wrote.
    SetIs(Vec<&'a Rule>),
    /// It is executed.
    SetBegins,
    /// A group chose a bucket, or none.
    Chosen {
        group: &'a Group,
        at: Option<usize>,
    },
    /// A bucket that was chosen runs.
    BucketBegins {
        group: &'a Group,
        at: usize,
    },
    /// An operation of it is about to run.
    BucketOp {
        number: usize,
    },
    /// The frame is brought up to date with the key.
    Written {
        wire: &'a PacketWords,
        key: &'a FlowKey,
    },
    /// It gets a tag.
    Tagged {
        tci: u16,
    },
    /// It loses one.
    Untagged,
    /// It will be sent.
    Output {
        port: PortIndex,
        max_len: u32,
    },
    /// A copy is sent with another tag.
    OutputTagged {
        port: PortIndex,
        before: u16,
        wanted: u16,
    },
    /// It is wrapped.
    Wrapped {
        outer: &'a Outer,
    },
    /// The next hop of a tunnel is not known.
    UnknownHop {
        over: PortIndex,
        ip: IpAddr,
        ask: bool,
    },
    /// `ct()` met a piece of a datagram; the journey ends here, unless no other is missing.
    Gathered {
        zone: u16,
    },
    /// `ct()`; with `table`, a recirculation is pending.
    Tracked {
        request: &'a Request<'a>,
        outcome: Result<&'a Outcome, CtDrop>,
        rehearsed: Box<Rehearsed>,
        table: Option<TableId>,
    },
    /// NORMAL learned an address.
    Learned {
        mac: u64,
        vlan: u16,
        port: PortIndex,
    },
    /// NORMAL looked for the destination.
    Bridged {
        vlan: u16,
        found: Option<PortIndex>,
        how: Bridging,
    },
    /// A controller is told.
    PacketIn {
        reason: PacketInReason,
        controller: u16,
    },
    /// An action sends the packet nowhere.
    Nowhere(DropReason),
    /// The packet, or a copy, is lost.
    Dropped(DropReason),
    /// Nothing was done with the packet.
    Lost(DropReason),
}

impl<'a, O> Journey<'a, O> {
    /// The same, told to `witness`.
    pub(crate) fn watched<W: Witness>(self, witness: W) -> Journey<'a, O, W> {
        Journey {
            snapshot: self.snapshot,
            rule_counters: self.rule_counters,
            counters: self.counters,
            tracker: self.tracker,
            macs: self.macs,
            neighbours: self.neighbours,
            megaflows: self.megaflows,
            trace: self.trace,
            out: self.out,
            in_port: self.in_port,
            tunnel: self.tunnel,
            now: self.now,
            stack: self.stack,
            set: self.set,
            packet_ins: self.packet_ins,
            lookups: self.lookups,
            hash: self.hash,
            buckets: self.buckets,
            records: self.records,
            effects: self.effects,
            reason: self.reason,
            holding: self.holding,
            witness,
        }
    }
}

impl<O, W: Witness> Journey<'_, O, W> {
    /// As [`Journey::run`], of a packet of which the tables also see what `metadata` says beside
    /// its headers.
    pub(crate) fn follow<F>(&mut self, frame: F, layout: Layout, metadata: &FlowKey) -> bool
    where
        F: Frame,
        O: Output<F>,
    {
        if let Some(trace) = &mut self.trace {
            trace.begin(&frame, &layout);
        }
        let in_port: PortNo = self.snapshot.ports.port(self.in_port).no;
        let mut packet = Packet::new(frame, layout, in_port, None, None);
        let mut metadata = *metadata;
        if let Some(tunnel) = self.tunnel {
            tunnel.write_to(&mut metadata);
        }
        packet.set_metadata(&metadata);
        self.witness.saw(Event::Began { key: packet.key() });
        let egress = self.passes(&mut packet, TableId(0), 0);
        self.conclude(packet, egress);
        let lost = (self.effects == 0).then_some(self.reason);
        if let Some(reason) = lost {
            self.witness.saw(Event::Lost(reason));
        }
        match &mut self.trace {
            Some(trace) => trace.end(self.lookups, lost),
            None => false,
        }
    }
}
