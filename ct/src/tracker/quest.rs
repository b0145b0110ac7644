//! How far a packet has come that other lcores must be asked for.

use weir_nat::{Offer, Position};
use weir_packet::Tuple;

use super::help::Whose;
use crate::owner::{PairId, ShardId};
use crate::request::CtDrop;

/// What a packet waits with, and is to go on with at the same `ct()`: for each execution of one that
/// was not waited in a new one, the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quest {
    pub(super) hunt: Hunt,
    /// Where the connection to be is expected, if it is.
    pub(super) whose: Option<Whose>,
    /// The `ct()` is done, and its packet only waits until others have heard what is expected.
    pub(super) hears: bool,
}

/// The search for the tuples of a connection to be.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hunt {
    /// The random number of the choice.
    pub(super) draw: Option<u64>,
    /// Which offer is looked at.
    pub(super) position: Position,
    /// Who is asked: 0 this lcore, then each other in turn, then this one for the rest.
    pub(super) stage: u16,
    /// From which candidate of the offer on.
    pub(super) index: u32,
    /// Whether this lcore has not looked at every candidate.
    pub(super) rest: bool,
    /// How many candidates were looked at.
    pub(super) probes: u32,
    /// Whether connections whose time is over were looked for.
    pub(super) swept: bool,
    pub(super) asked: Asked,
    /// Whether the packet's own tuple belongs to another lcore for good.
    pub(super) original_refused: bool,
    /// The tuple that replies may have.
    pub(super) granted: Option<Tuple>,
    /// What is held for the packet: the pair of its own tuple, and of that of replies.
    pub(super) held: [Option<PairId>; 2],
}

/// What was asked for last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Asked {
    /// The packet's own tuple, which it got on its way.
    Original,
    #[default]
    Reply,
}

/// Why a packet does not go on, at least not yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is dropped.
    Drop(CtDrop),
    /// This lcore is to be asked for a tuple of this offer, from the candidate at `index` on.
    Ask {
        to: ShardId,
        offer: Offer,
        index: u32,
    },
    /// There is more to look at here than is looked at in one go.
    Later,
    /// All others are to hear of what is expected, up to this number.
    Hear(u64),
}

impl Refusal {
    /// For a tracker that does not share: every tuple is its own, and nobody is asked.
    pub(super) const fn without_others(self) -> CtDrop {
        match self {
            Self::Drop(drop) => drop,
            Self::Ask { .. } | Self::Later | Self::Hear(_) => CtDrop::TupleInUse,
        }
    }
}

impl From<CtDrop> for Refusal {
    fn from(drop: CtDrop) -> Self {
        Self::Drop(drop)
    }
}

impl Hunt {
    /// On to the next offer.
    pub(super) const fn go_on(&mut self, position: Position) {
        self.position = position;
        self.stage = 0;
        self.index = 0;
        self.rest = false;
    }

    /// What need not be held any more. A packet that waits on keeps its own tuple, and that of
    /// replies if it has not come to use it.
    pub(super) fn let_go(&mut self, waits: bool) -> impl Iterator<Item = PairId> + use<> {
        let [original, reply] = &mut self.held;
        let original = if waits { None } else { original.take() };
        let reply = if waits && self.granted.is_some() {
            None
        } else {
            reply.take()
        };
        [original, reply].into_iter().flatten()
    }
}

impl Quest {
    /// Whether its packet is done with the `ct()` but for others to hear of it.
    pub const fn hears(&self) -> bool {
        self.hears
    }

    /// The lcore asked has nothing to give.
    pub(crate) const fn refused(&mut self) {
        let hunt = &mut self.hunt;
        match hunt.asked {
            Asked::Original => hunt.original_refused = true,
            Asked::Reply => {
                hunt.stage += 1;
                hunt.index = 0;
            }
        }
    }

    /// The lcore asked has not looked at everything: it is to be asked again, from here.
    pub(crate) const fn continued(&mut self, index: u32) {
        self.hunt.index = index;
    }

    /// The lcore asked has given `tuple`, of this pair, which is held from now on.
    pub(crate) const fn granted(&mut self, tuple: Tuple, pair: PairId) {
        let hunt = &mut self.hunt;
        match hunt.asked {
            Asked::Original => hunt.held[0] = Some(pair),
            Asked::Reply => {
                hunt.granted = Some(tuple);
                hunt.held[1] = Some(pair);
            }
        }
    }
}
