//! Several shards driven by hand: packets come in at any of them, messages are carried in any
//! order that keeps each queue's own, until nothing is left to say.
#![allow(dead_code, reason = "each test uses its part of it")]

use std::collections::{HashMap, HashSet};

use weir_ct::credits::Lender;
use weir_ct::{
    Arrival, Belongs, Bounds, Commit, CtDrop, Cursor, Entry, Filter, HandOffDrop, Held, Outcome,
    Owners, PairId, Quest, Request, Seen, Settings, Shard, ShardId, TableTooSmall, Tracker,
};
use weir_nat::NatSpec;
use weir_packet::{Frame, Tick, Tuple, VecFrame};

/// A packet and the one `ct()` that it goes through.
#[derive(Clone, Debug)]
pub(crate) struct Parcel {
    pub(crate) number: usize,
    pub(crate) frame: VecFrame,
    pub(crate) zone: u16,
    pub(crate) commit: Option<Commit>,
    pub(crate) nat: Option<NatSpec>,
    pub(crate) seen: Option<Seen>,
}

/// What became of a packet.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) number: usize,
    pub(crate) shard: ShardId,
    pub(crate) wire: Belongs,
    /// As translated.
    pub(crate) frame: VecFrame,
    /// Whether the translation said anything else than what was there.
    pub(crate) changed: bool,
    pub(crate) outcome: Result<Outcome, CtDrop>,
}

pub(crate) struct World {
    pub(crate) shards: Vec<Shard<Parcel>>,
    pub(crate) owners: Owners,
    /// Packets that were dealt with, in this order.
    pub(crate) done: Vec<Done>,
    /// Packets that were dropped between shards.
    pub(crate) dropped: Vec<(usize, HandOffDrop)>,
    draw: u64,
    lender: Lender,
}

impl World {
    /// `chance` decides which shard owns what, and in what order things happen.
    pub(crate) fn new(
        shards: u16,
        settings: &Settings,
        secret: u64,
        chance: u64,
        bounds: Bounds,
    ) -> Self {
        let owners = Owners::new(shards, chance);
        let shard = |me| Shard::new(settings, secret, &owners, ShardId(me), bounds);
        Self {
            shards: (0..shards).map(shard).collect(),
            owners: owners.clone(),
            done: Vec::new(),
            dropped: Vec::new(),
            draw: chance,
            lender: Lender::new(settings, shards),
        }
    }

    /// A number below `below`.
    fn chance(&mut self, below: usize) -> usize {
        self.draw = self
            .draw
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.draw >> 33) as usize % below
    }

    /// A packet comes in, somewhere.
    pub(crate) fn arrive(&mut self, parcel: Parcel, now: Tick) {
        let layout = weir_packet::parse(parcel.frame.head(), parcel.frame.len()).expect("no runt");
        let wire = self.owners.belongs(parcel.frame.head(), &layout);
        let at = self.chance(self.shards.len());
        let arrival = self.shards[at].arrive(parcel, wire);
        self.arrived(at, arrival, now);
    }

    /// A packet goes through another `ct()` where it is.
    pub(crate) fn stay(&mut self, at: ShardId, wire: Belongs, parcel: Parcel, now: Tick) {
        self.execute(at.0.into(), parcel, wire, Quest::default(), now);
    }

    fn arrived(&mut self, at: usize, arrival: Arrival<Parcel>, now: Tick) {
        match arrival {
            Arrival::Here(parcel, wire) => {
                self.execute(at, parcel, wire, Quest::default(), now);
            }
            Arrival::Gone => {}
            Arrival::Dropped(parcel, drop) => self.dropped.push((parcel.number, drop)),
        }
    }

    fn execute(&mut self, at: usize, mut parcel: Parcel, wire: Belongs, quest: Quest, now: Tick) {
        let mut quest = quest;
        let layout = weir_packet::parse(parcel.frame.head(), parcel.frame.len()).expect("no runt");
        let request = Request {
            zone: parcel.zone,
            commit: parcel.commit,
            nat: parcel.nat.as_ref(),
            seen: parcel.seen,
        };
        let shard = &mut self.shards[at];
        let outcome = match shard.execute(&parcel.frame, &layout, &request, &mut quest, now) {
            Ok(outcome) => Ok(outcome),
            Err(Held::Drop(drop)) => Err(drop),
            Err(Held::Wait(wish)) => {
                if let Err((parcel, drop)) = shard.wait(parcel, wire, quest, wish) {
                    self.dropped.push((parcel.number, drop));
                }
                return;
            }
        };
        let before = parcel.frame.clone();
        if let Ok(Outcome {
            translation: Some(translation),
            ..
        }) = &outcome
        {
            translation.apply(parcel.frame.head_mut(), &layout);
        }
        self.done.push(Done {
            number: parcel.number,
            shard: ShardId(at as u16),
            wire,
            changed: before != parcel.frame,
            frame: parcel.frame,
            outcome,
        });
    }

    /// One thing happens, if there is anything to happen: a message is carried, or a packet whose
    /// waiting is over goes on.
    pub(crate) fn step(&mut self, now: Tick) -> bool {
        let shards = self.shards.len();
        let tries = shards * (shards + 1);
        let start = self.chance(tries);
        for n in 0..tries {
            let (from, to) = (
                (start + n) % tries / (shards + 1),
                (start + n) % (shards + 1),
            );
            if to == shards {
                if let Some(ready) = self.shards[from].ready() {
                    let quest = ready.quest.unwrap_or_default();
                    self.execute(from, ready.packet, ready.wire, quest, now);
                    return true;
                }
            } else if let Some(message) = self.shards[from].outgoing(ShardId(to as u16)) {
                let arrival = self.shards[to].handle(ShardId(from as u16), message, now);
                self.arrived(to, arrival, now);
                return true;
            }
        }
        false
    }

    /// Until nothing is left to do.
    pub(crate) fn settle(&mut self, now: Tick) {
        let mut steps = 0;
        while self.step(now) {
            steps += 1;
            assert!(steps < 1_000_000, "it comes to an end");
        }
        assert!(self.shards.iter().all(Shard::is_quiet));
        self.lend();
    }

    /// Who lends what limits allow looks after the shards.
    pub(crate) fn lend(&mut self) {
        let trackers = self.shards.iter_mut().map(Shard::tracker_mut);
        let words: Vec<u64> = trackers.map(Tracker::words).collect();
        let shards = &mut self.shards;
        self.lender.look(
            |shard| words[shard],
            |shard, orders| Some(shards[shard].tracker_mut().obey(&orders)),
        );
    }

    /// All shards get other settings.
    pub(crate) fn reconfigure(&mut self, settings: &Settings) -> Result<(), TableTooSmall> {
        let mut held = Vec::new();
        for shard in &mut self.shards {
            held.push(shard.tracker_mut().reconfigure(settings)?);
        }
        let kept = self.lender.begin(settings, &held);
        for shard in &mut self.shards {
            shard.tracker_mut().begin_limits(&kept);
        }
        self.lend();
        Ok(())
    }

    /// One packet, until all is quiet again.
    pub(crate) fn packet(&mut self, parcel: Parcel, now: Tick) -> Done {
        self.arrive(parcel, now);
        self.settle(now);
        assert_eq!(self.dropped, []);
        assert_eq!(self.done.len(), 1, "each packet is dealt with once");
        self.done.remove(0)
    }

    pub(crate) fn entries(&self, now: Tick) -> Vec<Entry> {
        self.entries_by_shard(now).into_iter().flatten().collect()
    }

    pub(crate) fn entries_by_shard(&self, now: Tick) -> Vec<Vec<Entry>> {
        let entries = |shard: &Shard<Parcel>| {
            let mut entries = Vec::new();
            let mut cursor = Some(Cursor::default());
            while let Some(at) = cursor {
                cursor = shard
                    .tracker()
                    .dump(at, 2, &Filter::default(), now, &mut entries);
            }
            entries
        };
        self.shards.iter().map(entries).collect()
    }

    pub(crate) fn flush(&mut self, filter: &Filter, now: Tick) -> u64 {
        let mut flushed = 0;
        for shard in &mut self.shards {
            let mut cursor = Some(Cursor::default());
            while let Some(at) = cursor {
                cursor = shard.tracker_mut().flush(at, 1, filter, &mut flushed);
            }
        }
        self.settle(now);
        flushed
    }

    pub(crate) fn expire(&mut self, now: Tick) -> usize {
        let expire = |shard: &mut Shard<Parcel>| shard.tracker_mut().expire(now, usize::MAX);
        let forgotten = self.shards.iter_mut().map(expire).sum();
        self.settle(now);
        forgotten
    }

    /// Counters that are not 0, of all shards together.
    pub(crate) fn counters(&self) -> HashMap<&'static str, u64> {
        let mut counters = HashMap::new();
        for shard in &self.shards {
            for (name, value, _) in shard.tracker().counters().iter() {
                if value > 0 {
                    *counters.entry(name).or_default() += value;
                }
            }
        }
        counters
    }

    /// What `zone` counted and has, of all shards together, if it is not 0.
    pub(crate) fn zone_counts(&self, zone: u16) -> Vec<String> {
        let mut counts: HashMap<&'static str, u64> = HashMap::new();
        for shard in &self.shards {
            let mut cursor = Some(0);
            while let Some(at) = cursor {
                let (rows, next) = shard.tracker().zone_counts(at, 20_000);
                for row in rows.into_iter().filter(|row| row.zone == Some(zone)) {
                    let connections = [("connections", u64::from(row.connections))];
                    for (name, count) in row.counts.into_iter().chain(connections) {
                        *counts.entry(name).or_default() += count;
                    }
                }
                cursor = next;
            }
        }
        let there = counts.iter().filter(|(_, count)| **count > 0);
        there
            .map(|(name, count)| format!("{name}={count}"))
            .collect()
    }

    /// No two shards have a connection of one pair, and each packet of a connection comes to its
    /// shard.
    pub(crate) fn check(&self, now: Tick) {
        let mut holders: HashMap<PairId, usize> = HashMap::new();
        for (at, entries) in self.entries_by_shard(now).iter().enumerate() {
            for tuple in entries
                .iter()
                .flat_map(|entry| [entry.original, entry.reply])
            {
                let other = holders.insert(self.owners.pair(&tuple), at);
                assert!(
                    other.is_none_or(|other| other == at),
                    "{tuple} at {other:?}, {at}"
                );
            }
        }
        let settled = self.shards.iter().all(Shard::is_quiet);
        if settled && self.shards.len() > 1 {
            let used: usize = self.shards.iter().map(|shard| shard.pairs().0).sum();
            let elsewhere = |(pair, &at): (&PairId, &usize)| {
                usize::from(self.owners.owner(*pair) != ShardId(at as u16))
            };
            let lent: usize = holders.iter().map(elsewhere).sum();
            let granted: usize = self.shards.iter().map(|shard| shard.pairs().1).sum();
            // Expired connections that were not forgotten hold theirs still.
            assert!(used >= lent && granted >= lent, "{used}, {granted}, {lent}");
        }
    }

    /// Ends all connections; nothing stays reserved.
    pub(crate) fn end(mut self, now: Tick) {
        self.flush(&Filter::default(), now);
        for shard in &self.shards {
            assert!(shard.tracker().is_empty());
            assert_eq!(shard.pairs(), (0, 0), "what was reserved was given back");
        }
    }
}

/// Two worlds in which the same happens but for the outside numbers chosen: which tuple of one
/// is which of the other.
#[derive(Default)]
pub(crate) struct Renaming {
    there: HashMap<Tuple, Tuple>,
    back: HashMap<Tuple, Tuple>,
}

impl Renaming {
    /// Notes that `here` is `there` in the other world, and that the answers correspond.
    pub(crate) fn learn(&mut self, here: Tuple, there: Tuple) {
        for (here, there) in [(here, there), (here.reversed(), there.reversed())] {
            if let Some(old) = self.there.insert(here, there) {
                self.back.remove(&old);
            }
            if let Some(old) = self.back.insert(there, here)
                && old != here
            {
                self.there.remove(&old);
            }
        }
    }

    /// The tuple in the other world. What has no name there gets one that nothing has.
    pub(crate) fn there(&self, here: Tuple) -> Tuple {
        named(&self.there, &self.back, here)
    }

    /// The tuple in this world.
    pub(crate) fn back(&self, there: Tuple) -> Tuple {
        named(&self.back, &self.there, there)
    }

    /// Forgets all but the names of these, which are in use.
    pub(crate) fn keep(&mut self, here: &HashSet<Tuple>) {
        self.there
            .retain(|tuple, _| here.contains(tuple) || here.contains(&tuple.reversed()));
        self.back
            .retain(|_, tuple| here.contains(tuple) || here.contains(&tuple.reversed()));
    }
}

fn named(names: &HashMap<Tuple, Tuple>, others: &HashMap<Tuple, Tuple>, tuple: Tuple) -> Tuple {
    if let Some(name) = names.get(&tuple) {
        return *name;
    }
    let mut name = tuple;
    while let Some(further) = others.get(&name) {
        name = *further;
    }
    name
}

/// The packet's tuple.
pub(crate) fn tuple_of(frame: &VecFrame) -> Option<Tuple> {
    let layout = weir_packet::parse(frame.head(), frame.len()).expect("no runt");
    Tuple::of(frame.head(), &layout)
}
