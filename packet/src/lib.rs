//! Packets as they lie in memory: views, checksums, parsing, connection tuples and the
//! [`Frame`] trait through which everything above reaches a packet's bytes.
//!
//! This crate knows neither DPDK nor threads nor clocks. `weir`'s lcores hand in DPDK
//! mbufs, tests and `weir replay` hand in [`VecFrame`]s; both run the same code.
#![deny(unsafe_code)]

pub mod checksum;
pub mod ether_type;
mod frame;
// The one file outside of `pmd` that may: a prefetch has no safe spelling.
#[allow(unsafe_code)]
pub mod hint;
mod layout;
pub mod protocol;
pub mod reassembly;
#[cfg(any(test, feature = "proptest"))]
pub mod strategy;
pub mod text;
mod tick;
mod tuple;
pub mod view;

pub use frame::{ChecksumStatus, Frame, NoHeadroom, SegmentedFrame, VecFrame, bytes_at};
pub use layout::{Fragment, L3, L4, Layout, Malformed, parse};
pub use tick::Tick;
pub use tuple::{IpPair, Tuple};
