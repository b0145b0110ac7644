//! Packets as they lie in memory: views, checksums, parsing, connection tuples and the
//! [`Frame`] trait through which everything above reaches a packet's bytes.
//!
//! This crate knows neither DPDK nor threads nor clocks. `weir`'s lcores hand in DPDK
//! mbufs, tests and `weir replay` hand in [`VecFrame`]s; both run the same code.
#![forbid(unsafe_code)]

pub mod checksum;
mod frame;
mod layout;
mod tick;
mod tuple;

pub use frame::{ChecksumStatus, Frame, NoHeadroom, VecFrame};
pub use layout::{Fragment, L3, L4, Layout, Malformed, parse};
pub use tick::Tick;
pub use tuple::{IpPair, Tuple};
