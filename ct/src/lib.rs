//! The connection tracker of one lcore: what `ct()` does to a packet.
//!
//! A [`Tracker`] belongs to one lcore and holds all zones. It finds the connection that a packet
//! belongs to, judges the packet ([`CtState`]), and, if asked to commit, creates the connection
//! or changes its mark and label. With `nat` it says what the packet's headers are to be; to
//! what a connection is translated is decided once, when it is created. Open vSwitch's userspace
//! tracker is the reference; where weir differs, the item concerned says so.
//!
//! With several lcores each has a [`Shard`]: a tracker, and what it settles with the others so
//! that every packet of a connection comes to one of them ([`Owners`] says to which).
//!
//! Connections may have helpers ([`alg`]), which find out from what is said there which others
//! will be opened because of it.
//!
//! Invariants
//!   1. Every live connection is in the index under both of its tuples (once if they are
//!      equal) and in exactly one bucket of the timer wheel, not later than its deadline.
//!   2. A connection whose deadline has come is never found, dumped or counted against a
//!      limit, even if the wheel has not forgotten it yet.
//!   3. All memory is taken in [`Tracker::new`]; nothing grows afterwards.
//!   4. No two connections of a zone share a tuple, translated or not, on whichever lcores: a
//!      reply has one owner.
//!   5. A port that a translation took is free when its connection is forgotten, and not before.
//!
//! Threads: none. No locks, no atomics, no clock: time is a parameter.
//! Cost: per packet one look-up in the index (none for a packet that meets the same connection
//! again), no allocation, no list operation. A commit that creates a connection adds two
//! insertions into the index and one into the wheel; with source translation, a word is written
//! among the leases. Which port is free is found in constant time, however many are taken.
#![forbid(unsafe_code)]

// What drives several shards in tests is the same inside of this crate and outside.
#[cfg(test)]
extern crate self as weir_ct;

pub mod alg;
mod chains;
mod counters;
pub mod credits;
mod directory;
mod entry;
mod extract;
mod filter;
mod index;
mod key;
mod lifetimes;
mod memory;
mod owner;
mod record;
mod request;
mod sctp;
mod settings;
mod shard;
mod sharing;
mod sources;
mod state;
mod table;
mod tally;
mod tcp;
#[cfg(test)]
mod testing;
mod tracker;
mod unreplied;
mod watch;
mod wheel;
#[cfg(test)]
#[path = "../tests/world/mod.rs"]
mod world;
mod zones;

pub use alg::Helper;
pub use counters::Counters;
pub use entry::{DumpStyle, Entry, Expected, ProtocolInfo, SctpInfo, TcpInfo, protocol_name};
pub use filter::{Filter, FilterError, Network, PartialTuple, StateFilter};
pub use memory::Memory;
pub use owner::{Belongs, Owners, PairId, Rss, ShardId};
pub use record::{Carried, Ending};
pub use request::{Commit, CtDrop, Outcome, Request, Seen, ZoneDir};
pub use sctp::AssociationState;
pub use settings::{Settings, TableTooSmall, Timeouts, ZoneSettings};
pub use shard::{
    Arrival, Bounds, Exchange, HandOffDrop, Held, Message, Passed, Ready, Shard, ShardCounters,
    Wish,
};
pub use state::CtState;
pub use tally::Tally;
pub use tcp::PeerState;
pub use tracker::{
    After, Counted, Cursor, Job, Likely, Part, Quest, REHEARSAL_ROOM, RangeCounts, RangeKey,
    Reading, Recall, Rehearsed, Tracker,
};
pub use watch::{Event, EventKind};
pub use zones::ZoneCounts;
