//! See the crate's description.
#![forbid(unsafe_code)]

pub mod cluster;
pub mod differential;
pub mod example;
pub mod fuzz;
pub mod hosts;
pub mod namespaces;
pub mod pieces;
mod routed;
pub mod switch;
pub mod traffic;
pub mod underlay;
