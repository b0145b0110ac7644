//! What the pipeline asks of the tracker for one packet, and what it gets back.

use weir_nat::{NatSpec, Translation};
use weir_packet::Tuple;

use crate::alg::Helper;
use crate::record::Direction;
use crate::state::CtState;
use crate::tracker::Recall;

/// One `ct(...)` as executed for one packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request<'a> {
    /// The zone.
    pub zone: u16,
    /// `ct(commit)`: create the connection, or refresh its metadata.
    pub commit: Option<Commit>,
    /// `ct(nat)`: translate the packet as its connection was set up when it was created. With
    /// `commit`, a connection that is created is set up as this says.
    pub nat: Option<&'a NatSpec>,
    /// What the packet's last `ct()` gave as [`Outcome::seen`], so that a packet that meets a
    /// connection twice is tracked once. `None` for a packet not yet tracked, after `ct_clear`,
    /// and after a change of its addresses, ports or protocol other than the tracker asked for.
    pub seen: Option<Seen>,
}

/// What `commit` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// `force`: a connection found in the reply direction is ended and re-made in this one.
    pub force: bool,
    /// Value and mask to write into the connection's mark.
    pub mark: Option<(u32, u32)>,
    /// Value and mask to write into the connection's label.
    pub label: Option<(u128, u128)>,
    /// `zone_dir`: the zone is that of this direction only, the other one is in zone 0. A packet
    /// then belongs to a connection of which it is in this direction in the zone, or in the
    /// other one in zone 0. `None`: both directions are in the zone.
    pub zone_dir: Option<ZoneDir>,
    /// What looks into the payload of a connection that is created.
    pub helper: Option<Helper>,
}

/// A direction that alone is in a connection's zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneDir {
    /// That of the packet that opened it.
    Original,
    /// That of replies.
    Reply,
}

impl ZoneDir {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Reply => "reply",
        }
    }
}

impl Request<'_> {
    /// In which zone a packet that opens a connection is looked for, and its replies.
    #[inline]
    pub(crate) const fn zones(&self) -> [u16; 2] {
        let zone_dir = match &self.commit {
            Some(commit) => commit.zone_dir,
            None => None,
        };
        match zone_dir {
            None => [self.zone; 2],
            Some(ZoneDir::Original) => [self.zone, 0],
            Some(ZoneDir::Reply) => [0, self.zone],
        }
    }
}

/// What the tracker says about one packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// `ct_state`.
    pub state: CtState,
    /// `ct_mark`: the connection's, 0 if there is none.
    pub mark: u32,
    /// `ct_label`: the connection's, 0 if there is none.
    pub label: u128,
    /// The tuple of the connection's first packet (this packet's own if there is no connection
    /// yet): `ct_nw_src` and so on. `None` if no tuple could be made.
    pub original: Option<Tuple>,
    /// The connection met, to be handed to the packet's next `ct()`.
    pub seen: Option<Seen>,
    /// What the packet's headers are to say, if anything changes.
    pub translation: Option<Translation>,
    /// Whether the payload is to change, or the numbers of a TCP header, once the headers are
    /// translated: [`Tracker::mend`](crate::Tracker::mend).
    pub mends: bool,
    /// For caches: the connection, if it was there before and the packet changed nothing of it
    /// that a rule could see.
    pub recall: Option<Recall>,
}

/// A connection that a packet has met, and how. Harmless when outdated: the connection's
/// identity is checked, and is never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub(crate) slot: u32,
    /// In which it was looked for.
    pub(crate) zone: u16,
    pub(crate) id: u64,
    pub(crate) meeting: Meeting,
}

/// How a packet met a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meeting {
    pub(crate) direction: Direction,
    pub(crate) role: Role,
    pub(crate) state: CtState,
    /// Whether a helper has looked at the packet.
    pub(crate) helped: bool,
}

/// What a packet is to the connection that it met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Part,
    /// An ICMP error about a part.
    Error,
}

/// Why a commit drops its packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[repr(u8)]
pub enum CtDrop {
    /// `max_connections` is reached and no unreplied connection was found to evict.
    #[error("connection table full")]
    TableFull,
    /// The tuple that replies would have belongs to another connection.
    #[error("reply tuple in use")]
    TupleInUse,
    /// Every address and port that the connection could be translated to is taken.
    #[error("NAT range exhausted")]
    NatExhausted,
    /// The connection was to be translated to an address of the other IP version.
    #[error("NAT range of the other IP version")]
    NatVersion,
    /// The zone's limit is reached and no unreplied connection of it was found to evict.
    #[error("zone full")]
    ZoneFull,
    /// The source address has as many connections in the zone as it may.
    #[error("source limit reached")]
    SourceLimit,
    /// All of it is a part of a command that waits for the rest: what comes next brings it along.
    #[error("held until the rest of the line comes")]
    Held,
    /// There is no room in front of the frame for what its payload is to become, or it lies in
    /// several pieces of memory.
    #[error("no room for the new payload")]
    NoRoom,
}

impl CtDrop {
    /// How many reasons there are.
    pub const COUNT: usize = 8;

    /// The counters that they are, by number.
    pub(crate) const NAMES: [&str; Self::COUNT] = [
        "refused_table_full",
        "refused_tuple_in_use",
        "refused_nat_exhausted",
        "refused_nat_version",
        "refused_zone_full",
        "refused_source_limit",
        "refused_held",
        "refused_no_room",
    ];
}
