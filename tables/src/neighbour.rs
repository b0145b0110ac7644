//! Neighbour Discovery (RFC 4861): what rules can match and write of a solicitation or an
//! advertisement.
//!
//! As in Open vSwitch, an option that runs over the end ends the options, and a repeated
//! link-layer option leaves nothing of the message.

use weir_packet::{Fragment, L4, Layout};

/// Size of the ICMPv6 header up to the target.
const BEFORE_TARGET: usize = 8;
const TARGET: usize = 16;
/// Size of the smallest option, and of a link-layer option for Ethernet.
const OPTION: usize = 8;

/// ICMPv6 types.
const SOLICIT: u8 = 135;
const ADVERT: u8 = 136;

/// Types of link-layer options.
pub(crate) const SOURCE: u8 = 1;
const DESTINATION: u8 = 2;

/// A solicitation or an advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Flags and reserved bits.
    pub(crate) reserved: u32,
    pub(crate) target: [u8; TARGET],
    /// Source and target link-layer address, each with its place behind the ICMPv6 header.
    pub(crate) source: Option<LinkAddress>,
    pub(crate) destination: Option<LinkAddress>,
    /// The type of the first link-layer option; 0: there is none.
    pub(crate) first_type: u8,
}

/// A link-layer address and where it lies, in bytes from the start of the ICMPv6 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkAddress {
    pub(crate) at: usize,
    pub(crate) mac: [u8; 6],
}

/// Where the target lies, in bytes from the start of the ICMPv6 header.
pub(crate) const TARGET_AT: usize = BEFORE_TARGET;
/// Where the reserved bits lie.
pub(crate) const RESERVED_AT: usize = 4;

impl Message {
    /// The message of a packet; `None` if it is none.
    #[inline]
    pub(crate) fn read(head: &[u8], layout: &Layout) -> Option<Self> {
        if layout.l4 != L4::Icmpv6 {
            return None;
        }
        let end = head.len().min(layout.l3_end as usize);
        let bytes = head.get(usize::from(layout.l4_offset)..end)?;
        match bytes {
            [SOLICIT | ADVERT, 0, ..] if layout.fragment != Fragment::Later => Self::parse(bytes),
            _ => None,
        }
    }

    #[cold]
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (&[_, _, _, _, reserved @ ..], rest) = bytes.split_first_chunk::<BEFORE_TARGET>()?;
        let (target, mut options) = rest.split_first_chunk::<TARGET>()?;
        let mut message = Self {
            reserved: u32::from_be_bytes(reserved),
            target: *target,
            source: None,
            destination: None,
            first_type: 0,
        };
        while let [kind, units, ..] = *options {
            let size = usize::from(units) * OPTION;
            if size == 0 || size > options.len() {
                break;
            }
            let (option, behind) = options.split_at(size);
            if let (SOURCE | DESTINATION, [_, _, mac @ ..]) = (kind, option)
                && let Ok(mac) = mac.try_into()
            {
                let address = LinkAddress {
                    at: bytes.len() - options.len() + 2,
                    mac,
                };
                let place = match kind {
                    SOURCE => &mut message.source,
                    _ => &mut message.destination,
                };
                // An address of zeros is as good as none.
                if place.is_some_and(|before| before.mac != [0; 6]) {
                    return None;
                }
                *place = Some(address);
                if message.first_type == 0 {
                    message.first_type = kind;
                }
            }
            options = behind;
        }
        Some(message)
    }
}
