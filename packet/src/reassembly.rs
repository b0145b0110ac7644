//! Pieces of IP datagrams put together, and cut again.
//!
//! A [`Reassembly`] holds pieces until the datagram is whole. What is odd is refused by name: an
//! overlap refuses the datagram, pieces to come included (RFC 5722, for IPv4 as well); the same
//! piece again is refused alone. The datagram is the first piece's frame with the others
//! behind it. An IPv6 datagram keeps its fragment header, which then says that it is whole
//! (an "atomic fragment", RFC 6946), and so its identification.
//!
//! Invariants
//!   1. Pieces taken = pieces held + pieces of datagrams handed out + pieces refused.
//!   2. All memory but that of the frames is taken in [`Reassembly::new`]. Frames held are bounded
//!      in number and in bytes; when a bound is met, the oldest datagram goes.
//!   3. Pieces of a datagram are sorted by offset and do not overlap. A refused datagram
//!      holds none.
//!
//! Threads: none. Time is a parameter, and does not go back.
//! Cost: a look-up for each piece, and a walk over the datagram's pieces, at most
//! [`MAX_PIECES`]; none if they come in order.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::checksum::write_ipv4_header_checksum;
use crate::layout::array;
use crate::{Fragment, Frame, L3, Layout, Tick, protocol};

mod cut;
mod table;

pub use cut::{Pieces, cut, forbids_cutting};
use table::{Piece, Table};

/// How long the pieces of an IPv4 datagram wait for the others; as in Linux.
pub const IPV4_TIMEOUT: Duration = Duration::from_secs(30);
/// The same of IPv6 (RFC 8200 4.5).
pub const IPV6_TIMEOUT: Duration = Duration::from_secs(60);
/// Pieces of one datagram. 64 KB in pieces of 576 bytes, which every host takes (RFC 1122 3.3.2),
/// are 119.
pub const MAX_PIECES: u16 = 128;
/// More than the largest datagram and the headers of its pieces.
const LEAST_BYTES: usize = 0x2_0000;
/// Bytes of the datagram that are gathered in its head: more than any headers that weir parses.
const HEAD_BYTES: u16 = 256;

/// How much a [`Reassembly`] may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Datagrams that are not whole, refused ones included; at least 1.
    pub datagrams: u32,
    /// Pieces of all of them; at least [`MAX_PIECES`].
    pub pieces: u32,
    /// Bytes of all of their frames; at least 131,072, so that any one datagram has room.
    pub bytes: usize,
}

impl Bounds {
    /// Room for so many pieces, each of the size of an ordinary frame.
    pub const fn of_pieces(pieces: u32) -> Self {
        Self {
            datagrams: pieces / 2,
            pieces,
            bytes: pieces as usize * 2_000,
        }
    }
}

impl Default for Bounds {
    /// As many pieces as Open vSwitch lets wait.
    fn default() -> Self {
        Self::of_pieces(1_000)
    }
}

/// Why a piece was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Refused {
    /// It covers bytes of another piece without being the same, or reaches behind the last one.
    Overlap,
    /// It came before.
    Duplicate,
    /// The first piece does not hold the L4 header (RFC 1858, RFC 8200 4.5), or a piece no data.
    Tiny,
    /// Not the last, and no multiple of 8 bytes long.
    Misaligned,
    /// The datagram would have more than 65,535 bytes.
    Oversize,
    /// The datagram came in more pieces than [`MAX_PIECES`].
    TooMany,
    /// Congestion was noted on a piece, and another cannot carry that (RFC 3168 5.3).
    Ecn,
    /// The others did not come in time.
    Expired,
    /// Newer datagrams took its place.
    Evicted,
}

impl Refused {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Overlap,
        Self::Duplicate,
        Self::Tiny,
        Self::Misaligned,
        Self::Oversize,
        Self::TooMany,
        Self::Ecn,
        Self::Expired,
        Self::Evicted,
    ];
}

/// A datagram that is whole.
#[derive(Debug)]
pub struct Datagram<F> {
    /// All of it, behind the L2 headers of its first piece. Its layout has to be found anew.
    pub frame: F,
    /// How many pieces it came in.
    pub pieces: u16,
    /// IP size of the largest in bytes.
    pub largest: u16,
}

/// What became of a piece.
#[derive(Debug)]
pub enum Gathered<F> {
    /// It is held.
    Waiting,
    /// It was the last that was missing.
    Whole(Datagram<F>),
    /// It is gone, and counted; so are those that were held, if the datagram is refused.
    Refused(Refused),
}

/// What says that pieces belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    context: u64,
    src: [u8; 16],
    dst: [u8; 16],
    id: u32,
    /// Of IPv4; IPv6 identifies without (RFC 8200 4.5).
    protocol: u8,
    l3: L3,
}

/// What a piece says of itself.
#[derive(Clone, Copy, Debug)]
struct Facts {
    key: Key,
    /// Where its data belongs in the datagram, in bytes.
    offset: u16,
    /// Bytes of data.
    size: u32,
    more: bool,
    dont_fragment: bool,
    ecn: u8,
    ip_size: u16,
    /// Bytes in front of the data, from the start of the IP header.
    header_size: u16,
}

/// Pieces that wait for others.
#[derive(Debug)]
pub struct Reassembly<F> {
    table: Table<F>,
    bounds: Bounds,
    secret: u64,
    refused: [u64; Refused::ALL.len()],
}

impl<F: Frame> Reassembly<F> {
    /// For so much; `secret` keys the hash.
    pub fn new(bounds: Bounds, secret: u64) -> Self {
        let bounds = Bounds {
            bytes: bounds.bytes.max(LEAST_BYTES),
            ..bounds
        };
        Self {
            table: Table::new(
                bounds.datagrams.max(1),
                bounds.pieces.max(MAX_PIECES.into()),
            ),
            bounds,
            secret,
            refused: [0; Refused::ALL.len()],
        }
    }

    /// Pieces refused for `reason`.
    pub const fn refused(&self, reason: Refused) -> u64 {
        self.refused[reason as usize]
    }

    /// Pieces held.
    pub const fn held(&self) -> u32 {
        self.table.pieces()
    }

    /// Bytes of the frames held.
    pub const fn held_bytes(&self) -> usize {
        self.table.bytes()
    }

    /// Takes one piece. `layout` is that of `frame` and says that it is one. Only pieces of one
    /// `context`, say a zone, belong together.
    ///
    /// # Errors
    /// The frame, if `layout` says that it is no piece.
    pub fn gather(
        &mut self,
        mut frame: F,
        layout: &Layout,
        context: u64,
        now: Tick,
    ) -> Result<Gathered<F>, F> {
        let Some(facts) = Facts::read(frame.head(), layout, context) else {
            return Err(frame);
        };
        let hash = self.hash(&facts.key);
        let found = self.table.find(hash, &facts.key);
        let found = found.and_then(|slot| match self.table.is_due(slot, now) {
            true => {
                self.give_up(slot, Refused::Expired);
                None
            }
            false => Some(slot),
        });
        if let Some(reason) = facts.fault(layout) {
            self.count(reason, 1);
            if let (Some(slot), Refused::Oversize) = (found, reason) {
                self.refuse(slot, reason);
            }
            return Ok(Gathered::Refused(reason));
        }
        let slot = match found {
            Some(slot) => slot,
            None => {
                if self.table.is_full() {
                    self.evict();
                }
                let timeout = match facts.key.l3 {
                    L3::Ipv4 => IPV4_TIMEOUT,
                    _ => IPV6_TIMEOUT,
                };
                self.table.begin(hash, facts.key, now + timeout)
            }
        };
        if let Err(reason) = self.table.admits(slot, &facts) {
            self.count(reason, 1);
            if reason != Refused::Duplicate {
                self.refuse(slot, reason);
            }
            return Ok(Gathered::Refused(reason));
        }
        frame.truncate(layout.l3_end as usize);
        let size = frame.len();
        while self.table.lacks_pieces() || self.table.bytes() + size > self.bounds.bytes {
            // The last one left is the piece's own, which goes with it.
            if self.evict() == Some(slot) {
                self.count(Refused::Evicted, 1);
                return Ok(Gathered::Refused(Refused::Evicted));
            }
        }
        let start = usize::from(layout.l3_offset) + usize::from(facts.header_size);
        self.table.insert(
            slot,
            Piece {
                frame,
                start,
                facts,
            },
        );
        if !self.table.is_whole(slot) {
            return Ok(Gathered::Waiting);
        }
        let ecn = self.table.ecn(slot);
        if ecn & 1 << CE != 0 && ecn & 1 << NOT_ECT != 0 {
            self.give_up(slot, Refused::Ecn);
            return Ok(Gathered::Refused(Refused::Ecn));
        }
        Ok(Gathered::Whole(self.join(slot, ecn & 1 << CE != 0)))
    }

    /// Lets go of at most `budget` datagrams whose time is over; returns how many.
    pub fn expire(&mut self, now: Tick, budget: usize) -> usize {
        let mut gone = 0;
        while gone < budget
            && let Some(slot) = self.table.due(now)
        {
            self.give_up(slot, Refused::Expired);
            gone += 1;
        }
        gone
    }

    /// Makes one frame of the pieces, and forgets them.
    fn join(&mut self, slot: u32, congested: bool) -> Datagram<F> {
        let largest = self.table.largest(slot);
        let mut pieces = 0;
        let mut size = 0;
        let mut whole: Option<(F, Facts, usize)> = None;
        while let Some(mut piece) = self.table.take_first(slot) {
            pieces += 1;
            size += piece.facts.size;
            match &mut whole {
                None => whole = Some((piece.frame, piece.facts, piece.start)),
                Some((frame, ..)) => {
                    piece.frame.pull_front(piece.start);
                    frame.append(piece.frame);
                }
            }
        }
        self.table.end(slot);
        let (mut frame, facts, start) = whole.expect("a whole datagram has a piece");
        frame.forget_checksums();
        // What does not hold its headers is malformed to whoever parses it.
        frame.gather_head(HEAD_BYTES);
        let ip_offset = start - usize::from(facts.header_size);
        let head = frame.head_mut();
        let header = &mut head[ip_offset..start];
        let total = u32::from(facts.header_size) + size;
        match facts.key.l3 {
            L3::Ipv4 => {
                header[2..4].copy_from_slice(&(total as u16).to_be_bytes());
                // The flag that is reserved stays as it is.
                let flags = header[6] & 0x80 | u8::from(largest.dont_fragment) << 6;
                header[6..8].copy_from_slice(&[flags, 0]);
                if congested {
                    header[1] |= CE;
                }
                let layout = Layout {
                    l3: L3::Ipv4,
                    l3_offset: ip_offset as u16,
                    l4_offset: start as u16,
                    l3_end: ip_offset as u32 + total,
                    ..Layout::default()
                };
                write_ipv4_header_checksum(head, &layout);
            }
            _ => {
                header[4..6].copy_from_slice(&((total - 40) as u16).to_be_bytes());
                if congested {
                    header[1] |= CE << 4;
                }
                let at = header.len() - 8;
                header[at + 2..at + 4].copy_from_slice(&[0, 0]);
            }
        }
        Datagram {
            frame,
            pieces,
            largest: largest.ip_size,
        }
    }

    /// Forgets the oldest datagram; returns which.
    fn evict(&mut self) -> Option<u32> {
        let slot = self.table.oldest()?;
        self.give_up(slot, Refused::Evicted);
        Some(slot)
    }

    /// Lets go of all pieces of a datagram, and of those that are still to come.
    fn refuse(&mut self, slot: u32, reason: Refused) {
        let pieces = self.table.refuse(slot);
        self.count(reason, pieces);
    }

    /// Lets go of all pieces of a datagram; those to come begin anew.
    fn give_up(&mut self, slot: u32, reason: Refused) {
        self.refuse(slot, reason);
        self.table.end(slot);
    }

    const fn count(&mut self, reason: Refused, pieces: u64) {
        self.refused[reason as usize] += pieces;
    }

    fn hash(&self, key: &Key) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.secret.hash(&mut hasher);
        key.hash(&mut hasher);
        hasher.finish()
    }
}

/// ECN: not capable, and congestion experienced.
const NOT_ECT: u8 = 0;
const CE: u8 = 3;

impl Facts {
    fn read(head: &[u8], layout: &Layout, context: u64) -> Option<Self> {
        if layout.fragment == Fragment::No {
            return None;
        }
        let ip = usize::from(layout.l3_offset);
        let start = data_start(layout)?;
        let end = layout.l3_end as usize;
        let mut facts = Self {
            key: Key {
                context,
                src: [0; 16],
                dst: [0; 16],
                id: 0,
                protocol: 0,
                l3: layout.l3,
            },
            offset: 0,
            size: end.checked_sub(start)? as u32,
            more: false,
            dont_fragment: false,
            ecn: 0,
            ip_size: u16::try_from(end - ip).unwrap_or(u16::MAX),
            header_size: (start - ip) as u16,
        };
        if layout.l3 == L3::Ipv4 {
            let header: &[u8; 20] = array(head, ip)?;
            let field = u16::from_be_bytes([header[6], header[7]]);
            facts.key.src[..4].copy_from_slice(&header[12..16]);
            facts.key.dst[..4].copy_from_slice(&header[16..20]);
            facts.key.id = u16::from_be_bytes([header[4], header[5]]).into();
            facts.key.protocol = header[9];
            facts.offset = field << 3;
            facts.more = field & 0x2000 != 0;
            facts.dont_fragment = field & 0x4000 != 0;
            facts.ecn = header[1] & 3;
        } else {
            let header: &[u8; 40] = array(head, ip)?;
            let &[_, _, o0, o1, i0, i1, i2, i3] =
                array(head, layout.fragment_header_offset.into())?;
            let field = u16::from_be_bytes([o0, o1]);
            facts.key.src.copy_from_slice(&header[8..24]);
            facts.key.dst.copy_from_slice(&header[24..40]);
            facts.key.id = u32::from_be_bytes([i0, i1, i2, i3]);
            facts.offset = field & 0xfff8;
            facts.more = field & 1 != 0;
            facts.ecn = header[1] >> 4 & 3;
        }
        Some(facts)
    }

    /// What is wrong with a piece whatever the others are.
    fn fault(&self, layout: &Layout) -> Option<Refused> {
        let l4_start = usize::from(layout.l3_offset) + usize::from(self.header_size);
        // Extension headers behind the fragment header come before the L4 header.
        let before = usize::from(layout.l4_offset) - l4_start;
        let least = match (self.offset, layout.protocol) {
            (1.., _) => 1,
            (0, protocol::TCP) => before + 20,
            (0, protocol::UDP | protocol::ICMP) => before + 8,
            (0, protocol::SCTP) => before + 12,
            (0, protocol::ICMPV6) => before + 4,
            (0, _) => before + 1,
        };
        if self.end() + u32::from(self.header_size) > u16::MAX.into() {
            Some(Refused::Oversize)
        } else if (self.size as usize) < least {
            Some(Refused::Tiny)
        } else if self.more && !self.size.is_multiple_of(8) {
            Some(Refused::Misaligned)
        } else {
            None
        }
    }

    fn end(&self) -> u32 {
        u32::from(self.offset) + self.size
    }
}

/// Where what is cut begins in the frame: behind the IPv4 header, or behind the fragment header.
/// `None` without either.
fn data_start(layout: &Layout) -> Option<usize> {
    match (layout.l3, layout.fragment_header_offset) {
        (L3::Ipv4, _) => Some(layout.l4_offset.into()),
        (L3::Ipv6, 1..) => Some(usize::from(layout.fragment_header_offset) + 8),
        (_, _) => None,
    }
}

#[cfg(test)]
mod tests;
