//! What `nat(...)` asks for (`ovs-actions(7)`, "The ct action").

use std::fmt;

use crate::range::NatRange;

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

/// As Open vSwitch prints it: `nat`, `nat(src)`,
/// `nat(dst=10.1.1.240-10.1.1.241:34567-34568,persistent,random)`.
impl fmt::Display for NatSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Allocate { kind, range, flags } = self else {
            return f.write_str("nat");
        };
        f.write_str(match kind {
            NatKind::Src => "nat(src",
            NatKind::Dst => "nat(dst",
        })?;
        if let Some(range) = range {
            write!(f, "={range}")?;
        }
        if flags.persistent {
            f.write_str(",persistent")?;
        }
        f.write_str(match flags.choice {
            PortChoice::Default => ")",
            PortChoice::Hash => ",hash)",
            PortChoice::Random => ",random)",
        })
    }
}

#[cfg(test)]
mod tests;
