//! VLAN tags (IEEE 802.1Q, 802.1ad).

use crate::layout::{Layout, array};

/// One VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VlanTag {
    /// Tag protocol identifier: an Ethertype.
    pub tpid: u16,
    /// Tag control information: priority, drop eligible, VLAN identifier.
    pub tci: u16,
}

impl VlanTag {
    /// Where the outer tag of a frame begins: behind both addresses.
    pub const OFFSET: usize = 12;
    /// A tag's size in bytes.
    pub const SIZE: usize = 4;

    /// The outer tag of a frame, if it has one.
    #[inline]
    pub fn outer(head: &[u8], layout: &Layout) -> Option<Self> {
        Self::all(head, layout).next()
    }

    /// The tags that were parsed, outermost first.
    #[inline]
    pub fn all(head: &[u8], layout: &Layout) -> impl Iterator<Item = Self> {
        (0..usize::from(layout.vlan_tags)).map_while(move |index| {
            let &[p0, p1, c0, c1] = array(head, Self::OFFSET + Self::SIZE * index)?;
            let tpid = u16::from_be_bytes([p0, p1]);
            Some(Self {
                tpid,
                tci: u16::from_be_bytes([c0, c1]),
            })
        })
    }

    /// VLAN identifier, 12 bits.
    pub const fn vid(self) -> u16 {
        self.tci & 0x0fff
    }

    /// Priority code point, 3 bits.
    pub const fn pcp(self) -> u8 {
        (self.tci >> 13) as u8
    }

    /// Drop eligible indicator; the canonical format indicator of older standards.
    pub const fn dei(self) -> bool {
        self.tci & 0x1000 != 0
    }
}
