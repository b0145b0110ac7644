//! Addresses and ports that a translation may choose from.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses and ports to choose from. Both ends belong to the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NatRange {
    /// First address.
    pub first: IpAddr,
    /// Last address: same family as `first`, not below it.
    pub last: IpAddr,
    /// First and last port, if ports are given.
    pub ports: Option<(u16, u16)>,
}

/// Why two ends make no range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRange {
    /// One end is IPv4, the other IPv6.
    #[error("the two addresses are of two families")]
    Families,
    /// The last address is below the first.
    #[error("the last address is below the first")]
    Addresses,
    /// The last port is below the first.
    #[error("the last port is below the first")]
    Ports,
    /// Port 0 is in the range.
    #[error("port 0 cannot be used")]
    PortZero,
}

impl NatRange {
    /// A range of addresses, and of ports if given.
    ///
    /// # Errors
    /// [`BadRange`] if the ends do not fit together.
    pub fn new(first: IpAddr, last: IpAddr, ports: Option<(u16, u16)>) -> Result<Self, BadRange> {
        if first.is_ipv4() != last.is_ipv4() {
            return Err(BadRange::Families);
        }
        if last < first {
            return Err(BadRange::Addresses);
        }
        match ports {
            Some((0, _)) => Err(BadRange::PortZero),
            Some((low, high)) if high < low => Err(BadRange::Ports),
            Some(_) | None => Ok(Self { first, last, ports }),
        }
    }

    /// Whether `address` belongs to the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        // Every IPv4 address is less than every IPv6 address, so the family counts too.
        (self.first..=self.last).contains(&address)
    }

    /// Whether `port` belongs to the range; any does if no ports are given.
    pub fn contains_port(&self, port: u16) -> bool {
        self.ports
            .is_none_or(|(first, last)| (first..=last).contains(&port))
    }

    /// How many addresses there are; one too few for all of IPv6.
    #[expect(clippy::len_without_is_empty, reason = "a range has both of its ends")]
    pub fn len(&self) -> u128 {
        (bits(self.last) - bits(self.first)).saturating_add(1)
    }

    /// The address `index` places behind the first, counted round and round.
    pub fn nth(&self, index: u128) -> IpAddr {
        let len = self.len();
        // Dividing so wide numbers takes as long as all else that a choice does.
        let index = if index < len { index } else { index % len };
        let address = bits(self.first) + index;
        match self.first {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(address as u32)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(address)),
        }
    }
}

const fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits() as u128,
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// As Open vSwitch prints it: one number where both ends are the same, IPv6 in brackets if
/// ports follow.
impl fmt::Display for NatRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bracketed = self.ports.is_some() && self.first.is_ipv6();
        let (open, close) = if bracketed { ("[", "]") } else { ("", "") };
        write!(f, "{open}{}{close}", self.first)?;
        if self.last != self.first {
            write!(f, "-{open}{}{close}", self.last)?;
        }
        match self.ports {
            None => Ok(()),
            Some((first, last)) if first == last => write!(f, ":{first}"),
            Some((first, last)) => write!(f, ":{first}-{last}"),
        }
    }
}

#[cfg(test)]
mod tests;
