//! What `nat(...)` asks for (`ovs-actions(7)`, "The ct action").

use std::net::IpAddr;

/// The argument of `nat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NatSpec {
    /// Bare `nat`: apply the translation of an existing connection, allocate none.
    Existing,
    /// `nat(src=...)` or `nat(dst=...)`: allocate one when the connection is committed.
    Allocate {
        /// Which end is translated.
        kind: NatKind,
        /// To what; `None`: the address stays as it is (`nat(src)`).
        range: Option<NatRange>,
        /// How addresses and ports are chosen.
        flags: NatFlags,
    },
}

/// Which end of a connection is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NatKind {
    /// The source.
    Src,
    /// The destination.
    Dst,
}

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

/// How addresses and ports are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NatFlags {
    /// The same inside address keeps its outside address, over restarts too.
    pub persistent: bool,
    /// How the port is chosen.
    pub choice: PortChoice,
}

/// How a port is chosen from the range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PortChoice {
    /// Nothing said.
    #[default]
    Default,
    /// `hash`
    Hash,
    /// `random`
    Random,
}
