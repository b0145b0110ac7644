//! Chooses addresses and ports for a new connection.
//!
//! A translation is told by the tuple of the replies. It is free if no connection of the zone
//! has it: ports are leased per outside address *and* destination, so a range is exhausted for a
//! destination only when each of its addresses and ports is taken towards that one.
//!
//! The address comes first, by a hash, and every other one follows in order if nothing is free
//! there. Of the ports
//!
//! * `src`: the original one is kept while it is free, if it is in the range; then the next free
//!   one in the range or, without a range, in its class: 1 to 511, 600 to 1023, or 1024 and
//!   above. An ICMP identifier is treated like a port, and all identifiers are one class.
//! * `dst`: one of the range, or the original one. If they are all taken, it is the client's
//!   port that is changed, within its class.
//!
//! With several lcores a tuple belongs to one of them, and one whose replies come home by
//! themselves is preferred ([`Connections::leads_home`]). So the search is told as a sequence of
//! [`Offer`]s: at home each is searched in turn; what no home has left of it, another lcore may
//! be asked for, candidate by candidate.
//!
//! Cost: as many questions to [`Connections`] as there are addresses without a free port, plus a
//! constant number, plus one for each connection in the way that it did not know of; at most
//! 256 candidates of each offer that do not lead home are passed over. No allocation.

mod offer;

use std::net::IpAddr;
use std::ops::RangeInclusive;

use weir_packet::{IpPair, Tuple, protocol};

use crate::choice::offer::{Numbers, in_turn};
use crate::range::NatRange;
use crate::spec::{NatFlags, NatKind, PortChoice};

pub use offer::{Offer, Position, Search};

/// What a choice needs to know of the connections that there are in the zone.
pub trait Connections {
    /// The first number from `from` to `to` at `end` of `reply` that is not known to be taken.
    fn next_free(&self, reply: &Tuple, end: End, from: u16, to: u16) -> Option<u16>;

    /// Whether a connection has the tuple `reply`, in either direction. If so, the number at
    /// `end` is known to be taken from now on and as long as it is.
    fn is_taken(&mut self, reply: &Tuple, end: End) -> bool;

    /// Whether packets of the tuple `reply` come to this lcore. With one they all do.
    fn leads_home(&self, _reply: &Tuple) -> bool {
        true
    }
}

/// Which end of a tuple has the number that is chosen. An ICMP identifier is at both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The source port.
    Src,
    /// The destination port.
    Dst,
}

/// Everything that a choice depends on, besides the connections.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// Which end is translated.
    pub kind: NatKind,
    /// To what; `None`: the address stays as it is.
    pub range: Option<&'a NatRange>,
    /// How addresses and ports are chosen.
    pub flags: NatFlags,
    /// The key of the hash by which addresses and ports are chosen.
    pub secret: u64,
    /// A number drawn for this choice; used for [`PortChoice::Random`].
    pub random: u64,
}

/// The range has addresses of the other IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the range has addresses of the other IP version")]
pub struct OtherVersion;

impl Choice<'_> {
    /// The tuple that replies to `original` are to have; `None` if every one is taken, or, with
    /// several lcores, if none was found that leads home.
    ///
    /// # Errors
    /// [`OtherVersion`] if the range cannot be applied to this packet.
    pub fn reply<C: Connections>(
        &self,
        original: &Tuple,
        connections: &mut C,
    ) -> Result<Option<Tuple>, OtherVersion> {
        let mut position = Position::default();
        while let Some((offer, next)) = self.offer(original, position)? {
            if let Search::Found(reply) = offer.find(connections) {
                return Ok(Some(reply));
            }
            position = next;
        }
        Ok(None)
    }

    /// The offer at `position` (to begin with, the default one) and where the next one is;
    /// `None` behind the last. Together they hold every tuple that the connection may get.
    ///
    /// # Errors
    /// [`OtherVersion`] if the range cannot be applied to this packet.
    pub fn offer(
        &self,
        original: &Tuple,
        position: Position,
    ) -> Result<Option<(Offer, Position)>, OtherVersion> {
        let Position { turn, part } = position;
        let untranslated = original.reversed();
        let (reply, turns) = match self.range.filter(|range| !range.first.is_unspecified()) {
            None => (untranslated, 1),
            Some(range) if range.first.is_ipv4() != original.src().is_ipv4() => {
                return Err(OtherVersion);
            }
            Some(range) => {
                let first = match u64::try_from(range.len()) {
                    Ok(1) => 0,
                    Ok(len) => u128::from(self.address_hash(original) % len),
                    // There are more addresses than hashes.
                    Err(_) => self.address_hash(original).into(),
                };
                let address = range.nth(first + turn);
                let reply = match self.kind {
                    NatKind::Src => with_dst(untranslated, address),
                    NatKind::Dst => with_src(untranslated, address),
                };
                (reply, range.len())
            }
        };
        if turn >= turns {
            return Ok(None);
        }
        let (offer, parts) = match self.kind {
            NatKind::Src => (self.source(original, reply), 1),
            NatKind::Dst => self.destination(original, reply, part),
        };
        let next = if part + 1 < parts {
            let part = part + 1;
            Position { turn, part }
        } else {
            let turn = turn + 1;
            Position { turn, part: 0 }
        };
        Ok(Some((offer, next)))
    }

    fn source(&self, original: &Tuple, reply: Tuple) -> Offer {
        let Some(numbers) = numbers(original) else {
            // Nothing but the address tells such connections apart.
            return Offer::exactly(reply);
        };
        let Some(range) = self.ports() else {
            return Offer::keep_or_next(original.src_port, numbers, reply);
        };
        Offer {
            reply,
            keep: self.flags.choice != PortChoice::Random && range.contains(&original.src_port),
            numbers: Some(Numbers {
                end: End::Dst,
                start: self.start_in(&range, original),
                first: *range.start(),
                last: *range.end(),
            }),
        }
    }

    /// One of the offers at an address, and how many there are.
    fn destination(&self, original: &Tuple, reply: Tuple, part: u32) -> (Offer, u32) {
        let Some(numbers) = numbers(original) else {
            return (Offer::exactly(reply), 1);
        };
        let range = self.ports().filter(|_| has_ports(original));
        let Some(range) = range else {
            let client = Offer::keep_or_next(original.src_port, numbers, reply);
            // The client's port is not changed for being led home.
            let offers = [
                Offer::exactly(reply),
                Offer {
                    keep: false,
                    ..client
                },
            ];
            return (offers[usize::from(part > 0)], 2);
        };
        let start = self.start_in(&range, original);
        let (first, last) = (*range.start(), *range.end());
        let offer = if part == 0 {
            let end = End::Src;
            Offer {
                reply,
                keep: false,
                numbers: Some(Numbers {
                    end,
                    start,
                    first,
                    last,
                }),
            }
        } else {
            // Every port of the range has a connection from this very address and port.
            let port = in_turn(start, first, last, part - 1);
            let reply = Tuple {
                src_port: port,
                ..reply
            };
            Offer::keep_or_next(original.src_port, numbers, reply)
        };
        (offer, 2 + u32::from(last - first))
    }

    fn ports(&self) -> Option<RangeInclusive<u16>> {
        let (first, last) = self.range?.ports?;
        Some(first..=last)
    }

    /// The port with which a search in `range` begins.
    fn start_in(&self, range: &RangeInclusive<u16>, original: &Tuple) -> u16 {
        let number = match self.flags.choice {
            // Another hash than that of the address, or a range would be used on its diagonal.
            PortChoice::Default | PortChoice::Hash => tuple_hash(!self.secret, original),
            PortChoice::Random => mixed(self.random),
        };
        let size = u64::from(range.end() - range.start()) + 1;
        range.start() + (number % size) as u16
    }

    /// By which the address is chosen. A client keeps its outside address (RFC 4787 REQ-2);
    /// but it may be sent to a server of its own for each connection.
    fn address_hash(&self, original: &Tuple) -> u64 {
        // Not keyed: the same after a restart, on every lcore and every machine.
        const UNCHANGING: u64 = 0;
        match (self.flags.persistent, self.kind) {
            (true, NatKind::Src | NatKind::Dst) => client_hash(UNCHANGING, original),
            (false, NatKind::Src) => client_hash(self.secret, original),
            (false, NatKind::Dst) => tuple_hash(self.secret, original),
        }
    }
}

/// The numbers that the source may get without a range; `None` if the protocol has none.
fn numbers(original: &Tuple) -> Option<RangeInclusive<u16>> {
    if has_ports(original) {
        Some(class(original.src_port))
    } else {
        original.has_identifier().then_some(0..=u16::MAX)
    }
}

/// The ports among which a source port stays, so that a server that believes in privileged
/// ports is not deceived (RFC 4787 REQ-3).
const fn class(port: u16) -> RangeInclusive<u16> {
    match port {
        0..512 => 1..=511,
        512..1024 => 600..=1023,
        1024.. => 1024..=u16::MAX,
    }
}

const fn has_ports(tuple: &Tuple) -> bool {
    matches!(
        tuple.protocol,
        protocol::TCP | protocol::UDP | protocol::SCTP
    )
}

/// `address` is of the tuple's version.
fn with_src(tuple: Tuple, address: IpAddr) -> Tuple {
    let ip = match (tuple.ip, address) {
        (IpPair::V4 { dst, .. }, IpAddr::V4(src)) => IpPair::V4 { src, dst },
        (IpPair::V6 { dst, .. }, IpAddr::V6(src)) => IpPair::V6 { src, dst },
        (ip, IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    Tuple { ip, ..tuple }
}

/// `address` is of the tuple's version.
fn with_dst(tuple: Tuple, address: IpAddr) -> Tuple {
    let ip = with_src(
        Tuple {
            ip: tuple.ip.reversed(),
            ..tuple
        },
        address,
    )
    .ip
    .reversed();
    Tuple { ip, ..tuple }
}

/// Of the client's address.
fn client_hash(seed: u64, original: &Tuple) -> u64 {
    address_hash(mixed(seed), original.src())
}

/// Of the whole tuple.
fn tuple_hash(seed: u64, original: &Tuple) -> u64 {
    let Tuple {
        protocol,
        src_port,
        dst_port,
        ..
    } = *original;
    let numbers = u64::from(protocol) << 32 | u64::from(src_port) << 16 | u64::from(dst_port);
    let hash = address_hash(client_hash(seed, original), original.dst());
    mixed(hash ^ numbers)
}

fn address_hash(seed: u64, address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => mixed(seed ^ u64::from(address.to_bits())),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            mixed(mixed(seed ^ (bits >> 64) as u64) ^ bits as u64)
        }
    }
}

/// Every bit of the result depends on every bit of `number`. It never changes: addresses are
/// chosen by it that are to be the same after an update. (The finisher of `SplitMix64`.)
const fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

#[cfg(test)]
mod tests;
