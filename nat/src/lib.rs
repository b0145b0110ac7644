//! Address translation: what `nat(...)` asks for, and rewriting headers with their checksums
//! kept right.
#![forbid(unsafe_code)]

mod range;
pub mod rewrite;
mod spec;

pub use range::{BadRange, NatRange};
pub use spec::{NatFlags, NatKind, NatSpec, PortChoice};
