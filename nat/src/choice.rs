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
//! Cost: as many questions to [`Connections`] as there are addresses without a free port, plus a
//! constant number, plus one for each connection in the way that it did not know of. No
//! allocation.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use weir_packet::{IpPair, Tuple, protocol};

use crate::range::NatRange;
use crate::spec::{NatFlags, NatKind, PortChoice};

/// What a choice needs to know of the connections that there are in the zone.
pub trait Connections {
    /// The first number from `from` to `to` at `end` of `reply` that is not known to be taken.
    fn next_free(&self, reply: &Tuple, end: End, from: u16, to: u16) -> Option<u16>;

    /// Whether a connection has the tuple `reply`, in either direction. If so, the number at
    /// `end` is known to be taken from now on and as long as it is.
    fn is_taken(&mut self, reply: &Tuple, end: End) -> bool;
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
    /// The tuple that replies to `original` are to have; `None` if every one is taken.
    ///
    /// # Errors
    /// [`OtherVersion`] if the range cannot be applied to this packet.
    pub fn reply<C: Connections>(
        &self,
        original: &Tuple,
        connections: &mut C,
    ) -> Result<Option<Tuple>, OtherVersion> {
        let untranslated = original.reversed();
        let Some(range) = self.range.filter(|range| !range.first.is_unspecified()) else {
            return Ok(self.at_address(original, untranslated, connections));
        };
        if range.first.is_ipv4() != original.src().is_ipv4() {
            return Err(OtherVersion);
        }
        let first = u128::from(self.address_hash(original)) % range.len();
        let mut turn = 0;
        while turn < range.len() {
            let address = range.nth(first + turn);
            let reply = match self.kind {
                NatKind::Src => with_dst(untranslated, address),
                NatKind::Dst => with_src(untranslated, address),
            };
            if let Some(reply) = self.at_address(original, reply, connections) {
                return Ok(Some(reply));
            }
            turn += 1;
        }
        Ok(None)
    }

    /// Chooses among the ports of the address that `reply` has.
    fn at_address<C: Connections>(
        &self,
        original: &Tuple,
        reply: Tuple,
        connections: &mut C,
    ) -> Option<Tuple> {
        match self.kind {
            NatKind::Src => self.source(original, reply, connections),
            NatKind::Dst => self.destination(original, reply, connections),
        }
    }

    fn source<C: Connections>(
        &self,
        original: &Tuple,
        reply: Tuple,
        connections: &mut C,
    ) -> Option<Tuple> {
        let Some(numbers) = numbers(original) else {
            // Nothing but the address tells such connections apart.
            return (!connections.is_taken(&reply, End::Dst)).then_some(reply);
        };
        let Some(range) = self.ports() else {
            return keep_or_next(original.src_port, numbers, reply, connections);
        };
        let keep = self.flags.choice != PortChoice::Random
            && range.contains(&original.src_port)
            && !connections.is_taken(&reply, End::Dst);
        if keep {
            return Some(reply);
        }
        let start = self.start_in(&range, original);
        search(reply, End::Dst, start, range, connections)
    }

    fn destination<C: Connections>(
        &self,
        original: &Tuple,
        reply: Tuple,
        connections: &mut C,
    ) -> Option<Tuple> {
        let range = self.ports().filter(|_| has_ports(original));
        let Some(range) = range else {
            return match numbers(original) {
                Some(numbers) => keep_or_next(original.src_port, numbers, reply, connections),
                None => (!connections.is_taken(&reply, End::Src)).then_some(reply),
            };
        };
        let start = self.start_in(&range, original);
        let found = search(reply, End::Src, start, range.clone(), connections);
        if found.is_some() {
            return found;
        }
        // Every port of the range has a connection from this very address and port.
        let class = class(original.src_port);
        in_turn(start, &range).find_map(|port| {
            let reply = Tuple {
                src_port: port,
                ..reply
            };
            keep_or_next(original.src_port, class.clone(), reply, connections)
        })
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

/// The number of the reply's destination stays, or becomes the next free one in `range`.
fn keep_or_next<C: Connections>(
    number: u16,
    range: RangeInclusive<u16>,
    reply: Tuple,
    connections: &mut C,
) -> Option<Tuple> {
    if !connections.is_taken(&reply, End::Dst) {
        return Some(reply);
    }
    let next = number.wrapping_add(1);
    let start = if range.contains(&next) {
        next
    } else {
        *range.start()
    };
    search(reply, End::Dst, start, range, connections)
}

/// Tries the numbers of `range` from `start` on, and round.
fn search<C: Connections>(
    reply: Tuple,
    end: End,
    start: u16,
    range: RangeInclusive<u16>,
    connections: &mut C,
) -> Option<Tuple> {
    let (first, last) = range.into_inner();
    let before = (start > first).then(|| (first, start - 1));
    [Some((start, last)), before]
        .into_iter()
        .flatten()
        .find_map(|(first, last)| {
            let mut from = first;
            loop {
                let number = connections.next_free(&reply, end, from, last)?;
                let reply = with_number(reply, end, number);
                if !connections.is_taken(&reply, end) {
                    return Some(reply);
                }
                if number == last {
                    return None;
                }
                from = number + 1;
            }
        })
}

/// The ports of `range` from `start` on, and round.
fn in_turn(start: u16, range: &RangeInclusive<u16>) -> impl Iterator<Item = u16> {
    (start..=*range.end()).chain(*range.start()..start)
}

/// The numbers that the source may get without a range; `None` if the protocol has none.
fn numbers(original: &Tuple) -> Option<RangeInclusive<u16>> {
    if has_ports(original) {
        Some(class(original.src_port))
    } else {
        original.is_icmp().then_some(0..=u16::MAX)
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

const fn with_number(tuple: Tuple, end: End, number: u16) -> Tuple {
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
