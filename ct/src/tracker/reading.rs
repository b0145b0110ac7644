//! What the tracker knows of a packet from an earlier `ct()`, so that the next one need not find
//! it out again: a packet is read, verified and hashed once, however many zones it passes.
//!
//! Invariants
//!   1. What was read stands as long as the packet's headers do; whoever changes them forgets the
//!      [`Reading`].
//!   2. That no connection was found stands as long as none is made: connections that end, or
//!      whose time is over, cannot make one appear.

use weir_nat::{NatSpec, Whereabouts};
use weir_packet::{Frame, Layout, Tuple};

use super::Tracker;
use crate::counters::Invalid;
use crate::extract::{self, Subject};
use crate::key::Key;
use crate::owner::PairId;
use crate::sharing::Sharing;
use crate::table::{Keyed, Table};

/// What a packet is to the tracker, and where it was looked for.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    pub(super) subject: Result<Subject, Invalid>,
    pub(super) search: Lookup,
    /// Bytes from the IP header to the end of what it says.
    pub(super) size: u32,
}

/// Where a packet's connection was looked for last, if it was.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lookup(Option<Sought>);

#[derive(Clone, Copy, Debug)]
struct Sought {
    zone: u16,
    /// Of the packet's key in this zone.
    hash: u64,
    /// There was none when so many connections had been made.
    absent_at: Option<u64>,
    /// The key that replies most likely have, should the packet open a connection here.
    reply: Option<Keyed>,
    /// Where it is noted whether the port is leased that they are sent to.
    lease: Option<Whereabouts>,
    /// What the packet's tuple belongs to, for a tracker that is one of several.
    pair: Option<PairId>,
    /// And what theirs does, if it is to be noted that both are in use.
    reply_pair: Option<PairId>,
}

impl Reading {
    /// Reads a packet; checksums are verified unless the device did.
    #[inline]
    pub fn of<F: Frame>(frame: &F, layout: &Layout) -> Self {
        Self {
            subject: extract::subject(frame, layout),
            search: Lookup::default(),
            size: layout.l3_end.saturating_sub(layout.l3_offset.into()),
        }
    }
}

impl Lookup {
    /// The hash of `key`, which is the packet's in `zone`.
    #[inline]
    pub(super) fn hash(&self, zone: u16, hash: impl FnOnce() -> u64) -> u64 {
        match self.0 {
            Some(sought) if sought.zone == zone => sought.hash,
            Some(_) | None => hash(),
        }
    }

    /// `reply` in `zone` as a key: the one that was expected, or another.
    #[inline]
    pub(super) fn keyed_reply(&self, table: &Table, reply: &Tuple, zone: u16) -> Keyed {
        let key = Key::new(reply, zone);
        let expected = self.0.and_then(|sought| sought.reply);
        match expected.filter(|expected| expected.key.is(&key)) {
            Some(expected) => expected,
            None => {
                let hash = table.hash(&key);
                Keyed { key, hash }
            }
        }
    }

    /// Notes that there is none in `zone`, of `made` ever made.
    #[inline]
    pub(super) fn missed(&mut self, zone: u16, hash: u64, made: u64) {
        let before = self.0;
        self.0 = Some(Sought {
            zone,
            hash,
            absent_at: Some(made),
            reply: before.and_then(|sought| sought.reply),
            lease: None,
            pair: before.and_then(|sought| sought.pair),
            reply_pair: before.and_then(|sought| sought.reply_pair),
        });
    }

    /// What `tuple`, which is the packet's, belongs to.
    #[inline]
    pub(super) fn pair(&self, sharing: &Sharing, tuple: &Tuple) -> PairId {
        let known = self.0.and_then(|sought| sought.pair);
        known.unwrap_or_else(|| sharing.owners.pair(tuple))
    }

    /// What `tuple`, which is the packet's, and `reply` belong to, if it may have to be noted that they are
    /// in use.
    #[inline]
    pub(super) fn pairs(&self, table: &Table, tuple: &Tuple, reply: &Key) -> Option<[PairId; 2]> {
        let sharing = table.sharing().filter(|sharing| sharing.notes())?;
        let pair = self.pair(sharing, tuple);
        if let Some(sought) = self.0
            && let (Some(expected), Some(reply_pair)) = (sought.reply, sought.reply_pair)
            && expected.key.is(reply)
        {
            return Some([pair, reply_pair]);
        }
        Some([pair, sharing.reply_pair((tuple, pair), &reply.tuple())])
    }

    /// Whether it is known that there is no connection in `zone`, of `made` ever made.
    #[inline]
    pub(super) fn is_absent(&self, zone: u16, made: u64) -> bool {
        self.0
            .is_some_and(|sought| sought.zone == zone && sought.absent_at == Some(made))
    }
}

/// What packets were asked for lately: most likely the next ones will be, too. It decides only
/// what memory is asked for before it is needed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Habit {
    /// The zone of the last packet.
    pub(super) zone: Option<u16>,
    /// With what the last connection was committed.
    pub(super) nat: Option<NatSpec>,
}

/// What the index suggests about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likely {
    /// It belongs to a connection.
    Part,
    /// It does not; it may open one.
    New,
    /// Nothing: it cannot belong to one, or no packet was tracked yet.
    Unknown,
}

impl Tracker {
    /// Works out where in the index the packet's connection is looked for, and that of its replies
    /// should it open one: in the zone in which one was looked for last, since nobody knows the
    /// packet's yet. `pair`: what the packet's tuple belongs to, if that is known; for a packet that has
    /// none it may be anything.
    #[inline]
    pub fn look_ahead(&self, reading: &mut Reading, pair: Option<PairId>) {
        if let Some(zone) = self.habit.zone {
            self.look_ahead_in(zone, reading, pair);
        }
    }

    /// As [`Self::look_ahead`], in this zone.
    #[inline]
    pub(super) fn look_ahead_in(&self, zone: u16, reading: &mut Reading, pair: Option<PairId>) {
        let Ok(Subject::Packet(tuple, _) | Subject::Error(tuple)) = &reading.subject else {
            return;
        };
        let hash = self.table.hash(&Key::new(tuple, zone));
        let expected = match &reading.subject {
            Ok(Subject::Packet(..)) => self.expected_reply(tuple, zone),
            Ok(Subject::Error(_) | Subject::LinkControl(_)) | Err(_) => None,
        };
        let reply = expected.map(|(key, _)| {
            let hash = self.table.hash(&key);
            Keyed { key, hash }
        });
        let (mut own_pair, mut reply_pair) = (None, None);
        if let (Some(reply), Some(sharing)) = (&reply, self.table.sharing()) {
            let pair = pair.unwrap_or_else(|| sharing.owners.pair(tuple));
            debug_assert_eq!(pair, sharing.owners.pair(tuple));
            let notes = sharing.notes();
            own_pair = Some(pair);
            reply_pair = notes.then(|| sharing.reply_pair((tuple, pair), &reply.key.tuple()));
        }
        reading.search = Lookup(Some(Sought {
            zone,
            hash,
            absent_at: None,
            reply,
            lease: expected.and_then(|(_, lease)| lease),
            pair: own_pair,
            reply_pair,
        }));
    }

    /// Fetches what [`Self::look_ahead`] found the places of. By itself, so that those of a burst follow
    /// each other closely: each waits until the processor knows its page, and those that are in flight
    /// together wait together. So many prefetches at once would not all be obeyed; what is read comes.
    #[inline]
    pub fn ask_ahead(&self, reading: &Reading) {
        let Lookup(Some(sought)) = &reading.search else {
            return;
        };
        self.table.touch_bucket(sought.hash);
        if let Some(reply) = &sought.reply {
            self.table.touch_bucket(reply.hash);
        }
        if let Some(lease) = sought.lease {
            self.table.touch_lease(lease);
        }
        if let (Some(pair), Some(reply)) = (sought.pair, sought.reply_pair)
            && let Some(sharing) = self.table.sharing()
        {
            sharing.ask_to_begin([pair, reply]);
        }
    }

    /// Asks for the connection that is likely the packet's, after [`Self::ask_ahead`] asked
    /// for where it is looked for; or else for the memory of one that it opens, after `before` others.
    #[inline]
    pub fn look_closer(&self, reading: &Reading, before: u32) -> Likely {
        let Lookup(Some(sought)) = &reading.search else {
            return Likely::Unknown;
        };
        if self.table.prefetch_likely(sought.hash) {
            return Likely::Part;
        }
        self.table.prefetch_unused(before);
        Likely::New
    }
}
