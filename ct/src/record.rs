//! One connection in memory: a hot half that every packet touches, and a cold one.

use weir_nat::{End, NatKind};
use weir_packet::Tick;

use crate::key::Key;
use crate::request::ZoneDir;
use crate::sctp::Sctp;
use crate::tcp::Tcp;

/// Which way a packet goes, as seen from the connection's first packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Original,
    Reply,
}

impl Direction {
    pub(crate) const BOTH: [Self; 2] = [Self::Original, Self::Reply];

    pub(crate) const fn opposite(self) -> Self {
        match self {
            Self::Original => Self::Reply,
            Self::Reply => Self::Original,
        }
    }

    /// The bit of [`Hot::leased`] that says that the number at `end` of this direction's key is
    /// leased.
    pub(crate) const fn lease_bit(self, end: End) -> u8 {
        match (self, end) {
            (Self::Original, End::Src) => 1,
            (Self::Original, End::Dst) => 2,
            (Self::Reply, End::Src) => 4,
            (Self::Reply, End::Dst) => 8,
        }
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Ending {
    /// Its time was over.
    Expired,
    /// It was given up for a new one at a limit.
    Evicted,
    /// It was flushed.
    Flushed,
    /// By a forced commit in reply direction.
    Forced,
    /// By the SYN of a new connection.
    Reopened,
}

impl Ending {
    /// How many there are.
    pub(crate) const COUNT: usize = 5;

    /// The counters that they are, by number.
    pub(crate) const NAMES: [&str; Self::COUNT] =
        ["expired", "evicted", "flushed", "forced", "reopened"];

    /// Its name, which is that of the counter.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// What was carried in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Packets that were part of the connection.
    pub packets: u64,
    /// Their bytes, from the IP header to the end of what it says.
    pub bytes: u64,
}

impl Carried {
    #[inline]
    pub(crate) const fn count(&mut self, size: u32) {
        self.packets = self.packets.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add(size as u64);
    }
}

/// What a connection carried: half a cache line.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(32))]
pub(crate) struct Account(pub(crate) [Carried; 2]);

const _: () = assert!(size_of::<Account>() == 32);

/// What every packet of a connection reads or writes: one cache line.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(crate) struct Hot {
    /// When the connection is over.
    pub(crate) deadline: Tick,
    /// Which connection this is, from 1, never given twice; 0: the slot is free.
    pub(crate) id: u64,
    /// Changes whenever something changes that a rule could see; never repeats in a tracker.
    pub(crate) version: u64,
    pub(crate) protocol: Protocol,
    pub(crate) mark: u32,
    pub(crate) zone: u16,
    /// Whether a packet in reply direction was accepted.
    pub(crate) replied: bool,
    /// Which end is translated, even if to what it was.
    pub(crate) nat: Option<NatKind>,
    /// Which numbers of its keys are leased: bits of [`Direction::lease_bit`].
    pub(crate) leased: u8,
    /// What it has to do with other connections: [`HELPED`](crate::alg::HELPED),
    /// [`RELATED`](crate::alg::RELATED).
    pub(crate) kin: u8,
}

const _: () = assert!(size_of::<Hot>() == 64);

impl Hot {
    pub(crate) const FREE: Self = Self {
        deadline: Tick::ZERO,
        id: 0,
        version: 0,
        protocol: Protocol::Datagram(Datagram::First),
        mark: 0,
        zone: 0,
        replied: false,
        nat: None,
        leased: 0,
        kin: 0,
    };

    pub(crate) const fn is_live(&self) -> bool {
        self.id != 0
    }

    /// Whether its time is over. The deadline itself is over, as in Open vSwitch.
    pub(crate) fn is_expired(&self, now: Tick) -> bool {
        self.deadline <= now
    }
}

/// What only a look-up, a mark, a dump or an end need.
///
/// Three halves of a cache line, so it lies in two lines, never three; and what tells two keys
/// of IPv4 apart lies in one of them. With each key on a line of its own it would be two whole
/// lines for each connection, of which a quarter is empty.
#[derive(Clone, Debug)]
#[repr(align(32))]
pub(crate) struct Cold {
    /// By [`Direction`].
    pub(crate) keys: [Key; 2],
    pub(crate) label: u128,
}

const _: () = assert!(size_of::<Cold>() == 96);

impl Cold {
    pub(crate) const FREE: Self = Self {
        keys: [Key::NONE; 2],
        label: 0,
    };

    pub(crate) const fn key(&self, direction: Direction) -> &Key {
        &self.keys[direction as usize]
    }

    /// Which direction alone is in `zone`, the connection's; `None`: both are.
    pub(crate) const fn zone_dir(&self, zone: u16) -> Option<ZoneDir> {
        let [original, reply] = &self.keys;
        match (original.zone() == zone, reply.zone() == zone) {
            (true, false) => Some(ZoneDir::Original),
            (false, true) => Some(ZoneDir::Reply),
            (true, true) | (false, false) => None,
        }
    }

    /// Whether both directions have one key.
    pub(crate) fn is_its_own_reply(&self) -> bool {
        let [original, reply] = &self.keys;
        original.is(reply)
    }
}

/// What a protocol's tracker remembers. With a tag of its own, which takes fewer steps to read
/// than one that hides among the states of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Protocol {
    Tcp(Tcp),
    Sctp(Sctp),
    /// ICMP and ICMPv6 queries.
    Query(Query),
    /// UDP and every other protocol.
    Datagram(Datagram),
}

/// How far a query has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Query {
    First,
    Replied,
}

/// How far an exchange of datagrams has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Datagram {
    /// One packet.
    First,
    /// More, all in one direction.
    Single,
    /// Both directions.
    Multiple,
}

impl Query {
    pub(crate) const fn after(self, direction: Direction) -> Self {
        match (self, direction) {
            (Self::First, Direction::Original) => Self::First,
            (Self::First, Direction::Reply) => Self::Replied,
            (Self::Replied, Direction::Original | Direction::Reply) => Self::Replied,
        }
    }
}

impl Datagram {
    pub(crate) const fn after(self, direction: Direction) -> Self {
        match (self, direction) {
            (Self::First | Self::Single, Direction::Original) => Self::Single,
            (Self::First | Self::Single, Direction::Reply) => Self::Multiple,
            (Self::Multiple, Direction::Original | Direction::Reply) => Self::Multiple,
        }
    }
}
