//! Address translation: what `nat(...)` asks for, which addresses and ports a connection gets,
//! and rewriting headers with their checksums kept right.
//!
//! ```text
//! NatSpec --Choice--> the replies' tuple --> Translation --rewrite--> the packet
//!            ^
//!            +-- Leases: which ports are taken
//! ```
#![forbid(unsafe_code)]

mod change;
mod choice;
mod leases;
mod range;
pub mod rewrite;
mod spec;
mod translation;

pub use change::TupleChange;
pub use choice::{Choice, Connections, End, Offer, OtherVersion, Position, Search};
pub use leases::{Leases, NoRoom, Pool, Whereabouts};
pub use range::{BadRange, NatRange};
pub use spec::{NatFlags, NatKind, NatSpec, PortChoice};
pub use translation::Translation;
