//! The tuples that a connection may get, in order of preference.

use std::ops::RangeInclusive;

use weir_packet::Tuple;

use crate::choice::{Connections, End};

/// Where in the sequence of offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Addresses before.
    pub(super) turn: u128,
    /// Offers before, at this address.
    pub(super) part: u32,
}

/// Tuples to choose from that differ in one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    pub(super) reply: Tuple,
    /// Whether the tuple as it is comes first.
    pub(super) keep: bool,
    /// The numbers that may stand in it.
    pub(super) numbers: Option<Numbers>,
}

/// Numbers from `first` to `last`, beginning with `start`, and round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) end: End,
    pub(super) start: u16,
    pub(super) first: u16,
    pub(super) last: u16,
}

impl Offer {
    /// This tuple and no other.
    pub const fn exactly(reply: Tuple) -> Self {
        Self {
            reply,
            keep: true,
            numbers: None,
        }
    }

    /// The number of the reply's destination stays, or becomes the next free one in `range`.
    pub(super) fn keep_or_next(number: u16, range: RangeInclusive<u16>, reply: Tuple) -> Self {
        let (first, last) = range.into_inner();
        let next = number.wrapping_add(1);
        let start = if (first..=last).contains(&next) {
            next
        } else {
            first
        };
        let end = End::Dst;
        Self {
            reply,
            keep: true,
            numbers: Some(Numbers {
                end,
                start,
                first,
                last,
            }),
        }
    }

    /// The tuple, if there is only one.
    pub const fn only(&self) -> Option<&Tuple> {
        match self.numbers {
            None => Some(&self.reply),
            Some(_) => None,
        }
    }

    /// Looks for the first tuple that leads home and is not taken; of those that do not lead
    /// home at most [`AWAY`] are passed over.
    pub fn find<C: Connections>(&self, connections: &mut C) -> Search {
        let Self {
            reply,
            keep,
            numbers,
        } = self;
        let end = numbers.map_or(End::Dst, |numbers| numbers.end);
        if *keep && connections.leads_home(reply) && !connections.is_taken(reply, end) {
            return Search::Found(*reply);
        }
        let Some(Numbers {
            start, first, last, ..
        }) = *numbers
        else {
            return Search::Exhausted;
        };
        let before = (start > first).then(|| (first, start - 1));
        let mut away = 0;
        for (first, last) in [Some((start, last)), before].into_iter().flatten() {
            let mut from = first;
            while let Some(number) = connections.next_free(reply, end, from, last) {
                let reply = with_number(*reply, end, number);
                if !connections.leads_home(&reply) {
                    away += 1;
                    if away > AWAY {
                        return Search::GivenUp;
                    }
                } else if !connections.is_taken(&reply, end) {
                    return Search::Found(reply);
                }
                if number == last {
                    break;
                }
                from = number + 1;
            }
        }
        Search::Exhausted
    }

    /// The tuples in order of preference, each once but for the first, which may come again;
    /// `None` behind the last.
    pub fn candidate(&self, index: u32) -> Option<Tuple> {
        let Self {
            reply,
            keep,
            numbers,
        } = *self;
        if keep && index == 0 {
            return Some(reply);
        }
        let Numbers {
            end,
            start,
            first,
            last,
        } = numbers?;
        let index = index - u32::from(keep);
        (index <= u32::from(last - first))
            .then(|| with_number(reply, end, in_turn(start, first, last, index)))
    }
}

/// What [`Offer::find`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// This tuple leads home and is free.
    Found(Tuple),
    /// Every tuple that leads home is taken.
    Exhausted,
    /// Too many did not lead home to look at all of them.
    GivenUp,
}

/// How many tuples of an offer that do not lead home are passed over in search of one that
/// does. With eight lcores that many are all away once in 10^14 times.
const AWAY: u32 = 256;

/// The number `index` places behind `start`, from `first` to `last` and round.
pub(super) const fn in_turn(start: u16, first: u16, last: u16, index: u32) -> u16 {
    let size = last as u32 - first as u32 + 1;
    (first as u32 + ((start - first) as u32 + index) % size) as u16
}

pub(super) const fn with_number(tuple: Tuple, end: End, number: u16) -> Tuple {
    match end {
        End::Dst if !tuple.is_icmp() => Tuple {
            dst_port: number,
            ..tuple
        },
        End::Src | End::Dst => Tuple {
            src_port: number,
            ..tuple
        },
    }
}
