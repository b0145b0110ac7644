//! `ct_state`: what the tracker says about a packet.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// The eight bits of `ct_state`, numbered as in `ovs-fields(7)`. Zero: not tracked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct CtState(pub u8);

impl CtState {
    /// Never went through `ct()`.
    pub const UNTRACKED: Self = Self(0);
    /// No connection yet, or one that saw no reply, or a repeated TCP SYN.
    pub const NEW: Self = Self(0x01);
    /// Part of a connection.
    pub const EST: Self = Self(0x02);
    /// About a connection without being part of it: an ICMP error.
    pub const REL: Self = Self(0x04);
    /// In the direction opposite to the packet that opened the connection.
    pub const RPL: Self = Self(0x08);
    /// Not acceptable.
    pub const INV: Self = Self(0x10);
    /// Went through `ct()`.
    pub const TRK: Self = Self(0x20);
    /// `ct()` translated the source.
    pub const SNAT: Self = Self(0x40);
    /// `ct()` translated the destination.
    pub const DNAT: Self = Self(0x80);

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for CtState {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for CtState {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Display for CtState {
    /// `est|rpl|trk`, lowest bit first, as in `ofproto/trace`; `0` if no bit is set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0");
        }
        let mut separator = "";
        for (bit, name) in NAMES.iter().enumerate() {
            if self.0 & 1 << bit != 0 {
                write!(f, "{separator}{name}")?;
                separator = "|";
            }
        }
        Ok(())
    }
}

const NAMES: [&str; 8] = ["new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"];

#[cfg(test)]
mod tests {
    use super::CtState;

    #[test]
    fn prints_as_ovs_does() {
        let state = CtState::TRK | CtState::RPL | CtState::EST;
        assert_eq!(state.to_string(), "est|rpl|trk");
        assert_eq!(CtState::UNTRACKED.to_string(), "0");
        assert_eq!(
            CtState(0xff).to_string(),
            "new|est|rel|rpl|inv|trk|snat|dnat"
        );
    }

    #[test]
    fn contains_wants_every_bit() {
        let state = CtState::TRK | CtState::NEW;
        assert!(state.contains(CtState::NEW));
        assert!(!state.contains(CtState::NEW | CtState::REL));
    }
}
