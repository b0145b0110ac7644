//! Address translation: what `nat(...)` asks for, and rewriting headers with their checksums
//! kept right.
#![forbid(unsafe_code)]

mod spec;

pub use spec::{NatFlags, NatKind, NatRange, NatSpec, PortChoice};
