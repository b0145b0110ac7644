//! Views of headers: checked once when made, after that every getter succeeds.
//!
//! [`crate::parse`] finds where the headers of a frame lie; a view reads one of them, be it in
//! a frame, in a first fragment or in a packet quoted by an ICMP error. Each is made by `split`,
//! which takes the header off the front of some bytes and returns what is behind.
//!
//! Cost: a view is one or two slices; nothing is copied before a getter is called.

mod arp;
mod ethernet;
mod geneve;
mod gre;
mod icmp;
mod icmpv6;
mod ipv4;
mod ipv6;
mod sctp;
mod tcp;
mod udp;
mod vlan;
mod vxlan;

pub use arp::Arp;
pub use ethernet::Ethernet;
pub use geneve::{Geneve, GeneveOption, GeneveOptions};
pub use gre::Gre;
pub use icmp::Icmp;
pub use icmpv6::Icmpv6;
pub use ipv4::Ipv4;
pub use ipv6::{Extension, Extensions, Ipv6};
pub use sctp::{Chunk, Chunks, Sctp};
pub use tcp::{Tcp, TcpOption, TcpOptions};
pub use udp::Udp;
pub use vlan::VlanTag;
pub use vxlan::Vxlan;

/// A tunnel's header is cut off, or of a version or with flags that weir does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a tunnel header that is known")]
pub struct MalformedTunnel;

#[cfg(test)]
mod tests;
