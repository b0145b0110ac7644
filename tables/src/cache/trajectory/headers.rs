//! What a journey does to a frame's headers, found by comparing what came in with what went out.
//!
//! Addresses, ports and tag of a packet are part of its key, so what went out is the same for
//! every packet of the key. Of the rest only bits that an action wrote are: [`Changes`] says
//! which.

use weir_packet::{Fragment, L3, Layout, Tuple};

use super::program::Op;
use crate::key::{FlowKey, word};
use crate::program::{Bits, BitsPlace};

/// Masks within the flow key's IP word.
const LABEL: u64 = 0xf_ffff << 32;
const TOS: u64 = 0xff << 16;
const TTL: u64 = 0xff << 8;
/// All of a MAC address.
const MAC: u64 = 0xffff_ffff_ffff;

/// Which bits that need not be in the key were written by actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Bits of the flow key's IP word.
    written: u64,
    /// How often the TTL was decremented since it was what the packet brought.
    ttl_less: u8,
    /// Which MAC addresses were written, for packets of which nothing is known.
    macs: MacsWritten,
}

/// Which MAC addresses actions have written as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct MacsWritten {
    dst: bool,
    src: bool,
}

/// MAC addresses to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MacWrites {
    dst: Option<[u8; 6]>,
    src: Option<[u8; 6]>,
}

impl MacWrites {
    #[inline]
    pub(super) fn apply(&self, head: &mut [u8]) {
        if let Some([dst, src]) = head
            .first_chunk_mut::<12>()
            .map(|macs| macs.split_at_mut(6))
            .map(<[&mut [u8]; 2]>::from)
        {
            if let Some(address) = &self.dst {
                dst.copy_from_slice(address);
            }
            if let Some(address) = &self.src {
                src.copy_from_slice(address);
            }
        }
    }
}

impl Changes {
    /// Notes a write of those of `bits` that are set in `mask`.
    pub(crate) fn write(&mut self, bits: &Bits, mask: u128) {
        let BitsPlace::Slot { slot, start } = bits.place else {
            // No header of the frame.
            return;
        };
        let mut key = FlowKey::zero();
        key.write_masked(slot, u128::MAX, (mask & bits.ones()) << start);
        self.written |= key.words()[usize::from(word::IP)] & (LABEL | TOS | TTL);
        self.macs.dst |= key.words()[usize::from(word::ETH_DST)] >> 16 == MAC;
        self.macs.src |= key.words()[usize::from(word::ETH_SRC)] >> 16 == MAC;
        if self.sets_ttl() {
            self.ttl_less = 0;
        }
    }

    /// Notes that the TTL was decremented.
    pub(crate) fn decrement_ttl(&mut self) {
        if !self.sets_ttl() {
            self.ttl_less = self.ttl_less.saturating_add(1);
        }
    }

    /// What is to be written into a frame of which nothing is known, so that it has the MAC
    /// addresses of `head`; `None`: nothing.
    pub(super) fn mac_writes(self, head: &[u8]) -> Option<MacWrites> {
        let [dst, src] = [(self.macs.dst, 0), (self.macs.src, 6)].map(|(is_written, at)| {
            let address = head.get(at..).and_then(|macs| macs.first_chunk());
            address.copied().filter(|_| is_written)
        });
        (dst.is_some() || src.is_some()).then_some(MacWrites { dst, src })
    }

    /// Whether a MAC address was written here which is not in `later`.
    pub(super) const fn forgets_macs(self, later: Self) -> bool {
        self.macs.dst && !later.macs.dst || self.macs.src && !later.macs.src
    }

    /// How much less than what the packet brought the TTL is; 0 if actions have set it.
    pub(super) const fn ttl_less(self) -> u8 {
        self.ttl_less
    }

    const fn sets_ttl(self) -> bool {
        self.written & TTL == TTL
    }

    /// Whether part of the TTL was written and part not: nobody can say what it is then.
    pub(super) const fn mixes_ttl(self) -> bool {
        !self.sets_ttl() && self.written & TTL != 0
    }
}

/// What the headers of a frame say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Headers {
    macs: [u8; 12],
    /// TPID and TCI.
    tag: Option<[u8; 4]>,
    pub(super) tuple: Tuple,
    /// TOS, TTL and flow label.
    tos: u8,
    ttl: u8,
    label: u32,
}

impl Headers {
    /// `None` if it is not a packet that has a key.
    pub(super) fn read(head: &[u8], layout: &Layout) -> Option<Self> {
        if layout.vlan_tags > 1 || layout.fragment != Fragment::No || layout.malformed.is_some() {
            return None;
        }
        let macs = *head.first_chunk()?;
        let tag = match layout.vlan_tags {
            0 => None,
            _ => Some(*head.get(12..)?.first_chunk()?),
        };
        let ip: &[u8; 20] = head.get(usize::from(layout.l3_offset)..)?.first_chunk()?;
        let (tos, ttl, label) = match layout.l3 {
            L3::Ipv4 => (ip[1], ip[8], 0),
            L3::Ipv6 => {
                let start = u32::from_be_bytes([ip[0], ip[1], ip[2], ip[3]]);
                ((start >> 20) as u8, ip[7], start & 0xf_ffff)
            }
            L3::Other | L3::Arp => return None,
        };
        let tuple = Tuple::of(head, layout)?;
        Some(Self {
            macs,
            tag,
            tuple,
            tos,
            ttl,
            label,
        })
    }

    /// Adds to `ops` what makes a frame with `self` and `before` one with `after` and `now`.
    /// Returns false if that cannot be said.
    pub(super) fn difference(
        &self,
        before: Changes,
        after: &Self,
        now: Changes,
        ops: &mut Vec<Op>,
    ) -> bool {
        if after.macs != self.macs {
            ops.push(Op::Macs(after.macs));
        }
        if after.tuple != self.tuple {
            let kind = |tuple: &Tuple| tuple.is_icmp().then_some(tuple.dst_port);
            if kind(&after.tuple) != kind(&self.tuple) {
                return false;
            }
            ops.push(Op::Tuple(after.tuple));
        }
        // A copy on which less was done: what the packet brought is gone.
        if before.written & !now.written != 0 || now.mixes_ttl() {
            return false;
        }
        let tos = (now.written & TOS) >> 16;
        let is_new = |part: u64| (now.written ^ before.written) & part != 0;
        if tos != 0 && (is_new(TOS) || u64::from(self.tos ^ after.tos) & tos != 0) {
            ops.push(Op::Tos {
                mask: tos as u8,
                value: after.tos & tos as u8,
            });
        }
        let label = (now.written & LABEL) >> 32;
        if label != 0 && (is_new(LABEL) || u64::from(self.label ^ after.label) & label != 0) {
            ops.push(Op::Label {
                mask: label as u32,
                value: after.label & label as u32,
            });
        }
        if now.sets_ttl() {
            if is_new(TTL) || self.ttl != after.ttl {
                ops.push(Op::Ttl(after.ttl));
            }
        } else {
            match now.ttl_less.checked_sub(before.ttl_less) {
                None => return false,
                Some(0) => {}
                Some(less) => ops.push(Op::TtlLess(less)),
            }
        }
        // Last, since a tag moves the headers behind it.
        match (self.tag, after.tag) {
            (None, None) => {}
            (None, Some(tag)) => ops.push(Op::PushTag(tag)),
            (Some(_), None) => ops.push(Op::PopTag),
            (Some(was), Some(is)) if was == is => {}
            (Some([a, b, ..]), Some([c, d, tci @ ..])) if [a, b] == [c, d] => {
                ops.push(Op::Tci(u16::from_be_bytes(tci)));
            }
            (Some(_), Some(_)) => return false,
        }
        true
    }
}
